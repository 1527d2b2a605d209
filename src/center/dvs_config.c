/* SPDX-License-Identifier: Apache-2.0 */
#include "center/dvs_config.h"

#include <inttypes.h>
#include <string.h>

#include "base/macro.h"
#include "base/number.h"
#include "base/random.h"
#include "vim/fault.h"
#include "vim/weight.h"

enum {
	MTU_MIN = 1280,
	MTU_MAX = 9190,
	VLAN_MAX = 4094,
	TEXT_MAX = 1024,
	CONFIG_MAX = 1 << 20,
	PORTS_DEFAULT = 8
};

const char *dvs_new_uuid(struct arena *a)
{
	unsigned char b[16];
	char *out = arena_alloc(a, sizeof(b) * 3);

	random_bytes(b, sizeof(b));
	b[0] = 0x50;
	for (size_t i = 0; i < ARRAY_LEN(b); i++) {
		static const char hex[] = "0123456789abcdef";
		out[3 * i] = hex[b[i] >> 4];
		out[3 * i + 1] = hex[b[i] & 15];
		out[3 * i + 2] = i == 7 ? '-' : ' ';
	}
	out[3 * sizeof(b) - 1] = '\0';
	return out;
}

/* ---- what switches are ---- */

static const char *const versions[] = { "6.5.0", "6.6.0", "7.0.0", "7.0.2",
					"7.0.3", "8.0.0", "8.0.3" };

bool dvs_knows_version(const char *version)
{
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		if (strcmp(versions[i], version) == 0) {
			return true;
		}
	}
	return false;
}

struct value *dvs_product(struct arena *a, const char *version)
{
	struct value *v = value_new(a, T_DistributedVirtualSwitchProductSpec);

	value_set_str(a, v, F_DistributedVirtualSwitchProductSpec_name, "DVS");
	value_set_str(a, v, F_DistributedVirtualSwitchProductSpec_vendor, "Remora");
	value_set_str(a, v, F_DistributedVirtualSwitchProductSpec_version, version);
	value_set_str(a, v, F_DistributedVirtualSwitchProductSpec_build, "1");
	value_set_str(a, v, F_DistributedVirtualSwitchProductSpec_forwardingClass, "etherswitch");
	return v;
}

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

static struct value *uplink_names(struct arena *a)
{
	struct value *v = value_new_array(a, T_string);

	for (int i = 1; i <= DVS_UPLINKS; i++) {
		value_push_str(a, v, arena_printf(a, "Uplink %d", i));
	}
	return v;
}

static struct value *teaming_default(struct arena *a)
{
	struct value *v = policy_new(a, T_VmwareUplinkPortTeamingPolicy);
	struct value *order = policy_new(a, T_VMwareUplinkPortOrderPolicy);

	value_set(a, order, F_VMwareUplinkPortOrderPolicy_activeUplinkPort, uplink_names(a));
	value_set(a, v, F_VmwareUplinkPortTeamingPolicy_policy,
		  text_policy(a, "loadbalance_srcid"));
	value_set(a, v, F_VmwareUplinkPortTeamingPolicy_notifySwitches, bool_policy(a, true));
	value_set(a, v, F_VmwareUplinkPortTeamingPolicy_rollingOrder, bool_policy(a, false));
	value_set(a, v, F_VmwareUplinkPortTeamingPolicy_uplinkPortOrder, order);
	return v;
}

static struct value *port_setting_default(struct arena *a)
{
	struct value *v = value_new(a, T_VMwareDVSPortSetting);
	struct value *vlan = policy_new(a, T_VmwareDistributedVirtualSwitchVlanIdSpec);

