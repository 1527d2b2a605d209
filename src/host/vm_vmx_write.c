/* SPDX-License-Identifier: Apache-2.0 */
#include "host/vm_vmx.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "host/vm_device.h"
#include "host/vm_setting.h"

#define OPAQUE(f) F_VirtualEthernetCardOpaqueNetworkBackingInfo_##f
#define INFO(f)	  F_VirtualMachineConfigInfo_##f

void vm_guest_to_vmx(const char *guest_id, char out[64])
{
	size_t n = 0, len = strlen(guest_id);
	const char *word = strstr(guest_id, "Guest");
	size_t stem = word == NULL ? len : (size_t)(word - guest_id);
	bool is_64 = strstr(guest_id, "64") != NULL;

	for (size_t i = 0; i < stem && n < 58; i++) {
		if (strncmp(guest_id + i, "_64", 3) == 0) {
			i += 2;
		} else if (strncmp(guest_id + i, "64", 2) == 0) {
			i += 1;
		} else {
			out[n++] = (char)tolower((unsigned char)guest_id[i]);
		}
	}
	snprintf(out + n, 64 - n, "%s", is_64 ? "-64" : "");
}

/* Where the VM's own files are written without their folder. */
static const char *own_path(const struct value *config, const char *path, char out[4200])
{
	const char *vmx = value_get_str(value_get_value(config, INFO(files)),
					F_VirtualMachineFileInfo_vmPathName);
	size_t folder = (size_t)(strrchr(vmx, '/') - vmx) + 1;

	if (strncmp(path, vmx, folder) == 0 && strchr(path + folder, '/') == NULL) {
		return path + folder;
	}
	const char *end = strchr(path, ']');
	if (path[0] != '[' || end == NULL) {
		return path;
	}
	snprintf(out, 4200, "/vmfs/volumes/%.*s/%s", (int)(end - path - 1), path + 1,
		 end[1] == ' ' ? end + 2 : end + 1);
	return out;
}

/* ---- devices; `at` is "scsi0:1", "ethernet0", … ---- */

static void set(struct vmx *vmx, const char *at, const char *key, const char *value)
{
	if (value != NULL) {
		vmx_set(vmx, vmx_key("%s.%s", at, key).s, value, NULL);
	}
}

static void set_bool(struct vmx *vmx, const char *at, const char *key, bool b)
{
	set(vmx, at, key, b ? "TRUE" : "FALSE");
}

static void set_connected(struct vmx *vmx, const char *at, const struct value *device)
{
	const struct value *c = value_get_value(device, F_VirtualDevice_connectable);

	if (c != NULL) {
		set_bool(vmx, at, "startConnected",
			 value_get_bool(c, F_VirtualDeviceConnectInfo_startConnected, true));
		set_bool(vmx, at, "allowGuestConnectionControl",
			 value_get_bool(c, F_VirtualDeviceConnectInfo_allowGuestControl, true));
	}
}

static void write_controller(struct vmx *vmx, const struct value *c)
{
	const struct vm_bus_facts *f = vm_bus_facts(vm_controller_bus(c->type));

	if (f->vmx_prefix == NULL || f->bus == VM_BUS_IDE) {
		return;
	}
	struct vmx_key at = vmx_key("%s%lld", f->vmx_prefix,
				    (long long)value_get_num(c, F_VirtualController_busNumber, 0));
	set_bool(vmx, at.s, "present", true);
	set(vmx, at.s, "virtualDev", vm_device_vmx_name(c->type));
	if (f->bus == VM_BUS_SCSI) {
		int64_t shared = value_get_num(c, F_VirtualSCSIController_sharedBus,
					       E_VirtualSCSISharing_noSharing);
		set(vmx, at.s, "sharedBus",
		    shared == E_VirtualSCSISharing_physicalSharing  ? "physical"
		    : shared == E_VirtualSCSISharing_virtualSharing ? "virtual"
								    : "none");
	}
}

static void write_disk(struct vmx *vmx, const struct value *config, const char *at,
		       const struct value *disk, enum vm_bus bus)
{
	char room[4200];
	const struct value *b = value_get_value(disk, F_VirtualDevice_backing);

	set_bool(vmx, at, "present", true);
	set(vmx, at, "deviceType",
	    bus == VM_BUS_SCSI	 ? "scsi-hardDisk"
	    : bus == VM_BUS_NVME ? "nvme-hardDisk"
				 : "ata-hardDisk");
	set(vmx, at, "fileName",
	    own_path(config, value_get_str(b, F_VirtualDeviceFileBackingInfo_fileName), room));
	set(vmx, at, "mode", value_get_str(b, F_VirtualDiskFlatVer2BackingInfo_diskMode));
	if (value_get_bool(b, F_VirtualDiskFlatVer2BackingInfo_writeThrough, false)) {
		set_bool(vmx, at, "writeThrough", true);
	}
}

