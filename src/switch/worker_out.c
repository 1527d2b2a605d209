/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/worker_impl.h"

#include <rte_ethdev.h>

#include "switch/answer.h"

/* ---- sending ---- */

/* Sends what waits for a port. */
static void send_port(struct worker *w, uint16_t port)
{
	struct out *o = &w->out[port];
	const struct port_io *io = w->wiring->io[port];
	uint16_t device = w->wiring->device[port], sent = 0;
	struct port_counters *c = worker_count(w, port);
	uint64_t bytes = 0;

	for (uint16_t i = 0; i < o->n; i++) {
		bytes += o->packets[i]->pkt_len;
	}
	if (io != NULL && UNLIKELY(!io->is_up(io->arg))) {
		device = WIRING_NO_DEVICE;
	}
	for (uint16_t i = 0; UNLIKELY(w->capturing != NULL) && i < o->n; i++) {
		worker_capture_packet(w, CAPTURE_SENT, DROP_NONE, port, o->packets[i]);
	}
	if (device != WIRING_NO_DEVICE) {
		sent = io != NULL ? io->tx(io->arg, 0, o->packets, o->n)
				  : rte_eth_tx_burst(device, 0, o->packets, o->n);
	}
	if (UNLIKELY(sent < o->n)) {
		enum drop_reason r = device == WIRING_NO_DEVICE ? DROP_PORT_DOWN : DROP_PORT_FULL;
		c->drops[r] += (uint64_t)(o->n - sent);
		for (uint16_t i = sent; i < o->n; i++) {
			bytes -= o->packets[i]->pkt_len;
			worker_capture(w, CAPTURE_DROPPED, r, port, o->packets[i]);
		}
		rte_pktmbuf_free_bulk(o->packets + sent, (unsigned)(o->n - sent));
	}
	c->tx_packets += sent;
	c->tx_bytes += bytes;
	o->n = 0;
}

void worker_send_port(struct worker *w, uint16_t port)
{
	unsigned n = w->out[port].n;
	uint64_t begin;

	if (LIKELY(w->stage_begin == 0)) {
		send_port(w, port);
		return;
	}
	/* It may come in the middle of another stage, which shall not bear its time. */
	begin = rte_rdtsc();
	send_port(w, port);
	uint64_t took = rte_rdtsc() - begin;
	w->counters->stages[STAGE_SEND].cycles += took;
	w->counters->stages[STAGE_SEND].packets += n;
	w->stage_begin += took;
}

void worker_send_all(struct worker *w)
{
	for (uint16_t i = 0; i < w->n_waiting; i++) {
		worker_send_port(w, w->waiting[i]);
	}
	w->n_waiting = 0;
}

/* ---- tunnels ---- */

/* A frame of the tunnels' own network, by whichever way is up. */
static void send_underlay(struct worker *w, uint16_t number, const uint8_t *frame, size_t n)
{
	const struct config_team *team = &w->wiring->config->teams[number];
	uint16_t port = wiring_way(w->wiring, number, 0);
	struct rte_mbuf *m = port == WIRING_NO_PORT ? NULL : rte_pktmbuf_alloc(w->o.pool);

	if (m == NULL) {
		return;
	}
	memcpy(rte_pktmbuf_append(m, (uint16_t)n), frame, n);
	if (team->vlan != PACKET_NO_VLAN && !worker_tag(m, team->vlan)) {
		rte_pktmbuf_free(m);
		return;
	}
	worker_put(w, port, m);
}

static void ask_for_neighbor(struct worker *w, uint16_t number, const struct address *hop)
{
	const struct config_team *team = &w->wiring->config->teams[number];
	uint8_t frame[ANSWER_SIZE_MAX];

	send_underlay(w, number, frame, answer_ask(team->mac, &team->address, hop, frame));
}

