/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/address_map.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "base/vec.h"

#define ROOTS  65536
#define MARKS  256
#define MARKED 16 /* starts of a root, from which on it has marks */

/* One for each value of an IPv4 address's upper half: the class of all of it (n 0: `first` is the
 * class), or n intervals from starts[first]. */
struct root {
	uint32_t first;
	uint32_t n;
};

struct interval6 {
	uint64_t high, low; /* where it starts */
	uint32_t class;
};

struct class
{
	uint32_t parent;
	uint32_t own, n_own; /* in groups */
};

struct address_map {
	unsigned n_owners;
	struct root roots[ROOTS];
	VEC(uint16_t) starts;	  /* lower halves */
	VEC(uint32_t) classes_at; /* of the interval at the same index */
	VEC(struct interval6) intervals6;
	VEC(struct class) classes;
	VEC(uint32_t) groups;
	/* While it is made: classes by parent and own groups. */
	uint32_t *index;
	uint32_t index_mask;
};

/* ---- classes ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15u;
	return h ^ (h >> 29);
}

static uint64_t class_hash(const struct address_map *m, const struct class *c)
{
	uint64_t h = mix(0x51ed270b, c->parent);

	for (uint32_t i = 0; i < c->n_own; i++) {
		h = mix(h, m->groups.items[c->own + i]);
	}
	return h;
}

static bool class_equal(const struct address_map *m, const struct class *a, const struct class *b)
{
	return a->parent == b->parent && a->n_own == b->n_own &&
	       memcmp(m->groups.items + a->own, m->groups.items + b->own,
		      a->n_own * sizeof(uint32_t)) == 0;
}

static void index_put(struct address_map *m, uint32_t class)
{
	uint64_t at = class_hash(m, &m->classes.items[class]) & m->index_mask;

	while (m->index[at] != 0) {
		at = (at + 1) & m->index_mask;
	}
	m->index[at] = class + 1;
}

static void index_grow(struct address_map *m)
{
	if (m->classes.n * 2 <= m->index_mask) {
		return;
	}
	free(m->index);
	m->index_mask = m->index_mask == 0 ? 1023 : m->index_mask * 2 + 1;
	m->index = mem_calloc(m->index_mask + 1, sizeof(*m->index));
	for (uint32_t i = 0; i < m->classes.n; i++) {
		index_put(m, i);
	}
}

/* The class of those groups under a parent; the groups are the last n of m->groups, and are given
 * back where the class is known already. */
static uint32_t class_of(struct address_map *m, uint32_t parent, uint32_t n)
{
	struct class c = { parent, (uint32_t)(m->groups.n - n), n };
	uint64_t at = class_hash(m, &c) & m->index_mask;

	for (; m->index[at] != 0; at = (at + 1) & m->index_mask) {
		if (class_equal(m, &m->classes.items[m->index[at] - 1], &c)) {
			m->groups.n -= n;
			return m->index[at] - 1;
		}
	}
	vec_push(&m->classes, c);
	m->index[at] = (uint32_t)m->classes.n;
	index_grow(m);
	return (uint32_t)m->classes.n - 1;
}

/* ---- intervals: where the class changes ---- */

/* What is being cut; the IPv4 address space is the last 32 bits of `low`. */
struct cut {
	struct address_map *map;
	VEC(struct interval6) at;
	struct {
		uint64_t last_high, last_low;
		uint32_t class;
	} open[130]; /* prefixes that contain where we are */
	unsigned n_open;
};

static void cut_at(struct cut *c, uint64_t high, uint64_t low, uint32_t class)
{
	if (c->at.n > 0) {
		struct interval6 *last = &vec_last(&c->at);
		if (last->high == high && last->low == low) {
			last->class = class;
			return;
		}
		if (last->class == class) {
			return;
		}
	}
	vec_push(&c->at, (struct interval6){ high, low, class });
}

static uint32_t cut_top(const struct cut *c)
{
	return c->open[c->n_open - 1].class;
}

/* Ends what ends before an address; all but the whole space where `all`. */
static void cut_close(struct cut *c, uint64_t high, uint64_t low, bool all)
{
	while (c->n_open > 1) {
		uint64_t end_high = c->open[c->n_open - 1].last_high;
		uint64_t end_low = c->open[c->n_open - 1].last_low;
		if (!all && (end_high > high || (end_high == high && end_low >= low))) {
			return;
		}
		c->n_open--;
		end_low++;
		end_high += end_low == 0;
		if (end_high != 0 || end_low != 0) { /* else: the end of the space */
			cut_at(c, end_high, end_low, cut_top(c));
		}
	}
}

