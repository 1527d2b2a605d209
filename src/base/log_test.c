/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* A log file to which little may be added. */
static void begin_full_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, LOG_FILE_MAX - 1000), 0);
	close(fd);
	assert_true(log_set_file(path, NULL));
}

static void write_more_than_fits(void)
{
	for (int i = 0; i < 30; i++) {
		log_error("line %d of a file that is bounded", i);
	}
}

/* Two that write the same file, as processes do: one lets it turn over, the other follows. */
static void test_file_turns_over(void **state)
{
	(void)state;
	char folder[] = "/tmp/log_test.XXXXXX", path[64], old[64];
	struct stat now, before;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/log", folder);
	snprintf(old, sizeof(old), "%s/log.1", folder);
	begin_full_file(path);
	write_more_than_fits();
	assert_int_equal(stat(path, &now), 0);
	assert_in_range(now.st_size, 1, 3000);
	assert_int_equal(stat(old, &before), 0);
	assert_in_range(before.st_size, LOG_FILE_MAX, LOG_FILE_MAX + 200);

	assert_int_equal(unlink(path), 0);
	begin_full_file(path);
	assert_int_equal(rename(path, old), 0); /* somebody else was first */
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	write_more_than_fits();
	assert_int_equal(fstat(fd, &now), 0);
	assert_in_range(now.st_size, 1, 3000);
	close(fd);
	assert_true(log_set_file(NULL, NULL));
	unlink(path);
	unlink(old);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limited, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_turns_over, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
