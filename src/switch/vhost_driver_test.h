/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's side of a virtio ring, for tests: it makes chains of buffers available in split and
 * packed rings and takes them back. Its memory is two regions, one behind the other as the guest
 * counts, but not here. One thread.
 */
#ifndef SWITCH_VHOST_DRIVER_TEST_H
#define SWITCH_VHOST_DRIVER_TEST_H

#include <stdbool.h>
#include <stdint.h>

#include "switch/vhost_ring.h"

enum {
	GUEST_FROM = 0x10000,	/* where memory begins, as the guest counts */
	GUEST_FIRST = 0x40000,	/* bytes of the first region */
	GUEST_SECOND = 0x40000, /* and of the second, behind it */
	GUEST_BUFFERS = 0x8000, /* rings are before */
	GUEST_AVAIL = 0x4000,
	GUEST_USED = 0x6000,
	GUEST_BORDER = GUEST_FROM + GUEST_FIRST,
	GUEST_END = GUEST_BORDER + GUEST_SECOND,
};

/* A descriptor. */
struct piece {
	uint64_t at;
	uint32_t n;
	uint16_t flags; /* but for the one that says that another follows */
};

struct driver {
	struct vhost_ring ring;
	bool is_packed;
	uint16_t size;
	uint16_t next;	    /* split: buffers ever; packed: a place */
	uint16_t seen;	    /* the same, of those that came back */
	uint16_t free_desc; /* split: where the next chain goes */
	uint16_t number;    /* packed: of the next chain */
	bool wrap, seen_wrap;
	uint16_t places[1024]; /* packed: of a chain, by number modulo */
};

struct used {
	uint16_t id;
	uint32_t n;
};

void driver_begin(struct driver *d, bool is_packed, uint16_t size);
/* As a ring that has been in use for long: of a packed one, at this place and with that wrap. */
void driver_go_to(struct driver *d, uint16_t next, bool wrap);
void driver_end(struct driver *d);

void driver_write(struct driver *d, uint64_t at, const void *data, uint32_t n);
void driver_read(const struct driver *d, uint64_t at, void *data, uint32_t n);

/* Makes a chain available; what it will be called when it comes back. */
uint16_t driver_offer(struct driver *d, const struct piece *pieces, unsigned n);
/* The same by a table of descriptors at a place in memory. */
uint16_t driver_offer_indirect(struct driver *d, uint64_t table, const struct piece *pieces,
			       unsigned n);
/* False: nothing has come back. */
bool driver_take(struct driver *d, struct used *u);

/* What the driver says of calls: its flags, or an index. */
void driver_says(struct driver *d, uint16_t flags);
void driver_says_event(struct driver *d, uint16_t index);
/* What the device says of kicks. */
uint16_t driver_sees(const struct driver *d);

#endif
