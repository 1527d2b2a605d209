/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "host/driver_impl.h"
#include "host/driver_sim.h"
#include "host/vm_device.h"
#include "host/vm_impl.h"
#include "host/vm_world.h"

#define CONFIG(f) F_VirtualMachineConfigInfo_##f
#define SPEC(f)	  F_VirtualMachineConfigSpec_##f

enum {
	ON = E_VirtualMachinePowerState_poweredOn,
	OFF = E_VirtualMachinePowerState_poweredOff,
	SUSPENDED = E_VirtualMachinePowerState_suspended,
};

static struct world w;
static char folder[64];

static int up(void **state)
{
	(void)state;
	world_folder_make(folder);
	world_up(&w, folder, false);
	return 0;
}

static int up_simulated(void **state)
{
	(void)state;
	world_folder_make(folder);
	world_up(&w, folder, true);
	return 0;
}

static int down(void **state)
{
	(void)state;
	world_down(&w);
	world_folder_remove(folder);
	return 0;
}

static void restart(void)
{
	world_down(&w);
	world_up(&w, folder, false);
}

static struct vm *create(const char *name, int64_t disk_kb)
{
	struct vm *vm = world_create(&w, world_spec(&w, name, disk_kb));

	if (vm == NULL) {
		fail_msg("%s", w.text);
	}
	return vm;
}

static void refused(bool ok, uint16_t fault)
{
	assert_false(ok);
	if (w.fault == NULL || value_type(w.fault) != fault) {
		fail_msg("%s: %s, not %s", w.text,
			 w.fault == NULL ? "nothing" : schema_type_name(value_type(w.fault)),
			 schema_type_name(fault));
	}
}

static void power(struct vm *vm, uint16_t method)
{
	if (!world_power(&w, vm, method)) {
		fail_msg("%s", w.text);
	}
}

static int64_t runtime_num(struct vm *vm, unsigned field, int64_t otherwise)
{
	return value_get_num(object_get(vm_object(vm), P_VirtualMachine_runtime, w.arena), field,
			     otherwise);
}

static bool is_off(void *vm)
{
	return vm_power_state(vm) == OFF;
}

/* ---- tests ---- */

static void a_vm_comes_and_stays(void **state)
{
	(void)state;
	struct vm *vm = create("web", 4096);
	char uuid[64];

	assert_string_equal(object_id(vm_object(vm)), "1");
	assert_string_equal(vm_name(vm), "web");
	assert_string_equal(vm_path(vm), "[ds1] web/web.vmx");
	assert_true(world_has_file(&w, "web/web.vmx"));
	assert_true(world_has_file(&w, "web/web.vmdk"));
	assert_int_equal(vm_power_state(vm), OFF);
	const struct value *disk = vm_device_find(vm_devices(vm_config(vm)), 2000);
	assert_non_null(value_get_str(value_get_value(disk, F_VirtualDevice_backing),
				      F_VirtualDiskFlatVer2BackingInfo_uuid));
	assert_int_equal(value_count(object_get(vm_object(vm), P_VirtualMachine_datastore, NULL)),
			 1);
	assert_int_equal(value_count(object_get(vm_object(vm), P_VirtualMachine_network, NULL)), 1);
	const struct value *summary = object_get(vm_object(vm), P_VirtualMachine_summary, w.arena);
	const struct value *config = value_get_value(summary, F_VirtualMachineSummary_config);
	assert_int_equal(value_get_num(config, F_VirtualMachineConfigSummary_numVirtualDisks, 0),
			 1);
	snprintf(uuid, sizeof(uuid), "%s", value_get_str(vm_config(vm), CONFIG(uuid)));
	const struct value *files =
		value_get_value(object_get(vm_object(vm), P_VirtualMachine_layoutEx, w.arena),
				F_VirtualMachineFileLayoutEx_file);
	assert_int_equal(value_count(files), 3);

	restart();
	vm = world_find(&w, "web");
	assert_non_null(vm);
	assert_string_equal(object_id(vm_object(vm)), "1");
	assert_string_equal(value_get_str(vm_config(vm), CONFIG(uuid)), uuid);
	assert_string_equal(object_id(vm_object(create("db", 0))), "2");
}

