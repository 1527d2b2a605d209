/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qemu_argv_test FOLDER: compares command lines with FOLDER/NAME.args, one word a line. With
 * REMORA_GOLDEN=write it writes them instead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/macro.h"
#include "base/mem.h"
#include "host/qemu_argv.h"

static const char *golden;

static const struct machine_spec small = {
	.name = "small",
	.uuid = "564d0001-0002-0003-0004-000500060007",
	.folder = "/vmfs/small",
	.run = "/run/remora",
	.vcpus = 1,
	.memory_mib = 128,
};

static void compare(const char *name, const struct machine_spec *s, bool incoming)
{
	const struct qemu_argv_options o = {
		.program = "qemu",
		.firmware = "/usr/share/OVMF/OVMF_CODE_4M.fd",
		.files_fd = 10,
		.qmp_fd = 4,
		.serial_fds = { 5, 6, 7, 8 },
		.nic_fds = { 20, 21, 22, 23 },
		.incoming = incoming,
	};
	struct error e = { 0 };
	if (!machine_spec_check(s, &e)) {
		fail_msg("%s: %s", name, e.msg);
	}
	struct qemu_argv a;
	struct buf have = BUF_INIT, want = BUF_INIT;
	qemu_argv_init(&a, s, &o);
	assert_null(a.words[a.n]);
	for (size_t i = 0; i < a.n; i++) {
		buf_addf(&have, "%s\n", a.words[i]);
	}
	qemu_argv_fini(&a);
	char *path = mem_printf("%s/%s.args", golden, name);
	const char *mode = getenv("REMORA_GOLDEN");
	if (mode && strcmp(mode, "write") == 0) {
		assert_true(file_write_atomic(path, have.data, have.len, 0644, &e));
	}
	if (!file_read(path, 1 << 20, &want, &e)) {
		fail_msg("%s", e.msg);
	}
	assert_string_equal(have.data, want.data);
	free(path);
	buf_free(&have);
	buf_free(&want);
}

static void test_small(void **state)
{
	(void)state;
	compare("small", &small, false);
	compare("small-incoming", &small, true);
}

static void test_every_device(void **state)
{
	(void)state;
	const struct machine_disk disks[] = {
		{ 2000, MACHINE_LSILOGIC, 0, 0, "/vmfs/a, b/disk-flat.vmdk", false, false, true },
		{ 2001, MACHINE_LSILOGIC, 0, 9, "/vmfs/d/two-flat.vmdk", true, false, true },
		{ 2016, MACHINE_PVSCSI, 1, 15, "/vmfs/d/three-flat.vmdk", false, false, true },
		{ 2032, MACHINE_LSISAS, 2, 8, "/vmfs/d/four-flat.vmdk", false, false, true },
		{ 2048, MACHINE_BUSLOGIC, 3, 0, "/vmfs/d/five-flat.vmdk", false, false, true },
		{ 3000, MACHINE_IDE, 0, 0, "/iso/debian.iso", true, true, true },
		{ 3001, MACHINE_IDE, 0, 1, "/iso/not-in.iso", true, true, false },
		{ 3002, MACHINE_IDE, 1, 0, "/vmfs/d/ide-flat.vmdk", false, false, true },
		{ 16000, MACHINE_AHCI, 0, 0, NULL, true, true, true },
		{ 16001, MACHINE_AHCI, 0, 5, "/vmfs/d/sata-flat.vmdk", false, false, true },
		{ 32000, MACHINE_NVME, 0, 0, "/vmfs/d/nvme-flat.vmdk", false, false, true },
		{ 32001, MACHINE_NVME, 3, 63, "/vmfs/d/last-flat.vmdk", false, false, true },
	};
	const struct machine_nic nics[] = {
		{ 4000, MACHINE_VMXNET3, "00:50:56:00:00:01", true, "/run/net/a", -1, NULL },
		{ 4003, MACHINE_E1000, "00:50:56:00:00:02", true, NULL, -1, NULL },
		{ 4001, MACHINE_E1000E, "00:50:56:00:00:03", false, NULL, -1, NULL },
		{ -101, MACHINE_VIRTIO_NET, "00:50:56:00:00:04", true, "/run/net/b", -1, NULL },
	};
	const struct machine_serial serials[] = {
		{ MACHINE_SERIAL_SOCKET, "/vmfs/d/serial0.sock", "/vmfs/d/serial0.log" },
		{ MACHINE_SERIAL_FILE, "/vmfs/d/serial, 1.txt", NULL },
		{ MACHINE_SERIAL_NONE, NULL, NULL },
		{ MACHINE_SERIAL_SOCKET, "/vmfs/d/serial3.sock", NULL },
	};
	const struct machine_boot boot[] = {
		{ MACHINE_BOOT_CDROM, 0 },
		{ MACHINE_BOOT_DISK, 32000 },
		{ MACHINE_BOOT_NIC, 4000 },
		{ MACHINE_BOOT_DISK, 0 },
	};
	struct machine_spec s = small;
	s.name = "a,b=c \"every\" device";
	s.vcpus = 8;
	s.cores_per_socket = 4;
	s.memory_mib = 6144;
	s.disks = disks;
	s.n_disks = ARRAY_LEN(disks);
	s.nics = nics;
	s.n_nics = ARRAY_LEN(nics);
	s.serials = serials;
	s.n_serials = ARRAY_LEN(serials);
	compare("every-device", &s, false);
	s.boot = boot;
	s.n_boot = ARRAY_LEN(boot);
	s.accel = MACHINE_KVM;
	compare("every-device-kvm-boot", &s, false);
}

