/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/fate.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "switch/fate_guard.h"
#include "switch/tcp_track.h"

/* What the stages hand on to each other. */
struct way {
	const struct fate_input *in;
	struct fate *fate;
	const struct tables *tables;
	const struct packet *packet;
	const struct iface *from;
	const struct config_segment *segment; /* that it came in on */
	uint16_t segment_out;		      /* that it leaves on */
	bool is_judged;
	struct classifier_match verdicts[2]; /* of the firewall: out, in */
};

/* ---- what `explain` hears ---- */

static void tell_stage(const struct way *w, const char *stage, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

static void tell_stage(const struct way *w, const char *stage, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	w->in->trace->stage(w->in->trace->arg, stage, text);
}

/* Nothing of it is asked for where nobody listens. */
#define tell(w, ...)                                                                               \
	do {                                                                                       \
		if (UNLIKELY((w)->in->trace != NULL)) {                                            \
			tell_stage((w), __VA_ARGS__);                                              \
		}                                                                                  \
	} while (0)

static void drop(const struct way *w, const char *stage, enum drop_reason r)
{
	w->fate->reason = r;
	tell(w, stage, "dropped: %s (%s)", drop_reason_text(r), drop_reason_name(r));
}

static const char *address_text(const struct address *a, char out[INET6_ADDRSTRLEN])
{
	inet_ntop(a->ip == 6 ? AF_INET6 : AF_INET, a->bytes, out, INET6_ADDRSTRLEN);
	return out;
}

static const char *segment_name(const struct way *w, uint16_t segment)
{
	return tables_config(w->tables)->segments[segment].name;
}

/* ---- addresses of a packet ---- */

static struct address destination_of(const struct packet *p)
{
	struct address a = { .ip = p->key.ip };

	if (a.ip == 4) {
		memcpy(a.bytes, &p->key.dst, 4);
	} else {
		memcpy(a.bytes, p->key.dst_high, 12);
		memcpy(a.bytes + 12, &p->key.dst, 4);
	}
	return a;
}

static const uint8_t *router_mac(const struct way *w, uint16_t segment)
{
	const struct switch_config *c = tables_config(w->tables);
	int32_t router = c->segments[segment].router;

	return router < 0 ? NULL : c->routers[router].mac;
}

static bool is_router_mac(const struct way *w, const uint8_t *mac)
{
	const uint8_t *own = router_mac(w, w->from->segment);

	return own != NULL && memcmp(own, mac, 6) == 0;
}

/* One that a host may have. */
static bool is_hosts(const struct address *a)
{
	static const uint8_t zero[16];

	return a->ip == 4 ? a->bytes[0] != 0 && a->bytes[0] != 127 && a->bytes[0] < 224
			  : a->ip == 6 && a->bytes[0] != 0xff && memcmp(a->bytes, zero, 15) != 0;
}

/* ---- ingress ---- */

static bool stage_ingress(struct way *w)
{
	w->from = tables_iface(w->tables, w->packet->key.iface);
	if (w->from->kind == IFACE_NONE) {
		drop(w, "ingress",
		     w->packet->vlan == PACKET_NO_VLAN ? DROP_PORT_CLOSED : DROP_VLAN);
		return false;
	}
	w->segment = &tables_config(w->tables)->segments[w->from->segment];
	w->segment_out = w->from->segment;
	tell(w, "ingress", "%s, segment \"%s\"", tables_iface_name(w->tables, w->packet->key.iface),
	     w->segment->name);
	return true;
}

/* What a packet says about addresses at a port that may have any; false: nothing. What is bound to
 * another, or the router's, may be claimed by nobody. */
static bool see(struct way *w)
{
	const struct packet *p = w->packet;
	struct fate_sighting *s = &w->fate->sighting;
	struct packet_neighbor n;
	struct whereabouts at;

	fate_source(p, &s->address);
	memcpy(s->mac, p->data + 6, 6);
	if ((p->flags & PACKET_NEIGHBOR) != 0) {
		if (!packet_neighbor(p, &n) || memcmp(n.mac, s->mac, 6) != 0) {
			return false;
		}
		s->is_claim = true;
		s->address = (struct address){ .ip = n.ip };
		memcpy(s->address.bytes, n.sender, n.ip == 4 ? 4 : 16);
	}
	if (!is_hosts(&s->address)) {
		return false;
	}
	bool is_routers = tables_is_gateway(w->tables, w->from->segment, &s->address);
	if (is_routers || tables_find_address(w->tables, w->from->segment, &s->address, &at)) {
		s->is_refused = s->is_claim && (is_routers || at.iface != p->key.iface);
		s->owner = is_routers ? 0 : at.iface;
		return s->is_refused;
	}
	return true;
}

static bool stage_guard(struct way *w)
{
	if (w->from->kind != IFACE_PORT) {
		return true;
	}
	const struct config_port *port = &tables_config(w->tables)->ports[w->from->port];
	enum drop_reason r = fate_guard(w->tables, w->packet);
	if (r == DROP_NONE && port->guard.any_address && (w->packet->data[6] & 1) == 0) {
		if (!see(w)) {
			w->fate->sighting = (struct fate_sighting){ .owner = 0 };
		}
		r = w->fate->sighting.is_refused ? DROP_GUARD_ARP : DROP_NONE;
	}
	if (r != DROP_NONE) {
		drop(w, "guard", r);
		return false;
	}
	w->fate->learns = tables_config(w->tables)->ports[w->from->port].learning_limit > 0;
	tell(w, "guard", "passed");
	return true;
}

/* ---- neighbours: who is known is answered for ---- */

/* A guest's address that was seen within `ticks`, and may still be where it was. */
static bool find_seen(const struct way *w, uint16_t segment, const struct address *a,
		      uint32_t ticks, struct whereabouts *out)
{
	const struct config_segment *s = &tables_config(w->tables)->segments[segment];
	struct seen_at at;

	if (w->in->seen == NULL || !seen_find(w->in->seen, s->id, a, w->in->now, ticks, &at)) {
		return false;
	}
	const struct iface *i = tables_iface(w->tables, at.iface);
	if (i->kind != IFACE_PORT || i->segment != segment) {
		return false;
	}
	*out = (struct whereabouts){ .iface = at.iface };
	memcpy(out->mac, at.mac, 6);
	return true;
}

/* The MAC address of who has an address on the segment: the router, a guest, a remote guest. */
static bool find_owner(const struct way *w, const struct packet_neighbor *n, uint8_t mac[6],
		       uint16_t *iface)
{
	struct address target = { .ip = n->ip };
	const struct address *a = &target;
	/* Who announces his own address takes it over from where it was seen. */
	bool is_announced = memcmp(n->sender, n->target, sizeof(n->target)) == 0;
	struct whereabouts at;

	memcpy(target.bytes, n->target, sizeof(n->target));
	*iface = 0;
	if (tables_is_gateway(w->tables, w->from->segment, a)) {
		memcpy(mac, router_mac(w, w->from->segment), 6);
		return true;
	}
	if (!tables_find_address(w->tables, w->from->segment, a, &at) &&
	    (is_announced || !find_seen(w, w->from->segment, a, SEEN_FRESH_TICKS, &at))) {
		return false;
	}
	memcpy(mac, at.mac, 6);
	*iface = at.iface;
	return true;
}

/* An answer to the switch, who asked in the router's name or its own. */
static bool is_answer_to_us(const struct way *w, const struct packet_neighbor *n)
{
	const uint8_t *to = w->packet->data;

	return !n->is_request && (is_router_mac(w, to) || memcmp(to, FATE_ASKING_MAC, 6) == 0);
}

/* True: the packet's way ends here. */
static bool stage_neighbor(struct way *w)
{
	struct packet_neighbor n;
	struct address target;
	uint16_t iface;

	if ((w->packet->flags & PACKET_NEIGHBOR) == 0 || !packet_neighbor(w->packet, &n)) {
		return false;
	}
	if (is_answer_to_us(w, &n)) {
		tell(w, "neighbor", "an answer to what was asked");
		drop(w, "neighbor", DROP_CONSUMED);
		return true;
	}
	if (!n.is_request) {
		return false;
	}
	target = (struct address){ .ip = n.ip };
	memcpy(target.bytes, n.target, sizeof(n.target));
	if (!find_owner(w, &n, w->fate->answer_mac, &iface) || iface == w->packet->key.iface) {
		return false;
	}
	/* Who asks for his own address says where he is: a guest that has gone to another node too,
	 * and an answer in his name would say that he is still here. */
	if (iface != 0 && memcmp(w->fate->answer_mac, n.mac, 6) == 0) {
		return false;
	}
	/* Those beyond the team answer for themselves, and only guests are answered for here. */
	if (w->from->kind != IFACE_PORT && iface != 0 &&
	    tables_iface(w->tables, iface)->kind != IFACE_PORT) {
		return false;
	}
	char text[INET6_ADDRSTRLEN];
	tell(w, "neighbor", "answered: %s is known", address_text(&target, text));
	w->fate->answer = ANSWER_NEIGHBOR;
	drop(w, "neighbor", DROP_CONSUMED);
	return true;
}

/* A guest asks who it is, and the segment knows. True: the packet's way ends here. */
static bool stage_dhcp(struct way *w)
{
	const struct packet *p = w->packet;
	char text[INET6_ADDRSTRLEN];

	if (w->segment->dhcp == NULL || w->from->kind != IFACE_PORT || !dhcp_is_request(p) ||
	    !dhcp_find_lease(w->segment, &tables_config(w->tables)->ports[w->from->port],
			     p->data + 6, &w->fate->lease)) {
		return false;
	}
	tell(w, "dhcp", "answered: %s", address_text(w->fate->lease.address, text));
	w->fate->answer = ANSWER_DHCP;
	drop(w, "dhcp", DROP_CONSUMED);
	return true;
}

/* ---- flooding ---- */

static void copy_to(struct way *w, uint16_t iface, uint16_t endpoint)
{
	struct fate *f = w->fate;

	if (f->copies != NULL && f->n_copies < FATE_COPIES_MAX) {
		f->copies[f->n_copies] = (struct fate_out){ iface, endpoint };
	}
	f->n_copies++;
}

/* Which of a segment's guests get a copy. */
enum guests {
	GUESTS_ALL,
	GUESTS_PROMISCUOUS, /* who want everything */
	GUESTS_UNKNOWN,	    /* the same, and behind whom there may be one whom nobody knows */
};

static bool is_among(const struct config_port *p, enum guests guests)
{
	return guests == GUESTS_ALL || p->guard.promiscuous ||
	       (guests == GUESTS_UNKNOWN && p->learning_limit > 0);
}

/* But not to where it came from or where it goes anyway, nor where nothing or not as much fits. */
static void copy_to_guests(struct way *w, enum guests guests)
{
	const struct segment_ifaces *s = tables_segment(w->tables, w->from->segment);
	const struct switch_config *c = tables_config(w->tables);

	for (size_t i = 0; i < s->n_guests; i++) {
		const struct config_port *p =
			&c->ports[tables_iface(w->tables, s->guests[i])->port];
		if (is_among(p, guests) && !p->is_blocked &&
		    w->packet->wire_size - w->packet->l3 <= p->mtu &&
		    s->guests[i] != w->packet->key.iface && s->guests[i] != w->fate->out.iface) {
			copy_to(w, s->guests[i], 0);
		}
	}
}

/* To guests and, where it came from a guest, beyond the team: what came from there stays here. */
static void flood(struct way *w, enum guests guests)
{
	const struct segment_ifaces *s = tables_segment(w->tables, w->from->segment);

	w->fate->is_flooded = true;
	if (w->packet->wire_size - w->packet->l3 > w->segment->mtu) {
		drop(w, "bridge", DROP_TOO_BIG);
		return;
	}
	copy_to_guests(w, guests);
	if (w->from->kind == IFACE_PORT && s->out != 0) {
		if (tables_iface(w->tables, s->out)->kind == IFACE_VLAN) {
			copy_to(w, s->out, 0);
		}
		for (size_t i = 0; i < w->segment->n_flood; i++) {
			copy_to(w, s->out, w->segment->flood[i]);
		}
	}
	tell(w, "bridge", "%u copies", w->fate->n_copies);
	if (w->fate->n_copies == 0) {
		drop(w, "bridge", DROP_NO_DESTINATION);
	}
}

/* ---- bridge ---- */

static void leave_by(struct way *w, const struct whereabouts *at)
{
	w->fate->out = (struct fate_out){ at->iface, at->endpoint };
	w->fate->is_moving = at->moving != 0;
	w->fate->makes_flow = packet_has_connection(w->packet);
}

/* Where a MAC address was seen on the segment: beyond the team, or behind a port that learns. */
static bool find_learned(const struct way *w, const uint8_t *mac, uint16_t *iface)
{
	uint16_t found;

	if (!learned_find_mac(w->in->learned, w->from->segment, mac, &found, w->in->now)) {
		return false;
	}
	const struct iface *i = tables_iface(w->tables, found);
	*iface = found;
	return i->kind != IFACE_NONE && i->segment == w->from->segment;
}

static void stage_bridge(struct way *w)
{
	const struct packet *p = w->packet;
	const struct segment_ifaces *s = tables_segment(w->tables, w->from->segment);
	struct whereabouts at = { 0 };

	memcpy(w->fate->destination, p->data, 6);
	memcpy(w->fate->source, p->data + 6, 6);
	if ((p->flags & PACKET_MULTICAST) != 0) {
		flood(w, GUESTS_ALL);
		return;
	}
	if (memcmp(p->data, p->data + 6, 6) == 0) {
		drop(w, "bridge", DROP_SAME_PORT); /* to itself */
		return;
	}
	bool is_known = tables_find_mac(w->tables, w->from->segment, p->data, &at);
	bool is_learned = !is_known && find_learned(w, p->data, &at.iface);
	if (!is_known && !is_learned) {
		bool is_beyond = s->out != 0 && w->from->kind == IFACE_PORT &&
				 tables_iface(w->tables, s->out)->kind == IFACE_VLAN;
		if (!is_beyond || s->has_learning) {
			/* Beyond the team or a port that learns, if anywhere: guests are known. */
			flood(w, GUESTS_UNKNOWN);
			return;
		}
		at.iface = s->out; /* the team: one way, learned or not */
	}
	if (at.iface == p->key.iface) {
		drop(w, "bridge", DROP_SAME_PORT);
		return;
	}
	if (w->from->kind == IFACE_TUNNEL &&
	    tables_iface(w->tables, at.iface)->kind == IFACE_TUNNEL) {
		drop(w, "bridge", DROP_SAME_PORT);
		return;
	}
	leave_by(w, &at);
	/* Who was learned may move: only where connections are followed is the way kept. */
	w->fate->makes_flow &= !is_learned || tables_config(w->tables)->n_rules > 0;
	tell(w, "bridge", "to %s", tables_iface_name(w->tables, at.iface));
	if (s->has_promiscuous) {
		copy_to_guests(w, GUESTS_PROMISCUOUS);
		w->fate->is_copied = w->fate->n_copies > 0;
	}
}

/* ---- route ---- */

static bool answer(struct way *w, enum drop_reason r, enum fate_answer what)
{
	w->fate->answer = what;
	drop(w, "route", r);
	return false;
}

/* The next hop's MAC address and where it is. */
static bool find_next_hop(struct way *w, const struct next_hop *hop, struct whereabouts *at)
{
	const struct segment_ifaces *s = tables_segment(w->tables, hop->segment);

	if (tables_find_address(w->tables, hop->segment, &hop->address, at) ||
	    find_seen(w, hop->segment, &hop->address, SEEN_TICKS, at)) {
		return true;
	}
	*at = (struct whereabouts){ .iface = s->out };
	return s->out != 0 && tables_iface(w->tables, s->out)->kind == IFACE_VLAN &&
	       learned_find_neighbor(w->in->learned, hop->segment, &hop->address, at->mac,
				     w->in->now);
}

/* What no router passes on: RFC 1812 §5.3.7, RFC 3927 §2.7, RFC 4291 §2.5. */
static bool is_of_the_link(const struct address *a)
{
	static const uint8_t zero[16], loopback[16] = { [15] = 1 };
	const uint8_t *b = a->bytes;

	if (a->ip == 4) {
		return b[0] == 0 || b[0] == 127 || b[0] >= 224 || (b[0] == 169 && b[1] == 254);
	}
	return b[0] == 0xff || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80) ||
	       memcmp(b, zero, 16) == 0 || memcmp(b, loopback, 16) == 0;
}

