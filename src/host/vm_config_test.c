/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "host/vm_config.h"
#include "host/vm_device.h"

#define INFO(f) F_VirtualMachineConfigInfo_##f
#define SPEC(f) F_VirtualMachineConfigSpec_##f

/* ---- a small world: one datastore, one network, one disk ---- */

static struct arena *world;

static const struct value *ref_of(void *arg, const char *name)
{
	(void)arg;
	return strcmp(name, "ds1") == 0 ? value_new_ref(world, T_Datastore, "ds-1") : NULL;
}

static const char *url_of(void *arg, const char *name)
{
	(void)arg;
	return strcmp(name, "ds1") == 0 ? "ds:///vmfs/volumes/1/" : NULL;
}

static const struct value *network_ref(void *arg, const char *name)
{
	(void)arg;
	return strcmp(name, "VM Network") == 0 ? value_new_ref(world, T_Network, "net-1") : NULL;
}

static const char *network_name(void *arg, const struct value *ref)
{
	(void)arg;
	return strcmp(value_bytes(ref), "net-1") == 0 ? "VM Network" : NULL;
}

static bool disk_facts(void *arg, const char *path, struct disk_info *out, struct error *e)
{
	(void)arg;
	if (strstr(path, "missing") != NULL) {
		return error_set(e, ERROR_NOT_FOUND, "there is no disk \"%s\"", path);
	}
	*out = (struct disk_info){ .capacity = 64 << 20, .format = DISK_THIN };
	snprintf(out->uuid, sizeof(out->uuid), "60001111-2222-3333-4444-555566667777");
	return true;
}

static bool file_exists(void *arg, const char *path)
{
	(void)arg;
	return strstr(path, "taken") != NULL || strstr(path, ".iso") != NULL;
}

static struct vm_env make_env(enum vm_strictness strictness)
{
	return (struct vm_env){ .datastore_ref = ref_of,
				.datastore_url = url_of,
				.network_ref = network_ref,
				.network_name = network_name,
				.disk = disk_facts,
				.file_exists = file_exists,
				.now_us = 1700000000000000,
				.max_cpus = 8,
				.max_memory_mb = 65536,
				.strictness = strictness };
}

static void add(struct value *changes, struct value *device, bool create)
{
	struct value *c = value_new(world, T_VirtualDeviceConfigSpec);

	value_set_num(world, c, F_VirtualDeviceConfigSpec_operation,
		      E_VirtualDeviceConfigSpecOperation_add);
	if (create) {
		value_set_num(world, c, F_VirtualDeviceConfigSpec_fileOperation,
			      E_VirtualDeviceConfigSpecFileOperation_create);
	}
	value_set(world, c, F_VirtualDeviceConfigSpec_device, device);
	value_push(world, changes, c);
}

static struct value *device(uint16_t type, int32_t key, int32_t controller)
{
	struct value *d = value_new(world, type);

	value_set_num(world, d, F_VirtualDevice_key, key);
	if (controller != 0) {
		value_set_num(world, d, F_VirtualDevice_controllerKey, controller);
	}
	return d;
}

static struct value *nic_device(uint16_t type, const char *network)
{
	struct value *nic = device(type, -20, 0);
	struct value *b = value_new(world, T_VirtualEthernetCardNetworkBackingInfo);

	value_set_str(world, b, F_VirtualDeviceDeviceBackingInfo_deviceName, network);
	value_set(world, nic, F_VirtualDevice_backing, b);
	return nic;
}

static struct value *disk_device(int32_t key, int32_t controller, const char *path, int64_t kb)
{
	struct value *d = device(T_VirtualDisk, key, controller);
	struct value *b = value_new(world, T_VirtualDiskFlatVer2BackingInfo);

	value_set_str(world, b, F_VirtualDeviceFileBackingInfo_fileName, path);
	value_set_str(world, b, F_VirtualDiskFlatVer2BackingInfo_diskMode, "persistent");
	value_set_bool(world, b, F_VirtualDiskFlatVer2BackingInfo_thinProvisioned, true);
	value_set(world, d, F_VirtualDevice_backing, b);
	value_set_num(world, d, F_VirtualDevice_unitNumber, -1);
	value_set_num(world, d, F_VirtualDisk_capacityInKB, kb);
	return d;
}

