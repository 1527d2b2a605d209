/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timer.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock_driver.h"
#include "base/mem.h"

#define US_PER_MS 1000

struct timer {
	uv_timer_t uv; /* unused with a manual clock */
	struct clock *clock;
	struct clock_waiter waiter;
	int64_t repeat_ms;
	void (*fn)(void *arg);
	void *arg;
};

static void on_uv_timer(uv_timer_t *uv)
{
	struct timer *t = CONTAINER_OF(uv, struct timer, uv);
	t->fn(t->arg);
}

static void on_clock(struct clock_waiter *w)
{
	struct timer *t = CONTAINER_OF(w, struct timer, waiter);
	if (t->repeat_ms) {
		clock_wait(t->clock, w, w->due_us + t->repeat_ms * US_PER_MS);
	}
	t->fn(t->arg); /* may free t */
}

struct timer *timer_new(uv_loop_t *loop, struct clock *c, void (*fn)(void *arg), void *arg)
{
	struct timer *t = mem_zalloc(sizeof(*t));
	t->clock = c;
	t->fn = fn;
	t->arg = arg;
	t->waiter.fire = on_clock;
	if (!clock_is_manual(c)) {
		assert(loop);
		uv_timer_init(loop, &t->uv);
	}
	return t;
}

void timer_start(struct timer *t, int64_t after_ms, int64_t repeat_ms)
{
	assert(after_ms >= 0 && repeat_ms >= 0);
	t->repeat_ms = repeat_ms;
	if (clock_is_manual(t->clock)) {
		clock_unwait(&t->waiter);
		clock_wait(t->clock, &t->waiter, clock_mono_us(t->clock) + after_ms * US_PER_MS);
		return;
	}
	uv_update_time(t->uv.loop); /* the loop's idea of now may be old */
	uv_timer_start(&t->uv, on_uv_timer, (uint64_t)after_ms, (uint64_t)repeat_ms);
}

void timer_stop(struct timer *t)
{
	if (clock_is_manual(t->clock)) {
		clock_unwait(&t->waiter);
	} else {
		uv_timer_stop(&t->uv);
	}
}

bool timer_is_active(const struct timer *t)
{
	return clock_is_manual(t->clock) ? list_is_linked(&t->waiter.node)
					 : uv_is_active((const uv_handle_t *)&t->uv) != 0;
}

static void on_closed(uv_handle_t *h)
{
	free(CONTAINER_OF((uv_timer_t *)(void *)h, struct timer, uv));
}

void timer_free(struct timer *t)
{
	if (!t) {
		return;
	}
	if (clock_is_manual(t->clock)) {
		clock_unwait(&t->waiter);
		free(t);
		return;
	}
	uv_close((uv_handle_t *)&t->uv, on_closed);
}
