/* SPDX-License-Identifier: Apache-2.0 */
#include "center/translate.h"

#include <stdlib.h>

#include "base/mem.h"
#include "vim/bitmap.h"

struct translate_types {
	struct bitmap own;   /* structures with a reference in them, perhaps deep down */
	struct bitmap below; /* types of which that is so for themselves or one derived */
};

/* ---- which types ---- */

static bool field_can(const struct translate_types *t, const struct schema_field *f)
{
	return f->kind == KIND_REF || f->kind == KIND_ANY ||
	       (f->kind == KIND_STRUCT && bitmap_has(&t->below, f->type));
}

/* Marks a type and those it derives from. */
static void mark(struct translate_types *t, uint16_t type)
{
	bitmap_add(&t->own, type);
	for (uint16_t at = type; at != T_none; at = schema_type(at)->base) {
		if (!bitmap_add(&t->below, at)) {
			break;
		}
	}
}

struct translate_types *translate_types_new(void)
{
	struct translate_types *t = mem_zalloc(sizeof(*t));
	bool more = true;

	bitmap_reserve(&t->own, SCHEMA_N_TYPES);
	bitmap_reserve(&t->below, SCHEMA_N_TYPES);
	while (more) {
		more = false;
		for (uint16_t type = 1; type < SCHEMA_N_TYPES; type++) {
			if (schema_type_kind(type) != KIND_STRUCT || bitmap_has(&t->own, type)) {
				continue;
			}
			for (unsigned i = 0; i < schema_type(type)->n_fields; i++) {
				if (field_can(t, schema_field(type, i))) {
					mark(t, type);
					more = true;
					break;
				}
			}
		}
	}
	return t;
}

void translate_types_free(struct translate_types *t)
{
	if (t != NULL) {
		bitmap_free(&t->own);
		bitmap_free(&t->below);
		free(t);
	}
}

/* ---- values ---- */

static const struct value *one(struct translation *t, const struct value *v, struct arena *a);

static const struct value *reference(struct translation *t, const struct value *v, struct arena *a)
{
	const struct value *other = t->ref(t->arg, v, a);

	if (other == NULL && t->missing == NULL) {
		t->missing = v;
	}
	return other;
}

static bool item_can(const struct translation *t, const struct value *array)
{
	switch (array->item) {
	case KIND_REF:
	case KIND_ANY:
		return true;
	case KIND_STRING:
		return t->text != NULL;
	case KIND_STRUCT:
		return t->text != NULL || bitmap_has(&t->types->below, array->type);
	default:
		return false;
	}
}

static const struct value *array(struct translation *t, const struct value *v, struct arena *a)
{
	struct value *out = NULL;

	if (!item_can(t, v)) {
		return v;
	}
	for (size_t i = 0; i < v->n; i++) {
		const struct value *item = value_item(v, i), *now = one(t, item, a);
		if (now != item && out == NULL) {
			out = value_new_array(a, v->type);
			for (size_t before = 0; before < i; before++) {
				value_push(a, out, value_item(v, before));
			}
		}
		if (out != NULL && now != NULL) {
			value_push(a, out, now);
		}
	}
	return out != NULL ? out : v;
}

static const struct value *structure(struct translation *t, const struct value *v, struct arena *a)
{
	struct value *out = NULL;
	struct value_walk walk;
	union slot slot;
	unsigned field;

	if (t->text == NULL && !bitmap_has(&t->types->own, v->type)) {
		return v;
	}
	value_walk_begin(&walk, v);
	while (value_walk(&walk, &field, &slot)) {
		const struct schema_field *f = schema_field(v->type, field);
		bool is_array = (f->flags & FIELD_ARRAY) != 0;
		if (schema_kind_is_scalar(f->kind) || f->kind == KIND_BINARY ||
		    (f->kind == KIND_STRING && t->text == NULL) ||
		    (f->kind == KIND_STRUCT && t->text == NULL && !field_can(t->types, f))) {
			continue;
		}
		const struct value *now =
			is_array ? array(t, slot.value, a) : one(t, slot.value, a);
		if (now == slot.value) {
			continue;
		}
		if (out == NULL) {
			out = value_edit(a, v);
		}
		if (now == NULL) {
			value_unset(out, field);
		} else {
			value_set(a, out, field, now);
		}
	}
	return out != NULL ? out : v;
}

static const struct value *one(struct translation *t, const struct value *v, struct arena *a)
{
	switch (v->kind) {
	case KIND_REF:
		return reference(t, v, a);
	case KIND_STRUCT:
		return structure(t, v, a);
	case KIND_ARRAY:
		return array(t, v, a);
	case KIND_STRING:
		return t->text != NULL ? t->text(t->arg, v, a) : v;
	default:
		return v;
	}
}

const struct value *translate(struct translation *t, const struct value *v, struct arena *a)
{
	return v == NULL ? NULL : one(t, v, a);
}
