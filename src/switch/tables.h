/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration compiled for workers: what a first packet's way through the switch consults.
 *
 * A struct tables is immutable and replaced whole: the control thread makes the next one,
 * publishes it, and frees the old one when every worker has passed a quiet point since. Each has
 * an epoch; flows judged under another one are judged again. What the switch learns is elsewhere
 * (learned.h). It owns the configuration it was made from.
 */
#ifndef SWITCH_TABLES_H
#define SWITCH_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "switch/config.h"

struct tables;

/* One place where packets of one segment come in and go out: an access port, a trunk's VLAN, or
 * all that is beyond a segment's team. Its index is what flow records know it by. */
enum iface_kind {
	IFACE_NONE,
	IFACE_PORT,   /* a guest's: guard and firewall apply */
	IFACE_VLAN,   /* toward the team, tagged or not */
	IFACE_TUNNEL, /* toward remote endpoints */
};

struct iface {
	uint8_t kind;	  /* enum iface_kind */
	uint16_t port;	  /* IFACE_PORT: index in the configuration */
	uint16_t segment; /* index */
	uint16_t vlan;	  /* that frames bear there; PACKET_NO_VLAN: none */
	uint16_t team;	  /* IFACE_VLAN, IFACE_TUNNEL: index */
};

/* Gives each interface name the index that flow records know it by; 0: no room. */
struct iface_index {
	uint16_t (*fn)(void *arg, const char *name);
	void *arg;
};

/* Takes the configuration over where it succeeds. */
struct tables *tables_new(struct switch_config *config, uint16_t epoch,
			  const struct iface_index *index, struct error *e);
/* The same, knowing the tables that are to be replaced (NULL: none), which share what did not
 * change. */
struct tables *tables_next(const struct tables *before, struct switch_config *config,
			   uint16_t epoch, const struct iface_index *index, struct error *e);
void tables_free(struct tables *t);
/* Before anybody goes by them. */
void tables_set_epoch(struct tables *t, uint16_t epoch);

const struct switch_config *tables_config(const struct tables *t);
uint16_t tables_epoch(const struct tables *t);
const struct classifier *tables_classifier(const struct tables *t);

/* The largest packet, with its IP header, that leaves there. */
uint16_t tables_mtu(const struct tables *t, uint16_t iface);
/* Kind IFACE_NONE: no such interface. Any index may be asked for. */
const struct iface *tables_iface(const struct tables *t, uint16_t iface);
/* "port web-1", "port web-1 VLAN 5", "segment blue" */
const char *tables_iface_name(const struct tables *t, uint16_t iface);
/* Where a frame with that tag comes in at a port or, for a team's port, at the team; 0: nowhere. */
uint16_t tables_ingress(const struct tables *t, uint16_t port, uint16_t vlan);
/* Where a tunnel packet with that identifier comes in at a team; 0: it has no such segment. */
uint16_t tables_tunnel_ingress(const struct tables *t, uint16_t team,
			       enum encapsulation encapsulation, uint32_t vni);
/* A known remote endpoint's index, or -1. */
int32_t tables_endpoint(const struct tables *t, const struct address *address);

/* Of a segment: the interface toward its team (0: none), those of guests' ports, and whether one
 * of them wants to see all frames, or learns. */
struct segment_ifaces {
	uint16_t out;
	const uint16_t *guests;
	size_t n_guests;
	bool has_promiscuous, has_learning;
};
const struct segment_ifaces *tables_segment(const struct tables *t, uint16_t segment);

/* Where an address known from the configuration is. Of a guest that moves: where it was heard
 * last. */
struct whereabouts {
	uint16_t iface;
	uint16_t endpoint; /* IFACE_TUNNEL */
	uint8_t mac[6];
	uint16_t moving; /* it may be elsewhere by the next packet: not 0 */
};
bool tables_find_mac(const struct tables *t, uint16_t segment, const uint8_t mac[6],
		     struct whereabouts *out);
bool tables_find_address(const struct tables *t, uint16_t segment, const struct address *address,
			 struct whereabouts *out);

/* Guests that move: how many the document says so of. */
size_t tables_n_moving(const struct tables *t);
/* A frame from that MAC address came in there (endpoint: of IFACE_TUNNEL): if it is a guest's that
 * moves, and one of its two places, it is reached there from now on. Worker's thread. */
void tables_hear(const struct tables *t, uint16_t segment, const uint8_t mac[6], uint16_t iface,
		 uint16_t endpoint);
/* Guests that moved already when these tables' predecessor ran are where they were heard last. */
void tables_follow_moving(struct tables *t, const struct tables *before);

/* Is it an address of the segment's router? */
bool tables_is_gateway(const struct tables *t, uint16_t segment, const struct address *address);
/* The way to an address by a router: the segment it is on, and the next hop there (the address
 * itself where it is connected). `hash` chooses among equals. False: no route. */
struct next_hop {
	uint16_t segment;
	struct address address;
};
bool tables_route(const struct tables *t, uint16_t router, const struct address *address,
		  uint32_t hash, struct next_hop *out);

#endif
