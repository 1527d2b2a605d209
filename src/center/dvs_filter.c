/* SPDX-License-Identifier: Apache-2.0 */
#include "center/dvs_filter.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "base/number.h"
#include "vim/fault.h"

#define AGENT "dvfilter-generic-vmware"

enum {
	ETHERTYPE_IP4 = 0x0800,
	ETHERTYPE_IP6 = 0x86dd,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17
};

/* ---- what is given ---- */

static const char *operation_of(const struct value *config)
{
	return value_is_a(config, T_DvsTrafficFilterConfigSpec)
		       ? value_get_str(config, F_DvsTrafficFilterConfigSpec_operation)
	       : value_is_a(config, T_DvsFilterConfigSpec)
		       ? value_get_str(config, F_DvsFilterConfigSpec_operation)
		       : NULL;
}

/* The greatest number among the keys, so that new ones are new. */
static int64_t key_after(const struct value *list, unsigned field)
{
	int64_t most = 0, n;

	for (size_t i = 0; i < value_count(list); i++) {
		const char *key = value_get_str(value_item(list, i), field);
		if (key != NULL && number_i64(key, &n) && n > most) {
			most = n;
		}
	}
	return most + 1;
}

static struct value *with_key(struct arena *a, const struct value *v, unsigned field, int64_t *next)
{
	struct value *out = value_edit(a, v);
	const char *key = value_get_str(v, field);

	if (key == NULL || key[0] == '\0') {
		value_set_strf(a, out, field, "%" PRId64, (*next)++);
	}
	return out;
}

static const struct value *keyed_rules(struct arena *a, const struct value *rules)
{
	struct value *out = value_new_array(a, T_DvsTrafficRule);
	int64_t next = key_after(rules, F_DvsTrafficRule_key);

	for (size_t i = 0; i < value_count(rules); i++) {
		struct value *rule = with_key(a, value_item(rules, i), F_DvsTrafficRule_key, &next);
		const struct value *list = value_get_value(rule, F_DvsTrafficRule_qualifier);
		struct value *qualifiers = value_new_array(a, T_DvsNetworkRuleQualifier);
		int64_t q = key_after(list, F_DvsNetworkRuleQualifier_key);
		for (size_t j = 0; j < value_count(list); j++) {
			value_push(a, qualifiers,
				   with_key(a, value_item(list, j), F_DvsNetworkRuleQualifier_key,
					    &q));
		}
		if (list != NULL) {
			value_set(a, rule, F_DvsTrafficRule_qualifier, qualifiers);
		}
		value_push(a, out, rule);
	}
	return out;
}

/* As it is kept: without operation, with all keys. */
static struct value *config_kept(struct arena *a, const struct value *given, int64_t *next)
{
	struct value *v = value_new(a, T_DvsTrafficFilterConfig);
	const struct value *set;
	union slot s;
	/* Other kinds have fields of their own behind those that all have. */
	int last = value_is_a(given, T_DvsTrafficFilterConfig)
			   ? F_DvsTrafficFilterConfig_trafficRuleset
			   : F_DvsFilterConfig_onFailure;

	for (int i = -1; value_next(given, &i, &s);) {
		if (i <= last) {
			value_set_slot(v, (unsigned)i, s);
		}
	}
	v = with_key(a, v, F_DvsFilterConfig_key, next);
	set = value_get_value(v, F_DvsTrafficFilterConfig_trafficRuleset);
	if (set != NULL) {
		int64_t one = 1;
		struct value *edit = with_key(a, set, F_DvsTrafficRuleset_key, &one);
		const struct value *rules = value_get_value(set, F_DvsTrafficRuleset_rules);
		if (rules != NULL) {
			value_set(a, edit, F_DvsTrafficRuleset_rules, keyed_rules(a, rules));
		}
		value_set(a, v, F_DvsTrafficFilterConfig_trafficRuleset, edit);
	}
	return v;
}

static size_t find_key(const struct value *list, const char *key)
{
	for (size_t i = 0; key != NULL && i < value_count(list); i++) {
		const char *its = value_get_str(value_item(list, i), F_DvsFilterConfig_key);
		if (its != NULL && strcmp(its, key) == 0) {
			return i;
		}
	}
	return SIZE_MAX;
}

