/* SPDX-License-Identifier: Apache-2.0 */
/* What a mirrored object shows: the host's properties, translated, with what the manager knows
 * better put in. */
#include "base/macro.h"
#include "center/dvs.h"
#include "center/member.h"
#include "center/place.h"

#define BIT(property) (UINT64_C(1) << (property))

/* Stored in the manager's object; all other properties are computed. */
#define OWN_ENTITY                                                                                 \
	(BIT(P_ExtensibleManagedObject_availableField) | BIT(P_ExtensibleManagedObject_value) |    \
	 BIT(P_ManagedEntity_parent) | BIT(P_ManagedEntity_customValue) |                          \
	 BIT(P_ManagedEntity_permission) | BIT(P_ManagedEntity_name) |                             \
	 BIT(P_ManagedEntity_disabledMethod) | BIT(P_ManagedEntity_recentTask) |                   \
	 BIT(P_ManagedEntity_declaredAlarmState) | BIT(P_ManagedEntity_triggeredAlarmState) |      \
	 BIT(P_ManagedEntity_alarmActionsEnabled) | BIT(P_ManagedEntity_tag))
#define OWN_VM                                                                                     \
	(BIT(P_VirtualMachine_resourcePool) | BIT(P_VirtualMachine_parentVApp) |                   \
	 BIT(P_VirtualMachine_network))

struct mirror_source *mirrored_source(const struct mirrored *m)
{
	if (m->chosen != NULL) {
		return m->chosen;
	}
	for (struct mirror_source *s = m->sources; s != NULL; s = s->next) {
		if (s->object != NULL && s->mirror->member->state == MEMBER_CONNECTED) {
			return s;
		}
	}
	for (struct mirror_source *s = m->sources; s != NULL; s = s->next) {
		if (s->object != NULL) {
			return s;
		}
	}
	return m->sources;
}

struct member *mirrored_member(const struct object *o)
{
	const struct mirrored *m = mirrored_of(o);

	return m == NULL ? NULL : mirrored_source(m)->mirror->member;
}

static bool is_heard_of(const struct mirror_source *s)
{
	return s->object != NULL && !s->object->removed;
}

/* ---- what the manager knows better ---- */

static int host_state(const struct member *m)
{
	return m->state == MEMBER_CONNECTED ? E_HostSystemConnectionState_connected
	       : m->state == MEMBER_LOST    ? E_HostSystemConnectionState_notResponding
					    : E_HostSystemConnectionState_disconnected;
}

static const struct value *with_num(const struct value *v, unsigned field, int64_t n,
				    struct arena *a)
{
	if (v == NULL || value_get_num(v, field, -1) == n) {
		return v;
	}
	struct value *edit = value_edit(a, v);
	value_set_num(a, edit, field, n);
	return edit;
}

static const struct value *with_str(const struct value *v, unsigned field, const char *s,
				    struct arena *a)
{
	const char *old = v == NULL ? NULL : value_get_str(v, field);

	if (v == NULL || s == NULL || (old != NULL && strcmp(old, s) == 0)) {
		return v;
	}
	struct value *edit = value_edit(a, v);
	value_set_str(a, edit, field, s);
	return edit;
}

static const struct value *with(const struct value *v, unsigned field, const struct value *x,
				struct arena *a)
{
	if (value_get_value(v, field) == x || x == NULL) {
		return v;
	}
	struct value *edit = value_edit(a, v);
	value_set(a, edit, field, x);
	return edit;
}

static const struct value *correct_host(struct object *o, const struct member *m, unsigned prop,
					const struct value *v, struct arena *a)
{
	if (prop == P_HostSystem_network) {
		return dvs_networks(m->center, o, v, a);
	}
	if (prop == P_HostSystem_runtime) {
		return with_num(v, F_HostRuntimeInfo_connectionState, host_state(m), a);
	}
	if (prop == P_HostSystem_summary) {
		const struct value *runtime =
			with_num(value_get_value(v, F_HostListSummary_runtime),
				 F_HostRuntimeInfo_connectionState, host_state(m), a);
		const struct value *config = with_str(value_get_value(v, F_HostListSummary_config),
						      F_HostConfigSummary_name, place_name(o), a);
		v = with(v, F_HostListSummary_runtime, runtime, a);
		return with(v, F_HostListSummary_config, config, a);
	}
	return v;
}

