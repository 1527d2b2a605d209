/* SPDX-License-Identifier: Apache-2.0 */
/* What the nodes have made of it: realization and statistics. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "center/hosts.h"
#include "center/member.h"
#include "center/node_policy.h"
#include "center/policy_call.h"

#define POINT "/infra/sites/default/enforcement-points/default"

/* ---- realization ---- */

static const char *status_of(enum node_policy_state state)
{
	switch (state) {
	case NODE_POLICY_ERROR:
		return "ERROR";
	case NODE_POLICY_PENDING:
		return "IN_PROGRESS";
	case NODE_POLICY_NONE:
	case NODE_POLICY_REALIZED:
	default:
		return "SUCCESS";
	}
}

static enum node_policy_state worse(enum node_policy_state a, enum node_policy_state b)
{
	static const int rank[] = { [NODE_POLICY_NONE] = 0,
				    [NODE_POLICY_REALIZED] = 1,
				    [NODE_POLICY_PENDING] = 2,
				    [NODE_POLICY_ERROR] = 3 };

	return rank[a] >= rank[b] ? a : b;
}

static struct json_object *node_shown(const struct member *m, enum node_policy_state state,
				      const char *reason)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "node_id", m->id);
	json_put_str(o, "display_name", member_name(m));
	json_put_str(o, "status", status_of(state));
	json_put_u64(o, "generation", node_policy_generation(m));
	if (reason[0] != '\0') {
		json_put_str(o, "message", reason);
	}
	return o;
}

static struct intent_object *intent_asked(struct policy_call *call)
{
	const char *path = policy_call_query(call, "intent_path");
	struct intent_object *o = path == NULL ? NULL : intent_find(call->in, path);

	if (path == NULL) {
		policy_refuse(call, 400, POLICY_CODE_INVALID,
			      "the query must have intent_path, the path of an object");
	} else if (o == NULL || o->kind == INTENT_VM_TAGS) {
		policy_answer_absent(call, path);
		return NULL;
	}
	return o;
}

static struct json_object *status_object(enum node_policy_state state)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "consolidated_status", status_of(state));
	return o;
}

void realized_status(struct policy_call *call)
{
	struct intent_object *about = intent_asked(call);
	enum node_policy_state all = NODE_POLICY_NONE;

	if (about == NULL) {
		return;
	}
	struct json_object *o = json_object_new_object(), *nodes = json_object_new_array();
	struct json_object *point = json_object_new_object(), *points = json_object_new_array();
	struct json_at body = json_root(about->body);
	int64_t revision = 0;
	list_each (struct member, m, &call->c->hosts->members, link_node) {
		const char *reason;
		enum node_policy_state state = node_policy_object(m, about->serial, &reason);
		all = worse(all, state);
		if (state != NODE_POLICY_NONE) {
			json_object_array_add(nodes, node_shown(m, state, reason));
		}
	}
	json_get_i64(&body, "_revision", &revision, NULL);
	char version[24];
	snprintf(version, sizeof(version), "%" PRId64, revision);
	json_put_str(o, "intent_path", about->path);
	json_put_str(o, "intent_version", version);
	json_put_str(o, "publish_status",
		     all == NODE_POLICY_ERROR	  ? "ERROR"
		     : all == NODE_POLICY_PENDING ? "UNREALIZED"
						  : "REALIZED");
	json_put(o, "consolidated_status", status_object(all));
	json_put_str(point, "resource_type", "ConsolidatedStatusPerEnforcementPoint");
	json_put_str(point, "enforcement_point_id", "default");
	json_put_str(point, "path", POINT);
	json_put(point, "consolidated_status", status_object(all));
	json_put(point, "nodes", nodes);
	json_object_array_add(points, point);
	json_put(o, "consolidated_status_per_enforcement_point", points);
	policy_answer(call, 200, o);
}

static struct json_object *entity_shown(const struct intent_object *about, const struct member *m,
					enum node_policy_state state, const char *reason)
{
	struct json_object *o = json_object_new_object(), *alarms = json_object_new_array();
	struct json_object *paths = json_object_new_array();
	char type[64];

