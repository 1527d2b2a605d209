/* SPDX-License-Identifier: Apache-2.0 */
#include "center/dvs_setting.h"

#include <inttypes.h>
#include <string.h>

#include "base/macro.h"
#include "center/dvs_filter.h"
#include "vim/fault.h"

enum {
	RANGES_MAX = 64,
	LEARNING_LIMIT = 4096 /* addresses at one port, as clients know it */
};

/* The plane's token buckets (schema/plane-switch.json, limit). */
#define RATE_MIN  INT64_C(8000)
#define RATE_MAX  INT64_C(400000000000)
#define BURST_MIN INT64_C(9018)
#define BURST_MAX INT64_C(1073741824)

/* ---- reading ---- */

bool setting_bool(const struct value *policy, unsigned field)
{
	const struct value *v = policy == NULL ? NULL : value_get_value(policy, field);

	return value_get_bool(v, F_BoolPolicy_value, false);
}

int64_t setting_long(const struct value *policy, unsigned field, int64_t otherwise)
{
	const struct value *v = policy == NULL ? NULL : value_get_value(policy, field);

	return value_get_num(v, F_LongPolicy_value, otherwise);
}

static const struct value *teaming_of(const struct value *setting)
{
	return value_is_a(setting, T_VMwareDVSPortSetting)
		       ? value_get_value(setting, F_VMwareDVSPortSetting_uplinkTeamingPolicy)
		       : NULL;
}

static const char *teaming_policy(const struct value *teaming)
{
	const struct value *v =
		teaming == NULL ? NULL
				: value_get_value(teaming, F_VmwareUplinkPortTeamingPolicy_policy);

	return v == NULL ? NULL : value_get_str(v, F_StringPolicy_value);
}

const char *setting_teaming(const struct value *setting)
{
	static const struct {
		const char *policy, *plane;
	} map[] = {
		/* A port's frames leave by one uplink: the first that has a link. */
		{ "loadbalance_srcid", "active_standby" },
		{ "loadbalance_srcmac", "active_standby" },
		{ "failover_explicit", "active_standby" },
		{ "loadbalance_ip", "flow_hash" },
	};
	const char *policy = teaming_policy(teaming_of(setting));

	if (policy == NULL) {
		return map[0].plane;
	}
	for (size_t i = 0; i < ARRAY_LEN(map); i++) {
		if (strcmp(map[i].policy, policy) == 0) {
			return map[i].plane;
		}
	}
	return NULL;
}

struct value *setting_uplinks(struct arena *a, const struct value *setting, size_t *n_active)
{
	static const unsigned fields[] = { F_VMwareUplinkPortOrderPolicy_activeUplinkPort,
					   F_VMwareUplinkPortOrderPolicy_standbyUplinkPort };
	const struct value *teaming = teaming_of(setting);
	const struct value *order =
		teaming == NULL
			? NULL
			: value_get_value(teaming, F_VmwareUplinkPortTeamingPolicy_uplinkPortOrder);
	struct value *out = value_new_array(a, T_string);

	*n_active = 0;
	for (size_t f = 0; f < ARRAY_LEN(fields); f++) {
		const struct value *list = order == NULL ? NULL : value_get_value(order, fields[f]);
		for (size_t i = 0; i < value_count(list); i++) {
			value_push(a, out, value_item(list, i));
		}
		*n_active = f == 0 ? value_count(out) : *n_active;
	}
	return out;
}

/* ---- defaults ---- */

static struct value *policy_new(struct arena *a, uint16_t type)
{
	struct value *v = value_new(a, type);

	value_set_bool(a, v, F_InheritablePolicy_inherited, false);
	return v;
}

static struct value *bool_policy(struct arena *a, bool b)
{
	struct value *v = policy_new(a, T_BoolPolicy);

	value_set_bool(a, v, F_BoolPolicy_value, b);
	return v;
}

static struct value *text_policy(struct arena *a, const char *s)
{
	struct value *v = policy_new(a, T_StringPolicy);

	value_set_str(a, v, F_StringPolicy_value, s);
	return v;
}

static struct value *security_default(struct arena *a)
{
	struct value *v = policy_new(a, T_DVSSecurityPolicy);

