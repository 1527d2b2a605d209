/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metric.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void assert_in_text(const char *want)
{
	struct buf b = BUF_INIT;
	metric_text(&b);
	if (!strstr(b.data, want)) {
		fail_msg("not there: %s\nin: %s", want, b.data);
	}
	buf_free(&b);
}

static void test_counter(void **state)
{
	(void)state;
	struct metric_family *f =
		metric_counter("remora_test_calls_total", "Calls.\nBy \\type.", "type,method");
	struct metric *m = metric_with(f, (const char *[]){ "a\"b\\c\n", "x" });
	metric_inc(m);
	metric_add(m, 41);
	assert_ptr_equal(metric_with(f, (const char *[]){ "a\"b\\c\n", "x" }), m);
	assert_ptr_equal(metric_counter("remora_test_calls_total", "", "type,method"), f);
	assert_in_text("# HELP remora_test_calls_total Calls.\\nBy \\\\type.\n"
		       "# TYPE remora_test_calls_total counter\n"
		       "remora_test_calls_total{type=\"a\\\"b\\\\c\\n\",method=\"x\"} 42\n");
	metric_remove(f, (const char *[]){ "a\"b\\c\n", "x" });
	struct buf b = BUF_INIT;
	metric_text(&b);
	assert_null(strstr(b.data, "{type="));
	buf_free(&b);
}

static void raise_gauge(void *arg)
{
	metric_change(arg, 1);
}

static void test_gauge_and_collector(void **state)
{
	(void)state;
	struct metric_family *f = metric_gauge("remora_test_load_ratio", "Load.", "");
	struct metric *m = metric_with(f, NULL);
	metric_set(m, 0.5);
	assert_in_text("\nremora_test_load_ratio 0.5\n");
	metric_add_collector(raise_gauge, m);
	assert_in_text("\nremora_test_load_ratio 1.5\n");
	metric_drop_collector(raise_gauge, m);
	assert_in_text("\nremora_test_load_ratio 1.5\n");
}

static void test_histogram(void **state)
{
	(void)state;
	static const double bounds[] = { 0.1, 1 };
	struct metric_family *f =
		metric_histogram("remora_test_wait_seconds", "Wait.", "kind", bounds, 2);
	struct metric *m = metric_with(f, (const char *[]){ "k" });
	metric_observe(m, 0.1);
	metric_observe(m, 0.5);
	metric_observe(m, 2);
	assert_in_text("remora_test_wait_seconds_bucket{kind=\"k\",le=\"0.1\"} 1\n"
		       "remora_test_wait_seconds_bucket{kind=\"k\",le=\"1\"} 2\n"
		       "remora_test_wait_seconds_bucket{kind=\"k\",le=\"+Inf\"} 3\n"
		       "remora_test_wait_seconds_sum{kind=\"k\"} 2.6\n"
		       "remora_test_wait_seconds_count{kind=\"k\"} 3\n");
}

static void test_series_are_bounded(void **state)
{
	(void)state;
	struct metric_family *f = metric_counter("remora_test_many_total", "Many.", "id");
	char id[16];
	for (int i = 0; i < METRIC_SERIES_MAX + 5; i++) {
		snprintf(id, sizeof(id), "%d", i);
		metric_inc(metric_with(f, (const char *[]){ id }));
	}
	assert_in_text("remora_test_many_total{id=\"other\"} 5\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counter),
		cmocka_unit_test(test_gauge_and_collector),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_series_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
