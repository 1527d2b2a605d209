/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a frame says: one walk over its headers that believes nothing, and leaves offsets and the
 * connection's key. No buffer of any driver is known here: bytes in, facts out, so that workers,
 * `explain`, capture and the fuzzer read frames by the same code.
 *
 * Sources: IEEE 802.1Q, RFC 791, RFC 8200, RFC 9293, RFC 768, RFC 792, RFC 4443, RFC 826,
 * RFC 4861. Multi-byte fields of struct packet are in the machine's order unless said otherwise;
 * those of struct flow_key are in network order. Any thread.
 */
#ifndef SWITCH_PACKET_H
#define SWITCH_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "switch/reason.h"

enum {
	PACKET_HEADERS_MAX = 256,  /* bytes from the start within which all headers must lie */
	PACKET_EXTENSIONS_MAX = 8, /* IPv6 extension headers */
	PACKET_NO_VLAN = 0xffff,
};

/* Identity of one direction of a connection where it comes in. ICMP echo: a request has its
 * identifier as sport, and type << 8 | code as dport; its reply has the same, exchanged, as
 * answers have. Other ICMP has type and code as dport; other protocols have no ports: 0. */
struct flow_key {
	uint32_t src, dst; /* IPv4, or the last 32 bits of IPv6 */
	uint16_t sport, dport;
	uint16_t iface; /* index, machine's order; see tables.h */
	uint8_t proto;
	uint8_t ip;			   /* 4 or 6 */
	uint32_t src_high[3], dst_high[3]; /* IPv6: the first 96 bits; else undefined */
};

enum packet_flag {
	PACKET_MULTICAST = 1 << 0, /* destination MAC, broadcast included */
	PACKET_FRAGMENT = 1 << 1,  /* of an IP packet, also the first one */
	PACKET_LATER = 1 << 2,	   /* a fragment that is not the first: no ports */
	PACKET_DHCP_REPLY = 1 << 3,
	PACKET_RA = 1 << 4,	    /* router advertisement, or a redirect of either family */
	PACKET_NEIGHBOR = 1 << 5,   /* ARP, or IPv6 neighbour solicitation or advertisement */
	PACKET_ICMP_ERROR = 1 << 6, /* carries the head of another packet: inner is its key */
	PACKET_REPLY = 1 << 7,	    /* ICMP echo reply: opens no connection */
	PACKET_JOINED = 1 << 8,	    /* a later fragment whose first one is known: has its ports */
};

struct packet {
	const uint8_t *data; /* the frame's first bytes, contiguous; borrowed */
	uint32_t size;	     /* of the whole frame */
	uint32_t wire_size;  /* of the largest frame that it is cut into; else the same */
	uint16_t head;	     /* contiguous bytes at data */
	uint16_t vlan;	     /* identifier of the outermost tag, or PACKET_NO_VLAN */
	uint16_t ether_type; /* behind the tag */
	uint16_t l3, l4;     /* offsets; l4 0: none */
	uint16_t payload;    /* offset behind the TCP, UDP or ICMP header */
	uint16_t l3_size;    /* bytes from l3 that IP says there are */
	uint16_t flags;	     /* enum packet_flag */
	uint8_t tcp_flags;
	uint8_t ttl;
	uint32_t fragment_id;
	uint16_t fragment_at, fragment_size; /* bytes of the datagram */
	bool fragment_is_last;
	struct flow_key key;   /* .ip 0: not IP; .iface is the caller's to set */
	struct flow_key inner; /* of an ICMP error: the packet it speaks of, as that was sent */
};

/* ARP, or a neighbour solicitation or advertisement: who claims and asks what. */
struct packet_neighbor {
	bool is_request;
	uint8_t ip;	    /* 4 or 6 */
	uint8_t mac[6];	    /* of the claim; all zero: none */
	uint8_t sender[16]; /* address that is claimed; IPv4 in the first four */
	uint8_t target[16];
};

