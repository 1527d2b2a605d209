/* SPDX-License-Identifier: Apache-2.0 */
/*
 * argv[1]: tests/golden/soap. Each request NAME.xml there is read and compared with NAME.txt, which
 * says what was understood; faults.xml is what the writer makes. GOLDEN_UPDATE=1 in the environment
 * writes the expected files anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "vim/soap.h"
#include "vim/soap_reader.h"
#include "vim/soap_sample.h"

static const char *golden;

static char *slurp(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	struct buf b = BUF_INIT;

	if (f == NULL) {
		return NULL;
	}
	for (;;) {
		char *at = buf_reserve(&b, 4096);
		size_t n = fread(at, 1, 4096, f);
		buf_commit(&b, n);
		if (n == 0) {
			break;
		}
	}
	fclose(f);
	*len = b.len;
	return buf_take(&b);
}

/* Compares with the file, or writes it. */
static void assert_golden(const char *path, const struct buf *b)
{
	size_t len;

	if (getenv("GOLDEN_UPDATE") != NULL) {
		FILE *f = fopen(path, "wb");
		assert_non_null(f);
		fwrite(b->data, 1, b->len, f);
		fclose(f);
		return;
	}
	char *expected = slurp(path, &len);
	if (expected == NULL || len != b->len || memcmp(expected, b->data, len) != 0) {
		fail_msg("%s differs from:\n%s", path, b->data);
	}
	free(expected);
}

/* What a request was understood as. */
static void describe(struct buf *b, const struct soap_request *req)
{
	buf_addf(b, "method %s\nnamespace %s\n", req->method_name, req->ns);
	if (req->operation_id != NULL) {
		buf_addf(b, "operation %s\n", req->operation_id);
	}
	if (req->session_cookie != NULL) {
		buf_addf(b, "cookie %s\n", req->session_cookie);
	}
	buf_addf(b, "self %s %s\n", schema_type_name(value_type(req->self)),
		 value_bytes(req->self));
	if (req->fetch_prop != NULL) {
		buf_addf(b, "property %s\n", req->fetch_prop);
		return;
	}
	const struct schema_method *m = schema_method(req->method);
	buf_addf(b, "declared by %s\n", schema_type_name(m->managed));
	union slot s;
	for (int i = -1; value_next(req->args, &i, &s);) {
		soap_write_field(b, schema_field(m->args, (unsigned)i), s, schema_version_served);
		buf_addc(b, '\n');
	}
}

/* By whichever way (`allow`) or by libxml2. */
static void assert_understood(const char *name, bool allow)
{
	char *path = mem_printf("%s/%s", golden, name);
	size_t len;
	char *xml = slurp(path, &len);
	struct arena *a = arena_new(0);
	struct soap_request req;
	struct error e = { 0 };
	struct buf b = BUF_INIT;

	reader_allow_plain(allow);
	if (!soap_read_request(&req, xml, len, a, &e)) {
		fail_msg("%s: %s", name, e.msg);
	}
	reader_allow_plain(true);
	describe(&b, &req);
	memcpy(path + strlen(path) - 3, "txt", 3);
	assert_golden(path, &b);
	buf_free(&b);
	arena_free(a);
	free(path);
	free(xml);
}

static void golden_requests(void **state)
{
	struct dirent *entry;
	DIR *folder = opendir(golden);
	int n = 0;

	(void)state;
	assert_non_null(folder);
	while ((entry = readdir(folder)) != NULL) {
		size_t name_len = strlen(entry->d_name);
		if (name_len < 5 || strcmp(entry->d_name + name_len - 4, ".xml") != 0 ||
		    strncmp(entry->d_name, "reply-", 6) == 0) {
			continue;
		}
		assert_understood(entry->d_name, true);
		assert_understood(entry->d_name, false);
		n++;
	}
	closedir(folder);
	assert_true(n >= 10);
}

/* ---- bad requests ---- */

#define HEAD                                                                                       \
	"<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/' "                         \
	"xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' "                                   \
	"xmlns:xsd='http://www.w3.org/2001/XMLSchema'><e:Body>"
#define TAIL "</e:Body></e:Envelope>"
#define RECONFIGURE(spec)                                                                          \
	HEAD "<ReconfigVM_Task xmlns='urn:vim25'><_this "                                          \
	     "type='VirtualMachine'>1</_this><spec>" spec "</spec></ReconfigVM_Task>" TAIL
