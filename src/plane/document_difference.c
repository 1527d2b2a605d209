/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of named objects: what is gone is removed, what is new or differs is put.
 *
 * Rules: those of a section which are in the same order before and after, as many as can be, stay
 * where they are. Every other one of the new document is put, in its order, after the one that it
 * follows there, which has its place by then; what is in none of the new sections is removed at the
 * end. Sections are ordered in the same way. One that has to move is emptied by that, since no
 * change moves a section alone, and its rules are put as new ones.
 */
#include "plane/document_difference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"

#define NOWHERE UINT32_MAX

struct old_section {
	const char *name;
	struct json_object *rules;
	bool is_there; /* in the new document as well */
	bool is_empty; /* since it was put anew */
};

struct old_rule {
	uint64_t id;
	struct json_object *rule;
	uint32_t section, at;
	bool is_there;
};

struct difference {
	struct json_object *changes;
	size_t most;
	bool is_whole; /* given up */
	VEC(struct old_section) sections;
	VEC(struct old_rule) rules; /* of sections that are not empty */
	struct map names;	    /* of the old sections, to index + 1 */
	struct map64 old, added;    /* numbers of rules; `old` to index + 1 */
	uint32_t *places;	    /* of what is ordered, in the old list; NOWHERE: not there */
};

/* ---- reading ---- */

static struct json_object *member(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &v)
		       ? v
		       : NULL;
}

