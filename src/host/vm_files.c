/* SPDX-License-Identifier: Apache-2.0 */
/* Making and removing the files of a VM; on a worker, but for what is said to be otherwise. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/datastore_files.h"
#include "host/vm_device.h"
#include "host/vm_impl.h"

LOG_MODULE("vm");

void vm_config_text(const struct value *config, struct buf *out)
{
	struct vmx *vmx = vm_config_to_vmx(config);

	vmx_write(vmx, out);
	vmx_free(vmx);
}

/* Folder part of "dir/name", "" where there is none; in `out`. */
static const char *parent_of(const char *path, char out[DATASTORE_PATH_MAX + 1])
{
	const char *slash = strrchr(path, '/');

	snprintf(out, DATASTORE_PATH_MAX + 1, "%.*s", slash == NULL ? 0 : (int)(slash - path),
		 path);
	return out;
}

/* Removes the folder when it is empty; otherwise nothing happens. */
static void remove_empty_folder(const struct datastore *ds, const char *folder)
{
	const char *name;

	if (folder[0] == '\0') {
		return;
	}
	int dir = file_open_parent_beneath(datastore_root(ds), folder, &name, NULL);
	if (dir >= 0) {
		if (unlinkat(dir, name, AT_REMOVEDIR) == 0) {
			file_sync_dir(dir, folder, NULL);
		}
		close(dir);
	}
}

/* ---- making ---- */

static bool file_failed(struct vm_file_work *w, const char *ds_path)
{
	w->failed = ds_path;
	return false;
}

static bool disk_make(struct vm_disk_work *d, struct progress *p, struct error *e)
{
	struct disk_place at = { .datastore = d->ds, .path = d->path };
	struct disk_spec spec = { .capacity = d->op.capacity,
				  .format = d->op.format,
				  .adapter_type = d->op.adapter_type };
	char folder[DATASTORE_PATH_MAX + 1];
	struct datastore_entry entry;
	struct disk_info info;

	parent_of(d->path, folder);
	if (folder[0] != '\0' && !datastore_stat(d->ds, folder, &entry, NULL)) {
		if (!datastore_make_folder(d->ds, folder, true, e)) {
			return false;
		}
		d->made = d->path; /* its parent is new */
	} else if (folder[0] != '\0') {
		datastore_entry_fini(&entry);
	}
	if (!disk_create(&at, &spec, p, e)) {
		return false;
	}
	d->done = true;
	if (disk_query(&at, &info, NULL)) {
		snprintf(d->uuid, sizeof(d->uuid), "%s", info.uuid);
	}
	return true;
}

static bool disk_step(struct vm_disk_work *d, struct progress *p, struct error *e)
{
	struct disk_place at = { .datastore = d->ds, .path = d->path };

	if (d->op.action == VM_DISK_CREATE) {
		return disk_make(d, p, e);
	}
	if (d->op.action == VM_DISK_EXTEND) {
		return disk_extend(&at, d->op.capacity, false, p, e);
	}
	return true; /* what is to be deleted goes when all else is done: vm_removal_run() */
}

static bool vmx_step(struct vm_file_work *w, struct error *e)
{
	struct file_content c = { .data = w->vmx.data, .n = w->vmx.len, .mode = 0644 };
	struct datastore_entry entry;

	if (w->vmx_is_new && datastore_stat(w->ds, w->vmx_path, &entry, NULL)) {
		datastore_entry_fini(&entry);
		return error_set(e, ERROR_EXISTS, "\"%s\" exists already", w->vmx_path);
	}
	if (!datastore_has_room(w->ds, w->vmx.len, e) ||
	    !place_write(datastore_root(w->ds), w->vmx_path, &c, e)) {
		return false;
	}
	w->made_vmx = w->vmx_is_new;
	return true;
}

static bool work_steps(struct vm_file_work *w, struct progress *p, struct error *e)
{
	if (w->folder != NULL) {
		if (!datastore_make_folder(w->ds, w->folder, false, e)) {
			return file_failed(w, w->folder);
		}
		w->made_folder = true;
	}
	for (size_t i = 0; i < w->n_disks; i++) {
		if (!disk_step(&w->disks[i], p, e)) {
			return file_failed(w, w->disks[i].op.path);
		}
		if (p != NULL && !progress_go_on(p, e)) {
			return file_failed(w, w->disks[i].op.path);
		}
	}
	return w->vmx_path == NULL || vmx_step(w, e) || file_failed(w, w->vmx_path);
}

