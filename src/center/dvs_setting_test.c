/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of ports: in part, inherited, and held against what the plane can do. */
#include "center/dvs_setting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vim/value.h"

static struct arena *a;
static const struct value *uplinks;

static int setup(void **state)
{
	(void)state;
	a = arena_new(0);
	struct value *names = value_new_array(a, T_string);
	value_push_str(a, names, "Uplink 1");
	value_push_str(a, names, "Uplink 2");
	uplinks = names;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(a);
	return 0;
}

/* ---- making ---- */

static struct value *policy_new(uint16_t type, bool is_inherited)
{
	struct value *v = value_new(a, type);

	value_set_bool(a, v, F_InheritablePolicy_inherited, is_inherited);
	return v;
}

static struct value *flag(bool b)
{
	struct value *v = policy_new(T_BoolPolicy, false);

	value_set_bool(a, v, F_BoolPolicy_value, b);
	return v;
}

static struct value *amount(int64_t n)
{
	struct value *v = policy_new(T_LongPolicy, false);

	value_set_num(a, v, F_LongPolicy_value, n);
	return v;
}

static struct value *spec_of(unsigned field, const struct value *policy)
{
	struct value *v = value_new(a, T_VMwareDVSPortSetting);

	value_set(a, v, field, policy);
	return v;
}

static struct value *vlan_spec(int id)
{
	struct value *vlan = policy_new(T_VmwareDistributedVirtualSwitchVlanIdSpec, false);

	value_set_num(a, vlan, F_VmwareDistributedVirtualSwitchVlanIdSpec_vlanId, id);
	return spec_of(F_VMwareDVSPortSetting_vlan, vlan);
}

static struct value *trunk_spec(int from, int to)
{
	struct value *trunk = policy_new(T_VmwareDistributedVirtualSwitchTrunkVlanSpec, false);
	struct value *ranges = value_new_array(a, T_NumericRange);
	struct value *range = value_new(a, T_NumericRange);

	value_set_num(a, range, F_NumericRange_start, from);
	value_set_num(a, range, F_NumericRange_end, to);
	value_push(a, ranges, range);
	value_set(a, trunk, F_VmwareDistributedVirtualSwitchTrunkVlanSpec_vlanId, ranges);
	return spec_of(F_VMwareDVSPortSetting_vlan, trunk);
}

static struct value *shaping_spec(int64_t average, int64_t peak, int64_t burst)
{
	struct value *v = policy_new(T_DVSTrafficShapingPolicy, false);

	value_set(a, v, F_DVSTrafficShapingPolicy_enabled, flag(true));
	value_set(a, v, F_DVSTrafficShapingPolicy_averageBandwidth, amount(average));
	value_set(a, v, F_DVSTrafficShapingPolicy_peakBandwidth, amount(peak));
	value_set(a, v, F_DVSTrafficShapingPolicy_burstSize, amount(burst));
	return spec_of(F_DVPortSetting_inShapingPolicy, v);
}

static struct value *teaming_spec(const char *policy, const char *active, const char *standby)
{
	struct value *v = policy_new(T_VmwareUplinkPortTeamingPolicy, false);
	struct value *order = policy_new(T_VMwareUplinkPortOrderPolicy, false);
	struct value *text = policy_new(T_StringPolicy, false);
	struct value *up = value_new_array(a, T_string), *by = value_new_array(a, T_string);

	value_set_str(a, text, F_StringPolicy_value, policy);
	value_set(a, v, F_VmwareUplinkPortTeamingPolicy_policy, text);
	if (active != NULL) {
		value_push_str(a, up, active);
	}
	if (standby != NULL) {
		value_push_str(a, by, standby);
	}
	value_set(a, order, F_VMwareUplinkPortOrderPolicy_activeUplinkPort, up);
	value_set(a, order, F_VMwareUplinkPortOrderPolicy_standbyUplinkPort, by);
	value_set(a, v, F_VmwareUplinkPortTeamingPolicy_uplinkPortOrder, order);
	return spec_of(F_VMwareDVSPortSetting_uplinkTeamingPolicy, v);
}

/* ---- looking ---- */

