/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource pools and vApps: they say how the capacity of a compute resource is meant to be shared.
 * Reservations are admitted against what the pools above have left; shares and limits are kept and
 * shown. Event-loop thread only.
 */
#pragma once

#include "center/center.h"
#include "center/database.h"

/* The root pool "Resources" of a compute resource: into the database, with a new id; then into the
 * inventory. */
void pool_write_root(struct center *c, char id[CENTER_ID_MAX], const char *compute_id);
struct object *pool_new_root(struct center *c, const char *id, struct object *compute);

bool pool_load(struct center *c, const struct database_entity *row, struct object *parent,
	       struct error *e);

/* With all pools below: out of the database; out of the inventory. */
void pool_drop_tree(struct center *c, struct object *pool);
void pool_remove_tree(struct center *c, struct object *pool);

/* Capacity of the compute resource: sets the root pool's configuration and everything's runtime. */
void pool_set_capacity(struct object *root, int64_t mhz, int64_t mb);

/* The pool has another name: what else shows it. */
void pool_show_name(struct object *pool);

/* Pools made by the program (simulate): in the database and the inventory at once. NULL with `e`.
 */
struct object *pool_create(struct center *c, struct object *parent, const char *name,
			   struct error *e);
struct object *pool_create_vapp(struct center *c, struct object *parent, const char *name,
				struct object *folder, struct error *e);

/* CreateResourcePool, UpdateConfig, MoveIntoResourcePool, DestroyChildren, CreateVApp, Destroy_Task
 * and Rename_Task of pools. */
void pool_register(struct center *c);
