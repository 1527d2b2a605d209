/* SPDX-License-Identifier: Apache-2.0 */
/* A VM that is to come: what its source says of it is checked as hostile input, and it is found out
 * where its files go, what its network cards are on, and whether this host may have it. Nothing is
 * made yet. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "host/cpu_model.h"
#include "host/transit_impl.h"
#include "host/vm_device.h"
#include "vim/fault.h"

#define CONFIG(f) F_VirtualMachineConfigInfo_##f

/* What a PUT asks for, while it is looked at. */
struct arrival {
	struct transit *m;
	const struct json_at *body;
	struct transit_description d;
	struct host_datastore *store; /* of the VM's folder */
	const struct value *config;
	struct transit_refusal *why;
};

/* ---- where it goes ---- */

static struct host_datastore *store_named(struct arrival *x, const char *name)
{
	struct host_datastore *d = host_datastore_find(x->m->all->host, name);
	struct error e = { 0 };

	if (d == NULL) {
		transit_refuse(x->why, 400, "InvalidDatastore", name,
			       "there is no such datastore on this host");
		return NULL;
	}
	if (host_datastore_open(d, &e) == NULL) {
		transit_refuse_error(x->why, name, &e);
		return NULL;
	}
	return d;
}

static struct host_datastore *store_of_url(struct arrival *x, const char *url)
{
	list_each (struct host_datastore, d, &x->m->all->host->datastores, link) {
		struct datastore *ds = host_datastore_open(d, NULL);
		if (ds != NULL && strcmp(datastore_url(ds), url) == 0) {
			return d;
		}
	}
	transit_refuse(x->why, 400, "InvalidDatastore", url,
		       "this host has no such datastore, and none is named to copy to");
	return NULL;
}

/* The VM's files are here already. */
static bool place_shared(struct arrival *x)
{
	struct transit *m = x->m;

	x->store = store_of_url(x, x->d.url);
	if (x->store == NULL) {
		return false;
	}
	m->is_shared = true;
	m->path = arena_printf(m->arena, "[%s] %s", x->store->name, x->d.path);
	for (size_t i = 0; i < x->d.n_disks; i++) {
		struct host_datastore *d = store_of_url(x, x->d.disks[i].url);
		if (d == NULL) {
			return false;
		}
		transit_hold(m, d);
	}
	return true;
}

static bool place_new(struct arrival *x, const char *name)
{
	struct transit *m = x->m;
	struct vm_refusal r = { 0 };
	struct vm_place at = { .name = x->d.name };
	struct error e = { 0 };

	x->store = store_named(x, name);
	if (x->store == NULL) {
		return false;
	}
	if (!vm_create_place(transit_layer(m), m->arena, x->store, &at, &r)) {
		return transit_refuse_vm(x->why, x->d.name, &r);
	}
	m->folder = at.folder;
	m->path = at.path;
	char *claim = mem_printf("[%s] %s", x->store->name, m->folder);
	if (!host_file_claim(m->all->host, claim, &e)) {
		free(claim);
		return transit_refuse_error(x->why, m->folder, &e);
	}
	m->claim = claim;
	return true;
}

static bool place(struct arrival *x)
{
	const char *name = NULL;
	struct error e = { 0 };

	if (json_has(x->body, "datastore") && !json_get_str(x->body, "datastore", &name, &e)) {
		return transit_refuse_error(x->why, "datastore", &e);
	}
	if (name == NULL ? !place_shared(x) : !place_new(x, name)) {
		return false;
	}
	transit_hold(x->m, x->store);
	return true;
}

/* ---- its network cards ---- */

static struct value *backing_for(struct arrival *x, const struct json_at *at, struct error *e)
{
	struct arena *a = x->m->arena;
	const char *name;
	struct json_at dvs;

