/* SPDX-License-Identifier: Apache-2.0 */
/* The client against replies recorded from QEMU 7.2, and against what no QEMU would say. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/macro.h"
#include "base/mem.h"
#include "host/qmp.h"

#define HELLO                                                                                      \
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, "         \
	"\"package\": \"Debian\"}, \"capabilities\": [\"oob\"]}}\r\n"
#define NEGOTIATED "{\"return\": {}, \"id\": 1}\r\n"

struct fixture {
	uv_loop_t loop;
	struct clock *clock;
	struct qmp *qmp;
	int peer;
	struct buf sent; /* what the client wrote */
	unsigned n_ready, n_events, n_closed, n_replies;
	char event[64];
	struct error reply, closed;
	char uuid[64];
	bool free_in_reply;
};

static void on_ready(void *arg)
{
	((struct fixture *)arg)->n_ready++;
}

static void on_event(void *arg, const char *name, const struct json_at *data)
{
	struct fixture *f = arg;
	bool guest = false;
	f->n_events++;
	if (json_has(data, "guest")) {
		assert_true(json_get_bool(data, "guest", &guest, NULL));
	}
	snprintf(f->event, sizeof(f->event), "%s%s", name, guest ? " by guest" : "");
}

static void on_closed(void *arg, const struct error *e)
{
	struct fixture *f = arg;
	f->n_closed++;
	f->closed = *e;
}

static void on_reply(void *arg, const struct json_at *value, const struct error *e)
{
	struct fixture *f = arg;
	const char *uuid;
	f->n_replies++;
	f->reply = e ? *e : (struct error){ 0 };
	assert_true((value == NULL) == (e != NULL));
	if (value && json_has(value, "UUID") && json_get_str(value, "UUID", &uuid, NULL)) {
		snprintf(f->uuid, sizeof(f->uuid), "%s", uuid);
	}
	if (f->free_in_reply) {
		qmp_free(f->qmp);
		f->qmp = NULL;
	}
}

static int set_up(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));
	int pair[2];
	uv_loop_init(&f->loop);
	f->clock = clock_manual_new(0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	f->peer = pair[1];
	fcntl(f->peer, F_SETFL, O_NONBLOCK);
	const struct qmp_handler h = { on_ready, on_event, on_closed, f };
	f->qmp = qmp_new(&f->loop, f->clock, pair[0], &h);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	qmp_free(f->qmp);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	clock_manual_free(f->clock);
	if (f->peer >= 0) {
		close(f->peer);
	}
	buf_free(&f->sent);
	free(f);
	return 0;
}

/* Lets the client work on what is there. */
static void turn(struct fixture *f)
{
	char part[4096];
	ssize_t n;
	for (int i = 0; i < 4; i++) {
		uv_run(&f->loop, UV_RUN_NOWAIT);
		while (f->peer >= 0 && (n = read(f->peer, part, sizeof(part))) > 0) {
			buf_add(&f->sent, part, (size_t)n);
		}
	}
}

static void say(struct fixture *f, const char *text)
{
	assert_int_equal(write(f->peer, text, strlen(text)), (ssize_t)strlen(text));
	turn(f);
}

static void greet(struct fixture *f)
{
	say(f, HELLO);
	assert_string_equal(f->sent.data, "{\"execute\":\"qmp_capabilities\",\"id\":1}\n");
	say(f, NEGOTIATED);
	assert_int_equal(f->n_ready, 1);
	assert_true(qmp_is_ready(f->qmp));
	assert_int_equal(qmp_major(f->qmp), 7);
	buf_clear(&f->sent);
}

static bool ask(struct fixture *f, const char *command, struct error *e)
{
	const struct qmp_call call = { .done = on_reply, .arg = f };
	return qmp_execute(f->qmp, command, NULL, &call, e);
}

static void test_talk(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	assert_false(ask(f, "query-uuid", &e)); /* nobody has greeted */
	assert_int_equal(e.kind, ERROR_UNREACHABLE);
	greet(f);
	assert_true(ask(f, "query-uuid", &e));
	turn(f);
	assert_string_equal(f->sent.data, "{\"execute\":\"query-uuid\",\"id\":2}\n");
	say(f, "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"RESUME\"}\r\n"
	       "{\"return\": {\"UUID\": \"564d");
	assert_string_equal(f->event, "RESUME");
	assert_int_equal(f->n_replies, 0);
	say(f, "0001-0002\"}, \"id\": 2}\r\n");
	assert_int_equal(f->n_replies, 1);
	assert_int_equal(f->reply.kind, ERROR_NONE);
	assert_string_equal(f->uuid, "564d0001-0002");
	say(f, "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"RESET\", "
	       "\"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}\r\n");
	assert_string_equal(f->event, "RESET by guest");
	assert_int_equal(f->n_closed, 0);
}

static void expect_refusal(struct fixture *f, unsigned id, const char *error, enum error_kind kind)
{
	assert_true(ask(f, "any", NULL));
	turn(f);
	char *text = mem_printf("{\"id\": %u, \"error\": %s}\r\n", id, error);
	say(f, text);
	free(text);
	assert_int_equal(f->reply.kind, kind);
}

static void test_refusals(void **state)
{
	struct fixture *f = *state;
	greet(f);
	expect_refusal(f, 2,
		       "{\"class\": \"DeviceNotFound\", \"desc\": \"Device 'nic-4007' not found\"}",
		       ERROR_NOT_FOUND);
	assert_string_equal(f->reply.msg, "QEMU refuses \"any\": Device 'nic-4007' not found");
	expect_refusal(f, 3, "{\"class\": \"CommandNotFound\", \"desc\": \"no\"}",
		       ERROR_UNSUPPORTED);
	expect_refusal(f, 4,
		       "{\"class\": \"GenericError\", \"desc\": \"Failed to get \\\"write\\\" "
		       "lock\"}",
		       ERROR_BUSY);
	expect_refusal(f, 5, "{\"class\": \"GenericError\", \"desc\": \"Odd\"}", ERROR_IO);
	assert_int_equal(f->n_closed, 0);
}

