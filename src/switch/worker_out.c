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

static void ask_for_neighbor(struct worker *w, const struct config_team *team, uint16_t port,
			     const struct address *hop)
{
	uint8_t frame[ANSWER_SIZE_MAX];
	size_t n = answer_ask(team->mac, &team->address, hop, frame);
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->o.pool);

	if (m == NULL) {
		return;
	}
	memcpy(rte_pktmbuf_append(m, (uint16_t)n), frame, n);
	worker_put(w, port, m);
}

/* Makes a tunnel's header, or asks who its next hop is. */
void worker_check_tunnel(struct worker *w, struct tunnel *t, const struct wire *wire,
			 uint16_t endpoint, enum encapsulation encapsulation)
{
	const struct config_team *team = &w->wiring->config->teams[wire->team];
	const struct address *to = &w->wiring->config->endpoints[endpoint];
	const struct address *hop = encap_next_hop(team, to);
	uint8_t mac[6];

	if (t->checked == w->now && t->is_asked) {
		return;
	}
	t->checked = w->now;
	t->is_asked = true;
	if (learned_find_neighbor(w->o.learned, LEARNED_UNDERLAY, hop, mac, w->now)) {
		encap_header_make(&t->header, team, to, mac, encapsulation);
	} else {
		t->header.ip = 0;
		ask_for_neighbor(w, team, wire->port, hop);
	}
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
