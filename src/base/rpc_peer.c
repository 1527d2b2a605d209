/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States: open -> closing (peer_close) -> freed (on_closed).
 *
 * Invariants:
 *  1. `pending` (our requests) and `calls` (theirs) are empty once closing: the first have got
 *     their reply (what is asked for while closing gets it in on_closed), the second have lost
 * their peer and are freed by whoever ends them.
 *  2. Callbacks may close the peer; after each one is_closing is looked at before anything else.
 *  3. shared is NULL once the owner is gone (rpc_peer_orphan); then is_closing holds too, and no
 *     callback but those of `pending` is made.
 *  4. Bytes before `scanned` in `in` hold no line end.
 */
#include "base/rpc_peer.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rpc_message.h"
#include "base/timer.h"

LOG_MODULE("rpc");

#define READ_STEP  65536
#define IN_KEPT	   ((size_t)1024 * 1024)      /* bytes of input memory that an idle peer keeps */
#define SEND_LIMIT ((size_t)64 * 1024 * 1024) /* bytes queued for a peer that does not read */

struct rpc_peer {
	uv_pipe_t pipe;
	struct rpc_shared *shared;
	struct buf in;
	size_t scanned;
	struct map64 pending; /* id -> struct pending */
	uint64_t last_id;
	struct list calls; /* struct rpc_call */
	unsigned n_calls;
	bool is_closing;
	void (*on_end)(void *arg, struct rpc_peer *peer);
	void *end_arg;
};

struct rpc_call {
	struct list_node node;
	struct rpc_peer *peer; /* NULL: went away */
	struct rpc_message message;
	struct json_at params;
};

/* A request of ours. */
struct pending {
	struct rpc_peer *peer;
	uint64_t id;
	struct timer *timer; /* NULL: no limit */
	void (*on_reply)(void *arg, const struct rpc_reply *reply);
	void *arg;
};

struct output {
	uv_write_t request;
	struct buf text;
};

static void finish_pending(struct pending *w, const struct rpc_reply *reply)
{
	timer_free(w->timer);
	w->on_reply(w->arg, reply);
	free(w);
}

static void fail_pending(struct pending *w, enum error_kind kind, const char *why)
{
	struct error e;
	error_set(&e, kind, "%s", why);
	const struct rpc_reply reply = { .error = &e };
	finish_pending(w, &reply);
}

static void fail_all_pending(struct rpc_peer *p, enum error_kind kind, const char *why)
{
	struct map64 pending = p->pending;
	p->pending = (struct map64){ 0 };
	map64_each(&pending, entry)
	{
		fail_pending(entry->value, kind, why);
	}
	map64_free(&pending);
}

static void on_closed(uv_handle_t *h)
{
	struct rpc_peer *p = h->data;
	fail_all_pending(p, ERROR_UNREACHABLE, "the connection was closed already");
	buf_free(&p->in);
	free(p);
}

/* What every end of a peer begins with. */
static void begin_close(struct rpc_peer *p, enum error_kind kind, const char *why)
{
	p->is_closing = true;
	if (p->on_end != NULL) {
		p->on_end(p->end_arg, p);
		p->on_end = NULL;
	}
	list_each_safe (struct rpc_call, call, &p->calls, node) {
		list_remove(&call->node);
		call->peer = NULL;
	}
	fail_all_pending(p, kind, why);
}

static void peer_close(struct rpc_peer *p, enum error_kind kind, const char *why)
{
	if (p->is_closing) {
		return;
	}
	begin_close(p, kind, why);
	if (p->shared && p->shared->options.on_disconnect) {
		p->shared->options.on_disconnect(p->shared->options.arg, p);
	}
	if (p->shared) {
		p->shared->on_gone(p->shared->owner, p);
	}
	p->shared = NULL;
	uv_close((uv_handle_t *)&p->pipe, on_closed);
}

void rpc_peer_orphan(struct rpc_peer *p)
{
	p->shared = NULL;
	if (!p->is_closing) {
		begin_close(p, ERROR_CANCELED, "the connection was closed on this side");
		uv_close((uv_handle_t *)&p->pipe, on_closed);
	}
}

size_t rpc_peer_backlog(const struct rpc_peer *p)
{
	return p->is_closing ? 0 : uv_stream_get_write_queue_size((const uv_stream_t *)&p->pipe);
}

void rpc_peer_set_end(struct rpc_peer *p, void (*fn)(void *arg, struct rpc_peer *peer), void *arg)
{
	p->on_end = fn;
	p->end_arg = arg;
}

void rpc_peer_close(struct rpc_peer *p)
{
	peer_close(p, ERROR_CANCELED, "the connection was closed on this side");
}

static void on_written(uv_write_t *request, int status)
{
	struct rpc_peer *p = request->handle->data;
	struct output *o = CONTAINER_OF(request, struct output, request);
	buf_free(&o->text);
	free(o);
	if (status < 0 && status != UV_ECANCELED) {
		peer_close(p, ERROR_UNREACHABLE, "the peer went away");
	}
}

