/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMs made by the thousand, that only pretend: one configuration is checked, all others are edited
 * copies of it and share what does not differ. Their files are written when somebody looks at the
 * datastore, without care for power cuts: nothing of a simulation is kept.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "host/vm_device.h"
#include "host/vm_impl.h"
#include "host/vmdk.h"
#include "vim/fault.h"

LOG_MODULE("vm");

#define CONFIG(f) F_VirtualMachineConfigInfo_##f
#define SPEC(f)	  F_VirtualMachineConfigSpec_##f

enum {
	DISK_KB = 10 << 20, /* 10 GB */
	MEMORY_MB = 32,
};

/* ---- the default hardware ---- */

static void add_device(struct arena *a, struct value *changes, struct value *d, int32_t key,
		       int32_t controller)
{
	struct value *c = value_new(a, T_VirtualDeviceConfigSpec);

	value_set_num(a, d, F_VirtualDevice_key, key);
	if (controller != 0) {
		value_set_num(a, d, F_VirtualDevice_controllerKey, controller);
	}
	value_set_num(a, c, F_VirtualDeviceConfigSpec_operation,
		      E_VirtualDeviceConfigSpecOperation_add);
	if (value_is_a(d, T_VirtualDisk)) {
		value_set_num(a, c, F_VirtualDeviceConfigSpec_fileOperation,
			      E_VirtualDeviceConfigSpecFileOperation_create);
	}
	value_set(a, c, F_VirtualDeviceConfigSpec_device, d);
	value_push(a, changes, c);
}

static const struct value *default_network(struct host *h, struct arena *a)
{
	struct host_network *net = list_entry(list_front(&h->networks), struct host_network, link);
	struct value *b = NULL;

	if (net != NULL) {
		b = value_new(a, T_VirtualEthernetCardNetworkBackingInfo);
		value_set_str(a, b, F_VirtualDeviceDeviceBackingInfo_deviceName, net->name);
	}
	return b;
}

static const struct value *default_spec(struct host *h, const struct value *network,
					struct arena *a)
{
	struct value *spec = value_new(a, T_VirtualMachineConfigSpec);
	struct value *changes = value_new_array(a, T_VirtualDeviceConfigSpec);
	struct value *disk = value_new(a, T_VirtualDisk);
	struct value *back = value_new(a, T_VirtualDiskFlatVer2BackingInfo);

	if (network == NULL) {
		network = default_network(h, a);
	}
	value_set_num(a, spec, SPEC(numCPUs), 1);
	value_set_num(a, spec, SPEC(memoryMB), MEMORY_MB);
	value_set_str(a, spec, SPEC(guestId), "otherGuest");
	add_device(a, changes, value_new(a, T_ParaVirtualSCSIController), -1, 0);
	value_set_bool(a, back, F_VirtualDiskFlatVer2BackingInfo_thinProvisioned, true);
	value_set_str(a, back, F_VirtualDiskFlatVer2BackingInfo_diskMode, "persistent");
	value_set(a, disk, F_VirtualDevice_backing, back);
	value_set_num(a, disk, F_VirtualDisk_capacityInKB, DISK_KB);
	add_device(a, changes, disk, -2, -1);
	add_device(a, changes, value_new(a, T_VirtualCdrom), -3, 200);
	if (network != NULL) {
		struct value *nic = value_new(a, T_VirtualE1000);
		value_set(a, nic, F_VirtualDevice_backing, network);
		add_device(a, changes, nic, -4, 0);
	}
	value_set(a, spec, SPEC(deviceChange), changes);
	return spec;
}

/* ---- identities ---- */

void vm_simulated_uuid(const char *text, struct uuid *out)
{
	static const uint8_t oids[] = { 0x6b, 0xa7, 0xb8, 0x12, 0x9d, 0xad, 0x11, 0xd1,
					0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8 };
	uint8_t digest[20] = { 0 };
	size_t n = strlen(text);
	uint8_t *all = mem_alloc(sizeof(oids) + n);

	memcpy(all, oids, sizeof(oids));
	memcpy(all + sizeof(oids), text, n);
	gnutls_hash_fast(GNUTLS_DIG_SHA1, all, sizeof(oids) + n, digest);
	free(all);
	memcpy(out->b, digest, sizeof(out->b));
	out->b[6] = (uint8_t)((out->b[6] & 0x0f) | 0x50);
	out->b[8] = (uint8_t)((out->b[8] & 0x3f) | 0x80);
}

/* What scripts written against the simulator of the govmomi project know VMs by: their UUIDs are
 * those of their paths, in capitals for the instance. */
