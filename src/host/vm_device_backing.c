/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind a device: disks, images, networks, serial ports; checked and completed. */
#include "host/vm_device_change.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/macro.h"
#include "base/random.h"
#include "host/datastore.h"
#include "host/vm_device.h"
#include "host/vmdk.h"

/* "[ds] path" of a file backing, checked; its datastore's reference is set. */
static const char *file_backing(struct vm_device_edit *x, struct value *backing,
				const char *property)
{
	const char *name = value_get_str(backing, F_VirtualDeviceFileBackingInfo_fileName);
	struct datastore_path path;
	struct error e;

	if (name == NULL || !datastore_path_parse(name, &path, &e)) {
		struct value *f = value_new(x->a, T_InvalidDatastorePath);
		value_set_str(x->a, f, F_InvalidDatastorePath_datastorePath,
			      name == NULL ? "" : name);
		vm_refuse(x->r, f, "deviceChange[%d].%s: %s", x->index, property,
			  name == NULL ? "a file name is required" : e.msg);
		return NULL;
	}
	const struct value *ds = x->env->datastore_ref(x->env->arg, path.datastore);
	if (ds == NULL) {
		struct value *f = value_new(x->a, T_InvalidDatastorePath);
		value_set_str(x->a, f, F_InvalidDatastorePath_datastorePath, name);
		vm_refuse(x->r, f, "deviceChange[%d].%s: there is no datastore \"%s\"", x->index,
			  property, path.datastore);
		return NULL;
	}
	value_set(x->a, backing, F_VirtualDeviceFileBackingInfo_datastore, ds);
	if (path.path[0] == '\0') {
		return "";
	}
	/* One file, one name: who uses it is found by comparing names. */
	name = arena_printf(x->a, "[%s] %s", path.datastore, path.path);
	value_set_str(x->a, backing, F_VirtualDeviceFileBackingInfo_fileName, name);
	return name;
}

static bool disk_path_is_used(const struct vm_device_edit *x, const char *path)
{
	for (size_t i = 0; i < x->devices.n; i++) {
		const struct value *b =
			value_get_value(x->devices.items[i], F_VirtualDevice_backing);
		const char *used =
			value_is_a(b, T_VirtualDeviceFileBackingInfo)
				? value_get_str(b, F_VirtualDeviceFileBackingInfo_fileName)
				: NULL;
		if (used != NULL && strcmp(used, path) == 0) {
			return true;
		}
	}
	return !x->env->simulated && x->env->file_exists(x->env->arg, path);
}

/* A name for a new disk in the VM's folder (or the folder of that name on another datastore). */
static const char *disk_path_make(struct vm_device_edit *x, const char *datastore)
{
	const char *end = strchr(x->folder, ']');
	const char *dir = end == NULL ? "" : end + 2;

	for (int n = 0; n < VM_DEVICES_MAX; n++) {
		char suffix[16] = "";
		if (n > 0) {
			snprintf(suffix, sizeof(suffix), "_%d", n);
		}
		const char *path = datastore == NULL
					   ? arena_printf(x->a, "%s/%s%s.vmdk", x->folder,
							  x->base_name, suffix)
					   : arena_printf(x->a, "[%s] %s/%s%s.vmdk", datastore, dir,
							  x->base_name, suffix);
		if (!disk_path_is_used(x, path)) {
			return path;
		}
	}
	return NULL;
}

static enum disk_format format_of(const struct value *backing)
{
	if (value_get_bool(backing, F_VirtualDiskFlatVer2BackingInfo_thinProvisioned, false)) {
		return DISK_THIN;
	}
	return value_get_bool(backing, F_VirtualDiskFlatVer2BackingInfo_eagerlyScrub, false)
		       ? DISK_EAGER_ZEROED
		       : DISK_LAZY_ZEROED;
}

