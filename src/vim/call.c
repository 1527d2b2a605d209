/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/call.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "vim/fault.h"

enum {
	IDLE_CALLS_MAX = 64,	  /* kept for reuse */
	IDLE_BUF_MAX = 256 << 10, /* a larger buffer is not kept */
	IDLE_ARENA_MAX = 1 << 20, /* nor an arena that has grown beyond this */
	FAULT_TEXT_MAX = 600
};

struct call_state *call_begin(struct service *s)
{
	struct list_node *n = list_pop_front(&s->idle_calls);
	struct call_state *c;

	if (n != NULL) {
		s->n_idle_calls--;
		c = CONTAINER_OF(n, struct call_state, link);
	} else {
		c = mem_zalloc(sizeof(*c));
		c->pub.arena = arena_new(0);
		c->out = (struct buf)BUF_INIT;
	}
	c->pub.service = s;
	c->phase = CALL_RUNNING;
	c->is_on_stack = true;
	c->begun_us = clock_mono_us(s->config.clock);
	s->stats.n_waiting++;
	return c;
}

/* For metrics only: what kind of work it was. */
static enum service_class call_class(const struct call_state *c)
{
	uint16_t method = c->pub.method;
	uint16_t managed = schema_method(method)->managed;

	if (method == M_none) { /* Fetch, or nothing we know */
		return c->method_name != NULL && strlen(c->method_name) == 5 ? SERVICE_READ
									     : SERVICE_OTHER;
	}
	/* What the client wrote may be gone with the arena that a task took. */
	const char *name = schema_method_name(method);
	size_t n = strlen(name);
	if (method == M_PropertyCollector_WaitForUpdatesEx ||
	    method == M_PropertyCollector_WaitForUpdates) {
		return SERVICE_WAIT;
	}
	if (n > 5 && strcmp(name + n - 5, "_Task") == 0) {
		return SERVICE_TASK;
	}
	if (managed == T_SessionManager) {
		return SERVICE_SESSION;
	}
	return managed == T_PropertyCollector || managed == T_ViewManager || managed == T_View ||
			       managed == T_SearchIndex
		       ? SERVICE_READ
		       : SERVICE_OTHER;
}

void call_free(struct call_state *c)
{
	enum service_class class = call_class(c);

	struct service *s = c->pub.service;
	struct arena *arena = c->pub.arena;
	struct buf out = c->out;

	list_remove(&c->link);
	s->stats.n_waiting--;
	s->stats.classes[class].n++;
	s->stats.classes[class].us += (uint64_t)(clock_mono_us(s->config.clock) - c->begun_us);
	if (c->is_arena_taken) {
		arena = arena_new(0);
	} else if (arena_used(arena) > IDLE_ARENA_MAX) {
		arena_free(arena);
		arena = arena_new(0);
	} else {
		arena_reset(arena);
	}
	if (out.cap > IDLE_BUF_MAX) {
		buf_free(&out);
	}
	buf_clear(&out);
	if (s->n_idle_calls >= IDLE_CALLS_MAX) {
		arena_free(arena);
		buf_free(&out);
		free(c);
		return;
	}
	*c = (struct call_state){ .out = out };
	c->pub.arena = arena;
	list_push_front(&s->idle_calls, &c->link);
	s->n_idle_calls++;
}

/* The session ends while the call waits. */
static void call_session_ended(struct session_item *item)
{
	struct call_state *c = CONTAINER_OF(item, struct call_state, item);

	c->pub.session = NULL;
	c->is_owned = false;
	call_abort(c);
}

void call_wait(struct call_state *c)
{
	c->phase = CALL_WAITING;
	list_push_back(&c->pub.service->waiting, &c->link);
	if (c->pub.session != NULL) {
		c->item.end = call_session_ended;
		session_own(c->pub.session, &c->item);
		session_busy(c->pub.session);
		c->is_owned = true;
	}
}

/* May free the call: the owner usually ends it here. */
void call_abort(struct call_state *c)
{
	void (*fn)(void *arg) = c->on_abort;

	c->on_abort = NULL;
	if (fn != NULL) {
		fn(c->abort_arg);
	}
}

/* The answer is out. While the handler is on the stack, service.c frees. */
static void call_end(struct call_state *c)
{
	c->phase = CALL_ENDED;
	c->reply = NULL;
	if (c->is_owned) {
		session_disown(&c->item);
		session_idle(c->pub.session);
		c->is_owned = false;
	}
	if (!c->is_on_stack) {
		call_free(c);
	}
}

static void call_send(struct call_state *c, int status)
{
	if (c->reply != NULL) {
		c->reply->send(c->reply, status, &c->out);
	}
	call_end(c);
}

static void call_check_open(const struct call_state *c)
{
	assert(c->phase == CALL_RUNNING || c->phase == CALL_WAITING);
}

void call_return(struct call *pub, const struct value *v)
{
	struct call_state *c = call_state(pub);

	call_check_open(c);
	if (!c->is_xml) {
		c->done(c->done_arg, v, NULL, NULL);
		call_end(c);
		return;
	}
	buf_clear(&c->out);
	if (c->reply != NULL) {
		soap_write_response(&c->out, c->method_name, c->ns, c->result, v, pub->version);
	}
	call_send(c, 200);
}