#define SELF(method) HEAD "<" method " xmlns='urn:vim25'><_this type='VirtualMachine'>1</_this>"

static const struct {
	const char *xml;
	enum error_kind kind;
	const char *message; /* a part of it */
} bad_requests[] = {
	{ "", ERROR_INVALID, "malformed XML" },
	{ "no XML", ERROR_INVALID, "malformed XML at line 1" },
	{ "<a/>", ERROR_INVALID, "\"a\" is not a SOAP 1.1 envelope" },
	{ "<Envelope/>", ERROR_INVALID, "not a SOAP 1.1 envelope" },
	{ HEAD TAIL, ERROR_INVALID, "holds no request" },
	{ HEAD, ERROR_INVALID, "malformed XML" },
	{ HEAD "<X xmlns='urn:other'/>" TAIL, ERROR_INVALID,
	  "request \"X\" is in namespace \"urn:other\"" },
	{ HEAD "<X xmlns='urn:vim25'/>" TAIL, ERROR_INVALID, "\"X\" lacks \"_this\"" },
	{ HEAD "<X xmlns='urn:vim25'><y/></X>" TAIL, ERROR_INVALID,
	  "the first element in \"X\" is not _this" },
	{ SELF("NoSuchMethod") "</NoSuchMethod>" TAIL, ERROR_NOT_FOUND,
	  "unknown method \"NoSuchMethod\" of \"VirtualMachine\"" },
	{ HEAD "<X xmlns='urn:vim25'><_this type='Nothing'>1</_this></X>" TAIL, ERROR_INVALID,
	  "\"Nothing\" is not a managed object type" },
	{ HEAD "<X xmlns='urn:vim25'><_this type='Folder'> </_this></X>" TAIL, ERROR_INVALID,
	  "empty object reference" },
	{ SELF("ReconfigVM_Task") "</ReconfigVM_Task>" TAIL, ERROR_INVALID,
	  "\"ReconfigVM_Task\" lacks \"spec\"" },
	{ SELF("ReconfigVM_Task") "<spec xsi:nil='true'/></ReconfigVM_Task>" TAIL, ERROR_INVALID,
	  "\"ReconfigVM_Task\" lacks \"spec\"" },
	{ SELF("ReconfigVM_Task") "<spec xsi:nil='true'><name/></spec></ReconfigVM_Task>" TAIL,
	  ERROR_INVALID, "an element that is nil" },
	{ SELF("PowerOnVM_Task") "</PowerOnVM_Task><PowerOnVM_Task xmlns='urn:vim25'/>" TAIL,
	  ERROR_INVALID, "has a request already" },
	{ SELF("PowerOnVM_Task") "stray</PowerOnVM_Task>" TAIL, ERROR_INVALID,
	  "text in \"PowerOnVM_Task\"" },
	{ RECONFIGURE("<nonsense/>"), ERROR_INVALID,
	  "unknown element \"nonsense\" in \"VirtualMachineConfigSpec\"" },
	{ RECONFIGURE("<name>a</name><name>b</name>"), ERROR_INVALID,
	  "element \"name\" appears twice in \"VirtualMachineConfigSpec\"" },
	{ RECONFIGURE("<name>a<b/></name>"), ERROR_INVALID,
	  "element \"b\" inside \"name\", which is text" },
	{ RECONFIGURE("<numCPUs>two</numCPUs>"), ERROR_INVALID,
	  "element \"numCPUs\": \"two\" is not a valid int" },
	{ RECONFIGURE("<numCPUs>2147483648</numCPUs>"), ERROR_INVALID, "is not a valid int" },
	{ RECONFIGURE("<numCPUs/>"), ERROR_INVALID, "\"\" is not a valid int" },
	{ RECONFIGURE("<memoryMB>9223372036854775808</memoryMB>"), ERROR_INVALID,
	  "is not a valid long" },
	{ RECONFIGURE("<cpuHotAddEnabled>yes</cpuHotAddEnabled>"), ERROR_INVALID,
	  "\"yes\" is not a valid boolean" },
	{ RECONFIGURE("<createDate>yesterday</createDate>"), ERROR_INVALID,
	  "is not a valid dateTime" },
	{ RECONFIGURE("<numCPUs xsi:type='xsd:string'>1</numCPUs>"), ERROR_INVALID,
	  "element \"numCPUs\" has type \"string\", not a \"int\"" },
	{ RECONFIGURE("<files xsi:type='VirtualDisk'/>"), ERROR_INVALID,
	  "element \"files\" has type \"VirtualDisk\", not a \"VirtualMachineFileInfo\"" },
	{ RECONFIGURE("<files xsi:type='Nonsense'/>"), ERROR_INVALID, "has type \"Nonsense\"" },
	{ RECONFIGURE("<deviceChange><operation>burn</operation></deviceChange>"), ERROR_INVALID,
	  "\"burn\" is not a valid VirtualDeviceConfigSpecOperation" },
	{ RECONFIGURE("<deviceChange><operation>add</operation></deviceChange>"), ERROR_INVALID,
	  "\"VirtualDeviceConfigSpec\" lacks \"device\"" },
	{ RECONFIGURE("<deviceChange><device xsi:type='VirtualDisk'><key>1</key></device>"
		      "</deviceChange>"),
	  ERROR_INVALID, "\"VirtualDisk\" lacks \"capacityInKB\"" },
	{ RECONFIGURE("<extraConfig><key>a</key><value>b</value></extraConfig>"), ERROR_INVALID,
	  "element \"value\" needs an xsi:type" },
	{ RECONFIGURE("<extraConfig><key>a</key><value xsi:type='xsd:unicorn'>b</value>"
		      "</extraConfig>"),
	  ERROR_INVALID, "element \"value\" has unknown type \"unicorn\"" },
	{ RECONFIGURE("<extraConfig><key>a</key><value xsi:type='Folder'/></extraConfig>"),
	  ERROR_INVALID, "element \"value\" has unknown type \"Folder\"" },
	{ RECONFIGURE("<extraConfig><key>a</key><value xsi:type='xsd:base64Binary'>?</value>"
		      "</extraConfig>"),
	  ERROR_INVALID, "\"?\" is not a valid base64Binary" },
	{ RECONFIGURE("<extraConfig><key>a</key><value xsi:type='ArrayOfInt'><int>x</int></value>"
		      "</extraConfig>"),
	  ERROR_INVALID, "element \"int\": \"x\" is not a valid int" },
	{ RECONFIGURE("<name>&undefined;</name>"), ERROR_INVALID, "ntity" },
	{ RECONFIGURE("<p:name>a</p:name>"), ERROR_INVALID, "malformed XML" },
	{ RECONFIGURE("<name>\xFF</name>"), ERROR_INVALID, "malformed XML" },
	{ RECONFIGURE("<name>&#0;</name>"), ERROR_INVALID, "malformed XML" },
	{ "<!DOCTYPE a>" RECONFIGURE(""), ERROR_INVALID, "document type" },
	{ "<!DOCTYPE a [<!ENTITY b 'c'>]>" RECONFIGURE("<name>&b;</name>"), ERROR_INVALID,
	  "document type" },
	{ "<!DOCTYPE a SYSTEM 'file:///etc/passwd'>" RECONFIGURE(""), ERROR_INVALID,
	  "document type" },
	{ HEAD "<MoveIntoFolder_Task xmlns='urn:vim25'><_this type='Folder'>f</_this>"
	       "<list type='Task'>t</list></MoveIntoFolder_Task>" TAIL,
	  ERROR_INVALID, "element \"list\" refers to a \"Task\", not to a \"ManagedEntity\"" },
	{ SELF("Fetch") "</Fetch>" TAIL, ERROR_INVALID, "\"Fetch\" lacks \"prop\"" },
	{ SELF("Fetch") "<x/></Fetch>" TAIL, ERROR_INVALID, "unknown element \"x\" in \"Fetch\"" },
};

