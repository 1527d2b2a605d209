/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients may do with tasks (vSphere API Task, TaskManager). The state of a task that this
 * program runs is changed by nobody else; a task made by CreateTask is run by its client.
 */
#include <inttypes.h>
#include <string.h>

#include "vim/fault.h"
#include "vim/task_record.h"
#include "vim/weight.h"

enum {
	TYPE_ID_MAX = 255
};

static void refuse_state(struct call *c, const struct task *t, const char *why)
{
	call_fault(c, fault_new(c->arena, T_InvalidState), "task '%s' %s",
		   value_get_str(t->info, F_TaskInfo_key), why);
}

/* The task, when it is open and its client runs it; else the call is over. */
static struct task *client_task(struct call *c)
{
	struct task *t = task_of(c->self);

	if (task_has_ended(t)) {
		refuse_state(c, t, "has ended");
		return NULL;
	}
	if (!t->client) {
		refuse_state(c, t, "is run by the server, which alone says how it goes");
		return NULL;
	}
	return t;
}

/* Its own user may cancel a task; others need the privilege. */
static bool may_cancel(struct call *c, struct task *t)
{
	struct object *entity = task_entity(t);

	return strcmp(session_user(c->session), task_user(t)) == 0 ||
	       call_require(c, entity == NULL ? t->manager->object : entity, "Global.CancelTask");
}

static void cancel_task(struct call *c)
{
	struct task *t = task_of(c->self);
	struct arena *a = t->manager->scratch;

	if (!may_cancel(c, t)) {
		return;
	}
	if (task_has_ended(t)) {
		refuse_state(c, t, "has ended");
		return;
	}
	if (!value_get_bool(t->info, F_TaskInfo_cancelable, false)) {
		refuse_state(c, t, "cannot be cancelled");
		return;
	}
	bool again = task_is_cancelled(t);
	void (*cancel)(void *arg) = t->cancel;
	if (!again) {
		struct value *info = task_info_edit(t);
		value_set_bool(a, info, F_TaskInfo_cancelled, true);
		task_info_set(t, info);
	}
	call_return(c, NULL);
	if (!again && cancel != NULL) {
		cancel(t->cancel_arg);
	}
}

/* What a client wants kept in its task must be small; else the call is over. */
static bool weight_check(struct call *c, const struct value *v)
{
	if (weight_within(v, WEIGHT_KEPT_MAX)) {
		return true;
	}
	call_fault(c, fault_invalid_argument(c->arena, NULL),
		   "the arguments are larger than %d bytes, the most that is kept with a task",
		   WEIGHT_KEPT_MAX);
	return false;
}

static void create_task(struct call *c)
{
	struct task_manager *m = call_arg(c);
	const char *type_id = value_get_str(c->args, A_TaskManager_CreateTask_taskTypeId);
	const char *initiated_by = value_get_str(c->args, A_TaskManager_CreateTask_initiatedBy);
	bool ok;
	struct object *o = call_object(c, A_TaskManager_CreateTask_obj, T_ManagedObject, &ok);

	if (o == NULL) {
		return;
	}
	if (type_id[0] == '\0' || strlen(type_id) > TYPE_ID_MAX) {
		call_fault(c, fault_invalid_argument(c->arena, "taskTypeId"),
			   "task type id of %zu bytes, must have 1 to %d", strlen(type_id),
			   TYPE_ID_MAX);
		return;
	}
	if (!weight_check(c, c->args)) {
		return;
	}
	if (m->n_client >= TASK_CLIENT_MAX) {
		call_fault(c, fault_new(c->arena, T_LimitExceeded),
			   "%zu tasks made by clients are open, the most there may be",
			   m->n_client);
		return;
	}
	const struct task_spec spec = {
		.entity = o,
		.description_id = type_id,
		.user = initiated_by != NULL ? initiated_by : session_user(c->session),
		.parent_key = value_get_str(c->args, A_TaskManager_CreateTask_parentTaskKey),
		.activation_id = value_get_str(c->args, A_TaskManager_CreateTask_activationId),
		.state = E_TaskInfoState_queued,
		.cancelable = value_get_bool(c->args, A_TaskManager_CreateTask_cancelable, false),
		.client = true,
	};
	call_return(c, task_new(m, &spec)->info);
}

