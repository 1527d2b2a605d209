/* SPDX-License-Identifier: Apache-2.0 */
#include "center/intent_meaning.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "center/intent_address.h"

#define ZONES "/infra/sites/default/enforcement-points/default/transport-zones/"

enum {
	LEASE_S = 86400, /* of DHCP, where none is said */
};

struct reading {
	struct intent *in;
	struct intent_meaning *m;
	struct json_object *body;
	const struct intent_object *self;
	struct error *e;
};

/* ---- members of the body ---- */

static const char *text_of(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_string)
		       ? json_object_get_string(v)
		       : NULL;
}

static int64_t number_of(struct json_object *o, const char *key, int64_t otherwise)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_int)
		       ? json_object_get_int64(v)
		       : otherwise;
}

static size_t list_of(struct json_object *o, const char *key, struct json_object **out)
{
	*out = NULL;
	return json_object_object_get_ex(o, key, out) && json_object_is_type(*out, json_type_array)
		       ? json_object_array_length(*out)
		       : 0;
}

static const char *item_text(struct json_object *list, size_t i)
{
	return json_object_get_string(json_object_array_get_idx(list, i));
}

static bool add_ref(struct reading *r, struct intent_object *o)
{
	vec_push(&r->m->refs, o);
	return true;
}

static bool is_any(struct json_object *list, size_t n)
{
	return n == 0 || (n == 1 && strcmp(item_text(list, 0), "ANY") == 0);
}

/* ---- segments ---- */

static bool read_vni(struct reading *r)
{
	int64_t vni = number_of(r->body, "overlay_id", 0);
	const struct intent_object *other = map64_get(&r->in->vnis, (uint64_t)vni);

	r->m->vni = (uint32_t)vni;
	return other == NULL || other == r->self ||
	       error_set(r->e, ERROR_EXISTS, "overlay_id %" PRId64 " is segment \"%s\"'s", vni,
			 other->path);
}

static bool read_zone(struct reading *r)
{
	const char *zone = text_of(r->body, "transport_zone_path");

	if (zone == NULL || strcmp(zone, ZONES "overlay-geneve") == 0) {
		return true;
	}
	r->m->is_vxlan = true;
	return strcmp(zone, ZONES "overlay-vxlan") == 0 ||
	       error_set(r->e, ERROR_NOT_FOUND,
			 "there is no transport zone \"%.120s\"; there are overlay-geneve and "
			 "overlay-vxlan",
			 zone);
}

static bool read_gateways(struct reading *r)
{
	struct json_object *list;
	size_t n = list_of(r->body, "subnets", &list);

	for (size_t i = 0; i < n; i++) {
		char gateway[INTENT_PREFIX_MAX];
		const char *text = text_of(json_object_array_get_idx(list, i), "gateway_address");
		if (text == NULL || !intent_gateway(text, gateway)) {
			return error_set(r->e, ERROR_INVALID,
					 "\"subnets[%zu].gateway_address\": \"%.50s\" is no "
					 "address/length",
					 i, text == NULL ? "" : text);
		}
		vec_push(&r->m->gateways, mem_strdup(gateway));
	}
	return true;
}

/* The first subnet's that has one: guests learn their own address, whichever subnet it is on. */
static bool read_dhcp(struct reading *r)
{
	struct json_object *list, *dhcp = NULL, *dns;
	size_t n = list_of(r->body, "subnets", &list);

	for (size_t i = 0; i < n && dhcp == NULL; i++) {
		json_object_object_get_ex(json_object_array_get_idx(list, i), "dhcp_config", &dhcp);
	}
	if (dhcp == NULL) {
		return true;
	}
	if (r->m->router == NULL) {
		return error_set(
			r->e, ERROR_INVALID,
			"\"dhcp_config\": needs a \"connectivity_path\": the router answers");
	}
	buf_addf(&r->m->dhcp, "{\"lease_seconds\":%" PRId64 ",\"dns\":[",
		 number_of(dhcp, "lease_time", LEASE_S));
	n = list_of(dhcp, "dns_servers", &dns);
	for (size_t i = 0; i < n; i++) {
		struct in_addr address;
		if (inet_pton(AF_INET, item_text(dns, i), &address) != 1) {
			return error_set(r->e, ERROR_INVALID,
					 "\"dns_servers[%zu]\": \"%.50s\" is no IPv4 address", i,
					 item_text(dns, i));
		}
		buf_addf(&r->m->dhcp, "%s\"%s\"", i == 0 ? "" : ",", item_text(dns, i));
	}
	buf_adds(&r->m->dhcp, "]}");
	return true;
}