void vm_file_work_undo(struct vm_file_work *w)
{
	char folder[DATASTORE_PATH_MAX + 1];

	if (w->made_vmx) {
		datastore_delete(w->ds, w->vmx_path, NULL, NULL);
	}
	for (size_t i = w->n_disks; i > 0; i--) {
		struct vm_disk_work *d = &w->disks[i - 1];
		struct disk_place at = { .datastore = d->ds, .path = d->path };
		if (d->op.action == VM_DISK_CREATE && d->done) {
			disk_delete(&at, NULL, NULL);
		}
		if (d->made != NULL) {
			remove_empty_folder(d->ds, parent_of(d->path, folder));
		}
	}
	if (w->made_folder) {
		remove_empty_folder(w->ds, w->folder);
	}
	w->made_vmx = w->made_folder = false;
}

bool vm_file_work_run(void *data, struct progress *p, struct error *e)
{
	struct vm_file_work *w = data;

	if (work_steps(w, p, e)) {
		return true;
	}
	vm_file_work_undo(w);
	return false;
}

/* Loop's thread. */
bool vm_file_work_disks(struct vm_op *op, const struct vm_plan *plan, struct vm_file_work *w,
			const char **file, struct error *e)
{
	w->n_disks = plan->disk_ops.n;
	w->disks = arena_alloc(op->arena, (w->n_disks + 1) * sizeof(*w->disks));
	for (size_t i = 0; i < w->n_disks; i++) {
		struct vm_disk_work *d = &w->disks[i];
		struct datastore_path at;
		d->op = plan->disk_ops.items[i];
		*file = d->op.path;
		struct host_datastore *hd =
			host_datastore_of_path(op->layer->host, d->op.path, &at, e);
		d->ds = hd == NULL ? NULL : host_datastore_open(hd, e);
		if (d->ds == NULL || !vm_op_claim(op, d->op.path, e)) {
			return false;
		}
		d->path = arena_strdup(op->arena, at.path);
		vm_op_hold(op, hd);
	}
	return true;
}

/* Loop's thread. */
const struct value *vm_config_with_uuids(struct arena *a, const struct value *plan,
					 const struct vm_file_work *work)
{
	const struct value *devices = vm_devices(plan);
	struct value *all = value_new_array(a, T_VirtualDevice);

	for (size_t i = 0; i < value_count(devices); i++) {
		const struct value *d = value_item(devices, i);
		const struct value *b = value_get_value(d, F_VirtualDevice_backing);
		const char *path =
			value_is_a(b, T_VirtualDiskFlatVer2BackingInfo)
				? value_get_str(b, F_VirtualDeviceFileBackingInfo_fileName)
				: NULL;
		for (size_t k = 0; path != NULL && k < work->n_disks; k++) {
			const struct vm_disk_work *w = &work->disks[k];
			if (w->uuid[0] != '\0' && strcmp(w->op.path, path) == 0) {
				struct value *disk = value_edit(a, d), *back = value_edit(a, b);
				value_set_str(a, back, F_VirtualDiskFlatVer2BackingInfo_uuid,
					      w->uuid);
				value_set(a, disk, F_VirtualDevice_backing, back);
				d = disk;
			}
		}
		value_push(a, all, d);
	}
	struct value *config = value_edit(a, plan);
	struct value *hw =
		value_edit(a, value_get_value(config, F_VirtualMachineConfigInfo_hardware));
	value_set(a, hw, F_VirtualHardware_device, all);
	value_set(a, config, F_VirtualMachineConfigInfo_hardware, hw);
	return config;
}

/* ---- removing ---- */

/* Is `name` a file that a VM with this base name ("x" of x.vmx) has for itself? */
static bool is_own_file(const char *name, const char *base, bool ran)
{
	static const char *const endings[] = { ".vmx",	".vmxf",      ".vmsd", ".nvram",
					       ".vmss", ".vmss.part", ".vswp", ".vmx.lck" };
	size_t n = strlen(base);

	if (strncmp(name, base, n) == 0) {
		for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
			if (strcmp(name + n, endings[i]) == 0) {
				return true;
			}
		}
	}
	if (ran && strcmp(name, "vmware.log") == 0) {
		return true;
	}
	return ran && strncmp(name, "serial", 6) == 0 && name[6] >= '0' && name[6] <= '9' &&
	       (strcmp(name + 7, ".log") == 0 || strcmp(name + 7, ".log.1") == 0 ||
		strcmp(name + 7, ".sock") == 0);
}

