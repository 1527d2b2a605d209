/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "vim/soap_plain.h"

static const char envelope[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<e:Envelope "
			       "xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\" "
			       "xmlns:xsi='http://www.w3.org/2001/"
			       "XMLSchema-instance'>\n<e:Body>%s</e:Body></e:Envelope>\n";

/* What is nearly plain is read, or refused, as libxml2 does. */
static void odd_documents_are_left_to_libxml2(void **state)
{
#define FETCH(self, rest) "<Fetch xmlns=\"urn:vim25\"><_this " self ">g</_this>" rest "</Fetch>"
#define PROP		  "<prop>name</prop>"
	static const struct {
		const char *body;
		bool is_read;
	} cases[] = {
		{ FETCH("type='Folder'", PROP), true },
		{ FETCH("type='Folder' /", PROP), false },
		{ FETCH("type='Folder' type='Folder'", PROP), false },
		{ FETCH("type='Folder' xsi:type='a' xsi:type='a'", PROP), false },
		{ FETCH("type='Folder' a:type='a'", PROP), false },
		{ FETCH("type='Folder'xsi:type='a'", PROP), false },
		{ FETCH("type='Folder' xml:lang='a'", PROP), true },
		{ FETCH("type = 'Folder'", PROP), true },
		{ FETCH("type='Fol&#100;er'", PROP), true },
		{ FETCH("type='Fol<er'", PROP), false },
		{ FETCH("type='Folder' xmlns='urn:other'", PROP), true },
		{ FETCH("type='Folder' xmlns='%%'", PROP), false },
		{ FETCH("type='Folder'", "<prop>na<!-- -->me</prop>"), true },
		{ FETCH("type='Folder'", "<prop><![CDATA[name]]></prop>"), true },
		{ FETCH("type='Folder'", "<prop>a]b] c</prop>"), true },
		{ FETCH("type='Folder'", "<prop>a]]>c</prop>"), false },
		{ FETCH("type='Folder'", "<prop>\xc3\xa4</prop>"), true },
		{ FETCH("type='Folder'", "<prop>\x01</prop>"), false },
		{ FETCH("type='Folder'", "<prop>a</prop"), false },
		{ FETCH("type='Folder'", "<prop>a</prop\n>"), true },
		{ FETCH("type='Folder'", "<prop>a</props>"), false },
		{ FETCH("type='Folder'", "<prop/>"), true },
		{ FETCH("type='Folder'", "<x:prop>a</x:prop>"), false },
		{ FETCH("type='Folder'", "text" PROP), false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *xml = mem_printf(envelope, cases[i].body);
		struct arena *a = arena_new(0);
		struct soap_request any, by_libxml;
		struct error e = { 0 }, e_libxml = { 0 };
		bool ok = soap_read_request(&any, xml, strlen(xml), a, &e);
		if (ok != cases[i].is_read) {
			fail_msg("%s: %s", cases[i].body, ok ? "read" : e.msg);
		}
		reader_allow_plain(false);
		assert_int_equal(soap_read_request(&by_libxml, xml, strlen(xml), a, &e_libxml), ok);
		reader_allow_plain(true);
		assert_string_equal(e.msg, e_libxml.msg);
		if (ok) {
			assert_string_equal(any.fetch_prop, by_libxml.fetch_prop);
			assert_true(value_equal(any.self, by_libxml.self));
		}
		arena_free(a);
		free(xml);
	}
#undef FETCH
#undef PROP
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(odd_documents_are_left_to_libxml2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
