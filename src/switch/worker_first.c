/* SPDX-License-Identifier: Apache-2.0 */
/* Packets that take the whole way: first ones of connections, what is not plain, and what was
 * judged under other tables. */
#include "switch/worker_impl.h"

#include "switch/answer.h"

static void send_answer(struct worker *w, const struct item *it, const struct packet *p,
			const struct fate *fate)
{
	const struct switch_config *c = w->wiring->config;
	const struct iface *from = tables_iface(w->wiring->tables, it->key.iface);
	const struct config_segment *s = &c->segments[from->segment];
	uint8_t frame[ANSWER_SIZE_MAX];
	struct address own = { .ip = 0 };

	for (size_t i = 0; i < s->n_gateways && own.ip == 0; i++) {
		if (s->gateways[i].address.ip == p->key.ip) {
			own = s->gateways[i].address;
		}
	}
	size_t n =
		answer_make(p, fate, s->router < 0 ? NULL : c->routers[s->router].mac, &own, frame);
	struct rte_mbuf *m = n == 0 ? NULL : rte_pktmbuf_alloc(w->o.pool);
	if (m == NULL) {
		return;
	}
	memcpy(rte_pktmbuf_append(m, (uint16_t)n), frame, n);
	(void)worker_leave(w, m, it->key.iface,
			   it->endpoint == 0 ? 0 : (uint16_t)(it->endpoint - 1),
			   (uint32_t)it->hash);
}

static void send_copies(struct worker *w, struct item *it, const struct fate *fate)
{
	for (uint32_t i = 0; i < fate->n_copies; i++) {
		bool is_last = i + 1 == fate->n_copies;
		struct rte_mbuf *m =
			is_last ? it->mbuf : rte_pktmbuf_copy(it->mbuf, w->o.pool, 0, UINT32_MAX);
		if (m == NULL) {
			worker_count(w, it->port)->drops[DROP_NO_BUFFER]++;
			continue;
		}
		enum drop_reason r = worker_leave(w, m, fate->copies[i].iface,
						  fate->copies[i].endpoint, (uint32_t)it->hash);
		if (r != DROP_NONE) {
			worker_count(w, it->port)->drops[r]++;
		}
	}
}

/* Sends one packet as its fate says, without a record. */
static void send_one(struct worker *w, struct item *it, const struct packet *p,
		     const struct fate *fate)
{
	uint8_t *data = rte_pktmbuf_mtod(it->mbuf, uint8_t *);

	if (fate->is_routed) {
		memcpy(data, fate->destination, 6);
		memcpy(data + 6, fate->source, 6);
		worker_hop(data + p->l3, p->key.ip);
	}
	enum drop_reason r =
		worker_leave(w, it->mbuf, fate->out.iface, fate->out.endpoint, (uint32_t)it->hash);
	if (r != DROP_NONE) {
		worker_count(w, it->port)->drops[r]++;
	}
}

/* May the sender, who is behind a tunnel, be at another place by the next packet? In a router's
 * name whoever moves may send. */
static bool is_senders_moving(const struct worker *w, const struct item *it, const struct packet *p)
{
	const struct tables *t = w->wiring->tables;
	const struct switch_config *c = w->wiring->config;
	struct whereabouts at;

	if (LIKELY(tables_n_moving(t) == 0)) {
		return false;
	}
	for (size_t i = 0; i < c->n_routers; i++) {
		if (memcmp(c->routers[i].mac, p->data + 6, 6) == 0) {
			return true;
		}
	}
	return tables_find_mac(t, tables_iface(t, it->key.iface)->segment, p->data + 6, &at) &&
	       at.moving != 0;
}

/* What the record says about the way of packets of end d, from a fate. */
static void flow_set_way(struct worker *w, struct flow *f, unsigned d, const struct item *it,
			 const struct packet *p, const struct fate *fate)
{
	bool to_tunnel = w->wiring->wires[fate->out.iface].kind == IFACE_TUNNEL;
	bool is_asked = fate->is_copied || fate->is_moving || (to_tunnel && it->endpoint != 0) ||
			is_senders_moving(w, it, p);

	f->epoch = w->wiring->epoch;
	f->rule = (uint32_t)(fate->rule_in >= 0 ? fate->rule_in : fate->rule_out);
	f->flags = (uint8_t)((f->flags & (0xff ^ (FLOW_ROUTED | FLOW_ASKS))) |
			     (fate->is_routed ? FLOW_ROUTED : 0) | (is_asked ? FLOW_ASKS : 0));
	memcpy(f->mac[d], p->data, 12);
	memcpy(f->mac[1 - d], fate->source, 6);
	memcpy(f->mac[1 - d] + 6, fate->destination, 6);
	if (to_tunnel) {
		f->tunnel = fate->out.endpoint;
	} else if (it->endpoint != 0) {
		f->tunnel = (uint16_t)(it->endpoint - 1);
	}
}

