/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A naive model of the switch, for fate_model_test.c: random policies and packets, and what should
 * become of a packet, found by linear searches from what the documentation says (the schema of the
 * plane document, docs/internals/switch.md), not by the switch's code. Of that it only shares plain
 * data: addresses, prefixes, and the names of reasons and answers.
 *
 *   model_policy_test.c  a random policy, changed versions of it, and its document
 *   model_packet_test.c  a random packet: bytes, and beside them what they are
 *   model_fate_test.c    policy and packet → fate; connections are kept here
 *
 * A `place` is where packets of a segment come in and go out: guest port and tag, or all that is
 * beyond the segment's team. One thread.
 */
#ifndef SWITCH_MODEL_TEST_H
#define SWITCH_MODEL_TEST_H

#include "base/buf.h"
#include "switch/config.h"
#include "switch/fate.h"

enum {
	M_PORTS = 10,
	M_SEGMENTS = 5,
	M_TEAMS = 2,
	M_ROUTERS = 2,
	M_TRUNK = 3,
	M_ADDRESSES = 3,
	M_ENDPOINTS = 4,
	M_REMOTES = 3,
	M_ROUTES = 4,
	M_HOPS = 3,
	M_GROUPS = 6,
	M_RULES = 12,
	M_LIST = 3,
	M_FLOWS = 4096,
	M_NEIGHBORS = 256,
	M_DATAGRAMS = 128,
	M_PENDING = 8,
	M_FRAME = 1800,
	M_WAYS = 32,
	M_NO = -1,
};

/* ---- randomness: the same from the same seed ---- */

struct rng {
	uint64_t state;
};
uint32_t rng_below(struct rng *r, uint32_t n); /* 0 to n - 1 */
bool rng_chance(struct rng *r, uint32_t percent);

/* ---- policy ---- */

struct m_port {
	int team, segment; /* or M_NO */
	int n_trunk;
	struct {
		int vlan, segment;
	} trunk[M_TRUNK];
	bool has_mac;
	uint8_t mac[6];
	struct address addresses[M_ADDRESSES];
	int n_addresses;
	bool learns; /* who is behind it */
	bool forged, mac_changes, promiscuous, dhcp_server, router, any_address, is_blocked;
	int mtu;
};

struct m_team {
	int first_port, n_ports; /* in a row */
	int mtu, vlan;		 /* vlan: of tunnels, or M_NO */
	uint8_t mac[6];
	struct address address, gateway; /* ip 0: none */
};

struct m_remote {
	uint8_t mac[6];
	struct address addresses[2];
	int n_addresses, endpoint;
};

struct m_segment {
	enum encapsulation kind;
	int team, router, vlan, vni, mtu;
	struct gateway gateways[2];
	int n_gateways;
	int flood[M_ENDPOINTS], n_flood;
	struct m_remote remotes[M_REMOTES];
	int n_remotes;
};

struct m_route {
	struct prefix prefix;
	struct address hops[M_HOPS];
	int n_hops;
};

struct m_router {
	uint8_t mac[6];
	struct m_route routes[M_ROUTES];
	int n_routes;
};

struct m_group {
	struct prefix prefixes[M_LIST];
	int n_prefixes;
	int ports[M_LIST], n_ports;
};

struct m_service {
	int proto;
	int from, to;		    /* destination ports; M_NO: any */
	int source_from, source_to; /* the same */
	int type, code;		    /* ICMP; M_NO: any */
};

struct m_rule {
	int sources[M_LIST], n_sources, destinations[M_LIST], n_destinations;
	int applied_to[M_LIST], n_applied_to;
	struct m_service services[M_LIST];
	int n_services;
	int direction; /* enum rule_direction */
	int ip;	       /* 0: both */
	enum rule_action action;
};

struct m_policy {
	struct m_port ports[M_PORTS];
	struct m_team teams[M_TEAMS];
	struct m_segment segments[M_SEGMENTS];
	struct m_router routers[M_ROUTERS];
	struct address endpoints[M_TEAMS][M_ENDPOINTS];
	struct m_group groups[M_GROUPS];
	struct m_rule rules[M_RULES];
	int n_ports, n_teams, n_segments, n_routers, n_groups, n_rules;
	enum rule_action fallback;
};

void model_policy_make(struct m_policy *p, struct rng *r);
/* Another version of it: rules, guards, sizes and routes change, who is where does not. */
void model_policy_change(struct m_policy *p, struct rng *r);
void model_policy_write(const struct m_policy *p, struct buf *document);

/* ---- packets ---- */

/* Numbers by which a connection is known; ports in the machine's order. */
struct m_key {
	int ip, proto;
	struct address from, to;
	int sport, dport;
};

enum m_tcp {
	M_UNTRACKED,
	M_SYN_SENT,
	M_ANSWERED,
	M_OPEN,
	M_HALF_CLOSED,
	M_CLOSING,
	M_WAITING,
	M_RESET,
};