static const struct value *correct_vm(const struct member *m, unsigned prop, const struct value *v,
				      struct arena *a)
{
	if (m->state == MEMBER_CONNECTED) {
		return v;
	}
	if (prop == P_VirtualMachine_runtime) {
		return with_num(v, F_VirtualMachineRuntimeInfo_connectionState,
				E_VirtualMachineConnectionState_disconnected, a);
	}
	if (prop == P_VirtualMachine_summary) {
		const struct value *runtime =
			with_num(value_get_value(v, F_VirtualMachineSummary_runtime),
				 F_VirtualMachineRuntimeInfo_connectionState,
				 E_VirtualMachineConnectionState_disconnected, a);
		return with(v, F_VirtualMachineSummary_runtime, runtime, a);
	}
	return v;
}

static const struct value *correct_store(struct object *o, const struct member *m, unsigned prop,
					 const struct value *v, struct arena *a)
{
	if (prop == P_Datastore_info) {
		return with_str(v, F_DatastoreInfo_name, place_name(o), a);
	}
	if (prop == P_Datastore_summary) {
		v = with_str(v, F_DatastoreSummary_name, place_name(o), a);
		return m->state == MEMBER_CONNECTED
			       ? v
			       : with_num(v, F_DatastoreSummary_accessible, false, a);
	}
	return v;
}

/* ---- objects whose host has not been heard of since the program began ---- */

static struct value *blank_host_runtime(const struct member *m, struct arena *a)
{
	struct value *v = value_new(a, T_HostRuntimeInfo);

	value_set_num(a, v, F_HostRuntimeInfo_connectionState, host_state(m));
	value_set_num(a, v, F_HostRuntimeInfo_powerState, E_HostSystemPowerState_unknown);
	value_set_bool(a, v, F_HostRuntimeInfo_inMaintenanceMode, false);
	return v;
}

static struct value *blank_host_summary(struct object *o, const struct member *m, struct arena *a)
{
	struct value *v = value_new(a, T_HostListSummary);
	struct value *config = value_new(a, T_HostConfigSummary);

	value_set_str(a, config, F_HostConfigSummary_name, place_name(o));
	value_set_num(a, config, F_HostConfigSummary_port, m->port);
	value_set_bool(a, config, F_HostConfigSummary_vmotionEnabled, false);
	value_set_bool(a, config, F_HostConfigSummary_faultToleranceEnabled, false);
	value_set(a, v, F_HostListSummary_host, o->ref);
	value_set(a, v, F_HostListSummary_runtime, blank_host_runtime(m, a));
	value_set(a, v, F_HostListSummary_config, config);
	value_set(a, v, F_HostListSummary_quickStats, value_new(a, T_HostListSummaryQuickStats));
	value_set_num(a, v, F_HostListSummary_overallStatus, E_ManagedEntityStatus_gray);
	value_set_bool(a, v, F_HostListSummary_rebootRequired, false);
	return v;
}

/* The host's objects of a type, as far as they are known. */
static struct value *known(const struct mirror *m, uint16_t type, struct arena *a)
{
	struct value *list = value_new_array(a, type);

	map64_each(&m->by_remote, it)
	{
		const struct mirror_source *s = it->value;
		if (schema_is_a(s->of->object->type, type)) {
			value_push(a, list, s->of->object->ref);
		}
	}
	return list;
}

static const struct value *blank_host(struct object *o, const struct mirror *m, unsigned prop,
				      struct arena *a)
{
	switch (prop) {
	case P_HostSystem_runtime:
		return blank_host_runtime(m->member, a);
	case P_HostSystem_summary:
		return blank_host_summary(o, m->member, a);
	case P_HostSystem_configManager:
		return value_new(a, T_HostConfigManager);
	case P_HostSystem_vm:
		return known(m, T_VirtualMachine, a);
	case P_HostSystem_datastore:
		return known(m, T_Datastore, a);
	case P_HostSystem_network:
		return known(m, T_Network, a);
	default:
		return NULL;
	}
}

static struct value *blank_vm_runtime(const struct mirror *m, struct arena *a)
{
	struct value *v = value_new(a, T_VirtualMachineRuntimeInfo);