static struct value *new_spec(const char *name)
{
	struct value *spec = value_new(world, T_VirtualMachineConfigSpec);
	struct value *changes = value_new_array(world, T_VirtualDeviceConfigSpec);
	struct value *cd = device(T_VirtualCdrom, -30, 200);
	struct value *iso = value_new(world, T_VirtualCdromIsoBackingInfo);

	value_set_str(world, spec, SPEC(name), name);
	value_set_str(world, spec, SPEC(guestId), "debian12_64Guest");
	value_set_num(world, spec, SPEC(memoryMB), 128);
	value_set_num(world, spec, SPEC(numCPUs), 2);
	value_set_str(world, spec, SPEC(annotation), "two\nlines | and \"quotes\"");
	add(changes, device(T_ParaVirtualSCSIController, -1, 0), false);
	add(changes, disk_device(-2, -1, "[ds1]", 1024), true);
	add(changes, disk_device(-3, -1, "[ds1] other/disk.vmdk", 0), false);
	add(changes, nic_device(T_VirtualVmxnet3, "VM Network"), false);
	add(changes, device(T_VirtualSerialPort, -40, 0), false);
	value_set_str(world, iso, F_VirtualDeviceFileBackingInfo_fileName, "[ds1] iso/debian.iso");
	value_set(world, cd, F_VirtualDevice_backing, iso);
	add(changes, cd, false);
	value_set(world, spec, SPEC(deviceChange), changes);
	return spec;
}

static const struct value *devices_of(const struct value *config)
{
	return value_get_value(value_get_value(config, INFO(hardware)), F_VirtualHardware_device);
}

static void a_new_vm_has_its_devices(void **state)
{
	(void)state;
	struct vm_env env = make_env(VM_STRICT);
	struct vm_plan plan;
	struct vm_refusal r;

	assert_true(vm_config_create(world, new_spec("vm"), "[ds1] vm/vm.vmx", &env, &plan, &r));
	const struct value *all = devices_of(plan.config);
	const struct value *disk = vm_device_find(all, 2000);
	assert_non_null(disk);
	assert_int_equal(value_get_num(disk, F_VirtualDevice_controllerKey, 0), 1000);
	assert_string_equal(value_get_str(value_get_value(disk, F_VirtualDevice_backing),
					  F_VirtualDeviceFileBackingInfo_fileName),
			    "[ds1] vm/vm.vmdk");
	assert_int_equal(value_get_num(vm_device_find(all, 2001), F_VirtualDisk_capacityInKB, 0),
			 65536);
	assert_non_null(vm_device_find(all, 4000));
	assert_non_null(vm_device_find(all, 9000));
	assert_non_null(vm_device_find(all, 3000));
	assert_int_equal(plan.disk_ops.n, 1);
	assert_int_equal(plan.disk_ops.items[0].capacity, 1 << 20);
	/* Controllers know their children. */
	const struct value *children =
		value_get_value(vm_device_find(all, 1000), F_VirtualController_device);
	assert_int_equal(value_count(children), 2);
	vm_plan_fini(&plan);
}

static void a_vmx_tells_the_same(void **state)
{
	(void)state;
	struct vm_env env = make_env(VM_STRICT);
	struct vm_plan plan;
	struct vm_refusal r;
	struct error e;
	struct buf text = BUF_INIT, again = BUF_INIT;
	const struct value *back = NULL;

	struct value *spec = new_spec("vm");
	struct value *extra = value_new_array(world, T_OptionValue);
	struct value *option = value_new(world, T_OptionValue);
	value_set_str(world, option, F_OptionValue_key, "guestinfo.ip");
	value_set(world, option, F_OptionValue_value, value_new_str(world, "1.2.3.4"));
	value_push(world, extra, option);
	value_set(world, spec, SPEC(extraConfig), extra);
	assert_true(vm_config_create(world, spec, "[ds1] vm/vm.vmx", &env, &plan, &r));
	struct vmx *vmx = vm_config_to_vmx(plan.config);
	vmx_write(vmx, &text);
	struct vmx *read = vmx_parse(text.data, text.len, &e);
	assert_non_null(read);
	env.strictness = VM_RELOAD;
	if (!vm_config_from_vmx(world, read, "[ds1] vm/vm.vmx", &env, &back, &r)) {
		fail_msg("%s", r.text);
	}
	struct vmx *vmx2 = vm_config_to_vmx(back);
	vmx_write(vmx2, &again);
	assert_string_equal(text.data, again.data);
	assert_string_equal(value_get_str(back, INFO(annotation)), "two\nlines | and \"quotes\"");
	assert_string_equal(value_get_str(back, INFO(uuid)),
			    value_get_str(plan.config, INFO(uuid)));
	assert_string_equal(value_get_str(back, INFO(changeVersion)),
			    value_get_str(plan.config, INFO(changeVersion)));
	assert_int_equal(value_count(devices_of(back)), value_count(devices_of(plan.config)));
	vmx_free(vmx);
	vmx_free(vmx2);
	vmx_free(read);
	buf_free(&text);
	buf_free(&again);
	vm_plan_fini(&plan);
}

