/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an address to the groups that contain it, as a class: addresses of one class are in the
 * same groups. Classes form a tree as prefixes do: a class's groups are its own and those of its
 * parent. Class 0 is IPv4 in no group, class 1 IPv6 in none.
 *
 * Addresses are cut into intervals. IPv4: a table over the upper 16 bits, and inside of each a
 * search over the lower 16; IPv6: a search over all. Immutable; any thread.
 */
#ifndef SWITCH_ADDRESS_MAP_H
#define SWITCH_ADDRESS_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "switch/prefix.h"

enum {
	ADDRESS_CLASS_IP4 = 0,
	ADDRESS_CLASS_IP6 = 1,
};

struct address_member {
	struct prefix prefix;
	uint32_t group;
};

struct address_map;

/* `members` is put in order on the way; the same prefix may be in many groups. */
struct address_map *address_map_new(struct address_member *members, size_t n);
/* One more owner of the same map. */
struct address_map *address_map_again(struct address_map *m);
void address_map_free(struct address_map *m); /* by each owner */

uint32_t address_map_n_classes(const struct address_map *m);
/* Its own class for 0 and 1. A parent's number is lower than its children's. */
uint32_t address_map_parent(const struct address_map *m, uint32_t class);
/* The groups it has beyond its parent's; n of them at the place returned. */
const uint32_t *address_map_own(const struct address_map *m, uint32_t class, size_t *n);
size_t address_map_bytes(const struct address_map *m);

/* Address in network order. */
uint32_t address_map_find4(const struct address_map *m, uint32_t address);
uint32_t address_map_find6(const struct address_map *m, const uint8_t address[16]);

#endif
