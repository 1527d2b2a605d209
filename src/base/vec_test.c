/* SPDX-License-Identifier: Apache-2.0 */
#include "base/vec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define MAX_ITEMS  200
#define OPERATIONS 50000

static int compare(const void *a, const void *b)
{
	const int *x = a;
	const int *y = b;
	return (*x > *y) - (*x < *y);
}

static void model_insert(int *items, size_t *n, size_t i, int x)
{
	for (size_t k = (*n)++; k > i; k--) {
		items[k] = items[k - 1];
	}
	items[i] = x;
}

static void model_remove(int *items, size_t *n, size_t i)
{
	for (size_t k = i; k + 1 < *n; k++) {
		items[k] = items[k + 1];
	}
	(*n)--;
}

static void test_matches_model(void **state)
{
	(void)state;
	int model[MAX_ITEMS];
	size_t n = 0;
	VEC(int) v = { 0 };
	srandom(1);
	for (int op = 0; op < OPERATIONS; op++) {
		long what = n == 0 ? 0 : n == MAX_ITEMS ? 3 : random() % 4;
		size_t i = n ? (size_t)random() % n : 0;
		if (what == 0) {
			vec_push(&v, op);
			model_insert(model, &n, n, op);
		} else if (what == 1) {
			vec_insert(&v, i, op);
			model_insert(model, &n, i, op);
		} else if (what == 2) {
			vec_remove(&v, i);
			model_remove(model, &n, i);
		} else {
			assert_int_equal(vec_last(&v), model[n - 1]);
			assert_int_equal(vec_pop(&v), model[n - 1]);
			n--;
		}
		assert_int_equal(v.n, n);
		size_t k = 0;
		vec_each (&v, it) {
			assert_int_equal(*it, model[k++]);
		}
	}
	vec_free(&v);
}

static void test_empty(void **state)
{
	(void)state;
	VEC(int) v = { 0 };
	vec_each (&v, it) {
		fail_msg("item %d in an empty vec", *it);
	}
	vec_sort(&v, compare);
	vec_clear(&v);
	vec_free(&v);
}

static void test_sort_and_structs(void **state)
{
	(void)state;
	VEC(int) v = { 0 };
	vec_push(&v, 3);
	vec_push(&v, 1);
	vec_push(&v, 2);
	vec_sort(&v, compare);
	assert_int_equal(v.items[0], 1);
	assert_int_equal(v.items[2], 3);
	vec_free(&v);
	struct pair {
		int a, b;
	};
	VEC(struct pair) pairs = { 0 };
	vec_push(&pairs, (struct pair){ 1, 2 });
	assert_int_equal(pairs.items[0].b, 2);
	vec_free(&pairs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matches_model),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_sort_and_structs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
