/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where processes may run, and with what weight: given to a child before it does anything, or
 * spread over all threads of one that runs. Nothing here needs privileges for processes of our own
 * user; a weight that was lowered can be raised again by root only.
 *
 * A weight is a nice value; where the kernel groups processes by session (sched(7), autogroup) the
 * session's is set likewise, which needs the process to lead one. Any thread.
 */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "host/cores.h"

struct placement {
	cpu_set_t cpus; /* empty: anywhere */
	int nice;
};

/* A child that has one thread, as yet; what it becomes and makes has the same. */
bool placement_give(pid_t pid, const struct placement *p, struct error *e);

/* All threads of a process. Threads that are made meanwhile are found, unless there is no end of
 * them. Ends of threads do not matter. False with the first error. */
bool placement_spread(pid_t pid, const struct placement *p, struct error *e);

/* The weight of the session that a process leads. What the kernel does not let us do is left. */
void placement_weigh_session(pid_t pid, int nice);

/* The processes of the switch that works on the folder `state`, whoever started it: onto these
 * processors. Threads that the switch has put on one of them stay there. */
void placement_switch(const char *state, const cpu_set_t *cpus);

/* What a process has now: "0-3" and its nice value; false where it is gone. */
bool placement_read(pid_t pid, char *list, size_t size, int *nice);
