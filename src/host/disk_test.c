/* SPDX-License-Identifier: Apache-2.0 */
#include "host/disk.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"
#include "host/vmdk.h"

#define MIB (1ull << 20)

struct fixture {
	char folder[64];
	struct datastore *ds;
};

static struct datastore *open_store(const char *folder, uint64_t quota)
{
	struct error e = { 0 };
	struct datastore_config c = { .name = "local", .folder = folder, .quota = quota };
	struct datastore *ds = datastore_open(&c, &e);
	if (ds == NULL) {
		fail_msg("%s", e.msg);
	}
	return ds;
}

static int set_up(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));
	snprintf(f->folder, sizeof(f->folder), "/tmp/disk_test_XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	f->ds = open_store(f->folder, 0);
	assert_true(datastore_make_folder(f->ds, "vm", false, NULL));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	datastore_close(f->ds);
	file_remove_tree_at(AT_FDCWD, f->folder, NULL);
	free(f);
	return 0;
}

static struct disk_place at(const struct fixture *f, const char *path)
{
	return (struct disk_place){ .datastore = f->ds, .path = path };
}

static void create(const struct fixture *f, const char *path, uint64_t capacity,
		   enum disk_format format)
{
	struct error e = { 0 };
	struct disk_place p = at(f, path);
	struct disk_spec s = { .capacity = capacity, .format = format };
	if (!disk_create(&p, &s, NULL, &e)) {
		fail_msg("%s", e.msg);
	}
}

static struct disk_info query(const struct fixture *f, const char *path)
{
	struct error e = { 0 };
	struct disk_info info;
	struct disk_place p = at(f, path);
	if (!disk_query(&p, &info, &e)) {
		fail_msg("%s", e.msg);
	}
	return info;
}

static void write_text(const struct fixture *f, const char *path, const char *text, off_t where)
{
	int fd = openat(datastore_root(f->ds), path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, strlen(text), where), (ssize_t)strlen(text));
	close(fd);
}

static void assert_text(const struct fixture *f, const char *path, const char *text, off_t where)
{
	char have[64] = "";
	int fd = openat(datastore_root(f->ds), path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, have, strlen(text), where), (ssize_t)strlen(text));
	assert_string_equal(have, text);
	close(fd);
}

/* All names in a folder but the identity, own ones too, joined. */
static char *names_in(const struct fixture *f, const char *path)
{
	char *full = mem_printf("%s/%s", f->folder, path);
	char *command = mem_printf("cd '%s' && ls -A | grep -v remora-uuid | tr '\\n' ' '", full);
	struct buf b = BUF_INIT;
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(fds[1], 1);
		close(fds[0]);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	char part[512];
	ssize_t n;
	while ((n = read(fds[0], part, sizeof(part))) > 0) {
		buf_add(&b, part, (size_t)n);
	}
	close(fds[0]);
	waitpid(pid, NULL, 0);
	free(command);
	free(full);
	return buf_take(&b);
}

static void assert_names(const struct fixture *f, const char *path, const char *want)
{
	char *have = names_in(f, path);
	assert_string_equal(have, want);
	free(have);
}

static void test_creates(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	create(f, "vm/thin.vmdk", 64 * MIB, DISK_THIN);
	create(f, "vm/lazy.vmdk", 2 * MIB, DISK_LAZY_ZEROED);
	create(f, "vm/eager.vmdk", 2 * MIB, DISK_EAGER_ZEROED);
	struct disk_info info = query(f, "vm/thin.vmdk");
	assert_int_equal(info.capacity, 64 * MIB);
	assert_int_equal(info.format, DISK_THIN);
	assert_true(info.allocated < MIB);
	assert_int_equal(strlen(info.uuid), 36);
	assert_string_equal(info.extent_path, "vm/thin-flat.vmdk");
	assert_string_equal(info.adapter_type, "lsilogic");
	info = query(f, "vm/lazy.vmdk");
	assert_int_equal(info.format, DISK_LAZY_ZEROED);
	assert_true(info.allocated >= 2 * MIB);
	assert_int_equal(query(f, "vm/eager.vmdk").format, DISK_EAGER_ZEROED);
	struct disk_place p = at(f, "vm/thin.vmdk");
	struct disk_spec s = { .capacity = MIB };
	assert_false(disk_create(&p, &s, NULL, &e));
	assert_int_equal(e.kind, ERROR_EXISTS);
	assert_names(f, "vm",
		     "eager-flat.vmdk eager.vmdk lazy-flat.vmdk lazy.vmdk thin-flat.vmdk "
		     "thin.vmdk ");
}

