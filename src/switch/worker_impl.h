/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a worker, for the files that make it up: worker_limit.c (what ports may), worker.c
 * (the loop, bursts, packets that go by a flow's word), worker_first.c (packets that take the whole
 * way), worker_log.c (what rules want told), worker_seen.c (addresses that guests have),
 * worker_uplink.c (what comes in at uplinks) and worker_out.c (what goes out). All on the worker's
 * own thread.
 */
#ifndef SWITCH_WORKER_IMPL_H
#define SWITCH_WORKER_IMPL_H

#include <string.h>

#include <rte_cycles.h>
#include <rte_mbuf.h>

#include "base/macro.h"
#include "switch/bucket.h"
#include "switch/capture.h"
#include "switch/fate.h"
#include "switch/flow_hot.h"
#include "switch/fragment.h"
#include "switch/segment.h"
#include "switch/tcp_track.h"
#include "switch/worker.h"

enum {
	WORKER_BURST = 32,
	WORKER_OUT_MAX = 64,
	WORKER_WANTS = 256,
	WORKER_ASKS_MAX = 1024, /* frames a tick */
	UDP_TICKS = 30 * 1000 / FLOW_TICK_MS,
	UDP_REPLIED_TICKS = 180 * 1000 / FLOW_TICK_MS,
	OTHER_TICKS = 60 * 1000 / FLOW_TICK_MS,
};

/* Packets that wait to leave by a port. */
struct out {
	uint16_t n;
	bool is_limited;
	struct rte_mbuf *packets[WORKER_OUT_MAX];
};

/* What a port may: bytes that it sends and gets, connections that it begins. */
struct limits {
	struct bucket from, to, flows;
};

/* A tunnel's header, made when the next hop's address is known; looked up again from time to
 * time. One for each remote endpoint and encapsulation. */
struct tunnel {
	struct encap_header header;
	uint32_t checked; /* tick */
	bool is_asked;
};

/* An address that was asked for. */
struct want {
	uint64_t segment;
	struct address address;
	uint32_t tick;
};

/* worker_do() */
struct worker_errand {
	void (*fn)(struct worker *w, void *arg);
	void *arg;
};

struct worker {
	struct worker_options o;
	struct wiring *wiring;	      /* that it goes by */
	struct wiring *next;	      /* atomic: published; taken at a quiet point */
	struct worker_errand *errand; /* atomic: done and taken away at a quiet point */
	bool is_stopping;	      /* atomic */
	uint32_t now;		      /* tick */
	uint64_t tick_tsc, next_tick_tsc;
	uint64_t us_tsc, idle_since; /* 0: it is not idle */
	bool is_drowsy;		     /* it has said that it will sleep */
	bool has_more_to_age;
	bool has_moving;		    /* the tables know of guests that move */
	bool is_running;		    /* atomic: on its core */
	uint16_t waiting[CONFIG_PORTS_MAX]; /* ports with packets to send, n_waiting of them */
	uint16_t n_waiting;
	struct out *out;	   /* by port */
	struct limits *limits;	   /* by port */
	struct tunnel *tunnels[2]; /* Geneve, VXLAN: by endpoint */
	struct fate_out *copies;
	struct capture *capture;   /* atomic: the control thread's wish */
	struct capture *capturing; /* atomic: what this turn goes by */
	struct fragments *fragments;
	struct want *wants; /* by hash */
	uint32_t asked_tick, n_asked;
	uint16_t announced[CONFIG_PORTS_MAX]; /* by port: since when, plus one; 0: not at all */
	uint16_t n_announced;		      /* ports that are being announced */
	uint32_t moved[CONFIG_TEAMS_MAX];     /* of each team's ways: those that were announced */
	uint64_t stage_begin; /* when the present stage began; 0: this turn is no sample */
	struct worker_counters *counters;
};

/* A packet on its way. */
struct item {
	struct rte_mbuf *mbuf;
	struct flow_key key;
	uint64_t hash;
	uint32_t guess;
	uint16_t endpoint; /* where it came from through a tunnel, plus one; 0: it did not */
	uint16_t port;	   /* where it came in */
};

