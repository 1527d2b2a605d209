/* SPDX-License-Identifier: Apache-2.0 */
#include "center/dvs_config.h"

#include <inttypes.h>
#include <string.h>

#include "base/macro.h"
#include "base/number.h"
#include "base/random.h"
#include "center/dvs_setting.h"
#include "vim/fault.h"
#include "vim/weight.h"

enum {
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

const char *dvs_version(size_t i)
{
	return i < ARRAY_LEN(versions) ? versions[i] : NULL;
}

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

static struct value *default_uplinks(struct arena *a)
{
	struct value *v = value_new_array(a, T_string);

	for (int i = 1; i <= DVS_UPLINKS; i++) {
		value_push_str(a, v, arena_printf(a, "Uplink %d", i));
	}
	return v;
}

const struct value *dvs_uplink_names(const struct value *config)
{
	const struct value *policy = value_get_value(config, F_DVSConfigInfo_uplinkPortPolicy);

	return value_is_a(policy, T_DVSNameArrayUplinkPortPolicy)
		       ? value_get_value(policy, F_DVSNameArrayUplinkPortPolicy_uplinkPortName)
		       : NULL;
}

bool dvs_is_offload(const char *id)
{
	return id != NULL && strcmp(id, DVS_OFFLOAD) == 0;
}

bool dvs_version_offloads(const struct value *product)
{
	const char *version = value_get_str(product, F_DistributedVirtualSwitchProductSpec_version);

	return version != NULL && version[0] >= '8' && version[1] == '.';
}

struct value *dvs_config_new(struct arena *a, const char *name, const char *version,
			     int64_t created_us)
{
	struct value *v = value_new(a, T_VMwareDVSConfigInfo);
	struct value *uplinks = value_new(a, T_DVSNameArrayUplinkPortPolicy);
	struct value *discovery = value_new(a, T_LinkDiscoveryProtocolConfig);
	const struct value *names = default_uplinks(a);

	value_set(a, uplinks, F_DVSNameArrayUplinkPortPolicy_uplinkPortName, names);
	value_set_str(a, discovery, F_LinkDiscoveryProtocolConfig_protocol, "cdp");
	value_set_str(a, discovery, F_LinkDiscoveryProtocolConfig_operation, "listen");
	value_set_str(a, v, F_DVSConfigInfo_uuid, dvs_new_uuid(a));
	value_set_str(a, v, F_DVSConfigInfo_name, name);
	value_set_num(a, v, F_DVSConfigInfo_numStandalonePorts, 0);
	value_set_num(a, v, F_DVSConfigInfo_numPorts, 0);
	value_set_num(a, v, F_DVSConfigInfo_maxPorts, INT32_MAX);
	value_set(a, v, F_DVSConfigInfo_uplinkPortPolicy, uplinks);
	value_set(a, v, F_DVSConfigInfo_defaultPortConfig, setting_default(a, names));
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

static bool is_text(const char *text, const char *is)
{
	return text != NULL && strcmp(text, is) == 0;
}

/* The card's family of offloads, for switches that are new enough and have no hosts yet. */
static bool offload_check(struct arena *a, const struct value *config, const struct value *spec,
			  struct refusal *r)
{
	const char *id = value_get_str(spec, F_VMwareDVSConfigSpec_networkOffloadSpecId);
	const char *now = value_get_str(config, F_VMwareDVSConfigInfo_networkOffloadSpecId);
	const char *name = value_get_str(config, F_DVSConfigInfo_name);

	if (value_has(spec, F_VMwareDVSConfigSpec_networkOffloadConfig)) {
		return refuse(r, fault_invalid_argument(a, "spec.networkOffloadConfig"),
			      "switch \"%s\": a host has one card that takes over, none fails over",
			      name);
	}
	if (id == NULL || is_text(now, id)) {
		return true;
	}
	if (!dvs_is_offload(id) && strcmp(id, "None") != 0) {
		return refuse(r, fault_invalid_argument(a, "spec.networkOffloadSpecId"),
			      "there is no offload \"%.80s\" for distributed switches", id);
	}
	if (!dvs_version_offloads(value_get_value(config, F_DVSConfigInfo_productInfo))) {
		return refuse(r, fault_invalid_argument(a, "spec.networkOffloadSpecId"),
			      "switch \"%s\" is older than version 8.0.0, which offload needs",
			      name);
	}
	return value_count(value_get_value(config, F_DVSConfigInfo_host)) == 0 ||
	       refuse(r, fault_new(a, T_DvsFault),
		      "switch \"%s\" has hosts: its offload changes only without", name);
}

static bool vmware_check(struct arena *a, const struct value *config, const struct value *spec,
			 struct refusal *r)
{
	int64_t mtu = value_get_num(spec, F_VMwareDVSConfigSpec_maxMtu, DVS_MTU_MIN);
	const struct value *discovery =
		value_get_value(spec, F_VMwareDVSConfigSpec_linkDiscoveryProtocolConfig);
	const char *says =
		discovery == NULL
			? NULL
			: value_get_str(discovery, F_LinkDiscoveryProtocolConfig_operation);

	if (mtu != 0 && (mtu < DVS_MTU_MIN || mtu > DVS_MTU_MAX)) {
		return refuse(r, fault_invalid_argument(a, "spec.maxMtu"),
			      "an MTU of %" PRId64 " is not from %d to %d", mtu, DVS_MTU_MIN,
			      DVS_MTU_MAX);
	}
	if (value_has(spec, F_VMwareDVSConfigSpec_vspanConfigSpec) ||
	    value_has(spec, F_VMwareDVSConfigSpec_ipfixConfig)) {
		return refuse(r, fault_new(a, T_NotSupported),
			      "distributed switches cannot mirror or report traffic here");
	}
	if (value_has(spec, F_VMwareDVSConfigSpec_pvlanConfigSpec)) {
		return refuse(r, fault_new(a, T_NotSupported), "private VLANs are not done here");
	}
	if (is_text(says, "advertise") || is_text(says, "both")) {
		return refuse(r, fault_new(a, T_NotSupported),
			      "distributed switches do not advertise themselves to others");
	}
	if (is_text(value_get_str(spec, F_VMwareDVSConfigSpec_multicastFilteringMode),
		    "snooping")) {
		return refuse(r, fault_new(a, T_NotSupported),
			      "multicast is not filtered by snooping");
	}
	return offload_check(a, config, spec, r);
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
		{ F_VMwareDVSConfigSpec_networkOffloadSpecId,
		  F_VMwareDVSConfigInfo_networkOffloadSpecId },
	};
	int64_t mtu = value_get_num(spec, F_VMwareDVSConfigSpec_maxMtu, 0);

	if (!vmware_check(a, v, spec, r)) {
		return false;
	}
	if (mtu != 0) { /* clients send 0 for what they do not set */
		value_set_num(a, v, F_VMwareDVSConfigInfo_maxMtu, mtu);
	}
	fields_copy(a, v, spec, fields, ARRAY_LEN(fields));
	return true;
}

/* ---- uplinks ---- */

static bool has_text(const struct value *list, const struct value *text, size_t before)
{
	for (size_t i = 0; i < value_count(list) && i < before; i++) {
		if (strcmp(value_bytes(value_item(list, i)), value_bytes(text)) == 0) {
			return true;
		}
	}
	return false;
}

static bool uplinks_check(struct arena *a, const struct value *names, struct refusal *r)
{
	size_t n = value_count(names);

	if (n == 0 || n > DVS_UPLINKS_MAX) {
		return refuse(r, fault_invalid_argument(a, "spec.uplinkPortPolicy"),
			      "%zu uplinks of a host are not from 1 to %d", n, DVS_UPLINKS_MAX);
	}
	for (size_t i = 0; i < n; i++) {
		if (value_len(value_item(names, i)) == 0 ||
		    has_text(names, value_item(names, i), i)) {
			return refuse(r, fault_invalid_argument(a, "spec.uplinkPortPolicy"),
				      "uplink \"%.80s\" is named twice, or has no name",
				      value_bytes(value_item(names, i)));
		}
	}
	return true;
}

/* The default order of uplinks, of those that are still there; all are active where all were. */
static const struct value *order_follow(struct arena *a, const struct value *setting,
					const struct value *was, const struct value *names)
{
	static const unsigned fields[] = { F_VMwareUplinkPortOrderPolicy_activeUplinkPort,
					   F_VMwareUplinkPortOrderPolicy_standbyUplinkPort };
	const struct value *teaming =
		value_is_a(setting, T_VMwareDVSPortSetting)
			? value_get_value(setting, F_VMwareDVSPortSetting_uplinkTeamingPolicy)
			: NULL;
	const struct value *order =
		teaming == NULL
			? NULL
			: value_get_value(teaming, F_VmwareUplinkPortTeamingPolicy_uplinkPortOrder);
	if (order == NULL) {
		return setting;
	}
	struct value *edit = value_edit(a, order), *t = value_edit(a, teaming);
	bool had_all = value_equal(value_get_value(order, fields[0]), was);
	for (size_t f = 0; f < ARRAY_LEN(fields); f++) {
		const struct value *list = value_get_value(order, fields[f]);
		struct value *left = value_new_array(a, T_string);
		for (size_t i = 0; i < value_count(list); i++) {
			if (has_text(names, value_item(list, i), SIZE_MAX)) {
				value_push(a, left, value_item(list, i));
			}
		}
		value_set(a, edit, fields[f], f == 0 && had_all ? names : left);
	}
	struct value *v = value_edit(a, setting);
	value_set(a, t, F_VmwareUplinkPortTeamingPolicy_uplinkPortOrder, edit);
	value_set(a, v, F_VMwareDVSPortSetting_uplinkTeamingPolicy, t);
	return v;
}

static bool uplinks_apply(struct arena *a, struct value *v, const struct value *spec,
			  struct refusal *r)
{
	const struct value *given = value_get_value(spec, F_DVSConfigSpec_uplinkPortPolicy);
	const struct value *was = dvs_uplink_names(v);

