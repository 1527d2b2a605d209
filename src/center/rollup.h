/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What follows from other objects: the summary of a compute resource and its lists of datastores
 * and networks from its hosts, its root pool's capacity, and the lists of a datacenter from its
 * folders. Looks at what changed, at the end of each turn of the event loop. Event-loop thread
 * only.
 */
#pragma once

#include "center/center.h"

struct rollup *rollup_new(struct center *c);
void rollup_free(struct rollup *r);
