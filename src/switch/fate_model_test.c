/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random packets against random policies, seen thrice: what plane.explain says, what a worker does
 * (its own code, on ports that are rings), and what a naive model of the documentation
 * (model_test.h) expects. All must say the same of each packet: frames that leave byte for byte,
 * drop reasons, answers; and no packet buffer may be lost.
 *
 *   fate_model_test [PACKETS [SEED]]
 *
 * Prints the seed, policy, and packet where they differ. Packets come in worlds of a few hundred,
 * with policies that change meanwhile; a world is made from the seed and its number alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "base/macro.h"
#include "base/mem.h"
#include "plane/document_schema.h"
#include "switch/dpdk_test.h"
#include "switch/explain.h"
#include "switch/model_test.h"
#include "switch/plane_schema.h"
#include "switch/switch_impl.h"
#include "switch/worker_impl.h"

enum {
	PACKETS = 10000,
	SEED = 20261122,
	WORLD = 300, /* packets */
	CHANGE = 70, /* packets under one policy */
	BUFFERS = 2047,
	LEFT_MAX = 64,
	SPLIT = 300, /* bytes in the first of two buffers */
};

/* A frame that left. */
struct left {
	int port;
	size_t size;
	uint8_t bytes[M_FRAME + 100];
	bool is_matched;
};

static struct rte_mempool *pool;
static struct rte_ring *in[M_PORTS], *out[M_PORTS];
static uint16_t devices[M_PORTS];
static struct document_schema *schema;

static struct model model;
static struct softswitch sw;
static struct flow_table *flows;
static uint64_t drops_before[M_PORTS][DROP_N];
static struct left seen[LEFT_MAX];
static int n_seen;
static struct capture *capture; /* in every other world */
static char complaint[512];
/* How often each end was come to. */
static struct {
	uint32_t reasons[DROP_N], answers[16];
	uint32_t followed, known, routed, joined, copies;
} reached;

/* ---- the rig ---- */

static bool begin_dpdk(void)
{
	pool = dpdk_test_begin(BUFFERS, 32);
	return pool != NULL;
}

