/* SPDX-License-Identifier: Apache-2.0 */
#include "center/migration_plan.h"

#include <string.h>

#include "center/compute.h"
#include "center/dvs_member.h"
#include "center/folder.h"
#include "center/member.h"
#include "center/migration_link.h"
#include "center/place.h"
#include "vim/fault.h"

/* ---- what is wanted ---- */

/* The object that a reference within a specification names; false: there is none such. */
static bool named(struct center *c, struct arena *a, const struct value *ref, struct object **out,
		  struct refusal *r)
{
	*out = ref == NULL ? NULL : inventory_find_ref(c->inventory, ref);
	if (ref == NULL || *out != NULL) {
		return true;
	}
	return refuse(r, fault_not_found(a, ref), "\"%s\" does not exist", value_bytes(ref));
}

bool migration_wish_relocate(struct center *c, struct arena *a, struct object *vm,
			     const struct value *spec, struct migration_wish *out,
			     struct refusal *r)
{
	*out = (struct migration_wish){ .vm = vm, .power = -1, .is_relocation = true };
	if (value_has(spec, F_VirtualMachineRelocateSpec_service)) {
		return refuse(r, fault_new(a, T_NotSupported),
			      "VM \"%s\" cannot be moved to another manager", place_name(vm));
	}
	if (value_has(spec, F_VirtualMachineRelocateSpec_cryptoSpec)) {
		return refuse(r, fault_new(a, T_NotSupported),
			      "VM \"%s\" cannot be encrypted while it moves", place_name(vm));
	}
	out->disks = value_get_value(spec, F_VirtualMachineRelocateSpec_disk);
	out->devices = value_get_value(spec, F_VirtualMachineRelocateSpec_deviceChange);
	return named(c, a, value_get_value(spec, F_VirtualMachineRelocateSpec_pool), &out->pool,
		     r) &&
	       named(c, a, value_get_value(spec, F_VirtualMachineRelocateSpec_host), &out->host,
		     r) &&
	       named(c, a, value_get_value(spec, F_VirtualMachineRelocateSpec_folder), &out->folder,
		     r) &&
	       named(c, a, value_get_value(spec, F_VirtualMachineRelocateSpec_datastore),
		     &out->datastore, r);
}

/* ---- which host ---- */

static bool is_in_maintenance(struct object *host, struct arena *a)
{
	const struct value *runtime = object_get(host, P_HostSystem_runtime, a);

	return value_get_bool(runtime, F_HostRuntimeInfo_inMaintenanceMode, false);
}

/* Memory that is free, in MiB; -1: it takes no VMs. */
static int64_t free_mib(struct member *m, struct arena *a)
{
	const struct value *summary = object_get(m->system, P_HostSystem_summary, a);
	const struct value *hw = value_get_value(summary, F_HostListSummary_hardware);
	const struct value *stats = value_get_value(summary, F_HostListSummary_quickStats);
	int64_t mib = value_get_num(hw, F_HostHardwareSummary_memorySize, 0) >> 20;
	int64_t used = value_get_num(stats, F_HostListSummaryQuickStats_overallMemoryUsage, 0);

	if (m->state != MEMBER_CONNECTED || is_in_maintenance(m->system, a)) {
		return -1;
	}
	return MAX(mib - used, INT64_C(0));
}

static struct member *freest(struct object *compute, struct arena *a)
{
	struct member *best = NULL;
	int64_t most = -1;

	for (size_t i = 0; i < place_count(compute, P_ComputeResource_host); i++) {
		struct object *host = place_at(compute, P_ComputeResource_host, i);
		struct member *m = host == NULL ? NULL : member_of_host(host);
		int64_t free = m == NULL ? -1 : free_mib(m, a);
		if (free > most) {
			best = m;
			most = free;
		}
	}
	return best;
}

struct member *migration_target(struct hosts *hs, struct arena *a, const struct migration_wish *w,
				struct refusal *r)
{
	struct member *from = mirrored_member(w->vm);
	struct object *compute = w->pool == NULL ? NULL : compute_of_pool(w->pool);

	(void)hs;
	if (w->host != NULL && compute != NULL && compute_of_host(w->host) != compute) {
		refuse(r, fault_invalid_argument(a, "host"),
		       "host \"%s\" is not in \"%s\", where the pool is", place_name(w->host),
		       place_name(compute));
		return NULL;
	}
	if (w->host != NULL) {
		return member_of_host(w->host);
	}
	if (compute == NULL || compute == compute_of_host(from->system)) {
		return from;
	}
	struct member *to = freest(compute, a);
	if (to == NULL) {
		refuse(r, fault_new(a, T_NoCompatibleHost),
		       "no host of \"%s\" is connected and takes VMs", place_name(compute));
	}
	return to;
}

