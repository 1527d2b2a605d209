/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams in fragments: their order, their pieces, and how many there may be. */
#include "switch/fragment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static struct fragments *fragments;

/* A fragment of `size` bytes; the first has ports. */
static struct packet fragment(uint16_t iface, uint32_t id, uint16_t at, uint16_t size, bool is_last)
{
	struct packet p = { .fragment_at = at,
			    .fragment_size = size,
			    .fragment_id = id,
			    .fragment_is_last = is_last,
			    .flags = PACKET_FRAGMENT,
			    .key = { .src = 1, .dst = 2, .iface = iface, .proto = 17, .ip = 4 } };

	if (at > 0) {
		p.flags |= PACKET_LATER;
	} else {
		p.key.sport = 53;
		p.key.dport = 99;
	}
	return p;
}

static enum drop_reason take(struct packet p, uint32_t now)
{
	return fragments_take(fragments, &p, now);
}

static void later_ones_get_the_ports_of_the_first(void **state)
{
	(void)state;
	struct packet p = fragment(1, 7, 24, 8, false);
	assert_int_equal(fragments_take(fragments, &p, 5), DROP_FRAGMENT_UNKNOWN);
	assert_int_equal(take(fragment(1, 7, 0, 24, false), 5), DROP_NONE);
	assert_int_equal(fragments_look(fragments, &p, 5), DROP_NONE);
	p = fragment(1, 7, 24, 8, false);
	assert_int_equal(fragments_take(fragments, &p, 5), DROP_NONE);
	assert_int_equal(p.key.sport, 53);
	assert_int_equal(p.key.dport, 99);
	assert_true((p.flags & PACKET_JOINED) != 0);
	assert_int_equal(take(fragment(2, 7, 32, 8, true), 5), DROP_FRAGMENT_UNKNOWN);
	assert_int_equal(take(fragment(1, 8, 32, 8, true), 5), DROP_FRAGMENT_UNKNOWN);
	assert_int_equal(take(fragment(1, 7, 32, 8, true), 5), DROP_NONE);
	/* It is whole, and forgotten. */
	assert_int_equal(take(fragment(1, 7, 40, 8, true), 5), DROP_FRAGMENT_UNKNOWN);
}

static void what_overlaps_spoils_all_that_follows(void **state)
{
	(void)state;
	assert_int_equal(take(fragment(1, 1, 0, 24, false), 5), DROP_NONE);
	assert_int_equal(take(fragment(1, 1, 16, 16, false), 5), DROP_FRAGMENT);
	assert_int_equal(take(fragment(1, 1, 24, 8, false), 5), DROP_FRAGMENT);
	assert_int_equal(take(fragment(1, 1, 0, 24, false), 5), DROP_FRAGMENT);
	assert_int_equal(take(fragment(1, 2, 0, 24, false), 5), DROP_NONE);
	assert_int_equal(take(fragment(1, 2, 64, 8, true), 5), DROP_NONE);
	assert_int_equal(take(fragment(1, 2, 72, 8, false), 5), DROP_FRAGMENT); /* behind the end */
	assert_int_equal(take(fragment(1, 3, 0, 24, false), 5), DROP_NONE);
	assert_int_equal(take(fragment(1, 3, 64, 8, false), 5), DROP_NONE);
	assert_int_equal(take(fragment(1, 3, 32, 8, true), 5), DROP_FRAGMENT); /* an end before */
}

static void pieces_are_bounded(void **state)
{
	(void)state;
	assert_int_equal(take(fragment(1, 1, 0, 24, false), 5), DROP_NONE);
	for (uint16_t i = 1; i < FRAGMENTS_PIECES_MAX; i++) {
		assert_int_equal(take(fragment(1, 1, (uint16_t)(i * 64), 8, false), 5), DROP_NONE);
	}
	assert_int_equal(take(fragment(1, 1, 2048, 8, false), 5), DROP_FRAGMENT);
}

static void one_interface_does_not_fill_it_for_others(void **state)
{
	(void)state;
	uint32_t n = 0;
	while (n < FRAGMENTS_MAX && take(fragment(1, n, 0, 24, false), 5) == DROP_NONE) {
		n++;
	}
	assert_int_equal(n, FRAGMENTS_OF_IFACE_MAX);
	assert_int_equal(take(fragment(2, 1, 0, 24, false), 5), DROP_NONE);
	struct packet p = fragment(1, 3, 0, 24, false);
	fragments_forget(fragments, &p, 5);
	assert_int_equal(take(fragment(1, n, 0, 24, false), 5), DROP_NONE);
	assert_int_equal(take(fragment(1, n + 1, 0, 24, false), 5), DROP_FRAGMENT_QUOTA);
	fragments_age(fragments, 5 + FRAGMENTS_TICKS, FRAGMENTS_MAX);
	assert_int_equal(take(fragment(1, 9, 24, 8, true), 5 + FRAGMENTS_TICKS),
			 DROP_FRAGMENT_UNKNOWN);
	assert_int_equal(take(fragment(1, n + 1, 0, 24, false), 5 + FRAGMENTS_TICKS), DROP_NONE);
}

static int set_up(void **state)
{
	(void)state;
	fragments = fragments_new();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fragments_free(fragments);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(later_ones_get_the_ports_of_the_first),
		TEST(what_overlaps_spoils_all_that_follows),
		TEST(pieces_are_bounded),
		TEST(one_interface_does_not_fill_it_for_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
