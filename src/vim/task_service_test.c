/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks and events as a client sees them: through SOAP, with the real service and sessions. */
#include "vim/task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "vim/authorization.h"
#include "vim/rig.h"

static struct event_manager *events;
static struct task_manager *tasks;
static struct task *begun;

/* One call; `args` is what stands beside _this. */
static void ask(struct rig *r, const char *method, const char *type, const char *id,
		const char *args)
{
	char *content = mem_printf("<%s xmlns=\"urn:vim25\"><_this type=\"%s\">%s</_this>%s</%s>",
				   method, type, id, args, method);

	rig_post(r, r->cookie[0] == '\0' ? NULL : r->cookie, content);
	free(content);
	rig_wait(r);
}

/* Text of the answer's first element of that name, in a buffer of its own. */
static char *element(const struct rig *r, const char *name)
{
	char *open = mem_printf("<%s", name), *close = mem_printf("</%s>", name);
	const char *from = strstr(r->body, open);
	const char *text = from == NULL ? NULL : strchr(from, '>');
	const char *to = text == NULL ? NULL : strstr(text, close);

	free(open);
	free(close);
	return to == NULL ? mem_strdup("") : mem_strndup(text + 1, (size_t)(to - text - 1));
}

static void rename_folder(struct call *c)
{
	begun = task_begin(c, tasks);
}

static int setup(void **state)
{
	struct rig *r = rig_new_bare(NULL);

	events = event_manager_new(r->service, "EventManager");
	tasks = task_manager_new(r->service, "TaskManager");
	task_manager_post_events(tasks, events);
	service_handle(r->service, T_Folder, M_ManagedEntity_Rename_Task, rename_folder, NULL);
	ask(r, "Login", "SessionManager", "SessionManager",
	    "<userName>root</userName><password>secret</password>");
	assert_true(rig_answered(r, 200, "<LoginResponse"));
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	task_manager_free(tasks);
	event_manager_free(events);
	rig_free(*state);
	return 0;
}

static void task_from_call_to_result(void **state)
{
	struct rig *r = *state;

	ask(r, "Rename_Task", "Folder", "group-d1", "<newName>Rechenzentren</newName>");
	assert_true(rig_answered(r, 200, "type=\"Task\""));
	char *id = element(r, "returnval");
	assert_string_equal(value_get_str(task_args(begun), A_ManagedEntity_Rename_Task_newName),
			    "Rechenzentren");
	ask(r, "Fetch", "Task", id, "<prop>info</prop>");
	assert_true(rig_answered(r, 200, "<descriptionId>Folder.rename</descriptionId>"));
	assert_true(rig_answered(r, 200, "<state>running</state>"));
	assert_true(rig_answered(r, 200, "xsi:type=\"TaskReasonUser\""));
	ask(r, "CancelTask", "Task", id, "");
	assert_true(rig_answered(r, 500, "InvalidStateFault"));
	task_done(begun, r->root->ref);
	ask(r, "Fetch", "Task", id, "<prop>info</prop>");
	assert_true(rig_answered(r, 200, "<state>success</state>"));
	assert_true(rig_answered(r, 200, ">group-d1</result>"));
	ask(r, "Fetch", "TaskManager", "TaskManager", "<prop>recentTask</prop>");
	assert_true(rig_answered(r, 200, id));
	ask(r, "Fetch", "TaskManager", "TaskManager", "<prop>description</prop>");
	assert_true(rig_answered(r, 200, "<key>VirtualMachine.powerOn</key>"));
	free(id);
}

