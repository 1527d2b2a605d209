/* SPDX-License-Identifier: Apache-2.0 */
#include "base/control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

LOG_MODULE("controltest");

static char folder[64];
static char *path;
static uv_loop_t loop;
static uv_async_t stop;
static uv_thread_t thread;
static struct control *control;

static void command_twice(void *arg, struct rpc_call *call)
{
	(void)arg;
	int64_t n;
	struct error e;
	if (!json_get_i64(rpc_call_params(call), "n", &n, &e)) {
		rpc_call_fail(call, &e);
		return;
	}
	rpc_call_reply(call, json_object_new_int64(n * 2));
}

static const struct control_command twice = { "test.twice", "{n}", "doubles a number",
					      command_twice };

static void on_stop(uv_async_t *async)
{
	control_unregister(control, "test.twice");
	control_free(control);
	uv_close((uv_handle_t *)async, NULL);
}

static void serve(void *arg)
{
	(void)arg;
	uv_run(&loop, UV_RUN_DEFAULT);
}

static int setup(void **state)
{
	(void)state;
	log_set_stderr(false);
	snprintf(folder, sizeof(folder), "/tmp/control_test.XXXXXX");
	if (!mkdtemp(folder) || uv_loop_init(&loop)) {
		return -1;
	}
	path = mem_printf("%s/control.sock", folder);
	const struct control_options options = { .path = path,
						 .program = "testd",
						 .version = "1.2.3" };
	control = control_new(&loop, &options, NULL);
	if (!control) {
		return -1;
	}
	control_register(control, &twice, NULL);
	uv_async_init(&loop, &stop, on_stop);
	return uv_thread_create(&thread, serve, NULL);
}

static int teardown(void **state)
{
	(void)state;
	uv_async_send(&stop);
	uv_thread_join(&thread);
	free(path);
	return uv_loop_close(&loop) || rmdir(folder);
}

/* The result as text. */
static char *ask(const char *command, struct json_object *params)
{
	struct json_object *result = NULL;
	struct error e;
	if (!rpc_request(path, command, params, 10000, &result, &e)) {
		return mem_printf("failed: %s", e.msg);
	}
	struct buf b = BUF_INIT;
	json_add_text(&b, result);
	json_object_put(result);
	return buf_take(&b);
}

static void assert_answer(const char *command, struct json_object *params, const char *part)
{
	char *got = ask(command, params);
	if (!strstr(got, part)) {
		fail_msg("%s: not there: %s\nin: %s", command, part, got);
	}
	free(got);
}

static void test_built_in(void **state)
{
	(void)state;
	assert_answer("version", NULL, "\"program\":\"testd\",\"version\":\"1.2.3\"");
	assert_answer("memory", NULL, "\"resident_bytes\":");
	metric_inc(metric_with(metric_counter("remora_controltest_runs_total", "Runs.", ""), NULL));
	assert_answer("metrics", NULL, "remora_controltest_runs_total 1\\n");
	assert_answer("help", NULL, "{\"name\":\"log.set\",\"params\":\"{levels}\"");
	assert_answer("nonsense", NULL, "failed: command \"nonsense\"");
}

static void test_log_levels(void **state)
{
	(void)state;
	assert_false(log_is_on(LOG_DEBUG));
	struct json_object *params = json_object_new_object();
	json_put_str(params, "levels", "controltest=debug");
	assert_answer("log.set", params, "controltest=debug");
	assert_true(log_is_on(LOG_DEBUG));
	assert_answer("log.get", NULL, "controltest=debug");
	params = json_object_new_object();
	json_put_str(params, "levels", "controltest=loud");
	assert_answer("log.set", params, "failed: log level \"controltest=loud\"");
	assert_answer("log.set", NULL, "failed: ");
}

static void test_registered(void **state)
{
	(void)state;
	assert_answer("help", NULL,
		      "{\"name\":\"test.twice\",\"params\":\"{n}\",\"help\":\"doubles a number\"}");
	struct json_object *params = json_object_new_object();
	json_put_i64(params, "n", 21);
	assert_answer("test.twice", params, "42");
	assert_answer("test.twice", NULL, "failed: ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_built_in, setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_levels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_registered, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
