/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the switch finds out by itself: behind which interface a MAC address was seen, and the MAC
 * addresses of neighbours, those of routed segments and those of the tunnels' own network. Tables
 * of fixed size, one set per switch, which outlive configurations: a full bucket forgets what was
 * seen longest ago, so that a flood of forged addresses pushes out little else.
 *
 * Workers write and read at once. Writers take a lock; readers none: an entry is two 64-bit words
 * that are checked by reading the first again.
 */
#ifndef SWITCH_LEARNED_H
#define SWITCH_LEARNED_H

#include <stdbool.h>
#include <stdint.h>

#include "switch/config.h"

enum {
	LEARNED_MACS = 65536,
	LEARNED_NEIGHBORS = 16384,
	LEARNED_MAC_TICKS = 1200,      /* 5 minutes; IEEE 802.1Q §8.8.3 */
	LEARNED_NEIGHBOR_TICKS = 4800, /* 20 minutes */
	LEARNED_UNDERLAY = 0xffff,     /* in a segment's place: the tunnels' network */
};

struct learned;

struct learned *learned_new(void);
void learned_free(struct learned *l);

/* A MAC address was seen on a segment, coming in at an interface, at a tick. `limit`: how many may
 * be known there, 0: any number; beyond it nothing is learned. True: it was not known there before
 * and is now. */
bool learned_mac(struct learned *l, uint16_t segment, const uint8_t mac[6], uint16_t iface,
		 uint32_t limit, uint32_t now);
bool learned_find_mac(const struct learned *l, uint16_t segment, const uint8_t mac[6],
		      uint16_t *iface, uint32_t now);
/* Forgets all that was learned on segments: their numbers mean others now. */
void learned_clear(struct learned *l);
void learned_neighbor(struct learned *l, uint16_t segment, const struct address *address,
		      const uint8_t mac[6], uint32_t now);
bool learned_find_neighbor(const struct learned *l, uint16_t segment, const struct address *address,
			   uint8_t mac[6], uint32_t now);

/* For `show`: calls fn for each MAC address that is known. */
void learned_each_mac(const struct learned *l, uint32_t now,
		      void (*fn)(void *arg, uint16_t segment, const uint8_t mac[6], uint16_t iface,
				 uint32_t age_ticks),
		      void *arg);

#endif
