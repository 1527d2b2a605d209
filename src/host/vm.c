/* SPDX-License-Identifier: Apache-2.0 */
#include "host/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "host/transit.h"
#include "host/vm_impl.h"
#include "vim/fault.h"

#define OPAQUE_ID F_VirtualEthernetCardOpaqueNetworkBackingInfo_opaqueNetworkId

/* ---- the layer ---- */

static void layer_unload(struct host *h)
{
	struct vm_layer *l = h->vm_layer;

	if (l == NULL) {
		return;
	}
	vm_stats_stop(l);
	vm_retry_stop(l);
	vm_store_finish(l);
	transits_close(h);
	/* The lists that name the VMs go with the host in the same turn: nobody reads them again.
	 */
	struct list_node *n;
	while ((n = list_pop_back(&l->vms)) != NULL) {
		struct vm *vm = CONTAINER_OF(n, struct vm, link);
		struct machine *m = vm->machine;
		vm->machine = NULL; /* what is told of the end finds none any more */
		machine_free(m);
		inventory_remove(vm->object);
		vm_free(vm);
	}
	while ((n = list_pop_front(&l->leftovers)) != NULL) {
		vm_leftover_free(CONTAINER_OF(n, struct vm_leftover, link));
	}
	map_free(&l->disks_in_use);
	value_drop(l->common);
	arena_free(l->scratch);
	free(l);
	h->vm_layer = NULL;
}

/* Its VMs can be read again. */
static void datastore_found(struct host *h, struct host_datastore *d)
{
	struct vm_layer *l = h->vm_layer;
	struct arena *a = arena_new(0);
	struct vm_refusal r = { 0 };

	list_each (struct vm, vm, &l->vms, link) {
		size_t n = strlen(d->name);
		const char *path = vm->path;
		if (vm->object != NULL && vm->op == NULL && vm_config(vm) == NULL && path != NULL &&
		    strncmp(path + 1, d->name, n) == 0 && path[1 + n] == ']') {
			vm_reload(vm, a, &r);
		}
	}
	arena_free(a);
}

void vm_layer_attach(struct host *h)
{
	static const struct host_vm_ops ops = {
		.load = vm_layer_load,
		.unload = layer_unload,
		.materialise = vm_materialise_all,
		.found = datastore_found,
		.cards = vm_network_cards,
		.networks_changed = vm_network_networks_changed,
		.wire_changed = vm_network_wire_changed,
	};
	struct vm_layer *l = mem_zalloc(sizeof(*l));

	l->host = h;
	list_init(&l->vms);
	list_init(&l->leftovers);
	list_init(&l->saving);
	list_init(&l->waiting);
	l->scratch = arena_new(0);
	l->common = value_keep(vm_capability_new(l->scratch));
	h->vm_layer = l;
	h->vm_ops = &ops;
	vm_create_register(l);
	vm_register_register(l);
	vm_remove_register(l);
	vm_reconfigure_register(l);
	vm_power_register(l);
}

void vm_layer_changed(struct host *h)
{
	if (h->vm_layer != NULL) {
		vm_store_save(h->vm_layer, NULL);
	}
}

/* ---- VMs ---- */

struct vm *vm_new(struct vm_layer *l, uint32_t id, const char *path, const char *name)
{
	struct vm *vm = mem_zalloc(sizeof(*vm));

	vm->layer = l;
	vm->id = id;
	vm->path = path == NULL ? NULL : mem_strdup(path);
	vm->name = name == NULL ? NULL : mem_strdup(name);
	vm->power = E_VirtualMachinePowerState_poweredOff;
	vm->connection = E_VirtualMachineConnectionState_connected;
	vm->clean_off = true;
	list_push_back(&l->vms, &vm->link);
	return vm;
}

void vm_free(struct vm *vm)
{
	if (vm == NULL) {
		return;
	}
	vm_unclaim(vm);
	vm_files_forget(vm);
	if (vm->layer->last_looked == vm) {
		vm->layer->last_looked = NULL;
	}
	list_remove(&vm->link);
	value_drop(vm->coming);
	free(vm->stats);
	free(vm->path);
	free(vm->name);
	free(vm->pool);
	free(vm);
}

struct vm *vm_from_object(const struct object *o)
{
	return o->owner;
}

struct object *vm_object(const struct vm *vm)
{
	return vm->object;
}

const struct value *vm_config(const struct vm *vm)
{
	return vm->object == NULL ? NULL : object_get(vm->object, P_VirtualMachine_config, NULL);
}

int vm_power_state(const struct vm *vm)
{
	return vm->power;
}

const char *vm_path(const struct vm *vm)
{
	if (vm->path != NULL) {
		return vm->path;
	}
	const struct value *files =
		value_get_value(vm_config(vm), F_VirtualMachineConfigInfo_files);
	return value_get_str(files, F_VirtualMachineFileInfo_vmPathName);
}

const char *vm_name(const struct vm *vm)
{
	return vm->object == NULL ? vm->name : object_get_str(vm->object, P_ManagedEntity_name);
}

struct vm *vm_by_name(struct vm_layer *l, const char *name)
{
	list_each (struct vm, vm, &l->vms, link) {
		if (strcmp(vm_name(vm), name) == 0) {
			return vm;
		}
	}
	return NULL;
}

struct vm *vm_by_path(struct vm_layer *l, const char *path)
{
	list_each (struct vm, vm, &l->vms, link) {
		const char *own = vm_path(vm);
		if (own != NULL && strcmp(own, path) == 0) {
			return vm;
		}
	}
	return NULL;
}

