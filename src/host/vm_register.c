/* SPDX-License-Identifier: Apache-2.0 */
/* Folder.RegisterVM_Task, and the turns that a registered VM takes in the inventory: templates,
 * reading its .vmx anew. */
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "host/vm_impl.h"
#include "vim/fault.h"

#define CONFIG(f) F_VirtualMachineConfigInfo_##f

/* ---- Folder.RegisterVM_Task ---- */

struct registration {
	struct vm_op op;
	const char *path, *pool;
	const struct value *config; /* kept from register_go() on */
	bool edited;		    /* the .vmx is to be written: another name, or a template now */
	struct vm_file_work work;
};

static void register_end(struct registration *x)
{
	value_drop(x->config);
	buf_free(&x->work.vmx);
}

static void register_failed(struct registration *x, const struct error *e)
{
	struct vm *vm = x->op.vm;

	x->op.vm = NULL;
	vm_free(vm);
	register_end(x);
	vm_op_fail_file(&x->op, e, x->path);
}

static void register_saved(void *arg, const struct error *e)
{
	struct registration *x = arg;
	struct vm *vm = x->op.vm;

	if (e != NULL) {
		register_failed(x, e);
		return;
	}
	vm->suspend_us = vm->layer->host->simulated ? 0 : vm_suspended_at(vm);
	if (vm->suspend_us != 0) {
		vm->power = E_VirtualMachinePowerState_suspended;
	}
	vm_publish(&vm, &x->config, 1, vm_pool(vm->layer, x->pool));
	vm_event_plain(vm, &x->op, T_VmRegisteredEvent, "is registered");
	const struct value *ref = value_hold(vm->object->ref);
	register_end(x);
	vm_op_done(&x->op, ref);
	value_drop(ref);
}

static void register_file_written(void *arg, const struct error *e)
{
	struct registration *x = arg;

	if (e != NULL) {
		register_failed(x, e);
		return;
	}
	x->op.vm->leaving = false;
	x->op.save = (struct vm_save){ .done = register_saved, .arg = x };
	vm_store_save(x->op.layer, &x->op.save);
}

static void register_go(struct registration *x, const char *name)
{
	struct vm_layer *l = x->op.layer;
	struct error e = { 0 };

	x->op.vm = vm_new(l, ++l->last_id, x->path, name);
	x->config = value_keep(x->config);
	x->op.vm->op = &x->op;
	x->op.vm->leaving = true;
	x->op.vm->pool = mem_strdup(x->pool);
	if (l->host->simulated) {
		x->op.vm->has_files = true;
	}
	if (!x->edited) {
		register_file_written(x, NULL);
		return;
	}
	x->work.vmx_path = strchr(x->path, ']') + 2;
	vm_config_text(x->config, &x->work.vmx);
	struct datastore_path at;
	struct host_datastore *d = host_datastore_of_path(l->host, x->path, &at, &e);
	x->work.ds = d == NULL ? NULL : host_datastore_open(d, &e);
	if (x->work.ds == NULL) {
		register_failed(x, &e);
		return;
	}
	vm_op_hold(&x->op, d);
	struct job_work work = { .run = vm_file_work_run, .data = &x->work, .is_brief = true };
	struct job_handler h = { .loop = l->host->loop, .done = register_file_written, .arg = x };
	job_start(&h, &work);
}

/* The name and whether it is a template, as the client wants them. */
static bool register_name(struct registration *x, const struct value *args, struct vm_refusal *r)
{
	struct arena *a = x->op.arena;
	const char *name = value_get_str(args, A_Folder_RegisterVM_Task_name);
	bool as_template = value_get_bool(args, A_Folder_RegisterVM_Task_asTemplate, false);
	struct value *config = value_edit(a, x->config);

	if (name != NULL && name[0] != '\0') {
		if (!vm_name_check(a, name, &name, r)) {
			return false;
		}
		x->edited = x->edited || strcmp(name, value_get_str(x->config, CONFIG(name))) != 0;
		value_set_str(a, config, CONFIG(name), name);
	}
	if (as_template != value_get_bool(config, CONFIG(template), false)) {
		x->edited = true;
		value_set_bool(a, config, CONFIG(template), as_template);
	}
	x->config = config;
	struct vm *other = vm_by_name(x->op.layer, value_get_str(config, CONFIG(name)));
	if (other == NULL) {
		return true;
	}
	return vm_refuse(r, fault_duplicate_name(a, vm_name(other), other->object),
			 "there is a virtual machine \"%s\" already", vm_name(other));
}

/* A copy of a VM that is here, too, becomes a VM of its own, as if "I copied it" had been answered.
 */
