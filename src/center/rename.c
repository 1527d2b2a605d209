/* SPDX-License-Identifier: Apache-2.0 */
#include "center/rename.h"

#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "center/compute.h"
#include "center/database.h"
#include "center/dvs.h"
#include "center/dvs_policy.h"
#include "center/folder.h"
#include "center/place.h"
#include "center/pool.h"
#include "center/portgroup.h"
#include "vim/fault.h"

/* What may be renamed, most derived types first, with the privilege it takes. */
static const struct {
	uint16_t type;
	const char *privilege;
} renameable[] = {
	{ T_DistributedVirtualPortgroup, "DVPortgroup.Modify" },
	{ T_DistributedVirtualSwitch, "DVSwitch.Modify" },
	{ T_ClusterComputeResource, "Host.Inventory.RenameCluster" },
	{ T_ResourcePool, "Resource.RenamePool" },
	{ T_Datacenter, "Datacenter.Rename" },
	{ T_Folder, "Folder.Rename" },
};

static const char *privilege_of(const struct object *o)
{
	for (size_t i = 0; i < ARRAY_LEN(renameable); i++) {
		if (schema_is_a(o->type, renameable[i].type)) {
			return renameable[i].privilege;
		}
	}
	return NULL;
}

/* The root folder, the root folders of datacenters and root pools are what their names say. */
static bool is_fixed(struct object *o)
{
	struct object *parent = place_parent(o);

	return parent == NULL ||
	       (schema_is_a(o->type, T_Folder) && schema_is_a(parent->type, T_Datacenter)) ||
	       (schema_is_a(o->type, T_ResourcePool) && !schema_is_a(parent->type, T_ResourcePool));
}

/* What else shows the name. */
static void name_show(struct object *o)
{
	if (schema_is_a(o->type, T_ResourcePool)) {
		pool_show_name(o);
	} else if (schema_is_a(o->type, T_DistributedVirtualSwitch)) {
		dvs_show(o);
		dvs_policy_changed(center_of(o));
	} else if (schema_is_a(o->type, T_DistributedVirtualPortgroup)) {
		portgroup_show_name(o);
		dvs_policy_changed(center_of(o));
	}
}

static void post_renamed(struct center *c, struct task *t, struct object *o, const char *old)
{
	struct arena *a = task_arena(t);

	if (!schema_is_a(o->type, T_Datacenter)) {
		return;
	}
	struct value *event = value_new(a, T_DatacenterRenamedEvent);
	char text[400];
	value_set_str(a, event, F_DatacenterRenamedEvent_oldName, old);
	value_set_str(a, event, F_DatacenterRenamedEvent_newName, place_name(o));
	snprintf(text, sizeof(text), "Renamed datacenter from %s to %s", old, place_name(o));
	center_post(c, a, event, o, task_user(t), text);
}

static void rename_task(struct call *call)
{
	struct center *c = call_arg(call);
	struct object *o = call->self;
	const char *given = value_get_str(call->args, A_ManagedEntity_Rename_Task_newName);
	struct refusal r = { 0 };
	struct error e = { 0 };

	if (!call_require(call, o, privilege_of(o))) {
		return;
	}
	if (is_fixed(o)) {
		call_fault(call, fault_new(call->arena, T_NotSupported),
			   "\"%s\" cannot have another name", place_name(o));
		return;
	}
	struct task *t = task_begin(call, c->api->tasks);
	struct arena *a = task_arena(t);
	const char *old = arena_strdup(a, place_name(o));
	const char *name =
		strcmp(given, old) == 0 ? old : place_check_name(c, a, place_parent(o), given, &r);
	if (name == NULL) {
		refusal_to_task(t, &r);
		return;
	}
	database_begin(c->db);
	database_set_name(c->db, object_id(o), name);
	if (!database_commit(c->db, &e)) {
		task_fail_error(t, &e);
		return;
	}
	place_rename(c, o, name);
	name_show(o);
	post_renamed(c, t, o, old);
	task_done(t, NULL);
}

/* ---- into another folder ---- */

static const struct {
	uint16_t type;
	enum folder_kind kind;
	const char *privilege;
} movable[] = {
	{ T_Datacenter, FOLDER_ROOT, "Datacenter.Move" },
	{ T_VirtualMachine, FOLDER_VM, "VirtualMachine.Inventory.Move" },
	{ T_ClusterComputeResource, FOLDER_HOST, "Host.Inventory.MoveCluster" },
	{ T_ComputeResource, FOLDER_HOST, "Host.Inventory.MoveHost" },
	{ T_Datastore, FOLDER_DATASTORE, "Datastore.Move" },
	{ T_DistributedVirtualSwitch, FOLDER_NETWORK, "DVSwitch.Move" },
	{ T_Network, FOLDER_NETWORK, "Network.Move" },
};

/* The privilege that moving takes; NULL: the folder is not for such. */
static const char *move_privilege(struct object *folder, struct object *o)
{
	if (schema_is_a(o->type, T_Folder)) {
		return folder_kind(o) == folder_kind(folder) ? "Folder.Move" : NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(movable); i++) {
		if (schema_is_a(o->type, movable[i].type)) {
			return movable[i].kind == folder_kind(folder) ? movable[i].privilege : NULL;
		}
	}
	return NULL;
}

static bool refuse_folder(struct refusal *r, struct arena *a, struct object *folder,
			  struct object *o)
{
	struct value *fault = fault_new(a, T_InvalidFolder);

	value_set(a, fault, F_InvalidFolder_target, folder->ref);
	return refuse(r, fault, "\"%s\" cannot be moved into folder \"%s\"", place_name(o),
		      place_name(folder));
}

