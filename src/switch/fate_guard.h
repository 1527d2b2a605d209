/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard: what a guest may send at all, before anybody asks where to. A part of fate.h.
 */
#ifndef SWITCH_FATE_GUARD_H
#define SWITCH_FATE_GUARD_H

#include <string.h>

#include "switch/packet.h"
#include "switch/tables.h"

/* Of a packet that came in at a guest's port. DROP_NONE: it may pass. */
enum drop_reason fate_guard(const struct tables *t, const struct packet *p);

/* An IP packet's source. Written by the words that it is read by. */
static inline void fate_source(const struct packet *p, struct address *out)
{
	uint64_t low = p->key.src, high = 0;

	if (p->key.ip != 4) {
		high = low << 32 | p->key.src_high[2];
		memcpy(&low, p->key.src_high, 8);
	}
	memcpy(out->bytes, &low, 8);
	memcpy(out->bytes + 8, &high, 8);
	out->ip = p->key.ip;
}

#endif
