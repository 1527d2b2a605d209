/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a process becomes the switch of a state folder. It waits for its turn to be the standby (the
 * lock of STATE/standby.pid), makes itself ready, and waits for the lock of STATE/switchd.pid,
 * which the kernel gives it when the active process is gone, however that ended. Where the pid file
 * is empty then, the switch was told to end, and so does this process. Main thread only.
 */
#ifndef SWITCH_STANDBY_H
#define SWITCH_STANDBY_H

#include <stdbool.h>

#include <uv.h>

#include "base/error.h"

struct standby;

struct standby_options {
	uv_loop_t *loop;   /* runs only within standby_wait() */
	const char *state; /* folder */
	const char *version;
	/* Once: all that can be done while another process is the switch. */
	bool (*make_ready)(void *arg, struct error *e);
	/* From time to time: follows what that one has come to. */
	void (*follow)(void *arg);
	void *arg;
};

struct standby *standby_new(const struct standby_options *o);
void standby_free(struct standby *s);

/* True: this process is the active one, and the pid file says so. May not return at all: the
 * process ends where the switch was told to. */
bool standby_wait(struct standby *s, struct error *e);

/* Tells the keeper: "ready", "active" or "failed" with a reason. Nothing where there is none. */
void standby_tell(const struct standby *s, const char *state, const char *reason);

/* The switch was told to end: nobody takes over. */
void standby_end(struct standby *s);
/* The pid file is still the one in the state folder. */
bool standby_is_at_home(const struct standby *s);

#endif
