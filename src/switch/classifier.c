/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/classifier.h"

#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"
#include "switch/classifier_impl.h"
#include "switch/range_set.h"

/* ---- bit strings, each once ---- */

/* What is being made, and what is needed only meanwhile. */
struct making {
	struct classifier *c;
	const struct rule *rules;
	const struct rule_group *groups;
	size_t n_groups;
	uint32_t *index; /* of strings, by content */
	uint32_t index_mask;
	/* Entries by what they name in a dimension: name << 32 | entry, in order of entries. */
	VEC(uint64_t) named[N_DIMENSIONS];
	struct bits *usual[N_DIMENSIONS]; /* [chunk]: entries that take any value */
	struct range_set ranges[2];	  /* of source ports, of services */
	const struct classifier *before;
	struct error *e;
};

static uint64_t bits_hash(const struct bits *b)
{
	uint64_t h = 0x2545f4914f6cdd1du;

	for (int i = 0; i < WORDS; i++) {
		h = (h ^ b->w[i]) * 0x9e3779b97f4a7c15u;
		h ^= h >> 31;
	}
	return h;
}

static void strings_grow(struct making *m)
{
	struct classifier *c = m->c;

	if (c->n_strings == c->cap_strings) {
		uint32_t cap = c->cap_strings == 0 ? 256 : c->cap_strings * 2;
		struct bits *grown = mem_aligned(64, cap * sizeof(*grown));
		if (c->n_strings > 0) {
			memcpy(grown, c->strings, c->n_strings * sizeof(*grown));
		}
		free(c->strings);
		c->strings = grown;
		c->cap_strings = cap;
	}
	if (c->n_strings * 2 < m->index_mask) {
		return;
	}
	free(m->index);
	m->index_mask = m->index_mask == 0 ? 1023 : m->index_mask * 2 + 1;
	m->index = mem_calloc(m->index_mask + 1, sizeof(*m->index));
	for (uint32_t i = 0; i < c->n_strings; i++) {
		uint64_t at = bits_hash(&c->strings[i]) & m->index_mask;
		for (; m->index[at] != 0; at = (at + 1) & m->index_mask) {
		}
		m->index[at] = i + 1;
	}
}

static uint32_t string_of(struct making *m, const struct bits *b)
{
	struct classifier *c = m->c;

	strings_grow(m);
	uint64_t at = bits_hash(b) & m->index_mask;
	for (; m->index[at] != 0; at = (at + 1) & m->index_mask) {
		if (memcmp(&c->strings[m->index[at] - 1], b, sizeof(*b)) == 0) {
			return m->index[at] - 1;
		}
	}
	c->strings[c->n_strings++] = *b;
	m->index[at] = c->n_strings;
	return c->n_strings - 1;
}

static void bits_add(struct bits *b, const struct bits *more)
{
	for (int i = 0; i < WORDS; i++) {
		b->w[i] |= more->w[i];
	}
}

static void bits_set(struct bits *b, uint32_t i)
{
	b->w[i / 64] |= (uint64_t)1 << (i % 64);
}

/* ---- entries: rules, with what they name in each dimension ---- */

static void entry_any(struct making *m, int dimension, uint32_t entry)
{
	bits_set(&m->usual[dimension][entry / CHUNK], entry % CHUNK);
}

static void entry_names(struct making *m, int dimension, uint32_t entry, uint32_t name)
{
	vec_push(&m->named[dimension], (uint64_t)name << 32 | entry);
}

static void entry_groups(struct making *m, int dimension, uint32_t entry, const int32_t *groups,
			 size_t n)
{
	if (n == 0) {
		entry_any(m, dimension, entry);
	}
	for (size_t i = 0; i < n; i++) {
		entry_names(m, dimension, entry, (uint32_t)groups[i]);
	}
}

/* A range of ports of a protocol (0: all of them), for the IP versions of the rule. */
static void entry_range(struct making *m, int dimension, uint32_t entry, const struct rule *rule,
			const uint16_t proto_from_to[3])
{
	uint8_t proto = (uint8_t)proto_from_to[0];

	for (uint8_t ip = 4; ip <= 6; ip += 2) {
		if (rule->ip != 0 && rule->ip != ip) {
			continue;
		}
		uint32_t name =
			range_set_name(&m->ranges[dimension - SOURCE_PORT],
				       range_point(ip, proto, proto_from_to[1]),
				       range_point(ip, proto == 0 ? 255 : proto, proto_from_to[2]));
		entry_names(m, dimension, entry, name);
	}
}