struct m_packet {
	uint8_t bytes[M_FRAME];
	size_t size;
	int port;
	const char *what; /* for people */
	/* The outer header, where there is one. */
	enum encapsulation tunnel;
	bool is_tunnel_good;
	int endpoint, tunnel_segment; /* or M_NO */
	size_t inner_at;
	/* The frame. */
	int vlan; /* or M_NO */
	uint8_t to_mac[6], from_mac[6];
	enum drop_reason spoiled; /* what whoever reads it finds */
	/* ARP, neighbour discovery. */
	bool is_neighbor, is_request, has_claim_mac;
	struct address claim, target;
	uint8_t claim_mac[6];
	/* IP; key.ip 0: none. */
	struct m_key key;
	int ttl, l4_at; /* of the frame that `inner_at` and the tag are before */
	bool is_echo, is_reply, is_error, is_advertisement, is_dhcp_server;
	int icmp_type;	    /* or M_NO */
	struct m_key about; /* of an error; ip 0: of nothing known */
	/* Fragments: bytes of the datagram. */
	bool is_fragment, has_more;
	int fragment_at, fragment_size;
	uint32_t fragment_id;
	int tcp_flags;
	uint32_t seq, ack, window, length; /* length: with SYN and FIN */
};

/* ---- the model ---- */

struct m_flow {
	bool is_used, has_answer_key;
	int place[2];
	struct m_key key;      /* of the first packet */
	uint8_t mac[2][12];    /* as packets of an end come in */
	int endpoint, version; /* of the policy that judged it */
	bool is_routed, is_copied;
	enum m_tcp tcp;
	bool fin[2];
	uint32_t sent[2]; /* highest sequence number, plus one */
	uint32_t edge[2]; /* how far an end may send */
};

struct m_neighbor {
	int segment; /* M_NO: the tunnels' network */
	struct address address;
	uint8_t mac[6];
};

/* One of which fragments were seen. */
struct m_datagram {
	bool is_used, is_spoiled, is_reply, is_dhcp_server;
	int place, size;  /* size: M_NO: not known yet */
	struct m_key key; /* of the first one */
	uint32_t id;
	bool has[M_FRAME]; /* bytes */
};

struct m_mac {
	int segment, place;
	uint8_t mac[6];
};

struct model {
	struct m_policy policy;
	int version;
	struct m_flow flows[M_FLOWS];
	int n_flows;
	struct m_neighbor neighbors[M_NEIGHBORS];
	int n_neighbors;
	struct m_datagram datagrams[M_DATAGRAMS];
	struct m_packet pending[M_PENDING]; /* fragments that are still to come */
	int n_pending;
	struct m_mac macs[M_NEIGHBORS];
	int n_macs;
	/* Addresses that guests have claimed: `place` is where. */
	struct m_seen {
		int segment, place;
		struct address address;
		uint8_t mac[6];
	} seen[M_NEIGHBORS];
	int n_seen;
};

struct m_way {
	int place, endpoint;
	uint8_t to_mac[6], from_mac[6];
	bool is_routed;
	bool is_lost; /* the way to its endpoint is not known */
};

struct m_fate {
	enum drop_reason reason;
	enum fate_answer answer;
	bool is_answer_sent; /* errors are not always told */
	uint8_t answer_mac[6];
	/* All are gone; or, where it is a choice, one of them is. */
	struct m_way ways[M_WAYS];
	int n_ways;
	bool is_choice;
	/* What to note of it. */
	struct m_flow *flow; /* that it belongs to */
	unsigned end;	     /* that it comes from */
	int place;	     /* where it came in */
	bool is_followed, makes_flow, is_flooded, is_copied, learns;
	struct m_datagram *datagram; /* that it is of */
	bool is_claim;		     /* of an address that is nobody's by the policy */
};

int model_place(int port, int trunk); /* trunk: M_NO: untagged */
int model_place_beyond(int segment);
void model_place_name(const struct m_policy *p, int place, char out[64]);
/* The segment a place is on; *port: whose, or M_NO beyond the team; *vlan: that frames bear. */
int model_place_of(const struct m_policy *p, int place, int *port, int *vlan);
int model_mtu(const struct m_policy *p, int place);
/* Where untagged frames, or those with that tag, come in at a port; M_NO: nowhere. */
int model_ingress(const struct m_policy *p, int port, int vlan);
const struct address *model_next_hop(const struct m_team *t, const struct address *endpoint);
bool model_neighbor(const struct model *m, int segment, const struct address *a, uint8_t mac[6]);

bool m_address_equal(const struct address *a, const struct address *b);
bool m_prefix_has(const struct prefix *p, const struct address *a);
struct address m_address(const char *text);
void m_address_text(const struct address *a, char out[64]);

/* What should become of it. Changes nothing, but gives a later fragment the ports of its first. */
void model_decide(struct model *m, struct m_packet *p, struct m_fate *out);
/* It became so; `way`: the one that was chosen. */
void model_commit(struct model *m, const struct m_packet *p, const struct m_fate *f, int way);

/* A packet that may come in under the model's policy, from anybody or of a known connection. */
void model_packet_make(struct model *m, struct rng *r, struct m_packet *out);
/* Makes an answer to ARP or neighbour discovery out of `port`, `vlan`, `claim`, `claim_mac` and
 * `target`; the rest is zero before. */
void model_packet_tell(struct model *m, struct m_packet *p);

#endif