static void names_and_places_are_checked(void **state)
{
	(void)state;
	struct value *spec, *files;
	create("web", 0);

	refused(world_create(&w, world_spec(&w, "web", 0)) != NULL, T_DuplicateName);
	refused(world_create(&w, world_spec(&w, "", 0)) != NULL, T_InvalidName);
	refused(world_create(&w, world_spec(&w, "..", 0)) != NULL, T_InvalidName);
	spec = world_spec(&w, "x", 0);
	files = value_new(w.arena, T_VirtualMachineFileInfo);
	value_set_str(w.arena, files, F_VirtualMachineFileInfo_vmPathName, "[nowhere]");
	value_set(w.arena, spec, SPEC(files), files);
	refused(world_create(&w, spec) != NULL, T_InvalidDatastore);
	value_set_str(w.arena, files, F_VirtualMachineFileInfo_vmPathName, "[ds1] ../x/x.vmx");
	refused(world_create(&w, spec) != NULL, T_InvalidDatastorePath);
	value_set_str(w.arena, files, F_VirtualMachineFileInfo_vmPathName, "[ds1] web/web.vmx");
	refused(world_create(&w, spec) != NULL, T_FileAlreadyExists);
	value_set_str(w.arena, files, F_VirtualMachineFileInfo_vmPathName, "[ds1] deep/down.vmx");
	assert_non_null(world_create(&w, spec));
	assert_true(world_has_file(&w, "deep/down.vmx"));
	/* Names that are no folders, and a folder that is taken. */
	assert_string_equal(vm_name(create("a/b", 0)), "a%2fb");
	assert_string_equal(vm_path(world_find(&w, "a%2fb")), "[ds1] a_2fb/a_2fb.vmx");
	struct value *args = value_new(w.arena, schema_method(M_ManagedEntity_Rename_Task)->args);
	value_set_str(w.arena, args, A_ManagedEntity_Rename_Task_newName, "old");
	assert_true(world_call(&w, vm_object(world_find(&w, "web")), M_ManagedEntity_Rename_Task,
			       args));
	assert_string_equal(vm_path(create("web", 0)), "[ds1] web_1/web.vmx");
}

static void power_goes_on_and_off(void **state)
{
	(void)state;
	struct vm *vm = create("web", 4096);

	refused(world_power(&w, vm, M_VirtualMachine_PowerOffVM_Task), T_InvalidPowerState);
	assert_int_equal(value_get_num(w.fault, F_InvalidPowerState_existingState, -1), OFF);
	power(vm, M_VirtualMachine_PowerOnVM_Task);
	assert_int_equal(vm_power_state(vm), ON);
	assert_int_equal(runtime_num(vm, F_VirtualMachineRuntimeInfo_powerState, -1), ON);
	assert_true(runtime_num(vm, F_VirtualMachineRuntimeInfo_bootTime, 0) > 0);
	refused(world_power(&w, vm, M_VirtualMachine_PowerOnVM_Task), T_InvalidPowerState);
	refused(world_power(&w, vm, M_ManagedEntity_Destroy_Task), T_InvalidPowerState);
	refused(world_power(&w, vm, M_VirtualMachine_UnregisterVM), T_InvalidPowerState);
	refused(world_power(&w, vm, M_VirtualMachine_ShutdownGuest), T_ToolsUnavailable);
	power(vm, M_VirtualMachine_ResetVM_Task);
	power(vm, M_VirtualMachine_SuspendVM_Task);
	assert_int_equal(vm_power_state(vm), SUSPENDED);
	assert_true(runtime_num(vm, F_VirtualMachineRuntimeInfo_suspendTime, 0) > 0);
	power(vm, M_VirtualMachine_PowerOnVM_Task);
	power(vm, M_VirtualMachine_PowerOffVM_Task);
	assert_int_equal(vm_power_state(vm), OFF);
	assert_int_equal(runtime_num(vm, F_VirtualMachineRuntimeInfo_bootTime, 0), 0);
	/* One task at a time. */
	struct object *first =
		world_begin(&w, vm_object(vm), M_VirtualMachine_PowerOnVM_Task, NULL);
	refused(world_power(&w, vm, M_VirtualMachine_PowerOnVM_Task), T_TaskInProgress);
	assert_true(value_equal(value_get_value(w.fault, F_TaskInProgress_task), first->ref));
	assert_true(world_task_wait(&w, first));
	power(vm, M_VirtualMachine_PowerOffVM_Task);
}

