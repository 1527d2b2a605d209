/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of host/datastore.h and host/disk.h: how files are opened, named and copied so that
 * nothing is half-done.
 *
 * Names of the datastore's own, all removed by datastore_recover():
 *   .remora-part-HEX.tmp  a file or tree being written; goes
 *   .remora-gone-HEX.tmp  a tree being deleted; goes
 *   .remora-disk-HEX.tmp  a disk descriptor that is not, or no longer, valid: the extents it names
 *                         go, save those that a valid descriptor in the same folder names, then it
 * and .remora-uuid, the identity.
 *
 * Any thread; fds belong to whoever opened them.
 */
#ifndef HOST_DATASTORE_FILES_H
#define HOST_DATASTORE_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "host/job.h"

#define DATASTORE_OWN_PREFIX ".remora-"
#define DATASTORE_TEMP_SIZE  48

/* A path taken apart: the open folder it is in, and its last component. */
struct place {
	int folder;
	char name[256];
};

/* Opens the parent of a checked, not empty path; beneath root. */
bool place_open(int root, const char *path, struct place *out, struct error *e);
void place_close(struct place *p);

/* A new name ".remora-KIND-HEX.tmp". */
void place_temp_name(const char *kind, char out[DATASTORE_TEMP_SIZE]);
bool place_is_own_name(const char *name);

/* Gives the temporary `temp` in p's folder p's name, durably. ERROR_EXISTS when it is taken, unless
 * `force`: then a file is replaced. `path` for messages. */
bool place_commit(const struct place *p, const char *temp, bool force, const char *path,
		  struct error *e);

/* Removes a file or, at once under its name, a tree. */
bool place_remove(int folder, const char *name, struct error *e);

/* Appends the whole of a regular file; never follows a link as last component, never waits. */
bool place_read(int root, const char *path, size_t limit, struct buf *out, struct error *e);

/* Replaces or makes a file: after a crash it is the old or the new one. */
bool place_write(int root, const char *path, const struct file_content *c, struct error *e);

/* Writes a new file `temp` beside p, on disk when it returns; removed again on failure. */
bool place_write_temp(const struct place *p, const char *temp, const struct file_content *c,
		      struct error *e);

/* Copies len bytes, holes stay holes; sets the target's length. Progress counts from `before`
 * within `total`. */
struct file_copy {
	int from, to;
	uint64_t from_offset, to_offset, len;
	uint64_t before, total; /* for progress */
};
bool file_copy(const struct file_copy *c, struct progress *p, struct error *e);

/* Deals with one .remora-disk- file, see above. */
bool place_settle_disk(int folder, const char *temp, struct error *e);

/* Bytes allocated beneath an open folder. */
uint64_t place_usage(int folder);

/* Whether name matches a pattern with * and ?. */
bool datastore_match(const char *pattern, const char *name, bool ignore_case);

#endif
