/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A packet's way: what becomes of it, by the live tables. This is the one place that decides;
 * workers ask it for first packets and leave the answer in a flow, `explain` asks it and prints
 * the stages, and the tests hold it against a naive model.
 *
 * Stages, in order: ingress (which interface) → guard → neighbour (ARP, ND and DHCP are answered) →
 * bridge or route (where to) → firewall out (of the port it comes from) → firewall in (of the
 * port it goes to) → egress (size). Nothing is sent or changed here: a fate lists what to do.
 */
#ifndef SWITCH_FATE_H
#define SWITCH_FATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "switch/dhcp.h"
#include "switch/flow.h"
#include "switch/learned.h"
#include "switch/packet.h"
#include "switch/reason.h"
#include "switch/seen.h"
#include "switch/tables.h"

/* Bears it as its own: the switch where it asks guests for addresses, and no router is there. */
#define FATE_ASKING_MAC ((const uint8_t *)"\x02\x52\x4d\xff\xff\xfe")

enum {
	FATE_COPIES_MAX = CONFIG_PORTS_MAX + CONFIG_ENDPOINTS_MAX, /* of a flooded frame */
	FATE_VERDICTS_MAX = 64,
	FATE_RULE_NOT_ASKED = -2,
};

/* What the switch sends back in somebody's place. */
enum fate_answer {
	ANSWER_NONE,
	ANSWER_NEIGHBOR,   /* ARP reply or neighbour advertisement, with `answer_mac` */
	ANSWER_DHCP,	   /* a DHCP server's, with `lease` */
	ANSWER_ECHO,	   /* of a router's own address */
	ANSWER_TTL,	   /* ICMP time exceeded */
	ANSWER_NO_ROUTE,   /* ICMP destination unreachable */
	ANSWER_TOO_BIG,	   /* ICMP fragmentation needed or packet too big, with `answer_mtu` */
	ANSWER_RST,	   /* of a rejected TCP connection */
	ANSWER_PROHIBITED, /* ICMP administratively prohibited */
};

/* One way out. */
struct fate_out {
	uint16_t iface;
	uint16_t endpoint; /* IFACE_TUNNEL */
};

/* An address that a packet at a guest's port bears, where nobody has listed the port's. */
struct fate_sighting {
	struct address address; /* ip 0: none */
	uint8_t mac[6];
	bool is_claim;	 /* ARP or neighbour discovery says so; else it is only sent from */
	bool is_refused; /* a claim to what is another's by configuration, */
	uint16_t owner;	 /* this interface's, or a router's: 0 */
};

/* What a rule that logs said of a flooded packet's copy. */
struct fate_verdict {
	int32_t rule; /* position */
	uint16_t port;
};

/* A packet either has a reason to be dropped, or leaves by `out` (one way, MAC addresses as they
 * leave) or by all of the copies (flooded, or copied: `out` is one of them; MAC addresses as they
 * came). */
struct fate {
	enum drop_reason reason;
	bool is_flooded, is_routed;
	bool is_copied;	 /* flooded for those who want to see all: it has one way out besides */
	bool makes_flow; /* IP, one way out: the rest of its connection may follow it */
	bool is_moving;	 /* who gets it is on the way to another place */
	uint8_t log;	 /* bits of enum rule_direction: rules asked there that want it told */
	bool learns;	 /* the source's MAC address is to be learned where it came in */
	uint8_t destination[6], source[6];
	struct fate_out out;
	struct fate_out *copies; /* FATE_COPIES_MAX, the caller's; may be NULL: not wanted */
	uint32_t n_copies;
	struct fate_verdict *verdicts; /* FATE_VERDICTS_MAX, the caller's; may be NULL */
	uint32_t n_verdicts;	       /* also those that found no room */
	int32_t rule_out, rule_in;     /* positions; CLASSIFIER_ANY: the fallback */
	enum fate_answer answer;
	uint8_t answer_mac[6];
	uint16_t answer_mtu;
	struct dhcp_lease lease;
	struct fate_sighting sighting;
	struct next_hop wanted; /* whose MAC address is not known; address.ip 0: nobody's */
};

/* Hears the stages, for `explain`. */
struct fate_trace {
	void (*stage)(void *arg, const char *stage, const char *text);
	void *arg;
};

struct fate_input {
	const struct tables *tables;
	const struct learned *learned;
	const struct seen *seen;     /* NULL: nothing was seen */
	const struct packet *packet; /* key.iface set: where it came in */
	uint32_t hash;		     /* of the key: chooses among equal ways */
	uint32_t now;		     /* tick */
	/* Of a packet that belongs to a connection: its first packet's key, and whether this one
	 * goes the same way. NULL: a first packet. */
	const struct flow_key *first;
	bool is_answer;
	const struct fate_trace *trace; /* NULL: nobody listens */
};

/* A broadcast comes in by each port of a team whose others stand by: by `way`, the one that it
 * sends by, it counts. Nor does a guest's own count that comes back by another port. */
bool fate_is_echo(const struct tables *t, uint16_t port, uint16_t way, uint16_t segment,
		  const uint8_t *frame);

/* out->copies and out->verdicts are the caller's to set before. */
void fate_decide(const struct fate_input *in, struct fate *out);

/* Of a packet without a record, and what was decided of it: the record of the TCP connection that
 * it is amid, where its sender has moved to where it came in, from behind a tunnel to a port or the
 * other way; found as his peer's packets find it. That it is he: the tables know his MAC address to
 * be there, and that is the record's, or his address is there as well. *d: his end. NULL: none. */
struct flow *fate_find_moved(const struct fate_input *in, const struct fate *decided,
			     const struct flow_table *flows, unsigned *d);

#endif
