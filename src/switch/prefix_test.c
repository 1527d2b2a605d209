/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/prefix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"

static void texts_are_read_and_written(void **state)
{
	static const char *const texts[][2] = {
		{ "10.0.0.0/8", "10.0.0.0/8" }, { "0.0.0.0/0", "0.0.0.0/0" },
		{ "10.1.2.3", "10.1.2.3/32" },	{ "::/0", "::/0" },
		{ "fd00::/17", "fd00::/17" },	{ "fd00::1", "fd00::1/128" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct prefix p;
		char text[PREFIX_TEXT_MAX];
		assert_true(prefix_parse(texts[i][0], &p));
		prefix_text(&p, text);
		assert_string_equal(text, texts[i][1]);
	}
}

static void what_is_no_prefix_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"10.0.0.0/33",
		"10.0.0.1/8",
		"10.0.0/8",
		"10.0.0.0/",
		"10.0.0.0/+8",
		"10.0.0.0/8 ",
		"fd00::/129",
		"fd00::1/64",
		"/8",
		"10.0.0.0/-1",
		"a.b.c.d",
		"1.2.3.4/8/8",
		"1:2:3:4:5:6:7:8:9",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct prefix p;
		assert_false(prefix_parse(texts[i], &p));
	}
}

static void a_prefix_contains_from_first_to_last(void **state)
{
	struct prefix p, inside, outside;
	uint8_t last[16];

	(void)state;
	assert_true(prefix_parse("10.1.240.0/20", &p));
	assert_true(prefix_parse("10.1.255.255", &inside));
	assert_true(prefix_parse("10.2.0.0", &outside));
	assert_true(prefix_contains(&p, p.address));
	assert_true(prefix_contains(&p, inside.address));
	assert_false(prefix_contains(&p, outside.address));
	prefix_last(&p, last);
	assert_memory_equal(last, inside.address, 4);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_read_and_written),
		cmocka_unit_test(what_is_no_prefix_is_refused),
		cmocka_unit_test(a_prefix_contains_from_first_to_last),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
