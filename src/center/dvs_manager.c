/* SPDX-License-Identifier: Apache-2.0 */
#include "center/dvs_manager.h"

#include <string.h>

#include "base/macro.h"
#include "center/dvs_config.h"
#include "center/dvs_fetch.h"
#include "center/dvs_member.h"
#include "center/place.h"
#include "center/portgroup.h"
#include "vim/fault.h"

struct value *dvs_features(struct arena *a, const struct value *product)
{
	static const char *const teaming[] = { "loadbalance_ip", "loadbalance_srcmac",
					       "loadbalance_srcid", "failover_explicit" };
	struct value *v = value_new(a, T_VMwareDVSFeatureCapability);
	struct value *dpu = value_new(a, T_VMwareDvsDpuCapability);
	struct value *mtu = value_new(a, T_VMwareDvsMtuCapability);
	struct value *modes = value_new_array(a, T_string);

	for (size_t i = 0; i < ARRAY_LEN(teaming); i++) {
		value_push_str(a, modes, teaming[i]);
	}
	value_set_bool(a, v, F_DVSFeatureCapability_networkResourceManagementSupported, false);
	value_set_bool(a, v, F_DVSFeatureCapability_vmDirectPathGen2Supported, false);
	value_set(a, v, F_DVSFeatureCapability_nicTeamingPolicy, modes);
	value_set_bool(a, v, F_VMwareDVSFeatureCapability_vspanSupported, false);
	value_set_bool(a, v, F_VMwareDVSFeatureCapability_lldpSupported, false);
	value_set_bool(a, v, F_VMwareDVSFeatureCapability_ipfixSupported, false);
	value_set_bool(a, v, F_VMwareDVSFeatureCapability_multicastSnoopingSupported, false);
	value_set_bool(a, v, F_VMwareDVSFeatureCapability_nsxSupported, false);
	value_set_num(a, mtu, F_VMwareDvsMtuCapability_minMtuSupported, DVS_MTU_MIN);
	value_set_num(a, mtu, F_VMwareDvsMtuCapability_maxMtuSupported, DVS_MTU_MAX);
	value_set(a, v, F_VMwareDVSFeatureCapability_mtuCapability, mtu);
	value_set_bool(a, dpu, F_VMwareDvsDpuCapability_networkOffloadSupported,
		       dvs_version_offloads(product));
	value_set_bool(a, dpu, F_VMwareDvsDpuCapability_activeStandbyModeSupported, false);
	value_set(a, v, F_VMwareDVSFeatureCapability_dpuCapability, dpu);
	return v;
}

static struct object *find_switch(struct center *c, const char *uuid)
{
	vec_each (&c->switches, it) {
		if (strcmp(object_get_str(*it, P_DistributedVirtualSwitch_uuid), uuid) == 0) {
			return *it;
		}
	}
	return NULL;
}

static struct object *switch_of_call(struct call *call, unsigned arg)
{
	const char *uuid = value_get_str(call->args, arg);
	struct object *o = find_switch(call_arg(call), uuid);

	if (o == NULL) {
		call_fault(call, fault_new(call->arena, T_NotFound),
			   "there is no distributed switch \"%.80s\"", uuid);
	}
	return o;
}

static void query_by_uuid(struct call *call)
{
	struct object *o =
		switch_of_call(call, A_DistributedVirtualSwitchManager_QueryDvsByUuid_uuid);

	if (o != NULL) {
		call_return(call, o->ref);
	}
}

static struct object *find_portgroup(struct object *dvs, const char *key)
{
	for (size_t i = 0; i < place_count(dvs, P_DistributedVirtualSwitch_portgroup); i++) {
		struct object *pg = place_at(dvs, P_DistributedVirtualSwitch_portgroup, i);
		if (pg != NULL && strcmp(object_id(pg), key) == 0) {
			return pg;
		}
	}
	return NULL;
}

static void answer_portgroup(struct call *call, struct object *dvs, const char *key)
{
	struct object *pg = find_portgroup(dvs, key);

	if (pg == NULL) {
		call_fault(call, fault_new(call->arena, T_NotFound),
			   "switch \"%s\" has no port group \"%.80s\"", place_name(dvs), key);
		return;
	}
	call_return(call, pg->ref);
}

static void manager_lookup(struct call *call)
{
	struct object *dvs = switch_of_call(
		call, A_DistributedVirtualSwitchManager_DVSManagerLookupDvPortGroup_switchUuid);

	const unsigned arg =
		A_DistributedVirtualSwitchManager_DVSManagerLookupDvPortGroup_portgroupKey;
	if (dvs != NULL) {
		answer_portgroup(call, dvs, value_get_str(call->args, arg));
	}
}

