/* SPDX-License-Identifier: Apache-2.0 */
#include "center/pool.h"

#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "base/uuid.h"
#include "center/compute.h"
#include "center/folder.h"
#include "center/place.h"
#include "center/pool_config.h"
#include "vim/fault.h"

static bool is_vapp(const struct object *pool)
{
	return schema_is_a(pool->type, T_VirtualApp);
}

static bool is_root(struct object *pool)
{
	struct object *parent = place_parent(pool);

	return parent == NULL || !schema_is_a(parent->type, T_ResourcePool);
}

static bool is_pool(const struct object *o)
{
	return schema_is_a(o->type, T_ResourcePool);
}

/* ---- in the inventory ---- */

static void summary_show(struct object *pool, struct arena *a)
{
	struct value *v = value_new(a, is_vapp(pool) ? T_VirtualAppSummary : T_ResourcePoolSummary);

	value_set_str(a, v, F_ResourcePoolSummary_name, place_name(pool));
	value_set(a, v, F_ResourcePoolSummary_config, object_get(pool, P_ResourcePool_config, a));
	value_set(a, v, F_ResourcePoolSummary_runtime, object_get(pool, P_ResourcePool_runtime, a));
	value_set_num(a, v, F_ResourcePoolSummary_configuredMemoryMB, 0);
	if (is_vapp(pool)) {
		value_set_num(a, v, F_VirtualAppSummary_vAppState, E_VirtualAppVAppState_stopped);
	}
	inventory_set(pool, P_ResourcePool_summary, v);
}

/* Figures of the pool and, as they follow from it, of those below. */
static void figures_show(struct object *pool)
{
	struct arena *a = arena_new(0);

	inventory_set(pool, P_ResourcePool_runtime, pool_config_runtime(a, pool));
	summary_show(pool, a);
	arena_free(a);
	for (size_t i = 0; i < place_count(pool, P_ResourcePool_resourcePool); i++) {
		struct object *child = place_at(pool, P_ResourcePool_resourcePool, i);
		if (child != NULL) {
			figures_show(child);
		}
	}
}

void pool_show_name(struct object *pool)
{
	figures_show(pool);
}

static void figures_show_all(struct object *pool)
{
	while (!is_root(pool)) {
		pool = place_parent(pool);
	}
	figures_show(pool);
}

static void config_show(struct center *c, struct object *pool, const struct value *config)
{
	struct arena *a = arena_new(0);
	struct value *v = value_edit(a, config);
	char version[32];

	snprintf(version, sizeof(version), "%lld", (long long)clock_wall_us(c->clock));
	value_set(a, v, F_ResourceConfigSpec_entity, pool->ref);
	value_set_str(a, v, F_ResourceConfigSpec_changeVersion, version);
	value_set_num(a, v, F_ResourceConfigSpec_lastModified, clock_wall_us(c->clock));
	inventory_set(pool, P_ResourcePool_config, v);
	arena_free(a);
}

static struct object *pool_new(struct center *c, uint16_t type, const char *id, const char *name,
			       struct object *parent)
{
	struct object *o = place_new(c, type, id, name, parent);
	struct object *owner = is_pool(parent) ? compute_of_pool(parent) : parent;
	struct arena *a = arena_new(0);

	inventory_set_ref(o, P_ResourcePool_owner, owner);
	inventory_set(o, P_ResourcePool_resourcePool, value_new_array(a, T_ResourcePool));
	inventory_set(o, P_ResourcePool_vm, value_new_array(a, T_VirtualMachine));
	if (parent == owner) {
		inventory_set_ref(owner, P_ComputeResource_resourcePool, o);
	}
	arena_free(a);
	return o;
}

struct object *pool_new_root(struct center *c, const char *id, struct object *compute)
{
	struct object *o = pool_new(c, T_ResourcePool, id, "Resources", compute);
	struct arena *a = arena_new(0);

	config_show(c, o, pool_config_root(a, 0, 0));
	figures_show(o);
	arena_free(a);
	return o;
}

void pool_write_root(struct center *c, char id[CENTER_ID_MAX], const char *compute_id)
{
	center_new_id(c, "resgroup", id, CENTER_ID_MAX);
	database_put_entity(c->db, &(struct database_entity){ .id = id,
							      .type = "ResourcePool",
							      .parent = compute_id,
							      .name = "Resources" });
}

