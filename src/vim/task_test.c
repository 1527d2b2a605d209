/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "vim/fault.h"
#include "vim/service_fake.h"
#include "vim/task_description.h"
#include "vim/task_record.h"

static struct fake f;
static struct task_manager *manager;
static struct session *session;
static struct task *begun; /* by the last call of power_on() */

static void power_on(struct call *c)
{
	begun = task_begin(c, call_arg(c));
}

static int setup(void **state)
{
	(void)state;
	fake_setup(&f);
	manager = task_manager_new(f.service, "TaskManager");
	service_handle(f.service, T_VirtualMachine, M_VirtualMachine_PowerOnVM_Task, power_on,
		       manager);
	session = fake_session_new(&f, "alice");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_session_end(session);
	task_manager_free(manager);
	fake_teardown(&f);
	return 0;
}

static struct object *power_on_vm(struct object *vm)
{
	struct value *args =
		value_new(f.arena, schema_method(M_VirtualMachine_PowerOnVM_Task)->args);

	value_set(f.arena, args, A_VirtualMachine_PowerOnVM_Task_host, f.host[0]->ref);
	assert_true(fake_call(&f, session, vm, M_VirtualMachine_PowerOnVM_Task, args));
	return fake_result_object(&f);
}

static const struct value *info_of(struct object *task)
{
	return object_get(task, P_Task_info, NULL);
}

static size_t n_recent(struct object *entity)
{
	return value_count(object_get(entity, P_ManagedEntity_recentTask, NULL));
}

static const struct value *recent(void)
{
	return object_get(manager->object, P_TaskManager_recentTask, f.arena);
}

static void task_says_what_it_is(void **state)
{
	(void)state;
	struct object *o = power_on_vm(f.vm[0]);
	const struct value *i = info_of(o);

	assert_string_equal(value_get_str(i, F_TaskInfo_key), object_id(o));
	assert_true(value_get_value(i, F_TaskInfo_task) == o->ref);
	assert_string_equal(value_get_str(i, F_TaskInfo_name), "PowerOnVM_Task");
	assert_string_equal(value_get_str(i, F_TaskInfo_descriptionId), "VirtualMachine.powerOn");
	assert_true(value_get_value(i, F_TaskInfo_entity) == f.vm[0]->ref);
	assert_string_equal(value_get_str(i, F_TaskInfo_entityName), "edge-1");
	assert_int_equal(value_get_num(i, F_TaskInfo_state, -1), E_TaskInfoState_running);
	assert_false(value_get_bool(i, F_TaskInfo_cancelled, true));
	assert_false(value_get_bool(i, F_TaskInfo_cancelable, true));
	assert_string_equal(
		value_get_str(value_get_value(i, F_TaskInfo_reason), F_TaskReasonUser_userName),
		"alice");
	assert_int_equal(value_get_num(i, F_TaskInfo_startTime, 0), clock_wall_us(f.clock));
	assert_false(value_has(i, F_TaskInfo_completeTime));
	assert_int_equal(value_get_num(i, F_TaskInfo_eventChainId, 0), task_chain_id(begun));
	/* Arguments outlive the call. */
	assert_string_equal(value_get_str(task_args(begun), A_VirtualMachine_PowerOnVM_Task_host),
			    "host-1");
	assert_true(task_entity(begun) == f.vm[0]);
	assert_string_equal(task_user(begun), "alice");
	assert_int_equal(n_recent(f.vm[0]), 1);
	assert_int_equal(value_count(recent()), 1);
}

static size_t n_stored; /* ended tasks that storage was told of */

static void on_ended(void *arg, const struct value *info)
{
	(void)arg;
	(void)info;
	n_stored++;
}

static const struct value *history_latest(void)
{
	struct value *args =
		value_new(f.arena, schema_method(M_TaskManager_CreateCollectorForTasks)->args);

	value_set(f.arena, args, A_TaskManager_CreateCollectorForTasks_filter,
		  value_new(f.arena, T_TaskFilterSpec));
	assert_true(fake_call(&f, session, manager->object, M_TaskManager_CreateCollectorForTasks,
			      args));
	struct object *collector = fake_result_object(&f);
	args = value_new(f.arena, schema_method(M_TaskHistoryCollector_ReadNextTasks)->args);
	value_set_num(f.arena, args, A_TaskHistoryCollector_ReadNextTasks_maxCount, 100);
	assert_true(fake_call(&f, session, collector, M_TaskHistoryCollector_ReadNextTasks, args));
	return f.result;
}

