/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/vhost_ring.h"

#include <string.h>
#include <unistd.h>

#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

#include <rte_branch_prediction.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_memcpy.h>
#include <rte_prefetch.h>

#include "base/log.h"
#include "base/macro.h"
#include "switch/segment.h"
#include "switch/vhost_chain.h"

LOG_MODULE("ring");

enum {
	BUFFERS = 256, /* buffers that one packet may take */
	PACKED_DONE = 1 << VRING_PACKED_DESC_F_AVAIL | 1 << VRING_PACKED_DESC_F_USED,
};

static void break_ring(struct vhost_ring *r, const char *why)
{
	r->is_broken = true;
	log_limited_warn("a guest's ring is not served any more: %s", why);
}

/* ---- the guest's memory ---- */

/* What somebody wrote at a place of ours. */
static void note_write(const struct vhost_ring *r, const void *at, uint64_t n)
{
	for (unsigned i = 0; i < r->memory.n; i++) {
		const struct ring_region *g = &r->memory.regions[i];
		uint64_t offset = (uint64_t)((uintptr_t)at - (uintptr_t)g->at);
		if (offset < g->size) {
			r->dirty.write(r->dirty.arg, g->from + offset, n);
			return;
		}
	}
}

bool vhost_ring_begin(struct vhost_ring *r, bool wants_kicks, struct error *e)
{
	bool is_power = r->size != 0 && (r->size & (r->size - 1)) == 0;
	uint64_t events = r->has_event_index ? 2 : 0, n = r->size;
	uint64_t avail = r->is_packed ? 4 : 4 + 2 * n + events;
	uint64_t used = r->is_packed ? 4 : 4 + 8 * n + events;

	r->is_on = false;
	r->is_broken = false;
	r->region = 0;
	if (r->size == 0 || r->size > 32768 || (!r->is_packed && !is_power)) {
		return error_set(e, ERROR_INVALID, "a ring of %u descriptors", r->size);
	}
	if (!chain_holds(&r->memory, r->desc, 16 * n) ||
	    !chain_holds(&r->memory, r->avail, avail) || !chain_holds(&r->memory, r->used, used) ||
	    (((uintptr_t)r->desc & 15) | ((uintptr_t)r->avail & 1) | ((uintptr_t)r->used & 3)) !=
		    0) {
		return error_set(e, ERROR_INVALID, "a ring that does not lie in memory");
	}
	if (r->is_packed) {
		r->next = r->next < r->size ? r->next : 0;
		__atomic_store_n(&r->device->flags,
				 wants_kicks ? VRING_PACKED_EVENT_FLAG_ENABLE
					     : VRING_PACKED_EVENT_FLAG_DISABLE,
				 __ATOMIC_RELAXED);
	} else {
		__atomic_store_n(&r->used->flags, wants_kicks ? 0 : VRING_USED_F_NO_NOTIFY,
				 __ATOMIC_RELAXED);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	r->is_on = true;
	return true;
}

static bool is_available(const struct vhost_ring *r, uint16_t place, bool wrap)
{
	uint16_t flags = __atomic_load_n(&r->packed[place].flags, __ATOMIC_ACQUIRE);

	return ((flags >> VRING_PACKED_DESC_F_AVAIL & 1) != 0) == wrap &&
	       ((flags >> VRING_PACKED_DESC_F_USED & 1) != 0) != wrap;
}

/* ---- giving back ---- */

static void put_used_split(struct vhost_ring *r, uint16_t index, uint16_t id, uint32_t n)
{
	struct vring_used_elem *u = &r->used->ring[index & (r->size - 1)];

	u->id = id;
	u->len = n;
	if (UNLIKELY(r->dirty.write != NULL)) {
		note_write(r, u, sizeof(*u));
	}
}

static void publish_split(struct vhost_ring *r, uint16_t next)
{
	r->next = next;
	__atomic_store_n(&r->used->idx, next, __ATOMIC_RELEASE);
	if (UNLIKELY(r->dirty.write != NULL)) {
		note_write(r, r->used, 4);
	}
}

/* Writes what was done with the buffer at the ring's next place, and goes on behind it; the flags
 * that say so to the guest are the caller's to store. */
static uint16_t write_used_packed(struct vhost_ring *r, const struct chain_buffer *b)
{
	struct vring_packed_desc *d = &r->packed[r->next];
	uint16_t flags = r->wrap ? PACKED_DONE : 0;

	d->id = b->id;
	d->len = b->n;
	flags |= b->n != 0 ? VRING_DESC_F_WRITE : 0;
	uint32_t next = (uint32_t)r->next + b->places;
	if (next >= r->size) {
		next -= r->size;
		r->wrap = !r->wrap;
	}
	r->next = (uint16_t)next;
	return flags;
}

/* Only then it is noted: who copies a page for its note may do so at once. */
static void show_used_packed(const struct vhost_ring *r, struct vring_packed_desc *d,
			     uint16_t flags)
{
	__atomic_store_n(&d->flags, flags, __ATOMIC_RELEASE);
	if (UNLIKELY(r->dirty.write != NULL)) {
		note_write(r, d, sizeof(*d));
	}
}

/* The first of several is shown last: the guest looks for the others when it sees that. */
static void put_used_packed(struct vhost_ring *r, const struct chain_buffer *b, uint16_t n)
{
	struct vring_packed_desc *first = &r->packed[r->next];
	uint16_t flags_of_first = write_used_packed(r, &b[0]);

	for (uint16_t i = 1; i < n; i++) {
		struct vring_packed_desc *d = &r->packed[r->next];
		uint16_t flags = write_used_packed(r, &b[i]);
		show_used_packed(r, d, flags);
	}
	show_used_packed(r, first, flags_of_first);
}

/* Tells the guest, where it wants to know. `old`: where a split ring stood before. */
static void tell(struct vhost_ring *r, uint16_t old)
{
	bool wants;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (r->is_packed) {
		wants = __atomic_load_n(&r->driver->flags, __ATOMIC_RELAXED) !=
			VRING_PACKED_EVENT_FLAG_DISABLE;
	} else if (r->has_event_index) {
		uint16_t event = __atomic_load_n(&r->avail->ring[r->size], __ATOMIC_RELAXED);
		wants = vring_need_event(event, r->next, old) != 0;
	} else {
		wants = (__atomic_load_n(&r->avail->flags, __ATOMIC_RELAXED) &
			 VRING_AVAIL_F_NO_INTERRUPT) == 0;
	}
	if (wants && r->call >= 0 && !__atomic_load_n(&r->is_held, __ATOMIC_RELAXED)) {
		uint64_t one = 1;
		__atomic_store_n(&r->calls, r->calls + 1, __ATOMIC_RELEASE);
		(void)!write(r->call, &one, sizeof(one)); /* full: it has been told */
		__atomic_store_n(&r->calls, r->calls + 1, __ATOMIC_RELEASE);
	}
}

/* ---- from the guest ---- */

/* A checksum that the guest left to us: its field has the sum of the pseudo header. */
static void finish_checksum(struct rte_mbuf *m, uint16_t start, uint16_t offset)
{
	uint32_t field = (uint32_t)start + offset;
	uint16_t sum;

	if (field + sizeof(sum) > m->data_len || start >= m->pkt_len ||
	    rte_raw_cksum_mbuf(m, start, m->pkt_len - start, &sum) != 0) {
		return;
	}
	sum = (uint16_t)~sum;
	sum = sum == 0 ? 0xffff : sum; /* RFC 768; the same to TCP */
	memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, field), &sum, sizeof(sum));
}

