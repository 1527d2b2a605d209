/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/soap_sample.h"

#include <stdio.h>

#include "base/macro.h"

uint64_t sample_random(struct sample *s)
{
	s->state ^= s->state << 13;
	s->state ^= s->state >> 7;
	s->state ^= s->state << 17;
	return s->state;
}

static struct value *sample_string(struct sample *s)
{
	static const char *const texts[] = { "",
					     "a",
					     "plain text",
					     "<&>\"'",
					     " blank ",
					     "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\x9F",
					     "line\nline\ttab",
					     "carriage\rreturn",
					     "]]>",
					     "&amp;",
					     "vm-1" };
	return value_new_str(s->arena, texts[sample_random(s) % ARRAY_LEN(texts)]);
}

static struct value *sample_binary(struct sample *s)
{
	uint64_t bytes = sample_random(s);

	return value_new_binary(s->arena, &bytes, sample_random(s) % 9);
}

/* A type derived from `base` (or itself) that the version knows. */
static uint16_t sample_subtype(struct sample *s, uint16_t base)
{
	unsigned n = schema_types[base].last - base + 1U;
	uint16_t type = (uint16_t)(base + sample_random(s) % n);

	return schema_types[type].since <= s->version ? type : base;
}

static struct value *sample_ref(struct sample *s, uint16_t type)
{
	char id[32];

	if (schema_type_kind(type) != KIND_MANAGED) {
		type = T_ManagedObject;
	}
	snprintf(id, sizeof(id), "obj-%u", (unsigned)(sample_random(s) % 1000));
	return value_new_ref(s->arena, sample_subtype(s, type), id);
}

static union slot sample_scalar(struct sample *s, unsigned kind, uint16_t type)
{
	uint64_t x = sample_random(s) >> (sample_random(s) % 64);

	switch (kind) {
	case KIND_BOOL:
		return (union slot){ .num = (int64_t)(x & 1) };
	case KIND_BYTE:
		return (union slot){ .num = (int8_t)x };
	case KIND_SHORT:
		return (union slot){ .num = (int16_t)x };
	case KIND_INT:
		return (union slot){ .num = (int32_t)x };
	case KIND_FLOAT:
		return (union slot){ .real = (double)((float)(int32_t)x / 7.0F) };
	case KIND_DOUBLE:
		return (union slot){ .real = (double)(int64_t)x / 7.0 };
	case KIND_DATETIME: /* 0001 … 9999 */
		return (union slot){ .num = (int64_t)(x % 315537897599999999U) -
					    62135596800000000 };
	case KIND_ENUM:
		return (union slot){ .num = (int64_t)(x % schema_types[type].n_fields) };
	default:
		return (union slot){ .num = (int64_t)x };
	}
}

static struct value *sample_any(struct sample *s, unsigned depth)
{
	static const uint16_t types[] = { T_boolean, T_byte,	 T_short,
					  T_int,     T_long,	 T_float,
					  T_double,  T_dateTime, T_VirtualMachinePowerState };
	uint16_t type = types[sample_random(s) % ARRAY_LEN(types)];
	struct value *array;

	switch (sample_random(s) % (depth == 0 ? 4 : 7)) {
	case 0:
		return sample_string(s);
	case 1:
		return sample_ref(s, T_ManagedObject);
	case 2:
		return sample_binary(s);
	case 3:
		return value_new_scalar(s->arena, type,
					sample_scalar(s, schema_type_kind(type), type));
	case 4:
		return sample_struct(s, sample_subtype(s, T_VirtualDevice), depth - 1);
	case 5:
		array = value_new_array(s->arena, T_string);
		value_push(s->arena, array, sample_string(s));
		return array;
	default:
		array = value_new_array(s->arena, T_OptionType);
		for (uint64_t n = sample_random(s) % 3; n > 0; n--) {
			value_push(s->arena, array,
				   sample_struct(s, sample_subtype(s, T_OptionType), depth - 1));
		}
		return array;
	}
}

static union slot sample_one(struct sample *s, const struct schema_field *f, unsigned depth)
{
	switch (f->kind) {
	case KIND_STRING:
		return (union slot){ .value = sample_string(s) };
	case KIND_BINARY:
		return (union slot){ .value = sample_binary(s) };
	case KIND_REF:
		return (union slot){ .value = sample_ref(s, f->type) };
	case KIND_STRUCT:
		if (depth > 0) { /* else required structures might never end */
			return (union slot){ .value = sample_struct(s, sample_subtype(s, f->type),
								    depth) };
		}
		return (union slot){ .value = sample_struct(s, f->type, 0) };
	case KIND_ANY:
		return (union slot){ .value = sample_any(s, depth) };
	default:
		return sample_scalar(s, f->kind, f->type);
	}
}

static union slot sample_array(struct sample *s, const struct schema_field *f, unsigned depth)
{
	struct value *array = value_new_array(s->arena, f->type);

	for (uint64_t n = 1 + sample_random(s) % 3; n > 0; n--) {
		union slot x = sample_one(s, f, depth);
		if (f->kind == KIND_FLOAT || f->kind == KIND_DOUBLE) {
			value_push_real(s->arena, array, x.real);
		} else if (schema_kind_is_scalar(f->kind)) {
			value_push_num(s->arena, array, x.num);
		} else {
			value_push(s->arena, array, x.value);
		}
	}
	return (union slot){ .value = array };
}

struct value *sample_struct(struct sample *s, uint16_t type, unsigned depth)
{
	struct value *v = value_new(s->arena, type);
	const struct schema_type *t = schema_type(type);

	for (unsigned i = 0; i < t->n_fields; i++) {
		const struct schema_field *f = schema_field(type, i);
		bool nested = f->kind == KIND_STRUCT || f->kind == KIND_ANY;
		bool needed = !(f->flags & (FIELD_OPTIONAL | FIELD_ARRAY));
		if (f->since > s->version || schema_types[f->type].since > s->version ||
		    (!needed && nested && depth == 0) || (!needed && sample_random(s) % 3 == 0)) {
			continue;
		}
		unsigned below = depth == 0 ? 0 : depth - 1;
		value_set_slot(v, i,
			       f->flags & FIELD_ARRAY ? sample_array(s, f, below)
						      : sample_one(s, f, below));
	}
	return v;
}
