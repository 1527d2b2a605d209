/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request owns itself: it is freed when both it and what it waits for (the switch) are done.
 */
#include "host/policy_route.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/host_lend.h"
#include "host/host_plane.h"
#include "plane/document_schema.h"
#include "plane/node_policy_schema.h"

LOG_MODULE("policy");

enum {
	BODY_MAX = 64 << 20,
	DEPTH = 32,
};

struct exchange {
	struct host *host;
	struct http_request *request; /* NULL: gone */
	bool is_waiting;	      /* for the switch */
	bool is_refused;	      /* answered before the body was there */
	struct buf body;
	struct json_object *answer; /* of a GET, in the making */
};

/* ---- answers ---- */

static void respond(struct http_request *r, int status, struct json_object *o)
{
	struct buf b = BUF_INIT;

	json_add_text(&b, o);
	buf_addc(&b, '\n');
	http_respond(r, status, "application/json", &b);
	buf_free(&b);
	json_object_put(o);
}

/* Errors begin with the place in quotes: "\"segments[1].vni\": must be …". */
static void respond_refusal(struct http_request *r, int status, const struct error *e)
{
	struct json_object *o = json_object_new_object();
	const char *end = e->msg[0] == '"' ? strstr(e->msg, "\": ") : NULL;

	if (end != NULL) {
		char *object = mem_strndup(e->msg + 1, (size_t)(end - e->msg - 1));
		json_put_str(o, "object", object);
		free(object);
	} else {
		json_put(o, "object", NULL);
	}
	json_put_str(o, "reason", end != NULL ? end + 3 : e->msg);
	json_put(o, "limit", NULL);
	respond(r, status, o);
}

static void exchange_drop(struct exchange *x)
{
	if (x->request == NULL && !x->is_waiting) {
		json_object_put(x->answer);
		buf_free(&x->body);
		free(x);
	}
}

/* ---- PUT ---- */

static void put_done(void *arg, const struct plane_verdict *v)
{
	struct exchange *x = arg;

	x->is_waiting = false;
	if (x->request == NULL) {
		exchange_drop(x);
		return;
	}
	if (v->status == 200) {
		struct json_object *o = json_object_new_object();
		json_put_u64(o, "generation", v->generation);
		respond(x->request, 200, o);
	} else {
		respond_refusal(x->request, v->status, &v->why);
	}
}

static bool check(struct json_object *policy, struct error *e)
{
	static struct document_schema *schema;
	struct json_at at = json_root(policy);

	if (schema == NULL) {
		struct json_object *text = json_parse(node_policy_schema, node_policy_schema_size,
						      node_policy_schema_size, DEPTH, e);
		schema = text == NULL ? NULL : document_schema_new(text, e);
		json_object_put(text);
	}
	return schema != NULL && document_schema_check(schema, &at, e);
}

static void put(struct exchange *x)
{
	struct error e = { 0 };
	struct json_object *policy = json_parse(x->body.data == NULL ? "" : x->body.data,
						x->body.len, BODY_MAX, DEPTH, &e);

	if (policy == NULL || !check(policy, &e) || !host_lend_check(x->host, policy, &e)) {
		buf_free(&x->body);
		x->body = (struct buf)BUF_INIT;
		json_object_put(policy);
		respond_refusal(x->request, 400, &e);
		return;
	}
	x->is_waiting = true;
	host_plane_put_policy(x->host, policy, &x->body, put_done, x);
}

/* ---- GET ---- */

static uint64_t number(const struct json_at *at, const char *key)
{
	uint64_t v = 0;

	return json_has(at, key) && json_get_u64(at, key, &v, NULL) ? v : 0;
}

static const char *text(const struct json_at *at, const char *key)
{
	const char *s = NULL;

	return json_has(at, key) && json_get_str(at, key, &s, NULL) ? s : NULL;
}

static void put_text(struct json_object *o, const char *key, const char *s)
{
	if (s != NULL) {
		json_put_str(o, key, s);
	} else {
		json_put(o, key, NULL);
	}
}

static uint64_t sum_of(const struct json_at *at, const char *key)
{
	struct json_at drops;
	uint64_t n = 0;

	if (json_has(at, key) && json_get_object(at, key, &drops, NULL)) {
		json_object_object_foreach(drops.value, reason, v)
		{
			(void)reason;
			n += (uint64_t)json_object_get_int64(v);
		}
	}
	return n;
}

/* What a card's guest received the switch has sent; an uplink is told as the switch sees it. */
static void put_port(struct json_object *list, struct host *h, const struct json_at *at)
{
	struct json_object *o = json_object_new_object(), *addresses = NULL;
	const char *name = text(at, "name");
	struct json_object *given = name == NULL ? NULL : host_plane_port(h, name);
	struct json_at port = json_root(given);
	bool is_uplink = name == NULL || strncmp(name, "vmnic", 5) == 0, up = false;
	const char *from = is_uplink ? "rx" : "tx", *to = is_uplink ? "tx" : "rx";
	char key[24];

	put_text(o, "port", name);
	put_text(o, "label", given == NULL ? NULL : text(&port, "label"));
	put_text(o, "mac", text(at, "mac"));
	put_text(o, "segment", given == NULL ? NULL : text(&port, "segment"));
	if (json_has(at, "up")) {
		(void)json_get_bool(at, "up", &up, NULL);
	}
	json_put_bool(o, "up", up);
	if (json_object_object_get_ex(at->value, "addresses", &addresses)) {
		json_put(o, "addresses", json_object_get(addresses));
	}
	snprintf(key, sizeof(key), "%s_packets", from);
	json_put_u64(o, "rx_packets", number(at, key));
	snprintf(key, sizeof(key), "%s_bytes", from);
	json_put_u64(o, "rx_bytes", number(at, key));
	snprintf(key, sizeof(key), "%s_packets", to);
	json_put_u64(o, "tx_packets", number(at, key));
	snprintf(key, sizeof(key), "%s_bytes", to);
	json_put_u64(o, "tx_bytes", number(at, key));
	json_put_u64(o, "drops", sum_of(at, "drops"));
	json_object_array_add(list, o);
}