static void bad_requests_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_requests); i++) {
		struct arena *a = arena_new(0);
		struct soap_request req;
		struct error e = { 0 };
		const char *xml = bad_requests[i].xml;
		if (soap_read_request(&req, xml, strlen(xml), a, &e) ||
		    e.kind != bad_requests[i].kind ||
		    strstr(e.msg, bad_requests[i].message) == NULL) {
			fail_msg("%s\n  gives: %d \"%s\"\n  not: %d \"%s\"", xml, (int)e.kind,
				 e.msg, (int)bad_requests[i].kind, bad_requests[i].message);
		}
		arena_free(a);
	}
}

static void unknown_method_still_names_its_object(void **state)
{
	const char *xml = SELF("NoSuchMethod") "</NoSuchMethod>" TAIL;
	struct arena *a = arena_new(0);
	struct soap_request req;

	(void)state;
	assert_false(soap_read_request(&req, xml, strlen(xml), a, NULL));
	assert_string_equal(req.method_name, "NoSuchMethod");
	assert_string_equal(value_bytes(req.self), "1");
	arena_free(a);
}

static void required_array_may_be_empty(void **state)
{
	const char *xml = HEAD "<QueryPerf xmlns='urn:vim25'><_this type='PerformanceManager'>p"
			       "</_this></QueryPerf>" TAIL;
	struct arena *a = arena_new(0);
	struct soap_request req;
	struct error e;

	(void)state;
	assert_true(soap_read_request(&req, xml, strlen(xml), a, &e));
	arena_free(a);
}

