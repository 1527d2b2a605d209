/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"
#include "center/database_impl.h"

struct fixture {
	char folder[64];
	char path[96];
	struct database *db;
};

static void open_it(struct fixture *f)
{
	struct error e = { 0 };

	f->db = database_open(f->path, NULL, &e);
	if (f->db == NULL) {
		fail_msg("%s", e.msg);
	}
}

static void reopen(struct fixture *f)
{
	database_close(f->db);
	open_it(f);
}

static int setup(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));

	snprintf(f->folder, sizeof(f->folder), "/tmp/database_test.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/center.db", f->folder);
	open_it(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	database_close(f->db);
	file_remove_tree_at(AT_FDCWD, f->folder, NULL);
	free(f);
	return 0;
}

static void commit(struct database *db)
{
	struct error e = { 0 };

	if (!database_commit(db, &e)) {
		fail_msg("%s", e.msg);
	}
}

static void put(struct database *db, const char *id, const char *parent, const char *name)
{
	struct database_entity entity = {
		.id = id, .type = "Folder", .parent = parent, .name = name
	};

	database_put_entity(db, &entity);
}

/* What a reader saw, as one line. */
static void note_entity(void *arg, const struct database_entity *entity)
{
	buf_addf(arg, "%s %s %s %s %s %s;", entity->id, entity->type ? entity->type : "-",
		 entity->parent ? entity->parent : "-", entity->name ? entity->name : "-",
		 entity->pool ? entity->pool : "-", entity->data ? entity->data : "-");
}

static void count_entity(void *arg, const struct database_entity *entity)
{
	size_t *n = arg;

	assert_string_not_equal(entity->id, "vm-x");
	(*n)++;
}

static void note_ref(void *arg, const struct database_ref *ref,
		     const struct database_entity *entity)
{
	buf_addf(arg, "%s/%s=", ref->host, ref->remote);
	note_entity(arg, entity);
}

static void note_text(void *arg, const char *data)
{
	buf_addf(arg, "%s;", data);
}

static void note_host(void *arg, const struct database_host *h)
{
	buf_addf(arg, "%s %s:%u %s %s %s %s %d %d;", h->id, h->address, h->port, h->user,
		 h->credential, h->thumbprint, h->uuid, h->is_connected, h->last_event);
}

static void expect_entities(struct database *db, const char *type, const char *want)
{
	struct buf b = BUF_INIT;

	buf_adds(&b, "");
	assert_true(database_each_entity(db, type, note_entity, &b, NULL));
	assert_string_equal(b.data ? b.data : "", want);
	buf_free(&b);
}

static void test_entities(void **state)
{
	struct fixture *f = *state;
	struct database_entity vm = { .id = "vm-3",
				      .type = "VirtualMachine",
				      .parent = "group-v2",
				      .name = "it's \"web\"",
				      .pool = "resgroup-1",
				      .data = "<x/>" };

	database_begin(f->db);
	put(f->db, "group-d1", NULL, "Datacenters");
	database_put_entity(f->db, &vm);
	put(f->db, "group-v2", "group-d1", NULL);
	commit(f->db);
	reopen(f);
	expect_entities(f->db, NULL,
			"group-d1 Folder - Datacenters - -;"
			"vm-3 VirtualMachine group-v2 it's \"web\" resgroup-1 <x/>;"
			"group-v2 Folder group-d1 - - -;");
	expect_entities(f->db, "VirtualMachine",
			"vm-3 VirtualMachine group-v2 it's \"web\" resgroup-1 <x/>;");

	database_begin(f->db);
	database_set_parent(f->db, "vm-3", "group-d1");
	database_set_name(f->db, "vm-3", "b");
	database_set_pool(f->db, "vm-3", NULL);
	database_set_data(f->db, "vm-3", "d");
	database_drop_entity(f->db, "group-v2");
	commit(f->db);
	expect_entities(f->db, NULL,
			"group-d1 Folder - Datacenters - -;vm-3 VirtualMachine group-d1 b - d;");
}

static void test_rollback(void **state)
{
	struct fixture *f = *state;

	database_put_event(f->db, 1, "kept");
	database_begin(f->db);
	put(f->db, "group-d1", NULL, "x");
	database_rollback(f->db);
	database_begin(f->db);
	put(f->db, "group-d2", NULL, "y");
	commit(f->db);
	reopen(f);
	expect_entities(f->db, NULL, "group-d2 Folder - y - -;");
	struct buf b = BUF_INIT;
	assert_true(database_each_event(f->db, note_text, &b, NULL));
	assert_string_equal(b.data, "kept;");
	buf_free(&b);
}

