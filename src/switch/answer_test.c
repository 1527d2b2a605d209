/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/answer.h"

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/macro.h"
#include "switch/frame_test.h"

static const uint8_t own_mac[6] = { 2, 0, 0, 0, 0, 1 };
static struct packet asked, got;
static uint8_t out[ANSWER_SIZE_MAX];
static size_t out_size;

static struct address address(uint8_t ip, const uint8_t *bytes)
{
	struct address a = { .ip = ip };

	memcpy(a.bytes, bytes, ip == 4 ? 4 : 16);
	return a;
}

/* The answer to the frame at hand, by a router that has `own`; 0: none. */
static size_t answer(enum fate_answer what, const struct address *own)
{
	static const struct address none = { 0 };
	struct fate fate = { .answer = what, .answer_mtu = 1400 };

	memcpy(fate.answer_mac, mac_b, 6);
	assert_int_equal(packet_parse(&asked, frame, (uint16_t)frame_size, frame_size, false),
			 DROP_NONE);
	memset(out, 0xee, sizeof(out));
	out_size = answer_make(&asked, &fate, own_mac, own != NULL ? own : &none, out);
	assert_true(out_size <= ANSWER_SIZE_MAX);
	return out_size;
}

/* What was made is a good frame, from `source` to the asker, with right checksums. */
static void read_back(const uint8_t source[6])
{
	assert_true(out_size > 0);
	assert_int_equal(packet_parse(&got, out, (uint16_t)out_size, (uint32_t)out_size, false),
			 DROP_NONE);
	assert_memory_equal(out, frame + 6, 6);
	assert_memory_equal(out + 6, source, 6);
	assert_int_equal(got.vlan, PACKET_NO_VLAN);
	if (got.key.ip == 0) {
		return;
	}
	assert_int_equal(got.l3 + got.l3_size, out_size);
	if (got.key.proto == 1) { /* no pseudo header */
		assert_int_equal(ones_sum(out + got.l4, out_size - got.l4, 0), 0xffff);
	} else {
		assert_int_equal(l4_sum(out, got.key.proto), 0xffff);
	}
}

static void udp(uint8_t ip, uint32_t n)
{
	if (ip == 4) {
		make_ip4(17, 8 + n);
		put_udp(L4_IP4, 8 + n);
	} else {
		make_ip6(17, 8 + n);
		put_udp(L4_IP6, 8 + n);
	}
	for (uint32_t i = 0; i < n; i++) {
		frame[frame_size - 1 - i] = (uint8_t)(i * 7);
	}
}

/* ---- neighbours ---- */

static void arp_is_answered(void **state)
{
	struct packet_neighbor n;

	(void)state;
	struct address own = address(4, ip4_a), target = address(4, ip4_b);
	frame_size = (uint32_t)answer_ask(mac_a, &own, &target, frame);
	assert_int_equal(frame_size, 42);
	answer(ANSWER_NEIGHBOR, NULL);
	assert_true(packet_neighbor(&asked, &n) && n.is_request);
	assert_memory_equal(n.mac, mac_a, 6);
	assert_memory_equal(n.sender, ip4_a, 4);
	assert_memory_equal(n.target, ip4_b, 4);
	assert_memory_equal(frame, "\xff\xff\xff\xff\xff\xff", 6);
	read_back(mac_b);
	assert_true(packet_neighbor(&got, &n) && !n.is_request);
	assert_memory_equal(n.mac, mac_b, 6);
	assert_memory_equal(n.sender, ip4_b, 4);
	assert_memory_equal(n.target, ip4_a, 4);
	assert_memory_equal(out + 32, mac_a, 6);
}

