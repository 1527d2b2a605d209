/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTPS front of a node: libmicrohttpd + GnuTLS on the node's event loop (one thread, no others).
 * Serves /sdk (service.h), /sdk/vimServiceVersions.xml, /sdk/vimService.wsdl, /metrics, and routes
 * that programs add.
 *
 * Order at the end: server_free() first (waiting calls are told that their client is gone), then
 * session manager, service and the rest.
 *
 * A client that goes away while its answer is waited for is noticed at once when it closes its
 * connection, and by TCP keep-alive within two minutes when it vanishes.
 */
#ifndef VIM_SERVER_H
#define VIM_SERVER_H

#include <sys/types.h>

#include <uv.h>

#include "base/buf.h"
#include "base/error.h"
#include "vim/session.h"

struct server;

struct server_config {
	uv_loop_t *loop;
	const char *address;   /* "127.0.10.1" */
	uint16_t port;	       /* 0: any free port, see server_port() */
	const char *cert_path; /* PEM; certificate.h makes them */
	const char *key_path;
	bool plain_http; /* only for loopback; no TLS */
	struct service *service;
	struct session_manager *sessions;
};

struct server *server_new(const struct server_config *config, struct error *e);
uint16_t server_port(const struct server *s);
/* Lets answers that are being sent finish, for at most a second; the loop must turn once more
 * before it is closed. */
void server_free(struct server *s);

/* One HTTP request to a route. Read the members. */
struct http_request {
	const char *method;	 /* "GET", "HEAD", "PUT", "POST", "DELETE" */
	const char *path;	 /* after decoding of %xx; no NUL, no "..": checked */
	struct session *session; /* from cookie or ticket; NULL: none */
	const char *peer;
	int64_t content_length; /* -1: chunked */
	void *arg;		/* of the route */
	void *state;		/* the route's own, per request */
};
const char *http_header(struct http_request *r, const char *name);
const char *http_query(struct http_request *r, const char *name); /* decoded, NULL when absent */
/* HTTP Basic credentials, if given (used by /folder); buffers in the request's memory. */
bool http_basic_auth(struct http_request *r, const char **user, const char **password);

struct http_route {
	const char *prefix; /* "/folder", longest prefix wins */
	bool needs_session; /* 401 before the handler otherwise; session cookie, ticket or Basic */
	/* Headers are there, the body is not: answer at once with http_respond…() or return true to
	 * receive it. */
	bool (*begin)(struct http_request *r);
	/* Part of the body. Returns how many bytes were taken (fewer: call http_resume() when there
	 * is room for more). NULL: a body is refused with 413. */
	size_t (*body)(struct http_request *r, const char *data, size_t len);
	/* Body complete: answer now or later. NULL together with body. */
	void (*complete)(struct http_request *r);
	/* Always last, also when the client vanished (r->state is yours to free). */
	void (*finish)(struct http_request *r, bool ok);
	void *arg;
};
void server_route(struct server *s, const struct http_route *route); /* copied, but not prefix */

void http_reply_header(struct http_request *r, const char *name, const char *value);
/* Takes the buffer's content. */
void http_respond(struct http_request *r, int status, const char *content_type, struct buf *body);
void http_respond_text(struct http_request *r, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A file's bytes from `offset`, sendfile where possible; takes the fd. */
void http_respond_fd(struct http_request *r, int status, const char *content_type, int fd,
		     uint64_t offset, uint64_t len);
/* A body that comes bit by bit. read() gives up to `max` bytes: their number, 0 for "nothing now"
 * (then http_resume() when there is more), -1 at the end, -2 to break the connection. len: -1 when
 * not known before. done(arg) once, always. */
struct http_stream {
	ssize_t (*read)(void *arg, char *data, size_t max);
	void (*done)(void *arg);
	void *arg;
	int64_t len;
};
void http_respond_stream(struct http_request *r, int status, const char *content_type,
			 const struct http_stream *stream);
/* Answers a GET or HEAD with a file of `size` bytes as the request's Range header asks: 200, 206 or
 * 416 (RFC 9110 §14). Takes the fd. */
void http_respond_file(struct http_request *r, const char *content_type, int fd, uint64_t size);
/* The body or stream goes on. */
void http_resume(struct http_request *r);

/* Another program's figures for /metrics: `ask` is called for each reading and calls done(ctx,
 * text) once, now or later; text "" where there are none. Before the server serves. */
void server_extend_metrics(struct server *s,
			   void (*ask)(void *arg, void (*done)(void *ctx, const char *text),
				       void *ctx),
			   void *arg);

#endif
