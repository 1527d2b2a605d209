/* SPDX-License-Identifier: Apache-2.0 */
#include "host/vmx.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/number.h"
#include "host/datastore.h"
#include "host/datastore_files.h"
#include "host/text.h"
#include "host/vmx_lines.h"

static const char volumes[] = "/vmfs/volumes/";

struct vmx *vmx_new(void)
{
	struct vmx *v = mem_zalloc(sizeof(*v));
	vmx_set(v, ".encoding", "UTF-8", NULL);
	return v;
}

static void item_fini(struct vmx_item *x)
{
	free(x->before);
	free(x->raw);
	free(x->key);
	free(x->value);
}

void vmx_free(struct vmx *v)
{
	if (v == NULL) {
		return;
	}
	for (size_t i = 0; i < v->n_items; i++) {
		item_fini(&v->items[i]);
	}
	free(v->items);
	free(v->after);
	free(v);
}

static char *copy_text(const char *s)
{
	return s != NULL ? mem_strdup(s) : NULL;
}

struct vmx *vmx_copy(const struct vmx *v)
{
	struct vmx *copy = mem_zalloc(sizeof(*copy));
	for (size_t i = 0; i < v->n_items; i++) {
		const struct vmx_item *x = &v->items[i];
		vmx_append(copy, (struct vmx_item){ .before = copy_text(x->before),
						    .raw = copy_text(x->raw),
						    .key = mem_strdup(x->key),
						    .value = mem_strdup(x->value) });
	}
	copy->after = copy_text(v->after);
	return copy;
}

void vmx_append(struct vmx *v, struct vmx_item item)
{
	if (v->n_items == v->capacity) {
		v->capacity = v->capacity > 0 ? v->capacity * 2 : 64;
		v->items = mem_realloc_array(v->items, v->capacity, sizeof(v->items[0]));
	}
	v->items[v->n_items++] = item;
}

bool vmx_check_key(const char *key, size_t len, struct error *e)
{
	if (len == 0) {
		return error_set(e, ERROR_CORRUPT, "the key is missing");
	}
	if (len > VMX_KEY_MAX) {
		return error_set(e, ERROR_LIMIT, "key \"%.40s…\" has %zu bytes, the limit is %d",
				 key, len, VMX_KEY_MAX);
	}
	for (size_t i = 0; i < len; i++) {
		char c = key[i];
		if (c <= ' ' || c > '~' || strchr("\"=|", c) != NULL || (i == 0 && c == '#')) {
			return error_set(e, ERROR_CORRUPT,
					 "a key has the character 0x%02x, which none may have",
					 (unsigned)(unsigned char)c);
		}
	}
	return true;
}

bool vmx_check_value(const char *key, const char *value, size_t len, struct error *e)
{
	if (len > VMX_VALUE_MAX) {
		return error_set(e, ERROR_LIMIT,
				 "the value of \"%.80s\" has %zu bytes, the limit is %d", key, len,
				 VMX_VALUE_MAX);
	}
	if (!text_is_utf8(value, len)) {
		return error_set(e, ERROR_CORRUPT, "the value of \"%.80s\" is not UTF-8 text", key);
	}
	return true;
}

struct vmx *vmx_load(int root, const char *path, struct error *e)
{
	struct buf b = BUF_INIT;
	struct vmx *v = NULL;
	if (place_read(root, path, VMX_FILE_MAX, &b, e)) {
		v = vmx_parse(b.data, b.len, e);
		if (v == NULL) {
			error_prefix(e, "\"%.100s\": ", path);
		}
	}
	buf_free(&b);
	return v;
}

bool vmx_save(const struct vmx *v, int root, const char *path, struct error *e)
{
	struct buf b = BUF_INIT;
	vmx_write(v, &b);
	/* Reading it back is the one check that what is on disk can be loaded again. */
	struct vmx *again = vmx_parse(b.data, b.len, e);
	bool ok = again != NULL || error_prefix(e, "\"%.100s\": ", path);
	vmx_free(again);
	struct file_content content = { .data = b.data, .n = b.len, .mode = 0600 };
	ok = ok && place_write(root, path, &content, e);
	buf_free(&b);
	return ok;
}

