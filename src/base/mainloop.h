/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that serves until a signal ends it: its event loop, the signals, and an orderly end.
 * SIGTERM and SIGINT stop it; what is under way gets up to five seconds, and a second signal none.
 * SIGPIPE is ignored. The mainloop stands still in memory between init and fini; main thread only.
 */
#ifndef BASE_MAINLOOP_H
#define BASE_MAINLOOP_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

struct mainloop_hooks {
	/* A signal asked for the end: take no new work. NULL: nothing to do. */
	void (*stop)(void *arg, int signal);
	/* Is something under way that the end waits for? NULL: nothing ever. */
	bool (*is_busy)(void *arg);
	/* SIGHUP came. NULL: the signal does what it does by default. */
	void (*hangup)(void *arg);
};

struct mainloop {
	uv_loop_t loop; /* anybody's; the rest is its own */
	const struct mainloop_hooks *hooks;
	void *arg;
	uv_signal_t signals[3];
	struct timer *stopping;
	int64_t stop_by_us;
};

/* `hooks` must outlive it. */
void mainloop_init(struct mainloop *m, const struct mainloop_hooks *hooks, void *arg);
/* From here on signals are taken; they act when the loop runs. */
void mainloop_catch_signals(struct mainloop *m);
/* Returns when it was stopped. */
void mainloop_run(struct mainloop *m);
/* Ends it as SIGTERM does, from within the loop. */
void mainloop_stop(struct mainloop *m);
/* After all others have closed what they had on the loop. */
void mainloop_fini(struct mainloop *m);

#endif
