/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration out of another one and a list of changes. Changes are taken in order, on lists
 * that are open for it (rule_order.h, group_edit.h, and JSON for the objects that change seldom);
 * names are resolved at the end, when all that they may name is there. What did not change is
 * shared.
 */
#include "switch/config_read.h"

#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "switch/group_edit.h"
#include "switch/rule_order.h"

enum {
	PARTS_MAX = 64,		    /* before all that groups and rules hold is put together anew */
	LISTS_TEXT_MAX = 256 << 20, /* as much as a document */
};

struct changing {
	const struct switch_config *before;
	struct config_reader r; /* of the configuration that is made */
	struct group_edit *groups;
	struct rule_order *rules;
	struct json_object *lists[CONFIG_LISTS]; /* once one of them is touched, all are here */
	bool has_objects;
	struct json_object *segment; /* whose remotes are known by MAC address below */
	struct map remotes;	     /* to index + 1 */
};

/* ---- ports, teams, segments and routers ---- */

/* The configuration's own text cannot be bad. */
static void open_objects(struct changing *c)
{
	struct error e;

	for (int i = 0; i < CONFIG_LISTS && !c->has_objects; i++) {
		const char *text = c->before->lists[i];
		c->lists[i] = text == NULL ? json_object_new_array()
					   : json_parse(text, strlen(text), LISTS_TEXT_MAX,
							JSON_DEPTH_DEFAULT, &e);
	}
	c->has_objects = true;
}

static size_t find_object(struct json_object *list, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_at item = json_root(json_object_array_get_idx(list, i));
		const char *is;
		struct error e;
		if (json_get_str(&item, "name", &is, &e) && strcmp(is, name) == 0) {
			return i;
		}
	}
	return SIZE_MAX;
}

static void forget_remotes(struct changing *c)
{
	map_free(&c->remotes);
	c->segment = NULL;
}

static bool put_object(struct changing *c, enum config_list which, const struct json_at *at)
{
	const char *name;

	if (!json_get_str(at, "name", &name, c->r.e)) {
		return false;
	}
	open_objects(c);
	forget_remotes(c);
	/* Its own copy: remotes are changed in place. */
	struct json_object *copy = NULL;
	if (json_object_deep_copy(at->value, &copy, NULL) != 0) {
		return json_error(at, c->r.e, "cannot be copied");
	}
	size_t i = find_object(c->lists[which], name);
	if (i == SIZE_MAX) {
		json_object_array_add(c->lists[which], copy);
	} else {
		json_object_array_put_idx(c->lists[which], i, copy);
	}
	return true;
}

static bool remove_object(struct changing *c, enum config_list which, const struct json_at *at)
{
	const char *name;

	if (!json_as_str(at, &name, c->r.e)) {
		return false;
	}
	open_objects(c);
	forget_remotes(c);
	size_t i = find_object(c->lists[which], name);
	if (i == SIZE_MAX) {
		return json_error(at, c->r.e, "there is no %.*s \"%s\"",
				  (int)strlen(config_list_names[which]) - 1,
				  config_list_names[which], name);
	}
	json_object_array_del_idx(c->lists[which], i, 1);
	return true;
}

/* ---- guests on other nodes, one by one ---- */

static const char *mac_of(struct json_object *remote)
{
	struct json_at at = json_root(remote);
	const char *mac = "";
	struct error e;

	(void)json_get_str(&at, "mac", &mac, &e);
	return mac;
}

/* The remotes of the segment that a change names; a list is made where it has none. */
static struct json_object *open_remotes(struct changing *c, const struct json_at *change)
{
	struct json_at named;
	struct json_object *remotes = NULL;
	const char *name;

	open_objects(c);
	if (!json_get(change, "segment", &named, c->r.e) || !json_as_str(&named, &name, c->r.e)) {
		return NULL;
	}
	size_t i = find_object(c->lists[CONFIG_LIST_SEGMENTS], name);
	if (i == SIZE_MAX) {
		json_error(&named, c->r.e, "there is no segment \"%s\"", name);
		return NULL;
	}
	struct json_object *segment = json_object_array_get_idx(c->lists[CONFIG_LIST_SEGMENTS], i);
	if (!json_object_object_get_ex(segment, "remotes", &remotes)) {
		remotes = json_object_new_array();
		json_put(segment, "remotes", remotes);
	}
	if (segment != c->segment) {
		forget_remotes(c);
		c->segment = segment;
		for (size_t k = 0; k < json_object_array_length(remotes); k++) {
			map_set(&c->remotes, mac_of(json_object_array_get_idx(remotes, k)),
				(void *)(uintptr_t)(k + 1));
		}
	}
	return remotes;
}

