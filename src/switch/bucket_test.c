/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum {
	HZ = 1000,
};

static unsigned drain(struct bucket *b, uint64_t now)
{
	unsigned n = 0;

	while (n < 1000000 && bucket_take(b, now, 1)) {
		n++;
	}
	return n;
}

static void no_rate_is_no_limit(void **state)
{
	struct bucket b = { .rate = 0 };

	(void)state;
	assert_true(bucket_take(&b, 1, UINT64_MAX));
}

static void a_burst_passes_and_then_the_rate(void **state)
{
	struct bucket b;

	(void)state;
	bucket_begin(&b, 10, 5, HZ, 1000);
	assert_int_equal(drain(&b, 1000), 5);
	assert_int_equal(drain(&b, 1099), 0);
	assert_int_equal(drain(&b, 1100), 1);
	assert_int_equal(drain(&b, 1300), 2);
	assert_int_equal(drain(&b, 100000), 5);
}

/* Asked at every tick, nothing is lost to rounding. */
static void small_steps_add_up(void **state)
{
	struct bucket b;
	unsigned n = 0;

	(void)state;
	bucket_begin(&b, 3, 1, HZ, 0);
	for (uint64_t now = 0; now < (uint64_t)100 * HZ; now++) {
		n += bucket_take(&b, now, 1);
	}
	assert_int_equal(n, 300);
}

static void time_that_stands_or_goes_back_brings_nothing(void **state)
{
	struct bucket b;

	(void)state;
	bucket_begin(&b, 10, 1, HZ, 500);
	assert_int_equal(drain(&b, 500), 1);
	assert_int_equal(drain(&b, 0), 0);
	assert_int_equal(drain(&b, 599), 0);
	assert_int_equal(drain(&b, 600), 1);
}

static void more_than_a_burst_takes_a_whole_one(void **state)
{
	struct bucket b;

	(void)state;
	bucket_begin(&b, 100, 10, HZ, 0);
	assert_true(bucket_take(&b, 0, 65536));
	assert_false(bucket_take(&b, 99, 65536));
	assert_true(bucket_take(&b, 100, 65536));
}

/* 400 Gb/s, the longest burst, a fast clock, a pause of years. */
static void the_largest_do_not_overflow(void **state)
{
	struct bucket b;

	(void)state;
	bucket_begin(&b, 50000000000, UINT64_MAX, 5000000000, 0);
	assert_true(bucket_take(&b, 0, BUCKET_BURST_MAX));
	assert_false(bucket_take(&b, 1, 1500));
	assert_true(bucket_take(&b, 150, 1500));
	assert_true(bucket_take(&b, UINT64_MAX, BUCKET_BURST_MAX));
	assert_false(bucket_take(&b, UINT64_MAX, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_rate_is_no_limit),
		cmocka_unit_test(a_burst_passes_and_then_the_rate),
		cmocka_unit_test(small_steps_add_up),
		cmocka_unit_test(time_that_stands_or_goes_back_brings_nothing),
		cmocka_unit_test(more_than_a_burst_takes_a_whole_one),
		cmocka_unit_test(the_largest_do_not_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
