/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/packet.h"

#include <endian.h>
#include <string.h>

#include "base/macro.h"

enum {
	ETHER_SIZE = 14,
	TAG_SIZE = 4,
	IP6_SIZE = 40,
	TCP_SIZE = 20,
	UDP_SIZE = 8,
	ICMP_SIZE = 8,
	ARP_SIZE = 28,
	NEIGHBOR_SIZE = 24, /* of ICMPv6 neighbour discovery, without options */

	TYPE_IP4 = 0x0800,
	TYPE_ARP = 0x0806,
	TYPE_TAG = 0x8100,
	TYPE_SERVICE_TAG = 0x88a8,
	TYPE_IP6 = 0x86dd,

	PROTO_HOP_BY_HOP = 0,
	PROTO_ICMP = 1,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44,
	PROTO_AUTHENTICATION = 51,
	PROTO_ICMP6 = 58,
	PROTO_OPTIONS = 60,
	PROTO_SCTP = 132,

	TCP_FIN = 1,
	TCP_SYN = 2,
	TCP_RST = 4,
	TCP_ACK = 16,
};

static uint16_t read16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t read32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* A 16-bit field in network order, as keys have it. */
static uint16_t raw16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t raw32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Are there n bytes at an offset that we may look at? */
static bool has(const struct packet *p, uint32_t at, uint32_t n)
{
	return at + n <= p->head && at + n <= PACKET_HEADERS_MAX;
}

/* Of what IP says there is, the bytes behind an offset. */
static uint32_t rest(const struct packet *p, uint32_t at)
{
	return (uint32_t)p->l3 + p->l3_size - at;
}

/* ---- layer 4 ---- */

static enum drop_reason parse_tcp(struct packet *p)
{
	if (!has(p, p->l4, TCP_SIZE) || rest(p, p->l4) < TCP_SIZE) {
		return (p->flags & PACKET_FRAGMENT) != 0 ? DROP_FRAGMENT : DROP_SHORT;
	}
	const uint8_t *t = p->data + p->l4;
	uint32_t size = (uint32_t)(t[12] >> 4) * 4;
	uint8_t flags = t[13] & 0x3f;

	if (size < TCP_SIZE || size > rest(p, p->l4)) {
		return DROP_L4_HEADER;
	}
	if ((flags & TCP_SYN) != 0 ? (flags & (TCP_FIN | TCP_RST)) != 0
				   : (flags & (TCP_ACK | TCP_RST)) == 0) {
		return DROP_L4_HEADER;
	}
	p->tcp_flags = flags;
	p->key.sport = raw16(t);
	p->key.dport = raw16(t + 2);
	p->payload = (uint16_t)(p->l4 + size);
	return DROP_NONE;
}

static enum drop_reason parse_udp(struct packet *p)
{
	if (!has(p, p->l4, UDP_SIZE) || rest(p, p->l4) < UDP_SIZE) {
		return (p->flags & PACKET_FRAGMENT) != 0 ? DROP_FRAGMENT : DROP_SHORT;
	}
	const uint8_t *u = p->data + p->l4;
	uint16_t size = read16(u + 4), from = read16(u);

	if (size < UDP_SIZE || ((p->flags & PACKET_FRAGMENT) == 0 && size > rest(p, p->l4))) {
		return DROP_LENGTH;
	}
	p->key.sport = raw16(u);
	p->key.dport = raw16(u + 2);
	p->payload = (uint16_t)(p->l4 + UDP_SIZE);
	if (from == (p->key.ip == 4 ? 67 : 547)) {
		p->flags |= PACKET_DHCP_REPLY;
	}
	return DROP_NONE;
}

/* The first 32 bits behind the inner header: its ports, where it has any. */
static void inner_ports(struct flow_key *k, const uint8_t *l4, bool is_later)
{
	bool has_ports = k->proto == PROTO_TCP || k->proto == PROTO_UDP || k->proto == PROTO_SCTP;

	if (is_later) {
		k->ip = 0; /* nothing to know it by */
	} else if (has_ports) {
		k->sport = raw16(l4);
		k->dport = raw16(l4 + 2);
	}
}

