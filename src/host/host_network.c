/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network of a host as its inventory tells it: HostNetworkSystem, Network objects and
 * HostSystem.config.network, all derived from one struct network_config that is kept in
 * network.json.
 */
#include "host/host_network.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "host/draft.h"
#include "host/host_plane.h"
#include "vim/value_file.h"

LOG_MODULE("network");

/* ---- configuration ---- */

void network_add_switch(struct network_config *c, const char *name, const struct value *spec)
{
	struct network_switch s = { .name = mem_strdup(name), .spec = value_keep(spec) };

	vec_push(&c->switches, s);
}

void network_add_group(struct network_config *c, const struct value *spec)
{
	struct network_group g = { .spec = value_keep(spec) };

	g.name = mem_strdup(value_get_str(spec, F_HostPortGroupSpec_name));
	vec_push(&c->groups, g);
}

void network_drop_switch(struct network_config *c, size_t i)
{
	free(c->switches.items[i].name);
	value_drop(c->switches.items[i].spec);
	vec_remove(&c->switches, i);
}

void network_drop_group(struct network_config *c, size_t i)
{
	free(c->groups.items[i].name);
	value_drop(c->groups.items[i].spec);
	vec_remove(&c->groups, i);
}

void network_config_fini(struct network_config *c)
{
	while (c->switches.n > 0) {
		network_drop_switch(c, c->switches.n - 1);
	}
	while (c->groups.n > 0) {
		network_drop_group(c, c->groups.n - 1);
	}
	vec_free(&c->switches);
	vec_free(&c->groups);
}

int network_find_switch(const struct network_config *c, const char *name)
{
	for (size_t i = 0; i < c->switches.n; i++) {
		if (strcmp(c->switches.items[i].name, name) == 0) {
			return (int)i;
		}
	}
	return -1;
}

int network_find_group(const struct network_config *c, const char *name)
{
	for (size_t i = 0; i < c->groups.n; i++) {
		if (strcmp(c->groups.items[i].name, name) == 0) {
			return (int)i;
		}
	}
	return -1;
}

void network_edit_begin(const struct host *h, struct network_config *out)
{
	const struct network_config *c = &h->network_system->config;

	*out = (struct network_config){ 0 };
	vec_each (&c->switches, s) {
		network_add_switch(out, s->name, s->spec);
	}
	vec_each (&c->groups, g) {
		network_add_group(out, g->spec);
	}
}

/* ---- keeping it ---- */

struct value *network_config_value(const struct network_config *c, struct arena *a)
{
	struct value *v = value_new(a, T_HostNetworkConfig);
	struct value *switches = value_new_array(a, T_HostVirtualSwitchConfig);
	struct value *groups = value_new_array(a, T_HostPortGroupConfig);

	vec_each (&c->switches, s) {
		struct value *x = value_new(a, T_HostVirtualSwitchConfig);
		value_set_str(a, x, F_HostVirtualSwitchConfig_name, s->name);
		value_set(a, x, F_HostVirtualSwitchConfig_spec, s->spec);
		value_push(a, switches, x);
	}
	vec_each (&c->groups, g) {
		struct value *x = value_new(a, T_HostPortGroupConfig);
		value_set(a, x, F_HostPortGroupConfig_spec, g->spec);
		value_push(a, groups, x);
	}
	value_set(a, v, F_HostNetworkConfig_vswitch, switches);
	value_set(a, v, F_HostNetworkConfig_portgroup, groups);
	return v;
}

static char *config_path(const struct host *h)
{
	return h->state == NULL ? NULL : mem_printf("%s/network.json", h->state);
}

static bool config_save(struct host *h, const struct network_config *c, struct error *e)
{
	struct arena *a = arena_new(0);
	struct value *list = value_new_array(a, T_HostNetworkConfig);
	char *path = config_path(h);

	value_push(a, list, network_config_value(c, a));
	bool ok = value_file_save(path, list, e);
	free(path);
	arena_free(a);
	return ok;
}

static bool config_take(struct network_config *c, const struct value *v, struct error *e)
{
	const struct value *switches = value_get_value(v, F_HostNetworkConfig_vswitch);
	const struct value *groups = value_get_value(v, F_HostNetworkConfig_portgroup);

	for (size_t i = 0; i < value_count(switches); i++) {
		const struct value *x = value_item(switches, i);
		const struct value *spec = value_get_value(x, F_HostVirtualSwitchConfig_spec);
		const char *name = value_get_str(x, F_HostVirtualSwitchConfig_name);
		if (spec == NULL || network_find_switch(c, name) >= 0) {
			return error_set(e, ERROR_CORRUPT, "switch \"%s\" is there twice or empty",
					 name);
		}
		network_add_switch(c, name, spec);
	}
	for (size_t i = 0; i < value_count(groups); i++) {
		const struct value *spec =
			value_get_value(value_item(groups, i), F_HostPortGroupConfig_spec);
		const char *name =
			spec == NULL ? "" : value_get_str(spec, F_HostPortGroupSpec_name);
		if (spec == NULL || network_find_group(c, name) >= 0) {
			return error_set(e, ERROR_CORRUPT,
					 "port group \"%s\" is there twice or empty", name);
		}
		network_add_group(c, spec);
	}
	return true;
}

