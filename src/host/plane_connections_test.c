/* SPDX-License-Identifier: Apache-2.0 */
/* Connections as a document, with a switch that is this file. */
#include "host/plane_connections.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "host/host_impl.h"
#include "host/host_plane.h"

static const char *const ports[] = { "u.4000", "u.4001", "u.4002" };

static uv_loop_t loop;
static struct host host;
static unsigned n_calls, n_ended, n_given, fail_at;
static size_t n_taken, n_left, n_told;
static struct error failed;
static struct json_object *document;

/* ---- the switch: 2,500 connections at the first port, none at the second, no third ---- */

static struct json_object *exported(const struct json_at *params)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	uint64_t after;
	struct error e;
	const char *port;

	assert_true(json_get_str(params, "port", &port, &e));
	assert_true(json_get_u64(params, "after", &after, &e));
	uint64_t n = strcmp(port, ports[0]) == 0 ? 2500 : 0, end = MIN(after + 1000, n);
	for (uint64_t i = after; i < end; i++) {
		json_object_array_add(list, json_object_new_int64((int64_t)i));
	}
	json_put(o, "connections", list);
	if (end < n) {
		json_put_u64(o, "next", end);
	}
	return o;
}

static struct json_object *imported(const struct json_at *params)
{
	struct json_object *o = json_object_new_object(), *left = json_object_new_object();
	struct json_at list;
	struct error e;

	assert_true(json_get_array(params, "connections", &list, &e));
	assert_in_range(json_array_n(&list), 1, 1000);
	n_given += (unsigned)json_array_n(&list);
	json_put_u64(left, "known", 1);
	json_put_u64(o, "taken", json_array_n(&list) - 1);
	json_put(o, "left", left);
	return o;
}

void host_plane_call(struct host *h, const char *method, struct json_object *params,
		     void (*on_reply)(void *arg, const struct rpc_reply *reply), void *arg)
{
	struct json_at at = json_root(params);
	struct rpc_reply reply = { .error = NULL };
	struct error e = { 0 };
	const char *port;

	assert_ptr_equal(h, &host);
	assert_true(json_get_str(&at, "port", &port, &e));
	if (++n_calls == fail_at) {
		error_set(&e, ERROR_UNREACHABLE, "the switch has gone");
		reply.error = &e;
	} else if (strcmp(port, ports[2]) == 0) {
		error_set(&e, ERROR_NOT_FOUND, "there is no port \"%s\"", port);
		reply.error = &e;
	} else if (strcmp(method, "plane.connections.export") == 0) {
		reply.result = json_root(exported(&at));
	} else if (strcmp(method, "plane.connections.import") == 0) {
		reply.result = json_root(imported(&at));
	} else {
		n_told++;
	}
	on_reply(arg, &reply);
	json_object_put(reply.result.value);
	json_object_put(params);
}

/* ---- who asks ---- */

static void on_exported(void *arg, struct json_object *o, const struct error *e)
{
	(void)arg;
	n_ended++;
	failed = e == NULL ? (struct error){ 0 } : *e;
	document = json_object_get(o);
}

static void on_imported(void *arg, size_t taken, size_t left, const struct error *e)
{
	(void)arg;
	n_ended++;
	failed = e == NULL ? (struct error){ 0 } : *e;
	n_taken = taken;
	n_left = left;
}

static void export(size_t n)
{
	n_ended = n_calls = 0;
	json_object_put(document);
	document = NULL;
	host_plane_export_connections(&host, ports, n, on_exported, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(n_ended, 1);
}

static void import(struct json_object *o, size_t n)
{
	n_ended = n_calls = n_given = 0;
	host_plane_import_connections(&host, ports, n, o, on_imported, NULL);
	assert_int_equal(n_ended, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(n_ended, 1);
}

static void all_go_and_come_in_portions(void **state)
{
	(void)state;
	fail_at = 0;
	export(3);
	assert_int_equal(failed.kind, ERROR_NONE);
	assert_int_equal(n_calls, 5);
	import(document, 3);
	assert_int_equal(failed.kind, ERROR_NONE);
	assert_int_equal(n_calls, 3);
	assert_int_equal(n_given, 2500);
	assert_int_equal(n_taken, 2497);
	assert_int_equal(n_left, 3);
	host_plane_announce(&host, ports, 2);
	assert_int_equal(n_told, 2);
}

static void a_switch_that_fails_ends_it(void **state)
{
	(void)state;
	fail_at = 2;
	export(1);
	assert_int_equal(failed.kind, ERROR_UNREACHABLE);
	assert_null(document);
	fail_at = 0;
	export(1);
	fail_at = 3;
	import(document, 1);
	assert_int_equal(failed.kind, ERROR_UNREACHABLE);
	assert_int_equal(n_taken, 1998);
	fail_at = 0;
}

static void a_host_without_a_switch_takes_nothing(void **state)
{
	struct host_plane *plane = host.plane;

	(void)state;
	export(1);
	struct json_object *full = json_object_get(document);
	host.plane = NULL;
	export(1);
	assert_int_equal(n_calls, 0);
	assert_string_equal(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN),
			    "{\"version\":1,\"ports\":[]}");
	import(full, 1);
	assert_int_equal(failed.kind, ERROR_NONE);
	assert_int_equal(n_taken, 0);
	host.plane = plane;
	json_object_put(full);
}

static void refused(const char *text, const char *why)
{
	struct error e;
	struct json_object *o = json_parse(text, strlen(text), 1 << 20, 32, &e);

	import(o, 2);
	assert_int_equal(n_calls, 0);
	if (failed.kind == ERROR_NONE || strstr(failed.msg, why) == NULL) {
		fail_msg("\"%s\" where \"%s\" is wanted", failed.msg, why);
	}
	json_object_put(o);
}

static void what_others_send_is_looked_at(void **state)
{
	(void)state;
	refused("[]", "object");
	refused("{\"version\":2,\"ports\":[]}", "version 2");
	refused("{\"version\":1,\"ports\":{}}", "ports");
	refused("{\"version\":1,\"ports\":[{\"port\":\"v.4000\",\"connections\":[]}]}",
		"\"v.4000\" is no card of the VM");
	refused("{\"version\":1,\"ports\":[{\"port\":\"u.4000\",\"connections\":[],\"x\":1}]}",
		"x");
}

static int set_up(void **state)
{
	(void)state;
	host.loop = &loop;
	host.plane = (struct host_plane *)&host; /* nobody looks behind it */
	return uv_loop_init(&loop);
}

static int tear_down(void **state)
{
	(void)state;
	json_object_put(document);
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_go_and_come_in_portions),
		cmocka_unit_test(a_switch_that_fails_ends_it),
		cmocka_unit_test(a_host_without_a_switch_takes_nothing),
		cmocka_unit_test(what_others_send_is_looked_at),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
