/* SPDX-License-Identifier: Apache-2.0 */
#include "host/node_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "base/mem.h"

static struct node_settings s;

static bool read_text(const char *text, struct buf *wrong)
{
	buf_clear(wrong);
	return node_settings_read(text, strlen(text), &s, wrong);
}

static void everything_is_taken(void **state)
{
	struct buf wrong = BUF_INIT, shell = BUF_INIT;
	struct node *n = mem_zalloc(sizeof(*n));

	(void)state;
	assert_true(read_text("# a card\r\n\r\nhostname = dpu-1\r\ninterface=eth0\n"
			      "address = 192.168.1.7/24\n\tgateway = 192.168.1.1\n"
			      "dns = fd00::1\nmigration_interface = eth2\n"
			      "migration_address = 10.30.0.1/24\npassword = a = b # c\n"
			      "uuid = 6f3e1c86-7c4c-4a54-9a0a-0b8f4d3c2a10\nrole = dpu\n"
			      "server_uuid = 6f3e1c86-7c4c-4a54-9a0a-0b8f4d3c2a11\n"
			      "uplinks = eth1, device:0000:03:00.0 af_xdp:p0\n"
			      "endpoint = 10.255.0.12/24\nendpoint_gateway = 10.255.0.1\n"
			      "port = 8443\ncpus = 2\nmemory_mib = 2048",
			      &wrong));
	assert_string_equal(s.password, "a = b # c");
	assert_int_equal(s.n_uplinks, 3);
	assert_string_equal(s.uplinks[0].kind, "af_packet");
	assert_string_equal(s.uplinks[0].path, "eth1");
	assert_string_equal(s.uplinks[1].kind, "device");
	assert_string_equal(s.uplinks[1].path, "0000:03:00.0");
	assert_string_equal(s.uplinks[2].kind, "af_xdp");
	node_settings_to_node(&s, n);
	assert_string_equal(n->name, "dpu-1");
	assert_int_equal(n->role, NODE_DPU);
	assert_int_equal(n->port, 8443);
	assert_int_equal(n->memory_mib, 2048);
	assert_string_equal(n->endpoint, "10.255.0.12/24");
	assert_string_equal(n->migration_address, "10.30.0.1");
	node_settings_to_shell(&s, &shell);
	s = (struct node_settings){ 0 };
	node_settings_to_node(&s, n);
	assert_int_equal(n->n_uplinks, 0);
	assert_string_equal(n->endpoint, "");
	assert_string_equal(n->migration_address, "");
	assert_string_equal(n->name, "dpu-1");
	assert_string_equal(shell.data, "INTERFACE=eth0\nADDRESS=192.168.1.7/24\n"
					"GATEWAY=192.168.1.1\nDNS=fd00::1\n"
					"MIGRATION_INTERFACE=eth2\n"
					"MIGRATION_ADDRESS=10.30.0.1/24\n");
	free(n);
	buf_free(&wrong);
	buf_free(&shell);
}

static void nothing_is_dhcp(void **state)
{
	struct buf wrong = BUF_INIT, shell = BUF_INIT;

	(void)state;
	assert_true(read_text("", &wrong));
	node_settings_to_shell(&s, &shell);
	assert_non_null(strstr(shell.data, "ADDRESS=dhcp\n"));
	buf_free(&wrong);
	buf_free(&shell);
}

/* Each is wrong, and the message says so. */
static void what_is_wrong_is_told_by_its_line(void **state)
{
	static const struct {
		const char *text, *say;
	} cases[] = {
		{ "\naddres = dhcp", "line 2: \"addres\": there is no such setting" },
		{ "hostname = a\nhostname = b", "line 2: \"hostname\": it is there twice" },
		{ "hostname", "line 1: \"hostname\": wanted is \"key = value\"" },
		{ "hostname = -a", "a host name" },
		{ "hostname = a;reboot", "a host name" },
		{ "hostname = "
		  "0123456789012345678901234567890123456789012345678901234567890123",
		  "64 bytes, at most 63" },
		{ "interface = $(x)", "no name of a network interface" },
		{ "address = 1.2.3.4", "such as 192.168.1.7/24" },
		{ "address = 1.2.3.4/33", "such as 192.168.1.7/24" },
		{ "address = 1.2.3.4/+8", "such as 192.168.1.7/24" },
		{ "address = 1.2.3.4/0", "such as 192.168.1.7/24" },
		{ "address = `id`/24", "such as 192.168.1.7/24" },
		{ "gateway = 1.2.3", "no IPv4 or IPv6 address" },
		{ "gateway = 1.2.3.4", "it goes with an address that is given" },
		{ "migration_address = 1.2.3.4/8", "go together" },
		{ "endpoint = 1.2.3.4/8", "it goes with \"uplinks\"" },
		{ "uplinks = e0\nendpoint_gateway = 1.2.3.4", "it goes with an \"endpoint\"" },
		{ "password =", "it is empty" },
		{ "uuid = 12", "no UUID" },
		{ "role = manager", "there are \"server\" and \"dpu\"" },
		{ "port = 0", "from 1 to 65535" },
		{ "port = 65536", "from 1 to 65535" },
		{ "cpus = 2x", "from 1 to 4096" },
		{ "uplinks = a b c d e f g h i", "more than 8" },
		{ "uplinks = a/b", "\"a/b\": no name of a network interface" },
		{ "a\001b = c", "a control character" },
		{ "manager = center", "it goes with \"manager_thumbprint\"" },
		{ "manager = :443", "no host is named" },
		{ "manager = center:x", "\"manager\"" },
		{ "manager_thumbprint = AB:CD", "a SHA-1 or SHA-256 thumbprint" },
	};
	struct buf wrong = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_false(read_text(cases[i].text, &wrong));
		if (strstr(wrong.data, cases[i].say) == NULL) {
			fail_msg("%s: %s", cases[i].text, wrong.data);
		}
	}
	buf_free(&wrong);
}

static void all_mistakes_are_counted(void **state)
{
	struct buf text = BUF_INIT, wrong = BUF_INIT;

	(void)state;
	for (int i = 0; i < 25; i++) {
		buf_adds(&text, "x\n");
	}
	assert_false(read_text(text.data, &wrong));
	assert_non_null(strstr(wrong.data, "line 20: \"x\": "));
	assert_null(strstr(wrong.data, "line 21"));
	assert_non_null(strstr(wrong.data, "and 5 more\n"));
	buf_clear(&text);
	for (int i = 0; i < 1100; i++) {
		buf_addc(&text, 'y');
	}
	assert_false(read_text(text.data, &wrong));
	assert_non_null(strstr(wrong.data, "1024 bytes at most"));
	buf_free(&text);
	buf_free(&wrong);
}

static void one_setting_is_changed(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	node_settings_set("# mine\nhostname=a\n hostname = b\naddress = dhcp", "hostname", "c", &b);
	assert_string_equal(b.data, "# mine\nhostname = c\naddress = dhcp\n");
	buf_clear(&b);
	node_settings_set("#hostname = a\nhostnames = x\n", "hostname", "c", &b);
	assert_string_equal(b.data, "#hostname = a\nhostnames = x\nhostname = c\n");
	buf_clear(&b);
	node_settings_set("a = b\nhostname = a\n", "hostname", NULL, &b);
	assert_string_equal(b.data, "a = b\n");
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_taken),
		cmocka_unit_test(nothing_is_dhcp),
		cmocka_unit_test(what_is_wrong_is_told_by_its_line),
		cmocka_unit_test(all_mistakes_are_counted),
		cmocka_unit_test(one_setting_is_changed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