	value_set_num(a, vlan, F_VmwareDistributedVirtualSwitchVlanIdSpec_vlanId, 0);
	value_set(a, v, F_DVPortSetting_blocked, bool_policy(a, false));
	value_set(a, v, F_VMwareDVSPortSetting_vlan, vlan);
	value_set(a, v, F_VMwareDVSPortSetting_uplinkTeamingPolicy, teaming_default(a));
	value_set(a, v, F_VMwareDVSPortSetting_securityPolicy, security_default(a));
	value_set(a, v, F_VMwareDVSPortSetting_ipfixEnabled, bool_policy(a, false));
	return v;
}

struct value *dvs_config_new(struct arena *a, const char *name, const char *version,
			     int64_t created_us)
{
	struct value *v = value_new(a, T_VMwareDVSConfigInfo);
	struct value *uplinks = value_new(a, T_DVSNameArrayUplinkPortPolicy);
	struct value *discovery = value_new(a, T_LinkDiscoveryProtocolConfig);

	value_set(a, uplinks, F_DVSNameArrayUplinkPortPolicy_uplinkPortName, uplink_names(a));
	value_set_str(a, discovery, F_LinkDiscoveryProtocolConfig_protocol, "cdp");
	value_set_str(a, discovery, F_LinkDiscoveryProtocolConfig_operation, "listen");
	value_set_str(a, v, F_DVSConfigInfo_uuid, dvs_new_uuid(a));
	value_set_str(a, v, F_DVSConfigInfo_name, name);
	value_set_num(a, v, F_DVSConfigInfo_numStandalonePorts, 0);
	value_set_num(a, v, F_DVSConfigInfo_numPorts, 0);
	value_set_num(a, v, F_DVSConfigInfo_maxPorts, INT32_MAX);
	value_set(a, v, F_DVSConfigInfo_uplinkPortPolicy, uplinks);
	value_set(a, v, F_DVSConfigInfo_defaultPortConfig, port_setting_default(a));
	value_set(a, v, F_DVSConfigInfo_productInfo, dvs_product(a, version));
	value_set_str(a, v, F_DVSConfigInfo_configVersion, "1");
	value_set(a, v, F_DVSConfigInfo_contact, value_new(a, T_DVSContactInfo));
	value_set_num(a, v, F_DVSConfigInfo_createTime, created_us);
	value_set_bool(a, v, F_DVSConfigInfo_networkResourceManagementEnabled, false);
	value_set_num(a, v, F_VMwareDVSConfigInfo_maxMtu, 1500);
	value_set(a, v, F_VMwareDVSConfigInfo_linkDiscoveryProtocolConfig, discovery);
	value_set_str(a, v, F_VMwareDVSConfigInfo_lacpApiVersion, "multipleLag");
	value_set_str(a, v, F_VMwareDVSConfigInfo_multicastFilteringMode, "legacyFiltering");
	value_set_str(a, v, F_VMwareDVSConfigInfo_networkOffloadSpecId, "None");
	return v;
}

/* ---- changes ---- */

static struct value *merge(struct arena *a, const struct value *old, const struct value *with)
{
	union slot s;

	if (old == NULL || old->type != with->type) {
		return value_edit(a, with);
	}
	struct value *v = value_edit(a, old);
	for (int i = -1; value_next(with, &i, &s);) {
		value_set_slot(v, (unsigned)i, s);
	}
	return v;
}

/* Port settings are given in part, at both levels. */
static const struct value *setting_merge(struct arena *a, const struct value *old,
					 const struct value *with)
{
	union slot s;

	if (old == NULL || !schema_is_a(old->type, with->type)) {
		return with;
	}
	struct value *v = value_edit(a, old);
	for (int i = -1; value_next(with, &i, &s);) {
		const struct value *was = value_get_value(old, (unsigned)i);
		if (s.value->kind == KIND_STRUCT) {
			value_set(a, v, (unsigned)i, merge(a, was, s.value));
		} else {
			value_set_slot(v, (unsigned)i, s);
		}
	}
	return v;
}

