/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_set(void **state)
{
	(void)state;
	struct error e = { 0 };
	assert_false(error_set(&e, ERROR_NAME, "VM \"%s\": %d", "a", 7));
	assert_int_equal(e.kind, ERROR_NAME);
	assert_string_equal(e.msg, "VM \"a\": 7");
	assert_false(error_set(&e, ERROR_STATE, "again: %s", e.msg));
	assert_string_equal(e.msg, "again: VM \"a\": 7");
	assert_false(error_prefix(&e, "%s, ", "host"));
	assert_string_equal(e.msg, "host, again: VM \"a\": 7");
	assert_int_equal(e.kind, ERROR_STATE);
	assert_false(error_set(NULL, ERROR_IO, "x"));
	assert_false(error_set_sys(NULL, EIO, "x"));
	assert_false(error_prefix(NULL, "x"));
}

static void test_sys(void **state)
{
	(void)state;
	struct error e;
	assert_false(error_set_sys(&e, ENOENT, "file \"%s\"", "x"));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	assert_int_equal(e.sys, ENOENT);
	assert_string_equal(e.msg, "file \"x\": No such file or directory");
}

/* Whether each euro sign has its three bytes. */
static bool is_whole(const char *s)
{
	for (; *s; s++) {
		if (*s == '\xe2' && strncmp(s, "\xe2\x82\xac", 3) != 0) {
			return false;
		}
	}
	return true;
}

static void test_long_text_is_cut_at_a_character(void **state)
{
	(void)state;
	char text[400];
	for (size_t start = 0; start < 4; start++) {
		memset(text, 'x', start);
		for (size_t i = start; i + 3 < ARRAY_LEN(text); i += 3) {
			memcpy(text + i, "\xe2\x82\xac", 4); /* the euro sign */
		}
		struct error e;
		error_set(&e, ERROR_LIMIT, "%s", text);
		size_t n = strlen(e.msg);
		assert_in_range(n, sizeof(e.msg) - 4, sizeof(e.msg) - 1);
		assert_true(is_whole(e.msg));
		error_prefix(&e, "%s", text);
		assert_true(is_whole(e.msg));
		error_set_sys(&e, EIO, "%s", text);
		assert_true(is_whole(e.msg));
	}
}

static void test_kind_names(void **state)
{
	(void)state;
	for (int k = ERROR_NONE; k <= ERROR_INTERNAL; k++) {
		enum error_kind back = ERROR_NONE;
		assert_true(error_kind_from_name(error_kind_name((enum error_kind)k), &back));
		assert_int_equal(back, k);
	}
	enum error_kind kind = ERROR_IO;
	assert_false(error_kind_from_name("nonsense", &kind));
	assert_int_equal(kind, ERROR_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_sys),
		cmocka_unit_test(test_long_text_is_cut_at_a_character),
		cmocka_unit_test(test_kind_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
