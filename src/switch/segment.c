/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/segment.h"

#include <string.h>

#include <rte_ip.h>

#include "base/macro.h"
#include "switch/frame_make.h"

enum {
	TCP_FIN_PSH = 0x01 | 0x08, /* the last segment's only */
	TCP_CWR = 0x80,		   /* the first one's only: RFC 3168 §6.1.2 */
};

/* Where IP begins: behind one tag, or none. */
static uint32_t ip_at(const uint8_t *frame)
{
	return frame[12] == 0x81 && frame[13] == 0 ? 18 : 14;
}

/* TCP must be where rules see it: a guest that says another place had numbers of its own counted up
 * in each segment, ports among them, after they were judged. So no fragments either, and no headers
 * between, which those who leave segments to others do not make. */
static bool is_ipv4_tcp(const uint8_t *frame, uint32_t ip, uint32_t tcp)
{
	return frame_get16(frame + ip - 2) == 0x0800 && tcp >= ip + 20 && (tcp - ip) % 4 == 0 &&
	       frame[ip] == (0x40 | (tcp - ip) / 4) && frame[ip + 9] == 6 &&
	       (frame_get16(frame + ip + 6) & 0x3fff) == 0;
}

static bool is_ipv6_tcp(const uint8_t *frame, uint32_t ip, uint32_t tcp)
{
	return frame_get16(frame + ip - 2) == 0x86dd && tcp == ip + 40 && frame[ip] >> 4 == 6 &&
	       frame[ip + 6] == 6;
}

bool segment_mark(struct rte_mbuf *m, const struct segment_hint *hint)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t tcp = hint->tcp_at, head = m->data_len;

	if (head < 18 || tcp + 20 > head) {
		return false;
	}
	uint32_t ip = ip_at(frame), l4 = (uint32_t)(frame[tcp + 12] >> 4) * 4;
	uint32_t payload_at = tcp + l4;
	bool is_right = hint->is_ipv6 ? is_ipv6_tcp(frame, ip, tcp) : is_ipv4_tcp(frame, ip, tcp);
	if (!is_right || l4 < 20 || payload_at > head || m->pkt_len <= payload_at ||
	    tcp - ip > 255 || hint->bytes == 0 ||
	    (m->pkt_len - payload_at + hint->bytes - 1) / hint->bytes > SEGMENTS_MAX) {
		return false;
	}
	m->ol_flags |=
		RTE_MBUF_F_TX_TCP_SEG | (hint->is_ipv6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
	m->l3_len = (uint16_t)((tcp - ip) & 0x1ff);
	m->l4_len = (uint8_t)l4;
	m->tso_segsz = hint->bytes;
	return true;
}

void segment_describe(const struct rte_mbuf *m, struct segment_hint *hint, uint16_t *headers)
{
	uint32_t ip = ip_at(rte_pktmbuf_mtod(m, const uint8_t *));

	hint->is_ipv6 = segment_is_ipv6(m);
	hint->tcp_at = (uint16_t)(ip + m->l3_len);
	hint->bytes = m->tso_segsz;
	*headers = (uint16_t)(hint->tcp_at + m->l4_len);
}

/* ---- cutting ---- */

/* A place in a packet's bytes. */
struct cursor {
	const struct rte_mbuf *m;
	uint32_t at; /* in m */
};

static void skip_to(struct cursor *c, uint32_t offset)
{
	while (offset >= c->m->data_len && c->m->next != NULL) {
		offset -= c->m->data_len;
		c->m = c->m->next;
	}
	c->at = offset;
}

static void copy(struct cursor *c, uint8_t *to, uint32_t n)
{
	while (n > 0) {
		uint32_t k = MIN(n, c->m->data_len - c->at);
		memcpy(to, rte_pktmbuf_mtod_offset(c->m, const uint8_t *, c->at), k);
		to += k;
		n -= k;
		c->at += k;
		if (c->at == c->m->data_len && c->m->next != NULL) {
			c->m = c->m->next;
			c->at = 0;
		}
	}
}

