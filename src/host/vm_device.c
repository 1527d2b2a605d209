/* SPDX-License-Identifier: Apache-2.0 */
#include "host/vm_device.h"

#include <string.h>
#include <strings.h>

#include "base/macro.h"

static const struct vm_bus_facts buses[] = {
	{ VM_BUS_IDE, "ide", "IDE", 200, 3000, 2, 2, -1 },
	{ VM_BUS_SCSI, "scsi", "SCSI controller", 1000, 2000, 4, 16, 7 },
	{ VM_BUS_SATA, "sata", "SATA controller", 15000, 16000, 4, 30, -1 },
	{ VM_BUS_NVME, "nvme", "NVME controller", 31000, 32000, 4, 15, -1 },
	{ VM_BUS_SIO, NULL, "SIO controller", 400, -1, 1, 256, -1 },
	{ VM_BUS_PCI, NULL, "PCI controller", 100, -1, 1, 256, -1 },
	{ VM_BUS_PS2, NULL, "PS2 controller", 300, -1, 1, 2, -1 },
	{ VM_BUS_USB, NULL, "USB controller", 7000, -1, 1, 256, -1 },
};

/* Types with a name of their own in .vmx files. */
static const struct {
	uint16_t type;
	enum vm_bus bus; /* that it provides; none: a network card */
	const char *vmx_name;
	const char *summary;
} named[] = {
	{ T_VirtualLsiLogicController, VM_BUS_SCSI, "lsilogic", "LSI Logic" },
	{ T_VirtualLsiLogicSASController, VM_BUS_SCSI, "lsisas1068", "LSI Logic SAS" },
	{ T_VirtualBusLogicController, VM_BUS_SCSI, "buslogic", "Bus Logic" },
	{ T_ParaVirtualSCSIController, VM_BUS_SCSI, "pvscsi", "VMware paravirtual SCSI" },
	{ T_VirtualIDEController, VM_BUS_IDE, NULL, "IDE" },
	{ T_VirtualAHCIController, VM_BUS_SATA, NULL, "AHCI" },
	{ T_VirtualNVMEController, VM_BUS_NVME, NULL, "NVME" },
	{ T_VirtualSIOController, VM_BUS_SIO, NULL, "SIO controller" },
	{ T_VirtualPCIController, VM_BUS_PCI, NULL, "PCI controller" },
	{ T_VirtualPS2Controller, VM_BUS_PS2, NULL, "PS2 controller" },
	{ T_VirtualUSBController, VM_BUS_USB, NULL, "USB controller" },
	{ T_VirtualE1000, VM_BUS_NONE, "e1000", "E1000" },
	{ T_VirtualE1000e, VM_BUS_NONE, "e1000e", "E1000e" },
	{ T_VirtualVmxnet3, VM_BUS_NONE, "vmxnet3", "VMXNET 3" },
	{ T_VirtualVmxnet2, VM_BUS_NONE, "vmxnet", "Enhanced VMXNET" },
	{ T_VirtualPCNet32, VM_BUS_NONE, "vlance", "PCNet32" },
};

const struct vm_bus_facts *vm_bus_facts(enum vm_bus bus)
{
	for (size_t i = 0; i < ARRAY_LEN(buses); i++) {
		if (buses[i].bus == bus) {
			return &buses[i];
		}
	}
	return NULL;
}

enum vm_bus vm_controller_bus(uint16_t type)
{
	for (size_t i = 0; i < ARRAY_LEN(named); i++) {
		if (named[i].type == type) {
			return named[i].bus;
		}
	}
	return VM_BUS_NONE;
}

enum vm_role vm_device_role(uint16_t type)
{
	if (schema_is_a(type, T_VirtualController)) {
		return vm_controller_bus(type) == VM_BUS_NONE ? VM_ROLE_OTHER : VM_ROLE_CONTROLLER;
	}
	if (schema_is_a(type, T_VirtualEthernetCard)) {
		return vm_device_vmx_name(type) == NULL ? VM_ROLE_OTHER : VM_ROLE_NIC;
	}
	switch (type) {
	case T_VirtualDisk:
		return VM_ROLE_DISK;
	case T_VirtualCdrom:
		return VM_ROLE_CDROM;
	case T_VirtualSerialPort:
		return VM_ROLE_SERIAL;
	case T_VirtualFloppy:
		return VM_ROLE_FLOPPY;
	case T_VirtualKeyboard:
	case T_VirtualPointingDevice:
	case T_VirtualMachineVideoCard:
	case T_VirtualMachineVMCIDevice:
		return VM_ROLE_FIXED;
	default:
		return VM_ROLE_OTHER;
	}
}