static void assert_create_fails(const struct fixture *f, const char *path, uint64_t capacity,
				enum disk_format format, enum error_kind kind)
{
	struct error e = { 0 };
	struct disk_place p = at(f, path);
	struct disk_spec s = { .capacity = capacity, .format = format };
	assert_false(disk_create(&p, &s, NULL, &e));
	if (e.kind != kind) {
		fail_msg("%s", e.msg);
	}
}

static void test_refuses(void **state)
{
	struct fixture *f = *state;
	assert_create_fails(f, "vm/x", MIB, DISK_THIN, ERROR_NAME);
	assert_create_fails(f, "vm/.vmdk", MIB, DISK_THIN, ERROR_NAME);
	assert_create_fails(f, "../x.vmdk", MIB, DISK_THIN, ERROR_NAME);
	assert_create_fails(f, "none/x.vmdk", MIB, DISK_THIN, ERROR_NOT_FOUND);
	assert_create_fails(f, "vm/x.vmdk", 0, DISK_THIN, ERROR_INVALID);
	assert_create_fails(f, "vm/x.vmdk", 1000, DISK_THIN, ERROR_INVALID);
	assert_create_fails(f, "vm/x.vmdk", 63ull << 40, DISK_THIN, ERROR_LIMIT);
	assert_create_fails(f, "vm/x.vmdk", 60ull << 40, DISK_EAGER_ZEROED, ERROR_NO_SPACE);
	assert_names(f, "vm", "");
}

static void test_full_datastore(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	datastore_close(f->ds);
	f->ds = open_store(f->folder, 4 * MIB);
	create(f, "vm/a.vmdk", 2 * MIB, DISK_EAGER_ZEROED);
	assert_create_fails(f, "vm/b.vmdk", 3 * MIB, DISK_LAZY_ZEROED, ERROR_NO_SPACE);
	struct disk_place a = at(f, "vm/a.vmdk");
	assert_false(disk_extend(&a, 20 * MIB, false, NULL, &e));
	assert_int_equal(e.kind, ERROR_NO_SPACE);
	assert_int_equal(query(f, "vm/a.vmdk").capacity, 2 * MIB);
	assert_names(f, "vm", "a-flat.vmdk a.vmdk ");
}

static void test_copies(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	create(f, "vm/a.vmdk", 64 * MIB, DISK_THIN);
	write_text(f, "vm/a-flat.vmdk", "hello", 32 << 20);
	struct disk_copy c = { .from = at(f, "vm/a.vmdk"), .to = at(f, "vm/b.vmdk") };
	assert_true(disk_copy(&c, NULL, &e));
	assert_text(f, "vm/b-flat.vmdk", "hello", 32 << 20);
	struct disk_info a = query(f, "vm/a.vmdk"), b = query(f, "vm/b.vmdk");
	assert_string_not_equal(a.uuid, b.uuid);
	assert_true(b.allocated < MIB);
	assert_false(disk_copy(&c, NULL, &e));
	assert_int_equal(e.kind, ERROR_EXISTS);
	c.force = true;
	write_text(f, "vm/a-flat.vmdk", "world", 32 << 20);
	assert_true(disk_copy(&c, NULL, &e));
	b = query(f, "vm/b.vmdk");
	assert_text(f, b.extent_path, "world", 32 << 20);
	c.to = c.from;
	assert_false(disk_copy(&c, NULL, &e));
	assert_int_equal(e.kind, ERROR_EXISTS);
	struct progress p = { 0 };
	progress_cancel(&p);
	c.to = at(f, "vm/c.vmdk");
	c.format = DISK_EAGER_ZEROED;
	assert_false(disk_copy(&c, &p, &e));
	assert_int_equal(e.kind, ERROR_CANCELED);
	char *names = names_in(f, "vm");
	char *base = strrchr(b.extent_path, '/') + 1;
	char *want = mem_printf("a-flat.vmdk a.vmdk %s b.vmdk ", base);
	assert_string_equal(names, want);
	free(want);
	free(names);
}

