/* SPDX-License-Identifier: Apache-2.0 */
/* What should become of a packet: the documentation's words, one after the other. */
#include "switch/model_test.h"

#include <stdio.h>
#include <string.h>

#include "base/macro.h"

enum {
	SLOTS = M_TRUNK + 1,
	BEYOND = M_PORTS * SLOTS, /* the first place beyond a team */
	ETHER = 14,
};

/* ---- places ---- */

int model_place(int port, int trunk)
{
	return port * SLOTS + trunk + 1;
}

int model_place_beyond(int segment)
{
	return BEYOND + segment;
}

int model_place_of(const struct m_policy *p, int place, int *port, int *vlan)
{
	if (place >= BEYOND) {
		*port = M_NO;
		*vlan = p->segments[place - BEYOND].vlan;
		return place - BEYOND;
	}
	const struct m_port *g = &p->ports[place / SLOTS];
	int trunk = place % SLOTS - 1;
	*port = place / SLOTS;
	*vlan = trunk == M_NO ? M_NO : g->trunk[trunk].vlan;
	return trunk == M_NO ? g->segment : g->trunk[trunk].segment;
}

static int segment_of(const struct m_policy *p, int place)
{
	int port, vlan;

	return model_place_of(p, place, &port, &vlan);
}

/* The guest's port there, or NULL beyond the team. */
static const struct m_port *guest_of(const struct m_policy *p, int place)
{
	return place >= BEYOND ? NULL : &p->ports[place / SLOTS];
}

void model_place_name(const struct m_policy *p, int place, char out[64])
{
	int port, vlan, segment = model_place_of(p, place, &port, &vlan);

	if (port == M_NO) {
		snprintf(out, 64, "segment s%d", segment);
	} else if (vlan == M_NO) {
		snprintf(out, 64, "port p%d", port);
	} else {
		snprintf(out, 64, "port p%d VLAN %d", port, vlan);
	}
}

int model_ingress(const struct m_policy *p, int port, int vlan)
{
	const struct m_port *g = &p->ports[port];

	for (int s = 0; g->team != M_NO && s < p->n_segments; s++) {
		if (p->segments[s].kind == ENCAP_VLAN && p->segments[s].team == g->team &&
		    p->segments[s].vlan == vlan) {
			return model_place_beyond(s);
		}
	}
	for (int i = 0; vlan != M_NO && i < g->n_trunk; i++) {
		if (g->trunk[i].vlan == vlan) {
			return model_place(port, i);
		}
	}
	return vlan == M_NO && g->segment != M_NO ? model_place(port, M_NO) : M_NO;
}

int model_mtu(const struct m_policy *p, int place)
{
	const struct m_port *g = guest_of(p, place);
	int mtu = p->segments[segment_of(p, place)].mtu;

	return g != NULL && g->mtu < mtu ? g->mtu : mtu;
}

static bool is_tunnel(const struct m_policy *p, int place)
{
	return place >= BEYOND && p->segments[place - BEYOND].kind != ENCAP_VLAN;
}

static int place_out(const struct m_policy *p, int segment)
{
	return p->segments[segment].team == M_NO ? M_NO : model_place_beyond(segment);
}

/* ---- who is where ---- */

static bool has_address(const struct address *list, int n, const struct address *a)
{
	for (int i = 0; i < n; i++) {
		if (m_address_equal(&list[i], a)) {
			return true;
		}
	}
	return false;
}

/* Of a segment: the guest or remote guest with that MAC address or that IP address. */
static bool find_who(const struct m_policy *p, int segment, const uint8_t *mac,
		     const struct address *a, struct m_way *out)
{
	for (int port = 0; port < p->n_ports; port++) {
		const struct m_port *g = &p->ports[port];
		for (int t = M_NO; g->team == M_NO && g->has_mac && t < g->n_trunk; t++) {
			if ((t == M_NO ? g->segment : g->trunk[t].segment) != segment ||
			    (mac != NULL ? memcmp(mac, g->mac, 6) != 0
					 : !has_address(g->addresses, g->n_addresses, a))) {
				continue;
			}
			*out = (struct m_way){ .place = model_place(port, t) };
			memcpy(out->to_mac, g->mac, 6);
			return true;
		}
	}
	const struct m_segment *s = &p->segments[segment];
	for (int i = 0; i < s->n_remotes; i++) {
		const struct m_remote *m = &s->remotes[i];
		if (mac != NULL ? memcmp(mac, m->mac, 6) == 0
				: has_address(m->addresses, m->n_addresses, a)) {
			*out = (struct m_way){ .place = model_place_beyond(segment),
					       .endpoint = m->endpoint };
			memcpy(out->to_mac, m->mac, 6);
			return true;
		}
	}
	return false;
}

static bool is_gateway(const struct m_policy *p, int segment, const struct address *a)
{
	for (int i = 0; i < p->segments[segment].n_gateways; i++) {
		if (m_address_equal(&p->segments[segment].gateways[i].address, a)) {
			return true;
		}
	}
	return false;
}

bool model_neighbor(const struct model *m, int segment, const struct address *a, uint8_t mac[6])
{
	for (int i = m->n_neighbors - 1; i >= 0; i--) {
		if (m->neighbors[i].segment == segment &&
		    m_address_equal(&m->neighbors[i].address, a)) {
			memcpy(mac, m->neighbors[i].mac, 6);
			return true;
		}
	}
	return false;
}

static const struct m_mac *find_mac(const struct model *m, int segment, const uint8_t mac[6])
{
	for (int i = 0; i < m->n_macs; i++) {
		if (m->macs[i].segment == segment && memcmp(m->macs[i].mac, mac, 6) == 0) {
			return &m->macs[i];
		}
	}
	return NULL;
}

static struct m_seen *find_seen(struct model *m, int segment, const struct address *a)
{
	for (int i = 0; i < m->n_seen; i++) {
		if (m->seen[i].segment == segment && m_address_equal(&m->seen[i].address, a)) {
			return &m->seen[i];
		}
	}
	return NULL;
}

