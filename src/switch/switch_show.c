/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "switch/explain.h"
#include "switch/port.h"
#include "switch/range_map.h"
#include "switch/switch_impl.h"
#include "switch/tcp_track.h"

enum {
	FLOWS_SHOWN = 1000,
};

/* ---- numbers ---- */

struct json_object *switch_capacity(const struct softswitch *s)
{
	struct json_object *o = json_object_new_object();

	json_put_i64(o, "workers", s->n_workers);
	json_put_u64(o, "flows", flow_capacity(worker_flows(s->workers[0])));
	json_put_i64(o, "ports", CONFIG_PORTS_MAX);
	json_put_i64(o, "teams", CONFIG_TEAMS_MAX);
	json_put_i64(o, "devices", RTE_MAX_ETHPORTS); /* ports that are neither vhost nor stream */
	json_put_i64(o, "rules", CLASSIFIER_RULES_MAX);
	json_put_i64(o, "groups", CLASSIFIER_GROUPS_MAX);
	json_put_i64(o, "prefixes", CLASSIFIER_PREFIXES_MAX);
	json_put_i64(o, "prefixes_of_a_group", CONFIG_GROUP_PREFIXES_MAX);
	json_put_i64(o, "port_range_overlaps", RANGE_MAP_MEMBERS_MAX);
	json_put_i64(o, "sections", CONFIG_SECTIONS_MAX);
	json_put_i64(o, "segments", CONFIG_SEGMENTS_MAX);
	json_put_i64(o, "routers", CONFIG_ROUTERS_MAX);
	json_put_i64(o, "routes", CONFIG_ROUTES_MAX);
	json_put_i64(o, "endpoints", CONFIG_ENDPOINTS_MAX);
	json_put_i64(o, "remotes", CONFIG_REMOTES_MAX);
	return o;
}

/* Cycles and packets of each stage, in the turns that were looked at. */
static struct json_object *stages(const struct worker_counters *c)
{
	struct json_object *o = json_object_new_object();

	for (int i = 0; i < STAGE_N; i++) {
		struct json_object *stage = json_object_new_object();
		json_put_u64(stage, "cycles", c->stages[i].cycles);
		json_put_u64(stage, "packets", c->stages[i].packets);
		json_put(o, worker_stage_name((enum worker_stage)i), stage);
	}
	return o;
}

struct json_object *switch_status(const struct softswitch *s)
{
	const struct worker_counters *c = worker_counters(s->workers[0]);
	struct json_object *o = json_object_new_object();

	json_put_u64(o, "generation", s->generation);
	json_put_bool(o, "ready", s->wiring != NULL);
	json_put_u64(o, "flows", flow_count(worker_flows(s->workers[0])));
	json_put_u64(o, "flows_made", c->flows_made);
	json_put_u64(o, "flows_ended", c->flows_ended);
	json_put_u64(o, "flows_judged_again", c->flows_judged_again);
	json_put_u64(o, "flow_hits", c->flow_hits);
	json_put_u64(o, "flow_misses", c->flow_misses);
	json_put_u64(o, "flow_table_bytes", flow_table_bytes(worker_flows(s->workers[0])));
	json_put(o, "stages", stages(c));
	if (s->wiring != NULL) {
		struct classifier_stats rules;
		classifier_stats(tables_classifier(s->wiring->tables), &rules);
		json_put_u64(o, "rules", rules.n_rules);
		json_put_u64(o, "rules_bytes", rules.bytes);
	}
	return o;
}

/* ---- ports ---- */

static void put_mac(struct json_object *o, const uint8_t mac[6])
{
	char text[18];

	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
	json_put_str(o, "mac", text);
}

/* Takes the addresses over. */
static struct json_object *show_port(const struct softswitch *s, size_t i,
				     struct json_object *addresses)
{
	const struct port_counters *c = &worker_counters(s->workers[0])->ports[i];
	struct json_object *o = json_object_new_object(), *drops = json_object_new_object();

	json_put_str(o, "name", port_name(s->ports.items[i]));
	json_put_str(o, "label", s->wiring->config->ports[i].label);
	json_put_bool(o, "up", port_is_up(s->ports.items[i]));
	if (port_reason(s->ports.items[i]) != NULL) {
		json_put_str(o, "reason", port_reason(s->ports.items[i]));
	}
	if (s->wiring->config->ports[i].has_mac) {
		put_mac(o, s->wiring->config->ports[i].mac);
	}
	json_put(o, "addresses", addresses);
	json_put_u64(o, "rx_packets", c->rx_packets);
	json_put_u64(o, "rx_bytes", c->rx_bytes);
	json_put_u64(o, "tx_packets", c->tx_packets);
	json_put_u64(o, "tx_bytes", c->tx_bytes);
	for (int r = 0; r < DROP_N; r++) {
		if (c->drops[r] > 0) {
			json_put_u64(drops, drop_reason_name((enum drop_reason)r), c->drops[r]);
		}
	}
	json_put(o, "drops", drops);
	return o;
}

