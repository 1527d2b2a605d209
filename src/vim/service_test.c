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
#include "vim/rig.h"

static struct call *waiting; /* by the handler `keep` */
static bool is_aborted;

static void current_time(struct call *c)
{
	call_return(c, value_new_scalar(c->arena, T_dateTime, (union slot){ .num = 0 }));
}

static void keep_abort(void *arg)
{
	(void)arg;
	is_aborted = true;
	call_fault(waiting, fault_new(waiting->arena, T_RequestCanceled), "gone");
}

static void keep(struct call *c)
{
	waiting = c;
	call_on_abort(c, keep_abort, NULL);
}

static int setup(void **state)
{
	struct rig *r = rig_new_bare(NULL);

	inventory_add(r->inventory, T_ServiceInstance, "ServiceInstance", NULL, NULL);
	service_handle(r->service, T_ServiceInstance, M_ServiceInstance_CurrentTime, current_time,
		       NULL);
	service_handle(r->service, T_ManagedEntity, M_ManagedEntity_Destroy_Task, keep, NULL);
	is_aborted = false;
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	rig_free(*state);
	return 0;
}

static void login_as(struct rig *r, const char *key, const char *user, const char *password)
{
	char *content = mem_printf("<Login xmlns=\"urn:vim25\"><_this type=\"SessionManager\">"
				   "SessionManager</_this><userName>%s</userName>"
				   "<password>%s</password></Login>",
				   user, password);

	rig_post(r, key, content);
	free(content);
	rig_wait(r);
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
	struct rig *r = *state;

	assert_null(rig_post(r, NULL, CURRENT_TIME));
	assert_true(rig_answered(r, 200, "<CurrentTimeResponse"));
	rig_post(r, NULL, FETCH_NAME);
	assert_true(rig_answered(r, 500, "NotAuthenticated"));
	rig_post(r, "no such key", DESTROY);
	assert_true(rig_answered(r, 500, "NotAuthenticated"));
	rig_post(r, NULL,
		 "<Nonsense xmlns=\"urn:vim25\"><_this type=\"Folder\">group-d1</_this>"
		 "</Nonsense>");
	assert_true(rig_answered(r, 500, "ClientFaultCode"));
	rig_post(r, NULL, "<broken");
	assert_true(rig_answered(r, 500, "InvalidRequest"));
	/* Whether there is a session may be asked, nothing else. */
	rig_post(r, NULL, RETRIEVE("SessionManager", "SessionManager", "currentSession"));
	assert_true(rig_answered(r, 200, "<missingSet><path>currentSession</path>"));
	assert_true(rig_answered(r, 200, "xsi:type=\"NotAuthenticated\""));
	rig_post(r, NULL, RETRIEVE("Folder", "group-d1", "name"));
	assert_true(rig_answered(r, 500, "NotAuthenticated"));
}

static void login_gives_a_cookie(void **state)
{
	struct rig *r = *state;

	login_as(r, NULL, "root", "wrong");
	assert_true(rig_answered(r, 500, "xsi:type=\"InvalidLogin\""));
	assert_string_equal(r->cookie, "");
	login_as(r, NULL, "root", "secret");
	assert_true(rig_answered(r, 200, "<userName>root</userName>"));
	assert_int_equal(strlen(r->cookie), 32);
	char key[64];
	memcpy(key, r->cookie, sizeof(key));
	assert_null(strstr(r->body, key)); /* the secret is in the cookie only */
	login_as(r, key, "root", "secret");
	assert_true(rig_answered(r, 500, "InvalidLogin"));
	rig_post(r, key, FETCH_NAME);
	assert_true(rig_answered(r, 200, "<returnval>Datacenters</returnval>"));
	rig_post(r, key, LOGOUT);
	assert_true(rig_answered(r, 200, "<LogoutResponse"));
	rig_post(r, key, FETCH_NAME);
	assert_true(rig_answered(r, 500, "NotAuthenticated"));
}

static void guessing_is_slowed_down(void **state)
{
	struct rig *r = *state;

	for (int i = 0; i < 5; i++) {
		login_as(r, NULL, "root", "wrong");
	}
	login_as(r, NULL, "root", "secret");
	assert_true(rig_answered(r, 500, "too many failures"));
	login_as(r, NULL, "guest", "guest");
	assert_int_equal(r->status, 200);
	clock_advance(r->clock, INT64_C(61) * 1000000);
	login_as(r, NULL, "root", "secret");
	assert_int_equal(r->status, 200);
}