	value_set(a, v, F_DVSSecurityPolicy_allowPromiscuous, bool_policy(a, false));
	value_set(a, v, F_DVSSecurityPolicy_macChanges, bool_policy(a, false));
	value_set(a, v, F_DVSSecurityPolicy_forgedTransmits, bool_policy(a, false));
	return v;
}

static struct value *mac_management_default(struct arena *a)
{
	struct value *v = policy_new(a, T_DVSMacManagementPolicy);
	struct value *learning = policy_new(a, T_DVSMacLearningPolicy);

	value_set_bool(a, learning, F_DVSMacLearningPolicy_enabled, false);
	value_set_bool(a, learning, F_DVSMacLearningPolicy_allowUnicastFlooding, true);
	value_set_num(a, learning, F_DVSMacLearningPolicy_limit, LEARNING_LIMIT);
	value_set_str(a, learning, F_DVSMacLearningPolicy_limitPolicy, "DROP");
	value_set_bool(a, v, F_DVSMacManagementPolicy_allowPromiscuous, false);
	value_set_bool(a, v, F_DVSMacManagementPolicy_macChanges, false);
	value_set_bool(a, v, F_DVSMacManagementPolicy_forgedTransmits, false);
	value_set(a, v, F_DVSMacManagementPolicy_macLearningPolicy, learning);
	return v;
}

static struct value *teaming_default(struct arena *a, const struct value *uplinks)
{
	struct value *v = policy_new(a, T_VmwareUplinkPortTeamingPolicy);
	struct value *order = policy_new(a, T_VMwareUplinkPortOrderPolicy);

	value_set(a, order, F_VMwareUplinkPortOrderPolicy_activeUplinkPort, uplinks);
	value_set(a, v, F_VmwareUplinkPortTeamingPolicy_policy,
		  text_policy(a, "loadbalance_srcid"));
	value_set(a, v, F_VmwareUplinkPortTeamingPolicy_notifySwitches, bool_policy(a, true));
	value_set(a, v, F_VmwareUplinkPortTeamingPolicy_rollingOrder, bool_policy(a, false));
	value_set(a, v, F_VmwareUplinkPortTeamingPolicy_uplinkPortOrder, order);
	return v;
}

static struct value *shaping_default(struct arena *a)
{
	static const struct {
		unsigned field;
		int64_t n;
	} figures[] = {
		{ F_DVSTrafficShapingPolicy_averageBandwidth, 100000000 },
		{ F_DVSTrafficShapingPolicy_peakBandwidth, 100000000 },
		{ F_DVSTrafficShapingPolicy_burstSize, 104857600 },
	};
	struct value *v = policy_new(a, T_DVSTrafficShapingPolicy);

	value_set(a, v, F_DVSTrafficShapingPolicy_enabled, bool_policy(a, false));
	for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
		struct value *n = policy_new(a, T_LongPolicy);
		value_set_num(a, n, F_LongPolicy_value, figures[i].n);
		value_set(a, v, figures[i].field, n);
	}
	return v;
}

struct value *setting_default(struct arena *a, const struct value *uplinks)
{
	struct value *v = value_new(a, T_VMwareDVSPortSetting);
	struct value *vlan = policy_new(a, T_VmwareDistributedVirtualSwitchVlanIdSpec);

	value_set_num(a, vlan, F_VmwareDistributedVirtualSwitchVlanIdSpec_vlanId, 0);
	value_set(a, v, F_DVPortSetting_blocked, bool_policy(a, false));
	value_set(a, v, F_DVPortSetting_inShapingPolicy, shaping_default(a));
	value_set(a, v, F_DVPortSetting_outShapingPolicy, shaping_default(a));
	value_set(a, v, F_DVPortSetting_filterPolicy, policy_new(a, T_DvsFilterPolicy));
	value_set(a, v, F_VMwareDVSPortSetting_vlan, vlan);
	value_set(a, v, F_VMwareDVSPortSetting_uplinkTeamingPolicy, teaming_default(a, uplinks));
	value_set(a, v, F_VMwareDVSPortSetting_securityPolicy, security_default(a));
	value_set(a, v, F_VMwareDVSPortSetting_ipfixEnabled, bool_policy(a, false));
	value_set(a, v, F_VMwareDVSPortSetting_macManagementPolicy, mac_management_default(a));
	return v;
}

