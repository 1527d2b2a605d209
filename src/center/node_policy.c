/* SPDX-License-Identifier: Apache-2.0 */
#include "center/node_policy.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "center/database.h"
#include "center/hosts.h"
#include "center/intent_card.h"
#include "center/intent_write.h"
#include "center/lend.h"
#include "center/member.h"
#include "center/node_document.h"
#include "vim/client.h"

LOG_MODULE("policy");

#define ENDPOINT "/remora/v1/policy"

enum {
	LOOK_MS = 10,	   /* what changes within is taken together */
	LOOK_SHARE = 4,	   /* of the time is not spent composing, at least, */
	LOOK_MAX_MS = 400, /* within this */
	RETRY_MIN_MS = 250,
	RETRY_MAX_MS = 8000,
	GET_LIMIT_MS = 10000,
	PUT_LIMIT_MS = 60000,
	ANSWER_MAX = 64 << 20,
	BODY_MAX = 64 << 20, /* what a node takes */
	ASK_AGE_MS = 1000
};

enum node_state {
	NODE_AWAY,
	NODE_ASKING,
	NODE_READY,
	NODE_SENDING,
	NODE_WAITING,
	NODE_UNABLE
};

struct asker {
	node_policy_answer_fn *done;
	void *arg;
};

/* A member's node; member.node. */
struct node {
	struct member *m;
	struct node_policy *p;
	enum node_state state;
	unsigned n_tries;
	struct timer *retry;
	struct peer_request *request; /* of ASKING or SENDING */
	uint64_t generation;	      /* highest that the node is known to have, or was sent */
	uint64_t confirmed;	      /* last with 200 */
	char *endpoint;		      /* of its tunnels, as it said last; NULL: none */
	/* What it runs (has_running), was sent and should run; objects: serials in each. */
	uint64_t running, sent, refused;
	bool has_running, has_refused;
	struct map64 running_objects, sent_objects;
	struct node_document wanted;
	struct buf switches; /* as the hook wrote them */
	bool has_switches;   /* they are up to date */
	struct error error;  /* why they could not be written, or nothing */
	char reason[240];
	/* for node_policy_ask() */
	struct peer_request *asking;
	VEC(struct asker) askers;
	struct json_object *answer;
	int64_t answered_us;
};

struct node_policy {
	struct center *c;
	char manager[64]; /* uuid */
	node_policy_switches_fn *write_switches;
	void (*changed)(struct center *c); /* may be NULL */
	struct timer *look;
	int64_t look_ms;
	struct metric *n_confirmed, *n_refused, *n_failed;
};

static void node_step(struct node *n);

/* ---- composing ---- */

static void look_later(struct node_policy *p)
{
	if (!timer_is_active(p->look)) {
		timer_start(p->look, p->look_ms, 0);
	}
}

static void switches_write(struct node *n)
{
	struct json_object *list = json_object_new_array();

	buf_clear(&n->switches);
	n->error = (struct error){ 0 };
	n->has_switches = true;
	if (n->p->write_switches != NULL && n->p->write_switches(n->p->c, n->m, list, &n->error) &&
	    json_object_array_length(list) > 0) {
		json_add_text(&n->switches, list);
	}
	json_object_put(list);
}

static void compose(struct node *n)
{
	struct node_document *d = &n->wanted;

	node_document_fini(d);
	node_document_init(d);
	if (!n->has_switches) {
		switches_write(n);
	}
	if (n->error.kind != ERROR_NONE) {
		d->is_failed = true;
		d->error = n->error;
		return;
	}
	if (n->switches.len > 0) {
		node_document_add(d, ",\"switches\":");
		node_document_add_copy(d, &n->switches);
	}
	if (n->p->c->intent != NULL) {
		intent_write(n->p->c->intent, n->m, d);
	}
}

/* ---- what a node is known to run ---- */

static void objects_move(struct map64 *to, struct map64 *from)
{
	map64_free(to);
	*to = *from;
	*from = (struct map64){ 0 };
}

static void objects_copy(struct map64 *to, const struct map64 *from)
{
	map64_clear(to);
	map64_each(from, it)
	{
		map64_set(to, it->id, NULL);
	}
}

static void tell_changed(const struct node_policy *p)
{
	if (p->changed != NULL) {
		p->changed(p->c);
	}
}

