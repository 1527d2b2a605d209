/* SPDX-License-Identifier: Apache-2.0 */
/* What comes in at uplinks: tunnels, VLANs, and neighbours to be learned. */
#include "switch/worker_impl.h"

#include "switch/answer.h"
#include "switch/encap.h"

/* Takes an uplink's frame out of its tunnel. False: it is dropped. */
static bool decapsulate(struct worker *w, const struct config_team *team, struct item *it)
{
	const struct tables *t = w->wiring->tables;
	struct encap_read r;

	if (!encap_parse(team, rte_pktmbuf_mtod(it->mbuf, const uint8_t *), it->mbuf->data_len,
			 it->mbuf->pkt_len, &r)) {
		return true;
	}
	int32_t endpoint = r.is_good ? tables_endpoint(t, &r.source) : -1;
	uint16_t iface = tables_tunnel_ingress(t, (uint16_t)(team - w->wiring->config->teams),
					       r.encapsulation, r.vni);
	enum drop_reason reason = !r.is_good	 ? DROP_TUNNEL_HEADER
				  : endpoint < 0 ? DROP_TUNNEL_PEER
				  : iface == 0	 ? DROP_TUNNEL_SEGMENT
						 : DROP_NONE;
	if (reason != DROP_NONE || rte_pktmbuf_adj(it->mbuf, r.size) == NULL) {
		worker_drop(w, it, reason == DROP_NONE ? DROP_SHORT : reason);
		return false;
	}
	it->key.iface = iface;
	it->endpoint = (uint16_t)(endpoint + 1);
	if (UNLIKELY(tables_n_moving(t) > 0) && it->mbuf->data_len >= 12) {
		tables_hear(t, tables_iface(t, iface)->segment,
			    rte_pktmbuf_mtod(it->mbuf, const uint8_t *) + 6, iface,
			    (uint16_t)endpoint);
	}
	return true;
}

/* ARP and ND at an uplink: of the tunnels' network, and of routed segments. True: it was for us
 * alone. */
static bool learn_neighbor(struct worker *w, const struct config_team *team, struct item *it,
			   const struct packet *p, uint16_t segment)
{
	static const uint8_t zero[16];
	struct packet_neighbor n;
	struct address sender, target;

	if ((p->flags & PACKET_NEIGHBOR) == 0 || !packet_neighbor(p, &n)) {
		return false;
	}
	sender = target = (struct address){ .ip = n.ip };
	memcpy(sender.bytes, n.sender, 16);
	memcpy(target.bytes, n.target, 16);
	bool is_ours =
		team->address.ip == n.ip && memcmp(team->address.bytes, target.bytes, 16) == 0;
	bool in_underlay = team->address.ip == n.ip && p->vlan == team->vlan;
	/* Probes claim no address, and advertisements may leave out the MAC address. */
	bool is_claim = memcmp(n.sender, zero, 16) != 0 && memcmp(n.mac, zero, 6) != 0;
	if (is_claim && in_underlay) {
		learned_neighbor(w->o.learned, LEARNED_UNDERLAY, &sender, n.mac, w->now);
	}
	if (is_claim && segment != UINT16_MAX) {
		learned_neighbor(w->o.learned, segment, &sender, n.mac, w->now);
		seen_forget(w->o.seen, w->wiring->config->segments[segment].id, &sender);
	}
	if (!is_ours || !in_underlay) {
		return false;
	}
	if (n.is_request) {
		struct fate fate = { .answer = ANSWER_NEIGHBOR };
		uint8_t frame[ANSWER_SIZE_MAX];
		memcpy(fate.answer_mac, team->mac, 6);
		size_t size = answer_make(p, &fate, NULL, &target, frame);
		struct rte_mbuf *m = size == 0 ? NULL : rte_pktmbuf_alloc(w->o.pool);
		if (m != NULL) {
			memcpy(rte_pktmbuf_append(m, (uint16_t)size), frame, size);
			if (team->vlan == PACKET_NO_VLAN || worker_tag(m, team->vlan)) {
				worker_put(w, it->port, m);
			} else {
				rte_pktmbuf_free(m);
			}
		}
	}
	worker_drop(w, it, DROP_CONSUMED);
	return true;
}

