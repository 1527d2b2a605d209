/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/login_guard.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

LOG_MODULE("session");

enum {
	FAILURES_MAX = 5,
	PAIRS_MAX = 10000
};
#define WINDOW_US (INT64_C(60) * 1000000)

struct attempts {
	int64_t since_us;
	unsigned n;
};

struct login_guard {
	struct clock *clock;
	struct map pairs; /* "address user" → struct attempts */
};

struct login_guard *login_guard_new(struct clock *clock)
{
	struct login_guard *g = mem_zalloc(sizeof(*g));

	g->clock = clock;
	return g;
}

void login_guard_free(struct login_guard *g)
{
	if (g != NULL) {
		map_free_values(&g->pairs, free);
		free(g);
	}
}

static bool is_over(const struct login_guard *g, const struct attempts *a)
{
	return clock_mono_us(g->clock) - a->since_us >= WINDOW_US;
}

bool login_guard_allows(struct login_guard *g, const char *user, const char *peer)
{
	if (map_n(&g->pairs) == 0) {
		return true;
	}
	char *key = mem_printf("%s %.128s", peer, user);
	const struct attempts *a = map_get(&g->pairs, key);
	bool ok = a == NULL || a->n < FAILURES_MAX || is_over(g, a);
	free(key);
	if (!ok) {
		log_limited_warn("refused a login of \"%.128s\" from %s: %u failures in a minute",
				 user, peer, a->n);
	}
	return ok;
}

void login_guard_failed(struct login_guard *g, const char *user, const char *peer)
{
	if (map_n(&g->pairs) >= PAIRS_MAX) {
		login_guard_sweep(g);
	}
	if (map_n(&g->pairs) >= PAIRS_MAX) {
		log_limited_warn("more than %d failing pairs of user and address", PAIRS_MAX);
		map_free_values(&g->pairs, free);
	}
	char *key = mem_printf("%s %.128s", peer, user);
	struct attempts *a = map_get(&g->pairs, key);
	if (a == NULL) {
		a = mem_zalloc(sizeof(*a));
		map_set(&g->pairs, key, a);
	}
	if (a->n == 0 || is_over(g, a)) {
		*a = (struct attempts){ .since_us = clock_mono_us(g->clock) };
	}
	a->n++;
	free(key);
}

void login_guard_passed(struct login_guard *g, const char *user, const char *peer)
{
	if (map_n(&g->pairs) == 0) {
		return;
	}
	char *key = mem_printf("%s %.128s", peer, user);
	free(map_remove(&g->pairs, key));
	free(key);
}

void login_guard_sweep(struct login_guard *g)
{
	map_each (&g->pairs, it) {
		if (is_over(g, it->value)) {
			free(map_remove(&g->pairs, it->key));
		}
	}
}
