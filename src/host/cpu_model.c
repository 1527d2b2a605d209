/* SPDX-License-Identifier: Apache-2.0 */
#include "host/cpu_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/macro.h"
#include "base/mem.h"
#include "host/qemu_argv.h"

#define VERSION	     1
#define FEATURES_MAX 512
#define NAMED_MAX    6 /* features that an error names */

/* Flags of /proc/cpuinfo that are instructions and registers of guests; the rest is the host's own
 * business (Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E). */
static const char *const x86_features[] = {
	"3dnowprefetch",
	"abm",
	"adx",
	"aes",
	"amx_bf16",
	"amx_int8",
	"amx_tile",
	"avx",
	"avx2",
	"avx512_bf16",
	"avx512_bitalg",
	"avx512_fp16",
	"avx512_vbmi2",
	"avx512_vnni",
	"avx512_vpopcntdq",
	"avx512bw",
	"avx512cd",
	"avx512dq",
	"avx512f",
	"avx512ifma",
	"avx512vbmi",
	"avx512vl",
	"avx_vnni",
	"bmi1",
	"bmi2",
	"clflushopt",
	"clwb",
	"clzero",
	"cx16",
	"erms",
	"f16c",
	"fma",
	"fsgsbase",
	"fsrm",
	"fxsr_opt",
	"gfni",
	"invpcid",
	"lahf_lm",
	"misalignsse",
	"movbe",
	"movdir64b",
	"movdiri",
	"mpx",
	"nx",
	"pcid",
	"pclmulqdq",
	"pdpe1gb",
	"pku",
	"pni",
	"popcnt",
	"rdpid",
	"rdrand",
	"rdseed",
	"rdtscp",
	"serialize",
	"sha_ni",
	"smap",
	"smep",
	"sse4_1",
	"sse4_2",
	"sse4a",
	"ssse3",
	"tsc_deadline_timer",
	"umip",
	"vaes",
	"vpclmulqdq",
	"wbnoinvd",
	"x2apic",
	"xsave",
	"xsavec",
	"xsaveopt",
	"xsaves",
};

/* A description, read. Strings belong to the document. */
struct model {
	const char *arch, *accel, *cpu, *machine, *vendor, *name;
	uint32_t implementer, part, variant, revision, gic, family, model_id;
	uint64_t timer_hz;
	struct json_at features;
};

static bool is_arm(const struct model *m)
{
	return strcmp(m->arch, "aarch64") == 0;
}

/* ---- describing ---- */

static bool guests_see(enum machine_arch arch, const char *word)
{
	if (arch == MACHINE_AARCH64) {
		/* How the kernel lets programs read registers: its own doing, not the processor's.
		 */
		return strcmp(word, "evtstrm") != 0 && strcmp(word, "cpuid") != 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(x86_features); i++) {
		if (strcmp(x86_features[i], word) == 0) {
			return true;
		}
	}
	return false;
}

static struct json_object *describe_features(const struct hardware_cpu *c, enum machine_arch arch)
{
	struct json_object *list = json_object_new_array();
	size_t room = FEATURES_MAX;
	for (const char *s = c->features ? c->features : ""; *s != '\0' && room > 0;) {
		size_t n = strcspn(s, " ");
		char *word = mem_strndup(s, n);
		if (n > 0 && guests_see(arch, word)) {
			json_object_array_add(list, json_new_str(word));
			room--;
		}
		free(word);
		s += n + (s[n] == ' ' ? 1 : 0);
	}
	return list;
}

