/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/service.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "vim/authorization.h"
#include "vim/fault.h"
#include "vim/session.h"

/* One endpoint with a root folder and two users, and a client that keeps the last answer. */
struct fixture {
	uv_loop_t loop;
	struct clock *clock;
	struct inventory *inventory;
	struct service *service;
	struct user_store *users;
	struct session_manager *sessions;
	struct object *instance, *folder;
	struct call *waiting; /* by the handler `keep` */
	bool is_aborted;
	struct service_reply reply;
	int status; /* 0: no answer yet */
	char *body;
	char cookie[64];
};

static struct fixture *fixture_of(struct service_reply *r)
{
	return CONTAINER_OF(r, struct fixture, reply);
}

static void take_answer(struct service_reply *r, int status, struct buf *body)
{
	struct fixture *f = fixture_of(r);

	f->status = status;
	free(f->body);
	f->body = buf_take(body);
}

static void take_stream(struct service_reply *r, bool (*pull)(void *arg, struct buf *out),
			void (*done)(void *arg), void *arg)
{
	struct buf out = BUF_INIT;

	while (pull(arg, &out)) {
	}
	done(arg);
	take_answer(r, 200, &out);
}

static void take_cookie(struct service_reply *r, const char *key)
{
	struct fixture *f = fixture_of(r);

	snprintf(f->cookie, sizeof(f->cookie), "%s", key);
}

static void current_time(struct call *c)
{
	call_return(c, value_new_scalar(c->arena, T_dateTime, (union slot){ .num = 0 }));
}

static void keep_abort(void *arg)
{
	struct fixture *f = arg;

	f->is_aborted = true;
	call_fault(f->waiting, fault_new(f->waiting->arena, T_RequestCanceled), "gone");
}

static void keep(struct call *c)
{
	struct fixture *f = call_arg(c);

	f->waiting = c;
	call_on_abort(c, keep_abort, f);
}

static int setup(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));
	struct error e = { 0 };

	uv_loop_init(&f->loop);
	f->clock = clock_manual_new(INT64_C(1700000000) * 1000000);
	f->inventory = inventory_new(f->clock);
	struct service_config config = {
		.loop = &f->loop,
		.clock = f->clock,
		.inventory = f->inventory,
		.instance_id = "ServiceInstance",
		.root_folder_id = "group-d1",
	};
	f->service = service_new(&config);
	f->users = user_store_open(NULL, &e);
	assert_true(user_set(f->users, "root", "secret", "Administrator", &e));
	assert_true(user_set(f->users, "guest", "guest", NULL, &e));
	struct session_config sessions = {
		.id = "SessionManager",
		.authorization_id = "AuthorizationManager",
		.directory_id = "UserDirectory",
		.users = f->users,
	};
	f->sessions = session_manager_new(f->service, &sessions);
	f->instance = inventory_add(f->inventory, T_ServiceInstance, "ServiceInstance", NULL, NULL);
	f->folder = inventory_add(f->inventory, T_Folder, "group-d1", NULL, NULL);
	inventory_set_str(f->folder, P_ManagedEntity_name, "Datacenters");
	service_handle(f->service, T_ServiceInstance, M_ServiceInstance_CurrentTime, current_time,
		       f);
	service_handle(f->service, T_ManagedEntity, M_ManagedEntity_Destroy_Task, keep, f);
	f->reply = (struct service_reply){ .send = take_answer,
					   .stream = take_stream,
					   .cookie = take_cookie };
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

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

static struct call *ask(struct fixture *f, const char *key, const char *content)
{
	char *body = mem_printf("<Envelope xmlns=\"http://schemas.xmlsoap.org/soap/envelope/\">"
				"<Body>%s</Body></Envelope>",
				content);
	struct service_request in = { .body = body,
				      .len = strlen(body),
				      .session_key = key,
				      .soap_action = "\"urn:vim25/6.5\"",
				      .peer = "127.0.0.1",
				      .user_agent = "test",
				      .reply = &f->reply };

