/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Methods of VMs and datastores of which a part is the manager's: names are unique here, folders
 * and pools are not known over there (vSphere API ManagedEntity.Rename_Task,
 * VirtualMachine.RelocateVM_Task, MigrateVM_Task, MarkAsVirtualMachine, CloneVM_Task).
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "center/compute.h"
#include "center/database.h"
#include "center/dvs_join.h"
#include "center/expectation.h"
#include "center/folder.h"
#include "center/forward.h"
#include "center/migration_call.h"
#include "center/place.h"
#include "vim/fault.h"

LOG_MODULE("host");

/* ---- names ---- */

/* False: the call is over, another entity of the folder has that name. */
static bool name_is_free(struct call *c, const char *given)
{
	struct hosts *hs = call_arg(c);
	struct object *parent = place_parent(c->self);
	const char *name = given == NULL ? NULL : place_escape(c->arena, given, NULL);
	struct object *other =
		parent == NULL || name == NULL ? NULL : place_child(hs->center, parent, name);

	if (other == NULL || other == c->self) {
		return true;
	}
	call_fault(c, fault_duplicate_name(c->arena, name, other),
		   "the name \"%s\" exists already in \"%s\"", name, place_name(parent));
	return false;
}

static void rename_entity(struct call *c)
{
	if (name_is_free(c, value_get_str(c->args, A_ManagedEntity_Rename_Task_newName))) {
		forward_default(c);
	}
}

static void rename_datastore(struct call *c)
{
	if (name_is_free(c, value_get_str(c->args, A_Datastore_RenameDatastore_newName))) {
		forward_default(c);
	}
}

/* ---- cards that join port groups ---- */

struct connecting {
	struct forward f;
	struct dvs_join *join;
};

static void connecting_end(struct forward *f)
{
	struct connecting *x = CONTAINER_OF(f, struct connecting, f);

	dvs_join_end(x->join);
	free(x);
}

static void connect_cards(struct call *c, struct mirrored *of, const struct value *spec)
{
	struct member *m = mirrored_source(of)->mirror->member;

	if (!forward_may(c, of) || !forward_is_reachable(m, c)) {
		return;
	}
	struct dvs_join *join = dvs_join_begin(c, m, c->self, &spec);
	if (join == NULL) {
		return;
	}
	struct connecting *x = mem_zalloc(sizeof(*x));
	struct value *args = value_edit(c->arena, c->args);
	value_set(c->arena, args, A_VirtualMachine_ReconfigVM_Task_spec, spec);
	x->join = join;
	x->f.method = c->method;
	x->f.args = args;
	x->f.end = connecting_end;
	dvs_join_forward(join, &x->f, c);
}

static void reconfigure(struct call *c)
{
	const struct value *spec = value_get_value(c->args, A_VirtualMachine_ReconfigVM_Task_spec);
	struct mirrored *of = mirrored_of(c->self);

	if (!name_is_free(c, value_get_str(spec, F_VirtualMachineConfigSpec_name))) {
		return;
	}
	if (of != NULL && dvs_join_is_asked(spec)) {
		connect_cards(c, of, spec);
	} else {
		forward_default(c);
	}
}

/* ---- moving within a host ---- */

struct move {
	struct object *pool, *host, *folder; /* NULL: stays */
};

/* Folder and pool are the manager's own business. */
static bool move_now(struct hosts *hs, struct object *vm, const struct move *to, struct error *e)
{
	struct center *c = hs->center;

	database_begin(c->db);
	if (to->pool != NULL) {
		database_set_pool(c->db, object_id(vm), object_id(to->pool));
	}
	if (to->folder != NULL) {
		database_set_parent(c->db, object_id(vm), object_id(to->folder));
	}
	if (!database_commit(c->db, e)) {
		return false;
	}
	if (to->pool != NULL) {
		place_set_pool(c, vm, to->pool);
	}
	if (to->folder != NULL) {
		place_move(c, vm, to->folder);
	}
	return true;
}

static bool move_check(struct call *c, const struct member *m, const struct move *to)
{
	struct hosts *hs = call_arg(c);
	struct object *compute = compute_of_host(m->system);

	if ((to->host != NULL && to->host != m->system) ||
	    (to->pool != NULL && compute_of_pool(to->pool) != compute)) {
		call_fault(c, fault_new(c->arena, T_NotSupported),
			   "VM \"%s\" is on host \"%s\", and this moves it to no other",
			   place_name(c->self), member_name(m));
		return false;
	}
	if (to->folder != NULL && (folder_kind(to->folder) != FOLDER_VM ||
				   place_datacenter(to->folder) != place_datacenter(compute))) {
		call_fault(c, fault_invalid_argument(c->arena, "spec.folder"),
			   "folder \"%s\" is not one for VMs of that datacenter",
			   place_name(to->folder));
		return false;
	}
	struct object *other = to->folder == NULL
				       ? NULL
				       : place_child(hs->center, to->folder, place_name(c->self));
	if (other != NULL && other != c->self) {
		call_fault(c, fault_duplicate_name(c->arena, place_name(c->self), other),
			   "the name \"%s\" exists already in \"%s\"", place_name(c->self),
			   place_name(to->folder));
		return false;
	}
	return (to->pool == NULL || call_require(c, to->pool, "Resource.AssignVMToPool")) &&
	       (to->folder == NULL || call_require(c, to->folder, "VirtualMachine.Inventory.Move"));
}