	if (given == NULL) {
		return true;
	}
	value_set(a, v, F_DVSConfigInfo_uplinkPortPolicy, given);
	const struct value *names = dvs_uplink_names(v);
	if (!uplinks_check(a, names, r)) {
		return false;
	}
	value_set(
		a, v, F_DVSConfigInfo_defaultPortConfig,
		order_follow(a, value_get_value(v, F_DVSConfigInfo_defaultPortConfig), was, names));
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

	if (!version_check(a, value_get_str(spec, F_DVSConfigSpec_configVersion),
			   value_get_str(config, F_DVSConfigInfo_configVersion),
			   value_get_str(config, F_DVSConfigInfo_name), r) ||
	    !uplinks_apply(a, v, spec, r)) {
		return NULL;
	}
	if (value_get_num(spec, F_DVSConfigSpec_numStandalonePorts, 0) != 0) {
		refuse(r, fault_invalid_argument(a, "spec.numStandalonePorts"),
		       "ports belong to port groups: none stand alone");
		return NULL;
	}
	const struct value *setting =
		setting_apply(a, value_get_value(v, F_DVSConfigInfo_defaultPortConfig),
			      value_get_value(spec, F_DVSConfigSpec_defaultPortConfig), r);
	const struct setting_place at = {
		.name = value_get_str(config, F_DVSConfigInfo_name),
		.uplinks = dvs_uplink_names(v),
	};
	if (setting == NULL || !setting_check(a, setting, &at, r)) {
		return NULL;
	}
	value_set(a, v, F_DVSConfigInfo_defaultPortConfig, setting);
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
	value_set(
		a, v, F_DVPortgroupConfigInfo_defaultPortConfig,
		setting_inherit(a, NULL, value_get_value(dvs, F_DVSConfigInfo_defaultPortConfig)));
	value_set_str(a, v, F_DVPortgroupConfigInfo_type, "earlyBinding");
	value_set_str(a, v, F_DVPortgroupConfigInfo_backingType, "standard");
	value_set(a, v, F_DVPortgroupConfigInfo_policy, portgroup_policy(a));
	value_set_str(a, v, F_DVPortgroupConfigInfo_configVersion, "0");
	value_set_bool(a, v, F_DVPortgroupConfigInfo_autoExpand, true);
	value_set_bool(a, v, F_DVPortgroupConfigInfo_uplink, false);
	return v;
}

/* What belongs to NSX and to pools of resources. */
static bool portgroup_has_foreign(const struct value *spec)
{
	static const unsigned fields[] = {
		F_DVPortgroupConfigSpec_scope,
		F_DVPortgroupConfigSpec_vendorSpecificConfig,
		F_DVPortgroupConfigSpec_transportZoneUuid,
		F_DVPortgroupConfigSpec_transportZoneName,
		F_DVPortgroupConfigSpec_logicalSwitchUuid,
		F_DVPortgroupConfigSpec_segmentId,
	};

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (value_has(spec, fields[i])) {
			return true;
		}
	}
	return false;
}

