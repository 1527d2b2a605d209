/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as text: hex and base64 (RFC 4648), strict when reading. No state; any thread. */
#ifndef BASE_ENCODING_H
#define BASE_ENCODING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Appends 2 * n lower-case digits. */
void hex_encode(struct buf *out, const void *p, size_t n);
/* s has exactly 2 * n digits of either case; false leaves p undefined. */
bool hex_decode(const char *s, void *p, size_t n);

/* Appends standard base64 with padding. */
void base64_encode(struct buf *out, const void *p, size_t n);
/* Appends the bytes that n characters of standard padded base64 stand for; XML white space
 * between them is skipped. False for anything else, and then out is as before. */
bool base64_decode(struct buf *out, const char *s, size_t n);

#endif
