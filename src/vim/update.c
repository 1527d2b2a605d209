/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/update.h"

#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "vim/access.h"

/* An update in the making: what, and where it stands in the order of its filter. */
struct candidate {
	const struct value *ref;
	uint32_t index;
	uint8_t kind;
};

struct collecting {
	struct update_set *set;
	struct inventory *inv;
	struct session *session;
	const struct bookmark *from;
	size_t max;
	VEC(struct candidate) found; /* of one filter */
	VEC(struct turn) turns;	     /* of one filter, newer than from->version */
	struct bitmap turned;	     /* the same, by index */
};

/* ---- bookmarks ---- */

bool bookmark_parse(const char *text, struct bookmark *b)
{
	uint64_t part[4] = { 0 };
	size_t n = 0;

	*b = (struct bookmark){ 0 };
	if (text[0] == '\0') {
		return true;
	}
	while (n < 4) {
		size_t len = strcspn(text, ".");
		if (text[0] == '+' || len > 20 || !number_u64_n(text, len, &part[n++])) {
			return false;
		}
		text += len;
		if (*text == '\0') {
			break;
		}
		text++;
	}
	if (*text != '\0' || (n != 1 && n != 4) || part[3] > UINT32_MAX ||
	    (n == 4 && part[1] == 0) || (n == 1 && part[0] == 0)) {
		return false;
	}
	*b = (struct bookmark){ part[0], part[1], part[2], (uint32_t)part[3] };
	return true;
}

void bookmark_format(const struct bookmark *b, char out[BOOKMARK_SIZE])
{
	if (b->start == 0) {
		snprintf(out, BOOKMARK_SIZE, "%llu", (unsigned long long)b->version);
		return;
	}
	snprintf(out, BOOKMARK_SIZE, "%llu.%llu.%llu.%u", (unsigned long long)b->version,
		 (unsigned long long)b->start, (unsigned long long)b->filter, b->index);
}

/* ---- what one filter has ---- */

static void found_add(struct collecting *c, uint8_t kind, const struct value *ref, uint32_t index)
{
	vec_push(&c->found, (struct candidate){ .ref = ref, .index = index, .kind = kind });
}

/* By object, then oldest first. */
static int turn_compare(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;

	if (x->ref != y->ref) {
		return x->ref < y->ref ? -1 : 1;
	}
	if (x->version != y->version) {
		return x->version < y->version ? -1 : 1;
	}
	/* A successor with the same id, noticed together with the end of the first. */
	return x->has_entered - y->has_entered;
}

/* Notes the turns that the client has not been told of: those up to the start of this set in
 * c->turns, the objects of all of them in c->turned. */
static void find_turns(struct collecting *c, const struct filter *f)
{
	vec_clear(&c->turns);
	for (size_t i = f->turns.n; i > 0 && f->turns.items[i - 1].version > c->from->version;
	     i--) {
		const struct turn *t = &f->turns.items[i - 1];
		bitmap_add(&c->turned, t->index);
		if (t->version <= c->set->next.start) {
			vec_push(&c->turns, *t);
		}
	}
	vec_sort(&c->turns, turn_compare);
}

/* Objects that came or went: of each, where it ended up compared with where it was. One that was
 * removed and made anew under its id is one object here, standing where the last one stands. */
static void find_turned(struct collecting *c, uint32_t first)
{
	for (size_t i = 0, end; i < c->turns.n; i = end) {
		const struct turn *t = &c->turns.items[i];
		for (end = i + 1; end < c->turns.n && c->turns.items[end].ref == t->ref;) {
			end++;
		}
		const struct turn *last = &c->turns.items[end - 1];
		bool was = !t->has_entered, is = last->has_entered;
		if ((is || was) && last->index >= first) {
			found_add(c, is ? UPDATE_ENTER : UPDATE_LEAVE, t->ref, last->index);
		}
	}
}

/* May the session read a property of which it would be told? */
static bool may_read_some(struct collecting *c, const struct filter *f, struct object *o)
{
	const struct plan *p = spec_plan(f->spec, o->type);

	for (uint32_t i = 0; i < p->n_paths; i++) {
		if (access_may_read(c->session, o, p->paths[i]->prop)) {
			return true;
		}
	}
	return false;
}

static void find_modified(struct collecting *c, const struct filter *f, uint32_t first)
{
	uint64_t since = c->from->version;
	struct object *o = inventory_newest(c->inv);

	for (; o != NULL && o->version > since; o = object_older(o)) {
		if (o->removed || o->index < first || !bitmap_has(&f->members, o->index) ||
		    bitmap_has(&c->turned, o->index)) {
			continue;
		}
		if (plan_is_touched(spec_plan(f->spec, o->type), o, since) &&
		    (session_may_all(c->session) || may_read_some(c, f, o))) {
			found_add(c, UPDATE_MODIFY, o->ref, o->index);
		}
	}
}

