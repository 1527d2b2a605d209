/* SPDX-License-Identifier: Apache-2.0 */
/* The policy interface, from requests to what nodes are given. */
#include "center/policy_api.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "center/fake_policy.h"
#include "center/hosts.h"
#include "center/hosts_rig.h"
#include "center/intent.h"
#include "center/intent_address.h"
#include "center/intent_card.h"
#include "center/member.h"
#include "center/node_policy.h"
#include "center/place.h"
#include "center/policy_document.h"

#define VM_1  "52000000-0000-4000-8000-000000000001"
#define VM_2  "52000000-0000-4000-8000-000000000002"
#define VM_3  "52000000-0000-4000-8000-000000000003"
#define MAC_1 "00:50:56:00:00:01"
#define MAC_2 "00:50:56:00:00:02"
#define MAC_3 "00:50:56:00:00:03"
#define BASE  "/policy/api/v1"
#define GROUP "/infra/domains/default/groups/"
#define RULES "/infra/domains/default/security-policies/"
#define TAGGED(value)                                                                              \
	"{\"expression\":[{\"resource_type\":\"Condition\",\"member_type\":\"VirtualMachine\","    \
	"\"key\":\"Tag\",\"operator\":\"EQUALS\",\"value\":\"" value "\"}]}"

static struct {
	struct policy_api *api;
	struct fake_policy node[3];
	int status;
	struct json_object *answer; /* NULL: empty */
	bool is_answered;
	struct session *session; /* NULL: the system's */
	const char *query[4];	 /* names and values */
} p;

/* ---- requests ---- */

static const char *query_of(void *arg, const char *name)
{
	(void)arg;
	for (int i = 0; i < 4 && p.query[i] != NULL; i += 2) {
		if (strcmp(p.query[i], name) == 0) {
			return p.query[i + 1];
		}
	}
	return NULL;
}

static void on_answer(void *arg, int status, struct buf *body)
{
	(void)arg;
	p.status = status;
	json_object_put(p.answer);
	p.answer = body->len == 0 ? NULL : json_parse(body->data, body->len, SIZE_MAX, 32, NULL);
	p.is_answered = true;
}

static int ask(const char *method, const char *path, const char *body)
{
	char full[512];

	snprintf(full, sizeof(full), BASE "%s", path);
	p.is_answered = false;
	policy_api_call(
		p.api,
		&(struct policy_request){
			.session = p.session != NULL ? p.session : session_system(t.api->sessions),
			.method = method,
			.path = full,
			.query = query_of,
			.body = body,
			.len = body == NULL ? 0 : strlen(body),
			.done = on_answer });
	wait_for(p.is_answered);
	p.query[0] = NULL;
	return p.status;
}

#define must(want, method, path, body)                                                             \
	do {                                                                                       \
		if (ask(method, path, body) != (want)) {                                           \
			fail_msg("%s %s: %d %s", method, path, p.status,                           \
				 json_object_to_json_string(p.answer));                            \
		}                                                                                  \
	} while (0)

/* Text at "a.b[0].c" of a document; numbers as text; "": absent. */
static const char *at(struct json_object *o, const char *path)
{
	struct json_object *found = NULL;
	char pointer[256] = "";
	size_t n = 0;

	for (const char *c = path; *c != '\0' && n + 2 < ARRAY_LEN(pointer); c++) {
		if (c == path) {
			pointer[n++] = '/';
		}
		if (*c != ']') {
			pointer[n++] = *c == '.' || *c == '[' ? '/' : *c;
		}
	}
	pointer[n] = '\0';
	return o != NULL && json_pointer_get(o, pointer, &found) == 0
		       ? json_object_get_string(found)
		       : "";
}

static const char *realized(const char *path)
{
	p.query[0] = "intent_path";
	p.query[1] = path;
	p.query[2] = NULL;
	must(200, "GET", "/infra/realized-state/status", NULL);
	return at(p.answer, "consolidated_status.consolidated_status");
}

static void tag(const char *uuid, const char *value)
{
	char body[200];

	p.query[0] = "action";
	p.query[1] = "update_tags";
	p.query[2] = NULL;
	snprintf(body, sizeof(body), "{\"external_id\":\"%s\",\"tags\":[{\"tag\":\"%s\"}]}", uuid,
		 value);
	must(200, "POST", "/fabric/virtual-machines", body);
}

/* Everything wanted is on both nodes. */
static bool is_settled(void)
{
	list_each (struct member, m, &t.c->hosts->members, link_node) {
		if (node_policy_state(m, NULL) != NODE_POLICY_REALIZED) {
			return false;
		}
	}
	return true;
}

static const char *text(int i)
{
	return json_object_to_json_string_ext(p.node[i].last, JSON_C_TO_STRING_PLAIN);
}

