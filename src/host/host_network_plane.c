/* SPDX-License-Identifier: Apache-2.0 */
/* The standard switches of a host as its data plane is told of them. */
#include <string.h>

#include "host/host_network.h"
#include "host/plane_document.h"

#define SECURITY(f) F_HostNetworkSecurityPolicy_##f
#define SHAPING(f)  F_HostNetworkTrafficShapingPolicy_##f

/* Adapters in the order in which they take over from each other. Where an order is given, one that
 * is not in it is not used. */
static void take_uplinks(const struct network_switch *s, const struct value *team, struct arena *a,
			 struct plane_switch *out)
{
	const struct value *order = value_get_value(team, F_HostNicTeamingPolicy_nicOrder);
	const struct value *lists[] = {
		order == NULL ? network_switch_nics(s->spec)
			      : value_get_value(order, F_HostNicOrderPolicy_activeNic),
		order == NULL ? NULL : value_get_value(order, F_HostNicOrderPolicy_standbyNic)
	};
	size_t n = value_count(lists[0]) + value_count(lists[1]);
	const char **names = arena_alloc(a, (n + 1) * sizeof(*names));

	for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
		for (size_t i = 0; i < value_count(lists[k]); i++) {
			names[out->n_uplinks++] =
				arena_strdup(a, value_bytes(value_item(lists[k], i)));
		}
	}
	out->uplinks = names;
}

static void take_switch(const struct network_switch *s, struct arena *a, struct plane_switch *out)
{
	const struct value *policy = network_switch_policy(s, a);
	const struct value *team = value_get_value(policy, F_HostNetworkPolicy_nicTeaming);
	const char *how = value_get_str(team, F_HostNicTeamingPolicy_policy);

	out->name = s->name;
	out->mtu = (uint32_t)value_get_num(s->spec, F_HostVirtualSwitchSpec_mtu, 0);
	out->is_flow_hash = how != NULL && strcmp(how, "loadbalance_ip") == 0;
	take_uplinks(s, team, a, out);
}

static void take_group(const struct network_config *c, const struct network_group *g,
		       struct arena *a, struct plane_group *out)
{
	const struct value *policy = network_group_policy(c, g, a);
	const struct value *security = value_get_value(policy, F_HostNetworkPolicy_security);
	const struct value *shaping = value_get_value(policy, F_HostNetworkPolicy_shapingPolicy);

	*out = (struct plane_group){
		.name = g->name,
		.on = value_get_str(g->spec, F_HostPortGroupSpec_vswitchName),
		.vlan = (uint32_t)value_get_num(g->spec, F_HostPortGroupSpec_vlanId, 0),
		.security = { .promiscuous =
				      value_get_bool(security, SECURITY(allowPromiscuous), false),
			      .mac_changes = value_get_bool(security, SECURITY(macChanges), false),
			      .forged_transmits =
				      value_get_bool(security, SECURITY(forgedTransmits), false) },
	};
	if (value_get_bool(shaping, SHAPING(enabled), false)) {
		int64_t bits = value_get_num(shaping, SHAPING(averageBandwidth), 0);
		int64_t burst = value_get_num(shaping, SHAPING(burstSize), 0);
		out->from.bits_per_second = bits > 0 ? (uint64_t)bits : 0;
		out->from.burst_bytes = burst > 0 ? (uint64_t)burst : 0;
	}
}

void network_plane(const struct host *h, struct arena *a, struct plane_world *out)
{
	const struct network_config *c = &h->network_system->config;
	struct plane_switch *switches = arena_alloc(a, (c->switches.n + 1) * sizeof(*switches));
	struct plane_group *groups = arena_alloc(a, (c->groups.n + 1) * sizeof(*groups));

	for (size_t i = 0; i < c->switches.n; i++) {
		take_switch(&c->switches.items[i], a, &switches[i]);
	}
	for (size_t i = 0; i < c->groups.n; i++) {
		take_group(c, &c->groups.items[i], a, &groups[i]);
	}
	out->switches = switches;
	out->n_switches = c->switches.n;
	out->groups = groups;
	out->n_groups = c->groups.n;
}