/* ---- limits ---- */

static void huge_and_deep_are_refused(void **state)
{
	struct arena *a = arena_new(0);
	struct soap_request req;
	struct error e = { 0 };
	struct buf b = BUF_INIT;

	(void)state;
	buf_adds(&b, HEAD);
	for (int i = 0; i < 100; i++) {
		buf_adds(&b, "<e:Header>");
	}
	assert_false(soap_read_request(&req, b.data, b.len, a, &e));
	buf_clear(&b);
	buf_adds(&b, "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Header>");
	for (int i = 0; i < 100000; i++) {
		buf_adds(&b, "<x>");
	}
	assert_false(soap_read_request(&req, b.data, b.len, a, &e));
	assert_int_equal(e.kind, ERROR_LIMIT);
	assert_non_null(strstr(e.msg, "64"));
	buf_clear(&b);
	buf_adds(&b, "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Header>");
	for (int i = 0; i < SOAP_MAX_ELEMENTS; i++) {
		buf_adds(&b, "<x/>");
	}
	assert_false(soap_read_request(&req, b.data, b.len, a, &e));
	assert_int_equal(e.kind, ERROR_LIMIT);
	assert_non_null(strstr(e.msg, "400000"));
	assert_false(soap_read_request(&req, b.data, SOAP_MAX_BYTES + 1, a, &e));
	assert_int_equal(e.kind, ERROR_LIMIT);
	buf_free(&b);
	arena_free(a);
}

/* Many names fill the parser's dictionary: it must not grow without end, and go on working. */
static void many_names_do_no_harm(void **state)
{
	struct soap_request req;
	struct error e = { 0 };

	(void)state;
	for (int round = 0; round < 3; round++) {
		struct arena *a = arena_new(0);
		struct buf b = BUF_INIT;
		buf_adds(&b, "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'>"
			     "<e:Header>");
		for (int i = 0; i < 20000; i++) {
			buf_addf(&b, "<n%d-%d/>", round, i);
		}
		buf_adds(&b, "</e:Header><e:Body><PowerOnVM_Task xmlns='urn:vim25'>"
			     "<_this type='VirtualMachine'>1</_this></PowerOnVM_Task>" TAIL);
		assert_true(soap_read_request(&req, b.data, b.len, a, &e));
		assert_int_equal(req.method, M_VirtualMachine_PowerOnVM_Task);
		buf_free(&b);
		arena_free(a);
	}
}

/* The arena's limit at every size: a clean error until it is enough. */
static void memory_limit_is_an_error(void **state)
{
	const char *xml = RECONFIGURE("<name>a</name><deviceChange><device xsi:type='VirtualDisk'>"
				      "<key>1</key><capacityInKB>1</capacityInKB></device>"
				      "</deviceChange><extraConfig><key>a</key><value xsi:type="
				      "'ArrayOfString'><string>b</string></value></extraConfig>");
	bool ok = false;

	(void)state;
	for (size_t limit = 16; !ok; limit += 16) {
		struct arena *a = arena_new(limit);
		struct soap_request req;
		struct error e = { 0 };
		assert_true(limit < 1 << 20);
		ok = soap_read_request(&req, xml, strlen(xml), a, &e);
		assert_int_equal(e.kind, ok ? ERROR_NONE : ERROR_LIMIT);
		arena_free(a);
	}
}