static bool setting_check(struct arena *a, const struct value *setting, struct refusal *r)
{
	const struct value *vlan = value_is_a(setting, T_VMwareDVSPortSetting)
					   ? value_get_value(setting, F_VMwareDVSPortSetting_vlan)
					   : NULL;

	if (value_is_a(vlan, T_VmwareDistributedVirtualSwitchVlanIdSpec)) {
		int64_t id =
			value_get_num(vlan, F_VmwareDistributedVirtualSwitchVlanIdSpec_vlanId, 0);
		if (id < 0 || id > VLAN_MAX) {
			return refuse(r, fault_invalid_argument(a, "vlan.vlanId"),
				      "VLAN %" PRId64 " is none, the last is %d", id, VLAN_MAX);
		}
	}
	return true;
}

/* Fields that go over as they are. */
struct same_field {
	unsigned spec, config;
};

static void fields_copy(struct arena *a, struct value *config, const struct value *spec,
			const struct same_field *fields, size_t n)
{
	union slot s;

	(void)a;
	for (size_t i = 0; i < n; i++) {
		if (value_get(spec, fields[i].spec, &s)) {
			value_set_slot(config, fields[i].config, s);
		}
	}
}

void config_version_next(struct arena *a, struct value *config, unsigned field)
{
	const char *old = value_get_str(config, field);
	int64_t n = 0;

	if (old == NULL || !number_i64(old, &n)) {
		n = 0;
	}
	value_set_strf(a, config, field, "%" PRId64, n + 1);
}

static bool version_check(struct arena *a, const char *given, const char *present, const char *name,
			  struct refusal *r)
{
	return given == NULL || strcmp(given, present) == 0 ||
	       refuse(r, fault_new(a, T_ConcurrentAccess),
		      "\"%s\" has changed since version \"%.40s\", it is at \"%s\"", name, given,
		      present);
}

static bool vmware_check(struct arena *a, const struct value *spec, struct refusal *r)
{
	int64_t mtu = value_get_num(spec, F_VMwareDVSConfigSpec_maxMtu, MTU_MIN);
	const char *offload = value_get_str(spec, F_VMwareDVSConfigSpec_networkOffloadSpecId);

	if (mtu != 0 && (mtu < MTU_MIN || mtu > MTU_MAX)) {
		return refuse(r, fault_invalid_argument(a, "spec.maxMtu"),
			      "an MTU of %" PRId64 " is not from %d to %d", mtu, MTU_MIN, MTU_MAX);
	}
	if (offload != NULL && strcmp(offload, "None") != 0) {
		return refuse(r, fault_invalid_argument(a, "spec.networkOffloadSpecId"),
			      "there is no offload \"%.80s\" for distributed switches", offload);
	}
	if (value_has(spec, F_VMwareDVSConfigSpec_vspanConfigSpec) ||
	    value_has(spec, F_VMwareDVSConfigSpec_ipfixConfig)) {
		return refuse(r, fault_new(a, T_NotSupported),
			      "distributed switches cannot mirror or report traffic here");
	}
	return true;
}

static bool vmware_apply(struct arena *a, struct value *v, const struct value *spec,
			 struct refusal *r)
{
	static const struct same_field fields[] = {
		{ F_VMwareDVSConfigSpec_linkDiscoveryProtocolConfig,
		  F_VMwareDVSConfigInfo_linkDiscoveryProtocolConfig },
		{ F_VMwareDVSConfigSpec_lacpApiVersion, F_VMwareDVSConfigInfo_lacpApiVersion },
		{ F_VMwareDVSConfigSpec_multicastFilteringMode,
		  F_VMwareDVSConfigInfo_multicastFilteringMode },
	};
	int64_t mtu = value_get_num(spec, F_VMwareDVSConfigSpec_maxMtu, 0);

	if (!vmware_check(a, spec, r)) {
		return false;
	}
	if (mtu != 0) { /* clients send 0 for what they do not set */
		value_set_num(a, v, F_VMwareDVSConfigInfo_maxMtu, mtu);
	}
	fields_copy(a, v, spec, fields, ARRAY_LEN(fields));
	return true;
}

