/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a VM's configuration to the hardware that a driver builds: keys, buses and units stay, paths
 * of the datastore become those of the node, disks become their extents.
 */
#include <string.h>

#include "base/macro.h"
#include "host/vm_device.h"
#include "host/vm_impl.h"

#define CONFIG(f) F_VirtualMachineConfigInfo_##f

struct translation {
	struct vm *vm;
	struct arena *a;
	const struct value *config, *devices;
	struct machine_disk *disks;
	struct machine_nic *nics;
	struct machine_serial *serials;
	struct machine_boot *boot;
	size_t n_disks, n_nics, n_serials, n_boot;
	const char *folder; /* of the node */
	const char *file;   /* "[ds] path" at hand */
	bool lenient;
	struct error *e;
};

/* "[ds] dir" and "x" of the .vmx */
static void split_path(const char *path, struct arena *a, const char **folder, const char **base)
{
	const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');

	*folder = arena_strndup(a, path, (size_t)(slash - path));
	*base = dot > slash ? arena_strndup(a, slash + 1, (size_t)(dot - slash - 1))
			    : arena_strdup(a, slash + 1);
}

const char *vm_state_path(const struct vm *vm, struct arena *a)
{
	const char *folder, *base;

	split_path(vm_path(vm), a, &folder, &base);
	return arena_printf(a, "%s/%s.vmss", folder, base);
}

/* Path on the node of "[ds] path", in the arena; NULL with the error. */
static const char *node_path(struct translation *t, const char *ds_path)
{
	t->file = ds_path;
	char *path = host_file_path(t->vm->layer->host, ds_path, t->e);
	const char *kept = path == NULL ? NULL : arena_strdup(t->a, path);

	free(path);
	return kept;
}

/* ---- disks and drives ---- */

static enum machine_controller controller_kind(const struct value *c)
{
	switch (value_type(c)) {
	case T_VirtualLsiLogicController:
		return MACHINE_LSILOGIC;
	case T_VirtualBusLogicController:
		return MACHINE_BUSLOGIC;
	case T_VirtualLsiLogicSASController:
		return MACHINE_LSISAS;
	case T_ParaVirtualSCSIController:
		return MACHINE_PVSCSI;
	case T_VirtualAHCIController:
		return MACHINE_AHCI;
	case T_VirtualNVMEController:
		return MACHINE_NVME;
	default:
		return MACHINE_IDE;
	}
}

static bool disk_file(struct translation *t, const struct value *backing, struct machine_disk *out)
{
	struct host *h = t->vm->layer->host;
	const char *mode = value_get_str(backing, F_VirtualDiskFlatVer2BackingInfo_diskMode);
	struct datastore_path at;
	struct disk_info info;

	t->file = value_get_str(backing, F_VirtualDeviceFileBackingInfo_fileName);
	if (mode != NULL &&
	    (strcmp(mode, "independent_nonpersistent") == 0 || strcmp(mode, "nonpersistent") == 0 ||
	     strcmp(mode, "undoable") == 0 || strcmp(mode, "append") == 0)) {
		return error_set(t->e, ERROR_UNSUPPORTED,
				 "\"%s\": this host cannot run disks in mode \"%s\"", t->file,
				 mode);
	}
	if (h->simulated) {
		out->path = arena_printf(t->a, "/%s", t->file);
		return true;
	}
	struct host_datastore *d = host_datastore_of_path(h, t->file, &at, t->e);
	struct datastore *ds = d == NULL ? NULL : host_datastore_open(d, t->e);
	struct disk_place place = { .datastore = ds, .path = at.path };
	if (ds == NULL) {
		return false;
	}
	if (!disk_query(&place, &info, t->e)) {
		return false;
	}
	if (info.n_extents != 1) {
		return error_set(t->e, ERROR_UNSUPPORTED,
				 "\"%s\" has %zu extents; this host runs disks of one", t->file,
				 info.n_extents);
	}
	out->path = arena_printf(t->a, "%s/%s", datastore_folder(ds), info.extent_path);
	return true;
}

/* The image in a drive; a drive whose image is missing is empty. */
static bool drive_medium(struct translation *t, const struct value *drive, struct machine_disk *out)
{
	const struct value *b = value_get_value(drive, F_VirtualDevice_backing);
	const struct value *c = value_get_value(drive, F_VirtualDevice_connectable);
	const char *name = value_is_a(b, T_VirtualCdromIsoBackingInfo)
				   ? value_get_str(b, F_VirtualDeviceFileBackingInfo_fileName)
				   : NULL;

	out->cdrom = out->read_only = true;
	if (name == NULL || name[0] == '\0' ||
	    !value_get_bool(c, F_VirtualDeviceConnectInfo_startConnected, true)) {
		return true;
	}
	struct vm_env env = host_vm_env(t->vm->layer->host, VM_RELOAD);
	if (!t->vm->layer->host->simulated && !env.file_exists(env.arg, name)) {
		return true;
	}
	out->path = t->vm->layer->host->simulated ? arena_printf(t->a, "/%s", name)
						  : node_path(t, name);
	out->connected = out->path != NULL;
	return out->path != NULL;
}

