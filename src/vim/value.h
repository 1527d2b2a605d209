/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed value trees: what the vSphere API calls data objects, in memory.
 *
 * A value is one of two things, and readers need not care which:
 *  - a *draft*, made in an arena by value_new_*() and the value_set_*() functions, mutable, gone
 *    with its arena (request scope);
 *  - a *kept* value, made by value_keep() from any value: immutable, counted, and interned, so that
 *    equal subtrees exist once in the process and equality is pointer equality. Ten thousand VMs
 *    with the same controllers share one copy of them.
 *
 * A structure stores only the fields that are set. Scalars live inside the slot; strings,
 * references, structures and arrays are pointers. A field declared anyType holds a boxed value of
 * any kind (scalars boxed by value_new_bool() and its kin).
 *
 * A draft may point to kept values (they must live as long as the arena: hold a count, or know that
 * the owner does not change within this turn of the event loop). A kept value never points to a
 * draft: value_keep() copies.
 *
 * Event-loop thread only: the intern table has no lock.
 */
#ifndef VIM_VALUE_H
#define VIM_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "vim/schema.h"

struct value;

/* Contents of a slot; which member counts follows from the field's kind. */
union slot {
	const struct value *value; /* KIND_STRING and above */
	int64_t num;		   /* KIND_BOOL … KIND_LONG, KIND_DATETIME, KIND_ENUM */
	double real;		   /* KIND_FLOAT, KIND_DOUBLE */
};

/* Header of every value; the payload follows. Use the functions below, not the members. */
struct value {
	uint32_t refs; /* kept: count; draft: 0 */
	uint16_t type; /* structure, enumeration, primitive; reference: managed type; array: element
			*/
	uint8_t kind;  /* enum schema_kind, KIND_ARRAY for arrays */
	uint8_t item;  /* array: kind of one element */
	uint32_t n; /* string, binary, reference: bytes; array: elements; structure: set fields */
	uint32_t hash; /* kept: hash of the contents; draft: capacity (array) */
};

/* ---- reading ---- */

static inline enum schema_kind value_kind(const struct value *v)
{
	return (enum schema_kind)v->kind;
}

/* Type id: of a structure its own (perhaps derived) type; of an array its element type. */
static inline uint16_t value_type(const struct value *v)
{
	return v->type;
}

/* True when v is a structure of that type or one derived from it. v may be NULL. */
static inline bool value_is_a(const struct value *v, uint16_t type)
{
	return v != NULL && v->kind == KIND_STRUCT && schema_is_a(v->type, type);
}

/* String, binary: the bytes (NUL-terminated) and their number. Reference: the object's id. */
const char *value_bytes(const struct value *v);
static inline size_t value_len(const struct value *v)
{
	return v->n;
}

/* Boxed scalar: its contents. */
union slot value_scalar(const struct value *v);

/* Field i of a structure (F_… index): true and the slot when it is set. v must be a structure. */
bool value_get(const struct value *v, unsigned field, union slot *out);

/* The same, by kind, with a default when unset or when v is NULL. */
bool value_get_bool(const struct value *v, unsigned field, bool otherwise);
int64_t value_get_num(const struct value *v, unsigned field, int64_t otherwise);
double value_get_real(const struct value *v, unsigned field, double otherwise);
/* Text of a string or of a reference's id; NULL when unset. */
const char *value_get_str(const struct value *v, unsigned field);
/* Any non-scalar (structure, array, string, reference, boxed any); NULL when unset. */
const struct value *value_get_value(const struct value *v, unsigned field);
bool value_has(const struct value *v, unsigned field);

/* Visits the set fields in wire order: start with *field = -1; false at the end. */
bool value_next(const struct value *v, int *field, union slot *out);

/* The same for inner loops: value_walk_begin(), then value_walk() until it is false. `v` does not
 * change meanwhile. */
struct value_walk {
	const uint64_t *bits;
	const union slot *slots;
	uint64_t rest; /* bits of this word that are still to come */
	unsigned word, n_words;
	unsigned next;	  /* slot of a kept value */
	bool is_by_field; /* a draft: slots are by field */
};
void value_walk_begin(struct value_walk *w, const struct value *v);