/* Takes a frame into its segment; it is a segment's, whoever it is for. */
static bool enter_segment(struct worker *w, struct item *it, uint16_t segment, bool is_tagged)
{
	const uint8_t *data = rte_pktmbuf_mtod(it->mbuf, const uint8_t *);
	uint16_t team = (uint16_t)w->wiring->config->ports[it->port].team;

	if (UNLIKELY((data[0] & 1) != 0) &&
	    fate_is_echo(w->wiring->tables, it->port, wiring_way(w->wiring, team, 0), segment,
			 data)) {
		worker_drop(w, it, DROP_UPLINK_ECHO);
		return false;
	}
	if (w->wiring->config->segments[segment].learning) {
		learned_mac(w->o.learned, segment, data + 6, it->key.iface, 0, w->now);
	}
	if (is_tagged && !worker_untag(it->mbuf)) {
		worker_drop(w, it, DROP_SHORT);
		return false;
	}
	return true;
}

/* TCP or UDP from a possible source, which needs no reading here: its segment's number, or
 * UINT16_MAX for any other frame. */
static uint16_t enter_plain(struct worker *w, struct item *it, bool *is_tagged)
{
	const uint8_t *data = rte_pktmbuf_mtod(it->mbuf, const uint8_t *);
	uint32_t head = it->mbuf->data_len, tag = 0;
	uint16_t vlan = PACKET_NO_VLAN;
	struct flow_key k;

	if (head < 18) {
		return UINT16_MAX;
	}
	*is_tagged = data[12] == 0x81 && data[13] == 0;
	if (*is_tagged) {
		vlan = (uint16_t)((data[14] << 8 | data[15]) & 0xfff);
		tag = 4;
	}
	it->key.iface = tables_ingress(w->wiring->tables, it->port, vlan);
	if (it->key.iface == 0 || (data[6] & 1) != 0 ||
	    !worker_read_plain(data + tag, head - tag, it->mbuf->pkt_len - tag, 0, &k)) {
		return UINT16_MAX;
	}
	uint8_t first = data[tag + (k.ip == 6 ? 22 : 26)];
	bool is_possible = k.ip == 6 ? first != 0xff && first != 0 : first != 127 && first < 224;
	return is_possible ? tables_iface(w->wiring->tables, it->key.iface)->segment : UINT16_MAX;
}

/* A frame at an uplink that no tunnel carries. Returns false where it ends here. */
static bool enter_vlan(struct worker *w, const struct config_team *team, struct item *it)
{
	struct packet p;
	bool is_tagged = false;
	uint16_t segment = enter_plain(w, it, &is_tagged);

	if (segment != UINT16_MAX) {
		return enter_segment(w, it, segment, is_tagged);
	}
	enum drop_reason r = packet_parse(&p, rte_pktmbuf_mtod(it->mbuf, const uint8_t *),
					  it->mbuf->data_len, it->mbuf->pkt_len, false);
	if (r != DROP_NONE) {
		worker_drop(w, it, r);
		return false;
	}
	is_tagged = p.vlan != PACKET_NO_VLAN;
	p.vlan = p.vlan == 0 ? PACKET_NO_VLAN : p.vlan; /* only a priority */
	it->key.iface = tables_ingress(w->wiring->tables, it->port, p.vlan);
	if (it->key.iface != 0) {
		segment = tables_iface(w->wiring->tables, it->key.iface)->segment;
	}
	if (learn_neighbor(w, team, it, &p, segment)) {
		return false;
	}
	if (it->key.iface == 0) {
		worker_drop(w, it, p.vlan == PACKET_NO_VLAN ? DROP_PORT_CLOSED : DROP_VLAN);
		return false;
	}
	return enter_segment(w, it, segment, is_tagged);
}

bool worker_enter_uplink(struct worker *w, const struct config_team *team, struct item *it)
{
	it->key.iface = 0;
	if (!decapsulate(w, team, it)) {
		return false;
	}
	return it->key.iface != 0 || enter_vlan(w, team, it);
}
