/* SPDX-License-Identifier: Apache-2.0 */
/* The heir runs on memory that is not its own: it touches its stack, and makes system calls whose
 * failure it does not look at (errno is its parent's). */
#include "switch/memory_heir.h"

#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

LOG_MODULE("standby");

enum {
	STACK = 16384,
	SIGNALS_SIZE = 8, /* of the kernel's signal set */
};

/* An address sanitizer does not bear two processes on one memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif

static _Alignas(64) char stack[STACK];
static pid_t parent;

static int heir(void *arg)
{
	static const struct timespec moment = { .tv_nsec = 200000000 };
	static const char name[] = "switchd-memory";
	sigset_t *wanted = arg;

	/* All signals are blocked here, and this one says that the parent's main thread ended;
	 * others may be about to. */
	syscall(SYS_prctl, PR_SET_NAME, name, 0, 0, 0);
	syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0);
	if (syscall(SYS_getppid) == parent) {
		syscall(SYS_rt_sigtimedwait, wanted, NULL, NULL, SIGNALS_SIZE);
	}
	syscall(SYS_nanosleep, &moment, NULL);
	syscall(SYS_exit_group, 0);
	return 0;
}

void memory_heir_begin(void)
{
#ifndef HAS_SANITIZER
	static sigset_t wanted;
	sigset_t all, before;

	parent = getpid();
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGUSR1);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	int pid = clone(heir, stack + sizeof(stack), CLONE_VM, &wanted);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid < 0) {
		log_debug("no heir of memory");
	}
#endif
}