static bool portgroup_check(struct arena *a, const struct value *config, const struct value *spec,
			    struct refusal *r)
{
	const char *type = value_get_str(spec, F_DVPortgroupConfigSpec_type);
	const char *backing = value_get_str(spec, F_DVPortgroupConfigSpec_backingType);
	const char *pool =
		value_get_str(spec, F_DVPortgroupConfigSpec_vmVnicNetworkResourcePoolKey);
	const char *name = value_get_str(config, F_DVPortgroupConfigInfo_name);
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
	if (portgroup_has_foreign(spec) ||
	    (pool != NULL && pool[0] != '\0' && strcmp(pool, "-1") != 0)) {
		return refuse(
			r, fault_new(a, T_NotSupported),
			"port group \"%s\": scopes, vendors' settings, network resource pools "
			"and segments of others are not known here",
			name);
	}
	if (value_get_bool(config, F_DVPortgroupConfigInfo_uplink, false) &&
	    ((type != NULL && strcmp(type, "earlyBinding") != 0) ||
	     (n != 0 && n != value_get_num(config, F_DVPortgroupConfigInfo_numPorts, 0)))) {
		return refuse(r, fault_invalid_argument(a, "spec"),
			      "the ports of \"%s\" are the uplinks of the switch's hosts", name);
	}
	return true;
}

