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

	if (i->kind == IFACE_VLAN || i->kind == IFACE_TUNNEL) {
		const struct config_team *t = &w->config->teams[i->team];
		out.port = t->ports[0];
		for (size_t k = 0; k < t->n_ports; k++) {
			if (w->device[t->ports[k]] != WIRING_NO_DEVICE) {
				out.port = t->ports[k];
				break;
			}
		}
	}
	return out;
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
