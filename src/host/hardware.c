/* SPDX-License-Identifier: Apache-2.0 */
#include "host/hardware.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/macro.h"
#include "base/number.h"
#include "base/uuid.h"
#include "host/board.h"
#include "host/facts.h"
#include "host/hardware_read.h"
#include "host/text.h"

/* What boards say that nobody has filled in. */
static const char *const placeholders[] = {
	"To Be Filled By O.E.M.",
	"To be filled by O.E.M.",
	"Default string",
	"Not Specified",
	"System Product Name",
	"System manufacturer",
	"System Serial Number",
	"None",
	"Not Applicable",
	"Unknown",
	"0123456789",
	"INVALID",
};

static void read_dmi(const char *root, const char *file, char *out, size_t size)
{
	facts_line(facts_path(root, "/sys/class/dmi/id/%s", file).s, out, size);
	for (size_t i = 0; i < ARRAY_LEN(placeholders); i++) {
		if (strcasecmp(out, placeholders[i]) == 0) {
			out[0] = '\0';
		}
	}
}

/* MM/DD/YYYY (SMBIOS 7.1) to YYYY-MM-DD. */
static void read_bios_date(const char *root, char out[11])
{
	char text[16];
	facts_line(facts_path(root, "/sys/class/dmi/id/bios_date").s, text, sizeof(text));
	if (strlen(text) != 10 || text[2] != '/' || text[5] != '/') {
		return;
	}
	for (size_t i = 0; i < 10; i++) {
		if (i != 2 && i != 5 && !isdigit((unsigned char)text[i])) {
			return;
		}
	}
	snprintf(out, 11, "%.4s-%.2s-%.2s", text + 6, text, text + 3);
}

static void read_uuid(const char *root, char out[37])
{
	char text[64];
	struct uuid u;
	read_dmi(root, "product_uuid", text, sizeof(text));
	if (!uuid_parse(text, &u)) {
		return;
	}
	uuid_format(&u, text);
	/* Boards without one say all zeros or ones, or the sample of a firmware kit. */
	if (strspn(text, "0-") < 36 && strspn(text, "f-") < 36 &&
	    strcmp(text, "03000200-0400-0500-0006-000700080009") != 0) {
		memcpy(out, text, 37);
	}
}

/* Device tree strings end in NUL, `compatible` is a list of them. */
static void read_tree(const char *root, const char *file, char *out, size_t size)
{
	facts_line(facts_path(root, "/proc/device-tree/%s", file).s, out, size);
}

static void read_device_tree(struct hardware_system *s, const char *root)
{
	static const char *const makers[][2] = {
		{ "raspberrypi", "Raspberry Pi" },
		{ "nvidia", "NVIDIA" },
		{ "marvell", "Marvell" },
		{ "fsl", "NXP" },
		{ "amd", "AMD" },
		{ "rockchip", "Rockchip" },
	};
	char compatible[128];
	read_tree(root, "model", s->model, sizeof(s->model));
	read_tree(root, "serial-number", s->serial, sizeof(s->serial));
	read_tree(root, "compatible", compatible, sizeof(compatible));
	char *comma = strchr(compatible, ',');
	if (comma == NULL) {
		return;
	}
	*comma = '\0';
	snprintf(s->vendor, sizeof(s->vendor), "%s", compatible);
	for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
		if (strcmp(compatible, makers[i][0]) == 0) {
			snprintf(s->vendor, sizeof(s->vendor), "%s", makers[i][1]);
		}
	}
}

static void read_system(struct hardware_system *s, const char *root)
{
	read_dmi(root, "sys_vendor", s->vendor, sizeof(s->vendor));
	read_dmi(root, "product_name", s->model, sizeof(s->model));
	read_dmi(root, "product_family", s->family, sizeof(s->family));
	read_dmi(root, "product_serial", s->serial, sizeof(s->serial));
	read_dmi(root, "bios_vendor", s->bios_vendor, sizeof(s->bios_vendor));
	read_dmi(root, "bios_version", s->bios_version, sizeof(s->bios_version));
	read_bios_date(root, s->bios_date);
	read_uuid(root, s->uuid);
	s->uefi = facts_exists(facts_path(root, "/sys/firmware/efi").s);
	if (s->model[0] == '\0') {
		read_device_tree(s, root);
	}
}

