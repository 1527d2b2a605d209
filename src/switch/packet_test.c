/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/packet.h"

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/macro.h"
#include "switch/frame_test.h"

static struct packet p;

static enum drop_reason parse(void)
{
	return packet_parse(&p, frame, (uint16_t)frame_size, frame_size, false);
}

static void want(enum drop_reason reason)
{
	assert_string_equal(drop_reason_name(parse()), drop_reason_name(reason));
}

static void tcp4(uint8_t flags)
{
	make_ip4(6, 20);
	put_tcp(L4_IP4, flags);
}

static void udp4(uint32_t n)
{
	make_ip4(17, 8 + n);
	put_udp(L4_IP4, 8 + n);
}

static void udp6(uint32_t n)
{
	make_ip6(17, 8 + n);
	put_udp(L4_IP6, 8 + n);
}

/* ---- the frame ---- */

/* Every frame is good, and cut anywhere it is no good; memory of just that size shows looks
 * beyond. */
static void cut_everywhere(void)
{
	want(DROP_NONE);
	for (uint32_t n = 0; n < frame_size; n++) {
		uint8_t *cut = malloc(n + 1);
		memcpy(cut, frame, n);
		assert_int_not_equal(packet_parse(&p, cut, (uint16_t)n, n, false), DROP_NONE);
		free(cut);
	}
}

static void cut_frames_are_dropped(void **state)
{
	(void)state;
	tcp4(2);
	cut_everywhere();
	udp4(4);
	cut_everywhere();
	udp6(4);
	cut_everywhere();
	make_ip4(1, 8);
	put_icmp(L4_IP4, 8, 0, 7);
	cut_everywhere();
	make_ip4(132, 12);
	cut_everywhere();
	make_ip6(0, 16);
	frame[L4_IP6] = 17;
	put_udp(L4_IP6 + 8, 8);
	cut_everywhere();
}

static void headers_lie_in_what_is_at_hand(void **state)
{
	(void)state;
	udp4(1000);
	assert_int_equal(packet_parse(&p, frame, L4_IP4 + 8, frame_size, false), DROP_NONE);
	assert_int_equal(p.payload, L4_IP4 + 8);
	assert_int_equal(packet_parse(&p, frame, L4_IP4 + 7, frame_size, false), DROP_SHORT);
	assert_int_equal(packet_parse(&p, frame, 100, 99, false), DROP_SHORT);
}

static void padding_is_not_the_packet(void **state)
{
	(void)state;
	tcp4(2);
	frame_size = 60;
	want(DROP_NONE);
	assert_int_equal(p.l3_size, 40);
}

static void tags_are_read(void **state)
{
	(void)state;
	udp4(0);
	want(DROP_NONE);
	assert_int_equal(p.vlan, PACKET_NO_VLAN);
	put_tag(0x8100, 0xe123); /* priority bits are no identifier */
	want(DROP_NONE);
	assert_int_equal(p.vlan, 0x123);
	assert_int_equal(p.l3, 18);
	assert_int_equal(p.ether_type, 0x0800);
	put_tag(0x8100, 5);
	want(DROP_VLAN);
	udp4(0);
	put_tag(0x88a8, 5);
	want(DROP_VLAN);
	frame_size = 17;
	want(DROP_SHORT);
}

static void stations_do_not_send_from_groups(void **state)
{
	(void)state;
	udp4(0);
	frame[6] |= 1;
	want(DROP_GUARD_MAC);
	udp4(0);
	memset(frame, 0xff, 6);
	want(DROP_NONE);
	assert_int_equal(p.flags, PACKET_MULTICAST);
}

/* ---- IPv4 ---- */

static void ip4_headers_are_verified(void **state)
{
	(void)state;
	static const uint8_t first[] = { 0x55, 0x65, 0x44, 0x05 };
	for (size_t i = 0; i < ARRAY_LEN(first); i++) {
		udp4(20);
		frame[L3] = first[i];
		want(DROP_IP_HEADER);
	}
	udp4(0);
	frame[25] ^= 1;
	want(DROP_IP_HEADER);
	assert_int_equal(packet_parse(&p, frame, (uint16_t)frame_size, frame_size, true),
			 DROP_NONE);
}