static inline struct port_counters *worker_count(struct worker *w, uint16_t port)
{
	return &w->counters->ports[port];
}

/* ---- worker_capture.c ---- */

void worker_capture_packet(struct worker *w, enum capture_stage stage, enum drop_reason r,
			   uint16_t port, const struct rte_mbuf *m);

static inline void worker_capture(struct worker *w, enum capture_stage stage, enum drop_reason r,
				  uint16_t port, const struct rte_mbuf *m)
{
	if (UNLIKELY(w->capturing != NULL)) {
		worker_capture_packet(w, stage, r, port, m);
	}
}

static inline void worker_drop(struct worker *w, const struct item *it, enum drop_reason r)
{
	worker_capture(w, CAPTURE_DROPPED, r, it->port, it->mbuf);
	worker_count(w, it->port)->drops[r]++;
	rte_pktmbuf_free(it->mbuf);
}

/* ---- worker_log.c ---- */

/* A packet of which the tables were asked, and what became of it; nothing of it is sent or freed
 * yet. */
struct judged {
	const struct item *item;
	const struct packet *packet;
	const struct fate *fate;
	enum drop_reason reason;
	bool is_known; /* it belongs to a connection that has begun */
};

void worker_log_packet(struct worker *w, const struct judged *j);

static inline void worker_log(struct worker *w, const struct judged *j)
{
	if (UNLIKELY((j->fate->log | j->fate->n_verdicts) != 0)) {
		worker_log_packet(w, j);
	}
}

/* A stage ends that n packets went through, and the next begins. */
static inline void worker_end_stage(struct worker *w, enum worker_stage stage, unsigned n)
{
	if (UNLIKELY(w->stage_begin != 0)) {
		struct stage_counters *c = &w->counters->stages[stage];
		uint64_t now = rte_rdtsc();
		c->cycles += now - w->stage_begin;
		c->packets += n;
		w->stage_begin = now;
	}
}

/* ---- worker.c ---- */

/* One turn of the loop: a quiet point, a burst from each queue, and what waits is sent. How many
 * packets came in. Tests call it in the loop's place. */
unsigned worker_turn(struct worker *w);

/* ---- worker_out.c ---- */

/* Sends what waits for a port, or for all. */
void worker_send_port(struct worker *w, uint16_t port);
void worker_send_all(struct worker *w);
/* Makes a tunnel's header, or asks who its next hop is. */
void worker_check_tunnel(struct worker *w, struct tunnel *t, const struct wire *wire,
			 uint16_t endpoint, enum encapsulation encapsulation);
/* Where a team's ways have changed: tells those beyond it who is here, so that they send by the
 * ways that are left. */
void worker_announce(struct worker *w);
/* worker_leave() for a packet that is cut before. */
enum drop_reason worker_leave_cut(struct worker *w, struct rte_mbuf *m, uint16_t iface,
				  uint16_t endpoint, uint32_t hash);
/* Puts a VLAN tag on a frame; false: no room. And takes it off. */
bool worker_tag(struct rte_mbuf *m, uint16_t vlan);
bool worker_untag(struct rte_mbuf *m);

/* ---- worker_limit.c ---- */

/* Begins the limits of a wiring's ports, or goes on with those that it does not change. */
void worker_set_limits(struct worker *w, const struct wiring *next);
/* Takes what is above the rate out of a burst that came in; how many stay, in order. */
unsigned worker_limit_burst(struct worker *w, uint16_t port, struct rte_mbuf **m, unsigned n);
/* May a packet leave by a port? If not, it is counted and freed. */
bool worker_may_leave(struct worker *w, uint16_t port, struct rte_mbuf *m);
/* May what came in there begin a connection? */
enum drop_reason worker_may_begin(struct worker *w, uint16_t iface);
/* May one more that its guest began be open there? */
enum drop_reason worker_has_quota(const struct worker *w, uint16_t iface);

/* ---- worker_move.c ---- */

/* Every 10 ms: guests that have come are announced again, some times. */
void worker_announce_again(struct worker *w);

/* ---- worker_first.c ---- */

/* A packet that is no plain one of a known connection, to its end. */
void worker_take_whole_way(struct worker *w, struct item *it);
/* Plain packets of one burst that no record was found for, in order: key and hash are set. */
void worker_take_first(struct worker *w, struct item **items, unsigned n);

