/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/task.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "vim/access.h"
#include "vim/fault.h"
#include "vim/task_record.h"

struct arena *task_arena(struct task *t)
{
	return t->arena;
}

const struct value *task_args(const struct task *t)
{
	return t->args;
}

struct object *task_entity(const struct task *t)
{
	return inventory_find_ref(t->manager->inventory,
				  value_get_value(t->info, F_TaskInfo_entity));
}

struct object *task_object(const struct task *t)
{
	return t->object;
}

const char *task_user(const struct task *t)
{
	const struct value *reason = value_get_value(t->info, F_TaskInfo_reason);

	return value_is_a(reason, T_TaskReasonUser)
		       ? value_get_str(reason, F_TaskReasonUser_userName)
		       : "";
}

int32_t task_chain_id(const struct task *t)
{
	return (int32_t)value_get_num(t->info, F_TaskInfo_eventChainId, 0);
}

int task_state(const struct task *t)
{
	return (int)value_get_num(t->info, F_TaskInfo_state, 0);
}

bool task_has_ended(const struct task *t)
{
	return task_state(t) >= E_TaskInfoState_success;
}

bool task_may_read(const struct task *t, const struct session *s)
{
	return access_may_read_task(s, t->info);
}

/* ---- changing TaskInfo ---- */

struct value *task_info_edit(struct task *t)
{
	arena_reset(t->manager->scratch);
	return value_edit(t->manager->scratch, t->info);
}

/* Follows what the object's info property has become. */
static void info_follow(struct task *t)
{
	const struct value *now = object_get(t->object, P_Task_info, NULL);

	value_hold(now);
	value_drop(t->info);
	t->info = now;
	if (t->in_history) {
		history_changed(t->manager->history, t->number);
	}
}

void task_info_set(struct task *t, const struct value *info)
{
	if (inventory_set(t->object, P_Task_info, info)) {
		info_follow(t);
	}
}

void task_progress(struct task *t, int percent)
{
	const unsigned path[] = { F_TaskInfo_progress };
	int p = MAX(0, MIN(100, percent));

	assert(!task_has_ended(t));
	if (p <= t->progress) {
		return;
	}
	t->progress = (int8_t)p;
	arena_reset(t->manager->scratch);
	if (inventory_set_nested(t->object, P_Task_info, path, 1,
				 value_new_int(t->manager->scratch, p))) {
		info_follow(t);
	}
}

/* ---- cancelling ---- */

void task_set_cancel(struct task *t, void (*fn)(void *arg), void *arg)
{
	assert(!task_has_ended(t));
	t->cancel = fn;
	t->cancel_arg = arg;
	struct value *info = task_info_edit(t);
	value_set_bool(t->manager->scratch, info, F_TaskInfo_cancelable, fn != NULL);
	task_info_set(t, info);
}

bool task_is_cancelled(const struct task *t)
{
	return value_get_bool(t->info, F_TaskInfo_cancelled, false);
}

/* ---- ends ---- */

/* A draft of the info of a task that ends now in this state. */
static struct value *info_ended(struct task *t, int state)
{
	struct arena *a = t->manager->scratch;
	struct value *info = task_info_edit(t);
	int64_t now = clock_wall_us(service_clock(t->manager->service));

	assert(!task_has_ended(t));
	value_set_num(a, info, F_TaskInfo_state, state);
	value_set_bool(a, info, F_TaskInfo_cancelable, false);
	if (!value_has(info, F_TaskInfo_startTime)) {
		value_set_num(a, info, F_TaskInfo_startTime, now);
	}
	value_set_num(a, info, F_TaskInfo_completeTime, now);
	return info;
}

void task_done(struct task *t, const struct value *result)
{
	struct arena *a = t->manager->scratch;
	struct value *info = info_ended(t, E_TaskInfoState_success);

	if (value_has(info, F_TaskInfo_progress)) {
		value_set_num(a, info, F_TaskInfo_progress, 100);
	}
	value_set(a, info, F_TaskInfo_result, result);
	task_info_set(t, info);
	task_ended(t);
}

static void fail(struct task *t, const struct value *fault, const char *text)
{
	struct arena *a = t->manager->scratch;
	struct value *info = info_ended(t, E_TaskInfoState_error);

	if (fault == NULL) {
		struct value *system = fault_new(a, T_SystemError);
		value_set_str(a, system, F_SystemError_reason, text);
		fault = system;
	}
	value_set(a, info, F_TaskInfo_error, fault_localized(a, fault, text));
	task_info_set(t, info);
	task_ended(t);
}

void task_fail(struct task *t, const struct value *fault, const char *fmt, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, fmt);
	int n = vasprintf(&text, fmt, args);
	va_end(args);
	fail(t, fault, n < 0 ? "" : text);
	free(text);
}

void task_fail_error(struct task *t, const struct error *e)
{
	fail(t, fault_from_error(t->arena, e), e->msg);
}

void task_fail_file(struct task *t, const struct error *e, const char *file)
{
	fail(t, fault_from_file_error(t->arena, e, file), e->msg);
}
