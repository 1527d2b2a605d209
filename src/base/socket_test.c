/* SPDX-License-Identifier: Apache-2.0 */
#include "base/socket.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"

static char folder[64];

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/socket_test.XXXXXX");
	return !mkdtemp(folder);
}

static int teardown(void **state)
{
	(void)state;
	return !file_remove_tree_at(AT_FDCWD, folder, NULL);
}

static void check_at(const char *path)
{
	struct error e;
	assert_int_equal(socket_connect_unix(path, &e), -1);
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	int listener = socket_listen_unix(path, 0600, &e);
	if (listener < 0) {
		fail_msg("%s", e.msg);
	}
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(socket_listen_unix(path, 0600, &e), -1);
	assert_int_equal(e.kind, ERROR_EXISTS);
	int client = socket_connect_unix(path, &e);
	assert_true(client >= 0);
	assert_true(fcntl(client, F_GETFD) & FD_CLOEXEC);
	/* one connection was the look whether somebody listens */
	int first = accept(listener, NULL, NULL);
	int second = accept(listener, NULL, NULL);
	assert_true(first >= 0 && second >= 0);
	close(first);
	close(second);
	close(client);
	close(listener);
	/* the file is left behind, as after a crash */
	assert_int_equal(socket_connect_unix(path, &e), -1);
	assert_int_equal(e.kind, ERROR_UNREACHABLE);
	listener = socket_listen_unix(path, 0600, &e);
	assert_true(listener >= 0);
	close(listener);
}

static void test_short_path(void **state)
{
	(void)state;
	char *path = mem_printf("%s/s", folder);
	check_at(path);
	free(path);
}

static void test_long_path(void **state)
{
	(void)state;
	char *parent = mem_printf("%s/%060d/%060d", folder, 1, 2);
	assert_true(file_make_dirs(parent, 0700, NULL));
	char *path = mem_printf("%s/control.sock", parent);
	check_at(path);
	free(path);
	free(parent);
}

static void test_bad_paths(void **state)
{
	(void)state;
	struct error e;
	char *path = mem_printf("%s/file", folder);
	assert_true(file_write_atomic(path, "kept", 4, 0600, &e));
	assert_int_equal(socket_listen_unix(path, 0600, &e), -1);
	assert_int_equal(e.kind, ERROR_EXISTS);
	free(path);
	path = mem_printf("%s/none/s", folder);
	assert_int_equal(socket_listen_unix(path, 0600, &e), -1);
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	free(path);
	path = mem_printf("%s/%0200d", folder, 1);
	assert_int_equal(socket_listen_unix(path, 0600, &e), -1);
	assert_int_equal(e.kind, ERROR_NAME);
	free(path);
	assert_int_equal(socket_connect_unix("", &e), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_short_path, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_path, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_paths, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
