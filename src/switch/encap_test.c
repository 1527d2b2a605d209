/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/encap.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/macro.h"
#include "switch/frame_test.h"
#include "switch/packet.h"

enum {
	INNER = 100,
	VNI = 0xabcdef
};

static struct config_team near, far;
static struct encap_header header;

/* Two teams that are each other's remote endpoint. */
static void make_teams(uint8_t ip, uint16_t vlan)
{
	near = (struct config_team){ .vlan = vlan };
	memcpy(near.mac, mac_a, 6);
	near.address.ip = ip;
	memcpy(near.address.bytes, ip == 4 ? ip4_a : ip6_a, ip == 4 ? 4 : 16);
	far = near;
	memcpy(far.mac, mac_b, 6);
	memcpy(far.address.bytes, ip == 4 ? ip4_b : ip6_b, ip == 4 ? 4 : 16);
}

/* A tunnel frame of `inner` bytes from near to far. */
static void wrap(enum encapsulation kind, uint32_t inner, uint32_t hash)
{
	memset(frame, 0x5a, sizeof(frame));
	encap_header_make(&header, &near, &far.address, far.mac, kind);
	assert_true(header.size <= ENCAP_HEADER_MAX);
	encap_write(&header, frame, inner, hash, VNI);
	frame_size = header.size + inner;
}

static struct encap_read unwrap(void)
{
	struct encap_read r;

	(void)encap_parse(&far, frame, frame_size, frame_size, &r);
	return r;
}

static void want_bad(void)
{
	struct encap_read r = unwrap();

	assert_int_not_equal(r.encapsulation, ENCAP_NONE);
	assert_false(r.is_good);
}

static void want_none(void)
{
	assert_int_equal(unwrap().encapsulation, ENCAP_NONE);
}

/* Every kind of tunnel: f is called with a frame of `INNER` bytes ready. */
static void each(void (*f)(enum encapsulation kind))
{
	for (uint8_t ip = 4; ip <= 6; ip += 2) {
		for (int tagged = 0; tagged < 2; tagged++) {
			make_teams(ip, tagged != 0 ? 123 : PACKET_NO_VLAN);
			wrap(ENCAP_GENEVE, INNER, 0);
			f(ENCAP_GENEVE);
			wrap(ENCAP_VXLAN, INNER, 0);
			f(ENCAP_VXLAN);
		}
	}
}

/* ---- written and read back ---- */

static void check_headers(enum encapsulation kind)
{
	struct packet p;

	assert_int_equal(packet_parse(&p, frame, (uint16_t)frame_size, frame_size, false),
			 DROP_NONE);
	assert_int_equal(p.vlan, near.vlan);
	assert_int_equal(p.key.ip, near.address.ip);
	assert_int_equal(p.key.proto, 17);
	assert_int_equal(p.l3 + p.l3_size, frame_size);
	assert_int_equal(frame[p.l4 + 2] << 8 | frame[p.l4 + 3],
			 kind == ENCAP_GENEVE ? GENEVE_PORT : VXLAN_PORT);
	assert_int_equal(frame[p.l4 + 4] << 8 | frame[p.l4 + 5], 16 + INNER);
	assert_int_equal(p.payload + 8, header.size);
	if (p.key.ip == 4) {
		assert_int_equal(frame[p.l3 + 6], 0x40);
	}
}

static void headers_are_right(void **state)
{
	(void)state;
	each(check_headers);
}

static void check_reading(enum encapsulation kind)
{
	struct encap_read r = unwrap();

	assert_int_equal(r.encapsulation, kind);
	assert_true(r.is_good);
	assert_int_equal(r.vni, VNI);
	assert_int_equal(r.size, header.size);
	assert_int_equal(r.source.ip, near.address.ip);
	assert_memory_equal(r.source.bytes, near.address.bytes, 16);
	assert_memory_equal(r.source_mac, near.mac, 6);
	frame_size += 6; /* what Ethernet pads */
	assert_true(unwrap().is_good);
}

static void what_is_written_is_read(void **state)
{
	(void)state;
	each(check_reading);
}

static void every_size_has_a_right_checksum(void **state)
{
	(void)state;
	make_teams(4, PACKET_NO_VLAN);
	for (uint32_t n = 14; n < 1800; n++) {
		wrap(ENCAP_GENEVE, n, n * 77);
		assert_int_equal(ones_sum(frame + L3, 20, 0), 0xffff);
		assert_true(unwrap().is_good);
	}
	/* Addresses whose sum carries often. */
	memset(near.address.bytes, 0xff, 4);
	memset(far.address.bytes, 0xff, 4);
	for (uint32_t n = 14; n < 1800; n++) {
		wrap(ENCAP_VXLAN, n, 0);
		assert_int_equal(ones_sum(frame + L3, 20, 0), 0xffff);
	}
}

static void the_hash_is_in_the_source_port(void **state)
{
	(void)state;
	make_teams(4, PACKET_NO_VLAN);
	for (uint32_t hash = 0; hash < 0x10000; hash += 0x111) {
		wrap(ENCAP_GENEVE, INNER, hash);
		assert_int_equal(frame[L4_IP4] << 8 | frame[L4_IP4 + 1], 0xc000 | (hash & 0x3fff));
	}
}

/* ---- no tunnel for us ---- */

static void spoil_destination(enum encapsulation kind)
{
	uint32_t at[] = { 0,
			  header.ip_at - 1u,
			  header.udp_at - 1u,
			  header.udp_at + 3u,
			  near.vlan == PACKET_NO_VLAN ? 0 : 15,
			  header.ip_at + (near.address.ip == 4 ? 9u : 6u) };

	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		wrap(kind, INNER, 0);
		frame[at[i]] ^= 1;
		want_none();
	}
}

