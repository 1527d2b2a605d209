/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/service.h"

#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "vim/access.h"
#include "vim/call.h"
#include "vim/fault.h"
#include "vim/stranger.h"

LOG_MODULE("service");

#define NS_VIM "urn:vim25"

/* Methods that may be called without a session. */
static const uint16_t methods_for_everyone[] = {
	M_ServiceInstance_RetrieveServiceContent,
	M_ServiceInstance_RetrieveProductComponents,
	M_ServiceInstance_CurrentTime,
	M_SessionManager_Login,
	M_SessionManager_LoginBySSPI,
	M_SessionManager_LoginByToken,
	M_SessionManager_LoginExtensionByCertificate,
	M_SessionManager_LoginExtensionBySubjectName,
	M_SessionManager_CloneSession,
	M_SessionManager_AcquireLocalTicket,
};

struct service *service_new(const struct service_config *config)
{
	struct service *s = mem_zalloc(sizeof(*s));

	s->config = *config;
	s->instance_id = mem_strdup(config->instance_id);
	s->root_folder_id = mem_strdup(config->root_folder_id);
	s->config.instance_id = s->instance_id;
	s->config.root_folder_id = s->root_folder_id;
	s->chains = mem_calloc(SCHEMA_N_METHODS, sizeof(*s->chains));
	list_init(&s->waiting);
	list_init(&s->idle_calls);
	return s;
}

void service_free(struct service *s)
{
	if (s == NULL) {
		return;
	}
	list_each_safe (struct call_state, c, &s->idle_calls, link) {
		arena_free(c->pub.arena);
		buf_free(&c->out);
		free(c);
	}
	/* Whoever still owes an answer has been freed before the service: nobody will give it. */
	list_each_safe (struct call_state, w, &s->waiting, link) {
		if (!w->is_arena_taken) {
			arena_free(w->pub.arena);
		}
		buf_free(&w->out);
		free(w);
	}
	free(s->handlers);
	free(s->chains);
	free(s->instance_id);
	free(s->root_folder_id);
	free(s);
}

struct inventory *service_inventory(struct service *s)
{
	return s->config.inventory;
}

uv_loop_t *service_loop(struct service *s)
{
	return s->config.loop;
}

struct clock *service_clock(struct service *s)
{
	return s->config.clock;
}

struct object *service_root(struct service *s)
{
	return inventory_find(s->config.inventory, s->root_folder_id);
}

const char *service_root_id(const struct service *s)
{
	return s->root_folder_id;
}

void service_set_sessions(struct service *s, struct session_manager *m)
{
	s->sessions = m;
}

struct session_manager *service_sessions(struct service *s)
{
	return s->sessions;
}

struct session *service_acting(const struct service *s)
{
	return s->acting;
}

struct session *service_act_as(struct service *s, struct session *session)
{
	struct session *old = s->acting;

	s->acting = session;
	return old;
}

void service_stats(const struct service *s, struct service_stats *out)
{
	*out = s->stats;
}

void service_handle(struct service *s, uint16_t managed, uint16_t method, call_fn *fn, void *arg)
{
	assert(method != M_none && method < SCHEMA_N_METHODS);
	assert(schema_is_a(managed, schema_method(method)->managed) ||
	       schema_is_a(schema_method(method)->managed, managed));
	if (s->n_handlers == s->handlers_cap) {
		s->handlers_cap = (uint16_t)(s->handlers_cap == 0 ? 64 : s->handlers_cap * 2);
		s->handlers = mem_realloc_array(s->handlers, s->handlers_cap, sizeof(*s->handlers));
	}
	/* Before the first registration that is not for a type derived from ours. */
	uint16_t *at = &s->chains[method];
	while (*at != 0 && s->handlers[*at - 1].managed != managed &&
	       schema_is_a(s->handlers[*at - 1].managed, managed)) {
		at = &s->handlers[*at - 1].next;
	}
	struct call_handler h = { .managed = managed, .next = *at, .fn = fn, .arg = arg };
	s->handlers[s->n_handlers++] = h;
	/* `at` may point into the array, which has not moved since. */
	*at = s->n_handlers;
}

static const struct call_handler *service_find(const struct service *s, uint16_t type,
					       uint16_t method)
{
	for (uint16_t i = s->chains[method]; i != 0; i = s->handlers[i - 1].next) {
		if (schema_is_a(type, s->handlers[i - 1].managed)) {
			return &s->handlers[i - 1];
		}
	}
	return NULL;
}

void call_pass(struct call *pub)
{
	struct call_state *c = call_state(pub);
	const struct service *s = pub->service;

	for (uint16_t i = c->handler->next; i != 0; i = s->handlers[i - 1].next) {
		if (schema_is_a(pub->self->type, s->handlers[i - 1].managed)) {
			c->handler = &s->handlers[i - 1];
			c->handler->fn(pub);
			return;
		}
	}
	call_fault(pub, fault_new(pub->arena, T_NotSupported), "%s is not supported by this server",
		   schema_method_name(pub->method));
}

