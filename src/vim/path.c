/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/path.h"

#include <stdio.h>
#include <string.h>

#include "base/number.h"

/* Where a parse stands: what the steps so far lead to. Names and keys are parts of the text, which
 * is copied when all is well: a path that a type does not have costs no memory. */
struct parse {
	const char *text;
	size_t len, at;
	struct path_step steps[PATH_MAX_STEPS];
	bool is_escaped[PATH_MAX_STEPS]; /* the step's key has backslashes in it */
	unsigned n;
	uint8_t since;
	/* Declared type of what is reached; T_none: known only when the value is there. */
	uint16_t type;
	uint8_t kind;
	bool is_array;
};

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

static bool refuse(const struct parse *p, struct error *e, const char *why)
{
	return error_set(e, ERROR_INVALID, "property path \"%.*s\": %s at byte %zu",
			 (int)(p->len > 100 ? 100 : p->len), p->text, why, p->at);
}

static void *out_of_memory(const struct parse *p, struct error *e)
{
	error_set(e, ERROR_LIMIT, "property path \"%.*s\": no memory left for the request",
		  (int)(p->len > 100 ? 100 : p->len), p->text);
	return NULL;
}

/* ---- what a name leads to ---- */

static void reach(struct parse *p, const struct schema_field *f)
{
	p->since = p->since > f->since ? p->since : f->since;
	p->kind = f->kind;
	p->is_array = (f->flags & FIELD_ARRAY) != 0;
	p->type = f->kind == KIND_ANY ? T_none : f->type;
}

static bool same_declaration(const struct schema_field *f, const struct schema_field *g)
{
	return f->kind == g->kind && f->type == g->type &&
	       ((f->flags ^ g->flags) & FIELD_ARRAY) == 0;
}

/* A field that types derived from p->type have. Where they differ, what it is stays open. */
static bool find_in_derived(struct parse *p, const struct path_step *s)
{
	const struct schema_field *first = NULL;
	uint16_t last = schema_type(p->type)->last;

	for (uint16_t t = (uint16_t)(p->type + 1); t <= last; t++) {
		int i = schema_field_find(t, s->name, s->name_len, 0);
		if (i < 0) {
			continue;
		}
		const struct schema_field *f = schema_field(t, (unsigned)i);
		if (first != NULL && !same_declaration(first, f)) {
			p->type = T_none;
			p->kind = KIND_ANY;
			p->is_array = false;
			return true;
		}
		first = f;
		t = schema_type(t)->last;
	}
	if (first == NULL) {
		return false;
	}
	reach(p, first);
	return true;
}

static bool find_field(struct parse *p, struct path_step *s, struct error *e)
{
	if (p->type == T_none) {
		s->type = T_none;
		p->kind = KIND_ANY;
		return true;
	}
	if (p->kind != KIND_STRUCT && p->kind != KIND_MANAGED) {
		return refuse(p, e, "nothing lies below");
	}
	int i = schema_field_find(p->type, s->name, s->name_len, 0);
	if (i >= 0) {
		s->type = p->type;
		s->field = (uint16_t)i;
		reach(p, schema_field(p->type, (unsigned)i));
		return true;
	}
	s->type = T_none;
	if (p->n > 0 && find_in_derived(p, s)) {
		return true;
	}
	return refuse(p, e, "there is no such property");
}

/* ---- index ---- */

/* Kind of the member `key` of a structure type or of what derives from it; KIND_NONE: none. */
static uint8_t key_kind(uint16_t type)
{
	uint16_t last = schema_type(type)->last;

	for (uint16_t t = type; t <= last; t++) {
		int i = schema_field_find(t, "key", 3, 0);
		if (i >= 0) {
			return schema_field(t, (unsigned)i)->kind;
		}
	}
	return KIND_NONE;
}

