/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a VM shall go, from what a client says to an order for migration.h, or to all that speaks
 * against it (vSphere API VirtualMachine.MigrateVM_Task, RelocateVM_Task,
 * VirtualMachineProvisioningChecker). Changes nothing. Event-loop thread only.
 */
#pragma once

#include "center/migration.h"
#include "center/refusal.h"

struct hosts;

struct migration_wish {
	struct object *vm;
	struct object *host, *pool, *folder, *datastore; /* NULL: not said */
	const struct value *disks;   /* VirtualMachineRelocateSpecDiskLocator[], or NULL */
	const struct value *devices; /* VirtualDeviceConfigSpec[]: other networks, or NULL */
	int64_t power; /* E_VirtualMachinePowerState_… that it must be in; -1: any */
	bool is_relocation;
};

/* Of RelocateVM_Task. */
bool migration_wish_relocate(struct center *c, struct arena *a, struct object *vm,
			     const struct value *spec, struct migration_wish *out,
			     struct refusal *r);

/* The host that it would be: one that is named, or of a pool that is. The VM's own where nothing
 * says another. NULL: refused. */
struct member *migration_target(struct hosts *hs, struct arena *a, const struct migration_wish *w,
				struct refusal *r);

/* Privileges of who asks, on all that takes part. */
bool migration_may(const struct migration_wish *w, const struct member *to, struct arena *a,
		   const struct session *session, struct refusal *r);

/* The order; false: refused, with what speaks against it first. order->target is the caller's. */
bool migration_plan(struct hosts *hs, struct arena *a, const struct migration_wish *w,
		    struct member *to, struct migration_order *order, struct refusal *r);
