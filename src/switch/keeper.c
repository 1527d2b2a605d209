/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States of a process of ours: waiting -"ready"-> waiting, is_ready -"active"-> active -> gone.
 *
 * 1. At most one of them waits. While another keeper's standby is there, ours waits for its lock
 *    and has taken no memory yet.
 * 2. An empty pid file says that the switch was told to end: then all end.
 * 3. `binary` has been ready once, or is what the keeper itself was started from. While an upgrade
 *    is tried, what waits is of `candidate`.
 */
#include "switch/keeper.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/process.h"
#include "base/timer.h"
#include "switch/pid_file.h"

LOG_MODULE("keeper");

enum {
	NEXT_MS = 300, /* after a change of hands, for which all cores are wanted */
	PAUSE_MIN_MS = 100,
	PAUSE_MAX_MS = 10000,
	STABLE_US = 5000000,
	ENDING_MS = 6000, /* that a switch which was told to end may take */
	READY_MS = 60000, /* that a new binary may take */
	DISTRUST_US = 10000000,
};

struct child {
	struct keeper *keeper;
	struct process *process;
	struct list_node link;
	int64_t since_us;
	bool is_ready, is_active, is_candidate;
};

struct keeper {
	struct daemon *daemon;
	char **argv;
	const bool *without_standby;
	char *pid_path, *standby_path;
	char *binary, *previous, *candidate; /* previous: NULL where nothing was upgraded yet */
	int64_t upgraded_us;
	struct list children;
	struct child *waiting;	  /* one of them, or NULL */
	struct timer *next;	  /* starts one */
	struct timer *patience;	  /* with a candidate */
	struct rpc_call *upgrade; /* under way, or NULL */
	int64_t pause_ms;
	pid_t told;	/* that it shall end */
	bool has_begun; /* there was an active one */
	bool is_stopping, is_failed;
};

static int64_t now_us(void)
{
	return clock_mono_us(clock_real());
}

/* What a pid file says; PID_FILE_FREE where there is none. */
static pid_t pid_in(const char *path)
{
	struct error e;
	int fd = access(path, F_OK) == 0 ? pid_file_open(path, &e) : -1;
	pid_t pid = fd < 0 ? PID_FILE_FREE : pid_file_read(fd);

	if (fd >= 0) {
		close(fd);
	}
	return pid;
}

/* ---- starting and ending processes ---- */

static void on_exit_seen(void *arg, const struct process_exit *how);

static void start(struct keeper *k)
{
	const char *argv[64];
	size_t n = 0;
	struct error e;

	argv[n++] = k->candidate != NULL ? k->candidate : k->binary;
	argv[n++] = "--part=standby";
	for (char **a = k->argv + 1; *a != NULL && n < ARRAY_LEN(argv) - 1; a++) {
		argv[n++] = *a;
	}
	argv[n] = NULL;
	struct process_options o = { .argv = argv,
				     .stdout_fd = STDOUT_FILENO,
				     .stderr_fd = STDERR_FILENO };
	struct child *c = mem_zalloc(sizeof(*c));
	c->keeper = k;
	c->since_us = now_us();
	c->is_candidate = k->candidate != NULL;
	c->process = process_spawn(&k->daemon->mainloop.loop, &o, on_exit_seen, c, &e);
	if (c->process == NULL) {
		log_error("%s", e.msg);
		free(c);
		timer_start(k->next, PAUSE_MAX_MS, 0);
		return;
	}
	list_push_back(&k->children, &c->link);
	k->waiting = c;
}

static void on_next(void *arg)
{
	struct keeper *k = arg;

	bool is_wanted = !*k->without_standby || !pid_file_is_locked(k->pid_path);

	if (is_wanted && k->waiting == NULL && !k->is_stopping) {
		start(k);
	}
}

