/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/learned.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "base/random.h"
#include "switch/flow.h"

#define WAYS 8

/* A MAC address with its segment, and where and when it was seen. word 0: free. */
struct mac_entry {
	uint64_t key;	/* segment << 48 | MAC */
	uint64_t value; /* interface << 32 | tick */
};

struct neighbor_entry {
	uint32_t version; /* odd while it is written */
	uint32_t tick;
	uint16_t segment;
	uint8_t mac[6];
	struct address address;
};

struct learned {
	pthread_mutex_t lock; /* of writers */
	uint64_t seed;
	struct mac_entry macs[LEARNED_MACS];
	uint32_t counts[FLOW_IFACES_MAX]; /* entries by interface, old ones included */
	uint32_t counted;		  /* tick at which those that are too old were left out */
	struct neighbor_entry neighbors[LEARNED_NEIGHBORS];
};

struct learned *learned_new(void)
{
	struct learned *l = mem_zalloc(sizeof(*l));

	pthread_mutex_init(&l->lock, NULL);
	l->seed = random_u64() | 1;
	return l;
}

void learned_free(struct learned *l)
{
	if (l != NULL) {
		pthread_mutex_destroy(&l->lock);
		free(l);
	}
}

static uint64_t mix(uint64_t v, uint64_t seed)
{
	v = (v ^ (v >> 31)) * seed;
	v = (v ^ (v >> 29)) * 0x9e3779b97f4a7c15u;
	return v ^ (v >> 32);
}

/* ---- MAC addresses ---- */

static uint64_t mac_key(uint16_t segment, const uint8_t mac[6])
{
	uint64_t k = segment;

	for (int i = 0; i < 6; i++) {
		k = k << 8 | mac[i];
	}
	return k;
}

static struct mac_entry *mac_bucket(const struct learned *l, uint64_t key)
{
	size_t at = mix(key, l->seed) % (LEARNED_MACS / WAYS) * WAYS;

	return (struct mac_entry *)(uintptr_t)&l->macs[at];
}

static uint64_t load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

/* The entry of a key, or the one to give up for it. */
static struct mac_entry *mac_place(struct mac_entry *bucket, uint64_t key)
{
	struct mac_entry *oldest = bucket;

	for (int i = 0; i < WAYS; i++) {
		if (bucket[i].key == key) {
			return &bucket[i];
		}
		if (bucket[i].key == 0 ||
		    (oldest->key != 0 &&
		     (int32_t)((uint32_t)bucket[i].value - (uint32_t)oldest->value) < 0)) {
			oldest = &bucket[i];
		}
	}
	return oldest;
}

static uint16_t iface_of(uint64_t value)
{
	return (uint16_t)(value >> 32) % FLOW_IFACES_MAX;
}

/* Gives up what was not seen for too long, at most once a second. Under the lock. */
static void forget_old(struct learned *l, uint32_t now)
{
	if (now - l->counted < 1000 / FLOW_TICK_MS) {
		return;
	}
	l->counted = now;
	memset(l->counts, 0, sizeof(l->counts));
	for (size_t i = 0; i < LEARNED_MACS; i++) {
		struct mac_entry *e = &l->macs[i];
		if (e->key != 0 && now - (uint32_t)e->value >= LEARNED_MAC_TICKS) {
			__atomic_store_n(&e->key, 0, __ATOMIC_RELEASE);
		}
		l->counts[iface_of(e->value)] += e->key != 0;
	}
}

/* May one more be known at an interface? Under the lock. */
static bool has_room(struct learned *l, uint16_t iface, uint32_t limit, uint32_t now)
{
	if (limit > 0 && l->counts[iface % FLOW_IFACES_MAX] >= limit) {
		forget_old(l, now);
	}
	return limit == 0 || l->counts[iface % FLOW_IFACES_MAX] < limit;
}