/* ---- worker_seen.c ---- */

/* Notes what a packet at a guest's port says of its address. */
void worker_see(struct worker *w, const struct item *it, const struct fate_sighting *s);
/* Asks a segment who has an address. */
void worker_ask(struct worker *w, const struct next_hop *wanted);
/* Once a tick: forgets who has gone, asks who is silent. */
void worker_age_seen(struct worker *w);

/* ---- worker_uplink.c ---- */

/* A frame at a team's port: out of its tunnel, or into its VLAN's segment. False: it ended here. */
bool worker_enter_uplink(struct worker *w, const struct config_team *team, struct item *it);

/* ---- what all need, in the loops of worker.c above all ---- */

/* A packet waits to leave by a port. */
static inline void worker_put(struct worker *w, uint16_t port, struct rte_mbuf *m)
{
	struct out *o = &w->out[port];

	if (UNLIKELY(o->is_limited) && !worker_may_leave(w, port, m)) {
		return;
	}
	if (o->n == 0) {
		bool is_waiting = false;
		for (uint16_t i = 0; i < w->n_waiting; i++) {
			is_waiting |= w->waiting[i] == port;
		}
		if (!is_waiting) {
			w->waiting[w->n_waiting++] = port;
		}
	}
	o->packets[o->n++] = m;
	if (o->n == WORKER_OUT_MAX) {
		worker_send_port(w, port);
	}
}

static inline struct tunnel *worker_tunnel(struct worker *w, const struct wire *wire,
					   uint16_t endpoint, uint16_t segment)
{
	enum encapsulation e = w->wiring->config->segments[segment].encapsulation;
	struct tunnel *t = &w->tunnels[e == ENCAP_VXLAN][endpoint];

	if (UNLIKELY(t->header.ip == 0 || w->now - t->checked > 1000 / FLOW_TICK_MS)) {
		worker_check_tunnel(w, t, wire, endpoint, e);
	}
	return t;
}

/* Puts a tunnel's header before a frame; false: the way there is not known, or no room. */
static inline bool worker_encapsulate(struct worker *w, struct rte_mbuf *m, const struct wire *wire,
				      uint16_t iface, uint16_t endpoint, uint32_t hash)
{
	uint16_t segment = tables_iface(w->wiring->tables, iface)->segment;
	struct tunnel *t = worker_tunnel(w, wire, endpoint, segment);
	uint32_t size = m->pkt_len;

	if (UNLIKELY(t->header.ip == 0)) {
		return false;
	}
	uint8_t *at = (uint8_t *)rte_pktmbuf_prepend(m, t->header.size);
	if (UNLIKELY(at == NULL)) {
		return false;
	}
	encap_write(&t->header, at, size, hash, wire->vni);
	return true;
}

/* Does a packet that is to be cut leave there as it is? */
static inline bool worker_takes_marked(const struct worker *w, const struct wire *wire,
				       const struct rte_mbuf *m)
{
	const struct port_io *io = wire->kind == IFACE_PORT ? w->wiring->io[wire->port] : NULL;

	return io != NULL && io->takes_marked != NULL &&
	       io->takes_marked(io->arg, segment_is_ipv6(m));
}

/* A packet leaves by an interface; frees it where it cannot. */
static inline enum drop_reason worker_leave(struct worker *w, struct rte_mbuf *m, uint16_t iface,
					    uint16_t endpoint, uint32_t hash)
{
	const struct wire *wire = &w->wiring->wires[iface];

	if (UNLIKELY(segment_is_marked(m)) && !worker_takes_marked(w, wire, m)) {
		return worker_leave_cut(w, m, iface, endpoint, hash);
	}
	if (wire->kind == IFACE_TUNNEL) {
		if (UNLIKELY(!worker_encapsulate(w, m, wire, iface, endpoint, hash))) {
			worker_capture(w, CAPTURE_DROPPED, DROP_NO_NEIGHBOR, wire->port, m);
			rte_pktmbuf_free(m);
			return DROP_NO_NEIGHBOR;
		}
	} else if (wire->vlan != PACKET_NO_VLAN && !worker_tag(m, wire->vlan)) {
		rte_pktmbuf_free(m);
		return DROP_NO_BUFFER;
	}
	uint16_t port = wire->port;
	m->hash.rss = hash; /* a port of several queues goes by it */
	if (wire->kind != IFACE_PORT) {
		port = wiring_way(w->wiring, wire->team, hash);
		if (UNLIKELY(port == WIRING_NO_PORT)) {
			rte_pktmbuf_free(m);
			return DROP_UPLINK_DOWN;
		}
	}
	worker_put(w, port, m);
	return DROP_NONE;
}

