/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rpc.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/socket.h"

#define PATIENCE_US 20000000 /* after which a test has failed */

static char folder[64];
static char *path;
static uv_loop_t loop;

static struct {
	struct rpc_server *server;
	struct rpc_call *held; /* the last of method "hold" */
	struct rpc_call *all_held[RPC_CALLS_MAX];
	size_t n_held;
	unsigned n_connected, n_disconnected;
	char notified[64];
	bool free_in_callback;
} srv;

static struct {
	struct rpc_client *client;
	unsigned n_connected, n_disconnected;
	char notified[64];
} cli;

struct answer {
	unsigned n;
	bool ok;
	enum error_kind kind;
	int code;
	char text[256]; /* result or message */
	char object[32];
};

static void method_echo(void *arg, struct rpc_call *call)
{
	(void)arg;
	rpc_call_reply(call, json_object_get(rpc_call_params(call)->value));
}

static void method_fail(void *arg, struct rpc_call *call)
{
	(void)arg;
	struct error e;
	error_set(&e, ERROR_NO_SPACE, "port \"p1\": no room");
	struct json_object *data = json_object_new_object();
	json_put_str(data, "object", "p1");
	rpc_call_fail_with(call, &e, data);
}

static void method_hold(void *arg, struct rpc_call *call)
{
	(void)arg;
	srv.held = call;
	srv.all_held[srv.n_held++] = call;
}

static void method_hang_up(void *arg, struct rpc_call *call)
{
	(void)arg;
	if (srv.free_in_callback) {
		rpc_server_free(srv.server);
		srv.server = NULL;
	} else {
		rpc_peer_close(rpc_call_peer(call));
	}
	assert_null(rpc_call_peer(call));
	rpc_call_reply(call, NULL);
}

static const struct rpc_method server_methods[] = {
	{ "echo", method_echo },
	{ "fail", method_fail },
	{ "hold", method_hold },
	{ "hang-up", method_hang_up },
};
static const struct rpc_method client_methods[] = { { "echo", method_echo } };

static void server_connected(void *arg, struct rpc_peer *peer)
{
	(void)arg;
	(void)peer;
	srv.n_connected++;
}

static void server_disconnected(void *arg, struct rpc_peer *peer)
{
	(void)arg;
	(void)peer;
	srv.n_disconnected++;
}

static void server_notified(void *arg, struct rpc_peer *peer, const char *method,
			    const struct json_at *params)
{
	(void)arg;
	(void)params;
	snprintf(srv.notified, sizeof(srv.notified), "%s", method);
	rpc_peer_notify(peer, "heard", NULL);
}

static void client_connected(void *arg, struct rpc_peer *peer)
{
	(void)arg;
	(void)peer;
	cli.n_connected++;
}

static void client_disconnected(void *arg, struct rpc_peer *peer)
{
	(void)arg;
	(void)peer;
	cli.n_disconnected++;
}

static void client_notified(void *arg, struct rpc_peer *peer, const char *method,
			    const struct json_at *params)
{
	(void)arg;
	(void)peer;
	(void)params;
	snprintf(cli.notified, sizeof(cli.notified), "%s", method);
}

static void on_reply(void *arg, const struct rpc_reply *reply)
{
	struct answer *a = arg;
	struct buf text = BUF_INIT;
	a->n++;
	a->ok = !reply->error;
	a->kind = reply->error ? reply->error->kind : ERROR_NONE;
	a->code = reply->code;
	if (reply->error) {
		buf_adds(&text, reply->error->msg);
	} else {
		json_add_text(&text, reply->result.value);
	}
	snprintf(a->text, sizeof(a->text), "%s", text.data);
	const char *object;
	if (reply->error_data.value && json_get_str(&reply->error_data, "object", &object, NULL)) {
		snprintf(a->object, sizeof(a->object), "%s", object);
	}
	buf_free(&text);
}

