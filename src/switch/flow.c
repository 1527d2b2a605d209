/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariants, also for whoever opens the file after a kill -9:
 * 1. A record with FLOW_IN_USE is whole: flags is stored last when it is made.
 * 2. An index entry's signature is stored after its place: an entry with a signature names a
 *    record below n_max. The record may have gone; then its key does not match.
 * 3. A record is out of the index before FLOW_IN_USE goes.
 * 4. A bucket's n_away is no lower than its keys in second buckets: raised before, lowered after.
 * 5. Wheel and free stack are this process's: made from the records when the table is opened.
 */
#include "switch/flow.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/random.h"
#include "switch/flow_hot.h"

LOG_MODULE("flow");

#define MAGIC "remflow"

enum {
	ADOPT_PORTION = 64,
};

/* Stores stay in this order; only this thread writes, so the compiler is all that must be told. */
#define STORED() __atomic_signal_fence(__ATOMIC_SEQ_CST)

/* ---- the index ---- */

static unsigned free_entries(const struct flow_bucket *b)
{
	return flow_candidates(b, 0);
}

static void entry_set(struct flow_bucket *b, unsigned i, uint64_t hash, uint32_t at)
{
	b->at[i] = at;
	STORED();
	b->signature[i] = flow_signature(hash);
}

/* n_away is never too low: raised before, lowered after. Once at its end it stays. */
static void note_away(struct flow_bucket *first, int by)
{
	if (first->n_away != UINT16_MAX) {
		first->n_away = (uint16_t)(first->n_away + by);
	}
}

/* Of a full bucket one entry goes to its other one, or away, if it names a record that has gone. It
 * is in both meanwhile. False: its others are full, too. */
static bool make_room(struct flow_table *t, struct flow_bucket *b)
{
	for (unsigned i = 0; i < ARRAY_LEN(b->at); i++) {
		uint32_t at = b->at[i];
		const struct flow *f = &t->flows[at & t->mask];
		struct flow_key k;
		flow_key_of(f, at >> 31, &k);
		uint64_t hash = flow_hash(t, &k);
		struct flow_bucket *first = flow_bucket(t, hash, 0);
		struct flow_bucket *second = flow_bucket(t, hash, 1);
		struct flow_bucket *other = b == first ? second : first;
		bool is_stale = (f->flags & FLOW_IN_USE) == 0 || (b != first && b != second) ||
				b->signature[i] != flow_signature(hash);
		unsigned room = free_entries(other);
		if (!is_stale && room == 0) {
			continue;
		}
		if (!is_stale) {
			note_away(first, other == second ? 1 : 0);
			STORED();
			entry_set(other, (unsigned)__builtin_ctz(room), hash, at);
		}
		STORED();
		b->signature[i] = 0;
		STORED();
		note_away(first, !is_stale && other == first ? -1 : 0);
		return true;
	}
	return false;
}

/* Into the first bucket while it has room to spare or is no fuller than the second, so that most
 * keys are found by their first look. */
static bool index_add(struct flow_table *t, uint64_t hash, uint32_t at)
{
	struct flow_bucket *first = flow_bucket(t, hash, 0), *second;
	unsigned here = free_entries(first);

	if (LIKELY((here & (here - 1)) != 0)) {
		entry_set(first, (unsigned)__builtin_ctz(here), hash, at);
		return true;
	}
	second = flow_bucket(t, hash, 1);
	unsigned there = free_entries(second);
	if (here != 0 && (there & (there - 1)) == 0) {
		entry_set(first, (unsigned)__builtin_ctz(here), hash, at);
		return true;
	}
	if (UNLIKELY(there == 0)) {
		return (make_room(t, first) || make_room(t, second)) && index_add(t, hash, at);
	}
	note_away(first, 1);
	STORED();
	entry_set(second, (unsigned)__builtin_ctz(there), hash, at);
	return true;
}

static bool index_remove_from(struct flow_bucket *b, uint64_t hash, uint32_t at)
{
	unsigned found = flow_candidates(b, flow_signature(hash));

	for (; found != 0; found &= found - 1) {
		unsigned i = (unsigned)__builtin_ctz(found);
		if (b->at[i] == at) {
			b->signature[i] = 0;
			return true;
		}
	}
	return false;
}

