/* SPDX-License-Identifier: Apache-2.0 */
#include "host/vmx.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

static struct vmx *parse(const char *text)
{
	struct error e = { 0 };
	struct vmx *v = vmx_parse(text, strlen(text), &e);
	if (v == NULL) {
		fail_msg("%s", e.msg);
	}
	return v;
}

static void assert_refused(const char *text, enum error_kind kind, const char *part)
{
	struct error e = { 0 };
	assert_null(vmx_parse(text, strlen(text), &e));
	assert_int_equal(e.kind, kind);
	if (strstr(e.msg, part) == NULL) {
		fail_msg("\"%s\" is not in \"%s\"", part, e.msg);
	}
}

static void assert_text(const struct vmx *v, const char *want)
{
	struct buf b = BUF_INIT;
	vmx_write(v, &b);
	assert_string_equal(b.data, want);
	buf_free(&b);
}

static void test_reads_what_esxi_writes(void **state)
{
	(void)state;
	struct vmx *v = parse(".encoding = \"UTF-8\"\n"
			      "displayName = \"edge 1\"\n"
			      "memSize = \"512\"\r\n"
			      "annotation = \"a|22b|0A|7C\"\n"
			      "bare = 7 \n"
			      "scsi0:0.present = \"TRUE\" # disk\n");
	int64_t memory;
	bool present;
	struct vmx_range range = { .min = 4, .max = 1024 };
	assert_string_equal(vmx_get(v, "DISPLAYNAME"), "edge 1");
	assert_string_equal(vmx_get(v, "annotation"), "a\"b\n|");
	assert_string_equal(vmx_get(v, "bare"), "7");
	assert_true(vmx_get_int(v, "memsize", &range, &memory, NULL));
	assert_int_equal(memory, 512);
	assert_true(vmx_get_bool(v, vmx_key("scsi%d:%d.present", 0, 0).s, false, &present, NULL));
	assert_true(present);
	assert_null(vmx_get(v, "nothing"));
	vmx_free(v);
}

static void test_keeps_order_comments_and_unknown_keys(void **state)
{
	(void)state;
	struct vmx *v = parse("# head\n\nfirst=1\n  odd.key   =  \"x|41\"  # why\n# tail\n");
	assert_text(v, "# head\n\nfirst=1\nodd.key   =  \"x|41\"  # why\n# tail\n");
	assert_true(vmx_set(v, "FIRST", "2", NULL));
	assert_true(vmx_set(v, "odd.key", "xA", NULL)); /* the same as before: the line stays */
	assert_true(vmx_set(v, "new", "a\"|#\t", NULL));
	assert_text(v, "# head\n\nfirst = \"2\"\nodd.key   =  \"x|41\"  # why\n# tail\n"
		       "new = \"a|22|7C|23|09\"\n");
	assert_true(vmx_remove(v, "first"));
	assert_false(vmx_remove(v, "first"));
	assert_text(v, "# head\n\nodd.key   =  \"x|41\"  # why\n# tail\n"
		       "new = \"a|22|7C|23|09\"\n");
	vmx_free(v);
}

static void test_removes_by_prefix(void **state)
{
	(void)state;
	struct vmx *v = parse("scsi0:1.present = \"TRUE\"\nscsi0:10.present = \"TRUE\"\n"
			      "SCSI0:1.fileName = \"a\"\nscsi0.present = \"TRUE\"\n");
	assert_int_equal(vmx_remove_prefix(v, "scsi0:1."), 2);
	assert_int_equal(vmx_n_entries(v), 2);
	assert_int_equal(vmx_remove_prefix(v, ""), 0);
	vmx_free(v);
}

static void test_refuses_malformed_text(void **state)
{
	(void)state;
	assert_refused("a = \"1\"\nA = \"2\"\n", ERROR_CORRUPT, "\"A\" is there twice");
	assert_refused("\na = \"1\n", ERROR_CORRUPT, "line 2: the closing quote");
	assert_refused("a = \"1\" b\n", ERROR_CORRUPT, "after the closing quote");
	assert_refused("a = b\"c\n", ERROR_CORRUPT, "a quote inside");
	assert_refused("some text\n", ERROR_CORRUPT, "no '='");
	assert_refused("= \"x\"\n", ERROR_CORRUPT, "the key is missing");
	assert_refused("a b = \"x\"\n", ERROR_CORRUPT, "0x20");
	assert_refused("a = \"\xff\"\n", ERROR_CORRUPT, "not UTF-8");
	assert_refused("a = \"|00\"\n", ERROR_CORRUPT, "not UTF-8");
	assert_refused(".encoding = \"klingon\"\n", ERROR_UNSUPPORTED, "\"klingon\"");
	assert_refused("# \xff\n", ERROR_CORRUPT, "line 1: not UTF-8");
	struct error e = { 0 };
	assert_null(vmx_parse("a = \"\0\"", 7, &e));
	assert_int_equal(e.kind, ERROR_CORRUPT);
}

