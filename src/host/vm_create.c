/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folder.CreateVM_Task.
 *
 *   plan -> vms.json names what may be left over -> files -> vms.json names the VM -> published
 *
 * Killed before the second write, the files are removed at the next start; after it, the VM is
 * there. A failure removes the files at once.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "host/vm_impl.h"
#include "vim/fault.h"

#define SPEC(f) F_VirtualMachineConfigSpec_##f

enum {
	FOLDER_TRIES = 1000,
};

struct create {
	struct vm_op op;
	struct host_datastore *store; /* of the VM's folder */
	const char *pool;	      /* its id; it may be gone by the time */
	const char *path;	      /* "[ds] dir/x.vmx" */
	const char *name;
	struct vm_plan plan;
	const struct value *planned; /* kept: what the caller gave may go meanwhile */
	const struct value *config;
	struct vm_file_work work;
	struct vm_leftover *leftover;
	struct error e;
};

/* What is found out before the task begins, for the checks of privileges need it. */
struct create_plan {
	struct vm_layer *layer;
	struct arena *a;
	const struct value *spec;
	struct host_datastore *store;
	const char *name, *path;
	const char *folder; /* to be made; NULL: it is there */
	struct vm_plan plan;
	struct vm_refusal r;
};

/* ---- the plan ---- */

static bool refuse_datastore(struct create_plan *x, const char *name)
{
	struct value *f = fault_new(x->a, T_InvalidDatastore);

	value_set_str(x->a, f, F_InvalidDatastore_name, name);
	return vm_refuse(&x->r, f, "there is no datastore \"%.100s\" on this host", name);
}

static bool refuse_path(struct create_plan *x, const char *path, const char *why)
{
	struct value *f = fault_new(x->a, T_InvalidDatastorePath);

	value_set_str(x->a, f, F_InvalidDatastorePath_datastorePath, path);
	return vm_refuse(&x->r, f, "config.files.vmPathName \"%.100s\": %s", path, why);
}

static bool plan_name(struct create_plan *x)
{
	if (!vm_name_check(x->a, value_get_str(x->spec, SPEC(name)), &x->name, &x->r)) {
		return false;
	}
	struct vm *other = vm_by_name(x->layer, x->name);
	if (other == NULL) {
		return true;
	}
	struct value *f = fault_duplicate_name(x->a, x->name, other->object);
	return vm_refuse(&x->r, f, "there is a virtual machine \"%s\" already", x->name);
}

/* A folder's name from a VM's: what file systems or clients stumble over becomes '_'. */
static const char *folder_name(struct arena *a, const char *name)
{
	char *out = arena_strdup(a, name);
	size_t n = strlen(out);

	for (char *p = out; *p != '\0'; p++) {
		if (strchr("/\\:*?\"<>|%[]", *p) != NULL) {
			*p = '_';
		}
	}
	if (out[0] == '.' || out[0] == ' ') { /* paths are read past leading spaces */
		out[0] = '_';
	}
	if (out[n - 1] == ' ') {
		out[n - 1] = '_';
	}
	return out;
}

static bool is_taken(struct create_plan *x, struct datastore *ds, const char *path)
{
	struct datastore_entry entry;
	char *full = datastore_path_format(x->store->name, path);
	size_t n = strlen(full);
	bool taken = false;

	list_each (struct vm, vm, &x->layer->vms, link) {
		const char *own = vm_path(vm);
		taken = taken || (own != NULL && strncmp(own, full, n) == 0 &&
				  (own[n] == '/' || own[n] == '\0'));
	}
	list_each (struct vm_leftover, left, &x->layer->leftovers, link) {
		taken = taken || (left->path != NULL && strncmp(left->path, full, n) == 0 &&
				  (left->path[n] == '/' || left->path[n] == '\0'));
	}
	free(full);
	if (!taken && ds != NULL && datastore_stat(ds, path, &entry, NULL)) {
		datastore_entry_fini(&entry);
		taken = true;
	}
	return taken;
}

