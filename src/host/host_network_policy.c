/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a manager's policy (host_plane.h) adds to a host's network in the API: an OpaqueNetwork for
 * each overlay segment, a HostProxySwitch for each distributed switch that the host is a member of,
 * and the HostOpaqueSwitch whose adapter tunnels leave by.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "host/draft.h"
#include "host/host_lend.h"
#include "host/host_network.h"
#include "host/host_plane.h"

#define OPAQUE_TYPE   "nsx.LogicalSwitch"
#define OPAQUE_SWITCH "tunnel"

static struct json_object *member(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	return o != NULL && json_object_object_get_ex(o, key, &v) ? v : NULL;
}

static const char *text(struct json_object *o, const char *key)
{
	struct json_object *v = member(o, key);

	return v == NULL ? "" : json_object_get_string(v);
}

static size_t list_n(struct json_object *list)
{
	return list == NULL ? 0 : json_object_array_length(list);
}

/* ---- opaque networks ---- */

static void add_opaque(struct host *h, struct json_object *segment)
{
	const char *id = text(segment, "id"), *name = text(segment, "name");
	struct host_network *n = network_object_new(h, name, id);
	struct arena *a = arena_new(0);
	struct value *s = value_new(a, T_OpaqueNetworkSummary);
	struct value *capability = value_new(a, T_OpaqueNetworkCapability);

	draft_set_object(a, s, F_NetworkSummary_network, n->object);
	value_set_str(a, s, F_NetworkSummary_name, name);
	value_set_bool(a, s, F_NetworkSummary_accessible, true);
	value_set_str(a, s, F_NetworkSummary_ipPoolName, "");
	value_set_str(a, s, F_OpaqueNetworkSummary_opaqueNetworkId, id);
	value_set_str(a, s, F_OpaqueNetworkSummary_opaqueNetworkType, OPAQUE_TYPE);
	value_set_bool(a, capability, F_OpaqueNetworkCapability_networkReservationSupported, false);
	inventory_set(n->object, P_Network_summary, s);
	inventory_set(n->object, P_OpaqueNetwork_capability, capability);
	arena_free(a);
}

struct host_network *host_network_find_opaque(struct host *h, const char *id)
{
	list_each (struct host_network, n, &h->networks, link) {
		if (n->opaque_id != NULL && strcmp(n->opaque_id, id) == 0) {
			return n;
		}
	}
	return NULL;
}

/* What of a policy makes objects, as text: two alike make the same. */
static char *signature(struct json_object *policy)
{
	struct json_object *segments = member(policy, "segments");
	struct json_object *switches = member(policy, "switches");
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < list_n(segments); i++) {
		struct json_object *s = json_object_array_get_idx(segments, i);
		buf_addf(&b, "%s\n%s\n", text(s, "id"), text(s, "name"));
	}
	for (size_t i = 0; i < list_n(switches); i++) {
		struct json_object *s = json_object_array_get_idx(switches, i);
		json_add_text(&b, s);
	}
	buf_addc(&b, '\n');
	return buf_take(&b);
}

bool network_policy_sync(struct host *h)
{
	struct json_object *policy = host_plane_policy(h);
	struct json_object *segments = member(policy, "segments");
	char *now = signature(policy);
	char **had = &h->network_system->policy;

	if (*had != NULL && strcmp(*had, now) == 0) {
		free(now);
		return false;
	}
	free(*had);
	*had = now;
	list_each_safe (struct host_network, n, &h->networks, link) {
		struct json_object *s =
			n->opaque_id == NULL ? NULL : plane_policy_segment(policy, n->opaque_id);
		if (n->opaque_id != NULL && (s == NULL || strcmp(n->name, text(s, "name")) != 0)) {
			network_object_free(n);
		}
	}
	for (size_t i = 0; i < list_n(segments); i++) {
		struct json_object *s = json_object_array_get_idx(segments, i);
		if (host_network_find_opaque(h, text(s, "id")) == NULL) {
			add_opaque(h, s);
		}
	}
	return true;
}

/* ---- in HostNetworkInfo ---- */

static struct value *opaque_networks(struct json_object *policy, struct arena *a)
{
	struct json_object *segments = member(policy, "segments");
	struct value *all = value_new_array(a, T_HostOpaqueNetworkInfo);

	for (size_t i = 0; i < list_n(segments); i++) {
		struct json_object *s = json_object_array_get_idx(segments, i);
		struct value *v = value_new(a, T_HostOpaqueNetworkInfo);
		value_set_str(a, v, F_HostOpaqueNetworkInfo_opaqueNetworkId, text(s, "id"));
		value_set_str(a, v, F_HostOpaqueNetworkInfo_opaqueNetworkName, text(s, "name"));
		value_set_str(a, v, F_HostOpaqueNetworkInfo_opaqueNetworkType, OPAQUE_TYPE);
		value_push(a, all, v);
	}
	return all;
}

/* For the manager, which does not ask the server: the addresses seen at functions that are lent,
 * "remora.lent.UUID.KEY" = "10.1.0.21,fe80::1". NULL: none are. */
static struct value *lent_addresses(const struct host *h, struct arena *a)
{
	const struct card *card = host_lend_said(h);
	struct value *list = value_new_array(a, T_OptionValue);