static void write_cdrom(struct vmx *vmx, const struct value *config, const char *at,
			const struct value *cdrom)
{
	char room[4200];
	const struct value *b = value_get_value(cdrom, F_VirtualDevice_backing);

	set_bool(vmx, at, "present", true);
	if (b->type == T_VirtualCdromIsoBackingInfo) {
		const char *name = value_get_str(b, F_VirtualDeviceFileBackingInfo_fileName);
		set(vmx, at, "deviceType", "cdrom-image");
		set(vmx, at, "fileName", name == NULL ? "" : own_path(config, name, room));
	} else {
		set(vmx, at, "deviceType", "atapi-cdrom");
		set_bool(vmx, at, "clientDevice", true);
		set(vmx, at, "fileName", "");
	}
	set_connected(vmx, at, cdrom);
}

static void write_nic(struct vmx *vmx, const struct value *nic)
{
	long long n = (long long)value_get_num(nic, F_VirtualDevice_key, 4000) - 4000;
	struct vmx_key at = vmx_key("ethernet%lld", n);
	const struct value *b = value_get_value(nic, F_VirtualDevice_backing);
	const char *type = value_get_str(nic, F_VirtualEthernetCard_addressType);
	const char *mac = value_get_str(nic, F_VirtualEthernetCard_macAddress);
	bool manual = type != NULL && strcmp(type, "manual") == 0;

	set_bool(vmx, at.s, "present", true);
	set(vmx, at.s, "virtualDev", vm_device_vmx_name(nic->type));
	if (value_is_a(b, T_VirtualEthernetCardOpaqueNetworkBackingInfo)) {
		set(vmx, at.s, "opaqueNetwork.id", value_get_str(b, OPAQUE(opaqueNetworkId)));
		set(vmx, at.s, "opaqueNetwork.type", value_get_str(b, OPAQUE(opaqueNetworkType)));
	} else if (value_is_a(b, T_VirtualDeviceDeviceBackingInfo)) {
		set(vmx, at.s, "networkName",
		    value_get_str(b, F_VirtualDeviceDeviceBackingInfo_deviceName));
	} else if (value_is_a(b, T_VirtualEthernetCardDistributedVirtualPortBackingInfo)) {
		const struct value *port = value_get_value(
			b, F_VirtualEthernetCardDistributedVirtualPortBackingInfo_port);
		set(vmx, at.s, "dvs.switchId",
		    value_get_str(port, F_DistributedVirtualSwitchPortConnection_switchUuid));
		set(vmx, at.s, "dvs.portgroupId",
		    value_get_str(port, F_DistributedVirtualSwitchPortConnection_portgroupKey));
		set(vmx, at.s, "dvs.portId",
		    value_get_str(port, F_DistributedVirtualSwitchPortConnection_portKey));
		if (value_has(port, F_DistributedVirtualSwitchPortConnection_connectionCookie)) {
			char cookie[24];
			snprintf(cookie, sizeof(cookie), "%lld",
				 (long long)value_get_num(
					 port,
					 F_DistributedVirtualSwitchPortConnection_connectionCookie,
					 0));
			set(vmx, at.s, "dvs.connectionId", cookie);
		}
	}
	set(vmx, at.s, "addressType",
	    manual					    ? "static"
	    : type != NULL && strcmp(type, "assigned") == 0 ? "vpx"
							    : "generated");
	set(vmx, at.s, manual ? "address" : "generatedAddress", mac);
	if (value_get_bool(nic, F_VirtualEthernetCard_wakeOnLanEnabled, false)) {
		set_bool(vmx, at.s, "wakeOnPcktRcv", true);
	}
	if (nic->type == T_VirtualVmxnet3 && value_has(nic, F_VirtualVmxnet3_uptv2Enabled)) {
		set_bool(vmx, at.s, "uptv2Enabled",
			 value_get_bool(nic, F_VirtualVmxnet3_uptv2Enabled, false));
	}
	set_connected(vmx, at.s, nic);
}