static void test_time_out(void **state)
{
	struct fixture *f = *state;
	greet(f);
	assert_true(ask(f, "slow", NULL));
	turn(f);
	clock_advance(f->clock, (QMP_TIMEOUT_MS - 500) * INT64_C(1000));
	assert_int_equal(f->n_replies, 0);
	clock_advance(f->clock, 1000000);
	assert_int_equal(f->n_replies, 1);
	assert_int_equal(f->reply.kind, ERROR_TIMEOUT);
	say(f, "{\"return\": {}, \"id\": 2}\r\n"); /* too late: nobody cares */
	assert_int_equal(f->n_replies, 1);
	assert_int_equal(f->n_closed, 0);
}

static void test_no_greeting(void **state)
{
	struct fixture *f = *state;
	clock_advance(f->clock, (QMP_GREETING_MS + 500) * INT64_C(1000));
	assert_int_equal(f->n_closed, 1);
	assert_int_equal(f->closed.kind, ERROR_TIMEOUT);
}

static void test_end_answers_all(void **state)
{
	struct fixture *f = *state;
	greet(f);
	assert_true(ask(f, "one", NULL));
	assert_true(ask(f, "two", NULL));
	turn(f);
	close(f->peer);
	f->peer = -1;
	turn(f);
	assert_int_equal(f->n_replies, 2);
	assert_int_equal(f->reply.kind, ERROR_UNREACHABLE);
	assert_int_equal(f->n_closed, 1);
	assert_false(ask(f, "three", NULL));
}

static void test_too_many(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	greet(f);
	for (int i = 0; i < QMP_PENDING_MAX; i++) {
		assert_true(ask(f, "x", &e));
	}
	assert_false(ask(f, "x", &e));
	assert_int_equal(e.kind, ERROR_LIMIT);
}

static void test_free_in_reply(void **state)
{
	struct fixture *f = *state;
	greet(f);
	f->free_in_reply = true;
	assert_true(ask(f, "one", NULL));
	assert_true(ask(f, "two", NULL));
	turn(f);
	say(f, "{\"return\": {}, \"id\": 2}\r\n{\"return\": {}, \"id\": 3}\r\n");
	assert_int_equal(f->n_replies, 1);
	assert_int_equal(f->n_closed, 0);
}

static void test_passes_descriptor(void **state)
{
	struct fixture *f = *state;
	int pipe_fds[2], got = -1;
	char bytes[256], control[CMSG_SPACE(sizeof(int))];
	greet(f);
	assert_int_equal(pipe(pipe_fds), 0);
	const struct qmp_call call = { .done = on_reply, .arg = f, .fd = pipe_fds[1] };
	assert_true(qmp_execute(f->qmp, "getfd", NULL, &call, NULL));
	close(pipe_fds[1]); /* the client has its own */
	for (int i = 0; i < 4; i++) {
		uv_run(&f->loop, UV_RUN_NOWAIT);
	}
	struct iovec part = { bytes, sizeof(bytes) };
	struct msghdr m = { .msg_iov = &part,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	assert_true(recvmsg(f->peer, &m, 0) > 0);
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	if (h == NULL) {
		fail_msg("no descriptor came");
		return;
	}
	memcpy(&got, CMSG_DATA(h), sizeof(got));
	assert_int_equal(write(got, "x", 1), 1);
	assert_int_equal(read(pipe_fds[0], bytes, 1), 1);
	close(got);
	close(pipe_fds[0]);
}

static void test_what_no_qemu_says(void **state)
{
	static const char *const lies[] = {
		"hello\n",
		"[]\n",
		"{}\n",
		"{\"QMP\": 1}\n",
		"{\"QMP\": {\"version\": {}}}\n",
		NEGOTIATED,
		"{\"event\": \"RESET\"}\n",
		"{\"return\": {\"x\": \"\xff\xfe\"}}\n",
		HELLO HELLO,
		HELLO "{\"return\": {}, \"id\": \"1\"}\n",
		HELLO "{\"return\": {}, \"id\": -1}\n",
		HELLO "{\"error\": {\"class\": 5, \"desc\": \"\"}, \"id\": 1}\n",
		HELLO NEGOTIATED "{\"event\": []}\n",
		HELLO NEGOTIATED "{\"event\": \"RESET\", \"data\": 7}\n",
		HELLO NEGOTIATED "{\"event\": \"x\"",
	};
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		struct fixture *f;
		bool is_last = i == ARRAY_LEN(lies) - 1;
		set_up((void **)&f);
		say(f, lies[i]);
		assert_int_equal(f->n_closed, is_last ? 0 : 1);
		assert_int_equal(f->n_events, 0);
		tear_down((void **)&f);
	}
	(void)state;
}

static void test_endless_line(void **state)
{
	struct fixture *f = *state;
	char part[4096];
	memset(part, ' ', sizeof(part));
	for (int i = 0; i < 1024 && f->n_closed == 0; i++) {
		if (write(f->peer, part, sizeof(part)) < 0) {
			break;
		}
		turn(f);
	}
	assert_int_equal(f->n_closed, 1);
	assert_int_equal(f->closed.kind, ERROR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_talk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_time_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_greeting, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_end_answers_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_many, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_free_in_reply, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_passes_descriptor, set_up, tear_down),
		cmocka_unit_test(test_what_no_qemu_says),
		cmocka_unit_test_setup_teardown(test_endless_line, set_up, tear_down),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
