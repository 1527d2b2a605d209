/* SPDX-License-Identifier: Apache-2.0 */
/* A card lends functions to VMs of its server: who gets which, and what nodes are told. */
#include "center/lend.h"

#include <string.h>

#include "base/mem.h"
#include "center/fake_policy.h"
#include "center/hosts.h"
#include "center/hosts_rig.h"
#include "center/intent.h"
#include "center/intent_card.h"
#include "center/member.h"
#include "center/node_policy.h"

#define VM(n)  "52000000-0000-4000-8000-00000000000" n
#define MAC(n) "00:50:56:00:00:0" n
#define DPU    "dpu-one"

enum {
	SERVER,
	CARD
};

static struct fake_policy node[2];

static const char *text(int i)
{
	return node[i].last == NULL
		       ? ""
		       : json_object_to_json_string_ext(node[i].last, JSON_C_TO_STRING_PLAIN);
}

static bool says(int i, const char *what)
{
	return strstr(text(i), what) != NULL;
}

/* Nothing more is on its way. */
static bool is_settled(void)
{
	list_each (struct member, m, &t.c->hosts->members, link_node) {
		if (node_policy_state(m, NULL) != NODE_POLICY_REALIZED) {
			return false;
		}
	}
	return true;
}

static void want(enum intent_kind kind, const char *path, const char *body)
{
	struct intent_edit edit = {
		.kind = kind,
		.path = path,
		.body = json_parse(body, strlen(body), SIZE_MAX, 16, NULL),
	};
	struct error e = { 0 };

	if (!intent_apply(t.c->intent, &edit, 1, "root", &e)) {
		fail_msg("%s: %s", path, e.msg);
	}
}

/* ---- hosts ---- */

static void set_server(struct fake_host *h)
{
	struct value *config = value_new(t.a, T_HostConfigInfo);
	struct value *network = value_new(t.a, T_HostNetworkInfo);
	struct value *list = value_new_array(t.a, T_PhysicalNic),
		     *v = value_new(t.a, T_PhysicalNic);

	value_set_str(t.a, v, F_PhysicalNic_device, "vmnic0");
	value_set_str(t.a, v, F_PhysicalNic_pci, "");
	value_set(t.a, v, F_PhysicalNic_spec, value_new(t.a, T_PhysicalNicSpec));
	value_set_str(t.a, v, F_PhysicalNic_mac, "02:00:00:00:00:01");
	value_set_str(t.a, v, F_PhysicalNic_dpuId, DPU);
	value_push(t.a, list, v);
	value_set(t.a, network, F_HostNetworkInfo_pnic, list);
	value_set(t.a, config, F_HostConfigInfo_network, network);
	inventory_set(h->system, P_HostSystem_config, config);
}

static void set_card(struct fake_host *h)
{
	struct value *summary = value_edit(t.a, object_get(h->system, P_HostSystem_summary, t.a));
	struct value *hw = value_edit(t.a, value_get_value(summary, F_HostListSummary_hardware));
	struct value *list = value_new_array(t.a, T_HostSystemIdentificationInfo);
	struct value *v = value_new(t.a, T_HostSystemIdentificationInfo);
	struct value *type = value_new(t.a, T_ElementDescription);

	value_set_str(t.a, type, F_Description_label, "card");
	value_set_str(t.a, type, F_Description_summary, "card");
	value_set_str(t.a, type, F_ElementDescription_key, "RemoraDpuId");
	value_set_str(t.a, v, F_HostSystemIdentificationInfo_identifierValue, DPU);
	value_set(t.a, v, F_HostSystemIdentificationInfo_identifierType, type);
	value_push(t.a, list, v);
	value_set(t.a, hw, F_HostHardwareSummary_otherIdentifyingInfo, list);
	value_set(t.a, summary, F_HostListSummary_hardware, hw);
	inventory_set(h->system, P_HostSystem_summary, summary);
}

