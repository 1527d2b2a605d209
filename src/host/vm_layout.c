/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a VM with their sizes: layout, layoutEx, storage. They are looked at when somebody
 * reads one of these, and then remembered until something about them has changed, of a VM that runs
 * for five minutes. Files of a simulated VM that nobody has looked at have the sizes they would
 * have.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "host/vm_device.h"
#include "host/vm_impl.h"

#define FILE_INFO(f) F_VirtualMachineFileLayoutExFileInfo_##f

enum {
	SIM_VMX_SIZE = 2200,
	SIM_NVRAM_SIZE = 8684,
	SIM_DESCRIPTOR_SIZE = 480,
};

/* ---- looking ---- */

struct look {
	struct vm *vm;
	struct vm_files *files;
	const char *folder; /* "[ds] dir" */
	const char *base;   /* "x" of x.vmx */
	struct arena *a;
	bool simulated;
};

static struct vm_file *file_push(struct look *k, const char *path, const char *type, int32_t disk)
{
	struct vm_file file = { .path = mem_strdup(path), .type = type, .disk = disk };

	vec_push(k->files, file);
	return &k->files->items[k->files->n - 1];
}

/* Size of "[ds] path", beneath its datastore; false where there is none. */
static bool file_stat(struct vm *vm, const char *path, struct stat *st)
{
	struct datastore_path at;
	struct host_datastore *d = host_datastore_of_path(vm->layer->host, path, &at, NULL);
	struct datastore *ds = d == NULL ? NULL : host_datastore_open(d, NULL);
	int fd = ds == NULL ? -1
			    : file_open_beneath(datastore_root(ds), at.path,
						O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, NULL);
	bool ok = fd >= 0 && fstat(fd, st) == 0;

	if (fd >= 0) {
		close(fd);
	}
	return ok;
}

static void look_own(struct look *k, const char *name, const char *type)
{
	const char *path = arena_printf(k->a, "%s/%s", k->folder, name);
	struct stat st = { 0 };

	if (file_stat(k->vm, path, &st)) {
		struct vm_file *f = file_push(k, path, type, 0);
		f->size = (uint64_t)st.st_size;
		f->allocated = (uint64_t)st.st_blocks * 512;
	}
}

/* The file of that ending that a simulated VM would have. */
static void look_own_simulated(struct look *k, const char *ending, const char *type, uint64_t size)
{
	const char *path = arena_printf(k->a, "%s/%s%s", k->folder, k->base, ending);
	struct vm_file *f = file_push(k, path, type, 0);

	f->size = size;
	f->allocated = (size + 4095) / 4096 * 4096;
}

/* "[ds] dir/x-flat.vmdk" of the disk, or NULL; its capacity. */
static const char *extent_of(struct look *k, const char *path, uint64_t *capacity)
{
	struct datastore_path at;
	struct disk_info info;
	struct error e;
	struct host_datastore *d = host_datastore_of_path(k->vm->layer->host, path, &at, &e);
	struct datastore *ds = d == NULL ? NULL : host_datastore_open(d, &e);
	struct disk_place place = { .datastore = ds, .path = at.path };

	if (ds == NULL || !disk_query(&place, &info, &e)) {
		return NULL;
	}
	*capacity = info.capacity;
	return arena_printf(k->a, "[%s] %s", at.datastore, info.extent_path);
}

static void look_disk_simulated(struct look *k, const struct value *disk, const char *path)
{
	const struct value *b = value_get_value(disk, F_VirtualDevice_backing);
	int32_t key = (int32_t)value_get_num(disk, F_VirtualDevice_key, 0);
	uint64_t bytes = (uint64_t)value_get_num(disk, F_VirtualDisk_capacityInKB, 0) * 1024;
	bool thin = value_get_bool(b, F_VirtualDiskFlatVer2BackingInfo_thinProvisioned, false);
	struct vm_file *f = file_push(k, path, "diskDescriptor", key);

	f->size = SIM_DESCRIPTOR_SIZE;
	f->allocated = 4096;
	const char *dot = strrchr(path, '.');
	f = file_push(k,
		      arena_printf(k->a, "%.*s-flat.vmdk",
				   (int)(dot == NULL ? strlen(path) : (size_t)(dot - path)), path),
		      "diskExtent", key);
	f->size = bytes;
	f->allocated = thin ? 0 : bytes;
	f->to_come = thin ? bytes : 0;
}

