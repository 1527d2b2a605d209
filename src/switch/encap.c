/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/encap.h"

#include <string.h>

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put_ip(struct encap_header *h, const struct config_team *team,
		   const struct address *remote)
{
	uint8_t *ip = h->bytes + h->ip_at;

	h->ip = remote->ip;
	if (remote->ip == 6) {
		ip[0] = 0x60;
		ip[6] = 17;
		ip[7] = 64;
		memcpy(ip + 8, team->address.bytes, 16);
		memcpy(ip + 24, remote->bytes, 16);
		h->udp_at = (uint8_t)(h->ip_at + 40);
		return;
	}
	ip[0] = 0x45;
	ip[6] = 0x40; /* never fragmented: segments' MTUs leave room */
	ip[8] = 64;
	ip[9] = 17;
	memcpy(ip + 12, team->address.bytes, 4);
	memcpy(ip + 16, remote->bytes, 4);
	h->udp_at = (uint8_t)(h->ip_at + 20);
	for (int i = 0; i < 20; i += 2) {
		h->ip_sum += get16(ip + i);
	}
}

void encap_header_make(struct encap_header *h, const struct config_team *team,
		       const struct address *remote, const uint8_t next_hop[6],
		       enum encapsulation encapsulation)
{
	uint16_t type = remote->ip == 6 ? 0x86dd : 0x0800;
	bool is_geneve = encapsulation == ENCAP_GENEVE;

	*h = (struct encap_header){ .ip_at = 14 };
	memcpy(h->bytes, next_hop, 6);
	memcpy(h->bytes + 6, team->mac, 6);
	if (team->vlan != PACKET_NO_VLAN) {
		put16(h->bytes + 12, 0x8100);
		put16(h->bytes + 14, team->vlan);
		h->ip_at = 18;
	}
	put16(h->bytes + h->ip_at - 2, type);
	put_ip(h, team, remote);
	uint8_t *udp = h->bytes + h->udp_at;
	put16(udp + 2, is_geneve ? GENEVE_PORT : VXLAN_PORT);
	if (is_geneve) {
		put16(udp + 10, 0x6558); /* Ethernet */
	} else {
		udp[8] = 0x08; /* the identifier is valid */
	}
	h->size = (uint8_t)(h->udp_at + 16);
}

const struct address *encap_next_hop(const struct config_team *team, const struct address *to)
{
	struct prefix network = { .length = team->prefix_length, .ip = team->address.ip };

	memcpy(network.address, team->address.bytes, 16);
	for (unsigned bit = network.length; bit < 128; bit++) {
		network.address[bit / 8] &= (uint8_t) ~(0x80u >> (bit % 8));
	}
	return team->gateway.ip == 0 || prefix_contains(&network, to->bytes) ? to : &team->gateway;
}

/* ---- reading ---- */

static bool ip4_is_good(const uint8_t *ip, uint32_t n)
{
	return ip[0] == 0x45 && packet_ip4_is_right(ip) && get16(ip + 2) >= 28 &&
	       get16(ip + 2) <= n && (get16(ip + 6) & 0x3fff) == 0;
}

/* The UDP header's offset, for a packet to the team's address; 0: it is none. *room: before, bytes
 * of the frame; then those from there that IP says there are, no more where it is good. */
static uint32_t read_ip(const struct config_team *team, const uint8_t *data, uint32_t head,
			uint32_t at, uint32_t *room, struct encap_read *out)
{
	const uint8_t *ip = data + at;
	uint16_t type = get16(ip - 2);

	out->source.ip = team->address.ip;
	if (team->address.ip == 4 && type == 0x0800 && head >= at + 36 && ip[9] == 17 &&
	    memcmp(ip + 16, team->address.bytes, 4) == 0) {
		out->is_good = ip4_is_good(ip, *room - at);
		*room = get16(ip + 2) - 20u;
		/* Written whole: it is read whole at once. */
		uint32_t source;
		memcpy(&source, ip + 12, 4);
		const uint64_t words[2] = { source, 0 };
		memcpy(out->source.bytes, words, 16);
		return at + 20;
	}
	if (team->address.ip == 6 && type == 0x86dd && head >= at + 56 && ip[6] == 17 &&
	    memcmp(ip + 24, team->address.bytes, 16) == 0) {
		out->is_good = ip[0] >> 4 == 6 && get16(ip + 4) + 40u <= *room - at;
		*room = get16(ip + 4);
		memcpy(out->source.bytes, ip + 8, 16);
		return at + 40;
	}
	return 0;
}

static void read_geneve(const uint8_t *g, uint32_t room, struct encap_read *out)
{
	uint32_t options = (uint32_t)(g[0] & 0x3f) * 4;

	/* RFC 8926 §3.4: version 0, no control packet, no option that must be understood. */
	out->is_good &= (g[0] & 0xc0) == 0 && (g[1] & 0xc0) == 0 && get16(g + 2) == 0x6558 &&
			8 + options <= room;
	out->size = (uint16_t)(out->size + 8 + options);
	out->encapsulation = ENCAP_GENEVE;
}

static void read_vxlan(const uint8_t *v, struct encap_read *out)
{
	out->is_good &= (v[0] & 0x08) != 0;
	out->size = (uint16_t)(out->size + 8);
	out->encapsulation = ENCAP_VXLAN;
}

bool encap_parse(const struct config_team *team, const uint8_t *data, uint32_t head, uint32_t size,
		 struct encap_read *out)
{
	out->encapsulation = ENCAP_NONE;
	uint32_t at = team->vlan == PACKET_NO_VLAN ? 14 : 18;

	if (head < at + 20 || team->address.ip == 0 || memcmp(data, team->mac, 6) != 0 ||
	    (at == 18 &&
	     (get16(data + 12) != 0x8100 || (get16(data + 14) & 0xfff) != team->vlan))) {
		return false;
	}
	uint32_t room = size, udp = read_ip(team, data, head, at, &room, out);
	if (udp == 0 || head < udp + 16) {
		return false;
	}
	uint16_t port = get16(data + udp + 2), length = get16(data + udp + 4);
	const uint8_t *tunnel = data + udp + 8;
	out->size = (uint16_t)(udp + 8);
	out->vni = (uint32_t)tunnel[4] << 16 | (uint32_t)tunnel[5] << 8 | tunnel[6];
	memcpy(out->source_mac, data + 6, 6);
	out->is_good &= length >= 16 && length <= room;
	if (port == GENEVE_PORT) {
		read_geneve(tunnel, length - 8u, out);
	} else if (port == VXLAN_PORT) {
		read_vxlan(tunnel, out);
	}
	return out->encapsulation != ENCAP_NONE;
}
