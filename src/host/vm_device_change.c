/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One change at a time: find or make the place (controller, unit, key), check the backing, note the
 * file operations it asks for. Nothing outside the edit is touched until all changes are accepted.
 */
#include "host/vm_device_change.h"

#include <strings.h>

#include "host/vm_device.h"

bool vm_device_refuse(struct vm_device_edit *x, uint16_t fault, const char *property,
		      const char *why)
{
	struct value *f = value_new(x->a, fault);

	if (schema_is_a(fault, T_InvalidDeviceSpec)) {
		value_set_num(x->a, f, F_InvalidDeviceSpec_deviceIndex, x->index);
	}
	if (schema_is_a(fault, T_InvalidVmConfig)) {
		value_set_strf(x->a, f, F_InvalidVmConfig_property, "virtualDeviceSpec.%s",
			       property);
	}
	return vm_refuse(x->r, f, "deviceChange[%d].%s: %s", x->index, property, why);
}

size_t vm_device_place(const struct vm_device_edit *x, int32_t key)
{
	for (size_t i = 0; i < x->devices.n; i++) {
		if (vm_device_key(x->devices.items[i]) == key) {
			return i;
		}
	}
	return SIZE_MAX;
}

void vm_needs_power_off(struct vm_device_edit *x, const char *what)
{
	if (!x->plan->needs_power_off) {
		x->plan->needs_power_off = true;
		x->plan->needs_power_off_why = what;
	}
}

/* ---- places ---- */

/* The key that a controllerKey of the spec stands for: temporary keys have been given real ones. */
static int32_t real_key(const struct vm_device_edit *x, int64_t key)
{
	for (size_t i = x->renamed.n; i >= 2; i -= 2) {
		if (x->renamed.items[i - 2] == key) {
			return (int32_t)x->renamed.items[i - 1];
		}
	}
	return (int32_t)key;
}

static bool unit_is_taken(const struct vm_device_edit *x, int32_t controller, int64_t unit)
{
	for (size_t i = 0; i < x->devices.n; i++) {
		const struct value *d = x->devices.items[i];
		if (value_get_num(d, F_VirtualDevice_controllerKey, -1) == controller &&
		    value_get_num(d, F_VirtualDevice_unitNumber, -1) == unit) {
			return true;
		}
	}
	return false;
}

/* A free unit on the controller from `first` on, or -1. */
static int free_unit(const struct vm_device_edit *x, int32_t controller,
		     const struct vm_bus_facts *f, int first)
{
	for (int unit = first; unit < f->max_units; unit++) {
		if (unit != f->reserved_unit && !unit_is_taken(x, controller, unit)) {
			return unit;
		}
	}
	return -1;
}

static bool role_fits_bus(enum vm_role role, enum vm_bus bus)
{
	switch (role) {
	case VM_ROLE_DISK:
		return bus == VM_BUS_IDE || bus == VM_BUS_SCSI || bus == VM_BUS_SATA ||
		       bus == VM_BUS_NVME;
	case VM_ROLE_CDROM:
		return bus == VM_BUS_IDE || bus == VM_BUS_SCSI || bus == VM_BUS_SATA;
	case VM_ROLE_NIC:
		return bus == VM_BUS_PCI;
	case VM_ROLE_SERIAL:
	case VM_ROLE_FLOPPY:
		return bus == VM_BUS_SIO;
	case VM_ROLE_OTHER:
	case VM_ROLE_CONTROLLER:
	case VM_ROLE_FIXED:
	default:
		return false;
	}
}

/* First controller with a free unit for such a device. */
static const struct value *any_controller(const struct vm_device_edit *x, enum vm_role role)
{
	for (size_t i = 0; i < x->devices.n; i++) {
		const struct value *c = x->devices.items[i];
		enum vm_bus bus = vm_controller_bus(c->type);
		if (bus != VM_BUS_NONE && role_fits_bus(role, bus) &&
		    free_unit(x, vm_device_key(c), vm_bus_facts(bus), 0) >= 0) {
			return c;
		}
	}
	return NULL;
}