static void start_server(void)
{
	const struct rpc_options options = {
		.path = path,
		.message_limit = 1000,
		.n_peers_max = 3,
		.methods = server_methods,
		.n_methods = ARRAY_LEN(server_methods),
		.on_connect = server_connected,
		.on_disconnect = server_disconnected,
		.on_notification = server_notified,
	};
	struct error e;
	srv.server = rpc_server_new(&loop, &options, &e);
	if (!srv.server) {
		fail_msg("%s", e.msg);
	}
}

static void start_client(void)
{
	const struct rpc_options options = {
		.path = path,
		.methods = client_methods,
		.n_methods = ARRAY_LEN(client_methods),
		.on_connect = client_connected,
		.on_disconnect = client_disconnected,
		.on_notification = client_notified,
	};
	cli.client = rpc_client_new(&loop, &options);
}

/* Turns the loop until the condition holds. */
#define WAIT_FOR(condition)                                                                        \
	do {                                                                                       \
		int64_t wait_end_ = clock_mono_us(clock_real()) + PATIENCE_US;                     \
		while (!(condition)) {                                                             \
			uv_run(&loop, UV_RUN_ONCE);                                                \
			assert_true(clock_mono_us(clock_real()) < wait_end_);                      \
		}                                                                                  \
	} while (0)

static int setup(void **state)
{
	(void)state;
	memset(&srv, 0, sizeof(srv));
	memset(&cli, 0, sizeof(cli));
	log_set_stderr(false);
	snprintf(folder, sizeof(folder), "/tmp/rpc_test.XXXXXX");
	if (!mkdtemp(folder)) {
		return -1;
	}
	path = mem_printf("%s/s", folder);
	return uv_loop_init(&loop);
}

static int teardown(void **state)
{
	(void)state;
	rpc_client_free(cli.client);
	rpc_server_free(srv.server);
	uv_run(&loop, UV_RUN_DEFAULT);
	free(path);
	/* rmdir: the server took its socket away */
	return uv_loop_close(&loop) || rmdir(folder);
}

static void connect_both(void)
{
	start_server();
	start_client();
	WAIT_FOR(cli.n_connected && srv.n_connected);
}

static void call(const char *method, const char *params, struct answer *a)
{
	struct json_object *o = NULL;
	if (params) {
		o = json_parse(params, strlen(params), 10000, 8, NULL);
	}
	memset(a, 0, sizeof(*a));
	rpc_peer_call(rpc_client_peer(cli.client), method, o, 0, on_reply, a);
	assert_int_equal(a->n, 0);
}

static void test_replies(void **state)
{
	(void)state;
	connect_both();
	struct answer echo;
	struct answer fail;
	struct answer none;
	struct answer null;
	call("echo", "{\"a\":[1,\"\\n\"]}", &echo);
	call("fail", NULL, &fail);
	call("nonsense", NULL, &none);
	call("echo", NULL, &null);
	WAIT_FOR(null.n);
	assert_true(echo.ok);
	assert_string_equal(echo.text, "{\"a\":[1,\"\\n\"]}");
	assert_false(fail.ok);
	assert_int_equal(fail.kind, ERROR_NO_SPACE);
	assert_int_equal(fail.code, RPC_FAILED);
	assert_string_equal(fail.text, "port \"p1\": no room");
	assert_string_equal(fail.object, "p1");
	assert_int_equal(none.kind, ERROR_UNSUPPORTED);
	assert_int_equal(none.code, RPC_METHOD_NOT_FOUND);
	assert_true(null.ok);
	assert_string_equal(null.text, "null");
}

static void test_late_reply_and_other_direction(void **state)
{
	(void)state;
	connect_both();
	struct answer held;
	struct answer back = { 0 };
	call("hold", NULL, &held);
	WAIT_FOR(srv.held);
	rpc_peer_call(rpc_call_peer(srv.held), "echo", json_object_new_array(), 0, on_reply, &back);
	WAIT_FOR(back.n);
	assert_string_equal(back.text, "[]");
	assert_int_equal(held.n, 0);
	rpc_call_reply(srv.held, json_new_str("at last"));
	WAIT_FOR(held.n);
	assert_string_equal(held.text, "\"at last\"");
}

