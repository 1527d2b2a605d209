/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets that the switch makes itself, in the place of a host or router: answers to what came in
 * (fate.h), and ARP requests of its own. Bytes in, bytes out; any thread.
 */
#ifndef SWITCH_ANSWER_H
#define SWITCH_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "switch/fate.h"

enum {
	ANSWER_SIZE_MAX = 1600, /* an echo that fills an Ethernet frame */
};

/* What `fate` says to send back to where the packet came from, without a VLAN tag. `own_mac`: of
 * the router, for what a router says. `own`: the router's address there; ip 0: as the packet's
 * destination. Returns its size; 0: there is nothing to be said (RFC 1122 §3.2.2, RFC 4443 §2.4:
 * no errors about errors, redirects, fragments, or group addresses). */
size_t answer_make(const struct packet *p, const struct fate *fate, const uint8_t own_mac[6],
		   const struct address *own, uint8_t out[ANSWER_SIZE_MAX]);

/* Who has `target`? From one of ours: an ARP request or a neighbour solicitation. */
size_t answer_ask(const uint8_t own_mac[6], const struct address *own, const struct address *target,
		  uint8_t out[ANSWER_SIZE_MAX]);

/* Here is who has that MAC address: a reverse ARP request that nobody is to answer (RFC 903). */
size_t answer_reverse(const uint8_t mac[6], uint8_t out[ANSWER_SIZE_MAX]);

#endif
