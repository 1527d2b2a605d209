/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Load between two machines for the test of a switch that changes hands; runs inside guests.
 *
 *   tcp_load serve                      answers each byte with itself, on PORTS ports
 *   tcp_load live ADDRESS N RATE        holds N connections that send a byte each 10 s, and makes
 *                                       RATE new ones a second that send one and close
 *   tcp_load probe ADDRESS HZ           sends numbered datagrams
 *   tcp_load gaps MS                    notes in /tmp/gaps when none came for MS or longer
 *
 * `live` writes what it has come to into /tmp/live twice a second: connections that live, exchanges
 * done, connections made and closed, and what failed in between.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	PORT = 5000,
	PORTS = 8,
	PROBE_PORT = 6000,
	FDS = 65536,
	EVENTS = 256,
	PERIOD_S = 10,
};

enum kind {
	NONE,
	LISTENING,
	ACCEPTED,
	LIVE,
	BRIEF
};

static unsigned char kinds[FDS], asked[FDS];
static uint64_t n_live, n_answers, n_asked, n_brief, n_brief_failed, n_lost;
static int poll_fd;
static int last_errno;

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void watch(int fd, enum kind kind, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.fd = fd };

	if (fd < 0 || fd >= FDS || epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &e) != 0) {
		die("epoll_ctl");
	}
	kinds[fd] = (unsigned char)kind;
	asked[fd] = 0;
}

static struct sockaddr_in address_of(const char *text, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	if (inet_pton(AF_INET, text, &a.sin_addr) != 1) {
		die(text);
	}
	return a;
}

static void begin(void)
{
	struct rlimit all = { FDS, FDS };

	(void)setrlimit(RLIMIT_NOFILE, &all);
	poll_fd = epoll_create1(0);
}

/* ---- the server ---- */

static void answer(int fd)
{
	char bytes[64];
	ssize_t n = read(fd, bytes, sizeof(bytes));

	if (n > 0) {
		(void)!write(fd, bytes, (size_t)n);
	} else if (n == 0 || errno != EAGAIN) {
		if (n < 0) {
			fprintf(stderr, "server: %s\n", strerror(errno));
		}
		close(fd);
	}
}

static _Noreturn void serve(void)
{
	struct epoll_event events[EVENTS];

	begin();
	for (int i = 0; i < PORTS; i++) {
		struct sockaddr_in a = address_of("0.0.0.0", PORT + i);
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(fd, 4096) != 0) {
			die("listen");
		}
		watch(fd, LISTENING, EPOLLIN);
	}
	for (;;) {
		int n = epoll_wait(poll_fd, events, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd, peer;
			if (kinds[fd] != LISTENING) {
				answer(fd);
				continue;
			}
			while ((peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
				watch(peer, ACCEPTED, EPOLLIN);
			}
		}
	}
}

/* ---- the client ---- */

static void open_one(const char *to, enum kind kind)
{
	static int turn;
	struct sockaddr_in a = address_of(to, PORT + turn++ % PORTS);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0 && errno != EINPROGRESS) {
		last_errno = errno;
		close(fd);
		n_brief_failed++;
		return;
	}
	watch(fd, kind, EPOLLIN | EPOLLOUT);
}

static void ask(int fd)
{
	if (write(fd, "x", 1) == 1) {
		n_asked++;
	}
}

static void lose(int fd, int why)
{
	last_errno = why;
	if (kinds[fd] == LIVE) {
		n_lost++;
		n_live -= asked[fd];
	} else {
		n_brief_failed++;
	}
	kinds[fd] = NONE;
	close(fd);
}

static void on_event(int fd, uint32_t events)
{
	char bytes[64];

	if (!asked[fd] && (events & EPOLLOUT) != 0 && (events & (EPOLLERR | EPOLLHUP)) == 0) {
		struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };
		asked[fd] = 1;
		n_live += kinds[fd] == LIVE;
		(void)epoll_ctl(poll_fd, EPOLL_CTL_MOD, fd, &e);
		ask(fd);
		return;
	}
	ssize_t n = read(fd, bytes, sizeof(bytes));
	if (n > 0) {
		n_answers += (uint64_t)n;
		if (kinds[fd] == BRIEF) {
			kinds[fd] = NONE;
			close(fd);
			n_brief++;
		}
	} else if (n == 0 || errno != EAGAIN) {
		lose(fd, n == 0 ? EPIPE : errno);
	}
}