static bool weight_check(struct arena *a, const struct value *v, struct refusal *r)
{
	return weight_within(v, CONFIG_MAX) ||
	       refuse(r, fault_invalid_argument(a, "spec"),
		      "the configuration would be larger than %d bytes", CONFIG_MAX);
}

struct value *dvs_config_apply(struct arena *a, const struct value *config,
			       const struct value *spec, struct refusal *r)
{
	static const struct same_field fields[] = {
		{ F_DVSConfigSpec_uplinkPortPolicy, F_DVSConfigInfo_uplinkPortPolicy },
		{ F_DVSConfigSpec_extensionKey, F_DVSConfigInfo_extensionKey },
		{ F_DVSConfigSpec_description, F_DVSConfigInfo_description },
		{ F_DVSConfigSpec_policy, F_DVSConfigInfo_policy },
		{ F_DVSConfigSpec_contact, F_DVSConfigInfo_contact },
		{ F_DVSConfigSpec_switchIpAddress, F_DVSConfigInfo_switchIpAddress },
		{ F_DVSConfigSpec_defaultProxySwitchMaxNumPorts,
		  F_DVSConfigInfo_defaultProxySwitchMaxNumPorts },
		{ F_DVSConfigSpec_infrastructureTrafficResourceConfig,
		  F_DVSConfigInfo_infrastructureTrafficResourceConfig },
		{ F_DVSConfigSpec_networkResourceControlVersion,
		  F_DVSConfigInfo_networkResourceControlVersion },
	};
	struct value *v = value_edit(a, config);
	const struct value *setting = value_get_value(spec, F_DVSConfigSpec_defaultPortConfig);

	if (!version_check(a, value_get_str(spec, F_DVSConfigSpec_configVersion),
			   value_get_str(config, F_DVSConfigInfo_configVersion),
			   value_get_str(config, F_DVSConfigInfo_name), r)) {
		return NULL;
	}
	if (setting != NULL) {
		if (!setting_check(a, setting, r)) {
			return NULL;
		}
		value_set(a, v, F_DVSConfigInfo_defaultPortConfig,
			  setting_merge(a, value_get_value(v, F_DVSConfigInfo_defaultPortConfig),
					setting));
	}
	fields_copy(a, v, spec, fields, ARRAY_LEN(fields));
	if (value_is_a(spec, T_VMwareDVSConfigSpec) && !vmware_apply(a, v, spec, r)) {
		return NULL;
	}
	config_version_next(a, v, F_DVSConfigInfo_configVersion);
	return weight_check(a, v, r) ? v : NULL;
}

/* ---- port groups ---- */

static struct value *portgroup_policy(struct arena *a)
{
	struct value *v = value_new(a, T_VMwareDVSPortgroupPolicy);

	value_set_bool(a, v, F_DVPortgroupPolicy_blockOverrideAllowed, true);
	value_set_bool(a, v, F_DVPortgroupPolicy_shapingOverrideAllowed, false);
	value_set_bool(a, v, F_DVPortgroupPolicy_vendorConfigOverrideAllowed, false);
	value_set_bool(a, v, F_DVPortgroupPolicy_livePortMovingAllowed, false);
	value_set_bool(a, v, F_DVPortgroupPolicy_portConfigResetAtDisconnect, true);
	value_set_bool(a, v, F_VMwareDVSPortgroupPolicy_vlanOverrideAllowed, false);
	value_set_bool(a, v, F_VMwareDVSPortgroupPolicy_uplinkTeamingOverrideAllowed, false);
	value_set_bool(a, v, F_VMwareDVSPortgroupPolicy_securityPolicyOverrideAllowed, false);
	return v;
}

struct value *portgroup_config_new(struct arena *a, const char *name, const struct value *dvs)
{
	struct value *v = value_new(a, T_DVPortgroupConfigInfo);

