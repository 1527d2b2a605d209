/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Distributed switches: kept and shown with their port groups and member hosts. Hosts get them with
 * their node's policy (dvs_policy.h); each member's status says whether its plane runs them.
 */
#pragma once

#include "center/center.h"
#include "center/database.h"

bool dvs_load(struct center *c, const struct database_entity *row, struct object *parent,
	      struct error *e);

/* A switch by the program (simulate), with its uplink port group. NULL with `e`. */
struct object *dvs_create(struct center *c, struct object *folder, const char *name,
			  struct error *e);
/* A port group of it. */
struct object *dvs_create_portgroup(struct center *c, struct object *dvs, const char *name,
				    struct error *e);
/* Makes hosts members, in the database and the inventory. */
bool dvs_add_hosts(struct center *c, struct object *dvs, struct object *const *hosts, size_t n,
		   struct error *e);

/* The switch's lists and counts after its port groups or its name changed. */
void dvs_show(struct object *dvs);
/* The same after a port group came or went, which its hosts show, too. */
void dvs_show_groups(struct object *dvs);
/* The list of VMs connected to it. */
void dvs_show_vms(struct object *dvs);
/* Port groups of the switches that a host is a member of, behind what `list` has. */
const struct value *dvs_networks(struct center *c, const struct object *host,
				 const struct value *list, struct arena *a);
/* A host that is about to be removed: from the rows, within the caller's transaction; then from the
 * inventory. */
void dvs_drop_host(struct center *c, struct object *host);
void dvs_forget_host(struct center *c, struct object *host);
/* What a host's membership shows may have changed: its connection, its adapters; or what some
 * hosts' planes run. */
void dvs_host_changed(struct center *c, struct object *host);
void dvs_policies_changed(struct center *c);
/* The switch leaves the inventory; the port group leaves its switch. */
void dvs_forget(struct object *dvs);
void dvs_forget_portgroup(struct object *pg);

/* CreateDVS_Task, ReconfigureDvs_Task, Destroy_Task, and what is asked (dvs_manager.h). */
void dvs_register(struct center *c);
