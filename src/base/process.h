/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Supervised processes on a uv loop: children we start, and processes of an earlier life of ours
 * that we adopt.
 *
 * The caller owns the struct process and frees it, in on_exit or later; freeing does not stop the
 * process. All calls and callbacks are on the loop's thread. A process is identified by its pid,
 * its start time and the boot it ran in, so a pid that was reused is never taken for it.
 */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <uv.h>

#include "base/error.h"

#define PROCESS_IDENTITY_TEXT_SIZE 96
#define PROCESS_FDS_MAX		   64

struct process;

struct process_options {
	const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH */
	const char *const *env;	 /* NULL-terminated "NAME=value"; NULL: ours */
	const char *cwd;	 /* NULL: ours */
	/* Copied into the child, still the caller's; 0: /dev/null. */
	int stdin_fd, stdout_fd, stderr_fd;
	/* Become fds 3, 4, … of the child; at most PROCESS_FDS_MAX. Nothing else is inherited
	 * as long as all our fds are O_CLOEXEC. */
	const int *extra_fds;
	size_t n_extra_fds;
	bool is_detached; /* a session of its own: survives us and our terminal */
};

struct process_exit {
	bool is_known; /* false: adopted, the kernel tells only that it is gone */
	int status;    /* exit status, 0 where killed by a signal */
	int signal;    /* 0: it exited by itself */
};

/* NULL and an error where it cannot be started; then on_exit is never called. Else on_exit is
 * called once, later, unless process_free() comes first. */
struct process *process_spawn(uv_loop_t *loop, const struct process_options *options,
			      void (*on_exit)(void *arg, const struct process_exit *how), void *arg,
			      struct error *e);

struct process_identity {
	pid_t pid;
	uint64_t start_ticks; /* since boot: field 22 of /proc/PID/stat, proc(5) */
	char boot_id[37];
};

/* Watches a process that is not our child. ERROR_NOT_FOUND where it is gone (or a zombie).
 * Needs pidfd_open(2): Linux 5.3. */
struct process *process_adopt(uv_loop_t *loop, const struct process_identity *who,
			      void (*on_exit)(void *arg, const struct process_exit *how), void *arg,
			      struct error *e);

/* Takes over a child of ours that was not started here: it is waited for, and how it ended is
 * known. On failure it is still the caller's to wait for. Needs pidfd_open(2): Linux 5.3. */
struct process *process_take(uv_loop_t *loop, pid_t pid,
			     void (*on_exit)(void *arg, const struct process_exit *how), void *arg,
			     struct error *e);

pid_t process_pid(const struct process *p);
bool process_is_running(const struct process *p);
const struct process_identity *process_identity(const struct process *p);

/* SIGTERM now, SIGKILL after grace_ms (0: at once). A second call may only shorten the grace.
 * Nothing where it is gone already. */
void process_stop(struct process *p, int64_t grace_ms);
bool process_signal(struct process *p, int signal, struct error *e);
void process_free(struct process *p);

/* Identity of any running process; and as text, to be kept on disk: "pid:ticks:boot". */
bool process_identity_of(pid_t pid, struct process_identity *out, struct error *e);
void process_identity_format(const struct process_identity *who,
			     char out[PROCESS_IDENTITY_TEXT_SIZE]);
bool process_identity_parse(const char *s, struct process_identity *out);
/* Whether this very process runs now. */
bool process_identity_is_running(const struct process_identity *who);

#endif
