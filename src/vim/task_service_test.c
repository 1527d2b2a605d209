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
#include "vim/session.h"

struct fixture {
	uv_loop_t loop;
	struct clock *clock;
	struct inventory *inventory;
	struct service *service;
	struct user_store *users;
	struct session_manager *sessions;
	struct event_manager *events;
	struct task_manager *tasks;
	struct object *folder;
	struct task *begun;
	struct service_reply reply;
	int status; /* 0: no answer yet */
	char *body;
	char cookie[64];
};

static void take_answer(struct service_reply *r, int status, struct buf *body)
{
	struct fixture *f = CONTAINER_OF(r, struct fixture, reply);

	f->status = status;
	free(f->body);
	f->body = buf_take(body);
}

static void take_cookie(struct service_reply *r, const char *key)
{
	struct fixture *f = CONTAINER_OF(r, struct fixture, reply);

	snprintf(f->cookie, sizeof(f->cookie), "%s", key);
}

/* One call; `args` is what stands beside _this. */
static void ask(struct fixture *f, const char *method, const char *type, const char *id,
		const char *args)
{
	char *body = mem_printf("<Envelope xmlns=\"http://schemas.xmlsoap.org/soap/envelope/\">"
				"<Body><%s xmlns=\"urn:vim25\"><_this type=\"%s\">%s</_this>%s"
				"</%s></Body></Envelope>",
				method, type, id, args, method);
	struct service_request in = { .body = body,
				      .len = strlen(body),
				      .session_key = f->cookie[0] == '\0' ? NULL : f->cookie,
				      .peer = "127.0.0.1",
				      .reply = &f->reply };

	f->status = 0;
	service_request(f->service, &in);
	free(body);
	for (int i = 0; i < 100000 && f->status == 0; i++) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
}

/* Text of the answer's first element of that name, in a buffer of its own. */
static char *element(const struct fixture *f, const char *name)
{
	char *open = mem_printf("<%s", name), *close = mem_printf("</%s>", name);
	const char *from = strstr(f->body, open);
	const char *text = from == NULL ? NULL : strchr(from, '>');
	const char *to = text == NULL ? NULL : strstr(text, close);

	free(open);
	free(close);
	return to == NULL ? mem_strdup("") : mem_strndup(text + 1, (size_t)(to - text - 1));
}

static bool answered(const struct fixture *f, int status, const char *part)
{
	bool ok = f->status == status && strstr(f->body, part) != NULL;

	if (!ok) {
		print_error("status %d, not %d with %s: %s\n", f->status, status, part,
			    f->body == NULL ? "" : f->body);
	}
	return ok;
}

static void rename_folder(struct call *c)
{
	struct fixture *f = call_arg(c);

	f->begun = task_begin(c, f->tasks);
}

static int setup(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));
	struct error e = { 0 };

	uv_loop_init(&f->loop);
	f->clock = clock_manual_new(INT64_C(1700000000) * 1000000);
	f->inventory = inventory_new(f->clock);
	const struct service_config config = { .loop = &f->loop,
					       .clock = f->clock,
					       .inventory = f->inventory,
					       .instance_id = "ServiceInstance",
					       .root_folder_id = "group-d1" };
	f->service = service_new(&config);
	f->users = user_store_open(NULL, &e);
	assert_true(user_set(f->users, "root", "secret", NULL, &e));
	const struct session_config sessions = { .id = "SessionManager",
						 .authorization_id = "AuthorizationManager",
						 .directory_id = "UserDirectory",
						 .users = f->users };
	f->sessions = session_manager_new(f->service, &sessions);
	f->events = event_manager_new(f->service, "EventManager");
	f->tasks = task_manager_new(f->service, "TaskManager");
	task_manager_post_events(f->tasks, f->events);
	f->folder = inventory_add(f->inventory, T_Folder, "group-d1", NULL, NULL);
	inventory_set_str(f->folder, P_ManagedEntity_name, "Datacenters");
	service_handle(f->service, T_Folder, M_ManagedEntity_Rename_Task, rename_folder, f);
	f->reply = (struct service_reply){ .send = take_answer, .cookie = take_cookie };
	ask(f, "Login", "SessionManager", "SessionManager",
	    "<userName>root</userName><password>secret</password>");
	assert_true(answered(f, 200, "<LoginResponse"));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	task_manager_free(f->tasks);
	event_manager_free(f->events);
	session_manager_free(f->sessions);
	service_free(f->service);
	user_store_free(f->users);
	inventory_free(f->inventory);
	clock_manual_free(f->clock);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	free(f->body);
	free(f);
	return 0;
}

static void task_from_call_to_result(void **state)
{
	struct fixture *f = *state;

	ask(f, "Rename_Task", "Folder", "group-d1", "<newName>Rechenzentren</newName>");
	assert_true(answered(f, 200, "type=\"Task\""));
	char *id = element(f, "returnval");
	assert_string_equal(value_get_str(task_args(f->begun), A_ManagedEntity_Rename_Task_newName),
			    "Rechenzentren");
	ask(f, "Fetch", "Task", id, "<prop>info</prop>");
	assert_true(answered(f, 200, "<descriptionId>Folder.rename</descriptionId>"));
	assert_true(answered(f, 200, "<state>running</state>"));
	assert_true(answered(f, 200, "xsi:type=\"TaskReasonUser\""));
	ask(f, "CancelTask", "Task", id, "");
	assert_true(answered(f, 500, "InvalidStateFault"));
	task_done(f->begun, f->folder->ref);
	ask(f, "Fetch", "Task", id, "<prop>info</prop>");
	assert_true(answered(f, 200, "<state>success</state>"));
	assert_true(answered(f, 200, ">group-d1</result>"));
	ask(f, "Fetch", "TaskManager", "TaskManager", "<prop>recentTask</prop>");
	assert_true(answered(f, 200, id));
	ask(f, "Fetch", "TaskManager", "TaskManager", "<prop>description</prop>");
	assert_true(answered(f, 200, "<key>VirtualMachine.powerOn</key>"));
	free(id);
}

