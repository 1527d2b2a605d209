/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes what firewall rules with `log` have done to STATE/firewall.log (rule_log_file.h): some
 * times a second, while the running document has such a rule, the worker's ring is emptied. What
 * is above the rate, found no room in the ring or could not be written is counted, and told by a
 * line once a second. Control thread only.
 */
#ifndef SWITCH_SWITCH_LOG_H
#define SWITCH_SWITCH_LOG_H

#include <uv.h>

#include "switch/switch.h"
#include "switch/wiring.h"

struct switch_log;

/* `state`: the switch's folder. */
struct switch_log *switch_log_new(struct softswitch *s, uv_loop_t *loop, const char *state);
/* Before the switch ends. */
void switch_log_free(struct switch_log *sl);

/* Writes what the ring has. */
void switch_log_flush(struct switch_log *sl);

/* Workers went by `before` (NULL: none), and by `next` now. */
void switch_log_follow(struct switch_log *sl, const struct wiring *before,
		       const struct wiring *next);

#endif