/* The datastore's files; NULL without an error where they need not be looked at. */
static bool open_store(struct create_plan *x, struct datastore **ds, struct error *e)
{
	*ds = NULL;
	if (x->layer->host->simulated && x->store->ds == NULL) {
		return true;
	}
	*ds = host_datastore_open(x->store, e);
	return *ds != NULL;
}

/* "[ds]": a new folder named like the VM. */
static bool plan_new_folder(struct create_plan *x, struct datastore *ds, const char *in)
{
	const char *name = folder_name(x->a, x->name);
	const char *folder = name;

	for (int n = 1; n < FOLDER_TRIES; n++) {
		const char *path = in[0] == '\0' ? folder : arena_printf(x->a, "%s/%s", in, folder);
		if (!is_taken(x, ds, path)) {
			x->folder = path;
			x->path = arena_printf(x->a, "[%s] %s/%s.vmx", x->store->name, path, name);
			return true;
		}
		folder = arena_printf(x->a, "%s_%d", name, n);
	}
	return refuse_path(x, name, "no free folder name");
}

bool vm_create_place(struct vm_layer *l, struct arena *a, struct host_datastore *d,
		     struct vm_place *place, struct vm_refusal *r)
{
	struct create_plan x = { .layer = l, .a = a, .store = d, .name = place->name };
	struct datastore *ds;
	struct error e;

	if (!open_store(&x, &ds, &e)) {
		return vm_refuse(r, fault_from_error(a, &e), "%s", e.msg);
	}
	if (!plan_new_folder(&x, ds, "")) {
		*r = x.r;
		return false;
	}
	place->folder = x.folder;
	place->path = x.path;
	return true;
}

/* "[ds] dir/x.vmx": just there. */
static bool plan_given_file(struct create_plan *x, struct datastore *ds, const char *path)
{
	const char *slash = strrchr(path, '/');

	x->path = arena_printf(x->a, "[%s] %s", x->store->name, path);
	if (slash == NULL) {
		return refuse_path(x, x->path, "a VM lives in a folder");
	}
	if (is_taken(x, ds, path)) {
		struct value *f = fault_new(x->a, T_FileAlreadyExists);
		value_set_str(x->a, f, F_FileFault_file, x->path);
		return vm_refuse(&x->r, f, "\"%s\" exists already", x->path);
	}
	const char *folder = arena_strndup(x->a, path, (size_t)(slash - path));
	struct datastore_entry entry;
	if (ds == NULL || datastore_stat(ds, folder, &entry, NULL)) {
		if (ds != NULL) {
			datastore_entry_fini(&entry);
		}
		return true;
	}
	x->folder = folder;
	return true;
}

static bool plan_path(struct create_plan *x)
{
	const char *given = value_get_str(value_get_value(x->spec, SPEC(files)),
					  F_VirtualMachineFileInfo_vmPathName);
	struct datastore_path at;
	struct datastore *ds;
	struct error e;

	if (given == NULL || given[0] == '\0') {
		struct value *f = fault_new(x->a, T_InvalidVmConfig);
		value_set_str(x->a, f, F_InvalidVmConfig_property, "configSpec.files.vmPathName");
		return vm_refuse(&x->r, f,
				 "config.files.vmPathName must name a datastore: \"[name]\"");
	}
	if (!datastore_path_parse(given, &at, &e)) {
		return refuse_path(x, given, e.msg);
	}
	x->store = host_datastore_find(x->layer->host, at.datastore);
	if (x->store == NULL) {
		return refuse_datastore(x, at.datastore);
	}
	if (!open_store(x, &ds, &e)) {
		return vm_refuse(&x->r, fault_from_error(x->a, &e), "%s", e.msg);
	}
	size_t n = strlen(at.path);
	return n > 4 && strcmp(at.path + n - 4, ".vmx") == 0 ? plan_given_file(x, ds, at.path)
							     : plan_new_folder(x, ds, at.path);
}

