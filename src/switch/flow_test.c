/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/flow.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macro.h"
#include "base/mem.h"
#include "switch/flow_hot.h"

static uint64_t seed = 1;

static uint32_t draw(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

/* The i-th of many keys; each third one is IPv6. */
static struct flow_key key(uint32_t i)
{
	struct flow_key k = { .src = 0x0a000000 + i,
			      .dst = 0x0b000000 + i / 3,
			      .sport = (uint16_t)(i * 7),
			      .dport = 80,
			      .iface = (uint16_t)(1 + i % 5),
			      .proto = i % 2 == 0 ? 6 : 17,
			      .ip = i % 3 == 0 ? 6 : 4 };

	if (k.ip == 6) {
		k.src_high[0] = 0xfd;
		k.dst_high[2] = i;
	}
	return k;
}

static uint16_t answer_iface(uint32_t i)
{
	return (uint16_t)(100 + i % 3);
}

static struct flow *insert(struct flow_table *t, uint32_t i, uint32_t expires)
{
	struct flow_key k = key(i);

	return flow_insert(t, &k, flow_hash(t, &k), answer_iface(i), expires);
}

static struct flow *find(struct flow_table *t, uint32_t i, unsigned direction)
{
	struct flow_key k = key(i);
	unsigned d = 7;

	if (direction == 1) {
		k = flow_key_reverse(&k, answer_iface(i));
	}
	uint64_t hash = flow_hash(t, &k);
	struct flow *f = flow_find(t, &k, hash, &d);
	unsigned confirmed = 7;
	assert_ptr_equal(flow_confirm(t, &k, hash, flow_guess(t, hash), &confirmed), f);
	if (f != NULL) {
		assert_int_equal(d, direction);
		assert_int_equal(confirmed, direction);
	}
	return f;
}

static struct flow_table *open_private(uint32_t n)
{
	struct error e;
	uint32_t n_adopted;
	struct flow_table *t = flow_table_open(NULL, n, 0, &n_adopted, &e);

	assert_non_null(t);
	assert_int_equal(n_adopted, 0);
	return t;
}

static void a_flow_is_found_by_both_directions(void **state)
{
	struct flow_table *t = open_private(64);

	(void)state;
	for (uint32_t i = 0; i < 6; i++) {
		struct flow *f = insert(t, i, 100);
		assert_non_null(f);
		assert_ptr_equal(find(t, i, 0), f);
		assert_ptr_equal(find(t, i, 1), f);
	}
	assert_null(find(t, 6, 0));
	struct flow_key other = key(0);
	other.iface = 77;
	unsigned d;
	assert_null(flow_find(t, &other, flow_hash(t, &other), &d));
	/* Keys 0 and 5 came in on interface 1, key 3 on interface 4. */
	assert_int_equal(flow_count_of(t, 1), 2);
	assert_int_equal(flow_count_of(t, 4), 1);
	assert_int_equal(flow_count_of(t, answer_iface(0)), 0);
	flow_remove(t, find(t, 3, 0));
	assert_int_equal(flow_count_of(t, 4), 0);
	assert_null(find(t, 3, 0));
	assert_null(find(t, 3, 1));
	assert_int_equal(flow_count(t), 5);
	flow_table_close(t);
}

static void fill(struct flow_table *t, uint32_t n_max)
{
	uint32_t n = 0;

	while (n < 2 * n_max && insert(t, n, 100) != NULL) {
		n++;
	}
	assert_int_equal(n, n_max); /* every record can be used */
	assert_int_equal(flow_count(t), n_max);
	for (uint32_t i = 0; i < n_max; i++) {
		assert_non_null(find(t, i, 0));
		assert_non_null(find(t, i, 1));
	}
}

static void a_full_table_says_so_and_goes_on(void **state)
{
	enum {
		N = 4096
	};
	struct flow_table *t = open_private(N);

	(void)state;
	fill(t, N);
	flow_remove(t, find(t, 9, 1));
	assert_non_null(insert(t, N + 1, 100));
	assert_null(insert(t, N + 2, 100));
	flow_table_close(t);
}

/* Of some tables in a hundred, each with a secret of its own, a key finds both of its buckets full:
 * others make room, and leave nothing where they were. */
static void every_secret_has_room_for_all(void **state)
{
	enum {
		N = 4096,
		TABLES = 150
	};

	(void)state;
	for (int round = 0; round < TABLES; round++) {
		struct flow_table *t = open_private(N);
		fill(t, N);
		for (uint32_t i = 0; i < N; i++) {
			flow_remove(t, find(t, i, i & 1));
		}
		for (uint32_t i = 0; i <= t->bucket_mask; i++) {
			assert_int_equal(t->buckets[i].n_away, 0);
			assert_int_equal(flow_candidates(&t->buckets[i], 0), 0xff);
		}
		flow_table_close(t);
	}
}

struct ended {
	uint32_t n;
	uint32_t last;
};

static void note_end(void *arg, struct flow *f)
{
	struct ended *ended = arg;

	ended->n++;
	ended->last = f->address[0] - 0x0a000000;
}

static void flows_end_when_unused(void **state)
{
	struct flow_table *t = open_private(1024);
	struct ended ended = { 0 };

	(void)state;
	insert(t, 1, 10);
	insert(t, 2, 20);
	insert(t, 3, 3 * FLOW_SLOTS); /* beyond the wheel */
	assert_int_equal(flow_age(t, 9, 100, note_end, &ended), 0);
	find(t, 1, 0)->expires = 15; /* used meanwhile */
	flow_age(t, 10, 100, note_end, &ended);
	assert_int_equal(ended.n, 0);
	flow_age(t, 15, 100, note_end, &ended);
	assert_int_equal(ended.n, 1);
	assert_int_equal(ended.last, 1);
	assert_null(find(t, 1, 0));
	flow_expire(t, find(t, 3, 0), 17); /* earlier than it was */
	flow_age(t, 17, 100, note_end, &ended);
	assert_int_equal(ended.last, 3);
	insert(t, 4, 10 * FLOW_SLOTS);
	flow_age(t, 8 * FLOW_SLOTS, 100, note_end, &ended); /* a clock that jumped */
	assert_int_equal(ended.n, 3);
	assert_non_null(find(t, 4, 1));
	flow_age(t, 10 * FLOW_SLOTS, 100, note_end, &ended);
	assert_int_equal(flow_count(t), 0);
	flow_table_close(t);
}

static void ageing_is_done_in_portions(void **state)
{
	struct flow_table *t = open_private(1024);
	struct ended ended = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		insert(t, i, 5);
	}
	assert_int_equal(flow_age(t, 6, 300, note_end, &ended), 300);
	assert_int_equal(ended.n, 300);
	assert_int_equal(flow_age(t, 6, 2000, note_end, &ended), 700);
	assert_int_equal(flow_count(t), 0);
	flow_table_close(t);
}

