/* SPDX-License-Identifier: Apache-2.0 */
#include "host/placement.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "host/facts.h"

enum {
	THREADS = 5
};

/* A child in a session of its own, whose threads wait for its end. It tells when they are there. */
struct child {
	pid_t pid;
};

static void *wait_for_ever(void *arg)
{
	(void)arg;
	for (;;) {
		pause();
	}
	return NULL;
}

static _Noreturn void live(int ready, const char *name, const char *worker, const cpu_set_t *pin)
{
	pthread_t t;

	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (name != NULL) {
		prctl(PR_SET_NAME, name);
	}
	for (int i = 1; i < THREADS; i++) {
		bool is_worker = i == 1 && worker != NULL;
		if (pthread_create(&t, NULL, wait_for_ever, NULL) != 0 ||
		    (is_worker && (pthread_setname_np(t, worker) != 0 ||
				   pthread_setaffinity_np(t, sizeof(*pin), pin) != 0))) {
			_exit(1);
		}
	}
	(void)!write(ready, "", 1);
	wait_for_ever(NULL);
	_exit(0);
}

static struct child child_make(const char *name, const char *worker, const cpu_set_t *pin)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(ready[0]);
		live(ready[1], name, worker, pin);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return (struct child){ pid };
}

static void child_end(struct child c)
{
	kill(c.pid, SIGKILL);
	assert_int_equal(waitpid(c.pid, NULL, 0), c.pid);
}

static void own_cpus(cpu_set_t *out, unsigned *first)
{
	assert_int_equal(sched_getaffinity(0, sizeof(*out), out), 0);
	for (*first = 0; !CPU_ISSET(*first, out); (*first)++) {
	}
}

/* Of each thread, from /proc. */
static unsigned count_threads_at(pid_t pid, const char *list)
{
	char *path = mem_printf("/proc/%d/task", (int)pid);
	char *line = mem_printf("\nCpus_allowed_list:\t%s\n", list);
	size_t n_tasks;
	char **tasks = facts_names(path, 1000, &n_tasks);
	unsigned n = 0;

	for (size_t i = 0; i < n_tasks; i++) {
		struct buf b = BUF_INIT;
		char *status = mem_printf("%s/%s/status", path, tasks[i]);
		n += file_read(status, 8192, &b, NULL) && strstr(b.data, line) != NULL;
		buf_free(&b);
		free(status);
	}
	facts_names_free(tasks, n_tasks);
	free(line);
	free(path);
	return n;
}

/* Where it is emulated there is one more, the emulator's. */
static unsigned count_threads(pid_t pid)
{
	char *path = mem_printf("/proc/%d/task", (int)pid);
	size_t n;
	char **tasks = facts_names(path, 1000, &n);

	facts_names_free(tasks, n);
	free(path);
	assert_true(n >= THREADS);
	return (unsigned)n;
}

static void test_all_threads(void **state)
{
	struct child c = child_make(NULL, NULL, NULL);
	struct placement p = { .nice = 7 };
	struct error e = { 0 };
	unsigned first;
	cpu_set_t own;
	char list[80], one[16];
	int nice;

	(void)state;
	own_cpus(&own, &first);
	CPU_SET(first, &p.cpus);
	snprintf(one, sizeof(one), "%u", first);
	assert_true(placement_spread(c.pid, &p, &e));
	assert_int_equal(count_threads_at(c.pid, one), count_threads(c.pid));
	assert_true(placement_read(c.pid, list, sizeof(list), &nice));
	assert_string_equal(list, one);
	assert_int_equal(nice, 7);
	p.cpus = own; /* and back */
	assert_true(placement_spread(c.pid, &p, &e));
	assert_true(placement_read(c.pid, list, sizeof(list), &nice));
	char whole[80];
	cores_list(&own, whole, sizeof(whole));
	assert_string_equal(list, whole);
	CPU_ZERO(&p.cpus); /* anywhere: what it has */
	assert_true(placement_spread(c.pid, &p, &e));
	child_end(c);
	assert_false(placement_spread(c.pid, &p, &e));
	assert_false(placement_read(c.pid, list, sizeof(list), &nice));
}

static void test_processors_that_are_not_there(void **state)
{
	struct child c = child_make(NULL, NULL, NULL);
	struct placement p = { .nice = 0 };
	struct error e = { 0 };
	cpu_set_t own;
	unsigned first;

	(void)state;
	own_cpus(&own, &first);
	CPU_SET(CPU_SETSIZE - 1, &p.cpus);
	if (!CPU_ISSET(CPU_SETSIZE - 1, &own)) {
		assert_false(placement_spread(c.pid, &p, &e));
		assert_int_equal(e.sys, EINVAL);
	}
	child_end(c);
}

static void test_session(void **state)
{
	struct child c = child_make(NULL, NULL, NULL);
	char *path = mem_printf("/proc/%d/autogroup", (int)c.pid);
	struct buf b = BUF_INIT;

	(void)state;
	placement_weigh_session(c.pid, 5);
	placement_weigh_session(1, 5); /* not ours, or not to be changed: nothing */
	if (!file_read(path, 256, &b, NULL) || strstr(b.data, "nice") == NULL) {
		buf_free(&b);
		free(path);
		child_end(c);
		print_message("the kernel does not group processes by session\n");
		skip();
	}
	assert_non_null(strstr(b.data, "nice 5"));
	buf_free(&b);
	free(path);
	child_end(c);
}

static void write_pid(const char *folder, const char *file, pid_t pid)
{
	char *path = mem_printf("%s/%s", folder, file), text[16];
	struct error e;

	snprintf(text, sizeof(text), "%d\n", (int)pid);
	assert_true(file_write_atomic(path, text, strlen(text), 0600, &e));
	free(path);
}

/* A worker that stands right stays; all others get what the planes have. */
static void test_switch(void **state)
{
	char folder[] = "/tmp/placement_test.XXXXXX";
	struct error e;
	cpu_set_t own, one;
	unsigned first;
	char first_text[16], all[80];

	(void)state;
	own_cpus(&own, &first);
	if (CPU_COUNT(&own) < 2) {
		print_message("one processor only\n");
		skip();
	}
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	snprintf(first_text, sizeof(first_text), "%u", first);
	cores_list(&own, all, sizeof(all));
	assert_non_null(mkdtemp(folder));
	struct child sw = child_make("remora-switchd", "rte-worker-1", &one);
	struct child other = child_make("other", NULL, NULL);
	write_pid(folder, "switchd.pid", sw.pid);
	write_pid(folder, "standby.pid", other.pid);
	placement_switch(folder, &own);
	assert_int_equal(count_threads_at(sw.pid, all), count_threads(sw.pid) - 1);
	assert_int_equal(count_threads_at(sw.pid, first_text), 1);
	placement_switch(folder, &one);
	assert_int_equal(count_threads_at(sw.pid, first_text), count_threads(sw.pid));
	assert_int_equal(count_threads_at(other.pid, all), count_threads(other.pid));
	placement_switch("/nonexistent", &one);
	child_end(sw);
	child_end(other);
	placement_switch(folder, &one);
	assert_true(file_remove_tree_at(AT_FDCWD, folder, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_threads),
		cmocka_unit_test(test_processors_that_are_not_there),
		cmocka_unit_test(test_session),
		cmocka_unit_test(test_switch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
