/* SPDX-License-Identifier: Apache-2.0 */
#include "center/dvs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "center/dvs_config.h"
#include "center/dvs_manager.h"
#include "center/folder.h"
#include "center/place.h"
#include "center/portgroup.h"
#include "vim/fault.h"

#define MEMBER_DETAIL "kept, not yet realised on the host"

/* ---- in the inventory ---- */

static const struct value *config_of(struct object *dvs, struct arena *a)
{
	return object_get(dvs, P_DistributedVirtualSwitch_config, a);
}

static struct value *members(struct object *dvs, struct arena *a)
{
	const struct value *list = value_get_value(config_of(dvs, a), F_DVSConfigInfo_host);
	struct value *hosts = value_new_array(a, T_HostSystem);

	for (size_t i = 0; i < value_count(list); i++) {
		const struct value *config = value_get_value(
			value_item(list, i), F_DistributedVirtualSwitchHostMember_config);
		value_push(a, hosts,
			   value_get_value(config,
					   F_DistributedVirtualSwitchHostMemberConfigInfo_host));
	}
	return hosts;
}

static void capability_show(struct object *dvs)
{
	struct arena *a = arena_new(0);
	struct value *v = value_new(a, T_DVSCapability);

	value_set_bool(a, v, F_DVSCapability_dvsOperationSupported, true);
	value_set_bool(a, v, F_DVSCapability_dvPortGroupOperationSupported, true);
	value_set_bool(a, v, F_DVSCapability_dvPortOperationSupported, false);
	value_set(a, v, F_DVSCapability_featuresSupported, dvs_features(a));
	inventory_set(dvs, P_DistributedVirtualSwitch_capability, v);
	arena_free(a);
}

static void summary_show(struct object *dvs, const struct value *config, const struct value *hosts,
			 const struct value *names)
{
	struct arena *a = arena_new(0);
	struct value *v = value_new(a, T_DVSSummary);

	value_set_str(a, v, F_DVSSummary_name, place_name(dvs));
	value_set_str(a, v, F_DVSSummary_uuid, value_get_str(config, F_DVSConfigInfo_uuid));
	value_set_num(a, v, F_DVSSummary_numPorts,
		      value_get_num(config, F_DVSConfigInfo_numPorts, 0));
	value_set(a, v, F_DVSSummary_productInfo,
		  value_get_value(config, F_DVSConfigInfo_productInfo));
	value_set(a, v, F_DVSSummary_hostMember, hosts);
	value_set(a, v, F_DVSSummary_host, hosts);
	value_set(a, v, F_DVSSummary_portgroupName, names);
	value_set_str(a, v, F_DVSSummary_description,
		      value_get_str(config, F_DVSConfigInfo_description));
	value_set(a, v, F_DVSSummary_contact, value_get_value(config, F_DVSConfigInfo_contact));
	value_set_num(a, v, F_DVSSummary_numHosts, (int64_t)value_count(hosts));
	inventory_set(dvs, P_DistributedVirtualSwitch_summary, v);
	arena_free(a);
}

void dvs_show(struct object *dvs)
{
	struct arena *a = arena_new(0);
	struct value *config = value_edit(a, config_of(dvs, a));
	struct value *uplinks = value_new_array(a, T_DistributedVirtualPortgroup);
	struct value *names = value_new_array(a, T_string);
	struct value *hosts = members(dvs, a);
	int64_t n_ports = 0;

	for (size_t i = 0; i < place_count(dvs, P_DistributedVirtualSwitch_portgroup); i++) {
		struct object *pg = place_at(dvs, P_DistributedVirtualSwitch_portgroup, i);
		if (pg == NULL) {
			continue;
		}
		n_ports += value_get_num(object_get(pg, P_DistributedVirtualPortgroup_config, a),
					 F_DVPortgroupConfigInfo_numPorts, 0);
		value_push_str(a, names, place_name(pg));
		if (portgroup_is_uplink(pg)) {
			value_push(a, uplinks, pg->ref);
		}
		portgroup_set_hosts(pg, hosts);
	}
	value_set_num(a, config, F_DVSConfigInfo_numPorts, n_ports);
	value_set_str(a, config, F_DVSConfigInfo_name, place_name(dvs));
	value_set(a, config, F_DVSConfigInfo_uplinkPortgroup, uplinks);
	inventory_set(dvs, P_DistributedVirtualSwitch_config, config);
	summary_show(dvs, config, hosts, names);
	arena_free(a);
}

void dvs_forget_portgroup(struct object *pg)
{
	struct object *dvs = portgroup_dvs(pg);

	if (dvs != NULL) {
		inventory_drop_ref(dvs, P_DistributedVirtualSwitch_portgroup, pg);
	}
}