static void get_answer(struct exchange *x)
{
	struct json_object *o = x->answer;

	x->is_waiting = false;
	if (x->request == NULL) {
		exchange_drop(x);
		return;
	}
	x->answer = NULL;
	respond(x->request, 200, o);
}

static void got_rules(void *arg, const struct rpc_reply *reply)
{
	struct exchange *x = arg;
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; reply->error == NULL && i < json_array_n(&reply->result); i++) {
		struct json_at at = json_item(&reply->result, i);
		struct json_object *o = json_object_new_object();
		json_put_u64(o, "id", number(&at, "id"));
		json_put_u64(o, "hits", number(&at, "hits"));
		json_put_u64(o, "packets", number(&at, "packets"));
		json_put_u64(o, "bytes", number(&at, "bytes"));
		json_object_array_add(list, o);
	}
	json_put(x->answer, "rules", list);
	get_answer(x);
}

static void got_ports(void *arg, const struct rpc_reply *reply)
{
	struct exchange *x = arg;
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; reply->error == NULL && i < json_array_n(&reply->result); i++) {
		struct json_at at = json_item(&reply->result, i);
		put_port(list, x->host, &at);
	}
	json_put(x->answer, "ports", list);
	if (reply->error != NULL && reply->error->kind == ERROR_CANCELED) {
		json_put(x->answer, "rules", json_object_new_array());
		get_answer(x);
		return;
	}
	host_plane_ask(x->host, "rules", got_rules, x);
}

static void get(struct exchange *x)
{
	struct json_object *o = json_object_new_object();
	struct json_at policy = json_root(host_plane_policy(x->host));
	const struct node *node = &x->host->node;
	struct error why = { 0 };
	char endpoint[sizeof(node->endpoint)];

	json_put_u64(o, "generation", policy.value == NULL ? 0 : number(&policy, "generation"));
	put_text(o, "manager", policy.value == NULL ? NULL : text(&policy, "manager"));
	bool is_realized = host_plane_is_realized(x->host, &why);
	json_put_bool(o, "realized", is_realized);
	if (!is_realized && policy.value != NULL) {
		struct json_object *error = json_object_new_object();
		json_put_str(error, "reason", why.msg);
		json_put(o, "error", error);
	}
	snprintf(endpoint, sizeof(endpoint), "%.*s", (int)strcspn(node->endpoint, "/"),
		 node->endpoint);
	put_text(o, "endpoint", endpoint[0] == '\0' ? NULL : endpoint);
	json_put_u64(o, "functions", host_lend_count(x->host));
	x->answer = o;
	x->is_waiting = true;
	host_plane_ask(x->host, "ports", got_ports, x);
}

/* ---- requests ---- */

static bool policy_begin(struct http_request *r)
{
	struct host *h = r->arg;
	bool is_put = strcmp(r->method, "PUT") == 0, is_get = strcmp(r->method, "GET") == 0;
	struct error e = { 0 };

	if (strcmp(r->path, "/remora/v1/policy") != 0) {
		http_respond_text(r, 404, "There is nothing at \"%.200s\".\n", r->path);
		return false;
	}
	if (!is_put && !is_get) {
		http_reply_header(r, "Allow", "GET, PUT");
		http_respond_text(r, 405, "A policy takes GET and PUT.\n");
		return false;
	}
	if (!session_may(r->session, h->system, "Host.Config.Network")) {
		error_set(&e, ERROR_PERMISSION, "you lack the privilege Host.Config.Network");
		respond_refusal(r, 403, &e);
		return false;
	}
	if (is_put && r->content_length > BODY_MAX) {
		error_set(&e, ERROR_LIMIT, "a policy has at most %d bytes", BODY_MAX);
		respond_refusal(r, 413, &e);
		return false;
	}
	struct exchange *x = mem_zalloc(sizeof(*x));
	x->host = h;
	x->request = r;
	r->state = x;
	return true;
}

static size_t policy_body(struct http_request *r, const char *data, size_t len)
{
	struct exchange *x = r->state;
	struct error e = { 0 };

	if (x->is_refused) {
		return len;
	}
	if (x->body.len + len > BODY_MAX) {
		x->is_refused = true;
		buf_free(&x->body);
		x->body = (struct buf)BUF_INIT;
		error_set(&e, ERROR_LIMIT, "a policy has at most %d bytes", BODY_MAX);
		respond_refusal(r, 413, &e);
		return len;
	}
	buf_add(&x->body, data, len);
	return len;
}

static void policy_complete(struct http_request *r)
{
	struct exchange *x = r->state;

	if (x->is_refused) {
		return;
	}
	if (strcmp(r->method, "PUT") == 0) {
		put(x);
	} else {
		get(x);
	}
}

static void policy_finish(struct http_request *r, bool ok)
{
	struct exchange *x = r->state;

	(void)ok;
	if (x != NULL) {
		r->state = NULL;
		x->request = NULL;
		exchange_drop(x);
	}
}

void policy_route_add(struct server *s, struct host *h)
{
	struct http_route route = {
		.prefix = "/remora/v1/policy",
		.needs_session = true,
		.begin = policy_begin,
		.body = policy_body,
		.complete = policy_complete,
		.finish = policy_finish,
		.arg = h,
	};

	if (h->plane != NULL) {
		server_route(s, &route);
		server_extend_metrics(s, host_plane_metrics, h);
	}
}
