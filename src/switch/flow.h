/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows: one record a connection, both directions, in a table in shared memory that outlives the
 * process. A table belongs to one worker and is touched by no other thread while that worker
 * runs; `show` reads it without locks and may see a record half-changed, never a wild index.
 *
 * A record is 128 bytes: the first cache line is what every packet reads, the second what it
 * counts. It is found by either direction's key (packet.h) through buckets of eight signatures,
 * two buckets a key; an index entry carries the direction in its top bit. Records are aged by a
 * timer wheel that is lazy: a packet only sets `expires`, later and later; the wheel looks at a
 * record when its slot comes round and puts it back where it was used meanwhile. What shall end
 * earlier is moved (flow_expire()).
 *
 * Adoption. The file begins with a header: magic, version of the layout, sizes, the hash's seed,
 * names of the interfaces that records speak of by index. Stores are ordered so that a kill -9
 * between any two leaves a table that works: a record is whole before the index names it, and out
 * of the index before it is free; what an index entry says is checked against the record. The
 * wheel and the free stack are made anew from the records, in one pass over them, by whoever opens
 * the table; the index is taken as it is. So at most the flow that was being made is lost. A file
 * of another version is put aside and an empty table begun.
 *
 * A process that waits to take the table over maps it before, and looks at nothing in it but names;
 * when it has taken it, connections are found at once and the pass goes on in portions.
 */
#ifndef SWITCH_FLOW_H
#define SWITCH_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "switch/packet.h"

#define FLOW_LAYOUT_VERSION 4
#define FLOW_NONE	    UINT32_MAX
#define FLOW_N_MAX	    (1u << 30)
#define FLOW_TICK_MS	    250 /* the unit of `expires` */

enum flow_flag {
	FLOW_IP6 = 1 << 0,
	FLOW_ROUTED = 1 << 2, /* hop limit goes down, MAC addresses change */
	FLOW_ASKS = 1 << 3,   /* the tables are asked for each packet: others see them, or both
			       * ends are behind tunnels, of which a record has one */
	FLOW_REPLIED = 1 << 4,
	FLOW_IN_USE = 1 << 7,
};

/* End 0 opened the connection. Arrays are by end; a packet from end d has direction d.
 * Addresses and ports in network order. */
struct flow {
	uint32_t address[2]; /* IPv4, or the last 32 bits */
	uint16_t port[2];
	uint16_t iface[2]; /* where packets of end d come in, and those to it go out */
	uint8_t proto;
	uint8_t flags;	    /* enum flow_flag */
	uint16_t epoch;	    /* of the tables that judged it */
	uint8_t mac[2][12]; /* destination and source as packets of end d bear them coming in; those
			     * that go out to end d bear these, exchanged */
	uint16_t tunnel;    /* remote endpoint, where one end is behind it */
	uint8_t tcp;	    /* enum tcp_state, tcp_track.h */
	uint8_t scale;	    /* TCP window scale, end 0 in the low nibble; 15: not offered */
	uint32_t expires;   /* tick */
	uint32_t rule;	    /* position in the tables that judged it: what to count */
	uint32_t next, previous; /* in the wheel's slot */
	/* --- second cache line --- */
	uint64_t bytes[2];
	uint32_t packets[2];
	uint32_t tcp_end[2];  /* highest sequence number sent by end d, plus one */
	uint32_t tcp_edge[2]; /* right edge of what end d may send */
	uint32_t high[2][3];  /* IPv6: the first 96 bits */
};

_Static_assert(sizeof(struct flow) == 128, "a flow is two cache lines");
_Static_assert(offsetof(struct flow, bytes) == 64, "what is counted has a line of its own");

struct flow_table;

/* A table of n_max records (a power of two, 64 to FLOW_N_MAX) in the file at path, on hugetlbfs or
 * tmpfs; adopts what is there, see above, and says how many records in *n_adopted. path NULL:
 * private memory. now: tick. The file is locked while the table is open: a second opener gets
 * ERROR_BUSY. */
