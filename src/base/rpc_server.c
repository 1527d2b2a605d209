/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rpc_peer.h"
#include "base/socket.h"
#include "base/vec.h"

LOG_MODULE("rpc");

struct rpc_server {
	struct rpc_shared shared;
	char *path;
	dev_t dev; /* of the socket file, to remove no other */
	ino_t ino;
	uv_pipe_t listener;
	VEC(struct rpc_peer *) peers;
};

static void on_gone(void *owner, struct rpc_peer *peer)
{
	struct rpc_server *s = owner;
	for (size_t i = 0; i < s->peers.n; i++) {
		if (s->peers.items[i] == peer) {
			vec_remove(&s->peers, i);
			return;
		}
	}
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct rpc_server *s = listener->data;
	const struct rpc_options *o = &s->shared.options;
	struct error e;
	if (status < 0) {
		log_limited_warn("socket \"%s\": %s", s->path, uv_strerror(status));
		return;
	}
	struct rpc_peer *p = rpc_peer_accept(listener, &s->shared, &e);
	if (!p) {
		log_limited_warn("%s", e.msg);
		return;
	}
	if (s->peers.n >= o->n_peers_max) {
		log_limited_warn("socket \"%s\": more than %u connections, one refused", s->path,
				 o->n_peers_max);
		rpc_peer_orphan(p);
		return;
	}
	vec_push(&s->peers, p);
	if (o->on_connect) {
		o->on_connect(o->arg, p);
	}
}

static void on_listener_closed(uv_handle_t *h)
{
	free(h->data);
}

static void remember_file(struct rpc_server *s)
{
	struct stat st;
	if (lstat(s->path, &st) == 0) {
		s->dev = st.st_dev;
		s->ino = st.st_ino;
	}
}

struct rpc_server *rpc_server_new(uv_loop_t *loop, const struct rpc_options *options,
				  struct error *e)
{
	int fd = socket_listen_unix(options->path, 0600, e);
	if (fd < 0) {
		return NULL;
	}
	struct rpc_server *s = mem_zalloc(sizeof(*s));
	s->path = mem_strdup(options->path);
	s->shared = (struct rpc_shared){ .options = *options, .on_gone = on_gone, .owner = s };
	struct rpc_options *o = &s->shared.options;
	o->path = s->path;
	o->message_limit = o->message_limit ? o->message_limit : RPC_MESSAGE_LIMIT;
	o->n_peers_max = o->n_peers_max ? o->n_peers_max : RPC_PEERS_MAX;
	remember_file(s);
	uv_pipe_init(loop, &s->listener, 0);
	s->listener.data = s;
	int failed = uv_pipe_open(&s->listener, fd);
	if (failed) {
		close(fd);
	} else {
		failed = uv_listen((uv_stream_t *)&s->listener, 128, on_connection);
	}
	if (failed) {
		error_set_sys(e, -failed, "socket \"%s\"", s->path);
		rpc_server_free(s);
		return NULL;
	}
	return s;
}

void rpc_server_free(struct rpc_server *s)
{
	if (!s) {
		return;
	}
	while (s->peers.n) {
		rpc_peer_orphan(vec_pop(&s->peers));
	}
	vec_free(&s->peers);
	struct stat st;
	if (lstat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino) {
		unlink(s->path);
	}
	free(s->path);
	uv_close((uv_handle_t *)&s->listener, on_listener_closed);
}

size_t rpc_server_n_peers(const struct rpc_server *s)
{
	return s->peers.n;
}

void rpc_server_notify_all(struct rpc_server *s, const char *method, struct json_object *params)
{
	vec_each (&s->peers, p) {
		rpc_peer_notify(*p, method, json_object_get(params));
	}
	json_object_put(params);
}
