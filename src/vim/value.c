/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout of the payload behind struct value:
 *   string, binary, reference   n bytes and a NUL
 *   boxed scalar                one slot
 *   array, draft                struct draft_array
 *   array, kept                 n slots
 *   structure, draft            presence bitmap, then one slot per field of the type
 *   structure, kept             presence bitmap, then the n set slots in wire order
 */
#include "vim/value.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "vim/value_store.h"

struct draft_array {
	union slot *items;
	size_t cap;
};

static void *payload(const struct value *v)
{
	/* const only says that readers do not write; the memory itself is ours. */
	return (struct value *)(uintptr_t)v + 1;
}

static unsigned bitmap_words(uint16_t type)
{
	return (schema_types[type].n_fields + 63U) / 64U;
}

static uint64_t *bitmap_of(const struct value *v)
{
	return payload(v);
}

static union slot *slots_of(const struct value *v)
{
	if (v->kind == KIND_STRUCT) {
		return (union slot *)(void *)(bitmap_of(v) + bitmap_words(v->type));
	}
	if (v->kind == KIND_ARRAY && v->refs == 0) {
		return ((struct draft_array *)payload(v))->items;
	}
	return payload(v);
}

static bool bit_is_set(const struct value *v, unsigned field)
{
	return (bitmap_of(v)[field / 64] >> (field % 64)) & 1;
}

/* Place of a set field's slot. */
static unsigned slot_index(const struct value *v, unsigned field)
{
	if (v->refs == 0) {
		return field;
	}
	const uint64_t *bits = bitmap_of(v);
	unsigned at = 0;
	for (unsigned w = 0; w < field / 64; w++) {
		at += (unsigned)__builtin_popcountll(bits[w]);
	}
	uint64_t below = bits[field / 64] & ((UINT64_C(1) << (field % 64)) - 1);
	return at + (unsigned)__builtin_popcountll(below);
}

/* ---- reading ---- */

const char *value_bytes(const struct value *v)
{
	return payload(v);
}

union slot value_scalar(const struct value *v)
{
	return *(union slot *)payload(v);
}

bool value_get(const struct value *v, unsigned field, union slot *out)
{
	assert(v->kind == KIND_STRUCT);
	if (field >= schema_types[v->type].n_fields || !bit_is_set(v, field)) {
		return false;
	}
	*out = slots_of(v)[slot_index(v, field)];
	return true;
}

bool value_has(const struct value *v, unsigned field)
{
	union slot s;

	return v != NULL && value_get(v, field, &s);
}

bool value_get_bool(const struct value *v, unsigned field, bool otherwise)
{
	union slot s;

	return v != NULL && value_get(v, field, &s) ? s.num != 0 : otherwise;
}

int64_t value_get_num(const struct value *v, unsigned field, int64_t otherwise)
{
	union slot s;

	return v != NULL && value_get(v, field, &s) ? s.num : otherwise;
}

double value_get_real(const struct value *v, unsigned field, double otherwise)
{
	union slot s;

	return v != NULL && value_get(v, field, &s) ? s.real : otherwise;
}

const struct value *value_get_value(const struct value *v, unsigned field)
{
	union slot s;

	return v != NULL && value_get(v, field, &s) ? s.value : NULL;
}

const char *value_get_str(const struct value *v, unsigned field)
{
	const struct value *s = value_get_value(v, field);

	return s == NULL ? NULL : value_bytes(s);
}

bool value_next(const struct value *v, int *field, union slot *out)
{
	unsigned n = schema_types[v->type].n_fields;
	const uint64_t *bits = bitmap_of(v);
	unsigned i = (unsigned)(*field + 1);

	while (i < n) {
		uint64_t rest = bits[i / 64] >> (i % 64);
		if (rest == 0) {
			i = (i / 64 + 1) * 64;
			continue;
		}
		i += (unsigned)__builtin_ctzll(rest);
		*field = (int)i;
		*out = slots_of(v)[slot_index(v, i)];
		return true;
	}
	return false;
}

void value_walk_begin(struct value_walk *w, const struct value *v)
{
	const uint64_t *bits = bitmap_of(v);

	*w = (struct value_walk){ .bits = bits,
				  .slots = slots_of(v),
				  .n_words = bitmap_words(v->type),
				  .is_by_field = v->refs == 0 };
	w->rest = w->n_words == 0 ? 0 : bits[0];
}

union slot value_at(const struct value *array, size_t i)
{
	assert(array->kind == KIND_ARRAY && i < array->n);
	return slots_of(array)[i];
}

const struct value *value_item(const struct value *array, size_t i)
{
	return value_at(array, i).value;
}

