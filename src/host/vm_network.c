/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network cards of VMs as the host's data plane has them (host_plane.h), and their wires: sockets
 * in a folder of the VM's own. Those of streams are made here; vhost-user's QEMU makes itself, for
 * it takes none that it gets open.
 *
 * On a server with a card of its own, network cards on overlay segments are not this host's plane's
 * but the card's: their wires lead to functions that it lends (host_lend.h).
 *
 * A card has a port from the moment that a machine is about to have it until it has it no more.
 * While an operation is under way `vm->coming` has the devices as they will be; cards that go stand
 * until it is over.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/macro.h"
#include "host/host_lend.h"
#include "host/host_plane.h"
#include "host/qemu_run.h"
#include "host/vm_device.h"
#include "host/vm_impl.h"

#define CONFIG(f) F_VirtualMachineConfigInfo_##f
#define DVPORT(f) F_DistributedVirtualSwitchPortConnection_##f

enum {
	LABEL_MAX = 127,
	SOCKET_SIZE = 256,
};

bool vm_nic_is_virtio(const struct value *nic)
{
	return value_is_a(nic, T_VirtualVmxnet3) &&
	       value_get_bool(nic, F_VirtualVmxnet3_uptv2Enabled, false);
}

/* ---- cards ---- */

static void take_backing(const struct value *b, struct arena *a, struct plane_card *out)
{
	if (value_is_a(b, T_VirtualEthernetCardDistributedVirtualPortBackingInfo)) {
		const struct value *port = value_get_value(
			b, F_VirtualEthernetCardDistributedVirtualPortBackingInfo_port);
		const char *key = value_get_str(port, DVPORT(portgroupKey));
		out->kind = PLANE_DISTRIBUTED;
		out->switch_uuid = arena_strdup(a, value_get_str(port, DVPORT(switchUuid)));
		out->network = arena_strdup(a, key == NULL ? "" : key);
	} else if (value_is_a(b, T_VirtualEthernetCardOpaqueNetworkBackingInfo)) {
		out->kind = PLANE_OPAQUE;
		out->network = arena_strdup(
			a,
			value_get_str(
				b, F_VirtualEthernetCardOpaqueNetworkBackingInfo_opaqueNetworkId));
	} else if (value_is_a(b, T_VirtualEthernetCardNetworkBackingInfo)) {
		out->kind = PLANE_STANDARD;
		out->network = arena_strdup(
			a, value_get_str(b, F_VirtualDeviceDeviceBackingInfo_deviceName));
	}
}

/* At most LABEL_MAX bytes, no character in half. */
static const char *label_of(const struct vm *vm, const struct value *nic, struct arena *a)
{
	const char *what = value_get_str(value_get_value(nic, F_VirtualDevice_deviceInfo),
					 F_Description_label);
	char *label = arena_printf(a, "%s %s", vm_name(vm), what == NULL ? "network card" : what);
	size_t n = strlen(label);

	while (n > LABEL_MAX || (label[n] & 0xc0) == 0x80) {
		n--;
	}
	label[n] = '\0';
	return label;
}

static void add_card(struct vm *vm, const struct value *nic, struct arena *a,
		     struct plane_cards *out)
{
	const struct value *config = vm_config(vm);
	const struct value *c = value_get_value(nic, F_VirtualDevice_connectable);
	int32_t key = (int32_t)value_get_num(nic, F_VirtualDevice_key, 0);
	const char *uuid = value_get_str(config, CONFIG(instanceUuid));
	char path[SOCKET_SIZE];
	struct plane_card card = {
		.label = label_of(vm, nic, a),
		.mac = arena_strdup(a, value_get_str(nic, F_VirtualEthernetCard_macAddress)),
		.is_stream = !vm_nic_is_virtio(nic),
		.is_connected = value_get_bool(c, F_VirtualDeviceConnectInfo_connected, true),
	};

	host_plane_socket(vm->layer->host, uuid, key, path, sizeof(path));
	card.port = arena_printf(a, "%s.%d", uuid, key);
	card.path = arena_strdup(a, path);
	take_backing(value_get_value(nic, F_VirtualDevice_backing), a, &card);
	vec_push(&out->all, card);
}

