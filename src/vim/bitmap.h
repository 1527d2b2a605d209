/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of small numbers (indices of objects), growing as needed. {0} is the empty set. The owner
 * frees it with bitmap_free(). One thread at a time.
 */
#ifndef VIM_BITMAP_H
#define VIM_BITMAP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct bitmap {
	uint64_t *words;
	uint32_t n_words;
};

static inline bool bitmap_has(const struct bitmap *b, uint32_t i)
{
	return i / 64 < b->n_words && ((b->words[i / 64] >> (i % 64)) & 1) != 0;
}

/* Makes room for numbers below `limit`. */
static inline void bitmap_reserve(struct bitmap *b, uint32_t limit)
{
	uint32_t want = limit / 64 + 1;

	if (want > b->n_words) {
		b->words = mem_realloc_array(b->words, want, sizeof(uint64_t));
		memset(b->words + b->n_words, 0, (want - b->n_words) * sizeof(uint64_t));
		b->n_words = want;
	}
}

/* False when it was in the set already. */
static inline bool bitmap_add(struct bitmap *b, uint32_t i)
{
	if (i / 64 >= b->n_words) {
		bitmap_reserve(b, i + i / 2);
	}
	uint64_t bit = UINT64_C(1) << (i % 64);
	if (b->words[i / 64] & bit) {
		return false;
	}
	b->words[i / 64] |= bit;
	return true;
}

static inline void bitmap_remove(struct bitmap *b, uint32_t i)
{
	if (i / 64 < b->n_words) {
		b->words[i / 64] &= ~(UINT64_C(1) << (i % 64));
	}
}

static inline void bitmap_clear(struct bitmap *b)
{
	if (b->n_words > 0) {
		memset(b->words, 0, b->n_words * sizeof(uint64_t));
	}
}

static inline void bitmap_free(struct bitmap *b)
{
	free(b->words);
	b->words = NULL;
	b->n_words = 0;
}

/* The smallest member that is `from` or greater, or UINT32_MAX. */
static inline uint32_t bitmap_next(const struct bitmap *b, uint32_t from)
{
	uint32_t w = from / 64;

	if (b->words == NULL || w >= b->n_words) {
		return UINT32_MAX;
	}
	uint64_t word = b->words[w] & (UINT64_MAX << (from % 64));
	while (word == 0) {
		if (++w >= b->n_words) {
			return UINT32_MAX;
		}
		word = b->words[w];
	}
	return w * 64 + (uint32_t)__builtin_ctzll(word);
}

static inline bool bitmap_is_equal(const struct bitmap *a, const struct bitmap *b)
{
	uint32_t i = 0;

	for (;; i++) {
		uint32_t x = bitmap_next(a, i), y = bitmap_next(b, i);
		if (x != y || x == UINT32_MAX) {
			return x == y;
		}
		i = x;
	}
}

#endif