static void others_frames_are_not_taken(void **state)
{
	(void)state;
	each(spoil_destination);
}

static void without_an_endpoint_nothing_is_taken(void **state)
{
	(void)state;
	make_teams(4, PACKET_NO_VLAN);
	wrap(ENCAP_GENEVE, INNER, 0);
	far.address = (struct address){ 0 };
	want_none();
}

static void tags_must_be_the_teams(void **state)
{
	(void)state;
	make_teams(4, PACKET_NO_VLAN);
	wrap(ENCAP_GENEVE, INNER, 0);
	put_tag(0x8100, 123);
	want_none();
	far.vlan = 123;
	assert_true(unwrap().is_good);
	far.vlan = 124;
	want_none();
	far.vlan = 123;
	set16(12, 0x88a8);
	want_none();
}

/* ---- malformed ---- */

/* Cut anywhere, a frame is no tunnel or no good one. */
static void cut_anywhere(enum encapsulation kind)
{
	(void)kind;
	for (uint32_t n = 0; n < frame_size; n++) {
		struct encap_read r;
		assert_true(!encap_parse(&far, frame, n, n, &r) || !r.is_good);
	}
}

static void cut_frames_are_not_good(void **state)
{
	(void)state;
	each(cut_anywhere);
}

static void set_udp_size(uint32_t n)
{
	set16(header.udp_at + 4u, n);
}

static void lie_about_length(enum encapsulation kind)
{
	set_udp_size(15);
	want_bad();
	set_udp_size(17 + INNER); /* more than IP says, though the frame has it */
	frame_size += 10;
	want_bad();
	wrap(kind, INNER, 0);
	uint32_t at = header.ip_at + (near.address.ip == 4 ? 2u : 4u);
	set16(at, 16 + INNER + (near.address.ip == 4 ? 21 : 1));
	if (near.address.ip == 4) {
		set16(header.ip_at + 10u, 0);
		set16(header.ip_at + 10u, ~ones_sum(frame + header.ip_at, 20, 0) & 0xffff);
	}
	want_bad();
}

static void lengths_agree(void **state)
{
	(void)state;
	each(lie_about_length);
}

static void outer_ip4_is_verified(void **state)
{
	(void)state;
	make_teams(4, PACKET_NO_VLAN);
	wrap(ENCAP_GENEVE, INNER, 0);
	frame[22] ^= 1;
	want_bad();
	wrap(ENCAP_GENEVE, INNER, 0);
	set16(20, 0x2000); /* a fragment */
	ip4_seal();
	want_bad();
}

static void outer_ip6_is_verified(void **state)
{
	(void)state;
	make_teams(6, PACKET_NO_VLAN);
	wrap(ENCAP_VXLAN, INNER, 0);
	frame[L3] = 0x50;
	want_bad();
}

/* A Geneve header with that many bytes of options before what there was. */
static void put_options(uint32_t n)
{
	wrap(ENCAP_GENEVE, INNER, 0);
	frame[header.udp_at + 8u] = (uint8_t)(n / 4);
}

static void geneve_options_are_skipped(void **state)
{
	(void)state;
	make_teams(4, PACKET_NO_VLAN);
	for (uint32_t n = 0; n <= 252; n += 4) {
		put_options(n);
		struct encap_read r = unwrap();
		assert_int_equal(r.is_good, n <= INNER);
		assert_int_equal(r.size, header.size + n);
	}
	put_options(40);
	set_udp_size(16 + 36); /* the options end behind the datagram */
	want_bad();
	set_udp_size(16 + 40);
	assert_true(unwrap().is_good);
}

static void spoil_geneve(uint32_t at, uint8_t bits, bool is_good)
{
	wrap(ENCAP_GENEVE, INNER, 0);
	frame[header.udp_at + 8u + at] ^= bits;
	assert_int_equal(unwrap().is_good, is_good);
}

static void geneve_headers_are_verified(void **state)
{
	(void)state;
	make_teams(6, 123);
	spoil_geneve(0, 0x40, false); /* a version that is not known */
	spoil_geneve(0, 0x80, false);
	spoil_geneve(1, 0x80, false); /* for a control plane */
	spoil_geneve(1, 0x40, false); /* critical options */
	spoil_geneve(1, 0x3f, true);  /* reserved: ignored */
	spoil_geneve(3, 0x01, false); /* no Ethernet */
	spoil_geneve(7, 0xff, true);
}

static void vxlan_headers_are_verified(void **state)
{
	(void)state;
	make_teams(4, PACKET_NO_VLAN);
	wrap(ENCAP_VXLAN, INNER, 0);
	frame[header.udp_at + 8u] = 0xf7; /* no identifier: RFC 7348 §5 */
	want_bad();
	frame[header.udp_at + 8u] = 0xff; /* reserved: ignored */
	assert_true(unwrap().is_good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_right),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(every_size_has_a_right_checksum),
		cmocka_unit_test(the_hash_is_in_the_source_port),
		cmocka_unit_test(others_frames_are_not_taken),
		cmocka_unit_test(without_an_endpoint_nothing_is_taken),
		cmocka_unit_test(tags_must_be_the_teams),
		cmocka_unit_test(cut_frames_are_not_good),
		cmocka_unit_test(lengths_agree),
		cmocka_unit_test(outer_ip4_is_verified),
		cmocka_unit_test(outer_ip6_is_verified),
		cmocka_unit_test(geneve_options_are_skipped),
		cmocka_unit_test(geneve_headers_are_verified),
		cmocka_unit_test(vxlan_headers_are_verified),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
