/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HostNetworkSystem's methods (vSphere API): port groups and standard switches come, change and go.
 * Each works on a copy (host_network.h); faults leave the host as it was.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/datastore.h"
#include "host/draft.h"
#include "host/host_network.h"
#include "vim/fault.h"

/* An edit under way, and why it is refused: a draft fault and its text. */
struct edit {
	struct host *host;
	struct arena *a;
	struct network_config config;
	struct value *fault;
	char text[240];
};

static bool refuse(struct edit *x, struct value *fault, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static bool refuse(struct edit *x, struct value *fault, const char *fmt, ...)
{
	va_list args;

	x->fault = fault;
	va_start(args, fmt);
	vsnprintf(x->text, sizeof(x->text), fmt, args);
	va_end(args);
	return false;
}

static bool refuse_missing(struct edit *x, const char *what, const char *name)
{
	return refuse(x, fault_new(x->a, T_NotFound), "there is no %s \"%s\"", what, name);
}

static bool refuse_existing(struct edit *x, const char *what, const char *name)
{
	struct value *f = fault_new(x->a, T_AlreadyExists);

	value_set_str(x->a, f, F_AlreadyExists_name, name);
	return refuse(x, f, "%s \"%s\" exists already", what, name);
}

static bool refuse_in_use(struct edit *x, const char *type, const char *name, const char *by)
{
	struct value *f = fault_new(x->a, T_ResourceInUse);

	value_set_str(x->a, f, F_ResourceInUse_type, type);
	value_set_str(x->a, f, F_ResourceInUse_name, name);
	return refuse(x, f, "\"%s\" is in use by %s", name, by);
}

/* Who uses a port group; NULL when nobody does. */
static const char *group_user(struct edit *x, const char *name)
{
	struct host_network *n = host_network_find(x->host, name);

	if (strcmp(name, MANAGEMENT_GROUP) == 0) {
		return "the host's own adapter \"vmk0\"";
	}
	const struct value *vms = n == NULL ? NULL : object_get(n->object, P_Network_vm, x->a);
	if (value_count(vms) == 0) {
		return NULL;
	}
	struct object *vm = inventory_find_ref(x->host->inventory, value_item(vms, 0));
	const char *vm_name = vm == NULL ? NULL : object_get_str(vm, P_ManagedEntity_name);
	return arena_printf(x->a, "VM \"%s\"", vm_name == NULL ? "?" : vm_name);
}

/* ---- port groups ---- */

static bool group_check(struct edit *x, const struct value *spec)
{
	const char *name = value_get_str(spec, F_HostPortGroupSpec_name);
	const char *on = value_get_str(spec, F_HostPortGroupSpec_vswitchName);
	int64_t vlan = value_get_num(spec, F_HostPortGroupSpec_vlanId, 0);
	struct error e;

	if (!datastore_name_check("port group name", name, &e)) {
		return refuse(x, fault_invalid_argument(x->a, "portgrp.name"), "%s", e.msg);
	}
	if (vlan < 0 || vlan > VLAN_ALL) {
		return refuse(x, fault_invalid_argument(x->a, "portgrp.vlanId"),
			      "VLAN %lld of port group \"%s\" is not within 0 … %d",
			      (long long)vlan, name, VLAN_ALL);
	}
	if (network_find_switch(&x->config, on) < 0) {
		return refuse_missing(x, "virtual switch", on);
	}
	return true;
}

static bool group_add(struct edit *x, const struct value *spec)
{
	const char *name = value_get_str(spec, F_HostPortGroupSpec_name);

	if (!group_check(x, spec)) {
		return false;
	}
	if (network_find_group(&x->config, name) >= 0) {
		return refuse_existing(x, "port group", name);
	}
	if (x->config.groups.n >= GROUPS_MAX) {
		return refuse(x, fault_new(x->a, T_HostConfigFault),
			      "a host has at most %d port groups", GROUPS_MAX);
	}
	network_add_group(&x->config, spec);
	return true;
}

static bool group_update(struct edit *x, const char *name, const struct value *spec)
{
	int at = network_find_group(&x->config, name);
	const char *new_name = value_get_str(spec, F_HostPortGroupSpec_name);

	if (at < 0) {
		return refuse_missing(x, "port group", name);
	}
	if (!group_check(x, spec)) {
		return false;
	}
	if (strcmp(name, new_name) != 0) {
		const char *user = group_user(x, name);
		if (network_find_group(&x->config, new_name) >= 0) {
			return refuse_existing(x, "port group", new_name);
		}
		if (user != NULL) {
			return refuse(x, fault_new(x->a, T_HostConfigFault),
				      "port group \"%s\" cannot be renamed: it is in use by %s",
				      name, user);
		}
	}
	network_drop_group(&x->config, (size_t)at);
	network_add_group(&x->config, spec);
	return true;
}

static bool group_remove(struct edit *x, const char *name)
{
	int at = network_find_group(&x->config, name);
	const char *user = at < 0 ? NULL : group_user(x, name);

	if (at < 0) {
		return refuse_missing(x, "port group", name);
	}
	if (user != NULL) {
		return refuse_in_use(x, "PortGroup", name, user);
	}
	network_drop_group(&x->config, (size_t)at);
	return true;
}

/* ---- switches ---- */

static const struct value *spec_nics(const struct value *spec)
{
	const struct value *bridge =
		spec == NULL ? NULL : value_get_value(spec, F_HostVirtualSwitchSpec_bridge);

	return value_is_a(bridge, T_HostVirtualSwitchBondBridge)
		       ? value_get_value(bridge, F_HostVirtualSwitchBondBridge_nicDevice)
		       : NULL;
}

/* The other switch that has the adapter, or NULL. */
static const char *nic_owner(const struct network_config *c, const char *device, const char *but)
{
	for (size_t i = 0; i < c->switches.n; i++) {
		const struct value *nics = spec_nics(c->switches.items[i].spec);
		if (strcmp(c->switches.items[i].name, but) == 0) {
			continue;
		}
		for (size_t n = 0; n < value_count(nics); n++) {
			if (strcmp(value_bytes(value_item(nics, n)), device) == 0) {
				return c->switches.items[i].name;
			}
		}
	}
	return NULL;
}

static bool switch_check(struct edit *x, const char *name, const struct value *spec)
{
	const struct value *nics = spec_nics(spec);
	int64_t mtu = value_get_num(spec, F_HostVirtualSwitchSpec_mtu, 1500);

	if (mtu != 0 && (mtu < 1280 || mtu > 9000)) {
		return refuse(x, fault_invalid_argument(x->a, "spec.mtu"),
			      "MTU %lld of switch \"%s\" is not within 1280 … 9000", (long long)mtu,
			      name);
	}
	for (size_t i = 0; i < value_count(nics); i++) {
		const char *device = value_bytes(value_item(nics, i));
		const char *owner = nic_owner(&x->config, device, name);
		owner = owner != NULL ? owner : network_policy_nic_owner(x->host, device);
		if (!network_has_pnic(x->host, device)) {
			return refuse(x, fault_new(x->a, T_HostConfigFault),
				      "this host has no network adapter \"%s\"", device);
		}
		if (owner != NULL) {
			return refuse_in_use(x, "PhysicalNic", device,
					     arena_printf(x->a, "switch \"%s\"", owner));
		}
	}
	return true;
}

static bool switch_add(struct edit *x, const char *name, const struct value *spec)
{
	struct error e;

	if (!datastore_name_check("switch name", name, &e) || strlen(name) > 32) {
		return refuse(x, fault_invalid_argument(x->a, "vswitchName"),
			      "\"%.80s\" cannot name a switch: 1 to 32 bytes, no \"/\"", name);
	}
	if (network_find_switch(&x->config, name) >= 0) {
		return refuse_existing(x, "virtual switch", name);
	}
	if (x->config.switches.n >= SWITCHES_MAX) {
		return refuse(x, fault_new(x->a, T_HostConfigFault),
			      "a host has at most %d virtual switches", SWITCHES_MAX);
	}
	if (spec == NULL) {
		struct value *v = value_new(x->a, T_HostVirtualSwitchSpec);
		value_set_num(x->a, v, F_HostVirtualSwitchSpec_numPorts, 128);
		spec = v;
	}
	if (!switch_check(x, name, spec)) {
		return false;
	}
	network_add_switch(&x->config, name, spec);
	return true;
}

static bool switch_update(struct edit *x, const char *name, const struct value *spec)
{
	int at = network_find_switch(&x->config, name);

	if (at < 0) {
		return refuse_missing(x, "virtual switch", name);
	}
	if (spec == NULL || !switch_check(x, name, spec)) {
		return spec != NULL ? false
				    : refuse(x, fault_invalid_argument(x->a, "spec"),
					     "switch \"%s\": no specification", name);
	}
	const struct value *old = x->config.switches.items[at].spec;
	x->config.switches.items[at].spec = value_keep(spec);
	value_drop(old);
	return true;
}

static bool switch_remove(struct edit *x, const char *name)
{
	int at = network_find_switch(&x->config, name);

	if (at < 0) {
		return refuse_missing(x, "virtual switch", name);
	}
	for (size_t i = x->config.groups.n; i-- > 0;) {
		const struct network_group *g = &x->config.groups.items[i];
		if (strcmp(value_get_str(g->spec, F_HostPortGroupSpec_vswitchName), name) != 0) {
			continue;
		}
		const char *user = group_user(x, g->name);
		if (user != NULL) {
			return refuse_in_use(x, "VirtualSwitch", name, user);
		}
		network_drop_group(&x->config, i);
	}
	network_drop_switch(&x->config, (size_t)at);
	return true;
}

/* ---- all at once (UpdateNetworkConfig) ---- */

enum operation {
	DO_NOTHING,
	DO_ADD,
	DO_EDIT,
	DO_REMOVE
};

static enum operation change_of(const char *operation)
{
	if (operation == NULL || strcmp(operation, "add") == 0) {
		return DO_ADD;
	}
	return strcmp(operation, "edit") == 0	  ? DO_EDIT
	       : strcmp(operation, "remove") == 0 ? DO_REMOVE
						  : DO_NOTHING;
}

static bool apply_switch(struct edit *x, const struct value *v)
{
	const char *name = value_get_str(v, F_HostVirtualSwitchConfig_name);
	const struct value *spec = value_get_value(v, F_HostVirtualSwitchConfig_spec);

	switch (change_of(value_get_str(v, F_HostVirtualSwitchConfig_changeOperation))) {
	case DO_ADD:
		return switch_add(x, name, spec);
	case DO_EDIT:
		return switch_update(x, name, spec);
	case DO_REMOVE:
		return switch_remove(x, name);
	case DO_NOTHING:
	default:
		return true;
	}
}

static bool apply_group(struct edit *x, const struct value *v)
{
	const struct value *spec = value_get_value(v, F_HostPortGroupConfig_spec);
	enum operation how = change_of(value_get_str(v, F_HostPortGroupConfig_changeOperation));

	if (how == DO_NOTHING) {
		return true;
	}
	if (spec == NULL) {
		return refuse(x, fault_invalid_argument(x->a, "config.portgroup.spec"),
			      "a port group's change names no port group");
	}
	const char *name = value_get_str(spec, F_HostPortGroupSpec_name);
	return how == DO_ADD	? group_add(x, spec)
	       : how == DO_EDIT ? group_update(x, name, spec)
				: group_remove(x, name);
}

static bool apply_config(struct edit *x, const struct value *config)
{
	static const struct {
		unsigned field;
		const char *name;
	} fixed[] = {
		{ F_HostNetworkConfig_proxySwitch, "proxySwitch" },
		{ F_HostNetworkConfig_vnic, "vnic" },
		{ F_HostNetworkConfig_consoleVnic, "consoleVnic" },
		{ F_HostNetworkConfig_nat, "nat" },
		{ F_HostNetworkConfig_dhcp, "dhcp" },
	};
	const struct value *switches = value_get_value(config, F_HostNetworkConfig_vswitch);
	const struct value *groups = value_get_value(config, F_HostNetworkConfig_portgroup);

	for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
		if (value_count(value_get_value(config, fixed[i].field)) != 0) {
			return refuse(x, fault_new(x->a, T_NotSupported),
				      "\"%s\" of this host is not for clients to change",
				      fixed[i].name);
		}
	}
	for (size_t i = 0; i < value_count(switches); i++) {
		if (!apply_switch(x, value_item(switches, i))) {
			return false;
		}
	}
	for (size_t i = 0; i < value_count(groups); i++) {
		if (!apply_group(x, value_item(groups, i))) {
			return false;
		}
	}
	return true;
}

