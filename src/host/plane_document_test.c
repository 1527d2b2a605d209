/* SPDX-License-Identifier: Apache-2.0 */
#include "host/plane_document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plane/document_schema.h"

static struct document_schema *plane_schema, *policy_schema;

#define CARD_A "52aa0000-0000-4000-8000-00000000000a.4000"
#define CARD_B "52aa0000-0000-4000-8000-00000000000b.4000"
#define CARD_C "52aa0000-0000-4000-8000-00000000000c.4001"

static const char *const nics[] = { "vmnic0", "vmnic2" };
static const struct plane_switch switches[] = {
	{ .name = "vSwitch0", .uplinks = nics, .n_uplinks = 2, .mtu = 1500 },
	{ .name = "inside", .mtu = 9000 },
};
static const struct plane_group groups[] = {
	{ .name = "VM Network", .on = "vSwitch0" },
	{ .name = "blue",
	  .on = "vSwitch0",
	  .vlan = 100,
	  .security = { .forged_transmits = true },
	  .from = { .bits_per_second = 100, .burst_bytes = 5 } },
	{ .name = "azure", .on = "vSwitch0", .vlan = 100 },
	{ .name = "all", .on = "vSwitch0", .vlan = PLANE_VLAN_TRUNK },
	{ .name = "jumbo", .on = "inside" },
};

static struct node node_with(size_t n_uplinks, bool has_endpoint)
{
	struct node n = { .uuid = "4c4c4544-0058-4b10-8051-b7c04f315a33", .n_uplinks = n_uplinks };

	for (size_t i = 0; i < n_uplinks; i++) {
		snprintf(n.uplinks[i].kind, sizeof(n.uplinks[i].kind), "memif");
		snprintf(n.uplinks[i].path, sizeof(n.uplinks[i].path), "/lab/%zu.sock", i);
	}
	if (has_endpoint) {
		snprintf(n.endpoint, sizeof(n.endpoint), "10.255.0.12/24");
		snprintf(n.endpoint_gateway, sizeof(n.endpoint_gateway), "10.255.0.1");
	}
	return n;
}

static struct plane_card card(const char *port, enum plane_network kind, const char *network)
{
	return (struct plane_card){ .port = port,
				    .label = "vm Network adapter 1",
				    .mac = "02:52:4D:00:00:0A",
				    .path = "/run/net",
				    .is_connected = true,
				    .kind = kind,
				    .network = network,
				    .switch_uuid = "50 11" };
}

static struct json_object *make(const struct plane_world *given)
{
	struct plane_world w = *given;
	struct error e = { 0 };

	w.first_uplink = 2;
	w.switches = switches;
	w.n_switches = 2;
	w.groups = groups;
	w.n_groups = sizeof(groups) / sizeof(groups[0]);
	struct json_object *o = plane_document_make(&w);
	struct json_at at = json_root(o);
	if (!document_schema_check(plane_schema, &at, &e)) {
		fail_msg("%s in %s", e.msg, json_object_to_json_string(o));
	}
	return o;
}

static struct json_object *policy_of(const char *text)
{
	struct error e = { 0 };
	struct json_object *o = json_parse(text, strlen(text), 1 << 20, 32, &e);

	assert_non_null(o);
	struct json_at at = json_root(o);
	if (!document_schema_check(policy_schema, &at, &e)) {
		fail_msg("%s", e.msg);
	}
	return o;
}

/* The item of a list that has that name, as text; "" where there is none. */
static const char *item(struct json_object *o, const char *list, const char *name)
{
	struct json_object *l, *v;

	assert_true(json_object_object_get_ex(o, list, &l));
	for (size_t i = 0; i < json_object_array_length(l); i++) {
		struct json_object *x = json_object_array_get_idx(l, i);
		if (json_object_object_get_ex(x, "name", &v) &&
		    strcmp(json_object_get_string(v), name) == 0) {
			return json_object_to_json_string_ext(
				x, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
		}
	}
	return "";
}

static void assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL) {
		fail_msg("no %s in %s", part, text);
	}
}

