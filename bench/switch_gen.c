/* SPDX-License-Identifier: Apache-2.0 */
/*
 * switch_gen EAL-ARGUMENTS -- OPTION...: sends frames through a switch between two vhost-user
 * ports, counts what comes back and prints samples as one line of JSON. What the ring does not
 * take is sent again, so that the figure is what the switch can do.
 *
 * Time is cut into windows of 5 ms. A window counts when in it and the next one neither we nor the
 * switch's thread waited for a core; a sample is the 90th percentile of its windows, since
 * whatever disturbs a core only slows it.
 *
 * switch_gen --print-rules N: the rules that flows of --rules N meet, as CSV.
 */
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "switch_flows.h"

enum mode {
	MODE_FORWARD,
	MODE_BACK,
	MODE_NEW,
	MODE_TCP
};

enum {
	BURST = 32,
	RING = 1024,
	QUEUE = 4096,
	TCP_OPEN = 512, /* connections that may be in flight */
	SAMPLES = 64,
	WINDOWS = 4096,
	THREADS = 64,
	STAMP_AT = 46,	     /* in a frame: when it was made */
	LATENCIES = 1 << 16, /* counted in steps of 50 ns */
	LATENCY_NS = 50,
};

static struct {
	enum mode mode;
	bool tunnel, until_silent, longest_gap, polite, latency;
	uint32_t flows, rules, samples;
	double seconds, warm, rate;
	int watched, threads[THREADS], n_threads;
} opt = { .flows = 1, .rules = 256, .samples = 3, .seconds = 0.3, .warm = 0.3 };

struct queue {
	struct rte_mbuf *at[QUEUE];
	uint32_t first, n;
};

static struct {
	struct rte_mempool *pool;
	struct queue out[2], replies[2];
	uint64_t sent[2], got[2], strange[2], done;
	uint64_t next, step;
	int64_t tcp_open;
	double last_got; /* of side B, seconds of the monotonic clock */
} gen;

/* Frames at a steady rate, and how long they were under way. */
static struct {
	double rate; /* 0: as fast as it goes */
	uint64_t begin, made;
	uint32_t window[LATENCIES], all[LATENCIES];
} paced;

static volatile sig_atomic_t stop;

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pause_for(long microseconds)
{
	struct timespec t = { .tv_nsec = microseconds * 1000 };

	nanosleep(&t, NULL);
}

/* ---- sending ---- */

static struct tuple next_tuple(void)
{
	struct tuple t = flow_tuple(gen.next, opt.rules);

	gen.next += gen.step;
	if (opt.mode < MODE_NEW && gen.next >= opt.flows)
		gen.next -= opt.flows;
	return t;
}

static void fill(int side, uint32_t n)
{
	struct queue *q = &gen.out[side];
	enum frame_kind kind = opt.mode == MODE_TCP ? FRAME_SYN : FRAME_UDP;

	if (rte_pktmbuf_alloc_bulk(gen.pool, q->at, n) != 0)
		return;
	for (uint32_t i = 0; i < n; i++) {
		struct tuple t = next_tuple();
		size_t size = frame_write(rte_pktmbuf_mtod(q->at[i], uint8_t *), kind, side, &t,
					  opt.tunnel && side == SIDE_B);

		if (paced.rate > 0) {
			uint64_t now = rte_rdtsc();

			memcpy(rte_pktmbuf_mtod(q->at[i], uint8_t *) + STAMP_AT, &now, sizeof now);
		}
		q->at[i]->data_len = (uint16_t)size;
		q->at[i]->pkt_len = (uint32_t)size;
	}
	q->first = 0;
	q->n = n;
	if (opt.mode == MODE_TCP)
		gen.tcp_open += n;
}

static void push(int side, struct queue *q)
{
	uint32_t n = RTE_MIN(q->n - q->first, 64u), took;

	if (n == 0)
		return;
	took = rte_eth_tx_burst((uint16_t)side, 0, q->at + q->first, (uint16_t)n);
	q->first += took;
	gen.sent[side] += took;
	if (q->first == q->n)
		q->first = q->n = 0;
}

static void reply(int side, enum frame_kind kind, const struct tuple *t)
{
	struct queue *q = &gen.replies[side];
	struct rte_mbuf *m;
	size_t size;

	if (q->n == QUEUE && q->first > 0) {
		memmove(q->at, q->at + q->first, (q->n - q->first) * sizeof q->at[0]);
		q->n -= q->first;
		q->first = 0;
	}
	m = q->n < QUEUE ? rte_pktmbuf_alloc(gen.pool) : NULL;
	if (m == NULL)
		return;
	size = frame_write(rte_pktmbuf_mtod(m, uint8_t *), kind, side, t, false);
	m->data_len = (uint16_t)size;
	m->pkt_len = (uint32_t)size;
	q->at[q->n++] = m;
}