static bool has_source_port(const struct rule_service *s)
{
	return s->proto != 0 && (s->source_from > 0 || s->source_to < UINT16_MAX);
}

static void entry_source_port(struct making *m, uint32_t entry, const struct rule *rule,
			      const struct rule_service *s)
{
	static const uint16_t all[3] = { 0, 0, UINT16_MAX };

	if (s != NULL) {
		entry_range(m, SOURCE_PORT, entry, rule,
			    (uint16_t[3]){ s->proto, s->source_from, s->source_to });
	} else if (rule->ip != 0) {
		entry_range(m, SOURCE_PORT, entry, rule, all);
	} else {
		entry_any(m, SOURCE_PORT, entry);
	}
}

static void entry_service(struct making *m, uint32_t entry, const struct rule *rule,
			  const struct rule_service *s)
{
	if (s->proto == 0) {
		entry_any(m, SERVICE, entry);
		return;
	}
	entry_range(m, SERVICE, entry, rule,
		    (uint16_t[3]){ s->proto, s->destination_from, s->destination_to });
}

/* The next entry of a rule, for all its services that look at no source port (`only` NULL) or for
 * one that does. */
static void entry_add(struct making *m, int32_t position, const struct rule_service *only)
{
	const struct rule *rule = &m->rules[position];
	uint32_t entry = (uint32_t)m->c->positions.n;

	vec_push(&m->c->positions, position);
	entry_groups(m, SOURCE, entry, rule->sources, rule->n_sources);
	entry_groups(m, DESTINATION, entry, rule->destinations, rule->n_destinations);
	if ((rule->direction & RULE_OUT) != 0) {
		entry_groups(m, PORT_OUT, entry, rule->applied_to, rule->n_applied_to);
	}
	if ((rule->direction & RULE_IN) != 0) {
		entry_groups(m, PORT_IN, entry, rule->applied_to, rule->n_applied_to);
	}
	entry_source_port(m, entry, rule, only);
	if (only != NULL) {
		entry_service(m, entry, rule, only);
		return;
	}
	if (rule->n_services == 0) {
		entry_any(m, SERVICE, entry);
	}
	for (size_t i = 0; i < rule->n_services; i++) {
		if (!has_source_port(&rule->services[i])) {
			entry_service(m, entry, rule, &rule->services[i]);
		}
	}
}

static size_t n_entries_of(const struct rule *rule)
{
	size_t n = 0;

	if (rule->is_disabled) {
		return 0;
	}
	for (size_t i = 0; i < rule->n_services; i++) {
		n += has_source_port(&rule->services[i]);
	}
	return n + (n < rule->n_services || rule->n_services == 0);
}

static void add_entries(struct making *m, int32_t position)
{
	const struct rule *rule = &m->rules[position];
	size_t n_with = 0;

	if (rule->is_disabled) {
		return;
	}
	for (size_t i = 0; i < rule->n_services; i++) {
		if (has_source_port(&rule->services[i])) {
			entry_add(m, position, &rule->services[i]);
			n_with++;
		}
	}
	if (n_with < rule->n_services || rule->n_services == 0) {
		entry_add(m, position, NULL);
	}
}

/* ---- what each name means, by chunk ---- */

struct chunk_string {
	uint32_t chunk, string;
};

/* Of a name: its strings, in order of chunks. */
struct names {
	uint32_t *first; /* [name], and one more */
	VEC(struct chunk_string) strings;
};

/* Puts name << 32 | entry in order of names; entries stay in order. */
static uint64_t *sort_named(const uint64_t *named, size_t n, uint32_t n_names, uint32_t *count)
{
	uint64_t *sorted = mem_calloc(n + 1, sizeof(*sorted));

	for (size_t i = 0; i < n; i++) {
		count[(named[i] >> 32) + 1]++;
	}
	for (uint32_t i = 0; i < n_names; i++) {
		count[i + 1] += count[i];
	}
	for (size_t i = 0; i < n; i++) {
		sorted[count[named[i] >> 32]++] = named[i];
	}
	return sorted; /* count[name] is now where the name ends */
}

