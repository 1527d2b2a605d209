/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a burst, in passes over it so that memory waits overlap: read the plain ones' keys
 * (what is not plain is set aside) → hash, fetch buckets → guess, fetch records → confirm and go
 * by the record, or take the whole way → send what has gathered for each port.
 */
#include "switch/worker.h"

#include <stdlib.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_launch.h>

#include "base/mem.h"
#include "switch/sleep.h"
#include "switch/worker_impl.h"

enum {
	AGE_PORTION = 64,
	ADOPT_PORTION = 256,
	FRAGMENTS_PORTION = 16, /* every 10 ms: all in less than three seconds */
	SPIN_US = 50,		/* without a packet, before a worker of the standard mode sleeps */
	SLEEP_NS = 100000000,
};

/* ---- by a flow's word ---- */

/* What a plain segment's header says, for tcp_follow(). */
static inline void plain_tcp(struct packet *p, const uint8_t *data, uint16_t head, uint8_t ip)
{
	p->data = data;
	p->head = head;
	p->flags = 0;
	p->l3 = 14;
	p->l4 = ip == 6 ? 54 : 34;
	p->l3_size =
		(uint16_t)(ip == 6 ? 40 + (data[18] << 8 | data[19]) : data[16] << 8 | data[17]);
	p->tcp_flags = data[p->l4 + 13] & 0x3f;
	p->payload = (uint16_t)(p->l4 + (data[p->l4 + 12] >> 4) * 4);
}

/* A plain packet with its record. */
static inline void take_flow(struct worker *w, struct flow *f, unsigned d, struct item *it)
{
	const uint8_t *data = rte_pktmbuf_mtod(it->mbuf, const uint8_t *);

	if (UNLIKELY(!worker_may_follow(w, f, d, it))) {
		worker_take_whole_way(w, it);
		return;
	}
	if (f->proto == 6) {
		struct packet p;
		plain_tcp(&p, data, it->mbuf->data_len, it->key.ip);
		enum tcp_verdict v = worker_follow(w, f, d, &p);
		if (UNLIKELY(v != TCP_GOOD)) {
			if (v == TCP_AGAIN) {
				worker_take_whole_way(w, it);
			} else {
				worker_drop(w, it,
					    v == TCP_BAD_STATE ? DROP_TCP_STATE : DROP_TCP_WINDOW);
			}
			return;
		}
	}
	worker_count_flow(w, f, d, it);
	worker_forward(w, f, d, it);
}

/* ---- what comes in ---- */

/* A guest that comes here is here when it is heard. */
static void hear(const struct worker *w, const struct item *it)
{
	const struct tables *t = w->wiring->tables;

	if (it->key.iface != 0 && it->mbuf->data_len >= 12) {
		tables_hear(t, tables_iface(t, it->key.iface)->segment,
			    rte_pktmbuf_mtod(it->mbuf, const uint8_t *) + 6, it->key.iface, 0);
	}
}

static inline bool enter(struct worker *w, struct item *it)
{
	const struct config_port *p = &w->wiring->config->ports[it->port];

	it->endpoint = 0;
	if (p->team >= 0) {
		const struct config_team *team = &w->wiring->config->teams[p->team];
		return worker_enter_uplink(w, team, it);
	}
	it->key.iface = tables_ingress(w->wiring->tables, it->port, PACKET_NO_VLAN);
	if (UNLIKELY(p->n_trunk > 0)) {
		const uint8_t *d = rte_pktmbuf_mtod(it->mbuf, const uint8_t *);
		if (it->mbuf->data_len >= 18 && d[12] == 0x81 && d[13] == 0) {
			uint16_t vlan = (uint16_t)((d[14] << 8 | d[15]) & 0xfff);
			if (vlan != 0) { /* else only a priority: IEEE 802.1Q §6.9 */
				it->key.iface = tables_ingress(w->wiring->tables, it->port, vlan);
			}
			if (it->key.iface == 0 && vlan != 0) {
				worker_drop(w, it, DROP_VLAN);
				return false;
			}
			return worker_untag(it->mbuf);
		}
	}
	return true;
}

/* Reads keys; what is not plain takes the whole way at once. The plain ones stay, in order. */
static unsigned read_burst(struct worker *w, uint16_t port, struct rte_mbuf **m, unsigned n,
			   struct item *items)
{
	struct port_counters *c = worker_count(w, port);
	unsigned n_plain = 0;

