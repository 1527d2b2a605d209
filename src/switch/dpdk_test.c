/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/dpdk_test.h"

#include <sched.h>
#include <stdint.h>
#include <stdio.h>

#include <rte_eal.h>
#include <rte_mbuf.h>

#include "base/macro.h"

struct rte_mempool *dpdk_test_begin(unsigned n_packets, unsigned mib)
{
	char lcores[32], memory[16];
	char *argv[] = { (char *)(uintptr_t) "test",
			 lcores,
			 memory,
			 (char *)(uintptr_t) "--no-huge",
			 (char *)(uintptr_t) "--no-shconf",
			 (char *)(uintptr_t) "--no-pci",
			 (char *)(uintptr_t) "--no-telemetry",
			 (char *)(uintptr_t) "--log-level=4",
			 NULL };

	snprintf(lcores, sizeof(lcores), "--lcores=0@%d", sched_getcpu());
	snprintf(memory, sizeof(memory), "-m%u", mib);
	if (rte_eal_init(ARRAY_LEN(argv) - 1, argv) < 0) {
		return NULL;
	}
	return rte_pktmbuf_pool_create("packets", n_packets, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       (int)SOCKET_ID_ANY);
}