bool learned_mac(struct learned *l, uint16_t segment, const uint8_t mac[6], uint16_t iface,
		 uint32_t limit, uint32_t now)
{
	uint64_t key = mac_key(segment, mac), value = (uint64_t)iface << 32 | now;
	struct mac_entry *bucket = mac_bucket(l, key);

	for (int i = 0; i < WAYS; i++) {
		/* Seen there within a second: nothing to write. */
		uint64_t known = load(&bucket[i].value);
		if (load(&bucket[i].key) == key && known >> 32 == iface &&
		    now - (uint32_t)known < 1000 / FLOW_TICK_MS) {
			return false;
		}
	}
	pthread_mutex_lock(&l->lock);
	struct mac_entry *e = mac_place(bucket, key);
	bool is_new = e->key != key || e->value >> 32 != iface;
	if (is_new && !has_room(l, iface, limit, now)) {
		pthread_mutex_unlock(&l->lock);
		return false;
	}
	if (is_new) {
		l->counts[iface_of(e->value)] -= e->key != 0;
		l->counts[iface % FLOW_IFACES_MAX]++;
	}
	if (e->key != key) {
		__atomic_store_n(&e->key, 0, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&e->value, value, __ATOMIC_RELEASE);
	__atomic_store_n(&e->key, key, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&l->lock);
	return is_new;
}

bool learned_find_mac(const struct learned *l, uint16_t segment, const uint8_t mac[6],
		      uint16_t *iface, uint32_t now)
{
	uint64_t key = mac_key(segment, mac);
	const struct mac_entry *bucket = mac_bucket(l, key);

	for (int i = 0; i < WAYS; i++) {
		uint64_t value = load(&bucket[i].value);
		if (load(&bucket[i].key) == key && load(&bucket[i].value) == value &&
		    now - (uint32_t)value < LEARNED_MAC_TICKS) {
			*iface = (uint16_t)(value >> 32);
			return true;
		}
	}
	return false;
}

void learned_clear(struct learned *l)
{
	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < LEARNED_MACS; i++) {
		__atomic_store_n(&l->macs[i].key, 0, __ATOMIC_RELEASE);
	}
	memset(l->counts, 0, sizeof(l->counts));
	for (size_t i = 0; i < LEARNED_NEIGHBORS; i++) {
		struct neighbor_entry *n = &l->neighbors[i];
		if (n->address.ip != 0 && n->segment != LEARNED_UNDERLAY) {
			__atomic_store_n(&n->version, n->version + 1, __ATOMIC_RELEASE);
			__atomic_thread_fence(__ATOMIC_SEQ_CST);
			n->address.ip = 0;
			__atomic_store_n(&n->version, n->version + 1, __ATOMIC_RELEASE);
		}
	}
	pthread_mutex_unlock(&l->lock);
}

void learned_each_mac(const struct learned *l, uint32_t now,
		      void (*fn)(void *arg, uint16_t segment, const uint8_t mac[6], uint16_t iface,
				 uint32_t age_ticks),
		      void *arg)
{
	for (size_t i = 0; i < LEARNED_MACS; i++) {
		uint64_t key = load(&l->macs[i].key), value = load(&l->macs[i].value);
		uint8_t mac[6];
		if (key == 0 || now - (uint32_t)value >= LEARNED_MAC_TICKS) {
			continue;
		}
		for (int b = 0; b < 6; b++) {
			mac[b] = (uint8_t)(key >> (40 - 8 * b));
		}
		fn(arg, (uint16_t)(key >> 48), mac, (uint16_t)(value >> 32), now - (uint32_t)value);
	}
}

/* ---- neighbours ---- */

static struct neighbor_entry *neighbor_bucket(const struct learned *l, uint16_t segment,
					      const struct address *a)
{
	uint64_t w[2];

	memcpy(w, a->bytes, sizeof(w));
	size_t at = mix(w[0] ^ mix(w[1] ^ segment, l->seed), l->seed) % (LEARNED_NEIGHBORS / WAYS) *
		    WAYS;
	return (struct neighbor_entry *)(uintptr_t)&l->neighbors[at];
}

static bool neighbor_is(const struct neighbor_entry *e, uint16_t segment, const struct address *a)
{
	return e->segment == segment && e->address.ip == a->ip &&
	       memcmp(e->address.bytes, a->bytes, sizeof(a->bytes)) == 0;
}

void learned_neighbor(struct learned *l, uint16_t segment, const struct address *address,
		      const uint8_t mac[6], uint32_t now)
{
	struct neighbor_entry *bucket = neighbor_bucket(l, segment, address), *at = bucket;

	pthread_mutex_lock(&l->lock);
	for (int i = 0; i < WAYS; i++) {
		if (neighbor_is(&bucket[i], segment, address)) {
			at = &bucket[i];
			break;
		}
		if ((int32_t)(bucket[i].tick - at->tick) < 0 || bucket[i].address.ip == 0) {
			at = &bucket[i];
		}
	}
	__atomic_store_n(&at->version, at->version + 1, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	at->segment = segment;
	at->address = *address;
	memcpy(at->mac, mac, 6);
	at->tick = now;
	__atomic_store_n(&at->version, at->version + 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&l->lock);
}

bool learned_find_neighbor(const struct learned *l, uint16_t segment, const struct address *address,
			   uint8_t mac[6], uint32_t now)
{
	const struct neighbor_entry *bucket = neighbor_bucket(l, segment, address);

	for (int i = 0; i < WAYS; i++) {
		uint32_t version = __atomic_load_n(&bucket[i].version, __ATOMIC_ACQUIRE);
		struct neighbor_entry e = bucket[i];
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if ((version & 1) == 0 &&
		    __atomic_load_n(&bucket[i].version, __ATOMIC_RELAXED) == version &&
		    neighbor_is(&e, segment, address) && now - e.tick < LEARNED_NEIGHBOR_TICKS) {
			memcpy(mac, e.mac, 6);
			return true;
		}
	}
	return false;
}