static void look_disk(struct look *k, const struct value *disk)
{
	const struct value *b = value_get_value(disk, F_VirtualDevice_backing);
	int32_t key = (int32_t)value_get_num(disk, F_VirtualDevice_key, 0);
	const char *path = value_get_str(b, F_VirtualDeviceFileBackingInfo_fileName);
	uint64_t capacity = 0;
	struct stat st = { 0 };

	if (path == NULL || path[0] == '\0') {
		return;
	}
	if (k->simulated) {
		look_disk_simulated(k, disk, path);
		return;
	}
	struct vm_file *f = file_push(k, path, "diskDescriptor", key);
	if (file_stat(k->vm, path, &st)) {
		f->size = (uint64_t)st.st_size;
		f->allocated = (uint64_t)st.st_blocks * 512;
	}
	const char *extent = extent_of(k, path, &capacity);
	if (extent != NULL && file_stat(k->vm, extent, &st)) {
		f = file_push(k, extent, "diskExtent", key);
		f->size = (uint64_t)st.st_size;
		f->allocated = (uint64_t)st.st_blocks * 512;
		f->to_come = capacity > f->allocated ? capacity - f->allocated : 0;
	}
}

static void look_all(struct look *k)
{
	const struct value *devices = vm_devices(vm_config(k->vm));

	if (k->simulated) {
		look_own_simulated(k, ".vmx", "config", SIM_VMX_SIZE);
		look_own_simulated(k, ".nvram", "nvram", SIM_NVRAM_SIZE);
	} else {
		look_own(k, arena_printf(k->a, "%s.vmx", k->base), "config");
		look_own(k, arena_printf(k->a, "%s.nvram", k->base), "nvram");
		look_own(k, arena_printf(k->a, "%s.vmsd", k->base), "snapshotList");
	}
	for (size_t i = 0; i < value_count(devices); i++) {
		const struct value *d = value_item(devices, i);
		if (vm_device_role(value_type(d)) == VM_ROLE_DISK) {
			look_disk(k, d);
		}
	}
	if (k->simulated) {
		return;
	}
	look_own(k, arena_printf(k->a, "%s.vmss", k->base), "suspend");
	look_own(k, "vmware.log", "log");
	for (int i = 0; i < MACHINE_SERIALS_MAX; i++) {
		look_own(k, arena_printf(k->a, "serial%d.log", i), "log");
	}
}

const struct vm_files *vm_files_of(struct vm *vm)
{
	if (vm->files != NULL) {
		return vm->files;
	}
	struct vm_files *files = mem_zalloc(sizeof(*files));
	struct look k = { .vm = vm, .files = files, .a = arena_new(0) };
	const char *path = vm_path(vm), *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
	if (slash != NULL && dot > slash) {
		k.folder = arena_strndup(k.a, path, (size_t)(slash - path));
		k.base = arena_strndup(k.a, slash + 1, (size_t)(dot - slash - 1));
		k.simulated = vm->layer->host->simulated && !vm->has_files;
		look_all(&k);
	}
	files->seen_us = clock_wall_us(vm->layer->host->clock);
	arena_free(k.a);
	vm->files = files;
	return files;
}

void vm_files_forget(struct vm *vm)
{
	if (vm->files == NULL) {
		return;
	}
	for (size_t i = 0; i < vm->files->n; i++) {
		free(vm->files->items[i].path);
	}
	free(vm->files->items);
	free(vm->files);
	vm->files = NULL;
}

