/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"

static void test_text_and_back(void **state)
{
	(void)state;
	const char *text = "00112233-4455-4677-8899-aabbccddeeff";
	struct uuid u;
	assert_true(uuid_parse(text, &u));
	assert_int_equal(u.b[0], 0x00);
	assert_int_equal(u.b[15], 0xff);
	char back[UUID_TEXT_SIZE];
	uuid_format(&u, back);
	assert_string_equal(back, text);
	struct uuid upper;
	assert_true(uuid_parse("00112233-4455-4677-8899-AABBCCDDEEFF", &upper));
	assert_true(uuid_is_equal(&u, &upper));
}

static void test_bad_text(void **state)
{
	(void)state;
	static const char *const bad[] = { "",
					   "00112233-4455-4677-8899-aabbccddeef",
					   "00112233-4455-4677-8899-aabbccddeeff0",
					   "001122334455-4677-8899-aabbccddeeff--",
					   "0011223g-4455-4677-8899-aabbccddeeff",
					   "{0112233-4455-4677-8899-aabbccddeef}" };
	for (size_t i = 0; i != ARRAY_LEN(bad); i++) {
		struct uuid u;
		assert_false(uuid_parse(bad[i], &u));
	}
}

static void test_made(void **state)
{
	(void)state;
	struct uuid a = uuid_random();
	struct uuid b = uuid_random();
	assert_false(uuid_is_equal(&a, &b));
	char text[UUID_TEXT_SIZE];
	uuid_random_text(text);
	assert_int_equal(text[14], '4');
	struct uuid c = uuid_from_name("DC0");
	struct uuid d = uuid_from_name("DC0");
	struct uuid e = uuid_from_name("DC1");
	assert_true(uuid_is_equal(&c, &d));
	assert_false(uuid_is_equal(&c, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_and_back),
		cmocka_unit_test(test_bad_text),
		cmocka_unit_test(test_made),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
