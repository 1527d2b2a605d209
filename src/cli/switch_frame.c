/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/switch_frame.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/macro.h"
#include "base/number.h"

enum {
	TCP = 6,
	UDP = 17,
	ICMP = 1,
	ICMP6 = 58,
	HOPS = 64,
};

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static bool read_mac(const char *option, const char *text, uint8_t out[6], struct error *e)
{
	unsigned v[6];
	int end = 0;

	if (text == NULL) {
		return error_set(e, ERROR_INVALID,
				 "%s is needed: the switch does not say which it would be", option);
	}
	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
		   &end) != 6 ||
	    text[end] != '\0') {
		return error_set(e, ERROR_INVALID,
				 "%s: \"%.40s\" is no MAC address such as 02:52:4d:00:00:01",
				 option, text);
	}
	for (int i = 0; i < 6; i++) {
		out[i] = (uint8_t)v[i];
	}
	return true;
}

static bool read_number(const char *option, const char *text, uint64_t otherwise, uint64_t max,
			uint64_t *out, struct error *e)
{
	*out = otherwise;
	if (text == NULL || (number_u64(text, out) && *out <= max)) {
		return true;
	}
	return error_set(e, ERROR_INVALID, "%s: \"%.40s\" is no number from 0 to %llu", option,
			 text, (unsigned long long)max);
}

static bool read_proto(const char *text, int family, uint64_t *out, struct error *e)
{
	static const struct {
		const char *name;
		uint8_t ip4, ip6;
	} names[] = { { "tcp", TCP, TCP }, { "udp", UDP, UDP }, { "icmp", ICMP, ICMP6 } };

	text = text == NULL ? "icmp" : text;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcasecmp(text, names[i].name) == 0) {
			*out = family == AF_INET ? names[i].ip4 : names[i].ip6;
			return true;
		}
	}
	if (number_u64(text, out) && *out <= UINT8_MAX) {
		return true;
	}
	return error_set(e, ERROR_INVALID,
			 "--proto: \"%.40s\" is neither tcp, udp, icmp nor a number up to 255",
			 text);
}

/* Both addresses, of one family: 4 or 16 bytes each. */
static bool read_addresses(const struct switch_frame *f, uint8_t src[16], uint8_t dst[16],
			   int *family, struct error *e)
{
	const char *text[2] = { f->src, f->dst };
	uint8_t *out[2] = { src, dst };

	*family = f->dst != NULL && strchr(f->dst, ':') != NULL ? AF_INET6 : AF_INET;
	for (int i = 0; i < 2; i++) {
		const char *option = i == 0 ? "--src" : "--dst";
		if (text[i] == NULL) {
			return error_set(e, ERROR_INVALID, "%s is needed: an IP address", option);
		}
		if (inet_pton(*family, text[i], out[i]) != 1) {
			return error_set(e, ERROR_INVALID, "%s: \"%.60s\" is no %s address", option,
					 text[i], *family == AF_INET ? "IPv4" : "IPv6");
		}
	}
	return true;
}

static uint16_t ip_sum(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < n; i += 2) {
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	}
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* The header above IP; its size. Its checksum stays zero: the switch leaves those to hosts. */
static size_t put_l4(uint8_t *p, uint8_t proto, uint16_t sport, uint16_t dport)
{
	switch (proto) {
	case TCP:
		put16(p, sport);
		put16(p + 2, dport);
		p[12] = 0x50;
		p[13] = 2;
		put16(p + 14, 65535);
		return 20;
	case UDP:
		put16(p, sport);
		put16(p + 2, dport);
		put16(p + 4, 8);
		return 8;
	case ICMP:
		p[0] = 8;
		return 8;
	case ICMP6:
		p[0] = 128;
		return 8;
	default:
		return 8;
	}
}

static size_t put_ip(uint8_t *p, int family, uint8_t proto, const uint8_t *src, const uint8_t *dst)
{
	if (family == AF_INET6) {
		p[0] = 0x60;
		p[6] = proto;
		p[7] = HOPS;
		memcpy(p + 8, src, 16);
		memcpy(p + 24, dst, 16);
		return 40;
	}
	p[0] = 0x45;
	p[8] = HOPS;
	p[9] = proto;
	memcpy(p + 12, src, 4);
	memcpy(p + 16, dst, 4);
	return 20;
}

size_t switch_frame_make(const struct switch_frame *f, uint8_t out[SWITCH_FRAME_MAX],
			 struct error *e)
{
	uint8_t src[16], dst[16];
	uint64_t proto, sport, dport, vlan;
	size_t at = 12;
	int family;

	memset(out, 0, SWITCH_FRAME_MAX);
	if (!read_addresses(f, src, dst, &family, e) ||
	    !read_mac("--src-mac", f->src_mac, out + 6, e) ||
	    !read_mac("--dst-mac", f->dst_mac, out, e) ||
	    !read_proto(f->proto, family, &proto, e) ||
	    !read_number("--sport", f->sport, 1024, UINT16_MAX, &sport, e) ||
	    !read_number("--dport", f->dport, 80, UINT16_MAX, &dport, e) ||
	    !read_number("--vlan", f->vlan, 0, 4094, &vlan, e)) {
		return 0;
	}
	if (f->vlan != NULL) {
		put16(out + at, 0x8100);
		put16(out + at + 2, (uint32_t)vlan);
		at += 4;
	}
	put16(out + at, family == AF_INET ? 0x0800 : 0x86dd);
	uint8_t *ip = out + at + 2;
	size_t header = put_ip(ip, family, (uint8_t)proto, src, dst);
	size_t size = put_l4(ip + header, (uint8_t)proto, (uint16_t)sport, (uint16_t)dport);
	if (family == AF_INET) {
		put16(ip + 2, (uint32_t)(header + size));
		put16(ip + 10, ip_sum(ip, header));
	} else {
		put16(ip + 4, (uint32_t)size);
	}
	return at + 2 + header + size;
}
