/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A .vmx file is read by turning it into the VirtualMachineConfigSpec that would have made such a
 * VM, and applying that: a file is checked by the very code that checks a client's request.
 */
#include "host/vm_vmx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/macro.h"
#include "base/number.h"
#include "host/vm_device.h"
#include "host/vm_setting.h"

#define OPAQUE(f) F_VirtualEthernetCardOpaqueNetworkBackingInfo_##f
#define SPEC(f)	  F_VirtualMachineConfigSpec_##f
#define INFO(f)	  F_VirtualMachineConfigInfo_##f

struct reader {
	struct arena *a;
	const struct vmx *vmx;
	const char *folder; /* "[ds] path" */
	struct value *spec, *changes;
	struct vm_refusal *r;
	int32_t next_key; /* temporary, negative */
};

static bool refuse_file(struct reader *x, const struct error *e)
{
	return vm_refuse(x->r, value_new(x->a, T_InvalidFormat), "%s", e->msg);
}

const char *vm_guest_from_vmx(const char *name)
{
	char spelled[64];

	for (unsigned i = 0; i < schema_type(T_VirtualMachineGuestOsIdentifier)->n_fields; i++) {
		const char *id = schema_enum_name(T_VirtualMachineGuestOsIdentifier, i);
		vm_guest_to_vmx(id, spelled);
		if (strcasecmp(spelled, name) == 0 || strcasecmp(id, name) == 0) {
			return id;
		}
	}
	return NULL;
}

static struct value *add_device(struct reader *x, struct value *device)
{
	struct value *change = value_new(x->a, T_VirtualDeviceConfigSpec);

	if (!value_has(device, F_VirtualDevice_key)) {
		value_set_num(x->a, device, F_VirtualDevice_key, x->next_key--);
	}
	value_set_num(x->a, change, F_VirtualDeviceConfigSpec_operation,
		      E_VirtualDeviceConfigSpecOperation_add);
	value_set(x->a, change, F_VirtualDeviceConfigSpec_device, device);
	value_push(x->a, x->changes, change);
	return device;
}

static bool flag(struct reader *x, const char *at, const char *key, bool otherwise, bool *out)
{
	struct error e;

	return vmx_get_bool(x->vmx, vmx_key("%s.%s", at, key).s, otherwise, out, &e) ||
	       refuse_file(x, &e);
}

static const char *text(const struct reader *x, const char *at, const char *key)
{
	return vmx_get(x->vmx, vmx_key("%s.%s", at, key).s);
}

static bool file_of(struct reader *x, const char *at, const char **out)
{
	struct vmx_file file;
	struct error e;

	if (!vmx_get_file(x->vmx, vmx_key("%s.fileName", at).s, &file, &e)) {
		return refuse_file(x, &e);
	}
	*out = file.datastore[0] == '\0' ? arena_printf(x->a, "%s/%s", x->folder, file.path)
					 : arena_printf(x->a, "[%s] %s", file.datastore, file.path);
	return true;
}

static bool set_connectable(struct reader *x, struct value *d, const char *at)
{
	struct value *c = value_new(x->a, T_VirtualDeviceConnectInfo);
	bool start, guest;

	if (!flag(x, at, "startConnected", true, &start) ||
	    !flag(x, at, "allowGuestConnectionControl", true, &guest)) {
		return false;
	}
	value_set_bool(x->a, c, F_VirtualDeviceConnectInfo_startConnected, start);
	value_set_bool(x->a, c, F_VirtualDeviceConnectInfo_allowGuestControl, guest);
	value_set_bool(x->a, c, F_VirtualDeviceConnectInfo_connected, false);
	value_set_str(x->a, c, F_VirtualDeviceConnectInfo_status, "untried");
	value_set(x->a, d, F_VirtualDevice_connectable, c);
	return true;
}

/* ---- disks and CD drives ---- */

