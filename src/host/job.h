/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job is work too slow for the event loop (copying a disk, searching a datastore), done on the
 * libuv thread pool and reported on the loop's thread.
 *
 * Two halves. `struct progress` is what the working function sees: how far it is, and whether it
 * shall stop. Functions that work this way take it as `struct progress *p` and accept NULL, so the
 * same function serves a test, a worker of another kind, or a job. `struct job` is what the loop
 * sees. A job owns itself: the pointer is valid from job_start() until `done` has returned.
 *
 * Threads: job_start(), job_cancel() and the handlers on the loop's thread; `run` on a worker;
 * progress_*() on either.
 */
#ifndef HOST_JOB_H
#define HOST_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"

struct progress {
	_Atomic uint64_t done;	/* in units the worker chooses, as a rule bytes */
	_Atomic uint64_t total; /* 0: not known yet */
	_Atomic bool canceled;
	void (*changed)(struct progress *p); /* called on the worker; NULL: nobody listens */
};

/* Worker: so much of so much is done. */
void progress_set(struct progress *p, uint64_t done, uint64_t total);

/* Worker: asked between two pieces of work; when somebody cancelled, ERROR_CANCELED and false. */
bool progress_go_on(const struct progress *p, struct error *e);

/* Any thread: asks the worker to stop at its next check. */
void progress_cancel(struct progress *p);

struct job;

/* Who wants to hear of a job. Any function may be NULL. `e` is NULL when the job succeeded. */
struct job_handler {
	uv_loop_t *loop;
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void (*done)(void *arg, const struct error *e);
	void *arg;
};

/* What a job does. `run` returns false with `e` set on failure; `release` frees `data` on the
 * loop's thread after `done` (NULL: nothing to free). */
struct job_work {
	bool (*run)(void *data, struct progress *p, struct error *e);
	void (*release)(void *data);
	void *data;
	bool is_brief; /* over in moments, as writing a small file: not held up by long work */
};

/* Queues the work; of long work half of the pool's threads is taken at most. `done` is always
 * called, exactly once, and never from within job_start(). */
struct job *job_start(const struct job_handler *h, const struct job_work *w);

/* Asks the job to stop; it ends soon with ERROR_CANCELED, or with success if it was just done.
 * A job still waiting for a worker never runs. */
void job_cancel(struct job *j);

#endif
