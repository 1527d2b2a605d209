/* SPDX-License-Identifier: Apache-2.0 */
#include "host/node.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"

struct fixture {
	char folder[64];
};

static int set_up(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));
	snprintf(f->folder, sizeof(f->folder), "/tmp/node_test_XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	file_remove_tree_at(AT_FDCWD, f->folder, NULL);
	free(f);
	return 0;
}

static void put(const char *folder, const char *name, const char *text)
{
	char *path = mem_printf("%s/%s", folder, name);
	assert_true(file_write_atomic(path, text, strlen(text), 0600, NULL));
	free(path);
}

static const char good_node[] =
	"{\"uuid\":\"4c4c4544-0058-4b10-8051-b7c04f315a33\",\"name\":\"dpu-1\",\"role\":\"dpu\","
	"\"address\":\"127.0.10.12\",\"port\":8443,\"cpus\":1,\"memory_mib\":2048,"
	"\"server_uuid\":\"00112233-4455-6677-8899-aabbccddeeff\",\"link\":\"/lab/link\"}";

static void test_reads_and_writes_a_node(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	struct node n, again;
	put(f->folder, "node.json", good_node);
	assert_true(node_load(f->folder, &n, &e));
	assert_string_equal(n.name, "dpu-1");
	assert_int_equal(n.role, NODE_DPU);
	assert_string_equal(node_role_name(n.role), "dpu");
	assert_int_equal(n.port, 8443);
	assert_int_equal(n.memory_mib, 2048);
	assert_string_equal(n.link, "/lab/link");
	assert_true(node_save(f->folder, &n, &e));
	assert_true(node_load(f->folder, &again, &e));
	assert_memory_equal(&n, &again, sizeof(n));
	n.cpus = 0;
	assert_false(node_save(f->folder, &n, &e));
}

static void test_keeps_the_network(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	struct node n, again;
	char mac[18], other[18];

	put(f->folder, "node.json", good_node);
	assert_true(node_load(f->folder, &n, &e));
	n.n_uplinks = 2;
	n.uplinks[0] = (struct node_uplink){ .kind = "memif", .path = "/lab/a.sock", .id = 7 };
	n.uplinks[1] = (struct node_uplink){ .kind = "stream", .path = "/b", .server = true };
	snprintf(n.endpoint, sizeof(n.endpoint), "10.255.0.12/24");
	snprintf(n.endpoint_gateway, sizeof(n.endpoint_gateway), "10.255.0.1");
	n.flows = 65536;
	snprintf(n.plane_cpus, sizeof(n.plane_cpus), "0-1,4");
	assert_int_equal(node_functions(&n), NODE_FUNCTIONS);
	n.has_functions = true; /* and none of them */
	assert_true(node_save(f->folder, &n, &e));
	assert_true(node_load(f->folder, &again, &e));
	assert_memory_equal(&n, &again, sizeof(n));
	assert_int_equal(node_functions(&again), 0);
	n.functions = 16;
	assert_int_equal(node_functions(&n), 16);
	n.role = NODE_SERVER;
	assert_int_equal(node_functions(&n), 0);
	node_function_mac(&n, 0, mac);
	node_function_mac(&n, 1, other);
	assert_string_not_equal(mac, other);
	node_uplink_mac(&n, 0, mac);
	node_uplink_mac(&n, 1, other);
	assert_string_not_equal(mac, other);
	snprintf(n.endpoint, sizeof(n.endpoint), "10.255.0.12");
	assert_false(node_save(f->folder, &n, &e));
}