/* ---- what is given ---- */

/* Policies are given in part. */
static struct value *merge(struct arena *a, const struct value *old, const struct value *with)
{
	union slot s;

	if (old == NULL || old->type != with->type) {
		return value_edit(a, with);
	}
	struct value *v = value_edit(a, old);
	for (int i = -1; value_next(with, &i, &s);) {
		const struct schema_field *f = schema_field(with->type, (unsigned)i);
		const struct value *was = value_get_value(old, (unsigned)i);
		if (f->kind == KIND_STRUCT && !(f->flags & FIELD_ARRAY) && was != NULL &&
		    was->type == s.value->type) {
			value_set(a, v, (unsigned)i, merge(a, was, s.value));
		} else {
			value_set_slot(v, (unsigned)i, s);
		}
	}
	return v;
}

/* The three permissions, in the security policy and in macManagementPolicy. */
static const struct {
	unsigned security, management;
} permissions[] = {
	{ F_DVSSecurityPolicy_allowPromiscuous, F_DVSMacManagementPolicy_allowPromiscuous },
	{ F_DVSSecurityPolicy_macChanges, F_DVSMacManagementPolicy_macChanges },
	{ F_DVSSecurityPolicy_forgedTransmits, F_DVSMacManagementPolicy_forgedTransmits },
};

/* What was given of one goes for the other; where both are, macManagementPolicy counts. */
static void permissions_agree(struct arena *a, struct value *setting, const struct value *spec)
{
	const struct value *given =
		value_get_value(spec, F_VMwareDVSPortSetting_macManagementPolicy);
	const struct value *security =
		value_get_value(setting, F_VMwareDVSPortSetting_securityPolicy);
	const struct value *management =
		value_get_value(setting, F_VMwareDVSPortSetting_macManagementPolicy);

	if (given == NULL && !value_has(spec, F_VMwareDVSPortSetting_securityPolicy)) {
		return;
	}
	struct value *s = security != NULL ? value_edit(a, security) : security_default(a);
	struct value *m =
		management != NULL ? value_edit(a, management) : mac_management_default(a);
	for (size_t i = 0; i < ARRAY_LEN(permissions); i++) {
		if (given != NULL && value_has(given, permissions[i].management)) {
			value_set(a, s, permissions[i].security,
				  bool_policy(a, value_get_bool(given, permissions[i].management,
								false)));
		}
		value_set_bool(a, m, permissions[i].management,
			       setting_bool(s, permissions[i].security));
	}
	/* They are inherited together, as either given of one's own goes for both. */
	value_set_bool(a, given != NULL ? s : m, F_InheritablePolicy_inherited,
		       value_get_bool(given != NULL ? m : s, F_InheritablePolicy_inherited, false));
	value_set(a, setting, F_VMwareDVSPortSetting_securityPolicy, s);
	value_set(a, setting, F_VMwareDVSPortSetting_macManagementPolicy, m);
}

/* The setting, as one of that type where its own knows less. */
static struct value *with_type(struct arena *a, const struct value *old, uint16_t type)
{
	union slot s;

	if (old != NULL && schema_is_a(old->type, type)) {
		return value_edit(a, old);
	}
	struct value *v = value_new(a, type);
	for (int i = -1; old != NULL && value_next(old, &i, &s);) {
		value_set_slot(v, (unsigned)i, s);
	}
	return v;
}

const struct value *setting_apply(struct arena *a, const struct value *old,
				  const struct value *spec, struct refusal *r)
{
	union slot s;

	if (spec == NULL) {
		return old;
	}
	struct value *v = with_type(a, old, spec->type);
	for (int i = -1; value_next(spec, &i, &s);) {
		const struct value *was = value_get_value(v, (unsigned)i);
		const struct value *now =
			s.value->kind != KIND_STRUCT ? s.value : merge(a, was, s.value);
		if (i == F_DVPortSetting_filterPolicy) {
			now = filter_apply(a, was, s.value, r);
			if (now == NULL) {
				return NULL;
			}
		}
		value_set(a, v, (unsigned)i, now);
	}
	if (value_is_a(spec, T_VMwareDVSPortSetting)) {
		permissions_agree(a, v, spec);
	}
	return v;
}