/* ---- privileges ---- */

static bool is_on(struct object *vm, struct arena *a)
{
	const struct value *runtime = object_get(vm, P_VirtualMachine_runtime, a);

	return value_get_num(runtime, F_VirtualMachineRuntimeInfo_powerState,
			     E_VirtualMachinePowerState_poweredOff) ==
	       E_VirtualMachinePowerState_poweredOn;
}

static struct object *pool_of(const struct migration_wish *w, const struct member *to)
{
	const struct member *from = mirrored_member(w->vm);

	if (w->pool != NULL || compute_of_host(to->system) == compute_of_host(from->system)) {
		return w->pool;
	}
	return compute_root_pool(compute_of_host(to->system));
}

static struct object *locator_store(struct center *c, const struct value *locator)
{
	const struct value *ref =
		value_get_value(locator, F_VirtualMachineRelocateSpecDiskLocator_datastore);

	return ref == NULL ? NULL : inventory_find_ref(c->inventory, ref);
}

bool migration_may(const struct migration_wish *w, const struct member *to, struct arena *a,
		   const struct session *session, struct refusal *r)
{
	struct object *pool = pool_of(w, to);

	if (!refusal_may(r, a, session, w->vm,
			 is_on(w->vm, a) ? "Resource.HotMigrate" : "Resource.ColdMigrate") ||
	    (pool != NULL && !refusal_may(r, a, session, pool, "Resource.AssignVMToPool")) ||
	    (w->datastore != NULL &&
	     !refusal_may(r, a, session, w->datastore, "Datastore.AllocateSpace"))) {
		return false;
	}
	if (w->folder != NULL &&
	    (!refusal_may(r, a, session, w->folder, "VirtualMachine.Inventory.Move") ||
	     !refusal_may(r, a, session, w->vm, "VirtualMachine.Inventory.Move"))) {
		return false;
	}
	for (size_t i = 0; i < value_count(w->disks); i++) {
		struct object *store = locator_store(to->center, value_item(w->disks, i));
		if (store != NULL &&
		    !refusal_may(r, a, session, store, "Datastore.AllocateSpace")) {
			return false;
		}
	}
	return value_count(w->devices) == 0 ||
	       refusal_may(r, a, session, w->vm, "VirtualMachine.Config.EditDevice");
}

/* ---- datastores ---- */

static const char *name_there(const struct mirror_source *s)
{
	return s == NULL || s->object == NULL ? NULL
					      : object_get_str(s->object, P_ManagedEntity_name);
}

/* The host's part in a datastore; NULL: it has not that one. */
static const struct mirror_source *part_there(const struct member *m, const struct object *store)
{
	struct mirrored *of = store == NULL ? NULL : mirrored_of(store);

	for (struct mirror_source *s = of == NULL ? NULL : of->sources; s != NULL; s = s->next) {
		if (s->mirror == &m->mirror && s->object != NULL) {
			return s;
		}
	}
	return NULL;
}

/* The host's own name of a datastore; NULL: it has not that one. */
static const char *store_there(const struct member *m, const struct object *store)
{
	return name_there(part_there(m, store));
}

/* Are all of the VM's datastores the host's, too? The first that is not: */
static struct object *store_missing(struct object *vm, const struct member *to, struct arena *a)
{
	const struct value *list = object_get(vm, P_VirtualMachine_datastore, a);

	for (size_t i = 0; i < value_count(list); i++) {
		struct object *store = inventory_find_ref(vm->inventory, value_item(list, i));
		if (store != NULL && store_there(to, store) == NULL) {
			return store;
		}
	}
	return NULL;
}

/* Where no datastore is named and the VM's own is not there: the one of the same name over there,
 * or the only one. */
static const struct mirror_source *store_instead(const struct member *from, const struct member *to,
						 const struct object *missing)
{
	const char *name = store_there(from, missing);

	for (size_t i = 0; i < to->mirror.stores.n; i++) {
		const char *there = name_there(to->mirror.stores.items[i]);
		if (there != NULL && name != NULL && strcmp(there, name) == 0) {
			return to->mirror.stores.items[i];
		}
	}
	return to->mirror.stores.n == 1 ? to->mirror.stores.items[0] : NULL;
}

static bool refuse_store(struct arena *a, struct object *store, const struct member *to,
			 struct refusal *r)
{
	struct value *fault = fault_new(a, T_InvalidDatastore);