static bool read_segment(struct reading *r)
{
	const char *router = text_of(r->body, "connectivity_path");

	if (router != NULL) {
		r->m->router = intent_find_kind(r->in, INTENT_TIER1, router, r->e);
		if (r->m->router == NULL || !add_ref(r, r->m->router)) {
			return error_prefix(r->e, "\"connectivity_path\": ");
		}
	}
	return read_vni(r) && read_zone(r) && read_gateways(r) && read_dhcp(r);
}

static bool read_port(struct reading *r)
{
	struct json_object *list, *attachment = NULL;
	size_t n = list_of(r->body, "address_bindings", &list);

	json_object_object_get_ex(r->body, "attachment", &attachment);
	r->m->attachment = attachment == NULL ? NULL : text_of(attachment, "id");
	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		struct intent_binding b = { .mac = text_of(item, "mac_address") };
		const char *text = text_of(item, "ip_address");
		if (text == NULL || !intent_address(text, b.address)) {
			return error_set(r->e, ERROR_INVALID,
					 "\"address_bindings[%zu].ip_address\": \"%.50s\" is no "
					 "address",
					 i, text == NULL ? "" : text);
		}
		vec_push(&r->m->bindings, b);
	}
	return true;
}

/* ---- groups ---- */

struct prefixes {
	struct reading *r;
	size_t n; /* of one text */
	bool is_too_many;
};

static void take_prefix(void *arg, const char *prefix)
{
	struct prefixes *p = arg;

	if (p->r->m->prefixes.n >= INTENT_PREFIXES_MAX) {
		p->is_too_many = true;
	} else {
		vec_push(&p->r->m->prefixes, mem_strdup(prefix));
	}
}

static bool read_addresses(struct reading *r, struct json_object *expression)
{
	struct json_object *list;
	size_t n = list_of(expression, "ip_addresses", &list);

	for (size_t i = 0; i < n; i++) {
		struct prefixes p = { .r = r };
		if (!intent_prefixes(item_text(list, i), take_prefix, &p)) {
			return error_set(r->e, ERROR_INVALID,
					 "\"ip_addresses[%zu]\": \"%.100s\" is no address, network "
					 "or range",
					 i, item_text(list, i));
		}
		if (p.is_too_many) {
			return error_set(r->e, ERROR_LIMIT, "a group has at most %d networks",
					 INTENT_PREFIXES_MAX);
		}
	}
	return true;
}

static enum intent_match match_of(const char *name)
{
	static const char *const names[] = { "EQUALS", "NOTEQUALS", "CONTAINS", "STARTSWITH",
					     "ENDSWITH" };
	int i = 0;

	while (i < MATCH_ENDSWITH && strcmp(names[i], name) != 0) {
		i++;
	}
	return (enum intent_match)i;
}

/* "scope|tag"; without a bar, the tag alone with any scope; nothing before the bar is the same. */
static struct intent_term read_condition(struct json_object *expression)
{
	const char *value = text_of(expression, "value");
	bool is_tag = strcmp(text_of(expression, "key"), "Tag") == 0;
	const char *bar = is_tag ? strchr(value, '|') : NULL;
	struct intent_term t = {
		.kind = is_tag ? TERM_TAG : TERM_NAME,
		.match = match_of(text_of(expression, "operator")),
		.value = bar == NULL ? value : bar + 1,
	};

