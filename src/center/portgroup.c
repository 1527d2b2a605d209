/* SPDX-License-Identifier: Apache-2.0 */
#include "center/portgroup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "center/dvs.h"
#include "center/dvs_config.h"
#include "center/dvs_policy.h"
#include "center/dvs_port.h"
#include "center/place.h"
#include "vim/fault.h"

enum {
	PORTGROUPS_MAX = 1024 /* of a switch, as a node's policy takes them */
};

/* ---- in the inventory ---- */

struct object *portgroup_dvs(struct object *pg)
{
	const struct value *config = object_get(pg, P_DistributedVirtualPortgroup_config, NULL);
	const struct value *ref =
		value_get_value(config, F_DVPortgroupConfigInfo_distributedVirtualSwitch);

	return ref == NULL ? NULL : inventory_find_ref(pg->inventory, ref);
}

bool portgroup_is_uplink(struct object *pg)
{
	return value_get_bool(object_get(pg, P_DistributedVirtualPortgroup_config, NULL),
			      F_DVPortgroupConfigInfo_uplink, false);
}

bool portgroup_is_ephemeral(struct object *pg)
{
	const char *type = value_get_str(object_get(pg, P_DistributedVirtualPortgroup_config, NULL),
					 F_DVPortgroupConfigInfo_type);

	return type != NULL && strcmp(type, "ephemeral") == 0;
}

static struct value *port_keys(struct object *pg, int64_t n, struct arena *a)
{
	struct value *keys = value_new_array(a, T_string);

	for (int64_t i = 0; i < n; i++) {
		value_push_str(a, keys, arena_printf(a, "%" PRId64, dvs_port_key(pg, i)));
	}
	return keys;
}

void portgroup_show_ports(struct center *c, struct object *pg)
{
	struct arena *a = arena_new(0);
	struct value *config =
		value_edit(a, object_get(pg, P_DistributedVirtualPortgroup_config, a));
	struct value *keys =
		portgroup_is_ephemeral(pg)
			? dvs_ports_keys(c, pg, a)
			: port_keys(pg, value_get_num(config, F_DVPortgroupConfigInfo_numPorts, 0),
				    a);

	value_set_num(a, config, F_DVPortgroupConfigInfo_numPorts, (int64_t)value_count(keys));
	inventory_set(pg, P_DistributedVirtualPortgroup_config, config);
	inventory_set(pg, P_DistributedVirtualPortgroup_portKeys, keys);
	arena_free(a);
}

void portgroup_show_uplinks(struct object *pg, const struct value *keys)
{
	struct arena *a = arena_new(0);
	struct value *config =
		value_edit(a, object_get(pg, P_DistributedVirtualPortgroup_config, a));

	value_set_num(a, config, F_DVPortgroupConfigInfo_numPorts, (int64_t)value_count(keys));
	inventory_set(pg, P_DistributedVirtualPortgroup_config, config);
	inventory_set(pg, P_DistributedVirtualPortgroup_portKeys, keys);
	arena_free(a);
}

void portgroup_set_config(struct object *pg, const struct value *config)
{
	struct arena *a = arena_new(0);
	struct value *summary = value_new(a, T_NetworkSummary);

	value_set(a, summary, F_NetworkSummary_network, pg->ref);
	value_set_str(a, summary, F_NetworkSummary_name, place_name(pg));
	value_set_bool(a, summary, F_NetworkSummary_accessible, true);
	value_set_str(a, summary, F_NetworkSummary_ipPoolName, "");
	inventory_set(pg, P_DistributedVirtualPortgroup_config, config);
	inventory_set(pg, P_Network_summary, summary);
	if (!portgroup_is_uplink(pg)) { /* those are shown with their switch */
		portgroup_show_ports(center_of(pg), pg);
	}
	arena_free(a);
}

bool portgroup_set_ports(struct center *c, struct object *pg, int64_t n, struct error *e)
{
	struct arena *a = arena_new(0);
	struct value *config =
		value_edit(a, object_get(pg, P_DistributedVirtualPortgroup_config, a));

	value_set_num(a, config, F_DVPortgroupConfigInfo_numPorts, n);
	database_begin(c->db);
	database_set_data(c->db, object_id(pg), c->db == NULL ? NULL : database_text(a, config));
	bool ok = database_commit(c->db, e);
	if (ok) {
		portgroup_set_config(pg, config);
		dvs_show(portgroup_dvs(pg));
	}
	arena_free(a);
	return ok;
}

