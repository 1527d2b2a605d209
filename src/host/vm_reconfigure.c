/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VirtualMachine.ReconfigVM_Task, Rename_Task and UpgradeVM_Task.
 *
 *   plan -> [vms.json names what may be left over] -> the running machine -> disks and .vmx ->
 *   published -> [disks deleted]
 *
 * The .vmx decides: until it is written everything before is undone on failure; disks are deleted
 * only after.
 */
#include <string.h>

#include "base/log.h"
#include "host/host_plane.h"
#include "host/vm_device.h"
#include "host/vm_impl.h"
#include "vim/fault.h"

LOG_MODULE("vm");

#define CONFIG(f) F_VirtualMachineConfigInfo_##f
#define SPEC(f)	  F_VirtualMachineConfigSpec_##f

enum hot_kind {
	HOT_LINK,
	HOT_MEDIUM,
	HOT_NIC_ADD,
	HOT_NIC_REMOVE,
};

/* One change to the running machine, and how to take it back. */
struct hot_step {
	enum hot_kind kind;
	int32_t key;
	bool link_old, link_new;
	const char *medium_old, *medium_new; /* path on the node; NULL: none */
	struct machine_nic nic;		     /* the one that comes or goes */
};

struct reconfigure {
	struct vm_op op;
	const struct value *spec,
		*planned; /* kept: the caller's and the VM's own may go meanwhile */
	struct vm_plan plan;
	const struct value *config; /* what it will be */
	struct hot_step *steps;
	size_t n_steps, at;
	bool going_back;
	bool is_rewired; /* cards come, go or change their network */
	struct vm_file_work work;
	struct vm_removal removal;
	struct vm_leftover *leftover;
	struct error e;
	const char *file;
};

/* ---- who may change what ---- */

static const char *device_privilege(const struct value *change)
{
	const struct value *d = value_get_value(change, F_VirtualDeviceConfigSpec_device);
	int64_t op = value_get_num(change, F_VirtualDeviceConfigSpec_operation, -1);
	bool disk = value_is_a(d, T_VirtualDisk);

	if (op == E_VirtualDeviceConfigSpecOperation_edit) {
		return disk ? "VirtualMachine.Config.DiskExtend"
			    : "VirtualMachine.Config.EditDevice";
	}
	if (!disk) {
		return "VirtualMachine.Config.AddRemoveDevice";
	}
	if (op == E_VirtualDeviceConfigSpecOperation_remove) {
		return "VirtualMachine.Config.RemoveDisk";
	}
	return value_has(change, F_VirtualDeviceConfigSpec_fileOperation)
		       ? "VirtualMachine.Config.AddNewDisk"
		       : "VirtualMachine.Config.AddExistingDisk";
}

static const char *field_privilege(int field)
{
	switch (field) {
	case SPEC(name):
		return "VirtualMachine.Config.Rename";
	case SPEC(annotation):
		return "VirtualMachine.Config.Annotation";
	case SPEC(numCPUs):
	case SPEC(numCoresPerSocket):
		return "VirtualMachine.Config.CPUCount";
	case SPEC(memoryMB):
		return "VirtualMachine.Config.Memory";
	case SPEC(cpuAllocation):
	case SPEC(memoryAllocation):
		return "VirtualMachine.Config.Resource";
	case SPEC(extraConfig):
		return "VirtualMachine.Config.AdvancedConfig";
	case SPEC(managedBy):
		return "VirtualMachine.Config.ManagedBy";
	case SPEC(version):
		return "VirtualMachine.Config.UpgradeVirtualHardware";
	default:
		return "VirtualMachine.Config.Settings";
	}
}

static bool may_change(struct call *c, struct vm *vm, const struct value *spec)
{
	const struct value *changes = value_get_value(spec, SPEC(deviceChange));
	bool any = false;
	union slot s;

	for (int i = -1; value_next(spec, &i, &s);) {
		if (i == SPEC(changeVersion) || i == SPEC(deviceChange)) {
			continue;
		}
		any = true;
		if (!call_require(c, vm->object, field_privilege(i))) {
			return false;
		}
	}
	for (size_t i = 0; i < value_count(changes); i++) {
		any = true;
		if (!call_require(c, vm->object, device_privilege(value_item(changes, i)))) {
			return false;
		}
	}
	return any || call_require(c, vm->object, "VirtualMachine.Config.Settings");
}