static bool is_echo_request(const struct packet *p)
{
	bool is_icmp = p->key.proto == (p->key.ip == 4 ? 1 : 58);

	return is_icmp && (p->flags & PACKET_LATER) == 0 &&
	       p->data[p->l4] == (p->key.ip == 4 ? 8 : 128);
}

static bool stage_route(struct way *w)
{
	const struct switch_config *c = tables_config(w->tables);
	const struct packet *p = w->packet;
	uint16_t router = (uint16_t)w->segment->router;
	struct address to = destination_of(p), from;
	struct next_hop hop;
	struct whereabouts at;
	char text[INET6_ADDRSTRLEN];

	fate_source(p, &from);
	if (p->key.ip == 0) {
		drop(w, "route", DROP_NO_DESTINATION);
		return false;
	}
	for (uint16_t s = 0; s < c->n_segments; s++) {
		if (c->segments[s].router == w->segment->router &&
		    tables_is_gateway(w->tables, s, &to)) {
			return answer(w, DROP_CONSUMED,
				      is_echo_request(p) ? ANSWER_ECHO : ANSWER_NONE);
		}
	}
	if (is_of_the_link(&to) || is_of_the_link(&from)) {
		return answer(w, DROP_NO_ROUTE, ANSWER_NONE);
	}
	if (p->ttl <= 1) {
		return answer(w, DROP_TTL, ANSWER_TTL);
	}
	if (!tables_route(w->tables, router, &to, w->in->hash, &hop)) {
		return answer(w, DROP_NO_ROUTE, ANSWER_NO_ROUTE);
	}
	if (!find_next_hop(w, &hop, &at)) {
		tell(w, "route", "to %s on segment \"%s\"", address_text(&hop.address, text),
		     segment_name(w, hop.segment));
		w->fate->wanted = hop;
		drop(w, "route", DROP_NO_NEIGHBOR);
		return false;
	}
	leave_by(w, &at);
	w->segment_out = hop.segment;
	w->fate->is_routed = true;
	memcpy(w->fate->destination, at.mac, 6);
	memcpy(w->fate->source, c->routers[router].mac, 6);
	tell(w, "route", "by router \"%s\" to %s, segment \"%s\"", c->routers[router].name,
	     address_text(&hop.address, text), segment_name(w, hop.segment));
	return true;
}

