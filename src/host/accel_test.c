/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "host/accel.h"

static void write_text(const char *folder, const char *name, const char *text)
{
	struct error e = { 0 };
	char *path = mem_printf("%s/%s", folder, name);
	if (!file_write_atomic(path, text, strlen(text), 0644, &e)) {
		fail_msg("%s", e.msg);
	}
	free(path);
}

static void probe(const char *flags, bool has_device, struct accel *out)
{
	char folder[] = "/tmp/remora-accel-XXXXXX";
	struct error e;
	assert_non_null(mkdtemp(folder));
	char *proc = mem_printf("%s/proc", folder), *dev = mem_printf("%s/dev", folder);
	assert_true(file_make_dirs(proc, 0700, &e) && file_make_dirs(dev, 0700, &e));
	char *cpuinfo = mem_printf("processor\t: 0\nflags\t\t: fpu%s\nbugs\t\t: none\n", flags);
	write_text(proc, "cpuinfo", cpuinfo);
	if (has_device) {
		write_text(dev, "kvm", ""); /* opens, and is no KVM */
	}
	accel_probe(folder, out);
	free(cpuinfo);
	free(proc);
	free(dev);
	assert_true(file_remove_tree_at(AT_FDCWD, folder, &e));
}

static void test_needs_extensions(void **state)
{
	struct accel a;
	(void)state;
	if (accel_arch() != MACHINE_X86_64) {
		skip(); /* elsewhere the processor does not say */
	}
	probe(" vmxnet svmish", true, &a);
	assert_int_equal(a.kind, MACHINE_TCG);
	assert_non_null(strstr(a.why, "neither vmx nor svm, although"));
	probe("", false, &a);
	assert_non_null(strstr(a.why, "neither vmx nor svm"));
	assert_null(strstr(a.why, "although"));
}

static void test_needs_device(void **state)
{
	struct accel a;
	(void)state;
	probe(" vmx", false, &a);
	assert_int_equal(a.kind, MACHINE_TCG);
	assert_non_null(strstr(a.why, "does not open"));
}

static void test_needs_proof(void **state)
{
	struct accel a;
	(void)state;
	probe(" svm lahf_lm", true, &a);
	assert_int_equal(a.kind, MACHINE_TCG);
	assert_non_null(strstr(a.why, "does not speak the API"));
}

static void test_here(void **state)
{
	struct accel a;
	(void)state;
	accel_probe("", &a);
	print_message("%s\n", a.why);
	assert_true(strncmp(a.why, a.kind == MACHINE_KVM ? "KVM: " : "TCG: ", 5) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_needs_extensions),
		cmocka_unit_test(test_needs_device),
		cmocka_unit_test(test_needs_proof),
		cmocka_unit_test(test_here),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
