/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/spec.h"

#include <string.h>

#include "base/macro.h"
#include "vim/fault.h"

struct via {
	struct via *next;
	uint16_t type;
	struct path *path; /* NULL: that type has no such property */
};

/* A spec in the making. */
struct making {
	struct spec *s;
	struct refusal *r;
	const char **names; /* of each choice that is a reference yet to be resolved; else NULL */
	uint32_t scope;
};

static bool refuse_argument(struct making *m, const char *property, const char *why)
{
	m->r->fault = fault_invalid_argument(m->r->arena, property);
	return error_set(&m->r->e, ERROR_INVALID, "%s: %s", property, why);
}

static bool refuse_type(struct making *m, const char *name)
{
	struct value *fault = fault_new(m->r->arena, T_InvalidType);

	value_set_str(m->r->arena, fault, F_InvalidType_argument, name);
	m->r->fault = fault;
	return error_set(&m->r->e, ERROR_INVALID, "\"%.100s\" is not the name of a managed type",
			 name);
}

static bool refuse_property(struct making *m, const char *name)
{
	struct value *fault = fault_new(m->r->arena, T_InvalidProperty);

	value_set_str(m->r->arena, fault, F_InvalidProperty_name, name);
	m->r->fault = fault;
	return false; /* the text is path_parse()'s */
}

/* The managed type of that name. */
static bool managed_type(struct making *m, const char *name, uint16_t *type)
{
	uint16_t t = name == NULL ? T_none : schema_type_find(name, strlen(name));

	if (t == T_none || schema_type_kind(t) != KIND_MANAGED) {
		return refuse_type(m, name == NULL ? "" : name);
	}
	*type = t;
	return true;
}

/* May objects of that type, or of one derived from it, have the property? */
static bool check_path(struct making *m, uint16_t type, const struct value *path)
{
	const char *text = value_bytes(path);
	size_t len = value_len(path);

	if (path_is_possible(type, text, len, &m->r->e)) {
		return true;
	}
	struct error e;
	for (uint16_t t = (uint16_t)(type + 1); t <= schema_type(type)->last; t++) {
		if (path_is_possible(t, text, len, &e)) {
			return true;
		}
	}
	return refuse_property(m, text);
}

/* ---- property sets ---- */

static bool make_set(struct making *m, uint32_t i, size_t *n_paths)
{
	const struct value *set = value_item(m->s->sets, i);
	const struct value *paths = value_get_value(set, F_PropertySpec_pathSet);
	size_t n = value_count(paths);

	if (!managed_type(m, value_get_str(set, F_PropertySpec_type), &m->s->set_types[i])) {
		return false;
	}
	if (value_get_bool(set, F_PropertySpec_all, false)) {
		return true;
	}
	*n_paths += n;
	m->s->n_paths = (uint32_t)*n_paths;
	if (*n_paths > SPEC_MAX_PATHS) {
		return refuse_argument(m, "propSet.pathSet", "more than 1000 property paths");
	}
	for (size_t j = 0; j < n; j++) {
		if (!check_path(m, m->s->set_types[i], value_item(paths, j))) {
			return false;
		}
	}
	return true;
}

static bool make_sets(struct making *m)
{
	struct spec *s = m->s;
	size_t n_paths = 0;

	s->sets = value_get_value(s->value, F_PropertyFilterSpec_propSet);
	s->n_sets = (uint32_t)value_count(s->sets);
	if (s->n_sets > SPEC_MAX_PROPERTY_SETS) {
		return refuse_argument(m, "propSet", "more than 256 property sets");
	}
	s->set_types = arena_calloc(s->arena, s->n_sets, sizeof(*s->set_types));
	for (uint32_t i = 0; i < s->n_sets; i++) {
		if (!make_set(m, i, &n_paths)) {
			return false;
		}
	}
	return true;
}

/* ---- traversals ---- */

