/* SPDX-License-Identifier: Apache-2.0 */
#include "center/intent_group.h"

#include <string.h>

#include "base/mem.h"
#include "center/intent_card.h"
#include "center/intent_meaning.h"
#include "center/node_policy.h"

struct intent_group {
	VEC(uint64_t) bits; /* by slot of the card */
	struct intent_text addresses;
	size_t n_addresses;
};

struct intent_groups {
	struct intent *in;
	VEC(struct intent_object *) order; /* those within others come first */
	bool is_sorted;
};

/* ---- bits ---- */

bool intent_group_has(const struct intent_object *group, const struct intent_card *card)
{
	const struct intent_group *g = group->group;
	size_t word = card->slot / 64;

	return word < g->bits.n && (g->bits.items[word] >> card->slot % 64 & 1) != 0;
}

static void set_bit(struct intent_group *g, uint32_t slot, bool v)
{
	while (g->bits.n <= slot / 64) {
		vec_push(&g->bits, 0);
	}
	uint64_t mask = UINT64_C(1) << slot % 64;
	g->bits.items[slot / 64] =
		v ? g->bits.items[slot / 64] | mask : g->bits.items[slot / 64] & ~mask;
}

/* ---- the question ---- */

static bool text_matches(enum intent_match match, const char *text, const char *value)
{
	size_t n = strlen(text), len = strlen(value);

	switch (match) {
	case MATCH_EQUALS:
		return strcmp(text, value) == 0;
	case MATCH_NOTEQUALS:
		return strcmp(text, value) != 0;
	case MATCH_CONTAINS:
		return strstr(text, value) != NULL;
	case MATCH_STARTSWITH:
		return strncmp(text, value, len) == 0;
	case MATCH_ENDSWITH:
		return n >= len && strcmp(text + n - len, value) == 0;
	}
	return false;
}

static bool scope_matches(const struct intent_term *t, const char *scope)
{
	return t->scope == NULL ||
	       (strlen(scope) == t->scope_len && memcmp(scope, t->scope, t->scope_len) == 0);
}

/* NOTEQUALS: none of the tags is it. */
static bool tag_matches(const struct intent_term *t, const struct intent_vm *vm)
{
	bool is_not = t->match == MATCH_NOTEQUALS;

	for (size_t i = 0; vm->tags != NULL && i < vm->tags->meaning->tags.n; i += 2) {
		const char *const *tag = &vm->tags->meaning->tags.items[i];
		if (scope_matches(t, tag[0]) &&
		    text_matches(is_not ? MATCH_EQUALS : t->match, tag[1], t->value)) {
			return !is_not;
		}
	}
	return is_not;
}

static bool term_matches(const struct intent_term *t, const struct intent_card *card)
{
	switch (t->kind) {
	case TERM_NAME:
		return text_matches(t->match, card->vm->name, t->value);
	case TERM_TAG:
		return tag_matches(t, card->vm);
	case TERM_VM:
		return strcasecmp(card->vm->uuid, t->value) == 0;
	case TERM_OBJECT:
		break;
	}
	if (t->object->kind == INTENT_GROUP) {
		return intent_group_has(t->object, card);
	}
	return t->object->kind == INTENT_SEGMENT
		       ? card->network != NULL && strcmp(card->network, t->object->id) == 0
		       : card->port == t->object;
}

static bool clause_matches(const struct intent_clause *c, const struct intent_card *card)
{
	for (size_t i = 0; i < c->terms.n; i++) {
		if (term_matches(&c->terms.items[i], card)) {
			return true;
		}
	}
	return false;
}

/* AND binds closer than OR. */
static bool group_matches(const struct intent_object *group, const struct intent_card *card)
{
	const struct intent_meaning *m = group->meaning;

	for (size_t i = 0; i < m->clauses.n;) {
		bool is_true = clause_matches(&m->clauses.items[i++], card);
		while (i < m->clauses.n && m->clauses.items[i].is_joined) {
			is_true = is_true && clause_matches(&m->clauses.items[i], card);
			i++;
		}
		if (is_true) {
			return true;
		}
	}
	return false;
}

/* ---- order ---- */

static void visit(struct intent_groups *gs, struct intent_object *group)
{
	if (group->mark == gs->in->mark) {
		return;
	}
	group->mark = gs->in->mark;
	vec_each (&group->meaning->refs, it) {
		if ((*it)->kind == INTENT_GROUP) {
			visit(gs, *it);
		}
	}
	vec_push(&gs->order, group);
}

static void sort(struct intent_groups *gs)
{
	if (gs->is_sorted) {
		return;
	}
	gs->in->mark++;
	vec_clear(&gs->order);
	list_each (struct intent_object, group, &gs->in->kinds[INTENT_GROUP], link) {
		visit(gs, group);
	}
	gs->is_sorted = true;
}

/* ---- what changed ---- */

