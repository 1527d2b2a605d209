/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/dhcp.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/macro.h"
#include "switch/frame_test.h"

enum {
	MESSAGE = L4_IP4 + 8,
	OPTIONS = MESSAGE + 240,
};

static const uint8_t server_mac[6] = { 2, 0, 0, 0, 0, 1 };
static struct address dns[] = { { { 10, 0, 0, 53 }, 4 }, { { 10, 0, 1, 53 }, 4 } };
static const struct config_dhcp options = { 3600, dns, 2, "lab.example" };
static struct gateway gateways[] = { { { { 0xfd, [15] = 9 }, 6 }, 64 },
				     { { { 10, 0, 0, 254 }, 4 }, 24 } };
static const struct config_segment segment = {
	.name = "blue", .gateways = gateways, .n_gateways = 2, .mtu = 1450, .dhcp = &options
};
static struct address addresses[] = { { { 192, 168, 0, 1 }, 4 }, { { 10, 0, 0, 7 }, 4 } };
static const struct config_port port = {
	.has_mac = true, .mac = { 2, 0, 0, 0, 0, 0xa }, .addresses = addresses, .n_addresses = 2
};
static uint8_t out[1400];
static struct packet asked, got;

/* A client's message of that type with further options. */
static void ask(uint8_t type, const uint8_t *more, size_t n)
{
	make_ip4(17, 8 + 300 + (uint32_t)n);
	memset(frame, 0xff, 6);
	memset(frame + 26, 0, 4);
	memset(frame + 30, 0xff, 4);
	ip4_seal();
	set16(L4_IP4, 68);
	set16(L4_IP4 + 2, 67);
	set16(L4_IP4 + 4, 308 + (uint32_t)n);
	memcpy(frame + MESSAGE, "\1\1\6\0\x12\x34\x56\x78", 8);
	memcpy(frame + MESSAGE + 28, mac_a, 6);
	memcpy(frame + OPTIONS - 4, "\x63\x82\x53\x63\x35\1", 6);
	frame[OPTIONS + 2] = type;
	if (n > 0) {
		memcpy(frame + OPTIONS + 3, more, n);
	}
	frame[OPTIONS + 3 + n] = 255;
}

static size_t answer(void)
{
	struct dhcp_lease lease;

	assert_int_equal(packet_parse(&asked, frame, (uint16_t)frame_size, frame_size, false),
			 DROP_NONE);
	assert_true(dhcp_is_request(&asked));
	assert_true(dhcp_find_lease(&segment, &port, frame + 6, &lease));
	memset(out, 0xee, sizeof(out));
	size_t n = dhcp_answer(&asked, &lease, server_mac, out, sizeof(out));
	if (n > 0) {
		assert_int_equal(packet_parse(&got, out, (uint16_t)n, (uint32_t)n, false),
				 DROP_NONE);
		assert_int_equal(l4_sum(out, 17), 0xffff);
		assert_memory_equal(out + 6, server_mac, 6);
		assert_memory_equal(out + MESSAGE + 4, "\x12\x34\x56\x78", 4);
		assert_int_equal(out[MESSAGE], 2);
	}
	return n;
}

/* The option in the answer; NULL: it is not there. */
static const uint8_t *option(uint8_t code)
{
	for (const uint8_t *at = out + OPTIONS; *at != 255; at += 2 + at[1]) {
		if (*at == code) {
			return at + 1;
		}
	}
	return NULL;
}

static void is_type(uint8_t type)
{
	assert_non_null(option(53));
	assert_memory_equal(option(53), ((uint8_t[]){ 1, type }), 2);
}

static void an_offer_says_all(void **state)
{
	(void)state;
	ask(1, NULL, 0);
	assert_true(answer() > 0);
	is_type(2);
	assert_memory_equal(out, frame + 6, 6);
	assert_memory_equal(out + MESSAGE + 16, addresses[1].bytes, 4);
	assert_memory_equal(out + 26, gateways[1].address.bytes, 4);
	assert_memory_equal(out + 30, addresses[1].bytes, 4);
	assert_memory_equal(option(54), "\4\x0a\0\0\xfe", 5);
	assert_memory_equal(option(3), "\4\x0a\0\0\xfe", 5);
	assert_memory_equal(option(1), "\4\xff\xff\xff\0", 5);
	assert_memory_equal(option(51), "\4\0\0\x0e\x10", 5);
	assert_memory_equal(option(26), "\2\x05\xaa", 3);
	assert_memory_equal(option(6), "\x08\x0a\0\0\x35\x0a\0\1\x35", 9);
	assert_memory_equal(option(15), "\x0blab.example", 12);
}