static void call_fail(struct call_state *c, const char *code, const struct value *fault,
		      const char *text)
{
	call_check_open(c);
	c->pub.service->stats.n_faults++;
	if (!c->is_xml) {
		c->done(c->done_arg, NULL, fault, text);
		call_end(c);
		return;
	}
	buf_clear(&c->out);
	if (c->reply != NULL) {
		soap_write_fault(&c->out, code, text, fault, c->pub.version);
	}
	call_send(c, 500);
}

void call_client_fault(struct call *c, const struct value *fault, const char *text)
{
	call_fail(call_state(c), "ClientFaultCode", fault, text);
}

void call_fault(struct call *c, const struct value *fault, const char *fmt, ...)
{
	char text[FAULT_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	call_fail(call_state(c), "ServerFaultCode", fault,
		  n > 0 ? text : schema_type_name(value_type(fault)));
}

void call_error(struct call *c, const struct error *e)
{
	call_fault(c, fault_from_error(c->arena, e), "%s", e->msg);
}

/* ---- streams ---- */

static bool stream_pull(void *arg, struct buf *out)
{
	struct call_state *c = arg;

	if (!c->has_xml_begun) {
		c->has_xml_begun = true;
		soap_envelope_begin(out);
		buf_addf(out, "<%sResponse xmlns=\"%s\">", c->method_name, c->ns);
	}
	if (c->stream_next(c->stream_arg, out)) {
		return true;
	}
	buf_addf(out, "</%sResponse>", c->method_name);
	soap_envelope_end(out);
	return false;
}

static void stream_done(void *arg)
{
	struct call_state *c = arg;

	c->stream_done(c->stream_arg);
	call_end(c);
}

void call_stream(struct call *pub, bool (*next)(void *arg, struct buf *out),
		 void (*done)(void *arg), void *arg)
{
	struct call_state *c = call_state(pub);

	call_check_open(c);
	if (c->reply == NULL) {
		done(arg);
		struct error e;
		error_set(&e, ERROR_UNSUPPORTED, "method \"%s\" streams, which needs a client",
			  c->method_name);
		call_error(pub, &e);
		return;
	}
	if (c->phase == CALL_RUNNING) {
		call_wait(c);
	}
	struct service_reply *reply = c->reply;
	c->phase = CALL_STREAMING;
	c->reply = NULL;
	c->on_abort = NULL;
	c->stream_next = next;
	c->stream_done = done;
	c->stream_arg = arg;
	reply->stream(reply, stream_pull, stream_done, c);
}

/* ---- what handlers ask ---- */

void *call_arg(const struct call *c)
{
	return call_state_of(c)->handler->arg;
}

bool call_wants_xml(const struct call *c)
{
	return call_state_of(c)->is_xml;
}

struct buf *call_xml(struct call *pub)
{
	struct call_state *c = call_state(pub);

	call_check_open(c);
	assert(c->is_xml);
	buf_clear(&c->out);
	soap_envelope_begin(&c->out);
	buf_addc(&c->out, '<');
	buf_adds(&c->out, c->method_name);
	buf_adds(&c->out, "Response xmlns=\"");
	buf_adds(&c->out, c->ns);
	buf_adds(&c->out, "\">");
	c->has_xml_begun = true;
	return &c->out;
}

void call_xml_end(struct call *pub)
{
	struct call_state *c = call_state(pub);

	assert(c->has_xml_begun);
	buf_adds(&c->out, "</");
	buf_adds(&c->out, c->method_name);
	buf_adds(&c->out, "Response>");
	soap_envelope_end(&c->out);
	call_send(c, 200);
}

struct arena *call_take_arena(struct call *c)
{
	call_state(c)->is_arena_taken = true;
	return c->arena;
}

void call_set_cookie(struct call *pub, const char *session_key)
{
	struct call_state *c = call_state(pub);

	if (c->reply != NULL) {
		c->reply->cookie(c->reply, session_key);
	}
}

void call_on_abort(struct call *pub, void (*fn)(void *arg), void *arg)
{
	struct call_state *c = call_state(pub);

	c->on_abort = fn;
	c->abort_arg = arg;
}

bool call_require(struct call *c, struct object *o, const char *privilege)
{
	if (session_may(c->session, o, privilege)) {
		return true;
	}
	call_fault(c, fault_no_permission(c->arena, o->ref, privilege),
		   "\"%s\" lacks the privilege %s on \"%s\"", session_user(c->session), privilege,
		   object_id(o));
	return false;
}

struct object *call_object(struct call *c, unsigned arg, uint16_t managed, bool *ok)
{
	const struct value *ref = value_get_value(c->args, arg);

	*ok = true;
	if (ref == NULL) {
		return NULL;
	}
	struct object *o = inventory_find(c->service->config.inventory, value_bytes(ref));
	*ok = o != NULL && !o->removed && schema_is_a(o->type, managed);
	if (*ok) {
		return o;
	}
	const char *name = schema_field_name(schema_field(schema_method(c->method)->args, arg));
	if (o == NULL || o->removed) {
		call_fault(c, fault_not_found(c->arena, ref), "there is no object \"%s\" (%s)",
			   value_bytes(ref), name);
	} else {
		call_fault(c, fault_invalid_argument(c->arena, name),
			   "\"%s\" is a %s, %s must be a %s", value_bytes(ref),
			   schema_type_name(o->type), name, schema_type_name(managed));
	}
	return NULL;
}
