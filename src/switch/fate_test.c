/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets and what becomes of them, on a node with three guests on two segments that a router
 * joins, a VLAN and a Geneve tunnel beyond the team.
 */
#include "switch/fate.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"

static const char text[] =
	"{'ports':["
	"{'name':'a','kind':'vhost','path':'/a','segment':'blue','mac':'02:00:00:00:00:0a',"
	" 'addresses':['10.1.0.10']},"
	"{'name':'b','kind':'vhost','path':'/b','segment':'blue','mac':'02:00:00:00:00:0b',"
	" 'addresses':['10.1.0.11'],'mtu':9000},"
	"{'name':'c','kind':'vhost','path':'/c','segment':'red','mac':'02:00:00:00:00:0c',"
	" 'addresses':['10.2.0.12']},"
	"{'name':'u','kind':'vhost','path':'/u'},"
	"{'name':'e','kind':'vhost','path':'/e','segment':'red','mac':'02:00:00:00:00:0e',"
	" 'guard':{'any_address':true}}],"
	"'teams':[{'name':'up','ports':['u'],'mac':'02:00:00:00:01:01',"
	"  'address':'172.16.0.1/24','mtu':1600}],"
	"'segments':[{'name':'blue','team':'up','encapsulation':'geneve','vni':7,'mtu':1500,"
	"  'router':'r','gateways':['10.1.0.1/24'],'flood':['172.16.0.2'],"
	"  'remotes':[{'mac':'02:00:00:00:00:0d','addresses':['10.1.0.13'],"
	"    'endpoint':'172.16.0.2'}]},"
	"  {'name':'red','team':'up','vlan':12,'mtu':1500,'router':'r',"
	"   'gateways':['10.2.0.1/24']}],"
	"'routers':[{'name':'r','mac':'02:00:00:00:02:01'}],"
	"'groups':[{'name':'c','addresses':['10.2.0.12'],'ports':['c']}],"
	"'firewall':{'default':'allow','sections':[{'name':'s','rules':["
	"  {'id':1,'services':[{'protocol':'tcp','ports':['22']}],'applied_to':['c'],"
	"   'direction':'in','action':'reject'},"
	"  {'id':2,'services':[{'protocol':'udp','ports':['53']}],'action':'drop'}]}]}}";

#define MAC_A	   "\2\0\0\0\0\x0a"
#define MAC_B	   "\2\0\0\0\0\x0b"
#define MAC_C	   "\2\0\0\0\0\x0c"
#define MAC_E	   "\2\0\0\0\0\x0e"
#define MAC_REMOTE "\2\0\0\0\0\x0d"
#define MAC_ROUTER "\2\0\0\0\2\1"
#define MAC_ALL	   "\xff\xff\xff\xff\xff\xff"

enum {
	A,
	B,
	C,
	UPLINK,
	E
};

static struct tables *tables;
static struct learned *learned;
static struct seen *seen;
static struct fate_out copies[FATE_COPIES_MAX];
static struct fate fate;
static uint8_t frame[2048];
static size_t size;

/* ---- frames ---- */

static void begin(const char *to, const char *from, uint16_t type)
{
	memset(frame, 0, sizeof(frame));
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
	size = 14;
}

static void packet(const char *from, const char *to, uint8_t proto, uint16_t port, size_t n_data)
{
	size_t header = proto == 6 ? 20 : 8, total = 20 + header + n_data;
	uint8_t *ip = frame + 14, *l4 = ip + 20;
	uint32_t sum = 0;

	memset(ip, 0, 48);
	ip[0] = 0x45;
	ip[2] = (uint8_t)(total >> 8);
	ip[3] = (uint8_t)total;
	ip[8] = 64;
	ip[9] = proto;
	inet_pton(AF_INET, from, ip + 12);
	inet_pton(AF_INET, to, ip + 16);
	for (int i = 0; i < 20; i += 2) {
		sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
	}
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
	l4[0] = 4;
	l4[2] = (uint8_t)(port >> 8);
	l4[3] = (uint8_t)port;
	if (proto == 6) {
		l4[12] = 0x50;
		l4[13] = 2;
	} else {
		l4[4] = (uint8_t)((8 + n_data) >> 8);
		l4[5] = (uint8_t)(8 + n_data);
	}
	size = 14 + total;
}

static void arp(const char *sender_mac, const char *sender, const char *target, uint8_t operation)
{
	uint8_t *a = frame + 14;

	memcpy(a, "\0\1\x08\0\6\4\0", 7);
	a[7] = operation;
	memcpy(a + 8, sender_mac, 6);
	inet_pton(AF_INET, sender, a + 14);
	inet_pton(AF_INET, target, a + 24);
	size = 42;
}

/* ---- asking ---- */