	if (bar != NULL && bar != value) {
		t.scope = value;
		t.scope_len = (size_t)(bar - value);
	}
	return t;
}

/* Is `self` the group, or somewhere within? Each group is looked at once in a reading. */
static bool contains(const struct reading *r, struct intent_object *group)
{
	if (group == r->self) {
		return true;
	}
	if (r->self == NULL || group->mark == r->in->mark) {
		return false;
	}
	group->mark = r->in->mark;
	vec_each (&group->meaning->refs, it) {
		if ((*it)->kind == INTENT_GROUP && contains(r, *it)) {
			return true;
		}
	}
	return false;
}

static bool read_member_path(struct reading *r, const char *path, bool is_joined,
			     struct intent_clause *clause)
{
	struct intent_object *o = intent_find(r->in, path);

	if (o == NULL || (o->kind != INTENT_SEGMENT && o->kind != INTENT_SEGMENT_PORT &&
			  o->kind != INTENT_GROUP)) {
		return error_set(r->e, ERROR_NOT_FOUND,
				 "\"paths\": there is no segment, port or group \"%.150s\"", path);
	}
	if (o->kind == INTENT_GROUP && is_joined) {
		return error_set(r->e, ERROR_INVALID,
				 "\"paths\": AND does not take groups (\"%.150s\")", path);
	}
	if (o->kind == INTENT_GROUP && contains(r, o)) {
		return error_set(r->e, ERROR_INVALID,
				 "\"paths\": group \"%.150s\" contains this one", path);
	}
	vec_push(&clause->terms, (struct intent_term){ .kind = TERM_OBJECT, .object = o });
	return add_ref(r, o);
}

static bool read_clause(struct reading *r, struct json_object *expression, bool is_joined,
			struct intent_clause *clause)
{
	const char *type = text_of(expression, "resource_type");
	struct json_object *list;
	size_t n;

	if (strcmp(type, "Condition") == 0) {
		vec_push(&clause->terms, read_condition(expression));
		return true;
	}
	if (strcmp(type, "ExternalIDExpression") == 0) {
		n = list_of(expression, "external_ids", &list);
		for (size_t i = 0; i < n; i++) {
			vec_push(&clause->terms,
				 (struct intent_term){ .kind = TERM_VM,
						       .value = item_text(list, i) });
		}
		return true;
	}
	n = list_of(expression, "paths", &list);
	for (size_t i = 0; i < n; i++) {
		if (!read_member_path(r, item_text(list, i), is_joined, clause)) {
			return false;
		}
	}
	return true;
}

/* Is the i-th of the expressions joined to another with AND? */
static bool is_joined_at(struct json_object *list, size_t i)
{
	for (size_t at = i == 0 ? 1 : i - 1; at <= i + 1; at += 2) {
		struct json_object *o = json_object_array_get_idx(list, at);
		const char *word = o == NULL ? NULL : text_of(o, "conjunction_operator");
		if (word != NULL && strcmp(word, "AND") == 0) {
			return true;
		}
	}
	return false;
}

static bool read_expression(struct reading *r, struct json_object *list, size_t i)
{
	struct json_object *expression = json_object_array_get_idx(list, i);
	const char *type = text_of(expression, "resource_type");
	bool is_word = strcmp(type, "ConjunctionOperator") == 0;
	bool is_joined = is_joined_at(list, i);

	if (is_word != (i % 2 == 1)) {
		return error_set(r->e, ERROR_INVALID,
				 "\"expression[%zu]\": a ConjunctionOperator stands between every "
				 "two expressions, and nowhere else",
				 i);
	}
	if (is_word) {
		return true;
	}
	if (strcmp(type, "IPAddressExpression") == 0) {
		return is_joined ? error_set(r->e, ERROR_INVALID,
					     "\"expression[%zu]\": AND does not take addresses", i)
				 : read_addresses(r, expression);
	}
	struct intent_clause clause = { 0 };
	if (!read_clause(r, expression, is_joined, &clause)) {
		vec_free(&clause.terms);
		return error_prefix(r->e, "\"expression[%zu]\": ", i);
	}
	if (i > 0) {
		struct json_object *before = json_object_array_get_idx(list, i - 1);
		clause.is_joined = strcmp(text_of(before, "conjunction_operator"), "AND") == 0;
	}
	vec_push(&r->m->clauses, clause);
	return true;
}

