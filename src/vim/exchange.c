/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/exchange.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/number.h"
#include "vim/caller.h"
#include "vim/http_text.h"

enum {
	IDLE_EXCHANGES_MAX = 64,
	IDLE_BUF_MAX = 256 << 10,
	IDLE_ARENA_MAX = 64 << 10,
	/* So much of a body is read to its end after a refusal, so that the connection lives. */
	DROPPED_MAX = 1 << 20,
	KEY_SIZE = 128
};

/* ---- making and dropping ---- */

void *exchange_new(void *arg, const char *uri, struct MHD_Connection *connection)
{
	struct server *s = arg;
	struct list_node *n = list_pop_front(&s->idle);
	struct exchange *x;

	if (n != NULL) {
		s->n_idle--;
		x = CONTAINER_OF(n, struct exchange, link);
	} else {
		x = mem_zalloc(sizeof(*x));
		x->arena = arena_new(0);
		x->in = x->out = (struct buf)BUF_INIT;
	}
	x->server = s;
	x->connection = connection;
	x->target = arena_strdup(x->arena, uri);
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	x->caller = info == NULL ? NULL : info->socket_context;
	x->pub.peer = x->caller == NULL ? "" : x->caller->name;
	list_push_back(&s->exchanges, &x->link);
	s->n_callbacks++;
	s->n_running++;
	if (x->caller != NULL && x->caller->is_silent) {
		x->caller->is_silent = false;
		s->n_silent--;
	}
	return x;
}

static void buf_tidy(struct buf *b)
{
	if (b->cap > IDLE_BUF_MAX) {
		buf_free(b);
	}
	buf_clear(b);
}

void exchange_dispose(struct exchange *x)
{
	arena_free(x->arena);
	buf_free(&x->in);
	buf_free(&x->out);
	free(x);
}

static void exchange_recycle(struct exchange *x)
{
	struct server *s = x->server;
	struct arena *arena = x->arena;

	list_remove(&x->link);
	sdk_drop(x);
	s->n_callbacks++;
	s->n_sending -= x->is_queued ? 1 : 0;
	if (s->n_idle >= IDLE_EXCHANGES_MAX || s->is_stopping) {
		exchange_dispose(x);
		return;
	}
	if (arena_used(arena) > IDLE_ARENA_MAX) {
		arena_free(arena);
		arena = arena_new(0);
	} else {
		arena_reset(arena);
	}
	buf_tidy(&x->in);
	buf_tidy(&x->out);
	*x = (struct exchange){ .arena = arena, .in = x->in, .out = x->out };
	list_push_front(&s->idle, &x->link);
	s->n_idle++;
}

/* ---- waiting ---- */

static void watch_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void watch_stop(struct exchange *x)
{
	struct peer_watch *w = x->watch;

	if (w != NULL) {
		x->watch = NULL;
		w->exchange = NULL;
		uv_poll_stop(&w->poll);
		uv_close((uv_handle_t *)&w->poll, watch_closed);
	}
}

void exchange_abandon(struct exchange *x)
{
	struct call *call = x->call;

	x->is_gone = true;
	if (call != NULL) {
		x->call = NULL;
		service_abort(call);
	}
	exchange_continue(x);
}

static void watch_fired(uv_poll_t *poll, int status, int events)
{
	struct peer_watch *w = poll->data;

	if (w->exchange != NULL && (status < 0 || (events & UV_DISCONNECT) != 0)) {
		exchange_abandon(w->exchange);
	}
}

static void watch_start(struct exchange *x)
{
	if (x->caller == NULL || x->watch != NULL) {
		return;
	}
	struct peer_watch *w = mem_zalloc(sizeof(*w));
	if (uv_poll_init(x->server->config.loop, &w->poll, x->caller->fd) != 0) {
		free(w); /* keep-alive or the time-out will find out */
		return;
	}
	w->poll.data = w;
	w->exchange = x;
	x->watch = w;
	uv_poll_start(&w->poll, UV_DISCONNECT, watch_fired);
}