static void names_make(struct making *m, int dimension, uint32_t n_names, struct names *out)
{
	size_t n = m->named[dimension].n, i = 0;
	uint32_t *count = mem_calloc((size_t)n_names + 2, sizeof(*count));
	uint64_t *sorted = sort_named(m->named[dimension].items, n, n_names, count);

	out->first = mem_calloc((size_t)n_names + 1, sizeof(*out->first));
	for (uint32_t name = 0; name < n_names; name++) {
		out->first[name] = (uint32_t)out->strings.n;
		while (i < n && sorted[i] >> 32 == name) {
			uint32_t chunk = (uint32_t)sorted[i] / CHUNK;
			struct bits b = { 0 };
			for (; i < n && sorted[i] >> 32 == name &&
			       (uint32_t)sorted[i] / CHUNK == chunk;
			     i++) {
				bits_set(&b, (uint32_t)sorted[i] % CHUNK);
			}
			vec_push(&out->strings, (struct chunk_string){ chunk, string_of(m, &b) });
		}
	}
	out->first[n_names] = (uint32_t)out->strings.n;
	free(count);
	free(sorted);
}

static void names_free(struct names *n)
{
	free(n->first);
	vec_free(&n->strings);
}

/* ---- a dimension from its classes ---- */

/* How a map of values says what its classes are. */
struct classes {
	const void *map;
	uint32_t n;
	uint32_t (*parent)(const void *map, uint32_t class); /* itself where it has none */
	const uint32_t *(*names)(const void *map, uint32_t class, size_t *n);
};

static void set_add(uint64_t *set, uint32_t chunk)
{
	set[chunk / 64] |= (uint64_t)1 << (chunk % 64);
}

static bool set_has(const uint64_t *set, uint32_t chunk)
{
	return (set[chunk / 64] >> (chunk % 64) & 1) != 0;
}

static void dimension_begin(struct making *m, int which, uint32_t n_classes, uint64_t *usual_some)
{
	struct dimension *d = &m->c->dimensions[which];
	size_t words = m->c->words;

	d->n_classes = n_classes;
	d->some = mem_calloc(n_classes * words + 1, sizeof(*d->some));
	d->own = mem_calloc(n_classes * words + 1, sizeof(*d->own));
	d->first = mem_calloc(n_classes, sizeof(*d->first));
	d->usual = mem_calloc(m->c->n_chunks + 1, sizeof(*d->usual));
	vec_reserve(&d->ids, 1); /* a place to point to, also where there is none */
	for (uint32_t i = 0; i < m->c->n_chunks; i++) {
		d->usual[i] = string_of(m, &m->usual[which][i]);
		if (d->usual[i] != ZERO) {
			set_add(usual_some, i);
		}
	}
}

/* Adds the strings of a name to those that a class has by now, `now` by chunk. */
static void class_add(struct making *m, const struct dimension *d, const struct names *names,
		      uint32_t name, uint64_t *own, uint32_t *now)
{
	for (uint32_t i = names->first[name]; i < names->first[name + 1]; i++) {
		struct chunk_string s = names->strings.items[i];
		uint32_t before = set_has(own, s.chunk) ? now[s.chunk] : d->usual[s.chunk];
		struct bits b = m->c->strings[before];
		bits_add(&b, &m->c->strings[s.string]);
		now[s.chunk] = string_of(m, &b);
		set_add(own, s.chunk);
	}
}

/* What a class inherits, into `now` and its set of own chunks. */
static void class_inherit(const struct classifier *c, const struct dimension *d, uint32_t parent,
			  uint64_t *own, uint32_t *now)
{
	const uint64_t *set = d->own + (size_t)parent * c->words;
	const uint32_t *id = d->ids.items + d->first[parent];

	for (uint32_t w = 0; w < c->words; w++) {
		own[w] = set[w];
		for (uint64_t left = set[w]; left != 0; left &= left - 1) {
			now[w * 64 + (uint32_t)__builtin_ctzll(left)] = *id++;
		}
	}
}

/* Writes down a class: its own strings in order, and in which chunks it has any bit. Strings of
 * its own always have one. */
static void class_end(const struct classifier *c, struct dimension *d, uint32_t class,
		      const uint64_t *usual_some, const uint32_t *now)
{
	const uint64_t *own = d->own + (size_t) class * c->words;
	uint64_t *some = d->some + (size_t) class * c->words;

	d->first[class] = (uint32_t)d->ids.n;
	for (uint32_t w = 0; w < c->words; w++) {
		some[w] = usual_some[w] | own[w];
		for (uint64_t left = own[w]; left != 0; left &= left - 1) {
			vec_push(&d->ids, now[w * 64 + (uint32_t)__builtin_ctzll(left)]);
		}
	}
}