static void truncated_is_an_error(void **state)
{
	const char *xml = RECONFIGURE("<name>a&amp;</name><numCPUs>1</numCPUs><files/>");
	struct soap_request req;

	(void)state;
	for (size_t n = 0; n < strlen(xml); n++) {
		struct arena *a = arena_new(0);
		struct error e = { 0 };
		char *part = mem_strndup(xml, n);
		assert_false(soap_read_request(&req, part, n, a, &e));
		assert_int_equal(e.kind, ERROR_INVALID);
		free(part);
		arena_free(a);
	}
}

static void large_text_is_read_whole(void **state)
{
	struct arena *a = arena_new(0);
	struct soap_request req;
	struct error e = { 0 };
	struct buf b = BUF_INIT;
	const size_t n = 11 << 20;

	(void)state;
	buf_adds(&b, SELF("ReconfigVM_Task") "<spec><annotation>");
	memset(buf_reserve(&b, n), 'x', n);
	buf_commit(&b, n);
	buf_adds(&b, "</annotation></spec></ReconfigVM_Task>" TAIL);
	if (!soap_read_request(&req, b.data, b.len, a, &e)) {
		fail_msg("%s", e.msg);
	}
	const struct value *spec = value_get_value(req.args, A_VirtualMachine_ReconfigVM_Task_spec);
	assert_int_equal(value_len(value_get_value(spec, F_VirtualMachineConfigSpec_annotation)),
			 n);
	buf_free(&b);
	arena_free(a);
}

/* ---- round trips ---- */

static void round_trip(struct sample *s, uint16_t type)
{
	const struct value *v = sample_struct(s, type, 3), *back = NULL;
	struct buf b = BUF_INIT;
	struct error e = { 0 };

	buf_adds(&b, "<r xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' "
		     "xmlns:xsd='http://www.w3.org/2001/XMLSchema' xsi:type='");
	buf_addf(&b, "%s'>", schema_type_name(type));
	union slot x;
	for (int i = -1; value_next(v, &i, &x);) {
		soap_write_field(&b, schema_field(type, (unsigned)i), x, s->version);
	}
	buf_adds(&b, "</r>");
	if (!soap_read_value(&back, type, b.data, b.len, s->arena, &e) || !value_equal(v, back)) {
		fail_msg("%s: %s\n%s", schema_type_name(type), e.msg, b.data);
	}
	buf_free(&b);
}

static void every_type_survives(void **state)
{
	struct sample s = { .state = 88172645463325252U, .version = schema_version_served };
	int n = 0;

	(void)state;
	for (uint16_t t = 1; t < SCHEMA_N_TYPES; t++) {
		const char *name = schema_type_name(t);
		if (schema_type_kind(t) != KIND_STRUCT || strchr(name, '.') != NULL ||
		    schema_types[t].since > s.version) {
			continue;
		}
		s.arena = arena_new(0);
		round_trip(&s, t);
		arena_free(s.arena);
		n++;
	}
	assert_true(n > 2500);
}

/* What is written for an old version has nothing in it that the version does not know. */
static void assert_known(const struct value *v, uint8_t version)
{
	union slot s;

	assert_true(schema_types[value_type(v)].since <= version || value_kind(v) == KIND_ARRAY);
	if (value_kind(v) == KIND_STRUCT) {
		for (int i = -1; value_next(v, &i, &s);) {
			const struct schema_field *f = schema_field(value_type(v), (unsigned)i);
			assert_true(f->since <= version);
			if ((f->flags & FIELD_ARRAY) || !schema_kind_is_scalar(f->kind)) {
				assert_known(s.value, version);
			}
		}
	} else if (value_kind(v) == KIND_ARRAY && !schema_kind_is_scalar(v->item)) {
		for (size_t i = 0; i < value_count(v); i++) {
			assert_known(value_item(v, i), version);
		}
	}
}