static bool read_disk(struct reader *x, const char *at, int32_t controller, int unit)
{
	struct value *d = value_new(x->a, T_VirtualDisk);
	struct value *b = value_new(x->a, T_VirtualDiskFlatVer2BackingInfo);
	const char *mode = text(x, at, "mode"), *path = NULL;
	bool through;

	if (!file_of(x, at, &path) || !flag(x, at, "writeThrough", false, &through)) {
		return false;
	}
	value_set_str(x->a, b, F_VirtualDeviceFileBackingInfo_fileName, path);
	value_set_str(x->a, b, F_VirtualDiskFlatVer2BackingInfo_diskMode,
		      mode == NULL					? "persistent"
		      : strcasecmp(mode, "independent-persistent") == 0 ? "independent_persistent"
		      : strcasecmp(mode, "independent-nonpersistent") == 0
			      ? "independent_nonpersistent"
			      : mode);
	if (through) {
		value_set_bool(x->a, b, F_VirtualDiskFlatVer2BackingInfo_writeThrough, true);
	}
	value_set(x->a, d, F_VirtualDevice_backing, b);
	value_set_num(x->a, d, F_VirtualDevice_controllerKey, controller);
	value_set_num(x->a, d, F_VirtualDevice_unitNumber, unit);
	add_device(x, d);
	return true;
}

static bool read_cdrom(struct reader *x, const char *at, int32_t controller, int unit)
{
	struct value *d = value_new(x->a, T_VirtualCdrom);
	const char *kind = text(x, at, "deviceType"), *name = text(x, at, "fileName"), *path = NULL;
	struct value *b;

	if (kind != NULL && strcasecmp(kind, "cdrom-image") == 0) {
		b = value_new(x->a, T_VirtualCdromIsoBackingInfo);
		if (name != NULL && name[0] != '\0' &&
		    strcasecmp(name, "emptyBackingString") != 0) {
			if (!file_of(x, at, &path)) {
				return false;
			}
			value_set_str(x->a, b, F_VirtualDeviceFileBackingInfo_fileName, path);
		} else {
			value_set_str(x->a, b, F_VirtualDeviceFileBackingInfo_fileName, "");
		}
	} else {
		b = value_new(x->a, T_VirtualCdromRemoteAtapiBackingInfo);
		value_set_str(x->a, b, F_VirtualDeviceRemoteDeviceBackingInfo_deviceName, "");
		value_set_bool(x->a, b, F_VirtualDeviceRemoteDeviceBackingInfo_useAutoDetect,
			       false);
	}
	value_set(x->a, d, F_VirtualDevice_backing, b);
	value_set_num(x->a, d, F_VirtualDevice_controllerKey, controller);
	value_set_num(x->a, d, F_VirtualDevice_unitNumber, unit);
	add_device(x, d);
	return set_connectable(x, d, at);
}

static bool read_unit(struct reader *x, const struct vm_bus_facts *f, int bus, int unit,
		      int32_t controller)
{
	struct vmx_key at = vmx_key("%s%d:%d", f->vmx_prefix, bus, unit);
	const char *kind = text(x, at.s, "deviceType");
	bool present;

	if (!flag(x, at.s, "present", false, &present)) {
		return false;
	}
	if (!present) {
		return true;
	}
	if (kind != NULL && strcasestr(kind, "cdrom") != NULL) {
		return read_cdrom(x, at.s, controller, unit);
	}
	return read_disk(x, at.s, controller, unit);
}

