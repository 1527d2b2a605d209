/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time, injectable: code takes a struct clock, tests hand it one they move by hand.
 * clock_real() belongs to nobody and may be read from any thread. A manual clock belongs to its
 * maker and is used by one thread only; clock_advance() fires the timers made on it
 * (base/timer.h) in order of their time.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct clock;

struct clock *clock_real(void);

/* wall_us: microseconds since 1970. Monotonic time starts at 1 s. */
struct clock *clock_manual_new(int64_t wall_us);
void clock_manual_free(struct clock *c); /* all its timers must have been freed */
void clock_advance(struct clock *c, int64_t us);
bool clock_is_manual(const struct clock *c);

int64_t clock_mono_us(struct clock *c); /* never goes back */
int64_t clock_wall_us(struct clock *c); /* since 1970, UTC; may jump */

#endif
