/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request-scoped memory: many allocations, dropped together.
 *
 * Memory is zeroed and 16-byte aligned. The arena owns all it gave; nothing is freed singly.
 * With a limit an arena refuses (NULL) what would exceed it, so a hostile request cannot take
 * more than its share; without one it never returns NULL. One thread at a time.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/macro.h"

#define ARENA_ALIGN 16

struct arena_block;

/* Members are for the inline path below only. */
struct arena {
	char *at;     /* next free byte, aligned */
	size_t left;  /* bytes at `at` that may be given without a look at the limit */
	size_t used;  /* bytes given, rounded up to ARENA_ALIGN */
	size_t limit; /* SIZE_MAX: none */
	size_t next_size;
	struct arena_block *blocks; /* newest first; `at` points into the first */
};

struct arena *arena_new(size_t limit /* bytes; 0: none */);
void arena_free(struct arena *a);
void arena_reset(struct arena *a); /* all allocations are gone; one block is kept for reuse */

void *arena_alloc_slow(struct arena *a, size_t n);

/* NULL only when the limit is reached. n may be 0: a valid pointer of its own. */
static inline void *arena_alloc(struct arena *a, size_t n)
{
	size_t rounded = (n + (n == 0) + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	if (LIKELY(rounded <= a->left && rounded >= n)) {
		void *p = a->at;
		a->at += rounded;
		a->left -= rounded;
		a->used += rounded;
		return p;
	}
	return arena_alloc_slow(a, n);
}

/* NULL also where n * size overflows. */
void *arena_calloc(struct arena *a, size_t n, size_t size);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

static inline size_t arena_used(const struct arena *a)
{
	return a->used;
}

#endif