static void lookup(struct call *call)
{
	answer_portgroup(call, call->self,
			 value_get_str(call->args,
				       A_DistributedVirtualSwitch_LookupDvPortGroup_portgroupKey));
}

/* The newest one alone is recommended. */
static void available_specs(struct call *call)
{
	struct value *v = value_new_array(call->arena, T_DistributedVirtualSwitchProductSpec);
	bool recommended = value_get_bool(
		call->args, A_DistributedVirtualSwitchManager_QueryAvailableDvsSpec_recommended,
		false);
	const char *version;

	for (size_t i = 0; (version = dvs_version(i)) != NULL; i++) {
		if (!recommended || strcmp(version, DVS_VERSION) == 0) {
			value_push(call->arena, v, dvs_product(call->arena, version));
		}
	}
	call_return(call, v);
}

/* The product asked about, the newest where none is; NULL: the call is over. */
static const struct value *product_of(struct call *call, const struct value *given)
{
	const char *version =
		given == NULL ? NULL
			      : value_get_str(given, F_DistributedVirtualSwitchProductSpec_version);

	if (version == NULL || version[0] == '\0') {
		return dvs_product(call->arena, DVS_VERSION);
	}
	if (!dvs_knows_version(version)) {
		call_fault(call, fault_invalid_argument(call->arena, "switchProductSpec.version"),
			   "there are no switches of version \"%.40s\"", version);
		return NULL;
	}
	return dvs_product(call->arena, version);
}

static void feature_capability(struct call *call)
{
	const unsigned arg =
		A_DistributedVirtualSwitchManager_QueryDvsFeatureCapability_switchProductSpec;
	const struct value *product = product_of(call, value_get_value(call->args, arg));

	if (product != NULL) {
		call_return(call, dvs_features(call->arena, product));
	}
}

static struct value *group_info(struct arena *a, struct object *pg, struct object *dvs)
{
	struct value *info = value_new(a, T_DistributedVirtualPortgroupInfo);
	const struct value *config = object_get(pg, P_DistributedVirtualPortgroup_config, a);

	value_set_str(a, info, F_DistributedVirtualPortgroupInfo_switchName, place_name(dvs));
	value_set_str(a, info, F_DistributedVirtualPortgroupInfo_switchUuid,
		      object_get_str(dvs, P_DistributedVirtualSwitch_uuid));
	value_set_str(a, info, F_DistributedVirtualPortgroupInfo_portgroupName, place_name(pg));
	value_set_str(a, info, F_DistributedVirtualPortgroupInfo_portgroupKey, object_id(pg));
	value_set_str(a, info, F_DistributedVirtualPortgroupInfo_portgroupType,
		      value_get_str(config, F_DVPortgroupConfigInfo_type));
	value_set_bool(a, info, F_DistributedVirtualPortgroupInfo_uplinkPortgroup,
		       portgroup_is_uplink(pg));
	value_set(a, info, F_DistributedVirtualPortgroupInfo_portgroup, pg->ref);
	return info;
}

static struct value *switch_info(struct arena *a, struct object *dvs)
{
	struct value *info = value_new(a, T_DistributedVirtualSwitchInfo);

	value_set_str(a, info, F_DistributedVirtualSwitchInfo_switchName, place_name(dvs));
	value_set_str(a, info, F_DistributedVirtualSwitchInfo_switchUuid,
		      object_get_str(dvs, P_DistributedVirtualSwitch_uuid));
	value_set(a, info, F_DistributedVirtualSwitchInfo_distributedVirtualSwitch, dvs->ref);
	return info;
}

static bool has_member(struct object *dvs, const struct object *host, struct arena *a)
{
	return dvs_member_of(object_get(dvs, P_DistributedVirtualSwitch_config, a), host) != NULL;
}

/* Of all switches, of those that a host is a member of, or of one. */
static void config_target(struct call *call)
{
	struct center *c = call_arg(call);
	struct arena *a = call->arena;
	struct value *v = value_new(a, T_DVSManagerDvsConfigTarget);
	struct value *groups = value_new_array(a, T_DistributedVirtualPortgroupInfo);
	struct value *switches = value_new_array(a, T_DistributedVirtualSwitchInfo);
	uint32_t i = 0;
	bool ok;
	struct object *host =
		call_object(call, A_DistributedVirtualSwitchManager_QueryDvsConfigTarget_host,
			    T_HostSystem, &ok);
	struct object *only =
		!ok ? NULL
		    : call_object(call, A_DistributedVirtualSwitchManager_QueryDvsConfigTarget_dvs,
				  T_DistributedVirtualSwitch, &ok);

	if (!ok) {
		return;
	}
	for (struct object *o; (o = inventory_each(c->inventory, &i)) != NULL;) {
		bool is_group = schema_is_a(o->type, T_DistributedVirtualPortgroup);
		if (o->removed ||
		    (!is_group && !schema_is_a(o->type, T_DistributedVirtualSwitch)) ||
		    !session_may(call->session, o, "System.Read")) {
			continue;
		}
		struct object *dvs = is_group ? portgroup_dvs(o) : o;
		if (dvs == NULL || (only != NULL && dvs != only) ||
		    (host != NULL && !has_member(dvs, host, a))) {
			continue;
		}
		if (is_group) {
			value_push(a, groups, group_info(a, o, dvs));
		} else {
			value_push(a, switches, switch_info(a, o));
		}
	}
	value_set(a, v, F_DVSManagerDvsConfigTarget_distributedVirtualPortgroup, groups);
	value_set(a, v, F_DVSManagerDvsConfigTarget_distributedVirtualSwitch, switches);
	call_return(call, v);
}

