/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/seen.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "base/random.h"
#include "switch/flow.h"

#define WAYS 8

struct entry {
	uint32_t version;    /* odd while it is written */
	uint32_t asked;	     /* tick */
	struct seen_entry e; /* address.ip 0: free */
};

struct seen {
	pthread_mutex_t lock; /* of writers */
	uint64_t seed;
	uint64_t changes; /* atomic */
	uint32_t age_at;
	uint32_t n_quarrels;
	struct seen_quarrel quarrels[SEEN_QUARRELS];
	uint8_t n_of[FLOW_IFACES_MAX];
	/* Of each entry 8 bits of its key's hash, odd; 0: free. Who is not there is not looked for.
	 */
	uint8_t tags[SEEN_MAX] __attribute__((aligned(8)));
	struct entry entries[SEEN_MAX];
};

struct seen *seen_new(void)
{
	struct seen *s = mem_zalloc(sizeof(*s));

	pthread_mutex_init(&s->lock, NULL);
	s->seed = random_u64() | 1;
	return s;
}

void seen_free(struct seen *s)
{
	if (s != NULL) {
		pthread_mutex_destroy(&s->lock);
		free(s);
	}
}

/* ---- entries ---- */

static uint64_t mix(uint64_t v, uint64_t seed)
{
	v = (v ^ (v >> 31)) * seed;
	v = (v ^ (v >> 29)) * 0x9e3779b97f4a7c15u;
	return v ^ (v >> 32);
}

static uint64_t hash_of(const struct seen *s, uint64_t segment, const struct address *a)
{
	uint64_t low, high;

	memcpy(&low, a->bytes, 8);
	memcpy(&high, a->bytes + 8, 8);
	return mix(low ^ mix(high ^ mix(segment, s->seed), s->seed), s->seed);
}

static size_t place_at(uint64_t hash)
{
	return hash % (SEEN_MAX / WAYS) * WAYS;
}

static uint8_t tag_of(uint64_t hash)
{
	return (uint8_t)(hash >> 56) | 1;
}

static struct entry *bucket_of(const struct seen *s, uint64_t segment, const struct address *a)
{
	return (struct entry *)(uintptr_t)&s->entries[place_at(hash_of(s, segment, a))];
}

/* Entries of a bucket that may have that tag: bit 8 n + 7 for the nth; those that have it are
 * among them. */
static uint64_t candidates(const struct seen *s, uint64_t hash)
{
	const uint64_t ones = 0x0101010101010101u;
	uint64_t tags;

	memcpy(&tags, s->tags + place_at(hash), sizeof(tags));
	tags ^= tag_of(hash) * ones;
	return (tags - ones) & ~tags & (ones << 7);
}

static bool is_of(const struct seen_entry *e, uint64_t segment, const struct address *a)
{
	return e->segment == segment && e->address.ip == a->ip &&
	       memcmp(e->address.bytes, a->bytes, sizeof(a->bytes)) == 0;
}

static bool is_at(const struct seen_entry *e, const struct seen_at *at)
{
	return e->at.iface == at->iface && memcmp(e->at.mac, at->mac, 6) == 0;
}

/* A copy that is whole; false where a writer is at it, or there is nothing. */
static bool read_entry(const struct entry *from, struct seen_entry *out)
{
	uint32_t version = __atomic_load_n(&from->version, __ATOMIC_ACQUIRE);

	*out = from->e;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return (version & 1) == 0 && __atomic_load_n(&from->version, __ATOMIC_RELAXED) == version &&
	       out->address.ip != 0;
}