/* ---- receiving ---- */

/* SYN → SYN ACK → ACK and FIN → FIN ACK → last ACK: six frames a connection. */
static void answer(int side, const uint8_t *frame)
{
	struct tuple t;
	uint8_t flags = frame_read(frame, !side, &t);

	if (side == SIDE_B && flags == 0x02) {
		reply(SIDE_B, FRAME_SYN_ACK, &t);
	} else if (side == SIDE_B && flags == 0x11) {
		reply(SIDE_B, FRAME_FIN_ACK, &t);
	} else if (side == SIDE_A && flags == 0x12) {
		reply(SIDE_A, FRAME_ACK, &t);
		reply(SIDE_A, FRAME_FIN, &t);
	} else if (side == SIDE_A && flags == 0x11) {
		reply(SIDE_A, FRAME_LAST_ACK, &t);
		gen.done++;
		gen.tcp_open--;
	}
}

static void note_latency(const uint8_t *frame)
{
	uint64_t made;
	double ns;

	memcpy(&made, frame + STAMP_AT, sizeof made);
	ns = (double)(int64_t)(rte_rdtsc() - made) / (double)rte_get_tsc_hz() * 1e9;
	paced.window[ns > 0 ? (size_t)RTE_MIN(ns / LATENCY_NS, LATENCIES - 1.0) : 0]++;
}

static void take(int side)
{
	struct rte_mbuf *got[64];
	uint16_t n = rte_eth_rx_burst((uint16_t)side, 0, got, 64);

	for (uint16_t i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(got[i], void *));
	for (uint16_t i = 0; i < n; i++) {
		const uint8_t *frame = rte_pktmbuf_mtod(got[i], const uint8_t *);

		if (!frame_is_ours(frame, got[i]->data_len)) {
			gen.strange[side]++;
			continue;
		}
		gen.got[side]++;
		if (opt.mode == MODE_TCP)
			answer(side, frame);
		else if (paced.rate > 0)
			note_latency(frame);
	}
	if (n > 0)
		rte_pktmbuf_free_bulk(got, n);
	if (n > 0 && side == SIDE_B && (opt.until_silent || opt.longest_gap))
		gen.last_got = seconds_now();
}

/* Frames that are due. */
static uint32_t n_due(void)
{
	double due, passed = (double)(rte_rdtsc() - paced.begin) / (double)rte_get_tsc_hz();

	if (paced.rate == 0)
		return opt.rate > 0 ? 1 : BURST;
	due = passed * paced.rate - (double)paced.made;
	if (due > QUEUE) { /* we were away: nothing is made up for */
		paced.made += (uint64_t)due;
		due = BURST;
	}
	due = RTE_MIN(due, (double)BURST);
	paced.made += (uint64_t)due;
	return (uint32_t)due;
}

static void turn(void)
{
	int side = opt.mode == MODE_BACK ? SIDE_B : SIDE_A;

	push(SIDE_A, &gen.replies[SIDE_A]);
	push(SIDE_B, &gen.replies[SIDE_B]);
	if (gen.out[side].n == 0 && (opt.mode != MODE_TCP || gen.tcp_open < TCP_OPEN))
		fill(side, n_due());
	push(side, &gen.out[side]);
	take(SIDE_B);
	take(SIDE_A);
	if (opt.rate > 0)
		pause_for((long)(1e6 / opt.rate));
}

static void turn_for(double seconds)
{
	uint64_t end = rte_rdtsc() + (uint64_t)(seconds * (double)rte_get_tsc_hz());

	while (rte_rdtsc() < end && !stop)
		turn();
}

static void announce(void)
{
	for (int side = SIDE_A; side <= SIDE_B; side++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(gen.pool);

		if (m == NULL)
			return;
		frame_announce(rte_pktmbuf_mtod(m, uint8_t *), side, opt.tunnel);
		m->data_len = FRAME_SIZE;
		m->pkt_len = FRAME_SIZE;
		if (rte_eth_tx_burst((uint16_t)side, 0, &m, 1) == 0)
			rte_pktmbuf_free(m);
	}
}

/* ---- the machine ---- */

