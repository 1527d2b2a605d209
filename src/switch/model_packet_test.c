/* SPDX-License-Identifier: Apache-2.0 */
/* Random packets: bytes, and what they are. */
#include "switch/model_test.h"

#include <string.h>

#include "base/macro.h"

enum {
	FIN = 1,
	SYN = 2,
	RST = 4,
	ACK = 16,
};

/* What is known of a packet while its bytes are made. */
struct maker {
	struct model *m;
	const struct m_policy *p;
	struct rng *r;
	struct m_packet *out;
	int segment;	   /* that it comes in on, or a guess */
	size_t l3, l4;	   /* offsets */
	size_t n_data;	   /* bytes behind the headers */
	uint8_t options;   /* bytes of IPv4 options */
	uint8_t extension; /* IPv6: hop-by-hop or destination options; 0: none */
};

static int below(struct rng *r, int n)
{
	return (int)rng_below(r, (uint32_t)n);
}

static void set16(struct m_packet *p, size_t at, uint32_t v)
{
	p->bytes[at] = (uint8_t)(v >> 8);
	p->bytes[at + 1] = (uint8_t)v;
}

static void set32(struct m_packet *p, size_t at, uint32_t v)
{
	set16(p, at, v >> 16);
	set16(p, at + 2, v);
}

