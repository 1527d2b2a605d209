/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   next --a host or VM is left--> its own method runs --success--> next --none is left--> gone
 *                                                      \--fault--> failed, what is left stays
 *   next --a host is connected--> it is disconnected --success--> next
 *
 * Hosts and VMs go one after the other by their own methods, each for good; only when none is left
 * is the entity itself, with the folders and clusters below, taken out as one change.
 */
#include "center/destroy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "base/vec.h"
#include "center/compute.h"
#include "center/database.h"
#include "center/dvs.h"
#include "center/folder.h"
#include "center/follow.h"
#include "center/place.h"
#include "vim/fault.h"

struct destroy {
	struct center *c;
	struct task *task;
	const struct value *top;	/* kept reference */
	bool keeps_files;		/* VMs are only unregistered */
	bool is_disconnected;		/* the last of `left` is a host that was told to be */
	VEC(const struct value *) left; /* kept references to hosts and VMs, last goes first */
};

typedef void visit_fn(void *arg, struct object *o);

/* o and all that the manager itself has below it, o last. */
static void walk(struct object *o, visit_fn *fn, void *arg)
{
	static const unsigned folders[] = { P_Datacenter_vmFolder, P_Datacenter_hostFolder,
					    P_Datacenter_datastoreFolder,
					    P_Datacenter_networkFolder };

	if (schema_is_a(o->type, T_Folder)) {
		for (size_t i = place_count(o, P_Folder_childEntity); i-- > 0;) {
			struct object *child = place_at(o, P_Folder_childEntity, i);
			/* vApps belong to the pools that they are in. */
			if (child != NULL && place_parent(child) == o) {
				walk(child, fn, arg);
			}
		}
	}
	for (size_t i = 0; schema_is_a(o->type, T_Datacenter) && i < ARRAY_LEN(folders); i++) {
		walk(place_folder(o, folders[i]), fn, arg);
	}
	for (size_t i = 0;
	     schema_is_a(o->type, T_ComputeResource) && i < place_count(o, P_ComputeResource_host);
	     i++) {
		struct object *host = place_at(o, P_ComputeResource_host, i);
		if (host != NULL) {
			walk(host, fn, arg);
		}
	}
	fn(arg, o);
}

static void note_left(void *arg, struct object *o)
{
	struct destroy *d = arg;
	bool is_vm = schema_is_a(o->type, T_VirtualMachine);
	bool of_datacenter =
		schema_is_a(inventory_find_ref(d->c->inventory, d->top)->type, T_Datacenter);

	/* With its datacenter a VM leaves together with its host. */
	if (schema_is_a(o->type, T_HostSystem) || (is_vm && !of_datacenter)) {
		vec_push(&d->left, value_hold(o->ref));
	}
}

static void destroy_end(struct destroy *d)
{
	vec_each (&d->left, ref) {
		value_drop(*ref);
	}
	vec_free(&d->left);
	value_drop(d->top);
	free(d);
}

/* ---- the manager's own part ---- */

static void write_gone(void *arg, struct object *o)
{
	struct center *c = arg;

	if (schema_is_a(o->type, T_ComputeResource)) {
		compute_drop(c, o);
	} else {
		database_drop_entity(c->db, object_id(o));
	}
}

static void take_out(void *arg, struct object *o)
{
	struct center *c = arg;

	if (schema_is_a(o->type, T_ComputeResource)) {
		compute_remove(c, o);
		return;
	}
	if (schema_is_a(o->type, T_DistributedVirtualPortgroup)) {
		dvs_forget_portgroup(o);
	} else if (schema_is_a(o->type, T_DistributedVirtualSwitch)) {
		dvs_forget(o);
	}
	place_leave(c, o);
	inventory_remove(o);
}

static void is_mirrored(void *arg, struct object *o)
{
	const char **found = arg;

	if (center_of(o) == NULL) {
		*found = object_id(o);
	}
}

static void is_in_use(void *arg, struct object *o)
{
	const char **found = arg;

	if (schema_is_a(o->type, T_DistributedVirtualPortgroup) &&
	    place_count(o, P_Network_vm) > 0) {
		*found = place_name(o);
	}
}

static void post_destroyed(struct destroy *d, uint16_t type, const char *name,
			   struct object *parent)
{
	struct arena *a = task_arena(d->task);
	char text[320];

	if (type == T_ClusterComputeResource) {
		snprintf(text, sizeof(text), "Removed cluster %s", name);
		center_post(d->c, a, value_new(a, T_ClusterDestroyedEvent), parent,
			    task_user(d->task), text);
	}
}