static void test_notifications(void **state)
{
	(void)state;
	connect_both();
	rpc_peer_notify(rpc_client_peer(cli.client), "hello", NULL);
	WAIT_FOR(cli.notified[0]);
	assert_string_equal(srv.notified, "hello");
	assert_string_equal(cli.notified, "heard");
	rpc_server_notify_all(srv.server, "all", json_object_new_object());
	WAIT_FOR(strcmp(cli.notified, "all") == 0);
}

static void test_timeout(void **state)
{
	(void)state;
	connect_both();
	struct answer a = { 0 };
	rpc_peer_call(rpc_client_peer(cli.client), "hold", NULL, 10, on_reply, &a);
	WAIT_FOR(a.n);
	assert_int_equal(a.kind, ERROR_TIMEOUT);
	WAIT_FOR(srv.held);
	rpc_call_reply(srv.held, NULL); /* too late: ignored */
	struct answer after;
	call("echo", NULL, &after);
	WAIT_FOR(after.n);
	assert_int_equal(a.n, 1);
}

static void test_server_goes_and_comes(void **state)
{
	(void)state;
	connect_both();
	struct answer held;
	call("hold", NULL, &held);
	WAIT_FOR(srv.held);
	rpc_server_free(srv.server);
	assert_null(rpc_call_peer(srv.held));
	rpc_call_reply(srv.held, NULL);
	WAIT_FOR(cli.n_disconnected);
	assert_int_equal(held.n, 1);
	assert_int_equal(held.kind, ERROR_UNREACHABLE);
	assert_null(rpc_client_peer(cli.client));
	assert_int_equal(srv.n_disconnected, 0);
	start_server();
	WAIT_FOR(cli.n_connected == 2);
	struct answer echo;
	call("echo", NULL, &echo);
	WAIT_FOR(echo.n);
	assert_true(echo.ok);
}

static void test_client_goes(void **state)
{
	(void)state;
	connect_both();
	struct answer held;
	call("hold", NULL, &held);
	WAIT_FOR(srv.held);
	rpc_client_free(cli.client);
	cli.client = NULL;
	assert_int_equal(held.kind, ERROR_CANCELED);
	WAIT_FOR(srv.n_disconnected);
	assert_int_equal(rpc_server_n_peers(srv.server), 0);
	assert_null(rpc_call_peer(srv.held));
	struct error e;
	error_set(&e, ERROR_STATE, "x");
	rpc_call_fail(srv.held, &e);
}

static void test_closed_while_answering(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		connect_both();
		srv.free_in_callback = round == 1;
		struct answer a;
		call("hang-up", NULL, &a);
		WAIT_FOR(a.n);
		assert_int_equal(a.kind, ERROR_UNREACHABLE);
		rpc_client_free(cli.client);
		rpc_server_free(srv.server);
		memset(&srv, 0, sizeof(srv));
		memset(&cli, 0, sizeof(cli));
	}
}

/* What a bare socket gets back for the bytes it sends; turns the loop meanwhile. */
static char *talk(int fd, const char *bytes, size_t n, const char *until)
{
	static char got[4096];
	size_t len = 0;
	int64_t end = clock_mono_us(clock_real()) + PATIENCE_US;
	assert_int_equal(write(fd, bytes, n), n);
	got[0] = '\0';
	while (!strstr(got, until)) {
		uv_run(&loop, UV_RUN_NOWAIT);
		ssize_t more = read(fd, got + len, sizeof(got) - len - 1);
		if (more == 0) {
			break;
		}
		len += more > 0 ? (size_t)more : 0;
		got[len] = '\0';
		assert_true(clock_mono_us(clock_real()) < end);
	}
	return got;
}

