/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each section is a ring of nodes with one that is no rule, its head. A rule is looked for by
 * passing over all nodes, until that has been done so often that an index is worth it.
 */
#include "switch/rule_order.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"

#define NONE UINT32_MAX

enum {
	LOOKS_MAX = 16, /* before the index is made */
};

struct node {
	uint64_t id; /* 0: a head, or taken out */
	struct json_object *rule;
	int32_t was;
	uint32_t section;
	uint32_t next, prev;
};

struct section {
	const char *name;
	uint32_t head;
	size_t n;
};

struct rule_order {
	VEC(struct node) nodes;
	VEC(struct section) sections; /* in no order; NULL name: taken out */
	VEC(uint32_t) order;	      /* of sections */
	size_t n_rules;
	unsigned n_looks;
	struct map64 index; /* number to node + 1 */
};

/* ---- rings ---- */

static uint32_t add_node(struct rule_order *o, uint64_t id, uint32_t section)
{
	uint32_t i = (uint32_t)o->nodes.n;

	vec_push(&o->nodes,
		 (struct node){ .id = id, .was = -1, .section = section, .next = i, .prev = i });
	return i;
}

/* Puts a node before another one of a section. */
static void link_before(struct rule_order *o, uint32_t node, uint32_t other)
{
	struct node *n = &o->nodes.items[node], *t = &o->nodes.items[other];

	n->section = t->section;
	n->next = other;
	n->prev = t->prev;
	o->nodes.items[t->prev].next = node;
	t->prev = node;
	o->sections.items[n->section].n++;
	o->n_rules++;
}

static void unlink_node(struct rule_order *o, uint32_t node)
{
	struct node *n = &o->nodes.items[node];

	o->nodes.items[n->prev].next = n->next;
	o->nodes.items[n->next].prev = n->prev;
	o->sections.items[n->section].n--;
	o->n_rules--;
}

static uint32_t add_section(struct rule_order *o, const char *name)
{
	uint32_t section = (uint32_t)o->sections.n;

	vec_push(&o->sections, (struct section){ .name = name });
	o->sections.items[section].head = add_node(o, 0, section);
	return section;
}

struct rule_order *rule_order_new(const struct switch_config *c)
{
	struct rule_order *o = mem_zalloc(sizeof(*o));
	size_t rule = 0;

	vec_reserve(&o->nodes, c->n_rules + c->n_sections + 64);
	for (size_t i = 0; i < c->n_sections; i++) {
		uint32_t section = add_section(o, c->sections[i].name);
		uint32_t head = o->sections.items[section].head;
		vec_push(&o->order, section);
		for (size_t k = 0; k < c->sections[i].n_rules; k++, rule++) {
			uint32_t node = add_node(o, c->rules[rule].id, section);
			o->nodes.items[node].was = (int32_t)rule;
			link_before(o, node, head);
		}
	}
	return o;
}

void rule_order_free(struct rule_order *o)
{
	if (o != NULL) {
		vec_free(&o->nodes);
		vec_free(&o->sections);
		vec_free(&o->order);
		map64_free(&o->index);
		free(o);
	}
}

/* ---- finding ---- */

static uint32_t find_rule(struct rule_order *o, uint64_t id)
{
	if (o->n_looks < LOOKS_MAX) {
		o->n_looks++;
		for (uint32_t i = 0; i < o->nodes.n; i++) {
			if (o->nodes.items[i].id == id) {
				return i;
			}
		}
		return NONE;
	}
	if (o->n_looks++ == LOOKS_MAX) {
		for (uint32_t i = 0; i < o->nodes.n; i++) {
			if (o->nodes.items[i].id != 0) {
				map64_set(&o->index, o->nodes.items[i].id,
					  (void *)(uintptr_t)(i + 1));
			}
		}
	}
	uintptr_t found = (uintptr_t)map64_get(&o->index, id);
	return found == 0 ? NONE : (uint32_t)(found - 1);
}

static uint32_t find_section(const struct rule_order *o, const char *name)
{
	for (uint32_t i = 0; i < o->sections.n; i++) {
		if (o->sections.items[i].name != NULL &&
		    strcmp(o->sections.items[i].name, name) == 0) {
			return i;
		}
	}
	return NONE;
}