static void finish(struct destroy *d)
{
	struct center *c = d->c;
	struct object *top = inventory_find_ref(c->inventory, d->top);
	struct error e = { 0 };
	const char *mirrored = NULL, *used = NULL;

	if (top == NULL) { /* a compute resource goes with its host */
		task_done(d->task, NULL);
		destroy_end(d);
		return;
	}
	walk(top, is_mirrored, &mirrored);
	if (mirrored != NULL) {
		task_fail(d->task, fault_new(task_arena(d->task), T_ResourceInUse),
			  "\"%s\" is still in \"%s\"", mirrored, place_name(top));
		destroy_end(d);
		return;
	}
	walk(top, is_in_use, &used);
	if (used != NULL) {
		task_fail(d->task, fault_new(task_arena(d->task), T_ResourceInUse),
			  "port group \"%s\" in \"%s\" is used by virtual machines", used,
			  place_name(top));
		destroy_end(d);
		return;
	}
	database_begin(c->db);
	walk(top, write_gone, c);
	if (!database_commit(c->db, &e)) {
		task_fail_error(d->task, &e);
		destroy_end(d);
		return;
	}
	const char *name = arena_strdup(task_arena(d->task), place_name(top));
	struct object *parent = place_parent(top);
	uint16_t type = top->type;
	walk(top, take_out, c);
	post_destroyed(d, type, name, parent);
	task_done(d->task, NULL);
	destroy_end(d);
}

/* ---- hosts and VMs ---- */

static void next(struct destroy *d);

static void on_one_done(void *arg, const struct value *fault, const char *text)
{
	struct destroy *d = arg;

	if (fault != NULL) {
		task_fail(d->task, fault, "%s", text == NULL ? "failed" : text);
		destroy_end(d);
		return;
	}
	next(d);
}

/* A host is let go of before it is removed; its VMs run on. */
static bool disconnect(struct destroy *d, struct object *host)
{
	const struct value *runtime = object_get(host, P_HostSystem_runtime, NULL);
	int64_t state = value_get_num(runtime, F_HostRuntimeInfo_connectionState,
				      E_HostSystemConnectionState_disconnected);

	if (d->is_disconnected || state == E_HostSystemConnectionState_disconnected) {
		d->is_disconnected = false;
		return false;
	}
	d->is_disconnected = true;
	follow_call(d->c, host, M_HostSystem_DisconnectHost_Task, NULL, on_one_done, d);
	return true;
}

static void next(struct destroy *d)
{
	struct object *o = NULL;

	while (d->left.n > 0) {
		o = inventory_find_ref(d->c->inventory, vec_last(&d->left));
		if (o != NULL && schema_is_a(o->type, T_HostSystem) && disconnect(d, o)) {
			return;
		}
		value_drop(vec_pop(&d->left));
		if (o != NULL) {
			break;
		}
	}
	if (o == NULL) {
		finish(d);
		return;
	}
	bool is_kept = schema_is_a(o->type, T_VirtualMachine) && d->keeps_files;
	follow_call(d->c, o, is_kept ? M_VirtualMachine_UnregisterVM : M_ManagedEntity_Destroy_Task,
		    NULL, on_one_done, d);
}

static bool left_may_go(struct destroy *d, struct arena *a, const struct session *s,
			struct refusal *r)
{
	vec_each (&d->left, ref) {
		struct object *o = inventory_find_ref(d->c->inventory, *ref);
		const char *privilege = schema_is_a(o->type, T_HostSystem)
						? "Host.Inventory.RemoveHostFromCluster"
					: d->keeps_files ? "VirtualMachine.Inventory.Unregister"
							 : "VirtualMachine.Inventory.Delete";
		if (!refusal_may(r, a, s, o, privilege)) {
			return false;
		}
	}
	return true;
}

static bool is_fixed(struct object *o)
{
	struct object *parent = place_parent(o);

	return parent == NULL ||
	       (schema_is_a(o->type, T_Folder) && schema_is_a(parent->type, T_Datacenter));
}

static void begin(struct call *call, const char *privilege, bool keeps_files)
{
	struct center *c = call_arg(call);
	struct object *top = call->self;
	struct session *s = call->session;
	struct refusal r = { 0 };

	if (privilege != NULL && !call_require(call, top, privilege)) {
		return;
	}
	if (is_fixed(top)) {
		call_fault(call, fault_new(call->arena, T_NotSupported),
			   "\"%s\" cannot be destroyed", place_name(top));
		return;
	}
	struct destroy *d = mem_zalloc(sizeof(*d));
	d->c = c;
	d->top = value_hold(top->ref);
	d->keeps_files = keeps_files;
	d->task = task_begin(call, c->api->tasks);
	walk(top, note_left, d);
	if (!left_may_go(d, task_arena(d->task), s, &r)) {
		refusal_to_task(d->task, &r);
		destroy_end(d);
		return;
	}
	next(d);
}

static void destroy_folder(struct call *call)
{
	begin(call, "Folder.Delete", false);
}

static void unregister_and_destroy(struct call *call)
{
	begin(call, NULL, true);
}

static void destroy_datacenter(struct call *call)
{
	begin(call, "Datacenter.Delete", false);
}

static void destroy_compute(struct call *call)
{
	begin(call, "Host.Inventory.DeleteCluster", false);
}

void destroy_register(struct center *c)
{
	struct service *s = c->api->service;

	service_handle(s, T_Folder, M_ManagedEntity_Destroy_Task, destroy_folder, c);
	service_handle(s, T_Folder, M_Folder_UnregisterAndDestroy_Task, unregister_and_destroy, c);
	service_handle(s, T_Datacenter, M_ManagedEntity_Destroy_Task, destroy_datacenter, c);
	service_handle(s, T_ComputeResource, M_ManagedEntity_Destroy_Task, destroy_compute, c);
}
