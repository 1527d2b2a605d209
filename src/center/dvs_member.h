/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts that are members of a distributed switch: DVSConfigInfo.host as a value, what a
 * specification makes of it, and which adapter has which uplink.
 *
 * A member has a port of the switch's uplink port group for each uplink name, in their order; its
 * keys stay as long as it is a member. An adapter stands for one of them. The status is not kept:
 * it follows from the host's connection and from whether its plane runs its policy (node_policy.h).
 */
#pragma once

#include "center/center.h"
#include "center/refusal.h"

enum {
	DVS_MEMBERS_MAX = 1000,
	DVS_OF_HOST_MAX = 128 /* switches in a node's policy */
};

/* What is done to whom. */
struct member_change {
	struct center *c;
	struct object *dvs;    /* NULL: it is yet to be made, */
	struct object *folder; /* in this folder */
	const char *name;      /* of the switch */
	const struct session *session;
	struct arena *a;
	struct refusal *r;
};

/* Applies specifications (DistributedVirtualSwitchHostMemberConfigSpec) to DVSConfigInfo `config`,
 * a draft. False: refused. */
bool dvs_members_apply(const struct member_change *x, struct value *config,
		       const struct value *specs);
/* The same for hosts without adapters, by the program. */
void dvs_members_add(struct arena *a, struct value *config, struct object *const *hosts, size_t n);

/* Gives members the ports of the uplink port group, and adapters theirs, where they have none.
 * False: an adapter asks for a port that is not its host's. */
bool dvs_members_place(struct arena *a, struct value *config, const char *uplink_group,
		       int64_t first_key, struct refusal *r);
/* Keys of all uplinks' ports, ascending. */
struct value *dvs_members_keys(struct arena *a, const struct value *config);

/* Sets status and networkOffloadingEnabled of each member as they are now. */
void dvs_members_judge(struct center *c, struct arena *a, struct value *config);
/* How many are offloaded, of a judged configuration. */
size_t dvs_members_offloaded(const struct value *config);
/* HostMemberRuntimeInfo[] from a judged configuration. */
struct value *dvs_members_runtime(struct arena *a, const struct value *config);

/* References of the hosts. */
struct value *dvs_members_hosts(struct arena *a, const struct value *config);
/* The host's DistributedVirtualSwitchHostMember, or NULL. */
const struct value *dvs_member_of(const struct value *config, const struct object *host);
/* Its adapters: DistributedVirtualSwitchHostMemberPnicSpec[], or NULL. */
const struct value *dvs_member_pnics(const struct value *member);
/* DVSConfigInfo without a host that is about to go. */
struct value *dvs_members_without(struct arena *a, const struct value *config,
				  const struct object *host);

/* PhysicalNic of that device of a host, or NULL: in `a`, or kept. */
const struct value *dvs_host_pnic(struct object *host, const char *device, struct arena *a);
/* Name of the switch of the host that has the adapter, other than `dvs` (NULL: none): a standard
 * one or a distributed one. NULL: nobody has it. */
const char *dvs_pnic_user(struct center *c, const struct object *dvs, struct object *host,
			  const char *device, struct arena *a);
/* Does a card lend it? */
bool dvs_pnic_is_offloaded(const struct value *pnic);