static uint16_t refused(struct value *spec)
{
	struct vm_env env = make_env(VM_STRICT);
	struct vm_plan plan;
	struct vm_refusal r = { 0 };

	assert_false(vm_config_create(world, spec, "[ds1] vm/vm.vmx", &env, &plan, &r));
	assert_non_null(r.fault);
	assert_true(r.text[0] != '\0');
	return r.fault->type;
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	char long_name[301];
	struct value *spec, *changes;

	memset(long_name, 'a', 300);
	long_name[300] = '\0';
	assert_int_equal(refused(new_spec("")), T_InvalidName);
	assert_int_equal(refused(new_spec("..")), T_InvalidName);
	assert_int_equal(refused(new_spec(long_name)), T_InvalidName);
	spec = new_spec("vm");
	value_set_num(world, spec, SPEC(memoryMB), 0);
	assert_int_equal(refused(spec), T_MemorySizeNotSupported);
	spec = new_spec("vm");
	value_set_num(world, spec, SPEC(numCPUs), -1);
	assert_int_equal(refused(spec), T_InvalidArgument);
	spec = new_spec("vm");
	value_set_str(world, spec, SPEC(guestId), "noSuchGuest");
	assert_int_equal(refused(spec), T_InvalidArgument);
	static const struct {
		const char *path;
		uint16_t fault;
		bool create;
	} disks[] = {
		{ "[ds1] ../etc/passwd.vmdk", T_InvalidDatastorePath, true },
		{ "[nowhere] x.vmdk", T_InvalidDatastorePath, true },
		{ "/etc/passwd", T_InvalidDatastorePath, false },
		{ "[ds1] missing.vmdk", T_FileNotFound, false },
		{ "[ds1] taken.vmdk", T_FileAlreadyExists, true },
	};
	for (size_t i = 0; i < ARRAY_LEN(disks); i++) {
		spec = value_new(world, T_VirtualMachineConfigSpec);
		changes = value_new_array(world, T_VirtualDeviceConfigSpec);
		value_set_str(world, spec, SPEC(name), "vm");
		add(changes, disk_device(-2, 200, disks[i].path, 1024), disks[i].create);
		value_set(world, spec, SPEC(deviceChange), changes);
		assert_int_equal(refused(spec), disks[i].fault);
	}
	spec = value_new(world, T_VirtualMachineConfigSpec);
	changes = value_new_array(world, T_VirtualDeviceConfigSpec);
	value_set_str(world, spec, SPEC(name), "vm");
	add(changes, disk_device(-2, 4711, "[ds1]", 1024), true);
	value_set(world, spec, SPEC(deviceChange), changes);
	assert_int_equal(refused(spec), T_InvalidController);
	changes = value_new_array(world, T_VirtualDeviceConfigSpec);
	add(changes, nic_device(T_VirtualE1000e, "no such network"), false);
	value_set(world, spec, SPEC(deviceChange), changes);
	assert_int_equal(refused(spec), T_InvalidDeviceBacking);

	/* A disk that builds on another would be an empty one. */
	struct value *child = disk_device(-2, 200, "[ds1]", 1024);
	struct value *back = value_edit(world, value_get_value(child, F_VirtualDevice_backing));
	struct value *parent = value_new(world, T_VirtualDiskFlatVer2BackingInfo);
	value_set_str(world, parent, F_VirtualDeviceFileBackingInfo_fileName, "[ds1] a/a.vmdk");
	value_set_str(world, parent, F_VirtualDiskFlatVer2BackingInfo_diskMode, "persistent");
	value_set(world, back, F_VirtualDiskFlatVer2BackingInfo_parent, parent);
	value_set(world, child, F_VirtualDevice_backing, back);
	changes = value_new_array(world, T_VirtualDeviceConfigSpec);
	add(changes, child, true);
	value_set(world, spec, SPEC(deviceChange), changes);
	assert_int_equal(refused(spec), T_InvalidDeviceBacking);
}