static struct object *dvs_new(struct center *c, const char *id, const char *name,
			      const struct value *config, struct object *folder)
{
	struct object *o = place_new(c, T_VmwareDistributedVirtualSwitch, id, name, folder);
	struct arena *a = arena_new(0);

	inventory_set_str(o, P_DistributedVirtualSwitch_uuid,
			  value_get_str(config, F_DVSConfigInfo_uuid));
	inventory_set(o, P_DistributedVirtualSwitch_config, config);
	inventory_set(o, P_DistributedVirtualSwitch_portgroup,
		      value_new_array(a, T_DistributedVirtualPortgroup));
	inventory_set(o, P_DistributedVirtualSwitch_runtime, value_new(a, T_DVSRuntimeInfo));
	capability_show(o);
	dvs_show(o);
	arena_free(a);
	return o;
}

bool dvs_load(struct center *c, const struct database_entity *row, struct object *parent,
	      struct error *e)
{
	struct arena *a = arena_new(0);
	const struct value *config =
		row->data == NULL ? NULL : database_value(a, T_DVSConfigInfo, row->data, e);

	if (config == NULL || !schema_is_a(parent->type, T_Folder) ||
	    folder_kind(parent) != FOLDER_NETWORK) {
		arena_free(a);
		return error_set(e, ERROR_CORRUPT,
				 "switch \"%s\" has no configuration or no folder", row->id);
	}
	dvs_new(c, row->id, row->name, config, parent);
	arena_free(a);
	return true;
}

/* ---- making ---- */

struct dvs_plan {
	char id[CENTER_ID_MAX];
	const char *name;
	const struct value *config;
	struct portgroup_plan uplinks;
};

static struct value *uplinks_config(struct center *c, struct arena *a, struct object *folder,
				    const struct dvs_plan *p)
{
	const char *base = arena_printf(a, "%s-DVUplinks-%s", p->name, strrchr(p->id, '-') + 1);
	struct value *v = portgroup_config_new(a, place_free_name(c, folder, base, a), p->config);
	struct value *setting =
		value_edit(a, value_get_value(v, F_DVPortgroupConfigInfo_defaultPortConfig));
	struct value *trunk = value_new(a, T_VmwareDistributedVirtualSwitchTrunkVlanSpec);
	struct value *ranges = value_new_array(a, T_NumericRange);
	struct value *range = value_new(a, T_NumericRange);

	value_set_num(a, range, F_NumericRange_start, 0);
	value_set_num(a, range, F_NumericRange_end, 4094);
	value_push(a, ranges, range);
	value_set_bool(a, trunk, F_InheritablePolicy_inherited, false);
	value_set(a, trunk, F_VmwareDistributedVirtualSwitchTrunkVlanSpec_vlanId, ranges);
	if (value_is_a(setting, T_VMwareDVSPortSetting)) {
		value_set(a, setting, F_VMwareDVSPortSetting_vlan, trunk);
		value_set(a, v, F_DVPortgroupConfigInfo_defaultPortConfig, setting);
	}
	value_set_num(a, v, F_DVPortgroupConfigInfo_numPorts, 0);
	value_set_bool(a, v, F_DVPortgroupConfigInfo_uplink, true);
	return v;
}

static struct object *dvs_make(struct center *c, struct arena *a, struct object *folder,
			       struct dvs_plan *p, struct error *e)
{
	database_begin(c->db);
	center_new_id(c, "dvs", p->id, sizeof(p->id));
	database_put_entity(c->db,
			    &(struct database_entity){
				    .id = p->id,
				    .type = "VmwareDistributedVirtualSwitch",
				    .parent = object_id(folder),
				    .name = p->name,
				    .data = c->db == NULL ? NULL : database_text(a, p->config) });
	p->uplinks.config = uplinks_config(c, a, folder, p);
	portgroup_write(c, a, &p->uplinks, object_id(folder), p->id);
	if (!database_commit(c->db, e)) {
		return NULL;
	}
	struct object *o = dvs_new(c, p->id, p->name, p->config, folder);
	portgroup_new(c, &p->uplinks, folder, o);
	dvs_show(o);
	return o;
}

struct object *dvs_create(struct center *c, struct object *folder, const char *name,
			  struct error *e)
{
	struct arena *a = arena_new(0);
	struct dvs_plan p = { .name = name,
			      .config = dvs_config_new(a, name, DVS_VERSION,
						       clock_wall_us(c->clock)) };
	struct object *o = dvs_make(c, a, folder, &p, e);

