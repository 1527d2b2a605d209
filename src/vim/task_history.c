/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The history of tasks: what TaskFilterSpec selects. What this server cannot select by (alarms,
 * scheduled tasks, tags) is refused, so that nobody takes the answer for something else.
 */
#include <string.h>

#include "base/mem.h"
#include "vim/entity.h"
#include "vim/fault.h"
#include "vim/task_record.h"
#include "vim/weight.h"

struct task_filter {
	const struct value *spec;   /* kept TaskFilterSpec */
	const struct value *entity; /* kept reference, or NULL: any */
	int recursion;
};

static void filter_free(void *filter)
{
	struct task_filter *f = filter;

	value_drop(f->spec);
	value_drop(f->entity);
	free(f);
}

/* "children" is what lies below the entity, "all" that and the entity itself. */
static bool entity_matches(const struct task *t, const struct task_filter *f, struct arena *a)
{
	const struct value *ref = value_get_value(t->info, F_TaskInfo_entity);

	if (f->entity == NULL) {
		return true;
	}
	if (ref == f->entity || f->recursion == E_TaskFilterSpecRecursionOption_self) {
		return ref == f->entity && f->recursion != E_TaskFilterSpecRecursionOption_children;
	}
	struct object *top = inventory_find_ref(t->manager->inventory, f->entity);
	struct object *o = task_entity(t);
	return o != NULL && top != NULL && entity_is_within(o, top, a);
}

/* True when the text is one of the array's; an absent array allows any. */
static bool one_of(const struct value *array, const char *text)
{
	for (size_t i = 0; i < value_count(array); i++) {
		if (text != NULL && strcmp(value_bytes(value_item(array, i)), text) == 0) {
			return true;
		}
	}
	return value_count(array) == 0;
}

static bool one_of_numbers(const struct value *array, int64_t number)
{
	for (size_t i = 0; i < value_count(array); i++) {
		if (value_at(array, i).num == number) {
			return true;
		}
	}
	return value_count(array) == 0;
}

/* TaskFilterSpecByUsername: no list stands for every user that is not the system. */
static bool user_matches(const struct value *by, const char *user)
{
	if (by == NULL) {
		return true;
	}
	return user[0] == '\0'
		       ? value_get_bool(by, F_TaskFilterSpecByUsername_systemUser, false)
		       : one_of(value_get_value(by, F_TaskFilterSpecByUsername_userList), user);
}

static bool time_matches(const struct value *by, const struct value *info)
{
	static const unsigned fields[] = {
		[E_TaskFilterSpecTimeOption_queuedTime] = F_TaskInfo_queueTime,
		[E_TaskFilterSpecTimeOption_startedTime] = F_TaskInfo_startTime,
		[E_TaskFilterSpecTimeOption_completedTime] = F_TaskInfo_completeTime,
	};
	union slot at;

	if (by == NULL) {
		return true;
	}
	if (!value_get(info, fields[value_get_num(by, F_TaskFilterSpecByTime_timeType, 0)], &at)) {
		return false;
	}
	return at.num >= value_get_num(by, F_TaskFilterSpecByTime_beginTime, INT64_MIN) &&
	       at.num <= value_get_num(by, F_TaskFilterSpecByTime_endTime, INT64_MAX);
}

/* What does not change in the life of a task. */
static bool concerns(const void *item, const void *filter, struct arena *a)
{
	const struct task *t = item;
	const struct task_filter *f = filter;
	const struct value *s = f->spec, *info = t->info;

	return user_matches(value_get_value(s, F_TaskFilterSpec_userName), task_user(t)) &&
	       one_of(value_get_value(s, F_TaskFilterSpec_activationId),
		      value_get_str(info, F_TaskInfo_activationId)) &&
	       one_of(value_get_value(s, F_TaskFilterSpec_parentTaskKey),
		      value_get_str(info, F_TaskInfo_parentTaskKey)) &&
	       one_of(value_get_value(s, F_TaskFilterSpec_rootTaskKey),
		      value_get_str(info, F_TaskInfo_rootTaskKey)) &&
	       one_of_numbers(value_get_value(s, F_TaskFilterSpec_eventChainId),
			      value_get_num(info, F_TaskInfo_eventChainId, 0)) &&
	       entity_matches(t, f, a);
}