/* The one that waits ends at once, and also a standby that an earlier keeper has left. */
static void clear_waiting(struct keeper *k)
{
	pid_t other = pid_file_is_locked(k->standby_path) ? pid_in(k->standby_path) : -1;

	if (k->waiting != NULL) {
		struct child *c = k->waiting;
		k->waiting = NULL;
		process_stop(c->process, 0);
	}
	if (other > 1 && other != getpid()) {
		(void)kill(other, SIGKILL);
	}
}

/* ---- an upgrade ---- */

static void upgrade_end(struct keeper *k)
{
	timer_stop(k->patience);
	free(k->candidate);
	k->candidate = NULL;
	k->upgrade = NULL;
}

static void upgrade_fail(struct keeper *k, const char *why)
{
	struct error e;

	log_warn("upgrade: \"%s\": %s", k->candidate, why);
	error_set(&e, ERROR_STATE, "\"%.100s\": %.100s; nothing has changed", k->candidate, why);
	rpc_call_fail(k->upgrade, &e);
	clear_waiting(k);
	upgrade_end(k);
	timer_start(k->next, 0, 0);
}

static void upgrade_ready(struct keeper *k, struct child *c, const char *version)
{
	struct json_object *o = json_object_new_object();

	log_info("upgrade: \"%s\", version %s, is ready", k->candidate, version);
	json_put_i64(o, "pid", process_pid(c->process));
	json_put_str(o, "version", version);
	free(k->previous);
	k->previous = k->binary;
	k->binary = k->candidate;
	k->candidate = NULL;
	k->upgraded_us = now_us();
	rpc_call_reply(k->upgrade, o);
	upgrade_end(k);
}

static void on_impatient(void *arg)
{
	upgrade_fail(arg, "it did not become ready in 60 s");
}

static void on_upgrade(void *arg, struct rpc_call *call)
{
	struct keeper *k = arg;
	const struct json_at *params = rpc_call_params(call);
	const char *binary = k->binary;
	struct error e;

	if (json_has(params, "binary") && !json_get_str(params, "binary", &binary, &e)) {
		rpc_call_fail(call, &e);
		return;
	}
	bool ok = !k->is_stopping || error_set(&e, ERROR_STATE, "the switch is ending");
	ok = ok && (k->upgrade == NULL || error_set(&e, ERROR_BUSY, "an upgrade is under way"));
	ok = ok && (binary[0] == '/' ||
		    error_set(&e, ERROR_INVALID, "\"%.100s\": an absolute path is wanted", binary));
	ok = ok && (access(binary, X_OK) == 0 || error_set_sys(&e, errno, "\"%.100s\"", binary));
	if (!ok) {
		rpc_call_fail(call, &e);
		return;
	}
	k->upgrade = call;
	k->candidate = mem_strdup(binary);
	clear_waiting(k);
	timer_start(k->patience, READY_MS, 0);
	timer_stop(k->next);
	start(k);
	if (k->waiting == NULL) {
		upgrade_fail(k, "it cannot be started");
	}
}

/* What took over from an upgrade and died young is not trusted again. */
static void distrust(struct keeper *k)
{
	if (k->previous != NULL && now_us() - k->upgraded_us < DISTRUST_US) {
		log_error("\"%s\" did not last; \"%s\" is used again", k->binary, k->previous);
		free(k->binary);
		k->binary = k->previous;
		k->previous = NULL;
	}
}

/* ---- what becomes of processes ---- */

static struct child *child_of(const struct keeper *k, pid_t pid)
{
	list_each (struct child, c, &k->children, link) {
		if (process_pid(c->process) == pid) {
			return c;
		}
	}
	return NULL;
}

