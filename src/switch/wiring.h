/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker goes by: the compiled configuration together with the devices that its ports are,
 * and the headers of its tunnels. Made by the control thread for one struct tables, published to
 * workers whole, and freed with it. Immutable but for the tunnels' headers, which workers fill in
 * as neighbours become known, each for itself.
 */
#ifndef SWITCH_WIRING_H
#define SWITCH_WIRING_H

#include <stdint.h>

#include "switch/encap.h"
#include "switch/port_io.h"
#include "switch/tables.h"

#define WIRING_NO_DEVICE UINT16_MAX
#define WIRING_IO	 (UINT16_MAX - 1) /* no device of DPDK: io */

enum {
	WIRING_WAYS = 16, /* a power of two, at least as many as a team has ports */
	WIRING_NO_PORT = UINT16_MAX,
};

/* What a worker counts of a rule. Packets and bytes are those of connections that have ended. */
struct rule_counters {
	uint64_t hits; /* first packets that it allowed, and all that it dropped */
	uint64_t packets, bytes;
};

/* Where packets that leave by an interface go, in one look. */
struct wire {
	uint16_t port; /* index in the configuration; where there is a team, see struct ways */
	uint16_t vlan; /* tag to put on; PACKET_NO_VLAN: none */
	uint16_t team;
	uint16_t frame_max; /* bytes of an untagged frame there */
	uint8_t kind;	    /* enum iface_kind */
	uint32_t vni;
};

/* A team's ports by a packet's hash, as links are. The control thread writes them while workers
 * read. */
struct ways {
	uint16_t port[WIRING_WAYS]; /* atomic; WIRING_NO_PORT: none is up */
	uint32_t moved;		    /* atomic; counts up when they change */
};

struct wiring {
	struct tables *tables;
	const struct switch_config *config; /* the tables' */
	uint16_t device[CONFIG_PORTS_MAX];  /* of each port; WIRING_NO_DEVICE: not open */
	uint16_t n_queues[CONFIG_PORTS_MAX];
	const struct port_io *io[CONFIG_PORTS_MAX]; /* of WIRING_IO; else NULL */
	struct wire wires[4096];		    /* by interface */
	struct ways ways[CONFIG_TEAMS_MAX];
	uint16_t epoch;
	struct rule_counters *rules; /* the worker's; by position, the default behind them */
	/* Where ports and rules were in the wiring before, to take counts along; -1: new. */
	int32_t port_before[CONFIG_PORTS_MAX];
	int32_t *rule_before;
	size_t n_ports_before, n_rules_before;
	size_t n_rules_first, n_rules_last; /* that stand where they stood, from each end */
	bool objects_stay;   /* ports, teams, segments and routers are those of before */
	bool segments_moved; /* a segment's position is another's now: what was learned is void */
	bool is_stateful;    /* there are rules: connections are followed, not only packets */
};

/* devices: of each of the configuration's ports. Takes the tables over. */
struct wiring *wiring_new(struct tables *tables, const uint16_t *devices, const uint16_t *n_queues);
void wiring_free(struct wiring *w);
/* Which of the configuration's ports are up: teams send by those. Without it, by all that are
 * open. While it runs, too. */
void wiring_set_links(struct wiring *w, const bool *is_up);
/* The port by which a team sends a packet of that hash, or WIRING_NO_PORT. */
static inline uint16_t wiring_way(const struct wiring *w, uint16_t team, uint32_t hash)
{
	return __atomic_load_n(&w->ways[team].port[(hash >> 4) % WIRING_WAYS], __ATOMIC_RELAXED);
}

/* Says which wiring (NULL: none) is replaced; before it is published. Ports are the same by name,
 * rules by number. */
void wiring_follow(struct wiring *w, const struct wiring *before);
/* Brings what was kept by position of ports (CONFIG_PORTS_MAX items of `size` bytes, in place) into
 * this wiring's order; what is new is zero. */
void wiring_carry_ports(const struct wiring *w, void *ports, size_t size);
/* The same for what was kept by position of rules in the wiring before (may be NULL). */
void wiring_carry_rules(const struct wiring *w, struct rule_counters *rules,
			const struct rule_counters *before);
/* The same for the rules' counters of the wirings themselves; where no rule moved, in no time. */
void wiring_take_rules(struct wiring *w, struct wiring *before);

#endif