static const char *adapter_of(const struct vm_device_edit *x, const struct value *disk)
{
	int32_t key = (int32_t)value_get_num(disk, F_VirtualDevice_controllerKey, 0);
	size_t i = vm_device_place(x, key);

	if (i == SIZE_MAX || vm_controller_bus(x->devices.items[i]->type) == VM_BUS_IDE) {
		return "ide";
	}
	return x->devices.items[i]->type == T_VirtualBusLogicController ? "buslogic" : "lsilogic";
}

static bool disk_capacity(struct vm_device_edit *x, const struct value *disk, uint64_t *bytes)
{
	int64_t kb = value_get_num(disk, F_VirtualDisk_capacityInKB, 0);
	int64_t n = value_get_num(disk, F_VirtualDisk_capacityInBytes, 0);

	if (n == 0 && kb >= 0 && kb <= (int64_t)(VMDK_CAPACITY_MAX / 1024)) {
		n = kb * 1024;
	}
	if (n <= 0 || (uint64_t)n > VMDK_CAPACITY_MAX) {
		return vm_device_refuse(x, T_InvalidDeviceSpec, "device.capacityInKB",
					"a disk has 1 KB to 62 TB");
	}
	*bytes = ((uint64_t)n + 511) / 512 * 512;
	return true;
}

static void disk_set_capacity(struct arena *a, struct value *disk, uint64_t bytes)
{
	value_set_num(a, disk, F_VirtualDisk_capacityInKB, (int64_t)(bytes / 1024));
	value_set_num(a, disk, F_VirtualDisk_capacityInBytes, (int64_t)bytes);
}

static bool disk_new_file(struct vm_device_edit *x, struct value *disk, struct value *backing,
			  const char *path)
{
	uint64_t bytes = 0;

	if (!disk_capacity(x, disk, &bytes)) {
		return false;
	}
	if (path[0] == '\0') {
		const char *name = value_get_str(backing, F_VirtualDeviceFileBackingInfo_fileName);
		struct datastore_path p;
		struct error e;
		bool parsed = name != NULL && name[0] != '\0' && datastore_path_parse(name, &p, &e);
		path = disk_path_make(x, parsed ? p.datastore : NULL);
		if (path == NULL) {
			return vm_device_refuse(x, T_InvalidDeviceSpec, "device.backing.fileName",
						"no free name for a new disk");
		}
		value_set_str(x->a, backing, F_VirtualDeviceFileBackingInfo_fileName, path);
		if (file_backing(x, backing, "device.backing.fileName") == NULL) {
			return false;
		}
	} else if (disk_path_is_used(x, path)) {
		struct value *f = value_new(x->a, T_FileAlreadyExists);
		value_set_str(x->a, f, F_FileFault_file, path);
		return vm_refuse(x->r, f, "deviceChange[%d]: \"%s\" exists already", x->index,
				 path);
	}
	disk_set_capacity(x->a, disk, bytes);
	vec_push(&x->plan->disk_ops, (struct vm_disk_op){ .action = VM_DISK_CREATE,
							  .path = arena_strdup(x->a, path),
							  .capacity = bytes,
							  .format = format_of(backing),
							  .adapter_type = adapter_of(x, disk) });
	return true;
}

static bool disk_has_capacity(const struct value *disk)
{
	return value_get_num(disk, F_VirtualDisk_capacityInKB, 0) != 0 ||
	       value_get_num(disk, F_VirtualDisk_capacityInBytes, 0) != 0;
}

/* A simulated disk that says its size needs no file. */
static bool disk_believe(struct vm_device_edit *x, struct value *disk)
{
	uint64_t bytes = 0;

	if (!disk_capacity(x, disk, &bytes)) {
		return false;
	}
	disk_set_capacity(x->a, disk, bytes);
	return true;
}

