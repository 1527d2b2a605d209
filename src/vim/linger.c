/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/linger.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <fcntl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"

struct straggler {
	struct list_node link;
	struct linger_list *list;
	uv_poll_t poll;
	int fd;
	bool is_shut; /* the client was told that no more comes */
	int64_t since_us, heard_us;
};

static void closed(uv_handle_t *handle)
{
	struct straggler *g = handle->data;

	close(g->fd);
	free(g);
}

static void end(struct straggler *g)
{
	list_remove(&g->link);
	g->list->n--;
	uv_poll_stop(&g->poll);
	uv_close((uv_handle_t *)&g->poll, closed);
}

/* Throws away what has come; false: the client has closed. MSG_TRUNC: nothing is copied. */
static bool drain(struct straggler *g)
{
	static char scratch[64 << 10];

	for (size_t all = 0; all < LINGER_TURN;) {
		ssize_t n = recv(g->fd, scratch, sizeof(scratch), MSG_TRUNC | MSG_DONTWAIT);
		if (n > 0) {
			all += (size_t)n;
		} else {
			return n < 0 && (errno == EAGAIN || errno == EINTR);
		}
	}
	return true;
}

static void fired(uv_poll_t *poll, int status, int events)
{
	struct straggler *g = poll->data;

	(void)events;
	if (!g->is_shut) {
		g->is_shut = true;
		shutdown(g->fd, SHUT_WR);
	}
	g->heard_us = clock_mono_us(clock_real());
	if (status < 0 || !drain(g)) {
		end(g);
	}
}

void linger_init(struct linger_list *l)
{
	list_init(&l->items);
	l->n = 0;
}

void linger_add(struct linger_list *l, uv_loop_t *loop, int fd)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct straggler *g;

	if (own < 0) {
		return;
	}
	g = mem_zalloc(sizeof(*g));
	if (uv_poll_init(loop, &g->poll, own) != 0) {
		close(own);
		free(g);
		return;
	}
	struct list_node *oldest = list_front(&l->items);
	if (l->n >= LINGER_MAX && oldest != NULL) {
		end(CONTAINER_OF(oldest, struct straggler, link));
	}
	g->list = l;
	g->fd = own;
	g->poll.data = g;
	g->since_us = g->heard_us = clock_mono_us(clock_real());
	list_push_back(&l->items, &g->link);
	l->n++;
	uv_poll_start(&g->poll, UV_READABLE, fired);
}

void linger_sweep(struct linger_list *l)
{
	int64_t now = clock_mono_us(clock_real());

	list_each_safe (struct straggler, g, &l->items, link) {
		if (now - g->since_us > LINGER_S * 1000000LL ||
		    now - g->heard_us > LINGER_SILENT_S * 1000000LL) {
			end(g);
		}
	}
}

void linger_end(struct linger_list *l)
{
	list_each_safe (struct straggler, g, &l->items, link) {
		end(g);
	}
}
