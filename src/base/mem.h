/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heap memory that never fails: the process aborts, with a line on stderr, when memory runs out
 * or a size overflows. So sizes that come from outside must be bounded before they come here.
 * What these return belongs to the caller and is freed with free(). Any thread.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdlib.h>

#include "base/macro.h"

void *mem_alloc(size_t n) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t n) __attribute__((malloc, returns_nonnull));
void *mem_calloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
/* alignment: a power of two, at least sizeof(void *); n: a multiple of it; not zeroed. */
void *mem_aligned(size_t alignment, size_t n) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t n) __attribute__((returns_nonnull));
void *mem_realloc_array(void *p, size_t n, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *s) __attribute__((malloc, returns_nonnull));
char *mem_strndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
char *mem_printf(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((malloc, returns_nonnull));

#endif