static void halves(const uint8_t *address, uint8_t ip, uint64_t *high, uint64_t *low)
{
	uint32_t v4;
	uint64_t v6[2];

	if (ip == 4) {
		memcpy(&v4, address, 4);
		*high = 0;
		*low = be32toh(v4);
		return;
	}
	memcpy(v6, address, 16);
	*high = be64toh(v6[0]);
	*low = be64toh(v6[1]);
}

static bool same_prefix(const struct prefix *a, const struct prefix *b)
{
	return prefix_compare(a, b) == 0;
}

/* Takes the groups of one prefix, from members[i] on; returns where the next begins. */
static size_t cut_prefix(struct cut *c, const struct address_member *members, size_t n, size_t i)
{
	const struct prefix *p = &members[i].prefix;
	struct address_map *m = c->map;
	uint64_t high, low, last_high, last_low;
	uint8_t last[16];
	uint32_t n_own = 0;

	halves(p->address, p->ip, &high, &low);
	prefix_last(p, last);
	halves(last, p->ip, &last_high, &last_low);
	cut_close(c, high, low, false);
	for (; i < n && same_prefix(&members[i].prefix, p); i++) {
		if (n_own == 0 || vec_last(&m->groups) != members[i].group) {
			vec_push(&m->groups, members[i].group);
			n_own++;
		}
	}
	uint32_t class = class_of(m, cut_top(c), n_own);
	c->open[c->n_open].last_high = last_high;
	c->open[c->n_open].last_low = last_low;
	c->open[c->n_open].class = class;
	c->n_open++;
	cut_at(c, high, low, class);
	return i;
}

/* All members of one family, from `i`; `root` is the class of the whole space. */
static size_t cut_family(struct cut *c, const struct address_member *members, size_t n, size_t i,
			 uint32_t root)
{
	uint8_t ip = root == ADDRESS_CLASS_IP4 ? 4 : 6;

	vec_clear(&c->at);
	c->n_open = 1;
	c->open[0].class = root;
	cut_at(c, 0, 0, root);
	while (i < n && members[i].prefix.ip == ip) {
		i = cut_prefix(c, members, n, i);
	}
	cut_close(c, 0, 0, true);
	/* An address space of IPv4 ends where cut_close() does not see it. */
	if (ip == 4 && vec_last(&c->at).low > UINT32_MAX) {
		(void)vec_pop(&c->at);
	}
	return i;
}

/* ---- IPv4: the table over the upper half ---- */

/* Before the starts of a root with many of them stand marks: for each value of the next 8 bits the
 * last start that is not beyond its beginning. */
static void begin_marks(struct address_map *m)
{
	for (int i = 0; i < MARKS; i++) {
		vec_push(&m->starts, 0);
		vec_push(&m->classes_at, 0);
	}
}

static void fill_marks(struct address_map *m, const struct root *r)
{
	uint16_t *at = m->starts.items + r->first, *marks = at - MARKS;
	uint32_t i = 0;

	for (uint32_t mark = 0; mark < MARKS; mark++) {
		while (i + 1 < r->n && at[i + 1] <= mark << 8) {
			i++;
		}
		marks[mark] = (uint16_t)i;
	}
}

static void fill_roots(struct address_map *m, const struct cut *c)
{
	size_t k = 0;
	uint32_t class = ADDRESS_CLASS_IP4;

	for (uint32_t upper = 0; upper < ROOTS; upper++) {
		uint64_t begin = (uint64_t)upper << 16, end = begin + 65536;
		struct root *r = &m->roots[upper];
		if (k < c->at.n && c->at.items[k].low == begin) {
			class = c->at.items[k++].class;
		}
		r->first = class;
		if (k == c->at.n || c->at.items[k].low >= end) {
			continue;
		}
		bool is_marked = c->at.n - k >= MARKED && c->at.items[k + MARKED - 1].low < end;
		if (is_marked) {
			begin_marks(m);
		}
		r->first = (uint32_t)m->starts.n;
		vec_push(&m->starts, 0);
		vec_push(&m->classes_at, class);
		for (; k < c->at.n && c->at.items[k].low < end; k++) {
			class = c->at.items[k].class;
			vec_push(&m->starts, (uint16_t)c->at.items[k].low);
			vec_push(&m->classes_at, class);
		}
		r->n = (uint32_t)m->starts.n - r->first;
		if (is_marked) {
			fill_marks(m, r);
		}
	}
}

