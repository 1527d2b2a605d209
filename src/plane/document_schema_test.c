/* SPDX-License-Identifier: Apache-2.0 */
/* Argument: the schema of a plane, which must compile too. */
#include "plane/document_schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"

static const char *real_schema;

static const char text[] =
	"{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"name\"],"
	"\"properties\":{\"name\":{\"$ref\":\"#/$defs/name\"},"
	"\"mode\":{\"enum\":[\"a\",\"b\",4]},\"on\":{\"type\":\"boolean\"},"
	"\"n\":{\"type\":[\"string\",\"integer\"],\"minimum\":1,\"maximum\":9,\"maxLength\":2},"
	"\"list\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":2,"
	"\"items\":{\"type\":\"object\",\"required\":[\"x\"],"
	"\"properties\":{\"x\":{\"type\":\"integer\"}}}}},"
	"\"$defs\":{\"name\":{\"type\":\"string\",\"minLength\":1,\"pattern\":\"^[a-z]+$\"}}}";

static struct document_schema *schema(const char *s, struct error *e)
{
	struct json_object *o = json_parse(s, strlen(s), 100000, 32, e);

	assert_non_null(o);
	struct document_schema *d = document_schema_new(o, e);
	json_object_put(o);
	return d;
}

static bool check(const struct document_schema *s, const char *document, struct error *e)
{
	struct json_object *o = json_parse(document, strlen(document), 100000, 32, e);

	assert_non_null(o);
	struct json_at root = json_root(o);
	bool ok = document_schema_check(s, &root, e);
	json_object_put(o);
	return ok;
}

static void what_is_right_is_taken(void **state)
{
	static const char *const good[] = {
		"{\"name\":\"ab\"}",
		("{\"name\":\"ab\",\"mode\":\"b\",\"on\":true,\"n\":9,\"list\":[{\"x\":-5,\"y\":1}]"
		 "}"),
		"{\"name\":\"z\",\"mode\":4,\"n\":\"hi\",\"list\":[{\"x\":1},{\"x\":2}]}",
	};
	struct error e;
	struct document_schema *s = schema(text, &e);

	(void)state;
	assert_non_null(s);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(check(s, good[i], &e));
	}
	document_schema_free(s);
}

static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *document, *message;
	} bad[] = {
		{ "{}", "lacks \"name\"" },
		{ "{\"name\":\"ab\",\"nme\":1}", "\"nme\": is not known here" },
		{ "{\"name\":\"\"}", "\"name\": has 0 bytes; there may be 1 to" },
		{ "{\"name\":\"A\"}", "\"name\": must look like ^[a-z]+$" },
		{ "{\"name\":5}", "\"name\": must be a string" },
		{ "{\"name\":\"a\",\"mode\":\"c\"}", "\"mode\": must be one of \"a\", \"b\", 4" },
		{ "{\"name\":\"a\",\"mode\":4.0}", "\"mode\": must be one of" },
		{ "{\"name\":\"a\",\"on\":1}", "\"on\": must be true or false" },
		{ "{\"name\":\"a\",\"n\":10}", "\"n\": must be a whole number from 1 to 9" },
		{ "{\"name\":\"a\",\"n\":18446744073709551615}", "\"n\": must be a whole number" },
		{ "{\"name\":\"a\",\"n\":1.5}", "\"n\": must be a string or a whole number" },
		{ "{\"name\":\"a\",\"n\":\"abc\"}", "\"n\": has 3 bytes; there may be 0 to 2" },
		{ "{\"name\":\"a\",\"list\":[]}", "\"list\": has 0 items; there may be 1 to 2" },
		{ "{\"name\":\"a\",\"list\":[{\"x\":1},{\"y\":1}]}", "\"list[1]\": lacks \"x\"" },
		{ "[]", "must be an object" },
	};
	struct error e;
	struct document_schema *s = schema(text, &e);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(check(s, bad[i].document, &e));
		if (strstr(e.msg, bad[i].message) == NULL) {
			fail_msg("%s: %s", bad[i].document, e.msg);
		}
	}
	document_schema_free(s);
}

static void schemas_that_would_not_be_checked_are_refused(void **state)
{
	static const char *const bad[] = {
		"{\"type\":\"number\"}",
		"{\"oneOf\":[]}",
		"{\"additionalProperties\":{}}",
		"{\"$ref\":\"other.json\"}",
		"{\"$ref\":\"#/$defs/none\"}",
		"{\"pattern\":\"(\"}",
		"{\"properties\":{\"a\":{\"minimum\":\"1\"}}}",
	};
	struct error e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_null(schema(bad[i], &e));
	}
}

static void the_planes_schemas_compile(void **state)
{
	struct error e;
	struct json_object *o = json_parse_file(real_schema, 1 << 20, &e);

	(void)state;
	assert_non_null(o);
	struct document_schema *s = document_schema_new(o, &e);
	json_object_put(o);
	if (s == NULL) {
		fail_msg("%s", e.msg);
	}
	assert_true(check(s, "{}", &e));
	assert_false(check(s, "{\"ports\":[{\"name\":\"a\",\"kind\":\"vhost\"}]}", &e));
	assert_string_equal(e.msg, "\"ports[0]\": lacks \"path\"");
	document_schema_free(s);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_right_is_taken),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(schemas_that_would_not_be_checked_are_refused),
		cmocka_unit_test(the_planes_schemas_compile),
	};
	if (argc != 2) {
		return 2;
	}
	real_schema = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
