/* SPDX-License-Identifier: Apache-2.0 */
/* Changes to a document as anybody may ask for them. What comes out must be a document, and the
 * rules must compile when they share what they can with those before. */
#include "switch/tables.h"

#include <assert.h>
#include <string.h>

#include "plane/document_schema.h"
#include "switch/flow.h"
#include "switch/plane_schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	SIZE_MOST = 1 << 14,
};

static const char document[] =
	"{\"mode\":\"standard\",\"ports\":[{\"name\":\"a\",\"kind\":\"vhost\",\"path\":\"/a\","
	"\"segment\":\"s\",\"mac\":\"02:00:00:00:00:01\",\"addresses\":[\"10.1.0.1\"]},"
	"{\"name\":\"u\",\"kind\":\"memif\",\"path\":\"/u\"}],"
	"\"teams\":[{\"name\":\"t\",\"ports\":[\"u\"],\"mac\":\"02:00:00:00:02:01\","
	"\"address\":\"172.16.0.1/24\"}],"
	"\"segments\":[{\"name\":\"s\",\"router\":\"r\",\"gateways\":[\"10.1.0.254/24\"]},"
	"{\"name\":\"o\",\"team\":\"t\",\"encapsulation\":\"geneve\",\"vni\":7,\"remotes\":[{"
	"\"mac\":"
	"\"02:00:00:00:01:01\",\"endpoint\":\"172.16.0.2\"}]}],"
	"\"routers\":[{\"name\":\"r\",\"mac\":\"02:00:00:00:03:01\"}],"
	"\"groups\":[{\"name\":\"g\",\"addresses\":[\"10.1.0.0/24\"],\"ports\":[\"a\"]},"
	"{\"name\":\"h\"}],\"firewall\":{\"default\":\"drop\",\"sections\":[{\"name\":\"x\","
	"\"rules\":[{\"id\":1,\"sources\":[\"g\"],\"action\":\"allow\"},{\"id\":2,\"services\":[{"
	"\"protocol\":\"tcp\",\"ports\":[\"80\"]}],\"action\":\"drop\"}]},{\"name\":\"y\","
	"\"rules\":"
	"[]}]}}";

static struct document_schema *schema;
static struct switch_config *config; /* what is changed */

static struct switch_config *read_text(const char *text, size_t n)
{
	struct error e;
	struct json_object *o = json_parse(text, n, 1 << 20, 64, &e);
	struct json_at root = json_root(o);
	struct switch_config *c = o != NULL && document_schema_check(schema, &root, &e)
					  ? switch_config_read(&root, &e)
					  : NULL;

	json_object_put(o);
	return c;
}

static void begin(void)
{
	struct error e;
	struct json_object *text =
		json_parse(plane_schema, plane_schema_size, plane_schema_size, 64, &e);

	schema = document_schema_new(text, &e);
	json_object_put(text);
	config = read_text(document, strlen(document));
	assert(config != NULL);
}

static void compile(const struct switch_config *c)
{
	struct classifier_input in = { config->rules,	 config->n_rules,  config->groups,
				       config->n_groups, config->fallback, NULL };
	struct error e;
	struct classifier *first = classifier_new(&in, &e);

	in = (struct classifier_input){ c->rules,    c->n_rules,  c->groups,
					c->n_groups, c->fallback, first };
	struct classifier *second = classifier_new(&in, &e);
	classifier_free(first);
	classifier_free(second);
}

/* Written down it is a document, which is written the same. */
static void check(const struct switch_config *c)
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error e;

	if (schema == NULL) {
		begin();
	}
	struct json_object *o =
		size > SIZE_MOST ? NULL : json_parse((const char *)data, size, SIZE_MOST, 64, &e);
	struct json_at root = json_root(o);
	if (o != NULL && document_schema_check_part(schema, "changes", &root, &e)) {
		struct switch_config *next = switch_config_change(config, &root, &e);
		if (next != NULL) {
			compile(next);
			check(next);
		}
		switch_config_free(next);
	}
	json_object_put(o);
	return 0;
}