static bool read_bus(struct reader *x, const struct vm_bus_facts *f, int bus)
{
	struct vmx_key at = vmx_key("%s%d", f->vmx_prefix, bus);
	int32_t key = f->controller_key + bus;
	bool present = f->bus == VM_BUS_IDE;

	if (!present && !flag(x, at.s, "present", false, &present)) {
		return false;
	}
	if (!present) {
		return true;
	}
	if (f->bus != VM_BUS_IDE) {
		const char *name = text(x, at.s, "virtualDev"),
			   *shared = text(x, at.s, "sharedBus");
		uint16_t type = vm_controller_type(
			f->bus, name == NULL && f->bus == VM_BUS_SCSI ? "buslogic" : name);
		if (type == T_none) {
			return vm_refuse(x->r, value_new(x->a, T_DeviceNotSupported),
					 "%s.virtualDev: unknown controller \"%.60s\"", at.s, name);
		}
		struct value *c = value_new(x->a, type);
		value_set_num(x->a, c, F_VirtualController_busNumber, bus);
		value_set_num(x->a, c, F_VirtualDevice_key, key);
		if (f->bus == VM_BUS_SCSI) {
			value_set_num(x->a, c, F_VirtualSCSIController_sharedBus,
				      shared != NULL && strcasecmp(shared, "physical") == 0
					      ? E_VirtualSCSISharing_physicalSharing
				      : shared != NULL && strcasecmp(shared, "virtual") == 0
					      ? E_VirtualSCSISharing_virtualSharing
					      : E_VirtualSCSISharing_noSharing);
		}
		add_device(x, c);
	}
	for (int unit = 0; unit < f->max_units; unit++) {
		if (!read_unit(x, f, bus, unit, key)) {
			return false;
		}
	}
	return true;
}

static bool read_storage(struct reader *x)
{
	static const enum vm_bus all[] = { VM_BUS_IDE, VM_BUS_SCSI, VM_BUS_SATA, VM_BUS_NVME };

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		const struct vm_bus_facts *f = vm_bus_facts(all[i]);
		for (int bus = 0; bus < f->max_buses; bus++) {
			if (!read_bus(x, f, bus)) {
				return false;
			}
		}
	}
	return true;
}

/* ---- network cards and serial ports ---- */

static void nic_network(struct reader *x, struct value *nic, const char *at)
{
	const char *name = text(x, at, "networkName"), *dvs = text(x, at, "dvs.switchId");
	const char *opaque = text(x, at, "opaqueNetwork.id");

	if (opaque != NULL) {
		struct value *o = value_new(x->a, T_VirtualEthernetCardOpaqueNetworkBackingInfo);
		const char *type = text(x, at, "opaqueNetwork.type");
		value_set_str(x->a, o, OPAQUE(opaqueNetworkId), opaque);
		value_set_str(x->a, o, OPAQUE(opaqueNetworkType),
			      type == NULL ? "nsx.LogicalSwitch" : type);
		value_set(x->a, nic, F_VirtualDevice_backing, o);
		return;
	}

	if (name == NULL && dvs != NULL) {
		struct value *port = value_new(x->a, T_DistributedVirtualSwitchPortConnection);
		struct value *b =
			value_new(x->a, T_VirtualEthernetCardDistributedVirtualPortBackingInfo);
		value_set_str(x->a, port, F_DistributedVirtualSwitchPortConnection_switchUuid, dvs);
		value_set_str(x->a, port, F_DistributedVirtualSwitchPortConnection_portgroupKey,
			      text(x, at, "dvs.portgroupId"));
		value_set_str(x->a, port, F_DistributedVirtualSwitchPortConnection_portKey,
			      text(x, at, "dvs.portId"));
		const char *cookie = text(x, at, "dvs.connectionId");
		int64_t n;
		if (cookie != NULL && number_i64(cookie, &n) && n >= INT32_MIN && n <= INT32_MAX) {
			value_set_num(x->a, port,
				      F_DistributedVirtualSwitchPortConnection_connectionCookie, n);
		}
		value_set(x->a, b, F_VirtualEthernetCardDistributedVirtualPortBackingInfo_port,
			  port);
		value_set(x->a, nic, F_VirtualDevice_backing, b);
		return;
	}
	struct value *b = value_new(x->a, T_VirtualEthernetCardNetworkBackingInfo);
	value_set_str(x->a, b, F_VirtualDeviceDeviceBackingInfo_deviceName,
		      name == NULL ? "VM Network" : name);
	value_set(x->a, nic, F_VirtualDevice_backing, b);
}

