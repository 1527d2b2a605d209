/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting, copying and moving files and trees. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "host/datastore_files.h"
#include "host/datastore_impl.h"

/* The two ends, opened. */
struct ends {
	char from_path[DATASTORE_PATH_MAX + 1], to_path[DATASTORE_PATH_MAX + 1];
	struct place from, to;
	struct stat st; /* of the source */
	bool force;
};

/* One copy on its way. */
struct copier {
	struct progress *p;
	uint64_t done, total; /* bytes */
};

static bool check_not_root(const char *normal, struct error *e)
{
	return normal[0] != '\0' ||
	       error_set(e, ERROR_INVALID, "the folder of the datastore itself is meant");
}

bool datastore_delete(const struct datastore *ds, const char *path, struct progress *p,
		      struct error *e)
{
	char normal[DATASTORE_PATH_MAX + 1];
	struct place at;
	if (!datastore_path_check(path, normal, e) || !check_not_root(normal, e) ||
	    !progress_go_on(p, e) || !place_open(ds->root, normal, &at, e)) {
		return false;
	}
	bool ok = place_remove(at.folder, at.name, e);
	if (ok && fsync(at.folder) != 0) {
		ok = error_set_sys(e, errno, "\"%.120s\"", normal);
	}
	place_close(&at);
	return ok;
}

/* A tree cannot go into itself: it would never end. */
static bool check_inside(const struct datastore_transfer *t, const struct ends *x, struct error *e)
{
	size_t len = strlen(x->from_path);
	if (t->from->root == t->to->root && strncmp(x->to_path, x->from_path, len) == 0 &&
	    (x->to_path[len] == '/' || x->to_path[len] == '\0')) {
		return error_set(e, ERROR_INVALID, "\"%.90s\" cannot go into itself, \"%.90s\"",
				 x->from_path, x->to_path);
	}
	return true;
}

static bool check_target(const struct ends *x, struct error *e)
{
	struct stat st;
	if (fstatat(x->to.folder, x->to.name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		return errno == ENOENT || error_set_sys(e, errno, "\"%.120s\"", x->to_path);
	}
	if (!x->force || S_ISDIR(st.st_mode) || S_ISDIR(x->st.st_mode)) {
		return error_set(e, ERROR_EXISTS, "\"%.120s\" is there already", x->to_path);
	}
	return true;
}

static void close_ends(struct ends *x)
{
	place_close(&x->from);
	place_close(&x->to);
}

/* On success the caller ends with close_ends(). */
static bool open_ends(const struct datastore_transfer *t, struct ends *x, struct error *e)
{
	x->from.folder = x->to.folder = -1;
	x->force = t->force;
	bool ok = datastore_path_check(t->from_path, x->from_path, e) &&
		  datastore_path_check(t->to_path, x->to_path, e) &&
		  check_not_root(x->from_path, e) && check_not_root(x->to_path, e) &&
		  check_inside(t, x, e) && place_open(t->from->root, x->from_path, &x->from, e) &&
		  place_open(t->to->root, x->to_path, &x->to, e);
	if (ok && fstatat(x->from.folder, x->from.name, &x->st, AT_SYMLINK_NOFOLLOW) != 0) {
		ok = error_set_sys(e, errno, "\"%.120s\"", x->from_path);
	}
	if (ok && !S_ISREG(x->st.st_mode) && !S_ISDIR(x->st.st_mode)) {
		ok = error_set(e, ERROR_INVALID, "\"%.120s\" is neither a file nor a folder",
			       x->from_path);
	}
	ok = ok && check_target(x, e);
	if (!ok) {
		close_ends(x);
	}
	return ok;
}

static bool copy_file(struct copier *k, int from_dir, const char *name, int to_dir,
		      const char *to_name, struct error *e)
{
	struct stat st;
	int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (from < 0 || fstat(from, &st) != 0) {
		if (from >= 0) {
			close(from);
		}
		return error_set_sys(e, errno, "\"%.120s\"", name);
	}
	int to = openat(to_dir, to_name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			st.st_mode & 0777);
	if (to < 0) {
		close(from);
		return error_set_sys(e, errno, "\"%.120s\"", name);
	}
	uint64_t len = (uint64_t)st.st_size;
	struct file_copy c = {
		.from = from, .to = to, .len = len, .before = k->done, .total = k->total
	};
	bool ok = file_copy(&c, k->p, e) || error_prefix(e, "\"%.120s\": ", name);
	if (ok && fsync(to) != 0) {
		ok = error_set_sys(e, errno, "\"%.120s\"", name);
	}
	k->done += len;
	close(from);
	close(to);
	return ok;
}

static bool copy_tree(struct copier *k, int from_dir, const char *name, int to_dir,
		      const char *to_name, struct error *e);

/* Copies what is in the open folder to the open folder; special files and our own stay behind. */
static bool copy_entries(struct copier *k, DIR *dir, int to_dir, struct error *e)
{
	bool ok = true;
	struct dirent *x;
	while (ok && (x = readdir(dir)) != NULL) {
		struct stat st;
		const char *name = x->d_name;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || place_is_own_name(name) ||
		    fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
			continue;
		}
		if (S_ISREG(st.st_mode)) {
			ok = copy_file(k, dirfd(dir), name, to_dir, name, e);
		} else if (S_ISDIR(st.st_mode)) {
			ok = copy_tree(k, dirfd(dir), name, to_dir, name, e);
		}
	}
	return ok;
}