static bool method_is_for_everyone(uint16_t method)
{
	for (size_t i = 0; i < ARRAY_LEN(methods_for_everyone); i++) {
		if (methods_for_everyone[i] == method) {
			return true;
		}
	}
	return false;
}

/* ---- checks: each answers and returns false ---- */

static bool check_session(struct call *c, const struct value *self, const char *privilege)
{
	if (c->session != NULL) {
		return true;
	}
	if (stranger_answer(c)) {
		return false;
	}
	struct value *fault = fault_new(c->arena, T_NotAuthenticated);
	value_set(c->arena, fault, F_NoPermission_object, self);
	value_set_str(c->arena, fault, F_NoPermission_privilegeId,
		      privilege[0] != '\0' ? privilege : "System.View");
	call_fault(c, fault, "The session is not authenticated.");
	return false;
}

static bool check_object(struct call *c, const struct value *self)
{
	struct object *o = inventory_find_ref(c->service->config.inventory, self);

	if (o != NULL && !o->removed) {
		c->self = o;
		return true;
	}
	call_fault(c, fault_not_found(c->arena, self),
		   "The object '%s:%s' has already been deleted or has not been completely created",
		   schema_type_name(value_type(self)), value_bytes(self));
	return false;
}

static void answer_method_not_found(struct call *c, const struct value *self, const char *name)
{
	struct value *fault = fault_new(c->arena, T_MethodNotFound);

	value_set(c->arena, fault, F_MethodNotFound_receiver, self);
	value_set_str(c->arena, fault, F_MethodNotFound_method, name);
	char text[200];
	snprintf(text, sizeof(text), "Method \"%.80s\" not found on %s \"%.80s\"", name,
		 self == NULL ? "object" : schema_type_name(value_type(self)),
		 self == NULL ? "" : value_bytes(self));
	call_client_fault(c, fault, text);
}

/* The handler for the call, or NULL when it is answered already. */
static const struct call_handler *check_method(struct call *c)
{
	const struct schema_method *m = schema_method(c->method);

	if (!schema_is_a(c->self->type, m->managed)) {
		answer_method_not_found(c, c->self->ref, schema_method_name(c->method));
		return NULL;
	}
	const struct call_handler *h = service_find(c->service, c->self->type, c->method);
	if (h == NULL) {
		call_fault(c, fault_new(c->arena, T_NotSupported),
			   "%s is not supported by this server", schema_method_name(c->method));
	}
	return h;
}

static bool check_privilege(struct call *c)
{
	const char *privilege = schema_strings + schema_method(c->method)->privilege;

	if (privilege[0] == '\0' || c->session == NULL ||
	    strcmp(privilege, "System.Anonymous") == 0) {
		return true;
	}
	return call_require(c, c->self, privilege);
}

/* ---- running ---- */

static void call_run(struct call_state *c, const struct value *self)
{
	struct call *pub = &c->pub;
	const char *privilege = schema_strings + schema_method(pub->method)->privilege;

	if (!method_is_for_everyone(pub->method) && !check_session(pub, self, privilege)) {
		return;
	}
	if (!check_object(pub, self)) {
		return;
	}
	c->handler = check_method(pub);
	if (c->handler == NULL || !check_privilege(pub)) {
		return;
	}
	struct session *old = service_act_as(pub->service, pub->session);
	c->handler->fn(pub);
	service_act_as(pub->service, old);
}

/* After the handler returned: NULL when the answer is out, else the call, which waits. */
static struct call *call_settle(struct call_state *c)
{
	c->is_on_stack = false;
	if (c->phase == CALL_ENDED) {
		call_free(c);
		return NULL;
	}
	if (c->phase == CALL_RUNNING) {
		call_wait(c);
	}
	return c->phase == CALL_STREAMING ? NULL : &c->pub;
}

/* Fetch: one property of one object, as pyvmomi reads attributes. */
static void call_fetch(struct call_state *c, const struct soap_request *req)
{
	struct call *pub = &c->pub;
	bool is_content = value_type(req->self) == T_ServiceInstance;

	if (!is_content && !check_session(pub, req->self, "System.View")) {
		return;
	}
	if (!check_object(pub, req->self)) {
		return;
	}
	uint16_t type = pub->self->type;
	int prop = schema_field_find(type, req->fetch_prop, strlen(req->fetch_prop), 0);
	if (prop < 0) {
		struct value *fault = fault_new(pub->arena, T_InvalidProperty);
		value_set_str(pub->arena, fault, F_InvalidProperty_name, req->fetch_prop);
		call_fault(pub, fault, "%s has no property \"%s\"", schema_type_name(type),
			   req->fetch_prop);
		return;
	}
	if (!is_content && !access_may_read(pub->session, pub->self, (unsigned)prop)) {
		call_fault(pub, fault_no_permission(pub->arena, pub->self->ref, "System.Read"),
			   "\"%s\" lacks the privilege System.Read on \"%s\"",
			   session_user(pub->session), object_id(pub->self));
		return;
	}
	struct session *old = service_act_as(pub->service, pub->session);
	const struct value *v = object_get(pub->self, (unsigned)prop, pub->arena);
	service_act_as(pub->service, old);
	c->result = schema_field(type, (unsigned)prop);
	call_return(pub, v);
}