static bool need_rule(struct rule_order *o, const struct json_at *at, uint32_t *out,
		      struct error *e)
{
	uint64_t id;

	if (!json_as_u64(at, &id, e)) {
		return false;
	}
	*out = id == 0 ? NONE : find_rule(o, id);
	return *out != NONE || json_error(at, e, "there is no rule %llu", (unsigned long long)id);
}

static bool need_section(struct rule_order *o, const struct json_at *at, uint32_t *out,
			 struct error *e)
{
	const char *name;

	if (!json_as_str(at, &name, e)) {
		return false;
	}
	*out = find_section(o, name);
	return *out != NONE || json_error(at, e, "there is no section \"%s\"", name);
}

/* The member "before" or "after" of a change; false where there is none, or both are. */
static bool find_reference(const struct json_at *change, struct json_at *out, bool *is_after)
{
	struct error e;

	*is_after = json_has(change, "after");
	return json_has(change, "before") != *is_after &&
	       json_get(change, *is_after ? "after" : "before", out, &e);
}

static bool check_references(const struct json_at *change, struct error *e)
{
	return !json_has(change, "before") || !json_has(change, "after") ||
	       json_error(change, e, "has both \"before\" and \"after\"");
}

/* ---- rules ---- */

static void set_rule(struct rule_order *o, uint32_t node, struct json_object *rule)
{
	o->nodes.items[node].rule = rule;
	o->nodes.items[node].was = -1;
}

static void drop_rule(struct rule_order *o, uint32_t node)
{
	unlink_node(o, node);
	if (o->n_looks > LOOKS_MAX) {
		map64_remove(&o->index, o->nodes.items[node].id);
	}
	o->nodes.items[node].id = 0;
}

static uint32_t new_rule(struct rule_order *o, uint64_t id, struct json_object *rule)
{
	uint32_t node = add_node(o, id, 0);

	set_rule(o, node, rule);
	if (o->n_looks > LOOKS_MAX) {
		map64_set(&o->index, id, (void *)(uintptr_t)(node + 1));
	}
	return node;
}

/* The node that a rule comes to stand before; `node`: where it is now, or NONE. NONE in *out: it
 * stays. */
static bool find_place(struct rule_order *o, const struct json_at *change, uint32_t node,
		       uint32_t *out, struct error *e)
{
	struct json_at reference, named;
	uint32_t section = NONE, other;
	bool is_after;

	if (json_has(change, "section") &&
	    (!json_get(change, "section", &named, e) || !need_section(o, &named, &section, e))) {
		return false;
	}
	if (!find_reference(change, &reference, &is_after)) {
		if (section == NONE && node == NONE) {
			return json_error(change, e, "puts a new rule and says no \"section\"");
		}
		bool stays = node != NONE &&
			     (section == NONE || o->nodes.items[node].section == section);
		*out = stays ? NONE : o->sections.items[section].head;
		return true;
	}
	if (!need_rule(o, &reference, &other, e)) {
		return false;
	}
	if (other == node) {
		return json_error(&reference, e, "is the rule itself");
	}
	if (section != NONE && o->nodes.items[other].section != section) {
		return json_error(&reference, e, "is a rule of section \"%s\"",
				  o->sections.items[o->nodes.items[other].section].name);
	}
	*out = is_after ? o->nodes.items[other].next : other;
	return true;
}

bool rule_order_put_rule(struct rule_order *o, const struct json_at *at, struct error *e)
{
	struct json_at rule;
	uint64_t id;
	uint32_t place = NONE;

	if (!check_references(at, e) || !json_get_object(at, "put_rule", &rule, e) ||
	    !json_get_u64(&rule, "id", &id, e)) {
		return false;
	}
	uint32_t node = find_rule(o, id);
	if (!find_place(o, at, node, &place, e)) {
		return false;
	}
	if (node == NONE) {
		link_before(o, new_rule(o, id, rule.value), place);
		return true;
	}
	set_rule(o, node, rule.value);
	if (place != NONE && place != node) {
		unlink_node(o, node);
		link_before(o, node, place);
	}
	return true;
}

