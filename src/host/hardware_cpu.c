/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/macro.h"
#include "base/mem.h"
#include "base/number.h"
#include "host/facts.h"
#include "host/hardware_read.h"

#define CPUINFO_MAX (1u << 20) /* bytes; the first processor's lines are what is wanted */

/* Arm implementer and part numbers (MIDR_EL1), Arm Ltd. and Ampere reference manuals. */
static const struct arm_part {
	unsigned implementer, part;
	const char *name;
} arm_parts[] = {
	{ 0x41, 0xd03, "Cortex-A53" },	     { 0x41, 0xd04, "Cortex-A35" },
	{ 0x41, 0xd05, "Cortex-A55" },	     { 0x41, 0xd07, "Cortex-A57" },
	{ 0x41, 0xd08, "Cortex-A72" },	     { 0x41, 0xd09, "Cortex-A73" },
	{ 0x41, 0xd0a, "Cortex-A75" },	     { 0x41, 0xd0b, "Cortex-A76" },
	{ 0x41, 0xd0c, "Neoverse-N1" },	     { 0x41, 0xd0d, "Cortex-A77" },
	{ 0x41, 0xd40, "Neoverse-V1" },	     { 0x41, 0xd41, "Cortex-A78" },
	{ 0x41, 0xd42, "Cortex-A78AE" },     { 0x41, 0xd49, "Neoverse-N2" },
	{ 0x41, 0xd4a, "Neoverse-E1" },	     { 0x41, 0xd4b, "Cortex-A78C" },
	{ 0x41, 0xd4f, "Neoverse-V2" },	     { 0x41, 0xd8e, "Neoverse-N3" },
	{ 0x41, 0xd84, "Neoverse-V3" },	     { 0x43, 0x0af, "ThunderX2" },
	{ 0x43, 0x0a1, "ThunderX" },	     { 0x43, 0x0b1, "OcteonTX2 CN98XX" },
	{ 0x43, 0x0b2, "OcteonTX2 CN96XX" }, { 0x51, 0xc00, "Falkor" },
	{ 0x48, 0xd01, "Kunpeng-920" },	     { 0xc0, 0xac3, "Ampere-1" },
	{ 0xc0, 0xac4, "Ampere-1a" },
};

/* Whether the blank-separated list has the word. */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);
	for (const char *s = list; *s != '\0';) {
		size_t n = strcspn(s, " ");
		if (n == len && strncmp(s, word, n) == 0) {
			return true;
		}
		s += n + (s[n] == ' ' ? 1 : 0);
	}
	return false;
}

/* x86-64 psABI, "Micro-Architecture Levels"; names as /proc/cpuinfo spells them. */
static unsigned find_x86_level(const char *flags)
{
	static const char *const needs[][10] = {
		{ "lm", "cmov", "cx8", "fpu", "fxsr", "mmx", "syscall", "sse2" },
		{ "cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3" },
		{ "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave" },
		{ "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl" },
	};
	unsigned level = 0;
	while (level < ARRAY_LEN(needs)) {
		for (size_t i = 0; i < ARRAY_LEN(needs[0]) && needs[level][i] != NULL; i++) {
			if (!has_word(flags, needs[level][i])) {
				return level;
			}
		}
		level++;
	}
	return level;
}

static unsigned field_number(const char *text, const char *key)
{
	char value[32];
	uint64_t number = 0;
	if (facts_field(text, key, value, sizeof(value))) {
		bool ok = strncmp(value, "0x", 2) == 0 ? number_hex_u64(value, &number)
						       : number_u64(value, &number);
		return ok && number <= UINT32_MAX ? (unsigned)number : 0;
	}
	return 0;
}

#define FEATURES_MAX 16384

static char *read_features(const char *info, const char *key)
{
	char *words = mem_alloc(FEATURES_MAX);
	if (!facts_field(info, key, words, FEATURES_MAX)) {
		free(words);
		return NULL;
	}
	return words;
}