/* ICMP that an error speaks of: keys as parse_icmp() makes them. */
static void inner_icmp(struct flow_key *k, const uint8_t *icmp)
{
	uint8_t request = k->ip == 4 ? 8 : 128, reply = k->ip == 4 ? 0 : 129;

	if (k->proto != (k->ip == 4 ? PROTO_ICMP : PROTO_ICMP6)) {
		return;
	}
	if (icmp[0] == reply) {
		k->sport = htobe16((uint16_t)(request << 8));
		k->dport = raw16(icmp + 4);
		return;
	}
	k->sport = icmp[0] == request ? raw16(icmp + 4) : 0;
	k->dport = raw16(icmp);
}

/* The head of the packet that an ICMP error carries; inner.ip stays 0 where it is no use. */
static void parse_inner(struct packet *p)
{
	uint32_t at = p->payload, size = p->key.ip == 4 ? 20 : IP6_SIZE;
	struct flow_key k = { .ip = p->key.ip };
	const uint8_t *d = p->data + at;
	bool is_later = false;

	if (!has(p, at, size + 8) || rest(p, at) < size + 8) {
		return;
	}
	if (k.ip == 4) {
		size = (uint32_t)(d[0] & 0xf) * 4;
		if (d[0] >> 4 != 4 || size < 20 || !has(p, at, size + 8) ||
		    rest(p, at) < size + 8) {
			return;
		}
		k.proto = d[9];
		k.src = raw32(d + 12);
		k.dst = raw32(d + 16);
		is_later = (read16(d + 6) & 0x1fff) != 0;
	} else {
		if (d[0] >> 4 != 6) {
			return;
		}
		k.proto = d[6];
		memcpy(k.src_high, d + 8, 12);
		memcpy(k.dst_high, d + 24, 12);
		k.src = raw32(d + 20);
		k.dst = raw32(d + 36);
	}
	inner_ports(&k, d + size, is_later);
	inner_icmp(&k, d + size);
	p->inner = k;
}

static bool is_icmp_error(uint8_t ip, uint8_t type)
{
	return ip == 4 ? type == 3 || type == 11 || type == 12 : type < 128;
}

/* RFC 4861 §6.1.2, §7.1, §8.1: such messages come from one hop away. */
static enum drop_reason parse_discovery(struct packet *p, uint8_t type)
{
	bool is_neighbor = type == 135 || type == 136;

	if (p->key.ip != 6 || type < 133 || type > 137) {
		return DROP_NONE;
	}
	if ((p->flags & PACKET_FRAGMENT) != 0) {
		return DROP_FRAGMENT; /* RFC 6980 */
	}
	if (p->ttl != 255 || p->data[p->l4 + 1] != 0) {
		return DROP_L4_HEADER;
	}
	if (is_neighbor && (!has(p, p->l4, NEIGHBOR_SIZE) || rest(p, p->l4) < NEIGHBOR_SIZE)) {
		return DROP_SHORT;
	}
	p->flags |= is_neighbor ? PACKET_NEIGHBOR : type == 133 ? 0 : PACKET_RA;
	return DROP_NONE;
}

static enum drop_reason parse_icmp(struct packet *p)
{
	if (!has(p, p->l4, ICMP_SIZE) || rest(p, p->l4) < ICMP_SIZE) {
		return (p->flags & PACKET_FRAGMENT) != 0 ? DROP_FRAGMENT : DROP_SHORT;
	}
	const uint8_t *i = p->data + p->l4;
	uint8_t request = p->key.ip == 4 ? 8 : 128, reply = p->key.ip == 4 ? 0 : 129;

	p->payload = (uint16_t)(p->l4 + ICMP_SIZE);
	if (i[0] == reply) {
		p->key.sport = htobe16((uint16_t)(request << 8));
		p->key.dport = raw16(i + 4);
		p->flags |= PACKET_REPLY;
		return DROP_NONE;
	}
	p->key.dport = raw16(i);
	if (i[0] == request) {
		p->key.sport = raw16(i + 4);
	} else if (is_icmp_error(p->key.ip, i[0])) {
		p->flags |= PACKET_ICMP_ERROR;
		parse_inner(p);
	} else if (p->key.ip == 4 && i[0] == 5) {
		p->flags |= PACKET_RA;
	}
	return parse_discovery(p, i[0]);
}