static void histories_through_collectors(void **state)
{
	struct rig *r = *state;

	ask(r, "Rename_Task", "Folder", "group-d1", "<newName>A</newName>");
	task_done(begun, NULL);
	ask(r, "LogUserEvent", "EventManager", "EventManager",
	    "<entity type=\"Folder\">group-d1</entity><msg>hello &amp; bye</msg>");
	assert_true(rig_answered(r, 200, "<LogUserEventResponse"));
	ask(r, "CreateCollectorForEvents", "EventManager", "EventManager",
	    "<filter><entity><entity type=\"Folder\">group-d1</entity>"
	    "<recursion>all</recursion></entity></filter>");
	char *id = element(r, "returnval");
	ask(r, "SetCollectorPageSize", "EventHistoryCollector", id, "<maxCount>1</maxCount>");
	assert_true(rig_answered(r, 200, "<SetCollectorPageSizeResponse"));
	ask(r, "Fetch", "EventHistoryCollector", id, "<prop>latestPage</prop>");
	assert_true(rig_answered(r, 200, "User logged event: hello &amp; bye"));
	assert_null(strstr(r->body, "TaskEvent"));
	ask(r, "ReadNextEvents", "EventHistoryCollector", id, "<maxCount>1</maxCount>");
	assert_true(rig_answered(r, 200, "xsi:type=\"TaskEvent\""));
	ask(r, "ReadNextTasks", "EventHistoryCollector", id, "<maxCount>1</maxCount>");
	assert_true(rig_answered(r, 500, "MethodNotFound"));
	ask(r, "QueryEvents", "EventManager", "EventManager",
	    "<filter><eventTypeId>GeneralUserEvent</eventTypeId></filter>");
	assert_true(rig_answered(r, 200, "<message>hello &amp; bye</message>"));
	free(id);
	ask(r, "CreateCollectorForTasks", "TaskManager", "TaskManager", "<filter></filter>");
	id = element(r, "returnval");
	ask(r, "ReadNextTasks", "TaskHistoryCollector", id, "<maxCount>10</maxCount>");
	assert_true(rig_answered(r, 200, "<name>Rename_Task</name>"));
	assert_non_null(inventory_find(r->inventory, id));
	ask(r, "Logout", "SessionManager", "SessionManager", "");
	assert_true(rig_answered(r, 200, "<LogoutResponse"));
	assert_null(inventory_find(r->inventory, id));
	free(id);
}

/* Gives a new user a role on an entity and logs in as that. */
static void become(struct rig *r, const char *user, const char *entity, int32_t role)
{
	struct authorization *a = session_authorization(r->sessions);
	struct permission_vec all = authorization_copy(a);
	struct error e = { 0 };
	char *credentials = mem_printf("<userName>%s</userName><password>x</password>", user);

	assert_true(user_set(r->users, user, "x", NULL, &e));
	const struct permission p = { .entity = (char *)(uintptr_t)entity,
				      .principal = (char *)(uintptr_t)user,
				      .role = role,
				      .is_propagating = true };
	permission_add(&all, &p);
	assert_true(authorization_replace(a, &all, &e));
	r->cookie[0] = '\0';
	ask(r, "Login", "SessionManager", "SessionManager", credentials);
	assert_true(rig_answered(r, 200, "<LoginResponse"));
	free(credentials);
}

static void tasks_are_for_those_who_may_read_them(void **state)
{
	struct rig *r = *state;
	struct object *sub = inventory_add(r->inventory, T_Folder, "group-1", NULL, NULL);
	struct object *open = inventory_add(r->inventory, T_Folder, "group-2", NULL, NULL);

	inventory_set_ref(sub, P_ManagedEntity_parent, r->root);
	inventory_set_ref(open, P_ManagedEntity_parent, r->root);
	ask(r, "Rename_Task", "Folder", "group-1", "<newName>secret</newName>");
	char *id = element(r, "returnval");
	become(r, "guest", "group-2", ROLE_ADMIN);
	ask(r, "Fetch", "Task", id, "<prop>info</prop>");
	assert_true(rig_answered(r, 500, "NoPermission"));
	/* Not even when nobody can say any more what it was about. */
	inventory_remove(sub);
	ask(r, "Fetch", "Task", id, "<prop>info</prop>");
	assert_true(rig_answered(r, 500, "NoPermission"));
	free(id);
	/* But one's own, to the end. */
	ask(r, "Rename_Task", "Folder", "group-2", "<newName>mine</newName>");
	id = element(r, "returnval");
	inventory_remove(open);
	ask(r, "Fetch", "Task", id, "<prop>info</prop>");
	assert_true(rig_answered(r, 200, "<state>running</state>"));
	free(id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(task_from_call_to_result, setup, teardown),
		cmocka_unit_test_setup_teardown(histories_through_collectors, setup, teardown),
		cmocka_unit_test_setup_teardown(tasks_are_for_those_who_may_read_them, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
