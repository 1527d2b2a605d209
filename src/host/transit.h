/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMs that move to another host, from this one or to it. A manager says who and where
 * (/remora/v1/migrations/ID, transit_route.h); the two hosts do it between themselves
 * (/remora/v1/migrating/ID, transit_receive.c). VMs that are off or suspended move with their
 * disks, or, where both hosts have their datastore, without.
 *
 * States, and who changes them:
 *
 *   source:  PREPARED -start-> COPYING -all is over there-> OFFERED -the target has it-> DONE
 *   target:  PREPARED -data comes-> COPYING -commit-> SWITCHING -vms.json names the VM-> DONE
 *   either:  PREPARED, COPYING -cancel-> CANCELLED        -an error-> FAILED
 *            source OFFERED, target SWITCHING -the target gives up-> FAILED
 *
 * 1. The VM belongs to the source until the target's vms.json names it: that one write is the
 *    moment. Before it the target removes what it has made when it gives up or was killed.
 * 2. Before the target is asked to take the VM, the source's record says OFFERED on disk. From then
 *    on it lets nobody touch the VM until the target has said whether it has it; killed, it asks
 *    again. An answer 404 means that the target has not, for:
 * 3. a target that has taken a VM keeps its record on disk until the source knows.
 *
 * What is kept is STATE/migrations.json: OFFERED of sources, TAKEN and DONE of targets, the ends
 * until the manager has heard of them. Event-loop thread only.
 */
#pragma once

#include "host/host.h"

/* After the VMs were loaded: goes on with what was offered. False: the record cannot be read. */
bool transits_open(struct host *h, struct error *e);
/* The node is about to stop: what can be given up is, and nothing else keeps it from stopping. */
void transits_stop(struct host *h);
/* Before the VMs are let go of. */
void transits_close(struct host *h);

struct vm;

/* The machine of a VM has ended by itself. True: it waited for a guest that has not come, and all
 * is seen to; else it is as with any VM. */
bool transit_machine_ended(struct vm *vm, const struct error *e);