static struct value *list_change(struct arena *a, const struct value *list,
				 const struct value *given, struct refusal *r)
{
	const char *op = operation_of(given);
	const char *key = value_get_str(given, F_DvsFilterConfig_key);
	struct value *out = value_new_array(a, T_DvsFilterConfig);
	int64_t next = key_after(list, F_DvsFilterConfig_key);
	size_t at = find_key(list, key);
	bool is_add = op == NULL || strcmp(op, "add") == 0;
	bool is_remove = op != NULL && strcmp(op, "remove") == 0;

	if (!is_add && !is_remove && strcmp(op, "edit") != 0) {
		refuse(r, fault_invalid_argument(a, "filterConfig.operation"),
		       "\"%.40s\" is none of add, edit and remove", op);
		return NULL;
	}
	if (!is_add && at == SIZE_MAX) {
		refuse(r, fault_invalid_argument(a, "filterConfig.key"),
		       "there is no filter \"%.40s\"", key == NULL ? "" : key);
		return NULL;
	}
	for (size_t i = 0; i < value_count(list); i++) {
		if (i != at) {
			value_push(a, out, value_item(list, i));
		} else if (!is_remove) {
			value_push(a, out, config_kept(a, given, &next));
		}
	}
	if (is_add && at == SIZE_MAX) {
		value_push(a, out, config_kept(a, given, &next));
	}
	return out;
}

const struct value *filter_apply(struct arena *a, const struct value *old, const struct value *spec,
				 struct refusal *r)
{
	const struct value *given = value_get_value(spec, F_DvsFilterPolicy_filterConfig);
	const struct value *list =
		old == NULL ? NULL : value_get_value(old, F_DvsFilterPolicy_filterConfig);
	bool is_change = false;

	for (size_t i = 0; i < value_count(given); i++) {
		is_change |= operation_of(value_item(given, i)) != NULL;
	}
	if (given != NULL && !is_change) {
		list = value_new_array(a, T_DvsFilterConfig);
	}
	for (size_t i = 0; i < value_count(given); i++) {
		list = list_change(a, list, value_item(given, i), r);
		if (list == NULL) {
			return NULL;
		}
	}
	struct value *v = value_new(a, T_DvsFilterPolicy);
	value_set_bool(a, v, F_InheritablePolicy_inherited,
		       value_get_bool(spec, F_InheritablePolicy_inherited, false));
	value_set(a, v, F_DvsFilterPolicy_filterConfig, list);
	return v;
}

/* ---- rules of the plane ---- */

struct writing {
	const char *key;
	struct json_object *rules, *groups; /* borrowed */
	const char *rule;		    /* name of the present one */
	struct error *e;
};

static bool cannot(const struct writing *x, const char *what)
{
	return error_set(x->e, ERROR_UNSUPPORTED, "\"%s\": rule \"%.80s\": %s", x->key, x->rule,
			 what);
}

static bool invalid(const struct writing *x, const char *what)
{
	return error_set(x->e, ERROR_INVALID, "\"%s\": rule \"%.80s\": %s", x->key, x->rule, what);
}

static bool is_negated(const struct value *expression)
{
	return value_get_bool(expression, F_NegatableExpression_negate, false);
}

/* "address/length" with the bits beyond the length cleared. length -1: all of the address. */
static bool prefix_text(const char *address, int64_t length, char *out, size_t size)
{
	unsigned char b[16];
	char text[INET6_ADDRSTRLEN];
	int family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
	int64_t bits = family == AF_INET ? 32 : 128;

	length = length < 0 ? bits : length;
	if (inet_pton(family, address, b) != 1 || length > bits) {
		return false;
	}
	for (int64_t i = length; i < bits; i++) {
		b[i / 8] &= (unsigned char)~(0x80 >> i % 8);
	}
	inet_ntop(family, b, text, sizeof(text));
	if (length == bits) {
		snprintf(out, size, "%s", text);
	} else {
		snprintf(out, size, "%s/%" PRId64, text, length);
	}
	return true;
}