static void write_serial(struct vmx *vmx, const struct value *config, const struct value *port)
{
	char room[4200];
	long long n = (long long)value_get_num(port, F_VirtualDevice_key, 9000) - 9000;
	struct vmx_key at = vmx_key("serial%lld", n);
	const struct value *b = value_get_value(port, F_VirtualDevice_backing);

	set_bool(vmx, at.s, "present", true);
	if (b->type == T_VirtualSerialPortFileBackingInfo) {
		set(vmx, at.s, "fileType", "file");
		set(vmx, at.s, "fileName",
		    own_path(config, value_get_str(b, F_VirtualDeviceFileBackingInfo_fileName),
			     room));
	} else {
		const char *uri = value_get_str(b, F_VirtualDeviceURIBackingInfo_serviceURI);
		set(vmx, at.s, "fileType", "pipe");
		set(vmx, at.s, "fileName", strchr(uri, ':') == NULL ? uri : strchr(uri, ':') + 1);
		set(vmx, at.s, "pipe.endPoint", "server");
	}
	set_bool(vmx, at.s, "yieldOnMsrRead",
		 value_get_bool(port, F_VirtualSerialPort_yieldOnPoll, true));
	set_connected(vmx, at.s, port);
}

static void write_storage(struct vmx *vmx, const struct value *config, const struct value *devices,
			  const struct value *d, enum vm_role role)
{
	const struct value *c = vm_device_find(
		devices, (int32_t)value_get_num(d, F_VirtualDevice_controllerKey, 0));
	const struct vm_bus_facts *f = vm_bus_facts(vm_controller_bus(c->type));
	struct vmx_key at = vmx_key("%s%lld:%lld", f->vmx_prefix,
				    (long long)value_get_num(c, F_VirtualController_busNumber, 0),
				    (long long)value_get_num(d, F_VirtualDevice_unitNumber, 0));

	if (role == VM_ROLE_DISK) {
		write_disk(vmx, config, at.s, d, f->bus);
	} else {
		write_cdrom(vmx, config, at.s, d);
	}
}

static void write_devices(struct vmx *vmx, const struct value *config)
{
	const struct value *devices =
		value_get_value(value_get_value(config, INFO(hardware)), F_VirtualHardware_device);

	for (size_t i = 0; i < value_count(devices); i++) {
		const struct value *d = value_item(devices, i);
		enum vm_role role = vm_device_role(d->type);
		if (role == VM_ROLE_CONTROLLER) {
			write_controller(vmx, d);
		} else if (role == VM_ROLE_DISK || role == VM_ROLE_CDROM) {
			write_storage(vmx, config, devices, d, role);
		} else if (role == VM_ROLE_NIC) {
			write_nic(vmx, d);
		} else if (role == VM_ROLE_SERIAL) {
			write_serial(vmx, config, d);
		}
	}
}

/* ---- the rest ---- */

static void write_allocation(struct vmx *vmx, const struct value *x, const char *what)
{
	const struct value *shares = value_get_value(x, F_ResourceAllocationInfo_shares);
	int64_t level = value_get_num(shares, F_SharesInfo_level, E_SharesLevel_normal);

	vmx_set_int(vmx, vmx_key("sched.%s.min", what).s,
		    value_get_num(x, F_ResourceAllocationInfo_reservation, 0), NULL);
	int64_t limit = value_get_num(x, F_ResourceAllocationInfo_limit, -1);
	if (limit >= 0) {
		vmx_set_int(vmx, vmx_key("sched.%s.max", what).s, limit, NULL);
	}
	if (level == E_SharesLevel_custom) {
		vmx_set_int(vmx, vmx_key("sched.%s.shares", what).s,
			    value_get_num(shares, F_SharesInfo_shares, 0), NULL);
	} else {
		vmx_set(vmx, vmx_key("sched.%s.shares", what).s,
			schema_enum_name(T_SharesLevel, (unsigned)level), NULL);
	}
}

