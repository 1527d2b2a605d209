/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/schema.h"

#include <string.h>

#include "vim/schema_tables.h"

static uint32_t name_hash(const char *name, size_t len)
{
	uint32_t h = 2166136261U;

	for (size_t i = 0; i < len; i++) {
		h = (h ^ (uint8_t)name[i]) * 16777619U;
	}
	return h;
}

static bool name_is(uint32_t offset, const char *name, size_t len)
{
	const char *s = schema_strings + offset;

	return strncmp(s, name, len) == 0 && s[len] == '\0';
}

uint16_t schema_type_find(const char *name, size_t len)
{
	uint32_t i = name_hash(name, len) & schema_type_hash_mask;

	for (; schema_type_hash[i] != 0; i = (i + 1) & schema_type_hash_mask) {
		if (name_is(schema_types[schema_type_hash[i]].name, name, len)) {
			return schema_type_hash[i];
		}
	}
	return T_none;
}

uint16_t schema_array_find(const char *name, size_t len)
{
	if (len <= 7 || strncmp(name, "ArrayOf", 7) != 0) {
		return T_none;
	}
	name += 7;
	len -= 7;
	uint32_t i = name_hash(name, len) & schema_array_hash_mask;
	for (; schema_array_hash[i] != 0; i = (i + 1) & schema_array_hash_mask) {
		if (name_is(schema_array_names[schema_array_hash[i]], name, len)) {
			return schema_array_hash[i];
		}
	}
	return T_none;
}

const char *schema_array_name(uint16_t type)
{
	return schema_strings + schema_array_names[type];
}

int schema_field_find(uint16_t type, const char *name, size_t len, unsigned hint)
{
	const struct schema_type *t = &schema_types[type];

	if (t->kind != KIND_STRUCT && t->kind != KIND_MANAGED) {
		return -1;
	}
	unsigned i = hint < t->n_fields ? hint : 0;
	for (unsigned n = 0; n < t->n_fields; n++) {
		const struct schema_field *f = &schema_fields[t->first_field + i];
		if (f->name_len == len && schema_strings[f->name] == name[0] &&
		    memcmp(schema_strings + f->name, name, len) == 0) {
			return (int)i;
		}
		i = i + 1 < t->n_fields ? i + 1 : 0;
	}
	return -1;
}

int schema_enum_find(uint16_t type, const char *name, size_t len)
{
	const struct schema_type *t = &schema_types[type];

	if (t->kind != KIND_ENUM) {
		return -1;
	}
	for (unsigned i = 0; i < t->n_fields; i++) {
		if (name_is(schema_enum_names[t->first_field + i], name, len)) {
			return (int)i;
		}
	}
	return -1;
}

/* The first method of that wire name; the others follow by `next`. */
static uint16_t method_first(const char *name, size_t len)
{
	uint32_t i = name_hash(name, len) & schema_method_hash_mask;

	for (; schema_method_hash[i] != 0; i = (i + 1) & schema_method_hash_mask) {
		if (name_is(schema_methods[schema_method_hash[i]].name, name, len)) {
			return schema_method_hash[i];
		}
	}
	return M_none;
}

uint16_t schema_method_find(uint16_t managed, const char *name, size_t len)
{
	uint16_t m = method_first(name, len);

	while (m != M_none && !schema_is_a(managed, schema_methods[m].managed)) {
		m = schema_methods[m].next;
	}
	return m;
}

uint16_t schema_method_find_any(uint16_t managed, const char *name, size_t len)
{
	uint16_t first = method_first(name, len), m = first;

	while (m != M_none && !schema_is_a(schema_methods[m].managed, managed)) {
		m = schema_methods[m].next;
	}
	return m != M_none ? m : first;
}

/*
 * Versions are numbers joined by dots, the last of them perhaps followed by an update mark
 * ("2.5u2", "2.5u2s"). Reads the next number from *s; a mark counts as a further number. End: 0.
 */
static uint32_t version_part(const char **s, const char *end)
{
	uint32_t n = 0;

	if (*s < end && (**s == '.' || **s == 'u')) {
		(*s)++;
	}
	if (*s < end && **s == 's') {
		(*s)++;
		return 1;
	}
	for (; *s < end && **s >= '0' && **s <= '9' && n < 100000; (*s)++) {
		n = n * 10 + (uint32_t)(**s - '0');
	}
	return n;
}

static int version_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
	const char *a_end = a + a_len, *b_end = b + b_len;

	for (int i = 0; i < 6; i++) {
		uint32_t x = version_part(&a, a_end), y = version_part(&b, b_end);
		if (x != y) {
			return x < y ? -1 : 1;
		}
	}
	return 0;
}

uint8_t schema_version_parse(const char *text, size_t len)
{
	if (text == NULL || len == 0 || len > 16 || text[0] < '0' || text[0] > '9') {
		return schema_version_served;
	}
	uint8_t best = 0;
	for (uint8_t i = 0; i <= schema_version_served; i++) {
		const char *known = schema_strings + schema_version_names[i];
		if (version_compare(known, strlen(known), text, len) <= 0) {
			best = i;
		}
	}
	return best;
}

const char *schema_version_name(uint8_t version)
{
	return version < schema_n_versions ? schema_strings + schema_version_names[version] : "";
}

uint8_t schema_version_count(void)
{
	return schema_n_versions;
}