static bool disk_existing_file(struct vm_device_edit *x, struct value *disk, struct value *backing,
			       const char *path)
{
	struct disk_info info;
	struct error e;

	if (path[0] == '\0') {
		return vm_device_refuse(x, T_InvalidDeviceSpec, "device.backing.fileName",
					"an existing disk must be named");
	}
	if (x->env->simulated && disk_has_capacity(disk)) {
		return disk_believe(x, disk);
	}
	if (!x->env->disk(x->env->arg, path, &info, &e)) {
		if (x->env->strictness == VM_RELOAD) {
			value_set_num(x->a, disk, F_VirtualDisk_capacityInKB, 0);
			return true;
		}
		struct value *f = value_new(x->a, e.kind == ERROR_NOT_FOUND ? T_FileNotFound
									    : T_CannotAccessFile);
		value_set_str(x->a, f, F_FileFault_file, path);
		return vm_refuse(x->r, f, "deviceChange[%d]: %s", x->index, e.msg);
	}
	disk_set_capacity(x->a, disk, info.capacity);
	value_set_bool(x->a, backing, F_VirtualDiskFlatVer2BackingInfo_thinProvisioned,
		       info.format == DISK_THIN);
	value_set_str(x->a, backing, F_VirtualDiskFlatVer2BackingInfo_uuid, info.uuid);
	return true;
}

static bool disk_mode_is_known(const char *mode)
{
	return strcmp(mode, "persistent") == 0 || strcmp(mode, "independent_persistent") == 0 ||
	       strcmp(mode, "independent_nonpersistent") == 0 ||
	       strcmp(mode, "nonpersistent") == 0 || strcmp(mode, "undoable") == 0 ||
	       strcmp(mode, "append") == 0;
}

bool vm_disk_add(struct vm_device_edit *x, struct value *disk, const struct value *change)
{
	const struct value *given = value_get_value(disk, F_VirtualDevice_backing);

	if (given != NULL && given->type != T_VirtualDiskFlatVer2BackingInfo) {
		return vm_device_refuse(x, T_InvalidDeviceBacking, "device.backing",
					"disks are VirtualDiskFlatVer2BackingInfo here");
	}
	if (given != NULL && value_has(given, F_VirtualDiskFlatVer2BackingInfo_parent)) {
		return vm_device_refuse(x, T_InvalidDeviceBacking, "device.backing.parent",
					"disks that build on another are not supported");
	}
	struct value *backing = given == NULL ? value_new(x->a, T_VirtualDiskFlatVer2BackingInfo)
					      : value_edit(x->a, given);
	const char *mode = value_get_str(backing, F_VirtualDiskFlatVer2BackingInfo_diskMode);
	if (mode == NULL || mode[0] == '\0') {
		value_set_str(x->a, backing, F_VirtualDiskFlatVer2BackingInfo_diskMode,
			      "persistent");
	} else if (!disk_mode_is_known(mode)) {
		return vm_device_refuse(x, T_InvalidDeviceBacking, "device.backing.diskMode",
					"unknown disk mode");
	}
	const char *name = value_get_str(backing, F_VirtualDeviceFileBackingInfo_fileName);
	const char *path = "";
	if (name != NULL && name[0] != '\0') {
		path = file_backing(x, backing, "device.backing.fileName");
		if (path == NULL) {
			return false;
		}
	}
	bool make = value_get_num(change, F_VirtualDeviceConfigSpec_fileOperation, -1) ==
		    E_VirtualDeviceConfigSpecFileOperation_create;
	if (make ? !disk_new_file(x, disk, backing, path)
		 : !disk_existing_file(x, disk, backing, path)) {
		return false;
	}
	if (!value_has(backing, F_VirtualDiskFlatVer2BackingInfo_thinProvisioned)) {
		value_set_bool(x->a, backing, F_VirtualDiskFlatVer2BackingInfo_thinProvisioned,
			       false);
	}
	value_set(x->a, disk, F_VirtualDevice_backing, backing);
	vm_needs_power_off(x, "deviceChange.disk");
	return true;
}