/* ---- handlers ---- */

static struct edit edit_begin(struct call *c)
{
	struct edit x = { .host = call_arg(c), .a = c->arena };

	network_edit_begin(x.host, &x.config);
	return x;
}

static void edit_end(struct call *c, struct edit *x, bool ok, const struct value *result)
{
	struct error e;

	if (!ok) {
		network_config_fini(&x->config);
		call_fault(c, x->fault, "%s", x->text);
	} else if (!network_edit_commit(x->host, &x->config, &e)) {
		call_error(c, &e);
	} else {
		call_return(c, result);
	}
}

static void add_port_group(struct call *c)
{
	struct edit x = edit_begin(c);
	bool ok = group_add(&x, value_get_value(c->args, A_HostNetworkSystem_AddPortGroup_portgrp));

	edit_end(c, &x, ok, NULL);
}

static void update_port_group(struct call *c)
{
	struct edit x = edit_begin(c);
	bool ok =
		group_update(&x, value_get_str(c->args, A_HostNetworkSystem_UpdatePortGroup_pgName),
			     value_get_value(c->args, A_HostNetworkSystem_UpdatePortGroup_portgrp));

	edit_end(c, &x, ok, NULL);
}

static void remove_port_group(struct call *c)
{
	struct edit x = edit_begin(c);
	bool ok = group_remove(&x,
			       value_get_str(c->args, A_HostNetworkSystem_RemovePortGroup_pgName));

	edit_end(c, &x, ok, NULL);
}

