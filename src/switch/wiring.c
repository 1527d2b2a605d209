/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/wiring.h"

#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/map.h"
#include "base/mem.h"
#include "switch/flow.h"

_Static_assert(ARRAY_LEN(((struct wiring *)0)->wires) == FLOW_IFACES_MAX, "one for each");

static struct wire wire_of(const struct wiring *w, uint16_t iface)
{
	const struct iface *i = tables_iface(w->tables, iface);
	const struct config_segment *s = &w->config->segments[i->segment];
	struct wire out = { .port = i->port,
			    .vlan = i->vlan,
			    .kind = i->kind,
			    .team = i->team,
			    .frame_max = (uint16_t)(tables_mtu(w->tables, iface) + 14),
			    .vni = s->vni };

	return out;
}

/* The team's ports that are up or, where none is, those that are open: a link may be there before
 * anybody has looked. */
static size_t find_ways(const struct wiring *w, const struct config_team *team, const bool *is_up,
			uint16_t *out)
{
	size_t n = 0;

	for (int pass = 0; pass < 2 && n == 0; pass++) {
		for (size_t i = 0; i < team->n_ports; i++) {
			uint16_t port = team->ports[i];
			if (w->device[port] != WIRING_NO_DEVICE && (is_up[port] || pass == 1)) {
				out[n++] = port;
			}
		}
	}
	return team->policy == TEAM_ACTIVE_STANDBY ? MIN(n, (size_t)1) : n;
}

void wiring_set_links(struct wiring *w, const bool *is_up)
{
	for (size_t t = 0; t < w->config->n_teams; t++) {
		struct ways *ways = &w->ways[t];
		uint16_t found[WIRING_WAYS];
		size_t n = find_ways(w, &w->config->teams[t], is_up, found);
		bool is_other = false;
		for (size_t i = 0; i < WIRING_WAYS; i++) {
			uint16_t port = n == 0 ? (uint16_t)WIRING_NO_PORT : found[i % n];
			is_other |= ways->port[i] != port;
			__atomic_store_n(&ways->port[i], port, __ATOMIC_RELAXED);
		}
		if (is_other) {
			__atomic_store_n(&ways->moved, ways->moved + 1, __ATOMIC_RELEASE);
		}
	}
}

struct wiring *wiring_new(struct tables *tables, const uint16_t *devices, const uint16_t *n_queues)
{
	struct wiring *w = mem_zalloc(sizeof(*w));

	w->tables = tables;
	w->config = tables_config(tables);
	w->epoch = tables_epoch(tables);
	w->is_stateful = w->config->n_rules > 0;
	w->rules = mem_calloc(w->config->n_rules + 1, sizeof(*w->rules));
	w->rule_before = mem_calloc(w->config->n_rules + 1, sizeof(*w->rule_before));
	memset(w->device, 0xff, sizeof(w->device));
	memcpy(w->device, devices, w->config->n_ports * sizeof(*devices));
	memcpy(w->n_queues, n_queues, w->config->n_ports * sizeof(*n_queues));
	for (uint32_t i = 1; i < ARRAY_LEN(w->wires); i++) {
		if (tables_iface(tables, (uint16_t)i)->kind != IFACE_NONE) {
			w->wires[i] = wire_of(w, (uint16_t)i);
		}
	}
	wiring_set_links(w, (const bool[CONFIG_PORTS_MAX]){ false });
	return w;
}

void wiring_free(struct wiring *w)
{
	if (w != NULL) {
		tables_free(w->tables);
		free(w->rules);
		free(w->rule_before);
		free(w);
	}
}

/* ---- counts that go on ---- */

static int32_t position(const struct map *m, const char *name)
{
	return (int32_t)(uintptr_t)map_get(m, name) - 1;
}

static void follow_ports(struct wiring *w, const struct wiring *before)
{
	struct map names = { 0 };

	for (size_t i = 0; i < w->n_ports_before; i++) {
		map_set(&names, before->config->ports[i].name, (void *)(uintptr_t)(i + 1));
	}
	for (size_t i = 0; i < w->config->n_ports; i++) {
		w->port_before[i] = position(&names, w->config->ports[i].name);
	}
	map_free(&names);
}

