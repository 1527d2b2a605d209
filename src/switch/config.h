/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the switch should be: the plane document (schema/plane-switch.json) as C structs, with
 * names resolved to indexes. Reading refuses what dangles, repeats, overlaps or is beyond the
 * limits below, naming object, reason and limit; a struct switch_config is always consistent.
 * Immutable once made; any thread may read, making and freeing are the control thread's.
 *
 * A configuration that is made from another by a change shares with it what did not change: what
 * objects hold is in parts, each owned by all configurations that point into it. It keeps enough
 * of its document's text to be written down as a document again (switch_config_write()).
 */
#ifndef SWITCH_CONFIG_H
#define SWITCH_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "switch/classifier.h"

enum {
	CONFIG_PORTS_MAX = 1024,
	CONFIG_TEAMS_MAX = 16,
	CONFIG_SEGMENTS_MAX = 1024,
	CONFIG_ROUTERS_MAX = 64,
	CONFIG_SECTIONS_MAX = 10000,
	CONFIG_GROUP_PREFIXES_MAX = 100000,
	CONFIG_ROUTES_MAX = 100000,  /* of all routers */
	CONFIG_ENDPOINTS_MAX = 4096, /* remote tunnel endpoints */
	CONFIG_REMOTES_MAX = 100000, /* of all segments */
	CONFIG_MTU = 1500,	     /* where none is said */
	CONFIG_LEARNING = 4096,	     /* MAC addresses behind a port that learns */
	CONFIG_LEASE_SECONDS = 86400,
	CONFIG_OVERHEAD_IP4 = 50, /* of Geneve and VXLAN, with the inner Ethernet header */
	CONFIG_OVERHEAD_IP6 = 70,
};

struct address {
	uint8_t bytes[16]; /* IPv4 in the first four */
	uint8_t ip;	   /* 4 or 6; 0: none */
};

enum port_kind {
	PORT_VHOST,	/* vhost-user: path, is_server */
	PORT_MEMIF,	/* path, id, is_server */
	PORT_STREAM,	/* QEMU's -netdev stream: path, is_server */
	PORT_TAP,	/* interface made here */
	PORT_AF_PACKET, /* interface that exists */
	PORT_AF_XDP,	/* the same */
	PORT_DEVICE,	/* any DPDK device: device arguments */
};

/* Token bucket; rate 0: none. */
struct qos_limit {
	uint64_t bits_per_second;
	uint64_t burst_bytes;
};

struct port_guard {
	bool forged_transmits; /* may send from MAC addresses that are not its own */
	bool mac_changes;      /* may take another MAC address */
	bool promiscuous;      /* sees what is for others */
	bool dhcp_server;
	bool router;	  /* may send router advertisements */
	bool any_address; /* else: sends only from `addresses`, ARP and ND are inspected */
};

struct trunk_vlan {
	uint16_t vlan;
	uint16_t segment;
};

struct config_port {
	const char *name;
	const char *label; /* what people call it; "": nothing else */
	enum port_kind kind;
	const char *path; /* socket, interface name or device arguments */
	bool is_server;
	bool is_blocked;
	uint16_t n_queues;
	uint16_t mtu;
	uint32_t memif_id;
	int32_t segment; /* of untagged frames; -1: none */
	int32_t team;	 /* that it belongs to; -1: none */
	struct trunk_vlan *trunk;
	size_t n_trunk;
	bool has_mac;
	uint8_t mac[6];
	struct address *addresses;
	size_t n_addresses;
	struct port_guard guard;
	struct qos_limit from, to; /* what it sends, what it gets */
	uint32_t flows_max;	   /* 0: the switch's */
	uint32_t new_flows_per_second;
	uint32_t learning_limit; /* MAC addresses learned behind it; 0: it does not learn */
};

enum team_policy {
	TEAM_ACTIVE_STANDBY, /* the first that is up */
	TEAM_FLOW_HASH
};

/* Uplinks that act as one, with this node's tunnel endpoint where it has one. */
struct config_team {
	const char *name;
	enum team_policy policy;
	uint16_t *ports;
	size_t n_ports;
	uint16_t mtu;
	uint8_t mac[6];
	struct address address; /* of the tunnel endpoint */
	uint8_t prefix_length;
	struct address gateway;
	uint16_t vlan; /* that tunnels travel in; PACKET_NO_VLAN: untagged */
};