static void on_tell(void *arg, struct rpc_call *call)
{
	struct keeper *k = arg;
	const struct json_at *params = rpc_call_params(call);
	const char *state, *version, *reason = "";
	struct error e;
	uint64_t pid;

	if (!json_get_u64(params, "pid", &pid, &e) || !json_get_str(params, "state", &state, &e) ||
	    !json_get_str(params, "version", &version, &e) ||
	    (json_has(params, "reason") && !json_get_str(params, "reason", &reason, &e))) {
		rpc_call_fail(call, &e);
		return;
	}
	struct child *c = child_of(k, (pid_t)pid);
	bool is_candidate = c != NULL && c == k->waiting && k->upgrade != NULL && c->is_candidate;
	if (strcmp(state, "active") == 0) {
		k->has_begun = true;
		k->pause_ms = 0;
		if (c != NULL) {
			c->is_active = true;
			k->waiting = c == k->waiting ? NULL : k->waiting;
		}
		if (k->waiting == NULL && !*k->without_standby) {
			timer_start(k->next, NEXT_MS, 0);
		}
	} else if (strcmp(state, "ready") == 0) {
		if (c != NULL) {
			c->is_ready = true;
		}
		if (is_candidate) {
			upgrade_ready(k, c, version);
		}
	} else if (is_candidate) {
		upgrade_fail(k, reason);
	}
	rpc_call_reply(call, json_object_new_object());
}

static void describe(const struct process_exit *how, char *out, size_t n)
{
	if (how->signal != 0) {
		snprintf(out, n, "it was ended by signal %d", how->signal);
	} else {
		snprintf(out, n, "it ended with status %d", how->status);
	}
}

/* One is gone that was not told to be. */
static void replace(struct keeper *k, const struct child *c, const char *what)
{
	int64_t lived_us = now_us() - c->since_us;

	if (!k->has_begun && !pid_file_is_locked(k->pid_path)) {
		k->is_failed = true; /* it said why */
		daemon_stop(k->daemon);
		return;
	}
	if (!c->is_active || k->waiting == NULL || !k->waiting->is_candidate) {
		log_warn("%s: %s", c->is_active ? "the switch" : "the standby", what);
	}
	if (!c->is_active && c->is_candidate) {
		distrust(k);
	}
	k->pause_ms = lived_us > STABLE_US ? 0
					   : MIN(MAX(k->pause_ms * 2, (int64_t)PAUSE_MIN_MS),
						 (int64_t)PAUSE_MAX_MS);
	if (k->waiting == NULL && !timer_is_active(k->next)) {
		timer_start(k->next, k->pause_ms, 0);
	}
}

static void on_exit_seen(void *arg, const struct process_exit *how)
{
	struct child *c = arg;
	struct keeper *k = c->keeper;
	bool was_waiting = k->waiting == c;
	char what[80];

	describe(how, what, sizeof(what));
	k->waiting = was_waiting ? NULL : k->waiting;
	list_remove(&c->link);
	if (!k->is_stopping) {
		if (pid_in(k->pid_path) == PID_FILE_ENDED) {
			daemon_stop(k->daemon);
		} else if (was_waiting && c->is_candidate && k->upgrade != NULL) {
			upgrade_fail(k, what);
		} else if (was_waiting || c->is_active) {
			replace(k, c, what);
		}
	}
	process_free(c->process);
	free(c);
}

/* ---- the daemon ---- */

/* A switch that was told to end may still be at it; afterwards the folder is anybody's. */
static bool clear_pid_file(struct keeper *k, struct error *e)
{
	int fd = pid_file_open(k->pid_path, e);
	bool ok = fd >= 0;

	if (ok && pid_file_read(fd) == PID_FILE_ENDED) {
		ok = pid_file_lock(fd, ENDING_MS) ||
		     error_set(e, ERROR_BUSY, "\"%s\": a switch does not end", k->pid_path);
		ok = ok && pid_file_write(fd, PID_FILE_FREE, e);
	}
	if (fd >= 0) {
		close(fd);
	}
	return ok;
}

