/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the service keeps of a call in progress. For service.c and call.c only; handlers see
 * struct call.
 *
 * States of a call:
 *
 *   running --call_return() and its kin--> ended --handler returns--> free
 *   running --handler returns--> waiting --call_return() …--> free
 *   running or waiting --call_stream()--> streaming --last piece or client gone--> free
 *
 * 1. `reply` and `done` are used at most once; service_abort() clears `reply`.
 * 2. A waiting call is in the service's list and, where it has a session, among what the session
 *    owns, which keeps the session from expiring; when the session ends first, pub.session is NULL.
 * 3. A freed call goes to the service's free list with its arena and its buffer.
 */
#ifndef VIM_CALL_H
#define VIM_CALL_H

#include "base/list.h"
#include "vim/service.h"
#include "vim/session.h"

enum call_phase {
	CALL_RUNNING,
	CALL_WAITING,
	CALL_STREAMING,
	CALL_ENDED
};

/* A registered handler. Those of one method form a chain, most derived type first. */
struct call_handler {
	uint16_t managed;
	uint16_t next; /* index + 1 of the next in the chain; 0: last */
	call_fn *fn;
	void *arg;
};

struct call_state {
	struct call pub;	  /* first: call_state_of() */
	struct list_node link;	  /* waiting: in the service's list; free: in its free list */
	struct session_item item; /* waiting, with a session */
	enum call_phase phase;
	int64_t begun_us;
	bool is_on_stack;   /* its handler has not returned */
	bool is_owned;	    /* `item` is among the session's */
	bool is_xml;	    /* a client waits for a document, else done() for values */
	bool has_xml_begun; /* the Response element's start tag is in `out` */
	bool is_arena_taken;
	const struct call_handler *handler;
	const char *method_name;
	const char *ns;			   /* namespace of the answer */
	const struct schema_field *result; /* what the method returns */
	struct service_reply *reply;	   /* NULL: in-process, answered or client gone */
	void (*done)(void *arg, const struct value *result, const struct value *fault,
		     const char *text);
	void *done_arg;
	void (*on_abort)(void *arg);
	void *abort_arg;
	bool (*stream_next)(void *arg, struct buf *out);
	void (*stream_done)(void *arg);
	void *stream_arg;
	struct buf out;
};

static inline struct call_state *call_state(struct call *c)
{
	return CONTAINER_OF(c, struct call_state, pub);
}

static inline const struct call_state *call_state_of(const struct call *c)
{
	return (const void *)c;
}

struct service {
	struct service_config config;
	char *instance_id, *root_folder_id;
	struct session_manager *sessions;
	struct session *acting;
	uint16_t *chains; /* by method: index + 1 of the first handler */
	struct call_handler *handlers;
	uint16_t n_handlers, handlers_cap;
	struct list waiting;
	struct list idle_calls;
	unsigned n_idle_calls;
	struct service_stats stats;
	struct { /* what SOAPAction said last, most clients say the same each time */
		char text[48];
		uint8_t version;
	} actions[4];
	unsigned next_action;
};

struct call_state *call_begin(struct service *s);
void call_wait(struct call_state *c); /* the handler returned without an end */
void call_free(struct call_state *c); /* back to the free list */
void call_abort(struct call_state *c);

/* As call_fault(), with the faultcode that malformed requests get. */
void call_client_fault(struct call *c, const struct value *fault, const char *text);

#endif