/* New disks take space, new networks are joined. */
static bool may_use(struct call *c, struct vm *vm, const struct vm_plan *plan)
{
	struct host *h = vm->layer->host;
	struct datastore_path at;

	for (size_t i = 0; i < plan->disk_ops.n; i++) {
		const struct vm_disk_op *op = &plan->disk_ops.items[i];
		struct host_datastore *d = host_datastore_of_path(h, op->path, &at, NULL);
		if (d != NULL && op->action != VM_DISK_DELETE &&
		    !call_require(c, d->object, "Datastore.AllocateSpace")) {
			return false;
		}
	}
	const struct value *was = vm_devices(vm_config(vm)), *now = vm_devices(plan->config);
	struct value *fresh = value_new_array(c->arena, T_VirtualDevice);
	for (size_t i = 0; i < value_count(now); i++) {
		const struct value *d = value_item(now, i);
		const struct value *old =
			vm_device_find(was, (int32_t)value_get_num(d, F_VirtualDevice_key, 0));
		if (!value_equal(value_get_value(d, F_VirtualDevice_backing),
				 value_get_value(old, F_VirtualDevice_backing))) {
			value_push(c->arena, fresh, d);
		}
	}
	return vm_call_may_use_networks(c, h, fresh);
}

/* ---- the running machine ---- */

