/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of vhost_ring.h share: a pool of packets, a ring of RIG_SIZE with its driver, which is
 * the state of each test, and frames that go through it. Each test ends with all packets back in
 * the pool. One thread.
 */
#ifndef SWITCH_VHOST_RIG_TEST_H
#define SWITCH_VHOST_RIG_TEST_H

#include <stdint.h>

#include "switch/vhost_driver_test.h"

enum {
	RIG_PACKETS = 255, /* in the pool */
	RIG_SIZE = 16,	   /* of a ring */
	RIG_HEADER = 12,   /* bytes */
	RIG_FRAME = RING_FRAME_MAX + 1,
};

extern struct rte_mempool *rig_pool;
extern uint8_t rig_frame[RIG_FRAME]; /* what all frames begin with */
extern uint8_t rig_got[RIG_FRAME + RIG_HEADER];

/* Of cmocka's; a state that is not NULL asks for a packed ring. */
int rig_begin(void **state);
int rig_setup(void **state);
int rig_teardown(void **state);

void rig_start(struct driver *d);
/* Where buffer i is, of 2 KiB. */
uint64_t rig_buffer(unsigned i);

/* Puts a header of zeros and what there is room for of `rig_frame` into pieces. */
void rig_fill(struct driver *d, const struct piece *pieces, unsigned n);
/* A frame of n bytes, available. */
void rig_offer_frame(struct driver *d, unsigned buffer, uint32_t n);
/* A packet comes, of n bytes of `rig_frame`, and its buffer goes back. */
void rig_expect_frame(struct driver *d, uint32_t n);
void rig_expect_nothing(struct driver *d);

#define SPLIT(f)                                                                                   \
	{                                                                                          \
#f " (split)", f, rig_setup, rig_teardown, NULL                                    \
	}
#define PACKED(f)                                                                                  \
	{                                                                                          \
#f " (packed)", f, rig_setup, rig_teardown, (void *)(uintptr_t) "packed"           \
	}
#define BOTH(f) SPLIT(f), PACKED(f)

#endif