static enum drop_reason parse_l4(struct packet *p)
{
	if ((p->flags & PACKET_LATER) != 0) {
		return DROP_NONE;
	}
	p->payload = p->l4;
	switch (p->key.proto) {
	case PROTO_TCP:
		return parse_tcp(p);
	case PROTO_UDP:
		return parse_udp(p);
	case PROTO_ICMP:
		return p->key.ip == 4 ? parse_icmp(p) : DROP_L4_HEADER;
	case PROTO_ICMP6:
		return p->key.ip == 6 ? parse_icmp(p) : DROP_L4_HEADER;
	case PROTO_SCTP:
		if (!has(p, p->l4, 12) || rest(p, p->l4) < 12) {
			return DROP_SHORT;
		}
		p->key.sport = raw16(p->data + p->l4);
		p->key.dport = raw16(p->data + p->l4 + 2);
		return DROP_NONE;
	default:
		return DROP_NONE;
	}
}

/* ---- fragments ---- */

/* Notes where a fragment lies; `size` bytes of payload. RFC 1858, RFC 3128: a later fragment may
 * not begin inside of the first one's transport header. */
static enum drop_reason parse_fragment(struct packet *p, uint32_t at, uint32_t size, bool more,
				       uint32_t id)
{
	if (at == 0 && !more) {
		return DROP_NONE; /* all of it in one; RFC 6946 */
	}
	if (at + size > UINT16_MAX || size == 0 || (more && size % 8 != 0) ||
	    (at > 0 && at < (p->key.proto == PROTO_TCP ? TCP_SIZE : UDP_SIZE))) {
		return DROP_FRAGMENT;
	}
	p->flags |= PACKET_FRAGMENT;
	if (at > 0) {
		p->flags |= PACKET_LATER;
	}
	p->fragment_at = (uint16_t)at;
	p->fragment_size = (uint16_t)size;
	p->fragment_is_last = !more;
	p->fragment_id = id;
	return DROP_NONE;
}

/* ---- IPv4 ---- */

static bool checksum_is_right(const uint8_t *header, uint32_t size)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < size; i += 2) {
		sum += read16(header + i);
	}
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/* RFC 7126: source routes are refused, and options that run out of the header. */
static bool options_are_harmless(const uint8_t *o, uint32_t n)
{
	for (uint32_t i = 0; i < n;) {
		if (o[i] == 0) {
			return true;
		}
		if (o[i] == 1) {
			i++;
			continue;
		}
		if (o[i] == 131 || o[i] == 137 || i + 1 >= n || o[i + 1] < 2 || i + o[i + 1] > n) {
			return false;
		}
		i += o[i + 1];
	}
	return true;
}

/* RFC 1122 §3.2.1.3: what no host may send from. Zero: only who asks for an address. */
static bool source4_is_possible(const uint8_t *a)
{
	return a[0] != 127 && a[0] < 224;
}

static enum drop_reason parse_ip4(struct packet *p, bool trusted)
{
	if (!has(p, p->l3, 20)) {
		return DROP_SHORT;
	}
	const uint8_t *h = p->data + p->l3;
	uint32_t size = (uint32_t)(h[0] & 0xf) * 4, total = read16(h + 2);
	uint16_t fragment = read16(h + 6);

	if (h[0] >> 4 != 4 || size < 20) {
		return DROP_IP_HEADER;
	}
	if (total < size || total > p->size - p->l3) {
		return DROP_LENGTH;
	}
	if (!has(p, p->l3, size)) {
		return DROP_SHORT;
	}
	if (!trusted && !checksum_is_right(h, size)) {
		return DROP_IP_HEADER;
	}
	if (!options_are_harmless(h + 20, size - 20)) {
		return DROP_IP_OPTION;
	}
	if (!source4_is_possible(h + 12)) {
		return DROP_IP_ADDRESS;
	}
	p->l3_size = (uint16_t)total;
	p->l4 = (uint16_t)(p->l3 + size);
	p->ttl = h[8];
	p->key.ip = 4;
	p->key.proto = h[9];
	p->key.src = raw32(h + 12);
	p->key.dst = raw32(h + 16);
	enum drop_reason r = parse_fragment(p, (uint32_t)(fragment & 0x1fff) * 8, total - size,
					    (fragment & 0x2000) != 0, read16(h + 4));
	return r != DROP_NONE ? r : parse_l4(p);
}

/* ---- IPv6 ---- */