static char *repeat(const char *unit, size_t n)
{
	struct buf b = BUF_INIT;
	for (size_t i = 0; i < n; i++) {
		buf_adds(&b, unit);
	}
	return buf_take(&b);
}

static void test_holds_its_limits(void **state)
{
	(void)state;
	char *lines = repeat("\n", VMX_LINES_MAX + 1);
	assert_refused(lines, ERROR_LIMIT, "10000 lines");
	free(lines);
	char *large = repeat("# 45678\n", VMX_FILE_MAX / 8 + 1);
	assert_refused(large, ERROR_LIMIT, "the limit is 1048576");
	free(large);
	char *key = repeat("k", VMX_KEY_MAX + 1);
	char *text = mem_printf("%s = \"\"\n", key);
	assert_refused(text, ERROR_LIMIT, "the limit is 256");
	free(text);
	free(key);
	char *value = repeat("v", VMX_VALUE_MAX + 1);
	text = mem_printf("a = \"%s\"\n", value);
	assert_refused(text, ERROR_LIMIT, "the limit is 65536");
	free(text);
	struct vmx *v = vmx_new();
	struct error e = { 0 };
	assert_false(vmx_set(v, "a", value, &e));
	assert_int_equal(e.kind, ERROR_LIMIT);
	assert_null(vmx_get(v, "a"));
	vmx_free(v);
	free(value);
}

static void test_converts_encodings(void **state)
{
	(void)state;
	struct vmx *v = parse(".encoding = \"windows-1252\"\ndisplayName = \"Caf\xe9\"\n");
	assert_string_equal(vmx_get(v, "displayName"), "Caf\xc3\xa9");
	assert_text(v, ".encoding = \"UTF-8\"\ndisplayName = \"Caf\xc3\xa9\"\n");
	vmx_free(v);
	v = parse("\xef\xbb\xbf"
		  "a = \"b\"");
	assert_string_equal(vmx_get(v, "a"), "b");
	vmx_free(v);
}

static void test_lies_are_kept_but_not_believed(void **state)
{
	(void)state;
	struct vmx *v = parse("memSize = \"-5\"\nnumvcpus = \"abc\"\nx = \"maybe\"\n"
			      "y = \" 5\"\nz = \"99999999999999999999\"\np = \"+5\"\n");
	struct vmx_range memory = { .min = 4, .max = 6291456, .fallback = 32, .unit = "MiB" };
	struct error e = { 0 };
	int64_t number = 77;
	bool flag = true;
	assert_false(vmx_get_int(v, "memSize", &memory, &number, &e));
	assert_string_equal(e.msg, "\"memSize\" is \"-5\", it has to be a number from 4 to "
				   "6291456 MiB");
	assert_false(vmx_get_int(v, "numvcpus", &memory, &number, &e));
	assert_false(vmx_get_int(v, "y", &memory, &number, &e));
	assert_false(vmx_get_int(v, "z", &memory, &number, &e));
	assert_false(vmx_get_int(v, "p", &memory, &number, &e));
	assert_false(vmx_get_bool(v, "x", false, &flag, &e));
	assert_int_equal(number, 77);
	assert_true(flag);
	assert_true(vmx_get_int(v, "none", &memory, &number, &e));
	assert_int_equal(number, 32);
	memory.required = true;
	assert_false(vmx_get_int(v, "none", &memory, &number, &e));
	vmx_free(v);
}

static bool get_file(const char *value, struct vmx_file *file, struct error *e)
{
	struct vmx *v = vmx_new();
	assert_true(vmx_set(v, "f", value, NULL));
	bool ok = vmx_get_file(v, "f", file, e);
	vmx_free(v);
	return ok;
}