static void what_does_not_fit_is_refused(void **state)
{
	(void)state;
	struct value *spec = world_spec(&w, "big", 0);
	value_set_num(w.arena, spec, SPEC(memoryMB), 8192);
	struct vm *big = world_create(&w, spec);
	refused(world_power(&w, big, M_VirtualMachine_PowerOnVM_Task),
		T_InsufficientMemoryResourcesFault);
	assert_int_equal(value_get_num(w.fault, F_InsufficientMemoryResourcesFault_requested, 0),
			 INT64_C(8) << 30);
	spec = world_spec(&w, "wide", 0);
	value_set_num(w.arena, spec, SPEC(numCPUs), 5);
	struct vm *wide = world_create(&w, spec);
	refused(world_power(&w, wide, M_VirtualMachine_PowerOnVM_Task), T_NotEnoughLogicalCpus);
	struct vm *vm = create("web", 4096);
	char path[300];
	snprintf(path, sizeof(path), "%s/web/web-flat.vmdk",
		 datastore_folder(host_datastore_find(w.host, "ds1")->ds));
	assert_int_equal(truncate(path, 100), 0);
	assert_false(world_power(&w, vm, M_VirtualMachine_PowerOnVM_Task));
	assert_true(value_is_a(w.fault, T_FileFault));
	assert_int_equal(unlink(path), 0);
	assert_false(world_power(&w, vm, M_VirtualMachine_PowerOnVM_Task));
	assert_true(value_is_a(w.fault, T_FileFault));
	assert_int_equal(vm_power_state(vm), OFF);
}

static struct value *reserving(const char *name, int64_t mhz)
{
	struct value *spec = name != NULL ? world_spec(&w, name, 0)
					  : value_new(w.arena, T_VirtualMachineConfigSpec);
	struct value *cpu = value_new(w.arena, T_ResourceAllocationInfo);

	value_set_num(w.arena, cpu, F_ResourceAllocationInfo_reservation, mhz);
	value_set(w.arena, spec, SPEC(cpuAllocation), cpu);
	return spec;
}

static void refused_cpu(bool ok, int64_t requested, int64_t unreserved)
{
	refused(ok, T_InsufficientCpuResourcesFault);
	assert_int_equal(value_get_num(w.fault, F_InsufficientCpuResourcesFault_requested, -1),
			 requested);
	assert_int_equal(value_get_num(w.fault, F_InsufficientCpuResourcesFault_unreserved, -1),
			 unreserved);
}

/* Four processors of 2 GHz. */
static void reservations_are_bounded(void **state)
{
	(void)state;
	struct vm *a = world_create(&w, reserving("a", 5000));
	struct vm *b = world_create(&w, reserving("b", 3001));
	power(a, M_VirtualMachine_PowerOnVM_Task);
	refused_cpu(world_power(&w, b, M_VirtualMachine_PowerOnVM_Task), 3001, 3000);
	assert_non_null(strstr(w.text, "\"b\" reserves 3001 MHz"));
	assert_true(world_reconfigure(&w, b, reserving(NULL, 3000)));
	power(b, M_VirtualMachine_PowerOnVM_Task);
	/* Of one that runs: what the other has stays. */
	refused_cpu(world_reconfigure(&w, b, reserving(NULL, 3001)), 3001, 3000);
	assert_true(world_reconfigure(&w, a, reserving(NULL, 4000)));
	assert_true(world_reconfigure(&w, b, reserving(NULL, 4000)));
	refused_cpu(world_reconfigure(&w, a, reserving(NULL, 4001)), 4001, 4000);
	power(b, M_VirtualMachine_PowerOffVM_Task);
	assert_true(world_reconfigure(&w, a, reserving(NULL, 8000)));
	refused_cpu(world_power(&w, b, M_VirtualMachine_PowerOnVM_Task), 4000, 0);
	power(a, M_VirtualMachine_PowerOffVM_Task);
	power(b, M_VirtualMachine_PowerOnVM_Task);
	power(b, M_VirtualMachine_PowerOffVM_Task);
}