/* ---- what a port group has from its switch ---- */

static bool is_policy_field(const struct schema_field *f)
{
	return f->kind == KIND_STRUCT && !(f->flags & FIELD_ARRAY) &&
	       schema_is_a(f->type, T_InheritablePolicy);
}

/* The switch's, marked as such all the way down. */
static const struct value *inherited(struct arena *a, const struct value *from)
{
	struct value *v = value_edit(a, from);
	union slot s;

	for (int i = -1; value_next(from, &i, &s);) {
		if (is_policy_field(schema_field(from->type, (unsigned)i))) {
			value_set(a, v, (unsigned)i, inherited(a, s.value));
		}
	}
	value_set_bool(a, v, F_InheritablePolicy_inherited, true);
	return v;
}

static const struct value *inherit(struct arena *a, const struct value *own,
				   const struct value *from)
{
	union slot s;

	if (own == NULL || value_get_bool(own, F_InheritablePolicy_inherited, false)) {
		return inherited(a, from);
	}
	if (own->type != from->type) {
		return own;
	}
	struct value *v = value_edit(a, own);
	for (int i = -1; value_next(from, &i, &s);) {
		if (is_policy_field(schema_field(from->type, (unsigned)i))) {
			value_set(a, v, (unsigned)i,
				  inherit(a, value_get_value(own, (unsigned)i), s.value));
		}
	}
	return v;
}

const struct value *setting_inherit(struct arena *a, const struct value *own,
				    const struct value *from)
{
	union slot s;

	if (from == NULL) {
		return own;
	}
	struct value *v = with_type(a, own, from->type);
	for (int i = -1; value_next(from, &i, &s);) {
		if (is_policy_field(schema_field(from->type, (unsigned)i))) {
			value_set(a, v, (unsigned)i,
				  inherit(a, value_get_value(v, (unsigned)i), s.value));
		}
	}
	return v;
}

/* ---- what the plane can do ---- */

struct checking {
	struct arena *a;
	const struct setting_place *at;
	struct refusal *r;
};

static bool cannot(const struct checking *x, const char *what)
{
	return refuse(x->r, fault_new(x->a, T_NotSupported), "\"%s\": %s", x->at->name, what);
}

static bool trunk_check(const struct checking *x, const struct value *vlan)
{
	const struct value *ranges =
		value_get_value(vlan, F_VmwareDistributedVirtualSwitchTrunkVlanSpec_vlanId);
	bool seen[SETTING_VLAN_MAX + 1] = { false };
	int64_t n = 0;

	if (value_count(ranges) > RANGES_MAX) {
		return refuse(x->r, fault_invalid_argument(x->a, "vlan.vlanId"),
			      "\"%s\": a trunk has at most %d ranges of VLANs", x->at->name,
			      RANGES_MAX);
	}
	for (size_t i = 0; i < value_count(ranges); i++) {
		int64_t from = value_get_num(value_item(ranges, i), F_NumericRange_start, 0);
		int64_t to = value_get_num(value_item(ranges, i), F_NumericRange_end, 0);
		if (from < 0 || from > to || to > SETTING_VLAN_MAX) {
			return refuse(x->r, fault_invalid_argument(x->a, "vlan.vlanId"),
				      "\"%s\": VLANs %" PRId64 " to %" PRId64
				      " are no range from 0 to %d",
				      x->at->name, from, to, SETTING_VLAN_MAX);
		}
		for (int64_t id = from; id <= to; id++) {
			n += !seen[id];
			seen[id] = true;
		}
	}
	return x->at->is_uplink || n <= SETTING_TRUNK_MAX ||
	       refuse(x->r, fault_invalid_argument(x->a, "vlan.vlanId"),
		      "\"%s\": a trunk of %" PRId64 " VLANs, the limit for machines is %d",
		      x->at->name, n, SETTING_TRUNK_MAX);
}

