/* SPDX-License-Identifier: Apache-2.0 */
/* What a port may: rates of bytes both ways, and connections that its guest begins. A port without
 * limits costs a look at one flag. */
#include "switch/worker_impl.h"

#include <stdlib.h>

#include <rte_cycles.h>

#include "base/mem.h"

/* Goes on with a bucket whose limit stays: a new document is no new burst. */
static void set_bucket(struct bucket *b, uint64_t rate, uint64_t burst)
{
	struct bucket next;

	bucket_begin(&next, rate, burst, rte_get_tsc_hz(), rte_rdtsc());
	if (b->rate != next.rate || b->full != next.full) {
		*b = next;
	}
}

void worker_set_limits(struct worker *w, const struct wiring *next)
{
	const struct switch_config *c = next->config;
	struct limits *was = w->limits;

	w->limits = mem_calloc(CONFIG_PORTS_MAX, sizeof(*w->limits));
	for (size_t i = 0; i < c->n_ports; i++) {
		const struct config_port *p = &c->ports[i];
		struct limits *l = &w->limits[i];
		if (next->port_before[i] >= 0) {
			*l = was[next->port_before[i]];
		}
		set_bucket(&l->from, p->from.bits_per_second / 8, p->from.burst_bytes);
		set_bucket(&l->to, p->to.bits_per_second / 8, p->to.burst_bytes);
		set_bucket(&l->flows, p->new_flows_per_second, p->new_flows_per_second);
		w->out[i].is_limited = l->to.rate > 0;
	}
	free(was);
}

unsigned worker_limit_burst(struct worker *w, uint16_t port, struct rte_mbuf **m, unsigned n)
{
	struct bucket *b = &w->limits[port].from;
	struct port_counters *c = worker_count(w, port);
	uint64_t now = rte_rdtsc();
	unsigned n_kept = 0;

	for (unsigned i = 0; i < n; i++) {
		if (bucket_take(b, now, m[i]->pkt_len)) {
			m[n_kept++] = m[i];
			continue;
		}
		c->rx_packets++;
		c->rx_bytes += m[i]->pkt_len;
		c->drops[DROP_QOS]++;
		worker_capture(w, CAPTURE_DROPPED, DROP_QOS, port, m[i]);
		rte_pktmbuf_free(m[i]);
	}
	return n_kept;
}

bool worker_may_leave(struct worker *w, uint16_t port, struct rte_mbuf *m)
{
	if (bucket_take(&w->limits[port].to, rte_rdtsc(), m->pkt_len)) {
		return true;
	}
	worker_count(w, port)->drops[DROP_QOS]++;
	worker_capture(w, CAPTURE_DROPPED, DROP_QOS, port, m);
	rte_pktmbuf_free(m);
	return false;
}

/* Connections that a port's guest has begun, on all its segments. */
static uint64_t n_flows_of(const struct worker *w, const struct config_port *p, uint16_t port)
{
	const struct tables *t = w->wiring->tables;
	uint16_t own = tables_ingress(t, port, PACKET_NO_VLAN);
	uint64_t n = own == 0 ? 0 : flow_count_of(w->o.flows, own);

	for (size_t i = 0; i < p->n_trunk; i++) {
		uint16_t iface = tables_ingress(t, port, p->trunk[i].vlan);
		n += iface == 0 || iface == own ? 0 : flow_count_of(w->o.flows, iface);
	}
	return n;
}

enum drop_reason worker_has_quota(const struct worker *w, uint16_t iface)
{
	const struct iface *from = tables_iface(w->wiring->tables, iface);

	if (from->kind != IFACE_PORT) {
		return DROP_NONE;
	}
	const struct config_port *p = &w->wiring->config->ports[from->port];
	return p->flows_max > 0 && n_flows_of(w, p, from->port) >= p->flows_max ? DROP_FLOW_QUOTA
										: DROP_NONE;
}

enum drop_reason worker_may_begin(struct worker *w, uint16_t iface)
{
	const struct iface *from = tables_iface(w->wiring->tables, iface);
	enum drop_reason r = worker_has_quota(w, iface);

	if (from->kind != IFACE_PORT || r != DROP_NONE) {
		return r;
	}
	struct bucket *b = &w->limits[from->port].flows;
	return b->rate == 0 || bucket_take(b, rte_rdtsc(), 1) ? DROP_NONE : DROP_FLOW_RATE;
}