static struct object *object_new(struct center *c, const char *id, const struct value *config,
				 struct object *folder)
{
	struct object *o = place_new(c, T_DistributedVirtualPortgroup, id,
				     value_get_str(config, F_DVPortgroupConfigInfo_name), folder);
	struct arena *a = arena_new(0);

	inventory_set_str(o, P_DistributedVirtualPortgroup_key, id);
	inventory_set(o, P_Network_host, value_new_array(a, T_HostSystem));
	inventory_set(o, P_Network_vm, value_new_array(a, T_VirtualMachine));
	portgroup_set_config(o, config);
	arena_free(a);
	return o;
}

void portgroup_write(struct center *c, struct arena *a, struct portgroup_plan *p,
		     const char *folder_id, const char *dvs_id)
{
	center_new_id(c, "dvportgroup", p->id, sizeof(p->id));
	value_set_str(a, p->config, F_DVPortgroupConfigInfo_key, p->id);
	value_set_ref(a, p->config, F_DVPortgroupConfigInfo_distributedVirtualSwitch,
		      T_VmwareDistributedVirtualSwitch, dvs_id);
	database_put_entity(c->db,
			    &(struct database_entity){
				    .id = p->id,
				    .type = "DistributedVirtualPortgroup",
				    .parent = folder_id,
				    .name = value_get_str(p->config, F_DVPortgroupConfigInfo_name),
				    .data = c->db == NULL ? NULL : database_text(a, p->config) });
}

struct object *portgroup_new(struct center *c, const struct portgroup_plan *p,
			     struct object *folder, struct object *dvs)
{
	struct object *o = object_new(c, p->id, p->config, folder);

	inventory_add_ref(dvs, P_DistributedVirtualSwitch_portgroup, o);
	return o;
}

bool portgroup_load(struct center *c, const struct database_entity *row, struct object *parent,
		    struct error *e)
{
	struct arena *a = arena_new(0);
	const struct value *config =
		row->data == NULL ? NULL : database_value(a, T_DVPortgroupConfigInfo, row->data, e);

	if (config == NULL || !schema_is_a(parent->type, T_Folder)) {
		arena_free(a);
		return error_set(e, ERROR_CORRUPT, "port group \"%s\" has no configuration",
				 row->id);
	}
	struct object *o = object_new(c, row->id, config, parent);
	place_rename(c, o, row->name);
	portgroup_show_name(o);
	struct object *dvs = portgroup_dvs(o);
	arena_free(a);
	if (dvs == NULL || !schema_is_a(dvs->type, T_DistributedVirtualSwitch)) {
		return error_set(e, ERROR_CORRUPT, "port group \"%s\" has no switch", row->id);
	}
	inventory_add_ref(dvs, P_DistributedVirtualSwitch_portgroup, o);
	dvs_show(dvs);
	return true;
}

void portgroup_set_hosts(struct object *pg, const struct value *hosts)
{
	inventory_set(pg, P_Network_host, hosts);
}

void portgroup_show_name(struct object *pg)
{
	struct arena *a = arena_new(0);
	struct value *config =
		value_edit(a, object_get(pg, P_DistributedVirtualPortgroup_config, a));
	struct object *dvs = portgroup_dvs(pg);

	value_set_str(a, config, F_DVPortgroupConfigInfo_name, place_name(pg));
	portgroup_set_config(pg, config);
	if (dvs != NULL) {
		dvs_show(dvs);
	}
	arena_free(a);
}

/* ---- making ---- */

static void post(struct center *c, struct arena *a, struct value *event, struct object *o,
		 const char *user, const char *what)
{
	char text[320];

	snprintf(text, sizeof(text), "%s", what);
	center_post(c, a, event, o, user, text);
}