static void test_efi_and_arm(void **state)
{
	(void)state;
	const struct machine_disk disks[] = {
		{ 2000, MACHINE_PVSCSI, 0, 0, "/vmfs/d/disk-flat.vmdk", false, false, true },
		{ 3000, MACHINE_IDE, 0, 0, NULL, true, true, true },
	};
	struct machine_spec s = small;
	s.firmware = MACHINE_EFI;
	s.nvram = "/vmfs/d/vm.nvram";
	s.disks = disks;
	s.n_disks = ARRAY_LEN(disks);
	compare("efi", &s, false);
	s.arch = MACHINE_AARCH64;
	compare("arm", &s, false);
	s.accel = MACHINE_KVM;
	compare("arm-kvm", &s, false);
}

/* One thing wrong with each. */
static void refuse(const struct machine_spec *s, enum error_kind kind)
{
	struct error e = { 0 };
	assert_false(machine_spec_check(s, &e));
	print_message("%s\n", e.msg);
	assert_int_equal(e.kind, kind);
}

static void test_refused(void **state)
{
	(void)state;
	struct machine_spec s = small;
	s.name = "line\nbreak";
	refuse(&s, ERROR_NAME);
	s = small;
	s.uuid = "564D0001-0002-0003-0004-000500060007";
	refuse(&s, ERROR_INVALID);
	s = small;
	s.vcpus = 256;
	refuse(&s, ERROR_LIMIT);
	s = small;
	s.vcpus = 3;
	s.cores_per_socket = 2;
	refuse(&s, ERROR_INVALID);
	s = small;
	s.memory_mib = 0;
	refuse(&s, ERROR_LIMIT);
	s = small;
	s.arch = MACHINE_AARCH64;
	refuse(&s, ERROR_UNSUPPORTED);
	s = small;
	s.firmware = MACHINE_EFI;
	refuse(&s, ERROR_INVALID);
	s = small;
	s.folder = "relative";
	refuse(&s, ERROR_INVALID);
}

static void test_refused_devices(void **state)
{
	(void)state;
	struct machine_disk disks[] = {
		{ 2000, MACHINE_LSILOGIC, 0, 0, "/d", false, false, true },
		{ 2001, MACHINE_LSILOGIC, 0, 1, "/d", false, false, true },
	};
	struct machine_nic nic = {
		.key = 4000, .model = MACHINE_VMXNET3, .mac = "01:50:56:00:00:01", .connected = true
	};
	struct machine_spec s = small;
	s.nics = &nic;
	s.n_nics = 1;
	refuse(&s, ERROR_INVALID); /* a group address */
	nic.mac = "00:50:56:00:00:0g";
	refuse(&s, ERROR_INVALID);
	s.n_nics = 0;
	s.disks = disks;
	s.n_disks = 2;
	assert_true(machine_spec_check(&s, NULL));
	disks[1].unit = 0;
	refuse(&s, ERROR_EXISTS);
	disks[1].unit = 7;
	refuse(&s, ERROR_INVALID);
	disks[1].unit = 16;
	refuse(&s, ERROR_LIMIT);
	disks[1].unit = 1;
	disks[1].controller = MACHINE_PVSCSI;
	refuse(&s, ERROR_INVALID); /* two kinds on one bus */
	disks[1].bus = 4;
	refuse(&s, ERROR_LIMIT);
	disks[1].bus = 1;
	disks[1].key = 2000;
	refuse(&s, ERROR_EXISTS);
	disks[1].key = 2001;
	disks[1].path = NULL;
	refuse(&s, ERROR_INVALID);
	disks[1].cdrom = true;
	assert_true(machine_spec_check(&s, NULL));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),		cmocka_unit_test(test_every_device),
		cmocka_unit_test(test_efi_and_arm),	cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refused_devices),
	};
	if (argc != 2) {
		return 2;
	}
	golden = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
