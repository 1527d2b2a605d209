/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macro.h"
#include "base/mem.h"
#include "host/driver_sim.h"

#define MANY 10000

static const struct machine_spec spec = {
	.name = "vm",
	.uuid = "564d0001-0002-0003-0004-000500060007",
	.folder = "/vmfs/vm",
	.run = "/run",
	.state_file = "/vmfs/vm/vm.vmss",
	.vcpus = 1,
	.memory_mib = 128,
};

struct seen {
	unsigned n_done, n_exited, n_reset;
	enum error_kind kind;
	enum machine_exit why;
	bool free_in_reply;
};

static void on_reset(void *arg, struct machine *m)
{
	(void)m;
	((struct seen *)arg)->n_reset++;
}

static void on_exited(void *arg, struct machine *m, enum machine_exit why, const struct error *e)
{
	struct seen *s = arg;
	assert_true((why == MACHINE_EXIT_FAILED) == (e != NULL));
	assert_int_equal(machine_state(m), MACHINE_OFF);
	s->n_exited++;
	s->why = why;
}

static const struct machine_listener listener = { .reset = on_reset, .exited = on_exited };

static void on_done(void *arg, struct machine *m, const struct error *e)
{
	struct seen *s = arg;
	s->n_done++;
	s->kind = e ? e->kind : ERROR_NONE;
	if (s->free_in_reply) {
		machine_free(m);
	}
}

static void test_states(void **state)
{
	(void)state;
	struct clock *c = clock_manual_new(0);
	struct driver *d = driver_sim_new(NULL, c, 100);
	struct seen s = { 0 };
	struct machine_reply r = { on_done, &s };
	struct machine *m = machine_new(d, &listener, &s);
	struct error e = { 0 };
	struct machine_usage u;

	assert_string_equal(driver_name(d), "sim");
	assert_false(machine_stop(m, &r, &e));
	assert_int_equal(e.kind, ERROR_STATE);
	assert_false(machine_usage(m, &u, &e));
	assert_true(machine_start(m, &spec, &r, &e));
	assert_int_equal(machine_state(m), MACHINE_STARTING);
	assert_false(machine_start(m, &spec, &r, &e));
	assert_int_equal(e.kind, ERROR_BUSY);
	clock_advance(c, 99000);
	assert_int_equal(s.n_done, 0);
	clock_advance(c, 2000);
	assert_int_equal(s.n_done, 1);
	assert_int_equal(machine_state(m), MACHINE_RUNNING);
	assert_true(machine_usage(m, &u, &e));

	assert_true(machine_reset(m, &r, &e));
	assert_false(machine_suspend(m, &r, &e));
	assert_int_equal(e.kind, ERROR_BUSY);
	clock_advance(c, 100000);
	assert_int_equal(s.n_done, 2);
	driver_sim_guest_reset(m);
	assert_int_equal(s.n_reset, 1);

	assert_true(machine_suspend(m, &r, &e));
	clock_advance(c, 100000);
	assert_int_equal(s.n_done, 3);
	assert_int_equal(s.kind, ERROR_NONE);
	assert_int_equal(s.n_exited, 1);
	assert_int_equal(s.why, MACHINE_EXIT_SUSPENDED);
	assert_true(machine_resume(m, &spec, &r, &e));
	clock_advance(c, 100000);
	assert_true(machine_powerdown(m, &r, &e));
	clock_advance(c, 100000);
	assert_int_equal(s.n_done, 5);
	assert_int_equal(s.why, MACHINE_EXIT_GUEST);
	assert_int_equal(s.n_exited, 2);

	assert_true(machine_adopt(m, &spec, &r, &e));
	clock_advance(c, 0);
	assert_int_equal(s.kind, ERROR_NOT_FOUND);
	assert_int_equal(s.n_exited, 2);
	machine_free(m);
	driver_free(d);
	clock_manual_free(c);
}

