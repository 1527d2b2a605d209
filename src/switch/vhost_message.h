/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which messages a front end may send, and in which order, before DPDK's vhost library (22.11) acts
 * on them (requests and payloads: QEMU's docs/interop/vhost-user.rst). The library trusts more than
 * it should. It looks whether rings lie in the front end's memory when their addresses come, so
 * that a ring made longer after that is written beyond it, into what another front end shares; it
 * makes room for a ring's work by the features of the moment, so that other features later write
 * beyond that; and a ring that was stopped has no such room. So:
 *
 * - requests that a network card has no use for are refused: shared memory for what is in flight,
 *   IOMMU, post-copy, configuration, sessions of ciphers;
 * - each request has the size that it must have;
 * - a ring gets a size before it gets addresses, and no other one until it was stopped; it is
 *   started when it has both;
 * - features do not change while a ring has a size, but for the logging of writes.
 *
 * The caller ends the connection of a message that is refused. No lock: one thread for a session.
 */
#ifndef SWITCH_VHOST_MESSAGE_H
#define SWITCH_VHOST_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	/* Requests that the caller acts on. */
	VHOST_MESSAGE_MEMORY = 5,
	VHOST_MESSAGE_RARP = 19,

	VHOST_RINGS_MAX = 32,
	VHOST_REGIONS_MAX = 8,
	VHOST_PAYLOAD_MAX = 8 + 32 * VHOST_REGIONS_MAX, /* bytes, of what is allowed */
};

/* As it comes: host byte order, no holes. `payload` is valid for the first min(size,
 * VHOST_PAYLOAD_MAX) bytes. */
struct vhost_message {
	uint32_t request, flags, size;
	uint8_t payload[VHOST_PAYLOAD_MAX];
} __attribute__((packed));

/* What a connection has said so far; zero at its start. */
struct vhost_session {
	uint64_t features;
	uint16_t size[VHOST_RINGS_MAX];	 /* of a ring; 0: none yet, or it was stopped */
	bool is_placed[VHOST_RINGS_MAX]; /* its addresses came since it has its size */
};

/* NULL, or why the message is refused. */
const char *vhost_session_take(struct vhost_session *s, const struct vhost_message *m);

#endif
