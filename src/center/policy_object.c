/* SPDX-License-Identifier: Apache-2.0 */
/* Objects by path: listed, read, made, changed, taken away. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "center/intent_meaning.h"
#include "center/policy_call.h"

enum {
	ID_MAX = 200,
	SHORT_ID_MAX = 63 /* names on nodes: segments, routers */
};

/* ---- reading ---- */

static struct json_object *copy_of(struct json_object *o)
{
	struct json_object *out = NULL;

	json_object_deep_copy(o, &out, NULL);
	return out;
}

/* As clients see it; a policy with its rules. */
static struct json_object *shown(struct policy_call *call, struct intent_object *o)
{
	struct json_object *body = copy_of(o->body);

	json_put_str(body, "parent_path",
		     o->parent != NULL		    ? o->parent->path
		     : strstr(o->path, "/domains/") ? "/infra/domains/default"
						    : "/infra");
	if (o->kind != INTENT_SECURITY_POLICY) {
		return body;
	}
	struct json_object *rules = json_object_new_array();
	const struct intent_order *order = intent_ordered(call->in);
	for (size_t i = 0; i < order->n; i++) {
		const struct intent_section *s = &order->sections[i];
		for (size_t j = 0; s->policy == o && j < s->n_rules; j++) {
			json_object_array_add(rules, shown(call, s->rules[j]));
		}
	}
	json_put(body, "rules", rules);
	return body;
}

static bool id_is_good(const char *id, size_t max)
{
	size_t n = strlen(id);

	return n >= 1 && n <= max && id[0] != '.' &&
	       strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == n;
}

static struct intent_object *subject(struct policy_call *call)
{
	struct intent_object *o = intent_find(call->in, call->path);

	if (o != NULL && o->kind == call->kind) {
		return o;
	}
	policy_answer_absent(call, call->path);
	return NULL;
}

void object_read(struct policy_call *call)
{
	struct intent_object *o = subject(call);

	if (o != NULL) {
		policy_answer(call, 200, shown(call, o));
	}
}

/* ---- lists ---- */

struct objects {
	struct intent_object **items;
	size_t n, cap;
};

static int compare_ids(const void *a, const void *b)
{
	const struct intent_object *x = *(struct intent_object *const *)a;
	const struct intent_object *y = *(struct intent_object *const *)b;

	return strcmp(x->id, y->id);
}

/* Policies and rules in their order, the others by id. False: it is answered. */
static bool gather(struct policy_call *call, struct objects *out)
{
	const char *slash = strrchr(call->path, '/');
	bool is_child = call->kind == INTENT_SEGMENT_PORT || call->kind == INTENT_RULE;
	const struct intent_order *order = intent_ordered(call->in);
	struct intent_object *parent = NULL;

	if (is_child) {
		parent = policy_call_subject(
			call, call->kind == INTENT_RULE ? INTENT_SECURITY_POLICY : INTENT_SEGMENT,
			slash);
		if (parent == NULL) {
			return false;
		}
	}
	if (call->kind == INTENT_SECURITY_POLICY || call->kind == INTENT_RULE) {
		for (size_t i = 0; i < order->n; i++) {
			const struct intent_section *s = &order->sections[i];
			if (call->kind == INTENT_SECURITY_POLICY) {
				vec_push(out, s->policy);
			}
			for (size_t j = 0; s->policy == parent && j < s->n_rules; j++) {
				vec_push(out, s->rules[j]);
			}
		}
		return true;
	}
	list_each (struct intent_object, o, &call->in->kinds[call->kind], link) {
		if (o->parent == parent) {
			vec_push(out, o);
		}
	}
	vec_sort(out, compare_ids);
	return true;
}

/* Index behind the object that the cursor names; SIZE_MAX: there is none. */
static size_t begin_at(const struct objects *all, const char *cursor)
{
	for (size_t i = 0; cursor != NULL && i < all->n; i++) {
		if (strcmp(all->items[i]->id, cursor) == 0) {
			return i + 1;
		}
	}
	return cursor == NULL ? 0 : SIZE_MAX;
}

static void answer_page(struct policy_call *call, const struct objects *all, size_t from,
			size_t size)
{
	struct json_object *o = json_object_new_object(), *results = json_object_new_array();
	size_t end = MIN(all->n, from + size);

	for (size_t i = from; i < end; i++) {
		struct intent_object *one = all->items[i];
		json_object_array_add(results, one->kind == INTENT_SECURITY_POLICY
						       ? copy_of(one->body)
						       : shown(call, one));
	}
	json_put(o, "results", results);
	json_put_u64(o, "result_count", all->n);
	if (end < all->n) {
		json_put_str(o, "cursor", all->items[end - 1]->id);
	}
	policy_answer(call, 200, o);
}