/* ---- life ---- */

static int begin_test(void **state)
{
	struct error e = { 0 };

	setup_kept(state);
	memset(&p, 0, sizeof(p));
	p.api = policy_api_new(t.c, &e);
	if (p.api == NULL) {
		fail_msg("%s", e.msg);
	}
	return 0;
}

static int end_test(void **state)
{
	policy_api_free(p.api);
	int rc = teardown(state);
	json_object_put(p.answer);
	fake_policy_fini(&p.node[0]);
	fake_policy_fini(&p.node[1]);
	fake_policy_fini(&p.node[2]);
	return rc;
}

static void add_node(int i, const char *name, const char *uuid, const char *endpoint)
{
	t.host[i] = fake_host_new(&t.loop, name, uuid, t.folder);
	p.node[i].endpoint = endpoint;
	fake_policy_serve(&p.node[i], t.host[i]);
	add_by(host_spec(t.host[i]));
	expect_ok();
	wait_for(is_settled());
}

static void add_nodes(void)
{
	add_node(0, "one", UUID_1, "10.255.0.1");
	add_node(1, "two", UUID_2, "10.255.0.2");
}

static struct object *add_vm(int i, const char *name, const char *uuid, const char *mac,
			     const char *network)
{
	struct object *vm = fake_policy_add_vm(t.host[i], name, uuid, mac, network);

	wait_for(intent_vm_by_uuid(t.c->intent, uuid) != NULL);
	return vm;
}

static void again(void)
{
	struct error e = { 0 };

	policy_api_free(p.api);
	restart();
	p.api = policy_api_new(t.c, &e);
	assert_non_null(p.api);
}

/* ---- addresses ---- */

static void collect(void *arg, const char *prefix)
{
	struct buf *b = arg;

	buf_addf(b, "%s%s", b->len == 0 ? "" : " ", prefix);
}

static void test_addresses(void **state)
{
	static const char *const good[][2] = {
		{ "10.1.2.3", "10.1.2.3" },
		{ "10.1.2.3/8", "10.0.0.0/8" },
		{ "0.0.0.0/0", "0.0.0.0/0" },
		{ "0.0.0.0-255.255.255.255", "0.0.0.0/0" },
		{ "10.0.0.1-10.0.0.4", "10.0.0.1 10.0.0.2/31 10.0.0.4" },
		{ "10.0.0.7-10.0.0.7", "10.0.0.7" },
		{ "FD00::1/64", "fd00::/64" },
		{ "fd00::ffff-fd00::1:1", "fd00::ffff fd00::1:0/127" },
		{ "::/0", "::/0" },
	};
	static const char *const bad[] = { "",
					   "10.0.0",
					   "10.0.0.0/33",
					   "10.0.0.0/",
					   "10.0.0.0/+8",
					   "fd00::/129",
					   "10.0.0.2-10.0.0.1",
					   "10.0.0.1-fd00::1",
					   "10.0.0.1-",
					   "x",
					   "-",
					   "10.0.0.1/8/8" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct buf b = BUF_INIT;
		assert_true(intent_prefixes(good[i][0], collect, &b));
		assert_string_equal(b.data, good[i][1]);
		buf_free(&b);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct buf b = BUF_INIT;
		assert_false(intent_prefixes(bad[i], collect, &b));
		buf_free(&b);
	}
	char out[INTENT_PREFIX_MAX];
	assert_true(intent_gateway("10.1.0.1/24", out));
	assert_false(intent_gateway("10.1.0.1", out));
	assert_false(intent_gateway("10.1.0.1/0", out));
}

/* ---- objects ---- */

static void test_objects(void **state)
{
	(void)state;
	must(200, "PUT", "/infra/segments/web", "{\"display_name\":\"Web\"}");
	assert_string_equal(at(p.answer, "overlay_id"), "5000");
	assert_string_equal(at(p.answer, "_revision"), "0");
	must(412, "PUT", "/infra/segments/web", "{\"display_name\":\"Web 2\"}");
	must(412, "PUT", "/infra/segments/web", "{\"_revision\":3}");
	assert_string_equal(at(p.answer, "error_code"), "604");
	must(200, "PUT", "/infra/segments/web", "{\"_revision\":0,\"display_name\":\"Web 2\"}");
	assert_string_equal(at(p.answer, "_revision"), "1");
	assert_string_equal(at(p.answer, "overlay_id"), "5000");
	must(200, "PATCH", "/infra/segments/web", "{\"description\":\"d\"}");
	must(200, "GET", "/infra/segments/web", NULL);
	assert_string_equal(at(p.answer, "display_name"), "Web 2");
	assert_string_equal(at(p.answer, "description"), "d");
	/* what was read may be written back as it is */
	char *whole = mem_strdup(json_object_to_json_string(p.answer));
	must(200, "PUT", "/infra/segments/web", whole);
	free(whole);
	must(200, "DELETE", "/infra/segments/web", NULL);
	must(404, "GET", "/infra/segments/web", NULL);
	must(404, "DELETE", "/infra/segments/web", NULL);
}