static void index_remove(struct flow_table *t, uint64_t hash, uint32_t at)
{
	struct flow_bucket *first = flow_bucket(t, hash, 0);

	if (!index_remove_from(first, hash, at) && first->n_away != 0 &&
	    index_remove_from(flow_bucket(t, hash, 1), hash, at)) {
		STORED();
		note_away(first, -1);
	}
}

uint64_t flow_hash(const struct flow_table *t, const struct flow_key *k)
{
	return flow_key_hash(k, t->seed);
}

struct flow *flow_find(const struct flow_table *t, const struct flow_key *k, uint64_t hash,
		       unsigned *direction)
{
	const struct flow_bucket *first = flow_bucket(t, hash, 0);
	struct flow *f = flow_find_in(t, first, k, hash, direction);

	return f != NULL || first->n_away == 0
		       ? f
		       : flow_find_in(t, flow_bucket(t, hash, 1), k, hash, direction);
}

/* ---- the wheel ---- */

/* A record's `previous` where it is the head of a slot's list: the slot, marked. */
#define HEAD 0x80000000u

static void list_add_head(struct flow_table *t, struct flow *f, uint32_t slot)
{
	uint32_t at = (uint32_t)(f - t->flows), second = t->slots[slot];

	f->next = second;
	f->previous = HEAD | slot;
	if (second != FLOW_NONE) {
		t->flows[second].previous = at;
	}
	t->slots[slot] = at;
}

static void list_take(struct flow_table *t, struct flow *f)
{
	if ((f->previous & HEAD) != 0) {
		t->slots[f->previous & ~HEAD] = f->next;
	} else {
		t->flows[f->previous].next = f->next;
	}
	if (f->next != FLOW_NONE) {
		t->flows[f->next].previous = f->previous;
	}
}

/* What is due already comes round with the next slot, what is beyond the wheel with the last. */
static void wheel_add(struct flow_table *t, struct flow *f)
{
	int32_t ahead = (int32_t)(f->expires - t->tick);
	uint32_t at = t->tick + (uint32_t)(ahead < 1 ? 1 : MIN(ahead, FLOW_SLOTS - 1));

	list_add_head(t, f, at % FLOW_SLOTS);
}

/* The next record to look at, off its list; NULL: none by tick `now`. */
static struct flow *wheel_next(struct flow_table *t, uint32_t now)
{
	while (t->slots[FLOW_DUE] == FLOW_NONE) {
		if (t->tick == now) {
			return NULL;
		}
		t->tick++;
		uint32_t *slot = &t->slots[t->tick % FLOW_SLOTS];
		t->slots[FLOW_DUE] = *slot;
		if (*slot != FLOW_NONE) {
			t->flows[*slot].previous = HEAD | FLOW_DUE;
		}
		*slot = FLOW_NONE;
	}
	struct flow *f = &t->flows[t->slots[FLOW_DUE]];
	list_take(t, f);
	return f;
}

unsigned flow_age(struct flow_table *t, uint32_t now, unsigned n,
		  void (*fn)(void *arg, struct flow *f), void *arg)
{
	unsigned looked = 0;

	if ((int32_t)(now - t->tick) < 0) {
		return 0;
	}
	if (now - t->tick > FLOW_SLOTS) { /* a clock that jumped: all slots come round once */
		t->tick = now - FLOW_SLOTS;
	}
	for (struct flow *f; looked < n && (f = wheel_next(t, now)) != NULL; looked++) {
		wheel_add(t, f); /* fn may look, and flow_remove() takes it off again */
		if ((int32_t)(f->expires - now) <= 0) {
			if (fn != NULL) {
				fn(arg, f);
			}
			flow_remove(t, f);
		}
	}
	return looked;
}

/* Is it in the wheel? Not yet where it was left behind by another process and not come to. */
static bool is_adopted(const struct flow_table *t, const struct flow *f)
{
	uint32_t at = (uint32_t)(f - t->flows);

	return at < t->adopt_at || at >= t->adopt_end;
}

