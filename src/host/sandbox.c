/* SPDX-License-Identifier: Apache-2.0 */
/*
 *     parent                          child
 *     clone() -------------------->   waits for a byte
 *     maps its user, writes its pid
 *     a byte ---------------------->  sandbox_child_run()
 *     waits for the end of `report` <- closed by exec; or a struct sandbox_failure
 *
 * clone() and not fork() with unshare(): the program itself becomes the first process of its pid
 * namespace, is our own child, and its pid is known here before it does anything. libuv has no
 * place for this, so the caller watches the child with process_take().
 */
#include "host/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/placement.h"
#include "host/sandbox_child.h"

LOG_MODULE("sandbox");

#define START_MS 20000 /* a loaded machine may take long */

static const struct {
	const char *name;
	uint64_t flag; /* of clone(2) */
} layers[SANDBOX_LAYERS] = {
	[SANDBOX_USER] = { "own user", 0 },
	[SANDBOX_USER_NAMESPACE] = { "user namespace", CLONE_NEWUSER },
	[SANDBOX_MOUNT] = { "mount namespace", CLONE_NEWNS },
	[SANDBOX_PID] = { "pid namespace", CLONE_NEWPID },
	[SANDBOX_IPC] = { "ipc namespace", CLONE_NEWIPC },
	[SANDBOX_UTS] = { "uts namespace", CLONE_NEWUTS },
	[SANDBOX_NET] = { "net namespace", CLONE_NEWNET },
	[SANDBOX_LANDLOCK] = { "landlock", 0 },
};

#define BIT_USER_NS  SANDBOX_BIT(SANDBOX_USER_NAMESPACE)
#define BIT_USER     SANDBOX_BIT(SANDBOX_USER)
#define BIT_LANDLOCK SANDBOX_BIT(SANDBOX_LANDLOCK)

const char *sandbox_layer_name(enum sandbox_layer l)
{
	return layers[l].name;
}

void sandbox_layers_text(unsigned set, struct buf *out)
{
	size_t begin = out->len;
	for (int i = 0; i < SANDBOX_LAYERS; i++) {
		if (set & SANDBOX_BIT(i)) {
			buf_addf(out, "%s%s", out->len > begin ? ", " : "", layers[i].name);
		}
	}
	if (out->len == begin) {
		buf_adds(out, "none");
	}
}

/* ---- starting ---- */

static uint64_t flags_of(unsigned set)
{
	uint64_t flags = 0;
	for (int i = 0; i < SANDBOX_LAYERS; i++) {
		flags |= set & SANDBOX_BIT(i) ? layers[i].flag : 0;
	}
	return flags;
}

static bool write_file(const char *path, int flags, const char *text, struct error *e)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	if (fd < 0) {
		return error_set_sys(e, errno, "\"%s\"", path);
	}
	bool ok = file_write_all(fd, text, strlen(text), path, e);
	close(fd);
	return ok;
}

static bool write_proc(pid_t pid, const char *name, const char *text, struct error *e)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return write_file(path, 0, text, e);
}

/* Inside it is who we are outside: a user like any other, without the name of root. */
static bool map_user(pid_t pid, struct error *e)
{
	char uid[48], gid[48];
	snprintf(uid, sizeof(uid), "%u %u 1\n", geteuid(), geteuid());
	snprintf(gid, sizeof(gid), "%u %u 1\n", getegid(), getegid());
	return write_proc(pid, "setgroups", "deny", e) && write_proc(pid, "uid_map", uid, e) &&
	       write_proc(pid, "gid_map", gid, e);
}

static void place(const struct sandbox_plan *p, pid_t pid)
{
	struct error e = { 0 };
	if (p->placement && !placement_give(pid, p->placement, &e)) {
		log_warn("\"%s\" runs where it can: %s", p->argv[0], e.msg);
	}
}

static bool prepare(const struct sandbox_plan *p, pid_t pid, struct error *e)
{
	char text[16];
	snprintf(text, sizeof(text), "%d\n", (int)pid);
	place(p, pid);
	return (!(p->layers & BIT_USER_NS) || map_user(pid, e)) &&
	       (!p->pid_file || write_file(p->pid_file, O_CREAT | O_TRUNC, text, e));
}

static bool wait_report(int fd, const char *program, struct error *e)
{
	struct sandbox_failure f;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int rc;
	do {
		rc = poll(&p, 1, START_MS);
	} while (rc < 0 && errno == EINTR);
	if (rc <= 0) {
		return error_set(e, ERROR_TIMEOUT, "program \"%s\" does not start", program);
	}
	ssize_t n = read(fd, &f, sizeof(f));
	if (n == 0) {
		return true;
	}
	if (n != sizeof(f)) {
		return error_set(e, ERROR_INTERNAL, "program \"%s\" does not start", program);
	}
	if (f.object && strcmp(f.object, program) == 0) {
		return error_set_sys(e, f.sys, "program \"%s\": %s", program, f.step);
	}
	return error_set_sys(e, f.sys, "sandbox of \"%s\": %s%s%s%s", program, f.step,
			     f.object ? " \"" : "", f.object ? f.object : "", f.object ? "\"" : "");
}

