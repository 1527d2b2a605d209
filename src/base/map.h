/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash maps from strings (struct map) or 64-bit numbers (struct map64) to pointers.
 *
 * Iteration is in order of insertion. The map owns its copies of string keys, never the values.
 * Hashes are seeded per process, so chosen keys cannot pile up. A NULL value counts as present:
 * ask map_has(). {0} is an empty map. At most 2^30 entries. One thread at a time.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macro.h"

struct map_entry {
	uint64_t hash; /* 0: removed */
	union {
		char *key;
		uint64_t id;
	};
	void *value; /* may be changed in place */
};

struct map {
	struct map_entry *entries; /* in order of insertion, with holes where removed */
	uint32_t *index;	   /* mask + 1 slots: place in entries, or a marker */
	uint32_t n;		   /* present */
	uint32_t n_entries;	   /* used in entries, counting holes */
	uint32_t cap;		   /* of entries */
	uint32_t mask;
};

struct map64 {
	struct map m;
};

/* NULL where absent. */
void *map_get(const struct map *m, const char *key);
void *map_get_n(const struct map *m, const char *key, size_t n); /* key of n bytes */
bool map_has(const struct map *m, const char *key);
/* The value that was there before, or NULL. */
void *map_set(struct map *m, const char *key, void *value);
void *map_remove(struct map *m, const char *key);
void map_clear(struct map *m);
void map_free(struct map *m); /* usable again afterwards */
/* Calls fn on each value first; fn is e.g. free. */
void map_free_values(struct map *m, void (*fn)(void *value));

void *map64_get(const struct map64 *m, uint64_t id);
bool map64_has(const struct map64 *m, uint64_t id);
void *map64_set(struct map64 *m, uint64_t id, void *value);
void *map64_remove(struct map64 *m, uint64_t id);
void map64_clear(struct map64 *m);
void map64_free(struct map64 *m);
void map64_free_values(struct map64 *m, void (*fn)(void *value));

static inline size_t map_n(const struct map *m)
{
	return m->n;
}

static inline size_t map64_n(const struct map64 *m)
{
	return m->m.n;
}

/* First entry at or after place i, or NULL. */
static inline struct map_entry *map_entry_from_(const struct map *m, uint32_t i)
{
	while (i < m->n_entries && m->entries[i].hash == 0) {
		i++;
	}
	return i < m->n_entries ? &m->entries[i] : NULL;
}

static inline struct map_entry *map_entry_next_(const struct map *m, const struct map_entry *e)
{
	return map_entry_from_(m, (uint32_t)(e - m->entries) + 1);
}

/* `struct map_entry *it` for each entry. The body may remove entries, any, but add none. */
#define map_each(m, it)                                                                            \
	for (struct map_entry *it = map_entry_from_((m), 0); it; it = map_entry_next_((m), it))
#define map64_each(m64, it) map_each (&(m64)->m, it)

/* The seeded hash itself (SipHash-1-3), never 0. */
uint64_t map_hash(const void *p, size_t n);

#endif
