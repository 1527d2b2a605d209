/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/mem.h"
#include "vim/history.h"
#include "vim/service_fake.h"

enum {
	LIMIT = 40,
	STEPS = 20000
};

/* Items are events of which the filter takes every n-th key. */
struct item {
	int key;
	bool hidden;
	const struct value *event;
};

static size_t n_dropped;

static const struct value *show(const void *item, const void *filter, struct arena *a)
{
	(void)filter;
	(void)a;
	return ((const struct item *)item)->event;
}

static bool match(const void *item, const void *filter, struct arena *a)
{
	(void)a;
	return ((const struct item *)item)->key % *(const int *)filter == 0;
}

static bool may_read(const void *item, const struct session *s, struct arena *a)
{
	(void)s;
	(void)a;
	return !((const struct item *)item)->hidden;
}

static void drop(void *item)
{
	value_drop(((struct item *)item)->event);
	free(item);
	n_dropped++;
}

static const struct history_ops ops = {
	.collector = T_EventHistoryCollector,
	.item = T_Event,
	.read_next = M_EventHistoryCollector_ReadNextEvents,
	.read_previous = M_EventHistoryCollector_ReadPreviousEvents,
	.show = show,
	.match = match,
	.concerns = match,
	.may_read = may_read,
	.drop = drop,
	.filter_free = free,
};

static struct history *history;

static void create_collector(struct call *c)
{
	int *every = mem_alloc(sizeof(*every));
	struct value *spec = value_new(c->arena, T_EventFilterSpec);

	*every = *(int *)call_arg(c);
	history_collect(history, c, spec, every, HISTORY_PAGE);
}

static void item_add(int key, bool hidden)
{
	struct arena *a = arena_new(0);
	struct value *event = value_new(a, T_VmPoweredOnEvent);
	struct item *item = mem_zalloc(sizeof(*item));

	value_set_num(a, event, F_Event_key, key);
	item->key = key;
	item->hidden = hidden;
	item->event = value_keep(event);
	history_add(history, item);
	arena_free(a);
}

/* What the history should do, in the plainest way. */
struct model {
	bool hidden[STEPS];
	int n;	      /* keys 0 … n - 1 exist; the newest LIMIT are there */
	int position; /* key of the next newer item */
	int every;
	size_t page_size;
};

static bool model_has(const struct model *m, int key)
{
	return key >= m->n - LIMIT && key >= 0 && key < m->n && key % m->every == 0 &&
	       !m->hidden[key];
}

static void check_read(const struct value *got, const int *want, size_t n)
{
	assert_int_equal(value_count(got), n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(value_get_num(value_item(got, i), F_Event_key, -1), want[i]);
	}
}

static size_t model_read(struct model *m, bool newer, size_t max, int *out)
{
	size_t n = 0;
	int first = m->n > LIMIT ? m->n - LIMIT : 0;

	m->position = m->position < first ? first : m->position;
	while (n < max && (newer ? m->position < m->n : m->position > first)) {
		int key = newer ? m->position++ : --m->position;
		if (model_has(m, key)) {
			out[n++] = key;
		}
	}
	return n;
}

static size_t model_page(const struct model *m, int *out)
{
	struct model copy = *m;

	copy.position = m->n;
	return model_read(&copy, false, m->page_size, out);
}

static void count_set(struct fake *f, struct value **args, uint16_t method, size_t n)
{
	*args = value_new(f->arena, schema_method(method)->args);
	value_set_num(f->arena, *args, 0, (int64_t)n);
}

/* One random step on history and model. */
static void step(struct fake *f, struct session *s, struct object *collector, struct model *m)
{
	int want[LIMIT + 1];
	size_t max = 1 + (size_t)(rand() % 15), n;
	struct value *args;
	bool newer = rand() % 2 == 0;
	uint16_t read = newer ? ops.read_next : ops.read_previous;

	switch (rand() % 8) {
	case 0:
		assert_true(fake_call(f, s, collector, M_HistoryCollector_RewindCollector, NULL));
		m->position = 0;
		break;
	case 1:
		assert_true(fake_call(f, s, collector, M_HistoryCollector_ResetCollector, NULL));
		n = model_page(m, want);
		m->position = n < m->page_size ? 0 : want[n - 1];
		break;
	case 2:
		count_set(f, &args, M_HistoryCollector_SetCollectorPageSize, max);
		assert_true(
			fake_call(f, s, collector, M_HistoryCollector_SetCollectorPageSize, args));
		m->page_size = max;
		break;
	case 3:
		count_set(f, &args, read, max);
		assert_true(fake_call(f, s, collector, read, args));
		n = model_read(m, newer, max, want);
		check_read(f->result, want, n);
		break;
	default:
		m->hidden[m->n] = rand() % 5 == 0;
		item_add(m->n, m->hidden[m->n]);
		m->n++;
		break;
	}
	n = model_page(m, want);
	check_read(object_get(collector, P_EventHistoryCollector_latestPage, f->arena), want, n);
	arena_reset(f->arena);
}

