/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/vhost.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_vhost.h>

#include "base/log.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/vec.h"
#include "switch/sleep.h"
#include "switch/vhost_message.h"
#include "switch/vhost_ring.h"

LOG_MODULE("vhost");

enum {
	QUEUES_MAX = VHOST_RINGS_MAX / 2,
	VIDS = 1024,	 /* RTE_MAX_VHOST_DEVICE */
	SPREAD_MAX = 64, /* packets, as many as a worker sends at once */
};

/* Of the virtio specification, 5.1.3. Segments that are to be cut are TCP's, without congestion
 * marks in them, which cutting would have to spread. */
#define FEATURES_REFUSED                                                                           \
	(1ULL << 6 |		   /* any segments, those below among them */                      \
	 1ULL << 9 | 1ULL << 10 |  /* the guest takes such ones */                                 \
	 1ULL << 13 | 1ULL << 14 | /* it leaves such ones to us */                                 \
	 1ULL << 33)		   /* rings behind an IOMMU */

/* Of QEMU's docs/interop/vhost-user.rst: several queues, the log of writes as a file, RARP,
 * acknowledged requests, MTU, status. */
#define PROTOCOL_FEATURES (1ULL << 0 | 1ULL << 1 | 1ULL << 2 | 1ULL << 3 | 1ULL << 4 | 1ULL << 16)

/* Ring indexes that say when to kick: set under a lock that the library holds when it waits for
 * us, so a guest that shall wake us kicks each time. */
#define FEATURE_EVENT_INDEX (1ULL << 29)
#define FEATURE_TAKES_SUMS  (1ULL << 1)
#define FEATURE_TAKES_IPV4  (1ULL << 7)
#define FEATURE_TAKES_IPV6  (1ULL << 8)
#define FEATURE_MERGEABLE   (1ULL << 15)
#define FEATURE_LOG	    (1ULL << 26)
#define FEATURE_VERSION_1   (1ULL << 32)
#define FEATURE_PACKED	    (1ULL << 34)

struct vhost {
	char *name, *path;
	uint16_t n_queues;
	struct rte_mempool *pool;
	struct port_io io;
	int vid;	 /* atomic; -1: no front end */
	bool is_serving; /* atomic: workers may look at the rings */
	bool is_told; /* atomic: a guest came from elsewhere, and it shall be known where it is */
	uint8_t told[6];      /* by this address of its */
	int kick[QUEUES_MAX]; /* watched by sleep.h; -1: none. The library's thread's */
	bool is_registered;
	struct vhost_ring from[QUEUES_MAX], to[QUEUES_MAX]; /* as seen from the guest: sent, got */
	uint32_t calls[VHOST_RINGS_MAX];		    /* at the last look: watch_calls() */
	bool is_held; /* it has held a call up, and is called no more. With the lock of `all` */
	uint16_t ways[QUEUES_MAX], n_ways; /* of `to`: those that are on */
};

/* All that are open: the library knows them by path. */
static struct {
	pthread_mutex_t lock;
	VEC(struct vhost *) items;
	void (*pass)(void *arg);
	void *arg;
	bool is_watched; /* by watch_calls(), from the first port on */
} all = { .lock = PTHREAD_MUTEX_INITIALIZER };

void vhost_set_pass(void (*fn)(void *arg), void *arg)
{
	all.pass = fn;
	all.arg = arg;
}

/* ---- front ends come and go: the library's thread ---- */

static struct vhost *find(int vid)
{
	char path[PATH_MAX];
	struct vhost *found = NULL;

	if (rte_vhost_get_ifname(vid, path, sizeof(path)) != 0) {
		return NULL;
	}
	pthread_mutex_lock(&all.lock);
	vec_each (&all.items, v) {
		if (strcmp((*v)->path, path) == 0) {
			found = *v;
		}
	}
	pthread_mutex_unlock(&all.lock);
	return found;
}

/* A connection, by the library's number of it. */
static struct {
	struct vhost_session session;
	bool is_ready[VHOST_RINGS_MAX];
	bool has_memory;    /* the library has a table of it */
	bool is_in_message; /* which the library acts on */
} fronts[VIDS];

/* A ring has a file that the guest kicks by; it may get another. The library says that the ring
 * has stopped before it closes the file. */
