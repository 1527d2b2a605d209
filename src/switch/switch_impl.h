/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the switch, for switch.c (what runs), switch_show.c (what can be
 * seen) and switch_metrics.c (what is counted).
 */
#ifndef SWITCH_SWITCH_IMPL_H
#define SWITCH_SWITCH_IMPL_H

#include "base/vec.h"
#include "switch/switch.h"
#include "switch/worker.h"

enum {
	SWITCH_WORKERS_MAX = 1, /* flows of several cores are not yet shared out */
};

struct port;
struct rule_log;
struct switch_capture;
struct switch_log;
struct document_schema;
struct plane_store;

struct softswitch {
	char *flows_folder;
	uint32_t n_flows;
	struct flow_table *mapped[SWITCH_WORKERS_MAX]; /* that are to be taken over */
	struct tables *prepared; /* of what is kept, before it runs; NULL: none */
	uint64_t prepared_generation;
	struct document_schema *schema;
	struct rte_mempool *pool;
	struct learned *learned;
	struct seen *seen;
	struct worker *workers[SWITCH_WORKERS_MAX];
	unsigned n_workers;
	bool is_running;
	VEC(struct port *) ports;	  /* in the order of the running configuration */
	size_t retry_at;		  /* which of them is tried next, if closed */
	int64_t retry_us;		  /* when the first of them was tried last */
	struct wiring *wiring;		  /* that runs; the workers' */
	bool is_claimed[FLOW_IFACES_MAX]; /* by the document that is being made to run */
	uint64_t generation;
	uint16_t epoch;
	struct plane_store *store;
	struct switch_metrics *metrics;
	struct switch_capture *capture; /* NULL: nobody can; switchd's */
	struct rule_log *rule_log;
	struct switch_log *log; /* NULL: nobody writes it; switchd's */
};

/* ---- switch_watch.c ---- */

/* Of each port of the running configuration, addresses bound to it and seen there, as text; array
 * and lists are the caller's. */
struct json_object **switch_addresses(const struct softswitch *s);

/* ---- switch_metrics.c ---- */

/* From here on the process's metrics (base/metric.h) have the workers' counters. */
void switch_metrics_begin(struct softswitch *s);
void switch_metrics_end(struct softswitch *s);
/* After workers have taken another wiring; `before`: NULL, or what they went by. */
void switch_metrics_follow(struct softswitch *s, const struct wiring *next,
			   const struct wiring *before);

#endif
