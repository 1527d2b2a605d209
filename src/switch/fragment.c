/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/fragment.h"

#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "base/random.h"
#include "switch/flow.h"

enum {
	WAYS = 8,
	/* What a later fragment inherits. */
	FLAGS_KEPT = PACKET_DHCP_REPLY | PACKET_RA | PACKET_REPLY,
};

struct datagram {
	/* What it is known by. IPv6: the protocol may differ in fragments, and is 0. */
	struct flow_key key; /* without ports */
	uint32_t id;
	bool is_used, is_spoiled;
	/* Of the first fragment. */
	uint16_t sport, dport;
	uint8_t proto;
	uint16_t flags;
	uint32_t tick;
	uint32_t size; /* of all of it; 0: the last fragment was not there yet */
	unsigned n_pieces;
	struct {
		uint32_t from, to;
	} pieces[FRAGMENTS_PIECES_MAX];
};

struct fragments {
	uint64_t seed;
	uint32_t next; /* that is to be looked at */
	uint32_t n_of[FLOW_IFACES_MAX];
	struct datagram datagrams[FRAGMENTS_MAX];
};

struct fragments *fragments_new(void)
{
	struct fragments *f = mem_zalloc(sizeof(*f));

	f->seed = random_u64() | 1;
	return f;
}

void fragments_free(struct fragments *f)
{
	free(f);
}

static struct flow_key key_of(const struct packet *p)
{
	struct flow_key k = p->key;

	k.sport = k.dport = 0;
	k.proto = k.ip == 6 ? 0 : k.proto;
	return k;
}

static bool is_current(const struct datagram *d, uint32_t now)
{
	return d->is_used && now - d->tick < FRAGMENTS_TICKS;
}

static size_t bucket_of(const struct fragments *f, const struct flow_key *k, uint32_t id)
{
	uint64_t h = flow_key_hash(k, f->seed ^ id * 0x9e3779b97f4a7c15u);

	return h % (FRAGMENTS_MAX / WAYS) * WAYS;
}

static const struct datagram *find(const struct fragments *f, const struct packet *p, uint32_t now)
{
	struct flow_key k = key_of(p);
	const struct datagram *d = &f->datagrams[bucket_of(f, &k, p->fragment_id)];

	for (int i = 0; i < WAYS; i++) {
		if (is_current(&d[i], now) && d[i].id == p->fragment_id &&
		    flow_key_equal(&d[i].key, &k)) {
			return &d[i];
		}
	}
	return NULL;
}

static void end(struct fragments *f, struct datagram *d)
{
	f->n_of[d->key.iface % FLOW_IFACES_MAX] -= d->is_used;
	d->is_used = false;
}

/* ---- pieces ---- */

static void join_neighbours(struct datagram *d)
{
	for (unsigned i = 0; i < d->n_pieces; i++) {
		for (unsigned k = 0; k < d->n_pieces; k++) {
			if (d->pieces[i].to == d->pieces[k].from) {
				d->pieces[i].to = d->pieces[k].to;
				d->pieces[k] = d->pieces[--d->n_pieces];
				i = k = 0;
			}
		}
	}
}

/* Adds a fragment's bytes; false: they do not belong to one datagram with what was there. */
static bool add_piece(struct datagram *d, const struct packet *p)
{
	uint32_t from = p->fragment_at, to = from + p->fragment_size;

	if (d->size != 0 && (to > d->size || (p->fragment_is_last && to != d->size))) {
		return false;
	}
	for (unsigned i = 0; i < d->n_pieces; i++) {
		if ((from < d->pieces[i].to && to > d->pieces[i].from) ||
		    (p->fragment_is_last && to < d->pieces[i].to)) {
			return false;
		}
	}
	if (d->n_pieces == FRAGMENTS_PIECES_MAX) {
		return false;
	}
	d->size = p->fragment_is_last ? to : d->size;
	d->pieces[d->n_pieces].from = from;
	d->pieces[d->n_pieces++].to = to;
	join_neighbours(d);
	return true;
}

static bool is_whole(const struct datagram *d)
{
	return d->size != 0 && d->n_pieces == 1 && d->pieces[0].from == 0 &&
	       d->pieces[0].to == d->size;
}

/* A fragment of a datagram that is known. */
static enum drop_reason join(struct datagram *d, struct packet *p)
{
	if (d->is_spoiled || !add_piece(d, p)) {
		d->is_spoiled = true;
		return DROP_FRAGMENT;
	}
	p->key.sport = d->sport;
	p->key.dport = d->dport;
	p->key.proto = d->proto;
	p->flags |= (uint16_t)(d->flags | PACKET_JOINED);
	return DROP_NONE;
}

/* ---- a fragment ---- */

/* A place for a new one; NULL: the interface has as many as it may, or none is free. */
static struct datagram *place_for(struct fragments *f, const struct flow_key *k, uint32_t id,
				  uint32_t now)
{
	struct datagram *d = &f->datagrams[bucket_of(f, k, id)];

	if (f->n_of[k->iface % FLOW_IFACES_MAX] >= FRAGMENTS_OF_IFACE_MAX) {
		return NULL;
	}
	for (int i = 0; i < WAYS; i++) {
		if (!is_current(&d[i], now)) {
			end(f, &d[i]);
			return &d[i];
		}
	}
	return NULL;
}

static enum drop_reason begin(struct fragments *f, const struct packet *p, uint32_t now)
{
	struct flow_key k = key_of(p);
	struct datagram *d = place_for(f, &k, p->fragment_id, now);

	if (d == NULL) {
		return DROP_FRAGMENT_QUOTA;
	}
	*d = (struct datagram){ .key = k,
				.id = p->fragment_id,
				.is_used = true,
				.sport = p->key.sport,
				.dport = p->key.dport,
				.proto = p->key.proto,
				.flags = p->flags & FLAGS_KEPT,
				.tick = now };
	f->n_of[k.iface % FLOW_IFACES_MAX]++;
	(void)add_piece(d, p);
	return DROP_NONE;
}

enum drop_reason fragments_take(struct fragments *f, struct packet *p, uint32_t now)
{
	const struct datagram *found = find(f, p, now);

	if (found == NULL) {
		return (p->flags & PACKET_LATER) != 0 ? DROP_FRAGMENT_UNKNOWN : begin(f, p, now);
	}
	struct datagram *d = &f->datagrams[found - f->datagrams];
	enum drop_reason r = join(d, p);
	if (r == DROP_NONE && is_whole(d)) {
		end(f, d);
	}
	return r;
}

void fragments_forget(struct fragments *f, const struct packet *p, uint32_t now)
{
	const struct datagram *found = find(f, p, now);

	if (found != NULL && !found->is_spoiled && (p->flags & PACKET_LATER) == 0) {
		end(f, &f->datagrams[found - f->datagrams]);
	}
}

enum drop_reason fragments_look(const struct fragments *f, struct packet *p, uint32_t now)
{
	const struct datagram *found = find(f, p, now);

	if (found == NULL) {
		return (p->flags & PACKET_LATER) != 0 ? DROP_FRAGMENT_UNKNOWN : DROP_NONE;
	}
	struct datagram copy = *found;
	return join(&copy, p);
}

void fragments_age(struct fragments *f, uint32_t now, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct datagram *d = &f->datagrams[f->next];
		f->next = (f->next + 1) % FRAGMENTS_MAX;
		if (d->is_used && !is_current(d, now)) {
			end(f, d);
		}
	}
}
