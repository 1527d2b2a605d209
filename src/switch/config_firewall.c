/* SPDX-License-Identifier: Apache-2.0 */
/* Groups and the firewall of a plane document. */
#include "switch/config_read.h"

#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/number.h"

/* ---- groups ---- */

bool config_read_prefixes(struct config_reader *r, const struct json_at *at,
			  struct rule_group *group)
{
	struct json_at list = config_list(at, "addresses");
	struct prefix *prefixes = config_array(r, json_array_n(&list), sizeof(*prefixes));

	group->prefixes = prefixes;
	group->n_prefixes = json_array_n(&list);
	for (size_t i = 0; i < group->n_prefixes; i++) {
		struct json_at item = json_item(&list, i);
		const char *text;
		if (!json_as_str(&item, &text, r->e)) {
			return false;
		}
		if (!prefix_parse(text, &prefixes[i])) {
			return json_error(&item, r->e,
					  "\"%s\" is no prefix, or has bits beyond its length",
					  text);
		}
	}
	return true;
}

bool config_read_group_ports(struct config_reader *r, const struct json_at *at,
			     struct rule_group *group)
{
	struct json_at list = config_list(at, "ports");
	uint16_t *ports = config_array(r, json_array_n(&list), sizeof(*ports));

	group->ports = ports;
	group->n_ports = json_array_n(&list);
	for (size_t i = 0; i < group->n_ports; i++) {
		struct json_at item = json_item(&list, i);
		uint32_t port;
		if (!config_find(r, &r->ports, &item, "port", &port)) {
			return false;
		}
		ports[i] = (uint16_t)port;
	}
	return true;
}

static bool read_groups(struct config_reader *r, const struct json_at *document)
{
	struct switch_config *c = r->config;
	struct json_at list = config_list(document, "groups");

	c->n_groups = json_array_n(&list);
	c->groups = arena_alloc(c->arena, c->n_groups * sizeof(*c->groups));
	c->group_names = arena_alloc(c->arena, c->n_groups * sizeof(*c->group_names));
	for (size_t i = 0; i < c->n_groups; i++) {
		struct json_at item = json_item(&list, i);
		c->group_names[i] = config_str(r, &item, "name");
		if (!name_index_add(&r->groups, c->group_names[i], (uint32_t)i)) {
			return json_error(&item, r->e, "\"%s\" is there twice", c->group_names[i]);
		}
		if (!config_read_group_ports(r, &item, &c->groups[i]) ||
		    !config_read_prefixes(r, &item, &c->groups[i])) {
			return false;
		}
	}
	return true;
}

/* ---- services ---- */

static bool read_protocol(struct config_reader *r, const struct json_at *at, uint8_t *out)
{
	static const struct {
		const char *name;
		uint8_t number;
	} protocols[] = {
		{ "tcp", 6 }, { "udp", 17 }, { "icmp", 1 }, { "icmp6", 58 }, { "sctp", 132 }
	};
	struct json_at member;
	const char *name;

	if (!json_get(at, "protocol", &member, r->e)) {
		return false;
	}
	if (json_object_is_type(member.value, json_type_int)) {
		*out = (uint8_t)config_u64(at, "protocol", 0);
		return true;
	}
	if (!json_as_str(&member, &name, r->e)) {
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
		if (strcmp(protocols[i].name, name) == 0) {
			*out = protocols[i].number;
			return true;
		}
	}
	return json_error(&member, r->e, "\"%s\" is no protocol", name);
}

/* "443" or "1024-65535"; the schema has seen to it that there are digits. */
static bool read_ports_range(struct config_reader *r, const struct json_at *at, uint16_t *from,
			     uint16_t *to)
{
	const char *text;
	char *end;

	if (!json_as_str(at, &text, r->e)) {
		return false;
	}
	unsigned long low = strtoul(text, &end, 10), high = low;
	if (*end == '-') {
		high = strtoul(end + 1, NULL, 10);
	}
	if (low > high || high > UINT16_MAX) {
		return json_error(at, r->e, "\"%s\" is no range of ports from 0 to 65535", text);
	}
	*from = (uint16_t)low;
	*to = (uint16_t)high;
	return true;
}

static bool has_ports(uint8_t proto)
{
	return proto == 6 || proto == 17 || proto == 132;
}

static bool read_icmp(struct config_reader *r, const struct json_at *at, struct rule_service *s)
{
	uint16_t type = (uint16_t)config_u64(at, "type", 0);

	s->destination_to = UINT16_MAX;
	s->source_to = UINT16_MAX;
	if (json_has(at, "code") && !json_has(at, "type")) {
		return json_error(at, r->e, "has a code but no type");
	}
	if (json_has(at, "type")) {
		uint16_t code = (uint16_t)config_u64(at, "code", 0);
		s->destination_from = (uint16_t)(type << 8 | code);
		s->destination_to =
			json_has(at, "code") ? s->destination_from : (uint16_t)(type << 8 | 255);
	}
	return true;
}

