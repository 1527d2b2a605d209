/* SPDX-License-Identifier: Apache-2.0 */
/* Applies the deviceChange part of a VirtualMachineConfigSpec to a VM's devices; for vm_config.c.
 */
#pragma once

#include "host/vm_config.h"
#include "host/vm_device.h"

/* Devices in the making. `devices` starts as those of the present configuration. */
struct vm_device_edit {
	struct arena *a;
	const struct vm_env *env;
	struct vm_plan *plan;
	struct vm_refusal *r;
	const char *folder;    /* "[ds] name" */
	const char *base_name; /* for new disks: "name" gives "name.vmdk" */
	VEC(const struct value *) devices;
	VEC(int64_t) renamed; /* pairs: temporary key of the spec, key given */
	int index;	      /* of the change being applied, for InvalidDeviceSpec */
};

/* All changes in order; false with x->r filled in. */
bool vm_devices_change(struct vm_device_edit *x, const struct value *changes);

/* The devices as an array value: controllers know their children, labels are right. */
const struct value *vm_devices_finish(struct vm_device_edit *x);

/* ---- between vm_device_change.c and vm_device_backing.c ---- */

static inline int32_t vm_device_key(const struct value *device)
{
	return (int32_t)value_get_num(device, F_VirtualDevice_key, 0);
}

/* Place in x->devices of the device with that key, or SIZE_MAX. */
size_t vm_device_place(const struct vm_device_edit *x, int32_t key);

/* Refuses the present change; `property` is below virtualDeviceSpec. Always false. */
bool vm_device_refuse(struct vm_device_edit *x, uint16_t fault, const char *property,
		      const char *why);

/* Notes the first change that a running VM cannot take. */
void vm_needs_power_off(struct vm_device_edit *x, const char *what);

/* Completes a new disk (its controller and unit are set) and plans its file. */
bool vm_disk_add(struct vm_device_edit *x, struct value *disk, const struct value *change);

/* Checks an edited disk against what it was, and plans its growth. */
bool vm_disk_edit(struct vm_device_edit *x, struct value *d, const struct value *old);

/* Checks and completes the backing of any other device. */
bool vm_backing_check(struct vm_device_edit *x, struct value *d, enum vm_role role);
