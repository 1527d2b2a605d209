/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that writes what it likes: where its rings are, what they hold, and more of it between
 * and (where writes are logged) while packets are moved. Its memory is blocks of just their size,
 * so that each byte touched outside is seen; packets that come must be whole, and none may be lost.
 *
 * The input: struct begin, then steps, each a byte whose low 3 bits are the kind and whose others
 * are a number, and what the kind takes (run_step()).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sys/eventfd.h>

#include <linux/virtio_ring.h>

#include <rte_mbuf.h>

#include "base/macro.h"
#include "switch/dpdk_test.h"
#include "switch/packet.h"
#include "switch/segment.h"
#include "switch/vhost_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	BUFFERS = 255,
	REGIONS = 3,
	REGION_MAX = 16384,
	STEPS = 200,
	SENT_MAX = 9000, /* bytes of a packet to the guest */
};

struct begin {
	uint8_t flags; /* FLAG_ */
	uint8_t race;  /* what is written while packets are moved */
	uint16_t size, next;
	uint16_t bytes[REGIONS];    /* of memory */
	uint16_t desc, avail, used; /* where in the first region */
} __attribute__((packed));

enum {
	FLAG_PACKED = 1,
	FLAG_MERGEABLE = 2,
	FLAG_EVENT_INDEX = 4,
	FLAG_LONG_HEADER = 8,
	FLAG_LOGS = 16,
	FLAG_KICKS = 32,
	FLAG_WRAP = 64,
	FLAG_SEGMENTS = 128,
};

struct input {
	const uint8_t *at;
	size_t left;
};

struct guest {
	struct vhost_ring ring;
	struct input input;
	uint8_t race;
	uint32_t n_writes;
	struct rte_mbuf *marked; /* of those that came the last one that is to be cut */
};

static struct rte_mempool *pool;
static int call;

static uint16_t take(struct input *in, unsigned bytes)
{
	uint16_t v = 0;

	for (unsigned i = 0; i < bytes && in->left != 0; i++, in->left--) {
		v |= (uint16_t)(*in->at++ << 8 * i);
	}
	return v;
}

/* ---- what the guest does ---- */

static void put(struct guest *g, unsigned region, uint16_t at, const void *data, size_t n)
{
	const struct ring_region *to = &g->ring.memory.regions[region % g->ring.memory.n];

	for (size_t i = 0; i < n && at + i < to->size; i++) {
		to->at[at + i] = ((const uint8_t *)data)[i];
	}
}

static uint16_t offset_of(const struct guest *g, const void *at)
{
	return (uint16_t)((uintptr_t)at - (uintptr_t)g->ring.memory.regions[0].at);
}

static void put_desc(struct guest *g)
{
	struct input *in = &g->input;
	uint16_t place = take(in, 2), where = take(in, 2);
	const struct ring_region *region = &g->ring.memory.regions[where % g->ring.memory.n];
	struct vring_desc d = { .addr = region->from + where / REGIONS };

	d.len = take(in, 2);
	d.flags = take(in, 2);
	d.next = take(in, 2);
	if (g->ring.is_packed) { /* its flags are the last */
		uint16_t flags = d.flags;
		d.flags = d.next;
		d.next = flags;
	}
	put(g, 0, (uint16_t)(offset_of(g, g->ring.desc) + 16 * place), &d, sizeof(d));
}

/* Makes a chain available, as an honest guest does. */
static void push(struct guest *g, uint16_t head)
{
	struct vhost_ring *r = &g->ring;
	uint16_t at, mask = 1 << VRING_PACKED_DESC_F_AVAIL | 1 << VRING_PACKED_DESC_F_USED;

	if (!r->is_on) {
		return;
	}
	if (!r->is_packed) {
		at = r->avail->idx;
		r->avail->ring[at & (r->size - 1)] = head;
		r->avail->idx = (uint16_t)(at + 1);
		return;
	}
	for (uint32_t i = 0; i <= head % r->size; i++) {
		uint32_t place = (uint32_t)r->next + i;
		bool wrap = place >= r->size ? !r->wrap : r->wrap;
		struct vring_packed_desc *d = &r->packed[place % r->size];
		d->flags = (uint16_t)((d->flags & ~mask) | 1 << (wrap ? VRING_PACKED_DESC_F_AVAIL
								      : VRING_PACKED_DESC_F_USED));
	}
}