/* A group of one address or prefix, named by `member` of the rule. */
static bool write_address(const struct writing *x, struct json_object *rule, const char *member,
			  const struct value *at)
{
	char text[80], name[160];
	const char *address;
	int64_t length = -1;

	if (at == NULL) {
		return true;
	}
	if (is_negated(at)) {
		return cannot(x, "an address cannot be negated");
	}
	if (value_is_a(at, T_SingleIp)) {
		address = value_get_str(at, F_SingleIp_address);
	} else if (value_is_a(at, T_IpRange)) {
		address = value_get_str(at, F_IpRange_addressPrefix);
		length = value_get_num(at, F_IpRange_prefixLength, -1);
	} else {
		return cannot(x, "an address is of an unknown kind");
	}
	if (!prefix_text(address, length, text, sizeof(text))) {
		return invalid(x, "an address is no IP address or prefix");
	}
	struct json_object *group = json_object_new_object();
	struct json_object *list = json_object_new_array(), *names = json_object_new_array();
	snprintf(name, sizeof(name), "%s/%zu", x->key,
		 (size_t)json_object_array_length(x->groups) + 1);
	json_object_array_add(list, json_new_str(text));
	json_put_str(group, "name", name);
	json_put(group, "addresses", list);
	json_object_array_add(x->groups, group);
	json_object_array_add(names, json_new_str(name));
	json_put(rule, member, names);
	return true;
}

/* "80" or "1-1023" in a list of one. */
static bool write_ports(const struct writing *x, struct json_object *service, const char *member,
			const struct value *ports)
{
	int64_t from, to;
	char text[48];

	if (ports == NULL) {
		return true;
	}
	if (is_negated(ports)) {
		return cannot(x, "ports cannot be negated");
	}
	if (value_is_a(ports, T_DvsSingleIpPort)) {
		from = to = value_get_num(ports, F_DvsSingleIpPort_portNumber, -1);
	} else if (value_is_a(ports, T_DvsIpPortRange)) {
		from = value_get_num(ports, F_DvsIpPortRange_startPortNumber, -1);
		to = value_get_num(ports, F_DvsIpPortRange_endPortNumber, -1);
	} else {
		return cannot(x, "ports are of an unknown kind");
	}
	if (from < 0 || from > to || to > UINT16_MAX) {
		return invalid(x, "ports are not from 0 to 65535, the first not after the last");
	}
	if (from == to) {
		snprintf(text, sizeof(text), "%" PRId64, from);
	} else {
		snprintf(text, sizeof(text), "%" PRId64 "-%" PRId64, from, to);
	}
	struct json_object *list = json_object_new_array();
	json_object_array_add(list, json_new_str(text));
	json_put(service, member, list);
	return true;
}

static bool write_service(const struct writing *x, struct json_object *services, int64_t protocol,
			  const struct value *ip)
{
	struct json_object *service = json_object_new_object();

	json_put_i64(service, "protocol", protocol);
	json_object_array_add(services, service);
	return write_ports(x, service, "ports",
			   value_get_value(ip, F_DvsIpNetworkRuleQualifier_destinationIpPort)) &&
	       write_ports(x, service, "source_ports",
			   value_get_value(ip, F_DvsIpNetworkRuleQualifier_sourceIpPort));
}

static bool write_ip(const struct writing *x, struct json_object *rule, const struct value *ip)
{
	const struct value *protocol = value_get_value(ip, F_DvsIpNetworkRuleQualifier_protocol);
	int64_t n = value_get_num(protocol, F_IntExpression_value, 0);
	bool has_ports = value_has(ip, F_DvsIpNetworkRuleQualifier_sourceIpPort) ||
			 value_has(ip, F_DvsIpNetworkRuleQualifier_destinationIpPort);

	if (value_has(ip, F_DvsIpNetworkRuleQualifier_tcpFlags)) {
		return cannot(x, "TCP flags cannot be asked for, as connections are followed");
	}
	if (is_negated(protocol)) {
		return cannot(x, "a protocol cannot be negated");
	}
	if (n < 0 || n > UINT8_MAX) {
		return invalid(x, "a protocol is not from 0 to 255");
	}
	if (has_ports && n != 0 && n != PROTOCOL_TCP && n != PROTOCOL_UDP) {
		return invalid(x, "only TCP and UDP have ports");
	}
	if (!write_address(x, rule, "sources",
			   value_get_value(ip, F_DvsIpNetworkRuleQualifier_sourceAddress)) ||
	    !write_address(x, rule, "destinations",
			   value_get_value(ip, F_DvsIpNetworkRuleQualifier_destinationAddress))) {
		return false;
	}
	if (n == 0 && !has_ports) {
		return true;
	}
	struct json_object *services = json_object_new_array();
	json_put(rule, "services", services);
	if (n != 0) {
		return write_service(x, services, n, ip);
	}
	return write_service(x, services, PROTOCOL_TCP, ip) &&
	       write_service(x, services, PROTOCOL_UDP, ip);
}