static bool add_disk(struct translation *t, const struct value *d, enum vm_role role)
{
	const struct value *c = vm_device_find(
		t->devices, (int32_t)value_get_num(d, F_VirtualDevice_controllerKey, 0));
	struct machine_disk *m = &t->disks[t->n_disks];

	if (c == NULL) {
		return true; /* vm_config.c lets no such device be */
	}
	*m = (struct machine_disk){
		.key = (int32_t)value_get_num(d, F_VirtualDevice_key, 0),
		.controller = controller_kind(c),
		.bus = (unsigned)value_get_num(c, F_VirtualController_busNumber, 0),
		.unit = (unsigned)value_get_num(d, F_VirtualDevice_unitNumber, 0),
		.connected = role == VM_ROLE_DISK,
	};
	if (role == VM_ROLE_DISK ? !disk_file(t, value_get_value(d, F_VirtualDevice_backing), m)
				 : !drive_medium(t, d, m)) {
		return false;
	}
	t->n_disks++;
	return true;
}

/* ---- cards and ports ---- */

bool vm_machine_nic(const struct value *d, struct machine_nic *out)
{
	const struct value *c = value_get_value(d, F_VirtualDevice_connectable);
	uint16_t type = value_type(d);

	*out = (struct machine_nic){
		.key = (int32_t)value_get_num(d, F_VirtualDevice_key, 0),
		.model = vm_nic_is_virtio(d)		       ? MACHINE_VIRTIO_NET
			 : schema_is_a(type, T_VirtualVmxnet3) ? MACHINE_VMXNET3
			 : type == T_VirtualE1000	       ? MACHINE_E1000
							       : MACHINE_E1000E,
		.mac = value_get_str(d, F_VirtualEthernetCard_macAddress),
		.connected = value_get_bool(c, F_VirtualDeviceConnectInfo_startConnected, true),
		.wire_fd = -1,
	};
	return vm_device_role(type) == VM_ROLE_NIC;
}

static bool add_nic(struct translation *t, const struct value *d)
{
	if (t->n_nics == MACHINE_NICS_MAX) {
		return error_set(t->e, ERROR_LIMIT, "\"%s\" has more than %d network cards",
				 vm_name(t->vm), MACHINE_NICS_MAX);
	}
	return vm_machine_nic(d, &t->nics[t->n_nics++]);
}

/* The port's number names its socket and its log in the VM's folder. */
static bool add_serial(struct translation *t, const struct value *d)
{
	const struct value *b = value_get_value(d, F_VirtualDevice_backing);
	int n = (int)value_get_num(d, F_VirtualDevice_key, 9000) - 9000;
	struct machine_serial *s = &t->serials[t->n_serials];

	if (t->n_serials == MACHINE_SERIALS_MAX) {
		return error_set(t->e, ERROR_LIMIT, "\"%s\" has more than %d serial ports",
				 vm_name(t->vm), MACHINE_SERIALS_MAX);
	}
	*s = (struct machine_serial){ .kind = MACHINE_SERIAL_NONE };
	if (value_is_a(b, T_VirtualSerialPortFileBackingInfo)) {
		const char *file = value_get_str(b, F_VirtualDeviceFileBackingInfo_fileName);
		s->kind = MACHINE_SERIAL_FILE;
		s->path = t->vm->layer->host->simulated ? arena_printf(t->a, "/%s", file)
							: node_path(t, file);
	} else if (value_is_a(b, T_VirtualSerialPortURIBackingInfo)) {
		s->kind = MACHINE_SERIAL_SOCKET;
		s->path = arena_printf(t->a, "%s/serial%d.sock", t->folder, n);
		s->log = arena_printf(t->a, "%s/serial%d.log", t->folder, n);
	}
	bool ok = s->kind == MACHINE_SERIAL_NONE || s->path != NULL;
	t->n_serials += ok;
	return ok;
}

/* ---- order of booting ---- */

