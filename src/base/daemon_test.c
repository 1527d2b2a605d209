/* SPDX-License-Identifier: Apache-2.0 */
#include "base/daemon.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/rpc.h"
#include "base/timer.h"

enum {
	TRIES = 10000
};

/* A daemon that, once it serves, is asked from a thread for its status and then stopped. */
struct probe {
	struct daemon daemon;
	const char *extra;
	bool loud;
	bool fails;		/* to begin */
	bool stays;		/* busy for longer than anybody waits */
	unsigned busy_for;	/* questions */
	unsigned n_stop, n_end; /* calls */
	unsigned n_asked;	/* whether it is busy */
	void (*while_begin)(struct probe *p);
	void (*client)(struct probe *p, const char *socket); /* runs in a thread */
	struct timer *served;
	uv_thread_t thread;
};

static char folder[64];
static char *state_dir;
static struct buf lines; /* of the log */

static void keep_line(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	buf_adds(&lines, line);
	buf_addc(&lines, '\n');
}

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/daemon_test.XXXXXX");
	if (mkdtemp(folder) == NULL) {
		return -1;
	}
	state_dir = mem_printf("%s/a/state", folder);
	log_set_stderr(false);
	log_set_sink(keep_line, NULL);
	buf_clear(&lines);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	log_set_sink(NULL, NULL);
	log_set_file(NULL, NULL);
	log_set_stderr(true);
	buf_free(&lines);
	free(state_dir);
	return file_remove_tree_at(AT_FDCWD, folder, NULL) ? 0 : -1;
}

static void thread_run(void *arg)
{
	struct probe *p = arg;
	char *socket = daemon_path(&p->daemon, "control.sock");

	p->client(p, socket);
	free(socket);
}

static void on_served(void *arg)
{
	struct probe *p = arg;

	uv_thread_create(&p->thread, thread_run, p);
}

static bool probe_begin(void *arg, struct error *e)
{
	struct probe *p = arg;

	if (p->while_begin != NULL) {
		p->while_begin(p);
	}
	if (p->fails) {
		return error_set(e, ERROR_INVALID, "the probe does not begin");
	}
	p->served = timer_new(&p->daemon.mainloop.loop, clock_real(), on_served, p);
	timer_start(p->served, 0, 0);
	return true;
}

static void probe_status(void *arg, struct json_object *o)
{
	struct probe *p = arg;

	json_put_str(o, "extra", p->extra == NULL ? "" : p->extra);
	json_put_bool(o, "loud", p->loud);
}

static void probe_stop(void *arg, int number)
{
	struct probe *p = arg;

	assert_int_equal(number, SIGTERM);
	p->n_stop++;
}

static bool probe_is_busy(void *arg)
{
	struct probe *p = arg;

	if (p->stays) {
		kill(getpid(), SIGINT);
	}
	return p->stays || ++p->n_asked <= p->busy_for;
}

static void probe_end(void *arg)
{
	struct probe *p = arg;

	if (p->served != NULL) {
		uv_thread_join(&p->thread);
	}
	timer_free(p->served);
	p->n_end++;
}

/* `words` end with NULL. */
static int probe_run(struct probe *p, const char *const *words)
{
	const struct daemon_program program = {
		.name = "probed",
		.version = "1.2.3",
		.usage = "usage: remora-probed\n",
		.status_help = "What the probe knows",
		.options = { { .name = "extra", .text = &p->extra },
			     { .name = "loud", .flag = &p->loud } },
		.begin = probe_begin,
		.status = probe_status,
		.stop = probe_stop,
		.is_busy = probe_is_busy,
		.end = probe_end,
	};
	char *argv[16] = { (char[]){ "remora-probed" } };
	int argc = 1;

	for (; words[argc - 1] != NULL; argc++) {
		argv[argc] = mem_strdup(words[argc - 1]);
	}
	int status = daemon_main(&p->daemon, &program, p, argc, argv);
	for (int i = 1; i < argc; i++) {
		free(argv[i]);
	}
	return status;
}

static bool ask_status(const char *socket, const char *part)
{
	struct json_object *result = NULL;
	struct buf b = BUF_INIT;

	if (!rpc_request(socket, "status", NULL, 10000, &result, NULL)) {
		return false;
	}
	json_add_text(&b, result);
	json_object_put(result);
	bool has = strstr(b.data, part) != NULL;
	buf_free(&b);
	return has;
}

static bool status_was_right;

