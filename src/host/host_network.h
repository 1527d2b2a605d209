/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The standard switches of a host as its inventory tells them: switches, port groups, adapters.
 * For host_network.c (state and API objects) and host_network_methods.c (changes by clients).
 *
 * A change is made on a copy of the configuration (network_edit_begin()), which is saved and
 * becomes the host's with network_edit_commit(), all of it or nothing. Event-loop thread only.
 */
#pragma once

#include "base/vec.h"
#include "host/host_impl.h"

/* Both own kept values. */
struct network_switch {
	char *name;
	const struct value *spec; /* HostVirtualSwitchSpec */
};

struct network_group {
	char *name;
	const struct value *spec; /* HostPortGroupSpec */
};

struct network_config {
	VEC(struct network_switch) switches;
	VEC(struct network_group) groups;
};

struct host_network_system {
	struct network_config config;
	char *policy; /* what of the manager's policy is shown, see network_policy_sync() */
};

#define MANAGEMENT_GROUP "Management Network"

enum {
	SWITCH_PORTS = 1536,
	SWITCHES_MAX = 127,
	GROUPS_MAX = 512,
	VLAN_ALL = 4095,
};

/* A copy of the host's configuration; network_config_fini() when it is not committed. */
void network_edit_begin(const struct host *h, struct network_config *out);
/* Saves and takes over; false: nothing has changed, and the copy is freed. */
bool network_edit_commit(struct host *h, struct network_config *edited, struct error *e);
void network_config_fini(struct network_config *c);

int network_find_switch(const struct network_config *c, const char *name); /* index or -1 */
int network_find_group(const struct network_config *c, const char *name);

/* Owns a copy of the name and keeps the spec. */
void network_add_switch(struct network_config *c, const char *name, const struct value *spec);
void network_add_group(struct network_config *c, const struct value *spec);
void network_drop_switch(struct network_config *c, size_t i);
void network_drop_group(struct network_config *c, size_t i);

/* Values for the API, in `a`. */
struct value *network_info(struct host *h, struct arena *a);
struct value *network_config_value(const struct network_config *c, struct arena *a);
struct value *network_dns(const struct host *h, struct arena *a);

/* The policy of a switch or port group with all that it inherits, and the adapters of a switch's
 * specification (string[], NULL: none). */
const struct value *network_switch_policy(const struct network_switch *s, struct arena *a);
const struct value *network_group_policy(const struct network_config *c,
					 const struct network_group *g, struct arena *a);
const struct value *network_switch_nics(const struct value *spec);

/* host_network_plane.c: switches and port groups as the plane document takes them, in `a`. */
struct plane_world;
void network_plane(const struct host *h, struct arena *a, struct plane_world *out);

/* A network in the inventory; opaque_id NULL: a port group. */
struct host_network *network_object_new(struct host *h, const char *name, const char *opaque_id);
void network_object_free(struct host_network *n);

/* host_network_policy.c: opaque networks are those of the manager's policy; false: they were. */
bool network_policy_sync(struct host *h);
/* Sets what the policy adds to a HostNetworkInfo. */
void network_policy_info(const struct host *h, struct arena *a, struct value *info);
/* The distributed switch that has the adapter; NULL: none. */
const char *network_policy_nic_owner(const struct host *h, const char *device);

/* Is there an adapter "vmnicN"? */
bool network_has_pnic(const struct host *h, const char *device);

void host_network_methods_register(struct host *h);