static size_t list_n(struct json_object *list)
{
	return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

static struct json_object *list_item(struct json_object *list, size_t i)
{
	return json_object_array_get_idx(list, i);
}

/* NULL where it has none. */
static const char *name_of(struct json_object *o)
{
	struct json_object *v = member(o, "name");

	return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
}

/* 0 where it has none. */
static uint64_t id_of(struct json_object *rule)
{
	struct json_object *v = member(rule, "id");
	int64_t id = json_object_is_type(v, json_type_int) ? json_object_get_int64(v) : 0;

	return id > 0 ? (uint64_t)id : 0;
}

/* ---- saying ---- */

/* One more change; NULL where that is too many. */
static struct json_object *add_change(struct difference *d, const char *key,
				      struct json_object *value)
{
	if (d->is_whole || json_object_array_length(d->changes) == d->most) {
		d->is_whole = true;
		json_object_put(value);
		return NULL;
	}
	struct json_object *o = json_object_new_object();
	json_put(o, key, value);
	json_object_array_add(d->changes, o);
	return o;
}

/* ---- objects with names ---- */

static void compare_list(struct difference *d, struct json_object *from, struct json_object *to,
			 const char *kind)
{
	struct map old = { 0 }, seen = { 0 };
	char put[32], removed[32];

	snprintf(put, sizeof(put), "put_%s", kind);
	snprintf(removed, sizeof(removed), "remove_%s", kind);
	for (size_t i = 0; i < list_n(from); i++) {
		map_set(&old, name_of(list_item(from, i)), list_item(from, i));
	}
	for (size_t i = 0; i < list_n(to) && !d->is_whole; i++) {
		struct json_object *o = list_item(to, i);
		const char *name = name_of(o);
		d->is_whole = name == NULL || map_has(&seen, name);
		if (d->is_whole) {
			break;
		}
		map_set(&seen, name, NULL);
		struct json_object *was = map_get(&old, name);
		if (was == NULL || !json_object_equal(was, o)) {
			add_change(d, put, json_object_get(o));
		}
	}
	map_each (&old, entry) {
		if (!map_has(&seen, entry->key)) {
			add_change(d, removed, json_new_str(entry->key));
		}
	}
	map_free(&old);
	map_free(&seen);
}

static void compare_lists(struct difference *d, struct json_object *from, struct json_object *to)
{
	static const char *const lists[][2] = { { "ports", "port" },
						{ "teams", "team" },
						{ "segments", "segment" },
						{ "routers", "router" },
						{ "groups", "group" } };

	for (size_t i = 0; i < ARRAY_LEN(lists) && !d->is_whole; i++) {
		compare_list(d, member(from, lists[i][0]), member(to, lists[i][0]), lists[i][1]);
	}
}

/* ---- order ---- */

/* Of n places, all different, those of a longest run that ascends: the others become NOWHERE. */
static void keep_ascending(uint32_t *places, size_t n)
{
	uint32_t *ends = mem_alloc((n + 1) * sizeof(*ends)); /* of the best run of each length */
	uint32_t *before = mem_alloc((n + 1) * sizeof(*before));
	size_t best = 0;

	for (size_t i = 0; i < n; i++) {
		if (places[i] == NOWHERE) {
			continue;
		}
		size_t low = 0, high = best;
		if (best > 0 && places[ends[best - 1]] < places[i]) {
			low = best; /* as mostly */
		}
		while (low < high) {
			size_t middle = (low + high) / 2;
			if (places[ends[middle]] < places[i]) {
				low = middle + 1;
			} else {
				high = middle;
			}
		}
		before[i] = low == 0 ? NOWHERE : ends[low - 1];
		ends[low] = (uint32_t)i;
		best += low == best;
	}
	uint32_t stays = best == 0 ? NOWHERE : ends[best - 1];
	for (size_t i = n; i-- > 0;) {
		if (i == stays) {
			stays = before[i];
		} else {
			places[i] = NOWHERE;
		}
	}
	free(ends);
	free(before);
}

/* Where the item k of a list is to be put; false: at the end, as there is nothing else. */
static bool find_neighbour(const uint32_t *places, size_t n, size_t k, size_t *out)
{
	size_t i = k == 0 ? 0 : k - 1;

	while (k == 0 && i < n && places[i] == NOWHERE) {
		i++;
	}
	*out = i;
	return i < n;
}

/* ---- sections ---- */

static void index_sections(struct difference *d, struct json_object *sections)
{
	for (size_t i = 0; i < list_n(sections); i++) {
		struct json_object *o = list_item(sections, i);
		struct old_section s = { .name = name_of(o), .rules = member(o, "rules") };
		vec_push(&d->sections, s);
		map_set(&d->names, s.name, (void *)(uintptr_t)(i + 1));
	}
}

/* The places of the new sections among the old ones. */
static void find_sections(struct difference *d, struct json_object *sections)
{
	struct map seen = { 0 };

	for (size_t i = 0; i < list_n(sections) && !d->is_whole; i++) {
		const char *name = name_of(list_item(sections, i));
		d->is_whole = name == NULL || map_has(&seen, name);
		if (d->is_whole) {
			break;
		}
		map_set(&seen, name, NULL);
		uintptr_t was = (uintptr_t)map_get(&d->names, name);
		d->places[i] = was == 0 ? NOWHERE : (uint32_t)(was - 1);
		if (was != 0) {
			d->sections.items[was - 1].is_there = true;
		}
	}
	map_free(&seen);
}

static void put_section(struct difference *d, struct json_object *sections, size_t k)
{
	const char *name = name_of(list_item(sections, k));
	uintptr_t was = (uintptr_t)map_get(&d->names, name);
	struct json_object *o = json_object_new_object();
	size_t other;

	if (was != 0) {
		d->sections.items[was - 1].is_empty = true;
	}
	json_put_str(o, "name", name);
	json_put(o, "rules", json_object_new_array());
	o = add_change(d, "put_section", o);
	if (o != NULL && find_neighbour(d->places, list_n(sections), k, &other)) {
		json_put_str(o, k == 0 ? "before" : "after", name_of(list_item(sections, other)));
	}
}

static void order_sections(struct difference *d, struct json_object *from, struct json_object *to)
{
	size_t n = list_n(to);

	index_sections(d, from);
	d->places = mem_alloc((n + 1) * sizeof(*d->places));
	find_sections(d, to);
	if (!d->is_whole) {
		keep_ascending(d->places, n);
	}
	for (size_t k = 0; k < n && !d->is_whole; k++) {
		if (d->places[k] == NOWHERE) {
			put_section(d, to, k);
		}
	}
	free(d->places);
	d->places = NULL;
}

/* ---- rules ---- */

static void index_rules(struct difference *d)
{
	for (size_t i = 0; i < d->sections.n; i++) {
		const struct old_section *s = &d->sections.items[i];
		for (size_t k = 0; !s->is_empty && k < list_n(s->rules); k++) {
			struct json_object *rule = list_item(s->rules, k);
			struct old_rule r = { id_of(rule), rule, (uint32_t)i, (uint32_t)k, false };
			vec_push(&d->rules, r);
			map64_set(&d->old, r.id, (void *)(uintptr_t)d->rules.n);
		}
	}
}

static struct old_rule *find_rule(const struct difference *d, uint64_t id)
{
	uintptr_t was = (uintptr_t)map64_get(&d->old, id);

	return was == 0 ? NULL : &d->rules.items[was - 1];
}

/* Notes that the new document has that rule; false where it has it twice. */
static bool note_rule(struct difference *d, uint64_t id, struct old_rule *was)
{
	bool is_first = was != NULL ? !was->is_there : !map64_has(&d->added, id);

	if (was != NULL) {
		was->is_there = true;
	} else {
		map64_set(&d->added, id, NULL);
	}
	return id != 0 && is_first;
}

/* The places of a section's rules in the section of that name before. */
static void find_rules(struct difference *d, const char *name, struct json_object *rules)
{
	uint32_t section = (uint32_t)(uintptr_t)map_get(&d->names, name) - 1;

	for (size_t k = 0; k < list_n(rules) && !d->is_whole; k++) {
		uint64_t id = id_of(list_item(rules, k));
		struct old_rule *was = find_rule(d, id);
		d->is_whole = !note_rule(d, id, was);
		d->places[k] = was != NULL && was->section == section ? was->at : NOWHERE;
	}
}

static void put_rule(struct difference *d, const char *section, struct json_object *rules, size_t k)
{
	struct json_object *rule = list_item(rules, k);
	size_t other;

	const struct old_rule *was = d->places[k] == NOWHERE ? NULL : find_rule(d, id_of(rule));
	if (was != NULL) {
		if (!json_object_equal(was->rule, rule)) {
			add_change(d, "put_rule", json_object_get(rule));
		}
		return;
	}
	struct json_object *o = add_change(d, "put_rule", json_object_get(rule));
	if (o == NULL) {
		return;
	}
	json_put_str(o, "section", section);
	if (find_neighbour(d->places, list_n(rules), k, &other)) {
		json_put_u64(o, k == 0 ? "before" : "after", id_of(list_item(rules, other)));
	}
}

static void compare_rules(struct difference *d, struct json_object *section)
{
	const char *name = name_of(section);
	struct json_object *rules = member(section, "rules");
	size_t n = list_n(rules);

	d->places = mem_alloc((n + 1) * sizeof(*d->places));
	find_rules(d, name, rules);
	if (!d->is_whole) {
		keep_ascending(d->places, n);
	}
	for (size_t k = 0; k < n && !d->is_whole; k++) {
		put_rule(d, name, rules, k);
	}
	free(d->places);
	d->places = NULL;
}

/* Rules of a section that goes, go with it. */
static void remove_rest(struct difference *d)
{
	vec_each (&d->rules, r) {
		if (!r->is_there && d->sections.items[r->section].is_there) {
			add_change(d, "remove_rule", json_object_new_uint64(r->id));
		}
	}
	vec_each (&d->sections, s) {
		if (!s->is_there) {
			add_change(d, "remove_section", json_new_str(s->name));
		}
	}
}

static const char *default_of(struct json_object *firewall)
{
	struct json_object *v = member(firewall, "default");

	return v == NULL ? "allow" : json_object_get_string(v);
}

static void compare_firewall(struct difference *d, struct json_object *from, struct json_object *to)
{
	struct json_object *sections = member(to, "sections");

	if (strcmp(default_of(from), default_of(to)) != 0) {
		add_change(d, "default", json_new_str(default_of(to)));
	}
	if (member(from, "sections") == sections) {
		return;
	}
	order_sections(d, member(from, "sections"), sections);
	index_rules(d);
	for (size_t i = 0; i < list_n(sections) && !d->is_whole; i++) {
		compare_rules(d, list_item(sections, i));
	}
	remove_rest(d);
}

/* ---- the whole ---- */

/* No member but those that are compared here. */
static bool is_known(struct json_object *document)
{
	static const char *const known[] = { "ports",	"teams",  "segments",
					     "routers", "groups", "firewall" };

	json_object_object_foreach(document, key, v)
	{
		size_t i = 0;
		(void)v;
		while (i < ARRAY_LEN(known) && strcmp(known[i], key) != 0) {
			i++;
		}
		if (i == ARRAY_LEN(known)) {
			return false;
		}
	}
	return true;
}

struct json_object *document_difference(struct json_object *from, struct json_object *to,
					size_t most)
{
	struct difference d = { .changes = json_object_new_array(), .most = most };

	d.is_whole = !is_known(from) || !is_known(to);
	if (!d.is_whole) {
		compare_lists(&d, from, to);
	}
	if (!d.is_whole) {
		compare_firewall(&d, member(from, "firewall"), member(to, "firewall"));
	}
	vec_free(&d.sections);
	vec_free(&d.rules);
	map_free(&d.names);
	map64_free(&d.old);
	map64_free(&d.added);
	if (d.is_whole) {
		json_object_put(d.changes);
		return NULL;
	}
	return d.changes;
}
