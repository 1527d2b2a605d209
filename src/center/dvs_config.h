/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configurations of distributed switches (VMwareDVSConfigInfo) and their port groups
 * (DVPortgroupConfigInfo) as values: defaults, and what a specification makes of them. Changes
 * nothing but its results, which live in the arena.
 */
#pragma once

#include "center/refusal.h"

#define DVS_VERSION "8.0.3"  /* newest product version of switches here */
#define DVS_OFFLOAD "remora" /* networkOffloadSpecId of cards that run this software */

enum {
	DVS_UPLINKS = 4,      /* of a new switch */
	DVS_UPLINKS_MAX = 8,  /* adapters of one host that a node's policy takes */
	DVS_PORTS_MAX = 8192, /* of one port group */
	DVS_MTU_MIN = 1280,
	DVS_MTU_MAX = 9000 /* of the plane's segments */
};

/* "50 2a … 3f-91 … 07": how switches write their uuid. */
const char *dvs_new_uuid(struct arena *a);

/* DistributedVirtualSwitchProductSpec with that version. */
struct value *dvs_product(struct arena *a, const char *version);
/* The i-th version there is, oldest first; NULL: there are no more. */
const char *dvs_version(size_t i);
/* Is it a version that can be asked for? */
bool dvs_knows_version(const char *version);

/* Names of its uplinks, of a DVSConfigInfo. */
const struct value *dvs_uplink_names(const struct value *config);
/* Is it the id of an offload that there is? "None" and NULL are not. */
bool dvs_is_offload(const char *id);
/* Can switches of that DistributedVirtualSwitchProductSpec be offloaded? */
bool dvs_version_offloads(const struct value *product);

/* A new switch without hosts and port groups. */
struct value *dvs_config_new(struct arena *a, const char *name, const char *version,
			     int64_t created_us);

/* What the specification, DVSConfigSpec or VMwareDVSConfigSpec, makes of it; name and hosts are
 * left to the caller. NULL: refused. */
struct value *dvs_config_apply(struct arena *a, const struct value *config,
			       const struct value *spec, struct refusal *r);

/* The same for port groups of the switch whose configuration is `dvs`. */
struct value *portgroup_config_new(struct arena *a, const char *name, const struct value *dvs);
struct value *portgroup_config_apply(struct arena *a, const struct value *config,
				     const struct value *spec, const struct value *dvs,
				     struct refusal *r);
/* Its setting with what it inherits from the switch. NULL: refused. */
const struct value *portgroup_setting(struct arena *a, const struct value *config,
				      const struct value *setting, const struct value *dvs,
				      struct refusal *r);

/* configVersion of what has changed once more. */
void config_version_next(struct arena *a, struct value *config, unsigned field);
