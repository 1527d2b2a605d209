/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: one thread on one core that takes packets from ports, each to its end, before it takes
 * the next burst. It owns its flow table and touches no other worker's.
 *
 * The control thread gives it a wiring (worker_publish()) and takes the old one back when the
 * worker has passed a quiet point since; everything else that the control thread sees of a worker
 * is counters, read without a lock.
 */
#ifndef SWITCH_WORKER_H
#define SWITCH_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "switch/flow.h"
#include "switch/learned.h"
#include "switch/reason.h"
#include "switch/seen.h"
#include "switch/wiring.h"

struct rte_mempool;
struct capture;
struct fragments;
struct rule_log;
struct connection;
struct worker;

struct worker_options {
	unsigned lcore;		  /* of DPDK */
	struct rte_mempool *pool; /* for packets of its own making and copies */
	struct flow_table *flows;
	struct learned *learned;
	struct seen *seen;
	struct rule_log *log; /* NULL: nobody reads it */
	uint32_t tick;	      /* that flows were adopted at */
};

/* By port index of the wiring. */
struct port_counters {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t drops[DROP_N]; /* of what came in there; PORT_*: of what should have gone out */
};

/* Where a worker's time goes; cycles of the time stamp counter. Of one turn of its loop in
 * WORKER_SAMPLED only. */
#define WORKER_SAMPLED 256
enum worker_stage {
	STAGE_UPKEEP,  /* between bursts: a new wiring, aging; of turns that had packets */
	STAGE_POLL,    /* looks at ports that had nothing */
	STAGE_RECEIVE, /* the driver's */
	STAGE_READ,    /* tunnels, tags, keys; what is not plain takes the whole way here */
	STAGE_FIND,    /* index and records of a burst */
	STAGE_FOLLOW,  /* by a flow's word, into the queue of a port */
	STAGE_FIRST,   /* first packets: tables, rules, a new record */
	STAGE_SEND,    /* the driver's */
	STAGE_N,
};

struct stage_counters {
	uint64_t cycles, packets;
};

const char *worker_stage_name(enum worker_stage s);

struct worker_counters {
	uint64_t loops, idle_loops;
	uint64_t flow_hits, flow_misses, flows_made, flows_judged_again, flows_ended;
	struct stage_counters stages[STAGE_N];
	struct port_counters ports[CONFIG_PORTS_MAX];
};

struct worker *worker_new(const struct worker_options *options);
/* After worker_stop(). */
void worker_free(struct worker *w);

/* Begins on its lcore. */
void worker_start(struct worker *w);
/* Waits until it has ended. */
void worker_stop(struct worker *w);
/* Gives it a wiring and waits until it goes by it; the one before, to be freed. */
struct wiring *worker_publish(struct worker *w, struct wiring *next);

/* From its next turn on it puts packets there; NULL: no more. Waits until it is so. */
void worker_set_capture(struct worker *w, struct capture *c);

/* Has the worker do something between two bursts, and waits for it. */
void worker_do(struct worker *w, void (*fn)(struct worker *w, void *arg), void *arg);

/* For worker_do(). A connection of a guest that comes here; NULL, or why it is not taken. And word
 * to the networks of a port's guest that it is here; how many frames. */
const char *worker_take_connection(struct worker *w, struct connection *c, uint16_t port);
unsigned worker_announce_port(struct worker *w, uint16_t port);

const struct worker_counters *worker_counters(const struct worker *w);
struct flow_table *worker_flows(const struct worker *w);
const struct fragments *worker_fragments(const struct worker *w);
/* Now, in ticks of flow.h: the machine's monotonic clock. */
uint32_t worker_tick(void);

/* Waits until the worker has come to a quiet point since: what was taken out of its wiring before
 * is not used any more. */
void worker_pass(const struct worker *w);

#endif
