/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of host/vmx.h, shared by the reader and writer of the text (vmx_text.c) and the access by
 * key (vmx.c).
 */
#ifndef HOST_VMX_LINES_H
#define HOST_VMX_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "host/vmx.h"

/* All strings owned. */
struct vmx_item {
	char *before; /* comment and blank lines in front, each with its '\n'; NULL: none */
	char *raw;    /* the line as read, without '\n'; NULL: made from key and value */
	char *key;
	char *value;
};

struct vmx {
	struct vmx_item *items;
	size_t n_items, capacity;
	char *after; /* comments behind the last entry; NULL: none */
};

/* Appends an item that takes over the strings. */
void vmx_append(struct vmx *v, struct vmx_item item);

/* Whether key can be a key, and value a value. */
bool vmx_check_key(const char *key, size_t len, struct error *e);
bool vmx_check_value(const char *key, const char *value, size_t len, struct error *e);

struct vmx_item *vmx_find(const struct vmx *v, const char *key);

#endif