static inline bool value_walk(struct value_walk *w, unsigned *field, union slot *out)
{
	while (w->rest == 0) {
		if (++w->word >= w->n_words) {
			return false;
		}
		w->rest = w->bits[w->word];
	}
	*field = w->word * 64 + (unsigned)__builtin_ctzll(w->rest);
	*out = w->slots[w->is_by_field ? *field : w->next++];
	w->rest &= w->rest - 1;
	return true;
}

/* Arrays: number of elements (0 for NULL) and the i-th. Elements of arrays of anyType are boxed. */
static inline size_t value_count(const struct value *array)
{
	return array == NULL ? 0 : array->n;
}
union slot value_at(const struct value *array, size_t i);
const struct value *value_item(const struct value *array, size_t i); /* non-scalar elements */

/* ---- drafts ---- */

/* Each returns NULL only when the arena's limit is reached (and passes NULLs through). */
struct value *value_new(struct arena *a, uint16_t type);       /* empty structure */
struct value *value_new_array(struct arena *a, uint16_t type); /* of that element type; grows */
struct value *value_new_str(struct arena *a, const char *s);
struct value *value_new_strn(struct arena *a, const char *s, size_t n);
struct value *value_new_binary(struct arena *a, const void *p, size_t n);
struct value *value_new_ref(struct arena *a, uint16_t managed, const char *id);
struct value *value_new_refn(struct arena *a, uint16_t managed, const char *id, size_t n);
/* Boxed scalar: type T_boolean, T_int, T_long, T_dateTime, T_double, … or an enumeration. */
struct value *value_new_scalar(struct arena *a, uint16_t type, union slot s);
struct value *value_new_bool(struct arena *a, bool b);
struct value *value_new_int(struct arena *a, int32_t i);
struct value *value_new_long(struct arena *a, int64_t i);

/* Sets a field of a draft structure; NULL strings and values leave it unset. `v` must be a draft;
 * the field's kind must fit (asserted: our own bug). Arena exhaustion marks nothing and is seen by
 * the final value_keep()/reply; only parsers use limited arenas and check each step. */
void value_set_bool(struct arena *a, struct value *v, unsigned field, bool b);
void value_set_num(struct arena *a, struct value *v, unsigned field,
		   int64_t n); /* …int, enum, time */
void value_set_real(struct arena *a, struct value *v, unsigned field, double d);
void value_set_str(struct arena *a, struct value *v, unsigned field, const char *s);
void value_set_strf(struct arena *a, struct value *v, unsigned field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void value_set_ref(struct arena *a, struct value *v, unsigned field, uint16_t managed,
		   const char *id);
void value_set(struct arena *a, struct value *v, unsigned field, const struct value *x);
void value_set_slot(struct value *v, unsigned field, union slot s); /* kind already checked */
void value_unset(struct value *v, unsigned field);

/* Appends to a draft array; false only when the arena's limit is reached. */
bool value_push(struct arena *a, struct value *array, const struct value *x);
bool value_push_num(struct arena *a, struct value *array, int64_t n);
bool value_push_real(struct arena *a, struct value *array, double d);
bool value_push_str(struct arena *a, struct value *array, const char *s);

/* A draft with the same contents (one level: children are shared) that may be changed. Structure or
 * array. */
struct value *value_edit(struct arena *a, const struct value *v);

/* ---- kept values ---- */

/* The interned equal of v, counted for the caller (value_drop() it). NULL for NULL. */
const struct value *value_keep(const struct value *v);
/* One more count of a kept value. */
const struct value *value_hold(const struct value *v);
void value_drop(const struct value *v); /* accepts NULL */
static inline bool value_is_kept(const struct value *v)
{
	return v->refs != 0;
}

/* Would x be right in a field or property declared like f? */
bool value_fits(const struct schema_field *f, const struct value *x);

/* Deep equality (pointer comparison when both are kept). NULL equals only NULL. */
bool value_equal(const struct value *a, const struct value *b);

/* Figures for metrics: number of kept values and their bytes. */
void value_stats(size_t *n_kept, size_t *n_bytes);

#endif