	value_set(a, v, F_VirtualMachineRuntimeInfo_host, member_system(m->member)->ref);
	value_set_num(a, v, F_VirtualMachineRuntimeInfo_connectionState,
		      E_VirtualMachineConnectionState_disconnected);
	value_set_num(a, v, F_VirtualMachineRuntimeInfo_powerState,
		      E_VirtualMachinePowerState_poweredOff);
	value_set_num(a, v, F_VirtualMachineRuntimeInfo_faultToleranceState,
		      E_VirtualMachineFaultToleranceState_notConfigured);
	value_set_bool(a, v, F_VirtualMachineRuntimeInfo_toolsInstallerMounted, false);
	value_set_num(a, v, F_VirtualMachineRuntimeInfo_numMksConnections, 0);
	value_set_num(a, v, F_VirtualMachineRuntimeInfo_recordReplayState,
		      E_VirtualMachineRecordReplayState_inactive);
	value_set_bool(a, v, F_VirtualMachineRuntimeInfo_onlineStandby, false);
	value_set_bool(a, v, F_VirtualMachineRuntimeInfo_consolidationNeeded, false);
	return v;
}

static const struct value *blank_vm(struct object *o, const struct mirror *m, unsigned prop,
				    struct arena *a)
{
	if (prop == P_VirtualMachine_runtime) {
		return blank_vm_runtime(m, a);
	}
	if (prop == P_VirtualMachine_guestHeartbeatStatus) {
		return value_new_scalar(a, T_ManagedEntityStatus,
					(union slot){ .num = E_ManagedEntityStatus_gray });
	}
	if (prop != P_VirtualMachine_summary) {
		return NULL;
	}
	struct value *v = value_new(a, T_VirtualMachineSummary);
	struct value *config = value_new(a, T_VirtualMachineConfigSummary);
	struct value *stats = value_new(a, T_VirtualMachineQuickStats);
	value_set_str(a, config, F_VirtualMachineConfigSummary_name, place_name(o));
	value_set_bool(a, config, F_VirtualMachineConfigSummary_template, false);
	value_set_str(a, config, F_VirtualMachineConfigSummary_vmPathName, "");
	value_set_num(a, stats, F_VirtualMachineQuickStats_guestHeartbeatStatus,
		      E_ManagedEntityStatus_gray);
	value_set(a, v, F_VirtualMachineSummary_vm, o->ref);
	value_set(a, v, F_VirtualMachineSummary_runtime, blank_vm_runtime(m, a));
	value_set(a, v, F_VirtualMachineSummary_config, config);
	value_set(a, v, F_VirtualMachineSummary_quickStats, stats);
	value_set_num(a, v, F_VirtualMachineSummary_overallStatus, E_ManagedEntityStatus_gray);
	return v;
}

static const struct value *blank_place(struct object *o, unsigned prop, struct arena *a)
{
	struct value *v;

	if (schema_is_a(o->type, T_Datastore) && prop == P_Datastore_summary) {
		v = value_new(a, T_DatastoreSummary);
		value_set(a, v, F_DatastoreSummary_datastore, o->ref);
		value_set_str(a, v, F_DatastoreSummary_name, place_name(o));
		value_set_str(a, v, F_DatastoreSummary_url, "");
		value_set_num(a, v, F_DatastoreSummary_capacity, 0);
		value_set_num(a, v, F_DatastoreSummary_freeSpace, 0);
		value_set_bool(a, v, F_DatastoreSummary_accessible, false);
		value_set_str(a, v, F_DatastoreSummary_type, "");
		return v;
	}
	if (schema_is_a(o->type, T_Network) && prop == P_Network_summary) {
		v = value_new(a, T_NetworkSummary);
		value_set(a, v, F_NetworkSummary_network, o->ref);
		value_set_str(a, v, F_NetworkSummary_name, place_name(o));
		value_set_bool(a, v, F_NetworkSummary_accessible, false);
		return v;
	}
	return NULL;
}

/* From what was stored: as it was, but for what the connection says. NULL: nothing was. */
static const struct value *last_known(struct object *o, const struct mirrored *of,
				      const struct member *m, unsigned prop, struct arena *a)
{
	if (of->last == NULL) {
		return NULL;
	}
	if (schema_is_a(o->type, T_HostSystem)) {
		const struct value *v = correct_host(o, m, P_HostSystem_summary, of->last, a);
		return prop == P_HostSystem_summary ? v
		       : prop == P_HostSystem_runtime
			       ? value_get_value(v, F_HostListSummary_runtime)
			       : NULL;
	}
	const struct value *v = correct_vm(m, P_VirtualMachine_summary, of->last, a);
	return prop == P_VirtualMachine_summary ? v
	       : prop == P_VirtualMachine_runtime
		       ? value_get_value(v, F_VirtualMachineSummary_runtime)
		       : NULL;
}