struct flow_table *flow_table_open(const char *path, uint32_t n_max, uint32_t now,
				   uint32_t *n_adopted, struct error *e);
/* Maps a table that another process has, to take it over when that has gone; until then only
 * flow_iface_find() and flow_table_close() may be called. ERROR_NOT_FOUND: there is none yet;
 * ERROR_UNSUPPORTED: of another layout or size. */
struct flow_table *flow_table_map(const char *path, uint32_t n_max, struct error *e);
/* Takes it over; waits for wait_ms where the other one has not let go of it yet, else ERROR_BUSY.
 * Records are adopted by flow_adopt(), in the owner's time. */
bool flow_table_take(struct flow_table *t, uint32_t now, int64_t wait_ms, struct error *e);
/* Adopts at most n records more; how many it did. */
unsigned flow_adopt(struct flow_table *t, unsigned n);
/* Has one huge page more of the table at hand: for when there is nothing to do. */
void flow_touch(struct flow_table *t);
/* Leaves the file for the next process. */
void flow_table_close(struct flow_table *t);

/* The last epoch that records in the file were judged under, by whichever process. */
uint16_t flow_epoch(const struct flow_table *t);
void flow_set_epoch(struct flow_table *t, uint16_t epoch);

uint32_t flow_count(const struct flow_table *t);
/* Those whose first packet came in on an interface. */
uint32_t flow_count_of(const struct flow_table *t, uint16_t iface);
uint32_t flow_capacity(const struct flow_table *t);
/* Bytes of the file, all told. */
size_t flow_table_bytes(const struct flow_table *t);
/* The record at an index that is in use, or NULL; for walks from 0 to flow_high_water(). */
struct flow *flow_at(const struct flow_table *t, uint32_t index);
uint32_t flow_high_water(const struct flow_table *t);

/* The hash of keys in this table; see flow_hot.h for finding. */
uint64_t flow_hash(const struct flow_table *t, const struct flow_key *k);
/* The record of that key and its direction (0, 1), or NULL. */
struct flow *flow_find(const struct flow_table *t, const struct flow_key *k, uint64_t hash,
		       unsigned *direction);

/* A new record for a connection whose first packet bears `forward`; its answers come in on
 * answer_iface. Addresses, ports, ifaces, proto, FLOW_IP6 and `expires` are set, the rest is zero;
 * it is in the index and the wheel at once. NULL: full. An answer key that another record has
 * already stays that one's. */
struct flow *flow_insert(struct flow_table *t, const struct flow_key *forward, uint64_t hash,
			 uint16_t answer_iface, uint32_t expires);
void flow_remove(struct flow_table *t, struct flow *f);
/* The key that packets of end `direction` bear. */
void flow_key_of(const struct flow *f, unsigned direction, struct flow_key *out);

/* Sets an end that may be earlier than the one before. */
void flow_expire(struct flow_table *t, struct flow *f, uint32_t expires);

/* Looks at records whose time has come by tick `now`, at most n of them; each that has expired is
 * given to fn and then removed. Returns how many it looked at. */
unsigned flow_age(struct flow_table *t, uint32_t now, unsigned n,
		  void (*fn)(void *arg, struct flow *f), void *arg);

/* Names that records' interface indexes stand for, kept in the file: 1 to FLOW_IFACES_MAX - 1,
 * found or made; 0: no room, or a name longer than FLOW_IFACE_NAME_MAX - 1 bytes. */
#define FLOW_IFACES_MAX	    4096
#define FLOW_IFACE_NAME_MAX 128
uint16_t flow_iface(struct flow_table *t, const char *name);
uint16_t flow_iface_find(const struct flow_table *t, const char *name); /* 0: none has it */
/* Gives back the numbers of names that `keep` does not want and no record has; how many. Between
 * documents: a worker may be at the table, whose interfaces `keep` wants. */
unsigned flow_iface_reclaim(struct flow_table *t, bool (*keep)(void *arg, uint16_t iface),
			    void *arg);
/* NULL: unused. */
const char *flow_iface_name(const struct flow_table *t, uint16_t iface);

#endif
