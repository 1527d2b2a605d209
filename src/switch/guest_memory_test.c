/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/guest_memory.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	SIZE = 1 << 20,
};

static volatile char *map(int *fd, int flags)
{
	*fd = memfd_create("guest", MFD_CLOEXEC);
	assert_true(*fd >= 0);
	assert_int_equal(ftruncate(*fd, SIZE), 0);
	void *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, *fd, 0);
	assert_true(p != MAP_FAILED);
	return p;
}

static void what_is_gone_reads_as_zeros(void **state)
{
	int fd;
	struct error e;
	volatile char *p = map(&fd, MAP_SHARED);

	(void)state;
	assert_true(guest_memory_begin(&e));
	p[0] = 1;
	p[SIZE / 2] = 2;
	p[SIZE - 1] = 3;
	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_int_equal(p[SIZE - 1], 0);
	assert_int_equal(p[SIZE / 2], 0);
	assert_int_equal(p[0], 1);
	p[SIZE / 2] = 5;
	assert_int_equal(p[SIZE / 2], 5);
	assert_int_equal(guest_memory_n_missing(), 2);
	munmap((void *)(uintptr_t)p, SIZE);
	close(fd);
}

/* In a process of its own: it dies of it. */
static void what_is_ours_is_not_made_up(void **state)
{
	(void)state;
	for (int ours = 0; ours < 2; ours++) {
		pid_t child = fork();
		if (child == 0) {
			int fd;
			struct error e;
			volatile char *p = map(&fd, ours != 0 ? MAP_SHARED : MAP_PRIVATE);
			(void)guest_memory_begin(&e);
			if (ours != 0) {
				guest_memory_is_ours((const void *)(uintptr_t)p);
			}
			_exit(ftruncate(fd, 0) == 0 ? p[100] : 1);
		}
		int status;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_gone_reads_as_zeros),
		cmocka_unit_test(what_is_ours_is_not_made_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