/* Nanoseconds that a thread has waited for a core. */
static uint64_t waited(int thread)
{
	char path[64];
	uint64_t ran, wait = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/schedstat", thread);
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	if (fscanf(file, "%" SCNu64 " %" SCNu64, &ran, &wait) != 2)
		wait = 0;
	fclose(file);
	return wait;
}

/* Ticks that the hypervisor gave to others. */
static uint64_t stolen(void)
{
	uint64_t ticks = 0;
	FILE *file = fopen("/proc/stat", "re");

	if (file == NULL)
		return 0;
	if (fscanf(file, "cpu %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &ticks) != 1)
		ticks = 0;
	fclose(file);
	return ticks;
}

/*
 * Ahead of other programs, while measuring only: we and the watched thread, and before us the
 * switch's other threads, which want little. Without the right to it, as good as it gets.
 */
static void set_ahead(bool on)
{
	struct sched_param one = { .sched_priority = on ? 1 : 0 };
	struct sched_param above = { .sched_priority = on ? 2 : 0 };
	int policy = on ? SCHED_FIFO : SCHED_OTHER;

	if (opt.polite)
		return;
	for (int i = 0; i < opt.n_threads; i++)
		(void)sched_setscheduler(opt.threads[i], policy, &above);
	if (opt.watched != 0)
		(void)sched_setscheduler(opt.watched, policy, &one);
	(void)sched_setscheduler(0, policy, &one);
}

/* ---- measuring ---- */

struct window {
	double got, done;
	bool disturbed;
};

static struct window measure_window(void)
{
	const double length = 0.005, dirt = 0.04;
	uint64_t got = gen.got[SIDE_A] + gen.got[SIDE_B], done = gen.done, ticks = stolen();
	uint64_t wait = waited(gettid()) + waited(opt.watched), begin = rte_rdtsc();
	struct window w;
	double took;

	turn_for(length);
	took = (double)(rte_rdtsc() - begin) / (double)rte_get_tsc_hz();
	w.got = (double)(gen.got[SIDE_A] + gen.got[SIDE_B] - got) / took;
	w.done = (double)(gen.done - done) / took;
	wait = waited(gettid()) + waited(opt.watched) - wait;
	w.disturbed =
		(double)wait / 1e9 > dirt * took || took > length * (1 + dirt) || stolen() != ticks;
	return w;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double high(double *values, size_t n)
{
	qsort(values, n, sizeof *values, compare);
	return n == 0 ? 0 : values[(n - 1) * 9 / 10];
}

/* One sample; how many of its windows counted is added to *counted. */
static void sample(double *got, double *done, size_t *counted)
{
	static struct window all[WINDOWS];
	static double gots[WINDOWS], dones[WINDOWS];
	size_t n = 0, good = 0, want = (size_t)(opt.seconds / 0.005);

	/* At most four times as long as on a quiet machine. */
	for (; n < RTE_MIN(4 * want + 2, (size_t)WINDOWS) && good < want && !stop; n++) {
		all[n] = measure_window();
		if (n > 0 && !all[n].disturbed && !all[n - 1].disturbed) {
			gots[good] = all[n - 1].got;
			dones[good++] = all[n - 1].done;
		}
	}
	*counted += good;
	if (good < want / 8)
		for (good = 0; good < n; good++) {
			gots[good] = all[good].got;
			dones[good] = all[good].done;
		}
	*got = high(gots, good);
	*done = high(dones, good);
}

/* The time within which 99 of 100 frames came through, at half the rate that was got; ns. */
static double sample_latency(double rate)
{
	uint64_t n = 0, below = 0;
	size_t windows = (size_t)(opt.seconds / 0.005), i;

	memset(paced.all, 0, sizeof paced.all);
	paced.rate = rate / 2;
	paced.begin = rte_rdtsc();
	paced.made = 0;
	(void)measure_window();
	for (size_t good = 0, k = 0; k < 4 * windows && good < windows && !stop; k++) {
		memset(paced.window, 0, sizeof paced.window);
		if (measure_window().disturbed)
			continue;
		good++;
		for (i = 0; i < LATENCIES; i++) {
			paced.all[i] += paced.window[i];
			n += paced.window[i];
		}
	}
	paced.rate = 0;
	for (i = 0; i < LATENCIES && below + paced.all[i] < n - n / 100; i++)
		below += paced.all[i];
	return n == 0 ? 0 : (double)(i + 1) * LATENCY_NS;
}

static void print_samples(const char *name, const double *values, uint32_t n)
{
	printf("\"%s\":[", name);
	for (uint32_t i = 0; i < n; i++)
		printf("%s%.0f", i == 0 ? "" : ",", values[i]);
	printf("],");
}

/* Every flow twice, so that what is measured are known connections. */
static void prime(void)
{
	int to = opt.mode == MODE_BACK ? SIDE_A : SIDE_B;
	double end = seconds_now() + 20;

	while (gen.got[to] < 2ull * opt.flows && seconds_now() < end && !stop)
		turn_for(0.01);
}

static void measure(void)
{
	double got[SAMPLES], done[SAMPLES], late[SAMPLES] = { 0 };
	size_t counted = 0;
	uint64_t sent, arrived;

	set_ahead(true);
	if (opt.mode < MODE_NEW)
		prime();
	turn_for(opt.warm);
	sent = gen.sent[0] + gen.sent[1];
	arrived = gen.got[0] + gen.got[1];
	for (uint32_t i = 0; i < opt.samples; i++) {
		sample(&got[i], &done[i], &counted);
		if (opt.latency)
			late[i] = sample_latency(got[i]);
		announce();
	}
	set_ahead(false);
	printf("{");
	print_samples("pps", got, opt.samples);
	print_samples("done", done, opt.samples);
	print_samples("p99", late, opt.samples);
	printf("\"sent\":%" PRIu64 ",\"got\":%" PRIu64 ",\"strange\":%" PRIu64
	       ",\"windows\":%zu}\n",
	       gen.sent[0] + gen.sent[1] - sent, gen.got[0] + gen.got[1] - arrived,
	       gen.strange[0] + gen.strange[1], counted);
}

/* Sends until nothing has come through for half a second, and tells when the last did. */
static void wait_for_silence(void)
{
	double end = seconds_now() + 120;

	while (gen.got[SIDE_B] == 0 && seconds_now() < end && !stop)
		turn();
	printf("\"flowing\"\n");
	fflush(stdout);
	while (seconds_now() < gen.last_got + 0.5 && seconds_now() < end && !stop)
		turn();
	printf("{\"last\":%.6f}\n", gen.last_got);
}

static bool is_up(uint16_t port)
{
	struct rte_eth_link link = { 0 };

	return rte_eth_link_get_nowait(port, &link) == 0 && link.link_status != 0;
}

/* Sends until it is told to stop, and tells the longest time in which nothing came through. */
static void watch_gaps(void)
{
	double end = seconds_now() + 120, last, gap = 0, look = 0;

	while (gen.got[SIDE_B] == 0 && seconds_now() < end && !stop)
		turn();
	printf("\"flowing\"\n");
	fflush(stdout);
	last = gen.last_got;
	while (seconds_now() < end && !stop) {
		turn();
		if (seconds_now() > look) { /* drivers see by this that the switch has gone */
			(void)(is_up(0) && is_up(1));
			look = seconds_now() + 0.002;
		}
		if (gen.last_got > last) {
			gap = RTE_MAX(gap, gen.last_got - last);
			last = gen.last_got;
		}
	}
	printf("{\"gap\":%.6f,\"silent\":%.6f}\n", gap, seconds_now() - last);
}

/* ---- beginning ---- */

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static void open_port(uint16_t port)
{
	struct rte_eth_conf conf = { 0 };
	int rc = rte_eth_dev_configure(port, 1, 1, &conf);

	if (rc == 0)
		rc = rte_eth_rx_queue_setup(port, 0, RING, 0, NULL, gen.pool);
	if (rc == 0)
		rc = rte_eth_tx_queue_setup(port, 0, RING, 0, NULL);
	if (rc == 0)
		rc = rte_eth_dev_start(port);
	if (rc != 0)
		rte_exit(1, "port %u: %s\n", port, strerror(-rc));
	rte_eth_promiscuous_enable(port);
}

/* Until the switch is at both sockets and has learned who is where. */
static void wait_for_switch(void)
{
	for (int i = 0; i < 1500 && !stop && !(is_up(0) && is_up(1)); i++)
		pause_for(20000);
	if (!is_up(0) || !is_up(1))
		rte_exit(1, "the switch did not come to both ports in 30 s\n");
	for (int i = 0; i < 20; i++) {
		announce();
		for (int j = 0; j < 100; j++) {
			take(SIDE_A);
			take(SIDE_B);
			pause_for(50);
		}
	}
	memset(gen.got, 0, sizeof gen.got);
}

/* A step that visits all flows in an order without order. */
static void choose_step(void)
{
	uint64_t a, b;

	gen.step = opt.mode >= MODE_NEW ? 1 : 2654435761u % opt.flows;
	for (;; gen.step++) {
		for (a = opt.flows, b = gen.step; b != 0;) {
			uint64_t rest = a % b;

			a = b;
			b = rest;
		}
		if (a == 1 || opt.mode >= MODE_NEW)
			return;
	}
}

static double number(const char *text, double least, double most)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= least && value <= most))
		rte_exit(2, "switch_gen: \"%s\" is no number from %g to %g\n", text, least, most);
	return value;
}