static bool read_nic(struct reader *x, int n)
{
	struct vmx_key at = vmx_key("ethernet%d", n);
	bool present, wake, upt;

	if (!flag(x, at.s, "present", false, &present) ||
	    !flag(x, at.s, "wakeOnPcktRcv", false, &wake) ||
	    !flag(x, at.s, "uptv2Enabled", false, &upt)) {
		return false;
	}
	if (!present) {
		return true;
	}
	const char *name = text(x, at.s, "virtualDev");
	uint16_t type = vm_nic_type(name == NULL ? "e1000" : name);
	if (type == T_none) {
		return vm_refuse(x->r, value_new(x->a, T_DeviceNotSupported),
				 "%s.virtualDev: unknown network card \"%.60s\"", at.s, name);
	}
	struct value *nic = value_new(x->a, type);
	const char *kind = text(x, at.s, "addressType");
	bool manual = kind != NULL && strcasecmp(kind, "static") == 0;
	value_set_str(x->a, nic, F_VirtualEthernetCard_addressType,
		      manual					     ? "manual"
		      : kind != NULL && strcasecmp(kind, "vpx") == 0 ? "assigned"
								     : "generated");
	value_set_str(x->a, nic, F_VirtualEthernetCard_macAddress,
		      text(x, at.s, manual ? "address" : "generatedAddress"));
	if (wake) {
		value_set_bool(x->a, nic, F_VirtualEthernetCard_wakeOnLanEnabled, true);
	}
	if (type == T_VirtualVmxnet3 && text(x, at.s, "uptv2Enabled") != NULL) {
		value_set_bool(x->a, nic, F_VirtualVmxnet3_uptv2Enabled, upt);
	}
	nic_network(x, nic, at.s);
	value_set_num(x->a, nic, F_VirtualDevice_key, 4000 + n);
	add_device(x, nic);
	return set_connectable(x, nic, at.s);
}

static bool read_serial(struct reader *x, int n)
{
	struct vmx_key at = vmx_key("serial%d", n);
	const char *kind = text(x, at.s, "fileType"), *path = NULL;
	bool present, yield;

	if (!flag(x, at.s, "present", false, &present) ||
	    !flag(x, at.s, "yieldOnMsrRead", true, &yield)) {
		return false;
	}
	if (!present) {
		return true;
	}
	struct value *port = value_new(x->a, T_VirtualSerialPort);
	value_set_bool(x->a, port, F_VirtualSerialPort_yieldOnPoll, yield);
	if (kind != NULL && strcasecmp(kind, "file") == 0) {
		struct value *b = value_new(x->a, T_VirtualSerialPortFileBackingInfo);
		if (!file_of(x, at.s, &path)) {
			return false;
		}
		value_set_str(x->a, b, F_VirtualDeviceFileBackingInfo_fileName, path);
		value_set(x->a, port, F_VirtualDevice_backing, b);
	}
	add_device(x, port);
	return set_connectable(x, port, at.s);
}

/* ---- numbers and names ---- */

static bool read_number(struct reader *x, const char *key, struct vmx_range range, unsigned field)
{
	struct error e;
	int64_t n;

	if (!vmx_get_int(x->vmx, key, &range, &n, &e)) {
		return refuse_file(x, &e);
	}
	value_set_num(x->a, x->spec, field, n);
	return true;
}

