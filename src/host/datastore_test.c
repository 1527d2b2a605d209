/* SPDX-License-Identifier: Apache-2.0 */
#include "host/datastore.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "host/datastore_files.h"

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
	snprintf(f->folder, sizeof(f->folder), "/tmp/datastore_test_XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	f->ds = open_store(f->folder, 0);
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

static void put(const struct datastore *ds, const char *path, const char *text)
{
	struct error e = { 0 };
	struct datastore_upload_spec s = { .path = path, .overwrite = true };
	struct datastore_upload *u = datastore_upload_open(ds, &s, &e);
	if (u == NULL || !datastore_upload_write(u, text, strlen(text), &e) ||
	    !datastore_upload_commit(u, &e)) {
		fail_msg("%s", e.msg);
	}
}

static void make(const struct datastore *ds, const char *path)
{
	struct error e = { 0 };
	if (!datastore_make_folder(ds, path, true, &e)) {
		fail_msg("%s", e.msg);
	}
}

static void assert_content(const struct datastore *ds, const char *path, const char *want)
{
	uint64_t size = 0;
	char text[256] = "";
	struct error e = { 0 };
	int fd = datastore_read_open(ds, path, &size, &e);
	if (fd < 0) {
		fail_msg("%s", e.msg);
	}
	assert_int_equal(size, strlen(want));
	assert_int_equal(read(fd, text, sizeof(text) - 1), (ssize_t)size);
	assert_string_equal(text, want);
	close(fd);
}

static bool is_there(const struct datastore *ds, const char *path)
{
	struct datastore_entry x;
	struct error e = { 0 };
	if (!datastore_stat(ds, path, &x, &e)) {
		assert_int_equal(e.kind, ERROR_NOT_FOUND);
		return false;
	}
	datastore_entry_fini(&x);
	return true;
}

/* The names in the root, joined. */
static void assert_root_holds(const struct fixture *f, const char *want)
{
	struct buf b = BUF_INIT;
	struct datastore_results r = { 0 };
	struct datastore_search all = { .folders_first = false };
	assert_true(datastore_search(f->ds, "", &all, &r, NULL, NULL));
	for (size_t i = 0; i < r.folders[0].n_entries; i++) {
		buf_addf(&b, "%s%s", i > 0 ? " " : "", r.folders[0].entries[i].name);
	}
	assert_string_equal(b.data, want);
	buf_free(&b);
	datastore_results_free(&r);
}

static void test_paths(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",
		"local x",
		"[local",
		"[] x",
		"[a/b] x",
		"[..] x",
		"[local] /x",
		"[local] ../x",
		"[local] a/..",
		"[local] a/./b",
		"[local] .",
		"[local] a\nb",
		"[local] a\xff",
		"[local] .remora-uuid",
	};
	struct datastore_path p;
	struct error e = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (datastore_path_parse(bad[i], &p, &e)) {
			fail_msg("\"%s\" was taken", bad[i]);
		}
		assert_int_equal(e.kind, ERROR_NAME);
	}
	assert_true(datastore_path_parse("[my store] vm/vm.vmx", &p, &e));
	assert_string_equal(p.datastore, "my store");
	assert_string_equal(p.path, "vm/vm.vmx");
	assert_true(datastore_path_parse("[s]a//b/", &p, &e));
	assert_string_equal(p.path, "a/b");
	assert_true(datastore_path_parse("[s] ", &p, &e));
	assert_string_equal(p.path, "");
	assert_true(datastore_path_parse("[s] ..a/b..", &p, &e));
	char *text = datastore_path_format("s", "a b/c");
	assert_string_equal(text, "[s] a b/c");
	free(text);
	text = datastore_path_format("s", "");
	assert_string_equal(text, "[s]");
	free(text);
}

static void test_path_lengths(void **state)
{
	(void)state;
	struct error e = { 0 };
	char out[DATASTORE_PATH_MAX + 1];
	char *text = mem_zalloc(DATASTORE_PATH_MAX + 2);
	memset(text, 'a', 255);
	assert_true(datastore_path_check(text, out, &e));
	text[255] = 'a';
	assert_false(datastore_path_check(text, out, &e));
	for (size_t i = 0; i <= DATASTORE_PATH_MAX; i++) {
		text[i] = i % 2 == 0 ? 'a' : '/';
	}
	assert_false(datastore_path_check(text, out, &e));
	text[DATASTORE_PATH_MAX] = '\0';
	assert_true(datastore_path_check(text, out, &e));
	free(text);
}

