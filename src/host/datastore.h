/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A local datastore: a folder of the node that holds VM folders, disks and ISO images, and the
 * paths, listings, searches and file operations that administrators do on it.
 *
 * All access is confined: every path is opened beneath the datastore's folder; what leads out, by
 * `..` or a symbolic link, is refused. Names that begin with ".remora-" are the datastore's own
 * (its identity, temporary files): refused in paths, absent from listings. What was being written
 * when the process died is a file of such a name and removed by datastore_recover().
 *
 * Threads: a struct datastore does not change after datastore_open(), any thread may use it.
 * The functions block on the file system; those with a `struct progress *` are meant for a worker
 * (host/job.h), the *_start() forms do that. Whoever starts a job keeps the datastore open until
 * its `done`.
 */
#ifndef HOST_DATASTORE_H
#define HOST_DATASTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "host/job.h"

#define DATASTORE_NAME_MAX	42 /* characters of a datastore's name, as in vSphere */
#define DATASTORE_COMPONENT_MAX 255
#define DATASTORE_PATH_MAX	4096
#define DATASTORE_ENTRIES_MAX	100000 /* results of one search */
#define DATASTORE_DEPTH_MAX	64

/* ---- paths: "[name] folder/file.ext" ---- */

struct datastore_path {
	char datastore[256];
	char path[DATASTORE_PATH_MAX + 1]; /* relative, empty for the datastore itself */
};

/* Refuses `.`, `..`, absolute paths, control characters, malformed UTF-8, components over 255 and
 * paths over 4096 bytes: ERROR_NAME. Repeated and trailing slashes are dropped. */
bool datastore_path_parse(const char *text, struct datastore_path *out, struct error *e);

/* The same rules for a path without "[name] ", as in /folder/ URLs; writes the normal form. */
bool datastore_path_check(const char *path, char out[DATASTORE_PATH_MAX + 1], struct error *e);

/* "[name] path", free with free(). */
char *datastore_path_format(const char *datastore, const char *path);

/* Whether a single name (of a VM, a folder, a file) can be one component. `what` for the message:
 * "VM name". */
bool datastore_name_check(const char *what, const char *name, struct error *e);

/* ---- the datastore ---- */

struct datastore_config {
	const char *name;
	const char *folder; /* absolute; made (one level) when missing */
	uint64_t quota;	    /* bytes it may hold; 0: what the file system has */
	const char *uuid;   /* what it must be: nothing is made; NULL: any, or a new one */
};

struct datastore;

/* Opens, and at the first time makes, a datastore; does not yet recover. */
struct datastore *datastore_open(const struct datastore_config *c, struct error *e);
void datastore_close(struct datastore *ds);

const char *datastore_name(const struct datastore *ds);
const char *datastore_uuid(const struct datastore *ds);	  /* kept in the folder */
const char *datastore_url(const struct datastore *ds);	  /* "ds:///vmfs/volumes/UUID/" */
const char *datastore_folder(const struct datastore *ds); /* absolute */
int datastore_root(const struct datastore *ds);		  /* the open folder; borrowed */

struct datastore_space {
	uint64_t capacity, free; /* bytes */
};
bool datastore_space(const struct datastore *ds, struct datastore_space *out, struct error *e);

/* ERROR_NO_SPACE, naming both numbers, when `bytes` more do not fit. */
bool datastore_has_room(const struct datastore *ds, uint64_t bytes, struct error *e);

/* Removes what an interrupted process left; before anything else is done with the datastore. */
bool datastore_recover(struct datastore *ds, size_t *n_removed, struct error *e);

/* ---- looking ---- */

struct datastore_entry {
	char *name;
	bool is_folder;
	uint64_t size;	    /* bytes, as a reader sees them */
	uint64_t allocated; /* bytes on the disk */
	int64_t mtime_us;   /* wall clock */
	char *owner;	    /* user name, or the number */
};

struct datastore_listing {
	char *path; /* of the folder, relative, "" for the root */
	struct datastore_entry *entries;
	size_t n_entries;
};

