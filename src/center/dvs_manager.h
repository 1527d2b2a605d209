/* SPDX-License-Identifier: Apache-2.0 */
/* DistributedVirtualSwitchManager, and what is asked of a switch about its ports. */
#pragma once

#include "center/center.h"

/* What switches can here. */
struct value *dvs_features(struct arena *a, const struct value *product);

/* Makes the object "DVSManager". */
void dvs_manager_register(struct center *c);
