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
};

/* Fills an empty selection ({0}). `scratch` takes computed values; the caller resets it after. */
void selection_run(struct selection *sel, struct spec *s, struct inventory *inv,
		   struct session *session, struct arena *scratch);
void selection_free(struct selection *sel);

#endif
