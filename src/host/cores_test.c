/* SPDX-License-Identifier: Apache-2.0 */
#include "host/cores.h"

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

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"

/* A tree with the files of /sys and /proc that a plan follows from. */
struct machine {
	char root[64];
};

static void put(const struct machine *m, const char *path, const char *text)
{
	char *whole = mem_printf("%s%s", m->root, path);
	char *slash = strrchr(whole, '/');
	struct error e;

	*slash = '\0';
	assert_true(file_make_dirs(whole, 0700, &e));
	*slash = '/';
	assert_true(file_write_atomic(whole, text, strlen(text), 0600, &e));
	free(whole);
}

static void machine_make(struct machine *m, const char *online)
{
	snprintf(m->root, sizeof(m->root), "/tmp/cores_test.XXXXXX");
	assert_non_null(mkdtemp(m->root));
	put(m, "/sys/devices/system/cpu/online", online);
}

static void machine_drop(const struct machine *m)
{
	struct error e;
	assert_true(file_remove_tree_at(AT_FDCWD, m->root, &e));
}

static bool plan(const struct machine *m, const char *own, const char *wanted, struct cores *out,
		 struct error *e)
{
	cpu_set_t set;
	char *status = mem_printf("Name:\tx\nCpus_allowed_list:\t%s\n", own);

	put(m, "/proc/self/status", status);
	free(status);
	cores_own(&set, m->root);
	return cores_plan(
		out, &(struct cores_config){ .root = m->root, .own = &set, .wanted = wanted }, e);
}

static void check(const char *online, const char *own, const char *wanted, const char *planes,
		  const char *vms)
{
	struct machine m;
	struct cores c;
	struct error e = { 0 };
	char text[80];

	machine_make(&m, online);
	if (!plan(&m, own, wanted, &c, &e)) {
		fail_msg("%s", e.msg);
	}
	cores_list(&c.planes, text, sizeof(text));
	assert_string_equal(text, planes);
	cores_list(&c.vms, text, sizeof(text));
	assert_string_equal(text, vms);
	assert_true(c.n_vms > 0 && c.n_planes > 0);
	if (strcmp(planes, vms) == 0) {
		assert_int_equal(c.kind, CORES_TOGETHER);
		assert_int_equal(c.kept_percent, CORES_KEPT_SHARED);
	} else {
		assert_int_equal(c.kind, CORES_APART);
		assert_int_equal(c.kept_percent, 100 * c.n_planes);
		assert_int_equal(c.n_planes + c.n_vms, c.n_usable);
	}
	machine_drop(&m);
}

static void test_by_count(void **state)
{
	(void)state;
	check("0", "0-255", NULL, "0", "0");
	check("0-1", "0-255", NULL, "0-1", "0-1");
	check("0-2", "0-255", NULL, "0", "1-2");
	check("0-3", "0-255", NULL, "0", "1-3");
	check("0-7", "0-255", NULL, "0-1", "2-7");
	check("0-15", "0-255", NULL, "0-1", "2-15");
	check("0-1023", "0-1023", "auto", "0-1", "2-1023");
}

static void test_offline_and_restricted(void **state)
{
	(void)state;
	check("1,3-7", "0-7", NULL, "1", "3-7");
	check("0-7", "4-7", NULL, "4", "5-7");
	check("0-7", "2,6", NULL, "2,6", "2,6");
	check("0-7", "5", "auto", "5", "5");
	/* What the kernel says makes no sense: what we have now. */
	struct machine m;
	struct cores c;
	machine_make(&m, "nonsense");
	assert_true(plan(&m, "0-9999999999", NULL, &c, NULL));
	assert_true(c.n_usable > 0);
	machine_drop(&m);
}

static void test_wanted(void **state)
{
	(void)state;
	check("0-7", "0-7", "none", "0-7", "0-7");
	check("0-7", "0-7", "3", "0-2", "3-7");
	check("0-7", "0-7", "6-7", "6-7", "0-5");
	check("0-7", "0-7", "0,4", "0,4", "1-3,5-7");
	check("0-1", "0-1", "1", "0", "1");
	check("0-3", "0-3", "3-3", "3", "0-2");
}

