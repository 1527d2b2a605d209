/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mainloop.h"

#include <signal.h>

#include "base/macro.h"
#include "base/timer.h"

enum {
	STOP_POLL_MS = 20,
	STOP_LIMIT_MS = 5000,
};

void mainloop_init(struct mainloop *m, const struct mainloop_hooks *hooks, void *arg)
{
	*m = (struct mainloop){ .hooks = hooks, .arg = arg };
	uv_loop_init(&m->loop);
}

static void stop_look(void *arg)
{
	struct mainloop *m = arg;

	if (m->hooks->is_busy != NULL && m->hooks->is_busy(m->arg) &&
	    clock_mono_us(clock_real()) < m->stop_by_us) {
		return;
	}
	timer_stop(m->stopping);
	uv_stop(&m->loop);
}

static void stop(struct mainloop *m, int number)
{
	if (m->stopping != NULL) {
		uv_stop(&m->loop);
		return;
	}
	if (m->hooks->stop != NULL) {
		m->hooks->stop(m->arg, number);
	}
	m->stop_by_us = clock_mono_us(clock_real()) + STOP_LIMIT_MS * INT64_C(1000);
	m->stopping = timer_new(&m->loop, clock_real(), stop_look, m);
	timer_start(m->stopping, 0, STOP_POLL_MS);
}

static void on_stop(uv_signal_t *s, int number)
{
	stop(s->data, number);
}

void mainloop_stop(struct mainloop *m)
{
	stop(m, SIGTERM);
}

static void on_hangup(uv_signal_t *s, int number)
{
	struct mainloop *m = s->data;

	(void)number;
	m->hooks->hangup(m->arg);
}

void mainloop_catch_signals(struct mainloop *m)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		if (numbers[i] == SIGHUP && m->hooks->hangup == NULL) {
			continue;
		}
		uv_signal_init(&m->loop, &m->signals[i]);
		m->signals[i].data = m;
		uv_signal_start(&m->signals[i], numbers[i] == SIGHUP ? on_hangup : on_stop,
				numbers[i]);
	}
}

void mainloop_run(struct mainloop *m)
{
	uv_run(&m->loop, UV_RUN_DEFAULT);
}

void mainloop_fini(struct mainloop *m)
{
	timer_free(m->stopping);
	for (size_t i = 0; i < ARRAY_LEN(m->signals); i++) {
		if (m->signals[i].loop != NULL) {
			uv_close((uv_handle_t *)&m->signals[i], NULL);
		}
	}
	/* Closing takes a turn, and what closes may close more. */
	uv_run(&m->loop, UV_RUN_NOWAIT);
	uv_run(&m->loop, UV_RUN_NOWAIT);
	uv_loop_close(&m->loop);
}