/* The last takes the place of what goes. */
static bool remove_remote(struct changing *c, struct json_object *remotes, const struct json_at *at)
{
	size_t last = json_object_array_length(remotes) - 1;
	const char *mac;

	if (!json_as_str(at, &mac, c->r.e)) {
		return false;
	}
	uintptr_t found = (uintptr_t)map_remove(&c->remotes, mac);
	if (found == 0) {
		return json_error(at, c->r.e, "there is no guest \"%s\"", mac);
	}
	if (found - 1 < last) {
		struct json_object *moved = json_object_array_get_idx(remotes, last);
		map_set(&c->remotes, mac_of(moved), (void *)found);
		json_object_array_put_idx(remotes, found - 1, json_object_get(moved));
	}
	json_object_array_del_idx(remotes, last, 1);
	return true;
}

static void put_remote(struct changing *c, struct json_object *remotes, struct json_object *remote)
{
	uintptr_t found = (uintptr_t)map_get(&c->remotes, mac_of(remote));

	if (found != 0) {
		json_object_array_put_idx(remotes, found - 1, json_object_get(remote));
		return;
	}
	json_object_array_add(remotes, json_object_get(remote));
	map_set(&c->remotes, mac_of(remote), (void *)(uintptr_t)json_object_array_length(remotes));
}

static bool change_remotes(struct changing *c, const struct json_at *change)
{
	struct json_object *remotes = open_remotes(c, change);
	struct json_at removed = config_list(change, "remove_remotes"),
		       put = config_list(change, "put_remotes");

	if (remotes == NULL) {
		return false;
	}
	for (size_t i = 0; i < json_array_n(&removed); i++) {
		struct json_at item = json_item(&removed, i);
		if (!remove_remote(c, remotes, &item)) {
			return false;
		}
	}
	for (size_t i = 0; i < json_array_n(&put); i++) {
		put_remote(c, remotes, json_item(&put, i).value);
	}
	return true;
}

/* ---- one change ---- */

/* What a change does, by the member that says it. */
static bool take_object(struct changing *c, const struct json_at *at)
{
	static const char *const names[CONFIG_LISTS] = { "port", "team", "segment", "router" };
	bool is_put = strncmp(at->key, "put_", 4) == 0;
	const char *name = at->key + (is_put ? 4 : 7);

	for (int i = 0; i < CONFIG_LISTS; i++) {
		if (strcmp(names[i], name) == 0) {
			return is_put ? put_object(c, (enum config_list)i, at)
				      : remove_object(c, (enum config_list)i, at);
		}
	}
	return json_error(at, c->r.e, "is not known here");
}

static bool take(struct changing *c, const struct json_at *change, const struct json_at *at)
{
	struct switch_config *config = c->r.config;
	struct error *e = c->r.e;

	if (strcmp(at->key, "put_rule") == 0) {
		return rule_order_put_rule(c->rules, change, e);
	}
	if (strcmp(at->key, "remove_rule") == 0) {
		return rule_order_remove_rule(c->rules, at, e);
	}
	if (strcmp(at->key, "put_section") == 0) {
		return rule_order_put_section(c->rules, change, e);
	}
	if (strcmp(at->key, "remove_section") == 0) {
		return rule_order_remove_section(c->rules, at, e);
	}
	if (strcmp(at->key, "put_group") == 0) {
		return group_edit_put(c->groups, at);
	}
	if (strcmp(at->key, "remove_group") == 0) {
		return group_edit_remove(c->groups, at);
	}
	if (strcmp(at->key, "group") == 0) {
		return group_edit_addresses(c->groups, change);
	}
	if (strcmp(at->key, "segment") == 0) {
		return change_remotes(c, change);
	}
	if (strcmp(at->key, "mode") == 0) {
		config->is_performance =
			strcmp(json_object_get_string(at->value), "performance") == 0;
		return true;
	}
	if (strcmp(at->key, "default") == 0) {
		config->fallback = config_action(json_object_get_string(at->value), RULE_ALLOW);
		return true;
	}
	return take_object(c, at);
}

/* Members that only say more about another one. */
static const struct {
	const char *name, *of[2];
} details[] = {
	{ "section", { "put_rule", NULL } },	    { "before", { "put_rule", "put_section" } },
	{ "after", { "put_rule", "put_section" } }, { "add_addresses", { "group", NULL } },
	{ "remove_addresses", { "group", NULL } },  { "put_remotes", { "segment", NULL } },
	{ "remove_remotes", { "segment", NULL } }
};