static bool read_allocation(struct reader *x, const char *what, unsigned field)
{
	struct value *all = value_new(x->a, T_ResourceAllocationInfo);
	struct value *shares = value_new(x->a, T_SharesInfo);
	struct vmx_range min = { .min = 0, .max = INT64_MAX },
			 max = { .min = -1, .max = INT64_MAX, .fallback = -1 };
	const char *level = vmx_get(x->vmx, vmx_key("sched.%s.shares", what).s);
	int64_t reservation, limit, n;
	struct error e;

	if (!vmx_get_int(x->vmx, vmx_key("sched.%s.min", what).s, &min, &reservation, &e)) {
		return refuse_file(x, &e);
	}
	if (!vmx_get_int(x->vmx, vmx_key("sched.%s.max", what).s, &max, &limit, &e)) {
		limit = -1; /* "unlimited", "max" */
	}
	int known = level == NULL ? E_SharesLevel_normal
				  : schema_enum_find(T_SharesLevel, level, strlen(level));
	value_set_num(x->a, all, F_ResourceAllocationInfo_reservation, reservation);
	value_set_num(x->a, all, F_ResourceAllocationInfo_limit, limit);
	value_set_num(x->a, shares, F_SharesInfo_shares, 0);
	if (known < 0 && number_i64(level, &n) && n > 0 && n <= 1000000) {
		value_set_num(x->a, shares, F_SharesInfo_shares, n);
		known = E_SharesLevel_custom;
	}
	value_set_num(x->a, shares, F_SharesInfo_level, known < 0 ? E_SharesLevel_normal : known);
	value_set(x->a, all, F_ResourceAllocationInfo_shares, shares);
	value_set(x->a, x->spec, field, all);
	return true;
}

static bool read_uuid(struct reader *x, const char *key, unsigned field)
{
	char uuid[37];
	struct error e;

	if (vmx_get(x->vmx, key) == NULL) {
		return true;
	}
	if (!vmx_get_uuid(x->vmx, key, uuid, &e)) {
		return refuse_file(x, &e);
	}
	value_set_str(x->a, x->spec, field, uuid);
	return true;
}

static bool read_identity(struct reader *x, const char *vmx_name)
{
	const char *name = vmx_get(x->vmx, "displayName"), *guest = vmx_get(x->vmx, "guestOS");
	const char *by = vmx_get(x->vmx, "managedBy.extensionKey");
	struct vmx_range version = { .min = 4, .max = 21, .fallback = 19 };
	struct error e;
	int64_t n;

	if (name == NULL || name[0] == '\0') {
		const char *dot = strrchr(vmx_name, '.');
		name = arena_strndup(x->a, vmx_name,
				     dot == NULL ? strlen(vmx_name) : (size_t)(dot - vmx_name));
	}
	value_set_str(x->a, x->spec, SPEC(name), name);
	if (!vmx_get_int(x->vmx, "virtualHW.version", &version, &n, &e)) {
		return refuse_file(x, &e);
	}
	value_set_strf(x->a, x->spec, SPEC(version), "vmx-%02d", (int)n);
	/* A guest this side has no name for is some other 64-bit one; it still boots. */
	guest = guest == NULL ? NULL : vm_guest_from_vmx(guest);
	value_set_str(x->a, x->spec, SPEC(guestId), guest == NULL ? "otherGuest64" : guest);
	value_set_str(x->a, x->spec, SPEC(firmware), vmx_get(x->vmx, "firmware"));
	if (by != NULL) {
		struct value *m = value_new(x->a, T_ManagedByInfo);
		const char *type = vmx_get(x->vmx, "managedBy.type");
		value_set_str(x->a, m, F_ManagedByInfo_extensionKey, by);
		value_set_str(x->a, m, F_ManagedByInfo_type, type == NULL ? "" : type);
		value_set(x->a, x->spec, SPEC(managedBy), m);
	}
	return read_uuid(x, "uuid.bios", SPEC(uuid)) && read_uuid(x, "vc.uuid", SPEC(instanceUuid));
}

static bool read_hardware(struct reader *x)
{
	struct vmx_range memory = {
		.min = 4, .max = VM_MEMORY_MAX_MB, .fallback = 32, .unit = "MB"
	};
	struct vmx_range cpus = { .min = 1, .max = VM_CPUS_MAX, .fallback = 1 };

	if (!read_number(x, "memSize", memory, SPEC(memoryMB)) ||
	    !read_number(x, "numvcpus", cpus, SPEC(numCPUs)) ||
	    !read_number(x, "cpuid.coresPerSocket", cpus, SPEC(numCoresPerSocket)) ||
	    !read_allocation(x, "cpu", SPEC(cpuAllocation)) ||
	    !read_allocation(x, "mem", SPEC(memoryAllocation)) || !read_storage(x)) {
		return false;
	}
	for (int n = 0; n < 16; n++) {
		if (!read_nic(x, n) || !read_serial(x, n)) {
			return false;
		}
	}
	value_set(x->a, x->spec, SPEC(deviceChange), x->changes);
	return true;
}