	for (unsigned i = 0; i < n && i < 4; i++) {
		rte_prefetch0(rte_pktmbuf_mtod(m[i], void *));
	}
	for (unsigned i = 0; i < n; i++) {
		struct item *it = &items[n_plain];
		if (i + 4 < n) {
			rte_prefetch0(rte_pktmbuf_mtod(m[i + 4], void *));
		}
		it->mbuf = m[i];
		it->port = port;
		c->rx_bytes += m[i]->pkt_len;
		if (UNLIKELY(!enter(w, it))) {
			continue;
		}
		if (UNLIKELY(w->has_moving) && it->endpoint == 0) {
			hear(w, it);
		}
		if (LIKELY(worker_read_plain(rte_pktmbuf_mtod(it->mbuf, const uint8_t *),
					     it->mbuf->data_len, it->mbuf->pkt_len, it->key.iface,
					     &it->key))) {
			n_plain++;
			continue;
		}
		worker_take_whole_way(w, it);
	}
	c->rx_packets += n;
	return n_plain;
}

static void take_burst(struct worker *w, uint16_t port, struct rte_mbuf **m, unsigned n)
{
	struct item items[WORKER_BURST], *first[WORKER_BURST];
	struct flow_table *t = w->o.flows;
	unsigned n_first = 0;

	for (unsigned i = 0; UNLIKELY(w->capturing != NULL) && i < n; i++) {
		worker_capture_packet(w, CAPTURE_RECEIVED, DROP_NONE, port, m[i]);
	}
	if (UNLIKELY(w->limits[port].from.rate > 0)) {
		n = worker_limit_burst(w, port, m, n);
	}
	n = read_burst(w, port, m, n, items);
	worker_end_stage(w, STAGE_READ, n);
	for (unsigned i = 0; i < n; i++) {
		items[i].hash = flow_key_hash(&items[i].key, t->seed);
		flow_prefetch(t, items[i].hash);
	}
	for (unsigned i = 0; i < n; i++) {
		items[i].guess = flow_guess(t, items[i].hash);
	}
	worker_end_stage(w, STAGE_FIND, n);
	for (unsigned i = 0; i < n; i++) {
		struct item *it = &items[i];
		unsigned d;
		struct flow *f = flow_confirm(t, &it->key, it->hash, it->guess, &d);
		if (LIKELY(f != NULL)) {
			w->counters->flow_hits++;
			take_flow(w, f, d, it);
		} else {
			first[n_first++] = it;
		}
	}
	worker_end_stage(w, STAGE_FOLLOW, n - n_first);
	if (n_first > 0) {
		worker_take_first(w, first, n_first);
		worker_end_stage(w, STAGE_FIRST, n_first);
	}
}

/* ---- the loop ---- */

uint32_t worker_tick(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint32_t)((uint64_t)t.tv_sec * (1000 / FLOW_TICK_MS) +
			  (uint64_t)t.tv_nsec / (1000000 * FLOW_TICK_MS));
}

static void note_end(void *arg, struct flow *f)
{
	struct worker *w = arg;

	worker_end_flow(w, f);
}

/* Between bursts: nothing of the wiring is held. */
static void quiet_point(struct worker *w)
{
	struct wiring *next = __atomic_load_n(&w->next, __ATOMIC_ACQUIRE);

	if (next != NULL) {
		worker_send_all(w);
		for (int i = 0; i < 2 && !next->objects_stay; i++) {
			memset(w->tunnels[i], 0, CONFIG_ENDPOINTS_MAX * sizeof(struct tunnel));
		}
		if (next->segments_moved) {
			learned_clear(w->o.learned);
		}
		for (size_t i = 0; i < CONFIG_TEAMS_MAX; i++) {
			w->moved[i] = next->ways[i].moved;
		}
		if (!next->objects_stay) {
			worker_set_limits(w, next);
		}
		wiring_carry_ports(next, w->counters->ports, sizeof(w->counters->ports[0]));
		wiring_carry_ports(next, w->announced, sizeof(w->announced[0]));
		wiring_take_rules(next, w->wiring);
		if (w->wiring != NULL) {
			tables_follow_moving(next->tables, w->wiring->tables);
		}
		w->has_moving = tables_n_moving(next->tables) > 0;
		__atomic_store_n(&w->wiring, next, __ATOMIC_RELEASE);
		__atomic_store_n(&w->next, NULL, __ATOMIC_RELEASE);
	}
	struct worker_errand *errand = __atomic_load_n(&w->errand, __ATOMIC_ACQUIRE);
	if (UNLIKELY(errand != NULL)) {
		errand->fn(w, errand->arg);
		__atomic_store_n(&w->errand, NULL, __ATOMIC_RELEASE);
	}
	struct capture *capture = __atomic_load_n(&w->capture, __ATOMIC_ACQUIRE);
	if (UNLIKELY(capture != w->capturing)) {
		__atomic_store_n(&w->capturing, capture, __ATOMIC_RELEASE);
	}
	uint64_t tsc = rte_rdtsc();
	if (tsc >= w->next_tick_tsc) {
		uint32_t tick = worker_tick();
		if (tick != w->now) {
			w->now = tick;
			worker_age_seen(w);
		}
		worker_announce(w);
		if (UNLIKELY(w->n_announced > 0)) {
			worker_announce_again(w);
		}
		fragments_age(w->fragments, w->now, FRAGMENTS_PORTION);
		w->next_tick_tsc = tsc + w->tick_tsc;
	}
	if (UNLIKELY(w->o.flows->adopt_at < w->o.flows->adopt_end)) {
		flow_adopt(w->o.flows, ADOPT_PORTION);
	}
	w->has_more_to_age =
		flow_age(w->o.flows, w->now, AGE_PORTION, note_end, w) == AGE_PORTION ||
		w->o.flows->adopt_at < w->o.flows->adopt_end;
}

