/* SPDX-License-Identifier: Apache-2.0 */
/* Whose address is where, among guests whose addresses nobody has listed: what they say is noted,
 * and who is not known, or has been silent, is asked. */
#include "switch/worker_impl.h"

#include "switch/answer.h"

enum {
	AGE_PORTION = 256, /* a tick: all in 8 s */
};

/* ---- asking ---- */

/* Once a second for an address, and not more than a tick's frames in all. */
static bool may_ask(struct worker *w, uint64_t segment, const struct address *a, size_t n_frames)
{
	uint64_t words[2];

	memcpy(words, a->bytes, sizeof(words));
	uint64_t hash = (segment ^ words[0] ^ words[1]) * 0x9e3779b97f4a7c15u;
	struct want *want = &w->wants[(hash >> 32) % WORKER_WANTS];
	bool is_same = want->segment == segment && want->address.ip == a->ip &&
		       memcmp(want->address.bytes, a->bytes, 16) == 0;
	if (is_same && w->now - want->tick < 1000 / FLOW_TICK_MS) {
		return false;
	}
	if (w->asked_tick != w->now) {
		w->asked_tick = w->now;
		w->n_asked = 0;
	}
	if (w->n_asked + n_frames > WORKER_ASKS_MAX) {
		return false;
	}
	w->n_asked += (uint32_t)n_frames;
	*want = (struct want){ segment, *a, w->now };
	return true;
}

/* Who the switch asks as: the segment's router or, where it has no address of that family, nobody
 * (RFC 5227), or a link-local address of its own. */
static size_t make_question(const struct worker *w, uint16_t segment, const struct address *target,
			    uint8_t out[ANSWER_SIZE_MAX])
{
	const struct switch_config *c = w->wiring->config;
	const struct config_segment *s = &c->segments[segment];
	struct address own = { .ip = target->ip };

	if (target->ip == 6) {
		memcpy(own.bytes, "\xfe\x80\0\0\0\0\0\0\0\x52\x4d\xff\xfe\xff\xff\xfe", 16);
	}
	for (size_t i = 0; i < s->n_gateways; i++) {
		if (s->gateways[i].address.ip == target->ip) {
			own = s->gateways[i].address;
			break;
		}
	}
	return answer_ask(s->router < 0 ? FATE_ASKING_MAC : c->routers[s->router].mac, &own, target,
			  out);
}

static void send_question(struct worker *w, uint16_t iface, const uint8_t *frame, size_t n)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->o.pool);

	if (m != NULL) {
		memcpy(rte_pktmbuf_append(m, (uint16_t)n), frame, n);
		(void)worker_leave(w, m, iface, 0, 0);
	}
}

/* Asks at one interface. */
static void ask_at(struct worker *w, uint16_t iface, const struct address *target)
{
	const struct iface *i = tables_iface(w->wiring->tables, iface);
	uint64_t id = w->wiring->config->segments[i->segment].id;
	uint8_t frame[ANSWER_SIZE_MAX];

	if (may_ask(w, id, target, 1)) {
		send_question(w, iface, frame, make_question(w, i->segment, target, frame));
	}
}

void worker_ask(struct worker *w, const struct next_hop *wanted)
{
	const struct tables *t = w->wiring->tables;
	const struct switch_config *c = w->wiring->config;
	const struct segment_ifaces *s = tables_segment(t, wanted->segment);
	bool has_vlan = s->out != 0 && tables_iface(t, s->out)->kind == IFACE_VLAN;
	uint8_t frame[ANSWER_SIZE_MAX];

	if (!may_ask(w, c->segments[wanted->segment].id, &wanted->address,
		     s->n_guests + has_vlan)) {
		return;
	}
	size_t n = make_question(w, wanted->segment, &wanted->address, frame);
	if (has_vlan) {
		send_question(w, s->out, frame, n);
	}
	for (size_t i = 0; i < s->n_guests; i++) {
		const struct config_port *p = &c->ports[tables_iface(t, s->guests[i])->port];
		if (p->guard.any_address && !p->is_blocked) {
			send_question(w, s->guests[i], frame, n);
		}
	}
}

/* ---- noting ---- */

void worker_see(struct worker *w, const struct item *it, const struct fate_sighting *s)
{
	const struct iface *from = tables_iface(w->wiring->tables, it->key.iface);
	uint64_t segment = w->wiring->config->segments[from->segment].id;
	struct seen_at at = { .iface = it->key.iface };

	memcpy(at.mac, s->mac, 6);
	if (s->is_refused) {
		struct seen_quarrel q = { segment, s->address, at.iface, s->owner, false };
		seen_add_quarrel(w->o.seen, &q);
	} else if (s->is_claim) {
		(void)seen_claim(w->o.seen, segment, &s->address, &at, w->now);
	} else if (!seen_use(w->o.seen, segment, &s->address, &at, w->now)) {
		/* It may forward for others: only who answers for an address has it. */
		ask_at(w, it->key.iface, &s->address);
	}
}

/* ---- aging ---- */

static bool is_possible(void *arg, const struct seen_entry *e)
{
	const struct worker *w = arg;
	const struct iface *i = tables_iface(w->wiring->tables, e->at.iface);

	return i->kind == IFACE_PORT && w->wiring->config->segments[i->segment].id == e->segment &&
	       w->wiring->config->ports[i->port].guard.any_address;
}

static void ask_owner(void *arg, const struct seen_entry *e)
{
	ask_at(arg, e->at.iface, &e->address);
}

void worker_age_seen(struct worker *w)
{
	const struct seen_care care = { is_possible, ask_owner, w };

	if (w->wiring != NULL) {
		seen_age(w->o.seen, w->now, AGE_PORTION, &care);
	}
}