struct vmx_key vmx_key(const char *fmt, ...)
{
	struct vmx_key key;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(key.s, sizeof(key.s), fmt, ap);
	va_end(ap);
	return key;
}

size_t vmx_n_entries(const struct vmx *v)
{
	return v->n_items;
}

void vmx_entry(const struct vmx *v, size_t i, const char **key, const char **value)
{
	*key = v->items[i].key;
	*value = v->items[i].value;
}

struct vmx_item *vmx_find(const struct vmx *v, const char *key)
{
	for (size_t i = 0; i < v->n_items; i++) {
		if (strcasecmp(v->items[i].key, key) == 0) {
			return &v->items[i];
		}
	}
	return NULL;
}

const char *vmx_get(const struct vmx *v, const char *key)
{
	const struct vmx_item *x = vmx_find(v, key);
	return x != NULL ? x->value : NULL;
}

/* The value; NULL where it is missing or empty. */
static const char *get_filled(const struct vmx *v, const char *key)
{
	const char *value = vmx_get(v, key);
	return value != NULL && value[0] != '\0' ? value : NULL;
}

bool vmx_get_bool(const struct vmx *v, const char *key, bool fallback, bool *out, struct error *e)
{
	const char *value = get_filled(v, key);
	if (value == NULL) {
		*out = fallback;
	} else if (strcasecmp(value, "true") == 0 || strcmp(value, "1") == 0) {
		*out = true;
	} else if (strcasecmp(value, "false") == 0 || strcmp(value, "0") == 0) {
		*out = false;
	} else {
		return error_set(e, ERROR_INVALID,
				 "\"%s\" is \"%.60s\", it has to be TRUE or FALSE", key, value);
	}
	return true;
}

static bool out_of_range(const char *key, const char *value, const struct vmx_range *r,
			 struct error *e)
{
	return error_set(e, ERROR_INVALID,
			 "\"%s\" is \"%.60s\", it has to be a number from %" PRId64 " to %" PRId64
			 "%s%s",
			 key, value, r->min, r->max, r->unit != NULL ? " " : "",
			 r->unit != NULL ? r->unit : "");
}

bool vmx_get_int(const struct vmx *v, const char *key, const struct vmx_range *range, int64_t *out,
		 struct error *e)
{
	const char *value = get_filled(v, key);
	if (value == NULL) {
		if (range->required) {
			return error_set(e, ERROR_INVALID, "\"%s\" is missing", key);
		}
		*out = range->fallback;
		return true;
	}
	int64_t number = 0;
	if (value[0] == '+' || !number_i64(value, &number) || number < range->min ||
	    number > range->max) {
		return out_of_range(key, value, range, e);
	}
	*out = number;
	return true;
}

/* /vmfs/volumes/NAME/path: NAME goes to out, the answer is the path; NULL when malformed. */
static const char *split_volume(const char *value, struct vmx_file *out)
{
	if (strncmp(value, volumes, sizeof(volumes) - 1) != 0) {
		return NULL;
	}
	const char *name = value + sizeof(volumes) - 1;
	const char *slash = strchr(name, '/');
	size_t len = slash != NULL ? (size_t)(slash - name) : 0;
	if (len == 0 || len >= sizeof(out->datastore)) {
		return NULL;
	}
	memcpy(out->datastore, name, len);
	out->datastore[len] = '\0';
	return slash + 1;
}

bool vmx_get_file(const struct vmx *v, const char *key, struct vmx_file *out, struct error *e)
{
	struct vmx_file file = { .datastore = "" };
	const char *value = get_filled(v, key);
	const char *path = value;
	if (value == NULL) {
		*out = file;
		return true;
	}
	if (value[0] == '/') {
		path = split_volume(value, &file);
		if (path == NULL) {
			return error_set(e, ERROR_NAME,
					 "\"%s\" is \"%.80s\", an absolute path outside %s", key,
					 value, volumes);
		}
		if (!datastore_name_check("datastore", file.datastore, e)) {
			return error_prefix(e, "\"%s\": ", key);
		}
	}
	char checked[DATASTORE_PATH_MAX + 1];
	if (!datastore_path_check(path, checked, e)) {
		return error_prefix(e, "\"%s\": ", key);
	}
	size_t len = strlen(checked);
	if (len == 0 || len >= sizeof(file.path)) {
		return error_set(e, ERROR_NAME, "\"%s\": a path of %zu bytes, it may have 1 to %zu",
				 key, len, sizeof(file.path) - 1);
	}
	memcpy(file.path, checked, len + 1);
	*out = file;
	return true;
}

