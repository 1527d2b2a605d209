/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STATE/vms.json: which VMs are registered, and what is to be cleaned up after an interruption.
 *
 *   { "last_id": 4,
 *     "vms": [ { "id": 1, "path": "[ds] a/a.vmx", "name": "a", "pool": "ha-root-pool" } ],
 *     "leftovers": [ { "path": "[ds] b/b.vmx", "ran": false, "disks": [ "[ds] b/b.vmdk" ] } ] }
 *
 * It is replaced as a whole, on a worker. Who asks while a write is under way waits for the next
 * one, which serves all that asked meanwhile:
 *
 *   idle -vm_store_save()-> writing -done, nobody asked-> idle
 *                           writing -done, somebody asked-> writing
 *
 * 1. `saving` are those whom the write under way serves; what it writes is what held when it began.
 * 2. `is_dirty` means that something changed after that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/vm_impl.h"

LOG_MODULE("vm");

enum {
	STORE_FILE_MAX = 64 << 20,
	LEFTOVER_DISKS_MAX = 1024,
};

struct store_write {
	struct vm_layer *layer;
	char *path;
	struct buf text;
};

/* ---- leftovers ---- */

struct vm_leftover *vm_leftover_new(struct vm_layer *l, const char *path)
{
	struct vm_leftover *x = mem_zalloc(sizeof(*x));

	x->path = path == NULL ? NULL : mem_strdup(path);
	list_push_back(&l->leftovers, &x->link);
	return x;
}

void vm_leftover_add(struct vm_leftover *x, const char *disk)
{
	x->disks = mem_realloc_array(x->disks, x->n_disks + 1, sizeof(char *));
	x->disks[x->n_disks++] = mem_strdup(disk);
}

void vm_leftover_free(struct vm_leftover *x)
{
	if (x == NULL) {
		return;
	}
	for (size_t i = 0; i < x->n_disks; i++) {
		free(x->disks[i]);
	}
	list_remove(&x->link);
	free(x->disks);
	free(x->path);
	free(x);
}

/* ---- writing ---- */

static struct json_object *vm_json(const struct vm *vm)
{
	struct json_object *o = json_object_new_object();
	const char *pool = vm->object == NULL
				   ? vm->pool
				   : object_get_str(vm->object, P_VirtualMachine_resourcePool);

	json_put_u64(o, "id", vm->id);
	json_put_str(o, "path", vm_path(vm));
	json_put_str(o, "name", vm_name(vm));
	if (pool != NULL) {
		json_put_str(o, "pool", pool);
	}
	return o;
}

static struct json_object *leftover_json(const struct vm_leftover *x)
{
	struct json_object *o = json_object_new_object();
	struct json_object *disks = json_object_new_array();

	if (x->path != NULL) {
		json_put_str(o, "path", x->path);
		json_put_bool(o, "ran", x->ran);
	}
	for (size_t i = 0; i < x->n_disks; i++) {
		json_object_array_add(disks, json_new_str(x->disks[i]));
	}
	json_put(o, "disks", disks);
	return o;
}

static void store_text(struct vm_layer *l, struct buf *out)
{
	struct json_object *doc = json_object_new_object();
	struct json_object *vms = json_object_new_array(), *left = json_object_new_array();

	list_each (struct vm, vm, &l->vms, link) {
		if (!vm->leaving) {
			json_object_array_add(vms, vm_json(vm));
		}
	}
	list_each (struct vm_leftover, x, &l->leftovers, link) {
		json_object_array_add(left, leftover_json(x));
	}
	json_put_u64(doc, "last_id", l->last_id);
	json_put(doc, "vms", vms);
	json_put(doc, "leftovers", left);
	json_add_text(out, doc);
	buf_addc(out, '\n');
	json_object_put(doc);
}

/* All of `from`, to the empty list `to`. */
static void list_move(struct list *from, struct list *to)
{
	struct list_node *n;

	list_init(to);
	while ((n = list_pop_front(from)) != NULL) {
		list_push_back(to, n);
	}
}

static bool write_run(void *data, struct progress *p, struct error *e)
{
	struct store_write *w = data;

	(void)p;
	return file_write_atomic(w->path, w->text.data, w->text.len, 0600, e);
}

static void write_release(void *data)
{
	struct store_write *w = data;

	buf_free(&w->text);
	free(w->path);
	free(w);
}

static void write_start(struct vm_layer *l);

static void write_done(void *arg, const struct error *e)
{
	struct store_write *w = arg;
	struct vm_layer *l = w->layer;
	struct list served;

	if (e != NULL) {
		log_error("the list of virtual machines could not be saved: %s", e->msg);
	}
	list_move(&l->saving, &served);
	l->is_saving = false;
	if (l->is_dirty) {
		write_start(l);
	}
	struct list_node *n;
	while ((n = list_pop_front(&served)) != NULL) {
		struct vm_save *s = CONTAINER_OF(n, struct vm_save, link);
		s->done(s->arg, e);
	}
}