static void test_patterns(void **state)
{
	(void)state;
	assert_true(datastore_match("*.vmdk", "a.vmdk", false));
	assert_false(datastore_match("*.vmdk", "a.VMDK", false));
	assert_true(datastore_match("*.vmdk", "a.VMDK", true));
	assert_true(datastore_match("a?c*", "abcdef", false));
	assert_true(datastore_match("?", "\xc3\xbc", false));
	assert_false(datastore_match("??", "\xc3\xbc", false));
	assert_true(datastore_match("*", "", false));
	assert_false(datastore_match("", "a", false));
	assert_true(datastore_match("*a*b*c*", "xxaxxbxxcxx", false));
	assert_false(datastore_match("*a*b*c", "xxaxxbxxcxx", false));
}

static void test_keeps_its_identity(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	struct datastore *again = open_store(f->folder, 0);
	assert_string_equal(datastore_uuid(again), datastore_uuid(f->ds));
	assert_int_equal(strlen(datastore_uuid(again)), 36);
	assert_non_null(strstr(datastore_url(again), datastore_uuid(again)));
	datastore_close(again);
	struct datastore_config c = { .name = "a/b", .folder = f->folder };
	assert_null(datastore_open(&c, &e));
	assert_int_equal(e.kind, ERROR_NAME);
	c.name = "a[b]";
	assert_null(datastore_open(&c, &e));
	c = (struct datastore_config){ .name = "x", .folder = "/proc/none/here" };
	assert_null(datastore_open(&c, &e));
}

static void test_space_and_quota(void **state)
{
	struct fixture *f = *state;
	struct datastore_space space;
	struct error e = { 0 };
	assert_true(datastore_space(f->ds, &space, &e));
	assert_true(space.capacity >= space.free && space.free > 0);
	struct datastore *small = open_store(f->folder, 1 << 20);
	assert_true(datastore_space(small, &space, &e));
	assert_int_equal(space.capacity, 1 << 20);
	assert_true(space.free < 1 << 20 || space.free <= space.capacity);
	assert_false(datastore_has_room(small, (1 << 20) + 1, &e));
	assert_int_equal(e.kind, ERROR_NO_SPACE);
	struct datastore_upload_spec s = { .path = "big", .size = 2 << 20 };
	assert_null(datastore_upload_open(small, &s, &e));
	assert_int_equal(e.kind, ERROR_NO_SPACE);
	datastore_close(small);
	assert_root_holds(f, "");
}

