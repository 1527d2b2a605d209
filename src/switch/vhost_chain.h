/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains of descriptors in a guest's ring (virtio 1.1, 2.6.5 and 2.7.5), and the memory that they
 * name: the inside of vhost_ring.c. A guest may write there at any time, so a descriptor is read
 * once, and what it says is compared with the guest's memory. The worker's thread.
 */
#ifndef SWITCH_VHOST_CHAIN_H
#define SWITCH_VHOST_CHAIN_H

#include "base/macro.h"
#include "switch/vhost_ring.h"

enum {
	CHAIN_PARTS = 256, /* pieces of memory that one packet may lie in */
};

/* A piece of the guest's memory. */
struct chain_part {
	uint8_t *at;
	uint64_t from; /* as the guest counts */
	uint32_t n;
};

struct chain {
	unsigned n;
	uint32_t bytes;
	struct chain_part items[CHAIN_PARTS];
};

/* A descriptor, read once. Both kinds have 16 bytes; the last four differ. */
struct chain_desc {
	uint64_t at;
	uint32_t n;
	uint16_t third, fourth; /* split: flags, next; packed: id, flags */
};

/* A buffer that is available, or was. */
struct chain_buffer {
	uint16_t id;
	uint16_t places; /* in a packed ring; what the next one is away by */
	uint32_t n;	 /* bytes written to it */
};

static inline struct chain_desc chain_read(const void *p)
{
	const uint64_t *words = p;
	uint64_t first = __atomic_load_n(words, __ATOMIC_RELAXED);
	uint64_t second = __atomic_load_n(words + 1, __ATOMIC_RELAXED);

	return (struct chain_desc){ first, (uint32_t)second, (uint16_t)(second >> 32),
				    (uint16_t)(second >> 48) };
}

/* Where an address is, and how many bytes of *n lie there in one piece; NULL: nowhere. */
uint8_t *chain_find_part(struct vhost_ring *r, uint64_t at, uint64_t *n);

/* The same, for what lies where the last one did, and whole. */
static inline uint8_t *chain_find(struct vhost_ring *r, uint64_t at, uint32_t n)
{
	const struct ring_region *g = &r->memory.regions[r->region];
	uint64_t offset = at - g->from, left = n;

	if (LIKELY(offset < g->size && n <= g->size - offset)) {
		return g->at + offset;
	}
	uint8_t *p = chain_find_part(r, at, &left);
	return left == n ? p : NULL;
}

/* Does a piece of our memory lie in the guest's? */
bool chain_holds(const struct ring_memory *m, const void *at, uint64_t n);

/* Adds the pieces of the chain that begins with a descriptor; `way`: VRING_DESC_F_WRITE, or 0.
 * False: it is none of this way that ends and lies in memory. */
bool chain_gather_split(struct vhost_ring *r, struct chain *p, uint16_t head, uint16_t way);
/* The same from a place of a packed ring on; what is not right in it is told by `ok`. `places` 0:
 * it has no end. */
struct chain_buffer chain_gather_packed(struct vhost_ring *r, struct chain *p, uint16_t place,
					uint16_t way, bool *ok);

#endif
