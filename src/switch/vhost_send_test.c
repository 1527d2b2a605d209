/* SPDX-License-Identifier: Apache-2.0 */
/* Packets to a guest, when it is called, and what is noted for a migration. */
#include "switch/vhost_ring.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

#include <rte_mbuf.h>

#include <cmocka.h>

#include "base/macro.h"
#include "switch/vhost_rig_test.h"

enum {
	SIZE = RIG_SIZE,
	HEADER = RIG_HEADER,
	WRITE = VRING_DESC_F_WRITE,
	YES = 0,
	NO = 1, /* to calls and kicks, in both kinds of ring */
	INDIRECT = VRING_DESC_F_INDIRECT,
};

/* ---- to the guest ---- */

/* n bytes of `frame`, in pieces of at most `piece`. */
static struct rte_mbuf *make(uint32_t n, uint16_t piece)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(rig_pool), *last = m;
	uint32_t done = 0;

	for (;; last = last->next) {
		uint32_t k = MIN(n - done, piece);
		k = MIN(k, rte_pktmbuf_tailroom(last));
		memcpy(rte_pktmbuf_mtod(last, void *), rig_frame + done, k);
		last->data_len = (uint16_t)k;
		m->pkt_len += k;
		done += k;
		if (done == n) {
			return m;
		}
		last->next = rte_pktmbuf_alloc(rig_pool);
		assert_non_null(last->next);
		m->nb_segs++;
	}
}

static bool sends(struct driver *d, uint32_t n, uint16_t piece)
{
	struct rte_mbuf *m = make(n, piece);
	uint16_t sent = vhost_ring_send(&d->ring, &m, 1);

	rte_pktmbuf_free(m);
	return sent == 1;
}

/* A header and n bytes of `frame` came into these pieces, and nothing behind them. */
static void expect_got(struct driver *d, const struct piece *pieces, unsigned n_pieces, uint32_t n,
		       uint16_t n_buffers)
{
	uint8_t *at = rig_got;
	struct virtio_net_hdr_mrg_rxbuf h;

	for (unsigned i = 0; i < n_pieces; i++) {
		driver_read(d, pieces[i].at, at, pieces[i].n);
		at += pieces[i].n;
	}
	memcpy(&h, rig_got, sizeof(h));
	if (d->ring.header == 12) {
		assert_int_equal(h.num_buffers, n_buffers);
	}
	assert_int_equal(h.hdr.flags, 0);
	assert_int_equal(h.hdr.gso_type, 0);
	assert_memory_equal(rig_got + d->ring.header, rig_frame, n);
	for (uint8_t *p = rig_got + d->ring.header + n; p < at; p++) {
		assert_int_equal(*p, 0);
	}
	for (unsigned i = 0; i < n_pieces; i++) {
		static const uint8_t zeros[16384];
		driver_write(d, pieces[i].at, zeros, pieces[i].n);
	}
}

static void expect_used(struct driver *d, uint16_t id, uint32_t n)
{
	struct used u;

	assert_true(driver_take(d, &u));
	assert_int_equal(u.id, id);
	assert_int_equal(u.n, n);
}

static void plain_frames_go(void **state)
{
	struct driver *d = *state;

	assert_false(sends(d, 60, UINT16_MAX));
	driver_go_to(d, d->is_packed ? SIZE - 3 : 65533, !d->is_packed);
	for (unsigned i = 0; i < 3 * SIZE; i++) {
		struct piece pieces[] = { { rig_buffer(0), 1526, WRITE },
					  { rig_buffer(1), 1526, WRITE } };
		uint16_t first = driver_offer(d, &pieces[0], 1);
		uint16_t second = driver_offer(d, &pieces[1], 1);
		struct rte_mbuf *m[] = { make(60 + i, UINT16_MAX), make(1514, UINT16_MAX),
					 make(60, UINT16_MAX) };
		assert_int_equal(vhost_ring_send(&d->ring, m, 3), 2);
		rte_pktmbuf_free_bulk(m, 3);
		expect_used(d, first, HEADER + 60 + i);
		expect_used(d, second, HEADER + 1514);
		expect_got(d, &pieces[0], 1, 60 + i, 1);
		expect_got(d, &pieces[1], 1, 1514, 1);
	}
}