static void watch_kick(struct vhost *v, int vid, uint16_t queue, bool is_enabled)
{
	struct rte_vhost_vring ring;

	sleep_unwatch(v->kick[queue]);
	v->kick[queue] = -1;
	if (is_enabled && queue * 2 + 1 < rte_vhost_get_vring_num(vid) &&
	    rte_vhost_get_vhost_vring(vid, (uint16_t)(queue * 2 + 1), &ring) == 0) {
		v->kick[queue] = ring.kickfd;
		sleep_watch(ring.kickfd);
	}
}

static struct vhost_ring *ring_of(struct vhost *v, uint16_t number)
{
	return number % 2 == 1 ? &v->from[number / 2] : &v->to[number / 2];
}

static void log_dirty(void *arg, uint64_t at, uint64_t n)
{
	rte_vhost_log_write((int)(intptr_t)arg, at, n);
}

static bool read_memory(int vid, struct ring_memory *out)
{
	struct rte_vhost_memory *m;

	out->n = 0;
	if (!fronts[vid].has_memory || rte_vhost_get_mem_table(vid, &m) != 0) {
		return false;
	}
	for (uint32_t i = 0; i < m->nregions && i < RING_REGIONS; i++) {
		const struct rte_vhost_mem_region *g = &m->regions[i];
		out->regions[out->n++] =
			(struct ring_region){ g->guest_phys_addr, g->size,
					      (uint8_t *)(uintptr_t)g->host_user_addr };
	}
	free(m);
	return true;
}

/* The file to call a guest by, if it is one that a worker may write to: another kind, or an event
 * counted up to its end, could hold it up. -1: it is not. The front end may let it block again:
 * watch_calls(). */
static int call_of(int fd)
{
	static const char event[] = "anon_inode:[eventfd]";
	char path[32], kind[sizeof(event)];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd < 0 || readlink(path, kind, sizeof(kind)) != (ssize_t)sizeof(event) - 1 ||
	    memcmp(kind, event, sizeof(event) - 1) != 0) {
		return -1;
	}
	int flags = fcntl(fd, F_GETFL);
	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 ? fd : -1;
}

/* What the library knows of a ring. False: nothing. */
static bool read_ring(int vid, uint16_t number, struct vhost_ring *r)
{
	struct rte_vhost_vring ring;
	uint16_t avail, used;
	uint64_t features;

	*r = (struct vhost_ring){ .call = -1 };
	if (!fronts[vid].is_ready[number] || rte_vhost_get_vhost_vring(vid, number, &ring) != 0 ||
	    rte_vhost_get_vring_base(vid, number, &avail, &used) != 0 ||
	    rte_vhost_get_negotiated_features(vid, &features) != 0 ||
	    !read_memory(vid, &r->memory)) {
		return false;
	}
	r->desc = ring.desc;
	r->avail = ring.avail;
	r->used = ring.used;
	r->size = ring.size;
	r->call = call_of(ring.callfd);
	r->is_packed = (features & FEATURE_PACKED) != 0;
	r->is_mergeable = (features & FEATURE_MERGEABLE) != 0;
	bool takes_sums = (features & FEATURE_TAKES_SUMS) != 0;
	r->takes_ipv4 = takes_sums && (features & FEATURE_TAKES_IPV4) != 0;
	r->takes_ipv6 = takes_sums && (features & FEATURE_TAKES_IPV6) != 0;
	r->has_event_index = (features & FEATURE_EVENT_INDEX) != 0;
	r->header = (features & (FEATURE_VERSION_1 | FEATURE_MERGEABLE)) != 0 ? 12 : 10;
	r->next = r->is_packed ? used & 0x7fff : used;
	r->wrap = (used & 0x8000) != 0;
	if ((features & FEATURE_LOG) != 0) {
		r->dirty.write = log_dirty;
		r->dirty.arg = (void *)(intptr_t)vid;
	}
	return true;
}

/* Workers let go of the rings, and the library learns how far they have come. */
static void pause_rings(struct vhost *v, int vid)
{
	if (!__atomic_exchange_n(&v->is_serving, false, __ATOMIC_SEQ_CST)) {
		return;
	}
	all.pass(all.arg);
	for (uint16_t i = 0; i < 2 * v->n_queues; i++) {
		struct vhost_ring *r = ring_of(v, i);
		if (r->is_on) {
			uint16_t at = (uint16_t)(r->next | (r->is_packed && r->wrap ? 0x8000 : 0));
			(void)rte_vhost_set_vring_base(vid, i, at, at);
		}
		r->is_on = false;
	}
}