static void register_identity(struct registration *x)
{
	static const unsigned members[] = { CONFIG(uuid), CONFIG(instanceUuid) };
	char uuid[UUID_TEXT_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const char *own = value_get_str(x->config, members[i]);
		if (vm_by_uuid(x->op.layer, members[i], own, NULL) == NULL) {
			continue;
		}
		struct value *config = value_edit(x->op.arena, x->config);
		uuid_random_text(uuid);
		value_set_str(x->op.arena, config, members[i], uuid);
		x->config = config;
		x->edited = true;
	}
}

static bool register_path(struct registration *x, const char *given, struct vm_refusal *r)
{
	struct arena *a = x->op.arena;
	struct datastore_path at;
	struct error e;

	if (!datastore_path_parse(given, &at, &e) || strchr(at.path, '/') == NULL) {
		struct value *f = fault_new(a, T_InvalidDatastorePath);
		value_set_str(a, f, F_InvalidDatastorePath_datastorePath, given);
		return vm_refuse(r, f, "path \"%.150s\" does not name the .vmx of a VM", given);
	}
	x->path = arena_printf(a, "[%s] %s", at.datastore, at.path);
	if (host_datastore_find(x->op.layer->host, at.datastore) == NULL) {
		struct value *f = fault_new(a, T_InvalidDatastore);
		value_set_str(a, f, F_InvalidDatastore_name, at.datastore);
		return vm_refuse(r, f, "there is no datastore \"%.100s\" on this host",
				 at.datastore);
	}
	struct vm *other = vm_by_path(x->op.layer, x->path);
	if (other != NULL) {
		struct value *f = fault_new(a, T_AlreadyExists);
		value_set_str(a, f, F_AlreadyExists_name, vm_name(other));
		return vm_refuse(r, f, "\"%s\" is registered already, as \"%s\"", x->path,
				 vm_name(other));
	}
	return true;
}

static void register_vm(struct call *c)
{
	struct vm_layer *l = call_arg(c);
	struct vm_refusal r = { 0 };
	bool ok;
	struct object *pool = call_object(c, A_Folder_RegisterVM_Task_pool, T_ResourcePool, &ok);

	if (!ok || !vm_call_names_host(c, l->host, A_Folder_RegisterVM_Task_host)) {
		return;
	}
	if (c->self != l->host->vm_folder) {
		call_fault(c, fault_new(c->arena, T_NotSupported),
			   "folder \"%s\" does not hold virtual machines", object_id(c->self));
		return;
	}
	if (pool == NULL) {
		pool = l->host->pool;
	}
	if (!call_require(c, pool, "Resource.AssignVMToPool")) {
		return;
	}
	struct registration *x = vm_op_begin(c, l, NULL, sizeof(*x));
	const struct value *args = task_args(x->op.task);
	x->pool = arena_strdup(x->op.arena, object_id(pool));
	if (!register_path(x, value_get_str(args, A_Folder_RegisterVM_Task_path), &r)) {
		vm_op_refused(&x->op, &r);
		return;
	}
	x->config = vm_read_config(l, x->path, VM_REGISTER, x->op.arena, &r, &x->edited);
	if (x->config == NULL || !register_name(x, args, &r)) {
		vm_op_refused(&x->op, &r);
		return;
	}
	register_identity(x);
	register_go(x, value_get_str(x->config, CONFIG(name)));
}

/* ---- VirtualMachine.MarkAsTemplate, MarkAsVirtualMachine ---- */

struct marking {
	struct vm_op op;
	const struct value *config; /* kept */
	const char *pool;	    /* NULL: leave it */
	struct vm_file_work work;
};

static void mark_done(void *arg, const struct error *e)
{
	struct marking *x = arg;
	struct vm *vm = x->op.vm;
	struct vm_change change;

	buf_free(&x->work.vmx);
	if (e != NULL) {
		value_drop(x->config);
		vm_op_fail_file(&x->op, e, vm_path(vm));
		return;
	}
	vm_change_begin(vm, &change);
	inventory_set(vm->object, P_VirtualMachine_config, x->config);
	value_drop(x->config);
	vm_set_runtime(vm);
	vm_files_forget(vm);
	vm_change_end(&change);
	if (x->pool != NULL) {
		host_vm_set_pool(vm->layer->host, vm->object, vm_pool(vm->layer, x->pool));
		vm_store_save(vm->layer, NULL);
	}
	vm_op_done(&x->op, NULL);
}