void object_list(struct policy_call *call)
{
	struct objects all = { 0 };
	const char *cursor;
	size_t size;

	if (!policy_call_page(call, &size, &cursor) || !gather(call, &all)) {
		return;
	}
	size_t from = begin_at(&all, cursor);
	if (from == SIZE_MAX) {
		policy_refuse(call, 400, POLICY_CODE_INVALID,
			      "\"cursor\": \"%.200s\" is none of this list", cursor);
	} else {
		answer_page(call, &all, from, size);
	}
	vec_free(&all);
}

/* ---- changes: bodies ---- */

/* What clients give back as they got it. */
static void strip(struct json_object *body)
{
	static const char *const members[] = { "id",
					       "resource_type",
					       "path",
					       "relative_path",
					       "parent_path",
					       "_revision",
					       "_create_time",
					       "_create_user",
					       "_last_modified_time",
					       "_last_modified_user",
					       "rule_id" };

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		json_object_object_del(body, members[i]);
	}
}

static bool same_text(struct json_object *body, const char *key, const char *must, struct error *e)
{
	struct json_at at = json_root(body);
	const char *is;

	if (!json_has(&at, key)) {
		return true;
	}
	return json_get_str(&at, key, &is, e) &&
	       (strcmp(is, must) == 0 ||
		error_set(e, ERROR_INVALID, "\"%s\": is \"%.100s\" where the path says \"%.100s\"",
			  key, is, must));
}

/* The members of `from` go before those of `to`; null takes one away. */
static void merge(struct json_object *to, struct json_object *from)
{
	json_object_object_foreach(from, key, value)
	{
		if (value == NULL) {
			json_object_object_del(to, key);
		} else {
			json_put(to, key, json_object_get(value));
		}
	}
}

struct edition {
	struct policy_call *call;
	VEC(struct intent_edit) edits;
	struct map paths; /* of rules that are given: no two the same */
	bool is_patch;
};

/* The whole body of an object after the change; NULL with `e`. Takes nothing over. */
static struct json_object *body_after(struct edition *x, const char *def, const char *path,
				      enum intent_kind kind, struct json_object *given,
				      struct error *e)
{
	const struct intent_object *old = intent_find(x->call->in, path);
	const char *id = strrchr(path, '/') + 1;
	size_t max = kind == INTENT_SEGMENT || kind == INTENT_TIER1 ? SHORT_ID_MAX : ID_MAX;

	if (!id_is_good(id, max)) {
		error_set(e, ERROR_NAME,
			  "the id \"%.100s\" must have 1 to %zu letters, digits, \"_\", \".\" and "
			  "\"-\", and begin with no \".\"",
			  id, max);
		return NULL;
	}
	if (!same_text(given, "id", id, e) ||
	    !same_text(given, "resource_type", intent_kind_name(kind), e)) {
		return NULL;
	}
	struct json_object *body = json_object_new_object();
	if (x->is_patch && old != NULL) {
		merge(body, old->body);
	}
	merge(body, given);
	if (!policy_check(x->call->api, def, body, e)) {
		json_object_put(body);
		return NULL;
	}
	strip(body);
	return body;
}

static bool edit_add(struct edition *x, enum intent_kind kind, const char *path,
		     struct json_object *body)
{
	vec_push(&x->edits, (struct intent_edit){ kind, path, body });
	return true;
}

/* ---- changes: rules that come with their policy ---- */

static bool rule_add(struct edition *x, struct json_object *given, struct error *e)
{
	struct json_at at = json_root(given);
	const char *id;

	if (!json_get_str(&at, "id", &id, e)) {
		return false;
	}
	char *path = mem_printf("%s/rules/%s", x->call->path, id);
	if (strchr(id, '/') != NULL || map_has(&x->paths, path)) {
		error_set(e, ERROR_INVALID, "\"id\": \"%.100s\" is %s", id,
			  strchr(id, '/') != NULL ? "no id" : "there twice");
		free(path);
		return false;
	}
	struct json_object *body = body_after(x, "Rule", path, INTENT_RULE, given, e);
	if (body == NULL) {
		free(path);
		return false;
	}
	map_set(&x->paths, path, path);
	return edit_add(x, INTENT_RULE, path, body);
}

/* PUT: those that are not given go. */
static void rules_drop_others(struct edition *x)
{
	const struct intent_object *policy = intent_find(x->call->in, x->call->path);

	if (policy == NULL) {
		return;
	}
	list_each (struct intent_object, rule, &policy->children, sibling) {
		if (!map_has(&x->paths, rule->path)) {
			edit_add(x, INTENT_RULE, rule->path, NULL);
		}
	}
}

