/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The classifier against a naive model: random rules over a small world of addresses, ports and
 * services, so that most packets meet several rules; each answer must be the first match.
 */
#include "switch/classifier.h"

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "base/vec.h"

enum {
	GROUPS = 40,
	LIST_MAX = 3,
	PORTS = 12,
};

struct world {
	struct rule_group groups[GROUPS];
	struct prefix prefixes[GROUPS][6];
	uint16_t ports[GROUPS][4];
	struct rule *rules;
	int32_t (*lists)[3][LIST_MAX];
	struct rule_service (*services)[LIST_MAX];
	size_t n_rules;
	uint64_t seed;
};

static uint32_t draw(struct world *w, uint32_t n)
{
	w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(w->seed >> 33) % n;
}

/* ---- the world ---- */

/* Addresses 10.a.b.c and fd00::a:b:c of few values, so that prefixes nest and meet. */
static void draw_address(struct world *w, uint8_t ip, uint8_t out[16])
{
	memset(out, 0, 16);
	out[0] = ip == 4 ? 10 : 0xfd;
	for (int i = ip == 4 ? 1 : 13; i < (ip == 4 ? 4 : 16); i++) {
		out[i] = (uint8_t)(draw(w, 4) * 85);
	}
}

static void draw_prefix(struct world *w, struct prefix *p)
{
	static const uint8_t lengths4[] = { 0, 8, 10, 16, 17, 24, 26, 31, 32 };
	static const uint8_t lengths6[] = { 0, 8, 104, 112, 113, 120, 127, 128 };
	uint8_t last[16];

	p->ip = draw(w, 3) == 0 ? 6 : 4;
	p->length = p->ip == 4 ? lengths4[draw(w, ARRAY_LEN(lengths4))]
			       : lengths6[draw(w, ARRAY_LEN(lengths6))];
	draw_address(w, p->ip, p->address);
	/* Bits beyond the length away: what the last address has set and the first has not. */
	prefix_last(p, last);
	for (unsigned bit = p->length; bit < (p->ip == 4 ? 32u : 128u); bit++) {
		p->address[bit / 8] &= (uint8_t) ~(0x80u >> (bit % 8));
	}
}

static void draw_groups(struct world *w)
{
	for (int g = 0; g < GROUPS; g++) {
		struct rule_group *group = &w->groups[g];
		group->prefixes = w->prefixes[g];
		group->ports = w->ports[g];
		group->n_prefixes = draw(w, 6);
		group->n_ports = draw(w, 5);
		for (size_t i = 0; i < group->n_prefixes; i++) {
			draw_prefix(w, &w->prefixes[g][i]);
		}
		for (size_t i = 0; i < group->n_ports; i++) {
			w->ports[g][i] = (uint16_t)draw(w, PORTS);
		}
	}
}

static uint16_t draw_list(struct world *w, int32_t *list)
{
	uint16_t n = draw(w, 3) == 0 ? 0 : (uint16_t)(1 + draw(w, LIST_MAX));

	for (uint16_t i = 0; i < n; i++) {
		list[i] = (int32_t)draw(w, GROUPS);
	}
	return n;
}

static void draw_range(struct world *w, uint16_t *from, uint16_t *to)
{
	static const uint16_t edges[] = { 0, 1, 80, 81, 443, 1024, 65534, 65535 };
	uint16_t a = edges[draw(w, ARRAY_LEN(edges))], b = edges[draw(w, ARRAY_LEN(edges))];

	*from = a < b ? a : b;
	*to = a < b ? b : a;
}

static void draw_service(struct world *w, struct rule_service *s)
{
	static const uint8_t protos[] = { 0, 1, 6, 6, 17, 58, 255 };

	s->proto = protos[draw(w, ARRAY_LEN(protos))];
	s->source_from = 0;
	s->source_to = UINT16_MAX;
	if (draw(w, 4) == 0) {
		draw_range(w, &s->source_from, &s->source_to);
	}
	draw_range(w, &s->destination_from, &s->destination_to);
}

static void draw_rules(struct world *w, size_t n)
{
	static const uint8_t families[] = { 0, 0, 4, 6 };

	w->n_rules = n;
	w->rules = calloc(n + 1, sizeof(*w->rules));
	w->lists = calloc(n + 1, sizeof(*w->lists));
	w->services = calloc(n + 1, sizeof(*w->services));
	for (size_t i = 0; i < n; i++) {
		struct rule *r = &w->rules[i];
		r->id = 1000 + i;
		r->sources = w->lists[i][0];
		r->destinations = w->lists[i][1];
		r->applied_to = w->lists[i][2];
		r->services = w->services[i];
		r->n_sources = draw_list(w, w->lists[i][0]);
		r->n_destinations = draw_list(w, w->lists[i][1]);
		r->n_applied_to = draw_list(w, w->lists[i][2]);
		r->n_services = (uint16_t)draw(w, LIST_MAX + 1);
		for (uint16_t k = 0; k < r->n_services; k++) {
			draw_service(w, &w->services[i][k]);
		}
		r->action = (uint8_t)draw(w, 3);
		r->direction = (uint8_t)(1 + draw(w, 3));
		r->ip = families[draw(w, ARRAY_LEN(families))];
		r->log = draw(w, 2) == 0;
	}
}