/* Workers go on, with the rings as they are now. */
static void serve_rings(struct vhost *v, int vid)
{
	struct error e;

	v->n_ways = 0;
	pthread_mutex_lock(&all.lock); /* others look at calls */
	for (uint16_t i = 0; i < 2 * v->n_queues; i++) {
		struct vhost_ring *r = ring_of(v, i);
		bool is_there = read_ring(vid, i, r);
		r->is_held = v->is_held;
		if (is_there && !vhost_ring_begin(r, i % 2 == 1 && v->io.wakes, &e)) {
			log_limited_warn("port \"%s\": the guest gave %s", v->name, e.msg);
		}
	}
	pthread_mutex_unlock(&all.lock);
	for (uint16_t q = 0; q < v->n_queues; q++) {
		if (v->to[q].is_on) {
			v->ways[v->n_ways++] = q;
		}
	}
	__atomic_store_n(&v->is_serving, true, __ATOMIC_SEQ_CST);
	sleep_wake();
}

static int on_new(int vid)
{
	struct vhost *v = find(vid);
	int before = v == NULL ? -1 : __atomic_load_n(&v->vid, __ATOMIC_RELAXED);

	if (v == NULL) {
		return -1;
	}
	if (before >= 0) {
		pause_rings(v, before); /* another connection of the same guest has its place */
	}
	for (uint16_t q = 0; q < v->n_queues; q++) {
		watch_kick(v, vid, q, true);
	}
	serve_rings(v, vid);
	__atomic_store_n(&v->vid, vid, __ATOMIC_SEQ_CST);
	sleep_wake();
	log_debug("port \"%s\": a front end is there", v->name);
	return 0;
}

static void on_destroy(int vid)
{
	struct vhost *v = find(vid);

	if (v != NULL && __atomic_load_n(&v->vid, __ATOMIC_RELAXED) == vid) {
		pause_rings(v, vid);
		__atomic_store_n(&v->vid, -1, __ATOMIC_SEQ_CST);
		for (uint16_t q = 0; q < v->n_queues; q++) {
			watch_kick(v, vid, q, false);
		}
		log_debug("port \"%s\": its front end has gone", v->name);
	}
}

static int on_ring(int vid, uint16_t ring, int is_enabled)
{
	struct vhost *v = find(vid);

	if (v == NULL || ring >= VHOST_RINGS_MAX) {
		return 0;
	}
	bool is_served = __atomic_load_n(&v->vid, __ATOMIC_RELAXED) == vid;
	if (is_served) {
		pause_rings(v, vid);
	}
	fronts[vid].is_ready[ring] = is_enabled != 0;
	if (ring % 2 == 1 && ring / 2 < v->n_queues) {
		watch_kick(v, vid, ring / 2, is_enabled != 0);
	}
	if (is_served && !fronts[vid].is_in_message) {
		serve_rings(v, vid);
	}
	return 0;
}

/* Workers let go of what a message may change, before it does. */
static enum rte_vhost_msg_result before_message(int vid, void *message)
{
	const struct vhost_message *m = message;
	const char *why = vhost_session_take(&fronts[vid].session, m);
	struct vhost *v = find(vid);

	if (v == NULL || why != NULL) {
		log_limited_warn("port \"%s\": the front end sent %s; hung up",
				 v == NULL ? "?" : v->name, why == NULL ? "a message" : why);
		return RTE_VHOST_MSG_RESULT_ERR;
	}
	if (m->request == VHOST_MESSAGE_RARP) {
		memcpy(v->told, m->payload, sizeof(v->told));
		__atomic_store_n(&v->is_told, true, __ATOMIC_RELEASE);
		sleep_wake();
		return RTE_VHOST_MSG_RESULT_OK;
	}
	if (__atomic_load_n(&v->vid, __ATOMIC_RELAXED) == vid) {
		pause_rings(v, vid);
	}
	fronts[vid].is_in_message = true;
	fronts[vid].has_memory &= m->request != VHOST_MESSAGE_MEMORY;
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED; /* it is the library's, then */
}

/* It did, and well. */
static enum rte_vhost_msg_result after_message(int vid, void *message)
{
	const struct vhost_message *m = message;
	struct vhost *v = find(vid);

