/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a switch has told of its ports (plane.event): whether their other side is there, and the
 * addresses seen at them. What it says is bounded by its own limits and by PLANE_ADDRESSES_MAX
 * here. One thread at a time.
 */
#ifndef HOST_PLANE_PORTS_H
#define HOST_PLANE_PORTS_H

#include "base/json.h"
#include "base/map.h"

#define PLANE_ADDRESSES_MAX 16

struct plane_port_state {
	bool is_up;
	size_t n_addresses;
	char addresses[PLANE_ADDRESSES_MAX][46]; /* as text */
};

/* Zero-initialised is empty. */
struct plane_ports {
	struct map all; /* by name, struct plane_port_state (owned) */
};

/* Takes an event. The name of the port that is another now, borrowed from it; NULL: none is. */
const char *plane_ports_take(struct plane_ports *p, const struct json_at *event);
/* NULL: nothing is known. */
const struct plane_port_state *plane_ports_get(const struct plane_ports *p, const char *name);
/* Forgets all but those that a document's list of ports has. */
void plane_ports_keep(struct plane_ports *p, struct json_object *ports);
/* The switch is gone: nothing is up. */
void plane_ports_down(struct plane_ports *p);
void plane_ports_fini(struct plane_ports *p);

#endif
