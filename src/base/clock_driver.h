/* SPDX-License-Identifier: Apache-2.0 */
/* For base/timer.c: what waits on a manual clock. Same thread rules as base/clock.h. */
#ifndef BASE_CLOCK_DRIVER_H
#define BASE_CLOCK_DRIVER_H

#include "base/clock.h"
#include "base/list.h"

struct clock_waiter {
	struct list_node node;
	int64_t due_us; /* monotonic */
	void (*fire)(struct clock_waiter *w);
};

/* Queues w, which must not be queued; fire is called, unqueued, when the clock gets there. */
void clock_wait(struct clock *c, struct clock_waiter *w, int64_t due_us);
void clock_unwait(struct clock_waiter *w);

#endif
