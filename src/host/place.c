/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/macro.h"
#include "base/random.h"
#include "host/datastore.h"
#include "host/datastore_files.h"

bool place_open(int root, const char *path, struct place *out, struct error *e)
{
	char folder[DATASTORE_PATH_MAX + 1] = ".";
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	if (name[0] == '\0' || strlen(name) >= sizeof(out->name) ||
	    strlen(path) > DATASTORE_PATH_MAX) {
		return error_set(e, ERROR_NAME, "path \"%.100s\" names no file", path);
	}
	if (slash != NULL) {
		memcpy(folder, path, (size_t)(slash - path));
		folder[slash - path] = '\0';
	}
	int fd = file_open_beneath(root, folder, O_RDONLY | O_DIRECTORY, 0, e);
	if (fd < 0) {
		return false;
	}
	out->folder = fd;
	snprintf(out->name, sizeof(out->name), "%s", name);
	return true;
}

void place_close(struct place *p)
{
	if (p->folder >= 0) {
		close(p->folder);
		p->folder = -1;
	}
}

void place_temp_name(const char *kind, char out[DATASTORE_TEMP_SIZE])
{
	char hex[17];
	random_hex(hex, 8);
	snprintf(out, DATASTORE_TEMP_SIZE, DATASTORE_OWN_PREFIX "%s-%s.tmp", kind, hex);
}

bool place_is_own_name(const char *name)
{
	return strncmp(name, DATASTORE_OWN_PREFIX, sizeof(DATASTORE_OWN_PREFIX) - 1) == 0;
}

bool place_commit(const struct place *p, const char *temp, bool force, const char *path,
		  struct error *e)
{
	int rc = renameat2(p->folder, temp, p->folder, p->name, RENAME_NOREPLACE);
	if (rc != 0 && errno == EEXIST && force) {
		rc = renameat(p->folder, temp, p->folder, p->name);
	}
	if (rc != 0) {
		if (errno == EISDIR || errno == ENOTDIR) {
			return error_set(e, ERROR_EXISTS, "\"%.120s\" is there already", path);
		}
		return error_set_sys(e, errno, "\"%.120s\"", path);
	}
	if (fsync(p->folder) != 0) {
		return error_set_sys(e, errno, "\"%.120s\"", path);
	}
	return true;
}

bool place_remove(int folder, const char *name, struct error *e)
{
	if (unlinkat(folder, name, 0) == 0) {
		return true;
	}
	if (errno != EISDIR) {
		return error_set_sys(e, errno, "\"%.120s\"", name);
	}
	char temp[DATASTORE_TEMP_SIZE];
	if (!place_is_own_name(name)) {
		place_temp_name("gone", temp);
		if (renameat(folder, name, folder, temp) != 0) {
			return error_set_sys(e, errno, "\"%.120s\"", name);
		}
		name = temp;
	}
	return file_remove_tree_at(folder, name, e);
}

bool place_read(int root, const char *path, size_t limit, struct buf *out, struct error *e)
{
	struct stat st;
	/* O_NONBLOCK: a FIFO in the way must not hold the caller. */
	int fd = file_open_beneath(root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, e);
	if (fd < 0) {
		return false;
	}
	bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	if (!ok) {
		error_set(e, ERROR_INVALID, "\"%.120s\" is not a file", path);
	}
	size_t before = out->len;
	while (ok) {
		/* One byte more than allowed tells that there is more. */
		size_t room = MIN(limit + 1 - (out->len - before), (size_t)65536);
		ssize_t n = read(fd, buf_reserve(out, room), room);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			ok = error_set_sys(e, errno, "\"%.120s\"", path);
		} else if (n == 0) {
			break;
		} else {
			buf_commit(out, (size_t)n);
			ok = out->len - before <= limit ||
			     error_set(e, ERROR_LIMIT, "\"%.120s\" has more than %zu bytes", path,
				       limit);
		}
	}
	close(fd);
	return ok;
}

static bool write_new(const struct place *p, const char *temp, const struct file_content *c,
		      struct error *e)
{
	int fd = openat(p->folder, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			c->mode);
	if (fd < 0) {
		return error_set_sys(e, errno, "\"%.120s\"", p->name);
	}
	bool ok = file_write_all(fd, c->data, c->n, p->name, e);
	if (ok && fsync(fd) != 0) {
		ok = error_set_sys(e, errno, "\"%.120s\"", p->name);
	}
	close(fd);
	return ok;
}

bool place_write_temp(const struct place *p, const char *temp, const struct file_content *c,
		      struct error *e)
{
	if (!write_new(p, temp, c, e)) {
		unlinkat(p->folder, temp, 0);
		return false;
	}
	return true;
}

bool place_write(int root, const char *path, const struct file_content *c, struct error *e)
{
	struct place p;
	char temp[DATASTORE_TEMP_SIZE];
	if (!place_open(root, path, &p, e)) {
		return false;
	}
	place_temp_name("part", temp);
	bool ok = place_write_temp(&p, temp, c, e);
	if (ok && !place_commit(&p, temp, true, path, e)) {
		unlinkat(p.folder, temp, 0);
		ok = false;
	}
	place_close(&p);
	return ok;
}

static uint64_t usage_beneath(int fd, unsigned depth)
{
	DIR *dir = fdopendir(fd);
	if (dir == NULL) {
		close(fd);
		return 0;
	}
	uint64_t sum = 0;
	struct dirent *x;
	while ((x = readdir(dir)) != NULL) {
		struct stat st;
		if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0 ||
		    fstatat(dirfd(dir), x->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
			continue;
		}
		sum += (uint64_t)st.st_blocks * 512;
		if (S_ISDIR(st.st_mode) && depth < DATASTORE_DEPTH_MAX) {
			int sub = openat(dirfd(dir), x->d_name,
					 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			sum += sub >= 0 ? usage_beneath(sub, depth + 1) : 0;
		}
	}
	closedir(dir);
	return sum;
}

uint64_t place_usage(int folder)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? usage_beneath(fd, 0) : 0;
}