static void ip4_lengths_are_verified(void **state)
{
	(void)state;
	udp4(0);
	set16(16, 29);
	ip4_seal();
	want(DROP_LENGTH);
	set16(16, 19);
	ip4_seal();
	want(DROP_LENGTH);
	set16(16, 27); /* UDP's header does not fit */
	ip4_seal();
	want(DROP_SHORT);
}

static void ip4_sources_are_possible(void **state)
{
	(void)state;
	static const struct {
		uint8_t first;
		enum drop_reason reason;
	} t[] = { { 0, DROP_NONE },	    { 126, DROP_NONE },	     { 127, DROP_IP_ADDRESS },
		  { 128, DROP_NONE },	    { 223, DROP_NONE },	     { 224, DROP_IP_ADDRESS },
		  { 240, DROP_IP_ADDRESS }, { 255, DROP_IP_ADDRESS } };
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		udp4(0);
		frame[26] = t[i].first;
		ip4_seal();
		want(t[i].reason);
	}
}

static void option(const uint8_t bytes[8], enum drop_reason reason)
{
	make_ip4(17, 16);
	frame[L3] = 0x47;
	memcpy(frame + L4_IP4, bytes, 8);
	put_udp(L4_IP4 + 8, 8);
	ip4_seal();
	want(reason);
}

static void ip4_options_are_judged(void **state)
{
	(void)state;
	option((const uint8_t[8]){ 1, 1, 0x94, 4, 0, 0, 0, 0 }, DROP_NONE); /* router alert */
	assert_int_equal(p.l4, L4_IP4 + 8);
	assert_int_equal(be16toh(p.key.dport), 80);
	option((const uint8_t[8]){ 7, 8 }, DROP_NONE);
	option((const uint8_t[8]){ 0, 131, 3 }, DROP_NONE); /* behind the end */
	option((const uint8_t[8]){ 131, 3, 4 }, DROP_IP_OPTION);
	option((const uint8_t[8]){ 1, 137, 3, 4 }, DROP_IP_OPTION);
	option((const uint8_t[8]){ 7, 9 }, DROP_IP_OPTION);
	option((const uint8_t[8]){ 7, 1 }, DROP_IP_OPTION);
	option((const uint8_t[8]){ 7, 0 }, DROP_IP_OPTION);
	option((const uint8_t[8]){ 1, 1, 1, 1, 1, 1, 1, 7 }, DROP_IP_OPTION);
}

/* ---- fragments ---- */

static void fragment4(uint8_t proto, uint16_t field, uint32_t n, enum drop_reason reason)
{
	make_ip4(proto, n);
	put_udp(L4_IP4, 500);
	set16(18, 0xbeef);
	set16(20, field);
	ip4_seal();
	want(reason);
}

static void ip4_fragments_are_placed(void **state)
{
	(void)state;
	fragment4(17, 0x2000, 16, DROP_NONE);
	assert_int_equal(p.flags, PACKET_FRAGMENT);
	assert_int_equal(be16toh(p.key.dport), 80);
	assert_false(p.fragment_is_last);
	fragment4(17, 0x2001, 16, DROP_NONE);
	assert_int_equal(p.flags, PACKET_FRAGMENT | PACKET_LATER);
	assert_int_equal(p.key.dport, 0);
	assert_int_equal(p.fragment_at, 8);
	assert_int_equal(p.fragment_id, 0xbeef);
	fragment4(17, 0x0002, 3, DROP_NONE);
	assert_true(p.fragment_is_last);
}

static void evil_fragments_are_dropped(void **state)
{
	(void)state;
	fragment4(17, 0x2000, 15, DROP_FRAGMENT); /* no multiple of 8 */
	fragment4(17, 0x0001, 0, DROP_FRAGMENT);
	fragment4(17, 0x1fff, 8, DROP_FRAGMENT); /* RFC 791: beyond 65,535 bytes */
	fragment4(6, 0x2000, 16, DROP_FRAGMENT); /* RFC 1858: half of a TCP header */
	fragment4(6, 0x2001, 16, DROP_FRAGMENT); /* over the flags; RFC 3128 */
	fragment4(6, 0x2002, 16, DROP_FRAGMENT);
	fragment4(6, 0x2003, 16, DROP_NONE);
}

