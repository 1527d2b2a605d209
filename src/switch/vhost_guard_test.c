/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of libc that vhost_guard.c puts in their place, as the vhost library calls them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/remora-guard-XXXXXX";

static struct sockaddr_un at(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", folder, name);
	return a;
}

/* 0, or errno. */
static int connect_to(const char *name)
{
	struct sockaddr_un a = at(name);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int r = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 ? 0 : errno;

	close(fd);
	return r;
}

static void a_link_is_not_followed(void **state)
{
	struct sockaddr_un real = at("real"), other = at("other"), gone = at("gone");
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&real, sizeof(real)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(connect_to("real"), 0);
	assert_int_equal(symlink(real.sun_path, other.sun_path), 0);
	assert_int_equal(connect_to("other"), ECONNREFUSED);
	assert_int_equal(symlink("nowhere", gone.sun_path), 0);
	assert_int_equal(connect_to("gone"), ECONNREFUSED);
	assert_int_equal(connect_to("none"), ENOENT);
	assert_int_equal(connect_to("."), ECONNREFUSED);
	close(fd);
	assert_int_equal(connect_to("real"), ECONNREFUSED);
	unlink(real.sun_path);
	unlink(other.sun_path);
	unlink(gone.sun_path);
}

static void an_abstract_name_is_none_of_a_file(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	socklen_t n = offsetof(struct sockaddr_un, sun_path) + 1 + 20;
	int there = socket(AF_UNIX, SOCK_STREAM, 0), here = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "remora-%013d", (int)getpid());
	assert_int_equal(bind(there, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(there, 1), 0);
	assert_int_equal(connect(here, (struct sockaddr *)&a, n), 0);
	close(here);
	close(there);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_is_not_followed),
		cmocka_unit_test(an_abstract_name_is_none_of_a_file),
	};

	if (mkdtemp(folder) == NULL) {
		return 1;
	}
	int r = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(folder);
	return r;
}
