/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing that a VM has, or may have, is taken away or used twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "host/driver_impl.h"
#include "host/driver_sim.h"
#include "host/vm_device.h"
#include "host/vm_impl.h"
#include "host/vm_world.h"

#define SPEC(f)	  F_VirtualMachineConfigSpec_##f
#define CONFIG(f) F_VirtualMachineConfigInfo_##f

enum {
	ON = E_VirtualMachinePowerState_poweredOn,
	OFF = E_VirtualMachinePowerState_poweredOff,
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

static int down(void **state)
{
	(void)state;
	world_down(&w);
	world_folder_remove(folder);
	return 0;
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

static bool delete_file(const char *path)
{
	struct object *manager = inventory_find(w.api->inventory, "ha-nfc-file-manager");
	struct value *args =
		value_new(w.arena, schema_method(M_FileManager_DeleteDatastoreFile_Task)->args);

	value_set_str(w.arena, args, A_FileManager_DeleteDatastoreFile_Task_name, path);
	return world_call(&w, manager, M_FileManager_DeleteDatastoreFile_Task, args);
}

static bool register_vm(const char *path, const char *name)
{
	struct value *args = value_new(w.arena, schema_method(M_Folder_RegisterVM_Task)->args);

	value_set_str(w.arena, args, A_Folder_RegisterVM_Task_path, path);
	value_set_str(w.arena, args, A_Folder_RegisterVM_Task_name, name);
	value_set_bool(w.arena, args, A_Folder_RegisterVM_Task_asTemplate, false);
	return world_call(&w, w.host->vm_folder, M_Folder_RegisterVM_Task, args);
}

static struct datastore *store(void)
{
	return host_datastore_open(host_datastore_find(w.host, "ds1"), NULL);
}

/* Adds the existing disk at `path` as a client may write it. */
static struct value *spec_with(const char *path)
{
	struct value *spec = value_new(w.arena, T_VirtualMachineConfigSpec);
	struct value *disk = value_new(w.arena, T_VirtualDisk);
	struct value *b = value_new(w.arena, T_VirtualDiskFlatVer2BackingInfo);

	value_set_str(w.arena, b, F_VirtualDeviceFileBackingInfo_fileName, path);
	value_set(w.arena, disk, F_VirtualDevice_backing, b);
	value_set_num(w.arena, disk, F_VirtualDevice_key, -1);
	value_set_num(w.arena, disk, F_VirtualDevice_controllerKey, 1000);
	world_change(&w, spec, E_VirtualDeviceConfigSpecOperation_add, disk);
	return spec;
}

/* ---- tests ---- */

static void a_disk_has_one_name(void **state)
{
	(void)state;
	static const char *const names[] = { "[ds1] one//one.vmdk", "[ds1]   one/one.vmdk",
					     "[ds1]one/one.vmdk" };
	struct vm *one = create("one", 4096);
	char name[8];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(name, sizeof(name), "vm%zu", i);
		struct vm *other = create(name, 0);
		assert_true(world_reconfigure(&w, other, spec_with(names[i])));
		power(one, M_VirtualMachine_PowerOnVM_Task);
		refused(world_power(&w, other, M_VirtualMachine_PowerOnVM_Task), T_FileLocked);
		power(one, M_VirtualMachine_PowerOffVM_Task);
		power(other, M_VirtualMachine_PowerOnVM_Task);
		refused(delete_file("[ds1] one/one.vmdk"), T_FileLocked);
		power(other, M_VirtualMachine_PowerOffVM_Task);
	}
	assert_true(world_power(&w, one, M_ManagedEntity_Destroy_Task));
	assert_true(world_has_file(&w, "one/one.vmdk"));
}

static void a_copy_has_an_identity_of_its_own(void **state)
{
	(void)state;
	struct vm *one = create("one", 64);
	char uuid[64];
	struct error e;
	const struct datastore_transfer t = {
		.from = store(), .from_path = "one", .to = store(), .to_path = "copy"
	};

	snprintf(uuid, sizeof(uuid), "%s", value_get_str(vm_config(one), CONFIG(uuid)));
	assert_true(datastore_copy(&t, NULL, &e));
	assert_true(register_vm("[ds1] copy/one.vmx", "copy"));
	struct vm *copy = world_find(&w, "copy");
	assert_string_equal(value_get_str(vm_config(one), CONFIG(uuid)), uuid);
	assert_string_not_equal(value_get_str(vm_config(copy), CONFIG(uuid)), uuid);
	char other[64];
	snprintf(other, sizeof(other), "%s", value_get_str(vm_config(copy), CONFIG(uuid)));
	/* Moved away and back it keeps what it has. */
	assert_true(world_power(&w, copy, M_VirtualMachine_UnregisterVM));
	assert_true(register_vm("[ds1] copy/one.vmx", "copy"));
	assert_string_equal(value_get_str(vm_config(world_find(&w, "copy")), CONFIG(uuid)), other);
	/* Nor can it be given that of another. */
	struct value *spec = value_new(w.arena, T_VirtualMachineConfigSpec);
	value_set_str(w.arena, spec, SPEC(uuid), uuid);
	refused(world_reconfigure(&w, world_find(&w, "copy"), spec), T_InvalidArgument);
	spec = world_spec(&w, "third", 0);
	value_set_str(w.arena, spec, SPEC(uuid), uuid);
	refused(world_create(&w, spec) != NULL, T_InvalidArgument);
}

/* A driver that cannot find out whether machines run. */
static struct driver_ops silent_ops;
static const struct driver_ops *silent_base;
static bool is_silent;
static int n_adoptions;

static bool silent_power_on(struct machine *m, enum machine_op how, const struct machine_spec *s,
			    struct error *e)
{
	n_adoptions += how == MACHINE_OP_ADOPT;
	if (how == MACHINE_OP_ADOPT && is_silent) {
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
}

static void restart_silent(bool silent)
{
	world_down(&w);
	is_silent = silent;
	n_adoptions = 0;
	world_up_with(&w, folder, false, be_silent);
}

static int64_t connection_of(struct vm *vm)
{
	return value_get_num(object_get(vm_object(vm), P_VirtualMachine_runtime, w.arena),
			     F_VirtualMachineRuntimeInfo_connectionState, -1);
}

static void what_may_run_keeps_its_files(void **state)
{
	(void)state;
	create("web", 64);
	restart_silent(true);
	struct vm *vm = world_find(&w, "web");
	assert_int_equal(connection_of(vm), E_VirtualMachineConnectionState_disconnected);
	refused(delete_file("[ds1] web/web.vmdk"), T_FileLocked);
	refused(delete_file("[ds1] web"), T_FileLocked);
	/* Looking at its file again does not tell whether it runs. */
	world_call(&w, vm_object(vm), M_ManagedEntity_Reload, NULL);
	assert_int_equal(connection_of(vm), E_VirtualMachineConnectionState_disconnected);
	refused(world_power(&w, vm, M_ManagedEntity_Destroy_Task), T_InvalidState);
	assert_true(world_has_file(&w, "web/web.vmdk"));
	w.driver->ops = silent_base;
}

static char *state_path(const char *name)
{
	return mem_printf("%s/%s", folder, name);
}

static void write_file(const char *name, const char *text)
{
	char *path = state_path(name);
	struct error e;

	if (!file_write_atomic(path, text, strlen(text), 0600, &e)) {
		fail_msg("%s", e.msg);
	}
	free(path);
}

static struct buf read_file(const char *name)
{
	char *path = state_path(name);
	struct buf b = BUF_INIT;
	struct error e;