/* The value of KEY=value or KEY="value" in os-release(5). */
static void os_release(const char *text, const char *key, char *out, size_t size)
{
	size_t len = strlen(key);
	for (const char *line = text; *line != '\0';) {
		size_t n = strcspn(line, "\n");
		if (n > len && strncmp(line, key, len) == 0 && line[len] == '=') {
			const char *value = line + len + 1;
			size_t n_value = n - len - 1;
			if (n_value >= 2 && value[0] == '"' && value[n_value - 1] == '"') {
				value++;
				n_value -= 2;
			}
			text_clean(out, size, value, n_value);
			return;
		}
		line += n + (line[n] == '\n' ? 1 : 0);
	}
}

/* The number behind "btime " in /proc/stat. */
static int64_t find_boot_time(const char *root)
{
	struct buf b = BUF_INIT;
	uint64_t seconds = 0;
	if (facts_read(facts_path(root, "/proc/stat").s, 4u << 20, &b)) {
		const char *at = strstr(b.data, "\nbtime ");
		if (at != NULL) {
			number_u64_n(at + 7, strcspn(at + 7, "\n"), &seconds);
		}
	}
	buf_free(&b);
	return seconds < INT64_MAX / 1000000 ? (int64_t)seconds : 0;
}

static void read_os(struct hardware_os *os, const char *root)
{
	struct buf b = BUF_INIT;
	static const char kernel[] = "/proc/sys/kernel/%s";
	facts_line(facts_path(root, kernel, "osrelease").s, os->kernel, sizeof(os->kernel));
	facts_line(facts_path(root, kernel, "hostname").s, os->hostname, sizeof(os->hostname));
	facts_line(facts_path(root, kernel, "random/boot_id").s, os->boot_id, sizeof(os->boot_id));
	if (facts_read(facts_path(root, "/etc/os-release").s, 65536, &b)) {
		os_release(b.data, "PRETTY_NAME", os->name, sizeof(os->name));
		os_release(b.data, "VERSION_ID", os->version, sizeof(os->version));
	}
	buf_free(&b);
	os->boot_time = find_boot_time(root);
}

/* A "Key:   123 kB" of /proc/meminfo, in bytes. */
static uint64_t memory_field(const char *text, const char *key)
{
	char value[64];
	uint64_t kib;
	if (!facts_field(text, key, value, sizeof(value)) ||
	    !number_u64_n(value, strcspn(value, " "), &kib) || kib > UINT64_MAX / 1024) {
		return 0;
	}
	return kib * 1024;
}

static bool read_memory(const char *root, uint64_t *total, uint64_t *available)
{
	struct buf b = BUF_INIT;
	bool ok = facts_read(facts_path(root, "/proc/meminfo").s, 65536, &b);
	if (ok) {
		*total = memory_field(b.data, "MemTotal");
		*available = MIN(memory_field(b.data, "MemAvailable"), *total);
	}
	buf_free(&b);
	return ok;
}

/* "Hugetlb: 0 kB": of all sizes, free or in use. */
static void read_huge_pages(struct hardware *h, const char *root)
{
	struct buf b = BUF_INIT;
	if (facts_read(facts_path(root, "/proc/meminfo").s, 65536, &b)) {
		h->huge_pages = MIN(memory_field(b.data, "Hugetlb"), h->memory);
	}
	buf_free(&b);
}

/* "linux,dummy-virt": a name for drivers, where a device tree should have one for people. */
static bool is_for_drivers(const char *model)
{
	return strchr(model, ',') != NULL && strchr(model, ' ') == NULL;
}

