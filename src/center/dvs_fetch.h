/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports of distributed switches as clients ask for them, with state and figures of the planes
 * (vSphere API DistributedVirtualSwitch.FetchDVPorts, FetchDVPortKeys, RefreshDVPortState).
 *
 * The hosts of the ports are asked (node_policy_ask()), all at once; ports of one that does not
 * answer are told without state. A port's "in" is what its connectee gets, "out" what it sends. The
 * planes do not tell unicast from the rest: all is told as unicast.
 */
#pragma once

#include "center/center.h"

void dvs_fetch_register(struct center *c);