/* False only on an error; where nothing is kept yet the configuration stays empty. */
static bool config_load(const struct host *h, struct network_config *c, struct error *e)
{
	struct arena *a = arena_new(0);
	char *path = config_path(h);
	struct value *list = value_file_load(path, T_HostNetworkConfig, a, e);
	bool ok = list != NULL;

	if (value_count(list) > 0) {
		ok = config_take(c, value_item(list, 0), e);
	}
	if (!ok && path != NULL) {
		error_prefix(e, "%s: ", path);
	}
	free(path);
	arena_free(a);
	return ok;
}

/* vSwitch0 with the first adapter, and the two port groups that every host begins with. */
static void config_default(const struct host *h, struct network_config *c)
{
	static const char *const groups[] = { "VM Network", MANAGEMENT_GROUP };
	struct arena *a = arena_new(0);
	struct value *spec = value_new(a, T_HostVirtualSwitchSpec);

	value_set_num(a, spec, F_HostVirtualSwitchSpec_numPorts, 128);
	value_set_num(a, spec, F_HostVirtualSwitchSpec_mtu, 1500);
	if (h->hardware->n_nics > 0) {
		struct value *bridge = value_new(a, T_HostVirtualSwitchBondBridge);
		struct value *nics = value_new_array(a, T_string);
		value_push_str(a, nics, "vmnic0");
		value_set(a, bridge, F_HostVirtualSwitchBondBridge_nicDevice, nics);
		value_set(a, spec, F_HostVirtualSwitchSpec_bridge, bridge);
	}
	network_add_switch(c, "vSwitch0", spec);
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		struct value *g = value_new(a, T_HostPortGroupSpec);
		value_set_str(a, g, F_HostPortGroupSpec_name, groups[i]);
		value_set_num(a, g, F_HostPortGroupSpec_vlanId, 0);
		value_set_str(a, g, F_HostPortGroupSpec_vswitchName, "vSwitch0");
		value_set(a, g, F_HostPortGroupSpec_policy, value_new(a, T_HostNetworkPolicy));
		network_add_group(c, g);
	}
	arena_free(a);
}

/* ---- Network objects ---- */

struct host_network *network_object_new(struct host *h, const char *name, const char *opaque_id)
{
	struct host_network *n = mem_zalloc(sizeof(*n));
	char *id = opaque_id == NULL ? mem_printf("HaNetwork-%s", name)
				     : mem_printf("HaOpaqueNetwork-%s", opaque_id);
	struct arena *a = arena_new(0);

	n->host = h;
	n->name = mem_strdup(name);
	n->opaque_id = opaque_id == NULL ? NULL : mem_strdup(opaque_id);
	n->object = host_entity_new(h, opaque_id == NULL ? T_Network : T_OpaqueNetwork, id, name,
				    h->network_folder);
	struct value *s = value_new(a, T_NetworkSummary);
	draft_set_object(a, s, F_NetworkSummary_network, n->object);
	value_set_str(a, s, F_NetworkSummary_name, name);
	value_set_bool(a, s, F_NetworkSummary_accessible, true);
	value_set_str(a, s, F_NetworkSummary_ipPoolName, "");
	inventory_set(n->object, P_Network_summary, s);
	inventory_set_str(n->object, P_Network_name, name);
	inventory_set_refs(n->object, P_Network_host, &h->system, 1);
	inventory_add_ref(h->system, P_HostSystem_network, n->object);
	inventory_add_ref(h->compute, P_ComputeResource_network, n->object);
	inventory_add_ref(h->datacenter, P_Datacenter_network, n->object);
	list_push_back(&h->networks, &n->link);
	arena_free(a);
	free(id);
	return n;
}

void network_object_free(struct host_network *n)
{
	struct host *h = n->host;

	inventory_drop_ref(h->system, P_HostSystem_network, n->object);
	inventory_drop_ref(h->compute, P_ComputeResource_network, n->object);
	inventory_drop_ref(h->datacenter, P_Datacenter_network, n->object);
	inventory_drop_ref(h->network_folder, P_Folder_childEntity, n->object);
	inventory_remove(n->object);
	list_remove(&n->link);
	free(n->name);
	free(n->opaque_id);
	free(n);
}

