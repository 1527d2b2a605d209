/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real driver with a QEMU that only pretends: this very program, started by the driver. What
 * it does wrong follows from the machine's name; what it is asked it says on its standard output,
 * which is the log beside its process id.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/timer.h"
#include "host/driver_qemu.h"

#define UUID	    "564d0001-0002-0003-0004-000500060007"
#define PATIENCE_MS 60000

/* ---- the QEMU ---- */

struct fake {
	const char *name;
	int qmp, client;
	int n_migrate_queries, n_conts;
};

static void say(const struct fake *f, const char *text)
{
	(void)!write(f->client, text, strlen(text));
}

static void answer(const struct fake *f, const char *command, const char *value)
{
	const char *id = strstr(command, "\"id\":");
	char line[300];
	snprintf(line, sizeof(line), "{\"return\":%s,\"id\":%ld}\r\n", value,
		 id ? strtol(id + 5, NULL, 10) : 0L);
	say(f, line);
}

static void stall(const struct fake *f)
{
	say(f, "{\"event\":\"BLOCK_IO_ERROR\",\"data\":{\"device\":\"\",\"operation\":\"write\","
	       "\"action\":\"stop\",\"nospace\":true,\"reason\":\"No space left on device\"},"
	       "\"timestamp\":{\"seconds\":1,\"microseconds\":1}}\r\n");
}

/* false: the connection is to be dropped. */
static bool obey(struct fake *f, const char *command)
{
	char word[64] = "";
	const char *execute = strstr(command, "\"execute\":");
	if (execute) {
		sscanf(execute + 10, " \"%63[^\"]", word);
	}
	printf("%s\n", word);
	fflush(stdout);
	if (strcmp(word, "query-migrate") == 0) {
		if (strcmp(f->name, "drops") == 0 && f->n_migrate_queries++ == 0) {
			return false;
		}
		answer(f, command, "{\"status\":\"active\"}");
		return strcmp(f->name, "hangs up") != 0 || f->n_migrate_queries++ != 0;
	}
	if (strcmp(word, "query-uuid") == 0) {
		answer(f, command, "{\"UUID\":\"" UUID "\"}");
	} else if (strcmp(word, "query-status") == 0) {
		answer(f, command, "{\"status\":\"running\",\"running\":true}");
	} else {
		answer(f, command, "{}");
	}
	if (strcmp(word, "cont") == 0 && strcmp(f->name, "full") == 0 && f->n_conts++ < 2) {
		stall(f);
	}
	return true;
}

static void serve(struct fake *f)
{
	char line[65536];
	FILE *in = fdopen(dup(f->client), "r");
	say(f, "{\"QMP\":{\"version\":{\"qemu\":{\"micro\":0,\"minor\":2,\"major\":7},"
	       "\"package\":\"\"},\"capabilities\":[]}}\r\n");
	while (in && fgets(line, sizeof(line), in) && obey(f, line)) {
	}
	if (in) {
		fclose(in);
	}
}

static void on_term(int number)
{
	(void)number;
	_exit(0);
}

static int fake_main(int argc, char **argv)
{
	struct fake f = { .name = "" };
	for (int i = 1; i + 1 < argc; i++) {
		if (strcmp(argv[i], "-name") == 0) {
			f.name = argv[i + 1] + strlen("guest=");
		} else if (strncmp(argv[i + 1], "socket,id=qmp,fd=", 17) == 0) {
			f.qmp = (int)strtol(argv[i + 1] + 17, NULL, 10);
		}
	}
	signal(SIGTERM, on_term);
	signal(SIGPIPE, SIG_IGN);
	alarm(PATIENCE_MS / 1000); /* nobody waits longer */
	while ((f.client = accept(f.qmp, NULL, NULL)) >= 0) {
		serve(&f);
		close(f.client);
	}
	return 0;
}

/* ---- the test ---- */

struct fixture {
	char folder[64], *state_file, *asked;
	uv_loop_t loop;
	struct driver *driver;
	struct machine *machine;
	struct machine_spec spec;
	uv_timer_t patience;
	bool timed_out, replied, exited, stalled;
	struct error error;
};

static char program[4096];

static void on_stalled(void *arg, struct machine *m, const char *why)
{
	struct fixture *f = arg;
	(void)m;
	assert_false(f->stalled); /* told once, however often it happens */
	f->stalled = strcmp(why, "No space left on device") == 0;
}

static void on_exited(void *arg, struct machine *m, enum machine_exit why, const struct error *e)
{
	(void)m, (void)why, (void)e;
	((struct fixture *)arg)->exited = true;
}

static const struct machine_listener listener = { .exited = on_exited, .stalled = on_stalled };

static void on_done(void *arg, struct machine *m, const struct error *e)
{
	struct fixture *f = arg;
	(void)m;
	f->replied = true;
	f->error = e ? *e : (struct error){ 0 };
}

static struct machine_reply reply_to(struct fixture *f)
{
	f->replied = false;
	return (struct machine_reply){ on_done, f };
}

static void on_patience(uv_timer_t *t)
{
	((struct fixture *)t->data)->timed_out = true;
}

/* Times that QEMU was asked for `word`. */
static int n_asked(const struct fixture *f, const char *word)
{
	struct buf b = BUF_INIT;
	int n = 0;
	if (file_read(f->asked, 1 << 20, &b, NULL)) {
		for (const char *at = b.data; (at = strstr(at, word)) != NULL; at++) {
			n++;
		}
	}
	buf_free(&b);
	return n;
}

static bool has_replied(const struct fixture *f)
{
	return f->replied;
}

