/* SPDX-License-Identifier: Apache-2.0 */
/* Connections and guests that go from one node to another, by the tables of both. */
#include "switch/connection.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "switch/learned.h"
#include "switch/tcp_track.h"

#define MAC_A "\2\0\0\0\0\x0a"
#define MAC_B "\2\0\0\0\0\x0b"

#define NODE(GUESTS, OWN, REMOTES)                                                                 \
	"{'ports':[" GUESTS "{'name':'u','kind':'vhost','path':'/u'}],"                            \
	"'teams':[{'name':'up','ports':['u'],'mac':'02:00:00:00:01:01','address':'" OWN            \
	"','mtu':1600}],'segments':[{'name':'blue','team':'up','encapsulation':'geneve',"          \
	"'vni':7,'mtu':1500,'remotes':[" REMOTES "]}]}"
#define GUEST(NAME, MAC, ADDRESS)                                                                  \
	"{'name':'" NAME "','kind':'vhost','path':'/" NAME "','segment':'blue','mac':'" MAC        \
	"','addresses':['" ADDRESS "']},"
#define A	   GUEST("a", "02:00:00:00:00:0a", "10.1.0.10")
#define B	   GUEST("b", "02:00:00:00:00:0b", "10.1.0.11")
#define A_AT(MORE) "{'mac':'02:00:00:00:00:0a','addresses':['10.1.0.10'],'endpoint':" MORE "}"

static uint16_t number_of(void *arg, const char *name)
{
	static const char *const names[] = { "port a", "port b", "segment blue" };

	(void)arg;
	for (uint16_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(names[i], name) == 0) {
			return (uint16_t)(i + 1);
		}
	}
	return 0;
}

enum {
	PORT_A = 1,
	PORT_B,
	BLUE,
};

static struct tables *tables_of(const char *text)
{
	struct iface_index index = { number_of, NULL };
	size_t n = strlen(text);
	char *copy = strdup(text);
	struct error e = { 0 };

	for (size_t i = 0; i < n; i++) {
		copy[i] = copy[i] == '\'' ? '"' : copy[i];
	}
	struct json_object *o = json_parse(copy, n, 1 << 16, 32, &e);
	struct json_at root = json_root(o);
	struct switch_config *c = switch_config_read(&root, &e);
	struct tables *t = c == NULL ? NULL : tables_new(c, 1, &index, &e);
	if (t == NULL) {
		fail_msg("%s", e.msg);
	}
	json_object_put(o);
	free(copy);
	return t;
}

static struct flow a_flow(void)
{
	struct flow f = { .proto = 6,
			  .flags = FLOW_IN_USE | FLOW_REPLIED,
			  .iface = { PORT_A, PORT_B },
			  .port = { htons(33000), htons(22) },
			  .tcp = TRACK_HALF_CLOSED | 0x10,
			  .scale = 0xf7,
			  .expires = 1000,
			  .bytes = { 900, 800 },
			  .packets = { 10, 9 },
			  .tcp_end = { UINT32_MAX, 1 },
			  .tcp_edge = { 65535, 2 } };

	f.address[0] = inet_addr("10.1.0.10");
	f.address[1] = inet_addr("10.1.0.11");
	memcpy(f.mac[0], MAC_B MAC_A, 12);
	memcpy(f.mac[1], MAC_A MAC_B, 12);
	return f;
}