static size_t detail_of(const char *key)
{
	size_t i = 0;

	while (i < ARRAY_LEN(details) && strcmp(details[i].name, key) != 0) {
		i++;
	}
	return i;
}

/* The one member that says what a change does. */
static bool find_action(const struct json_at *change, struct json_at *out, struct error *e)
{
	out->value = NULL;
	json_object_object_foreach(change->value, key, value)
	{
		if (detail_of(key) < ARRAY_LEN(details)) {
			continue;
		}
		if (out->value != NULL) {
			return json_error(change, e, "has both \"%s\" and \"%s\"", out->key, key);
		}
		*out = (struct json_at){ value, change, key, 0 };
	}
	if (out->value == NULL) {
		return json_error(change, e, "says nothing to do");
	}
	json_object_object_foreach(change->value, detail, more)
	{
		size_t i = detail_of(detail);
		(void)more;
		if (i < ARRAY_LEN(details) && strcmp(details[i].of[0], out->key) != 0 &&
		    (details[i].of[1] == NULL || strcmp(details[i].of[1], out->key) != 0)) {
			return json_error(change, e, "has \"%s\", which does not go with \"%s\"",
					  detail, out->key);
		}
	}
	return true;
}

/* ---- the end ---- */

static void share_objects(struct changing *c)
{
	struct switch_config *to = c->r.config;
	const struct switch_config *from = c->before;

	to->ports = from->ports;
	to->n_ports = from->n_ports;
	to->teams = from->teams;
	to->n_teams = from->n_teams;
	to->segments = from->segments;
	to->n_segments = from->n_segments;
	to->routers = from->routers;
	to->n_routers = from->n_routers;
	to->endpoints = from->endpoints;
	to->n_endpoints = from->n_endpoints;
	to->objects = config_part_again(from->objects);
	memcpy(to->lists, from->lists, sizeof(to->lists));
	for (size_t i = 0; i < to->n_ports; i++) {
		map_set(&c->r.ports, to->ports[i].name, (void *)(uintptr_t)(i + 1));
	}
}

static bool end_objects(struct changing *c)
{
	bool is_performance = c->r.config->is_performance;

	if (!c->has_objects) {
		share_objects(c);
		return true;
	}
	struct json_object *document = json_object_new_object();
	for (int i = 0; i < CONFIG_LISTS; i++) {
		json_put(document, config_list_names[i], json_object_get(c->lists[i]));
	}
	struct json_at root = json_root(document);
	bool ok = config_read_objects(&c->r, &root);
	c->r.config->is_performance = is_performance;
	json_object_put(document);
	return ok;
}

static bool on_section(void *arg, const char *name, size_t n_rules)
{
	struct changing *c = arg;
	struct switch_config *config = c->r.config;

	if (n_rules > CLASSIFIER_RULES_MAX) {
		return error_set(c->r.e, ERROR_LIMIT, "section \"%s\": %zu rules; there can be %d",
				 name, n_rules, CLASSIFIER_RULES_MAX);
	}
	config->sections[config->n_sections++] =
		(struct config_section){ arena_strdup(config->arena, name), n_rules };
	return true;
}

static bool on_rule(void *arg, const struct rule_order_item *item)
{
	struct changing *c = arg;
	struct switch_config *to = c->r.config;
	const struct switch_config *from = c->before;
	size_t i = to->n_rules++;

	if (item->was >= 0) {
		to->rules[i] = from->rules[item->was];
		to->rule_names[i] = from->rule_names[item->was];
		to->rule_texts[i] = from->rule_texts[item->was];
		return group_edit_check_rule(c->groups, &to->rules[i]);
	}
	struct json_at at = { .value = item->rule };
	return config_read_rule(&c->r, &at, item->section, i) ||
	       error_prefix(c->r.e,
			    "rule %llu of section \"%s\": ", (unsigned long long)to->rules[i].id,
			    item->section);
}

static bool end_rules(struct changing *c)
{
	struct switch_config *config = c->r.config;
	size_t n = rule_order_n_rules(c->rules), n_sections = rule_order_n_sections(c->rules);
	struct rule_order_visit visit = { on_section, on_rule, c };

	if (n_sections > CONFIG_SECTIONS_MAX) {
		return error_set(c->r.e, ERROR_LIMIT, "%zu sections; there can be %d", n_sections,
				 CONFIG_SECTIONS_MAX);
	}
	config->rules = arena_alloc(config->arena, n * sizeof(*config->rules));
	config->rule_names = arena_alloc(config->arena, n * sizeof(*config->rule_names));
	config->rule_texts = arena_alloc(config->arena, n * sizeof(*config->rule_texts));
	config->sections = arena_alloc(config->arena, n_sections * sizeof(*config->sections));
	return rule_order_visit(c->rules, &visit);
}