static void a_vm_goes_with_its_files(void **state)
{
	(void)state;
	struct vm *vm = create("web", 4096);

	assert_true(world_power(&w, vm, M_ManagedEntity_Destroy_Task));
	assert_null(world_find(&w, "web"));
	assert_false(world_has_file(&w, "web"));
	vm = create("web", 4096);
	assert_string_equal(object_id(vm_object(vm)), "2");
	assert_true(world_power(&w, vm, M_VirtualMachine_UnregisterVM));
	assert_null(world_find(&w, "web"));
	assert_true(world_has_file(&w, "web/web.vmx"));
	restart();
	assert_null(world_find(&w, "web"));

	struct value *args = value_new(w.arena, schema_method(M_Folder_RegisterVM_Task)->args);
	value_set_str(w.arena, args, A_Folder_RegisterVM_Task_path, "[ds1] web/web.vmx");
	value_set_str(w.arena, args, A_Folder_RegisterVM_Task_name, "again");
	value_set_bool(w.arena, args, A_Folder_RegisterVM_Task_asTemplate, false);
	value_set(w.arena, args, A_Folder_RegisterVM_Task_pool, w.host->pool->ref);
	assert_true(world_call(&w, w.host->vm_folder, M_Folder_RegisterVM_Task, args));
	assert_non_null(world_find(&w, "again"));
	refused(world_call(&w, w.host->vm_folder, M_Folder_RegisterVM_Task, args), T_AlreadyExists);
	value_set_str(w.arena, args, A_Folder_RegisterVM_Task_path, "[ds1] no/no.vmx");
	refused(world_call(&w, w.host->vm_folder, M_Folder_RegisterVM_Task, args), T_FileNotFound);
	restart();
	assert_non_null(world_find(&w, "again"));
	assert_true(world_power(&w, world_find(&w, "again"), M_ManagedEntity_Destroy_Task));
	assert_false(world_has_file(&w, "web"));
}

static void a_vm_changes(void **state)
{
	(void)state;
	struct vm *vm = create("web", 4096);
	struct value *spec = value_new(w.arena, T_VirtualMachineConfigSpec);

	value_set_num(w.arena, spec, SPEC(numCPUs), 2);
	value_set_str(w.arena, spec, SPEC(annotation), "hello");
	assert_true(world_reconfigure(&w, vm, spec));
	assert_string_equal(value_get_str(vm_config(vm), CONFIG(annotation)), "hello");
	power(vm, M_VirtualMachine_PowerOnVM_Task);
	value_set_num(w.arena, spec, SPEC(numCPUs), 1);
	refused(world_reconfigure(&w, vm, spec), T_InvalidPowerState);
	spec = value_new(w.arena, T_VirtualMachineConfigSpec);
	value_set_str(w.arena, spec, SPEC(name), "shop");
	assert_true(world_reconfigure(&w, vm, spec));
	/* The cable of the running VM's card. */
	const struct value *nic = vm_device_find(vm_devices(vm_config(vm)), 4000);
	const struct value *c = value_get_value(nic, F_VirtualDevice_connectable);
	assert_true(value_get_bool(c, F_VirtualDeviceConnectInfo_connected, false));
	struct value *edit = value_edit(w.arena, nic), *out = value_edit(w.arena, c);
	value_set_bool(w.arena, out, F_VirtualDeviceConnectInfo_connected, false);
	value_set(w.arena, edit, F_VirtualDevice_connectable, out);
	spec = value_new(w.arena, T_VirtualMachineConfigSpec);
	world_change(&w, spec, E_VirtualDeviceConfigSpecOperation_edit, edit);
	if (!world_reconfigure(&w, vm, spec)) {
		fail_msg("%s", w.text);
	}
	nic = vm_device_find(vm_devices(vm_config(vm)), 4000);
	assert_false(value_get_bool(value_get_value(nic, F_VirtualDevice_connectable),
				    F_VirtualDeviceConnectInfo_connected, true));
	power(vm, M_VirtualMachine_PowerOffVM_Task);
	/* A disk goes, with its file. */
	const struct value *disk = vm_device_find(vm_devices(vm_config(vm)), 2000);
	spec = value_new(w.arena, T_VirtualMachineConfigSpec);
	struct value *change = world_change(&w, spec, E_VirtualDeviceConfigSpecOperation_remove,
					    value_edit(w.arena, disk));
	value_set_num(w.arena, change, F_VirtualDeviceConfigSpec_fileOperation,
		      E_VirtualDeviceConfigSpecFileOperation_destroy);
	assert_true(world_reconfigure(&w, vm, spec));
	assert_false(world_has_file(&w, "web/web.vmdk"));
	restart();
	vm = world_find(&w, "shop");
	assert_non_null(vm);
	assert_string_equal(value_get_str(vm_config(vm), CONFIG(annotation)), "hello");
	assert_null(vm_device_find(vm_devices(vm_config(vm)), 2000));
}