enum encapsulation {
	ENCAP_NONE,
	ENCAP_VLAN,
	ENCAP_GENEVE,
	ENCAP_VXLAN
};

struct gateway {
	struct address address;
	uint8_t prefix_length;
};

/* An address known to be behind a remote endpoint, or a VM's there. */
struct config_remote {
	uint8_t mac[6];
	uint16_t endpoint;
	int32_t moving_to; /* endpoint that it may be behind as well; -1: none */
	bool is_leaving; /* a port's guest that moves to `endpoint`; else one that comes from it */
	struct address *addresses;
	size_t n_addresses;
};

/* DHCP for guests whose port has an address on a gateway's network. RFC 2131, RFC 2132. */
struct config_dhcp {
	uint32_t lease_seconds;
	struct address *dns; /* IPv4 */
	size_t n_dns;
	const char *domain; /* NULL: none is told */
};

struct config_segment {
	const char *name;
	uint64_t id; /* made of the name: the same in every document */
	enum encapsulation encapsulation;
	uint32_t vni;
	uint16_t vlan;	/* ENCAP_VLAN; PACKET_NO_VLAN: untagged */
	int32_t team;	/* -1: no way out of the node */
	int32_t router; /* -1: none */
	uint16_t mtu;
	bool learning; /* MAC addresses seen at the uplink are learned */
	struct gateway *gateways;
	size_t n_gateways;
	uint16_t *flood; /* endpoints that get broadcasts */
	size_t n_flood;
	struct config_remote *remotes;
	size_t n_remotes;
	const struct config_dhcp *dhcp; /* NULL: not answered here */
};

struct route {
	struct prefix prefix;
	struct address *next_hops; /* ECMP by flow hash; each on a segment of the router */
	size_t n_next_hops;
};

struct config_router {
	const char *name;
	uint8_t mac[6];
	struct route *routes;
	size_t n_routes;
};

/* Rules stand in sections; those of a section follow those of the one before. */
struct config_section {
	const char *name;
	size_t n_rules;
};

/* What many configurations may point into. */
struct config_part {
	unsigned n_owners;
	struct arena *arena;
};

/* The lists of objects that change seldom: they are kept as text, and read anew with any change. */
enum config_list {
	CONFIG_LIST_PORTS,
	CONFIG_LIST_TEAMS,
	CONFIG_LIST_SEGMENTS,
	CONFIG_LIST_ROUTERS,
	CONFIG_LISTS
};

struct switch_config {
	bool is_performance; /* poll instead of sleep */
	struct config_port *ports;
	size_t n_ports;
	struct config_team *teams;
	size_t n_teams;
	struct config_segment *segments;
	size_t n_segments;
	struct config_router *routers;
	size_t n_routers;
	struct address *endpoints; /* remote ends of tunnels */
	size_t n_endpoints;
	const char **group_names; /* NULL: a place where a group was, which is empty now */
	struct rule_group *groups;
	size_t n_groups;
	struct config_section *sections;
	size_t n_sections;
	struct rule *rules;	 /* all sections, in order; also those that are disabled */
	const char **rule_names; /* "section/rule" */
	const char **rule_texts; /* as in the document, JSON */
	size_t n_rules;
	enum rule_action fallback;
	const char *lists[CONFIG_LISTS]; /* JSON text; NULL: none */
	struct arena *arena;	     /* of the arrays above from group_names on, and of tables.c */
	struct config_part *objects; /* what ports, teams, segments and routers hold */
	struct config_part **parts;  /* what groups and rules hold */
	size_t n_parts;
};

/* From a document that its schema allows. The caller ends it with switch_config_free(). NULL and
 * an error that begins with the object's place and name. */
struct switch_config *switch_config_read(const struct json_at *document, struct error *e);
/* What a list of changes that the schema allows ("changes" in its $defs) makes of a configuration:
 * they are taken in order, and what comes out at the end must be right. The same end and error. */
struct switch_config *switch_config_change(const struct switch_config *before,
					   const struct json_at *changes, struct error *e);
/* Appends the document, one line, without its end. */
void switch_config_write(const struct switch_config *c, struct buf *out);
void switch_config_free(struct switch_config *c);

#endif