/* Signals stay away from the child until it has given up our handlers. */
static pid_t clone_child(const struct sandbox_child *c)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid_t pid = (pid_t)syscall(SYS_clone, c->namespaces | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		sandbox_child_run(c);
	}
	int sys = errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = sys;
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
	}
}

static pid_t start(const struct sandbox_plan *p, int go[2], int report[2], struct error *e)
{
	int *moved = mem_calloc(p->n_fds + 1, sizeof(*moved));
	const struct sandbox_child c = {
		.plan = p,
		.namespaces = (unsigned)flags_of(p->layers),
		.go = go[0],
		.report = report[1],
		.moved = moved,
	};
	pid_t pid = clone_child(&c);
	free(moved);
	if (pid < 0) {
		error_set_sys(e, errno, "sandbox of \"%s\": clone", p->argv[0]);
		return -1;
	}
	close(report[1]);
	report[1] = -1;
	bool ok = prepare(p, pid, e);
	if (ok && write(go[1], "", 1) != 1) {
		ok = error_set_sys(e, errno, "sandbox of \"%s\"", p->argv[0]);
	}
	if (!ok || !wait_report(report[0], p->argv[0], e)) {
		end_child(pid);
		if (p->pid_file) {
			unlink(p->pid_file);
		}
		pid = -1;
	}
	return pid;
}

pid_t sandbox_spawn(const struct sandbox_plan *p, struct error *e)
{
	int go[2] = { -1, -1 }, report[2] = { -1, -1 };
	pid_t pid = -1;
	if (pipe2(go, O_CLOEXEC) == 0 && pipe2(report, O_CLOEXEC) == 0) {
		pid = start(p, go, report, e);
	} else {
		error_set_sys(e, errno, "sandbox of \"%s\": pipe", p->argv[0]);
	}
	const int all[] = { go[0], go[1], report[0], report[1] };
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i] >= 0) {
			close(all[i]);
		}
	}
	return pid;
}

/* ---- what works here ---- */

static bool try_layers(const struct sandbox_plan *like, unsigned set, struct error *e)
{
	static const char *const argv[] = { "trial", NULL };
	struct sandbox_plan p = *like;
	int status = -1;
	p.layers = set;
	p.argv = argv;
	p.env = argv + 1;
	p.n_fds = 0;
	p.pid_file = NULL;
	p.is_trial = true;
	pid_t pid = sandbox_spawn(&p, e);
	if (pid < 0) {
		return false;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
	return (WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
	       error_set(e, ERROR_INTERNAL, "ended with status %d", status);
}

static void missing(struct sandbox_support *s, enum sandbox_layer l, const char *why)
{
	snprintf(s->why[l], sizeof(s->why[l]), "%s", why);
}

/* Each by itself; what does not go together is left out altogether. */
static unsigned try_each(const struct sandbox_plan *p, unsigned wanted, struct sandbox_support *s)
{
	unsigned found = 0;
	for (int i = 0; i < SANDBOX_LAYERS; i++) {
		unsigned set = SANDBOX_BIT(i) | (layers[i].flag ? wanted & BIT_USER_NS : 0);
		struct error e = { 0 };
		if ((wanted & SANDBOX_BIT(i)) && try_layers(p, set, &e)) {
			found |= set;
		} else if (wanted & SANDBOX_BIT(i)) {
			missing(s, (enum sandbox_layer)i, e.msg);
		}
	}
	struct error e = { 0 };
	if (!found || try_layers(p, found, &e)) {
		return found;
	}
	for (int i = 0; i < SANDBOX_LAYERS; i++) {
		if (found & SANDBOX_BIT(i)) {
			missing(s, (enum sandbox_layer)i, e.msg);
		}
	}
	return 0;
}

void sandbox_probe(const struct sandbox_plan *p, struct sandbox_support *out)
{
	struct error e = { 0 };
	unsigned all = SANDBOX_BIT(SANDBOX_LAYERS) - 1;
	*out = (struct sandbox_support){ .landlock_abi = sandbox_landlock_abi() };
	if (!out->landlock_abi) {
		all &= ~BIT_LANDLOCK;
		missing(out, SANDBOX_LANDLOCK, "the kernel offers none");
	}
	if (geteuid() == 0) {
		all &= ~BIT_USER_NS;
		missing(out, SANDBOX_USER_NAMESPACE, "not needed by root");
	} else {
		all &= ~BIT_USER;
		missing(out, SANDBOX_USER, "only root can give one");
	}
	out->layers = try_layers(p, all, &e) ? all : try_each(p, all, out);
}