/* RFC 1624 for a hop limit that goes down by one. */
static inline void worker_hop(uint8_t *ip, uint8_t family)
{
	if (family == 6) {
		ip[7]--;
		return;
	}
	ip[8]--;
	uint32_t sum = (uint32_t)(ip[10] << 8 | ip[11]) + 0x100;
	sum = (sum & 0xffff) + (sum >> 16);
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
}

static inline uint32_t worker_timeout(const struct flow *f)
{
	if (f->proto == 6) {
		return tcp_timeout((enum tcp_state)(f->tcp & 15));
	}
	if (f->proto == 17) {
		return (f->flags & FLOW_REPLIED) != 0 ? UDP_REPLIED_TICKS : UDP_TICKS;
	}
	return OTHER_TICKS;
}

/* Follows a connection on; the record's life is set by what state it comes to. */
static inline enum tcp_verdict worker_follow(struct worker *w, struct flow *f, unsigned d,
					     const struct packet *p)
{
	uint8_t before = f->tcp;
	enum tcp_verdict v = tcp_follow(f, d, p);

	if (v == TCP_GOOD && f->tcp != before && (f->tcp & 15) > TRACK_OPEN) {
		flow_expire(w->o.flows, f, w->now + worker_timeout(f));
	}
	return v;
}

/* Is what stands behind the IP header of a plain packet right, `size` bytes of it? TCP flags go
 * together: SYN alone or with ACK, or no SYN and ACK or RST. */
static inline bool worker_l4_is_plain(const uint8_t *l4, uint32_t size, uint8_t proto)
{
	if (proto == 17) {
		uint32_t length = (uint32_t)(l4[4] << 8 | l4[5]);
		return length >= 8 && length <= size;
	}
	uint32_t header = (uint32_t)(l4[12] >> 4) * 4;
	bool flags_are_good = (l4[13] & 2) != 0 ? (l4[13] & 5) == 0 : (l4[13] & 20) != 0;
	return proto == 6 && header >= 20 && header <= size && flags_are_good;
}

/* IPv6 without extension headers. */
static inline bool worker_read_plain6(const uint8_t *p, uint32_t head, uint32_t size,
				      uint16_t iface, struct flow_key *k)
{
	uint32_t src, dst, ports;

	if (head < 74 || p[12] != 0x86 || p[13] != 0xdd || p[14] >> 4 != 6) {
		return false;
	}
	uint32_t total = (uint32_t)(p[18] << 8 | p[19]);
	memcpy(&src, p + 34, 4);
	memcpy(&dst, p + 50, 4);
	memcpy(&ports, p + 54, 4);
	flow_key_set(k, (uint64_t)dst << 32 | src, ports, iface, p[20], 6);
	memcpy(k->src_high, p + 22, 12);
	memcpy(k->dst_high, p + 38, 12);
	return total + 54 <= size && worker_l4_is_plain(p + 54, total, p[20]);
}

/* A plain packet: an untagged frame with TCP or UDP in IP, whole, with headers that are right, at
 * least as long as with TCP. Most are; the rest takes the whole way. */
static inline bool worker_read_plain(const uint8_t *p, uint32_t head, uint32_t size, uint16_t iface,
				     struct flow_key *k)
{
	uint64_t addresses;
	uint32_t ports;

