/* SPDX-License-Identifier: Apache-2.0 */
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ITEMS	   40
#define OPERATIONS 20000

struct item {
	size_t id;
	struct list_node node;
};

/* The ids in order. */
static size_t ids_of(const struct list *l, size_t *out)
{
	size_t n = 0;
	list_each (struct item, it, l, node) {
		out[n++] = it->id;
	}
	return n;
}

static void model_remove(size_t *ids, size_t *n, size_t id)
{
	size_t kept = 0;
	for (size_t i = 0; i < *n; i++) {
		if (ids[i] != id) {
			ids[kept++] = ids[i];
		}
	}
	*n = kept;
}

static void test_matches_model(void **state)
{
	(void)state;
	struct item items[ITEMS] = { 0 };
	size_t model[ITEMS];
	size_t seen[ITEMS];
	size_t n = 0;
	struct list l = LIST_INIT(l);
	srandom(1);
	for (int op = 0; op < OPERATIONS; op++) {
		size_t id = (size_t)random() % ITEMS;
		items[id].id = id;
		if (list_is_linked(&items[id].node)) {
			list_remove(&items[id].node);
			model_remove(model, &n, id);
		} else if (random() % 2) {
			list_push_back(&l, &items[id].node);
			model[n++] = id;
		} else {
			list_push_front(&l, &items[id].node);
			memmove(model + 1, model, n++ * sizeof(*model));
			model[0] = id;
		}
		assert_int_equal(ids_of(&l, seen), n);
		assert_int_equal(list_length(&l), n);
		assert_memory_equal(seen, model, n * sizeof(*model));
		struct item *front = list_entry(list_front(&l), struct item, node);
		struct item *back = list_entry(list_back(&l), struct item, node);
		assert_int_equal(list_is_empty(&l), n == 0);
		assert_true(n == 0 ? !front && !back
				   : front->id == model[0] && back->id == model[n - 1]);
	}
}

static void test_safe_and_pop(void **state)
{
	(void)state;
	struct list l;
	list_init(&l);
	struct item items[4] = { 0 };
	for (size_t i = 0; i < 4; i++) {
		items[i].id = i;
		list_push_back(&l, &items[i].node);
	}
	list_each_safe (struct item, it, &l, node) {
		if (it->id % 2) {
			list_remove(&it->node);
		}
	}
	assert_ptr_equal(list_pop_front(&l), &items[0].node);
	assert_ptr_equal(list_pop_front(&l), &items[2].node);
	assert_null(list_pop_front(&l));
	assert_null(list_pop_back(&l));
	list_push_back(&l, &items[0].node);
	list_push_back(&l, &items[1].node);
	assert_ptr_equal(list_pop_back(&l), &items[1].node);
	assert_ptr_equal(list_pop_back(&l), &items[0].node);
	assert_true(list_is_empty(&l));
	list_remove(&items[0].node); /* in no list: nothing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matches_model),
		cmocka_unit_test(test_safe_and_pop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
