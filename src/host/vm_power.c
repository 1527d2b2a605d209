/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power: on, off, reset, suspend and resume, and what machines do by themselves.
 *
 *   poweredOff -power_on-> poweredOn -power_off, guest, crash-> poweredOff
 *   suspended -power_on-> poweredOn -suspend-> suspended
 *   suspended -power_off-> poweredOff (its memory is thrown away)
 *
 * 1. vm->machine exists while the VM runs, and during operations; a simulated VM that was made
 *    running gets its machine when it is first touched.
 * 2. What the VM takes of the host (memory, disks) is claimed before the machine starts and given
 *    back when it is off.
 * 3. vm_is_on() and vm_is_off() are the only places where the state changes.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/macro.h"
#include "base/mem.h"
#include "host/driver_sim.h"
#include "host/host_lend.h"
#include "host/host_plane.h"
#include "host/transit.h"
#include "host/vm_device.h"
#include "host/vm_impl.h"
#include "vim/fault.h"

LOG_MODULE("vm");

#define CONFIG(f) F_VirtualMachineConfigInfo_##f

enum {
	ON = E_VirtualMachinePowerState_poweredOn,
	OFF = E_VirtualMachinePowerState_poweredOff,
	SUSPENDED = E_VirtualMachinePowerState_suspended,
};

/* ---- what a VM takes ---- */

static const char *disk_path(const struct value *device)
{
	const struct value *b = value_get_value(device, F_VirtualDevice_backing);

	return vm_device_role(value_type(device)) == VM_ROLE_DISK
		       ? value_get_str(b, F_VirtualDeviceFileBackingInfo_fileName)
		       : NULL;
}

void vm_unclaim(struct vm *vm)
{
	struct vm_layer *l = vm->layer;

	if (!vm->counted) {
		return;
	}
	l->memory_on_mb -= vm->counted_mb;
	l->cpu_on_mhz -= vm->counted_mhz;
	vm->counted_mhz = 0;
	l->n_on--;
	vm->counted = false;
	map_each (&l->disks_in_use, it) {
		if (it->value == vm) {
			map_remove(&l->disks_in_use, it->key);
		}
	}
}

bool vm_claim(struct vm *vm, const char **file)
{
	struct vm_layer *l = vm->layer;
	const struct value *config = vm_config(vm), *devices = vm_devices(config);

	vm_unclaim(vm);
	for (size_t i = 0; i < value_count(devices) && !l->host->simulated; i++) {
		const char *path = disk_path(value_item(devices, i));
		if (path != NULL && map_has(&l->disks_in_use, path) && file != NULL) {
			*file = path;
			return false;
		}
	}
	vm->counted = true;
	vm->counted_mb = (uint32_t)value_get_num(value_get_value(config, CONFIG(hardware)),
						 F_VirtualHardware_memoryMB, 0);
	l->memory_on_mb += vm->counted_mb;
	vm->counted_mhz = vm_cpu_reserved(config);
	l->cpu_on_mhz += vm->counted_mhz;
	l->n_on++;
	for (size_t i = 0; i < value_count(devices) && !l->host->simulated; i++) {
		const char *path = disk_path(value_item(devices, i));
		if (path != NULL) {
			map_set(&l->disks_in_use, path, vm);
		}
	}
	return true;
}

/* ---- the state ---- */

const struct value *vm_config_connect(struct arena *a, const struct value *config, bool on)
{
	const struct value *devices = vm_devices(config);
	struct value *all = value_new_array(a, T_VirtualDevice);
	bool changed = false;

	for (size_t i = 0; i < value_count(devices); i++) {
		const struct value *d = value_item(devices, i);
		const struct value *c = value_get_value(d, F_VirtualDevice_connectable);
		const struct value *b = value_get_value(d, F_VirtualDevice_backing);
		bool has = c != NULL && on &&
			   value_get_bool(c, F_VirtualDeviceConnectInfo_connected, false) &&
			   (vm_device_role(value_type(d)) != VM_ROLE_CDROM ||
			    value_is_a(b, T_VirtualCdromIsoBackingInfo));
		const char *status = on ? "ok" : "untried";
		const char *was = value_get_str(c, F_VirtualDeviceConnectInfo_status);
		if (c != NULL &&
		    (has != value_get_bool(c, F_VirtualDeviceConnectInfo_connected, false) ||
		     was == NULL || strcmp(was, status) != 0)) {
			struct value *edit = value_edit(a, d), *info = value_edit(a, c);
			value_set_bool(a, info, F_VirtualDeviceConnectInfo_connected, has);
			value_set_str(a, info, F_VirtualDeviceConnectInfo_status, status);
			value_set(a, edit, F_VirtualDevice_connectable, info);
			d = edit;
			changed = true;
		}
		value_push(a, all, d);
	}
	if (!changed) {
		return config;
	}
	struct value *edit = value_edit(a, config);
	struct value *hw = value_edit(a, value_get_value(config, CONFIG(hardware)));
	value_set(a, hw, F_VirtualHardware_device, all);
	value_set(a, edit, CONFIG(hardware), hw);
	return edit;
}