static void read_x86(struct hardware_cpu *c, const char *info)
{
	char vendor[64] = "";
	facts_field(info, "vendor_id", vendor, sizeof(vendor));
	facts_field(info, "model name", c->model, sizeof(c->model));
	snprintf(c->vendor, sizeof(c->vendor), "%s",
		 strcmp(vendor, "GenuineIntel") == 0   ? "intel"
		 : strcmp(vendor, "AuthenticAMD") == 0 ? "amd"
		 : strcmp(vendor, "HygonGenuine") == 0 ? "hygon"
						       : vendor);
	snprintf(c->architecture, sizeof(c->architecture), "x86_64");
	c->family = field_number(info, "cpu family");
	c->model_id = field_number(info, "model");
	c->stepping = field_number(info, "stepping");
	c->features = read_features(info, "flags");
	if (c->features != NULL) {
		c->x86_level = find_x86_level(c->features);
	}
}

/* CNTFRQ_EL0, which the kernel lets everybody read. */
static uint64_t timer_hz(const char *root)
{
	uint64_t hz = 0;
#if defined(__aarch64__)
	if (root[0] == '\0') {
		__asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
	}
#else
	(void)root;
#endif
	return hz;
}

static void read_arm(struct hardware_cpu *c, const char *info, const char *root)
{
	c->implementer = field_number(info, "CPU implementer");
	c->variant = field_number(info, "CPU variant");
	c->features = read_features(info, "Features");
	c->timer_hz = timer_hz(root);
	c->model_id = field_number(info, "CPU part");
	c->family = field_number(info, "CPU architecture");
	c->stepping = field_number(info, "CPU revision");
	snprintf(c->vendor, sizeof(c->vendor), "arm");
	snprintf(c->architecture, sizeof(c->architecture), "aarch64");
	snprintf(c->model, sizeof(c->model), "Arm processor 0x%02x part 0x%03x", c->implementer,
		 c->model_id);
	for (size_t i = 0; i < ARRAY_LEN(arm_parts); i++) {
		if (arm_parts[i].implementer == c->implementer &&
		    arm_parts[i].part == c->model_id) {
			snprintf(c->model, sizeof(c->model), "%s", arm_parts[i].name);
		}
	}
}

/* "… @ 2.00GHz" at the end of a model string; 0 where it does not say. */
static uint64_t hz_from_model(const char *model)
{
	const char *at = strstr(model, "@ ");
	double number;
	char digits[16];
	size_t n = at != NULL ? strcspn(at + 2, "GM") : 0;
	if (n == 0 || n >= sizeof(digits) || at[2 + n] == '\0') {
		return 0;
	}
	memcpy(digits, at + 2, n);
	digits[n] = '\0';
	if (!number_double(digits, &number) || number <= 0 || number > 1e5) {
		return 0;
	}
	return (uint64_t)(number * (at[2 + n] == 'G' ? 1e9 : 1e6));
}

static uint64_t find_hz(const struct hardware_cpu *c, const char *info, const char *root)
{
	static const char base[] = "/sys/devices/system/cpu/cpu0/cpufreq/";
	char mhz[32];
	double number;
	uint64_t khz = facts_u64(facts_path(root, "%sbase_frequency", base).s, 0);
	if (khz > 0 && khz < 100000000) {
		return khz * 1000;
	}
	if (hz_from_model(c->model) > 0) {
		return hz_from_model(c->model);
	}
	khz = facts_u64(facts_path(root, "%scpuinfo_max_freq", base).s, 0);
	if (khz > 0 && khz < 100000000) {
		return khz * 1000;
	}
	if (facts_field(info, "cpu MHz", mhz, sizeof(mhz)) && number_double(mhz, &number) &&
	    number > 0 && number < 1e5) {
		return (uint64_t)(number * 1e6);
	}
	return hardware_firmware_hz(root);
}

static unsigned count_processors(const char *info)
{
	unsigned n = 0;
	for (const char *s = info; (s = strstr(s, "processor")) != NULL; s++) {
		n += (s == info || s[-1] == '\n') && n < HARDWARE_CPUS_MAX;
	}
	return n;
}

/* The logical CPUs that are on line; where the kernel does not list them, those it describes. */
static unsigned *list_cpus(const char *info, const char *root, size_t *n)
{
	char text[4096];
	facts_line(facts_path(root, "/sys/devices/system/cpu/online").s, text, sizeof(text));
	if (text[0] == '\0') {
		unsigned count = count_processors(info);
		snprintf(text, sizeof(text), "0-%u", count > 0 ? count - 1 : 0);
		*n = 0;
		return count > 0 ? facts_list(text, HARDWARE_CPUS_MAX, n) : NULL;
	}
	return facts_list(text, HARDWARE_CPUS_MAX, n);
}