static void add_boot(struct translation *t)
{
	const struct value *order = value_get_value(value_get_value(t->config, CONFIG(bootOptions)),
						    F_VirtualMachineBootOptions_bootOrder);

	t->boot = arena_alloc(t->a, (value_count(order) + 1) * sizeof(*t->boot));
	for (size_t i = 0; i < value_count(order); i++) {
		const struct value *d = value_item(order, i);
		struct machine_boot *b = &t->boot[t->n_boot];
		if (value_is_a(d, T_VirtualMachineBootOptionsBootableDiskDevice)) {
			b->kind = MACHINE_BOOT_DISK;
			b->key = (int32_t)value_get_num(
				d, F_VirtualMachineBootOptionsBootableDiskDevice_deviceKey, 0);
		} else if (value_is_a(d, T_VirtualMachineBootOptionsBootableEthernetDevice)) {
			b->kind = MACHINE_BOOT_NIC;
			b->key = (int32_t)value_get_num(
				d, F_VirtualMachineBootOptionsBootableEthernetDevice_deviceKey, 0);
		} else if (value_is_a(d, T_VirtualMachineBootOptionsBootableCdromDevice)) {
			b->kind = MACHINE_BOOT_CDROM;
			b->key = 0;
		} else {
			continue; /* no floppy drives here */
		}
		if (b->key == 0 || vm_device_find(t->devices, b->key) != NULL) {
			t->n_boot++;
		}
	}
}

/* ---- the whole ---- */

static bool add_devices(struct translation *t)
{
	size_t n = value_count(t->devices);

	t->disks = arena_alloc(t->a, (n + 1) * sizeof(*t->disks));
	t->nics = arena_alloc(t->a, MACHINE_NICS_MAX * sizeof(*t->nics));
	t->serials = arena_alloc(t->a, MACHINE_SERIALS_MAX * sizeof(*t->serials));
	for (size_t i = 0; i < n; i++) {
		const struct value *d = value_item(t->devices, i);
		enum vm_role role = vm_device_role(value_type(d));
		bool is_disk = role == VM_ROLE_DISK || role == VM_ROLE_CDROM;
		bool ok = true;
		if (is_disk && t->lenient) {
			continue;
		}
		if (role == VM_ROLE_DISK || role == VM_ROLE_CDROM) {
			ok = add_disk(t, d, role);
		} else if (role == VM_ROLE_NIC) {
			ok = add_nic(t, d);
		} else if (role == VM_ROLE_SERIAL) {
			ok = add_serial(t, d);
		}
		if (!ok && !t->lenient) {
			return false;
		}
	}
	add_boot(t);
	return true;
}

bool vm_machine_spec(struct vm *vm, struct arena *a, bool lenient, struct machine_spec *out,
		     const char **file, struct error *e)
{
	struct host *h = vm->layer->host;
	struct translation t = {
		.vm = vm, .a = a, .config = vm_config(vm), .lenient = lenient, .e = e
	};
	const struct value *hw = value_get_value(t.config, CONFIG(hardware));
	const char *folder, *base, *firmware = value_get_str(t.config, CONFIG(firmware));
	enum machine_arch arch = accel_arch();

	t.devices = vm_devices(t.config);
	split_path(vm_path(vm), a, &folder, &base);
	t.folder = h->simulated ? arena_printf(a, "/%s", folder) : node_path(&t, folder);
	if (t.folder == NULL || !add_devices(&t)) {
		*file = t.file;
		return false;
	}
	*file = NULL;
	/* Arm has no BIOS: a VM that asks for one gets what every Arm machine starts with. */
	bool efi = arch == MACHINE_AARCH64 || (firmware != NULL && strcmp(firmware, "efi") == 0);
	*out = (struct machine_spec){
		.name = vm_name(vm),
		.uuid = value_get_str(t.config, CONFIG(uuid)),
		.folder = t.folder,
		.run = h->run == NULL ? t.folder : h->run,
		.state_file = arena_printf(a, "%s/%s.vmss", t.folder, base),
		.arch = arch,
		.accel = h->accel.kind,
		.firmware = efi ? MACHINE_EFI : MACHINE_BIOS,
		.nvram = efi ? arena_printf(a, "%s/%s.nvram", t.folder, base) : NULL,
		.vcpus = (unsigned)value_get_num(hw, F_VirtualHardware_numCPU, 1),
		.cores_per_socket =
			(unsigned)value_get_num(hw, F_VirtualHardware_numCoresPerSocket, 1),
		.memory_mib = (uint64_t)value_get_num(hw, F_VirtualHardware_memoryMB, 4),
		.boot = t.boot,
		.n_boot = t.n_boot,
		.disks = t.disks,
		.n_disks = t.n_disks,
		.nics = t.nics,
		.n_nics = t.n_nics,
		.serials = t.serials,
		.n_serials = t.n_serials,
	};
	return true;
}