static void world_free(struct world *w)
{
	free(w->rules);
	free(w->lists);
	free(w->services);
}

/* ---- the model ---- */

static bool model_address(const struct world *w, const int32_t *list, size_t n,
			  const uint8_t *address, uint8_t ip)
{
	for (size_t i = 0; i < n; i++) {
		const struct rule_group *g = &w->groups[list[i]];
		for (size_t k = 0; k < g->n_prefixes; k++) {
			if (g->prefixes[k].ip == ip && prefix_contains(&g->prefixes[k], address)) {
				return true;
			}
		}
	}
	return n == 0;
}

static bool model_port(const struct world *w, const struct rule *r, uint16_t port)
{
	for (size_t i = 0; i < r->n_applied_to; i++) {
		const struct rule_group *g = &w->groups[r->applied_to[i]];
		for (size_t k = 0; k < g->n_ports; k++) {
			if (g->ports[k] == port) {
				return true;
			}
		}
	}
	return r->n_applied_to == 0;
}

static bool model_service(const struct rule *r, const struct flow_key *k)
{
	uint16_t sport = be16toh(k->sport), dport = be16toh(k->dport);

	for (size_t i = 0; i < r->n_services; i++) {
		const struct rule_service *s = &r->services[i];
		if (s->proto == 0 ||
		    (s->proto == k->proto && s->source_from <= sport && sport <= s->source_to &&
		     s->destination_from <= dport && dport <= s->destination_to)) {
			return true;
		}
	}
	return r->n_services == 0;
}

static void model_bytes(uint32_t low, const uint32_t high[3], uint8_t ip, uint8_t out[16])
{
	memset(out, 0, 16);
	if (ip == 4) {
		memcpy(out, &low, 4);
		return;
	}
	memcpy(out, high, 12);
	memcpy(out + 12, &low, 4);
}

static int32_t model_find(const struct world *w, const struct flow_key *k, uint16_t port,
			  enum rule_direction direction)
{
	uint8_t src[16], dst[16];

	model_bytes(k->src, k->src_high, k->ip, src);
	model_bytes(k->dst, k->dst_high, k->ip, dst);
	for (size_t i = 0; i < w->n_rules; i++) {
		const struct rule *r = &w->rules[i];
		if (!r->is_disabled && (r->direction & direction) != 0 &&
		    (r->ip == 0 || r->ip == k->ip) &&
		    model_address(w, r->sources, r->n_sources, src, k->ip) &&
		    model_address(w, r->destinations, r->n_destinations, dst, k->ip) &&
		    model_service(r, k) && model_port(w, r, port)) {
			return (int32_t)i;
		}
	}
	return CLASSIFIER_ANY;
}

/* ---- tests ---- */

static struct flow_key draw_key(struct world *w)
{
	static const uint8_t protos[] = { 1, 6, 17, 47, 58, 0, 255 };
	static const uint16_t ports[] = { 0, 1, 79, 80, 81, 82, 443, 1023, 1024, 65534, 65535 };
	struct flow_key k = { .ip = draw(w, 3) == 0 ? 6 : 4 };
	uint8_t a[2][16];

	for (int i = 0; i < 2; i++) {
		draw_address(w, k.ip, a[i]);
		a[i][k.ip == 4 ? 3 : 15] ^= (uint8_t)draw(w, 3);
	}
	memcpy(&k.src, a[0] + (k.ip == 4 ? 0 : 12), 4);
	memcpy(&k.dst, a[1] + (k.ip == 4 ? 0 : 12), 4);
	memcpy(k.src_high, a[0], 12);
	memcpy(k.dst_high, a[1], 12);
	k.proto = protos[draw(w, ARRAY_LEN(protos))];
	k.sport = htobe16(ports[draw(w, ARRAY_LEN(ports))]);
	k.dport = htobe16(ports[draw(w, ARRAY_LEN(ports))]);
	return k;
}

/* Two ports asked at once are told what each is told alone. */
static void check_pair(struct world *w, const struct classifier *c, const struct flow_key *k,
		       uint16_t port, enum rule_direction direction)
{
	struct classifier_ask asks[2] = {
		{ port, direction },
		{ (uint16_t)draw(w, PORTS + 1), direction == RULE_IN ? RULE_OUT : RULE_IN },
	};
	struct classifier_match m[2];
	struct classifier_classes classes;

	classifier_classify(c, k, &classes);
	classifier_find_each(c, &classes, asks, 2, m);
	assert_int_equal(m[0].position, model_find(w, k, port, direction));
	assert_int_equal(m[1].position, model_find(w, k, asks[1].port, asks[1].direction));
}

