/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of QEMU's machine protocol (QMP; docs/interop/qmp-spec.txt of QEMU): JSON messages,
 * one a line, over a unix socket.
 *
 * The peer is not trusted: a guest may have taken QEMU over. Lines, depth and what is kept are
 * bounded; anything that is not QMP closes the connection with an error and nothing else.
 *
 * The caller owns the struct qmp and frees it, from within a callback too. All on the loop's
 * thread; callbacks never come from within qmp_new() or qmp_execute().
 */
#pragma once

#include <stdint.h>
#include <uv.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"

#define QMP_LINE_MAX	(1 << 20) /* bytes of one message */
#define QMP_DEPTH_MAX	32
#define QMP_PENDING_MAX 64
#define QMP_GREETING_MS 60000 /* a loaded machine may take long to start QEMU */
#define QMP_TIMEOUT_MS	30000 /* of ordinary commands */

enum qmp_kind {
	QMP_GREETING,
	QMP_RETURN,
	QMP_ERROR,
	QMP_EVENT,
};

/* One message; pointers lead into root. */
struct qmp_message {
	enum qmp_kind kind;
	struct json_object *root;  /* owned */
	struct json_object *value; /* what RETURN returned, an EVENT's data (may be NULL) */
	bool has_id;
	uint64_t id;	  /* RETURN, ERROR */
	const char *name; /* EVENT: its name; ERROR: its class */
	const char *text; /* ERROR: for people */
};

/* Takes one line without its end. ERROR_INVALID or ERROR_LIMIT where it is no QMP. */
bool qmp_message_parse(const char *line, size_t n, struct qmp_message *out, struct error *e);
void qmp_message_fini(struct qmp_message *m);

/* The kind of what QEMU says in words, over QMP or on stderr; ERROR_IO where it is not known. */
enum error_kind qmp_error_kind(const char *text);

struct qmp;

struct qmp_handler {
	void (*ready)(void *arg); /* greeted and negotiated: commands are taken now */
	void (*event)(void *arg, const char *name, const struct json_at *data);
	/* The connection is over, after the replies of what was pending; once. */
	void (*closed)(void *arg, const struct error *e);
	void *arg;
};

/* Takes over fd, a connected stream socket. */
struct qmp *qmp_new(uv_loop_t *loop, struct clock *c, int fd, const struct qmp_handler *h);
/* Nothing is called any more. NULL is fine. */
void qmp_free(struct qmp *q);

struct qmp_call {
	/* Once: the returned value, or an error. NULL: nobody asks. */
	void (*done)(void *arg, const struct json_at *value, const struct error *e);
	void *arg;
	int64_t timeout_ms; /* 0: QMP_TIMEOUT_MS */
	int fd;		    /* > 0: passed along (getfd), still the caller's */
};

/* `arguments` is taken over, also on failure; NULL: none. ERROR_UNREACHABLE where the connection
 * is not ready or over, ERROR_LIMIT where too much waits. */
bool qmp_execute(struct qmp *q, const char *command, struct json_object *arguments,
		 const struct qmp_call *call, struct error *e);

bool qmp_is_ready(const struct qmp *q);
/* The first number of QEMU's version, from its greeting; 0: not known. */
unsigned qmp_major(const struct qmp *q);

/* Handles what has arrived already, up to the end of the stream; for a peer known to be dead. May
 * call back and so free q. */
void qmp_drain(struct qmp *q);