static void collector_follows_the_model(void **state)
{
	(void)state;
	struct fake f;
	struct model *m = mem_zalloc(sizeof(*m));
	int every = 3;

	fake_setup(&f);
	srand(7);
	n_dropped = 0;
	history = history_new(f.service, &ops, LIMIT);
	service_handle(f.service, T_EventManager, M_EventManager_CreateCollectorForEvents,
		       create_collector, &every);
	struct object *manager =
		inventory_add(f.inventory, T_EventManager, "EventManager", NULL, NULL);
	struct session *s = fake_session_new(&f, "user");
	assert_true(fake_call(&f, s, manager, M_EventManager_CreateCollectorForEvents, NULL));
	struct object *collector = fake_result_object(&f);
	m->every = every;
	m->page_size = HISTORY_PAGE;
	for (int i = 0; i < STEPS; i++) {
		step(&f, s, collector, m);
	}
	fake_session_end(s);
	history_free(history);
	assert_int_equal(n_dropped, m->n);
	free(m);
	fake_teardown(&f);
}

/* The collector's version moves exactly when its page does. */
static void page_is_told_when_it_changes(void **state)
{
	(void)state;
	struct fake f;
	int every = 2;
	struct arena *a = arena_new(0);

	fake_setup(&f);
	history = history_new(f.service, &ops, LIMIT);
	service_handle(f.service, T_EventManager, M_EventManager_CreateCollectorForEvents,
		       create_collector, &every);
	struct object *manager =
		inventory_add(f.inventory, T_EventManager, "EventManager", NULL, NULL);
	struct session *s = fake_session_new(&f, "user");
	assert_true(fake_call(&f, s, manager, M_EventManager_CreateCollectorForEvents, NULL));
	struct object *collector = fake_result_object(&f);
	const struct value *old = NULL;
	for (int i = 0; i < 200; i++) {
		uint64_t version = collector->version;
		item_add(i, i % 10 == 4);
		const struct value *page =
			value_keep(object_get(collector, P_EventHistoryCollector_latestPage, a));
		assert_true(page == old || collector->version > version);
		assert_true(i % 2 == 0 || collector->version == version);
		value_drop(old);
		old = page;
	}
	value_drop(old);
	/* It shows what its owner may read, so to nobody else. */
	struct session *other = fake_session_new(&f, "other");
	service_act_as(f.service, other);
	assert_null(object_get(collector, P_EventHistoryCollector_latestPage, a));
	service_act_as(f.service, s);
	assert_non_null(object_get(collector, P_EventHistoryCollector_latestPage, a));
	service_act_as(f.service, NULL);
	fake_session_end(other);
	fake_session_end(s);
	history_free(history);
	arena_free(a);
	fake_teardown(&f);
}

static void bad_use_is_refused(void **state)
{
	(void)state;
	struct fake f;
	int every = 1;
	struct value *args;

	fake_setup(&f);
	history = history_new(f.service, &ops, LIMIT);
	service_handle(f.service, T_EventManager, M_EventManager_CreateCollectorForEvents,
		       create_collector, &every);
	struct object *manager =
		inventory_add(f.inventory, T_EventManager, "EventManager", NULL, NULL);
	struct session *s = fake_session_new(&f, "user"), *other = fake_session_new(&f, "other");
	for (int i = 0; i < HISTORY_COLLECTORS_MAX; i++) {
		assert_true(
			fake_call(&f, s, manager, M_EventManager_CreateCollectorForEvents, NULL));
	}
	struct object *collector = fake_result_object(&f);
	assert_false(fake_call(&f, s, manager, M_EventManager_CreateCollectorForEvents, NULL));
	assert_true(value_is_a(f.fault, T_InvalidState));
	assert_true(fake_call(&f, other, manager, M_EventManager_CreateCollectorForEvents, NULL));
	static const size_t counts[] = { 0, 1001, (size_t)-1 };
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		count_set(&f, &args, ops.read_next, counts[i]);
		assert_false(fake_call(&f, s, collector, ops.read_next, args));
		assert_true(value_is_a(f.fault, T_InvalidArgument));
	}
	count_set(&f, &args, ops.read_next, 10);
	assert_false(fake_call(&f, other, collector, ops.read_next, args));
	assert_true(value_is_a(f.fault, T_ManagedObjectNotFound));
	assert_true(fake_call(&f, s, collector, M_HistoryCollector_DestroyCollector, NULL));
	assert_true(fake_call(&f, s, manager, M_EventManager_CreateCollectorForEvents, NULL));
	fake_session_end(s);
	history_free(history);
	fake_session_end(other);
	fake_teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(collector_follows_the_model),
		cmocka_unit_test(page_is_told_when_it_changes),
		cmocka_unit_test(bad_use_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