/* Who knows its reference follows it like any other; nobody else sees that there is one. */
static void hidden_task_is_seen_by_its_caller(void **state)
{
	(void)state;
	n_stored = 0;
	task_listen(manager, on_ended, NULL);
	struct object *shown = power_on_vm(f.vm[0]);
	task_done(begun, NULL);
	struct object *hidden = power_on_vm(f.vm[0]);
	task_hide(begun);
	assert_int_equal(n_recent(f.vm[0]), 1);
	assert_int_equal(value_count(recent()), 1);
	assert_true(value_item(recent(), 0) == shown->ref);

	task_progress(begun, 40);
	assert_int_equal(value_get_num(info_of(hidden), F_TaskInfo_progress, -1), 40);
	task_done(begun, f.vm[0]->ref);
	assert_true(inventory_find_ref(f.inventory, hidden->ref) == hidden);
	assert_int_equal(value_get_num(info_of(hidden), F_TaskInfo_state, -1),
			 E_TaskInfoState_success);
	assert_int_equal(n_recent(f.vm[0]), 1);
	assert_int_equal(value_count(recent()), 1);
	assert_int_equal(n_stored, 1);
	const struct value *page = history_latest();
	assert_int_equal(value_count(page), 1);
	assert_string_equal(value_get_str(value_item(page, 0), F_TaskInfo_key), object_id(shown));
}

static void progress_only_grows(void **state)
{
	(void)state;
	struct object *o = power_on_vm(f.vm[0]);

	inventory_version(o->inventory); /* somebody has seen the task */
	task_progress(begun, 20);
	assert_int_equal(value_get_num(info_of(o), F_TaskInfo_progress, -1), 20);
	assert_string_equal(o->journal[o->n_journal - 1].path, "info.progress");
	uint64_t version = o->version;
	task_progress(begun, 20);
	task_progress(begun, 10);
	assert_int_equal(o->version, version);
	task_progress(begun, 1000);
	assert_int_equal(value_get_num(info_of(o), F_TaskInfo_progress, -1), 100);
}

static void task_ends_well_or_badly(void **state)
{
	(void)state;
	struct object *good = power_on_vm(f.vm[0]);
	struct task *first = begun;
	struct object *bad = power_on_vm(f.vm[1]);
	const struct error e = { .kind = ERROR_NO_SPACE, .msg = "datastore \"local\" is full" };

	clock_advance(f.clock, 5000000);
	task_progress(first, 50);
	task_done(first, f.vm[0]->ref);
	task_fail_error(begun, &e);
	const struct value *i = info_of(good);
	assert_int_equal(value_get_num(i, F_TaskInfo_state, -1), E_TaskInfoState_success);
	assert_int_equal(value_get_num(i, F_TaskInfo_progress, -1), 100);
	assert_true(value_get_value(i, F_TaskInfo_result) == f.vm[0]->ref);
	assert_int_equal(value_get_num(i, F_TaskInfo_completeTime, 0), clock_wall_us(f.clock));
	assert_int_equal(value_get_num(i, F_TaskInfo_startTime, 0),
			 clock_wall_us(f.clock) - 5000000);
	i = info_of(bad);
	assert_int_equal(value_get_num(i, F_TaskInfo_state, -1), E_TaskInfoState_error);
	const struct value *error = value_get_value(i, F_TaskInfo_error);
	assert_true(
		value_is_a(value_get_value(error, F_LocalizedMethodFault_fault), T_NoDiskSpace));
	assert_string_equal(value_get_str(error, F_LocalizedMethodFault_localizedMessage), e.msg);
	task_fail(task_begin_internal(manager, NULL, NULL, "remora.tidy", ""), NULL, "%s", "why");
}

static int n_cancelled;

static void on_cancel(void *arg)
{
	(void)arg;
	n_cancelled++;
}

static void cancel(struct object *o, bool works)
{
	assert_int_equal(fake_call(&f, session, o, M_Task_CancelTask, NULL), works);
	assert_true(works || value_is_a(f.fault, T_InvalidState));
}

