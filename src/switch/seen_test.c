/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/seen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct address address(uint32_t n)
{
	struct address a = { .bytes = { 10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n },
			     .ip = 4 };
	return a;
}

static struct seen_at at(uint16_t iface, uint8_t mac)
{
	return (struct seen_at){ iface, { 2, 0, 0, 0, 0, mac } };
}

static void who_claims_an_address_has_it(void **state)
{
	struct seen *s = *state;
	struct address a = address(1);
	struct seen_at first = at(5, 1), second = at(6, 2), found;
	struct seen_quarrel q;

	assert_false(seen_find(s, 7, &a, 100, SEEN_TICKS, &found));
	assert_false(seen_use(s, 7, &a, &first, 100));
	uint64_t changes = seen_changes(s);
	assert_int_equal(seen_claim(s, 7, &a, &first, 100), SEEN_NEW);
	assert_int_not_equal(seen_changes(s), changes);
	changes = seen_changes(s);
	assert_int_equal(seen_claim(s, 7, &a, &first, 110), SEEN_KNOWN);
	assert_int_equal(seen_changes(s), changes);
	assert_true(seen_find(s, 7, &a, 110, SEEN_TICKS, &found));
	assert_int_equal(found.iface, 5);
	assert_false(seen_find(s, 8, &a, 110, SEEN_TICKS, &found)); /* another segment */
	assert_false(seen_take_quarrel(s, &q));
	/* Another one takes it: a quarrel, as the first was there a moment ago. */
	assert_int_equal(seen_claim(s, 7, &a, &second, 111), SEEN_MOVED);
	assert_true(seen_find(s, 7, &a, 111, SEEN_TICKS, &found));
	assert_int_equal(found.iface, 6);
	assert_true(seen_take_quarrel(s, &q));
	assert_int_equal(q.iface, 6);
	assert_int_equal(q.other, 5);
	assert_false(seen_take_quarrel(s, &q));
	/* Later it has only moved. */
	assert_int_equal(seen_claim(s, 7, &a, &first, 111 + SEEN_MOVE_TICKS), SEEN_MOVED);
	assert_false(seen_take_quarrel(s, &q));
	seen_forget(s, 7, &a);
	assert_false(seen_find(s, 7, &a, 111, SEEN_TICKS, &found));
}

struct heard {
	unsigned n_asked;
	bool is_possible;
};

static void ask(void *arg, const struct seen_entry *e)
{
	struct heard *h = arg;

	assert_int_equal(e->at.iface, 5);
	h->n_asked++;
}

static bool is_possible(void *arg, const struct seen_entry *e)
{
	const struct heard *h = arg;

	(void)e;
	return h->is_possible;
}

static void who_is_silent_is_asked_and_then_forgotten(void **state)
{
	struct seen *s = *state;
	struct address a = address(1);
	struct seen_at first = at(5, 1), found;
	struct heard h = { 0, true };
	const struct seen_care care = { is_possible, ask, &h };

	seen_claim(s, 7, &a, &first, 1000);
	seen_age(s, 1000 + SEEN_ASK_TICKS - 1, SEEN_MAX, &care);
	assert_int_equal(h.n_asked, 0);
	seen_age(s, 1000 + SEEN_ASK_TICKS, SEEN_MAX, &care);
	seen_age(s, 1001 + SEEN_ASK_TICKS, SEEN_MAX, &care);
	assert_int_equal(h.n_asked, 1);
	assert_true(seen_use(s, 7, &a, &first, 1100 + SEEN_ASK_TICKS)); /* still there */
	seen_age(s, 1100 + SEEN_ASK_TICKS, SEEN_MAX, &care);
	assert_int_equal(h.n_asked, 1);
	assert_true(seen_find(s, 7, &a, 1099 + SEEN_ASK_TICKS + SEEN_TICKS, SEEN_TICKS, &found));
	seen_age(s, 1100 + SEEN_ASK_TICKS + SEEN_TICKS, SEEN_MAX, &care);
	assert_false(seen_find(s, 7, &a, 1100, UINT32_MAX, &found));
	/* Its port has gone, or may not have addresses of its own any more. */
	seen_claim(s, 7, &a, &first, 5000);
	h.is_possible = false;
	seen_age(s, 5000, SEEN_MAX, &care);
	assert_false(seen_find(s, 7, &a, 5000, SEEN_TICKS, &found));
}

static void count(void *arg, const struct seen_entry *e)
{
	unsigned *n_of = arg;

	n_of[e->at.iface]++;
}

static void nobody_fills_the_table(void **state)
{
	struct seen *s = *state;
	unsigned n_of[64] = { 0 };
	unsigned n_full = 0;
	struct seen_quarrel q;

	for (uint16_t iface = 1; iface < 40; iface++) {
		for (uint32_t i = 0; i < 1000; i++) {
			struct address a = address(iface * 1000u + i);
			struct seen_at where = at(iface, 1);
			n_full += seen_claim(s, 7, &a, &where, 10) == SEEN_FULL;
		}
	}
	seen_each(s, 10, count, n_of);
	for (uint16_t iface = 1; iface < 40; iface++) {
		assert_in_range(n_of[iface], SEEN_OF_IFACE_MAX / 2, SEEN_OF_IFACE_MAX);
	}
	assert_in_range(n_full, 1, 40000);
	assert_true(seen_take_quarrel(s, &q) && q.is_too_many);
}

static int set_up(void **state)
{
	*state = seen_new();
	return 0;
}

static int tear_down(void **state)
{
	seen_free(*state);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_claims_an_address_has_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_is_silent_is_asked_and_then_forgotten, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(nobody_fills_the_table, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