	arena_free(a);
	return o;
}

struct object *dvs_create_portgroup(struct center *c, struct object *dvs, const char *name,
				    struct error *e)
{
	struct arena *a = arena_new(0);
	struct portgroup_plan p = { .config = portgroup_config_new(a, name, config_of(dvs, a)) };
	struct object *o = NULL;

	database_begin(c->db);
	portgroup_write(c, a, &p, object_id(place_parent(dvs)), object_id(dvs));
	if (database_commit(c->db, e)) {
		o = portgroup_new(c, &p, place_parent(dvs), dvs);
		dvs_show(dvs);
	}
	arena_free(a);
	return o;
}

/* ---- hosts ---- */

static bool is_member(struct object *host, const struct value *members, size_t *at)
{
	for (size_t i = 0; i < value_count(members); i++) {
		const struct value *config = value_get_value(
			value_item(members, i), F_DistributedVirtualSwitchHostMember_config);
		const struct value *ref = value_get_value(
			config, F_DistributedVirtualSwitchHostMemberConfigInfo_host);
		if (value_equal(ref, host->ref)) {
			*at = i;
			return true;
		}
	}
	return false;
}

static struct value *member_new(struct arena *a, const struct object *host,
				const struct value *spec)
{
	struct value *v = value_new(a, T_DistributedVirtualSwitchHostMember);
	struct value *config = value_new(a, T_DistributedVirtualSwitchHostMemberConfigInfo);
	const struct value *backing =
		value_get_value(spec, F_DistributedVirtualSwitchHostMemberConfigSpec_backing);

	value_set(a, config, F_DistributedVirtualSwitchHostMemberConfigInfo_host, host->ref);
	value_set_num(
		a, config, F_DistributedVirtualSwitchHostMemberConfigInfo_maxProxySwitchPorts,
		value_get_num(spec,
			      F_DistributedVirtualSwitchHostMemberConfigSpec_maxProxySwitchPorts,
			      512));
	value_set(a, config, F_DistributedVirtualSwitchHostMemberConfigInfo_backing,
		  backing != NULL ? backing
				  : value_new(a, T_DistributedVirtualSwitchHostMemberPnicBacking));
	value_set(a, v, F_DistributedVirtualSwitchHostMember_config, config);
	value_set_str(a, v, F_DistributedVirtualSwitchHostMember_status, "pending");
	value_set_str(a, v, F_DistributedVirtualSwitchHostMember_statusDetail, MEMBER_DETAIL);
	return v;
}

static struct value *without(struct arena *a, const struct value *list, size_t at)
{
	struct value *v = value_new_array(a, T_DistributedVirtualSwitchHostMember);

	for (size_t i = 0; i < value_count(list); i++) {
		if (i != at) {
			value_push(a, v, value_item(list, i));
		}
	}
	return v;
}

/* One change of the list of members; NULL: refused. A switch that is yet to be made is stood for by
 * its folder. */
static struct value *member_apply(struct object *dvs, const struct value *list,
				  const struct value *spec, struct arena *a, struct refusal *r)
{
	const char *op =
		value_get_str(spec, F_DistributedVirtualSwitchHostMemberConfigSpec_operation);
	const struct value *ref =
		value_get_value(spec, F_DistributedVirtualSwitchHostMemberConfigSpec_host);
	struct object *host = inventory_find_ref(dvs->inventory, ref);
	size_t at = SIZE_MAX;

	if (host == NULL) {
		refuse(r, fault_not_found(a, ref), "host \"%s\" does not exist", value_bytes(ref));
		return NULL;
	}
	bool is_there = is_member(host, list, &at);
	if (strcmp(op, "add") == 0) {
		if (is_there) {
			refuse(r, fault_new(a, T_AlreadyExists),
			       "host \"%s\" is a member of switch \"%s\" already", place_name(host),
			       place_name(dvs));
			return NULL;
		}
		if (place_datacenter(host) != place_datacenter(dvs)) {
			refuse(r, fault_invalid_argument(a, "spec.host"),
			       "host \"%s\" is not in the datacenter of switch \"%s\"",
			       place_name(host), place_name(dvs));
			return NULL;
		}
	} else if (!is_there) {
		refuse(r, fault_new(a, T_NotFound), "host \"%s\" is no member of switch \"%s\"",
		       place_name(host), place_name(dvs));
		return NULL;
	}
	struct value *v = without(a, list, at);
	if (strcmp(op, "remove") != 0) {
		value_push(a, v, member_new(a, host, spec));
	}
	return v;
}