static void cancelling(void **state)
{
	(void)state;
	struct object *o = power_on_vm(f.vm[0]);
	struct session *bob = fake_session_new(&f, "bob");

	n_cancelled = 0;
	cancel(o, false);
	task_set_cancel(begun, on_cancel, NULL);
	assert_true(value_get_bool(info_of(o), F_TaskInfo_cancelable, false));
	fake_hide(bob, f.vm[0]);
	assert_false(fake_call(&f, bob, o, M_Task_CancelTask, NULL));
	assert_true(value_is_a(f.fault, T_NoPermission));
	assert_int_equal(n_cancelled, 0);
	cancel(o, true);
	cancel(o, true);
	assert_int_equal(n_cancelled, 1);
	assert_true(task_is_cancelled(begun));
	task_fail(begun, fault_new(task_arena(begun), T_RequestCanceled), "cancelled");
	assert_true(value_get_bool(info_of(o), F_TaskInfo_cancelled, false));
	cancel(o, false);
	fake_session_end(bob);
}

static void finished_tasks_expire(void **state)
{
	(void)state;
	struct object *first = power_on_vm(f.vm[0]);
	char *id = mem_strdup(object_id(first));

	task_done(begun, NULL);
	clock_advance(f.clock, INT64_C(300) * 1000000);
	power_on_vm(f.vm[0]);
	task_done(begun, NULL);
	power_on_vm(f.vm[1]);
	assert_int_equal(n_recent(f.vm[0]), 2);
	assert_int_equal(value_count(recent()), 3);
	clock_advance(f.clock, INT64_C(299) * 1000000);
	assert_non_null(inventory_find(f.inventory, id));
	clock_advance(f.clock, INT64_C(2) * 1000000);
	assert_null(inventory_find(f.inventory, id));
	assert_int_equal(n_recent(f.vm[0]), 1);
	assert_int_equal(value_count(recent()), 2);
	clock_advance(f.clock, INT64_C(3000) * 1000000);
	assert_int_equal(n_recent(f.vm[0]), 0);
	assert_int_equal(value_count(recent()), 1); /* it still runs */
	free(id);
}

static void recent_tasks_are_bounded_and_filtered(void **state)
{
	(void)state;
	struct session *bob = fake_session_new(&f, "bob");

	for (int i = 0; i < 12000; i++) {
		power_on_vm(f.vm[i % 2]);
		task_done(begun, NULL);
	}
	power_on_vm(f.vm[0]);
	assert_int_equal(n_recent(f.vm[0]), TASK_RECENT_ENTITY);
	const struct value *refs = recent();
	assert_int_equal(value_count(refs), TASK_RECENT_FINISHED + 1);
	assert_true(value_item(refs, TASK_RECENT_FINISHED) == task_object(begun)->ref);
	assert_int_equal(manager->n_finished, TASK_FINISHED_MAX);
	assert_int_equal(history_end(manager->history) - history_first(manager->history),
			 TASK_HISTORY_MAX);
	fake_hide(bob, f.vm[0]);
	service_act_as(f.service, bob);
	assert_int_equal(value_count(recent()), TASK_RECENT_FINISHED / 2);
	service_act_as(f.service, NULL);
	fake_session_end(bob);
}

static void removed_entities_do_no_harm(void **state)
{
	(void)state;
	power_on_vm(f.vm[0]);
	inventory_remove(f.vm[0]);
	assert_null(task_entity(begun));
	task_progress(begun, 5);
	task_done(begun, NULL);
	clock_advance(f.clock, INT64_C(601) * 1000000);
	assert_int_equal(value_count(recent()), 0);
}

/* ---- tasks of clients ---- */

static struct object *create_task(bool cancelable)
{
	struct value *args = value_new(f.arena, schema_method(M_TaskManager_CreateTask)->args);

	value_set(f.arena, args, A_TaskManager_CreateTask_obj, f.vm[1]->ref);
	value_set_str(f.arena, args, A_TaskManager_CreateTask_taskTypeId, "com.example.copy");
	value_set_bool(f.arena, args, A_TaskManager_CreateTask_cancelable, cancelable);
	assert_true(fake_call(&f, session, manager->object, M_TaskManager_CreateTask, args));
	assert_int_equal(value_get_num(f.result, F_TaskInfo_state, -1), E_TaskInfoState_queued);
	return inventory_find_ref(f.inventory, value_get_value(f.result, F_TaskInfo_task));
}