static void test_stop_overtakes(void **state)
{
	(void)state;
	struct clock *c = clock_manual_new(0);
	struct driver *d = driver_sim_new(NULL, c, 100);
	struct seen start = { 0 }, stop = { 0 }, events = { 0 };
	struct machine *m = machine_new(d, &listener, &events);
	struct machine_reply r1 = { on_done, &start }, r2 = { on_done, &stop };
	assert_true(machine_start(m, &spec, &r1, NULL));
	clock_advance(c, 50000);
	assert_true(machine_stop(m, &r2, NULL));
	assert_false(machine_stop(m, &r2, NULL));
	clock_advance(c, 99000);
	assert_int_equal(start.n_done, 0);
	clock_advance(c, 1000);
	assert_int_equal(start.n_done, 1);
	assert_int_equal(start.kind, ERROR_CANCELED);
	assert_int_equal(stop.n_done, 1);
	assert_int_equal(stop.kind, ERROR_NONE);
	assert_int_equal(events.n_exited, 0); /* it never was up */
	assert_int_equal(machine_state(m), MACHINE_OFF);
	machine_free(m);
	driver_free(d);
	clock_manual_free(c);
}

static void test_free_cancels(void **state)
{
	(void)state;
	struct clock *c = clock_manual_new(0);
	struct driver *d = driver_sim_new(NULL, c, 0);
	struct seen s = { 0 };
	struct machine_reply r = { on_done, &s };
	struct machine *m = machine_new(d, &listener, &s);
	assert_true(machine_start(m, &spec, &r, NULL));
	machine_free(m);
	assert_int_equal(s.n_done, 1);
	assert_int_equal(s.kind, ERROR_CANCELED);
	clock_advance(c, 1000000);
	assert_int_equal(s.n_done, 1);

	s = (struct seen){ .free_in_reply = true };
	m = machine_new(d, &listener, &s);
	assert_true(machine_start(m, &spec, &r, NULL));
	clock_advance(c, 0);
	assert_int_equal(s.n_done, 1);
	driver_free(d); /* asserts that none is left */
	clock_manual_free(c);
}

struct move {
	unsigned n_stopped, n_sent, n_failed;
	enum error_kind kind;
};

static void on_stopped(void *arg)
{
	((struct move *)arg)->n_stopped++;
}

static void on_sent(void *arg)
{
	((struct move *)arg)->n_sent++;
}

static void on_failed(void *arg, const struct error *e)
{
	((struct move *)arg)->n_failed++;
	((struct move *)arg)->kind = e->kind;
}

static const struct machine_send_listener send_listener = { .stopped = on_stopped,
							    .sent = on_sent,
							    .failed = on_failed };

static const struct machine_credentials tls = { "certificate", "key", "peer", "name" };

/* Two machines in one process and the stream between them. */
struct pair {
	uv_loop_t loop;
	struct driver *d;
	struct machine *from, *to;
	struct seen seen;
	struct move move;
	int stream[2];
};