static void test_joins_split_disks(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	int root = datastore_root(f->ds);
	static const char text[] = "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n"
				   "createType=\"twoGbMaxExtentFlat\"\n"
				   "RW 8 FLAT \"s-f001.vmdk\" 0\nRW 8 FLAT \"s-f002.vmdk\" 2\n";
	struct file_content c = { .data = text, .n = sizeof(text) - 1, .mode = 0600 };
	assert_true(file_write_atomic_at(root, "vm/s.vmdk", &c, &e));
	c = (struct file_content){ .data = "one", .n = 3, .mode = 0600 };
	assert_true(file_write_atomic_at(root, "vm/s-f001.vmdk", &c, &e));
	assert_true(file_write_atomic_at(root, "vm/s-f002.vmdk", &c, &e));
	int fd = openat(root, "vm/s-f001.vmdk", O_RDWR);
	assert_int_equal(ftruncate(fd, 4096), 0);
	close(fd);
	fd = openat(root, "vm/s-f002.vmdk", O_RDWR);
	assert_int_equal(ftruncate(fd, 5120), 0);
	assert_int_equal(pwrite(fd, "two", 3, 1024), 3);
	close(fd);
	assert_int_equal(query(f, "vm/s.vmdk").n_extents, 2);
	struct disk_copy copy = { .from = at(f, "vm/s.vmdk"), .to = at(f, "vm/j.vmdk") };
	assert_true(disk_copy(&copy, NULL, &e));
	assert_int_equal(query(f, "vm/j.vmdk").capacity, 8192);
	assert_text(f, "vm/j-flat.vmdk", "one", 0);
	assert_text(f, "vm/j-flat.vmdk", "two", 4096);
	assert_true(datastore_make_folder(f->ds, "other", false, &e));
	struct disk_place from = at(f, "vm/s.vmdk"), to = at(f, "other/s.vmdk");
	assert_true(disk_move(&from, &to, NULL, &e));
	assert_int_equal(query(f, "other/s.vmdk").n_extents, 2);
	assert_names(f, "vm", "j-flat.vmdk j.vmdk ");
	assert_true(disk_delete(&to, NULL, &e));
	assert_names(f, "other", "");
}