static bool set_state(struct object *o, int to)
{
	struct value *args = value_new(f.arena, schema_method(M_Task_SetTaskState)->args);

	value_set_num(f.arena, args, A_Task_SetTaskState_state, to);
	return fake_call(&f, session, o, M_Task_SetTaskState, args);
}

static bool update_progress(struct object *o, int percent)
{
	struct value *args = value_new(f.arena, schema_method(M_Task_UpdateProgress)->args);

	value_set_num(f.arena, args, A_Task_UpdateProgress_percentDone, percent);
	return fake_call(&f, session, o, M_Task_UpdateProgress, args);
}

static void clients_run_their_own_tasks(void **state)
{
	(void)state;
	struct object *o = create_task(true);

	assert_false(update_progress(o, 5));
	assert_true(value_is_a(f.fault, T_InvalidState));
	assert_true(set_state(o, E_TaskInfoState_running));
	assert_true(update_progress(o, 5));
	assert_false(update_progress(o, 101));
	assert_true(value_is_a(f.fault, T_OutOfBounds));
	assert_int_equal(value_get_num(info_of(o), F_TaskInfo_progress, -1), 5);
	assert_false(set_state(o, E_TaskInfoState_queued));
	cancel(o, true);
	assert_true(value_get_bool(info_of(o), F_TaskInfo_cancelled, false));
	assert_false(set_state(o, E_TaskInfoState_error)); /* without a fault */
	assert_true(set_state(o, E_TaskInfoState_success));
	assert_false(set_state(o, E_TaskInfoState_running));
	cancel(o, false);
	assert_false(set_state(power_on_vm(f.vm[0]), E_TaskInfoState_success));
	assert_true(value_is_a(f.fault, T_InvalidState));
}

static void open_client_tasks_are_limited(void **state)
{
	(void)state;
	struct object *o = NULL;

	for (int i = 0; i < TASK_CLIENT_MAX; i++) {
		o = create_task(false);
	}
	struct value *args = value_new(f.arena, schema_method(M_TaskManager_CreateTask)->args);
	value_set(f.arena, args, A_TaskManager_CreateTask_obj, f.vm[1]->ref);
	value_set_str(f.arena, args, A_TaskManager_CreateTask_taskTypeId, "one.more");
	assert_false(fake_call(&f, session, manager->object, M_TaskManager_CreateTask, args));
	assert_true(value_is_a(f.fault, T_LimitExceeded));
	assert_true(set_state(o, E_TaskInfoState_success));
	create_task(false);
}

/* ---- history ---- */

static struct object *collect(struct session *s, struct value *filter)
{
	struct value *args =
		value_new(f.arena, schema_method(M_TaskManager_CreateCollectorForTasks)->args);

	value_set(f.arena, args, A_TaskManager_CreateCollectorForTasks_filter, filter);
	return fake_call(&f, s, manager->object, M_TaskManager_CreateCollectorForTasks, args)
		       ? fake_result_object(&f)
		       : NULL;
}

static size_t n_found(struct session *s, struct value *filter)
{
	struct object *collector = collect(s, filter);
	struct value *args =
		value_new(f.arena, schema_method(M_TaskHistoryCollector_ReadNextTasks)->args);

	value_set_num(f.arena, args, A_TaskHistoryCollector_ReadNextTasks_maxCount, 1000);
	assert_true(fake_call(&f, s, collector, M_TaskHistoryCollector_ReadNextTasks, args));
	size_t n = value_count(f.result);
	assert_true(fake_call(&f, s, collector, M_HistoryCollector_DestroyCollector, NULL));
	return n;
}

static struct value *by_entity(struct object *o, int recursion)
{
	struct value *filter = value_new(f.arena, T_TaskFilterSpec);
	struct value *by = value_new(f.arena, T_TaskFilterSpecByEntity);

	value_set(f.arena, by, F_TaskFilterSpecByEntity_entity, o->ref);
	value_set_num(f.arena, by, F_TaskFilterSpecByEntity_recursion, recursion);
	value_set(f.arena, filter, F_TaskFilterSpec_entity, by);
	return filter;
}

