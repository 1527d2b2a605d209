/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object's journal: which paths changed at which version since it was created. One entry a path;
 * a change of a whole property swallows older entries below it; at most JOURNAL_MAX entries, beyond
 * which nested paths fold into their property. For inventory.c; readers look at object->journal.
 */
#ifndef VIM_JOURNAL_H
#define VIM_JOURNAL_H

#include "vim/inventory.h"

enum {
	JOURNAL_MAX = 64
};

/* Notes every path at which `now` differs from `old` (kept values or NULL), at o->version. */
void journal_diff(struct object *o, unsigned prop, const struct value *old,
		  const struct value *now);

/* Notes one path at o->version. */
void journal_note(struct object *o, unsigned prop, const char *path, enum change_op op);

#endif
