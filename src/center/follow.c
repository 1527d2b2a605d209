/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   calling --answer--> waiting for the task --ended--> done
 *
 * 1. A follow is in center->follows from begin to done, or until follow_stop(), which takes away
 *    its center; then its answer is not told any more.
 */
#include "center/follow.h"

#include <stdlib.h>

#include "base/mem.h"

struct follow {
	struct list_node link;
	struct center *c; /* NULL: stopped */
	void (*done)(void *arg, const struct value *fault, const char *text);
	void *arg;
	const struct value *task; /* kept reference */
	struct inventory_listener *listener;
};

static void follow_end(struct follow *f, const struct value *fault, const char *text)
{
	if (f->listener != NULL) {
		inventory_unsubscribe(f->listener);
	}
	list_remove(&f->link);
	if (f->c != NULL) {
		f->done(f->arg, fault, text);
	}
	value_drop(f->task);
	free(f);
}

static void look(void *arg)
{
	struct follow *f = arg;
	struct object *task = inventory_find_ref(f->c->inventory, f->task);
	const struct value *info = task == NULL ? NULL : object_get(task, P_Task_info, NULL);
	int64_t state = value_get_num(info, F_TaskInfo_state, E_TaskInfoState_error);

	if (state != E_TaskInfoState_success && state != E_TaskInfoState_error) {
		return;
	}
	const struct value *error = value_get_value(info, F_TaskInfo_error);
	if (state == E_TaskInfoState_success) {
		follow_end(f, NULL, NULL);
		return;
	}
	error = value_hold(error);
	follow_end(f, value_get_value(error, F_LocalizedMethodFault_fault),
		   value_get_str(error, F_LocalizedMethodFault_localizedMessage));
	value_drop(error);
}

static void on_answer(void *arg, const struct value *result, const struct value *fault,
		      const char *text)
{
	struct follow *f = arg;

	if (f->c == NULL || fault != NULL || result == NULL || result->kind != KIND_REF) {
		follow_end(f, fault, text);
		return;
	}
	f->task = value_keep(result);
	f->listener = inventory_subscribe(f->c->inventory, look, f);
	look(f);
}

void follow_call(struct center *c, struct object *self, uint16_t method, const struct value *args,
		 void (*done)(void *arg, const struct value *fault, const char *text), void *arg)
{
	struct follow *f = mem_zalloc(sizeof(*f));

	f->c = c;
	f->done = done;
	f->arg = arg;
	list_push_back(&c->follows, &f->link);
	service_call(session_system(c->api->sessions), self, method, args, on_answer, f);
}

void follow_stop(struct center *c)
{
	list_each_safe (struct follow, f, &c->follows, link) {
		bool is_waiting = f->task != NULL;
		f->c = NULL;
		list_remove(&f->link);
		if (is_waiting) {
			follow_end(f, NULL, NULL);
		}
	}
}