static bool has_gone_on(const struct fixture *f)
{
	return n_asked(f, "cont\n") >= 2;
}

static bool has_gone_on_twice(const struct fixture *f)
{
	return n_asked(f, "cont\n") >= 3;
}

static void wait_for(struct fixture *f, bool (*is_there)(const struct fixture *f))
{
	f->timed_out = false;
	uv_timer_start(&f->patience, on_patience, PATIENCE_MS / 2, 0);
	while (!is_there(f) && !f->timed_out) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	uv_timer_stop(&f->patience);
	assert_false(f->timed_out);
}

static void on_wake(void *arg)
{
	(void)arg; /* files are looked at again */
}

static void start(struct fixture *f, const char *name)
{
	struct machine_reply r = reply_to(f);
	struct error e = { 0 };
	f->spec.name = name;
	if (!machine_start(f->machine, &f->spec, &r, &e)) {
		if (strstr(e.msg, strerror(ENOEXEC)) != NULL) {
			print_message("%s: emulated programs cannot start others\n", e.msg);
			skip();
		}
		fail_msg("%s", e.msg);
	}
	wait_for(f, has_replied);
	assert_string_equal(f->error.msg, "");
}

static int set_up(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));
	const struct driver_qemu_options options = { .program = program };
	snprintf(f->folder, sizeof(f->folder), "/tmp/remora-lost-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	f->state_file = mem_printf("%s/x.vmss", f->folder);
	f->asked = mem_printf("%s/vm-" UUID ".log", f->folder);
	f->spec = (struct machine_spec){
		.uuid = UUID,
		.folder = f->folder,
		.run = f->folder,
		.state_file = f->state_file,
		.vcpus = 1,
		.memory_mib = 64,
	};
	uv_loop_init(&f->loop);
	uv_timer_init(&f->loop, &f->patience);
	f->patience.data = f;
	f->driver = driver_qemu_new(&f->loop, &options);
	f->machine = machine_new(f->driver, &listener, f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	struct machine_reply r = reply_to(f);
	if (machine_stop(f->machine, &r, NULL)) {
		wait_for(f, has_replied);
	}
	machine_free(f->machine);
	driver_free(f->driver);
	uv_close((uv_handle_t *)&f->patience, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_true(file_remove_tree_at(AT_FDCWD, f->folder, NULL));
	free(f->state_file);
	free(f->asked);
	free(f);
	return 0;
}

/* A suspend whose QEMU is lost for a moment fails, and its guest goes on when it is found. */
static void suspend_fails(struct fixture *f, const char *name)
{
	start(f, name);
	struct timer *wake = timer_new(&f->loop, clock_real(), on_wake, NULL);
	struct machine_reply r = reply_to(f);
	assert_true(machine_suspend(f->machine, &r, NULL));
	wait_for(f, has_replied);
	assert_int_equal(f->error.kind, ERROR_UNREACHABLE);
	assert_int_equal(machine_state(f->machine), MACHINE_RUNNING);
	timer_start(wake, 100, 100);
	wait_for(f, has_gone_on);
	timer_free(wake);
	assert_false(f->exited);
	assert_int_not_equal(access(f->state_file, F_OK), 0);
}

static void lost_while_it_answers(void **state)
{
	suspend_fails(*state, "drops");
}

static void lost_between_two_questions(void **state)
{
	suspend_fails(*state, "hangs up");
}

static void goes_on_when_there_is_room(void **state)
{
	struct fixture *f = *state;
	start(f, "full");
	struct timer *wake = timer_new(&f->loop, clock_real(), on_wake, NULL);
	timer_start(wake, 100, 100);
	wait_for(f, has_gone_on_twice);
	timer_free(wake);
	assert_true(f->stalled);
	assert_int_equal(machine_state(f->machine), MACHINE_RUNNING);
}

#define MIB (1 << 20)

static void put(const char *path, off_t at, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && pwrite(fd, text, strlen(text), at) > 0);
	close(fd);
}

static void logs_stay_small(void **state)
{
	struct fixture *f = *state;
	struct buf old = BUF_INIT;
	char *log = mem_printf("%s/serial0.log", f->folder);
	char *before = mem_printf("%s/serial0.log.1", f->folder);
	char *own = mem_printf("%s/vm-" UUID ".log", f->folder);
	char *port = mem_printf("%s/serial0.sock", f->folder);
	struct machine_serial serial = { MACHINE_SERIAL_SOCKET, port, log };
	struct error e;
	f->spec.serials = &serial;
	f->spec.n_serials = 1;
	start(f, "talks");
	machine_tidy(f->machine);
	assert_int_not_equal(access(before, F_OK), 0);
	put(log, (off_t)9 * MIB, "the end");
	put(own, (off_t)3 * MIB, "x");
	machine_tidy(f->machine);
	assert_true(file_read(before, MIB, &old, &e));
	assert_int_equal(old.len, MIB);
	assert_string_equal(old.data + MIB - 7, "the end");
	buf_clear(&old);
	assert_true(file_read(log, 0, &old, &e) && file_read(own, 0, &old, &e));
	buf_free(&old);
	free(log);
	free(before);
	free(own);
	free(port);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "-nodefaults") == 0) {
		return fake_main(argc, argv);
	}
	assert_true(readlink("/proc/self/exe", program, sizeof(program) - 1) > 0);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lost_while_it_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(lost_between_two_questions, set_up, tear_down),
		cmocka_unit_test_setup_teardown(goes_on_when_there_is_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(logs_stay_small, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
