/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/vhost_rig_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <rte_mbuf.h>

#include <cmocka.h>

#include "base/macro.h"
#include "switch/dpdk_test.h"

static struct driver driver;
uint8_t rig_frame[RIG_FRAME], rig_got[RIG_FRAME + RIG_HEADER];
struct rte_mempool *rig_pool;

int rig_begin(void **state)
{
	(void)state;
	rig_pool = dpdk_test_begin(RIG_PACKETS, 16);
	for (size_t i = 0; i < ARRAY_LEN(rig_frame); i++) {
		rig_frame[i] = (uint8_t)(i * 7 + i / 256);
	}
	return rig_pool == NULL ? -1 : 0;
}

void rig_start(struct driver *d)
{
	struct error e;

	assert_true(vhost_ring_begin(&d->ring, false, &e));
}

int rig_setup(void **state)
{
	driver_begin(&driver, *state != NULL, RIG_SIZE);
	rig_start(&driver);
	*state = &driver;
	return 0;
}

/* No test may lose a packet. */
int rig_teardown(void **state)
{
	driver_end(*state);
	return rte_mempool_avail_count(rig_pool) == RIG_PACKETS ? 0 : -1;
}

uint64_t rig_buffer(unsigned i)
{
	return GUEST_FROM + GUEST_BUFFERS + 2048ULL * i;
}

/* Puts a header and n bytes of `frame` into pieces. */
void rig_fill(struct driver *d, const struct piece *pieces, unsigned n)
{
	static uint8_t bytes[RIG_HEADER + sizeof(rig_frame)];
	uint32_t done = 0;

	memcpy(bytes + d->ring.header, rig_frame, sizeof(rig_frame));
	for (unsigned i = 0; i < n; i++) {
		driver_write(d, pieces[i].at, bytes + done, pieces[i].n);
		done += pieces[i].n;
	}
}

void rig_offer_frame(struct driver *d, unsigned buffer, uint32_t n)
{
	struct piece piece = { rig_buffer(buffer), d->ring.header + n, 0 };

	rig_fill(d, &piece, 1);
	driver_offer(d, &piece, 1);
}

/* A packet comes, of n bytes of `frame`, and its buffer goes back. */
void rig_expect_frame(struct driver *d, uint32_t n)
{
	struct rte_mbuf *m;
	struct used u;

	assert_int_equal(vhost_ring_receive(&d->ring, rig_pool, &m, 1), 1);
	assert_int_equal(m->pkt_len, n);
	const void *bytes = rte_pktmbuf_read(m, 0, n, rig_got);
	assert_memory_equal(bytes, rig_frame, n);
	rte_pktmbuf_free(m);
	assert_true(driver_take(d, &u));
	assert_int_equal(u.n, 0);
}

void rig_expect_nothing(struct driver *d)
{
	struct rte_mbuf *m[RING_BURST];
	struct used u;

	assert_int_equal(vhost_ring_receive(&d->ring, rig_pool, m, RING_BURST), 0);
	assert_false(driver_take(d, &u));
}
