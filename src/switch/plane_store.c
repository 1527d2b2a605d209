/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/plane_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/mem.h"

LOG_MODULE("switch");

enum {
	CHANGES_MAX = 8192, /* lines */
	CHANGES_BYTES_MIN = 1 << 20,
	HEAD_BYTES = 40,
};

struct plane_store {
	char *folder, *document, *changes;
	int fd;			 /* of the changes; -1: not open */
	size_t n_lines, n_bytes; /* that are good */
	size_t document_bytes;
	struct stat document_file; /* that was loaded */
	char head[HEAD_BYTES];	   /* of the changes that were; tells them from later ones */
	size_t n_head;
};

struct plane_store *plane_store_new(const char *folder)
{
	struct plane_store *s = mem_zalloc(sizeof(*s));

	s->folder = mem_strdup(folder);
	s->document = mem_printf("%s/plane.json", folder);
	s->changes = mem_printf("%s/plane.changes", folder);
	s->fd = -1;
	return s;
}

void plane_store_free(struct plane_store *s)
{
	if (s == NULL) {
		return;
	}
	if (s->fd >= 0) {
		close(s->fd);
	}
	free(s->folder);
	free(s->document);
	free(s->changes);
	free(s);
}

/* ---- loading ---- */

static bool load_document(struct plane_store *s, const struct document_schema *schema,
			  struct switch_config **out, uint64_t *generation, struct error *e)
{
	/* Before it is read: what is renamed over it meanwhile is another file the next time. */
	if (stat(s->document, &s->document_file) != 0) {
		return error_set_sys(e, errno, "\"%s\"", s->document);
	}
	struct json_object *kept = json_parse_file(s->document, PLANE_DOCUMENT_MAX, e);
	struct json_at root = json_root(kept), document;

	if (kept == NULL) {
		return false;
	}
	bool ok = json_get_u64(&root, "generation", generation, e) &&
		  json_get_object(&root, "document", &document, e) &&
		  document_schema_check(schema, &document, e);
	*out = ok ? switch_config_read(&document, e) : NULL;
	json_object_put(kept);
	s->document_bytes = (size_t)s->document_file.st_size;
	return *out != NULL || error_prefix(e, "\"%s\": ", s->document);
}

/* Appends the changes of one line to all, where they are newer than the document. */
static bool load_line(const char *line, size_t n, const struct document_schema *schema,
		      struct json_object *all, uint64_t *generation, struct error *e)
{
	struct json_object *o = json_parse(line, n, PLANE_DOCUMENT_MAX, JSON_DEPTH_DEFAULT, e);
	struct json_at root = json_root(o), changes;
	uint64_t g;

	if (o == NULL) {
		return false;
	}
	bool ok = json_get_u64(&root, "generation", &g, e) &&
		  json_get_array(&root, "changes", &changes, e) &&
		  document_schema_check_part(schema, "changes", &changes, e);
	if (ok && g > *generation) {
		for (size_t i = 0; i < json_array_n(&changes); i++) {
			json_object_array_add(all, json_object_get(json_item(&changes, i).value));
		}
		*generation = g;
	}
	json_object_put(o);
	return ok;
}

/* All changes that were made since the document of *generation, which becomes that of the last. */
static bool load_changes(struct plane_store *s, const struct document_schema *schema,
			 struct json_object *all, uint64_t *generation, struct error *e)
{
	struct buf text = BUF_INIT;
	bool ok = file_read(s->changes, (size_t)PLANE_DOCUMENT_MAX * 2, &text, e);

	if (ok && (s->n_bytes > text.len || memcmp(s->head, text.data, s->n_head) != 0)) {
		s->n_bytes = s->n_lines = 0; /* the document has been written whole since */
	}
	while (ok && s->n_bytes < text.len) {
		const char *line = text.data + s->n_bytes;
		const char *end = memchr(line, '\n', text.len - s->n_bytes);
		if (end == NULL) {
			log_warn("\"%s\": the last line has no end and was never acknowledged",
				 s->changes);
			break;
		}
		size_t n = (size_t)(end - line);
		ok = load_line(line, n, schema, all, generation, e) ||
		     error_prefix(e, "\"%s\": line %zu: ", s->changes, s->n_lines + 1);
		s->n_bytes += n + 1;
		s->n_lines++;
	}
	s->n_head = MIN(s->n_bytes, (size_t)HEAD_BYTES);
	memcpy(s->head, text.data, ok ? s->n_head : 0);
	buf_free(&text);
	return ok;
}

static bool make_changes(struct plane_store *s, struct json_object *all,
			 struct switch_config **config, struct error *e)
{
	struct json_at root = json_root(all);

	if (json_array_n(&root) == 0) {
		return true;
	}
	struct switch_config *after = switch_config_change(*config, &root, e);
	if (after == NULL) {
		return error_prefix(e, "\"%s\": ", s->changes);
	}
	switch_config_free(*config);
	*config = after;
	return true;
}

bool plane_store_load(struct plane_store *s, const struct document_schema *schema,
		      struct switch_config **out, uint64_t *generation, struct error *e)
{
	struct json_object *all = json_object_new_array();
	struct switch_config *config = NULL;
	uint64_t g = 0;
	bool ok = true;

