/* SPDX-License-Identifier: Apache-2.0 */
#include "host/cpu_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/macro.h"
#include "base/mem.h"

static char a72_features[] = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid";
static char n1_features[] = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid";

static struct hardware_cpu a72(void)
{
	return (struct hardware_cpu){
		.vendor = "arm",
		.model = "Cortex-A72",
		.family = 8,
		.implementer = 0x41,
		.model_id = 0xd08,
		.stepping = 3,
		.features = a72_features,
		.timer_hz = 62500000,
	};
}

static struct hardware_cpu n1(void)
{
	return (struct hardware_cpu){
		.vendor = "arm",
		.model = "Neoverse-N1",
		.family = 8,
		.implementer = 0x41,
		.model_id = 0xd0c,
		.variant = 4,
		.stepping = 1,
		.features = n1_features,
		.timer_hz = 62500000,
	};
}

static char xeon_features[] = "fpu vme sse4_2 avx2 avx512f vmx aes";
static char cut_features[] = "fpu sse4_2 aes tsc_adjust";

static struct hardware_cpu xeon(void)
{
	return (struct hardware_cpu){
		.vendor = "intel",
		.model = "Xeon Gold 6338",
		.family = 6,
		.model_id = 106,
		.stepping = 6,
		.features = xeon_features,
	};
}

static const struct accel tcg = { .kind = MACHINE_TCG };
static const struct accel kvm = { .kind = MACHINE_KVM, .gic = 3 };

/* Takes both over. NULL text: it must be accepted. */
static void judge(struct json_object *source, struct json_object *here, enum error_kind kind,
		  const char *text)
{
	struct error e = { 0 };
	bool ok = cpu_model_accepts(source, here, &e);
	json_object_put(source);
	json_object_put(here);
	if (ok != (text == NULL) || (text && !strstr(e.msg, text))) {
		fail_msg("%s: \"%s\"", ok ? "accepted" : "refused", e.msg);
	}
	assert_int_equal(ok ? ERROR_NONE : e.kind, kind);
}

static struct json_object *arm(struct hardware_cpu c, const struct accel *a)
{
	return cpu_model_describe(&c, MACHINE_AARCH64, a);
}

static struct json_object *x86(struct hardware_cpu c, const struct accel *a)
{
	return cpu_model_describe(&c, MACHINE_X86_64, a);
}

static void test_same(void **state)
{
	(void)state;
	judge(arm(a72(), &kvm), arm(a72(), &kvm), ERROR_NONE, NULL);
	judge(x86(xeon(), &kvm), x86(xeon(), &kvm), ERROR_NONE, NULL);
}

static void test_other_core(void **state)
{
	(void)state;
	judge(arm(a72(), &kvm), arm(n1(), &kvm), ERROR_UNSUPPORTED,
	      "\"cpu\": the VM runs on a Cortex-A72 r0p3, this host has a Neoverse-N1 r4p1");
	struct hardware_cpu newer = a72();
	newer.stepping = 4;
	judge(arm(a72(), &kvm), arm(newer, &kvm), ERROR_UNSUPPORTED, "r0p4");
}

static void test_emulated_cores_are_the_same(void **state)
{
	(void)state;
	judge(arm(a72(), &tcg), arm(n1(), &tcg), ERROR_NONE, NULL);
	judge(arm(a72(), &kvm), arm(a72(), &tcg), ERROR_UNSUPPORTED, "\"accel\": the VM runs with");
	judge(x86(xeon(), &tcg), arm(n1(), &tcg), ERROR_UNSUPPORTED, "\"arch\"");
}

static void test_arm_sees_all(void **state)
{
	struct accel old = kvm;
	struct hardware_cpu other = a72();
	(void)state;
	old.gic = 2;
	judge(arm(a72(), &kvm), arm(a72(), &old), ERROR_UNSUPPORTED,
	      "the VM has a GICv3, guests of this host get a GICv2");
	other.timer_hz = 54000000;
	judge(arm(a72(), &kvm), arm(other, &kvm), ERROR_UNSUPPORTED, "54000000");
	other = a72();
	char plain[] = "fp asimd crc32"; /* a Pi 4: the same core without the cipher extension */
	other.features = plain;
	judge(arm(a72(), &kvm), arm(other, &kvm), ERROR_UNSUPPORTED,
	      "lacks what the VM's processor has: aes pmull sha1 sha2");
	judge(arm(other, &kvm), arm(a72(), &kvm), ERROR_UNSUPPORTED, "cannot hide");
}

static void test_x86_may_have_more(void **state)
{
	struct hardware_cpu cut = xeon();
	(void)state;
	cut.features = cut_features;
	judge(x86(cut, &kvm), x86(xeon(), &kvm), ERROR_NONE, NULL);
	judge(x86(xeon(), &kvm), x86(cut, &kvm), ERROR_UNSUPPORTED, "avx2 avx512f");
	cut.model_id = 85;
	judge(x86(xeon(), &kvm), x86(cut, &kvm), ERROR_UNSUPPORTED, "model 85");
}

static void test_hostile(void **state)
{
	static const char *const texts[] = {
		"{}",
		"[]",
		"{\"version\":\"1\"}",
		"{\"version\":1,\"arch\":3}",
		"{\"version\":1,\"arch\":\"aarch64\",\"accel\":\"kvm\",\"cpu\":\"host\","
		"\"machine\":\"virt-7.2\",\"vendor\":\"\",\"model\":\"\",\"features\":[1]}",
		"{\"version\":1,\"arch\":\"aarch64\",\"accel\":\"kvm\",\"cpu\":\"host\","
		"\"machine\":\"virt-7.2\",\"vendor\":\"\",\"model\":\"\",\"features\":[]}",
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct error e;
		struct json_object *o = json_parse(texts[i], strlen(texts[i]), 65536, 8, &e);
		assert_non_null(o);
		judge(o, arm(a72(), &kvm), ERROR_INVALID, "");
	}
	struct json_object *o = arm(a72(), &kvm);
	json_put_i64(o, "version", 2);
	judge(o, arm(a72(), &kvm), ERROR_UNSUPPORTED, "version 2");
	o = arm(a72(), &kvm);
	struct json_object *many = json_object_new_array();
	for (size_t i = 0; i < 600; i++) {
		json_object_array_add(many, json_new_str("x"));
	}
	json_put(o, "features", many);
	judge(o, arm(a72(), &kvm), ERROR_INVALID, "has 600 entries, at most 512");
	o = arm(a72(), &kvm);
	char *name = mem_alloc(200);
	memset(name, 'x', 199);
	name[199] = '\0';
	json_put_str(o, "model", name);
	free(name);
	judge(o, arm(a72(), &kvm), ERROR_INVALID, "\"model\": is longer");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_other_core),
		cmocka_unit_test(test_emulated_cores_are_the_same),
		cmocka_unit_test(test_arm_sees_all),
		cmocka_unit_test(test_x86_may_have_more),
		cmocka_unit_test(test_hostile),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