const struct value *vm_config_start(struct arena *a, const struct value *config)
{
	const struct value *devices = vm_devices(config);
	struct value *all = value_new_array(a, T_VirtualDevice);

	for (size_t i = 0; i < value_count(devices); i++) {
		const struct value *d = value_item(devices, i);
		const struct value *c = value_get_value(d, F_VirtualDevice_connectable);
		if (c != NULL) {
			struct value *edit = value_edit(a, d), *info = value_edit(a, c);
			value_set_bool(
				a, info, F_VirtualDeviceConnectInfo_connected,
				value_get_bool(c, F_VirtualDeviceConnectInfo_startConnected, true));
			value_set(a, edit, F_VirtualDevice_connectable, info);
			d = edit;
		}
		value_push(a, all, d);
	}
	struct value *edit = value_edit(a, config);
	struct value *hw = value_edit(a, value_get_value(config, CONFIG(hardware)));
	value_set(a, hw, F_VirtualHardware_device, all);
	value_set(a, edit, CONFIG(hardware), hw);
	return vm_config_connect(a, edit, true);
}

static void state_set(struct vm *vm, int power)
{
	struct arena *a = arena_new(0);
	struct vm_change change;

	vm_change_begin(vm, &change);
	vm->power = (uint8_t)power;
	inventory_set(vm->object, P_VirtualMachine_config,
		      power == ON ? vm_config_start(a, vm_config(vm))
				  : vm_config_connect(a, vm_config(vm), false));
	vm_files_forget(vm);
	vm_set_runtime(vm);
	vm_change_end(&change);
	arena_free(a);
}

void vm_is_on(struct vm *vm, int64_t boot_us)
{
	vm->boot_us = boot_us != 0 ? boot_us : clock_wall_us(vm->layer->host->clock);
	state_set(vm, ON);
	vm_network_coming(vm, NULL);
	host_plane_changed(vm->layer->host);
}

void vm_is_off(struct vm *vm, int power)
{
	machine_free(vm->machine);
	vm->machine = NULL;
	vm_unclaim(vm);
	free(vm->stats);
	vm->stats = NULL;
	vm->boot_us = 0;
	vm_wires_remove(vm);
	host_plane_changed(vm->layer->host);
	if (power != SUSPENDED || vm->power == ON) {
		vm->suspend_us = power == OFF ? 0 : clock_wall_us(vm->layer->host->clock);
	}
	if (vm_config(vm) != NULL) {
		state_set(vm, power);
	}
}

/* ---- what machines do by themselves ---- */

static void guest_reset(void *arg, struct machine *m)
{
	struct vm *vm = arg;

	(void)m;
	vm_event_plain(vm, NULL, T_VmGuestRebootEvent, "was restarted by its guest");
}

static void guest_exited(void *arg, struct machine *m, enum machine_exit why, const struct error *e)
{
	struct vm *vm = arg;

	(void)m;
	if (why == MACHINE_EXIT_STOPPED || why == MACHINE_EXIT_SUSPENDED ||
	    transit_machine_ended(vm, e)) {
		return; /* asked for, the reply has seen to it; or its guest had not come yet */
	}
	vm->clean_off = why == MACHINE_EXIT_GUEST;
	vm_is_off(vm, OFF);
	if (why == MACHINE_EXIT_GUEST) {
		vm_event_plain(vm, NULL, T_VmGuestShutdownEvent, "was shut down by its guest");
	} else {
		struct arena *a = arena_new(0);
		const char *what = e == NULL ? "it ended unexpectedly" : e->msg;
		struct value *event = value_new(a, T_VmMessageErrorEvent);
		value_set_str(a, event, F_VmMessageErrorEvent_message, what);
		vm_event(vm, NULL, event, "Error on virtual machine \"%s\": %s", vm_name(vm), what);
		arena_free(a);
	}
	vm_event_plain(vm, NULL, T_VmPoweredOffEvent, "is powered off");
}

