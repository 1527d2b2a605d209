/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines that move from one QEMU to another: whole, cancelled, broken off, and with the process
 * that drives them killed at each step.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macro.h"
#include "host/driver_move_rig.h"

static void test_moves(void **state)
{
	struct rig *r = *state;
	struct error e = { 0 };
	rig_bring_to_switch(r);
	assert_true(r->total >= RIG_DISK_SIZE);
	rig_expect_stands(&r->from);
	assert_int_equal(rig_count_on_disk(&r->from), rig_count_on_disk(&r->to));
	uint64_t begun = uv_hrtime();
	assert_true(machine_send_go(r->from.machine, &e));
	assert_false(machine_send_cancel(r->from.machine, &e));
	rig_wait(r, &r->sent);
	assert_int_equal(machine_state(r->from.machine), MACHINE_SENT);
	rig_wait_ok(&r->to);
	assert_int_equal(machine_state(r->to.machine), MACHINE_RECEIVING);
	assert_int_equal(rig_said(&r->to), 0); /* not before it is told to */
	rig_run_there(r);
	print_message("handed over in %.1f ms\n", (double)(uv_hrtime() - begun) / 1e6);
	rig_expect_runs(&r->to);
	rig_expect_continued(r);
	assert_int_equal(machine_state(r->from.machine), MACHINE_SENT);
	rig_stop(&r->from);
	rig_expect_runs(&r->to);
	rig_stop(&r->to);
}

/* Ends as it should: the guest runs on where it was, nothing is left of the other. */
static void expect_stays(struct rig *r, enum error_kind kind)
{
	rig_wait(r, &r->failed);
	print_message("stays: %s\n", r->failure.msg);
	if (kind != ERROR_NONE) {
		assert_int_equal(r->failure.kind, kind);
	}
	assert_false(r->sent);
	assert_int_equal(machine_state(r->from.machine), MACHINE_RUNNING);
	rig_expect_runs(&r->from);
	if (machine_state(r->to.machine) != MACHINE_OFF) {
		rig_wait(r, &r->to.replied);
		print_message("gone: %s\n", r->to.error.msg);
		assert_int_not_equal(r->to.error.kind, ERROR_NONE);
	}
	assert_int_equal(machine_state(r->to.machine), MACHINE_OFF);
	assert_int_equal(rig_said(&r->to), 0);
	rig_expect_no_traces(&r->to);
	machine_tidy(r->from.machine);
}

static void signal_machine(struct side *s, int signal)
{
	struct machine_usage u;
	assert_true(machine_usage(s->machine, &u, NULL));
	kill((pid_t)u.pid, signal);
}

static void kill_machine(struct side *s)
{
	signal_machine(s, SIGKILL);
}

static void cancel(struct rig *r)
{
	struct error e = { 0 };
	assert_true(machine_send_cancel(r->from.machine, &e));
	assert_false(machine_send_go(r->from.machine, &e) && r->stopped);
}

static void test_cancelled_with_disks(void **state)
{
	struct rig *r = *state;
	bool never = false;
	rig_start(r);
	rig_receive(r);
	rig_take_stream(r);
	rig_send(r, "to", 1 << 20); /* takes eight seconds */
	rig_wait_some(r, &never, 700);
	assert_false(r->stopped);
	cancel(r);
	expect_stays(r, ERROR_CANCELED);
}

static void test_cancelled_at_once(void **state)
{
	struct rig *r = *state;
	rig_start(r);
	rig_receive(r);
	rig_take_stream(r);
	rig_send(r, "to", 0);
	cancel(r);
	expect_stays(r, ERROR_CANCELED);
}

/* A guest that always has a write under way has one when its mirror is cancelled or fails. */
static void test_cancelled_while_it_writes(void **state)
{
	struct rig *r = *state;
	bool never = false;
	rig_start(r);
	for (int round = 0; round < 6; round++) {
		rig_receive(r);
		rig_take_stream(r);
		rig_send(r, "to", 1 << 20);
		rig_wait_some(r, &never, 200 + 30 * (unsigned)round);
		if (round % 2 == 0) {
			cancel(r);
		} else {
			kill_machine(&r->to);
		}
		expect_stays(r, ERROR_NONE);
		rig_cut_wires(r);
		rig_make_wires(r);
	}
}

static void test_cancelled_at_switch(void **state)
{
	struct rig *r = *state;
	rig_bring_to_switch(r);
	rig_expect_stands(&r->from);
	cancel(r);
	expect_stays(r, ERROR_CANCELED);
}

