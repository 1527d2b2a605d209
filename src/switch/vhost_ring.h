/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of one queue of a virtio network card: split and packed rings (virtio 1.1, 2.6
 * and 2.7) in memory that the guest shares and may write at any time. Nothing that is read from
 * there is believed: each number is read once and compared with its bounds, so that whatever a
 * guest writes, what is touched lies in its own memory. A ring that cannot be right is broken and
 * moves nothing until it is set up again.
 *
 * Why not by DPDK's vhost library (22.11), which serves the sockets: a guest that makes more
 * available than its ring has makes it write beyond its own arrays and beyond the guest's memory,
 * into what other guests share.
 *
 * Packets begin with a header (virtio 1.1, 5.1.6). A checksum that the guest left to us is made
 * when the packet comes in, but for segments that are to be cut: segment.h.
 *
 * One thread for a ring, the worker, but for vhost_ring_begin(), which is called while no worker
 * looks. Copies are made at once, so buffers go back in the order in which they came.
 */
#ifndef SWITCH_VHOST_RING_H
#define SWITCH_VHOST_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct rte_mbuf;
struct rte_mempool;
struct vring_desc;
struct vring_avail;
struct vring_used;
struct vring_packed_desc;
struct vring_packed_desc_event;

enum {
	RING_REGIONS = 8,
	RING_BURST = 32, /* packets at a time */
	RING_FRAME_MAX = 65535 + 18,
};

/* A guest's memory: where its addresses are here. */
struct ring_memory {
	unsigned n;
	struct ring_region {
		uint64_t from, size; /* bytes, as the guest counts */
		uint8_t *at;
	} regions[RING_REGIONS];
};

/* What is written, for a migration: an address of the guest's, and bytes. */
struct ring_dirty {
	void (*write)(void *arg, uint64_t at, uint64_t n); /* NULL: nobody wants to know */
	void *arg;
};

struct vhost_ring {
	bool is_on; /* else nothing moves */
	bool is_broken;
	bool is_packed;
	bool is_mergeable;	     /* a packet may take several buffers */
	bool takes_ipv4, takes_ipv6; /* segments that are to be cut (segment.h) */
	bool has_event_index;	     /* the guest says by an index when it wants to be called */
	bool wrap;		     /* of a packed ring: flips each time round */
	uint8_t header;		     /* bytes: 10 or 12 */
	uint16_t size;
	uint16_t next;	 /* split: buffers ever, modulo 2^16; packed: a place, below size */
	uint16_t region; /* where the last address was */
	int call;	 /* an eventfd; below 0: none */
	uint32_t calls;	 /* atomic: odd while the guest is being called */
	bool is_held;	 /* atomic: it has held a call up, and is called no more */
	union {
		struct vring_desc *desc;
		struct vring_packed_desc *packed;
	};
	union {
		struct vring_avail *avail;
		struct vring_packed_desc_event *driver;
	};
	union {
		struct vring_used *used;
		struct vring_packed_desc_event *device;
	};
	struct ring_memory memory;
	struct ring_dirty dirty;
};

/* What is set in *r is looked at: the ring's three parts must lie in its memory. `wants_kicks`: the
 * guest shall say when it has made something available. False with `e`, and the ring is off. */
bool vhost_ring_begin(struct vhost_ring *r, bool wants_kicks, struct error *e);

/* Packets from the guest, at most RING_BURST, the caller's. One that cannot be right comes as a
 * packet of no bytes. */
uint16_t vhost_ring_receive(struct vhost_ring *r, struct rte_mempool *pool, struct rte_mbuf **m,
			    uint16_t n);
/* How many of n were copied to the guest, from the first; all stay the caller's. One that is too
 * large for the guest's buffers goes behind the others, last of all. */
uint16_t vhost_ring_send(struct vhost_ring *r, struct rte_mbuf **m, uint16_t n);

#endif
