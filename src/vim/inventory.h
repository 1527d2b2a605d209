/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The property store: managed objects with their properties, every change of which gets a version.
 *
 * An inventory owns its objects and the kept values in them. Properties change only through
 * inventory_set() and its kin, which compare old and new value, note exactly which paths changed
 * (the object's journal) and give them the next version number; the property collector reads
 * versions and journals to tell its clients what is new. Versions count up by one a change and are
 * never reused; 0 is before anything.
 *
 * Changed objects stand in a list ordered by their latest version, so "what changed since V" costs
 * only what changed. Removed objects stay in that list as tombstones until no reader needs them.
 *
 * Event-loop thread only.
 */
#ifndef VIM_INVENTORY_H
#define VIM_INVENTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/list.h"
#include "vim/value.h"

struct inventory;
struct object;

/* One noted change: path below the object ("runtime.powerState", "config.hardware.device[4000]").
 */
enum change_op {
	CHANGE_ASSIGN,
	CHANGE_ADD,
	CHANGE_REMOVE
};
struct change {
	uint64_t version;
	const char *path; /* interned, lives as long as the inventory */
	uint32_t path_len;
	uint8_t prop; /* index of the top-level property */
	uint8_t op;   /* enum change_op; ADD and REMOVE only for elements of keyed arrays */
};

/*
 * A managed object. Read the members; change them through functions only.
 * `owner` belongs to whoever made the object (struct vm, struct folder, …).
 */
struct object {
	struct inventory *inventory;
	struct list_node changed; /* in the inventory's list, by version */
	uint64_t version;	  /* of its latest change */
	uint64_t created;	  /* version of its creation */
	uint32_t index;		  /* dense number, reused after removal */
	uint16_t type;		  /* managed type id */
	uint16_t n_props;
	bool removed;		    /* tombstone: properties are gone */
	const struct value *ref;    /* kept reference to itself; value_bytes(ref) is the id */
	uint64_t set;		    /* bit i: property i is stored */
	const struct value **props; /* those in order, kept values; scalars boxed */
	struct change *journal;	    /* newest last; see inventory_version() */
	uint32_t n_journal, journal_cap;
	const struct object_class *class;
	void *owner;
};

/*
 * What a kind of object adds to the store. All members may be NULL.
 * compute(): value of a property that is not stored but derived on demand (a draft in `a`, or a
 * kept value); called for properties whose bit is set in `computed`. The owner calls
 * inventory_touch() when what it derives from has changed.
 */
struct object_class {
	uint64_t computed; /* bit i: property i is computed */
	const struct value *(*compute)(struct object *o, unsigned prop, struct arena *a);
	void (*removed)(struct object *o); /* told just before the object becomes a tombstone */
};

struct inventory *inventory_new(struct clock *clock);
void inventory_free(struct inventory *inv);

/* New object; id must be new (asserted). The id is copied. */
struct object *inventory_add(struct inventory *inv, uint16_t type, const char *id,
			     const struct object_class *class, void *owner);

/* Takes the object out: readers see it leave. Pointers to it are invalid for everyone but the
 * collectors, which hold the inventory's tombstones. Accepts NULL. */
void inventory_remove(struct object *o);

/* Says whose rights count for an object that is no entity itself: a manager of a host, the browser
 * of a datastore. NULL: nobody's, which is how objects begin. */
void inventory_set_subject(struct object *o, const struct object *entity);
struct object *object_subject(const struct object *o); /* NULL: none, or gone */

/* By id (ids are unique over all types, as on real servers), or NULL. */
struct object *inventory_find(struct inventory *inv, const char *id);
struct object *inventory_find_ref(struct inventory *inv,
				  const struct value *ref); /* type must fit */
size_t inventory_count(const struct inventory *inv);

static inline const char *object_id(const struct object *o)
{
	return value_bytes(o->ref);
}

/* Current value of a property: stored, or computed into `a` (needed for computed ones only; NULL is
 * allowed where the property is known to be stored). NULL when unset. */
const struct value *object_get(struct object *o, unsigned prop, struct arena *a);
const char *object_get_str(struct object *o, unsigned prop);
/* The same for one that is known to be stored, and is no array that grows; NULL when unset. */
const struct value *object_stored(const struct object *o, unsigned prop);

/* Sets a property (draft or kept value; NULL unsets). Nothing happens when it equals the old one.
 * Returns true when it changed. Scalars are boxed (value_new_bool() and so on). */
bool inventory_set(struct object *o, unsigned prop, const struct value *v);
bool inventory_set_str(struct object *o, unsigned prop, const char *s);
bool inventory_set_bool(struct object *o, unsigned prop, bool b);
bool inventory_set_enum(struct object *o, unsigned prop, uint16_t type, int ordinal);
bool inventory_set_ref(struct object *o, unsigned prop,
		       const struct object *target); /* NULL: unset */
bool inventory_set_refs(struct object *o, unsigned prop, struct object *const *targets, size_t n);
/* Array of references: adds or takes out one. False when it was there already / not there. */
bool inventory_add_ref(struct object *o, unsigned prop, const struct object *target);
bool inventory_drop_ref(struct object *o, unsigned prop, const struct object *target);

/* Sets one nested field, e.g. runtime.powerState: `fields` are field indices below the property
 * (F_…), n of them. Structures on the way are made, of the declared types, where they do not exist.
 */
bool inventory_set_nested(struct object *o, unsigned prop, const unsigned *fields, size_t n,
			  const struct value *v);

/* Says that a computed property may have changed (path: property name, or deeper). */
void inventory_touch(struct object *o, unsigned prop, const char *path);

/* The same for every path at which two kept values of a computed property (or NULL) differ. */
void inventory_touch_diff(struct object *o, unsigned prop, const struct value *old,
			  const struct value *now);

/* ---- for the collector ---- */

/* Version of the newest change. Asking is looking: an object that came after the last time anybody
 * asked (or a reader was added) is news to all, and what changes in it until somebody asks again is
 * not noted in its journal. */
uint64_t inventory_version(const struct inventory *inv);

/* Calls fn once, at the end of the current turn of the event loop, after something changed (any
 * number of changes in a turn: one call). Returned handle is for inventory_unsubscribe(). */
struct inventory_listener;
struct inventory_listener *inventory_subscribe(struct inventory *inv, void (*fn)(void *arg),
					       void *arg);
void inventory_unsubscribe(struct inventory_listener *l);
/* Runs the listeners now if something changed; the owner of the loop calls it (uv_check/uv_idle).
 */
void inventory_publish(struct inventory *inv);

/* Objects (tombstones included) whose version is greater than `since`, newest first:
 * for (o = inventory_newest(inv); o != NULL && o->version > since; o = object_older(o)) */
struct object *inventory_newest(struct inventory *inv);
struct object *object_older(struct object *o);

/* Upper bound of object->index + 1, for bitmaps. */
uint32_t inventory_index_limit(const struct inventory *inv);

/* The object with that index, perhaps a tombstone; NULL when there is none. */
struct object *inventory_at(struct inventory *inv, uint32_t index);

/* A reader at version V keeps tombstones newer than V alive. */
struct inventory_reader {
	struct list_node link;
	uint64_t version;
};
void inventory_reader_add(struct inventory *inv, struct inventory_reader *r); /* at the newest */
void inventory_reader_advance(struct inventory *inv, struct inventory_reader *r, uint64_t version);
void inventory_reader_remove(struct inventory *inv, struct inventory_reader *r);

/* All objects, in order of index. *i starts at 0. NULL at the end. */
struct object *inventory_each(struct inventory *inv, uint32_t *i);

#endif