struct json_object *cpu_model_describe(const struct hardware_cpu *cpu, enum machine_arch arch,
				       const struct accel *accel)
{
	struct json_object *o = json_object_new_object();
	bool arm = arch == MACHINE_AARCH64;
	json_put_i64(o, "version", VERSION);
	json_put_str(o, "arch", machine_arch_name(arch));
	json_put_str(o, "accel", machine_accel_name(accel->kind));
	json_put_str(o, "cpu", qemu_argv_cpu(arch, accel->kind));
	json_put_str(o, "machine", qemu_argv_machine(arch));
	json_put_str(o, "vendor", cpu->vendor);
	json_put_str(o, "model", cpu->model);
	if (arm) {
		json_put_u64(o, "implementer", cpu->implementer);
		json_put_u64(o, "part", cpu->model_id);
		json_put_u64(o, "variant", cpu->variant);
		json_put_u64(o, "revision", cpu->stepping);
		json_put_u64(o, "timer_hz", cpu->timer_hz);
		json_put_u64(o, "gic", accel->gic);
	} else {
		json_put_u64(o, "family", cpu->family);
		json_put_u64(o, "model_id", cpu->model_id);
	}
	json_put(o, "features", describe_features(cpu, arch));
	return o;
}

/* ---- reading ---- */

static bool read_features(const struct json_at *root, struct model *m, struct error *e)
{
	if (!json_get_array(root, "features", &m->features, e)) {
		return false;
	}
	size_t n = json_array_n(&m->features);
	if (n > FEATURES_MAX) {
		return json_error(&m->features, e, "has %zu entries, at most %d", n, FEATURES_MAX);
	}
	for (size_t i = 0; i < n; i++) {
		struct json_at at = json_item(&m->features, i);
		const char *word;
		if (!json_as_str(&at, &word, e)) {
			return false;
		}
		if (strlen(word) == 0 || strlen(word) > 40) {
			return json_error(&at, e, "must have 1 to 40 characters");
		}
	}
	return true;
}

static bool read_str(const struct json_at *root, const char *key, const char **out, struct error *e)
{
	struct json_at at;
	if (!json_get_str(root, key, out, e)) {
		return false;
	}
	if (strlen(*out) < 128) {
		return true;
	}
	return json_get(root, key, &at, e) && json_error(&at, e, "is longer than 127 characters");
}

/* The document must outlive *m, and so must *root: places point to it. */
static bool read_model(const struct json_at *root, struct model *m, struct error *e)
{
	uint32_t version;
	*m = (struct model){ 0 };
	if (!json_get_u32(root, "version", &version, e)) {
		return false;
	}
	if (version != VERSION) {
		return error_set(e, ERROR_UNSUPPORTED,
				 "\"cpu\": version %" PRIu32 " of the description is unknown, %d "
				 "is known",
				 version, VERSION);
	}
	if (!read_str(root, "arch", &m->arch, e) || !read_str(root, "accel", &m->accel, e) ||
	    !read_str(root, "cpu", &m->cpu, e) || !read_str(root, "machine", &m->machine, e) ||
	    !read_str(root, "vendor", &m->vendor, e) || !read_str(root, "model", &m->name, e) ||
	    !read_features(root, m, e)) {
		return false;
	}
	if (!is_arm(m)) {
		return json_get_u32(root, "family", &m->family, e) &&
		       json_get_u32(root, "model_id", &m->model_id, e);
	}
	return json_get_u32(root, "implementer", &m->implementer, e) &&
	       json_get_u32(root, "part", &m->part, e) &&
	       json_get_u32(root, "variant", &m->variant, e) &&
	       json_get_u32(root, "revision", &m->revision, e) &&
	       json_get_u64(root, "timer_hz", &m->timer_hz, e) &&
	       json_get_u32(root, "gic", &m->gic, e);
}

/* ---- comparing ---- */

static bool differs(const char *what, const char *source, const char *here, struct error *e)
{
	return error_set(e, ERROR_UNSUPPORTED,
			 "\"%s\": the VM runs with \"%.80s\", this host has \"%.80s\"", what,
			 source, here);
}

static bool has_feature(const struct model *m, const char *word)
{
	size_t n = json_array_n(&m->features);
	for (size_t i = 0; i < n; i++) {
		struct json_at at = json_item(&m->features, i);
		const char *mine;
		if (json_as_str(&at, &mine, NULL) && strcmp(mine, word) == 0) {
			return true;
		}
	}
	return false;
}

