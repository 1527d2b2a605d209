/* SPDX-License-Identifier: Apache-2.0 */
#include "host/sparse.h"

#include <endian.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "host/disk.h"

#define GRAIN	  65536u
#define N_GRAINS  600u			    /* two tables */
#define CAPACITY  (N_GRAINS * GRAIN - 1024) /* the last grain is cut */
#define N_WRITTEN 3

/* Which grains have data. */
static const uint32_t written[N_WRITTEN] = { 0, 513, N_GRAINS - 1 };

static void fill_grain(char *grain, uint32_t index)
{
	for (uint32_t i = 0; i < GRAIN; i++) {
		grain[i] = (char)(index + i / 7);
	}
}

static void put32(struct buf *b, size_t at, uint32_t v)
{
	v = htole32(v);
	memcpy(b->data + at, &v, sizeof(v));
}

static void put64(struct buf *b, size_t at, uint64_t v)
{
	v = htole64(v);
	memcpy(b->data + at, &v, sizeof(v));
}

static void pad(struct buf *b)
{
	while (b->len % 512 != 0) {
		buf_addc(b, '\0');
	}
}

/* Adds a header's sector; says where it is. */
static size_t add_header(struct buf *b, uint32_t flags, uint64_t directory)
{
	size_t at = b->len;
	buf_addc(b, 'K');
	pad(b);
	memcpy(b->data + at, "KDMV", 4);
	put32(b, at + 4, 3);
	put32(b, at + 8, flags);
	put64(b, at + 12, CAPACITY / 512);
	put64(b, at + 20, GRAIN / 512);
	put64(b, at + 28, 1);
	put64(b, at + 36, 1);
	put32(b, at + 44, 512);
	put64(b, at + 56, directory);
	memcpy(b->data + at + 73, "\n \r\n", 4);
	b->data[at + 77] = (flags & (1u << 16)) != 0 ? '\1' : '\0';
	return at;
}

static uint32_t add_grain(struct buf *b, uint32_t index, bool compressed)
{
	char grain[GRAIN];
	uint32_t sector = (uint32_t)(b->len / 512);
	fill_grain(grain, index);
	if (!compressed) {
		buf_add(b, grain, sizeof(grain));
		return sector;
	}
	uLongf n = compressBound(sizeof(grain));
	char *packed = mem_alloc(n);
	assert_int_equal(compress((Bytef *)packed, &n, (const Bytef *)grain, sizeof(grain)), Z_OK);
	size_t at = b->len;
	buf_add(b, "123456789012", 12);
	put64(b, at, (uint64_t)index * GRAIN / 512);
	put32(b, at + 8, (uint32_t)n);
	buf_add(b, packed, n);
	pad(b);
	free(packed);
	return sector;
}

/* A streamOptimized image, or a monolithicSparse one. */
static struct buf make_image(bool compressed)
{
	struct buf b = BUF_INIT;
	uint32_t sectors[N_WRITTEN], tables[2];
	uint32_t flags = compressed ? 0x30001 : 1;
	add_header(&b, flags, UINT64_MAX);
	buf_adds(&b, "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n"
		     "createType=\"streamOptimized\"\nRW 76798 SPARSE \"x.vmdk\"\n"
		     "ddb.adapterType = \"ide\"\n");
	pad(&b);
	for (size_t i = 0; i < N_WRITTEN; i++) {
		sectors[i] = add_grain(&b, written[i], compressed);
	}
	for (uint32_t t = 0; t < 2; t++) {
		size_t at = b.len;
		tables[t] = (uint32_t)(at / 512);
		memset(buf_reserve(&b, 2048), 0, 2048);
		buf_commit(&b, 2048);
		for (size_t i = 0; i < N_WRITTEN; i++) {
			if (written[i] / 512 == t) {
				put32(&b, at + (size_t)(written[i] % 512) * 4, sectors[i]);
			}
		}
	}
	size_t directory = b.len;
	buf_addc(&b, 'x');
	pad(&b);
	put32(&b, directory, tables[0]);
	put32(&b, directory + 4, tables[1]);
	if (compressed) {
		add_header(&b, flags, directory / 512);
		memset(buf_reserve(&b, 512), 0, 512);
		buf_commit(&b, 512);
	} else {
		put64(&b, 56, directory / 512);
	}
	return b;
}

static int temp_file(const void *data, size_t len)
{
	char path[] = "/tmp/sparse_test_XXXXXX";
	int fd = mkstemp(path);
	unlink(path);
	assert_true(file_write_all(fd, data, len, "image", NULL));
	return fd;
}

static void check_disk(int fd)
{
	char want[GRAIN], have[GRAIN];
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, CAPACITY);
	assert_true(st.st_blocks * 512 < 20 * (off_t)GRAIN);
	for (size_t i = 0; i < N_WRITTEN; i++) {
		size_t n = written[i] == N_GRAINS - 1 ? GRAIN - 1024 : GRAIN;
		fill_grain(want, written[i]);
		assert_int_equal(pread(fd, have, n, (off_t)written[i] * GRAIN), (ssize_t)n);
		assert_memory_equal(have, want, n);
	}
	assert_int_equal(pread(fd, have, GRAIN, GRAIN), GRAIN);
	assert_int_equal(have[0], 0);
}

static void test_reads_both_kinds(void **state)
{
	(void)state;
	for (int compressed = 0; compressed < 2; compressed++) {
		struct buf b = make_image(compressed);
		struct sparse_image s;
		struct error e = { 0 };
		int from = temp_file(b.data, b.len), to = temp_file("", 0);
		if (!sparse_open(from, &s, &e) || !sparse_copy(&s, to, NULL, NULL, &e)) {
			fail_msg("%s", e.msg);
		}
		assert_int_equal(s.capacity, CAPACITY);
		assert_string_equal(s.adapter_type, "ide");
		check_disk(to);
		close(from);
		close(to);
		buf_free(&b);
	}
}

