/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data plane of a host: its switch (switch_link.h), kept at what the host's port groups, the
 * network cards of VMs that run and the manager's policy say. Whatever of these changes leads to a
 * new document (plane_document.h); changes of one turn of the loop are taken together, and
 * documents are applied one after the other.
 *
 * Hosts that are simulated, or told to have no switch, have none: struct host.plane is NULL, and
 * all functions take that. Event-loop thread only.
 */
#ifndef HOST_HOST_PLANE_H
#define HOST_HOST_PLANE_H

#include "base/json.h"
#include "base/rpc.h"
#include "base/vec.h"
#include "host/host.h"
#include "host/plane_document.h"
#include "host/plane_ports.h"

struct host_plane;

/* What a VM layer fills in for plane_document.h; strings in the arena. */
struct plane_cards {
	VEC(struct plane_card) all;
};

struct host_plane_config {
	const char *program; /* remora-switchd; NULL: only found, never started */
};

/* Reads what was kept, looks for the switch. Nothing is applied before host_plane_begin(). */
bool host_plane_start(struct host *h, const struct host_plane_config *c, struct error *e);
/* What runs on this host is known: from now on the switch is told. */
void host_plane_begin(struct host *h);
/* Lets go; the switch runs on. Nobody who waits is called. */
void host_plane_stop(struct host *h);

/* A file is being written. */
bool host_plane_is_busy(const struct host *h);

/* Something that the document speaks of has changed. */
void host_plane_changed(struct host *h);

/* Says when what holds now is in force; with an error where the switch refuses it, or does not
 * answer for some seconds. Never from within the call. */
void host_plane_wait(struct host *h, void (*done)(void *arg, const struct error *e), void *arg);

/* Where a VM's wires are, and QEMU listens for one card's; into `out`. */
void host_plane_socket_folder(const struct host *h, const char *uuid, char *out, size_t size);
void host_plane_socket(const struct host *h, const char *uuid, int32_t key, char *out, size_t size);

/* ---- the manager's policy ---- */

/* What became of a policy. */
struct plane_verdict {
	int status; /* of HTTP: 200, 400, 409, 500, 503 */
	uint64_t generation;
	struct error why; /* unless 200 */
};

/* Takes a policy (its reference, and the text that it was read from) in place of the one that
 * holds; `done` when the switch runs it and it is kept, or when it was refused and nothing has
 * changed. */
void host_plane_put_policy(struct host *h, struct json_object *policy, struct buf *text,
			   void (*done)(void *arg, const struct plane_verdict *v), void *arg);

/* The policy that holds; borrowed, NULL: none. */
struct json_object *host_plane_policy(const struct host *h);
/* The switch runs it; else *why says what is in the way. */
bool host_plane_is_realized(const struct host *h, struct error *why);

/* What the switch sees at a port; NULL: nothing is known. */
const struct plane_port_state *host_plane_seen(const struct host *h, const char *port);
/* The switch answers. */
bool host_plane_is_up(const struct host *h);

/* A port of the last document made, by name; borrowed until the loop turns, NULL: none. */
struct json_object *host_plane_port(const struct host *h, const char *name);

/* The switch's own figures as Prometheus text, "" where it does not answer; `done` once, later. */
void host_plane_metrics(void *host, void (*done)(void *ctx, const char *text), void *ctx);

/* Ask the switch itself, which there is; as switch_link_call(). The second: plane.show. */
void host_plane_call(struct host *h, const char *method, struct json_object *params,
		     void (*on_reply)(void *arg, const struct rpc_reply *reply), void *arg);
void host_plane_ask(struct host *h, const char *what,
		    void (*on_reply)(void *arg, const struct rpc_reply *reply), void *arg);

#endif