/* A service with lists of ports is each pair of theirs. */
static size_t n_pairs(const struct json_at *at)
{
	struct json_at ports = config_list(at, "ports"), sources = config_list(at, "source_ports");

	return MAX(json_array_n(&ports), (size_t)1) * MAX(json_array_n(&sources), (size_t)1);
}

static bool read_service(struct config_reader *r, const struct json_at *at,
			 struct rule_service *out)
{
	struct json_at ports = config_list(at, "ports"), sources = config_list(at, "source_ports");
	size_t n_ports = json_array_n(&ports), n_sources = json_array_n(&sources);
	uint8_t proto = 0;

	if (!read_protocol(r, at, &proto)) {
		return false;
	}
	if (n_ports + n_sources > 0 && !has_ports(proto)) {
		return json_error(at, r->e, "protocol %u has no ports", proto);
	}
	if ((json_has(at, "type") || json_has(at, "code")) && proto != 1 && proto != 58) {
		return json_error(at, r->e, "protocol %u has no ICMP type", proto);
	}
	for (size_t i = 0; i < n_pairs(at); i++) {
		struct rule_service *s = &out[i];
		*s = (struct rule_service){ .proto = proto };
		if (!read_icmp(r, at, s)) {
			return false;
		}
		if (n_ports > 0) {
			struct json_at port = json_item(&ports, i % n_ports);
			if (!read_ports_range(r, &port, &s->destination_from, &s->destination_to)) {
				return false;
			}
		}
		if (n_sources > 0) {
			struct json_at source = json_item(&sources, i / MAX(n_ports, (size_t)1));
			if (!read_ports_range(r, &source, &s->source_from, &s->source_to)) {
				return false;
			}
		}
	}
	return true;
}

static bool read_services(struct config_reader *r, const struct json_at *at, struct rule *rule)
{
	struct json_at list = config_list(at, "services");
	size_t n = 0;

	for (size_t i = 0; i < json_array_n(&list); i++) {
		struct json_at item = json_item(&list, i);
		n += n_pairs(&item);
	}
	if (n > UINT16_MAX) {
		return json_error(&list, r->e, "are %zu pairs of ports; there may be %d", n,
				  UINT16_MAX);
	}
	struct rule_service *services = config_array(r, n, sizeof(*services));
	rule->services = services;
	rule->n_services = (uint16_t)n;
	for (size_t i = 0; i < json_array_n(&list); i++) {
		struct json_at item = json_item(&list, i);
		if (!read_service(r, &item, services)) {
			return false;
		}
		services += n_pairs(&item);
	}
	return true;
}

/* ---- rules ---- */

/* A rule's members, each found once: there are many rules. */
enum rule_member {
	RULE_ID,
	RULE_NAME,
	RULE_SOURCES,
	RULE_DESTINATIONS,
	RULE_SERVICES,
	RULE_APPLIED_TO,
	RULE_DIRECTION,
	RULE_IP,
	RULE_ACTION,
	RULE_LOG,
	RULE_DISABLED,
	RULE_MEMBERS
};

static const char *const member_names[RULE_MEMBERS] = { "id",		"name",	    "sources",
							"destinations", "services", "applied_to",
							"direction",	"ip",	    "action",
							"log",		"disabled" };

static void find_members(const struct json_at *at, struct json_object *out[RULE_MEMBERS])
{
	memset(out, 0, RULE_MEMBERS * sizeof(*out));
	json_object_object_foreach(at->value, key, value)
	{
		for (int i = 0; i < RULE_MEMBERS; i++) {
			if (strcmp(member_names[i], key) == 0) {
				out[i] = value;
				break;
			}
		}
	}
}

/* NULL where it is absent; the schema has seen to it that it is a string. */
static const char *text_of(struct json_object *value)
{
	return value == NULL ? NULL : json_object_get_string(value);
}

static bool read_group_list(struct config_reader *r, const struct json_at *list,
			    const int32_t **out, uint16_t *n)
{
	int32_t *groups = config_array(r, json_array_n(list), sizeof(*groups));

	*out = groups;
	*n = (uint16_t)json_array_n(list);
	for (uint16_t i = 0; i < *n; i++) {
		struct json_at item = json_item(list, i);
		const char *name;
		uint32_t group;
		if (!json_as_str(&item, &name, r->e)) {
			return false;
		}
		if (!name_index_find(&r->groups, name, &group) ||
		    r->config->group_names[group] == NULL) {
			return json_error(&item, r->e, "there is no group \"%s\"", name);
		}
		groups[i] = (int32_t)group;
	}
	return true;
}

enum rule_action config_action(const char *text, enum rule_action otherwise)
{
	if (text == NULL) {
		return otherwise;
	}
	return strcmp(text, "allow") == 0  ? RULE_ALLOW
	       : strcmp(text, "drop") == 0 ? RULE_DROP
					   : RULE_REJECT;
}

const char *config_action_name(enum rule_action action)
{
	return action == RULE_ALLOW ? "allow" : action == RULE_DROP ? "drop" : "reject";
}