static void dimension_make(struct making *m, int which, const struct classes *classes,
			   uint32_t n_names)
{
	struct dimension *d = &m->c->dimensions[which];
	struct names names = { 0 };
	uint32_t *now = mem_calloc(m->c->n_chunks + 1, sizeof(*now));
	uint64_t *usual_some = mem_calloc(m->c->words + 1, sizeof(*usual_some));

	dimension_begin(m, which, classes->n, usual_some);
	names_make(m, which, n_names, &names);
	for (uint32_t class = 0; class < classes->n; class ++) {
		uint64_t *own = d->own + (size_t) class * m->c->words;
		uint32_t parent = classes->parent(classes->map, class);
		size_t n;
		const uint32_t *list = classes->names(classes->map, class, &n);
		if (parent != class) {
			class_inherit(m->c, d, parent, own, now);
		}
		for (size_t i = 0; i < n; i++) {
			class_add(m, d, &names, list[i], own, now);
		}
		class_end(m->c, d, class, usual_some, now);
	}
	names_free(&names);
	free(usual_some);
	free(now);
}

/* ---- the maps ---- */

static uint32_t address_parent(const void *map, uint32_t class)
{
	return address_map_parent(map, class);
}

static const uint32_t *address_own(const void *map, uint32_t class, size_t *n)
{
	return address_map_own(map, class, n);
}

static uint32_t no_parent(const void *map, uint32_t class)
{
	(void)map;
	return class;
}

static const uint32_t *range_members(const void *map, uint32_t class, size_t *n)
{
	return range_map_members(map, class, n);
}

/* Only groups that a rule names in this dimension cut the address space. What the map before was
 * made of serves again where it is the same. */
static struct address_map *map_addresses(struct making *m, int which)
{
	const struct classifier *b = m->before;
	bool *is_named = mem_calloc(m->n_groups + 1, sizeof(*is_named));
	VEC(struct address_member) members = { 0 };

	vec_each (&m->named[which], named) {
		is_named[*named >> 32] = true;
	}
	for (uint32_t g = 0; g < m->n_groups; g++) {
		for (size_t i = 0; is_named[g] && i < m->groups[g].n_prefixes; i++) {
			struct address_member member;
			memset(&member, 0, sizeof(member)); /* its gaps are looked at too */
			member.prefix = m->groups[g].prefixes[i];
			member.group = g;
			vec_push(&members, member);
		}
	}
	uint64_t print = map_hash(members.items, members.n * sizeof(*members.items));
	struct address_map *map = NULL;
	if (b != NULL && b->prints[which] == print) {
		map = address_map_again(which == SOURCE ? b->sources : b->destinations);
	} else {
		map = address_map_new(members.items, members.n);
	}
	m->c->prints[which] = print;
	vec_free(&members);
	free(is_named);
	return map;
}

static struct address_map *make_addresses(struct making *m, int which)
{
	struct address_map *map = map_addresses(m, which);
	struct classes classes = { map, address_map_n_classes(map), address_parent, address_own };

	dimension_make(m, which, &classes, (uint32_t)m->n_groups);
	return map;
}

static struct range_map *make_ranges(struct making *m, int which)
{
	struct range_map *map = range_map_new(m->ranges[which - SOURCE_PORT].list.items,
					      m->ranges[which - SOURCE_PORT].list.n);

	if (map == NULL) {
		error_set(m->e, ERROR_LIMIT,
			  "the rules' port ranges overlap more than %d times; name fewer ranges",
			  RANGE_MAP_MEMBERS_MAX);
		return NULL;
	}
	struct classes classes = { map, range_map_n_classes(map), no_parent, range_members };
	dimension_make(m, which, &classes, (uint32_t)m->ranges[which - SOURCE_PORT].list.n);
	return map;
}

/* Ports and their groups: class 0 is in none, each port that is in one has a class of its own. */
struct port_groups {
	VEC(uint32_t) lists[CLASSIFIER_PORTS_MAX]; /* by class - 1 */
	uint32_t n_classes;
};

static const uint32_t *port_list(const void *map, uint32_t class, size_t *n)
{
	const struct port_groups *p = map;

	*n = class == 0 ? 0 : p->lists[class - 1].n;
	return class == 0 ? NULL : p->lists[class - 1].items;
}

static void make_ports(struct making *m, int which)
{
	struct port_groups *p = mem_zalloc(sizeof(*p));
	uint32_t *classes = mem_calloc(CLASSIFIER_PORTS_MAX, sizeof(*classes));

	p->n_classes = 1;
	for (uint32_t g = 0; g < m->n_groups; g++) {
		for (size_t i = 0; i < m->groups[g].n_ports; i++) {
			uint16_t port = m->groups[g].ports[i];
			if (classes[port] == 0) {
				classes[port] = p->n_classes++;
			}
			vec_push(&p->lists[classes[port] - 1], g);
		}
	}
	struct classes all = { p, p->n_classes, no_parent, port_list };
	dimension_make(m, which, &all, (uint32_t)m->n_groups);
	m->c->port_classes[which - PORT_OUT] = classes;
	for (uint32_t i = 0; i + 1 < p->n_classes; i++) {
		vec_free(&p->lists[i]);
	}
	free(p);
}