static bool read_group(struct reading *r)
{
	struct json_object *list;
	size_t n = list_of(r->body, "expression", &list);

	if (n > 0 && n % 2 == 0) {
		return error_set(r->e, ERROR_INVALID,
				 "\"expression\": ends with a ConjunctionOperator");
	}
	for (size_t i = 0; i < n; i++) {
		if (!read_expression(r, list, i)) {
			return false;
		}
	}
	return true;
}

/* ---- services ---- */

static bool write_ports(struct reading *r, struct json_object *entry, const char *key)
{
	struct json_object *list;
	size_t n = list_of(entry, key, &list);

	for (size_t i = 0; i < n; i++) {
		const char *text = item_text(list, i), *dash = strchr(text, '-');
		uint64_t from = 0, to = 0;
		bool ok = dash == NULL ? number_u64(text, &from)
				       : number_u64_n(text, (size_t)(dash - text), &from);
		ok = ok && number_u64(dash == NULL ? text : dash + 1, &to);
		if (!ok || from > to || to > UINT16_MAX) {
			return error_set(r->e, ERROR_INVALID,
					 "\"%s[%zu]\": \"%.20s\" is no port or range of ports from "
					 "0 to 65535",
					 key, i, text);
		}
		buf_addf(&r->m->entries, "%s\"%" PRIu64 "-%" PRIu64 "\"", i == 0 ? "" : ",", from,
			 to);
	}
	return true;
}

static bool write_port_list(struct reading *r, struct json_object *entry, const char *key,
			    const char *name)
{
	struct json_object *list;

	if (list_of(entry, key, &list) == 0) {
		return true;
	}
	buf_addf(&r->m->entries, ",\"%s\":[", name);
	bool ok = write_ports(r, entry, key);
	buf_addc(&r->m->entries, ']');
	return ok;
}

static bool write_icmp(struct reading *r, struct json_object *entry)
{
	int64_t type = number_of(entry, "icmp_type", -1), code = number_of(entry, "icmp_code", -1);

	if (code >= 0 && type < 0) {
		return error_set(r->e, ERROR_INVALID, "\"icmp_code\": goes with an icmp_type");
	}
	buf_addf(&r->m->entries, "{\"protocol\":\"%s\"",
		 strcmp(text_of(entry, "protocol"), "ICMPv4") == 0 ? "icmp" : "icmp6");
	if (type >= 0) {
		buf_addf(&r->m->entries, ",\"type\":%" PRId64, type);
	}
	if (code >= 0) {
		buf_addf(&r->m->entries, ",\"code\":%" PRId64, code);
	}
	buf_addc(&r->m->entries, '}');
	return true;
}

static bool write_entry(struct reading *r, struct json_object *entry)
{
	const char *type = text_of(entry, "resource_type");

	if (r->m->n_entries++ > 0) {
		buf_addc(&r->m->entries, ',');
	}
	if (strcmp(type, "ICMPTypeServiceEntry") == 0) {
		return write_icmp(r, entry);
	}
	if (strcmp(type, "IPProtocolServiceEntry") == 0) {
		buf_addf(&r->m->entries, "{\"protocol\":%" PRId64 "}",
			 number_of(entry, "protocol_number", 1));
		return true;
	}
	buf_addf(&r->m->entries, "{\"protocol\":\"%s\"",
		 strcmp(text_of(entry, "l4_protocol"), "TCP") == 0 ? "tcp" : "udp");
	bool ok = write_port_list(r, entry, "destination_ports", "ports") &&
		  write_port_list(r, entry, "source_ports", "source_ports");
	buf_addc(&r->m->entries, '}');
	return ok;
}