static void poke(struct guest *g, unsigned region)
{
	uint16_t at = take(&g->input, 2), n = take(&g->input, 1);

	n = n < g->input.left ? n : (uint16_t)g->input.left;
	put(g, region, at, g->input.at, n);
	g->input.at += n;
	g->input.left -= n;
}

/* What is said to have been written was; and something else is meanwhile. */
static void on_write(void *arg, uint64_t at, uint64_t n)
{
	struct guest *g = arg;
	bool is_inside = false;

	for (unsigned i = 0; i < g->ring.memory.n; i++) {
		const struct ring_region *region = &g->ring.memory.regions[i];
		is_inside |=
			at - region->from < region->size && n <= region->size - (at - region->from);
	}
	assert(is_inside);
	if (g->race != 0) {
		uint32_t i = ++g->n_writes;
		uint8_t value = (uint8_t)(g->race * 31 + i);
		put(g, i, (uint16_t)(g->race * 131 * i % 1024), &value, 1);
	}
}

/* ---- packets ---- */

static void check_packet(const struct rte_mbuf *m)
{
	uint32_t bytes = 0;
	uint16_t segments = 0;

	for (const struct rte_mbuf *s = m; s != NULL; s = s->next) {
		assert((uint32_t)s->data_off + s->data_len <= s->buf_len);
		bytes += s->data_len;
		segments++;
	}
	assert(bytes == m->pkt_len && segments == m->nb_segs && bytes <= RING_FRAME_MAX);
}

/* Cuts what is to be cut: each piece must be what rules have judged. */
static void cut(const struct rte_mbuf *m)
{
	struct rte_mbuf *pieces[SEGMENTS_MAX];
	struct packet whole, p;
	bool is_known = packet_parse(&whole, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len,
				     m->pkt_len, true) == DROP_NONE;
	unsigned n = segment_cut(m, pool, pieces);

	for (unsigned i = 0; i < n; i++) {
		check_packet(pieces[i]);
		assert(!is_known ||
		       (packet_parse(&p, rte_pktmbuf_mtod(pieces[i], const uint8_t *),
				     pieces[i]->data_len, pieces[i]->pkt_len, true) == DROP_NONE &&
			flow_key_equal(&whole.key, &p.key)));
	}
	rte_pktmbuf_free_bulk(pieces, n);
}

static void receive(struct guest *g, uint16_t n)
{
	struct rte_mbuf *m[RING_BURST];
	uint16_t got = vhost_ring_receive(&g->ring, pool, m, n);

	assert(got <= n);
	for (uint16_t i = 0; i < got; i++) {
		check_packet(m[i]);
		if (segment_is_marked(m[i])) {
			cut(m[i]);
			rte_pktmbuf_free(g->marked);
			g->marked = m[i];
			continue;
		}
		rte_pktmbuf_free(m[i]);
	}
}

/* A packet of so many bytes, in pieces of at most `piece`. */
static struct rte_mbuf *make(uint32_t n, uint16_t piece)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool), *last = m;

	for (assert(m != NULL);; last = last->next) {
		uint32_t k = MIN(n, piece);
		k = MIN(k, rte_pktmbuf_tailroom(last));
		memset(rte_pktmbuf_mtod(last, uint8_t *), 0x5a, k);
		last->data_len = (uint16_t)k;
		m->pkt_len += k;
		n -= k;
		if (n == 0) {
			return m;
		}
		last->next = rte_pktmbuf_alloc(pool);
		assert(last->next != NULL);
		m->nb_segs++;
	}
}

static void send(struct guest *g, uint16_t n)
{
	struct rte_mbuf *m[RING_BURST];

	for (uint16_t i = 0; i < n; i++) {
		uint16_t bytes = take(&g->input, 2);
		m[i] = make(bytes % SENT_MAX, bytes % 2 == 0 ? UINT16_MAX : 1500);
	}
	if (g->marked != NULL) {
		m[n++] = g->marked;
		g->marked = NULL;
	}
	uint16_t sent = vhost_ring_send(&g->ring, m, n);
	assert(sent <= n);
	rte_pktmbuf_free_bulk(m, n);
}

