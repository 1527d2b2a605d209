/* SPDX-License-Identifier: Apache-2.0 */
/* Argument: the schema of the switch's document. */
#include "switch/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "plane/document_schema.h"

static struct document_schema *schema;

/* ' stands for " in documents here. */
static struct switch_config *read_text(const char *text, struct error *e)
{
	char copy[4096];
	size_t n = strlen(text);

	assert_true(n < sizeof(copy));
	for (size_t i = 0; i <= n; i++) {
		copy[i] = text[i];
		if (copy[i] == '\'') {
			copy[i] = '"';
		}
	}
	struct json_object *o = json_parse(copy, n, sizeof(copy), 32, e);
	if (o == NULL) {
		fail_msg("%s", e->msg);
	}
	struct json_at root = json_root(o);
	struct switch_config *c =
		document_schema_check(schema, &root, e) ? switch_config_read(&root, e) : NULL;
	json_object_put(o);
	return c;
}

static const char whole[] =
	"{'mode':'performance','ports':["
	"{'name':'a','label':'web-1 eth0',"
	" 'kind':'vhost','path':'/a','segment':'blue','mac':'02:00:00:00:00:01',"
	" 'addresses':['10.1.0.1','fd00::1'],'guard':{'router':true},"
	" 'from':{'bits_per_second':1000000}},"
	"{'name':'t','kind':'tap','path':'tap0','trunk':[{'vlan':5,'segment':'blue'},"
	"  {'vlan':6,'segment':'red'}]},"
	"{'name':'u','kind':'memif','path':'/u','id':3,'server':true,'mtu':9000}],"
	"'teams':[{'name':'up','ports':['u'],'mtu':9000,'mac':'02:00:00:00:01:01',"
	"  'address':'172.16.0.1/24','gateway':'172.16.0.254','policy':'flow_hash'}],"
	"'segments':[{'name':'blue','team':'up','encapsulation':'geneve','vni':77,'mtu':1500,"
	"  'router':'r','gateways':['10.1.0.254/24'],'flood':['172.16.0.2','172.16.0.3'],"
	"  'remotes':[{'mac':'02:00:00:00:00:09','addresses':['10.1.0.9'],"
	"    'endpoint':'172.16.0.3'}]},"
	"  {'name':'red','team':'up','vlan':12}],"
	"'routers':[{'name':'r','mac':'02:00:00:00:02:01','routes':[{'prefix':'0.0.0.0/0',"
	"  'next_hops':['10.1.0.253']}]}],"
	"'groups':[{'name':'web','addresses':['10.1.0.0/24'],'ports':['a']},{'name':'none'}],"
	"'firewall':{'default':'drop','sections':[{'name':'s','rules':["
	"  {'id':5,'name':'in','sources':['web'],'services':[{'protocol':'tcp',"
	"    'ports':['80','443-444'],'source_ports':['1024-65535']},"
	"    {'protocol':'icmp','type':8}],'action':'allow','direction':'in','ip':4,'log':true},"
	"  {'id':6,'action':'reject','disabled':true},"
	"  {'id':7,'services':[{'protocol':89}],'applied_to':['web'],'action':'reject'}]}]}}";

static void a_document_becomes_structs(void **state)
{
	struct error e = { 0 };
	struct switch_config *c = read_text(whole, &e);

	(void)state;
	if (c == NULL) {
		fail_msg("%s", e.msg);
	}
	assert_true(c->is_performance);
	assert_int_equal(c->n_ports, 3);
	assert_int_equal(c->ports[0].segment, 0);
	assert_string_equal(c->ports[0].label, "web-1 eth0");
	assert_string_equal(c->ports[1].label, "");
	assert_int_equal(c->ports[0].addresses[1].ip, 6);
	assert_int_equal(c->ports[0].from.bits_per_second, 1000000);
	assert_int_equal(c->ports[0].from.burst_bytes, 65536);
	assert_true(c->ports[0].guard.router && !c->ports[0].guard.any_address);
	assert_int_equal(c->ports[1].segment, -1);
	assert_int_equal(c->ports[1].trunk[1].segment, 1);
	assert_int_equal(c->ports[2].team, 0);
	assert_int_equal(c->teams[0].prefix_length, 24);
	assert_int_equal(c->n_endpoints, 2);
	assert_int_equal(c->segments[0].remotes[0].endpoint, c->segments[0].flood[1]);
	assert_false(c->segments[0].learning);
	assert_true(c->segments[1].learning);
	assert_int_equal(c->fallback, RULE_DROP);
	assert_int_equal(c->n_rules, 3);
	assert_true(c->rules[1].is_disabled);
	assert_string_equal(c->rule_names[0], "s/in");
	assert_int_equal(c->rules[0].n_services, 3);
	assert_int_equal(c->rules[0].services[1].destination_from, 443);
	assert_int_equal(c->rules[0].services[1].destination_to, 444);
	assert_int_equal(c->rules[0].services[1].source_from, 1024);
	assert_int_equal(c->rules[0].services[2].destination_from, 8 << 8);
	assert_int_equal(c->rules[0].services[2].destination_to, (8 << 8) + 255);
	assert_int_equal(c->rules[2].services[0].proto, 89);
	assert_int_equal(c->rules[2].action, RULE_REJECT);
	assert_int_equal(c->groups[0].ports[0], 0);
	switch_config_free(c);
	c = read_text("{}", &e);
	assert_non_null(c);
	assert_int_equal(c->fallback, RULE_ALLOW);
	switch_config_free(c);
}

#define PORT(name, rest) "{'name':'" name "','kind':'vhost','path':'/" name "'" rest "}"
#define TEAM                                                                                       \
	"'teams':[{'name':'up','ports':['u'],'mac':'02:00:00:00:01:01','address':'172.16.0.1/"     \
	"24'}]"