static bool rules_add(struct edition *x, struct json_object *rules, struct error *e)
{
	for (size_t i = 0; rules != NULL && i < json_object_array_length(rules); i++) {
		if (!rule_add(x, json_object_array_get_idx(rules, i), e)) {
			return error_prefix(e, "\"rules[%zu]\": ", i);
		}
	}
	if (rules != NULL && !x->is_patch) {
		rules_drop_others(x);
	}
	return true;
}

/* ---- changes ---- */

static bool parent_is_there(struct policy_call *call)
{
	if (call->kind != INTENT_SEGMENT_PORT && call->kind != INTENT_RULE) {
		return true;
	}
	const char *last = strrchr(call->path, '/');
	while (last > call->path && last[-1] != '/') {
		last--;
	}
	return policy_call_subject(
		       call, call->kind == INTENT_RULE ? INTENT_SECURITY_POLICY : INTENT_SEGMENT,
		       last - 1) != NULL;
}

/* False: it is answered. PUT of what exists says which one it has read; PATCH may. */
static bool revision_fits(struct edition *x)
{
	struct policy_call *call = x->call;
	const struct intent_object *old = intent_find(call->in, call->path);
	struct json_at at = json_root(call->body), was = json_root(old == NULL ? NULL : old->body);
	int64_t given = -1, is = -1;

	if (old == NULL || (x->is_patch && !json_has(&at, "_revision"))) {
		return true;
	}
	json_get_i64(&was, "_revision", &is, NULL);
	if (json_has(&at, "_revision") && json_get_i64(&at, "_revision", &given, NULL) &&
	    given == is) {
		return true;
	}
	policy_refuse(call, 412, POLICY_CODE_REVISION,
		      "\"%.200s\" has _revision %" PRId64 "%s; read it again", call->path, is,
		      given < 0 ? ", which the body must name" : "");
	return false;
}

/* Rules are objects of their own: they are taken out of the body. False: they are no list. */
static bool rules_take(struct policy_call *call, struct json_object **rules, struct error *e)
{
	struct json_at at = json_root(call->body), list;

	*rules = NULL;
	if (call->kind != INTENT_SECURITY_POLICY || !json_has(&at, "rules")) {
		return true;
	}
	if (!json_get_array(&at, "rules", &list, e)) {
		return false;
	}
	if (json_array_n(&list) > INTENT_RULES_MAX) {
		return error_set(e, ERROR_LIMIT, "\"rules\": are %zu; there may be %d",
				 json_array_n(&list), INTENT_RULES_MAX);
	}
	*rules = json_object_get(list.value);
	json_object_object_del(call->body, "rules");
	return true;
}

static bool edition_make(struct edition *x, struct error *e)
{
	struct policy_call *call = x->call;
	struct json_object *rules;

	if (!rules_take(call, &rules, e)) {
		return false;
	}
	struct json_object *body =
		body_after(x, call->body_def, call->path, call->kind, call->body, e);
	bool ok =
		body != NULL && edit_add(x, call->kind, call->path, body) && rules_add(x, rules, e);
	json_object_put(rules);
	return ok;
}

static void edition_run(struct policy_call *call, bool is_patch)
{
	struct edition x = { .call = call, .is_patch = is_patch };
	struct error e = { 0 };
	bool ok = false;

	if (!parent_is_there(call) || !revision_fits(&x)) {
		return;
	}
	if (edition_make(&x, &e)) {
		ok = intent_apply(call->in, x.edits.items, x.edits.n, call->user, &e);
	} else {
		vec_each (&x.edits, it) {
			json_object_put(it->body);
		}
	}
	map_free_values(&x.paths, free);
	vec_free(&x.edits);
	if (!ok) {
		policy_answer_error(call, &e);
	} else if (is_patch) {
		policy_answer_nothing(call);
	} else {
		policy_answer(call, 200, shown(call, intent_find(call->in, call->path)));
	}
}

void object_put(struct policy_call *call)
{
	edition_run(call, false);
}

void object_patch(struct policy_call *call)
{
	edition_run(call, true);
}

void object_delete(struct policy_call *call)
{
	struct intent_object *o = subject(call);
	struct error e = { 0 };

	if (o == NULL) {
		return;
	}
	struct intent_edit edit = { call->kind, call->path, NULL };
	if (intent_apply(call->in, &edit, 1, call->user, &e)) {
		policy_answer_nothing(call);
	} else {
		policy_answer_error(call, &e);
	}
}