static void open_pair(struct pair *p)
{
	const struct machine_incoming in = { .tls = tls, .export_fd = -1 };
	struct machine_reply r = { on_done, &p->seen };
	struct error e;
	*p = (struct pair){ 0 };
	assert_int_equal(uv_loop_init(&p->loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->stream), 0);
	p->d = driver_sim_new(&p->loop, clock_real(), 0);
	p->from = machine_new(p->d, &listener, &p->seen);
	p->to = machine_new(p->d, &listener, &p->seen);
	assert_true(machine_start(p->from, &spec, &r, &e));
	assert_true(machine_receive(p->to, &spec, &in, &r, &e));
	uv_run(&p->loop, UV_RUN_DEFAULT);
	assert_int_equal(machine_state(p->from), MACHINE_RUNNING);
	assert_int_equal(machine_state(p->to), MACHINE_RECEIVING);
	const struct machine_outgoing out = { .tls = tls, .stream_fd = p->stream[0] };
	assert_true(machine_send(p->from, &out, &send_listener, &p->move, &e));
	assert_true(machine_receive_stream(p->to, p->stream[1], &r, &e));
	while (p->move.n_stopped == 0) {
		uv_run(&p->loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(machine_state(p->from), MACHINE_SENDING);
}

static void close_pair(struct pair *p)
{
	machine_free(p->from);
	machine_free(p->to);
	driver_free(p->d);
	close(p->stream[0]);
	close(p->stream[1]);
	uv_run(&p->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&p->loop), 0);
}

static void test_move(void **state)
{
	(void)state;
	struct pair p;
	struct error e;
	open_pair(&p);
	struct machine_reply r = { on_done, &p.seen };
	assert_false(machine_receive_run(p.to, &r, &e)); /* it is on the way */
	assert_true(machine_send_go(p.from, &e));
	assert_false(machine_send_cancel(p.from, &e));
	uv_run(&p.loop, UV_RUN_DEFAULT);
	assert_int_equal(p.move.n_sent, 1);
	assert_int_equal(p.seen.n_done, 3);
	assert_int_equal(machine_state(p.from), MACHINE_SENT);
	assert_int_equal(machine_state(p.to), MACHINE_RECEIVING);
	assert_true(machine_receive_run(p.to, &r, &e));
	assert_true(machine_stop(p.from, &r, &e));
	uv_run(&p.loop, UV_RUN_DEFAULT);
	assert_int_equal(machine_state(p.from), MACHINE_OFF);
	assert_int_equal(machine_state(p.to), MACHINE_RUNNING);
	close_pair(&p);
}

static void test_move_cancelled(void **state)
{
	(void)state;
	struct pair p;
	struct error e;
	open_pair(&p);
	assert_true(machine_send_cancel(p.from, &e));
	while (p.move.n_failed == 0) {
		uv_run(&p.loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(p.move.kind, ERROR_CANCELED);
	assert_int_equal(machine_state(p.from), MACHINE_RUNNING);
	shutdown(p.stream[0], SHUT_RDWR);
	uv_run(&p.loop, UV_RUN_DEFAULT);
	assert_int_equal(machine_state(p.to), MACHINE_OFF);
	assert_int_equal(p.seen.kind, ERROR_UNREACHABLE);
	close_pair(&p);
}

static void test_move_revived(void **state)
{
	(void)state;
	struct pair p;
	struct error e;
	open_pair(&p);
	struct machine_reply r = { on_done, &p.seen };
	assert_true(machine_send_go(p.from, &e));
	uv_run(&p.loop, UV_RUN_DEFAULT);
	assert_true(machine_stop(p.to, &r, &e));
	uv_run(&p.loop, UV_RUN_DEFAULT);
	assert_true(machine_send_revive(p.from, &r, &e));
	uv_run(&p.loop, UV_RUN_DEFAULT);
	assert_int_equal(machine_state(p.from), MACHINE_RUNNING);
	close_pair(&p);
}

static void test_many_on_a_loop(void **state)
{
	(void)state;
	uv_loop_t loop;
	uv_loop_init(&loop);
	struct driver *d = driver_sim_new(&loop, clock_real(), 0);
	struct seen s = { 0 };
	struct machine_reply r = { on_done, &s };
	struct machine **all = mem_calloc(MANY, sizeof(*all));
	for (size_t i = 0; i < MANY; i++) {
		all[i] = machine_new(d, &listener, &s);
		assert_true(machine_start(all[i], &spec, &r, NULL));
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(s.n_done, MANY);
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(machine_state(all[i]), MACHINE_RUNNING);
		machine_free(all[i]);
	}
	free(all);
	driver_free(d);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states),	     cmocka_unit_test(test_stop_overtakes),
		cmocka_unit_test(test_free_cancels), cmocka_unit_test(test_many_on_a_loop),
		cmocka_unit_test(test_move),	     cmocka_unit_test(test_move_cancelled),
		cmocka_unit_test(test_move_revived),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