struct datastore_search {
	const char *const *patterns; /* with * and ?, any may match; n 0: everything */
	size_t n_patterns;
	bool ignore_case;
	bool recursive;	    /* all folders beneath, one listing each */
	bool folders_first; /* else by name alone */
	unsigned max_depth; /* 0: DATASTORE_DEPTH_MAX */
	size_t max_entries; /* 0: DATASTORE_ENTRIES_MAX */
};

struct datastore_results {
	struct datastore_listing *folders;
	size_t n_folders;
	bool truncated; /* a limit cut it short */
};

/* ERROR_NOT_FOUND where the folder is missing, ERROR_INVALID where it is a file. */
bool datastore_search(const struct datastore *ds, const char *path,
		      const struct datastore_search *s, struct datastore_results *out,
		      struct progress *p, struct error *e);
void datastore_results_free(struct datastore_results *r); /* contents only */

/* `out` belongs to the caller, is written before `done` and only on success. */
struct job *datastore_search_start(const struct datastore *ds, const char *path,
				   const struct datastore_search *s, struct datastore_results *out,
				   const struct job_handler *h);

/* One file or folder; free with datastore_entry_fini(). ERROR_NOT_FOUND. */
bool datastore_stat(const struct datastore *ds, const char *path, struct datastore_entry *out,
		    struct error *e);
void datastore_entry_fini(struct datastore_entry *x);

/* ---- changing ---- */

/* ERROR_EXISTS where there is something; ERROR_NOT_FOUND without its parent unless `parents`. */
bool datastore_make_folder(const struct datastore *ds, const char *path, bool parents,
			   struct error *e);

/* A file or a whole tree: vanishes at once under its name, then piece by piece. */
bool datastore_delete(const struct datastore *ds, const char *path, struct progress *p,
		      struct error *e);
struct job *datastore_delete_start(const struct datastore *ds, const char *path,
				   const struct job_handler *h);

/* Source and target of a move or copy; the two datastores may be the same. */
struct datastore_transfer {
	const struct datastore *from;
	const char *from_path;
	const struct datastore *to;
	const char *to_path;
	bool force; /* replace a file that is in the way; a folder never */
};

/* Trees as well as files; sparse files stay sparse. The target appears complete or not at all. A
 * move between file systems copies, then deletes. Disks: use host/disk.h, which takes descriptor
 * and extents together. */
bool datastore_copy(const struct datastore_transfer *t, struct progress *p, struct error *e);
bool datastore_move(const struct datastore_transfer *t, struct progress *p, struct error *e);
struct job *datastore_copy_start(const struct datastore_transfer *t, const struct job_handler *h);
struct job *datastore_move_start(const struct datastore_transfer *t, const struct job_handler *h);

/* ---- streams ---- */

/* A file opened for reading: -1 with `e`, else an fd the caller closes. */
int datastore_read_open(const struct datastore *ds, const char *path, uint64_t *size,
			struct error *e);

/* An upload collects in a temporary file and appears under its name when committed. */
struct datastore_upload;

struct datastore_upload_spec {
	const char *path;
	uint64_t size;	/* bytes to come, checked against the free space; 0: unknown */
	bool overwrite; /* else an existing file is ERROR_EXISTS */
	bool append;	/* always refused, ERROR_UNSUPPORTED: it could not be undone */
};
struct datastore_upload *datastore_upload_open(const struct datastore *ds,
					       const struct datastore_upload_spec *s,
					       struct error *e);

/* After an error only datastore_upload_abort() is of use. */
bool datastore_upload_write(struct datastore_upload *u, const void *data, size_t len,
			    struct error *e);
uint64_t datastore_upload_size(const struct datastore_upload *u); /* bytes so far */

/* Both free `u`, also on failure. Refuses a commit of fewer or more bytes than announced. */
bool datastore_upload_commit(struct datastore_upload *u, struct error *e);
void datastore_upload_abort(struct datastore_upload *u);

#endif