static void test_survives(void **state)
{
	(void)state;
	must(200, "PATCH", "/infra/tier-1s/t1", "{}");
	must(200, "PATCH", "/infra/segments/web", "{\"connectivity_path\":\"/infra/tier-1s/t1\"}");
	must(200, "PATCH", "/infra/services/ssh",
	     "{\"service_entries\":[{\"resource_type\":\"L4PortSetServiceEntry\","
	     "\"l4_protocol\":\"TCP\",\"destination_ports\":[\"22\"]}]}");
	/* the group within comes after the one that it is in */
	must(200, "PATCH", GROUP "a", TAGGED("x"));
	must(200, "PATCH", GROUP "b", TAGGED("y"));
	must(200, "PATCH", GROUP "a",
	     "{\"expression\":[{\"resource_type\":\"PathExpression\",\"paths\":[\"" GROUP
	     "b\"]}]}");
	must(200, "PUT", RULES "p",
	     "{\"rules\":[{\"id\":\"r\",\"action\":\"DROP\",\"services\":["
	     "\"/infra/services/ssh\"],\"source_groups\":[\"" GROUP "a\"]}]}");
	assert_string_equal(at(p.answer, "rules[0].rule_id"), "1001");
	again();
	must(200, "GET", RULES "p", NULL);
	assert_string_equal(at(p.answer, "rules[0].rule_id"), "1001");
	must(200, "PATCH", RULES "p/rules/r2", "{\"action\":\"ALLOW\"}");
	must(200, "GET", RULES "p/rules/r2", NULL);
	assert_string_equal(at(p.answer, "rule_id"), "1002");
	must(400, "DELETE", GROUP "b", NULL);
	assert_string_equal(at(p.answer, "error_code"), "500030");
	must(400, "DELETE", "/infra/tier-1s/t1", NULL);
	must(200, "DELETE", RULES "p", NULL);
	must(404, "GET", RULES "p/rules/r", NULL);
	must(200, "DELETE", GROUP "a", NULL);
	again();
	must(404, "GET", GROUP "a", NULL);
	must(200, "GET", GROUP "b", NULL);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *path, *body, *text;
	} cases[] = {
		{ "/infra/segments/s", "[]", "the body must be an object in JSON" },
		{ "/infra/segments/s", "{", "the body must be an object in JSON" },
		{ "/infra/segments/s", "{\"vlan_ids\":[\"1\"]}",
		  "\"vlan_ids\": is not known here" },
		{ "/infra/segments/s", "{\"id\":\"t\"}", "\"id\": is \"t\"" },
		{ "/infra/segments/s", "{\"overlay_id\":0}", "1 to 16777215" },
		{ "/infra/segments/s", "{\"overlay_id\":7}",
		  "is segment \"/infra/segments/old\"'s" },
		{ "/infra/segments/s", "{\"subnets\":[{\"gateway_address\":\"10.0.0.1\"}]}",
		  "is no address/length" },
		{ "/infra/segments/s", "{\"connectivity_path\":\"/infra/tier-1s/no\"}",
		  "there is no Tier1 \"/infra/tier-1s/no\"" },
		{ "/infra/segments/s", "{\"transport_zone_path\":\"/x\"}", "no transport zone" },
		{ "/infra/segments/s!", "{}", "the id \"s!\"" },
		{ "/infra/segments/.s", "{}", "the id \".s\"" },
		{ GROUP "g", "{\"expression\":[{\"resource_type\":\"NestedExpression\"}]}",
		  "\"expression[0]\": resource_type \"NestedExpression\" is not supported" },
		{ GROUP "g",
		  "{\"expression\":[{\"resource_type\":\"Condition\",\"member_type\":\"Segment\","
		  "\"key\":\"Tag\",\"operator\":\"EQUALS\",\"value\":\"x\"}]}",
		  "\"expression[0].member_type\"" },
		{ GROUP "g",
		  "{\"expression\":[{\"resource_type\":\"IPAddressExpression\",\"ip_addresses\":["
		  "\"10.0.0.300\"]}]}",
		  "\"10.0.0.300\" is no address" },
		{ GROUP "g",
		  "{\"expression\":[{\"resource_type\":\"ConjunctionOperator\","
		  "\"conjunction_operator\":\"OR\"}]}",
		  "stands between" },
		{ GROUP "old",
		  "{\"_revision\":0,\"expression\":[{\"resource_type\":\"PathExpression\","
		  "\"paths\":[\"" GROUP "old\"]}]}",
		  "contains this one" },
		{ RULES "p", "{\"rules\":[{\"action\":\"DROP\"}]}", "\"id\"" },
		{ RULES "p", "{\"rules\":[{\"id\":\"a\"}]}", "\"action\"" },
		{ RULES "p", "{\"rules\":[{\"id\":\"a/b\",\"action\":\"DROP\"}]}", "is no id" },
		{ RULES "p",
		  "{\"rules\":[{\"id\":\"a\",\"action\":\"DROP\"},{\"id\":\"a\",\"action\":"
		  "\"DROP\"}]}",
		  "there twice" },
		{ RULES "p",
		  "{\"rules\":[{\"id\":\"a\",\"action\":\"DROP\",\"sources_excluded\":true}]}",
		  "sources_excluded" },
		{ RULES "p",
		  "{\"rules\":[{\"id\":\"a\",\"action\":\"DROP\",\"source_groups\":[\"/x\"]}]}",
		  "there is no Group \"/x\"" },
		{ RULES "p", "{\"category\":\"Ethernet\"}", "\"category\"" },
		{ "/infra/services/s",
		  "{\"service_entries\":[{\"resource_type\":\"L4PortSetServiceEntry\","
		  "\"l4_protocol\":\"TCP\",\"destination_ports\":[\"80-70\"]}]}",
		  "\"80-70\" is no port" },
		{ "/infra/services/s", "{}", "\"service_entries\"" },
	};

	(void)state;
	must(200, "PUT", "/infra/segments/old", "{\"overlay_id\":7}");
	must(200, "PUT", GROUP "old", TAGGED("x"));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		must(400, "PUT", cases[i].path, cases[i].body);
		if (strstr(at(p.answer, "error_message"), cases[i].text) == NULL) {
			fail_msg("%s: %s", cases[i].body, at(p.answer, "error_message"));
		}
	}
	/* nothing has come of any of it */
	must(200, "GET", "/infra/segments", NULL);
	assert_string_equal(at(p.answer, "result_count"), "1");
}