static void test_standard_switches(void **state)
{
	struct node n = node_with(1, false);
	struct plane_card cards[] = { card(CARD_A, PLANE_STANDARD, "blue"),
				      card(CARD_B, PLANE_STANDARD, "all"),
				      card(CARD_C, PLANE_STANDARD, "gone") };
	struct plane_world w = { .node = &n, .cards = cards, .n_cards = 3 };

	(void)state;
	cards[0].is_stream = true;
	struct json_object *o = make(&w);
	assert_has(item(o, "teams", "vSwitch0"), "\"ports\":[\"vmnic2\"]");
	assert_string_equal(item(o, "teams", "tunnel"), "");
	assert_has(item(o, "ports", "vmnic2"), "\"path\":\"/lab/0.sock\"");
	assert_has(item(o, "segments", "vSwitch0/100"), "\"team\":\"vSwitch0\",\"vlan\":100");
	const char *a = item(o, "ports", CARD_A);
	assert_has(a, "\"kind\":\"stream\"");
	assert_has(a, "\"mac\":\"02:52:4d:00:00:0a\"");
	assert_has(a, "\"segment\":\"vSwitch0/100\"");
	assert_has(a, "\"forged_transmits\":true,\"any_address\":true");
	assert_has(a, "\"from\":{\"bits_per_second\":8000,\"burst_bytes\":9018}");
	assert_has(item(o, "ports", CARD_B), "\"segment\":\"vSwitch0/0\",\"trunk\":[{\"vlan\":100,"
					     "\"segment\":\"vSwitch0/100\"}]");
	assert_has(item(o, "ports", CARD_C), "\"blocked\":true");
	assert_null(strstr(item(o, "ports", CARD_C), "segment"));
	json_object_put(o);
}

static void test_overlay(void **state)
{
	static const char text[] =
		"{\"generation\":3,\"manager\":\"4c4c4544-0058-4b10-8051-b7c04f315a33\","
		"\"segments\":[{\"id\":\"web\",\"name\":\"Web\",\"encapsulation\":\"geneve\","
		"\"vni\":7,\"router\":\"t1\",\"gateways\":[\"10.1.0.1/24\"],"
		"\"flood\":[\"10.255.0.22\"]}],"
		"\"routers\":[{\"name\":\"t1\",\"mac\":\"02:00:00:00:00:01\"}],"
		"\"bindings\":[{\"port\":\"" CARD_A "\",\"addresses\":[\"10.1.0.5\"]}],"
		"\"groups\":[{\"name\":\"g\",\"ports\":[\"" CARD_A "\",\"" CARD_C "\"]}],"
		"\"firewall\":{\"default\":\"drop\",\"sections\":[{\"name\":\"s\",\"rules\":"
		"[{\"id\":1,\"action\":\"allow\",\"applied_to\":[\"g\"],\"log\":true}]}]}}";
	struct node n = node_with(2, true);
	struct plane_card cards[] = { card(CARD_A, PLANE_OPAQUE, "web"),
				      card(CARD_B, PLANE_OPAQUE, "web") };
	struct plane_world w = {
		.node = &n, .cards = cards, .n_cards = 2, .policy = policy_of(text)
	};

	(void)state;
	struct json_object *o = make(&w);
	/* vmnic2, the first uplink, is vSwitch0's, and so is the endpoint. */
	assert_has(item(o, "teams", "vSwitch0"), "\"address\":\"10.255.0.12/24\"");
	assert_has(item(o, "teams", "vSwitch0"), "\"mtu\":9000");
	assert_has(item(o, "segments", "web"), "\"vni\":7");
	assert_has(item(o, "segments", "web"), "\"team\":\"vSwitch0\"");
	assert_has(item(o, "ports", CARD_A), "\"any_address\":false");
	assert_has(item(o, "ports", CARD_A), "\"addresses\":[\"10.1.0.5\"]");
	assert_has(item(o, "ports", CARD_B), "\"any_address\":true");
	assert_string_equal(item(o, "groups", "g"), "{\"name\":\"g\",\"ports\":[\"" CARD_A "\"]}");
	assert_has(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN),
		   "\"firewall\":{\"default\":\"drop\",\"sections\":[{\"name\":\"s\"");
	assert_has(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN),
		   "\"applied_to\":[\"g\"],\"log\":true}");
	json_object_put(o);
	/* Without an endpoint the segment is this node's alone. */
	n = node_with(0, false);
	o = make(&w);
	assert_null(strstr(item(o, "segments", "web"), "vni"));
	assert_has(item(o, "segments", "web"), "\"router\":\"t1\"");
	json_object_put(o);
	json_object_put(w.policy);
}