/* ---- drafts ---- */

static struct value *draft_new(struct arena *a, unsigned kind, uint16_t type, size_t n_payload)
{
	struct value *v = arena_alloc(a, sizeof(*v) + n_payload);

	if (v != NULL) {
		v->kind = (uint8_t)kind;
		v->type = type;
	}
	return v;
}

struct value *value_new(struct arena *a, uint16_t type)
{
	assert(schema_types[type].kind == KIND_STRUCT);
	return draft_new(a, KIND_STRUCT, type,
			 (bitmap_words(type) + schema_types[type].n_fields) * sizeof(uint64_t));
}

/* Kind of one element of an array of that type. */
static unsigned item_kind(uint16_t type)
{
	unsigned kind = schema_types[type].kind;

	return kind == KIND_MANAGED ? KIND_REF : kind;
}

struct value *value_new_array(struct arena *a, uint16_t type)
{
	struct value *v = draft_new(a, KIND_ARRAY, type, sizeof(struct draft_array));

	if (v != NULL) {
		v->item = (uint8_t)item_kind(type);
	}
	return v;
}

static struct value *new_text(struct arena *a, unsigned kind, uint16_t type, const void *p,
			      size_t n)
{
	if (n > UINT32_MAX) {
		return NULL;
	}
	struct value *v = draft_new(a, kind, type, n + 1);
	if (v != NULL) {
		v->n = (uint32_t)n;
		if (n > 0) {
			memcpy(payload(v), p, n);
		}
	}
	return v;
}

struct value *value_new_strn(struct arena *a, const char *s, size_t n)
{
	return new_text(a, KIND_STRING, T_string, s, n);
}

struct value *value_new_str(struct arena *a, const char *s)
{
	return s == NULL ? NULL : value_new_strn(a, s, strlen(s));
}

struct value *value_new_binary(struct arena *a, const void *p, size_t n)
{
	return new_text(a, KIND_BINARY, T_base64Binary, p, n);
}

struct value *value_new_refn(struct arena *a, uint16_t managed, const char *id, size_t n)
{
	assert(schema_types[managed].kind == KIND_MANAGED);
	return new_text(a, KIND_REF, managed, id, n);
}

struct value *value_new_ref(struct arena *a, uint16_t managed, const char *id)
{
	return id == NULL ? NULL : value_new_refn(a, managed, id, strlen(id));
}

struct value *value_new_scalar(struct arena *a, uint16_t type, union slot s)
{
	assert(schema_kind_is_scalar(schema_types[type].kind));
	struct value *v = draft_new(a, schema_types[type].kind, type, sizeof(s));
	if (v != NULL) {
		*(union slot *)payload(v) = s;
	}
	return v;
}

struct value *value_new_bool(struct arena *a, bool b)
{
	return value_new_scalar(a, T_boolean, (union slot){ .num = b });
}

struct value *value_new_int(struct arena *a, int32_t i)
{
	return value_new_scalar(a, T_int, (union slot){ .num = i });
}

struct value *value_new_long(struct arena *a, int64_t i)
{
	return value_new_scalar(a, T_long, (union slot){ .num = i });
}

void value_set_slot(struct value *v, unsigned field, union slot s)
{
	if (v == NULL) {
		return;
	}
	assert(v->refs == 0 && v->kind == KIND_STRUCT && field < schema_types[v->type].n_fields);
	if (!bit_is_set(v, field)) {
		bitmap_of(v)[field / 64] |= UINT64_C(1) << (field % 64);
		v->n++;
	}
	slots_of(v)[field] = s;
}

void value_unset(struct value *v, unsigned field)
{
	if (v != NULL && bit_is_set(v, field)) {
		bitmap_of(v)[field / 64] &= ~(UINT64_C(1) << (field % 64));
		v->n--;
	}
}

void value_set_bool(struct arena *a, struct value *v, unsigned field, bool b)
{
	(void)a;
	assert(v == NULL || schema_field(v->type, field)->kind == KIND_BOOL);
	value_set_slot(v, field, (union slot){ .num = b });
}

void value_set_num(struct arena *a, struct value *v, unsigned field, int64_t n)
{
	(void)a;
	assert(v == NULL || schema_kind_is_scalar(schema_field(v->type, field)->kind));
	value_set_slot(v, field, (union slot){ .num = n });
}

void value_set_real(struct arena *a, struct value *v, unsigned field, double d)
{
	(void)a;
	value_set_slot(v, field, (union slot){ .real = d });
}

