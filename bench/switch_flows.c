/* SPDX-License-Identifier: Apache-2.0 */
#include "switch_flows.h"

#include <endian.h>
#include <string.h>

enum {
	ETHERNET = 14,
	IP_AT = ETHERNET,
	L4_AT = ETHERNET + 20,
	FLAGS_AT = L4_AT + 13,
	MARK_AT = FRAME_SIZE - 4, /* after what a TCP segment without data fills */
};

static const uint32_t mark = 0x5ee0d1ce;
static const uint32_t outer_net = 0xac100000; /* 172.16.0.0: .1 is the switch, .2 is side B */
static const uint8_t macs[2][6] = { { 2, 0, 0, 0, 0x0a, 1 }, { 2, 0, 0, 0, 0x0b, 1 } };
static const uint8_t tunnel_macs[2][6] = { { 2, 0, 0, 0, 0x0c, 1 }, { 2, 0, 0, 0, 0x0c, 2 } };
static const uint16_t services[16] = { 443,  80,   22,	 3306,	5432, 6379,  8080,  8443,
				       9092, 2379, 6443, 10250, 9200, 27017, 11211, 53 };

static uint8_t frames[FRAME_KINDS][2][FRAME_SIZE];
static uint32_t ip_sums[FRAME_KINDS], tcp_sums[FRAME_KINDS];
static uint8_t outer[TUNNEL_SIZE];

/* ---- bytes ---- */

static void put16(uint8_t *at, uint16_t v)
{
	v = htobe16(v);
	memcpy(at, &v, sizeof v);
}