static enum mode mode_named(const char *name)
{
	static const char *const names[] = { "forward", "back", "new", "tcp" };

	for (size_t i = 0; i < RTE_DIM(names); i++)
		if (strcmp(name, names[i]) == 0)
			return (enum mode)i;
	rte_exit(2, "switch_gen: no mode \"%s\": forward, back, new or tcp\n", name);
}

static void print_rules(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct flow_rule r = flow_rule(i, n);
		uint32_t s = r.source_length == 0 ? 0 : r.source, d = r.destination;

		printf("%u.%u.%u.%u/%u,%u.%u.%u.%u/%u,%u\n", s >> 24, s >> 16 & 255, s >> 8 & 255,
		       s & 255, r.source_length, d >> 24, d >> 16 & 255, d >> 8 & 255, d & 255,
		       r.destination_length, r.port);
	}
}

static void take_option(int letter, const char *text)
{
	if (letter == 'm')
		opt.mode = mode_named(text);
	else if (letter == 'f')
		opt.flows = (uint32_t)number(text, 1, 100e6);
	else if (letter == 'r')
		opt.rules = (uint32_t)number(text, 1, 1e6);
	else if (letter == 'n')
		opt.samples = (uint32_t)number(text, 1, SAMPLES);
	else if (letter == 's')
		opt.seconds = number(text, 0.05, 4);
	else if (letter == 'w')
		opt.warm = number(text, 0, 60);
	else if (letter == 'R')
		opt.rate = number(text, 2, 100000);
	else if (letter == 'd')
		opt.watched = (int)number(text, 1, INT32_MAX);
	else if (letter == 'a' && opt.n_threads < THREADS)
		opt.threads[opt.n_threads++] = (int)number(text, 1, INT32_MAX);
	else if (letter == 't')
		opt.tunnel = true;
	else if (letter == 'p')
		opt.polite = true;
	else if (letter == 'u')
		opt.until_silent = true;
	else if (letter == 'g')
		opt.longest_gap = true;
	else if (letter == 'l')
		opt.latency = true;
	else
		rte_exit(2, "switch_gen: wrong option\n");
}

