/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/login_guard.h"

#include <assert.h>
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
	int64_t since_us; /* of the first failure */
	unsigned n;	  /* failures */
	unsigned n_running;
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

static char *pair_key(const char *user, const char *peer)
{
	return mem_printf("%s %.128s", peer, user);
}

/* Makes room for one more pair. */
static void make_room(struct login_guard *g)
{
	if (map_n(&g->pairs) < PAIRS_MAX) {
		return;
	}
	login_guard_sweep(g);
	if (map_n(&g->pairs) < PAIRS_MAX) {
		return;
	}
	log_limited_warn("more than %d failing pairs of user and address", PAIRS_MAX);
	map_each (&g->pairs, it) {
		const struct attempts *a = it->value;
		if (a->n_running == 0) {
			free(map_remove(&g->pairs, it->key));
		}
	}
}

enum login_verdict login_guard_enter(struct login_guard *g, const char *user, const char *peer)
{
	char *key = pair_key(user, peer);
	struct attempts *a = map_get(&g->pairs, key);
	enum login_verdict verdict = LOGIN_GO;

	if (a == NULL) {
		make_room(g);
		a = mem_zalloc(sizeof(*a));
		map_set(&g->pairs, key, a);
	}
	if (is_over(g, a)) {
		a->n = 0;
	}
	if (a->n >= FAILURES_MAX) {
		verdict = LOGIN_REFUSED;
		log_limited_warn("refused a login of \"%.128s\" from %s: %u failures in a minute",
				 user, peer, a->n);
	} else if (a->n + a->n_running >= FAILURES_MAX) {
		verdict = LOGIN_WAIT;
	} else {
		a->n_running++;
	}
	free(key);
	return verdict;
}

void login_guard_leave(struct login_guard *g, const char *user, const char *peer, bool ok)
{
	char *key = pair_key(user, peer);
	struct attempts *a = map_get(&g->pairs, key);

	assert(a != NULL && a->n_running > 0);
	a->n_running--;
	if (ok) {
		a->n = 0;
	} else {
		if (a->n == 0 || is_over(g, a)) {
			a->n = 0;
			a->since_us = clock_mono_us(g->clock);
		}
		a->n++;
	}
	if (a->n == 0 && a->n_running == 0) {
		free(map_remove(&g->pairs, key));
	}
	free(key);
}

void login_guard_sweep(struct login_guard *g)
{
	map_each (&g->pairs, it) {
		const struct attempts *a = it->value;
		if (a->n_running == 0 && (a->n == 0 || is_over(g, a))) {
			free(map_remove(&g->pairs, it->key));
		}
	}
}
