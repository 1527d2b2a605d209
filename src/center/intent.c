/* SPDX-License-Identifier: Apache-2.0 */
/* Objects and their changes. */
#include "center/intent.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "center/database.h"
#include "center/intent_card.h"
#include "center/intent_group.h"
#include "center/intent_meaning.h"
#include "center/intent_write.h"
#include "center/node_policy.h"

enum {
	VNI_FIRST = 5000,
	VNI_MAX = 16777215,
	RULE_FIRST = 1001
};

static const struct {
	const char *name;
	size_t max;
} kinds[INTENT_N_KINDS] = {
	[INTENT_TIER1] = { "Tier1", INTENT_ROUTERS_MAX },
	[INTENT_SEGMENT] = { "Segment", INTENT_SEGMENTS_MAX },
	[INTENT_SEGMENT_PORT] = { "SegmentPort", INTENT_PORTS_MAX },
	[INTENT_GROUP] = { "Group", INTENT_GROUPS_MAX },
	[INTENT_SERVICE] = { "Service", INTENT_SERVICES_MAX },
	[INTENT_SECURITY_POLICY] = { "SecurityPolicy", INTENT_POLICIES_MAX },
	[INTENT_RULE] = { "Rule", INTENT_RULES_MAX },
	[INTENT_VM_TAGS] = { "VirtualMachine", INTENT_TAGGED_MAX },
};

const char *intent_kind_name(enum intent_kind kind)
{
	return kinds[kind].name;
}

struct intent_object *intent_find(const struct intent *in, const char *path)
{
	return map_get(&in->objects, path);
}

struct intent_object *intent_find_kind(const struct intent *in, enum intent_kind kind,
				       const char *path, struct error *e)
{
	struct intent_object *o = intent_find(in, path);

	if (o == NULL || o->kind != kind) {
		error_set(e, ERROR_NOT_FOUND, "there is no %s \"%.150s\"", kinds[kind].name, path);
		return NULL;
	}
	return o;
}

size_t intent_count(const struct intent *in, enum intent_kind kind)
{
	return list_length(&in->kinds[kind]);
}

/* ---- objects ---- */

/* "…/segments/S/ports/P": the segment's; of a path without parent NULL. */
static struct intent_object *parent_of(const struct intent *in, enum intent_kind kind,
				       const char *path)
{
	if (kind != INTENT_SEGMENT_PORT && kind != INTENT_RULE) {
		return NULL;
	}
	const char *end = strrchr(path, '/');
	while (end > path && end[-1] != '/') {
		end--;
	}
	return end > path ? map_get_n(&in->objects, path, (size_t)(end - path - 1)) : NULL;
}

static struct intent_object *object_new(struct intent *in, enum intent_kind kind, const char *path)
{
	struct intent_object *o = mem_zalloc(sizeof(*o));

	o->kind = kind;
	o->serial = ++in->next_serial;
	o->path = mem_strdup(path);
	o->id = strrchr(o->path, '/') + 1;
	o->parent = parent_of(in, kind, path);
	list_init(&o->children);
	list_push_back(&in->kinds[kind], &o->link);
	if (o->parent != NULL) {
		list_push_back(&o->parent->children, &o->sibling);
	}
	map_set(&in->objects, path, o);
	return o;
}

static void refs_count(const struct intent_meaning *m, size_t by)
{
	for (size_t i = 0; m != NULL && i < m->refs.n; i++) {
		m->refs.items[i]->n_referents += by;
	}
}

static void object_set(struct intent *in, struct intent_object *o, struct json_object *body,
		       struct intent_meaning *m)
{
	if (o->kind == INTENT_SEGMENT && o->meaning != NULL) {
		map64_remove(&in->vnis, o->meaning->vni);
	}
	refs_count(o->meaning, (size_t)-1);
	intent_meaning_free(o->meaning);
	json_object_put(o->body);
	o->body = body;
	o->meaning = m;
	refs_count(m, 1);
	o->change = in->change;
	if (o->kind == INTENT_SEGMENT) {
		map64_set(&in->vnis, m->vni, o);
	}
}

static void object_free(struct intent *in, struct intent_object *o)
{
	if (o->kind == INTENT_SEGMENT && o->meaning != NULL) {
		map64_remove(&in->vnis, o->meaning->vni);
	}
	map_remove(&in->objects, o->path);
	list_remove(&o->link);
	list_remove(&o->sibling);
	refs_count(o->meaning, (size_t)-1);
	intent_meaning_free(o->meaning);
	json_object_put(o->body);
	free(o->path);
	free(o);
}