	if (store != NULL) {
		value_set(a, fault, F_InvalidDatastore_datastore, store->ref);
		value_set_str(a, fault, F_InvalidDatastore_name, place_name(store));
	}
	return refuse(r, fault, "host \"%s\" has no datastore \"%s\"", member_name(to),
		      store == NULL ? "" : place_name(store));
}

static bool plan_disks(const struct migration_wish *w, struct member *to, struct arena *a,
		       struct json_object *target, struct refusal *r)
{
	struct json_object *disks = json_object_new_object();

	for (size_t i = 0; i < value_count(w->disks); i++) {
		const struct value *locator = value_item(w->disks, i);
		struct object *store = locator_store(to->center, locator);
		const char *name = store_there(to, store);
		char key[24];
		if (name == NULL) {
			json_object_put(disks);
			return refuse_store(a, store, to, r);
		}
		snprintf(key, sizeof(key), "%d",
			 (int)value_get_num(locator, F_VirtualMachineRelocateSpecDiskLocator_diskId,
					    0));
		json_put_str(disks, key, name);
	}
	if (value_count(w->disks) > 0) {
		json_put(target, "disks", disks);
	} else {
		json_object_put(disks);
	}
	return true;
}

static bool refuse_missing(const struct migration_wish *w, struct object *missing,
			   const struct member *to, struct arena *a, struct refusal *r)
{
	struct value *fault = fault_new(a, T_CannotAccessVmDisk);
	const struct value *why = fault_new(a, T_InvalidDatastore);

	value_set_str(a, fault, F_CannotAccessVmDevice_device, "disk");
	value_set_str(a, fault, F_CannotAccessVmDevice_backing, place_name(missing));
	value_set_bool(a, fault, F_CannotAccessVmDevice_connected, true);
	value_set(a, fault, F_CannotAccessVmDisk_fault,
		  fault_localized(a, why, "the datastore is not there"));
	return refuse(r, fault,
		      "host \"%s\" has no datastore \"%s\", on which VM \"%s\" is, nor one of that "
		      "name; name another",
		      member_name(to), place_name(missing), place_name(w->vm));
}

static bool plan_stores(const struct migration_wish *w, struct migration_order *order,
			struct arena *a, struct refusal *r)
{
	struct object *missing = store_missing(w->vm, order->to, a);
	const struct mirror_source *part = part_there(order->to, w->datastore);

	if (w->datastore != NULL && part == NULL) {
		return refuse_store(a, w->datastore, order->to, r);
	}
	if (w->datastore == NULL && missing != NULL) {
		part = store_instead(order->from, order->to, missing);
	}
	if (missing != NULL && name_there(part) == NULL) {
		return refuse_missing(w, missing, order->to, a, r);
	}
	if (part != NULL) {
		json_put_str(order->target, "datastore", name_there(part));
		order->datastore = part->of->object;
	}
	return plan_disks(w, order->to, a, order->target, r);
}

/* ---- networks ---- */

static bool has_network(const struct member *m, const char *name)
{
	map64_each(&m->mirror.by_remote, it)
	{
		const struct mirror_source *s = it->value;
		const char *there = s->object == NULL || s->object->type != T_Network
					    ? NULL
					    : object_get_str(s->object, P_ManagedEntity_name);
		if (there != NULL && strcmp(there, name) == 0) {
			return true;
		}
	}
	return false;
}

static struct object *switch_of(struct center *c, const char *uuid)
{
	vec_each (&c->switches, it) {
		const char *own = object_get_str(*it, P_DistributedVirtualSwitch_uuid);
		if (own != NULL && strcmp(own, uuid) == 0) {
			return *it;
		}
	}
	return NULL;
}

static bool is_switch_member(const struct member *m, const char *uuid)
{
	struct object *dvs = uuid == NULL ? NULL : switch_of(m->center, uuid);
	const struct value *config =
		dvs == NULL ? NULL : object_get(dvs, P_DistributedVirtualSwitch_config, NULL);

	return config != NULL && dvs_member_of(config, m->system) != NULL;
}

/* What the card is connected to, for people; NULL: the host can do it, or says itself why not. */
static const char *network_missing(const struct member *to, const struct value *backing)
{
	if (value_is_a(backing, T_VirtualEthernetCardNetworkBackingInfo)) {
		const char *name =
			value_get_str(backing, F_VirtualDeviceDeviceBackingInfo_deviceName);
		return name == NULL || has_network(to, name) ? NULL : name;
	}
	if (value_is_a(backing, T_VirtualEthernetCardDistributedVirtualPortBackingInfo)) {
		const struct value *port = value_get_value(
			backing, F_VirtualEthernetCardDistributedVirtualPortBackingInfo_port);
		const char *uuid =
			value_get_str(port, F_DistributedVirtualSwitchPortConnection_switchUuid);
		const char *group =
			value_get_str(port, F_DistributedVirtualSwitchPortConnection_portgroupKey);
		return is_switch_member(to, uuid) ? NULL : group != NULL ? group : "";
	}
	return NULL;
}

