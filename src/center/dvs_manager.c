/* SPDX-License-Identifier: Apache-2.0 */
#include "center/dvs_manager.h"

#include <string.h>

#include "base/macro.h"
#include "center/dvs_config.h"
#include "center/place.h"
#include "center/portgroup.h"
#include "vim/fault.h"

struct value *dvs_features(struct arena *a)
{
	struct value *v = value_new(a, T_VMwareDVSFeatureCapability);
	struct value *dpu = value_new(a, T_VMwareDvsDpuCapability);

	value_set_bool(a, v, F_DVSFeatureCapability_networkResourceManagementSupported, false);
	value_set_bool(a, v, F_DVSFeatureCapability_vmDirectPathGen2Supported, false);
	value_set_bool(a, v, F_VMwareDVSFeatureCapability_vspanSupported, false);
	value_set_bool(a, v, F_VMwareDVSFeatureCapability_ipfixSupported, false);
	value_set_bool(a, dpu, F_VMwareDvsDpuCapability_networkOffloadSupported, false);
	value_set(a, v, F_VMwareDVSFeatureCapability_dpuCapability, dpu);
	return v;
}

static struct object *find_switch(struct center *c, const char *uuid)
{
	uint32_t i = 0;

	for (struct object *o; (o = inventory_each(c->inventory, &i)) != NULL;) {
		if (!o->removed && schema_is_a(o->type, T_DistributedVirtualSwitch) &&
		    strcmp(object_get_str(o, P_DistributedVirtualSwitch_uuid), uuid) == 0) {
			return o;
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

static void available_specs(struct call *call)
{
	struct value *v = value_new_array(call->arena, T_DistributedVirtualSwitchProductSpec);

	value_push(call->arena, v, dvs_product(call->arena, DVS_VERSION));
	call_return(call, v);
}

static void feature_capability(struct call *call)
{
	call_return(call, dvs_features(call->arena));
}

static void config_target(struct call *call)
{
	struct center *c = call_arg(call);
	struct arena *a = call->arena;
	struct value *v = value_new(a, T_DVSManagerDvsConfigTarget);
	struct value *groups = value_new_array(a, T_DistributedVirtualPortgroupInfo);
	uint32_t i = 0;

	for (struct object *o; (o = inventory_each(c->inventory, &i)) != NULL;) {
		if (o->removed || !schema_is_a(o->type, T_DistributedVirtualPortgroup) ||
		    portgroup_is_uplink(o) || !session_may(call->session, o, "System.Read")) {
			continue;
		}
		struct object *dvs = portgroup_dvs(o);
		struct value *info = value_new(a, T_DistributedVirtualPortgroupInfo);
		value_set_str(a, info, F_DistributedVirtualPortgroupInfo_switchName,
			      place_name(dvs));
		value_set_str(a, info, F_DistributedVirtualPortgroupInfo_switchUuid,
			      object_get_str(dvs, P_DistributedVirtualSwitch_uuid));
		value_set_str(a, info, F_DistributedVirtualPortgroupInfo_portgroupName,
			      place_name(o));
		value_set_str(a, info, F_DistributedVirtualPortgroupInfo_portgroupKey,
			      object_id(o));
		value_set_str(a, info, F_DistributedVirtualPortgroupInfo_portgroupType,
			      "earlyBinding");
		value_set_bool(a, info, F_DistributedVirtualPortgroupInfo_uplinkPortgroup, false);
		value_set(a, info, F_DistributedVirtualPortgroupInfo_portgroup, o->ref);
		value_push(a, groups, info);
	}
	value_set(a, v, F_DVSManagerDvsConfigTarget_distributedVirtualPortgroup, groups);
	call_return(call, v);
}

/* All hosts in a container, in whatever depth. */
static void compatible_hosts(struct call *call)
{
	struct center *c = call_arg(call);
	bool ok;
	struct object *top = call_object(
		call, A_DistributedVirtualSwitchManager_QueryCompatibleHostForNewDvs_container,
		T_ManagedEntity, &ok);
	struct value *v = value_new_array(call->arena, T_HostSystem);
	uint32_t i = 0;

	if (top == NULL) {
		return;
	}
	for (struct object *o; (o = inventory_each(c->inventory, &i)) != NULL;) {
		if (!o->removed && schema_is_a(o->type, T_HostSystem) && place_is_within(o, top) &&
		    session_may(call->session, o, "System.Read")) {
			value_push(call->arena, v, o->ref);
		}
	}
	call_return(call, value_count(v) == 0 ? NULL : v);
}

/* No offload is there for distributed switches: none is named. */
static void offload_specs(struct call *call)
{
	call_return(call, NULL);
}

/* ---- ports ---- */

struct port_filter {
	const struct value *groups, *ports;
	bool is_inside;
	bool wants_none; /* ports that are in use: there are none */
};

static struct port_filter filter_of(const struct value *criteria)
{
	return (struct port_filter){
		.groups = value_get_value(criteria,
					  F_DistributedVirtualSwitchPortCriteria_portgroupKey),
		.ports = value_get_value(criteria, F_DistributedVirtualSwitchPortCriteria_portKey),
		.is_inside = value_get_bool(criteria, F_DistributedVirtualSwitchPortCriteria_inside,
					    true),
		.wants_none =
			value_get_bool(criteria, F_DistributedVirtualSwitchPortCriteria_connected,
				       false) ||
			value_get_bool(criteria, F_DistributedVirtualSwitchPortCriteria_active,
				       false),
	};
}

static bool has_text(const struct value *list, const char *text)
{
	for (size_t i = 0; i < value_count(list); i++) {
		if (strcmp(value_bytes(value_item(list, i)), text) == 0) {
			return true;
		}
	}
	return false;
}

static struct value *port_value(struct arena *a, struct object *dvs, struct object *pg,
				const char *key)
{
	struct value *v = value_new(a, T_DistributedVirtualPort);
	struct value *config = value_new(a, T_DVPortConfigInfo);
	const struct value *group = object_get(pg, P_DistributedVirtualPortgroup_config, a);
	const struct value *dvs_config = object_get(dvs, P_DistributedVirtualSwitch_config, a);

	value_set_str(a, config, F_DVPortConfigInfo_configVersion, "0");
	value_set(a, config, F_DVPortConfigInfo_setting,
		  value_get_value(group, F_DVPortgroupConfigInfo_defaultPortConfig));
	value_set_str(a, v, F_DistributedVirtualPort_key, key);
	value_set(a, v, F_DistributedVirtualPort_config, config);
	value_set_str(a, v, F_DistributedVirtualPort_dvsUuid,
		      object_get_str(dvs, P_DistributedVirtualSwitch_uuid));
	value_set_str(a, v, F_DistributedVirtualPort_portgroupKey, object_id(pg));
	value_set_bool(a, v, F_DistributedVirtualPort_conflict, false);
	value_set_num(a, v, F_DistributedVirtualPort_lastStatusChange,
		      value_get_num(dvs_config, F_DVSConfigInfo_createTime, 0));
	return v;
}

static void group_ports(struct call *call, struct object *pg, const struct port_filter *f,
			struct value *out)
{
	const struct value *keys =
		object_get(pg, P_DistributedVirtualPortgroup_portKeys, call->arena);
	bool wants_keys = out->type == T_string;

	if (f->groups != NULL && has_text(f->groups, object_id(pg)) != f->is_inside) {
		return;
	}
	for (size_t i = 0; i < value_count(keys); i++) {
		const char *key = value_bytes(value_item(keys, i));
		if (f->ports != NULL && !has_text(f->ports, key)) {
			continue;
		}
		if (wants_keys) {
			value_push_str(call->arena, out, key);
		} else {
			value_push(call->arena, out, port_value(call->arena, call->self, pg, key));
		}
	}
}

static void answer_ports(struct call *call, const struct value *criteria, uint16_t type)
{
	struct port_filter f = filter_of(criteria);
	struct value *out = value_new_array(call->arena, type);

	for (size_t i = 0;
	     !f.wants_none && i < place_count(call->self, P_DistributedVirtualSwitch_portgroup);
	     i++) {
		struct object *pg = place_at(call->self, P_DistributedVirtualSwitch_portgroup, i);
		if (pg != NULL) {
			group_ports(call, pg, &f, out);
		}
	}
	call_return(call, value_count(out) == 0 ? NULL : out);
}

static void fetch_ports(struct call *call)
{
	answer_ports(call,
		     value_get_value(call->args, A_DistributedVirtualSwitch_FetchDVPorts_criteria),
		     T_DistributedVirtualPort);
}

static void fetch_keys(struct call *call)
{
	answer_ports(
		call,
		value_get_value(call->args, A_DistributedVirtualSwitch_FetchDVPortKeys_criteria),
		T_string);
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
		  M_DistributedVirtualSwitchManager_QueryCompatibleHostForNewDvs,
		  compatible_hosts },
		{ T_DistributedVirtualSwitchManager,
		  M_DistributedVirtualSwitchManager_QuerySupportedNetworkOffloadSpec,
		  offload_specs },
		{ T_DistributedVirtualSwitch, M_DistributedVirtualSwitch_LookupDvPortGroup,
		  lookup },
		{ T_DistributedVirtualSwitch, M_DistributedVirtualSwitch_FetchDVPorts,
		  fetch_ports },
		{ T_DistributedVirtualSwitch, M_DistributedVirtualSwitch_FetchDVPortKeys,
		  fetch_keys },
	};

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		service_handle(c->api->service, methods[i].type, methods[i].method, methods[i].fn,
			       c);
	}
	c->dvs_manager = inventory_add(c->inventory, T_DistributedVirtualSwitchManager,
				       "DVSManager", NULL, NULL);
	api_content_set(c->api, F_ServiceContent_dvSwitchManager, c->dvs_manager);
}