static const struct value *apply(const struct value *old, const struct value *spec)
{
	struct refusal r = { 0 };
	const struct value *v = setting_apply(a, old, spec, &r);

	if (v == NULL) {
		fail_msg("%s", r.text);
	}
	return v;
}

static bool check(const struct value *spec, const struct value *from, struct refusal *r)
{
	const struct value *base = setting_default(a, uplinks);
	const struct setting_place at = { .name = "pg", .uplinks = uplinks, .from = from };

	*r = (struct refusal){ 0 };
	return setting_check(a, apply(base, spec), &at, r);
}

static void fits(const struct value *spec)
{
	struct refusal r;

	if (!check(spec, NULL, &r)) {
		fail_msg("%s", r.text);
	}
}

static void refused(const struct value *spec, uint16_t fault, const char *word)
{
	struct refusal r;

	assert_false(check(spec, NULL, &r));
	assert_int_equal(r.fault->type, fault);
	if (strstr(r.text, word) == NULL || strstr(r.text, "pg") == NULL) {
		fail_msg("\"%s\" says nothing of \"%s\"", r.text, word);
	}
}

static int64_t vlan_of(const struct value *setting)
{
	return value_get_num(value_get_value(setting, F_VMwareDVSPortSetting_vlan),
			     F_VmwareDistributedVirtualSwitchVlanIdSpec_vlanId, -1);
}

/* ---- tests ---- */

static void inheriting(void **state)
{
	(void)state;
	const struct value *dvs = setting_default(a, uplinks);
	const struct value *own = setting_inherit(a, NULL, dvs);
	struct value *security = policy_new(T_DVSSecurityPolicy, false);

	assert_true(value_get_bool(value_get_value(own, F_VMwareDVSPortSetting_vlan),
				   F_InheritablePolicy_inherited, false));
	value_set(a, security, F_DVSSecurityPolicy_allowPromiscuous, flag(true));
	own = apply(own, spec_of(F_VMwareDVSPortSetting_securityPolicy, security));
	/* The switch changes: what is inherited follows, one's own stays. */
	struct value *other = policy_new(T_DVSSecurityPolicy, false);
	value_set(a, other, F_DVSSecurityPolicy_forgedTransmits, flag(true));
	dvs = apply(apply(dvs, vlan_spec(7)),
		    spec_of(F_VMwareDVSPortSetting_securityPolicy, other));
	own = setting_inherit(a, own, dvs);
	assert_int_equal(vlan_of(own), 7);
	const struct value *now = value_get_value(own, F_VMwareDVSPortSetting_securityPolicy);
	assert_true(setting_bool(now, F_DVSSecurityPolicy_allowPromiscuous));
	assert_true(setting_bool(now, F_DVSSecurityPolicy_forgedTransmits));
	/* The same permission by its other name. */
	const struct value *mac = value_get_value(own, F_VMwareDVSPortSetting_macManagementPolicy);
	assert_true(value_get_bool(mac, F_DVSMacManagementPolicy_allowPromiscuous, false));
	/* Back to the switch's. */
	own = apply(own, spec_of(F_VMwareDVSPortSetting_securityPolicy,
				 policy_new(T_DVSSecurityPolicy, true)));
	own = setting_inherit(a, own, dvs);
	now = value_get_value(own, F_VMwareDVSPortSetting_securityPolicy);
	assert_false(setting_bool(now, F_DVSSecurityPolicy_allowPromiscuous));
}

static void permissions_by_either_name(void **state)
{
	(void)state;
	struct value *mac = policy_new(T_DVSMacManagementPolicy, false);

	value_set_bool(a, mac, F_DVSMacManagementPolicy_macChanges, true);
	const struct value *v = apply(setting_default(a, uplinks),
				      spec_of(F_VMwareDVSPortSetting_macManagementPolicy, mac));
	const struct value *security = value_get_value(v, F_VMwareDVSPortSetting_securityPolicy);
	assert_true(setting_bool(security, F_DVSSecurityPolicy_macChanges));
	assert_false(setting_bool(security, F_DVSSecurityPolicy_allowPromiscuous));
}

