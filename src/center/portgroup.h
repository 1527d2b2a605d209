/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Port groups of distributed switches, in the inventory and the database.
 */
#pragma once

#include "center/center.h"
#include "center/database.h"

/* One to be made. config has everything but key and switch. */
struct portgroup_plan {
	char id[CENTER_ID_MAX];
	struct value *config;
};

/* Gives it its id and writes it, in the folder of the switch and within the caller's transaction;
 * then puts it into the inventory. */
void portgroup_write(struct center *c, struct arena *a, struct portgroup_plan *p,
		     const char *folder_id, const char *dvs_id);
struct object *portgroup_new(struct center *c, const struct portgroup_plan *p,
			     struct object *folder, struct object *dvs);

bool portgroup_load(struct center *c, const struct database_entity *row, struct object *parent,
		    struct error *e);

/* The switch it belongs to, or NULL. */
struct object *portgroup_dvs(struct object *pg);
bool portgroup_is_uplink(struct object *pg);

bool portgroup_is_ephemeral(struct object *pg);

/* It has another configuration, in the inventory; and what follows from it. */
void portgroup_set_config(struct object *pg, const struct value *config);
/* Another number of ports, also in the database. */
bool portgroup_set_ports(struct center *c, struct object *pg, int64_t n, struct error *e);
/* Its ports: in use, of an ephemeral one. Those of uplinks, which are its switch's hosts'. */
void portgroup_show_ports(struct center *c, struct object *pg);
void portgroup_show_uplinks(struct object *pg, const struct value *keys);

/* Shows which hosts the switch has. */
void portgroup_set_hosts(struct object *pg, const struct value *hosts);

/* It has another name. */
void portgroup_show_name(struct object *pg);

/* AddDVPortgroup_Task, CreateDVPortgroup_Task, ReconfigureDVPortgroup_Task, Destroy_Task. */
void portgroup_register(struct center *c);