/* How long to sleep. Devices of DPDK wake nobody: they are looked at ten thousand times a second,
 * and less often the longer nothing has come. */
static uint64_t nap_of(const struct worker *w, uint64_t idle_us)
{
	bool is_looked_at = false;

	for (size_t p = 0; w->wiring != NULL && p < w->wiring->config->n_ports; p++) {
		const struct port_io *io = w->wiring->io[p];
		is_looked_at |=
			w->wiring->device[p] != WIRING_NO_DEVICE && (io == NULL || !io->wakes);
	}
	return !is_looked_at	 ? SLEEP_NS
	       : idle_us < 2000	 ? 100000
	       : idle_us < 50000 ? 250000
				 : 1000000;
}

/* After a turn that brought nothing. Who will sleep says so, takes another turn, for what came in
 * before it was said, and then sleeps. */
static void rest(struct worker *w)
{
	uint64_t now = rte_rdtsc();

	w->counters->idle_loops++;
	if (w->idle_since == 0) {
		w->idle_since = now;
	}
	uint64_t idle_us = (now - w->idle_since) / w->us_tsc;
	if (idle_us < SPIN_US || w->has_more_to_age ||
	    (w->wiring != NULL && w->wiring->config->is_performance)) {
		return;
	}
	if (!w->is_drowsy) {
		sleep_prepare();
		w->is_drowsy = true;
		return;
	}
	w->is_drowsy = false;
	sleep_wait(nap_of(w, idle_us));
}

/* After a turn that brought something. */
static void go_on(struct worker *w)
{
	w->idle_since = 0;
	if (UNLIKELY(w->is_drowsy)) {
		sleep_cancel();
		w->is_drowsy = false;
	}
}

static unsigned take_port(struct worker *w, uint16_t port)
{
	struct rte_mbuf *m[WORKER_BURST];
	unsigned taken = 0;

	const struct port_io *io = w->wiring->io[port];
	for (uint16_t q = 0; q < w->wiring->n_queues[port]; q++) {
		uint16_t n =
			io != NULL ? io->rx(io->arg, q, m, WORKER_BURST)
				   : rte_eth_rx_burst(w->wiring->device[port], q, m, WORKER_BURST);
		worker_end_stage(w, n > 0 ? STAGE_RECEIVE : STAGE_POLL, n);
		if (n > 0) {
			take_burst(w, port, m, n);
			taken += n;
		}
	}
	return taken;
}

unsigned worker_turn(struct worker *w)
{
	unsigned taken = 0;

	uint64_t loops = w->counters->loops + 1;
	uint64_t begin = loops % WORKER_SAMPLED == 0 ? rte_rdtsc() : 0;
	/* What was done in the turn before is seen by who sees this: worker_pass(). */
	__atomic_store_n(&w->counters->loops, loops, __ATOMIC_RELEASE);
	quiet_point(w);
	w->stage_begin = begin == 0 ? 0 : rte_rdtsc();
	uint64_t upkeep = w->stage_begin - begin;
	for (uint16_t p = 0; w->wiring != NULL && p < w->wiring->config->n_ports; p++) {
		if (w->wiring->device[p] != WIRING_NO_DEVICE) {
			taken += take_port(w, p);
		}
	}
	if (w->n_waiting > 0) {
		worker_send_all(w);
	}
	if (taken == 0) {
		flow_touch(w->o.flows);
	} else {
		w->counters->stages[STAGE_UPKEEP].cycles += upkeep;
		w->counters->stages[STAGE_UPKEEP].packets += begin == 0 ? 0 : taken;
	}
	return taken;
}

