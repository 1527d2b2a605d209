/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token bucket: so many tokens a second, and what was not used gathers up to a burst. Time is
 * given by the caller, in ticks of any clock, so that tests have one of their own. What costs more
 * than a burst takes a whole one: a rate bounds it, never forbids it. One thread at a time.
 */
#ifndef SWITCH_BUCKET_H
#define SWITCH_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

enum {
	BUCKET_BURST_MAX = 1 << 30,
};

/* A token is `hz` units, so that each tick of the clock brings `rate` of them: nothing is lost to
 * rounding. rate 0: no limit. */
struct bucket {
	uint64_t rate; /* tokens a second */
	uint64_t hz;   /* ticks of the clock a second, at most 2^34 */
	uint64_t full; /* units */
	uint64_t level;
	uint64_t at; /* tick */
};

/* Begins full. burst: 1 to BUCKET_BURST_MAX tokens. */
static inline void bucket_begin(struct bucket *b, uint64_t rate, uint64_t burst, uint64_t hz,
				uint64_t now)
{
	burst = burst > BUCKET_BURST_MAX ? BUCKET_BURST_MAX : burst < 1 ? 1 : burst;
	*b = (struct bucket){ rate, hz, burst * hz, burst * hz, now };
}

/* Takes n tokens if they are there. */
static inline bool bucket_take(struct bucket *b, uint64_t now, uint64_t n)
{
	uint64_t passed = now > b->at ? now - b->at : 0, missing = b->full - b->level;
	uint64_t cost = n < b->full / (b->hz == 0 ? 1 : b->hz) ? n * b->hz : b->full;

	if (b->rate == 0) {
		return true;
	}
	/* Compared by division: the product may not fit. */
	b->level = passed > missing / b->rate ? b->full : b->level + passed * b->rate;
	b->at += passed;
	if (b->level < cost) {
		return false;
	}
	b->level -= cost;
	return true;
}

#endif
