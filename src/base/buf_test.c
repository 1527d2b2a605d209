/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_matches_model(void **state)
{
	(void)state;
	static char model[20000];
	size_t n = 0;
	struct buf b = BUF_INIT;
	srandom(1);
	while (n < ARRAY_LEN(model) - 300) {
		char piece[300];
		size_t len = (size_t)random() % 256;
		memset(piece, 'a' + (int)(random() % 26), len);
		piece[len] = '\0';
		switch (random() % 4) {
		case 0:
			buf_add(&b, piece, len);
			break;
		case 1:
			buf_adds(&b, piece);
			break;
		case 2:
			buf_addf(&b, "%s", piece);
			break;
		default:
			len = MIN(len, (size_t)1);
			if (len) {
				buf_addc(&b, piece[0]);
			}
			break;
		}
		memcpy(model + n, piece, len);
		n += len;
		assert_int_equal(b.len, n);
		assert_int_equal(b.data[n], 0);
	}
	assert_memory_equal(b.data, model, n);
	buf_consume(&b, 1000);
	assert_memory_equal(b.data, model + 1000, n - 1000);
	assert_int_equal(b.len, n - 1000);
	buf_consume(&b, n);
	assert_string_equal(b.data, "");
	buf_free(&b);
}

static void test_empty(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	assert_string_equal(b.data, "");
	buf_clear(&b);
	char *s = buf_take(&b);
	assert_string_equal(s, "");
	free(s);
	buf_free(&b);
	buf_free(NULL);
	struct buf zero = { 0 };
	buf_add(&zero, NULL, 0);
	assert_string_equal(zero.data, "");
	buf_free(&zero);
}

static void test_numbers(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	buf_add_i64(&b, INT64_MIN);
	buf_addc(&b, ' ');
	buf_add_i64(&b, 0);
	buf_addc(&b, ' ');
	buf_add_u64(&b, UINT64_MAX);
	assert_string_equal(b.data, "-9223372036854775808 0 18446744073709551615");
	char *s = buf_take(&b);
	assert_int_equal(b.len, 0);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matches_model),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