/* The first attempt fails, the second one over new connections does not. */
static void test_again(void **state)
{
	struct rig *r = *state;
	struct error e = { 0 };
	rig_bring_to_switch(r);
	cancel(r);
	expect_stays(r, ERROR_CANCELED);
	rig_cut_wires(r);
	rig_make_wires(r);
	rig_receive(r);
	rig_take_stream(r);
	rig_send(r, "to", 0);
	rig_wait(r, &r->stopped);
	assert_true(machine_send_go(r->from.machine, &e));
	rig_wait(r, &r->sent);
	rig_wait_ok(&r->to);
	rig_run_there(r);
	rig_expect_runs(&r->to);
	rig_stop(&r->from);
}

static void test_wrong_name(void **state)
{
	struct rig *r = *state;
	rig_start(r);
	rig_receive(r);
	rig_take_stream(r);
	rig_send(r, "somebody-else", 0);
	rig_wait(r, &r->failed);
	assert_non_null(strstr(r->failure.msg, "somebody-else"));
	struct machine_reply reply = rig_reply(&r->to);
	if (machine_stop(r->to.machine, &reply, NULL)) {
		rig_wait_ok(&r->to);
	}
	rig_expect_runs(&r->from);
}

static void test_wrong_certificate(void **state)
{
	struct rig *r = *state;
	char *certificate = r->from.certificate, *key = r->from.key;
	rig_start(r);
	rig_receive(r);
	rig_take_stream(r);
	rig_make_certificate("from", &r->from.certificate,
			     &r->from.key); /* not the one agreed on */
	rig_send(r, "to", 0);
	rig_wait(r, &r->failed);
	print_message("stays: %s\n", r->failure.msg);
	free(certificate);
	free(key);
	rig_expect_runs(&r->from);
	rig_stop(&r->to);
}

static void test_target_dies(void **state)
{
	struct rig *r = *state;
	bool never = false;
	rig_start(r);
	rig_receive(r);
	rig_take_stream(r);
	rig_send(r, "to", 1 << 20);
	rig_wait_some(r, &never, 500);
	kill_machine(&r->to);
	expect_stays(r, ERROR_NONE);
}

static void test_target_dies_at_switch(void **state)
{
	struct rig *r = *state;
	struct error e = { 0 };
	rig_bring_to_switch(r);
	kill_machine(&r->to);
	rig_wait(r, &r->to.replied);
	assert_true(machine_send_go(r->from.machine, &e));
	while (!r->sent && !r->failed) {
		rig_wait_some(r, &r->failed, 50);
	}
	if (r->sent) { /* the last bytes found room on the way */
		struct machine_reply reply = rig_reply(&r->from);
		assert_true(machine_send_revive(r->from.machine, &reply, &e));
		rig_wait_ok(&r->from);
	}
	assert_int_equal(machine_state(r->from.machine), MACHINE_RUNNING);
	rig_expect_runs(&r->from);
}

static void test_source_dies(void **state)
{
	struct rig *r = *state;
	rig_bring_to_switch(r);
	rig_cut_wires(r);
	kill_machine(&r->from);
	rig_wait(r, &r->from.exited);
	assert_int_equal(r->from.why, MACHINE_EXIT_FAILED);
	rig_wait(r, &r->to.replied);
	assert_int_not_equal(r->to.error.kind, ERROR_NONE);
	assert_int_equal(machine_state(r->to.machine), MACHINE_OFF);
	rig_expect_no_traces(&r->from);
}

static void test_hardware_that_cannot(void **state)
{
	struct rig *r = *state;
	struct machine_reply reply = rig_reply(&r->to);
	const struct machine_incoming in = { .tls = { r->to.certificate, r->to.key,
						      r->from.certificate, "from" },
					     .export_fd = -1 };
	struct error e = { 0 };
	r->to.disks[0].controller = MACHINE_NVME;
	assert_false(machine_receive(r->to.machine, &r->to.spec, &in, &reply, &e));
	assert_int_equal(e.kind, ERROR_UNSUPPORTED);
	assert_int_equal(machine_state(r->to.machine), MACHINE_OFF);
	rig_expect_no_traces(&r->to);
}

static void bring_over(struct rig *r)
{
	struct error e = { 0 };
	rig_bring_to_switch(r);
	assert_true(machine_send_go(r->from.machine, &e));
	rig_wait(r, &r->sent);
	rig_wait_ok(&r->to);
}

static void test_revived(void **state)
{
	struct rig *r = *state;
	bring_over(r);
	rig_stop(&r->to);
	rig_expect_stands(&r->from);
	struct machine_reply reply = rig_reply(&r->from);
	assert_true(machine_send_revive(r->from.machine, &reply, NULL));
	rig_wait_ok(&r->from);
	assert_int_equal(machine_state(r->from.machine), MACHINE_RUNNING);
	rig_expect_runs(&r->from);
	assert_int_equal(rig_said(&r->to), 0);
}

