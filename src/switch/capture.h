/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets that are looked at while they pass: a worker puts copies of what a filter takes into a
 * ring, another thread takes them out. The ring is bounded; what does not fit is counted and lost.
 * One worker puts, one thread takes; the worker never waits.
 *
 * Filters are of pcap's language (pcap-filter(7)), compiled by libpcap and run by the worker on the
 * frame as it stands at that stage, with its tag and tunnel.
 */
#ifndef SWITCH_CAPTURE_H
#define SWITCH_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "switch/reason.h"

enum {
	CAPTURE_SNAP = 256, /* bytes of each packet, unless told */
	CAPTURE_SNAP_MAX = 2048,
	CAPTURE_FILTER_MAX = 4096, /* bytes of its text */
	CAPTURE_SLOTS = 4096,
	CAPTURE_ANY_PORT = -1,
	CAPTURE_NO_PORT = -2, /* it is not there at present */
};

enum capture_stage {
	CAPTURE_RECEIVED,
	CAPTURE_GUARDED, /* passed the guard, and takes the whole way */
	CAPTURE_SENT,
	CAPTURE_DROPPED,
	CAPTURE_N_STAGES
};
const char *capture_stage_name(enum capture_stage s); /* "received" */

struct capture_options {
	const char *filter; /* NULL: everything */
	int32_t port;	    /* index, or as above */
	uint32_t snap;
	uint64_t count;	 /* packets, then it takes no more; 0: no limit */
	unsigned stages; /* a bit each */
};

/* A packet in the ring. */
struct captured {
	uint64_t ns; /* since 1970 */
	uint16_t port;
	uint16_t epoch; /* of the tables by which ports are numbered */
	uint8_t stage;
	uint8_t reason; /* CAPTURE_DROPPED */
	uint32_t size;	/* of the frame */
	uint32_t n;	/* bytes that are here */
	uint8_t bytes[];
};

struct capture;

/* NULL and an error where the filter's text is wrong. */
struct capture *capture_new(const struct capture_options *options, struct error *e);
void capture_free(struct capture *c);

/* What a worker sees. */
struct capture_packet {
	enum capture_stage stage;
	enum drop_reason reason;
	uint16_t port, epoch;
	const uint8_t *head; /* n_head bytes of a frame of `size` */
	uint32_t n_head, size;
};
/* The worker's. */
void capture_put(struct capture *c, const struct capture_packet *p);

/* The other thread's: the oldest one, or NULL; it stays until capture_pop(). */
const struct captured *capture_peek(const struct capture *c);
void capture_pop(struct capture *c);
/* Ports are numbered in another way from now on. */
void capture_set_port(struct capture *c, int32_t port);
uint64_t capture_n_lost(const struct capture *c);
bool capture_is_done(const struct capture *c); /* as many as it should were put */

#endif