static bool begin_ports(void)
{
	struct rte_eth_conf conf = { 0 };

	for (int i = 0; i < M_PORTS; i++) {
		char name[32];
		snprintf(name, sizeof(name), "in%d", i);
		in[i] = rte_ring_create(name, 64, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
		snprintf(name, sizeof(name), "out%d", i);
		out[i] = rte_ring_create(name, 64, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
		snprintf(name, sizeof(name), "rings%d", i);
		int device = in[i] == NULL || out[i] == NULL
				     ? -1
				     : rte_eth_from_rings(name, &in[i], 1, &out[i], 1, 0);
		if (device < 0) {
			return false;
		}
		devices[i] = (uint16_t)device;
		if (rte_eth_dev_configure(devices[i], 1, 1, &conf) != 0 ||
		    rte_eth_rx_queue_setup(devices[i], 0, 64, 0, NULL, pool) != 0 ||
		    rte_eth_tx_queue_setup(devices[i], 0, 64, 0, NULL) != 0 ||
		    rte_eth_dev_start(devices[i]) != 0) {
			return false;
		}
	}
	return true;
}

static bool begin_schema(void)
{
	struct error e;
	struct json_object *text = json_parse(plane_schema, plane_schema_size, 1 << 20, 64, &e);

	schema = text == NULL ? NULL : document_schema_new(text, &e);
	json_object_put(text);
	return schema != NULL;
}

static uint16_t index_of(void *arg, const char *name)
{
	return flow_iface(arg, name);
}

/* Gives the worker the model's policy. */
static bool apply(void)
{
	struct buf text = BUF_INIT;
	struct error e = { .msg = "" };
	struct iface_index index = { index_of, flows };
	uint16_t n_queues[M_PORTS];
	struct switch_config *c = NULL;

	model_policy_write(&model.policy, &text);
	struct json_object *o = json_parse(text.data, text.len, 1 << 20, 32, &e);
	struct json_at root = json_root(o);
	if (o != NULL && document_schema_check(schema, &root, &e)) {
		c = switch_config_read(&root, &e);
	}
	json_object_put(o);
	for (int i = 0; i < M_PORTS; i++) {
		n_queues[i] = 1;
	}
	struct tables *t = c == NULL ? NULL : tables_new(c, ++sw.epoch, &index, &e);
	if (t == NULL) {
		fprintf(stderr, "policy refused: %s\n%s\n", e.msg, text.data);
		buf_free(&text);
		return false;
	}
	buf_free(&text);
	struct wiring *next = wiring_new(t, devices, n_queues), *before = sw.wiring;
	wiring_follow(next, before);
	sw.workers[0]->next = next;
	(void)worker_turn(sw.workers[0]);
	wiring_free(before);
	sw.wiring = next;
	model.version = sw.epoch;
	return sw.workers[0]->wiring == next;
}

static void begin_world(bool has_capture)
{
	struct error e;
	uint32_t n_adopted;

	memset(&model, 0, sizeof(model));
	sw = (struct softswitch){ .n_workers = 1 };
	flows = flow_table_open(NULL, M_FLOWS, worker_tick(), &n_adopted, &e);
	sw.learned = learned_new();
	sw.seen = seen_new();
	struct worker_options o = { .pool = pool,
				    .flows = flows,
				    .learned = sw.learned,
				    .seen = sw.seen,
				    .tick = worker_tick() };
	sw.workers[0] = worker_new(&o);
	sw.workers[0]->next_tick_tsc = UINT64_MAX; /* time stands still */
	capture = NULL;
	if (has_capture) {
		struct capture_options all = { .port = CAPTURE_ANY_PORT,
					       .snap = CAPTURE_SNAP_MAX,
					       .stages = (1u << CAPTURE_N_STAGES) - 1 };
		capture = capture_new(&all, &e);
		sw.workers[0]->capture = capture;
	}
}

static void end_world(void)
{
	worker_free(sw.workers[0]);
	capture_free(capture);
	flow_table_close(flows);
	learned_free(sw.learned);
	seen_free(sw.seen);
}

static struct rte_mbuf *packet_of(const struct m_packet *p)
{
	size_t head = p->size > SPLIT + 100 && p->size % 3 == 0 && !p->is_echo ? SPLIT : p->size;
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool), *rest;

	memcpy(rte_pktmbuf_append(m, (uint16_t)head), p->bytes, head);
	if (head < p->size) {
		rest = rte_pktmbuf_alloc(pool);
		memcpy(rte_pktmbuf_append(rest, (uint16_t)(p->size - head)), p->bytes + head,
		       p->size - head);
		(void)rte_pktmbuf_chain(m, rest);
	}
	return m;
}

static void collect(void)
{
	void *m;

	n_seen = 0;
	for (int i = 0; i < M_PORTS; i++) {
		while (rte_ring_dequeue(out[i], &m) == 0) {
			struct left *s = &seen[n_seen++ % LEFT_MAX];
			s->port = i;
			s->is_matched = false;
			s->size = rte_pktmbuf_pkt_len((struct rte_mbuf *)m);
			const void *bytes = rte_pktmbuf_read(m, 0, (uint32_t)s->size, s->bytes);
			if (bytes != s->bytes) {
				memcpy(s->bytes, bytes, s->size);
			}
			rte_pktmbuf_free(m);
		}
	}
}

/* The worker takes a packet, alone. */
static void run(const struct m_packet *p)
{
	const struct worker_counters *c = worker_counters(sw.workers[0]);

	for (int i = 0; i < M_PORTS; i++) {
		memcpy(drops_before[i], c->ports[i].drops, sizeof(drops_before[i]));
	}
	(void)rte_ring_enqueue(in[p->port], packet_of(p));
	(void)worker_turn(sw.workers[0]);
	collect();
}

/* ---- what is seen against what is expected ---- */

static bool fail(const char *fmt, ...) PRINTF_LIKE(1, 2);

static bool fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(complaint, sizeof(complaint), fmt, ap);
	va_end(ap);
	return false;
}