/* May the packet begin a connection? */
static enum drop_reason may_begin(const struct worker *w, const struct packet *p)
{
	if (!w->wiring->is_stateful) {
		return DROP_NONE;
	}
	if (p->key.proto == 6 && !tcp_opens(p)) {
		return DROP_TCP_STATE;
	}
	return (p->flags & PACKET_REPLY) != 0 ? DROP_ICMP_UNRELATED : DROP_NONE;
}

static enum drop_reason begin_flow(struct worker *w, struct item *it, const struct packet *p,
				   const struct fate *fate)
{
	enum drop_reason r = may_begin(w, p);

	r = r == DROP_NONE ? worker_may_begin(w, it->key.iface) : r;
	if (r != DROP_NONE) {
		return r;
	}
	struct flow like = { .proto = p->key.proto,
			     .tcp = p->key.proto == 6 && tcp_opens(p) ? TRACK_SYN_SENT : 0 };
	struct flow *f = flow_insert(w->o.flows, &it->key, it->hash, fate->out.iface,
				     w->now + worker_timeout(&like));
	if (f == NULL) {
		return DROP_FLOW_TABLE;
	}
	flow_set_way(w, f, 0, it, p, fate);
	if (like.tcp != 0) {
		tcp_begin(f, p);
	}
	worker_count_flow(w, f, 0, it);
	w->counters->flows_made++;
	return DROP_NONE;
}

/* A record whose packets leave by another interface now: under its new key, with its history. */
static struct flow *flow_move(struct worker *w, struct flow *f, unsigned d, uint16_t iface)
{
	struct flow was = *f;
	struct flow_key k;

	flow_remove(w->o.flows, f);
	was.iface[1 - d] = iface;
	flow_key_of(&was, 0, &k);
	f = flow_insert(w->o.flows, &k, flow_hash(w->o.flows, &k), was.iface[1], was.expires);
	if (f != NULL) {
		was.next = f->next;
		was.previous = f->previous;
		*f = was;
	}
	return f;
}

/* A packet of a connection that was judged under other tables, or that is not as the record says:
 * the rules are asked again for the connection's first packet. */
static enum drop_reason judge_again(struct worker *w, struct flow *f, unsigned d, struct item *it,
				    const struct packet *p, const struct fate *fate)
{
	w->counters->flows_judged_again++;
	if (fate->reason != DROP_NONE) {
		/* Only what the rules say ends a connection: a stray packet does not. */
		if (f->epoch != w->wiring->epoch &&
		    (fate->reason == DROP_FIREWALL || fate->reason == DROP_FIREWALL_REJECT)) {
			worker_end_flow(w, f);
			flow_remove(w->o.flows, f);
		}
		return fate->reason;
	}
	if (!fate->makes_flow) {
		return DROP_NONE;
	}
	if (f->iface[1 - d] != fate->out.iface) {
		f = flow_move(w, f, d, fate->out.iface);
	}
	if (f != NULL) {
		flow_set_way(w, f, d, it, p, fate);
		worker_count_flow(w, f, d, it);
	}
	return DROP_NONE;
}

/* The connection that an ICMP error is about and belongs to: RFC 5927 asks that it be known. *d:
 * the end that it comes from. */
static struct flow *find_related(struct worker *w, const struct packet *p, unsigned *d)
{
	if ((p->flags & PACKET_ICMP_ERROR) == 0 || p->inner.ip == 0) {
		return NULL;
	}
	/* The packet it speaks of went the other way: it came in where the error goes to. The error
	 * comes in where answers do. */
	struct flow_key answer = flow_key_reverse(&p->inner, p->key.iface);
	return flow_find(w->o.flows, &answer, flow_hash(w->o.flows, &answer), d);
}

static struct flow *find_flow(struct worker *w, const struct item *it, const struct packet *p,
			      unsigned *d, enum drop_reason *r)
{
	struct flow *f = flow_find(w->o.flows, &it->key, it->hash, d);

	*r = DROP_NONE;
	if (f == NULL || f->proto != 6 || (p->flags & PACKET_LATER) != 0) {
		return f;
	}
	switch (worker_follow(w, f, *d, p)) {
	case TCP_GOOD:
		return f;
	case TCP_BAD_STATE:
		*r = DROP_TCP_STATE;
		break;
	case TCP_BAD_WINDOW:
		*r = DROP_TCP_WINDOW;
		break;
	case TCP_AGAIN:
		worker_end_flow(w, f);
		flow_remove(w->o.flows, f);
		return NULL;
	}
	return f;
}

/* A connection whose sender has moved to where the packet came in: its record becomes one of that
 * place, and the rules are to be asked again. False: it is none. */
