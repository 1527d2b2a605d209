/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing with linear probing; removal shifts back, so there are no tombstones. */
#include "vim/id_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "vim/inventory.h"

enum {
	SLOTS_MIN = 16
};

static uint32_t hash_of(const char *id, size_t len)
{
	return (uint32_t)map_hash(id, len);
}

struct object *id_table_find(const struct id_table *t, struct object *const *objects,
			     const char *id, size_t len)
{
	uint32_t hash = hash_of(id, len);

	if (t->n == 0) {
		return NULL;
	}
	for (uint32_t at = hash & t->mask; t->slots[at].index != 0; at = (at + 1) & t->mask) {
		if (t->slots[at].hash != hash) {
			continue;
		}
		struct object *o = objects[t->slots[at].index - 1];
		if (value_len(o->ref) == len && memcmp(object_id(o), id, len) == 0) {
			return o;
		}
	}
	return NULL;
}

static void put(struct id_table *t, struct id_slot slot)
{
	uint32_t at = slot.hash & t->mask;

	while (t->slots[at].index != 0) {
		at = (at + 1) & t->mask;
	}
	t->slots[at] = slot;
}

static void grow(struct id_table *t)
{
	struct id_table old = *t;
	size_t n = old.slots == NULL ? SLOTS_MIN : ((size_t)old.mask + 1) * 2;

	t->slots = mem_calloc(n, sizeof(*t->slots));
	t->mask = (uint32_t)(n - 1);
	for (size_t i = 0; old.slots != NULL && i <= old.mask; i++) {
		if (old.slots[i].index != 0) {
			put(t, old.slots[i]);
		}
	}
	free(old.slots);
}

void id_table_add(struct id_table *t, const struct object *o)
{
	assert(o->index < UINT32_MAX - 1);
	if (t->slots == NULL || t->n >= t->mask - t->mask / 4) {
		grow(t);
	}
	put(t, (struct id_slot){ .hash = hash_of(object_id(o), value_len(o->ref)),
				 .index = o->index + 1 });
	t->n++;
}

void id_table_remove(struct id_table *t, const struct object *o)
{
	uint32_t at = hash_of(object_id(o), value_len(o->ref)) & t->mask;

	while (t->slots[at].index != o->index + 1) {
		assert(t->slots[at].index != 0);
		at = (at + 1) & t->mask;
	}
	uint32_t hole = at;
	for (;;) {
		at = (at + 1) & t->mask;
		if (t->slots[at].index == 0) {
			break;
		}
		/* Move it back unless its home lies cyclically after the hole. */
		uint32_t home = t->slots[at].hash & t->mask;
		if (((at - home) & t->mask) >= ((at - hole) & t->mask)) {
			t->slots[hole] = t->slots[at];
			hole = at;
		}
	}
	t->slots[hole] = (struct id_slot){ 0 };
	t->n--;
}

void id_table_free(struct id_table *t)
{
	free(t->slots);
	*t = (struct id_table){ 0 };
}