static void a_stale_change_is_refused(void **state)
{
	(void)state;
	struct vm_env env = make_env(VM_STRICT);
	struct vm_plan plan, next;
	struct vm_refusal r;
	struct value *change = value_new(world, T_VirtualMachineConfigSpec);

	assert_true(vm_config_create(world, new_spec("vm"), "[ds1] vm/vm.vmx", &env, &plan, &r));
	value_set_str(world, change, SPEC(annotation), "new");
	value_set_str(world, change, SPEC(changeVersion), "2001-01-01T00:00:00Z");
	assert_false(vm_config_apply(world, plan.config, change, &env, &next, &r));
	assert_int_equal(r.fault->type, T_ConcurrentAccess);
	value_set_str(world, change, SPEC(changeVersion),
		      value_get_str(plan.config, INFO(changeVersion)));
	assert_true(vm_config_apply(world, plan.config, change, &env, &next, &r));
	assert_string_equal(value_get_str(next.config, INFO(annotation)), "new");
	assert_false(next.needs_power_off);
	vm_plan_fini(&next);
	value_set_num(world, change, SPEC(memoryMB), 256);
	assert_true(vm_config_apply(world, plan.config, change, &env, &next, &r));
	assert_true(next.needs_power_off);
	vm_plan_fini(&next);
	vm_plan_fini(&plan);
}

static void a_disk_grows_but_does_not_shrink(void **state)
{
	(void)state;
	struct vm_env env = make_env(VM_STRICT);
	struct vm_plan plan, next;
	struct vm_refusal r;

	assert_true(vm_config_create(world, new_spec("vm"), "[ds1] vm/vm.vmx", &env, &plan, &r));
	for (int pass = 0; pass < 2; pass++) {
		struct value *spec = value_new(world, T_VirtualMachineConfigSpec);
		struct value *changes = value_new_array(world, T_VirtualDeviceConfigSpec);
		struct value *c = value_new(world, T_VirtualDeviceConfigSpec);
		struct value *disk =
			value_edit(world, vm_device_find(devices_of(plan.config), 2000));
		value_set_num(world, disk, F_VirtualDisk_capacityInKB, pass == 0 ? 4096 : 512);
		value_set_num(world, c, F_VirtualDeviceConfigSpec_operation,
			      E_VirtualDeviceConfigSpecOperation_edit);
		value_set(world, c, F_VirtualDeviceConfigSpec_device, disk);
		value_push(world, changes, c);
		value_set(world, spec, SPEC(deviceChange), changes);
		bool good = vm_config_apply(world, plan.config, spec, &env, &next, &r);
		assert_int_equal(good, pass == 0);
		if (good) {
			assert_int_equal(next.disk_ops.n, 1);
			assert_int_equal(next.disk_ops.items[0].action, VM_DISK_EXTEND);
			assert_int_equal(next.disk_ops.items[0].capacity, 4 << 20);
			vm_plan_fini(&next);
		}
	}
	vm_plan_fini(&plan);
}

static int make_world(void **state)
{
	(void)state;
	world = arena_new(0);
	return 0;
}

static int drop_world(void **state)
{
	(void)state;
	arena_free(world);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_vm_has_its_devices),
		cmocka_unit_test(a_vmx_tells_the_same),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(a_stale_change_is_refused),
		cmocka_unit_test(a_disk_grows_but_does_not_shrink),
	};
	return cmocka_run_group_tests(tests, make_world, drop_world);
}
