/* SPDX-License-Identifier: Apache-2.0 */
#include "center/dvs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "center/dvs_config.h"
#include "center/dvs_manager.h"
#include "center/dvs_member.h"
#include "center/dvs_policy.h"
#include "center/dvs_port.h"
#include "center/folder.h"
#include "center/member.h"
#include "center/place.h"
#include "center/portgroup.h"
#include "vim/fault.h"

/* ---- in the inventory ---- */

static const struct value *config_of(struct object *dvs, struct arena *a)
{
	return object_get(dvs, P_DistributedVirtualSwitch_config, a);
}

static void capability_show(struct object *dvs)
{
	struct arena *a = arena_new(0);
	struct value *v = value_new(a, T_DVSCapability);

	value_set_bool(a, v, F_DVSCapability_dvsOperationSupported, true);
	value_set_bool(a, v, F_DVSCapability_dvPortGroupOperationSupported, true);
	value_set_bool(a, v, F_DVSCapability_dvPortOperationSupported, false);
	value_set(a, v, F_DVSCapability_featuresSupported,
		  dvs_features(a, value_get_value(config_of(dvs, a), F_DVSConfigInfo_productInfo)));
	inventory_set(dvs, P_DistributedVirtualSwitch_capability, v);
	arena_free(a);
}

/* VMs that are connected to any of its port groups, each once. */
static struct value *vms_of(struct object *dvs, struct arena *a)
{
	struct value *vms = value_new_array(a, T_VirtualMachine);
	uint8_t *seen = arena_alloc(a, inventory_index_limit(dvs->inventory) / 8 + 1);

	memset(seen, 0, inventory_index_limit(dvs->inventory) / 8 + 1);
	for (size_t i = 0; i < place_count(dvs, P_DistributedVirtualSwitch_portgroup); i++) {
		struct object *pg = place_at(dvs, P_DistributedVirtualSwitch_portgroup, i);
		for (size_t j = 0; pg != NULL && j < place_count(pg, P_Network_vm); j++) {
			struct object *vm = place_at(pg, P_Network_vm, j);
			if (vm != NULL && !(seen[vm->index / 8] & 1U << vm->index % 8)) {
				seen[vm->index / 8] |= (uint8_t)(1U << vm->index % 8);
				value_push(a, vms, vm->ref);
			}
		}
	}
	return vms;
}

void dvs_show_vms(struct object *dvs)
{
	struct arena *a = arena_new(0);
	const unsigned field = F_DVSSummary_vm;

	inventory_set_nested(dvs, P_DistributedVirtualSwitch_summary, &field, 1, vms_of(dvs, a));
	arena_free(a);
}

static void summary_show(struct object *dvs, const struct value *config, const struct value *hosts,
			 const struct value *names, struct arena *a)
{
	struct value *v = value_new(a, T_DVSSummary);

	value_set_str(a, v, F_DVSSummary_name, place_name(dvs));
	value_set_str(a, v, F_DVSSummary_uuid, value_get_str(config, F_DVSConfigInfo_uuid));
	value_set_num(a, v, F_DVSSummary_numPorts,
		      value_get_num(config, F_DVSConfigInfo_numPorts, 0));
	value_set(a, v, F_DVSSummary_productInfo,
		  value_get_value(config, F_DVSConfigInfo_productInfo));
	value_set(a, v, F_DVSSummary_hostMember, hosts);
	value_set(a, v, F_DVSSummary_vm, vms_of(dvs, a));
	value_set(a, v, F_DVSSummary_host, hosts);
	value_set(a, v, F_DVSSummary_portgroupName, names);
	value_set_str(a, v, F_DVSSummary_description,
		      value_get_str(config, F_DVSConfigInfo_description));
	value_set(a, v, F_DVSSummary_contact, value_get_value(config, F_DVSConfigInfo_contact));
	value_set_num(a, v, F_DVSSummary_numHosts, (int64_t)value_count(hosts));
	inventory_set(dvs, P_DistributedVirtualSwitch_summary, v);
}

/* Hosts that are in one list and not in the other show another list of networks. */
static void hosts_touch(struct object *dvs, const struct value *list, const struct value *other)
{
	for (size_t i = 0; i < value_count(list); i++) {
		const struct value *ref = value_item(list, i);
		struct object *host = inventory_find_ref(dvs->inventory, ref);
		bool is_in_both = false;
		for (size_t j = 0; j < value_count(other); j++) {
			is_in_both |= value_equal(value_item(other, j), ref);
		}
		if (!is_in_both && host != NULL && member_of_host(host) != NULL) {
			inventory_touch(host, P_HostSystem_network, "network");
		}
	}
}

