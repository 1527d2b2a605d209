/* SPDX-License-Identifier: Apache-2.0 */
#include "base/process.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static uv_loop_t loop;

struct result {
	unsigned n;
	struct process_exit how;
};

static void on_exit_seen(void *arg, const struct process_exit *how)
{
	struct result *r = arg;
	r->n++;
	r->how = *how;
	uv_stop(&loop);
}

static int setup(void **state)
{
	(void)state;
	return uv_loop_init(&loop);
}

static int teardown(void **state)
{
	(void)state;
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop);
}

static struct process *start(const char *script, struct process_options options, struct result *r)
{
	const char *argv[] = { "/bin/sh", "-c", script, NULL };
	struct error e;
	options.argv = argv;
	struct process *p = process_spawn(&loop, &options, on_exit_seen, r, &e);
	if (!p) {
		fail_msg("%s", e.msg);
	}
	return p;
}

static void test_status(void **state)
{
	(void)state;
	struct result r = { 0 };
	struct process *p = start("exit 7", (struct process_options){ 0 }, &r);
	assert_true(process_pid(p) > 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(r.n, 1);
	assert_true(r.how.is_known);
	assert_int_equal(r.how.status, 7);
	assert_int_equal(r.how.signal, 0);
	assert_false(process_is_running(p));
	assert_false(process_signal(p, SIGTERM, NULL));
	process_stop(p, 0);
	process_free(p);
	process_free(NULL);
}

static void test_missing_program(void **state)
{
	(void)state;
	const char *argv[] = { "/nonexistent/program", NULL };
	struct process_options options = { .argv = argv };
	struct result r = { 0 };
	struct error e;
	assert_null(process_spawn(&loop, &options, on_exit_seen, &r, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(r.n, 0);
}

/* Environment, folder, output to a file, further fds; none of our other fds. */
static void test_surroundings(void **state)
{
	(void)state;
	int out[2];
	int extra[2];
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(extra, O_CLOEXEC), 0);
	const char *env[] = { "COLOUR=blue", "PATH=/usr/bin:/bin", NULL };
	struct process_options options = { .env = env,
					   .cwd = "/usr",
					   .stdout_fd = out[1],
					   .extra_fds = &extra[1],
					   .n_extra_fds = 1 };
	struct result r = { 0 };
	struct process *p = start("echo $COLOUR; pwd; echo three >&3; test ! -e /proc/$$/fd/4 && "
				  "test ! -s /dev/stdin",
				  options, &r);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(r.how.status, 0);
	char text[64] = "";
	assert_true(read(out[0], text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "blue\n/usr\n");
	memset(text, 0, sizeof(text));
	assert_true(read(extra[0], text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "three\n");
	process_free(p);
	close(out[0]);
	close(out[1]);
	close(extra[0]);
	close(extra[1]);
}

static void test_stop_gently(void **state)
{
	(void)state;
	struct result r = { 0 };
	struct process *p = start("exec sleep 60", (struct process_options){ 0 }, &r);
	process_stop(p, 60000);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(r.how.signal, SIGTERM);
	process_free(p);
}

static void test_stop_kills_the_stubborn(void **state)
{
	(void)state;
	int ready[2];
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	struct result r = { 0 };
	struct process_options options = { .stdout_fd = ready[1], .is_detached = true };
	struct process *p = start("trap '' TERM; echo; while :; do sleep 60; done", options, &r);
	close(ready[1]);
	char c;
	assert_int_equal(read(ready[0], &c, 1), 1);
	process_stop(p, 60000);
	process_stop(p, 20); /* shortens */
	process_stop(p, 60000);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(r.how.signal, SIGKILL);
	/* Its own child went too: nobody holds the pipe open any more. */
	assert_int_equal(read(ready[0], &c, 1), 0);
	close(ready[0]);
	process_free(p);
}

static void test_free_leaves_it_running(void **state)
{
	(void)state;
	struct result r = { 0 };
	struct process *p =
		start("exec sleep 60", (struct process_options){ .is_detached = true }, &r);
	struct process_identity who = *process_identity(p);
	process_free(p);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(r.n, 0);
	assert_true(process_identity_is_running(&who));
	kill(who.pid, SIGKILL);
	assert_int_equal(waitpid(who.pid, NULL, 0), who.pid);
	assert_false(process_identity_is_running(&who));
}

/* At once means before the handle is let go. */
static void test_stop_at_once_and_free(void **state)
{
	(void)state;
	struct result r = { 0 };
	struct process *p = start("sleep 60", (struct process_options){ .is_detached = true }, &r);
	pid_t pid = process_pid(p);
	int status = 0;
	process_stop(p, 0);
	process_free(p);
	uv_run(&loop, UV_RUN_DEFAULT);
	alarm(10);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	alarm(0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(r.n, 0);
}

static void test_adopt(void **state)
{
	(void)state;
	struct result r = { 0 };
	struct process *first = start("exec sleep 60", (struct process_options){ 0 }, &r);
	char text[PROCESS_IDENTITY_TEXT_SIZE];
	process_identity_format(process_identity(first), text);
	process_free(first);
	struct process_identity who;
	assert_true(process_identity_parse(text, &who));
	struct error e;
	struct process *p = process_adopt(&loop, &who, on_exit_seen, &r, &e);
	assert_non_null(p);
	assert_int_equal(process_pid(p), who.pid);
	process_stop(p, 60000);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(r.n, 1);
	assert_false(r.how.is_known);
	/* Gone, though still a zombie: not adopted again. */
	assert_null(process_adopt(&loop, &who, on_exit_seen, &r, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	waitpid(who.pid, NULL, 0);
	assert_null(process_adopt(&loop, &who, on_exit_seen, &r, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	process_free(p);
}

/* A child that we made ourselves: how it ends is known, and it is waited for. */
static void test_take(void **state)
{
	(void)state;
	for (int how = 0; how < 2; how++) {
		struct result r = { 0 };
		struct error e;
		pid_t pid = fork();
		if (pid == 0) {
			how == 0 ? _exit(9) : (void)pause();
			_exit(0);
		}
		struct process *p = process_take(&loop, pid, on_exit_seen, &r, &e);
		assert_non_null(p);
		assert_int_equal(process_pid(p), pid);
		if (how == 1) {
			process_stop(p, 60000);
		}
		uv_run(&loop, UV_RUN_DEFAULT);
		assert_true(r.n == 1 && r.how.is_known);
		assert_int_equal(r.how.status, how == 0 ? 9 : 0);
		assert_int_equal(r.how.signal, how == 0 ? 0 : SIGTERM);
		assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
		process_free(p);
		uv_run(&loop, UV_RUN_DEFAULT);
	}
}

/* A process that has the pid but is another. */
static void test_reused_pid(void **state)
{
	(void)state;
	struct process_identity who;
	struct error e;
	assert_true(process_identity_of(getpid(), &who, &e));
	assert_true(process_identity_is_running(&who));
	who.start_ticks++;
	assert_false(process_identity_is_running(&who));
	assert_null(process_adopt(&loop, &who, on_exit_seen, NULL, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	who.start_ticks--;
	who.boot_id[0] = who.boot_id[0] == '0' ? '1' : '0';
	assert_null(process_adopt(&loop, &who, on_exit_seen, NULL, &e));
}

static void test_identity_text(void **state)
{
	(void)state;
	static const char *const bad[] = { "",
					   "1",
					   "1:2",
					   "1:2:x",
					   "0:2:00112233-4455-4677-8899-aabbccddeeff",
					   "-1:2:00112233-4455-4677-8899-aabbccddeeff",
					   "99999999999:2:00112233-4455-4677-8899-aabbccddeeff",
					   "1:-2:00112233-4455-4677-8899-aabbccddeeff" };
	struct process_identity who;
	for (size_t i = 0; i != ARRAY_LEN(bad); i++) {
		assert_false(process_identity_parse(bad[i], &who));
	}
	assert_true(process_identity_parse("1:2:00112233-4455-4677-8899-aabbccddeeff", &who));
	assert_int_equal(who.start_ticks, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_status, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing_program, setup, teardown),
		cmocka_unit_test_setup_teardown(test_surroundings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_gently, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_kills_the_stubborn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_leaves_it_running, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_at_once_and_free, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adopt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_take, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reused_pid, setup, teardown),
		cmocka_unit_test_setup_teardown(test_identity_text, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