	if (json_has(at, "segment")) {
		struct value *b = value_new(a, T_VirtualEthernetCardOpaqueNetworkBackingInfo);
		if (!json_get_str(at, "segment", &name, e)) {
			return NULL;
		}
		value_set_str(a, b, F_VirtualEthernetCardOpaqueNetworkBackingInfo_opaqueNetworkId,
			      name);
		value_set_str(a, b, F_VirtualEthernetCardOpaqueNetworkBackingInfo_opaqueNetworkType,
			      "nsx.LogicalSwitch");
		return b;
	}
	if (json_has(at, "dvs")) {
		const char *portgroup, *port = NULL;
		if (!json_get_object(at, "dvs", &dvs, e) ||
		    !json_get_str(&dvs, "switch", &name, e) ||
		    !json_get_str(&dvs, "portgroup", &portgroup, e) ||
		    (json_has(&dvs, "port") && !json_get_str(&dvs, "port", &port, e))) {
			return NULL;
		}
		struct value *b =
			value_new(a, T_VirtualEthernetCardDistributedVirtualPortBackingInfo);
		struct value *c = value_new(a, T_DistributedVirtualSwitchPortConnection);
		value_set_str(a, c, F_DistributedVirtualSwitchPortConnection_switchUuid, name);
		value_set_str(a, c, F_DistributedVirtualSwitchPortConnection_portgroupKey,
			      portgroup);
		if (port != NULL) {
			value_set_str(a, c, F_DistributedVirtualSwitchPortConnection_portKey, port);
		}
		value_set(a, b, F_VirtualEthernetCardDistributedVirtualPortBackingInfo_port, c);
		return b;
	}
	if (!json_get_str(at, "portgroup", &name, e)) {
		return NULL;
	}
	struct value *b = value_new(a, T_VirtualEthernetCardNetworkBackingInfo);
	struct host_network *net = host_network_find(x->m->all->host, name);
	value_set_str(a, b, F_VirtualDeviceDeviceBackingInfo_deviceName, name);
	if (net != NULL) {
		value_set(a, b, F_VirtualEthernetCardNetworkBackingInfo_network, net->object->ref);
	}
	return b;
}

static bool has_network(struct arrival *x, const struct value *b, const char **name)
{
	struct host *h = x->m->all->host;
	struct vm_env env = host_vm_env(h, VM_RELOAD);

	*name = "";
	if (value_is_a(b, T_VirtualEthernetCardNetworkBackingInfo)) {
		*name = value_get_str(b, F_VirtualDeviceDeviceBackingInfo_deviceName);
		return *name != NULL && host_network_find(h, *name) != NULL;
	}
	if (value_is_a(b, T_VirtualEthernetCardOpaqueNetworkBackingInfo)) {
		*name = value_get_str(
			b, F_VirtualEthernetCardOpaqueNetworkBackingInfo_opaqueNetworkId);
		return *name != NULL && env.has_opaque_network(env.arg, *name);
	}
	if (value_is_a(b, T_VirtualEthernetCardDistributedVirtualPortBackingInfo)) {
		const struct value *c = value_get_value(
			b, F_VirtualEthernetCardDistributedVirtualPortBackingInfo_port);
		*name = value_get_str(c, F_DistributedVirtualSwitchPortConnection_portgroupKey);
		return *name != NULL &&
		       env.has_portgroup(
			       env.arg,
			       value_get_str(c,
					     F_DistributedVirtualSwitchPortConnection_switchUuid),
			       *name);
	}
	return true;
}

/* The card as it is here, or NULL with the refusal. */
static const struct value *card_here(struct arrival *x, const struct value *d,
				     const struct json_at *networks)
{
	struct arena *a = x->m->arena;
	const struct value *b = value_get_value(d, F_VirtualDevice_backing);
	const struct value *c = value_get_value(d, F_VirtualDevice_connectable);
	const char *name = "";
	struct json_at at;
	struct error e = { 0 };
	char key[24];

	snprintf(key, sizeof(key), "%d", (int)value_get_num(d, F_VirtualDevice_key, 0));
	if (networks->value != NULL && json_has(networks, key)) {
		struct value *other =
			json_get_object(networks, key, &at, &e) ? backing_for(x, &at, &e) : NULL;
		if (other == NULL) {
			transit_refuse_error(x->why, key, &e);
			return NULL;
		}
		struct value *edit = value_edit(a, d);
		value_set(a, edit, F_VirtualDevice_backing, other);
		d = edit;
		b = other;
		x->m->writes_vmx = true;
	}
	if (!has_network(x, b, &name) &&
	    value_get_bool(c, F_VirtualDeviceConnectInfo_startConnected, true)) {
		transit_refuse(x->why, 400, "CannotAccessNetwork", name == NULL ? "" : name,
			       "this host has no such network, which card %s is on", key);
		return NULL;
	}
	return d;
}