static void fragment6(uint8_t proto, uint16_t field, uint32_t n, enum drop_reason reason)
{
	make_ip6(44, 8 + n);
	frame[L4_IP6] = proto;
	set16(L4_IP6 + 2, field);
	put_udp(L4_IP6 + 8, n);
	want(reason);
}

static void ip6_fragments_are_placed(void **state)
{
	(void)state;
	fragment6(17, 0, 8, DROP_NONE); /* RFC 6946: all in one */
	assert_int_equal(p.flags, 0);
	assert_int_equal(p.l4, L4_IP6 + 8);
	fragment6(17, 1, 16, DROP_NONE);
	assert_int_equal(p.flags, PACKET_FRAGMENT);
	assert_int_equal(be16toh(p.key.sport), 1000);
	fragment6(17, 8, 5, DROP_NONE);
	assert_int_equal(p.flags, PACKET_FRAGMENT | PACKET_LATER);
	assert_int_equal(p.key.proto, 17);
	assert_int_equal(p.key.sport, 0);
	fragment6(17, 1, 15, DROP_FRAGMENT);
	fragment6(17, 0xfff8, 16, DROP_FRAGMENT);
	make_ip6(44, 24); /* a fragment of a fragment */
	frame[L4_IP6] = 44;
	set16(L4_IP6 + 2, 1);
	frame[L4_IP6 + 8] = 17;
	set16(L4_IP6 + 10, 1);
	want(DROP_FRAGMENT);
}

/* ---- IPv6 ---- */

static void ip6_headers_are_verified(void **state)
{
	(void)state;
	udp6(0);
	frame[L3] = 0x40;
	want(DROP_IP_HEADER);
	udp6(0);
	set16(18, 9);
	want(DROP_LENGTH);
	udp6(0);
	frame[22] = 0xff;
	want(DROP_IP_ADDRESS);
	udp6(0);
	memset(frame + 22, 0, 15); /* ::1, RFC 4291 §2.5.3 */
	want(DROP_IP_ADDRESS);
	frame[37] = 0;
	want(DROP_NONE);
	make_ip6(0, 16); /* a jumbogram: RFC 2675 */
	set16(18, 0);
	want(DROP_SHORT);
}

/* A chain of n headers of eight bytes of that type before UDP. */
static void chain6(uint8_t type, uint32_t n, enum drop_reason reason)
{
	make_ip6(type, 8 * n + 8);
	for (uint32_t i = 0; i < n; i++) {
		frame[L4_IP6 + 8 * i] = i + 1 < n ? type : 17;
	}
	put_udp(L4_IP6 + 8 * n, 8);
	want(reason);
}

static void ip6_extensions_are_walked(void **state)
{
	(void)state;
	chain6(60, PACKET_EXTENSIONS_MAX, DROP_NONE);
	assert_int_equal(p.key.proto, 17);
	assert_int_equal(be16toh(p.key.dport), 80);
	chain6(60, PACKET_EXTENSIONS_MAX + 1, DROP_IP6_EXTENSION);
	chain6(0, 1, DROP_NONE);
	chain6(0, 2, DROP_IP6_EXTENSION);  /* hop by hop, but not first */
	chain6(43, 1, DROP_IP6_EXTENSION); /* RFC 5095 */
	chain6(51, 1, DROP_NONE);
	chain6(60, 1, DROP_NONE);
	frame[L4_IP6 + 1] = 1; /* takes in all there is: no UDP left */
	want(DROP_SHORT);
	frame[L4_IP6 + 1] = 2;
	want(DROP_LENGTH);
	make_ip6(59, 0); /* no next header */
	want(DROP_NONE);
}

/* ---- layer 4 ---- */