/* A packet of no bytes: what it was cannot be right. */
static void empty(struct rte_mbuf *m)
{
	rte_pktmbuf_free(m->next);
	m->next = NULL;
	m->nb_segs = 1;
	m->data_len = 0;
	m->pkt_len = 0;
}

/* What a guest left to us of a packet. */
static void take_rest(struct rte_mbuf *m, const struct virtio_net_hdr *h)
{
	uint8_t kind = h->gso_type;
	struct segment_hint hint = { kind == VIRTIO_NET_HDR_GSO_TCPV6, h->csum_start, h->gso_size };

	if (kind == VIRTIO_NET_HDR_GSO_NONE) {
		if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0) {
			finish_checksum(m, h->csum_start, h->csum_offset);
		}
	} else if ((kind != VIRTIO_NET_HDR_GSO_TCPV4 && kind != VIRTIO_NET_HDR_GSO_TCPV6) ||
		   (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 || !segment_mark(m, &hint)) {
		empty(m);
	}
}

static inline void take_header(struct rte_mbuf *m, const struct virtio_net_hdr *h)
{
	if (UNLIKELY((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0 || h->gso_type != 0)) {
		take_rest(m, h);
	}
}

/* Copies from pieces of memory, from a number of bytes on. */
static void copy_out(const struct chain *p, uint32_t from, uint8_t *to, uint32_t n)
{
	for (unsigned i = 0; i < p->n && n != 0; i++) {
		const struct chain_part *part = &p->items[i];
		if (from >= part->n) {
			from -= part->n;
			continue;
		}
		uint32_t k = MIN(part->n - from, n);
		memcpy(to, part->at + from, k);
		to += k;
		n -= k;
		from = 0;
	}
}

/* A packet of so many bytes, of as many buffers as it needs; false: there are none. */
static bool fill(struct rte_mbuf *m, struct rte_mempool *pool, const struct chain *p, uint32_t from)
{
	struct rte_mbuf *last = m;
	uint32_t n = p->bytes - from;

	for (;;) {
		uint32_t k = MIN(n, rte_pktmbuf_tailroom(last));
		copy_out(p, from, rte_pktmbuf_mtod(last, uint8_t *), k);
		last->data_len = (uint16_t)k;
		m->pkt_len += k;
		from += k;
		n -= k;
		if (n == 0) {
			return true;
		}
		last->next = rte_pktmbuf_alloc(pool);
		if (last->next == NULL) {
			return false;
		}
		last = last->next;
		m->nb_segs++;
	}
}

static void take_parts(const struct vhost_ring *r, struct rte_mbuf *m, struct rte_mempool *pool,
		       const struct chain *p)
{
	struct virtio_net_hdr h;

	if (p->bytes <= r->header || p->bytes - r->header > RING_FRAME_MAX) {
		return;
	}
	copy_out(p, 0, (uint8_t *)&h, sizeof(h));
	if (fill(m, pool, p, r->header)) {
		take_header(m, &h);
		return;
	}
	empty(m);
}

/* What lies in one piece, and in one buffer. */
static inline void take_plain(const struct vhost_ring *r, struct rte_mbuf *m, const uint8_t *at,
			      uint32_t n)
{
	struct virtio_net_hdr h;

	n -= r->header;
	memcpy(&h, at, sizeof(h));
	m->data_len = (uint16_t)n;
	m->pkt_len = n;
	rte_memcpy(rte_pktmbuf_mtod(m, uint8_t *), at + r->header, n);
	take_header(m, &h);
}

static inline bool is_plain(const struct vhost_ring *r, const struct chain_desc *d, uint16_t flags,
			    const struct rte_mbuf *m)
{
	return (flags & (VRING_DESC_F_NEXT | VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT)) == 0 &&
	       d->n > r->header && d->n - r->header <= rte_pktmbuf_tailroom(m);
}

/* How many of a split ring's buffers are available; 0 where it is broken. */
static inline uint16_t available_split(struct vhost_ring *r)
{
	uint16_t n = (uint16_t)(__atomic_load_n(&r->avail->idx, __ATOMIC_ACQUIRE) - r->next);

	if (UNLIKELY(n > r->size)) {
		break_ring(r, "it has more available than there are descriptors");
		return 0;
	}
	return n;
}

/* Reads the numbers of what is available; how many, which is less where the ring is broken. */
static inline uint16_t read_heads(struct vhost_ring *r, uint16_t *heads, uint16_t n)
{
	uint16_t mask = (uint16_t)(r->size - 1);

	for (uint16_t i = 0; i < n; i++) {
		heads[i] = __atomic_load_n(&r->avail->ring[(r->next + i) & mask], __ATOMIC_RELAXED);
		if (UNLIKELY(heads[i] >= r->size)) {
			break_ring(r, "a descriptor that there is not");
			return i;
		}
		rte_prefetch0(&r->desc[heads[i]]);
	}
	return n;
}

static uint16_t receive_split(struct vhost_ring *r, struct rte_mempool *pool, struct rte_mbuf **m,
			      uint16_t n)
{
	const uint8_t *at[RING_BURST];
	uint32_t bytes[RING_BURST];
	uint16_t heads[RING_BURST], old = r->next;

	uint16_t there = available_split(r);

	n = n < there ? n : there;
	if (n == 0 || rte_pktmbuf_alloc_bulk(pool, m, n) != 0) {
		return 0;
	}
	there = read_heads(r, heads, n);
	for (uint16_t i = 0; i < there; i++) {
		struct chain_desc d = chain_read(&r->desc[heads[i]]);
		at[i] = LIKELY(is_plain(r, &d, d.third, m[i])) ? chain_find(r, d.at, d.n) : NULL;
		bytes[i] = d.n;
		if (LIKELY(at[i] != NULL)) {
			rte_prefetch0(at[i]);
			rte_prefetch0(at[i] + 64);
		}
	}
	for (uint16_t i = 0; i < there; i++) {
		if (LIKELY(at[i] != NULL)) {
			take_plain(r, m[i], at[i], bytes[i]);
		} else {
			struct chain p;
			p.n = p.bytes = 0;
			if (chain_gather_split(r, &p, heads[i], 0)) {
				take_parts(r, m[i], pool, &p);
			}
		}
		put_used_split(r, (uint16_t)(old + i), heads[i], 0);
	}
	if (UNLIKELY(there < n)) {
		rte_pktmbuf_free_bulk(m + there, (unsigned)(n - there));
	}
	if (there != 0) {
		publish_split(r, (uint16_t)(old + there));
		tell(r, old);
	}
	return there;
}

/* The packet at the ring's next place; false: the ring is broken. */
static bool take_packed(struct vhost_ring *r, struct rte_mempool *pool, struct rte_mbuf *m)
{
	struct chain_desc d = chain_read(&r->packed[r->next]);
	struct chain_buffer b = { .id = d.third, .places = 1 };
	const uint8_t *at = LIKELY(is_plain(r, &d, d.fourth, m)) ? chain_find(r, d.at, d.n) : NULL;

	if (LIKELY(at != NULL)) {
		take_plain(r, m, at, d.n);
	} else {
		struct chain p;
		bool ok;
		p.n = p.bytes = 0;
		b = chain_gather_packed(r, &p, r->next, 0, &ok);
		if (b.places == 0) {
			break_ring(r, "a chain without an end");
			return false;
		}
		if (ok) {
			take_parts(r, m, pool, &p);
		}
	}
	put_used_packed(r, &b, 1);
	return true;
}

static uint16_t receive_packed(struct vhost_ring *r, struct rte_mempool *pool, struct rte_mbuf **m,
			       uint16_t n)
{
	uint16_t got = 0;

	while (got < n && is_available(r, r->next, r->wrap)) {
		m[got] = rte_pktmbuf_alloc(pool);
		if (m[got] == NULL) {
			break;
		}
		if (!take_packed(r, pool, m[got])) {
			rte_pktmbuf_free(m[got]);
			break;
		}
		got++;
	}
	if (got != 0) {
		tell(r, 0);
	}
	return got;
}

uint16_t vhost_ring_receive(struct vhost_ring *r, struct rte_mempool *pool, struct rte_mbuf **m,
			    uint16_t n)
{
	if (UNLIKELY(!r->is_on || r->is_broken)) {
		return 0;
	}
	n = n < RING_BURST ? n : RING_BURST;
	return r->is_packed ? receive_packed(r, pool, m, n) : receive_split(r, pool, m, n);
}

/* ---- to the guest ---- */

/* The header of a packet that takes so many buffers. */
static inline void write_header(const struct vhost_ring *r, uint8_t *at, uint16_t n_buffers)
{
	memset(at, 0, 10);
	if (r->header > 10) {
		memcpy(at + 10, &n_buffers, sizeof(n_buffers));
	}
}

enum outcome {
	SENT,
	NO_BUFFERS, /* or the ring is broken */
	TOO_LARGE,  /* for the buffers that there are, however many come */
};

/* And of one that the guest cuts, or takes whole. */
static void write_marked(uint8_t *at, const struct rte_mbuf *m)
{
	struct segment_hint hint;
	struct virtio_net_hdr h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_offset = 16 };

	segment_describe(m, &hint, &h.hdr_len);
	h.gso_type = hint.is_ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
	h.gso_size = hint.bytes;
	h.csum_start = hint.tcp_at;
	memcpy(at, &h, sizeof(h));
}