/* Firmware that says nothing, or nothing for people, is helped out. */
static void take_board(struct hardware_system *s, const struct board *b)
{
	if (b == NULL) {
		return;
	}
	if (is_for_drivers(s->model)) {
		s->model[0] = s->vendor[0] = '\0';
	}
	if (s->vendor[0] == '\0') {
		snprintf(s->vendor, sizeof(s->vendor), "%s", b->maker);
	}
	if (s->model[0] == '\0') {
		snprintf(s->model, sizeof(s->model), "%s", b->name);
	}
}

void hardware_read(struct hardware *h, const char *root)
{
	uint64_t available;
	*h = (struct hardware){ 0 };
	hardware_read_cpu(h, root);
	read_system(&h->system, root);
	read_os(&h->os, root);
	read_memory(root, &h->memory, &available);
	read_huge_pages(h, root);
	hardware_read_pci(h, root);
	h->board = board_find(h, root);
	take_board(&h->system, h->board);
	hardware_read_nics(h, root);
	hardware_read_blocks(h, root);
}

void hardware_fini(struct hardware *h)
{
	for (unsigned i = 0; i < h->cpu.n_packages; i++) {
		free(h->cpu.packages[i].threads);
	}
	for (size_t i = 0; i < h->n_numa; i++) {
		free(h->numa[i].cpus);
	}
	free(h->cpu.packages);
	free(h->cpu.features);
	free(h->numa);
	free(h->pci);
	free(h->nics);
	free(h->blocks);
	*h = (struct hardware){ 0 };
}

/* ---- the moving numbers ---- */

/* The n-th blank-separated word of a line, as a number; 0 where there is none. */
static double word_double(const char *line, unsigned n)
{
	char word[32];
	double number = 0;
	for (; n > 0 && *line != '\0'; n--) {
		line += strcspn(line, " ");
		line += strspn(line, " ");
	}
	size_t len = strcspn(line, " ");
	if (len > 0 && len < sizeof(word)) {
		memcpy(word, line, len);
		word[len] = '\0';
		number_double(word, &number);
	}
	return number > 0 ? number : 0;
}

/* "cpu  user nice system idle iowait irq softirq steal …", proc(5); guest is in user already. */
static bool read_ticks(struct hardware_usage *u, const char *root)
{
	char line[512];
	facts_line(facts_path(root, "/proc/stat").s, line, sizeof(line));
	if (strncmp(line, "cpu ", 4) != 0) {
		return false;
	}
	for (unsigned i = 0; i < 8; i++) {
		uint64_t ticks = (uint64_t)word_double(line, i + 1);
		u->cpu_total_ticks += ticks;
		u->cpu_busy_ticks += i == 3 || i == 4 ? 0 : ticks;
	}
	return true;
}

bool hardware_usage_read(struct hardware_usage *u, const char *root)
{
	struct hardware_usage now = { 0 };
	char line[256];
	bool ok = read_memory(root, &now.memory_total, &now.memory_available);
	ok = read_ticks(&now, root) || ok;
	facts_line(facts_path(root, "/proc/loadavg").s, line, sizeof(line));
	now.load_1 = word_double(line, 0);
	now.load_5 = word_double(line, 1);
	now.load_15 = word_double(line, 2);
	facts_line(facts_path(root, "/proc/uptime").s, line, sizeof(line));
	now.uptime_s = (uint64_t)word_double(line, 0);
	if (ok) {
		*u = now;
	}
	return ok;
}

double hardware_cpu_percent(const struct hardware_usage *before, const struct hardware_usage *now)
{
	if (now->cpu_total_ticks <= before->cpu_total_ticks ||
	    now->cpu_busy_ticks < before->cpu_busy_ticks) {
		return 0;
	}
	double total = (double)(now->cpu_total_ticks - before->cpu_total_ticks);
	double busy = (double)(now->cpu_busy_ticks - before->cpu_busy_ticks);
	return MIN(100.0, 100.0 * busy / total);
}
