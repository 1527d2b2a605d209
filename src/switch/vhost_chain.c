/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/vhost_chain.h"

#include <string.h>

#include <linux/virtio_ring.h>

#include <rte_atomic.h>

enum {
	PLACES = 1024, /* descriptors of a packed ring's chain */
};

/* chain_read() where nothing says that it is aligned: in a table that another descriptor names. */
static struct chain_desc read_of_table(const void *p)
{
	uint64_t words[2];

	memcpy(words, p, sizeof(words));
	rte_compiler_barrier(); /* from now on, this copy */
	return chain_read(words);
}

uint8_t *chain_find_part(struct vhost_ring *r, uint64_t at, uint64_t *n)
{
	for (unsigned i = 0; i < r->memory.n; i++) {
		const struct ring_region *g = &r->memory.regions[i];
		uint64_t offset = at - g->from;
		if (offset < g->size) {
			*n = MIN(*n, g->size - offset);
			r->region = (uint16_t)i;
			return g->at + offset;
		}
	}
	return NULL;
}

bool chain_holds(const struct ring_memory *m, const void *at, uint64_t n)
{
	for (unsigned i = 0; i < m->n; i++) {
		uint64_t offset = (uint64_t)((uintptr_t)at - (uintptr_t)m->regions[i].at);
		if (offset < m->regions[i].size && n <= m->regions[i].size - offset) {
			return true;
		}
	}
	return false;
}

/* Adds a buffer, in as many pieces as it has here. An empty one is none, so that CHAIN_PARTS is a
 * bound to the length of chains too. */
static bool add_part(struct vhost_ring *r, struct chain *p, uint64_t at, uint32_t n)
{
	if (n == 0 || n > UINT32_MAX - p->bytes) {
		return false;
	}
	for (uint32_t done = 0; done < n;) {
		uint64_t k = n - done;
		uint8_t *here = chain_find_part(r, at + done, &k);
		if (here == NULL || p->n == CHAIN_PARTS) {
			return false;
		}
		p->items[p->n++] = (struct chain_part){ here, at + done, (uint32_t)k };
		done += (uint32_t)k;
	}
	p->bytes += n;
	return true;
}

/* A table of descriptors that another one names; split ones are linked, packed ones stand in order.
 */
static bool gather_indirect(struct vhost_ring *r, struct chain *p, const struct chain_desc *table,
			    uint16_t way)
{
	uint32_t n = table->n / 16, i = 0;
	const uint8_t *at = chain_find(r, table->at, table->n);

	if (at == NULL || n == 0 || n > 32768 || table->n % 16 != 0) {
		return false;
	}
	for (uint32_t steps = 0; steps < n; steps++) {
		struct chain_desc d = read_of_table(at + (size_t)16 * i);
		uint16_t flags = r->is_packed ? d.fourth : d.third;
		if ((flags & VRING_DESC_F_INDIRECT) != 0 || (flags & VRING_DESC_F_WRITE) != way ||
		    !add_part(r, p, d.at, d.n)) {
			return false;
		}
		if (!r->is_packed && (flags & VRING_DESC_F_NEXT) == 0) {
			return true;
		}
		i = r->is_packed ? i + 1 : d.fourth;
		if (i >= n) {
			return r->is_packed && i == n;
		}
	}
	return false; /* a loop */
}

static bool gather_one(struct vhost_ring *r, struct chain *p, const struct chain_desc *d,
		       uint16_t flags, uint16_t way)
{
	if ((flags & VRING_DESC_F_INDIRECT) != 0) {
		return (flags & VRING_DESC_F_NEXT) == 0 && gather_indirect(r, p, d, way);
	}
	return (flags & VRING_DESC_F_WRITE) == way && add_part(r, p, d->at, d->n);
}

bool chain_gather_split(struct vhost_ring *r, struct chain *p, uint16_t head, uint16_t way)
{
	uint16_t i = head;

	for (uint16_t steps = 0; steps < r->size && i < r->size; steps++) {
		struct chain_desc d = chain_read(&r->desc[i]);
		if (!gather_one(r, p, &d, d.third, way)) {
			return false;
		}
		if ((d.third & VRING_DESC_F_NEXT) == 0) {
			return true;
		}
		i = d.fourth;
	}
	return false;
}

struct chain_buffer chain_gather_packed(struct vhost_ring *r, struct chain *p, uint16_t place,
					uint16_t way, bool *ok)
{
	struct chain_buffer b = { 0 };

	*ok = true;
	for (b.places = 1; b.places <= r->size && b.places <= PLACES; b.places++) {
		struct chain_desc d = chain_read(&r->packed[place]);
		*ok = *ok && gather_one(r, p, &d, d.fourth, way);
		if ((d.fourth & VRING_DESC_F_NEXT) == 0) {
			b.id = d.third;
			return b;
		}
		place = place + 1 == r->size ? 0 : (uint16_t)(place + 1);
	}
	*ok = false; /* without an end */
	b.places = 0;
	return b;
}
