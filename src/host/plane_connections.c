/* SPDX-License-Identifier: Apache-2.0 */
#include "host/plane_connections.h"

#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "base/timer.h"
#include "base/vec.h"
#include "host/host_impl.h"
#include "host/host_plane.h"

enum {
	VERSION = 1,
	PORTION = 1000,	 /* of a call to the switch */
	PORTS_MAX = 256, /* of a document */
};

/* ---- out ---- */

struct export
{
	struct host *host;
	struct timer *later;
	VEC(char *) ports;
	size_t at;		   /* the port that is asked for */
	size_t n;		   /* connections so far */
	struct json_object *list;  /* ports */
	struct json_object *found; /* the port's connections so far; the list's */
	void (*done)(void *arg, struct json_object *document, const struct error *e);
	void *arg;
};

static void export_ask(struct export *x, uint64_t after);

static void export_end(struct export *x, const struct error *e)
{
	struct json_object *o = json_object_new_object();

	json_put_i64(o, "version", VERSION);
	json_put(o, "ports", x->list);
	x->done(x->arg, e == NULL ? o : NULL, e);
	json_object_put(o);
	vec_each (&x->ports, p) {
		free(*p);
	}
	vec_free(&x->ports);
	free(x);
}

static void export_next(struct export *x)
{
	x->at++;
	x->found = NULL;
	export_ask(x, 0);
}

static void on_exported(void *arg, const struct rpc_reply *reply)
{
	struct export *x = arg;
	struct json_at list;
	uint64_t next;
	struct error e;

	if (reply->error != NULL && reply->error->kind == ERROR_NOT_FOUND) {
		export_next(x);
		return;
	}
	if (reply->error != NULL || !json_get_array(&reply->result, "connections", &list, &e)) {
		export_end(x, reply->error != NULL ? reply->error : &e);
		return;
	}
	if (x->found == NULL) {
		struct json_object *o = json_object_new_object();
		x->found = json_object_new_array();
		json_put_str(o, "port", x->ports.items[x->at]);
		json_put(o, "connections", x->found);
		json_object_array_add(x->list, o);
	}
	for (size_t i = 0; i < json_array_n(&list) && x->n < PLANE_CONNECTIONS_MAX; i++, x->n++) {
		json_object_array_add(x->found, json_object_get(json_item(&list, i).value));
	}
	if (x->n < PLANE_CONNECTIONS_MAX && json_has(&reply->result, "next") &&
	    json_get_u64(&reply->result, "next", &next, &e)) {
		export_ask(x, next);
	} else {
		export_next(x);
	}
}

static void export_ask(struct export *x, uint64_t after)
{
	struct json_object *params;

	if (x->at == x->ports.n || x->n >= PLANE_CONNECTIONS_MAX) {
		export_end(x, NULL);
		return;
	}
	params = json_object_new_object();
	json_put_str(params, "port", x->ports.items[x->at]);
	json_put_u64(params, "after", after);
	host_plane_call(x->host, "plane.connections.export", params, on_exported, x);
}

/* ---- nothing to be asked: later, all the same ---- */

static void on_export_idle(void *arg)
{
	struct export *x = arg;

	timer_free(x->later);
	export_ask(x, 0);
}

void host_plane_export_connections(struct host *h, const char *const *ports, size_t n,
				   void (*done)(void *arg, struct json_object *document,
						const struct error *e),
				   void *arg)
{
	struct export *x = mem_zalloc(sizeof(*x));

	x->host = h;
	x->list = json_object_new_array();
	x->done = done;
	x->arg = arg;
	for (size_t i = 0; h->plane != NULL && i < n; i++) {
		vec_push(&x->ports, mem_strdup(ports[i]));
	}
	if (x->ports.n > 0) {
		export_ask(x, 0);
	} else {
		x->later = timer_new(h->loop, clock_real(), on_export_idle, x);
		timer_start(x->later, 0, 0);
	}
}

/* ---- in ---- */

struct import {
	struct host *host;
	struct timer *later;
	struct json_object *document; /* a reference */
	size_t port, at;	      /* what is given next */
	size_t n_taken, n_left;
	void (*done)(void *arg, size_t n_taken, size_t n_left, const struct error *e);
	void *arg;
	struct error refused; /* before anything was asked */
};

static void import_next(struct import *m);

static void import_end(struct import *m, const struct error *e)
{
	m->done(m->arg, m->n_taken, m->n_left, e);
	json_object_put(m->document);
	free(m);
}