void flow_expire(struct flow_table *t, struct flow *f, uint32_t expires)
{
	f->expires = expires;
	if (is_adopted(t, f)) {
		list_take(t, f);
		wheel_add(t, f);
	}
}

/* ---- records ---- */

static struct flow *record_take(struct flow_table *t)
{
	while (t->n_free == 0 && flow_adopt(t, ADOPT_PORTION) > 0) {
	}
	if (t->n_free > 0) {
		return &t->flows[t->free[--t->n_free]];
	}
	if (t->header->high_water > t->mask) {
		return NULL;
	}
	return &t->flows[t->header->high_water++];
}

struct flow *flow_insert(struct flow_table *t, const struct flow_key *forward, uint64_t hash,
			 uint16_t answer_iface, uint32_t expires)
{
	struct flow *f = record_take(t);

	if (f == NULL) {
		return NULL;
	}
	uint32_t at = (uint32_t)(f - t->flows);
	*f = (struct flow){ .address = { forward->src, forward->dst },
			    .port = { forward->sport, forward->dport },
			    .iface = { forward->iface, answer_iface },
			    .proto = forward->proto,
			    .expires = expires };
	uint8_t flags = FLOW_IN_USE;
	if (forward->ip == 6) {
		flags |= FLOW_IP6;
		memcpy(f->high[0], forward->src_high, 12);
		memcpy(f->high[1], forward->dst_high, 12);
	}
	if (!index_add(t, hash, at)) {
		t->free[t->n_free++] = at;
		return NULL;
	}
	STORED();
	f->flags = flags;
	struct flow_key answer;
	unsigned direction;
	flow_key_turn(forward, answer_iface, &answer);
	uint64_t answer_hash = flow_key_hash(&answer, t->seed);
	if (flow_find(t, &answer, answer_hash, &direction) == NULL &&
	    !index_add(t, answer_hash, at | FLOW_DIRECTION)) {
		index_remove(t, hash, at);
		STORED();
		f->flags = 0;
		t->free[t->n_free++] = at;
		return NULL;
	}
	wheel_add(t, f);
	t->n++;
	t->n_of[f->iface[0] % FLOW_IFACES_MAX]++;
	return f;
}

void flow_remove(struct flow_table *t, struct flow *f)
{
	uint32_t at = (uint32_t)(f - t->flows);

	for (unsigned d = 0; d < 2; d++) {
		struct flow_key k;
		flow_key_of(f, d, &k);
		index_remove(t, flow_hash(t, &k), at | (d == 0 ? 0 : FLOW_DIRECTION));
	}
	STORED();
	f->flags = 0;
	if (!is_adopted(t, f)) {
		return; /* it will be found free */
	}
	list_take(t, f);
	t->free[t->n_free++] = at;
	t->n--;
	t->n_of[f->iface[0] % FLOW_IFACES_MAX]--;
}

void flow_key_of(const struct flow *f, unsigned d, struct flow_key *out)
{
	*out = (struct flow_key){ .src = f->address[d],
				  .dst = f->address[1 - d],
				  .sport = f->port[d],
				  .dport = f->port[1 - d],
				  .iface = f->iface[d],
				  .proto = f->proto,
				  .ip = (f->flags & FLOW_IP6) != 0 ? 6 : 4 };
	memcpy(out->src_high, f->high[d], 12);
	memcpy(out->dst_high, f->high[1 - d], 12);
}

uint16_t flow_epoch(const struct flow_table *t)
{
	return (uint16_t)t->header->epoch;
}

void flow_set_epoch(struct flow_table *t, uint16_t epoch)
{
	t->header->epoch = epoch;
}

uint32_t flow_count(const struct flow_table *t)
{
	return t->n;
}

uint32_t flow_count_of(const struct flow_table *t, uint16_t iface)
{
	return t->n_of[iface % FLOW_IFACES_MAX];
}

uint32_t flow_capacity(const struct flow_table *t)
{
	return t->mask + 1;
}

size_t flow_table_bytes(const struct flow_table *t)
{
	return t->size;
}

uint32_t flow_high_water(const struct flow_table *t)
{
	return t->header->high_water;
}

struct flow *flow_at(const struct flow_table *t, uint32_t index)
{
	struct flow *f = &t->flows[index & t->mask];