static void take_options(int argc, char **argv)
{
	static const struct option known[] = {
		{ "mode", 1, 0, 'm' },	  { "flows", 1, 0, 'f' },	 { "rules", 1, 0, 'r' },
		{ "samples", 1, 0, 'n' }, { "seconds", 1, 0, 's' },	 { "warm", 1, 0, 'w' },
		{ "rate", 1, 0, 'R' },	  { "watch", 1, 0, 'd' },	 { "ahead", 1, 0, 'a' },
		{ "geneve", 0, 0, 't' },  { "until-silent", 0, 0, 'u' }, { "latency", 0, 0, 'l' },
		{ "polite", 0, 0, 'p' },  { "longest-gap", 0, 0, 'g' },	 { 0 },
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1)
		take_option(letter, optarg);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	int n;

	if (argc == 3 && strcmp(argv[1], "--print-rules") == 0) {
		print_rules((uint32_t)number(argv[2], 1, 1e6));
		return 0;
	}
	n = rte_eal_init(argc, argv);
	if (n < 0 || rte_eth_dev_count_avail() != 2)
		rte_exit(1, "switch_gen: needs two ports as --vdev\n");
	take_options(argc - n, argv + n);
	choose_step();
	flows_prepare();
	gen.pool = rte_pktmbuf_pool_create("frames", 32767, 512, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
					   SOCKET_ID_ANY);
	if (gen.pool == NULL)
		rte_exit(1, "switch_gen: no memory for frames: %s\n", rte_strerror(rte_errno));
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	open_port(0);
	open_port(1);
	wait_for_switch();
	if (opt.until_silent)
		wait_for_silence();
	else if (opt.longest_gap)
		watch_gaps();
	else
		measure();
	for (uint16_t port = 0; port < 2; port++)
		rte_eth_dev_stop(port);
	rte_eal_cleanup();
	return 0;
}
