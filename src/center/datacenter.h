/* SPDX-License-Identifier: Apache-2.0 */
/* Datacenters: each with four root folders, for VMs, hosts, datastores and networks. */
#pragma once

#include "center/center.h"
#include "center/database.h"

/* Makes one with its folders within the caller's transaction and puts it into the inventory after
 * the caller has committed, by datacenter_enter(). */
struct datacenter_ids {
	char datacenter[CENTER_ID_MAX];
	char folders[4][CENTER_ID_MAX];
};
void datacenter_write(struct center *c, struct datacenter_ids *ids, const char *name,
		      const struct object *parent);
struct object *datacenter_enter(struct center *c, const struct datacenter_ids *ids,
				const char *name, struct object *parent);

bool datacenter_load(struct center *c, const struct database_entity *row, struct object *parent,
		     struct error *e);

/* Makes the folder the datacenter's root folder of its kind; false: it is of no such kind. */
bool datacenter_set_folder(struct object *datacenter, const struct object *folder);

/* CreateDatacenter, PowerOnMultiVM_Task. */
void datacenter_register(struct center *c);