/* ---- firewall ---- */

static void reject(struct way *w, const char *stage)
{
	w->fate->answer = w->packet->key.proto == 6 ? ANSWER_RST : ANSWER_PROHIBITED;
	drop(w, stage, DROP_FIREWALL_REJECT);
}

/* Asks the rules at the guests' ports that a packet comes from and goes to. An answer's connection
 * came in at the port that the answer leaves. */
static void judge(struct way *w)
{
	const struct flow_key *k = w->in->first != NULL ? w->in->first : &w->packet->key;
	const struct classifier *c = tables_classifier(w->tables);
	const struct iface *to = tables_iface(w->tables, w->fate->out.iface);
	bool has_out = w->from->kind == IFACE_PORT;
	bool has_in = to->kind == IFACE_PORT && !w->fate->is_flooded;
	const struct classifier_ask asks[2] = {
		{ w->from->port, w->in->is_answer ? RULE_IN : RULE_OUT },
		{ to->port, w->in->is_answer ? RULE_OUT : RULE_IN },
	};
	struct classifier_classes classes;

	classifier_classify(c, k, &classes);
	classifier_find_each(c, &classes, has_out ? asks : asks + 1, (unsigned)has_out + has_in,
			     has_out ? w->verdicts : w->verdicts + 1);
	w->is_judged = true;
}

