/* SPDX-License-Identifier: Apache-2.0 */
/* Elements to values, as the schema's tables say. */
#include "vim/soap_reader.h"

#include <string.h>

/* A draft in progress is the reader's own; only the public type of the slot says const. */
static struct value *draft_of(const struct value *v)
{
	return (struct value *)(uintptr_t)v;
}

uint16_t element_ref_type(struct reader *r, const struct schema_field *decl,
			  const struct element *el)
{
	uint16_t declared =
		schema_type_kind(decl->type) == KIND_MANAGED ? decl->type : T_ManagedObject;
	if (el->type == NULL) {
		return declared;
	}
	uint16_t named = schema_type_find(el->type, el->type_len);
	if (named == T_none || schema_type_kind(named) != KIND_MANAGED) {
		if (r->lenient) {
			return declared;
		}
		reader_fail(r, ERROR_INVALID,
			    "element \"%s\": \"%.*s\" is not a managed object type", el->name,
			    (int)MIN(el->type_len, (size_t)60), el->type);
		return T_none;
	}
	if (!schema_is_a(named, declared) && !schema_is_a(declared, named)) {
		reader_fail(r, ERROR_INVALID, "element \"%s\" refers to a \"%s\", not to a \"%s\"",
			    el->name, schema_type_name(named), schema_type_name(declared));
		return T_none;
	}
	return named;
}

static bool fail_type(struct reader *r, const struct schema_field *decl, const struct element *el)
{
	return reader_fail(r, ERROR_INVALID, "element \"%s\" has type \"%.*s\", not a \"%s\"",
			   el->name, (int)MIN(el->xsi_type_len, (size_t)60), el->xsi_type,
			   schema_type_name(decl->type));
}

static bool kind_is_number(unsigned kind)
{
	return kind >= KIND_BYTE && kind <= KIND_DOUBLE;
}

/* Does a leaf whose xsi:type names `type` fit where `decl` is declared? Numbers fit each other (the
 * text decides), strings take enumerations. */
static bool leaf_fits(const struct schema_field *decl, uint16_t type)
{
	unsigned kind = schema_type_kind(type);

	if (decl->kind == kind) {
		return kind != KIND_ENUM || decl->type == type;
	}
	return (kind_is_number(kind) && kind_is_number(decl->kind)) ||
	       (decl->kind == KIND_STRING && kind == KIND_ENUM) ||
	       (decl->kind == KIND_ENUM && kind == KIND_STRING);
}

static bool open_struct(struct reader *r, uint16_t type, struct frame *f)
{
	f->kind = FRAME_STRUCT;
	f->type = type;
	f->value = value_new(r->arena, type);
	return f->value != NULL || reader_fail_memory(r);
}

static bool open_array(struct reader *r, uint16_t type, struct frame *f)
{
	f->kind = FRAME_ARRAY;
	f->type = type == T_ManagedObjectReference ? T_ManagedObject : type;
	f->value = value_new_array(r->arena, f->type);
	return f->value != NULL || reader_fail_memory(r);
}

static bool open_leaf(struct reader *r, unsigned kind, uint16_t type, const struct element *el,
		      struct frame *f)
{
	f->kind = FRAME_LEAF;
	f->leaf_kind = (uint8_t)kind;
	f->type = type;
	if (kind == KIND_REF) {
		f->type = element_ref_type(r, &(struct schema_field){ .type = type }, el);
		return f->type != T_none;
	}
	return true;
}

/* An element declared anyType: xsi:type says all. */
static bool open_any(struct reader *r, const struct element *el, struct frame *f)
{
	f->boxed = true;
	if (el->xsi_type == NULL) {
		return reader_fail(r, ERROR_INVALID, "element \"%s\" needs an xsi:type", el->name);
	}
	uint16_t type = schema_type_find(el->xsi_type, el->xsi_type_len);
	if (type == T_none) {
		type = schema_array_find(el->xsi_type, el->xsi_type_len);
		if (type != T_none) {
			return open_array(r, type, f);
		}
	}
	unsigned kind = schema_type_kind(type);
	if (kind == KIND_STRUCT) {
		return open_struct(r, type, f);
	}
	if (type != T_none && kind != KIND_ANY && kind != KIND_MANAGED) {
		return open_leaf(r, kind, type, el, f);
	}
	if (r->lenient) {
		f->kind = FRAME_SKIP;
		return true;
	}
	return reader_fail(r, ERROR_INVALID, "element \"%s\" has unknown type \"%.*s\"", el->name,
			   (int)MIN(el->xsi_type_len, (size_t)60), el->xsi_type);
}