static void write_boot_order(struct vmx *vmx, const struct value *boot)
{
	const struct value *order = value_get_value(boot, F_VirtualMachineBootOptions_bootOrder);
	struct buf kinds = BUF_INIT, disks = BUF_INIT;

	for (size_t i = 0; i < value_count(order); i++) {
		const struct value *d = value_item(order, i);
		const char *kind =
			d->type == T_VirtualMachineBootOptionsBootableCdromDevice      ? "cdrom"
			: d->type == T_VirtualMachineBootOptionsBootableEthernetDevice ? "ethernet"
			: d->type == T_VirtualMachineBootOptionsBootableDiskDevice     ? "hdd"
										       : "floppy";
		buf_addf(&kinds, "%s%s", kinds.len == 0 ? "" : ",", kind);
		if (strcmp(kind, "hdd") == 0) {
			buf_addf(&disks, "%s%lld", disks.len == 0 ? "" : ",",
				 (long long)value_get_num(
					 d, F_VirtualMachineBootOptionsBootableDiskDevice_deviceKey,
					 0));
		}
	}
	if (kinds.len > 0) {
		vmx_set(vmx, "bios.bootOrder", kinds.data, NULL);
	}
	if (disks.len > 0) {
		vmx_set(vmx, "remora.bootDisks", disks.data, NULL);
	}
	buf_free(&kinds);
	buf_free(&disks);
}

static void write_identity(struct vmx *vmx, const struct value *config)
{
	char guest[64];

	vmx_set(vmx, "config.version", "8", NULL);
	const char *version = value_get_str(config, INFO(version));
	vmx_set(vmx, "virtualHW.version", version + 4, NULL);
	vmx_set(vmx, "displayName", value_get_str(config, INFO(name)), NULL);
	vm_guest_to_vmx(value_get_str(config, INFO(guestId)), guest);
	vmx_set(vmx, "guestOS", guest, NULL);
	/* As on ESXi: BIOS is what a file without the key means, and libvirt knows only "efi". */
	const char *firmware = value_get_str(config, INFO(firmware));
	if (firmware != NULL && strcmp(firmware, "bios") != 0) {
		vmx_set(vmx, "firmware", firmware, NULL);
	}
	vmx_set_uuid(vmx, "uuid.bios", value_get_str(config, INFO(uuid)), NULL);
	vmx_set_uuid(vmx, "vc.uuid", value_get_str(config, INFO(instanceUuid)), NULL);
	if (value_has(config, INFO(createDate))) {
		vmx_set_int(vmx, "vm.createDate", value_get_num(config, INFO(createDate), 0), NULL);
	}
	vmx_set(vmx, "remora.changeVersion", value_get_str(config, INFO(changeVersion)), NULL);
	if (value_get_bool(config, INFO(template), false)) {
		vmx_set_bool(vmx, "remora.template", true, NULL);
	}
	const struct value *by = value_get_value(config, INFO(managedBy));
	if (by != NULL) {
		vmx_set(vmx, "managedBy.extensionKey",
			value_get_str(by, F_ManagedByInfo_extensionKey), NULL);
		vmx_set(vmx, "managedBy.type", value_get_str(by, F_ManagedByInfo_type), NULL);
	}
}

struct vmx *vm_config_to_vmx(const struct value *config)
{
	struct vmx *vmx = vmx_new();
	const struct value *hw = value_get_value(config, INFO(hardware));
	const struct value *extra = value_get_value(config, INFO(extraConfig));
	const struct value *latency = value_get_value(config, INFO(latencySensitivity));

	write_identity(vmx, config);
	vmx_set_int(vmx, "memSize", value_get_num(hw, F_VirtualHardware_memoryMB, 0), NULL);
	vmx_set_int(vmx, "numvcpus", value_get_num(hw, F_VirtualHardware_numCPU, 1), NULL);
	vmx_set_int(vmx, "cpuid.coresPerSocket",
		    value_get_num(hw, F_VirtualHardware_numCoresPerSocket, 1), NULL);
	vm_settings_to_vmx(config, vmx);
	write_allocation(vmx, value_get_value(config, INFO(cpuAllocation)), "cpu");
	write_allocation(vmx, value_get_value(config, INFO(memoryAllocation)), "mem");
	if (latency != NULL) {
		vmx_set(vmx, "sched.cpu.latencySensitivity",
			schema_enum_name(
				T_LatencySensitivitySensitivityLevel,
				(unsigned)value_get_num(latency, F_LatencySensitivity_level, 0)),
			NULL);
	}
	write_boot_order(vmx, value_get_value(config, INFO(bootOptions)));
	write_devices(vmx, config);
	for (size_t i = 0; i < value_count(extra); i++) {
		const struct value *item = value_item(extra, i);
		const char *key = value_get_str(item, F_OptionValue_key);
		if (vmx_get(vmx, key) == NULL) {
			vmx_set(vmx, key, value_bytes(value_get_value(item, F_OptionValue_value)),
				NULL);
		}
	}
	return vmx;
}
