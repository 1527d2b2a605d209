/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

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

#include "base/mem.h"

static char folder[64]; /* of the running test */
static int root = -1;	/* the same, open */

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/file_test.XXXXXX");
	if (!mkdtemp(folder)) {
		return -1;
	}
	root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return root < 0;
}

static int teardown(void **state)
{
	(void)state;
	close(root);
	return !file_remove_tree_at(AT_FDCWD, folder, NULL);
}

static void make_file(const char *name, const char *text)
{
	const struct file_content content = { .data = text, .n = strlen(text), .mode = 0600 };
	assert_true(file_write_atomic_at(root, name, &content, NULL));
}

static void assert_text(const char *name, const char *text)
{
	struct buf b = BUF_INIT;
	assert_true(file_read_at(root, name, 1000, &b, NULL));
	assert_string_equal(b.data, text);
	buf_free(&b);
}

static void test_read_limits(void **state)
{
	(void)state;
	make_file("a", "12345");
	struct buf b = BUF_INIT;
	struct error e;
	buf_adds(&b, "x");
	assert_true(file_read_at(root, "a", 5, &b, &e));
	assert_string_equal(b.data, "x12345");
	assert_false(file_read_at(root, "a", 4, &b, &e));
	assert_int_equal(e.kind, ERROR_LIMIT);
	assert_string_equal(b.data, "x12345");
	assert_false(file_read_at(root, "b", 5, &b, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	assert_false(file_read(folder, 5, &b, &e));
	assert_int_equal(e.kind, ERROR_INVALID);
	assert_int_equal(mkfifoat(root, "pipe", 0600), 0);
	assert_false(file_read_at(root, "pipe", 5, &b, &e));
	assert_int_equal(e.kind, ERROR_INVALID);
	buf_free(&b);
}

static void test_write_replaces(void **state)
{
	(void)state;
	make_file("a", "old");
	make_file("a", "new");
	assert_text("a", "new");
	struct stat st;
	assert_int_equal(fstatat(root, "a", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	char *path = mem_printf("%s/a", folder);
	assert_true(file_write_atomic(path, "", 0, 0644, NULL));
	assert_text("a", "");
	free(path);
}

static void test_failed_write_leaves_nothing(void **state)
{
	(void)state;
	assert_int_equal(mkdirat(root, "taken", 0700), 0);
	const struct file_content content = { .data = "x", .n = 1, .mode = 0600 };
	struct error e;
	assert_false(file_write_atomic_at(root, "taken", &content, &e));
	assert_false(file_write_atomic_at(root, "no/such/folder", &content, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	assert_int_equal(unlinkat(root, "taken", AT_REMOVEDIR), 0);
	assert_int_equal(rmdir(folder), 0); /* so no temporary was left */
	assert_int_equal(mkdir(folder, 0700), 0);
}

static void test_make_dirs(void **state)
{
	(void)state;
	char *path = mem_printf("%s/a//b/c/", folder);
	assert_true(file_make_dirs(path, 0755, NULL));
	assert_true(file_make_dirs(path, 0755, NULL));
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	free(path);
	make_file("file", "");
	path = mem_printf("%s/file", folder);
	struct error e;
	assert_false(file_make_dirs(path, 0755, &e));
	assert_int_equal(e.kind, ERROR_EXISTS);
	free(path);
	assert_true(file_make_dirs_beneath(root, "x/y/z", NULL));
	assert_true(file_make_dirs_beneath(root, "x/y/z", NULL));
	assert_false(file_make_dirs_beneath(root, "x/../../y", &e));
	assert_false(file_make_dirs_beneath(root, "file/y", &e));
}

static int (*const openers[])(int, const char *, int, mode_t, struct error *) = {
	file_open_beneath,
	file_open_beneath_by_walk,
};

static void test_stays_beneath(void **state)
{
	(void)state;
	static const char *const escapes[] = { "..",	  "../x",      "d/../../x",  "/etc/passwd",
					       "up/file", "abs",       "d/up2/file", "up",
					       "abs/x",	  "/proc/self" };
	make_file("file", "in");
	assert_int_equal(mkdirat(root, "d", 0700), 0);
	make_file("d/inner", "in");
	assert_int_equal(symlinkat("..", root, "up"), 0);
	assert_int_equal(symlinkat("../..", root, "d/up2"), 0);
	assert_int_equal(symlinkat("/etc/passwd", root, "abs"), 0);
	for (size_t k = 0; k != ARRAY_LEN(openers); k++) {
		struct error e;
		for (size_t i = 0; i != ARRAY_LEN(escapes); i++) {
			assert_int_equal(openers[k](root, escapes[i], O_RDONLY, 0, &e), -1);
			assert_true(e.kind == ERROR_PERMISSION || e.kind == ERROR_INVALID);
		}
		static const char *const fine[] = { "file", "d/inner", "./d//inner", "d/",
						    "d",    "",	       ".",	     "d/." };
		for (size_t i = 0; i != ARRAY_LEN(fine); i++) {
			int fd = openers[k](root, fine[i], O_RDONLY, 0, &e);
			assert_true(fd >= 0);
			close(fd);
		}
		assert_int_equal(openers[k](root, "file/", O_RDONLY, 0, &e), -1);
		assert_int_equal(openers[k](root, "none", O_RDONLY, 0, &e), -1);
		assert_int_equal(e.kind, ERROR_NOT_FOUND);
		char made[] = "made0";
		made[4] = (char)('0' + k);
		int fd = openers[k](root, made, O_WRONLY | O_CREAT | O_EXCL, 0600, &e);
		assert_true(fd >= 0);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		close(fd);
	}
}

static void test_parent(void **state)
{
	(void)state;
	assert_int_equal(mkdirat(root, "d", 0700), 0);
	const char *name = NULL;
	int fd = file_open_parent_beneath(root, "d/new", &name, NULL);
	assert_true(fd >= 0);
	assert_string_equal(name, "new");
	assert_int_equal(mkdirat(fd, name, 0700), 0);
	close(fd);
	static const char *const bad[] = { "", ".", "..", "d/..", "d/", "../x", "/x", "none/x" };
	for (size_t i = 0; i != ARRAY_LEN(bad); i++) {
		assert_int_equal(file_open_parent_beneath(root, bad[i], &name, NULL), -1);
	}
}

static void test_remove_tree(void **state)
{
	(void)state;
	make_file("kept", "safe");
	assert_true(file_make_dirs_beneath(root, "t/a/b", NULL));
	make_file("t/a/b/f", "x");
	assert_int_equal(symlinkat("../kept", root, "t/link"), 0);
	assert_int_equal(symlinkat("..", root, "t/up"), 0);
	assert_true(file_remove_tree_at(root, "t", NULL));
	assert_true(file_remove_tree_at(root, "t", NULL));
	assert_text("kept", "safe");
	struct stat st;
	assert_int_equal(fstatat(root, "t", &st, 0), -1);
}

static void test_space(void **state)
{
	(void)state;
	struct file_space space;
	assert_true(file_space(folder, &space, NULL));
	assert_true(space.total > 0 && space.free <= space.total);
	struct error e;
	assert_false(file_space("/nonexistent", &space, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_replaces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failed_write_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_make_dirs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stays_beneath, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove_tree, setup, teardown),
		cmocka_unit_test_setup_teardown(test_space, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