bool intent_service_fits(const struct intent *in, const struct intent_object *service,
			 size_t n_entries, struct error *e)
{
	list_each (struct intent_object, rule, &in->kinds[INTENT_RULE], link) {
		size_t n = 0;
		bool uses = false;
		vec_each (&rule->meaning->services, it) {
			uses |= *it == service;
			n += *it == service ? n_entries : (*it)->meaning->n_entries;
		}
		if (uses && n > INTENT_ENTRIES_MAX) {
			return error_set(e, ERROR_LIMIT,
					 "the services of rule \"%.150s\" would have %zu entries; "
					 "there may be %d",
					 rule->path, n, INTENT_ENTRIES_MAX);
		}
	}
	return true;
}

static bool read_service(struct reading *r)
{
	struct json_object *list;
	size_t n = list_of(r->body, "service_entries", &list);

	for (size_t i = 0; i < n; i++) {
		if (!write_entry(r, json_object_array_get_idx(list, i))) {
			return error_prefix(r->e, "\"service_entries[%zu]\": ", i);
		}
	}
	return r->self == NULL || r->self->n_referents == 0 ||
	       intent_service_fits(r->in, r->self, n, r->e);
}

/* ---- policies and rules ---- */

static bool read_scope(struct reading *r)
{
	struct json_object *list;
	size_t n = list_of(r->body, "scope", &list);

	if (is_any(list, n)) {
		return true;
	}
	for (size_t i = 0; i < n; i++) {
		struct intent_object *group =
			intent_find_kind(r->in, INTENT_GROUP, item_text(list, i), r->e);
		if (group == NULL) {
			return error_prefix(r->e, "\"scope[%zu]\": ", i);
		}
		vec_push(&r->m->scope, group);
		add_ref(r, group);
	}
	return true;
}

static bool read_policy(struct reading *r)
{
	static const char *const categories[] = { "Emergency", "Infrastructure", "Environment",
						  "Application" };
	const char *category = text_of(r->body, "category");

	r->m->category = ARRAY_LEN(categories) - 1;
	for (int i = 0; category != NULL && i < (int)ARRAY_LEN(categories); i++) {
		if (strcmp(categories[i], category) == 0) {
			r->m->category = i;
		}
	}
	r->m->sequence = number_of(r->body, "sequence_number", 0);
	return read_scope(r);
}

struct side_prefixes {
	struct intent_side *side;
	bool is_too_many;
};

static void take_side_prefix(void *arg, const char *prefix)
{
	struct side_prefixes *p = arg;

	if (p->side->prefixes.n >= INTENT_PREFIXES_MAX) {
		p->is_too_many = true;
	} else {
		vec_push(&p->side->prefixes, mem_strdup(prefix));
	}
}

/* Paths of groups, addresses, networks, ranges. */
static bool read_side(struct reading *r, const char *key, struct intent_side *side)
{
	struct json_object *list;
	size_t n = list_of(r->body, key, &list);
	struct side_prefixes p = { .side = side };

	if (is_any(list, n)) {
		return true;
	}
	for (size_t i = 0; i < n; i++) {
		const char *text = item_text(list, i);
		if (text[0] != '/') {
			if (!intent_prefixes(text, take_side_prefix, &p)) {
				return error_set(r->e, ERROR_INVALID,
						 "\"%s[%zu]\": \"%.100s\" is no path of a group, "
						 "address, network or range",
						 key, i, text);
			}
			continue;
		}
		struct intent_object *group = intent_find_kind(r->in, INTENT_GROUP, text, r->e);
		if (group == NULL) {
			return error_prefix(r->e, "\"%s[%zu]\": ", key, i);
		}
		vec_push(&side->groups, group);
		add_ref(r, group);
	}
	return !p.is_too_many || error_set(r->e, ERROR_LIMIT, "\"%s\": are more than %d networks",
					   key, INTENT_PREFIXES_MAX);
}