/* Counts what a selectSet holds, so that arrays can be made before they are filled. */
static bool count_set(struct making *m, const struct value *set, unsigned depth)
{
	size_t n = value_count(set);

	if (depth > SPEC_MAX_DEPTH) {
		return refuse_argument(m, "objectSet.selectSet", "nested deeper than 32");
	}
	for (size_t i = 0; i < n; i++) {
		const struct value *item = value_item(set, i);
		m->s->n_choices++;
		if (m->s->n_choices > 2 * SPEC_MAX_TRAVERSALS ||
		    m->s->n_traversals >= SPEC_MAX_TRAVERSALS) {
			return refuse_argument(m, "objectSet.selectSet",
					       "more than 1024 traversals");
		}
		if (!value_is_a(item, T_TraversalSpec)) {
			continue;
		}
		m->s->n_traversals++;
		const struct value *below = value_get_value(item, F_TraversalSpec_selectSet);
		if (!count_set(m, below, depth + 1)) {
			return false;
		}
	}
	return true;
}

static bool make_span(struct making *m, const struct value *set, struct span *out);

static bool make_traversal(struct making *m, const struct value *v, uint16_t *index)
{
	*index = (uint16_t)m->s->n_traversals++;
	struct traversal *t = &m->s->traversals[*index];

	t->skip = value_get_bool(v, F_TraversalSpec_skip, false);
	t->name = value_get_str(v, F_SelectionSpec_name);
	t->path = value_get_value(v, F_TraversalSpec_path);
	t->scope = m->scope;
	if (t->path == NULL) {
		return refuse_argument(m, "objectSet.selectSet.path", "it is missing");
	}
	return managed_type(m, value_get_str(v, F_TraversalSpec_type), &t->type) &&
	       check_path(m, t->type, t->path) &&
	       make_span(m, value_get_value(v, F_TraversalSpec_selectSet), &t->next);
}

/* Recursion is bounded: count_set() was here before. */
static bool make_span(struct making *m, const struct value *set, struct span *out)
{
	struct spec *s = m->s;
	struct span span = { .first = s->n_choices, .n = (uint32_t)value_count(set) };

	s->n_choices += span.n;
	for (uint32_t i = 0; i < span.n; i++) {
		const struct value *item = value_item(set, i);
		uint32_t at = span.first + i;
		if (value_is_a(item, T_TraversalSpec)) {
			if (!make_traversal(m, item, &s->choices[at])) {
				return false;
			}
			continue;
		}
		m->names[at] = value_get_str(item, F_SelectionSpec_name);
		if (m->names[at] == NULL) {
			return refuse_argument(m, "objectSet.selectSet.name",
					       "a reference without a name");
		}
	}
	*out = span;
	return true;
}

/* A name means the traversal of the same object specification, else the first of that name. */
static bool resolve(struct making *m, uint32_t at, uint32_t scope)
{
	const struct spec *s = m->s;
	const char *name = m->names[at];
	uint32_t found = UINT32_MAX;

	for (uint32_t i = 0; i < s->n_traversals; i++) {
		const struct traversal *t = &s->traversals[i];
		if (t->name == NULL || strcmp(t->name, name) != 0) {
			continue;
		}
		if (found == UINT32_MAX || t->scope == scope) {
			found = i;
		}
		if (t->scope == scope) {
			break;
		}
	}
	if (found == UINT32_MAX) {
		m->r->fault = fault_invalid_argument(m->r->arena, "objectSet.selectSet.name");
		return error_set(&m->r->e, ERROR_INVALID,
				 "selection \"%.100s\" is named but not defined", name);
	}
	s->choices[at] = (uint16_t)found;
	return true;
}

/* Scopes of choices ascend with their places, as traversals and roots are made in that order. */
static bool resolve_all(struct making *m, const uint32_t *scopes)
{
	for (uint32_t i = 0; i < m->s->n_choices; i++) {
		if (m->names[i] != NULL && !resolve(m, i, scopes[i])) {
			return false;
		}
	}
	return true;
}

/* ---- roots ---- */

static const struct value *root_select(const struct spec *s, const struct value *objects,
				       uint32_t i)
{
	(void)s;
	return value_get_value(value_item(objects, i), F_ObjectSpec_selectSet);
}

/* Clients that list a thousand objects give each the same selectSet: it is made once. */
static bool select_is_repeated(const struct spec *s, const struct value *objects, uint32_t i)
{
	return i > 0 && value_equal(root_select(s, objects, i), root_select(s, objects, i - 1));
}

