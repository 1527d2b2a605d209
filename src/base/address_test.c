/* SPDX-License-Identifier: Apache-2.0 */
#include "base/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"

static void test_forms(void **state)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
	} forms[] = {
		{ "127.0.0.1:8443", "127.0.0.1", 8443 },
		{ "127.0.0.1", "127.0.0.1", 7 },
		{ "localhost:0", "localhost", 0 },
		{ "[::1]:65535", "::1", 65535 },
		{ "[::1]", "::1", 7 },
		{ "::1", "::1", 7 },
		{ ":8989", "", 8989 },
		{ "", "", 7 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct error e = { 0 };
		char host[64] = "before";
		uint16_t port = 7;
		assert_true(address_split(forms[i].text, host, sizeof(host), &port, &e));
		assert_string_equal(host, forms[i].host);
		assert_int_equal(port, forms[i].port);
	}
}

static void test_refused(void **state)
{
	static const char *const texts[] = {
		"[::1",		"[::1]8443",	   "127.0.0.1:",	"127.0.0.1:x",
		"127.0.0.1:-1", "127.0.0.1:65536", "0123456789abcdef:1"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct error e = { 0 };
		char host[16] = "before";
		uint16_t port = 7;
		assert_false(address_split(texts[i], host, sizeof(host), &port, &e));
		assert_int_equal(e.kind, ERROR_INVALID);
		assert_non_null(strstr(e.msg, texts[i]));
		assert_string_equal(host, "before");
		assert_int_equal(port, 7);
	}
}

static void test_any(void **state)
{
	(void)state;
	assert_true(address_is_any("") && address_is_any("::") && address_is_any("0.0.0.0"));
	assert_false(address_is_any("127.0.0.1"));
	assert_false(address_is_any("::1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