static void test_lists(void **state)
{
	char path[64];

	(void)state;
	for (int i = 0; i < 25; i++) {
		snprintf(path, sizeof(path), GROUP "g%02d", i);
		must(200, "PATCH", path, "{}");
	}
	const char *cursor = NULL;
	char last[64] = "";
	int n = 0;
	do {
		p.query[0] = "page_size";
		p.query[1] = "10";
		p.query[2] = cursor == NULL ? NULL : "cursor";
		p.query[3] = last;
		must(200, "GET", "/infra/domains/default/groups", NULL);
		assert_string_equal(at(p.answer, "result_count"), "25");
		n += (int)json_object_array_length(json_object_object_get(p.answer, "results"));
		cursor = at(p.answer, "cursor");
		snprintf(last, sizeof(last), "%s", cursor);
	} while (last[0] != '\0');
	assert_int_equal(n, 25);
	p.query[0] = "page_size";
	p.query[1] = "0";
	p.query[2] = NULL;
	must(400, "GET", "/infra/domains/default/groups", NULL);
	/* rules by number, policies by category */
	must(200, "PATCH", RULES "a",
	     "{\"rules\":[{\"id\":\"a\",\"action\":\"DROP\",\"sequence_number\":9},"
	     "{\"id\":\"b\",\"action\":\"DROP\",\"sequence_number\":3}]}");
	must(200, "PATCH", RULES "z", "{\"category\":\"Emergency\"}");
	must(200, "GET", "/infra/domains/default/security-policies", NULL);
	assert_string_equal(at(p.answer, "results[0].id"), "z");
	must(200, "GET", RULES "a/rules", NULL);
	assert_string_equal(at(p.answer, "results[0].id"), "b");
	/* PUT says all rules, PATCH some */
	must(200, "PATCH", RULES "a", "{\"rules\":[{\"id\":\"c\",\"action\":\"ALLOW\"}]}");
	must(200, "GET", RULES "a/rules", NULL);
	assert_string_equal(at(p.answer, "result_count"), "3");
	/* and of a rule that is there only what changes */
	must(200, "PATCH", RULES "a", "{\"rules\":[{\"id\":\"c\",\"disabled\":true}]}");
	must(200, "GET", RULES "a/rules/c", NULL);
	assert_string_equal(at(p.answer, "action"), "ALLOW");
	assert_string_equal(at(p.answer, "disabled"), "true");
	must(200, "PUT", RULES "a",
	     "{\"_revision\":2,\"rules\":[{\"id\":\"c\",\"action\":\"ALLOW\"}]}");
	must(200, "GET", RULES "a/rules", NULL);
	assert_string_equal(at(p.answer, "result_count"), "1");
}

