/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects are found by id through a string map, by kept reference through a table of pointers (a
 * reference is interned, so its address is its identity).
 *
 * Properties that are arrays of references and grow by inventory_add_ref() (a folder's children)
 * are held as collections: the kept array is only made when somebody reads it, so that adding ten
 * thousand VMs does not copy ten thousand arrays.
 *
 * Tombstones: a removed object gives up its properties at once and stays in the `changed` list,
 * with its reference and index, until every reader's version has passed its own.
 */
#include "vim/inventory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vec.h"
#include "vim/id_table.h"
#include "vim/journal.h"

/* A property that is an array of references, before it is made into a value. */
struct collection {
	struct collection *next; /* of the same object */
	unsigned prop;
	bool stale; /* object->props[prop] is not what `refs` says */
	uint64_t version;
	VEC(const struct value *) refs; /* counted */
};

/* An object and what only this file needs of it. */
struct stored {
	struct object o;
	struct collection *collections;
	const struct value *subject; /* counted reference, or NULL */
};

struct inventory_listener {
	struct list_node link;
	void (*fn)(void *arg);
	void *arg;
};

struct inventory {
	struct clock *clock;
	uint64_t version, published;
	uint64_t seen; /* newest version that anybody has asked for */
	struct id_table by_id;
	VEC(struct object *) by_index;
	VEC(uint32_t) free_index;
	struct list changed; /* oldest first */
	struct list readers, listeners;
	size_t n, n_tombstones;
	struct arena *scratch;
};

static struct stored *stored_from(struct object *o)
{
	return CONTAINER_OF(o, struct stored, o);
}

struct inventory *inventory_new(struct clock *clock)
{
	struct inventory *inv = mem_zalloc(sizeof(*inv));

	inv->clock = clock;
	list_init(&inv->changed);
	list_init(&inv->readers);
	list_init(&inv->listeners);
	inv->scratch = arena_new(0);
	return inv;
}

/* ---- objects ---- */

static void collections_free(struct stored *st)
{
	while (st->collections != NULL) {
		struct collection *c = st->collections;
		st->collections = c->next;
		vec_each (&c->refs, it) {
			value_drop(*it);
		}
		vec_free(&c->refs);
		free(c);
	}
}

static unsigned n_stored(const struct object *o)
{
	return (unsigned)__builtin_popcountll(o->set);
}

/* Where the property is among the stored ones, or would be. */
static unsigned rank_of(const struct object *o, unsigned prop)
{
	return (unsigned)__builtin_popcountll(o->set & ((UINT64_C(1) << prop) - 1));
}

static bool is_stored(const struct object *o, unsigned prop)
{
	return (o->set >> prop & 1) != 0;
}

/* Puts a counted value, or NULL, in the place of the old one, which is the caller's then. Room is
 * for an odd number of values, which suits malloc(). */
static const struct value *property_put(struct object *o, unsigned prop, const struct value *v)
{
	unsigned at = rank_of(o, prop), n = n_stored(o);
	const struct value *old = NULL;

	if (is_stored(o, prop)) {
		old = o->props[at];
		o->props[at] = v;
		if (v == NULL) {
			memmove(o->props + at, o->props + at + 1,
				(n - at - 1) * sizeof(struct value *));
			o->set &= ~(UINT64_C(1) << prop);
		}
		return old;
	}
	if (v == NULL) {
		return NULL;
	}
	if (n == 0 || n % 2 == 1) {
		o->props = mem_realloc_array(o->props, n == 0 ? 3 : n + 2, sizeof(struct value *));
	}
	memmove(o->props + at + 1, o->props + at, (n - at) * sizeof(struct value *));
	o->props[at] = v;
	o->set |= UINT64_C(1) << prop;
	return NULL;
}

static void properties_free(struct object *o)
{
	for (unsigned i = 0; i < n_stored(o); i++) {
		value_drop(o->props[i]);
	}
	free(o->props);
	o->props = NULL;
	o->set = 0;
	o->n_props = 0;
	free(o->journal);
	o->journal = NULL;
	o->n_journal = o->journal_cap = 0;
	collections_free(stored_from(o));
	value_drop(stored_from(o)->subject);
	stored_from(o)->subject = NULL;
}

static void object_free(struct object *o)
{
	list_remove(&o->changed);
	properties_free(o);
	value_drop(o->ref);
	free(stored_from(o));
}

/* Somebody may have looked since it came. */
static bool is_known(const struct object *o)
{
	return o->created <= o->inventory->seen;
}

static void changed_now(struct object *o)
{
	o->version = ++o->inventory->version;
	list_remove(&o->changed);
	list_push_back(&o->inventory->changed, &o->changed);
}

struct object *inventory_add(struct inventory *inv, uint16_t type, const char *id,
			     const struct object_class *class, void *owner)
{
	assert(inventory_find(inv, id) == NULL && schema_type_kind(type) == KIND_MANAGED);
	struct stored *st = mem_zalloc(sizeof(*st));
	struct object *o = &st->o;

	o->inventory = inv;
	o->type = type;
	o->n_props = schema_type(type)->n_fields;
	assert(o->n_props <= 64);
	o->class = class;
	o->owner = owner;
	arena_reset(inv->scratch);
	o->ref = value_keep(value_new_ref(inv->scratch, type, id));
	if (inv->free_index.n > 0) {
		o->index = vec_pop(&inv->free_index);
		inv->by_index.items[o->index] = o;
	} else {
		o->index = (uint32_t)inv->by_index.n;
		vec_push(&inv->by_index, o);
	}
	id_table_add(&inv->by_id, o);
	inv->n++;
	changed_now(o);
	o->created = o->version;
	return o;
}

static void tombstone_purge(struct inventory *inv, uint64_t up_to)
{
	struct list_node *n = list_front(&inv->changed);

	while (n != NULL && inv->n_tombstones > 0) {
		struct object *o = CONTAINER_OF(n, struct object, changed);
		if (o->version > up_to) {
			return;
		}
		n = n->next == &inv->changed.head ? NULL : n->next;
		if (o->removed) {
			inv->by_index.items[o->index] = NULL;
			vec_push(&inv->free_index, o->index);
			inv->n_tombstones--;
			object_free(o);
		}
	}
}

static void tombstones_tidy(struct inventory *inv)
{
	uint64_t oldest = inv->version;

	if (inv->n_tombstones == 0) {
		return;
	}
	list_each (struct inventory_reader, r, &inv->readers, link) {
		oldest = MIN(oldest, r->version);
	}
	tombstone_purge(inv, oldest);
}

void inventory_remove(struct object *o)
{
	if (o == NULL || o->removed) {
		return;
	}
	struct inventory *inv = o->inventory;
	if (o->class != NULL && o->class->removed != NULL) {
		o->class->removed(o);
	}
	id_table_remove(&inv->by_id, o);
	inv->n--;
	properties_free(o);
	o->owner = NULL;
	o->class = NULL;
	o->removed = true;
	inv->n_tombstones++;
	changed_now(o);
}

void inventory_free(struct inventory *inv)
{
	if (inv == NULL) {
		return;
	}
	vec_each (&inv->by_index, it) {
		if (*it != NULL) {
			object_free(*it);
		}
	}
	list_each_safe (struct inventory_listener, l, &inv->listeners, link) {
		free(l);
	}
	vec_free(&inv->by_index);
	vec_free(&inv->free_index);
	id_table_free(&inv->by_id);
	arena_free(inv->scratch);
	free(inv);
}

void inventory_set_subject(struct object *o, const struct object *entity)
{
	struct stored *st = stored_from(o);

	value_drop(st->subject);
	st->subject = entity == NULL ? NULL : value_hold(entity->ref);
}

struct object *object_subject(const struct object *o)
{
	const struct stored *st = (const struct stored *)(const void *)o;

	return inventory_find_ref(o->inventory, st->subject);
}

struct object *inventory_find(struct inventory *inv, const char *id)
{
	return id_table_find(&inv->by_id, inv->by_index.items, id, strlen(id));
}

struct object *inventory_find_ref(struct inventory *inv, const struct value *ref)
{
	if (ref == NULL || ref->kind != KIND_REF) {
		return NULL;
	}
	struct object *o =
		id_table_find(&inv->by_id, inv->by_index.items, value_bytes(ref), value_len(ref));
	if (o == NULL || !(schema_is_a(o->type, ref->type) || schema_is_a(ref->type, o->type))) {
		return NULL;
	}
	return o;
}

size_t inventory_count(const struct inventory *inv)
{
	return inv->n;
}

struct object *inventory_each(struct inventory *inv, uint32_t *i)
{
	while (*i < inv->by_index.n) {
		struct object *o = inv->by_index.items[(*i)++];
		if (o != NULL && !o->removed) {
			return o;
		}
	}
	return NULL;
}

uint32_t inventory_index_limit(const struct inventory *inv)
{
	return (uint32_t)inv->by_index.n;
}

/* ---- reading properties ---- */

static struct collection *collection_find(struct object *o, unsigned prop)
{
	for (struct collection *c = stored_from(o)->collections; c != NULL; c = c->next) {
		if (c->prop == prop) {
			return c;
		}
	}
	return NULL;
}

/* Makes the array value of a collection that changed since it was last read. */
static void collection_settle(struct object *o, struct collection *c)
{
	struct arena *a = o->inventory->scratch;

	arena_reset(a);
	struct value *array = value_new_array(a, schema_field(o->type, c->prop)->type);
	vec_each (&c->refs, it) {
		value_push(a, array, *it);
	}
	value_drop(property_put(o, c->prop, value_keep(array)));
	c->stale = false;
}

const struct value *object_stored(const struct object *o, unsigned prop)
{
	return is_stored(o, prop) ? o->props[rank_of(o, prop)] : NULL;
}

const struct value *object_get(struct object *o, unsigned prop, struct arena *a)
{
	if (prop >= o->n_props) {
		return NULL;
	}
	if (o->class != NULL && ((o->class->computed >> prop) & 1)) {
		return o->class->compute(o, prop, a);
	}
	struct collection *c =
		stored_from(o)->collections == NULL ? NULL : collection_find(o, prop);
	if (c != NULL && c->stale) {
		collection_settle(o, c);
	}
	return object_stored(o, prop);
}

const char *object_get_str(struct object *o, unsigned prop)
{
	const struct value *v = object_get(o, prop, NULL);

	return v != NULL && (v->kind == KIND_STRING || v->kind == KIND_REF) ? value_bytes(v) : NULL;
}

/* ---- changing properties ---- */

bool inventory_set(struct object *o, unsigned prop, const struct value *v)
{
	assert(!o->removed && prop < o->n_props);
	assert(v == NULL || value_fits(schema_field(o->type, prop), v));
	struct collection *c = collection_find(o, prop);
	if (c != NULL) {
		collection_settle(o, c);
		struct collection **at = &stored_from(o)->collections;
		while (*at != c) {
			at = &(*at)->next;
		}
		*at = c->next;
		c->next = NULL;
		struct stored gone = { .collections = c };
		collections_free(&gone);
	}
	const struct value *kept = value_keep(v), *old = object_stored(o, prop);
	if (kept == old) {
		value_drop(kept);
		return false;
	}
	changed_now(o);
	if (is_known(o)) {
		journal_diff(o, prop, old, kept);
	}
	value_drop(property_put(o, prop, kept));
	return true;
}

bool inventory_set_str(struct object *o, unsigned prop, const char *s)
{
	arena_reset(o->inventory->scratch);
	return inventory_set(o, prop, value_new_str(o->inventory->scratch, s));
}

bool inventory_set_bool(struct object *o, unsigned prop, bool b)
{
	arena_reset(o->inventory->scratch);
	return inventory_set(o, prop, value_new_bool(o->inventory->scratch, b));
}

bool inventory_set_enum(struct object *o, unsigned prop, uint16_t type, int ordinal)
{
	arena_reset(o->inventory->scratch);
	return inventory_set(
		o, prop,
		value_new_scalar(o->inventory->scratch, type, (union slot){ .num = ordinal }));
}

bool inventory_set_ref(struct object *o, unsigned prop, const struct object *target)
{
	return inventory_set(o, prop, target == NULL ? NULL : target->ref);
}

bool inventory_set_refs(struct object *o, unsigned prop, struct object *const *targets, size_t n)
{
	struct arena *a = arena_new(0);
	struct value *array = value_new_array(a, schema_field(o->type, prop)->type);

	for (size_t i = 0; i < n; i++) {
		value_push(a, array, targets[i]->ref);
	}
	bool changed = inventory_set(o, prop, array);
	arena_free(a);
	return changed;
}

/* The collection of a property, made from its present value where there is none yet. */
static struct collection *collection_of(struct object *o, unsigned prop)
{
	struct collection *c = collection_find(o, prop);

	if (c == NULL) {
		c = mem_zalloc(sizeof(*c));
		c->prop = prop;
		c->version = o->version;
		const struct value *present = object_stored(o, prop);
		for (size_t i = 0; i < value_count(present); i++) {
			vec_push(&c->refs, value_hold(value_item(present, i)));
		}
		c->next = stored_from(o)->collections;
		stored_from(o)->collections = c;
	}
	return c;
}

static size_t collection_place(const struct collection *c, const struct value *ref)
{
	for (size_t i = c->refs.n; i > 0; i--) {
		if (c->refs.items[i - 1] == ref) {
			return i - 1;
		}
	}
	return SIZE_MAX;
}

static void collection_changed(struct object *o, struct collection *c)
{
	c->stale = true;
	changed_now(o);
	c->version = o->version;
	if (is_known(o)) {
		journal_note(o, c->prop, schema_field_name(schema_field(o->type, c->prop)),
			     CHANGE_ASSIGN);
	}
}

bool inventory_add_ref(struct object *o, unsigned prop, const struct object *target)
{
	assert(!o->removed && prop < o->n_props);
	struct collection *c = collection_of(o, prop);

	/* What was created after the last change here cannot be in it yet. */
	if (target->created <= c->version && collection_place(c, target->ref) != SIZE_MAX) {
		return false;
	}
	vec_push(&c->refs, value_hold(target->ref));
	collection_changed(o, c);
	return true;
}

bool inventory_drop_ref(struct object *o, unsigned prop, const struct object *target)
{
	struct collection *c = collection_of(o, prop);
	size_t i = collection_place(c, target->ref);

	if (i == SIZE_MAX) {
		return false;
	}
	value_drop(c->refs.items[i]);
	vec_remove(&c->refs, i);
	collection_changed(o, c);
	return true;
}

/* A draft of `old` (or of a new structure of the declared type) with one nested field replaced. */
static const struct value *nested(struct arena *a, const struct value *old, uint16_t type,
				  const unsigned *fields, size_t n, const struct value *v)
{
	struct value *edit = old == NULL ? value_new(a, type) : value_edit(a, old);
	const struct value *below = v;

	if (n > 1) {
		const struct schema_field *f = schema_field(edit->type, fields[0]);
		below = nested(a, value_get_value(edit, fields[0]), f->type, fields + 1, n - 1, v);
	}
	if (below == NULL) {
		value_unset(edit, fields[0]);
	} else {
		value_set(a, edit, fields[0], below);
	}
	return edit;
}

bool inventory_set_nested(struct object *o, unsigned prop, const unsigned *fields, size_t n,
			  const struct value *v)
{
	struct arena *a = arena_new(0);
	bool changed = inventory_set(
		o, prop,
		nested(a, object_stored(o, prop), schema_field(o->type, prop)->type, fields, n, v));

	arena_free(a);
	return changed;
}

void inventory_touch(struct object *o, unsigned prop, const char *path)
{
	assert(!o->removed && prop < o->n_props);
	changed_now(o);
	if (is_known(o)) {
		journal_note(o, prop, path, CHANGE_ASSIGN);
	}
}

void inventory_touch_diff(struct object *o, unsigned prop, const struct value *old,
			  const struct value *now)
{
	assert(!o->removed && prop < o->n_props);
	if (old != now) {
		changed_now(o);
		if (is_known(o)) {
			journal_diff(o, prop, old, now);
		}
	}
}

/* ---- readers and listeners ---- */

uint64_t inventory_version(const struct inventory *inv)
{
	/* For callers nothing changes. */
	((struct inventory *)(uintptr_t)inv)->seen = inv->version;
	return inv->version;
}

struct inventory_listener *inventory_subscribe(struct inventory *inv, void (*fn)(void *arg),
					       void *arg)
{
	struct inventory_listener *l = mem_zalloc(sizeof(*l));

	l->fn = fn;
	l->arg = arg;
	list_push_back(&inv->listeners, &l->link);
	return l;
}

void inventory_unsubscribe(struct inventory_listener *l)
{
	if (l != NULL) {
		/* Only marked: a listener may end itself or another while all are being told. */
		l->fn = NULL;
	}
}

void inventory_publish(struct inventory *inv)
{
	while (inv->published != inv->version) {
		inv->published = inv->version;
		list_each (struct inventory_listener, l, &inv->listeners, link) {
			if (l->fn != NULL) {
				l->fn(l->arg);
			}
		}
	}
	list_each_safe (struct inventory_listener, l, &inv->listeners, link) {
		if (l->fn == NULL) {
			list_remove(&l->link);
			free(l);
		}
	}
	tombstones_tidy(inv);
}

struct object *inventory_newest(struct inventory *inv)
{
	return list_entry(list_back(&inv->changed), struct object, changed);
}

struct object *object_older(struct object *o)
{
	struct list_node *prev = o->changed.prev;

	return prev == &o->inventory->changed.head ? NULL
						   : CONTAINER_OF(prev, struct object, changed);
}

struct object *inventory_at(struct inventory *inv, uint32_t index)
{
	return index < inv->by_index.n ? inv->by_index.items[index] : NULL;
}

void inventory_reader_add(struct inventory *inv, struct inventory_reader *r)
{
	r->version = inventory_version(inv);
	list_push_back(&inv->readers, &r->link);
}

void inventory_reader_advance(struct inventory *inv, struct inventory_reader *r, uint64_t version)
{
	assert(version >= r->version && version <= inv->version);
	r->version = version;
}

void inventory_reader_remove(struct inventory *inv, struct inventory_reader *r)
{
	(void)inv;
	list_remove(&r->link);
}
