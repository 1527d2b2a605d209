/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growable arrays of any type: `VEC(struct port) ports = { 0 };` then vec_push(&ports, p).
 * The vec owns items (freed by vec_free(), not what they point to). The items move when the vec
 * grows: keep indexes, not pointers. One thread at a time.
 */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define VEC(type)                                                                                  \
	struct {                                                                                   \
		type *items;                                                                       \
		size_t n, cap;                                                                     \
	}

/* The items' new place with room for at least `want`; writes *cap. */
static inline void *vec_grow_(void *items, size_t *cap, size_t want, size_t size)
{
	if (want <= *cap) {
		return items;
	}
	size_t n = *cap < 4 ? 4 : *cap + *cap / 2;
	*cap = n < want ? want : n;
	return mem_realloc_array(items, *cap, size);
}

#define vec_reserve(v, want)                                                                       \
	((v)->items = vec_grow_((v)->items, &(v)->cap, (want), sizeof(*(v)->items)))

#define vec_push(v, ...)                                                                           \
	do {                                                                                       \
		if ((v)->n == (v)->cap) {                                                          \
			vec_reserve(v, (v)->n + 1);                                                \
		}                                                                                  \
		(v)->items[(v)->n++] = (__VA_ARGS__);                                              \
	} while (0)

/* Puts an item at index i <= n. */
#define vec_insert(v, i, ...)                                                                      \
	do {                                                                                       \
		size_t vec_i_ = (i);                                                               \
		assert(vec_i_ <= (v)->n);                                                          \
		vec_reserve(v, (v)->n + 1);                                                        \
		memmove((v)->items + vec_i_ + 1, (v)->items + vec_i_,                              \
			((v)->n++ - vec_i_) * sizeof(*(v)->items));                                \
		(v)->items[vec_i_] = (__VA_ARGS__);                                                \
	} while (0)

/* Removes the item at index i, keeps the order. */
#define vec_remove(v, i)                                                                           \
	do {                                                                                       \
		size_t vec_i_ = (i);                                                               \
		assert(vec_i_ < (v)->n);                                                           \
		(v)->n--;                                                                          \
		memmove((v)->items + vec_i_, (v)->items + vec_i_ + 1,                              \
			((v)->n - vec_i_) * sizeof(*(v)->items));                                  \
	} while (0)

/* The last item, removed; the vec must not be empty. */
#define vec_pop(v) ((v)->items[(assert((v)->n), --(v)->n)])

#define vec_last(v) ((v)->items[(assert((v)->n), (v)->n - 1)])

/* Pointer `it` to each item in turn; the vec must not change meanwhile. */
#define vec_each(v, it)                                                                            \
	for (__typeof__(*(v)->items) *it = (v)->items, *it##_end_ = it ? it + (v)->n : it;         \
	     it != it##_end_; it++)

/* cmp as for qsort(3), on pointers to items. */
#define vec_sort(v, cmp)                                                                           \
	do {                                                                                       \
		if ((v)->n) {                                                                      \
			qsort((v)->items, (v)->n, sizeof(*(v)->items), (cmp));                     \
		}                                                                                  \
	} while (0)

#define vec_clear(v) ((void)((v)->n = 0))

#define vec_free(v)                                                                                \
	do {                                                                                       \
		free((v)->items);                                                                  \
		(v)->items = NULL;                                                                 \
		(v)->n = (v)->cap = 0;                                                             \
	} while (0)

#endif
