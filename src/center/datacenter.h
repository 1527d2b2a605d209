/* SPDX-License-Identifier: Apache-2.0 */
/* Datacenters: each with four root folders, for VMs, hosts, datastores and networks. */
#pragma once

#include "center/center.h"
#include "center/database.h"

/* By the program (simulate): in the database and the inventory at once. NULL with `e`. */
struct object *datacenter_create(struct center *c, struct object *folder, const char *name,
				 struct error *e);

bool datacenter_load(struct center *c, const struct database_entity *row, struct object *parent,
		     struct error *e);

/* Makes the folder the datacenter's root folder of its kind; false: it is of no such kind. */
bool datacenter_set_folder(struct object *datacenter, const struct object *folder);

/* CreateDatacenter, PowerOnMultiVM_Task. */
void datacenter_register(struct center *c);
