/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One-shot and repeating timers on a uv loop or, where the clock is manual, fired by
 * clock_advance(). The caller owns the timer; fn runs on the loop's thread and may start, stop or
 * free its own timer. A timer that runs keeps the loop alive.
 */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "base/clock.h"

struct timer;

/* loop may be NULL with a manual clock. */
struct timer *timer_new(uv_loop_t *loop, struct clock *c, void (*fn)(void *arg), void *arg);

/* First call after after_ms (0: at the loop's next turn), then every repeat_ms; 0: once. A timer
 * that runs already starts anew. */
void timer_start(struct timer *t, int64_t after_ms, int64_t repeat_ms);
void timer_stop(struct timer *t);
bool timer_is_active(const struct timer *t);

/* fn is not called any more. With a real clock the loop must turn once before it is closed. */
void timer_free(struct timer *t);

#endif
