/* SPDX-License-Identifier: Apache-2.0 */
/* Packets from a guest. */
#include "switch/vhost_ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

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
	NEXT = VRING_DESC_F_NEXT,
	INDIRECT = VRING_DESC_F_INDIRECT,
};

static void plain_frames_come(void **state)
{
	struct driver *d = *state;
	struct rte_mbuf *m[RING_BURST];
	struct used u;

	rig_expect_nothing(d);
	for (unsigned round = 0; round < 11; round++) { /* the ring goes round four times */
		uint16_t ids[6];
		for (unsigned i = 0; i < 6; i++) {
			struct piece piece = { rig_buffer(i), HEADER + 60 + i, 0 };
			rig_fill(d, &piece, 1);
			ids[i] = driver_offer(d, &piece, 1);
		}
		assert_int_equal(vhost_ring_receive(&d->ring, rig_pool, m, 4), 4);
		assert_int_equal(vhost_ring_receive(&d->ring, rig_pool, m + 4, RING_BURST), 2);
		for (unsigned i = 0; i < 6; i++) {
			assert_int_equal(m[i]->pkt_len, 60 + i);
			assert_memory_equal(rte_pktmbuf_mtod(m[i], void *), rig_frame, 60 + i);
			assert_true(driver_take(d, &u));
			assert_int_equal(u.id, ids[i]);
		}
		rte_pktmbuf_free_bulk(m, 6);
	}
	rig_expect_nothing(d);
}

static void chains_are_put_together(void **state)
{
	struct driver *d = *state;
	struct piece pieces[] = { { rig_buffer(0), HEADER, 0 },
				  { GUEST_BORDER - 100, 300, 0 }, /* in both regions */
				  { rig_buffer(2) + 1, 1, 0 },
				  { rig_buffer(3), 4000, 0 } };

	rig_fill(d, pieces, 4);
	for (int i = 0; i < 3 * SIZE; i++) {
		driver_offer(d, pieces, 4);
		rig_expect_frame(d, 4301);
		driver_offer(d, pieces, 2);
		rig_expect_frame(d, 300);
	}
	struct piece cut[] = { { rig_buffer(0), 5, 0 }, { rig_buffer(1), 20, 0 } };
	rig_fill(d, cut, 2); /* a header in two */
	driver_offer(d, cut, 2);
	rig_expect_frame(d, 13);
	struct piece over = { GUEST_BORDER - 6, HEADER + 60, 0 };
	rig_fill(d, &over, 1);
	driver_offer(d, &over, 1);
	rig_expect_frame(d, 60);
}

static void old_headers_are_shorter(void **state)
{
	struct driver *d = *state;

	d->ring.header = 10;
	rig_offer_frame(d, 0, 60);
	rig_expect_frame(d, 60);
}

static void tables_of_descriptors_are_read(void **state)
{
	struct driver *d = *state;
	struct piece pieces[] = { { rig_buffer(0), HEADER, 0 },
				  { rig_buffer(1), 700, 0 },
				  { GUEST_BORDER - 10, 100, 0 },
				  { rig_buffer(3), 2000, 0 } };

	rig_fill(d, pieces, 4);
	for (unsigned i = 0; i < 2 * SIZE; i++) {
		driver_offer_indirect(d, rig_buffer(8) + i, pieces, 4);
		rig_expect_frame(d, 2800);
	}
}

static void frames_have_bounds(void **state)
{
	struct driver *d = *state;
	uint64_t at = GUEST_FROM + GUEST_BUFFERS;
	struct piece piece = { at, HEADER + RING_FRAME_MAX, 0 };

	rig_fill(d, &piece, 1);
	driver_offer(d, &piece, 1);
	rig_expect_frame(d, RING_FRAME_MAX);
	piece.n++;
	driver_offer(d, &piece, 1);
	rig_expect_frame(d, 0);
	piece.n = HEADER + 1;
	driver_offer(d, &piece, 1);
	rig_expect_frame(d, 1);
	piece.n = HEADER;
	driver_offer(d, &piece, 1);
	rig_expect_frame(d, 0);
}