static void test_moves(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	create(f, "vm/a.vmdk", MIB, DISK_THIN);
	write_text(f, "vm/a-flat.vmdk", "data", 512);
	struct disk_info before = query(f, "vm/a.vmdk");
	struct disk_place a = at(f, "vm/a.vmdk"), b = at(f, "vm/b.vmdk");
	struct disk_place c = at(f, "vm2/b.vmdk"), d = at(f, "vm/d.vmdk");
	assert_true(disk_move(&a, &b, NULL, &e));
	assert_names(f, "vm", "b-flat.vmdk b.vmdk ");
	assert_text(f, "vm/b-flat.vmdk", "data", 512);
	assert_string_equal(query(f, "vm/b.vmdk").uuid, before.uuid);
	assert_false(disk_move(&b, &c, NULL, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	assert_true(datastore_make_folder(f->ds, "vm2", false, &e));
	assert_true(disk_move(&b, &c, NULL, &e));
	assert_names(f, "vm", "");
	assert_names(f, "vm2", "b-flat.vmdk b.vmdk ");
	assert_true(disk_move(&c, &d, NULL, &e));
	assert_names(f, "vm", "d-flat.vmdk d.vmdk ");
	assert_names(f, "vm2", "");
	assert_text(f, "vm/d-flat.vmdk", "data", 512);
	create(f, "vm/x.vmdk", MIB, DISK_THIN);
	struct disk_place x = at(f, "vm/x.vmdk");
	assert_false(disk_move(&d, &x, NULL, &e));
	assert_int_equal(e.kind, ERROR_EXISTS);
	assert_names(f, "vm", "d-flat.vmdk d.vmdk x-flat.vmdk x.vmdk ");
}

static void test_extends_and_deletes(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	create(f, "vm/a.vmdk", MIB, DISK_THIN);
	struct disk_place a = at(f, "vm/a.vmdk");
	assert_true(disk_extend(&a, 4 * MIB, false, NULL, &e));
	assert_int_equal(query(f, "vm/a.vmdk").capacity, 4 * MIB);
	assert_false(disk_extend(&a, 2 * MIB, false, NULL, &e));
	assert_int_equal(e.kind, ERROR_INVALID);
	assert_true(disk_extend(&a, 8 * MIB, true, NULL, &e));
	assert_true(query(f, "vm/a.vmdk").allocated >= 4 * MIB);
	assert_true(disk_set_uuid(&a, "00112233-4455-6677-8899-aabbccddeeff", &e));
	assert_string_equal(query(f, "vm/a.vmdk").uuid, "00112233-4455-6677-8899-aabbccddeeff");
	int fd = openat(datastore_root(f->ds), "vm/a-flat.vmdk", O_RDWR);
	assert_int_equal(ftruncate(fd, MIB), 0);
	close(fd);
	struct disk_info info;
	assert_false(disk_query(&a, &info, &e));
	assert_int_equal(e.kind, ERROR_CORRUPT);
	assert_true(disk_delete(&a, NULL, &e)); /* also a broken one */
	assert_names(f, "vm", "");
	assert_false(disk_delete(&a, NULL, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
}

/* Works on disks without end, until somebody kills it. */
static void churn(const struct fixture *f)
{
	struct disk_place a = at(f, "vm/a.vmdk"), b = at(f, "vm2/b.vmdk"), c = at(f, "vm/c.vmdk");
	struct disk_spec s = { .capacity = MIB };
	struct disk_copy copy = { .from = b, .to = c, .force = true };
	for (;;) {
		disk_create(&a, &s, NULL, NULL);
		disk_move(&a, &b, NULL, NULL);
		disk_copy(&copy, NULL, NULL);
		disk_copy(&copy, NULL, NULL);
		disk_extend(&b, 2 * MIB, false, NULL, NULL);
		disk_delete(&b, NULL, NULL);
		disk_delete(&c, NULL, NULL);
	}
}

/* Every file in the folder belongs to a whole disk. Says how many disks there are. */
static size_t assert_whole(const struct fixture *f, const char *folder)
{
	struct datastore_results r = { 0 };
	struct datastore_search all = { 0 };
	struct error e = { 0 };
	size_t n = 0;
	assert_true(datastore_search(f->ds, folder, &all, &r, NULL, &e));
	for (size_t i = 0; i < r.folders[0].n_entries; i++) {
		const char *name = r.folders[0].entries[i].name;
		if (strstr(name, "-flat.vmdk") != NULL) {
			continue;
		}
		char *path = mem_printf("%s/%s", folder, name);
		query(f, path);
		n++;
		free(path);
	}
	assert_int_equal(r.folders[0].n_entries, 2 * n);
	datastore_results_free(&r);
	return n;
}

static void test_survives_kill(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	size_t n_left = 0, n_removed;
	assert_true(datastore_make_folder(f->ds, "vm2", false, &e));
	for (int i = 0; i < 60; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			churn(f);
		}
		/* Not to wait for something, but to strike at a moment nobody chose. */
		struct timespec t = { .tv_nsec = 1000000 + (long)random_below(15000000) };
		nanosleep(&t, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		if (!datastore_recover(f->ds, &n_removed, &e)) {
			fail_msg("%s", e.msg);
		}
		n_left += n_removed;
		assert_whole(f, "vm");
		assert_whole(f, "vm2");
		char *names = names_in(f, "vm");
		assert_null(strstr(names, ".remora"));
		free(names);
	}
	print_message("%zu temporaries were removed after 60 kills\n", n_left);
}

static void on_done(void *arg, const struct error *e)
{
	int *result = arg;
	*result = e == NULL ? 1 : -(int)e->kind;
}

static void test_jobs(void **state)
{
	struct fixture *f = *state;
	uv_loop_t loop;
	int created = 0, copied = 0, extended = 0, moved = 0, deleted = 0;
	uv_loop_init(&loop);
	struct disk_place a = at(f, "vm/a.vmdk"), b = at(f, "vm/b.vmdk"), c = at(f, "vm/c.vmdk");
	struct disk_spec s = { .capacity = MIB, .adapter_type = "ide" };
	struct job_handler h = { .loop = &loop, .done = on_done, .arg = &created };
	disk_create_start(&a, &s, &h);
	uv_run(&loop, UV_RUN_DEFAULT);
	h.arg = &copied;
	struct disk_copy copy = { .from = a, .to = b };
	disk_copy_start(&copy, &h);
	uv_run(&loop, UV_RUN_DEFAULT);
	h.arg = &extended;
	disk_extend_start(&b, 2 * MIB, false, &h);
	uv_run(&loop, UV_RUN_DEFAULT);
	h.arg = &moved;
	disk_move_start(&b, &c, &h);
	uv_run(&loop, UV_RUN_DEFAULT);
	h.arg = &deleted;
	disk_delete_start(&b, &h);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(created, 1);
	assert_int_equal(copied, 1);
	assert_int_equal(extended, 1);
	assert_int_equal(moved, 1);
	assert_int_equal(deleted, -(int)ERROR_NOT_FOUND);
	assert_int_equal(query(f, "vm/c.vmdk").capacity, 2 * MIB);
	assert_string_equal(query(f, "vm/c.vmdk").adapter_type, "ide");
	assert_int_equal(uv_loop_close(&loop), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_creates),
		TEST(test_refuses),
		TEST(test_full_datastore),
		TEST(test_copies),
		TEST(test_joins_split_disks),
		TEST(test_moves),
		TEST(test_extends_and_deletes),
		TEST(test_survives_kill),
		TEST(test_jobs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
