/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "vim/event_catalog.h"
#include "vim/event_record.h"
#include "vim/service_fake.h"
#include "vim/task.h"

static struct fake f;
static struct event_manager *manager;
static struct session *session;

static int setup(void **state)
{
	(void)state;
	fake_setup(&f);
	manager = event_manager_new(f.service, "EventManager");
	session = fake_session_new(&f, "alice");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_session_end(session);
	event_manager_free(manager);
	fake_teardown(&f);
	return 0;
}

static int32_t post(uint16_t type, struct object *entity, const char *user)
{
	struct arena *a = arena_new(0);
	int32_t key = event_post(manager, a, value_new(a, type), entity, user, "%s happened",
				 schema_type_name(type));

	arena_free(a);
	return key;
}

static const struct value *latest(void)
{
	return object_get(manager->object, P_EventManager_latestEvent, f.arena);
}

static struct value *filter_new(void)
{
	return value_new(f.arena, T_EventFilterSpec);
}

static bool query(struct session *s, struct value *filter)
{
	struct value *args = value_new(f.arena, schema_method(M_EventManager_QueryEvents)->args);

	value_set(f.arena, args, A_EventManager_QueryEvents_filter, filter);
	return fake_call(&f, s, manager->object, M_EventManager_QueryEvents, args);
}

static size_t n_found(struct session *s, struct value *filter)
{
	assert_true(query(s, filter));
	return value_count(f.result);
}

static void check_argument(const struct value *event, unsigned field, const char *name,
			   const struct object *o)
{
	const struct value *arg = value_get_value(event, field);

	assert_string_equal(value_get_str(arg, F_EntityEventArgument_name), name);
	assert_true(value_get_value(arg, F_EntityEventArgument_name + 1) == o->ref);
}

static void arguments_are_filled_in(void **state)
{
	(void)state;
	assert_null(latest());
	assert_int_equal(post(T_VmPoweredOnEvent, f.vm[0], "alice"), 1);
	const struct value *e = latest();
	assert_int_equal(value_get_num(e, F_Event_key, 0), 1);
	assert_int_equal(value_get_num(e, F_Event_chainId, 0), 1);
	assert_int_equal(value_get_num(e, F_Event_createdTime, 0), clock_wall_us(f.clock));
	assert_string_equal(value_get_str(e, F_Event_userName), "alice");
	assert_string_equal(value_get_str(e, F_Event_fullFormattedMessage),
			    "VmPoweredOnEvent happened");
	check_argument(e, F_Event_vm, "edge-1", f.vm[0]);
	check_argument(e, F_Event_host, "H0", f.host[0]);
	check_argument(e, F_Event_computeResource, "C0", f.cluster);
	check_argument(e, F_Event_datacenter, "DC0", f.dc);
	assert_false(value_has(e, F_Event_ds));
	assert_true(value_has(e, F_VmEvent_template));
	assert_int_equal(post(T_HostConnectedEvent, f.host[1], ""), 2);
	check_argument(latest(), F_Event_host, "H1", f.host[1]);
	assert_false(value_has(latest(), F_Event_vm));
	assert_int_equal(post(T_DatastoreIORMReconfiguredEvent, f.datastore, ""), 3);
	check_argument(latest(), F_Event_ds, "local", f.datastore);
	assert_int_equal(post(T_UserLoginSessionEvent, NULL, "bob"), 4);
	assert_false(value_has(latest(), F_Event_datacenter));
}

static struct value *by_entity(struct object *o, int recursion)
{
	struct value *filter = filter_new();
	struct value *by = value_new(f.arena, T_EventFilterSpecByEntity);

	value_set(f.arena, by, F_EventFilterSpecByEntity_entity, o->ref);
	value_set_num(f.arena, by, F_EventFilterSpecByEntity_recursion, recursion);
	value_set(f.arena, filter, F_EventFilterSpec_entity, by);
	return filter;
}

static struct value *by_text(unsigned field, const char *text)
{
	struct value *filter = filter_new();
	struct value *list = value_new_array(f.arena, T_string);

	value_push_str(f.arena, list, text);
	value_set(f.arena, filter, field, list);
	return filter;
}

enum {
	SELF = E_EventFilterSpecRecursionOption_self,
	CHILDREN = E_EventFilterSpecRecursionOption_children,
	ALL = E_EventFilterSpecRecursionOption_all
};

static void post_some(void)
{
	post(T_VmPoweredOnEvent, f.vm[0], "alice");
	post(T_VmFailedToPowerOnEvent, f.vm[1], "bob");
	post(T_HostConnectionLostEvent, f.host[0], "");
	post(T_UserLoginSessionEvent, NULL, "bob");
}