static void runtime_show(struct object *dvs, const struct value *config, struct arena *a)
{
	struct value *v = value_new(a, T_DVSRuntimeInfo);

	value_set(a, v, F_DVSRuntimeInfo_hostMemberRuntime, dvs_members_runtime(a, config));
	inventory_set(dvs, P_DistributedVirtualSwitch_runtime, v);
}

void dvs_show(struct object *dvs)
{
	struct center *c = center_of(dvs);
	struct arena *a = arena_new(0);
	struct value *config = value_edit(a, config_of(dvs, a));
	struct value *uplinks = value_new_array(a, T_DistributedVirtualPortgroup);
	struct value *names = value_new_array(a, T_string);
	struct value *hosts = dvs_members_hosts(a, config);
	const struct value *summary = object_get(dvs, P_DistributedVirtualSwitch_summary, a);
	const struct value *was =
		summary == NULL ? NULL
				: value_keep(value_get_value(summary, F_DVSSummary_hostMember));
	int64_t n_ports = 0;

	for (size_t i = 0; i < place_count(dvs, P_DistributedVirtualSwitch_portgroup); i++) {
		struct object *pg = place_at(dvs, P_DistributedVirtualSwitch_portgroup, i);
		if (pg == NULL) {
			continue;
		}
		if (portgroup_is_uplink(pg)) {
			value_push(a, uplinks, pg->ref);
			portgroup_show_uplinks(pg, dvs_members_keys(a, config));
		}
		n_ports += value_get_num(object_get(pg, P_DistributedVirtualPortgroup_config, a),
					 F_DVPortgroupConfigInfo_numPorts, 0);
		value_push_str(a, names, place_name(pg));
		portgroup_set_hosts(pg, hosts);
	}
	value_set_num(a, config, F_DVSConfigInfo_numPorts, n_ports);
	value_set_str(a, config, F_DVSConfigInfo_name, place_name(dvs));
	value_set(a, config, F_DVSConfigInfo_uplinkPortgroup, uplinks);
	dvs_members_judge(c, a, config);
	inventory_set(dvs, P_DistributedVirtualSwitch_config, config);
	runtime_show(dvs, config, a);
	summary_show(dvs, config, hosts, names, a);
	hosts_touch(dvs, hosts, was);
	hosts_touch(dvs, was, hosts);
	value_drop(was);
	arena_free(a);
}

void dvs_forget(struct object *dvs)
{
	struct center *c = center_of(dvs);

	for (size_t i = 0; i < c->switches.n; i++) {
		if (c->switches.items[i] == dvs) {
			vec_remove(&c->switches, i);
			dvs_policy_changed(c);
			return;
		}
	}
}

void dvs_show_groups(struct object *dvs)
{
	struct arena *a = arena_new(0);

	dvs_show(dvs);
	hosts_touch(dvs, dvs_members_hosts(a, config_of(dvs, a)), NULL);
	arena_free(a);
}

void dvs_forget_portgroup(struct object *pg)
{
	struct object *dvs = portgroup_dvs(pg);

	if (dvs != NULL) {
		inventory_drop_ref(dvs, P_DistributedVirtualSwitch_portgroup, pg);
	}
	dvs_ports_forget_group(center_of(pg), pg);
	dvs_policy_changed(center_of(pg));
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
	vec_push(&c->switches, o);
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
	struct value *config;
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
			       struct dvs_plan *p, struct refusal *r)
{
	struct error e = { 0 };

	database_begin(c->db);
	center_new_id(c, "dvs", p->id, sizeof(p->id));
	/* Rows come back in their order: the switch before its port group. */
	database_put_entity(c->db, &(struct database_entity){
					   .id = p->id,
					   .type = "VmwareDistributedVirtualSwitch",
					   .parent = object_id(folder),
					   .name = p->name,
				   });
	p->uplinks.config = uplinks_config(c, a, folder, p);
	portgroup_write(c, a, &p->uplinks, object_id(folder), p->id);
	if (!dvs_members_place(a, p->config, p->uplinks.id, dvs_port_first(p->uplinks.id), r)) {
		database_rollback(c->db);
		return NULL;
	}
	database_set_data(c->db, p->id, c->db == NULL ? NULL : database_text(a, p->config));
	if (!database_commit(c->db, &e)) {
		refuse(r, fault_from_error(a, &e), "%s", e.msg);
		return NULL;
	}
	struct object *o = dvs_new(c, p->id, p->name, p->config, folder);
	portgroup_new(c, &p->uplinks, folder, o);
	dvs_show(o);
	dvs_policy_changed(c);
	return o;
}