static struct value *by_state(int wanted)
{
	struct value *filter = value_new(f.arena, T_TaskFilterSpec);
	struct value *states = value_new_array(f.arena, T_TaskInfoState);

	value_push_num(f.arena, states, wanted);
	value_set(f.arena, filter, F_TaskFilterSpec_state, states);
	return filter;
}

static void history_is_filtered(void **state)
{
	(void)state;
	enum {
		SELF = E_TaskFilterSpecRecursionOption_self,
		CHILDREN = E_TaskFilterSpecRecursionOption_children,
		ALL = E_TaskFilterSpecRecursionOption_all
	};
	struct session *bob = fake_session_new(&f, "bob");
	struct value *filter;

	fake_hide(bob, f.vm[0]);
	power_on_vm(f.vm[0]);
	task_done(begun, NULL);
	power_on_vm(f.vm[1]);
	task_begin_internal(manager, f.host[0], "EnterMaintenanceMode_Task",
			    "HostSystem.enterMaintenanceMode", "");
	assert_int_equal(n_found(session, value_new(f.arena, T_TaskFilterSpec)), 3);
	assert_int_equal(n_found(bob, value_new(f.arena, T_TaskFilterSpec)), 2);
	assert_int_equal(n_found(session, by_entity(f.vm[0], SELF)), 1);
	assert_int_equal(n_found(session, by_entity(f.vm[0], CHILDREN)), 0);
	assert_int_equal(n_found(session, by_entity(f.host[0], SELF)), 1);
	assert_int_equal(n_found(session, by_entity(f.host[0], CHILDREN)), 1);
	assert_int_equal(n_found(session, by_entity(f.host[0], ALL)), 2);
	assert_int_equal(n_found(session, by_entity(f.cluster, ALL)), 3);
	assert_int_equal(n_found(session, by_entity(f.root, ALL)), 3);
	assert_int_equal(n_found(session, by_entity(f.root, SELF)), 0);
	assert_int_equal(n_found(session, by_entity(f.host[1], ALL)), 1);
	assert_int_equal(n_found(session, by_state(E_TaskInfoState_running)), 2);
	assert_int_equal(n_found(session, by_state(E_TaskInfoState_success)), 1);
	filter = value_new(f.arena, T_TaskFilterSpec);
	struct value *user = value_new(f.arena, T_TaskFilterSpecByUsername);
	value_set_bool(f.arena, user, F_TaskFilterSpecByUsername_systemUser, true);
	struct value *users = value_new_array(f.arena, T_string);
	value_push_str(f.arena, users, "nobody");
	value_set(f.arena, user, F_TaskFilterSpecByUsername_userList, users);
	value_set(f.arena, filter, F_TaskFilterSpec_userName, user);
	assert_int_equal(n_found(session, filter), 1);
	filter = value_new(f.arena, T_TaskFilterSpec);
	struct value *time = value_new(f.arena, T_TaskFilterSpecByTime);
	value_set_num(f.arena, time, F_TaskFilterSpecByTime_timeType,
		      E_TaskFilterSpecTimeOption_completedTime);
	value_set_num(f.arena, time, F_TaskFilterSpecByTime_beginTime, 1);
	value_set(f.arena, filter, F_TaskFilterSpec_time, time);
	assert_int_equal(n_found(session, filter), 1);
	filter = value_new(f.arena, T_TaskFilterSpec);
	value_set_ref(f.arena, filter, F_TaskFilterSpec_alarm, T_Alarm, "alarm-1");
	assert_null(collect(session, filter));
	assert_true(value_is_a(f.fault, T_InvalidArgument));
	fake_session_end(bob);
}

static void latest_page_lives(void **state)
{
	(void)state;
	struct object *page = collect(session, by_state(E_TaskInfoState_running));
	struct arena *a = arena_new(0);
	uint64_t version = page->version;

	assert_int_equal(value_count(object_get(page, P_TaskHistoryCollector_latestPage, a)), 0);
	power_on_vm(f.vm[0]);
	assert_true(page->version > version);
	assert_int_equal(value_count(object_get(page, P_TaskHistoryCollector_latestPage, a)), 1);
	version = page->version;
	task_done(begun, NULL);
	assert_true(page->version > version);
	assert_int_equal(value_count(object_get(page, P_TaskHistoryCollector_latestPage, a)), 0);
	arena_free(a);
}

