/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clusters: their configuration (HA, DRS, rules, groups, overrides) is kept and shown as it was
 * given; nothing acts on it yet, which ManagedEntity.configIssue says where HA or DRS is enabled.
 * Event-loop thread only.
 */
#pragma once

#include "center/center.h"
#include "center/database.h"

/* Configuration from the row. */
bool cluster_load(struct object *cluster, const struct database_entity *row, struct error *e);

/* With the default configuration, in the database and the inventory at once. NULL with `e`. */
struct object *cluster_create(struct center *c, struct object *folder, const char *name,
			      struct error *e);

/* CreateClusterEx, CreateCluster, ReconfigureComputeResource_Task, ReconfigureCluster_Task,
 * MoveInto_Task, MoveHostInto_Task and what asks for recommendations. */
void cluster_register(struct center *c);