static void a_broken_vmx_loses_no_vm(void **state)
{
	(void)state;
	char path[300];
	struct error e;

	create("web", 0);
	snprintf(path, sizeof(path), "%s/web/web.vmx",
		 datastore_folder(host_datastore_find(w.host, "ds1")->ds));
	world_down(&w);
	assert_true(file_write_atomic(path, "lies", 4, 0644, &e));
	world_up(&w, folder, false);
	struct vm *vm = world_find(&w, "web");
	assert_non_null(vm);
	assert_int_equal(runtime_num(vm, F_VirtualMachineRuntimeInfo_connectionState, -1),
			 E_VirtualMachineConnectionState_invalid);
	refused(world_power(&w, vm, M_VirtualMachine_PowerOnVM_Task), T_InvalidState);
	restart();
	assert_non_null(world_find(&w, "web"));
	assert_true(world_power(&w, world_find(&w, "web"), M_VirtualMachine_UnregisterVM));
}

/* Was that path noted since `version`? */
static bool was_told(struct vm *vm, uint64_t version, const char *path)
{
	const struct object *o = vm_object(vm);

	for (uint32_t i = 0; i < o->n_journal; i++) {
		if (o->journal[i].version > version && strcmp(o->journal[i].path, path) == 0) {
			return true;
		}
	}
	return false;
}

static void clients_hear_of_exactly_what_changed(void **state)
{
	(void)state;
	struct vm *vm = create("web", 4096);
	uint64_t before = inventory_version(w.api->inventory);

	power(vm, M_VirtualMachine_PowerOnVM_Task);
	assert_true(was_told(vm, before, "runtime.powerState"));
	assert_true(was_told(vm, before, "runtime.bootTime"));
	assert_true(was_told(vm, before, "summary.runtime.powerState"));
	assert_true(was_told(vm, before, "config.hardware.device[4000].connectable.connected"));
	assert_false(was_told(vm, before, "config"));
	assert_false(was_told(vm, before, "summary"));
	assert_false(was_told(vm, before, "name"));
	before = inventory_version(w.api->inventory);
	struct value *spec = value_new(w.arena, T_VirtualMachineConfigSpec);
	value_set_str(w.arena, spec, SPEC(annotation), "note");
	assert_true(world_reconfigure(&w, vm, spec));
	assert_true(was_told(vm, before, "config.annotation"));
	assert_true(was_told(vm, before, "summary.config.annotation"));
	assert_false(was_told(vm, before, "runtime.powerState"));
}

static void machines_that_go_off_by_themselves_are_seen(void **state)
{
	(void)state;
	struct vm *vm = create("web", 0);

	power(vm, M_VirtualMachine_PowerOnVM_Task);
	driver_sim_guest_reset(vm->machine);
	assert_int_equal(vm_power_state(vm), ON);
	driver_sim_guest_off(vm->machine);
	assert_int_equal(vm_power_state(vm), OFF);
	assert_true(value_get_bool(object_get(vm_object(vm), P_VirtualMachine_runtime, NULL),
				   F_VirtualMachineRuntimeInfo_cleanPowerOff, false));
	/* In the midst of an operation. */
	power(vm, M_VirtualMachine_PowerOnVM_Task);
	struct object *task = world_begin(&w, vm_object(vm), M_VirtualMachine_ResetVM_Task, NULL);
	driver_sim_guest_off(vm->machine);
	assert_false(world_task_wait(&w, task));
	assert_int_equal(vm_power_state(vm), OFF);
	power(vm, M_VirtualMachine_PowerOnVM_Task);
}

static struct value *spec_with_disk(const char *name, int64_t kb, bool thin)
{
	struct value *spec = world_spec(&w, name, kb);
	const struct value *changes = value_get_value(spec, SPEC(deviceChange));
	const struct value *d =
		value_get_value(value_item(changes, 1), F_VirtualDeviceConfigSpec_device);
	struct value *b = value_edit(w.arena, value_get_value(d, F_VirtualDevice_backing));
	struct value *all = value_new_array(w.arena, T_VirtualDeviceConfigSpec);

