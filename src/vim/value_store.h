/* SPDX-License-Identifier: Apache-2.0 */
/* The intern table behind kept values; for value.c only. */
#ifndef VIM_VALUE_STORE_H
#define VIM_VALUE_STORE_H

#include "vim/value.h"

/* The kept value with this header (kind, type, item, n) and payload, counted once for the caller.
 * Takes over the counts of the children in `payload`: where an equal value existed, they are
 * dropped. */
const struct value *value_store_intern(const struct value *head, const void *payload, size_t n);
void value_store_hold(const struct value *v);

/* Drops the counts that v holds on its children. */
void value_children_drop(const struct value *v);

#endif
