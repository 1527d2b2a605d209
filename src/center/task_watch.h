/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which tasks of a host its property collector tells of: those that somebody here waits for, and no
 * others. They are the members of one ListView of the session (vSphere API ListView), which the
 * connection's filter traverses. A host's own lists of recent tasks are bounded and would lose some
 * of many that end at once; a task in the view is told of until it is taken out or the host has
 * forgotten it.
 *
 * Requests gather while one is under way, so that hundreds of tasks at once are a few calls. The
 * watch belongs to a connection and does not outlive its client. Event-loop thread only.
 */
#pragma once

#include "vim/client.h"
#include "vim/inventory.h"

struct task_watch;

/* gone: the host says that it has no such task, each once; may drop others, not free the watch. */
struct task_watch *task_watch_new(struct client *client, const struct value *view,
				  void (*gone)(void *arg, const struct value *task), void *arg);
/* After the client was freed. NULL: no effect. */
void task_watch_free(struct task_watch *w);

/* A task that is watched already is watched once. */
void task_watch_add(struct task_watch *w, const struct value *task);
void task_watch_drop(struct task_watch *w, const struct value *task);

/* From time to time: asks again for tasks that the host has taken but does not show among its
 * `shown` objects, and sends what else is due. */
void task_watch_check(struct task_watch *w, struct inventory *shown);