bool vmx_get_uuid(const struct vmx *v, const char *key, char out[37], struct error *e)
{
	const char *value = get_filled(v, key);
	if (value == NULL) {
		out[0] = '\0';
		return true;
	}
	if (!text_uuid_from_esx(value, out)) {
		return error_set(e, ERROR_INVALID, "\"%s\" is \"%.60s\", not a uuid", key, value);
	}
	return true;
}

bool vmx_set_uuid(struct vmx *v, const char *key, const char *uuid, struct error *e)
{
	char text[TEXT_ESX_UUID_SIZE];
	if (!text_uuid_to_esx(uuid, text)) {
		return error_set(e, ERROR_INVALID, "\"%.60s\" is not a uuid", uuid);
	}
	return vmx_set(v, key, text, e);
}

bool vmx_set(struct vmx *v, const char *key, const char *value, struct error *e)
{
	if (!vmx_check_key(key, strlen(key), e) || !vmx_check_value(key, value, strlen(value), e)) {
		return false;
	}
	struct vmx_item *x = vmx_find(v, key);
	if (x == NULL) {
		if (v->n_items >= VMX_LINES_MAX) {
			return error_set(e, ERROR_LIMIT, "\"%s\": there are %d entries already",
					 key, VMX_LINES_MAX);
		}
		vmx_append(v, (struct vmx_item){ .before = v->after,
						 .key = mem_strdup(key),
						 .value = mem_strdup(value) });
		v->after = NULL;
		return true;
	}
	if (strcmp(x->value, value) != 0) {
		char *copy = mem_strdup(value); /* value may be x->value's own tail */
		free(x->value);
		free(x->raw);
		x->value = copy;
		x->raw = NULL;
	}
	return true;
}

bool vmx_set_int(struct vmx *v, const char *key, int64_t value, struct error *e)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRId64, value);
	return vmx_set(v, key, text, e);
}

bool vmx_set_bool(struct vmx *v, const char *key, bool value, struct error *e)
{
	return vmx_set(v, key, value ? "TRUE" : "FALSE", e);
}

/* Removes the entries for which the first n bytes (whole key: n 0) match; says how many. The
 * comments in front of them stay. */
static size_t remove_matching(struct vmx *v, const char *key, size_t n)
{
	struct buf comments = BUF_INIT;
	size_t kept = 0;
	for (size_t i = 0; i < v->n_items; i++) {
		struct vmx_item x = v->items[i];
		bool match = n > 0 ? strncasecmp(x.key, key, n) == 0 : strcasecmp(x.key, key) == 0;
		if (x.before != NULL && (match || comments.len > 0)) {
			buf_adds(&comments, x.before);
			free(x.before);
			x.before = NULL;
		}
		if (match) {
			item_fini(&x);
			continue;
		}
		if (comments.len > 0) {
			x.before = buf_take(&comments);
		}
		v->items[kept++] = x;
	}
	if (comments.len > 0) {
		buf_adds(&comments, v->after != NULL ? v->after : "");
		free(v->after);
		v->after = buf_take(&comments);
	}
	buf_free(&comments);
	size_t removed = v->n_items - kept;
	v->n_items = kept;
	return removed;
}

bool vmx_remove(struct vmx *v, const char *key)
{
	return remove_matching(v, key, 0) > 0;
}

size_t vmx_remove_prefix(struct vmx *v, const char *prefix)
{
	return prefix[0] != '\0' ? remove_matching(v, prefix, strlen(prefix)) : 0;
}