void pool_set_capacity(struct object *root, int64_t mhz, int64_t mb)
{
	const struct value *config = object_get(root, P_ResourcePool_config, NULL);
	const struct value *cpu = value_get_value(config, F_ResourceConfigSpec_cpuAllocation);
	const struct value *memory = value_get_value(config, F_ResourceConfigSpec_memoryAllocation);

	if (value_get_num(cpu, F_ResourceAllocationInfo_reservation, -1) == mhz &&
	    value_get_num(memory, F_ResourceAllocationInfo_reservation, -1) == mb) {
		return;
	}
	struct arena *a = arena_new(0);
	config_show(root->owner, root, pool_config_root(a, mhz, mb));
	figures_show(root);
	arena_free(a);
}

/* ---- vApps ---- */

/* What a vApp is beyond a pool. A vApp of a vApp is in no folder. */
static void vapp_show(struct object *vapp, struct object *parent, struct object *folder)
{
	struct arena *a = arena_new(0);
	struct value *config = value_new(a, T_VAppConfigInfo);
	struct uuid uuid = uuid_from_name(object_id(vapp));
	char text[UUID_TEXT_SIZE];

	uuid_format(&uuid, text);
	value_set_str(a, config, F_VAppConfigInfo_annotation, "");
	value_set_str(a, config, F_VAppConfigInfo_instanceUuid, text);
	inventory_set(vapp, P_VirtualApp_vAppConfig, config);
	inventory_set(vapp, P_VirtualApp_datastore, value_new_array(a, T_Datastore));
	inventory_set(vapp, P_VirtualApp_network, value_new_array(a, T_Network));
	arena_free(a);
	if (is_vapp(parent)) {
		inventory_set_ref(vapp, P_VirtualApp_parentVApp, parent);
	} else {
		inventory_set_ref(vapp, P_VirtualApp_parentFolder, folder);
		inventory_add_ref(folder, P_Folder_childEntity, vapp);
	}
}

static void vapp_hide(struct object *vapp)
{
	struct object *folder = place_ref(vapp, P_VirtualApp_parentFolder);

	if (folder != NULL) {
		inventory_drop_ref(folder, P_Folder_childEntity, vapp);
	}
}

/* ---- loading ---- */

bool pool_load(struct center *c, const struct database_entity *row, struct object *parent,
	       struct error *e)
{
	bool of_compute = schema_is_a(parent->type, T_ComputeResource);
	bool is_app = strcmp(row->type, "VirtualApp") == 0;

	if (of_compute && !is_app) {
		pool_new_root(c, row->id, parent);
		return true;
	}
	if (!is_pool(parent)) {
		return error_set(e, ERROR_CORRUPT, "pool \"%s\" is in no pool", row->id);
	}
	struct arena *a = arena_new(0);
	const struct value *config =
		row->data == NULL ? pool_config_default(a)
				  : database_value(a, T_ResourceConfigSpec, row->data, e);
	if (config == NULL) {
		arena_free(a);
		return error_prefix(e, "configuration of pool \"%s\": ", row->id);
	}
	struct object *o =
		pool_new(c, is_app ? T_VirtualApp : T_ResourcePool, row->id, row->name, parent);
	config_show(c, o, config);
	/* A vApp's folder is in the place of a VM's pool. */
	struct object *folder = row->pool == NULL ? NULL : inventory_find(c->inventory, row->pool);
	if (is_app && (is_vapp(parent) || folder != NULL)) {
		vapp_show(o, parent, folder);
	}
	figures_show(o);
	arena_free(a);
	return true;
}

/* ---- taking out ---- */

void pool_drop_tree(struct center *c, struct object *pool)
{
	for (size_t i = 0; i < place_count(pool, P_ResourcePool_resourcePool); i++) {
		struct object *child = place_at(pool, P_ResourcePool_resourcePool, i);
		if (child != NULL) {
			pool_drop_tree(c, child);
		}
	}
	database_drop_entity(c->db, object_id(pool));
}

static void pool_remove(struct center *c, struct object *pool)
{
	if (is_vapp(pool)) {
		vapp_hide(pool);
	}
	place_leave(c, pool);
	inventory_remove(pool);
}

void pool_remove_tree(struct center *c, struct object *pool)
{
	while (place_count(pool, P_ResourcePool_resourcePool) > 0) {
		pool_remove_tree(c, place_at(pool, P_ResourcePool_resourcePool, 0));
	}
	pool_remove(c, pool);
}

/* ---- making ---- */

