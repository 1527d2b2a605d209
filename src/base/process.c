/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States: running -> gone (process_exited) ; either -> closing (process_free) -> freed when the
 * last uv handle is closed (on_closed).
 *
 * Invariants:
 *  1. A child's pid stays ours until uv reaps it, which happens in the loop just before
 *     on_child_exit(); so while is_running a signal cannot hit another process.
 *  2. An adopted or taken process is only signalled through its pidfd; a taken one is a child that
 *     is reaped by ourselves, when its pidfd says that it has ended.
 *  3. on_exit is called at most once, and never while closing.
 */
#include "base/process.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/timer.h"
#include "base/vec.h"

struct process {
	union {
		uv_process_t child;
		uv_poll_t pidfd_poll;
	};
	bool is_child; /* of uv */
	bool is_taken; /* ours to reap */
	bool is_detached;
	bool is_running;
	bool is_closing;
	int pidfd; /* -1 for a child */
	struct process_identity who;
	struct timer *kill_timer;
	int64_t kill_at_us; /* while kill_timer runs */
	void (*on_exit)(void *arg, const struct process_exit *how);
	void *arg;
};

static void process_exited(struct process *p, const struct process_exit *how)
{
	p->is_running = false;
	timer_stop(p->kill_timer);
	if (!p->is_closing) {
		p->on_exit(p->arg, how); /* may free p */
	}
}

static void on_child_exit(uv_process_t *child, int64_t status, int signal)
{
	struct process *p = CONTAINER_OF(child, struct process, child);
	const struct process_exit how = { .is_known = true,
					  .status = signal ? 0 : (int)status,
					  .signal = signal };
	process_exited(p, &how);
}

/* What a child of ours left; unknown where it is none or somebody else has reaped it. */
static struct process_exit reap(const struct process *p)
{
	siginfo_t info = { 0 };
	int rc;
	do {
		rc = p->is_taken ? waitid(P_PID, (id_t)p->who.pid, &info, WEXITED | WNOHANG) : -1;
	} while (p->is_taken && rc < 0 && errno == EINTR);
	if (rc != 0 || info.si_pid != p->who.pid) {
		return (struct process_exit){ 0 };
	}
	bool by_itself = info.si_code == CLD_EXITED;
	return (struct process_exit){ .is_known = true,
				      .status = by_itself ? info.si_status : 0,
				      .signal = by_itself ? 0 : info.si_status };
}

static void on_pidfd(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	struct process *p = CONTAINER_OF(poll, struct process, pidfd_poll);
	uv_poll_stop(poll);
	const struct process_exit how = reap(p);
	process_exited(p, &how);
}

static void on_kill_time(void *arg)
{
	process_signal(arg, SIGKILL, NULL);
}

static struct process *
new_process(uv_loop_t *loop, void (*on_exit)(void *arg, const struct process_exit *how), void *arg)
{
	struct process *p = mem_zalloc(sizeof(*p));
	p->pidfd = -1;
	p->on_exit = on_exit;
	p->arg = arg;
	p->kill_timer = timer_new(loop, clock_real(), on_kill_time, p);
	return p;
}

static void on_closed(uv_handle_t *h)
{
	struct process *p = h->data;
	if (p->pidfd >= 0) {
		close(p->pidfd);
	}
	free(p);
}

void process_free(struct process *p)
{
	if (!p) {
		return;
	}
	assert(!p->is_closing);
	p->is_closing = true;
	timer_free(p->kill_timer);
	uv_handle_t *h = p->is_child ? (uv_handle_t *)&p->child : (uv_handle_t *)&p->pidfd_poll;
	h->data = p;
	uv_close(h, on_closed);
}

/* A NULL-terminated copy that uv may hold as char **. */
static char **copy_strings(const char *const *s)
{
	VEC(char *) copy = { 0 };
	for (; *s; s++) {
		vec_push(&copy, mem_strdup(*s));
	}
	vec_push(&copy, NULL);
	return copy.items;
}

static void free_strings(char **s)
{
	for (char **at = s; at && *at; at++) {
		free(*at);
	}
	free(s);
}

static uv_stdio_container_t stdio_of(int fd)
{
	uv_stdio_container_t c = { .flags = fd ? UV_INHERIT_FD : UV_IGNORE };
	c.data.fd = fd;
	return c;
}

/* uv_spawn with our options; a negative uv error. */
static int spawn(uv_loop_t *loop, const struct process_options *options, struct process *p)
{
	uv_stdio_container_t stdio[3 + PROCESS_FDS_MAX];
	stdio[0] = stdio_of(options->stdin_fd);
	stdio[1] = stdio_of(options->stdout_fd);
	stdio[2] = stdio_of(options->stderr_fd);
	for (size_t i = 0; i < options->n_extra_fds; i++) {
		stdio[3 + i] = (uv_stdio_container_t){ .flags = UV_INHERIT_FD };
		stdio[3 + i].data.fd = options->extra_fds[i];
	}
	char **argv = copy_strings(options->argv);
	char **env = options->env ? copy_strings(options->env) : NULL;
	const uv_process_options_t uv_options = {
		.exit_cb = on_child_exit,
		.file = argv[0],
		.args = argv,
		.env = env,
		.cwd = options->cwd,
		.flags = options->is_detached ? UV_PROCESS_DETACHED : 0,
		.stdio_count = 3 + (int)options->n_extra_fds,
		.stdio = stdio,
	};
	int failed = uv_spawn(loop, &p->child, &uv_options);
	free_strings(argv);
	free_strings(env);
	return failed;
}

