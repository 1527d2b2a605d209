/* SPDX-License-Identifier: Apache-2.0 */
#include "host/file_op.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vim/fault.h"

/* ---- places ---- */

void call_file_error(struct call *c, const struct error *e, const char *ds_path)
{
	call_fault(c, fault_from_file_error(c->arena, e, ds_path), "%s", e->msg);
}

static void answer_unknown(struct call *c, const struct error *e, const struct file_place *p,
			   const char *text)
{
	if (e->kind != ERROR_NOT_FOUND) {
		call_file_error(c, e, text);
		return;
	}
	struct value *f = fault_new(c->arena, T_InvalidDatastore);
	value_set_str(c->arena, f, F_InvalidDatastore_name, p->at.datastore);
	call_fault(c, f, "%s", e->msg);
}

bool file_place_find(struct file_place *p, struct call *c, struct host *h,
		     const struct file_arg *arg)
{
	const char *text = value_get_str(c->args, arg->name);
	struct error e;
	bool ok = true;

	*p = (struct file_place){ 0 };
	if (arg->datacenter != FILE_NO_DATACENTER) {
		call_object(c, arg->datacenter, T_Datacenter, &ok);
		if (!ok) {
			return false;
		}
	}
	p->d = host_datastore_of_path(h, text == NULL ? "" : text, &p->at, &e);
	if (p->d == NULL) {
		answer_unknown(c, &e, p, text == NULL ? "" : text);
		return false;
	}
	if (!call_require(c, p->d->object, arg->privilege)) {
		return false;
	}
	p->ds = host_datastore_open(p->d, &e);
	if (p->ds == NULL) {
		call_file_error(c, &e, text);
		return false;
	}
	p->ds_path = datastore_path_format(p->at.datastore, p->at.path);
	host_datastore_hold(p->d);
	return true;
}

void file_place_fini(struct file_place *p)
{
	if (p->ds_path == NULL) {
		return;
	}
	if (p->is_claimed) {
		host_file_unclaim(p->d->host, p->ds_path);
	}
	host_datastore_release(p->d);
	free(p->ds_path);
	p->ds_path = NULL;
}

bool file_is_free(struct host *h, const char *ds_path, struct error *e)
{
	struct object *vm = host_file_user(h, ds_path);

	if (vm == NULL) {
		return true;
	}
	const char *name = object_get_str(vm, P_ManagedEntity_name);
	return error_set(e, ERROR_BUSY, "\"%.150s\" is in use by the VM \"%.60s\"", ds_path,
			 name == NULL ? "?" : name);
}

/* ---- the operation ---- */

struct file_op *file_op_new(struct call *c)
{
	struct file_op *op = mem_zalloc(sizeof(*op));

	op->host = call_arg(c);
	return op;
}

void file_op_free(struct file_op *op)
{
	for (size_t i = 0; i < op->n_places; i++) {
		file_place_fini(&op->places[i]);
	}
	if (op->release != NULL) {
		op->release(op->data);
	}
	free(op);
}

bool file_op_place(struct file_op *op, struct call *c, const struct file_arg *arg)
{
	if (!file_place_find(&op->places[op->n_places], c, op->host, arg)) {
		file_op_free(op);
		return false;
	}
	op->n_places++;
	return true;
}

/* The file that an error is about: of a copy or move, what is in the way is its target. */
static const char *failed_path(const struct file_op *op, const struct error *e)
{
	bool is_target = e->kind == ERROR_EXISTS || e->kind == ERROR_NO_SPACE;

	return op->n_places == 0 ? "" : op->places[is_target ? op->n_places - 1 : 0].ds_path;
}

void file_op_fail(struct file_op *op, const struct error *e)
{
	if (op->task != NULL) {
		task_set_cancel(op->task, NULL, NULL);
		task_fail_file(op->task, e, failed_path(op, e));
	}
	file_op_free(op);
}

bool file_op_begin(struct file_op *op, struct call *c, unsigned exclusive)
{
	struct error e;

	op->task = task_begin(c, op->host->api.tasks);
	for (size_t i = 0; i < op->n_places; i++) {
		struct file_place *p = &op->places[i];
		if (!(exclusive >> i & 1)) {
			continue;
		}
		if (!file_is_free(op->host, p->ds_path, &e) ||
		    !host_file_claim(op->host, p->ds_path, &e)) {
			file_op_fail(op, &e);
			return false;
		}
		p->is_claimed = true;
	}
	return true;
}

static void op_progress(void *arg, uint64_t done, uint64_t total)
{
	struct file_op *op = arg;

	if (total > 0) {
		task_progress(op->task, (int)(MIN(done, total) * 100 / total));
	}
}

static void op_done(void *arg, const struct error *e)
{
	struct file_op *op = arg;

	op->job = NULL;
	for (size_t i = 0; i < op->n_places; i++) {
		host_datastore_refresh(op->places[i].d);
	}
	if (e != NULL) {
		file_op_fail(op, e);
		return;
	}
	task_set_cancel(op->task, NULL, NULL);
	if (op->finish != NULL) {
		op->finish(op);
	} else {
		task_done(op->task, NULL);
	}
	file_op_free(op);
}

static void op_cancel(void *arg)
{
	struct file_op *op = arg;

	if (op->job != NULL) {
		job_cancel(op->job);
	}
}

struct job_handler file_op_handler(struct file_op *op)
{
	task_set_cancel(op->task, op_cancel, op);
	return (struct job_handler){
		.loop = op->host->loop,
		.progress = op_progress,
		.done = op_done,
		.arg = op,
	};
}

struct disk_place file_op_disk(const struct file_op *op, size_t i)
{
	return (struct disk_place){ .datastore = op->places[i].ds, .path = op->places[i].at.path };
}