static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *document, *message;
	} bad[] = {
		{ "{'ports':[" PORT("a", "") "," PORT("a", "") "]}",
		  "\"ports[1]\": \"a\" is there twice" },
		{ "{'ports':[{'name':'a','kind':'memif','path':'/a,id=7'}]}",
		  "\"ports[0]\": \"path\" has a comma" },
		{ "{'ports':[" PORT("a", ",'segment':'x'") "]}",
		  "\"ports[0].segment\": there is no segment \"x\"" },
		{ "{'ports':[" PORT("a", ",'mac':'01:00:00:00:00:01'") "]}", "is a group's" },
		{ "{'ports':[" PORT("a", ",'addresses':['10.0.0']") "]}",
		  "\"ports[0].addresses[0]\": \"10.0.0\" is no IP address" },
		{ "{'ports':[" PORT("a", ",'segment':'s','addresses':['10.0.0.1']") "," PORT(
			  "b",
			  ",'segment':'s','addresses':['10.0.0.1']") "],'segments':[{'name':'s'}]}",
		  "\"ports[1]\": \"a\" has 10.0.0.1 too" },
		{ "{'ports':[" PORT("a",
				    ",'trunk':[{'vlan':5,'segment':'s'},"
				    "{'vlan':5,'segment':'s'}]") "],'segments':[{'name':'s'}]}",
		  "\"ports[0].trunk[1]\": VLAN 5 is there twice" },
		{ "{'ports':[" PORT("u", ",'segment':'s'") "],'segments':[{'name':'s'}]," TEAM "}",
		  "port \"u\" has segments of its own" },
		{ "{'ports':[" PORT("u", "") "],'teams':[{'name':'x','ports':['u']},"
					     "{'name':'y','ports':['u']}]}",
		  "port \"u\" belongs to team \"x\" already" },
		{ "{'ports':[" PORT("u", "") "],'teams':[{'name':'x','ports':['u'],"
					     "'address':'1.2.3.4/24'}]}",
		  "so it needs a \"mac\"" },
		{ "{'segments':[{'name':'s','encapsulation':'vxlan','vni':5}]}",
		  "it needs a \"team\" with an address" },
		{ "{'ports':[" PORT("u", "") "]," TEAM ",'segments':[{'name':'s','team':'up',"
					     "'encapsulation':'geneve','vni':5,'mtu':1500}]}",
		  "MTU 1500 does not fit into team \"up\", whose MTU of 1500 leaves 1450" },
		{ "{'ports':[" PORT("u", "") "]," TEAM ",'segments':[{'name':'s','team':'up'},"
					     "{'name':'t','team':'up'}]}",
		  "segment \"s\" has the same VLAN on the team" },
		{ "{'segments':[{'name':'s','gateways':['10.0.0.1/24']}]}",
		  "has gateways but no \"router\"" },
		{ "{'segments':[{'name':'s','router':'r','gateways':['10.0.0.1']}],"
		  "'routers':[{'name':'r','mac':'02:00:00:00:00:01'}]}",
		  "\"10.0.0.1\" is no address/length" },
		{ "{'segments':[{'name':'s','router':'r','gateways':['10.0.0.1/24']},"
		  "{'name':'t','router':'r','gateways':['10.0.0.1/24']}],"
		  "'routers':[{'name':'r','mac':'02:00:00:00:00:01'}]}",
		  "has the same gateway address" },
		{ "{'groups':[{'name':'g','addresses':['10.0.0.1/8']}]}",
		  "\"10.0.0.1/8\" is no prefix, or has bits beyond its length" },
		{ "{'groups':[{'name':'g','ports':['p']}]}", "there is no port \"p\"" },
		{ "{'firewall':{'sections':[{'name':'s','rules':[{'id':1,'action':'drop',"
		  "'sources':['g']}]}]}}",
		  "\"firewall.sections[0].rules[0].sources[0]\": there is no group \"g\"" },
		{ "{'firewall':{'sections':[{'name':'s','rules':[{'id':1,'action':'drop'},"
		  "{'id':1,'action':'drop'}]}]}}",
		  "rule 1 is there twice" },
		{ "{'firewall':{'sections':[{'name':'s','rules':[{'id':1,'action':'drop',"
		  "'services':[{'protocol':'tcp','ports':['90-80']}]}]}]}}",
		  "\"90-80\" is no range of ports" },
		{ "{'firewall':{'sections':[{'name':'s','rules':[{'id':1,'action':'drop',"
		  "'services':[{'protocol':'icmp','ports':['80']}]}]}]}}",
		  "protocol 1 has no ports" },
		{ "{'firewall':{'sections':[{'name':'s','rules':[{'id':1,'action':'drop',"
		  "'services':[{'protocol':'ospf'}]}]}]}}",
		  "\"ospf\" is no protocol" },
		{ "{'firewall':{'sections':[{'name':'s','rules':[{'id':1,'action':'pass'}]}]}}",
		  "must be one of \"allow\", \"drop\", \"reject\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct error e = { 0 };
		assert_null(read_text(bad[i].document, &e));
		if (strstr(e.msg, bad[i].message) == NULL) {
			fail_msg("%s: %s", bad[i].document, e.msg);
		}
	}
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_document_becomes_structs),
		cmocka_unit_test(what_is_wrong_is_named),
	};
	struct error e;

	if (argc != 2) {
		return 2;
	}
	struct json_object *text = json_parse_file(argv[1], 1 << 20, &e);
	schema = text == NULL ? NULL : document_schema_new(text, &e);
	json_object_put(text);
	int failed = schema == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
	document_schema_free(schema);
	return failed;
}
