/* SPDX-License-Identifier: Apache-2.0 */
/* What configurations become for the driver, written down line by line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "host/vm_impl.h"
#include "host/vm_world.h"

#define SPEC(f) F_VirtualMachineConfigSpec_##f

enum {
	ADD = E_VirtualDeviceConfigSpecOperation_add,
};

static struct world w;
static char folder[64];
static struct value *spec;

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

/* ---- making ---- */

static struct value *device(uint16_t type, int32_t key, int32_t controller)
{
	struct value *d = value_new(w.arena, type);

	value_set_num(w.arena, d, F_VirtualDevice_key, key);
	if (controller != 0) {
		value_set_num(w.arena, d, F_VirtualDevice_controllerKey, controller);
	}
	return d;
}

static struct value *disk(int32_t key, int32_t controller, const char *mode)
{
	struct value *d = device(T_VirtualDisk, key, controller);
	struct value *b = value_new(w.arena, T_VirtualDiskFlatVer2BackingInfo);

	value_set_str(w.arena, b, F_VirtualDiskFlatVer2BackingInfo_diskMode, mode);
	value_set_bool(w.arena, b, F_VirtualDiskFlatVer2BackingInfo_thinProvisioned, true);
	value_set(w.arena, d, F_VirtualDevice_backing, b);
	value_set_num(w.arena, d, F_VirtualDisk_capacityInKB, 64);
	struct value *c = world_change(&w, spec, ADD, d);
	value_set_num(w.arena, c, F_VirtualDeviceConfigSpec_fileOperation,
		      E_VirtualDeviceConfigSpecFileOperation_create);
	return d;
}

static void nic(uint16_t type, int32_t key, const char *mac, bool start)
{
	struct value *d = device(type, key, 0);
	struct value *b = value_new(w.arena, T_VirtualEthernetCardNetworkBackingInfo);
	struct value *c = value_new(w.arena, T_VirtualDeviceConnectInfo);

	value_set_str(w.arena, b, F_VirtualDeviceDeviceBackingInfo_deviceName, "VM Network");
	value_set(w.arena, d, F_VirtualDevice_backing, b);
	value_set_str(w.arena, d, F_VirtualEthernetCard_macAddress, mac);
	value_set_bool(w.arena, c, F_VirtualDeviceConnectInfo_startConnected, start);
	value_set_bool(w.arena, c, F_VirtualDeviceConnectInfo_connected, false);
	value_set_bool(w.arena, c, F_VirtualDeviceConnectInfo_allowGuestControl, true);
	value_set(w.arena, d, F_VirtualDevice_connectable, c);
	world_change(&w, spec, ADD, d);
}

static void cdrom(int32_t key, int32_t controller, const char *image)
{
	struct value *d = device(T_VirtualCdrom, key, controller);
	struct value *b = value_new(w.arena, T_VirtualCdromIsoBackingInfo);

	value_set_str(w.arena, b, F_VirtualDeviceFileBackingInfo_fileName, image);
	value_set(w.arena, d, F_VirtualDevice_backing, b);
	world_change(&w, spec, ADD, d);
}

static void file_port(int32_t key, const char *file)
{
	struct value *d = device(T_VirtualSerialPort, key, 0);
	struct value *b = value_new(w.arena, T_VirtualSerialPortFileBackingInfo);

	value_set_str(w.arena, b, F_VirtualDeviceFileBackingInfo_fileName, file);
	value_set(w.arena, d, F_VirtualDevice_backing, b);
	world_change(&w, spec, ADD, d);
}

static void boot_from_disk(int32_t key)
{
	struct value *options = value_new(w.arena, T_VirtualMachineBootOptions);
	struct value *order = value_new_array(w.arena, T_VirtualMachineBootOptionsBootableDevice);
	struct value *d = value_new(w.arena, T_VirtualMachineBootOptionsBootableDiskDevice);

	value_set_num(w.arena, d, F_VirtualMachineBootOptionsBootableDiskDevice_deviceKey, key);
	value_push(w.arena, order,
		   value_new(w.arena, T_VirtualMachineBootOptionsBootableCdromDevice));
	value_push(w.arena, order, d);
	value_set(w.arena, options, F_VirtualMachineBootOptions_bootOrder, order);
	value_set(w.arena, spec, SPEC(bootOptions), options);
}

/* ---- writing down ---- */

/* Paths beneath the test's folder are the same in every run. */
static void add_path(struct buf *b, const char *what, const char *path)
{
	const char *at = path == NULL ? NULL : strstr(path, "/ds1/");

	if (path != NULL) {
		buf_addf(b, " %s=%s", what, at == NULL ? path : at + 5);
	}
}

static void write_down(struct buf *b, const struct machine_spec *s)
{
	static const char *const boots[] = { "disk", "cdrom", "nic" };
	static const char *const ports[] = { "socket", "file", "none" };

	buf_addf(b, "%s %s cpus=%u/%u memory=%llu", s->name,
		 s->firmware == MACHINE_EFI ? "efi" : "bios", s->vcpus, s->cores_per_socket,
		 (unsigned long long)s->memory_mib);
	add_path(b, "state", s->state_file);
	for (size_t i = 0; i < s->n_disks; i++) {
		const struct machine_disk *d = &s->disks[i];
		buf_addf(b, "\n%s %d %s %u:%u%s%s", d->cdrom ? "cdrom" : "disk", d->key,
			 machine_controller_name(d->controller), d->bus, d->unit,
			 d->read_only ? " ro" : "", d->connected ? " in" : "");
		add_path(b, "path", d->path);
	}
	for (size_t i = 0; i < s->n_nics; i++) {
		buf_addf(b, "\nnic %d %s %s%s", s->nics[i].key,
			 machine_nic_model_name(s->nics[i].model), s->nics[i].mac,
			 s->nics[i].connected ? " in" : "");
	}
	for (size_t i = 0; i < s->n_serials; i++) {
		buf_addf(b, "\nserial %s", ports[s->serials[i].kind]);
		add_path(b, "path", s->serials[i].path);
		add_path(b, "log", s->serials[i].log);
	}
	for (size_t i = 0; i < s->n_boot; i++) {
		buf_addf(b, "\nboot %s %d", boots[s->boot[i].kind], s->boot[i].key);
	}
}

