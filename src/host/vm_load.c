/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start: VMs come back from vms.json and their .vmx files, what an interruption left is cleaned
 * away, and machines that run are adopted. A VM whose .vmx cannot be read is shown as invalid (or
 * inaccessible, where its datastore is missing) and never forgotten.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/transit.h"
#include "host/vm_impl.h"
#include "vim/fault.h"

LOG_MODULE("vm");

enum {
	ADOPT_LIMIT_MS = 20000, /* what has not answered by then is found later */
	ADOPT_TICK_MS = 10,
	RETRY_MS = 5000,
};

/* ---- .vmx files ---- */

static struct vmx *vmx_read(struct vm_layer *l, const char *path, struct error *e)
{
	struct datastore_path at;
	struct host_datastore *d = host_datastore_of_path(l->host, path, &at, e);
	struct datastore *ds = d == NULL ? NULL : host_datastore_open(d, e);

	return ds == NULL ? NULL : vmx_load(datastore_root(ds), at.path, e);
}

const struct value *vm_read_config(struct vm_layer *l, const char *path,
				   enum vm_strictness strictness, struct arena *a,
				   struct vm_refusal *r, bool *incomplete)
{
	struct vm_env env = host_vm_env(l->host, strictness);
	const struct value *config = NULL;
	struct error e = { 0 };
	struct vmx *vmx = vmx_read(l, path, &e);

	if (vmx == NULL) {
		bool garbled = e.kind == ERROR_CORRUPT || e.kind == ERROR_LIMIT ||
			       e.kind == ERROR_UNSUPPORTED;
		vm_refuse(r,
			  garbled ? fault_new(a, T_InvalidFormat)
				  : fault_from_file_error(a, &e, path),
			  "\"%.100s\": %.120s", path, e.msg);
		return NULL;
	}
	if (incomplete != NULL) {
		*incomplete = vmx_get(vmx, "uuid.bios") == NULL || vmx_get(vmx, "vc.uuid") == NULL;
	}
	bool ok = vm_config_from_vmx(a, vmx, path, &env, &config, r);
	vmx_free(vmx);
	return ok ? config : NULL;
}

uint8_t vm_connection_without_config(struct vm_layer *l, const char *path)
{
	struct datastore_path at;
	struct host_datastore *d = host_datastore_of_path(l->host, path, &at, NULL);

	return d == NULL || host_datastore_open(d, NULL) == NULL
		       ? E_VirtualMachineConnectionState_inaccessible
		       : E_VirtualMachineConnectionState_invalid;
}

int64_t vm_suspended_at(const struct vm *vm)
{
	struct arena *a = arena_new(0);
	struct datastore_path at;
	struct host_datastore *d =
		host_datastore_of_path(vm->layer->host, vm_state_path(vm, a), &at, NULL);
	struct datastore *ds = d == NULL ? NULL : host_datastore_open(d, NULL);
	struct stat st = { 0 };
	int fd = ds == NULL ? -1
			    : file_open_beneath(datastore_root(ds), at.path, O_PATH | O_CLOEXEC, 0,
						NULL);

	if (fd >= 0) {
		fstat(fd, &st);
		close(fd);
	}
	arena_free(a);
	return fd < 0 ? 0 : MAX(1, st.st_mtim.tv_sec * INT64_C(1000000));
}

/* ---- loading ---- */

static void load_one(struct vm *vm, struct arena *a)
{
	struct vm_refusal r = { 0 };
	const struct value *config = vm_read_config(vm->layer, vm->path, VM_RELOAD, a, &r, NULL);

	if (config == NULL) {
		log_warn("virtual machine \"%s\": %s", vm->name, r.text);
		vm->connection = vm_connection_without_config(vm->layer, vm->path);
	} else {
		vm->suspend_us = vm_suspended_at(vm);
		vm->power = vm->suspend_us != 0 ? E_VirtualMachinePowerState_suspended
						: E_VirtualMachinePowerState_poweredOff;
	}
	vm_publish(&vm, &config, 1, vm_pool(vm->layer, vm->pool));
}