struct process *process_spawn(uv_loop_t *loop, const struct process_options *options,
			      void (*on_exit)(void *arg, const struct process_exit *how), void *arg,
			      struct error *e)
{
	assert(options->argv[0]);
	if (options->n_extra_fds > PROCESS_FDS_MAX) {
		error_set(e, ERROR_LIMIT, "program \"%s\": %zu file descriptors, more than %d",
			  options->argv[0], options->n_extra_fds, PROCESS_FDS_MAX);
		return NULL;
	}
	struct process *p = new_process(loop, on_exit, arg);
	p->is_child = true;
	p->is_detached = options->is_detached;
	int failed = spawn(loop, options, p);
	if (failed) {
		error_set_sys(e, -failed, "program \"%s\"", options->argv[0]);
		process_free(p);
		return NULL;
	}
	p->is_running = true;
	p->who.pid = uv_process_get_pid(&p->child);
	/* It may have exited already: then there is nobody to adopt, the pid alone is true. */
	process_identity_of(p->who.pid, &p->who, NULL);
	return p;
}

/* Takes over pidfd, also on failure. */
static struct process *watch_pidfd(uv_loop_t *loop, const struct process_identity *who, int pidfd,
				   void (*on_exit)(void *arg, const struct process_exit *how),
				   void *arg, struct error *e)
{
	struct process *p = new_process(loop, on_exit, arg);
	p->pidfd = pidfd;
	p->who = *who;
	p->is_running = true;
	int failed = uv_poll_init(loop, &p->pidfd_poll, pidfd);
	if (failed) {
		error_set_sys(e, -failed, "process %d", (int)who->pid);
		timer_free(p->kill_timer);
		close(pidfd);
		free(p);
		return NULL;
	}
	uv_poll_start(&p->pidfd_poll, UV_READABLE, on_pidfd);
	return p;
}

struct process *process_adopt(uv_loop_t *loop, const struct process_identity *who,
			      void (*on_exit)(void *arg, const struct process_exit *how), void *arg,
			      struct error *e)
{
	/* The pidfd first: what is then read from /proc is about the process it stands for, or
	 * does not match. The kernel sets O_CLOEXEC. */
	int pidfd = (int)syscall(SYS_pidfd_open, who->pid, 0);
	if (pidfd < 0) {
		error_set_sys(e, errno, "process %d", (int)who->pid);
		return NULL;
	}
	if (!process_identity_is_running(who)) {
		error_set(e, ERROR_NOT_FOUND, "process %d: has exited", (int)who->pid);
		close(pidfd);
		return NULL;
	}
	return watch_pidfd(loop, who, pidfd, on_exit, arg, e);
}

struct process *process_take(uv_loop_t *loop, pid_t pid,
			     void (*on_exit)(void *arg, const struct process_exit *how), void *arg,
			     struct error *e)
{
	struct process_identity who = { .pid = pid };
	/* A child that nobody waited for keeps its pid. */
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		error_set_sys(e, errno, "process %d", (int)pid);
		return NULL;
	}
	process_identity_of(pid, &who, NULL);
	struct process *p = watch_pidfd(loop, &who, pidfd, on_exit, arg, e);
	if (p) {
		p->is_taken = true;
	}
	return p;
}

pid_t process_pid(const struct process *p)
{
	return p->who.pid;
}

bool process_is_running(const struct process *p)
{
	return p->is_running;
}

const struct process_identity *process_identity(const struct process *p)
{
	return &p->who;
}

bool process_signal(struct process *p, int signal, struct error *e)
{
	if (!p->is_running) {
		return error_set(e, ERROR_STATE, "process %d: has exited", (int)p->who.pid);
	}
	/* The end of a session of its own takes along what the leader started in it. */
	bool is_group = p->is_child && p->is_detached && signal == SIGKILL;
	int failed = p->is_child ? kill(is_group ? -p->who.pid : p->who.pid, signal)
				 : (int)syscall(SYS_pidfd_send_signal, p->pidfd, signal, NULL, 0);
	return failed == 0 || error_set_sys(e, errno, "process %d", (int)p->who.pid);
}

void process_stop(struct process *p, int64_t grace_ms)
{
	if (!p->is_running) {
		return;
	}
	if (grace_ms == 0) { /* the handle may be freed before any timer ends */
		timer_stop(p->kill_timer);
		process_signal(p, SIGKILL, NULL);
		return;
	}
	int64_t at_us = clock_mono_us(clock_real()) + grace_ms * 1000;
	bool is_first = !timer_is_active(p->kill_timer);
	if (!is_first && at_us >= p->kill_at_us) {
		return;
	}
	if (is_first) {
		process_signal(p, SIGTERM, NULL);
	}
	p->kill_at_us = at_us;
	timer_start(p->kill_timer, grace_ms, 0);
}