static bool ask_rules(struct way *w, const char *stage, bool is_in, int32_t *rule)
{
	if (!w->is_judged) {
		judge(w);
	}
	const struct classifier_match *m = &w->verdicts[is_in];
	*rule = m->position;
	w->fate->log |= m->log ? (uint8_t)(is_in ? RULE_IN : RULE_OUT) : 0;
	tell(w, stage, "%s %llu \"%s\": %s", m->position < 0 ? "default, rule" : "rule",
	     (unsigned long long)m->id,
	     m->position < 0 ? "" : tables_config(w->tables)->rule_names[m->position],
	     m->action == RULE_ALLOW  ? "allow"
	     : m->action == RULE_DROP ? "drop"
				      : "reject");
	if (m->action == RULE_ALLOW) {
		return true;
	}
	if (m->action == RULE_REJECT) {
		reject(w, stage);
	} else {
		drop(w, stage, DROP_FIREWALL);
	}
	return false;
}

/* The firewall looks at connections: what is no IP, and what hosts of a link need to find each
 * other (neighbour and router discovery), is the guard's. */
static bool is_for_firewall(const struct packet *p)
{
	return p->key.ip != 0 && (p->flags & (PACKET_NEIGHBOR | PACKET_RA)) == 0;
}

static bool stage_firewall_out(struct way *w)
{
	if (w->from->kind != IFACE_PORT || !is_for_firewall(w->packet)) {
		return true;
	}
	return ask_rules(w, "firewall out", false, &w->fate->rule_out);
}