	f->status = 0;
	struct call *c = service_request(f->service, &in);
	free(body);
	return c;
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

static void login_as(struct fixture *f, const char *key, const char *user, const char *password)
{
	char *content = mem_printf("<Login xmlns=\"urn:vim25\"><_this type=\"SessionManager\">"
				   "SessionManager</_this><userName>%s</userName>"
				   "<password>%s</password></Login>",
				   user, password);

	ask(f, key, content);
	free(content);
	for (int i = 0; i < 100000 && f->status == 0; i++) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
}

#define CURRENT_TIME                                                                               \
	"<CurrentTime xmlns=\"urn:vim25\"><_this type=\"ServiceInstance\">ServiceInstance</_this>" \
	"</CurrentTime>"
#define FETCH_NAME                                                                                 \
	"<Fetch xmlns=\"urn:vim25\"><_this "                                                       \
	"type=\"Folder\">group-d1</_this><prop>name</prop></Fetch>"
#define DESTROY                                                                                    \
	"<Destroy_Task xmlns=\"urn:vim25\"><_this type=\"Folder\">group-d1</_this></Destroy_Task>"
#define LOGOUT                                                                                     \
	"<Logout xmlns=\"urn:vim25\"><_this "                                                      \
	"type=\"SessionManager\">SessionManager</_this></Logout>"

#define RETRIEVE(type, id, prop)                                                                   \
	"<RetrieveProperties xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">pc</_this>"     \
	"<specSet><propSet><type>" type "</type><pathSet>" prop "</pathSet></propSet>"             \
	"<objectSet><obj type=\"" type "\">" id                                                    \
	"</obj></objectSet></specSet></RetrieveProperties>"

static void strangers_may_little(void **state)
{
	struct fixture *f = *state;

	assert_null(ask(f, NULL, CURRENT_TIME));
	assert_true(answered(f, 200, "<CurrentTimeResponse"));
	ask(f, NULL, FETCH_NAME);
	assert_true(answered(f, 500, "NotAuthenticated"));
	ask(f, "no such key", DESTROY);
	assert_true(answered(f, 500, "NotAuthenticated"));
	ask(f, NULL,
	    "<Nonsense xmlns=\"urn:vim25\"><_this type=\"Folder\">group-d1</_this>"
	    "</Nonsense>");
	assert_true(answered(f, 500, "ClientFaultCode"));
	ask(f, NULL, "<broken");
	assert_true(answered(f, 500, "InvalidRequest"));
	/* Whether there is a session may be asked, nothing else. */
	ask(f, NULL, RETRIEVE("SessionManager", "SessionManager", "currentSession"));
	assert_true(answered(f, 200, "<missingSet><path>currentSession</path>"));
	assert_true(answered(f, 200, "xsi:type=\"NotAuthenticated\""));
	ask(f, NULL, RETRIEVE("Folder", "group-d1", "name"));
	assert_true(answered(f, 500, "NotAuthenticated"));
}

static void login_gives_a_cookie(void **state)
{
	struct fixture *f = *state;

	login_as(f, NULL, "root", "wrong");
	assert_true(answered(f, 500, "xsi:type=\"InvalidLogin\""));
	assert_string_equal(f->cookie, "");
	login_as(f, NULL, "root", "secret");
	assert_true(answered(f, 200, "<userName>root</userName>"));
	assert_int_equal(strlen(f->cookie), 32);
	char key[64];
	memcpy(key, f->cookie, sizeof(key));
	assert_null(strstr(f->body, key)); /* the secret is in the cookie only */
	login_as(f, key, "root", "secret");
	assert_true(answered(f, 500, "InvalidLogin"));
	ask(f, key, FETCH_NAME);
	assert_true(answered(f, 200, "<returnval>Datacenters</returnval>"));
	ask(f, key, LOGOUT);
	assert_true(answered(f, 200, "<LogoutResponse"));
	ask(f, key, FETCH_NAME);
	assert_true(answered(f, 500, "NotAuthenticated"));
}

static void guessing_is_slowed_down(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 5; i++) {
		login_as(f, NULL, "root", "wrong");
	}
	login_as(f, NULL, "root", "secret");
	assert_true(answered(f, 500, "too many failures"));
	login_as(f, NULL, "guest", "guest");
	assert_int_equal(f->status, 200);
	clock_advance(f->clock, INT64_C(61) * 1000000);
	login_as(f, NULL, "root", "secret");
	assert_int_equal(f->status, 200);
}

