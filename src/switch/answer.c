/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/answer.h"

#include <stdbool.h>
#include <string.h>

#include "base/macro.h"
#include "switch/dhcp.h"
#include "switch/frame_make.h"

enum {
	QUOTE4 = 28,   /* of the packet an ICMP error is about: header and 8 bytes, RFC 792 */
	QUOTE6 = 1200, /* as much as fits into the minimum MTU, RFC 4443 §3 */
};

static struct address end_of(const struct packet *p, bool is_source)
{
	struct address a = { .ip = p->key.ip };
	const uint8_t *ip = p->data + p->l3;

	if (a.ip == 4) {
		memcpy(a.bytes, ip + (is_source ? 12 : 16), 4);
	} else {
		memcpy(a.bytes, ip + (is_source ? 8 : 24), 16);
	}
	return a;
}

/* ---- neighbours ---- */

static size_t answer_arp(const struct packet *p, const uint8_t *mac, uint8_t *out)
{
	const uint8_t *ask = p->data + p->l3;
	uint8_t *arp = out + FRAME_ETHER;

	frame_put_ether(out, ask + 8, mac, 0x0806);
	memcpy(arp, ask, 6);
	frame_put16(arp + 6, 2);
	memcpy(arp + 8, mac, 6);
	memcpy(arp + 14, ask + 24, 4);
	memcpy(arp + 18, ask + 8, 10);
	return FRAME_ETHER + 28;
}

/* RFC 4861 §4.4; to all nodes where who asks has no address yet. */
static size_t answer_advertise(const struct packet *p, const uint8_t *mac, uint8_t *out)
{
	struct address target = { .ip = 6 }, to = end_of(p, true);
	static const struct address none = { .ip = 6 };
	static const struct address all = { .bytes = { 0xff, 2, [15] = 1 }, .ip = 6 };
	bool is_solicited = memcmp(to.bytes, none.bytes, 16) != 0;

	memcpy(target.bytes, p->data + p->l4 + 8, 16);
	frame_put_ether(out, is_solicited ? p->data + 6 : (const uint8_t *)"\x33\x33\0\0\0\1", mac,
			0x86dd);
	to = is_solicited ? to : all;
	uint8_t *icmp = frame_put_ip(out, &target, &to, 58, 32, 255);
	memset(icmp, 0, 8);
	icmp[0] = 136;
	icmp[4] = is_solicited ? 0x60 : 0x20;
	memcpy(icmp + 8, target.bytes, 16);
	icmp[24] = 2;
	icmp[25] = 1;
	memcpy(icmp + 26, mac, 6);
	frame_put16(icmp + 2,
		    frame_fold(frame_sum_of(icmp, 32) + frame_pseudo_sum(&target, &to, 58, 32)));
	return FRAME_ETHER + 40 + 32;
}

static size_t answer_neighbor(const struct packet *p, const uint8_t *mac, uint8_t *out)
{
	return p->key.ip == 6 ? answer_advertise(p, mac, out) : answer_arp(p, mac, out);
}

size_t answer_ask(const uint8_t own_mac[6], const struct address *own, const struct address *target,
		  uint8_t out[ANSWER_SIZE_MAX])
{
	if (target->ip == 4) {
		uint8_t *arp = out + FRAME_ETHER;
		frame_put_ether(out, (const uint8_t *)"\xff\xff\xff\xff\xff\xff", own_mac, 0x0806);
		memcpy(arp, "\0\1\x08\0\6\4\0\1", 8);
		memcpy(arp + 8, own_mac, 6);
		memcpy(arp + 14, own->bytes, 4);
		memset(arp + 18, 0, 6);
		memcpy(arp + 24, target->bytes, 4);
		return FRAME_ETHER + 28;
	}
	/* Solicited-node multicast address: RFC 4291 §2.7.1, RFC 2464 §7. */
	struct address group = { .bytes = { 0xff, 2, [11] = 1, [12] = 0xff }, .ip = 6 };
	uint8_t mac[6] = { 0x33, 0x33, 0xff };
	memcpy(group.bytes + 13, target->bytes + 13, 3);
	memcpy(mac + 3, target->bytes + 13, 3);
	frame_put_ether(out, mac, own_mac, 0x86dd);
	uint8_t *icmp = frame_put_ip(out, own, &group, 58, 32, 255);
	memset(icmp, 0, 8);
	icmp[0] = 135;
	memcpy(icmp + 8, target->bytes, 16);
	icmp[24] = 1;
	icmp[25] = 1;
	memcpy(icmp + 26, own_mac, 6);
	frame_put16(icmp + 2,
		    frame_fold(frame_sum_of(icmp, 32) + frame_pseudo_sum(own, &group, 58, 32)));
	return FRAME_ETHER + 40 + 32;
}

/* ---- ICMP ---- */

static size_t answer_echo(const struct packet *p, const uint8_t *mac, uint8_t *out)
{
	struct address from = end_of(p, false), to = end_of(p, true);
	size_t size = (size_t)p->l3 + p->l3_size - p->l4;

	if (p->head < p->l4 + size || size > ANSWER_SIZE_MAX - 60 ||
	    (p->flags & PACKET_FRAGMENT) != 0) {
		return 0;
	}
	frame_put_ether(out, p->data + 6, mac, p->ether_type);
	uint8_t *icmp = frame_put_ip(out, &from, &to, p->key.proto, size, FRAME_TTL);
	memcpy(icmp, p->data + p->l4, size);
	icmp[0] = p->key.ip == 4 ? 0 : 129;
	frame_put16(icmp + 2, 0);
	frame_put16(icmp + 2,
		    frame_fold(frame_sum_of(icmp, size) +
			       (p->key.ip == 4 ? 0 : frame_pseudo_sum(&from, &to, 58, size))));
	return (size_t)(icmp - out) + size;
}