/* Posts a login and does not wait for its answer, which `reply` takes. */
static void login_start(struct rig *r, struct service_reply *reply, const char *password)
{
	char *body = mem_printf("<Envelope xmlns=\"http://schemas.xmlsoap.org/soap/envelope/\">"
				"<Body><Login xmlns=\"urn:vim25\"><_this type=\"SessionManager\">"
				"SessionManager</_this><userName>root</userName><password>%s"
				"</password></Login></Body></Envelope>",
				password);
	struct service_request in = {
		.body = body, .len = strlen(body), .peer = "127.0.0.1", .reply = reply
	};

	service_request(r->service, &in);
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

static void crowd_run(struct rig *r, struct crowd *c, const char *password)
{
	const unsigned n = 20;

	*c = (struct crowd){ .reply = { .send = crowd_take, .cookie = crowd_cookie } };
	for (unsigned i = 0; i < n; i++) {
		login_start(r, &c->reply, password);
	}
	for (int i = 0; i < 100000 && c->n_in + c->n_wrong + c->n_refused < n; i++) {
		uv_run(&r->loop, UV_RUN_ONCE);
	}
}

static void guessing_in_parallel_gains_nothing(void **state)
{
	struct rig *r = *state;
	struct crowd c;

	crowd_run(r, &c, "secret");
	assert_int_equal(c.n_in, 20);
	crowd_run(r, &c, "wrong");
	assert_int_equal(c.n_wrong, 5);
	assert_int_equal(c.n_refused, 15);
	/* Some wait for others when all is over. */
	clock_advance(r->clock, INT64_C(61) * 1000000);
	c = (struct crowd){ .reply = { .send = crowd_take, .cookie = crowd_cookie } };
	for (int i = 0; i < 8; i++) {
		login_start(r, &c.reply, "wrong");
	}
	session_manager_free(r->sessions);
	r->sessions = NULL;
}

#define CLONE_TICKET                                                                               \
	"<AcquireCloneTicket xmlns=\"urn:vim25\"><_this type=\"SessionManager\">"                  \
	"SessionManager</_this></AcquireCloneTicket>"

static void tickets_are_bounded(void **state)
{
	struct rig *r = *state;
	char *content =
		mem_printf("<AcquireGenericServiceTicket xmlns=\"urn:vim25\">"
			   "<_this type=\"SessionManager\">SessionManager</_this><spec "
			   "xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\" i:type="
			   "\"SessionManagerHttpServiceRequestSpec\"><url>%05000d</url></spec>"
			   "</AcquireGenericServiceTicket>",
			   0);

	login_as(r, NULL, "root", "secret");
	rig_post(r, r->cookie, content);
	assert_true(rig_answered(r, 500, "<invalidProperty>spec<"));
	free(content);
	for (int i = 0; i < 500; i++) {
		rig_post(r, r->cookie, CLONE_TICKET);
		assert_int_equal(r->status, 200);
	}
	rig_post(r, r->cookie, CLONE_TICKET);
	assert_int_equal(r->status, 500);
	login_as(r, NULL, "root", "secret");
	rig_post(r, r->cookie, CLONE_TICKET);
	assert_int_equal(r->status, 200);
}

static void checks_come_in_order(void **state)
{
	struct rig *r = *state;

	login_as(r, NULL, "root", "secret");
	const char *key = r->cookie;
	rig_post(r, key,
		 "<Fetch xmlns=\"urn:vim25\"><_this type=\"Folder\">none</_this>"
		 "<prop>name</prop></Fetch>");
	assert_true(rig_answered(r, 500, "ManagedObjectNotFound"));
	rig_post(r, key,
		 "<Fetch xmlns=\"urn:vim25\"><_this type=\"Folder\">group-d1</_this>"
		 "<prop>nothing</prop></Fetch>");
	assert_true(rig_answered(r, 500, "<name>nothing</name>"));
	rig_post(r, key,
		 "<Rename_Task xmlns=\"urn:vim25\"><_this type=\"Folder\">group-d1</_this>"
		 "<newName>x</newName></Rename_Task>");
	assert_true(rig_answered(r, 500, "NotSupported"));
	rig_post(r, key,
		 "<PowerOnVM_Task xmlns=\"urn:vim25\"><_this type=\"Folder\">group-d1</_this>"
		 "</PowerOnVM_Task>");
	assert_true(rig_answered(r, 500, "MethodNotFound"));
}

static void sessions_expire_when_idle(void **state)
{
	struct rig *r = *state;

	login_as(r, NULL, "root", "secret");
	clock_advance(r->clock, INT64_C(29) * 60 * 1000000);
	rig_post(r, r->cookie, FETCH_NAME);
	assert_int_equal(r->status, 200);
	struct call *c = rig_post(r, r->cookie, DESTROY);
	assert_non_null(c);
	clock_advance(r->clock, INT64_C(60) * 60 * 1000000);
	assert_int_equal(r->status, 0); /* a waiting call keeps its session */
	call_return(waiting, NULL);
	assert_int_equal(r->status, 200);
	clock_advance(r->clock, INT64_C(31) * 60 * 1000000);
	rig_post(r, r->cookie, FETCH_NAME);
	assert_true(rig_answered(r, 500, "NotAuthenticated"));
}

static void waiting_calls_are_aborted(void **state)
{
	struct rig *r = *state;

	login_as(r, NULL, "root", "secret");
	service_abort(rig_post(r, r->cookie, DESTROY));
	assert_true(is_aborted);
	assert_int_equal(r->status, 0);
	is_aborted = false;
	rig_post(r, r->cookie, DESTROY);
	session_logout(session_find(r->sessions, r->cookie));
	assert_true(is_aborted);
	assert_true(rig_answered(r, 500, "RequestCanceled"));
}

static void privileges_are_checked(void **state)
{
	struct rig *r = *state;
	struct error e = { 0 };
	struct authorization *a = session_authorization(r->sessions);

	login_as(r, NULL, "guest", "guest");
	char key[64];
	memcpy(key, r->cookie, sizeof(key));
	rig_post(r, key, FETCH_NAME);
	assert_true(rig_answered(r, 500, "xsi:type=\"NoPermission\""));
	struct permission_vec v = authorization_copy(a);
	char entity[] = "group-d1", guest[] = "guest";
	struct permission p = {
		.entity = entity, .principal = guest, .is_propagating = true, .role = ROLE_READ_ONLY
	};
	permission_add(&v, &p);
	assert_true(authorization_replace(a, &v, &e));
	rig_post(r, key, FETCH_NAME);
	assert_int_equal(r->status, 200);
	rig_post(r, key,
		 "<AddAuthorizationRole xmlns=\"urn:vim25\"><_this type=\"AuthorizationManager\">"
		 "AuthorizationManager</_this><name>x</name></AddAuthorizationRole>");
	assert_true(rig_answered(r, 500, "Authorization.ModifyRoles"));
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
