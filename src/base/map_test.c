/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEYS	   300
#define OPERATIONS 60000

static int values[KEYS];

static const char *key_of(size_t i, char *out, size_t size)
{
	snprintf(out, size, "%zu-%s", i, i % 2 ? "a rather longer key than that" : "");
	return out;
}

/* Random operations against a plain table. */
static void test_strings_match_model(void **state)
{
	(void)state;
	void *model[KEYS] = { 0 };
	size_t n_model = 0;
	struct map m = { 0 };
	char key[64];
	srandom(1);
	for (size_t op = 0; op < OPERATIONS; op++) {
		size_t k = (size_t)random() % KEYS;
		key_of(k, key, sizeof(key));
		long what = random() % 4;
		if (what < 2) {
			void *v = &values[random() % KEYS];
			assert_ptr_equal(map_set(&m, key, v), model[k]);
			n_model += !model[k];
			model[k] = v;
		} else if (what == 2) {
			assert_ptr_equal(map_remove(&m, key), model[k]);
			n_model -= model[k] != NULL;
			model[k] = NULL;
		} else {
			assert_ptr_equal(map_get(&m, key), model[k]);
			assert_int_equal(map_has(&m, key), model[k] != NULL);
		}
		assert_int_equal(map_n(&m), n_model);
	}
	size_t n_seen = 0;
	map_each (&m, e) {
		size_t k = strtoul(e->key, NULL, 10);
		assert_ptr_equal(e->value, model[k]);
		n_seen++;
	}
	assert_int_equal(n_seen, n_model);
	map_free(&m);
}

static void test_numbers_match_model(void **state)
{
	(void)state;
	void *model[KEYS] = { 0 };
	struct map64 m = { 0 };
	srandom(2);
	for (size_t op = 0; op < OPERATIONS; op++) {
		size_t k = (size_t)random() % KEYS;
		uint64_t id = k << 40; /* only high bits differ */
		if (random() % 2) {
			assert_ptr_equal(map64_set(&m, id, &values[k]), model[k]);
			model[k] = &values[k];
		} else {
			assert_ptr_equal(map64_remove(&m, id), model[k]);
			model[k] = NULL;
		}
		assert_ptr_equal(map64_get(&m, id), model[k]);
		assert_int_equal(map64_has(&m, id), model[k] != NULL);
	}
	map64_free(&m);
}

static void test_order_of_insertion(void **state)
{
	(void)state;
	struct map64 m = { 0 };
	for (uint64_t i = 0; i < 1000; i++) {
		map64_set(&m, i * 7919, &values[i % KEYS]);
	}
	uint64_t want = 0;
	map64_each(&m, e)
	{
		assert_int_equal(e->id, want * 7919);
		want++;
	}
	assert_int_equal(want, 1000);
	map64_free(&m);
}

static void test_remove_while_iterating(void **state)
{
	(void)state;
	struct map m = { 0 };
	char key[64];
	for (size_t i = 0; i < KEYS; i++) {
		map_set(&m, key_of(i, key, sizeof(key)), &values[i]);
	}
	map_each (&m, e) {
		if ((int *)e->value - values < KEYS / 2) {
			map_remove(&m, e->key);
		}
	}
	assert_int_equal(map_n(&m), KEYS / 2);
	map_free(&m);
}

static void test_null_value_and_part_of_key(void **state)
{
	(void)state;
	struct map m = { 0 };
	assert_null(map_get(&m, "a"));
	assert_null(map_remove(&m, "a"));
	map_set(&m, "", NULL);
	assert_true(map_has(&m, ""));
	map_set(&m, "disk", &values[3]);
	assert_ptr_equal(map_get_n(&m, "diskette", 4), &values[3]);
	assert_null(map_get_n(&m, "diskette", 5));
	map_clear(&m);
	assert_int_equal(map_n(&m), 0);
	map_free(&m);
}

static void test_free_values(void **state)
{
	(void)state;
	struct map m = { 0 };
	map_set(&m, "a", malloc(1));
	map_set(&m, "b", malloc(1));
	map_free_values(&m, free);
	assert_int_equal(map_n(&m), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings_match_model),
		cmocka_unit_test(test_numbers_match_model),
		cmocka_unit_test(test_order_of_insertion),
		cmocka_unit_test(test_remove_while_iterating),
		cmocka_unit_test(test_null_value_and_part_of_key),
		cmocka_unit_test(test_free_values),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