/* The .vmx goes last: until then the folder still says what it is. */
static bool remove_own(struct vm_removal *r, const char *folder, const char *base, struct error *e)
{
	struct datastore_search all = { .n_patterns = 0 };
	struct datastore_results found = { 0 };
	char vmx[300];
	bool ok = true;

	if (!datastore_search(r->ds, folder, &all, &found, NULL, e)) {
		return e->kind == ERROR_NOT_FOUND;
	}
	snprintf(vmx, sizeof(vmx), "%s.vmx", base);
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; found.n_folders > 0 && i < found.folders[0].n_entries; i++) {
			const struct datastore_entry *x = &found.folders[0].entries[i];
			if (x->is_folder || !is_own_file(x->name, base, r->ran) ||
			    (strcmp(x->name, vmx) == 0) != (pass == 1)) {
				continue;
			}
			char *path = folder[0] == '\0' ? mem_strdup(x->name)
						       : mem_printf("%s/%s", folder, x->name);
			ok = datastore_delete(r->ds, path, NULL, e) && ok;
			free(path);
		}
	}
	datastore_results_free(&found);
	return ok;
}

bool vm_removal_run(void *data, struct progress *p, struct error *e)
{
	struct vm_removal *r = data;
	struct error one = { 0 };
	bool ok = true;
	char folder[DATASTORE_PATH_MAX + 1], own[DATASTORE_PATH_MAX + 1];

	(void)p;
	for (size_t i = 0; i < r->n_disks; i++) {
		struct disk_place at = { .datastore = r->disks[i].ds, .path = r->disks[i].path };
		if (!disk_delete(&at, NULL, &one) && one.kind != ERROR_NOT_FOUND) {
			*e = one;
			ok = false;
		}
		if (r->ds != NULL && r->disks[i].ds != r->ds &&
		    strcmp(parent_of(r->disks[i].path, folder), parent_of(r->path, own)) == 0) {
			remove_empty_folder(r->disks[i].ds, folder);
		}
	}
	if (r->ds == NULL) {
		return ok;
	}
	const char *slash = strrchr(r->path, '/');
	const char *name = slash == NULL ? r->path : slash + 1, *dot = strrchr(name, '.');
	char base[256];
	snprintf(base, sizeof(base), "%.*s", dot == NULL ? (int)strlen(name) : (int)(dot - name),
		 name);
	if (!remove_own(r, parent_of(r->path, folder), base, &one)) {
		*e = one;
		ok = false;
	}
	remove_empty_folder(r->ds, folder);
	return ok;
}

/* ---- after an interruption (loop's thread, at start) ---- */

bool vm_disk_is_registered(struct vm_layer *l, const char *ds_path)
{
	list_each (struct vm, vm, &l->vms, link) {
		const struct value *devices = vm->leaving ? NULL : vm_devices(vm_config(vm));
		for (size_t i = 0; i < value_count(devices); i++) {
			const struct value *b =
				value_get_value(value_item(devices, i), F_VirtualDevice_backing);
			const char *used =
				value_is_a(b, T_VirtualDeviceFileBackingInfo)
					? value_get_str(b, F_VirtualDeviceFileBackingInfo_fileName)
					: NULL;
			if (used != NULL && strcmp(used, ds_path) == 0) {
				return true;
			}
		}
	}
	return false;
}

void vm_leftover_clean(struct vm_layer *l, struct vm_leftover *x)
{
	struct vm_removal r = { .ran = x->ran };
	struct vm_disk_work *disks = mem_calloc(x->n_disks + 1, sizeof(*disks));
	struct datastore_path *at = mem_calloc(x->n_disks + 1, sizeof(*at));
	struct error e = { 0 };

	for (size_t i = 0; i < x->n_disks; i++) {
		struct host_datastore *d =
			host_datastore_of_path(l->host, x->disks[i], &at[i], NULL);
		struct datastore *ds = d == NULL ? NULL : host_datastore_open(d, NULL);
		if (ds != NULL && !vm_disk_is_registered(l, x->disks[i])) {
			disks[r.n_disks++] = (struct vm_disk_work){ .ds = ds, .path = at[i].path };
		}
	}
	if (x->path != NULL && vm_by_path(l, x->path) == NULL) {
		struct datastore_path *own = &at[x->n_disks];
		struct host_datastore *d = host_datastore_of_path(l->host, x->path, own, NULL);
		r.ds = d == NULL ? NULL : host_datastore_open(d, NULL);
		r.path = own->path;
	}
	r.disks = disks;
	if (!vm_removal_run(&r, NULL, &e)) {
		log_warn("what an interrupted operation left of \"%s\" could not be removed: %s",
			 x->path == NULL ? "a disk" : x->path, e.msg);
	}
	free(disks);
	free(at);
}