static void learn_mac(struct model *m, int segment, const uint8_t mac[6], int place)
{
	const struct m_mac *known = find_mac(m, segment, mac);
	int i = known != NULL ? (int)(known - m->macs) : m->n_macs;

	if (i < M_NEIGHBORS) {
		m->macs[i] = (struct m_mac){ .segment = segment, .place = place };
		memcpy(m->macs[i].mac, mac, 6);
		m->n_macs = i == m->n_macs ? i + 1 : m->n_macs;
	}
}

const struct address *model_next_hop(const struct m_team *t, const struct address *endpoint)
{
	struct prefix own = { .length = t->address.ip == 4 ? 24 : 48, .ip = t->address.ip };

	memcpy(own.address, t->address.bytes, 16);
	return m_prefix_has(&own, endpoint) ? endpoint : &t->gateway;
}

/* ---- one packet on its way ---- */

struct way {
	struct model *m;
	const struct m_policy *p;
	const struct m_packet *packet;
	struct m_fate *fate;
	int place, segment;	    /* where it came in */
	const struct m_port *guest; /* NULL: beyond the team */
	const struct m_key *asked;  /* what rules are asked about */
	bool is_answer;
	struct m_way one; /* the way out, where there is one */
	bool has_one, is_way_learned;
};

static bool drop(struct way *w, enum drop_reason r)
{
	w->fate->reason = r;
	w->fate->n_ways = 0;
	return false;
}

/* May anybody be told of an error about it? RFC 1122 §3.2.2, RFC 4443 §2.4. */
static bool may_be_told(const struct m_packet *p)
{
	static const uint8_t zero[16];
	const struct m_key *k = &p->key;
	bool to_group = (p->to_mac[0] & 1) != 0 ||
			(k->ip == 4 ? k->to.bytes[0] >= 224 : k->to.bytes[0] == 0xff);

	return !p->is_error && !p->is_advertisement && !to_group && p->fragment_at == 0 &&
	       memcmp(k->from.bytes, zero, k->ip == 4 ? 4 : 16) != 0;
}

static void answer(struct way *w, enum fate_answer a)
{
	w->fate->answer = a;
	w->fate->is_answer_sent = a != ANSWER_NONE && may_be_told(w->packet) &&
				  !(a == ANSWER_RST && (w->packet->tcp_flags & 4) != 0);
}

/* ---- guard ---- */

static bool may_send_from(struct way *w, const struct address *a)
{
	struct m_way who;

	if (has_address(w->guest->addresses, w->guest->n_addresses, a)) {
		return true;
	}
	return a->ip == 6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80 &&
	       !find_who(w->p, w->segment, NULL, a, &who);
}

static bool is_nobody(const struct address *a)
{
	static const uint8_t zero[16];

	return memcmp(a->bytes, zero, a->ip == 4 ? 4 : 16) == 0;
}

/* Nobody's address is a source only for who asks for one. */
static bool may_be_nobody(const struct m_packet *p)
{
	if (p->key.ip == 4) {
		return p->key.proto == 17 && p->key.dport == 67;
	}
	return p->icmp_type == 133 || p->icmp_type == 135 || p->icmp_type == 143;
}

static bool guard_addresses(struct way *w)
{
	const struct m_packet *p = w->packet;

	if (w->guest->any_address) {
		return true;
	}
	if (p->is_neighbor) {
		if (p->has_claim_mac && memcmp(p->claim_mac, p->from_mac, 6) != 0) {
			return drop(w, DROP_GUARD_ARP);
		}
		if (is_nobody(&p->claim) ? !p->is_request : !may_send_from(w, &p->claim)) {
			return drop(w, DROP_GUARD_ARP);
		}
	}
	if (p->key.ip == 0) {
		return true;
	}
	if (is_nobody(&p->key.from) && may_be_nobody(p)) {
		return true;
	}
	return may_send_from(w, &p->key.from) || drop(w, DROP_GUARD_IP);
}

/* Who may have any address may claim all but those that are bound to others, or the router's. */
static bool see_claim(struct way *w)
{
	const struct m_packet *p = w->packet;
	const uint8_t *a = p->claim.bytes;
	static const uint8_t zero[16];
	bool is_hosts = p->claim.ip == 4 ? a[0] != 0 && a[0] != 127 && a[0] < 224
					 : a[0] != 0xff && memcmp(a, zero, 15) != 0;
	struct m_way who;

	if (!w->guest->any_address || !p->is_neighbor || !p->has_claim_mac || !is_hosts ||
	    memcmp(p->claim_mac, p->from_mac, 6) != 0) {
		return true;
	}
	if (is_gateway(w->p, w->segment, &p->claim)) {
		return drop(w, DROP_GUARD_ARP);
	}
	if (find_who(w->p, w->segment, NULL, &p->claim, &who)) {
		return who.place == w->place || drop(w, DROP_GUARD_ARP);
	}
	w->fate->is_claim = true;
	return true;
}

static bool guard(struct way *w)
{
	const struct m_packet *p = w->packet;
	const struct m_port *g = w->guest;

	if (g == NULL) {
		return true;
	}
	if (g->is_blocked) {
		return drop(w, DROP_PORT_CLOSED);
	}
	if (memcmp(p->to_mac, "\x01\x80\xc2\0\0", 5) == 0 && p->to_mac[5] < 16) {
		return drop(w, DROP_GUARD_CONTROL);
	}
	if (g->has_mac && !g->forged && !g->mac_changes && memcmp(p->from_mac, g->mac, 6) != 0) {
		return drop(w, DROP_GUARD_MAC);
	}
	if (p->is_dhcp_server && !g->dhcp_server) {
		return drop(w, DROP_GUARD_DHCP);
	}
	if (p->is_advertisement && !g->router) {
		return drop(w, DROP_GUARD_RA);
	}
	return guard_addresses(w) && see_claim(w);
}

/* ---- neighbours ---- */