static bool cdrom_backing(struct vm_device_edit *x, struct value *cdrom)
{
	const struct value *given = value_get_value(cdrom, F_VirtualDevice_backing);

	if (given == NULL) {
		struct value *none = value_new(x->a, T_VirtualCdromRemoteAtapiBackingInfo);
		value_set_str(x->a, none, F_VirtualDeviceRemoteDeviceBackingInfo_deviceName, "");
		value_set(x->a, cdrom, F_VirtualDevice_backing, none);
		return true;
	}
	if (given->type != T_VirtualCdromIsoBackingInfo) {
		return value_is_a(given, T_VirtualDeviceRemoteDeviceBackingInfo) ||
		       value_is_a(given, T_VirtualDeviceDeviceBackingInfo) ||
		       vm_device_refuse(x, T_InvalidDeviceBacking, "device.backing",
					"a CD drive holds an ISO image or a client device");
	}
	struct value *backing = value_edit(x->a, given);
	const char *name = value_get_str(backing, F_VirtualDeviceFileBackingInfo_fileName);
	if (name != NULL && name[0] != '\0') {
		const char *path = file_backing(x, backing, "device.backing.fileName");
		if (path == NULL) {
			return false;
		}
		if (x->env->strictness == VM_STRICT && !x->env->simulated && path[0] != '\0' &&
		    !x->env->file_exists(x->env->arg, path)) {
			struct value *f = value_new(x->a, T_FileNotFound);
			value_set_str(x->a, f, F_FileFault_file, path);
			return vm_refuse(x->r, f, "deviceChange[%d]: there is no image \"%s\"",
					 x->index, path);
		}
	}
	value_set(x->a, cdrom, F_VirtualDevice_backing, backing);
	return true;
}

static bool mac_is_valid(const char *mac)
{
	if (strlen(mac) != 17) {
		return false;
	}
	for (int i = 0; i < 17; i++) {
		bool good = i % 3 == 2 ? mac[i] == ':'
				       : strchr("0123456789abcdefABCDEF", mac[i]) != NULL;
		if (!good) {
			return false;
		}
	}
	return strchr("02468aAcCeE", mac[1]) != NULL;
}

static bool nic_address(struct vm_device_edit *x, struct value *nic)
{
	const char *mac = value_get_str(nic, F_VirtualEthernetCard_macAddress);
	const char *type = value_get_str(nic, F_VirtualEthernetCard_addressType);

	if (mac != NULL && mac[0] != '\0') {
		if (!mac_is_valid(mac)) {
			return vm_device_refuse(
				x, T_InvalidDeviceSpec, "device.macAddress",
				"not a unicast MAC address of the form 00:50:56:01:02:03");
		}
		if (type == NULL || type[0] == '\0') {
			value_set_str(x->a, nic, F_VirtualEthernetCard_addressType, "manual");
		}
		return true;
	}
	uint8_t b[3];
	random_bytes(b, sizeof(b));
	value_set_strf(x->a, nic, F_VirtualEthernetCard_macAddress, "02:52:4d:%02x:%02x:%02x", b[0],
		       b[1], b[2]);
	value_set_str(x->a, nic, F_VirtualEthernetCard_addressType, "generated");
	return true;
}

static bool portgroup_backing(struct vm_device_edit *x, const struct value *backing)
{
	const struct value *port = value_get_value(
		backing, F_VirtualEthernetCardDistributedVirtualPortBackingInfo_port);
	const char *uuid = value_get_str(port, F_DistributedVirtualSwitchPortConnection_switchUuid);
	const char *key =
		value_get_str(port, F_DistributedVirtualSwitchPortConnection_portgroupKey);

	if (x->env->simulated || x->env->strictness != VM_STRICT ||
	    (uuid != NULL && key != NULL && x->env->has_portgroup(x->env->arg, uuid, key))) {
		return true;
	}
	const char *why =
		arena_printf(x->a,
			     "this host has no distributed port group \"%.60s\" of switch "
			     "\"%.60s\"",
			     key == NULL ? "" : key, uuid == NULL ? "" : uuid);
	return vm_device_refuse(x, T_InvalidDeviceBacking, "device.backing.port", why);
}