/* May there be an error about this packet? */
static bool may_be_told(const struct packet *p)
{
	struct address from = end_of(p, true), to = end_of(p, false);
	static const uint8_t zero[16];
	bool to_group = (p->flags & PACKET_MULTICAST) != 0 ||
			(to.ip == 4 ? to.bytes[0] >= 224 : to.bytes[0] == 0xff);

	return (p->flags & (PACKET_ICMP_ERROR | PACKET_RA | PACKET_LATER)) == 0 && !to_group &&
	       memcmp(from.bytes, zero, from.ip == 4 ? 4 : 16) != 0;
}

/* Type and code by family. */
static void error_type(enum fate_answer what, uint8_t ip, uint8_t *type, uint8_t *code)
{
	*type = ip == 4 ? 3 : 1;
	*code = 0;
	if (what == ANSWER_TTL) {
		*type = ip == 4 ? 11 : 3;
	} else if (what == ANSWER_TOO_BIG) {
		*type = ip == 4 ? 3 : 2;
		*code = ip == 4 ? 4 : 0;
	} else if (what == ANSWER_PROHIBITED) {
		*code = ip == 4 ? 13 : 1;
	}
}

static size_t answer_error(const struct packet *p, const struct fate *fate, const uint8_t *mac,
			   const struct address *own, uint8_t *out)
{
	struct address from = own->ip == p->key.ip ? *own : end_of(p, false);
	struct address to = end_of(p, true);
	size_t quote = MIN((size_t)p->head - p->l3, (size_t)p->l3_size);
	uint8_t type, code;

	quote = MIN(quote, (size_t)(p->key.ip == 4 ? QUOTE4 + (p->l4 - p->l3 - 20) : QUOTE6));
	error_type(fate->answer, p->key.ip, &type, &code);
	frame_put_ether(out, p->data + 6, mac, p->ether_type);
	uint8_t *icmp =
		frame_put_ip(out, &from, &to, p->key.ip == 4 ? 1 : 58, 8 + quote, FRAME_TTL);
	memset(icmp, 0, 8);
	icmp[0] = type;
	icmp[1] = code;
	if (fate->answer == ANSWER_TOO_BIG) {
		frame_put16(icmp + 6, fate->answer_mtu);
	}
	memcpy(icmp + 8, p->data + p->l3, quote);
	frame_put16(icmp + 2,
		    frame_fold(frame_sum_of(icmp, 8 + quote) +
			       (p->key.ip == 4 ? 0 : frame_pseudo_sum(&from, &to, 58, 8 + quote))));
	return (size_t)(icmp - out) + 8 + quote;
}

/* RFC 9293 §3.10.7.1: as if nobody listened. */
static size_t answer_rst(const struct packet *p, uint8_t *out)
{
	const uint8_t *t = p->data + p->l4;
	struct address from = end_of(p, false), to = end_of(p, true);
	bool has_ack = (p->tcp_flags & 16) != 0;

	if ((p->tcp_flags & 4) != 0) {
		return 0;
	}
	frame_put_ether(out, p->data + 6, p->data, p->ether_type);
	uint8_t *r = frame_put_ip(out, &from, &to, 6, 20, FRAME_TTL);
	memset(r, 0, 20);
	memcpy(r, t + 2, 2);
	memcpy(r + 2, t, 2);
	uint32_t length = (uint32_t)p->l3 + p->l3_size - p->payload + ((p->tcp_flags & 2) != 0) +
			  (p->tcp_flags & 1);
	if (has_ack) {
		memcpy(r + 4, t + 8, 4);
	} else {
		frame_put32(r + 8, frame_get32(t + 4) + length);
	}
	r[12] = 0x50;
	r[13] = has_ack ? 4 : 20;
	frame_put16(r + 16, frame_fold(frame_sum_of(r, 20) + frame_pseudo_sum(&from, &to, 6, 20)));
	return (size_t)(r - out) + 20;
}

size_t answer_make(const struct packet *p, const struct fate *fate, const uint8_t own_mac[6],
		   const struct address *own, uint8_t out[ANSWER_SIZE_MAX])
{
	const uint8_t *mac = own_mac != NULL ? own_mac : p->data;

	switch (fate->answer) {
	case ANSWER_NONE:
		return 0;
	case ANSWER_NEIGHBOR:
		return answer_neighbor(p, fate->answer_mac, out);
	case ANSWER_ECHO:
		return answer_echo(p, mac, out);
	case ANSWER_DHCP:
		return dhcp_answer(p, &fate->lease, mac, out, ANSWER_SIZE_MAX);
	case ANSWER_RST:
		return may_be_told(p) ? answer_rst(p, out) : 0;
	case ANSWER_TTL:
	case ANSWER_NO_ROUTE:
	case ANSWER_TOO_BIG:
	case ANSWER_PROHIBITED:
		break;
	}
	return may_be_told(p) ? answer_error(p, fate, mac, own, out) : 0;
}

size_t answer_reverse(const uint8_t mac[6], uint8_t out[ANSWER_SIZE_MAX])
{
	memset(out, 0, 60);
	memset(out, 0xff, 6);
	memcpy(out + 6, mac, 6);
	memcpy(out + 12, "\x80\x35\0\1\x08\0\6\4\0\3", 10);
	memcpy(out + 22, mac, 6);
	memcpy(out + 32, mac, 6);
	return 60;
}
