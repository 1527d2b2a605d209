/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

LOG_MODULE("probe");

static struct buf seen;
static unsigned n_seen;

static void keep(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	buf_clear(&seen);
	buf_adds(&seen, line);
	n_seen++;
}

static int setup(void **state)
{
	(void)state;
	log_set_stderr(false);
	log_set_sink(keep, NULL);
	n_seen = 0;
	return !log_set_level("info", NULL);
}

static int teardown(void **state)
{
	(void)state;
	log_set_sink(NULL, NULL);
	log_set_stderr(true);
	buf_free(&seen);
	return 0;
}

static void test_line(void **state)
{
	(void)state;
	log_info("VM \"%s\" started", "a\nforged");
	assert_non_null(strstr(seen.data, "Z info probe: VM \"a\\x0aforged\" started"));
	assert_null(strchr(seen.data, '\n'));
}

static void test_levels(void **state)
{
	(void)state;
	log_debug("hidden");
	assert_int_equal(n_seen, 0);
	assert_true(log_set_level("*=error,probe=debug", NULL));
	log_debug("shown");
	assert_int_equal(n_seen, 1);
	struct buf levels = BUF_INIT;
	log_get_levels(&levels);
	assert_non_null(strstr(levels.data, "probe=debug"));
	buf_free(&levels);
	assert_true(log_set_level("error", NULL));
	log_warn("hidden");
	assert_int_equal(n_seen, 1);
	struct error e = { 0 };
	assert_false(log_set_level("probe=debug,nonsense=info", &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	assert_false(log_set_level("probe=debug,probe=loud", &e));
	assert_false(log_set_level("probe=debug,=info", &e));
	assert_false(log_set_level("", &e));
	log_debug("still hidden: nothing was changed");
	assert_int_equal(n_seen, 1);
}

static void test_limited(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		log_limited_warn("again");
	}
	assert_int_equal(n_seen, LOG_LIMIT_BURST);
}

static void test_file(void **state)
{
	(void)state;
	char path[] = "/tmp/log_test.XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_true(log_set_file(path, NULL));
	log_error("to the file");
	assert_true(log_set_file(NULL, NULL));
	log_error("not to the file");
	char text[256] = "";
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	assert_non_null(strstr(text, "error probe: to the file\n"));
	assert_null(strstr(text, "not to"));
	close(fd);
	unlink(path);
	struct error e;
	assert_false(log_set_file("/nonexistent/folder/log", &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limited, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
