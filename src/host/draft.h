/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drafts of API values (vim/value.h) in few words: what builders of large structures repeat. Pure;
 * everything made lives in the arena given.
 */
#pragma once

#include "vim/inventory.h"
#include "vim/value.h"

/* Sets a reference field to the object; NULL leaves it unset. */
void draft_set_object(struct arena *a, struct value *v, unsigned field, const struct object *o);

/* A reference array with these objects. */
struct value *draft_refs(struct arena *a, uint16_t managed, struct object *const *objects,
			 size_t n);

/* A string array of the NULL-terminated list. */
struct value *draft_strings(struct arena *a, const char *const *strings);

/* ElementDescription (or a type derived from Description with a key). */
struct value *draft_element(struct arena *a, const char *key, const char *label,
			    const char *summary);

/* Sets what the type requires and nobody set: false, 0, "", the first of an enumeration, and
 * structures (recursively) of the declared type; not references. */
void draft_fill(struct arena *a, struct value *v);

/* Sets these boolean fields; the list ends with -1. */
void draft_set_true(struct arena *a, struct value *v, const int *fields);
