/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Destroy_Task of folders, datacenters, clusters and compute resources, and
 * UnregisterAndDestroy_Task of folders. Hosts below leave the inventory (they and their VMs go on),
 * VMs in VM folders are destroyed, or unregistered.
 */
#pragma once

#include "center/center.h"

void destroy_register(struct center *c);