static bool plan_all(struct create_plan *x)
{
	struct vm_env env = host_vm_env(x->layer->host, VM_STRICT);
	struct error e;

	if (!plan_name(x) || !plan_path(x)) {
		return false;
	}
	if (!host_accepts_vms(x->layer->host, &e)) {
		return vm_refuse(&x->r, fault_from_error(x->a, &e), "%s", e.msg);
	}
	if (!vm_config_create(x->a, x->spec, x->path, &env, &x->plan, &x->r)) {
		return false;
	}
	if (!vm_uuid_is_free(x->layer, x->plan.config, NULL, x->a, &x->r)) {
		vm_plan_fini(&x->plan);
		return false;
	}
	return true;
}

/* ---- privileges beyond the one on the folder ---- */

static bool may_create(struct call *c, const struct create_plan *x, struct object *pool)
{
	return call_require(c, pool, "Resource.AssignVMToPool") &&
	       call_require(c, x->store->object, "Datastore.AllocateSpace") &&
	       vm_call_may_use_networks(c, x->layer->host, vm_devices(x->plan.config));
}

/* ---- the way ---- */

static void create_end(struct create *x)
{
	vm_plan_fini(&x->plan);
	buf_free(&x->work.vmx);
	value_drop(x->planned);
}

static void create_failed(struct create *x, const struct error *e, const char *file)
{
	vm_leftover_free(x->leftover);
	vm_store_save(x->op.layer, NULL);
	if (x->op.vm != NULL) {
		struct vm *vm = x->op.vm;
		x->op.vm = NULL;
		vm_free(vm);
	}
	create_end(x);
	vm_op_fail_file(&x->op, e, file);
}

static bool undo_run(void *data, struct progress *p, struct error *e)
{
	(void)p, (void)e;
	vm_file_work_undo(data);
	return true;
}

static void create_undone(void *arg, const struct error *e)
{
	struct create *x = arg;

	(void)e;
	create_failed(x, &x->e, x->path);
}

static void create_publish(struct create *x)
{
	struct vm *vm = x->op.vm;
	const struct value *ref;

	vm_publish(&vm, &x->config, 1, vm_pool(vm->layer, x->pool));
	vm->op = &x->op;
	if (vm->layer->host->simulated && x->store->ds != NULL) {
		vm_materialise(vm);
	}
	vm_event_plain(vm, &x->op, T_VmCreatedEvent, "is created");
	host_datastore_refresh(x->store);
	ref = value_hold(vm->object->ref);
	create_end(x);
	vm_op_done(&x->op, ref);
	value_drop(ref);
}

/* The VM's name is on disk, or could not be brought there. */
static void create_saved(void *arg, const struct error *e)
{
	struct create *x = arg;

	if (e == NULL) {
		create_publish(x);
		return;
	}
	struct job_work work = { .run = undo_run, .data = &x->work, .is_brief = true };
	struct job_handler h = { .loop = x->op.layer->host->loop, .done = create_undone, .arg = x };
	x->e = *e;
	x->op.vm->leaving = true;
	job_start(&h, &work);
}

static void create_files_made(void *arg, const struct error *e)
{
	struct create *x = arg;

	task_set_cancel(x->op.task, NULL, NULL);
	if (e != NULL) {
		const char *file = x->work.failed;
		create_failed(x, e, file == NULL || file[0] != '[' ? x->path : file);
		return;
	}
	x->config = vm_config_with_uuids(x->op.arena, x->planned, &x->work);
	x->op.vm->leaving = false;
	vm_leftover_free(x->leftover);
	x->leftover = NULL;
	x->op.save = (struct vm_save){ .done = create_saved, .arg = x };
	vm_store_save(x->op.layer, &x->op.save);
}