static void indexes_wrap(void **state)
{
	struct driver *d = *state;

	driver_go_to(d, d->is_packed ? SIZE - 3 : 65533, false);
	for (unsigned i = 0; i < 2 * SIZE; i++) {
		rig_offer_frame(d, i % SIZE, 60 + i);
		rig_offer_frame(d, (i + 1) % SIZE, 60);
		rig_expect_frame(d, 60 + i);
		rig_expect_frame(d, 60);
	}
}

static void packets_wait_for_room_in_the_pool(void **state)
{
	struct driver *d = *state;
	struct rte_mbuf *all[RIG_PACKETS];
	struct rte_mbuf *m;
	struct used u;

	assert_int_equal(rte_pktmbuf_alloc_bulk(rig_pool, all, RIG_PACKETS), 0);
	rig_offer_frame(d, 0, 60);
	rig_offer_frame(d, 1, 5000);
	rig_expect_nothing(d);
	rte_pktmbuf_free_bulk(all, 1);
	rig_expect_frame(d, 60);
	rte_pktmbuf_free_bulk(all + 1, 1); /* too few for the next one: it is lost */
	assert_int_equal(vhost_ring_receive(&d->ring, rig_pool, &m, 1), 1);
	assert_int_equal(m->pkt_len, 0);
	assert_int_equal(m->nb_segs, 1);
	rte_pktmbuf_free(m);
	assert_true(driver_take(d, &u));
	rte_pktmbuf_free_bulk(all + 2, RIG_PACKETS - 2);
}

/* ---- checksums left to us ---- */

/* Of bytes from a place on, as a naive sum. */
static uint16_t sum_of(const uint8_t *bytes, uint32_t from, uint32_t n)
{
	uint32_t sum = 0;

	for (uint32_t i = from; i < n; i++) {
		sum += (i - from) % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

/* A frame of n bytes comes whose sum the guest left; its bytes are in `got`. */
static void receive_unsummed(struct driver *d, uint32_t n, uint16_t from, uint16_t offset)
{
	struct virtio_net_hdr h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				    .csum_start = from,
				    .csum_offset = offset };
	struct piece piece = { rig_buffer(0), HEADER + n, 0 };
	struct rte_mbuf *m;
	struct used u;

	rig_fill(d, &piece, 1);
	driver_write(d, piece.at, &h, sizeof(h));
	driver_offer(d, &piece, 1);
	assert_int_equal(vhost_ring_receive(&d->ring, rig_pool, &m, 1), 1);
	assert_int_equal(m->pkt_len, n);
	const void *bytes = rte_pktmbuf_read(m, 0, n, rig_got);
	memmove(rig_got, bytes, n);
	rte_pktmbuf_free(m);
	assert_true(driver_take(d, &u));
}

static void checksums_are_made(void **state)
{
	static const struct {
		uint32_t n;
		uint16_t from, offset;
	} cases[] = { { 60, 34, 6 },	 { 61, 34, 6 },	   { 1514, 34, 16 },
		      { 1514, 54, 16 },	 { 3001, 34, 16 }, { 9000, 38, 16 },
		      { 65553, 34, 16 }, { 60, 35, 6 },	   { 60, 58, 0 } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint16_t from = cases[i].from, field = (uint16_t)(from + cases[i].offset);
		receive_unsummed(*state, cases[i].n, from, cases[i].offset);
		/* The sum was made with the field as it was. */
		uint16_t sum = (uint16_t)(rig_got[field] << 8 | rig_got[field + 1]);
		assert_int_equal((uint16_t)~sum_of(rig_frame, from, cases[i].n), sum);
		rig_got[field] = rig_frame[field];
		rig_got[field + 1] = rig_frame[field + 1];
		assert_memory_equal(rig_got, rig_frame, cases[i].n);
	}
}

static void no_checksum_is_zero(void **state)
{
	uint8_t before[60];

	memcpy(before, rig_frame, sizeof(before));
	memset(rig_frame + 34, 0, 26);
	rig_frame[40] = rig_frame[41] = 0xff;
	receive_unsummed(*state, 60, 34, 6);
	assert_int_equal(rig_got[40] << 8 | rig_got[41], 0xffff);
	memcpy(rig_frame, before, sizeof(before));
}

static void checksums_beyond_the_frame_are_left(void **state)
{
	static const uint16_t cases[][2] = { { 60, 0 },	   { 34, 25 },	  { 59, 0 },
					     { 65535, 0 }, { 34, 65535 }, { 65535, 65535 },
					     { 0, 65535 } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		receive_unsummed(*state, 60, cases[i][0], cases[i][1]);
		assert_memory_equal(rig_got, rig_frame, 60);
	}
}

/* ---- what cannot be right ---- */

/* A chain comes back as a packet of nothing, and the next one as always. */
static void expect_refused(struct driver *d, const struct piece *pieces, unsigned n)
{
	driver_offer(d, pieces, n);
	rig_expect_frame(d, 0);
	rig_offer_frame(d, 0, 60);
	rig_expect_frame(d, 60);
}

static void wrong_chains_come_empty(void **state)
{
	const struct piece wrong[][2] = {
		{ { 0, 100, 0 }, { 0, 0, 0 } },
		{ { GUEST_FROM - 1, 100, 0 }, { 0, 0, 0 } },
		{ { GUEST_END - 99, 100, 0 }, { 0, 0, 0 } },
		{ { GUEST_END, 1, 0 }, { 0, 0, 0 } },
		{ { UINT64_MAX - 50, 100, 0 }, { 0, 0, 0 } },
		{ { rig_buffer(0), UINT32_MAX, 0 }, { 0, 0, 0 } },
		{ { rig_buffer(0), 0, 0 }, { 0, 0, 0 } },
		{ { rig_buffer(0), 11, 0 }, { 0, 0, 0 } },
		{ { rig_buffer(0), 100, WRITE }, { 0, 0, 0 } },
		{ { rig_buffer(0), 100, 0 }, { rig_buffer(1), 100, WRITE } },
		{ { rig_buffer(0), 100, 0 }, { rig_buffer(1), UINT32_MAX, 0 } },
		{ { rig_buffer(0), 100, 0 }, { rig_buffer(1), 0, 0 } },
		{ { rig_buffer(9), 0, INDIRECT }, { 0, 0, 0 } },
		{ { rig_buffer(9), 17, INDIRECT }, { 0, 0, 0 } },
		{ { rig_buffer(9), 16 * 40000, INDIRECT }, { 0, 0, 0 } },
		{ { GUEST_END - 16, 32, INDIRECT }, { 0, 0, 0 } },
		{ { rig_buffer(9), 16, INDIRECT }, { rig_buffer(0), 100, 0 } },
	};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		expect_refused(*state, wrong[i], wrong[i][1].at == 0 ? 1 : 2);
	}
}