static enum drop_reason decide_iface(uint16_t iface)
{
	struct packet p;
	enum drop_reason r = packet_parse(&p, frame, (uint16_t)size, (uint32_t)size, false);

	assert_int_equal(r, DROP_NONE);
	p.key.iface = iface;
	struct fate_input in = { .tables = tables, .learned = learned, .seen = seen, .packet = &p };
	fate.copies = copies;
	fate_decide(&in, &fate);
	return fate.reason;
}

static enum drop_reason decide(uint16_t port)
{
	return decide_iface(tables_ingress(tables, port, PACKET_NO_VLAN));
}

static uint16_t tunnel_iface(void)
{
	return tables_tunnel_ingress(tables, 0, ENCAP_GENEVE, 7);
}

static bool goes_to(uint16_t port)
{
	return fate.out.iface == tables_ingress(tables, port, PACKET_NO_VLAN);
}

/* ---- tests ---- */

static void a_guest_reaches_its_neighbours(void **state)
{
	(void)state;
	begin(MAC_B, MAC_A, 0x0800);
	packet("10.1.0.10", "10.1.0.11", 17, 80, 10);
	assert_int_equal(decide(A), DROP_NONE);
	assert_true(goes_to(B) && fate.makes_flow && !fate.is_routed);
	memcpy(frame, MAC_REMOTE, 6);
	assert_int_equal(decide(A), DROP_NONE);
	assert_int_equal(fate.out.iface, tunnel_iface());
	assert_int_equal(fate.out.endpoint, 0);
	memcpy(frame, "\2\0\0\0\7\7", 6); /* nobody */
	assert_int_equal(decide(A), DROP_NONE);
	assert_true(fate.is_flooded); /* to who may know */
	memcpy(frame, MAC_A, 6);
	assert_int_equal(decide(A), DROP_SAME_PORT);
}

static void what_is_not_a_guests_own_is_stopped(void **state)
{
	(void)state;
	begin(MAC_B, MAC_C, 0x0800);
	packet("10.1.0.10", "10.1.0.11", 17, 80, 10);
	assert_int_equal(decide(A), DROP_GUARD_MAC);
	begin(MAC_B, MAC_A, 0x0800);
	packet("10.1.0.99", "10.1.0.11", 17, 80, 10);
	assert_int_equal(decide(A), DROP_GUARD_IP);
	begin(MAC_ALL, MAC_A, 0x0806);
	arp(MAC_A, "10.1.0.11", "10.1.0.1", 1);
	assert_int_equal(decide(A), DROP_GUARD_ARP);
	arp(MAC_B, "10.1.0.10", "10.1.0.1", 2);
	assert_int_equal(decide(A), DROP_GUARD_ARP);
	begin("\x01\x80\xc2\0\0\0", MAC_A, 0x0027);
	size = 60;
	assert_int_equal(decide(A), DROP_GUARD_CONTROL);
	begin(MAC_B, MAC_A, 0x0800);
	packet("10.1.0.10", "10.1.0.11", 17, 68, 200);
	frame[35] = 67; /* from a DHCP server's port */
	frame[34] = 0;
	assert_int_equal(decide(A), DROP_GUARD_DHCP);
	begin(MAC_ALL, MAC_A, 0x0800);
	packet("0.0.0.0", "255.255.255.255", 17, 67, 200); /* who has no address asks for one */
	assert_int_equal(decide(A), DROP_NONE);
}

static void known_addresses_are_answered_for(void **state)
{
	(void)state;
	begin(MAC_ALL, MAC_A, 0x0806);
	arp(MAC_A, "10.1.0.10", "10.1.0.13", 1);
	assert_int_equal(decide(A), DROP_CONSUMED);
	assert_int_equal(fate.answer, ANSWER_NEIGHBOR);
	assert_memory_equal(fate.answer_mac, MAC_REMOTE, 6);
	arp(MAC_A, "10.1.0.10", "10.1.0.1", 1);
	assert_int_equal(decide(A), DROP_CONSUMED);
	assert_memory_equal(fate.answer_mac, MAC_ROUTER, 6);
	arp(MAC_A, "10.1.0.10", "10.1.0.77", 1);
	assert_int_equal(decide(A), DROP_NONE);
	assert_true(fate.is_flooded);
	assert_int_equal(fate.n_copies, 2); /* b, and the endpoint */
}

/* A guest that has gone to another node says so there; its old switch would say the opposite. */
static void who_announces_himself_is_not_answered(void **state)
{
	(void)state;
	begin(MAC_ALL, MAC_A, 0x0806);
	arp(MAC_A, "10.1.0.10", "10.1.0.10", 1);
	assert_int_equal(decide_iface(tunnel_iface()), DROP_NONE);
	assert_int_equal(fate.answer, ANSWER_NONE);
	/* Who claims what is another's is told whose it is. */
	begin(MAC_ALL, MAC_REMOTE, 0x0806);
	arp(MAC_REMOTE, "10.1.0.10", "10.1.0.10", 1);
	assert_int_equal(decide_iface(tunnel_iface()), DROP_CONSUMED);
	assert_memory_equal(fate.answer_mac, MAC_A, 6);
}

