/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readable words from the schema's names: "PowerOnVM" → "power on virtual machine". Used where the
 * API wants a description of something that the schema only names. Any thread.
 */
#ifndef VIM_WORDING_H
#define VIM_WORDING_H

#include <stddef.h>

#include "base/buf.h"

/* Appends the words of a name in camel case, in lower case with single spaces; abbreviations stay
 * capital (CPU, NIC, …) or are spelled out (VM, Dvs, …). */
void wording_add(struct buf *b, const char *name, size_t len);

/* Makes the first letter at `from` a capital. */
void wording_capital(struct buf *b, size_t from);

#endif