/* What one extension header says. `next` and `at` move on; false where it is malformed. */
static enum drop_reason parse_extension(struct packet *p, uint8_t *next, uint32_t *at)
{
	const uint8_t *x = p->data + *at;
	uint32_t size = 8;

	if (!has(p, *at, 8) || rest(p, *at) < 8) {
		return DROP_SHORT;
	}
	if (*next == PROTO_AUTHENTICATION) {
		size = (uint32_t)(x[1] + 2) * 4;
	} else if (*next != PROTO_FRAGMENT) {
		size = (uint32_t)(x[1] + 1) * 8;
	}
	if (size > rest(p, *at)) {
		return DROP_LENGTH;
	}
	if (*next == PROTO_ROUTING && x[2] == 0) {
		return DROP_IP6_EXTENSION; /* RFC 5095 */
	}
	if (*next == PROTO_FRAGMENT) {
		if ((p->flags & PACKET_FRAGMENT) != 0) {
			return DROP_FRAGMENT;
		}
		uint16_t where = read16(x + 2);
		p->key.proto = x[0];
		enum drop_reason r = parse_fragment(p, where & 0xfff8u, rest(p, *at + 8),
						    (where & 1) != 0, read32(x + 4));
		if (r != DROP_NONE) {
			return r;
		}
	}
	*next = x[0];
	*at += size;
	return DROP_NONE;
}

static bool is_extension(uint8_t proto)
{
	return proto == PROTO_HOP_BY_HOP || proto == PROTO_ROUTING || proto == PROTO_FRAGMENT ||
	       proto == PROTO_AUTHENTICATION || proto == PROTO_OPTIONS;
}

/* Follows the chain to the upper layer; RFC 8200 §4. */
static enum drop_reason parse_extensions(struct packet *p, uint8_t next)
{
	uint32_t at = (uint32_t)p->l3 + IP6_SIZE;

	for (int n = 0; is_extension(next) && (p->flags & PACKET_LATER) == 0; n++) {
		if (n == PACKET_EXTENSIONS_MAX || (next == PROTO_HOP_BY_HOP && n > 0)) {
			return DROP_IP6_EXTENSION;
		}
		enum drop_reason r = parse_extension(p, &next, &at);
		if (r != DROP_NONE) {
			return r;
		}
	}
	p->key.proto = next;
	p->l4 = (uint16_t)at;
	return DROP_NONE;
}

/* RFC 4291 §2.5.3, §2.7: neither groups nor the loopback address send. */
static bool source6_is_possible(const uint8_t *a)
{
	static const uint8_t loopback[16] = { [15] = 1 };

	return a[0] != 0xff && memcmp(a, loopback, sizeof(loopback)) != 0;
}

static enum drop_reason parse_ip6(struct packet *p)
{
	if (!has(p, p->l3, IP6_SIZE)) {
		return DROP_SHORT;
	}
	const uint8_t *h = p->data + p->l3;
	uint32_t total = IP6_SIZE + (uint32_t)read16(h + 4);

	if (h[0] >> 4 != 6) {
		return DROP_IP_HEADER;
	}
	if (total > p->size - p->l3) {
		return DROP_LENGTH;
	}
	if (!source6_is_possible(h + 8)) {
		return DROP_IP_ADDRESS;
	}
	p->l3_size = (uint16_t)MIN(total, (uint32_t)UINT16_MAX);
	p->ttl = h[7];
	p->key.ip = 6;
	memcpy(p->key.src_high, h + 8, 12);
	memcpy(p->key.dst_high, h + 24, 12);
	p->key.src = raw32(h + 20);
	p->key.dst = raw32(h + 36);
	enum drop_reason r = parse_extensions(p, h[6]);
	return r != DROP_NONE ? r : parse_l4(p);
}

/* ---- the frame ---- */

static enum drop_reason parse_arp(struct packet *p)
{
	static const uint8_t kind[6] = { 0, 1, 8, 0, 6, 4 }; /* Ethernet, IPv4; RFC 826 */

	if (!has(p, p->l3, ARP_SIZE)) {
		return DROP_SHORT;
	}
	if (memcmp(p->data + p->l3, kind, sizeof(kind)) != 0) {
		return DROP_LENGTH;
	}
	p->flags |= PACKET_NEIGHBOR;
	return DROP_NONE;
}