/* Those of a that b has not, the first few by name; false when there are any. */
static bool lacks_none(const struct model *a, const struct model *b, const char *text,
		       struct error *e)
{
	struct buf names = BUF_INIT;
	size_t n = json_array_n(&a->features), n_missing = 0;
	for (size_t i = 0; i < n; i++) {
		struct json_at at = json_item(&a->features, i);
		const char *word;
		if (!json_as_str(&at, &word, NULL) || has_feature(b, word)) {
			continue;
		}
		if (n_missing++ < NAMED_MAX) {
			buf_addf(&names, "%s%.24s", names.len > 0 ? " " : "", word);
		}
	}
	if (n_missing > NAMED_MAX) {
		buf_addf(&names, " and %zu more", n_missing - NAMED_MAX);
	}
	if (n_missing > 0) {
		error_set(e, ERROR_UNSUPPORTED, "\"features\": %s: %s", text, names.data);
	}
	buf_free(&names);
	return n_missing == 0;
}

static bool same_arm(const struct model *s, const struct model *h, struct error *e)
{
	if (s->implementer != h->implementer || s->part != h->part || s->variant != h->variant ||
	    s->revision != h->revision) {
		return error_set(e, ERROR_UNSUPPORTED,
				 "\"cpu\": the VM runs on a %.64s r%" PRIu32 "p%" PRIu32
				 ", this host has a %.64s r%" PRIu32 "p%" PRIu32
				 "; KVM shows guests the processor as it is",
				 s->name, s->variant, s->revision, h->name, h->variant,
				 h->revision);
	}
	if (s->gic != h->gic) {
		return error_set(e, ERROR_UNSUPPORTED,
				 "\"gic\": the VM has a GICv%" PRIu32
				 ", guests of this host get a GICv%" PRIu32,
				 s->gic, h->gic);
	}
	if (s->timer_hz != h->timer_hz) {
		return error_set(e, ERROR_UNSUPPORTED,
				 "\"timer_hz\": the VM's clock counts %" PRIu64
				 " times a second, this host's %" PRIu64,
				 s->timer_hz, h->timer_hz);
	}
	return lacks_none(s, h, "this host lacks what the VM's processor has", e) &&
	       lacks_none(h, s, "this host has, and cannot hide, what the VM's has not", e);
}

static bool same_x86(const struct model *s, const struct model *h, struct error *e)
{
	if (strcmp(s->vendor, h->vendor) != 0 || s->family != h->family ||
	    s->model_id != h->model_id) {
		return error_set(e, ERROR_UNSUPPORTED,
				 "\"cpu\": the VM runs on \"%.60s\" (family %" PRIu32
				 " model %" PRIu32 "), this host has \"%.60s\" (family %" PRIu32
				 " model %" PRIu32 ")",
				 s->name, s->family, s->model_id, h->name, h->family, h->model_id);
	}
	return lacks_none(s, h, "this host lacks what the VM's processor has", e);
}

static bool same_machine(const struct model *s, const struct model *h, struct error *e)
{
	if (strcmp(s->arch, h->arch) != 0) {
		return differs("arch", s->arch, h->arch, e);
	}
	if (strcmp(s->accel, h->accel) != 0) {
		return differs("accel", s->accel, h->accel, e);
	}
	if (strcmp(s->machine, h->machine) != 0) {
		return differs("machine", s->machine, h->machine, e);
	}
	return strcmp(s->cpu, h->cpu) == 0 || differs("cpu", s->cpu, h->cpu, e);
}

bool cpu_model_accepts(struct json_object *source, struct json_object *here, struct error *e)
{
	struct json_at source_at = json_root(source), here_at = json_root(here);
	struct model s, h;
	if (!read_model(&source_at, &s, e) || !read_model(&here_at, &h, e) ||
	    !same_machine(&s, &h, e)) {
		return false;
	}
	if (strcmp(s.accel, machine_accel_name(MACHINE_KVM)) != 0) {
		return true;
	}
	return is_arm(&s) ? same_arm(&s, &h, e) : same_x86(&s, &h, e);
}