struct object *dvs_create(struct center *c, struct object *folder, const char *name,
			  struct error *e)
{
	struct arena *a = arena_new(0);
	struct dvs_plan p = { .name = name,
			      .config = dvs_config_new(a, name, DVS_VERSION,
						       clock_wall_us(c->clock)) };
	struct refusal r = { 0 };
	struct object *o = dvs_make(c, a, folder, &p, &r);

	if (o == NULL) {
		error_set(e, ERROR_INVALID, "%s", r.text);
	}
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

static struct object *uplink_group(struct object *dvs)
{
	for (size_t i = 0; i < place_count(dvs, P_DistributedVirtualSwitch_portgroup); i++) {
		struct object *pg = place_at(dvs, P_DistributedVirtualSwitch_portgroup, i);
		if (pg != NULL && portgroup_is_uplink(pg)) {
			return pg;
		}
	}
	return NULL;
}

static bool members_place(struct object *dvs, struct arena *a, struct value *config,
			  struct refusal *r)
{
	struct object *pg = uplink_group(dvs);

	return pg == NULL ||
	       dvs_members_place(a, config, object_id(pg), dvs_port_first(object_id(pg)), r);
}

/* The switch has another configuration. */
static void config_take(struct center *c, struct object *dvs, const struct value *config)
{
	inventory_set(dvs, P_DistributedVirtualSwitch_config, config);
	dvs_show(dvs);
	dvs_policy_changed(c);
}

bool dvs_add_hosts(struct center *c, struct object *dvs, struct object *const *hosts, size_t n,
		   struct error *e)
{
	struct arena *a = arena_new(0);
	struct value *config = value_edit(a, config_of(dvs, a));
	struct refusal r = { 0 };