/* ---- hosts ---- */

/* Does an adapter of the host, perhaps with a card behind it, wait for a switch? */
static bool is_compatible(struct object *host, struct object *dvs, struct arena *a)
{
	return dvs == NULL ||
	       (!has_member(dvs, host, a) && place_datacenter(host) == place_datacenter(dvs));
}

/* Hosts in a container, in whatever depth or right below, that could join: `dvs`, or a new one. */
static void answer_hosts(struct call *call, unsigned container, unsigned recursive,
			 struct object *dvs)
{
	struct center *c = call_arg(call);
	bool ok, deep = value_get_bool(call->args, recursive, true);
	struct object *top = call_object(call, container, T_ManagedEntity, &ok);
	struct value *v = value_new_array(call->arena, T_HostSystem);
	uint32_t i = 0;

	if (top == NULL) {
		return;
	}
	for (struct object *o; (o = inventory_each(c->inventory, &i)) != NULL;) {
		if (o->removed || !schema_is_a(o->type, T_HostSystem) ||
		    !session_may(call->session, o, "System.Read") ||
		    !is_compatible(o, dvs, call->arena)) {
			continue;
		}
		struct object *compute = place_parent(o);
		if (deep ? place_is_within(o, top)
			 : o == top || compute == top ||
				    (compute != NULL && place_parent(compute) == top)) {
			value_push(call->arena, v, o->ref);
		}
	}
	call_return(call, value_count(v) == 0 ? NULL : v);
}

static void hosts_for_new(struct call *call)
{
	const unsigned product =
		A_DistributedVirtualSwitchManager_QueryCompatibleHostForNewDvs_switchProductSpec;

	if (product_of(call, value_get_value(call->args, product)) != NULL) {
		answer_hosts(
			call,
			A_DistributedVirtualSwitchManager_QueryCompatibleHostForNewDvs_container,
			A_DistributedVirtualSwitchManager_QueryCompatibleHostForNewDvs_recursive,
			NULL);
	}
}

#define EXISTING(argument)                                                                         \
	A_DistributedVirtualSwitchManager_QueryCompatibleHostForExistingDvs_##argument

static void hosts_for_existing(struct call *call)
{
	bool ok;
	struct object *dvs = call_object(call, EXISTING(dvs), T_DistributedVirtualSwitch, &ok);

	if (dvs != NULL) {
		answer_hosts(call, EXISTING(container), EXISTING(recursive), dvs);
	}
}

/* Adapters of a host that a switch could have: nobody's, or its own already; lent by a card where
 * the switch is offloaded. */
static struct value *free_pnics(struct center *c, struct object *host, struct object *dvs,
				struct arena *a)
{
	const struct value *config = object_get(host, P_HostSystem_config, a);
	const struct value *network =
		config == NULL ? NULL : value_get_value(config, F_HostConfigInfo_network);
	const struct value *list =
		network == NULL ? NULL : value_get_value(network, F_HostNetworkInfo_pnic);
	const struct value *its = object_get(dvs, P_DistributedVirtualSwitch_config, a);
	bool is_offload = dvs_is_offload(
		value_is_a(its, T_VMwareDVSConfigInfo)
			? value_get_str(its, F_VMwareDVSConfigInfo_networkOffloadSpecId)
			: NULL);
	struct value *out = value_new_array(a, T_PhysicalNic);

	for (size_t i = 0; i < value_count(list); i++) {
		const struct value *pnic = value_item(list, i);
		const char *device = value_get_str(pnic, F_PhysicalNic_device);
		if (device != NULL && dvs_pnic_user(c, dvs, host, device, a) == NULL &&
		    (!is_offload || dvs_pnic_is_offloaded(pnic))) {
			value_push(a, out, pnic);
		}
	}
	return out;
}