static uint64_t dropped(int port, enum drop_reason r)
{
	return worker_counters(sw.workers[0])->ports[port].drops[r] - drops_before[port][r];
}

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)(p[0] << 8 | p[1]);
}

static uint32_t header_sum(const uint8_t *h, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i += 2) {
		sum += get16(h + i);
	}
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* The frame as it should leave by a way, but for a tunnel's header. */
static size_t expected_frame(const struct m_packet *p, const struct m_way *way, int vlan,
			     uint8_t *to)
{
	size_t from = p->inner_at + (p->vlan != M_NO ? 16 : 12), at = vlan != M_NO ? 16 : 12;
	size_t n = p->size - from;
	uint8_t *l3 = to + at + 2;

	memcpy(to, way->to_mac, 6);
	memcpy(to + 6, way->from_mac, 6);
	if (vlan != M_NO) {
		to[12] = 0x81;
		to[13] = 0;
		to[14] = (uint8_t)(vlan >> 8);
		to[15] = (uint8_t)vlan;
	}
	memcpy(to + at, p->bytes + from, n);
	if (way->is_routed && p->key.ip == 6) {
		l3[7]--;
	} else if (way->is_routed) {
		l3[8]--;
		l3[10] = l3[11] = 0;
		uint32_t sum = ~header_sum(l3, (l3[0] & 15u) * 4);
		l3[10] = (uint8_t)(sum >> 8);
		l3[11] = (uint8_t)sum;
	}
	return at + n;
}

/* The header that a frame on a segment's tunnel bears; its size, or 0 where it is another. */
static size_t outer_is_right(const struct left *s, int segment, int endpoint)
{
	const struct m_segment *g = &model.policy.segments[segment];
	const struct m_team *t = &model.policy.teams[g->team];
	const struct address *to = &model.policy.endpoints[g->team][endpoint];
	bool is_4 = t->address.ip == 4;
	size_t l3 = t->vlan != M_NO ? 18 : 14, udp = l3 + (is_4 ? 20 : 40), all = udp + 16;
	const uint8_t *b = s->bytes, *ip = b + l3;
	uint8_t mac[6];

	if (s->port != t->first_port || s->size < all + 14 ||
	    !model_neighbor(&model, M_NO, model_next_hop(t, to), mac) || memcmp(b, mac, 6) != 0 ||
	    memcmp(b + 6, t->mac, 6) != 0 || get16(b + l3 - 2) != (is_4 ? 0x0800 : 0x86dd) ||
	    (t->vlan != M_NO && (get16(b + 12) != 0x8100 || (int)get16(b + 14) != t->vlan))) {
		return 0;
	}
	bool ip_is_right = is_4 ? header_sum(ip, 20) == 0xffff && get16(ip + 2) == s->size - l3 &&
					   ip[9] == 17 &&
					   memcmp(ip + 12, t->address.bytes, 4) == 0 &&
					   memcmp(ip + 16, to->bytes, 4) == 0
				: get16(ip + 4) == s->size - udp && ip[6] == 17 &&
					   memcmp(ip + 8, t->address.bytes, 16) == 0 &&
					   memcmp(ip + 24, to->bytes, 16) == 0;
	bool is_geneve = g->kind == ENCAP_GENEVE;
	bool udp_is_right = get16(b + udp + 2) == (is_geneve ? 6081 : 4789) &&
			    get16(b + udp + 4) == s->size - udp &&
			    (is_geneve ? get16(b + udp + 10) == 0x6558 : b[udp + 8] == 8);
	int vni = (int)(get16(b + udp + 12) << 8 | b[udp + 14]);
	return ip_is_right && udp_is_right && vni == g->vni ? all : 0;
}