/* A write that cannot be: nothing of the change is kept, and the next change works. */
static void test_failed_write(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	database_begin(f->db);
	put(f->db, "group-d1", NULL, "x");
	put(f->db, NULL, NULL, "no id");
	put(f->db, "group-d2", NULL, "y");
	assert_false(database_commit(f->db, &e));
	assert_int_not_equal(e.kind, ERROR_NONE);
	assert_non_null(strstr(e.msg, "center.db"));
	expect_entities(f->db, NULL, "");
	database_begin(f->db);
	put(f->db, "group-d3", NULL, "z");
	commit(f->db);
	expect_entities(f->db, NULL, "group-d3 Folder - z - -;");
}

static void limit_pages(struct fixture *f, int n)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %d", n);
	assert_int_equal(sqlite3_exec(f->db->sql, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* Nothing of what did not fit is there; all that did is, and what comes when there is room. */
static void test_full(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	char name[2000], id[32];
	bool ok = true;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	limit_pages(f, 40);
	int n = 0;
	for (; ok && n < 200; n++) {
		snprintf(id, sizeof(id), "vm-%d", n);
		database_put_event(f->db, n, name); /* as between begin and commit nobody does */
		database_begin(f->db);
		put(f->db, id, NULL, name);
		ok = database_commit(f->db, &e);
	}
	assert_false(ok);
	assert_int_equal(e.kind, ERROR_NO_SPACE);
	char *large = mem_zalloc(200000);
	memset(large, 'n', 199999);
	for (int i = 0; i < 3; i++) {
		database_begin(f->db);
		put(f->db, "vm-x", NULL, large);
		assert_false(database_commit(f->db, &e));
		assert_int_equal(e.kind, ERROR_NO_SPACE);
	}
	free(large);
	limit_pages(f, 10000);
	database_begin(f->db);
	put(f->db, "vm-y", NULL, "y");
	commit(f->db);
	reopen(f);
	size_t count = 0;
	assert_true(database_each_entity(f->db, NULL, count_entity, &count, &e));
	assert_int_equal(count, n); /* n - 1 that fitted, and the last */
}

static void test_refs_and_hosts(void **state)
{
	struct fixture *f = *state;
	struct database_host host = {
		"host-9", "127.0.0.1", 8443, "root", "s", "AA", "u", true, 7
	};
	struct buf b = BUF_INIT;

	database_begin(f->db);
	database_put_host(f->db, &host);
	put(f->db, "host-9", "domain-s8", "a");
	put(f->db, "vm-10", "group-v2", "web");
	database_put_ref(f->db, &(struct database_ref){ "host-9", "1", "vm-10" });
	database_put_ref(f->db, &(struct database_ref){ "host-9", "2", "vm-11" });
	database_put_ref(f->db, &(struct database_ref){ "host-8", "1", "vm-12" });
	database_set_last_event(f->db, "host-9", 12);
	commit(f->db);
	reopen(f);
	assert_true(database_each_ref(f->db, "host-9", note_ref, &b, NULL));
	assert_string_equal(b.data, "host-9/2=vm-11 - - - - -;"
				    "host-9/1=vm-10 Folder group-v2 web - -;");
	buf_clear(&b);
	/* What two hosts have stays until the second lets go of it. */
	database_begin(f->db);
	put(f->db, "network-13", "group-n4", "net");
	database_put_ref(f->db, &(struct database_ref){ "host-9", "n", "network-13" });
	database_put_ref(f->db, &(struct database_ref){ "host-7", "n", "network-13" });
	database_drop_host(f->db, "host-7");
	database_drop_ref(f->db, "host-9", "2");
	commit(f->db);
	assert_true(database_each_ref(f->db, "host-9", note_ref, &b, NULL));
	assert_string_equal(b.data, "host-9/1=vm-10 Folder group-v2 web - -;"
				    "host-9/n=network-13 Folder group-n4 net - -;");
	buf_clear(&b);
	assert_true(database_each_host(f->db, note_host, &b, NULL));
	assert_string_equal(b.data, "host-9 127.0.0.1:8443 root s AA u 1 12;");

	database_begin(f->db);
	database_drop_host(f->db, "host-9");
	commit(f->db);
	expect_entities(f->db, NULL, "");
	buf_clear(&b);
	assert_true(database_each_host(f->db, note_host, &b, NULL));
	assert_true(database_each_ref(f->db, "host-9", note_ref, &b, NULL));
	assert_int_equal(b.len, 0);
	assert_true(database_each_ref(f->db, "host-8", note_ref, &b, NULL));
	assert_int_not_equal(b.len, 0);
	buf_free(&b);
}

static void test_history_and_facts(void **state)
{
	struct fixture *f = *state;
	struct arena *a = arena_new(0);
	struct buf b = BUF_INIT;

	database_begin(f->db);
	database_put_task(f->db, "task-1", "running");
	database_put_task(f->db, "task-2", "queued");
	database_put_task(f->db, "task-1", "success");
	database_put_event(f->db, 5, "five");
	database_put_event(f->db, DATABASE_EVENTS_MAX + 5, "newest");
	database_set_fact(f->db, "next_id", "17");
	commit(f->db);
	reopen(f);
	assert_true(database_each_task(f->db, note_text, &b, NULL));
	assert_string_equal(b.data, "success;queued;");
	buf_clear(&b);
	assert_true(database_each_event(f->db, note_text, &b, NULL));
	assert_string_equal(b.data, "newest;");
	buf_free(&b);
	assert_string_equal(database_fact(f->db, "next_id", a), "17");
	database_set_fact(f->db, "next_id", NULL);
	assert_null(database_fact(f->db, "next_id", a));
	arena_free(a);
}

static void test_structure(void **state)
{
	(void)state;
	struct arena *a = arena_new(0);
	struct error e = { 0 };
	struct value *v = value_new(a, T_ClusterConfigInfoEx);
	struct value *drs = value_new(a, T_ClusterDrsConfigInfo);
	struct value *rules = value_new_array(a, T_ClusterRuleInfo);
	struct value *rule = value_new(a, T_ClusterAffinityRuleSpec);
	struct value *vms = value_new_array(a, T_VirtualMachine);

	value_set_bool(a, drs, F_ClusterDrsConfigInfo_enabled, true);
	value_push(a, vms, value_new_ref(a, T_VirtualMachine, "vm-1"));
	value_set_str(a, rule, F_ClusterRuleInfo_name, "a <b> & \"c\"");
	value_set(a, rule, F_ClusterAffinityRuleSpec_vm, vms);
	value_push(a, rules, rule);
	value_set_str(a, v, F_ComputeResourceConfigInfo_vmSwapPlacement, "vmDirectory");
	value_set(a, v, F_ClusterConfigInfoEx_drsConfig, drs);
	value_set(a, v, F_ClusterConfigInfoEx_dasConfig, value_new(a, T_ClusterDasConfigInfo));
	value_set(a, v, F_ClusterConfigInfoEx_rule, rules);
	const char *text = database_text(a, v);
	const struct value *back = database_value(a, T_ComputeResourceConfigInfo, text, &e);
	if (back == NULL) {
		fail_msg("%s", e.msg);
	}
	assert_true(value_equal(v, back));
	assert_null(database_text(a, NULL));
	assert_null(database_value(a, T_ComputeResourceConfigInfo, "<value>", &e));
	arena_free(a);
}

static void test_refusals(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	sqlite3 *raw;

	/* Another process has it. */
	assert_null(database_open(f->path, NULL, &e));
	assert_int_equal(e.kind, ERROR_BUSY);
	database_close(f->db);
	f->db = NULL;

	/* A newer program wrote it. */
	assert_int_equal(sqlite3_open(f->path, &raw), SQLITE_OK);
	sqlite3_exec(raw, "PRAGMA user_version = 99", NULL, NULL, NULL);
	sqlite3_close(raw);
	assert_null(database_open(f->path, NULL, &e));
	assert_int_equal(e.kind, ERROR_UNSUPPORTED);
	assert_non_null(strstr(e.msg, "99"));

	/* It is none. */
	char text[4096];
	memset(text, 'x', sizeof(text));
	assert_true(file_write_atomic(f->path, text, sizeof(text), 0600, &e));
	assert_null(database_open(f->path, NULL, &e));
	assert_int_equal(e.kind, ERROR_CORRUPT);
	assert_null(database_open("/nowhere/center.db", NULL, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
}

static void test_no_database(void **state)
{
	(void)state;
	struct error e = { 0 };

	database_begin(NULL);
	put(NULL, "a", NULL, "b");
	database_put_event(NULL, 1, "x");
	database_put_task(NULL, "t", "x");
	database_drop_host(NULL, "h");
	assert_true(database_commit(NULL, &e));
	assert_true(database_each_entity(NULL, NULL, note_entity, NULL, &e));
	assert_null(database_fact(NULL, "x", NULL));
	database_close(NULL);
}

/* What is written outside of a change lasts after a turn of the loop. */
static void test_end_of_turn(void **state)
{
	struct fixture *f = *state;
	uv_loop_t loop;
	struct buf b = BUF_INIT;
	struct error e = { 0 };

	database_close(f->db);
	assert_int_equal(uv_loop_init(&loop), 0);
	f->db = database_open(f->path, &loop, &e);
	assert_non_null(f->db);
	database_put_event(f->db, 1, "one");
	uv_run(&loop, UV_RUN_NOWAIT);
	sqlite3 *raw; /* the file is locked: look at a copy */
	char copy[128], command[400];
	snprintf(copy, sizeof(copy), "%s/copy.db", f->folder);
	for (int i = 0; i < 2; i++) {
		struct buf content = BUF_INIT;
		snprintf(command, sizeof(command), "%s%s", f->path, i == 0 ? "" : "-wal");
		assert_true(file_read(command, 64 << 20, &content, &e));
		snprintf(command, sizeof(command), "%s%s", copy, i == 0 ? "" : "-wal");
		assert_true(file_write_atomic(command, content.data, content.len, 0600, &e));
		buf_free(&content);
	}
	sqlite3_stmt *s;
	assert_int_equal(sqlite3_open(copy, &raw), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(raw, "SELECT count(*) FROM event", -1, &s, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(s, 0), 1);
	sqlite3_finalize(s);
	sqlite3_close(raw);
	database_close(f->db);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	open_it(f);
	buf_free(&b);
}

/* ---- kill -9 ---- */

/* Writes pairs of entities from number `from` on, and says each number once it is committed. */
static _Noreturn void write_until_killed(const char *path, uint32_t from, int out)
{
	struct database *db = database_open(path, NULL, NULL);

	if (db == NULL) {
		_exit(1);
	}
	for (uint32_t i = from;; i++) {
		char first[32], second[32];
		snprintf(first, sizeof(first), "a-%u", i);
		snprintf(second, sizeof(second), "b-%u", i);
		database_begin(db);
		put(db, first, NULL, "x");
		database_put_ref(db, &(struct database_ref){ "host-1", first, first });
		put(db, second, NULL, "x");
		if (!database_commit(db, NULL)) {
			_exit(2);
		}
		if (write(out, &i, sizeof(i)) != (ssize_t)sizeof(i)) {
			_exit(3);
		}
	}
}

/* Last number that the child said before it was killed, or `none`. */
static uint32_t run_and_kill(const char *path, uint32_t from)
{
	int ends[2];
	uint32_t i, last = from - 1;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		write_until_killed(path, from, ends[1]);
	}
	close(ends[1]);
	uint8_t how_many;
	random_bytes(&how_many, sizeof(how_many));
	for (unsigned n = how_many % 8; n > 0 && read(ends[0], &i, sizeof(i)) > 0; n--) {
		last = i;
	}
	uint16_t pause_us;
	random_bytes(&pause_us, sizeof(pause_us));
	struct timespec pause = { .tv_nsec = (pause_us % 5000) * 1000L };
	ppoll(NULL, 0, &pause, NULL);
	kill(child, SIGKILL);
	while (read(ends[0], &i, sizeof(i)) == (ssize_t)sizeof(i)) {
		last = i;
	}
	close(ends[0]);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	return last;
}

struct tally {
	uint32_t n_first, n_second, max;
};

static void count(void *arg, const struct database_entity *entity)
{
	struct tally *t = arg;
	uint32_t number = (uint32_t)strtoul(entity->id + 2, NULL, 10);

	t->n_first += entity->id[0] == 'a';
	t->n_second += entity->id[0] == 'b';
	t->max = number > t->max ? number : t->max;
}

static void count_ref(void *arg, const struct database_ref *ref,
		      const struct database_entity *entity)
{
	(void)ref;
	(void)entity;
	++*(uint32_t *)arg;
}

static void test_kill(void **state)
{
	struct fixture *f = *state;
	uint32_t next = 1;

	for (int round = 0; round < 50; round++) {
		database_close(f->db);
		f->db = NULL;
		uint32_t last = run_and_kill(f->path, next);
		open_it(f);
		struct tally t = { 0 };
		uint32_t n_refs = 0;
		assert_true(database_each_entity(f->db, NULL, count, &t, NULL));
		assert_true(database_each_ref(f->db, "host-1", count_ref, &n_refs, NULL));
		assert_true(t.max >= last);	/* what was said is there */
		assert_true(t.max <= last + 1); /* and at most what was not said yet */
		assert_int_equal(t.n_first, t.max);
		assert_int_equal(t.n_second, t.max);
		assert_int_equal(n_refs, t.max);
		next = t.max + 1;
	}
	assert_true(next > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_entities, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rollback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failed_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refs_and_hosts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_history_and_facts, setup, teardown),
		cmocka_unit_test(test_structure),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test(test_no_database),
		cmocka_unit_test_setup_teardown(test_end_of_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kill, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