	if (!file_read(path, 1 << 20, &b, &e)) {
		fail_msg("%s", e.msg);
	}
	free(path);
	return b;
}

#define VMX "state/datastores/ds1/web/web.vmx"

/* A VM that was hidden by a broken .vmx is looked for as soon as that can be read. */
static void a_vm_that_is_back_is_looked_for(void **state)
{
	(void)state;
	create("web", 64);
	struct buf vmx = read_file(VMX);
	write_file(VMX, "\xff not a .vmx");
	restart_silent(true);
	struct vm *vm = world_find(&w, "web");
	assert_int_equal(connection_of(vm), E_VirtualMachineConnectionState_invalid);
	assert_int_equal(n_adoptions, 0);
	write_file(VMX, vmx.data);
	buf_free(&vmx);
	assert_true(world_call(&w, vm_object(vm), M_ManagedEntity_Reload, NULL));
	assert_int_equal(n_adoptions, 1);
	assert_int_equal(connection_of(vm), E_VirtualMachineConnectionState_disconnected);
	refused(world_power(&w, vm, M_ManagedEntity_Destroy_Task), T_InvalidState);
	w.driver->ops = silent_base;
}

static void a_vm_is_looked_for_whatever_its_disks_are(void **state)
{
	(void)state;
	struct vm *vm = create("web", 64);
	struct value *spec = value_new(w.arena, T_VirtualMachineConfigSpec);
	struct value *disk = value_edit(w.arena, vm_device_find(vm_devices(vm_config(vm)), 2000));
	struct value *b = value_edit(w.arena, value_get_value(disk, F_VirtualDevice_backing));

	value_set_str(w.arena, b, F_VirtualDiskFlatVer2BackingInfo_diskMode,
		      "independent_nonpersistent");
	value_set(w.arena, disk, F_VirtualDevice_backing, b);
	world_change(&w, spec, E_VirtualDeviceConfigSpecOperation_edit, disk);
	assert_true(world_reconfigure(&w, vm, spec));
	restart_silent(false);
	assert_int_equal(n_adoptions, 1);
	w.driver->ops = silent_base;
}

/* What an interrupted operation named stays as long as nobody knows which disks a VM has. */
static void leftovers_wait_for_what_cannot_be_read(void **state)
{
	(void)state;
	create("web", 64);
	create("gone", 64);
	world_down(&w);
	struct buf vmx = read_file(VMX);
	write_file(VMX, "\xff not a .vmx");
	write_file("state/vms.json",
		   "{\"last_id\":2,\"vms\":[{\"id\":1,\"path\":\"[ds1] web/web.vmx\","
		   "\"name\":\"web\"}],\"leftovers\":[{\"disks\":[\"[ds1] web/web.vmdk\","
		   "\"[ds1] gone/gone.vmdk\"]}]}\n");
	world_up(&w, folder, false);
	assert_true(world_has_file(&w, "web/web.vmdk"));
	world_down(&w);
	write_file(VMX, vmx.data);
	buf_free(&vmx);
	world_up(&w, folder, false);
	assert_true(world_has_file(&w, "web/web.vmdk"));
	assert_false(world_has_file(&w, "gone/gone.vmdk"));
	power(world_find(&w, "web"), M_VirtualMachine_PowerOnVM_Task);
}

static void a_folder_stays_while_something_in_it_is_worked_on(void **state)
{
	(void)state;
	struct error e;
	create("web", 64);

	assert_true(host_file_claim(w.host, "[ds1] web/web.vmdk", &e));
	refused(delete_file("[ds1] web"), T_FileLocked);
	assert_false(host_file_claim(w.host, "[ds1] web", &e));
	assert_true(host_file_claim(w.host, "[ds1] web/web-data.vmdk", &e));
	assert_true(host_file_claim(w.host, "[ds1] web2", &e));
	host_file_unclaim(w.host, "[ds1] web/web.vmdk");
	host_file_unclaim(w.host, "[ds1] web/web-data.vmdk");
	assert_true(host_file_claim(w.host, "[ds1] web", &e));
	assert_false(host_file_claim(w.host, "[ds1] web/web.vmdk", &e));
	host_file_unclaim(w.host, "[ds1] web");
	host_file_unclaim(w.host, "[ds1] web2");
}

static bool make_store(const char *name, const char *path)
{
	struct value *args =
		value_new(w.arena, schema_method(M_HostDatastoreSystem_CreateLocalDatastore)->args);

	value_set_str(w.arena, args, A_HostDatastoreSystem_CreateLocalDatastore_name, name);
	value_set_str(w.arena, args, A_HostDatastoreSystem_CreateLocalDatastore_path, path);
	return world_call(&w, w.host->datastore_system, M_HostDatastoreSystem_CreateLocalDatastore,
			  args);
}

static bool is_accessible(void *name)
{
	struct host_datastore *d = host_datastore_find(w.host, name);
	const struct value *s = object_get(d->object, P_Datastore_summary, w.arena);

	return value_get_bool(s, F_DatastoreSummary_accessible, false);
}

/* The host serves what it has, and nothing else takes the place of what is missing. */
static void a_datastore_may_be_missing(void **state)
{
	(void)state;
	static char name[] = "ds2";
	char *path = state_path("extra"), *away = state_path("away");
	struct value *spec = world_spec(&w, "far", 64), *files;

	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(make_store(name, path));
	files = value_new(w.arena, T_VirtualMachineFileInfo);
	value_set_str(w.arena, files, F_VirtualMachineFileInfo_vmPathName, "[ds2]");
	value_set(w.arena, spec, SPEC(files), files);
	assert_non_null(world_create(&w, spec));
	create("near", 64);
	world_down(&w);
	assert_int_equal(rename(path, away), 0);
	world_up(&w, folder, false);
	power(world_find(&w, "near"), M_VirtualMachine_PowerOnVM_Task);
	assert_int_equal(connection_of(world_find(&w, "far")),
			 E_VirtualMachineConnectionState_inaccessible);
	assert_false(is_accessible(name));
	assert_int_not_equal(access(path, F_OK), 0);
	/* The empty folder that it will be mounted on. */
	assert_int_equal(mkdir(path, 0700), 0);
	clock_advance(w.clock, INT64_C(25000000));
	assert_false(is_accessible(name));
	world_down(&w);
	world_up(&w, folder, false);
	assert_false(is_accessible(name));
	assert_int_equal(rmdir(path), 0); /* nothing was put there */
	assert_int_equal(rename(away, path), 0);
	clock_advance(w.clock, INT64_C(25000000));
	assert_true(is_accessible(name));
	for (int i = 0; i < 100 && connection_of(world_find(&w, "far")) !=
					   E_VirtualMachineConnectionState_connected;
	     i++) {
		world_turn(&w);
	}
	power(world_find(&w, "far"), M_VirtualMachine_PowerOnVM_Task);
	free(path);
	free(away);
}

static void the_hosts_own_folders_are_no_datastores(void **state)
{
	(void)state;
	char *own[] = { mem_strdup("/"),
			state_path(""),
			state_path("state"),
			state_path("run"),
			state_path("state/datastores"),
			state_path("state/other"),
			state_path("state/datastores/ds1/web") };
	char *good = state_path("elsewhere");

	create("web", 64);
	assert_int_equal(mkdir(good, 0700), 0);
	assert_int_equal(mkdir(own[5], 0700), 0);
	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		if (make_store("ds2", own[i])) {
			fail_msg("\"%s\" became a datastore", own[i]);
		}
		free(own[i]);
	}
	assert_true(make_store("ds2", good));
	free(good);
}

static int64_t committed(struct vm *vm)
{
	const struct value *s = object_get(vm_object(vm), P_VirtualMachine_summary, w.arena);

	return value_get_num(value_get_value(s, F_VirtualMachineSummary_storage),
			     F_VirtualMachineStorageSummary_committed, -1);
}

/* A thin disk grows while its VM runs. */
static void what_a_disk_takes_is_looked_at_again(void **state)
{
	(void)state;
	struct vm *vm = create("web", 8192);
	char *path = state_path("state/datastores/ds1/web/web-flat.vmdk");
	static char data[1 << 20];

	power(vm, M_VirtualMachine_PowerOnVM_Task);
	int64_t before = committed(vm);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	memset(data, 'x', sizeof(data));
	assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
	close(fd);
	clock_advance(w.clock, INT64_C(340000000));
	assert_true(committed(vm) >= before + (1 << 20));
	free(path);
}

/* A driver whose drives take out the old medium and then fail to take the new one. */
static char mediums[8][300];
static int n_mediums;
static struct machine *jammed;
static uv_timer_t jam;

static void on_jam(uv_timer_t *t)
{
	struct error e = { 0 };

	(void)t;
	error_set(&e, ERROR_IO, "the drive is jammed");
	machine_done(jammed, &e);
}

static bool jam_set_medium(struct machine *m, int32_t key, const char *path, struct error *e)
{
	snprintf(mediums[n_mediums++], sizeof(mediums[0]), "%s", path == NULL ? "" : path);
	if (n_mediums > 1) {
		return silent_base->set_medium(m, key, path, e);
	}
	jammed = m;
	uv_timer_start(&jam, on_jam, 0, 0);
	return true;
}

static struct value *cdrom(int32_t key, const char *iso)
{
	struct value *d = value_new(w.arena, T_VirtualCdrom);
	struct value *b = value_new(w.arena, T_VirtualCdromIsoBackingInfo);
	struct value *c = value_new(w.arena, T_VirtualDeviceConnectInfo);