static void wrong_tables_come_empty(void **state)
{
	struct driver *d = *state;
	struct piece inner[] = { { rig_buffer(0), 100, 0 },
				 { rig_buffer(1), 16, INDIRECT },
				 { rig_buffer(1), 16, WRITE } };
	struct piece many[300];

	driver_offer_indirect(d, rig_buffer(9), inner, 2);
	rig_expect_frame(d, 0);
	inner[1] = inner[2];
	driver_offer_indirect(d, rig_buffer(9), inner, 2);
	rig_expect_frame(d, 0);
	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		many[i] = (struct piece){ rig_buffer(0) + i, 1, 0 };
	}
	driver_offer_indirect(d, rig_buffer(9), many, ARRAY_LEN(many));
	rig_expect_frame(d, 0);
}

static void loops_of_split_rings_end(void **state)
{
	struct driver *d = *state;
	struct piece pieces[] = { { rig_buffer(0), 20, 0 }, { rig_buffer(1), 20, 0 } };
	static const uint16_t to[] = { 0, 1, SIZE, 65535 };

	for (size_t i = 0; i < ARRAY_LEN(to); i++) {
		d->free_desc = 0;
		driver_offer(d, pieces, 2);
		d->ring.desc[1].flags |= NEXT;
		d->ring.desc[1].next = to[i];
		rig_expect_frame(d, 0);
	}
	struct vring_desc table[2] = { { rig_buffer(0), 20, NEXT, 1 },
				       { rig_buffer(1), 20, NEXT, 0 } };
	driver_write(d, rig_buffer(9), table, sizeof(table));
	expect_refused(d, &(struct piece){ rig_buffer(9), 32, INDIRECT }, 1);
	table[1].next = 2;
	driver_write(d, rig_buffer(9), table, sizeof(table));
	expect_refused(d, &(struct piece){ rig_buffer(9), 32, INDIRECT }, 1);
}