	return (f->flags & FLOW_IN_USE) != 0 ? f : NULL;
}

/* ---- interfaces ---- */

uint16_t flow_iface_find(const struct flow_table *t, const char *name)
{
	const struct flow_header *h = t->header;

	for (uint32_t i = 1; i < h->n_ifaces && name[0] != '\0'; i++) {
		if (strcmp(h->ifaces[i], name) == 0) {
			return (uint16_t)i;
		}
	}
	return 0;
}

uint16_t flow_iface(struct flow_table *t, const char *name)
{
	struct flow_header *h = t->header;

	if (strlen(name) >= FLOW_IFACE_NAME_MAX || name[0] == '\0') {
		return 0;
	}
	uint16_t known = flow_iface_find(t, name);
	if (known != 0) {
		return known;
	}
	uint32_t i = 1;
	while (i < h->n_ifaces && h->ifaces[i][0] != '\0') {
		i++;
	}
	if (i == FLOW_IFACES_MAX) {
		return 0;
	}
	/* The first byte last: until then the number is nobody's. */
	memcpy(h->ifaces[i] + 1, name + 1, strlen(name));
	STORED();
	h->ifaces[i][0] = name[0];
	STORED();
	h->n_ifaces = MAX(h->n_ifaces, i + 1);
	return (uint16_t)i;
}

unsigned flow_iface_reclaim(struct flow_table *t, bool (*keep)(void *arg, uint16_t iface),
			    void *arg)
{
	struct flow_header *h = t->header;
	bool *is_used = mem_calloc(FLOW_IFACES_MAX, sizeof(*is_used));
	unsigned n = 0;

	for (uint32_t i = 0; i < h->high_water; i++) {
		const struct flow *f = &t->flows[i];
		if ((f->flags & FLOW_IN_USE) != 0) {
			is_used[f->iface[0] % FLOW_IFACES_MAX] = true;
			is_used[f->iface[1] % FLOW_IFACES_MAX] = true;
		}
	}
	for (uint32_t i = 1; i < h->n_ifaces; i++) {
		if (h->ifaces[i][0] != '\0' && !is_used[i] && !keep(arg, (uint16_t)i)) {
			h->ifaces[i][0] = '\0';
			n++;
		}
	}
	free(is_used);
	return n;
}

const char *flow_iface_name(const struct flow_table *t, uint16_t iface)
{
	const struct flow_header *h = t->header;

	return iface > 0 && iface < h->n_ifaces && h->ifaces[iface][0] != '\0' ? h->ifaces[iface]
									       : NULL;
}

/* ---- the file ---- */

/* The size of pages that the kernel clears when they are first asked for, which takes long; 0: they
 * are small, or not set aside for us. */
static size_t huge_page_of(int fd)
{
	struct statfs s;

	return fd >= 0 && fstatfs(fd, &s) == 0 && s.f_type == HUGETLBFS_MAGIC ? (size_t)s.f_bsize
									      : 0;
}

void flow_touch(struct flow_table *t)
{
	if (t->touched < t->size) {
		(void)*(const volatile char *)((const char *)t->header + t->touched);
		t->touched += t->page;
	}
}

static size_t header_size(void)
{
	return (sizeof(struct flow_header) + 4095) & ~(size_t)4095;
}

static uint32_t n_buckets_of(uint32_t n_max)
{
	return n_max / 2; /* two entries a record, eight a bucket: half full at most */
}

static size_t size_of(uint32_t n_max)
{
	const size_t huge = 2u << 20;
	size_t size = header_size() + (size_t)n_max * sizeof(struct flow) +
		      (size_t)n_buckets_of(n_max) * sizeof(struct flow_bucket);

	return (size + huge - 1) / huge * huge;
}

static bool header_is_ours(const struct flow_header *h, uint32_t n_max)
{
	return memcmp(h->magic, MAGIC, sizeof(h->magic)) == 0 &&
	       h->version == FLOW_LAYOUT_VERSION && h->n_max == n_max &&
	       h->n_buckets == n_buckets_of(n_max) && h->high_water <= n_max && h->n_ifaces >= 1 &&
	       h->n_ifaces <= FLOW_IFACES_MAX;
}