static const struct value *controller_for(struct vm_device_edit *x, const struct value *device,
					  enum vm_role role)
{
	int64_t wanted = value_get_num(device, F_VirtualDevice_controllerKey, 0);
	const struct value *c = NULL;

	/* Clients leave 0 or -1 … where they do not care and the kind of device says enough. */
	if (wanted == 0 || !value_has(device, F_VirtualDevice_controllerKey)) {
		c = any_controller(x, role);
	} else {
		size_t i = vm_device_place(x, real_key(x, wanted));
		c = i == SIZE_MAX ? NULL : x->devices.items[i];
	}
	if (c == NULL) {
		struct value *f =
			value_new(x->a, wanted == 0 ? T_MissingController : T_InvalidController);
		value_set_num(x->a, f, F_InvalidDeviceSpec_deviceIndex, x->index);
		if (wanted != 0) {
			value_set_num(x->a, f, F_InvalidController_controllerKey, wanted);
		}
		vm_refuse(x->r, f, "deviceChange[%d]: there is no controller %lld for this device",
			  x->index, (long long)wanted);
		return NULL;
	}
	if (!role_fits_bus(role, vm_controller_bus(c->type))) {
		vm_device_refuse(x, T_InvalidDeviceSpec, "device.controllerKey",
				 "that controller cannot carry such a device");
		return NULL;
	}
	return c;
}

static int32_t next_key(const struct vm_device_edit *x, int32_t base)
{
	while (vm_device_place(x, base) != SIZE_MAX) {
		base++;
	}
	return base;
}

/* A card of a .vmx file has the key that it had; one that a client adds gets the first free. */
static int32_t nic_key(const struct vm_device_edit *x, int32_t given)
{
	bool is_kept = x->env->strictness != VM_STRICT && given >= 4000 && given < 4010 &&
		       vm_device_place(x, given) == SIZE_MAX;

	return is_kept ? given : next_key(x, 4000);
}

/* Gives the draft its controller, unit and key. */
static bool device_place_on(struct vm_device_edit *x, struct value *d, enum vm_role role)
{
	const struct value *c = controller_for(x, d, role);

	if (c == NULL) {
		return false;
	}
	const struct vm_bus_facts *f = vm_bus_facts(vm_controller_bus(c->type));
	int first = role == VM_ROLE_NIC ? 7 : 0;
	int64_t unit = value_get_num(d, F_VirtualDevice_unitNumber, -1);
	if (unit < 0 || (unit == f->reserved_unit && unit >= 0) || role == VM_ROLE_NIC) {
		unit = free_unit(x, vm_device_key(c), f, first);
		if (unit < 0) {
			return vm_device_refuse(x, T_InvalidDeviceSpec, "device.controllerKey",
						"no unit is free on that controller");
		}
	}
	if (unit >= f->max_units) {
		return vm_device_refuse(x, T_InvalidDeviceSpec, "device.unitNumber",
					"the controller has fewer units");
	}
	if (unit_is_taken(x, vm_device_key(c), unit)) {
		return vm_device_refuse(x, T_InvalidDeviceSpec, "device.unitNumber",
					"that unit is taken");
	}
	int32_t bus = (int32_t)value_get_num(c, F_VirtualController_busNumber, 0);
	int32_t key = f->device_key + bus * f->max_units + (int32_t)unit;
	if (role == VM_ROLE_NIC) {
		key = nic_key(x, (int32_t)value_get_num(d, F_VirtualDevice_key, 0));
	} else if (role == VM_ROLE_SERIAL) {
		key = next_key(x, 9000);
	} else if (role == VM_ROLE_FLOPPY) {
		key = next_key(x, 8000);
	}
	value_set_num(x->a, d, F_VirtualDevice_controllerKey, vm_device_key(c));
	value_set_num(x->a, d, F_VirtualDevice_unitNumber, unit);
	vec_push(&x->renamed, value_get_num(d, F_VirtualDevice_key, 0));
	vec_push(&x->renamed, key);
	value_set_num(x->a, d, F_VirtualDevice_key, key);
	return true;
}