/* ---- its disks ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

static const struct transit_disk *disk_described(const struct arrival *x, const struct value *d)
{
	int64_t key = value_get_num(d, F_VirtualDevice_key, 0);

	for (size_t i = 0; i < x->d.n_disks; i++) {
		if (x->d.disks[i].key == key) {
			return &x->d.disks[i];
		}
	}
	return NULL;
}

static bool is_name_taken(const struct transit *m, const char *path, const struct datastore *ds)
{
	for (size_t i = 0; i < m->n_items; i++) {
		if (m->items[i].ds == ds && strcmp(m->items[i].path, path) == 0) {
			return true;
		}
	}
	return false;
}

static bool item_add_disk(struct arrival *x, const struct transit_disk *disk,
			  struct host_datastore *store)
{
	struct transit *m = x->m;
	struct transit_item *item = &m->items[m->n_items];
	const char *name = base_name(disk->path);

	*item = (struct transit_item){ .disk = disk->key,
				       .size = disk->bytes,
				       .ds = host_datastore_open(store, NULL),
				       .format = disk->format,
				       .adapter_type = arena_strdup(m->arena, disk->adapter_type),
				       .uuid = disk->uuid == NULL
						       ? NULL
						       : arena_strdup(m->arena, disk->uuid),
				       .fd = -1 };
	item->path = arena_printf(m->arena, "%s/%s", m->folder, name);
	if (is_name_taken(m, item->path, item->ds)) {
		item->path = arena_printf(m->arena, "%s/%d-%s", m->folder, disk->key, name);
	}
	item->ds_path = arena_printf(m->arena, "[%s] %s", store->name, item->path);
	m->n_items++;
	m->bytes_total += item->size;
	transit_hold(m, store);
	return true;
}

/* The disk as it will be here, or NULL with the refusal. */
static const struct value *disk_here(struct arrival *x, const struct value *d,
				     const struct json_at *disks)
{
	struct arena *a = x->m->arena;
	const struct transit_disk *disk = disk_described(x, d);
	const char *name;
	struct error e = { 0 };
	char key[24];

	snprintf(key, sizeof(key), "%d", (int)value_get_num(d, F_VirtualDevice_key, 0));
	if (disk == NULL) {
		transit_refuse(x->why, 400, "InvalidArgument", "description",
			       "disk %s of the .vmx is not among the disks", key);
		return NULL;
	}
	struct host_datastore *store = x->store;
	if (disks->value != NULL && json_has(disks, key)) {
		if (!json_get_str(disks, key, &name, &e)) {
			transit_refuse_error(x->why, key, &e);
			return NULL;
		}
		store = store_named(x, name);
	}
	if (store == NULL || !item_add_disk(x, disk, store)) {
		return NULL;
	}
	struct value *b = value_edit(a, value_get_value(d, F_VirtualDevice_backing));
	struct value *edit = value_edit(a, d);
	value_set_str(a, b, F_VirtualDeviceFileBackingInfo_fileName,
		      x->m->items[x->m->n_items - 1].ds_path);
	value_set(a, edit, F_VirtualDevice_backing, b);
	return edit;
}

/* ---- what it is made of ---- */

static const struct value *parse_config(struct arrival *x)
{
	struct vm_env env = host_vm_env(x->m->all->host, VM_RELOAD);
	const struct value *config = NULL;
	struct vm_refusal r = { 0 };
	struct error e = { 0 };
	struct vmx *vmx = vmx_parse(x->d.vmx, strlen(x->d.vmx), &e);

	if (vmx == NULL) {
		transit_refuse_error(x->why, x->d.name, &e);
		return NULL;
	}
	if (!vm_config_from_vmx(x->m->arena, vmx, x->m->path, &env, &config, &r)) {
		config = NULL;
		transit_refuse_vm(x->why, x->d.name, &r);
	}
	vmx_free(vmx);
	return config;
}