struct pool_spec {
	const char *name;
	const struct value *config;
	struct object *folder; /* of a vApp, else NULL */
	bool is_vapp;
};

static struct object *pool_make(struct center *c, struct object *parent,
				const struct pool_spec *spec, struct error *e)
{
	char id[CENTER_ID_MAX];
	struct arena *a = arena_new(0);

	database_begin(c->db);
	center_new_id(c, spec->is_vapp ? "resgroup-v" : "resgroup", id, sizeof(id));
	database_put_entity(c->db,
			    &(struct database_entity){
				    .id = id,
				    .type = spec->is_vapp ? "VirtualApp" : "ResourcePool",
				    .parent = object_id(parent),
				    .name = spec->name,
				    .pool = spec->folder == NULL ? NULL : object_id(spec->folder),
				    .data = c->db == NULL ? NULL : database_text(a, spec->config),
			    });
	bool ok = database_commit(c->db, e);
	arena_free(a);
	if (!ok) {
		return NULL;
	}
	struct object *o =
		pool_new(c, spec->is_vapp ? T_VirtualApp : T_ResourcePool, id, spec->name, parent);
	config_show(c, o, spec->config);
	if (spec->is_vapp) {
		vapp_show(o, parent, spec->folder);
	}
	figures_show_all(o);
	return o;
}

struct object *pool_create(struct center *c, struct object *parent, const char *name,
			   struct error *e)
{
	struct arena *a = arena_new(0);
	struct object *o =
		pool_make(c, parent,
			  &(struct pool_spec){ .name = name, .config = pool_config_default(a) }, e);

	arena_free(a);
	return o;
}

struct object *pool_create_vapp(struct center *c, struct object *parent, const char *name,
				struct object *folder, struct error *e)
{
	struct arena *a = arena_new(0);
	struct object *o = pool_make(c, parent,
				     &(struct pool_spec){ .name = name,
							  .config = pool_config_default(a),
							  .folder = folder,
							  .is_vapp = true },
				     e);

	arena_free(a);
	return o;
}

static void post_created(struct center *c, struct arena *a, struct object *pool, const char *user)
{
	struct value *event = value_new(a, T_ResourcePoolCreatedEvent);
	struct object *parent = place_parent(pool);
	char text[320];

	value_set(a, event, F_ResourcePoolEvent_resourcePool,
		  event_argument(a, T_ResourcePoolEventArgument, pool));
	value_set(a, event, F_ResourcePoolCreatedEvent_parent,
		  event_argument(a, T_ResourcePoolEventArgument, parent));
	snprintf(text, sizeof(text), "Created resource pool %s in %s", place_name(pool),
		 place_name(parent));
	center_post(c, a, event, compute_of_pool(pool), user, text);
}

static void make_for(struct call *call, struct pool_spec *spec, const char *given,
		     const struct value *config)
{
	struct center *c = call_arg(call);
	struct refusal r = { 0 };
	struct error e = { 0 };

	spec->name = place_check_name(c, call->arena, call->self, given, &r);
	if (spec->name != NULL && spec->folder != NULL) {
		spec->name = place_check_name(c, call->arena, spec->folder, given, &r);
	}
	spec->config = spec->name == NULL
			       ? NULL
			       : pool_config_apply(call->arena, pool_config_default(call->arena),
						   config, NULL, call->self, &r);
	if (spec->config == NULL) {
		refusal_to_call(call, &r);
		return;
	}
	struct object *o = pool_make(c, call->self, spec, &e);
	if (o == NULL) {
		call_error(call, &e);
		return;
	}
	post_created(c, call->arena, o, session_user(call->session));
	call_return(call, o->ref);
}

static void create_pool(struct call *call)
{
	struct pool_spec spec = { 0 };

	make_for(call, &spec, value_get_str(call->args, A_ResourcePool_CreateResourcePool_name),
		 value_get_value(call->args, A_ResourcePool_CreateResourcePool_spec));
}

static void create_vapp(struct call *call)
{
	bool ok;
	struct object *folder =
		call_object(call, A_ResourcePool_CreateVApp_vmFolder, T_Folder, &ok);
	struct pool_spec spec = { .is_vapp = true };

	if (!ok) {
		return;
	}
	if (folder == NULL && !is_vapp(call->self)) {
		folder = place_folder(place_datacenter(call->self), P_Datacenter_vmFolder);
	}
	if (folder != NULL && folder_kind(folder) != FOLDER_VM) {
		call_fault(call, fault_invalid_argument(call->arena, "vmFolder"),
			   "folder \"%s\" is not one for virtual machines", place_name(folder));
		return;
	}
	spec.folder = is_vapp(call->self) ? NULL : folder;
	make_for(call, &spec, value_get_str(call->args, A_ResourcePool_CreateVApp_name),
		 value_get_value(call->args, A_ResourcePool_CreateVApp_resSpec));
}

