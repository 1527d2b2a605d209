/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which objects a spec is about: its object sets, followed along its traversals (vSphere API
 * ObjectSpec, TraversalSpec).
 *
 * An object is found once, however many ways lead to it; cycles end by themselves. Objects on which
 * the session lacks System.View are not found by traversals and not walked from.
 */
#ifndef VIM_SELECTION_H
#define VIM_SELECTION_H

#include "base/vec.h"
#include "vim/bitmap.h"
#include "vim/session.h"
#include "vim/spec.h"

struct selection {
	VEC(struct object *) objects; /* found, in order of discovery */
	struct bitmap members;	      /* the same, by index */
	struct bitmap walked;	      /* objects on whose properties the outcome depends */
	uint64_t cost;		      /* references looked at, about */
};

/* What a client may have looked at for one request, or together for its filters. */
#define SELECTION_COST_MAX UINT64_C(20000000)

/* Fills an empty selection ({0}), or a part of it and returns false when the cost exceeds
 * `max_cost`. `scratch` takes computed values; it is reset, also in between. */
bool selection_run(struct selection *sel, struct spec *s, struct inventory *inv,
		   struct session *session, struct arena *scratch, uint64_t max_cost);
void selection_free(struct selection *sel);

#endif