static void tcp_flags_are_possible(void **state)
{
	(void)state;
	for (unsigned flags = 0; flags < 64; flags++) {
		bool syn = flags & 2, fin = flags & 1, rst = flags & 4, ack = flags & 16;
		bool is_good = syn ? !fin && !rst : ack || rst;
		tcp4((uint8_t)flags);
		want(is_good ? DROP_NONE : DROP_L4_HEADER);
	}
	tcp4(2);
	frame[L4_IP4 + 12] = 0x40;
	want(DROP_L4_HEADER);
	frame[L4_IP4 + 12] = 0x60; /* options behind the packet's end */
	want(DROP_L4_HEADER);
}

static void udp_lengths_are_verified(void **state)
{
	(void)state;
	udp4(4);
	set16(L4_IP4 + 4, 7);
	want(DROP_LENGTH);
	set16(L4_IP4 + 4, 13);
	want(DROP_LENGTH);
	set16(L4_IP4 + 4, 9);
	want(DROP_NONE);
}

static void families_do_not_mix(void **state)
{
	(void)state;
	make_ip4(58, 8);
	want(DROP_L4_HEADER);
	make_ip6(1, 8);
	want(DROP_L4_HEADER);
}

static void servers_answers_are_marked(void **state)
{
	(void)state;
	udp4(0);
	set16(L4_IP4, 67);
	want(DROP_NONE);
	assert_int_equal(p.flags, PACKET_DHCP_REPLY);
	set16(L4_IP4, 547);
	want(DROP_NONE);
	assert_int_equal(p.flags, 0);
	udp6(0);
	set16(L4_IP6, 547);
	want(DROP_NONE);
	assert_int_equal(p.flags, PACKET_DHCP_REPLY);
}

/* ---- ICMP ---- */

/* An echo of either family; returns its key as it comes in on interface 3. */
static struct flow_key echo(uint8_t ip, bool is_reply)
{
	make_ip4(1, 8);
	put_icmp(L4_IP4, is_reply ? 0 : 8, 0, 77);
	if (ip == 6) {
		make_ip6(58, 8);
		put_icmp(L4_IP6, is_reply ? 129 : 128, 0, 77);
	}
	if (is_reply) { /* from b to a */
		uint8_t a[16];
		uint32_t n = ip == 4 ? 4 : 16, at = ip == 4 ? 26 : 22;
		memcpy(a, frame + at, n);
		memcpy(frame + at, frame + at + n, n);
		memcpy(frame + at + n, a, n);
	}
	want(DROP_NONE);
	p.key.iface = 3;
	return p.key;
}

static void echoes_are_one_connection(void **state)
{
	(void)state;
	for (uint8_t ip = 4; ip <= 6; ip += 2) {
		struct flow_key ask = echo(ip, false);
		assert_int_equal(p.flags, 0);
		assert_int_equal(be16toh(ask.sport), 77);
		assert_int_equal(be16toh(ask.dport), (ip == 4 ? 8 : 128) << 8);
		struct flow_key answer = echo(ip, true);
		assert_int_equal(p.flags, PACKET_REPLY);
		struct flow_key back = flow_key_reverse(&ask, 3);
		assert_true(flow_key_equal(&back, &answer));
		assert_true(flow_key_hash(&back, 9) == flow_key_hash(&answer, 9));
		assert_false(flow_key_equal(&ask, &answer));
	}
}

/* Makes the frame at hand the quotation of an ICMP error from c to a; what was its key is what
 * the error must be about. */
static void error_about(uint8_t ip, uint8_t type, uint32_t n_quoted)
{
	uint8_t quoted[256];

	memcpy(quoted, frame + L3, n_quoted);
	if (ip == 4) {
		make_ip4(1, 8 + n_quoted);
		memcpy(frame + 30, ip4_a, 4);
		frame[29] = 9;
		ip4_seal();
	} else {
		make_ip6(58, 8 + n_quoted);
		memcpy(frame + 38, ip6_a, 16);
		frame[37] = 9;
	}
	uint32_t l4 = ip == 4 ? L4_IP4 : L4_IP6;
	put_icmp(l4, type, 0, 0);
	memcpy(frame + l4 + 8, quoted, n_quoted);
	want(DROP_NONE);
	assert_int_equal(p.flags, PACKET_ICMP_ERROR);
}