/* Whose address it is: by the policy, or by who has claimed it. */
static bool find_owner(struct way *w, int segment, const struct address *a, struct m_way *out)
{
	if (find_who(w->p, segment, NULL, a, out)) {
		return true;
	}
	const struct m_seen *s = find_seen(w->m, segment, a);
	if (s != NULL) {
		*out = (struct m_way){ .place = s->place };
		memcpy(out->to_mac, s->mac, 6);
	}
	return s != NULL;
}

static bool answer_neighbor(struct way *w)
{
	const struct m_packet *p = w->packet;
	struct m_way who = { .place = M_NO };
	int router = w->p->segments[w->segment].router;

	if (!p->is_neighbor) {
		return true;
	}
	if (!p->is_request) { /* maybe to what the switch has asked */
		bool is_ours =
			(router != M_NO && memcmp(p->to_mac, w->p->routers[router].mac, 6) == 0) ||
			memcmp(p->to_mac, FATE_ASKING_MAC, 6) == 0;
		return !is_ours || drop(w, DROP_CONSUMED);
	}
	if (is_gateway(w->p, w->segment, &p->target)) {
		memcpy(who.to_mac, w->p->routers[w->p->segments[w->segment].router].mac, 6);
	} else if (!(m_address_equal(&p->claim, &p->target) /* an announcement */
			     ? find_who(w->p, w->segment, NULL, &p->target, &who)
			     : find_owner(w, w->segment, &p->target, &who)) ||
		   who.place == w->place ||
		   (p->has_claim_mac && memcmp(who.to_mac, p->claim_mac, 6) == 0)) {
		return true; /* who asks for his own address is not answered in his own name */
	}
	if (w->guest == NULL && who.place >= BEYOND) {
		return true;
	}
	w->fate->answer = ANSWER_NEIGHBOR;
	w->fate->is_answer_sent = true;
	memcpy(w->fate->answer_mac, who.to_mac, 6);
	return drop(w, DROP_CONSUMED);
}

/* ---- bridge ---- */

static int size_of(const struct m_packet *p)
{
	return (int)(p->size - p->inner_at) - ETHER - (p->vlan != M_NO ? 4 : 0);
}

static void add_way(struct way *w, int place, int endpoint)
{
	struct m_way *way = &w->fate->ways[w->fate->n_ways++];

	*way = (struct m_way){ .place = place, .endpoint = endpoint };
	memcpy(way->to_mac, w->packet->to_mac, 6);
	memcpy(way->from_mac, w->packet->from_mac, 6);
}

enum guests {
	EVERYBODY,
	WATCHERS, /* who want to see everything */
	SEEKERS,  /* the same, and behind whom there may be one whom nobody knows */
};

/* Copies to guests of the segment, but for `but`, where they may go. */
static void copy_to_guests(struct way *w, enum guests who, int but)
{
	for (int port = 0; port < w->p->n_ports; port++) {
		const struct m_port *g = &w->p->ports[port];
		for (int t = M_NO; g->team == M_NO && t < g->n_trunk; t++) {
			int place = model_place(port, t);
			if ((t == M_NO ? g->segment : g->trunk[t].segment) == w->segment &&
			    (who == EVERYBODY || g->promiscuous || (who == SEEKERS && g->learns)) &&
			    !g->is_blocked && size_of(w->packet) <= g->mtu && place != w->place &&
			    place != but) {
				add_way(w, place, 0);
			}
		}
	}
}

static bool flood(struct way *w, enum guests who)
{
	const struct m_segment *s = &w->p->segments[w->segment];
	int out = place_out(w->p, w->segment);

	if (size_of(w->packet) > s->mtu) {
		return drop(w, DROP_TOO_BIG);
	}
	w->fate->is_flooded = true;
	copy_to_guests(w, who, M_NO);
	if (w->guest != NULL && out != M_NO) {
		if (s->kind == ENCAP_VLAN) {
			add_way(w, out, 0);
		}
		for (int i = 0; i < s->n_flood; i++) {
			add_way(w, out, s->flood[i]);
		}
	}
	return w->fate->n_ways > 0 || drop(w, DROP_NO_DESTINATION);
}

/* Is there a guest's port on the segment behind which others may be? */
static bool has_learning(const struct way *w)
{
	for (int port = 0; port < w->p->n_ports; port++) {
		const struct m_port *g = &w->p->ports[port];
		for (int t = M_NO; g->team == M_NO && g->learns && t < g->n_trunk; t++) {
			if ((t == M_NO ? g->segment : g->trunk[t].segment) == w->segment) {
				return true;
			}
		}
	}
	return false;
}

static bool bridge(struct way *w)
{
	const struct m_packet *p = w->packet;
	int out = place_out(w->p, w->segment);

	if ((p->to_mac[0] & 1) != 0) {
		return flood(w, EVERYBODY);
	}
	if (memcmp(p->to_mac, p->from_mac, 6) == 0) {
		return drop(w, DROP_SAME_PORT);
	}
	if (!find_who(w->p, w->segment, p->to_mac, NULL, &w->one)) {
		const struct m_mac *learned = find_mac(w->m, w->segment, p->to_mac);
		if (learned == NULL &&
		    (w->guest == NULL || out == M_NO || is_tunnel(w->p, out) || has_learning(w))) {
			return flood(w, SEEKERS);
		}
		w->one = (struct m_way){ .place = learned != NULL ? learned->place : out };
		w->is_way_learned = learned != NULL;
	}
	if (w->one.place == w->place) {
		return drop(w, DROP_SAME_PORT);
	}
	memcpy(w->one.to_mac, p->to_mac, 6);
	memcpy(w->one.from_mac, p->from_mac, 6);
	w->has_one = true;
	copy_to_guests(w, WATCHERS, w->one.place);
	w->fate->is_copied = w->fate->n_ways > 0;
	return true;
}

/* ---- route ---- */

/* What no router passes on: RFC 1812 §5.3.7, RFC 3927 §2.7, RFC 4291 §2.5. */
static bool is_of_the_link(const struct address *a)
{
	const uint8_t *b = a->bytes;

	if (a->ip == 4) {
		return b[0] == 0 || b[0] == 127 || b[0] >= 224 || (b[0] == 169 && b[1] == 254);
	}
	static const uint8_t loopback[16] = { [15] = 1 };
	return b[0] == 0xff || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80) || is_nobody(a) ||
	       memcmp(b, loopback, 16) == 0;
}