static void vlans(void **state)
{
	(void)state;
	fits(vlan_spec(0));
	fits(vlan_spec(4094));
	refused(vlan_spec(4095), T_InvalidArgument, "4094");
	fits(trunk_spec(1, 256));
	refused(trunk_spec(1, 257), T_InvalidArgument, "256");
	refused(trunk_spec(9, 5), T_InvalidArgument, "range");
	refused(trunk_spec(0, 4095), T_InvalidArgument, "range");
	refused(spec_of(F_VMwareDVSPortSetting_vlan,
			policy_new(T_VmwareDistributedVirtualSwitchPvlanSpec, false)),
		T_NotSupported, "private");
}

static void shaping(void **state)
{
	(void)state;
	fits(shaping_spec(8000, 8000, 9018));
	refused(shaping_spec(7999, 7999, 9018), T_InvalidArgument, "8000");
	refused(shaping_spec(8000, 8000, 9017), T_InvalidArgument, "9018");
	refused(shaping_spec(8000, 16000, 9018), T_NotSupported, "peakBandwidth");
}

static void teaming(void **state)
{
	(void)state;
	size_t n_active;
	struct refusal r;
	const struct value *base = setting_default(a, uplinks);
	const struct value *v =
		apply(base, teaming_spec("failover_explicit", "Uplink 2", "Uplink 1"));

	assert_string_equal(setting_teaming(v), "active_standby");
	struct value *names = setting_uplinks(a, v, &n_active);
	assert_int_equal(n_active, 1);
	assert_string_equal(value_bytes(value_item(names, 0)), "Uplink 2");
	fits(teaming_spec("loadbalance_ip", "Uplink 1", NULL));
	refused(teaming_spec("loadbalance_loadbased", "Uplink 1", NULL), T_NotSupported,
		"loadbased");
	refused(teaming_spec("failover_explicit", "Uplink 9", NULL), T_InvalidArgument, "Uplink 9");
	refused(teaming_spec("failover_explicit", "Uplink 1", "Uplink 1"), T_InvalidArgument,
		"twice");
	/* One plane has one team for a switch. */
	assert_true(check(value_new(a, T_VMwareDVSPortSetting), base, &r));
	assert_false(check(teaming_spec("failover_explicit", "Uplink 2", NULL), base, &r));
	assert_int_equal(r.fault->type, T_NotSupported);
}

static void learning(void **state)
{
	(void)state;
	struct value *mac = policy_new(T_DVSMacManagementPolicy, false);
	struct value *v = policy_new(T_DVSMacLearningPolicy, false);
	const struct value *spec = spec_of(F_VMwareDVSPortSetting_macManagementPolicy, mac);

	value_set_bool(a, v, F_DVSMacLearningPolicy_enabled, true);
	value_set(a, mac, F_DVSMacManagementPolicy_macLearningPolicy, v);
	refused(spec, T_InvalidArgument, "forgedTransmits");
	value_set_bool(a, mac, F_DVSMacManagementPolicy_forgedTransmits, true);
	fits(spec);
	value_set_num(a, v, F_DVSMacLearningPolicy_limit, 10);
	refused(spec, T_NotSupported, "4096");
}

static void what_there_is_not(void **state)
{
	(void)state;
	refused(spec_of(F_VMwareDVSPortSetting_ipfixEnabled, flag(true)), T_NotSupported, "IPFIX");
	refused(spec_of(F_VMwareDVSPortSetting_txUplink, flag(true)), T_NotSupported, "uplink");
	struct value *tag = policy_new(T_IntPolicy, false);
	value_set_num(a, tag, F_IntPolicy_value, 5);
	refused(spec_of(F_VMwareDVSPortSetting_qosTag, tag), T_NotSupported, "priority");
	struct value *lacp = policy_new(T_VMwareUplinkLacpPolicy, false);
	value_set(a, lacp, F_VMwareUplinkLacpPolicy_enable, flag(true));
	refused(spec_of(F_VMwareDVSPortSetting_lacpPolicy, lacp), T_NotSupported, "LACP");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(inheriting),
		TEST(permissions_by_either_name),
		TEST(vlans),
		TEST(shaping),
		TEST(teaming),
		TEST(learning),
		TEST(what_there_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