static bool is_way(const struct left *s, const struct m_packet *p, const struct m_way *way)
{
	static uint8_t frame[M_FRAME + 100];
	int port, vlan, segment = model_place_of(&model.policy, way->place, &port, &vlan);
	const struct m_segment *g = &model.policy.segments[segment];
	size_t outer = 0;

	if (port == M_NO && g->kind != ENCAP_VLAN) {
		outer = outer_is_right(s, segment, way->endpoint);
		if (outer == 0) {
			return false;
		}
	} else if (s->port != (port != M_NO ? port : model.policy.teams[g->team].first_port)) {
		return false;
	}
	size_t n = expected_frame(p, way, vlan, frame);
	return s->size == outer + n && memcmp(s->bytes + outer, frame, n) == 0;
}

static bool take_way(const struct m_packet *p, const struct m_way *way)
{
	for (int i = 0; i < n_seen; i++) {
		if (!seen[i].is_matched && is_way(&seen[i], p, way)) {
			seen[i].is_matched = true;
			return true;
		}
	}
	return false;
}

/* ---- answers ---- */

static bool is_neighbor_answer(const uint8_t *f, const struct m_packet *p, const struct m_fate *e)
{
	const uint8_t *a = f + 14;

	if (p->key.ip == 6) {
		return get16(f + 12) == 0x86dd && a[40] == 136 && a[7] == 255 &&
		       memcmp(a + 48, p->target.bytes, 16) == 0 &&
		       memcmp(a + 66, e->answer_mac, 6) == 0;
	}
	return get16(f + 12) == 0x0806 && get16(a + 6) == 2 && memcmp(f, p->claim_mac, 6) == 0 &&
	       memcmp(a + 8, e->answer_mac, 6) == 0 && memcmp(a + 14, p->target.bytes, 4) == 0 &&
	       memcmp(a + 24, p->claim.bytes, 4) == 0;
}

/* Type and code of what is said, by family. */
static bool is_error_answer(const uint8_t *f, const struct m_packet *p, const struct m_fate *e)
{
	static const int says[][4] = {
		[ANSWER_ECHO] = { 0, 0, 129, 0 },      [ANSWER_TTL] = { 11, 0, 3, 0 },
		[ANSWER_NO_ROUTE] = { 3, 0, 1, 0 },    [ANSWER_TOO_BIG] = { 3, 4, 2, 0 },
		[ANSWER_PROHIBITED] = { 3, 13, 1, 1 },
	};
	bool is_4 = p->key.ip == 4;
	const uint8_t *ip = f + 14, *l4 = ip + (is_4 ? 20 : 40);
	size_t n = is_4 ? 4 : 16;

	if (get16(f + 12) != (is_4 ? 0x0800 : 0x86dd) || memcmp(f, p->from_mac, 6) != 0 ||
	    memcmp(ip + (is_4 ? 16 : 24), p->key.from.bytes, n) != 0) {
		return false;
	}
	if (e->answer == ANSWER_RST) {
		return ip[is_4 ? 9 : 6] == 6 && (l4[13] & 4) != 0 &&
		       (int)get16(l4) == p->key.dport && (int)get16(l4 + 2) == p->key.sport;
	}
	return ip[is_4 ? 9 : 6] == (is_4 ? 1 : 58) && l4[0] == says[e->answer][is_4 ? 0 : 2] &&
	       l4[1] == says[e->answer][is_4 ? 1 : 3];
}

/* What is answered leaves where the packet came from. */
static bool is_answer(const struct left *s, const struct m_packet *p, const struct m_fate *e)
{
	uint8_t plain[M_FRAME + 100];
	int port, vlan, segment;
	size_t at = 0;

	memcpy(plain, s->bytes, s->size);
	if (e->place == M_NO) { /* of the endpoint itself */
		port = p->port;
		vlan = model.policy.teams[model.policy.ports[p->port].team].vlan;
	} else {
		segment = model_place_of(&model.policy, e->place, &port, &vlan);
		const struct m_segment *g = &model.policy.segments[segment];
		if (port == M_NO && g->kind != ENCAP_VLAN) {
			at = outer_is_right(s, segment, p->endpoint);
			port = at == 0 ? M_NO : s->port;
		} else if (port == M_NO) {
			port = model.policy.teams[g->team].first_port;
		}
	}
	if (s->port != port || (vlan != M_NO && ((int)get16(plain + at + 14) != vlan ||
						 get16(plain + at + 12) != 0x8100))) {
		return false;
	}
	memmove(plain, plain + at, s->size - at);
	if (vlan != M_NO) {
		memmove(plain + 12, plain + 16, s->size - at - 16);
	}
	return e->answer == ANSWER_NEIGHBOR ? is_neighbor_answer(plain, p, e)
					    : is_error_answer(plain, p, e);
}

