/* SPDX-License-Identifier: Apache-2.0 */
#include "host/disk_space.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum {
	CAPACITY = 8 << 20,
};

struct rig {
	char folder[64];
	struct datastore *ds;
	struct disk_place at;
};

static int setup(void **state)
{
	struct rig *r = mem_zalloc(sizeof(*r));
	struct error e = { 0 };

	snprintf(r->folder, sizeof(r->folder), "/tmp/disk-space-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	struct datastore_config c = { .name = "ds", .folder = r->folder };
	r->ds = datastore_open(&c, &e);
	assert_non_null(r->ds);
	r->at = (struct disk_place){ .datastore = r->ds, .path = "d.vmdk" };
	struct disk_spec spec = { .capacity = CAPACITY, .format = DISK_THIN };
	assert_true(disk_create(&r->at, &spec, NULL, &e));
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	datastore_close(r->ds);
	assert_true(file_remove_tree_at(AT_FDCWD, r->folder, NULL));
	free(r);
	return 0;
}

static struct disk_info query(const struct rig *r)
{
	struct disk_info info;

	assert_true(disk_query(&r->at, &info, NULL));
	return info;
}

static void put(const struct rig *r, off_t at, char c, size_t n)
{
	int fd = openat(datastore_root(r->ds), "d-flat.vmdk", O_RDWR | O_CLOEXEC);
	char *data = mem_alloc(n);

	memset(data, c, n);
	assert_int_equal(pwrite(fd, data, n, at), n);
	fsync(fd);
	close(fd);
	free(data);
}

static char get(const struct rig *r, off_t at)
{
	int fd = openat(datastore_root(r->ds), "d-flat.vmdk", O_RDONLY | O_CLOEXEC);
	char c;

	assert_int_equal(pread(fd, &c, 1, at), 1);
	close(fd);
	return c;
}

static void shrinking_gives_zeros_back(void **state)
{
	const struct rig *r = *state;

	put(r, 0, 'a', 1 << 20);
	put(r, 1 << 20, '\0', 4 << 20);
	put(r, 7 << 20, 'b', 1 << 20);
	uint64_t before = query(r).allocated;
	assert_true(disk_shrink(&r->at, NULL, NULL));
	/* A file system may need some blocks more to note where the holes are. */
	assert_true(query(r).allocated <= before - (3 << 20));
	assert_int_equal(get(r, 5), 'a');
	assert_int_equal(get(r, 2 << 20), '\0');
	assert_int_equal(get(r, CAPACITY - 1), 'b');
	assert_int_equal(query(r).capacity, CAPACITY);
}

static void inflating_takes_all(void **state)
{
	const struct rig *r = *state;
	struct error e;

	put(r, 3 << 20, 'x', 10);
	assert_true(disk_inflate(&r->at, NULL, &e));
	assert_true(query(r).allocated >= CAPACITY);
	assert_int_not_equal(query(r).format, DISK_THIN);
	assert_int_equal(get(r, (3 << 20) + 9), 'x');
	assert_false(disk_shrink(&r->at, NULL, &e));
	assert_int_equal(e.kind, ERROR_STATE);
	assert_true(disk_zero(&r->at, NULL, &e));
	assert_int_equal(get(r, 3 << 20), '\0');
	assert_true(query(r).allocated >= CAPACITY);
}

static void cancelled_work_stops(void **state)
{
	const struct rig *r = *state;
	struct progress p = { 0 };
	struct error e;

	progress_cancel(&p);
	assert_false(disk_inflate(&r->at, &p, &e));
	assert_int_equal(e.kind, ERROR_CANCELED);
	assert_int_equal(query(r).format, DISK_THIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(shrinking_gives_zeros_back, setup, teardown),
		cmocka_unit_test_setup_teardown(inflating_takes_all, setup, teardown),
		cmocka_unit_test_setup_teardown(cancelled_work_stops, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
