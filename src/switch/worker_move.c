/* SPDX-License-Identifier: Apache-2.0 */
/* Guests that come from another node: their connections, and word of them to the networks. */
#include "switch/worker_impl.h"

#include "switch/answer.h"
#include "switch/connection.h"

/* A record of the guest's own, of when it was here before or of packets to it that came ahead: what
 * the node says where it was last is newer. `f`'s end d is `c`'s end i. */
static bool is_left_behind(const struct flow *f, unsigned d, const struct connection *c, unsigned i)
{
	unsigned guests = c->ends[0].is_guests ? 0 : 1;

	return f->iface[guests == i ? d : 1 - d] == c->flow.iface[guests];
}

const char *worker_take_connection(struct worker *w, struct connection *c, uint16_t port)
{
	struct flow *given = &c->flow;
	struct flow_key keys[2];
	unsigned d;

	if (w->wiring == NULL || port >= w->wiring->config->n_ports) {
		return "no_port";
	}
	const char *why = connection_place(c, w->wiring->tables, w->o.learned, port, w->now);
	if (why != NULL) {
		return why;
	}
	for (unsigned i = 0; i < 2; i++) {
		flow_key_of(given, i, &keys[i]);
		struct flow *f =
			flow_find(w->o.flows, &keys[i], flow_hash(w->o.flows, &keys[i]), &d);
		if (f != NULL && !is_left_behind(f, d, c, i)) {
			return "known";
		}
		if (f != NULL) {
			worker_end_flow(w, f);
			flow_remove(w->o.flows, f);
		}
	}
	if (worker_has_quota(w, given->iface[0]) != DROP_NONE) {
		return "flow_quota";
	}
	uint32_t left = MIN(given->expires, worker_timeout(given));
	struct flow *f = flow_insert(w->o.flows, &keys[0], flow_hash(w->o.flows, &keys[0]),
				     given->iface[1], w->now + left);
	if (f == NULL) {
		return "flow_table";
	}
	f->flags |= given->flags & FLOW_REPLIED;
	f->tunnel = given->tunnel;
	f->tcp = given->tcp;
	f->scale = given->scale;
	f->epoch = (uint16_t)(w->wiring->epoch - 1); /* the rules here have not judged it */
	f->rule = UINT32_MAX - 1;		     /* none: FATE_RULE_NOT_ASKED */
	for (unsigned i = 0; i < 2; i++) {
		if (!c->ends[i].is_guests) {
			memcpy(f->mac[i] + 6, c->ends[i].mac, 6); /* should it go on at once */
		}
		f->bytes[i] = given->bytes[i];
		f->packets[i] = given->packets[i];
		f->tcp_end[i] = given->tcp_end[i];
		f->tcp_edge[i] = given->tcp_edge[i];
	}
	w->counters->flows_made++;
	return NULL;
}

/* ---- here it is ---- */

static void send_frame(struct worker *w, uint16_t iface, uint16_t endpoint, const uint8_t *frame,
		       size_t n)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->o.pool);

	if (m == NULL) {
		return;
	}
	memset(rte_pktmbuf_append(m, (uint16_t)MAX(n, (size_t)60)), 0, MAX(n, (size_t)60));
	memcpy(rte_pktmbuf_mtod(m, uint8_t *), frame, n);
	(void)worker_leave(w, m, iface, endpoint, 0);
}

/* To the VLAN, or to each endpoint that has guests of the segment or sends there. */
static unsigned send_beyond(struct worker *w, uint16_t segment, const uint8_t *frame, size_t n)
{
	const struct config_segment *s = &w->wiring->config->segments[segment];
	uint16_t out = tables_segment(w->wiring->tables, segment)->out;

	if (out == 0) {
		return 0;
	}
	if (tables_iface(w->wiring->tables, out)->kind == IFACE_VLAN) {
		send_frame(w, out, 0, frame, n);
		return 1;
	}
	for (size_t i = 0; i < s->n_flood; i++) {
		send_frame(w, out, s->flood[i], frame, n);
	}
	return (unsigned)s->n_flood;
}

static unsigned announce_on(struct worker *w, const struct config_port *p, uint16_t iface)
{
	uint16_t segment = tables_iface(w->wiring->tables, iface)->segment;
	uint8_t frame[ANSWER_SIZE_MAX];

	tables_hear(w->wiring->tables, segment, p->mac, iface, 0);
	unsigned n = send_beyond(w, segment, frame, answer_reverse(p->mac, frame));
	/* Beyond tunnels all know whose addresses these are. */
	bool is_vlan = n > 0 && w->wiring->config->segments[segment].encapsulation == ENCAP_VLAN;
	for (size_t i = 0; is_vlan && i < p->n_addresses; i++) {
		if (p->addresses[i].ip == 4) {
			size_t size = answer_ask(p->mac, &p->addresses[i], &p->addresses[i], frame);
			n += send_beyond(w, segment, frame, size);
		}
	}
	return n;
}

static unsigned announce_port(struct worker *w, uint16_t port)
{
	const struct config_port *p = &w->wiring->config->ports[port];
	uint16_t iface = tables_ingress(w->wiring->tables, port, PACKET_NO_VLAN);
	unsigned n = iface == 0 ? 0 : announce_on(w, p, iface);

	for (size_t i = 0; i < p->n_trunk; i++) {
		n += announce_on(w, p, tables_ingress(w->wiring->tables, port, p->trunk[i].vlan));
	}
	return n;
}

unsigned worker_announce_port(struct worker *w, uint16_t port)
{
	w->announced[port] = 1;
	w->n_announced = 1; /* counted when it is looked at next */
	return announce_port(w, port);
}

/* The first may have been lost where a tunnel's next hop was not known yet. */
void worker_announce_again(struct worker *w)
{
	static const uint16_t rounds[] = { 1, 3, 10, 50, 200 }; /* in 10 ms */

	w->n_announced = 0;
	for (uint16_t p = 0; w->wiring != NULL && p < w->wiring->config->n_ports; p++) {
		uint16_t since = w->announced[p];
		if (since == 0) {
			continue;
		}
		for (size_t i = 0; i < ARRAY_LEN(rounds); i++) {
			if (since == rounds[i] && w->wiring->config->ports[p].has_mac) {
				(void)announce_port(w, p);
			}
		}
		w->announced[p] = since < rounds[ARRAY_LEN(rounds) - 1] ? (uint16_t)(since + 1) : 0;
		w->n_announced = (uint16_t)(w->n_announced + (w->announced[p] != 0));
	}
}
