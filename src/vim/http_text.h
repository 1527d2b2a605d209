/* SPDX-License-Identifier: Apache-2.0 */
/* Small pieces of HTTP as text: percent encoding, cookies, byte ranges (RFC 3986, 6265, 9110). No
 * state; any thread. */
#ifndef VIM_HTTP_TEXT_H
#define VIM_HTTP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes %xx in place. "%00" and what is no hex stay as they are. Returns the new length. */
size_t percent_decode(char *s);

/* A path that stays where it is: begins with '/', no "." or ".." component, no control
 * characters. */
bool path_is_safe(const char *path);

/* Value of the cookie of that name in a Cookie header, without quotes around it, into `out` (cut
 * values do not count). Clients that echo a whole Set-Cookie line are understood. */
bool cookie_find(const char *header, const char *name, char *out, size_t size);

/* Range: bytes=… against an entity of `size` bytes. */
enum range_result {
	RANGE_NONE,    /* no header, another unit, several ranges: send the whole */
	RANGE_PART,    /* 206: *offset, *len */
	RANGE_INVALID, /* 416 */
};
enum range_result range_parse(const char *header, uint64_t size, uint64_t *offset, uint64_t *len);

#endif
