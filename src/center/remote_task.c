/* SPDX-License-Identifier: Apache-2.0 */
#include "center/remote_task.h"

#include <stdlib.h>

#include "base/mem.h"
#include "center/member.h"

struct remote_task {
	struct mirror *m;
	const struct value *remote; /* kept reference */
	struct remote_task_listener listener;
};

static void end(struct remote_task *t, const struct value *info, const char *text)
{
	map64_remove(&t->m->tasks, (uint64_t)(uintptr_t)t->remote);
	link_unwatch_task(t->m->member->link, t->remote);
	t->listener.ended(t->listener.arg, info, text);
	value_drop(t->remote);
	free(t);
}

static void look(struct remote_task *t, struct object *o)
{
	const struct value *info = object_get(o, P_Task_info, NULL);
	int64_t state = value_get_num(info, F_TaskInfo_state, E_TaskInfoState_queued);

	if (info == NULL) {
		return;
	}
	if (state == E_TaskInfoState_success || state == E_TaskInfoState_error) {
		info = value_hold(info);
		end(t, info, NULL);
		value_drop(info);
	} else if (t->listener.changed != NULL) {
		t->listener.changed(t->listener.arg, info);
	}
}

void remote_task_follow(struct mirror *m, const struct value *remote,
			const struct remote_task_listener *listener)
{
	const struct value *kept = value_keep(remote);

	if (map64_has(&m->tasks, (uint64_t)(uintptr_t)kept)) {
		value_drop(kept);
		listener->ended(listener->arg, NULL, "the host names a task that it named before");
		return;
	}
	struct remote_task *t = mem_zalloc(sizeof(*t));
	t->m = m;
	t->remote = kept;
	t->listener = *listener;
	map64_set(&m->tasks, (uint64_t)(uintptr_t)kept, t);
	struct object *o = m->source == NULL ? NULL : inventory_find_ref(m->source, kept);
	if (o != NULL) {
		look(t, o);
	} else {
		link_watch_task(m->member->link, kept);
	}
}

void remote_task_changed(struct mirror *m, struct object *task)
{
	struct remote_task *t = map64_get(&m->tasks, (uint64_t)(uintptr_t)task->ref);

	if (t == NULL) {
		return;
	}
	if (task->removed) {
		end(t, NULL, "the host has forgotten the task");
	} else {
		look(t, task);
	}
}

void remote_task_gone(struct mirror *m, const struct value *remote)
{
	struct remote_task *t = map64_get(&m->tasks, (uint64_t)(uintptr_t)remote);

	if (t != NULL) {
		end(t, NULL, "the host has forgotten the task");
	}
}

void remote_task_lose(struct mirror *m, const char *why)
{
	map64_each(&m->tasks, it)
	{
		end(it->value, NULL, why);
	}
}

static void on_cancel(void *arg, const struct link_answer *answer)
{
	(void)arg;
	(void)answer; /* how the task ends, tells */
}

void remote_task_cancel(struct mirror *m, const struct value *remote)
{
	link_call(m->member->link, remote, M_Task_CancelTask, NULL, on_cancel, NULL);
}
