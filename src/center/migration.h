/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMs that move from one host of the manager's to another. The hosts do it between themselves
 * (their /remora/v1/migrations); here it is decided who goes where, the policy of both nodes is
 * made ready, and what has become of it is found out and kept: the VM stays the same entity, with
 * its reference, folder, pool, permissions and custom values.
 *
 * States:
 *
 *   WAITING (for others of the same hosts) --> CLAIMING (PUT source) --> ARRANGING (the target runs
 * the policy) --> PREPARING (PUT target)
 *     --> STARTING (POST start) --> RUNNING (GET) --done--> ARRIVING (the target shows the VM)
 *     --> FORGETTING (DELETE at both) --> (none)
 *   CLAIMING … STARTING, RUNNING --refused, failed, cancelled--> FORGETTING
 *   after a restart: RUNNING, or FORGETTING where the outcome was known
 *
 * 1. A row in the database stands from before CLAIMING to the end of FORGETTING; that the VM has
 *    arrived is in the same transaction as its new place.
 * 2. Until it is known that the VM has arrived, it is shown as its old host has it, even when that
 *    shows it no more.
 * 3. One that was not started when its manager ended is cancelled; one that was is followed.
 * 4. No pointers to hosts or VMs are kept: both are found again by their ids.
 *
 * Event-loop thread only.
 */
#pragma once

#include "base/json.h"
#include "center/center.h"
#include "center/mirror.h"

struct member;
struct migrations;

struct migrations *migrations_new(struct center *c);
/* Those of earlier runs; members and their VMs are there. */
bool migrations_load(struct center *c, struct error *e);
/* Concludes these, now that policy is known. */
void migrations_start(struct center *c);
void migrations_free(struct migrations *all); /* before the members */

/* What is wanted. */
struct migration_order {
	struct object *vm;
	struct member *from, *to;
	struct object *pool, *folder; /* NULL: as now */
	struct object *datastore;     /* where files are copied to; NULL: none are */
	/* Of the target's PUT: "datastore", "disks", "networks"; taken over. */
	struct json_object *target;
	bool is_relocation; /* by RelocateVM_Task; events differ */
	bool is_hot;	    /* the VM runs */
};

/* Begins it for the call, which becomes a task or is refused. */
void migration_begin(struct call *c, const struct migration_order *order);

/* Whether the VM is on its way; the task of that, or NULL. */
bool migration_is_under_way(struct center *c, const struct object *vm, struct object **task);

/* ---- for the mirror ---- */

/* The VM here that comes to the host as `remote`; NULL: none does. */
struct object *migration_arrival(struct mirror *m, struct object *remote, struct arena *a);
/* Is the source of a VM whose whereabouts are not decided yet? Then it is not to be taken out. */
bool migration_holds(const struct mirror_source *s);
/* One of the two hosts shows the VM, or shows it no more. */
void migration_look(struct center *c);

/* ---- for members ---- */

/* Is it a host's event that a VM was registered or removed there, because it has moved? */
bool migration_explains(const struct member *m, const struct value *event);

/* It is taken out of the database, in the transaction that is begun; then out of the inventory. */
void migration_drop_member(struct member *m);
void migration_forget_member(struct member *m);
