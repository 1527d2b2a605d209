/* SPDX-License-Identifier: Apache-2.0 */
/* Traffic filters as rules of the plane. */
#include "center/dvs_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vim/value.h"

static struct arena *a;

static int setup(void **state)
{
	(void)state;
	a = arena_new(0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(a);
	return 0;
}

/* ---- making ---- */

static struct value *rule_new(int sequence, bool drop, const char *direction,
			      const struct value *qualifier)
{
	struct value *v = value_new(a, T_DvsTrafficRule);
	struct value *list = value_new_array(a, T_DvsNetworkRuleQualifier);

	value_set_num(a, v, F_DvsTrafficRule_sequence, sequence);
	value_set(a, v, F_DvsTrafficRule_action,
		  value_new(a, drop ? T_DvsDropNetworkRuleAction : T_DvsAcceptNetworkRuleAction));
	value_set_str(a, v, F_DvsTrafficRule_direction, direction);
	if (qualifier != NULL) {
		value_push(a, list, qualifier);
		value_set(a, v, F_DvsTrafficRule_qualifier, list);
	}
	return v;
}

static struct value *policy_of(const struct value *rules, bool enabled)
{
	struct value *policy = value_new(a, T_DvsFilterPolicy);
	struct value *list = value_new_array(a, T_DvsFilterConfig);
	struct value *config = value_new(a, T_DvsTrafficFilterConfig);
	struct value *set = value_new(a, T_DvsTrafficRuleset);

	value_set_bool(a, set, F_DvsTrafficRuleset_enabled, enabled);
	value_set(a, set, F_DvsTrafficRuleset_rules, rules);
	value_set_str(a, config, F_DvsFilterConfig_agentName, "dvfilter-generic-vmware");
	value_set(a, config, F_DvsTrafficFilterConfig_trafficRuleset, set);
	value_push(a, list, config);
	value_set_bool(a, policy, F_InheritablePolicy_inherited, false);
	value_set(a, policy, F_DvsFilterPolicy_filterConfig, list);
	return policy;
}

static struct value *policy_with(const struct value *qualifier)
{
	struct value *rules = value_new_array(a, T_DvsTrafficRule);

	value_push(a, rules, rule_new(1, true, NULL, qualifier));
	return policy_of(rules, true);
}

static struct value *number_is(int n)
{
	struct value *v = value_new(a, T_IntExpression);

	value_set_num(a, v, F_IntExpression_value, n);
	return v;
}

static struct value *ip_new(int protocol, int port, const char *source, int length)
{
	struct value *v = value_new(a, T_DvsIpNetworkRuleQualifier);

	if (protocol > 0) {
		value_set(a, v, F_DvsIpNetworkRuleQualifier_protocol, number_is(protocol));
	}
	if (port > 0) {
		struct value *p = value_new(a, T_DvsSingleIpPort);
		value_set_num(a, p, F_DvsSingleIpPort_portNumber, port);
		value_set(a, v, F_DvsIpNetworkRuleQualifier_destinationIpPort, p);
	}
	if (source != NULL && length >= 0) {
		struct value *r = value_new(a, T_IpRange);
		value_set_str(a, r, F_IpRange_addressPrefix, source);
		value_set_num(a, r, F_IpRange_prefixLength, length);
		value_set(a, v, F_DvsIpNetworkRuleQualifier_sourceAddress, r);
	} else if (source != NULL) {
		struct value *s = value_new(a, T_SingleIp);
		value_set_str(a, s, F_SingleIp_address, source);
		value_set(a, v, F_DvsIpNetworkRuleQualifier_sourceAddress, s);
	}
	return v;
}

static struct value *mac_new(int protocol)
{
	struct value *v = value_new(a, T_DvsMacNetworkRuleQualifier);

	value_set(a, v, F_DvsMacNetworkRuleQualifier_protocol, number_is(protocol));
	return v;
}

/* ---- looking ---- */

static void expect_rules(const struct value *policy, const char *rules, const char *groups)
{
	struct json_object *r = json_object_new_array(), *g = json_object_new_array();
	struct error e = { 0 };

	if (!filter_write(policy, "pg", 100, r, g, &e)) {
		fail_msg("%s", e.msg);
	}
	assert_string_equal(json_object_to_json_string_ext(r, JSON_C_TO_STRING_PLAIN), rules);
	assert_string_equal(json_object_to_json_string_ext(g, JSON_C_TO_STRING_PLAIN), groups);
	json_object_put(r);
	json_object_put(g);
}

static void expect_refused(const struct value *policy, uint16_t fault, const char *word)
{
	struct refusal r = { 0 };

	assert_false(filter_check(a, policy, "pg", &r));
	assert_int_equal(r.fault->type, fault);
	if (strstr(r.text, word) == NULL) {
		fail_msg("\"%s\" says nothing of \"%s\"", r.text, word);
	}
}

static void rules_of_the_plane(void **state)
{
	(void)state;
	struct value *rules = value_new_array(a, T_DvsTrafficRule);

	expect_rules(NULL, "[]", "[]");
	/* Out of order; the accept at the end says nothing. */
	value_push(a, rules, rule_new(30, false, "both", NULL));
	value_push(a, rules, rule_new(20, true, "incomingPackets", ip_new(6, 80, NULL, 0)));
	value_push(a, rules, rule_new(10, false, "outgoingPackets", ip_new(0, 0, "10.1.2.3", 16)));
	expect_rules(policy_of(rules, true),
		     "[{\"id\":100,\"name\":\"\",\"direction\":\"in\",\"action\":\"allow\","
		     "\"sources\":[\"pg\\/1\"]},"
		     "{\"id\":101,\"name\":\"\",\"direction\":\"out\",\"action\":\"drop\","
		     "\"services\":[{\"protocol\":6,\"ports\":[\"80\"]}]}]",
		     "[{\"name\":\"pg\\/1\",\"addresses\":[\"10.1.0.0\\/16\"]}]");
	expect_rules(policy_of(rules, false), "[]", "[]");
	/* Ports without a protocol are those of both. */
	expect_rules(policy_with(ip_new(0, 53, NULL, 0)),
		     "[{\"id\":100,\"name\":\"\",\"direction\":\"in_out\",\"action\":\"drop\","
		     "\"services\":[{\"protocol\":6,\"ports\":[\"53\"]},"
		     "{\"protocol\":17,\"ports\":[\"53\"]}]}]",
		     "[]");
	expect_rules(policy_with(mac_new(0x86dd)),
		     "[{\"id\":100,\"name\":\"\",\"direction\":\"in_out\",\"action\":\"drop\","
		     "\"ip\":6}]",
		     "[]");
	expect_rules(policy_with(ip_new(0, 0, "2001:db8::1", -1)),
		     "[{\"id\":100,\"name\":\"\",\"direction\":\"in_out\",\"action\":\"drop\","
		     "\"sources\":[\"pg\\/1\"]}]",
		     "[{\"name\":\"pg\\/1\",\"addresses\":[\"2001:db8::1\"]}]");
}

static void what_the_plane_cannot(void **state)
{
	(void)state;
	struct value *mac = mac_new(0x0806), *address = value_new(a, T_SingleMac);

	expect_refused(policy_with(mac), T_NotSupported, "Ethernet");
	mac = value_new(a, T_DvsMacNetworkRuleQualifier);
	value_set_str(a, address, F_SingleMac_address, "02:00:00:00:00:01");
	value_set(a, mac, F_DvsMacNetworkRuleQualifier_sourceAddress, address);
	expect_refused(policy_with(mac), T_NotSupported, "MAC");
	struct value *ip = ip_new(6, 0, NULL, 0);
	value_set(a, ip, F_DvsIpNetworkRuleQualifier_tcpFlags, number_is(2));
	expect_refused(policy_with(ip), T_NotSupported, "TCP flags");
	struct value *system = value_new(a, T_DvsSystemTrafficNetworkRuleQualifier);
	expect_refused(policy_with(system), T_NotSupported, "system traffic");
	expect_refused(policy_with(ip_new(1, 80, NULL, 0)), T_InvalidArgument, "ports");
	expect_refused(policy_with(ip_new(300, 0, NULL, 0)), T_InvalidArgument, "protocol");
	expect_refused(policy_with(ip_new(6, 70000, NULL, 0)), T_InvalidArgument, "65535");
	expect_refused(policy_with(ip_new(0, 0, "10.0.0.256", -1)), T_InvalidArgument, "address");
	expect_refused(policy_with(ip_new(0, 0, "10.0.0.0", 33)), T_InvalidArgument, "prefix");
	struct value *not = value_new(a, T_SingleIp);
	value_set_str(a, not, F_SingleIp_address, "10.0.0.1");
	value_set_bool(a, not, F_NegatableExpression_negate, true);
	ip = value_new(a, T_DvsIpNetworkRuleQualifier);
	value_set(a, ip, F_DvsIpNetworkRuleQualifier_sourceAddress, not );
	expect_refused(policy_with(ip), T_NotSupported, "negated");

	struct value *rules = value_new_array(a, T_DvsTrafficRule);
	struct value *rule = rule_new(1, true, "sideways", NULL);
	value_push(a, rules, rule);
	expect_refused(policy_of(rules, true), T_InvalidArgument, "direction");
	rules = value_new_array(a, T_DvsTrafficRule);
	rule = rule_new(1, true, NULL, NULL);
	value_set(a, rule, F_DvsTrafficRule_action, value_new(a, T_DvsUpdateTagNetworkRuleAction));
	value_set_str(a, rule, F_DvsTrafficRule_description, "tag voice");
	value_push(a, rules, rule);
	expect_refused(policy_of(rules, true), T_NotSupported, "tag voice");
	rules = value_new_array(a, T_DvsTrafficRule);
	for (int i = 0; i <= FILTER_RULES_MAX; i++) {
		value_push(a, rules, rule_new(i, true, NULL, NULL));
	}
	expect_refused(policy_of(rules, true), T_InvalidArgument, "256");
}

static const struct value *configs(const struct value *policy)
{
	return value_get_value(policy, F_DvsFilterPolicy_filterConfig);
}

static void changes_by_key(void **state)
{
	(void)state;
	struct refusal r = { 0 };
	const struct value *policy = filter_apply(a, NULL, policy_with(NULL), &r);
	struct value *spec = value_new(a, T_DvsFilterPolicy);
	struct value *list = value_new_array(a, T_DvsFilterConfig);
	struct value *change = value_new(a, T_DvsTrafficFilterConfigSpec);

	assert_int_equal(value_count(configs(policy)), 1);
	assert_string_equal(value_get_str(value_item(configs(policy), 0), F_DvsFilterConfig_key),
			    "1");
	value_set_str(a, change, F_DvsTrafficFilterConfigSpec_operation, "remove");
	value_set_str(a, change, F_DvsFilterConfig_key, "7");
	value_push(a, list, change);
	value_set(a, spec, F_DvsFilterPolicy_filterConfig, list);
	assert_null(filter_apply(a, policy, spec, &r));
	assert_int_equal(r.fault->type, T_InvalidArgument);
	value_set_str(a, change, F_DvsFilterConfig_key, "1");
	policy = filter_apply(a, policy, spec, &r);
	assert_int_equal(value_count(configs(policy)), 0);
	value_set_str(a, change, F_DvsTrafficFilterConfigSpec_operation, "add");
	value_unset(change, F_DvsFilterConfig_key);
	policy = filter_apply(a, policy, spec, &r);
	assert_int_equal(value_count(configs(policy)), 1);
	assert_int_equal(value_item(configs(policy), 0)->type, T_DvsTrafficFilterConfig);
	/* Of another kind: its operation stands where the others have their rules. */
	change = value_new(a, T_DvsFilterConfigSpec);
	value_set_str(a, change, F_DvsFilterConfigSpec_operation, "edit");
	value_set_str(a, change, F_DvsFilterConfig_key, "1");
	value_set_str(a, change, F_DvsFilterConfig_agentName, "somebody");
	list = value_new_array(a, T_DvsFilterConfig);
	value_push(a, list, change);
	value_set(a, spec, F_DvsFilterPolicy_filterConfig, list);
	policy = filter_apply(a, policy, spec, &r);
	assert_non_null(policy);
	expect_refused(policy, T_NotSupported, "somebody");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(rules_of_the_plane),
		TEST(what_the_plane_cannot),
		TEST(changes_by_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
