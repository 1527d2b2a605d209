/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   WANTED --ModifyListView--> SENT --it is resolved--> TAKEN --dropped--> (none)
 *     ^                         | \--it is not--> gone, (none)     |
 *     \------- no answer -------/                                  |
 *     \---------------- not shown for two checks ------------------/
 *
 * 1. One ModifyListView is under way at most; `sent` is what it asks for.
 * 2. What is dropped while SENT is in `drops` when the answer comes.
 */
#include "center/task_watch.h"

#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"

enum {
	DROPS_MAX = 64, /* that wait for a call of their own */
	CHECKS = 2
};

enum watched_state {
	WATCHED_WANTED,
	WATCHED_SENT,
	WATCHED_TAKEN
};

struct watched {
	const struct value *task; /* kept */
	enum watched_state state;
	unsigned n_missed; /* checks that did not see it */
};

struct task_watch {
	struct client *client;
	const struct value *view; /* kept */
	void (*gone)(void *arg, const struct value *task);
	void *arg;
	struct map64 tasks; /* address of the kept reference → struct watched */
	size_t n_wanted;
	VEC(const struct value *) sent, drops; /* kept */
	bool is_asking;
};

static uint64_t key_of(const struct value *task)
{
	return (uint64_t)(uintptr_t)task;
}

static void watched_free(void *arg)
{
	struct watched *x = arg;

	value_drop(x->task);
	free(x);
}

struct task_watch *task_watch_new(struct client *client, const struct value *view,
				  void (*gone)(void *arg, const struct value *task), void *arg)
{
	struct task_watch *w = mem_zalloc(sizeof(*w));

	w->client = client;
	w->view = value_keep(view);
	w->gone = gone;
	w->arg = arg;
	return w;
}

void task_watch_free(struct task_watch *w)
{
	if (w == NULL) {
		return;
	}
	map64_free_values(&w->tasks, watched_free);
	vec_each (&w->sent, it) {
		value_drop(*it);
	}
	vec_each (&w->drops, it) {
		value_drop(*it);
	}
	vec_free(&w->sent);
	vec_free(&w->drops);
	value_drop(w->view);
	free(w);
}

/* ---- what the host says ---- */

static void ask(struct task_watch *w);

/* max: no honest list is longer. */
static bool is_among(const struct value *list, size_t max, const struct value *ref)
{
	for (size_t i = 0; i < MIN(value_count(list), max); i++) {
		const struct value *item = value_item(list, i);
		if (item->kind == KIND_REF && value_equal(item, ref)) {
			return true;
		}
	}
	return false;
}

static void answer_one(struct task_watch *w, const struct value *task, size_t n_sent,
		       const struct client_answer *answer)
{
	struct watched *x = map64_get(&w->tasks, key_of(task));

	if (x == NULL || x->state != WATCHED_SENT) {
		return; /* dropped meanwhile */
	}
	if (answer->error != NULL) {
		x->state = WATCHED_WANTED;
		w->n_wanted++;
		return;
	}
	if (answer->fault == NULL && !is_among(answer->result, n_sent, task)) {
		x->state = WATCHED_TAKEN;
		x->n_missed = 0;
		return;
	}
	map64_remove(&w->tasks, key_of(task));
	w->gone(w->arg, task);
	watched_free(x);
}

static void on_modified(void *arg, const struct client_answer *answer)
{
	struct task_watch *w = arg;
	size_t n_sent = w->sent.n;

	while (w->sent.n > 0) {
		const struct value *task = vec_pop(&w->sent);
		answer_one(w, task, n_sent, answer);
		value_drop(task);
	}
	w->is_asking = false;
	/* After an error the next check asks again. */
	if (answer->error == NULL && (w->n_wanted > 0 || w->drops.n > DROPS_MAX)) {
		ask(w);
	}
}

/* ---- asking ---- */

static void ask(struct task_watch *w)
{
	struct arena *a = arena_new(0);
	struct value *args = value_new(a, schema_method(M_ListView_ModifyListView)->args);
	struct value *add = value_new_array(a, T_ManagedObject);
	struct value *remove = value_new_array(a, T_ManagedObject);

	map64_each(&w->tasks, it)
	{
		struct watched *x = it->value;
		if (x->state == WATCHED_WANTED) {
			x->state = WATCHED_SENT;
			vec_push(&w->sent, value_hold(x->task));
			value_push(a, add, x->task);
		}
	}
	w->n_wanted = 0;
	vec_each (&w->drops, it) {
		value_push(a, remove, *it);
	}
	value_set(a, args, A_ListView_ModifyListView_add, add);
	value_set(a, args, A_ListView_ModifyListView_remove, remove);
	w->is_asking = true;
	client_call(w->client, M_ListView_ModifyListView, w->view, args, on_modified, w);
	vec_each (&w->drops, it) {
		value_drop(*it);
	}
	vec_clear(&w->drops);
	arena_free(a);
}

void task_watch_add(struct task_watch *w, const struct value *task)
{
	const struct value *kept = value_keep(task);

	if (map64_has(&w->tasks, key_of(kept))) {
		value_drop(kept);
		return;
	}
	struct watched *x = mem_zalloc(sizeof(*x));
	x->task = kept;
	map64_set(&w->tasks, key_of(kept), x);
	w->n_wanted++;
	if (!w->is_asking) {
		ask(w);
	}
}

void task_watch_drop(struct task_watch *w, const struct value *task)
{
	struct watched *x = map64_remove(&w->tasks, key_of(task));

	if (x == NULL) {
		return;
	}
	if (x->state == WATCHED_WANTED) {
		w->n_wanted--;
	} else {
		vec_push(&w->drops, value_hold(x->task));
	}
	watched_free(x);
	if (!w->is_asking && w->drops.n > DROPS_MAX) {
		ask(w);
	}
}

void task_watch_check(struct task_watch *w, struct inventory *shown)
{
	map64_each(&w->tasks, it)
	{
		struct watched *x = it->value;
		if (x->state != WATCHED_TAKEN) {
			continue;
		}
		x->n_missed = inventory_find_ref(shown, x->task) != NULL ? 0 : x->n_missed + 1;
		if (x->n_missed >= CHECKS) {
			x->state = WATCHED_WANTED;
			w->n_wanted++;
		}
	}
	if (!w->is_asking && (w->n_wanted > 0 || w->drops.n > 0)) {
		ask(w);
	}
}
