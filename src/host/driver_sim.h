/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver that only pretends: no processes, no files, thousands of machines at less than 200
 * bytes each. Every operation succeeds after the delay; machine_adopt() finds nothing. Machines
 * move to others of this kind, in this process or another; what is on their disks does not.
 */
#pragma once

#include <uv.h>

#include "base/clock.h"
#include "host/driver.h"

/* delay_ms: how long power operations take; 0: done at the loop's next turn. With a manual clock
 * `loop` may be NULL and clock_advance() calls back. */
struct driver *driver_sim_new(uv_loop_t *loop, struct clock *c, int64_t delay_ms);

/* What a guest may do by itself. The machine must be RUNNING. */
void driver_sim_guest_reset(struct machine *m);
void driver_sim_guest_off(struct machine *m);

/* The machine, OFF, has been running all the time, since started_us (wall clock). */
void driver_sim_found(struct machine *m, int64_t started_us);
