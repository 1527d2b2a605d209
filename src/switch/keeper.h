/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: the process that stays up while the switch of a state folder changes hands. It
 * touches no packet and no DPDK; it starts processes of the same program with `--part standby`,
 * each of which makes itself ready, waits for the pid file's lock and so becomes the active one by
 * itself when the one before has gone (standby.h). So killing any of them harms nothing:
 *
 *   the active one   the standby takes over, and the keeper starts the next
 *   the standby      the keeper starts another
 *   the keeper       the active one goes on, a standby stays ready; the next keeper finds them by
 *                    their locks and sees to the rest
 *
 * What it holds: STATE/lock. What it offers on STATE/keeper.sock, to its own processes:
 * keeper.tell {pid, state: "ready" | "active" | "failed", version, reason?}, and keeper.upgrade
 * {binary?}, which is answered when a standby of that binary is ready. Main thread only.
 */
#ifndef SWITCH_KEEPER_H
#define SWITCH_KEEPER_H

#include "base/daemon.h"

struct keeper;

/* argv: the command line that was given; what is started gets the same. `with_standby`: keep one
 * ready. All must outlive it. */
struct keeper *keeper_new(struct daemon *d, char **argv, const bool *without_standby);
/* After the daemon has ended; its exit status, which may turn a good one into a failure. */
int keeper_free(struct keeper *k, int status);

/* Fills in hooks, socket and commands; their argument is the keeper. */
void keeper_program(struct daemon_program *p);

#endif
