/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Privileges by number, and sets of them. The names are those that the schema's methods carry and
 * a list of further ones that vSphere defines without a method of their own.
 * The table is made at the first call and never changes. Event-loop thread only.
 */
#ifndef VIM_PRIVILEGE_H
#define VIM_PRIVILEGE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	PRIVILEGES_MAX = 1024
};

struct privilege_set {
	uint64_t bits[PRIVILEGES_MAX / 64];
};

unsigned privilege_count(void);
const char *privilege_name(unsigned i); /* in alphabetical order; i < privilege_count() */
int privilege_find(const char *name);	/* -1: unknown */

static inline bool privilege_set_has(const struct privilege_set *s, unsigned i)
{
	return (s->bits[i / 64] >> (i % 64) & 1) != 0;
}

static inline void privilege_set_add(struct privilege_set *s, unsigned i)
{
	s->bits[i / 64] |= UINT64_C(1) << (i % 64);
}

void privilege_set_add_all(struct privilege_set *s);
void privilege_set_join(struct privilege_set *s, const struct privilege_set *other);

#endif
