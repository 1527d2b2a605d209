/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients ask about VMs that move to another host: the moving itself, and whether it could be
 * done (vSphere API VirtualMachineProvisioningChecker, VirtualMachineCompatibilityChecker,
 * ServiceInstance.QueryVMotionCompatibility). Checks know what the manager knows; processors,
 * memory and room on disks are the target's to check, when it is asked to take the VM. Event-loop
 * thread only.
 */
#pragma once

#include "center/migration_plan.h"

/* The VM goes to that host, which is not its own: a task, or a refusal. */
void migration_call(struct call *c, const struct migration_wish *w, struct member *to);

void migration_register(struct hosts *hs);