static enum drop_reason parse_l3(struct packet *p, bool trusted)
{
	switch (p->ether_type) {
	case TYPE_IP4:
		return parse_ip4(p, trusted);
	case TYPE_IP6:
		return parse_ip6(p);
	case TYPE_ARP:
		return parse_arp(p);
	case TYPE_TAG:
	case TYPE_SERVICE_TAG:
		return DROP_VLAN; /* a stack of tags */
	default:
		return DROP_NONE;
	}
}

enum drop_reason packet_parse(struct packet *p, const uint8_t *data, uint16_t head, uint32_t size,
			      bool trusted)
{
	*p = (struct packet){
		.data = data, .head = head, .size = size, .wire_size = size, .vlan = PACKET_NO_VLAN
	};
	p->l3 = ETHER_SIZE;
	if (head > size || !has(p, 0, ETHER_SIZE)) {
		return DROP_SHORT;
	}
	p->ether_type = read16(data + 12);
	if (p->ether_type == TYPE_TAG || p->ether_type == TYPE_SERVICE_TAG) {
		if (!has(p, 0, ETHER_SIZE + TAG_SIZE)) {
			return DROP_SHORT;
		}
		p->vlan = read16(data + 14) & 0xfff;
		p->ether_type = read16(data + 16);
		p->l3 = ETHER_SIZE + TAG_SIZE;
		if (read16(data + 12) == TYPE_SERVICE_TAG) {
			return DROP_VLAN; /* a provider's, in which others are stacked */
		}
	}
	if ((data[0] & 1) != 0) {
		p->flags |= PACKET_MULTICAST;
	}
	if ((data[6] & 1) != 0) {
		return DROP_GUARD_MAC; /* no station sends from a group address */
	}
	return parse_l3(p, trusted);
}

bool packet_has_connection(const struct packet *p)
{
	bool has_no_ports = (p->flags & (PACKET_LATER | PACKET_JOINED)) == PACKET_LATER;
	uint8_t to[16];

	if (p->key.ip == 0 || has_no_ports ||
	    (p->flags & (PACKET_NEIGHBOR | PACKET_RA | PACKET_ICMP_ERROR)) != 0) {
		return false;
	}
	if (p->key.ip == 4) {
		memcpy(to, &p->key.dst, 4);
		return source4_is_possible(to);
	}
	memcpy(to, p->key.dst_high, 12);
	memcpy(to + 12, &p->key.dst, 4);
	return source6_is_possible(to);
}

/* ---- neighbours ---- */

/* The link-layer address option of that type; false where the options are malformed. */
static bool option_mac(const uint8_t *o, uint32_t n, uint8_t type, uint8_t mac[6])
{
	for (uint32_t i = 0; i < n;) {
		uint32_t size = i + 1 < n ? (uint32_t)o[i + 1] * 8 : 0;
		if (size == 0 || i + size > n) {
			return false;
		}
		if (o[i] == type) {
			memcpy(mac, o + i + 2, 6);
		}
		i += size;
	}
	return true;
}

static bool neighbor6(const struct packet *p, struct packet_neighbor *out)
{
	const uint8_t *m = p->data + p->l4;
	uint32_t n = MIN(rest(p, p->l4), (uint32_t)p->head - p->l4) - NEIGHBOR_SIZE;

	out->ip = 6;
	out->is_request = m[0] == 135;
	memcpy(out->target, m + 8, 16);
	/* An advertisement claims its target; a solicitation its source. */
	memcpy(out->sender, out->is_request ? p->data + p->l3 + 8 : m + 8, 16);
	return (m[8] != 0xff) &&
	       option_mac(m + NEIGHBOR_SIZE, n, out->is_request ? 1 : 2, out->mac);
}

static bool neighbor4(const struct packet *p, struct packet_neighbor *out)
{
	const uint8_t *a = p->data + p->l3;
	uint16_t operation = read16(a + 6);

	out->ip = 4;
	out->is_request = operation == 1;
	memcpy(out->mac, a + 8, 6);
	memcpy(out->sender, a + 14, 4);
	memcpy(out->target, a + 24, 4);
	return operation == 1 || operation == 2;
}

bool packet_neighbor(const struct packet *p, struct packet_neighbor *out)
{
	*out = (struct packet_neighbor){ 0 };
	return p->ether_type == TYPE_ARP ? neighbor4(p, out) : neighbor6(p, out);
}