bool rule_order_remove_rule(struct rule_order *o, const struct json_at *at, struct error *e)
{
	uint32_t node;

	if (!need_rule(o, at, &node, e)) {
		return false;
	}
	drop_rule(o, node);
	return true;
}

/* ---- sections ---- */

static void empty_section(struct rule_order *o, uint32_t section)
{
	uint32_t head = o->sections.items[section].head;

	while (o->nodes.items[head].next != head) {
		drop_rule(o, o->nodes.items[head].next);
	}
}

static size_t place_of(const struct rule_order *o, uint32_t section)
{
	size_t i = 0;

	while (i < o->order.n && o->order.items[i] != section) {
		i++;
	}
	return i;
}

/* Puts a section where a change says; where it says nothing, it stays or comes last. */
static bool place_section(struct rule_order *o, const struct json_at *change, uint32_t section,
			  struct error *e)
{
	struct json_at reference;
	uint32_t other;
	bool is_after;
	size_t at = place_of(o, section);

	if (!find_reference(change, &reference, &is_after)) {
		if (at == o->order.n) {
			vec_push(&o->order, section);
		}
		return true;
	}
	if (!need_section(o, &reference, &other, e)) {
		return false;
	}
	if (other == section) {
		return json_error(&reference, e, "is the section itself");
	}
	if (at < o->order.n) {
		vec_remove(&o->order, at);
	}
	at = place_of(o, other) + is_after;
	vec_insert(&o->order, at, section);
	return true;
}

static bool fill_section(struct rule_order *o, const struct json_at *rules, uint32_t section,
			 struct error *e)
{
	uint32_t head = o->sections.items[section].head;

	for (size_t i = 0; i < json_array_n(rules); i++) {
		struct json_at rule = json_item(rules, i);
		uint64_t id;
		if (!json_get_u64(&rule, "id", &id, e)) {
			return false;
		}
		if (find_rule(o, id) != NONE) {
			return json_error(&rule, e, "rule %llu is there twice",
					  (unsigned long long)id);
		}
		link_before(o, new_rule(o, id, rule.value), head);
	}
	return true;
}

bool rule_order_put_section(struct rule_order *o, const struct json_at *at, struct error *e)
{
	struct json_at section, rules;
	const char *name;

	if (!check_references(at, e) || !json_get_object(at, "put_section", &section, e) ||
	    !json_get_str(&section, "name", &name, e) ||
	    !json_get_array(&section, "rules", &rules, e)) {
		return false;
	}
	uint32_t i = find_section(o, name);
	if (i == NONE) {
		i = add_section(o, name);
	}
	empty_section(o, i);
	return place_section(o, at, i, e) && fill_section(o, &rules, i, e);
}

bool rule_order_remove_section(struct rule_order *o, const struct json_at *at, struct error *e)
{
	uint32_t section;

	if (!need_section(o, at, &section, e)) {
		return false;
	}
	empty_section(o, section);
	vec_remove(&o->order, place_of(o, section));
	o->sections.items[section].name = NULL;
	return true;
}

/* ---- what came out ---- */

size_t rule_order_n_rules(const struct rule_order *o)
{
	return o->n_rules;
}

size_t rule_order_n_sections(const struct rule_order *o)
{
	return o->order.n;
}

static bool visit_section(const struct rule_order *o, size_t index,
			  const struct rule_order_visit *v)
{
	const struct section *s = &o->sections.items[o->order.items[index]];

	if (!v->on_section(v->arg, s->name, s->n)) {
		return false;
	}
	for (uint32_t i = o->nodes.items[s->head].next; i != s->head; i = o->nodes.items[i].next) {
		const struct node *n = &o->nodes.items[i];
		struct rule_order_item item = { s->name, n->was, n->rule };
		if (!v->on_rule(v->arg, &item)) {
			return false;
		}
	}
	return true;
}

bool rule_order_visit(const struct rule_order *o, const struct rule_order_visit *v)
{
	for (size_t i = 0; i < o->order.n; i++) {
		if (!visit_section(o, i, v)) {
			return false;
		}
	}
	return true;
}