static void test_folders(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	assert_false(datastore_make_folder(f->ds, "a/b", false, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	assert_true(datastore_make_folder(f->ds, "a/b/c", true, &e));
	assert_false(datastore_make_folder(f->ds, "a/b", false, &e));
	assert_int_equal(e.kind, ERROR_EXISTS);
	assert_false(datastore_make_folder(f->ds, "a/b", true, &e));
	assert_int_equal(e.kind, ERROR_EXISTS);
	assert_false(datastore_make_folder(f->ds, "", true, &e));
	assert_false(datastore_make_folder(f->ds, "../x", true, &e));
	put(f->ds, "file", "x");
	assert_false(datastore_make_folder(f->ds, "file/x", true, &e));
	assert_true(datastore_delete(f->ds, "a", NULL, &e));
	assert_false(is_there(f->ds, "a"));
	assert_false(datastore_delete(f->ds, "a", NULL, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	assert_false(datastore_delete(f->ds, "", NULL, &e));
}

static void test_uploads(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	struct datastore_upload_spec s = { .path = "iso/x.iso", .size = 5 };
	assert_null(datastore_upload_open(f->ds, &s, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	make(f->ds, "iso");
	struct datastore_upload *u = datastore_upload_open(f->ds, &s, &e);
	assert_non_null(u);
	assert_true(datastore_upload_write(u, "hel", 3, &e));
	assert_false(is_there(f->ds, "iso/x.iso"));
	assert_int_equal(datastore_upload_size(u), 3);
	assert_false(datastore_upload_commit(u, &e)); /* 2 bytes are missing */
	assert_int_equal(e.kind, ERROR_INVALID);
	assert_false(is_there(f->ds, "iso/x.iso"));

	u = datastore_upload_open(f->ds, &s, &e);
	assert_true(datastore_upload_write(u, "hello", 5, &e));
	assert_false(datastore_upload_write(u, "!", 1, &e));
	datastore_upload_abort(u);

	put(f->ds, "iso/x.iso", "hello");
	assert_content(f->ds, "iso/x.iso", "hello");
	assert_null(datastore_upload_open(f->ds, &s, &e));
	assert_int_equal(e.kind, ERROR_EXISTS);
	put(f->ds, "iso/x.iso", "again");
	assert_content(f->ds, "iso/x.iso", "again");
	s.append = true;
	assert_null(datastore_upload_open(f->ds, &s, &e));
	assert_int_equal(e.kind, ERROR_UNSUPPORTED);
	uint64_t size;
	assert_int_equal(datastore_read_open(f->ds, "iso", &size, &e), -1);
	assert_int_equal(datastore_read_open(f->ds, "iso/none", &size, &e), -1);
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	/* Only the file is left: no temporary. */
	assert_int_equal(unlinkat(datastore_root(f->ds), "iso/x.iso", 0), 0);
	assert_int_equal(unlinkat(datastore_root(f->ds), "iso", AT_REMOVEDIR), 0);
}

static void test_search(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	make(f->ds, "vm/sub");
	put(f->ds, "vm/b.VMDK", "12345");
	put(f->ds, "vm/a.vmdk", "");
	put(f->ds, "vm/sub/c.vmdk", "");
	assert_int_equal(symlinkat("/etc", datastore_root(f->ds), "vm/link"), 0);
	const char *patterns[] = { "*.vmdk" };
	struct datastore_search s = { .patterns = patterns, .n_patterns = 1, .ignore_case = true };
	struct datastore_results r = { 0 };
	assert_true(datastore_search(f->ds, "vm", &s, &r, NULL, &e));
	assert_int_equal(r.n_folders, 1);
	assert_int_equal(r.folders[0].n_entries, 2);
	assert_string_equal(r.folders[0].entries[1].name, "b.VMDK");
	assert_int_equal(r.folders[0].entries[1].size, 5);
	assert_true(r.folders[0].entries[1].mtime_us > 1500000000000000);
	assert_non_null(r.folders[0].entries[1].owner);
	datastore_results_free(&r);

	s = (struct datastore_search){ .recursive = true, .folders_first = true };
	assert_true(datastore_search(f->ds, "", &s, &r, NULL, &e));
	assert_int_equal(r.n_folders, 3);
	assert_string_equal(r.folders[0].path, "");
	assert_string_equal(r.folders[2].path, "vm/sub");
	assert_true(r.folders[1].entries[0].is_folder);
	assert_int_equal(r.folders[1].n_entries, 3); /* not the link */
	datastore_results_free(&r);

	s.max_entries = 2;
	assert_true(datastore_search(f->ds, "", &s, &r, NULL, &e));
	assert_true(r.truncated);
	datastore_results_free(&r);
	s = (struct datastore_search){ .recursive = true, .max_depth = 1 };
	assert_true(datastore_search(f->ds, "", &s, &r, NULL, &e));
	assert_int_equal(r.n_folders, 2);
	assert_true(r.truncated);
	datastore_results_free(&r);

	assert_false(datastore_search(f->ds, "none", &s, &r, NULL, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	assert_false(datastore_search(f->ds, "vm/a.vmdk", &s, &r, NULL, &e));
	assert_int_equal(e.kind, ERROR_INVALID);
	assert_false(datastore_search(f->ds, "vm/link", &s, &r, NULL, &e));
	assert_int_equal(e.kind, ERROR_PERMISSION);
	struct progress p = { 0 };
	progress_cancel(&p);
	assert_false(datastore_search(f->ds, "", &s, &r, &p, &e));
	assert_int_equal(e.kind, ERROR_CANCELED);
}

static bool transfer(bool move, const struct fixture *f, const char *from, const char *to,
		     bool force, struct error *e)
{
	struct datastore_transfer t = {
		.from = f->ds, .from_path = from, .to = f->ds, .to_path = to, .force = force
	};
	return move ? datastore_move(&t, NULL, e) : datastore_copy(&t, NULL, e);
}

static void test_copies_and_moves(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	make(f->ds, "a/deep/er");
	put(f->ds, "a/one", "1");
	put(f->ds, "a/deep/er/two", "22");
	assert_true(transfer(false, f, "a", "b", false, &e));
	assert_content(f->ds, "b/deep/er/two", "22");
	assert_false(transfer(false, f, "a", "b", true, &e));
	assert_int_equal(e.kind, ERROR_EXISTS);
	assert_false(transfer(false, f, "a", "a/deep/x", false, &e));
	assert_int_equal(e.kind, ERROR_INVALID);
	assert_false(transfer(true, f, "a", "a/deep/x", false, &e));
	assert_int_equal(e.kind, ERROR_INVALID);
	assert_false(transfer(false, f, "none", "c", false, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	assert_false(transfer(false, f, "a/one", "none/c", false, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);

	assert_true(transfer(true, f, "b", "c", false, &e));
	assert_false(is_there(f->ds, "b"));
	assert_content(f->ds, "c/one", "1");
	put(f->ds, "c/one", "other");
	assert_false(transfer(true, f, "a/one", "c/one", false, &e));
	assert_int_equal(e.kind, ERROR_EXISTS);
	assert_content(f->ds, "c/one", "other");
	assert_true(transfer(false, f, "a/one", "c/one", true, &e));
	assert_content(f->ds, "c/one", "1");
	assert_false(transfer(true, f, "../x", "c/two", true, &e));
	assert_int_equal(e.kind, ERROR_NAME);
	assert_root_holds(f, "a c");
}

static void test_sparse_files_stay_sparse(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	struct stat st;
	put(f->ds, "sparse", "head");
	int fd = openat(datastore_root(f->ds), "sparse", O_RDWR);
	assert_int_equal(pwrite(fd, "tail", 4, 100 << 20), 4);
	assert_int_equal(ftruncate(fd, 200 << 20), 0);
	close(fd);
	assert_true(transfer(false, f, "sparse", "copy", false, &e));
	assert_int_equal(fstatat(datastore_root(f->ds), "copy", &st, 0), 0);
	assert_int_equal(st.st_size, 200 << 20);
	assert_true(st.st_blocks * 512 < 2 << 20);
	char text[5] = "";
	fd = openat(datastore_root(f->ds), "copy", O_RDONLY);
	assert_int_equal(pread(fd, text, 4, 100 << 20), 4);
	assert_string_equal(text, "tail");
	close(fd);
}

static void test_between_file_systems(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	char other[] = "/dev/shm/datastore_test_XXXXXX";
	struct stat a, b;
	if (mkdtemp(other) == NULL || stat(other, &a) != 0 || stat(f->folder, &b) != 0 ||
	    a.st_dev == b.st_dev) {
		rmdir(other);
		print_message("no second file system here\n");
		skip();
	}
	struct datastore_config c = { .name = "other", .folder = other };
	struct datastore *to = datastore_open(&c, &e);
	assert_non_null(to);
	make(f->ds, "a/b");
	put(f->ds, "a/b/x", "text");
	struct datastore_transfer t = { .from = f->ds, .from_path = "a", .to = to, .to_path = "z" };
	assert_true(datastore_move(&t, NULL, &e));
	assert_content(to, "z/b/x", "text");
	assert_false(is_there(f->ds, "a"));
	datastore_close(to);
	file_remove_tree_at(AT_FDCWD, other, NULL);
}

static void test_recovers_from_interruption(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	make(f->ds, "vm");
	put(f->ds, "vm/keep", "x");
	int root = datastore_root(f->ds);
	assert_int_equal(mkdirat(root, "vm/.remora-gone-1.tmp", 0700), 0);
	assert_int_equal(mkdirat(root, "vm/.remora-gone-1.tmp/sub", 0700), 0);
	close(openat(root, ".remora-part-2.tmp", O_CREAT | O_WRONLY, 0600));
	size_t n = 0;
	assert_true(datastore_recover(f->ds, &n, &e));
	assert_int_equal(n, 2);
	assert_true(is_there(f->ds, "vm/keep"));
	assert_int_not_equal(faccessat(root, "vm/.remora-gone-1.tmp", F_OK, 0), 0);
	assert_int_equal(faccessat(root, ".remora-uuid", F_OK, 0), 0);
	assert_true(datastore_recover(f->ds, &n, &e));
	assert_int_equal(n, 0);
}

struct outcome {
	int n_done;
	bool ok;
	struct error e;
	int n_progress;
};

static void on_done(void *arg, const struct error *e)
{
	struct outcome *o = arg;
	o->n_done++;
	o->ok = e == NULL;
	if (e != NULL) {
		o->e = *e;
	}
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct outcome *o = arg;
	(void)done;
	(void)total;
	o->n_progress++;
}

static bool wait_for_gate(void *data, struct progress *p, struct error *e)
{
	(void)p;
	(void)e;
	uv_sem_wait(data);
	return true;
}

static void test_a_waiting_job_is_canceled(void **state)
{
	struct fixture *f = *state;
	uv_loop_t loop;
	uv_sem_t gate;
	struct outcome first = { 0 }, canceled = { 0 };
	put(f->ds, "a", "text");
	uv_loop_init(&loop);
	uv_sem_init(&gate, 0);
	struct job_handler h = { .loop = &loop, .done = on_done, .arg = &first };
	job_start(&h, &(struct job_work){ .run = wait_for_gate, .data = &gate });
	struct datastore_transfer t = {
		.from = f->ds, .from_path = "a", .to = f->ds, .to_path = "c"
	};
	h.arg = &canceled;
	job_cancel(datastore_copy_start(&t, &h));
	uv_sem_post(&gate); /* the only worker was held here */
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(first.ok);
	assert_int_equal(canceled.n_done, 1);
	assert_false(canceled.ok);
	assert_int_equal(canceled.e.kind, ERROR_CANCELED);
	assert_false(is_there(f->ds, "c"));
	assert_int_equal(uv_loop_close(&loop), 0);
	uv_sem_destroy(&gate);
}

static void test_jobs(void **state)
{
	struct fixture *f = *state;
	uv_loop_t loop;
	struct outcome copied = { 0 }, searched = { 0 }, deleted = { 0 };
	struct datastore_results r = { 0 };
	uv_loop_init(&loop);
	put(f->ds, "a", "text");
	struct job_handler h = { .loop = &loop, .done = on_done, .progress = on_progress };
	struct datastore_transfer t = {
		.from = f->ds, .from_path = "a", .to = f->ds, .to_path = "b"
	};
	h.arg = &copied;
	datastore_copy_start(&t, &h);
	assert_int_equal(copied.n_done, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(copied.n_done, 1);
	assert_true(copied.ok);
	assert_content(f->ds, "b", "text");

	struct datastore_search all = { 0 };
	h.arg = &searched;
	datastore_search_start(f->ds, "", &all, &r, &h);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(searched.ok);
	assert_int_equal(r.folders[0].n_entries, 2);
	datastore_results_free(&r);

	h.arg = &deleted;
	datastore_delete_start(f->ds, "none", &h);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(deleted.e.kind, ERROR_NOT_FOUND);
	assert_int_equal(uv_loop_close(&loop), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_path_lengths),
		cmocka_unit_test(test_patterns),
		TEST(test_keeps_its_identity),
		TEST(test_space_and_quota),
		TEST(test_folders),
		TEST(test_uploads),
		TEST(test_search),
		TEST(test_copies_and_moves),
		TEST(test_sparse_files_stay_sparse),
		TEST(test_between_file_systems),
		TEST(test_recovers_from_interruption),
		TEST(test_a_waiting_job_is_canceled),
		TEST(test_jobs),
	};
	setenv("UV_THREADPOOL_SIZE", "1", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
