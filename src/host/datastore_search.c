/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "host/datastore_files.h"
#include "host/datastore_impl.h"

/* One search on its way. */
struct searcher {
	const struct datastore_search *s;
	struct datastore_results *out;
	struct progress *p;
	unsigned max_depth;
	size_t max_entries, n_entries;
};

void datastore_entry_fini(struct datastore_entry *x)
{
	free(x->name);
	free(x->owner);
	*x = (struct datastore_entry){ 0 };
}

void datastore_results_free(struct datastore_results *r)
{
	for (size_t i = 0; i < r->n_folders; i++) {
		struct datastore_listing *l = &r->folders[i];
		for (size_t k = 0; k < l->n_entries; k++) {
			datastore_entry_fini(&l->entries[k]);
		}
		free(l->entries);
		free(l->path);
	}
	free(r->folders);
	*r = (struct datastore_results){ 0 };
}

static char *find_owner(uid_t uid)
{
	char space[1024];
	struct passwd pw, *found = NULL;
	if (uid == 0) {
		return mem_strdup("root");
	}
	if (getpwuid_r(uid, &pw, space, sizeof(space), &found) == 0 && found != NULL) {
		return mem_strdup(found->pw_name);
	}
	return mem_printf("%u", (unsigned)uid);
}

static struct datastore_entry make_entry(const char *name, const struct stat *st)
{
	return (struct datastore_entry){
		.name = mem_strdup(name),
		.is_folder = S_ISDIR(st->st_mode),
		.size = S_ISDIR(st->st_mode) ? 0 : (uint64_t)st->st_size,
		.allocated = (uint64_t)st->st_blocks * 512,
		.mtime_us = (int64_t)st->st_mtim.tv_sec * 1000000 + st->st_mtim.tv_nsec / 1000,
		.owner = find_owner(st->st_uid),
	};
}

static bool is_wanted(const struct datastore_search *s, const char *name)
{
	for (size_t i = 0; i < s->n_patterns; i++) {
		if (datastore_match(s->patterns[i], name, s->ignore_case)) {
			return true;
		}
	}
	return s->n_patterns == 0;
}

static int compare_names(const void *a, const void *b)
{
	const struct datastore_entry *x = a, *y = b;
	return strcmp(x->name, y->name);
}

static int compare_folders_first(const void *a, const void *b)
{
	const struct datastore_entry *x = a, *y = b;
	return x->is_folder != y->is_folder ? (int)y->is_folder - (int)x->is_folder
					    : strcmp(x->name, y->name);
}

struct names {
	char **items;
	size_t n;
};

static void add_entry(struct datastore_listing *l, struct datastore_entry x)
{
	/* Doubles at each power of two. */
	if ((l->n_entries & (l->n_entries - 1)) == 0) {
		size_t n = l->n_entries > 0 ? l->n_entries * 2 : 1;
		l->entries = mem_realloc_array(l->entries, n, sizeof(x));
	}
	l->entries[l->n_entries++] = x;
}