/* Makes a tunnel's header, or asks who its next hop is. */
void worker_check_tunnel(struct worker *w, struct tunnel *t, const struct wire *wire,
			 uint16_t endpoint, enum encapsulation encapsulation)
{
	const struct config_team *team = &w->wiring->config->teams[wire->team];
	const struct address *to = &w->wiring->config->endpoints[endpoint];
	const struct address *hop = encap_next_hop(team, to);
	uint8_t mac[6];

	bool is_due = t->checked != w->now || !t->is_asked;
	t->checked = w->now;
	if (learned_find_neighbor(w->o.learned, LEARNED_UNDERLAY, hop, mac, w->now)) {
		encap_header_make(&t->header, team, to, mac, encapsulation);
		return;
	}
	t->header.ip = 0;
	if (is_due) {
		t->is_asked = true;
		ask_for_neighbor(w, wire->team, hop);
	}
}

enum drop_reason worker_leave_cut(struct worker *w, struct rte_mbuf *m, uint16_t iface,
				  uint16_t endpoint, uint32_t hash)
{
	struct rte_mbuf *parts[SEGMENTS_MAX];
	unsigned n = segment_cut(m, w->o.pool, parts);
	enum drop_reason r = n == 0 ? DROP_NO_BUFFER : DROP_NONE;

	rte_pktmbuf_free(m);
	for (unsigned i = 0; i < n; i++) {
		enum drop_reason one = worker_leave(w, parts[i], iface, endpoint, hash);
		r = one == DROP_NONE ? r : one;
	}
	return r;
}

bool worker_tag(struct rte_mbuf *m, uint16_t vlan)
{
	uint8_t *at = (uint8_t *)rte_pktmbuf_prepend(m, 4);

	if (at == NULL) {
		return false;
	}
	memmove(at, at + 4, 12);
	at[12] = 0x81;
	at[13] = 0;
	at[14] = (uint8_t)(vlan >> 8);
	at[15] = (uint8_t)vlan;
	return true;
}

bool worker_untag(struct rte_mbuf *m)
{
	uint8_t *at = rte_pktmbuf_mtod(m, uint8_t *);

	memmove(at + 4, at, 12);
	return rte_pktmbuf_adj(m, 4) != NULL;
}

/* ---- who is here ---- */

/* RFC 903: a request that is nobody's to answer, from a guest's MAC address. */
static void announce_guest(struct worker *w, uint16_t out, const uint8_t mac[6])
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->o.pool);

	if (m == NULL) {
		return;
	}
	uint8_t frame[ANSWER_SIZE_MAX];
	size_t n = answer_reverse(mac, frame);
	memcpy(rte_pktmbuf_append(m, (uint16_t)n), frame, n);
	(void)worker_leave(w, m, out, 0, 0);
}

static void announce_team(struct worker *w, uint16_t number)
{
	const struct switch_config *c = w->wiring->config;
	const struct config_team *team = &c->teams[number];
	const struct tables *t = w->wiring->tables;
	uint8_t frame[ANSWER_SIZE_MAX];

	if (team->address.ip != 0) {
		send_underlay(w, number, frame,
			      answer_ask(team->mac, &team->address, &team->address, frame));
	}
	for (uint16_t i = 0; i < c->n_segments; i++) {
		const struct segment_ifaces *s = tables_segment(t, i);
		if (c->segments[i].team != number || s->out == 0 ||
		    tables_iface(t, s->out)->kind != IFACE_VLAN) {
			continue;
		}
		for (size_t k = 0; k < s->n_guests; k++) {
			const struct config_port *p =
				&c->ports[tables_iface(t, s->guests[k])->port];
			if (p->has_mac) {
				announce_guest(w, s->out, p->mac);
			}
		}
	}
}

void worker_announce(struct worker *w)
{
	for (uint16_t t = 0; w->wiring != NULL && t < w->wiring->config->n_teams; t++) {
		uint32_t moved = __atomic_load_n(&w->wiring->ways[t].moved, __ATOMIC_ACQUIRE);
		if (moved != w->moved[t]) {
			w->moved[t] = moved;
			announce_team(w, t);
		}
	}
}