/* Sends a line; takes over the text. Calls nobody back before it returns. */
static void send_text(struct rpc_peer *p, struct buf *text)
{
	uv_stream_t *stream = (uv_stream_t *)&p->pipe;
	int fd;
	if (p->is_closing) {
		buf_free(text);
		return;
	}
	if (uv_stream_get_write_queue_size(stream) + text->len > SEND_LIMIT) {
		log_limited_warn("socket \"%s\": a peer does not read what it is sent, dropped",
				 p->shared->options.path);
		buf_free(text);
		if (uv_fileno((uv_handle_t *)&p->pipe, &fd) == 0) {
			shutdown(fd, SHUT_RDWR); /* the loop then reads the end: on_read */
		}
		return;
	}
	struct output *o = mem_zalloc(sizeof(*o));
	o->text = *text;
	*text = (struct buf)BUF_INIT;
	uv_buf_t b = uv_buf_init(o->text.data, (unsigned)o->text.len);
	if (uv_write(&o->request, stream, &b, 1, on_written) < 0) {
		buf_free(&o->text); /* reading reports what is wrong with the socket */
		free(o);
	}
}

static void on_timeout(void *arg)
{
	struct pending *w = arg;
	map64_remove(&w->peer->pending, w->id);
	fail_pending(w, ERROR_TIMEOUT, "no reply in time");
}

void rpc_peer_call(struct rpc_peer *p, const char *method, struct json_object *params,
		   int64_t timeout_ms, void (*on_reply)(void *arg, const struct rpc_reply *reply),
		   void *arg)
{
	struct pending *w = mem_zalloc(sizeof(*w));
	w->peer = p;
	w->id = ++p->last_id;
	w->on_reply = on_reply;
	w->arg = arg;
	map64_set(&p->pending, w->id, w);
	if (timeout_ms && !p->is_closing) {
		w->timer = timer_new(p->pipe.loop, clock_real(), on_timeout, w);
		timer_start(w->timer, timeout_ms, 0);
	}
	struct buf text = BUF_INIT;
	rpc_message_add_request(&text, method, params, w->id);
	json_object_put(params);
	send_text(p, &text);
}

void rpc_peer_notify(struct rpc_peer *p, const char *method, struct json_object *params)
{
	struct buf text = BUF_INIT;
	rpc_message_add_request(&text, method, params, 0);
	json_object_put(params);
	send_text(p, &text);
}

const char *rpc_call_method(const struct rpc_call *call)
{
	return call->message.method;
}

const struct json_at *rpc_call_params(const struct rpc_call *call)
{
	return &call->params;
}

struct rpc_peer *rpc_call_peer(const struct rpc_call *call)
{
	return call->peer;
}

/* Sends the answer, where there is still somebody to send it to, and frees the call. */
static void end_call(struct rpc_call *call, struct buf *text)
{
	if (call->peer) {
		list_remove(&call->node);
		call->peer->n_calls--;
		send_text(call->peer, text);
	}
	buf_free(text);
	rpc_message_fini(&call->message);
	free(call);
}

void rpc_call_reply(struct rpc_call *call, struct json_object *result)
{
	struct buf text = BUF_INIT;
	rpc_message_add_result(&text, call->message.id, result);
	json_object_put(result);
	end_call(call, &text);
}

static void fail_call(struct rpc_call *call, enum rpc_code code, const struct error *e,
		      struct json_object *data)
{
	struct buf text = BUF_INIT;
	rpc_message_add_error(&text, call->message.id, code, e, data);
	json_object_put(data);
	end_call(call, &text);
}

void rpc_call_fail(struct rpc_call *call, const struct error *e)
{
	fail_call(call, RPC_FAILED, e, NULL);
}

void rpc_call_fail_with(struct rpc_call *call, const struct error *e, struct json_object *data)
{
	fail_call(call, RPC_FAILED, e, data);
}

/* Takes over the message. */
static void on_request(struct rpc_peer *p, struct rpc_message *m)
{
	const struct rpc_options *o = &p->shared->options;
	struct rpc_call *call = mem_zalloc(sizeof(*call));
	call->peer = p;
	call->message = *m;
	call->params = json_root(m->body);
	list_push_back(&p->calls, &call->node);
	struct error e;
	if (++p->n_calls > RPC_CALLS_MAX) {
		error_set(&e, ERROR_BUSY, "more than %d requests are unanswered", RPC_CALLS_MAX);
		rpc_call_fail(call, &e);
		return;
	}
	for (size_t i = 0; i < o->n_methods; i++) {
		if (strcmp(o->methods[i].name, m->method) == 0) {
			o->methods[i].fn(o->arg, call);
			return;
		}
	}
	if (o->on_request) {
		o->on_request(o->arg, call);
		return;
	}
	error_set(&e, ERROR_UNSUPPORTED, "method \"%s\": there is none of this name", m->method);
	fail_call(call, RPC_METHOD_NOT_FOUND, &e, NULL);
}