	dvs_members_add(a, config, hosts, n);
	if (!members_place(dvs, a, config, &r)) {
		arena_free(a);
		return error_set(e, ERROR_INVALID, "%s", r.text);
	}
	database_begin(c->db);
	database_set_data(c->db, object_id(dvs), c->db == NULL ? NULL : database_text(a, config));
	bool ok = database_commit(c->db, e);
	if (ok) {
		config_take(c, dvs, config);
	}
	arena_free(a);
	return ok;
}

void dvs_drop_host(struct center *c, struct object *host)
{
	struct arena *a = arena_new(0);

	vec_each (&c->switches, it) {
		struct object *o = *it;
		const struct value *config = config_of(o, a);
		if (c->db != NULL && dvs_member_of(config, host) != NULL) {
			database_set_data(c->db, object_id(o),
					  database_text(a, dvs_members_without(a, config, host)));
		}
	}
	arena_free(a);
}

void dvs_forget_host(struct center *c, struct object *host)
{
	struct arena *a = arena_new(0);

	vec_each (&c->switches, it) {
		struct object *o = *it;
		const struct value *config = config_of(o, a);
		if (dvs_member_of(config, host) != NULL) {
			config_take(c, o, dvs_members_without(a, config, host));
		}
	}
	arena_free(a);
}

const struct value *dvs_networks(struct center *c, const struct object *host,
				 const struct value *list, struct arena *a)
{
	struct value *out = NULL;

	vec_each (&c->switches, it) {
		struct object *o = *it;
		if (dvs_member_of(config_of(o, NULL), host) == NULL) {
			continue;
		}
		for (size_t j = 0; j < place_count(o, P_DistributedVirtualSwitch_portgroup); j++) {
			struct object *pg = place_at(o, P_DistributedVirtualSwitch_portgroup, j);
			if (out == NULL) {
				out = list != NULL ? value_edit(a, list)
						   : value_new_array(a, T_Network);
			}
			if (pg != NULL) {
				value_push(a, out, pg->ref);
			}
		}
	}
	return out != NULL ? out : list;
}

/* How the members are, without what does not follow from it. */
static void judge(struct object *dvs)
{
	struct center *c = center_of(dvs);
	struct arena *a = arena_new(0);
	struct value *config = value_edit(a, config_of(dvs, a));
	size_t n = dvs_members_offloaded(config);

	dvs_members_judge(c, a, config);
	inventory_set(dvs, P_DistributedVirtualSwitch_config, config);
	runtime_show(dvs, config, a);
	if (dvs_members_offloaded(config) != n) {
		dvs_policy_changed(c);
	}
	arena_free(a);
}

void dvs_host_changed(struct center *c, struct object *host)
{
	vec_each (&c->switches, it) {
		if (dvs_member_of(config_of(*it, NULL), host) != NULL) {
			judge(*it);
		}
	}
}

void dvs_policies_changed(struct center *c)
{
	vec_each (&c->switches, it) {
		judge(*it);
	}
}

static void post_host(struct center *c, struct object *dvs, const char *user, struct object *host,
		      bool is_join)
{
	struct arena *a = arena_new(0);
	struct value *event;

	if (is_join) {
		event = value_new(a, T_DvsHostJoinedEvent);
		value_set(a, event, F_DvsHostJoinedEvent_hostJoined,
			  event_argument(a, T_HostEventArgument, host));
	} else {
		event = value_new(a, T_DvsHostLeftEvent);
		value_set(a, event, F_DvsHostLeftEvent_hostLeft,
			  event_argument(a, T_HostEventArgument, host));
	}
	center_post(c, a, event, dvs, user,
		    arena_printf(a, "Host %s %s distributed switch %s", place_name(host),
				 is_join ? "joined" : "left", place_name(dvs)));
	arena_free(a);
}

/* Hosts that are in `list` and not in `other`. */
static void post_hosts(struct object *dvs, const char *user, const struct value *list,
		       const struct value *other, bool is_join)
{
	for (size_t i = 0; i < value_count(list); i++) {
		struct object *host = inventory_find_ref(dvs->inventory, value_item(list, i));
		bool is_in_both = false;
		for (size_t j = 0; j < value_count(other); j++) {
			is_in_both |= value_equal(value_item(other, j), value_item(list, i));
		}
		if (host != NULL && !is_in_both) {
			post_host(center_of(dvs), dvs, user, host, is_join);
		}
	}
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
			  const struct session *session, struct dvs_plan *p, struct refusal *r)
{
	struct arena *a = task_arena(t);
	const struct value *spec = value_get_value(task_args(t), A_Folder_CreateDVS_Task_spec);
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
	const struct member_change change = {
		.c = c,
		.folder = folder,
		.name = p->name,
		.session = session,
		.a = a,
		.r = r,
	};
	return config != NULL &&
	       dvs_members_apply(&change, config,
				 value_get_value(config_spec, F_DVSConfigSpec_host));
}

static void create_dvs(struct call *call)
{
	struct center *c = call_arg(call);
	struct object *folder = call->self;
	struct session *session = call->session;
	struct dvs_plan p = { 0 };
	struct refusal r = { 0 };

	if (folder_kind(folder) != FOLDER_NETWORK) {
		call_fault(call, fault_new(call->arena, T_NotSupported),
			   "folder \"%s\" is not one for networks", place_name(folder));
		return;
	}
	struct task *t = task_begin(call, c->api->tasks);
	struct object *o = dvs_plan_make(c, t, folder, session, &p, &r)
				   ? dvs_make(c, task_arena(t), folder, &p, &r)
				   : NULL;
	if (o == NULL) {
		refusal_to_task(t, &r);
		return;
	}
	post_created(c, task_arena(t), o, task_user(t));
	task_done(t, o->ref);
}

/* Settings that port groups have from their switch, under its new configuration. */
struct following {
	struct object *pg;
	const struct value *config;
};

static bool follow(struct object *dvs, const struct value *config, struct arena *a,
		   struct following **out, size_t *n, struct refusal *r)
{
	size_t count = place_count(dvs, P_DistributedVirtualSwitch_portgroup);

	*out = arena_alloc(a, (count + 1) * sizeof(**out));
	*n = 0;
	for (size_t i = 0; i < count; i++) {
		struct object *pg = place_at(dvs, P_DistributedVirtualSwitch_portgroup, i);
		if (pg == NULL) {
			continue;
		}
		const struct value *was = object_get(pg, P_DistributedVirtualPortgroup_config, a);
		const struct value *setting = portgroup_setting(
			a, was, value_get_value(was, F_DVPortgroupConfigInfo_defaultPortConfig),
			config, r);
		if (setting == NULL) {
			return false;
		}
		struct value *v = value_edit(a, was);
		value_set(a, v, F_DVPortgroupConfigInfo_defaultPortConfig, setting);
		(*out)[(*n)++] = (struct following){ .pg = pg, .config = v };
	}
	return true;
}

struct reconfiguration {
	const struct value *spec, *was;
	struct value *config;
	const char *name;
	struct following *groups;
	size_t n_groups;
};

static bool change_make(struct center *c, struct object *dvs, const struct session *session,
			struct arena *a, struct reconfiguration *x, struct refusal *r)
{
	const char *given = value_get_str(x->spec, F_DVSConfigSpec_name);
	const struct member_change members = {
		.c = c,
		.dvs = dvs,
		.folder = place_parent(dvs),
		.name = place_name(dvs),
		.session = session,
		.a = a,
		.r = r,
	};

