/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configurations of distributed switches (VMwareDVSConfigInfo) and their port groups
 * (DVPortgroupConfigInfo) as values: defaults, and what a specification makes of them. Changes
 * nothing but its results, which live in the arena.
 */
#pragma once

#include "center/refusal.h"

#define DVS_VERSION "8.0.3" /* newest product version of switches here */

enum {
	DVS_UPLINKS = 4,
	DVS_PORTS_MAX = 8192 /* of one port group */
};

/* "50 2a … 3f-91 … 07": how switches write their uuid. */
const char *dvs_new_uuid(struct arena *a);

/* DistributedVirtualSwitchProductSpec with that version. */
struct value *dvs_product(struct arena *a, const char *version);
/* Is it a version that can be asked for? */
bool dvs_knows_version(const char *version);

/* A new switch without hosts and port groups. */
struct value *dvs_config_new(struct arena *a, const char *name, const char *version,
			     int64_t created_us);

/* What the specification, DVSConfigSpec or VMwareDVSConfigSpec, makes of it; name and hosts are
 * left to the caller. NULL: refused. */
struct value *dvs_config_apply(struct arena *a, const struct value *config,
			       const struct value *spec, struct refusal *r);

/* The same for port groups; `dvs` is the switch's configuration, for defaults. */
struct value *portgroup_config_new(struct arena *a, const char *name, const struct value *dvs);
struct value *portgroup_config_apply(struct arena *a, const struct value *config,
				     const struct value *spec, struct refusal *r);

/* configVersion of what has changed once more. */
void config_version_next(struct arena *a, struct value *config, unsigned field);