static void a_request_is_confirmed_or_refused(void **state)
{
	(void)state;
	ask(3, (const uint8_t *)"\x32\4\x0a\0\0\7\x36\4\x0a\0\0\xfe", 12);
	assert_true(answer() > 0);
	is_type(5);
	ask(3, (const uint8_t *)"\x32\4\x0a\0\0\x08", 6); /* another's address */
	assert_true(answer() > 0);
	is_type(6);
	assert_memory_equal(out, "\xff\xff\xff\xff\xff\xff", 6);
	assert_memory_equal(out + MESSAGE + 16, "\0\0\0\0", 4);
	assert_null(option(3));
	ask(3, (const uint8_t *)"\x32\4\x0a\0\0\7\x36\4\x0a\0\0\x63", 12); /* another server */
	assert_int_equal(answer(), 0);
}

static void a_renewal_is_answered_to_its_address(void **state)
{
	(void)state;
	ask(3, NULL, 0);
	memcpy(frame + MESSAGE + 12, addresses[1].bytes, 4);
	assert_true(answer() > 0);
	is_type(5);
	assert_memory_equal(out + 30, addresses[1].bytes, 4);
	assert_memory_equal(out, frame + 6, 6);
}

static void a_broadcast_is_asked_for(void **state)
{
	(void)state;
	ask(1, NULL, 0);
	frame[MESSAGE + 10] = 0x80;
	assert_true(answer() > 0);
	assert_memory_equal(out, "\xff\xff\xff\xff\xff\xff", 6);
	assert_memory_equal(out + 30, "\xff\xff\xff\xff", 4);
}

static void information_has_no_lease(void **state)
{
	(void)state;
	ask(8, NULL, 0);
	memcpy(frame + MESSAGE + 12, addresses[1].bytes, 4);
	assert_true(answer() > 0);
	is_type(5);
	assert_null(option(51));
	assert_memory_equal(out + MESSAGE + 16, "\0\0\0\0", 4);
}

static void others_are_not_answered(void **state)
{
	static const uint8_t quiet[] = { 0, 2, 4, 5, 6, 7, 9, 255 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(quiet); i++) {
		ask(quiet[i], NULL, 0);
		assert_int_equal(answer(), 0);
	}
	static const uint32_t spoiled[] = { 0, 1, 2, 24, 28, 236, 239 }; /* offsets */
	for (size_t i = 0; i < ARRAY_LEN(spoiled); i++) {
		ask(1, NULL, 0);
		frame[MESSAGE + spoiled[i]] ^= 0x40;
		assert_int_equal(answer(), 0);
	}
}

/* Every length that a frame may be cut to, and every length an option may claim. */
static void short_ones_are_not_answered(void **state)
{
	(void)state;
	for (uint32_t n = 0; n < 240; n++) {
		ask(1, NULL, 0);
		set16(16, 28 + n);
		set16(L4_IP4 + 4, 8 + n);
		ip4_seal();
		frame_size = MESSAGE + n;
		assert_int_equal(answer(), 0);
	}
	for (uint32_t n = 0; n < 256; n++) {
		ask(1, (const uint8_t *)"\x37\0", 2);
		frame[OPTIONS + 4] = (uint8_t)n;
		(void)answer();
	}
}

static void only_the_ports_own_guest_has_a_lease(void **state)
{
	struct config_port other = port;
	struct dhcp_lease lease;

	(void)state;
	assert_false(dhcp_find_lease(&segment, &port, mac_b, &lease));
	other.n_addresses = 1; /* not on the segment's network */
	assert_false(dhcp_find_lease(&segment, &other, mac_a, &lease));
	other.has_mac = false;
	assert_false(dhcp_find_lease(&segment, &other, mac_a, &lease));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_offer_says_all),
		cmocka_unit_test(a_request_is_confirmed_or_refused),
		cmocka_unit_test(a_renewal_is_answered_to_its_address),
		cmocka_unit_test(a_broadcast_is_asked_for),
		cmocka_unit_test(information_has_no_lease),
		cmocka_unit_test(others_are_not_answered),
		cmocka_unit_test(short_ones_are_not_answered),
		cmocka_unit_test(only_the_ports_own_guest_has_a_lease),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