static void refuse(const char *wanted, const char *part)
{
	struct machine m;
	struct cores c;
	struct error e = { 0 };

	machine_make(&m, "0-3");
	assert_false(plan(&m, "0-3", wanted, &c, &e));
	assert_non_null(strstr(e.msg, part));
	assert_non_null(strstr(e.msg, wanted));
	assert_int_equal(c.kind, CORES_TOGETHER);
	assert_int_equal(c.n_vms, 4);
	machine_drop(&m);
}

static void test_wanted_but_not_there(void **state)
{
	(void)state;
	refuse("4-5", "0-3");
	refuse("3,9", "0-3");
	refuse("4", "left for VMs");
	refuse("0-3", "left for VMs");
	refuse("200", "left for VMs");
	/* One core with three threads: nothing to share out, and nobody has asked for it. */
	struct machine m;
	struct cores c;
	struct error e = { 0 };
	machine_make(&m, "0-2");
	put(&m, "/sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0-2\n");
	assert_true(plan(&m, "0-2", NULL, &c, &e));
	assert_int_equal(c.kind, CORES_TOGETHER);
	machine_drop(&m);
	machine_make(&m, "0-1");
	assert_false(plan(&m, "0-1", "0-1", &c, &e));
	assert_int_equal(c.n_vms, 2);
	machine_drop(&m);
}

static void test_words_that_are_none(void **state)
{
	static const char *const bad[] = { "",	    "0",
					   "-1",    "1-",
					   "a",	    "1024",
					   "2-1",   "0-1,",
					   ",1",    "1,,2",
					   "0x1",   "1-1024",
					   " 1",    "1 ",
					   "AUTO",  "0-1-2",
					   "+1",    "99999999999999999999",
					   "0--1",  "0-1;2",
					   "none ", "1-99999999999999999999" };
	static const char *const good[] = { "auto", "none", "1", "1023", "0-0", "0,2,4-1023" };
	struct error e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (cores_wanted_check(bad[i], &e)) {
			fail_msg("\"%s\" is taken", bad[i]);
		}
		assert_int_equal(e.kind, ERROR_INVALID);
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(cores_wanted_check(good[i], &e));
	}
}

static void test_whole_cores(void **state)
{
	struct machine m;
	struct cores c;
	struct error e = { 0 };
	char text[80];

	(void)state;
	machine_make(&m, "0-7");
	put(&m, "/sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0,4\n");
	put(&m, "/sys/devices/system/cpu/cpu4/topology/thread_siblings_list", "0,4\n");
	assert_true(plan(&m, "0-7", NULL, &c, &e));
	cores_list(&c.planes, text, sizeof(text));
	assert_string_equal(text, "0,4");
	assert_true(plan(&m, "0-7", "1", &c, &e));
	assert_int_equal(c.n_planes, 2);
	/* The sibling is not ours. */
	assert_true(plan(&m, "0-3", "1", &c, &e));
	cores_list(&c.planes, text, sizeof(text));
	assert_string_equal(text, "0");
	cores_text(&c, text, sizeof(text));
	assert_non_null(strstr(text, "CPU 1-3 for VMs"));
	machine_drop(&m);
}

static void test_share(void **state)
{
	struct machine m;
	struct cores c, again;
	struct error e = { 0 };
	cpu_set_t own;
	struct cores_config config = { .root = m.root, .own = &own, .is_share = true };

	(void)state;
	machine_make(&m, "0-15");
	cores_own(&own, m.root);
	assert_true(cores_plan(&c, &config, &e));
	assert_int_equal(c.kind, CORES_SHARE);
	assert_int_equal(c.n_vms, 16);
	assert_int_equal(c.kept_percent, 0);
	config.wanted = "0-1";
	assert_false(cores_plan(&again, &config, &e));
	assert_true(cores_equal(&c, &again));
	machine_drop(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_count),
		cmocka_unit_test(test_offline_and_restricted),
		cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_wanted_but_not_there),
		cmocka_unit_test(test_words_that_are_none),
		cmocka_unit_test(test_whole_cores),
		cmocka_unit_test(test_share),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