static void guest_stalled(void *arg, struct machine *m, const char *why)
{
	struct vm *vm = arg;
	struct arena *a = arena_new(0);
	struct value *event = value_new(a, T_VmMessageWarningEvent);

	(void)m;
	value_set_str(a, event, F_VmMessageWarningEvent_message, why);
	vm_event(vm, NULL, event,
		 "Virtual machine \"%s\" stands still and will be set going again: %s", vm_name(vm),
		 why);
	arena_free(a);
}

const struct machine_listener vm_machine_listener = {
	.reset = guest_reset,
	.exited = guest_exited,
	.stalled = guest_stalled,
};

/* The machine of a VM that runs; of a simulated one perhaps only now. */
static struct machine *running_machine(struct vm *vm)
{
	if (vm->machine == NULL) {
		vm->machine = machine_new(vm->layer->host->driver, &vm_machine_listener, vm);
		driver_sim_found(vm->machine, vm->boot_us);
	}
	return vm->machine;
}

/* ---- PowerOnVM_Task ---- */

/* A power-on under way. */
struct power_on {
	struct vm_op op;
	struct machine_spec spec;
	struct machine_nic nics[MACHINE_NICS_MAX]; /* of the spec, with their wires */
	bool is_wired;
};

static void on_unwire(struct power_on *x)
{
	if (x->is_wired) {
		vm_wires_close(x->nics, x->spec.n_nics);
		vm_network_coming(x->op.vm, NULL);
		x->is_wired = false;
	}
}

