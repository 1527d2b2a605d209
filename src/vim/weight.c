/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/weight.h"

enum {
	DEPTH_MAX = 64,
	VALUE_WEIGHT = 32, /* header and what surrounds it */
	SLOT_WEIGHT = 8
};

/* Takes the weight of v from *left; false when it is not enough. */
static bool weigh(const struct value *v, size_t *left, int depth)
{
	size_t own =
		VALUE_WEIGHT +
		(size_t)v->n * (v->kind == KIND_STRUCT || v->kind == KIND_ARRAY ? SLOT_WEIGHT : 1);
	union slot slot;

	if (own > *left || depth == DEPTH_MAX) {
		return false;
	}
	*left -= own;
	if (v->kind == KIND_ARRAY && !schema_kind_is_scalar(v->item)) {
		for (size_t i = 0; i < value_count(v); i++) {
			if (!weigh(value_item(v, i), left, depth + 1)) {
				return false;
			}
		}
	}
	if (v->kind != KIND_STRUCT) {
		return true;
	}
	struct value_walk walk;
	unsigned field;
	for (value_walk_begin(&walk, v); value_walk(&walk, &field, &slot);) {
		const struct schema_field *f = schema_field(v->type, field);
		bool scalar = schema_kind_is_scalar(f->kind) && !(f->flags & FIELD_ARRAY);
		if (!scalar && !weigh(slot.value, left, depth + 1)) {
			return false;
		}
	}
	return true;
}

bool weight_within(const struct value *v, size_t max)
{
	size_t left = max;

	return v == NULL || weigh(v, &left, 0);
}
