/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/explain.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "switch/encap.h"
#include "switch/tcp_track.h"

enum {
	HEAD_MAX = 2048, /* bytes that are looked at: more than all headers may take */
};

/* A frame on its way; the tunnel and the tag come off. */
struct way {
	const struct explain_input *in;
	struct fate *fate;
	uint8_t head[HEAD_MAX];
	size_t n_head, size;
	uint16_t iface;
	struct packet p;
};

static void tell(const struct way *w, const char *stage, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void tell(const struct way *w, const char *stage, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (w->in->trace == NULL) {
		return;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	w->in->trace->stage(w->in->trace->arg, stage, text);
}

static bool drop(const struct way *w, const char *stage, enum drop_reason r)
{
	w->fate->reason = r;
	tell(w, stage, "dropped: %s (%s)", drop_reason_text(r), drop_reason_name(r));
	return false;
}

/* Takes n bytes off the front of the frame, behind the first `keep` of them. */
static void cut(struct way *w, size_t keep, size_t n)
{
	memmove(w->head + keep, w->head + keep + n, w->n_head - keep - n);
	w->n_head -= n;
	w->size -= n;
}

static bool parse(struct way *w)
{
	enum drop_reason r =
		packet_parse(&w->p, w->head, (uint16_t)w->n_head, (uint32_t)w->size, false);

	return r == DROP_NONE || drop(w, "parse", r);
}

/* ---- where it comes in ---- */

static bool enter_tunnel(struct way *w, uint16_t team, const struct encap_read *r)
{
	const struct tables *t = w->in->tables;
	int32_t endpoint = r->is_good ? tables_endpoint(t, &r->source) : -1;
	char text[INET6_ADDRSTRLEN] = "?";

	w->iface = tables_tunnel_ingress(t, team, r->encapsulation, r->vni);
	if (!r->is_good) {
		return drop(w, "tunnel", DROP_TUNNEL_HEADER);
	}
	inet_ntop(r->source.ip == 6 ? AF_INET6 : AF_INET, r->source.bytes, text, sizeof(text));
	tell(w, "tunnel", "%s %u from %s", r->encapsulation == ENCAP_VXLAN ? "VXLAN" : "Geneve",
	     r->vni, text);
	if (endpoint < 0 || w->iface == 0) {
		return drop(w, "tunnel", endpoint < 0 ? DROP_TUNNEL_PEER : DROP_TUNNEL_SEGMENT);
	}
	if (r->size > w->n_head) {
		return drop(w, "tunnel", DROP_SHORT);
	}
	cut(w, 0, r->size);
	return true;
}

/* Who asks for, or tells, the endpoint's own address on the tunnels' network. */
static bool is_for_endpoint(struct way *w, const struct config_team *team)
{
	struct packet_neighbor n;
	uint16_t vlan = w->p.vlan == 0 ? PACKET_NO_VLAN : w->p.vlan;

	if ((w->p.flags & PACKET_NEIGHBOR) == 0 || !packet_neighbor(&w->p, &n) ||
	    vlan != team->vlan || team->address.ip != n.ip ||
	    memcmp(team->address.bytes, n.target, n.ip == 4 ? 4 : 16) != 0) {
		return false;
	}
	w->fate->answer = n.is_request ? ANSWER_NEIGHBOR : ANSWER_NONE;
	return true;
}

/* A frame's tag says which segment it belongs to; an identifier of 0 is only a priority. */
static bool take_tag(struct way *w)
{
	uint16_t vlan = w->p.vlan == 0 ? PACKET_NO_VLAN : w->p.vlan;

	w->iface = tables_ingress(w->in->tables, w->in->port, vlan);
	if (w->iface == 0) {
		return drop(w, "ingress", vlan == PACKET_NO_VLAN ? DROP_PORT_CLOSED : DROP_VLAN);
	}
	const struct switch_config *c = tables_config(w->in->tables);
	if (c->ports[w->in->port].team >= 0 &&
	    fate_is_echo(w->in->tables, w->in->port, w->in->way,
			 tables_iface(w->in->tables, w->iface)->segment, w->head)) {
		return drop(w, "ingress", DROP_UPLINK_ECHO);
	}
	if (w->p.vlan != PACKET_NO_VLAN) {
		cut(w, 12, 4);
	}
	return true;
}

static bool enter(struct way *w)
{
	const struct switch_config *c = tables_config(w->in->tables);
	int32_t number = c->ports[w->in->port].team;
	const struct config_team *team = number < 0 ? NULL : &c->teams[number];

	if (team != NULL) {
		struct encap_read r;
		if (encap_parse(team, w->head, (uint32_t)w->n_head, (uint32_t)w->size, &r)) {
			return enter_tunnel(w, (uint16_t)number, &r);
		}
	}
	if (!parse(w)) {
		return false;
	}
	if (team != NULL && is_for_endpoint(w, team)) {
		return drop(w, "endpoint", DROP_CONSUMED);
	}
	return take_tag(w);
}

/* ---- records ---- */

/* False: TCP drops the packet, or it opens another connection than the record's. */
static bool follow_tcp(struct way *w, struct flow *f, unsigned d)
{
	if (f->proto != 6 || (w->p.flags & PACKET_LATER) != 0) {
		return true;
	}
	switch (tcp_follow(f, d, &w->p)) {
	case TCP_GOOD:
		return true;
	case TCP_BAD_STATE:
		return drop(w, "flow", DROP_TCP_STATE);
	case TCP_BAD_WINDOW:
		return drop(w, "flow", DROP_TCP_WINDOW);
	case TCP_AGAIN:
		break;
	}
	tell(w, "flow", "opens an ended connection anew");
	return false;
}

/* The record of the packet's connection, copied: following TCP may change it. False: there is
 * none, or TCP drops the packet. */
static bool find_record(struct way *w, struct flow *out, unsigned *d)
{
	const struct flow *f =
		flow_find(w->in->flows, &w->p.key, flow_hash(w->in->flows, &w->p.key), d);

	if (f == NULL) {
		return false;
	}
	*out = *f;
	return follow_tcp(w, out, *d);
}

/* The record of a connection whose sender has moved to where the packet came in, copied, as it will
 * be then. */
static bool find_moved(struct way *w, const struct fate_input *in, struct flow *out, unsigned *d)
{
	struct fate_input silent = *in;
	struct fate decided = { 0 };

	silent.trace = NULL;
	fate_decide(&silent, &decided);
	const struct flow *f = fate_find_moved(in, &decided, w->in->flows, d);
	if (f == NULL) {
		return false;
	}
	*out = *f;
	out->iface[*d] = w->iface;
	out->epoch = (uint16_t)(tables_epoch(in->tables) - 1);
	tell(w, "flow", "of a known connection, whose sender has moved here");
	return follow_tcp(w, out, *d);
}

static bool find_related(const struct way *w, struct flow *out, unsigned *d)
{
	if ((w->p.flags & PACKET_ICMP_ERROR) == 0 || w->p.inner.ip == 0) {
		return false;
	}
	struct flow_key answer = flow_key_reverse(&w->p.inner, w->p.key.iface);
	const struct flow *f =
		flow_find(w->in->flows, &answer, flow_hash(w->in->flows, &answer), d);
	if (f != NULL) {
		*out = *f;
		tell(w, "flow", "an error that belongs to a known connection");
	}
	return f != NULL;
}

/* Does the packet go as its record says, without asking the tables? */
static bool may_follow(const struct way *w, const struct flow *f, unsigned d)
{
	const struct tables *t = w->in->tables;

	return f->epoch == tables_epoch(t) && memcmp(f->mac[d], w->head, 12) == 0 &&
	       w->size - 14 <= tables_mtu(t, f->iface[1 - d]) && (f->flags & FLOW_ASKS) == 0 &&
	       ((f->flags & FLOW_ROUTED) == 0 || w->p.ttl > 1);
}

static void follow(struct way *w, const struct flow *f, unsigned d)
{
	const struct tables *t = w->in->tables;
	const struct switch_config *c = tables_config(t);
	struct fate *fate = w->fate;
	int32_t rule = (int32_t)f->rule;

	fate->out = (struct fate_out){ f->iface[1 - d], f->tunnel };
	fate->is_routed = (f->flags & FLOW_ROUTED) != 0;
	memcpy(fate->destination, f->mac[1 - d] + 6, 6);
	memcpy(fate->source, f->mac[1 - d], 6);
	tell(w, "ingress", "%s", tables_iface_name(t, w->iface));
	if (rule >= 0 && (size_t)rule < c->n_rules) {
		fate->rule_in = rule;
		tell(w, "flow", "%s of a connection that rule %llu \"%s\" allowed",
		     d == 0 ? "a packet" : "an answer", (unsigned long long)c->rules[rule].id,
		     c->rule_names[rule]);
	} else {
		tell(w, "flow", "%s of a known connection", d == 0 ? "a packet" : "an answer");
	}
	tell(w, "egress", "%s", tables_iface_name(t, fate->out.iface));
}

/* ---- all of it ---- */

/* What is asked of a first packet behind the tables. */
static void begin_flow(struct way *w, bool is_related)
{
	const struct switch_config *c = tables_config(w->in->tables);
	bool is_stateful = c->n_rules > 0, is_error = (w->p.flags & PACKET_ICMP_ERROR) != 0;

	if (is_error) {
		if (is_stateful && !is_related) {
			drop(w, "flow", DROP_ICMP_UNRELATED);
		}
		return;
	}
	if (!w->fate->makes_flow) {
		return;
	}
	if (is_stateful && w->p.key.proto == 6 && !tcp_opens(&w->p)) {
		drop(w, "flow", DROP_TCP_STATE);
	} else if (is_stateful && (w->p.flags & PACKET_REPLY) != 0) {
		drop(w, "flow", DROP_ICMP_UNRELATED);
	} else if (flow_count(w->in->flows) == flow_capacity(w->in->flows)) {
		drop(w, "flow", DROP_FLOW_TABLE);
	} else {
		tell(w, "flow", "begins a connection");
	}
}

/* The way out of a tunnel begins with the next hop's MAC address. */
static void leave(struct way *w)
{
	const struct switch_config *c = tables_config(w->in->tables);
	const struct iface *to = tables_iface(w->in->tables, w->fate->out.iface);
	uint8_t mac[6];

	if (w->fate->is_flooded || w->fate->is_copied || to->kind != IFACE_TUNNEL) {
		return;
	}
	const struct address *hop =
		encap_next_hop(&c->teams[to->team], &c->endpoints[w->fate->out.endpoint]);
	if (!learned_find_neighbor(w->in->learned, LEARNED_UNDERLAY, hop, mac, w->in->now)) {
		drop(w, "tunnel", DROP_NO_NEIGHBOR);
	}
}

static void decide(struct way *w)
{
	struct fate_input in = { .tables = w->in->tables,
				 .learned = w->in->learned,
				 .seen = w->in->seen,
				 .packet = &w->p,
				 .hash = (uint32_t)flow_hash(w->in->flows, &w->p.key),
				 .now = w->in->now,
				 .trace = w->in->trace };
	struct flow f;
	struct flow_key first;
	unsigned d = 0;
	bool is_known = packet_has_connection(&w->p) && find_record(w, &f, &d);

	is_known = is_known || (w->fate->reason == DROP_NONE && find_moved(w, &in, &f, &d));
	if (w->fate->reason != DROP_NONE) {
		return;
	}
	if (is_known && may_follow(w, &f, d)) {
		follow(w, &f, d);
		leave(w);
		return;
	}
	bool is_related = !is_known && find_related(w, &f, &d);
	if (is_known || is_related) {
		flow_key_of(&f, 0, &first);
		in.first = &first;
		in.is_answer = d == 1;
	}
	fate_decide(&in, w->fate);
	if (w->fate->reason == DROP_NONE && !is_known) {
		begin_flow(w, is_related);
	}
	if (w->fate->reason == DROP_NONE) {
		leave(w);
	}
}

void explain_frame(const struct explain_input *in, struct fate *out)
{
	struct way w = { .in = in, .fate = out, .size = in->size };
	struct fate_out *copies = out->copies;

	*out = (struct fate){ .copies = copies,
			      .rule_out = FATE_RULE_NOT_ASKED,
			      .rule_in = FATE_RULE_NOT_ASKED };
	w.n_head = MIN(in->n, (size_t)HEAD_MAX);
	memcpy(w.head, in->frame, w.n_head);
	if (!enter(&w) || !parse(&w)) {
		return;
	}
	if (w.p.vlan != PACKET_NO_VLAN) {
		drop(&w, "ingress", DROP_VLAN);
		return;
	}
	w.p.key.iface = w.iface;
	if ((w.p.flags & PACKET_FRAGMENT) != 0) {
		enum drop_reason r = fragments_look(in->fragments, &w.p, in->now);
		if (r != DROP_NONE) {
			drop(&w, "fragment", r);
			return;
		}
	}
	decide(&w);
}

const char *explain_answer_name(enum fate_answer a)
{
	switch (a) {
	case ANSWER_NONE:
		break;
	case ANSWER_NEIGHBOR:
		return "neighbor";
	case ANSWER_ECHO:
		return "echo_reply";
	case ANSWER_TTL:
		return "time_exceeded";
	case ANSWER_NO_ROUTE:
		return "no_route";
	case ANSWER_TOO_BIG:
		return "too_big";
	case ANSWER_RST:
		return "reset";
	case ANSWER_PROHIBITED:
		return "prohibited";
	case ANSWER_DHCP:
		return "dhcp";
	}
	return "none";
}