/* ---- changing ---- */

static void post_reconfigured(struct center *c, struct arena *a, struct object *pool,
			      const char *user)
{
	struct value *event = value_new(a, T_ResourcePoolReconfiguredEvent);
	char text[320];

	value_set(a, event, F_ResourcePoolEvent_resourcePool,
		  event_argument(a, T_ResourcePoolEventArgument, pool));
	snprintf(text, sizeof(text), "Reconfigured resource pool %s", place_name(pool));
	center_post(c, a, event, compute_of_pool(pool), user, text);
}

static bool update_check(struct call *call, const struct value *given, struct refusal *r)
{
	const struct value *old = object_get(call->self, P_ResourcePool_config, call->arena);
	const char *was = value_get_str(given, F_ResourceConfigSpec_changeVersion);

	if (!refusal_may(r, call->arena, call->session, call->self, "Resource.EditPool")) {
		return false;
	}
	if (is_root(call->self)) {
		return refuse(r, fault_new(call->arena, T_NotSupported),
			      "the root pool follows the capacity of \"%s\"",
			      place_name(compute_of_pool(call->self)));
	}
	if (was != NULL &&
	    strcmp(was, value_get_str(old, F_ResourceConfigSpec_changeVersion)) != 0) {
		return refuse(r, fault_new(call->arena, T_ConcurrentAccess),
			      "pool \"%s\" has changed since version \"%s\"",
			      place_name(call->self), was);
	}
	return true;
}

static void update_config(struct call *call)
{
	struct center *c = call_arg(call);
	struct arena *a = call->arena;
	struct object *pool = call->self;
	struct refusal r = { 0 };
	struct error e = { 0 };
	const char *given = value_get_str(call->args, A_ResourcePool_UpdateConfig_name);
	const struct value *spec = value_get_value(call->args, A_ResourcePool_UpdateConfig_config);
	const struct value *config = object_get(pool, P_ResourcePool_config, a);
	const char *name = given != NULL && given[0] != '\0' ? given : place_name(pool);
	bool ok = update_check(call, spec, &r);

	if (ok && strcmp(name, place_name(pool)) != 0) {
		name = place_check_name(c, a, place_parent(pool), given, &r);
	}
	if (ok && name != NULL && spec != NULL) {
		config = pool_config_apply(a, config, spec, pool, place_parent(pool), &r);
	}
	if (!ok || name == NULL || config == NULL) {
		refusal_to_call(call, &r);
		return;
	}
	database_begin(c->db);
	database_set_name(c->db, object_id(pool), name);
	database_set_data(c->db, object_id(pool), c->db == NULL ? NULL : database_text(a, config));
	if (!database_commit(c->db, &e)) {
		call_error(call, &e);
		return;
	}
	place_rename(c, pool, name);
	config_show(c, pool, config);
	figures_show_all(pool);
	post_reconfigured(c, a, pool, session_user(call->session));
	call_return(call, NULL);
}

/* ---- moving ---- */

static bool may_enter(struct call *call, struct object *o, struct refusal *r)
{
	struct arena *a = call->arena;
	struct object *pool = call->self;
	struct object *from = is_pool(o) ? o : place_ref(o, P_VirtualMachine_resourcePool);

	if (!is_pool(o) && o->type != T_VirtualMachine) {
		return refuse(r, fault_invalid_argument(a, "list"),
			      "\"%s\" is neither a pool nor a virtual machine", object_id(o));
	}
	const char *privilege = is_pool(o) ? "Resource.MovePool" : "Resource.AssignVMToPool";
	if (!refusal_may(r, a, call->session, o, privilege) ||
	    !refusal_may(r, a, call->session, pool, privilege)) {
		return false;
	}
	if (from == NULL || compute_of_pool(from) != compute_of_pool(pool)) {
		return refuse(r, fault_invalid_argument(a, "list"), "\"%s\" is not in \"%s\"",
			      place_name(o), place_name(compute_of_pool(pool)));
	}
	if (!is_pool(o)) {
		return true;
	}
	if (is_root(o) || place_is_within(pool, o)) {
		return refuse(r, fault_invalid_argument(a, "list"),
			      "pool \"%s\" cannot be moved below \"%s\"", place_name(o),
			      place_name(pool));
	}
	struct object *other = place_child(call_arg(call), pool, place_name(o));
	if (other != NULL && other != o) {
		return refuse(r, fault_duplicate_name(a, place_name(o), other),
			      "pool \"%s\" has a pool \"%s\" already", place_name(pool),
			      place_name(o));
	}
	return pool_config_fits(a, object_get(o, P_ResourcePool_config, a), o, pool, r);
}

