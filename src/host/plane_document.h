/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plane document of a node (schema/plane-switch.json): what its switch shall do, put together
 * from the node's uplinks, its standard switches and port groups, the network cards of its VMs that
 * run, and what a manager wants of it (schema/node-policy.json).
 *
 * Names: a card's port is "UUID.KEY", an uplink "vmnicN", a team is called as its switch (or
 * "tunnel", where the endpoint's uplink belongs to none), a segment "SWITCH/VLAN" or, of an
 * overlay, as its id; cut to 63 bytes and made unique where needed. A card whose network is not
 * there stands blocked, without a segment.
 *
 * Pure: nothing is looked at but what is given. Any thread.
 */
#ifndef HOST_PLANE_DOCUMENT_H
#define HOST_PLANE_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "host/node.h"

#define PLANE_NAME_SIZE	 64   /* of ports, teams and segments, with the end */
#define PLANE_VLAN_TRUNK 4095 /* a standard port group's: all VLANs of its switch, tagged */

/* bits_per_second 0: none. */
struct plane_limit {
	uint64_t bits_per_second, burst_bytes; /* burst 0: the switch's default */
};

struct plane_security {
	bool promiscuous, mac_changes, forged_transmits;
};

/* A standard switch. */
struct plane_switch {
	const char *name;
	const char *const
		*uplinks; /* "vmnicN"; those that are no uplinks of the node do not count */
	size_t n_uplinks;
	bool is_flow_hash; /* else: the first that is up */
	uint32_t mtu;	   /* 0: 1500 */
};

/* A standard port group. */
struct plane_group {
	const char *name, *on; /* switch */
	uint32_t vlan;	       /* 0: untagged; PLANE_VLAN_TRUNK */
	struct plane_security security;
	struct plane_limit from; /* of what the guest sends */
};

enum plane_network {
	PLANE_GONE,	   /* there is none */
	PLANE_STANDARD,	   /* `network`: the port group's name */
	PLANE_DISTRIBUTED, /* the port group's key, on the switch `switch_uuid` */
	PLANE_OPAQUE,	   /* the segment's id */
};

struct plane_card {
	const char *port;  /* "UUID.KEY" */
	const char *label; /* for people */
	const char *mac;
	const char *path; /* the socket that QEMU listens on */
	bool is_stream;	  /* else vhost-user */
	bool is_connected;
	enum plane_network kind;
	const char *network, *switch_uuid;
};

struct plane_world {
	const struct node *node;
	size_t first_uplink; /* N of the first uplink's "vmnicN" */
	const struct plane_switch *switches;
	size_t n_switches;
	const struct plane_group *groups;
	size_t n_groups;
	const struct plane_card *cards;
	size_t n_cards;
	struct json_object *policy; /* has passed its schema; NULL: none */
};

/* The document; the caller's. Parts of the policy are shared with it by reference. */
struct json_object *plane_document_make(const struct plane_world *w);

/* The policy's port group or segment of a card; NULL where there is none of that name. */
struct json_object *plane_policy_portgroup(struct json_object *policy, const char *switch_uuid,
					   const char *key);
struct json_object *plane_policy_segment(struct json_object *policy, const char *id);

#endif
