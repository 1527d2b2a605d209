/* SPDX-License-Identifier: Apache-2.0 */
#include "host/vmdk.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"

static const char head[] = "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"
			   "createType=\"vmfs\"\n";

static struct vmdk *parse(const char *text)
{
	struct error e = { 0 };
	struct vmdk *d = vmdk_parse(text, strlen(text), &e);
	if (d == NULL) {
		fail_msg("%s", e.msg);
	}
	return d;
}

/* `tail` after a good head. */
static void assert_refused(const char *tail, enum error_kind kind, const char *part)
{
	struct error e = { 0 };
	char *text = mem_printf("%s%s", head, tail);
	assert_null(vmdk_parse(text, strlen(text), &e));
	if (e.kind != kind || strstr(e.msg, part) == NULL) {
		fail_msg("kind %d, \"%s\"", (int)e.kind, e.msg);
	}
	free(text);
}

static void test_reads_descriptors(void **state)
{
	(void)state;
	char uuid[37];
	struct vmdk *d = parse("# Disk DescriptorFile\nversion=3\nencoding=\"UTF-8\"\n"
			       "CID=fb183c20\nparentCID=ffffffff\nisNativeSnapshot=\"no\"\n"
			       "createType=\"vmfs\"\n\n# Extent description\n"
			       "RW 33554432 VMFS \"my disk-flat.vmdk\"\n\n#DDB\n\n"
			       "ddb.thinProvisioned = \"1\"\n"
			       "ddb.uuid = \"60 00 C2 9a 51 c1 ad 0f-7c 40 3f 02 a9 0a 2d 54\"\n");
	assert_int_equal(d->version, 3);
	assert_int_equal(d->cid, 0xfb183c20);
	assert_int_equal(d->n_extents, 1);
	assert_int_equal(d->extents[0].kind, VMDK_EXTENT_VMFS);
	assert_string_equal(d->extents[0].file, "my disk-flat.vmdk");
	assert_int_equal(vmdk_capacity(d), 16ull << 30);
	assert_true(vmdk_is_thin(d));
	assert_true(vmdk_uuid(d, uuid));
	assert_string_equal(uuid, "6000c29a-51c1-ad0f-7c40-3f02a90a2d54");
	assert_string_equal(vmdk_get(d, "isnativesnapshot"), "no");
	vmdk_free(d);
	d = parse("# Disk DescriptorFile\nversion=1\ncreateType=\"twoGbMaxExtentFlat\"\n"
		  "RW 4192256 FLAT \"d-f001.vmdk\" 0\nRDONLY 2048 FLAT \"d-f002.vmdk\" 16\n"
		  "NOACCESS 8 ZERO\n");
	assert_int_equal(d->n_extents, 3);
	assert_int_equal(d->extents[1].access, VMDK_RDONLY);
	assert_int_equal(d->extents[1].offset_sectors, 16);
	assert_null(d->extents[2].file);
	vmdk_free(d);
}

static void test_refuses_malformed_text(void **state)
{
	(void)state;
	struct error e = { 0 };
	assert_refused("", ERROR_CORRUPT, "the extent is missing");
	assert_refused("RW\n", ERROR_CORRUPT, "line 6");
	assert_refused("RW 0 VMFS \"a\"\n", ERROR_CORRUPT, "sectors");
	assert_refused("RW -1 VMFS \"a\"\n", ERROR_CORRUPT, "sectors");
	assert_refused("RW 5 VMFS\n", ERROR_CORRUPT, "file name");
	assert_refused("RW 5 VMFS \"a\n", ERROR_CORRUPT, "file name");
	assert_refused("RW 5 ZERO \"a\"\n", ERROR_CORRUPT, "file name");
	assert_refused("RW 5 FLAT \"a\" x\n", ERROR_CORRUPT, "offset");
	assert_refused("RW 18446744073709551615 VMFS \"a\"\n", ERROR_LIMIT, "62 TiB");
	assert_refused("RW 133143986176 VMFS \"a\"\nRW 1 VMFS \"b\"\n", ERROR_LIMIT, "62 TiB");
	assert_refused("a=\"1\"\nA=\"2\"\n", ERROR_CORRUPT, "twice");
	assert_refused("nothing here\n", ERROR_CORRUPT, "neither");
	assert_refused("version=9\n", ERROR_CORRUPT, "version");
	assert_refused("CID=12345678901\n", ERROR_CORRUPT, "content ID");
	assert_refused("a=\"b\" c\n", ERROR_CORRUPT, "quotes");
	assert_refused("a=\"\xff\"\n", ERROR_CORRUPT, "UTF-8");
	assert_null(vmdk_parse("KDMV\1\0\0\0", 8, &e));
	assert_int_equal(e.kind, ERROR_UNSUPPORTED);
	assert_null(vmdk_parse("hello", 5, &e));
	assert_int_equal(e.kind, ERROR_CORRUPT);
	assert_null(vmdk_parse("", 0, &e));
}

