/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands between DPDK's vhost library and memif driver (22.11) and peers that lie or die. The
 * library serves all front ends on one thread, with sockets that block. There are five weaknesses
 * that no interface of theirs reaches:
 *
 * 1. A front end that says that more of a message is to come, and sends nothing, holds up all
 *    others. So a wait on such a socket ends after WAIT_MS, which the library takes for the end of
 *    the connection.
 * 2. File descriptors that come with a message which it refuses stay open. So they are noted as
 *    they come, and those that are still there a while after their connection has ended are closed.
 * 3. Where a new table of memory is refused, the memory before is gone already, while workers still
 *    look at rings in it until the connection is ended. So zeros stay for a while in the place of
 *    memory that came from a front end.
 * 4. A memif peer that is gone before it was greeted leaves a closed descriptor where DPDK waits
 * for interrupts, which ends the process. So a message to a peer that is gone counts as sent, and
 *    that it is gone is found at the next look, as always.
 * 5. A connection to a socket follows a link that stands in its place, which may lead to a socket
 *    that is not for whoever made the link. So the last part of a path is not followed.
 *
 * This program's functions of these names are the ones that the library calls. They do what libc's
 * do, for all the program, and note what concerns unix sockets. Any thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
	FDS = 16384, /* beyond, nothing is noted */
	WAIT_MS = 200,
	LEFT_S = 2, /* after which what a connection left behind is closed */
};

/* By file descriptor: the connection that it came by, when that ended (0: it lives), and what it is
 * where it is one. Connections have numbers, since descriptors are used again; 0 is none. */
static uint64_t came_by[FDS];
static uint32_t ended_s[FDS];
static uint64_t connection[FDS];
static uint64_t n_connections;

static uint32_t now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint32_t)t.tv_sec + 1;
}

static bool is_noted(int fd)
{
	return fd >= 0 && fd < FDS;
}

/* To a unix stream socket that does not block this does nothing. */
static void note_connection(int fd)
{
	struct timeval wait = { .tv_usec = WAIT_MS * 1000 };
	int domain = 0, type = 0;
	socklen_t n = sizeof(domain);

	if (!is_noted(fd) || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) != 0 ||
	    domain != AF_UNIX || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) != 0 ||
	    type != SOCK_STREAM) {
		return;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	uint64_t number = __atomic_add_fetch(&n_connections, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&connection[fd], number, __ATOMIC_RELEASE);
}

static void note_received(uint64_t number, const struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL;
	     c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (is_noted(fd)) {
				__atomic_store_n(&ended_s[fd], 0, __ATOMIC_RELAXED);
				__atomic_store_n(&came_by[fd], number, __ATOMIC_RELAXED);
			}
		}
	}
}

/* ---- memory ---- */

enum {
	REGIONS = 4096, /* noted; beyond, those go that have been gone longest */
};

static struct region {
	void *at; /* NULL: none */
	size_t size;
	uint64_t gone;	 /* since which one there are zeros, counted; 0: it is there */
	uint32_t gone_s; /* and since when */
} regions[REGIONS];
static uint64_t n_gone;						 /* regions, ever */
static pthread_mutex_t regions_lock = PTHREAD_MUTEX_INITIALIZER; /* of regions */

static void unmap(struct region *r)
{
	(void)syscall(SYS_munmap, r->at, r->size);
	r->at = NULL;
}

static bool overlaps(const struct region *r, const void *at, size_t size)
{
	uintptr_t from = (uintptr_t)r->at, other = (uintptr_t)at;

	return r->at != NULL && from < other + size && other < from + r->size;
}

/* Somebody has done away with a region, or with a part of it, in another way. With the lock. */
static void forget_regions(const void *at, size_t size)
{
	for (int i = 0; i < REGIONS; i++) {
		if (overlaps(&regions[i], at, size)) {
			regions[i].at = NULL;
		}
	}
}

static void note_region(void *at, size_t size)
{
	struct region *place = NULL;

	pthread_mutex_lock(&regions_lock);
	forget_regions(at, size);
	for (int i = 0; i < REGIONS && (place == NULL || place->at != NULL); i++) {
		struct region *r = &regions[i];
		if (r->at == NULL || (r->gone != 0 && (place == NULL || r->gone < place->gone))) {
			place = r;
		}
	}
	if (place != NULL) {
		if (place->at != NULL) {
			unmap(place);
		}
		*place = (struct region){ at, size, 0, 0 };
	}
	pthread_mutex_unlock(&regions_lock);
}