static bool optional_object(struct arrival *x, const char *key, struct json_at *out)
{
	struct error e = { 0 };

	*out = (struct json_at){ .value = NULL };
	return !json_has(x->body, key) || json_get_object(x->body, key, out, &e) ||
	       transit_refuse_error(x->why, key, &e);
}

static bool devices_here(struct arrival *x)
{
	struct arena *a = x->m->arena;
	const struct value *devices = vm_devices(x->config);
	struct value *all = value_new_array(a, T_VirtualDevice);
	struct json_at networks, disks;

	if (!optional_object(x, "networks", &networks) || !optional_object(x, "disks", &disks)) {
		return false;
	}
	x->m->items = arena_alloc(a, (value_count(devices) + 3) * sizeof(*x->m->items));
	for (size_t i = 0; i < value_count(devices); i++) {
		const struct value *d = value_item(devices, i);
		enum vm_role role = vm_device_role(value_type(d));
		if (role == VM_ROLE_NIC) {
			d = card_here(x, d, &networks);
		} else if (role == VM_ROLE_DISK && !x->m->is_shared) {
			d = disk_here(x, d, &disks);
		}
		if (d == NULL) {
			return false;
		}
		value_push(a, all, d);
	}
	struct value *config = value_edit(a, x->config);
	struct value *hw = value_edit(a, value_get_value(config, CONFIG(hardware)));
	value_set(a, hw, F_VirtualHardware_device, all);
	value_set(a, config, CONFIG(hardware), hw);
	x->config = config;
	return true;
}

static void add_file(struct arrival *x, const char *ending, uint64_t size)
{
	struct transit *m = x->m;
	const char *vmx = strchr(m->path, ']') + 2, *dot = strrchr(vmx, '.');

	if (size == 0 || m->is_shared) {
		return;
	}
	m->items[m->n_items++] = (struct transit_item){
		.ending = ending,
		.size = size,
		.ds = host_datastore_open(x->store, NULL),
		.path = arena_printf(m->arena, "%.*s.%s", (int)(dot - vmx), vmx, ending),
		.fd = -1,
	};
	m->bytes_total += size;
}

/* ---- may it come? ---- */

static bool cpu_fits(struct arrival *x)
{
	struct json_object *here = transit_cpu(x->m->all->host);
	struct json_at at = json_root(x->d.cpu);
	const char *arch = "", *own = machine_arch_name(accel_arch());
	struct error e = { 0 };

	json_get_str(&at, "arch", &arch, NULL);
	bool ok = strcmp(arch, own) == 0 ||
		  error_set(&e, ERROR_UNSUPPORTED, "its processor is \"%.40s\", this host's is %s",
			    arch, own);
	ok = ok && ((!x->d.is_suspended && !x->d.is_on) || cpu_model_accepts(x->d.cpu, here, &e));
	json_object_put(here);
	return ok || transit_refuse(x->why, 400, "CpuIncompatible", x->d.name, "%s", e.msg);
}

/* Promised memory and processors, of one that runs. */
static bool hardware_fits(struct arrival *x)
{
	struct host *h = x->m->all->host;
	int64_t cpus = value_get_num(value_get_value(x->config, CONFIG(hardware)),
				     F_VirtualHardware_numCPU, 1);
	uint64_t want = (uint64_t)value_get_num(value_get_value(x->config, CONFIG(hardware)),
						F_VirtualHardware_memoryMB, 0);
	uint64_t want_mhz = vm_cpu_reserved(x->config);
	uint64_t free_mb, free_mhz;

	if (!x->d.is_on) {
		return true;
	}
	if (cpus > h->budget.vcpus_max) {
		transit_refuse(x->why, 400, "NotEnoughLogicalCpus", x->d.name,
			       "has %lld CPUs, host \"%s\" only %u", (long long)cpus, h->node.name,
			       h->budget.vcpus_max);
		x->why->limit = h->budget.vcpus_max;
		return false;
	}
	if (!vm_cpu_fits(transit_layer(x->m), want_mhz, 0, &free_mhz)) {
		transit_refuse(
			x->why, 400, "InsufficientCpuResourcesFault", x->d.name,
			"reserves %llu MHz of CPU; host \"%s\" has %llu MHz unreserved for VMs",
			(unsigned long long)want_mhz, h->node.name, (unsigned long long)free_mhz);
		x->why->requested = (int64_t)want_mhz;
		x->why->unreserved = (int64_t)free_mhz;
		return false;
	}
	if (!vm_memory_fits(transit_layer(x->m), want, &free_mb)) {
		transit_refuse(x->why, 400, "InsufficientMemoryResourcesFault", x->d.name,
			       "needs %llu MB of memory; host \"%s\" has %llu MB free for VMs",
			       (unsigned long long)want, h->node.name, (unsigned long long)free_mb);
		x->why->requested = (int64_t)(want << 20);
		x->why->unreserved = (int64_t)(free_mb << 20);
		return false;
	}
	return true;
}