	snprintf(type, sizeof(type), "Realized%s", intent_kind_name(about->kind));
	json_put_str(o, "id", m->id);
	json_put_str(o, "display_name", member_name(m));
	json_put_str(o, "resource_type", "GenericPolicyRealizedResource");
	json_put_str(o, "entity_type", type);
	json_put_str(o, "state",
		     state == NODE_POLICY_ERROR	    ? "ERROR"
		     : state == NODE_POLICY_PENDING ? "UNREALIZED"
						    : "REALIZED");
	json_object_array_add(paths, json_new_str(about->path));
	json_put(o, "intent_paths", paths);
	if (state == NODE_POLICY_ERROR) {
		struct json_object *alarm = json_object_new_object();
		json_put_str(alarm, "message", reason);
		json_put_str(alarm, "source_reference", about->path);
		json_object_array_add(alarms, alarm);
	}
	json_put(o, "alarms", alarms);
	return o;
}

void realized_entities(struct policy_call *call)
{
	struct intent_object *about = intent_asked(call);

	if (about == NULL) {
		return;
	}
	struct json_object *results = json_object_new_array();
	list_each (struct member, m, &call->c->hosts->members, link_node) {
		const char *reason;
		enum node_policy_state state = node_policy_object(m, about->serial, &reason);
		if (state != NODE_POLICY_NONE) {
			json_object_array_add(results, entity_shown(about, m, state, reason));
		}
	}
	policy_answer_list(call, results);
}

static struct json_object *point_shown(struct policy_call *call)
{
	struct json_object *o = json_object_new_object(), *nodes = json_object_new_array();

	json_put_str(o, "id", "default");
	json_put_str(o, "display_name", "default");
	json_put_str(o, "resource_type", "EnforcementPoint");
	json_put_str(o, "path", POINT);
	list_each (struct member, m, &call->c->hosts->members, link_node) {
		const char *reason;
		enum node_policy_state state = node_policy_state(m, &reason);
		if (state != NODE_POLICY_NONE) {
			json_object_array_add(nodes, node_shown(m, state, reason));
		}
	}
	json_put(o, "nodes", nodes);
	return o;
}

void enforcement_point(struct policy_call *call)
{
	policy_answer(call, 200, point_shown(call));
}

void enforcement_points(struct policy_call *call)
{
	struct json_object *results = json_object_new_array();

	json_object_array_add(results, point_shown(call));
	policy_answer_list(call, results);
}

void transport_zones(struct policy_call *call)
{
	static const char *const names[] = { "overlay-geneve", "overlay-vxlan" };
	struct json_object *results = json_object_new_array();

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct json_object *o = json_object_new_object();
		char path[128];
		snprintf(path, sizeof(path), POINT "/transport-zones/%s", names[i]);
		json_put_str(o, "id", names[i]);
		json_put_str(o, "display_name", names[i]);
		json_put_str(o, "resource_type", "PolicyTransportZone");
		json_put_str(o, "path", path);
		json_put_str(o, "tz_type", "OVERLAY_STANDARD");
		json_put_bool(o, "is_default", i == 0);
		json_object_array_add(results, o);
	}
	policy_answer_list(call, results);
}

/* ---- statistics ---- */

struct counts {
	char *path;
	uint64_t number, hits, packets, bytes;
};

/* Asks all nodes and answers when the last has said something. */
struct gathering {
	struct policy_call *call;
	VEC(struct counts) rules;
	struct map64 by_number; /* number → index + 1 */
	size_t n_waiting;
	char *section; /* id of the policy; NULL: one rule is asked for */
};

static struct json_object *counts_shown(const struct counts *c)
{
	struct json_object *o = json_object_new_object();
	char number[24];

	snprintf(number, sizeof(number), "%" PRIu64, c->number);
	json_put_str(o, "rule", c->path);
	json_put_str(o, "internal_rule_id", number);
	json_put_u64(o, "hit_count", c->hits);
	json_put_u64(o, "packet_count", c->packets);
	json_put_u64(o, "byte_count", c->bytes);
	return o;
}