static bool take_answer(const struct m_packet *p, const struct m_fate *e)
{
	for (int i = 0; i < n_seen; i++) {
		if (!seen[i].is_matched && is_answer(&seen[i], p, e)) {
			seen[i].is_matched = true;
			return true;
		}
	}
	return false;
}

/* Who has an address is asked for as the switch likes: by teams, routers, and as nobody. */
static bool is_ask(const struct left *s)
{
	const struct m_policy *p = &model.policy;
	size_t at = get16(s->bytes + 12) == 0x8100 ? 16 : 12;
	bool is_arp = get16(s->bytes + at) == 0x0806;
	bool is_asking = is_arp ? s->bytes[at + 9] == 1
				: get16(s->bytes + at) == 0x86dd && s->bytes[at + 42] == 135;
	bool is_ours = memcmp(s->bytes + 6, FATE_ASKING_MAC, 6) == 0;

	for (int i = 0; i < p->n_teams; i++) {
		is_ours |= memcmp(s->bytes + 6, p->teams[i].mac, 6) == 0;
	}
	for (int i = 0; i < p->n_routers; i++) {
		is_ours |= memcmp(s->bytes + 6, p->routers[i].mac, 6) == 0;
	}
	return is_asking && is_ours && (s->bytes[0] & 1) != 0;
}

/* ---- all of it ---- */

/* Is the way back into a tunnel known? Else its answers are lost. */
static bool may_answer(const struct m_packet *p)
{
	uint8_t mac[6];

	if (p->tunnel == ENCAP_NONE || p->endpoint == M_NO) {
		return true;
	}
	int team = model.policy.ports[p->port].team;
	return model_neighbor(&model, M_NO,
			      model_next_hop(&model.policy.teams[team],
					     &model.policy.endpoints[team][p->endpoint]),
			      mac);
}

/* One end of a packet: a reason, or ways. */
static bool matches(const struct m_packet *p, const struct m_fate *e)
{
	int n_lost = 0;

	for (int i = 0; i < n_seen; i++) {
		seen[i].is_matched = is_ask(&seen[i]);
	}
	for (int i = 0; i < e->n_ways; i++) {
		n_lost += e->ways[i].is_lost;
		if (!e->ways[i].is_lost && !take_way(p, &e->ways[i])) {
			return fail("way %d of %d is not gone", i, e->n_ways);
		}
	}
	if (e->is_answer_sent && may_answer(p) && !take_answer(p, e)) {
		return fail("answer \"%s\" is missing", explain_answer_name(e->answer));
	}
	for (int i = 0; i < n_seen; i++) {
		if (!seen[i].is_matched) {
			return fail("a frame of %zu bytes left by p%d", seen[i].size, seen[i].port);
		}
	}
	for (int port = 0; port < M_PORTS; port++) {
		for (int r = 1; r < DROP_N; r++) {
			uint64_t want = port != p->port ? 0 : r == (int)e->reason ? 1 : 0;
			want += port == p->port && r == DROP_NO_NEIGHBOR ? (uint64_t)n_lost : 0;
			if (dropped(port, (enum drop_reason)r) != want) {
				return fail("p%d: %llu drops \"%s\" instead of %llu", port,
					    (unsigned long long)dropped(port, (enum drop_reason)r),
					    drop_reason_name((enum drop_reason)r),
					    (unsigned long long)want);
			}
		}
	}
	return true;
}