/* Does x fit into a field (or property) declared like f? */
static bool fits(const struct schema_field *f, const struct value *x)
{
	if (f->flags & FIELD_ARRAY) {
		return x->kind == KIND_ARRAY &&
		       (f->kind == KIND_ANY || schema_is_a(x->type, f->type) ||
			(f->kind == KIND_REF && x->item == KIND_REF));
	}
	switch (f->kind) {
	case KIND_ANY:
		return true;
	case KIND_STRUCT:
		return x->kind == KIND_STRUCT && schema_is_a(x->type, f->type);
	case KIND_REF:
		return x->kind == KIND_REF;
	default:
		return x->kind == f->kind;
	}
}

bool value_fits(const struct schema_field *f, const struct value *x)
{
	return fits(f, x);
}

void value_set(struct arena *a, struct value *v, unsigned field, const struct value *x)
{
	(void)a;
	if (v == NULL || x == NULL) {
		return;
	}
	const struct schema_field *f = schema_field(v->type, field);
	assert(fits(f, x));
	if (schema_kind_is_scalar(f->kind) && !(f->flags & FIELD_ARRAY)) {
		value_set_slot(v, field, value_scalar(x));
	} else {
		value_set_slot(v, field, (union slot){ .value = x });
	}
}

void value_set_str(struct arena *a, struct value *v, unsigned field, const char *s)
{
	value_set(a, v, field, value_new_str(a, s));
}

void value_set_strf(struct arena *a, struct value *v, unsigned field, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof(text)) {
		value_set(a, v, field, value_new_strn(a, text, (size_t)n));
		return;
	}
	char *big = malloc((size_t)n + 1);
	assert(big != NULL);
	va_start(args, fmt);
	vsnprintf(big, (size_t)n + 1, fmt, args);
	va_end(args);
	value_set(a, v, field, value_new_strn(a, big, (size_t)n));
	free(big);
}

void value_set_ref(struct arena *a, struct value *v, unsigned field, uint16_t managed,
		   const char *id)
{
	value_set(a, v, field, value_new_ref(a, managed, id));
}

static bool push_slot(struct arena *a, struct value *array, union slot s)
{
	assert(array->kind == KIND_ARRAY && array->refs == 0);
	struct draft_array *d = payload(array);

	if (array->n == d->cap) {
		size_t cap = d->cap == 0 ? 4 : d->cap * 2;
		union slot *items = arena_alloc(a, cap * sizeof(*items));
		if (items == NULL) {
			return false;
		}
		if (array->n > 0) {
			memcpy(items, d->items, array->n * sizeof(*items));
		}
		d->items = items;
		d->cap = cap;
	}
	d->items[array->n++] = s;
	return true;
}

bool value_push(struct arena *a, struct value *array, const struct value *x)
{
	if (array == NULL || x == NULL) {
		return false;
	}
	if (schema_kind_is_scalar(array->item)) {
		assert(x->kind == array->item);
		return push_slot(a, array, value_scalar(x));
	}
	assert(array->item == KIND_ANY || x->kind == array->item);
	return push_slot(a, array, (union slot){ .value = x });
}

bool value_push_num(struct arena *a, struct value *array, int64_t n)
{
	assert(schema_kind_is_scalar(array->item));
	return push_slot(a, array, (union slot){ .num = n });
}

bool value_push_real(struct arena *a, struct value *array, double d)
{
	return push_slot(a, array, (union slot){ .real = d });
}

bool value_push_str(struct arena *a, struct value *array, const char *s)
{
	return value_push(a, array, value_new_str(a, s));
}

struct value *value_edit(struct arena *a, const struct value *v)
{
	union slot s;

	if (v->kind == KIND_ARRAY) {
		struct value *array = value_new_array(a, v->type);
		for (size_t i = 0; i < v->n; i++) {
			if (!push_slot(a, array, value_at(v, i))) {
				return NULL;
			}
		}
		return array;
	}
	struct value *copy = value_new(a, v->type);
	if (copy == NULL) {
		return NULL;
	}
	struct value_walk walk;
	union slot *to = slots_of(copy);
	unsigned i;
	memcpy(bitmap_of(copy), bitmap_of(v), bitmap_words(v->type) * sizeof(uint64_t));
	copy->n = v->n;
	for (value_walk_begin(&walk, v); value_walk(&walk, &i, &s);) {
		to[i] = s;
	}
	return copy;
}

/* ---- kept values ---- */

enum {
	KEEP_INLINE = 192
};

static bool slot_is_value(const struct value *v, unsigned field)
{
	const struct schema_field *f = schema_field(v->type, field);

	return (f->flags & FIELD_ARRAY) || !schema_kind_is_scalar(f->kind);
}

