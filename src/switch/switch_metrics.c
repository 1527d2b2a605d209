/* SPDX-License-Identifier: Apache-2.0 */
/* Workers' counters as metrics. They are plain numbers that workers alone write; what has been
 * added since the last time somebody asked is put onto the metrics then. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "base/metric.h"
#include "switch/guest_memory.h"
#include "switch/port.h"
#include "switch/switch_impl.h"

static struct {
	struct metric_family *packets, *bytes, *drops, *info, *closed;
	struct metric_family *rule_hits, *rule_packets, *rule_bytes;
	struct metric *flows, *made, *ended, *judged_again, *hits, *misses, *missing;
} m;

/* What the metrics have been told already, by the running wiring's positions. */
struct switch_metrics {
	struct worker_counters counters;
	struct rule_counters *rules;
	uint64_t missing;
};

static void make_families(void)
{
	m.packets = metric_counter("remora_switch_port_packets_total",
				   "Packets that ports took in (rx) and gave out (tx).",
				   "port,direction");
	m.bytes = metric_counter("remora_switch_port_bytes_total",
				 "Bytes that ports took in (rx) and gave out (tx).",
				 "port,direction");
	m.drops = metric_counter("remora_switch_drops_total", "Packets dropped, by port and why.",
				 "port,reason");
	m.info = metric_gauge("remora_switch_port_info",
			      "Always 1: what people call a port, beside its name.", "port,label");
	m.closed = metric_gauge("remora_switch_port_closed",
				"1: the port cannot be opened, and is tried again.", "port");
	m.rule_hits =
		metric_counter("remora_switch_rule_hits_total",
			       "First packets and dropped ones that a rule matched.", "rule,name");
	m.rule_packets =
		metric_counter("remora_switch_rule_packets_total",
			       "Packets of ended connections that a rule allowed.", "rule,name");
	m.rule_bytes =
		metric_counter("remora_switch_rule_bytes_total",
			       "Bytes of ended connections that a rule allowed.", "rule,name");
	m.missing = metric_with(
		metric_counter("remora_switch_guest_memory_missing_total",
			       "Memory that a guest said it shares and that was not there.", ""),
		NULL);
	m.flows = metric_with(
		metric_gauge("remora_switch_flows", "Connections that are known.", ""), NULL);
	m.made = metric_with(
		metric_counter("remora_switch_flows_made_total", "Connections begun.", ""), NULL);
	m.ended = metric_with(
		metric_counter("remora_switch_flows_ended_total", "Connections ended or aged.", ""),
		NULL);
	m.judged_again =
		metric_with(metric_counter("remora_switch_flows_judged_again_total",
					   "Packets whose connection was judged again.", ""),
			    NULL);
	m.hits = metric_with(metric_counter("remora_switch_flow_hits_total",
					    "Packets whose connection was found at once.", ""),
			     NULL);
	m.misses = metric_with(metric_counter("remora_switch_flow_misses_total",
					      "Packets that took the whole way.", ""),
			       NULL);
}

/* ---- telling ---- */

static void tell(struct metric *metric, uint64_t now, uint64_t *told)
{
	metric_add(metric, now - *told);
	*told = now;
}

/* Only what has counted anything gets a series. */
static void tell_of(struct metric_family *f, const char *a, const char *b, uint64_t now,
		    uint64_t *told)
{
	const char *const values[] = { a, b };

	if (now != *told) {
		tell(metric_with(f, values), now, told);
	}
}

static void tell_port(const char *name, const struct port_counters *now, struct port_counters *told)
{
	tell_of(m.packets, name, "rx", now->rx_packets, &told->rx_packets);
	tell_of(m.packets, name, "tx", now->tx_packets, &told->tx_packets);
	tell_of(m.bytes, name, "rx", now->rx_bytes, &told->rx_bytes);
	tell_of(m.bytes, name, "tx", now->tx_bytes, &told->tx_bytes);
	for (int r = 0; r < DROP_N; r++) {
		tell_of(m.drops, name, drop_reason_name((enum drop_reason)r), now->drops[r],
			&told->drops[r]);
	}
}

/* Joined with a port's other series by its name. */
static void tell_label(const struct config_port *p)
{
	const char *const values[] = { p->name, p->label };

	if (p->label[0] != '\0') {
		metric_set(metric_with(m.info, values), 1);
	}
}

static void tell_closed(const struct port *p)
{
	const char *const values[] = { port_name(p) };

	if (port_reason(p) != NULL) {
		metric_set(metric_with(m.closed, values), 1);
	} else {
		metric_remove(m.closed, values);
	}
}

static void rule_label(const struct switch_config *c, size_t i, char out[24])
{
	if (i < c->n_rules) {
		snprintf(out, 24, "%llu", (unsigned long long)c->rules[i].id);
	} else {
		snprintf(out, 24, "default");
	}
}