static void move(struct call *c, const struct move *to)
{
	struct hosts *hs = call_arg(c);
	struct object *vm = c->self;
	struct error e;

	if (mirrored_of(vm) == NULL) {
		forward_default(c); /* refuses */
		return;
	}
	if (!move_check(c, mirrored_member(vm), to)) {
		return;
	}
	struct task *t = task_begin(c, hs->center->api->tasks);
	if (move_now(hs, vm, to, &e)) {
		task_done(t, NULL);
	} else {
		task_fail_error(t, &e);
	}
}

/* The object that a reference within an argument names; false: the call is over. */
static bool named(struct call *c, const struct value *spec, unsigned field, uint16_t type,
		  struct object **out)
{
	struct hosts *hs = call_arg(c);
	const struct value *ref = value_get_value(spec, field);

	*out = ref == NULL ? NULL : inventory_find_ref(hs->center->inventory, ref);
	if (ref == NULL || (*out != NULL && schema_is_a((*out)->type, type))) {
		return true;
	}
	call_fault(c, fault_not_found(c->arena, ref), "\"%s\" does not exist", value_bytes(ref));
	return false;
}

/* Does it ask for what only the host can do: other files? */
static bool has_storage(struct call *c, const struct value *spec)
{
	const struct value *ref = value_get_value(spec, F_VirtualMachineRelocateSpec_datastore);
	const struct value *now = object_get(c->self, P_VirtualMachine_datastore, c->arena);

	if (value_has(spec, F_VirtualMachineRelocateSpec_disk) ||
	    value_has(spec, F_VirtualMachineRelocateSpec_deviceChange)) {
		return true;
	}
	return ref != NULL && !(value_count(now) == 1 && value_equal(value_item(now, 0), ref));
}

/* Within the VM's host. */
static void relocate_here(struct call *c, const struct migration_wish *w, const struct value *spec)
{
	struct move to = { .pool = w->pool, .host = w->host, .folder = w->folder };

	if (!has_storage(c, spec)) {
		move(c, &to);
	} else if (move_check(c, mirrored_member(c->self), &to)) {
		forward_default(c);
	}
}

static void relocate(struct call *c)
{
	struct hosts *hs = call_arg(c);
	const struct value *spec = value_get_value(c->args, A_VirtualMachine_RelocateVM_Task_spec);
	struct migration_wish w;
	struct refusal r = { 0 };

	if (mirrored_of(c->self) == NULL) {
		forward_default(c); /* refuses */
		return;
	}
	struct member *to = migration_wish_relocate(hs->center, c->arena, c->self, spec, &w, &r)
				    ? migration_target(hs, c->arena, &w, &r)
				    : NULL;
	if (to == NULL) {
		refusal_to_call(c, &r);
	} else if (to == mirrored_member(c->self)) {
		relocate_here(c, &w, spec);
	} else {
		migration_call(c, &w, to);
	}
}

/* The schema names none, as it depends on whether the VM runs. */
static const char *migrate_privilege(struct call *c)
{
	const struct value *runtime = object_get(c->self, P_VirtualMachine_runtime, c->arena);
	int64_t power = value_get_num(runtime, F_VirtualMachineRuntimeInfo_powerState,
				      E_VirtualMachinePowerState_poweredOff);

	return power == E_VirtualMachinePowerState_poweredOn ? "Resource.HotMigrate"
							     : "Resource.ColdMigrate";
}

static void migrate(struct call *c)
{
	struct hosts *hs = call_arg(c);
	struct migration_wish w = { .vm = c->self };
	struct refusal r = { 0 };
	bool ok;

	w.power = value_get_num(c->args, A_VirtualMachine_MigrateVM_Task_state, -1);
	w.pool = call_object(c, A_VirtualMachine_MigrateVM_Task_pool, T_ResourcePool, &ok);
	if (ok) {
		w.host = call_object(c, A_VirtualMachine_MigrateVM_Task_host, T_HostSystem, &ok);
	}
	if (!ok || !call_require(c, c->self, migrate_privilege(c))) {
		return;
	}
	if (mirrored_of(c->self) == NULL) {
		forward_default(c); /* refuses */
		return;
	}
	struct member *to = migration_target(hs, c->arena, &w, &r);
	if (to == NULL) {
		refusal_to_call(c, &r);
	} else if (to == mirrored_member(c->self)) {
		move(c, &(struct move){ .pool = w.pool, .host = w.host });
	} else {
		migration_call(c, &w, to);
	}
}