static bool stage_firewall_in(struct way *w)
{
	const struct iface *to = tables_iface(w->tables, w->fate->out.iface);

	if (w->fate->is_flooded || to->kind != IFACE_PORT || !is_for_firewall(w->packet)) {
		return true;
	}
	return ask_rules(w, "firewall in", true, &w->fate->rule_in);
}

static void note_verdict(struct way *w, uint16_t port, const struct classifier_match *m)
{
	struct fate *f = w->fate;

	if (!m->log || !f->is_flooded || f->verdicts == NULL) {
		return;
	}
	if (f->n_verdicts < FATE_VERDICTS_MAX) {
		f->verdicts[f->n_verdicts] = (struct fate_verdict){ m->position, port };
	}
	f->n_verdicts++;
}

/* Of a flooded packet: only the guests whose rules let it in. */
static void firewall_copies(struct way *w)
{
	struct fate *f = w->fate;
	uint32_t n = 0;

	if (f->n_copies == 0 || f->copies == NULL || !is_for_firewall(w->packet)) {
		return;
	}
	for (uint32_t i = 0; i < MIN(f->n_copies, (uint32_t)FATE_COPIES_MAX); i++) {
		const struct iface *to = tables_iface(w->tables, f->copies[i].iface);
		struct classifier_match m = { .action = RULE_ALLOW };
		if (to->kind == IFACE_PORT) {
			m = classifier_find(tables_classifier(w->tables), &w->packet->key, to->port,
					    RULE_IN);
			note_verdict(w, to->port, &m);
		}
		if (m.action == RULE_ALLOW) {
			f->copies[n++] = f->copies[i];
		}
	}
	f->n_copies = n;
	if (f->is_flooded && n == 0) {
		drop(w, "firewall in", DROP_FIREWALL);
	}
}

