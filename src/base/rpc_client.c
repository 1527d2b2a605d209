/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States: waiting (timer runs, peer NULL) -> connected (peer set) -> waiting (on_gone), until
 * rpc_client_free().
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rpc_peer.h"
#include "base/socket.h"
#include "base/timer.h"

LOG_MODULE("rpc");

#define PAUSE_MIN_MS 50
#define PAUSE_MAX_MS 5000
#define STABLE_US    1000000 /* a connection that lasted so long was a good one */

struct rpc_client {
	struct rpc_shared shared;
	char *path;
	uv_loop_t *loop;
	struct rpc_peer *peer;
	struct timer *timer;
	int64_t pause_ms; /* the next one */
	int64_t connected_us;
};

static void connect_now(void *arg)
{
	struct rpc_client *c = arg;
	struct error e;
	int fd = socket_connect_unix(c->path, &e);
	if (fd >= 0) {
		c->peer = rpc_peer_new(c->loop, fd, &c->shared, &e);
	}
	if (!c->peer) {
		log_debug("%s, next try in %lld ms", e.msg, (long long)c->pause_ms);
		timer_start(c->timer, c->pause_ms, 0);
		c->pause_ms = MIN(c->pause_ms * 2, (int64_t)PAUSE_MAX_MS);
		return;
	}
	c->connected_us = clock_mono_us(clock_real());
	if (c->shared.options.on_connect) {
		c->shared.options.on_connect(c->shared.options.arg, c->peer);
	}
}

static void on_gone(void *owner, struct rpc_peer *peer)
{
	struct rpc_client *c = owner;
	(void)peer;
	c->peer = NULL;
	/* Not at once, and slower each time: a server may drop us on sight. */
	if (clock_mono_us(clock_real()) - c->connected_us > STABLE_US) {
		c->pause_ms = PAUSE_MIN_MS;
	}
	timer_start(c->timer, c->pause_ms, 0);
	c->pause_ms = MIN(c->pause_ms * 2, (int64_t)PAUSE_MAX_MS);
}

struct rpc_client *rpc_client_new(uv_loop_t *loop, const struct rpc_options *options)
{
	struct rpc_client *c = mem_zalloc(sizeof(*c));
	c->loop = loop;
	c->path = mem_strdup(options->path);
	c->shared = (struct rpc_shared){ .options = *options, .on_gone = on_gone, .owner = c };
	c->shared.options.path = c->path;
	if (!c->shared.options.message_limit) {
		c->shared.options.message_limit = RPC_MESSAGE_LIMIT;
	}
	c->pause_ms = PAUSE_MIN_MS;
	c->timer = timer_new(loop, clock_real(), connect_now, c);
	timer_start(c->timer, 0, 0);
	return c;
}

void rpc_client_free(struct rpc_client *c)
{
	if (!c) {
		return;
	}
	if (c->peer) {
		rpc_peer_orphan(c->peer);
	}
	timer_free(c->timer);
	free(c->path);
	free(c);
}

struct rpc_peer *rpc_client_peer(const struct rpc_client *c)
{
	return c->peer;
}

/* For rpc_request(). */
struct once {
	struct rpc_peer *peer; /* NULL: gone */
	bool is_done, ok;
	struct json_object *result;
	struct error *error;
};

static void on_reply(void *arg, const struct rpc_reply *reply)
{
	struct once *once = arg;
	once->is_done = true;
	once->ok = !reply->error;
	if (reply->error && once->error) {
		*once->error = *reply->error;
	}
	once->result = json_object_get(reply->result.value);
}

static void forget(void *owner, struct rpc_peer *peer)
{
	struct once *once = owner;
	(void)peer;
	once->peer = NULL;
}

bool rpc_request(const char *path, const char *method, struct json_object *params,
		 int64_t timeout_ms, struct json_object **result, struct error *e)
{
	struct once once = { .error = e };
	struct rpc_shared shared = {
		.options = { .path = path, .message_limit = RPC_MESSAGE_LIMIT },
		.on_gone = forget,
		.owner = &once,
	};
	uv_loop_t loop;
	int failed = uv_loop_init(&loop);
	if (failed) {
		json_object_put(params);
		return error_set_sys(e, -failed, "event loop");
	}
	int fd = socket_connect_unix(path, e);
	once.peer = fd < 0 ? NULL : rpc_peer_new(&loop, fd, &shared, e);
	if (once.peer) {
		rpc_peer_call(once.peer, method, params, timeout_ms, on_reply, &once);
	} else {
		once.is_done = true;
		json_object_put(params);
	}
	while (!once.is_done) {
		uv_run(&loop, UV_RUN_ONCE);
	}
	if (once.peer) {
		rpc_peer_orphan(once.peer);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	if (once.ok) {
		*result = once.result;
	}
	return once.ok;
}
