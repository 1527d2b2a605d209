/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task on files of datastores: what FileManager, VirtualDiskManager and the datastore browser
 * share. It finds the places that a call names, checks privileges, keeps others off while a job
 * (host/job.h) works, and ends the task.
 *
 *   file_op_new -> file_op_place … -> file_op_begin -> (job) -> the task ends, the op frees itself
 *
 * A step that fails has answered the call (or ended the task), and freed the op. Event-loop thread
 * only.
 */
#pragma once

#include "host/disk.h"
#include "host/host_impl.h"

struct file_place {
	struct host_datastore *d;
	struct datastore *ds;
	struct datastore_path at;
	char *ds_path; /* in its normal form */
	bool is_claimed;
};

struct file_op {
	struct host *host;
	struct task *task; /* NULL before file_op_begin() */
	struct job *job;
	struct file_place places[2];
	size_t n_places;
	/* Ends the task after success; NULL: without a result. */
	void (*finish)(struct file_op *op);
	void *data; /* of the method, freed with release() */
	void (*release)(void *data);
};

struct file_op *file_op_new(struct call *c);

/* Which argument names the next place. */
struct file_arg {
	unsigned name, datacenter; /* arguments of the call */
	const char *privilege;	   /* on the datastore */
};
#define FILE_NO_DATACENTER (~0u)
bool file_op_place(struct file_op *op, struct call *c, const struct file_arg *arg);

/* Begins the task: no VM that runs may use the places given by `exclusive` (bit i: place i), and
 * no other operation. False: the task has ended, the op is gone. */
bool file_op_begin(struct file_op *op, struct call *c, unsigned exclusive);

/* How the job tells the op; give it to the _start() functions, and their result to op->job. */
struct job_handler file_op_handler(struct file_op *op);
struct disk_place file_op_disk(const struct file_op *op, size_t i);

/* Ends the task (or, before there is one, nothing) and frees the op. */
void file_op_fail(struct file_op *op, const struct error *e);
void file_op_free(struct file_op *op);

/* A place named by a call that is answered at once. False: the call has been answered. */
bool file_place_find(struct file_place *p, struct call *c, struct host *h,
		     const struct file_arg *arg);
void file_place_fini(struct file_place *p);

/* ERROR_BUSY naming the VM when one that runs uses the path. */
bool file_is_free(struct host *h, const char *ds_path, struct error *e);
/* Answers with the fault of a file error. */
void call_file_error(struct call *c, const struct error *e, const char *ds_path);
