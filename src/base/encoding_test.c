/* SPDX-License-Identifier: Apache-2.0 */
#include "base/encoding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

static void test_hex(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	hex_encode(&b, "\x00\xff\x1a", 3);
	assert_string_equal(b.data, "00ff1a");
	unsigned char back[3];
	assert_true(hex_decode("00fF1A", back, 3));
	assert_memory_equal(back, "\x00\xff\x1a", 3);
	assert_false(hex_decode("00ff1", back, 3) || hex_decode("00ff1g", back, 3) ||
		     hex_decode("00ff1a00", back, 3) || hex_decode("", back, 3));
	buf_free(&b);
}

/* RFC 4648, part 10. */
static void test_base64_vectors(void **state)
{
	(void)state;
	static const char *const pairs[][2] = {
		{ "", "" },	   { "f", "Zg==" },	   { "fo", "Zm8=" },
		{ "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }
	};
	for (size_t i = 0; i != ARRAY_LEN(pairs); i++) {
		struct buf b = BUF_INIT;
		base64_encode(&b, pairs[i][0], strlen(pairs[i][0]));
		assert_string_equal(b.data, pairs[i][1]);
		buf_clear(&b);
		assert_true(base64_decode(&b, pairs[i][1], strlen(pairs[i][1])));
		assert_string_equal(b.data, pairs[i][0]);
		buf_free(&b);
	}
}

static void test_base64_reading(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	buf_adds(&b, "kept:");
	assert_true(base64_decode(&b, " Zm\r\n9v\tYg= = \n", 15));
	assert_string_equal(b.data, "kept:foob");
	static const char *const bad[] = {
		"Zg", "Zg=", "Z", "Zg==x", "Zm9v!", "Zm9-", "=", "Zh=="
	};
	for (size_t i = 0; i != ARRAY_LEN(bad); i++) {
		assert_false(base64_decode(&b, bad[i], strlen(bad[i])));
		assert_string_equal(b.data, "kept:foob");
	}
	buf_free(&b);
}

static void test_base64_random(void **state)
{
	(void)state;
	for (size_t n = 0; n < 200; n++) {
		unsigned char bytes[200];
		random_bytes(bytes, n);
		struct buf text = BUF_INIT;
		struct buf back = BUF_INIT;
		base64_encode(&text, bytes, n);
		assert_true(base64_decode(&back, text.data, text.len));
		assert_int_equal(back.len, n);
		assert_memory_equal(back.data, bytes, n);
		buf_free(&text);
		buf_free(&back);
	}
}

static void test_random(void **state)
{
	(void)state;
	char a[33];
	char b[33];
	random_hex(a, 16);
	random_hex(b, 16);
	assert_int_equal(strlen(a), 32);
	assert_string_not_equal(a, b);
	assert_int_not_equal(random_u64(), random_u64());
	for (int i = 0; i < 1000; i++) {
		assert_in_range(random_below(7), 0, 6);
	}
	assert_int_equal(random_below(1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_base64_vectors),
		cmocka_unit_test(test_base64_reading),
		cmocka_unit_test(test_base64_random),
		cmocka_unit_test(test_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