/* A result or error for a request of ours. */
static void on_answer(struct rpc_peer *p, const struct rpc_message *m)
{
	struct json_at id_at = json_root(m->id);
	uint64_t id;
	struct pending *w = NULL;
	if (json_as_u64(&id_at, &id, NULL)) {
		w = map64_remove(&p->pending, id);
	}
	struct rpc_reply reply = { .result = { 0 } };
	struct error e;
	if (m->kind == RPC_ERROR) {
		rpc_message_read_error(m->body, &reply.code, &reply.error_data, &e);
		reply.error = &e;
	} else {
		reply.result = json_root(m->body);
	}
	if (w) {
		finish_pending(w, &reply);
	} else if (m->kind == RPC_ERROR) {
		log_limited_warn("socket \"%s\": the peer reports: %s", p->shared->options.path,
				 e.msg);
	} else {
		log_debug("socket \"%s\": reply to no request, or too late",
			  p->shared->options.path);
	}
}

static void on_line(struct rpc_peer *p, const char *line, size_t n)
{
	const struct rpc_options *o = &p->shared->options;
	struct rpc_message m;
	enum rpc_code code;
	struct error e;
	if (!rpc_message_parse(line, n, &m, &code, &e)) {
		struct buf text = BUF_INIT;
		log_limited_warn("socket \"%s\": bad message: %s", o->path, e.msg);
		rpc_message_add_error(&text, NULL, code, &e, NULL);
		send_text(p, &text);
		return;
	}
	if (m.kind == RPC_REQUEST) {
		on_request(p, &m);
		return;
	}
	if (m.kind != RPC_NOTIFICATION) {
		on_answer(p, &m);
	} else if (o->on_notification) {
		const struct json_at params = json_root(m.body);
		o->on_notification(o->arg, p, m.method, &params);
	}
	rpc_message_fini(&m);
}

static void on_line_too_long(struct rpc_peer *p)
{
	struct error e;
	struct buf text = BUF_INIT;
	error_set(&e, ERROR_LIMIT, "message: longer than %zu bytes",
		  p->shared->options.message_limit);
	log_limited_warn("socket \"%s\": %s, dropped", p->shared->options.path, e.msg);
	rpc_message_add_error(&text, NULL, RPC_INVALID_REQUEST, &e, NULL);
	send_text(p, &text);
	peer_close(p, ERROR_LIMIT, "the peer sent a message that is too long");
}

static void take_lines(struct rpc_peer *p)
{
	size_t limit = p->shared->options.message_limit;
	size_t at = 0;
	while (!p->is_closing) {
		const char *end = memchr(p->in.data + p->scanned, '\n', p->in.len - p->scanned);
		size_t n = (end ? (size_t)(end - p->in.data) : p->in.len) - at;
		if (n > limit) {
			on_line_too_long(p);
			return;
		}
		if (!end) {
			break;
		}
		size_t start = at;
		at = p->scanned = at + n + 1;
		if (n) {
			on_line(p, p->in.data + start, n);
		}
	}
	buf_consume(&p->in, at);
	p->scanned = p->in.len;
	if (p->in.len == 0 && p->in.cap > IN_KEPT) {
		buf_free(&p->in);
	}
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
	(void)suggested;
	struct rpc_peer *p = h->data;
	*out = uv_buf_init(buf_reserve(&p->in, READ_STEP), READ_STEP);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
	(void)b;
	struct rpc_peer *p = stream->data;
	if (n < 0) {
		peer_close(p, ERROR_UNREACHABLE, "the peer went away");
	} else if (n > 0) {
		buf_commit(&p->in, (size_t)n);
		take_lines(p);
	}
}

static struct rpc_peer *new_peer(uv_loop_t *loop, struct rpc_shared *shared)
{
	/* uv writes to sockets without MSG_NOSIGNAL. */
	signal(SIGPIPE, SIG_IGN);
	struct rpc_peer *p = mem_zalloc(sizeof(*p));
	p->shared = shared;
	list_init(&p->calls);
	uv_pipe_init(loop, &p->pipe, 0);
	p->pipe.data = p;
	return p;
}

struct rpc_peer *rpc_peer_new(uv_loop_t *loop, int fd, struct rpc_shared *shared, struct error *e)
{
	struct rpc_peer *p = new_peer(loop, shared);
	int failed = uv_pipe_open(&p->pipe, fd);
	if (failed) {
		close(fd);
	} else {
		failed = uv_read_start((uv_stream_t *)&p->pipe, on_alloc, on_read);
	}
	if (failed) {
		error_set_sys(e, -failed, "socket \"%s\"", shared->options.path);
		rpc_peer_orphan(p);
		return NULL;
	}
	return p;
}

struct rpc_peer *rpc_peer_accept(uv_stream_t *listener, struct rpc_shared *shared, struct error *e)
{
	struct rpc_peer *p = new_peer(listener->loop, shared);
	int failed = uv_accept(listener, (uv_stream_t *)&p->pipe);
	if (!failed) {
		failed = uv_read_start((uv_stream_t *)&p->pipe, on_alloc, on_read);
	}
	if (failed) {
		error_set_sys(e, -failed, "socket \"%s\"", shared->options.path);
		rpc_peer_orphan(p);
		return NULL;
	}
	return p;
}