static void on_login(void *arg, struct session *s, const struct error *e)
{
	(void)arg;
	(void)e;
	p.session = s;
}

static void test_rights(void **state)
{
	struct error e = { 0 };

	(void)state;
	assert_true(user_set(t.users, "guest", "Guest-pass-1", NULL, &e));
	session_login(t.api->sessions, "guest", "Guest-pass-1", "test", on_login, NULL);
	wait_for(p.session != NULL);
	must(403, "GET", "/infra/segments", NULL);
	assert_string_equal(at(p.answer, "httpStatus"), "FORBIDDEN");
	must(403, "PUT", "/infra/segments/s", "{}");
	session_logout(p.session);
	p.session = NULL;
	must(404, "GET", "/infra/segments/s", NULL);
}

/* ---- the document for clients ---- */

static void fill_path(const char *template, char *out, size_t size)
{
	size_t n = 0;

	while (*template != '\0' && n + 2 < size) {
		if (*template == '{') {
			out[n++] = 'x';
			template += strcspn(template, "}") + 1;
		} else {
			out[n++] = *template ++;
		}
	}
	out[n] = '\0';
}

static void test_openapi(void **state)
{
	struct json_object *document =
		json_parse(policy_document, policy_document_size, SIZE_MAX, 32, NULL);
	struct json_object *paths = json_object_object_get(document, "paths");
	char path[256];
	int n = 0;

	(void)state;
	must(200, "GET", "/spec/openapi/nsx_policy_api.json", NULL);
	assert_true(json_object_equal(p.answer, document));
	json_object_object_foreach(paths, template, operations)
	{
		json_object_object_foreach(operations, method, operation)
		{
			char upper[8];
			size_t i = 0;
			for (; method[i] != '\0' && i + 1 < ARRAY_LEN(upper); i++) {
				upper[i] = (char)(method[i] - 'a' + 'A');
			}
			upper[i] = '\0';
			fill_path(template, path, sizeof(path));
			bool has_body = json_object_object_get(operation, "requestBody") != NULL;
			ask(upper, path, has_body ? "{}" : NULL);
			assert_int_not_equal(p.status, 405);
			assert_string_not_equal(at(p.answer, "error_code"), "404");
			n++;
		}
	}
	assert_int_equal(n, 47);
	must(404, "GET", "/infra/nothing", NULL);
	assert_string_equal(at(p.answer, "error_code"), "404");
	must(405, "POST", "/infra/segments", "{}");
	json_object_put(document);
}

/* ---- nodes ---- */

static void test_segment_everywhere(void **state)
{
	(void)state;
	add_nodes();
	must(200, "PATCH", "/infra/segments/web", "{}");
	add_vm(0, "a", VM_1, MAC_1, "web");
	struct object *b = add_vm(1, "b", VM_2, MAC_2, "web");
	wait_for(is_settled());
	assert_non_null(strstr(text(0), "{\"mac\":\"" MAC_2 "\",\"endpoint\":\"10.255.0.2\""));
	assert_null(strstr(text(0), MAC_1));
	assert_non_null(strstr(text(1), "\"flood\":[\"10.255.0.1\"]"));
	assert_string_equal(realized("/infra/segments/web"), "SUCCESS");
	/* an address that was seen goes to the other node, and only there */
	unsigned before = p.node[1].n_puts;
	fake_policy_set_address(t.host[1], b, "10.1.0.2");
	wait_for(strstr(text(0), "\"addresses\":[\"10.1.0.2\"]") != NULL);
	wait_for(is_settled());
	assert_int_equal(p.node[1].n_puts, before);
	/* in use */
	must(400, "DELETE", "/infra/segments/web", NULL);
	fake_host_remove_vm(t.host[1], b);
	wait_for(strstr(text(0), MAC_2) == NULL);
}