/* Posts a login and does not wait for its answer, which `reply` takes. */
static void login_start(struct fixture *f, struct service_reply *reply, const char *password)
{
	char *body = mem_printf("<Envelope xmlns=\"http://schemas.xmlsoap.org/soap/envelope/\">"
				"<Body><Login xmlns=\"urn:vim25\"><_this type=\"SessionManager\">"
				"SessionManager</_this><userName>root</userName><password>%s"
				"</password></Login></Body></Envelope>",
				password);
	struct service_request in = {
		.body = body, .len = strlen(body), .peer = "127.0.0.1", .reply = reply
	};

	service_request(f->service, &in);
	free(body);
}

/* Answers of many logins. */
struct crowd {
	struct service_reply reply;
	unsigned n_wrong, n_refused, n_in;
};

static void crowd_take(struct service_reply *r, int status, struct buf *body)
{
	struct crowd *c = CONTAINER_OF(r, struct crowd, reply);

	c->n_in += status == 200;
	c->n_wrong += status != 200 && strstr(body->data, "incorrect user name") != NULL;
	c->n_refused += status != 200 && strstr(body->data, "too many failures") != NULL;
	buf_clear(body);
}

static void crowd_cookie(struct service_reply *r, const char *key)
{
	(void)r;
	(void)key;
}

static void crowd_run(struct fixture *f, struct crowd *c, const char *password)
{
	const unsigned n = 20;

	*c = (struct crowd){ .reply = { .send = crowd_take, .cookie = crowd_cookie } };
	for (unsigned i = 0; i < n; i++) {
		login_start(f, &c->reply, password);
	}
	for (int i = 0; i < 100000 && c->n_in + c->n_wrong + c->n_refused < n; i++) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
}

static void guessing_in_parallel_gains_nothing(void **state)
{
	struct fixture *f = *state;
	struct crowd c;

	crowd_run(f, &c, "secret");
	assert_int_equal(c.n_in, 20);
	crowd_run(f, &c, "wrong");
	assert_int_equal(c.n_wrong, 5);
	assert_int_equal(c.n_refused, 15);
	/* Some wait for others when all is over. */
	clock_advance(f->clock, INT64_C(61) * 1000000);
	c = (struct crowd){ .reply = { .send = crowd_take, .cookie = crowd_cookie } };
	for (int i = 0; i < 8; i++) {
		login_start(f, &c.reply, "wrong");
	}
	session_manager_free(f->sessions);
	f->sessions = NULL;
}

#define CLONE_TICKET                                                                               \
	"<AcquireCloneTicket xmlns=\"urn:vim25\"><_this type=\"SessionManager\">"                  \
	"SessionManager</_this></AcquireCloneTicket>"

static void tickets_are_bounded(void **state)
{
	struct fixture *f = *state;
	char *content =
		mem_printf("<AcquireGenericServiceTicket xmlns=\"urn:vim25\">"
			   "<_this type=\"SessionManager\">SessionManager</_this><spec "
			   "xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\" i:type="
			   "\"SessionManagerHttpServiceRequestSpec\"><url>%05000d</url></spec>"
			   "</AcquireGenericServiceTicket>",
			   0);

	login_as(f, NULL, "root", "secret");
	ask(f, f->cookie, content);
	assert_true(answered(f, 500, "<invalidProperty>spec<"));
	free(content);
	for (int i = 0; i < 500; i++) {
		ask(f, f->cookie, CLONE_TICKET);
		assert_int_equal(f->status, 200);
	}
	ask(f, f->cookie, CLONE_TICKET);
	assert_int_equal(f->status, 500);
	login_as(f, NULL, "root", "secret");
	ask(f, f->cookie, CLONE_TICKET);
	assert_int_equal(f->status, 200);
}