static bool name_is_free(struct arrival *x)
{
	struct vm_layer *l = transit_layer(x->m);
	struct vm_refusal r = { 0 };
	const char *name;

	if (!vm_name_check(x->m->arena, x->d.name, &name, &r)) {
		return transit_refuse_vm(x->why, "name", &r);
	}
	if (vm_by_name(l, x->d.name) != NULL) {
		return transit_refuse(x->why, 409, "DuplicateName", x->d.name,
				      "there is a virtual machine of this name already");
	}
	return true;
}

static bool has_room(struct arrival *x)
{
	uint64_t n = 0;
	struct error e = { 0 };

	for (size_t i = 0; i < x->m->n_items; i++) {
		struct transit_item *item = &x->m->items[i];
		n += item->disk == 0 || item->format != DISK_THIN ? item->size : 0;
	}
	return datastore_has_room(host_datastore_open(x->store, NULL), n, &e) ||
	       transit_refuse_error(x->why, x->store->name, &e);
}

static bool look_at(struct arrival *x)
{
	struct host *h = x->m->all->host;
	struct vm_refusal r = { 0 };
	struct json_at at;
	struct error e = { 0 };

	if (!json_get_object(x->body, "description", &at, &e)) {
		return transit_refuse_error(x->why, "description", &e);
	}
	if (!transit_description_read(x->m->arena, &at, &x->d, x->why)) {
		return false;
	}
	x->m->name = mem_strdup(x->d.name);
	if (!host_accepts_vms(h, &e)) {
		return transit_refuse_error(x->why, h->node.name, &e);
	}
	if (!name_is_free(x) || !cpu_fits(x) || !place(x)) {
		return false;
	}
	if (vm_by_path(transit_layer(x->m), x->m->path) != NULL) {
		return transit_refuse(x->why, 409, "AlreadyExists", x->m->path,
				      "it is registered already");
	}
	x->config = x->m->is_shared ? vm_read_config(transit_layer(x->m), x->m->path, VM_REGISTER,
						     x->m->arena, &r, NULL)
				    : parse_config(x);
	if (x->config == NULL) {
		return x->m->is_shared ? transit_refuse_vm(x->why, x->m->path, &r) : false;
	}
	if (!vm_uuid_is_free(transit_layer(x->m), x->config, NULL, x->m->arena, &r)) {
		return transit_refuse_vm(x->why, x->d.name, &r);
	}
	if (!devices_here(x)) {
		return false;
	}
	if (!hardware_fits(x)) {
		return false;
	}
	x->m->is_live = x->d.is_on;
	if (x->d.is_on) { /* the EFI variables are in its memory */
		x->m->issuer = mem_strdup(x->d.issuer);
		x->m->uuid = mem_strdup(value_get_str(x->config, CONFIG(uuid)));
	}
	add_file(x, "nvram", x->d.is_on ? 0 : x->d.nvram);
	add_file(x, "vmss", x->d.is_suspended ? x->d.vmss : 0);
	return has_room(x);
}

bool transit_arrival(struct transit *m, const struct json_at *body, struct transit_refusal *why)
{
	struct arrival x = { .m = m, .body = body, .why = why };

	if (!look_at(&x)) {
		return false;
	}
	m->config = value_keep(x.config);
	return true;
}
