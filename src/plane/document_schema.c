/* SPDX-License-Identifier: Apache-2.0 */
#include "plane/document_schema.h"

#include <assert.h>
#include <limits.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/macro.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"

enum type {
	TYPE_OBJECT = 1 << 0,
	TYPE_ARRAY = 1 << 1,
	TYPE_STRING = 1 << 2,
	TYPE_INTEGER = 1 << 3,
	TYPE_BOOLEAN = 1 << 4,
	TYPE_ANY = 0
};

static const struct {
	const char *name, *text;
	unsigned bit;
} types[] = {
	{ "object", "an object", TYPE_OBJECT },	      { "array", "a list", TYPE_ARRAY },
	{ "string", "a string", TYPE_STRING },	      { "integer", "a whole number", TYPE_INTEGER },
	{ "boolean", "true or false", TYPE_BOOLEAN },
};

/* What a place must be. A node that only refers to another has `ref`. */
struct node {
	const char *ref; /* name in $defs, borrowed from the schema */
	struct node *target;
	unsigned types; /* TYPE_ANY: not said */
	int64_t minimum, maximum;
	size_t min_length, max_length, min_items, max_items;
	struct json_object *values; /* enum: borrowed; NULL: any */
	bool has_pattern;
	regex_t pattern;
	const char *pattern_text;
	struct map members; /* of struct node; owned */
	bool is_closed;	    /* no other members */
	VEC(const char *) required;
	struct node *items;
};

struct document_schema {
	struct json_object *text; /* what nodes borrow from */
	struct node *root;
	struct map defs; /* of struct node */
};

/* ---- compiling ---- */

static void node_free(void *p)
{
	struct node *n = p;

	if (n == NULL) {
		return;
	}
	if (n->has_pattern) {
		regfree(&n->pattern);
	}
	map_free_values(&n->members, node_free);
	vec_free(&n->required);
	node_free(n->items);
	free(n);
}

static struct node *node_new(const struct json_at *at, struct error *e);

static bool read_type_name(const struct json_at *at, struct node *n, struct error *e)
{
	const char *name;

	if (!json_as_str(at, &name, e)) {
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (strcmp(types[i].name, name) == 0) {
			n->types |= types[i].bit;
			return true;
		}
	}
	return json_error(at, e, "type \"%s\" is not supported", name);
}

static bool read_type(const struct json_at *at, struct node *n, struct error *e)
{
	if (json_object_is_type(at->value, json_type_string)) {
		return read_type_name(at, n, e);
	}
	if (!json_as_array(at, e)) {
		return false;
	}
	for (size_t i = 0; i < json_array_n(at); i++) {
		struct json_at item = json_item(at, i);
		if (!read_type_name(&item, n, e)) {
			return false;
		}
	}
	return true;
}

static bool read_pattern(const struct json_at *at, struct node *n, struct error *e)
{
	if (!json_as_str(at, &n->pattern_text, e)) {
		return false;
	}
	if (regcomp(&n->pattern, n->pattern_text, REG_EXTENDED | REG_NOSUB) != 0) {
		return json_error(at, e, "is no regular expression");
	}
	n->has_pattern = true;
	return true;
}

static bool read_members(const struct json_at *at, struct map *into, struct error *e)
{
	if (!json_as_object(at, e)) {
		return false;
	}
	json_object_object_foreach(at->value, key, value)
	{
		struct json_at member = { value, at, key, 0 };
		struct node *n = node_new(&member, e);
		if (n == NULL) {
			return false;
		}
		map_set(into, key, n);
	}
	return true;
}

static bool read_required(const struct json_at *at, struct node *n, struct error *e)
{
	if (!json_as_array(at, e)) {
		return false;
	}
	for (size_t i = 0; i < json_array_n(at); i++) {
		struct json_at item = json_item(at, i);
		const char *name;
		if (!json_as_str(&item, &name, e)) {
			return false;
		}
		vec_push(&n->required, name);
	}
	return true;
}

static bool read_size(const struct json_at *at, size_t *out, struct error *e)
{
	uint64_t v;

	if (!json_as_u64(at, &v, e)) {
		return false;
	}
	*out = v;
	return true;
}

static bool read_ref(const struct json_at *at, struct node *n, struct error *e)
{
	static const char begin[] = "#/$defs/";
	const char *text;

	if (!json_as_str(at, &text, e)) {
		return false;
	}
	if (strncmp(text, begin, sizeof(begin) - 1) != 0) {
		return json_error(at, e, "refers to \"%s\"; only %sNAME is supported", text, begin);
	}
	n->ref = text + sizeof(begin) - 1;
	return true;
}

