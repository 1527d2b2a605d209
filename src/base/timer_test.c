/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

#define WALL_START 1700000000000000

static char trace[64];

static void note(void *arg)
{
	strncat(trace, arg, sizeof(trace) - strlen(trace) - 1);
}

static void test_manual_time(void **state)
{
	(void)state;
	struct clock *c = clock_manual_new(WALL_START);
	int64_t mono = clock_mono_us(c);
	clock_advance(c, 1500);
	assert_int_equal(clock_mono_us(c), mono + 1500);
	assert_int_equal(clock_wall_us(c), WALL_START + 1500);
	clock_manual_free(c);
}

static void test_fires_in_order(void **state)
{
	(void)state;
	trace[0] = '\0';
	struct clock *c = clock_manual_new(WALL_START);
	struct timer *a = timer_new(NULL, c, note, (char[]){ "a" });
	struct timer *b = timer_new(NULL, c, note, (char[]){ "b" });
	struct timer *d = timer_new(NULL, c, note, (char[]){ "d" });
	timer_start(a, 20, 0);
	timer_start(b, 10, 10);
	timer_start(d, 20, 0);
	clock_advance(c, 9999);
	assert_string_equal(trace, "");
	clock_advance(c, 1);
	assert_string_equal(trace, "b");
	clock_advance(c, 30000);
	assert_string_equal(trace, "badbbb");
	assert_false(timer_is_active(a));
	assert_true(timer_is_active(b));
	timer_stop(b);
	clock_advance(c, 1000000);
	assert_string_equal(trace, "badbbb");
	timer_free(a);
	timer_free(b);
	timer_free(d);
	timer_free(NULL);
	clock_manual_free(c);
}

static struct timer *self;

static void free_self(void *arg)
{
	*(int *)arg += 1;
	timer_free(self);
}

static void test_frees_itself(void **state)
{
	(void)state;
	int n = 0;
	struct clock *c = clock_manual_new(0);
	self = timer_new(NULL, c, free_self, &n);
	timer_start(self, 1, 1);
	clock_advance(c, 5000);
	assert_int_equal(n, 1);
	clock_manual_free(c);

	uv_loop_t loop;
	uv_loop_init(&loop);
	self = timer_new(&loop, clock_real(), free_self, &n);
	timer_start(self, 0, 1);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(n, 2);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void restart(void *arg)
{
	if (++*(int *)arg < 3) {
		timer_start(self, 0, 0);
	}
}

static void test_restarts_itself(void **state)
{
	(void)state;
	int n = 0;
	struct clock *c = clock_manual_new(0);
	self = timer_new(NULL, c, restart, &n);
	timer_start(self, 1, 0);
	clock_advance(c, 1000);
	assert_int_equal(n, 3);
	timer_free(self);
	clock_manual_free(c);
}

static void test_real(void **state)
{
	(void)state;
	int64_t before = clock_mono_us(clock_real());
	assert_true(clock_wall_us(clock_real()) > WALL_START);
	int n = 0;
	uv_loop_t loop;
	uv_loop_init(&loop);
	self = timer_new(&loop, clock_real(), restart, &n);
	timer_start(self, 2, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(n, 3);
	assert_true(clock_mono_us(clock_real()) - before >= 1000);
	timer_free(self);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manual_time),  cmocka_unit_test(test_fires_in_order),
		cmocka_unit_test(test_frees_itself), cmocka_unit_test(test_restarts_itself),
		cmocka_unit_test(test_real),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