static bool take_moved(struct worker *w, const struct fate_input *in, const struct fate *fate)
{
	unsigned d;
	struct flow *f = fate_find_moved(in, fate, w->o.flows, &d);

	if (f != NULL) {
		f = flow_move(w, f, 1 - d, in->packet->key.iface);
	}
	if (f != NULL) {
		f->epoch = (uint16_t)(w->wiring->epoch - 1);
	}
	return f != NULL;
}

/* For captures: is it a guest's packet that its guard let pass? */
static bool has_passed_guard(const struct worker *w, const struct packet *p, const struct fate *f)
{
	bool is_guards = (f->reason >= DROP_GUARD_MAC && f->reason <= DROP_GUARD_CONTROL) ||
			 f->reason == DROP_PORT_CLOSED;

	return tables_iface(w->wiring->tables, p->key.iface)->kind == IFACE_PORT && !is_guards;
}

/* A packet that is no plain one of a known connection; p is its reading. */
static enum drop_reason decide(struct worker *w, struct item *it, const struct packet *p)
{
	unsigned d = 0;
	enum drop_reason r = DROP_NONE;
	struct flow *f = packet_has_connection(p) ? find_flow(w, it, p, &d, &r) : NULL;
	struct flow *related = find_related(w, p, &d), *known = f != NULL ? f : related;
	struct flow_key first;
	struct fate_verdict verdicts[FATE_VERDICTS_MAX];
	struct fate fate = { .copies = w->copies, .verdicts = verdicts };
	struct fate_input in = { .tables = w->wiring->tables,
				 .learned = w->o.learned,
				 .seen = w->o.seen,
				 .packet = p,
				 .hash = (uint32_t)it->hash,
				 .now = w->now };

	if (r != DROP_NONE) {
		worker_drop(w, it, r);
		return r;
	}
	if (f != NULL && worker_may_follow(w, f, d, it)) {
		worker_count_flow(w, f, d, it);
		worker_forward(w, f, d, it);
		return DROP_NONE;
	}
	if (known != NULL) {
		flow_key_of(known, 0, &first);
		in.first = &first;
		in.is_answer = d == 1;
	}
	fate_decide(&in, &fate);
	if (known == NULL && take_moved(w, &in, &fate)) {
		return decide(w, it, p); /* of a connection that is known, then */
	}
	if (UNLIKELY(w->capturing != NULL) && has_passed_guard(w, p, &fate)) {
		worker_capture_packet(w, CAPTURE_GUARDED, DROP_NONE, it->port, it->mbuf);
	}
	if (UNLIKELY(fate.learns)) {
		const struct iface *from = tables_iface(w->wiring->tables, it->key.iface);
		learned_mac(w->o.learned, from->segment, p->data + 6, it->key.iface,
			    w->wiring->config->ports[from->port].learning_limit, w->now);
	}
	if (known == NULL) {
		worker_count_rule(w, fate.rule_out);
		if (fate.rule_in != fate.rule_out) {
			worker_count_rule(w, fate.rule_in);
		}
	}
	if (fate.answer != ANSWER_NONE) {
		send_answer(w, it, p, &fate);
	}
	if (UNLIKELY(fate.sighting.address.ip != 0)) {
		worker_see(w, it, &fate.sighting);
	}
	if (UNLIKELY(fate.wanted.address.ip != 0)) {
		worker_ask(w, &fate.wanted);
	}
	r = fate.reason;
	if (f != NULL) {
		r = judge_again(w, f, d, it, p, &fate);
	} else if (r == DROP_NONE && w->wiring->is_stateful &&
		   (p->flags & PACKET_ICMP_ERROR) != 0 && related == NULL) {
		r = DROP_ICMP_UNRELATED;
	} else if (r == DROP_NONE && fate.makes_flow) {
		r = begin_flow(w, it, p, &fate);
	}
	worker_log(w, &(struct judged){ it, p, &fate, r, known != NULL });
	if (r != DROP_NONE) {
		worker_drop(w, it, r);
	} else if (fate.is_flooded || fate.n_copies > 0) {
		send_copies(w, it, &fate);
	} else {
		send_one(w, it, p, &fate);
	}
	return r;
}

