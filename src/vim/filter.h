/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A property filter (vSphere API PropertyFilter): which objects it is about now, and which came and
 * went since the oldest version that its client may still ask from. The properties themselves need
 * no copy: what changed is read from the objects' journals.
 *
 * A filter belongs to its collector. Event-loop thread only.
 */
#ifndef VIM_FILTER_H
#define VIM_FILTER_H

#include "base/list.h"
#include "base/vec.h"
#include "vim/bitmap.h"
#include "vim/session.h"
#include "vim/spec.h"

/* An object came or went. */
struct turn {
	uint64_t version;	 /* at which it was noticed */
	const struct value *ref; /* counted */
	uint32_t index;
	bool has_entered;
};

struct filter {
	struct list_node link; /* in the collector's list */
	void *collector;
	struct object *object; /* the PropertyFilter in the inventory */
	struct spec *spec;     /* counted */
	bool is_partial;       /* told nested changes one by one */
	uint64_t id;	       /* ascending within the collector */
	uint64_t created;      /* who knows only an older version is told all */
	uint64_t seen;	       /* version that members and walked are right for */
	uint64_t rights;       /* the same of the session's rights */
	uint64_t cost;	       /* of the last selection */
	struct bitmap members, walked;
	VEC(struct turn) turns; /* oldest first */
};

/* Takes over one count of the spec; the object's creation is the filter's. */
struct filter *filter_new(struct spec *spec, bool is_partial, uint64_t id, struct object *object);
void filter_free(struct filter *f); /* takes the object out of the inventory, too */

/* Brings members up to the inventory's newest version. */
void filter_sync(struct filter *f, struct inventory *inv, struct session *session,
		 struct arena *scratch);

/* Nobody asks from versions older than this any more. */
void filter_forget(struct filter *f, uint64_t version);

#endif