static bool read_closed(const struct json_at *at, struct node *n, struct error *e)
{
	bool is_open;

	if (!json_as_bool(at, &is_open, e)) {
		return false;
	}
	n->is_closed = !is_open;
	return true;
}

static bool read_items(const struct json_at *at, struct node *n, struct error *e)
{
	n->items = node_new(at, e);
	return n->items != NULL;
}

/* One keyword of a schema. */
static bool read_keyword(const struct json_at *at, struct node *n, struct error *e)
{
	const char *k = at->key;

	if (strcmp(k, "description") == 0 || strcmp(k, "title") == 0 || strcmp(k, "$schema") == 0 ||
	    strcmp(k, "$defs") == 0) {
		return true;
	}
	if (strcmp(k, "type") == 0) {
		return read_type(at, n, e);
	}
	if (strcmp(k, "enum") == 0) {
		n->values = at->value;
		return json_as_array(at, e);
	}
	if (strcmp(k, "minimum") == 0) {
		return json_as_i64(at, &n->minimum, e);
	}
	if (strcmp(k, "maximum") == 0) {
		return json_as_i64(at, &n->maximum, e);
	}
	static const struct {
		const char *name;
		bool (*read)(const struct json_at *at, struct node *n, struct error *e);
	} readers[] = { { "$ref", read_ref },
			{ "additionalProperties", read_closed },
			{ "items", read_items },
			{ "pattern", read_pattern },
			{ "required", read_required } };
	for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
		if (strcmp(k, readers[i].name) == 0) {
			return readers[i].read(at, n, e);
		}
	}
	const struct {
		const char *name;
		size_t *into;
	} sizes[] = { { "minLength", &n->min_length },
		      { "maxLength", &n->max_length },
		      { "minItems", &n->min_items },
		      { "maxItems", &n->max_items } };
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		if (strcmp(k, sizes[i].name) == 0) {
			return read_size(at, sizes[i].into, e);
		}
	}
	return strcmp(k, "properties") == 0 ? read_members(at, &n->members, e)
					    : json_error(at, e, "is a keyword not supported");
}

static struct node *node_new(const struct json_at *at, struct error *e)
{
	struct node *n = mem_zalloc(sizeof(*n));

	n->minimum = INT64_MIN;
	n->maximum = INT64_MAX;
	n->max_length = n->max_items = SIZE_MAX;
	bool ok = json_as_object(at, e);
	if (ok) {
		json_object_object_foreach(at->value, key, value)
		{
			struct json_at keyword = { value, at, key, 0 };
			ok = ok && read_keyword(&keyword, n, e);
		}
	}
	if (!ok) {
		node_free(n);
		return NULL;
	}
	return n;
}

/* Finds what each node refers to. */
static bool link_node(struct document_schema *s, struct node *n, struct error *e)
{
	if (n->ref != NULL) {
		n->target = map_get(&s->defs, n->ref);
		if (n->target == NULL) {
			return error_set(e, ERROR_INVALID, "schema: no \"%s\" in $defs", n->ref);
		}
		if (n->target->ref != NULL) {
			return error_set(e, ERROR_INVALID, "schema: \"%s\" only refers on", n->ref);
		}
	}
	for (uint32_t i = 0; i < n->members.n_entries; i++) {
		if (n->members.entries[i].hash != 0 &&
		    !link_node(s, n->members.entries[i].value, e)) {
			return false;
		}
	}
	return n->items == NULL || link_node(s, n->items, e);
}

static bool compile(struct document_schema *s, struct error *e)
{
	struct json_at root = json_root(s->text), defs;

	s->root = node_new(&root, e);
	if (s->root == NULL || (json_has(&root, "$defs") && (!json_get(&root, "$defs", &defs, e) ||
							     !read_members(&defs, &s->defs, e)))) {
		return false;
	}
	for (uint32_t i = 0; i < s->defs.n_entries; i++) {
		if (s->defs.entries[i].hash != 0 && !link_node(s, s->defs.entries[i].value, e)) {
			return false;
		}
	}
	return link_node(s, s->root, e);
}

struct document_schema *document_schema_new(struct json_object *schema, struct error *e)
{
	struct document_schema *s = mem_zalloc(sizeof(*s));

	s->text = json_object_get(schema);
	if (!compile(s, e)) {
		document_schema_free(s);
		return NULL;
	}
	return s;
}

void document_schema_free(struct document_schema *s)
{
	if (s == NULL) {
		return;
	}
	node_free(s->root);
	map_free_values(&s->defs, node_free);
	json_object_put(s->text);
	free(s);
}

/* ---- checking ---- */

static bool check(const struct node *n, const struct json_at *at, struct error *e);

