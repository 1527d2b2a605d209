/* SPDX-License-Identifier: Apache-2.0 */
#include "host/disk_space.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/macro.h"
#include "base/mem.h"
#include "host/vmdk.h"

enum {
	PIECE = 1 << 20, /* looked at, and given back, at once */
};

/* The one extent of a disk; -1 with `e`. */
static int extent_open(const struct disk_place *at, struct disk_info *info, struct error *e)
{
	if (!disk_query(at, info, e)) {
		return -1;
	}
	if (info->n_extents != 1) {
		error_set(e, ERROR_UNSUPPORTED, "\"%.120s\" has %zu extents", at->path,
			  info->n_extents);
		return -1;
	}
	return file_open_beneath(datastore_root(at->datastore), info->extent_path, O_RDWR, 0, e);
}

/* Brings the data to disk and closes. */
static bool extent_close(int fd, bool ok, const char *path, struct error *e)
{
	if (ok && fsync(fd) != 0) {
		ok = error_set_sys(e, errno, "cannot save \"%.120s\"", path);
	}
	close(fd);
	return ok;
}

static bool mark_thick(const struct disk_place *at, struct error *e)
{
	int root = datastore_root(at->datastore);
	struct vmdk *d = vmdk_load(root, at->path, e);
	bool ok = d != NULL && vmdk_set(d, "ddb.thinProvisioned", "0", e) &&
		  vmdk_save(d, root, at->path, e);

	vmdk_free(d);
	return ok;
}

/* In pieces, so that it can be cancelled and shows how far it is. */
static bool take_blocks(int fd, uint64_t capacity, struct progress *p, struct error *e)
{
	const uint64_t step = UINT64_C(64) << 20;

	for (uint64_t at = 0; at < capacity; at += step) {
		if (!progress_go_on(p, e)) {
			return false;
		}
		int failed = posix_fallocate(fd, (off_t)at, (off_t)MIN(step, capacity - at));
		if (failed != 0) {
			return error_set_sys(e, failed, "cannot take all blocks");
		}
		progress_set(p, at, capacity);
	}
	return true;
}

bool disk_inflate(const struct disk_place *at, struct progress *p, struct error *e)
{
	struct disk_info info;
	int fd = extent_open(at, &info, e);

	if (fd < 0) {
		return false;
	}
	uint64_t more = info.capacity > info.allocated ? info.capacity - info.allocated : 0;
	bool ok =
		datastore_has_room(at->datastore, more, e) && take_blocks(fd, info.capacity, p, e);
	return extent_close(fd, ok, at->path, e) && mark_thick(at, e);
}

static bool is_zero(const char *data, size_t n)
{
	return n == 0 || (data[0] == '\0' && memcmp(data, data + 1, n - 1) == 0);
}

static bool give_back(int fd, off_t at, off_t n, struct error *e)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, n) == 0 ||
	       error_set_sys(e, errno, "the file system cannot take blocks back");
}

/* One stretch of data, up to `end`. */
static bool shrink_stretch(int fd, off_t at, off_t end, char *piece, struct error *e)
{
	while (at < end) {
		ssize_t n = pread(fd, piece, (size_t)MIN(end - at, (off_t)PIECE), at);
		if (n <= 0) {
			return n == 0 || error_set_sys(e, errno, "cannot read");
		}
		if (is_zero(piece, (size_t)n) && !give_back(fd, at, n, e)) {
			return false;
		}
		at += n;
	}
	return true;
}

static bool shrink_data(int fd, uint64_t capacity, struct progress *p, struct error *e)
{
	char *piece = mem_alloc(PIECE);
	off_t at = 0;
	bool ok = true;

	while (ok && (at = lseek(fd, at, SEEK_DATA)) >= 0) {
		off_t end = lseek(fd, at, SEEK_HOLE);
		if (end < 0) {
			ok = error_set_sys(e, errno, "cannot find the data");
			break;
		}
		end = MIN(end, at + ((off_t)64 << 20));
		ok = progress_go_on(p, e) && shrink_stretch(fd, at, end, piece, e);
		progress_set(p, (uint64_t)end, capacity);
		at = end;
	}
	if (ok && errno != ENXIO) {
		ok = error_set_sys(e, errno, "cannot find the data");
	}
	free(piece);
	return ok;
}

bool disk_shrink(const struct disk_place *at, struct progress *p, struct error *e)
{
	struct disk_info info;
	int fd = extent_open(at, &info, e);

	if (fd < 0) {
		return false;
	}
	bool ok = info.format == DISK_THIN ||
		  error_set(e, ERROR_STATE, "\"%.120s\" is not thin: its blocks are reserved",
			    at->path);
	return extent_close(fd, ok && shrink_data(fd, info.capacity, p, e), at->path, e);
}

bool disk_zero(const struct disk_place *at, struct progress *p, struct error *e)
{
	struct disk_info info;
	int fd = extent_open(at, &info, e);

	if (fd < 0) {
		return false;
	}
	bool ok = give_back(fd, 0, (off_t)info.capacity, e) &&
		  (info.format == DISK_THIN || take_blocks(fd, info.capacity, p, e));
	return extent_close(fd, ok, at->path, e);
}