/* Port groups, at most as many as a switch may have, by specifications. */
static struct portgroup_plan *plans_make(struct center *c, struct task *t, struct object *dvs,
					 const struct value *specs, struct refusal *r)
{
	struct arena *a = task_arena(t);
	size_t n = value_count(specs),
	       there = place_count(dvs, P_DistributedVirtualSwitch_portgroup);
	struct portgroup_plan *plans = arena_alloc(a, (n + 1) * sizeof(*plans));
	const struct value *dvs_config = object_get(dvs, P_DistributedVirtualSwitch_config, a);

	if (there + n > PORTGROUPS_MAX) {
		refuse(r, fault_new(a, T_LimitExceeded),
		       "switch \"%s\" has %zu port groups, with these it would have %zu: the limit "
		       "is %d",
		       place_name(dvs), there, there + n, PORTGROUPS_MAX);
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		const struct value *spec = value_item(specs, i);
		const char *given = value_get_str(spec, F_DVPortgroupConfigSpec_name);
		const char *name =
			place_check_name(c, a, place_parent(dvs), given == NULL ? "" : given, r);
		for (size_t j = 0; name != NULL && j < i; j++) {
			if (strcmp(name, value_get_str(plans[j].config,
						       F_DVPortgroupConfigInfo_name)) == 0) {
				refuse(r, fault_duplicate_name(a, name, dvs),
				       "two port groups are named \"%s\"", name);
				return NULL;
			}
		}
		plans[i].config = name == NULL
					  ? NULL
					  : portgroup_config_apply(
						    a, portgroup_config_new(a, name, dvs_config),
						    spec, dvs_config, r);
		if (plans[i].config == NULL) {
			return NULL;
		}
	}
	return plans;
}

static void add(struct center *c, struct task *t, const struct value *specs, bool is_one)
{
	struct object *dvs = task_entity(t), *folder = place_parent(dvs);
	struct arena *a = task_arena(t);
	struct refusal r = { 0 };
	struct error e = { 0 };
	struct portgroup_plan *plans = plans_make(c, t, dvs, specs, &r);

	if (plans == NULL) {
		refusal_to_task(t, &r);
		return;
	}
	database_begin(c->db);
	for (size_t i = 0; i < value_count(specs); i++) {
		portgroup_write(c, a, &plans[i], object_id(folder), object_id(dvs));
	}
	if (!database_commit(c->db, &e)) {
		task_fail_error(t, &e);
		return;
	}
	struct object *o = NULL;
	for (size_t i = 0; i < value_count(specs); i++) {
		o = portgroup_new(c, &plans[i], folder, dvs);
		post(c, a, value_new(a, T_DVPortgroupCreatedEvent), o, task_user(t),
		     arena_printf(a, "Created port group %s on switch %s", place_name(o),
				  place_name(dvs)));
	}
	dvs_show_groups(dvs);
	dvs_policy_changed(c);
	task_done(t, is_one && o != NULL ? o->ref : NULL);
}

static void add_many(struct call *call)
{
	struct center *c = call_arg(call);
	const struct value *specs =
		value_get_value(call->args, A_DistributedVirtualSwitch_AddDVPortgroup_Task_spec);

	add(c, task_begin(call, c->api->tasks), specs, false);
}

static void add_one(struct call *call)
{
	struct center *c = call_arg(call);
	const struct value *spec =
		value_get_value(call->args, A_DistributedVirtualSwitch_CreateDVPortgroup_Task_spec);
	struct task *t = task_begin(call, c->api->tasks);
	struct value *specs = value_new_array(task_arena(t), T_DVPortgroupConfigSpec);

	value_push(task_arena(t), specs, spec);
	add(c, t, specs, true);
}

/* ---- changing ---- */

/* Ports that are in use stay, and stay as they are. */
static bool used_check(struct center *c, struct object *pg, const struct value *config,
		       struct arena *a, struct refusal *r)
{
	const struct value *was = object_get(pg, P_DistributedVirtualPortgroup_config, a);
	const char *type = value_get_str(config, F_DVPortgroupConfigInfo_type);
	int64_t n_used, end = dvs_ports_end(c, pg, &n_used);
	bool is_ephemeral = strcmp(type, "ephemeral") == 0;

	if (n_used == 0 || portgroup_is_uplink(pg)) {
		return true;
	}
	struct value *fault = fault_new(a, T_ResourceInUse);
	value_set_str(a, fault, F_ResourceInUse_type, "DistributedVirtualPortgroup");
	value_set_str(a, fault, F_ResourceInUse_name, place_name(pg));
	if (strcmp(type, value_get_str(was, F_DVPortgroupConfigInfo_type)) != 0) {
		return refuse(r, fault,
			      "port group \"%s\" stays of its type: %" PRId64
			      " of its ports are in use",
			      place_name(pg), n_used);
	}
	return is_ephemeral || value_get_num(config, F_DVPortgroupConfigInfo_numPorts, 0) >= end ||
	       refuse(r, fault, "port group \"%s\" needs %" PRId64 " ports: the last is in use",
		      place_name(pg), end);
}

