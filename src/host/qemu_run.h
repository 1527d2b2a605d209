/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The traces of one running QEMU in the run folder, by which it is found again:
 *
 *     vm-UUID.lock  locked by the QEMU process (through an inherited descriptor) while it lives
 *     vm-UUID.pid   its process id, written before it does anything
 *     vm-UUID.qmp   the socket its QMP monitor listens on
 *     vm-UUID.log   what it said on stderr
 *     vm-UUID.json  how it was confined
 *     vm-UUID.root  an empty folder: where its own root is mounted, unseen by others
 *     vm-UUID.move, vm-UUID.tls  of one on its way to another node (host/qemu_move.h)
 *
 * The lock alone says whether it lives; it cannot outlive the process, nor be inherited by another
 * since QEMU may start none. One hostd at a time works on a run folder. Paths may be longer than
 * a socket address allows. Descriptors returned are O_CLOEXEC and the caller's. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

struct qemu_run {
	char *lock, *pid, *qmp, *log, *record, *move, *tls, *root; /* paths, owned */
};

/* Only makes the paths. */
void qemu_run_init(struct qemu_run *r, const char *folder, const char *uuid);
void qemu_run_fini(struct qemu_run *r);

/* Takes the lock for the process to be started: ERROR_BUSY where one lives. -1 on failure. */
int qemu_run_lock(const struct qemu_run *r, struct error *e);

/* Whether a process holds the lock. A false answer is final while nobody starts one. */
bool qemu_run_is_alive(const struct qemu_run *r);

/* false: it is not written yet, or it is no number. */
bool qemu_run_pid(const struct qemu_run *r, pid_t *out);

/* A listening socket at path, in place of what was there; only our user may connect. -1. */
int qemu_run_listen(const char *path, struct error *e);
int qemu_run_connect(const char *path, struct error *e);

/* The log, emptied, for writing. -1. */
int qemu_run_open_log(const struct qemu_run *r, struct error *e);

/* The log's last line that is no warning into out (cut to fit); false: there is none. */
bool qemu_run_last_words(const struct qemu_run *r, char *out, size_t size);

/* Empties the file once it has more than `max` bytes; the last `keep` of them go to PATH.1. For
 * files that others append to: what they write meanwhile may be lost. */
void qemu_run_trim(const char *path, size_t max, size_t keep);

/* Removes the traces of a process that is gone; the log only where `with_log`. */
void qemu_run_clean(const struct qemu_run *r, bool with_log);
