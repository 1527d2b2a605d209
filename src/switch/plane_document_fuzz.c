/* SPDX-License-Identifier: Apache-2.0 */
/* Plane documents as anybody may give them. What is taken must compile or be refused for a limit,
 * and must be the same again when it is written down and read. */
#include "switch/tables.h"

#include <assert.h>
#include <string.h>

#include "plane/document_schema.h"
#include "switch/flow.h"
#include "switch/plane_schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	SIZE_MOST = 1 << 16,
};

static struct document_schema *schema(void)
{
	static struct document_schema *s;
	struct error e;

	if (s == NULL) {
		struct json_object *text =
			json_parse(plane_schema, plane_schema_size, plane_schema_size, 64, &e);
		s = document_schema_new(text, &e);
		json_object_put(text);
		assert(s != NULL);
	}
	return s;
}

static struct switch_config *read_text(const char *text, size_t n)
{
	struct error e;
	struct json_object *o = json_parse(text, n, 16 * (size_t)SIZE_MOST, 64, &e);
	struct json_at root = json_root(o);
	struct switch_config *c = o != NULL && document_schema_check(schema(), &root, &e)
					  ? switch_config_read(&root, &e)
					  : NULL;

	json_object_put(o);
	return c;
}

static void write_and_read(const struct switch_config *c)
{
	struct buf first = BUF_INIT, second = BUF_INIT;

	switch_config_write(c, &first);
	struct switch_config *again = read_text(first.data, first.len);
	assert(again != NULL);
	switch_config_write(again, &second);
	assert(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
	switch_config_free(again);
	buf_free(&first);
	buf_free(&second);
}

static uint16_t next_index(void *arg, const char *name)
{
	uint16_t *n = arg;

	(void)name;
	return *n + 1 < FLOW_IFACES_MAX ? ++*n : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct switch_config *c = size > SIZE_MOST ? NULL : read_text((const char *)data, size);
	uint16_t n = 0;
	struct iface_index index = { next_index, &n };
	struct error e;

	if (c == NULL) {
		return 0;
	}
	write_and_read(c);
	struct tables *t = tables_new(c, 1, &index, &e);
	if (t == NULL) {
		switch_config_free(c);
	}
	tables_free(t);
	return 0;
}