/* The segment whose network has the address, if that is the best of the router's routes, and the
 * route that is. -1: none. */
static int find_route(const struct m_policy *p, int router, const struct address *a,
		      const struct m_route **route)
{
	int best = M_NO, length = -1;

	*route = NULL;
	for (int s = 0; s < p->n_segments; s++) {
		for (int g = 0; p->segments[s].router == router && g < p->segments[s].n_gateways;
		     g++) {
			const struct gateway *own = &p->segments[s].gateways[g];
			struct prefix net = { .length = own->prefix_length, .ip = own->address.ip };
			memcpy(net.address, own->address.bytes, 16);
			if (m_prefix_has(&net, a) && net.length > length) {
				best = s;
				length = net.length;
			}
		}
	}
	for (int i = 0; i < p->routers[router].n_routes; i++) {
		const struct m_route *r = &p->routers[router].routes[i];
		if (m_prefix_has(&r->prefix, a) && r->prefix.length > length) {
			*route = r;
			length = r->prefix.length;
		}
	}
	return *route != NULL ? M_NO : best;
}

/* The way to a neighbour on a segment. */
static bool find_neighbor(struct way *w, int segment, const struct address *a, struct m_way *out)
{
	int beyond = place_out(w->p, segment);

	if (find_owner(w, segment, a, out)) {
		return true;
	}
	*out = (struct m_way){ .place = beyond };
	return beyond != M_NO && !is_tunnel(w->p, beyond) &&
	       model_neighbor(w->m, segment, a, out->to_mac);
}

/* One of the next hops; which one is up to the switch. `w->one` takes the first that leads
 * somewhere, `ways` has all. */
static bool route_by(struct way *w, int router, const struct m_route *route)
{
	const struct m_route *other;

	for (int i = 0; i < route->n_hops; i++) {
		struct m_way *way = &w->fate->ways[w->fate->n_ways++];
		int segment = find_route(w->p, router, &route->hops[i], &other);
		*way = (struct m_way){ .place = M_NO, .endpoint = DROP_NO_ROUTE };
		if (segment != M_NO && !find_neighbor(w, segment, &route->hops[i], way)) {
			*way = (struct m_way){ .place = M_NO, .endpoint = DROP_NO_NEIGHBOR };
		}
	}
	w->fate->is_choice = true;
	return true;
}

static bool route(struct way *w)
{
	const struct m_packet *p = w->packet;
	int router = w->p->segments[w->segment].router;
	const struct m_route *by;

	if (p->key.ip == 0) {
		return drop(w, DROP_NO_DESTINATION);
	}
	for (int s = 0; s < w->p->n_segments; s++) {
		if (w->p->segments[s].router == router && is_gateway(w->p, s, &p->key.to)) {
			w->fate->answer = p->is_echo ? ANSWER_ECHO : ANSWER_NONE;
			w->fate->is_answer_sent = p->is_echo && !p->is_fragment;
			return drop(w, DROP_CONSUMED);
		}
	}
	if (is_of_the_link(&p->key.from) || is_of_the_link(&p->key.to)) {
		return drop(w, DROP_NO_ROUTE);
	}
	if (p->ttl <= 1) {
		answer(w, ANSWER_TTL);
		return drop(w, DROP_TTL);
	}
	int segment = find_route(w->p, router, &p->key.to, &by);
	w->has_one = true;
	if (by != NULL) {
		return route_by(w, router, by);
	}
	if (segment == M_NO) {
		answer(w, ANSWER_NO_ROUTE);
		return drop(w, DROP_NO_ROUTE);
	}
	bool is_found = find_neighbor(w, segment, &p->key.to, &w->one);
	w->one.is_routed = true;
	return is_found || drop(w, DROP_NO_NEIGHBOR);
}

/* ---- firewall ---- */

static bool in_groups(const struct m_policy *p, const int *list, int n, const struct address *a)
{
	for (int i = 0; i < n; i++) {
		const struct m_group *g = &p->groups[list[i]];
		for (int k = 0; k < g->n_prefixes; k++) {
			if (m_prefix_has(&g->prefixes[k], a)) {
				return true;
			}
		}
	}
	return n == 0;
}

static bool is_applied(const struct m_policy *p, const struct m_rule *r, int port)
{
	for (int i = 0; i < r->n_applied_to; i++) {
		const struct m_group *g = &p->groups[r->applied_to[i]];
		for (int k = 0; k < g->n_ports; k++) {
			if (g->ports[k] == port) {
				return true;
			}
		}
	}
	return r->n_applied_to == 0;
}

static bool serves(const struct m_rule *r, const struct m_key *k)
{
	for (int i = 0; i < r->n_services; i++) {
		const struct m_service *s = &r->services[i];
		if (s->proto == k->proto &&
		    (s->from == M_NO || (k->dport >= s->from && k->dport <= s->to)) &&
		    (s->source_from == M_NO ||
		     (k->sport >= s->source_from && k->sport <= s->source_to)) &&
		    (s->type == M_NO || k->dport >> 8 == s->type) &&
		    (s->code == M_NO || (k->dport & 255) == s->code)) {
			return true;
		}
	}
	return r->n_services == 0;
}

static enum rule_action ask(const struct m_policy *p, const struct m_key *k, int port,
			    enum rule_direction d)
{
	for (int i = 0; i < p->n_rules; i++) {
		const struct m_rule *r = &p->rules[i];
		if ((r->direction & (int)d) != 0 && (r->ip == 0 || r->ip == k->ip) &&
		    in_groups(p, r->sources, r->n_sources, &k->from) &&
		    in_groups(p, r->destinations, r->n_destinations, &k->to) &&
		    is_applied(p, r, port) && serves(r, k)) {
			return r->action;
		}
	}
	return p->fallback;
}

static bool is_for_firewall(const struct m_packet *p)
{
	return p->key.ip != 0 && !p->is_neighbor && !p->is_advertisement;
}