static void write_start(struct vm_layer *l)
{
	struct store_write *w = mem_zalloc(sizeof(*w));
	struct job_work work = {
		.run = write_run, .release = write_release, .data = w, .is_brief = true
	};
	struct job_handler handler = { .loop = l->host->loop, .done = write_done, .arg = w };

	w->layer = l;
	w->path = mem_printf("%s/vms.json", l->host->state);
	store_text(l, &w->text);
	list_move(&l->waiting, &l->saving);
	l->is_saving = true;
	l->is_dirty = false;
	job_start(&handler, &work);
}

void vm_store_save(struct vm_layer *l, struct vm_save *w)
{
	if (l->host->state == NULL || l->host->simulated) {
		if (w != NULL) {
			w->done(w->arg, NULL);
		}
		return;
	}
	if (w != NULL) {
		list_push_back(&l->waiting, &w->link);
	}
	l->is_dirty = true;
	if (!l->is_saving) {
		write_start(l);
	}
}

void vm_store_finish(struct vm_layer *l)
{
	while (l->is_saving) {
		uv_run(l->host->loop, UV_RUN_ONCE);
	}
}

/* ---- reading ---- */

static bool read_vm(struct vm_layer *l, const struct json_at *at, struct error *e)
{
	const char *path, *name, *pool = NULL;
	struct datastore_path where;
	uint32_t id;

	if (!json_get_u32(at, "id", &id, e) || !json_get_str(at, "path", &path, e) ||
	    !json_get_str(at, "name", &name, e) ||
	    (json_has(at, "pool") && !json_get_str(at, "pool", &pool, e))) {
		return false;
	}
	struct vm *last = list_entry(list_back(&l->vms), struct vm, link);
	if (id == 0 || (last != NULL && id <= last->id)) {
		return json_error(at, e, "ids must grow, %u does not", id);
	}
	if (!datastore_path_parse(path, &where, e) || strchr(path, '/') == NULL) {
		return json_error(at, e, "\"%.200s\" is not the path of a VM", path);
	}
	struct vm *vm = vm_new(l, id, path, name);
	vm->pool = pool == NULL ? NULL : mem_strdup(pool);
	l->last_id = MAX(l->last_id, id);
	return true;
}

static bool read_leftover(struct vm_layer *l, const struct json_at *at, struct error *e)
{
	const char *path = NULL, *disk;
	struct json_at disks;
	bool ran = false;

	if ((json_has(at, "path") && !json_get_str(at, "path", &path, e)) ||
	    (json_has(at, "ran") && !json_get_bool(at, "ran", &ran, e)) ||
	    !json_get_array(at, "disks", &disks, e)) {
		return false;
	}
	struct vm_leftover *x = vm_leftover_new(l, path);
	x->ran = ran;
	for (size_t i = 0; i < json_array_n(&disks) && i < LEFTOVER_DISKS_MAX; i++) {
		struct json_at item = json_item(&disks, i);
		if (!json_as_str(&item, &disk, e)) {
			return false;
		}
		vm_leftover_add(x, disk);
	}
	return true;
}

static bool read_all(struct vm_layer *l, const struct json_at *root, struct error *e)
{
	struct json_at vms, left;
	uint32_t last;

	if (!json_get_u32(root, "last_id", &last, e) || !json_get_array(root, "vms", &vms, e) ||
	    !json_get_array(root, "leftovers", &left, e)) {
		return false;
	}
	for (size_t i = 0; i < json_array_n(&vms); i++) {
		struct json_at item = json_item(&vms, i);
		if (!read_vm(l, &item, e)) {
			return false;
		}
	}
	for (size_t i = 0; i < json_array_n(&left); i++) {
		struct json_at item = json_item(&left, i);
		if (!read_leftover(l, &item, e)) {
			return false;
		}
	}
	l->last_id = MAX(l->last_id, last);
	return true;
}

bool vm_store_load(struct vm_layer *l, struct error *e)
{
	struct error why = { 0 };

	if (l->host->state == NULL || l->host->simulated) {
		return true;
	}
	char *path = mem_printf("%s/vms.json", l->host->state);
	struct json_object *doc = json_parse_file(path, STORE_FILE_MAX, &why);
	bool ok = doc != NULL || why.kind == ERROR_NOT_FOUND;
	if (doc != NULL) {
		struct json_at root = json_root(doc);
		ok = read_all(l, &root, &why);
		json_object_put(doc);
	}
	if (!ok) {
		/* Going on would forget VMs at the next write. */
		if (e != NULL) {
			*e = why;
		}
		error_prefix(e, "\"%s\": ", path);
	}
	free(path);
	return ok;
}
