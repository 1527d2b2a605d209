/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/random.h"

#define READ_STEP 65536

static bool read_rest(int fd, const char *path, size_t limit, struct buf *out, struct error *e)
{
	size_t start = out->len;
	for (;;) {
		size_t room = MIN(limit - (out->len - start), (size_t)READ_STEP) + 1;
		ssize_t n = read(fd, buf_reserve(out, room), room);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return error_set_sys(e, errno, "file \"%s\"", path);
		}
		if (n == 0) {
			return true;
		}
		if (out->len - start + (size_t)n > limit) {
			return error_set(e, ERROR_LIMIT, "file \"%s\": larger than %zu bytes", path,
					 limit);
		}
		buf_commit(out, (size_t)n);
	}
}

bool file_read_at(int dir, const char *path, size_t limit, struct buf *out, struct error *e)
{
	/* O_NONBLOCK: opening a pipe somebody put there must not hang us. */
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		return error_set_sys(e, errno, "file \"%s\"", path);
	}
	struct stat st;
	size_t start = out->len;
	bool ok;
	if (fstat(fd, &st) < 0) {
		ok = error_set_sys(e, errno, "file \"%s\"", path);
	} else if (!S_ISREG(st.st_mode)) {
		ok = error_set(e, ERROR_INVALID, "file \"%s\": not a regular file", path);
	} else {
		ok = read_rest(fd, path, limit, out, e);
	}
	close(fd);
	if (!ok && out->cap) { /* the bytes behind len are no longer NUL */
		out->len = start;
		out->data[start] = '\0';
	}
	return ok;
}

bool file_read(const char *path, size_t limit, struct buf *out, struct error *e)
{
	return file_read_at(AT_FDCWD, path, limit, out, e);
}

bool file_write_all(int fd, const void *data, size_t n, const char *name, struct error *e)
{
	const char *p = data;
	while (n) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno == EINTR) {
			continue;
		}
		if (done < 0) {
			return error_set_sys(e, errno, "file \"%s\"", name);
		}
		p += done;
		n -= (size_t)done;
	}
	return true;
}

bool file_sync_dir(int dir, const char *path, struct error *e)
{
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0) {
		error_set_sys(e, errno, "folder \"%s\"", path);
		if (fd >= 0) {
			close(fd);
		}
		return false;
	}
	close(fd);
	return true;
}

/* Length of the part of path before its last component: 0 where there is none, else it counts
 * the slash. */
static size_t parent_length(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? (size_t)(slash - path) + 1 : 0;
}

static bool write_temporary(int dir, const char *temporary, const struct file_content *content,
			    struct error *e)
{
	int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
			content->mode);
	if (fd < 0) {
		return error_set_sys(e, errno, "file \"%s\"", temporary);
	}
	bool ok = file_write_all(fd, content->data, content->n, temporary, e);
	/* fchmod: the umask does not decide about the mode of state files. */
	if (ok && (fchmod(fd, content->mode) < 0 || fsync(fd) < 0)) {
		ok = error_set_sys(e, errno, "file \"%s\"", temporary);
	}
	if (close(fd) < 0 && ok) {
		ok = error_set_sys(e, errno, "file \"%s\"", temporary);
	}
	return ok;
}

bool file_write_atomic_at(int dir, const char *path, const struct file_content *content,
			  struct error *e)
{
	char mark[17];
	random_hex(mark, 8);
	size_t n = parent_length(path);
	char *parent = n ? mem_strndup(path, n) : mem_strdup(".");
	char *temporary = mem_printf("%.*s.%s.%s.tmp", (int)n, path, path + n, mark);
	bool ok = write_temporary(dir, temporary, content, e);
	if (ok && renameat(dir, temporary, dir, path) < 0) {
		ok = error_set_sys(e, errno, "file \"%s\"", path);
	}
	if (!ok) {
		unlinkat(dir, temporary, 0);
	}
	ok = ok && file_sync_dir(dir, parent, e);
	free(temporary);
	free(parent);
	return ok;
}

bool file_write_atomic(const char *path, const void *data, size_t n, mode_t mode, struct error *e)
{
	const struct file_content content = { .data = data, .n = n, .mode = mode };
	return file_write_atomic_at(AT_FDCWD, path, &content, e);
}

/* One folder; there already is fine where it is a folder. */
static bool make_dir(int dir, const char *path, mode_t mode, struct error *e)
{
	if (mkdirat(dir, path, mode) == 0) {
		return true;
	}
	int sys = errno;
	struct stat st;
	if (fstatat(dir, path, &st, 0) == 0) {
		return S_ISDIR(st.st_mode) ||
		       error_set(e, ERROR_EXISTS, "folder \"%s\": a file is in its place", path);
	}
	return error_set_sys(e, sys, "folder \"%s\"", path);
}

bool file_make_dirs(const char *path, mode_t mode, struct error *e)
{
	char *part = mem_strdup(path);
	bool ok = true;
	for (char *at = part; ok && *at;) {
		at += strspn(at, "/");
		at += strcspn(at, "/");
		char end = *at;
		*at = '\0';
		ok = *part == '\0' || make_dir(AT_FDCWD, part, mode, e);
		*at = end;
	}
	free(part);
	return ok;
}

bool file_space(const char *path, struct file_space *out, struct error *e)
{
	struct statvfs vfs;
	if (statvfs(path, &vfs) < 0) {
		return error_set_sys(e, errno, "file system of \"%s\"", path);
	}
	out->total = (uint64_t)vfs.f_blocks * vfs.f_frsize;
	out->free = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	return true;
}