/* What the card says was seen at the function of the first VM. */
static void set_seen(struct fake_host *h, const char *addresses)
{
	struct value *config = value_new(t.a, T_HostConfigInfo);
	struct value *network = value_new(t.a, T_HostNetworkInfo);
	struct value *switches = value_new_array(t.a, T_HostOpaqueSwitch);
	struct value *s = value_new(t.a, T_HostOpaqueSwitch);
	struct value *options = value_new_array(t.a, T_OptionValue);
	struct value *o = value_new(t.a, T_OptionValue);

	value_set_str(t.a, o, F_OptionValue_key, "remora.lent." VM("1") ".4000");
	value_set(t.a, o, F_OptionValue_value, value_new_str(t.a, addresses));
	value_push(t.a, options, o);
	value_set_str(t.a, s, F_HostOpaqueSwitch_key, "tunnel");
	value_set(t.a, s, F_HostOpaqueSwitch_extraConfig, options);
	value_push(t.a, switches, s);
	value_set(t.a, network, F_HostNetworkInfo_opaqueSwitch, switches);
	value_set(t.a, config, F_HostConfigInfo_network, network);
	inventory_set(h->system, P_HostSystem_config, config);
}

static void add_hosts(unsigned functions)
{
	static const char *const uuids[] = { "4c4c4544-0000-4000-8000-000000000001",
					     "4c4c4544-0000-4000-8000-000000000002" };

	for (int i = SERVER; i <= CARD; i++) {
		t.host[i] =
			fake_host_new(&t.loop, i == SERVER ? "server" : "card", uuids[i], t.folder);
		(i == SERVER ? set_server : set_card)(t.host[i]);
		node[i].endpoint = i == CARD ? "10.255.0.2" : NULL;
		node[i].functions = i == CARD ? functions : 0;
		fake_policy_serve(&node[i], t.host[i]);
		add_by(host_spec(t.host[i]));
		expect_ok();
	}
	want(INTENT_SEGMENT, "/infra/segments/web", "{}");
	wait_for(is_settled());
}

static struct object *add_vm(int at, const char *name, const char *uuid, const char *mac)
{
	struct object *vm = fake_policy_add_vm(t.host[at], name, uuid, mac, "web");

	wait_for(intent_vm_by_uuid(t.c->intent, uuid) != NULL);
	return vm;
}

#define FUNCTION(number, n)                                                                        \
	"{\"name\":\"net-" number "\",\"card\":\"" VM(n) ".4000\",\"mac\":\"" MAC(                 \
		n) "\",\"segment\":\"web\",\"label\":\"vm-" n "\"}"

/* ---- tests ---- */

static int begin_test(void **state)
{
	memset(node, 0, sizeof(node));
	return setup_kept(state);
}

static int end_test(void **state)
{
	int rc = teardown(state);

	fake_policy_fini(&node[0]);
	fake_policy_fini(&node[1]);
	return rc;
}

static void test_who_gets_which(void **state)
{
	(void)state;
	add_hosts(2);
	struct object *first = add_vm(SERVER, "vm-1", VM("1"), MAC("1"));
	wait_for(says(CARD, FUNCTION("0", "1")));
	add_vm(SERVER, "vm-2", VM("2"), MAC("2"));
	wait_for(says(CARD, FUNCTION("1", "2")));
	add_vm(SERVER, "vm-3", VM("3"), MAC("3")); /* none is left */
	add_vm(CARD, "vm-4", VM("4"), MAC("4"));
	wait_for(is_settled());
	assert_false(says(CARD, VM("3")) || says(CARD, VM("4")));
	assert_false(says(SERVER, "functions") || says(SERVER, VM("1")));
	/* others are told that they are at the card, which is told nothing of itself */
	assert_false(says(CARD, "remotes\":[{"));
	restart();
	wait_for(is_settled());
	assert_true(says(CARD, FUNCTION("0", "1")) && says(CARD, FUNCTION("1", "2")));
	/* one that becomes free goes to who waits, the others keep theirs */
	fake_host_remove_vm(t.host[SERVER], first);
	wait_for(says(CARD, FUNCTION("0", "3")));
	assert_true(says(CARD, FUNCTION("1", "2")));
}

