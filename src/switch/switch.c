/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/switch.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "plane/document_schema.h"
#include "switch/flow_hot.h"
#include "switch/guest_memory.h"
#include "switch/plane_schema.h"
#include "switch/plane_store.h"
#include "switch/port.h"
#include "switch/rule_log.h"
#include "switch/sleep.h"
#include "switch/switch_capture.h"
#include "switch/switch_impl.h"
#include "switch/switch_log.h"
#include "switch/vhost.h"

LOG_MODULE("switch");

enum {
	PACKETS = 32767, /* buffers; 2 KiB each, and their headers */
	PACKET_CACHE = 256,
	TAKE_MS = 2000, /* that a process takes to end */
	RETRY_US = 1000000,
};

/* ---- beginning and ending ---- */

/* Which lcore worker number n has; RTE_MAX_LCORE: there are not so many. */
static unsigned lcore_of(unsigned n)
{
	unsigned lcore = rte_get_next_lcore(UINT_MAX, 1, 0);

	while (n-- > 0 && lcore < RTE_MAX_LCORE) {
		lcore = rte_get_next_lcore(lcore, 1, 0);
	}
	return lcore;
}

static char *flows_path(const struct softswitch *s, unsigned n)
{
	return mem_printf("%s/flows.%u", s->flows_folder, n);
}

/* Maps the tables of a switch that runs; that there are none is no error. */
static bool map_flows(struct softswitch *s, struct error *e)
{
	bool ok = true;

	for (unsigned i = 0; i < SWITCH_WORKERS_MAX && ok; i++) {
		char *path = flows_path(s, i);
		s->mapped[i] = flow_table_map(path, s->n_flows, e);
		ok = s->mapped[i] != NULL || e->kind == ERROR_NOT_FOUND;
		free(path);
	}
	return ok;
}

/* A worker's table: the one that was mapped, or else opened now. */
static struct flow_table *take_flows(struct softswitch *s, unsigned n, struct error *e)
{
	struct flow_table *t = s->mapped[n];
	uint32_t tick = worker_tick(), n_adopted;

	s->mapped[n] = NULL;
	if (t != NULL) {
		if (flow_table_take(t, tick, TAKE_MS, e)) {
			return t;
		}
		flow_table_close(t);
		if (e->kind == ERROR_BUSY) {
			return NULL;
		}
		log_warn("%s", e->msg);
	}
	char *path = flows_path(s, n);
	t = flow_table_open(path, s->n_flows, tick, &n_adopted, e);
	free(path);
	return t;
}

static bool begin_workers(struct softswitch *s, struct error *e)
{
	for (unsigned lcore; s->n_workers < SWITCH_WORKERS_MAX; s->n_workers++) {
		lcore = lcore_of(s->n_workers);
		if (lcore >= RTE_MAX_LCORE) {
			break;
		}
		struct flow_table *t = take_flows(s, s->n_workers, e);
		if (t == NULL) {
			return false;
		}
		guest_memory_is_ours(t->header);
		struct worker_options w = { .lcore = lcore,
					    .pool = s->pool,
					    .flows = t,
					    .learned = s->learned,
					    .seen = s->seen,
					    .log = s->rule_log,
					    .tick = worker_tick() };
		s->workers[s->n_workers] = worker_new(&w);
		log_info("worker %u on core %u: records of %u flows, room for %u", s->n_workers,
			 lcore, flow_high_water(t), flow_capacity(t));
	}
	if (s->n_workers == 0) {
		return error_set(e, ERROR_INVALID, "no core for a worker");
	}
	for (unsigned i = 0; i < s->n_workers; i++) {
		worker_start(s->workers[i]);
	}
	s->is_running = true;
	s->epoch = flow_epoch(worker_flows(s->workers[0])); /* theirs are judged again */
	switch_metrics_begin(s);
	return true;
}

/* Waits until no worker has anything in its hands that it had before. */
static void pass_all(void *arg)
{
	const struct softswitch *s = arg;

	for (unsigned i = 0; i < s->n_workers; i++) {
		worker_pass(s->workers[i]);
	}
}