/* Simulated VMs are many: only of the last one that was looked at the files are remembered, for
 * clients ask for several properties of each VM in turn. */
static void looked(struct vm *vm)
{
	struct vm_layer *l = vm->layer;

	if (!l->host->simulated || vm->has_files || l->last_looked == vm) {
		return;
	}
	if (l->last_looked != NULL) {
		vm_files_forget(l->last_looked);
	}
	l->last_looked = vm;
}

/* ---- showing ---- */

struct value *vm_layout(struct vm *vm, struct arena *a)
{
	const struct vm_files *files = vm_files_of(vm);
	struct value *l = value_new(a, T_VirtualMachineFileLayout);
	struct value *config = value_new_array(a, T_string), *logs = value_new_array(a, T_string);
	struct value *disks = value_new_array(a, T_VirtualMachineFileLayoutDiskLayout);
	struct value *disk = NULL, *names = NULL;
	int32_t key = 0;

	for (size_t i = 0; i < files->n; i++) {
		const struct vm_file *f = &files->items[i];
		const char *slash = strrchr(f->path, '/');
		const char *name = slash == NULL ? f->path : slash + 1;
		if (strcmp(f->type, "log") == 0) {
			value_push_str(a, logs, name);
		} else if (f->disk == 0) {
			value_push_str(a, config, name);
		} else {
			if (f->disk != key) {
				key = f->disk;
				disk = value_new(a, T_VirtualMachineFileLayoutDiskLayout);
				names = value_new_array(a, T_string);
				value_set_num(a, disk, F_VirtualMachineFileLayoutDiskLayout_key,
					      key);
				value_set(a, disk, F_VirtualMachineFileLayoutDiskLayout_diskFile,
					  names);
				value_push(a, disks, disk);
			}
			value_push_str(a, names, f->path);
		}
	}
	looked(vm);
	value_set(a, l, F_VirtualMachineFileLayout_configFile, config);
	value_set(a, l, F_VirtualMachineFileLayout_logFile, logs);
	value_set(a, l, F_VirtualMachineFileLayout_disk, disks);
	return l;
}

/* Adds a file to the chain of its disk, which is the last disk so far or a new one. */
static void disk_add(struct arena *a, struct value *disks, struct value **keys, int32_t *last,
		     const struct vm_file *f, int32_t key)
{
	if (f->disk != *last) {
		struct value *disk = value_new(a, T_VirtualMachineFileLayoutExDiskLayout);
		struct value *unit = value_new(a, T_VirtualMachineFileLayoutExDiskUnit);
		struct value *chain = value_new_array(a, T_VirtualMachineFileLayoutExDiskUnit);
		*keys = value_new_array(a, T_int);
		*last = f->disk;
		value_set_num(a, disk, F_VirtualMachineFileLayoutExDiskLayout_key, f->disk);
		value_set(a, unit, F_VirtualMachineFileLayoutExDiskUnit_fileKey, *keys);
		value_push(a, chain, unit);
		value_set(a, disk, F_VirtualMachineFileLayoutExDiskLayout_chain, chain);
		value_push(a, disks, disk);
	}
	value_push_num(a, *keys, key);
}

struct value *vm_layout_ex(struct vm *vm, struct arena *a)
{
	const struct vm_files *files = vm_files_of(vm);
	struct value *l = value_new(a, T_VirtualMachineFileLayoutEx);
	struct value *list = value_new_array(a, T_VirtualMachineFileLayoutExFileInfo);
	struct value *disks = value_new_array(a, T_VirtualMachineFileLayoutExDiskLayout);
	struct value *keys = NULL;
	int32_t last = 0;

