/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports that are unix stream sockets, as QEMU's `-netdev stream` has them for network cards that it
 * emulates: each frame behind its length, 32 bits in network order (QEMU, net/stream.c).
 *
 * To a worker such a port is two rings. One thread of this module, which runs while
 * there are any, moves frames between rings and sockets, so that no worker makes a system call for
 * a packet or waits for a peer. What comes in is not read while a worker does not keep up; what
 * goes out waits in the ring until that is full. A connection that ends is made again; one whose
 * peer breaks the framing is ended.
 *
 * Opening and closing: control thread only.
 */
#ifndef SWITCH_STREAM_H
#define SWITCH_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "switch/port_io.h"

enum {
	STREAM_FRAME_MAX = 16384, /* bytes; longer ones break the framing */
};

struct rte_mempool;
struct stream;

struct stream_options {
	const char *name; /* of the port, for the log; copied */
	const char *path; /* of the socket; copied */
	bool is_server;	  /* makes the socket, one peer at a time; else connects */
	int number;	  /* no other stream has: names its rings */
	struct rte_mempool *pool;
};

/* NULL with `e`: the path cannot be listened at, no memory. A peer need not be there. */
struct stream *stream_open(const struct stream_options *o, struct error *e);
void stream_close(struct stream *s);

const struct port_io *stream_io(const struct stream *s);

#endif