/* A host leaves its cluster for a folder, where it stands alone. */
static bool host_may_leave(struct object *folder, struct object *host, struct arena *a,
			   const struct session *s, struct refusal *r)
{
	struct object *from = compute_of_host(host);
	const struct value *runtime = object_get(host, P_HostSystem_runtime, a);

	if (folder_kind(folder) != FOLDER_HOST || from == NULL || !compute_is_cluster(from) ||
	    place_datacenter(host) != place_datacenter(folder)) {
		return refuse_folder(r, a, folder, host);
	}
	if (!value_get_bool(runtime, F_HostRuntimeInfo_inMaintenanceMode, false)) {
		return refuse(r, fault_new(a, T_InvalidState),
			      "host \"%s\" must be in maintenance mode to leave cluster \"%s\"",
			      place_name(host), place_name(from));
	}
	return refusal_may(r, a, s, host, "Host.Inventory.MoveHost") &&
	       refusal_may(r, a, s, folder, "Host.Inventory.MoveHost");
}

static bool name_is_free(struct center *c, struct arena *a, struct object *folder, struct object *o,
			 struct refusal *r)
{
	struct object *other = place_child(c, folder, place_name(o));

	return other == NULL || other == o ||
	       refuse(r, fault_duplicate_name(a, place_name(o), other),
		      "folder \"%s\" has an entry \"%s\" already", place_name(folder),
		      place_name(o));
}

static bool may_move(struct center *c, struct arena *a, const struct session *s,
		     struct object *folder, struct object *o, struct refusal *r)
{
	const char *privilege =
		schema_is_a(o->type, T_ManagedEntity) ? move_privilege(folder, o) : NULL;

	if (schema_is_a(o->type, T_HostSystem)) {
		return host_may_leave(folder, o, a, s, r) && name_is_free(c, a, folder, o, r);
	}
	if (privilege == NULL || place_parent(o) == NULL ||
	    !schema_is_a(place_parent(o)->type, T_Folder) || place_is_within(folder, o) ||
	    place_datacenter(place_parent(o)) != place_datacenter(folder)) {
		return refuse_folder(r, a, folder, o);
	}
	return refusal_may(r, a, s, o, privilege) && refusal_may(r, a, s, folder, privilege) &&
	       name_is_free(c, a, folder, o, r);
}

static bool list_may_move(struct center *c, struct arena *a, const struct session *s,
			  struct object *folder, const struct value *list, struct refusal *r)
{
	for (size_t i = 0; i < value_count(list); i++) {
		struct object *o = inventory_find_ref(c->inventory, value_item(list, i));
		if (o == NULL) {
			return refuse(r, fault_not_found(a, value_item(list, i)),
				      "\"%s\" does not exist", value_bytes(value_item(list, i)));
		}
		if (!may_move(c, a, s, folder, o, r)) {
			return false;
		}
		for (size_t j = 0; j < i; j++) {
			struct object *p = inventory_find_ref(c->inventory, value_item(list, j));
			if (p != o && strcmp(place_name(p), place_name(o)) == 0) {
				return refuse(r, fault_duplicate_name(a, place_name(o), p),
					      "two entries are named \"%s\"", place_name(o));
			}
		}
	}
	return true;
}

/* One of the entities that move. */
struct move {
	struct object *o;
	struct object *alone; /* of a host: the compute resource that is to stand for it */
};

static void move_write(struct center *c, struct move *m, struct object *folder)
{
	if (!schema_is_a(m->o->type, T_HostSystem)) {
		database_set_parent(c->db, object_id(m->o), object_id(folder));
		return;
	}
	m->alone = compute_new_standalone(c, folder, place_name(m->o));
	compute_write_host_move(c, m->o, m->alone);
}

static void move_make(struct center *c, struct move *m, struct object *folder, bool is_written)
{
	if (m->alone != NULL && !is_written) {
		compute_remove(c, m->alone);
	} else if (m->alone != NULL) {
		compute_move_host(c, m->o, m->alone);
	} else if (is_written) {
		place_move(c, m->o, folder);
	}
}

static void move_into_folder(struct call *call)
{
	struct center *c = call_arg(call);
	struct object *folder = call->self;
	struct session *s = call->session;
	const struct value *list = value_get_value(call->args, A_Folder_MoveIntoFolder_Task_list);
	struct task *t = task_begin(call, c->api->tasks);
	struct refusal r = { 0 };
	struct error e = { 0 };

	if (!list_may_move(c, task_arena(t), s, folder, list, &r)) {
		refusal_to_task(t, &r);
		return;
	}
	size_t n = value_count(list);
	struct move *moves = arena_alloc(task_arena(t), (n + 1) * sizeof(*moves));
	database_begin(c->db);
	for (size_t i = 0; i < n; i++) {
		moves[i].o = inventory_find_ref(c->inventory, value_item(list, i));
		move_write(c, &moves[i], folder);
	}
	bool ok = database_commit(c->db, &e);
	for (size_t i = 0; i < n; i++) {
		move_make(c, &moves[i], folder, ok);
	}
	if (!ok) {
		task_fail_error(t, &e);
		return;
	}
	task_done(t, NULL);
}

void rename_register(struct center *c)
{
	struct service *s = c->api->service;

	for (size_t i = 0; i < ARRAY_LEN(renameable); i++) {
		service_handle(s, renameable[i].type, M_ManagedEntity_Rename_Task, rename_task, c);
	}
	service_handle(s, T_Folder, M_Folder_MoveIntoFolder_Task, move_into_folder, c);
}
