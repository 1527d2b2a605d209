/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three parties keep this alive: the owner until peer_loop_free(), a turn of run() in progress, and
 * the timer's handle until libuv has closed it. The last to go frees.
 */
#include "vim/peer_loop.h"

#include <stdlib.h>

#include "base/list.h"
#include "base/mem.h"

struct peer_loop {
	uv_loop_t *loop;
	CURLM *multi;
	uv_timer_t timer;
	struct list sockets;
	unsigned depth; /* of run() */
	bool freed;	/* by the owner */
	void (*ended)(void *arg, CURL *easy, CURLcode result);
	void *arg;
};

struct peer_socket {
	struct list_node link;
	uv_poll_t poll;
	struct peer_loop *loop;
	curl_socket_t fd;
	int events;	   /* that curl waits for */
	unsigned n_errors; /* told by the socket */
};

enum {
	/* A server that refuses an upload closes while we still send: what it said is there to be
	 * read. A socket that keeps failing is given up. */
	SOCKET_ERRORS_MAX = 3
};

static void on_socket_closed(uv_handle_t *h)
{
	free(h->data);
}

static void socket_free(struct peer_socket *s)
{
	list_remove(&s->link);
	uv_poll_stop(&s->poll);
	uv_close((uv_handle_t *)&s->poll, on_socket_closed);
}

static void on_timer_closed(uv_handle_t *h)
{
	free(h->data);
}

static void destroy(struct peer_loop *l)
{
	curl_multi_cleanup(l->multi);
	list_each_safe (struct peer_socket, s, &l->sockets, link) {
		socket_free(s);
	}
	uv_close((uv_handle_t *)&l->timer, on_timer_closed);
}

static void reap(struct peer_loop *l)
{
	CURLMsg *m;
	int left;

	while (!l->freed && (m = curl_multi_info_read(l->multi, &left)) != NULL) {
		if (m->msg == CURLMSG_DONE) {
			l->ended(l->arg, m->easy_handle, m->data.result);
		}
	}
}

/* Lets curl work on a socket (or its timer) and tells the owner what ended. */
static void run(struct peer_loop *l, curl_socket_t fd, int events)
{
	int n_running;

	l->depth++;
	curl_multi_socket_action(l->multi, fd, events, &n_running);
	reap(l);
	if (--l->depth == 0 && l->freed) {
		destroy(l);
	}
}

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct peer_socket *s = h->data;
	int what = 0;

	if (status < 0 && ++s->n_errors < SOCKET_ERRORS_MAX) {
		uv_poll_start(&s->poll, s->events, on_poll); /* libuv has stopped it */
		events = UV_READABLE | UV_WRITABLE;
		status = 0;
	}
	what |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
	what |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
	run(s->loop, s->fd, status < 0 ? CURL_CSELECT_ERR : what);
}

static void on_timer(uv_timer_t *h)
{
	run(h->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket)
{
	struct peer_loop *l = arg;
	struct peer_socket *s = socket;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s != NULL) {
			curl_multi_assign(l->multi, fd, NULL);
			socket_free(s);
		}
		return 0;
	}
	if (s == NULL) {
		s = mem_zalloc(sizeof(*s));
		s->loop = l;
		s->fd = fd;
		s->poll.data = s;
		if (uv_poll_init_socket(l->loop, &s->poll, fd) < 0) {
			free(s);
			return -1;
		}
		list_push_back(&l->sockets, &s->link);
		curl_multi_assign(l->multi, fd, s);
	}
	int events = 0;
	events |= what != CURL_POLL_OUT ? UV_READABLE : 0;
	events |= what != CURL_POLL_IN ? UV_WRITABLE : 0;
	s->events = events;
	uv_poll_start(&s->poll, events, on_poll);
	return 0;
}

static int on_curl_timer(CURLM *multi, long after_ms, void *arg)
{
	struct peer_loop *l = arg;

	(void)multi;
	if (after_ms < 0) {
		uv_timer_stop(&l->timer);
	} else {
		uv_timer_start(&l->timer, on_timer, (uint64_t)after_ms, 0);
	}
	return 0;
}

struct peer_loop *peer_loop_new(uv_loop_t *loop,
				void (*ended)(void *arg, CURL *easy, CURLcode result), void *arg)
{
	struct peer_loop *l = mem_zalloc(sizeof(*l));

	l->loop = loop;
	l->ended = ended;
	l->arg = arg;
	list_init(&l->sockets);
	uv_timer_init(loop, &l->timer);
	l->timer.data = l;
	l->multi = curl_multi_init();
	curl_multi_setopt(l->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	curl_multi_setopt(l->multi, CURLMOPT_SOCKETDATA, l);
	curl_multi_setopt(l->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl_multi_setopt(l->multi, CURLMOPT_TIMERDATA, l);
	return l;
}

CURLM *peer_loop_multi(struct peer_loop *l)
{
	return l->multi;
}

void peer_loop_free(struct peer_loop *l)
{
	if (l == NULL) {
		return;
	}
	l->freed = true;
	if (l->depth == 0) {
		destroy(l);
	}
}
