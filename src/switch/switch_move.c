/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/switch_move.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "switch/connection.h"
#include "switch/switch_impl.h"

static int32_t find_port(const struct softswitch *s, const char *name, struct error *e)
{
	for (size_t i = 0; s->wiring != NULL && i < s->wiring->config->n_ports; i++) {
		const struct config_port *p = &s->wiring->config->ports[i];
		if (strcmp(p->name, name) != 0) {
			continue;
		}
		if (p->team >= 0) {
			error_set(e, ERROR_INVALID, "port \"%s\" is a team's and no guest's", name);
			return -1;
		}
		return (int32_t)i;
	}
	error_set(e, ERROR_NOT_FOUND, "there is no port \"%s\"", name);
	return -1;
}

/* ---- out ---- */

struct json_object *switch_connections_export(const struct softswitch *s, const char *port,
					      uint32_t after, struct error *e)
{
	const struct flow_table *t = worker_flows(s->workers[0]);
	int32_t index = find_port(s, port, e);
	uint32_t n = 0, at = after, end = flow_high_water(t);

	if (index < 0) {
		return NULL;
	}
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	for (; at < end && n < CONNECTION_PORTION; at++) {
		const struct flow *live = flow_at(t, at);
		struct connection c;
		if (live == NULL) {
			continue;
		}
		struct flow f = *live; /* its worker goes on meanwhile */
		if ((f.flags & FLOW_IN_USE) != 0 &&
		    connection_of(&f, s->wiring->tables, (uint16_t)index, worker_tick(), &c)) {
			json_object_array_add(list, connection_write(&c));
			n++;
		}
	}
	json_put_u64(o, "version", CONNECTION_VERSION);
	json_put(o, "connections", list);
	if (at < end) {
		json_put_u64(o, "next", at);
	}
	return o;
}

/* ---- in ---- */

struct taking {
	struct connection *all;
	size_t n;
	uint16_t port;
	unsigned n_taken;
	struct json_object *left;
};

static void take_all(struct worker *w, void *arg)
{
	struct taking *t = arg;

	for (size_t i = 0; i < t->n; i++) {
		const char *why = worker_take_connection(w, &t->all[i], t->port);
		struct json_object *count;
		if (why == NULL) {
			t->n_taken++;
		} else if (json_object_object_get_ex(t->left, why, &count)) {
			json_object_int_inc(count, 1);
		} else {
			json_put_u64(t->left, why, 1);
		}
	}
}

struct json_object *switch_connections_import(struct softswitch *s, const char *port,
					      const struct json_at *connections, struct error *e)
{
	int32_t index = find_port(s, port, e);
	struct taking t = { .n = json_array_n(connections), .port = (uint16_t)index };

	if (index < 0) {
		return NULL;
	}
	if (t.n > CONNECTION_PORTION) {
		json_error(connections, e, "%zu at once; there can be %d", t.n, CONNECTION_PORTION);
		return NULL;
	}
	t.all = mem_calloc(t.n + 1, sizeof(*t.all));
	for (size_t i = 0; i < t.n; i++) {
		struct json_at item = json_item(connections, i);
		if (!connection_read(&item, &t.all[i], e)) {
			free(t.all);
			return NULL;
		}
	}
	t.left = json_object_new_object();
	worker_do(s->workers[0], take_all, &t);
	free(t.all);
	struct json_object *o = json_object_new_object();
	json_put_u64(o, "taken", t.n_taken);
	json_put(o, "left", t.left);
	return o;
}

/* ---- here it is ---- */

struct announcing {
	uint16_t port;
	unsigned n;
};

static void announce(struct worker *w, void *arg)
{
	struct announcing *a = arg;

	a->n = worker_announce_port(w, a->port);
}

bool switch_announce(struct softswitch *s, const char *port, unsigned *n, struct error *e)
{
	int32_t index = find_port(s, port, e);
	struct announcing a = { .port = (uint16_t)index };

	if (index < 0) {
		return false;
	}
	if (!s->wiring->config->ports[index].has_mac) {
		return error_set(e, ERROR_STATE, "port \"%s\" has no MAC address to be announced",
				 port);
	}
	worker_do(s->workers[0], announce, &a);
	*n = a.n;
	return true;
}
