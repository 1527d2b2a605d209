/* SPDX-License-Identifier: Apache-2.0 */
#include "center/datacenter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "center/folder.h"
#include "center/place.h"
#include "center/refusal.h"
#include "vim/fault.h"

static const struct {
	enum folder_kind kind;
	const char *prefix, *name;
	unsigned prop;
} folders[] = {
	{ FOLDER_VM, "group-v", "vm", P_Datacenter_vmFolder },
	{ FOLDER_HOST, "group-h", "host", P_Datacenter_hostFolder },
	{ FOLDER_DATASTORE, "group-s", "datastore", P_Datacenter_datastoreFolder },
	{ FOLDER_NETWORK, "group-n", "network", P_Datacenter_networkFolder },
};

struct datacenter_ids {
	char datacenter[CENTER_ID_MAX];
	char folders[ARRAY_LEN(folders)][CENTER_ID_MAX];
};

static void datacenter_write(struct center *c, struct datacenter_ids *ids, const char *name,
			     const struct object *parent)
{
	center_new_id(c, "datacenter", ids->datacenter, sizeof(ids->datacenter));
	database_put_entity(c->db, &(struct database_entity){ .id = ids->datacenter,
							      .type = "Datacenter",
							      .parent = object_id(parent),
							      .name = name });
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		center_new_id(c, folders[i].prefix, ids->folders[i], sizeof(ids->folders[i]));
		database_put_entity(c->db, &(struct database_entity){ .id = ids->folders[i],
								      .type = "Folder",
								      .parent = ids->datacenter,
								      .name = folders[i].name });
	}
}

static struct object *datacenter_new(struct center *c, const char *id, const char *name,
				     struct object *parent)
{
	struct object *o = place_new(c, T_Datacenter, id, name, parent);
	struct arena *a = arena_new(0);

	inventory_set(o, P_Datacenter_configuration, value_new(a, T_DatacenterConfigInfo));
	inventory_set(o, P_Datacenter_datastore, value_new_array(a, T_Datastore));
	inventory_set(o, P_Datacenter_network, value_new_array(a, T_Network));
	arena_free(a);
	return o;
}

static struct object *datacenter_enter(struct center *c, const struct datacenter_ids *ids,
				       const char *name, struct object *parent)
{
	struct object *o = datacenter_new(c, ids->datacenter, name, parent);

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		datacenter_set_folder(o, folder_new(c, ids->folders[i], folders[i].name, o));
	}
	return o;
}

bool datacenter_load(struct center *c, const struct database_entity *row, struct object *parent,
		     struct error *e)
{
	if (!schema_is_a(parent->type, T_Folder) || folder_kind(parent) != FOLDER_ROOT) {
		return error_set(e, ERROR_CORRUPT, "datacenter \"%s\" is in no folder for it",
				 row->id);
	}
	datacenter_new(c, row->id, row->name, parent);
	return true;
}

bool datacenter_set_folder(struct object *datacenter, const struct object *folder)
{
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		if (folders[i].kind == folder_kind(folder)) {
			inventory_set_ref(datacenter, folders[i].prop, folder);
			return true;
		}
	}
	return false;
}

struct object *datacenter_create(struct center *c, struct object *folder, const char *name,
				 struct error *e)
{
	struct datacenter_ids ids;

	database_begin(c->db);
	datacenter_write(c, &ids, name, folder);
	return database_commit(c->db, e) ? datacenter_enter(c, &ids, name, folder) : NULL;
}

static void post_created(struct center *c, struct arena *a, struct object *datacenter,
			 struct object *folder, const char *user)
{
	struct value *event = value_new(a, T_DatacenterCreatedEvent);
	char text[320];

	value_set(a, event, F_DatacenterCreatedEvent_parent,
		  event_argument(a, T_FolderEventArgument, folder));
	snprintf(text, sizeof(text), "Created datacenter %s in folder %s", place_name(datacenter),
		 place_name(folder));
	center_post(c, a, event, datacenter, user, text);
}

static void create_datacenter(struct call *call)
{
	struct center *c = call_arg(call);
	struct refusal r = { 0 };
	struct error e = { 0 };

	if (folder_kind(call->self) != FOLDER_ROOT) {
		call_fault(call, fault_new(call->arena, T_NotSupported),
			   "folder \"%s\" is not one for datacenters", place_name(call->self));
		return;
	}
	const char *name =
		place_check_name(c, call->arena, call->self,
				 value_get_str(call->args, A_Folder_CreateDatacenter_name), &r);
	if (name == NULL) {
		refusal_to_call(call, &r);
		return;
	}
	struct object *o = datacenter_create(c, call->self, name, &e);
	if (o == NULL) {
		call_error(call, &e);
		return;
	}
	post_created(c, call->arena, o, call->self, session_user(call->session));
	call_return(call, o->ref);
}