static void query_selects_by_entity(void **state)
{
	(void)state;
	post_some();
	assert_int_equal(n_found(session, filter_new()), 4);
	assert_int_equal(value_get_num(value_item(f.result, 0), F_Event_key, 0), 1);
	/* A login concerns no entity: it is the whole inventory's. */
	assert_int_equal(n_found(session, by_entity(f.root, ALL)), 4);
	assert_int_equal(n_found(session, by_entity(f.root, SELF)), 0);
	assert_int_equal(n_found(session, by_entity(f.cluster, ALL)), 3);
	assert_int_equal(n_found(session, by_entity(f.host[0], ALL)), 2);
	assert_int_equal(n_found(session, by_entity(f.host[0], SELF)), 1);
	assert_int_equal(n_found(session, by_entity(f.host[0], CHILDREN)), 1);
	assert_int_equal(n_found(session, by_entity(f.vm_folder, ALL)), 2);
	assert_int_equal(n_found(session, by_entity(f.datastore, ALL)), 0);
	/* What a removed VM did is still told where it was. */
	inventory_remove(f.vm[0]);
	assert_int_equal(n_found(session, by_entity(f.vm_folder, ALL)), 2);
	assert_int_equal(n_found(session, by_entity(f.host[0], ALL)), 2);
}

static void query_selects_by_the_rest(void **state)
{
	(void)state;
	post_some();
	assert_int_equal(
		n_found(session, by_text(F_EventFilterSpec_eventTypeId, "VmPoweredOnEvent")), 1);
	assert_int_equal(n_found(session, by_text(F_EventFilterSpec_eventTypeId,
						  "vim.event.HostConnectionLostEvent")),
			 1);
	assert_int_equal(n_found(session, by_text(F_EventFilterSpec_type, "VmEvent")), 2);
	assert_int_equal(n_found(session, by_text(F_EventFilterSpec_type, "NoSuchEvent")), 0);
	assert_int_equal(n_found(session, by_text(F_EventFilterSpec_category, "error")), 2);
	assert_int_equal(n_found(session, by_text(F_EventFilterSpec_category, "info")), 2);
	struct value *filter = filter_new();
	value_set_num(f.arena, filter, F_EventFilterSpec_maxCount, 2);
	assert_int_equal(n_found(session, filter), 2);
	assert_int_equal(value_get_num(value_item(f.result, 1), F_Event_key, 0), 4);
	filter = filter_new();
	value_set_num(f.arena, filter, F_EventFilterSpec_eventChainId, 2);
	assert_int_equal(n_found(session, filter), 1);
	filter = filter_new();
	struct value *user = value_new(f.arena, T_EventFilterSpecByUsername);
	value_set_bool(f.arena, user, F_EventFilterSpecByUsername_systemUser, false);
	value_set(f.arena, filter, F_EventFilterSpec_userName, user);
	assert_int_equal(n_found(session, filter), 3);
	filter = filter_new();
	struct value *time = value_new(f.arena, T_EventFilterSpecByTime);
	value_set_num(f.arena, time, F_EventFilterSpecByTime_beginTime, clock_wall_us(f.clock) + 1);
	value_set(f.arena, filter, F_EventFilterSpec_time, time);
	assert_int_equal(n_found(session, filter), 0);
	filter = filter_new();
	value_set_bool(f.arena, filter, F_EventFilterSpec_disableFullMessage, true);
	assert_int_equal(n_found(session, filter), 4);
	assert_false(value_has(value_item(f.result, 0), F_Event_fullFormattedMessage));
}

static void query_refuses_what_it_cannot(void **state)
{
	(void)state;
	struct value *filter = filter_new();

	value_set_ref(f.arena, filter, F_EventFilterSpec_alarm, T_Alarm, "alarm-1");
	assert_false(query(session, filter));
	assert_true(value_is_a(f.fault, T_InvalidArgument));
	assert_false(query(session, by_text(F_EventFilterSpec_tag, "x")));
	assert_false(query(session, by_text(F_EventFilterSpec_category, "bad")));
	filter = filter_new();
	value_set_num(f.arena, filter, F_EventFilterSpec_maxCount, 0);
	assert_false(query(session, filter));
	inventory_remove(f.vm[0]);
	filter = filter_new();
	struct value *by = value_new(f.arena, T_EventFilterSpecByEntity);
	value_set_ref(f.arena, by, F_EventFilterSpecByEntity_entity, T_VirtualMachine, "vm-1");
	value_set_num(f.arena, by, F_EventFilterSpecByEntity_recursion, SELF);
	value_set(f.arena, filter, F_EventFilterSpec_entity, by);
	assert_false(query(session, filter));
	assert_true(value_is_a(f.fault, T_ManagedObjectNotFound));
}