/* Reads what stands between quotes; p->at is behind the opening one. */
static bool read_quoted(struct parse *p, struct path_step *s, struct error *e)
{
	size_t from = p->at;

	while (p->at < p->len && p->text[p->at] != '"') {
		if (p->text[p->at] == '\\' && p->at + 1 < p->len) {
			p->is_escaped[p->n - 1] = true;
			p->at++;
		}
		p->at++;
	}
	if (p->at == p->len) {
		return refuse(p, e, "an index without its end");
	}
	s->key = p->text + from;
	s->key_len = (uint32_t)(p->at - from);
	p->at++;
	return true;
}

static bool read_key(struct parse *p, struct path_step *s, struct error *e)
{
	p->at++;
	if (p->at < p->len && p->text[p->at] == '"') {
		p->at++;
		if (!read_quoted(p, s, e)) {
			return false;
		}
	} else {
		size_t from = p->at;
		while (p->at < p->len && p->text[p->at] != ']') {
			p->at++;
		}
		s->key = p->text + from;
		s->key_len = (uint32_t)(p->at - from);
	}
	if (p->at == p->len || p->text[p->at] != ']' || s->key_len == 0) {
		return refuse(p, e, "an index that is empty or without its end");
	}
	p->at++;
	s->key_is_num = number_i64_n(s->key, s->key_len, &s->num);
	return true;
}

/* Is an index allowed here, and does it fit? */
static bool check_key(struct parse *p, struct path_step *s, struct error *e)
{
	if (p->type == T_none) {
		p->is_array = false;
		return true;
	}
	if (!p->is_array) {
		return refuse(p, e, "an index behind what is no array");
	}
	uint8_t kind = p->kind == KIND_STRUCT ? key_kind(p->type) : p->kind;
	if (kind == KIND_NONE) {
		return refuse(p, e, "an index into an array whose elements have no key");
	}
	if (kind >= KIND_BYTE && kind <= KIND_LONG) {
		if (!s->key_is_num) {
			return refuse(p, e, "an index that is no number");
		}
	} else {
		s->key_is_num = false;
	}
	p->is_array = false;
	return true;
}

/* ---- steps ---- */

static bool read_step(struct parse *p, struct error *e)
{
	size_t from = p->at;

	if (p->n == PATH_MAX_STEPS) {
		return error_set(e, ERROR_LIMIT, "property path \"%.*s\" has more than %d parts",
				 (int)(p->len > 100 ? 100 : p->len), p->text, PATH_MAX_STEPS);
	}
	if (p->is_array) {
		return refuse(p, e, "an array without an index");
	}
	while (p->at < p->len && is_name_char(p->text[p->at])) {
		p->at++;
	}
	if (p->at == from || p->at - from > UINT8_MAX) {
		return refuse(p, e, "a name is missing or too long");
	}
	struct path_step *s = &p->steps[p->n];
	p->is_escaped[p->n] = false;
	*s = (struct path_step){ .name = p->text + from, .name_len = (uint8_t)(p->at - from) };
	if (!find_field(p, s, e)) {
		return false;
	}
	p->n++;
	if (p->at < p->len && p->text[p->at] == '[') {
		return read_key(p, s, e) && check_key(p, s, e);
	}
	return true;
}

/* The text in the form that journals use: numbers bare, other indices in quotes. */
static char *canonical(struct arena *a, const struct parse *p, uint32_t *len)
{
	char *text = arena_alloc(a, p->len + (size_t)p->n * 24 + 1);
	size_t n = 0;

	if (text == NULL) {
		return NULL;
	}
	for (unsigned i = 0; i < p->n; i++) {
		const struct path_step *s = &p->steps[i];
		if (i > 0) {
			text[n++] = '.';
		}
		memcpy(text + n, s->name, s->name_len);
		n += s->name_len;
		if (s->key == NULL) {
			continue;
		}
		if (s->key_is_num) {
			n += (size_t)snprintf(text + n, 23, "[%lld]", (long long)s->num);
			continue;
		}
		text[n++] = '[';
		text[n++] = '"';
		memcpy(text + n, s->key, s->key_len);
		n += s->key_len;
		text[n++] = '"';
		text[n++] = ']';
	}
	text[n] = '\0';
	*len = (uint32_t)n;
	return text;
}