/* Parts that are mostly about what is no more: all is copied into one. */
static bool is_scattered(const struct switch_config *c)
{
	size_t used = 0;

	for (size_t i = 1; i < c->n_parts; i++) {
		used += c->parts[i]->arena->used;
	}
	return c->n_parts > PARTS_MAX ||
	       (c->n_parts > 1 && used > c->parts[0]->arena->used + ((size_t)1 << 20));
}

static const int32_t *copy_groups(struct arena *a, const int32_t *list, size_t n)
{
	int32_t *copy = n == 0 ? NULL : arena_alloc(a, n * sizeof(*copy));

	if (n > 0) {
		memcpy(copy, list, n * sizeof(*copy));
	}
	return copy;
}

static void copy_rule(struct arena *a, struct rule *r)
{
	struct rule_service *services = NULL;

	r->sources = copy_groups(a, r->sources, r->n_sources);
	r->destinations = copy_groups(a, r->destinations, r->n_destinations);
	r->applied_to = copy_groups(a, r->applied_to, r->n_applied_to);
	if (r->n_services > 0) {
		services = arena_alloc(a, r->n_services * sizeof(*services));
		memcpy(services, r->services, r->n_services * sizeof(*services));
	}
	r->services = services;
}

static void copy_group(struct arena *a, struct rule_group *g)
{
	struct prefix *prefixes = NULL;
	uint16_t *ports = NULL;

	if (g->n_prefixes > 0) {
		prefixes = arena_alloc(a, g->n_prefixes * sizeof(*prefixes));
		memcpy(prefixes, g->prefixes, g->n_prefixes * sizeof(*prefixes));
	}
	if (g->n_ports > 0) {
		ports = arena_alloc(a, g->n_ports * sizeof(*ports));
		memcpy(ports, g->ports, g->n_ports * sizeof(*ports));
	}
	g->prefixes = prefixes;
	g->ports = ports;
}

static void gather(struct switch_config *c)
{
	struct config_part *part = config_part_new();
	struct arena *a = part->arena;

	for (size_t i = 0; i < c->n_rules; i++) {
		copy_rule(a, &c->rules[i]);
		c->rule_names[i] = arena_strdup(a, c->rule_names[i]);
		c->rule_texts[i] = arena_strdup(a, c->rule_texts[i]);
	}
	for (size_t i = 0; i < c->n_groups; i++) {
		copy_group(a, &c->groups[i]);
		c->group_names[i] =
			c->group_names[i] == NULL ? NULL : arena_strdup(a, c->group_names[i]);
	}
	for (size_t i = 0; i < c->n_parts; i++) {
		config_part_free(c->parts[i]);
	}
	c->n_parts = 0;
	config_add_part(c, part);
}

static bool change(struct changing *c, const struct json_at *changes)
{
	for (size_t i = 0; i < json_array_n(changes); i++) {
		struct json_at item = json_item(changes, i), action;
		if (!find_action(&item, &action, c->r.e) || !take(c, &item, &action)) {
			return false;
		}
	}
	return end_objects(c) && group_edit_end(c->groups, c->has_objects) && end_rules(c);
}

struct switch_config *switch_config_change(const struct switch_config *before,
					   const struct json_at *changes, struct error *e)
{
	struct changing c = { .before = before, .r = { .config = switch_config_begin(), .e = e } };
	struct switch_config *config = c.r.config;

	config->is_performance = before->is_performance;
	config->fallback = before->fallback;
	for (size_t i = 0; i < before->n_parts; i++) {
		config_add_part(config, config_part_again(before->parts[i]));
	}
	config_add_part(config, config_part_new());
	c.r.arena = config->parts[config->n_parts - 1]->arena;
	c.groups = group_edit_new(before, &c.r);
	c.rules = rule_order_new(before);
	bool ok = change(&c, changes);
	group_edit_free(c.groups);
	rule_order_free(c.rules);
	config_reader_fini(&c.r);
	forget_remotes(&c);
	for (int i = 0; i < CONFIG_LISTS; i++) {
		json_object_put(c.lists[i]);
	}
	if (!ok) {
		switch_config_free(config);
		return NULL;
	}
	if (is_scattered(config)) {
		gather(config);
	}
	return config;
}
