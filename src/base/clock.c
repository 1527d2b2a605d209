/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock_driver.h"
#include "base/mem.h"

#define US_PER_S 1000000

struct clock {
	bool is_manual;
	int64_t mono_us, wall_us;
	struct list waiters; /* by due_us; equal ones in order of queueing */
};

static struct clock real_clock;

struct clock *clock_real(void)
{
	return &real_clock;
}

struct clock *clock_manual_new(int64_t wall_us)
{
	struct clock *c = mem_zalloc(sizeof(*c));
	c->is_manual = true;
	c->mono_us = US_PER_S;
	c->wall_us = wall_us;
	list_init(&c->waiters);
	return c;
}

void clock_manual_free(struct clock *c)
{
	if (c) {
		assert(c->is_manual && list_is_empty(&c->waiters));
		free(c);
	}
}

bool clock_is_manual(const struct clock *c)
{
	return c->is_manual;
}

static int64_t read_us(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * US_PER_S + t.tv_nsec / 1000;
}

int64_t clock_mono_us(struct clock *c)
{
	return c->is_manual ? c->mono_us : read_us(CLOCK_MONOTONIC);
}

int64_t clock_wall_us(struct clock *c)
{
	return c->is_manual ? c->wall_us : read_us(CLOCK_REALTIME);
}

void clock_advance(struct clock *c, int64_t us)
{
	assert(c->is_manual && us >= 0);
	int64_t until = c->mono_us + us;
	struct clock_waiter *w;
	while ((w = list_entry(list_front(&c->waiters), struct clock_waiter, node)) &&
	       w->due_us <= until) {
		list_remove(&w->node);
		int64_t step = MAX(w->due_us - c->mono_us, (int64_t)0);
		c->mono_us += step;
		c->wall_us += step;
		w->fire(w);
	}
	int64_t rest = MAX(until - c->mono_us, (int64_t)0);
	c->mono_us += rest;
	c->wall_us += rest;
}

void clock_wait(struct clock *c, struct clock_waiter *w, int64_t due_us)
{
	assert(!list_is_linked(&w->node));
	w->due_us = due_us;
	struct list_node *at = &c->waiters.head;
	while (at->prev != &c->waiters.head &&
	       CONTAINER_OF(at->prev, struct clock_waiter, node)->due_us > due_us) {
		at = at->prev;
	}
	list_insert_before(at, &w->node);
}

void clock_unwait(struct clock_waiter *w)
{
	list_remove(&w->node);
}