static const struct value *keep_struct(const struct value *v)
{
	uint64_t inline_room[KEEP_INLINE];
	unsigned words = bitmap_words(v->type);
	size_t total = words + v->n;
	uint64_t *room = total <= KEEP_INLINE ? inline_room : calloc(total, sizeof(*room));
	union slot *at = (union slot *)(void *)(room + words), s;

	assert(room != NULL);
	memcpy(room, bitmap_of(v), words * sizeof(*room));
	struct value_walk walk;
	unsigned i;
	for (value_walk_begin(&walk, v); value_walk(&walk, &i, &s); at++) {
		*at = slot_is_value(v, i) ? (union slot){ .value = value_keep(s.value) } : s;
	}
	struct value head = { .kind = KIND_STRUCT, .type = v->type, .n = v->n };
	const struct value *kept = value_store_intern(&head, room, total * sizeof(*room));
	if (room != inline_room) {
		free(room);
	}
	return kept;
}

static const struct value *keep_array(const struct value *v)
{
	union slot inline_room[KEEP_INLINE];
	union slot *room = v->n <= KEEP_INLINE ? inline_room : calloc(v->n, sizeof(*room));

	assert(room != NULL);
	memset(inline_room, 0, MIN(v->n, (uint32_t)KEEP_INLINE) * sizeof(*room));
	for (size_t i = 0; i < v->n; i++) {
		room[i] = value_at(v, i);
		if (!schema_kind_is_scalar(v->item)) {
			room[i].value = value_keep(room[i].value);
		}
	}
	struct value head = { .kind = KIND_ARRAY, .type = v->type, .item = v->item, .n = v->n };
	const struct value *kept = value_store_intern(&head, room, v->n * sizeof(*room));
	if (room != inline_room) {
		free(room);
	}
	return kept;
}

const struct value *value_keep(const struct value *v)
{
	if (v == NULL || v->refs != 0) {
		return value_hold(v);
	}
	if (v->kind == KIND_STRUCT) {
		return keep_struct(v);
	}
	if (v->kind == KIND_ARRAY) {
		return keep_array(v);
	}
	size_t n = schema_kind_is_scalar(v->kind) ? sizeof(union slot) : (size_t)v->n + 1;
	struct value head = { .kind = v->kind, .type = v->type, .n = v->n };
	return value_store_intern(&head, payload(v), n);
}

const struct value *value_hold(const struct value *v)
{
	if (v != NULL) {
		value_store_hold(v);
	}
	return v;
}

void value_children_drop(const struct value *v)
{
	struct value_walk walk;
	union slot s;
	unsigned field;

	if (v->kind == KIND_STRUCT) {
		for (value_walk_begin(&walk, v); value_walk(&walk, &field, &s);) {
			if (slot_is_value(v, field)) {
				value_drop(s.value);
			}
		}
	} else if (v->kind == KIND_ARRAY && !schema_kind_is_scalar(v->item)) {
		for (size_t i = 0; i < v->n; i++) {
			value_drop(value_item(v, i));
		}
	}
}

static bool struct_equal(const struct value *a, const struct value *b)
{
	union slot s, t;

	if (a->type != b->type || a->n != b->n ||
	    memcmp(bitmap_of(a), bitmap_of(b), bitmap_words(a->type) * sizeof(uint64_t)) != 0) {
		return false;
	}
	for (int i = -1; value_next(a, &i, &s);) {
		if (!value_get(b, (unsigned)i, &t)) {
			return false;
		}
		if (slot_is_value(a, (unsigned)i) ? !value_equal(s.value, t.value)
						  : s.num != t.num) {
			return false;
		}
	}
	return true;
}

static bool array_equal(const struct value *a, const struct value *b)
{
	if (a->type != b->type || a->n != b->n) {
		return false;
	}
	for (size_t i = 0; i < a->n; i++) {
		union slot s = value_at(a, i), t = value_at(b, i);
		if (schema_kind_is_scalar(a->item) ? s.num != t.num
						   : !value_equal(s.value, t.value)) {
			return false;
		}
	}
	return true;
}

bool value_equal(const struct value *a, const struct value *b)
{
	if (a == b) {
		return true;
	}
	if (a == NULL || b == NULL || a->kind != b->kind || (a->refs != 0 && b->refs != 0)) {
		return false;
	}
	if (a->kind == KIND_STRUCT) {
		return struct_equal(a, b);
	}
	if (a->kind == KIND_ARRAY) {
		return array_equal(a, b);
	}
	if (schema_kind_is_scalar(a->kind)) {
		return a->type == b->type && value_scalar(a).num == value_scalar(b).num;
	}
	return a->type == b->type && a->n == b->n &&
	       memcmp(value_bytes(a), value_bytes(b), a->n) == 0;
}