/* No pool before the i-th in the list has its name. */
static bool is_alone(struct call *call, const struct value *list, size_t i, struct refusal *r)
{
	struct inventory *inv = call->self->inventory;
	struct object *o = inventory_find_ref(inv, value_item(list, i));

	for (size_t j = 0; is_pool(o) && j < i; j++) {
		struct object *other = inventory_find_ref(inv, value_item(list, j));
		if (other != o && is_pool(other) && strcmp(place_name(other), place_name(o)) == 0) {
			return refuse(r, fault_duplicate_name(call->arena, place_name(o), other),
				      "two pools are named \"%s\"", place_name(o));
		}
	}
	return true;
}

static void move_into(struct call *call)
{
	struct center *c = call_arg(call);
	struct object *pool = call->self;
	struct refusal r = { 0 };
	struct error e = { 0 };
	const struct value *list =
		value_get_value(call->args, A_ResourcePool_MoveIntoResourcePool_list);

	for (size_t i = 0; i < value_count(list); i++) {
		struct object *o = inventory_find_ref(c->inventory, value_item(list, i));
		if (o == NULL) {
			call_fault(call, fault_not_found(call->arena, value_item(list, i)),
				   "\"%s\" does not exist", value_bytes(value_item(list, i)));
			return;
		}
		if (!may_enter(call, o, &r) || !is_alone(call, list, i, &r)) {
			refusal_to_call(call, &r);
			return;
		}
	}
	database_begin(c->db);
	for (size_t i = 0; i < value_count(list); i++) {
		struct object *o = inventory_find_ref(c->inventory, value_item(list, i));
		if (is_pool(o)) {
			database_set_parent(c->db, object_id(o), object_id(pool));
		} else {
			database_set_pool(c->db, object_id(o), object_id(pool));
		}
	}
	if (!database_commit(c->db, &e)) {
		call_error(call, &e);
		return;
	}
	for (size_t i = 0; i < value_count(list); i++) {
		struct object *o = inventory_find_ref(c->inventory, value_item(list, i));
		if (is_pool(o)) {
			place_move(c, o, pool);
		} else {
			place_set_pool(c, o, pool);
		}
	}
	figures_show_all(pool);
	call_return(call, NULL);
}

/* ---- destroying ---- */

/* VMs of all pools below go to `to`. */
static void write_vms(struct center *c, struct object *pool, const struct object *to)
{
	for (size_t i = 0; i < place_count(pool, P_ResourcePool_vm); i++) {
		struct object *vm = place_at(pool, P_ResourcePool_vm, i);
		if (vm != NULL) {
			database_set_pool(c->db, object_id(vm), object_id(to));
		}
	}
	for (size_t i = 0; i < place_count(pool, P_ResourcePool_resourcePool); i++) {
		write_vms(c, place_at(pool, P_ResourcePool_resourcePool, i), to);
	}
}

static void move_vms(struct center *c, struct object *pool, struct object *to)
{
	while (place_count(pool, P_ResourcePool_vm) > 0) {
		struct object *vm = place_at(pool, P_ResourcePool_vm, 0);
		place_set_pool(c, vm, to);
	}
	for (size_t i = 0; i < place_count(pool, P_ResourcePool_resourcePool); i++) {
		move_vms(c, place_at(pool, P_ResourcePool_resourcePool, i), to);
	}
}