static const struct value *changed_backing(const struct migration_wish *w, int64_t key)
{
	for (size_t i = 0; i < value_count(w->devices); i++) {
		const struct value *device = value_get_value(value_item(w->devices, i),
							     F_VirtualDeviceConfigSpec_device);
		if (value_get_num(device, F_VirtualDevice_key, -1) == key) {
			return value_get_value(device, F_VirtualDevice_backing);
		}
	}
	return NULL;
}

static bool refuse_network(const struct value *card, const char *network, const struct member *to,
			   struct arena *a, struct refusal *r)
{
	const struct value *info = value_get_value(card, F_VirtualDevice_deviceInfo);
	const char *label = info == NULL ? NULL : value_get_str(info, F_Description_label);
	struct value *fault = fault_new(a, T_CannotAccessNetwork);

	label = label == NULL ? "Network adapter" : label;
	value_set_str(a, fault, F_CannotAccessVmDevice_device, label);
	value_set_str(a, fault, F_CannotAccessVmDevice_backing, network);
	value_set_bool(a, fault, F_CannotAccessVmDevice_connected, true);
	return refuse(r, fault, "host \"%s\" has no network \"%.80s\", which \"%.60s\" is at",
		      member_name(to), network, label);
}

/* A backing as hosts take it; NULL: none that can be. */
static struct json_object *network_order(const struct value *backing)
{
	struct json_object *o = json_object_new_object();
	const char *text = NULL;

	if (value_is_a(backing, T_VirtualEthernetCardOpaqueNetworkBackingInfo)) {
		text = value_get_str(backing,
				     F_VirtualEthernetCardOpaqueNetworkBackingInfo_opaqueNetworkId);
		json_put_str(o, "segment", text == NULL ? "" : text);
	} else if (value_is_a(backing, T_VirtualEthernetCardNetworkBackingInfo)) {
		text = value_get_str(backing, F_VirtualDeviceDeviceBackingInfo_deviceName);
		json_put_str(o, "portgroup", text == NULL ? "" : text);
	}
	if (text == NULL) {
		json_object_put(o);
		return NULL;
	}
	return o;
}

/* Each change must be one of a card's network, and of a kind that needs no port of a switch. */
static bool plan_changes(const struct migration_wish *w, struct arena *a,
			 struct json_object *target, struct refusal *r)
{
	struct json_object *networks = json_object_new_object();

	for (size_t i = 0; i < value_count(w->devices); i++) {
		const struct value *change = value_item(w->devices, i);
		const struct value *device =
			value_get_value(change, F_VirtualDeviceConfigSpec_device);
		int64_t op = value_get_num(change, F_VirtualDeviceConfigSpec_operation,
					   E_VirtualDeviceConfigSpecOperation_edit);
		struct json_object *order =
			op != E_VirtualDeviceConfigSpecOperation_edit ||
					!value_is_a(device, T_VirtualEthernetCard)
				? NULL
				: network_order(value_get_value(device, F_VirtualDevice_backing));
		char key[24];
		if (order == NULL) {
			json_object_put(networks);
			return refuse(
				r, fault_invalid_argument(a, "spec.deviceChange"),
				"while VM \"%s\" moves, cards can be given another segment or "
				"standard network; nothing else can be changed",
				place_name(w->vm));
		}
		snprintf(key, sizeof(key), "%d",
			 (int)value_get_num(device, F_VirtualDevice_key, 0));
		json_put(networks, key, order);
	}
	if (value_count(w->devices) > 0) {
		json_put(target, "networks", networks);
	} else {
		json_object_put(networks);
	}
	return true;
}

static bool plan_networks(const struct migration_wish *w, struct member *to, struct arena *a,
			  struct json_object *target, struct refusal *r)
{
	const struct value *config = object_get(w->vm, P_VirtualMachine_config, a);
	const struct value *hw = value_get_value(config, F_VirtualMachineConfigInfo_hardware);
	const struct value *devices = value_get_value(hw, F_VirtualHardware_device);