static enum rule_direction read_direction(const char *text)
{
	if (text == NULL || strcmp(text, "in_out") == 0) {
		return RULE_IN_OUT;
	}
	return strcmp(text, "in") == 0 ? RULE_IN : RULE_OUT;
}

static bool read_rule(struct config_reader *r, const struct json_at *at, struct json_object **m,
		      struct rule *rule)
{
	struct json_at sources = { m[RULE_SOURCES], at, "sources", 0 };
	struct json_at destinations = { m[RULE_DESTINATIONS], at, "destinations", 0 };
	struct json_at applied_to = { m[RULE_APPLIED_TO], at, "applied_to", 0 };

	rule->id = json_object_get_uint64(m[RULE_ID]);
	rule->ip = (uint8_t)(m[RULE_IP] == NULL ? 0 : json_object_get_int(m[RULE_IP]));
	rule->log = m[RULE_LOG] != NULL && json_object_get_boolean(m[RULE_LOG]);
	rule->is_disabled = m[RULE_DISABLED] != NULL && json_object_get_boolean(m[RULE_DISABLED]);
	rule->action = (uint8_t)config_action(text_of(m[RULE_ACTION]), RULE_DROP);
	rule->direction = (uint8_t)read_direction(text_of(m[RULE_DIRECTION]));
	return read_group_list(r, &sources, &rule->sources, &rule->n_sources) &&
	       read_group_list(r, &destinations, &rule->destinations, &rule->n_destinations) &&
	       read_group_list(r, &applied_to, &rule->applied_to, &rule->n_applied_to) &&
	       (m[RULE_SERVICES] == NULL || read_services(r, at, rule));
}

bool config_read_rule(struct config_reader *r, const struct json_at *at, const char *section,
		      size_t index)
{
	struct switch_config *c = r->config;
	struct json_object *members[RULE_MEMBERS];
	struct buf text = BUF_INIT;
	const char *name = "";

	find_members(at, members);
	if (members[RULE_NAME] != NULL) {
		struct json_at member = { members[RULE_NAME], at, "name", 0 };
		if (!json_as_str(&member, &name, r->e)) {
			return false;
		}
	}
	buf_addf(&text, "%s/%s", section, name);
	c->rule_names[index] = arena_strndup(r->arena, text.data, text.len);
	text.len = 0;
	json_add_text(&text, at->value);
	c->rule_texts[index] = arena_strndup(r->arena, text.data, text.len);
	buf_free(&text);
	return read_rule(r, at, members, &c->rules[index]);
}

static bool read_section(struct config_reader *r, const struct json_at *at, struct map64 *ids,
			 struct config_section *section)
{
	struct switch_config *c = r->config;
	struct json_at list = config_list(at, "rules");

	section->name = config_str(r, at, "name");
	section->n_rules = json_array_n(&list);
	for (size_t i = 0; i < section->n_rules; i++) {
		struct json_at item = json_item(&list, i);
		if (!config_read_rule(r, &item, section->name, c->n_rules)) {
			return false;
		}
		uint64_t id = c->rules[c->n_rules].id;
		if (map64_has(ids, id)) {
			return json_error(&item, r->e, "rule %llu is there twice",
					  (unsigned long long)id);
		}
		map64_set(ids, id, NULL);
		c->n_rules++;
	}
	return true;
}

static size_t count_rules(const struct json_at *sections)
{
	size_t n = 0;

	for (size_t i = 0; i < json_array_n(sections); i++) {
		struct json_at section = json_item(sections, i);
		struct json_at rules = config_list(&section, "rules");
		n += json_array_n(&rules);
	}
	return n;
}

static bool read_sections(struct config_reader *r, const struct json_at *firewall)
{
	struct switch_config *c = r->config;
	struct json_at sections = config_list(firewall, "sections");
	size_t n = count_rules(&sections);
	struct map names = { 0 };
	struct map64 ids = { 0 };
	bool ok = true;

	c->rules = arena_alloc(c->arena, n * sizeof(*c->rules));
	c->rule_names = arena_alloc(c->arena, n * sizeof(*c->rule_names));
	c->rule_texts = arena_alloc(c->arena, n * sizeof(*c->rule_texts));
	c->n_sections = json_array_n(&sections);
	c->sections = arena_alloc(c->arena, c->n_sections * sizeof(*c->sections));
	for (size_t i = 0; ok && i < c->n_sections; i++) {
		struct json_at section = json_item(&sections, i);
		ok = read_section(r, &section, &ids, &c->sections[i]) &&
		     config_name(r, &names, &section, c->sections[i].name, i);
	}
	map_free(&names);
	map64_free(&ids);
	return ok;
}

bool config_read_firewall(struct config_reader *r, const struct json_at *document)
{
	struct json_at firewall;

	r->config->fallback = RULE_ALLOW;
	if (!read_groups(r, document)) {
		return false;
	}
	if (!json_has(document, "firewall")) {
		return true;
	}
	if (!json_get_object(document, "firewall", &firewall, r->e)) {
		return false;
	}
	r->config->fallback = config_action(config_str(r, &firewall, "default"), RULE_ALLOW);
	return read_sections(r, &firewall);
}