static struct hardware_cpu_package *find_package(struct hardware_cpu *c, unsigned id)
{
	for (unsigned i = 0; i < c->n_packages; i++) {
		if (c->packages[i].id == id) {
			return &c->packages[i];
		}
	}
	c->packages = mem_realloc_array(c->packages, c->n_packages + 1, sizeof(c->packages[0]));
	c->packages[c->n_packages] = (struct hardware_cpu_package){ .id = id };
	return &c->packages[c->n_packages++];
}

static void add_cpu(struct hardware_cpu *c, unsigned cpu, const char *root)
{
	static const char format[] = "/sys/devices/system/cpu/cpu%u/topology/%s";
	char siblings[256];
	uint64_t id = facts_u64(facts_path(root, format, cpu, "physical_package_id").s, 0);
	struct hardware_cpu_package *p = find_package(c, id <= UINT32_MAX ? (unsigned)id : 0);
	facts_line(facts_path(root, format, cpu, "thread_siblings_list").s, siblings,
		   sizeof(siblings));
	/* The first thread of a core counts the core. */
	uint64_t first = cpu;
	number_u64_n(siblings, strcspn(siblings, ",-"), &first);
	p->threads = mem_realloc_array(p->threads, p->n_threads + 1, sizeof(p->threads[0]));
	p->threads[p->n_threads++] = cpu;
	p->n_cores += first == cpu;
	c->n_cores += first == cpu;
	c->n_threads++;
}

static void read_numa(struct hardware *h, const char *root)
{
	char text[4096];
	size_t n = 0;
	facts_line(facts_path(root, "/sys/devices/system/node/online").s, text, sizeof(text));
	unsigned *ids = facts_list(text, HARDWARE_NUMA_MAX, &n);
	h->numa = mem_calloc(n + 1, sizeof(h->numa[0]));
	for (size_t i = 0; i < n; i++) {
		static const char format[] = "/sys/devices/system/node/node%u/%s";
		struct hardware_numa_node *node = &h->numa[h->n_numa++];
		struct buf b = BUF_INIT;
		char key[32], value[64];
		uint64_t kib = 0;
		node->id = ids[i];
		facts_line(facts_path(root, format, ids[i], "cpulist").s, text, sizeof(text));
		node->cpus = facts_list(text, HARDWARE_CPUS_MAX, &node->n_cpus);
		snprintf(key, sizeof(key), "Node %u MemTotal", ids[i]);
		if (facts_read(facts_path(root, format, ids[i], "meminfo").s, 65536, &b) &&
		    facts_field(b.data, key, value, sizeof(value)) &&
		    number_u64_n(value, strcspn(value, " "), &kib) && kib < UINT64_MAX / 1024) {
			node->memory = kib * 1024;
		}
		buf_free(&b);
	}
	free(ids);
}

void hardware_read_cpu(struct hardware *h, const char *root)
{
	struct hardware_cpu *c = &h->cpu;
	struct buf info = BUF_INIT;
	char probe[8];
	facts_read(facts_path(root, "/proc/cpuinfo").s, CPUINFO_MAX, &info);
	if (facts_field(info.data, "vendor_id", probe, sizeof(probe))) {
		read_x86(c, info.data);
	} else if (facts_field(info.data, "CPU implementer", probe, sizeof(probe))) {
		read_arm(c, info.data, root);
	} else if (root[0] == '\0') {
		struct utsname name;
		if (uname(&name) == 0) {
			snprintf(c->architecture, sizeof(c->architecture), "%.31s", name.machine);
		}
	}
	c->hz = find_hz(c, info.data, root);
	size_t n = 0;
	unsigned *cpus = list_cpus(info.data, root, &n);
	for (size_t i = 0; i < n; i++) {
		add_cpu(c, cpus[i], root);
	}
	free(cpus);
	buf_free(&info);
	c->virtualization = facts_exists(facts_path(root, "/dev/kvm").s);
	read_numa(h, root);
}