/* Puts zeros where a region was; false where it is none of ours to note. */
static bool empty_region(void *at, size_t size)
{
	bool is_region = false;

	pthread_mutex_lock(&regions_lock);
	for (int i = 0; i < REGIONS && !is_region; i++) {
		struct region *r = &regions[i];
		if (r->at == at && r->size == size && r->gone == 0) {
			void *zeros = (void *)syscall(
				SYS_mmap, at, size, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
			is_region = zeros == at;
			r->gone = ++n_gone;
			r->gone_s = now_s();
			r->at = is_region ? at : NULL;
		}
	}
	if (!is_region) {
		forget_regions(at, size);
	}
	pthread_mutex_unlock(&regions_lock);
	return is_region;
}

static void unmap_left(uint32_t now)
{
	pthread_mutex_lock(&regions_lock);
	for (int i = 0; i < REGIONS; i++) {
		struct region *r = &regions[i];
		if (r->at != NULL && r->gone != 0 && now - r->gone_s >= LEFT_S) {
			unmap(r);
		}
	}
	pthread_mutex_unlock(&regions_lock);
}

static void *map(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	void *p = (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);

	if (p != MAP_FAILED && (flags & MAP_SHARED) != 0 && is_noted(fd) &&
	    __atomic_load_n(&came_by[fd], __ATOMIC_RELAXED) != 0) {
		note_region(p, size);
	}
	return p;
}

/* With 64-bit offsets both names are the same function; programs use either. */
#undef mmap
#undef mmap64
void *mmap64(void *at, size_t size, int protection, int flags, int fd, off64_t offset)
{
	return map(at, size, protection, flags, fd, offset);
}

int munmap(void *at, size_t size)
{
	return empty_region(at, size) ? 0 : (int)syscall(SYS_munmap, at, size);
}

/* ---- descriptors ---- */

/* Closes what ended connections have left. Whoever serves them has long done so. */
static void close_left(void)
{
	static uint32_t last_s;
	uint32_t now = now_s();

	if (__atomic_exchange_n(&last_s, now, __ATOMIC_RELAXED) == now) {
		return;
	}
	unmap_left(now);
	for (int fd = 0; fd < FDS; fd++) {
		uint32_t ended = __atomic_load_n(&ended_s[fd], __ATOMIC_RELAXED);
		if (ended != 0 && now - ended >= LEFT_S) {
			(void)close(fd);
		}
	}
}

int accept(int fd, __SOCKADDR_ARG address, socklen_t *restrict n)
{
	int peer = accept4(fd, address.__sockaddr__, n, SOCK_CLOEXEC);

	if (peer >= 0) {
		close_left();
		note_connection(peer);
	}
	return peer;
}

/* To a socket of the file system, if it is one: a guest's folder may hold a link to another. */
static int connect_to_file(int fd, const struct sockaddr_un *address)
{
	struct sockaddr_un here = { .sun_family = AF_UNIX };
	int file = open(address->sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC), r = -1;
	struct stat s;

	if (file < 0) {
		return -1;
	}
	if (fstat(file, &s) == 0 && S_ISSOCK(s.st_mode)) {
		snprintf(here.sun_path, sizeof(here.sun_path), "/proc/self/fd/%d", file);
		r = (int)syscall(SYS_connect, fd, &here, sizeof(here));
	} else {
		errno = ECONNREFUSED;
	}
	int error = errno;
	(void)syscall(SYS_close, file);
	errno = error;
	return r;
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t n)
{
	const struct sockaddr_un *to = address.__sockaddr_un__;
	bool is_file = n > offsetof(struct sockaddr_un, sun_path) &&
		       n <= sizeof(struct sockaddr_un) && to->sun_family == AF_UNIX &&
		       to->sun_path[0] != 0 &&
		       memchr(to->sun_path, 0, n - offsetof(struct sockaddr_un, sun_path)) != NULL;
	int r = is_file ? connect_to_file(fd, to)
			: (int)syscall(SYS_connect, fd, address.__sockaddr__, n);

	if (r == 0) {
		note_connection(fd);
	}
	return r;
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	uint64_t number = is_noted(fd) ? __atomic_load_n(&connection[fd], __ATOMIC_ACQUIRE) : 0;

	if (number == 0) {
		return (ssize_t)syscall(SYS_recvmsg, fd, m, flags);
	}
	close_left();
	ssize_t r = (ssize_t)syscall(SYS_recvmsg, fd, m, flags | MSG_CMSG_CLOEXEC);
	if (r >= 0) {
		note_received(number, m);
	}
	return r;
}

/* From now on, what it brought is left behind. */
static void end_connection(uint64_t number)
{
	uint32_t now = now_s();

	for (int fd = 0; fd < FDS; fd++) {
		if (__atomic_load_n(&came_by[fd], __ATOMIC_RELAXED) == number) {
			__atomic_store_n(&ended_s[fd], now, __ATOMIC_RELAXED);
		}
	}
}

int close(int fd)
{
	if (is_noted(fd)) {
		uint64_t number = __atomic_exchange_n(&connection[fd], 0, __ATOMIC_RELAXED);
		__atomic_store_n(&came_by[fd], 0, __ATOMIC_RELAXED);
		__atomic_store_n(&ended_s[fd], 0, __ATOMIC_RELAXED);
		if (number != 0) {
			end_connection(number);
		}
	}
	return (int)syscall(SYS_close, fd);
}

/* Bytes that a message has. */
static ssize_t size_of(const struct msghdr *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->msg_iovlen; i++) {
		n += m->msg_iov[i].iov_len;
	}
	return (ssize_t)n;
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	ssize_t r = (ssize_t)syscall(SYS_sendmsg, fd, m, flags);
	int error = errno, type = 0;
	socklen_t n = sizeof(type);

	if (r >= 0 || (error != EPIPE && error != ECONNRESET)) {
		return r;
	}
	bool is_memif =
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_SEQPACKET;
	errno = error;
	return is_memif ? size_of(m) : r;
}