static void create_progress(void *arg, uint64_t done, uint64_t total)
{
	struct create *x = arg;

	if (total > 0) {
		task_progress(x->op.task, (int)(done * 95 / total));
	}
}

static void create_cancel(void *arg)
{
	job_cancel(arg);
}

static void create_files(void *arg, const struct error *e)
{
	struct create *x = arg;

	if (e != NULL) {
		create_failed(x, e, x->path);
		return;
	}
	struct job_work work = { .run = vm_file_work_run, .data = &x->work, .is_brief = true };
	struct job_handler h = { .loop = x->op.layer->host->loop,
				 .progress = create_progress,
				 .done = create_files_made,
				 .arg = x };
	task_set_cancel(x->op.task, create_cancel, job_start(&h, &work));
}

/* The files of a simulated VM are made when somebody looks. */
static void create_simulated(struct create *x)
{
	x->config = x->planned;
	x->op.vm->leaving = false;
	create_publish(x);
}

static void create_begin(struct create *x, const struct create_plan *p)
{
	struct vm_layer *l = x->op.layer;
	const char *file = NULL;
	struct error e = { 0 };

	x->op.vm = vm_new(l, ++l->last_id, l->host->simulated ? NULL : x->path, x->name);
	x->op.vm->op = &x->op;
	x->op.vm->leaving = true; /* until its files are there */
	vm_op_hold(&x->op, x->store);
	if (l->host->simulated) {
		create_simulated(x);
		return;
	}
	x->op.vm->pool = mem_strdup(x->pool);
	x->work.ds = host_datastore_open(x->store, &e);
	x->work.folder = p->folder;
	x->work.vmx_path = strchr(x->path, ']') + 2;
	x->work.vmx_is_new = true;
	vm_config_text(x->planned, &x->work.vmx);
	if (x->work.ds == NULL || !vm_file_work_disks(&x->op, &x->plan, &x->work, &file, &e)) {
		create_failed(x, &e, file == NULL ? x->path : file);
		return;
	}
	x->leftover = vm_leftover_new(l, x->path);
	for (size_t i = 0; i < x->work.n_disks; i++) {
		if (x->work.disks[i].op.action == VM_DISK_CREATE) {
			vm_leftover_add(x->leftover, x->work.disks[i].op.path);
		}
	}
	x->op.save = (struct vm_save){ .done = create_files, .arg = x };
	vm_store_save(l, &x->op.save);
}

static void create_vm(struct call *c)
{
	struct vm_layer *l = call_arg(c);
	bool ok;
	struct object *pool = call_object(c, A_Folder_CreateVM_Task_pool, T_ResourcePool, &ok);

	if (!ok || !vm_call_names_host(c, l->host, A_Folder_CreateVM_Task_host)) {
		return;
	}
	if (c->self != l->host->vm_folder) {
		call_fault(c, fault_new(c->arena, T_NotSupported),
			   "folder \"%s\" does not hold virtual machines", object_id(c->self));
		return;
	}
	struct create_plan p = { .layer = l,
				 .a = c->arena,
				 .spec = value_get_value(c->args, A_Folder_CreateVM_Task_config) };
	bool good = plan_all(&p);
	if (good && !may_create(c, &p, pool)) {
		vm_plan_fini(&p.plan);
		return;
	}
	struct create *x = vm_op_begin(c, l, NULL, sizeof(*x));
	if (!good) {
		vm_op_refused(&x->op, &p.r);
		return;
	}
	x->store = p.store;
	x->pool = arena_strdup(x->op.arena, object_id(pool));
	x->path = p.path;
	x->name = p.name;
	x->plan = p.plan;
	x->planned = value_keep(p.plan.config);
	create_begin(x, &p);
}

void vm_create_register(struct vm_layer *l)
{
	service_handle(l->host->api.service, T_Folder, M_Folder_CreateVM_Task, create_vm, l);
}