static bool begin(struct softswitch *s, const struct switch_options *o, struct error *e)
{
	struct json_object *text =
		json_parse(plane_schema, plane_schema_size, plane_schema_size, 64, e);

	s->schema = text == NULL ? NULL : document_schema_new(text, e);
	json_object_put(text);
	if (s->schema == NULL) {
		return false;
	}
	s->pool = rte_pktmbuf_pool_create("packets", PACKETS, PACKET_CACHE, 0,
					  RTE_MBUF_DEFAULT_BUF_SIZE, (int)SOCKET_ID_ANY);
	if (s->pool == NULL) {
		return error_set(e, ERROR_NO_SPACE, "no memory for %d packet buffers", PACKETS);
	}
	if (!sleep_begin(e)) {
		return false;
	}
	vhost_set_pass(pass_all, s);
	s->learned = learned_new();
	s->store = plane_store_new(o->state);
	s->seen = seen_new();
	s->rule_log = rule_log_new();
	s->flows_folder = mem_strdup(o->flows_folder);
	s->n_flows = o->flows;
	return guest_memory_begin(e) && map_flows(s, e);
}

struct softswitch *switch_new(const struct switch_options *o, struct error *e)
{
	struct softswitch *s = mem_zalloc(sizeof(*s));

	if (!begin(s, o, e)) {
		switch_free(s);
		return NULL;
	}
	return s;
}

void switch_free(struct softswitch *s)
{
	if (s == NULL) {
		return;
	}
	if (s->is_running) {
		switch_metrics_end(s);
	}
	for (unsigned i = 0; i < s->n_workers && s->is_running; i++) {
		worker_stop(s->workers[i]);
	}
	vec_each (&s->ports, p) {
		port_close(*p);
	}
	for (unsigned i = 0; i < s->n_workers; i++) {
		struct flow_table *t = worker_flows(s->workers[i]);
		worker_free(s->workers[i]);
		flow_table_close(t);
	}
	sleep_end();
	vec_free(&s->ports);
	for (unsigned i = 0; i < SWITCH_WORKERS_MAX; i++) {
		flow_table_close(s->mapped[i]);
	}
	tables_free(s->prepared);
	learned_free(s->learned);
	seen_free(s->seen);
	rule_log_free(s->rule_log);
	rte_mempool_free(s->pool);
	document_schema_free(s->schema);
	plane_store_free(s->store);
	free(s->flows_folder);
	free(s);
}

/* ---- applying ---- */

struct applying {
	struct softswitch *s;
	bool may_close; /* what cannot be opened stands closed; else nothing is applied */
	struct switch_config *config; /* NULL: the tables' */
	struct tables *tables;	      /* NULL: to be compiled */
	VEC(struct port *) ports;     /* in the configuration's order */
	size_t n_opened;	      /* of them, those that were not open before */
	uint16_t devices[CONFIG_PORTS_MAX], n_queues[CONFIG_PORTS_MAX];
};

static struct port *find_port(const struct softswitch *s, const struct config_port *c)
{
	vec_each (&s->ports, p) {
		if (port_is_same(*p, c)) {
			return *p;
		}
	}
	return NULL;
}

static bool was_open(const struct softswitch *s, const struct port *port)
{
	vec_each (&s->ports, p) {
		if (*p == port) {
			return true;
		}
	}
	return false;
}

/* The port that is open already, or a new one. */
static struct port *open_port(const struct applying *a, const struct switch_config *c, size_t i,
			      struct error *e)
{
	struct port *p = find_port(a->s, &c->ports[i]);

	if (p != NULL) {
		return p; /* also one that stands closed: it is tried again anyhow */
	}
	p = port_open(&c->ports[i], !c->is_performance, a->s->pool, e);
	if (p == NULL && a->may_close) {
		log_warn("%s; it is tried again", e->msg);
		p = port_new_closed(&c->ports[i], e->msg);
	}
	return p;
}