static struct json_object *show_ports(const struct softswitch *s)
{
	struct json_object *list = json_object_new_array();
	struct json_object **addresses = s->wiring == NULL ? NULL : switch_addresses(s);

	for (size_t i = 0; i < s->ports.n; i++) {
		json_object_array_add(list, show_port(s, i, addresses[i]));
	}
	free(addresses);
	return list;
}

/* ---- flows ---- */

static void put_end(struct json_object *o, const struct softswitch *s, const struct flow *f,
		    unsigned d)
{
	static const char *const names[2][6] = {
		{ "from", "from_port", "from_interface", "from_packets", "from_bytes" },
		{ "to", "to_port", "to_interface", "to_packets", "to_bytes" },
	};
	char text[INET6_ADDRSTRLEN] = "";
	uint32_t a[4];

	memcpy(a, f->high[d], 12);
	a[3] = f->address[d];
	inet_ntop((f->flags & FLOW_IP6) != 0 ? AF_INET6 : AF_INET,
		  (f->flags & FLOW_IP6) != 0 ? a : &a[3], text, sizeof(text));
	json_put_str(o, names[d][0], text);
	json_put_i64(o, names[d][1], ntohs(f->port[d]));
	json_put_str(o, names[d][2], tables_iface_name(s->wiring->tables, f->iface[d]));
	json_put_u64(o, names[d][3], f->packets[d]);
	json_put_u64(o, names[d][4], f->bytes[d]);
}

static struct json_object *show_flow(const struct softswitch *s, const struct flow *live)
{
	struct flow f = *live; /* its worker goes on meanwhile */
	struct json_object *o = json_object_new_object();
	int32_t left = (int32_t)(f.expires - worker_tick());

	json_put_i64(o, "protocol", f.proto);
	put_end(o, s, &f, 0);
	put_end(o, s, &f, 1);
	if (f.proto == 6) {
		json_put_str(o, "state", tcp_state_name((enum tcp_state)(f.tcp & 15)));
	}
	json_put_bool(o, "routed", (f.flags & FLOW_ROUTED) != 0);
	json_put_i64(o, "ends_in_s", (left < 0 ? 0 : left) * FLOW_TICK_MS / 1000);
	return o;
}

static struct json_object *show_flows(const struct softswitch *s)
{
	const struct flow_table *t = worker_flows(s->workers[0]);
	struct json_object *list = json_object_new_array();
	size_t n = 0;

	for (uint32_t i = 0; s->wiring != NULL && i < flow_high_water(t) && n < FLOWS_SHOWN; i++) {
		const struct flow *f = flow_at(t, i);
		if (f != NULL) {
			json_object_array_add(list, show_flow(s, f));
			n++;
		}
	}
	return list;
}

/* ---- rules, segments, MAC addresses ---- */

static struct json_object *show_rules(const struct softswitch *s)
{
	static const char *const actions[] = { "allow", "drop", "reject" };
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; s->wiring != NULL && i < s->wiring->config->n_rules; i++) {
		const struct rule *r = &s->wiring->config->rules[i];
		struct json_object *o = json_object_new_object();
		json_put_u64(o, "id", r->id);
		json_put_str(o, "name", s->wiring->config->rule_names[i]);
		json_put_str(o, "action", actions[r->action]);
		json_put_u64(o, "hits", s->wiring->rules[i].hits);
		json_put_u64(o, "packets", s->wiring->rules[i].packets);
		json_put_u64(o, "bytes", s->wiring->rules[i].bytes);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *show_segments(const struct softswitch *s)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; s->wiring != NULL && i < s->wiring->config->n_segments; i++) {
		const struct config_segment *g = &s->wiring->config->segments[i];
		const struct segment_ifaces *ifaces =
			tables_segment(s->wiring->tables, (uint16_t)i);
		struct json_object *o = json_object_new_object();
		json_put_str(o, "name", g->name);
		json_put_i64(o, "vni", g->vni);
		json_put_i64(o, "mtu", g->mtu);
		json_put_u64(o, "guests", ifaces->n_guests);
		json_put_u64(o, "remotes", g->n_remotes);
		json_object_array_add(list, o);
	}
	return list;
}

struct mac_list {
	const struct softswitch *s;
	struct json_object *list;
};

static void add_mac(void *arg, uint16_t segment, const uint8_t mac[6], uint16_t iface,
		    uint32_t age_ticks)
{
	struct mac_list *l = arg;
	const struct switch_config *c = l->s->wiring->config;
	struct json_object *o = json_object_new_object();

	put_mac(o, mac);
	json_put_str(o, "segment", segment < c->n_segments ? c->segments[segment].name : "?");
	json_put_str(o, "interface", tables_iface_name(l->s->wiring->tables, iface));
	json_put_i64(o, "age_s", age_ticks * FLOW_TICK_MS / 1000);
	json_object_array_add(l->list, o);
}