static void broken_rings_are_silent(void **state)
{
	struct driver *d = *state;
	struct rte_mbuf *m[RING_BURST];

	rig_offer_frame(d, 0, 60);
	rig_offer_frame(d, 1, 60);
	if (d->is_packed) { /* no descriptor is the last */
		for (int i = 0; i < SIZE; i++) {
			d->ring.packed[i].flags |= NEXT;
		}
		rig_expect_nothing(d);
	} else {
		d->ring.avail->ring[1] = SIZE;
		assert_int_equal(vhost_ring_receive(&d->ring, rig_pool, m, RING_BURST), 1);
		rte_pktmbuf_free(m[0]);
	}
	assert_true(d->ring.is_broken);
	assert_int_equal(vhost_ring_receive(&d->ring, rig_pool, m, RING_BURST), 0);
	driver_go_to(d, 0, true);
	rig_start(d);
	rig_offer_frame(d, 0, 60);
	rig_expect_frame(d, 60);
}

static void too_many_available_break_a_split_ring(void **state)
{
	struct driver *d = *state;
	static const uint16_t by[] = { SIZE + 1, 1000, 32768, 65535 };
	struct rte_mbuf *m = rte_pktmbuf_alloc(rig_pool);

	rte_pktmbuf_append(m, 60);
	for (size_t i = 0; i < ARRAY_LEN(by); i++) {
		d->ring.avail->idx = (uint16_t)(d->ring.next + by[i]);
		rig_expect_nothing(d);
		assert_true(d->ring.is_broken);
		rig_start(d);
		assert_int_equal(vhost_ring_send(&d->ring, &m, 1), 0);
		assert_true(d->ring.is_broken);
		rig_start(d);
	}
	rte_pktmbuf_free(m);
	d->ring.avail->idx = d->ring.next;
	rig_offer_frame(d, 0, 60);
	rig_expect_frame(d, 60);
}

static void rings_lie_in_memory(void **state)
{
	struct driver *d = *state;
	struct vhost_ring good = d->ring, *r = &d->ring;
	uint8_t *first = r->memory.regions[0].at, *end = first + GUEST_FIRST;
	void *const wrong[] = { NULL, first - 16, first + 1, end - 1, end - 2, end };
	struct error e;

	for (size_t i = 0; i < 3 * ARRAY_LEN(wrong); i++) {
		void *at = wrong[i / 3];
		*r = good;
		r->desc = i % 3 == 0 ? at : r->desc;
		r->avail = i % 3 == 1 ? at : r->avail;
		r->used = i % 3 == 2 ? at : r->used;
		assert_false(vhost_ring_begin(r, false, &e));
		struct rte_mbuf *m;
		assert_int_equal(vhost_ring_receive(r, rig_pool, &m, 1), 0);
		assert_int_equal(vhost_ring_send(r, &m, 1), 0);
	}
	static const uint16_t sizes[] = { 0, 32769, 65535, 32768 };
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) { /* the last: longer than memory */
		*r = good;
		r->size = sizes[i];
		assert_false(vhost_ring_begin(r, false, &e));
	}
	*r = good;
	r->size = 12;
	assert_int_equal(vhost_ring_begin(r, false, &e), d->is_packed);
	*r = good;
	rig_start(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(plain_frames_come),
		BOTH(chains_are_put_together),
		BOTH(old_headers_are_shorter),
		BOTH(tables_of_descriptors_are_read),
		BOTH(frames_have_bounds),
		BOTH(indexes_wrap),
		BOTH(packets_wait_for_room_in_the_pool),
		BOTH(checksums_are_made),
		BOTH(no_checksum_is_zero),
		BOTH(checksums_beyond_the_frame_are_left),
		BOTH(wrong_chains_come_empty),
		BOTH(wrong_tables_come_empty),
		SPLIT(loops_of_split_rings_end),
		BOTH(broken_rings_are_silent),
		SPLIT(too_many_available_break_a_split_ring),
		BOTH(rings_lie_in_memory),
	};

	return cmocka_run_group_tests(tests, rig_begin, NULL);
}
