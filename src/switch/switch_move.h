/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes with a guest that moves to another node: the connections of its port are handed over in
 * portions and taken by the other node's switch, which then tells its networks where the guest is.
 * Control thread only; each waits for the worker for a turn of its loop.
 */
#ifndef SWITCH_SWITCH_MOVE_H
#define SWITCH_SWITCH_MOVE_H

#include "switch/switch.h"

/* `plane.connections.export`: {"version", "connections": […], "next"}: those of a port, as
 * connection.h has them; `after`: 0, or the `next` of the answer before, which the last one has
 * not. The caller's. */
struct json_object *switch_connections_export(const struct softswitch *s, const char *port,
					      uint32_t after, struct error *e);
/* `plane.connections.import`: {"taken", "left": {reason: count}}. One that cannot be read refuses
 * all, and nothing has changed; one that finds no place here, that is known already or beyond the
 * port's quota is left. What is taken is judged by this node's rules at its next packet. */
struct json_object *switch_connections_import(struct softswitch *s, const char *port,
					      const struct json_at *connections, struct error *e);
/* `plane.announce`: frames in the name of the port's guest to all that may have to know where it
 * is; how many. */
bool switch_announce(struct softswitch *s, const char *port, unsigned *n, struct error *e);

#endif
