/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/name_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

/* Where a name is, or would be. */
static struct name_slot *slot_of(const struct name_index *x, const char *name, uint32_t hash)
{
	uint32_t at = hash & x->mask;

	while (x->slots[at].name != NULL &&
	       (x->slots[at].hash != hash || strcmp(x->slots[at].name, name) != 0)) {
		at = (at + 1) & x->mask;
	}
	return &x->slots[at];
}

static void grow(struct name_index *x)
{
	struct name_slot *before = x->slots;
	uint32_t n = before == NULL ? 0 : x->mask + 1;

	x->mask = n == 0 ? 63 : n * 2 - 1;
	x->slots = mem_calloc((size_t)x->mask + 1, sizeof(*x->slots));
	for (uint32_t i = 0; i < n; i++) {
		if (before[i].name != NULL) {
			*slot_of(x, before[i].name, before[i].hash) = before[i];
		}
	}
	free(before);
}

static uint32_t hash_of(const char *name)
{
	return (uint32_t)map_hash(name, strlen(name));
}

bool name_index_find(const struct name_index *x, const char *name, uint32_t *number)
{
	if (x->n == 0) {
		return false;
	}
	const struct name_slot *s = slot_of(x, name, hash_of(name));
	if (s->name == NULL) {
		return false;
	}
	*number = s->number;
	return true;
}

bool name_index_add(struct name_index *x, const char *name, uint32_t number)
{
	uint32_t hash = hash_of(name);

	if (x->n * 2 >= x->mask) { /* also: none yet */
		grow(x);
	}
	struct name_slot *s = slot_of(x, name, hash);
	if (s->name != NULL) {
		return false;
	}
	*s = (struct name_slot){ name, hash, number };
	x->n++;
	return true;
}

void name_index_free(struct name_index *x)
{
	free(x->slots);
	*x = (struct name_index){ 0 };
}
