/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/value_file.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "vim/soap.h"

static struct json_object *json_from_array(const struct value *array)
{
	struct json_object *list = json_object_new_array();
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < value_count(array); i++) {
		buf_clear(&b);
		soap_write_any(&b, "value", value_item(array, i), schema_version_served);
		json_object_array_add(list, json_object_new_string_len(b.data, (int)b.len));
	}
	buf_free(&b);
	return list;
}

bool value_file_save(const char *path, const struct value *array, struct error *e)
{
	if (path == NULL) {
		return true;
	}
	struct json_object *list = json_from_array(array);
	const char *text = json_object_to_json_string_ext(list, JSON_C_TO_STRING_PRETTY);
	bool ok = file_write_atomic(path, text, strlen(text), 0600, e);
	json_object_put(list);
	return ok;
}

/* The namespaces that soap_write_any() leaves to the envelope. */
static bool element_read(const struct value **out, uint16_t type, const char *text, struct arena *a,
			 struct error *e)
{
	static const char tag[] = "<value";
	struct buf b = BUF_INIT;

	if (strncmp(text, tag, strlen(tag)) != 0) {
		return error_set(e, ERROR_CORRUPT, "does not begin with \"%s\"", tag);
	}
	buf_adds(&b, "<value xmlns=\"urn:vim25\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" "
		     "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"");
	buf_adds(&b, text + strlen(tag));
	bool ok = soap_read_value(out, type, b.data, b.len, a, e);
	buf_free(&b);
	return ok;
}

struct value *value_file_load(const char *path, uint16_t type, struct arena *a, struct error *e)
{
	struct value *array = value_new_array(a, type);
	struct error found = { 0 };
	struct json_object *doc = NULL;
	struct buf text = BUF_INIT;

	if (path == NULL) {
		return array;
	}
	if (!file_read(path, VALUE_FILE_MAX, &text, &found)) {
		buf_free(&text);
		if (found.kind == ERROR_NOT_FOUND) {
			return array;
		}
		error_set(e, found.kind, "%s", found.msg);
		return NULL;
	}
	doc = json_parse(text.data, text.len, VALUE_FILE_MAX, JSON_DEPTH_DEFAULT, e);
	buf_free(&text);
	if (doc == NULL) {
		error_prefix(e, "file \"%s\": ", path);
		return NULL;
	}
	struct json_at root = json_root(doc);
	bool ok = json_as_array(&root, e);
	for (size_t i = 0; ok && i < json_array_n(&root); i++) {
		struct json_at at = json_item(&root, i);
		const struct value *v = NULL;
		const char *item;
		ok = json_as_str(&at, &item, e) && element_read(&v, type, item, a, e);
		if (ok) {
			value_push(a, array, v);
		}
	}
	json_object_put(doc);
	if (!ok) {
		error_prefix(e, "file \"%s\": ", path);
		return NULL;
	}
	return array;
}
