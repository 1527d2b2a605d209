/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP datagrams in fragments: a later fragment has no ports, and goes where its first one went. The
 * first one that may pass leaves an entry, by addresses, identification, protocol and interface,
 * with its ports; later ones take those from it. What overlaps what was there (RFC 5722), lies
 * behind the end, or comes in too many pieces spoils the datagram: no more of it passes. A later
 * one that comes before its first is dropped, since nobody knows what it is part of.
 *
 * A table of fixed size, one a worker, touched by that worker alone; `explain` looks at it from
 * other threads and may see an entry half-changed. An interface may have so many datagrams under
 * way that it cannot fill the table for others; they are forgotten after ten seconds, or when they
 * are whole.
 */
#ifndef SWITCH_FRAGMENT_H
#define SWITCH_FRAGMENT_H

#include <stdint.h>

#include "switch/packet.h"

enum {
	FRAGMENTS_MAX = 4096,
	FRAGMENTS_OF_IFACE_MAX = 256,
	FRAGMENTS_PIECES_MAX = 8, /* of a datagram, with gaps between them */
	FRAGMENTS_TICKS = 40,
};

struct fragments;

struct fragments *fragments_new(void);
void fragments_free(struct fragments *f);

/* Of a packet with PACKET_FRAGMENT whose key.iface is set. A later one gets its first one's key and
 * flags, and PACKET_JOINED. A first one is noted: who drops it then says fragments_forget(). */
enum drop_reason fragments_take(struct fragments *f, struct packet *p, uint32_t now);
void fragments_forget(struct fragments *f, const struct packet *p, uint32_t now);
/* The same, with nothing noted; quotas are not asked. */
enum drop_reason fragments_look(const struct fragments *f, struct packet *p, uint32_t now);
/* Looks at the next n places, and forgets what is too old. */
void fragments_age(struct fragments *f, uint32_t now, unsigned n);

#endif