static void histories_through_collectors(void **state)
{
	struct fixture *f = *state;

	ask(f, "Rename_Task", "Folder", "group-d1", "<newName>A</newName>");
	task_done(f->begun, NULL);
	ask(f, "LogUserEvent", "EventManager", "EventManager",
	    "<entity type=\"Folder\">group-d1</entity><msg>hello &amp; bye</msg>");
	assert_true(answered(f, 200, "<LogUserEventResponse"));
	ask(f, "CreateCollectorForEvents", "EventManager", "EventManager",
	    "<filter><entity><entity type=\"Folder\">group-d1</entity>"
	    "<recursion>all</recursion></entity></filter>");
	char *id = element(f, "returnval");
	ask(f, "SetCollectorPageSize", "EventHistoryCollector", id, "<maxCount>1</maxCount>");
	assert_true(answered(f, 200, "<SetCollectorPageSizeResponse"));
	ask(f, "Fetch", "EventHistoryCollector", id, "<prop>latestPage</prop>");
	assert_true(answered(f, 200, "User logged event: hello &amp; bye"));
	assert_null(strstr(f->body, "TaskEvent"));
	ask(f, "ReadNextEvents", "EventHistoryCollector", id, "<maxCount>1</maxCount>");
	assert_true(answered(f, 200, "xsi:type=\"TaskEvent\""));
	ask(f, "ReadNextTasks", "EventHistoryCollector", id, "<maxCount>1</maxCount>");
	assert_true(answered(f, 500, "MethodNotFound"));
	ask(f, "QueryEvents", "EventManager", "EventManager",
	    "<filter><eventTypeId>GeneralUserEvent</eventTypeId></filter>");
	assert_true(answered(f, 200, "<message>hello &amp; bye</message>"));
	free(id);
	ask(f, "CreateCollectorForTasks", "TaskManager", "TaskManager", "<filter></filter>");
	id = element(f, "returnval");
	ask(f, "ReadNextTasks", "TaskHistoryCollector", id, "<maxCount>10</maxCount>");
	assert_true(answered(f, 200, "<name>Rename_Task</name>"));
	assert_non_null(inventory_find(f->inventory, id));
	ask(f, "Logout", "SessionManager", "SessionManager", "");
	assert_true(answered(f, 200, "<LogoutResponse"));
	assert_null(inventory_find(f->inventory, id));
	free(id);
}

/* Gives a new user a role on an entity and logs in as that. */
static void become(struct fixture *f, const char *user, const char *entity, int32_t role)
{
	struct authorization *a = session_authorization(f->sessions);
	struct permission_vec all = authorization_copy(a);
	struct error e = { 0 };
	char *credentials = mem_printf("<userName>%s</userName><password>x</password>", user);

	assert_true(user_set(f->users, user, "x", NULL, &e));
	const struct permission p = { .entity = (char *)(uintptr_t)entity,
				      .principal = (char *)(uintptr_t)user,
				      .role = role,
				      .is_propagating = true };
	permission_add(&all, &p);
	assert_true(authorization_replace(a, &all, &e));
	f->cookie[0] = '\0';
	ask(f, "Login", "SessionManager", "SessionManager", credentials);
	assert_true(answered(f, 200, "<LoginResponse"));
	free(credentials);
}

static void tasks_are_for_those_who_may_read_them(void **state)
{
	struct fixture *f = *state;
	struct object *sub = inventory_add(f->inventory, T_Folder, "group-1", NULL, NULL);
	struct object *open = inventory_add(f->inventory, T_Folder, "group-2", NULL, NULL);

	inventory_set_ref(sub, P_ManagedEntity_parent, f->folder);
	inventory_set_ref(open, P_ManagedEntity_parent, f->folder);
	ask(f, "Rename_Task", "Folder", "group-1", "<newName>secret</newName>");
	char *id = element(f, "returnval");
	become(f, "guest", "group-2", ROLE_ADMIN);
	ask(f, "Fetch", "Task", id, "<prop>info</prop>");
	assert_true(answered(f, 500, "NoPermission"));
	/* Not even when nobody can say any more what it was about. */
	inventory_remove(sub);
	ask(f, "Fetch", "Task", id, "<prop>info</prop>");
	assert_true(answered(f, 500, "NoPermission"));
	free(id);
	/* But one's own, to the end. */
	ask(f, "Rename_Task", "Folder", "group-2", "<newName>mine</newName>");
	id = element(f, "returnval");
	inventory_remove(open);
	ask(f, "Fetch", "Task", id, "<prop>info</prop>");
	assert_true(answered(f, 200, "<state>running</state>"));
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
