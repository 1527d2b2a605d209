/* SPDX-License-Identifier: Apache-2.0 */
#include "host/uid_lease.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"

static void test_ranges(void **state)
{
	static const char *const wrong[] = {
		"",	 "5",	      "1000",	  "-",	      "1000-",
		"-2000", "2000-1999", "999-2000", "0-100000", "1000-4294967294",
		"a-b",	 "1000-2000-"
	};
	struct uid_range r = { 0 };
	struct error e;
	(void)state;
	assert_true(uid_range_parse("1000-1000", &r, &e));
	assert_true(r.first == 1000 && r.n == 1);
	assert_true(uid_range_parse("1900000000-1900065535", &r, &e));
	assert_true(r.first == UID_RANGE_FIRST && r.n == UID_RANGE_N);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_false(uid_range_parse(wrong[i], &r, &e));
		assert_int_equal(e.kind, ERROR_INVALID);
	}
	assert_true(r.first == UID_RANGE_FIRST);
}

static void test_begin_is_stable_and_inside(void **state)
{
	const struct uid_range r = { .first = 4294967293U - 9, .n = 10 };
	(void)state;
	for (int i = 0; i < 1000; i++) {
		char name[16];
		snprintf(name, sizeof(name), "vm-%d", i);
		uint32_t uid = uid_range_begin(&r, name);
		assert_true(uid >= r.first && uid - r.first < r.n);
		assert_int_equal(uid, uid_range_begin(&r, name));
	}
}

/* Each has its own until all are taken; what is given back is had again. */
static void test_leases(void **state)
{
	char dir[] = "/tmp/remora-uid-XXXXXX";
	const struct uid_range r = { .first = 3000000000U, .n = 3 };
	uint32_t uid[4] = { 0 }, again;
	int fd[4];
	struct error e = { 0 };
	(void)state;
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < 3; i++) {
		fd[i] = uid_lease_take(&r, dir, "same", &uid[i], &e);
		assert_true(fd[i] >= 0);
		assert_true(uid[i] >= r.first && uid[i] < r.first + r.n);
	}
	assert_true(uid[0] != uid[1] && uid[1] != uid[2] && uid[0] != uid[2]);
	assert_int_equal(uid[0], uid_range_begin(&r, "same"));
	assert_int_equal(uid_lease_take(&r, dir, "same", &uid[3], &e), -1);
	assert_int_equal(e.kind, ERROR_NO_SPACE);

	uid_lease_end(dir, uid[1]); /* it is taken: nothing happens */
	assert_int_equal(uid_lease_take(&r, dir, "same", &uid[3], &e), -1);
	close(fd[1]);
	fd[1] = uid_lease_take(&r, dir, "other", &again, &e);
	assert_true(fd[1] >= 0);
	assert_int_equal(again, uid[1]);
	close(fd[0]);
	uid_lease_end(dir, uid[0]);
	uid_lease_end(dir, uid[0]);
	close(fd[1]);
	uid_lease_sweep(dir); /* but the third, which is taken */
	fd[0] = uid_lease_take(&r, dir, "same", &again, &e);
	assert_int_equal(again, uid[0]);
	assert_int_equal(uid_lease_take(&(struct uid_range){ uid[2], 1 }, dir, "x", &again, &e),
			 -1);
	close(fd[0]);
	close(fd[2]);
	uid_lease_sweep(dir);
	assert_int_equal(rmdir(dir), 0); /* nothing is left */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_begin_is_stable_and_inside),
		cmocka_unit_test(test_leases),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
