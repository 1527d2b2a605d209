/* SPDX-License-Identifier: Apache-2.0 */
/* FileManager (vSphere API): folders and files of datastores by path. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "host/file_op.h"
#include "vim/fault.h"

#define MANAGE	  "Datastore.FileManagement"
#define ARG(m, a) A_FileManager_##m##_##a

static bool is_disk(const char *path)
{
	size_t n = strlen(path);

	return n > 5 && strcmp(path + n - 5, ".vmdk") == 0;
}

static bool is_root(const struct file_place *p, struct error *e)
{
	return p->at.path[0] != '\0' ||
	       error_set(e, ERROR_NAME, "\"%s\" is the datastore itself", p->ds_path);
}

/* Deleting, copying or moving "x.vmdk" takes the data along where it is a disk that can be read;
 * any other file is just that. */
static bool disk_is_whole(const struct file_op *op)
{
	struct disk_place at = file_op_disk(op, 0);
	struct disk_info info;

	return is_disk(at.path) && disk_query(&at, &info, NULL);
}

/* ---- folders ---- */

static void make_directory(struct call *c)
{
	static const struct file_arg where = { ARG(MakeDirectory, name),
					       ARG(MakeDirectory, datacenter), MANAGE };
	struct host *h = call_arg(c);
	struct file_place p;
	struct error e;

	if (!file_place_find(&p, c, h, &where)) {
		return;
	}
	bool parents = value_get_bool(c->args, ARG(MakeDirectory, createParentDirectories), false);
	if (p.at.path[0] == '\0') {
		error_set(&e, ERROR_EXISTS, "\"%s\" exists already", p.ds_path);
		call_file_error(c, &e, p.ds_path);
	} else if (!datastore_make_folder(p.ds, p.at.path, parents, &e)) {
		call_file_error(c, &e, p.ds_path);
	} else {
		call_return(c, NULL);
	}
	file_place_fini(&p);
}

/* ---- delete ---- */

static void delete_start(struct file_op *op)
{
	struct error e;

	if (!is_root(&op->places[0], &e)) {
		file_op_fail(op, &e);
		return;
	}
	struct job_handler handler = file_op_handler(op);
	if (disk_is_whole(op)) {
		struct disk_place at = file_op_disk(op, 0);
		op->job = disk_delete_start(&at, &handler);
	} else {
		op->job = datastore_delete_start(op->places[0].ds, op->places[0].at.path, &handler);
	}
}

static void delete_file(struct call *c)
{
	static const struct file_arg where = { ARG(DeleteDatastoreFile_Task, name),
					       ARG(DeleteDatastoreFile_Task, datacenter), MANAGE };
	struct file_op *op = file_op_new(c);

	if (file_op_place(op, c, &where) && file_op_begin(op, c, 1)) {
		delete_start(op);
	}
}

static bool delete_run(void *data, struct progress *p, struct error *e)
{
	const struct file_place *at = data;

	return datastore_delete(at->ds, at->at.path, p, e);
}

struct delete_call {
	struct call *call;
	struct file_place place;
};

static void delete_done(void *arg, const struct error *e)
{
	struct delete_call *d = arg;

	if (e != NULL) {
		call_file_error(d->call, e, d->place.ds_path);
	} else {
		call_return(d->call, NULL);
	}
	host_datastore_refresh(d->place.d);
	file_place_fini(&d->place);
	free(d);
}

/* HostDatastoreBrowser.DeleteFile, which answers when it is done. */
static void browser_delete(struct call *c)
{
	static const struct file_arg where = { A_HostDatastoreBrowser_DeleteFile_datastorePath,
					       FILE_NO_DATACENTER, "Datastore.DeleteFile" };
	struct host *h = call_arg(c);
	struct delete_call *d = mem_zalloc(sizeof(*d));
	struct error e;

	if (!file_place_find(&d->place, c, h, &where)) {
		free(d);
		return;
	}
	if (!is_root(&d->place, &e) || !file_is_free(h, d->place.ds_path, &e) ||
	    !host_file_claim(h, d->place.ds_path, &e)) {
		call_file_error(c, &e, d->place.ds_path);
		file_place_fini(&d->place);
		free(d);
		return;
	}
	d->place.is_claimed = true;
	d->call = c;
	struct job_handler handler = { .loop = h->loop, .done = delete_done, .arg = d };
	struct job_work work = { .run = delete_run, .data = &d->place };
	job_start(&handler, &work);
}