static bool count_roots(struct making *m, const struct value *objects)
{
	struct spec *s = m->s;

	for (uint32_t i = 0; i < s->n_roots; i++) {
		if (value_get_value(value_item(objects, i), F_ObjectSpec_obj) == NULL) {
			return refuse_argument(m, "objectSet.obj", "it is missing");
		}
		if (!select_is_repeated(s, objects, i) &&
		    !count_set(m, root_select(s, objects, i), 0)) {
			return false;
		}
	}
	return true;
}

static bool fill_roots(struct making *m, const struct value *objects)
{
	struct spec *s = m->s;
	uint32_t *scopes = arena_calloc(s->arena, s->n_choices + 1, sizeof(*scopes));

	s->n_traversals = s->n_choices = 0;
	for (uint32_t i = 0; i < s->n_roots; i++) {
		const struct value *v = value_item(objects, i);
		struct root *root = &s->roots[i];
		root->ref = value_get_value(v, F_ObjectSpec_obj);
		root->skip = value_get_bool(v, F_ObjectSpec_skip, false);
		if (select_is_repeated(s, objects, i)) {
			root->next = s->roots[i - 1].next;
			continue;
		}
		uint32_t from = s->n_choices;
		m->scope = i;
		if (!make_span(m, root_select(s, objects, i), &root->next)) {
			return false;
		}
		for (uint32_t at = from; at < s->n_choices; at++) {
			scopes[at] = i;
		}
	}
	return resolve_all(m, scopes);
}

static bool make_roots(struct making *m)
{
	struct spec *s = m->s;
	const struct value *objects = value_get_value(s->value, F_PropertyFilterSpec_objectSet);

	if (value_count(objects) > SPEC_MAX_ROOTS) {
		return refuse_argument(m, "objectSet", "more than 100000 objects");
	}
	s->n_roots = (uint32_t)value_count(objects);
	if (!count_roots(m, objects)) {
		return false;
	}
	s->roots = arena_calloc(s->arena, s->n_roots, sizeof(*s->roots));
	s->traversals = arena_calloc(s->arena, s->n_traversals, sizeof(*s->traversals));
	s->choices = arena_calloc(s->arena, s->n_choices, sizeof(*s->choices));
	m->names = arena_calloc(s->arena, s->n_choices, sizeof(*m->names));
	return fill_roots(m, objects);
}

struct spec *spec_new(struct arena *a, const struct value *value, uint8_t version,
		      struct refusal *r)
{
	bool is_kept = a == NULL;
	struct arena *arena = is_kept ? arena_new(0) : a;
	struct spec *s = arena_alloc(arena, sizeof(*s));
	struct making m = { .s = s, .r = r };

	s->refs = is_kept;
	s->arena = arena;
	s->value = is_kept ? value_keep(value) : value;
	s->version = version;
	s->report_missing =
		value_get_bool(value, F_PropertyFilterSpec_reportMissingObjectsInResults, false);
	if (make_sets(&m) && make_roots(&m)) {
		return s;
	}
	spec_drop(s);
	return NULL;
}

struct spec *spec_hold(struct spec *s)
{
	if (s->refs > 0) {
		s->refs++;
	}
	return s;
}

void spec_drop(struct spec *s)
{
	if (s != NULL && s->refs > 0 && --s->refs == 0) {
		value_drop(s->value);
		arena_free(s->arena);
	}
}

const struct value *spec_missing_root(const struct spec *s, struct inventory *inv)
{
	for (uint32_t i = 0; i < s->n_roots; i++) {
		if (inventory_find_ref(inv, s->roots[i].ref) == NULL) {
			return s->roots[i].ref;
		}
	}
	return NULL;
}

/* ---- plans ---- */

static bool plan_has(const struct plan *p, const struct path *path)
{
	for (uint32_t i = 0; i < p->n_paths; i++) {
		if (p->paths[i]->len == path->len &&
		    memcmp(p->paths[i]->text, path->text, path->len) == 0) {
			return true;
		}
	}
	return false;
}

static bool plan_asks(const struct plan *p, const char *text)
{
	for (uint32_t i = 0; i < p->n_paths; i++) {
		if (strcmp(p->paths[i]->asked, text) == 0) {
			return true;
		}
	}
	return false;
}

static void plan_add(struct plan *p, struct path *path)
{
	if (path != NULL && !plan_has(p, path)) {
		p->paths[p->n_paths++] = path;
		p->props |= UINT64_C(1) << MIN(path->prop, 63);
	}
}