/* ---- egress ---- */

static void stage_egress(struct way *w)
{
	const struct switch_config *c = tables_config(w->tables);
	const struct iface *to = tables_iface(w->tables, w->fate->out.iface);
	const struct packet *p = w->packet;
	uint16_t mtu = tables_mtu(w->tables, w->fate->out.iface);

	if (w->fate->is_flooded) {
		return;
	}
	if (to->kind == IFACE_PORT && c->ports[to->port].is_blocked) {
		drop(w, "egress", DROP_PORT_CLOSED);
		return;
	}
	if (p->wire_size - p->l3 > mtu) {
		w->fate->answer = w->fate->is_routed ? ANSWER_TOO_BIG : ANSWER_NONE;
		w->fate->answer_mtu = mtu;
		drop(w, "egress", DROP_TOO_BIG);
		return;
	}
	tell(w, "egress", "%s", tables_iface_name(w->tables, w->fate->out.iface));
	if (w->fate->is_copied) {
		tell(w, "egress", "and %u copies to who sees everything", w->fate->n_copies);
		copy_to(w, w->fate->out.iface, w->fate->out.endpoint);
	}
}

/* ---- all of it ---- */

static void decide(struct way *w)
{
	if (!stage_ingress(w) || !stage_guard(w) || stage_neighbor(w) || stage_dhcp(w)) {
		return;
	}
	if (is_router_mac(w, w->packet->data)) {
		if (!stage_route(w)) {
			return;
		}
	} else {
		stage_bridge(w);
	}
	if (w->fate->reason != DROP_NONE || !stage_firewall_out(w) || !stage_firewall_in(w)) {
		return;
	}
	firewall_copies(w);
	if (w->fate->reason == DROP_NONE) {
		stage_egress(w);
	}
}