static int loop(void *arg)
{
	struct worker *w = arg;

	while (!__atomic_load_n(&w->is_stopping, __ATOMIC_ACQUIRE)) {
		if (worker_turn(w) > 0) {
			go_on(w);
		} else {
			rest(w);
		}
	}
	__atomic_store_n(&w->is_running, false, __ATOMIC_RELEASE);
	return 0;
}

/* ---- from the control thread ---- */

const char *worker_stage_name(enum worker_stage s)
{
	static const char *const names[STAGE_N] = {
		[STAGE_UPKEEP] = "upkeep", [STAGE_POLL] = "poll", [STAGE_RECEIVE] = "receive",
		[STAGE_READ] = "read",	   [STAGE_FIND] = "find", [STAGE_FOLLOW] = "follow",
		[STAGE_FIRST] = "first",   [STAGE_SEND] = "send",
	};

	return names[s];
}

struct worker *worker_new(const struct worker_options *o)
{
	struct worker *w = mem_zalloc(sizeof(*w));

	w->o = *o;
	w->now = o->tick;
	w->tick_tsc = rte_get_tsc_hz() / 1000 * 10;
	w->us_tsc = MAX(rte_get_tsc_hz() / 1000000, (uint64_t)1);
	w->out = mem_calloc(CONFIG_PORTS_MAX, sizeof(*w->out));
	w->limits = mem_calloc(CONFIG_PORTS_MAX, sizeof(*w->limits));
	w->copies = mem_calloc(FATE_COPIES_MAX, sizeof(*w->copies));
	w->fragments = fragments_new();
	w->wants = mem_calloc(WORKER_WANTS, sizeof(*w->wants));
	w->counters = mem_zalloc(sizeof(*w->counters));
	for (int i = 0; i < 2; i++) {
		w->tunnels[i] = mem_calloc(CONFIG_ENDPOINTS_MAX, sizeof(struct tunnel));
	}
	return w;
}

void worker_free(struct worker *w)
{
	if (w == NULL) {
		return;
	}
	wiring_free(w->wiring);
	free(w->out);
	free(w->limits);
	free(w->copies);
	fragments_free(w->fragments);
	free(w->wants);
	free(w->counters);
	free(w->tunnels[0]);
	free(w->tunnels[1]);
	free(w);
}

void worker_start(struct worker *w)
{
	__atomic_store_n(&w->is_stopping, false, __ATOMIC_RELEASE); /* all before is seen there */
	__atomic_store_n(&w->is_running, true, __ATOMIC_RELEASE);
	rte_eal_remote_launch(loop, w, w->o.lcore);
}

void worker_stop(struct worker *w)
{
	__atomic_store_n(&w->is_stopping, true, __ATOMIC_RELEASE);
	sleep_wake();
	(void)rte_eal_wait_lcore(w->o.lcore);
}

struct wiring *worker_publish(struct worker *w, struct wiring *next)
{
	static const struct timespec pause = { .tv_nsec = 20000 };
	struct wiring *before = w->wiring;

	__atomic_store_n(&w->next, next, __ATOMIC_RELEASE);
	sleep_wake();
	while (__atomic_load_n(&w->next, __ATOMIC_ACQUIRE) != NULL) {
		nanosleep(&pause, NULL);
	}
	return before;
}

void worker_do(struct worker *w, void (*fn)(struct worker *w, void *arg), void *arg)
{
	static const struct timespec pause = { .tv_nsec = 20000 };
	struct worker_errand errand = { fn, arg };

	if (!__atomic_load_n(&w->is_running, __ATOMIC_ACQUIRE)) {
		fn(w, arg); /* nobody else is at what it owns */
		return;
	}
	__atomic_store_n(&w->errand, &errand, __ATOMIC_RELEASE);
	sleep_wake();
	while (__atomic_load_n(&w->errand, __ATOMIC_ACQUIRE) != NULL) {
		nanosleep(&pause, NULL);
	}
}

void worker_pass(const struct worker *w)
{
	static const struct timespec pause = { .tv_nsec = 20000 };
	uint64_t began = __atomic_load_n(&w->counters->loops, __ATOMIC_ACQUIRE);

	/* The turn that is under way, and one from its beginning. */
	while (__atomic_load_n(&w->is_running, __ATOMIC_ACQUIRE) &&
	       __atomic_load_n(&w->counters->loops, __ATOMIC_ACQUIRE) - began < 2) {
		sleep_wake();
		nanosleep(&pause, NULL);
	}
}

const struct worker_counters *worker_counters(const struct worker *w)
{
	return w->counters;
}

const struct fragments *worker_fragments(const struct worker *w)
{
	return w->fragments;
}

struct flow_table *worker_flows(const struct worker *w)
{
	return w->o.flows;
}
