/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PropertyFilterSpec made ready to run (vSphere API PropertyFilterSpec, PropertySpec, ObjectSpec,
 * TraversalSpec, SelectionSpec).
 *
 * It lives wholly in one arena; plans and paths for further types are added there when the first
 * object of a type turns up. A spec for one call uses the call's arena and points into the client's
 * value; one that outlives its call has an arena of its own, keeps the value, and is counted by
 * spec_hold() and spec_drop().
 *
 * Where several property sets match an object, all their paths are told: clients that walk up the
 * inventory ask ManagedEntity for name and parent, VirtualMachine for parentVApp, and need the
 * three of a virtual machine.
 *
 * Event-loop thread only.
 */
#ifndef VIM_SPEC_H
#define VIM_SPEC_H

#include "base/arena.h"
#include "base/error.h"
#include "vim/inventory.h"
#include "vim/path.h"
#include "vim/value.h"

enum {
	SPEC_MAX_PROPERTY_SETS = 256,
	SPEC_MAX_PATHS = 1000, /* of all property sets together */
	SPEC_MAX_ROOTS = 100000,
	SPEC_MAX_TRAVERSALS = 1024, /* and as many named references */
	SPEC_MAX_DEPTH = 32
};

/* What is told of objects of one concrete type: the paths of all property sets that match it. */
struct plan {
	struct plan *next;
	uint16_t type;
	bool is_wanted; /* some property set matches */
	uint32_t n_paths;
	struct path **paths;
	uint64_t props; /* bit i: a path begins with property i; bit 63: with any from 63 on */
};

/* Traversals that may be taken from an object: spec->choices[first … first + n - 1]. */
struct span {
	uint32_t first, n;
};

struct via;
struct traversal {
	uint16_t type; /* base type of the objects it leads from */
	bool skip;     /* objects it leads to are walked but not told */
	const struct value *path;
	const char *name; /* or NULL */
	uint32_t scope;	  /* number of the object specification it stands in */
	struct span next;
	struct via *vias; /* its path for each concrete type seen */
};

struct root {
	const struct value *ref;
	bool skip;
	struct span next;
};

struct spec {
	unsigned refs;	 /* 0: lives and dies with the call's arena */
	uint8_t version; /* of the client: what is newer is not told by all = true */
	bool report_missing;
	struct arena *arena;
	const struct value *value; /* the PropertyFilterSpec itself */
	const struct value *sets;  /* its propSet */
	uint16_t *set_types;
	struct plan *plans;
	struct traversal *traversals;
	uint16_t *choices;
	struct root *roots;
	uint32_t n_sets, n_paths, n_traversals, n_choices, n_roots;
};

/* Why a request cannot be met: the typed fault and its text. */
struct refusal {
	struct arena *arena; /* set before: where the fault is made */
	const struct value *fault;
	struct error e;
};

/* The spec in `a`, where `value` lives as well; NULL: in an arena of its own, counted once. On
 * failure NULL and *r: InvalidProperty, InvalidArgument or InvalidType. */
struct spec *spec_new(struct arena *a, const struct value *value, uint8_t version,
		      struct refusal *r);

/* One more count, one less; nothing happens to specs of a call's arena. */
struct spec *spec_hold(struct spec *s);
void spec_drop(struct spec *s); /* accepts NULL */

/* The first root that does not exist, or NULL. */
const struct value *spec_missing_root(const struct spec *s, struct inventory *inv);

const struct plan *spec_plan_slow(struct spec *s, uint16_t type);

/* The plan for a concrete type; never NULL. */
static inline const struct plan *spec_plan(struct spec *s, uint16_t type)
{
	return s->plans != NULL && s->plans->type == type ? s->plans : spec_plan_slow(s, type);
}

/* The traversal's path for objects of that concrete type; NULL when it has no such property. */
const struct path *spec_via(struct spec *s, struct traversal *t, uint16_t type);

/* True when one of the journal's changes of o that are newer than `since` touches a traversal. */
bool spec_walk_changed(struct spec *s, struct object *o, uint64_t since);

/* True when one of the changes of o that are newer than `since` touches the plan. */
bool plan_is_touched(const struct plan *p, const struct object *o, uint64_t since);

#endif
