/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of a capture, its filter, and whether tcpdump reads what is written of it. */
#include "switch/capture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "switch/frame_test.h"
#include "switch/pcapng.h"

static const struct capture_options everything = { .port = CAPTURE_ANY_PORT,
						   .snap = CAPTURE_SNAP,
						   .stages = 15 };

static void put(struct capture *c, enum capture_stage stage, uint16_t port)
{
	struct capture_packet p = { .stage = stage,
				    .port = port,
				    .head = frame,
				    .n_head = frame_size,
				    .size = frame_size };

	capture_put(c, &p);
}

static void make_udp(void)
{
	make_ip4(17, 20);
	put_udp(L4_IP4, 20);
}

static unsigned drain(struct capture *c)
{
	unsigned n = 0;

	for (; capture_peek(c) != NULL; capture_pop(c)) {
		n++;
	}
	return n;
}

static void the_filter_says_what_is_taken(void **state)
{
	(void)state;
	struct capture_options o = everything;
	struct error e;
	o.filter = "udp port 80 and host 10.0.0.2";
	struct capture *c = capture_new(&o, &e);
	assert_non_null(c);
	make_udp();
	put(c, CAPTURE_RECEIVED, 3);
	const struct captured *got = capture_peek(c);
	assert_non_null(got);
	assert_int_equal(got->port, 3);
	assert_int_equal(got->size, frame_size);
	assert_memory_equal(got->bytes, frame, frame_size);
	assert_int_equal(drain(c), 1);
	make_ip4(6, 20);
	put_tcp(L4_IP4, 2);
	put(c, CAPTURE_RECEIVED, 3);
	assert_int_equal(drain(c), 0);
	capture_free(c);
	o.filter = "udp port";
	assert_null(capture_new(&o, &e));
	assert_non_null(strstr(e.msg, "udp port"));
}

static void ports_stages_and_counts_bound_it(void **state)
{
	(void)state;
	struct capture_options o = everything;
	struct error e;
	o.port = 2;
	o.stages = 1 << CAPTURE_DROPPED;
	o.count = 3;
	o.snap = 16;
	struct capture *c = capture_new(&o, &e);
	make_udp();
	put(c, CAPTURE_DROPPED, 1);
	put(c, CAPTURE_SENT, 2);
	assert_null(capture_peek(c));
	for (int i = 0; i < 5; i++) {
		put(c, CAPTURE_DROPPED, 2);
	}
	assert_true(capture_is_done(c));
	assert_int_equal(capture_peek(c)->n, 16);
	assert_int_equal(capture_peek(c)->size, frame_size);
	assert_int_equal(drain(c), 3);
	capture_free(c);
}

static void what_does_not_fit_is_lost_and_counted(void **state)
{
	(void)state;
	struct error e;
	struct capture *c = capture_new(&everything, &e);
	make_udp();
	for (int i = 0; i < CAPTURE_SLOTS + 5; i++) {
		put(c, CAPTURE_SENT, 0);
	}
	assert_int_equal(capture_n_lost(c), 5);
	assert_int_equal(drain(c), CAPTURE_SLOTS);
	put(c, CAPTURE_SENT, 0);
	assert_int_equal(drain(c), 1);
	capture_free(c);
}

/* Runs tcpdump on a file; its output, and whether it could. */
static bool tcpdump(const char *path, char *text, size_t room)
{
	int fds[2];
	size_t n = 0;
	ssize_t got;
	int status = 0;

	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		execlp("tcpdump", "tcpdump", "-n", "-r", path, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	while (n < room - 1 && (got = read(fds[0], text + n, room - 1 - n)) > 0) {
		n += (size_t)got;
	}
	text[n] = '\0';
	close(fds[0]);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) != 127;
}

static void tcpdump_reads_it(void **state)
{
	(void)state;
	char path[] = "/tmp/capture_test.XXXXXX", text[4096];
	struct buf file = BUF_INIT;
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	make_udp();
	pcapng_add_header(&file);
	pcapng_add_interface(&file, "web-1", 256);
	struct pcapng_packet p = { .ns = 1000000000,
				   .bytes = frame,
				   .n = frame_size,
				   .size = frame_size,
				   .comment = "dropped: guard_mac" };
	pcapng_add_packet(&file, &p);
	pcapng_add_interface(&file, "web-2", 256);
	p.iface = 1;
	pcapng_add_packet(&file, &p);
	assert_int_equal(write(fd, file.data, file.len), (ssize_t)file.len);
	close(fd);
	bool is_there = tcpdump(path, text, sizeof(text));
	unlink(path);
	assert_non_null(memmem(file.data, file.len, "dropped: guard_mac", 18));
	buf_free(&file);
	if (!is_there) {
		print_message("tcpdump is not installed\n");
		skip();
	}
	assert_non_null(strstr(text, "10.0.0.1.1000 > 10.0.0.2.80: UDP"));
	assert_non_null(strstr(strchr(text, '\n'), "10.0.0.1.1000 > 10.0.0.2.80: UDP"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_filter_says_what_is_taken),
		cmocka_unit_test(ports_stages_and_counts_bound_it),
		cmocka_unit_test(what_does_not_fit_is_lost_and_counted),
		cmocka_unit_test(tcpdump_reads_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