static void test_distributed_switches(void **state)
{
	static const char text[] =
		"{\"generation\":3,\"manager\":\"4c4c4544-0058-4b10-8051-b7c04f315a33\","
		"\"switches\":[{\"uuid\":\"50 11\",\"name\":\"vSwitch0\",\"uplinks\":[\"vmnic3\"],"
		"\"portgroups\":[{\"key\":\"dvportgroup-1\",\"name\":\"pg\",\"vlan\":100,"
		"\"promiscuous\":true,\"to\":{\"bits_per_second\":9000},"
		"\"groups\":[{\"name\":\"dvportgroup-1/a\",\"addresses\":[\"10.0.0.0/8\"]}],"
		"\"rules\":[{\"id\":4503599627370496,\"action\":\"drop\","
		"\"sources\":[\"dvportgroup-1/a\"]}]},"
		"{\"key\":\"dvportgroup-2\",\"name\":\"trunk\","
		"\"trunk\":[{\"start\":0,\"end\":4094}]},"
		"{\"key\":\"dvportgroup-3\",\"name\":\"few\",\"blocked\":true,"
		"\"trunk\":[{\"start\":5,\"end\":6}]}]}]}";
	struct node n = node_with(2, false);
	struct plane_card cards[] = { card(CARD_A, PLANE_DISTRIBUTED, "dvportgroup-1"),
				      card(CARD_B, PLANE_DISTRIBUTED, "dvportgroup-2"),
				      card(CARD_C, PLANE_DISTRIBUTED, "dvportgroup-3") };
	struct plane_world w = {
		.node = &n, .cards = cards, .n_cards = 3, .policy = policy_of(text)
	};

	(void)state;
	struct json_object *o = make(&w);
	/* Two switches of one name: each its own team and segments. */
	assert_has(item(o, "teams", "vSwitch0"), "vmnic2");
	assert_has(item(o, "teams", "vSwitch0~2"), "vmnic3");
	assert_has(item(o, "segments", "vSwitch0/100"), "\"team\":\"vSwitch0~2\"");
	assert_has(item(o, "ports", CARD_A), "\"to\":{\"bits_per_second\":9000}");
	assert_has(item(o, "ports", CARD_A), "\"promiscuous\":true");
	assert_has(item(o, "ports", CARD_B), "\"trunk\":[{\"vlan\":100,");
	assert_has(item(o, "ports", CARD_B), "\"segment\":\"vSwitch0/0\"");
	assert_has(item(o, "ports", CARD_C), "\"trunk\":[{\"vlan\":5,");
	assert_has(item(o, "ports", CARD_C), "\"blocked\":true");
	assert_has(item(o, "groups", "portgroup 50 11 dvportgroup-1"),
		   "\"ports\":[\"" CARD_A "\"]");
	assert_has(item(o, "groups", "dvportgroup-1/a"), "10.0.0.0");
	assert_has(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN),
		   "\"applied_to\":[\"portgroup 50 11 dvportgroup-1\"]");
	json_object_put(o);
	json_object_put(w.policy);
}

static void test_names_are_cut_and_unique(void **state)
{
	static const char text[] =
		"{\"generation\":3,\"manager\":\"4c4c4544-0058-4b10-8051-b7c04f315a33\","
		"\"switches\":[{\"uuid\":\"50 "
		"11\",\"name\":\"0123456789012345678901234567890123456789"
		"01234567890123456789012345678901234567890123456789\",\"portgroups\":"
		"[{\"key\":\"a\",\"name\":\"a\",\"vlan\":1},{\"key\":\"b\",\"name\":\"b\","
		"\"vlan\":2}]}]}";
	struct node n = node_with(0, false);
	struct plane_card cards[] = { card(CARD_A, PLANE_DISTRIBUTED, "a"),
				      card(CARD_B, PLANE_DISTRIBUTED, "b") };
	struct plane_world w = {
		.node = &n, .cards = cards, .n_cards = 2, .policy = policy_of(text)
	};

	(void)state;
	struct json_object *o = make(&w);
	assert_has(item(o, "segments",
			"012345678901234567890123456789012345678901234567890123456789012"),
		   "\"vlan\":1");
	assert_has(item(o, "segments",
			"0123456789012345678901234567890123456789012345678901234567890~2"),
		   "\"vlan\":2");
	json_object_put(o);
	json_object_put(w.policy);
}

static struct document_schema *schema_open(const char *path)
{
	struct error e = { 0 };
	struct json_object *o = json_parse_file(path, 1 << 20, &e);
	struct document_schema *s = o == NULL ? NULL : document_schema_new(o, &e);

	if (s == NULL) {
		fprintf(stderr, "%s\n", e.msg);
		exit(1);
	}
	json_object_put(o);
	return s;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_standard_switches),
		cmocka_unit_test(test_overlay),
		cmocka_unit_test(test_distributed_switches),
		cmocka_unit_test(test_names_are_cut_and_unique),
	};

	if (argc != 3) {
		fprintf(stderr, "usage: %s PLANE-SCHEMA POLICY-SCHEMA\n", argv[0]);
		return 1;
	}
	plane_schema = schema_open(argv[1]);
	policy_schema = schema_open(argv[2]);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	document_schema_free(plane_schema);
	document_schema_free(policy_schema);
	return failed;
}