	for (size_t i = 0; i < value_count(devices); i++) {
		const struct value *card = value_item(devices, i), *backing;
		if (!value_is_a(card, T_VirtualEthernetCard)) {
			continue;
		}
		backing = changed_backing(w, value_get_num(card, F_VirtualDevice_key, -1));
		if (backing == NULL) {
			backing = value_get_value(card, F_VirtualDevice_backing);
		}
		const char *missing = network_missing(to, backing);
		if (missing != NULL) {
			return refuse_network(card, missing, to, a, r);
		}
	}
	return plan_changes(w, a, target, r);
}

/* ---- hosts and VM ---- */

static bool host_can(const struct member *m, struct arena *a, struct refusal *r)
{
	if (!migration_is_served(m)) {
		return refuse(r, fault_new(a, T_NotSupported),
			      "host \"%s\" takes no part in migrations", member_name(m));
	}
	if (m->state != MEMBER_CONNECTED) {
		bool is_lost = m->state == MEMBER_LOST;
		return refuse(r, fault_new(a, is_lost ? T_HostNotReachable : T_HostNotConnected),
			      "host \"%s\" %s", member_name(m),
			      is_lost ? "is not responding" : "is disconnected");
	}
	return true;
}

static bool vm_can(const struct migration_wish *w, struct center *c, struct arena *a,
		   struct refusal *r)
{
	const struct value *runtime = object_get(w->vm, P_VirtualMachine_runtime, a);
	int64_t power = value_get_num(runtime, F_VirtualMachineRuntimeInfo_powerState,
				      E_VirtualMachinePowerState_poweredOff);
	struct object *task = NULL;

	if (w->power >= 0 && w->power != power) {
		return refuse(r, fault_invalid_power_state(a, (int)w->power, (int)power),
			      "VM \"%s\" is not in the power state that is asked for",
			      place_name(w->vm));
	}
	if (migration_is_under_way(c, w->vm, &task)) {
		struct value *fault =
			fault_new(a, task == NULL ? T_InvalidState : T_TaskInProgress);
		if (task != NULL) {
			value_set(a, fault, F_TaskInProgress_task, task->ref);
		}
		return refuse(r, fault, "VM \"%s\" is being migrated", place_name(w->vm));
	}
	return true;
}

static bool folder_can(const struct migration_wish *w, struct center *c, const struct member *to,
		       struct arena *a, struct refusal *r)
{
	struct object *dc = place_datacenter(to->system);
	struct object *other =
		w->folder == NULL ? NULL : place_child(c, w->folder, place_name(w->vm));

	if (w->folder == NULL) {
		return place_datacenter(w->vm) == dc ||
		       refuse(r, fault_invalid_argument(a, "spec.folder"),
			      "host \"%s\" is of another datacenter than VM \"%s\"; a folder there "
			      "must be named",
			      member_name(to), place_name(w->vm));
	}
	if (folder_kind(w->folder) != FOLDER_VM || place_datacenter(w->folder) != dc) {
		return refuse(r, fault_invalid_argument(a, "spec.folder"),
			      "folder \"%s\" is not one for VMs of the host's datacenter",
			      place_name(w->folder));
	}
	if (other != NULL && other != w->vm) {
		return refuse(r, fault_duplicate_name(a, place_name(w->vm), other),
			      "the name \"%s\" exists already in \"%s\"", place_name(w->vm),
			      place_name(w->folder));
	}
	return true;
}

static bool plan(struct hosts *hs, struct arena *a, const struct migration_wish *w,
		 struct migration_order *order, struct refusal *r)
{
	struct member *to = order->to;

	if (!vm_can(w, hs->center, a, r) || !host_can(order->from, a, r) || !host_can(to, a, r) ||
	    !folder_can(w, hs->center, to, a, r)) {
		return false;
	}
	if (is_in_maintenance(to->system, a)) {
		struct value *fault = fault_new(a, T_InvalidHostState);
		value_set(a, fault, F_InvalidHostState_host, to->system->ref);
		return refuse(r, fault, "host \"%s\" is in maintenance mode", member_name(to));
	}
	return plan_stores(w, order, a, r) && plan_networks(w, to, a, order->target, r);
}

bool migration_plan(struct hosts *hs, struct arena *a, const struct migration_wish *w,
		    struct member *to, struct migration_order *order, struct refusal *r)
{
	*order = (struct migration_order){
		.vm = w->vm,
		.from = mirrored_member(w->vm),
		.to = to,
		.pool = pool_of(w, to),
		.folder = w->folder == place_parent(w->vm) ? NULL : w->folder,
		.target = json_object_new_object(),
		.is_relocation = w->is_relocation,
		.is_hot = is_on(w->vm, a),
	};
	if (!plan(hs, a, w, order, r)) {
		json_object_put(order->target);
		order->target = NULL;
		return false;
	}
	return true;
}