static void copy_to_parts(const struct vhost_ring *r, const struct chain *p, uint16_t n_buffers,
			  const struct rte_mbuf *m)
{
	uint8_t header[12];
	const uint8_t *from = header;
	uint32_t left = r->header, total = r->header + m->pkt_len;

	write_header(r, header, n_buffers);
	if (segment_is_marked(m)) {
		write_marked(header, m);
	}
	for (unsigned i = 0; i < p->n && total != 0; i++) {
		const struct chain_part *part = &p->items[i];
		uint32_t done = 0;
		while (done < part->n && total != 0) {
			if (left == 0) {
				from = rte_pktmbuf_mtod(m, const uint8_t *);
				left = m->data_len;
				m = m->next;
				continue;
			}
			uint32_t k = MIN(left, part->n - done);
			memcpy(part->at + done, from, k);
			from += k;
			left -= k;
			done += k;
			total -= k;
		}
		if (UNLIKELY(r->dirty.write != NULL)) {
			r->dirty.write(r->dirty.arg, part->from, done);
		}
	}
}

/* Takes buffers until a packet has room, or there are as many as one may take; how many, 0: there
 * are not enough, or not right ones. */
static uint16_t gather_room(struct vhost_ring *r, struct chain *p, struct chain_buffer *b,
			    uint32_t need, uint16_t available)
{
	uint16_t place = r->next, n = 0, most = r->is_mergeable ? BUFFERS : 1;
	bool wrap = r->wrap;

	while (p->bytes < need && n < most) {
		uint32_t before = p->bytes;
		bool ok;
		if (r->is_packed) {
			if (!is_available(r, place, wrap)) {
				return 0;
			}
			b[n] = chain_gather_packed(r, p, place, VRING_DESC_F_WRITE, &ok);
			wrap = (uint32_t)place + b[n].places >= r->size ? !wrap : wrap;
			place = (uint16_t)(((uint32_t)place + b[n].places) % r->size);
		} else {
			if (n == available) {
				return 0;
			}
			b[n].id = __atomic_load_n(&r->avail->ring[(r->next + n) & (r->size - 1)],
						  __ATOMIC_RELAXED);
			ok = chain_gather_split(r, p, b[n].id, VRING_DESC_F_WRITE);
		}
		if (!ok || p->bytes == before) {
			break_ring(r, "a chain to be written that is none");
			return 0;
		}
		b[n].n = MIN(p->bytes, need) - before;
		n++;
	}
	return n;
}

