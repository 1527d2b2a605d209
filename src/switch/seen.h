/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP addresses that were seen at guests' ports whose addresses nobody has listed: who has said by
 * ARP or neighbour discovery that an address is its own. A table of fixed size, one per switch,
 * that outlives configurations: segments are known by their id, interfaces by the flow table's
 * number. A full bucket forgets what was seen longest ago, and one interface may not fill it.
 *
 * An address counts for SEEN_TICKS. Its owner is asked before that is over, so that who is there
 * and says nothing is not forgotten, and who has left is.
 *
 * Workers write and read at once. Writers take a lock; readers none: an entry has a version that is
 * odd while it is written.
 */
#ifndef SWITCH_SEEN_H
#define SWITCH_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "switch/config.h"

enum {
	SEEN_MAX = 8192,
	SEEN_OF_IFACE_MAX = 32,
	SEEN_FRESH_TICKS = 240,	   /* a minute: for so long it is answered for */
	SEEN_ASK_TICKS = 160,	   /* 40 s: then its owner is asked, */
	SEEN_ASK_AGAIN_TICKS = 40, /* and again */
	SEEN_TICKS = 480,	   /* two minutes */
	SEEN_MOVE_TICKS = 20,	   /* 5 s: who takes it within that from another quarrels */
	SEEN_QUARRELS = 64,
};

struct seen;

/* Where an address is. */
struct seen_at {
	uint16_t iface;
	uint8_t mac[6];
};

enum seen_result {
	SEEN_KNOWN, /* as it was */
	SEEN_NEW,
	SEEN_MOVED, /* another had it */
	SEEN_FULL,  /* not noted: the interface has as many as it may */
};

struct seen *seen_new(void);
void seen_free(struct seen *s);

/* Somebody claims an address on a segment. */
enum seen_result seen_claim(struct seen *s, uint64_t segment, const struct address *address,
			    const struct seen_at *at, uint32_t now);
/* It sent from the address: if that is known to be there, it is so still. */
bool seen_use(struct seen *s, uint64_t segment, const struct address *address,
	      const struct seen_at *at, uint32_t now);
/* Somebody beyond this node claims it. */
void seen_forget(struct seen *s, uint64_t segment, const struct address *address);
/* Where it was seen within `ticks`. */
bool seen_find(const struct seen *s, uint64_t segment, const struct address *address, uint32_t now,
	       uint32_t ticks, struct seen_at *out);

/* An entry as it is seen by walks. */
struct seen_entry {
	uint64_t segment;
	struct address address;
	struct seen_at at;
	uint32_t tick; /* last seen */
};
/* Calls fn for each address that counts. */
void seen_each(const struct seen *s, uint32_t now,
	       void (*fn)(void *arg, const struct seen_entry *e), void *arg);
/* Looks at the next n places: forgets what has expired, and what fn (is it still possible there?)
 * says no to; calls `ask` for what should be asked for. One worker only. */
struct seen_care {
	bool (*is_possible)(void *arg, const struct seen_entry *e);
	void (*ask)(void *arg, const struct seen_entry *e);
	void *arg;
};
void seen_age(struct seen *s, uint32_t now, unsigned n, const struct seen_care *care);

/* Goes up whenever seen_each() would say something else. */
uint64_t seen_changes(const struct seen *s);

/* Two that claim one address, or one that has too many: kept until somebody takes it, at most
 * SEEN_QUARRELS of them. */
struct seen_quarrel {
	uint64_t segment;
	struct address address;
	uint16_t iface;	  /* who claims it, */
	uint16_t other;	  /* and who has it; 0: a router */
	bool is_too_many; /* nobody has it, but the first has too many */
};
void seen_add_quarrel(struct seen *s, const struct seen_quarrel *q);
bool seen_take_quarrel(struct seen *s, struct seen_quarrel *out);

#endif