/* Does it get a function of the server's card? */
static bool is_borrowing(const struct vm *vm, const struct value *nic)
{
	const struct value *b = value_get_value(nic, F_VirtualDevice_backing);

	return vm->layer->host->plane != NULL &&
	       value_is_a(b, T_VirtualEthernetCardOpaqueNetworkBackingInfo) &&
	       host_borrows(vm->layer->host);
}

static void port_name(const struct vm *vm, int32_t key, char out[64])
{
	const char *uuid = value_get_str(vm_config(vm), CONFIG(instanceUuid));

	snprintf(out, 64, "%.40s.%d", uuid == NULL ? "" : uuid, (int)key);
}

/* Those of `devices` that are not among `but`. */
static void add_cards(struct vm *vm, const struct value *devices, const struct value *but,
		      struct arena *a, struct plane_cards *out)
{
	for (size_t i = 0; i < value_count(devices); i++) {
		const struct value *d = value_item(devices, i);
		int32_t key = (int32_t)value_get_num(d, F_VirtualDevice_key, 0);
		if (vm_device_role(value_type(d)) == VM_ROLE_NIC && !is_borrowing(vm, d) &&
		    (but == NULL || vm_device_find(but, key) == NULL)) {
			add_card(vm, d, a, out);
		}
	}
}

/* Of a VM that is not known to be off, too: its machine may run. */
void vm_network_cards(struct host *h, struct arena *a, struct plane_cards *out)
{
	struct vm_layer *l = h->vm_layer;

	list_each (struct vm, vm, &l->vms, link) {
		bool runs = vm->power == E_VirtualMachinePowerState_poweredOn ||
			    vm->connection == E_VirtualMachineConnectionState_disconnected;
		if (vm->object == NULL || vm_config(vm) == NULL) {
			continue;
		}
		add_cards(vm, vm->coming, NULL, a, out);
		if (runs) {
			add_cards(vm, vm_devices(vm_config(vm)), vm->coming, a, out);
		}
	}
}

static void tell_vm(struct vm *vm)
{
	struct vm_change change;

	if (vm->object != NULL && vm_config(vm) != NULL) {
		vm_change_begin(vm, &change);
		vm_set_runtime(vm);
		vm_change_end(&change);
	}
}

void vm_network_wire_changed(struct host *h, const char *port)
{
	struct vm_layer *l = h->vm_layer;
	const char *dot = port == NULL ? NULL : strchr(port, '.');

	if (dot != NULL) {
		char uuid[64];
		snprintf(uuid, sizeof(uuid), "%.*s", (int)(dot - port), port);
		struct vm *vm = vm_by_uuid(l, CONFIG(instanceUuid), uuid, NULL);
		if (vm != NULL) {
			tell_vm(vm);
		}
		return;
	}
	list_each (struct vm, vm, &l->vms, link) {
		if (port == NULL && vm->power == E_VirtualMachinePowerState_poweredOn) {
			tell_vm(vm);
		}
	}
}

void vm_network_networks_changed(struct host *h)
{
	struct vm_layer *l = h->vm_layer;

	list_each (struct vm, vm, &l->vms, link) {
		if (vm->object != NULL && vm_config(vm) != NULL) {
			vm_set_places(vm);
			tell_vm(vm);
		}
	}
}

const struct plane_port_state *vm_network_seen(const struct vm *vm, const struct value *nic)
{
	char port[64];

	if (vm->layer->host->plane == NULL) {
		return NULL;
	}
	port_name(vm, (int32_t)value_get_num(nic, F_VirtualDevice_key, 0), port);
	return is_borrowing(vm, nic) ? host_borrowed_seen(vm->layer->host, port)
				     : host_plane_seen(vm->layer->host, port);
}

static const char *policy_name(struct json_object *o)
{
	struct json_object *v;

	return o != NULL && json_object_object_get_ex(o, "name", &v) ? json_object_get_string(v)
								     : NULL;
}