/* Reads a frame of `size` bytes, `head` of them at data. DROP_NONE, or why it is no good: then
 * only data, size, head and vlan are set. IPv4 header checksums are verified unless `trusted`
 * (the port's driver did); L4 checksums are not: hosts own those. */
enum drop_reason packet_parse(struct packet *p, const uint8_t *data, uint16_t head, uint32_t size,
			      bool trusted);

/* May the packet begin a connection, or belong to one by its key? Not what hosts of a link need to
 * find each other, which is looked at each time, nor what has no ports, is about another packet, or
 * goes where no answer can come from. */
bool packet_has_connection(const struct packet *p);

/* Of a packet with PACKET_NEIGHBOR; false where it is malformed. */
bool packet_neighbor(const struct packet *p, struct packet_neighbor *out);

/* Is the checksum of an IPv4 header without options right? RFC 1071: in any order of bytes. */
static inline bool packet_ip4_is_right(const uint8_t header[20])
{
	uint64_t a, b, sum;
	uint32_t c;

	memcpy(&a, header, 8);
	memcpy(&b, header + 8, 8);
	memcpy(&c, header + 16, 4);
	sum = (a >> 32) + (a & 0xffffffff) + (b >> 32) + (b & 0xffffffff) + c;
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return sum == 0xffff;
}

/* ---- keys ---- */

static inline uint64_t flow_key_fold(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && offsetof(struct flow_key, ip) == 15,
	       "the words of a key");

/* A key without its high halves is two words: the addresses; ports, iface, proto and ip. Who makes
 * one in a hurry writes words, since what is written by halves cannot be read whole at once. */
static inline void flow_key_set(struct flow_key *k, uint64_t addresses, uint32_t ports,
				uint16_t iface, uint8_t proto, uint8_t ip)
{
	uint64_t rest = (uint64_t)ip << 56 | (uint64_t)proto << 48 | (uint64_t)iface << 32 | ports;

	memcpy(k, &addresses, 8);
	memcpy((char *)k + 8, &rest, 8);
}

/* `seed` is a secret of the table, so that nobody can choose keys that fall together. Any of the
 * lower bits may choose a way: keys that differ by a count, as the ports of one client's
 * connections do, are spread evenly, which one multiplication does not see to for every seed. */
static inline uint64_t flow_key_hash(const struct flow_key *k, uint64_t seed)
{
	uint64_t a, b;

	memcpy(&a, k, 8);
	memcpy(&b, (const char *)k + 8, 8);
	uint64_t h = flow_key_fold(a ^ seed, b ^ 0x9e3779b97f4a7c15u);
	if (b >> 56 == 6) {
		uint64_t v[3];
		memcpy(v, k->src_high, sizeof(v));
		h = flow_key_fold(h ^ v[0], v[1] ^ ~seed) ^ v[2]; /* guests choose v */
	}
	h = flow_key_fold(h, seed | 1);
	return h ^ (h >> 32);
}

static inline bool flow_key_equal(const struct flow_key *a, const struct flow_key *b)
{
	return memcmp(a, b, a->ip == 6 ? sizeof(*a) : offsetof(struct flow_key, src_high)) == 0;
}

/* The other direction, as it comes in on `iface`. */
static inline void flow_key_turn(const struct flow_key *k, uint16_t iface, struct flow_key *out)
{
	uint64_t a, b;

	memcpy(&a, k, 8);
	memcpy(&b, (const char *)k + 8, 8);
	flow_key_set(out, a << 32 | a >> 32,
		     (uint32_t)(b << 16 & 0xffff0000) | (uint32_t)(b >> 16 & 0xffff), iface,
		     (uint8_t)(b >> 48), (uint8_t)(b >> 56));
	if (b >> 56 == 6) {
		memcpy(out->src_high, k->dst_high, sizeof(out->src_high));
		memcpy(out->dst_high, k->src_high, sizeof(out->dst_high));
	}
}

static inline struct flow_key flow_key_reverse(const struct flow_key *k, uint16_t iface)
{
	struct flow_key r = { 0 };

	flow_key_turn(k, iface, &r);
	return r;
}

#endif