static void mark(struct call *c, bool as_template, const char *description, struct object *pool)
{
	struct vm *vm = vm_of_call(c);
	struct marking *x = vm_op_begin_plain(c, vm, description, sizeof(*x));
	struct error e = { 0 };

	if (x == NULL || !vm_op_wants_config(&x->op) ||
	    !vm_op_wants_power(&x->op, E_VirtualMachinePowerState_poweredOff,
			       E_VirtualMachinePowerState_poweredOff)) {
		return;
	}
	if (value_get_bool(vm_config(vm), CONFIG(template), false) == as_template) {
		vm_op_fault(&x->op, fault_new(x->op.arena, T_NotSupported), "\"%s\" is %s already",
			    vm_name(vm), as_template ? "a template" : "a virtual machine");
		return;
	}
	struct value *config = value_edit(x->op.arena, vm_config(vm));
	value_set_bool(x->op.arena, config, CONFIG(template), as_template);
	x->config = value_keep(config);
	x->pool = pool == NULL ? NULL : arena_strdup(x->op.arena, object_id(pool));
	if (vm->layer->host->simulated) {
		mark_done(x, NULL);
		return;
	}
	struct datastore_path at;
	struct host_datastore *d = host_datastore_of_path(vm->layer->host, vm_path(vm), &at, &e);
	x->work.ds = d == NULL ? NULL : host_datastore_open(d, &e);
	if (x->work.ds == NULL) {
		mark_done(x, &e);
		return;
	}
	vm_op_hold(&x->op, d);
	x->work.vmx_path = arena_strdup(x->op.arena, at.path);
	vm_config_text(config, &x->work.vmx);
	struct job_work work = { .run = vm_file_work_run, .data = &x->work, .is_brief = true };
	struct job_handler h = { .loop = vm->layer->host->loop, .done = mark_done, .arg = x };
	job_start(&h, &work);
}

static void mark_as_template(struct call *c)
{
	mark(c, true, "VirtualMachine.markAsTemplate", NULL);
}

static void mark_as_vm(struct call *c)
{
	struct vm_layer *l = call_arg(c);
	bool ok;
	struct object *pool =
		call_object(c, A_VirtualMachine_MarkAsVirtualMachine_pool, T_ResourcePool, &ok);

	if (ok && vm_call_names_host(c, l->host, A_VirtualMachine_MarkAsVirtualMachine_host) &&
	    call_require(c, pool, "Resource.AssignVMToPool")) {
		mark(c, false, "VirtualMachine.markAsVirtualMachine", pool);
	}
}

/* ---- VirtualMachine.Reload, RefreshStorageInfo ---- */

bool vm_reload(struct vm *vm, struct arena *a, struct vm_refusal *r)
{
	struct vm_change change;
	bool was_hidden = vm_config(vm) == NULL;
	const struct value *config = vm_read_config(vm->layer, vm_path(vm), VM_RELOAD, a, r, NULL);

	vm_change_begin(vm, &change);
	vm_files_forget(vm);
	if (config == NULL) {
		vm->connection = vm_connection_without_config(vm->layer, vm_path(vm));
	} else {
		vm->connection = E_VirtualMachineConnectionState_connected;
		inventory_set(vm->object, P_VirtualMachine_config, config);
		inventory_set_str(vm->object, P_ManagedEntity_name,
				  value_get_str(config, CONFIG(name)));
		vm_set_places(vm);
	}
	vm_set_runtime(vm);
	vm_change_end(&change);
	if (config != NULL && was_hidden) {
		vm_look_for(vm);
	}
	return config != NULL;
}

static void reload(struct call *c)
{
	struct vm *vm = vm_of_call(c);
	struct vm_refusal r = { 0 };

	if (vm->layer->host->simulated || vm->op != NULL ||
	    vm->connection == E_VirtualMachineConnectionState_disconnected ||
	    vm->power != E_VirtualMachinePowerState_poweredOff) {
		call_return(c, NULL); /* what runs is what is shown */
		return;
	}
	if (!vm_reload(vm, c->arena, &r)) {
		call_fault(c, r.fault, "%s", r.text);
		return;
	}
	call_return(c, NULL);
}

static void refresh_storage(struct call *c)
{
	struct vm *vm = vm_of_call(c);
	struct vm_change change;

	vm_change_begin(vm, &change);
	vm_files_forget(vm);
	vm_change_end(&change);
	call_return(c, NULL);
}

void vm_register_register(struct vm_layer *l)
{
	struct service *s = l->host->api.service;

	service_handle(s, T_Folder, M_Folder_RegisterVM_Task, register_vm, l);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_MarkAsTemplate, mark_as_template, l);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_MarkAsVirtualMachine, mark_as_vm, l);
	service_handle(s, T_VirtualMachine, M_ManagedEntity_Reload, reload, l);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_RefreshStorageInfo, refresh_storage,
		       l);
}
