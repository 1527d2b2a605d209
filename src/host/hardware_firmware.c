/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast the processors are where the kernel does not say: what firmware says of them, in the
 * device tree (Devicetree Specification 3.8.1, clock-frequency) or in SMBIOS (DSP0134 7.5). The
 * tables of SMBIOS can be read by root only.
 */
#include <string.h>

#include "base/macro.h"
#include "host/facts.h"
#include "host/hardware_read.h"

#define TABLES_MAX     (1u << 20)
#define NODES_MAX      1024
#define MHZ_MAX	       100000
#define PROCESSOR      4 /* type of structure */
#define END_OF_TABLE   127
#define AT_MAX_SPEED   0x14
#define AT_SPEED       0x16
#define AT_STATUS      0x18
#define IS_POPULATED   0x40
#define HEADER_SIZE    4
#define PROCESSOR_SIZE (AT_STATUS + 1)

static unsigned u16_at(const uint8_t *p)
{
	return p[0] | (unsigned)p[1] << 8;
}

/* Of the first processor that is there; 0: it does not say. */
static unsigned mhz_of(const uint8_t *processor)
{
	unsigned mhz = u16_at(processor + AT_SPEED);

	if ((processor[AT_STATUS] & IS_POPULATED) == 0) {
		return 0;
	}
	return mhz != 0 ? mhz : u16_at(processor + AT_MAX_SPEED);
}

/* Structures one after the other: type, length, handle, fields; then strings, each with a NUL, and
 * one more NUL, of which there are two where there are no strings. */
static unsigned mhz_in_tables(const uint8_t *table, size_t size)
{
	for (size_t at = 0; size - at >= HEADER_SIZE;) {
		const uint8_t *s = table + at;
		size_t length = s[1];
		if (length < HEADER_SIZE || length > size - at || s[0] == END_OF_TABLE) {
			break;
		}
		unsigned mhz = s[0] == PROCESSOR && length >= PROCESSOR_SIZE ? mhz_of(s) : 0;
		if (mhz != 0) {
			return mhz;
		}
		const uint8_t *end = memmem(s + length, size - at - length, "\0", 2);
		if (end == NULL) {
			break;
		}
		at = (size_t)(end - table) + 2;
	}
	return 0;
}

static uint64_t hz_in_smbios(const char *root)
{
	struct buf b = BUF_INIT;
	unsigned mhz = 0;

	if (facts_read(facts_path(root, "/sys/firmware/dmi/tables/DMI").s, TABLES_MAX, &b)) {
		mhz = mhz_in_tables((const uint8_t *)b.data, b.len);
	}
	buf_free(&b);
	return mhz <= MHZ_MAX ? UINT64_C(1000000) * mhz : 0;
}

/* A number of 32 or 64 bits, the most significant byte first. */
static uint64_t hz_in_node(const char *root, const char *cpu)
{
	struct buf b = BUF_INIT;
	uint64_t hz = 0;

	if (facts_read(facts_path(root, "/proc/device-tree/cpus/%s/clock-frequency", cpu).s, 16,
		       &b) &&
	    (b.len == 4 || b.len == 8)) {
		for (size_t i = 0; i < b.len; i++) {
			hz = hz << 8 | (uint8_t)b.data[i];
		}
	}
	buf_free(&b);
	return hz <= UINT64_C(1000000) * MHZ_MAX ? hz : 0;
}

static uint64_t hz_in_tree(const char *root)
{
	size_t n;
	uint64_t hz = 0;
	char **nodes = facts_names(facts_path(root, "/proc/device-tree/cpus").s, NODES_MAX, &n);

	for (size_t i = 0; i < n && hz == 0; i++) {
		if (strncmp(nodes[i], "cpu@", 4) == 0) {
			hz = hz_in_node(root, nodes[i]);
		}
	}
	facts_names_free(nodes, n);
	return hz;
}

uint64_t hardware_firmware_hz(const char *root)
{
	uint64_t hz = hz_in_tree(root);

	return hz != 0 ? hz : hz_in_smbios(root);
}