	value_set_bool(w.arena, c, F_VirtualDeviceConnectInfo_startConnected, true);
	value_set_bool(w.arena, c, F_VirtualDeviceConnectInfo_connected, true);
	value_set_bool(w.arena, c, F_VirtualDeviceConnectInfo_allowGuestControl, true);
	value_set_str(w.arena, b, F_VirtualDeviceFileBackingInfo_fileName, iso);
	value_set(w.arena, d, F_VirtualDevice_backing, b);
	value_set(w.arena, d, F_VirtualDevice_connectable, c);
	value_set_num(w.arena, d, F_VirtualDevice_key, key);
	value_set_num(w.arena, d, F_VirtualDevice_controllerKey, 200);
	return d;
}

static void a_drive_gets_its_medium_back(void **state)
{
	(void)state;
	struct value *spec = world_spec(&w, "web", 0);

	write_file("state/datastores/ds1/a.iso", "a");
	write_file("state/datastores/ds1/b.iso", "b");
	world_change(&w, spec, E_VirtualDeviceConfigSpecOperation_add, cdrom(-9, "[ds1] a.iso"));
	struct vm *vm = world_create(&w, spec);
	assert_non_null(vm);
	power(vm, M_VirtualMachine_PowerOnVM_Task);
	silent_base = w.driver->ops;
	silent_ops = *silent_base;
	silent_ops.set_medium = jam_set_medium;
	w.driver->ops = &silent_ops;
	uv_timer_init(&w.loop, &jam);
	spec = value_new(w.arena, T_VirtualMachineConfigSpec);
	world_change(&w, spec, E_VirtualDeviceConfigSpecOperation_edit, cdrom(3000, "[ds1] b.iso"));
	assert_false(world_reconfigure(&w, vm, spec));
	uv_close((uv_handle_t *)&jam, NULL);
	w.driver->ops = silent_base;
	assert_int_equal(n_mediums, 2);
	assert_non_null(strstr(mediums[0], "/b.iso"));
	assert_non_null(strstr(mediums[1], "/a.iso"));
}

static void a_port_writes_into_no_disk(void **state)
{
	(void)state;
	static const struct {
		const char *file;
		bool good;
	} files[] = { { "[ds1] web/web-flat.vmdk", false },
		      { "[ds1] web/web.VMX", false },
		      { "[ds1] web/web.nvram", false },
		      { "[ds1] web/web.vmss", false },
		      { "[ds1] .vmx", false },
		      { "[ds1] web/out.log", true },
		      { "[ds1] web/vmx", true } };

	create("web", 64);
	struct vm *vm = create("other", 0);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct value *spec = value_new(w.arena, T_VirtualMachineConfigSpec);
		struct value *port = value_new(w.arena, T_VirtualSerialPort);
		struct value *b = value_new(w.arena, T_VirtualSerialPortFileBackingInfo);
		value_set_str(w.arena, b, F_VirtualDeviceFileBackingInfo_fileName, files[i].file);
		value_set(w.arena, port, F_VirtualDevice_backing, b);
		value_set_num(w.arena, port, F_VirtualDevice_key, -7);
		value_set_bool(w.arena, port, F_VirtualSerialPort_yieldOnPoll, true);
		world_change(&w, spec, E_VirtualDeviceConfigSpecOperation_add, port);
		if (files[i].good) {
			assert_true(world_reconfigure(&w, vm, spec));
		} else {
			refused(world_reconfigure(&w, vm, spec), T_InvalidDeviceBacking);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_disk_has_one_name, up, down),
		cmocka_unit_test_setup_teardown(a_copy_has_an_identity_of_its_own, up, down),
		cmocka_unit_test_setup_teardown(what_may_run_keeps_its_files, up, down),
		cmocka_unit_test_setup_teardown(a_vm_that_is_back_is_looked_for, up, down),
		cmocka_unit_test_setup_teardown(a_vm_is_looked_for_whatever_its_disks_are, up,
						down),
		cmocka_unit_test_setup_teardown(leftovers_wait_for_what_cannot_be_read, up, down),
		cmocka_unit_test_setup_teardown(a_datastore_may_be_missing, up, down),
		cmocka_unit_test_setup_teardown(the_hosts_own_folders_are_no_datastores, up, down),
		cmocka_unit_test_setup_teardown(what_a_disk_takes_is_looked_at_again, up, down),
		cmocka_unit_test_setup_teardown(a_drive_gets_its_medium_back, up, down),
		cmocka_unit_test_setup_teardown(a_port_writes_into_no_disk, up, down),
		cmocka_unit_test_setup_teardown(a_folder_stays_while_something_in_it_is_worked_on,
						up, down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
