/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hosts of a manager: connected, watched, mirrored into its inventory, and told what to do.
 *
 * A method of a mirrored object that the manager does not handle itself runs on the host that the
 * object comes from (forward.h). For clients there is no difference: references, tasks and events
 * are the manager's own. Event-loop thread only.
 */
#pragma once

#include "center/center.h"
#include "vim/server.h"

/* Brings hosts back from the database, with all that was seen of them, not connected yet, and
 * registers the methods. The manager's own entities must be there. NULL with `e`. */
struct hosts *hosts_new(struct center *c, struct error *e);

/* Begins to connect those that are meant to be. */
void hosts_start(struct hosts *hs);

/* Disconnects. The mirrored objects are taken out of the inventory. */
void hosts_free(struct hosts *hs);

/* A host in this process, e.g. a simulated one; it is connected at once and for good. */
struct hosts_local {
	struct inventory *inventory;
	struct session *session;      /* of the host's, that operations run as */
	struct event_manager *events; /* may be NULL */
	const char *name;	      /* as the manager shows it */
	struct object *place;	      /* host folder, or cluster */
	struct http_route folder;     /* serves its files; begin NULL: nobody does */
	struct object *datastores;    /* folder for what comes with it; NULL: the datacenter's */
};
/* The HostSystem; NULL with ERROR_EXISTS (the name), ERROR_INVALID (no host there), ERROR_IO. */
struct object *hosts_add_local(struct hosts *hs, const struct hosts_local *local, struct error *e);

/* Where VMs of such a host go that come to be from now on, but for those that a client of the
 * manager makes; NULL: to the datacenter's folder, to the root pool. */
void hosts_set_vm_place(struct object *system, struct object *folder, struct object *pool);

/* Serves /folder: files on the hosts' datastores. */
void hosts_serve(struct hosts *hs, struct server *server);
