/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A manager: the inventory of many hosts as vCenter shows it.
 *
 * Who owns what:
 *  - Folders, datacenters, clusters and the compute resources of single hosts, all resource pools,
 *    vApps, distributed switches and their port groups are the manager's own. Their objects have
 *    class `center_entity_class`, owner = the struct center; they are stored in the database.
 *  - HostSystem, VirtualMachine, Datastore, Network and what hangs below a host (browsers,
 *    configManager) are mirrored from hosts (hosts.h); their objects have a class and an owner of
 *    that layer's. What is the manager's about them — name in the inventory, folder, pool — is set
 *    through place.h and compute.h only, and stored in the same table of entities.
 *  - Pools that a host has of its own are not shown: its root pool stands for the root pool of the
 *    compute resource, and a VM's pool is a fact of the manager's (place_set_pool()).
 *  - Computed from the above at the end of each turn of the event loop (rollup.h): summaries of
 *    compute resources, their lists of datastores and networks, and those of datacenters.
 *
 * A change is written to the database first, then made in the inventory, then answered: see
 * database.h. The API that serves the inventory belongs to the program and outlives the center.
 * There are no globals. Event-loop thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "base/vec.h"
#include "vim/api.h"
#include "vim/event.h"
#include "vim/inventory.h"
#include "vim/service.h"
#include "vim/session.h"
#include "vim/task.h"

struct database;
struct dvs_policy;
struct dvs_ports;
struct hosts;
struct intent;
struct migrations;
struct node_policy;
struct rollup;

struct center_config {
	uv_loop_t *loop;
	struct clock *clock;
	struct api *api;   /* of kind API_CENTER; made before the center and freed after it */
	const char *state; /* folder of the database; NULL: nothing is kept (simulate) */
};

struct center {
	uv_loop_t *loop;
	struct clock *clock;
	struct api *api;
	struct inventory *inventory; /* = api->inventory */
	struct database *db;	     /* NULL: nothing is kept; its functions take NULL */
	char *state;		     /* may be NULL */

	struct object *root;	    /* "group-d1", named "Datacenters" */
	struct object *dvs_manager; /* "DVSManager" */

	struct map64 names; /* of place.c: hash of parent and name → object */
	int64_t next_id;    /* of center_new_id() */

	struct custom_field_manager *fields;
	struct extension_manager *extensions;
	struct license_manager *licenses;
	struct option_manager *options;
	struct intent *intent; /* of networks; NULL: not there yet, or any more */
	struct rollup *rollup; /* of rollup.c */
	struct list follows;   /* of follow.c */
	struct node_policy *policy;
	struct lend *lend; /* functions that cards lend */ /* what nodes are given; NULL: not there
							      yet, or any more */
	struct hosts *hosts;				   /* of the layer of hosts */
	struct migrations *migrations;			   /* NULL: not there yet, or any more */
	VEC(struct object *) switches;			   /* distributed ones; of dvs.c */
	struct dvs_ports *ports;			   /* of dvs_port.c */
	struct dvs_policy *dvs_policy; /* of dvs_policy.c; NULL: not there yet, or any more */
};

/* Builds the inventory from the database; nothing runs yet. NULL with `e`. */
struct center *center_new(const struct center_config *config, struct error *e);

/* Begins the work: hosts are connected. */
bool center_start(struct center *c, struct error *e);

/* Closes the database; hosts and VMs run on. The objects go with the inventory (api_free()). */
void center_free(struct center *c);

/* A new id, never used before and never again, e.g. "vm-17" for "vm". It writes the database: call
 * it between begin and commit, together with the writes that use the id. */
void center_new_id(struct center *c, const char *prefix, char *out, size_t size);
/* Writes how far ids are used, again: after a commit that failed. */
void center_keep_ids(struct center *c);
enum {
	CENTER_ID_MAX = 48 /* bytes of an id, with its NUL */
};

/* Objects with this class have the struct center as owner. */
extern const struct object_class center_entity_class;
struct center *center_of(const struct object *o); /* NULL: not of that class */

/* Posts a typed event about an entity; `event` is a draft of a type derived from Event. */
void center_post(struct center *c, struct arena *a, struct value *event, struct object *entity,
		 const char *user, const char *text);