static void ids_follow_the_wire_names(void **state)
{
	(void)state;
	static const struct {
		uint16_t type, method;
		const char *id;
	} ids[] = {
		{ T_Folder, M_Folder_CreateVM_Task, "Folder.createVm" },
		{ T_VirtualMachine, M_VirtualMachine_PowerOffVM_Task, "VirtualMachine.powerOff" },
		{ T_VirtualMachine, M_VirtualMachine_ReconfigVM_Task,
		  "VirtualMachine.reconfigure" },
		{ T_VirtualMachine, M_VirtualMachine_CreateSnapshot_Task,
		  "VirtualMachine.createSnapshot" },
		{ T_VirtualMachine, M_ManagedEntity_Destroy_Task, "VirtualMachine.destroy" },
		{ T_Datastore, M_ManagedEntity_Rename_Task, "Datastore.rename" },
		{ T_HostSystem, M_HostSystem_EnterMaintenanceMode_Task,
		  "HostSystem.enterMaintenanceMode" },
		{ T_HostSystem, M_HostSystem_RebootHost_Task, "HostSystem.reboot" },
		{ T_HostDatastoreBrowser, M_HostDatastoreBrowser_SearchDatastore_Task,
		  "host.DatastoreBrowser.search" },
		{ T_VirtualMachineSnapshot, M_VirtualMachineSnapshot_RemoveSnapshot_Task,
		  "vm.Snapshot.remove" },
		{ T_VirtualDiskManager, M_VirtualDiskManager_CreateVirtualDisk_Task,
		  "VirtualDiskManager.createVirtualDisk" },
	};
	const struct value *methods =
		value_get_value(task_description(), F_TaskDescription_methodInfo);

	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		const char *id = task_description_id(f.arena, ids[i].type, ids[i].method);
		assert_string_equal(id, ids[i].id);
		bool listed = false;
		for (size_t j = 0; j < value_count(methods) && !listed; j++) {
			listed = strcmp(value_get_str(value_item(methods, j),
						      F_ElementDescription_key),
					id) == 0;
		}
		assert_true(listed);
	}
	assert_string_equal(task_label(f.arena, "PowerOnVM_Task"), "Power on virtual machine");
	assert_string_equal(task_label(f.arena, "CreateVM_Task"), "Create virtual machine");
	assert_string_equal(task_label(f.arena, "ReconfigureDvs_Task"),
			    "Reconfigure distributed switch");
}

static void note_ended(void *arg, const struct value *info)
{
	const struct value **ended = arg;

	assert_null(*ended);
	*ended = value_hold(info);
}

static void ended_tasks_come_back(void **state)
{
	(void)state;
	const struct value *ended = NULL;

	task_listen(manager, note_ended, &ended);
	struct object *o = power_on_vm(f.vm[0]);
	assert_null(ended);
	task_done(begun, NULL);
	assert_non_null(ended);
	assert_string_equal(value_get_str(ended, F_TaskInfo_key), object_id(o));

	/* Another run: only the history knows it. */
	task_manager_free(manager);
	manager = task_manager_new(f.service, "TaskManager");
	task_restore(manager, ended);
	assert_int_equal(history_end(manager->history) - history_first(manager->history), 1);
	const struct task *back = history_item(manager->history, history_first(manager->history));
	assert_true(back->info == ended);
	assert_true(task_may_read(back, session));
	assert_null(task_object(back));
	value_drop(ended);
}

#define TASK_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TASK_TEST(task_says_what_it_is),
		TASK_TEST(hidden_task_is_seen_by_its_caller),
		TASK_TEST(progress_only_grows),
		TASK_TEST(task_ends_well_or_badly),
		TASK_TEST(cancelling),
		TASK_TEST(finished_tasks_expire),
		TASK_TEST(recent_tasks_are_bounded_and_filtered),
		TASK_TEST(removed_entities_do_no_harm),
		TASK_TEST(clients_run_their_own_tasks),
		TASK_TEST(open_client_tasks_are_limited),
		TASK_TEST(history_is_filtered),
		TASK_TEST(latest_page_lives),
		TASK_TEST(ended_tasks_come_back),
		TASK_TEST(ids_follow_the_wire_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
