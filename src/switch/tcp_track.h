/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP connection as an observer between its ends sees it: the states of RFC 9293 §3.3.2 as far
 * as they matter here, and the windows within which each end may send. State lives in the flow
 * record (tcp, scale, tcp_end, tcp_edge); nothing is stored elsewhere. The record's worker only.
 *
 *   SYN_SENT ─SYN+ACK→ SYN_ANSWERED ─ACK→ OPEN ─FIN→ HALF_CLOSED ─other FIN→ CLOSING ─ACK→ WAITING
 *   any ─RST within the window→ RESET
 *
 * Windows: an end may send from tcp_end - (the largest window) up to tcp_edge, and acknowledge no
 * more than the other has sent. What is outside is not the connection's.
 */
#ifndef SWITCH_TCP_TRACK_H
#define SWITCH_TCP_TRACK_H

#include <stdint.h>

#include "switch/flow.h"
#include "switch/packet.h"

enum tcp_state {
	TRACK_NONE, /* not followed: the flow began before anybody asked for it */
	TRACK_SYN_SENT,
	TRACK_SYN_ANSWERED,
	TRACK_OPEN,
	TRACK_HALF_CLOSED, /* end 0 or 1 has sent FIN: bit below */
	TRACK_CLOSING,	   /* both have */
	TRACK_WAITING,
	TRACK_RESET,
	TRACK_N_STATES
};

enum tcp_verdict {
	TCP_GOOD,
	TCP_BAD_STATE,	/* DROP_TCP_STATE */
	TCP_BAD_WINDOW, /* DROP_TCP_WINDOW */
	TCP_AGAIN,	/* opens the connection of an ended flow anew: judge it as a first packet */
};

/* May this packet open a connection? SYN without ACK. */
bool tcp_opens(const struct packet *p);
/* Begins with the packet that tcp_opens(). */
void tcp_begin(struct flow *f, const struct packet *p);
/* A packet of end `direction`; changes the record only where it is good. */
enum tcp_verdict tcp_follow(struct flow *f, unsigned direction, const struct packet *p);

const char *tcp_state_name(enum tcp_state s);
/* How long a flow in that state lives without packets, in ticks. */
uint32_t tcp_timeout(enum tcp_state s);

#endif