/* Port groups for VMs have a Network object; the one that vmk0 stands on is the host's own. */
static void networks_sync(struct host *h)
{
	const struct network_config *c = &h->network_system->config;

	list_each_safe (struct host_network, n, &h->networks, link) {
		if (n->opaque_id == NULL && network_find_group(c, n->name) < 0) {
			network_object_free(n);
		}
	}
	vec_each (&c->groups, g) {
		if (strcmp(g->name, MANAGEMENT_GROUP) != 0 &&
		    host_network_find(h, g->name) == NULL) {
			network_object_new(h, g->name, NULL);
		}
	}
}

struct host_network *host_network_find(struct host *h, const char *name)
{
	list_each (struct host_network, n, &h->networks, link) {
		if (n->opaque_id == NULL && strcmp(n->name, name) == 0) {
			return n;
		}
	}
	return NULL;
}

struct host_network *host_network_by_ref(struct host *h, const struct value *ref)
{
	const struct object *o = ref == NULL ? NULL : inventory_find_ref(h->inventory, ref);

	list_each (struct host_network, n, &h->networks, link) {
		if (n->object == o) {
			return n;
		}
	}
	return NULL;
}

/* ---- telling the API ---- */

void host_network_publish(struct host *h)
{
	struct arena *a = arena_new(0);
	const struct value *info = value_keep(network_info(h, a));

	networks_sync(h);
	if (network_policy_sync(h) && h->vm_ops != NULL && h->vm_ops->networks_changed != NULL) {
		h->vm_ops->networks_changed(h);
	}
	inventory_set(h->network_object, P_HostNetworkSystem_networkInfo, info);
	inventory_set(h->network_object, P_HostNetworkSystem_networkConfig,
		      network_config_value(&h->network_system->config, a));
	host_system_set_config(h, F_HostConfigInfo_network, info);
	value_drop(info);
	arena_free(a);
}

bool network_edit_commit(struct host *h, struct network_config *edited, struct error *e)
{
	if (!config_save(h, edited, e)) {
		network_config_fini(edited);
		return false;
	}
	network_config_fini(&h->network_system->config);
	h->network_system->config = *edited;
	host_network_publish(h);
	host_plane_changed(h);
	return true;
}

static void object_build(struct host *h)
{
	static const char *const teaming[] = { "loadbalance_srcid", "failover_explicit", NULL };
	static const unsigned in_manager[] = { F_HostConfigManager_networkSystem };
	struct arena *a = arena_new(0);
	struct value *c = value_new(a, T_HostNetCapabilities);

	h->network_object =
		inventory_add(h->inventory, T_HostNetworkSystem, "networkSystem", NULL, h);
	inventory_set_subject(h->network_object, h->system);
	draft_fill(a, c);
	value_set_bool(a, c, F_HostNetCapabilities_supportsNicTeaming, true);
	value_set(a, c, F_HostNetCapabilities_nicTeamingPolicy, draft_strings(a, teaming));
	value_set_bool(a, c, F_HostNetCapabilities_supportsVlan, true);
	value_set_num(a, c, F_HostNetCapabilities_maxPortGroupsPerVswitch, GROUPS_MAX);
	value_set_bool(a, c, F_HostNetCapabilities_vswitchConfigSupported, true);
	inventory_set(h->network_object, P_HostNetworkSystem_capabilities, c);
	host_system_set_config(h, F_HostConfigInfo_capabilities, c);
	inventory_set(h->network_object, P_HostNetworkSystem_dnsConfig, network_dns(h, a));
	inventory_set_nested(h->system, P_HostSystem_configManager, in_manager, 1,
			     h->network_object->ref);
	arena_free(a);
}

bool host_network_build(struct host *h, struct error *e)
{
	h->network_system = mem_zalloc(sizeof(*h->network_system));
	object_build(h);
	struct network_config *c = &h->network_system->config;
	if (!config_load(h, c, e)) {
		return false;
	}
	if (c->switches.n == 0 && c->groups.n == 0) {
		config_default(h, c);
		if (!config_save(h, c, e)) {
			return false;
		}
	}
	host_network_publish(h);
	host_network_methods_register(h);
	return true;
}

void host_network_free(struct host *h)
{
	list_each_safe (struct host_network, n, &h->networks, link) {
		network_object_free(n);
	}
	inventory_remove(h->network_object);
	if (h->network_system != NULL) {
		network_config_fini(&h->network_system->config);
		free(h->network_system->policy);
		free(h->network_system);
		h->network_system = NULL;
	}
}