static void test_file_names_stay_inside(void **state)
{
	(void)state;
	static const char *const bad[] = { "../x.vmdk",
					   "a/../../x",
					   "/etc/shadow",
					   "/vmfs/volumes/",
					   "/vmfs/volumes/ds",
					   "/vmfs/volumes/../x",
					   "/vmfs/volumes/ds/../../etc",
					   "a\nb",
					   ".",
					   "/vmfs/volumes/ds/",
					   ".remora-uuid" };
	struct vmx_file file;
	struct error e = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (get_file(bad[i], &file, &e)) {
			fail_msg("\"%s\" was taken", bad[i]);
		}
		assert_int_equal(e.kind, ERROR_NAME);
	}
	assert_true(get_file("x.vmdk", &file, &e));
	assert_string_equal(file.datastore, "");
	assert_string_equal(file.path, "x.vmdk");
	assert_true(get_file("/vmfs/volumes/ds 1/iso//d.iso", &file, &e));
	assert_string_equal(file.datastore, "ds 1");
	assert_string_equal(file.path, "iso/d.iso");
	assert_true(get_file("", &file, &e));
	assert_string_equal(file.path, "");
}

static void test_uuid_spelling(void **state)
{
	(void)state;
	struct vmx *v = vmx_new();
	struct error e = { 0 };
	char out[37] = "";
	const char *uuid = "564d3b2a-1122-3344-5566-778899aabbcc";
	assert_true(vmx_set_uuid(v, "uuid.bios", uuid, &e));
	assert_string_equal(vmx_get(v, "uuid.bios"),
			    "56 4d 3b 2a 11 22 33 44-55 66 77 88 99 aa bb cc");
	assert_true(vmx_get_uuid(v, "uuid.bios", out, &e));
	assert_string_equal(out, uuid);
	assert_true(vmx_set(v, "uuid.bios", "56 4d", &e));
	assert_false(vmx_get_uuid(v, "uuid.bios", out, &e));
	assert_string_equal(out, uuid);
	assert_false(vmx_set_uuid(v, "uuid.bios", "x", &e));
	vmx_free(v);
}

static void test_saves_and_loads(void **state)
{
	(void)state;
	char folder[] = "/tmp/vmx_test_XXXXXX";
	struct error e = { 0 };
	assert_non_null(mkdtemp(folder));
	int root = open(folder, O_RDONLY | O_DIRECTORY);
	assert_int_equal(mkdirat(root, "vm", 0700), 0);
	struct vmx *v = vmx_new();
	assert_true(vmx_set(v, "displayName", "M\xc3\xbcller", &e));
	assert_true(vmx_save(v, root, "vm/vm.vmx", &e));
	assert_true(vmx_set_int(v, "memSize", 1024, &e));
	assert_true(vmx_save(v, root, "vm/vm.vmx", &e));
	struct vmx *again = vmx_load(root, "vm/vm.vmx", &e);
	assert_non_null(again);
	assert_int_equal(vmx_n_entries(again), 3);
	vmx_free(again);
	assert_null(vmx_load(root, "vm/none.vmx", &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	assert_null(vmx_load(root, "../etc/passwd", &e));
	assert_int_equal(e.kind, ERROR_PERMISSION);
	assert_int_equal(symlinkat("/etc/passwd", root, "vm/link.vmx"), 0);
	assert_null(vmx_load(root, "vm/link.vmx", &e));
	assert_int_equal(mkfifoat(root, "vm/pipe.vmx", 0600), 0);
	assert_null(vmx_load(root, "vm/pipe.vmx", &e));
	struct vmx *copy = vmx_copy(v);
	assert_string_equal(vmx_get(copy, "memSize"), "1024");
	vmx_free(copy);
	vmx_free(v);
	unlinkat(root, "vm/pipe.vmx", 0);
	unlinkat(root, "vm/link.vmx", 0);
	unlinkat(root, "vm/vm.vmx", 0);
	assert_int_equal(unlinkat(root, "vm", AT_REMOVEDIR), 0); /* no temporary is left */
	close(root);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_what_esxi_writes),
		cmocka_unit_test(test_keeps_order_comments_and_unknown_keys),
		cmocka_unit_test(test_removes_by_prefix),
		cmocka_unit_test(test_refuses_malformed_text),
		cmocka_unit_test(test_holds_its_limits),
		cmocka_unit_test(test_converts_encodings),
		cmocka_unit_test(test_lies_are_kept_but_not_believed),
		cmocka_unit_test(test_file_names_stay_inside),
		cmocka_unit_test(test_uuid_spelling),
		cmocka_unit_test(test_saves_and_loads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