static bool is_in_force(const struct node *n)
{
	return n->has_running && !n->wanted.is_failed && n->running == n->wanted.hash;
}

static void say(struct node *n, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct node *n, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(n->reason, sizeof(n->reason), fmt, args);
	va_end(args);
}

/* ---- requests ---- */

static struct peer *peer_of(const struct node *n)
{
	struct client *client = n->m->link == NULL ? NULL : link_client(n->m->link);

	return client == NULL ? NULL : client_peer(client);
}

static void retry_later(struct node *n)
{
	int64_t wait = (int64_t)RETRY_MIN_MS << MIN(n->n_tries, 5U);

	n->n_tries++;
	n->state = NODE_WAITING;
	timer_start(n->retry, MIN(wait, (int64_t)RETRY_MAX_MS), 0);
	tell_changed(n->p);
}

/* "\"object\": reason (limit)" of an answer that refuses. */
static void say_refusal(struct node *n, const struct peer_answer *answer)
{
	struct json_object *o = json_parse(answer->body, answer->len, 1 << 20, 8, NULL);
	struct json_at at = json_root(o);
	const char *object = NULL, *reason = NULL;

	if (o != NULL && json_get_str(&at, "reason", &reason, NULL)) {
		json_get_str(&at, "object", &object, NULL);
		say(n, "%s%s%s%.150s", object == NULL ? "" : "\"", object == NULL ? "" : object,
		    object == NULL ? "" : "\": ", reason);
	} else {
		say(n, "the host answers %d", answer->status);
	}
	json_object_put(o);
}

static void endpoint_keep(struct member *m, const char *endpoint)
{
	char *name = mem_printf("endpoint/%s", m->id);

	database_set_fact(m->center->db, name, endpoint);
	free(name);
}

void node_policy_drop(struct member *m)
{
	endpoint_keep(m, NULL);
	lend_drop(m);
}

static void endpoint_set(struct node *n, const char *endpoint)
{
	bool is_same = endpoint == NULL ? n->endpoint == NULL
					: n->endpoint != NULL && strcmp(endpoint, n->endpoint) == 0;

	if (is_same) {
		return;
	}
	free(n->endpoint);
	n->endpoint = endpoint == NULL ? NULL : mem_strdup(endpoint);
	endpoint_keep(n->m, endpoint);
	if (n->p->c->intent != NULL) {
		intent_cards_endpoint(n->p->c->intent, n->m);
	}
	look_later(n->p);
}

/* False: it is no such answer. */
static bool answer_read(struct node *n, const struct peer_answer *answer)
{
	struct json_object *o = json_parse(answer->body, answer->len, ANSWER_MAX, 16, NULL);
	struct json_at at = json_root(o);
	const char *manager = NULL, *endpoint = NULL;
	uint64_t generation = 0, functions = 0;

	if (o == NULL || !json_get_u64(&at, "generation", &generation, NULL)) {
		json_object_put(o);
		return false;
	}
	if (json_has(&at, "manager")) {
		json_get_str(&at, "manager", &manager, NULL);
	}
	if (json_has(&at, "endpoint")) {
		json_get_str(&at, "endpoint", &endpoint, NULL);
	}
	endpoint_set(n, endpoint);
	if (json_has(&at, "functions")) {
		json_get_u64(&at, "functions", &functions, NULL);
	}
	lend_said(n->p->c, n->m, (uint32_t)MIN(functions, (uint64_t)LEND_MAX));
	bool is_ours = manager != NULL && strcmp(manager, n->p->manager) == 0;
	if (!is_ours || generation != n->generation) {
		n->has_running = false; /* not what this process gave it */
	}
	n->generation = is_ours ? MAX(n->generation, generation) : n->generation;
	if (generation == 0) { /* nothing, which is what an empty document says */
		n->has_running = true;
		n->running = 0;
		map64_clear(&n->running_objects);
	}
	json_object_put(o);
	return true;
}

static void on_asked(void *arg, const struct peer_answer *answer, const struct error *e)
{
	struct node *n = arg;

	n->request = NULL;
	if (n->state != NODE_ASKING) {
		return;
	}
	if (answer == NULL) {
		say(n, "the host does not answer: %s", e->msg);
		retry_later(n);
	} else if (answer->status == 404) {
		n->state = NODE_UNABLE;
		say(n, "the host takes no policy");
		tell_changed(n->p);
	} else if (answer->status == 200 && answer_read(n, answer)) {
		n->state = NODE_READY;
		n->has_refused = false;
		node_step(n);
	} else {
		say_refusal(n, answer);
		retry_later(n);
	}
}

