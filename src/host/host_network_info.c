/* SPDX-License-Identifier: Apache-2.0 */
/* HostNetworkInfo: what host_network.h's configuration and the hardware look like in the API. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/address.h"
#include "base/uuid.h"
#include "host/draft.h"
#include "host/host_network.h"
#include "host/host_plane.h"

/* ---- adapters ---- */

static struct value *nic_link(const struct hardware_nic *nic, struct arena *a)
{
	struct value *v = value_new(a, T_PhysicalNicLinkInfo);

	value_set_num(a, v, F_PhysicalNicLinkInfo_speedMb, (int32_t)nic->speed_mbps);
	value_set_bool(a, v, F_PhysicalNicLinkInfo_duplex, nic->full_duplex);
	return v;
}

static struct value *physical_nic(const struct host *h, size_t i, struct arena *a)
{
	const struct hardware_nic *nic = &h->hardware->nics[i];
	struct value *v = value_new(a, T_PhysicalNic);
	struct value *spec = value_new(a, T_PhysicalNicSpec);
	struct value *ip = value_new(a, T_HostIpConfig);
	const char *dpu = host_pairing_dpu_id(h, nic->mac);

	value_set_bool(a, ip, F_HostIpConfig_dhcp, false);
	value_set(a, spec, F_PhysicalNicSpec_ip, ip);
	value_set_strf(a, v, F_PhysicalNic_key, "key-vim.host.PhysicalNic-vmnic%zu", i);
	value_set_strf(a, v, F_PhysicalNic_device, "vmnic%zu", i);
	value_set_str(a, v, F_PhysicalNic_pci, nic->pci);
	if (nic->driver[0] != '\0') {
		value_set_str(a, v, F_PhysicalNic_driver, nic->driver);
	}
	if (nic->link_up) {
		value_set(a, v, F_PhysicalNic_linkSpeed, nic_link(nic, a));
	}
	value_set(a, v, F_PhysicalNic_spec, spec);
	value_set_bool(a, v, F_PhysicalNic_wakeOnLanSupported, false);
	value_set_str(a, v, F_PhysicalNic_mac, nic->mac);
	if (dpu != NULL) {
		value_set_str(a, v, F_PhysicalNic_dpuId, dpu);
	}
	return v;
}

/* ---- uplinks of the node's switch, after the hardware's own ---- */

static struct value *uplink_nic(const struct host *h, size_t i, struct arena *a)
{
	const struct node_uplink *u = &h->node.uplinks[i];
	struct value *v = value_new(a, T_PhysicalNic);
	size_t at = h->hardware->n_nics + i;
	char mac[18];

	node_uplink_mac(&h->node, i, mac);
	value_set_strf(a, v, F_PhysicalNic_key, "key-vim.host.PhysicalNic-vmnic%zu", at);
	value_set_strf(a, v, F_PhysicalNic_device, "vmnic%zu", at);
	value_set_str(a, v, F_PhysicalNic_pci, "");
	value_set_str(a, v, F_PhysicalNic_driver, u->kind);
	const struct plane_port_state *seen =
		host_plane_seen(h, value_get_str(v, F_PhysicalNic_device));
	if (seen != NULL && seen->is_up) {
		/* Memory has no speed: what DPDK says of memif, and of anything else. */
		struct hardware_nic nic = { .full_duplex = true,
					    .speed_mbps = strcmp(u->kind, "memif") == 0 ? 100000
											: 10000 };
		value_set(a, v, F_PhysicalNic_linkSpeed, nic_link(&nic, a));
	}
	value_set(a, v, F_PhysicalNic_spec, value_new(a, T_PhysicalNicSpec));
	value_set_bool(a, v, F_PhysicalNic_wakeOnLanSupported, false);
	value_set_str(a, v, F_PhysicalNic_mac, mac);
	return v;
}

/* Adapters that are always there; those of a card follow. */
static size_t n_own_nics(const struct host *h)
{
	return h->hardware->n_nics + h->node.n_uplinks;
}

/* ---- adapters of a card that stands behind a link without PCI ---- */

/* The card as one adapter, which carries nothing: its functions are for VMs. False: there is no
 * card, or the hardware shows one of its functions. */
static bool card_adapter(const struct host *h, size_t i, char mac[18])
{
	const struct card *card = host_pairing_card(h);
	struct uuid u;

	if (card == NULL || i != 0 || !uuid_parse(card->uuid, &u)) {
		return false;
	}
	for (size_t k = 0; k < h->hardware->n_nics; k++) {
		if (host_pairing_dpu_id(h, h->hardware->nics[k].mac) != NULL) {
			return false;
		}
	}
	snprintf(mac, 18, "02:%02x:%02x:%02x:%02x:%02x", u.b[11], u.b[12], u.b[13], u.b[14],
		 u.b[15]);
	return true;
}