static const struct value *blank(struct object *o, const struct mirror *m, unsigned prop,
				 struct arena *a)
{
	const struct value *last = last_known(o, o->owner, m->member, prop, a);

	if (last != NULL) {
		return last;
	}
	if (schema_is_a(o->type, T_ManagedEntity) &&
	    (prop == P_ManagedEntity_overallStatus || prop == P_ManagedEntity_configStatus)) {
		return value_new_scalar(a, T_ManagedEntityStatus,
					(union slot){ .num = E_ManagedEntityStatus_gray });
	}
	return schema_is_a(o->type, T_HostSystem)	? blank_host(o, m, prop, a)
	       : schema_is_a(o->type, T_VirtualMachine) ? blank_vm(o, m, prop, a)
							: blank_place(o, prop, a);
}

static const struct value *correct(struct object *o, const struct member *m, unsigned prop,
				   const struct value *v, struct arena *a)
{
	if (v == NULL) {
		return NULL;
	}
	return schema_is_a(o->type, T_HostSystem)	? correct_host(o, m, prop, v, a)
	       : schema_is_a(o->type, T_VirtualMachine) ? correct_vm(m, prop, v, a)
	       : schema_is_a(o->type, T_Datastore)	? correct_store(o, m, prop, v, a)
							: v;
}

/* ---- several hosts ---- */

static bool is_united(const struct object *o, unsigned prop)
{
	return (schema_is_a(o->type, T_Datastore) &&
		(prop == P_Datastore_host || prop == P_Datastore_vm)) ||
	       (schema_is_a(o->type, T_Network) &&
		(prop == P_Network_host || prop == P_Network_vm));
}

static const struct value *unite(const struct mirrored *m, unsigned prop, struct arena *a)
{
	struct value *all = value_new_array(a, schema_field(m->object->type, prop)->type);

	for (const struct mirror_source *s = m->sources; s != NULL; s = s->next) {
		if (!is_heard_of(s)) {
			continue;
		}
		const struct value *list =
			mirror_import(s->mirror, object_get(s->object, prop, a), a);
		for (size_t i = 0; i < value_count(list); i++) {
			value_push(a, all, value_item(list, i));
		}
	}
	return all;
}

/* ---- all together ---- */

static const struct value *compute(struct object *o, unsigned prop, struct arena *a)
{
	const struct mirrored *m = o->owner;
	const struct mirror_source *s = mirrored_source(m);
	const struct member *member = s->mirror->member;

	if (a == NULL) {
		a = member->hosts->scratch;
		arena_reset(a);
	}
	if (prop == P_ManagedEntity_effectiveRole && schema_is_a(o->type, T_ManagedEntity)) {
		return session_effective_role(o, member->center->api->service, a);
	}
	if (prop == P_Network_name && schema_is_a(o->type, T_Network)) {
		return object_get(o, P_ManagedEntity_name, a);
	}
	if (!is_heard_of(s)) {
		const struct value *v = blank(o, s->mirror, prop, a);
		return prop == P_HostSystem_network && schema_is_a(o->type, T_HostSystem)
			       ? dvs_networks(member->center, o, v, a)
			       : v;
	}
	if (m->sources->next != NULL && is_united(o, prop)) {
		return unite(m, prop, a);
	}
	const struct value *v = mirror_import(s->mirror, object_get(s->object, prop, a), a);
	return correct(o, member, prop, v, a);
}

const struct object_class mirrored_entity_class = {
	.computed = ~OWN_ENTITY,
	.compute = compute,
};

const struct object_class mirrored_vm_class = {
	.computed = ~(OWN_ENTITY | OWN_VM),
	.compute = compute,
};

const struct object_class mirrored_other_class = {
	.computed = ~UINT64_C(0),
	.compute = compute,
};

struct mirrored *mirrored_of(const struct object *o)
{
	return o->class != NULL && o->class->compute == compute ? o->owner : NULL;
}