static bool all_are_readable(struct vm_layer *l)
{
	list_each (struct vm, vm, &l->vms, link) {
		if (vm_config(vm) == NULL) {
			return false;
		}
	}
	return true;
}

static void load_all(struct vm_layer *l)
{
	struct arena *a = arena_new(0);

	list_each (struct vm, vm, &l->vms, link) {
		load_one(vm, a);
		arena_reset(a);
	}
	arena_free(a);
	/* Which disks a VM has whose .vmx cannot be read now is not known: all stay until then. */
	bool had_leftovers = !list_is_empty(&l->leftovers) && all_are_readable(l);
	while (had_leftovers && !list_is_empty(&l->leftovers)) {
		struct vm_leftover *x =
			list_entry(list_front(&l->leftovers), struct vm_leftover, link);
		vm_leftover_clean(l, x);
		vm_leftover_free(x);
	}
	if (had_leftovers) {
		vm_store_save(l, NULL);
	}
}

/* ---- adopting ---- */

static void connection_set(struct vm *vm, uint8_t connection)
{
	struct vm_change change;

	if (vm->connection == connection) {
		return;
	}
	vm_change_begin(vm, &change);
	vm->connection = connection;
	vm_set_runtime(vm);
	vm_change_end(&change);
}

/* Whether it runs cannot be found out now. Until it can, nothing is done to it. */
static void adopt_later(struct vm *vm)
{
	struct vm_layer *l = vm->layer;

	machine_free(vm->machine);
	vm->machine = NULL;
	connection_set(vm, E_VirtualMachineConnectionState_disconnected);
	if (l->retry_timer != NULL && !timer_is_active(l->retry_timer)) {
		timer_start(l->retry_timer, RETRY_MS, RETRY_MS);
	}
}

static void arrived(void *arg, struct machine *m, const struct error *e)
{
	struct vm *vm = arg;

	(void)m;
	if (e != NULL && e->kind != ERROR_CANCELED) {
		log_error("virtual machine \"%s\" has come, and does not run: %s", vm_name(vm),
			  e->msg);
	}
}

static void adopted(void *arg, struct machine *m, const struct error *e)
{
	struct vm *vm = arg;
	struct machine_usage usage = { 0 };

	vm->layer->n_adopting--;
	if (e != NULL && e->kind == ERROR_CANCELED) {
		return; /* let go */
	}
	if (e != NULL && e->kind != ERROR_NOT_FOUND) {
		log_warn("virtual machine \"%s\": %s", vm_name(vm), e->msg);
		adopt_later(vm);
		return;
	}
	connection_set(vm, E_VirtualMachineConnectionState_connected);
	if (e == NULL) {
		machine_usage(m, &usage, NULL);
		log_info("virtual machine \"%s\" runs on", vm_name(vm));
		vm_claim(vm, NULL);
		vm_is_on(vm, usage.started_us);
		if (machine_state(m) == MACHINE_RECEIVING) {
			/* It was taken (transit.h): vms.json names it. */
			machine_receive_run(
				m, &(struct machine_reply){ .done = arrived, .arg = vm }, NULL);
		}
		return;
	}
	vm->suspend_us = vm_suspended_at(vm);
	vm_is_off(vm, vm->suspend_us != 0 ? E_VirtualMachinePowerState_suspended
					  : E_VirtualMachinePowerState_poweredOff);
}