static void frames_go_into_chains(void **state)
{
	struct driver *d = *state;
	struct piece pieces[] = { { rig_buffer(0), HEADER, WRITE },
				  { GUEST_BORDER - 100, 300, WRITE },
				  { rig_buffer(3), 4000, WRITE } };

	for (unsigned i = 0; i < 2 * SIZE; i++) {
		uint16_t id = driver_offer(d, pieces, 3);
		assert_true(sends(d, 4000, 700));
		expect_used(d, id, HEADER + 4000);
		expect_got(d, pieces, 3, 4000, 1);
		id = driver_offer_indirect(d, rig_buffer(9) + i, pieces, 3);
		assert_true(sends(d, 60, UINT16_MAX));
		expect_used(d, id, HEADER + 60);
		expect_got(d, pieces, 3, 60, 1);
	}
	d->ring.header = 10;
	pieces[0].n = 10;
	uint16_t id = driver_offer(d, pieces, 2);
	assert_true(sends(d, 60, UINT16_MAX));
	expect_used(d, id, 70);
	expect_got(d, pieces, 2, 60, 1);
}

static void frames_take_several_buffers(void **state)
{
	struct driver *d = *state;
	struct piece pieces[SIZE];

	d->ring.is_mergeable = true;
	driver_go_to(d, d->is_packed ? SIZE - 2 : 65534, true);
	for (unsigned i = 0; i < SIZE; i++) {
		pieces[i] = (struct piece){ rig_buffer(i), 500, WRITE };
	}
	for (unsigned round = 0; round < 2 * SIZE; round++) {
		uint16_t ids[5];
		for (unsigned i = 0; i < 3; i++) {
			ids[i] = driver_offer(d, &pieces[i], 1);
		}
		assert_false(sends(d, 2000, UINT16_MAX)); /* they stay for another one */
		for (unsigned i = 3; i < 5; i++) {
			ids[i] = driver_offer(d, &pieces[i], 1);
		}
		assert_true(sends(d, 2000, 900));
		assert_false(sends(d, 60, UINT16_MAX));
		for (unsigned i = 0; i < 5; i++) {
			expect_used(d, ids[i], i < 4 ? 500 : HEADER);
		}
		expect_got(d, pieces, 5, 2000, 5);
	}
}

static void too_large_frames_go_behind(void **state)
{
	struct driver *d = *state;
	struct piece pieces[] = { { rig_buffer(0), 1526, WRITE }, { rig_buffer(1), 1526, WRITE } };
	struct rte_mbuf *m[] = { make(60, 2000), make(9000, 2000), make(70, 2000), make(80, 2000) };
	struct rte_mbuf *large = m[1];
	uint16_t first = driver_offer(d, &pieces[0], 1), second = driver_offer(d, &pieces[1], 1);

	assert_int_equal(vhost_ring_send(&d->ring, m, 4), 2);
	assert_ptr_equal(m[3], large);
	assert_int_equal(m[2]->pkt_len, 80);
	assert_false(d->ring.is_broken);
	rte_pktmbuf_free_bulk(m, 4);
	expect_used(d, first, HEADER + 60);
	expect_used(d, second, HEADER + 70);
}

static void wrong_buffers_break_the_ring(void **state)
{
	struct driver *d = *state;
	static const struct piece wrong[] = { { 0, 2000, WRITE },
					      { GUEST_END - 1000, 2000, WRITE },
					      { GUEST_FROM + GUEST_BUFFERS, 2000, 0 },
					      { GUEST_FROM + GUEST_BUFFERS, 0, WRITE },
					      { GUEST_END - 16, 32, INDIRECT } };

	for (unsigned i = 0; i < 2 * ARRAY_LEN(wrong); i++) {
		d->ring.is_mergeable = i % 2 == 1;
		driver_go_to(d, 0, true);
		rig_start(d);
		driver_offer(d, &wrong[i / 2], 1);
		assert_false(sends(d, 1514, UINT16_MAX));
		assert_true(d->ring.is_broken);
	}
}

