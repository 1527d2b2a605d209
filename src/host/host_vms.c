/* SPDX-License-Identifier: Apache-2.0 */
/* Where VMs stand in the inventory of their host, and what they use of it. */
#include <string.h>

#include "base/mem.h"
#include "base/vec.h"
#include "host/draft.h"
#include "host/host_impl.h"
#include "host/host_plane.h"
#include "host/vm.h"

enum {
	SIMULATED_CPUS_MAX = 128,
	SIMULATED_MEMORY_MAX_MB = 4 << 20, /* 4 TB */
};

/* ---- lists that name VMs ---- */

/* Appends n objects to a property that is an array of references. */
static void refs_append(struct object *o, unsigned prop, struct object *const *add, size_t n)
{
	if (n == 1) {
		inventory_add_ref(o, prop, add[0]);
		return;
	}
	struct arena *a = arena_new(0);
	const struct value *old = object_get(o, prop, a);
	struct value *all = value_new_array(a, T_VirtualMachine);

	for (size_t i = 0; i < value_count(old); i++) {
		value_push(a, all, value_item(old, i));
	}
	for (size_t i = 0; i < n; i++) {
		value_push(a, all, add[i]->ref);
	}
	inventory_set(o, prop, all);
	arena_free(a);
}

void host_vms_enter(struct host *h, struct object *const *vms, size_t n, struct object *pool)
{
	if (n == 0) {
		return;
	}
	if (pool == NULL) {
		pool = h->pool;
	}
	refs_append(h->vm_folder, P_Folder_childEntity, vms, n);
	refs_append(h->system, P_HostSystem_vm, vms, n);
	refs_append(pool, P_ResourcePool_vm, vms, n);
	for (size_t i = 0; i < n; i++) {
		inventory_set_ref(vms[i], P_ManagedEntity_parent, h->vm_folder);
		inventory_set_ref(vms[i], P_VirtualMachine_resourcePool, pool);
		inventory_set_ref(vms[i], P_VirtualMachine_environmentBrowser, h->environment);
	}
}

static struct object *pool_of(struct host *h, struct object *vm)
{
	const struct value *ref = object_get(vm, P_VirtualMachine_resourcePool, NULL);
	struct object *pool = ref == NULL ? NULL : inventory_find_ref(h->inventory, ref);

	return pool != NULL && schema_is_a(pool->type, T_ResourcePool) ? pool : NULL;
}

void host_vm_leave(struct host *h, struct object *vm)
{
	struct object *pool = pool_of(h, vm);

	inventory_drop_ref(h->vm_folder, P_Folder_childEntity, vm);
	inventory_drop_ref(h->system, P_HostSystem_vm, vm);
	if (pool != NULL) {
		inventory_drop_ref(pool, P_ResourcePool_vm, vm);
	}
	list_each (struct host_datastore, d, &h->datastores, link) {
		inventory_drop_ref(d->object, P_Datastore_vm, vm);
	}
	list_each (struct host_network, net, &h->networks, link) {
		inventory_drop_ref(net->object, P_Network_vm, vm);
	}
}

void host_vm_set_pool(struct host *h, struct object *vm, struct object *pool)
{
	struct object *old = pool_of(h, vm);

	if (old == pool) {
		return;
	}
	if (old != NULL) {
		inventory_drop_ref(old, P_ResourcePool_vm, vm);
	}
	inventory_add_ref(pool, P_ResourcePool_vm, vm);
	inventory_set_ref(vm, P_VirtualMachine_resourcePool, pool);
	vm_layer_changed(h);
}

static bool is_among(const struct object *o, struct object *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i] == o) {
			return true;
		}
	}
	return false;
}

void host_vm_set_datastores(struct host *h, struct object *vm, struct object *const *ds, size_t n)
{
	list_each (struct host_datastore, d, &h->datastores, link) {
		if (is_among(d->object, ds, n)) {
			inventory_add_ref(d->object, P_Datastore_vm, vm);
		} else {
			inventory_drop_ref(d->object, P_Datastore_vm, vm);
		}
	}
	inventory_set_refs(vm, P_VirtualMachine_datastore, ds, n);
}

void host_vm_set_networks(struct host *h, struct object *vm, struct object *const *nets, size_t n)
{
	list_each (struct host_network, net, &h->networks, link) {
		if (is_among(net->object, nets, n)) {
			inventory_add_ref(net->object, P_Network_vm, vm);
		} else {
			inventory_drop_ref(net->object, P_Network_vm, vm);
		}
	}
	inventory_set_refs(vm, P_VirtualMachine_network, nets, n);
}

