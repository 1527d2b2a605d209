/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/group_edit.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"

struct prefix_list {
	VEC(struct prefix) p;
};

struct group {
	const char *name; /* NULL: none here */
	struct rule_group is;
	struct prefix_list *edited; /* its addresses, while single ones come and go */
	struct json_object *put;    /* to read ports from; NULL: they are as they were */
};

struct group_edit {
	const struct switch_config *before;
	struct config_reader *r;
	VEC(struct group) groups;
	VEC(uint32_t) holes; /* that were empty before this change */
	bool has_removed;
};

struct group_edit *group_edit_new(const struct switch_config *before, struct config_reader *r)
{
	struct group_edit *g = mem_zalloc(sizeof(*g));

	g->before = before;
	g->r = r;
	vec_reserve(&g->groups, before->n_groups + 16);
	for (uint32_t i = 0; i < before->n_groups; i++) {
		vec_push(&g->groups,
			 (struct group){ .name = before->group_names[i], .is = before->groups[i] });
		if (before->group_names[i] == NULL) {
			vec_push(&g->holes, i);
		} else {
			(void)name_index_add(&r->groups, before->group_names[i], i);
		}
	}
	return g;
}

static void forget_edited(struct group *g)
{
	if (g->edited != NULL) {
		vec_free(&g->edited->p);
		free(g->edited);
		g->edited = NULL;
	}
}

void group_edit_free(struct group_edit *g)
{
	if (g == NULL) {
		return;
	}
	vec_each (&g->groups, group) {
		forget_edited(group);
	}
	vec_free(&g->groups);
	vec_free(&g->holes);
	free(g);
}

/* ---- putting and removing ---- */

/* The place of a group of that name: where it is, was, or comes to be. */
static uint32_t place_of(struct group_edit *g, const char *name)
{
	uint32_t i;

	if (name_index_find(&g->r->groups, name, &i)) {
		return i;
	}
	if (g->holes.n > 0) {
		i = vec_pop(&g->holes);
	} else {
		i = (uint32_t)g->groups.n;
		vec_push(&g->groups, (struct group){ 0 });
	}
	g->groups.items[i].name = arena_strdup(g->r->arena, name);
	(void)name_index_add(&g->r->groups, g->groups.items[i].name, i);
	return i;
}

bool group_edit_put(struct group_edit *g, const struct json_at *at)
{
	struct rule_group is = { 0 };
	const char *name;

	if (!json_get_str(at, "name", &name, g->r->e) || !config_read_prefixes(g->r, at, &is)) {
		return false;
	}
	struct group *group = &g->groups.items[place_of(g, name)];
	if (group->name == NULL) {
		group->name = arena_strdup(g->r->arena, name);
	}
	forget_edited(group);
	group->is = is;
	group->put = at->value;
	return true;
}

static struct group *need(struct group_edit *g, const struct json_at *at)
{
	const char *name;
	uint32_t i;

	if (!json_as_str(at, &name, g->r->e)) {
		return NULL;
	}
	if (name_index_find(&g->r->groups, name, &i) && g->groups.items[i].name != NULL) {
		return &g->groups.items[i];
	}
	json_error(at, g->r->e, "there is no group \"%s\"", name);
	return NULL;
}

bool group_edit_remove(struct group_edit *g, const struct json_at *at)
{
	struct group *group = need(g, at);

	if (group == NULL) {
		return false;
	}
	forget_edited(group);
	*group = (struct group){ 0 };
	g->has_removed = true;
	return true;
}

/* ---- single addresses ---- */

static size_t find_prefix(const struct prefix_list *l, const struct prefix *p)
{
	for (size_t i = 0; i < l->p.n; i++) {
		if (memcmp(&l->p.items[i], p, sizeof(*p)) == 0) {
			return i;
		}
	}
	return SIZE_MAX;
}

static bool add_prefix(struct prefix_list *l, const struct prefix *p, const struct json_at *at,
		       struct error *e)
{
	if (find_prefix(l, p) != SIZE_MAX) {
		return true;
	}
	if (l->p.n >= CONFIG_GROUP_PREFIXES_MAX) {
		return json_error(at, e, "is one more than the %d addresses a group can have",
				  CONFIG_GROUP_PREFIXES_MAX);
	}
	vec_push(&l->p, *p);
	return true;
}

static bool remove_prefix(struct prefix_list *l, const struct prefix *p, const struct json_at *at,
			  struct error *e)
{
	size_t i = find_prefix(l, p);