static void solicitations_are_answered(void **state)
{
	static const uint8_t group[16] = { 0xff, 2, [11] = 1, [12] = 0xff, [15] = 2 };
	struct packet_neighbor n;

	(void)state;
	struct address own = address(6, ip6_a), target = address(6, ip6_b);
	frame_size = (uint32_t)answer_ask(mac_a, &own, &target, frame);
	assert_int_equal(frame_size, 86);
	assert_int_equal(l4_sum(frame, 58), 0xffff);
	assert_memory_equal(frame, "\x33\x33\xff\0\0\2", 6);
	assert_memory_equal(frame + 38, group, 16);
	answer(ANSWER_NEIGHBOR, NULL);
	assert_true(packet_neighbor(&asked, &n) && n.is_request);
	assert_memory_equal(n.mac, mac_a, 6);
	assert_memory_equal(n.target, ip6_b, 16);
	read_back(mac_b);
	assert_true(packet_neighbor(&got, &n) && !n.is_request);
	assert_memory_equal(n.mac, mac_b, 6);
	assert_memory_equal(n.sender, ip6_b, 16);
	assert_memory_equal(out + 22, ip6_b, 16);
	assert_memory_equal(out + 38, ip6_a, 16);
	assert_int_equal(out[got.l4 + 4], 0x60); /* solicited, override */
}

/* RFC 4861 §7.2.4: duplicate address detection is answered to all nodes. */
static void those_without_address_are_answered(void **state)
{
	static const uint8_t all[16] = { 0xff, 2, [15] = 1 };

	(void)state;
	struct address own = { .ip = 6 }, target = address(6, ip6_b);
	frame_size = (uint32_t)answer_ask(mac_a, &own, &target, frame);
	answer(ANSWER_NEIGHBOR, NULL);
	assert_int_equal(packet_parse(&got, out, (uint16_t)out_size, (uint32_t)out_size, false),
			 DROP_NONE);
	assert_memory_equal(out, "\x33\x33\0\0\0\1", 6);
	assert_memory_equal(out + 38, all, 16);
	assert_int_equal(out[got.l4 + 4], 0x20);
	assert_int_equal(l4_sum(out, 58), 0xffff);
}

/* ---- echo ---- */

static void ask_echo(uint8_t ip, uint32_t n)
{
	udp(ip, n);
	uint32_t l4 = ip == 4 ? L4_IP4 : L4_IP6;
	frame[ip == 4 ? 23 : 20] = ip == 4 ? 1 : 58;
	memset(frame + l4, 0, 8);
	put_icmp(l4, ip == 4 ? 8 : 128, 0, 77);
	if (ip == 4) {
		ip4_seal();
	}
}

static void echoes_are_answered(void **state)
{
	(void)state;
	for (uint8_t ip = 4; ip <= 6; ip += 2) {
		for (uint32_t n = 0; n < 60; n += 19) { /* odd sizes too */
			ask_echo(ip, n);
			answer(ANSWER_ECHO, NULL);
			read_back(own_mac);
			struct flow_key back = flow_key_reverse(&asked.key, 0);
			assert_true(flow_key_equal(&back, &got.key));
			assert_int_equal(got.flags, PACKET_REPLY);
			assert_int_equal(out_size, frame_size);
			assert_memory_equal(out + got.payload, frame + asked.payload, n);
		}
	}
}

static void options_are_not_sent_back(void **state)
{
	(void)state;
	make_ip4(1, 12);
	frame[L3] = 0x46;
	memset(frame + L4_IP4, 1, 4);
	put_icmp(L4_IP4 + 4, 8, 0, 77);
	ip4_seal();
	answer(ANSWER_ECHO, NULL);
	read_back(own_mac);
	assert_int_equal(out_size, frame_size - 4);
}

static void echoes_too_big_are_not_answered(void **state)
{
	(void)state;
	ask_echo(4, ANSWER_SIZE_MAX - 60 - 7);
	assert_int_equal(answer(ANSWER_ECHO, NULL), 0);
	ask_echo(4, ANSWER_SIZE_MAX - 60 - 8);
	answer(ANSWER_ECHO, NULL);
	read_back(own_mac);
	ask_echo(4, 64);
	set16(20, 0x2000);
	ip4_seal();
	assert_int_equal(answer(ANSWER_ECHO, NULL), 0);
}