static bool opaque_backing(struct vm_device_edit *x, const struct value *backing)
{
	const char *id = value_get_str(
		backing, F_VirtualEthernetCardOpaqueNetworkBackingInfo_opaqueNetworkId);

	if (x->env->simulated || x->env->strictness != VM_STRICT ||
	    x->env->has_opaque_network(x->env->arg, id)) {
		return true;
	}
	return vm_device_refuse(
		x, T_InvalidDeviceBacking, "device.backing.opaqueNetworkId",
		arena_printf(x->a, "this host has no opaque network \"%.63s\"", id));
}

static bool nic_backing(struct vm_device_edit *x, struct value *nic)
{
	const struct value *given = value_get_value(nic, F_VirtualDevice_backing);

	if (given != NULL &&
	    value_is_a(given, T_VirtualEthernetCardDistributedVirtualPortBackingInfo)) {
		return portgroup_backing(x, given);
	}
	if (value_is_a(given, T_VirtualEthernetCardOpaqueNetworkBackingInfo)) {
		return opaque_backing(x, given);
	}
	if (given == NULL || given->type != T_VirtualEthernetCardNetworkBackingInfo) {
		return vm_device_refuse(x, T_InvalidDeviceBacking, "device.backing",
					"a network adapter needs a network");
	}
	struct value *backing = value_edit(x->a, given);
	const struct value *ref =
		value_get_value(backing, F_VirtualEthernetCardNetworkBackingInfo_network);
	const char *name = value_get_str(backing, F_VirtualDeviceDeviceBackingInfo_deviceName);
	if (name == NULL || name[0] == '\0') {
		name = ref == NULL ? NULL : x->env->network_name(x->env->arg, ref);
	}
	ref = name == NULL ? NULL : x->env->network_ref(x->env->arg, name);
	if (ref == NULL && (name == NULL || x->env->strictness == VM_STRICT)) {
		return vm_device_refuse(x, T_InvalidDeviceBacking, "device.backing.deviceName",
					"there is no such network on this host");
	}
	value_set_str(x->a, backing, F_VirtualDeviceDeviceBackingInfo_deviceName, name);
	value_set(x->a, backing, F_VirtualEthernetCardNetworkBackingInfo_network, ref);
	value_set(x->a, nic, F_VirtualDevice_backing, backing);
	return true;
}

/* What a guest must not write over: what VMs are made of. */
static bool is_part_of_vm(const char *path)
{
	static const char *const endings[] = { ".vmx",	".vmxf", ".vmdk", ".vmsd",
					       ".vmss", ".vmsn", ".vmem", ".nvram" };
	const char *dot = strrchr(path, '.');

	for (size_t i = 0; dot != NULL && i < ARRAY_LEN(endings); i++) {
		if (strcasecmp(dot, endings[i]) == 0) {
			return true;
		}
	}
	return false;
}