static void old_versions_see_only_what_they_know(void **state)
{
	struct sample s = { .state = 4101842887655102017U, .version = schema_version_served };
	uint8_t old = schema_version_parse("5.5", 3);
	int n_read = 0;

	(void)state;
	for (uint16_t t = T_DynamicData; t <= schema_types[T_DynamicData].last; t++) {
		if (schema_types[t].since > s.version) {
			continue;
		}
		s.arena = arena_new(0);
		const struct value *v = sample_struct(&s, t, 3), *back = NULL;
		struct buf b = BUF_INIT;
		struct error e = { 0 };
		soap_write_any(&b, "val", v, old);
		assert_true(b.len > 0); /* at least DynamicData is known */
		const char *attributes = " xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' "
					 "xmlns:xsd='http://www.w3.org/2001/XMLSchema'";
		char *xml = mem_printf("<val%s%s", attributes, b.data + 4);
		/* A required reference to a newer kind of object is gone: not our reader's taste.
		 */
		if (soap_read_value(&back, T_DynamicData, xml, strlen(xml), s.arena, &e)) {
			assert_known(back, old);
			n_read++;
		} else if (strstr(e.msg, "lacks") == NULL) {
			fail_msg("%s: %s\n%s", schema_type_name(t), e.msg, xml);
		}
		free(xml);
		buf_free(&b);
		arena_free(s.arena);
	}
	assert_true(n_read > 2000);
}

/* Does an argument have a type that the version does not know? */
static bool args_are_newer(uint16_t args, uint8_t version)
{
	for (unsigned i = 0; i < schema_type(args)->n_fields; i++) {
		if (schema_types[schema_field(args, i)->type].since > version) {
			return true;
		}
	}
	return false;
}

static void requests_survive(void **state)
{
	struct sample s = { .state = 2685821657736338717U, .version = schema_version_served };

	(void)state;
	for (uint16_t m = 1; m < SCHEMA_N_METHODS; m++) {
		const struct schema_method *method = schema_method(m);
		if (method->since > s.version || schema_types[method->managed].since > s.version ||
		    args_are_newer(method->args, s.version)) {
			continue;
		}
		s.arena = arena_new(0);
		const struct value *args = sample_struct(&s, method->args, 2);
		const struct value *self = value_new_ref(s.arena, method->managed, "obj-<1>");
		struct soap_request req;
		struct error e = { 0 };
		struct buf b = BUF_INIT;
		soap_write_request(&b, m, self, args, s.version);
		if (!soap_read_request(&req, b.data, b.len, s.arena, &e) ||
		    !value_equal(args, req.args) || !value_equal(self, req.self)) {
			fail_msg("%s: %s\n%s", schema_method_name(m), e.msg, b.data);
		}
		assert_int_equal(req.method, m);
		buf_free(&b);
		arena_free(s.arena);
	}
}

/* ---- answers ---- */

static const struct value *read_back(uint16_t method, const struct value *v, struct arena *a)
{
	const struct schema_field *result = &schema_method(method)->result;
	struct soap_response resp;
	struct error e = { 0 };
	struct buf b = BUF_INIT;

	soap_write_response(&b, schema_method_name(method), NULL, result, v, schema_version_served);
	if (!soap_read_response(&resp, method, b.data, b.len, a, &e)) {
		fail_msg("%s\n%s", e.msg, b.data);
	}
	buf_free(&b);
	assert_null(resp.fault);
	return resp.result;
}

static void results_survive(void **state)
{
	struct arena *a = arena_new(0);
	struct value *array = value_new_array(a, T_VirtualMachine);

	(void)state;
	value_push(a, array, value_new_ref(a, T_VirtualMachine, "vm-1"));
	value_push(a, array, value_new_ref(a, T_VirtualMachine, "vm-2"));
	const struct value *found = read_back(M_SearchIndex_FindAllByDnsName, array, a);
	assert_int_equal(value_count(found), 2);
	assert_true(value_equal(value_item(found, 1), value_item(array, 1)));
	assert_null(read_back(M_SessionManager_Logout, NULL, a));
	assert_null(read_back(M_PropertyCollector_WaitForUpdatesEx, NULL, a));
	const struct value *b =
		read_back(M_SessionManager_SessionIsActive, value_new_bool(a, true), a);
	assert_true(value_equal(b, value_new_bool(a, true)));
	const struct value *s =
		read_back(M_SessionManager_AcquireCloneTicket, value_new_str(a, "a<b"), a);
	assert_string_equal(value_bytes(s), "a<b");
	arena_free(a);
}