static void order_forget(struct intent *in)
{
	if (in->order != NULL) {
		arena_free(in->order->a);
		free(in->order);
		in->order = NULL;
	}
}

/* ---- changes: what may not be ---- */

/* Something outside of `o` and what goes with it that refers to it; NULL. */
static struct intent_object *referent_of(const struct intent *in, const struct intent_object *o)
{
	for (int kind = 0; o->n_referents > 0 && kind < INTENT_N_KINDS; kind++) {
		list_each (struct intent_object, other, &in->kinds[kind], link) {
			for (size_t i = 0; i < other->meaning->refs.n; i++) {
				if (other->meaning->refs.items[i] == o) {
					return other;
				}
			}
		}
	}
	return NULL;
}

static bool may_go(const struct intent *in, const struct intent_object *o, struct error *e)
{
	const struct intent_object *other = referent_of(in, o);

	if (other != NULL) {
		return error_set(e, ERROR_BUSY, "\"%.100s\" is referred to by \"%.100s\"", o->path,
				 other->path);
	}
	if (o->kind == INTENT_SEGMENT) {
		const char *card = intent_card_on(in, o->id);
		if (card != NULL) {
			return error_set(e, ERROR_BUSY,
					 "network card \"%s\" is attached to \"%.120s\"", card,
					 o->path);
		}
	}
	list_each (struct intent_object, child, &o->children, sibling) {
		if (!may_go(in, child, e)) {
			return false;
		}
	}
	return true;
}

/* An edit as it will be made. */
struct step {
	struct intent_object *object; /* NULL: new */
	struct intent_meaning *meaning;
};

static bool step_make(struct intent *in, struct intent_edit *edit, struct step *s, struct error *e)
{
	s->object = intent_find(in, edit->path);
	if (edit->body == NULL) {
		return s->object != NULL && may_go(in, s->object, e);
	}
	s->meaning = intent_meaning_new(in, edit->kind, edit->body, s->object, e);
	return s->meaning != NULL;
}

static bool counts_fit(const struct intent *in, const struct intent_edit *edits,
		       const struct step *steps, size_t n, struct error *e)
{
	size_t more[INTENT_N_KINDS] = { 0 };

	for (size_t i = 0; i < n; i++) {
		more[edits[i].kind] += edits[i].body != NULL && steps[i].object == NULL;
	}
	for (int kind = 0; kind < INTENT_N_KINDS; kind++) {
		if (more[kind] > 0 &&
		    intent_count(in, (enum intent_kind)kind) + more[kind] > kinds[kind].max) {
			return error_set(e, ERROR_LIMIT, "there may be %zu objects of type %s",
					 kinds[kind].max, kinds[kind].name);
		}
	}
	return true;
}

/* ---- changes: what is filled in ---- */

static uint32_t free_vni(const struct intent *in)
{
	uint64_t best = VNI_FIRST - 1;

	map64_each(&in->vnis, it)
	{
		best = MAX(best, it->id);
	}
	if (best < VNI_MAX) {
		return (uint32_t)best + 1;
	}
	for (best = VNI_FIRST; map64_has(&in->vnis, best); best++) {
	}
	return (uint32_t)best;
}

/* What clients do not say: numbers, times, names. The second in a change that gets an identifier
 * counts on nobody else having it yet, so only one segment is in a change. */
static void complete(struct intent *in, struct intent_edit *edit, const char *user)
{
	const struct intent_object *old = intent_find(in, edit->path);
	struct json_object *b = edit->body;
	int64_t now_ms = clock_wall_us(in->c->clock) / 1000;
	struct json_at at = json_root(b), was = json_root(old == NULL ? NULL : old->body);
	const char *id = strrchr(edit->path, '/') + 1;
	static const char *const kept[] = { "_create_time", "_create_user", "rule_id" };

	json_put_str(b, "id", id);
	json_put_str(b, "resource_type", kinds[edit->kind].name);
	json_put_str(b, "path", edit->path);
	json_put_str(b, "relative_path", id);
	if (!json_has(&at, "display_name")) {
		json_put_str(b, "display_name", id);
	}
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		struct json_at member;
		json_object_object_del(b, kept[i]);
		if (old != NULL && json_has(&was, kept[i]) &&
		    json_get(&was, kept[i], &member, NULL)) {
			json_put(b, kept[i], json_object_get(member.value));
		}
	}
	if (old == NULL) {
		json_put_i64(b, "_create_time", now_ms);
		json_put_str(b, "_create_user", user);
	}
	if (edit->kind == INTENT_RULE && !json_has(&at, "rule_id")) {
		json_put_i64(b, "rule_id", in->next_rule++);
	}
	if (edit->kind == INTENT_SEGMENT && !json_has(&at, "overlay_id")) {
		json_put_i64(b, "overlay_id", old == NULL ? free_vni(in) : old->meaning->vni);
	}
	int64_t revision = -1;
	if (old != NULL) {
		json_get_i64(&was, "_revision", &revision, NULL);
	}
	json_put_i64(b, "_revision", revision + 1);
	json_put_i64(b, "_last_modified_time", now_ms);
	json_put_str(b, "_last_modified_user", user);
}