static void adopt(struct vm *vm)
{
	struct machine_reply reply = { .done = adopted, .arg = vm };
	struct arena *a = arena_new(0);
	struct machine_spec spec;
	struct error e = { 0 };
	const char *file;

	const char *uuid = value_get_str(vm_config(vm), F_VirtualMachineConfigInfo_uuid);
	const struct vm *same = vm_by_uuid(vm->layer, F_VirtualMachineConfigInfo_uuid, uuid, vm);

	/* Their .vmx files were made alike by hand: what runs counts as the older one. */
	if (same != NULL && same->id < vm->id) {
		log_warn("virtual machine \"%s\" is not looked for: it has the uuid of \"%s\"",
			 vm_name(vm), vm_name(same));
		arena_free(a);
		return;
	}
	/* A machine whose disk was deleted may run on all the same. */
	if (!vm_machine_spec(vm, a, true, &spec, &file, &e)) {
		log_warn("virtual machine \"%s\": %s", vm_name(vm), e.msg);
		adopt_later(vm);
		arena_free(a);
		return;
	}
	vm->machine = machine_new(vm->layer->host->driver, &vm_machine_listener, vm);
	vm->layer->n_adopting++;
	if (!machine_adopt(vm->machine, &spec, &reply, &e)) {
		vm->layer->n_adopting--;
		log_warn("virtual machine \"%s\": %s", vm_name(vm), e.msg);
		adopt_later(vm);
	}
	arena_free(a);
}

void vm_look_for(struct vm *vm)
{
	connection_set(vm, E_VirtualMachineConnectionState_disconnected);
	adopt(vm);
}

static void retry(void *arg)
{
	struct vm_layer *l = arg;
	bool any = false;

	list_each (struct vm, vm, &l->vms, link) {
		if (vm->connection == E_VirtualMachineConnectionState_disconnected) {
			any = true;
			if (vm->machine == NULL) {
				adopt(vm);
			}
		}
	}
	if (!any) {
		timer_stop(l->retry_timer);
	}
}

void vm_retry_stop(struct vm_layer *l)
{
	timer_free(l->retry_timer);
	l->retry_timer = NULL;
}

/* Also wakes the loop: what ends within its timers would else wait for the next event. */
static void limit_tick(uv_timer_t *t)
{
	*(int *)t->data -= ADOPT_TICK_MS;
}

/* Clients shall not see a running VM as off: nobody is served before all have been looked for. */
static void adopt_wait(struct vm_layer *l)
{
	struct host *h = l->host;
	uv_timer_t limit;
	int left_ms = ADOPT_LIMIT_MS;

	if (h->loop == NULL) {
		return;
	}
	uv_timer_init(h->loop, &limit);
	limit.data = &left_ms;
	uv_timer_start(&limit, limit_tick, ADOPT_TICK_MS, ADOPT_TICK_MS);
	while (l->n_adopting > 0 && left_ms > 0) {
		if (clock_is_manual(h->clock)) {
			clock_advance(h->clock, 1000);
			uv_run(h->loop, UV_RUN_NOWAIT);
		} else {
			uv_run(h->loop, UV_RUN_ONCE);
		}
	}
	uv_timer_stop(&limit);
	uv_close((uv_handle_t *)&limit, NULL);
	uv_run(h->loop, UV_RUN_NOWAIT);
	list_each (struct vm, vm, &l->vms, link) {
		if (vm->machine != NULL && machine_state(vm->machine) == MACHINE_ADOPTING) {
			log_warn("virtual machine \"%s\" did not answer yet", vm_name(vm));
			connection_set(vm, E_VirtualMachineConnectionState_disconnected);
		}
	}
}

bool vm_layer_load(struct host *h, struct error *e)
{
	struct vm_layer *l = h->vm_layer;

	if (!vm_store_load(l, e)) {
		return false;
	}
	load_all(l);
	if (!h->simulated) {
		l->retry_timer = timer_new(h->loop, h->clock, retry, l);
		list_each (struct vm, vm, &l->vms, link) {
			if (vm_config(vm) != NULL) {
				adopt(vm);
			}
		}
		adopt_wait(l);
		vm_stats_start(l);
		return h->state == NULL || transits_open(h, e);
	}
	return true;
}