/* ---- making one ---- */

static bool check_limits(const struct classifier_input *in, struct error *e)
{
	size_t n_prefixes = 0, n_entries = 0;

	for (size_t g = 0; g < in->n_groups; g++) {
		n_prefixes += in->groups[g].n_prefixes;
	}
	for (size_t i = 0; i < in->n_rules; i++) {
		n_entries += n_entries_of(&in->rules[i]);
	}
	if (n_entries > CLASSIFIER_RULES_MAX) {
		return error_set(e, ERROR_LIMIT, "%zu rules; there can be %d", n_entries,
				 CLASSIFIER_RULES_MAX);
	}
	if (in->n_groups > CLASSIFIER_GROUPS_MAX) {
		return error_set(e, ERROR_LIMIT, "%zu groups; there can be %d", in->n_groups,
				 CLASSIFIER_GROUPS_MAX);
	}
	if (n_prefixes > CLASSIFIER_PREFIXES_MAX) {
		return error_set(e, ERROR_LIMIT, "%zu prefixes in groups; there can be %d",
				 n_prefixes, CLASSIFIER_PREFIXES_MAX);
	}
	return true;
}

static void make_entries(struct making *m, size_t n_rules)
{
	struct classifier *c = m->c;
	size_t n = 0;

	for (size_t i = 0; i < n_rules; i++) {
		n += n_entries_of(&m->rules[i]);
	}
	c->n_chunks = (uint32_t)((n + CHUNK - 1) / CHUNK);
	c->words = (c->n_chunks + 63) / 64;
	for (int d = 0; d < N_DIMENSIONS; d++) {
		m->usual[d] = mem_calloc(c->n_chunks + 1, sizeof(struct bits));
	}
	c->matches = mem_calloc(n_rules + 1, sizeof(*c->matches));
	for (size_t i = 0; i < n_rules; i++) {
		const struct rule *rule = &m->rules[i];
		c->matches[i] =
			(struct classifier_match){ (int32_t)i, rule->id,
						   (enum rule_action)rule->action, rule->log };
		add_entries(m, (int32_t)i);
	}
}

static bool make(struct making *m, size_t n_rules)
{
	static const struct bits none;

	(void)string_of(m, &none); /* ZERO */
	make_entries(m, n_rules);
	m->c->sources = make_addresses(m, SOURCE);
	m->c->destinations = make_addresses(m, DESTINATION);
	m->c->source_ports = make_ranges(m, SOURCE_PORT);
	m->c->services = m->c->source_ports == NULL ? NULL : make_ranges(m, SERVICE);
	if (m->c->services == NULL) {
		return false;
	}
	make_ports(m, PORT_OUT);
	make_ports(m, PORT_IN);
	return true;
}

struct classifier *classifier_new(const struct classifier_input *in, struct error *e)
{
	if (!check_limits(in, e)) {
		return NULL;
	}
	struct classifier *c = mem_zalloc(sizeof(*c));
	struct making m = { .c = c,
			    .rules = in->rules,
			    .groups = in->groups,
			    .n_groups = in->n_groups,
			    .before = in->before,
			    .e = e };

	c->n_rules = in->n_rules;
	c->fallback = (struct classifier_match){ CLASSIFIER_ANY, 0, in->fallback, false };
	bool made = make(&m, in->n_rules);
	free(m.index);
	for (int d = 0; d < N_DIMENSIONS; d++) {
		vec_free(&m.named[d]);
		free(m.usual[d]);
	}
	for (int i = 0; i < 2; i++) {
		range_set_fini(&m.ranges[i]);
	}
	if (!made) {
		classifier_free(c);
		return NULL;
	}
	return c;
}

void classifier_free(struct classifier *c)
{
	if (c == NULL) {
		return;
	}
	for (int i = 0; i < N_DIMENSIONS; i++) {
		struct dimension *d = &c->dimensions[i];
		free(d->some);
		free(d->own);
		free(d->first);
		free(d->usual);
		vec_free(&d->ids);
	}
	address_map_free(c->sources);
	address_map_free(c->destinations);
	range_map_free(c->source_ports);
	range_map_free(c->services);
	free(c->port_classes[0]);
	free(c->port_classes[1]);
	free(c->strings);
	vec_free(&c->positions);
	free(c->matches);
	free(c);
}
