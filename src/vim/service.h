/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One API endpoint: takes requests, finds object and method, checks session and privilege, runs the
 * handler, and sends exactly one answer.
 *
 * A handler is one function for one method. It reads c->args, does its work and ends the call with
 * exactly one of call_return(), call_fault(), call_error() or call_stream(), at once or later (then
 * it keeps the struct call pointer; call_on_abort() tells it if the client goes away first). For
 * *_Task methods it hands the call over to task_begin() (task.h).
 *
 * The service checks before the handler runs: a session exists unless the method may be called
 * without (NotAuthenticated; first, so that strangers learn nothing), the object exists
 * (ManagedObjectNotFound), the method belongs to its type (MethodNotFound), and the session's user
 * holds the privilege that the schema names on the object or, for objects outside the entity tree,
 * on the root folder (NoPermission). Required arguments are present and of the declared type: the
 * SOAP reader has seen to that. A method of the type without a handler answers NotSupported.
 * Without a session manager (session.h) nothing but the methods for everyone may be called.
 *
 * Event-loop thread only.
 */
#ifndef VIM_SERVICE_H
#define VIM_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "vim/inventory.h"
#include "vim/soap.h"
#include "vim/value.h"

struct service;
struct session;
struct session_manager;

/* One method call in progress. Handlers read the members. */
struct call {
	struct service *service;
	struct session *session;  /* NULL: not logged in (only for methods that allow it) */
	struct object *self;	  /* looked up and alive when the handler starts */
	const struct value *args; /* structure schema_method(method)->args */
	struct arena *arena;	  /* dropped after the answer; drafts for the reply go here */
	uint16_t method;
	uint8_t version;	  /* the client's version index */
	const char *peer;	  /* address of the client */
	const char *user_agent;	  /* or NULL */
	const char *operation_id; /* or NULL */
};

typedef void call_fn(struct call *c);

/* Objects that every service knows. Filled in by the program (host or center) at start. */
struct service_config {
	uv_loop_t *loop;
	struct clock *clock;
	struct inventory *inventory;
	const char *instance_id;    /* "ServiceInstance" */
	const char *root_folder_id; /* for privilege checks outside the entity tree */
};

struct service *service_new(const struct service_config *config);
void service_free(struct service *s);
struct inventory *service_inventory(struct service *s);
uv_loop_t *service_loop(struct service *s);
struct clock *service_clock(struct service *s);
struct object *service_root(struct service *s); /* the root folder; NULL when there is none yet */
const char *service_root_id(const struct service *s);

/* The session manager names itself here when it is made (NULL: taken away). */
void service_set_sessions(struct service *s, struct session_manager *m);
struct session_manager *service_sessions(struct service *s);

/* Whose request is being worked on: what computed properties that differ by session
 * (currentSession, effectiveRole) go by. The service sets it around handlers; who reads properties
 * at other times for a session (the collector, for a waiting client) sets it and puts the old one
 * back after. */
struct session *service_acting(const struct service *s);
struct session *service_act_as(struct service *s, struct session *session); /* returns the old */

/* Registers the handler of a method, for objects of `managed` type and what derives from it (the
 * most specific registration wins: Destroy_Task of VirtualMachine before that of ManagedEntity).
 * `arg` is what call_arg() returns. */
void service_handle(struct service *s, uint16_t managed, uint16_t method, call_fn *fn, void *arg);
void *call_arg(const struct call *c);
/* For a handler that finds the object is not its own: runs the handler that was registered before
 * it for this method, or refuses the call with NotSupported. Everything else of the call is as it
 * was; nothing may have been done with it yet. */
void call_pass(struct call *pub);

/* ---- ending a call ---- */