/* ---- who is called, and what is noted ---- */

static unsigned n_calls(const struct driver *d)
{
	uint64_t n;

	return read(d->ring.call, &n, sizeof(n)) == sizeof(n) ? (unsigned)n : 0;
}

static void exchange(struct driver *d, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		rig_offer_frame(d, 0, 60);
		rig_expect_frame(d, 60);
	}
}

static void guests_are_called_as_they_wish(void **state)
{
	struct driver *d = *state;
	struct piece piece = { rig_buffer(0), 2000, WRITE };

	d->ring.call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	exchange(d, 3);
	assert_int_equal(n_calls(d), 3);
	rig_expect_nothing(d);
	assert_false(sends(d, 60, UINT16_MAX));
	assert_int_equal(n_calls(d), 0);
	driver_offer(d, &piece, 1);
	assert_true(sends(d, 60, UINT16_MAX));
	assert_int_equal(n_calls(d), 1);
	driver_take(d, &(struct used){ 0 });
	driver_says(d, NO);
	exchange(d, 3);
	assert_int_equal(n_calls(d), 0);
	driver_says(d, d->is_packed ? VRING_PACKED_EVENT_FLAG_DESC : YES);
	exchange(d, 1);
	assert_int_equal(n_calls(d), 1);
	close(d->ring.call);
}

static void indexes_say_when_to_call(void **state)
{
	struct driver *d = *state;
	struct rte_mbuf *m[RING_BURST];

	d->ring.call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	d->ring.has_event_index = true;
	driver_go_to(d, 65530, true);
	driver_says(d, NO); /* no word of it holds then */
	driver_says_event(d, 2);
	exchange(d, 8); /* buffers 65530 to 1 */
	assert_int_equal(n_calls(d), 0);
	exchange(d, 1);
	assert_int_equal(n_calls(d), 1);
	exchange(d, 5);
	assert_int_equal(n_calls(d), 0);
	driver_says_event(d, 10);
	for (int i = 0; i < 6; i++) { /* 8 to 13 at once */
		rig_offer_frame(d, 0, 60);
	}
	assert_int_equal(vhost_ring_receive(&d->ring, rig_pool, m, RING_BURST), 6);
	rte_pktmbuf_free_bulk(m, 6);
	assert_int_equal(n_calls(d), 1);
	close(d->ring.call);
}

static void kicks_are_asked_for(void **state)
{
	struct driver *d = *state;
	struct error e;

	assert_int_equal(driver_sees(d), NO);
	assert_true(vhost_ring_begin(&d->ring, true, &e));
	assert_int_equal(driver_sees(d), YES);
}

enum {
	FRAMES = 20000,
	LOST_MS = 5000, /* a call that has not come until then does not come */
};

/* A guest on a thread of its own, which sleeps until it is called. */
struct sleeper {
	struct driver *d;
	bool is_sending;
	unsigned n_at_once; /* buffers that are on their way */
	bool is_over;	    /* atomic */
	unsigned n;	    /* buffers that came back; all, unless it slept for too long */
};

/* What has come back; where nothing has, sleeps until it is called. */
static bool wait_for(struct sleeper *g, struct used *u)
{
	struct driver *d = g->d;
	struct pollfd p = { .fd = d->ring.call, .events = POLLIN };

	while (!driver_take(d, u)) {
		driver_says_event(d, d->seen);
		driver_says(d, YES);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (driver_take(d, u)) {
			break;
		}
		if (poll(&p, 1, LOST_MS) != 1) {
			return false;
		}
		(void)n_calls(d);
		driver_says(d, NO);
	}
	return true;
}

static void *be_guest(void *arg)
{
	struct sleeper *g = arg;
	unsigned offered = 0;
	struct used u;
	cpu_set_t cpus; /* any, not DPDK's only */

	memset(&cpus, 0xff, sizeof(cpus));
	(void)pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	for (unsigned n = 0; n < FRAMES; n++) {
		for (; offered < FRAMES && offered - n < g->n_at_once; offered++) {
			struct piece piece = { rig_buffer(offered % SIZE), 200,
					       g->is_sending ? 0 : WRITE };
			driver_offer(g->d, &piece, 1);
		}
		for (unsigned i = 0; i < n % 97; i++) { /* goes to sleep at any moment */
			__asm__ volatile("");
		}
		if (!wait_for(g, &u)) {
			break;
		}
		g->n++;
	}
	__atomic_store_n(&g->is_over, true, __ATOMIC_RELEASE);
	return NULL;
}

