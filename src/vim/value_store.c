/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kept values: a hash table of all of them (open addressing, linear probing, no tombstones: removal
 * shifts back), over memory from size classes of 8 bytes, so that a node costs its bytes and 8 to
 * 16 more for its place in the table.
 */
#include "vim/value_store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
	CLASS_STEP = 8,
	N_CLASSES = 65,
	CHUNK = 64 << 10,
	FIRST_SLOTS = 1 << 10
};

struct free_node {
	struct free_node *next;
};

static struct {
	struct value **slots;
	size_t mask; /* number of slots - 1; 0: no table yet */
	size_t n, bytes;
	struct free_node *free[N_CLASSES];
	char *chunk;
	size_t chunk_left;
} store;

static size_t payload_size(const struct value *v)
{
	if (v->kind == KIND_STRUCT) {
		return ((schema_types[v->type].n_fields + 63U) / 64U + v->n) * sizeof(uint64_t);
	}
	if (v->kind == KIND_ARRAY) {
		return v->n * sizeof(union slot);
	}
	return schema_kind_is_scalar(v->kind) ? sizeof(union slot) : (size_t)v->n + 1;
}

/* ---- memory ---- */

static struct value *node_alloc(size_t n)
{
#ifdef __SANITIZE_ADDRESS__
	return mem_alloc(n);
#endif
	size_t class = (n + CLASS_STEP - 1) / CLASS_STEP;
	if (class >= N_CLASSES) {
		return mem_alloc(n);
	}
	struct free_node *f = store.free[class];
	if (f != NULL) {
		store.free[class] = f->next;
		return (struct value *)(void *)f;
	}
	n = class * CLASS_STEP;
	if (store.chunk_left < n) {
		store.chunk = mem_alloc(CHUNK);
		store.chunk_left = CHUNK;
	}
	store.chunk_left -= n;
	return (struct value *)(void *)(store.chunk + store.chunk_left);
}

static void node_free(struct value *v, size_t n)
{
	size_t class = (n + CLASS_STEP - 1) / CLASS_STEP;
#ifdef __SANITIZE_ADDRESS__
	class = N_CLASSES;
#endif
	if (class >= N_CLASSES) {
		free(v);
		return;
	}
	struct free_node *f = (struct free_node *)(void *)v;
	f->next = store.free[class];
	store.free[class] = f;
}

/* ---- table ---- */

static uint64_t mix(uint64_t h, uint64_t x)
{
	h ^= x;
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return h ^ (h >> 29);
}

static uint32_t hash_of(const struct value *head, const void *payload, size_t n)
{
	const unsigned char *p = payload;
	uint64_t h = ((uint64_t)head->kind << 56) ^ ((uint64_t)head->type << 40) ^
		     ((uint64_t)head->item << 32) ^ head->n;

	for (; n >= 8; n -= 8, p += 8) {
		uint64_t word;
		memcpy(&word, p, sizeof(word));
		h = mix(h, word);
	}
	uint64_t tail = 0;
	for (size_t i = 0; i < n; i++) {
		tail |= (uint64_t)p[i] << (8 * i);
	}
	h = mix(h, tail);
	return (uint32_t)(h ^ (h >> 32));
}

static bool same(const struct value *v, const struct value *head, const void *payload, size_t n)
{
	return v->hash == head->hash && v->kind == head->kind && v->type == head->type &&
	       v->item == head->item && v->n == head->n && memcmp(v + 1, payload, n) == 0;
}

static void table_grow(void)
{
	size_t n_slots = store.mask == 0 ? FIRST_SLOTS : (store.mask + 1) * 2;
	struct value **old = store.slots;
	size_t n_old = store.mask == 0 ? 0 : store.mask + 1;

	store.slots = mem_calloc(n_slots, sizeof(*store.slots));
	store.mask = n_slots - 1;
	for (size_t i = 0; i < n_old; i++) {
		if (old[i] == NULL) {
			continue;
		}
		size_t at = old[i]->hash & store.mask;
		while (store.slots[at] != NULL) {
			at = (at + 1) & store.mask;
		}
		store.slots[at] = old[i];
	}
	free(old);
}

const struct value *value_store_intern(const struct value *head, const void *payload, size_t n)
{
	struct value h = *head;

	if (store.mask == 0 || (store.n + 1) * 8 > (store.mask + 1) * 7) {
		table_grow();
	}
	h.hash = hash_of(&h, payload, n);
	size_t at = h.hash & store.mask;
	for (; store.slots[at] != NULL; at = (at + 1) & store.mask) {
		struct value *known = store.slots[at];
		if (same(known, &h, payload, n)) {
			value_children_drop(known); /* the caller's counts on the same children */
			known->refs++;
			return known;
		}
	}
	struct value *v = node_alloc(sizeof(*v) + n);
	h.refs = 1;
	*v = h;
	memcpy(v + 1, payload, n);
	store.slots[at] = v;
	store.n++;
	store.bytes += sizeof(*v) + n;
	return v;
}

static void table_remove(const struct value *v)
{
	size_t at = v->hash & store.mask;

	while (store.slots[at] != v) {
		at = (at + 1) & store.mask;
	}
	size_t hole = at;
	for (;;) {
		at = (at + 1) & store.mask;
		struct value *next = store.slots[at];
		if (next == NULL) {
			break;
		}
		size_t home = next->hash & store.mask;
		/* Move it back unless its home lies cyclically after the hole. */
		if (((at - home) & store.mask) >= ((at - hole) & store.mask)) {
			store.slots[hole] = next;
			hole = at;
		}
	}
	store.slots[hole] = NULL;
	store.n--;
}

void value_store_hold(const struct value *v)
{
	struct value *m = (struct value *)(uintptr_t)v;

	assert(m->refs != 0 && m->refs != UINT32_MAX);
	m->refs++;
}

void value_drop(const struct value *v)
{
	if (v == NULL) {
		return;
	}
	struct value *m = (struct value *)(uintptr_t)v;
	assert(m->refs != 0);
	if (m->refs > 1) {
		m->refs--;
		return;
	}
	size_t n = sizeof(*m) + payload_size(m);
	table_remove(m);
	value_children_drop(m);
	store.bytes -= n;
	node_free(m, n);
}

void value_stats(size_t *n_kept, size_t *n_bytes)
{
	*n_kept = store.n;
	*n_bytes = store.bytes + (store.mask + 1) * sizeof(*store.slots);
}