/* ---- the three operations ---- */

static bool controller_add(struct vm_device_edit *x, const struct value *device)
{
	const struct vm_bus_facts *f = vm_bus_facts(vm_controller_bus(device->type));
	int64_t wanted = value_get_num(device, F_VirtualController_busNumber, -1);
	int bus = 0;

	while (bus < f->max_buses && vm_device_place(x, f->controller_key + bus) != SIZE_MAX) {
		bus++;
	}
	/* A given bus number counts where it is free; clients often say 0 for "any". */
	if (wanted >= 0 && wanted < f->max_buses &&
	    vm_device_place(x, f->controller_key + (int32_t)wanted) == SIZE_MAX) {
		bus = (int)wanted;
	}
	if (bus >= f->max_buses && f->bus == VM_BUS_IDE) {
		/* Every VM has both IDE controllers: who adds one means one of them. */
		vec_push(&x->renamed, value_get_num(device, F_VirtualDevice_key, 0));
		vec_push(&x->renamed, f->controller_key + (wanted == 1 ? 1 : 0));
		return true;
	}
	if (bus >= f->max_buses) {
		return vm_device_refuse(
			x, T_InvalidDeviceSpec, "device.busNumber",
			"the VM has as many controllers of that kind as it can have");
	}
	struct value *c = vm_controller_new(x->a, device->type, bus);
	if (f->bus == VM_BUS_SCSI) {
		value_set_num(x->a, c, F_VirtualSCSIController_sharedBus,
			      value_get_num(device, F_VirtualSCSIController_sharedBus,
					    E_VirtualSCSISharing_noSharing));
	}
	vec_push(&x->renamed, value_get_num(device, F_VirtualDevice_key, 0));
	vec_push(&x->renamed, vm_device_key(c));
	vec_push(&x->devices, c);
	vm_needs_power_off(x, "deviceChange.controller");
	return true;
}

/* A device comes or goes: network cards may while the VM runs. */
static void nic_change(struct vm_device_edit *x, enum vm_role role, const char *what)
{
	if (role != VM_ROLE_NIC || !x->env->hot_nics) {
		vm_needs_power_off(x, what);
		return;
	}
	x->plan->needs_awake = true;
	if (x->plan->needs_power_off_why == NULL) {
		x->plan->needs_power_off_why = what;
	}
}

static bool same_text_of(const struct value *a, const struct value *b, unsigned field)
{
	const char *x = value_get_str(a, field), *y = value_get_str(b, field);

	return x == y || (x != NULL && y != NULL && strcasecmp(x, y) == 0);
}

/* What the guest sees of a card stays as long as it runs. */
static void nic_edit_check(struct vm_device_edit *x, const struct value *old, const struct value *d)
{
	bool is_vmxnet = old->type == T_VirtualVmxnet3;

	if (!same_text_of(old, d, F_VirtualEthernetCard_macAddress)) {
		vm_needs_power_off(x, "deviceChange.device.macAddress");
	}
	if (is_vmxnet && value_get_bool(old, F_VirtualVmxnet3_uptv2Enabled, false) !=
				 value_get_bool(d, F_VirtualVmxnet3_uptv2Enabled, false)) {
		vm_needs_power_off(x, "deviceChange.device.uptv2Enabled");
	}
}

static void connectable_default(struct vm_device_edit *x, struct value *d, bool connected)
{
	if (value_has(d, F_VirtualDevice_connectable)) {
		return;
	}
	struct value *c = value_new(x->a, T_VirtualDeviceConnectInfo);
	value_set_bool(x->a, c, F_VirtualDeviceConnectInfo_startConnected, connected);
	value_set_bool(x->a, c, F_VirtualDeviceConnectInfo_allowGuestControl, true);
	value_set_bool(x->a, c, F_VirtualDeviceConnectInfo_connected, false);
	value_set_str(x->a, c, F_VirtualDeviceConnectInfo_status, "untried");
	value_set(x->a, d, F_VirtualDevice_connectable, c);
}