static void tell_rule(const struct switch_config *c, size_t i, const struct rule_counters *now,
		      struct rule_counters *told)
{
	const char *name = i < c->n_rules ? c->rule_names[i] : "default";
	char id[24];

	rule_label(c, i, id);
	tell_of(m.rule_hits, id, name, now->hits, &told->hits);
	tell_of(m.rule_packets, id, name, now->packets, &told->packets);
	tell_of(m.rule_bytes, id, name, now->bytes, &told->bytes);
}

static void collect(void *arg)
{
	struct softswitch *s = arg;
	const struct worker_counters *c = worker_counters(s->workers[0]);
	struct worker_counters *told = &s->metrics->counters;

	metric_set(m.flows, flow_count(worker_flows(s->workers[0])));
	tell(m.made, c->flows_made, &told->flows_made);
	tell(m.ended, c->flows_ended, &told->flows_ended);
	tell(m.judged_again, c->flows_judged_again, &told->flows_judged_again);
	tell(m.hits, c->flow_hits, &told->flow_hits);
	tell(m.misses, c->flow_misses, &told->flow_misses);
	tell(m.missing, guest_memory_n_missing(), &s->metrics->missing);
	if (s->wiring == NULL) {
		return;
	}
	const struct switch_config *config = s->wiring->config;
	for (size_t i = 0; i < config->n_ports; i++) {
		tell_port(config->ports[i].name, &c->ports[i], &told->ports[i]);
		tell_label(&config->ports[i]);
		tell_closed(s->ports.items[i]);
	}
	for (size_t i = 0; i <= config->n_rules; i++) {
		tell_rule(config, i, &s->wiring->rules[i], &s->metrics->rules[i]);
	}
}

/* ---- when another document runs ---- */

static void forget_port(const char *name)
{
	const char *values[] = { name, "rx" };

	for (int i = 0; i < 2; i++) {
		values[1] = i == 0 ? "rx" : "tx";
		metric_remove(m.packets, values);
		metric_remove(m.bytes, values);
	}
	metric_remove(m.closed, values);
	for (int r = 0; r < DROP_N; r++) {
		values[1] = drop_reason_name((enum drop_reason)r);
		metric_remove(m.drops, values);
	}
}

static void forget_rule(const struct switch_config *c, size_t i)
{
	char id[24];
	const char *const values[] = { id, c->rule_names[i] };

	rule_label(c, i, id);
	metric_remove(m.rule_hits, values);
	metric_remove(m.rule_packets, values);
	metric_remove(m.rule_bytes, values);
}

static void forget_label(const struct config_port *p)
{
	const char *const values[] = { p->name, p->label };

	if (p->label[0] != '\0') {
		metric_remove(m.info, values);
	}
}

/* Ends the series of ports and rules that are no more, or that bear another name. */
static void forget(const struct wiring *next, const struct wiring *before)
{
	bool *stays = mem_calloc(before->config->n_rules + CONFIG_PORTS_MAX, sizeof(*stays));

	for (size_t i = 0; i < next->config->n_ports; i++) {
		if (next->port_before[i] >= 0) {
			stays[next->port_before[i]] = true;
		}
	}
	for (size_t i = 0; i < before->config->n_ports; i++) {
		forget_label(&before->config->ports[i]); /* told anew where it stays */
		if (!stays[i]) {
			forget_port(before->config->ports[i].name);
		}
	}
	memset(stays, 0, CONFIG_PORTS_MAX * sizeof(*stays));
	for (size_t i = 0; i < next->config->n_rules; i++) {
		int32_t was = next->rule_before[i];
		if (was >= 0) {
			const char *now = next->config->rule_names[i];
			const char *then = before->config->rule_names[was];
			stays[was] = now == then || strcmp(now, then) == 0;
		}
	}
	for (size_t i = 0; i < before->config->n_rules; i++) {
		if (!stays[i]) {
			forget_rule(before->config, i);
		}
	}
	free(stays);
}

void switch_metrics_follow(struct softswitch *s, const struct wiring *next,
			   const struct wiring *before)
{
	struct switch_metrics *t = s->metrics;
	struct rule_counters *rules = mem_calloc(next->config->n_rules + 1, sizeof(*rules));

	if (before != NULL) {
		forget(next, before);
	}
	wiring_carry_ports(next, t->counters.ports, sizeof(t->counters.ports[0]));
	wiring_carry_rules(next, rules, t->rules);
	free(t->rules);
	t->rules = rules;
}

void switch_metrics_begin(struct softswitch *s)
{
	make_families();
	s->metrics = mem_zalloc(sizeof(*s->metrics));
	metric_add_collector(collect, s);
}

void switch_metrics_end(struct softswitch *s)
{
	if (s->metrics != NULL) {
		metric_drop_collector(collect, s);
		free(s->metrics->rules);
		free(s->metrics);
	}
}