/* Random operations against an array that knows what should be there. */
static void the_table_is_what_a_model_says(void **state)
{
	enum {
		N = 512,
		KEYS = 700
	};
	struct flow_table *t = open_private(N);
	uint32_t expires[KEYS] = { 0 }, n = 0, now = 0;

	(void)state;
	for (int step = 0; step < 200000; step++) {
		uint32_t i = draw(KEYS), end = now + 1 + draw(60);
		bool is_there = expires[i] > now;
		switch (draw(8)) {
		case 0:
			now += draw(3);
			while (flow_age(t, now, 50, NULL, NULL) == 50) {
			}
			n = 0;
			for (uint32_t k = 0; k < KEYS; k++) {
				n += expires[k] > now;
			}
			assert_int_equal(flow_count(t), n);
			break;
		case 1:
			if (is_there) {
				flow_remove(t, find(t, i, draw(2)));
				expires[i] = 0;
				n--;
			}
			break;
		case 2:
			if (is_there) {
				flow_expire(t, find(t, i, 0), end);
				expires[i] = end;
			}
			break;
		default:
			assert_int_equal(find(t, i, draw(2)) != NULL, is_there);
			if (!is_there) {
				assert_int_equal(insert(t, i, end) != NULL, n < N);
				expires[i] = n < N ? end : 0;
				n += n < N;
			}
			break;
		}
	}
	flow_table_close(t);
}

/* ---- files ---- */

static char *new_path(void)
{
	char *path = mem_printf("/dev/shm/flow_test.%d", getpid());

	unlink(path);
	return path;
}

static struct flow_table *open_file(const char *path, uint32_t n, uint32_t *n_adopted)
{
	struct error e = { 0 };
	struct flow_table *t = flow_table_open(path, n, 0, n_adopted, &e);

	if (t == NULL) {
		fail_msg("%s", e.msg);
	}
	return t;
}

