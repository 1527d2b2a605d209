/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of ports (VMwareDVSPortSetting) as values: defaults, what a specification makes of them,
 * what a port group has from its switch, and what of all that the data plane can do. Everything is
 * made in the arena; nothing else changes.
 *
 * A policy with `inherited` set has the switch's value and follows it; so do policies within one.
 */
#pragma once

#include "center/refusal.h"

enum {
	SETTING_VLAN_MAX = 4094,
	SETTING_TRUNK_MAX = 256 /* VLANs of a trunk of machines: each takes a segment of the node */
};

/* What a new switch begins with. `uplinks`: array of names. */
struct value *setting_default(struct arena *a, const struct value *uplinks);

/* `old` with what `spec` gives of it; spec NULL: old. The security policy and the like-named parts
 * of macManagementPolicy stay the same, whichever is given. NULL: refused. */
const struct value *setting_apply(struct arena *a, const struct value *old,
				  const struct value *spec, struct refusal *r);

/* A port group's setting with everything that is inherited taken from its switch's. own NULL:
 * everything. */
const struct value *setting_inherit(struct arena *a, const struct value *own,
				    const struct value *from);

/* Can the plane do it? What it cannot do is refused by name. */
struct setting_place {
	const char *name;	     /* of the switch or port group, for messages */
	const struct value *uplinks; /* names that there are */
	const struct value *from;    /* setting of a port group's switch; NULL: it is a switch's */
	bool is_uplink;		     /* of uplinks: machines do not join it */
};
bool setting_check(struct arena *a, const struct value *setting, const struct setting_place *at,
		   struct refusal *r);

/* BoolPolicy, LongPolicy, StringPolicy within a policy. */
bool setting_bool(const struct value *policy, unsigned field);
int64_t setting_long(const struct value *policy, unsigned field, int64_t otherwise);

/* How the uplinks share the work: "active_standby" or "flow_hash" as the plane says it; NULL: none
 * of the plane's. */
const char *setting_teaming(const struct value *setting);
/* Names of uplinks, active ones first; and whether the i-th is. */
struct value *setting_uplinks(struct arena *a, const struct value *setting, size_t *n_active);