static void ask(struct node *n)
{
	struct peer *peer = peer_of(n);

	if (peer == NULL) {
		return;
	}
	n->state = NODE_ASKING;
	n->request = peer_send(peer, &(struct peer_order){ .method = "GET",
							   .path = ENDPOINT,
							   .max_bytes = ANSWER_MAX,
							   .timeout_ms = GET_LIMIT_MS,
							   .done = on_asked,
							   .arg = n });
}

static void on_retry(void *arg)
{
	struct node *n = arg;

	if (n->state == NODE_WAITING) {
		ask(n);
	}
}

static void on_confirmed(struct node *n)
{
	metric_inc(n->p->n_confirmed);
	n->has_running = true;
	n->running = n->sent;
	n->confirmed = n->generation;
	objects_move(&n->running_objects, &n->sent_objects);
	n->n_tries = 0;
	n->state = NODE_READY;
	n->reason[0] = '\0';
	node_step(n);
}

static void on_sent(void *arg, const struct peer_answer *answer, const struct error *e)
{
	struct node *n = arg;

	n->request = NULL;
	if (n->state != NODE_SENDING) {
		return;
	}
	if (answer == NULL) {
		metric_inc(n->p->n_failed);
		n->has_running = false; /* either of the two */
		say(n, "the host does not answer: %s", e->msg);
		retry_later(n);
		return;
	}
	switch (answer->status) {
	case 200:
		on_confirmed(n);
		return;
	case 400:
	case 413:
		metric_inc(n->p->n_refused);
		say_refusal(n, answer);
		log_warn("host \"%s\" refuses its policy: %s", member_name(n->m), n->reason);
		n->has_refused = true;
		n->refused = n->sent;
		n->state = NODE_READY;
		node_step(n);
		return;
	case 409:
		n->generation++;
		say(n, "the host has a newer generation");
		retry_later(n);
		return;
	default:
		metric_inc(n->p->n_failed);
		say_refusal(n, answer);
		retry_later(n);
	}
}

static void send_document(struct node *n, struct peer *peer)
{
	struct buf body = BUF_INIT;

	buf_addf(&body, "{\"generation\":%" PRIu64 ",\"manager\":\"%s\"", ++n->generation,
		 n->p->manager);
	node_document_write(&n->wanted, &body);
	buf_addc(&body, '}');
	n->sent = n->wanted.hash;
	objects_copy(&n->sent_objects, &n->wanted.objects);
	n->state = NODE_SENDING;
	n->request = peer_send(peer, &(struct peer_order){ .method = "PUT",
							   .path = ENDPOINT,
							   .content_type = "application/json",
							   .body = &body,
							   .timeout_ms = PUT_LIMIT_MS,
							   .done = on_sent,
							   .arg = n });
	buf_free(&body);
}

/* Sends what is wanted where that differs from what the node runs or has refused. */
static void node_step(struct node *n)
{
	struct peer *peer = peer_of(n);

	tell_changed(n->p);
	if (n->state != NODE_READY || peer == NULL || timer_is_active(n->p->look)) {
		return; /* the look comes back here */
	}
	if (n->wanted.is_failed) {
		say(n, "%s", n->wanted.error.msg);
		return;
	}
	if (is_in_force(n)) {
		n->reason[0] = '\0';
		return;
	}
	if (n->has_refused && n->refused == n->wanted.hash) {
		return;
	}
	if (node_document_size(&n->wanted) > BODY_MAX - 256) {
		say(n, "the node's document exceeds %d MiB", BODY_MAX >> 20);
		n->has_refused = true;
		n->refused = n->wanted.hash;
		return;
	}
	compose(n); /* what it was made of may be gone since */
	if (!n->wanted.is_failed && !is_in_force(n)) {
		send_document(n, peer);
	}
}