static void reconfigure(struct call *call)
{
	struct center *c = call_arg(call);
	struct object *pg = call->self;
	struct refusal r = { 0 };
	struct error e = { 0 };
	const struct value *spec = value_get_value(
		call->args, A_DistributedVirtualPortgroup_ReconfigureDVPortgroup_Task_spec);

	if (!call_require(call, pg, "DVPortgroup.Modify")) {
		return;
	}
	struct task *t = task_begin(call, c->api->tasks);
	struct arena *a = task_arena(t);
	const char *given = value_get_str(spec, F_DVPortgroupConfigSpec_name);
	const char *name = place_name(pg);
	struct value *config = portgroup_config_apply(
		a, object_get(pg, P_DistributedVirtualPortgroup_config, a), spec,
		object_get(portgroup_dvs(pg), P_DistributedVirtualSwitch_config, a), &r);
	if (config != NULL && !used_check(c, pg, config, a, &r)) {
		config = NULL;
	}
	if (config != NULL && given != NULL && strcmp(given, name) != 0) {
		name = place_check_name(c, a, place_parent(pg), given, &r);
	}
	if (config == NULL || name == NULL) {
		refusal_to_task(t, &r);
		return;
	}
	value_set_str(a, config, F_DVPortgroupConfigInfo_name, name);
	database_begin(c->db);
	database_set_name(c->db, object_id(pg), name);
	database_set_data(c->db, object_id(pg), c->db == NULL ? NULL : database_text(a, config));
	if (!database_commit(c->db, &e)) {
		task_fail_error(t, &e);
		return;
	}
	struct value *event = value_new(a, T_DVPortgroupReconfiguredEvent);
	value_set(a, event, F_DVPortgroupReconfiguredEvent_configSpec, spec);
	place_rename(c, pg, name);
	portgroup_set_config(pg, config);
	dvs_show(portgroup_dvs(pg));
	dvs_policy_changed(c);
	post(c, a, event, pg, task_user(t),
	     arena_printf(a, "Reconfigured port group %s", place_name(pg)));
	task_done(t, NULL);
}

static void destroy(struct call *call)
{
	struct center *c = call_arg(call);
	struct object *pg = call->self;
	struct error e = { 0 };

	if (!call_require(call, pg, "DVPortgroup.Delete")) {
		return;
	}
	struct task *t = task_begin(call, c->api->tasks);
	struct arena *a = task_arena(t);
	if (portgroup_is_uplink(pg) || place_count(pg, P_Network_vm) > 0) {
		struct value *fault = fault_new(a, T_ResourceInUse);
		value_set_str(a, fault, F_ResourceInUse_type, "DistributedVirtualPortgroup");
		value_set_str(a, fault, F_ResourceInUse_name, place_name(pg));
		task_fail(t, fault, "port group \"%s\" is used by %s%s", place_name(pg),
			  portgroup_is_uplink(pg) ? "its switch for uplinks" : "VM ",
			  portgroup_is_uplink(pg) ? "" : place_name(place_at(pg, P_Network_vm, 0)));
		return;
	}
	database_begin(c->db);
	database_drop_entity(c->db, object_id(pg));
	if (!database_commit(c->db, &e)) {
		task_fail_error(t, &e);
		return;
	}
	struct object *dvs = portgroup_dvs(pg);
	const char *text = arena_printf(a, "Deleted port group %s", place_name(pg));
	dvs_forget_portgroup(pg);
	place_leave(c, pg);
	inventory_remove(pg);
	dvs_show_groups(dvs);
	dvs_policy_changed(c);
	post(c, a, value_new(a, T_DVPortgroupDestroyedEvent), dvs, task_user(t), text);
	task_done(t, NULL);
}

void portgroup_register(struct center *c)
{
	struct service *s = c->api->service;

	service_handle(s, T_DistributedVirtualSwitch,
		       M_DistributedVirtualSwitch_AddDVPortgroup_Task, add_many, c);
	service_handle(s, T_DistributedVirtualSwitch,
		       M_DistributedVirtualSwitch_CreateDVPortgroup_Task, add_one, c);
	service_handle(s, T_DistributedVirtualPortgroup,
		       M_DistributedVirtualPortgroup_ReconfigureDVPortgroup_Task, reconfigure, c);
	service_handle(s, T_DistributedVirtualPortgroup, M_ManagedEntity_Destroy_Task, destroy, c);
}
