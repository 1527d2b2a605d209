/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order matters: signals and descriptors; the root; identity and privileges; Landlock, which
 * forbids to mount; the limits and the program. Whatever fails ends the process with a report.
 */
#include "host/sandbox_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macro.h"

#define HOST_NAME "vm"

static _Noreturn void fail(const struct sandbox_child *c, const char *step, const char *object)
{
	const struct sandbox_failure f = { .step = step, .object = object, .sys = errno };
	ssize_t n = write(c->report, &f, sizeof(f));
	_exit(n == sizeof(f) ? 126 : 127);
}

static void need(const struct sandbox_child *c, bool ok, const char *step, const char *object)
{
	if (!ok) {
		fail(c, step, object);
	}
}

static void wait_for_parent(const struct sandbox_child *c)
{
	char byte;
	ssize_t n;
	do {
		n = read(c->go, &byte, 1);
	} while (n < 0 && errno == EINTR);
	if (n != 1) {
		_exit(127);
	}
}

/* The parent blocked all signals, so that its handlers never ran here. */
static void reset_signals(void)
{
	sigset_t none;
	for (int i = 1; i < NSIG; i++) {
		if (i != SIGKILL && i != SIGSTOP) {
			signal(i, SIG_DFL); /* fails for those the library keeps: no matter */
		}
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Away from the places where they are to be, then there; the report's moves out of the way, too. */
static void place_descriptors(struct sandbox_child *c)
{
	const struct sandbox_plan *p = c->plan;
	int beyond = (int)p->n_fds;
	int report = fcntl(c->report, F_DUPFD_CLOEXEC, beyond);
	need(c, report >= 0, "moving descriptors", NULL);
	c->report = report;
	for (size_t i = 0; i < p->n_fds; i++) {
		c->moved[i] = fcntl(p->fds[i], F_DUPFD_CLOEXEC, beyond);
		need(c, c->moved[i] >= 0, "moving descriptors", NULL);
	}
	for (size_t i = 0; i < p->n_fds; i++) {
		need(c, dup2(c->moved[i], (int)i) == (int)i, "placing descriptors", NULL);
	}
	/* All of ours close by themselves; a library's may not. Old kernels lack it. */
	syscall(SYS_close_range, (unsigned)beyond, ~0U, CLOSE_RANGE_CLOEXEC);
}

/* ---- the root ---- */

static bool lock_mount(const char *path, uint64_t more)
{
	struct mount_attr a = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | more };
	return syscall(SYS_mount_setattr, AT_FDCWD, path, AT_RECURSIVE, &a, sizeof(a)) == 0;
}

/* The new root itself: what is mounted in it has been seen to. */
static bool lock_root(void)
{
	struct mount_attr a = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID };
	return syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &a, sizeof(a)) == 0;
}

