/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/range_set.h"

#include <stdlib.h>

#include "base/mem.h"

static uint64_t range_hash(const struct range *r)
{
	uint64_t h = ((uint64_t)r->from << 32 | r->to) * 0x9e3779b97f4a7c15u;

	return h ^ (h >> 32);
}

/* Where a range is, or would be. */
static uint32_t *slot_of(const struct range_set *s, const struct range *r)
{
	uint64_t at = range_hash(r) & s->index_mask;

	for (; s->index[at] != 0; at = (at + 1) & s->index_mask) {
		const struct range *o = &s->list.items[s->index[at] - 1];
		if (o->from == r->from && o->to == r->to) {
			break;
		}
	}
	return &s->index[at];
}

static void grow(struct range_set *s)
{
	if (s->list.n * 2 < s->index_mask) {
		return;
	}
	free(s->index);
	s->index_mask = s->index_mask == 0 ? 255 : s->index_mask * 2 + 1;
	s->index = mem_calloc((size_t)s->index_mask + 1, sizeof(*s->index));
	vec_each (&s->list, r) {
		*slot_of(s, r) = r->id + 1;
	}
}

uint32_t range_set_name(struct range_set *s, uint32_t from, uint32_t to)
{
	struct range r = { from, to, (uint32_t)s->list.n };

	grow(s);
	uint32_t *slot = slot_of(s, &r);
	if (*slot == 0) {
		vec_push(&s->list, r);
		*slot = (uint32_t)s->list.n;
	}
	return *slot - 1;
}

void range_set_fini(struct range_set *s)
{
	vec_free(&s->list);
	free(s->index);
}