static void on_look(void *arg)
{
	struct node_policy *p = arg;
	int64_t begin = clock_mono_us(p->c->clock);

	list_each (struct member, m, &p->c->hosts->members, link_node) {
		if (m->node != NULL) {
			compose(m->node);
			node_step(m->node);
		}
	}
	int64_t took_ms = (clock_mono_us(p->c->clock) - begin) / 1000;
	p->look_ms = MIN(MAX(took_ms * LOOK_SHARE, (int64_t)LOOK_MS), (int64_t)LOOK_MAX_MS);
}

/* ---- a member's node ---- */

static void askers_tell(struct node *n, struct json_object *answer, const struct error *e)
{
	struct asker *list = n->askers.items;
	size_t count = n->askers.n;

	n->askers.items = NULL;
	n->askers.n = n->askers.cap = 0;
	for (size_t i = 0; i < count; i++) {
		list[i].done(list[i].arg, answer, e);
	}
	free(list);
}

static struct node *node_new(struct node_policy *p, struct member *m)
{
	struct node *n = mem_zalloc(sizeof(*n));
	struct arena *a = arena_new(0);
	const char *endpoint = database_fact(p->c->db, arena_printf(a, "endpoint/%s", m->id), a);

	n->m = m;
	n->p = p;
	n->endpoint = endpoint == NULL ? NULL : mem_strdup(endpoint);
	n->retry = timer_new(p->c->loop, p->c->clock, on_retry, n);
	node_document_init(&n->wanted);
	arena_free(a);
	m->node = n;
	look_later(p);
	return n;
}

static void node_away(struct node *n)
{
	n->has_running &= n->state != NODE_SENDING; /* either of the two, else */
	n->state = NODE_AWAY;
	n->n_tries = 0;
	timer_stop(n->retry);
	peer_cancel(n->request);
	peer_cancel(n->asking);
	say(n, "the host is not connected");
	tell_changed(n->p);
}

void node_policy_look(struct member *m)
{
	struct node_policy *p = m->center->policy;

	if (m->address == NULL || m->system == NULL || m->is_gone || p == NULL) {
		return;
	}
	struct node *n = m->node != NULL ? m->node : node_new(p, m);
	if (m->state != MEMBER_CONNECTED) {
		node_away(n);
	} else if (n->state == NODE_AWAY) {
		ask(n);
	}
}

void node_policy_forget(struct member *m)
{
	struct node *n = m->node;

	if (n == NULL) {
		return;
	}
	node_away(n);
	if (n->p->c->intent != NULL) {
		intent_cards_member_gone(n->p->c->intent, m);
	}
	m->node = NULL;
	timer_free(n->retry);
	node_document_fini(&n->wanted);
	map64_free(&n->running_objects);
	map64_free(&n->sent_objects);
	buf_free(&n->switches);
	vec_free(&n->askers);
	json_object_put(n->answer);
	free(n->endpoint);
	look_later(n->p);
	free(n);
}

enum node_policy_state node_policy_state(const struct member *m, const char **reason)
{
	const struct node *n = m->node;
	const char *nothing = "";

	if (reason != NULL) {
		*reason = n == NULL ? nothing : n->reason;
	}
	if (n == NULL || (n->state == NODE_UNABLE && n->wanted.pieces.n == 0)) {
		return NODE_POLICY_NONE;
	}
	if (n->state == NODE_UNABLE || n->wanted.is_failed ||
	    (n->has_refused && n->refused == n->wanted.hash)) {
		return NODE_POLICY_ERROR;
	}
	return is_in_force(n) && !timer_is_active(n->p->look) ? NODE_POLICY_REALIZED
							      : NODE_POLICY_PENDING;
}

enum node_policy_state node_policy_object(const struct member *m, uint64_t serial,
					  const char **reason)
{
	const struct node *n = m->node;
	bool is_wanted = n != NULL && map64_has(&n->wanted.objects, serial);
	bool is_running = n != NULL && map64_has(&n->running_objects, serial);
	enum node_policy_state all = node_policy_state(m, reason);

	if (n == NULL || (!is_wanted && !is_running && !timer_is_active(n->p->look))) {
		return NODE_POLICY_NONE;
	}
	if (all == NODE_POLICY_REALIZED) {
		return is_wanted ? NODE_POLICY_REALIZED : NODE_POLICY_NONE;
	}
	return all == NODE_POLICY_NONE && timer_is_active(n->p->look) ? NODE_POLICY_PENDING : all;
}

