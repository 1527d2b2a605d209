/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/vhost.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_net.h>
#include <rte_vhost.h>

#include "base/log.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/vec.h"
#include "switch/sleep.h"
#include "switch/vhost_message.h"

LOG_MODULE("vhost");

enum {
	QUEUES_MAX = VHOST_RINGS_MAX / 2,
	VIDS = 1024, /* RTE_MAX_VHOST_DEVICE */
};

/* Of the virtio specification, 5.1.3. */
#define FEATURES_REFUSED                                                                           \
	(1ULL << 7 | 1ULL << 8 | 1ULL << 9 | 1ULL << 10 |    /* the guest takes segments */        \
	 1ULL << 11 | 1ULL << 12 | 1ULL << 13 | 1ULL << 14 | /* it leaves segmentation to us */    \
	 1ULL << 33)					     /* rings behind an IOMMU */

/* Of QEMU's docs/interop/vhost-user.rst: several queues, the log of writes as a file, RARP,
 * acknowledged requests, MTU, status. */
#define PROTOCOL_FEATURES (1ULL << 0 | 1ULL << 1 | 1ULL << 2 | 1ULL << 3 | 1ULL << 4 | 1ULL << 16)

/* Ring indexes that say when to kick: set under a lock that the library holds when it waits for
 * us, so a guest that shall wake us kicks each time. */
#define FEATURE_EVENT_INDEX (1ULL << 29)

struct vhost {
	char *name, *path;
	uint16_t n_queues;
	struct rte_mempool *pool;
	struct port_io io;
	int vid;	      /* atomic; -1: no front end */
	bool wakes;	      /* atomic: the guest kicks */
	int kick[QUEUES_MAX]; /* watched by sleep.h; -1: none. The library's thread's */
	bool is_registered;
};

/* All that are open: the library knows them by path. */
static struct {
	pthread_mutex_t lock;
	VEC(struct vhost *) items;
	void (*pass)(void *arg);
	void *arg;
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

static int on_new(int vid)
{
	struct vhost *v = find(vid);

	if (v == NULL) {
		return -1;
	}
	/* Odd rings are those that the guest sends by. */
	for (uint16_t i = 0; i < rte_vhost_get_vring_num(vid); i++) {
		if (i % 2 == 0 || !v->io.wakes) {
			(void)rte_vhost_enable_guest_notification(vid, i, 0);
		}
	}
	for (uint16_t q = 0; q < v->n_queues; q++) {
		watch_kick(v, vid, q, true);
	}
	__atomic_store_n(&v->vid, vid, __ATOMIC_SEQ_CST);
	sleep_wake();
	log_debug("port \"%s\": a front end is there", v->name);
	return 0;
}

static void on_destroy(int vid)
{
	struct vhost *v = find(vid);

	if (v != NULL && __atomic_exchange_n(&v->vid, -1, __ATOMIC_SEQ_CST) >= 0) {
		all.pass(all.arg);
		for (uint16_t q = 0; q < v->n_queues; q++) {
			watch_kick(v, vid, q, false);
		}
		log_debug("port \"%s\": its front end has gone", v->name);
	}
}

static int on_ring(int vid, uint16_t ring, int is_enabled)
{
	struct vhost *v = find(vid);

	if (v != NULL && ring % 2 == 1 && ring / 2 < v->n_queues) {
		watch_kick(v, vid, ring / 2, is_enabled != 0);
		sleep_wake();
	}
	return 0;
}

/* By the library's number of a connection. */
static struct vhost_session sessions[VIDS];

static enum rte_vhost_msg_result on_message(int vid, void *message)
{
	const char *why = vhost_session_take(&sessions[vid], message);

