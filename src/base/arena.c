/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chain of zeroed blocks, each twice the last up to a bound. A request that is large for the
 * next block gets a block of its own behind the current one, so little of a block is wasted.
 * Under AddressSanitizer every allocation is a block of its own: overruns and use after reset
 * are then found.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define BLOCK_MIN (size_t)4096
#define BLOCK_MAX (size_t)(1024 * 1024)

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define ARENA_ONE_BLOCK_EACH 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define ARENA_ONE_BLOCK_EACH 1
#endif
#ifndef ARENA_ONE_BLOCK_EACH
#define ARENA_ONE_BLOCK_EACH 0
#endif

struct arena_block {
	struct arena_block *next;
	size_t size;
	_Alignas(ARENA_ALIGN) char data[];
};

struct arena *arena_new(size_t limit)
{
	struct arena *a = mem_zalloc(sizeof(*a));
	a->limit = limit ? limit : SIZE_MAX;
	a->next_size = BLOCK_MIN;
	return a;
}

static void free_blocks(struct arena_block *b)
{
	while (b) {
		struct arena_block *next = b->next;
		free(b);
		b = next;
	}
}

void arena_free(struct arena *a)
{
	if (a) {
		free_blocks(a->blocks);
		free(a);
	}
}

void arena_reset(struct arena *a)
{
	struct arena_block *b = a->blocks;
	a->used = 0;
	if (!a->at || !b) { /* the first block, if any, holds one large allocation */
		free_blocks(b);
		a->blocks = NULL;
		a->left = 0;
		return;
	}
	free_blocks(b->next);
	b->next = NULL;
	memset(b->data, 0, (size_t)(a->at - b->data));
	a->at = b->data;
	a->left = MIN(b->size, a->limit) & ~(size_t)(ARENA_ALIGN - 1);
}

static struct arena_block *new_block(size_t size)
{
	struct arena_block *b = mem_zalloc(sizeof(*b) + size);
	b->size = size;
	return b;
}

void *arena_alloc_slow(struct arena *a, size_t n)
{
	if (n > SIZE_MAX / 2) {
		return NULL;
	}
	size_t rounded = (n + (n == 0) + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	size_t allowed = a->limit - a->used;
	if (rounded > allowed) {
		return NULL;
	}
	a->used += rounded;
	if (ARENA_ONE_BLOCK_EACH || rounded > a->next_size / 4) {
		struct arena_block *b = new_block(ARENA_ONE_BLOCK_EACH ? n : rounded);
		struct arena_block **where = a->at ? &a->blocks->next : &a->blocks;
		b->next = *where;
		*where = b;
		return b->data;
	}
	struct arena_block *b = new_block(a->next_size);
	b->next = a->blocks;
	a->blocks = b;
	a->at = b->data + rounded;
	a->left = (MIN(b->size, allowed) & ~(size_t)(ARENA_ALIGN - 1)) - rounded;
	a->next_size = MIN(a->next_size * 2, BLOCK_MAX);
	return b->data;
}

void *arena_calloc(struct arena *a, size_t n, size_t size)
{
	size_t total;
	return __builtin_mul_overflow(n, size, &total) ? NULL : arena_alloc(a, total);
}

char *arena_strdup(struct arena *a, const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = arena_alloc(a, n);
	return p ? memcpy(p, s, n) : NULL;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	n = strnlen(s, n);
	char *p = arena_alloc(a, n + 1);
	return p ? memcpy(p, s, n) : NULL; /* the NUL is there: memory is zeroed */
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
	if (p) {
		va_start(ap, fmt);
		vsnprintf(p, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	return p;
}
