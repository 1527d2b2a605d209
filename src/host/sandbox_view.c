/* SPDX-License-Identifier: Apache-2.0 */
/* What a sandboxed program sees of the file system; pure but for looking at what is there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "host/sandbox.h"

#define LINKS_MAX 32 /* on the way to one path */
#define PATH_LEN  4096

#if defined(__aarch64__)
#define TRIPLET	    "aarch64-linux-gnu"
#define INTERPRETER "/lib/ld-linux-aarch64.so.1" /* ELF for the Arm 64-bit architecture */
#else
#define TRIPLET	    "x86_64-linux-gnu"
#define INTERPRETER "/lib64/ld-linux-x86-64.so.2" /* System V ABI, AMD64 supplement */
#endif

/* An entry for this very path, or a tree that holds it. */
static bool is_seen(const struct sandbox_view *v, const char *path)
{
	for (size_t i = 0; i < v->entries.n; i++) {
		const struct sandbox_entry *x = &v->entries.items[i];
		size_t n = strlen(x->path);
		if (strncmp(x->path, path, n) == 0 &&
		    (!path[n] || (path[n] == '/' && x->kind == SANDBOX_TREE))) {
			return true;
		}
	}
	return false;
}

static void add_entry(struct sandbox_view *v, enum sandbox_entry_kind kind, const char *path,
		      const char *target, dev_t device)
{
	if (!is_seen(v, path)) {
		vec_push(&v->entries, (struct sandbox_entry){
					      .kind = kind,
					      .path = mem_strdup(path),
					      .target = target ? mem_strdup(target) : NULL,
					      .device = device,
				      });
	}
}

/* The path that `path` is when the link in its first `n` bytes is followed. The caller's. */
static char *follow(const char *path, size_t n, const char *target)
{
	size_t folder = n;
	while (folder > 0 && path[folder - 1] != '/') {
		folder--;
	}
	if (target[0] == '/') {
		return mem_printf("%s%s", target, path + n);
	}
	return mem_printf("%.*s%s%s", (int)folder, path, target, path + n);
}

/* "/usr/lib/../share" without the steps back: what stands before them is no link any more. The
 * caller's. */
static char *straighten(const char *path)
{
	struct buf b = BUF_INIT;
	while (*path) {
		path += strspn(path, "/");
		size_t n = strcspn(path, "/");
		if (n == 2 && path[0] == '.' && path[1] == '.') {
			while (b.len > 0 && b.data[--b.len] != '/') {
			}
		} else if (n > 0 && !(n == 1 && path[0] == '.')) {
			buf_addf(&b, "/%.*s", (int)n, path);
		}
		path += n;
	}
	char *out = mem_strndup(b.len ? b.data : "/", b.len ? b.len : 1);
	buf_free(&b);
	return out;
}

static enum sandbox_entry_kind kind_of(const struct stat *st, bool is_last)
{
	if (S_ISDIR(st->st_mode)) {
		return is_last ? SANDBOX_TREE : SANDBOX_FOLDER;
	}
	return S_ISCHR(st->st_mode) ? SANDBOX_DEVICE : SANDBOX_FILE;
}

/* Adds the parts of a straight path; at a link the link, and what the path is then (the caller's);
 * else NULL: all is added, or it does not exist. */
static char *add_parts(struct sandbox_view *v, const char *root, const char *path)
{
	char part[PATH_LEN], real[2 * PATH_LEN], target[PATH_LEN];
	size_t len = strlen(path);
	for (size_t n = 1; n <= len && len < PATH_LEN; n++) {
		struct stat st;
		if (path[n] != '/' && path[n] != '\0') {
			continue;
		}
		snprintf(part, sizeof(part), "%.*s", (int)n, path);
		snprintf(real, sizeof(real), "%s%s", root, part);
		if (lstat(real, &st) != 0) {
			return NULL;
		}
		if (S_ISLNK(st.st_mode)) {
			ssize_t t = readlink(real, target, sizeof(target) - 1);
			if (t <= 0) {
				return NULL;
			}
			target[t] = '\0';
			add_entry(v, SANDBOX_LINK, part, target, 0);
			return follow(path, n, target);
		}
		add_entry(v, kind_of(&st, n == len), part, NULL, st.st_rdev);
	}
	return NULL;
}

void sandbox_view_add(struct sandbox_view *v, const char *root, const char *path)
{
	char *real = mem_printf("%s%s", root, path);
	char *next = access(real, F_OK) == 0 ? mem_strdup(path) : NULL;
	free(real);
	for (int i = 0; next && i < LINKS_MAX; i++) {
		char *straight = straighten(next);
		free(next);
		next = strcmp(straight, "/") == 0 ? NULL : add_parts(v, root, straight);
		free(straight);
	}
	free(next);
}

void sandbox_view_add_folder(struct sandbox_view *v, const char *folder, const char *name)
{
	add_entry(v, SANDBOX_TREE, name, folder, 0);
}

void sandbox_view_add_sockets(struct sandbox_view *v, const char *root, const char *folder)
{
	size_t n = v->entries.n;
	sandbox_view_add(v, root, folder);
	if (v->entries.n > n && vec_last(&v->entries).kind == SANDBOX_TREE) {
		vec_last(&v->entries).kind = SANDBOX_SOCKETS;
	}
}

/* A system whose libraries lie in folders of their own by architecture shows only those. */
static void add_libraries(struct sandbox_view *v, const char *root, const char *prefix)
{
	static const char *const names[] = { "/lib64", "/lib" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char *all = mem_printf("%s%s", prefix, names[i]);
		char *ours = mem_printf("%s/" TRIPLET, all);
		char *real = mem_printf("%s%s", root, ours);
		sandbox_view_add(v, root, access(real, F_OK) == 0 ? ours : all);
		free(real);
		free(ours);
		free(all);
	}
}

void sandbox_view_add_program(struct sandbox_view *v, const char *root, const char *program)
{
	static const char *const systems[] = { "", "/usr", "/usr/local" };
	sandbox_view_add(v, root, program);
	for (size_t i = 0; i < ARRAY_LEN(systems); i++) {
		add_libraries(v, root, systems[i]);
	}
	/* It may lie outside of the folders for the architecture; after them: on the way to it a
	 * folder would else be shown alone. */
	sandbox_view_add(v, root, INTERPRETER);
	sandbox_view_add(v, root, "/etc/ld.so.cache");
	const char *bin = strstr(program, "/bin/");
	if (bin) {
		char *prefix = mem_strndup(program, (size_t)(bin - program));
		add_libraries(v, root, prefix);
		free(prefix);
	}
}

void sandbox_view_fini(struct sandbox_view *v)
{
	vec_each (&v->entries, x) {
		free(x->path);
		free(x->target);
	}
	vec_free(&v->entries);
}
