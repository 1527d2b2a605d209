/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of a VM's cards that go with it to another host: what the switch here hands over of
 * them (plane.connections.export), as one document for the other host's switch.
 *
 * The document: {"version": 1, "ports": [{"port": "UUID.KEY", "connections": [{…}, …]}, …]}, some
 * 450 bytes a connection (docs/man/remora-switchd.8); at most PLANE_CONNECTIONS_MAX of them, those
 * beyond stay behind and find their way by the rules. Event-loop thread only.
 */
#ifndef HOST_PLANE_CONNECTIONS_H
#define HOST_PLANE_CONNECTIONS_H

#include "base/error.h"
#include "base/json.h"
#include "host/host.h"

enum {
	PLANE_CONNECTIONS_MAX = 65536, /* of all cards of a VM */
};

/* Asks the switch for the connections of n ports (names are copied). `done` comes once, later: the
 * document, which is borrowed, or NULL and the error. A port that the switch does not have is left
 * out; a host without a switch has an empty document. */
void host_plane_export_connections(struct host *h, const char *const *ports, size_t n,
				   void (*done)(void *arg, struct json_object *document,
						const struct error *e),
				   void *arg);
/* Gives the switch such a document (borrowed for the call), which may come from anybody: it may
 * speak of these n ports only. Those that this switch does not have are left out.
 * `done` comes once, later: how many the switch took and left; NULL error: it was asked for all of
 * them. */
void host_plane_import_connections(
	struct host *h, const char *const *ports, size_t n, struct json_object *document,
	void (*done)(void *arg, size_t n_taken, size_t n_left, const struct error *e), void *arg);
/* The guests of these ports are here: the networks are told. Nobody waits for it. */
void host_plane_announce(struct host *h, const char *const *ports, size_t n);

#endif