static bool firewall(struct way *w, int place, bool is_out)
{
	int port, vlan;

	(void)model_place_of(w->p, place, &port, &vlan);
	if (port == M_NO || !is_for_firewall(w->packet)) {
		return true;
	}
	enum rule_action a = ask(w->p, w->asked, port, is_out != w->is_answer ? RULE_OUT : RULE_IN);
	if (a == RULE_REJECT) {
		answer(w, w->packet->key.proto == 6 ? ANSWER_RST : ANSWER_PROHIBITED);
		return drop(w, DROP_FIREWALL_REJECT);
	}
	return a == RULE_ALLOW || drop(w, DROP_FIREWALL);
}

/* Of copies, those that the rules of who gets them let in. */
static void firewall_copies(struct way *w)
{
	struct m_fate *f = w->fate;
	int n = 0;

	for (int i = 0; i < f->n_ways; i++) {
		int port, vlan;
		(void)model_place_of(w->p, f->ways[i].place, &port, &vlan);
		if (port == M_NO || !is_for_firewall(w->packet) ||
		    ask(w->p, &w->packet->key, port, RULE_IN) == RULE_ALLOW) {
			f->ways[n++] = f->ways[i];
		}
	}
	f->n_ways = n;
}

/* ---- egress ---- */

static bool leave(struct way *w)
{
	const struct m_port *g = guest_of(w->p, w->one.place);

	if (g != NULL && g->is_blocked) {
		return drop(w, DROP_PORT_CLOSED);
	}
	if (size_of(w->packet) > model_mtu(w->p, w->one.place)) {
		if (w->one.is_routed) {
			answer(w, ANSWER_TOO_BIG);
		}
		return drop(w, DROP_TOO_BIG);
	}
	return true;
}

static void note_lost(struct way *w)
{
	for (int i = 0; i < w->fate->n_ways; i++) {
		struct m_way *way = &w->fate->ways[i];
		uint8_t mac[6];
		if (is_tunnel(w->p, way->place)) {
			int team = w->p->segments[way->place - BEYOND].team;
			const struct address *hop = model_next_hop(
				&w->p->teams[team], &w->p->endpoints[team][way->endpoint]);
			way->is_lost = !model_neighbor(w->m, M_NO, hop, mac);
		}
	}
}

/* ---- connections ---- */

static bool key_equal(const struct m_key *a, const struct m_key *b)
{
	return a->ip == b->ip && a->proto == b->proto && a->sport == b->sport &&
	       a->dport == b->dport && m_address_equal(&a->from, &b->from) &&
	       m_address_equal(&a->to, &b->to);
}

static struct m_key reversed(const struct m_key *k)
{
	return (struct m_key){ k->ip, k->proto, k->to, k->from, k->dport, k->sport };
}

static struct m_flow *find_flow(struct model *m, const struct m_key *k, int place, unsigned *end)
{
	struct m_key r = reversed(k);

	for (int i = 0; i < m->n_flows; i++) {
		struct m_flow *f = &m->flows[i];
		if (f->is_used && f->place[0] == place && key_equal(&f->key, k)) {
			*end = 0;
			return f;
		}
		if (f->is_used && f->has_answer_key && f->place[1] == place &&
		    key_equal(&f->key, &r)) {
			*end = 1;
			return f;
		}
	}
	return NULL;
}

/* Not what finds neighbours and routers, is about another packet, or goes where nobody answers. */
static bool has_connection(const struct m_packet *p)
{
	const uint8_t *to = p->key.to.bytes;
	bool may_answer = p->key.ip == 4 ? to[0] != 127 && to[0] < 224 : to[0] != 0xff;

	return is_for_firewall(p) && !p->is_error && may_answer;
}

/* The whole way, for a packet of which rules are asked as w says. */
static bool take_whole_way(struct way *w)
{
	const struct m_packet *p = w->packet;
	int router = w->p->segments[w->segment].router;
	bool is_for_router = router != M_NO && memcmp(p->to_mac, w->p->routers[router].mac, 6) == 0;

	if (!guard(w)) {
		return false;
	}
	w->fate->learns = w->guest != NULL && w->guest->learns;
	if (!answer_neighbor(w) || !(is_for_router ? route(w) : bridge(w))) {
		return false;
	}
	/* Who was learned may move: only where connections are followed is the way kept. */
	w->fate->makes_flow =
		w->has_one && has_connection(p) && (!w->is_way_learned || w->p->n_rules > 0);
	if (w->fate->is_choice) {
		return true; /* the rest is each choice's */
	}
	if (!firewall(w, w->place, true) || (w->has_one && !firewall(w, w->one.place, false))) {
		return false;
	}
	firewall_copies(w);
	if (!w->has_one) {
		return w->fate->n_ways > 0 || drop(w, DROP_FIREWALL);
	}
	if (!leave(w)) {
		return false;
	}
	if (w->one.is_routed) {
		memcpy(w->one.from_mac, w->p->routers[router].mac, 6);
	}
	w->fate->ways[w->fate->n_ways++] = w->one;
	return true;
}

/* ---- TCP, as between the ends; tcp_track.h ---- */

static bool is_after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static bool opens(const struct m_packet *p)
{
	return (p->tcp_flags & 0x17) == 2;
}

static void begin_tcp(struct m_flow *f, const struct m_packet *p)
{
	f->tcp = M_SYN_SENT;
	f->sent[0] = f->edge[0] = p->seq + p->length;
	f->sent[1] = f->edge[1] = 0;
	f->fin[0] = f->fin[1] = false;
}

static enum drop_reason answer_tcp(struct m_flow *f, const struct m_packet *p)
{
	bool has_ack = (p->tcp_flags & 16) != 0;

	if (has_ack && p->ack != f->sent[0]) {
		return DROP_TCP_WINDOW;
	}
	if ((p->tcp_flags & 4) != 0) {
		f->tcp = has_ack ? M_RESET : f->tcp;
		return has_ack ? DROP_NONE : DROP_TCP_STATE;
	}
	if ((p->tcp_flags & 2) == 0) {
		return DROP_TCP_STATE;
	}
	f->tcp = M_ANSWERED;
	f->sent[1] = f->edge[1] = p->seq + p->length;
	f->edge[0] = f->sent[0] + p->window;
	return DROP_NONE;
}