static void plan_add_set(struct spec *s, struct plan *p, const struct value *set)
{
	const struct value *paths = value_get_value(set, F_PropertySpec_pathSet);
	struct error e;

	if (value_get_bool(set, F_PropertySpec_all, false)) {
		for (unsigned i = 0; i < schema_type(p->type)->n_fields; i++) {
			if (schema_field(p->type, i)->since <= s->version) {
				plan_add(p, path_of_property(s->arena, p->type, i));
			}
		}
		return;
	}
	for (size_t i = 0; i < value_count(paths); i++) {
		const struct value *text = value_item(paths, i);
		if (plan_asks(p, value_bytes(text))) {
			continue; /* the same once more costs nothing */
		}
		plan_add(p, path_parse(s->arena, p->type, value_bytes(text), value_len(text), &e));
	}
}

/* Room for the paths of every matching set. */
static size_t plan_room(const struct spec *s, uint16_t type)
{
	size_t n = 0;

	for (uint32_t i = 0; i < s->n_sets; i++) {
		const struct value *set = value_item(s->sets, i);
		n += value_get_bool(set, F_PropertySpec_all, false)
			     ? schema_type(type)->n_fields
			     : value_count(value_get_value(set, F_PropertySpec_pathSet));
	}
	return n;
}

static struct plan *plan_make(struct spec *s, uint16_t type)
{
	struct plan *p = arena_alloc(s->arena, sizeof(*p));

	p->type = type;
	p->paths = arena_calloc(s->arena, plan_room(s, type), sizeof(struct path *));
	for (uint32_t i = 0; i < s->n_sets; i++) {
		if (schema_is_a(type, s->set_types[i])) {
			p->is_wanted = true;
			plan_add_set(s, p, value_item(s->sets, i));
		}
	}
	return p;
}

/* The one asked for last comes first. */
const struct plan *spec_plan_slow(struct spec *s, uint16_t type)
{
	struct plan **at = &s->plans;

	while (*at != NULL && (*at)->type != type) {
		at = &(*at)->next;
	}
	struct plan *p = *at;
	if (p != NULL) {
		*at = p->next;
	} else {
		p = plan_make(s, type);
	}
	p->next = s->plans;
	s->plans = p;
	return p;
}

const struct path *spec_via(struct spec *s, struct traversal *t, uint16_t type)
{
	struct via *via = t->vias;
	struct error e;

	while (via != NULL && via->type != type) {
		via = via->next;
	}
	if (via == NULL) {
		via = arena_alloc(s->arena, sizeof(*via));
		via->type = type;
		via->path =
			path_parse(s->arena, type, value_bytes(t->path), value_len(t->path), &e);
		via->next = t->vias;
		t->vias = via;
	}
	return via->path;
}

/* ---- changes ---- */

static bool change_touches_walk(struct spec *s, const struct object *o, const struct change *c)
{
	for (uint32_t i = 0; i < s->n_traversals; i++) {
		struct traversal *t = &s->traversals[i];
		if (!schema_is_a(o->type, t->type)) {
			continue;
		}
		const struct path *p = spec_via(s, t, o->type);
		if (p != NULL && path_overlaps(c->path, c->path_len, p->text, p->len)) {
			return true;
		}
	}
	return false;
}

bool spec_walk_changed(struct spec *s, struct object *o, uint64_t since)
{
	for (uint32_t i = o->n_journal; i > 0 && o->journal[i - 1].version > since; i--) {
		if (change_touches_walk(s, o, &o->journal[i - 1])) {
			return true;
		}
	}
	return false;
}

static bool change_touches_plan(const struct plan *p, const struct change *c)
{
	if (((p->props >> MIN(c->prop, 63)) & 1) == 0) {
		return false;
	}
	for (uint32_t i = 0; i < p->n_paths; i++) {
		if (p->paths[i]->prop == c->prop &&
		    path_overlaps(c->path, c->path_len, p->paths[i]->text, p->paths[i]->len)) {
			return true;
		}
	}
	return false;
}

bool plan_is_touched(const struct plan *p, const struct object *o, uint64_t since)
{
	for (uint32_t i = o->n_journal; i > 0 && o->journal[i - 1].version > since; i--) {
		if (change_touches_plan(p, &o->journal[i - 1])) {
			return true;
		}
	}
	return false;
}
