/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How workers move packets of a port that is no DPDK device: vhost-user (vhost.h) and stream
 * sockets (stream.h), of which there may be more than DPDK knows devices. Owned by the port; it
 * stays as long as that is open.
 */
#ifndef SWITCH_PORT_IO_H
#define SWITCH_PORT_IO_H

#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;

struct port_io {
	/* At most n packets that have come in, the caller's. */
	uint16_t (*rx)(void *arg, uint16_t queue, struct rte_mbuf **m, uint16_t n);
	/* Sends; how many it took, from the first, which are not the caller's any more. */
	uint16_t (*tx)(void *arg, uint16_t queue, struct rte_mbuf **m, uint16_t n);
	bool (*is_up)(const void *arg); /* the other side is there; any thread */
	/* Does it take packets that are to be cut (segment.h)? NULL: no. */
	bool (*takes_marked)(const void *arg, bool is_ipv6);
	bool wakes; /* what comes in wakes the worker (sleep.h) */
	void *arg;
};

#endif