static void identify(struct arena *a, struct value *config, const char *path, struct uuid *uuid)
{
	char text[UUID_TEXT_SIZE], *capitals = arena_strdup(a, path);
	struct uuid instance;

	for (char *p = capitals; *p != '\0'; p++) {
		*p = (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
	}
	vm_simulated_uuid(path, uuid);
	vm_simulated_uuid(capitals, &instance);
	uuid_format(uuid, text);
	value_set_str(a, config, CONFIG(uuid), text);
	uuid_format(&instance, text);
	value_set_str(a, config, CONFIG(instanceUuid), text);
}

/* ---- copies ---- */

/* "[ds] OLD/OLD…" with NEW in place of OLD; NULL where the path is none of the first VM's own. */
static const char *path_renamed(struct arena *a, const char *path, const char *old, const char *new)
{
	const char *dir = path == NULL ? NULL : strchr(path, ']');
	size_t n = strlen(old);

	if (dir == NULL || strncmp(dir + 2, old, n) != 0 || dir[2 + n] != '/') {
		return NULL;
	}
	const char *file = dir + 2 + n + 1;
	bool own = strncmp(file, old, n) == 0;
	return arena_printf(a, "%.*s%s/%s%s", (int)(dir + 2 - path), path, new, own ? new : "",
			    own ? file + n : file);
}

static const struct value *nic_copy(struct arena *a, const struct value *d, const struct uuid *uuid)
{
	const uint8_t *x = uuid->b;
	uint8_t unit = (uint8_t)(x[4] + value_get_num(d, F_VirtualDevice_key, 0));
	struct value *nic = value_edit(a, d);

	value_set_strf(a, nic, F_VirtualEthernetCard_macAddress, "02:%02x:%02x:%02x:%02x:%02x",
		       x[0], x[1], x[2], x[3], unit);
	return nic;
}

static const struct value *disk_renamed(struct arena *a, const struct value *d, const char *old,
					const char *name)
{
	const struct value *b = value_get_value(d, F_VirtualDevice_backing);

	if (!value_is_a(b, T_VirtualDeviceFileBackingInfo)) {
		return d;
	}
	const char *path = path_renamed(
		a, value_get_str(b, F_VirtualDeviceFileBackingInfo_fileName), old, name);
	if (path == NULL) {
		return d;
	}
	struct value *edit = value_edit(a, d), *back = value_edit(a, b);
	value_set_str(a, back, F_VirtualDeviceFileBackingInfo_fileName, path);
	value_set(a, edit, F_VirtualDevice_backing, back);
	return edit;
}

static const struct value *files_copy(struct arena *a, const struct value *files, const char *old,
				      const char *name)
{
	struct value *edit = value_edit(a, files);
	union slot s;

	for (int i = -1; value_next(files, &i, &s);) {
		const char *path = path_renamed(a, value_bytes(s.value), old, name);
		if (path != NULL) {
			value_set_str(a, edit, (unsigned)i, path);
		}
	}
	return edit;
}

static const struct value *config_copy(struct arena *a, const struct value *first, const char *name)
{
	const char *old = value_get_str(first, CONFIG(name));
	const struct value *devices = vm_devices(first);
	struct value *c = value_edit(a, first);
	struct value *hw = value_edit(a, value_get_value(first, CONFIG(hardware)));
	struct value *all = value_new_array(a, T_VirtualDevice);
	struct uuid uuid;

	const struct value *files = files_copy(a, value_get_value(first, CONFIG(files)), old, name);
	identify(a, c, value_get_str(files, F_VirtualMachineFileInfo_vmPathName), &uuid);
	for (size_t i = 0; i < value_count(devices); i++) {
		const struct value *d = value_item(devices, i);
		value_push(a, all,
			   value_is_a(d, T_VirtualEthernetCard) ? nic_copy(a, d, &uuid)
								: disk_renamed(a, d, old, name));
	}
	value_set(a, hw, F_VirtualHardware_device, all);
	value_set(a, c, CONFIG(hardware), hw);
	value_set(a, c, CONFIG(files), files);
	value_set_str(a, c, CONFIG(name), name);
	return c;
}

/* The checked configuration that the others are copies of; kept. NULL with the refusal. */
static const struct value *first_config(struct host *h, const struct vm_simulated *what,
					struct vm_refusal *r)
{
	struct arena *a = arena_new(0);
	struct vm_env env = host_vm_env(h, VM_STRICT);
	struct host_datastore *d =
		what->datastore == NULL
			? list_entry(list_front(&h->datastores), struct host_datastore, link)
			: host_datastore_find(h, what->datastore);
	struct vm_plan plan = { 0 };
	const struct value *config = NULL;

	if (d == NULL) {
		/* The refusal outlives the arena. */
		static const char text[] = "the datastore for simulated machines is missing";
		*r = (struct vm_refusal){ .fault = NULL };
		snprintf(r->text, sizeof(r->text), "%s", text);
		arena_free(a);
		return NULL;
	}
	struct value *spec =
		value_edit(a, what->spec == NULL ? default_spec(h, what->network, a) : what->spec);
	value_set_str(a, spec, SPEC(name), what->names[0]);
	const char *path =
		arena_printf(a, "[%s] %s/%s.vmx", d->name, what->names[0], what->names[0]);
	if (vm_config_create(a, spec, path, &env, &plan, r)) {
		config = value_keep(what->on ? vm_config_start(a, plan.config) : plan.config);
		vm_plan_fini(&plan);
	}
	r->fault = NULL;
	arena_free(a);
	return config;
}

bool vm_add_simulated(struct host *h, const struct vm_simulated *what, struct vm_refusal *r)
{
	struct vm_layer *l = h->vm_layer;
	int64_t now = clock_wall_us(h->clock);

	if (what->n == 0) {
		return true;
	}
	const struct value *first = first_config(h, what, r);
	if (first == NULL) {
		return false;
	}
	struct vm **vms = mem_calloc(what->n, sizeof(*vms));
	const struct value **configs = mem_calloc(what->n, sizeof(*configs));
	struct arena *a = arena_new(0);
	for (size_t i = 0; i < what->n; i++) {
		vms[i] = vm_new(l, ++l->last_id, NULL, NULL);
		configs[i] = value_keep(config_copy(a, first, what->names[i]));
		if (what->on) {
			vms[i]->power = E_VirtualMachinePowerState_poweredOn;
			vms[i]->boot_us = now;
		}
		arena_reset(a);
	}
	vm_publish(vms, configs, what->n, what->pool);
	for (size_t i = 0; i < what->n; i++) {
		if (what->on) {
			vm_claim(vms[i], NULL);
		}
		value_drop(configs[i]);
	}
	value_drop(first);
	arena_free(a);
	free(vms);
	free(configs);
	return true;
}

/* ---- files ---- */

static bool write_file(const struct datastore *ds, const char *path, const void *data, size_t n)
{
	struct error e;
	int fd = file_open_beneath(datastore_root(ds), path,
				   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644, &e);

	if (fd < 0) {
		log_limited_warn("%s", e.msg);
		return false;
	}
	bool ok = file_write_all(fd, data, n, path, &e);
	close(fd);
	return ok;
}

static void write_disk(struct host *h, const struct value *disk)
{
	const struct value *b = value_get_value(disk, F_VirtualDevice_backing);
	const char *ds_path = value_get_str(b, F_VirtualDeviceFileBackingInfo_fileName);
	uint64_t bytes = (uint64_t)value_get_num(disk, F_VirtualDisk_capacityInKB, 0) * 1024;
	struct datastore_path at;
	struct host_datastore *d = host_datastore_of_path(h, ds_path, &at, NULL);
	size_t n = d == NULL || d->ds == NULL ? 0 : strlen(at.path);

	if (n < 6 || strcmp(at.path + n - 5, ".vmdk") != 0) {
		return;
	}
	char *extent = mem_printf("%.*s-flat.vmdk", (int)(n - 5), at.path);
	const char *slash = strrchr(extent, '/');
	struct vmdk_spec spec = { .capacity = bytes,
				  .extent_file = slash == NULL ? extent : slash + 1,
				  .thin = true };
	struct vmdk *v = vmdk_new(&spec, NULL);
	struct buf text = BUF_INIT;
	if (v != NULL) {
		vmdk_write(v, &text);
		vmdk_free(v);
		write_file(d->ds, at.path, text.data, text.len);
	}
	int fd = file_open_beneath(datastore_root(d->ds), extent, O_WRONLY | O_CREAT | O_CLOEXEC,
				   0644, NULL);
	if (fd >= 0) {
		if (ftruncate(fd, (off_t)bytes) != 0) {
			log_limited_warn("\"%s\" could not be given its size", extent);
		}
		close(fd);
	}
	buf_free(&text);
	free(extent);
}

void vm_materialise(struct vm *vm)
{
	struct host *h = vm->layer->host;
	const struct value *devices = vm_devices(vm_config(vm));
	struct datastore_path at;
	struct host_datastore *d = host_datastore_of_path(h, vm_path(vm), &at, NULL);
	char *slash = d == NULL || d->ds == NULL ? NULL : strrchr(at.path, '/');
	struct buf text = BUF_INIT;

	if (slash == NULL || vm->has_files) {
		return;
	}
	*slash = '\0';
	if (!file_make_dirs_beneath(datastore_root(d->ds), at.path, NULL)) {
		return;
	}
	*slash = '/';
	vm_config_text(vm_config(vm), &text);
	vm->has_files = write_file(d->ds, at.path, text.data, text.len);
	vm_files_forget(vm); /* they had been made up */
	buf_free(&text);
	for (size_t i = 0; i < value_count(devices); i++) {
		if (vm_device_role(value_type(value_item(devices, i))) == VM_ROLE_DISK) {
			write_disk(h, value_item(devices, i));
		}
	}
}

void vm_materialise_all(struct host *h, struct host_datastore *d)
{
	struct vm_layer *l = h->vm_layer;
	size_t n = strlen(d->name);

	if (l == NULL || !h->simulated) {
		return;
	}
	list_each (struct vm, vm, &l->vms, link) {
		const char *path = vm_path(vm);
		if (path != NULL && path[0] == '[' && strncmp(path + 1, d->name, n) == 0 &&
		    path[n + 1] == ']') {
			vm_materialise(vm);
		}
	}
}