static void hidden_entities_keep_their_events(void **state)
{
	(void)state;
	struct session *bob = fake_session_new(&f, "bob");

	fake_hide(bob, f.vm[0]);
	fake_hide(bob, f.root);
	post_some();
	assert_int_equal(n_found(bob, filter_new()), 2);
	service_act_as(f.service, bob);
	assert_null(latest());
	service_act_as(f.service, NULL);
	fake_session_end(bob);
}

static void latest_page_follows(void **state)
{
	(void)state;
	struct value *args =
		value_new(f.arena, schema_method(M_EventManager_CreateCollectorForEvents)->args);
	struct arena *a = arena_new(0);

	value_set(f.arena, args, A_EventManager_CreateCollectorForEvents_filter,
		  by_entity(f.host[0], ALL));
	assert_true(fake_call(&f, session, manager->object, M_EventManager_CreateCollectorForEvents,
			      args));
	struct object *page = fake_result_object(&f);
	assert_memory_equal(object_id(page), "session[", 8);
	assert_true(value_is_a(object_get(page, P_HistoryCollector_filter, a), T_EventFilterSpec));
	const struct value *events = object_get(page, P_EventHistoryCollector_latestPage, a);
	assert_non_null(events);
	assert_int_equal(value_count(events), 0);
	uint64_t version = page->version;
	post(T_VmPoweredOnEvent, f.vm[1], "alice");
	assert_int_equal(page->version, version);
	post(T_VmPoweredOnEvent, f.vm[0], "alice");
	post(T_VmPoweredOffEvent, f.vm[0], "alice");
	assert_true(page->version > version);
	events = object_get(page, P_EventHistoryCollector_latestPage, a);
	assert_int_equal(value_count(events), 2);
	assert_true(value_is_a(value_item(events, 0), T_VmPoweredOffEvent));
	arena_free(a);
}

static bool log_user_event(struct session *s, struct object *o, const char *text)
{
	struct value *args = value_new(f.arena, schema_method(M_EventManager_LogUserEvent)->args);

	value_set(f.arena, args, A_EventManager_LogUserEvent_entity, o->ref);
	value_set_str(f.arena, args, A_EventManager_LogUserEvent_msg, text);
	return fake_call(&f, s, manager->object, M_EventManager_LogUserEvent, args);
}

static bool post_event(struct value *event)
{
	struct value *args = value_new(f.arena, schema_method(M_EventManager_PostEvent)->args);

	value_set(f.arena, args, A_EventManager_PostEvent_eventToPost, event);
	return fake_call(&f, session, manager->object, M_EventManager_PostEvent, args);
}

static void clients_post_events(void **state)
{
	(void)state;
	struct session *bob = fake_session_new(&f, "bob");
	char *long_text = mem_zalloc(100001);

	assert_true(log_user_event(session, f.vm_folder, "hello"));
	assert_true(value_is_a(latest(), T_GeneralUserEvent));
	assert_string_equal(value_get_str(latest(), F_GeneralEvent_message), "hello");
	assert_string_equal(value_get_str(latest(), F_Event_userName), "alice");
	assert_int_equal(n_found(session, by_entity(f.vm_folder, SELF)), 1);
	fake_hide(bob, f.vm_folder);
	assert_false(log_user_event(bob, f.vm_folder, "hello"));
	assert_true(value_is_a(f.fault, T_NoPermission));
	memset(long_text, 'x', 100000);
	assert_false(log_user_event(session, f.vm_folder, long_text));
	assert_true(value_is_a(f.fault, T_InvalidArgument));

	struct value *event = value_new(f.arena, T_EventEx);
	value_set_num(f.arena, event, F_Event_key, 77);
	value_set_str(f.arena, event, F_Event_userName, "root");
	value_set_str(f.arena, event, F_EventEx_eventTypeId, "com.example.fire");
	value_set_str(f.arena, event, F_EventEx_severity, "warning");
	value_set_str(f.arena, event, F_EventEx_message, "fire");
	value_set(f.arena, event, F_Event_vm, event_argument(f.arena, T_VmEventArgument, f.vm[0]));
	assert_true(post_event(event));
	assert_int_equal(value_get_num(latest(), F_Event_key, 0), 2);
	assert_string_equal(value_get_str(latest(), F_Event_userName), "alice");
	assert_string_equal(value_get_str(latest(), F_Event_fullFormattedMessage), "fire");
	assert_int_equal(
		n_found(session, by_text(F_EventFilterSpec_eventTypeId, "com.example.fire")), 1);
	assert_int_equal(n_found(session, by_text(F_EventFilterSpec_category, "warning")), 1);
	event = value_new(f.arena, T_VmPoweredOnEvent);
	struct value *vm = value_new(f.arena, T_VmEventArgument);
	value_set_str(f.arena, vm, F_EntityEventArgument_name, "ghost");
	value_set_ref(f.arena, vm, F_VmEventArgument_vm, T_VirtualMachine, "vm-77");
	value_set(f.arena, event, F_Event_vm, vm);
	assert_false(post_event(event));
	assert_true(value_is_a(f.fault, T_InvalidEvent));
	free(long_text);
	fake_session_end(bob);
}