static void check_packets(struct world *w, const struct classifier *c, size_t n_packets)
{
	for (size_t i = 0; i < n_packets; i++) {
		struct flow_key k = draw_key(w);
		uint16_t port = (uint16_t)draw(w, PORTS + 1);
		enum rule_direction direction = draw(w, 2) == 0 ? RULE_IN : RULE_OUT;
		int32_t wanted = model_find(w, &k, port, direction);
		struct classifier_match m = classifier_find(c, &k, port, direction);
		assert_int_equal(m.position, wanted);
		check_pair(w, c, &k, port, direction);
		if (wanted == CLASSIFIER_ANY) {
			assert_int_equal(m.id, 0);
			assert_int_equal(m.action, RULE_DROP);
			continue;
		}
		assert_int_equal(m.id, w->rules[wanted].id);
		assert_int_equal(m.action, w->rules[wanted].action);
		assert_int_equal(m.log, w->rules[wanted].log);
	}
}

/* Another action or group, or none of it counts for now. */
static void change_rule(struct world *w, struct rule *r)
{
	switch (draw(w, 3)) {
	case 0:
		r->is_disabled = !r->is_disabled;
		break;
	case 1:
		r->action = (uint8_t)draw(w, 3);
		break;
	default:
		r->n_sources = draw_list(w, w->lists[r - w->rules][0]);
		break;
	}
}

static void check_world(uint64_t seed, size_t n_rules, size_t n_packets)
{
	struct world *w = calloc(1, sizeof(*w));
	struct error e;

	w->seed = seed;
	draw_groups(w);
	draw_rules(w, n_rules);
	struct classifier_input in = { w->rules, n_rules, w->groups, GROUPS, RULE_DROP, NULL };
	struct classifier *c = classifier_new(&in, &e);
	assert_non_null(c);
	check_packets(w, c, n_packets);
	/* A second one that shares what stays, and outlives the first. */
	for (size_t i = 0; i < 3 && n_rules > 0; i++) {
		change_rule(w, &w->rules[draw(w, (uint32_t)n_rules)]);
	}
	in.before = c;
	struct classifier *next = classifier_new(&in, &e);
	assert_non_null(next);
	classifier_free(c);
	check_packets(w, next, n_packets);
	classifier_free(next);
	world_free(w);
	free(w);
}

static void few_rules_are_as_the_model_says(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		check_world(seed, seed % 20, 200);
	}
}

static void many_rules_are_as_the_model_says(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 5; seed++) {
		check_world(seed * 977, 511 + seed * 600, 500);
	}
}

/* Rules that nearly nothing meets, so that answers are found in late chunks. */
static void late_rules_are_found(void **state)
{
	enum {
		N = 40000
	};
	struct rule *rules = calloc(N, sizeof(*rules));
	struct rule_group *groups = calloc(N, sizeof(*groups));
	struct prefix *prefixes = calloc(N, sizeof(*prefixes));
	int32_t *names = calloc(N, sizeof(*names));
	struct error e;

	(void)state;
	for (uint32_t i = 0; i < N; i++) {
		uint32_t address = htobe32(0x0a000000 + i * 7);
		memcpy(prefixes[i].address, &address, 4);
		prefixes[i].length = 32;
		prefixes[i].ip = 4;
		groups[i] = (struct rule_group){ &prefixes[i], 1, NULL, 0 };
		names[i] = (int32_t)i;
		rules[i] = (struct rule){ .id = i,
					  .destinations = &names[i],
					  .n_destinations = 1,
					  .direction = RULE_IN_OUT };
	}
	struct classifier_input in = { rules, N, groups, N, RULE_REJECT, NULL };
	struct classifier *c = classifier_new(&in, &e);
	assert_non_null(c);
	for (uint32_t i = 0; i < N * 7; i++) {
		struct flow_key k = { .ip = 4, .proto = 17, .dst = htobe32(0x0a000000 + i) };
		struct classifier_match m = classifier_find(c, &k, 3, RULE_IN);
		assert_int_equal(m.position, i % 7 == 0 ? (int32_t)(i / 7) : CLASSIFIER_ANY);
	}
	classifier_free(c);
	free(rules);
	free(groups);
	free(prefixes);
	free(names);
}

static void too_much_is_refused_with_the_limit(void **state)
{
	struct rule_group *groups = calloc(CLASSIFIER_GROUPS_MAX + 1, sizeof(*groups));
	struct classifier_input in = {
		NULL, 0, groups, CLASSIFIER_GROUPS_MAX + 1, RULE_DROP, NULL
	};
	struct error e;

	(void)state;
	assert_null(classifier_new(&in, &e));
	assert_int_equal(e.kind, ERROR_LIMIT);
	assert_string_equal(e.msg, "262145 groups; there can be 262144");
	free(groups);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_rules_are_as_the_model_says),
		cmocka_unit_test(many_rules_are_as_the_model_says),
		cmocka_unit_test(late_rules_are_found),
		cmocka_unit_test(too_much_is_refused_with_the_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