	fronts[vid].is_in_message = false;
	fronts[vid].has_memory |= m->request == VHOST_MESSAGE_MEMORY;
	if (v != NULL && __atomic_load_n(&v->vid, __ATOMIC_RELAXED) == vid) {
		serve_rings(v, vid);
	}
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED; /* what the library said holds */
}

static const struct rte_vhost_user_extern_ops message_ops = { .pre_msg_handle = before_message,
							      .post_msg_handle = after_message };

static int on_connection(int vid)
{
	if (vid < 0 || vid >= VIDS) {
		return -1;
	}
	memset(&fronts[vid], 0, sizeof(fronts[vid]));
	return rte_vhost_extern_callback_register(vid, &message_ops, NULL);
}

static const struct rte_vhost_device_ops ops = { .new_device = on_new,
						 .destroy_device = on_destroy,
						 .vring_state_changed = on_ring,
						 .new_connection = on_connection };

/* ---- packets: the worker ---- */

/* Says for a guest that came from elsewhere where it is now. */
static uint16_t announce(struct vhost *v, struct rte_mbuf **m)
{
	struct rte_ether_addr mac;

	__atomic_store_n(&v->is_told, false, __ATOMIC_RELAXED);
	memcpy(mac.addr_bytes, v->told, sizeof(v->told));
	*m = rte_net_make_rarp_packet(v->pool, &mac);
	return *m == NULL ? 0 : 1;
}

static uint16_t receive(void *arg, uint16_t queue, struct rte_mbuf **m, uint16_t n)
{
	struct vhost *v = arg;

	if (UNLIKELY(!__atomic_load_n(&v->is_serving, __ATOMIC_ACQUIRE))) {
		return 0;
	}
	if (UNLIKELY(__atomic_load_n(&v->is_told, __ATOMIC_ACQUIRE))) {
		return announce(v, m);
	}
	return vhost_ring_receive(&v->from[queue], v->pool, m, n);
}

/* A connection's packets go by one of the guest's queues, in order. */
static uint16_t spread(struct vhost *v, struct rte_mbuf **m, uint16_t n)
{
	struct rte_mbuf *part[SPREAD_MAX], *left[SPREAD_MAX];
	uint16_t n_left = 0, ways[SPREAD_MAX]; /* noted: what was sent may be another's again */

	n = n < SPREAD_MAX ? n : SPREAD_MAX;
	for (uint16_t i = 0; i < n; i++) {
		ways[i] = (uint16_t)(m[i]->hash.rss % v->n_ways);
	}
	for (uint16_t way = 0; way < v->n_ways; way++) {
		uint16_t k = 0;
		for (uint16_t i = 0; i < n; i++) {
			if (ways[i] == way) {
				part[k++] = m[i];
			}
		}
		uint16_t sent = vhost_ring_send(&v->to[v->ways[way]], part, k);
		rte_pktmbuf_free_bulk(part, sent);
		for (uint16_t i = sent; i < k; i++) {
			left[n_left++] = part[i];
		}
	}
	memcpy(m + n - n_left, left, n_left * sizeof(*left));
	return (uint16_t)(n - n_left);
}

static uint16_t transmit(void *arg, uint16_t queue, struct rte_mbuf **m, uint16_t n)
{
	struct vhost *v = arg;

	if (UNLIKELY(!__atomic_load_n(&v->is_serving, __ATOMIC_ACQUIRE))) {
		return 0;
	}
	(void)queue;
	if (UNLIKELY(v->n_ways != 1)) {
		return v->n_ways == 0 ? 0 : spread(v, m, n);
	}
	uint16_t sent = vhost_ring_send(&v->to[v->ways[0]], m, n);
	rte_pktmbuf_free_bulk(m, sent);
	return sent;
}

static bool is_up(const void *arg)
{
	const struct vhost *v = arg;

	return __atomic_load_n(&v->vid, __ATOMIC_ACQUIRE) >= 0;
}

static bool takes_marked(const void *arg, bool is_ipv6)
{
	const struct vhost *v = arg;

	return __atomic_load_n(&v->is_serving, __ATOMIC_ACQUIRE) && v->n_ways != 0 &&
	       (is_ipv6 ? v->to[v->ways[0]].takes_ipv6 : v->to[v->ways[0]].takes_ipv4);
}