/* One packet, into whatever there is. */
static enum outcome send_one(struct vhost_ring *r, const struct rte_mbuf *m)
{
	struct chain_buffer b[BUFFERS];
	struct chain p;
	uint16_t available = r->is_packed ? 0 : available_split(r);

	if (UNLIKELY(segment_is_marked(m)) &&
	    !(segment_is_ipv6(m) ? r->takes_ipv6 : r->takes_ipv4)) {
		return TOO_LARGE; /* it was on its way when the guest began anew */
	}
	p.n = p.bytes = 0;
	uint16_t n = gather_room(r, &p, b, r->header + m->pkt_len, available);
	if (n == 0) {
		return NO_BUFFERS;
	}
	if (p.bytes < r->header + m->pkt_len) {
		return TOO_LARGE;
	}
	copy_to_parts(r, &p, n, m);
	if (r->is_packed) {
		put_used_packed(r, b, n);
		return SENT;
	}
	for (uint16_t i = 0; i < n; i++) {
		put_used_split(r, (uint16_t)(r->next + i), b[i].id, b[i].n);
	}
	publish_split(r, (uint16_t)(r->next + n));
	return SENT;
}

/* Packets that fit one plain buffer each, until one does not. */
static uint16_t send_plain(struct vhost_ring *r, struct rte_mbuf *const *m, uint16_t n)
{
	uint8_t *at[RING_BURST];
	uint16_t heads[RING_BURST], k;

	uint16_t there = available_split(r);

	n = n < RING_BURST ? n : RING_BURST;
	n = read_heads(r, heads, n < there ? n : there);
	for (k = 0; k < n; k++) {
		struct chain_desc d = chain_read(&r->desc[heads[k]]);
		at[k] = d.third == VRING_DESC_F_WRITE && m[k]->nb_segs == 1 &&
					!segment_is_marked(m[k]) && d.n >= r->header + m[k]->pkt_len
				? chain_find(r, d.at, r->header + m[k]->pkt_len)
				: NULL;
		if (UNLIKELY(at[k] == NULL)) {
			break;
		}
		__builtin_prefetch(at[k], 1);
		__builtin_prefetch(at[k] + 64, 1);
	}
	for (uint16_t i = 0; i < k; i++) {
		uint32_t bytes = m[i]->pkt_len;
		write_header(r, at[i], 1);
		rte_memcpy(at[i] + r->header, rte_pktmbuf_mtod(m[i], const uint8_t *), bytes);
		put_used_split(r, (uint16_t)(r->next + i), heads[i], r->header + bytes);
	}
	if (k != 0) {
		publish_split(r, (uint16_t)(r->next + k));
	}
	return k;
}