static bool write_mac(const struct writing *x, struct json_object *rule, const struct value *mac)
{
	const struct value *type = value_get_value(mac, F_DvsMacNetworkRuleQualifier_protocol);
	int64_t n = value_get_num(type, F_IntExpression_value, 0);

	if (value_has(mac, F_DvsMacNetworkRuleQualifier_sourceAddress) ||
	    value_has(mac, F_DvsMacNetworkRuleQualifier_destinationAddress)) {
		return cannot(x, "MAC addresses cannot be asked for");
	}
	if (value_has(mac, F_DvsMacNetworkRuleQualifier_vlanId)) {
		return cannot(x, "a VLAN cannot be asked for");
	}
	if (is_negated(type) || (n != 0 && n != ETHERTYPE_IP4 && n != ETHERTYPE_IP6)) {
		return cannot(x, "of Ethernet protocols only IPv4 and IPv6 can be asked for");
	}
	if (n != 0) {
		json_put_i64(rule, "ip", n == ETHERTYPE_IP4 ? 4 : 6);
	}
	return true;
}

static bool write_system(const struct writing *x, const struct value *system)
{
	const struct value *type =
		value_get_value(system, F_DvsSystemTrafficNetworkRuleQualifier_typeOfSystemTraffic);
	const char *name = type == NULL ? NULL : value_get_str(type, F_StringExpression_value);

	return (name != NULL && strcmp(name, "virtualMachine") == 0 && !is_negated(type)) ||
	       cannot(x, "of system traffic only virtualMachine passes port groups here");
}

static bool write_qualifiers(const struct writing *x, struct json_object *rule,
			     const struct value *list)
{
	unsigned n_ip = 0, n_mac = 0;

	for (size_t i = 0; i < value_count(list); i++) {
		const struct value *q = value_item(list, i);
		bool ok = false;
		if (value_is_a(q, T_DvsIpNetworkRuleQualifier)) {
			ok = n_ip++ == 0 ? write_ip(x, rule, q)
					 : cannot(x, "it has more than one IP qualifier");
		} else if (value_is_a(q, T_DvsMacNetworkRuleQualifier)) {
			ok = n_mac++ == 0 ? write_mac(x, rule, q)
					  : cannot(x, "it has more than one MAC qualifier");
		} else if (value_is_a(q, T_DvsSystemTrafficNetworkRuleQualifier)) {
			ok = write_system(x, q);
		} else {
			ok = cannot(x, "a qualifier is of an unknown kind");
		}
		if (!ok) {
			return false;
		}
	}
	return true;
}

static bool write_rule(const struct writing *x, const struct value *given, int64_t id)
{
	static const struct {
		const char *given, *plane;
	} directions[] = {
		{ "incomingPackets", "out" },
		{ "outgoingPackets", "in" },
		{ "both", "in_out" },
	};
	const struct value *action = value_get_value(given, F_DvsTrafficRule_action);
	const char *direction = value_get_str(given, F_DvsTrafficRule_direction);
	const char *plane = direction == NULL ? "in_out" : NULL;
	bool is_drop = value_is_a(action, T_DvsDropNetworkRuleAction);

	for (size_t i = 0; plane == NULL && i < ARRAY_LEN(directions); i++) {
		plane = strcmp(directions[i].given, direction) == 0 ? directions[i].plane : NULL;
	}
	if (plane == NULL) {
		return invalid(x,
			       "its direction is none of incomingPackets, outgoingPackets, both");
	}
	if (!is_drop && !value_is_a(action, T_DvsAcceptNetworkRuleAction)) {
		return cannot(x, "its action is neither to accept nor to drop");
	}
	struct json_object *rule = json_object_new_object();
	json_put_i64(rule, "id", id);
	json_put_str(rule, "name", x->rule);
	json_put_str(rule, "direction", plane);
	json_put_str(rule, "action", is_drop ? "drop" : "allow");
	json_object_array_add(x->rules, rule);
	return write_qualifiers(x, rule, value_get_value(given, F_DvsTrafficRule_qualifier));
}

