/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/classifier.h"

#include <endian.h>
#include <string.h>

#include "switch/classifier_impl.h"

/* A packet's class in each dimension that it is asked for. */
struct place {
	const struct dimension *dimension;
	const uint64_t *some, *own;
	uint32_t first;
};

static void place_at(const struct classifier *c, int which, uint32_t class, struct place *out)
{
	const struct dimension *d = &c->dimensions[which];

	out->dimension = d;
	out->some = d->some + (size_t) class * c->words;
	out->own = d->own + (size_t) class * c->words;
	out->first = d->first[class];
}

static const struct bits *place_string(const struct classifier *c, const struct place *p,
				       uint32_t chunk)
{
	uint32_t word = chunk / 64;
	uint64_t own = p->own[word], bit = (uint64_t)1 << (chunk % 64);

	if ((own & bit) == 0) {
		return &c->strings[p->dimension->usual[chunk]];
	}
	uint32_t rank = (uint32_t)__builtin_popcountll(own & (bit - 1));
	for (uint32_t w = 0; w < word; w++) {
		rank += (uint32_t)__builtin_popcountll(p->own[w]);
	}
	return &c->strings[p->dimension->ids.items[p->first + rank]];
}

/* The entries of a chunk that a connection's own dimensions allow. */
static void chunk_bits(const struct classifier *c, const struct place *places, uint32_t chunk,
		       struct bits *out)
{
	const struct bits *s[N_OWN];

	for (int d = 0; d < N_OWN; d++) {
		s[d] = place_string(c, &places[d], chunk);
	}
	for (int i = 0; i < WORDS; i++) {
		out->w[i] = s[0]->w[i] & s[1]->w[i] & s[2]->w[i] & s[3]->w[i];
	}
}

/* The first entry in both strings, or -1. */
static int32_t first_in_both(const struct bits *a, const struct bits *b)
{
	for (int i = 0; i < WORDS; i++) {
		uint64_t both = a->w[i] & b->w[i];
		if (both != 0) {
			return i * 64 + __builtin_ctzll(both);
		}
	}
	return -1;
}

static uint32_t address_class(const struct address_map *m, uint8_t ip, uint32_t low,
			      const uint32_t high[3])
{
	uint32_t a[4];

	if (ip == 4) {
		return address_map_find4(m, low);
	}
	memcpy(a, high, 12);
	a[3] = low;
	return address_map_find6(m, (const uint8_t *)a);
}

void classifier_classify(const struct classifier *c, const struct flow_key *k,
			 struct classifier_classes *out)
{
	if (c->n_chunks == 0) {
		*out = (struct classifier_classes){ 0 };
		return;
	}
	out->of[SOURCE] = address_class(c->sources, k->ip, k->src, k->src_high);
	out->of[DESTINATION] = address_class(c->destinations, k->ip, k->dst, k->dst_high);
	out->of[SOURCE_PORT] = range_map_find(c->source_ports, k->ip, k->proto, be16toh(k->sport));
	out->of[SERVICE] = range_map_find(c->services, k->ip, k->proto, be16toh(k->dport));
}

/* Looks at one chunk for those who have found nothing yet. */
static void chunk_find(const struct classifier *c, const struct place *own,
		       const struct place *ports, unsigned n, uint32_t chunk, int32_t *entries)
{
	const struct bits *before = NULL;
	struct bits bits;
	int32_t found = -1;

	chunk_bits(c, own, chunk, &bits);
	for (unsigned i = 0; i < n; i++) {
		if (entries[i] >= 0 || (ports[i].some[chunk / 64] >> (chunk % 64) & 1) == 0) {
			continue;
		}
		const struct bits *s = place_string(c, &ports[i], chunk);
		if (s != before) { /* else: rules that see no difference between both ports */
			found = first_in_both(&bits, s);
			before = s;
		}
		entries[i] = found < 0 ? -1 : (int32_t)(chunk * CHUNK) + found;
	}
}

void classifier_find_each(const struct classifier *c, const struct classifier_classes *k,
			  const struct classifier_ask *asks, unsigned n,
			  struct classifier_match *out)
{
	struct place own[N_OWN], ports[2];
	int32_t entries[2] = { -1, -1 };

	for (unsigned i = 0; i < n; i++) {
		out[i] = c->fallback;
	}
	for (unsigned i = 0; i < n; i++) {
		if (c->n_chunks == 0 || asks[i].port >= CLASSIFIER_PORTS_MAX) {
			return;
		}
		int d = asks[i].direction == RULE_OUT ? PORT_OUT : PORT_IN;
		place_at(c, d, c->port_classes[d - PORT_OUT][asks[i].port], &ports[i]);
	}
	for (int i = 0; i < N_OWN; i++) {
		place_at(c, i, k->of[i], &own[i]);
	}
	for (uint32_t w = 0; w < c->words; w++) {
		uint64_t left = own[0].some[w] & own[1].some[w] & own[2].some[w] & own[3].some[w];
		left &= ports[0].some[w] | (n == 2 ? ports[1].some[w] : 0);
		for (; left != 0; left &= left - 1) {
			chunk_find(c, own, ports, n, w * 64 + (uint32_t)__builtin_ctzll(left),
				   entries);
			if (entries[0] >= 0 && (n == 1 || entries[1] >= 0)) {
				w = c->words;
				break;
			}
		}
	}
	for (unsigned i = 0; i < n; i++) {
		if (entries[i] >= 0) {
			out[i] = c->matches[c->positions.items[entries[i]]];
		}
	}
}

struct classifier_match classifier_find(const struct classifier *c, const struct flow_key *k,
					uint16_t port, enum rule_direction direction)
{
	struct classifier_ask ask = { port, direction };
	struct classifier_classes classes;
	struct classifier_match m;

	classifier_classify(c, k, &classes);
	classifier_find_each(c, &classes, &ask, 1, &m);
	return m;
}

void classifier_stats(const struct classifier *c, struct classifier_stats *out)
{
	*out = (struct classifier_stats){ .n_rules = c->n_rules,
					  .n_chunks = c->n_chunks,
					  .n_strings = c->n_strings };
	out->bytes = sizeof(*c) + c->cap_strings * sizeof(struct bits) + c->positions.cap * 4 +
		     c->n_rules * sizeof(*c->matches) + address_map_bytes(c->sources) +
		     address_map_bytes(c->destinations) + range_map_bytes(c->source_ports) +
		     range_map_bytes(c->services) + 2 * CLASSIFIER_PORTS_MAX * sizeof(uint32_t);
	for (int i = 0; i < N_DIMENSIONS; i++) {
		const struct dimension *d = &c->dimensions[i];
		out->n_classes[i] = d->n_classes;
		out->bytes += d->n_classes * ((size_t)c->words * 16 + 4) + d->ids.cap * 4 +
			      c->n_chunks * 4;
	}
}
