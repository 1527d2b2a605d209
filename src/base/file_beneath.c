/* SPDX-License-Identifier: Apache-2.0 */
/* The part of base/file.h that keeps paths from outside beneath their root. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define RETRIES	   64  /* of openat2(2) while others rename beneath the root */
#define DEPTH_MAX  256 /* folders in folders that are removed */
#define PATH_LIMIT 4095

/* Fails with the message that every way out of the root has; -1. */
static int refuse_escape(const char *path, struct error *e)
{
	error_set(e, ERROR_PERMISSION, "path \"%s\": leads out of its folder", path);
	return -1;
}

static bool check_path(const char *path, struct error *e)
{
	if (strlen(path) > PATH_LIMIT) {
		return error_set(e, ERROR_NAME, "path \"%.64s…\": longer than %d bytes", path,
				 PATH_LIMIT);
	}
	if (path[0] == '/') {
		refuse_escape(path, e);
		return false;
	}
	return true;
}

/* The next component of *at, copied into name; false at the end. */
static bool next_component(const char **at, char *name, size_t size)
{
	const char *s = *at + strspn(*at, "/");
	size_t n = strcspn(s, "/");
	if (n == 0 || n >= size) {
		return false;
	}
	memcpy(name, s, n);
	name[n] = '\0';
	*at = s + n;
	return true;
}

static bool is_last(const char *at)
{
	return at[strspn(at, "/")] == '\0';
}

/* Opens `name`, one component, in dir; -1 and errno, which is EXDEV for a way out. */
static int open_step(int dir, const char *name, int flags, mode_t mode)
{
	if (strcmp(name, "..") == 0) {
		errno = EXDEV;
		return -1;
	}
	int fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
	int sys = errno;
	struct stat st;
	/* Whether it was a link: O_DIRECTORY reports that as ENOTDIR, O_PATH not at all. */
	bool is_link =
		fd >= 0 ? fstat(fd, &st) == 0 && S_ISLNK(st.st_mode)
			: fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
	if (fd >= 0 && is_link) {
		close(fd);
		fd = -1;
	}
	errno = is_link ? EXDEV : sys;
	return fd;
}

int file_open_beneath_by_walk(int root, const char *path, int flags, mode_t mode, struct error *e)
{
	if (!check_path(path, e)) {
		return -1;
	}
	char *name = mem_alloc(PATH_LIMIT + 1);
	const char *at = path[0] ? path : ".";
	int dir = openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (dir >= 0 && next_component(&at, name, PATH_LIMIT + 1)) {
		int how = O_PATH | O_DIRECTORY;
		if (is_last(at)) {
			how = *at == '/' ? flags | O_DIRECTORY : flags;
		}
		int fd = open_step(dir, name, how, mode);
		int sys = errno;
		close(dir);
		errno = sys;
		dir = fd;
	}
	int sys = errno;
	free(name);
	if (dir < 0 && sys == EXDEV) {
		return refuse_escape(path, e);
	}
	if (dir < 0) {
		error_set_sys(e, sys, "path \"%s\"", path);
	}
	return dir;
}

int file_open_beneath(int root, const char *path, int flags, mode_t mode, struct error *e)
{
	static atomic_bool is_missing; /* the system call; found out once */
	if (!check_path(path, e)) {
		return -1;
	}
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	const char *what = path[0] ? path : ".";
	for (int i = 0; i < RETRIES && !atomic_load(&is_missing); i++) {
		int fd = (int)syscall(SYS_openat2, root, what, &how, sizeof(how));
		if (fd >= 0) {
			return fd;
		}
		if (errno == ENOSYS) {
			atomic_store(&is_missing, true);
		} else if (errno == EXDEV) {
			return refuse_escape(path, e);
		} else if (errno != EAGAIN && errno != EINTR) {
			error_set_sys(e, errno, "path \"%s\"", path);
			return -1;
		}
	}
	if (atomic_load(&is_missing)) {
		return file_open_beneath_by_walk(root, path, flags, mode, e);
	}
	error_set(e, ERROR_BUSY, "path \"%s\": its folders keep changing", path);
	return -1;
}

int file_open_parent_beneath(int root, const char *path, const char **name, struct error *e)
{
	const char *slash = strrchr(path, '/');
	const char *last = slash ? slash + 1 : path;
	if (!check_path(path, e)) {
		return -1;
	}
	if (!*last || strcmp(last, ".") == 0 || strcmp(last, "..") == 0) {
		error_set(e, ERROR_NAME, "path \"%s\": does not end in a name", path);
		return -1;
	}
	char *parent = slash ? mem_strndup(path, (size_t)(slash - path)) : mem_strdup(".");
	int fd = file_open_beneath(root, parent, O_PATH | O_DIRECTORY, 0, e);
	free(parent);
	if (fd >= 0) {
		*name = last;
	}
	return fd;
}

bool file_make_dirs_beneath(int root, const char *path, struct error *e)
{
	if (!check_path(path, e)) {
		return false;
	}
	char *part = mem_strdup(path);
	bool ok = true;
	for (char *at = part; ok && *at;) {
		at += strspn(at, "/");
		at += strcspn(at, "/");
		char end = *at;
		*at = '\0';
		int fd = file_open_beneath(root, part, O_PATH | O_DIRECTORY, 0, NULL);
		const char *name;
		int parent = fd >= 0 ? -1 : file_open_parent_beneath(root, part, &name, e);
		if (fd >= 0) {
			close(fd);
		} else if (parent < 0) {
			ok = false;
		} else {
			ok = mkdirat(parent, name, 0755) == 0 ||
			     error_set_sys(e, errno, "folder \"%s\"", part);
			close(parent);
		}
		*at = end;
	}
	free(part);
	return ok;
}

/* Removes what is in the folder `name` of dir, on the same file system. */
static bool remove_content(int dir, const char *name, dev_t dev, unsigned depth, struct error *e);

static bool remove_entry(int dir, const char *name, dev_t dev, unsigned depth, struct error *e)
{
	struct stat st;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return errno == ENOENT || error_set_sys(e, errno, "file \"%s\"", name);
	}
	bool is_dir = S_ISDIR(st.st_mode);
	if (is_dir && !remove_content(dir, name, dev, depth + 1, e)) {
		return false;
	}
	return unlinkat(dir, name, is_dir ? AT_REMOVEDIR : 0) == 0 || errno == ENOENT ||
	       error_set_sys(e, errno, "file \"%s\"", name);
}

static bool remove_content(int dir, const char *name, dev_t dev, unsigned depth, struct error *e)
{
	if (depth > DEPTH_MAX) {
		return error_set(e, ERROR_LIMIT, "folder \"%s\": more than %d levels deep", name,
				 DEPTH_MAX);
	}
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	DIR *stream = fd < 0 || fstat(fd, &st) < 0 ? NULL : fdopendir(fd);
	if (!stream) {
		error_set_sys(e, errno, "folder \"%s\"", name);
		if (fd >= 0) {
			close(fd);
		}
		return false;
	}
	bool ok = st.st_dev == dev ||
		  error_set(e, ERROR_INVALID, "folder \"%s\": on another file system", name);
	struct dirent *entry;
	while (ok && (entry = readdir(stream))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			ok = remove_entry(fd, entry->d_name, dev, depth, e);
		}
	}
	closedir(stream);
	return ok;
}

bool file_remove_tree_at(int dir, const char *name, struct error *e)
{
	struct stat st;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return errno == ENOENT || error_set_sys(e, errno, "file \"%s\"", name);
	}
	return remove_entry(dir, name, st.st_dev, 0, e);
}
