/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/pid_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"

static const char nobody[] = "-\n";

int pid_file_open(const char *path, struct error *e)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0) {
		if (write(fd, nobody, sizeof(nobody) - 1) != (ssize_t)sizeof(nobody) - 1) {
			error_set_sys(e, errno, "\"%s\"", path);
			close(fd);
			return -1;
		}
		return fd;
	}
	if (errno == EEXIST) {
		fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	}
	if (fd < 0) {
		error_set_sys(e, errno, "\"%s\"", path);
	}
	return fd;
}

pid_t pid_file_read(int fd)
{
	char text[32];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	uint64_t pid;

	if (n == 0) {
		return PID_FILE_ENDED;
	}
	text[n < 0 ? 0 : n] = '\0';
	return number_u64_n(text, strcspn(text, "\n"), &pid) && pid > 1 && pid < INT32_MAX
		       ? (pid_t)pid
		       : PID_FILE_FREE;
}

bool pid_file_write(int fd, pid_t pid, struct error *e)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%d\n", pid);

	if (pid == PID_FILE_FREE) {
		n = snprintf(text, sizeof(text), "%s", nobody);
	}
	if (pid == PID_FILE_ENDED) {
		n = 0;
	}
	/* A shorter text never leaves digits of the longer one behind: it ends with its line. */
	if (pwrite(fd, text, (size_t)n, 0) != n || ftruncate(fd, n) != 0) {
		return error_set_sys(e, errno, "pid file");
	}
	return true;
}

bool pid_file_lock(int fd, int64_t wait_ms)
{
	static const struct timespec pause = { .tv_nsec = 1000000 };
	int64_t end = clock_mono_us(clock_real()) + wait_ms * 1000;

	if (wait_ms < 0) {
		int r;
		do {
			r = flock(fd, LOCK_EX);
		} while (r != 0 && errno == EINTR);
		return r == 0;
	}
	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (clock_mono_us(clock_real()) >= end) {
			return false;
		}
		nanosleep(&pause, NULL);
	}
	return true;
}

void pid_file_unlock(int fd)
{
	(void)flock(fd, LOCK_UN);
}

bool pid_file_is_locked(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	bool locked = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0;

	if (fd >= 0) {
		close(fd);
	}
	return locked;
}
