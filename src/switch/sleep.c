/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/sleep.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static struct {
	int epoll, wake;
	bool is_asleep; /* atomic: who has something writes to `wake` */
} at = { .epoll = -1, .wake = -1 };

bool sleep_begin(struct error *e)
{
	at.epoll = epoll_create1(EPOLL_CLOEXEC);
	at.wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (at.epoll < 0 || at.wake < 0) {
		return error_set_sys(e, errno, "files to sleep by");
	}
	sleep_watch(at.wake);
	return true;
}

void sleep_end(void)
{
	if (at.epoll >= 0) {
		close(at.epoll);
	}
	if (at.wake >= 0) {
		close(at.wake);
	}
	at.epoll = at.wake = -1;
}

void sleep_watch(int fd)
{
	/* Each time it counts up, not as long as it has counted: nobody reads it. */
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };

	ev.data.fd = fd;
	if (fd >= 0) {
		(void)epoll_ctl(at.epoll, EPOLL_CTL_ADD, fd, &ev);
	}
}

void sleep_unwatch(int fd)
{
	if (fd >= 0) {
		(void)epoll_ctl(at.epoll, EPOLL_CTL_DEL, fd, NULL);
	}
}

void sleep_wake(void)
{
	static const uint64_t one = 1;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_exchange_n(&at.is_asleep, false, __ATOMIC_SEQ_CST)) {
		(void)!write(at.wake, &one, sizeof(one));
	}
}

void sleep_prepare(void)
{
	__atomic_store_n(&at.is_asleep, true, __ATOMIC_SEQ_CST);
}

void sleep_cancel(void)
{
	__atomic_store_n(&at.is_asleep, false, __ATOMIC_SEQ_CST);
}

void sleep_wait(uint64_t ns)
{
	struct pollfd p = { .fd = at.epoll, .events = POLLIN };
	struct timespec t = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
	struct epoll_event events[16];

	if (ppoll(&p, 1, &t, NULL) > 0) {
		while (epoll_wait(at.epoll, events, 16, 0) == 16) {
		}
	}
	sleep_cancel();
}