	if (i == SIZE_MAX) {
		return json_error(at, e, "is not in the group");
	}
	for (; i != SIZE_MAX; i = find_prefix(l, p)) {
		l->p.items[i] = vec_last(&l->p);
		l->p.n--;
	}
	return true;
}

static bool change_addresses(struct group_edit *g, struct group *group,
			     const struct json_at *change, const char *key,
			     bool (*fn)(struct prefix_list *l, const struct prefix *p,
					const struct json_at *at, struct error *e))
{
	struct json_at list = config_list(change, key);

	for (size_t i = 0; i < json_array_n(&list); i++) {
		struct json_at item = json_item(&list, i);
		const char *text;
		struct prefix p;
		if (!json_as_str(&item, &text, g->r->e)) {
			return false;
		}
		if (!prefix_parse(text, &p)) {
			return json_error(&item, g->r->e,
					  "\"%s\" is no prefix, or has bits beyond its length",
					  text);
		}
		if (!fn(group->edited, &p, &item, g->r->e)) {
			return false;
		}
	}
	return true;
}

bool group_edit_addresses(struct group_edit *g, const struct json_at *change)
{
	struct json_at name;

	if (!json_get(change, "group", &name, g->r->e)) {
		return false;
	}
	struct group *group = need(g, &name);
	if (group == NULL) {
		return false;
	}
	if (group->edited == NULL) {
		group->edited = mem_zalloc(sizeof(*group->edited));
		for (size_t i = 0; i < group->is.n_prefixes; i++) {
			vec_push(&group->edited->p, group->is.prefixes[i]);
		}
	}
	return change_addresses(g, group, change, "remove_addresses", remove_prefix) &&
	       change_addresses(g, group, change, "add_addresses", add_prefix);
}

/* ---- the end ---- */

/* The ports that a group had, by where they are now. */
static bool move_ports(struct group_edit *g, struct group *group)
{
	const struct rule_group *is = &group->is;
	uint16_t *ports = config_array(g->r, is->n_ports, sizeof(*ports));

	for (size_t i = 0; i < is->n_ports; i++) {
		const char *name = g->before->ports[is->ports[i]].name;
		uintptr_t found = (uintptr_t)map_get(&g->r->ports, name);
		if (found == 0) {
			return error_set(g->r->e, ERROR_INVALID,
					 "group \"%s\": there is no port \"%s\" any more",
					 group->name, name);
		}
		ports[i] = (uint16_t)(found - 1);
	}
	group->is.ports = ports;
	return true;
}

static bool end_group(struct group_edit *g, struct group *group, bool ports_moved)
{
	if (group->edited != NULL) {
		size_t n = group->edited->p.n;
		struct prefix *prefixes = config_array(g->r, n, sizeof(*prefixes));
		if (n > 0) {
			memcpy(prefixes, group->edited->p.items, n * sizeof(*prefixes));
		}
		group->is.prefixes = prefixes;
		group->is.n_prefixes = n;
	}
	if (group->put != NULL) {
		struct json_at at = { .value = group->put };
		return config_read_group_ports(g->r, &at, &group->is) ||
		       error_prefix(g->r->e, "group \"%s\": ", group->name);
	}
	return !ports_moved || group->is.n_ports == 0 || move_ports(g, group);
}

bool group_edit_end(struct group_edit *g, bool ports_moved)
{
	struct switch_config *c = g->r->config;

	c->n_groups = g->groups.n;
	c->groups = arena_alloc(c->arena, c->n_groups * sizeof(*c->groups));
	c->group_names = arena_alloc(c->arena, c->n_groups * sizeof(*c->group_names));
	for (size_t i = 0; i < c->n_groups; i++) {
		struct group *group = &g->groups.items[i];
		if (!end_group(g, group, ports_moved)) {
			return false;
		}
		c->groups[i] = group->is;
		c->group_names[i] = group->name;
	}
	return true;
}

static bool check_list(const struct group_edit *g, const struct rule *rule, const int32_t *list,
		       size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (g->groups.items[list[i]].name == NULL) {
			return error_set(g->r->e, ERROR_INVALID,
					 "rule %llu: there is no group \"%s\" any more",
					 (unsigned long long)rule->id,
					 g->before->group_names[list[i]]);
		}
	}
	return true;
}

bool group_edit_check_rule(const struct group_edit *g, const struct rule *rule)
{
	return !g->has_removed || (check_list(g, rule, rule->sources, rule->n_sources) &&
				   check_list(g, rule, rule->destinations, rule->n_destinations) &&
				   check_list(g, rule, rule->applied_to, rule->n_applied_to));
}
