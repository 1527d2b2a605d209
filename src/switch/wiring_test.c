/* SPDX-License-Identifier: Apache-2.0 */
/* Counts of rules go on where the rules stand in the next wiring, wherever they stood. */
#include "switch/wiring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"

static uint16_t next_index(void *arg, const char *name)
{
	uint16_t *n = arg;

	(void)name;
	return ++*n;
}

/* A wiring with rules of these numbers, up to 0. */
static struct wiring *make(const int *ids)
{
	struct buf text = BUF_INIT;
	struct error e;
	uint16_t n = 0, none = 0;
	struct iface_index index = { next_index, &n };

	buf_adds(&text, "{\"firewall\":{\"sections\":[{\"name\":\"s\",\"rules\":[");
	for (int i = 0; ids[i] != 0; i++) {
		buf_addf(&text, "%s{\"id\":%d,\"action\":\"drop\"}", i == 0 ? "" : ",", ids[i]);
	}
	buf_adds(&text, "]}]}}");
	struct json_object *o = json_parse(text.data, text.len, 4096, 32, &e);
	struct json_at root = json_root(o);
	struct switch_config *c = switch_config_read(&root, &e);
	assert_non_null(c);
	struct tables *t = tables_new(c, 1, &index, &e);
	assert_non_null(t);
	json_object_put(o);
	buf_free(&text);
	return wiring_new(t, &none, &none);
}

static void counts_follow_rules(void **state)
{
	static const int worlds[][8] = {
		{ 1, 2, 3, 4, 5 },
		{ 1, 2, 3, 4, 5 },
		{ 1, 2, 9, 3, 4, 5 },
		{ 1, 9, 3, 5 },
		{ 5, 3, 9, 1 },
		{ 7, 5, 3, 9, 1, 8 },
		{ 0 },
		{ 1, 2, 3 },
	};
	uint64_t counts[10] = { 0 };

	(void)state;
	struct wiring *before = make(worlds[0]);
	wiring_follow(before, NULL);
	for (size_t i = 0; i <= before->config->n_rules; i++) {
		size_t id = i < before->config->n_rules ? before->config->rules[i].id : 0;
		before->rules[i].hits = counts[id] = 10 + id;
	}
	for (size_t k = 1; k < ARRAY_LEN(worlds); k++) {
		struct wiring *w = make(worlds[k]);
		bool stays[10] = { true };
		wiring_follow(w, before);
		wiring_take_rules(w, before);
		for (size_t i = 0; i <= w->config->n_rules; i++) {
			size_t id = i < w->config->n_rules ? w->config->rules[i].id : 0;
			stays[id] = true;
			assert_int_equal(w->rules[i].hits, counts[id]);
			w->rules[i].hits = counts[id] = counts[id] * 2 + 1;
		}
		for (size_t id = 0; id < 10; id++) {
			counts[id] = stays[id] ? counts[id] : 0;
		}
		wiring_free(before);
		before = w;
	}
	wiring_free(before);
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(counts_follow_rules) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
