/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The active process's part in an upgrade: it asks the keeper for a standby of another binary, and
 * when one is ready it lets go. Where none becomes ready it goes on, and who asked is told why.
 * Loop thread only.
 */
#ifndef SWITCH_UPGRADE_H
#define SWITCH_UPGRADE_H

#include <uv.h>

#include "base/rpc.h"

struct upgrade;

/* state: the folder, which outlives it; let_go: called from the loop once the other is ready and
 * the asker has its answer. */
struct upgrade *upgrade_new(uv_loop_t *loop, const char *state, void (*let_go)(void *arg),
			    void *arg);
void upgrade_free(struct upgrade *u);

/* A call with {binary?}; ends it, now or later, with {pid, version}. */
void upgrade_ask(struct upgrade *u, struct rpc_call *call);

#endif