static void set_task_state(struct call *c)
{
	struct task *t = client_task(c);
	int state = (int)value_get_num(c->args, A_Task_SetTaskState_state, 0);
	const struct value *error = value_get_value(c->args, A_Task_SetTaskState_fault);

	if (t == NULL || !weight_check(c, c->args)) {
		return;
	}
	if (state == E_TaskInfoState_queued && task_state(t) != E_TaskInfoState_queued) {
		refuse_state(c, t, "runs already and cannot be queued again");
		return;
	}
	if (state == E_TaskInfoState_error && error == NULL) {
		call_fault(c, fault_invalid_argument(c->arena, "fault"),
			   "task '%s' is to end in error, and no fault says which",
			   value_get_str(t->info, F_TaskInfo_key));
		return;
	}
	struct arena *a = t->manager->scratch;
	int64_t now = clock_wall_us(service_clock(c->service));
	struct value *info = task_info_edit(t);
	bool ended = state >= E_TaskInfoState_success;
	value_set_num(a, info, F_TaskInfo_state, state);
	if (state != E_TaskInfoState_queued && !value_has(info, F_TaskInfo_startTime)) {
		value_set_num(a, info, F_TaskInfo_startTime, now);
	}
	if (ended) {
		value_set_num(a, info, F_TaskInfo_completeTime, now);
		value_set_bool(a, info, F_TaskInfo_cancelable, false);
	}
	if (state == E_TaskInfoState_success) {
		value_set(a, info, F_TaskInfo_result,
			  value_get_value(c->args, A_Task_SetTaskState_result));
	} else if (state == E_TaskInfoState_error) {
		value_set(a, info, F_TaskInfo_error, error);
	}
	task_info_set(t, info);
	if (ended) {
		task_ended(t);
	}
	call_return(c, NULL);
}

static void update_progress(struct call *c)
{
	struct task *t = client_task(c);
	int64_t percent = value_get_num(c->args, A_Task_UpdateProgress_percentDone, 0);

	if (t == NULL) {
		return;
	}
	if (task_state(t) != E_TaskInfoState_running) {
		refuse_state(c, t, "is not running");
		return;
	}
	if (percent < 0 || percent > 100) {
		struct value *fault = fault_new(c->arena, T_OutOfBounds);
		value_set_str(c->arena, fault, F_OutOfBounds_argumentName, "percentDone");
		call_fault(c, fault, "percentDone %" PRId64 " is not between 0 and 100", percent);
		return;
	}
	struct value *info = task_info_edit(t);
	value_set_num(t->manager->scratch, info, F_TaskInfo_progress, percent);
	task_info_set(t, info);
	call_return(c, NULL);
}

static void set_task_description(struct call *c)
{
	struct task *t = client_task(c);

	if (t == NULL || !weight_check(c, c->args)) {
		return;
	}
	struct value *info = task_info_edit(t);
	value_set(t->manager->scratch, info, F_TaskInfo_description,
		  value_get_value(c->args, A_Task_SetTaskDescription_description));
	task_info_set(t, info);
	call_return(c, NULL);
}

void task_methods_register(struct task_manager *m)
{
	struct service *s = m->service;

	service_handle(s, T_TaskManager, M_TaskManager_CreateTask, create_task, m);
	service_handle(s, T_Task, M_Task_CancelTask, cancel_task, m);
	service_handle(s, T_Task, M_Task_SetTaskState, set_task_state, m);
	service_handle(s, T_Task, M_Task_UpdateProgress, update_progress, m);
	service_handle(s, T_Task, M_Task_SetTaskDescription, set_task_description, m);
}