static struct json_object *section_shown(const struct gathering *g)
{
	struct json_object *o = json_object_new_object(), *rules = json_object_new_array();

	for (size_t i = 0; i < g->rules.n; i++) {
		json_object_array_add(rules, counts_shown(&g->rules.items[i]));
	}
	json_put_str(o, "internal_section_id", g->section);
	json_put_u64(o, "result_count", g->rules.n);
	json_put(o, "results", rules);
	return o;
}

static void gathering_step(struct gathering *g)
{
	if (--g->n_waiting > 0) {
		return;
	}
	struct json_object *o = json_object_new_object(), *point = json_object_new_object();
	struct json_object *results = json_object_new_array();
	json_put_str(point, "enforcement_point", POINT);
	json_put(point, "statistics",
		 g->section != NULL ? section_shown(g) : counts_shown(&g->rules.items[0]));
	json_object_array_add(results, point);
	json_put(o, "results", results);
	json_put_u64(o, "result_count", 1);
	policy_answer(g->call, 200, o);
	vec_each (&g->rules, it) {
		free(it->path);
	}
	vec_free(&g->rules);
	map64_free(&g->by_number);
	free(g->section);
	free(g);
}

static uint64_t count_of(const struct json_at *at, const char *key)
{
	uint64_t v = 0;

	if (json_has(at, key)) {
		json_get_u64(at, key, &v, NULL);
	}
	return v;
}

static void on_said(void *arg, struct json_object *answer, const struct error *e)
{
	struct gathering *g = arg;
	struct json_at at = json_root(answer), rules;

	(void)e;
	if (answer != NULL && json_has(&at, "rules") &&
	    json_get_array(&at, "rules", &rules, NULL)) {
		for (size_t i = 0; i < json_array_n(&rules); i++) {
			struct json_at item = json_item(&rules, i);
			size_t index =
				(size_t)(uintptr_t)map64_get(&g->by_number, count_of(&item, "id"));
			if (index > 0) {
				struct counts *c = &g->rules.items[index - 1];
				c->hits += count_of(&item, "hits");
				c->packets += count_of(&item, "packets");
				c->bytes += count_of(&item, "bytes");
			}
		}
	}
	gathering_step(g);
}

static void rule_add(struct gathering *g, const struct intent_object *rule)
{
	struct json_at at = json_root(rule->body);
	struct counts c = { .path = mem_strdup(rule->path), .number = count_of(&at, "rule_id") };

	vec_push(&g->rules, c);
	map64_set(&g->by_number, c.number, (void *)(uintptr_t)g->rules.n);
}

static void gathering_begin(struct gathering *g)
{
	struct center *c = g->call->c;

	g->n_waiting = 1;
	list_each (struct member, m, &c->hosts->members, link_node) {
		if (m->state == MEMBER_CONNECTED && m->node != NULL) {
			g->n_waiting++;
			node_policy_ask(m, on_said, g);
		}
	}
	gathering_step(g);
}

static struct gathering *gathering_new(struct policy_call *call)
{
	struct gathering *g = mem_zalloc(sizeof(*g));

	g->call = call;
	return g;
}

void policy_statistics(struct policy_call *call)
{
	struct intent_object *policy =
		policy_call_subject(call, INTENT_SECURITY_POLICY, "/statistics");

	if (policy == NULL) {
		return;
	}
	struct gathering *g = gathering_new(call);
	g->section = mem_strdup(policy->id);
	list_each (struct intent_object, rule, &policy->children, sibling) {
		rule_add(g, rule);
	}
	gathering_begin(g);
}

void rule_statistics(struct policy_call *call)
{
	struct intent_object *rule = policy_call_subject(call, INTENT_RULE, "/statistics");

	if (rule != NULL) {
		struct gathering *g = gathering_new(call);
		rule_add(g, rule);
		gathering_begin(g);
	}
}