static void test_refuses_bad_nodes(void **state)
{
	struct fixture *f = *state;
	static const char *const changes[][2] = {
		{ "\"port\":8443", "\"port\":0" },
		{ "\"port\":8443", "\"port\":65536" },
		{ "\"port\":8443", "\"port\":\"8443\"" },
		{ "\"port\":8443", "\"port\":8443,\"extra\":1" },
		{ "\"cpus\":1", "\"cpus\":1,\"endpoint\":\"10.0.0.1/24\"" },
		{ "\"cpus\":1", "\"cpus\":1,\"flows\":1000" },
		{ "\"cpus\":1", "\"cpus\":1,\"functions\":257" },
		{ "\"cpus\":1", "\"cpus\":1,\"plane_cpus\":\"some\"" },
		{ "\"cpus\":1", "\"cpus\":1,\"plane_cpus\":1" },
		{ "\"cpus\":1", "\"cpus\":1,\"uplinks\":[{\"kind\":\"pipe\",\"path\":\"x\"}]" },
		{ "\"cpus\":1", "\"cpus\":1,\"uplinks\":[{\"kind\":\"tap\"}]" },
		{ "\"cpus\":1", "\"cpus\":0" },
		{ "\"cpus\":1", "\"cpus\":-1" },
		{ "\"cpus\":1", "\"cpus\":1.5" },
		{ "\"cpus\":1,", "" },
		{ "\"memory_mib\":2048", "\"memory_mib\":99999999999999" },
		{ "\"role\":\"dpu\"", "\"role\":\"king\"" },
		{ "\"dpu-1\"", "\"\"" },
		{ "\"dpu-1\"", "\"a/b\"" },
		{ "127.0.10.12", "localhost" },
		{ "4c4c4544-", "4c4c454-" },
		{ "/lab/link", "lab/link" },
		{ "}", "" },
	};
	struct node n;
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		const char *at = strstr(good_node, changes[i][0]);
		char *text = mem_printf("%.*s%s%s", (int)(at - good_node), good_node, changes[i][1],
					at + strlen(changes[i][0]));
		struct error e = { 0 };
		put(f->folder, "node.json", text);
		if (node_load(f->folder, &n, &e)) {
			fail_msg("taken: %s", text);
		}
		assert_int_not_equal(e.kind, ERROR_NONE);
		assert_int_not_equal(e.kind, ERROR_NOT_FOUND);
		free(text);
	}
	struct error e = { 0 };
	assert_false(node_load("/nonexistent", &n, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
}

static struct card *make_card(void)
{
	struct card *c = mem_zalloc(sizeof(*c));
	snprintf(c->dpu_id, sizeof(c->dpu_id), "dpu-1");
	snprintf(c->uuid, sizeof(c->uuid), "4c4c4544-0058-4b10-8051-b7c04f315a33");
	snprintf(c->model, sizeof(c->model), "BlueField-2");
	c->n_functions = 2;
	c->functions[0] = (struct card_function){
		.name = "net-0",
		.mac = "02:00:00:00:00:01",
		.card = "52000000-0000-4000-8000-000000000001.4000",
		.is_up = true,
		.n_addresses = 2,
		.addresses = { "10.1.0.21", "fe80::1" },
	};
	c->functions[1] = (struct card_function){ .kind = CARD_BLOCK,
						  .name = "blk-17",
						  .volume = "boot of server-1" };
	return c;
}

static void test_card_round_trip(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	struct card *c = make_card(), *again = mem_zalloc(sizeof(*again));
	assert_true(card_write(f->folder, c, &e));
	assert_true(card_read(f->folder, again, &e));
	assert_memory_equal(c, again, sizeof(*c));
	c->functions[1].name[0] = 'x';
	assert_false(card_write(f->folder, c, &e));
	assert_true(card_read(f->folder, again, &e));
	free(c);
	free(again);
}

static void assert_card_refused(const struct fixture *f, const char *functions)
{
	struct error e = { 0 };
	struct card *c = mem_zalloc(sizeof(*c));
	char *text = mem_printf("{\"dpu_id\":\"d\",\"uuid\":\"4c4c4544-0058-4b10-8051-b7c04f315a33"
				"\",\"model\":\"m\",\"functions\":%s}",
				functions);
	put(f->folder, "card.json", text);
	if (card_read(f->folder, c, &e)) {
		fail_msg("taken: %s", text);
	}
	assert_string_equal(c->dpu_id, "");
	free(text);
	free(c);
}

static void test_refuses_hostile_cards(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	assert_card_refused(f, "{}");
	assert_card_refused(f, "[1]");
	assert_card_refused(f, "[{\"name\":\"net-0\",\"kind\":\"net\"}]");
	assert_card_refused(f,
			    "[{\"name\":\"../x\",\"kind\":\"net\",\"mac\":\"02:00:00:00:00:01\"}]");
	assert_card_refused(
		f, "[{\"name\":\"net-00\",\"kind\":\"net\",\"mac\":\"02:00:00:00:00:01\"}]");
	assert_card_refused(
		f, "[{\"name\":\"blk-0\",\"kind\":\"net\",\"mac\":\"02:00:00:00:00:01\"}]");
	assert_card_refused(
		f, "[{\"name\":\"net-0\",\"kind\":\"net\",\"mac\":\"03:00:00:00:00:01\"}]");
	assert_card_refused(
		f, "[{\"name\":\"net-0\",\"kind\":\"net\",\"mac\":\"00:00:00:00:00:00\"}]");
	assert_card_refused(f, "[{\"name\":\"net-0\",\"kind\":\"net\",\"volume\":\"v\"}]");
#define NET(n, more)                                                                               \
	"{\"name\":\"net-" n "\",\"kind\":\"net\",\"mac\":\"02:00:00:00:00:0" n "\"," more "}"
#define USER "\"card\":\"52000000-0000-4000-8000-000000000001.4000\""
	assert_card_refused(f, "[" NET("1", "\"card\":\"52000000\"") "]");
	assert_card_refused(
		f, "[" NET("1", "\"card\":\"52000000-0000-4000-8000-000000000001.x\"") "]");
	assert_card_refused(f, "[" NET("1", USER) "," NET("2", USER) "]");
	assert_card_refused(f, "[" NET("1", USER ",\"addresses\":[\"10.1\"]") "]");
	assert_card_refused(f, "[" NET("1", USER ",\"addresses\":[1]") "]");
	assert_card_refused(f, "[" NET("1", USER ",\"addresses\":[\"::1\",\"::2\",\"::3\",\"::4\","
						 "\"::5\"]") "]");
	assert_card_refused(f, "[" NET("1", USER ",\"up\":1") "]");
#undef NET
#undef USER
	assert_card_refused(f, "[{\"name\":\"blk-0\",\"kind\":\"blk\",\"volume\":\"\"}]");
	assert_card_refused(f, "[{\"name\":\"blk-0\",\"kind\":\"blk\",\"volume\":\"a\"},"
			       "{\"name\":\"blk-0\",\"kind\":\"blk\",\"volume\":\"b\"}]");
	struct buf b = BUF_INIT;
	for (int i = 0; i <= CARD_FUNCTIONS_MAX; i++) {
		buf_addf(&b, "%c{\"name\":\"blk-%d\",\"kind\":\"blk\",\"volume\":\"v\"}",
			 i > 0 ? ',' : '[', i);
	}
	buf_addc(&b, ']');
	assert_card_refused(f, b.data);
	while (b.len <= CARD_FILE_MAX) {
		buf_adds(&b, "                                ");
	}
	assert_card_refused(f, b.data);
	buf_free(&b);
	struct card *c = mem_zalloc(sizeof(*c));
	assert_false(card_read("/nonexistent", c, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	char *path = mem_printf("%s/card.json", f->folder);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_false(card_read(f->folder, c, &e));
	unlink(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_false(card_read(f->folder, c, &e));
	free(path);
	free(c);
}

/* What a watch told, and what the test does next. */
struct watcher {
	const struct fixture *f;
	struct card_watch *watch;
	unsigned n_calls, n_cards;
	char model[128];
};

static void on_changed(void *arg, const struct card *card, const struct error *why)
{
	struct watcher *w = arg;
	char *link = mem_printf("%s/link", w->f->folder);
	struct card *c = make_card();
	w->n_calls++;
	w->n_cards += card != NULL;
	assert_true((card == NULL) != (why == NULL));
	if (w->n_calls == 1) { /* there is no folder yet: make it, with a card */
		assert_null(card);
		assert_int_equal(mkdir(link, 0700), 0);
		assert_true(card_write(link, c, NULL));
	} else if (w->n_calls == 2) {
		assert_non_null(card);
		assert_string_equal(card->model, "BlueField-2");
		snprintf(c->model, sizeof(c->model), "BlueField-3");
		assert_true(card_write(link, c, NULL));
	} else if (w->n_calls == 3) {
		assert_string_equal(card->model, "BlueField-3");
		put(link, "card.json", "{");
	} else {
		assert_null(card);
		card_watch_free(w->watch);
	}
	free(c);
	free(link);
}

static void test_watches_a_card(void **state)
{
	struct fixture *f = *state;
	uv_loop_t loop;
	struct watcher w = { .f = f };
	char *link = mem_printf("%s/link", f->folder);
	uv_loop_init(&loop);
	struct card_watch_config c = {
		.loop = &loop, .link = link, .recheck_ms = 20, .changed = on_changed, .arg = &w
	};
	w.watch = card_watch_new(&c);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(w.n_calls, 4);
	assert_int_equal(w.n_cards, 2);
	assert_int_equal(uv_loop_close(&loop), 0);
	free(link);
}

static void test_hears_of_changes_at_once(void **state)
{
	struct fixture *f = *state;
	uv_loop_t loop;
	struct watcher w = { .f = f };
	char *link = mem_printf("%s/link", f->folder);
	assert_int_equal(mkdir(link, 0700), 0);
	struct card *first = make_card();
	assert_true(card_write(link, first, NULL));
	uv_loop_init(&loop);
	w.n_calls = 1; /* the folder is there already */
	struct card_watch_config c = { .loop = &loop,
				       .link = link,
				       .recheck_ms = 3600000, /* events alone must do */
				       .changed = on_changed,
				       .arg = &w };
	w.watch = card_watch_new(&c);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(w.n_calls, 4);
	assert_int_equal(uv_loop_close(&loop), 0);
	free(first);
	free(link);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_reads_and_writes_a_node),  TEST(test_keeps_the_network),
		TEST(test_refuses_bad_nodes),	     TEST(test_card_round_trip),
		TEST(test_refuses_hostile_cards),    TEST(test_watches_a_card),
		TEST(test_hears_of_changes_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