static void test_the_card_lends_more_or_none(void **state)
{
	(void)state;
	add_hosts(1);
	add_vm(SERVER, "vm-1", VM("1"), MAC("1"));
	add_vm(SERVER, "vm-2", VM("2"), MAC("2"));
	wait_for(says(CARD, FUNCTION("0", "1")));
	node[CARD].functions = 8;
	fake_host_stop(t.host[CARD]);
	fake_host_serve(t.host[CARD]);
	fake_policy_serve(&node[CARD], t.host[CARD]);
	wait_for(says(CARD, FUNCTION("1", "2")));
	assert_true(says(CARD, FUNCTION("0", "1")));
	node[CARD].functions = 0;
	fake_host_stop(t.host[CARD]);
	fake_host_serve(t.host[CARD]);
	fake_policy_serve(&node[CARD], t.host[CARD]);
	wait_for(!says(CARD, "functions"));
}

/* Rules hold where the port is; what the server says of its guests' addresses has no weight. */
static void test_policy_goes_to_the_card(void **state)
{
	(void)state;
	add_hosts(8);
	struct object *vm = add_vm(SERVER, "vm-1", VM("1"), MAC("1"));
	want(INTENT_SEGMENT_PORT, "/infra/segments/web/ports/p",
	     "{\"attachment\":{\"id\":\"" VM(
		     "1") ".4000\"},\"address_bindings\":["
			  "{\"ip_address\":\"10.1.0.21\",\"mac_address\":\"" MAC("1") "\"}]}");
	wait_for(says(CARD, "\"bindings\":[{\"port\":\"" VM("1") ".4000\",\"addresses\":["
								 "\"10.1.0.21\"]}]"));
	want(INTENT_GROUP, "/infra/domains/default/groups/odd",
	     "{\"expression\":[{\"resource_type\":\"Condition\",\"member_type\":\"VirtualMachine\","
	     "\"key\":\"Name\",\"operator\":\"STARTSWITH\",\"value\":\"vm-\"}]}");
	want(INTENT_SECURITY_POLICY, "/infra/domains/default/security-policies/p",
	     "{\"category\":\"Application\"}");
	want(INTENT_RULE, "/infra/domains/default/security-policies/p/rules/r",
	     "{\"rule_id\":1001,\"action\":\"DROP\",\"source_groups\":["
	     "\"/infra/domains/default/groups/odd\"],\"scope\":["
	     "\"/infra/domains/default/groups/odd\"]}");
	wait_for(says(CARD, "\"name\":\"odd\",\"addresses\":[\"10.1.0.21/32\"],\"ports\":[\"" VM(
				    "1") ".4000\"]") ||
		 says(CARD, "\"name\":\"odd\",\"addresses\":[\"10.1.0.21\"],\"ports\":[\"" VM(
				    "1") ".4000\"]"));
	fake_policy_set_address(t.host[SERVER], vm, "10.1.0.99");
	fake_policy_set_address(t.host[CARD], add_vm(CARD, "vm-4", VM("4"), MAC("4")), "10.1.0.44");
	wait_for(says(CARD, "10.1.0.44"));
	wait_for(is_settled());
	assert_false(says(CARD, "10.1.0.99"));
	/* what the card sees there does */
	set_seen(t.host[CARD], "10.1.0.77,fe80::1");
	wait_for(says(CARD, "10.1.0.77") && says(CARD, "10.1.0.21") && says(CARD, "fe80::1"));
	restart();
	wait_for(is_settled());
	assert_true(says(CARD, "10.1.0.77"));
	set_seen(t.host[CARD], "");
	wait_for(!says(CARD, "10.1.0.77") && says(CARD, "10.1.0.21"));
	assert_false(says(SERVER, "10.1.0.21") || says(SERVER, "\"odd\""));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)
	const struct CMUnitTest tests[] = {
		TEST(test_who_gets_which),
		TEST(test_the_card_lends_more_or_none),
		TEST(test_policy_goes_to_the_card),
	};

	return cmocka_run_group_tests_name("lend", tests, NULL, NULL);
}
