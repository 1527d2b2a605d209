/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON-RPC 2.0 over unix sockets, one message a line. Both sides of a connection may send
 * requests and notifications; batches are refused. https://www.jsonrpc.org/specification
 *
 * Server and client own their connections (struct rpc_peer): a peer is valid from on_connect
 * until on_disconnect returns. Everything is on the loop's thread. Messages have a limit on size
 * and depth; a peer that sends a longer line, or does not read what it is sent, is disconnected.
 */
#ifndef BASE_RPC_H
#define BASE_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/error.h"
#include "base/json.h"

#define RPC_MESSAGE_LIMIT ((size_t)16 << 20) /* bytes of a line, unless told */
#define RPC_PEERS_MAX	  64		     /* connections of a server, unless told */
#define RPC_CALLS_MAX	  1024		     /* unanswered requests of a peer */

/* Codes of the specification; errors of ours have RPC_FAILED and say their kind in data. */
enum rpc_code {
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_METHOD_NOT_FOUND = -32601,
	RPC_INVALID_PARAMS = -32602,
	RPC_INTERNAL_ERROR = -32603,
	RPC_FAILED = -32000,
};

struct rpc_peer;
struct rpc_call;

/* A method that this side answers. fn, or whoever it hands the call to, must end it exactly once
 * by rpc_call_reply() or rpc_call_fail(), now or later. */
struct rpc_method {
	const char *name;
	void (*fn)(void *arg, struct rpc_call *call);
};

/* All may be NULL; the arrays must outlive the server or client. */
struct rpc_options {
	const char *path;     /* of the socket; copied */
	size_t message_limit; /* bytes; 0: RPC_MESSAGE_LIMIT */
	unsigned n_peers_max; /* server: 0: RPC_PEERS_MAX */
	const struct rpc_method *methods;
	size_t n_methods;
	void (*on_request)(void *arg, struct rpc_call *call); /* methods that are in no table */
	void (*on_notification)(void *arg, struct rpc_peer *peer, const char *method,
				const struct json_at *params);
	void (*on_connect)(void *arg, struct rpc_peer *peer);
	void (*on_disconnect)(void *arg, struct rpc_peer *peer);
	void *arg; /* of all callbacks */
};

/* Listens, mode 0600; see socket_listen_unix(). */
struct rpc_server *rpc_server_new(uv_loop_t *loop, const struct rpc_options *options,
				  struct error *e);
/* Removes the socket and drops all peers; no callback comes any more, but requests of ours that
 * are open end with ERROR_CANCELED before it returns. */
void rpc_server_free(struct rpc_server *s);
size_t rpc_server_n_peers(const struct rpc_server *s);
void rpc_server_notify_all(struct rpc_server *s, const char *method, struct json_object *params);

/* Connects, and again whenever the connection is lost, with pauses from 50 ms to 5 s. Never
 * fails at once: on_connect tells. */
struct rpc_client *rpc_client_new(uv_loop_t *loop, const struct rpc_options *options);
void rpc_client_free(struct rpc_client *c);		      /* as rpc_server_free() */
struct rpc_peer *rpc_client_peer(const struct rpc_client *c); /* NULL: not connected */

/* What came back; valid during the callback. */
struct rpc_reply {
	const struct error *error; /* NULL: it worked */
	int code;		   /* of the error, 0 where it did not come from the peer */
	struct json_at result;	   /* value NULL: null or none */
	struct json_at error_data; /* value NULL: none */
};

/* Sends a request. params (taken over, NULL: none) is an object or array. on_reply is called
 * exactly once, never before this returns: with ERROR_TIMEOUT after timeout_ms (0: none),
 * ERROR_UNREACHABLE where the connection ends. Error kinds come through as the other side set
 * them. */
void rpc_peer_call(struct rpc_peer *peer, const char *method, struct json_object *params,
		   int64_t timeout_ms, void (*on_reply)(void *arg, const struct rpc_reply *reply),
		   void *arg);
void rpc_peer_notify(struct rpc_peer *peer, const char *method, struct json_object *params);
/* Bytes sent that the peer has not taken yet: who sends unasked looks at it, so that a slow reader
 * does not fill memory. */
size_t rpc_peer_backlog(const struct rpc_peer *peer);
/* fn is called once, when the peer goes, however it goes; it must not use the peer any more. One
 * at a time; fn NULL: none. */
void rpc_peer_set_end(struct rpc_peer *peer, void (*fn)(void *arg, struct rpc_peer *peer),
		      void *arg);
/* on_disconnect is called before this returns. */
void rpc_peer_close(struct rpc_peer *peer);

/* A request to be answered. */
const char *rpc_call_method(const struct rpc_call *call);
/* An object or array; value is NULL where the request had none. */
const struct json_at *rpc_call_params(const struct rpc_call *call);
struct rpc_peer *rpc_call_peer(const struct rpc_call *call); /* NULL: it went away meanwhile */
/* Both end the call, also where the peer went away. result and data are taken over (NULL: null,
 * none). */
void rpc_call_reply(struct rpc_call *call, struct json_object *result);
void rpc_call_fail(struct rpc_call *call, const struct error *e);
/* Adds members to the error's data, e.g. object and limit; data is an object. */
void rpc_call_fail_with(struct rpc_call *call, const struct error *e, struct json_object *data);

/* One request over a connection of its own, blocking for at most timeout_ms; for command lines.
 * *result is the caller's, may come out NULL (null). params is taken over. */
bool rpc_request(const char *path, const char *method, struct json_object *params,
		 int64_t timeout_ms, struct json_object **result, struct error *e);

#endif