static bool vlan_check(const struct checking *x, const struct value *vlan)
{
	if (value_is_a(vlan, T_VmwareDistributedVirtualSwitchTrunkVlanSpec)) {
		return trunk_check(x, vlan);
	}
	if (vlan == NULL) {
		return true;
	}
	if (!value_is_a(vlan, T_VmwareDistributedVirtualSwitchVlanIdSpec)) {
		return cannot(x, "private VLANs are not done here");
	}
	int64_t id = value_get_num(vlan, F_VmwareDistributedVirtualSwitchVlanIdSpec_vlanId, 0);
	return (id >= 0 && id <= SETTING_VLAN_MAX) ||
	       refuse(x->r, fault_invalid_argument(x->a, "vlan.vlanId"),
		      "\"%s\": VLAN %" PRId64 " is none, the last is %d", x->at->name, id,
		      SETTING_VLAN_MAX);
}

static bool within(const struct checking *x, const char *what, int64_t n, int64_t min, int64_t max)
{
	return (n >= min && n <= max) ||
	       refuse(x->r, fault_invalid_argument(x->a, what),
		      "\"%s\": %s of %" PRId64 " is not from %" PRId64 " to %" PRId64, x->at->name,
		      what, n, min, max);
}

/* One token bucket holds the average, and lets a burst through at line rate. */
static bool shaping_check(const struct checking *x, const struct value *shaping)
{
	if (!setting_bool(shaping, F_DVSTrafficShapingPolicy_enabled)) {
		return true;
	}
	int64_t average = setting_long(shaping, F_DVSTrafficShapingPolicy_averageBandwidth, 0);
	int64_t peak = setting_long(shaping, F_DVSTrafficShapingPolicy_peakBandwidth, average);
	int64_t burst = setting_long(shaping, F_DVSTrafficShapingPolicy_burstSize, BURST_MIN);
	return within(x, "averageBandwidth", average, RATE_MIN, RATE_MAX) &&
	       within(x, "burstSize", burst, BURST_MIN, BURST_MAX) &&
	       (peak == average ||
		cannot(x, "a peakBandwidth other than the averageBandwidth is not held here"));
}

static size_t count_of(const struct value *list, const struct value *text)
{
	size_t n = 0;

	for (size_t i = 0; i < value_count(list); i++) {
		n += strcmp(value_bytes(value_item(list, i)), value_bytes(text)) == 0;
	}
	return n;
}

static bool order_check(const struct checking *x, const struct value *setting)
{
	size_t n_active, n_switch;
	struct value *names = setting_uplinks(x->a, setting, &n_active);

	for (size_t i = 0; i < value_count(names); i++) {
		const struct value *name = value_item(names, i);
		if (count_of(x->at->uplinks, name) == 0 || count_of(names, name) > 1) {
			return refuse(
				x->r, fault_invalid_argument(x->a, "uplinkPortOrder"),
				"\"%s\": \"%.80s\" is no uplink of the switch, or named twice",
				x->at->name, value_bytes(name));
		}
	}
	if (x->at->from == NULL || x->at->is_uplink) {
		return true;
	}
	const char *mine = setting_teaming(setting), *its = setting_teaming(x->at->from);
	return (value_equal(names, setting_uplinks(x->a, x->at->from, &n_switch)) &&
		n_active == n_switch && mine != NULL && its != NULL && strcmp(mine, its) == 0) ||
	       cannot(x, "a port group cannot use the uplinks in another way than its switch");
}

static bool teaming_check(const struct checking *x, const struct value *setting)
{
	const struct value *teaming = teaming_of(setting);
	const struct value *failure =
		teaming == NULL
			? NULL
			: value_get_value(teaming, F_VmwareUplinkPortTeamingPolicy_failureCriteria);

	if (setting_teaming(setting) == NULL) {
		return refuse(x->r, fault_new(x->a, T_NotSupported),
			      "\"%s\": uplinks cannot be used by \"%.40s\"", x->at->name,
			      teaming_policy(teaming));
	}
	if (teaming != NULL &&
	    setting_bool(teaming, F_VmwareUplinkPortTeamingPolicy_rollingOrder)) {
		return cannot(x, "an uplink that is back is used again: rollingOrder is not done");
	}
	if (failure != NULL && setting_bool(failure, F_DVSFailureCriteria_checkBeacon)) {
		return cannot(x, "uplinks are not probed by beacons");
	}
	return order_check(x, setting);
}

