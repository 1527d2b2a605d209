/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker that has nothing to do sleeps until something comes: a guest's kick, a frame of a stream
 * socket, a word of the control thread, or the time it has set. One worker sleeps here.
 */
#ifndef SWITCH_SLEEP_H
#define SWITCH_SLEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

bool sleep_begin(struct error *e);
void sleep_end(void);

/* An eventfd whose counting up wakes; -1: none. To be unwatched before it is closed. Any thread. */
void sleep_watch(int fd);
void sleep_unwatch(int fd);
/* Wakes the worker if it sleeps, or is about to. Any thread. */
void sleep_wake(void);

/* The worker: says that it is about to sleep, and then looks once more for what has come; after
 * that, sleeps (or not: sleep_cancel()). */
void sleep_prepare(void);
void sleep_cancel(void);
void sleep_wait(uint64_t ns);

#endif