static void tell(void)
{
	FILE *f = fopen("/tmp/live.new", "w");

	fprintf(f, "live %llu lost %llu asked %llu answers %llu brief %llu failed %llu errno %d\n",
		(unsigned long long)n_live, (unsigned long long)n_lost, (unsigned long long)n_asked,
		(unsigned long long)n_answers, (unsigned long long)n_brief,
		(unsigned long long)n_brief_failed, last_errno);
	fclose(f);
	rename("/tmp/live.new", "/tmp/live");
}

/* What is due by now: connections that are to live at 500 a second at first, then bytes on them
 * and new ones. */
static void do_due(const char *to, int64_t elapsed_us, uint64_t n, uint64_t rate)
{
	static uint64_t opened, sent, made;
	static int at;
	uint64_t due = (uint64_t)elapsed_us * 500 / 1000000;

	for (; opened < n && opened < due; opened++) {
		open_one(to, LIVE);
	}
	if (opened < n) {
		return;
	}
	static int64_t from_us;
	from_us = from_us == 0 ? elapsed_us : from_us;
	uint64_t since = (uint64_t)(elapsed_us - from_us);
	for (int k = 0; sent < since * n / PERIOD_S / 1000000 && k < FDS; k++) {
		at = (at + 1) % FDS;
		if (kinds[at] == LIVE && asked[at]) {
			ask(at);
			sent++;
		}
	}
	for (int k = 0; made < since * rate / 1000000 && k < 64; made++, k++) {
		open_one(to, BRIEF);
	}
}

static _Noreturn void live(const char *to, uint64_t n, uint64_t rate)
{
	struct epoll_event events[EVENTS];
	int64_t start = now_us(), next_tell = start;

	begin();
	for (;;) {
		int n_events = epoll_wait(poll_fd, events, EVENTS, 2);
		for (int i = 0; i < n_events; i++) {
			on_event(events[i].data.fd, events[i].events);
		}
		do_due(to, now_us() - start, n, rate);
		if (now_us() >= next_tell) {
			tell();
			next_tell = now_us() + 500000;
		}
	}
}

/* ---- the probe ---- */

static _Noreturn void probe(const char *to, int64_t hz)
{
	struct sockaddr_in a = address_of(to, PROBE_PORT);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int64_t next = now_us();

	for (uint64_t i = 0;; i++) {
		(void)!sendto(fd, &i, sizeof(i), MSG_DONTWAIT, (struct sockaddr *)&a, sizeof(a));
		next += 1000000 / hz;
		int64_t wait = next - now_us();
		if (wait > 0) {
			nanosleep(&(struct timespec){ .tv_nsec = wait * 1000 }, NULL);
		} else if (wait < -1000000) {
			next = now_us();
		}
	}
}

static _Noreturn void gaps(int64_t limit_us)
{
	struct sockaddr_in a = address_of("0.0.0.0", PROBE_PORT);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	FILE *f = fopen("/tmp/gaps", "w");
	uint64_t number, last_number = 0;
	int64_t last = 0;

	if (f == NULL || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
		die("gaps");
	}
	for (;;) {
		if (recv(fd, &number, sizeof(number), 0) != sizeof(number)) {
			continue;
		}
		int64_t now = now_us();
		if (last != 0 && now - last >= limit_us) {
			fprintf(f, "gap %lld lost %lld\n", (long long)(now - last),
				(long long)(number - last_number - 1));
			fflush(f);
		}
		last = now;
		last_number = number;
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "serve") == 0) {
		serve();
	}
	if (argc == 5 && strcmp(argv[1], "live") == 0) {
		live(argv[2], strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
	}
	if (argc == 4 && strcmp(argv[1], "probe") == 0) {
		probe(argv[2], strtoll(argv[3], NULL, 10));
	}
	if (argc == 3 && strcmp(argv[1], "gaps") == 0) {
		gaps(strtoll(argv[2], NULL, 10) * 1000);
	}
	fputs("usage: tcp_load serve | live ADDRESS N RATE | probe ADDRESS HZ | gaps MS\n", stderr);
	return 2;
}
