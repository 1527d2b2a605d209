/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/capture.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pcap/pcap.h>

#include "base/macro.h"
#include "base/mem.h"

struct capture {
	struct capture_options o;
	struct bpf_program program;
	bool has_program;
	size_t slot_size;
	char *slots;
	/* How many were put, taken, and had no room; each is written by one side. */
	uint64_t n_put, n_taken, n_lost;
	int32_t port;
};

const char *capture_stage_name(enum capture_stage s)
{
	static const char *const names[] = { "received", "guarded", "sent", "dropped" };

	return (unsigned)s < ARRAY_LEN(names) ? names[s] : "?";
}

static bool compile(struct capture *c, const char *text, struct error *e)
{
	pcap_t *p = pcap_open_dead(DLT_EN10MB, CAPTURE_SNAP_MAX);

	if (p == NULL) {
		return error_set(e, ERROR_INTERNAL, "no memory for a filter");
	}
	if (pcap_compile(p, &c->program, text, 1, PCAP_NETMASK_UNKNOWN) == 0) {
		c->has_program = true;
	} else {
		error_set(e, ERROR_INVALID, "filter \"%.80s\": %s", text, pcap_geterr(p));
	}
	pcap_close(p);
	return c->has_program;
}

struct capture *capture_new(const struct capture_options *o, struct error *e)
{
	struct capture *c = mem_zalloc(sizeof(*c));

	c->o = *o;
	c->o.snap = MIN(MAX(o->snap, 16u), (uint32_t)CAPTURE_SNAP_MAX);
	c->port = o->port;
	if (o->filter != NULL && !compile(c, o->filter, e)) {
		free(c);
		return NULL;
	}
	c->o.filter = NULL;
	c->slot_size = (sizeof(struct captured) + c->o.snap + 7) / 8 * 8;
	c->slots = mem_calloc(CAPTURE_SLOTS, c->slot_size);
	return c;
}

void capture_free(struct capture *c)
{
	if (c != NULL) {
		if (c->has_program) {
			pcap_freecode(&c->program);
		}
		free(c->slots);
		free(c);
	}
}

static struct captured *slot(const struct capture *c, uint64_t number)
{
	return (struct captured *)(void *)(c->slots + number % CAPTURE_SLOTS * c->slot_size);
}

static bool is_wanted(const struct capture *c, const struct capture_packet *p)
{
	int32_t port = __atomic_load_n(&c->port, __ATOMIC_RELAXED);
	struct pcap_pkthdr h = { .caplen = p->n_head, .len = p->size };

	return (c->o.stages >> p->stage & 1) != 0 && !capture_is_done(c) &&
	       (port == CAPTURE_ANY_PORT || port == p->port) &&
	       (!c->has_program || pcap_offline_filter(&c->program, &h, p->head) != 0);
}

void capture_put(struct capture *c, const struct capture_packet *p)
{
	struct timespec now;

	if (!is_wanted(c, p)) {
		return;
	}
	if (c->n_put - __atomic_load_n(&c->n_taken, __ATOMIC_ACQUIRE) == CAPTURE_SLOTS) {
		__atomic_store_n(&c->n_lost, c->n_lost + 1, __ATOMIC_RELAXED);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	struct captured *s = slot(c, c->n_put);
	*s = (struct captured){ .ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec,
				.port = p->port,
				.epoch = p->epoch,
				.stage = (uint8_t)p->stage,
				.reason = (uint8_t)p->reason,
				.size = p->size,
				.n = MIN(p->n_head, c->o.snap) };
	memcpy(s->bytes, p->head, s->n);
	__atomic_store_n(&c->n_put, c->n_put + 1, __ATOMIC_RELEASE);
}

const struct captured *capture_peek(const struct capture *c)
{
	return __atomic_load_n(&c->n_put, __ATOMIC_ACQUIRE) == c->n_taken ? NULL
									  : slot(c, c->n_taken);
}

void capture_pop(struct capture *c)
{
	__atomic_store_n(&c->n_taken, c->n_taken + 1, __ATOMIC_RELEASE);
}

void capture_set_port(struct capture *c, int32_t port)
{
	__atomic_store_n(&c->port, port, __ATOMIC_RELAXED);
}

uint64_t capture_n_lost(const struct capture *c)
{
	return __atomic_load_n(&c->n_lost, __ATOMIC_RELAXED);
}

bool capture_is_done(const struct capture *c)
{
	return c->o.count > 0 && __atomic_load_n(&c->n_put, __ATOMIC_RELAXED) >= c->o.count;
}