static struct value *card_nic(const struct host *h, size_t i, struct arena *a)
{
	struct hardware_nic nic = { 0 };

	if (!card_adapter(h, i, nic.mac)) {
		return NULL;
	}
	size_t at = n_own_nics(h) + i;
	struct value *v = value_new(a, T_PhysicalNic);
	value_set_strf(a, v, F_PhysicalNic_key, "key-vim.host.PhysicalNic-vmnic%zu", at);
	value_set_strf(a, v, F_PhysicalNic_device, "vmnic%zu", at);
	value_set_str(a, v, F_PhysicalNic_pci, "");
	value_set_str(a, v, F_PhysicalNic_driver, "remora-link");
	value_set(a, v, F_PhysicalNic_spec, value_new(a, T_PhysicalNicSpec));
	value_set_bool(a, v, F_PhysicalNic_wakeOnLanSupported, false);
	value_set_str(a, v, F_PhysicalNic_mac, nic.mac);
	value_set_str(a, v, F_PhysicalNic_dpuId, host_pairing_card(h)->dpu_id);
	return v;
}

bool network_has_pnic(const struct host *h, const char *device)
{
	char name[32], mac[18];

	for (size_t i = 0; i < n_own_nics(h) || card_adapter(h, i - n_own_nics(h), mac); i++) {
		snprintf(name, sizeof(name), "vmnic%zu", i);
		if (strcmp(name, device) == 0) {
			return true;
		}
	}
	return false;
}

/* ---- policies ---- */

/* Fields of `over` replace those of `under`, structure by structure. */
static const struct value *overlay(struct arena *a, const struct value *under,
				   const struct value *over)
{
	int field = -1;
	union slot s;

	if (over == NULL) {
		return under;
	}
	if (under == NULL || value_type(under) != value_type(over)) {
		return over;
	}
	struct value *v = value_edit(a, under);
	while (value_next(over, &field, &s)) {
		const struct schema_field *f = schema_field(value_type(over), (unsigned)field);
		if (f->kind == KIND_STRUCT && !(f->flags & FIELD_ARRAY)) {
			const struct value *below = value_get_value(under, (unsigned)field);
			value_set(a, v, (unsigned)field, overlay(a, below, s.value));
		} else {
			value_set_slot(v, (unsigned)field, s);
		}
	}
	return v;
}

const struct value *network_switch_nics(const struct value *spec)
{
	const struct value *bridge = value_get_value(spec, F_HostVirtualSwitchSpec_bridge);

	return value_is_a(bridge, T_HostVirtualSwitchBondBridge)
		       ? value_get_value(bridge, F_HostVirtualSwitchBondBridge_nicDevice)
		       : NULL;
}

static struct value *default_policy(struct arena *a, const struct value *nics)
{
	struct value *v = value_new(a, T_HostNetworkPolicy);
	struct value *security = value_new(a, T_HostNetworkSecurityPolicy);
	struct value *team = value_new(a, T_HostNicTeamingPolicy);
	struct value *order = value_new(a, T_HostNicOrderPolicy);
	struct value *failure = value_new(a, T_HostNicFailureCriteria);
	struct value *shaping = value_new(a, T_HostNetworkTrafficShapingPolicy);

	value_set_bool(a, security, F_HostNetworkSecurityPolicy_allowPromiscuous, false);
	value_set_bool(a, security, F_HostNetworkSecurityPolicy_macChanges, false);
	value_set_bool(a, security, F_HostNetworkSecurityPolicy_forgedTransmits, false);
	value_set(a, order, F_HostNicOrderPolicy_activeNic, nics);
	value_set_bool(a, failure, F_HostNicFailureCriteria_checkBeacon, false);
	value_set_str(a, team, F_HostNicTeamingPolicy_policy, "loadbalance_srcid");
	value_set_bool(a, team, F_HostNicTeamingPolicy_notifySwitches, true);
	value_set_bool(a, team, F_HostNicTeamingPolicy_rollingOrder, false);
	value_set(a, team, F_HostNicTeamingPolicy_failureCriteria, failure);
	value_set(a, team, F_HostNicTeamingPolicy_nicOrder, order);
	value_set_bool(a, shaping, F_HostNetworkTrafficShapingPolicy_enabled, false);
	value_set(a, v, F_HostNetworkPolicy_security, security);
	value_set(a, v, F_HostNetworkPolicy_nicTeaming, team);
	value_set(a, v, F_HostNetworkPolicy_shapingPolicy, shaping);
	return v;
}

const struct value *network_switch_policy(const struct network_switch *s, struct arena *a)
{
	return overlay(a, default_policy(a, network_switch_nics(s->spec)),
		       value_get_value(s->spec, F_HostVirtualSwitchSpec_policy));
}

/* ---- switches and port groups ---- */