/* Has a capture seen it come, each frame go, and each drop? An answer of ours may be one, too. */
static bool is_captured(const struct m_packet *p)
{
	int n[CAPTURE_N_STAGES] = { 0 }, n_drops = 0;
	const struct captured *c;

	for (; capture != NULL && (c = capture_peek(capture)) != NULL; capture_pop(capture)) {
		bool is_left = false;
		n[c->stage]++;
		if (c->stage == CAPTURE_RECEIVED && (c->port != p->port || c->size != p->size ||
						     memcmp(c->bytes, p->bytes, c->n))) {
			return fail("another packet was captured");
		}
		for (int i = 0; i < n_seen; i++) {
			is_left |= seen[i].port == c->port && seen[i].size == c->size &&
				   memcmp(seen[i].bytes, c->bytes, c->n) == 0;
		}
		if (c->stage == CAPTURE_SENT && !is_left) {
			return fail("a frame was captured that has not left");
		}
	}
	for (int i = 0; i < M_PORTS * DROP_N; i++) {
		n_drops += (int)dropped(i / DROP_N, (enum drop_reason)(i % DROP_N));
	}
	return capture == NULL ||
	       (n[CAPTURE_RECEIVED] == 1 && n[CAPTURE_SENT] == n_seen &&
		n[CAPTURE_DROPPED] >= n_drops && n[CAPTURE_DROPPED] <= n_drops + !may_answer(p)) ||
	       fail("captured: %d received, %d sent of %d, %d dropped of %d", n[CAPTURE_RECEIVED],
		    n[CAPTURE_SENT], n_seen, n[CAPTURE_DROPPED], n_drops);
}

/* A choice's end, alone. */
static struct m_fate choice(const struct m_fate *e, int i)
{
	const struct m_way *way = &e->ways[i];
	struct m_fate one = *e;

	one.n_ways = way->place == M_NO ? 0 : 1;
	one.ways[0] = *way;
	one.is_choice = false;
	if (way->place == M_NO) {
		one.reason = (enum drop_reason)way->endpoint;
		one.answer = (enum fate_answer)way->to_mac[0];
		one.is_answer_sent = way->is_routed;
	} else {
		one.ways[0].is_lost = false;
	}
	return one;
}

static const char *text_of(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : "";
}

/* Does `explain` name the same ways, each as often? */
static bool explained_ways(struct json_object *o, const struct m_fate *e)
{
	struct json_object *list = NULL;
	int n_left = 0;

	json_object_object_get_ex(o, "outs", &list);
	size_t n = list == NULL ? 0 : json_object_array_length(list);
	bool used[M_WAYS] = { false };
	for (size_t i = 0; i < n; i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(list, i));
		for (int w = 0; w < e->n_ways; w++) {
			char text[64];
			model_place_name(&model.policy, e->ways[w].place, text);
			if (!used[w] && strcmp(text, name) == 0) {
				used[w] = true;
				n_left++;
				break;
			}
		}
	}
	return (size_t)n_left == n && n_left == e->n_ways;
}

static bool is_explained(struct json_object *o, const struct m_fate *e)
{
	/* One way that is lost is a drop, of many it is one the less. */
	bool is_lost = e->n_ways == 1 && e->ways[0].is_lost && !e->is_flooded && !e->is_copied;
	enum drop_reason r = is_lost ? DROP_NO_NEIGHBOR : e->reason;

	if (strcmp(text_of(o, "reason"), drop_reason_name(r)) != 0) {
		return fail("explain says \"%s\", model and worker \"%s\"", text_of(o, "reason"),
			    drop_reason_name(r));
	}
	if (strcmp(text_of(o, "answer"), explain_answer_name(e->answer)) != 0) {
		return fail("explain answers \"%s\", model and worker \"%s\"", text_of(o, "answer"),
			    explain_answer_name(e->answer));
	}
	return r != DROP_NONE || explained_ways(o, e) || fail("explain names other ways");
}

