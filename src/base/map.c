/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A dense array of entries and, beside it, an open-addressed index with linear probing.
 *
 * Invariants:
 *  1. n <= n_entries <= cap, and cap is 3/4 of the index: a probe always meets an empty slot.
 *  2. An entry with hash != 0 is found from exactly one index slot; a slot whose entry was
 *     removed holds GONE until the next rebuild.
 *  3. Only rebuild() moves entries, and only a set calls it; so removing while iterating is safe.
 */
#include "base/map.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include <sodium.h>

#include "base/mem.h"

#define EMPTY	  UINT32_MAX
#define GONE	  (UINT32_MAX - 1)
#define INDEX_MIN 8U
#define INDEX_MAX (1U << 31)

static uint64_t seed[2];
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void make_seed(void)
{
	randombytes_buf(seed, sizeof(seed));
}

static inline uint64_t rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v2 = rotl(s->v2, 32);
}

/* Aumasson and Bernstein, "SipHash: a fast short-input PRF", with 1 and 3 rounds. */
static uint64_t sip_hash(const unsigned char *p, size_t n)
{
	struct sip s = {
		.v0 = seed[0] ^ 0x736f6d6570736575ULL,
		.v1 = seed[1] ^ 0x646f72616e646f6dULL,
		.v2 = seed[0] ^ 0x6c7967656e657261ULL,
		.v3 = seed[1] ^ 0x7465646279746573ULL,
	};
	uint64_t last = (uint64_t)n << 56;
	uint64_t word;
	for (; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		s.v3 ^= word;
		sip_round(&s);
		s.v0 ^= word;
	}
	for (size_t i = 0; i < n; i++) {
		last |= (uint64_t)p[i] << (8 * i);
	}
	s.v3 ^= last;
	sip_round(&s);
	s.v0 ^= last;
	s.v2 ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t map_hash(const void *p, size_t n)
{
	pthread_once(&seed_once, make_seed);
	uint64_t h = sip_hash(p, n);
	return h ? h : 1;
}

static uint64_t hash_id(uint64_t id)
{
	return map_hash(&id, sizeof(id));
}

/* What is looked for: a string of n bytes, or a number where key is NULL. */
struct probe {
	uint64_t hash;
	const char *key;
	size_t n;
	uint64_t id;
};

static bool is_match(const struct map_entry *e, const struct probe *p)
{
	if (e->hash != p->hash) {
		return false;
	}
	if (!p->key) {
		return e->id == p->id;
	}
	return strncmp(e->key, p->key, p->n) == 0 && e->key[p->n] == '\0';
}

/* The index slot of the entry, or NULL. */
static uint32_t *find_slot(const struct map *m, const struct probe *p)
{
	if (!m->n) {
		return NULL;
	}
	for (uint32_t i = (uint32_t)p->hash & m->mask;; i = (i + 1) & m->mask) {
		uint32_t at = m->index[i];
		if (at == EMPTY) {
			return NULL;
		}
		if (at != GONE && is_match(&m->entries[at], p)) {
			return &m->index[i];
		}
	}
}

static struct map_entry *find(const struct map *m, const struct probe *p)
{
	uint32_t *slot = find_slot(m, p);
	return slot ? &m->entries[*slot] : NULL;
}

static void index_put(struct map *m, uint64_t hash, uint32_t at)
{
	uint32_t i = (uint32_t)hash & m->mask;
	while (m->index[i] != EMPTY) {
		i = (i + 1) & m->mask;
	}
	m->index[i] = at;
}

/* Closes the holes and makes the index at least half as large again as needed. */
static void rebuild(struct map *m)
{
	uint32_t size = INDEX_MIN;
	while (size / 2 <= m->n) {
		assert(size < INDEX_MAX);
		size *= 2;
	}
	assert(m->entries || m->n_entries == 0);
	uint32_t n = 0;
	for (uint32_t i = 0; i < m->n_entries; i++) {
		if (m->entries[i].hash) {
			m->entries[n++] = m->entries[i];
		}
	}
	m->n_entries = n;
	m->cap = size / 4 * 3;
	m->entries = mem_realloc_array(m->entries, m->cap, sizeof(*m->entries));
	free(m->index);
	m->index = mem_realloc_array(NULL, size, sizeof(*m->index));
	memset(m->index, 0xff, size * sizeof(*m->index));
	m->mask = size - 1;
	for (uint32_t i = 0; i < n; i++) {
		index_put(m, m->entries[i].hash, i);
	}
}

/* A new entry without its key. */
static struct map_entry *insert(struct map *m, uint64_t hash)
{
	if (m->n_entries == m->cap) {
		rebuild(m);
	}
	assert(m->entries);
	index_put(m, hash, m->n_entries);
	struct map_entry *e = &m->entries[m->n_entries++];
	e->hash = hash;
	m->n++;
	return e;
}

/* Leaves the key to the caller. */
static struct map_entry *take_out(struct map *m, const struct probe *p)
{
	uint32_t *slot = find_slot(m, p);
	if (!slot) {
		return NULL;
	}
	struct map_entry *e = &m->entries[*slot];
	*slot = GONE;
	e->hash = 0;
	m->n--;
	return e;
}

static void drop(struct map *m)
{
	free(m->entries);
	free(m->index);
	*m = (struct map){ 0 };
}

static struct probe probe_string(const char *key, size_t n)
{
	return (struct probe){ .hash = map_hash(key, n), .key = key, .n = n };
}

void *map_get_n(const struct map *m, const char *key, size_t n)
{
	struct probe p = probe_string(key, n);
	struct map_entry *e = find(m, &p);
	return e ? e->value : NULL;
}

void *map_get(const struct map *m, const char *key)
{
	return map_get_n(m, key, strlen(key));
}

bool map_has(const struct map *m, const char *key)
{
	struct probe p = probe_string(key, strlen(key));
	return find_slot(m, &p) != NULL;
}

void *map_set(struct map *m, const char *key, void *value)
{
	struct probe p = probe_string(key, strlen(key));
	struct map_entry *e = find(m, &p);
	void *old = NULL;
	if (e) {
		old = e->value;
	} else {
		e = insert(m, p.hash);
		e->key = mem_strdup(key);
	}
	e->value = value;
	return old;
}

void *map_remove(struct map *m, const char *key)
{
	struct probe p = probe_string(key, strlen(key));
	struct map_entry *e = take_out(m, &p);
	if (!e) {
		return NULL;
	}
	free(e->key);
	e->key = NULL;
	return e->value;
}

void map_clear(struct map *m)
{
	map_free(m);
}

void map_free(struct map *m)
{
	if (m) {
		map_each (m, e) {
			free(e->key);
		}
		drop(m);
	}
}

void map_free_values(struct map *m, void (*fn)(void *value))
{
	if (m) {
		map_each (m, e) {
			fn(e->value);
		}
		map_free(m);
	}
}

void *map64_get(const struct map64 *m, uint64_t id)
{
	struct probe p = { .hash = hash_id(id), .id = id };
	struct map_entry *e = find(&m->m, &p);
	return e ? e->value : NULL;
}

bool map64_has(const struct map64 *m, uint64_t id)
{
	struct probe p = { .hash = hash_id(id), .id = id };
	return find_slot(&m->m, &p) != NULL;
}

void *map64_set(struct map64 *m, uint64_t id, void *value)
{
	struct probe p = { .hash = hash_id(id), .id = id };
	struct map_entry *e = find(&m->m, &p);
	void *old = NULL;
	if (e) {
		old = e->value;
	} else {
		e = insert(&m->m, p.hash);
		e->id = id;
	}
	e->value = value;
	return old;
}

void *map64_remove(struct map64 *m, uint64_t id)
{
	struct probe p = { .hash = hash_id(id), .id = id };
	struct map_entry *e = take_out(&m->m, &p);
	return e ? e->value : NULL;
}

void map64_clear(struct map64 *m)
{
	drop(&m->m);
}

void map64_free(struct map64 *m)
{
	if (m) {
		drop(&m->m);
	}
}

void map64_free_values(struct map64 *m, void (*fn)(void *value))
{
	if (m) {
		map_each (&m->m, e) {
			fn(e->value);
		}
		drop(&m->m);
	}
}
