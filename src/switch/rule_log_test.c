/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of rules that log, the lines that are made of it, and the file that these are in. */
#include "switch/rule_log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "switch/classifier.h"
#include "switch/rule_log_file.h"

static struct rule_log_record tcp = { .rule = 3,
				      .size = 74,
				      .port = 1,
				      .epoch = 9,
				      .source_port = 4242,
				      .destination_port = 80,
				      .direction = RULE_IN,
				      .proto = 6,
				      .ip = 4,
				      .tcp_flags = 0x12,
				      .has_ports = true,
				      .source = { 10, 1, 0, 10 },
				      .destination = { 10, 1, 0, 11 } };

static void the_ring_counts_what_has_no_room(void **state)
{
	(void)state;
	struct rule_log *l = rule_log_new();
	assert_null(rule_log_peek(l));
	for (int i = 0; i < RULE_LOG_SLOTS + 3; i++) {
		tcp.rule = i;
		rule_log_put(l, &tcp);
	}
	assert_int_equal(rule_log_n_lost(l), 3);
	for (int i = 0; i < RULE_LOG_SLOTS; i++) {
		assert_int_equal(rule_log_peek(l)->rule, i);
		assert_true(rule_log_peek(l)->ns > 1000000000000000000u);
		rule_log_pop(l);
	}
	assert_null(rule_log_peek(l));
	rule_log_put(l, &tcp);
	assert_non_null(rule_log_peek(l));
	rule_log_lose(l, 7);
	assert_int_equal(rule_log_n_lost(l), 10);
	rule_log_free(l);
}

static void assert_line(const struct rule_log_record *r, const struct rule_log_names *n,
			const char *wanted)
{
	struct buf b = BUF_INIT;

	rule_log_write(r, n, 5, &b);
	assert_string_equal(b.data, wanted);
	buf_free(&b);
}

static void lines_say_what_it_was(void **state)
{
	(void)state;
	struct rule_log_names n = { 1001, "web/allow http", "allow", "52-4000.4000",
				    "edge-1 \"x\"" };
	struct rule_log_record r = tcp;
	r.ns = 1700000000123456789u;
	assert_line(&r, &n,
		    "time=2023-11-14T22:13:20.123456Z rule=1001 name=\"web/allow http\" "
		    "action=allow direction=in port=\"52-4000.4000\" label=\"edge-1 \\\"x\\\"\" "
		    "protocol=tcp source=10.1.0.10 source_port=4242 destination=10.1.0.11 "
		    "destination_port=80 size=74 flags=SA suppressed=5\n");
	r.proto = 1;
	r.source_port = 8;
	r.destination_port = 0;
	r.direction = RULE_OUT;
	n.rule_name = "a\nrule=2\\";
	n.label = "";
	assert_line(&r, &n,
		    "time=2023-11-14T22:13:20.123456Z rule=1001 name=\"a\\u000arule=2\\\\\" "
		    "action=allow direction=out port=\"52-4000.4000\" label=\"\" "
		    "protocol=icmp source=10.1.0.10 destination=10.1.0.11 "
		    "type=8 code=0 size=74 suppressed=5\n");
	r.proto = 99;
	r.ip = 6;
	r.has_ports = false;
	n.rule_name = "";
	assert_line(&r, &n,
		    "time=2023-11-14T22:13:20.123456Z rule=1001 name=\"\" "
		    "action=allow direction=out port=\"52-4000.4000\" label=\"\" "
		    "protocol=99 source=a01:a:: destination=a01:b:: size=74 suppressed=5\n");
	struct buf b = BUF_INIT;
	rule_log_write_suppressed(1700000000000000000u, 12, &b);
	assert_string_equal(b.data,
			    "time=2023-11-14T22:13:20.000000Z event=suppressed records=12\n");
	buf_free(&b);
}

/* ---- the file ---- */

struct files {
	char folder[32];
	char *path, *old;
};

static void files_begin(struct files *f)
{
	snprintf(f->folder, sizeof(f->folder), "/tmp/rule_log.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	f->path = mem_printf("%s/log", f->folder);
	f->old = mem_printf("%s/log.1", f->folder);
}

static void files_end(struct files *f)
{
	(void)unlink(f->path);
	(void)unlink(f->old);
	assert_int_equal(rmdir(f->folder), 0);
	free(f->path);
	free(f->old);
}

static void assert_file(const char *path, const char *wanted)
{
	struct buf b = BUF_INIT;
	struct error e;

	assert_true(file_read(path, 1 << 20, &b, &e));
	assert_string_equal(b.data, wanted);
	buf_free(&b);
}

static size_t add(struct rule_log_file *f, const char *lines)
{
	return rule_log_file_add(f, lines, strlen(lines));
}

static void a_full_file_makes_room(void **state)
{
	(void)state;
	struct files at;
	files_begin(&at);
	struct rule_log_file *f = rule_log_file_new(at.path, 10);
	assert_int_equal(add(f, "one\ntwo\n"), 0);
	assert_int_equal(add(f, "three\n"), 0);
	assert_file(at.old, "one\ntwo\n");
	assert_file(at.path, "three\n");
	assert_int_equal(add(f, "longer than all\n"), 0);
	assert_file(at.old, "three\n");
	rule_log_file_free(f);
	f = rule_log_file_new(at.path, 100); /* another process */
	assert_int_equal(add(f, "more\n"), 0);
	assert_file(at.path, "longer than all\nmore\n");
	assert_int_equal(unlink(at.path), 0); /* somebody takes it away */
	assert_int_equal(add(f, "new\n"), 0);
	assert_file(at.path, "new\n");
	rule_log_file_free(f);
	files_end(&at);
}

static void half_a_line_goes(void **state)
{
	(void)state;
	struct files at;
	struct error e;
	files_begin(&at);
	assert_true(file_write_atomic(at.path, "one\ntwo\nthr", 11, 0600, &e));
	struct rule_log_file *f = rule_log_file_new(at.path, 100);
	assert_int_equal(add(f, "four\n"), 0);
	assert_file(at.path, "one\ntwo\nfour\n");
	rule_log_file_free(f);
	files_end(&at);
}

/* As on a full disk: no file of this process may grow beyond some bytes. */
static void what_cannot_be_written_is_counted(void **state)
{
	(void)state;
	struct rlimit was, now;
	struct files at;
	files_begin(&at);
	struct rule_log_file *f = rule_log_file_new(at.path, 100);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	now = was;
	now.rlim_cur = 10;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
	size_t some = add(f, "one\ntwo\nthree\nfour\n"), all = add(f, "five\n");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(some, 2);
	assert_int_equal(all, 1);
	assert_file(at.path, "one\ntwo\n");
	assert_int_equal(add(f, "six\n"), 0);
	assert_file(at.path, "one\ntwo\nsix\n");
	rule_log_file_free(f);
	files_end(&at);
	f = rule_log_file_new("/nowhere/log", 100);
	assert_int_equal(add(f, "a\nb\n"), 2);
	rule_log_file_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_ring_counts_what_has_no_room),
		cmocka_unit_test(lines_say_what_it_was),
		cmocka_unit_test(a_full_file_makes_room),
		cmocka_unit_test(half_a_line_goes),
		cmocka_unit_test(what_cannot_be_written_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