/* The choice that the worker took, or -1. */
static int chosen_of(const struct m_packet *p, const struct m_fate *e)
{
	for (int i = 0; i < e->n_ways; i++) {
		struct m_fate one = choice(e, i);
		if (matches(p, &one)) {
			return i;
		}
	}
	return M_NO;
}

static void describe(const struct m_packet *p, const struct m_fate *e, struct json_object *o)
{
	fprintf(stderr, "packet (%s) at p%d: ", p->what, p->port);
	for (size_t i = 0; i < p->size && i < 200; i++) {
		fprintf(stderr, "%02x", p->bytes[i]);
	}
	fprintf(stderr, " (%zu bytes)\nmodel: \"%s\", answer \"%s\"%s%s", p->size,
		drop_reason_name(e->reason), explain_answer_name(e->answer),
		e->is_choice ? ", one of" : "",
		e->is_followed	  ? ", by its record"
		: e->flow != NULL ? ", known"
				  : "");
	for (int i = 0; i < e->n_ways; i++) {
		char text[64] = "dropped";
		if (e->ways[i].place != M_NO) {
			model_place_name(&model.policy, e->ways[i].place, text);
		}
		fprintf(stderr, ", %s (%d)%s", text, e->ways[i].endpoint,
			e->ways[i].is_lost ? " lost" : "");
	}
	fprintf(stderr, "\nexplain: %s\nworker:", json_object_to_json_string(o));
	for (int port = 0; port < M_PORTS; port++) {
		for (int r = 1; r < DROP_N; r++) {
			if (dropped(port, (enum drop_reason)r) > 0) {
				fprintf(stderr, " p%d drops \"%s\"", port,
					drop_reason_name((enum drop_reason)r));
			}
		}
	}
	for (int i = 0; i < n_seen; i++) {
		fprintf(stderr, "\n  leaves by p%d: ", seen[i].port);
		for (size_t b = 0; b < seen[i].size && b < 120; b++) {
			fprintf(stderr, "%02x", seen[i].bytes[b]);
		}
	}
	fprintf(stderr, "\n");
}

static void note_reached(const struct m_packet *p, const struct m_fate *e)
{
	reached.reasons[e->reason]++;
	reached.answers[e->answer % ARRAY_LEN(reached.answers)]++;
	reached.followed += e->is_followed;
	reached.known += e->flow != NULL && !e->is_followed;
	reached.routed += e->reason == DROP_NONE && e->ways[0].is_routed;
	reached.joined += e->reason == DROP_NONE && p->is_fragment && p->fragment_at > 0;
	reached.copies += e->n_ways > 1;
}

static void print_reached(void)
{
	for (int i = 0; i < DROP_N; i++) {
		if (reached.reasons[i] > 0) {
			printf("%s %u, ", drop_reason_name((enum drop_reason)i),
			       reached.reasons[i]);
		}
	}
	for (int i = 1; i < (int)ARRAY_LEN(reached.answers); i++) {
		if (reached.answers[i] > 0) {
			printf("answer %s %u, ", explain_answer_name((enum fate_answer)i),
			       reached.answers[i]);
		}
	}
	printf("by a record %u, known otherwise %u, routed %u, later fragments %u, copied %u\n",
	       reached.followed, reached.known, reached.routed, reached.joined, reached.copies);
}

/* One packet, seen thrice. */
static bool try_packet(struct m_packet *p)
{
	struct m_fate e;
	struct error error;
	char name[16];
	int chosen = 0;

	snprintf(name, sizeof(name), "p%d", p->port);
	struct json_object *o = switch_explain(&sw, name, p->bytes, p->size, p->size, &error);
	model_decide(&model, p, &e);
	run(p);
	struct m_fate one = e;
	bool ok = true;
	if (e.is_choice && e.reason == DROP_NONE) {
		chosen = chosen_of(p, &e);
		ok = chosen != M_NO;
		one = ok ? choice(&e, chosen) : e;
	}
	ok = ok && matches(p, &one) && is_explained(o, &one) && is_captured(p);
	if (ok && rte_mempool_avail_count(pool) != BUFFERS) {
		ok = fail("%u packet buffers are lost", BUFFERS - rte_mempool_avail_count(pool));
	}
	if (!ok) {
		fprintf(stderr, "DIFFERENCE: %s\n", complaint);
		describe(p, &e, o);
	}
	json_object_put(o);
	note_reached(p, &one);
	model_commit(&model, p, &e, chosen);
	return ok;
}