static void checks_come_in_order(void **state)
{
	struct fixture *f = *state;

	login_as(f, NULL, "root", "secret");
	const char *key = f->cookie;
	ask(f, key,
	    "<Fetch xmlns=\"urn:vim25\"><_this type=\"Folder\">none</_this>"
	    "<prop>name</prop></Fetch>");
	assert_true(answered(f, 500, "ManagedObjectNotFound"));
	ask(f, key,
	    "<Fetch xmlns=\"urn:vim25\"><_this type=\"Folder\">group-d1</_this>"
	    "<prop>nothing</prop></Fetch>");
	assert_true(answered(f, 500, "<name>nothing</name>"));
	ask(f, key,
	    "<Rename_Task xmlns=\"urn:vim25\"><_this type=\"Folder\">group-d1</_this>"
	    "<newName>x</newName></Rename_Task>");
	assert_true(answered(f, 500, "NotSupported"));
	ask(f, key,
	    "<PowerOnVM_Task xmlns=\"urn:vim25\"><_this type=\"Folder\">group-d1</_this>"
	    "</PowerOnVM_Task>");
	assert_true(answered(f, 500, "MethodNotFound"));
}

static void sessions_expire_when_idle(void **state)
{
	struct fixture *f = *state;

	login_as(f, NULL, "root", "secret");
	clock_advance(f->clock, INT64_C(29) * 60 * 1000000);
	ask(f, f->cookie, FETCH_NAME);
	assert_int_equal(f->status, 200);
	struct call *c = ask(f, f->cookie, DESTROY);
	assert_non_null(c);
	clock_advance(f->clock, INT64_C(60) * 60 * 1000000);
	assert_int_equal(f->status, 0); /* a waiting call keeps its session */
	call_return(f->waiting, NULL);
	assert_int_equal(f->status, 200);
	clock_advance(f->clock, INT64_C(31) * 60 * 1000000);
	ask(f, f->cookie, FETCH_NAME);
	assert_true(answered(f, 500, "NotAuthenticated"));
}

static void waiting_calls_are_aborted(void **state)
{
	struct fixture *f = *state;

	login_as(f, NULL, "root", "secret");
	service_abort(ask(f, f->cookie, DESTROY));
	assert_true(f->is_aborted);
	assert_int_equal(f->status, 0);
	f->is_aborted = false;
	ask(f, f->cookie, DESTROY);
	session_logout(session_find(f->sessions, f->cookie));
	assert_true(f->is_aborted);
	assert_true(answered(f, 500, "RequestCanceled"));
}

static void privileges_are_checked(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	struct authorization *a = session_authorization(f->sessions);

	login_as(f, NULL, "guest", "guest");
	char key[64];
	memcpy(key, f->cookie, sizeof(key));
	ask(f, key, FETCH_NAME);
	assert_true(answered(f, 500, "xsi:type=\"NoPermission\""));
	struct permission_vec v = authorization_copy(a);
	char entity[] = "group-d1", guest[] = "guest";
	struct permission p = {
		.entity = entity, .principal = guest, .is_propagating = true, .role = ROLE_READ_ONLY
	};
	permission_add(&v, &p);
	assert_true(authorization_replace(a, &v, &e));
	ask(f, key, FETCH_NAME);
	assert_int_equal(f->status, 200);
	ask(f, key,
	    "<AddAuthorizationRole xmlns=\"urn:vim25\"><_this type=\"AuthorizationManager\">"
	    "AuthorizationManager</_this><name>x</name></AddAuthorizationRole>");
	assert_true(answered(f, 500, "Authorization.ModifyRoles"));
	/* The last administrator stays. */
	v = authorization_copy(a);
	permission_fini(&v.items[0]);
	vec_remove(&v, 0);
	assert_false(authorization_replace(a, &v, &e));
	assert_int_equal(e.kind, ERROR_STATE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(strangers_may_little, setup, teardown),
		cmocka_unit_test_setup_teardown(login_gives_a_cookie, setup, teardown),
		cmocka_unit_test_setup_teardown(guessing_is_slowed_down, setup, teardown),
		cmocka_unit_test_setup_teardown(guessing_in_parallel_gains_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(tickets_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(checks_come_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(sessions_expire_when_idle, setup, teardown),
		cmocka_unit_test_setup_teardown(waiting_calls_are_aborted, setup, teardown),
		cmocka_unit_test_setup_teardown(privileges_are_checked, setup, teardown),
	};

	return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