static void ask(struct intent_object *group, const struct intent_card *card)
{
	struct intent_group *g = group->group;
	bool was = intent_group_has(group, card), is = group_matches(group, card);

	if (was != is) {
		set_bit(g, card->slot, is);
	}
	g->addresses.is_fresh &= !was && !is;
}

void intent_groups_card(struct intent *in, struct intent_card *card)
{
	struct intent_groups *gs = in->groups;

	sort(gs);
	vec_each (&gs->order, it) {
		ask(*it, card);
	}
	node_policy_intent_changed(in->c);
}

void intent_groups_card_gone(struct intent *in, const struct intent_card *card)
{
	list_each (struct intent_object, group, &in->kinds[INTENT_GROUP], link) {
		if (intent_group_has(group, card)) {
			set_bit(group->group, card->slot, false);
			group->group->addresses.is_fresh = false;
		}
	}
}

static bool has_marked(const struct intent *in, const struct intent_object *group)
{
	for (size_t i = 0; i < group->meaning->refs.n; i++) {
		const struct intent_object *o = group->meaning->refs.items[i];
		if (o->kind == INTENT_GROUP && o->mark == in->mark) {
			return true;
		}
	}
	return false;
}

void intent_groups_object(struct intent *in, struct intent_object *o)
{
	struct intent_groups *gs = in->groups;

	if (gs == NULL || o->kind != INTENT_GROUP) {
		return;
	}
	if (o->group == NULL) {
		o->group = mem_zalloc(sizeof(*o->group));
	}
	gs->is_sorted = false;
	sort(gs);
	in->mark++;
	o->mark = in->mark;
	vec_each (&gs->order, it) {
		struct intent_object *group = *it;
		if (group->mark != in->mark && !has_marked(in, group)) {
			continue;
		}
		group->mark = in->mark;
		group->group->addresses.is_fresh = false;
		for (size_t i = 0; in->cards != NULL && i < in->cards->slots.n; i++) {
			if (in->cards->slots.items[i] != NULL) {
				ask(group, in->cards->slots.items[i]);
			}
		}
	}
}

static void group_free(struct intent_object *o)
{
	if (o->group != NULL) {
		vec_free(&o->group->bits);
		buf_free(&o->group->addresses.b);
		free(o->group);
		o->group = NULL;
	}
}

void intent_groups_gone(struct intent *in, struct intent_object *o)
{
	if (o->kind == INTENT_GROUP) {
		in->groups->is_sorted = false;
		vec_clear(&in->groups->order);
		group_free(o);
	}
}

/* ---- addresses ---- */

static void prefixes_visit(struct intent *in, struct intent_object *group,
			   void (*fn)(void *arg, const char *prefix), void *arg)
{
	if (group->mark == in->mark) {
		return;
	}
	group->mark = in->mark;
	vec_each (&group->meaning->prefixes, it) {
		fn(arg, *it);
	}
	vec_each (&group->meaning->refs, it) {
		if ((*it)->kind == INTENT_GROUP) {
			prefixes_visit(in, *it, fn, arg);
		}
	}
}

void intent_group_each_prefix(struct intent *in, struct intent_object *group,
			      void (*fn)(void *arg, const char *prefix), void *arg)
{
	in->mark++;
	prefixes_visit(in, group, fn, arg);
}

static void add_address(void *arg, const char *prefix)
{
	struct intent_group *g = arg;

	buf_addf(&g->addresses.b, "%s\"%s\"", g->n_addresses++ == 0 ? "" : ",", prefix);
}

const struct intent_text *intent_group_addresses(struct intent *in, struct intent_object *group,
						 size_t *n)
{
	struct intent_group *g = group->group;

	if (!g->addresses.is_fresh) {
		buf_clear(&g->addresses.b);
		g->n_addresses = 0;
		intent_group_each_prefix(in, group, add_address, g);
		for (size_t i = 0; i < in->cards->slots.n; i++) {
			struct intent_card *card = in->cards->slots.items[i];
			if (card == NULL || !intent_group_has(group, card)) {
				continue;
			}
			vec_each (&card->all, it) {
				add_address(g, it->text);
			}
		}
		g->addresses.hash = map_hash(g->addresses.b.data, g->addresses.b.len);
		g->addresses.is_fresh = true;
	}
	*n = g->n_addresses;
	return &g->addresses;
}

/* ---- life ---- */

struct intent_groups *intent_groups_new(struct intent *in)
{
	struct intent_groups *gs = mem_zalloc(sizeof(*gs));

	gs->in = in;
	list_each (struct intent_object, group, &in->kinds[INTENT_GROUP], link) {
		group->group = mem_zalloc(sizeof(*group->group));
	}
	return gs;
}

void intent_groups_free(struct intent_groups *gs)
{
	if (gs == NULL) {
		return;
	}
	list_each (struct intent_object, group, &gs->in->kinds[INTENT_GROUP], link) {
		group_free(group);
	}
	vec_free(&gs->order);
	free(gs);
}