/* ---- templates ---- */

struct marking {
	struct forward f;
	const struct value *vm, *pool; /* kept; here */
};

static void marking_end(struct forward *f)
{
	struct marking *x = CONTAINER_OF(f, struct marking, f);

	value_drop(x->vm);
	value_drop(x->pool);
	free(x);
}

static void marking_done(struct forward *f)
{
	struct marking *x = CONTAINER_OF(f, struct marking, f);
	struct hosts *hs = f->mirror->member->hosts;
	struct inventory *inv = hs->center->inventory;
	struct object *vm = inventory_find_ref(inv, x->vm);
	struct move to = { .pool = inventory_find_ref(inv, x->pool) };
	struct error e;

	if (vm != NULL && to.pool != NULL && !move_now(hs, vm, &to, &e)) {
		log_error("\"%s\" stays in its pool: %s", place_name(vm), e.msg);
	}
}

/* The host knows only its root pool. */
static void mark_as_vm(struct call *c)
{
	struct mirrored *of = mirrored_of(c->self);
	struct move to = { 0 };
	bool ok;

	to.pool = call_object(c, A_VirtualMachine_MarkAsVirtualMachine_pool, T_ResourcePool, &ok);
	if (!ok) {
		return;
	}
	to.host = call_object(c, A_VirtualMachine_MarkAsVirtualMachine_host, T_HostSystem, &ok);
	if (!ok) {
		return;
	}
	if (of == NULL) {
		forward_default(c); /* refuses */
		return;
	}
	if (!move_check(c, mirrored_member(c->self), &to)) {
		return;
	}
	struct mirror_source *s = mirrored_source(of);
	struct marking *x = mem_zalloc(sizeof(*x));
	x->vm = value_hold(c->self->ref);
	x->pool = value_hold(to.pool->ref);
	x->f.mirror = s->mirror;
	x->f.self = s->remote;
	x->f.method = c->method;
	x->f.args = c->args;
	x->f.end = marking_end;
	x->f.done = marking_done;
	forward_call(&x->f, c);
}

/* ---- cloning ---- */

struct cloning {
	struct forward f;
	struct expectation expectation;
};

static void cloning_end(struct forward *f)
{
	struct cloning *x = CONTAINER_OF(f, struct cloning, f);

	expect_end(&x->expectation);
	free(x);
}

static void clone_vm(struct call *c)
{
	struct hosts *hs = call_arg(c);
	struct mirrored *of = mirrored_of(c->self);
	const struct value *spec = value_get_value(c->args, A_VirtualMachine_CloneVM_Task_spec);
	const char *given = value_get_str(c->args, A_VirtualMachine_CloneVM_Task_name);
	const char *name = given == NULL ? NULL : place_escape(c->arena, given, NULL);
	struct object *pool = place_ref(c->self, P_VirtualMachine_resourcePool), *to = NULL;
	bool ok;
	struct object *folder = call_object(c, A_VirtualMachine_CloneVM_Task_folder, T_Folder, &ok);

	if (!ok || !named(c, value_get_value(spec, F_VirtualMachineCloneSpec_location),
			  F_VirtualMachineRelocateSpec_pool, T_ResourcePool, &to)) {
		return;
	}
	struct object *other = name == NULL ? NULL : place_child(hs->center, folder, name);
	if (other != NULL) {
		call_fault(c, fault_duplicate_name(c->arena, name, other),
			   "the name \"%s\" exists already in \"%s\"", name, place_name(folder));
		return;
	}
	if (of == NULL) {
		forward_default(c); /* refuses */
		return;
	}
	if (!forward_may(c, of)) {
		return;
	}
	struct mirror_source *s = mirrored_source(of);
	struct cloning *x = mem_zalloc(sizeof(*x));
	expect(&x->expectation, s->mirror, name, NULL, folder, to != NULL ? to : pool);
	x->f.mirror = s->mirror;
	x->f.self = s->remote;
	x->f.method = c->method;
	x->f.args = c->args;
	x->f.end = cloning_end;
	forward_call(&x->f, c);
}

void forward_register_vm(struct hosts *hs)
{
	struct service *s = hs->center->api->service;

	service_handle(s, T_VirtualMachine, M_ManagedEntity_Rename_Task, rename_entity, hs);
	service_handle(s, T_Datastore, M_ManagedEntity_Rename_Task, rename_entity, hs);
	service_handle(s, T_Datastore, M_Datastore_RenameDatastore, rename_datastore, hs);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_ReconfigVM_Task, reconfigure, hs);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_RelocateVM_Task, relocate, hs);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_MigrateVM_Task, migrate, hs);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_MarkAsVirtualMachine, mark_as_vm, hs);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_CloneVM_Task, clone_vm, hs);
}
