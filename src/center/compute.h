/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compute resources: clusters, and what stands for a single host; each with its root resource pool.
 *
 * compute_new_standalone(), compute_drop() and compute_write_host_move() write the database within
 * the caller's transaction; the other functions change the inventory only. Event-loop thread only.
 */
#pragma once

#include "center/center.h"
#include "center/database.h"

/* ComputeResource "domain-sN" in a host folder, for one host of that name, with its root pool. In
 * the inventory at once: after a commit that fails the caller must compute_remove() it. */
struct object *compute_new_standalone(struct center *c, struct object *folder, const char *name);

/* Writes that the compute resource goes, with its pools; then, after the commit, takes it out of
 * the inventory. It must be without hosts. */
void compute_drop(struct center *c, struct object *compute);
void compute_remove(struct center *c, struct object *compute);

/* The host becomes a child of the compute resource: parent, name index, ComputeResource.host; its
 * name must be set by the caller before (place_enter() is called here for new ones). */
void compute_attach(struct center *c, struct object *compute, struct object *host,
		    const char *name);
/* Takes the host out of ComputeResource.host and the index of names. */
void compute_detach(struct center *c, struct object *host);

/* The compute resource that a host stands in, and its root pool. */
struct object *compute_of_host(struct object *host);
struct object *compute_root_pool(struct object *compute);
/* The compute resource that a pool (of any depth) belongs to. */
struct object *compute_of_pool(struct object *pool);
bool compute_is_cluster(const struct object *compute);

bool compute_load(struct center *c, const struct database_entity *row, struct object *parent,
		  struct error *e);

/* A cluster in the inventory, still without pool and configuration (cluster.h). */
struct object *compute_new_cluster(struct center *c, const char *id, const char *name,
				   struct object *folder);

/* Moves a host, with its VMs, to another compute resource; one that stood for it alone goes. Writes
 * within the caller's transaction / then changes the inventory. */
void compute_write_host_move(struct center *c, struct object *host, struct object *to);
void compute_move_host(struct center *c, struct object *host, struct object *to);