static void the_next_process_adopts(void **state)
{
	char *path = new_path();
	uint32_t n_adopted;
	struct flow_table *t = open_file(path, 1024, &n_adopted);

	(void)state;
	uint16_t iface = flow_iface(t, "vm-1:4000");
	assert_int_not_equal(iface, 0);
	assert_int_equal(flow_iface(t, "vm-1:4000"), iface);
	for (uint32_t i = 0; i < 100; i++) {
		insert(t, i, 50)->bytes[1] = i;
	}
	struct error e;
	assert_null(flow_table_open(path, 1024, 0, &n_adopted, &e));
	assert_int_equal(e.kind, ERROR_BUSY);
	flow_table_close(t);

	t = open_file(path, 1024, &n_adopted);
	assert_int_equal(n_adopted, 100);
	assert_string_equal(flow_iface_name(t, iface), "vm-1:4000");
	assert_null(flow_iface_name(t, (uint16_t)(iface + 1)));
	for (uint32_t i = 0; i < 100; i++) {
		assert_int_equal(find(t, i, 1)->bytes[1], i);
	}
	while (flow_age(t, 50, 10, NULL, NULL) > 0) {
	}
	assert_int_equal(flow_count(t), 0);
	flow_table_close(t);
	/* Another size: the old one is of no use. */
	t = open_file(path, 2048, &n_adopted);
	assert_int_equal(n_adopted, 0);
	flow_table_close(t);
	unlink(path);
	free(path);
}

/* A table is used while its records are still being adopted, and comes out as a model says. */
static void a_table_is_used_while_it_is_adopted(void **state)
{
	char *path = new_path();
	struct error e = { 0 };
	uint32_t n_adopted;
	bool is_there[900];

	(void)state;
	assert_null(flow_table_map(path, 1024, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	struct flow_table *t = open_file(path, 1024, &n_adopted);
	uint16_t iface = flow_iface(t, "vm-1:4000");
	flow_set_epoch(t, 17);
	for (uint32_t i = 0; i < 800; i++) {
		insert(t, i, 50);
	}
	for (uint32_t i = 0; i < 800; i += 3) {
		flow_remove(t, find(t, i, 0));
	}
	struct flow_table *next = flow_table_map(path, 1024, &e);
	assert_non_null(next);
	assert_int_equal(flow_iface_find(next, "vm-1:4000"), iface);
	assert_int_equal(flow_iface_find(next, "vm-2:4000"), 0);
	assert_false(flow_table_take(next, 0, 0, &e));
	assert_int_equal(e.kind, ERROR_BUSY);
	flow_table_close(t);
	assert_true(flow_table_take(next, 0, 0, &e));
	assert_int_equal(flow_epoch(next), 17);

	for (uint32_t i = 0; i < 900; i++) {
		is_there[i] = i < 800 && i % 3 != 0;
	}
	for (uint32_t n = 0; n < 20000; n++) {
		uint32_t i = draw(900);
		struct flow *f = find(next, i, n & 1);
		assert_int_equal(f != NULL, is_there[i]);
		if (f == NULL) {
			assert_non_null(insert(next, i, 50));
		} else if (draw(3) == 0) {
			flow_expire(next, f, 40);
			continue;
		} else {
			flow_remove(next, f);
		}
		is_there[i] = f == NULL;
		if (n % 16 == 0) {
			flow_adopt(next, 1);
		}
	}
	flow_adopt(next, 1024);
	uint32_t n = 0;
	for (uint32_t i = 0; i < 900; i++) {
		n += is_there[i];
	}
	assert_int_equal(flow_count(next), n);
	while (flow_age(next, 50, 10, NULL, NULL) > 0) {
	}
	assert_int_equal(flow_count(next), 0);
	for (uint32_t i = 0; i < 1024; i++) { /* all are free again */
		assert_non_null(insert(next, i, 50));
	}
	flow_table_close(next);
	assert_null(flow_table_map(path, 2048, &e));
	assert_int_equal(e.kind, ERROR_UNSUPPORTED);
	unlink(path);
	free(path);
}

static void another_layout_is_not_taken(void **state)
{
	char *path = new_path();
	struct error e = { 0 };
	uint32_t n_adopted, other = FLOW_LAYOUT_VERSION + 1;

	(void)state;
	flow_table_close(open_file(path, 1024, &n_adopted));
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, &other, 4, 8), 4);
	close(fd);
	assert_null(flow_table_map(path, 1024, &e));
	assert_int_equal(e.kind, ERROR_UNSUPPORTED);
	assert_non_null(strstr(e.msg, "layout"));
	unlink(path);
	free(path);
}

/* What the child writes down after each operation; the last one may be missing. */
struct journal {
	uint32_t n_done;
	uint8_t is_there[4096];
};

static _Noreturn void work_until_killed(const char *path, struct journal *j, uint64_t with)
{
	struct error e;
	uint32_t n_adopted;
	struct flow_table *t = flow_table_open(path, 2048, 0, &n_adopted, &e);

	seed = with;
	while (t != NULL) {
		uint32_t i = draw(1500);
		if (find(t, i, 0) == NULL) {
			insert(t, i, 1000);
			j->is_there[i] = 1;
		} else {
			j->is_there[i] = 0;
			flow_remove(t, find(t, i, 1));
		}
		__atomic_store_n(&j->n_done, j->n_done + 1, __ATOMIC_RELEASE);
	}
	_exit(1);
}