static void becomes(const char *want)
{
	struct vm *vm = world_create(&w, spec);
	struct machine_spec s;
	struct error e = { 0 };
	const char *file;
	struct buf b = BUF_INIT;

	if (vm == NULL) {
		fail_msg("%s", w.text);
	}
	if (!vm_machine_spec(vm, w.arena, false, &s, &file, &e) || !machine_spec_check(&s, &e)) {
		fail_msg("%s", e.msg);
	}
	write_down(&b, &s);
	assert_string_equal(b.data, want);
	buf_free(&b);
}

static void new_spec(const char *name)
{
	struct value *files = value_new(w.arena, T_VirtualMachineFileInfo);

	spec = value_new(w.arena, T_VirtualMachineConfigSpec);
	value_set_str(w.arena, spec, SPEC(name), name);
	value_set_str(w.arena, files, F_VirtualMachineFileInfo_vmPathName, "[ds1]");
	value_set(w.arena, spec, SPEC(files), files);
}

static void an_empty_vm(void **state)
{
	(void)state;
	new_spec("empty");
	becomes(accel_arch() == MACHINE_AARCH64
			? "empty efi cpus=1/1 memory=32 state=empty/empty.vmss"
			: "empty bios cpus=1/1 memory=32 state=empty/empty.vmss");
}

static void every_kind_of_device(void **state)
{
	struct error e;
	char path[300];

	(void)state;
	new_spec("full");
	snprintf(path, sizeof(path), "%s/debian.iso",
		 datastore_folder(host_datastore_open(host_datastore_find(w.host, "ds1"), &e)));
	assert_true(file_write_atomic(path, "iso", 3, 0644, &e));
	value_set_str(w.arena, spec, SPEC(firmware), "efi");
	value_set_num(w.arena, spec, SPEC(numCPUs), 4);
	value_set_num(w.arena, spec, SPEC(numCoresPerSocket), 2);
	world_change(&w, spec, ADD, device(T_ParaVirtualSCSIController, -1, 0));
	world_change(&w, spec, ADD, device(T_VirtualLsiLogicSASController, -2, 0));
	world_change(&w, spec, ADD, device(T_VirtualAHCIController, -3, 0));
	world_change(&w, spec, ADD, device(T_VirtualNVMEController, -4, 0));
	disk(-10, -1, "persistent");
	disk(-11, -2, "independent_persistent");
	disk(-12, -3, "persistent");
	disk(-13, -4, "persistent");
	disk(-14, 200, "persistent");
	cdrom(-15, 200, "[ds1] debian.iso");
	nic(T_VirtualVmxnet3, -20, "00:50:56:00:00:01", true);
	nic(T_VirtualE1000, -21, "00:50:56:00:00:02", false);
	nic(T_VirtualPCNet32, -22, "00:50:56:00:00:03", true);
	world_change(&w, spec, ADD, device(T_VirtualSerialPort, -30, 0));
	file_port(-31, "[ds1] full/console.txt");
	boot_from_disk(16000);
	becomes("full efi cpus=4/2 memory=32 state=full/full.vmss\n"
		"disk 2000 pvscsi 0:0 in path=full/full-flat.vmdk\n"
		"disk 2016 lsisas 1:0 in path=full/full_1-flat.vmdk\n"
		"disk 3000 ide 0:0 in path=full/full_4-flat.vmdk\n"
		"cdrom 3001 ide 0:1 ro in path=debian.iso\n"
		"disk 16000 ahci 0:0 in path=full/full_2-flat.vmdk\n"
		"disk 32000 nvme 0:0 in path=full/full_3-flat.vmdk\n"
		"nic 4000 vmxnet3 00:50:56:00:00:01 in\n"
		"nic 4001 e1000 00:50:56:00:00:02\n"
		"nic 4002 e1000e 00:50:56:00:00:03 in\n"
		"serial socket path=full/serial0.sock log=full/serial0.log\n"
		"serial file path=full/console.txt\n"
		"boot cdrom 0\n"
		"boot disk 16000");
}

static void what_cannot_run_is_refused(void **state)
{
	struct machine_spec s;
	struct error e = { 0 };
	const char *file;

	(void)state;
	new_spec("loose");
	disk(-10, 200, "independent_nonpersistent");
	struct vm *vm = world_create(&w, spec);
	assert_false(vm_machine_spec(vm, w.arena, false, &s, &file, &e));
	assert_int_equal(e.kind, ERROR_UNSUPPORTED);
	assert_string_equal(file, "[ds1] loose/loose.vmdk");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_empty_vm, up, down),
		cmocka_unit_test_setup_teardown(every_kind_of_device, up, down),
		cmocka_unit_test_setup_teardown(what_cannot_run_is_refused, up, down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
