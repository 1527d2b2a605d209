/* SPDX-License-Identifier: Apache-2.0 */
#include "host/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <semaphore.h>
#include <stdlib.h>

enum {
	N_LONG = 40, /* more than there are threads */
};

static sem_t gate;
static uv_loop_t loop;
static int n_done, n_canceled;
static bool is_timed_out;

static bool run_until_let_go(void *data, struct progress *p, struct error *e)
{
	(void)data, (void)p, (void)e;
	while (sem_wait(&gate) != 0) {
	}
	return true;
}

static bool run_brief(void *data, struct progress *p, struct error *e)
{
	(void)data, (void)p, (void)e;
	return true;
}

static void on_done(void *arg, const struct error *e)
{
	n_done++;
	n_canceled += e != NULL && e->kind == ERROR_CANCELED;
	if (arg != NULL) {
		*(bool *)arg = true;
	}
}

static void on_patience(uv_timer_t *t)
{
	(void)t;
	is_timed_out = true;
}

static void wait_for(const bool *flag)
{
	uv_timer_t patience;
	uv_timer_init(&loop, &patience);
	uv_timer_start(&patience, on_patience, 20000, 0);
	is_timed_out = false;
	while (!*flag && !is_timed_out) {
		uv_run(&loop, UV_RUN_ONCE);
	}
	uv_close((uv_handle_t *)&patience, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
}

/* However many disks are copied: what is over in a moment is not held up, nor is a cancelled job
 * that waits for its turn. */
static void brief_jobs_overtake_long_ones(void **state)
{
	(void)state;
	struct job *jobs[N_LONG];
	bool brief = false, canceled = false;
	const struct job_work slow = { .run = run_until_let_go };
	const struct job_work quick = { .run = run_brief, .is_brief = true };

	sem_init(&gate, 0, 0);
	uv_loop_init(&loop);
	for (int i = 0; i < N_LONG; i++) {
		struct job_handler h = { .loop = &loop, .done = on_done };
		h.arg = i == N_LONG - 2 ? &canceled : NULL;
		jobs[i] = job_start(&h, &slow);
	}
	const struct job_handler h = { .loop = &loop, .done = on_done, .arg = &brief };
	job_start(&h, &quick);
	wait_for(&brief);
	bool in_time = brief;
	job_cancel(jobs[N_LONG - 2]);
	wait_for(&canceled);
	in_time = in_time && canceled;
	for (int i = 0; i < N_LONG; i++) {
		sem_post(&gate);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(in_time);
	assert_int_equal(n_done, N_LONG + 1);
	assert_int_equal(n_canceled, 1);
	assert_int_equal(uv_loop_close(&loop), 0);
	sem_destroy(&gate);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(brief_jobs_overtake_long_ones) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
