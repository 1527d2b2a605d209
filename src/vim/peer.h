/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTPS server that we are a client of: a few kept-alive connections to it, its certificate
 * pinned by thumbprint, its session cookie, and any number of requests at a time.
 *
 * Nothing is sent to a server before its certificate was looked at: neither password nor cookie.
 * Names and authorities in certificates do not count, only the thumbprint does, as vSphere has it
 * for hosts. A peer owns its requests; each ends with exactly one call of its done(). Event-loop
 * thread only.
 */
#ifndef VIM_PEER_H
#define VIM_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <uv.h>

#include "base/buf.h"
#include "base/error.h"

struct peer;
struct peer_request;

struct peer_config {
	uv_loop_t *loop;
	const char *url; /* "https://127.0.10.11:8443/sdk", "127.0.10.11:8443"; http:// too */
	const char *thumbprint; /* SHA-1 or SHA-256 in hex, colons or not; NULL: none is known */
	bool trust_any;		/* take any certificate when there is no thumbprint */
	int64_t connect_timeout_ms; /* 0: 10 s; for TCP and TLS together */
	unsigned max_connections;   /* 0: 8, and one for what is urgent; what exceeds them waits */
};

/* ERROR_INVALID: the URL or the thumbprint has no such form. */
struct peer *peer_new(const struct peer_config *config, struct error *e);
/* Ends all requests with ERROR_CANCELED first. */
void peer_free(struct peer *p);

const char *peer_origin(const struct peer *p); /* "https://127.0.10.11:8443" */
const char *peer_path(const struct peer *p);   /* of the URL given; "" when it had none */

/* Colon-separated upper-case thumbprints of the certificate that the server showed last, NULL
 * before the first connection. */
const char *peer_sha1(const struct peer *p);
const char *peer_sha256(const struct peer *p);
/* The last connection was refused because no or another thumbprint was expected. */
bool peer_is_unknown(const struct peer *p);

/* The server's session cookie (vmware_soap_session); "" when there is none. */
const char *peer_cookie(const struct peer *p);
void peer_set_cookie(struct peer *p, const char *value);

struct peer_file {
	int fd;		 /* of a regular file, positioned where to begin; stays the caller's */
	uint64_t length; /* source: bytes to send */
};

struct peer_answer {
	int status;
	const char *body; /* NUL-terminated; empty when it went to a file */
	size_t len;
};

/* A body, an answer or both that come and go bit by bit. Within these functions the request must
 * not be cancelled and the peer not be freed. */
struct peer_stream {
	/* What to send: bytes put into data, at most max; 0: nothing now, peer_resume() tells of
	 * more; -1: that was all. NULL: nothing is sent. */
	ssize_t (*read)(void *arg, char *data, size_t max);
	int64_t length; /* bytes to send; -1: not known before */
	/* The status is known, and peer_header() answers; the body follows. */
	void (*head)(void *arg, int status);
	/* Part of the body, whatever the status; false: no room now, the same comes again after
	 * peer_resume(). */
	bool (*write)(void *arg, const char *data, size_t n);
	void *arg;
};

typedef void peer_done_fn(void *arg, const struct peer_answer *answer, const struct error *e);

struct peer_order {
	const char *method;		  /* "GET", "HEAD", "POST", "PUT", "DELETE" */
	const char *path;		  /* encoded, with the query: "/sdk" */
	const char *content_type;	  /* of the body, or NULL */
	const char *soap_action;	  /* or NULL */
	struct buf *body;		  /* taken over; or NULL */
	const struct peer_file *source;	  /* body from a file instead */
	const struct peer_file *sink;	  /* answers with status 2xx go there */
	const struct peer_stream *stream; /* instead of body, source and sink; copied */
	const char *range;		  /* of a GET, "bytes=0-99"; or NULL */
	size_t max_bytes;		  /* of an answer in memory; 0: 1 MiB */
	int64_t timeout_ms; /* from when it is sent; 0: none, but a stall of 30 s ends it */
	/* Called now and then with the bytes sent or received so far and all there will be (0: not
	 * known). False ends the request with ERROR_CANCELED. */
	bool (*progress)(void *arg, uint64_t done, uint64_t total);
	/* answer is set whenever the server answered, whatever the status; else e is. Valid only
	 * during the call. ERROR_UNREACHABLE: no connection, connection lost, no answer in time.
	 * ERROR_PERMISSION: the certificate is not the expected one. ERROR_LIMIT: answer too large.
	 * ERROR_IO: reading or writing the file. ERROR_CANCELED. */
	peer_done_fn *done;
	void *arg;
};

/* Begins; done() is never called before this returns. NULL only while the peer is being freed. */
struct peer_request *peer_send(struct peer *p, const struct peer_order *order);
/* A stream's function that had nothing, or no room, is called again. */
void peer_resume(struct peer_request *r);
/* A header of the answer, from head() on; NULL: it has none. Valid until the request ends. */
const char *peer_header(struct peer_request *r, const char *name);
/* Right after peer_send(): another time-out than the order's. */
void peer_set_timeout(struct peer_request *r, int64_t timeout_ms);
/* Right after peer_send(): it does not wait for those before it. One at a time. */
void peer_hurry(struct peer_request *r);
/* Ends it: done() is called with ERROR_CANCELED before this returns. Accepts NULL. */
void peer_cancel(struct peer_request *r);

#endif