	for (size_t i = 0; i < files->n; i++) {
		const struct vm_file *f = &files->items[i];
		struct value *x = value_new(a, T_VirtualMachineFileLayoutExFileInfo);
		value_set_num(a, x, FILE_INFO(key), (int64_t)i);
		value_set_str(a, x, FILE_INFO(name), f->path);
		value_set_str(a, x, FILE_INFO(type), f->type);
		/* A thin extent counts with what it takes, as elsewhere in vSphere. */
		value_set_num(
			a, x, FILE_INFO(size),
			(int64_t)(strcmp(f->type, "diskExtent") == 0 ? f->allocated : f->size));
		value_set_num(a, x, FILE_INFO(uniqueSize), (int64_t)f->allocated);
		value_set_bool(a, x, FILE_INFO(accessible), true);
		value_push(a, list, x);
		if (f->disk != 0) {
			disk_add(a, disks, &keys, &last, f, (int32_t)i);
		}
	}
	value_set(a, l, F_VirtualMachineFileLayoutEx_file, list);
	value_set(a, l, F_VirtualMachineFileLayoutEx_disk, disks);
	value_set_num(a, l, F_VirtualMachineFileLayoutEx_timestamp, files->seen_us);
	looked(vm);
	return l;
}

/* ---- per datastore ---- */

static bool same_datastore(const char *x, const char *y)
{
	const char *end = strchr(x, ']');
	size_t n = end == NULL ? 0 : (size_t)(end - x) + 1;

	return n > 0 && strncmp(x, y, n) == 0;
}

static void sum_up(const struct vm_files *files, const char *like, int64_t *committed,
		   int64_t *to_come)
{
	*committed = *to_come = 0;
	for (size_t i = 0; i < files->n; i++) {
		const struct vm_file *f = &files->items[i];
		if (like == NULL || same_datastore(like, f->path)) {
			*committed += (int64_t)f->allocated;
			*to_come += (int64_t)f->to_come;
		}
	}
}

struct value *vm_storage(struct vm *vm, struct arena *a)
{
	const struct vm_files *files = vm_files_of(vm);
	struct value *s = value_new(a, T_VirtualMachineStorageInfo);
	struct value *all = value_new_array(a, T_VirtualMachineUsageOnDatastore);

	list_each (struct host_datastore, d, &vm->layer->host->datastores, link) {
		const char *like = arena_printf(a, "[%s]", d->name);
		int64_t committed, to_come;
		sum_up(files, like, &committed, &to_come);
		bool used = false;
		for (size_t i = 0; i < files->n && !used; i++) {
			used = same_datastore(like, files->items[i].path);
		}
		if (!used) {
			continue;
		}
		struct value *u = value_new(a, T_VirtualMachineUsageOnDatastore);
		value_set(a, u, F_VirtualMachineUsageOnDatastore_datastore, d->object->ref);
		value_set_num(a, u, F_VirtualMachineUsageOnDatastore_committed, committed);
		value_set_num(a, u, F_VirtualMachineUsageOnDatastore_uncommitted, to_come);
		value_set_num(a, u, F_VirtualMachineUsageOnDatastore_unshared, committed);
		value_push(a, all, u);
	}
	value_set(a, s, F_VirtualMachineStorageInfo_perDatastoreUsage, all);
	value_set_num(a, s, F_VirtualMachineStorageInfo_timestamp, files->seen_us);
	looked(vm);
	return s;
}

struct value *vm_storage_summary(struct vm *vm, struct arena *a)
{
	const struct vm_files *files = vm_files_of(vm);
	struct value *s = value_new(a, T_VirtualMachineStorageSummary);
	int64_t committed, to_come;

	sum_up(files, NULL, &committed, &to_come);
	value_set_num(a, s, F_VirtualMachineStorageSummary_committed, committed);
	value_set_num(a, s, F_VirtualMachineStorageSummary_uncommitted, to_come);
	value_set_num(a, s, F_VirtualMachineStorageSummary_unshared, committed);
	value_set_num(a, s, F_VirtualMachineStorageSummary_timestamp, files->seen_us);
	looked(vm);
	return s;
}