void exchange_suspend(struct exchange *x, enum exchange_wait wait)
{
	if (x->wait == WAIT_NOTHING) {
		MHD_suspend_connection(x->connection);
		x->server->n_running--;
		watch_start(x);
	}
	x->wait = wait;
}

void exchange_continue(struct exchange *x)
{
	if (x->wait != WAIT_NOTHING) {
		x->wait = WAIT_NOTHING;
		x->server->n_running++;
		watch_stop(x);
		MHD_resume_connection(x->connection);
		server_wake(x->server);
	}
}

void http_resume(struct http_request *r)
{
	struct exchange *x = exchange_of(r);

	if (x->wait == WAIT_ROOM || x->wait == WAIT_STREAM) {
		exchange_continue(x);
	} else {
		x->is_resumed = true;
	}
}

/* ---- whose request it is ---- */

static void session_ended(struct session_item *item)
{
	CONTAINER_OF(item, struct exchange, item)->pub.session = NULL;
}

static void session_attach(struct exchange *x, struct session *session)
{
	x->pub.session = session;
	if (session != NULL) {
		x->item.end = session_ended;
		session_own(session, &x->item);
		session_busy(session);
	}
}

static void session_detach(struct exchange *x)
{
	struct session *session = x->pub.session;

	x->pub.session = NULL;
	if (session == NULL) {
		return;
	}
	session_disown(&x->item);
	session_idle(session);
	if (session == x->basic) {
		session_logout(session);
	}
}

/* By cookie or ticket. */
static struct session *session_of_cookie(struct exchange *x)
{
	const char *header = http_header(&x->pub, "Cookie");
	struct session_manager *m = x->server->config.sessions;
	char key[KEY_SIZE];
	struct session *session = NULL;

	if (header == NULL || m == NULL) {
		return NULL;
	}
	if (cookie_find(header, "vmware_soap_session", key, sizeof(key))) {
		session = session_find(m, key);
	}
	if (session == NULL && cookie_find(header, "vmware_cgi_ticket", key, sizeof(key))) {
		session = session_from_ticket(m, key, x->pub.method, x->target);
	}
	return session;
}

static void answer_unauthorized(struct exchange *x)
{
	http_reply_header(&x->pub, "WWW-Authenticate", "Basic realm=\"Remora\"");
	http_respond_text(&x->pub, 401, "This needs a session or a user name and password.\n");
}

/* Basic authentication whose password is being checked. */
struct basic_login {
	struct exchange *exchange; /* NULL: over meanwhile */
};

static void basic_done(void *arg, struct session *session, const struct error *e)
{
	struct basic_login *l = arg;
	struct exchange *x = l->exchange;

	(void)e;
	free(l);
	if (x == NULL) {
		if (session != NULL) {
			session_logout(session);
		}
		return;
	}
	x->login = NULL;
	x->basic = session;
	session_attach(x, session);
	if (session == NULL) {
		answer_unauthorized(x);
	}
	exchange_continue(x);
}

/* Finds out who asks. False: the answer is there, or will be after a password check. */
static bool exchange_authenticate(struct exchange *x)
{
	const char *user, *password;

	if (x->phase == EXCHANGE_AUTH) {
		return x->pub.session != NULL;
	}
	session_attach(x, session_of_cookie(x));
	if (x->pub.session != NULL || !x->route->needs_session) {
		return true;
	}
	if (x->server->config.sessions == NULL || !http_basic_auth(&x->pub, &user, &password)) {
		answer_unauthorized(x);
		return false;
	}
	struct basic_login *l = mem_zalloc(sizeof(*l));
	l->exchange = x;
	x->login = l;
	x->phase = EXCHANGE_AUTH;
	session_login(x->server->config.sessions, user, password, x->pub.peer, basic_done, l);
	return x->login == NULL && x->pub.session != NULL;
}

/* ---- steps ---- */

static int64_t content_length(struct exchange *x)
{
	const char *text = http_header(&x->pub, "Content-Length");
	int64_t n;

	if (http_header(&x->pub, "Transfer-Encoding") != NULL) {
		return -1;
	}
	return text != NULL && number_i64(text, &n) && n >= 0 ? n : 0;
}