static void test_rule_by_tag(void **state)
{
	(void)state;
	add_nodes();
	must(200, "PATCH", "/infra/segments/web", "{}");
	struct object *a = add_vm(0, "a", VM_1, MAC_1, "web");
	add_vm(1, "b", VM_2, MAC_2, "web");
	fake_policy_set_address(t.host[0], a, "10.1.0.1");
	must(200, "PATCH", GROUP "red", TAGGED("red"));
	must(200, "PATCH", GROUP "blue", TAGGED("blue"));
	must(200, "PATCH", RULES "p",
	     "{\"rules\":[{\"id\":\"r\",\"action\":\"DROP\",\"source_groups\":[\"" GROUP
	     "red\",\"192.0.2.0/24\"],\"scope\":[\"" GROUP "blue\"],\"logged\":true}]}");
	wait_for(is_settled());
	assert_null(strstr(text(0), "\"action\""));
	assert_null(strstr(text(1), "\"action\""));
	tag(VM_2, "blue");
	wait_for(strstr(text(1), "\"action\":\"drop\"") != NULL);
	wait_for(is_settled());
	assert_null(strstr(text(0), "\"action\"")); /* none of its cards */
	assert_non_null(strstr(text(1), "\"action\":\"drop\",\"log\":true}"));
	assert_non_null(strstr(text(1), "{\"name\":\"blue\",\"ports\":[\"" VM_2 ".4000\"]}"));
	assert_non_null(strstr(text(1), "{\"name\":\"red\",\"addresses\":[]}"));
	assert_non_null(strstr(text(1), "\"name\":\"1001:sources\""));
	tag(VM_1, "red");
	wait_for(strstr(text(1), "{\"name\":\"red\",\"addresses\":[\"10.1.0.1\"]}") != NULL);
	wait_for(is_settled());
	assert_string_equal(realized(RULES "p"), "SUCCESS");
	must(200, "GET", GROUP "red/members/virtual-machines", NULL);
	assert_string_equal(at(p.answer, "results[0].external_id"), VM_1);
	must(200, "GET", GROUP "red/members/ip-addresses", NULL);
	assert_string_equal(at(p.answer, "results[0]"), "10.1.0.1");
	/* what the rule met, from the node that has it */
	p.node[1].rules = "[{\"id\":1001,\"hits\":3,\"packets\":4,\"bytes\":500}]";
	must(200, "GET", RULES "p/rules/r/statistics", NULL);
	assert_string_equal(at(p.answer, "results[0].statistics.hit_count"), "3");
	must(200, "GET", RULES "p/statistics", NULL);
	assert_string_equal(at(p.answer, "results[0].statistics.results[0].byte_count"), "500");
	tag(VM_2, "green");
	wait_for(strstr(text(1), "\"action\"") == NULL);
}

static void test_realization(void **state)
{
	(void)state;
	add_nodes();
	p.node[1].is_holding = true;
	must(200, "PATCH", "/infra/segments/web", "{}");
	assert_string_equal(realized("/infra/segments/web"), "IN_PROGRESS");
	wait_for(p.node[1].held != NULL && p.node[0].last != NULL);
	assert_string_equal(realized("/infra/segments/web"), "IN_PROGRESS");
	fake_policy_release(&p.node[1]);
	wait_for(is_settled());
	assert_string_equal(realized("/infra/segments/web"), "SUCCESS");
	/* refused: said, and not tried again before it is another */
	p.node[1].status = 400;
	must(200, "PATCH", "/infra/segments/db", "{}");
	wait_for(strcmp(realized("/infra/segments/db"), "ERROR") == 0);
	assert_non_null(strstr(json_object_to_json_string(p.answer), "does not fit"));
	unsigned before = p.node[1].n_puts;
	turn(50);
	assert_int_equal(p.node[1].n_puts, before);
	/* the switch is away for a moment */
	p.node[1].status = 503;
	must(200, "DELETE", "/infra/segments/db", NULL);
	must(200, "PATCH", "/infra/segments/app", "{}");
	wait_for(p.node[1].n_puts >= before + 2);
	p.node[1].status = 0;
	wait_for(is_settled());
	assert_string_equal(realized("/infra/segments/app"), "SUCCESS");
	/* somebody else's generation */
	p.node[1].status = 409;
	must(200, "PATCH", "/infra/segments/four", "{}");
	before = p.node[1].n_puts;
	wait_for(p.node[1].n_puts > before);
	p.node[1].status = 0;
	wait_for(is_settled());
}

static enum node_policy_state state_at(int i)
{
	list_each (struct member, m, &t.c->hosts->members, link_node) {
		if (m->port == t.host[i]->port) {
			return m->state == MEMBER_CONNECTED ? node_policy_state(m, NULL)
							    : NODE_POLICY_NONE;
		}
	}
	return NODE_POLICY_NONE;
}

/* A manager that was started again and has not heard of a host takes nothing from the others. */
static void test_restart(void **state)
{
	(void)state;
	add_nodes();
	must(200, "PATCH", "/infra/segments/web", "{}");
	add_vm(0, "a", VM_1, MAC_1, "web");
	struct object *b = add_vm(1, "b", VM_2, MAC_2, "web");
	fake_policy_set_address(t.host[1], b, "10.1.0.2");
	wait_for(strstr(p.node[0].last == NULL ? "" : text(0), "10.1.0.2") != NULL);
	wait_for(is_settled());
	fake_host_stop(t.host[1]);
	wait_for(state_at(1) == NODE_POLICY_NONE);
	unsigned before = p.node[0].n_puts;
	again();
	wait_for(p.node[0].n_puts > before);
	wait_for(state_at(0) == NODE_POLICY_REALIZED);
	assert_non_null(strstr(text(0), "{\"mac\":\"" MAC_2 "\",\"endpoint\":\"10.255.0.2\","
					"\"addresses\":[\"10.1.0.2\"]}"));
	assert_string_equal(realized("/infra/segments/web"), "IN_PROGRESS");
	fake_host_serve(t.host[1]);
	fake_policy_serve(&p.node[1], t.host[1]);
	wait_for(is_settled());
	assert_string_equal(realized("/infra/segments/web"), "SUCCESS");
}

