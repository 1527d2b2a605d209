/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From (IP version, protocol, port) to the ranges that contain it, as a class: values of one class
 * are in the same ranges. Class 0 is in none. Immutable; any thread.
 */
#ifndef SWITCH_RANGE_MAP_H
#define SWITCH_RANGE_MAP_H

#include <stddef.h>
#include <stdint.h>

enum {
	RANGE_MAP_MEMBERS_MAX = 4 << 20, /* of all classes together */
};

/* A place on one line: IP version 4 or 6, protocol, port in the machine's order. */
static inline uint32_t range_point(uint8_t ip, uint8_t proto, uint16_t port)
{
	return (uint32_t)(ip == 6) << 24 | (uint32_t)proto << 16 | port;
}

/* Both ends are part of it; identifiers are 0 to n - 1, each once. */
struct range {
	uint32_t from, to;
	uint32_t id;
};

struct range_map;

/* NULL: their overlaps are more than RANGE_MAP_MEMBERS_MAX. */
struct range_map *range_map_new(const struct range *ranges, size_t n);
void range_map_free(struct range_map *m);

uint32_t range_map_n_classes(const struct range_map *m);
/* The identifiers of the ranges it is in; n of them at the place returned. */
const uint32_t *range_map_members(const struct range_map *m, uint32_t class, size_t *n);
size_t range_map_bytes(const struct range_map *m);

uint32_t range_map_find(const struct range_map *m, uint8_t ip, uint8_t proto, uint16_t port);

#endif