static void print_policy(void)
{
	struct buf text = BUF_INIT;

	model_policy_write(&model.policy, &text);
	fprintf(stderr, "policy: %s\n", text.data);
	buf_free(&text);
}

/* Somebody at a team tells that the address is his. */
static bool tell_of(int port, int vlan, const struct address *claim, const struct address *target)
{
	static struct m_packet p;
	static uint8_t number;

	memset(&p, 0, sizeof(p));
	p.port = port;
	p.vlan = vlan;
	p.claim = *claim;
	p.target = *target;
	memcpy(p.claim_mac, "\2\0\0\0\x0b", 5);
	p.claim_mac[5] = ++number;
	model_packet_tell(&model, &p);
	return try_packet(&p);
}

/* Most next hops tell where they are. */
static bool tell(struct rng *r)
{
	const struct m_policy *m = &model.policy;
	bool ok = true;

	for (int i = 0; ok && i < m->n_teams * (M_ENDPOINTS + 1); i++) {
		int t = i / (M_ENDPOINTS + 1), n = i % (M_ENDPOINTS + 1);
		const struct m_team *team = &m->teams[t];
		const struct address *a = n == M_ENDPOINTS ? &team->gateway : &m->endpoints[t][n];
		if (rng_chance(r, 85)) {
			ok = tell_of(team->first_port, team->vlan, a, &team->address);
		}
	}
	for (int i = 0; ok && i < m->n_segments * M_HOPS; i++) {
		const struct m_segment *s = &m->segments[i / M_HOPS];
		if (s->team == M_NO || s->kind != ENCAP_VLAN) {
			continue;
		}
		char text[64];
		snprintf(text, sizeof(text), rng_chance(r, 60) ? "10.%d.0.%d" : "fd00:%d::%x",
			 i / M_HOPS + 1, 200 + i % M_HOPS);
		struct address a = m_address(text), nobody = { .ip = a.ip, .bytes = { 9 } };
		ok = tell_of(m->teams[s->team].first_port, s->vlan, &a, &nobody);
	}
	return ok;
}

/* A number of packets, of one seed. How many did as they should; below n: a difference. */
static uint32_t try_world(uint64_t seed, uint32_t n)
{
	static struct m_packet p;
	struct rng r = { seed * 0x9e3779b97f4a7c15u + 1 };
	uint32_t i = 0;

	begin_world(seed % 2 == 1);
	model_policy_make(&model.policy, &r);
	bool ok = apply() && tell(&r);
	for (; ok && i < n; i++) {
		if (i > 0 && i % CHANGE == 0) {
			model_policy_change(&model.policy, &r);
			ok = apply();
		}
		model_packet_make(&model, &r, &p);
		ok = ok && try_packet(&p);
	}
	if (!ok) {
		print_policy();
	}
	end_world();
	return ok ? n : i;
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : SEED;
	uint32_t n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : PACKETS, done = 0;

	if (!begin_dpdk() || !begin_ports() || !begin_schema()) {
		fprintf(stderr, "the rig does not begin\n");
		return 1;
	}
	for (uint64_t world = 0; done < n; world++) {
		uint32_t want = MIN(n - done, (uint32_t)WORLD), got = try_world(seed + world, want);
		done += got;
		if (got < want) {
			fprintf(stderr, "packet %u of seed %llu (again: fate_model_test %d %llu)\n",
				got, (unsigned long long)seed, WORLD,
				(unsigned long long)(seed + world));
			return 1;
		}
	}
	printf("%u packets of seed %llu: explained, expected and seen alike\n", done,
	       (unsigned long long)seed);
	print_reached();
	document_schema_free(schema);
	(void)rte_eal_cleanup();
	return 0;
}