static struct json_object *show_macs(const struct softswitch *s)
{
	struct mac_list l = { s, json_object_new_array() };

	if (s->wiring != NULL) {
		learned_each_mac(s->learned, worker_tick(), add_mac, &l);
	}
	return l.list;
}

struct json_object *switch_show(const struct softswitch *s, const char *what, struct error *e)
{
	static const struct {
		const char *name;
		struct json_object *(*fn)(const struct softswitch *s);
	} tables[] = { { "ports", show_ports },
		       { "flows", show_flows },
		       { "rules", show_rules },
		       { "segments", show_segments },
		       { "macs", show_macs } };

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		if (strcmp(tables[i].name, what) == 0) {
			return tables[i].fn(s);
		}
	}
	error_set(e, ERROR_INVALID,
		  "\"%s\": there are ports, flows, rules, segments and macs to be shown", what);
	return NULL;
}

/* ---- explain ---- */

static void add_stage(void *arg, const char *stage, const char *text)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "stage", stage);
	json_put_str(o, "text", text);
	json_object_array_add(arg, o);
}

static int32_t port_index(const struct softswitch *s, const char *name)
{
	for (size_t i = 0; s->wiring != NULL && i < s->wiring->config->n_ports; i++) {
		if (strcmp(s->wiring->config->ports[i].name, name) == 0) {
			return (int32_t)i;
		}
	}
	return -1;
}

static void put_label(struct json_object *o, const char *member, const struct config_port *p)
{
	if (p->label[0] != '\0') {
		json_put_str(o, member, p->label);
	}
}

/* The ways out, by name. */
static struct json_object *show_outs(const struct tables *t, const struct fate *fate)
{
	struct json_object *list = json_object_new_array();
	bool is_one = !fate->is_flooded && !fate->is_copied;

	for (uint32_t i = 0; fate->reason == DROP_NONE && i < (is_one ? 1 : fate->n_copies); i++) {
		uint16_t iface = is_one ? fate->out.iface : fate->copies[i].iface;
		json_object_array_add(list, json_object_new_string(tables_iface_name(t, iface)));
	}
	return list;
}

static void put_fate(struct json_object *o, const struct tables *t, const struct fate *fate)
{
	int32_t rule = fate->rule_in >= 0 ? fate->rule_in : fate->rule_out;

	json_put_str(o, "fate", fate->reason == DROP_NONE ? "forward" : "drop");
	json_put_str(o, "reason", drop_reason_name(fate->reason));
	if (fate->reason == DROP_NONE && !fate->is_flooded) {
		const struct iface *to = tables_iface(t, fate->out.iface);
		json_put_str(o, "out", tables_iface_name(t, fate->out.iface));
		if (to->kind == IFACE_PORT) {
			put_label(o, "out_label", &tables_config(t)->ports[to->port]);
		}
	}
	json_put(o, "outs", show_outs(t, fate));
	json_put_u64(o, "copies", fate->n_copies);
	json_put_str(o, "answer", explain_answer_name(fate->answer));
	if (rule >= 0) {
		json_put_u64(o, "rule", tables_config(t)->rules[rule].id);
	}
}

struct json_object *switch_explain(const struct softswitch *s, const char *port,
				   const uint8_t *frame, size_t n, size_t size, struct error *e)
{
	int32_t index = port_index(s, port);

	if (index < 0) {
		error_set(e, ERROR_NOT_FOUND, "there is no port \"%s\"", port);
		return NULL;
	}
	struct json_object *o = json_object_new_object(), *stages = json_object_new_array();
	struct fate_trace trace = { add_stage, stages };
	struct fate fate = { .copies = mem_calloc(FATE_COPIES_MAX, sizeof(struct fate_out)) };
	int32_t team = s->wiring->config->ports[index].team;
	struct explain_input in = { .tables = s->wiring->tables,
				    .learned = s->learned,
				    .fragments = worker_fragments(s->workers[0]),
				    .seen = s->seen,
				    .flows = worker_flows(s->workers[0]),
				    .port = (uint16_t)index,
				    .way = team < 0 ? 0 : wiring_way(s->wiring, (uint16_t)team, 0),
				    .frame = frame,
				    .n = n,
				    .size = size,
				    .now = worker_tick(),
				    .trace = &trace };
	explain_frame(&in, &fate);
	json_put(o, "stages", stages);
	put_label(o, "label", &s->wiring->config->ports[index]);
	put_fate(o, s->wiring->tables, &fate);
	free(fate.copies);
	return o;
}