/* A pool that goes leaves its VMs and pools to the one above. */
static bool destroy_one(struct center *c, struct object *pool, struct error *e)
{
	struct object *parent = place_parent(pool);
	struct arena *a = arena_new(0);

	database_begin(c->db);
	for (size_t i = 0; i < place_count(pool, P_ResourcePool_vm); i++) {
		struct object *vm = place_at(pool, P_ResourcePool_vm, i);
		database_set_pool(c->db, object_id(vm), object_id(parent));
	}
	for (size_t i = 0; i < place_count(pool, P_ResourcePool_resourcePool); i++) {
		struct object *child = place_at(pool, P_ResourcePool_resourcePool, i);
		database_set_parent(c->db, object_id(child), object_id(parent));
		database_set_name(c->db, object_id(child),
				  place_free_name(c, parent, place_name(child), a));
	}
	database_drop_entity(c->db, object_id(pool));
	if (!database_commit(c->db, e)) {
		arena_free(a);
		return false;
	}
	while (place_count(pool, P_ResourcePool_vm) > 0) {
		place_set_pool(c, place_at(pool, P_ResourcePool_vm, 0), parent);
	}
	while (place_count(pool, P_ResourcePool_resourcePool) > 0) {
		struct object *child = place_at(pool, P_ResourcePool_resourcePool, 0);
		const char *name = place_free_name(c, parent, place_name(child), a);
		place_rename(c, child, name);
		place_move(c, child, parent);
	}
	pool_remove(c, pool);
	figures_show_all(parent);
	arena_free(a);
	return true;
}

static void post_destroyed(struct center *c, struct task *t, const char *name,
			   struct object *compute)
{
	struct arena *a = task_arena(t);
	struct value *event = value_new(a, T_ResourcePoolDestroyedEvent);
	struct value *gone = value_new(a, T_ResourcePoolEventArgument);
	char text[320];

	value_set_str(a, gone, F_EntityEventArgument_name, name);
	value_set(a, gone, F_ResourcePoolEventArgument_resourcePool,
		  object_get(compute, P_ComputeResource_resourcePool, a));
	value_set(a, event, F_ResourcePoolEvent_resourcePool, gone);
	snprintf(text, sizeof(text), "Removed resource pool %s on %s", name, place_name(compute));
	center_post(c, a, event, compute, task_user(t), text);
}

static void destroy(struct call *call)
{
	struct center *c = call_arg(call);
	struct object *pool = call->self;
	struct error e = { 0 };

	if (!call_require(call, pool, "Resource.DeletePool")) {
		return;
	}
	if (is_root(pool)) {
		call_fault(call, fault_new(call->arena, T_NotSupported),
			   "the root pool goes with \"%s\"", place_name(compute_of_pool(pool)));
		return;
	}
	struct object *compute = compute_of_pool(pool);
	struct task *t = task_begin(call, c->api->tasks);
	const char *name = arena_strdup(task_arena(t), place_name(pool));
	if (!destroy_one(c, pool, &e)) {
		task_fail_error(t, &e);
		return;
	}
	post_destroyed(c, t, name, compute);
	task_done(t, NULL);
}

static void destroy_children(struct call *call)
{
	struct center *c = call_arg(call);
	struct object *pool = call->self;
	struct error e = { 0 };

	if (!call_require(call, pool, "Resource.DeletePool")) {
		return;
	}
	database_begin(c->db);
	for (size_t i = 0; i < place_count(pool, P_ResourcePool_resourcePool); i++) {
		struct object *child = place_at(pool, P_ResourcePool_resourcePool, i);
		write_vms(c, child, pool);
		pool_drop_tree(c, child);
	}
	if (!database_commit(c->db, &e)) {
		call_error(call, &e);
		return;
	}
	while (place_count(pool, P_ResourcePool_resourcePool) > 0) {
		struct object *child = place_at(pool, P_ResourcePool_resourcePool, 0);
		move_vms(c, child, pool);
		pool_remove_tree(c, child);
	}
	figures_show_all(pool);
	call_return(call, NULL);
}

static void refresh_runtime(struct call *call)
{
	figures_show(call->self);
	call_return(call, NULL);
}

void pool_register(struct center *c)
{
	static const struct {
		uint16_t method;
		call_fn *fn;
	} methods[] = {
		{ M_ResourcePool_CreateResourcePool, create_pool },
		{ M_ResourcePool_CreateVApp, create_vapp },
		{ M_ResourcePool_UpdateConfig, update_config },
		{ M_ResourcePool_MoveIntoResourcePool, move_into },
		{ M_ResourcePool_DestroyChildren, destroy_children },
		{ M_ResourcePool_RefreshRuntime, refresh_runtime },
		{ M_ManagedEntity_Destroy_Task, destroy },
	};

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		service_handle(c->api->service, T_ResourcePool, methods[i].method, methods[i].fn,
			       c);
	}
}
