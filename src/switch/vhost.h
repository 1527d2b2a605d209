/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports that are vhost-user sockets: a guest's virtio network card, whose rings are in memory that
 * QEMU shares. Packets are copied by DPDK's vhost library; this module makes a port of it.
 *
 * What is offered to the guest: checksums may be left to us, both ways, and are made here where the
 * way out needs them; segmentation may not, so that no frame is longer than a link carries.
 *
 * The library's thread tells of front ends that come and go. One that goes is let go when the
 * worker has passed a quiet point since (vhost_set_pass()).
 *
 * Opening and closing: control thread only.
 */
#ifndef SWITCH_VHOST_H
#define SWITCH_VHOST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "switch/port_io.h"

struct rte_mempool;
struct vhost;

struct vhost_options {
	const char *name; /* of the port; copied */
	const char *path; /* of the socket; copied */
	bool is_server;	  /* makes the socket; else connects, again and again */
	bool wakes;	  /* what comes in wakes the worker; else the guest never kicks */
	uint16_t n_queues;
	struct rte_mempool *pool;
};

/* NULL with `e`. A front end need not be there. */
struct vhost *vhost_open(const struct vhost_options *o, struct error *e);
void vhost_close(struct vhost *v);
const struct port_io *vhost_io(const struct vhost *v);

/* fn waits until workers have passed a quiet point; it is called on the library's thread or the
 * control thread. Before anything is opened. */
void vhost_set_pass(void (*fn)(void *arg), void *arg);

#endif
