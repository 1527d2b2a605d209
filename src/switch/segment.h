/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP segments of up to 64 KiB that a guest leaves to others to cut (virtio 1.1, 5.1.6.2:
 * gso_type). They go through the switch whole, as one packet with checksums not made, and to a
 * guest that takes such ones they go as they are; for all other ports they are cut on their way
 * out, where the checksums are made too.
 *
 * Such a packet bears RTE_MBUF_F_TX_TCP_SEG, tso_segsz: payload bytes of a segment, and l3_len,
 * l4_len: bytes of its IP and TCP headers. Where IP begins is read from the frame, since tags come
 * and go. Headers lie in the first buffer. No lock; a packet is its worker's.
 */
#ifndef SWITCH_SEGMENT_H
#define SWITCH_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

enum {
	SEGMENTS_MAX = 256, /* of one packet */
};

/* As the guest says it (struct virtio_net_hdr). */
struct segment_hint {
	bool is_ipv6;
	uint16_t tcp_at; /* from the frame's begin */
	uint16_t bytes;	 /* payload of a segment */
};

/* Marks a packet that shall be cut; false: what the guest says of it cannot be right. */
bool segment_mark(struct rte_mbuf *m, const struct segment_hint *hint);
/* What a guest is told of a packet that is marked. */
void segment_describe(const struct rte_mbuf *m, struct segment_hint *hint, uint16_t *headers);

static inline bool segment_is_marked(const struct rte_mbuf *m)
{
	return (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0;
}

static inline bool segment_is_ipv6(const struct rte_mbuf *m)
{
	return (m->ol_flags & RTE_MBUF_F_TX_IPV6) != 0;
}

/* Bytes of the largest frame that it makes on a wire, without tags. */
static inline uint32_t segment_frame(const struct rte_mbuf *m)
{
	return !segment_is_marked(m) ? m->pkt_len
				     : (uint32_t)(14 + m->l3_len + m->l4_len + m->tso_segsz);
}

/* Cuts it into frames of their own; how many, 0: there are no buffers. It stays the caller's. */
unsigned segment_cut(const struct rte_mbuf *m, struct rte_mempool *pool,
		     struct rte_mbuf *out[SEGMENTS_MAX]);

#endif
