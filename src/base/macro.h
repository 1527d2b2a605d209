/* SPDX-License-Identifier: Apache-2.0 */
/* Small language helpers that every part uses. No state; any thread. */
#ifndef BASE_MACRO_H
#define BASE_MACRO_H

#include <stddef.h>
#include <sys/param.h> /* has MIN and MAX that evaluate twice; first, so that ours stay */

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The struct of `type` whose `member` is at `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#undef MIN
#undef MAX
#define MIN(a, b)                                                                                  \
	__extension__({                                                                            \
		__typeof__(a) min_a_ = (a);                                                        \
		__typeof__(b) min_b_ = (b);                                                        \
		min_a_ < min_b_ ? min_a_ : min_b_;                                                 \
	})
#define MAX(a, b)                                                                                  \
	__extension__({                                                                            \
		__typeof__(a) max_a_ = (a);                                                        \
		__typeof__(b) max_b_ = (b);                                                        \
		max_a_ > max_b_ ? max_a_ : max_b_;                                                 \
	})

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define LIKELY(x)	       __builtin_expect(!!(x), 1)
#define UNLIKELY(x)	       __builtin_expect(!!(x), 0)

#endif