/* ---- PowerOnMultiVM_Task: each VM by a task of its own ---- */

struct power_on {
	struct center *c;
	struct task *task;
	size_t n_left;
	struct value *attempted, *not_attempted;
	struct power_on_vm *answered; /* a list */
};

struct power_on_vm {
	struct power_on *all;
	struct power_on_vm *next;
	const struct value *vm;	   /* among the task's arguments */
	const struct value *fault; /* kept */
};

static void power_on_end(struct power_on *p)
{
	struct arena *a = task_arena(p->task);
	struct value *result = value_new(a, T_ClusterPowerOnVmResult);

	value_set(a, result, F_ClusterPowerOnVmResult_attempted,
		  value_count(p->attempted) == 0 ? NULL : p->attempted);
	value_set(a, result, F_ClusterPowerOnVmResult_notAttempted,
		  value_count(p->not_attempted) == 0 ? NULL : p->not_attempted);
	struct power_on_vm *v = p->answered;
	task_done(p->task, result);
	for (struct power_on_vm *next; v != NULL; v = next) {
		next = v->next;
		value_drop(v->fault);
		free(v);
	}
	free(p);
}

static void power_on_refused(struct power_on *p, const struct value *vm, const struct value *fault,
			     const char *text)
{
	struct arena *a = task_arena(p->task);
	struct value *info = value_new(a, T_ClusterNotAttemptedVmInfo);

	value_set(a, info, F_ClusterNotAttemptedVmInfo_vm, vm);
	value_set(a, info, F_ClusterNotAttemptedVmInfo_fault, fault_localized(a, fault, text));
	value_push(a, p->not_attempted, info);
}

/* The values are gone when this returns, the task keeps them until it ends. */
static void on_power_on(void *arg, const struct value *result, const struct value *fault,
			const char *text)
{
	struct power_on_vm *v = arg;
	struct power_on *p = v->all;
	struct arena *a = task_arena(p->task);

	v->fault = fault == NULL ? NULL : value_keep(fault);
	v->next = p->answered;
	p->answered = v;
	if (result != NULL) {
		struct value *info = value_new(a, T_ClusterAttemptedVmInfo);
		value_set(a, info, F_ClusterAttemptedVmInfo_vm, v->vm);
		value_set(a, info, F_ClusterAttemptedVmInfo_task,
			  value_new_ref(a, T_Task, value_bytes(result)));
		value_push(a, p->attempted, info);
	} else {
		power_on_refused(p, v->vm, fault == NULL ? fault_new(a, T_SystemError) : v->fault,
				 text == NULL ? "no answer" : text);
	}
	if (--p->n_left == 0) {
		power_on_end(p);
	}
}

static void power_on_multi(struct call *call)
{
	struct center *c = call_arg(call);
	struct session *session = call->session;
	const struct value *vms = value_get_value(call->args, A_Datacenter_PowerOnMultiVM_Task_vm);
	struct power_on *p = mem_zalloc(sizeof(*p));

	p->c = c;
	p->task = task_begin(call, c->api->tasks);
	struct arena *a = task_arena(p->task);
	p->attempted = value_new_array(a, T_ClusterAttemptedVmInfo);
	p->not_attempted = value_new_array(a, T_ClusterNotAttemptedVmInfo);
	p->n_left = value_count(vms) + 1;
	for (size_t i = 0; i < value_count(vms); i++) {
		const struct value *ref = value_item(vms, i);
		struct object *vm = inventory_find_ref(c->inventory, ref);
		if (vm == NULL || vm->type != T_VirtualMachine) {
			p->n_left--;
			power_on_refused(p, ref, fault_not_found(a, ref), "the VM does not exist");
			continue;
		}
		struct power_on_vm *v = mem_zalloc(sizeof(*v));
		*v = (struct power_on_vm){ .all = p, .vm = ref };
		service_call(session, vm, M_VirtualMachine_PowerOnVM_Task, NULL, on_power_on, v);
	}
	if (--p->n_left == 0) {
		power_on_end(p);
	}
}

void datacenter_register(struct center *c)
{
	struct service *s = c->api->service;

	service_handle(s, T_Folder, M_Folder_CreateDatacenter, create_datacenter, c);
	service_handle(s, T_Datacenter, M_Datacenter_PowerOnMultiVM_Task, power_on_multi, c);
}
