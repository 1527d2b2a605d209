/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/stream.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/socket.h"
#include "base/vec.h"
#include "switch/sleep.h"

LOG_MODULE("stream");

enum {
	FRAMES = 512, /* of a ring */
	HEADER = 4,
	BUFFER = 128 * 1024, /* of each direction of a connection; more than a frame */
	CONNECT_MS = 50,     /* between attempts */
	OFFENDED_MS = 1000,  /* after a peer that broke the framing */
	BUSY_POLL_MS = 1,    /* where a ring or the pool has to give way first */
	IDLE_POLL_MS = 5000,
};

struct stream {
	char *name, *path;
	bool is_server, is_up; /* is_up: atomic, written by the thread */
	struct port_io io;
	struct rte_mempool *pool;
	struct rte_ring *in, *out; /* to the worker, from it */
	/* The thread's, or whoever has the lock. */
	int listener, fd; /* -1: none */
	int64_t retry_us; /* not before: monotonic */
	uint8_t *read, *write;
	size_t n_read;		  /* bytes at read that have come */
	size_t write_at, n_write; /* of n_write bytes at write, write_at are gone */
	bool is_stuck;		  /* what came cannot be handed on yet */
};

/* The thread and what it serves. The control thread changes the list, under the lock. */
static struct {
	pthread_mutex_t lock;
	pthread_t thread;
	VEC(struct stream *) all;
	VEC(struct pollfd) polled; /* the thread's */
	int wake;		   /* eventfd */
	bool is_asleep;		   /* atomic: somebody who has work must write to `wake` */
	bool is_stopping;	   /* atomic */
} io = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake = -1 };

static int64_t now_us(void)
{
	return clock_mono_us(clock_real());
}

/* ---- connections ---- */

static void disconnect(struct stream *s, int64_t wait_ms)
{
	struct rte_mbuf *m;

	if (s->fd >= 0) {
		close(s->fd);
	}
	s->fd = -1;
	s->n_read = s->write_at = s->n_write = 0;
	s->is_stuck = false;
	s->retry_us = now_us() + wait_ms * 1000;
	__atomic_store_n(&s->is_up, false, __ATOMIC_RELEASE);
	while (rte_ring_sc_dequeue(s->out, (void **)&m) == 0) {
		rte_pktmbuf_free(m);
	}
}

static void connected(struct stream *s, int fd)
{
	s->fd = fd;
	__atomic_store_n(&s->is_up, true, __ATOMIC_RELEASE);
	log_info("port \"%s\": connected", s->name);
}

static void find_peer(struct stream *s)
{
	struct error e;

	if (s->listener >= 0) {
		int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			connected(s, fd);
		}
		return;
	}
	if (now_us() < s->retry_us) {
		return;
	}
	s->retry_us = now_us() + CONNECT_MS * 1000;
	int fd = socket_connect_unix(s->path, &e);
	if (fd >= 0) {
		connected(s, fd);
	}
}

/* ---- from the socket ---- */

static struct rte_mbuf *packet_of(struct rte_mempool *pool, const uint8_t *data, size_t n)
{
	struct rte_mbuf *head = rte_pktmbuf_alloc(pool), *m = head;

	if (head == NULL) {
		return NULL;
	}
	head->pkt_len = (uint32_t)n;
	while (n > 0) {
		size_t part = MIN(n, (size_t)rte_pktmbuf_tailroom(m));
		memcpy(rte_pktmbuf_mtod(m, uint8_t *), data, part);
		m->data_len = (uint16_t)part;
		data += part;
		n -= part;
		if (n > 0) {
			m->next = rte_pktmbuf_alloc(pool);
			if (m->next == NULL) {
				rte_pktmbuf_free(head);
				return NULL;
			}
			m = m->next;
			head->nb_segs++;
		}
	}
	return head;
}

/* Hands on the whole frames that have come. False: the peer broke the framing. */
static bool hand_on(struct stream *s, bool *moved)
{
	size_t at = 0;

	s->is_stuck = false;
	while (s->n_read - at >= HEADER) {
		const uint8_t *p = s->read + at;
		size_t size = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
		if (size == 0 || size > STREAM_FRAME_MAX) {
			log_warn("port \"%s\": a frame of %zu bytes; %d at most: connection ended",
				 s->name, size, STREAM_FRAME_MAX);
			return false;
		}
		if (s->n_read - at < HEADER + size) {
			break;
		}
		struct rte_mbuf *m =
			rte_ring_full(s->in) ? NULL : packet_of(s->pool, p + HEADER, size);
		if (m == NULL) {
			s->is_stuck = true;
			break;
		}
		(void)rte_ring_sp_enqueue(s->in, m); /* there is room: nobody else puts in */
		at += HEADER + size;
		*moved = true;
	}
	memmove(s->read, s->read + at, s->n_read - at);
	s->n_read -= at;
	if (at > 0) {
		sleep_wake();
	}
	return true;
}