const struct value *portgroup_setting(struct arena *a, const struct value *config,
				      const struct value *setting, const struct value *dvs,
				      struct refusal *r)
{
	const struct value *from = value_get_value(dvs, F_DVSConfigInfo_defaultPortConfig);
	const struct setting_place at = {
		.name = value_get_str(config, F_DVPortgroupConfigInfo_name),
		.uplinks = dvs_uplink_names(dvs),
		.from = from,
		.is_uplink = value_get_bool(config, F_DVPortgroupConfigInfo_uplink, false),
	};
	const struct value *v = setting_inherit(a, setting, from);

	return setting_check(a, v, &at, r) ? v : NULL;
}

struct value *portgroup_config_apply(struct arena *a, const struct value *config,
				     const struct value *spec, const struct value *dvs,
				     struct refusal *r)
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

	if (!version_check(a, value_get_str(spec, F_DVPortgroupConfigSpec_configVersion),
			   value_get_str(config, F_DVPortgroupConfigInfo_configVersion),
			   value_get_str(config, F_DVPortgroupConfigInfo_name), r) ||
	    !portgroup_check(a, config, spec, r)) {
		return NULL;
	}
	const struct value *setting =
		setting_apply(a, value_get_value(v, F_DVPortgroupConfigInfo_defaultPortConfig),
			      value_get_value(spec, F_DVPortgroupConfigSpec_defaultPortConfig), r);
	if (setting != NULL) {
		setting = portgroup_setting(a, v, setting, dvs, r);
	}
	if (setting == NULL) {
		return NULL;
	}
	value_set(a, v, F_DVPortgroupConfigInfo_defaultPortConfig, setting);
	fields_copy(a, v, spec, fields, ARRAY_LEN(fields));
	config_version_next(a, v, F_DVPortgroupConfigInfo_configVersion);
	return weight_check(a, v, r) ? v : NULL;
}
