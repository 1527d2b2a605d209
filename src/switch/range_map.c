/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/range_map.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "base/vec.h"

#define ROOTS 512 /* one per IP version and protocol */

/* n 0: `first` is the class of all ports; else n intervals from starts[first]. */
struct root {
	uint32_t first;
	uint32_t n;
};

struct class
{
	uint32_t first, n; /* in members */
};

struct range_map {
	struct root roots[ROOTS];
	VEC(uint16_t) starts;
	VEC(uint32_t) classes_at;
	VEC(struct class) classes;
	VEC(uint32_t) members;
};

struct edge {
	uint32_t at;
	uint32_t id;
	bool is_end;
};

/* The ranges that hold at a place of the sweep, in no order. */
struct active {
	VEC(uint32_t) ids;
	VEC(uint32_t) sorted;
	uint32_t *place; /* [id]: in ids */
};

static int compare_edges(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

static int compare_ids(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void pass_edge(struct active *a, const struct edge *edge)
{
	if (!edge->is_end) {
		a->place[edge->id] = (uint32_t)a->ids.n;
		vec_push(&a->ids, edge->id);
		return;
	}
	uint32_t last = vec_pop(&a->ids), hole = a->place[edge->id];
	if (last != edge->id) {
		a->ids.items[hole] = last;
		a->place[last] = hole;
	}
}

/* A class of what is active; the last one made where that is the same. */
static uint32_t class_of(struct range_map *m, struct active *a)
{
	if (a->ids.n == 0) {
		return 0;
	}
	vec_clear(&a->sorted);
	vec_each (&a->ids, id) {
		vec_push(&a->sorted, *id);
	}
	vec_sort(&a->sorted, compare_ids);
	for (size_t back = 1; back <= 8 && back < m->classes.n; back++) {
		const struct class *c = &m->classes.items[m->classes.n - back];
		if (c->n == a->sorted.n && memcmp(m->members.items + c->first, a->sorted.items,
						  c->n * sizeof(uint32_t)) == 0) {
			return (uint32_t)(m->classes.n - back);
		}
	}
	vec_push(&m->classes, (struct class){ (uint32_t)m->members.n, (uint32_t)a->ids.n });
	vec_each (&a->sorted, id) {
		vec_push(&m->members, *id);
	}
	return (uint32_t)m->classes.n - 1;
}

/* The class from a point on; in order of points. */
static void begin_interval(struct range_map *m, uint32_t point, uint32_t class)
{
	struct root *r = &m->roots[point >> 16];

	if ((point & 0xffff) == 0) {
		r->first = class;
		return;
	}
	if (r->n == 0) {
		uint32_t before = r->first;
		r->first = (uint32_t)m->starts.n;
		r->n = 1;
		vec_push(&m->starts, 0);
		vec_push(&m->classes_at, before);
	}
	vec_push(&m->starts, (uint16_t)point);
	vec_push(&m->classes_at, class);
	r->n++;
}

/* The edges, and one at the first port of each protocol, so that every root is begun. */
static struct edge *edges_of(const struct range *ranges, size_t n)
{
	struct edge *edges = mem_calloc(2 * n + 1, sizeof(*edges));

	for (size_t i = 0; i < n; i++) {
		edges[2 * i] = (struct edge){ ranges[i].from, ranges[i].id, false };
		edges[2 * i + 1] = (struct edge){ ranges[i].to + 1, ranges[i].id, true };
	}
	if (n > 0) {
		qsort(edges, 2 * n, sizeof(*edges), compare_edges);
	}
	return edges;
}

static bool sweep(struct range_map *m, const struct edge *edges, size_t n)
{
	struct active active = { .place = mem_calloc(n / 2 + 1, sizeof(uint32_t)) };
	uint32_t class = 0;
	size_t i = 0;

	for (uint32_t root = 0; root < ROOTS && m->members.n <= RANGE_MAP_MEMBERS_MAX; root++) {
		uint32_t begin = root << 16, end = begin + 65536;
		begin_interval(m, begin, class);
		while (i < n && edges[i].at < end && m->members.n <= RANGE_MAP_MEMBERS_MAX) {
			uint32_t at = edges[i].at;
			for (; i < n && edges[i].at == at; i++) {
				pass_edge(&active, &edges[i]);
			}
			class = class_of(m, &active);
			begin_interval(m, at, class);
		}
	}
	vec_free(&active.ids);
	vec_free(&active.sorted);
	free(active.place);
	return m->members.n <= RANGE_MAP_MEMBERS_MAX;
}

struct range_map *range_map_new(const struct range *ranges, size_t n)
{
	struct range_map *m = mem_zalloc(sizeof(*m));
	struct edge *edges = edges_of(ranges, n);

	vec_reserve(&m->members, 1); /* a place to point to, also where there is none */
	vec_push(&m->classes, (struct class){ 0 });
	bool fits = sweep(m, edges, 2 * n);
	free(edges);
	if (!fits) {
		range_map_free(m);
		return NULL;
	}
	return m;
}

void range_map_free(struct range_map *m)
{
	if (m == NULL) {
		return;
	}
	vec_free(&m->starts);
	vec_free(&m->classes_at);
	vec_free(&m->classes);
	vec_free(&m->members);
	free(m);
}

uint32_t range_map_n_classes(const struct range_map *m)
{
	return (uint32_t)m->classes.n;
}

const uint32_t *range_map_members(const struct range_map *m, uint32_t class, size_t *n)
{
	*n = m->classes.items[class].n;
	return m->members.items + m->classes.items[class].first;
}

size_t range_map_bytes(const struct range_map *m)
{
	return sizeof(*m) + m->starts.n * 6 + m->classes.n * sizeof(struct class) +
	       m->members.n * 4;
}

uint32_t range_map_find(const struct range_map *m, uint8_t ip, uint8_t proto, uint16_t port)
{
	const struct root *r = &m->roots[range_point(ip, proto, 0) >> 16];

	if (r->n == 0) {
		return r->first;
	}
	const uint16_t *at = m->starts.items + r->first;
	for (uint32_t n = r->n; n > 1; n -= n / 2) {
		at = at[n / 2] <= port ? at + n / 2 : at;
	}
	return m->classes_at.items[at - m->starts.items];
}