struct vm *vm_by_uuid(struct vm_layer *l, unsigned member, const char *uuid, const struct vm *but)
{
	list_each (struct vm, vm, &l->vms, link) {
		const char *own =
			vm == but || uuid == NULL ? NULL : value_get_str(vm_config(vm), member);
		if (own != NULL && strcmp(own, uuid) == 0) {
			return vm;
		}
	}
	return NULL;
}

bool vm_uuid_is_free(struct vm_layer *l, const struct value *config, const struct vm *but,
		     struct arena *a, struct vm_refusal *r)
{
	const char *uuid = value_get_str(config, F_VirtualMachineConfigInfo_uuid);
	const struct vm *other =
		l->host->simulated ? NULL
				   : vm_by_uuid(l, F_VirtualMachineConfigInfo_uuid, uuid, but);

	return other == NULL ||
	       vm_refuse(r, fault_invalid_argument(a, "config.uuid"),
			 "config.uuid: \"%s\" is that of the virtual machine \"%s\"", uuid,
			 vm_name(other));
}

const struct value *vm_devices(const struct value *config)
{
	return value_get_value(value_get_value(config, F_VirtualMachineConfigInfo_hardware),
			       F_VirtualHardware_device);
}

/* ---- where it stands ---- */

enum {
	PLACES_MAX = 64
};

/* A list of objects without repetition. */
struct places {
	struct object *items[PLACES_MAX];
	size_t n;
};

static void place_add(struct places *p, struct object *o)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->items[i] == o) {
			return;
		}
	}
	if (o != NULL && p->n < PLACES_MAX) {
		p->items[p->n++] = o;
	}
}

static void place_add_datastore(struct places *p, struct host *h, const char *ds_path)
{
	const char *end = ds_path == NULL ? NULL : strchr(ds_path, ']');
	char name[256];

	if (end == NULL || ds_path[0] != '[' || (size_t)(end - ds_path) >= sizeof(name)) {
		return;
	}
	snprintf(name, sizeof(name), "%.*s", (int)(end - ds_path - 1), ds_path + 1);
	struct host_datastore *d = host_datastore_find(h, name);
	if (d != NULL) {
		place_add(p, d->object);
	}
}

void vm_set_places(struct vm *vm)
{
	struct host *h = vm->layer->host;
	const struct value *devices = vm_devices(vm_config(vm));
	struct places stores = { .n = 0 }, nets = { .n = 0 };

	place_add_datastore(&stores, h, vm_path(vm));
	for (size_t i = 0; i < value_count(devices); i++) {
		const struct value *b =
			value_get_value(value_item(devices, i), F_VirtualDevice_backing);
		if (value_is_a(b, T_VirtualDeviceFileBackingInfo)) {
			place_add_datastore(
				&stores, h,
				value_get_str(b, F_VirtualDeviceFileBackingInfo_fileName));
		} else if (value_is_a(b, T_VirtualEthernetCardNetworkBackingInfo)) {
			const struct value *ref =
				value_get_value(b, F_VirtualEthernetCardNetworkBackingInfo_network);
			struct host_network *net = ref == NULL ? NULL : host_network_by_ref(h, ref);
			place_add(&nets, net == NULL ? NULL : net->object);
		} else if (value_is_a(b, T_VirtualEthernetCardOpaqueNetworkBackingInfo)) {
			struct host_network *net =
				host_network_find_opaque(h, value_get_str(b, OPAQUE_ID));
			place_add(&nets, net == NULL ? NULL : net->object);
		}
	}
	host_vm_set_datastores(h, vm->object, stores.items, stores.n);
	host_vm_set_networks(h, vm->object, nets.items, nets.n);
}

/* `like`: one of the same make and state, or NULL. */
static void object_new(struct vm *vm, const struct value *config, const struct vm *like)
{
	static const unsigned same[] = { P_VirtualMachine_runtime, P_VirtualMachine_guest,
					 P_ManagedEntity_disabledMethod };
	struct vm_layer *l = vm->layer;
	char id[16];

	snprintf(id, sizeof(id), "%u", vm->id);
	struct object *o = inventory_add(l->host->inventory, T_VirtualMachine, id, &vm_class, vm);
	const char *name =
		config == NULL ? vm->name : value_get_str(config, F_VirtualMachineConfigInfo_name);
	host_entity_init(o, name, l->host->vm_folder);
	vm->object = o;
	free(vm->name);
	vm->name = NULL;
	inventory_set(o, P_VirtualMachine_config, config);
	inventory_set(o, P_VirtualMachine_capability, l->common);
	inventory_set_enum(o, P_VirtualMachine_guestHeartbeatStatus, T_ManagedEntityStatus,
			   E_ManagedEntityStatus_gray);
	for (size_t i = 0; like != NULL && i < ARRAY_LEN(same); i++) {
		inventory_set(o, same[i], object_get(like->object, same[i], NULL));
	}
	if (like == NULL) {
		vm_set_runtime(vm);
	}
	l->host->n_vms++;
}

void vm_publish(struct vm *const *vms, const struct value *const *configs, size_t n,
		struct object *pool)
{
	if (n == 0) {
		return;
	}
	struct host *h = vms[0]->layer->host;
	struct object **objects = mem_calloc(n, sizeof(struct object *));

	for (size_t i = 0; i < n; i++) {
		object_new(vms[i], configs[i], i == 0 ? NULL : vms[0]);
		objects[i] = vms[i]->object;
	}
	host_vms_enter(h, objects, n, pool);
	for (size_t i = 0; i < n; i++) {
		vm_set_places(vms[i]);
	}
	free(objects);
}

void vm_withdraw(struct vm *vm)
{
	struct host *h = vm->layer->host;

	h->n_vms--;
	host_vm_leave(h, vm->object);
	inventory_remove(vm->object);
	machine_free(vm->machine);
	vm_free(vm);
}