	if (access(s->document, F_OK) == 0) {
		ok = load_document(s, schema, &config, &g, e);
		if (ok && access(s->changes, F_OK) == 0) {
			ok = load_changes(s, schema, all, &g, e) &&
			     make_changes(s, all, &config, e);
		}
	}
	json_object_put(all);
	if (!ok) {
		switch_config_free(config);
		return false;
	}
	*out = config;
	*generation = g;
	return true;
}

void plane_store_forget(struct plane_store *s)
{
	memset(&s->document_file, 0, sizeof(s->document_file));
	s->n_head = s->n_bytes = s->n_lines = 0;
}

/* It is written by renaming: another content is another file. */
static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Changes of a document that is the same. */
static bool follow_changes(struct plane_store *s, const struct document_schema *schema,
			   const struct switch_config *before, uint64_t *generation,
			   struct switch_config **out, struct error *e)
{
	struct json_object *all = json_object_new_array();
	struct json_at root = json_root(all);
	uint64_t g = *generation;
	bool ok = load_changes(s, schema, all, &g, e);

	*out = NULL;
	if (ok && g != *generation) {
		*out = switch_config_change(before, &root, e);
		ok = *out != NULL || error_prefix(e, "\"%s\": ", s->changes);
	}
	json_object_put(all);
	if (ok) {
		*generation = g;
	}
	return ok;
}

bool plane_store_follow(struct plane_store *s, const struct document_schema *schema,
			const struct switch_config *before, uint64_t *generation,
			struct switch_config **out, struct error *e)
{
	struct stat now, changes;
	bool ok = true;

	*out = NULL;
	if (stat(s->document, &now) != 0) {
		return errno == ENOENT || error_set_sys(e, errno, "\"%s\"", s->document);
	}
	if (before == NULL || !is_same_file(&now, &s->document_file)) {
		plane_store_forget(s);
		ok = plane_store_load(s, schema, out, generation, e);
	} else if (stat(s->changes, &changes) == 0 && (size_t)changes.st_size != s->n_bytes) {
		ok = follow_changes(s, schema, before, generation, out, e);
	}
	if (!ok) {
		plane_store_forget(s);
	}
	return ok;
}

/* ---- keeping ---- */

bool plane_store_put(struct plane_store *s, uint64_t generation, const struct switch_config *c,
		     struct error *e)
{
	struct buf text = BUF_INIT;
	bool ok;

	buf_addf(&text, "{\"generation\":%llu,\"document\":", (unsigned long long)generation);
	switch_config_write(c, &text);
	buf_addc(&text, '}');
	s->document_bytes = text.len;
	if (text.len > PLANE_DOCUMENT_MAX) {
		ok = error_set(e, ERROR_LIMIT, "the document has %zu bytes; it can have %d",
			       text.len, PLANE_DOCUMENT_MAX);
	} else {
		ok = file_write_atomic(s->document, text.data, text.len, 0600, e);
	}
	buf_free(&text);
	if (ok && (s->n_bytes > 0 || s->fd >= 0 || access(s->changes, F_OK) == 0)) {
		/* Lines that stay, for whatever reason, are older than the document. */
		if (truncate(s->changes, 0) != 0 && errno != ENOENT) {
			log_warn("\"%s\": %s", s->changes, strerror(errno));
		} else {
			s->n_bytes = s->n_lines = 0;
		}
	}
	return ok;
}

static bool open_changes(struct plane_store *s, struct error *e)
{
	struct stat st;

	if (s->fd >= 0) {
		return true;
	}
	int fd = open(s->changes, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fstat(fd, &st) != 0 ||
	    ((size_t)st.st_size > s->n_bytes && ftruncate(fd, (off_t)s->n_bytes) != 0)) {
		error_set_sys(e, errno, "\"%s\"", s->changes);
		if (fd >= 0) {
			close(fd);
		}
		return false;
	}
	if (!file_sync_dir(AT_FDCWD, s->folder, e)) {
		close(fd);
		return false;
	}
	s->fd = fd;
	return true;
}

static bool append(struct plane_store *s, const struct buf *line, struct error *e)
{
	if (!open_changes(s, e)) {
		return false;
	}
	if (lseek(s->fd, (off_t)s->n_bytes, SEEK_SET) < 0 ||
	    !file_write_all(s->fd, line->data, line->len, s->changes, e) || fdatasync(s->fd) != 0) {
		error_set_sys(e, errno, "\"%s\"", s->changes);
		if (ftruncate(s->fd, (off_t)s->n_bytes) != 0) {
			s->n_lines = CHANGES_MAX; /* next time, the document whole */
		}
		return false;
	}
	s->n_bytes += line->len;
	s->n_lines++;
	return true;
}

bool plane_store_add(struct plane_store *s, uint64_t generation, struct json_object *changes,
		     const struct switch_config *after, struct error *e)
{
	struct buf line = BUF_INIT;
	size_t most = MAX(s->document_bytes / 2, (size_t)CHANGES_BYTES_MIN);

	buf_addf(&line, "{\"generation\":%llu,\"changes\":", (unsigned long long)generation);
	json_add_text(&line, changes);
	buf_adds(&line, "}\n");
	bool ok = s->n_lines >= CHANGES_MAX || s->n_bytes + line.len > most
			  ? plane_store_put(s, generation, after, e)
			  : append(s, &line, e);
	buf_free(&line);
	return ok;
}
