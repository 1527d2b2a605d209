/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow table's inside, for the worker's loops that find records by the burst, and for flow.c.
 * Everybody else uses flow.h.
 *
 * A burst goes in three passes, so that memory waits overlap: flow_prefetch() by the hash,
 * flow_guess() which fetches the record that probably is it, flow_confirm().
 */
#ifndef SWITCH_FLOW_HOT_H
#define SWITCH_FLOW_HOT_H

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#include "switch/flow.h"

#define FLOW_DIRECTION 0x80000000u /* in an index entry: end 1's */

enum {
	FLOW_SLOTS = 4096, /* of the wheel: 1,024 s */
	FLOW_DUE = FLOW_SLOTS,
};

struct flow_bucket {
	uint16_t signature[8]; /* 0: free */
	uint32_t at[8];	       /* index of a record, and the direction */
	/* No fewer than the entries that are in their second bucket and have this one as their
	 * first: where it is 0, who does not find a key here need not look there. */
	uint16_t n_away;
	uint8_t spare[14];
};
_Static_assert(sizeof(struct flow_bucket) == 64, "a bucket is a cache line");

/* At the beginning of the file. */
struct flow_header {
	char magic[8];
	uint32_t version, n_max, n_buckets;
	uint32_t high_water; /* records that were ever used */
	uint64_t seed;
	uint32_t n_ifaces; /* highest used, plus one */
	uint32_t epoch;	   /* the last that records were judged under */
	char ifaces[FLOW_IFACES_MAX][FLOW_IFACE_NAME_MAX];
};

struct flow_table {
	struct flow_header *header;
	struct flow *flows;
	struct flow_bucket *buckets;
	uint32_t bucket_mask, mask; /* mask: of record indexes */
	uint64_t seed;
	uint32_t n;
	uint32_t *free; /* a stack of n_free records: the last that was freed is at hand */
	uint32_t n_free;
	uint32_t tick;			/* that the wheel has come to */
	uint32_t slots[FLOW_SLOTS + 1]; /* heads of lists; the last: what is due to be looked at */
	uint32_t adopt_at, adopt_end;	/* records in between are in neither wheel nor free list */
	size_t size;
	size_t page, touched; /* of huge pages: how far flow_touch() has come */
	int fd;
	char *path;
	uint32_t n_of[FLOW_IFACES_MAX]; /* by the interface of end 0 */
};

static inline uint16_t flow_signature(uint64_t hash)
{
	return (uint16_t)(hash >> 48) | 1;
}

static inline struct flow_bucket *flow_bucket(const struct flow_table *t, uint64_t hash,
					      unsigned which)
{
	uint32_t h = (uint32_t)hash;

	return &t->buckets[(which == 0 ? h : h ^ flow_signature(hash) * 0x5bd1e995u) &
			   t->bucket_mask];
}

static inline void flow_prefetch(const struct flow_table *t, uint64_t hash)
{
	__builtin_prefetch(flow_bucket(t, hash, 0));
}

/* Entries of a bucket that bear the signature, as a bit set; on any processor. */
static inline unsigned flow_candidates_one_by_one(const struct flow_bucket *b, uint16_t signature)
{
	unsigned found = 0;

	for (unsigned i = 0; i < 8; i++) {
		found |= (unsigned)(b->signature[i] == signature) << i;
	}
	return found;
}

/* The same at once. SSE2 and NEON are in every processor of their architecture (x86-64, AArch64),
 * so nothing is left to choose at run time. */
static inline unsigned flow_candidates(const struct flow_bucket *b, uint16_t signature)
{
#if defined(__SSE2__)
	__m128i all = _mm_load_si128((const void *)b->signature);
	__m128i same = _mm_cmpeq_epi16(all, _mm_set1_epi16((int16_t)signature));

	return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(same, _mm_setzero_si128()));
#elif defined(__ARM_NEON)
	static const uint16_t bits[8] = { 1, 2, 4, 8, 16, 32, 64, 128 };
	uint16x8_t same = vceqq_u16(vld1q_u16(b->signature), vdupq_n_u16(signature));

	return vaddvq_u16(vandq_u16(same, vld1q_u16(bits)));