static bool read_boot_order(struct reader *x, struct value *config)
{
	const char *kinds = vmx_get(x->vmx, "bios.bootOrder");
	const char *disks = vmx_get(x->vmx, "remora.bootDisks");
	struct value *order = value_new_array(x->a, T_VirtualMachineBootOptionsBootableDevice);

	while (kinds != NULL && *kinds != '\0' && value_count(order) < 16) {
		size_t n = strcspn(kinds, ",");
		uint16_t type = n == 5 && strncasecmp(kinds, "cdrom", n) == 0
					? T_VirtualMachineBootOptionsBootableCdromDevice
				: n == 3 && strncasecmp(kinds, "hdd", n) == 0
					? T_VirtualMachineBootOptionsBootableDiskDevice
				: n == 8 && strncasecmp(kinds, "ethernet", n) == 0
					? T_VirtualMachineBootOptionsBootableEthernetDevice
					: T_VirtualMachineBootOptionsBootableFloppyDevice;
		struct value *d = value_new(x->a, type);
		if (type == T_VirtualMachineBootOptionsBootableDiskDevice) {
			value_set_num(x->a, d,
				      F_VirtualMachineBootOptionsBootableDiskDevice_deviceKey,
				      disks == NULL ? 2000 : (int32_t)strtol(disks, NULL, 10));
			disks = disks == NULL || strchr(disks, ',') == NULL
					? NULL
					: strchr(disks, ',') + 1;
		} else if (type == T_VirtualMachineBootOptionsBootableEthernetDevice) {
			value_set_num(x->a, d,
				      F_VirtualMachineBootOptionsBootableEthernetDevice_deviceKey,
				      4000);
		}
		value_push(x->a, order, d);
		kinds += n + (kinds[n] == ',');
	}
	if (value_count(order) > 0) {
		struct value *boot = value_edit(x->a, value_get_value(config, INFO(bootOptions)));
		value_set(x->a, boot, F_VirtualMachineBootOptions_bootOrder, order);
		value_set(x->a, config, INFO(bootOptions), boot);
	}
	return true;
}

/* ---- keys without a meaning here ---- */

