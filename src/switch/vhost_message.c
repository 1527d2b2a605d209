/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/vhost_message.h"

#include <string.h>

#include "base/macro.h"

/* Numbers of requests. */
enum request {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_LOG_BASE = 6,
	SET_LOG_FD = 7,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	SET_VRING_ERR = 14,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
	NET_SET_MTU = 20,
	SET_STATUS = 39,
	GET_STATUS = 40,
	REQUESTS,
};

enum {
	RING_SIZE_MAX = 32768, /* virtio 1.1, 2.4 */
	LOG_ALL = 26,	       /* the feature that may come and go */
	PACKED = 34,	       /* rings whose size is any number */
};

/* What a request's payload begins with. */
enum form {
	REFUSED,
	ANY, /* nothing that anybody reads: of any size */
	U64,
	RING,	   /* u32 ring, u32 number */
	RING_FILE, /* u64, whose low 8 bits are the ring */
	ADDRESSES, /* u32 ring, u32 flags, 4 addresses */
	MEMORY,	   /* u32 regions, u32, regions of 32 bytes */
	LOG,	   /* u64 size, u64 offset */
};

static const uint8_t forms[REQUESTS] = {
	[GET_FEATURES] = ANY,
	[SET_FEATURES] = U64,
	[SET_OWNER] = ANY,
	[VHOST_MESSAGE_MEMORY] = MEMORY,
	[SET_LOG_BASE] = LOG,
	[SET_LOG_FD] = ANY,
	[SET_VRING_NUM] = RING,
	[SET_VRING_ADDR] = ADDRESSES,
	[SET_VRING_BASE] = RING,
	[GET_VRING_BASE] = RING,
	[SET_VRING_KICK] = RING_FILE,
	[SET_VRING_CALL] = RING_FILE,
	[SET_VRING_ERR] = RING_FILE,
	[GET_PROTOCOL_FEATURES] = ANY,
	[SET_PROTOCOL_FEATURES] = U64,
	[GET_QUEUE_NUM] = ANY,
	[SET_VRING_ENABLE] = RING,
	[VHOST_MESSAGE_RARP] = U64,
	[NET_SET_MTU] = U64,
	[SET_STATUS] = U64,
	[GET_STATUS] = ANY,
};

static uint32_t u32_at(const struct vhost_message *m, uint32_t at)
{
	uint32_t v;

	memcpy(&v, m->payload + at, sizeof(v));
	return v;
}

static uint64_t u64_of(const struct vhost_message *m)
{
	uint64_t v;

	memcpy(&v, m->payload, sizeof(v));
	return v;
}

static bool has_right_size(enum form form, const struct vhost_message *m)
{
	switch (form) {
	case U64:
	case RING:
	case RING_FILE:
		return m->size == 8;
	case ADDRESSES:
		return m->size == 40;
	case MEMORY:
		return m->size >= 8 && u32_at(m, 0) <= VHOST_REGIONS_MAX &&
		       m->size == 8 + 32 * u32_at(m, 0);
	case LOG:
		return m->size == 16;
	case ANY:
	case REFUSED:
		break;
	}
	return true;
}

static const char *take_features(struct vhost_session *s, uint64_t features)
{
	uint64_t other = (features ^ s->features) & ~(1ULL << LOG_ALL);

	for (int i = 0; i < VHOST_RINGS_MAX; i++) {
		if (s->size[i] != 0 && other != 0) {
			return "other features while a ring has a size";
		}
	}
	s->features = features;
	return NULL;
}

static const char *take_size(struct vhost_session *s, uint32_t ring, uint32_t size)
{
	bool is_packed = (s->features & 1ULL << PACKED) != 0;

	if (size == 0 || size > RING_SIZE_MAX || (!is_packed && (size & (size - 1)) != 0)) {
		return "a size that no ring has";
	}
	if (s->is_placed[ring] && size != s->size[ring]) {
		return "another size for a ring that has its place";
	}
	s->size[ring] = (uint16_t)size;
	return NULL;
}

static const char *take_ring(struct vhost_session *s, const struct vhost_message *m, uint32_t ring)
{
	if (ring >= VHOST_RINGS_MAX) {
		return "a ring beyond the last";
	}
	switch (m->request) {
	case SET_VRING_NUM:
		return take_size(s, ring, u32_at(m, 4));
	case SET_VRING_ADDR:
		if (s->size[ring] == 0) {
			return "addresses of a ring without a size";
		}
		s->is_placed[ring] = true;
		break;
	case SET_VRING_KICK: /* starts it */
		return s->is_placed[ring] ? NULL : "the start of a ring without a place";
	case GET_VRING_BASE: /* stops it, and forgets both */
		s->size[ring] = 0;
		s->is_placed[ring] = false;
		break;
	default:
		break;
	}
	return NULL;
}

const char *vhost_session_take(struct vhost_session *s, const struct vhost_message *m)
{
	enum form form = m->request < REQUESTS ? (enum form)forms[m->request] : REFUSED;

	if (form == REFUSED) {
		return "a request that is not served";
	}
	if (!has_right_size(form, m)) {
		return "a message of the wrong size";
	}
	if (m->request == SET_FEATURES) {
		return take_features(s, u64_of(m));
	}
	if (form == RING || form == ADDRESSES) {
		return take_ring(s, m, u32_at(m, 0));
	}
	return form == RING_FILE ? take_ring(s, m, (uint32_t)(u64_of(m) & 0xff)) : NULL;
}