static int by_sequence(const void *a, const void *b)
{
	const struct value *x = *(const struct value *const *)a;
	const struct value *y = *(const struct value *const *)b;
	int64_t m = value_get_num(x, F_DvsTrafficRule_sequence, 0);
	int64_t n = value_get_num(y, F_DvsTrafficRule_sequence, 0);

	return m < n ? -1 : m > n;
}

static const char *rule_name(const struct value *rule)
{
	const char *text = value_get_str(rule, F_DvsTrafficRule_description);
	const char *key = value_get_str(rule, F_DvsTrafficRule_key);

	return text != NULL && text[0] != '\0' ? text : key != NULL ? key : "";
}

static bool write_ruleset(struct writing *x, const struct value *set, int64_t first_id)
{
	const struct value *rules = value_get_value(set, F_DvsTrafficRuleset_rules);
	size_t n = value_count(rules);

	if (!value_get_bool(set, F_DvsTrafficRuleset_enabled, false) || n == 0) {
		return true;
	}
	if (n > FILTER_RULES_MAX) {
		return error_set(x->e, ERROR_INVALID, "\"%s\": %zu rules, the limit is %d", x->key,
				 n, FILTER_RULES_MAX);
	}
	const struct value **order = mem_calloc(n, sizeof(*order));
	bool ok = true;
	for (size_t i = 0; i < n; i++) {
		order[i] = value_item(rules, i);
	}
	qsort(order, n, sizeof(*order), by_sequence);
	size_t n_needed = 0; /* what is not dropped is accepted: the last accepts say nothing */
	for (size_t i = 0; ok && i < n; i++) {
		x->rule = rule_name(order[i]);
		ok = write_rule(x, order[i], first_id + (int64_t)i);
		if (value_is_a(value_get_value(order[i], F_DvsTrafficRule_action),
			       T_DvsDropNetworkRuleAction)) {
			n_needed = json_object_array_length(x->rules);
		}
	}
	json_object_array_del_idx(x->rules, n_needed,
				  json_object_array_length(x->rules) - n_needed);
	free(order);
	return ok;
}

bool filter_write(const struct value *policy, const char *key, int64_t first_id,
		  struct json_object *rules, struct json_object *groups, struct error *e)
{
	struct writing x = { .key = key, .rules = rules, .groups = groups, .rule = "", .e = e };
	const struct value *list =
		policy == NULL ? NULL : value_get_value(policy, F_DvsFilterPolicy_filterConfig);

	if (value_count(list) > 1) {
		return error_set(e, ERROR_UNSUPPORTED, "\"%s\": more than one filter", key);
	}
	if (value_count(list) == 0) {
		return true;
	}
	const struct value *config = value_item(list, 0);
	const char *agent = value_get_str(config, F_DvsFilterConfig_agentName);
	if (!value_is_a(config, T_DvsTrafficFilterConfig) ||
	    (agent != NULL && agent[0] != '\0' && strcmp(agent, AGENT) != 0)) {
		return error_set(e, ERROR_UNSUPPORTED, "\"%s\": there is no filter agent \"%.80s\"",
				 key, agent == NULL ? "" : agent);
	}
	const struct value *set = value_get_value(config, F_DvsTrafficFilterConfig_trafficRuleset);
	return set == NULL || write_ruleset(&x, set, first_id);
}

bool filter_check(struct arena *a, const struct value *policy, const char *name, struct refusal *r)
{
	struct json_object *rules = json_object_new_array(), *groups = json_object_new_array();
	struct error e = { 0 };
	bool ok = filter_write(policy, name, 1, rules, groups, &e);

	json_object_put(rules);
	json_object_put(groups);
	if (ok) {
		return true;
	}
	return refuse(r,
		      e.kind == ERROR_UNSUPPORTED ? fault_new(a, T_NotSupported)
						  : fault_invalid_argument(a, "filterPolicy"),
		      "%s", e.msg);
}