/* What follows the slash in "urn:vim25/6.7" or urn:vim25/6.7. */
static uint8_t service_version(struct service *s, const char *action)
{
	size_t len = action == NULL ? 0 : strlen(action);

	if (len == 0 || len >= sizeof(s->actions[0].text)) {
		return schema_version_served;
	}
	for (size_t i = 0; i < ARRAY_LEN(s->actions); i++) {
		if (memcmp(s->actions[i].text, action, len + 1) == 0) {
			return s->actions[i].version;
		}
	}
	const char *slash = strchr(action, '/');
	const char *at = slash == NULL ? "" : slash + 1;
	uint8_t version = schema_version_parse(at, strcspn(at, "\" \t"));
	unsigned i = s->next_action++ % ARRAY_LEN(s->actions);
	memcpy(s->actions[i].text, action, len + 1);
	s->actions[i].version = version;
	return version;
}

static void answer_unreadable(struct call_state *c, const struct soap_request *req,
			      const struct error *e)
{
	struct call *pub = &c->pub;

	if (e->kind == ERROR_NOT_FOUND && req->self != NULL && req->method_name != NULL) {
		answer_method_not_found(pub, req->self, req->method_name);
		return;
	}
	log_limited_info("refused a request of %s: %s", pub->peer, e->msg);
	call_client_fault(pub, fault_new(pub->arena, T_InvalidRequest), e->msg);
}

static char *copy_text(struct arena *a, const char *s)
{
	return s == NULL ? NULL : arena_strdup(a, s);
}

struct call *service_request(struct service *s, const struct service_request *in)
{
	struct call_state *c = call_begin(s);
	struct call *pub = &c->pub;
	struct soap_request req = { 0 };
	struct error e = { 0 };

	s->stats.n_requests++;
	c->is_xml = true;
	c->reply = in->reply;
	c->ns = NS_VIM;
	pub->version = service_version(s, in->soap_action);
	pub->peer = arena_strdup(pub->arena, in->peer);
	pub->user_agent = copy_text(pub->arena, in->user_agent);
	if (s->sessions != NULL && in->session_key != NULL) {
		pub->session = session_find(s->sessions, in->session_key);
	}
	if (pub->session == NULL && in->len > SERVICE_STRANGER_MAX) {
		error_set(&e, ERROR_LIMIT, "a request of %zu bytes needs a session", in->len);
		answer_unreadable(c, &req, &e);
		return call_settle(c);
	}
	if (!soap_read_request(&req, in->body, in->len, pub->arena, &e)) {
		answer_unreadable(c, &req, &e);
		return call_settle(c);
	}
	if (pub->session == NULL && s->sessions != NULL && req.session_cookie != NULL) {
		pub->session = session_find(s->sessions, req.session_cookie);
	}
	pub->operation_id = req.operation_id;
	c->method_name = req.method_name;
	c->ns = req.ns != NULL ? req.ns : NS_VIM;
	session_called(pub->session, pub->user_agent);
	if (req.method == M_none) {
		c->method_name = "Fetch";
		call_fetch(c, &req);
		return call_settle(c);
	}
	pub->method = req.method;
	pub->args = req.args;
	c->result = &schema_method(req.method)->result;
	call_run(c, req.self);
	return call_settle(c);
}

void service_abort(struct call *pub)
{
	struct call_state *c = call_state(pub);

	c->reply = NULL;
	call_abort(c);
}

void service_call(struct session *session, struct object *self, uint16_t method,
		  const struct value *args,
		  void (*done)(void *arg, const struct value *result, const struct value *fault,
			       const char *text),
		  void *arg)
{
	struct service *s = session_service(session);
	struct call_state *c = call_begin(s);
	struct call *pub = &c->pub;

	s->stats.n_requests++;
	c->done = done;
	c->done_arg = arg;
	c->method_name = schema_method_name(method);
	c->ns = NS_VIM;
	c->result = &schema_method(method)->result;
	pub->session = session;
	pub->method = method;
	pub->version = schema_version_served;
	pub->peer = "local";
	pub->args = args != NULL ? args : value_new(pub->arena, schema_method(method)->args);
	call_run(c, self->ref);
	call_settle(c);
}