	value_set_str(a, v, F_DVPortgroupConfigInfo_name, name);
	value_set_num(a, v, F_DVPortgroupConfigInfo_numPorts, PORTS_DEFAULT);
	value_set(a, v, F_DVPortgroupConfigInfo_defaultPortConfig,
		  value_get_value(dvs, F_DVSConfigInfo_defaultPortConfig));
	value_set_str(a, v, F_DVPortgroupConfigInfo_type, "earlyBinding");
	value_set_str(a, v, F_DVPortgroupConfigInfo_backingType, "standard");
	value_set(a, v, F_DVPortgroupConfigInfo_policy, portgroup_policy(a));
	value_set_str(a, v, F_DVPortgroupConfigInfo_configVersion, "0");
	value_set_bool(a, v, F_DVPortgroupConfigInfo_autoExpand, true);
	value_set_bool(a, v, F_DVPortgroupConfigInfo_uplink, false);
	return v;
}

static bool portgroup_check(struct arena *a, const struct value *spec, struct refusal *r)
{
	const char *type = value_get_str(spec, F_DVPortgroupConfigSpec_type);
	const char *backing = value_get_str(spec, F_DVPortgroupConfigSpec_backingType);
	int64_t n = value_get_num(spec, F_DVPortgroupConfigSpec_numPorts, 0);

	if (n < 0 || n > DVS_PORTS_MAX) {
		return refuse(r, fault_invalid_argument(a, "spec.numPorts"),
			      "%" PRId64 " ports are not from 0 to %d", n, DVS_PORTS_MAX);
	}
	if (type != NULL && strcmp(type, "earlyBinding") != 0 && strcmp(type, "ephemeral") != 0 &&
	    strcmp(type, "lateBinding") != 0) {
		return refuse(r, fault_invalid_argument(a, "spec.type"),
			      "\"%.40s\" is no type of port groups", type);
	}
	if (backing != NULL && strcmp(backing, "standard") != 0) {
		return refuse(r, fault_invalid_argument(a, "spec.backingType"),
			      "port groups with backing \"%.40s\" cannot be made here", backing);
	}
	return setting_check(a, value_get_value(spec, F_DVPortgroupConfigSpec_defaultPortConfig),
			     r);
}

struct value *portgroup_config_apply(struct arena *a, const struct value *config,
				     const struct value *spec, struct refusal *r)
{
	static const struct same_field fields[] = {
		{ F_DVPortgroupConfigSpec_numPorts, F_DVPortgroupConfigInfo_numPorts },
		{ F_DVPortgroupConfigSpec_portNameFormat, F_DVPortgroupConfigInfo_portNameFormat },
		{ F_DVPortgroupConfigSpec_description, F_DVPortgroupConfigInfo_description },
		{ F_DVPortgroupConfigSpec_type, F_DVPortgroupConfigInfo_type },
		{ F_DVPortgroupConfigSpec_policy, F_DVPortgroupConfigInfo_policy },
		{ F_DVPortgroupConfigSpec_autoExpand, F_DVPortgroupConfigInfo_autoExpand },
	};
	struct value *v = value_edit(a, config);
	const struct value *setting =
		value_get_value(spec, F_DVPortgroupConfigSpec_defaultPortConfig);

	if (!version_check(a, value_get_str(spec, F_DVPortgroupConfigSpec_configVersion),
			   value_get_str(config, F_DVPortgroupConfigInfo_configVersion),
			   value_get_str(config, F_DVPortgroupConfigInfo_name), r) ||
	    !portgroup_check(a, spec, r)) {
		return NULL;
	}
	if (setting != NULL) {
		value_set(a, v, F_DVPortgroupConfigInfo_defaultPortConfig,
			  setting_merge(
				  a, value_get_value(v, F_DVPortgroupConfigInfo_defaultPortConfig),
				  setting));
	}
	fields_copy(a, v, spec, fields, ARRAY_LEN(fields));
	config_version_next(a, v, F_DVPortgroupConfigInfo_configVersion);
	return weight_check(a, v, r) ? v : NULL;
}