static bool learning_check(const struct checking *x, const struct value *management)
{
	const struct value *v =
		management == NULL
			? NULL
			: value_get_value(management, F_DVSMacManagementPolicy_macLearningPolicy);
	const char *policy =
		v == NULL ? NULL : value_get_str(v, F_DVSMacLearningPolicy_limitPolicy);

	if (!value_get_bool(v, F_DVSMacLearningPolicy_enabled, false)) {
		return true;
	}
	if (!value_get_bool(management, F_DVSMacManagementPolicy_forgedTransmits, false)) {
		return refuse(x->r, fault_invalid_argument(x->a, "macLearningPolicy"),
			      "\"%s\": learning addresses needs forgedTransmits", x->at->name);
	}
	if (value_get_num(v, F_DVSMacLearningPolicy_limit, LEARNING_LIMIT) != LEARNING_LIMIT) {
		return refuse(x->r, fault_new(x->a, T_NotSupported),
			      "\"%s\": the number of addresses learned is %d and no other",
			      x->at->name, LEARNING_LIMIT);
	}
	if (policy != NULL && strcmp(policy, "DROP") != 0) {
		return cannot(x,
			      "frames of addresses beyond the limit are dropped, not let through");
	}
	return value_get_bool(v, F_DVSMacLearningPolicy_allowUnicastFlooding, true) ||
	       cannot(x, "unicast to unknown addresses is flooded where addresses are learned");
}

/* Settings that have no counterpart. */
static bool absent_check(const struct checking *x, const struct value *setting)
{
	const struct value *pool = value_get_value(setting, F_DVPortSetting_networkResourcePoolKey);
	const struct value *vendor = value_get_value(setting, F_DVPortSetting_vendorSpecificConfig);
	const char *key = pool == NULL ? NULL : value_get_str(pool, F_StringPolicy_value);

	if (key != NULL && key[0] != '\0' && strcmp(key, "-1") != 0) {
		return cannot(x, "there are no pools of network resources");
	}
	if (vendor != NULL && value_has(vendor, F_DVSVendorSpecificConfig_keyValue)) {
		return cannot(x, "vendorSpecificConfig is not known");
	}
	if (setting_bool(setting, F_DVPortSetting_vmDirectPathGen2Allowed)) {
		return cannot(x, "vmDirectPathGen2Allowed is not done");
	}
	if (!value_is_a(setting, T_VMwareDVSPortSetting)) {
		return true;
	}
	const struct value *lacp = value_get_value(setting, F_VMwareDVSPortSetting_lacpPolicy);
	const struct value *tag = value_get_value(setting, F_VMwareDVSPortSetting_qosTag);
	if (value_get_num(tag, F_IntPolicy_value, -1) != -1) {
		return cannot(x, "frames are not tagged with a priority");
	}
	if (setting_bool(setting, F_VMwareDVSPortSetting_ipfixEnabled)) {
		return cannot(x, "traffic is not reported by IPFIX");
	}
	if (setting_bool(setting, F_VMwareDVSPortSetting_txUplink)) {
		return cannot(x, "traffic is not copied to an uplink");
	}
	return lacp == NULL || !setting_bool(lacp, F_VMwareUplinkLacpPolicy_enable) ||
	       cannot(x, "uplinks are not bundled by LACP");
}

bool setting_check(struct arena *a, const struct value *setting, const struct setting_place *at,
		   struct refusal *r)
{
	const struct checking x = { .a = a, .at = at, .r = r };
	const struct value *filter = value_get_value(setting, F_DVPortSetting_filterPolicy);

	if (!absent_check(&x, setting) ||
	    !shaping_check(&x, value_get_value(setting, F_DVPortSetting_inShapingPolicy)) ||
	    !shaping_check(&x, value_get_value(setting, F_DVPortSetting_outShapingPolicy)) ||
	    !filter_check(a, filter, at->name, r)) {
		return false;
	}
	return !value_is_a(setting, T_VMwareDVSPortSetting) ||
	       (vlan_check(&x, value_get_value(setting, F_VMwareDVSPortSetting_vlan)) &&
		teaming_check(&x, setting) &&
		learning_check(
			&x, value_get_value(setting, F_VMwareDVSPortSetting_macManagementPolicy)));
}