/* Notes in c->turned who came after the start of this set: they are told with what followed it. */
static void find_later(struct collecting *c, const struct filter *f)
{
	for (size_t i = f->turns.n; i > 0 && f->turns.items[i - 1].version > c->set->next.start;
	     i--) {
		bitmap_add(&c->turned, f->turns.items[i - 1].index);
	}
}

static void find_all(struct collecting *c, const struct filter *f, uint32_t first)
{
	size_t room = c->max - c->set->items.n;

	for (uint32_t i = bitmap_next(&f->members, first); i != UINT32_MAX;
	     i = bitmap_next(&f->members, i + 1)) {
		struct object *o = inventory_at(c->inv, i);
		if (o != NULL && !o->removed && !bitmap_has(&c->turned, i)) {
			found_add(c, UPDATE_ENTER, o->ref, i);
		}
		if (c->found.n > room) {
			break;
		}
	}
}

/* ---- taking it over, as far as there is room ---- */

static void take(struct collecting *c, const struct filter *f, uint8_t kind,
		 const struct value *ref)
{
	vec_push(&c->set->items,
		 (struct update){ .spec = spec_hold(f->spec),
				  .filter = value_hold(f->object->ref),
				  .ref = value_is_kept(ref) ? value_hold(ref) : value_keep(ref),
				  .since = c->from->version,
				  .kind = kind,
				  .is_partial = f->is_partial });
}

static int candidate_compare(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

/* False when it is cut off: then set->next says where to go on. */
static bool take_found(struct collecting *c, const struct filter *f)
{
	size_t room = c->max - c->set->items.n, n = c->found.n;

	if (n > room) {
		vec_sort(&c->found, candidate_compare);
		/* An index may stand for two objects, one gone, one new: they stay together. */
		for (n = room; n > 0 && n < c->found.n &&
			       c->found.items[n].index == c->found.items[n - 1].index;) {
			n++;
		}
	}
	for (size_t i = 0; i < n; i++) {
		take(c, f, c->found.items[i].kind, c->found.items[i].ref);
	}
	if (n == c->found.n) {
		return true;
	}
	c->set->is_truncated = true;
	c->set->next.filter = f->id;
	c->set->next.index = c->found.items[n].index;
	return false;
}

static void take_missing(struct collecting *c, const struct filter *f)
{
	const struct spec *s = f->spec;

	for (uint32_t i = 0; s->report_missing && i < s->n_roots; i++) {
		if (inventory_find_ref(c->inv, s->roots[i].ref) == NULL) {
			take(c, f, UPDATE_MISSING, s->roots[i].ref);
		}
	}
}

static bool collect_filter(struct collecting *c, const struct filter *f, uint32_t first)
{
	bool is_new = c->from->version < f->created;

	vec_clear(&c->found);
	if (is_new) {
		find_later(c, f);
		find_all(c, f, first);
	} else {
		if (f->turns.n > 0) {
			find_turns(c, f);
			find_turned(c, first);
		}
		find_modified(c, f, first);
	}
	bitmap_clear(&c->turned);
	if (!take_found(c, f)) {
		return false;
	}
	if (is_new) {
		take_missing(c, f);
	}
	return true;
}

static bool collect_filters(struct collecting *c, struct list *filters)
{
	const struct bookmark *from = c->from;

	list_each (struct filter, f, filters, link) {
		if (from->start != 0 && (f->id < from->filter || f->created > from->start)) {
			continue; /* told already, or to be told when the rest is */
		}
		bool is_at = from->start != 0 && f->id == from->filter;
		if (!collect_filter(c, f, is_at ? from->index : 0)) {
			return false;
		}
	}
	return true;
}

void update_collect(struct update_set *set, struct list *filters, struct inventory *inv,
		    struct session *session, const struct bookmark *from, size_t max)
{
	struct collecting c = {
		.set = set, .inv = inv, .session = session, .from = from, .max = max
	};
	struct bookmark rest;

	set->next = *from;
	set->next.start = from->start != 0 ? from->start : inventory_version(inv);
	bool is_complete = collect_filters(&c, filters);
	if (is_complete && set->items.n == 0 && from->start != 0) {
		/* Nothing was left of a truncated set: go on with what came after it. */
		rest = (struct bookmark){ .version = from->start };
		c.from = &rest;
		set->next = (struct bookmark){ .version = from->start,
					       .start = inventory_version(inv) };
		is_complete = collect_filters(&c, filters);
	}
	if (is_complete) {
		set->next = (struct bookmark){ .version = set->next.start };
	}
	vec_free(&c.found);
	vec_free(&c.turns);
	bitmap_free(&c.turned);
}

void update_free(struct update_set *set)
{
	vec_each (&set->items, u) {
		spec_drop(u->spec);
		value_drop(u->filter);
		value_drop(u->ref);
	}
	vec_free(&set->items);
}
