/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard: what a guest may send at all, before anybody asks where to. A part of fate.h.
 */
#ifndef SWITCH_FATE_GUARD_H
#define SWITCH_FATE_GUARD_H

#include "switch/packet.h"
#include "switch/tables.h"

/* Of a packet that came in at a guest's port. DROP_NONE: it may pass. */
enum drop_reason fate_guard(const struct tables *t, const struct packet *p);

#endif