/* What the headers say about where the body ends. */
struct framing {
	const char *length, *coding; /* NULL: not said */
	bool is_ambiguous;
};

static enum MHD_Result framing_look(void *arg, enum MHD_ValueKind kind, const char *name,
				    const char *value)
{
	struct framing *f = arg;
	const char *text = value == NULL ? "" : value;

	(void)kind;
	if (strpbrk(name, " \t") != NULL) {
		f->is_ambiguous = true;
	} else if (strcasecmp(name, "Content-Length") == 0) {
		f->is_ambiguous |= f->length != NULL && strcmp(f->length, text) != 0;
		f->length = text;
	} else if (strcasecmp(name, "Transfer-Encoding") == 0) {
		f->is_ambiguous |= f->coding != NULL || strcasecmp(text, "chunked") != 0;
		f->coding = text;
	}
	return MHD_YES;
}

/* Would everybody on the way agree where the body ends (RFC 9112 §6.3)? Otherwise what follows it
 * could be taken for somebody else's request. */
static bool framing_is_plain(struct exchange *x)
{
	struct framing f = { 0 };

	MHD_get_connection_values(x->connection, MHD_HEADER_KIND, framing_look, &f);
	return !f.is_ambiguous && (f.length == NULL || f.coding == NULL);
}

/* The headers are there. */
static void exchange_begin(struct exchange *x, const char *url)
{
	if (x->phase == EXCHANGE_NEW) {
		if (!framing_is_plain(x)) {
			x->pub.content_length = -1; /* so that the connection ends */
			http_reply_header(&x->pub, "Connection", "close");
			http_respond_text(&x->pub, 400, "Where the body ends is not clear.\n");
			return;
		}
		x->pub.content_length = content_length(x);
		if (!path_is_safe(url)) {
			http_respond_text(&x->pub, 400, "The path is not allowed.\n");
			return;
		}
		x->pub.path = url;
		x->is_sdk = strcmp(url, "/sdk") == 0 || strncmp(url, "/sdk/", 5) == 0;
		x->route = x->is_sdk ? NULL : server_find_route(x->server, url);
	}
	if (x->is_sdk) {
		sdk_begin(x);
		return;
	}
	if (x->route == NULL) {
		http_respond_text(&x->pub, 404, "There is nothing at this path.\n");
		return;
	}
	if (!exchange_authenticate(x)) {
		return;
	}
	x->pub.arg = x->route->arg;
	x->is_begun = true;
	bool wants_body = x->route->begin(&x->pub) && x->route->body != NULL;
	if (x->pub.content_length != 0 && !wants_body && x->response == NULL) {
		http_respond_text(&x->pub, 413, "This takes no body.\n");
	}
}

/* Takes part of the body; the rest is offered again. */
static bool exchange_body(struct exchange *x, const char *data, size_t *n)
{
	size_t taken = 0;

	if (x->is_sdk && x->response == NULL) {
		sdk_body(x, data, *n);
		taken = *n;
	}
	x->is_resumed = true;
	while (taken < *n && x->response == NULL && x->is_resumed) {
		x->is_resumed = false;
		taken += x->route->body(&x->pub, data + taken, *n - taken);
	}
	*n -= taken;
	if (x->response != NULL) {
		x->n_dropped += *n;
		*n = 0;
		if (x->n_dropped > DROPPED_MAX) {
			respond_at_once(x);
		}
		return !x->is_cut;
	}
	if (*n > 0) {
		exchange_suspend(x, WAIT_ROOM);
	}
	return true;
}

void exchange_sweep(struct server *s)
{
	list_each (struct exchange, x, &s->exchanges, link) {
		if (x->phase == EXCHANGE_BODY && x->response != NULL && !x->is_queued) {
			respond_at_once(x);
		}
	}
}

