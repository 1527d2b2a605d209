/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool is_zeroed(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i]) {
			return false;
		}
	}
	return true;
}

/* Zeroed, aligned, and no two overlap: each keeps its pattern. */
static void test_random_sizes(void **state)
{
	(void)state;
	enum {
		N = 2000
	};
	static char *ptr[N];
	static size_t size[N];
	struct arena *a = arena_new(0);
	srandom(1);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < N; i++) {
			size[i] = (size_t)(random() % (i % 100 ? 200 : 20000));
			ptr[i] = arena_alloc(a, size[i]);
			assert_non_null(ptr[i]);
			assert_int_equal((uintptr_t)ptr[i] % ARENA_ALIGN, 0);
			assert_true(is_zeroed(ptr[i], size[i]));
			memset(ptr[i], (int)(i & 0x7f) + 1, size[i]);
		}
		for (size_t i = 0; i < N; i++) {
			for (size_t k = 0; k < size[i]; k++) {
				assert_int_equal(ptr[i][k], (char)((i & 0x7f) + 1));
			}
		}
		assert_true(arena_used(a) > 0);
		arena_reset(a);
		assert_int_equal(arena_used(a), 0);
	}
	arena_free(a);
}

static void test_limit_is_exact(void **state)
{
	(void)state;
	struct arena *a = arena_new(100000);
	for (int round = 0; round < 3; round++) {
		size_t total = 0;
		size_t n = 48;
		while (arena_alloc(a, n)) {
			total += n;
		}
		assert_in_range(total, 100000 - n + 1, 100000);
		assert_int_equal(arena_used(a), total);
		assert_non_null(arena_alloc(a, 16)); /* what still fits is given */
		assert_null(arena_alloc(a, 17));
		assert_null(arena_alloc(a, SIZE_MAX));
		assert_null(arena_alloc(a, SIZE_MAX - 5));
		assert_null(arena_strdup(a, "this is longer than what is left"));
		assert_null(arena_printf(a, "%040d", 1));
		arena_reset(a);
	}
	arena_free(a);
}

static void test_large_first_then_reset(void **state)
{
	(void)state;
	struct arena *a = arena_new(0);
	char *p = arena_alloc(a, 3000000);
	memset(p, 1, 3000000);
	arena_reset(a);
	assert_true(is_zeroed(arena_alloc(a, 5000), 5000));
	assert_null(arena_calloc(a, SIZE_MAX / 2, 3));
	assert_non_null(arena_calloc(a, 10, 3));
	arena_free(a);
	arena_free(NULL);
}

static void test_text(void **state)
{
	(void)state;
	struct arena *a = arena_new(0);
	assert_string_equal(arena_strdup(a, "abc"), "abc");
	assert_string_equal(arena_strndup(a, "abc", 2), "ab");
	assert_string_equal(arena_strndup(a, "abc", 9), "abc");
	assert_string_equal(arena_printf(a, "%s-%d", "vm", 7), "vm-7");
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_sizes),
		cmocka_unit_test(test_limit_is_exact),
		cmocka_unit_test(test_large_first_then_reset),
		cmocka_unit_test(test_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