static const char *medium_of(struct reconfigure *x, const struct value *drive)
{
	struct host *h = x->op.layer->host;
	const struct value *c = value_get_value(drive, F_VirtualDevice_connectable);
	const struct value *b = value_get_value(drive, F_VirtualDevice_backing);
	const char *name = value_is_a(b, T_VirtualCdromIsoBackingInfo)
				   ? value_get_str(b, F_VirtualDeviceFileBackingInfo_fileName)
				   : NULL;

	if (name == NULL || name[0] == '\0' ||
	    !value_get_bool(c, F_VirtualDeviceConnectInfo_connected, false)) {
		return NULL;
	}
	if (h->simulated) {
		return arena_printf(x->op.arena, "/%s", name);
	}
	char *path = host_file_path(h, name, NULL);
	const char *kept = path == NULL ? NULL : arena_strdup(x->op.arena, path);
	free(path);
	return kept;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool link_of(const struct value *nic)
{
	return value_get_bool(value_get_value(nic, F_VirtualDevice_connectable),
			      F_VirtualDeviceConnectInfo_connected, false);
}

/* A card that was not there. */
static void find_added(struct reconfigure *x, const struct value *d)
{
	struct hot_step *s = &x->steps[x->n_steps];

	s->kind = HOT_NIC_ADD;
	if (vm_machine_nic(d, &s->nic)) {
		s->nic.connected = link_of(d);
		x->n_steps++;
	}
}

/* Cards go last: a guest need not let go. */
static void find_removed(struct reconfigure *x, const struct value *was, const struct value *now)
{
	for (size_t i = 0; i < value_count(was); i++) {
		const struct value *d = value_item(was, i);
		struct hot_step *s = &x->steps[x->n_steps];
		s->key = (int32_t)value_get_num(d, F_VirtualDevice_key, 0);
		s->kind = HOT_NIC_REMOVE;
		if (vm_device_find(now, s->key) == NULL && vm_machine_nic(d, &s->nic)) {
			s->nic.connected = link_of(d);
			x->is_rewired = true;
			x->n_steps++;
		}
	}
}

static void find_steps(struct reconfigure *x)
{
	struct vm *vm = x->op.vm;
	const struct value *was = vm_devices(vm_config(vm)), *now = vm_devices(x->config);

	x->steps = arena_alloc(x->op.arena,
			       (value_count(now) + value_count(was) + 1) * sizeof(*x->steps));
	for (size_t i = 0; i < value_count(now); i++) {
		const struct value *d = value_item(now, i);
		enum vm_role role = vm_device_role(value_type(d));
		struct hot_step *s = &x->steps[x->n_steps];
		s->key = (int32_t)value_get_num(d, F_VirtualDevice_key, 0);
		const struct value *old = vm_device_find(was, s->key);
		x->is_rewired |= role == VM_ROLE_NIC && !value_equal(old, d);
		if (old == NULL) {
			find_added(x, d);
			continue;
		}
		if (role == VM_ROLE_NIC) {
			s->kind = HOT_LINK;
			s->link_old = link_of(old);
			s->link_new = link_of(d);
			x->n_steps += s->link_old != s->link_new;
		} else if (role == VM_ROLE_CDROM) {
			s->kind = HOT_MEDIUM;
			s->medium_old = medium_of(x, old);
			s->medium_new = medium_of(x, d);
			x->n_steps += !same_text(s->medium_old, s->medium_new);
		}
	}
	find_removed(x, was, now);
}

static void reconfigure_files(struct reconfigure *x);
static void reconfigure_failed(struct reconfigure *x, const struct error *e, const char *file);
static void steps_next(struct reconfigure *x);
static void step_done(void *arg, struct machine *m, const struct error *e);

/* Does or undoes one step; x->at names it. */
static bool step_begin(struct reconfigure *x, struct hot_step *s, struct error *e)
{
	struct vm *vm = x->op.vm;
	struct machine_reply reply = { .done = step_done, .arg = x };
	bool back = x->going_back;

	if (vm->machine == NULL) {
		return error_set(e, ERROR_STATE, "\"%s\" went off", vm_name(vm));
	}
	if (s->kind == HOT_LINK) {
		return machine_set_link(vm->machine, s->key, back ? s->link_old : s->link_new,
					&reply, e);
	}
	if (s->kind == HOT_MEDIUM) {
		return machine_set_medium(vm->machine, s->key, back ? s->medium_old : s->medium_new,
					  &reply, e);
	}
	if ((s->kind == HOT_NIC_ADD) == back) {
		return machine_remove_nic(vm->machine, s->nic.key, &reply, e);
	}
	/* One that was taken out comes back with a new wire. */
	if (s->nic.wire == NULL && vm->layer->host->plane != NULL &&
	    !vm_wires_open(vm, x->op.arena, &s->nic, 1, e)) {
		return false;
	}
	return machine_add_nic(vm->machine, &s->nic, &reply, e);
}

static void step_done(void *arg, struct machine *m, const struct error *e)
{
	struct reconfigure *x = arg;

	(void)m;
	if (e != NULL && !x->going_back) {
		bool is_whole = x->steps[x->at].kind == HOT_NIC_ADD ||
				x->steps[x->at].kind == HOT_NIC_REMOVE;
		x->e = *e;
		x->going_back = true;
		x->at += !is_whole; /* a medium may be half done: the old one out */
	} else if (!x->going_back) {
		x->at++;
	}
	steps_next(x);
}

/* Forward to the end, or back to the beginning, where the failure is told. */
static void steps_next(struct reconfigure *x)
{
	struct error e = { 0 };

	while (x->going_back ? x->at > 0 : x->at < x->n_steps) {
		if (step_begin(x, &x->steps[x->going_back ? --x->at : x->at], &e)) {
			return;
		}
		if (!x->going_back) {
			x->e = e;
			x->going_back = true;
		}
	}
	if (x->going_back) {
		reconfigure_failed(x, &x->e, x->file);
		return;
	}
	reconfigure_files(x);
}

/* ---- the way ---- */

/* Cards that came have their wires, others lead nowhere any more. */
static void rewired(struct reconfigure *x, bool good)
{
	for (size_t i = 0; i < x->n_steps; i++) {
		struct hot_step *s = &x->steps[i];
		vm_wires_close(&s->nic, 1);
		if (s->kind == (good ? HOT_NIC_REMOVE : HOT_NIC_ADD)) {
			vm_wire_remove(x->op.vm, s->nic.key);
		}
	}
	if (x->is_rewired) {
		vm_network_coming(x->op.vm, NULL);
		host_plane_changed(x->op.layer->host);
	}
}

static void reconfigure_end(struct reconfigure *x)
{
	vm_count_cpu(x->op.vm, vm_cpu_reserved(vm_config(x->op.vm)));
	vm_plan_fini(&x->plan);
	buf_free(&x->work.vmx);
	value_drop(x->spec);
	value_drop(x->planned);
}

static void reconfigure_failed(struct reconfigure *x, const struct error *e, const char *file)
{
	if (x->leftover != NULL) {
		vm_leftover_free(x->leftover);
		vm_store_save(x->op.layer, NULL);
	}
	rewired(x, false);
	reconfigure_end(x);
	if (file == NULL) {
		vm_op_fail(&x->op, e);
	} else {
		vm_op_fail_file(&x->op, e, file);
	}
}

void vm_set_config(struct vm *vm, const struct value *config)
{
	struct vm_change change;

	vm_change_begin(vm, &change);
	inventory_set(vm->object, P_VirtualMachine_config, config);
	inventory_set_str(vm->object, P_ManagedEntity_name, value_get_str(config, CONFIG(name)));
	vm_set_places(vm);
	vm_files_forget(vm);
	vm_set_runtime(vm);
	vm_change_end(&change);
}

static void tell(struct reconfigure *x, const char *old_name)
{
	struct vm *vm = x->op.vm;
	struct value *event = value_new(x->op.arena, T_VmReconfiguredEvent);

	value_set(x->op.arena, event, F_VmReconfiguredEvent_configSpec, x->spec);
	vm_event(vm, &x->op, event, "Virtual machine \"%s\" on host \"%s\" is reconfigured",
		 vm_name(vm), vm->layer->host->node.name);
	if (strcmp(old_name, vm_name(vm)) != 0) {
		event = value_new(x->op.arena, T_VmRenamedEvent);
		value_set_str(x->op.arena, event, F_VmRenamedEvent_oldName, old_name);
		value_set_str(x->op.arena, event, F_VmRenamedEvent_newName, vm_name(vm));
		vm_event(vm, &x->op, event, "Virtual machine \"%s\" is now called \"%s\"", old_name,
			 vm_name(vm));
		vm_store_save(vm->layer, NULL);
		host_plane_changed(vm->layer->host); /* ports bear its name */
	}
}

static void reconfigure_finish(struct reconfigure *x)
{
	if (x->leftover != NULL) {
		vm_leftover_free(x->leftover);
		vm_store_save(x->op.layer, NULL);
	}
	for (size_t i = 0; i < x->op.held.n; i++) {
		host_datastore_refresh(x->op.held.items[i]);
	}
	reconfigure_end(x);
	vm_op_done(&x->op, NULL);
}

static void reconfigure_deleted(void *arg, const struct error *e)
{
	struct reconfigure *x = arg;

	if (e != NULL) {
		log_warn("a disk that \"%s\" no longer has could not be deleted: %s",
			 vm_name(x->op.vm), e->msg);
	}
	reconfigure_finish(x);
}

static void reconfigure_publish(struct reconfigure *x)
{
	struct vm *vm = x->op.vm;
	const char *old_name = arena_strdup(x->op.arena, vm_name(vm));

	/* The guest may have gone off meanwhile. */
	vm_set_config(vm, vm_config_connect(x->op.arena, x->config,
					    vm->power == E_VirtualMachinePowerState_poweredOn));
	rewired(x, true);
	tell(x, old_name);
	if (x->removal.n_disks == 0) {
		reconfigure_finish(x);
		return;
	}
	struct job_work work = { .run = vm_removal_run, .data = &x->removal, .is_brief = true };
	struct job_handler h = { .loop = x->op.layer->host->loop,
				 .done = reconfigure_deleted,
				 .arg = x };
	job_start(&h, &work);
}

static void reconfigure_written(void *arg, const struct error *e)
{
	struct reconfigure *x = arg;
	const char *file = x->work.failed;

	task_set_cancel(x->op.task, NULL, NULL);
	if (e != NULL) {
		x->e = *e;
		x->file = file == NULL || file[0] != '[' ? vm_path(x->op.vm) : file;
		x->going_back = true;
		steps_next(x);
		return;
	}
	x->config = vm_config_with_uuids(x->op.arena, x->config, &x->work);
	reconfigure_publish(x);
}

static void reconfigure_cancel(void *arg)
{
	job_cancel(arg);
}

static void reconfigure_progress(void *arg, uint64_t done, uint64_t total)
{
	struct reconfigure *x = arg;

	if (total > 0) {
		task_progress(x->op.task, (int)(done * 95 / total));
	}
}

static void reconfigure_files(struct reconfigure *x)
{
	if (x->op.layer->host->simulated && !x->op.vm->has_files) {
		reconfigure_publish(x);
		return;
	}
	struct job_work work = { .run = vm_file_work_run, .data = &x->work, .is_brief = true };
	struct job_handler h = { .loop = x->op.layer->host->loop,
				 .progress = reconfigure_progress,
				 .done = reconfigure_written,
				 .arg = x };
	struct job *job = job_start(&h, &work);
	task_set_cancel(x->op.task, x->work.n_disks > 0 ? reconfigure_cancel : NULL, job);
}

static void reconfigure_wired(void *arg, const struct error *e)
{
	struct reconfigure *x = arg;

	if (e != NULL) {
		reconfigure_failed(x, e, NULL);
		return;
	}
	steps_next(x);
}

/* The switch knows of cards before they come, and of networks before the task says that they have
 * changed. */
static void reconfigure_wire(struct reconfigure *x)
{
	struct vm *vm = x->op.vm;

	if (!x->is_rewired || vm->layer->host->plane == NULL) {
		steps_next(x);
		return;
	}
	for (size_t i = 0; i < x->n_steps; i++) {
		if (x->steps[i].kind == HOT_NIC_ADD &&
		    !vm_wires_open(vm, x->op.arena, &x->steps[i].nic, 1, &x->e)) {
			reconfigure_failed(x, &x->e, NULL);
			return;
		}
	}
	vm_network_coming(vm, vm_devices(x->config));
	host_plane_wait(vm->layer->host, reconfigure_wired, x);
}

static void reconfigure_prepared(void *arg, const struct error *e)
{
	struct reconfigure *x = arg;

	if (e != NULL) {
		reconfigure_failed(x, e, NULL);
		return;
	}
	reconfigure_wire(x);
}

/* Opens what the work needs; names new and doomed disks as left over. */
static bool prepare_files(struct reconfigure *x)
{
	struct vm *vm = x->op.vm;
	struct arena *a = x->op.arena;
	struct datastore_path at;

	struct host_datastore *d = host_datastore_of_path(vm->layer->host, vm_path(vm), &at, &x->e);
	x->work.ds = d == NULL ? NULL : host_datastore_open(d, &x->e);
	x->file = vm_path(vm);
	if (x->work.ds == NULL) {
		return false;
	}
	vm_op_hold(&x->op, d);
	x->work.vmx_path = arena_strdup(a, at.path);
	vm_config_text(x->config, &x->work.vmx);
	if (!vm_file_work_disks(&x->op, &x->plan, &x->work, &x->file, &x->e)) {
		return false;
	}
	x->removal.disks = arena_alloc(a, (x->work.n_disks + 1) * sizeof(*x->removal.disks));
	for (size_t i = 0; i < x->work.n_disks; i++) {
		const struct vm_disk_work *w = &x->work.disks[i];
		if (w->op.action == VM_DISK_EXTEND) {
			continue;
		}
		if (x->leftover == NULL) {
			x->leftover = vm_leftover_new(vm->layer, NULL);
		}
		vm_leftover_add(x->leftover, w->op.path);
		if (w->op.action == VM_DISK_DELETE) {
			x->removal.disks[x->removal.n_disks++] = *w;
		}
	}
	x->file = NULL;
	return true;
}

static void reconfigure_begin(struct reconfigure *x)
{
	struct vm *vm = x->op.vm;

	x->config = x->planned;
	vm_count_cpu(vm, MAX(vm->counted_mhz, vm_cpu_reserved(x->config)));
	if (vm->power == E_VirtualMachinePowerState_poweredOn && vm->machine != NULL) {
		find_steps(x);
		if (!vm_network_may_change(vm, vm_devices(x->config), &x->e)) {
			reconfigure_failed(x, &x->e, NULL);
			return;
		}
	}
	if (vm->layer->host->simulated && !vm->has_files) {
		steps_next(x);
		return;
	}
	if (!prepare_files(x)) {
		reconfigure_failed(x, &x->e, x->file);
		return;
	}
	if (x->leftover == NULL) {
		reconfigure_wire(x);
		return;
	}
	x->op.save = (struct vm_save){ .done = reconfigure_prepared, .arg = x };
	vm_store_save(vm->layer, &x->op.save);
}

/* ---- the plan ---- */

static bool plan_change(struct vm *vm, struct arena *a, const struct value *spec,
			struct vm_plan *plan, struct vm_refusal *r)
{
	struct vm_env env = host_vm_env(vm->layer->host, VM_STRICT);

	if (!vm_config_apply(a, vm_config(vm), spec, &env, plan, r)) {
		return false;
	}
	/* What pretends to run can be rebuilt while it does; scripts for simulators do so. */
	uint64_t want_mhz = vm_cpu_reserved(plan->config), free_mhz;
	bool is_fixed =
		vm->power != E_VirtualMachinePowerState_poweredOff && !vm->layer->host->simulated;
	struct vm *other = vm_by_name(vm->layer, value_get_str(plan->config, CONFIG(name)));
	if (other != NULL && other != vm) {
		vm_refuse(r, fault_duplicate_name(a, vm_name(other), other->object),
			  "there is a virtual machine \"%s\" already", vm_name(other));
	} else if ((plan->needs_power_off && is_fixed) ||
		   (plan->needs_awake && is_fixed &&
		    vm->power == E_VirtualMachinePowerState_suspended)) {
		vm_refuse(r,
			  fault_invalid_power_state(a, E_VirtualMachinePowerState_poweredOff,
						    vm->power),
			  "\"%s\": %s can be changed only while it is powered off", vm_name(vm),
			  plan->needs_power_off_why);
	} else if (vm->counted && !vm_cpu_fits(vm->layer, want_mhz, vm->counted_mhz, &free_mhz)) {
		struct vm_text text;
		struct value *fault = vm_cpu_fault(vm, want_mhz, free_mhz, a, &text);
		vm_refuse(r, fault, "%s", text.s);
	} else if (vm_uuid_is_free(vm->layer, plan->config, vm, a, r)) {
		return true;
	}
	vm_plan_fini(plan);
	return false;
}

/* The rest of a call that changes a VM to what `spec` says. */
static void change(struct call *c, const struct value *spec)
{
	struct vm *vm = vm_of_call(c);
	struct vm_plan plan = { 0 };
	struct vm_refusal r = { 0 };
	bool good = vm_config(vm) != NULL && plan_change(vm, c->arena, spec, &plan, &r);

	if (good && !may_use(c, vm, &plan)) {
		vm_plan_fini(&plan);
		return;
	}
	struct reconfigure *x = vm_op_begin(c, vm->layer, vm, sizeof(*x));
	if (x == NULL) {
		vm_plan_fini(&plan);
		return;
	}
	if (!vm_op_wants_config(&x->op)) {
		return;
	}
	if (!good) {
		vm_op_refused(&x->op, &r);
		return;
	}
	x->spec = value_keep(spec);
	x->planned = value_keep(plan.config);
	x->plan = plan;
	reconfigure_begin(x);
}

/* ---- methods ---- */

static void reconfigure(struct call *c)
{
	const struct value *spec = value_get_value(c->args, A_VirtualMachine_ReconfigVM_Task_spec);

	if (may_change(c, vm_of_call(c), spec)) {
		change(c, spec);
	}
}

static void rename_vm(struct call *c)
{
	struct value *spec = value_new(c->arena, T_VirtualMachineConfigSpec);

	value_set_str(c->arena, spec, SPEC(name),
		      value_get_str(c->args, A_ManagedEntity_Rename_Task_newName));
	if (call_require(c, c->self, "VirtualMachine.Config.Rename")) {
		change(c, spec);
	}
}

/* "vmx-19" → 19 */
static long version_number(const char *version)
{
	return version == NULL || strncmp(version, "vmx-", 4) != 0 ? 0
								   : strtol(version + 4, NULL, 10);
}

static void upgrade(struct call *c)
{
	struct vm *vm = vm_of_call(c);
	const char *to = value_get_str(c->args, A_VirtualMachine_UpgradeVM_Task_version);
	const char *now = value_get_str(vm_config(vm), CONFIG(version));
	struct value *spec = value_new(c->arena, T_VirtualMachineConfigSpec);

	if (to == NULL || to[0] == '\0') {
		to = "vmx-21";
	}
	if (version_number(to) <= version_number(now) && version_number(to) > 0) {
		struct vm_op *op = vm_op_begin(c, vm->layer, vm, sizeof(*op));
		if (op != NULL) {
			vm_op_fault(op, fault_new(op->arena, T_AlreadyUpgraded),
				    "\"%s\" has hardware version %s already", vm_name(vm), now);
		}
		return;
	}
	if (vm->power != E_VirtualMachinePowerState_poweredOff) {
		struct vm_op *op = vm_op_begin(c, vm->layer, vm, sizeof(*op));
		if (op != NULL) {
			vm_op_wants_power(op, E_VirtualMachinePowerState_poweredOff,
					  E_VirtualMachinePowerState_poweredOff);
		}
		return;
	}
	value_set_str(c->arena, spec, SPEC(version), to);
	change(c, spec);
}

void vm_reconfigure_register(struct vm_layer *l)
{
	struct service *s = l->host->api.service;

	service_handle(s, T_VirtualMachine, M_VirtualMachine_ReconfigVM_Task, reconfigure, l);
	service_handle(s, T_VirtualMachine, M_ManagedEntity_Rename_Task, rename_vm, l);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_UpgradeVM_Task, upgrade, l);
}