/* v as the method's declared result; NULL for void or unset. A draft or a kept value. */
void call_return(struct call *pub, const struct value *v);
/* A typed fault (draft or kept structure deriving from MethodFault) and its message. */
void call_fault(struct call *c, const struct value *fault, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The fault that fits the error's kind (fault.h), with the error's message. */
void call_error(struct call *c, const struct error *e);
/* Streams the content of the Response element: next() appends some text to `out` and returns false
 * when that was the last; called whenever the client has taken what was there. `done` frees arg.
 * The arena lives until done. */
void call_stream(struct call *pub, bool (*next)(void *arg, struct buf *out),
		 void (*done)(void *arg), void *arg);

/* For handlers that write XML themselves: the answer's buffer, with everything up to and including
 * the Response element's start tag in it. Append <returnval> elements, then call_xml_end(); any
 * other ending throws away what was written. Only where call_wants_xml(): in-process callers
 * (service_call()) want values. The buffer is valid until the handler returns; a call that is
 * answered late calls call_xml() when the content is there. */
bool call_wants_xml(const struct call *c);
struct buf *call_xml(struct call *pub);
void call_xml_end(struct call *pub);

/* Takes the call's arena over, c->args in it: the caller frees it with arena_free() some time after
 * the call was ended. The call must still be ended. */
struct arena *call_take_arena(struct call *c);

/* Session cookie to set with the answer; "" takes the client's away. */
void call_set_cookie(struct call *pub, const char *session_key);

/* fn(arg) once if the client goes away or its session ends before the call is answered. The handler
 * must then still end the call, at once or soon (with any of the above; a client that is gone gets
 * nothing). While a call waits, its session does not expire. */
void call_on_abort(struct call *pub, void (*fn)(void *arg), void *arg);

/* True when the session holds the privilege on the object; otherwise answers with NoPermission (the
 * call is over) and returns false. For checks beyond the one that the schema names. */
bool call_require(struct call *c, struct object *o, const char *privilege);

/* The object that a reference argument names; answers ManagedObjectNotFound or InvalidArgument (the
 * call is over) and returns NULL when there is none of that type. Optional and unset: NULL with
 * *ok = true. */
struct object *call_object(struct call *c, unsigned arg, uint16_t managed, bool *ok);

/* ---- called by the server and by in-process clients ---- */

/* How an answer leaves. Exactly one end() per request. */
struct service_reply {
	/* Whole document; status 200 or 500. May take the buffer's memory and put another empty
	 * buffer in its place. */
	void (*send)(struct service_reply *r, int status, struct buf *body);
	/* Streamed document: pull() is called for more until it returns false, then done(arg). */
	void (*stream)(struct service_reply *r, bool (*pull)(void *arg, struct buf *out),
		       void (*done)(void *arg), void *arg);
	/* Cookie to set ("" = clear), called before send. */
	void (*cookie)(struct service_reply *r, const char *session_key);
};

/* Takes one HTTP request body for /sdk. `session_key` is the cookie's value or NULL; `version` what
 * SOAPAction says. Copies what it needs before returning. */
enum {
	SERVICE_STRANGER_MAX = 256 << 10 /* a longer body is read only for a session */
};

struct service_request {
	const char *body;
	size_t len;
	const char *session_key;
	const char *soap_action; /* header value or NULL */
	const char *peer;
	const char *user_agent; /* or NULL */
	struct service_reply *reply;
};
/* Returned handle is for service_abort() when the client goes away before the answer; NULL when it
 * was answered within this call. service_abort() lets go of the reply at once: no function of it is
 * called any more. Not for answers that stream already: their stream is ended by done(). */
struct call *service_request(struct service *s, const struct service_request *in);
void service_abort(struct call *pub);

/* What was asked so far, for metrics. */
enum service_class {
	SERVICE_READ,	 /* the property collector, Fetch, views, searches */
	SERVICE_WAIT,	 /* WaitForUpdates(Ex): its time is mostly the client's wish */
	SERVICE_TASK,	 /* …_Task */
	SERVICE_SESSION, /* the session manager */
	SERVICE_OTHER,
	SERVICE_N_CLASSES
};
struct service_stats {
	uint64_t n_requests, n_faults;
	struct {
		uint64_t n, us; /* answered, and the time until then */
	} classes[SERVICE_N_CLASSES];
	uint32_t n_waiting; /* calls begun and not yet answered */
};
void service_stats(const struct service *s, struct service_stats *out);

/*
 * In-process call without XML (remora simulate's manager calling its hosts): runs the method as
 * `session`, then done(arg, result, fault, text) once, perhaps before this
 * returns; result and fault are valid only during done(). args (NULL: none) must stay valid until
 * done(). The same checks as for clients, except that arguments are taken as they are.
 */
void service_call(struct session *session, struct object *self, uint16_t method,
		  const struct value *args,
		  void (*done)(void *arg, const struct value *result, const struct value *fault,
			       const char *text),
		  void *arg);

#endif
