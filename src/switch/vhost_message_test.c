/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/vhost_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_MEM_TABLE = 5,
	NUM = 8,
	ADDR = 9,
	GET_BASE = 11,
	KICK = 12,
	CALL = 13,
	ENABLE = 18,
	IOTLB = 22,
	GET_INFLIGHT = 31,
	SET_INFLIGHT = 32,
};

#define PACKED	(1ULL << 34)
#define LOG_ALL (1ULL << 26)

static struct vhost_session session;

/* A message with two numbers at its front. */
static bool says(uint32_t request, uint32_t size, uint32_t first, uint32_t second)
{
	struct vhost_message m = { .request = request, .flags = 1, .size = size };

	memcpy(m.payload, &first, sizeof(first));
	memcpy(m.payload + 4, &second, sizeof(second));
	return vhost_session_take(&session, &m) == NULL;
}

static bool sets_features(uint64_t features)
{
	return says(SET_FEATURES, 8, (uint32_t)features, (uint32_t)(features >> 32));
}

static int setup(void **state)
{
	(void)state;
	memset(&session, 0, sizeof(session));
	return 0;
}

static void an_honest_front_end_is_served(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) { /* firmware first, then the system's driver */
		assert_true(says(GET_FEATURES, 0, 0, 0));
		assert_true(sets_features(round == 0 ? 0 : PACKED));
		assert_true(says(SET_MEM_TABLE, 8 + 2 * 32, 2, 0));
		for (uint32_t ring = 0; ring < 2; ring++) {
			assert_true(says(CALL, 8, ring, 0));
			assert_true(says(ENABLE, 8, ring, 1));
			assert_true(says(NUM, 8, ring, round == 0 ? 256 : 100));
			assert_true(says(ADDR, 40, ring, 0));
			assert_true(says(KICK, 8, ring, 0));
		}
		assert_true(says(SET_MEM_TABLE, 8 + 8 * 32, 8, 0)); /* memory was plugged */
		assert_true(sets_features(LOG_ALL | (round == 0 ? 0 : PACKED)));
		assert_true(says(ADDR, 40, 0, 1));
		assert_true(says(GET_BASE, 8, 0, 0));
		assert_true(says(GET_BASE, 8, 1, 0));
	}
}

static void a_ring_keeps_its_size_while_it_has_a_place(void **state)
{
	(void)state;
	assert_true(says(NUM, 8, 1, 1));
	assert_true(says(NUM, 8, 1, 256));
	assert_true(says(ADDR, 40, 1, 0));
	assert_true(says(NUM, 8, 1, 256));
	assert_false(says(NUM, 8, 1, 512));
	assert_true(says(GET_BASE, 8, 1, 0));
	assert_false(says(ADDR, 40, 1, 0));
	assert_true(says(NUM, 8, 1, 512));
	assert_false(says(KICK, 8, 1, 0));
	assert_true(says(ADDR, 40, 1, 0));
	assert_true(says(KICK, 8, 1, 0));
}

static void sizes_are_those_of_rings(void **state)
{
	(void)state;
	assert_false(says(NUM, 8, 0, 0));
	assert_false(says(NUM, 8, 0, 100));
	assert_false(says(NUM, 8, 0, 65536));
	assert_false(says(NUM, 8, VHOST_RINGS_MAX, 256));
	assert_false(says(NUM, 8, UINT32_MAX, 256));
	assert_true(says(NUM, 8, VHOST_RINGS_MAX - 1, 32768));
	assert_true(says(GET_BASE, 8, VHOST_RINGS_MAX - 1, 0));
	assert_true(sets_features(PACKED));
	assert_true(says(NUM, 8, 0, 100));
	assert_false(says(NUM, 8, 0, 32769));
}

static void features_stay_while_rings_have_sizes(void **state)
{
	(void)state;
	assert_true(says(NUM, 8, 0, 256));
	assert_false(sets_features(PACKED));
	assert_true(sets_features(0));
	assert_true(sets_features(LOG_ALL));
	assert_true(says(GET_BASE, 8, 0, 0));
	assert_true(sets_features(PACKED));
}

static void messages_have_their_size(void **state)
{
	(void)state;
	assert_false(says(NUM, 4, 0, 256));
	assert_false(says(NUM, 12, 0, 256));
	assert_true(says(NUM, 8, 0, 256));
	assert_false(says(ADDR, 8, 0, 0));
	assert_false(says(SET_FEATURES, 0, 0, 0));
	assert_false(says(SET_MEM_TABLE, 4, 0, 0));
	assert_false(says(SET_MEM_TABLE, 8, 1, 0));
	assert_false(says(SET_MEM_TABLE, 8 + 9 * 32, 9, 0));
	assert_false(says(SET_MEM_TABLE, 8, 1 << 27, 0)); /* times 32 is 0 in 32 bits */
	assert_false(says(KICK, 4, 0, 0));
}

static void other_requests_are_refused(void **state)
{
	(void)state;
	assert_false(says(0, 0, 0, 0));
	assert_false(says(IOTLB, 8, 0, 0));
	assert_false(says(GET_INFLIGHT, 24, 0, 0));
	assert_false(says(SET_INFLIGHT, 24, 0, 0));
	for (uint32_t request = 41; request < 64; request++) {
		assert_false(says(request, 8, 0, 0));
	}
	assert_false(says(UINT32_MAX, 8, 0, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_honest_front_end_is_served, setup),
		cmocka_unit_test_setup(a_ring_keeps_its_size_while_it_has_a_place, setup),
		cmocka_unit_test_setup(sizes_are_those_of_rings, setup),
		cmocka_unit_test_setup(features_stay_while_rings_have_sizes, setup),
		cmocka_unit_test_setup(messages_have_their_size, setup),
		cmocka_unit_test_setup(other_requests_are_refused, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