/* ---- changes: making them ---- */

static void drop_rows(struct intent *in, const struct intent_object *o)
{
	list_each (struct intent_object, child, &o->children, sibling) {
		drop_rows(in, child);
	}
	database_drop_intent(in->c->db, o->path);
}

static bool write_rows(struct intent *in, const struct intent_edit *edits, const struct step *steps,
		       size_t n, struct error *e)
{
	struct database *db = in->c->db;
	char next[24];

	database_begin(db);
	for (size_t i = 0; i < n; i++) {
		if (edits[i].body == NULL) {
			drop_rows(in, steps[i].object);
		} else {
			database_put_intent(db, edits[i].path, kinds[edits[i].kind].name,
					    json_object_to_json_string_ext(edits[i].body,
									   JSON_C_TO_STRING_PLAIN));
		}
	}
	snprintf(next, sizeof(next), "%" PRId64, in->next_rule);
	database_set_fact(db, "intent/next_rule", next);
	return database_commit(db, e);
}

static void object_drop(struct intent *in, struct intent_object *o)
{
	list_each_safe (struct intent_object, child, &o->children, sibling) {
		object_drop(in, child);
	}
	intent_groups_gone(in, o);
	intent_cards_gone(in, o);
	intent_write_gone(in, o);
	object_free(in, o);
}

static void make_steps(struct intent *in, struct intent_edit *edits, struct step *steps, size_t n)
{
	in->change++;
	order_forget(in);
	for (size_t i = 0; i < n; i++) {
		struct intent_edit *edit = &edits[i];
		struct intent_object *o = steps[i].object;
		if (edit->body == NULL) {
			object_drop(in, o);
			continue;
		}
		if (o == NULL) {
			o = object_new(in, edit->kind, edit->path);
		}
		object_set(in, o, edit->body, steps[i].meaning);
		edit->body = NULL;
		steps[i].meaning = NULL;
		intent_cards_object(in, o);
		intent_groups_object(in, o);
		intent_write_object(in, o);
	}
	node_policy_intent_changed(in->c);
}

bool intent_apply(struct intent *in, struct intent_edit *edits, size_t n, const char *user,
		  struct error *e)
{
	struct step *steps = mem_calloc(n, sizeof(*steps));
	int64_t next_rule = in->next_rule;
	bool ok = true;

	for (size_t i = 0; ok && i < n; i++) {
		if (edits[i].body != NULL) {
			complete(in, &edits[i], user);
		}
		ok = step_make(in, &edits[i], &steps[i], e);
	}
	ok = ok && counts_fit(in, edits, steps, n, e) && write_rows(in, edits, steps, n, e);
	if (ok) {
		make_steps(in, edits, steps, n);
	} else {
		in->next_rule = next_rule;
	}
	for (size_t i = 0; i < n; i++) {
		intent_meaning_free(steps[i].meaning);
		json_object_put(edits[i].body);
	}
	free(steps);
	return ok;
}

/* ---- order ---- */

static int compare_places(const struct intent_object *a, const struct intent_object *b)
{
	if (a->meaning->category != b->meaning->category) {
		return a->meaning->category < b->meaning->category ? -1 : 1;
	}
	if (a->meaning->sequence != b->meaning->sequence) {
		return a->meaning->sequence < b->meaning->sequence ? -1 : 1;
	}
	return strcmp(a->id, b->id);
}

static int compare_sections(const void *a, const void *b)
{
	return compare_places(((const struct intent_section *)a)->policy,
			      ((const struct intent_section *)b)->policy);
}

static int compare_rules(const void *a, const void *b)
{
	return compare_places(*(struct intent_object *const *)a, *(struct intent_object *const *)b);
}