static bool key_is_known(const char *key)
{
	static const char *const exact[] = {
		".encoding",
		"config.version",
		"virtualHW.version",
		"displayName",
		"guestOS",
		"firmware",
		"uuid.bios",
		"vc.uuid",
		"vm.createDate",
		"remora.changeVersion",
		"remora.template",
		"remora.bootDisks",
		"memSize",
		"numvcpus",
		"cpuid.coresPerSocket",
		"bios.bootOrder",
		"managedBy.extensionKey",
		"managedBy.type",
		"sched.cpu.min",
		"sched.cpu.max",
		"sched.cpu.shares",
		"sched.mem.min",
		"sched.mem.max",
		"sched.mem.shares",
		"sched.cpu.latencySensitivity",
	};
	static const char *const parts[] = {
		"present",
		"virtualDev",
		"sharedBus",
		"deviceType",
		"fileName",
		"mode",
		"writeThrough",
		"startConnected",
		"clientDevice",
		"networkName",
		"addressType",
		"address",
		"generatedAddress",
		"wakeOnPcktRcv",
		"uptv2Enabled",
		"opaqueNetwork.id",
		"opaqueNetwork.type",
		"dvs.switchId",
		"dvs.portgroupId",
		"dvs.portId",
		"dvs.connectionId",
		"fileType",
		"pipe.endPoint",
		"yieldOnMsrRead",
		"allowGuestConnectionControl",
	};
	static const char *const devices[] = {
		"scsi", "ide", "sata", "nvme", "ethernet", "serial"
	};

	for (size_t i = 0; i < ARRAY_LEN(exact); i++) {
		if (strcasecmp(exact[i], key) == 0) {
			return true;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
		size_t n = strlen(devices[i]);
		const char *dot = strchr(key, '.');
		if (dot == NULL || strncasecmp(key, devices[i], n) != 0 || key[n] < '0' ||
		    key[n] > '9') {
			continue;
		}
		for (size_t k = 0; k < ARRAY_LEN(parts); k++) {
			if (strcasecmp(parts[k], dot + 1) == 0) {
				return true;
			}
		}
	}
	return vm_setting_owns_key(key);
}

static void keep_unknown(struct reader *x)
{
	struct value *extra = value_new_array(x->a, T_OptionValue);

	for (size_t i = 0; i < vmx_n_entries(x->vmx) && value_count(extra) < VM_EXTRA_MAX; i++) {
		const char *key, *value;
		vmx_entry(x->vmx, i, &key, &value);
		if (key_is_known(key) || value[0] == '\0') {
			continue;
		}
		struct value *o = value_new(x->a, T_OptionValue);
		value_set_str(x->a, o, F_OptionValue_key, key);
		value_set(x->a, o, F_OptionValue_value, value_new_str(x->a, value));
		value_push(x->a, extra, o);
	}
	if (value_count(extra) > 0) {
		value_set(x->a, x->spec, SPEC(extraConfig), extra);
	}
}

/* What a spec cannot say and only the file knows. */
static bool finish(struct reader *x, struct value *config)
{
	struct vmx_range date = { .min = 0, .max = INT64_MAX };
	const char *version = vmx_get(x->vmx, "remora.changeVersion");
	const char *latency = vmx_get(x->vmx, "sched.cpu.latencySensitivity");
	bool template;
	int64_t created;
	struct error e;

	if (!vm_settings_from_vmx(x->a, config, x->vmx, &e) ||
	    !vmx_get_bool(x->vmx, "remora.template", false, &template, &e) ||
	    !vmx_get_int(x->vmx, "vm.createDate", &date, &created, &e)) {
		return refuse_file(x, &e);
	}
	value_set_bool(x->a, config, INFO(template), template);
	if (created > 0) {
		value_set_num(x->a, config, INFO(createDate), created);
	}
	if (version != NULL) {
		value_set_str(x->a, config, INFO(changeVersion), version);
	}
	int level = latency == NULL ? -1
				    : schema_enum_find(T_LatencySensitivitySensitivityLevel,
						       latency, strlen(latency));
	if (level >= 0) {
		struct value *l = value_new(x->a, T_LatencySensitivity);
		value_set_num(x->a, l, F_LatencySensitivity_level, level);
		value_set(x->a, config, INFO(latencySensitivity), l);
	}
	return read_boot_order(x, config);
}

bool vm_config_from_vmx(struct arena *a, const struct vmx *vmx, const char *path,
			const struct vm_env *env, const struct value **out, struct vm_refusal *r)
{
	const char *slash = strrchr(path, '/');
	struct reader x = { .a = a,
			    .vmx = vmx,
			    .folder = arena_strndup(a, path, (size_t)(slash - path)),
			    .spec = value_new(a, T_VirtualMachineConfigSpec),
			    .changes = value_new_array(a, T_VirtualDeviceConfigSpec),
			    .r = r,
			    .next_key = -1 };
	struct vm_plan plan;

	if (!read_identity(&x, slash + 1) || !read_hardware(&x)) {
		return false;
	}
	keep_unknown(&x);
	if (!vm_config_create(a, x.spec, path, env, &plan, r)) {
		return false;
	}
	struct value *config = value_edit(a, plan.config);
	vm_plan_fini(&plan);
	if (!finish(&x, config)) {
		return false;
	}
	*out = config;
	return true;
}