static void on_imported(void *arg, const struct rpc_reply *reply)
{
	struct import *m = arg;
	struct json_at left;
	uint64_t n;
	struct error e;

	if (reply->error != NULL) {
		if (reply->error->kind != ERROR_NOT_FOUND) {
			import_end(m, reply->error);
			return;
		}
		m->port++;
		m->at = 0;
		import_next(m);
		return;
	}
	if (json_get_u64(&reply->result, "taken", &n, &e)) {
		m->n_taken += n;
	}
	if (json_get_object(&reply->result, "left", &left, &e)) {
		json_object_object_foreach(left.value, why, count)
		{
			(void)why;
			m->n_left += (size_t)json_object_get_int64(count);
		}
	}
	import_next(m);
}

/* Gives the next portion. The document was looked through before. */
static void import_next(struct import *m)
{
	struct json_object *ports, *port, *list, *name;

	if (m->refused.kind != ERROR_NONE) {
		import_end(m, &m->refused);
		return;
	}
	json_object_object_get_ex(m->document, "ports", &ports);
	for (; m->port < json_object_array_length(ports); m->port++, m->at = 0) {
		port = json_object_array_get_idx(ports, m->port);
		json_object_object_get_ex(port, "connections", &list);
		json_object_object_get_ex(port, "port", &name);
		if (m->at < json_object_array_length(list)) {
			break;
		}
	}
	if (m->host->plane == NULL || m->port == json_object_array_length(ports)) {
		import_end(m, NULL);
		return;
	}
	struct json_object *params = json_object_new_object(), *portion = json_object_new_array();
	for (size_t i = 0; i < PORTION && m->at < json_object_array_length(list); i++, m->at++) {
		json_object_array_add(portion,
				      json_object_get(json_object_array_get_idx(list, m->at)));
	}
	json_put_u64(params, "version", VERSION);
	json_put(params, "port", json_object_get(name));
	json_put(params, "connections", portion);
	host_plane_call(m->host, "plane.connections.import", params, on_imported, m);
}

static void on_import_begin(void *arg)
{
	struct import *m = arg;

	timer_free(m->later);
	import_next(m);
}

static bool is_one_of(const char *const *ports, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(ports[i], name) == 0) {
			return true;
		}
	}
	return false;
}

/* Is it such a document, within the limits? What a connection says the switch looks at. */
static bool check(struct json_object *document, const char *const *own, size_t n_own,
		  struct error *e)
{
	static const char *const members[] = { "version", "ports" };
	static const char *const port_members[] = { "port", "connections" };
	struct json_at root = json_root(document), ports;
	uint64_t version;
	size_t n = 0;

	if (!json_check_members(&root, members, ARRAY_LEN(members), e) ||
	    !json_get_u64(&root, "version", &version, e) ||
	    !json_get_array(&root, "ports", &ports, e)) {
		return false;
	}
	if (version != VERSION) {
		return json_error(&root, e, "has version %llu of connections; this host has %d",
				  (unsigned long long)version, VERSION);
	}
	if (json_array_n(&ports) > PORTS_MAX) {
		return json_error(&ports, e, "%zu ports; there can be %d", json_array_n(&ports),
				  PORTS_MAX);
	}
	for (size_t i = 0; i < json_array_n(&ports); i++) {
		struct json_at port = json_item(&ports, i), list;
		const char *name;
		if (!json_check_members(&port, port_members, ARRAY_LEN(port_members), e) ||
		    !json_get_str(&port, "port", &name, e) ||
		    !json_get_array(&port, "connections", &list, e)) {
			return false;
		}
		if (!is_one_of(own, n_own, name)) {
			return json_error(&port, e, "\"%.64s\" is no card of the VM that comes",
					  name);
		}
		n += json_array_n(&list);
	}
	return n <= PLANE_CONNECTIONS_MAX ||
	       json_error(&ports, e, "%zu connections; there can be %d", n, PLANE_CONNECTIONS_MAX);
}

void host_plane_import_connections(
	struct host *h, const char *const *ports, size_t n, struct json_object *document,
	void (*done)(void *arg, size_t n_taken, size_t n_left, const struct error *e), void *arg)
{
	struct import *m = mem_zalloc(sizeof(*m));

	m->host = h;
	m->document = json_object_get(document);
	m->done = done;
	m->arg = arg;
	(void)check(document, ports, n, &m->refused);
	m->later = timer_new(h->loop, clock_real(), on_import_begin, m);
	timer_start(m->later, 0, 0);
}

/* ---- here it is ---- */

static void on_announced(void *arg, const struct rpc_reply *reply)
{
	(void)arg;
	(void)reply;
}

void host_plane_announce(struct host *h, const char *const *ports, size_t n)
{
	for (size_t i = 0; h->plane != NULL && i < n; i++) {
		struct json_object *params = json_object_new_object();
		json_put_str(params, "port", ports[i]);
		host_plane_call(h, "plane.announce", params, on_announced, NULL);
	}
}
