/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that says which process has a part, and is locked (flock(2)) by it as long as it lives.
 * Empty: the process that had it was told to end, and nobody shall take its place. Any thread.
 */
#ifndef SWITCH_PID_FILE_H
#define SWITCH_PID_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum {
	PID_FILE_ENDED = 0, /* it is empty */
	PID_FILE_FREE = -1, /* nobody has had the part yet */
};

/* Made where it is not there, then free; its fd, or -1. */
int pid_file_open(const char *path, struct error *e);
/* A pid, or one of the above. */
pid_t pid_file_read(int fd);
bool pid_file_write(int fd, pid_t pid, struct error *e);

/* Takes the lock where it can be had within wait_ms (-1: however long it takes). */
bool pid_file_lock(int fd, int64_t wait_ms);
void pid_file_unlock(int fd);
/* Does somebody have the lock? */
bool pid_file_is_locked(const char *path);

#endif