static bool match(const void *item, const void *filter, struct arena *a)
{
	const struct task *t = item;
	const struct task_filter *f = filter;

	return one_of_numbers(value_get_value(f->spec, F_TaskFilterSpec_state), task_state(t)) &&
	       time_matches(value_get_value(f->spec, F_TaskFilterSpec_time), t->info) &&
	       concerns(item, filter, a);
}

static bool may_read(const void *item, const struct session *s, struct arena *a)
{
	const struct task *t = item;

	(void)a;
	return !t->is_hidden && task_may_read(t, s);
}

static const struct value *show(const void *item, const void *filter, struct arena *a)
{
	(void)filter;
	(void)a;
	return ((const struct task *)item)->info;
}

static void drop(void *item)
{
	struct task *t = item;

	t->in_history = false;
	task_record_free(t);
}

static const struct history_ops ops = {
	.collector = T_TaskHistoryCollector,
	.item = T_TaskInfo,
	.read_next = M_TaskHistoryCollector_ReadNextTasks,
	.read_previous = M_TaskHistoryCollector_ReadPreviousTasks,
	.show = show,
	.match = match,
	.concerns = concerns,
	.may_read = may_read,
	.drop = drop,
	.filter_free = filter_free,
};

/* ---- CreateCollectorForTasks ---- */

/* False and the call is over when the filter asks for what cannot be selected by. */
static bool filter_check(struct call *c, const struct value *spec)
{
	static const struct {
		unsigned field;
		const char *path;
	} unsupported[] = {
		{ F_TaskFilterSpec_alarm, "filter.alarm" },
		{ F_TaskFilterSpec_scheduledTask, "filter.scheduledTask" },
		{ F_TaskFilterSpec_tag, "filter.tag" },
	};

	for (size_t i = 0; i < ARRAY_LEN(unsupported); i++) {
		if (value_has(spec, unsupported[i].field)) {
			call_fault(c, fault_invalid_argument(c->arena, unsupported[i].path),
				   "'%s' is set, and tasks cannot be selected by that here",
				   unsupported[i].path);
			return false;
		}
	}
	if (!weight_within(spec, WEIGHT_KEPT_MAX)) {
		call_fault(c, fault_invalid_argument(c->arena, "filter"),
			   "the filter is larger than %d bytes", WEIGHT_KEPT_MAX);
		return false;
	}
	return true;
}

static void create_collector(struct call *c)
{
	struct task_manager *m = call_arg(c);
	const struct value *spec =
		value_get_value(c->args, A_TaskManager_CreateCollectorForTasks_filter);
	const struct value *by = value_get_value(spec, F_TaskFilterSpec_entity);
	const struct value *ref = value_get_value(by, F_TaskFilterSpecByEntity_entity);
	struct object *entity = inventory_find_ref(m->inventory, ref);

	if (!filter_check(c, spec)) {
		return;
	}
	if (ref != NULL && entity == NULL) {
		call_fault(c, fault_not_found(c->arena, ref), "entity '%s' does not exist",
			   value_bytes(ref));
		return;
	}
	struct task_filter *f = mem_zalloc(sizeof(*f));
	f->spec = value_keep(spec);
	f->entity = entity == NULL ? NULL : value_hold(entity->ref);
	f->recursion = (int)value_get_num(by, F_TaskFilterSpecByEntity_recursion, 0);
	history_collect(m->history, c, f->spec, f, HISTORY_PAGE);
}

struct history *task_history_new(struct task_manager *m)
{
	service_handle(m->service, T_TaskManager, M_TaskManager_CreateCollectorForTasks,
		       create_collector, m);
	return history_new(m->service, &ops, TASK_HISTORY_MAX);
}