static void header_begin(struct flow_header *h, uint32_t n_max)
{
	h->version = FLOW_LAYOUT_VERSION;
	h->n_max = n_max;
	h->n_buckets = n_buckets_of(n_max);
	h->n_ifaces = 1;
	random_bytes(&h->seed, sizeof(h->seed));
	STORED();
	memcpy(h->magic, MAGIC, sizeof(h->magic));
}

static bool file_open(struct flow_table *t, const char *path, int flags, struct error *e)
{
	t->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	return t->fd >= 0 || error_set_sys(e, errno, "flow table \"%s\"", path);
}

/* Locks the file; ERROR_BUSY where another process has it for longer than wait_ms. */
static bool file_lock(struct flow_table *t, int64_t wait_ms, struct error *e)
{
	static const struct timespec pause = { .tv_nsec = 500000 };
	int64_t end = clock_mono_us(clock_real()) + wait_ms * 1000;

	while (flock(t->fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK) {
			return error_set_sys(e, errno, "flow table \"%s\"", t->path);
		}
		if (clock_mono_us(clock_real()) >= end) {
			return error_set(e, ERROR_BUSY, "flow table \"%s\": another switch has it",
					 t->path);
		}
		nanosleep(&pause, NULL);
	}
	return true;
}

/* The file once more, as another open file: what is mapped must not hold the lock, which then would
 * last as long as anybody has the memory. */
static int open_again(int fd)
{
	char self[40];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return open(self, O_RDWR | O_CLOEXEC);
}

static bool map(struct flow_table *t, const char *path, struct error *e)
{
	int flags = t->fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	int fd = t->fd < 0 ? -1 : open_again(t->fd);

	if (t->fd >= 0 && fd < 0) {
		return error_set_sys(e, errno, "flow table \"%s\"", path);
	}
	void *at = mmap(NULL, t->size, PROT_READ | PROT_WRITE, flags, fd, 0);
	int why = errno;
	if (fd >= 0) {
		close(fd);
	}
	if (at == MAP_FAILED) {
		return error_set_sys(e, why, "flow table \"%s\": %zu bytes",
				     path == NULL ? "" : path, t->size);
	}
	(void)madvise(at, t->size, MADV_HUGEPAGE);
	t->header = at;
	return true;
}

/* Makes the file whole where it is not ours: of another version, size, or new. */
static bool file_map(struct flow_table *t, const char *path, uint32_t n_max, struct error *e)
{
	struct stat st;

	if (fstat(t->fd, &st) != 0) {
		return error_set_sys(e, errno, "flow table \"%s\"", path);
	}
	if ((size_t)st.st_size == t->size) {
		if (!map(t, path, e)) {
			return false;
		}
		if (header_is_ours(t->header, n_max)) {
			return true;
		}
		munmap(t->header, t->size);
		t->header = NULL;
	}
	if (st.st_size > 0) {
		log_warn("flow table \"%s\" is of another version or size: it begins empty", path);
	}
	if (ftruncate(t->fd, 0) != 0 || ftruncate(t->fd, (off_t)t->size) != 0) {
		return error_set_sys(e, errno, "flow table \"%s\": %zu bytes", path, t->size);
	}
	return map(t, path, e);
}

/* Wheel and free stack, from the records. */
unsigned flow_adopt(struct flow_table *t, unsigned n)
{
	unsigned done = 0;

	for (; done < n && t->adopt_at < t->adopt_end; done++) {
		struct flow *f = &t->flows[t->adopt_at++];
		if ((f->flags & FLOW_IN_USE) != 0) {
			wheel_add(t, f);
			t->n++;
			t->n_of[f->iface[0] % FLOW_IFACES_MAX]++;
		} else {
			t->free[t->n_free++] = t->adopt_at - 1;
		}
	}
	return done;
}