const char *vm_device_vmx_name(uint16_t type)
{
	for (size_t i = 0; i < ARRAY_LEN(named); i++) {
		if (named[i].type == type) {
			return named[i].vmx_name;
		}
	}
	return NULL;
}

uint16_t vm_controller_type(enum vm_bus bus, const char *vmx_name)
{
	for (size_t i = 0; i < ARRAY_LEN(named); i++) {
		if (named[i].bus == bus &&
		    (named[i].vmx_name == NULL ||
		     (vmx_name != NULL && strcasecmp(named[i].vmx_name, vmx_name) == 0))) {
			return named[i].type;
		}
	}
	return T_none;
}

uint16_t vm_nic_type(const char *vmx_name)
{
	return vm_controller_type(VM_BUS_NONE, vmx_name);
}

/* ---- labels ---- */

static const char *type_summary(uint16_t type)
{
	for (size_t i = 0; i < ARRAY_LEN(named); i++) {
		if (named[i].type == type) {
			return named[i].summary;
		}
	}
	return NULL;
}

static void controller_describe(struct value *info, struct arena *a, const struct value *device)
{
	const struct vm_bus_facts *f = vm_bus_facts(vm_controller_bus(device->type));
	int64_t bus = value_get_num(device, F_VirtualController_busNumber, 0);

	value_set_strf(a, info, F_Description_label, "%s %lld", f->label, (long long)bus);
	if (f->bus == VM_BUS_IDE || f->bus == VM_BUS_PCI || f->bus == VM_BUS_PS2 ||
	    f->bus == VM_BUS_SIO) {
		value_set_strf(a, info, F_Description_summary, "%s %lld", f->label, (long long)bus);
	} else {
		value_set_str(a, info, F_Description_summary, type_summary(device->type));
	}
}

static const char *backing_summary(const struct value *device)
{
	const struct value *backing = value_get_value(device, F_VirtualDevice_backing);
	const char *s = NULL;

	if (value_is_a(backing, T_VirtualDeviceFileBackingInfo)) {
		s = value_get_str(backing, F_VirtualDeviceFileBackingInfo_fileName);
	} else if (value_is_a(backing, T_VirtualDeviceDeviceBackingInfo)) {
		s = value_get_str(backing, F_VirtualDeviceDeviceBackingInfo_deviceName);
	} else if (value_is_a(backing, T_VirtualDeviceURIBackingInfo)) {
		s = value_get_str(backing, F_VirtualDeviceURIBackingInfo_serviceURI);
	} else if (value_is_a(backing, T_VirtualEthernetCardDistributedVirtualPortBackingInfo)) {
		s = "DVSwitch";
	}
	return s == NULL || s[0] == '\0' ? "Not connected" : s;
}

