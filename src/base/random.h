/* SPDX-License-Identifier: Apache-2.0 */
/* Unpredictable bytes from the kernel. Never fails; any thread. Text forms: base/encoding.h. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "base/encoding.h"

void random_bytes(void *p, size_t n);
uint64_t random_u64(void);
uint32_t random_below(uint32_t n); /* 0 to n - 1, uniform; 0 where n < 2 */

/* n random bytes as 2 * n hex digits and a NUL in out. */
void random_hex(char *out, size_t n);

#endif