/* ---- copy and move ---- */

static bool transfer_begin(struct call *c, struct file_op *op, const struct file_arg where[2],
			   unsigned exclusive)
{
	struct error e;

	if (!file_op_place(op, c, &where[0]) || !file_op_place(op, c, &where[1]) ||
	    !file_op_begin(op, c, exclusive)) {
		return false;
	}
	if (!is_root(&op->places[0], &e) || !is_root(&op->places[1], &e)) {
		file_op_fail(op, &e);
		return false;
	}
	return true;
}

static struct datastore_transfer transfer_of(const struct file_op *op, bool force)
{
	return (struct datastore_transfer){
		.from = op->places[0].ds,
		.from_path = op->places[0].at.path,
		.to = op->places[1].ds,
		.to_path = op->places[1].at.path,
		.force = force,
	};
}

static void copy_file(struct call *c)
{
	static const struct file_arg where[] = {
		{ ARG(CopyDatastoreFile_Task, sourceName),
		  ARG(CopyDatastoreFile_Task, sourceDatacenter), MANAGE },
		{ ARG(CopyDatastoreFile_Task, destinationName),
		  ARG(CopyDatastoreFile_Task, destinationDatacenter), MANAGE },
	};
	bool force = value_get_bool(c->args, ARG(CopyDatastoreFile_Task, force), false);
	struct file_op *op = file_op_new(c);

	if (!transfer_begin(c, op, where, 2)) {
		return;
	}
	struct job_handler handler = file_op_handler(op);
	if (disk_is_whole(op) && is_disk(op->places[1].at.path)) {
		struct disk_copy copy = {
			.from = file_op_disk(op, 0),
			.to = file_op_disk(op, 1),
			.format = DISK_THIN,
			.force = force,
		};
		op->job = disk_copy_start(&copy, &handler);
	} else {
		struct datastore_transfer t = transfer_of(op, force);
		op->job = datastore_copy_start(&t, &handler);
	}
}

static void move_file(struct call *c)
{
	static const struct file_arg where[] = {
		{ ARG(MoveDatastoreFile_Task, sourceName),
		  ARG(MoveDatastoreFile_Task, sourceDatacenter), MANAGE },
		{ ARG(MoveDatastoreFile_Task, destinationName),
		  ARG(MoveDatastoreFile_Task, destinationDatacenter), MANAGE },
	};
	bool force = value_get_bool(c->args, ARG(MoveDatastoreFile_Task, force), false);
	struct file_op *op = file_op_new(c);

	if (!transfer_begin(c, op, where, 3)) {
		return;
	}
	struct job_handler handler = file_op_handler(op);
	if (!force && disk_is_whole(op) && is_disk(op->places[1].at.path)) {
		struct disk_place from = file_op_disk(op, 0), to = file_op_disk(op, 1);
		op->job = disk_move_start(&from, &to, &handler);
	} else {
		struct datastore_transfer t = transfer_of(op, force);
		op->job = datastore_move_start(&t, &handler);
	}
}

/* ---- the object ---- */

void file_manager_build(struct host *h)
{
	static const unsigned in_content[] = { F_ServiceContent_fileManager };
	struct service *s = h->api.service;
	struct object *o =
		inventory_add(h->inventory, T_FileManager, "ha-nfc-file-manager", NULL, h);
	struct object *si = inventory_find(h->inventory, "ServiceInstance");

	if (si != NULL) {
		inventory_set_nested(si, P_ServiceInstance_content, in_content, 1, o->ref);
	}
	service_handle(s, T_FileManager, M_FileManager_MakeDirectory, make_directory, h);
	service_handle(s, T_FileManager, M_FileManager_DeleteDatastoreFile_Task, delete_file, h);
	service_handle(s, T_FileManager, M_FileManager_CopyDatastoreFile_Task, copy_file, h);
	service_handle(s, T_FileManager, M_FileManager_MoveDatastoreFile_Task, move_file, h);
	service_handle(s, T_HostDatastoreBrowser, M_HostDatastoreBrowser_DeleteFile, browser_delete,
		       h);
}