static void compatible_vmnics(struct call *call)
{
	struct center *c = call_arg(call);
	struct arena *a = call->arena;
	bool ok;
	struct object *dvs = call_object(
		call, A_DistributedVirtualSwitchManager_QueryCompatibleVmnicsFromHosts_dvs,
		T_DistributedVirtualSwitch, &ok);
	const struct value *hosts = value_get_value(
		call->args, A_DistributedVirtualSwitchManager_QueryCompatibleVmnicsFromHosts_hosts);
	struct value *out = value_new_array(a, T_DVSManagerPhysicalNicsList);

	for (size_t i = 0; dvs != NULL && i < value_count(hosts); i++) {
		const struct value *ref = value_item(hosts, i);
		struct object *host = inventory_find_ref(c->inventory, ref);
		if (host == NULL || !schema_is_a(host->type, T_HostSystem)) {
			call_fault(call, fault_not_found(a, ref), "host \"%s\" does not exist",
				   value_bytes(ref));
			return;
		}
		if (!call_require(call, host, "System.Read")) {
			return;
		}
		struct value *v = value_new(a, T_DVSManagerPhysicalNicsList);
		struct value *pnics = free_pnics(c, host, dvs, a);
		value_set(a, v, F_DVSManagerPhysicalNicsList_host, host->ref);
		if (value_count(pnics) > 0) {
			value_set(a, v, F_DVSManagerPhysicalNicsList_physicalNics, pnics);
		}
		value_push(a, out, v);
	}
	if (dvs != NULL) {
		call_return(call, value_count(out) == 0 ? NULL : out);
	}
}

#define OFFLOAD(argument)                                                                          \
	A_DistributedVirtualSwitchManager_QuerySupportedNetworkOffloadSpec_##argument

/* Cards that run this software: the one kind there is. */
static void offload_specs(struct call *call)
{
	struct arena *a = call->arena;
	const struct value *product =
		product_of(call, value_get_value(call->args, OFFLOAD(switchProductSpec)));
	struct value *list = value_new_array(a, T_DistributedVirtualSwitchNetworkOffloadSpec);
	struct value *v = value_new(a, T_DistributedVirtualSwitchNetworkOffloadSpec);
	struct value *types = value_new_array(a, T_string);

	if (product == NULL) {
		return;
	}
	value_push_str(a, types, DVS_OFFLOAD);
	value_set_str(a, v, F_DistributedVirtualSwitchNetworkOffloadSpec_id, DVS_OFFLOAD);
	value_set_str(a, v, F_DistributedVirtualSwitchNetworkOffloadSpec_name, "Remora");
	value_set(a, v, F_DistributedVirtualSwitchNetworkOffloadSpec_types, types);
	value_push(a, list, v);
	call_return(call, dvs_version_offloads(product) ? list : NULL);
}

void dvs_manager_register(struct center *c)
{
	static const struct {
		uint16_t type, method;
		call_fn *fn;
	} methods[] = {
		{ T_DistributedVirtualSwitchManager,
		  M_DistributedVirtualSwitchManager_QueryDvsByUuid, query_by_uuid },
		{ T_DistributedVirtualSwitchManager,
		  M_DistributedVirtualSwitchManager_DVSManagerLookupDvPortGroup, manager_lookup },
		{ T_DistributedVirtualSwitchManager,
		  M_DistributedVirtualSwitchManager_QueryAvailableDvsSpec, available_specs },
		{ T_DistributedVirtualSwitchManager,
		  M_DistributedVirtualSwitchManager_QueryDvsFeatureCapability, feature_capability },
		{ T_DistributedVirtualSwitchManager,
		  M_DistributedVirtualSwitchManager_QueryDvsConfigTarget, config_target },
		{ T_DistributedVirtualSwitchManager,
		  M_DistributedVirtualSwitchManager_QueryCompatibleHostForNewDvs, hosts_for_new },
		{ T_DistributedVirtualSwitchManager,
		  M_DistributedVirtualSwitchManager_QueryCompatibleHostForExistingDvs,
		  hosts_for_existing },
		{ T_DistributedVirtualSwitchManager,
		  M_DistributedVirtualSwitchManager_QueryCompatibleVmnicsFromHosts,
		  compatible_vmnics },
		{ T_DistributedVirtualSwitchManager,
		  M_DistributedVirtualSwitchManager_QuerySupportedNetworkOffloadSpec,
		  offload_specs },
		{ T_DistributedVirtualSwitch, M_DistributedVirtualSwitch_LookupDvPortGroup,
		  lookup },
	};

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		service_handle(c->api->service, methods[i].type, methods[i].method, methods[i].fn,
			       c);
	}
	dvs_fetch_register(c);
	c->dvs_manager = inventory_add(c->inventory, T_DistributedVirtualSwitchManager,
				       "DVSManager", NULL, NULL);
	api_content_set(c->api, F_ServiceContent_dvSwitchManager, c->dvs_manager);
}