static void quote(uint8_t ip, uint8_t type, uint32_t n)
{
	want(DROP_NONE);
	struct flow_key key = p.key;
	error_about(ip, type, n);
	assert_int_equal(p.inner.ip, ip);
	assert_true(flow_key_equal(&key, &p.inner));
}

static void errors_name_the_connection(void **state)
{
	(void)state;
	static const uint8_t types4[] = { 3, 11, 12 }, types6[] = { 1, 2, 3, 4, 100 };
	for (size_t i = 0; i < ARRAY_LEN(types4); i++) {
		udp4(0);
		quote(4, types4[i], 28);
	}
	for (size_t i = 0; i < ARRAY_LEN(types6); i++) {
		udp6(0);
		quote(6, types6[i], 48);
	}
	tcp4(2);
	quote(4, 3, 28);
	make_ip4(132, 12);
	put_udp(L4_IP4, 0);
	quote(4, 3, 28);
	make_ip4(47, 8);
	quote(4, 3, 28);
	option((const uint8_t[8]){ 1, 1, 1, 1 }, DROP_NONE);
	quote(4, 3, 36);
}

static void errors_name_echoes(void **state)
{
	(void)state;
	for (uint8_t ip = 4; ip <= 6; ip += 2) {
		for (int is_reply = 0; is_reply < 2; is_reply++) {
			make_ip4(1, 8);
			put_icmp(L4_IP4, is_reply != 0 ? 0 : 8, 0, 77);
			if (ip == 6) {
				make_ip6(58, 8);
				put_icmp(L4_IP6, is_reply != 0 ? 129 : 128, 0, 77);
			}
			quote(ip, ip == 4 ? 3 : 1, ip == 4 ? 28 : 48);
		}
	}
	make_ip4(1, 8); /* a timestamp request: known by type and code */
	put_icmp(L4_IP4, 13, 0, 77);
	quote(4, 11, 28);
}

static void useless_quotations_name_nothing(void **state)
{
	(void)state;
	udp4(0);
	error_about(4, 3, 27);
	assert_int_equal(p.inner.ip, 0);
	udp6(0);
	error_about(6, 1, 47);
	assert_int_equal(p.inner.ip, 0);
	udp4(0);
	frame[L3] = 0x46; /* its options are missing */
	error_about(4, 3, 28);
	assert_int_equal(p.inner.ip, 0);
	udp4(0);
	frame[L3] = 0x65;
	error_about(4, 3, 28);
	assert_int_equal(p.inner.ip, 0);
	fragment4(17, 0x2002, 8, DROP_NONE);
	error_about(4, 3, 28);
	assert_int_equal(p.inner.ip, 0);
}

static void redirects_are_marked(void **state)
{
	(void)state;
	make_ip4(1, 8);
	put_icmp(L4_IP4, 5, 1, 0);
	want(DROP_NONE);
	assert_int_equal(p.flags, PACKET_RA);
}

/* ---- neighbours ---- */

static void make_arp(uint8_t operation)
{
	memset(frame, 0, sizeof(frame));
	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac_a, 6);
	set16(12, 0x0806);
	memcpy(frame + L3, (const uint8_t[6]){ 0, 1, 8, 0, 6, 4 }, 6);
	frame[21] = operation;
	memcpy(frame + 22, mac_a, 6);
	memcpy(frame + 28, ip4_a, 4);
	memcpy(frame + 38, ip4_b, 4);
	frame_size = 42;
}