static void a_connection_says_the_same_at_the_other_node(void **state)
{
	struct tables *here = tables_of(NODE(A B, "172.16.0.1/24", ""));
	struct tables *there =
		tables_of(NODE(A, "172.16.0.2/24",
			       "{'mac':'02:00:00:00:00:0c','endpoint':'172.16.0.9'},"
			       "{'mac':'02:00:00:00:00:0b','endpoint':'172.16.0.1'}"));
	struct flow f = a_flow();
	struct connection c, got;
	struct error e;

	(void)state;
	assert_true(connection_of(&f, here, 0, 900, &c));
	struct json_object *o = connection_write(&c);
	struct json_at at = json_root(o);
	assert_true(connection_read(&at, &got, &e));
	assert_int_equal(got.flow.expires, 100);
	assert_null(connection_place(&got, there, NULL, 0, 0));
	assert_int_equal(got.flow.iface[0], PORT_A);
	assert_int_equal(got.flow.iface[1], BLUE);
	assert_int_equal(got.flow.tunnel, 1);
	assert_int_equal(got.flow.tcp, f.tcp);
	assert_int_equal(got.flow.scale, f.scale);
	assert_memory_equal(got.flow.address, f.address, sizeof(f.address));
	assert_memory_equal(got.flow.port, f.port, sizeof(f.port));
	assert_memory_equal(got.flow.tcp_end, f.tcp_end, sizeof(f.tcp_end));
	assert_memory_equal(got.flow.tcp_edge, f.tcp_edge, sizeof(f.tcp_edge));
	/* Of another's connection, or one that has ended, nothing is said. */
	assert_false(connection_of(&f, here, 2, 900, &c));
	assert_false(connection_of(&f, here, 0, 1000, &c));
	json_object_put(o);
	tables_free(here);
	tables_free(there);
}

static void refused(const char *text, const char *why)
{
	struct connection c;
	struct error e = { 0 };
	struct json_object *o = json_parse(text, strlen(text), 1 << 16, 32, &e);
	struct json_at at = json_root(o);

	assert_non_null(o);
	assert_false(connection_read(&at, &c, &e));
	if (strstr(e.msg, why) == NULL) {
		fail_msg("\"%s\" where \"%s\" is wanted", e.msg, why);
	}
	json_object_put(o);
}

#define REST                                                                                       \
	"\"ends\":[{\"address\":\"10.0.0.1\",\"port\":1,\"packets\":1,\"bytes\":1},"               \
	"{\"address\":\"10.0.0.2\",\"port\":1,\"packets\":1,\"bytes\":1,"                          \
	"\"mac\":\"02:00:00:00:00:01\"}]}"

static void what_cannot_be_is_refused(void **state)
{
	(void)state;
	refused("[]", "object");
	refused("{\"protocol\":256,\"replied\":true,\"ends_in_ms\":1," REST, "more than 255");
	refused("{\"protocol\":17,\"replied\":true,\"ends_in_ms\":1e9," REST, "ends_in_ms");
	refused("{\"protocol\":17,\"replied\":true,\"ends_in_ms\":43200001," REST, "43200000");
	refused("{\"protocol\":17,\"replied\":true,\"ends_in_ms\":1,\"ends\":[]}", "has 2");
	refused("{\"protocol\":6,\"replied\":true,\"ends_in_ms\":1,\"state\":\"reset\",\"fins\":0,"
		"\"scales\":[1,1]," REST,
		"reset");
	refused("{\"protocol\":6,\"replied\":true,\"ends_in_ms\":1,\"state\":\"open\",\"fins\":4,"
		"\"scales\":[1,1]," REST,
		"more than 3");
	refused("{\"protocol\":6,\"replied\":true,\"ends_in_ms\":1,\"state\":\"open\",\"fins\":0,"
		"\"scales\":[1,16]," REST,
		"15");
}

static void who_is_not_there_has_no_place(void **state)
{
	struct tables *here = tables_of(NODE(A B, "172.16.0.1/24", ""));
	struct flow f = a_flow();
	struct connection c;

	(void)state;
	assert_true(connection_of(&f, here, 0, 900, &c));
	c.ends[1].segment = "red";
	assert_string_equal(connection_place(&c, here, NULL, 0, 0), "no_segment");
	c.ends[1].segment = NULL;
	memcpy(c.ends[1].mac, MAC_A, 6);
	assert_string_equal(connection_place(&c, here, NULL, 0, 0), "no_peer");
	c.ends[0].vlan = 12;
	assert_string_equal(connection_place(&c, here, NULL, 0, 0), "no_vlan");
	tables_free(here);
}