/* A QEMU with the only guest there is, that does not answer when it is told to run it. */
static void test_frozen_when_it_is_to_run(void **state)
{
	struct rig *r = *state;
	bring_over(r);
	signal_machine(&r->to, SIGSTOP);
	rig_run_there(r); /* until what it is told has taken too long */
	assert_int_equal(rig_said(&r->to), 0);
	signal_machine(&r->to, SIGCONT);
	rig_expect_runs(&r->to);
	rig_expect_continued(r);
	rig_stop(&r->from);
	rig_expect_runs(&r->to);
	rig_stop(&r->to);
}

static void test_frozen_when_it_is_revived(void **state)
{
	struct rig *r = *state;
	bring_over(r);
	rig_stop(&r->to);
	signal_machine(&r->from, SIGSTOP);
	struct machine_reply reply = rig_reply(&r->from);
	assert_true(machine_send_revive(r->from.machine, &reply, NULL));
	rig_wait_ok(&r->from);
	assert_int_equal(machine_state(r->from.machine), MACHINE_RUNNING);
	signal_machine(&r->from, SIGCONT);
	rig_expect_runs(&r->from);
	rig_stop(&r->from);
}

/* ---- the process that drives both is killed ---- */

enum moment {
	MOMENT_WAITING,
	MOMENT_DISKS,
	MOMENT_SWITCH,
	MOMENT_GOING,
	MOMENT_SENT,
	MOMENT_LOADED,
	MOMENT_RUN,
	MOMENT_RUNNING,
	MOMENT_BY_TIME, /* and later: so many milliseconds after sending began */
};

static void die(void)
{
	kill(getpid(), SIGKILL);
}

static void move_and_die(struct rig *r, int moment)
{
	struct error e = { 0 };
	bool never = false;
	rig_start(r);
	rig_receive(r);
	if (moment == MOMENT_WAITING) {
		die();
	}
	rig_take_stream(r);
	rig_send(r, "to", moment == MOMENT_DISKS ? 1 << 20 : 0);
	if (moment == MOMENT_DISKS) {
		rig_wait_some(r, &never, 500);
		die();
	}
	if (moment > MOMENT_BY_TIME) { /* whatever it is doing then */
		const struct itimerval t = { .it_value.tv_usec = (moment - MOMENT_BY_TIME) * 1000 };
		setitimer(ITIMER_REAL, &t, NULL);
	}
	rig_wait(r, &r->stopped);
	if (moment == MOMENT_SWITCH) {
		die();
	}
	machine_send_go(r->from.machine, &e);
	if (moment == MOMENT_GOING) {
		uv_run(&r->loop, UV_RUN_ONCE);
		die();
	}
	rig_wait(r, &r->sent);
	if (moment == MOMENT_SENT) {
		die();
	}
	rig_wait_ok(&r->to);
	if (moment == MOMENT_LOADED) {
		die();
	}
	struct machine_reply reply = rig_reply(&r->to);
	machine_receive_run(r->to.machine, &reply, &e);
	if (moment == MOMENT_RUN) {
		uv_run(&r->loop, UV_RUN_NOWAIT);
		die();
	}
	rig_wait_ok(&r->to);
	die();
}

static void killed_at(struct rig *r, int moment)
{
	rig_close_side(&r->from);
	rig_close_side(&r->to);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		alarm(RIG_PATIENCE_MS / 1000);
		uv_loop_init(&r->loop);
		uv_timer_init(&r->loop, &r->patience);
		r->patience.data = r;
		rig_open_side(&r->from);
		rig_open_side(&r->to);
		move_and_die(r, moment);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	rig_cut_wires(r);
	rig_open_side(&r->from);
	rig_open_side(&r->to);
}

static enum machine_state adopt(struct side *s)
{
	struct machine_reply reply = rig_reply(s);
	struct error e = { 0 };
	assert_true(machine_adopt(s->machine, &s->spec, &reply, &e));
	rig_wait(s->rig, &s->replied);
	if (s->error.kind != ERROR_NONE) {
		print_message("not adopted: %s\n", s->error.msg);
		assert_int_equal(s->error.kind, ERROR_NOT_FOUND);
		assert_int_equal(machine_state(s->machine), MACHINE_OFF);
		rig_expect_no_traces(s);
	}
	return machine_state(s->machine);
}

