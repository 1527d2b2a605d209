/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outer headers of tunnels: Geneve (RFC 8926) and VXLAN (RFC 7348) over IPv4 or IPv6. A header is
 * made once for each remote endpoint and copied before each frame; what differs (lengths, the UDP
 * source port, the identifier) is written into the copy. The UDP checksum is 0, as RFC 8926 §3.3
 * and RFC 6935 allow. Any thread; plain data.
 */
#ifndef SWITCH_ENCAP_H
#define SWITCH_ENCAP_H

#include <stdbool.h>
#include <stdint.h>

#include "switch/config.h"

enum {
	ENCAP_HEADER_MAX = 80,
	GENEVE_PORT = 6081,
	VXLAN_PORT = 4789,
};

struct encap_header {
	uint8_t bytes[ENCAP_HEADER_MAX];
	uint8_t size;  /* Ethernet to the tunnel's header */
	uint8_t ip_at; /* offset of the IP header */
	uint8_t udp_at;
	uint8_t ip;	 /* 4 or 6; 0: not made */
	uint32_t ip_sum; /* of an IPv4 header without its length, not folded */
};

/* Of frames to `remote`, whose next hop has that MAC address. */
void encap_header_make(struct encap_header *h, const struct config_team *team,
		       const struct address *remote, const uint8_t next_hop[6],
		       enum encapsulation encapsulation);

/* The next hop to an endpoint: itself on the team's network, else the gateway. */
const struct address *encap_next_hop(const struct config_team *team, const struct address *to);

/* Writes the header of a frame of `size` bytes before it, at `at`; `hash` of the inner connection
 * gives the source port its entropy. */
static inline void encap_write(const struct encap_header *h, uint8_t *at, uint32_t size,
			       uint32_t hash, uint32_t vni)
{
	uint8_t *ip = at + h->ip_at, *udp = at + h->udp_at;
	uint32_t udp_size = size + 16, sum;
	uint16_t source = (uint16_t)(0xc000 | (hash & 0x3fff));

	__builtin_memcpy(at, h->bytes, h->size);
	udp[0] = (uint8_t)(source >> 8);
	udp[1] = (uint8_t)source;
	udp[4] = (uint8_t)(udp_size >> 8);
	udp[5] = (uint8_t)udp_size;
	udp[12] = (uint8_t)(vni >> 16);
	udp[13] = (uint8_t)(vni >> 8);
	udp[14] = (uint8_t)vni;
	if (h->ip == 6) {
		ip[4] = udp[4];
		ip[5] = udp[5];
		return;
	}
	ip[2] = (uint8_t)((udp_size + 20) >> 8);
	ip[3] = (uint8_t)(udp_size + 20);
	sum = h->ip_sum + udp_size + 20;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
}

/* What stands before an inner frame. */
struct encap_read {
	enum encapsulation encapsulation;
	bool is_good;  /* else: malformed, or a critical option */
	uint16_t size; /* up to the inner frame */
	uint32_t vni;
	struct address source;
	uint8_t source_mac[6];
};

/* Reads an untagged or tagged frame of `size` bytes that came in at a team's port, `head` of them
 * at hand. False: it is no tunnel packet for this endpoint, and *out says nothing. */
bool encap_parse(const struct config_team *team, const uint8_t *data, uint32_t head, uint32_t size,
		 struct encap_read *out);

#endif