static void a_killed_process_loses_one_flow_at_most(void **state)
{
	char *path = new_path();
	struct journal *j =
		mmap(NULL, sizeof(*j), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	for (uint32_t round = 1; round <= 40; round++) {
		uint32_t from = j->n_done;
		pid_t child = fork();
		if (child == 0) {
			work_until_killed(path, j, round * 7919);
		}
		while (__atomic_load_n(&j->n_done, __ATOMIC_ACQUIRE) < from + 100 + round * 37) {
			sched_yield();
		}
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, NULL, 0), child);

		uint32_t n_adopted, n_wrong = 0, n = 0;
		struct flow_table *t = open_file(path, 2048, &n_adopted);
		for (uint32_t i = 0; i < 1500; i++) {
			bool found = find(t, i, 0) != NULL;
			n += found;
			n_wrong += found != j->is_there[i];
			j->is_there[i] = found;
		}
		assert_true(n_wrong <= 1);
		assert_in_range(n_adopted, n, n + 1); /* one may be whole, but out of the index */
		while (flow_age(t, 1000, 100, NULL, NULL) > 0) {
		}
		assert_int_equal(flow_count(t), 0);
		for (uint32_t i = 0; i < 1500; i++) {
			assert_null(find(t, i, 0));
			assert_null(find(t, i, 1));
			if (j->is_there[i]) {
				assert_non_null(insert(t, i, 1000));
			}
		}
		flow_table_close(t);
	}
	munmap(j, sizeof(*j));
	unlink(path);
	free(path);
}

static void what_is_no_table_is_refused(void **state)
{
	struct error e;
	uint32_t n_adopted;

	(void)state;
	assert_null(flow_table_open(NULL, 100, 0, &n_adopted, &e));
	assert_int_equal(e.kind, ERROR_INVALID);
	assert_null(flow_table_open("/nowhere/flows", 64, 0, &n_adopted, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
}

static bool keeps_ten(void *arg, uint16_t iface)
{
	(void)arg;
	return iface <= 10;
}

/* Numbers of ports that have gone are given to others once all are taken. */
static void names_are_given_back(void **state)
{
	struct error e;
	uint32_t n_adopted;
	struct flow_table *t = flow_table_open(NULL, 64, 0, &n_adopted, &e);
	struct flow_key k = { .iface = 20, .ip = 4, .proto = 17, .src = 1, .dst = 2 };
	char name[32];

	(void)state;
	assert_non_null(t);
	for (int i = 1; i < FLOW_IFACES_MAX; i++) {
		snprintf(name, sizeof(name), "port %d", i);
		assert_int_equal(flow_iface(t, name), i);
	}
	assert_int_equal(flow_iface(t, "one more"), 0);
	assert_non_null(flow_insert(t, &k, flow_hash(t, &k), 30, 100));
	assert_int_equal(flow_iface_reclaim(t, keeps_ten, NULL), FLOW_IFACES_MAX - 1 - 12);
	assert_string_equal(flow_iface_name(t, 10), "port 10");
	assert_string_equal(flow_iface_name(t, 20), "port 20");
	assert_null(flow_iface_name(t, 11));
	assert_int_equal(flow_iface_find(t, ""), 0);
	assert_int_equal(flow_iface(t, "one more"), 11);
	assert_int_equal(flow_iface(t, "port 30"), 30);
	assert_int_equal(flow_iface(t, "port 10"), 10);
	flow_table_close(t);
}

static void a_bucket_is_searched_at_once_as_one_by_one(void **state)
{
	_Alignas(64) struct flow_bucket b = { .n_away = 0 };

	(void)state;
	for (int round = 0; round < 100000; round++) {
		uint16_t signature = (uint16_t)draw(0x10000);
		for (unsigned i = 0; i < 8; i++) {
			b.signature[i] = draw(2) == 0 ? signature : (uint16_t)draw(0x10000);
		}
		assert_int_equal(flow_candidates(&b, signature),
				 flow_candidates_one_by_one(&b, signature));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket_is_searched_at_once_as_one_by_one),
		cmocka_unit_test(a_flow_is_found_by_both_directions),
		cmocka_unit_test(a_full_table_says_so_and_goes_on),
		cmocka_unit_test(every_secret_has_room_for_all),
		cmocka_unit_test(flows_end_when_unused),
		cmocka_unit_test(ageing_is_done_in_portions),
		cmocka_unit_test(the_table_is_what_a_model_says),
		cmocka_unit_test(the_next_process_adopts),
		cmocka_unit_test(a_table_is_used_while_it_is_adopted),
		cmocka_unit_test(another_layout_is_not_taken),
		cmocka_unit_test(a_killed_process_loses_one_flow_at_most),
		cmocka_unit_test(what_is_no_table_is_refused),
		cmocka_unit_test(names_are_given_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