static void add_virtual_switch(struct call *c)
{
	struct edit x = edit_begin(c);
	bool ok = switch_add(
		&x, value_get_str(c->args, A_HostNetworkSystem_AddVirtualSwitch_vswitchName),
		value_get_value(c->args, A_HostNetworkSystem_AddVirtualSwitch_spec));

	edit_end(c, &x, ok, NULL);
}

static void update_virtual_switch(struct call *c)
{
	struct edit x = edit_begin(c);
	bool ok = switch_update(
		&x, value_get_str(c->args, A_HostNetworkSystem_UpdateVirtualSwitch_vswitchName),
		value_get_value(c->args, A_HostNetworkSystem_UpdateVirtualSwitch_spec));

	edit_end(c, &x, ok, NULL);
}

static void remove_virtual_switch(struct call *c)
{
	struct edit x = edit_begin(c);
	bool ok = switch_remove(
		&x, value_get_str(c->args, A_HostNetworkSystem_RemoveVirtualSwitch_vswitchName));

	edit_end(c, &x, ok, NULL);
}

static void update_network_config(struct call *c)
{
	struct edit x = edit_begin(c);
	const char *mode =
		value_get_str(c->args, A_HostNetworkSystem_UpdateNetworkConfig_changeMode);
	bool ok = call_require(c, x.host->system, "Host.Config.Network");

	if (!ok) {
		network_config_fini(&x.config);
		return;
	}
	if (strcmp(mode, "modify") != 0) {
		ok = refuse(&x, fault_new(x.a, T_NotSupported),
			    "change mode \"%s\" is not supported, only \"modify\"", mode);
	} else {
		ok = apply_config(
			&x,
			value_get_value(c->args, A_HostNetworkSystem_UpdateNetworkConfig_config));
	}
	edit_end(c, &x, ok, value_new(c->arena, T_HostNetworkConfigResult));
}

