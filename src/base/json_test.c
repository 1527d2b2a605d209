/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"

static struct json_object *parse(const char *text)
{
	struct error e;
	struct json_object *o = json_parse(text, strlen(text), 10000, 8, &e);
	if (!o) {
		fail_msg("%s: %s", text, e.msg);
	}
	return o;
}

static void test_parse_refuses(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",	  " ",		"{",	     "{\"a\":1,}", "[1,]", "{}x",     "{} {}",
		"nul",	  "null",	"'a'",	     "\"\xff\"",   "[1",   "{a:1}",   "\"a",
		"/*x*/1", "01",		"1.",	     "1e",	   "-",	   "+1",      "NaN",
		"nan",	  "[Infinity]", "-Infinity", "infinity",   "True", "\"\\x\"", "\"\n\""
	};
	for (size_t i = 0; i != ARRAY_LEN(bad); i++) {
		struct error e;
		struct json_object *o = json_parse(bad[i], strlen(bad[i]), 10000, 8, &e);
		if (o) {
			print_message("accepted: %s\n", bad[i]);
		}
		assert_null(o);
		assert_int_equal(e.kind, ERROR_INVALID);
	}
}

static void test_parse_limits(void **state)
{
	(void)state;
	struct error e;
	assert_null(json_parse("[1,2]", 5, 4, 8, &e));
	assert_int_equal(e.kind, ERROR_LIMIT);
	assert_null(json_parse("[[[[[[[[[[[[1]]]]]]]]]]]]", 25, 100, 8, &e));
	assert_int_equal(e.kind, ERROR_LIMIT);
	assert_null(json_parse("{}\0{}", 5, 100, 8, &e));
	struct json_object *o = json_parse(" 12 ", 4, 100, 8, &e);
	assert_non_null(o);
	json_object_put(o);
	o = json_parse("12", 2, 100, 8, &e);
	assert_non_null(o);
	json_object_put(o);
}

static void test_getters(void **state)
{
	(void)state;
	struct json_object *o = parse("{\"s\":\"x\",\"t\":true,\"i\":-5,\"u\":18446744073709551615,"
				      "\"d\":1.5,\"a\":[1,2],\"o\":{\"k\":\"v\"},\"n\":null}");
	struct json_at root = json_root(o);
	struct error e;
	const char *s = NULL;
	bool t = false;
	int64_t i = 0;
	uint64_t u = 0;
	double d = 0;
	struct json_at a;
	struct json_at sub;
	assert_true(json_get_str(&root, "s", &s, &e) && strcmp(s, "x") == 0);
	assert_true(json_get_bool(&root, "t", &t, &e) && t);
	assert_true(json_get_i64(&root, "i", &i, &e) && i == -5);
	assert_true(json_get_u64(&root, "u", &u, &e) && u == UINT64_MAX);
	assert_true(json_get_double(&root, "d", &d, &e) && d > 1.4 && d < 1.6);
	assert_true(json_get_double(&root, "i", &d, &e) && d < -4.9);
	assert_true(json_get_array(&root, "a", &a, &e));
	assert_int_equal(json_array_n(&a), 2);
	assert_true(json_get_object(&root, "o", &sub, &e));
	assert_true(json_get_str(&sub, "k", &s, &e) && strcmp(s, "v") == 0);
	assert_true(json_has(&root, "s"));
	assert_false(json_has(&root, "n") || json_has(&root, "x") || json_has(&a, "x"));
	json_object_put(o);
}

static void test_wrong_types(void **state)
{
	(void)state;
	struct json_object *o = parse("{\"s\":\"1\",\"t\":1,\"neg\":-1,\"big\":4294967296,"
				      "\"u\":18446744073709551615,\"d\":1.0,\"z\":\"a\\u0000b\"}");
	struct json_at root = json_root(o);
	struct error e = { 0 };
	const char *s = "kept";
	bool t = true;
	int64_t i = 7;
	uint64_t u = 7;
	uint32_t u32 = 7;
	double d = 0;
	struct json_at sub;
	assert_false(json_get_str(&root, "t", &s, &e) || json_get_str(&root, "z", &s, &e));
	assert_false(json_get_bool(&root, "t", &t, &e));
	assert_false(json_get_i64(&root, "s", &i, &e) || json_get_i64(&root, "d", &i, &e) ||
		     json_get_i64(&root, "u", &i, &e));
	assert_false(json_get_u64(&root, "neg", &u, &e) || json_get_u64(&root, "d", &u, &e));
	assert_false(json_get_u32(&root, "big", &u32, &e) || json_get_u32(&root, "neg", &u32, &e));
	assert_string_equal(e.msg, "\"neg\": must be a whole number from 0 to 4294967295");
	assert_false(json_get_double(&root, "s", &d, &e));
	assert_false(json_get_object(&root, "s", &sub, &e) || json_get_array(&root, "s", &sub, &e));
	assert_false(json_get_str(&root, "absent", &s, &e));
	assert_string_equal(e.msg, "\"absent\": is missing");
	assert_true(i == 7 && u == 7 && u32 == 7 && strcmp(s, "kept") == 0);
	json_object_put(o);
}

/* Numbers beyond 64 bits must not come out as something else. */
static void test_number_overflow(void **state)
{
	(void)state;
	static const char *const texts[] = { "18446744073709551616", "-9223372036854775809",
					     "[1, -99999999999999999999]",
					     "99999999999999999999999999" };
	for (size_t k = 0; k != ARRAY_LEN(texts); k++) {
		assert_null(json_parse(texts[k], strlen(texts[k]), 100, 8, NULL));
	}
}

static void test_numbers_taken(void **state)
{
	(void)state;
	static const char *const texts[] = { "[0,-0,1.5e+3,-2E-2,18446744073709551615]",
					     "{\"1.\":\"01\\\"-.\"}" };
	for (size_t k = 0; k != ARRAY_LEN(texts); k++) {
		json_object_put(parse(texts[k]));
	}
}

static void test_path_in_message(void **state)
{
	(void)state;
	struct json_object *o = parse("{\"disks\":[{\"size\":1},{\"size\":\"big\"}]}");
	struct json_at root = json_root(o);
	struct json_at disks;
	struct error e;
	assert_true(json_get_array(&root, "disks", &disks, &e));
	struct json_at disk = json_item(&disks, 1);
	uint64_t size;
	assert_false(json_get_u64(&disk, "size", &size, &e));
	assert_string_equal(e.msg,
			    "\"disks[1].size\": must be a whole number of 64 bits, 0 or more");
	struct json_at none = json_item(&disks, 2);
	assert_false(json_as_object(&none, &e));
	json_object_put(o);
}

static void test_unknown_members(void **state)
{
	(void)state;
	static const char *const names[] = { "a", "b" };
	struct json_object *o = parse("{\"a\":1}");
	struct json_at root = json_root(o);
	struct error e;
	assert_true(json_check_members(&root, names, ARRAY_LEN(names), &e));
	json_put_bool(o, "evil", true);
	assert_false(json_check_members(&root, names, ARRAY_LEN(names), &e));
	assert_string_equal(e.msg, "\".\": has an unknown member \"evil\"");
	json_object_put(o);
}

static void test_write(void **state)
{
	(void)state;
	struct json_object *o = json_object_new_object();
	json_put_str(o, "s", "a/\xc3\xa4\xff\xed\xa0\x80\n");
	json_put_i64(o, "i", INT64_MIN);
	json_put_u64(o, "u", UINT64_MAX);
	json_put_bool(o, "b", false);
	json_put_double(o, "d", 0.5);
	struct buf b = BUF_INIT;
	json_add_text(&b, o);
	assert_string_equal(b.data, "{\"s\":\"a/\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
				    "\xef\xbf\xbd\\n\",\"i\":-9223372036854775808,"
				    "\"u\":18446744073709551615,\"b\":false,\"d\":0.5}");
	struct json_object *back = parse(b.data);
	assert_true(json_object_equal(o, back));
	json_object_put(back);
	json_object_put(o);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_refuses),	cmocka_unit_test(test_parse_limits),
		cmocka_unit_test(test_getters),		cmocka_unit_test(test_wrong_types),
		cmocka_unit_test(test_number_overflow), cmocka_unit_test(test_numbers_taken),
		cmocka_unit_test(test_path_in_message), cmocka_unit_test(test_unknown_members),
		cmocka_unit_test(test_write),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
