/* SPDX-License-Identifier: Apache-2.0 */
/* One JSON-RPC message from and to text; for base/rpc_*.c. No state. */
#ifndef BASE_RPC_MESSAGE_H
#define BASE_RPC_MESSAGE_H

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/rpc.h"

enum rpc_message_kind {
	RPC_REQUEST,
	RPC_NOTIFICATION,
	RPC_RESULT,
	RPC_ERROR
};

/* Owns root; the others point into it. */
struct rpc_message {
	enum rpc_message_kind kind;
	struct json_object *root;
	struct json_object *id;	  /* string or whole number; NULL for a notification, or null */
	const char *method;	  /* of a request or notification */
	struct json_object *body; /* params, result or error, as kind says; may be NULL */
};

/* Parses a line of n bytes without its end. Where it returns false, *code and the error are what
 * the sender is to be told, and nothing is owned. */
bool rpc_message_parse(const char *line, size_t n, struct rpc_message *out, enum rpc_code *code,
		       struct error *e);
void rpc_message_fini(struct rpc_message *m);

/* Reads an error object: our kind where data says one. */
void rpc_message_read_error(struct json_object *body, int *code, struct json_at *data,
			    struct error *out);

/* Appends a line with its end. body is borrowed. */
void rpc_message_add_request(struct buf *out, const char *method, struct json_object *params,
			     uint64_t id /* 0: a notification */);
void rpc_message_add_result(struct buf *out, struct json_object *id, struct json_object *result);
void rpc_message_add_error(struct buf *out, struct json_object *id, enum rpc_code code,
			   const struct error *e, struct json_object *data);

#endif
