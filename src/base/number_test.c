/* SPDX-License-Identifier: Apache-2.0 */
#include "base/number.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macro.h"

static void test_integers(void **state)
{
	(void)state;
	int64_t i = 5;
	assert_true(number_i64("-9223372036854775808", &i) && i == INT64_MIN);
	assert_true(number_i64("9223372036854775807", &i) && i == INT64_MAX);
	assert_true(number_i64("+7", &i) && i == 7);
	assert_true(number_i64("-0", &i) && i == 0);
	assert_true(number_i64_n("123456", 3, &i) && i == 123);
	uint64_t u;
	assert_true(number_u64("18446744073709551615", &u) && u == UINT64_MAX);
	int32_t i32;
	assert_true(number_i32("-2147483648", &i32) && i32 == INT32_MIN);
	uint32_t u32;
	assert_true(number_u32("4294967295", &u32) && u32 == UINT32_MAX);
	uint16_t port;
	assert_true(number_port("65535", &port) && port == 65535);
}

static void test_bad_integers(void **state)
{
	(void)state;
	static const char *const bad[] = { "",
					   "-",
					   " 1",
					   "1 ",
					   "1a",
					   "0x1",
					   "--1",
					   "+-1",
					   "1.0",
					   "1e3",
					   "99999999999999999999999" };
	for (size_t k = 0; k != ARRAY_LEN(bad); k++) {
		int64_t i = 5;
		uint64_t u = 5;
		assert_false(number_i64(bad[k], &i) || number_u64(bad[k], &u));
		assert_true(i == 5 && u == 5);
	}
	int64_t i = 5;
	assert_false(number_i64("9223372036854775808", &i));
	assert_false(number_i64("-9223372036854775809", &i));
	uint64_t u;
	assert_false(number_u64("18446744073709551616", &u));
	assert_false(number_u64("-1", &u));
	int32_t i32;
	assert_false(number_i32("2147483648", &i32));
	uint32_t u32;
	assert_false(number_u32("4294967296", &u32));
	uint16_t port;
	assert_false(number_port("0", &port) || number_port("65536", &port));
}

static void test_others(void **state)
{
	(void)state;
	uint64_t u = 0;
	assert_true(number_hex_u64("0xFFffFFffFFffFFff", &u) && u == UINT64_MAX);
	assert_true(number_hex_u64("1f", &u) && u == 0x1f);
	assert_false(number_hex_u64("0x", &u) || number_hex_u64("10000000000000000", &u) ||
		     number_hex_u64("g", &u));
	double d = 0;
	assert_true(number_double("-1.5e2", &d) && d < -149.9 && d > -150.1);
	assert_false(number_double("inf", &d) || number_double("1e999", &d) ||
		     number_double("0x1p3", &d) || number_double(" 1", &d) ||
		     number_double("1-2", &d) || number_double("", &d));
	bool b = false;
	assert_true(number_bool("true", &b) && b && number_bool("0", &b) && !b);
	assert_false(number_bool("TRUE", &b) || number_bool("yes", &b));
	assert_true(number_bytes("0", &u) && u == 0);
	assert_true(number_bytes("3GiB", &u) && u == 3ULL << 30);
	assert_true(number_bytes("2m", &u) && u == 2ULL << 20);
	assert_false(number_bytes("GiB", &u) || number_bytes("1 G", &u) ||
		     number_bytes("99999999999T", &u) || number_bytes("1.5G", &u));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_bad_integers),
		cmocka_unit_test(test_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
