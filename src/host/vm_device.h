/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual devices of a VM as vSphere numbers and names them: which controller carries what, the
 * keys, unit numbers, labels, and their names in a .vmx file. Tables and arithmetic, no state.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "vim/value.h"

enum vm_bus {
	VM_BUS_NONE,
	VM_BUS_IDE,
	VM_BUS_SCSI,
	VM_BUS_SATA,
	VM_BUS_NVME,
	VM_BUS_SIO,
	VM_BUS_PCI,
	VM_BUS_PS2,
	VM_BUS_USB
};

enum vm_role {
	VM_ROLE_OTHER,
	VM_ROLE_CONTROLLER,
	VM_ROLE_DISK,
	VM_ROLE_CDROM,
	VM_ROLE_NIC,
	VM_ROLE_SERIAL,
	VM_ROLE_FLOPPY,
	VM_ROLE_FIXED /* keyboard, mouse, video, VMCI */
};

/* What is known of a kind of bus. */
struct vm_bus_facts {
	enum vm_bus bus;
	const char *vmx_prefix; /* "scsi"; NULL: not in .vmx files */
	const char *label;	/* "SCSI controller" */
	int32_t controller_key; /* of bus number 0 */
	int32_t device_key;	/* of bus 0, unit 0; -1: children have keys of their own kind */
	int max_buses, max_units;
	int reserved_unit; /* the controller's own, -1: none */
};
const struct vm_bus_facts *vm_bus_facts(enum vm_bus bus);

/* Role of a device by its type id. */
enum vm_role vm_device_role(uint16_t type);

/* Bus that a controller type provides; VM_BUS_NONE for other devices. */
enum vm_bus vm_controller_bus(uint16_t type);

/* "lsilogic", "e1000e", … of a controller or network card type, NULL where .vmx has none; and back
 * (T_none for an unknown name). */
const char *vm_device_vmx_name(uint16_t type);
uint16_t vm_controller_type(enum vm_bus bus, const char *vmx_name);
uint16_t vm_nic_type(const char *vmx_name);

/* Fresh devices, as drafts, with key, label and summary. */
struct value *vm_controller_new(struct arena *a, uint16_t type, int bus_number);
struct value *vm_fixed_devices(struct arena *a); /* array: what every VM has */

/* Sets deviceInfo{label, summary} of a device from what it is. `n` counts devices of its kind
 * from 1. */
void vm_device_describe(struct arena *a, struct value *device, int n);

/* Device array helpers: by key; NULL when absent. */
const struct value *vm_device_find(const struct value *devices, int32_t key);