const struct intent_order *intent_ordered(struct intent *in)
{
	if (in->order != NULL) {
		return in->order;
	}
	struct intent_order *order = mem_zalloc(sizeof(*order));
	order->a = arena_new(0);
	order->sections = arena_calloc(order->a, intent_count(in, INTENT_SECURITY_POLICY),
				       sizeof(*order->sections));
	list_each (struct intent_object, policy, &in->kinds[INTENT_SECURITY_POLICY], link) {
		struct intent_section *s = &order->sections[order->n++];
		s->policy = policy;
		s->rules = arena_calloc(order->a, list_length(&policy->children),
					sizeof(struct intent_object *));
		list_each (struct intent_object, rule, &policy->children, sibling) {
			s->rules[s->n_rules++] = rule;
		}
		qsort(s->rules, s->n_rules, sizeof(struct intent_object *), compare_rules);
	}
	qsort(order->sections, order->n, sizeof(*order->sections), compare_sections);
	in->order = order;
	return order;
}

/* ---- life ---- */

struct loading {
	struct intent *in;
	struct error *e;
	bool is_ok;
};

static void take_row(void *arg, const char *path, const char *kind, const char *data)
{
	struct loading *l = arg;
	int k = 0;

	while (k < INTENT_N_KINDS && strcmp(kinds[k].name, kind) != 0) {
		k++;
	}
	struct json_object *body =
		json_parse(data, strlen(data), SIZE_MAX, JSON_DEPTH_DEFAULT, NULL);
	if (k == INTENT_N_KINDS || body == NULL || path[0] != '/') {
		json_object_put(body);
		l->is_ok = error_set(l->e, ERROR_CORRUPT, "policy object \"%.150s\" cannot be read",
				     path);
		return;
	}
	object_new(l->in, (enum intent_kind)k, path)->body = body;
}

/* What refers to others comes after them in this order, but for groups within groups, and parents
 * come after children. */
static bool load_meanings(struct intent *in, struct error *e)
{
	for (int kind = 0; kind < INTENT_N_KINDS; kind++) {
		list_each (struct intent_object, o, &in->kinds[kind], link) {
			if (o->meaning == NULL) {
				o->meaning =
					mem_zalloc(sizeof(*o->meaning)); /* to be referred to */
			}
		}
	}
	for (int kind = 0; kind < INTENT_N_KINDS; kind++) {
		list_each (struct intent_object, o, &in->kinds[kind], link) {
			struct json_object *body = json_object_get(o->body);
			struct intent_meaning *m =
				intent_meaning_new(in, (enum intent_kind)kind, body, o, e);
			if (m == NULL) {
				json_object_put(body);
				return error_prefix(e, "policy object \"%.100s\": ", o->path);
			}
			object_set(in, o, body, m);
		}
	}
	return true;
}

static void parents_find(struct intent *in)
{
	for (int kind = 0; kind < INTENT_N_KINDS; kind++) {
		list_each (struct intent_object, o, &in->kinds[kind], link) {
			if (o->parent == NULL) {
				o->parent = parent_of(in, o->kind, o->path);
				if (o->parent != NULL) {
					list_push_back(&o->parent->children, &o->sibling);
				}
			}
		}
	}
}

static bool load(struct intent *in, struct error *e)
{
	struct loading l = { in, e, true };
	struct arena *a = arena_new(0);
	const char *next = database_fact(in->c->db, "intent/next_rule", a);

	in->next_rule = RULE_FIRST;
	if (next != NULL && !number_i64(next, &in->next_rule)) {
		in->next_rule = RULE_FIRST;
	}
	arena_free(a);
	if (!database_each_intent(in->c->db, take_row, &l, e) || !l.is_ok) {
		return false;
	}
	parents_find(in);
	return load_meanings(in, e);
}

struct intent *intent_new(struct center *c, struct error *e)
{
	struct intent *in = mem_zalloc(sizeof(*in));

	in->c = c;
	for (int kind = 0; kind < INTENT_N_KINDS; kind++) {
		list_init(&in->kinds[kind]);
	}
	if (!load(in, e)) {
		intent_free(in);
		return NULL;
	}
	in->groups = intent_groups_new(in);
	in->cards = intent_cards_new(in);
	intent_cards_start(in->cards);
	return in;
}

void intent_free(struct intent *in)
{
	if (in == NULL) {
		return;
	}
	intent_cards_free(in->cards);
	intent_groups_free(in->groups);
	order_forget(in);
	map_each (&in->objects, it) {
		struct intent_object *o = it->value;
		intent_write_gone(in, o);
		intent_meaning_free(o->meaning);
		json_object_put(o->body);
		free(o->path);
		free(o);
	}
	map_free(&in->objects);
	map64_free(&in->vnis);
	free(in);
}