static void client_ask(struct probe *p, const char *socket)
{
	(void)p;
	status_was_right = ask_status(socket, "{\"extra\":\"more\",\"loud\":true}");
	kill(getpid(), SIGTERM);
}

static void test_life(void **state)
{
	struct probe p = { .client = client_ask, .busy_for = 3 };

	(void)state;
	status_was_right = false;
	assert_int_equal(probe_run(&p, (const char *const[]){ "--state", state_dir, "--extra",
							      "more", "--loud", NULL }),
			 0);
	assert_true(status_was_right);
	assert_int_equal(p.n_stop, 1);
	assert_int_equal(p.n_asked, 4);
	assert_int_equal(p.n_end, 1);
	assert_non_null(strstr(lines.data, "stopped"));
	char *socket = mem_printf("%s/control.sock", state_dir);
	assert_int_not_equal(access(socket, F_OK), 0);
	free(socket);
}

static void client_stop(struct probe *p, const char *socket)
{
	(void)p;
	(void)socket;
	kill(getpid(), SIGTERM);
}

static void test_second_signal_ends_at_once(void **state)
{
	struct probe p = { .client = client_stop, .stays = true };
	int64_t before_us = clock_mono_us(clock_real());

	(void)state;
	assert_int_equal(probe_run(&p, (const char *const[]){ "--state", state_dir, NULL }), 0);
	assert_int_equal(p.n_stop, 1);
	assert_in_range(clock_mono_us(clock_real()) - before_us, 0, 4000000);
}

/* Moves the log away; when the daemon was told, there is a new one. */
static void client_rotate(struct probe *p, const char *socket)
{
	char *old = mem_printf("%s.1", p->daemon.options.log_file);

	status_was_right = rename(p->daemon.options.log_file, old) == 0;
	kill(getpid(), SIGHUP);
	for (int i = 0; i < TRIES && access(p->daemon.options.log_file, F_OK) != 0; i++) {
		ask_status(socket, "");
	}
	status_was_right = status_was_right && access(p->daemon.options.log_file, F_OK) == 0;
	free(old);
	kill(getpid(), SIGTERM);
}

static void test_log_is_opened_anew(void **state)
{
	struct probe p = { .client = client_rotate };
	char *log = mem_printf("%s/log", folder);

	(void)state;
	status_was_right = false;
	assert_int_equal(probe_run(&p, (const char *const[]){ "--state", state_dir, "--log-file",
							      log, "--log-level", "*=info", NULL }),
			 0);
	assert_true(status_was_right);
	free(log);
}

/* As if it were started a second time. */
static void begin_second(struct probe *p)
{
	struct probe second = { 0 };

	(void)p;
	assert_int_equal(probe_run(&second, (const char *const[]){ "--state", state_dir, NULL }),
			 1);
	assert_int_equal(second.n_end, 1);
	assert_null(second.served);
	assert_non_null(strstr(lines.data, "another remora-probed works on \""));
}

static void test_one_a_folder(void **state)
{
	struct probe p = { .client = client_stop, .while_begin = begin_second };

	(void)state;
	assert_int_equal(probe_run(&p, (const char *const[]){ "--state", state_dir, NULL }), 0);
}

static void test_begin_fails(void **state)
{
	struct probe p = { .fails = true };

	(void)state;
	assert_int_equal(probe_run(&p, (const char *const[]){ "--state", state_dir, NULL }), 1);
	assert_int_equal(p.n_end, 1);
	assert_non_null(strstr(lines.data, "the probe does not begin"));
}

static void test_command_line(void **state)
{
	static const struct {
		const char *words[4];
		int status;
	} rows[] = {
		{ { NULL }, 2 },
		{ { "--extra", "x", NULL }, 2 },
		{ { "--state", NULL }, 2 },
		{ { "--nonsense", NULL }, 2 },
		{ { "--state", "/proc/none", "word", NULL }, 2 },
		{ { "--state", "/proc/none", "--log-level=loud", NULL }, 2 },
		{ { "--version", NULL }, 0 },
		{ { "--help", NULL }, 0 },
		{ { "-h", NULL }, 0 },
		{ { "--state", "/proc/none", NULL }, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct probe p = { 0 };
		assert_int_equal(probe_run(&p, rows[i].words), rows[i].status);
		assert_null(p.served);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_life, setup, teardown),
		cmocka_unit_test_setup_teardown(test_second_signal_ends_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_is_opened_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_a_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_begin_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_command_line, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