static int n_heard;

static void on_event(void *arg, const struct value *event)
{
	(void)arg;
	assert_true(value_is_kept(event));
	n_heard++;
}

static void events_are_bounded_and_restored(void **state)
{
	(void)state;
	struct arena *a = arena_new(0);
	struct value *old = value_new(a, T_HostAddedEvent);

	n_heard = 0;
	event_listen(manager, on_event, NULL);
	value_set_num(a, old, F_Event_key, 5000);
	value_set_str(a, old, F_Event_userName, "");
	value_set(a, old, F_Event_host, event_argument(a, T_HostEventArgument, f.host[1]));
	event_restore(manager, old);
	assert_int_equal(n_heard, 0);
	assert_int_equal(n_found(session, by_entity(f.cluster, CHILDREN)), 1);
	assert_int_equal(event_next_key(manager), 5001);
	for (int i = 0; i < EVENT_HISTORY_MAX; i++) {
		post(T_VmPoweredOnEvent, f.vm[i % 2], "alice");
	}
	assert_int_equal(n_heard, EVENT_HISTORY_MAX);
	assert_int_equal(history_first(manager->history), 1);
	assert_int_equal(n_found(session, filter_new()), EVENT_QUERY_MAX);
	arena_free(a);
}

static void tasks_post_events(void **state)
{
	(void)state;
	struct task_manager *tasks = task_manager_new(f.service, "TaskManager");

	task_manager_post_events(tasks, manager);
	post(T_HostAddedEvent, f.host[0], "");
	struct task *t = task_begin_internal(tasks, f.vm[0], "PowerOnVM_Task",
					     "VirtualMachine.powerOn", "alice");
	assert_int_equal(task_chain_id(t), 2);
	assert_int_equal(value_get_num(latest(), F_Event_chainId, 0), 2);
	assert_string_equal(value_get_str(latest(), F_Event_fullFormattedMessage),
			    "Task: Power on virtual machine");
	assert_int_equal(n_found(session, by_entity(f.vm[0], SELF)), 1);
	task_done(t, NULL);
	task_manager_free(tasks);
}

static void catalogue_knows_every_type(void **state)
{
	(void)state;
	const struct value *details =
		value_get_value(event_catalog(), F_EventDescription_eventInfo);
	bool seen = false;

	assert_true(value_count(details) > 400);
	for (size_t i = 0; i < value_count(details); i++) {
		const struct value *d = value_item(details, i);
		const char *key = value_get_str(d, F_EventDescriptionEventDetail_key);
		const char *category = value_get_str(d, F_EventDescriptionEventDetail_category);
		assert_true(schema_enum_find(T_EventCategory, category, strlen(category)) >= 0);
		if (strcmp(key, "VmPoweredOnEvent") == 0) {
			seen = true;
			assert_string_equal(
				value_get_str(d, F_EventDescriptionEventDetail_description),
				"Virtual machine powered on");
			assert_string_equal(
				value_get_str(d, F_EventDescriptionEventDetail_fullFormat),
				"Virtual machine powered on: {vm.name} on {host.name} in "
				"{datacenter.name}");
		}
	}
	assert_true(seen);
	struct value *args =
		value_new(f.arena, schema_method(M_EventManager_RetrieveArgumentDescription)->args);
	value_set_str(f.arena, args, A_EventManager_RetrieveArgumentDescription_eventTypeId,
		      "VmRenamedEvent");
	assert_true(fake_call(&f, session, manager->object,
			      M_EventManager_RetrieveArgumentDescription, args));
	const struct value *last = value_item(f.result, value_count(f.result) - 1);
	assert_string_equal(value_get_str(last, F_EventArgDesc_name), "newName");
	assert_string_equal(value_get_str(last, F_EventArgDesc_type), "string");
}

#define EVENT_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EVENT_TEST(arguments_are_filled_in),
		EVENT_TEST(query_selects_by_entity),
		EVENT_TEST(query_selects_by_the_rest),
		EVENT_TEST(query_refuses_what_it_cannot),
		EVENT_TEST(hidden_entities_keep_their_events),
		EVENT_TEST(latest_page_follows),
		EVENT_TEST(clients_post_events),
		EVENT_TEST(events_are_bounded_and_restored),
		EVENT_TEST(tasks_post_events),
		EVENT_TEST(catalogue_knows_every_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