static unsigned type_of(struct json_object *v)
{
	switch (json_object_get_type(v)) {
	case json_type_object:
		return TYPE_OBJECT;
	case json_type_array:
		return TYPE_ARRAY;
	case json_type_string:
		return TYPE_STRING;
	case json_type_int:
		return TYPE_INTEGER;
	case json_type_boolean:
		return TYPE_BOOLEAN;
	case json_type_double:
	case json_type_null:
		break;
	}
	return TYPE_ANY;
}

static bool refuse_type(const struct node *n, const struct json_at *at, struct error *e)
{
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if ((n->types & types[i].bit) != 0) {
			buf_addf(&text, "%s%s", text.len > 0 ? " or " : "", types[i].text);
		}
	}
	json_error(at, e, "must be %s", text.data);
	buf_free(&text);
	return false;
}

static bool check_enum(const struct node *n, const struct json_at *at, struct error *e)
{
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < json_object_array_length(n->values); i++) {
		struct json_object *v = json_object_array_get_idx(n->values, i);
		if (json_object_get_type(v) == json_object_get_type(at->value) &&
		    json_object_equal(v, at->value)) {
			buf_free(&text);
			return true;
		}
		buf_addf(&text, "%s%s", i == 0 ? "" : ", ",
			 json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN));
	}
	json_error(at, e, "must be one of %s", text.data);
	buf_free(&text);
	return false;
}

static bool check_integer(const struct node *n, const struct json_at *at, struct error *e)
{
	int64_t v;
	uint64_t u;

	if (json_as_i64(at, &v, e)) {
		if (v >= n->minimum && v <= n->maximum) {
			return true;
		}
	} else if (n->maximum == INT64_MAX && json_as_u64(at, &u, e)) {
		return true;
	}
	return json_error(at, e, "must be a whole number from %lld to %lld", (long long)n->minimum,
			  (long long)n->maximum);
}

static bool check_string(const struct node *n, const struct json_at *at, struct error *e)
{
	const char *s;

	if (!json_as_str(at, &s, e)) {
		return false;
	}
	size_t length = strlen(s);
	if (length < n->min_length || length > n->max_length) {
		return json_error(at, e, "has %zu bytes; there may be %zu to %zu", length,
				  n->min_length, n->max_length);
	}
	if (n->has_pattern && regexec(&n->pattern, s, 0, NULL, 0) != 0) {
		return json_error(at, e, "must look like %s", n->pattern_text);
	}
	return true;
}

static bool check_array(const struct node *n, const struct json_at *at, struct error *e)
{
	size_t count = json_array_n(at);

	if (count < n->min_items || count > n->max_items) {
		return json_error(at, e, "has %zu items; there may be %zu to %zu", count,
				  n->min_items, n->max_items);
	}
	for (size_t i = 0; n->items != NULL && i < count; i++) {
		struct json_at item = json_item(at, i);
		if (!check(n->items, &item, e)) {
			return false;
		}
	}
	return true;
}

static bool check_object(const struct node *n, const struct json_at *at, struct error *e)
{
	for (size_t i = 0; i < n->required.n; i++) {
		if (!json_has(at, n->required.items[i])) {
			return json_error(at, e, "lacks \"%s\"", n->required.items[i]);
		}
	}
	json_object_object_foreach(at->value, key, value)
	{
		struct json_at member = { value, at, key, 0 };
		const struct node *of = map_get(&n->members, key);
		if (of == NULL && n->is_closed) {
			return json_error(&member, e, "is not known here");
		}
		if (of != NULL && !check(of, &member, e)) {
			return false;
		}
	}
	return true;
}

/* Recursion is as deep as the document, which its parser bounds. */
static bool check(const struct node *n, const struct json_at *at, struct error *e)
{
	if (n->target != NULL && !check(n->target, at, e)) {
		return false;
	}
	unsigned type = type_of(at->value);
	if (n->types != TYPE_ANY && (n->types & type) == 0) {
		return refuse_type(n, at, e);
	}
	if (n->values != NULL && !check_enum(n, at, e)) {
		return false;
	}
	switch (type) {
	case TYPE_OBJECT:
		return check_object(n, at, e);
	case TYPE_ARRAY:
		return check_array(n, at, e);
	case TYPE_STRING:
		return check_string(n, at, e);
	case TYPE_INTEGER:
		return check_integer(n, at, e);
	default:
		return true;
	}
}

bool document_schema_check(const struct document_schema *s, const struct json_at *document,
			   struct error *e)
{
	return check(s->root, document, e);
}

bool document_schema_check_part(const struct document_schema *s, const char *part,
				const struct json_at *value, struct error *e)
{
	const struct node *n = map_get(&s->defs, part);

	assert(n != NULL);
	return check(n, value, e);
}