/* False: the connection has ended. */
static bool take_in(struct stream *s, bool *moved)
{
	ssize_t n =
		s->n_read == BUFFER ? -1 : recv(s->fd, s->read + s->n_read, BUFFER - s->n_read, 0);

	if (n == 0 || (n < 0 && s->n_read < BUFFER && errno != EAGAIN && errno != EINTR)) {
		log_info("port \"%s\": its peer has gone", s->name);
		disconnect(s, CONNECT_MS);
		return false;
	}
	s->n_read += n > 0 ? (size_t)n : 0;
	if (!hand_on(s, moved)) {
		disconnect(s, OFFENDED_MS);
		return false;
	}
	return true;
}

/* ---- to the socket ---- */

static void put_frame(struct stream *s, struct rte_mbuf *m)
{
	uint8_t *at = s->write + s->n_write;
	uint32_t size = m->pkt_len;

	if (size <= STREAM_FRAME_MAX) {
		at[0] = (uint8_t)(size >> 24);
		at[1] = (uint8_t)(size >> 16);
		at[2] = (uint8_t)(size >> 8);
		at[3] = (uint8_t)size;
		at += HEADER;
		for (const struct rte_mbuf *part = m; part != NULL; part = part->next) {
			memcpy(at, rte_pktmbuf_mtod(part, const void *), part->data_len);
			at += part->data_len;
		}
		s->n_write = (size_t)(at - s->write);
	}
	rte_pktmbuf_free(m);
}

static void send_out(struct stream *s, bool *moved)
{
	struct rte_mbuf *m;

	if (s->write_at == s->n_write) {
		s->write_at = s->n_write = 0;
		while (BUFFER - s->n_write >= HEADER + STREAM_FRAME_MAX &&
		       rte_ring_sc_dequeue(s->out, (void **)&m) == 0) {
			put_frame(s, m);
		}
	}
	if (s->write_at == s->n_write) {
		return;
	}
	ssize_t n = send(s->fd, s->write + s->write_at, s->n_write - s->write_at, MSG_NOSIGNAL);
	if (n > 0) {
		s->write_at += (size_t)n;
		*moved = true;
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		log_info("port \"%s\": its peer has gone", s->name);
		disconnect(s, CONNECT_MS);
	}
}

/* ---- the thread ---- */

/* True: something has moved. */
static bool serve_all(void)
{
	bool moved = false;

	vec_each (&io.all, it) {
		struct stream *s = *it;
		if (s->fd < 0) {
			find_peer(s);
		}
		if (s->fd >= 0 && take_in(s, &moved)) {
			send_out(s, &moved);
		}
	}
	return moved;
}

static void poll_one(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	vec_push(&io.polled, p);
}

/* What to wait for, and how long. 0: there is work already. */
static int plan_sleep(void)
{
	int64_t wait = IDLE_POLL_MS;

	vec_clear(&io.polled);
	poll_one(io.wake, POLLIN);
	vec_each (&io.all, it) {
		const struct stream *s = *it;
		bool has_output = s->write_at < s->n_write;
		if (s->fd < 0 && s->listener >= 0) {
			poll_one(s->listener, POLLIN);
		} else if (s->fd < 0) {
			wait = MIN(wait, MAX((s->retry_us - now_us()) / 1000 + 1, (int64_t)1));
		} else {
			poll_one(s->fd, (short)((s->n_read < BUFFER && !s->is_stuck ? POLLIN : 0) |
						(has_output ? POLLOUT : 0)));
			wait = s->is_stuck ? MIN(wait, (int64_t)BUSY_POLL_MS) : wait;
			if (!has_output && !rte_ring_empty(s->out)) {
				return 0;
			}
		}
	}
	return (int)wait;
}

static void rest(void)
{
	uint64_t count;

	__atomic_store_n(&io.is_asleep, true, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&io.lock);
	int wait = plan_sleep();
	pthread_mutex_unlock(&io.lock);
	if (wait > 0) {
		(void)poll(io.polled.items, io.polled.n, wait);
	}
	__atomic_store_n(&io.is_asleep, false, __ATOMIC_SEQ_CST);
	(void)!read(io.wake, &count, sizeof(count));
}