static bool read_rule_services(struct reading *r)
{
	struct json_object *list;
	size_t n = list_of(r->body, "services", &list), n_entries = 0;

	if (is_any(list, n)) {
		return true;
	}
	for (size_t i = 0; i < n; i++) {
		struct intent_object *service =
			intent_find_kind(r->in, INTENT_SERVICE, item_text(list, i), r->e);
		if (service == NULL) {
			return error_prefix(r->e, "\"services[%zu]\": ", i);
		}
		n_entries += service->meaning->n_entries;
		vec_push(&r->m->services, service);
		add_ref(r, service);
	}
	return n_entries <= INTENT_ENTRIES_MAX ||
	       error_set(r->e, ERROR_LIMIT, "\"services\": have %zu entries; there may be %d",
			 n_entries, INTENT_ENTRIES_MAX);
}

static bool read_rule(struct reading *r)
{
	r->m->sequence = number_of(r->body, "sequence_number", 0);
	r->m->number = (uint64_t)number_of(r->body, "rule_id", 0);
	return read_scope(r) && read_side(r, "source_groups", &r->m->sources) &&
	       read_side(r, "destination_groups", &r->m->destinations) && read_rule_services(r);
}

static bool read_tags(struct reading *r)
{
	struct json_object *list;
	size_t n = list_of(r->body, "tags", &list);

	for (size_t i = 0; i < n; i++) {
		struct json_object *tag = json_object_array_get_idx(list, i);
		const char *scope = text_of(tag, "scope"), *text = text_of(tag, "tag");
		vec_push(&r->m->tags, scope == NULL ? "" : scope);
		vec_push(&r->m->tags, text == NULL ? "" : text);
	}
	return true;
}

static bool read_nothing(struct reading *r)
{
	(void)r;
	return true;
}

/* ---- life ---- */

struct intent_meaning *intent_meaning_new(struct intent *in, enum intent_kind kind,
					  struct json_object *body,
					  const struct intent_object *self, struct error *e)
{
	static bool (*const readers[INTENT_N_KINDS])(struct reading * r) = {
		[INTENT_TIER1] = read_nothing,	   [INTENT_SEGMENT] = read_segment,
		[INTENT_SEGMENT_PORT] = read_port, [INTENT_GROUP] = read_group,
		[INTENT_SERVICE] = read_service,   [INTENT_SECURITY_POLICY] = read_policy,
		[INTENT_RULE] = read_rule,	   [INTENT_VM_TAGS] = read_tags,
	};
	in->mark++;
	struct reading r = { in, mem_zalloc(sizeof(struct intent_meaning)), body, self, e };

	if (readers[kind](&r)) {
		return r.m;
	}
	intent_meaning_free(r.m);
	return NULL;
}

static void side_free(struct intent_side *side)
{
	vec_each (&side->prefixes, it) {
		free(*it);
	}
	vec_free(&side->prefixes);
	vec_free(&side->groups);
}

void intent_meaning_free(struct intent_meaning *m)
{
	if (m == NULL) {
		return;
	}
	vec_each (&m->gateways, it) {
		free(*it);
	}
	vec_each (&m->clauses, clause) {
		vec_free(&clause->terms);
	}
	vec_each (&m->prefixes, prefix) {
		free(*prefix);
	}
	vec_free(&m->refs);
	vec_free(&m->gateways);
	buf_free(&m->dhcp);
	vec_free(&m->bindings);
	vec_free(&m->clauses);
	vec_free(&m->prefixes);
	buf_free(&m->entries);
	vec_free(&m->scope);
	side_free(&m->sources);
	side_free(&m->destinations);
	vec_free(&m->services);
	vec_free(&m->tags);
	free(m);
}