static bool device_add(struct vm_device_edit *x, const struct value *change,
		       const struct value *device)
{
	enum vm_role role = vm_device_role(device->type);

	if (x->devices.n >= VM_DEVICES_MAX) {
		return vm_device_refuse(x, T_InvalidDeviceSpec, "device", "too many devices");
	}
	if (role == VM_ROLE_CONTROLLER) {
		return controller_add(x, device);
	}
	if (role == VM_ROLE_FIXED) {
		/* Every VM has these; clients that list them again (imports) mean the same. */
		return true;
	}
	if (role == VM_ROLE_OTHER || role == VM_ROLE_FLOPPY) {
		struct value *f = value_new(x->a, T_DeviceNotSupported);
		value_set_str(x->a, f, F_DeviceNotSupported_device, schema_type_name(device->type));
		value_set_str(x->a, f, F_DeviceNotSupported_reason, "host");
		return vm_refuse(x->r, f, "deviceChange[%d]: this host has no %s", x->index,
				 schema_type_name(device->type));
	}
	struct value *d = value_edit(x->a, device);
	if (!device_place_on(x, d, role)) {
		return false;
	}
	if (role == VM_ROLE_DISK ? !vm_disk_add(x, d, change) : !vm_backing_check(x, d, role)) {
		return false;
	}
	if (role != VM_ROLE_DISK) {
		connectable_default(x, d,
				    role != VM_ROLE_CDROM ||
					    value_get_value(d, F_VirtualDevice_backing)->type ==
						    T_VirtualCdromIsoBackingInfo);
		nic_change(x, role, "deviceChange.add");
	}
	if (role == VM_ROLE_SERIAL && !value_has(d, F_VirtualSerialPort_yieldOnPoll)) {
		value_set_bool(x->a, d, F_VirtualSerialPort_yieldOnPoll, true);
	}
	vec_push(&x->devices, d);
	return true;
}

static bool device_remove(struct vm_device_edit *x, const struct value *change,
			  const struct value *device)
{
	int32_t key = real_key(x, vm_device_key(device));
	size_t i = vm_device_place(x, key);

	if (i == SIZE_MAX) {
		return vm_device_refuse(x, T_InvalidDeviceSpec, "device.key",
					"there is no such device");
	}
	const struct value *d = x->devices.items[i];
	for (size_t k = 0; k < x->devices.n; k++) {
		if (vm_device_role(d->type) == VM_ROLE_CONTROLLER &&
		    value_get_num(x->devices.items[k], F_VirtualDevice_controllerKey, -1) == key) {
			return vm_device_refuse(x, T_InvalidDeviceSpec, "device.key",
						"the controller still carries devices");
		}
	}
	if (vm_device_role(d->type) == VM_ROLE_FIXED) {
		return vm_device_refuse(x, T_InvalidDeviceSpec, "device.key",
					"that device is part of every VM");
	}
	int64_t file = value_get_num(change, F_VirtualDeviceConfigSpec_fileOperation, -1);
	if (vm_device_role(d->type) == VM_ROLE_DISK &&
	    file == E_VirtualDeviceConfigSpecFileOperation_destroy) {
		const struct value *b = value_get_value(d, F_VirtualDevice_backing);
		const char *path = value_get_str(b, F_VirtualDeviceFileBackingInfo_fileName);
		vec_push(&x->plan->disk_ops,
			 (struct vm_disk_op){ .action = VM_DISK_DELETE,
					      .path = arena_strdup(x->a, path) });
	}
	vec_remove(&x->devices, i);
	nic_change(x, vm_device_role(d->type), "deviceChange.remove");
	return true;
}