	value_set_bool(w.arena, b, F_VirtualDiskFlatVer2BackingInfo_thinProvisioned, thin);
	for (size_t i = 0; i < value_count(changes); i++) {
		struct value *c = value_edit(w.arena, value_item(changes, i));
		if (i == 1) {
			struct value *disk = value_edit(w.arena, d);
			value_set(w.arena, disk, F_VirtualDevice_backing, b);
			value_set(w.arena, c, F_VirtualDeviceConfigSpec_device, disk);
		}
		value_push(w.arena, all, c);
	}
	value_set(w.arena, spec, SPEC(deviceChange), all);
	return spec;
}

/* A driver that cannot find out, for a while, whether a machine runs. */
static struct driver_ops silent_ops;
static const struct driver_ops *silent_base;
static int silences;

static bool silent_power_on(struct machine *m, enum machine_op how, const struct machine_spec *s,
			    struct error *e)
{
	if (how == MACHINE_OP_ADOPT && silences > 0) {
		silences--;
		return error_set(e, ERROR_UNREACHABLE, "\"%s\" does not answer", s->name);
	}
	return silent_base->power_on(m, how, s, e);
}

static void be_silent(struct world *x)
{
	silent_base = x->driver->ops;
	silent_ops = *silent_base;
	silent_ops.power_on = silent_power_on;
	x->driver->ops = &silent_ops;
	silences = 3;
}

static bool is_connected(void *vm)
{
	return runtime_num(vm, F_VirtualMachineRuntimeInfo_connectionState, -1) ==
	       E_VirtualMachineConnectionState_connected;
}

static void nobody_touches_what_may_run(void **state)
{
	(void)state;
	create("web", 64);
	world_down(&w);
	world_up_with(&w, folder, false, be_silent);
	struct vm *vm = world_find(&w, "web");
	assert_int_equal(runtime_num(vm, F_VirtualMachineRuntimeInfo_connectionState, -1),
			 E_VirtualMachineConnectionState_disconnected);
	refused(world_power(&w, vm, M_VirtualMachine_PowerOnVM_Task), T_InvalidState);
	refused(world_power(&w, vm, M_ManagedEntity_Destroy_Task), T_InvalidState);
	refused(world_power(&w, vm, M_VirtualMachine_UnregisterVM), T_InvalidState);
	world_wait(&w, is_connected, vm);
	assert_int_equal(silences, 0);
	assert_int_equal(vm_power_state(vm), OFF);
	w.driver->ops = silent_base; /* the simulating driver knows itself by its ops */
	power(vm, M_VirtualMachine_PowerOnVM_Task);
}

static void a_full_datastore_is_left_as_it_was(void **state)
{
	(void)state;
	refused(world_create(&w, spec_with_disk("web", INT64_C(50) << 30, false)) != NULL,
		T_NoDiskSpace);
	assert_string_equal(value_get_str(w.fault, F_NoDiskSpace_datastore), "ds1");
	assert_null(world_find(&w, "web"));
	assert_false(world_has_file(&w, "web"));
	create("web", 64);
	restart();
	assert_non_null(world_find(&w, "web"));
}

static void cancelled_in_time_or_not_at_all(void **state)
{
	(void)state;
	for (int k = 0; k < 6; k++) {
		struct value *args =
			value_new(w.arena, schema_method(M_Folder_CreateVM_Task)->args);
		value_set(w.arena, args, A_Folder_CreateVM_Task_config,
			  spec_with_disk("web", 65536, false));
		value_set(w.arena, args, A_Folder_CreateVM_Task_pool, w.host->pool->ref);
		struct object *task =
			world_begin(&w, w.host->vm_folder, M_Folder_CreateVM_Task, args);
		for (int i = 0; i < k; i++) {
			world_turn(&w);
		}
		world_begin(&w, task, M_Task_CancelTask, NULL);
		if (world_task_wait(&w, task)) {
			assert_true(world_power(&w, world_find(&w, "web"),
						M_ManagedEntity_Destroy_Task));
		} else {
			assert_int_equal(value_type(w.fault), T_RequestCanceled);
		}
		assert_null(world_find(&w, "web"));
		assert_false(world_has_file(&w, "web"));
	}
}