/* Most rules stand where they stood, counted from the first or from the last. */
static void follow_rules(struct wiring *w, const struct wiring *before)
{
	const struct rule *now = w->config->rules,
			  *was = before == NULL ? NULL : before->config->rules;
	size_t n = w->config->n_rules, m = w->n_rules_before, first = 0;
	struct map64 ids = { 0 };

	for (; first < n && first < m && now[first].id == was[first].id; first++) {
		w->rule_before[first] = (int32_t)first;
	}
	w->n_rules_first = first;
	for (; n > first && m > first && now[n - 1].id == was[m - 1].id; n--, m--) {
		w->rule_before[n - 1] = (int32_t)(m - 1);
	}
	w->n_rules_last = w->config->n_rules - n;
	for (size_t i = first; i < m; i++) {
		map64_set(&ids, was[i].id, (void *)(uintptr_t)(i + 1));
	}
	for (size_t i = first; i < n; i++) {
		w->rule_before[i] = (int32_t)(uintptr_t)map64_get(&ids, now[i].id) - 1;
	}
	map64_free(&ids);
}

static bool have_segments_moved(const struct switch_config *now, const struct switch_config *before)
{
	bool moved = before->n_segments > now->n_segments;

	for (size_t i = 0; i < before->n_segments && !moved; i++) {
		moved = strcmp(before->segments[i].name, now->segments[i].name) != 0;
	}
	return moved;
}

void wiring_follow(struct wiring *w, const struct wiring *before)
{
	w->segments_moved = before != NULL && have_segments_moved(w->config, before->config);
	w->n_ports_before = before == NULL ? 0 : before->config->n_ports;
	w->n_rules_before = before == NULL ? 0 : before->config->n_rules;
	w->objects_stay = before != NULL && w->config->objects == before->config->objects;
	follow_ports(w, before);
	follow_rules(w, before);
	/* So that the worker, which writes it next, does not wait for its memory. */
	memset(w->rules, 0, (w->config->n_rules + 1) * sizeof(*w->rules));
	w->rule_before[w->config->n_rules] = before == NULL ? -1 : (int32_t)w->n_rules_before;
}

void wiring_carry_ports(const struct wiring *w, void *ports, size_t size)
{
	char *was, *now = ports;
	size_t n = MAX(w->n_ports_before, w->config->n_ports);

	if (w->objects_stay) {
		return;
	}
	was = mem_calloc(w->n_ports_before + 1, size);
	memcpy(was, ports, w->n_ports_before * size);
	memset(ports, 0, n * size);
	for (size_t i = 0; i < w->config->n_ports; i++) {
		if (w->port_before[i] >= 0) {
			memcpy(now + i * size, was + (size_t)w->port_before[i] * size, size);
		}
	}
	free(was);
}

void wiring_carry_rules(const struct wiring *w, struct rule_counters *rules,
			const struct rule_counters *before)
{
	size_t n = w->config->n_rules, last = n - w->n_rules_last;

	if (before == NULL) {
		return;
	}
	memcpy(rules, before, w->n_rules_first * sizeof(*rules));
	for (size_t i = w->n_rules_first; i < last; i++) {
		if (w->rule_before[i] >= 0) {
			rules[i] = before[w->rule_before[i]];
		}
	}
	/* With the default, which stands behind them. */
	memcpy(rules + last, before + (w->n_rules_before - w->n_rules_last),
	       (w->n_rules_last + 1) * sizeof(*rules));
}

void wiring_take_rules(struct wiring *w, struct wiring *before)
{
	if (before == NULL) {
		return;
	}
	if (w->n_rules_first == w->config->n_rules && w->n_rules_before == w->n_rules_first) {
		struct rule_counters *rules = w->rules;
		w->rules = before->rules;
		before->rules = rules;
		return;
	}
	wiring_carry_rules(w, w->rules, before->rules);
}