static void put32(uint8_t *at, uint32_t v)
{
	v = htobe32(v);
	memcpy(at, &v, sizeof v);
}

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static uint32_t sum16(const uint8_t *at, int n)
{
	uint32_t sum = 0;

	for (int i = 0; i < n; i += 2)
		sum += get16(at + i);
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* ---- rules and flows ---- */

/* Of eight rules four are of two /24, two have a /20, one any source, one two hosts. */
struct flow_rule flow_rule(uint32_t number, uint32_t n_rules)
{
	uint32_t shape = n_rules < 8 ? 0 : number & 7, net = (number * 7) & 255;
	struct flow_rule r = {
		.source = 0x0a010000 + (net << 8),
		.source_length = 24,
		.destination = 0x0a020000 + ((number >> 10) << 16) + ((number & 255) << 8),
		.destination_length = 24,
		.port = services[((number >> 8) * 4 + (number & 3)) & 15],
	};

	if (shape == 4 || shape == 5) {
		r.source = 0x0a010000 + ((net & 0xf0) << 8);
		r.source_length = 20;
	} else if (shape == 6) {
		r.source = 0x0a010000;
		r.source_length = 0;
		r.destination |= 1 + number % 250;
		r.destination_length = 32;
	} else if (shape == 7) {
		r.source |= 1 + number % 250;
		r.source_length = 32;
		r.destination |= 1 + (number * 5) % 250;
		r.destination_length = 32;
	}
	return r;
}

struct tuple flow_tuple(uint64_t number, uint32_t n_rules)
{
	struct flow_rule r = flow_rule((uint32_t)(number % n_rules), n_rules);
	uint32_t turn = (uint32_t)(number / n_rules);
	uint32_t host_bits = r.source_length == 0 ? 16 : 32 - r.source_length;

	return (struct tuple){
		.client = r.source + (turn & ((1u << host_bits) - 1)),
		.client_port = (uint16_t)(1024 + (turn >> host_bits) % 64000),
		.server = r.destination_length == 32 ? r.destination
						     : r.destination + 1 + ((turn >> 2) & 63),
		.server_port = r.port,
	};
}

/* ---- templates ---- */

static void prepare_tcp(uint8_t *at, enum frame_kind kind)
{
	static const struct {
		uint8_t flags;
		uint16_t sequence, acknowledged;
	} of[FRAME_KINDS] = {
		[FRAME_SYN] = { 0x02, 1000, 0 },	[FRAME_SYN_ACK] = { 0x12, 2000, 1001 },
		[FRAME_ACK] = { 0x10, 1001, 2001 },	[FRAME_FIN] = { 0x11, 1001, 2001 },
		[FRAME_FIN_ACK] = { 0x11, 2001, 1002 }, [FRAME_LAST_ACK] = { 0x10, 1002, 2002 },
	};

	put32(at + L4_AT + 4, of[kind].sequence);
	put32(at + L4_AT + 8, of[kind].acknowledged);
	at[L4_AT + 12] = 0x50;
	at[FLAGS_AT] = of[kind].flags;
	put16(at + L4_AT + 14, 65000);
	tcp_sums[kind] = sum16(at + L4_AT + 4, 12) + 6 + 20;
}

static void prepare_frame(uint8_t *at, enum frame_kind kind, int from)
{
	bool udp = kind == FRAME_UDP;

	memcpy(at, macs[!from], 6);
	memcpy(at + 6, macs[from], 6);
	put16(at + 12, 0x0800);
	at[IP_AT] = 0x45;
	put16(at + IP_AT + 2, udp ? FRAME_SIZE - ETHERNET : 40);
	put16(at + IP_AT + 6, 0x4000);
	at[IP_AT + 8] = 64;
	at[IP_AT + 9] = udp ? 17 : 6;
	ip_sums[kind] = sum16(at + IP_AT, 20);
	if (udp)
		put16(at + L4_AT + 4, FRAME_SIZE - L4_AT);
	else
		prepare_tcp(at, kind);
	memcpy(at + MARK_AT, &mark, sizeof mark);
}

void flows_prepare(void)
{
	for (int kind = 0; kind < FRAME_KINDS; kind++)
		for (int from = SIDE_A; from <= SIDE_B; from++)
			prepare_frame(frames[kind][from], (enum frame_kind)kind, from);
	memcpy(outer, tunnel_macs[SIDE_A], 6);
	memcpy(outer + 6, tunnel_macs[SIDE_B], 6);
	put16(outer + 12, 0x0800);
	outer[IP_AT] = 0x45;
	put16(outer + IP_AT + 2, TUNNEL_SIZE - ETHERNET + FRAME_SIZE);
	put16(outer + IP_AT + 6, 0x4000);
	outer[IP_AT + 8] = 64;
	outer[IP_AT + 9] = 17;
	put32(outer + IP_AT + 12, outer_net + 2);
	put32(outer + IP_AT + 16, outer_net + 1);
	put16(outer + IP_AT + 10, fold(sum16(outer + IP_AT, 20)));
	put16(outer + L4_AT + 2, 6081);
	put16(outer + L4_AT + 4, 16 + FRAME_SIZE);
	put16(outer + L4_AT + 10, 0x6558);
	put32(outer + L4_AT + 12, GENEVE_VNI << 8);
}

/* ---- frames ---- */

size_t frame_write(uint8_t *at, enum frame_kind kind, int from, const struct tuple *t, bool tunnel)
{
	uint32_t source = from == SIDE_A ? t->client : t->server;
	uint32_t destination = from == SIDE_A ? t->server : t->client;
	uint16_t source_port = from == SIDE_A ? t->client_port : t->server_port;
	uint16_t destination_port = from == SIDE_A ? t->server_port : t->client_port;
	uint32_t sum;

	if (tunnel) {
		memcpy(at, outer, TUNNEL_SIZE);
		put16(at + L4_AT,
		      0xc000 | ((t->client_port ^ t->client ^ (t->server << 3)) & 0x3fff));
		at += TUNNEL_SIZE;
	}
	memcpy(at, frames[kind][from], FRAME_SIZE);
	put32(at + IP_AT + 12, source);
	put32(at + IP_AT + 16, destination);
	sum = (source >> 16) + (source & 0xffff) + (destination >> 16) + (destination & 0xffff);
	put16(at + IP_AT + 10, fold(ip_sums[kind] + sum));
	put16(at + L4_AT, source_port);
	put16(at + L4_AT + 2, destination_port);
	if (kind != FRAME_UDP)
		put16(at + L4_AT + 16, fold(tcp_sums[kind] + sum + source_port + destination_port));
	return FRAME_SIZE + (tunnel ? TUNNEL_SIZE : 0);
}

bool frame_is_ours(const uint8_t *at, size_t size)
{
	return size >= FRAME_SIZE && memcmp(at + size - sizeof mark, &mark, sizeof mark) == 0;
}

uint8_t frame_read(const uint8_t *at, int from, struct tuple *t)
{
	const uint8_t *client = at + IP_AT + (from == SIDE_A ? 12 : 16);
	const uint8_t *server = at + IP_AT + (from == SIDE_A ? 16 : 12);

	t->client = get32(client);
	t->server = get32(server);
	t->client_port = get16(at + L4_AT + (from == SIDE_A ? 0 : 2));
	t->server_port = get16(at + L4_AT + (from == SIDE_A ? 2 : 0));
	return at[FLAGS_AT];
}

void frame_announce(uint8_t *at, int side, bool tunnel)
{
	bool underlay = tunnel && side == SIDE_B;
	const uint8_t *mac = underlay ? tunnel_macs[side] : macs[side];
	uint32_t address = underlay ? outer_net + 2 : side == SIDE_A ? 0x0a010001 : 0x0a020001;

	memset(at, 0, FRAME_SIZE);
	memset(at, 0xff, 6);
	memcpy(at + 6, mac, 6);
	put16(at + 12, 0x0806);
	put16(at + 14, 1);
	put16(at + 16, 0x0800);
	at[18] = 6;
	at[19] = 4;
	put16(at + 20, 1);
	memcpy(at + 22, mac, 6);
	put32(at + 28, address);
	put32(at + 38, address);
}