	if (UNLIKELY(head < 54 || p[12] != 0x08 || p[13] != 0 || p[14] != 0x45 ||
		     ((p[20] & 0x3f) | p[21]) != 0)) {
		return worker_read_plain6(p, head, size, iface, k);
	}
	uint32_t total = (uint32_t)(p[16] << 8 | p[17]);
	memcpy(&addresses, p + 26, 8);
	memcpy(&ports, p + 34, 4);
	flow_key_set(k, addresses, ports, iface, p[23], 4);
	if (UNLIKELY(!packet_ip4_is_right(p + 14) || total + 14 > size || total < 20)) {
		return false;
	}
	return worker_l4_is_plain(p + 34, total - 20, p[23]);
}

/* Both MAC addresses of a frame, destination first. */
static inline bool worker_mac_is(const uint8_t *data, const uint8_t *mac)
{
	uint64_t a, b;
	uint32_t c, d;

	memcpy(&a, data, 8);
	memcpy(&b, mac, 8);
	memcpy(&c, data + 8, 4);
	memcpy(&d, mac + 8, 4);
	return ((a ^ b) | (c ^ d)) == 0;
}

/* May a packet go by its record's word? Else the tables are asked: where it was judged under
 * others, has other MAC addresses, comes to its last hop, does not fit, or others get copies. */
static inline bool worker_may_follow(const struct worker *w, const struct flow *f, unsigned d,
				     const struct item *it)
{
	const uint8_t *data = rte_pktmbuf_mtod(it->mbuf, const uint8_t *);

	if (f->epoch != w->wiring->epoch || !worker_mac_is(data, f->mac[d])) {
		return false;
	}
	uint32_t frame_max = w->wiring->wires[f->iface[1 - d]].frame_max;
	if (UNLIKELY(it->mbuf->pkt_len > frame_max) && segment_frame(it->mbuf) > frame_max) {
		return false;
	}
	return (f->flags & (FLOW_ROUTED | FLOW_ASKS)) == 0 ||
	       ((f->flags & FLOW_ASKS) == 0 && data[it->key.ip == 6 ? 21 : 22] > 1);
}

/* Rewrites a packet of end d where it is routed, and sends it. Untagged: IP begins at 14. */
static inline void worker_forward(struct worker *w, const struct flow *f, unsigned d,
				  struct item *it)
{
	uint8_t *data = rte_pktmbuf_mtod(it->mbuf, uint8_t *);

	if ((f->flags & FLOW_ROUTED) != 0) {
		/* Out to end 1 - d go the addresses that come in from there, exchanged. */
		memcpy(data, f->mac[1 - d] + 6, 6);
		memcpy(data + 6, f->mac[1 - d], 6);
		worker_hop(data + 14, it->key.ip);
	}
	enum drop_reason r =
		worker_leave(w, it->mbuf, f->iface[1 - d], f->tunnel, (uint32_t)it->hash);
	if (UNLIKELY(r != DROP_NONE)) {
		worker_count(w, it->port)->drops[r]++;
	}
}

/* A rule decided about a packet; position as fate.h says. */
static inline void worker_count_rule(struct worker *w, int32_t rule)
{
	if (rule > FATE_RULE_NOT_ASKED) {
		size_t n = w->wiring->config->n_rules;
		w->wiring->rules[rule < 0 ? n : (size_t)rule].hits++;
	}
}

/* A connection ends: what it carried is its rule's, if that still stands where it was. */
static inline void worker_end_flow(struct worker *w, const struct flow *f)
{
	w->counters->flows_ended++;
	if (w->wiring == NULL || f->epoch != w->wiring->epoch ||
	    (int32_t)f->rule <= FATE_RULE_NOT_ASKED) {
		return;
	}
	size_t n = w->wiring->config->n_rules;
	struct rule_counters *c = &w->wiring->rules[MIN((size_t)f->rule, n)];
	c->packets += (uint64_t)f->packets[0] + f->packets[1];
	c->bytes += f->bytes[0] + f->bytes[1];
}

/* Counts a packet on its record, which lives on by it. */
static inline void worker_count_flow(struct worker *w, struct flow *f, unsigned d,
				     const struct item *it)
{
	if (d == 1) {
		f->flags |= FLOW_REPLIED;
	}
	f->expires = w->now + worker_timeout(f);
	f->packets[d]++;
	f->bytes[d] += it->mbuf->pkt_len;
}

#endif