/* A key without the backslashes that are before what they protect. */
static bool unescape(struct arena *a, struct path_step *s)
{
	char *key = arena_alloc(a, s->key_len + 1);
	uint32_t n = 0;

	for (uint32_t i = 0; key != NULL && s->key != NULL && i < s->key_len; i++) {
		i += s->key[i] == '\\' && i + 1 < s->key_len;
		key[n++] = s->key[i];
	}
	s->key = key;
	s->key_len = n;
	return key != NULL;
}

/* From here on the steps are about a copy of the text. */
static bool take_text(struct arena *a, struct parse *p)
{
	char *text = arena_strndup(a, p->text, p->len);

	for (unsigned i = 0; text != NULL && i < p->n; i++) {
		struct path_step *s = &p->steps[i];
		s->name = text + (s->name - p->text);
		s->key = s->key == NULL ? NULL : text + (s->key - p->text);
		if (p->is_escaped[i] && !unescape(a, s)) {
			return false;
		}
	}
	p->text = text == NULL ? p->text : text;
	return text != NULL;
}

static struct path *finish(struct arena *a, struct parse *p, uint16_t managed, struct error *e)
{
	struct path *path = arena_alloc(a, sizeof(*path));
	struct path_step *steps = arena_calloc(a, p->n, sizeof(*steps));

	if (path == NULL || steps == NULL) {
		return out_of_memory(p, e);
	}
	if (!take_text(a, p)) {
		return out_of_memory(p, e);
	}
	memcpy(steps, p->steps, p->n * sizeof(*steps));
	path->asked = p->text;
	path->text = canonical(a, p, &path->len);
	path->type = managed;
	path->prop = (uint8_t)steps[0].field;
	path->since = p->since;
	path->n_steps = (uint8_t)p->n;
	path->steps = steps;
	return path->text == NULL ? out_of_memory(p, e) : path;
}

static bool parse(struct parse *p, struct error *e)
{
	if (p->len > PATH_MAX_BYTES) {
		return error_set(e, ERROR_LIMIT, "property path \"%.40s…\" is longer than %d bytes",
				 p->text, PATH_MAX_BYTES);
	}
	if (memchr(p->text, '\0', p->len) != NULL) {
		return error_set(e, ERROR_INVALID, "property path \"%s\": a NUL byte in it",
				 p->text);
	}
	while (read_step(p, e)) {
		if (p->at == p->len) {
			return true;
		}
		if (p->text[p->at] != '.') {
			return refuse(p, e, "neither a point nor an index");
		}
		p->at++;
	}
	return false;
}

/* The steps, which take some room, are filled as they are read. */
static void parse_begin(struct parse *p, uint16_t managed, const char *text, size_t len)
{
	p->text = text;
	p->len = len;
	p->at = 0;
	p->n = 0;
	p->since = 0;
	p->type = managed;
	p->kind = KIND_MANAGED;
	p->is_array = false;
}

struct path *path_parse(struct arena *a, uint16_t managed, const char *text, size_t len,
			struct error *e)
{
	struct parse p;

	parse_begin(&p, managed, text, len);
	return parse(&p, e) ? finish(a, &p, managed, e) : NULL;
}

bool path_is_possible(uint16_t managed, const char *text, size_t len, struct error *e)
{
	struct parse p;

	parse_begin(&p, managed, text, len);
	return parse(&p, e);
}

struct path *path_of_property(struct arena *a, uint16_t managed, unsigned prop)
{
	const struct schema_field *f = schema_field(managed, prop);
	struct path *path = arena_alloc(a, sizeof(*path));
	struct path_step *step = arena_alloc(a, sizeof(*step));

	if (path == NULL || step == NULL) {
		return NULL;
	}
	*step = (struct path_step){ .name = schema_field_name(f),
				    .name_len = f->name_len,
				    .type = managed,
				    .field = (uint16_t)prop };
	*path = (struct path){ .asked = schema_field_name(f),
			       .text = schema_field_name(f),
			       .len = f->name_len,
			       .type = managed,
			       .prop = (uint8_t)prop,
			       .since = f->since,
			       .n_steps = 1,
			       .steps = step };
	return path;
}