	if (why == NULL) {
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED; /* it is the library's, then */
	}
	struct vhost *v = find(vid);
	log_limited_warn("port \"%s\": the front end sent %s; hung up", v == NULL ? "?" : v->name,
			 why);
	return RTE_VHOST_MSG_RESULT_ERR;
}

static const struct rte_vhost_user_extern_ops message_ops = { .pre_msg_handle = on_message };

static int on_connection(int vid)
{
	if (vid < 0 || vid >= VIDS) {
		return -1;
	}
	sessions[vid] = (struct vhost_session){ 0 };
	return rte_vhost_extern_callback_register(vid, &message_ops, NULL);
}

static const struct rte_vhost_device_ops ops = { .new_device = on_new,
						 .destroy_device = on_destroy,
						 .vring_state_changed = on_ring,
						 .new_connection = on_connection };

/* ---- packets: the worker ---- */

/* A checksum that the guest left to us: its field has the pseudo header's sum. What is no TCP or
 * UDP is as the guest made it. */
static void finish_checksum(struct rte_mbuf *m)
{
	struct rte_net_hdr_lens lens;
	uint32_t type = rte_net_get_ptype(m, &lens, RTE_PTYPE_ALL_MASK);
	uint32_t at = (uint32_t)lens.l2_len + lens.l3_len, field = at;
	uint16_t sum;

	m->ol_flags &= ~RTE_MBUF_F_RX_L4_CKSUM_MASK;
	switch (type & RTE_PTYPE_L4_MASK) {
	case RTE_PTYPE_L4_TCP:
		field += (uint32_t)offsetof(struct rte_tcp_hdr, cksum);
		break;
	case RTE_PTYPE_L4_UDP:
		field += (uint32_t)offsetof(struct rte_udp_hdr, dgram_cksum);
		break;
	default:
		return;
	}
	if (field + sizeof(sum) > m->data_len ||
	    rte_raw_cksum_mbuf(m, at, m->pkt_len - at, &sum) != 0) {
		return;
	}
	sum = (uint16_t)~sum;
	sum = sum == 0 ? 0xffff : sum; /* RFC 768; the same to TCP */
	memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, field), &sum, sizeof(sum));
}

static uint16_t receive(void *arg, uint16_t queue, struct rte_mbuf **m, uint16_t n)
{
	struct vhost *v = arg;
	int vid = __atomic_load_n(&v->vid, __ATOMIC_ACQUIRE);

	if (UNLIKELY(vid < 0)) {
		return 0;
	}
	n = rte_vhost_dequeue_burst(vid, (uint16_t)(queue * 2 + 1), v->pool, m, n);
	for (uint16_t i = 0; i < n; i++) {
		if ((m[i]->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_NONE) {
			finish_checksum(m[i]);
		}
	}
	return n;
}

static uint16_t transmit(void *arg, uint16_t queue, struct rte_mbuf **m, uint16_t n)
{
	struct vhost *v = arg;
	int vid = __atomic_load_n(&v->vid, __ATOMIC_ACQUIRE);
	uint16_t sent = 0;

	if (UNLIKELY(vid < 0)) {
		return 0;
	}
	while (sent < n) {
		uint16_t k = rte_vhost_enqueue_burst(vid, (uint16_t)(queue * 2), m + sent,
						     (uint16_t)(n - sent));
		if (k == 0) {
			break;
		}
		sent = (uint16_t)(sent + k);
	}
	rte_pktmbuf_free_bulk(m, sent);
	return sent;
}

static bool is_up(const void *arg)
{
	const struct vhost *v = arg;

	return __atomic_load_n(&v->vid, __ATOMIC_ACQUIRE) >= 0;
}

/* ---- opening and closing ---- */

static bool begin(struct vhost *v, const struct vhost_options *o, struct error *e)
{
	uint64_t flags = RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS;

	flags |= o->is_server ? 0 : (uint64_t)RTE_VHOST_USER_CLIENT;
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
			     .io = { receive, transmit, is_up, o->wakes, v },
			     .vid = -1 };
	memset(v->kick, 0xff, sizeof(v->kick));
	pthread_mutex_lock(&all.lock);
	vec_push(&all.items, v);
	pthread_mutex_unlock(&all.lock);
	if (!begin(v, o, e)) {
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