static void exchange_complete(struct exchange *x)
{
	if (x->phase == EXCHANGE_COMPLETE || x->response != NULL) {
		return;
	}
	x->phase = EXCHANGE_COMPLETE;
	if (x->caller != NULL) {
		list_remove(&x->caller->link);
	}
	if (x->is_sdk) {
		sdk_complete(x);
	} else if (x->route->complete != NULL) {
		x->route->complete(&x->pub);
	} else {
		http_respond_text(&x->pub, 405, "This takes no %s.\n", x->pub.method);
	}
}

/*
 * May head and body leave together? Not when libmicrohttpd will close the connection, as it would
 * before they did: because the client wants it so, or has not been heard to the end.
 */
static bool exchange_may_hold(struct exchange *x)
{
	const char *connection = http_header(&x->pub, "Connection");

	return x->caller != NULL && x->is_whole && x->phase == EXCHANGE_COMPLETE &&
	       !x->server->is_stopping && strcmp(x->version, "HTTP/1.1") == 0 &&
	       (connection == NULL || strcasecmp(connection, "keep-alive") == 0);
}

static enum MHD_Result exchange_queue(struct exchange *x)
{
	if (x->is_queued) {
		return MHD_YES;
	}
	x->is_queued = true;
	x->server->n_sending++;
	for (unsigned i = 0; i < x->n_headers; i++) {
		MHD_add_response_header(x->response, x->headers[i].name, x->headers[i].value);
	}
	if (x->caller != NULL) {
		list_remove(&x->caller->link);
	}
	if (exchange_may_hold(x)) {
		caller_hold(x->caller, x->out.len);
	}
	enum MHD_Result result = MHD_queue_response(x->connection, x->status, x->response);
	MHD_destroy_response(x->response);
	return result;
}

/* Form: libmicrohttpd's MHD_AccessHandlerCallback. */
enum MHD_Result exchange_step(void *server, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *upload_data,
			      size_t *upload_data_size, void **context)
{
	struct exchange *x = *context;
	bool is_head = x->phase == EXCHANGE_NEW || x->phase == EXCHANGE_AUTH;
	bool is_body = !is_head && *upload_data_size > 0;

	(void)server;
	(void)connection;
	if (x->is_gone || (is_head && x->server->is_stopping) || (x->is_cut && !is_body)) {
		return MHD_NO;
	}
	x->server->n_callbacks++;
	x->pub.method = method;
	x->version = version;
	if (is_body) {
		bool ok = exchange_body(x, upload_data, upload_data_size);
		return ok ? MHD_YES : MHD_NO;
	}
	if (is_head && x->response == NULL) {
		exchange_begin(x, url);
	} else if (!is_head) {
		exchange_complete(x);
	}
	if (is_head && x->login == NULL) {
		x->phase = EXCHANGE_BODY;
	} else if (x->response == NULL) {
		exchange_suspend(x, WAIT_ANSWER);
	}
	/* An answer before a body ends the connection; without one it can wait for the next step.
	 */
	bool is_early = is_head && x->pub.content_length == 0;
	if (x->response == NULL || is_early) {
		return MHD_YES;
	}
	x->is_cut = is_head;
	return exchange_queue(x);
}

void exchange_finished(void *server, struct MHD_Connection *connection, void **context,
		       enum MHD_RequestTerminationCode code)
{
	struct exchange *x = *context;

	(void)server;
	(void)connection;
	if (x == NULL) {
		return;
	}
	*context = NULL;
	watch_stop(x);
	if (x->login != NULL) {
		x->login->exchange = NULL;
	}
	if (x->call != NULL) {
		struct call *call = x->call;
		x->call = NULL;
		service_abort(call);
	}
	if (x->stream != NULL) {
		x->stream->exchange = NULL;
	}
	if (x->response != NULL && !x->is_queued) {
		MHD_destroy_response(x->response);
	}
	if (x->is_begun && x->route->finish != NULL) {
		x->route->finish(&x->pub, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
	}
	if (x->is_cut && x->caller != NULL && !x->server->is_stopping) {
		linger_add(&x->server->lingering, x->server->config.loop, x->caller->fd);
	}
	session_detach(x);
	exchange_recycle(x);
}