/* Headers and n bytes of payload; NULL: no buffers. */
static struct rte_mbuf *make(const uint8_t *headers, uint32_t n_headers, struct cursor *payload,
			     uint32_t n, struct rte_mempool *pool)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool), *last = m;

	if (m == NULL) {
		return NULL;
	}
	memcpy(rte_pktmbuf_mtod(m, uint8_t *), headers, n_headers);
	m->data_len = (uint16_t)n_headers;
	m->pkt_len = n_headers + n;
	while (n > 0) {
		uint32_t k = MIN(n, rte_pktmbuf_tailroom(last));
		copy(payload, rte_pktmbuf_mtod_offset(last, uint8_t *, last->data_len), k);
		last->data_len = (uint16_t)(last->data_len + k);
		n -= k;
		if (n > 0) {
			last->next = rte_pktmbuf_alloc(pool);
			if (last->next == NULL) {
				rte_pktmbuf_free(m);
				return NULL;
			}
			last = last->next;
			m->nb_segs++;
		}
	}
	return m;
}

/* RFC 9293 §3.1: over the addresses, the protocol, the size, and all that follows. */
static void make_tcp_checksum(struct rte_mbuf *m, uint32_t ip, uint32_t tcp, bool is_ipv6)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	uint32_t size = m->pkt_len - tcp, sum = size + 6;
	uint16_t raw;

	frame_put16(frame + tcp + 16, 0);
	sum += is_ipv6 ? frame_sum_of(frame + ip + 8, 32) : frame_sum_of(frame + ip + 12, 8);
	if (rte_raw_cksum_mbuf(m, tcp, size, &raw) != 0) {
		return;
	}
	sum += frame_get16((const uint8_t *)&raw);
	frame_put16(frame + tcp + 16, frame_fold(sum));
}

/* The headers of the segment that begins at a byte of the payload. */
static void finish(struct rte_mbuf *m, const struct segment_hint *h, uint32_t at, unsigned index,
		   bool is_last)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	uint32_t ip = ip_at(frame), tcp = h->tcp_at;

	if (h->is_ipv6) {
		frame_put16(frame + ip + 4, (uint16_t)(m->pkt_len - ip - 40));
	} else {
		frame_put16(frame + ip + 2, (uint16_t)(m->pkt_len - ip));
		frame_put16(frame + ip + 4, (uint16_t)(frame_get16(frame + ip + 4) + index));
		frame_put16(frame + ip + 10, 0);
		frame_put16(frame + ip + 10, frame_fold(frame_sum_of(frame + ip, tcp - ip)));
	}
	uint32_t sequence = frame_get32(frame + tcp + 4) + at;

	frame_put32(frame + tcp + 4, sequence);
	if (!is_last) {
		frame[tcp + 13] &= (uint8_t)~TCP_FIN_PSH;
	}
	if (index > 0) {
		frame[tcp + 13] &= (uint8_t)~TCP_CWR;
	}
	make_tcp_checksum(m, ip, tcp, h->is_ipv6);
}

unsigned segment_cut(const struct rte_mbuf *m, struct rte_mempool *pool,
		     struct rte_mbuf *out[SEGMENTS_MAX])
{
	struct segment_hint h;
	uint16_t headers;
	unsigned n = 0;

	segment_describe(m, &h, &headers);
	uint32_t total = m->pkt_len - headers;
	struct cursor c = { .m = m };
	skip_to(&c, headers);
	for (uint32_t at = 0; at < total; at += h.bytes) {
		uint32_t k = MIN((uint32_t)h.bytes, total - at);
		out[n] = make(rte_pktmbuf_mtod(m, const uint8_t *), headers, &c, k, pool);
		if (out[n] == NULL) {
			rte_pktmbuf_free_bulk(out, n);
			return 0;
		}
		finish(out[n], &h, at, n, at + k == total);
		n++;
	}
	return n;
}