/* The same for a packed ring, one at a time. */
static bool send_plain_packed(struct vhost_ring *r, const struct rte_mbuf *m)
{
	uint32_t n = r->header + m->pkt_len;

	if (m->nb_segs != 1 || segment_is_marked(m) || !is_available(r, r->next, r->wrap)) {
		return false;
	}
	struct chain_desc d = chain_read(&r->packed[r->next]);
	uint16_t kind = d.fourth & (VRING_DESC_F_NEXT | VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT);
	uint8_t *at = kind == VRING_DESC_F_WRITE && d.n >= n ? chain_find(r, d.at, n) : NULL;
	if (at == NULL) {
		return false;
	}
	write_header(r, at, 1);
	rte_memcpy(at + r->header, rte_pktmbuf_mtod(m, const uint8_t *), m->pkt_len);
	put_used_packed(r, &(struct chain_buffer){ .id = d.third, .places = 1, .n = n }, 1);
	return true;
}

uint16_t vhost_ring_send(struct vhost_ring *r, struct rte_mbuf **m, uint16_t n)
{
	uint16_t sent = 0, old = r->next;
	bool is_logged = r->dirty.write != NULL;

	while (sent < n && LIKELY(r->is_on && !r->is_broken)) {
		uint16_t k = is_logged	    ? 0
			     : r->is_packed ? send_plain_packed(r, m[sent])
					    : send_plain(r, m + sent, (uint16_t)(n - sent));
		enum outcome outcome = k != 0	      ? SENT
				       : r->is_broken ? NO_BUFFERS
						      : send_one(r, m[sent]);
		if (outcome == NO_BUFFERS) {
			break;
		}
		if (outcome == TOO_LARGE) { /* behind the others, which need not wait for it */
			struct rte_mbuf *large = m[sent];
			n--;
			memmove(m + sent, m + sent + 1, (size_t)(n - sent) * sizeof(*m));
			m[n] = large;
			continue;
		}
		sent = (uint16_t)(sent + (k != 0 ? k : 1));
	}
	if (sent != 0) {
		tell(r, old);
	}
	return sent;
}