/* ---- files in use ---- */

/* One that does not answer may run all the same. */
static bool vm_is_off(struct object *vm, struct arena *a)
{
	const struct value *runtime = object_get(vm, P_VirtualMachine_runtime, a);

	return value_get_num(runtime, F_VirtualMachineRuntimeInfo_connectionState, -1) !=
		       E_VirtualMachineConnectionState_disconnected &&
	       value_get_num(runtime, F_VirtualMachineRuntimeInfo_powerState,
			     E_VirtualMachinePowerState_poweredOff) ==
		       E_VirtualMachinePowerState_poweredOff;
}

/* Is `path` the file, a folder above it, or, for a disk, one of its extents? */
static bool path_covers(const char *path, const char *file)
{
	size_t n = strlen(path);
	const char *ext = strrchr(file, '.');

	if (n > 0 && path[n - 1] == '/') {
		n--;
	}
	if (strncmp(path, file, n) == 0 &&
	    (file[n] == '\0' || file[n] == '/' || path[n - 1] == ' ' || path[n - 1] == ']')) {
		return true;
	}
	if (ext == NULL || strcmp(ext, ".vmdk") != 0) {
		return false;
	}
	size_t stem = (size_t)(ext - file);
	return strncmp(path, file, stem) == 0 && path[stem] == '-' && n > 5 &&
	       strcmp(path + n - 5, ".vmdk") == 0;
}

static bool device_uses(const struct value *device, const char *path)
{
	const struct value *b = value_get_value(device, F_VirtualDevice_backing);

	if (!value_is_a(b, T_VirtualDeviceFileBackingInfo)) {
		return false;
	}
	const char *file = value_get_str(b, F_VirtualDeviceFileBackingInfo_fileName);
	return file != NULL && file[0] != '\0' && path_covers(path, file);
}

static bool vm_uses(struct object *vm, const char *path, struct arena *a)
{
	const struct value *config = object_get(vm, P_VirtualMachine_config, a);
	const struct value *files =
		config == NULL ? NULL : value_get_value(config, F_VirtualMachineConfigInfo_files);
	const char *vmx =
		files == NULL ? NULL : value_get_str(files, F_VirtualMachineFileInfo_vmPathName);

	if (vmx != NULL && path_covers(path, vmx)) {
		return true;
	}
	const struct value *hw =
		config == NULL ? NULL
			       : value_get_value(config, F_VirtualMachineConfigInfo_hardware);
	const struct value *devices =
		hw == NULL ? NULL : value_get_value(hw, F_VirtualHardware_device);
	for (size_t i = 0; i < value_count(devices); i++) {
		if (device_uses(value_item(devices, i), path)) {
			return true;
		}
	}
	return false;
}

struct object *host_file_user(struct host *h, const char *ds_path)
{
	struct datastore_path at;
	struct error e;
	struct host_datastore *d = host_datastore_of_path(h, ds_path, &at, &e);
	struct object *user = NULL;

	if (d == NULL) {
		return NULL;
	}
	struct arena *a = arena_new(0);
	char *path = datastore_path_format(at.datastore, at.path);
	const struct value *vms = object_get(d->object, P_Datastore_vm, a);
	for (size_t i = 0; user == NULL && i < value_count(vms); i++) {
		struct object *vm = inventory_find_ref(h->inventory, value_item(vms, i));
		if (vm != NULL && !vm_is_off(vm, a) && vm_uses(vm, path, a)) {
			user = vm;
		}
	}
	free(path);
	arena_free(a);
	return user;
}

/* Is `path` the file itself or a folder above it? */
static bool path_holds(const char *path, const char *file)
{
	size_t n = strlen(path);

	return strncmp(path, file, n) == 0 &&
	       (file[n] == '\0' || file[n] == '/' || path[n - 1] == ']');
}

bool host_file_claim(struct host *h, const char *ds_path, struct error *e)
{
	map_each (&h->claims, claim) {
		if (path_holds(ds_path, claim->key) || path_holds(claim->key, ds_path)) {
			return error_set(e, ERROR_BUSY,
					 "\"%s\" is being worked on by another operation",
					 claim->key);
		}
	}
	map_set(&h->claims, ds_path, h);
	return true;
}

