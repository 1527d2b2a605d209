/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/fate_guard.h"

#include <endian.h>
#include <string.h>

#include "base/macro.h"

static bool is_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] != 0) {
			return false;
		}
	}
	return true;
}

/* IEEE 802.1Q §8.6.3: addresses that no bridge forwards; spanning tree, pause, LLDP. */
static bool is_link_control(const uint8_t *mac)
{
	static const uint8_t reserved[5] = { 0x01, 0x80, 0xc2, 0x00, 0x00 };

	return memcmp(mac, reserved, sizeof(reserved)) == 0 && mac[5] < 0x10;
}

static bool is_listed(const struct config_port *port, const struct address *a)
{
	for (size_t i = 0; i < port->n_addresses; i++) {
		if (port->addresses[i].ip == a->ip &&
		    memcmp(port->addresses[i].bytes, a->bytes, 16) == 0) {
			return true;
		}
	}
	return false;
}

/* fe80::/10 that no other port has been given. */
static bool is_free_link_local(const struct tables *t, const struct iface *iface,
			       const struct address *a)
{
	struct whereabouts at;

	return a->ip == 6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80 &&
	       !tables_find_address(t, iface->segment, a, &at);
}

static bool may_use(const struct tables *t, const struct iface *iface,
		    const struct config_port *port, const struct address *a)
{
	return is_listed(port, a) || is_free_link_local(t, iface, a);
}

/* Sources of those who have no address yet: DHCP, duplicate address detection, MLD. */
static bool is_asking_for_address(const struct packet *p, const struct address *source)
{
	if (!is_zero(source->bytes, sizeof(source->bytes))) {
		return false;
	}
	if (source->ip == 4) {
		return p->key.proto == 17 && be16toh(p->key.dport) == 67;
	}
	uint8_t type = p->l4 == 0 || p->key.proto != 58 ? 0 : p->data[p->l4];
	return type == 135 || type == 133 || type == 143;
}

/* ARP and neighbour discovery: who sends claims only what is its own. RFC 826, RFC 4861. */
static enum drop_reason guard_neighbor(const struct tables *t, const struct iface *iface,
				       const struct config_port *port, const struct packet *p)
{
	struct packet_neighbor n;

	if (!packet_neighbor(p, &n)) {
		return DROP_GUARD_ARP;
	}
	if (!is_zero(n.mac, 6) && memcmp(n.mac, p->data + 6, 6) != 0) {
		return DROP_GUARD_ARP;
	}
	struct address claim = { .ip = n.ip };
	memcpy(claim.bytes, n.sender, 16);
	if (is_zero(claim.bytes, 16)) {
		return n.is_request ? DROP_NONE : DROP_GUARD_ARP; /* a probe: RFC 5227 */
	}
	return may_use(t, iface, port, &claim) ? DROP_NONE : DROP_GUARD_ARP;
}

static enum drop_reason guard_addresses(const struct tables *t, const struct iface *iface,
					const struct config_port *port, const struct packet *p)
{
	if (port->guard.any_address) {
		return DROP_NONE;
	}
	if ((p->flags & PACKET_NEIGHBOR) != 0) {
		enum drop_reason r = guard_neighbor(t, iface, port, p);
		if (r != DROP_NONE || p->key.ip == 0) {
			return r;
		}
	}
	if (p->key.ip == 0) {
		return DROP_NONE;
	}
	struct address source;
	fate_source(p, &source);
	return is_asking_for_address(p, &source) || may_use(t, iface, port, &source)
		       ? DROP_NONE
		       : DROP_GUARD_IP;
}

enum drop_reason fate_guard(const struct tables *t, const struct packet *p)
{
	const struct iface *iface = tables_iface(t, p->key.iface);
	const struct config_port *port = &tables_config(t)->ports[iface->port];
	const struct port_guard *g = &port->guard;

	if (port->is_blocked) {
		return DROP_PORT_CLOSED;
	}
	if (is_link_control(p->data)) {
		return DROP_GUARD_CONTROL;
	}
	if (port->has_mac && !g->forged_transmits && !g->mac_changes &&
	    memcmp(p->data + 6, port->mac, 6) != 0) {
		return DROP_GUARD_MAC;
	}
	if ((p->flags & PACKET_DHCP_REPLY) != 0 && !g->dhcp_server) {
		return DROP_GUARD_DHCP;
	}
	if ((p->flags & PACKET_RA) != 0 && !g->router) {
		return DROP_GUARD_RA;
	}
	return guard_addresses(t, iface, port, p);
}
