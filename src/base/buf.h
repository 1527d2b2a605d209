/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growable bytes. After data[len] there is always a NUL, so data is a string as well.
 *
 * A buf owns its bytes while cap is not 0; start with `struct buf b = BUF_INIT;` ({0} works too,
 * then data is NULL until something is added) and end with buf_free(). Memory never fails
 * (base/mem.h). One thread at a time.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/macro.h"

struct buf {
	char *data;
	size_t len;
	size_t cap; /* bytes at data, counting the NUL; 0: data is not ours */
};

extern char buf_empty[1]; /* what data points to while nothing was added; never written */

#define BUF_INIT                                                                                   \
	{                                                                                          \
		.data = buf_empty                                                                  \
	}

/* Makes room for n bytes and a NUL after len. */
void buf_grow(struct buf *b, size_t n);

/* Room for n bytes at data + len, which the caller fills before calling buf_commit(). */
static inline char *buf_reserve(struct buf *b, size_t n)
{
	if (UNLIKELY(b->cap <= b->len || b->cap - b->len <= n)) {
		buf_grow(b, n);
	}
	return b->data + b->len;
}

/* Counts n bytes written to the room that buf_reserve() gave. */
static inline void buf_commit(struct buf *b, size_t n)
{
	b->len += n;
	b->data[b->len] = '\0';
}

static inline void buf_add(struct buf *b, const void *p, size_t n)
{
	char *at = buf_reserve(b, n);
	if (n) {
		memcpy(at, p, n);
	}
	buf_commit(b, n);
}

static inline void buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

static inline void buf_addc(struct buf *b, char c)
{
	*buf_reserve(b, 1) = c;
	buf_commit(b, 1);
}

void buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_add_i64(struct buf *b, int64_t v); /* decimal */
void buf_add_u64(struct buf *b, uint64_t v);

/* Removes the first n bytes (all where n is larger). */
void buf_consume(struct buf *b, size_t n);

/* Empties, keeps the memory. */
static inline void buf_clear(struct buf *b)
{
	b->len = 0;
	if (b->cap) {
		b->data[0] = '\0';
	}
}

void buf_free(struct buf *b); /* usable again afterwards; NULL is fine */

/* The bytes, now the caller's to free(), never NULL; the buf is empty afterwards. */
char *buf_take(struct buf *b);

#endif
