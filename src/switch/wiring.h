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
#include "switch/tables.h"

#define WIRING_NO_DEVICE UINT16_MAX

/* Where packets that leave by an interface go, in one look. */
struct wire {
	uint16_t port; /* index in the configuration; of a team: its first that is up */
	uint16_t vlan; /* tag to put on; PACKET_NO_VLAN: none */
	uint8_t kind;  /* enum iface_kind */
	uint8_t pad;
	uint16_t team;
	uint32_t vni;
};

struct wiring {
	struct tables *tables;
	const struct switch_config *config; /* the tables' */
	uint16_t device[CONFIG_PORTS_MAX];  /* of each port; WIRING_NO_DEVICE: not open */
	uint16_t n_queues[CONFIG_PORTS_MAX];
	struct wire wires[4096]; /* by interface */
	uint16_t epoch;
	bool is_stateful; /* there are rules: connections are followed, not only packets */
};

/* devices: of each of the configuration's ports. Takes the tables over. */
struct wiring *wiring_new(struct tables *tables, const uint16_t *devices, const uint16_t *n_queues);
void wiring_free(struct wiring *w);

#endif
