/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks: long operations that a client follows through Task.info (vSphere API Task, TaskManager,
 * TaskHistoryCollector).
 *
 * States: queued → running → success | error; a cancelled task ends in error with RequestCanceled.
 * Finished tasks stay for ten minutes (and at most 10,000 of them) as objects and in recentTask of
 * their entity (at most 32), the newest 200 of them in recentTask of the manager, and longer in the
 * history (ring of 10,000, oldest dropped).
 *
 * A task owns the arena of the call that began it, so arguments stay valid until it ends.
 * Event-loop thread only.
 */
#ifndef VIM_TASK_H
#define VIM_TASK_H

#include "vim/event.h"
#include "vim/service.h"

struct task;
struct task_manager;

/* Makes the TaskManager object with that id and its methods (CreateTask, CreateCollectorForTasks,
 * CancelTask, SetTaskState, UpdateProgress, history collectors). */
struct task_manager *task_manager_new(struct service *s, const char *id);
void task_manager_free(struct task_manager *m);

/* From now on each task posts a TaskEvent when it begins, as vCenter does, and its eventChainId is
 * that event's key. The event manager must outlive the tasks. */
void task_manager_post_events(struct task_manager *m, struct event_manager *events);

/* For storage: fn for each task that ends, with what it says then; one listener, fn NULL: none.
 * task_restore() puts an ended task of an earlier run back into the history (oldest first). */
void task_listen(struct task_manager *m, void (*fn)(void *arg, const struct value *info),
		 void *arg);
void task_restore(struct task_manager *m, const struct value *info);

/* Begins a task for the running call on c->self (name, descriptionId and entity from c), answers
 * the client with its reference, and takes the call's arena: c is gone afterwards; c->args stay
 * valid as task_args(). The task is running. */
struct task *task_begin(struct call *c, struct task_manager *m);

/* Begins a task that no call asked for (mirrored from a host, or started by the program itself).
 * description_id e.g. "VirtualMachine.powerOn"; name e.g. "PowerOnVM_Task"; user "" = the system.
 */
struct task *task_begin_internal(struct task_manager *m, struct object *entity, const char *name,
				 const char *description_id, const char *user);

struct arena *task_arena(struct task *t);
const struct value *task_args(const struct task *t);
struct object *task_entity(const struct task *t); /* NULL when it was removed meanwhile */
struct object *task_object(const struct task *t);
const char *task_user(const struct task *t);

/* Number that joins the events of this task (Event.chainId). */
int32_t task_chain_id(const struct task *t);

/* Keeps the task out of recentTask lists, histories and storage: only who knows its reference sees
 * it. For questions whose results only those who asked understand. */
void task_hide(struct task *t);

void task_progress(struct task *t, int percent); /* 0 … 100; only growth is published */

/* Ends. The task pointer is invalid afterwards. */
void task_done(struct task *t, const struct value *result); /* NULL: none; e.g. a reference */
void task_fail(struct task *t, const struct value *fault, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void task_fail_error(struct task *t, const struct error *e); /* fault_from_error() */
void task_fail_file(struct task *t, const struct error *e, const char *file);

/* Makes the task cancelable: fn(arg) is called once when a client asks; the owner then ends the
 * task soon with task_fail(RequestCanceled) or, if too late, task_done(). NULL: not cancelable
 * again. */
void task_set_cancel(struct task *t, void (*fn)(void *arg), void *arg);
bool task_is_cancelled(const struct task *t);

#endif
