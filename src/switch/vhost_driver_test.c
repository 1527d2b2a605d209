/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/vhost_driver_test.h"

#include <stdlib.h>
#include <string.h>

#include <linux/virtio_ring.h>

#include "base/macro.h"
#include "base/mem.h"

enum {
	AVAILABLE = 1 << VRING_PACKED_DESC_F_AVAIL,
	USED = 1 << VRING_PACKED_DESC_F_USED,
};

static uint8_t *at_of(const struct driver *d, uint64_t at)
{
	const struct ring_region *r = d->ring.memory.regions;

	return at < GUEST_BORDER ? r[0].at + (at - GUEST_FROM) : r[1].at + (at - GUEST_BORDER);
}

void driver_begin(struct driver *d, bool is_packed, uint16_t size)
{
	uint8_t *first = mem_zalloc(GUEST_FIRST);

	*d = (struct driver){ .is_packed = is_packed, .size = size };
	d->ring = (struct vhost_ring){ .is_packed = is_packed,
				       .size = size,
				       .header = 12,
				       .call = -1,
				       .desc = (struct vring_desc *)(void *)first };
	d->ring.memory = (struct ring_memory){ 2,
					       { { GUEST_FROM, GUEST_FIRST, first },
						 { GUEST_BORDER, GUEST_SECOND,
						   mem_zalloc(GUEST_SECOND) } } };
	d->ring.avail = (struct vring_avail *)(void *)(first + GUEST_AVAIL);
	d->ring.used = (struct vring_used *)(void *)(first + GUEST_USED);
	driver_go_to(d, 0, true);
}

void driver_go_to(struct driver *d, uint16_t next, bool wrap)
{
	d->next = d->seen = d->ring.next = next;
	d->wrap = d->seen_wrap = d->ring.wrap = wrap;
	if (!d->is_packed) {
		d->ring.avail->idx = d->ring.used->idx = next;
		return;
	}
	for (uint16_t i = 0; i < d->size; i++) { /* as those that came back left them */
		d->ring.packed[i].flags = (i < next) == wrap ? AVAILABLE | USED : 0;
	}
}

void driver_end(struct driver *d)
{
	free(d->ring.memory.regions[0].at);
	free(d->ring.memory.regions[1].at);
}

void driver_write(struct driver *d, uint64_t at, const void *data, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		*at_of(d, at + i) = ((const uint8_t *)data)[i];
	}
}

void driver_read(const struct driver *d, uint64_t at, void *data, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		((uint8_t *)data)[i] = *at_of(d, at + i);
	}
}

static uint16_t offer_split(struct driver *d, const struct piece *pieces, unsigned n)
{
	uint16_t head = d->free_desc;

	for (unsigned i = 0; i < n; i++) {
		struct vring_desc *to = &d->ring.desc[d->free_desc];
		d->free_desc = (uint16_t)((d->free_desc + 1) % d->size);
		*to = (struct vring_desc){ pieces[i].at, pieces[i].n, pieces[i].flags, 0 };
		if (i + 1 < n) {
			to->flags |= VRING_DESC_F_NEXT;
			to->next = d->free_desc;
		}
	}
	d->ring.avail->ring[d->next % d->size] = head;
	d->next++;
	__atomic_store_n(&d->ring.avail->idx, d->next, __ATOMIC_RELEASE);
	return head;
}

static uint16_t offer_packed(struct driver *d, const struct piece *pieces, unsigned n)
{
	struct vring_packed_desc *first = &d->ring.packed[d->next];
	uint16_t id = d->number++, first_flags = 0;

	for (unsigned i = 0; i < n; i++) {
		struct vring_packed_desc *to = &d->ring.packed[d->next];
		uint16_t flags = pieces[i].flags | (d->wrap ? AVAILABLE : USED);
		flags |= i + 1 < n ? VRING_DESC_F_NEXT : 0;
		to->addr = pieces[i].at;
		to->len = pieces[i].n;
		to->id = id;
		if (i == 0) {
			first_flags = flags;
		} else {
			to->flags = flags;
		}
		d->next = (uint16_t)((d->next + 1) % d->size);
		d->wrap = d->next == 0 ? !d->wrap : d->wrap;
	}
	d->places[id % ARRAY_LEN(d->places)] = (uint16_t)n;
	__atomic_store_n(&first->flags, first_flags, __ATOMIC_RELEASE);
	return id;
}

uint16_t driver_offer(struct driver *d, const struct piece *pieces, unsigned n)
{
	return d->is_packed ? offer_packed(d, pieces, n) : offer_split(d, pieces, n);
}

uint16_t driver_offer_indirect(struct driver *d, uint64_t table, const struct piece *pieces,
			       unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		/* Linked backwards, but for the first, which stays where it is. */
		unsigned place = d->is_packed || i == 0 ? i : n - i;
		struct vring_desc v = { pieces[i].at, pieces[i].n, pieces[i].flags, 0 };
		struct vring_packed_desc p = { .addr = v.addr, .len = v.len, .flags = v.flags };
		if (i + 1 < n) {
			v.flags |= VRING_DESC_F_NEXT;
			v.next = (uint16_t)(n - i - 1);
		}
		driver_write(d, table + 16 * place, d->is_packed ? (void *)&p : (void *)&v, 16);
	}
	struct piece one = { table, 16 * n, VRING_DESC_F_INDIRECT };
	return driver_offer(d, &one, 1);
}

bool driver_take(struct driver *d, struct used *u)
{
	if (!d->is_packed) {
		if (__atomic_load_n(&d->ring.used->idx, __ATOMIC_ACQUIRE) == d->seen) {
			return false;
		}
		struct vring_used_elem *from = &d->ring.used->ring[d->seen++ % d->size];
		*u = (struct used){ (uint16_t)from->id, from->len };
		return true;
	}
	const struct vring_packed_desc *from = &d->ring.packed[d->seen];
	uint16_t flags = __atomic_load_n(&from->flags, __ATOMIC_ACQUIRE) & (AVAILABLE | USED);
	if (flags != (d->seen_wrap ? AVAILABLE | USED : 0)) {
		return false;
	}
	*u = (struct used){ from->id, from->len };
	uint32_t next = (uint32_t)d->seen + d->places[from->id % ARRAY_LEN(d->places)];
	d->seen_wrap = next >= d->size ? !d->seen_wrap : d->seen_wrap;
	d->seen = (uint16_t)(next % d->size);
	return true;
}

void driver_says(struct driver *d, uint16_t flags)
{
	if (d->is_packed) {
		__atomic_store_n(&d->ring.driver->flags, flags, __ATOMIC_RELAXED);
	} else {
		__atomic_store_n(&d->ring.avail->flags, flags, __ATOMIC_RELAXED);
	}
}

void driver_says_event(struct driver *d, uint16_t index)
{
	__atomic_store_n(&d->ring.avail->ring[d->size], index, __ATOMIC_RELAXED);
}

uint16_t driver_sees(const struct driver *d)
{
	return d->is_packed ? d->ring.device->flags : d->ring.used->flags;
}