static void broadcasts_do_not_return_to_where_they_came_from(void **state)
{
	(void)state;
	begin(MAC_ALL, MAC_REMOTE, 0x0800);
	packet("10.1.0.13", "10.1.0.255", 17, 9, 10);
	assert_int_equal(decide_iface(tunnel_iface()), DROP_NONE);
	assert_int_equal(fate.n_copies, 2); /* a and b */
	for (uint32_t i = 0; i < fate.n_copies; i++) {
		assert_int_equal(tables_iface(tables, copies[i].iface)->kind, IFACE_PORT);
	}
	begin(MAC_REMOTE, "\2\0\0\0\7\7", 0x0800);
	packet("10.1.0.14", "10.1.0.13", 17, 9, 10);
	assert_int_equal(decide_iface(tunnel_iface()), DROP_SAME_PORT);
}

static void segments_are_joined_by_the_router_only(void **state)
{
	(void)state;
	begin(MAC_ROUTER, MAC_A, 0x0800);
	packet("10.1.0.10", "10.2.0.12", 17, 80, 10);
	assert_int_equal(decide(A), DROP_NONE);
	assert_true(goes_to(C) && fate.is_routed && fate.makes_flow);
	assert_memory_equal(fate.destination, MAC_C, 6);
	assert_memory_equal(fate.source, MAC_ROUTER, 6);
	memcpy(frame, MAC_C, 6);
	assert_int_equal(decide(A), DROP_NONE);
	assert_false(goes_to(C)); /* not a neighbour: only to who may know it on its own segment */
	begin(MAC_ROUTER, MAC_A, 0x0800);
	packet("10.1.0.10", "10.9.0.1", 17, 80, 10);
	assert_int_equal(decide(A), DROP_NO_ROUTE);
	assert_int_equal(fate.answer, ANSWER_NO_ROUTE);
	packet("10.1.0.10", "10.2.0.99", 17, 80, 10);
	assert_int_equal(decide(A), DROP_NO_NEIGHBOR);
	packet("10.1.0.10", "10.2.0.1", 17, 80, 10);
	assert_int_equal(decide(A), DROP_CONSUMED);
}

static void rules_are_asked_at_both_ports(void **state)
{
	(void)state;
	begin(MAC_ROUTER, MAC_A, 0x0800);
	packet("10.1.0.10", "10.2.0.12", 6, 22, 0);
	assert_int_equal(decide(A), DROP_FIREWALL_REJECT);
	assert_int_equal(fate.answer, ANSWER_RST);
	assert_int_equal(fate.rule_out, CLASSIFIER_ANY);
	assert_int_equal(fate.rule_in, 0);
	packet("10.1.0.10", "10.2.0.12", 6, 23, 0);
	assert_int_equal(decide(A), DROP_NONE);
	begin(MAC_B, MAC_A, 0x0800);
	packet("10.1.0.10", "10.1.0.11", 6, 22, 0); /* not applied to b */
	assert_int_equal(decide(A), DROP_NONE);
	packet("10.1.0.10", "10.1.0.11", 17, 53, 10);
	assert_int_equal(decide(A), DROP_FIREWALL);
	assert_int_equal(fate.rule_out, 1);
	begin(MAC_A, MAC_REMOTE, 0x0800);
	packet("10.1.0.13", "10.1.0.10", 17, 53, 10);
	assert_int_equal(decide_iface(tunnel_iface()), DROP_FIREWALL);
	assert_int_equal(fate.rule_out, FATE_RULE_NOT_ASKED); /* its own node's */
	assert_int_equal(fate.rule_in, 1);
}

static void what_does_not_fit_is_not_sent(void **state)
{
	(void)state;
	begin(MAC_B, MAC_A, 0x0800);
	packet("10.1.0.10", "10.1.0.11", 17, 80, 1472);
	assert_int_equal(decide(A), DROP_NONE);
	packet("10.1.0.10", "10.1.0.11", 17, 80, 1473);
	assert_int_equal(decide(A), DROP_TOO_BIG);
	assert_int_equal(fate.answer, ANSWER_NONE);
	begin(MAC_ROUTER, MAC_A, 0x0800);
	packet("10.1.0.10", "10.2.0.12", 17, 80, 1473);
	assert_int_equal(decide(A), DROP_TOO_BIG);
	assert_int_equal(fate.answer, ANSWER_TOO_BIG);
	assert_int_equal(fate.answer_mtu, 1500);
}