/* A newer server says more than we know: skipped. */
static void unknown_parts_of_answers_are_skipped(void **state)
{
	const char *xml =
		HEAD "<RetrieveServiceContentResponse xmlns='urn:vim25'><returnval><novelty><x>1"
		     "</x></novelty><rootFolder type='Folder'>group-d1</rootFolder><about "
		     "xsi:type='AboutInfoOfTomorrow'><name>n</name><more/></about></returnval>"
		     "</RetrieveServiceContentResponse>" TAIL;
	struct arena *a = arena_new(0);
	struct soap_response resp;
	struct error e = { 0 };

	(void)state;
	assert_true(soap_read_response(&resp, M_ServiceInstance_RetrieveServiceContent, xml,
				       strlen(xml), a, &e));
	assert_string_equal(value_get_str(resp.result, F_ServiceContent_rootFolder), "group-d1");
	const struct value *about = value_get_value(resp.result, F_ServiceContent_about);
	assert_string_equal(value_get_str(about, F_AboutInfo_name), "n");
	arena_free(a);
}

static void faults(void **state)
{
	struct arena *a = arena_new(0);
	struct buf b = BUF_INIT;
	struct value *login = value_new(a, T_InvalidLogin);
	struct value *gone = value_new(a, T_ManagedObjectNotFound);
	struct value *power = value_new(a, T_InvalidPowerState);
	struct value *host = value_new(a, T_FtVmHostRuleViolation);
	struct soap_response resp;
	struct error e = { 0 };

	(void)state;
	value_set_ref(a, gone, F_ManagedObjectNotFound_obj, T_VirtualMachine, "vm-<9>");
	value_set_num(a, power, F_InvalidPowerState_requestedState,
		      E_VirtualMachinePowerState_poweredOn);
	value_set_num(a, power, F_InvalidPowerState_existingState,
		      E_VirtualMachinePowerState_poweredOn);
	soap_write_fault(&b, "ServerFaultCode", "Cannot complete login", login,
			 schema_version_served);
	soap_write_fault(&b, "ServerFaultCode", "", gone, schema_version_served);
	size_t start = b.len;
	soap_write_fault(&b, "ServerFaultCode", "The \"state\" is wrong & so on", power,
			 schema_version_served);
	size_t end = b.len;
	soap_write_fault(&b, "ClientFaultCode", "malformed", NULL, schema_version_served);
	/* A fault that the client's version does not know: its nearest base. */
	soap_write_fault(&b, "ServerFaultCode", "newer", host, schema_version_parse("5.5", 3));
	char *path = mem_printf("%s/reply-faults.xml", golden);
	assert_golden(path, &b);
	free(path);

	assert_true(soap_read_response(&resp, M_VirtualMachine_PowerOnVM_Task, b.data + start,
				       end - start, a, &e));
	assert_string_equal(resp.fault_text, "The \"state\" is wrong & so on");
	assert_true(value_equal(resp.fault, power));
	buf_free(&b);
	arena_free(a);
}

static void typed_values(void **state)
{
	struct arena *a = arena_new(0);
	struct buf b = BUF_INIT;
	uint8_t version = schema_version_served;
	struct value *names = value_new_array(a, T_string),
		     *vms = value_new_array(a, T_VirtualMachine);
	struct value *devices = value_new_array(a, T_VirtualDevice),
		     *ints = value_new_array(a, T_int);
	struct value *disk = value_new(a, T_VirtualDisk);

	(void)state;
	value_push_str(a, names, "a&b");
	value_push(a, vms, value_new_ref(a, T_VirtualMachine, "vm-1"));
	value_push_num(a, ints, -5);
	value_set_num(a, disk, F_VirtualDevice_key, 2000);
	value_set_num(a, disk, F_VirtualDisk_capacityInKB, INT64_MAX);
	value_push(a, devices, disk);
	const struct value *all[] = {
		names,
		vms,
		ints,
		devices,
		value_new_array(a, T_HostCpuIdInfo),
		value_new_str(a, "text\x01\xC0\xAF"),
		value_new_bool(a, false),
		value_new_long(a, INT64_MIN),
		value_new_scalar(a, T_VirtualMachinePowerState, (union slot){ .num = 0 }),
		value_new_scalar(a, T_dateTime, (union slot){ .num = 1795358076467259 }),
		value_new_scalar(a, T_double, (union slot){ .real = 0.1 }),
		value_new_scalar(a, T_float, (union slot){ .real = (double)0.3F }),
		value_new_scalar(a, T_double, (union slot){ .real = -1e300 }),
		value_new_binary(a, "\0\1\2", 3),
		value_new_ref(a, T_HostSystem, "ha-host"),
	};
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		soap_write_any(&b, "val", all[i], version);
		buf_addc(&b, '\n');
	}
	char *path = mem_printf("%s/reply-values.xml", golden);
	assert_golden(path, &b);
	free(path);
	buf_free(&b);
	arena_free(a);
}