static bool members_apply(struct object *dvs, struct value *config, const struct value *specs,
			  struct arena *a, struct refusal *r)
{
	const struct value *list = value_get_value(config, F_DVSConfigInfo_host);

	for (size_t i = 0; i < value_count(specs); i++) {
		const char *op =
			value_get_str(value_item(specs, i),
				      F_DistributedVirtualSwitchHostMemberConfigSpec_operation);
		if (strcmp(op, "add") != 0 && strcmp(op, "edit") != 0 &&
		    strcmp(op, "remove") != 0) {
			return refuse(r, fault_invalid_argument(a, "spec.host.operation"),
				      "\"%.40s\" is none of add, edit and remove", op);
		}
		list = member_apply(dvs, list, value_item(specs, i), a, r);
		if (list == NULL) {
			return false;
		}
	}
	if (value_count(specs) > 0) {
		value_set(a, config, F_DVSConfigInfo_host, list);
	}
	return true;
}

bool dvs_add_hosts(struct center *c, struct object *dvs, struct object *const *hosts, size_t n,
		   struct error *e)
{
	struct arena *a = arena_new(0);
	struct value *config = value_edit(a, config_of(dvs, a));
	struct value *list = without(a, value_get_value(config, F_DVSConfigInfo_host), SIZE_MAX);

	for (size_t i = 0; i < n; i++) {
		value_push(a, list, member_new(a, hosts[i], NULL));
	}
	value_set(a, config, F_DVSConfigInfo_host, list);
	database_begin(c->db);
	database_set_data(c->db, object_id(dvs), c->db == NULL ? NULL : database_text(a, config));
	bool ok = database_commit(c->db, e);
	if (ok) {
		inventory_set(dvs, P_DistributedVirtualSwitch_config, config);
		dvs_show(dvs);
	}
	arena_free(a);
	return ok;
}

/* ---- methods ---- */

static void post_created(struct center *c, struct arena *a, struct object *dvs, const char *user)
{
	struct value *event = value_new(a, T_DvsCreatedEvent);
	char text[320];

	value_set(a, event, F_DvsCreatedEvent_parent,
		  event_argument(a, T_FolderEventArgument, place_parent(dvs)));
	snprintf(text, sizeof(text), "Created distributed switch %s", place_name(dvs));
	center_post(c, a, event, dvs, user, text);
}

static const char *wanted_version(const struct value *spec)
{
	const struct value *product = value_get_value(spec, F_DVSCreateSpec_productInfo);
	const char *version = value_get_str(product, F_DistributedVirtualSwitchProductSpec_version);

	return version == NULL || version[0] == '\0' ? DVS_VERSION : version;
}

static bool dvs_plan_make(struct center *c, struct task *t, struct object *folder,
			  const struct value *spec, struct dvs_plan *p, struct refusal *r)
{
	struct arena *a = task_arena(t);
	const struct value *config_spec = value_get_value(spec, F_DVSCreateSpec_configSpec);
	const char *given = value_get_str(config_spec, F_DVSConfigSpec_name);
	const char *version = wanted_version(spec);

	p->name = place_check_name(c, a, folder, given == NULL ? "" : given, r);
	if (p->name == NULL) {
		return false;
	}
	if (!dvs_knows_version(version)) {
		return refuse(r, fault_invalid_argument(a, "spec.productInfo.version"),
			      "there are no switches of version \"%.40s\"", version);
	}
	struct value *first = dvs_config_new(a, p->name, version, clock_wall_us(c->clock));
	struct value *edit = value_edit(a, config_spec);
	value_unset(edit, F_DVSConfigSpec_configVersion);
	struct value *config = dvs_config_apply(a, first, edit, r);
	p->config = config;
	return config != NULL &&
	       members_apply(folder, config, value_get_value(config_spec, F_DVSConfigSpec_host), a,
			     r);
}

static void create_dvs(struct call *call)
{
	struct center *c = call_arg(call);
	struct object *folder = call->self;
	const struct value *spec = value_get_value(call->args, A_Folder_CreateDVS_Task_spec);
	struct dvs_plan p = { 0 };
	struct refusal r = { 0 };
	struct error e = { 0 };

	if (folder_kind(folder) != FOLDER_NETWORK) {
		call_fault(call, fault_new(call->arena, T_NotSupported),
			   "folder \"%s\" is not one for networks", place_name(folder));
		return;
	}
	struct task *t = task_begin(call, c->api->tasks);
	if (!dvs_plan_make(c, t, folder, spec, &p, &r)) {
		refusal_to_task(t, &r);
		return;
	}
	struct object *o = dvs_make(c, task_arena(t), folder, &p, &e);
	if (o == NULL) {
		task_fail_error(t, &e);
		return;
	}
	post_created(c, task_arena(t), o, task_user(t));
	task_done(t, o->ref);
}

