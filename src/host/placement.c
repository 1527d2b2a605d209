/* SPDX-License-Identifier: Apache-2.0 */
#include "host/placement.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/number.h"

#define PASSES_MAX  8
#define SWITCH_NAME "remora-switchd"
#define WORKER_NAME "-worker" /* in what DPDK calls threads that forward: rte-worker-1 */

static id_t id_of(pid_t pid)
{
	return (id_t)pid;
}

/* Of one thread. */
static bool give(pid_t tid, const struct placement *p, struct error *e)
{
	if (CPU_COUNT(&p->cpus) > 0 && sched_setaffinity(tid, sizeof(p->cpus), &p->cpus) != 0) {
		return error_set_sys(e, errno, "processors of process %d", (int)tid);
	}
	errno = 0;
	int now = getpriority(PRIO_PROCESS, id_of(tid));
	if (errno == 0 && now != p->nice && setpriority(PRIO_PROCESS, id_of(tid), p->nice) != 0 &&
	    now < p->nice) {
		return error_set_sys(e, errno, "weight of process %d", (int)tid);
	}
	return true;
}

bool placement_give(pid_t pid, const struct placement *p, struct error *e)
{
	return give(pid, p, e);
}

/* ---- all threads ---- */

/* What is done with each thread; false ends it. */
typedef bool thread_fn(pid_t tid, const void *arg, struct error *e);

static bool each_once(pid_t pid, thread_fn *fn, const void *arg, size_t *n, struct error *e)
{
	char path[32];
	struct dirent *x;
	bool ok = true;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *dir = opendir(path);
	if (dir == NULL) {
		return error_set_sys(e, errno, "\"%s\"", path);
	}
	*n = 0;
	while (ok && (x = readdir(dir)) != NULL) {
		uint64_t tid;
		if (!number_u64(x->d_name, &tid) || tid > INT32_MAX) {
			continue;
		}
		struct error why = { 0 };
		(*n)++;
		if (!fn((pid_t)tid, arg, &why) && why.sys != ESRCH) {
			*e = why;
			ok = false;
		}
	}
	closedir(dir);
	return ok;
}

/* A thread made by one that was not seen to yet has what that had: so again until none is new. */
static bool each_thread(pid_t pid, thread_fn *fn, const void *arg, struct error *e)
{
	size_t before = 0, n = 0;

	for (unsigned i = 0; i < PASSES_MAX; i++) {
		if (!each_once(pid, fn, arg, &n, e)) {
			return false;
		}
		if (i > 0 && n == before) {
			break;
		}
		before = n;
	}
	return true;
}

static bool give_thread(pid_t tid, const void *arg, struct error *e)
{
	return give(tid, arg, e);
}

bool placement_spread(pid_t pid, const struct placement *p, struct error *e)
{
	return each_thread(pid, give_thread, p, e);
}

void placement_weigh_session(pid_t pid, int nice)
{
	char path[40], text[16];
	struct error ignored;

	snprintf(path, sizeof(path), "/proc/%d/autogroup", (int)pid);
	int fd = getsid(pid) == pid ? open(path, O_WRONLY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		snprintf(text, sizeof(text), "%d", nice);
		(void)file_write_all(fd, text, strlen(text), path, &ignored);
		close(fd);
	}
}

/* ---- the switch ---- */

static bool first_line(const char *path, char *out, size_t size)
{
	struct buf b = BUF_INIT;
	bool ok = file_read(path, 4096, &b, NULL);

	if (ok) {
		snprintf(out, size, "%.*s", (int)strcspn(b.data, "\n"), b.data);
	}
	buf_free(&b);
	return ok;
}

static bool is_switch(pid_t pid)
{
	char path[32], name[32];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	return pid > 1 && first_line(path, name, sizeof(name)) && strcmp(name, SWITCH_NAME) == 0;
}

static bool is_within(const cpu_set_t *a, const cpu_set_t *b)
{
	cpu_set_t both;

	CPU_AND(&both, a, b);
	return CPU_COUNT(a) > 0 && CPU_EQUAL(&both, a);
}

static bool place_switch_thread(pid_t tid, const void *arg, struct error *e)
{
	const cpu_set_t *cpus = arg;
	char path[32], name[32];
	cpu_set_t now;

	if (sched_getaffinity(tid, sizeof(now), &now) != 0) {
		return error_set_sys(e, errno, "processors of process %d", (int)tid);
	}
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)tid);
	bool is_worker = first_line(path, name, sizeof(name)) && strstr(name, WORKER_NAME) != NULL;
	if (is_worker ? is_within(&now, cpus) : CPU_EQUAL(&now, cpus) != 0) {
		return true;
	}
	return sched_setaffinity(tid, sizeof(*cpus), cpus) == 0 ||
	       error_set_sys(e, errno, "processors of process %d", (int)tid);
}

static void place_process(pid_t pid, const cpu_set_t *cpus)
{
	struct error ignored;

	if (is_switch(pid)) {
		(void)each_thread(pid, place_switch_thread, cpus, &ignored);
	}
}

/* The keeper, where it lives: the parent of those that it started. */
static pid_t parent_of(pid_t pid)
{
	char path[32];
	struct buf b = BUF_INIT;
	uint64_t parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (file_read(path, 8192, &b, NULL)) {
		const char *at = strstr(b.data, "\nPPid:\t");
		if (at != NULL) {
			number_u64_n(at + 7, strcspn(at + 7, "\n"), &parent);
		}
	}
	buf_free(&b);
	return parent <= INT32_MAX ? (pid_t)parent : 0;
}

void placement_switch(const char *state, const cpu_set_t *cpus)
{
	static const char *const files[] = { "switchd.pid", "standby.pid" };

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char text[32];
		uint64_t pid;
		char *path = mem_printf("%s/%s", state, files[i]);
		if (first_line(path, text, sizeof(text)) && number_u64(text, &pid) &&
		    pid <= INT32_MAX && is_switch((pid_t)pid)) {
			place_process(parent_of((pid_t)pid), cpus);
			place_process((pid_t)pid, cpus);
		}
		free(path);
	}
}

bool placement_read(pid_t pid, char *list, size_t size, int *nice)
{
	cpu_set_t now;

	if (sched_getaffinity(pid, sizeof(now), &now) != 0) {
		return false;
	}
	cores_list(&now, list, size);
	errno = 0;
	*nice = getpriority(PRIO_PROCESS, id_of(pid));
	return errno == 0;
}
