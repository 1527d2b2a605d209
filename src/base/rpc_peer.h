/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection, for base/rpc_server.c and base/rpc_client.c. The owner makes it with a connected
 * socket; it frees itself after it was closed. on_gone tells the owner, which then forgets it.
 */
#ifndef BASE_RPC_PEER_H
#define BASE_RPC_PEER_H

#include <uv.h>

#include "base/rpc.h"

/* What peers of one owner share; outlives them or is cut off by rpc_peer_orphan(). */
struct rpc_shared {
	struct rpc_options options;
	void (*on_gone)(void *owner, struct rpc_peer *peer);
	void *owner;
};

/* Takes over fd, in every case; NULL and an error where it cannot be used. Calls no callback. */
struct rpc_peer *rpc_peer_new(uv_loop_t *loop, int fd, struct rpc_shared *shared, struct error *e);

/* Takes the next connection of a listening handle. */
struct rpc_peer *rpc_peer_accept(uv_stream_t *listener, struct rpc_shared *shared, struct error *e);

/* Closes without telling anybody but the waiting callers, who get ERROR_CANCELED. */
void rpc_peer_orphan(struct rpc_peer *peer);

#endif
