/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP request and its answer, from inside: for server.c, exchange.c, respond.c and sdk.c only.
 *
 * States of an exchange:
 *
 *   NEW --exchange_begin()--> AUTH --password checked--> BODY   (Basic authentication only)
 *   NEW --exchange_begin()--> BODY --last byte--> COMPLETE
 *   any --http_respond…()--> has a response, which exchange_step() queues when libmicrohttpd
 *   allows: at once before the body, else after it; when too much of the body is still to come,
 *   respond_at_once() goes past libmicrohttpd. Either way linger.h sees to the rest of the body
 *
 * 1. libmicrohttpd calls exchange_step(); between calls the connection either waits for its socket
 *    or is suspended, and then `wait` says for what.
 * 2. A suspended connection's socket is watched for the peer's end, as libmicrohttpd does not look
 *    at it.
 * 3. A stream outlives its exchange: libmicrohttpd lets go of the response later.
 */
#ifndef VIM_EXCHANGE_H
#define VIM_EXCHANGE_H

#include <microhttpd.h>

#include "base/arena.h"
#include "base/list.h"
#include "vim/linger.h"
#include "vim/server.h"

enum {
	SERVER_CONNECTIONS_MAX = 4096,
	SERVER_ROUTES_MAX = 32,
	EXCHANGE_HEADERS_MAX = 16,
};

enum exchange_phase {
	EXCHANGE_NEW,
	EXCHANGE_AUTH,
	EXCHANGE_BODY,
	EXCHANGE_COMPLETE
};

enum exchange_wait {
	WAIT_NOTHING, /* not suspended */
	WAIT_ANSWER,
	WAIT_ROOM,   /* the route takes no more of the body now */
	WAIT_STREAM, /* the answer's stream has nothing now */
};

/* Watches a suspended connection's socket. Freed by its close callback. */
struct peer_watch {
	uv_poll_t poll;
	struct exchange *exchange; /* NULL: closing */
};

/* An answer's stream; libmicrohttpd owns it through the response. */
struct stream {
	struct exchange *exchange; /* NULL: over */
	struct server *server;
	struct http_stream source;
	bool (*pull)(void *arg, struct buf *out); /* instead of source.read */
	bool is_last;				  /* pull() has given all */
	size_t n_sent;				  /* of `out` */
	struct buf out;
};

struct exchange {
	struct http_request pub;
	struct list_node link; /* in server->exchanges, or server->idle */
	struct server *server;
	struct caller *caller;
	struct MHD_Connection *connection;
	const struct http_route *route; /* NULL: /sdk or an error */
	enum exchange_phase phase;
	enum exchange_wait wait;
	bool is_sdk;
	bool is_gone;	 /* the peer has closed, or the server stops */
	bool is_begun;	 /* route->begin() was called */
	bool is_resumed; /* http_resume() came while the route was running */
	bool is_queued;
	bool is_whole;	    /* the answer's body is `out` */
	bool is_stranger;   /* /sdk: no cookie of a session */
	bool is_cut;	    /* answered before all of the body was read */
	uint64_t n_dropped; /* bytes of body that came after the answer */
	size_t n_held;	    /* bytes of body in `in`, counted in server->n_held too */
	char *target;
	const char *version; /* "HTTP/1.1" */
	struct arena *arena;
	struct buf in, out;
	struct service_reply reply;
	struct call *call;
	struct session_item item;  /* r->session ends before us */
	struct basic_login *login; /* a password check is under way */
	struct session *basic;	   /* made for this request only */
	struct MHD_Response *response;
	unsigned status;
	struct stream *stream;
	struct {
		const char *name, *value;
	} headers[EXCHANGE_HEADERS_MAX];
	unsigned n_headers;
	struct peer_watch *watch;
};

struct server {
	struct server_config config;
	struct MHD_Daemon *daemon;
	uv_poll_t poll;	    /* the daemon's epoll fd */
	uv_timer_t timer;   /* its time-outs; at least every two seconds */
	uv_timer_t again;   /* as soon as everything else had its turn */
	unsigned n_handles; /* not closed yet */
	uint16_t port;
	bool is_loopback;
	bool is_stopping;
	struct list exchanges, idle;
	struct linger_list lingering;
	unsigned n_idle;
	unsigned n_sending;	    /* answers under way */
	unsigned n_running;	    /* exchanges that are not suspended */
	unsigned n_ahead;	    /* callers with bytes that TLS has not taken yet */
	size_t n_held[2];	    /* bytes of bodies kept: of sessions, of strangers */
	uint64_t n_callbacks;	    /* libmicrohttpd made: it gets on */
	unsigned n_silent;	    /* connections */
	unsigned n_stale, pause_ms; /* see server_run() */
	struct list held;	    /* callers whose answers wait for callers_release() */
	struct list young;	    /* connections before their first request, oldest first */
	struct http_route routes[SERVER_ROUTES_MAX];
	unsigned n_routes;
	void *ticket_key; /* gnutls_datum_t */
	struct server_metrics *metrics;
};

static inline struct exchange *exchange_of(struct http_request *r)
{
	return CONTAINER_OF(r, struct exchange, pub);
}

/* Answers those whose body was refused, but who send nothing of it. Every other second or so. */
void exchange_sweep(struct server *s);

/* exchange.c: callbacks of libmicrohttpd. */
void *exchange_new(void *arg, const char *uri, struct MHD_Connection *connection);
enum MHD_Result exchange_step(void *server, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *upload_data,
			      size_t *upload_data_size, void **context);
void exchange_finished(void *server, struct MHD_Connection *connection, void **context,
		       enum MHD_RequestTerminationCode code);
/* Drops what is kept for reuse. */
void exchange_dispose(struct exchange *x);
/* The peer is gone, or nobody will answer any more: the waiting call is told. */
void exchange_abandon(struct exchange *x);

void exchange_suspend(struct exchange *x, enum exchange_wait wait);
void exchange_continue(struct exchange *x); /* ends the suspension, if any */

/* respond.c */
/* The answer's body is x->out, its type and status as given. */
void respond_out(struct exchange *x, int status, const char *content_type);
void respond_pull(struct exchange *x, const char *content_type,
		  bool (*pull)(void *arg, struct buf *out), void (*done)(void *arg), void *arg);

/* Sends an answer made of text in the middle of a body, where libmicrohttpd sends none; the
 * connection has to be closed after it. */
void respond_at_once(struct exchange *x);

/* sdk.c: what is served under /sdk. */
void sdk_begin(struct exchange *x); /* headers are there */
void sdk_body(struct exchange *x, const char *data, size_t n);
void sdk_complete(struct exchange *x); /* so is the body */
void sdk_drop(struct exchange *x);     /* the body is kept no longer */

/* server.c */
const struct http_route *server_find_route(const struct server *s, const char *path);
void server_run(struct server *s);
void server_wake(struct server *s); /* server_run() soon */

#endif
