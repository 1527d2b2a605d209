/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files on disk, safely: whole reads with a limit, writes that are all or nothing even over a
 * power cut, and paths from outside that cannot leave their root.
 *
 * Calls block; run large ones on a worker. File descriptors returned belong to the caller and
 * are O_CLOEXEC. No state; any thread. The _at forms take a folder's fd (or AT_FDCWD) before the
 * path.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

/* Appends the whole of a regular file; ERROR_LIMIT where it has more than `limit` bytes. */
bool file_read(const char *path, size_t limit, struct buf *out, struct error *e);
bool file_read_at(int dir, const char *path, size_t limit, struct buf *out, struct error *e);

/* What is to be written. */
struct file_content {
	const void *data;
	size_t n;
	mode_t mode; /* e.g. 0600 */
};

/* Replaces the file: afterwards, and after a crash at any point, it has either the old content
 * or the new. Once true is returned the new content is on disk. */
bool file_write_atomic(const char *path, const void *data, size_t n, mode_t mode, struct error *e);
bool file_write_atomic_at(int dir, const char *path, const struct file_content *content,
			  struct error *e);

/* Writes all n bytes to fd. `name` is for the message. */
bool file_write_all(int fd, const void *data, size_t n, const char *name, struct error *e);

/* Makes the folder and those above it; one that is there already is fine. */
bool file_make_dirs(const char *path, mode_t mode, struct error *e);

/* Brings a rename, creation or removal in this folder to disk. */
bool file_sync_dir(int dir, const char *path, struct error *e);

/* Opens what `path`, relative, names beneath the folder `root`, as openat(2) with `flags` and
 * `mode`; -1 and an error where it would leave the root by "..", an absolute path or a symbolic
 * link (ERROR_PERMISSION). "" and "." are the root itself. */
int file_open_beneath(int root, const char *path, int flags, mode_t mode, struct error *e);

/* The same without openat2(2): what file_open_beneath() falls back to on old kernels. Refuses
 * every symbolic link and "..". */
int file_open_beneath_by_walk(int root, const char *path, int flags, mode_t mode, struct error *e);

/* The folder that holds `path`, opened beneath root (O_PATH); *name is the last component, inside
 * `path`. For renames and removals with the _at calls. Refuses "", "." and ".." as last. */
int file_open_parent_beneath(int root, const char *path, const char **name, struct error *e);

/* Makes the folders of a relative path beneath root, mode 0755 less the umask. */
bool file_make_dirs_beneath(int root, const char *path, struct error *e);

/* Removes `name` in the folder: a file, or a folder with all in it, never following links, never
 * entering other file systems. Gone already is fine. */
bool file_remove_tree_at(int dir, const char *name, struct error *e);

struct file_space {
	uint64_t total, free; /* bytes; free: for ordinary users */
};

/* Of the file system that holds path. */
bool file_space(const char *path, struct file_space *out, struct error *e);

#endif