static void add_name(struct names *list, const char *name)
{
	if ((list->n & (list->n - 1)) == 0) {
		size_t n = list->n > 0 ? list->n * 2 : 1;
		list->items = mem_realloc_array(list->items, n, sizeof(char *));
	}
	list->items[list->n++] = mem_strdup(name);
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Reads one folder into l, the names of its folders into subs. */
static bool read_folder(struct searcher *k, DIR *dir, struct datastore_listing *l,
			struct names *subs, struct error *e)
{
	struct dirent *x;
	while ((x = readdir(dir)) != NULL) {
		struct stat st;
		if (!progress_go_on(k->p, e)) {
			return false;
		}
		if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0 ||
		    !datastore_name_check("file", x->d_name, NULL) ||
		    fstatat(dirfd(dir), x->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		    (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) {
			continue;
		}
		if (k->n_entries >= k->max_entries) {
			k->out->truncated = true;
			break;
		}
		if (S_ISDIR(st.st_mode) && k->s->recursive) {
			add_name(subs, x->d_name);
		}
		if (is_wanted(k->s, x->d_name)) {
			add_entry(l, make_entry(x->d_name, &st));
			k->n_entries++;
			progress_set(k->p, k->n_entries, 0);
		}
	}
	if (l->n_entries > 0) {
		qsort(l->entries, l->n_entries, sizeof(l->entries[0]),
		      k->s->folders_first ? compare_folders_first : compare_names);
	}
	if (subs->n > 0) {
		qsort(subs->items, subs->n, sizeof(char *), compare_strings);
	}
	return true;
}

static bool search_folder(struct searcher *k, int fd, const char *path, unsigned depth,
			  struct error *e);

static bool search_subs(struct searcher *k, DIR *dir, const char *path, unsigned depth,
			const struct names *subs, struct error *e)
{
	bool ok = true;
	for (size_t i = 0; ok && i < subs->n; i++) {
		if (depth >= k->max_depth || k->out->n_folders >= k->max_entries) {
			k->out->truncated = true;
			break;
		}
		int sub = openat(dirfd(dir), subs->items[i],
				 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub < 0) {
			continue; /* deleted meanwhile, or not ours to read */
		}
		char *deeper =
			mem_printf("%s%s%s", path, path[0] != '\0' ? "/" : "", subs->items[i]);
		ok = search_folder(k, sub, deeper, depth + 1, e);
		free(deeper);
	}
	return ok;
}

/* Takes over fd. */
static bool search_folder(struct searcher *k, int fd, const char *path, unsigned depth,
			  struct error *e)
{
	DIR *dir = fdopendir(fd);
	if (dir == NULL) {
		close(fd);
		return error_set_sys(e, errno, "folder \"%.120s\"", path);
	}
	struct datastore_results *out = k->out;
	struct datastore_listing l = { .path = mem_strdup(path) };
	struct names subs = { 0 };
	bool ok = read_folder(k, dir, &l, &subs, e);
	out->folders = mem_realloc_array(out->folders, out->n_folders + 1, sizeof(l));
	out->folders[out->n_folders++] = l;
	ok = ok && search_subs(k, dir, path, depth, &subs, e);
	for (size_t i = 0; i < subs.n; i++) {
		free(subs.items[i]);
	}
	free(subs.items);
	closedir(dir);
	return ok;
}

static bool check_search(const struct datastore_search *s, struct error *e)
{
	if (s->n_patterns > 256) {
		return error_set(e, ERROR_LIMIT, "%zu patterns, the limit is 256", s->n_patterns);
	}
	for (size_t i = 0; i < s->n_patterns; i++) {
		if (strlen(s->patterns[i]) > DATASTORE_COMPONENT_MAX) {
			return error_set(e, ERROR_LIMIT, "pattern \"%.60s…\" is too long",
					 s->patterns[i]);
		}
	}
	return true;
}

bool datastore_search(const struct datastore *ds, const char *path,
		      const struct datastore_search *s, struct datastore_results *out,
		      struct progress *p, struct error *e)
{
	char normal[DATASTORE_PATH_MAX + 1];
	struct stat st;
	if (!datastore_path_check(path, normal, e) || !check_search(s, e)) {
		return false;
	}
	int fd = file_open_beneath(ds->root, normal, O_RDONLY | O_NONBLOCK, 0, e);
	if (fd < 0) {
		return false;
	}
	if (fstat(fd, &st) != 0 || !S_ISDIR(st.st_mode)) {
		close(fd);
		return error_set(e, ERROR_INVALID, "\"%.120s\" is not a folder", normal);
	}
	struct datastore_results found = { 0 };
	struct searcher k = {
		.s = s,
		.out = &found,
		.p = p,
		.max_depth = s->max_depth > 0 ? MIN(s->max_depth, (unsigned)DATASTORE_DEPTH_MAX)
					      : DATASTORE_DEPTH_MAX,
		.max_entries = s->max_entries > 0
				       ? MIN(s->max_entries, (size_t)DATASTORE_ENTRIES_MAX)
				       : DATASTORE_ENTRIES_MAX,
	};
	if (!search_folder(&k, fd, normal, 0, e)) {
		datastore_results_free(&found);
		return false;
	}
	*out = found;
	return true;
}

bool datastore_stat(const struct datastore *ds, const char *path, struct datastore_entry *out,
		    struct error *e)
{
	char normal[DATASTORE_PATH_MAX + 1];
	struct stat st;
	if (!datastore_path_check(path, normal, e)) {
		return false;
	}
	int fd = file_open_beneath(ds->root, normal, O_PATH | O_NOFOLLOW, 0, e);
	if (fd < 0) {
		return false;
	}
	int rc = fstat(fd, &st);
	close(fd);
	if (rc != 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) {
		return error_set(e, ERROR_INVALID, "\"%.120s\" is neither a file nor a folder",
				 normal);
	}
	const char *slash = strrchr(normal, '/');
	*out = make_entry(slash != NULL ? slash + 1 : normal, &st);
	return true;
}

/* ---- as a job ---- */

struct search_job {
	const struct datastore *ds;
	char *path;
	struct datastore_search s;
	char **patterns; /* the copies that s.patterns points to */
	struct datastore_results *out;
};

static bool run_search(void *data, struct progress *p, struct error *e)
{
	struct search_job *j = data;
	return datastore_search(j->ds, j->path, &j->s, j->out, p, e);
}

static void release_search(void *data)
{
	struct search_job *j = data;
	for (size_t i = 0; i < j->s.n_patterns; i++) {
		free(j->patterns[i]);
	}
	free(j->patterns);
	free(j->path);
	free(j);
}

struct job *datastore_search_start(const struct datastore *ds, const char *path,
				   const struct datastore_search *s, struct datastore_results *out,
				   const struct job_handler *h)
{
	struct search_job *j = mem_zalloc(sizeof(*j));
	j->ds = ds;
	j->path = mem_strdup(path);
	j->s = *s;
	j->out = out;
	j->patterns = mem_calloc(s->n_patterns + 1, sizeof(char *));
	for (size_t i = 0; i < s->n_patterns; i++) {
		j->patterns[i] = mem_strdup(s->patterns[i]);
	}
	j->s.patterns = (const char *const *)j->patterns;
	return job_start(
		h, &(struct job_work){ .run = run_search, .release = release_search, .data = j });
}
