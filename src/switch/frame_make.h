/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers of packets that the switch makes itself: numbers in network order, checksums (RFC 1071),
 * Ethernet and IP. Each writes into the caller's bytes, which have room. Any thread.
 */
#ifndef SWITCH_FRAME_MAKE_H
#define SWITCH_FRAME_MAKE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "switch/config.h"

enum {
	FRAME_ETHER = 14, /* bytes of an Ethernet header */
	FRAME_TTL = 64,
};

static inline void frame_put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline uint32_t frame_get16(const uint8_t *p)
{
	return (uint32_t)(p[0] << 8 | p[1]);
}

static inline void frame_put32(uint8_t *p, uint32_t v)
{
	frame_put16(p, v >> 16);
	frame_put16(p + 2, v);
}

static inline uint32_t frame_get32(const uint8_t *p)
{
	return frame_get16(p) << 16 | frame_get16(p + 2);
}

static inline uint32_t frame_sum_of(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < n; i += 2) {
		sum += frame_get16(p + i);
	}
	return n % 2 != 0 ? sum + (uint32_t)(p[n - 1] << 8) : sum;
}

static inline uint16_t frame_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static inline void frame_put_ether(uint8_t *out, const uint8_t *to, const uint8_t *from,
				   uint16_t type)
{
	memcpy(out, to, 6);
	memcpy(out + 6, from, 6);
	frame_put16(out + 12, type);
}

/* An IP header before `size` bytes of a protocol; returns where those begin. */
static inline uint8_t *frame_put_ip(uint8_t *out, const struct address *from,
				    const struct address *to, uint8_t proto, size_t size,
				    uint8_t ttl)
{
	uint8_t *ip = out + FRAME_ETHER;

	if (from->ip == 6) {
		memset(ip, 0, 8);
		ip[0] = 0x60;
		frame_put16(ip + 4, (uint32_t)size);
		ip[6] = proto;
		ip[7] = ttl;
		memcpy(ip + 8, from->bytes, 16);
		memcpy(ip + 24, to->bytes, 16);
		return ip + 40;
	}
	memset(ip, 0, 12);
	ip[0] = 0x45;
	frame_put16(ip + 2, (uint32_t)size + 20);
	ip[6] = 0x40;
	ip[8] = ttl;
	ip[9] = proto;
	memcpy(ip + 12, from->bytes, 4);
	memcpy(ip + 16, to->bytes, 4);
	frame_put16(ip + 10, frame_fold(frame_sum_of(ip, 20)));
	return ip + 20;
}

/* The sum of what TCP and ICMPv6 cover beside themselves. RFC 9293 §3.1, RFC 8200 §8.1. */
static inline uint32_t frame_pseudo_sum(const struct address *from, const struct address *to,
					uint8_t proto, size_t size)
{
	size_t n = from->ip == 6 ? 16 : 4;

	return frame_sum_of(from->bytes, n) + frame_sum_of(to->bytes, n) + proto + (uint32_t)size;
}

#endif
