/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lock file may be removed by whoever holds its lock. Whoever gets the lock of a removed file
 * looks for the file anew.
 */
#include "host/uid_lease.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/number.h"

#define UID_MIN	  1000U
#define UID_MAX	  4294967293U
#define NAME_SIZE 16384 /* of an entry of the user database */
#define TRIES_MAX 4096	/* numbers looked at */
#define LOCKS_MAX 16	/* files of one number that vanish while we lock them */

bool uid_range_parse(const char *text, struct uid_range *out, struct error *e)
{
	uint64_t first, last;
	const char *dash = strchr(text, '-');
	if (!dash || !number_u64_n(text, (size_t)(dash - text), &first) ||
	    !number_u64(dash + 1, &last)) {
		return error_set(e, ERROR_INVALID, "\"%s\" is no range FIRST-LAST of user numbers",
				 text);
	}
	if (first < UID_MIN || last > UID_MAX || first > last) {
		return error_set(e, ERROR_INVALID,
				 "\"%s\": user numbers of machines lie between %u and %u", text,
				 UID_MIN, UID_MAX);
	}
	*out = (struct uid_range){ .first = (uint32_t)first, .n = (uint32_t)(last - first + 1) };
	return true;
}

uint32_t uid_range_begin(const struct uid_range *r, const char *name)
{
	uint32_t h = 2166136261U; /* FNV-1a */
	for (; *name; name++) {
		h = (h ^ (uint8_t)*name) * 16777619U;
	}
	return r->first + h % r->n;
}

/* In doubt it is somebody's. */
static bool is_known(uint32_t uid)
{
	struct passwd pw, *user = NULL;
	struct group gr, *group = NULL;
	char *room = mem_alloc(NAME_SIZE);
	int u = getpwuid_r(uid, &pw, room, NAME_SIZE, &user);
	int g = getgrgid_r(uid, &gr, room, NAME_SIZE, &group);
	free(room);
	return user || group || u == ERANGE || g == ERANGE;
}

static char *lock_path(const char *dir, uint32_t uid)
{
	return mem_printf("%s/%u", dir, uid);
}

static bool is_there(int fd, const char *path)
{
	struct stat a, b;
	return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

/* -1: an error; -2: taken. */
static int lock(const char *path, struct error *e)
{
	for (int i = 0; i < LOCKS_MAX; i++) {
		int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0) {
			error_set_sys(e, errno, "\"%s\"", path);
			return -1;
		}
		if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
			close(fd);
			return -2;
		}
		if (is_there(fd, path)) {
			return fd;
		}
		close(fd);
	}
	return -2;
}

int uid_lease_take(const struct uid_range *r, const char *dir, const char *name, uint32_t *uid,
		   struct error *e)
{
	uint32_t begin = uid_range_begin(r, name) - r->first;
	if (!file_make_dirs(dir, 0700, e)) {
		return -1;
	}
	for (uint32_t i = 0; i < r->n && i < TRIES_MAX; i++) {
		uint32_t candidate = r->first + (begin + i) % r->n;
		if (is_known(candidate)) {
			continue;
		}
		char *path = lock_path(dir, candidate);
		int fd = lock(path, e);
		free(path);
		if (fd != -2) {
			*uid = candidate;
			return fd;
		}
	}
	error_set(e, ERROR_NO_SPACE, "no user number is free in %u-%u", r->first,
		  r->first + (r->n - 1));
	return -1;
}

void uid_lease_end(const char *dir, uint32_t uid)
{
	char *path = lock_path(dir, uid);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && is_there(fd, path)) {
		unlink(path);
	}
	if (fd >= 0) {
		close(fd);
	}
	free(path);
}

void uid_lease_sweep(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *x;
	uint32_t uid;
	while (d && (x = readdir(d))) {
		if (number_u32(x->d_name, &uid)) {
			uid_lease_end(dir, uid);
		}
	}
	if (d) {
		closedir(d);
	}
}
