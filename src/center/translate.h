/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values with other references and names in them: how what a host says becomes what the manager
 * says, and the other way round.
 *
 * Structures are walked only where their types can hold a reference at all; what has none in it is
 * returned as it is, the very same pointer, so that kept values stay shared. Event-loop thread
 * only.
 */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "vim/value.h"

/* Which types can hold references, at any depth; made once and shared by all hosts. */
struct translate_types;
struct translate_types *translate_types_new(void);
void translate_types_free(struct translate_types *t);

struct translation {
	const struct translate_types *types;
	/* What stands for a reference on the other side (a draft in `a`, or kept); NULL: nothing.
	 */
	const struct value *(*ref)(void *arg, const struct value *ref, struct arena *a);
	/* The same for texts; the text itself where it stays. NULL: texts stay, and are not looked
	 * at. */
	const struct value *(*text)(void *arg, const struct value *text, struct arena *a);
	void *arg;
	/* First reference that nothing stands for; it is left out of the result. */
	const struct value *missing;
};

/* v itself, or a draft in `a`; NULL for NULL and for a reference that nothing stands for. */
const struct value *translate(struct translation *t, const struct value *v, struct arena *a);