const char *vm_network_name(const struct vm *vm, const struct value *nic)
{
	struct host *h = vm->layer->host;
	const struct value *b = value_get_value(nic, F_VirtualDevice_backing);
	const char *name = NULL;

	if (value_is_a(b, T_VirtualEthernetCardDistributedVirtualPortBackingInfo)) {
		const struct value *port = value_get_value(
			b, F_VirtualEthernetCardDistributedVirtualPortBackingInfo_port);
		const char *key = value_get_str(port, DVPORT(portgroupKey));
		name = policy_name(plane_policy_portgroup(host_plane_policy(h),
							  value_get_str(port, DVPORT(switchUuid)),
							  key == NULL ? "" : key));
	} else if (value_is_a(b, T_VirtualEthernetCardOpaqueNetworkBackingInfo)) {
		name = policy_name(plane_policy_segment(
			host_plane_policy(h),
			value_get_str(
				b, F_VirtualEthernetCardOpaqueNetworkBackingInfo_opaqueNetworkId)));
	} else if (value_is_a(b, T_VirtualEthernetCardNetworkBackingInfo)) {
		name = value_get_str(b, F_VirtualDeviceDeviceBackingInfo_deviceName);
		name = name != NULL && host_network_find(h, name) != NULL ? name : NULL;
	}
	return name;
}

void vm_network_coming(struct vm *vm, const struct value *devices)
{
	const struct value *old = vm->coming;

	if (vm->layer->host->plane == NULL || (devices == NULL && old == NULL)) {
		return;
	}
	vm->coming = devices == NULL ? NULL : value_keep(devices);
	value_drop(old);
	host_plane_changed(vm->layer->host);
}

/* ---- functions of the server's card ---- */

bool vm_network_borrows(const struct vm *vm)
{
	const struct value *devices = vm_devices(vm_config(vm));
	bool found = false;

	for (size_t i = 0; i < value_count(devices); i++) {
		found |= is_borrowing(vm, value_item(devices, i));
	}
	return found;
}

bool vm_network_may_borrow(const struct vm *vm, struct error *e)
{
	const struct value *devices = vm_devices(vm_config(vm));

	for (size_t i = 0; i < value_count(devices); i++) {
		const struct value *d = value_item(devices, i);
		if (is_borrowing(vm, d) && !vm_nic_is_virtio(d)) {
			return error_set(e, ERROR_UNSUPPORTED,
					 "\"%s\": network card %d is on an overlay segment, where "
					 "this server's card serves only VirtualVmxnet3 with "
					 "uptv2Enabled",
					 vm_name(vm),
					 (int)value_get_num(d, F_VirtualDevice_key, 0));
		}
	}
	return true;
}

bool vm_network_has_borrowed(void *arg, struct error *why)
{
	const struct vm *vm = arg;
	const struct host *h = vm->layer->host;
	const struct value *devices = vm_devices(vm_config(vm));
	char port[64];

	for (size_t i = 0; i < value_count(devices); i++) {
		const struct value *d = value_item(devices, i);
		port_name(vm, (int32_t)value_get_num(d, F_VirtualDevice_key, 0), port);
		if (is_borrowing(vm, d) && host_borrowed(h, port) == NULL) {
			return host_borrow_refuse(h, port, why);
		}
	}
	return true;
}

bool vm_network_may_change(const struct vm *vm, const struct value *devices, struct error *e)
{
	const struct value *was = vm_devices(vm_config(vm));

	for (size_t i = 0; i < value_count(devices); i++) {
		const struct value *d = value_item(devices, i);
		int32_t key = (int32_t)value_get_num(d, F_VirtualDevice_key, 0);
		const struct value *old = vm_device_find(was, key);
		if (vm_device_role(value_type(d)) != VM_ROLE_NIC ||
		    (!is_borrowing(vm, d) && (old == NULL || !is_borrowing(vm, old)))) {
			continue;
		}
		if (old == NULL || !value_equal(value_get_value(old, F_VirtualDevice_backing),
						value_get_value(d, F_VirtualDevice_backing))) {
			return error_set(
				e, ERROR_UNSUPPORTED,
				"\"%s\": network card %d gets, or loses, a function of this "
				"server's card, which needs the VM powered off",
				vm_name(vm), (int)key);
		}
	}
	return true;
}

