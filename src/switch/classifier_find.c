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

/* The first entry of a chunk that all dimensions allow, or -1. */
static int32_t chunk_find(const struct classifier *c, const struct place *places, uint32_t chunk)
{
	const struct bits *s[N_ASKED];
	struct bits both;

	for (int d = 0; d < N_ASKED; d++) {
		s[d] = place_string(c, &places[d], chunk);
	}
	for (int i = 0; i < WORDS; i++) {
		both.w[i] = s[0]->w[i] & s[1]->w[i] & s[2]->w[i] & s[3]->w[i] & s[4]->w[i];
	}
	for (int i = 0; i < WORDS; i++) {
		if (both.w[i] != 0) {
			return (int32_t)(chunk * CHUNK) + i * 64 + __builtin_ctzll(both.w[i]);
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

struct classifier_match classifier_find(const struct classifier *c, const struct flow_key *k,
					uint16_t port, enum rule_direction direction)
{
	struct place places[N_ASKED];
	int port_dimension = direction == RULE_OUT ? PORT_OUT : PORT_IN;

	if (c->n_chunks == 0 || port >= CLASSIFIER_PORTS_MAX) {
		return c->fallback;
	}
	place_at(c, SOURCE, address_class(c->sources, k->ip, k->src, k->src_high), &places[0]);
	place_at(c, DESTINATION, address_class(c->destinations, k->ip, k->dst, k->dst_high),
		 &places[1]);
	place_at(c, SOURCE_PORT,
		 range_map_find(c->source_ports, k->ip, k->proto, be16toh(k->sport)), &places[2]);
	place_at(c, SERVICE, range_map_find(c->services, k->ip, k->proto, be16toh(k->dport)),
		 &places[3]);
	place_at(c, port_dimension, c->port_classes[port_dimension - PORT_OUT][port], &places[4]);
	for (uint32_t w = 0; w < c->words; w++) {
		uint64_t left = places[0].some[w] & places[1].some[w] & places[2].some[w] &
				places[3].some[w] & places[4].some[w];
		for (; left != 0; left &= left - 1) {
			uint32_t chunk = w * 64 + (uint32_t)__builtin_ctzll(left);
			int32_t entry = chunk_find(c, places, chunk);
			if (entry >= 0) {
				return c->matches[c->positions.items[entry]];
			}
		}
	}
	return c->fallback;
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
