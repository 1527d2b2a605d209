/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who wants to hear what changes at ports (`plane.watch`). Workers and devices are looked at some
 * times a second, while anybody listens; what differs from what was told is told. A listener that
 * does not keep up hears nothing more until it has read all, and then the state anew.
 */
#include "switch/switch_watch.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/timer.h"
#include "base/vec.h"
#include "switch/port.h"
#include "switch/switch_impl.h"

enum {
	POLL_MS = 100,
	BACKLOG_MAX = 256 * 1024, /* bytes that a listener has not read */
	LIMIT_AGAIN_MS = 10000,	  /* before the same limit is told again */
	WATCHERS_MAX = 32,
};

static const enum drop_reason limits[] = { DROP_FLOW_QUOTA, DROP_FLOW_RATE, DROP_FLOW_TABLE };

struct watcher {
	struct rpc_peer *peer;
	bool is_lost;
};

/* What was told of a port. */
struct told {
	char *name;
	bool is_up, is_known;
	char *reason;		       /* it cannot be opened; NULL: it is open */
	struct json_object *addresses; /* NULL: not told yet */
	uint64_t drops[ARRAY_LEN(limits)];
	int64_t limit_us[ARRAY_LEN(limits) + 1]; /* the last: addresses */
};

struct switch_watch {
	struct softswitch *s;
	struct timer *timer;
	VEC(struct watcher) watchers;
	VEC(struct told *) told; /* in the running configuration's order */
	bool has_followed;
	uint16_t epoch; /* of that configuration */
	uint64_t seen_changes;
};

/* ---- addresses ---- */

static void add_address(struct json_object *list, const struct address *a)
{
	char text[INET6_ADDRSTRLEN] = "";

	inet_ntop(a->ip == 6 ? AF_INET6 : AF_INET, a->bytes, text, sizeof(text));
	json_object_array_add(list, json_object_new_string(text));
}

struct address_lists {
	const struct tables *tables;
	struct json_object **lists;
};

static void add_seen(void *arg, const struct seen_entry *e)
{
	const struct address_lists *l = arg;
	const struct iface *i = tables_iface(l->tables, e->at.iface);
	const struct switch_config *c = tables_config(l->tables);

	if (i->kind == IFACE_PORT && c->segments[i->segment].id == e->segment) {
		add_address(l->lists[i->port], &e->address);
	}
}

struct json_object **switch_addresses(const struct softswitch *s)
{
	const struct switch_config *c = s->wiring->config;
	struct address_lists l = { s->wiring->tables,
				   mem_calloc(c->n_ports + 1, sizeof(*l.lists)) };

	for (size_t i = 0; i < c->n_ports; i++) {
		l.lists[i] = json_object_new_array();
		for (size_t k = 0; k < c->ports[i].n_addresses; k++) {
			add_address(l.lists[i], &c->ports[i].addresses[k]);
		}
	}
	seen_each(s->seen, worker_tick(), add_seen, &l);
	return l.lists;
}

/* ---- telling ---- */

static struct json_object *event(const char *what, const char *port)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "event", what);
	json_put_str(o, "port", port);
	return o;
}

/* Takes the event over. */
static void tell_one(struct watcher *w, struct json_object *o)
{
	if (rpc_peer_backlog(w->peer) > BACKLOG_MAX) {
		w->is_lost = true;
	}
	if (w->is_lost) {
		json_object_put(o);
	} else {
		rpc_peer_notify(w->peer, "plane.event", o);
	}
}

static void tell(struct switch_watch *sw, struct json_object *o)
{
	vec_each (&sw->watchers, w) {
		tell_one(w, json_object_get(o));
	}
	json_object_put(o);
}

static struct json_object *port_event(const struct told *t)
{
	struct json_object *o = event("port", t->name);

	json_put_bool(o, "up", t->is_up);
	if (t->reason != NULL) {
		json_put_str(o, "reason", t->reason);
	}
	return o;
}