static uint32_t sum_of(const uint8_t *b, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		sum += (uint32_t)b[i] << (i % 2 == 0 ? 8 : 0);
	}
	while (sum >> 16 != 0) {
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static void seal_ip4(struct m_packet *p, size_t l3)
{
	size_t n = (p->bytes[l3] & 15u) * 4u;

	set16(p, l3 + 10, 0);
	set16(p, l3 + 10, ~sum_of(p->bytes + l3, n) & 0xffff);
}

/* ---- layers ---- */

static void put_ether(struct maker *k, int type)
{
	struct m_packet *p = k->out;
	size_t at = 12;

	memcpy(p->bytes, p->to_mac, 6);
	memcpy(p->bytes + 6, p->from_mac, 6);
	if (p->vlan != M_NO) {
		set16(p, 12, 0x8100);
		set16(p, 14, (uint32_t)p->vlan | (uint32_t)below(k->r, 8) << 13);
		at = 16;
	}
	set16(p, at, (uint32_t)type);
	k->l3 = at + 2;
	p->size = k->l3;
}

/* An IP header before `size` bytes of the protocol in the key. */
static void put_ip(struct maker *k, size_t size)
{
	struct m_packet *p = k->out;
	size_t l3 = k->l3;

	if (p->key.ip == 4) {
		size_t header = 20 + (size_t)k->options;
		p->bytes[l3] = (uint8_t)(0x40 | header / 4);
		memset(p->bytes + l3 + 20, 1, k->options);
		set16(p, l3 + 2, (uint32_t)(header + size));
		p->bytes[l3 + 8] = (uint8_t)p->ttl;
		p->bytes[l3 + 9] = (uint8_t)p->key.proto;
		memcpy(p->bytes + l3 + 12, p->key.from.bytes, 4);
		memcpy(p->bytes + l3 + 16, p->key.to.bytes, 4);
		seal_ip4(p, l3);
		k->l4 = l3 + header;
	} else {
		size_t more = k->extension != 0xff ? 8 : 0;
		p->bytes[l3] = 0x60;
		set16(p, l3 + 4, (uint32_t)(more + size));
		p->bytes[l3 + 6] = (uint8_t)(more != 0 ? k->extension : p->key.proto);
		p->bytes[l3 + 7] = (uint8_t)p->ttl;
		memcpy(p->bytes + l3 + 8, p->key.from.bytes, 16);
		memcpy(p->bytes + l3 + 24, p->key.to.bytes, 16);
		if (more != 0) {
			p->bytes[l3 + 40] = (uint8_t)p->key.proto;
			p->bytes[l3 + 42] = 1; /* padding */
			p->bytes[l3 + 43] = 4;
		}
		k->l4 = l3 + 40 + more;
	}
	p->l4_at = (int)k->l4;
	p->size = k->l4 + size;
}

static void put_tcp(struct maker *k)
{
	struct m_packet *p = k->out;

	put_ip(k, 20 + k->n_data);
	set16(p, k->l4, (uint32_t)p->key.sport);
	set16(p, k->l4 + 2, (uint32_t)p->key.dport);
	set32(p, k->l4 + 4, p->seq);
	set32(p, k->l4 + 8, p->ack);
	p->bytes[k->l4 + 12] = 0x50;
	p->bytes[k->l4 + 13] = (uint8_t)p->tcp_flags;
	set16(p, k->l4 + 14, p->window);
	p->length = (uint32_t)k->n_data + ((p->tcp_flags & SYN) != 0) + ((p->tcp_flags & FIN) != 0);
}

static void put_udp(struct maker *k)
{
	struct m_packet *p = k->out;

	put_ip(k, 8 + k->n_data);
	set16(p, k->l4, (uint32_t)p->key.sport);
	set16(p, k->l4 + 2, (uint32_t)p->key.dport);
	set16(p, k->l4 + 4, (uint32_t)(8 + k->n_data));
	p->is_dhcp_server = p->key.sport == (p->key.ip == 4 ? 67 : 547);
}

static void put_icmp(struct maker *k, int type, int code, int id)
{
	struct m_packet *p = k->out;
	int request = p->key.ip == 4 ? 8 : 128, reply = p->key.ip == 4 ? 0 : 129;

	put_ip(k, 8 + k->n_data);
	p->bytes[k->l4] = (uint8_t)type;
	p->bytes[k->l4 + 1] = (uint8_t)code;
	set16(p, k->l4 + 4, (uint32_t)id);
	p->icmp_type = type;
	p->is_echo = type == request;
	p->is_reply = type == reply;
	p->key.sport = p->is_echo ? id : p->is_reply ? request << 8 : 0;
	p->key.dport = p->is_reply ? id : type << 8 | code;
	p->is_error = p->key.ip == 4 ? type == 3 || type == 11 || type == 12 : type < 128;
	p->is_advertisement = p->key.ip == 4 ? type == 5 : type == 134 || type == 137;
}

static void put_other(struct maker *k)
{
	struct m_packet *p = k->out;

	put_ip(k, 12 + k->n_data);
	if (p->key.proto == 132) {
		set16(p, k->l4, (uint32_t)p->key.sport);
		set16(p, k->l4 + 2, (uint32_t)p->key.dport);
	} else {
		p->key.sport = p->key.dport = 0;
	}
}

/* The head of the packet of a key, as an error carries it. */
static void put_about(struct maker *k, const struct m_key *about)
{
	struct m_packet *p = k->out;
	size_t at = k->l4 + 8, l4 = at + (about->ip == 4 ? 20 : 40);
	int request = about->ip == 4 ? 8 : 128;
	bool is_icmp = about->proto == (about->ip == 4 ? 1 : 58);

	p->bytes[at] = about->ip == 4 ? 0x45 : 0x60;
	if (about->ip == 4) {
		p->bytes[at + 9] = (uint8_t)about->proto;
		memcpy(p->bytes + at + 12, about->from.bytes, 4);
		memcpy(p->bytes + at + 16, about->to.bytes, 4);
	} else {
		p->bytes[at + 6] = (uint8_t)about->proto;
		memcpy(p->bytes + at + 8, about->from.bytes, 16);
		memcpy(p->bytes + at + 24, about->to.bytes, 16);
	}
	if (!is_icmp) {
		set16(p, l4, (uint32_t)about->sport);
		set16(p, l4 + 2, (uint32_t)about->dport);
	} else if (about->sport == request << 8) {
		p->bytes[l4] = about->ip == 4 ? 0 : 129;
		set16(p, l4 + 4, (uint32_t)about->dport);
	} else {
		set16(p, l4, (uint32_t)about->dport);
		set16(p, l4 + 4, (uint32_t)about->sport);
	}
	p->about = *about;
	int type = about->dport >> 8;
	if (is_icmp && about->sport != request << 8 && type == (about->ip == 4 ? 0 : 129)) {
		p->about.sport = request << 8; /* what such bytes are */
		p->about.dport = about->sport;
	} else if (is_icmp && about->sport != request << 8 && type != request) {
		p->about.sport = 0;
	}
	bool has_ports = about->proto == 6 || about->proto == 17 || about->proto == 132;
	if (!has_ports && !is_icmp) {
		memset(p->bytes + l4, 0, 8);
		p->about.sport = p->about.dport = 0;
	}
}

/* ---- tunnels ---- */

/* Puts a tunnel's header before the frame. */
static void wrap(struct maker *k, const struct address *from, int vni)
{
	struct m_packet *p = k->out;
	const struct m_team *t = &k->p->teams[k->p->ports[p->port].team];
	bool is_4 = t->address.ip == 4, is_tagged = t->vlan != M_NO;
	size_t l3 = is_tagged ? 18 : 14, udp = l3 + (is_4 ? 20 : 40), all = udp + 16;

	memmove(p->bytes + all, p->bytes, p->size);
	memset(p->bytes, 0, all);
	memcpy(p->bytes, t->mac, 6);
	memcpy(p->bytes + 6, "\2\0\0\0\x0a\1", 6);
	if (is_tagged) {
		set16(p, 12, 0x8100);
		set16(p, 14, (uint32_t)t->vlan);
	}
	set16(p, l3 - 2, is_4 ? 0x0800 : 0x86dd);
	set16(p, udp, 55555);
	set16(p, udp + 2, p->tunnel == ENCAP_GENEVE ? 6081 : 4789);
	set16(p, udp + 4, (uint32_t)(16 + p->size));
	if (p->tunnel == ENCAP_GENEVE) {
		set16(p, udp + 10, 0x6558);
	} else {
		p->bytes[udp + 8] = 8;
	}
	set32(p, udp + 12, (uint32_t)vni << 8);
	if (is_4) {
		p->bytes[l3] = 0x45;
		set16(p, l3 + 2, (uint32_t)(36 + p->size));
		p->bytes[l3 + 8] = 64;
		p->bytes[l3 + 9] = 17;
		memcpy(p->bytes + l3 + 12, from->bytes, 4);
		memcpy(p->bytes + l3 + 16, t->address.bytes, 4);
		seal_ip4(p, l3);
	} else {
		p->bytes[l3] = 0x60;
		set16(p, l3 + 4, (uint32_t)(16 + p->size));
		p->bytes[l3 + 6] = 17;
		p->bytes[l3 + 7] = 64;
		memcpy(p->bytes + l3 + 8, from->bytes, 16);
		memcpy(p->bytes + l3 + 24, t->address.bytes, 16);
	}
	p->is_tunnel_good = true;
	p->inner_at = all;
	p->size += all;
	if (rng_chance(k->r, 3)) {
		p->is_tunnel_good = false;
		p->bytes[p->tunnel == ENCAP_GENEVE ? udp + 10 : udp + 8] = 0;
	}
}

static void enter_tunnel(struct maker *k)
{
	struct m_packet *p = k->out;
	int team = k->p->ports[p->port].team;
	struct address from = k->p->endpoints[team][p->endpoint];

	/* An endpoint that nothing speaks of, or an identifier of no segment. */
	bool is_known = false;
	for (int s = 0; s < k->p->n_segments; s++) {
		const struct m_segment *g = &k->p->segments[s];
		for (int i = 0; g->kind != ENCAP_VLAN && g->team == team && i < g->n_flood; i++) {
			is_known |= g->flood[i] == p->endpoint;
		}
		for (int i = 0; g->kind != ENCAP_VLAN && g->team == team && i < g->n_remotes; i++) {
			is_known |= g->remotes[i].endpoint == p->endpoint;
		}
	}
	int vni = k->p->segments[p->tunnel_segment].vni;
	if (!is_known) {
		p->endpoint = M_NO;
	}
	if (rng_chance(k->r, 4)) {
		const struct m_segment *other = &k->p->segments[below(k->r, k->p->n_segments)];
		vni = other->team != team && other->vni != 0 ? other->vni : 77;
		p->tunnel_segment = M_NO;
	}
	wrap(k, &from, vni);
}

/* ---- choosing ---- */

static void random_mac(struct rng *r, uint8_t mac[6])
{
	memcpy(mac, "\2\0\0\0\x09", 5);
	mac[5] = (uint8_t)below(r, 8);
}

static struct address some_address(struct maker *k, int ip)
{
	const struct m_policy *p = k->p;
	static const char *const special[2][6] = {
		{ "224.0.0.5", "255.255.255.255", "10.1.0.255", "169.254.1.1", "192.0.2.9",
		  "10.77.0.1" },
		{ "ff02::1", "ff0e::5", "fe80::1", "fe80::77", "2001:db8::9", "fd00:77::1" },
	};
	int choice = below(k->r, 100);

	if (choice < 55) {
		const struct m_port *g = &p->ports[below(k->r, p->n_ports)];
		const struct address *a = &g->addresses[below(k->r, M_ADDRESSES)];
		if (a->ip == ip) {
			return *a;
		}
	} else if (choice < 70) {
		const struct m_segment *s = &p->segments[below(k->r, p->n_segments)];
		if (s->n_remotes > 0) {
			return s->remotes[0].addresses[ip == 6];
		}
	} else if (choice < 80) {
		const struct m_segment *s = &p->segments[below(k->r, p->n_segments)];
		if (s->n_gateways > (ip == 6)) {
			return s->gateways[ip == 6].address;
		}
	} else if (choice < 92) {
		struct address a = m_address(ip == 4 ? "192.0.2.1" : "2001:db8::1");
		a.bytes[ip == 4 ? 3 : 15] = (uint8_t)(1 + below(k->r, 4));
		return a;
	}
	return m_address(special[ip == 6][below(k->r, 6)]);
}

static void choose_target_mac(struct maker *k)
{
	const struct m_policy *p = k->p;
	uint8_t *mac = k->out->to_mac;
	int choice = below(k->r, 100), router = p->segments[k->segment].router;
	const struct m_segment *s = &p->segments[k->segment];

	if (choice < 40 && router != M_NO) {
		memcpy(mac, p->routers[router].mac, 6);
	} else if (choice < 70) {
		const struct m_port *g = &p->ports[below(k->r, p->n_ports)];
		memcpy(mac, g->team == M_NO ? g->mac : (const uint8_t *)"\2\0\0\0\x09\1", 6);
	} else if (choice < 82 && s->n_remotes > 0) {
		memcpy(mac, s->remotes[below(k->r, s->n_remotes)].mac, 6);
	} else if (choice < 88) {
		random_mac(k->r, mac);
	} else if (choice < 94) {
		memset(mac, 0xff, 6);
	} else if (choice < 98) {
		memcpy(mac, "\x01\0\x5e\0\0\5", 6);
	} else {
		memcpy(mac, "\x01\x80\xc2\0\0\x0e", 6);
	}
}

/* Where it comes in, and the addresses that who is there has. */
static void choose_guest(struct maker *k, int port)
{
	const struct m_port *g = &k->p->ports[port];
	struct m_packet *p = k->out;

	p->port = port;
	p->vlan = M_NO;
	k->segment = g->segment == M_NO ? 0 : g->segment;
	if (g->n_trunk > 0 && rng_chance(k->r, 60)) {
		int t = below(k->r, g->n_trunk);
		p->vlan = g->trunk[t].vlan;
		k->segment = g->trunk[t].segment;
	} else if (rng_chance(k->r, 4)) {
		p->vlan = rng_chance(k->r, 50) ? 0 : 4 + below(k->r, 10);
	}
	memcpy(p->from_mac, g->mac, 6);
	if (rng_chance(k->r, 6)) {
		random_mac(k->r, p->from_mac);
	}
}

static void choose_uplink(struct maker *k, int port)
{
	struct m_packet *p = k->out;
	int team = k->p->ports[port].team;

	p->port = port;
	p->vlan = M_NO;
	k->segment = below(k->r, k->p->n_segments);
	random_mac(k->r, p->from_mac);
	const struct m_segment *s = &k->p->segments[k->segment];
	if (s->team != team) {
		p->vlan = rng_chance(k->r, 50) ? M_NO : below(k->r, 16);
		return;
	}
	p->vlan = s->vlan;
	if (s->kind != ENCAP_VLAN) {
		p->vlan = rng_chance(k->r, 3) ? 5 : M_NO;
		p->tunnel = s->kind;
		p->endpoint = below(k->r, M_ENDPOINTS);
		p->tunnel_segment = k->segment;
		if (s->n_remotes > 0 && rng_chance(k->r, 70)) {
			p->endpoint = s->remotes[0].endpoint;
			memcpy(p->from_mac, s->remotes[0].mac, 6);
		}
	} else if (rng_chance(k->r, 3)) {
		p->vlan = 0;
	}
}

static void choose_source(struct maker *k, int ip)
{
	struct m_packet *p = k->out;
	const struct m_port *g = &k->p->ports[p->port];
	const struct m_segment *s = &k->p->segments[k->segment];

	p->key.from = some_address(k, ip);
	if (p->key.from.bytes[0] >= 224 && p->key.from.bytes[0] != 0xfd &&
	    p->key.from.bytes[0] != 0xfe) { /* what nobody sends from is for spoil() */
		p->key.from = m_address(ip == 4 ? "192.0.2.3" : "2001:db8::3");
	}
	if (g->team == M_NO && rng_chance(k->r, 88)) {
		p->key.from = g->addresses[ip == 6];
	} else if (p->tunnel != ENCAP_NONE && s->n_remotes > 0 && rng_chance(k->r, 80)) {
		p->key.from = s->remotes[0].addresses[ip == 6];
	} else if (rng_chance(k->r, 4)) {
		p->key.from = (struct address){ .ip = (uint8_t)ip };
	}
}

/* ---- packets of nobody in particular ---- */

static void make_neighbor4(struct maker *k)
{
	struct m_packet *p = k->out;
	size_t a = k->l3;

	put_ether(k, 0x0806);
	a = k->l3;
	memcpy(p->bytes + a, "\0\1\x08\0\6\4\0", 7);
	p->bytes[a + 7] = p->is_request ? 1 : 2;
	memcpy(p->bytes + a + 8, p->claim_mac, 6);
	memcpy(p->bytes + a + 14, p->claim.bytes, 4);
	memcpy(p->bytes + a + 24, p->target.bytes, 4);
	p->has_claim_mac = true;
	p->size = a + 28;
}

/* An advertisement claims its target; it may leave out the MAC address. */
static void make_neighbor6(struct maker *k)
{
	struct m_packet *p = k->out;

	p->ttl = 255;
	k->extension = 0xff;
	k->n_data = 24;
	p->key.ip = 6;
	p->key.proto = 58;
	p->key.from = p->claim;
	p->key.to = m_address("ff02::1");
	put_ether(k, 0x86dd);
	put_icmp(k, p->is_request ? 135 : 136, 0, 0);
	if (!p->is_request) {
		p->target = p->claim;
	}
	memcpy(p->bytes + k->l4 + 8, p->target.bytes, 16);
	p->has_claim_mac = rng_chance(k->r, 90);
	if (p->has_claim_mac) {
		p->bytes[k->l4 + 24] = p->is_request ? 1 : 2;
		p->bytes[k->l4 + 25] = 1;
		memcpy(p->bytes + k->l4 + 26, p->claim_mac, 6);
	} else {
		p->bytes[k->l4 + 24] = 14; /* an option that nobody minds */
		p->bytes[k->l4 + 25] = 1;
	}
}

static void make_neighbor(struct maker *k, int ip)
{
	struct m_packet *p = k->out;

	p->what = "neighbour";
	p->is_neighbor = true;
	p->is_request = rng_chance(k->r, 65);
	choose_source(k, ip);
	p->claim = p->key.from;
	p->target = some_address(k, ip);
	const struct m_port *g = &k->p->ports[p->port];
	if (g->team != M_NO && rng_chance(k->r, 30) && k->p->teams[g->team].address.ip == ip) {
		p->target = k->p->teams[g->team].address;
	}
	memset(&p->key, 0, sizeof(p->key));
	memcpy(p->claim_mac, p->from_mac, 6);
	if (rng_chance(k->r, 8)) {
		random_mac(k->r, p->claim_mac);
	}
	if (p->claim.bytes[0] == 224 || p->claim.bytes[0] == 255 || p->claim.bytes[0] == 0xff ||
	    p->target.bytes[0] == 0xff) {
		p->claim = p->target = m_address(ip == 4 ? "10.1.0.10" : "fd00:1::a");
	}
	if (ip == 4) {
		make_neighbor4(k);
	} else {
		make_neighbor6(k);
	}
}

static void make_icmp(struct maker *k)
{
	struct m_packet *p = k->out;
	static const int types[2][9] = { { 8, 8, 8, 0, 3, 11, 5, 13, 12 },
					 { 128, 128, 128, 129, 1, 3, 137, 143, 134 } };
	int type = types[p->key.ip == 6][below(k->r, 9)];

	p->key.proto = p->key.ip == 4 ? 1 : 58;
	k->n_data = 48;
	if (type == 134 || type == 137) {
		p->ttl = 255;
	}
	put_icmp(k, type, 0, below(k->r, 4));
	if (p->is_error) {
		struct m_key about = { p->key.ip,	    17, p->key.to, p->key.from,
				       50 + below(k->r, 5), 80 };
		put_about(k, &about);
	}
}

static void make_ip(struct maker *k)
{
	static const int protos[] = { 6, 6, 6, 17, 17, 17, 1, 1, 132, 47 };
	struct m_packet *p = k->out;

	p->key.proto = protos[below(k->r, ARRAY_LEN(protos))];
	p->key.sport = 1000 + below(k->r, 8);
	p->key.dport = 79 + below(k->r, 8);
	put_ether(k, p->key.ip == 4 ? 0x0800 : 0x86dd);
	if (p->key.proto == 6) {
		static const int flags[] = { SYN, SYN, SYN, SYN, ACK, SYN | ACK, RST, FIN | ACK };
		p->tcp_flags = flags[below(k->r, ARRAY_LEN(flags))];
		p->seq = rng_below(k->r, 1u << 31) * 2;
		p->ack = rng_below(k->r, 1u << 31) * 2;
		p->window = 1000 + rng_below(k->r, 60000);
		put_tcp(k);
	} else if (p->key.proto == 17) {
		if (rng_chance(k->r, 8)) {
			p->key.sport = p->key.ip == 4 ? 67 : 547;
		} else if (rng_chance(k->r, 8)) {
			p->key.dport = p->key.ip == 4 ? 67 : 547;
		}
		put_udp(k);
	} else if (p->key.proto == 1) {
		make_icmp(k);
	} else {
		put_other(k);
	}
}

/* Sizes, hops and headers that most packets do not have. */
static void choose_shape(struct maker *k)
{
	struct m_packet *p = k->out;

	p->ttl = rng_chance(k->r, 8) ? below(k->r, 3) : 64;
	k->n_data = rng_chance(k->r, 8) ? (size_t)(1200 + below(k->r, 300)) : rng_below(k->r, 60);
	k->options = rng_chance(k->r, 5) ? 4 : 0;
	k->extension = rng_chance(k->r, 6) ? rng_chance(k->r, 50) ? 0 : 60 : 0xff;
}

static void make_stranger(struct maker *k)
{
	struct m_packet *p = k->out;
	int port = below(k->r, k->p->n_ports), ip = rng_chance(k->r, 62) ? 4 : 6;
	int choice = below(k->r, 100);

	if (k->p->ports[port].team == M_NO) {
		choose_guest(k, port);
	} else {
		choose_uplink(k, port);
	}
	choose_target_mac(k);
	choose_shape(k);
	if (choice < 12) {
		make_neighbor(k, ip);
		return;
	}
	if (choice < 15) {
		p->what = "no IP";
		put_ether(k, 0x1234);
		p->size += 46;
		return;
	}
	p->what = "stranger";
	p->key.ip = ip;
	choose_source(k, ip);
	p->key.to = some_address(k, ip);
	for (int i = 0; i < k->p->n_ports && rng_chance(k->r, 80); i++) {
		const struct m_port *g = &k->p->ports[i];
		if (g->team == M_NO && memcmp(g->mac, p->to_mac, 6) == 0) {
			p->key.to = g->addresses[ip == 6];
		}
	}
	make_ip(k);
}

/* ---- packets of connections ---- */

/* A frame from the end of a connection: where it is, and what it bears. */
static void be_at(struct maker *k, const struct m_flow *f, unsigned d)
{
	struct m_packet *p = k->out;
	int port;

	k->segment = model_place_of(k->p, f->place[d], &port, &p->vlan);
	memcpy(p->to_mac, f->mac[d], 6);
	memcpy(p->from_mac, f->mac[d] + 6, 6);
	p->port = port;
	if (port == M_NO) {
		const struct m_segment *s = &k->p->segments[k->segment];
		const struct m_team *t = &k->p->teams[s->team];
		p->port = t->first_port + below(k->r, t->n_ports);
		if (s->kind != ENCAP_VLAN) {
			p->tunnel = s->kind;
			p->endpoint = f->endpoint;
			p->tunnel_segment = k->segment;
		}
	}
}

static void step_tcp(struct maker *k, const struct m_flow *f, unsigned d)
{
	struct m_packet *p = k->out;

	p->seq = f->sent[d];
	p->ack = f->sent[1 - d];
	p->window = 65535;
	p->tcp_flags = ACK;
	if (f->tcp == M_SYN_SENT) {
		p->tcp_flags = d == 0 ? SYN : SYN | ACK;
		p->seq = d == 0 ? p->seq - 1 : rng_below(k->r, 1u << 31);
	} else if (f->tcp == M_WAITING || f->tcp == M_RESET) {
		p->tcp_flags = rng_chance(k->r, 50) ? SYN : ACK;
	} else if (f->tcp > M_ANSWERED && rng_chance(k->r, 12)) {
		p->tcp_flags = FIN | ACK;
	} else if (f->tcp > M_ANSWERED && rng_chance(k->r, 4)) {
		p->tcp_flags = RST | ACK;
	}
	if (rng_chance(k->r, 6)) {
		static const int flags[] = { SYN, ACK, RST, SYN | ACK };
		p->tcp_flags = flags[below(k->r, 4)];
	}
	if (rng_chance(k->r, 6)) {
		p->seq += rng_below(k->r, 1u << 31);
	}
	if (rng_chance(k->r, 4)) {
		p->ack += rng_below(k->r, 1u << 31);
	}
	put_tcp(k);
}

static void make_known(struct maker *k, const struct m_flow *f, unsigned d)
{
	struct m_packet *p = k->out;
	struct m_key key = f->key;

	if (d == 1) {
		key = (struct m_key){ key.ip,	   key.proto, f->key.to,
				      f->key.from, key.dport, key.sport };
	}
	p->what = d == 0 ? "known" : "answer";
	p->key = key;
	be_at(k, f, d);
	choose_shape(k);
	if (rng_chance(k->r, 5)) {
		random_mac(k->r, p->from_mac);
	}
	put_ether(k, key.ip == 4 ? 0x0800 : 0x86dd);
	if (key.proto == 6) {
		step_tcp(k, f, d);
	} else if (key.proto == 17) {
		put_udp(k);
	} else if (key.proto == 1 || key.proto == 58) {
		int request = key.ip == 4 ? 8 : 128;
		bool is_reply = key.sport == request << 8;
		if (is_reply) {
			put_icmp(k, key.ip == 4 ? 0 : 129, 0, key.dport);
		} else {
			put_icmp(k, key.dport >> 8, key.dport & 255, key.sport);
		}
	} else {
		put_other(k);
	}
}

/* An error about what end 1 - d has sent, from the side of end d. */
static void make_error(struct maker *k, const struct m_flow *f, unsigned d)
{
	struct m_packet *p = k->out;
	struct m_key about = f->key;

	if (d == 0) {
		about = (struct m_key){ f->key.ip,   f->key.proto, f->key.to,
					f->key.from, f->key.dport, f->key.sport };
	}
	p->what = "error about a connection";
	p->key.ip = about.ip;
	p->key.proto = about.ip == 4 ? 1 : 58;
	p->key.to = about.from;
	be_at(k, f, d);
	choose_shape(k);
	p->key.from = rng_chance(k->r, 70) ? about.to : some_address(k, about.ip);
	k->n_data = 48;
	put_ether(k, p->key.ip == 4 ? 0x0800 : 0x86dd);
	put_icmp(k, p->key.ip == 4 ? 3 : 1, 3, 0);
	put_about(k, &about);
}

static bool make_of_connection(struct maker *k)
{
	const struct model *m = k->m;

	for (int tries = 0; m->n_flows > 0 && tries < 20; tries++) {
		/* Rather a young one. */
		int i = m->n_flows - 1 - below(k->r, 1 + below(k->r, m->n_flows));
		const struct m_flow *f = &m->flows[i];
		if (!f->is_used) {
			continue;
		}
		unsigned d = rng_below(k->r, 2);
		if (rng_chance(k->r, 10)) {
			make_error(k, f, d);
		} else {
			make_known(k, f, d);
		}
		return true;
	}
	return false;
}

/* ---- bytes that are no good ---- */

static void spoil_ip4(struct maker *k)
{
	struct m_packet *p = k->out;
	size_t l3 = k->l3;

	switch (below(k->r, 7)) {
	case 0:
		p->bytes[l3 + 10] ^= 1;
		p->spoiled = DROP_IP_HEADER;
		return;
	case 1:
		p->bytes[l3] = 0x55;
		p->spoiled = DROP_IP_HEADER;
		return;
	case 2:
		set16(p, l3 + 2, (uint32_t)(p->size - l3 + 1));
		p->spoiled = DROP_LENGTH;
		break;
	case 3:
		set16(p, l3 + 2, 19);
		p->spoiled = DROP_LENGTH;
		break;
	case 4:
		p->bytes[l3 + 12] = rng_chance(k->r, 50) ? 127 : 230;
		p->spoiled = DROP_IP_ADDRESS;
		break;
	case 5:
		p->size = l3 + 19;
		p->spoiled = DROP_SHORT;
		return;
	default:
		set16(p, l3 + 2, (uint32_t)(k->l4 - l3) + 3); /* ends inside what is behind it */
		p->spoiled = DROP_SHORT;
		if (p->key.proto == 47) {
			p->spoiled = DROP_NONE;
			set16(p, l3 + 2, (uint32_t)(p->size - l3));
		}
		break;
	}
	seal_ip4(p, l3);
}

static void spoil_ip6(struct maker *k)
{
	struct m_packet *p = k->out;
	size_t l3 = k->l3;

	switch (below(k->r, 5)) {
	case 0:
		p->bytes[l3] = 0x40;
		p->spoiled = DROP_IP_HEADER;
		break;
	case 1:
		set16(p, l3 + 4, (uint32_t)(p->size - l3 - 40) + 1);
		p->spoiled = DROP_LENGTH;
		break;
	case 2:
		memset(p->bytes + l3 + 8, 0xff, 1);
		p->spoiled = DROP_IP_ADDRESS;
		break;
	case 3:
		p->size = l3 + 39;
		p->spoiled = DROP_SHORT;
		break;
	default:
		p->bytes[l3 + 6] = 43; /* a routing header of type 0: what is read first */
		memset(p->bytes + l3 + 40, 0, 8);
		p->spoiled = DROP_IP6_EXTENSION;
		break;
	}
}

static void spoil_ether(struct maker *k)
{
	struct m_packet *p = k->out;

	switch (below(k->r, 3)) {
	case 0:
		p->bytes[6] |= 1;
		p->from_mac[0] |= 1;
		p->spoiled = DROP_GUARD_MAC;
		break;
	case 1:
		memmove(p->bytes + 16, p->bytes + 12, p->size - 12);
		set16(p, 12, p->vlan == M_NO ? 0x88a8 : 0x8100);
		set16(p, 14, (uint32_t)MAX(p->vlan, 1));
		p->size += 4;
		p->spoiled = DROP_VLAN;
		break;
	default:
		p->size = 13;
		p->spoiled = DROP_SHORT;
		break;
	}
}

static void spoil(struct maker *k)
{
	struct m_packet *p = k->out;
	const struct m_port *g = &k->p->ports[p->port];
	bool is_tag_carried = p->vlan == M_NO || model_ingress(k->p, p->port, p->vlan) != M_NO;

	if (g->n_trunk > 0 && !is_tag_carried) {
		return; /* one thing at a time */
	}
	if (p->key.ip == 0 || rng_chance(k->r, 25)) {
		spoil_ether(k);
	} else if (p->key.proto == 6 && rng_chance(k->r, 30)) {
		p->bytes[k->l4 + 13] = rng_chance(k->r, 50) ? SYN | FIN : 0;
		p->spoiled = DROP_L4_HEADER;
	} else if (p->key.proto == 17 && rng_chance(k->r, 30)) {
		set16(p, k->l4 + 4, rng_chance(k->r, 50) ? 7 : (uint32_t)(9 + k->n_data));
		p->spoiled = DROP_LENGTH;
	} else if (p->key.ip == 4) {
		spoil_ip4(k);
	} else {
		spoil_ip6(k);
	}
	p->what = "spoiled";
}

/* ---- fragments ---- */

/* The bytes from `at` of what the IP header of a whole packet is before, as a fragment. */
static void cut_fragment(struct maker *k, const struct m_packet *whole, size_t at, size_t size)
{
	struct m_packet *p = &k->m->pending[k->m->n_pending++];
	size_t header = k->l4 - k->l3, l4 = k->l4;

	*p = *whole;
	memset(p->bytes + k->l4, 0, sizeof(p->bytes) - k->l4);
	p->is_fragment = true;
	p->has_more = at + size < whole->size - k->l4;
	p->fragment_at = (int)at;
	p->fragment_size = (int)size;
	if (p->key.ip == 4) {
		set16(p, k->l3 + 2, (uint32_t)(header + size));
		set16(p, k->l3 + 4, p->fragment_id);
		set16(p, k->l3 + 6, (uint32_t)at / 8 | (p->has_more ? 0x2000 : 0));
		seal_ip4(p, k->l3);
	} else {
		l4 += 8;
		set16(p, k->l3 + 4, (uint32_t)size + 8);
		p->bytes[k->l3 + 6] = 44;
		p->bytes[k->l4] = (uint8_t)p->key.proto;
		set16(p, k->l4 + 2, (uint32_t)at | p->has_more);
		set32(p, k->l4 + 4, p->fragment_id);
	}
	memcpy(p->bytes + l4, whole->bytes + k->l4 + at, size);
	p->size = l4 + size;
	if (at > 0) { /* it does not say what it is of */
		p->key.sport = p->key.dport = p->tcp_flags = 0;
		p->icmp_type = M_NO;
		p->is_echo = p->is_reply = p->is_dhcp_server = false;
	}
}

/* Cuts the packet that was made; its fragments come one by one, not always as they should. */
static void make_fragments(struct maker *k)
{
	struct m_packet whole = *k->out;
	struct model *m = k->m;
	size_t n = whole.size - k->l4, first = 24 + 8 * rng_below(k->r, 4);
	size_t second = 8 + 8 * rng_below(k->r, 3);

	if (whole.key.ip == 0 || whole.is_neighbor || whole.is_advertisement || whole.is_error ||
	    k->extension != 0xff || n < first + second + 8 || m->n_pending > 0) {
		return;
	}
	whole.fragment_id = 1 + rng_below(k->r, 5);
	whole.length = 65535; /* how long a segment is, is not known then */
	cut_fragment(k, &whole, 0, first);
	size_t at = first - (rng_chance(k->r, 10) ? 8 : 0);
	if (at >= 24) {
		cut_fragment(k, &whole, at, second);
	}
	cut_fragment(k, &whole, first + second, n - first - second);
	if (rng_chance(k->r, 15)) {
		struct m_packet swapped = m->pending[0];
		m->pending[0] = m->pending[1];
		m->pending[1] = swapped;
	}
	*k->out = m->pending[--m->n_pending];
	if (rng_chance(k->r, 85)) { /* else the last one comes at once */
		struct m_packet last = m->pending[0];
		m->pending[0] = *k->out;
		*k->out = last;
	}
}

static bool take_pending(struct maker *k)
{
	struct model *m = k->m;

	if (m->n_pending == 0 || !rng_chance(k->r, 50)) {
		return false;
	}
	*k->out = m->pending[--m->n_pending];
	return true;
}

void model_packet_make(struct model *m, struct rng *r, struct m_packet *out)
{
	struct maker k = { .m = m, .p = &m->policy, .r = r, .out = out, .extension = 0xff };

	memset(out, 0, sizeof(*out));
	out->endpoint = out->tunnel_segment = out->vlan = out->icmp_type = M_NO;
	out->window = 1000;
	bool is_pending = take_pending(&k);
	if (!is_pending && (!rng_chance(r, 55) || !make_of_connection(&k))) {
		make_stranger(&k);
	}
	if (!is_pending && rng_chance(r, 12)) {
		make_fragments(&k);
	}
	const uint8_t *from = out->key.from.bytes;
	if ((out->key.ip == 4 && (from[0] == 127 || from[0] >= 224)) ||
	    (out->key.ip == 6 && from[0] == 0xff)) {
		out->spoiled = DROP_IP_ADDRESS;
	} else if (!out->is_fragment && rng_chance(r, 6)) {
		spoil(&k);
	}
	if (out->tunnel != ENCAP_NONE) {
		enter_tunnel(&k);
	}
}

void model_packet_tell(struct model *m, struct m_packet *out)
{
	struct rng r = { 1 };
	struct maker k = { .m = m, .p = &m->policy, .r = &r, .out = out, .extension = 0xff };

	out->what = "told";
	out->endpoint = out->tunnel_segment = out->icmp_type = M_NO;
	out->is_neighbor = true;
	memcpy(out->from_mac, out->claim_mac, 6);
	memset(out->to_mac, 0xff, 6);
	if (out->claim.ip == 4) {
		make_neighbor4(&k);
	} else {
		make_neighbor6(&k);
	}
}
