/* SPDX-License-Identifier: Apache-2.0 */
/* What rules with `log` have let begin or stopped, put where the control thread takes it. */
#include "switch/worker_impl.h"

#include <arpa/inet.h>

#include "switch/rule_log.h"

static void put_address(uint8_t out[16], uint8_t ip, const uint32_t high[3], uint32_t low)
{
	if (ip == 6) {
		memcpy(out, high, 12);
		memcpy(out + 12, &low, 4);
	} else {
		memcpy(out, &low, 4);
	}
}

/* What all records of a packet have in common. */
static void describe(const struct worker *w, const struct packet *p, struct rule_log_record *r)
{
	const struct flow_key *k = &p->key;
	bool is_icmp = k->proto == (k->ip == 4 ? 1 : 58);

	*r = (struct rule_log_record){
		.size = p->size,
		.epoch = w->wiring->epoch,
		.proto = k->proto,
		.ip = k->ip,
	};
	put_address(r->source, k->ip, k->src_high, k->src);
	put_address(r->destination, k->ip, k->dst_high, k->dst);
	if (is_icmp) {
		r->has_ports = p->l4 != 0 && (p->flags & PACKET_LATER) == 0;
		r->source_port = r->has_ports ? p->data[p->l4] : 0;
		r->destination_port = r->has_ports ? p->data[p->l4 + 1] : 0;
	} else if (k->proto == 6 || k->proto == 17 || k->sport != 0 || k->dport != 0) {
		r->has_ports = (p->flags & PACKET_LATER) == 0 || (p->flags & PACKET_JOINED) != 0;
		r->source_port = ntohs(k->sport);
		r->destination_port = ntohs(k->dport);
		r->tcp_flags = p->tcp_flags;
	}
}

/* A rule has decided at a port: what it stops is told each time, what it lets pass when that goes
 * on its way and no connection had begun. */
static void put(struct worker *w, const struct judged *j, struct rule_log_record *r,
		const struct fate_verdict *v)
{
	bool stops = w->wiring->config->rules[v->rule].action != RULE_ALLOW;

	if (stops || (!j->is_known && j->reason == DROP_NONE)) {
		r->rule = v->rule;
		r->port = v->port;
		rule_log_put(w->o.log, r);
	}
}

void worker_log_packet(struct worker *w, const struct judged *j)
{
	const struct fate *f = j->fate;
	const struct tables *t = w->wiring->tables;
	struct rule_log_record r;

	if (w->o.log == NULL) {
		return;
	}
	describe(w, j->packet, &r);
	if ((f->log & RULE_OUT) != 0 && f->rule_out >= 0) {
		r.direction = RULE_OUT;
		put(w, j, &r,
		    &(struct fate_verdict){ f->rule_out,
					    tables_iface(t, j->item->key.iface)->port });
	}
	r.direction = RULE_IN;
	if ((f->log & RULE_IN) != 0 && f->rule_in >= 0) {
		put(w, j, &r,
		    &(struct fate_verdict){ f->rule_in, tables_iface(t, f->out.iface)->port });
	}
	for (uint32_t i = 0; i < f->n_verdicts && i < FATE_VERDICTS_MAX; i++) {
		put(w, j, &r, &f->verdicts[i]);
	}
	if (f->n_verdicts > FATE_VERDICTS_MAX) {
		rule_log_lose(w->o.log, f->n_verdicts - FATE_VERDICTS_MAX);
	}
}