/* ---- ICMP errors ---- */

static const struct {
	enum fate_answer what;
	uint8_t type4, code4, type6, code6;
} errors[] = {
	{ ANSWER_TTL, 11, 0, 3, 0 },
	{ ANSWER_NO_ROUTE, 3, 0, 1, 0 },
	{ ANSWER_TOO_BIG, 3, 4, 2, 0 },
	{ ANSWER_PROHIBITED, 3, 13, 1, 1 },
};

static void errors_say_what_happened(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		for (uint8_t ip = 4; ip <= 6; ip += 2) {
			struct address own = ip == 4 ? address(4, (uint8_t[4]){ 10, 0, 0, 254 })
						     : address(6, (uint8_t[16]){ 0xfd, [15] = 9 });
			udp(ip, 33);
			answer(errors[i].what, &own);
			read_back(own_mac);
			assert_int_equal(got.flags, PACKET_ICMP_ERROR);
			assert_int_equal(out[got.l4], ip == 4 ? errors[i].type4 : errors[i].type6);
			assert_int_equal(out[got.l4 + 1],
					 ip == 4 ? errors[i].code4 : errors[i].code6);
			assert_int_equal(out[got.l4 + 6] << 8 | out[got.l4 + 7],
					 errors[i].what == ANSWER_TOO_BIG ? 1400 : 0);
			assert_true(flow_key_equal(&got.inner, &asked.key));
			assert_memory_equal(out + (ip == 4 ? 26 : 22), own.bytes, ip == 4 ? 4 : 16);
			assert_int_equal(got.key.dst, asked.key.src);
		}
	}
}

/* RFC 792: header and 8 bytes; RFC 4443 §2.4 (c): what fits into 1,280 bytes. */
static void errors_quote_enough(void **state)
{
	(void)state;
	udp(4, 1000);
	assert_int_equal(answer(ANSWER_TTL, NULL), L4_IP4 + 8 + 28);
	assert_memory_equal(out + L4_IP4 + 8, frame + L3, 28);
	udp(6, 1400);
	answer(ANSWER_TTL, NULL);
	read_back(own_mac);
	assert_true(out_size - L3 <= 1280);
	udp(6, 1);
	assert_int_equal(answer(ANSWER_TTL, NULL), L4_IP6 + 8 + 49);
	make_ip4(17, 16);
	frame[L3] = 0x46;
	memset(frame + L4_IP4, 1, 4);
	put_udp(L4_IP4 + 4, 12);
	ip4_seal();
	assert_int_equal(answer(ANSWER_TTL, NULL), L4_IP4 + 8 + 32);
	udp(4, 0); /* padding is not quoted */
	frame_size = 60;
	assert_int_equal(answer(ANSWER_TTL, NULL), L4_IP4 + 8 + 28);
}

static void without_an_own_address_errors_come_from_the_target(void **state)
{
	(void)state;
	struct address other = address(6, ip6_a);
	udp(4, 0);
	answer(ANSWER_PROHIBITED, &other);
	read_back(own_mac);
	assert_int_equal(got.key.src, asked.key.dst);
}

static void nothing(const char *about)
{
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		if (answer(errors[i].what, NULL) != 0) {
			fail_msg("an error about %s", about);
		}
	}
}