void host_file_unclaim(struct host *h, const char *ds_path)
{
	map_remove(&h->claims, ds_path);
}

/* ---- what configurations are checked against ---- */

static const struct value *env_datastore_ref(void *arg, const char *name)
{
	struct host_datastore *d = host_datastore_find(arg, name);

	return d == NULL ? NULL : d->object->ref;
}

static const char *env_datastore_url(void *arg, const char *name)
{
	struct host_datastore *d = host_datastore_find(arg, name);

	return d == NULL ? NULL : d->url;
}

static const struct value *env_network_ref(void *arg, const char *name)
{
	struct host_network *net = host_network_find(arg, name);

	return net == NULL ? NULL : net->object->ref;
}

static bool env_has_portgroup(void *arg, const char *switch_uuid, const char *key)
{
	struct json_object *g = plane_policy_portgroup(host_plane_policy(arg), switch_uuid, key);
	struct json_at at = json_root(g);
	bool is_uplink = false;

	return g != NULL && (!json_has(&at, "uplink") ||
			     (json_get_bool(&at, "uplink", &is_uplink, NULL) && !is_uplink));
}

static bool env_has_opaque_network(void *arg, const char *id)
{
	return id != NULL && plane_policy_segment(host_plane_policy(arg), id) != NULL;
}

static const char *env_network_name(void *arg, const struct value *ref)
{
	struct host_network *net = host_network_by_ref(arg, ref);

	return net == NULL || net->opaque_id != NULL ? NULL : net->name;
}

static bool env_disk(void *arg, const char *ds_path, struct disk_info *out, struct error *e)
{
	struct datastore_path at;
	struct host_datastore *d = host_datastore_of_path(arg, ds_path, &at, e);
	struct datastore *ds = d == NULL ? NULL : host_datastore_open(d, e);

	if (ds == NULL) {
		return false;
	}
	struct disk_place place = { .datastore = ds, .path = at.path };
	return disk_query(&place, out, e);
}

static bool env_file_exists(void *arg, const char *ds_path)
{
	struct datastore_path at;
	struct error e;
	struct host_datastore *d = host_datastore_of_path(arg, ds_path, &at, &e);
	struct datastore *ds = d == NULL ? NULL : host_datastore_open(d, &e);
	struct datastore_entry entry;

	if (ds == NULL || !datastore_stat(ds, at.path, &entry, &e)) {
		return false;
	}
	datastore_entry_fini(&entry);
	return true;
}

struct vm_env host_vm_env(struct host *h, enum vm_strictness strictness)
{
	return (struct vm_env){
		.arg = h,
		.datastore_ref = env_datastore_ref,
		.datastore_url = env_datastore_url,
		.network_ref = env_network_ref,
		.network_name = env_network_name,
		.has_portgroup = env_has_portgroup,
		.has_opaque_network = env_has_opaque_network,
		.disk = env_disk,
		.file_exists = env_file_exists,
		.now_us = clock_wall_us(h->clock),
		/* A simulated host has as much as anybody wants. */
		.max_cpus = h->simulated ? SIMULATED_CPUS_MAX : h->node.cpus,
		.max_memory_mb = h->simulated ? SIMULATED_MEMORY_MAX_MB : h->node.memory_mib,
		.strictness = strictness,
		.hot_nics = h->simulated || accel_arch() == MACHINE_X86_64,
		.simulated = h->simulated,
	};
}

/* ---- questions ---- */

size_t host_n_running(struct host *h)
{
	struct arena *a = arena_new(0);
	const struct value *vms = object_get(h->system, P_HostSystem_vm, a);
	size_t n = 0;

	for (size_t i = 0; i < value_count(vms); i++) {
		struct object *vm = inventory_find_ref(h->inventory, value_item(vms, i));
		const struct value *runtime =
			vm == NULL ? NULL : object_get(vm, P_VirtualMachine_runtime, a);
		n += value_get_num(runtime, F_VirtualMachineRuntimeInfo_powerState,
				   E_VirtualMachinePowerState_poweredOff) ==
		     E_VirtualMachinePowerState_poweredOn;
	}
	arena_free(a);
	return n;
}

bool host_accepts_vms(const struct host *h, struct error *e)
{
	if (h->in_maintenance || h->is_entering_maintenance) {
		return error_set(e, ERROR_STATE, "host \"%s\" %s maintenance mode", h->node.name,
				 h->in_maintenance ? "is in" : "is about to enter");
	}
	return true;
}