static void refresh_network(struct call *c)
{
	host_network_publish(call_arg(c));
	call_return(c, NULL);
}

/* What no switch has told: hints are learned by protocols that this host does not listen to. */
static void query_hint(struct call *c)
{
	struct host *h = call_arg(c);
	const struct value *asked =
		value_get_value(c->args, A_HostNetworkSystem_QueryNetworkHint_device);
	struct value *list = value_new_array(c->arena, T_PhysicalNicHintInfo);

	for (size_t i = 0; i < value_count(asked); i++) {
		const char *device = value_bytes(value_item(asked, i));
		if (!network_has_pnic(h, device)) {
			call_fault(c, fault_new(c->arena, T_NotFound),
				   "this host has no network adapter \"%s\"", device);
			return;
		}
		struct value *v = value_new(c->arena, T_PhysicalNicHintInfo);
		value_set_str(c->arena, v, F_PhysicalNicHintInfo_device, device);
		value_push(c->arena, list, v);
	}
	call_return(c, list);
}

/* Network.DestroyNetwork: the port group goes with it. */
static void destroy_network(struct call *c)
{
	struct edit x = edit_begin(c);
	struct host_network *n = host_network_by_ref(x.host, c->self->ref);
	bool ok = n == NULL ? refuse_missing(&x, "network", object_id(c->self))
		  : n->opaque_id != NULL
			  ? refuse(&x, fault_new(x.a, T_NotSupported),
				   "\"%s\" is an overlay segment: its manager removes it", n->name)
			  : group_remove(&x, n->name);

	edit_end(c, &x, ok, NULL);
}

void host_network_methods_register(struct host *h)
{
	struct service *s = h->api.service;
	static const struct {
		uint16_t method;
		call_fn *fn;
	} methods[] = {
		{ M_HostNetworkSystem_AddPortGroup, add_port_group },
		{ M_HostNetworkSystem_UpdatePortGroup, update_port_group },
		{ M_HostNetworkSystem_RemovePortGroup, remove_port_group },
		{ M_HostNetworkSystem_AddVirtualSwitch, add_virtual_switch },
		{ M_HostNetworkSystem_UpdateVirtualSwitch, update_virtual_switch },
		{ M_HostNetworkSystem_RemoveVirtualSwitch, remove_virtual_switch },
		{ M_HostNetworkSystem_UpdateNetworkConfig, update_network_config },
		{ M_HostNetworkSystem_RefreshNetworkSystem, refresh_network },
		{ M_HostNetworkSystem_QueryNetworkHint, query_hint },
	};

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		service_handle(s, T_HostNetworkSystem, methods[i].method, methods[i].fn, h);
	}
	service_handle(s, T_Network, M_Network_DestroyNetwork, destroy_network, h);
}
