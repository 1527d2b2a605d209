/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers from text, strictly: the whole text must be the number, no blanks, no overflow; false
 * otherwise, and then *out is untouched. The _n forms take n bytes that need no NUL. Any thread.
 */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool number_i64(const char *s, int64_t *out);  /* [+-]digits */
bool number_u64(const char *s, uint64_t *out); /* [+]digits */
bool number_i32(const char *s, int32_t *out);
bool number_u32(const char *s, uint32_t *out);
bool number_i64_n(const char *s, size_t n, int64_t *out);
bool number_u64_n(const char *s, size_t n, uint64_t *out);
bool number_hex_u64(const char *s, uint64_t *out); /* hex digits, 0x allowed before */
bool number_double(const char *s, double *out);	   /* decimal with a point, finite; no hex */
bool number_bool(const char *s, bool *out);	   /* true, false, 1, 0 as XML Schema has it */
bool number_port(const char *s, uint16_t *out);	   /* 1 to 65535 */

/* Bytes: digits, then nothing or one of k M G T or KiB MiB GiB TiB (all powers of 1024; the case
 * of the unit does not matter). */
bool number_bytes(const char *s, uint64_t *out);

#endif
