/* SPDX-License-Identifier: Apache-2.0 */
#include "base/socket.h"

#include <arpa/inet.h>
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

#include "base/address.h"
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

/* Who connects to `port` at an address, as the listener sees it; "" where it cannot. */
static void name_of_caller(int listener, const char *address, char out[INET6_ADDRSTRLEN])
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(socket_port(listener)) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
				   .sin6_port = htons(socket_port(listener)) };
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	bool is_v6 = inet_pton(AF_INET, address, &v4.sin_addr) != 1;

	out[0] = '\0';
	inet_pton(AF_INET6, address, &v6.sin6_addr);
	int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, is_v6 ? (void *)&v6 : (void *)&v4, is_v6 ? sizeof(v6) : sizeof(v4)) == 0) {
		int got = accept(listener, (struct sockaddr *)&from, &len);
		assert_true(got >= 0);
		address_name((struct sockaddr *)&from, out);
		close(got);
	}
	close(fd);
}

static void test_listen_tcp(void **state)
{
	struct error e = { 0 };
	char name[INET6_ADDRSTRLEN];

	(void)state;
	int fd = socket_listen_tcp("::", 0, 4, &e);
	assert_true(fd >= 0);
	assert_int_not_equal(socket_port(fd), 0);
	name_of_caller(fd, "127.0.0.1", name);
	assert_string_equal(name, "127.0.0.1");
	name_of_caller(fd, "::1", name);
	assert_true(name[0] == '\0' || strcmp(name, "::1") == 0); /* not all machines have it */

	assert_int_equal(socket_listen_tcp("127.0.0.1", socket_port(fd), 4, &e), -1);
	assert_int_equal(e.kind, ERROR_EXISTS);
	close(fd);
	assert_int_equal(socket_listen_tcp("one", 0, 4, &e), -1);
	assert_int_equal(e.kind, ERROR_INVALID);

	fd = socket_listen_tcp("127.0.0.1", 0, 4, &e);
	name_of_caller(fd, "127.0.0.1", name);
	assert_string_equal(name, "127.0.0.1");
	name_of_caller(fd, "::1", name);
	assert_string_equal(name, "");
	close(fd);
	assert_int_equal(socket_port(-1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_short_path, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_path, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_paths, setup, teardown),
		cmocka_unit_test(test_listen_tcp),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
