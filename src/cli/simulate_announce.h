/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells where the simulator is, in a line that a shell can take:
 *
 *     export GOVC_URL=https://user:pass@127.0.0.1:8989/sdk GOVC_SIM_PID=4711
 *
 * To standard output, a file, or a fifo; in the last case as soon as somebody reads it, while the
 * loop turns. Event-loop thread only.
 */
#ifndef CLI_SIMULATE_ANNOUNCE_H
#define CLI_SIMULATE_ANNOUNCE_H

#include <stdint.h>
#include <uv.h>

#include "base/error.h"

struct announce;

struct announce_config {
	uv_loop_t *loop;
	const char *path; /* "-": standard output */
	const char *scheme, *username, *password, *address;
	uint16_t port;
};

/* NULL with `e` when it cannot be written. */
struct announce *announce_new(const struct announce_config *c, struct error *e);
void announce_free(struct announce *a); /* what nobody has read is not written any more */

#endif