static bool device_edit(struct vm_device_edit *x, const struct value *device)
{
	size_t i = vm_device_place(x, real_key(x, vm_device_key(device)));
	union slot s;

	if (i == SIZE_MAX) {
		return vm_device_refuse(x, T_InvalidDeviceSpec, "device.key",
					"there is no such device");
	}
	const struct value *old = x->devices.items[i];
	enum vm_role role = vm_device_role(old->type);
	if (role != vm_device_role(device->type) || role == VM_ROLE_FIXED) {
		return role == VM_ROLE_FIXED || vm_device_refuse(x, T_InvalidDeviceSpec, "device",
								 "a device keeps its kind");
	}
	struct value *d = value_edit(x->a, old);
	if (role == VM_ROLE_CONTROLLER || device->type != old->type) {
		return device->type == old->type ||
		       vm_device_refuse(x, T_InvalidDeviceSpec, "device",
					"remove the device and add one of the other type");
	}
	for (int k = -1; value_next(device, &k, &s);) {
		if (k != F_VirtualDevice_key && k != F_VirtualDevice_deviceInfo &&
		    k != F_VirtualDevice_controllerKey && k != F_VirtualDevice_unitNumber) {
			value_set_slot(d, (unsigned)k, s);
		}
	}
	if (role == VM_ROLE_DISK ? !vm_disk_edit(x, d, old) : !vm_backing_check(x, d, role)) {
		return false;
	}
	if (role == VM_ROLE_NIC) {
		nic_edit_check(x, old, d);
	}
	x->devices.items[i] = d;
	return true;
}

bool vm_devices_change(struct vm_device_edit *x, const struct value *changes)
{
	for (size_t i = 0; i < value_count(changes); i++) {
		const struct value *change = value_item(changes, i);
		const struct value *device =
			value_get_value(change, F_VirtualDeviceConfigSpec_device);
		int64_t op = value_get_num(change, F_VirtualDeviceConfigSpec_operation, -1);
		bool good;
		x->index = (int)i;
		if (device == NULL) {
			return vm_device_refuse(x, T_InvalidDeviceSpec, "device",
						"a device is required");
		}
		if (op == E_VirtualDeviceConfigSpecOperation_add) {
			good = device_add(x, change, device);
		} else if (op == E_VirtualDeviceConfigSpecOperation_remove) {
			good = device_remove(x, change, device);
		} else if (op == E_VirtualDeviceConfigSpecOperation_edit) {
			good = device_edit(x, device);
		} else {
			good = vm_device_refuse(x, T_InvalidDeviceSpec, "operation",
						"add, remove or edit is required");
		}
		if (!good) {
			return false;
		}
	}
	return true;
}

/* ---- finishing ---- */

static int by_key(const void *p, const void *q)
{
	const struct value *const *x = p, *const *y = q;
	int32_t a = vm_device_key(*x), b = vm_device_key(*y);

	return (a > b) - (a < b);
}

static const struct value *with_children(struct vm_device_edit *x, const struct value *controller)
{
	struct value *children = value_new_array(x->a, T_int);

	for (size_t i = 0; i < x->devices.n; i++) {
		const struct value *d = x->devices.items[i];
		if (value_get_num(d, F_VirtualDevice_controllerKey, -1) ==
		    vm_device_key(controller)) {
			value_push_num(x->a, children, vm_device_key(d));
		}
	}
	struct value *c = value_edit(x->a, controller);
	value_unset(c, F_VirtualController_device);
	if (value_count(children) > 0) {
		value_set(x->a, c, F_VirtualController_device, children);
	}
	return c;
}

const struct value *vm_devices_finish(struct vm_device_edit *x)
{
	struct value *all = value_new_array(x->a, T_VirtualDevice);
	int counts[VM_ROLE_FIXED + 1] = { 0 };

	vec_sort(&x->devices, by_key);
	for (size_t i = 0; i < x->devices.n; i++) {
		const struct value *d = x->devices.items[i];
		enum vm_role role = vm_device_role(d->type);
		if (role == VM_ROLE_CONTROLLER) {
			d = with_children(x, d);
		} else if (role != VM_ROLE_FIXED) {
			struct value *edit = value_edit(x->a, d);
			vm_device_describe(x->a, edit, ++counts[role]);
			d = edit;
		}
		value_push(x->a, all, d);
	}
	return all;
}
