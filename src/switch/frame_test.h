/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames for tests, made field by field and independently of what reads them: whole lengths and
 * right checksums, until a test spoils a byte. One frame at a time, in `frame`.
 */
#ifndef SWITCH_FRAME_TEST_H
#define SWITCH_FRAME_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	L3 = 14,
	L4_IP4 = 34,
	L4_IP6 = 54,
	FRAME_MAX = 2048
};

static const uint8_t mac_a[6] = { 2, 0, 0, 0, 0, 0xa }, mac_b[6] = { 2, 0, 0, 0, 0, 0xb };
static const uint8_t ip4_a[4] = { 10, 0, 0, 1 }, ip4_b[4] = { 10, 0, 0, 2 };
static const uint8_t ip6_a[16] = { 0xfd, [15] = 1 }, ip6_b[16] = { 0xfd, [15] = 2 };

static uint8_t frame[FRAME_MAX];
static uint32_t frame_size;

static inline void set16(uint32_t at, uint32_t v)
{
	frame[at] = (uint8_t)(v >> 8);
	frame[at + 1] = (uint8_t)v;
}

/* The one's complement sum of n bytes, added to `sum` and folded; 0xffff over a header that bears
 * its right checksum. */
static inline uint32_t ones_sum(const uint8_t *p, size_t n, uint32_t sum)
{
	for (size_t i = 0; i < n; i++) {
		sum += (uint32_t)p[i] << (i % 2 == 0 ? 8 : 0);
	}
	while (sum >> 16 != 0) {
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

/* The same over what TCP, UDP and ICMPv6 cover, of an untagged frame. */
static inline uint32_t l4_sum(const uint8_t *data, uint8_t proto)
{
	bool is_4 = data[12] == 8;
	size_t l4 = is_4 ? L3 + (data[L3] & 15u) * 4u : L4_IP6;
	size_t n = is_4 ? L3 + (size_t)(data[16] << 8 | data[17]) - l4
			: (size_t)(data[18] << 8 | data[19]);
	uint32_t sum = proto + (uint32_t)n;

	sum = is_4 ? ones_sum(data + 26, 8, sum) : ones_sum(data + 22, 32, sum);
	return ones_sum(data + l4, n, sum);
}

static inline void ip4_seal(void)
{
	set16(24, 0);
	set16(24, ~ones_sum(frame + L3, (frame[L3] & 15u) * 4u, 0) & 0xffff);
}

/* From a to b: Ethernet and `size` bytes of an IPv4 packet's content, zero but for the header. */
static inline void make_ip4(uint8_t proto, uint32_t size)
{
	memset(frame, 0, sizeof(frame));
	memcpy(frame, mac_b, 6);
	memcpy(frame + 6, mac_a, 6);
	set16(12, 0x0800);
	frame[L3] = 0x45;
	set16(16, 20 + size);
	frame[22] = 64;
	frame[23] = proto;
	memcpy(frame + 26, ip4_a, 4);
	memcpy(frame + 30, ip4_b, 4);
	frame_size = L4_IP4 + size;
	ip4_seal();
}

static inline void make_ip6(uint8_t next, uint32_t size)
{
	memset(frame, 0, sizeof(frame));
	memcpy(frame, mac_b, 6);
	memcpy(frame + 6, mac_a, 6);
	set16(12, 0x86dd);
	frame[L3] = 0x60;
	set16(18, size);
	frame[20] = next;
	frame[21] = 64;
	memcpy(frame + 22, ip6_a, 16);
	memcpy(frame + 38, ip6_b, 16);
	frame_size = L4_IP6 + size;
}

/* Headers at an offset; ports 1000 to 80. */
static inline void put_tcp(uint32_t at, uint8_t flags)
{
	set16(at, 1000);
	set16(at + 2, 80);
	frame[at + 12] = 0x50;
	frame[at + 13] = flags;
}

static inline void put_udp(uint32_t at, uint32_t size)
{
	set16(at, 1000);
	set16(at + 2, 80);
	set16(at + 4, size);
}

static inline void put_icmp(uint32_t at, uint8_t type, uint8_t code, uint16_t id)
{
	frame[at] = type;
	frame[at + 1] = code;
	set16(at + 4, id);
}

/* Puts a VLAN tag behind the MAC addresses. */
static inline void put_tag(uint16_t type, uint16_t tag)
{
	memmove(frame + 16, frame + 12, frame_size - 12);
	set16(12, type);
	set16(14, tag);
	frame_size += 4;
}

#endif
