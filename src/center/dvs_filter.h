/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traffic filters of port groups (DvsFilterPolicy): kept as clients give them, and written as rules
 * of the plane. A rule that the plane cannot do as it is said is refused by its name.
 *
 * incomingPackets come into the switch from the machine, as with inShapingPolicy: "out" as the
 * machine sees it. The plane is stateful, so answers belong to the packet they answer.
 */
#pragma once

#include "base/json.h"
#include "center/refusal.h"

enum {
	FILTER_RULES_MAX = 256
};

/* What a specification makes of a policy: elements with an operation change the list by key, a list
 * without takes its place. Keys that are missing are made. NULL: refused. */
const struct value *filter_apply(struct arena *a, const struct value *old, const struct value *spec,
				 struct refusal *r);

/* Can the plane do it? policy NULL: nothing to do. name: of the switch or port group. */
bool filter_check(struct arena *a, const struct value *policy, const char *name, struct refusal *r);

/* Appends the rules and the groups that they name, "KEY/1" and so on; ids count from `first_id`.
 * Nothing where the policy is NULL, off or empty. ERROR_UNSUPPORTED, ERROR_INVALID. */
bool filter_write(const struct value *policy, const char *key, int64_t first_id,
		  struct json_object *rules, struct json_object *groups, struct error *e);