	for (size_t i = 0; card != NULL && i < card->n_functions; i++) {
		const struct card_function *f = &card->functions[i];
		const char *all = "";
		if (f->kind != CARD_NET || f->card[0] == '\0') {
			continue;
		}
		for (size_t k = 0; k < f->n_addresses; k++) {
			all = arena_printf(a, "%s%s%s", all, k == 0 ? "" : ",", f->addresses[k]);
		}
		struct value *o = value_new(a, T_OptionValue);
		value_set_strf(a, o, F_OptionValue_key, "remora.lent.%s", f->card);
		value_set(a, o, F_OptionValue_value, value_new_str(a, all));
		value_push(a, list, o);
	}
	return value_count(list) == 0 ? NULL : list;
}

static struct value *opaque_switch(const struct host *h, struct arena *a)
{
	char *device = mem_printf("vmnic%zu", h->hardware->n_nics);
	const struct plane_port_state *seen = host_plane_seen(h, device);
	struct value *v = value_new(a, T_HostOpaqueSwitch), *pnics = value_new_array(a, T_string);

	value_push_str(a, pnics, arena_printf(a, "key-vim.host.PhysicalNic-%s", device));
	value_set_str(a, v, F_HostOpaqueSwitch_key, OPAQUE_SWITCH);
	value_set_str(a, v, F_HostOpaqueSwitch_name, OPAQUE_SWITCH);
	value_set(a, v, F_HostOpaqueSwitch_pnic, pnics);
	value_set_str(a, v, F_HostOpaqueSwitch_status, seen != NULL && seen->is_up ? "up" : "down");
	value_set(a, v, F_HostOpaqueSwitch_extraConfig, lent_addresses(h, a));
	free(device);
	return v;
}

static struct value *proxy_switch(struct json_object *s, struct arena *a)
{
	struct json_object *uplinks = member(s, "uplinks"), *mtu = member(s, "mtu");
	struct value *v = value_new(a, T_HostProxySwitch),
		     *spec = value_new(a, T_HostProxySwitchSpec);
	struct value *b = value_new(a, T_DistributedVirtualSwitchHostMemberPnicBacking);
	struct value *pnics = value_new_array(a, T_string);
	struct value *specs = value_new_array(a, T_DistributedVirtualSwitchHostMemberPnicSpec);

	for (size_t i = 0; i < list_n(uplinks); i++) {
		const char *device = json_object_get_string(json_object_array_get_idx(uplinks, i));
		struct value *p = value_new(a, T_DistributedVirtualSwitchHostMemberPnicSpec);
		value_set_str(a, p, F_DistributedVirtualSwitchHostMemberPnicSpec_pnicDevice,
			      device);
		value_push(a, specs, p);
		value_push_str(a, pnics, arena_printf(a, "key-vim.host.PhysicalNic-%s", device));
	}
	value_set(a, b, F_DistributedVirtualSwitchHostMemberPnicBacking_pnicSpec, specs);
	value_set(a, spec, F_HostProxySwitchSpec_backing, b);
	value_set_str(a, v, F_HostProxySwitch_dvsUuid, text(s, "uuid"));
	value_set_str(a, v, F_HostProxySwitch_dvsName, text(s, "name"));
	value_set_strf(a, v, F_HostProxySwitch_key, "key-vim.host.ProxySwitch-%s", text(s, "name"));
	value_set_num(a, v, F_HostProxySwitch_numPorts, SWITCH_PORTS);
	value_set_num(a, v, F_HostProxySwitch_configNumPorts, SWITCH_PORTS);
	value_set_num(a, v, F_HostProxySwitch_numPortsAvailable, SWITCH_PORTS);
	value_set_num(a, v, F_HostProxySwitch_mtu, mtu == NULL ? 1500 : json_object_get_int64(mtu));
	value_set(a, v, F_HostProxySwitch_pnic, pnics);
	value_set(a, v, F_HostProxySwitch_spec, spec);
	value_set_bool(a, v, F_HostProxySwitch_networkOffloadingEnabled,
		       json_object_get_boolean(member(s, "offload")));
	return v;
}

void network_policy_info(const struct host *h, struct arena *a, struct value *info)
{
	struct json_object *policy = host_plane_policy(h), *list = member(policy, "switches");
	struct value *proxies = value_new_array(a, T_HostProxySwitch);
	struct value *switches = value_new_array(a, T_HostOpaqueSwitch);

	for (size_t i = 0; i < list_n(list); i++) {
		value_push(a, proxies, proxy_switch(json_object_array_get_idx(list, i), a));
	}
	if (h->node.endpoint[0] != '\0') {
		value_push(a, switches, opaque_switch(h, a));
	}
	if (h->plane != NULL) {
		value_set(a, info, F_HostNetworkInfo_proxySwitch, proxies);
		value_set(a, info, F_HostNetworkInfo_opaqueSwitch, switches);
		value_set(a, info, F_HostNetworkInfo_opaqueNetwork, opaque_networks(policy, a));
	}
}

const char *network_policy_nic_owner(const struct host *h, const char *device)
{
	struct json_object *list = member(host_plane_policy(h), "switches");

	for (size_t i = 0; i < list_n(list); i++) {
		struct json_object *s = json_object_array_get_idx(list, i);
		struct json_object *uplinks = member(s, "uplinks");
		for (size_t k = 0; k < list_n(uplinks); k++) {
			if (strcmp(json_object_get_string(json_object_array_get_idx(uplinks, k)),
				   device) == 0) {
				return text(s, "name");
			}
		}
	}
	return NULL;
}