/* Of three nodes one has the VM, one will have it, and one talks to it. */
static void test_moving(void **state)
{
	(void)state;
	add_nodes();
	add_node(2, "three", "33333333-3333-4333-8333-333333333333", "10.255.0.3");
	must(200, "PATCH", "/infra/tier-1s/t1", "{}");
	must(200, "PATCH", "/infra/segments/web",
	     "{\"connectivity_path\":\"/infra/tier-1s/t1\",\"subnets\":[{\"gateway_address\":"
	     "\"10.1.0.1/24\"}]}");
	must(200, "PATCH", "/infra/segments/web/ports/a",
	     "{\"attachment\":{\"id\":\"" VM_1 ".4000\"},\"address_bindings\":[{\"ip_address\":"
	     "\"10.1.0.2\"}]}");
	must(200, "PATCH", RULES "p",
	     "{\"category\":\"Application\",\"rules\":[{\"id\":\"r\",\"action\":\"DROP\"}]}");
	add_vm(0, "a", VM_1, MAC_1, "web");
	add_vm(2, "c", VM_3, MAC_3, "web");
	wait_for(vm_here("a") != NULL && vm_here("c") != NULL);
	wait_for(is_settled());
	struct member *to = NULL;
	list_each (struct member, m, &t.c->hosts->members, link_node) {
		to = strcmp(member_name(m), t.host[1]->name) == 0 ? m : to;
	}
	assert_null(strstr(text(1), "\"bindings\""));
	assert_null(strstr(text(1), "\"flood\":[\"10.255.0.3\"]"));
	intent_cards_moving(t.c->intent, vm_here("a"), to);
	wait_for(is_settled());
	assert_non_null(strstr(text(0), "\"bindings\":[{\"port\":\"" VM_1 ".4000\""));
	assert_non_null(strstr(text(1), "\"bindings\":[{\"port\":\"" VM_1 ".4000\""));
	assert_non_null(strstr(text(1), "\"action\":\"drop\""));
	assert_non_null(strstr(text(2), "{\"mac\":\"" MAC_1 "\",\"endpoint\":\"10.255.0.1\","
					"\"moving_to\":\"10.255.0.2\""));
	assert_non_null(strstr(text(1), "{\"mac\":\"" MAC_1 "\",\"endpoint\":\"10.255.0.1\","
					"\"addresses\""));
	assert_null(strstr(text(1), "moving_to"));
	assert_non_null(strstr(text(0), "{\"mac\":\"" MAC_1 "\",\"endpoint\":\"10.255.0.2\","
					"\"leaving\":true,\"addresses\""));
	assert_null(strstr(text(0), "moving_to"));
	assert_non_null(strstr(text(0), "\"10.255.0.2\""));
	assert_non_null(strstr(text(2), "\"flood\":[\"10.255.0.1\",\"10.255.0.2\"]"));
	intent_cards_moving(t.c->intent, vm_here("a"), NULL);
	wait_for(is_settled());
	assert_null(strstr(text(1), "\"bindings\""));
	assert_null(strstr(text(2), "moving_to"));
	assert_null(strstr(text(2), "10.255.0.2"));
}