static struct json_object *addresses_event(const struct told *t)
{
	struct json_object *o = event("addresses", t->name);

	json_put(o, "addresses", json_object_get(t->addresses));
	return o;
}

static void tell_state(struct switch_watch *sw, struct watcher *w)
{
	vec_each (&sw->told, it) {
		rpc_peer_notify(w->peer, "plane.event", port_event(*it));
		rpc_peer_notify(w->peer, "plane.event", addresses_event(*it));
	}
}

static void tell_limit(struct switch_watch *sw, struct told *t, size_t which, const char *reason)
{
	int64_t now = clock_mono_us(clock_real());

	if (t->limit_us[which] == 0 || now - t->limit_us[which] > LIMIT_AGAIN_MS * 1000) {
		t->limit_us[which] = now;
		struct json_object *o = event("limit", t->name);
		json_put_str(o, "reason", reason);
		tell(sw, o);
	}
}

/* ---- looking ---- */

static void told_free(void *arg)
{
	struct told *t = arg;

	json_object_put(t->addresses);
	free(t->reason);
	free(t->name);
	free(t);
}

static struct told *told_new(const char *name)
{
	struct told *t = mem_zalloc(sizeof(*t));

	t->name = mem_strdup(name);
	return t;
}

/* Another configuration runs: ports that stay are known by name. */
static void follow(struct switch_watch *sw)
{
	const struct switch_config *c = sw->s->wiring->config;
	struct map before = { 0 };

	vec_each (&sw->told, it) {
		map_set(&before, (*it)->name, *it);
	}
	vec_clear(&sw->told);
	for (size_t i = 0; i < c->n_ports; i++) {
		struct told *t = map_remove(&before, c->ports[i].name);
		vec_push(&sw->told, t != NULL ? t : told_new(c->ports[i].name));
	}
	map_each (&before, e) {
		struct told *t = e->value;
		t->is_up = false;
		free(t->reason);
		t->reason = NULL;
		tell(sw, port_event(t));
		told_free(t);
	}
	map_free(&before);
	sw->epoch = sw->s->epoch;
	sw->has_followed = true;
}