/* Under the lock. */
static void write_entry(struct seen *s, struct entry *to, const struct seen_entry *e)
{
	bool is_other = to->e.address.ip != e->address.ip || !is_at(&to->e, &e->at) ||
			!is_of(&to->e, e->segment, &e->address);

	if (is_other && to->e.address.ip != 0) {
		s->n_of[to->e.at.iface % FLOW_IFACES_MAX]--;
	}
	if (is_other && e->address.ip != 0) {
		s->n_of[e->at.iface % FLOW_IFACES_MAX]++;
	}
	__atomic_store_n(&to->version, to->version + 1, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	to->e = *e;
	__atomic_store_n(&to->version, to->version + 1, __ATOMIC_RELEASE);
	s->tags[to - s->entries] =
		e->address.ip == 0 ? 0 : tag_of(hash_of(s, e->segment, &e->address));
	if (is_other) {
		__atomic_store_n(&s->changes, s->changes + 1, __ATOMIC_RELEASE);
	}
}

static void clear_entry(struct seen *s, struct entry *at)
{
	write_entry(s, at, &(struct seen_entry){ .segment = 0 });
}

/* The entry of an address, or the one to give up for it. Under the lock. */
static struct entry *place_of(struct entry *bucket, uint64_t segment, const struct address *a)
{
	struct entry *oldest = bucket;

	for (int i = 0; i < WAYS; i++) {
		if (is_of(&bucket[i].e, segment, a)) {
			return &bucket[i];
		}
		if (bucket[i].e.address.ip == 0 ||
		    (oldest->e.address.ip != 0 &&
		     (int32_t)(bucket[i].e.tick - oldest->e.tick) < 0)) {
			oldest = &bucket[i];
		}
	}
	return oldest;
}

/* ---- noting ---- */

static void add_quarrel(struct seen *s, const struct seen_quarrel *q)
{
	for (uint32_t i = 0; i < s->n_quarrels; i++) {
		if (s->quarrels[i].iface == q->iface &&
		    s->quarrels[i].is_too_many == q->is_too_many &&
		    is_of(&(struct seen_entry){ .segment = s->quarrels[i].segment,
						.address = s->quarrels[i].address },
			  q->segment, &q->address)) {
			return;
		}
	}
	if (s->n_quarrels < SEEN_QUARRELS) {
		s->quarrels[s->n_quarrels++] = *q;
	}
}

enum seen_result seen_claim(struct seen *s, uint64_t segment, const struct address *address,
			    const struct seen_at *at, uint32_t now)
{
	const struct seen_entry e = { segment, *address, *at, now };
	struct seen_quarrel q = { segment, *address, at->iface, 0, false };
	enum seen_result r = SEEN_NEW;

	pthread_mutex_lock(&s->lock);
	struct entry *to = place_of(bucket_of(s, segment, address), segment, address);
	if (is_of(&to->e, segment, address)) {
		r = is_at(&to->e, at) ? SEEN_KNOWN : SEEN_MOVED;
		if (to->e.at.iface != at->iface && now - to->e.tick < SEEN_MOVE_TICKS) {
			q.other = to->e.at.iface;
			add_quarrel(s, &q);
		}
	}
	if (r != SEEN_KNOWN && to->e.at.iface != at->iface &&
	    s->n_of[at->iface % FLOW_IFACES_MAX] >= SEEN_OF_IFACE_MAX) {
		q.is_too_many = true;
		add_quarrel(s, &q);
		r = SEEN_FULL;
	} else {
		write_entry(s, to, &e);
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

bool seen_use(struct seen *s, uint64_t segment, const struct address *address,
	      const struct seen_at *at, uint32_t now)
{
	uint64_t hash = hash_of(s, segment, address);
	const struct entry *bucket = &s->entries[place_at(hash)];
	struct seen_entry e;

	for (uint64_t left = candidates(s, hash); left != 0; left &= left - 1) {
		if (!read_entry(&bucket[__builtin_ctzll(left) / 8], &e) ||
		    !is_of(&e, segment, address)) {
			continue;
		}
		if (is_at(&e, at) && now - e.tick < SEEN_TICKS) {
			if (e.tick != now) {
				(void)seen_claim(s, segment, address, at, now);
			}
			return true;
		}
		return false;
	}
	return false;
}

void seen_forget(struct seen *s, uint64_t segment, const struct address *address)
{
	struct entry *bucket = bucket_of(s, segment, address);
	struct seen_entry copy;
	bool is_known = false;

	for (int i = 0; i < WAYS; i++) {
		is_known |= read_entry(&bucket[i], &copy) && is_of(&copy, segment, address);
	}
	if (!is_known) {
		return;
	}
	pthread_mutex_lock(&s->lock);
	struct entry *e = place_of(bucket, segment, address);
	if (is_of(&e->e, segment, address)) {
		clear_entry(s, e);
	}
	pthread_mutex_unlock(&s->lock);
}

/* ---- asking ---- */

bool seen_find(const struct seen *s, uint64_t segment, const struct address *address, uint32_t now,
	       uint32_t ticks, struct seen_at *out)
{
	uint64_t hash = hash_of(s, segment, address);
	const struct entry *bucket = &s->entries[place_at(hash)];
	struct seen_entry e;

	for (uint64_t left = candidates(s, hash); left != 0; left &= left - 1) {
		if (read_entry(&bucket[__builtin_ctzll(left) / 8], &e) &&
		    is_of(&e, segment, address) && now - e.tick < ticks) {
			*out = e.at;
			return true;
		}
	}
	return false;
}

void seen_each(const struct seen *s, uint32_t now,
	       void (*fn)(void *arg, const struct seen_entry *e), void *arg)
{
	struct seen_entry e;

	for (size_t i = 0; i < SEEN_MAX; i++) {
		if (read_entry(&s->entries[i], &e) && (int32_t)(now - e.tick) < SEEN_TICKS) {
			fn(arg, &e);
		}
	}
}

void seen_age(struct seen *s, uint32_t now, unsigned n, const struct seen_care *care)
{
	for (unsigned i = 0; i < n; i++) {
		struct entry *at = &s->entries[s->age_at];
		s->age_at = (s->age_at + 1) % SEEN_MAX;
		struct seen_entry e = at->e;
		if (e.address.ip == 0) {
			continue;
		}
		if (now - e.tick >= SEEN_TICKS || !care->is_possible(care->arg, &e)) {
			pthread_mutex_lock(&s->lock);
			clear_entry(s, at);
			pthread_mutex_unlock(&s->lock);
		} else if (now - e.tick >= SEEN_ASK_TICKS &&
			   now - at->asked >= SEEN_ASK_AGAIN_TICKS) {
			at->asked = now;
			care->ask(care->arg, &e);
		}
	}
}

uint64_t seen_changes(const struct seen *s)
{
	return __atomic_load_n(&s->changes, __ATOMIC_ACQUIRE);
}

void seen_add_quarrel(struct seen *s, const struct seen_quarrel *q)
{
	pthread_mutex_lock(&s->lock);
	add_quarrel(s, q);
	pthread_mutex_unlock(&s->lock);
}

bool seen_take_quarrel(struct seen *s, struct seen_quarrel *out)
{
	pthread_mutex_lock(&s->lock);
	bool has = s->n_quarrels > 0;
	if (has) {
		*out = s->quarrels[0];
		s->n_quarrels--;
		memmove(s->quarrels, s->quarrels + 1, s->n_quarrels * sizeof(s->quarrels[0]));
	}
	pthread_mutex_unlock(&s->lock);
	return has;
}