static bool copy_tree(struct copier *k, int from_dir, const char *name, int to_dir,
		      const char *to_name, struct error *e)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	if (mkdirat(to_dir, to_name, 0750) != 0) {
		return error_set_sys(e, errno, "\"%.120s\"", name);
	}
	int from = openat(from_dir, name, flags);
	int to = openat(to_dir, to_name, flags);
	DIR *dir = from >= 0 && to >= 0 ? fdopendir(from) : NULL;
	bool ok = dir != NULL || error_set_sys(e, errno, "\"%.120s\"", name);
	ok = ok && copy_entries(k, dir, to, e);
	if (ok && fsync(to) != 0) {
		ok = error_set_sys(e, errno, "\"%.120s\"", name);
	}
	if (dir != NULL) {
		closedir(dir);
	} else if (from >= 0) {
		close(from);
	}
	if (to >= 0) {
		close(to);
	}
	return ok;
}

/* What the source takes on disk: what the copy needs, and the measure of progress for trees. */
static uint64_t source_bytes(const struct ends *x)
{
	if (!S_ISDIR(x->st.st_mode)) {
		return (uint64_t)x->st.st_blocks * 512;
	}
	int fd = openat(x->from.folder, x->from.name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	uint64_t sum = fd >= 0 ? place_usage(fd) : 0;
	if (fd >= 0) {
		close(fd);
	}
	return sum;
}

static bool copy_ends(const struct datastore *to, const struct ends *x, struct progress *p,
		      struct error *e)
{
	char temp[DATASTORE_TEMP_SIZE];
	bool is_tree = S_ISDIR(x->st.st_mode);
	uint64_t bytes = source_bytes(x);
	struct copier k = { .p = p, .total = is_tree ? bytes : (uint64_t)x->st.st_size };
	if (!datastore_has_room(to, bytes, e)) {
		return false;
	}
	place_temp_name("part", temp);
	bool ok = is_tree ? copy_tree(&k, x->from.folder, x->from.name, x->to.folder, temp, e)
			  : copy_file(&k, x->from.folder, x->from.name, x->to.folder, temp, e);
	ok = ok && place_commit(&x->to, temp, x->force, x->to_path, e);
	if (!ok) {
		place_remove(x->to.folder, temp, NULL);
	}
	return ok;
}

bool datastore_copy(const struct datastore_transfer *t, struct progress *p, struct error *e)
{
	struct ends x;
	if (!open_ends(t, &x, e)) {
		return false;
	}
	bool ok = copy_ends(t->to, &x, p, e);
	close_ends(&x);
	return ok;
}

static bool sync_ends(const struct ends *x, struct error *e)
{
	if (fsync(x->to.folder) != 0 || fsync(x->from.folder) != 0) {
		return error_set_sys(e, errno, "\"%.120s\"", x->to_path);
	}
	return true;
}

static bool move_ends(const struct datastore *to, const struct ends *x, struct progress *p,
		      struct error *e)
{
	unsigned flags = x->force ? 0 : RENAME_NOREPLACE;
	if (renameat2(x->from.folder, x->from.name, x->to.folder, x->to.name, flags) == 0) {
		return sync_ends(x, e);
	}
	if (errno != EXDEV) {
		return error_set_sys(e, errno, "\"%.120s\"", x->to_path);
	}
	return copy_ends(to, x, p, e) && place_remove(x->from.folder, x->from.name, e) &&
	       sync_ends(x, e);
}

bool datastore_move(const struct datastore_transfer *t, struct progress *p, struct error *e)
{
	struct ends x;
	if (!open_ends(t, &x, e)) {
		return false;
	}
	bool ok = progress_go_on(p, e) && move_ends(t->to, &x, p, e);
	close_ends(&x);
	return ok;
}

/* ---- as jobs ---- */

struct transfer_job {
	struct datastore_transfer t; /* with copies of the paths; to_path NULL for a deletion */
	char *from_path, *to_path;
};

static bool run_delete(void *data, struct progress *p, struct error *e)
{
	struct transfer_job *j = data;
	return datastore_delete(j->t.from, j->t.from_path, p, e);
}

static bool run_copy(void *data, struct progress *p, struct error *e)
{
	struct transfer_job *j = data;
	return datastore_copy(&j->t, p, e);
}

static bool run_move(void *data, struct progress *p, struct error *e)
{
	struct transfer_job *j = data;
	return datastore_move(&j->t, p, e);
}

static void release(void *data)
{
	struct transfer_job *j = data;
	free(j->from_path);
	free(j->to_path);
	free(j);
}

static struct job *start(const struct datastore_transfer *t, const struct job_handler *h,
			 bool (*run)(void *, struct progress *, struct error *))
{
	struct transfer_job *j = mem_zalloc(sizeof(*j));
	j->from_path = mem_strdup(t->from_path);
	j->to_path = t->to_path != NULL ? mem_strdup(t->to_path) : NULL;
	j->t = *t;
	j->t.from_path = j->from_path;
	j->t.to_path = j->to_path;
	return job_start(h, &(struct job_work){ .run = run, .release = release, .data = j });
}

struct job *datastore_delete_start(const struct datastore *ds, const char *path,
				   const struct job_handler *h)
{
	return start(&(struct datastore_transfer){ .from = ds, .from_path = path }, h, run_delete);
}

struct job *datastore_copy_start(const struct datastore_transfer *t, const struct job_handler *h)
{
	return start(t, h, run_copy);
}

struct job *datastore_move_start(const struct datastore_transfer *t, const struct job_handler *h)
{
	return start(t, h, run_move);
}