static struct value *virtual_switch(const struct network_config *c, const struct network_switch *s,
				    struct arena *a)
{
	struct value *v = value_new(a, T_HostVirtualSwitch);
	struct value *spec = value_edit(a, s->spec);
	struct value *groups = value_new_array(a, T_string);
	struct value *pnics = value_new_array(a, T_string);
	const struct value *nics = network_switch_nics(s->spec);

	for (size_t i = 0; i < c->groups.n; i++) {
		const struct network_group *g = &c->groups.items[i];
		if (strcmp(value_get_str(g->spec, F_HostPortGroupSpec_vswitchName), s->name) == 0) {
			value_push_str(a, groups,
				       arena_printf(a, "key-vim.host.PortGroup-%s", g->name));
		}
	}
	for (size_t i = 0; i < value_count(nics); i++) {
		value_push_str(a, pnics,
			       arena_printf(a, "key-vim.host.PhysicalNic-%s",
					    value_bytes(value_item(nics, i))));
	}
	value_set(a, spec, F_HostVirtualSwitchSpec_policy, network_switch_policy(s, a));
	value_set_str(a, v, F_HostVirtualSwitch_name, s->name);
	value_set_strf(a, v, F_HostVirtualSwitch_key, "key-vim.host.VirtualSwitch-%s", s->name);
	value_set_num(a, v, F_HostVirtualSwitch_numPorts, SWITCH_PORTS);
	value_set_num(a, v, F_HostVirtualSwitch_numPortsAvailable, SWITCH_PORTS);
	value_set_num(a, v, F_HostVirtualSwitch_mtu,
		      value_get_num(s->spec, F_HostVirtualSwitchSpec_mtu, 1500));
	value_set(a, v, F_HostVirtualSwitch_portgroup, groups);
	value_set(a, v, F_HostVirtualSwitch_pnic, pnics);
	value_set(a, v, F_HostVirtualSwitch_spec, spec);
	return v;
}

const struct value *network_group_policy(const struct network_config *c,
					 const struct network_group *g, struct arena *a)
{
	int at = network_find_switch(c, value_get_str(g->spec, F_HostPortGroupSpec_vswitchName));
	const struct value *policy = value_get_value(g->spec, F_HostPortGroupSpec_policy);

	return at < 0 ? policy
		      : overlay(a, network_switch_policy(&c->switches.items[at], a), policy);
}

static struct value *port_group(const struct network_config *c, const struct network_group *g,
				struct arena *a)
{
	struct value *v = value_new(a, T_HostPortGroup);
	const char *on = value_get_str(g->spec, F_HostPortGroupSpec_vswitchName);

	value_set_strf(a, v, F_HostPortGroup_key, "key-vim.host.PortGroup-%s", g->name);
	value_set_strf(a, v, F_HostPortGroup_vswitch, "key-vim.host.VirtualSwitch-%s", on);
	value_set(a, v, F_HostPortGroup_computedPolicy, network_group_policy(c, g, a));
	value_set(a, v, F_HostPortGroup_spec, g->spec);
	if (strcmp(g->name, MANAGEMENT_GROUP) == 0) {
		struct value *ports = value_new_array(a, T_HostPortGroupPort);
		struct value *port = value_new(a, T_HostPortGroupPort);
		value_set_str(a, port, F_HostPortGroupPort_key, "key-vim.host.PortGroup.Port-vmk0");
		value_set_str(a, port, F_HostPortGroupPort_type, "host");
		value_push(a, ports, port);
		value_set(a, v, F_HostPortGroup_port, ports);
	}
	return v;
}

/* ---- the host's own adapter ---- */

struct own_address {
	char address[INET_ADDRSTRLEN], mask[INET_ADDRSTRLEN];
};

/* The interface that has the address; one that listens everywhere: the first that is up and no
 * loopback. Nothing is changed where there is none. */
static void own_address_read(const char *address, struct own_address *out)
{
	struct ifaddrs *all, *i;
	struct in_addr want = { 0 };
	bool is_any = address_is_any(address);

	if ((!is_any && inet_pton(AF_INET, address, &want) != 1) || getifaddrs(&all) != 0) {
		return;
	}
	for (i = all; i != NULL; i = i->ifa_next) {
		struct sockaddr_in at, mask;
		if (i->ifa_addr == NULL || i->ifa_netmask == NULL ||
		    i->ifa_addr->sa_family != AF_INET) {
			continue;
		}
		memcpy(&at, i->ifa_addr, sizeof(at));
		memcpy(&mask, i->ifa_netmask, sizeof(mask));
		bool is_it =
			is_any ? (i->ifa_flags & (IFF_UP | IFF_LOOPBACK)) == IFF_UP
			       : ((at.sin_addr.s_addr ^ want.s_addr) & mask.sin_addr.s_addr) == 0;
		if (is_it) {
			inet_ntop(AF_INET, is_any ? &at.sin_addr : &want, out->address,
				  sizeof(out->address));
			inet_ntop(AF_INET, &mask.sin_addr, out->mask, sizeof(out->mask));
			break;
		}
	}
	freeifaddrs(all);
}