static void test_bindings(void **state)
{
	(void)state;
	add_nodes();
	must(200, "PATCH", "/infra/tier-1s/t1", "{}");
	must(200, "PATCH", "/infra/segments/web",
	     "{\"connectivity_path\":\"/infra/tier-1s/t1\",\"subnets\":[{\"gateway_address\":"
	     "\"10.1.0.1/24\"}]}");
	must(200, "PATCH", "/infra/segments/db",
	     "{\"connectivity_path\":\"/infra/tier-1s/t1\",\"subnets\":[{\"gateway_address\":"
	     "\"10.2.0.1/24\"}]}");
	add_vm(0, "a", VM_1, MAC_1, "web");
	add_vm(1, "b", VM_2, MAC_2, "db");
	must(200, "PATCH", "/infra/segments/web/ports/p1",
	     "{\"attachment\":{\"id\":\"" VM_1 ".4000\"},\"address_bindings\":[{\"ip_address\":"
	     "\"10.1.0.7\"},{\"ip_address\":\"10.1.0.8\",\"mac_address\":\"" MAC_2 "\"}]}");
	wait_for(strstr(text(0), "\"bindings\":[{\"port\":\"" VM_1 ".4000\",\"addresses\":["
				 "\"10.1.0.7\"]}]") != NULL);
	wait_for(is_settled());
	/* the router joins the segments, so the other node must know who is on this one */
	assert_non_null(strstr(text(1), "\"10.1.0.7\""));
	assert_non_null(strstr(text(1), "\"router\":\"t1\""));
	assert_non_null(strstr(text(0), MAC_2));
	assert_string_equal(realized("/infra/segments/web/ports/p1"), "SUCCESS");
	/* a group of the segment */
	must(200, "PATCH", GROUP "g",
	     "{\"expression\":[{\"resource_type\":\"PathExpression\",\"paths\":["
	     "\"/infra/segments/web\"]},{\"resource_type\":\"ConjunctionOperator\","
	     "\"conjunction_operator\":\"AND\"},{\"resource_type\":\"Condition\","
	     "\"member_type\":\"VirtualMachine\",\"key\":\"Name\",\"operator\":\"STARTSWITH\","
	     "\"value\":\"a\"}]}");
	must(200, "GET", GROUP "g/members/ip-addresses", NULL);
	assert_string_equal(at(p.answer, "results[0]"), "10.1.0.7");
	must(200, "DELETE", "/infra/segments/web/ports/p1", NULL);
	wait_for(strstr(text(0), "\"bindings\"") == NULL);
}

/* A host that is removed is nobody's neighbour any more. */
static void test_host_goes(void **state)
{
	(void)state;
	add_nodes();
	must(200, "PATCH", "/infra/segments/web", "{}");
	add_vm(0, "a", VM_1, MAC_1, "web");
	add_vm(1, "b", VM_2, MAC_2, "web");
	wait_for(p.node[0].last != NULL && strstr(text(0), MAC_2) != NULL);
	struct object *compute = place_child(t.c, t.hosts, "two");
	assert_non_null(compute);
	call(compute, M_ManagedEntity_Destroy_Task, NULL);
	expect_ok();
	wait_for(strstr(text(0), MAC_2) == NULL && is_settled());
	assert_null(intent_vm_by_uuid(t.c->intent, VM_2));
	assert_string_equal(realized("/infra/segments/web"), "SUCCESS");
}

/* Many VMs: a change of one reads one, and costs nodes that it is nothing to nothing. */
static void test_many(void **state)
{
	enum {
		VMS = 3000
	};
	char name[32], uuid[40], mac[20], address[20];

	(void)state;
	add_nodes();
	must(200, "PATCH", "/infra/segments/web", "{}");
	must(200, "PATCH", GROUP "odd", TAGGED("odd"));
	must(200, "PATCH", RULES "p",
	     "{\"rules\":[{\"id\":\"r\",\"action\":\"DROP\",\"source_groups\":[\"" GROUP
	     "odd\"]}]}");
	struct object *vm = NULL;
	for (int i = 1; i <= VMS; i++) {
		snprintf(name, sizeof(name), "vm-%d", i);
		snprintf(uuid, sizeof(uuid), "52000000-0000-4000-8000-%012d", i);
		snprintf(mac, sizeof(mac), "00:50:56:00:%02x:%02x", (unsigned)i >> 8,
			 (unsigned)i & 255);
		snprintf(address, sizeof(address), "10.1.%d.%d", i >> 8, i & 255);
		vm = fake_policy_add_vm(t.host[i % 2], name, uuid, mac, i % 2 == 0 ? "web" : NULL);
		fake_policy_set_address(t.host[i % 2], vm, address);
	}
	wait_for(intent_vm_by_uuid(t.c->intent, uuid) != NULL);
	wait_for(is_settled());
	uint64_t n_read = t.c->intent->cards->n_read;
	unsigned before[2] = { p.node[0].n_puts, p.node[1].n_puts };
	uint64_t began = uv_hrtime();
	fake_policy_set_address(t.host[0], vm, "10.9.9.9");
	tag(uuid, "odd");
	wait_for(strstr(text(1), "10.9.9.9") != NULL);
	wait_for(is_settled());
	printf("one of %d VMs: %.1f ms\n", VMS, (double)(uv_hrtime() - began) / 1e6);
	assert_int_equal(t.c->intent->cards->n_read - n_read, 1);
	assert_true(p.node[0].n_puts - before[0] <= 3 && p.node[1].n_puts - before[1] <= 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		TEST(test_objects),
		TEST(test_survives),
		TEST(test_refusals),
		TEST(test_lists),
		TEST(test_openapi),
		TEST(test_segment_everywhere),
		TEST(test_rule_by_tag),
		TEST(test_realization),
		TEST(test_restart),
		TEST(test_bindings),
		TEST(test_moving),
		TEST(test_rights),
		TEST(test_host_goes),
		TEST(test_many),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