bool element_open(struct reader *r, const struct schema_field *decl, const struct element *el,
		  struct frame *f)
{
	f->decl = *decl;
	f->nil = el->nil;
	if (el->nil) {
		f->kind = FRAME_SKIP;
		return true;
	}
	if (decl->kind == KIND_ANY) {
		return open_any(r, el, f);
	}
	uint16_t type = T_none;
	if (el->xsi_type != NULL) {
		type = schema_type_find(el->xsi_type, el->xsi_type_len);
	}
	if (decl->kind == KIND_STRUCT) {
		if (el->xsi_type == NULL || (type == T_none && r->lenient)) {
			type = decl->type;
		}
		if (schema_type_kind(type) != KIND_STRUCT || !schema_is_a(type, decl->type)) {
			return fail_type(r, decl, el);
		}
		return open_struct(r, type, f);
	}
	if (el->xsi_type != NULL && !leaf_fits(decl, type) && !r->lenient) {
		return fail_type(r, decl, el);
	}
	return open_leaf(r, decl->kind, decl->type, el, f);
}

/* What a structure is called in messages: arguments by their method's name. */
static const char *struct_name(uint16_t type)
{
	const char *name = schema_type_name(type), *dot = strchr(name, '.');

	return dot == NULL ? name : dot + 1;
}

bool element_open_child(struct reader *r, struct frame *parent, const struct element *el,
			struct frame *f)
{
	if (parent->kind == FRAME_ARRAY) {
		struct schema_field item = { .type = parent->type,
					     .kind = (uint8_t)parent->value->item };
		return element_open(r, &item, el, f);
	}
	int i = schema_field_find(parent->type, el->name, el->name_len, parent->hint);
	if (i < 0) {
		if (r->lenient) {
			f->kind = FRAME_SKIP;
			return true;
		}
		return reader_fail(r, ERROR_INVALID, "unknown element \"%.60s\" in \"%s\"",
				   el->name, struct_name(parent->type));
	}
	const struct schema_field *decl = schema_field(parent->type, (unsigned)i);
	if (!(decl->flags & FIELD_ARRAY) && value_has(parent->value, (unsigned)i)) {
		return reader_fail(r, ERROR_INVALID, "element \"%s\" appears twice in \"%s\"",
				   el->name, struct_name(parent->type));
	}
	parent->hint = (unsigned)i + !(decl->flags & FIELD_ARRAY);
	f->index = (unsigned)i;
	return element_open(r, decl, el, f);
}

/*
 * A field that must be there and is not. Arrays never count: one without elements looks like an
 * absent one. Nor do fields that came later than their structure: older clients do not know them.
 */
static const struct schema_field *missing_field(const struct value *v)
{
	const struct schema_type *t = schema_type(value_type(v));

	for (unsigned i = 0; i < t->n_fields; i++) {
		const struct schema_field *f = &schema_fields[t->first_field + i];
		if (!(f->flags & (FIELD_OPTIONAL | FIELD_ARRAY)) && f->since <= t->since &&
		    !value_has(v, i)) {
			return f;
		}
	}
	return NULL;
}

bool element_close(struct reader *r, struct frame *f, union slot *out)
{
	if (f->kind == FRAME_SKIP) {
		return false;
	}
	if (f->kind == FRAME_STRUCT || f->kind == FRAME_ARRAY) {
		const struct schema_field *missing =
			f->kind == FRAME_STRUCT && !r->lenient ? missing_field(f->value) : NULL;
		if (missing != NULL) {
			return reader_fail(r, ERROR_INVALID, "\"%s\" lacks \"%s\"",
					   struct_name(f->type), schema_field_name(missing));
		}
		out->value = f->value;
		return true;
	}
	if (!scalar_read(r, f, out)) {
		return false;
	}
	if (f->boxed && schema_kind_is_scalar(f->leaf_kind)) {
		out->value = value_new_scalar(r->arena, f->type, *out);
		return out->value != NULL || reader_fail_memory(r);
	}
	return true;
}

bool array_push(struct reader *r, struct value *array, union slot s)
{
	bool ok;

	if (array->item == KIND_FLOAT || array->item == KIND_DOUBLE) {
		ok = value_push_real(r->arena, array, s.real);
	} else if (schema_kind_is_scalar(array->item)) {
		ok = value_push_num(r->arena, array, s.num);
	} else {
		ok = value_push(r->arena, array, s.value);
	}
	return ok || reader_fail_memory(r);
}

bool element_add_child(struct reader *r, struct frame *parent, const struct frame *child,
		       union slot s)
{
	if (parent->kind == FRAME_ARRAY) {
		return array_push(r, parent->value, s);
	}
	if (!(child->decl.flags & FIELD_ARRAY)) {
		value_set_slot(parent->value, child->index, s);
		return true;
	}
	struct value *array = draft_of(value_get_value(parent->value, child->index));
	if (array == NULL) {
		array = value_new_array(r->arena, child->decl.type);
		if (array == NULL) {
			return reader_fail_memory(r);
		}
		value_set_slot(parent->value, child->index, (union slot){ .value = array });
	}
	return array_push(r, array, s);
}