/* Whether the image is refused, and as what. */
static enum error_kind read_image(const struct buf *b)
{
	struct sparse_image s;
	struct error e = { 0 };
	int from = temp_file(b->data, b->len), to = temp_file("", 0);
	bool ok = sparse_open(from, &s, &e) && sparse_copy(&s, to, NULL, NULL, &e);
	close(from);
	close(to);
	return ok ? ERROR_NONE : e.kind;
}

static void test_refuses_damaged_images(void **state)
{
	(void)state;
	struct buf b = make_image(true);
	size_t footer = b.len - 1024;
	assert_int_equal(read_image(&b), ERROR_NONE);
	for (size_t len = 0; len < b.len; len += 511) {
		struct buf cut = { .data = b.data, .len = len };
		assert_int_equal(read_image(&cut), ERROR_CORRUPT);
	}
	b.data[73] = '\r';
	assert_int_equal(read_image(&b), ERROR_CORRUPT);
	b.data[73] = '\n';
	put32(&b, 4, 9);
	assert_int_equal(read_image(&b), ERROR_UNSUPPORTED);
	put32(&b, 4, 3);
	put64(&b, footer + 12, UINT64_MAX);
	assert_int_equal(read_image(&b), ERROR_LIMIT);
	put64(&b, footer + 12, 62ull << 31);
	assert_int_equal(read_image(&b), ERROR_CORRUPT); /* no room for such a directory */
	put64(&b, footer + 12, CAPACITY / 512);
	put64(&b, footer + 20, 100);
	assert_int_equal(read_image(&b), ERROR_CORRUPT);
	put64(&b, footer + 20, GRAIN / 512);
	put32(&b, footer + 44, 513);
	assert_int_equal(read_image(&b), ERROR_CORRUPT);
	put32(&b, footer + 44, 512);
	put64(&b, footer + 56, UINT64_MAX - 1);
	assert_int_equal(read_image(&b), ERROR_CORRUPT);
	b.data[1024 + 40] ^= 0x55; /* in the first grain's data */
	assert_int_equal(read_image(&b), ERROR_CORRUPT);
	buf_free(&b);
}

static void test_refuses_overlapping_grains(void **state)
{
	(void)state;
	struct buf b = make_image(false);
	uint64_t directory;
	uint32_t table;
	memcpy(&directory, b.data + 56, 8);
	memcpy(&table, b.data + le64toh(directory) * 512, 4);
	for (size_t i = 0; i < 512; i++) {
		put32(&b, le32toh(table) * 512u + i * 4, 2);
	}
	assert_int_equal(read_image(&b), ERROR_CORRUPT);
	buf_free(&b);
}

static void test_imports_into_a_datastore(void **state)
{
	(void)state;
	char folder[] = "/tmp/sparse_test_XXXXXX";
	struct error e = { 0 };
	struct disk_info info;
	assert_non_null(mkdtemp(folder));
	struct datastore_config c = { .name = "local", .folder = folder };
	struct datastore *ds = datastore_open(&c, &e);
	struct buf b = make_image(true);
	struct datastore_upload_spec s = { .path = "x.vmdk", .size = b.len };
	struct datastore_upload *u = datastore_upload_open(ds, &s, &e);
	assert_true(datastore_upload_write(u, b.data, b.len, &e));
	assert_true(datastore_upload_commit(u, &e));
	struct disk_place to = { .datastore = ds, .path = "disk.vmdk" };
	struct disk_copy copy = { .from = { .datastore = ds, .path = "x.vmdk" }, .to = to };
	assert_false(disk_query(&copy.from, &info, &e));
	assert_int_equal(e.kind, ERROR_UNSUPPORTED);
	if (!disk_copy(&copy, NULL, &e) || !disk_query(&to, &info, &e)) {
		fail_msg("%s", e.msg);
	}
	assert_int_equal(info.capacity, CAPACITY);
	assert_string_equal(info.adapter_type, "ide");
	int fd = openat(datastore_root(ds), info.extent_path, O_RDONLY);
	check_disk(fd);
	close(fd);
	datastore_close(ds);
	file_remove_tree_at(AT_FDCWD, folder, NULL);
	buf_free(&b);
}

/* Tables without grains take their time, too, when there are millions. */
static void test_cancels_between_tables(void **state)
{
	(void)state;
	struct buf b = make_image(false);
	struct sparse_image s;
	struct error e;
	struct progress p = { 0 };
	uint64_t where;
	memcpy(&where, b.data + 56, sizeof(where));
	size_t directory = (size_t)le64toh(where) * 512;
	for (uint32_t t = 0; t < 2; t++) {
		uint32_t table;
		memcpy(&table, b.data + directory + t * 4, sizeof(table));
		memset(b.data + (size_t)le32toh(table) * 512, 0, 2048);
	}
	int from = temp_file(b.data, b.len), to = temp_file("", 0);
	assert_true(sparse_open(from, &s, &e));
	assert_true(sparse_copy(&s, to, NULL, &p, &e));
	progress_cancel(&p);
	assert_false(sparse_copy(&s, to, NULL, &p, &e));
	assert_int_equal(e.kind, ERROR_CANCELED);
	close(from);
	close(to);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cancels_between_tables),
		cmocka_unit_test(test_reads_both_kinds),
		cmocka_unit_test(test_refuses_damaged_images),
		cmocka_unit_test(test_refuses_overlapping_grains),
		cmocka_unit_test(test_imports_into_a_datastore),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
