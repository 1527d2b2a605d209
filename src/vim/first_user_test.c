/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/first_user.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

struct fixture {
	char dir[64];
	char *users, *given, *made;
};

static int setup(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));

	log_set_stderr(false);
	strncpy(f->dir, "/tmp/first_user_test.XXXXXX", sizeof(f->dir) - 1);
	if (mkdtemp(f->dir) == NULL) {
		return -1;
	}
	f->users = mem_printf("%s/users.json", f->dir);
	f->given = mem_printf("%s/given", f->dir);
	f->made = mem_printf("%s/made", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	bool ok = file_remove_tree_at(AT_FDCWD, f->dir, NULL);

	log_set_stderr(true);
	free(f->users);
	free(f->given);
	free(f->made);
	free(f);
	return ok ? 0 : -1;
}

static struct first_user first_of(const struct fixture *f, const char *password_file)
{
	return (struct first_user){ .name = "root",
				    .users_path = f->users,
				    .password_file = password_file,
				    .made_path = f->made };
}

static void assert_password(const struct user_store *s, const char *password)
{
	const struct user *u = user_find(s, "root");

	assert_non_null(u);
	assert_int_equal(crypto_pwhash_str_verify(u->hash, password, strlen(password)), 0);
}

static void first_line_is_the_password(void **state)
{
	struct fixture *f = *state;
	struct first_user first = first_of(f, f->given);
	struct error e;

	assert_true(file_write_atomic(f->given, "se cret\r\nmore\n", 14, 0600, &e));
	struct user_store *s = first_user_open(&first, &e);
	assert_non_null(s);
	assert_int_equal(user_count(s), 1);
	assert_password(s, "se cret");
	user_store_free(s);
	/* Only the first: later a file that is not there is not looked for. */
	first.password_file = "/nowhere";
	s = first_user_open(&first, &e);
	assert_non_null(s);
	assert_password(s, "se cret");
	user_store_free(s);
}

static void made_when_none_is_given(void **state)
{
	struct fixture *f = *state;
	struct first_user first = first_of(f, NULL);
	struct buf text = BUF_INIT;
	struct error e;
	struct stat st;

	struct user_store *s = first_user_open(&first, &e);
	assert_non_null(s);
	assert_int_equal(stat(f->made, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(file_read(f->made, 100, &text, &e));
	assert_int_equal(text.len, 18);
	assert_password(s, text.data);
	buf_free(&text);
	user_store_free(s);
}

static void nothing_is_added_on_failure(void **state)
{
	struct fixture *f = *state;
	struct first_user first = first_of(f, f->given);
	struct error e;

	assert_null(first_user_open(&first, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	assert_true(file_write_atomic(f->given, "\nsecret\n", 8, 0600, &e));
	assert_null(first_user_open(&first, &e));
	assert_non_null(strstr(e.msg, "holds no password"));
	struct user_store *s = user_store_open(f->users, &e);
	assert_non_null(s);
	assert_int_equal(user_count(s), 0);
	user_store_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(first_line_is_the_password, setup, teardown),
		cmocka_unit_test_setup_teardown(made_when_none_is_given, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_added_on_failure, setup, teardown),
	};

	return cmocka_run_group_tests_name("first_user", tests, NULL, NULL);
}