/* A packet of end d. *is_again: it opens what has ended. The connection changes only where the
 * packet is good. */
static enum drop_reason step_tcp(struct m_flow *f, unsigned d, const struct m_packet *p,
				 bool *is_again)
{
	uint32_t end = p->seq + p->length;
	bool has_ack = (p->tcp_flags & 16) != 0;

	*is_again = (f->tcp == M_WAITING || f->tcp == M_RESET) && opens(p);
	if (*is_again || f->tcp == M_UNTRACKED) {
		return DROP_NONE;
	}
	if (f->tcp == M_SYN_SENT && d == 1) {
		return answer_tcp(f, p);
	}
	if (f->tcp == M_SYN_SENT) {
		if (opens(p)) {
			begin_tcp(f, p);
		}
		return opens(p) ? DROP_NONE : DROP_TCP_STATE;
	}
	if ((p->tcp_flags & 2) != 0 && f->tcp != M_ANSWERED) {
		return DROP_TCP_STATE;
	}
	if (is_after(p->seq, f->edge[d]) || is_after(f->sent[d] - 65535, end) ||
	    (has_ack && is_after(p->ack, f->sent[1 - d]))) {
		return DROP_TCP_WINDOW;
	}
	f->sent[d] = is_after(end, f->sent[d]) ? end : f->sent[d];
	if (has_ack && is_after(p->ack + p->window, f->edge[1 - d])) {
		f->edge[1 - d] = p->ack + p->window;
	}
	if ((p->tcp_flags & 4) != 0) {
		f->tcp = M_RESET;
		return DROP_NONE;
	}
	if (f->tcp == M_ANSWERED && d == 0 && has_ack && (p->tcp_flags & 2) == 0) {
		f->tcp = M_OPEN;
	}
	if ((p->tcp_flags & 1) != 0) {
		f->fin[d] = true;
		f->tcp = f->fin[0] && f->fin[1] ? M_CLOSING : M_HALF_CLOSED;
	} else if (f->tcp == M_CLOSING && p->ack == f->sent[1 - d]) {
		f->tcp = M_WAITING;
	}
	return DROP_NONE;
}

/* What is asked of who would begin a connection. */
static bool may_begin(struct way *w, bool is_related)
{
	const struct m_packet *p = w->packet;

	if (w->p->n_rules == 0 || p->key.ip == 0) {
		return true;
	}
	if (p->is_error) {
		return is_related || drop(w, DROP_ICMP_UNRELATED);
	}
	if (w->fate->makes_flow && p->key.proto == 6 && !opens(p)) {
		return drop(w, DROP_TCP_STATE);
	}
	return !w->fate->makes_flow || !p->is_reply || drop(w, DROP_ICMP_UNRELATED);
}

static bool may_follow(const struct way *w, const struct m_flow *f, unsigned d)
{
	const struct m_packet *p = w->packet;

	return f->version == w->m->version && memcmp(f->mac[d], p->to_mac, 6) == 0 &&
	       memcmp(f->mac[d] + 6, p->from_mac, 6) == 0 && !f->is_copied &&
	       size_of(p) <= model_mtu(w->p, f->place[1 - d]) && (!f->is_routed || p->ttl > 1);
}

static void follow(struct way *w, const struct m_flow *f, unsigned d)
{
	struct m_way *way = &w->fate->ways[0];

	*way = (struct m_way){ .place = f->place[1 - d],
			       .endpoint = f->endpoint,
			       .is_routed = f->is_routed };
	memcpy(way->to_mac, f->mac[1 - d] + 6, 6);
	memcpy(way->from_mac, f->mac[1 - d], 6);
	w->fate->n_ways = 1;
	w->fate->is_followed = true;
}

/* Each of the next hops in turn, to the end; only those that end alike can be told of before. */
static void try_choices(struct way *w, bool is_known, bool is_related)
{
	struct m_fate *f = w->fate;
	int router = w->p->segments[w->segment].router, n = f->n_ways;
	struct m_way ways[M_WAYS];
	bool may = is_known || may_begin(w, is_related);
	enum drop_reason begins = f->reason;

	memcpy(ways, f->ways, sizeof(ways));
	/* A choice that is dropped keeps its reason in `endpoint`, and what is answered in
	 * `is_routed`. */
	f->n_ways = n;
	for (int i = 0; i < n; i++) {
		w->one = ways[i];
		w->one.is_routed = true;
		f->reason = DROP_NONE;
		f->answer = ANSWER_NONE;
		f->is_answer_sent = false;
		bool ok = ways[i].place != M_NO;
		if (!ok) {
			f->reason = (enum drop_reason)ways[i].endpoint;
			if (f->reason == DROP_NO_ROUTE) {
				answer(w, ANSWER_NO_ROUTE);
			}
		}
		ok = ok && firewall(w, w->place, true) && firewall(w, w->one.place, false) &&
		     leave(w);
		if (ok && !may) {
			f->reason = begins;
		}
		memcpy(w->one.from_mac, w->p->routers[router].mac, 6);
		ways[i] = w->one;
		if (f->reason != DROP_NONE) {
			ways[i] = (struct m_way){ .place = M_NO,
						  .endpoint = (int)f->reason,
						  .is_routed = f->is_answer_sent,
						  .is_lost = f->answer != ANSWER_NONE };
			ways[i].to_mac[0] = (uint8_t)f->answer;
		}
	}
	f->reason = DROP_NONE;
	f->answer = ANSWER_NONE;
	f->is_answer_sent = false;
	memcpy(f->ways, ways, sizeof(ways));
	f->n_ways = n;
}