static int compare_members(const void *a, const void *b)
{
	const struct address_member *x = a, *y = b;
	int c = prefix_compare(&x->prefix, &y->prefix);

	return c != 0 ? c : (x->group > y->group) - (x->group < y->group);
}

struct address_map *address_map_new(struct address_member *members, size_t n)
{
	struct address_map *m = mem_zalloc(sizeof(*m));
	struct cut cut = { .map = m };

	m->n_owners = 1;
	if (n > 0) {
		qsort(members, n, sizeof(*members), compare_members);
	}
	vec_reserve(&m->groups, 1); /* a place to point to, also where there is none */
	vec_push(&m->classes, (struct class){ .parent = ADDRESS_CLASS_IP4 });
	vec_push(&m->classes, (struct class){ .parent = ADDRESS_CLASS_IP6 });
	index_grow(m);
	size_t i = cut_family(&cut, members, n, 0, ADDRESS_CLASS_IP4);
	fill_roots(m, &cut);
	cut_family(&cut, members, n, i, ADDRESS_CLASS_IP6);
	vec_reserve(&m->intervals6, cut.at.n);
	memcpy(m->intervals6.items, cut.at.items, cut.at.n * sizeof(*cut.at.items));
	m->intervals6.n = cut.at.n;
	vec_free(&cut.at);
	free(m->index);
	m->index = NULL;
	return m;
}

struct address_map *address_map_again(struct address_map *m)
{
	m->n_owners++;
	return m;
}

void address_map_free(struct address_map *m)
{
	if (m == NULL || --m->n_owners > 0) {
		return;
	}
	vec_free(&m->starts);
	vec_free(&m->classes_at);
	vec_free(&m->intervals6);
	vec_free(&m->classes);
	vec_free(&m->groups);
	free(m);
}

/* ---- questions ---- */

uint32_t address_map_n_classes(const struct address_map *m)
{
	return (uint32_t)m->classes.n;
}

uint32_t address_map_parent(const struct address_map *m, uint32_t class)
{
	return m->classes.items[class].parent;
}

const uint32_t *address_map_own(const struct address_map *m, uint32_t class, size_t *n)
{
	*n = m->classes.items[class].n_own;
	return m->groups.items + m->classes.items[class].own;
}

size_t address_map_bytes(const struct address_map *m)
{
	return sizeof(*m) + m->starts.n * 2 + m->classes_at.n * 4 +
	       m->intervals6.n * sizeof(struct interval6) + m->classes.n * sizeof(struct class) +
	       m->groups.n * 4;
}

uint32_t address_map_find4(const struct address_map *m, uint32_t address)
{
	uint32_t a = be32toh(address);
	const struct root *r = &m->roots[a >> 16];
	uint16_t lower = (uint16_t)a;

	if (r->n == 0) {
		return r->first;
	}
	/* The last start that is not beyond; the first one is 0. No branch that depends on data. */
	const uint16_t *at = m->starts.items + r->first;
	uint32_t n = r->n;
	if (n > MARKED) {
		const uint16_t *mark = at - MARKS + (lower >> 8);
		n = (lower >> 8 == MARKS - 1 ? n : mark[1] + 1u) - mark[0];
		at += mark[0];
	}
	for (; n > 1; n -= n / 2) {
		at = at[n / 2] <= lower ? at + n / 2 : at;
	}
	return m->classes_at.items[at - m->starts.items];
}

static bool starts_by(const struct interval6 *i, uint64_t high, uint64_t low)
{
	return i->high < high || (i->high == high && i->low <= low);
}

uint32_t address_map_find6(const struct address_map *m, const uint8_t address[16])
{
	uint64_t high, low;

	halves(address, 6, &high, &low);
	const struct interval6 *at = m->intervals6.items;
	for (size_t n = m->intervals6.n; n > 1; n -= n / 2) {
		at = starts_by(at + n / 2, high, low) ? at + n / 2 : at;
	}
	return at->class;
}