static void run_step(struct guest *g)
{
	struct error e;
	uint16_t step = take(&g->input, 1), number = step >> 3;

	switch (step & 7) {
	case 0:
		receive(g, (uint16_t)(number + 1));
		break;
	case 1:
		send(g, (uint16_t)(number % 16 + 1));
		break;
	case 2:
		poke(g, number);
		break;
	case 3:
		put_desc(g);
		break;
	case 4:
		push(g, number);
		break;
	case 5:
		push(g, take(&g->input, 2));
		break;
	case 6: /* the index, or the driver's word on being called */
		if (g->ring.is_on) {
			uint16_t value = take(&g->input, 2);
			put(g, 0, (uint16_t)(offset_of(g, g->ring.avail) + number % 2 * 2), &value,
			    2);
		}
		break;
	default:
		(void)vhost_ring_begin(&g->ring, number % 2 == 0, &e);
		break;
	}
}

/* ---- the rig ---- */

static void begin_dpdk(void)
{
	pool = dpdk_test_begin(BUFFERS, 16);
	call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (pool == NULL || call < 0) {
		abort();
	}
}

/* One region behind another as the guest counts, and one that ends where numbers do. */
static void make_memory(struct ring_memory *m, const struct begin *b)
{
	uint64_t from = 4096;

	for (unsigned i = 0; i < REGIONS; i++) {
		uint64_t n = b->bytes[i] % REGION_MAX;
		if (n == 0 && i != 0) {
			continue;
		}
		n = n < 64 ? 64 : n;
		uint8_t *at = calloc(1, n);
		assert(at != NULL);
		m->regions[m->n++] = (struct ring_region){ i == 2 ? 0 - n : from, n, at };
		from += n;
	}
}

static void set_up(struct guest *g, const struct begin *b)
{
	struct vhost_ring *r = &g->ring;
	struct error e;

	make_memory(&r->memory, b);
	r->is_packed = (b->flags & FLAG_PACKED) != 0;
	r->is_mergeable = (b->flags & FLAG_MERGEABLE) != 0;
	r->has_event_index = (b->flags & FLAG_EVENT_INDEX) != 0;
	r->wrap = (b->flags & FLAG_WRAP) != 0;
	r->takes_ipv4 = r->takes_ipv6 = (b->flags & FLAG_SEGMENTS) != 0;
	r->header = (b->flags & (FLAG_LONG_HEADER | FLAG_MERGEABLE)) != 0 ? 12 : 10;
	r->size = b->size;
	r->next = b->next;
	r->call = (b->flags & FLAG_EVENT_INDEX) != 0 ? call : -1;
	uintptr_t at = (uintptr_t)r->memory.regions[0].at;
	r->desc = (struct vring_desc *)(at + b->desc);
	r->avail = (struct vring_avail *)(at + b->avail);
	r->used = (struct vring_used *)(at + b->used);
	if ((b->flags & FLAG_LOGS) != 0) {
		r->dirty = (struct ring_dirty){ on_write, g };
	}
	g->race = b->race;
	(void)vhost_ring_begin(r, (b->flags & FLAG_KICKS) != 0, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct begin b;
	struct guest g = { .input = { data + sizeof(b), size - sizeof(b) } };

	if (size < sizeof(b)) {
		return 0;
	}
	if (pool == NULL) {
		begin_dpdk();
	}
	memcpy(&b, data, sizeof(b));
	set_up(&g, &b);
	for (int i = 0; i < STEPS && g.input.left != 0; i++) {
		run_step(&g);
	}
	for (unsigned i = 0; i < g.ring.memory.n; i++) {
		free(g.ring.memory.regions[i].at);
	}
	rte_pktmbuf_free(g.marked);
	assert(rte_mempool_avail_count(pool) == BUFFERS);
	return 0;
}