static void go_on(struct way *w)
{
	const struct m_packet *p = w->packet;
	unsigned d = 0;
	struct m_flow *f = has_connection(p) ? find_flow(w->m, &p->key, w->place, &d) : NULL;
	struct m_flow *related = NULL;
	struct m_key first;

	w->fate->flow = f;
	w->fate->end = d;
	if (f != NULL && f->key.proto == 6 && p->fragment_at == 0) {
		struct m_flow copy = *f;
		bool is_again;
		enum drop_reason r = step_tcp(&copy, d, p, &is_again);
		if (r != DROP_NONE) {
			drop(w, r);
			return;
		}
		f = is_again ? NULL : f;
	}
	if (f != NULL && may_follow(w, f, d)) {
		follow(w, f, d);
		note_lost(w);
		return;
	}
	if (f == NULL && p->is_error && p->about.ip != 0) {
		struct m_key back = reversed(&p->about);
		related = find_flow(w->m, &back, w->place, &d);
	}
	w->asked = &p->key;
	if (f != NULL || related != NULL) {
		first = f != NULL ? f->key : related->key;
		w->asked = &first;
		w->is_answer = d == 1;
	}
	bool ok = take_whole_way(w);
	if (ok && w->fate->is_choice) {
		try_choices(w, f != NULL, related != NULL);
	} else if (ok && f == NULL && !may_begin(w, related != NULL)) {
		return;
	}
	if (w->fate->reason == DROP_NONE && !w->fate->is_choice) {
		note_lost(w);
	}
}

/* ---- fragments ---- */

/* Does a fragment go with those that were there? */
static bool fits(const struct m_datagram *d, const struct m_packet *p)
{
	int to = p->fragment_at + p->fragment_size;

	if (d->is_spoiled ||
	    (d->size != M_NO && (to > d->size || (!p->has_more && to != d->size)))) {
		return false;
	}
	for (int i = p->fragment_at; i < M_FRAME; i++) {
		if (d->has[i] && (i < to || !p->has_more)) {
			return false;
		}
	}
	return true;
}

static bool join(struct model *m, struct m_packet *p, struct m_fate *out)
{
	for (int i = 0; i < M_DATAGRAMS; i++) {
		struct m_datagram *d = &m->datagrams[i];
		if (d->is_used && d->place == out->place && d->id == p->fragment_id &&
		    d->key.ip == p->key.ip && (p->key.ip == 6 || d->key.proto == p->key.proto) &&
		    m_address_equal(&d->key.from, &p->key.from) &&
		    m_address_equal(&d->key.to, &p->key.to)) {
			out->datagram = d;
		}
	}
	if (out->datagram == NULL) {
		out->reason = p->fragment_at > 0 ? DROP_FRAGMENT_UNKNOWN : DROP_NONE;
		return p->fragment_at == 0;
	}
	if (!fits(out->datagram, p)) {
		out->reason = DROP_FRAGMENT;
		return false;
	}
	p->key = out->datagram->key;
	p->is_reply = out->datagram->is_reply;
	p->is_dhcp_server = out->datagram->is_dhcp_server;
	return true;
}

static struct m_datagram *new_datagram(struct model *m, const struct m_packet *p, int place)
{
	int i = 0;

	while (i < M_DATAGRAMS - 1 && m->datagrams[i].is_used) {
		i++;
	}
	m->datagrams[i] = (struct m_datagram){ .is_used = true,
					       .is_reply = p->is_reply,
					       .is_dhcp_server = p->is_dhcp_server,
					       .place = place,
					       .size = M_NO,
					       .key = p->key,
					       .id = p->fragment_id };
	return &m->datagrams[i];
}

/* Notes a fragment that was seen, and whether it has passed. */
static void note_fragment(struct model *m, const struct m_packet *p, const struct m_fate *fate,
			  bool has_passed)
{
	struct m_datagram *d = fate->datagram;
	int to = p->fragment_at + p->fragment_size, n = 0;

	if (d != NULL && !fits(d, p)) {
		d->is_spoiled = true;
		return;
	}
	if (d == NULL && (!has_passed || p->fragment_at > 0)) {
		return;
	}
	d = d != NULL ? d : new_datagram(m, p, fate->place);
	memset(d->has + p->fragment_at, 1, (size_t)p->fragment_size);
	d->size = p->has_more ? d->size : to;
	for (int i = 0; i < d->size; i++) {
		n += d->has[i];
	}
	/* Whole; or its first one has not passed: then nobody knows it any more. */
	d->is_used = n != d->size && (has_passed || p->fragment_at > 0);
}

void model_decide(struct model *m, struct m_packet *packet, struct m_fate *out)
{
	const struct m_policy *p = &m->policy;
	struct way w = { .m = m, .p = p, .packet = packet, .fate = out };
	const struct m_port *port = &p->ports[packet->port];
	int vlan = packet->vlan == 0 ? M_NO : packet->vlan; /* 0: only a priority */

	*out = (struct m_fate){ .reason = DROP_NONE, .place = M_NO };
	if (packet->tunnel != ENCAP_NONE) {
		enum drop_reason r = !packet->is_tunnel_good	      ? DROP_TUNNEL_HEADER
				     : packet->endpoint == M_NO	      ? DROP_TUNNEL_PEER
				     : packet->tunnel_segment == M_NO ? DROP_TUNNEL_SEGMENT
				     : packet->spoiled != DROP_NONE   ? packet->spoiled
				     : vlan != M_NO		      ? DROP_VLAN
								      : DROP_NONE;
		if (r != DROP_NONE) {
			drop(&w, r);
			return;
		}
		w.place = model_place_beyond(packet->tunnel_segment);
	} else {
		if (packet->spoiled != DROP_NONE) {
			drop(&w, packet->spoiled);
			return;
		}
		const struct m_team *t = port->team == M_NO ? NULL : &p->teams[port->team];
		if (t != NULL && packet->is_neighbor && vlan == t->vlan &&
		    m_address_equal(&packet->target, &t->address)) {
			out->answer = packet->is_request ? ANSWER_NEIGHBOR : ANSWER_NONE;
			out->is_answer_sent = packet->is_request;
			memcpy(out->answer_mac, t->mac, 6);
			drop(&w, DROP_CONSUMED);
			return;
		}
		w.place = model_ingress(p, packet->port, vlan);
		if (w.place == M_NO) {
			drop(&w, vlan == M_NO ? DROP_PORT_CLOSED : DROP_VLAN);
			return;
		}
		struct m_way who;
		if (t != NULL && t->n_ports > 1 && (packet->to_mac[0] & 1) != 0 &&
		    (packet->port != t->first_port ||
		     (find_who(p, segment_of(p, w.place), packet->from_mac, NULL, &who) &&
		      who.place < BEYOND))) {
			drop(&w, DROP_UPLINK_ECHO);
			return;
		}
	}
	w.segment = segment_of(p, w.place);
	w.guest = guest_of(p, w.place);
	out->place = w.place;
	if (packet->is_fragment && !join(m, packet, out)) {
		return;
	}
	go_on(&w);
}