static void with_thousands(char out[32], uint64_t n)
{
	char digits[24];
	size_t len = 0, at = 0;

	do {
		digits[len++] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	while (len > 0) {
		out[at++] = digits[--len];
		if (len > 0 && len % 3 == 0) {
			out[at++] = ',';
		}
	}
	out[at] = '\0';
}

static const char *role_label(enum vm_role role)
{
	switch (role) {
	case VM_ROLE_DISK:
		return "Hard disk";
	case VM_ROLE_CDROM:
		return "CD/DVD drive";
	case VM_ROLE_NIC:
		return "Network adapter";
	case VM_ROLE_SERIAL:
		return "Serial port";
	case VM_ROLE_FLOPPY:
		return "Floppy drive";
	case VM_ROLE_OTHER:
	case VM_ROLE_CONTROLLER:
	case VM_ROLE_FIXED:
	default:
		return "Device";
	}
}

void vm_device_describe(struct arena *a, struct value *device, int n)
{
	struct value *info = value_new(a, T_Description);
	enum vm_role role = vm_device_role(device->type);

	if (role == VM_ROLE_FIXED) {
		return;
	}
	if (role == VM_ROLE_CONTROLLER) {
		controller_describe(info, a, device);
	} else {
		value_set_strf(a, info, F_Description_label, "%s %d", role_label(role), n);
		if (role == VM_ROLE_DISK) {
			char kb[32];
			with_thousands(
				kb, (uint64_t)value_get_num(device, F_VirtualDisk_capacityInKB, 0));
			value_set_strf(a, info, F_Description_summary, "%s KB", kb);
		} else {
			value_set_str(a, info, F_Description_summary, backing_summary(device));
		}
	}
	value_set(a, device, F_VirtualDevice_deviceInfo, info);
}

/* ---- fresh devices ---- */

struct value *vm_controller_new(struct arena *a, uint16_t type, int bus_number)
{
	const struct vm_bus_facts *f = vm_bus_facts(vm_controller_bus(type));
	struct value *c = value_new(a, type);

	value_set_num(a, c, F_VirtualDevice_key, f->controller_key + bus_number);
	value_set_num(a, c, F_VirtualController_busNumber, bus_number);
	if (f->bus == VM_BUS_SCSI) {
		value_set_bool(a, c, F_VirtualSCSIController_hotAddRemove, true);
		value_set_num(a, c, F_VirtualSCSIController_sharedBus,
			      E_VirtualSCSISharing_noSharing);
		value_set_num(a, c, F_VirtualSCSIController_scsiCtlrUnitNumber, f->reserved_unit);
	}
	if (f->bus == VM_BUS_SCSI || f->bus == VM_BUS_SATA || f->bus == VM_BUS_NVME) {
		int base = f->bus == VM_BUS_SCSI ? 3 : f->bus == VM_BUS_SATA ? 24 : 30;
		value_set_num(a, c, F_VirtualDevice_controllerKey, 100);
		value_set_num(a, c, F_VirtualDevice_unitNumber, base + bus_number);
	}
	vm_device_describe(a, c, 0);
	return c;
}

static struct value *fixed(struct arena *a, uint16_t type, int32_t key, int32_t controller,
			   int unit)
{
	struct value *d = value_new(a, type);

	value_set_num(a, d, F_VirtualDevice_key, key);
	value_set_num(a, d, F_VirtualDevice_controllerKey, controller);
	value_set_num(a, d, F_VirtualDevice_unitNumber, unit);
	return d;
}

static void describe_as(struct arena *a, struct value *device, const char *label,
			const char *summary)
{
	struct value *info = value_new(a, T_Description);

	value_set_str(a, info, F_Description_label, label);
	value_set_str(a, info, F_Description_summary, summary);
	value_set(a, device, F_VirtualDevice_deviceInfo, info);
}

struct value *vm_fixed_devices(struct arena *a)
{
	struct value *all = value_new_array(a, T_VirtualDevice);

	value_push(a, all, vm_controller_new(a, T_VirtualIDEController, 0));
	value_push(a, all, vm_controller_new(a, T_VirtualIDEController, 1));
	value_push(a, all, vm_controller_new(a, T_VirtualPS2Controller, 0));
	value_push(a, all, vm_controller_new(a, T_VirtualPCIController, 0));
	value_push(a, all, vm_controller_new(a, T_VirtualSIOController, 0));

	struct value *keyboard = fixed(a, T_VirtualKeyboard, 600, 300, 0);
	describe_as(a, keyboard, "Keyboard", "Keyboard");
	value_push(a, all, keyboard);

	struct value *mouse = fixed(a, T_VirtualPointingDevice, 700, 300, 1);
	struct value *backing = value_new(a, T_VirtualPointingDeviceDeviceBackingInfo);
	value_set_str(a, backing, F_VirtualDeviceDeviceBackingInfo_deviceName, "");
	value_set_bool(a, backing, F_VirtualDeviceDeviceBackingInfo_useAutoDetect, false);
	value_set_str(a, backing, F_VirtualPointingDeviceDeviceBackingInfo_hostPointingDevice,
		      "autodetect");
	value_set(a, mouse, F_VirtualDevice_backing, backing);
	describe_as(a, mouse, "Pointing device", "Pointing device; Device");
	value_push(a, all, mouse);

	struct value *video = fixed(a, T_VirtualMachineVideoCard, 500, 100, 0);
	value_set_num(a, video, F_VirtualMachineVideoCard_videoRamSizeInKB, 16384);
	value_set_num(a, video, F_VirtualMachineVideoCard_numDisplays, 1);
	value_set_bool(a, video, F_VirtualMachineVideoCard_useAutoDetect, false);
	value_set_bool(a, video, F_VirtualMachineVideoCard_enable3DSupport, false);
	describe_as(a, video, "Video card ", "Video card");
	value_push(a, all, video);
	return all;
}

const struct value *vm_device_find(const struct value *devices, int32_t key)
{
	for (size_t i = 0; i < value_count(devices); i++) {
		const struct value *d = value_item(devices, i);
		if (value_get_num(d, F_VirtualDevice_key, INT32_MIN) == key) {
			return d;
		}
	}
	return NULL;
}