static void arp_is_read(void **state)
{
	struct packet_neighbor n;

	(void)state;
	for (uint8_t operation = 0; operation < 4; operation++) {
		make_arp(operation);
		want(DROP_NONE);
		assert_int_equal(p.flags, PACKET_MULTICAST | PACKET_NEIGHBOR);
		assert_int_equal(packet_neighbor(&p, &n), operation == 1 || operation == 2);
		assert_int_equal(n.is_request, operation == 1);
		assert_int_equal(n.ip, 4);
		assert_memory_equal(n.mac, mac_a, 6);
		assert_memory_equal(n.sender, ip4_a, 4);
		assert_memory_equal(n.target, ip4_b, 4);
	}
	make_arp(1);
	cut_everywhere();
	for (uint32_t i = 0; i < 6; i++) { /* no Ethernet, no IPv4, other sizes */
		make_arp(1);
		frame[L3 + i] ^= 2;
		want(DROP_LENGTH);
	}
}

/* A solicitation or advertisement for b with `n_options` bytes of options. */
static void discovery(uint8_t type, uint32_t n_options)
{
	make_ip6(58, 24 + n_options);
	frame[21] = 255;
	frame[L4_IP6] = type;
	memcpy(frame + L4_IP6 + 8, ip6_b, 16);
	if (n_options >= 8) {
		frame[L4_IP6 + 24] = type == 135 ? 1 : 2;
		frame[L4_IP6 + 25] = 1;
		memcpy(frame + L4_IP6 + 26, mac_a, 6);
	}
}

static void discovery_is_read(void **state)
{
	struct packet_neighbor n;

	(void)state;
	discovery(135, 8);
	want(DROP_NONE);
	assert_int_equal(p.flags, PACKET_NEIGHBOR);
	assert_true(packet_neighbor(&p, &n) && n.is_request && n.ip == 6);
	assert_memory_equal(n.sender, ip6_a, 16);
	assert_memory_equal(n.target, ip6_b, 16);
	assert_memory_equal(n.mac, mac_a, 6);
	discovery(136, 8);
	want(DROP_NONE);
	assert_true(packet_neighbor(&p, &n) && !n.is_request);
	assert_memory_equal(n.sender, ip6_b, 16); /* claims its target */
	assert_memory_equal(n.mac, mac_a, 6);
	discovery(136, 0);
	want(DROP_NONE);
	assert_true(packet_neighbor(&p, &n));
	assert_memory_equal(n.mac, "\0\0\0\0\0\0", 6);
}

static void malformed_discovery_is_found(void **state)
{
	struct packet_neighbor n;

	(void)state;
	discovery(136, 8);
	frame[L4_IP6 + 25] = 0; /* RFC 4861 §4.6: an option of no length */
	want(DROP_NONE);
	assert_false(packet_neighbor(&p, &n));
	frame[L4_IP6 + 25] = 2;
	assert_false(packet_neighbor(&p, &n));
	discovery(135, 1);
	want(DROP_NONE);
	assert_false(packet_neighbor(&p, &n));
	discovery(135, 0);
	frame[L4_IP6 + 8] = 0xff; /* a target that is a group */
	want(DROP_NONE);
	assert_false(packet_neighbor(&p, &n));
	discovery(135, 0);
	set16(18, 23);
	want(DROP_SHORT);
}

static void discovery_comes_from_one_hop_away(void **state)
{
	(void)state;
	for (uint8_t type = 133; type <= 137; type++) {
		discovery(type, 0);
		want(DROP_NONE);
		assert_int_equal(p.flags, type == 133		       ? 0
					  : type == 135 || type == 136 ? PACKET_NEIGHBOR
								       : PACKET_RA);
		frame[21] = 254;
		want(DROP_L4_HEADER);
		discovery(type, 0);
		frame[L4_IP6 + 1] = 1;
		want(DROP_L4_HEADER);
	}
}

/* RFC 6980: so nobody hides a claim behind a fragment header. */
static void discovery_is_never_in_fragments(void **state)
{
	(void)state;
	for (uint8_t type = 133; type <= 137; type++) {
		make_ip6(44, 40);
		frame[21] = 255;
		frame[L4_IP6] = 58;
		frame[L4_IP6 + 3] = 1;
		frame[L4_IP6 + 8] = type;
		want(DROP_FRAGMENT);
	}
}

/* ---- keys ---- */