/* ---- wires ---- */

/* Where a card's wire is. *folder, where given: one that is not the VM's own, else "". */
static void wire_path(const struct vm *vm, int32_t key, char *path, char *folder)
{
	struct host *h = vm->layer->host;
	const struct value *nic = vm_device_find(vm_devices(vm_config(vm)), key);
	const struct card_function *f = NULL;
	char port[64], place[SOCKET_SIZE] = "";

	if (nic != NULL && is_borrowing(vm, nic)) {
		port_name(vm, key, port);
		f = host_borrowed(h, port);
	}
	if (f != NULL) {
		host_borrow_folder(h, f, place, sizeof(place) - sizeof("/" CARD_SOCKET));
		snprintf(path, SOCKET_SIZE, "%s/" CARD_SOCKET, place);
	} else {
		host_plane_socket(h, value_get_str(vm_config(vm), CONFIG(instanceUuid)), key, path,
				  SOCKET_SIZE);
	}
	if (folder != NULL) {
		memcpy(folder, place, sizeof(place));
	}
}

/* One that the card made, not a way to elsewhere; "": none is needed. */
static bool is_folder(const char *path, struct error *e)
{
	struct stat st;

	return path[0] == '\0' || (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) ||
	       error_set(e, ERROR_NOT_FOUND, "\"%.150s\" is no folder", path);
}

bool vm_wires_open(struct vm *vm, struct arena *a, struct machine_nic *nics, size_t n,
		   struct error *e)
{
	const char *uuid = value_get_str(vm_config(vm), CONFIG(instanceUuid));
	char path[SOCKET_SIZE], folder[SOCKET_SIZE];

	host_plane_socket_folder(vm->layer->host, uuid, path, sizeof(path));
	if (!file_make_dirs(path, 0700, e)) {
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		wire_path(vm, nics[i].key, path, folder);
		if (!is_folder(folder, e)) {
			vm_wires_close(nics, i);
			return false;
		}
		unlink(path);
		if (nics[i].model != MACHINE_VIRTIO_NET) {
			nics[i].wire_fd = qemu_run_listen(path, e);
			if (nics[i].wire_fd < 0) {
				vm_wires_close(nics, i);
				return false;
			}
		}
		nics[i].wire = arena_strdup(a, path);
		nics[i].folder = folder[0] == '\0' ? NULL : arena_strdup(a, folder);
	}
	return true;
}

void vm_wires_close(struct machine_nic *nics, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (nics[i].wire != NULL && nics[i].wire_fd >= 0) {
			close(nics[i].wire_fd);
		}
		nics[i].wire = NULL;
		nics[i].wire_fd = -1;
	}
}

void vm_wire_remove(struct vm *vm, int32_t key)
{
	char path[SOCKET_SIZE];

	if (vm->layer->host->plane != NULL) {
		wire_path(vm, key, path, NULL);
		unlink(path);
	}
}

void vm_wires_remove(struct vm *vm)
{
	char folder[SOCKET_SIZE];
	const struct value *devices = vm_devices(vm_config(vm));

	for (size_t i = 0; vm->layer->host->plane != NULL && i < value_count(devices); i++) {
		if (is_borrowing(vm, value_item(devices, i))) {
			vm_wire_remove(vm, (int32_t)value_get_num(value_item(devices, i),
								  F_VirtualDevice_key, 0));
		}
	}
	if (vm->layer->host->plane != NULL && vm_config(vm) != NULL) {
		host_plane_socket_folder(vm->layer->host,
					 value_get_str(vm_config(vm), CONFIG(instanceUuid)), folder,
					 sizeof(folder));
		file_remove_tree_at(AT_FDCWD, folder, NULL);
	}
}