static void test_bad_messages(void **state)
{
	(void)state;
	static const struct {
		const char *line, *answer;
	} cases[] = {
		{ "x\n", "-32700" },
		{ "{}\n", "-32600" },
		{ "[]\n", "-32600" },
		{ "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"echo\"}\n", "-32600" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"echo\"}\n", "-32600" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":5}\n", "-32600" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"x\":5}\n", "-32600" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}\n", "-32600" },
		{ "\n\r\n{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"echo\"}\r\n",
		  "\"id\":\"a\",\"result\":null" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":1}\n"
		  "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":\"x\"}}\n"
		  "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"echo\"}\n",
		  "\"id\":5,\"result\":null" },
	};
	start_server();
	int fd = socket_connect_unix(path, NULL);
	assert_true(fd >= 0);
	for (size_t i = 0; i != ARRAY_LEN(cases); i++) {
		talk(fd, cases[i].line, strlen(cases[i].line), cases[i].answer);
	}
	/* in pieces */
	talk(fd, "{\"jsonrpc\":\"2.0\",", 17, "");
	uv_run(&loop, UV_RUN_NOWAIT);
	talk(fd, "\"id\":6,\"method\":\"echo\"}\n", 24, "\"id\":6,\"result\":null");
	close(fd);
	WAIT_FOR(srv.n_disconnected == 1);
}

static void test_too_long(void **state)
{
	(void)state;
	start_server();
	int fd = socket_connect_unix(path, NULL);
	char line[1200];
	memset(line, ' ', sizeof(line));
	char *got = talk(fd, line, sizeof(line), "never");
	assert_non_null(strstr(got, "longer than 1000 bytes"));
	close(fd);
	assert_int_equal(srv.n_disconnected, 1);
}

static void test_too_many_peers(void **state)
{
	(void)state;
	start_server();
	int fds[4];
	for (size_t i = 0; i < 4; i++) {
		fds[i] = socket_connect_unix(path, NULL);
		assert_true(fds[i] >= 0);
	}
	char c;
	int64_t end = clock_mono_us(clock_real()) + PATIENCE_US;
	while (read(fds[3], &c, 1) != 0) {
		uv_run(&loop, UV_RUN_NOWAIT);
		assert_true(clock_mono_us(clock_real()) < end);
	}
	assert_int_equal(rpc_server_n_peers(srv.server), 3);
	for (size_t i = 0; i < 4; i++) {
		close(fds[i]);
	}
	WAIT_FOR(srv.n_disconnected == 3);
}

static void test_too_many_calls(void **state)
{
	(void)state;
	connect_both();
	static struct answer answers[RPC_CALLS_MAX + 1];
	for (size_t i = 0; i <= RPC_CALLS_MAX; i++) {
		call("hold", NULL, &answers[i]);
	}
	WAIT_FOR(answers[RPC_CALLS_MAX].n);
	assert_int_equal(answers[RPC_CALLS_MAX].kind, ERROR_BUSY);
	assert_int_equal(srv.n_held, RPC_CALLS_MAX);
	for (size_t i = 0; i < srv.n_held; i++) {
		rpc_call_reply(srv.all_held[i], NULL);
	}
	WAIT_FOR(answers[RPC_CALLS_MAX - 1].n);
	assert_true(answers[RPC_CALLS_MAX - 1].ok);
}

static void serve(void *arg)
{
	(void)arg;
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void stop_loop(uv_async_t *async)
{
	rpc_server_free(srv.server);
	srv.server = NULL;
	uv_close((uv_handle_t *)async, NULL);
}

static void test_request_from_command_line(void **state)
{
	(void)state;
	struct json_object *result = NULL;
	struct error e;
	assert_false(rpc_request(path, "echo", json_object_new_array(), 1000, &result, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	start_server();
	uv_async_t stop;
	uv_async_init(&loop, &stop, stop_loop);
	uv_thread_t thread;
	assert_int_equal(uv_thread_create(&thread, serve, NULL), 0);
	assert_true(rpc_request(path, "echo", json_object_new_array(), 10000, &result, &e));
	assert_int_equal(json_object_array_length(result), 0);
	json_object_put(result);
	assert_false(rpc_request(path, "fail", NULL, 10000, &result, &e));
	assert_int_equal(e.kind, ERROR_NO_SPACE);
	assert_false(rpc_request(path, "hang-up", NULL, 10000, &result, &e));
	assert_int_equal(e.kind, ERROR_UNREACHABLE);
	uv_async_send(&stop);
	uv_thread_join(&thread);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_replies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late_reply_and_other_direction, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_notifications, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(test_server_goes_and_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_client_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_while_answering, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_messages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many_peers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many_calls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_request_from_command_line, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