void worker_take_whole_way(struct worker *w, struct item *it)
{
	struct packet p;
	enum drop_reason r = packet_parse(&p, rte_pktmbuf_mtod(it->mbuf, const uint8_t *),
					  it->mbuf->data_len, it->mbuf->pkt_len, false);

	p.wire_size = segment_frame(it->mbuf);
	if (r == DROP_NONE && p.vlan == 0) {
		/* Only a priority. Nothing bears an identifier any more here: IEEE 802.1Q §6.9 */
		if (worker_untag(it->mbuf)) {
			worker_take_whole_way(w, it);
			return;
		}
		r = DROP_SHORT;
	}
	w->counters->flow_misses++;
	r = r == DROP_NONE && p.vlan != PACKET_NO_VLAN ? DROP_VLAN : r;
	if (r != DROP_NONE) {
		worker_drop(w, it, r);
		return;
	}
	p.key.iface = it->key.iface;
	bool is_fragment = (p.flags & PACKET_FRAGMENT) != 0 && it->key.iface != 0;
	if (is_fragment) {
		r = fragments_take(w->fragments, &p, w->now);
		if (r != DROP_NONE) {
			worker_drop(w, it, r);
			return;
		}
	}
	it->key = p.key;
	it->hash = flow_hash(w->o.flows, &it->key);
	r = decide(w, it, &p);
	if (is_fragment && r != DROP_NONE) {
		fragments_forget(w->fragments, &p, w->now);
	}
}

/* ---- first packets by the burst ---- */

/* One of them, with what the tables say of it. */
struct first {
	struct item *item;
	struct packet packet;
	struct fate fate;
};

/* Is there nothing to do but to drop it, or to send it one way? */
static bool is_simple(const struct fate *f)
{
	return f->answer == ANSWER_NONE && !f->is_flooded && f->n_copies == 0 && !f->learns &&
	       f->wanted.address.ip == 0;
}

/* Reads what is known to be plain, but for what only a first packet is asked for. */
static unsigned read_firsts(struct worker *w, struct item **items, unsigned n, struct first *out)
{
	unsigned n_good = 0;

	for (unsigned i = 0; i < n; i++) {
		struct item *it = items[i];
		struct first *f = &out[n_good];
		enum drop_reason r =
			packet_parse(&f->packet, rte_pktmbuf_mtod(it->mbuf, const uint8_t *),
				     it->mbuf->data_len, it->mbuf->pkt_len, true);
		w->counters->flow_misses++;
		if (r != DROP_NONE) {
			worker_drop(w, it, r);
			continue;
		}
		f->packet.wire_size = segment_frame(it->mbuf);
		f->packet.key.iface = it->key.iface;
		f->item = it;
		n_good++;
	}
	return n_good;
}

static void decide_firsts(struct worker *w, struct first *firsts, unsigned n)
{
	struct flow_table *t = w->o.flows;
	struct fate_input in = { .tables = w->wiring->tables,
				 .learned = w->o.learned,
				 .seen = w->o.seen,
				 .now = w->now };

	for (unsigned i = 0; i < n; i++) {
		struct first *f = &firsts[i];
		f->fate.copies = NULL;
		f->fate.verdicts = NULL;
		in.packet = &f->packet;
		in.hash = (uint32_t)f->item->hash;
		fate_decide(&in, &f->fate);
		if (f->fate.makes_flow) {
			struct flow_key answer;
			flow_key_turn(&f->item->key, f->fate.out.iface, &answer);
			flow_prefetch(t, flow_key_hash(&answer, t->seed));
		}
	}
}

static void take_first(struct worker *w, struct first *f)
{
	enum drop_reason r = f->fate.reason;
	unsigned d;

	bool is_midway = f->packet.key.proto == 6 && !tcp_opens(&f->packet);

	/* One before it may have begun its connection, or its sender may have moved. */
	if (!is_simple(&f->fate) || is_midway ||
	    flow_find(w->o.flows, &f->item->key, f->item->hash, &d) != NULL) {
		(void)decide(w, f->item, &f->packet);
		return;
	}
	if (UNLIKELY(w->capturing != NULL) && has_passed_guard(w, &f->packet, &f->fate)) {
		worker_capture_packet(w, CAPTURE_GUARDED, DROP_NONE, f->item->port, f->item->mbuf);
	}
	if (UNLIKELY(f->fate.sighting.address.ip != 0)) {
		worker_see(w, f->item, &f->fate.sighting);
	}
	worker_count_rule(w, f->fate.rule_out);
	if (f->fate.rule_in != f->fate.rule_out) {
		worker_count_rule(w, f->fate.rule_in);
	}
	if (r == DROP_NONE && f->fate.makes_flow) {
		r = begin_flow(w, f->item, &f->packet, &f->fate);
	}
	worker_log(w, &(struct judged){ f->item, &f->packet, &f->fate, r, false });
	if (r != DROP_NONE) {
		worker_drop(w, f->item, r);
	} else {
		send_one(w, f->item, &f->packet, &f->fate);
	}
}

void worker_take_first(struct worker *w, struct item **items, unsigned n)
{
	struct first firsts[WORKER_BURST];

	for (unsigned i = 0; i < n; i++) {
		flow_prefetch_free(w->o.flows, i);
	}
	n = read_firsts(w, items, n, firsts);
	decide_firsts(w, firsts, n);
	for (unsigned i = 0; i < n; i++) {
		take_first(w, &firsts[i]);
	}
}