uint64_t node_policy_generation(const struct member *m)
{
	return m->node != NULL && m->node->has_running ? m->node->confirmed : 0;
}

const char *node_policy_endpoint(const struct member *m)
{
	return m->node == NULL ? NULL : m->node->endpoint;
}

/* ---- what a node says ---- */

static void on_answer(void *arg, const struct peer_answer *answer, const struct error *e)
{
	struct node *n = arg;
	struct error why = { 0 };

	n->asking = NULL;
	json_object_put(n->answer);
	n->answer = NULL;
	if (answer == NULL) {
		why = *e;
	} else if (answer->status != 200) {
		error_set(&why, answer->status == 404 ? ERROR_UNSUPPORTED : ERROR_UNREACHABLE,
			  "host \"%s\" answers %d", member_name(n->m), answer->status);
	} else {
		n->answer = json_parse(answer->body, answer->len, ANSWER_MAX, 16, &why);
		n->answered_us = clock_mono_us(n->p->c->clock);
	}
	/* Those who hear it may free the member. */
	struct json_object *held = json_object_get(n->answer);
	askers_tell(n, held, held == NULL ? &why : NULL);
	json_object_put(held);
}

void node_policy_ask(struct member *m, node_policy_answer_fn *done, void *arg)
{
	struct node *n = m->node;
	struct peer *peer = n == NULL ? NULL : peer_of(n);
	struct error e;

	if (n == NULL || peer == NULL || n->state == NODE_AWAY || n->state == NODE_UNABLE) {
		bool is_able = n != NULL && n->state != NODE_UNABLE;
		error_set(&e, is_able ? ERROR_UNREACHABLE : ERROR_UNSUPPORTED,
			  is_able ? "host \"%s\" is not connected" : "host \"%s\" takes no policy",
			  member_name(m));
		done(arg, NULL, &e);
		return;
	}
	if (n->answer != NULL &&
	    clock_mono_us(n->p->c->clock) - n->answered_us < ASK_AGE_MS * INT64_C(1000)) {
		struct json_object *held = json_object_get(n->answer);
		done(arg, held, NULL);
		json_object_put(held);
		return;
	}
	vec_push(&n->askers, (struct asker){ done, arg });
	if (n->asking == NULL) {
		n->asking = peer_send(peer, &(struct peer_order){ .method = "GET",
								  .path = ENDPOINT,
								  .max_bytes = ANSWER_MAX,
								  .timeout_ms = GET_LIMIT_MS,
								  .done = on_answer,
								  .arg = n });
	}
}

/* ---- life ---- */

void node_policy_intent_changed(struct center *c)
{
	if (c->policy != NULL) {
		look_later(c->policy);
	}
}

void node_policy_changed(struct center *c)
{
	struct node_policy *p = c->policy;

	if (p == NULL) {
		return;
	}
	if (c->hosts != NULL) {
		list_each (struct member, m, &c->hosts->members, link_node) {
			if (m->node != NULL) {
				m->node->has_switches = false;
			}
		}
	}
	look_later(p);
}

void node_policy_set_switches(struct center *c, node_policy_switches_fn *write)
{
	c->policy->write_switches = write;
	node_policy_changed(c);
}

void node_policy_set_listener(struct center *c, void (*changed)(struct center *c))
{
	c->policy->changed = changed;
}

static struct metric *counter(const char *result)
{
	return metric_with(metric_counter("remora_center_policy_documents_total",
					  "Policy documents that were sent to nodes", "result"),
			   &result);
}

struct node_policy *node_policy_new(struct center *c)
{
	struct node_policy *p = mem_zalloc(sizeof(*p));
	const struct value *content = object_get(c->api->instance, P_ServiceInstance_content, NULL);
	const struct value *about = value_get_value(content, F_ServiceContent_about);
	const char *uuid = value_get_str(about, F_AboutInfo_instanceUuid);

	p->c = c;
	p->look_ms = LOOK_MS;
	snprintf(p->manager, sizeof(p->manager), "%s", uuid == NULL ? "" : uuid);
	p->n_confirmed = counter("confirmed");
	p->n_refused = counter("refused");
	p->n_failed = counter("failed");
	p->look = timer_new(c->loop, c->clock, on_look, p);
	return p;
}

void node_policy_free(struct node_policy *p)
{
	if (p != NULL) {
		timer_free(p->look);
		free(p);
	}
}