static bool begin(void *arg, struct error *e)
{
	struct keeper *k = arg;
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0) {
		return error_set_sys(e, errno, "/proc/self/exe");
	}
	self[n] = '\0';
	k->binary = mem_strdup(self);
	k->pid_path = daemon_path(k->daemon, "switchd.pid");
	k->standby_path = daemon_path(k->daemon, "standby.pid");
	k->next = timer_new(&k->daemon->mainloop.loop, clock_real(), on_next, k);
	k->patience = timer_new(&k->daemon->mainloop.loop, clock_real(), on_impatient, k);
	if (!clear_pid_file(k, e)) {
		return false;
	}
	k->has_begun = pid_file_is_locked(k->pid_path);
	if (k->has_begun) {
		log_info("process %d is the switch already", pid_in(k->pid_path));
	}
	if (!k->has_begun || !*k->without_standby) {
		timer_start(k->next, 0, 0);
	}
	return true;
}

static void status(void *arg, struct json_object *o)
{
	const struct keeper *k = arg;

	json_put_i64(o, "active", pid_in(k->pid_path));
	json_put_i64(o, "standby", k->waiting == NULL ? 0 : process_pid(k->waiting->process));
	json_put(o, "standby_is_ready",
		 json_object_new_boolean(k->waiting != NULL && k->waiting->is_ready));
	json_put_str(o, "binary", k->binary);
}

/* Tells the active one to end, once each. */
static bool is_busy(void *arg)
{
	struct keeper *k = arg;
	bool is_active = pid_file_is_locked(k->pid_path);
	pid_t pid = is_active ? pid_in(k->pid_path) : -1;

	if (pid > 1 && pid != k->told) {
		k->told = pid;
		(void)kill(pid, SIGTERM);
	}
	return is_active || !list_is_empty(&k->children);
}

static void stop(void *arg, int number)
{
	struct keeper *k = arg;

	(void)number;
	k->is_stopping = true;
	if (k->upgrade != NULL) {
		upgrade_fail(k, "the switch ends");
	}
	timer_stop(k->next);
	(void)is_busy(k);
	if (k->waiting != NULL && process_pid(k->waiting->process) != k->told) {
		process_stop(k->waiting->process, ENDING_MS);
	}
}

static void hang_up(void *arg)
{
	struct keeper *k = arg;
	pid_t pid = pid_file_is_locked(k->pid_path) ? pid_in(k->pid_path) : -1;

	if (pid > 1) {
		(void)kill(pid, SIGHUP);
	}
}

static void end(void *arg)
{
	struct keeper *k = arg;

	while (!list_is_empty(&k->children)) {
		struct child *c = CONTAINER_OF(list_front(&k->children), struct child, link);
		process_stop(c->process, 0);
		process_free(c->process);
		list_remove(&c->link);
		free(c);
	}
	timer_free(k->next);
	timer_free(k->patience);
}

void keeper_program(struct daemon_program *p)
{
	static const struct control_command commands[] = {
		{ "keeper.tell", "{pid, state, version, reason?}", "what a process has come to",
		  on_tell },
		{ "keeper.upgrade", "{binary?}", "make a process of another binary ready",
		  on_upgrade },
	};

	p->socket = "keeper.sock";
	p->status_help = "the processes, and the binary they are started from";
	p->commands = commands;
	p->n_commands = ARRAY_LEN(commands);
	p->lock = NULL;
	p->message_limit = 0;
	p->begin = begin;
	p->status = status;
	p->stop = stop;
	p->is_busy = is_busy;
	p->hang_up = hang_up;
	p->end = end;
}

struct keeper *keeper_new(struct daemon *d, char **argv, const bool *without_standby)
{
	struct keeper *k = mem_zalloc(sizeof(*k));

	k->daemon = d;
	k->argv = argv;
	k->without_standby = without_standby;
	list_init(&k->children);
	return k;
}

int keeper_free(struct keeper *k, int status_now)
{
	int status_then = k->is_failed ? 1 : status_now;

	free(k->pid_path);
	free(k->standby_path);
	free(k->binary);
	free(k->previous);
	free(k->candidate);
	free(k);
	return status_then;
}