static void every_field_tells_keys_apart(void **state)
{
	(void)state;
	for (int is_6 = 0; is_6 < 2; is_6++) {
		if (is_6 != 0) {
			udp6(0);
		} else {
			udp4(0);
		}
		want(DROP_NONE);
		struct flow_key key = p.key;
		size_t n = is_6 != 0 ? sizeof(key) : offsetof(struct flow_key, ip);
		for (size_t i = 0; i < n; i++) {
			struct flow_key other = key;
			if (i == offsetof(struct flow_key, ip)) {
				continue;
			}
			((uint8_t *)&other)[i] ^= 0x40;
			assert_false(flow_key_equal(&key, &other));
			assert_true(flow_key_hash(&key, 3) != flow_key_hash(&other, 3));
		}
		assert_true(flow_key_hash(&key, 3) != flow_key_hash(&key, 4));
	}
}

/* One client's connections over two and over sixteen ways, whatever the seed. */
static void counted_ports_are_spread(void **state)
{
	enum {
		N = 200,
		WAYS = 16
	};
	const uint64_t chosen = 0xd6e8feb86659fd93u; /* was a factor once */
	uint64_t seed = 1;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		unsigned n[WAYS] = { 0 }, odd[3] = { 0 };
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		for (uint16_t i = 0; i < N; i++) {
			struct flow_key k = { .src = 0x0a010a00,
					      .dst = 0x0b010a00,
					      .sport = (uint16_t)(1001 + i),
					      .dport = 2000,
					      .iface = 3,
					      .proto = 17,
					      .ip = round % 2 == 0 ? 4 : 6 };
			/* a guest can choose the rest of its addresses */
			k.src_high[2] = (uint32_t)chosen;
			k.dst_high[0] = (uint32_t)(chosen >> 32);
			uint64_t hash = flow_key_hash(&k, seed ^ seed >> 29);
			n[(hash >> 4) % WAYS]++;
			for (unsigned b = 0; b < ARRAY_LEN(odd); b++) {
				odd[b] += hash >> 14 * b & 1;
			}
		}
		for (unsigned b = 0; b < ARRAY_LEN(odd); b++) {
			assert_in_range(odd[b], N / 4, 3 * N / 4);
		}
		for (unsigned i = 0; i < WAYS; i++) {
			assert_in_range(n[i], 0, 4 * N / WAYS);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_frames_are_dropped),
		cmocka_unit_test(headers_lie_in_what_is_at_hand),
		cmocka_unit_test(padding_is_not_the_packet),
		cmocka_unit_test(tags_are_read),
		cmocka_unit_test(stations_do_not_send_from_groups),
		cmocka_unit_test(ip4_headers_are_verified),
		cmocka_unit_test(ip4_lengths_are_verified),
		cmocka_unit_test(ip4_sources_are_possible),
		cmocka_unit_test(ip4_options_are_judged),
		cmocka_unit_test(ip4_fragments_are_placed),
		cmocka_unit_test(evil_fragments_are_dropped),
		cmocka_unit_test(ip6_fragments_are_placed),
		cmocka_unit_test(ip6_headers_are_verified),
		cmocka_unit_test(ip6_extensions_are_walked),
		cmocka_unit_test(tcp_flags_are_possible),
		cmocka_unit_test(udp_lengths_are_verified),
		cmocka_unit_test(families_do_not_mix),
		cmocka_unit_test(servers_answers_are_marked),
		cmocka_unit_test(echoes_are_one_connection),
		cmocka_unit_test(errors_name_the_connection),
		cmocka_unit_test(errors_name_echoes),
		cmocka_unit_test(useless_quotations_name_nothing),
		cmocka_unit_test(redirects_are_marked),
		cmocka_unit_test(arp_is_read),
		cmocka_unit_test(discovery_is_read),
		cmocka_unit_test(malformed_discovery_is_found),
		cmocka_unit_test(discovery_comes_from_one_hop_away),
		cmocka_unit_test(discovery_is_never_in_fragments),
		cmocka_unit_test(every_field_tells_keys_apart),
		cmocka_unit_test(counted_ports_are_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
