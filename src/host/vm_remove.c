/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VirtualMachine.UnregisterVM and Destroy_Task.
 *
 * A VM is destroyed when vms.json no longer names it but its files as left over: an interruption
 * after that is made good at the next start, one before it leaves the VM as it was.
 */
#include <string.h>

#include "base/log.h"
#include "host/vm_device.h"
#include "host/vm_impl.h"
#include "vim/fault.h"

LOG_MODULE("vm");

struct removal {
	struct vm_op op;
	struct vm_leftover *leftover;
	struct vm_removal work;
};

static bool must_not_run(struct vm_op *op)
{
	if (op->vm->power != E_VirtualMachinePowerState_poweredOn) {
		return vm_op_wants_connection(op);
	}
	return vm_op_wants_power(op, E_VirtualMachinePowerState_poweredOff,
				 E_VirtualMachinePowerState_poweredOff);
}

static void gone(struct removal *x, const char *what)
{
	struct vm *vm = x->op.vm;

	vm_event_plain(vm, &x->op, T_VmRemovedEvent, what);
	x->op.vm = NULL;
	vm_withdraw(vm);
	vm_op_done(&x->op, NULL);
}

/* ---- UnregisterVM ---- */

static void unregister_saved(void *arg, const struct error *e)
{
	struct removal *x = arg;

	if (e != NULL) {
		x->op.vm->leaving = false;
		vm_op_fail(&x->op, e);
		return;
	}
	gone(x, "is no longer registered");
}

static void unregister(struct call *c)
{
	struct vm *vm = vm_of_call(c);
	struct removal *x = vm_op_begin_plain(c, vm, "VirtualMachine.unregister", sizeof(*x));

	if (x == NULL || !must_not_run(&x->op)) {
		return;
	}
	vm->leaving = true;
	x->op.save = (struct vm_save){ .done = unregister_saved, .arg = x };
	vm_store_save(vm->layer, &x->op.save);
}

/* ---- Destroy_Task ---- */

static void destroy_done(void *arg, const struct error *e)
{
	struct removal *x = arg;
	struct vm_layer *l = x->op.layer;

	if (e != NULL) {
		/* The VM is gone; what stays of it is tried again at the next start. */
		log_warn("files of \"%s\" could not be removed: %s", vm_path(x->op.vm), e->msg);
	} else {
		vm_leftover_free(x->leftover);
		vm_store_save(l, NULL);
	}
	for (size_t i = 0; i < x->op.held.n; i++) {
		host_datastore_refresh(x->op.held.items[i]);
	}
	gone(x, "is removed, with its files");
}

/* Which files go: the VM's own and the disks that no other VM has. */
static bool destroy_plan(struct removal *x)
{
	struct vm *vm = x->op.vm;
	struct arena *a = x->op.arena;
	const struct value *devices = vm_devices(vm_config(vm));
	struct datastore_path *at = arena_alloc(a, sizeof(*at));
	struct error e = { 0 };

	struct host_datastore *d = host_datastore_of_path(vm->layer->host, vm_path(vm), at, &e);
	x->work.ds = d == NULL ? NULL : host_datastore_open(d, &e);
	if (x->work.ds == NULL) {
		vm_op_fail_file(&x->op, &e, vm_path(vm));
		return false;
	}
	vm_op_hold(&x->op, d);
	x->work.path = arena_strdup(a, at->path);
	x->work.ran = true;
	x->work.disks = arena_alloc(a, (value_count(devices) + 1) * sizeof(*x->work.disks));
	for (size_t i = 0; i < value_count(devices); i++) {
		const struct value *dev = value_item(devices, i);
		const struct value *b = value_get_value(dev, F_VirtualDevice_backing);
		if (vm_device_role(value_type(dev)) != VM_ROLE_DISK) {
			continue;
		}
		const char *path =
			arena_strdup(a, value_get_str(b, F_VirtualDeviceFileBackingInfo_fileName));
		d = host_datastore_of_path(vm->layer->host, path, at, &e);
		struct datastore *ds = d == NULL ? NULL : host_datastore_open(d, &e);
		if (ds == NULL || vm_disk_is_registered(vm->layer, path)) {
			continue;
		}
		if (!vm_op_claim(&x->op, path, &e)) {
			vm_op_fail_file(&x->op, &e, path);
			return false;
		}
		vm_op_hold(&x->op, d);
		x->work.disks[x->work.n_disks++] = (struct vm_disk_work){
			.op.path = (char *)(uintptr_t)path, /* in the arena, ours */
			.ds = ds,
			.path = arena_strdup(a, at->path),
		};
	}
	return true;
}

static void destroy_saved(void *arg, const struct error *e)
{
	struct removal *x = arg;

	if (e != NULL) {
		x->op.vm->leaving = false;
		vm_leftover_free(x->leftover);
		vm_op_fail(&x->op, e);
		return;
	}
	struct job_work work = { .run = vm_removal_run, .data = &x->work, .is_brief = true };
	struct job_handler h = { .loop = x->op.layer->host->loop, .done = destroy_done, .arg = x };
	job_start(&h, &work);
}

static void destroy(struct call *c)
{
	struct vm *vm = vm_of_call(c);

	if (!call_require(c, vm->object, "VirtualMachine.Inventory.Delete")) {
		return;
	}
	struct removal *x = vm_op_begin(c, vm->layer, vm, sizeof(*x));
	if (x == NULL || !must_not_run(&x->op) || !vm_op_wants_config(&x->op)) {
		return;
	}
	vm->leaving = true;
	if (vm->layer->host->simulated && !vm->has_files) {
		gone(x, "is removed, with its files");
		return;
	}
	if (!destroy_plan(x)) {
		vm->leaving = false;
		return;
	}
	x->leftover = vm_leftover_new(vm->layer, vm_path(vm));
	x->leftover->ran = true;
	for (size_t i = 0; i < x->work.n_disks; i++) {
		vm_leftover_add(x->leftover, x->work.disks[i].op.path);
	}
	x->op.save = (struct vm_save){ .done = destroy_saved, .arg = x };
	vm_store_save(vm->layer, &x->op.save);
}

void vm_remove_register(struct vm_layer *l)
{
	struct service *s = l->host->api.service;

	service_handle(s, T_VirtualMachine, M_VirtualMachine_UnregisterVM, unregister, l);
	service_handle(s, T_VirtualMachine, M_ManagedEntity_Destroy_Task, destroy, l);
}