#else
	return flow_candidates_one_by_one(b, signature);
#endif
}

/* The entry that probably is it, with its record on the way; FLOW_NONE: not in the first bucket. */
static inline uint32_t flow_guess(const struct flow_table *t, uint64_t hash)
{
	const struct flow_bucket *b = flow_bucket(t, hash, 0);
	unsigned found = flow_candidates(b, flow_signature(hash));

	if (found == 0) {
		return FLOW_NONE;
	}
	uint32_t at = b->at[__builtin_ctz(found)];
	const struct flow *f = &t->flows[at & t->mask];
	__builtin_prefetch(f);
	__builtin_prefetch((const char *)f + 64);
	return at;
}

_Static_assert(offsetof(struct flow, iface) == 12 && offsetof(struct flow, flags) == 17,
	       "the words of a record");

/* Both are read by words: a record's first 16 bytes are as a key's, but for an end's interface. */
static inline bool flow_matches(const struct flow *f, const struct flow_key *k, unsigned d)
{
	uint64_t a, b, addresses;
	uint32_t ports;

	memcpy(&a, k, 8);
	memcpy(&b, (const char *)k + 8, 8);
	memcpy(&addresses, f->address, 8);
	memcpy(&ports, f->port, 4);
	addresses = addresses << (32 * d) | addresses >> (32 * d);
	ports = ports << (16 * d) | ports >> (16 * d);
	uint8_t kind = (f->flags & (FLOW_IN_USE | FLOW_IP6)) == FLOW_IN_USE ? 4 : 6;
	uint64_t rest = (uint64_t)kind << 56 | (uint64_t)f->proto << 48 |
			(uint64_t)f->iface[d] << 32 | ports;
	if (((addresses ^ a) | (rest ^ b)) != 0) {
		return false;
	}
	return kind == 4 ||
	       ((f->flags & FLOW_IN_USE) != 0 && memcmp(f->high[d], k->src_high, 12) == 0 &&
		memcmp(f->high[1 - d], k->dst_high, 12) == 0);
}

/* The record of a key in one of its buckets, or NULL. */
static inline struct flow *flow_find_in(const struct flow_table *t, const struct flow_bucket *b,
					const struct flow_key *k, uint64_t hash,
					unsigned *direction)
{
	unsigned found = flow_candidates(b, flow_signature(hash));

	for (; found != 0; found &= found - 1) {
		uint32_t at = b->at[__builtin_ctz(found)];
		struct flow *f = &t->flows[at & t->mask];
		if (flow_matches(f, k, at >> 31)) {
			*direction = at >> 31;
			return f;
		}
	}
	return NULL;
}

/* What flow_guess() said, checked, or else searched for. */
static inline struct flow *flow_confirm(const struct flow_table *t, const struct flow_key *k,
					uint64_t hash, uint32_t guess, unsigned *direction)
{
	const struct flow_bucket *first = flow_bucket(t, hash, 0);

	if (guess != FLOW_NONE) {
		struct flow *f = &t->flows[guess & t->mask];
		*direction = guess >> 31;
		if (__builtin_expect(flow_matches(f, k, *direction), 1)) {
			return f;
		}
		f = flow_find_in(t, first, k, hash, direction);
		if (f != NULL) {
			return f;
		}
	}
	return first->n_away == 0 ? NULL
				  : flow_find_in(t, flow_bucket(t, hash, 1), k, hash, direction);
}

/* Fetches the record that the nth insertion from now, from 0, will write. */
static inline void flow_prefetch_free(const struct flow_table *t, uint32_t nth)
{
	uint32_t at = nth < t->n_free ? t->free[t->n_free - 1 - nth]
				      : t->header->high_water + nth - t->n_free;
	const char *f = (const char *)&t->flows[at & t->mask];

	__builtin_prefetch(f, 1);
	__builtin_prefetch(f + 64, 1);
}

#endif