/* ---- what stays of it ---- */

static void learn_claim(struct model *m, const struct m_packet *p, int place)
{
	int segment = segment_of(&m->policy, place);
	struct m_seen *s = find_seen(m, segment, &p->claim);

	s = s != NULL ? s : &m->seen[m->n_seen++];
	*s = (struct m_seen){ .segment = segment, .place = place, .address = p->claim };
	memcpy(s->mac, p->from_mac, 6);
}

/* Who tells at a team's port where an address is, is believed. */
static void learn(struct model *m, const struct m_packet *p, const struct m_fate *fate)
{
	const struct m_port *port = &m->policy.ports[p->port];

	if (fate->learns ||
	    (port->team != M_NO && p->tunnel == ENCAP_NONE && fate->place != M_NO)) {
		learn_mac(m, segment_of(&m->policy, fate->place), p->from_mac, fate->place);
	}
	if (fate->is_claim) {
		learn_claim(m, p, fate->place);
	}
	if (port->team == M_NO || p->tunnel != ENCAP_NONE || p->spoiled != DROP_NONE ||
	    !p->is_neighbor || !p->has_claim_mac || is_nobody(&p->claim)) {
		return;
	}
	const struct m_team *t = &m->policy.teams[port->team];
	int place = model_ingress(&m->policy, p->port, p->vlan == 0 ? M_NO : p->vlan);
	struct m_neighbor n = { .segment = M_NO, .address = p->claim };
	memcpy(n.mac, p->claim_mac, 6);
	if (m->n_neighbors > M_NEIGHBORS - 2) {
		return;
	}
	if (t->address.ip == p->claim.ip && (p->vlan == 0 ? M_NO : p->vlan) == t->vlan) {
		m->neighbors[m->n_neighbors++] = n;
	}
	if (place != M_NO) {
		n.segment = segment_of(&m->policy, place);
		struct m_seen *s = find_seen(m, n.segment, &p->claim);
		if (s != NULL) { /* who is beyond the team has it now */
			*s = m->seen[--m->n_seen];
		}
		m->neighbors[m->n_neighbors++] = n;
	}
}

static struct m_flow *new_flow(struct model *m, const struct m_packet *p, int place, int out)
{
	struct m_key back = reversed(&p->key);
	unsigned d;
	bool is_taken = find_flow(m, &back, out, &d) != NULL;
	int i = 0;

	while (i < m->n_flows && m->flows[i].is_used) {
		i++;
	}
	if (i == M_FLOWS) {
		return NULL;
	}
	m->n_flows = i == m->n_flows ? i + 1 : m->n_flows;
	m->flows[i] = (struct m_flow){
		.is_used = true, .has_answer_key = !is_taken, .place = { place, out }, .key = p->key
	};
	return &m->flows[i];
}

static void set_way(struct model *m, struct m_flow *f, const struct m_packet *p,
		    const struct m_fate *fate, const struct m_way *way)
{
	unsigned d = fate->end;

	f->version = m->version;
	f->is_routed = way->is_routed;
	/* A connection from tunnel to tunnel is looked at each time, as copied ones are. */
	f->is_copied =
		fate->is_copied || (p->tunnel != ENCAP_NONE && is_tunnel(&m->policy, way->place));
	f->place[1 - d] = way->place;
	memcpy(f->mac[d], p->to_mac, 6);
	memcpy(f->mac[d] + 6, p->from_mac, 6);
	memcpy(f->mac[1 - d], way->from_mac, 6);
	memcpy(f->mac[1 - d] + 6, way->to_mac, 6);
	if (is_tunnel(&m->policy, way->place)) {
		f->endpoint = way->endpoint;
	} else if (p->tunnel != ENCAP_NONE) {
		f->endpoint = p->endpoint;
	}
}

void model_commit(struct model *m, const struct m_packet *p, const struct m_fate *fate, int chosen)
{
	struct m_flow *f = fate->flow;
	struct m_fate now = *fate;
	const struct m_way *way = &fate->ways[fate->is_choice ? chosen : MAX(fate->n_ways, 1) - 1];

	learn(m, p, fate);
	if (fate->is_choice && way->place == M_NO) {
		now.reason = (enum drop_reason)way->endpoint;
	}
	if (f != NULL && f->key.proto == 6 && p->fragment_at == 0) {
		bool is_again;
		(void)step_tcp(f, fate->end, p, &is_again);
		if (is_again) {
			f->is_used = false;
			f = NULL;
		}
	}
	if (p->is_fragment && fate->place != M_NO) {
		note_fragment(m, p, fate, now.reason == DROP_NONE);
	}
	if (now.reason != DROP_NONE) {
		bool is_rules = now.reason == DROP_FIREWALL || now.reason == DROP_FIREWALL_REJECT;
		if (f != NULL && is_rules && f->version != m->version) {
			f->is_used = false;
		}
		return;
	}
	if (fate->is_followed || !fate->makes_flow || (f == NULL && p->is_error)) {
		return;
	}
	if (f == NULL) {
		now.end = 0;
		f = new_flow(m, p, fate->place, way->place);
		if (f == NULL) {
			return;
		}
		if (p->key.proto == 6 && opens(p)) {
			begin_tcp(f, p);
		}
	}
	set_way(m, f, p, &now, way);
}