	x->name = place_name(dvs);
	x->was = config_of(dvs, a);
	x->config = dvs_config_apply(a, x->was, x->spec, r);
	if (x->config == NULL ||
	    !dvs_members_apply(&members, x->config,
			       value_get_value(x->spec, F_DVSConfigSpec_host)) ||
	    !members_place(dvs, a, x->config, r) ||
	    !follow(dvs, x->config, a, &x->groups, &x->n_groups, r)) {
		return false;
	}
	if (given != NULL && given[0] != '\0' && strcmp(given, x->name) != 0) {
		x->name = place_check_name(c, a, place_parent(dvs), given, r);
	}
	return x->name != NULL;
}

static bool change_write(struct center *c, struct object *dvs, struct arena *a,
			 const struct reconfiguration *x, struct error *e)
{
	database_begin(c->db);
	database_set_name(c->db, object_id(dvs), x->name);
	database_set_data(c->db, object_id(dvs),
			  c->db == NULL ? NULL : database_text(a, x->config));
	for (size_t i = 0; c->db != NULL && i < x->n_groups; i++) {
		database_set_data(c->db, object_id(x->groups[i].pg),
				  database_text(a, x->groups[i].config));
	}
	return database_commit(c->db, e);
}

static void reconfigure(struct call *call)
{
	struct center *c = call_arg(call);
	struct object *dvs = call->self;
	struct session *session = call->session;
	struct refusal r = { 0 };
	struct error e = { 0 };

	if (!call_require(call, dvs, "DVSwitch.Modify")) {
		return;
	}
	struct task *t = task_begin(call, c->api->tasks);
	struct arena *a = task_arena(t);
	struct reconfiguration x = { .spec = value_get_value(
					     task_args(t),
					     A_DistributedVirtualSwitch_ReconfigureDvs_Task_spec) };
	if (!change_make(c, dvs, session, a, &x, &r)) {
		refusal_to_task(t, &r);
		return;
	}
	if (!change_write(c, dvs, a, &x, &e)) {
		task_fail_error(t, &e);
		return;
	}
	const struct value *before = dvs_members_hosts(a, x.was);
	const struct value *after = dvs_members_hosts(a, x.config);
	place_rename(c, dvs, x.name);
	for (size_t i = 0; i < x.n_groups; i++) {
		portgroup_set_config(x.groups[i].pg, x.groups[i].config);
	}
	config_take(c, dvs, x.config);
	post_hosts(dvs, task_user(t), after, before, true);
	post_hosts(dvs, task_user(t), before, after, false);
	struct value *event = value_new(a, T_DvsReconfiguredEvent);
	value_set(a, event, F_DvsReconfiguredEvent_configSpec, x.spec);
	center_post(c, a, event, dvs, task_user(t),
		    arena_printf(a, "Reconfigured distributed switch %s", place_name(dvs)));
	task_done(t, NULL);
}

static struct object *group_in_use(struct object *dvs)
{
	for (size_t i = 0; i < place_count(dvs, P_DistributedVirtualSwitch_portgroup); i++) {
		struct object *pg = place_at(dvs, P_DistributedVirtualSwitch_portgroup, i);
		if (pg != NULL && place_count(pg, P_Network_vm) > 0) {
			return pg;
		}
	}
	return NULL;
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
	struct object *used = group_in_use(dvs);
	if (used != NULL) {
		struct value *fault = fault_new(task_arena(t), T_ResourceInUse);
		value_set_str(task_arena(t), fault, F_ResourceInUse_type,
			      "DistributedVirtualSwitch");
		value_set_str(task_arena(t), fault, F_ResourceInUse_name, place_name(dvs));
		task_fail(t, fault, "VM \"%s\" is connected to port group \"%s\" of switch \"%s\"",
			  place_name(place_at(used, P_Network_vm, 0)), place_name(used),
			  place_name(dvs));
		return;
	}
	const struct value *hosts = dvs_members_hosts(task_arena(t), config_of(dvs, task_arena(t)));
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
	dvs_forget(dvs);
	place_leave(c, dvs);
	hosts_touch(dvs, hosts, NULL);
	inventory_remove(dvs);
	dvs_policy_changed(c);
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