static bool open_mount(const char *path)
{
	struct mount_attr a = { .attr_set =
					MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
	return syscall(SYS_mount_setattr, AT_FDCWD, path, 0, &a, sizeof(a)) == 0;
}

static bool touch(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd >= 0 && close(fd) == 0;
}

/* One that only the program may open; where none may be made the host's own, as it is. */
static bool make_device(const struct sandbox_child *c, const struct sandbox_entry *x,
			const char *path)
{
	const struct sandbox_plan *p = c->plan;
	if ((p->layers & SANDBOX_BIT(SANDBOX_USER)) &&
	    mknod(path, S_IFCHR | 0600, x->device) == 0) {
		return chown(path, p->uid, p->gid) == 0;
	}
	return touch(path) && mount(x->path, path, NULL, MS_BIND, NULL) == 0 && lock_mount(path, 0);
}

static bool make_entry(const struct sandbox_child *c, const struct sandbox_entry *x)
{
	const char *path = x->path + 1; /* beneath the new root, where we are */
	switch (x->kind) {
	case SANDBOX_FOLDER:
		return mkdir(path, 0755) == 0;
	case SANDBOX_LINK:
		return symlink(x->target, path) == 0;
	case SANDBOX_FILE:
		return touch(path) && mount(x->path, path, NULL, MS_BIND, NULL) == 0 &&
		       lock_mount(path, MOUNT_ATTR_NODEV);
	case SANDBOX_TREE:
		return mkdir(path, 0755) == 0 &&
		       mount(x->target ? x->target : x->path, path, NULL, MS_BIND | MS_REC, NULL) ==
			       0 &&
		       lock_mount(path, MOUNT_ATTR_NODEV);
	case SANDBOX_SOCKETS:
		return mkdir(path, 0755) == 0 && mount(x->path, path, NULL, MS_BIND, NULL) == 0 &&
		       open_mount(path);
	case SANDBOX_DEVICE:
		break;
	}
	return make_device(c, x, path);
}

/* The old root is gone then; on a root that cannot be changed (the kernel's first file system) it
 * lies out of reach below the new one. */
static bool change_root(void)
{
	if (syscall(SYS_pivot_root, ".", ".") == 0) {
		return umount2(".", MNT_DETACH) == 0;
	}
	return errno == EINVAL && mount(".", "/", NULL, MS_MOVE, NULL) == 0 && chroot(".") == 0;
}

static void make_root(const struct sandbox_child *c)
{
	const struct sandbox_plan *p = c->plan;
	const struct sandbox_view *v = p->view;
	umask(0);
	need(c, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "mount", "/");
	need(c, mount("remora", p->folder, "tmpfs", MS_NOSUID, "size=64k,mode=755") == 0, "mount",
	     p->folder);
	need(c, chdir(p->folder) == 0, "chdir", p->folder);
	for (size_t i = 0; i < v->entries.n; i++) {
		const struct sandbox_entry *x = &v->entries.items[i];
		need(c, make_entry(c, x), "making", x->path);
	}
	need(c, change_root(), "pivot_root", p->folder);
	need(c, chdir("/") == 0, "chdir", "/");
	need(c, lock_root(), "mount_setattr", "/");
}

/* ---- identity ---- */

static void become_user(const struct sandbox_child *c)
{
	const struct sandbox_plan *p = c->plan;
	gid_t group = p->group;
	need(c, syscall(SYS_setgroups, group ? 1 : 0, &group) == 0, "setgroups", NULL);
	need(c, syscall(SYS_setresgid, p->gid, p->gid, p->gid) == 0, "setresgid", NULL);
	need(c, syscall(SYS_setresuid, p->uid, p->uid, p->uid) == 0, "setresuid", NULL);
}

/* Without CAP_SETPCAP the bounding set stays: nothing can be gained from it any more. */
static void drop_privileges(const struct sandbox_child *c)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 }, { 0 } };
	for (unsigned long i = 0; i < 64; i++) {
		prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	}
	if (c->plan->layers & SANDBOX_BIT(SANDBOX_USER)) {
		become_user(c);
	}
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	need(c, syscall(SYS_capset, &header, none) == 0, "capset", NULL);
	need(c, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs", NULL);
}

static void limit(const struct sandbox_child *c)
{
	for (size_t i = 0; i < c->plan->n_limits; i++) {
		const struct sandbox_limit *l = &c->plan->limits[i];
		struct rlimit now, want = { l->value, l->value };
		need(c, getrlimit((__rlimit_resource_t)l->resource, &now) == 0, "getrlimit", NULL);
		if (now.rlim_max < l->value) { /* nobody may have more than we do */
			want = (struct rlimit){ now.rlim_max, now.rlim_max };
		}
		need(c, setrlimit((__rlimit_resource_t)l->resource, &want) == 0, "setrlimit", NULL);
	}
}

void sandbox_child_run(const struct sandbox_child *shared)
{
	struct sandbox_child copy = *shared, *c = &copy;
	const struct sandbox_plan *p = c->plan;
	const char *object;
	wait_for_parent(c);
	reset_signals();
	setsid();
	place_descriptors(c);
	if (c->namespaces & CLONE_NEWUTS) {
		need(c, sethostname(HOST_NAME, sizeof(HOST_NAME) - 1) == 0, "sethostname", NULL);
	}
	if (c->namespaces & CLONE_NEWNS) {
		make_root(c);
	} else {
		need(c, chdir("/") == 0, "chdir", "/");
	}
	umask(0077);
	drop_privileges(c);
	if (p->layers & SANDBOX_BIT(SANDBOX_LANDLOCK)) {
		need(c, sandbox_landlock_apply(p->view, &object), "landlock", object);
	}
	limit(c);
	if (p->is_trial) {
		_exit(0);
	}
	execve(p->argv[0], (char *const *)(uintptr_t)p->argv, (char *const *)(uintptr_t)p->env);
	fail(c, "starting", p->argv[0]);
}
