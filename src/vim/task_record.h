/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the task manager share; everyone else includes task.h.
 *
 * A task is in one of two lists, or in none, and besides, for a while, in the history:
 *
 *   task_new() → open ── task_ended() → finished ── expire() → (none)
 *
 *  1. Open: state queued or running, object and, unless a client runs it, arena are there.
 *  2. Finished: state success or error, object is there, arena is not.
 *  3. In no list: the object is gone, only `info` is left, for the history.
 *  4. While there is an object, its info property and `info` are the same kept value.
 *  5. In no list and not in the history: freed, by task_record_free().
 */
#ifndef VIM_TASK_RECORD_H
#define VIM_TASK_RECORD_H

#include "base/list.h"
#include "base/timer.h"
#include "vim/event.h"
#include "vim/history.h"
#include "vim/task.h"

enum {
	TASK_HISTORY_MAX = 10000,
	TASK_FINISHED_MAX = 10000,  /* objects of finished tasks */
	TASK_RECENT_FINISHED = 200, /* in TaskManager.recentTask */
	TASK_RECENT_ENTITY = 32,    /* in ManagedEntity.recentTask */
	TASK_CLIENT_MAX = 1000,	    /* open tasks made by CreateTask */
	TASK_KEEP_S = 600,
};

struct task_manager {
	struct service *service;
	struct inventory *inventory;
	struct object *object;
	struct history *history;
	struct event_manager *events;			    /* NULL: tasks post none */
	void (*ended)(void *arg, const struct value *info); /* task_listen() */
	void *ended_arg;
	struct list open;     /* struct task, in order of their beginning */
	struct list finished; /* oldest end first */
	size_t n_finished, n_client;
	struct timer *expiry;
	struct arena *scratch; /* for one function's drafts */
	char start_id[9];      /* makes ids of this start differ from those of others */
	uint32_t n_begun;
};

struct task {
	struct task_manager *manager;
	struct list_node link;	   /* in open or finished */
	struct object *object;	   /* NULL once expired */
	const struct value *info;  /* kept; what object's info says */
	struct arena *arena;	   /* NULL when ended */
	const struct value *args;  /* in arena, or NULL */
	void (*cancel)(void *arg); /* NULL: not cancelable by the program */
	void *cancel_arg;
	uint64_t number;  /* in the history */
	int64_t ended_us; /* monotonic */
	bool client;	  /* made by CreateTask: the client says how it goes */
	bool in_history;
	bool is_hidden;	 /* task_hide() */
	int8_t progress; /* as published; -1: none */
};

/* What a new task says about itself. */
struct task_spec {
	struct object *entity; /* NULL or no ManagedEntity: none */
	const char *name;      /* NULL: none */
	const char *description_id;
	const char *user;			/* "": the system */
	const char *parent_key, *activation_id; /* NULL: none */
	int state;
	bool cancelable;
	bool client;
};

struct task *task_new(struct task_manager *m, const struct task_spec *spec);

/* Takes a changed draft of t->info as the new one. */
void task_info_set(struct task *t, const struct value *info);
/* A draft of t->info in the manager's scratch arena, which is emptied first. */
struct value *task_info_edit(struct task *t);
int task_state(const struct task *t);
bool task_has_ended(const struct task *t);

/* Ends an open task: t->info says so already. */
void task_ended(struct task *t);

/* Frees the task when it is neither an object nor in the history any more. */
void task_record_free(struct task *t);

/* May the session's user know of the task? */
bool task_may_read(const struct task *t, const struct session *s);

/* The task of a Task object. */
struct task *task_of(struct object *o);

/* Registers the methods of Task and TaskManager but those of history collectors. */
void task_methods_register(struct task_manager *m);
/* The history with its collectors and CreateCollectorForTasks. */
struct history *task_history_new(struct task_manager *m);

#endif
