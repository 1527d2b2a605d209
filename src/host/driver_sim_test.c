/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

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
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_stop_overtakes),
		cmocka_unit_test(test_free_cancels),
		cmocka_unit_test(test_many_on_a_loop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
