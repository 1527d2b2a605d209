/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual disks as wholes: a descriptor and its extents are made, copied, grown, renamed and
 * deleted together.
 *
 * A disk is named by its descriptor's path in a datastore. The disk exists exactly when its
 * descriptor does: that one rename is the moment of every operation. kill -9 at any time leaves
 * the old state or the new one, and perhaps files that datastore_recover() removes.
 *
 * The plain functions block and are meant for a worker (host/job.h); the *_start() forms do that.
 * Two operations on the same disk at the same time are the caller's to prevent.
 */
#ifndef HOST_DISK_H
#define HOST_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "host/datastore.h"
#include "host/job.h"

/* A disk's descriptor: "vm/vm.vmdk" on a datastore. Both borrowed, until `done` for a job. */
struct disk_place {
	const struct datastore *datastore;
	const char *path;
};

enum disk_format {
	DISK_THIN,	   /* blocks are taken when written */
	DISK_LAZY_ZEROED,  /* space is reserved */
	DISK_EAGER_ZEROED, /* space is reserved, and the descriptor says so */
};

struct disk_spec {
	uint64_t capacity; /* bytes, a multiple of 512, at most VMDK_CAPACITY_MAX */
	enum disk_format format;
	const char *adapter_type; /* NULL: "lsilogic" */
};

struct disk_info {
	uint64_t capacity, allocated; /* bytes */
	enum disk_format format;
	char adapter_type[32];
	char uuid[37];
	char extent_path[DATASTORE_PATH_MAX + 1]; /* of the first extent, beneath the datastore */
	size_t n_extents;
};

/* Reads and checks the disk: see vmdk_check(). */
bool disk_query(const struct disk_place *at, struct disk_info *out, struct error *e);

/* ERROR_EXISTS, ERROR_NOT_FOUND (folder), ERROR_NO_SPACE, ERROR_LIMIT (capacity). */
bool disk_create(const struct disk_place *at, const struct disk_spec *s, struct progress *p,
		 struct error *e);

struct disk_copy {
	struct disk_place from, to;
	enum disk_format format;  /* of the copy */
	const char *adapter_type; /* NULL: as the source */
	bool force;		  /* replaces an existing disk */
};

/* The copy gets a uuid of its own. The source may also be a streamOptimized or sparse image. */
bool disk_copy(const struct disk_copy *c, struct progress *p, struct error *e);

/* Renames on one file system; else copies and deletes. Keeps the uuid. */
bool disk_move(const struct disk_place *from, const struct disk_place *to, struct progress *p,
	       struct error *e);

/* To `capacity` bytes; less than now is ERROR_INVALID. */
bool disk_extend(const struct disk_place *at, uint64_t capacity, bool eager, struct progress *p,
		 struct error *e);

bool disk_delete(const struct disk_place *at, struct progress *p, struct error *e);

bool disk_set_uuid(const struct disk_place *at, const char *uuid, struct error *e);

struct job *disk_create_start(const struct disk_place *at, const struct disk_spec *s,
			      const struct job_handler *h);
struct job *disk_copy_start(const struct disk_copy *c, const struct job_handler *h);
struct job *disk_move_start(const struct disk_place *from, const struct disk_place *to,
			    const struct job_handler *h);
struct job *disk_extend_start(const struct disk_place *at, uint64_t capacity, bool eager,
			      const struct job_handler *h);
struct job *disk_delete_start(const struct disk_place *at, const struct job_handler *h);

#endif