static void reconfigure(struct call *call)
{
	struct center *c = call_arg(call);
	struct object *dvs = call->self;
	const struct value *spec =
		value_get_value(call->args, A_DistributedVirtualSwitch_ReconfigureDvs_Task_spec);
	struct refusal r = { 0 };
	struct error e = { 0 };

	if (!call_require(call, dvs, "DVSwitch.Modify")) {
		return;
	}
	struct task *t = task_begin(call, c->api->tasks);
	struct arena *a = task_arena(t);
	const char *given = value_get_str(spec, F_DVSConfigSpec_name), *name = place_name(dvs);
	struct value *config = dvs_config_apply(a, config_of(dvs, a), spec, &r);
	bool ok = config != NULL &&
		  members_apply(dvs, config, value_get_value(spec, F_DVSConfigSpec_host), a, &r);
	if (ok && given != NULL && given[0] != '\0' && strcmp(given, name) != 0) {
		name = place_check_name(c, a, place_parent(dvs), given, &r);
	}
	if (!ok || name == NULL) {
		refusal_to_task(t, &r);
		return;
	}
	database_begin(c->db);
	database_set_name(c->db, object_id(dvs), name);
	database_set_data(c->db, object_id(dvs), c->db == NULL ? NULL : database_text(a, config));
	if (!database_commit(c->db, &e)) {
		task_fail_error(t, &e);
		return;
	}
	place_rename(c, dvs, name);
	inventory_set(dvs, P_DistributedVirtualSwitch_config, config);
	dvs_show(dvs);
	struct value *event = value_new(a, T_DvsReconfiguredEvent);
	value_set(a, event, F_DvsReconfiguredEvent_configSpec, spec);
	center_post(c, a, event, dvs, task_user(t),
		    arena_printf(a, "Reconfigured distributed switch %s", place_name(dvs)));
	task_done(t, NULL);
}

static bool has_vms(struct object *dvs)
{
	for (size_t i = 0; i < place_count(dvs, P_DistributedVirtualSwitch_portgroup); i++) {
		struct object *pg = place_at(dvs, P_DistributedVirtualSwitch_portgroup, i);
		if (pg != NULL && place_count(pg, P_Network_vm) > 0) {
			return true;
		}
	}
	return false;
}

static void destroy(struct call *call)
{
	struct center *c = call_arg(call);
	struct object *dvs = call->self;
	struct error e = { 0 };

	if (!call_require(call, dvs, "DVSwitch.Delete")) {
		return;
	}
	struct task *t = task_begin(call, c->api->tasks);
	if (has_vms(dvs)) {
		task_fail(t, fault_new(task_arena(t), T_ResourceInUse),
			  "virtual machines are connected to switch \"%s\"", place_name(dvs));
		return;
	}
	size_t n = place_count(dvs, P_DistributedVirtualSwitch_portgroup);
	database_begin(c->db);
	for (size_t i = 0; i < n; i++) {
		database_drop_entity(
			c->db, object_id(place_at(dvs, P_DistributedVirtualSwitch_portgroup, i)));
	}
	database_drop_entity(c->db, object_id(dvs));
	if (!database_commit(c->db, &e)) {
		task_fail_error(t, &e);
		return;
	}
	const char *text =
		arena_printf(task_arena(t), "Deleted distributed switch %s", place_name(dvs));
	struct object *folder = place_parent(dvs);
	while (place_count(dvs, P_DistributedVirtualSwitch_portgroup) > 0) {
		struct object *pg = place_at(dvs, P_DistributedVirtualSwitch_portgroup, 0);
		dvs_forget_portgroup(pg);
		place_leave(c, pg);
		inventory_remove(pg);
	}
	place_leave(c, dvs);
	inventory_remove(dvs);
	center_post(c, task_arena(t), value_new(task_arena(t), T_DvsDestroyedEvent), folder,
		    task_user(t), text);
	task_done(t, NULL);
}

void dvs_register(struct center *c)
{
	struct service *s = c->api->service;

	service_handle(s, T_Folder, M_Folder_CreateDVS_Task, create_dvs, c);
	service_handle(s, T_DistributedVirtualSwitch,
		       M_DistributedVirtualSwitch_ReconfigureDvs_Task, reconfigure, c);
	service_handle(s, T_DistributedVirtualSwitch, M_ManagedEntity_Destroy_Task, destroy, c);
	dvs_manager_register(c);
}