/* RFC 1122 §3.2.2, RFC 4443 §2.4 (e). */
static void there_are_no_errors_about_some(void **state)
{
	(void)state;
	udp(4, 0);
	frame[30] = 224;
	ip4_seal();
	nothing("a group");
	udp(4, 0);
	frame[0] = 0xff;
	nothing("a broadcast");
	udp(6, 0);
	frame[38] = 0xff;
	nothing("a group");
	udp(4, 0);
	memset(frame + 26, 0, 4);
	ip4_seal();
	nothing("nobody's packet");
	udp(6, 0);
	memset(frame + 22, 0, 16);
	nothing("nobody's packet");
	udp(4, 16);
	set16(20, 4);
	ip4_seal();
	nothing("a later fragment");
	make_ip4(1, 36);
	put_icmp(L4_IP4, 3, 0, 0);
	nothing("an error");
	make_ip6(58, 56);
	put_icmp(L4_IP6, 1, 0, 0);
	nothing("an error");
	make_ip4(1, 36);
	put_icmp(L4_IP4, 5, 0, 0);
	nothing("a redirect");
	make_ip6(58, 40);
	frame[21] = 255;
	put_icmp(L4_IP6, 137, 0, 0);
	nothing("a redirect");
}

/* ---- RST ---- */

static void segment(uint8_t ip, uint8_t flags, uint32_t n)
{
	uint32_t l4 = ip == 4 ? L4_IP4 : L4_IP6;

	if (ip == 4) {
		make_ip4(6, 20 + n);
	} else {
		make_ip6(6, 20 + n);
	}
	put_tcp(l4, flags);
	memcpy(frame + l4 + 4, "\xff\xff\xff\xf0\x01\x02\x03\x04", 8);
}

static void resets_are_believed(void **state)
{
	enum {
		FIN = 1,
		SYN = 2,
		ACK = 16
	};
	static const struct {
		uint8_t flags;
		uint32_t n;
		const char *seq, *ack;
		uint8_t out;
	} t[] = {
		{ SYN, 0, "\0\0\0\0", "\xff\xff\xff\xf1", 20 },
		{ SYN, 20, "\0\0\0\0", "\0\0\0\5", 20 }, /* around zero */
		{ ACK, 7, "\1\2\3\4", "\0\0\0\0", 4 },
		{ SYN | ACK, 0, "\1\2\3\4", "\0\0\0\0", 4 },
		{ FIN | ACK, 3, "\1\2\3\4", "\0\0\0\0", 4 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		for (uint8_t ip = 4; ip <= 6; ip += 2) {
			segment(ip, t[i].flags, t[i].n);
			answer(ANSWER_RST, NULL);
			read_back(mac_b); /* in the other guest's name */
			struct flow_key back = flow_key_reverse(&asked.key, 0);
			assert_true(flow_key_equal(&back, &got.key));
			assert_memory_equal(out + got.l4 + 4, t[i].seq, 4);
			assert_memory_equal(out + got.l4 + 8, t[i].ack, 4);
			assert_int_equal(got.tcp_flags, t[i].out);
			assert_int_equal(got.payload, out_size);
		}
	}
}

static void resets_are_not_reset(void **state)
{
	(void)state;
	segment(4, 4, 0);
	assert_int_equal(answer(ANSWER_RST, NULL), 0);
	segment(4, 20, 0);
	assert_int_equal(answer(ANSWER_RST, NULL), 0);
	segment(4, 2, 0);
	frame[30] = 224;
	ip4_seal();
	assert_int_equal(answer(ANSWER_RST, NULL), 0);
	assert_int_equal(answer(ANSWER_NONE, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arp_is_answered),
		cmocka_unit_test(solicitations_are_answered),
		cmocka_unit_test(those_without_address_are_answered),
		cmocka_unit_test(echoes_are_answered),
		cmocka_unit_test(options_are_not_sent_back),
		cmocka_unit_test(echoes_too_big_are_not_answered),
		cmocka_unit_test(errors_say_what_happened),
		cmocka_unit_test(errors_quote_enough),
		cmocka_unit_test(without_an_own_address_errors_come_from_the_target),
		cmocka_unit_test(there_are_no_errors_about_some),
		cmocka_unit_test(resets_are_believed),
		cmocka_unit_test(resets_are_not_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
