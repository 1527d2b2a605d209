/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The selection is made anew only when an object that it went through was removed or had a change
 * at the path of a traversal, or when the session's rights have changed; everything else leaves the
 * members as they are.
 *
 * Members are known by index. An index is given to another object only after all readers have seen
 * the first one go, and the collector's reader stands at `seen` or before: so every bit that
 * differs between two selections stands for the same object in both, or for its tombstone.
 */
#include "vim/filter.h"

#include "vim/selection.h"

struct filter *filter_new(struct spec *spec, bool is_partial, uint64_t id, struct object *object)
{
	struct filter *f = mem_zalloc(sizeof(*f));

	f->spec = spec;
	f->is_partial = is_partial;
	f->id = id;
	f->object = object;
	f->created = object->created;
	return f;
}

void filter_free(struct filter *f)
{
	if (f == NULL) {
		return;
	}
	list_remove(&f->link);
	inventory_remove(f->object);
	vec_each (&f->turns, t) {
		value_drop(t->ref);
	}
	vec_free(&f->turns);
	bitmap_free(&f->members);
	bitmap_free(&f->walked);
	spec_drop(f->spec);
	free(f);
}

/* Does what changed since the last look change who is selected? */
static bool selection_is_stale(struct filter *f, struct inventory *inv)
{
	struct object *o = inventory_newest(inv);

	for (; o != NULL && o->version > f->seen; o = object_older(o)) {
		bool is_walked = bitmap_has(&f->walked, o->index);
		if (o->removed) {
			if (is_walked || bitmap_has(&f->members, o->index)) {
				return true;
			}
		} else if (is_walked && spec_walk_changed(f->spec, o, f->seen)) {
			return true;
		}
	}
	return false;
}

static void turn_note(struct filter *f, struct inventory *inv, uint32_t index, bool has_entered)
{
	struct object *o = inventory_at(inv, index);

	if (o != NULL) {
		vec_push(&f->turns, (struct turn){ .version = inventory_version(inv),
						   .ref = value_hold(o->ref),
						   .index = index,
						   .has_entered = has_entered });
	}
}

static void turns_note(struct filter *f, struct inventory *inv, const struct bitmap *now)
{
	uint32_t n = MAX(now->n_words, f->members.n_words);

	for (uint32_t w = 0; w < n; w++) {
		uint64_t was = w < f->members.n_words ? f->members.words[w] : 0;
		uint64_t is = w < now->n_words ? now->words[w] : 0;
		for (uint64_t differ = was ^ is; differ != 0; differ &= differ - 1) {
			unsigned bit = (unsigned)__builtin_ctzll(differ);
			turn_note(f, inv, w * 64 + bit, ((is >> bit) & 1) != 0);
		}
	}
}

void filter_sync(struct filter *f, struct inventory *inv, struct session *session,
		 struct arena *scratch)
{
	bool is_first = f->seen == 0;
	uint64_t rights = session_rights_version(session);

	if (f->seen == inventory_version(inv)) {
		return;
	}
	if (is_first || f->rights != rights || selection_is_stale(f, inv)) {
		struct selection sel = { 0 };
		selection_run(&sel, f->spec, inv, session, scratch, SELECTION_COST_MAX);
		if (!is_first) {
			turns_note(f, inv, &sel.members);
		}
		bitmap_free(&f->members);
		bitmap_free(&f->walked);
		f->members = sel.members;
		f->walked = sel.walked;
		f->cost = sel.cost;
		vec_free(&sel.objects);
	}
	f->seen = inventory_version(inv);
	f->rights = rights;
}

void filter_forget(struct filter *f, uint64_t version)
{
	size_t n = 0;

	while (n < f->turns.n && f->turns.items[n].version <= version) {
		value_drop(f->turns.items[n++].ref);
	}
	if (n > 0) {
		f->turns.n -= n;
		memmove(f->turns.items, f->turns.items + n, f->turns.n * sizeof(struct turn));
	}
}