static bool is_equal(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void look_at_port(struct switch_watch *sw, size_t i)
{
	struct told *t = sw->told.items[i];
	const struct port_counters *c = &worker_counters(sw->s->workers[0])->ports[i];
	bool is_up = port_is_up(sw->s->ports.items[i]);
	const char *reason = port_reason(sw->s->ports.items[i]);

	if (!t->is_known || is_up != t->is_up || !is_equal(reason, t->reason)) {
		t->is_up = is_up;
		free(t->reason);
		t->reason = reason == NULL ? NULL : mem_strdup(reason);
		tell(sw, port_event(t));
	}
	for (size_t k = 0; k < ARRAY_LEN(limits); k++) {
		uint64_t drops = c->drops[limits[k]];
		if (t->is_known && drops > t->drops[k]) {
			tell_limit(sw, t, k, drop_reason_name(limits[k]));
		}
		t->drops[k] = drops;
	}
	t->is_known = true;
}

static void look_at_addresses(struct switch_watch *sw)
{
	struct json_object **lists = switch_addresses(sw->s);

	for (size_t i = 0; i < sw->told.n; i++) {
		struct told *t = sw->told.items[i];
		if (json_object_equal(t->addresses, lists[i]) != 0) {
			json_object_put(lists[i]);
			continue;
		}
		json_object_put(t->addresses);
		t->addresses = lists[i];
		tell(sw, addresses_event(t));
	}
	free(lists);
}

/* The port that an interface is of; NULL: of none. */
static struct told *told_of(struct switch_watch *sw, uint16_t iface)
{
	const struct iface *i = tables_iface(sw->s->wiring->tables, iface);

	return i->kind == IFACE_PORT ? sw->told.items[i->port] : NULL;
}

static void look_at_quarrels(struct switch_watch *sw)
{
	struct seen_quarrel q;

	while (seen_take_quarrel(sw->s->seen, &q)) {
		struct told *t = told_of(sw, q.iface), *other = told_of(sw, q.other);
		char text[INET6_ADDRSTRLEN] = "";
		if (t == NULL) {
			continue;
		}
		if (q.is_too_many) {
			tell_limit(sw, t, ARRAY_LEN(limits), "addresses");
			continue;
		}
		struct json_object *o = event("conflict", t->name);
		inet_ntop(q.address.ip == 6 ? AF_INET6 : AF_INET, q.address.bytes, text,
			  sizeof(text));
		json_put_str(o, "address", text);
		if (other != NULL) {
			json_put_str(o, "other", other->name);
		}
		tell(sw, o);
	}
}

static void catch_up(struct switch_watch *sw)
{
	vec_each (&sw->watchers, w) {
		if (w->is_lost && rpc_peer_backlog(w->peer) == 0) {
			struct json_object *o = json_object_new_object();
			json_put_str(o, "event", "lost");
			w->is_lost = false;
			rpc_peer_notify(w->peer, "plane.event", o);
			tell_state(sw, w);
		}
	}
}

static void look(void *arg)
{
	struct switch_watch *sw = arg;
	uint64_t changes = seen_changes(sw->s->seen);
	bool is_other = !sw->has_followed || sw->epoch != sw->s->epoch;

	if (sw->s->wiring == NULL) {
		return;
	}
	if (is_other) {
		follow(sw);
	}
	for (size_t i = 0; i < sw->told.n; i++) {
		look_at_port(sw, i);
	}
	if (is_other || changes != sw->seen_changes) {
		sw->seen_changes = changes;
		look_at_addresses(sw);
	}
	look_at_quarrels(sw);
	catch_up(sw);
}

/* ---- listeners ---- */

static void on_end(void *arg, struct rpc_peer *peer)
{
	struct switch_watch *sw = arg;

	for (size_t i = 0; i < sw->watchers.n; i++) {
		if (sw->watchers.items[i].peer == peer) {
			vec_remove(&sw->watchers, i);
			break;
		}
	}
	if (sw->watchers.n == 0) {
		timer_stop(sw->timer);
	}
}

void switch_watch_add(struct switch_watch *sw, struct rpc_call *call)
{
	struct watcher w = { .peer = rpc_call_peer(call) };
	struct error e;

	vec_each (&sw->watchers, it) {
		if (it->peer == w.peer) {
			error_set(&e, ERROR_STATE, "this connection watches already");
			rpc_call_fail(call, &e);
			return;
		}
	}
	if (sw->watchers.n == WATCHERS_MAX) {
		error_set(&e, ERROR_LIMIT, "%d connections watch already", WATCHERS_MAX);
		rpc_call_fail(call, &e);
		return;
	}
	rpc_call_reply(call, json_object_new_object());
	if (w.peer == NULL) {
		return;
	}
	look(sw); /* what the others have not heard yet */
	rpc_peer_set_end(w.peer, on_end, sw);
	vec_push(&sw->watchers, w);
	tell_state(sw, &sw->watchers.items[sw->watchers.n - 1]);
	if (!timer_is_active(sw->timer)) {
		timer_start(sw->timer, POLL_MS, POLL_MS);
	}
}

struct switch_watch *switch_watch_new(struct softswitch *s, uv_loop_t *loop)
{
	struct switch_watch *sw = mem_zalloc(sizeof(*sw));

	sw->s = s;
	sw->timer = timer_new(loop, clock_real(), look, sw);
	return sw;
}

void switch_watch_free(struct switch_watch *sw)
{
	if (sw == NULL) {
		return;
	}
	vec_each (&sw->watchers, w) {
		rpc_peer_set_end(w->peer, NULL, NULL);
	}
	vec_each (&sw->told, it) {
		told_free(*it);
	}
	vec_free(&sw->watchers);
	vec_free(&sw->told);
	timer_free(sw->timer);
	free(sw);
}
