/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP prefixes, both families. Plain data; any thread. RFC 4632, RFC 4291.
 */
#ifndef SWITCH_PREFIX_H
#define SWITCH_PREFIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prefix {
	uint8_t address[16]; /* IPv4 in the first four; bits beyond length are zero */
	uint8_t length;
	uint8_t ip; /* 4 or 6 */
};

/* "10.0.0.0/8", "fd00::/64", or an address alone; false for anything else, and for bits beyond
 * the length. */
bool prefix_parse(const char *text, struct prefix *out);
#define PREFIX_TEXT_MAX 50
void prefix_text(const struct prefix *p, char out[PREFIX_TEXT_MAX]);
bool prefix_contains(const struct prefix *p, const uint8_t *address);
/* By family, then address, then length: a prefix comes before what it contains. For qsort(3). */
int prefix_compare(const struct prefix *a, const struct prefix *b);
/* The last address it contains. */
void prefix_last(const struct prefix *p, uint8_t out[16]);

#endif