bool fate_is_echo(const struct tables *t, uint16_t port, uint16_t way, uint16_t segment,
		  const uint8_t *frame)
{
	const struct switch_config *c = tables_config(t);
	const struct config_team *team = &c->teams[c->ports[port].team];
	struct whereabouts at;

	if (team->n_ports < 2 || (frame[0] & 1) == 0) {
		return false;
	}
	return (team->policy == TEAM_ACTIVE_STANDBY && way != port) ||
	       (tables_find_mac(t, segment, frame + 6, &at) &&
		tables_iface(t, at.iface)->kind == IFACE_PORT);
}

void fate_decide(const struct fate_input *in, struct fate *out)
{
	struct way w = { .in = in, .fate = out, .tables = in->tables, .packet = in->packet };
	struct fate_out *copies = out->copies;
	struct fate_verdict *verdicts = out->verdicts;

	*out = (struct fate){ .copies = copies,
			      .verdicts = verdicts,
			      .rule_out = FATE_RULE_NOT_ASKED,
			      .rule_in = FATE_RULE_NOT_ASKED };
	decide(&w);
	if (out->reason != DROP_NONE) {
		out->makes_flow = false;
		out->n_copies = 0;
	}
}

static bool is_in_midst_of_tcp(const struct packet *p)
{
	return p->key.proto == 6 && packet_has_connection(p) && (p->flags & PACKET_LATER) == 0 &&
	       !tcp_opens(p);
}

struct flow *fate_find_moved(const struct fate_input *in, const struct fate *decided,
			     const struct flow_table *flows, unsigned *d)
{
	const struct packet *p = in->packet;
	const uint8_t *mac = p->data + 6;
	uint16_t segment = tables_iface(in->tables, p->key.iface)->segment;
	bool is_refused =
		decided->reason == DROP_FIREWALL || decided->reason == DROP_FIREWALL_REJECT;
	struct whereabouts at;
	struct address source;

	if ((decided->reason != DROP_NONE && !is_refused) || decided->out.iface == 0 ||
	    !is_in_midst_of_tcp(p) || !tables_find_mac(in->tables, segment, mac, &at) ||
	    at.iface != p->key.iface) {
		return NULL;
	}
	struct flow_key answer = flow_key_reverse(&p->key, decided->out.iface);
	struct flow *f = flow_find(flows, &answer, flow_hash(flows, &answer), d);
	if (f == NULL) {
		return NULL;
	}
	*d = 1 - *d;
	fate_source(p, &source);
	bool is_he = memcmp(f->mac[*d] + 6, mac, 6) == 0 ||
		     (tables_find_address(in->tables, segment, &source, &at) &&
		      at.iface == p->key.iface);
	return is_he ? f : NULL;
}