static void two_vms_do_not_share_a_disk_at_once(void **state)
{
	(void)state;
	struct vm *one = create("one", 4096), *two = create("two", 0);
	struct value *spec = value_new(w.arena, T_VirtualMachineConfigSpec);
	struct value *disk = value_new(w.arena, T_VirtualDisk);
	struct value *b = value_new(w.arena, T_VirtualDiskFlatVer2BackingInfo);

	value_set_str(w.arena, b, F_VirtualDeviceFileBackingInfo_fileName, "[ds1] one/one.vmdk");
	value_set(w.arena, disk, F_VirtualDevice_backing, b);
	value_set_num(w.arena, disk, F_VirtualDevice_key, -1);
	value_set_num(w.arena, disk, F_VirtualDevice_controllerKey, 1000);
	world_change(&w, spec, E_VirtualDeviceConfigSpecOperation_add, disk);
	assert_true(world_reconfigure(&w, two, spec));
	power(one, M_VirtualMachine_PowerOnVM_Task);
	refused(world_power(&w, two, M_VirtualMachine_PowerOnVM_Task), T_FileLocked);
	power(one, M_VirtualMachine_PowerOffVM_Task);
	power(two, M_VirtualMachine_PowerOnVM_Task);
	/* What the other still has is not deleted. */
	assert_true(world_power(&w, one, M_ManagedEntity_Destroy_Task));
	assert_true(world_has_file(&w, "one/one.vmdk"));
}

static void templates_do_not_run(void **state)
{
	(void)state;
	struct vm *vm = create("golden", 64);
	struct value *args;

	assert_true(world_power(&w, vm, M_VirtualMachine_MarkAsTemplate));
	refused(world_power(&w, vm, M_VirtualMachine_PowerOnVM_Task), T_NotSupported);
	restart();
	vm = world_find(&w, "golden");
	assert_true(value_get_bool(vm_config(vm), CONFIG(template), false));
	args = value_new(w.arena, schema_method(M_VirtualMachine_MarkAsVirtualMachine)->args);
	value_set(w.arena, args, A_VirtualMachine_MarkAsVirtualMachine_pool, w.host->pool->ref);
	assert_true(world_call(&w, vm_object(vm), M_VirtualMachine_MarkAsVirtualMachine, args));
	power(vm, M_VirtualMachine_PowerOnVM_Task);
}

static void thousands_are_small_and_quick(void **state)
{
	(void)state;
	enum {
		N = 10000,
	};
	static char names[N][24];
	static const char *list[N];
	struct vm_refusal r = { 0 };
	struct timespec from, to;

	for (int i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]), "DC0_H0_VM%d", i);
		list[i] = names[i];
	}
	struct vm_simulated what = { .names = list, .n = N, .on = true };
	size_t before = mallinfo2().uordblks;
	clock_gettime(CLOCK_MONOTONIC, &from);
	assert_true(vm_add_simulated(w.host, &what, &r));
	clock_gettime(CLOCK_MONOTONIC, &to);
	size_t each = (mallinfo2().uordblks - before) / N;
	int64_t ms = (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000;
	print_message("%d machines: %lld ms, %zu bytes each\n", N, (long long)ms, each);
	assert_true(each <= 2560);
	struct vm *vm = world_find(&w, "DC0_H0_VM4711");
	assert_int_equal(vm_power_state(vm), ON);
	power(vm, M_VirtualMachine_PowerOffVM_Task);
	power(vm, M_VirtualMachine_PowerOnVM_Task);
	assert_true(world_power(&w, vm, M_VirtualMachine_ShutdownGuest));
	world_wait(&w, is_off, vm);
	assert_true(world_power(&w, vm, M_ManagedEntity_Destroy_Task));
	assert_null(world_find(&w, "DC0_H0_VM4711"));
}