/* What the layer above would do; in the end one runs, and only one. */
static void conclude(struct rig *r, enum machine_state from, enum machine_state to)
{
	static const char *const names[] = { "off",	  "adopting",	"starting",
					     "running",	  "suspending", "stopping",
					     "receiving", "sending",	"sent" };
	print_message("found %s here and %s there\n", names[from], names[to]);
	if (from == MACHINE_RUNNING) {
		assert_int_equal(to, MACHINE_OFF);
		rig_expect_runs(&r->from);
		assert_int_equal(rig_said(&r->to), 0);
		return;
	}
	assert_int_equal(from, MACHINE_SENT);
	if (to == MACHINE_OFF) {
		struct machine_reply reply = rig_reply(&r->from);
		assert_true(machine_send_revive(r->from.machine, &reply, NULL));
		rig_wait_ok(&r->from);
		rig_expect_runs(&r->from);
		return;
	}
	if (to == MACHINE_RECEIVING) {
		assert_int_equal(rig_said(&r->to), 0);
		rig_run_there(r);
	}
	rig_expect_runs(&r->to);
	rig_expect_continued(r);
	rig_expect_stands(&r->from);
	rig_stop(&r->from);
}

static void kill_and_conclude(struct rig *r, int moment, enum machine_state from,
			      enum machine_state to)
{
	killed_at(r, moment);
	enum machine_state is_from = adopt(&r->from), is_to = adopt(&r->to);
	if (moment < MOMENT_BY_TIME && moment != MOMENT_GOING && moment != MOMENT_SENT) {
		assert_int_equal(is_from, from);
		assert_int_equal(is_to, to);
	}
	conclude(r, is_from, is_to);
}

static void test_killed_waiting(void **state)
{
	kill_and_conclude(*state, MOMENT_WAITING, MACHINE_RUNNING, MACHINE_OFF);
}

static void test_killed_with_disks(void **state)
{
	kill_and_conclude(*state, MOMENT_DISKS, MACHINE_RUNNING, MACHINE_OFF);
}

static void test_killed_while_it_writes(void **state)
{
	for (int round = 0;;) {
		kill_and_conclude(*state, MOMENT_DISKS, MACHINE_RUNNING, MACHINE_OFF);
		if (++round == 4) {
			break;
		}
		rig_tear_down(state);
		rig_set_up_busy(state);
	}
}

static void test_killed_at_switch(void **state)
{
	kill_and_conclude(*state, MOMENT_SWITCH, MACHINE_RUNNING, MACHINE_OFF);
}

static void test_killed_going(void **state)
{
	kill_and_conclude(*state, MOMENT_GOING, MACHINE_SENT, MACHINE_RECEIVING);
}

static void test_killed_sent(void **state)
{
	kill_and_conclude(*state, MOMENT_SENT, MACHINE_SENT, MACHINE_RECEIVING);
}

static void test_killed_loaded(void **state)
{
	kill_and_conclude(*state, MOMENT_LOADED, MACHINE_SENT, MACHINE_RECEIVING);
}

static void test_killed_run(void **state)
{
	kill_and_conclude(*state, MOMENT_RUN, MACHINE_SENT, MACHINE_RUNNING);
}

static void test_killed_running(void **state)
{
	kill_and_conclude(*state, MOMENT_RUNNING, MACHINE_SENT, MACHINE_RUNNING);
}

static void test_killed_any_time(void **state)
{
	static const int moments[] = { 5, 40, 150, 300, 400, 450, 500, 550, 650, 800 };
	for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
		print_message("after %d ms:\n", moments[i]);
		kill_and_conclude(*state, MOMENT_BY_TIME + moments[i], MACHINE_OFF, MACHINE_OFF);
		if (i + 1 < ARRAY_LEN(moments)) {
			rig_tear_down(state);
			rig_set_up(state);
		}
	}
}

int main(int argc, char **argv)
{
#define MOVE_TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
#define BUSY_TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up_busy, rig_tear_down)
	const struct CMUnitTest tests[] = {
		MOVE_TEST(test_moves),
		MOVE_TEST(test_cancelled_with_disks),
		MOVE_TEST(test_cancelled_at_once),
		BUSY_TEST(test_cancelled_while_it_writes),
		MOVE_TEST(test_cancelled_at_switch),
		MOVE_TEST(test_again),
		MOVE_TEST(test_wrong_name),
		MOVE_TEST(test_wrong_certificate),
		MOVE_TEST(test_target_dies),
		MOVE_TEST(test_target_dies_at_switch),
		MOVE_TEST(test_source_dies),
		MOVE_TEST(test_hardware_that_cannot),
		MOVE_TEST(test_revived),
		MOVE_TEST(test_frozen_when_it_is_to_run),
		MOVE_TEST(test_frozen_when_it_is_revived),
		MOVE_TEST(test_killed_waiting),
		MOVE_TEST(test_killed_with_disks),
		BUSY_TEST(test_killed_while_it_writes),
		MOVE_TEST(test_killed_at_switch),
		MOVE_TEST(test_killed_going),
		MOVE_TEST(test_killed_sent),
		MOVE_TEST(test_killed_loaded),
		MOVE_TEST(test_killed_run),
		MOVE_TEST(test_killed_running),
		MOVE_TEST(test_killed_any_time),
	};
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1) {
		cmocka_set_test_filter(argv[1]);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
