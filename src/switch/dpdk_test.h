/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DPDK for a test: on the core that it is on, on ordinary pages, without devices. Once in a
 * process.
 */
#ifndef SWITCH_DPDK_TEST_H
#define SWITCH_DPDK_TEST_H

struct rte_mempool;

/* A pool of so many packet buffers; NULL: DPDK did not begin, and has said why. */
struct rte_mempool *dpdk_test_begin(unsigned n_packets, unsigned mib);

#endif
