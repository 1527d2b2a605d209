/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static _Noreturn void out_of_memory(size_t n)
{
	fprintf(stderr, "out of memory: %zu bytes wanted\n", n);
	abort();
}

void *mem_alloc(size_t n)
{
	void *p = malloc(n ? n : 1);
	if (!p) {
		out_of_memory(n);
	}
	return p;
}

void *mem_zalloc(size_t n)
{
	return mem_calloc(1, n);
}

void *mem_calloc(size_t n, size_t size)
{
	void *p = n && size ? calloc(n, size) : calloc(1, 1);
	if (!p) {
		out_of_memory(n * size);
	}
	return p;
}

void *mem_aligned(size_t alignment, size_t n)
{
	void *p = aligned_alloc(alignment, n ? n : alignment);
	if (!p) {
		out_of_memory(n);
	}
	return p;
}

void *mem_realloc(void *p, size_t n)
{
	void *q = realloc(p, n ? n : 1);
	if (!q) {
		out_of_memory(n);
	}
	return q;
}

void *mem_realloc_array(void *p, size_t n, size_t size)
{
	size_t total;
	if (__builtin_mul_overflow(n, size, &total)) {
		out_of_memory(SIZE_MAX);
	}
	return mem_realloc(p, total);
}

char *mem_strdup(const char *s)
{
	size_t n = strlen(s) + 1;
	return memcpy(mem_alloc(n), s, n);
}

char *mem_strndup(const char *s, size_t n)
{
	n = strnlen(s, n);
	char *p = mem_alloc(n + 1);
	memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

char *mem_printf(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *s = NULL;
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0 || !s) {
		out_of_memory(0);
	}
	return s;
}