/* ---- calls that do not end: a thread of its own, since all others may wait for the worker ---- */

static void look_at_calls(struct vhost *v)
{
	for (uint16_t i = 0; i < 2 * v->n_queues; i++) {
		struct vhost_ring *r = ring_of(v, i);
		uint32_t calls = __atomic_load_n(&r->calls, __ATOMIC_ACQUIRE);
		uint64_t count;
		if (calls % 2 == 1 && calls == v->calls[i]) {
			struct pollfd p = { .fd = r->call, .events = POLLIN };
			log_limited_warn(
				"port \"%s\": the guest holds up who calls it; it is called "
				"no more",
				v->name);
			v->is_held = true;
			__atomic_store_n(&r->is_held, true, __ATOMIC_RELAXED);
			if (poll(&p, 1, 0) > 0) {
				(void)!read(r->call, &count, sizeof(count)); /* makes room */
			}
		}
		v->calls[i] = calls;
	}
}

static void *watch_calls(void *arg)
{
	static const struct timespec pause = { .tv_nsec = 100000000 };

	(void)arg;
	for (;;) {
		nanosleep(&pause, NULL);
		pthread_mutex_lock(&all.lock);
		vec_each (&all.items, v) {
			look_at_calls(*v);
		}
		pthread_mutex_unlock(&all.lock);
	}
	return NULL;
}

/* With the lock. */
static bool begin_to_watch(void)
{
	pthread_t thread;

	if (!all.is_watched && pthread_create(&thread, NULL, watch_calls, NULL) == 0) {
		(void)pthread_detach(thread);
		all.is_watched = true;
	}
	return all.is_watched;
}

/* ---- opening and closing ---- */

static bool begin(struct vhost *v, const struct vhost_options *o, struct error *e)
{
	uint64_t flags = o->is_server ? 0 : (uint64_t)RTE_VHOST_USER_CLIENT;

	v->is_registered = rte_vhost_driver_register(v->path, flags) == 0;
	if (!v->is_registered) {
		return error_set(e, ERROR_IO, "port \"%s\": cannot open \"%s\"", v->name, v->path);
	}
	uint64_t refused = FEATURES_REFUSED | (o->wakes ? FEATURE_EVENT_INDEX : 0);
	if (rte_vhost_driver_disable_features(v->path, refused) != 0 ||
	    rte_vhost_driver_set_protocol_features(v->path, PROTOCOL_FEATURES) != 0 ||
	    rte_vhost_driver_callback_register(v->path, &ops) != 0 ||
	    rte_vhost_driver_start(v->path) != 0) {
		return error_set(e, ERROR_IO, "port \"%s\": cannot serve \"%s\"", v->name, v->path);
	}
	return true;
}

struct vhost *vhost_open(const struct vhost_options *o, struct error *e)
{
	struct vhost *v = mem_zalloc(sizeof(*v));

	*v = (struct vhost){ .name = mem_strdup(o->name),
			     .path = mem_strdup(o->path),
			     .n_queues = o->n_queues < QUEUES_MAX ? o->n_queues : QUEUES_MAX,
			     .pool = o->pool,
			     .io = { receive, transmit, is_up, takes_marked, o->wakes, v },
			     .vid = -1 };
	memset(v->kick, 0xff, sizeof(v->kick));
	pthread_mutex_lock(&all.lock);
	vec_push(&all.items, v);
	bool is_watched = begin_to_watch();
	pthread_mutex_unlock(&all.lock);
	if (!is_watched) {
		error_set(e, ERROR_NO_SPACE, "port \"%s\": no thread that watches calls", v->name);
	}
	if (!is_watched || !begin(v, o, e)) {
		vhost_close(v);
		return NULL;
	}
	return v;
}

void vhost_close(struct vhost *v)
{
	if (v->is_registered) {
		(void)rte_vhost_driver_unregister(v->path);
	}
	pthread_mutex_lock(&all.lock);
	for (size_t i = 0; i < all.items.n; i++) {
		if (all.items.items[i] == v) {
			vec_remove(&all.items, i);
			break;
		}
	}
	pthread_mutex_unlock(&all.lock);
	free(v->name);
	free(v->path);
	free(v);
}

const struct port_io *vhost_io(const struct vhost *v)
{
	return &v->io;
}