static void *run(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&io.is_stopping, __ATOMIC_ACQUIRE)) {
		pthread_mutex_lock(&io.lock);
		bool moved = serve_all();
		pthread_mutex_unlock(&io.lock);
		if (!moved) {
			rest();
		}
	}
	return NULL;
}

static void wake(void)
{
	static const uint64_t one = 1;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (UNLIKELY(__atomic_exchange_n(&io.is_asleep, false, __ATOMIC_SEQ_CST))) {
		(void)!write(io.wake, &one, sizeof(one));
	}
}

static void wake_always(void)
{
	static const uint64_t one = 1;

	(void)!write(io.wake, &one, sizeof(one));
}

static bool start_thread(struct error *e)
{
	sigset_t all, before;

	io.wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (io.wake < 0) {
		return error_set_sys(e, errno, "eventfd");
	}
	io.is_stopping = false;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = pthread_create(&io.thread, NULL, run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0) {
		close(io.wake);
		return error_set_sys(e, r, "a thread for stream sockets");
	}
	return true;
}

static void stop_thread(void)
{
	__atomic_store_n(&io.is_stopping, true, __ATOMIC_RELEASE);
	wake_always();
	pthread_join(io.thread, NULL);
	close(io.wake);
	vec_free(&io.polled);
	vec_free(&io.all);
}

/* ---- the worker ---- */

static uint16_t receive(void *arg, uint16_t queue, struct rte_mbuf **m, uint16_t n)
{
	struct stream *s = arg;

	(void)queue;
	return (uint16_t)rte_ring_sc_dequeue_burst(s->in, (void **)m, n, NULL);
}

static uint16_t transmit(void *arg, uint16_t queue, struct rte_mbuf **m, uint16_t n)
{
	struct stream *s = arg;

	(void)queue;
	n = (uint16_t)rte_ring_sp_enqueue_burst(s->out, (void *const *)m, n, NULL);
	if (n > 0) {
		wake();
	}
	return n;
}

static bool is_up(const void *arg)
{
	const struct stream *s = arg;

	return __atomic_load_n(&s->is_up, __ATOMIC_ACQUIRE);
}

/* ---- opening and closing ---- */

static bool make_rings(struct stream *s, int number, struct error *e)
{
	char name[32];

	snprintf(name, sizeof(name), "stream%d_in", number);
	s->in = rte_ring_create(name, FRAMES, (int)SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	snprintf(name, sizeof(name), "stream%d_out", number);
	s->out = rte_ring_create(name, FRAMES, (int)SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	return (s->in != NULL && s->out != NULL) ||
	       error_set(e, ERROR_NO_SPACE, "no memory for its rings");
}

static void empty(struct rte_ring *ring)
{
	void *m;

	while (ring != NULL && rte_ring_sc_dequeue(ring, &m) == 0) {
		rte_pktmbuf_free(m);
	}
	rte_ring_free(ring);
}

static void stream_free(struct stream *s)
{
	if (s->fd >= 0) {
		close(s->fd);
	}
	if (s->listener >= 0) {
		close(s->listener);
		(void)unlink(s->path);
	}
	empty(s->in);
	empty(s->out);
	free(s->read);
	free(s->write);
	free(s->name);
	free(s->path);
	free(s);
}

struct stream *stream_open(const struct stream_options *o, struct error *e)
{
	struct stream *s = mem_zalloc(sizeof(*s));
	*s = (struct stream){ .name = mem_strdup(o->name),
			      .path = mem_strdup(o->path),
			      .is_server = o->is_server,
			      .pool = o->pool,
			      .io = { receive, transmit, is_up, NULL, true, s },
			      .listener = -1,
			      .fd = -1,
			      .read = mem_alloc(BUFFER),
			      .write = mem_alloc(BUFFER) };
	if (o->is_server) {
		s->listener = socket_listen_unix(s->path, 0600, e);
	}
	if ((o->is_server && s->listener < 0) || !make_rings(s, o->number, e) ||
	    (io.all.n == 0 && !start_thread(e))) {
		stream_free(s);
		return NULL;
	}
	pthread_mutex_lock(&io.lock);
	vec_push(&io.all, s);
	pthread_mutex_unlock(&io.lock);
	wake_always();
	return s;
}

void stream_close(struct stream *s)
{
	pthread_mutex_lock(&io.lock);
	for (size_t i = 0; i < io.all.n; i++) {
		if (io.all.items[i] == s) {
			vec_remove(&io.all, i);
			break;
		}
	}
	pthread_mutex_unlock(&io.lock);
	if (io.all.n == 0) {
		stop_thread();
	}
	stream_free(s);
}

const struct port_io *stream_io(const struct stream *s)
{
	return &s->io;
}