static void simulated_guests_say_what_they_are_told(void **state)
{
	(void)state;
	const char *names[] = { "a" };
	struct vm_simulated what = { .names = names, .n = 1, .on = true };
	struct vm_refusal r = { 0 };
	struct value *spec = value_new(w.arena, T_VirtualMachineConfigSpec);
	struct value *extra = value_new_array(w.arena, T_OptionValue);
	static const char *const said[][2] = {
		{ "SET.guest.ipAddress", "10.0.0.1" },
		{ "SET.guest.hostName", "a.example" },
		{ "SET.guest.net", "no text" },
		{ "SET.guest.nonsense", "x" },
	};

	assert_true(vm_add_simulated(w.host, &what, &r));
	struct vm *vm = world_find(&w, "a");
	for (size_t i = 0; i < ARRAY_LEN(said); i++) {
		struct value *o = value_new(w.arena, T_OptionValue);
		value_set_str(w.arena, o, F_OptionValue_key, said[i][0]);
		value_set(w.arena, o, F_OptionValue_value, value_new_str(w.arena, said[i][1]));
		value_push(w.arena, extra, o);
	}
	value_set(w.arena, spec, SPEC(extraConfig), extra);
	assert_true(world_reconfigure(&w, vm, spec));
	const struct value *guest = object_get(vm_object(vm), P_VirtualMachine_guest, w.arena);
	const struct value *summary = object_get(vm_object(vm), P_VirtualMachine_summary, w.arena);
	summary = value_get_value(summary, F_VirtualMachineSummary_guest);
	assert_string_equal(value_get_str(guest, F_GuestInfo_ipAddress), "10.0.0.1");
	assert_int_equal(value_count(value_get_value(guest, F_GuestInfo_net)), 1);
	assert_string_equal(value_get_str(summary, F_VirtualMachineGuestSummary_ipAddress),
			    "10.0.0.1");
	assert_string_equal(value_get_str(summary, F_VirtualMachineGuestSummary_hostName),
			    "a.example");
}

static void simulated_files_are_there_when_looked_at(void **state)
{
	(void)state;
	static const char *const names[] = { "a", "b", "c" };
	struct vm_simulated what = { .names = names, .n = 3 };
	struct vm_refusal r = { 0 };

	assert_true(vm_add_simulated(w.host, &what, &r));
	struct vm *early = create("early", 1024);
	assert_null(host_datastore_find(w.host, "ds1")->ds);
	assert_true(world_has_file(&w, "b/b.vmx"));
	assert_true(world_has_file(&w, "early/early.vmdk"));
	create("late", 1024);
	assert_true(world_has_file(&w, "late/late-flat.vmdk"));
	struct value *spec = value_new(w.arena, T_VirtualMachineConfigSpec);
	value_set_str(w.arena, spec, SPEC(annotation), "x");
	assert_true(world_reconfigure(&w, early, spec));
	assert_true(world_power(&w, early, M_ManagedEntity_Destroy_Task));
	assert_false(world_has_file(&w, "early"));
	power(world_find(&w, "a"), M_VirtualMachine_PowerOnVM_Task);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_vm_comes_and_stays, up, down),
		cmocka_unit_test_setup_teardown(names_and_places_are_checked, up, down),
		cmocka_unit_test_setup_teardown(power_goes_on_and_off, up, down),
		cmocka_unit_test_setup_teardown(what_does_not_fit_is_refused, up, down),
		cmocka_unit_test_setup_teardown(reservations_are_bounded, up, down),
		cmocka_unit_test_setup_teardown(a_vm_goes_with_its_files, up, down),
		cmocka_unit_test_setup_teardown(a_vm_changes, up, down),
		cmocka_unit_test_setup_teardown(a_broken_vmx_loses_no_vm, up, down),
		cmocka_unit_test_setup_teardown(clients_hear_of_exactly_what_changed, up, down),
		cmocka_unit_test_setup_teardown(machines_that_go_off_by_themselves_are_seen, up,
						down),
		cmocka_unit_test_setup_teardown(nobody_touches_what_may_run, up, down),
		cmocka_unit_test_setup_teardown(a_full_datastore_is_left_as_it_was, up, down),
		cmocka_unit_test_setup_teardown(cancelled_in_time_or_not_at_all, up, down),
		cmocka_unit_test_setup_teardown(two_vms_do_not_share_a_disk_at_once, up, down),
		cmocka_unit_test_setup_teardown(templates_do_not_run, up, down),
		cmocka_unit_test_setup_teardown(thousands_are_small_and_quick, up_simulated, down),
		cmocka_unit_test_setup_teardown(simulated_guests_say_what_they_are_told,
						up_simulated, down),
		cmocka_unit_test_setup_teardown(simulated_files_are_there_when_looked_at,
						up_simulated, down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