static bool open_ports(struct applying *a, struct error *e)
{
	const struct switch_config *c = a->tables != NULL ? tables_config(a->tables) : a->config;

	for (size_t i = 0; i < c->n_ports; i++) {
		struct port *p = open_port(a, c, i, e);
		if (p == NULL) {
			return false;
		}
		vec_push(&a->ports, p);
		a->devices[i] = port_device(p);
		a->n_queues[i] = port_n_queues(p);
	}
	return true;
}

static void close_opened(struct applying *a)
{
	vec_each (&a->ports, p) {
		if (!was_open(a->s, *p)) {
			port_close(*p);
		}
	}
}

static bool is_kept(void *arg, uint16_t iface)
{
	const struct softswitch *s = arg;

	return s->is_claimed[iface] ||
	       (s->wiring != NULL && tables_iface(s->wiring->tables, iface)->kind != IFACE_NONE);
}

/* The number of a name; where none is left, those of ports that have gone are given back first. */
static uint16_t claim(struct softswitch *s, struct flow_table *t, const char *name)
{
	uint16_t n = flow_iface(t, name);

	if (n == 0 && flow_iface_reclaim(t, is_kept, s) > 0) {
		learned_clear(s->learned);
		n = flow_iface(t, name);
	}
	s->is_claimed[n] = true;
	return n;
}

/* The flow tables' number for an interface's name. */
static uint16_t index_of(void *arg, const char *name)
{
	struct softswitch *s = arg;
	uint16_t first = 0;

	/* All tables give a name the same index: they are asked in the same order. */
	for (unsigned i = 0; i < s->n_workers; i++) {
		uint16_t n = claim(s, worker_flows(s->workers[i]), name);
		if (n == 0 || (i > 0 && n != first)) {
			return 0;
		}
		first = n;
	}
	return first;
}

/* Teams go by what is up. */
static void look_at_links(struct wiring *w, struct port *const *ports)
{
	bool is_up[CONFIG_PORTS_MAX] = { false };

	for (size_t i = 0; i < w->config->n_ports; i++) {
		is_up[i] = w->config->ports[i].team >= 0 && port_is_up(ports[i]);
	}
	wiring_set_links(w, is_up);
}

static struct wiring *make_wiring(struct applying *a, uint16_t epoch, struct error *e)
{
	struct iface_index index = { index_of, a->s };

	memset(a->s->is_claimed, 0, sizeof(a->s->is_claimed));
	const struct tables *before = a->s->wiring == NULL ? NULL : a->s->wiring->tables;
	struct tables *t = a->tables;

	if (t == NULL) {
		t = tables_next(before, a->config, epoch, &index, e);
		if (t == NULL) {
			return NULL;
		}
		a->config = NULL; /* the tables' now */
	}
	tables_set_epoch(t, epoch);
	a->tables = NULL; /* the wiring's now */
	struct wiring *w = wiring_new(t, a->devices, a->n_queues);
	for (size_t i = 0; i < a->ports.n; i++) {
		w->io[i] = port_io(a->ports.items[i]);
	}
	look_at_links(w, a->ports.items);
	return w;
}

/* Gives the workers the wiring and ends what it replaces. */
static void publish(struct applying *a, struct wiring *w)
{
	struct softswitch *s = a->s;

	wiring_follow(w, s->wiring);
	flow_set_epoch(worker_flows(s->workers[0]), w->epoch);
	struct wiring *before = worker_publish(s->workers[0], w);
	switch_metrics_follow(s, w, before);
	switch_capture_follow(s->capture, before, w);
	switch_log_follow(s->log, before, w);
	wiring_free(before);
	vec_each (&s->ports, p) {
		bool stays = false;
		vec_each (&a->ports, q) {
			stays |= *p == *q;
		}
		if (!stays) {
			log_info("port \"%s\": closed", port_name(*p));
			port_close(*p);
		}
	}
	vec_clear(&s->ports);
	vec_each (&a->ports, p) {
		vec_push(&s->ports, *p);
	}
	s->retry_at = s->ports.n;
	s->wiring = w;
}