/* ---- reading ---- */

static bool text_is(const struct value *v, const struct path_step *s)
{
	return v != NULL && (v->kind == KIND_STRING || v->kind == KIND_REF) &&
	       value_len(v) == s->key_len && memcmp(value_bytes(v), s->key, s->key_len) == 0;
}

static bool struct_has_key(const struct value *item, const struct path_step *s)
{
	int i = schema_field_find(item->type, "key", 3, 0);
	union slot slot;

	if (i < 0 || !value_get(item, (unsigned)i, &slot)) {
		return false;
	}
	uint8_t kind = schema_field(item->type, (unsigned)i)->kind;
	if (kind >= KIND_BYTE && kind <= KIND_LONG) {
		return s->key_is_num && slot.num == s->num;
	}
	return !schema_kind_is_scalar(kind) && text_is(slot.value, s);
}

static bool number_is(unsigned kind, uint16_t type, int64_t num, const struct path_step *s)
{
	if (kind == KIND_ENUM) {
		return schema_enum_find(type, s->key, s->key_len) == num;
	}
	return kind >= KIND_BYTE && kind <= KIND_LONG && s->key_is_num && num == s->num;
}

static const struct value *element(const struct value *array, const struct path_step *s,
				   struct arena *a)
{
	if (array == NULL || array->kind != KIND_ARRAY) {
		return NULL;
	}
	for (size_t i = 0; i < array->n; i++) {
		if (schema_kind_is_scalar(array->item)) {
			union slot num = value_at(array, i);
			if (number_is(array->item, array->type, num.num, s)) {
				return value_new_scalar(a, array->type, num);
			}
			continue;
		}
		const struct value *item = value_item(array, i);
		if (item->kind == KIND_STRUCT ? struct_has_key(item, s) : text_is(item, s)) {
			return item;
		}
	}
	return NULL;
}

/* empty: a list that is unset is one without entries. */
static const struct value *member(const struct value *v, const struct path_step *s, bool empty,
				  struct arena *a)
{
	if (v->kind != KIND_STRUCT) {
		return NULL;
	}
	unsigned field = s->field;
	if (s->type == T_none || !schema_is_a(v->type, s->type)) {
		int i = schema_field_find(v->type, s->name, s->name_len, 0);
		if (i < 0) {
			return NULL;
		}
		field = (unsigned)i;
	}
	union slot slot;
	const struct schema_field *f = schema_field(v->type, field);
	if (!value_get(v, field, &slot)) {
		return empty && (f->flags & FIELD_ARRAY) ? value_new_array(a, f->type) : NULL;
	}
	if (schema_kind_is_scalar(f->kind) && !(f->flags & FIELD_ARRAY)) {
		return value_new_scalar(a, f->type, slot);
	}
	return slot.value;
}

const struct value *path_eval(const struct path *p, struct object *o, struct arena *a)
{
	const struct value *v = object_get(o, p->prop, a);

	for (unsigned i = 0; v != NULL && i < p->n_steps; i++) {
		const struct path_step *s = &p->steps[i];
		if (i > 0) {
			v = member(v, s, p->type == T_VirtualMachine, a);
		}
		if (s->key != NULL) {
			v = element(v, s, a);
		}
	}
	return v;
}

/* ---- comparing ---- */

bool path_is_below(const char *below, size_t n_below, const char *above, size_t n_above)
{
	return n_below >= n_above && memcmp(below, above, n_above) == 0 &&
	       (n_below == n_above || below[n_above] == '.' || below[n_above] == '[');
}

bool path_overlaps(const char *one, size_t n_one, const char *other, size_t n_other)
{
	return n_one < n_other ? path_is_below(other, n_other, one, n_one)
			       : path_is_below(one, n_one, other, n_other);
}
