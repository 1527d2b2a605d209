/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Distributed switches: kept and shown with their port groups and member hosts; hosts do not
 * realise them yet, which each member's status says ("pending").
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
/* The port group leaves its switch. */
void dvs_forget_portgroup(struct object *pg);

/* CreateDVS_Task, ReconfigureDvs_Task, Destroy_Task, and what is asked (dvs_manager.h). */
void dvs_register(struct center *c);