/* A configuration on its way to run, and what is to be kept of it. */
struct next {
	struct switch_config *config; /* NULL: the tables' */
	struct tables *tables;	      /* NULL: to be compiled */
	uint64_t generation;
	struct json_object *changes; /* NULL: it is kept whole */
	bool is_kept;		     /* already */
};

static bool keep(struct softswitch *s, const struct next *n, const struct switch_config *config,
		 struct error *e)
{
	if (n->is_kept) {
		return true;
	}
	return n->changes == NULL ? plane_store_put(s->store, n->generation, config, e)
				  : plane_store_add(s->store, n->generation, n->changes, config, e);
}

/* Runs a configuration, which it takes over: all is made, then it is kept, then it is given to the
 * workers. On an error nothing has changed. */
static bool run(struct softswitch *s, struct next *n, struct error *e)
{
	struct applying a = {
		.s = s, .may_close = n->is_kept, .config = n->config, .tables = n->tables
	};
	struct wiring *w = NULL;

	if (open_ports(&a, e)) {
		w = make_wiring(&a, (uint16_t)(s->epoch + 1), e);
	}
	if (w != NULL && !keep(s, n, w->config, e)) {
		wiring_free(w);
		w = NULL;
	}
	if (w == NULL) {
		close_opened(&a);
		switch_config_free(a.config);
		tables_free(a.tables);
	} else {
		s->epoch++;
		publish(&a, w);
		s->generation = n->generation;
	}
	vec_free(&a.ports);
	return w != NULL;
}

bool switch_apply(struct softswitch *s, uint64_t generation, struct json_object *document,
		  struct error *e)
{
	struct json_at root = json_root(document);
	struct next n = { .generation = generation };

	if (generation < s->generation) {
		return error_set(e, ERROR_STATE, "generation %llu is older than %llu, which runs",
				 (unsigned long long)generation, (unsigned long long)s->generation);
	}
	if (!document_schema_check(s->schema, &root, e)) {
		return false;
	}
	n.config = switch_config_read(&root, e);
	if (n.config == NULL || !run(s, &n, e)) {
		return false;
	}
	log_info("generation %llu runs: %zu ports, %zu segments, %zu rules",
		 (unsigned long long)generation, s->wiring->config->n_ports,
		 s->wiring->config->n_segments, s->wiring->config->n_rules);
	return true;
}

static bool check_base(const struct softswitch *s, uint64_t base, uint64_t generation,
		       struct error *e)
{
	if (s->wiring == NULL) {
		return error_set(e, ERROR_STATE, "no document runs that could be changed");
	}
	if (base != s->generation) {
		return error_set(e, ERROR_STATE, "changes are of generation %llu, but %llu runs",
				 (unsigned long long)base, (unsigned long long)s->generation);
	}
	return generation > base ||
	       error_set(e, ERROR_STATE, "generation %llu does not follow %llu, which runs",
			 (unsigned long long)generation, (unsigned long long)base);
}

bool switch_change(struct softswitch *s, uint64_t base, uint64_t generation,
		   const struct json_at *changes, struct error *e)
{
	struct next n = { .generation = generation, .changes = changes->value };

	if (!check_base(s, base, generation, e) ||
	    !document_schema_check_part(s->schema, "changes", changes, e)) {
		return false;
	}
	n.config = switch_config_change(s->wiring->config, changes, e);
	if (n.config == NULL || !run(s, &n, e)) {
		return false;
	}
	log_debug("generation %llu runs: %zu changes", (unsigned long long)generation,
		  json_array_n(changes));
	return true;
}

/* ---- what was kept ---- */

/* Compiles what is kept where that is something new. */
static bool prepare(struct softswitch *s, const struct iface_index *index, struct error *e)
{
	const struct switch_config *before =
		s->prepared == NULL ? NULL : tables_config(s->prepared);
	struct switch_config *config;

	if (!plane_store_follow(s->store, s->schema, before, &s->prepared_generation, &config, e)) {
		return false;
	}
	if (config == NULL) {
		return true;
	}
	struct tables *t = tables_next(s->prepared, config, 0, index, e);
	if (t == NULL) {
		switch_config_free(config);
		plane_store_forget(s->store); /* read it whole the next time */
		return false;
	}
	tables_free(s->prepared);
	s->prepared = t;
	return true;
}