/* As a worker does with what a fate says. */
static void note_sighting(void)
{
	struct seen_at at = { .iface = tables_ingress(tables, E, PACKET_NO_VLAN) };

	memcpy(at.mac, fate.sighting.mac, 6);
	seen_claim(seen, tables_config(tables)->segments[1].id, &fate.sighting.address, &at, 0);
}

static void addresses_are_seen_where_they_are_not_listed(void **state)
{
	(void)state;
	begin(MAC_ROUTER, MAC_A, 0x0800);
	packet("10.1.0.10", "10.2.0.14", 17, 80, 10);
	assert_int_equal(decide(A), DROP_NO_NEIGHBOR);
	assert_int_equal(fate.wanted.segment, 1);
	assert_memory_equal(fate.wanted.address.bytes, "\x0a\2\0\x0e", 4);
	assert_int_equal(fate.sighting.address.ip, 0);
	begin(MAC_ALL, MAC_E, 0x0806);
	arp(MAC_E, "10.2.0.14", "10.2.0.1", 1);
	assert_int_equal(decide(E), DROP_CONSUMED);
	assert_true(fate.sighting.is_claim && !fate.sighting.is_refused);
	note_sighting();
	begin(MAC_ROUTER, MAC_A, 0x0800);
	packet("10.1.0.10", "10.2.0.14", 17, 80, 10);
	assert_int_equal(decide(A), DROP_NONE);
	assert_true(goes_to(E) && fate.is_routed);
	assert_memory_equal(fate.destination, MAC_E, 6);
	begin(MAC_ALL, MAC_C, 0x0806);
	arp(MAC_C, "10.2.0.12", "10.2.0.14", 1);
	assert_int_equal(decide(C), DROP_CONSUMED);
	assert_memory_equal(fate.answer_mac, MAC_E, 6);
}

static void what_is_bound_is_claimed_by_nobody_else(void **state)
{
	(void)state;
	begin(MAC_ALL, MAC_E, 0x0806);
	arp(MAC_E, "10.2.0.12", "10.2.0.12", 1);
	assert_int_equal(decide(E), DROP_GUARD_ARP);
	assert_true(fate.sighting.is_refused);
	assert_int_equal(fate.sighting.owner, tables_ingress(tables, C, PACKET_NO_VLAN));
	arp(MAC_E, "10.2.0.1", "10.2.0.12", 2);
	assert_int_equal(decide(E), DROP_GUARD_ARP);
	assert_true(fate.sighting.is_refused && fate.sighting.owner == 0);
	arp(MAC_E, "0.0.0.0", "10.2.0.12", 1); /* a probe claims nothing */
	assert_int_equal(decide(E), DROP_CONSUMED);
	assert_int_equal(fate.sighting.address.ip, 0);
	begin(MAC_C, MAC_E, 0x0800);
	packet("10.2.0.99", "10.2.0.12", 17, 80, 10);
	assert_int_equal(decide(E), DROP_NONE);
	assert_true(fate.sighting.address.ip == 4 && !fate.sighting.is_claim);
	begin((const char *)FATE_ASKING_MAC, MAC_E, 0x0806); /* as it was asked */
	arp(MAC_E, "10.2.0.99", "0.0.0.0", 2);
	assert_int_equal(decide(E), DROP_CONSUMED);
	assert_true(fate.sighting.is_claim);
}

/* ---- the node ---- */

static uint16_t next_index(void *arg, const char *name)
{
	(void)name;
	return ++*(uint16_t *)arg;
}

static int set_up(void **state)
{
	char copy[sizeof(text)];
	struct error e;
	uint16_t n = 0;
	struct iface_index index = { next_index, &n };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(copy); i++) {
		copy[i] = text[i];
		if (copy[i] == '\'') {
			copy[i] = '"';
		}
	}
	struct json_object *o = json_parse(copy, strlen(copy), 1 << 16, 32, &e);
	struct json_at root = json_root(o);
	struct switch_config *c = switch_config_read(&root, &e);
	json_object_put(o);
	tables = c == NULL ? NULL : tables_new(c, 1, &index, &e);
	learned = learned_new();
	seen = seen_new();
	return tables == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	tables_free(tables);
	learned_free(learned);
	seen_free(seen);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_reaches_its_neighbours),
		cmocka_unit_test(what_is_not_a_guests_own_is_stopped),
		cmocka_unit_test(known_addresses_are_answered_for),
		cmocka_unit_test(who_announces_himself_is_not_answered),
		cmocka_unit_test(broadcasts_do_not_return_to_where_they_came_from),
		cmocka_unit_test(segments_are_joined_by_the_router_only),
		cmocka_unit_test(rules_are_asked_at_both_ports),
		cmocka_unit_test(what_does_not_fit_is_not_sent),
		cmocka_unit_test(addresses_are_seen_where_they_are_not_listed),
		cmocka_unit_test(what_is_bound_is_claimed_by_nobody_else),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