static struct value *virtual_nic(const struct host *h, struct arena *a)
{
	struct value *v = value_new(a, T_HostVirtualNic);
	struct value *spec = value_new(a, T_HostVirtualNicSpec);
	struct value *ip = value_new(a, T_HostIpConfig);
	struct own_address own = { .mask = "255.255.255.0" };

	if (!h->simulated) {
		own.mask[0] = '\0';
		own_address_read(h->node.address, &own);
	}
	value_set_bool(a, ip, F_HostIpConfig_dhcp, false);
	value_set_str(a, ip, F_HostIpConfig_ipAddress,
		      own.address[0] != '\0' ? own.address : h->node.address);
	value_set_str(a, ip, F_HostIpConfig_subnetMask, own.mask);
	value_set(a, spec, F_HostVirtualNicSpec_ip, ip);
	if (h->hardware->n_nics > 0) {
		value_set_str(a, spec, F_HostVirtualNicSpec_mac, h->hardware->nics[0].mac);
	}
	value_set_str(a, spec, F_HostVirtualNicSpec_portgroup, MANAGEMENT_GROUP);
	value_set_num(a, spec, F_HostVirtualNicSpec_mtu, 1500);
	value_set_bool(a, spec, F_HostVirtualNicSpec_tsoEnabled, true);
	value_set_str(a, spec, F_HostVirtualNicSpec_netStackInstanceKey, "defaultTcpipStack");
	value_set_str(a, v, F_HostVirtualNic_device, "vmk0");
	value_set_str(a, v, F_HostVirtualNic_key, "key-vim.host.VirtualNic-vmk0");
	value_set_str(a, v, F_HostVirtualNic_portgroup, MANAGEMENT_GROUP);
	value_set_str(a, v, F_HostVirtualNic_port, "key-vim.host.PortGroup.Port-vmk0");
	value_set(a, v, F_HostVirtualNic_spec, spec);
	return v;
}

struct value *network_dns(const struct host *h, struct arena *a)
{
	struct value *v = value_new(a, T_HostDnsConfig);
	const char *dot = strchr(h->node.name, '.');
	size_t n = dot == NULL ? strlen(h->node.name) : (size_t)(dot - h->node.name);

	value_set_bool(a, v, F_HostDnsConfig_dhcp, false);
	value_set(a, v, F_HostDnsConfig_hostName, value_new_strn(a, h->node.name, n));
	value_set_str(a, v, F_HostDnsConfig_domainName, dot == NULL ? "" : dot + 1);
	return v;
}

struct value *network_info(struct host *h, struct arena *a)
{
	const struct network_config *c = &h->network_system->config;
	struct value *v = value_new(a, T_HostNetworkInfo);
	struct value *switches = value_new_array(a, T_HostVirtualSwitch);
	struct value *groups = value_new_array(a, T_HostPortGroup);
	struct value *pnics = value_new_array(a, T_PhysicalNic);
	struct value *vnics = value_new_array(a, T_HostVirtualNic);

	for (size_t i = 0; i < c->switches.n; i++) {
		value_push(a, switches, virtual_switch(c, &c->switches.items[i], a));
	}
	for (size_t i = 0; i < c->groups.n; i++) {
		value_push(a, groups, port_group(c, &c->groups.items[i], a));
	}
	for (size_t i = 0; i < h->hardware->n_nics; i++) {
		value_push(a, pnics, physical_nic(h, i, a));
	}
	for (size_t i = 0; i < h->node.n_uplinks; i++) {
		value_push(a, pnics, uplink_nic(h, i, a));
	}
	struct value *card = card_nic(h, 0, a);
	for (size_t i = 1; card != NULL; i++) {
		value_push(a, pnics, card);
		card = card_nic(h, i, a);
	}
	value_push(a, vnics, virtual_nic(h, a));
	value_set(a, v, F_HostNetworkInfo_vswitch, switches);
	value_set(a, v, F_HostNetworkInfo_portgroup, groups);
	value_set(a, v, F_HostNetworkInfo_pnic, pnics);
	value_set(a, v, F_HostNetworkInfo_vnic, vnics);
	network_policy_info(h, a, v);
	value_set(a, v, F_HostNetworkInfo_dnsConfig, network_dns(h, a));
	value_set(a, v, F_HostNetworkInfo_ipRouteConfig, value_new(a, T_HostIpRouteConfig));
	value_set_bool(a, v, F_HostNetworkInfo_ipV6Enabled, false);
	value_set_bool(a, v, F_HostNetworkInfo_atBootIpV6Enabled, false);
	return v;
}