/* The number that the other process has given to a name. */
static uint16_t mapped_index_of(void *arg, const char *name)
{
	const struct softswitch *s = arg;

	return flow_iface_find(s->mapped[0], name);
}

bool switch_prepare(struct softswitch *s, struct error *e)
{
	const struct iface_index index = { mapped_index_of, s };

	if (s->mapped[0] == NULL && !map_flows(s, e)) {
		return false;
	}
	return s->mapped[0] == NULL || prepare(s, &index, e);
}

bool switch_load(struct softswitch *s, struct error *e)
{
	const struct iface_index index = { index_of, s };
	struct next n = { .is_kept = true };

	if (!begin_workers(s, e) || !prepare(s, &index, e)) {
		return false;
	}
	n.tables = s->prepared;
	n.generation = s->prepared_generation;
	s->prepared = NULL;
	if (n.tables == NULL) {
		return true;
	}
	if (!run(s, &n, e)) {
		return false;
	}
	log_info("generation %llu runs again", (unsigned long long)s->generation);
	return true;
}

/* ---- what is done now and then ---- */

/* A port that stands closed opens. Workers know what it is by before they use it. */
static void take_port(struct softswitch *s, size_t i, struct port *p)
{
	struct wiring *w = s->wiring;

	w->io[i] = port_io(p);
	w->n_queues[i] = port_n_queues(p);
	worker_pass(s->workers[0]);
	__atomic_store_n(&w->device[i], port_device(p), __ATOMIC_RELEASE);
	sleep_wake();
	port_close(s->ports.items[i]);
	s->ports.items[i] = p;
}

/* Its driver has said already what it thinks of that. */
static struct port *open_silently(const struct softswitch *s, size_t i, struct error *e)
{
	const struct switch_config *c = s->wiring->config;
	uint32_t level = rte_log_get_global_level();

	rte_log_set_global_level(RTE_LOG_EMERG);
	struct port *p = port_open(&c->ports[i], !c->is_performance, s->pool, e);
	rte_log_set_global_level(level);
	return p;
}

/* Tries one of the ports that stand closed; each about once a second. */
static void try_closed(struct softswitch *s)
{
	int64_t now = clock_mono_us(clock_real());
	struct error e;

	if (s->retry_at >= s->ports.n) {
		if (now - s->retry_us < RETRY_US) {
			return;
		}
		s->retry_us = now;
		s->retry_at = 0;
	}
	while (s->retry_at < s->ports.n && port_reason(s->ports.items[s->retry_at]) == NULL) {
		s->retry_at++;
	}
	if (s->retry_at == s->ports.n) {
		return;
	}
	size_t i = s->retry_at++;
	struct port *p = open_silently(s, i, &e);
	if (p != NULL) {
		take_port(s, i, p);
	} else if (strcmp(port_reason(s->ports.items[i]), e.msg) != 0) {
		log_warn("%s", e.msg);
		port_set_reason(s->ports.items[i], e.msg);
	}
}

void switch_tend(struct softswitch *s)
{
	try_closed(s);
	for (size_t i = 0; i < s->ports.n; i++) {
		struct port *p = s->ports.items[i];
		if (!port_has_lost_peer(p)) {
			continue;
		}
		__atomic_store_n(&s->wiring->device[i], WIRING_NO_DEVICE, __ATOMIC_RELEASE);
		worker_pass(s->workers[0]);
		port_connect_again(p);
		__atomic_store_n(&s->wiring->device[i], port_device(p), __ATOMIC_RELEASE);
	}
	if (s->wiring != NULL) {
		look_at_links(s->wiring, s->ports.items);
	}
}

void switch_halt(struct softswitch *s)
{
	for (unsigned i = 0; i < s->n_workers; i++) {
		worker_stop(s->workers[i]);
	}
	s->is_running = false;
}

uint64_t switch_generation(const struct softswitch *s)
{
	return s->generation;
}
