/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define BUF_MIN	       64
#define DIGITS_U64_MAX 20

char buf_empty[1];

void buf_grow(struct buf *b, size_t n)
{
	size_t want;
	if (__builtin_add_overflow(b->len + 1, n, &want)) {
		want = SIZE_MAX; /* lets mem_realloc report it */
	}
	size_t cap = b->cap < BUF_MIN ? BUF_MIN : b->cap;
	while (cap < want) {
		cap = cap > SIZE_MAX / 2 ? want : cap * 2;
	}
	b->data = mem_realloc(b->cap ? b->data : NULL, cap);
	b->cap = cap;
	b->data[b->len] = '\0';
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	char *at = buf_reserve(b, BUF_MIN);
	size_t room = b->cap - b->len;
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(at, room, fmt, ap);
	va_end(ap);
	if (n < 0) {
		*at = '\0';
		return;
	}
	if ((size_t)n >= room) {
		at = buf_reserve(b, (size_t)n);
		va_start(ap, fmt);
		vsnprintf(at, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	buf_commit(b, (size_t)n);
}

/* Two digits at a time: half the divisions. */
static const char pairs[] = "00010203040506070809101112131415161718192021222324"
			    "25262728293031323334353637383940414243444546474849"
			    "50515253545556575859606162636465666768697071727374"
			    "75767778798081828384858687888990919293949596979899";

void buf_add_u64(struct buf *b, uint64_t v)
{
	char digits[DIGITS_U64_MAX];
	size_t at = sizeof(digits);
	if (v < 10) {
		buf_addc(b, (char)('0' + v));
		return;
	}
	while (v >= 10) {
		const char *pair = pairs + v % 100 * 2;
		digits[--at] = pair[1];
		digits[--at] = pair[0];
		v /= 100;
	}
	if (v) {
		digits[--at] = (char)('0' + v);
	}
	buf_add(b, digits + at, sizeof(digits) - at);
}

void buf_add_i64(struct buf *b, int64_t v)
{
	uint64_t u = (uint64_t)v;
	if (v < 0) {
		buf_addc(b, '-');
		u = 0 - u;
	}
	buf_add_u64(b, u);
}

void buf_consume(struct buf *b, size_t n)
{
	if (n >= b->len) {
		buf_clear(b);
		return;
	}
	b->len -= n;
	memmove(b->data, b->data + n, b->len + 1);
}

void buf_free(struct buf *b)
{
	if (!b) {
		return;
	}
	if (b->cap) {
		free(b->data);
	}
	*b = (struct buf)BUF_INIT;
}

char *buf_take(struct buf *b)
{
	char *s = b->cap ? b->data : mem_strdup("");
	*b = (struct buf)BUF_INIT;
	return s;
}
