/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `plane.capture`: a connection that gets what a capture takes, as pcapng. The call is answered
 * with
 * {}; then notifications `plane.captured` {blocks} come, base64 of whole blocks, the first of which
 * begin a file. The last one has {end: true, captured, lost}. The capture ends with its count, or
 * with the connection. One at a time: while none runs, workers look at one pointer for a burst.
 * Control thread only.
 */
#ifndef SWITCH_SWITCH_CAPTURE_H
#define SWITCH_SWITCH_CAPTURE_H

#include <uv.h>

#include "base/rpc.h"
#include "switch/switch.h"
#include "switch/wiring.h"

struct switch_capture;

struct switch_capture *switch_capture_new(struct softswitch *s, uv_loop_t *loop);
/* Before the switch ends. */
void switch_capture_free(struct switch_capture *sc);

/* Answers the call: {port?, filter?, snap?, count?, stages?}. */
void switch_capture_start(struct switch_capture *sc, struct rpc_call *call);

/* Workers went by `before` (NULL: none), and by `next` now. */
void switch_capture_follow(struct switch_capture *sc, const struct wiring *before,
			   const struct wiring *next);

#endif