/* All that a worker does with a ring while there is the guest. */
static void work(struct sleeper *g)
{
	struct rte_mbuf *m[RING_BURST], *one = make(60, UINT16_MAX);

	while (!__atomic_load_n(&g->is_over, __ATOMIC_ACQUIRE)) {
		uint16_t n = g->is_sending ? vhost_ring_receive(&g->d->ring, rig_pool, m, 5)
					   : vhost_ring_send(&g->d->ring, &one, 1);
		if (g->is_sending) {
			rte_pktmbuf_free_bulk(m, n);
		}
		if (n == 0) {
			sched_yield();
		}
	}
	rte_pktmbuf_free(one);
}

static void no_call_is_lost(void **state)
{
	struct driver *d = *state;

	d->ring.call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (int round = 0; round < 8; round++) {
		struct sleeper g = { .d = d,
				     .is_sending = round % 2 == 0,
				     .n_at_once = round < 4 ? 1 : SIZE };
		pthread_t thread;
		d->ring.has_event_index = round / 2 % 2 == 1;
		driver_says(d, NO);
		assert_int_equal(pthread_create(&thread, NULL, be_guest, &g), 0);
		work(&g);
		pthread_join(thread, NULL);
		assert_int_equal(g.n, FRAMES);
	}
	close(d->ring.call);
}

/* A migration: what is noted is copied at once, as it is then. */
static uint8_t elsewhere[GUEST_FIRST + GUEST_SECOND];

static void copy_noted(void *arg, uint64_t at, uint64_t n)
{
	assert_true(at >= GUEST_FROM && n <= GUEST_END - at);
	driver_read(arg, at, elsewhere + (at - GUEST_FROM), (uint32_t)n);
}

static void what_is_written_is_noted(void **state)
{
	static uint8_t here[sizeof(elsewhere)];
	struct driver *d = *state;
	struct piece pieces[] = { { GUEST_BORDER - 100, 300, WRITE },
				  { rig_buffer(1), 400, WRITE } };

	d->ring.dirty = (struct ring_dirty){ copy_noted, d };
	d->ring.is_mergeable = true;
	driver_go_to(d, d->is_packed ? SIZE - 5 : 65531, true);
	for (unsigned i = 0; i < 2 * SIZE; i++) {
		struct used u;
		rig_offer_frame(d, 4, 60);
		driver_read(d, GUEST_FROM, elsewhere, sizeof(elsewhere));
		rig_expect_frame(d, 60);
		driver_read(d, GUEST_FROM, here, sizeof(here));
		assert_memory_equal(here, elsewhere, sizeof(here));
		driver_offer(d, &pieces[0], 1);
		driver_offer(d, &pieces[1], 1);
		driver_read(d, GUEST_FROM, elsewhere, sizeof(elsewhere));
		assert_true(sends(d, i % 2 == 0 ? 200 : 500, 99));
		assert_true(sends(d, 60, 99) == (i % 2 == 0));
		driver_read(d, GUEST_FROM, here, sizeof(here));
		assert_memory_equal(here, elsewhere, sizeof(here));
		assert_true(driver_take(d, &u) && driver_take(d, &u));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(plain_frames_go),
		BOTH(frames_go_into_chains),
		BOTH(frames_take_several_buffers),
		BOTH(too_large_frames_go_behind),
		BOTH(wrong_buffers_break_the_ring),
		BOTH(guests_are_called_as_they_wish),
		SPLIT(indexes_say_when_to_call),
		BOTH(kicks_are_asked_for),
		BOTH(no_call_is_lost),
		BOTH(what_is_written_is_noted),
	};

	return cmocka_run_group_tests(tests, rig_begin, NULL);
}
