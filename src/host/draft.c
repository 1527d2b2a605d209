/* SPDX-License-Identifier: Apache-2.0 */
#include "host/draft.h"

#include "base/macro.h"

void draft_set_object(struct arena *a, struct value *v, unsigned field, const struct object *o)
{
	if (o != NULL) {
		value_set(a, v, field, o->ref);
	}
}

struct value *draft_refs(struct arena *a, uint16_t managed, struct object *const *objects, size_t n)
{
	struct value *array = value_new_array(a, managed);

	for (size_t i = 0; i < n; i++) {
		value_push(a, array, objects[i]->ref);
	}
	return array;
}

struct value *draft_strings(struct arena *a, const char *const *strings)
{
	struct value *array = value_new_array(a, T_string);

	for (size_t i = 0; strings[i] != NULL; i++) {
		value_push_str(a, array, strings[i]);
	}
	return array;
}

struct value *draft_element(struct arena *a, const char *key, const char *label,
			    const char *summary)
{
	struct value *v = value_new(a, T_ElementDescription);

	value_set_str(a, v, F_Description_label, label);
	value_set_str(a, v, F_Description_summary, summary);
	value_set_str(a, v, F_ElementDescription_key, key);
	return v;
}

static void fill_field(struct arena *a, struct value *v, unsigned i, const struct schema_field *f)
{
	if (f->flags & FIELD_ARRAY) {
		value_set(a, v, i, value_new_array(a, f->type));
	} else if (f->kind == KIND_FLOAT || f->kind == KIND_DOUBLE) {
		value_set_real(a, v, i, 0);
	} else if (f->kind == KIND_BOOL) {
		value_set_bool(a, v, i, false);
	} else if (schema_kind_is_scalar(f->kind)) {
		value_set_num(a, v, i, 0);
	} else if (f->kind == KIND_STRING) {
		value_set_str(a, v, i, "");
	} else if (f->kind == KIND_STRUCT) {
		struct value *child = value_new(a, f->type);
		draft_fill(a, child);
		value_set(a, v, i, child);
	}
}

void draft_fill(struct arena *a, struct value *v)
{
	unsigned n = schema_type(value_type(v))->n_fields;

	for (unsigned i = 0; i < n; i++) {
		const struct schema_field *f = schema_field(value_type(v), i);
		if (!(f->flags & FIELD_OPTIONAL) && !value_has(v, i)) {
			fill_field(a, v, i, f);
		}
	}
}

void draft_set_true(struct arena *a, struct value *v, const int *fields)
{
	for (; *fields >= 0; fields++) {
		value_set_bool(a, v, (unsigned)*fields, true);
	}
}