/* ---- time ---- */

static void times(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
		const char *back;
	} good[] = {
		{ "1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z" },
		{ "2026-11-22T14:34:36.467259Z", 1795358076467259, "2026-11-22T14:34:36.467259Z" },
		{ "2026-11-22T16:34:36.467259123+02:00", 1795358076467259,
		  "2026-11-22T14:34:36.467259Z" },
		{ "2026-11-22T14:34:36", 1795358076000000, "2026-11-22T14:34:36Z" },
		{ "1969-12-31T23:59:59.5Z", -500000, "1969-12-31T23:59:59.500000Z" },
		{ "2000-02-29T24:00:00Z", 951868800000000, "2000-03-01T00:00:00Z" },
		{ "0001-01-01T00:00:00Z", -62135596800000000, "0001-01-01T00:00:00Z" },
		{ "9999-12-31T23:59:59-05:30", 253402320599000000 - 0, "+" },
	};
	static const char *const bad[] = { "",
					   "2026",
					   "2026-13-01T00:00:00Z",
					   "2026-02-29T00:00:00Z",
					   "2026-01-01T24:00:01Z",
					   "2026-01-01T00:60:00Z",
					   "2026-01-01 00:00:00Z",
					   "2026-01-01T00:00:00.Z",
					   "2026-01-01T00:00:00+15:00",
					   "2026-01-01T00:00:00Zx",
					   "26-01-01T00:00:00Z" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		int64_t us;
		struct buf b = BUF_INIT;
		assert_true(soap_read_time(good[i].text, strlen(good[i].text), &us));
		if (good[i].back[0] == '+') {
			continue;
		}
		assert_int_equal(us, good[i].us);
		soap_write_time(&b, us);
		assert_string_equal(b.data, good[i].back);
		buf_free(&b);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int64_t us;
		assert_false(soap_read_time(bad[i], strlen(bad[i]), &us));
	}
}

static void text_is_always_well_formed(void **state)
{
	struct sample s = { .state = 1442695040888963407U, .arena = arena_new(0) };
	struct error e = { 0 };

	(void)state;
	for (int i = 0; i < 2000; i++) {
		char bytes[64];
		size_t n = sample_random(&s) % sizeof(bytes);
		for (size_t k = 0; k < n; k++) {
			bytes[k] = (char)sample_random(&s);
		}
		const struct value *v = NULL;
		struct buf b = BUF_INIT;
		buf_adds(&b, "<a><name>");
		soap_write_text(&b, bytes, n);
		buf_adds(&b, "</name></a>");
		if (!soap_read_value(&v, T_VirtualMachineConfigSpec, b.data, b.len, s.arena, &e)) {
			fail_msg("%s", e.msg);
		}
		buf_free(&b);
	}
	arena_free(s.arena);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_requests),
		cmocka_unit_test(bad_requests_are_refused),
		cmocka_unit_test(unknown_method_still_names_its_object),
		cmocka_unit_test(required_array_may_be_empty),
		cmocka_unit_test(huge_and_deep_are_refused),
		cmocka_unit_test(many_names_do_no_harm),
		cmocka_unit_test(memory_limit_is_an_error),
		cmocka_unit_test(truncated_is_an_error),
		cmocka_unit_test(large_text_is_read_whole),
		cmocka_unit_test(every_type_survives),
		cmocka_unit_test(old_versions_see_only_what_they_know),
		cmocka_unit_test(requests_survive),
		cmocka_unit_test(results_survive),
		cmocka_unit_test(unknown_parts_of_answers_are_skipped),
		cmocka_unit_test(faults),
		cmocka_unit_test(typed_values),
		cmocka_unit_test(times),
		cmocka_unit_test(text_is_always_well_formed),
	};

	golden = argc > 1 ? argv[1] : "tests/golden/soap";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