static struct flow_table *table_new(const char *path, uint32_t n_max, struct error *e)
{
	if (n_max < 64 || n_max > FLOW_N_MAX || (n_max & (n_max - 1)) != 0) {
		error_set(e, ERROR_INVALID, "%u flows: a power of two from 64 to %u is wanted",
			  n_max, FLOW_N_MAX);
		return NULL;
	}
	struct flow_table *t = mem_zalloc(sizeof(*t));
	t->fd = -1;
	t->path = path == NULL ? NULL : mem_strdup(path);
	t->size = size_of(n_max);
	t->bucket_mask = n_buckets_of(n_max) - 1;
	t->mask = n_max - 1;
	t->free = mem_alloc((size_t)n_max * sizeof(*t->free));
	memset(t->slots, 0xff, sizeof(t->slots));
	return t;
}

static void find_parts(struct flow_table *t)
{
	t->flows = (void *)((char *)t->header + header_size());
	t->buckets = (void *)(t->flows + t->mask + 1);
}

/* From here on the table is this process's. */
static void own(struct flow_table *t, uint32_t now)
{
	t->seed = t->header->seed;
	t->tick = now;
	t->adopt_end = t->header->high_water;
	t->page = huge_page_of(t->fd);
	t->touched = t->page == 0 ? t->size : 0;
}

struct flow_table *flow_table_open(const char *path, uint32_t n_max, uint32_t now,
				   uint32_t *n_adopted, struct error *e)
{
	struct flow_table *t = table_new(path, n_max, e);

	if (t == NULL) {
		return NULL;
	}
	if (!(path == NULL ? map(t, path, e)
			   : file_open(t, path, O_CREAT, e) && file_lock(t, 0, e) &&
				     file_map(t, path, n_max, e))) {
		flow_table_close(t);
		return NULL;
	}
	if (!header_is_ours(t->header, n_max)) {
		header_begin(t->header, n_max);
	}
	find_parts(t);
	own(t, now);
	(void)flow_adopt(t, UINT_MAX);
	*n_adopted = t->n;
	return t;
}

/* Has the pages at hand that packets will ask for. Best effort: Linux 5.14. */
static void populate(struct flow_table *t)
{
#ifdef MADV_POPULATE_WRITE
	size_t used = (size_t)t->header->high_water * sizeof(struct flow);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	(void)madvise(t->header, (header_size() + used + page - 1) / page * page,
		      MADV_POPULATE_WRITE);
	if (t->header->high_water > t->mask / 64) {
		(void)madvise(t->buckets,
			      t->size - (size_t)((char *)t->buckets - (char *)t->header),
			      MADV_POPULATE_WRITE);
	}
#else
	(void)t;
#endif
}

struct flow_table *flow_table_map(const char *path, uint32_t n_max, struct error *e)
{
	struct flow_table *t = table_new(path, n_max, e);
	struct stat st;

	if (t == NULL) {
		return NULL;
	}
	bool ok = file_open(t, path, 0, e);
	if (ok && (fstat(t->fd, &st) != 0 || (size_t)st.st_size != t->size)) {
		ok = error_set(e, ERROR_UNSUPPORTED,
			       "flow table \"%s\" is not one of %u records of layout %u", path,
			       n_max, FLOW_LAYOUT_VERSION);
	}
	ok = ok && map(t, path, e);
	if (ok && !header_is_ours(t->header, n_max)) {
		ok = error_set(e, ERROR_UNSUPPORTED,
			       "flow table \"%s\" has layout %u; %u is known here", path,
			       t->header->version, FLOW_LAYOUT_VERSION);
	}
	if (!ok) {
		flow_table_close(t);
		return NULL;
	}
	find_parts(t);
	populate(t);
	return t;
}

bool flow_table_take(struct flow_table *t, uint32_t now, int64_t wait_ms, struct error *e)
{
	if (!file_lock(t, wait_ms, e)) {
		return false;
	}
	if (!header_is_ours(t->header, t->mask + 1)) {
		return error_set(e, ERROR_UNSUPPORTED, "flow table \"%s\": it was begun anew",
				 t->path);
	}
	own(t, now);
	return true;
}

void flow_table_close(struct flow_table *t)
{
	if (t == NULL) {
		return;
	}
	if (t->header != NULL) {
		munmap(t->header, t->size);
	}
	if (t->fd >= 0) {
		close(t->fd);
	}
	free(t->free);
	free(t->path);
	free(t);
}