/* A console is a socket in the VM's own folder; a serial port may also write to a file. */
static bool serial_backing(struct vm_device_edit *x, struct value *port)
{
	const struct value *given = value_get_value(port, F_VirtualDevice_backing);
	int32_t n = vm_device_key(port) - 9000;

	if (given != NULL && given->type == T_VirtualSerialPortFileBackingInfo) {
		struct value *backing = value_edit(x->a, given);
		const char *path = file_backing(x, backing, "device.backing.fileName");
		if (path == NULL) {
			return false;
		}
		if (x->env->strictness == VM_STRICT && is_part_of_vm(path)) {
			return vm_device_refuse(x, T_InvalidDeviceBacking,
						"device.backing.fileName",
						"a serial port does not write into a file that "
						"VMs are made of");
		}
		value_set(x->a, port, F_VirtualDevice_backing, backing);
		return true;
	}
	const char *uri = given != NULL && given->type == T_VirtualSerialPortURIBackingInfo
				  ? value_get_str(given, F_VirtualDeviceURIBackingInfo_serviceURI)
				  : NULL;
	const char *own = arena_printf(x->a, "unix:serial%d.sock", n);
	if (given != NULL && given->type != T_VirtualSerialPortURIBackingInfo &&
	    given->type != T_VirtualSerialPortDeviceBackingInfo) {
		return vm_device_refuse(x, T_InvalidDeviceBacking, "device.backing",
					"a serial port is a file or a socket in the VM's folder");
	}
	/* "localhost:0" is how clients say "somewhere": the VM's own socket. */
	if (uri != NULL && uri[0] != '\0' && strncmp(uri, "unix:", 5) != 0 &&
	    strcmp(uri, "localhost:0") != 0) {
		return vm_device_refuse(
			x, T_InvalidDeviceBacking, "device.backing.serviceURI",
			"only \"unix:\" sockets in the VM's folder; none is opened on "
			"the network");
	}
	struct value *backing = value_new(x->a, T_VirtualSerialPortURIBackingInfo);
	value_set_str(x->a, backing, F_VirtualDeviceURIBackingInfo_serviceURI, own);
	value_set_str(x->a, backing, F_VirtualDeviceURIBackingInfo_direction, "server");
	value_set(x->a, port, F_VirtualDevice_backing, backing);
	return true;
}

bool vm_backing_check(struct vm_device_edit *x, struct value *d, enum vm_role role)
{
	switch (role) {
	case VM_ROLE_CDROM:
		return cdrom_backing(x, d);
	case VM_ROLE_NIC:
		return nic_address(x, d) && nic_backing(x, d);
	case VM_ROLE_SERIAL:
		return serial_backing(x, d);
	case VM_ROLE_FLOPPY:
	case VM_ROLE_DISK:
	case VM_ROLE_OTHER:
	case VM_ROLE_CONTROLLER:
	case VM_ROLE_FIXED:
	default:
		return true;
	}
}

bool vm_disk_edit(struct vm_device_edit *x, struct value *d, const struct value *old)
{
	uint64_t had = 0, want = 0;

	if (!disk_capacity(x, old, &had)) {
		return false;
	}
	/* Whichever of the two capacities differs from the old one is meant. */
	if (value_get_num(d, F_VirtualDisk_capacityInKB, 0) !=
	    value_get_num(old, F_VirtualDisk_capacityInKB, 0)) {
		value_unset(d, F_VirtualDisk_capacityInBytes);
	}
	if (!disk_capacity(x, d, &want)) {
		return false;
	}
	if (want < had) {
		return vm_device_refuse(x, T_InvalidDeviceSpec, "device.capacityInKB",
					"a disk cannot shrink");
	}
	const struct value *ob = value_get_value(old, F_VirtualDevice_backing);
	const struct value *nb = value_get_value(d, F_VirtualDevice_backing);
	const char *path = value_get_str(ob, F_VirtualDeviceFileBackingInfo_fileName);
	const char *name = value_get_str(nb, F_VirtualDeviceFileBackingInfo_fileName);
	const char *mode = value_get_str(nb, F_VirtualDiskFlatVer2BackingInfo_diskMode);
	if (nb->type != ob->type || (name != NULL && name[0] != '\0' && strcmp(name, path) != 0)) {
		return vm_device_refuse(x, T_InvalidDeviceSpec, "device.backing",
					"remove the disk and add the other one");
	}
	struct value *backing = value_edit(x->a, ob);
	if (mode != NULL && disk_mode_is_known(mode)) {
		value_set_str(x->a, backing, F_VirtualDiskFlatVer2BackingInfo_diskMode, mode);
	}
	value_set(x->a, d, F_VirtualDevice_backing, backing);
	disk_set_capacity(x->a, d, want);
	if (want > had) {
		vec_push(&x->plan->disk_ops, (struct vm_disk_op){ .action = VM_DISK_EXTEND,
								  .path = arena_strdup(x->a, path),
								  .capacity = want });
		vm_needs_power_off(x, "deviceChange.device.capacityInKB");
	}
	return true;
}