static struct whereabouts find(const struct tables *t)
{
	struct address a = { .bytes = { 10, 1, 0, 10 }, .ip = 4 };
	struct whereabouts by_mac, by_address;

	assert_true(tables_find_mac(t, 0, (const uint8_t *)MAC_A, &by_mac));
	assert_true(tables_find_address(t, 0, &a, &by_address));
	assert_int_equal(by_mac.iface, by_address.iface);
	assert_int_equal(by_mac.endpoint, by_address.endpoint);
	return by_mac;
}

static void who_moves_is_where_it_was_heard(void **state)
{
	struct tables *t =
		tables_of(NODE(B, "172.16.0.3/24", A_AT("'172.16.0.1','moving_to':'172.16.0.2'")));
	struct tables *next =
		tables_of(NODE(B, "172.16.0.3/24",
			       "{'mac':'02:00:00:00:00:0c','endpoint':'172.16.0.9'}," A_AT(
				       "'172.16.0.1','moving_to':'172.16.0.2'")));
	const struct switch_config *c = tables_config(t);
	uint8_t mac[6];

	(void)state;
	memcpy(mac, MAC_A, 6);
	assert_int_equal(tables_n_moving(t), 1);
	assert_int_equal(c->endpoints[find(t).endpoint].bytes[3], 1);
	int32_t second = tables_endpoint(t, &(struct address){ { 172, 16, 0, 2 }, 4 });
	tables_hear(t, 0, mac, PORT_B, 0); /* at a third place it cannot be */
	assert_int_equal(c->endpoints[find(t).endpoint].bytes[3], 1);
	tables_hear(t, 0, mac, BLUE, (uint16_t)second);
	assert_int_equal(c->endpoints[find(t).endpoint].bytes[3], 2);
	/* And in the next tables, whatever numbers its endpoints have there. */
	tables_follow_moving(next, t);
	assert_int_equal(tables_config(next)->endpoints[find(next).endpoint].bytes[3], 2);
	tables_free(t);
	tables_free(next);
}

static void who_comes_here_is_away_until_heard(void **state)
{
	struct tables *t = tables_of(NODE(A, "172.16.0.2/24", A_AT("'172.16.0.1'")));

	(void)state;
	assert_int_equal(find(t).iface, BLUE);
	tables_hear(t, 0, (const uint8_t *)MAC_A, PORT_A, 0);
	assert_int_equal(find(t).iface, PORT_A);
	tables_free(t);
}

static void who_leaves_is_here_until_heard_there(void **state)
{
	struct tables *t = tables_of(NODE(A, "172.16.0.2/24", A_AT("'172.16.0.1','leaving':true")));
	struct tables *gone = tables_of(NODE(A, "172.16.0.2/24", A_AT("'172.16.0.1'")));
	struct tables *again =
		tables_of(NODE(A, "172.16.0.2/24", A_AT("'172.16.0.1','leaving':true")));

	(void)state;
	assert_int_equal(find(t).iface, PORT_A);
	/* When it has moved it is there, before it is heard. */
	tables_follow_moving(gone, t);
	assert_int_equal(find(gone).iface, BLUE);
	int32_t there = tables_endpoint(t, &(struct address){ { 172, 16, 0, 1 }, 4 });
	tables_hear(t, 0, (const uint8_t *)MAC_A, BLUE, (uint16_t)there);
	assert_int_equal(find(t).iface, BLUE);
	tables_follow_moving(again, t);
	assert_int_equal(find(again).iface, BLUE);
	tables_free(t);
	tables_free(gone);
	tables_free(again);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_says_the_same_at_the_other_node),
		cmocka_unit_test(what_cannot_be_is_refused),
		cmocka_unit_test(who_is_not_there_has_no_place),
		cmocka_unit_test(who_moves_is_where_it_was_heard),
		cmocka_unit_test(who_comes_here_is_away_until_heard),
		cmocka_unit_test(who_leaves_is_here_until_heard_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