static void on_failed(struct vm_op *op, const struct value *fault, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void on_failed(struct vm_op *op, const struct value *fault, const char *fmt, ...)
{
	struct value *event = value_new(op->arena, T_VmFailedToPowerOnEvent);
	char text[400];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	on_unwire(CONTAINER_OF(op, struct power_on, op));
	if (op->vm->power != ON) {
		vm_wires_remove(op->vm);
	}
	if (op->vm->machine != NULL && machine_state(op->vm->machine) == MACHINE_OFF) {
		machine_free(op->vm->machine);
		op->vm->machine = NULL;
	}
	if (op->vm->power != ON) {
		vm_unclaim(op->vm);
	}
	value_set(op->arena, event, F_VmFailedToPowerOnEvent_reason,
		  fault_localized(op->arena, fault, text));
	vm_event(op->vm, op, event, "Virtual machine \"%s\" could not be powered on: %s",
		 vm_name(op->vm), text);
	vm_op_fault(op, fault, "%s", text);
}

static void on_failed_error(struct vm_op *op, const struct error *e, const char *file)
{
	on_failed(op,
		  file == NULL ? fault_from_error(op->arena, e)
			       : fault_from_file_error(op->arena, e, file),
		  "%s", e->msg);
}

/* The first disk of the VM: what is locked when the driver says that something is. */
static const char *first_disk(const struct vm *vm)
{
	const struct value *devices = vm_devices(vm_config(vm));

	for (size_t i = 0; i < value_count(devices); i++) {
		const char *path = disk_path(value_item(devices, i));
		if (path != NULL) {
			return path;
		}
	}
	return vm_path(vm);
}

static void on_done(void *arg, struct machine *m, const struct error *e)
{
	struct vm_op *op = arg;
	struct vm *vm = op->vm;

	(void)m;
	if (e != NULL) {
		on_failed_error(op, e, e->kind == ERROR_BUSY ? first_disk(vm) : NULL);
		return;
	}
	on_unwire(CONTAINER_OF(op, struct power_on, op));
	vm_is_on(vm, 0);
	vm_event_plain(vm, op, T_VmPoweredOnEvent, "is powered on");
	vm_op_done(op, NULL);
}

static bool on_allowed(struct vm_op *op)
{
	const struct value *config = vm_config(op->vm);
	struct error e = { 0 };

	if (value_get_bool(config, CONFIG(template), false)) {
		on_failed(op, fault_new(op->arena, T_NotSupported), "a template cannot run");
		return false;
	}
	if (!host_accepts_vms(op->layer->host, &e)) {
		on_failed_error(op, &e, NULL);
		return false;
	}
	struct vm_text text;
	struct value *fault = vm_admit(op->vm, op->arena, &text);
	if (fault != NULL) {
		on_failed(op, fault, "%s", text.s);
	}
	return fault == NULL;
}

/* Nobody copies or grows a disk while the machine opens it. */
static bool on_claim(struct vm_op *op, const char **file, struct error *e)
{
	const struct value *devices = vm_devices(vm_config(op->vm));

	for (size_t i = 0; i < value_count(devices) && !op->layer->host->simulated; i++) {
		const char *path = disk_path(value_item(devices, i));
		if (path != NULL && !vm_op_claim(op, path, e)) {
			*file = path;
			return false;
		}
	}
	return true;
}

static void on_cancel(void *arg)
{
	struct vm *vm = arg;

	if (vm->machine != NULL) {
		machine_stop(vm->machine, NULL, NULL); /* the reply to the start says so */
	}
}

static void on_launch(struct vm_op *op)
{
	struct vm *vm = op->vm;
	struct power_on *x = CONTAINER_OF(op, struct power_on, op);
	struct machine_reply reply = { .done = on_done, .arg = op };
	struct error e = { 0 };
	bool resumes = vm->power == SUSPENDED;

	vm_event_plain(vm, op, resumes ? T_VmResumingEvent : T_VmStartingEvent,
		       resumes ? "is resuming" : "is starting");
	if (resumes ? !machine_resume(vm->machine, &x->spec, &reply, &e)
		    : !machine_start(vm->machine, &x->spec, &reply, &e)) {
		on_failed_error(op, &e, e.kind == ERROR_BUSY ? first_disk(vm) : NULL);
		return;
	}
	if (!resumes) {
		task_set_cancel(op->task, on_cancel, vm);
	}
}

/* The switch has the ports of its cards, or does not take them. */
static void on_wired(void *arg, const struct error *e)
{
	if (e != NULL) {
		on_failed_error(arg, e, NULL);
		return;
	}
	on_launch(arg);
}

/* QEMU waits for the switch at virtio cards: it is told first. */
static void on_wire(struct vm_op *op)
{
	struct vm *vm = op->vm;
	struct power_on *x = CONTAINER_OF(op, struct power_on, op);
	struct error e = { 0 };

	if (vm->layer->host->plane == NULL || x->spec.n_nics == 0) {
		on_launch(op);
		return;
	}
	memcpy(x->nics, x->spec.nics, x->spec.n_nics * sizeof(x->nics[0]));
	x->spec.nics = x->nics;
	if (!vm_wires_open(vm, op->arena, x->nics, x->spec.n_nics, &e)) {
		on_failed_error(op, &e, NULL);
		return;
	}
	char folder[256];
	host_plane_socket_folder(vm->layer->host,
				 value_get_str(vm_config(vm), CONFIG(instanceUuid)), folder,
				 sizeof(folder));
	x->spec.sockets = arena_strdup(op->arena, folder);
	x->is_wired = true;
	vm_network_coming(vm, vm_devices(vm_config_start(op->arena, vm_config(vm))));
	host_plane_wait(vm->layer->host, on_wired, op);
}

static void on_borrowed(void *arg, const struct error *e)
{
	struct vm *vm = arg;

	if (e != NULL) {
		on_failed_error(vm->op, e, NULL);
		return;
	}
	on_wire(vm->op);
}

/* Functions of the server's card are given by the manager, to the card. */
static void on_borrow(struct vm_op *op)
{
	struct borrow_wait wait = { .is_ready = vm_network_has_borrowed,
				    .done = on_borrowed,
				    .arg = op->vm };
	struct error e = { 0 };

	if (!vm_network_borrows(op->vm)) {
		on_wire(op);
	} else if (!vm_network_may_borrow(op->vm, &e)) {
		on_failed_error(op, &e, NULL);
	} else {
		host_borrow_wait(op->layer->host, &wait);
	}
}

static void on_start(struct vm_op *op)
{
	struct vm *vm = op->vm;
	struct error e = { 0 };
	const char *file = NULL;

	if (!vm_machine_spec(vm, op->arena, false, &CONTAINER_OF(op, struct power_on, op)->spec,
			     &file, &e)) {
		on_failed_error(op, &e, file);
		return;
	}
	if (!on_claim(op, &file, &e)) {
		on_failed_error(op, &e, file);
		return;
	}
	if (!vm_claim(vm, &file)) {
		error_set(&e, ERROR_BUSY, "\"%s\" is in use by another virtual machine", file);
		on_failed_error(op, &e, file);
		return;
	}
	if (vm->machine == NULL) {
		vm->machine = machine_new(op->layer->host->driver, &vm_machine_listener, vm);
	}
	on_borrow(op);
}

static void power_on(struct call *c)
{
	struct vm *vm = vm_of_call(c);

	if (!vm_call_names_host(c, vm->layer->host, A_VirtualMachine_PowerOnVM_Task_host)) {
		return;
	}
	struct vm_op *op = vm_op_begin(c, vm->layer, vm, sizeof(struct power_on));
	if (op == NULL || !vm_op_wants_config(op) ||
	    (vm->power == ON && !vm_op_wants_power(op, OFF, ON)) || !on_allowed(op)) {
		return;
	}
	on_start(op);
}

/* ---- PowerOffVM_Task ---- */

static void off_done(void *arg, struct machine *m, const struct error *e)
{
	struct vm_op *op = arg;

	(void)m;
	if (e != NULL) {
		vm_op_fail(op, e);
		return;
	}
	op->vm->clean_off = false;
	vm_is_off(op->vm, OFF);
	vm_event_plain(op->vm, op, T_VmPoweredOffEvent, "is powered off");
	vm_op_done(op, NULL);
}

static void off_state_removed(void *arg, const struct error *e)
{
	struct vm_op *op = arg;

	if (e != NULL && e->kind != ERROR_NOT_FOUND) {
		vm_op_fail_file(op, e, vm_state_path(op->vm, op->arena));
		return;
	}
	off_done(op, NULL, NULL);
}

/* A suspended VM is off when its memory is no more. */
static void off_suspended(struct vm_op *op)
{
	struct vm *vm = op->vm;
	struct host *h = vm->layer->host;
	struct datastore_path at;
	struct error e = { 0 };

	if (h->simulated) {
		off_done(op, NULL, NULL);
		return;
	}
	struct host_datastore *d = host_datastore_of_path(h, vm_state_path(vm, op->arena), &at, &e);
	struct datastore *ds = d == NULL ? NULL : host_datastore_open(d, &e);
	if (ds == NULL) {
		vm_op_fail(op, &e);
		return;
	}
	struct job_handler handler = { .loop = h->loop, .done = off_state_removed, .arg = op };
	vm_op_hold(op, d);
	datastore_delete_start(ds, arena_strdup(op->arena, at.path), &handler);
}

static void power_off(struct call *c)
{
	struct vm *vm = vm_of_call(c);
	struct vm_op *op = vm_op_begin(c, vm->layer, vm, sizeof(*op));
	struct machine_reply reply = { .done = off_done, .arg = op };
	struct error e = { 0 };

	if (op == NULL || !vm_op_wants_connection(op)) {
		return;
	}
	if (vm->power == SUSPENDED) {
		off_suspended(op);
		return;
	}
	if (!vm_op_wants_power(op, ON, OFF)) {
		return;
	}
	vm_event_plain(vm, op, T_VmStoppingEvent, "is stopping");
	if (!machine_stop(running_machine(vm), &reply, &e)) {
		vm_op_fail(op, &e);
	}
}

/* ---- ResetVM_Task, SuspendVM_Task ---- */

static void reset_done(void *arg, struct machine *m, const struct error *e)
{
	struct vm_op *op = arg;

	(void)m;
	if (e != NULL) {
		vm_op_fail(op, e);
		return;
	}
	vm_op_done(op, NULL);
}

static void reset(struct call *c)
{
	struct vm *vm = vm_of_call(c);
	struct vm_op *op = vm_op_begin(c, vm->layer, vm, sizeof(*op));
	struct machine_reply reply = { .done = reset_done, .arg = op };
	struct error e = { 0 };

	if (op == NULL || !vm_op_wants_power(op, ON, ON)) {
		return;
	}
	vm_event_plain(vm, op, T_VmResettingEvent, "is reset");
	if (!machine_reset(running_machine(vm), &reply, &e)) {
		vm_op_fail(op, &e);
	}
}

static void suspend_done(void *arg, struct machine *m, const struct error *e)
{
	struct vm_op *op = arg;

	(void)m;
	if (e != NULL) {
		vm_op_fail(op, e);
		return;
	}
	vm_is_off(op->vm, SUSPENDED);
	vm_event_plain(op->vm, op, T_VmSuspendedEvent, "is suspended");
	vm_op_done(op, NULL);
}

static void suspend(struct call *c)
{
	struct vm *vm = vm_of_call(c);
	struct vm_op *op = vm_op_begin(c, vm->layer, vm, sizeof(*op));
	struct machine_reply reply = { .done = suspend_done, .arg = op };
	struct error e = { 0 };

	if (op == NULL || !vm_op_wants_power(op, ON, SUSPENDED)) {
		return;
	}
	vm_event_plain(vm, op, T_VmSuspendingEvent, "is being suspended");
	if (!machine_suspend(running_machine(vm), &reply, &e)) {
		vm_op_fail(op, &e);
	}
}

/* ---- ShutdownGuest, RebootGuest, StandbyGuest ---- */

/* They need tools in the guest. Simulated guests behave as if they had them. */
static void ask_guest(struct call *c, call_fn *simulated)
{
	struct vm *vm = vm_of_call(c);
	struct arena *a = c->arena;

	if (vm->power != ON) {
		call_fault(c, fault_invalid_power_state(a, ON, vm->power),
			   "\"%s\" is not powered on", vm_name(vm));
	} else if (vm->op != NULL) {
		struct value *f = fault_new(a, T_TaskInProgress);
		value_set(a, f, F_TaskInProgress_task, task_object(vm->op->task)->ref);
		call_fault(c, f, "another task is at work on \"%s\"", vm_name(vm));
	} else if (vm->layer->host->simulated) {
		simulated(c);
	} else {
		call_fault(c, fault_new(a, T_ToolsUnavailable),
			   "no tools run in the guest of \"%s\"", vm_name(vm));
	}
}

static void guest_shutdown_simulated(struct call *c)
{
	struct error e = { 0 };

	if (!machine_powerdown(running_machine(vm_of_call(c)), NULL, &e)) {
		call_error(c, &e);
		return;
	}
	call_return(c, NULL);
}

static void guest_reboot_simulated(struct call *c)
{
	struct vm *vm = vm_of_call(c);
	struct error e = { 0 };

	if (!machine_reset(running_machine(vm), NULL, &e)) {
		call_error(c, &e);
		return;
	}
	vm_event_plain(vm, NULL, T_VmGuestRebootEvent, "was restarted by its guest");
	call_return(c, NULL);
}

static void standby_done(void *arg, struct machine *m, const struct error *e)
{
	struct vm *vm = arg;

	(void)m;
	if (e == NULL) {
		vm_is_off(vm, SUSPENDED);
		vm_event_plain(vm, NULL, T_VmGuestStandbyEvent, "was sent to sleep by its guest");
	}
}

static void guest_standby_simulated(struct call *c)
{
	struct vm *vm = vm_of_call(c);
	struct machine_reply reply = { .done = standby_done, .arg = vm };
	struct error e = { 0 };

	if (!machine_suspend(running_machine(vm), &reply, &e)) {
		call_error(c, &e);
		return;
	}
	call_return(c, NULL);
}

static void shutdown_guest(struct call *c)
{
	ask_guest(c, guest_shutdown_simulated);
}

static void reboot_guest(struct call *c)
{
	ask_guest(c, guest_reboot_simulated);
}

static void standby_guest(struct call *c)
{
	ask_guest(c, guest_standby_simulated);
}

/* ---- AnswerVM ---- */

static void answer(struct call *c)
{
	call_fault(c, fault_invalid_argument(c->arena, "questionId"),
		   "\"%s\" has asked no question", vm_name(vm_of_call(c)));
}

void vm_power_register(struct vm_layer *l)
{
	struct service *s = l->host->api.service;

	service_handle(s, T_VirtualMachine, M_VirtualMachine_PowerOnVM_Task, power_on, l);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_PowerOffVM_Task, power_off, l);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_ResetVM_Task, reset, l);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_SuspendVM_Task, suspend, l);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_ShutdownGuest, shutdown_guest, l);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_RebootGuest, reboot_guest, l);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_StandbyGuest, standby_guest, l);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_AnswerVM, answer, l);
}
