/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects by their identifiers, for inventory.c: a hash table of eight bytes a slot, because there
 * may be tens of thousands of objects in one process and each is found by its identifier only. It
 * knows objects by their place in the inventory's list and owns nothing. Hashes are seeded.
 */
#ifndef VIM_ID_TABLE_H
#define VIM_ID_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct object;

struct id_slot {
	uint32_t hash;
	uint32_t index; /* of the object, + 1; 0: empty */
};

struct id_table { /* {0} is an empty one */
	struct id_slot *slots;
	uint32_t mask; /* number of slots - 1 */
	uint32_t n;
};

/* `objects` is the inventory's list, by index. NULL: there is none. */
struct object *id_table_find(const struct id_table *t, struct object *const *objects,
			     const char *id, size_t len);
/* Its identifier must be new. */
void id_table_add(struct id_table *t, const struct object *o);
void id_table_remove(struct id_table *t, const struct object *o);
void id_table_free(struct id_table *t);

#endif