static void test_new_descriptors(void **state)
{
	(void)state;
	struct error e = { 0 };
	struct vmdk_spec s = { .capacity = 16ull << 30, .extent_file = "a-flat.vmdk" };
	char uuid[37];
	struct vmdk *d = vmdk_new(&s, &e);
	assert_non_null(d);
	assert_string_equal(vmdk_get(d, "ddb.geometry.cylinders"), "2088");
	assert_string_equal(vmdk_get(d, "ddb.adapterType"), "lsilogic");
	assert_true(vmdk_uuid(d, uuid));
	assert_false(vmdk_is_thin(d));
	struct buf b = BUF_INIT;
	vmdk_write(d, &b);
	struct vmdk *again = parse(b.data);
	assert_int_equal(again->n_settings, d->n_settings);
	assert_int_equal(again->cid, d->cid);
	assert_string_equal(again->extents[0].file, "a-flat.vmdk");
	vmdk_free(again);
	buf_free(&b);
	assert_false(vmdk_set(d, "ddb.x", "a\"b", &e));
	assert_true(vmdk_set(d, "ddb.x", "b", &e));
	vmdk_unset(d, "DDB.X");
	assert_null(vmdk_get(d, "ddb.x"));
	vmdk_free(d);
	s.capacity = 1000;
	assert_null(vmdk_new(&s, &e));
	assert_int_equal(e.kind, ERROR_INVALID);
	s.capacity = VMDK_CAPACITY_MAX + 512;
	assert_null(vmdk_new(&s, &e));
	assert_int_equal(e.kind, ERROR_LIMIT);
	s.capacity = 512;
	s.adapter_type = "floppy";
	assert_null(vmdk_new(&s, &e));
}

static bool check(int root, const char *tail, struct error *e)
{
	char *text = mem_printf("%s%s", head, tail);
	struct vmdk *d = parse(text);
	bool ok = vmdk_check(d, root, "vm/d.vmdk", e);
	vmdk_free(d);
	free(text);
	return ok;
}

static void test_checks_extents(void **state)
{
	(void)state;
	char folder[] = "/tmp/vmdk_test_XXXXXX";
	struct error e = { 0 };
	assert_non_null(mkdtemp(folder));
	int root = open(folder, O_RDONLY | O_DIRECTORY);
	assert_int_equal(mkdirat(root, "vm", 0700), 0);
	int fd = openat(root, "vm/d-flat.vmdk", O_CREAT | O_WRONLY, 0600);
	assert_int_equal(ftruncate(fd, 5120), 0);
	close(fd);
	assert_int_equal(symlinkat("/etc/passwd", root, "vm/link"), 0);
	assert_true(check(root, "RW 10 VMFS \"d-flat.vmdk\"\n", &e));
	assert_true(check(root, "RW 9 FLAT \"d-flat.vmdk\" 1\n", &e));
	assert_false(check(root, "RW 11 VMFS \"d-flat.vmdk\"\n", &e));
	assert_int_equal(e.kind, ERROR_CORRUPT);
	assert_string_equal(e.msg, "\"vm/d.vmdk\": \"vm/d-flat.vmdk\" is truncated: it has 5120 "
				   "bytes, the descriptor wants 5632");
	assert_false(check(root, "RW 10 FLAT \"d-flat.vmdk\" 1\n", &e));
	assert_false(check(root, "RW 10 VMFS \"none\"\n", &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	assert_false(check(root, "RW 1 VMFS \"link\"\n", &e));
	assert_false(check(root, "RW 1 VMFS \"../x\"\n", &e));
	assert_int_equal(e.kind, ERROR_NAME);
	assert_false(check(root, "RW 1 VMFS \"/etc/passwd\"\n", &e));
	assert_int_equal(e.kind, ERROR_NAME);
	assert_false(check(root, "RW 1 SPARSE \"d-flat.vmdk\"\n", &e));
	assert_int_equal(e.kind, ERROR_UNSUPPORTED);
	assert_false(check(root, "parentCID=12\nRW 1 VMFS \"d-flat.vmdk\"\n", &e));
	assert_int_equal(e.kind, ERROR_UNSUPPORTED);
	fd = openat(root, "vm/image.vmdk", O_CREAT | O_WRONLY, 0600);
	assert_int_equal(write(fd, "KDMV", 4), 4);
	assert_int_equal(ftruncate(fd, 10 << 20), 0);
	close(fd);
	assert_null(vmdk_load(root, "vm/image.vmdk", &e));
	assert_int_equal(e.kind, ERROR_UNSUPPORTED);
	assert_non_null(strstr(e.msg, "KDMV"));
	close(root);
	file_remove_tree_at(AT_FDCWD, folder, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_descriptors),
		cmocka_unit_test(test_refuses_malformed_text),
		cmocka_unit_test(test_new_descriptors),
		cmocka_unit_test(test_checks_extents),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
