/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of a port, out of a switch and into it, by a worker whose loop does not run. */
#include "switch/switch_move.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "switch/connection.h"
#include "switch/dpdk_test.h"
#include "switch/switch_impl.h"
#include "switch/worker_impl.h"

enum {
	FLOWS = 64,
};

static const char document[] =
	"{\"ports\":["
	"{\"name\":\"a\",\"kind\":\"vhost\",\"path\":\"/a\",\"segment\":\"blue\","
	" \"mac\":\"02:00:00:00:00:0a\",\"addresses\":[\"10.1.0.10\"],\"flows\":2},"
	"{\"name\":\"b\",\"kind\":\"vhost\",\"path\":\"/b\",\"segment\":\"blue\","
	" \"mac\":\"02:00:00:00:00:0b\",\"addresses\":[\"10.1.0.11\"]},"
	"{\"name\":\"u\",\"kind\":\"vhost\",\"path\":\"/u\"}],"
	"\"teams\":[{\"name\":\"up\",\"ports\":[\"u\"],\"mac\":\"02:00:00:00:01:01\"}],"
	"\"segments\":[{\"name\":\"blue\"}]}";

static struct rte_mempool *pool;
static struct softswitch sw;
static struct flow_table *flows;

static uint16_t index_of(void *arg, const char *name)
{
	(void)arg;
	return flow_iface(flows, name);
}

static int set_up(void **state)
{
	struct iface_index index = { index_of, NULL };
	uint16_t devices[CONFIG_PORTS_MAX], n_queues[CONFIG_PORTS_MAX] = { 0 };
	uint32_t n_adopted;
	struct error e;

	(void)state;
	memset(devices, 0xff, sizeof(devices));
	sw = (struct softswitch){ .n_workers = 1, .learned = learned_new(), .seen = seen_new() };
	flows = flow_table_open(NULL, FLOWS, worker_tick(), &n_adopted, &e);
	struct worker_options o = { .pool = pool,
				    .flows = flows,
				    .learned = sw.learned,
				    .seen = sw.seen,
				    .tick = worker_tick() };
	sw.workers[0] = worker_new(&o);
	struct json_object *text = json_parse(document, strlen(document), 1 << 16, 32, &e);
	struct json_at root = json_root(text);
	struct switch_config *c = switch_config_read(&root, &e);
	json_object_put(text);
	struct tables *t = c == NULL ? NULL : tables_new(c, 7, &index, &e);
	if (t == NULL) {
		return -1;
	}
	sw.wiring = wiring_new(t, devices, n_queues);
	wiring_follow(sw.wiring, NULL);
	sw.workers[0]->wiring = sw.wiring;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	worker_free(sw.workers[0]); /* and its wiring */
	flow_table_close(flows);
	learned_free(sw.learned);
	seen_free(sw.seen);
	return 0;
}

static struct json_object *connection(int port, bool is_begun_here)
{
	struct json_object *o = json_object_new_object(), *ends = json_object_new_array(), *end[2];

	for (int i = 0; i < 2; i++) {
		bool is_own = is_begun_here == (i == 0);
		end[i] = json_object_new_object();
		json_put_str(end[i], "address", is_own ? "10.1.0.10" : "10.1.0.11");
		json_put_i64(end[i], "port", i == 0 ? port : 22);
		json_put_i64(end[i], "packets", 3 + i);
		json_put_i64(end[i], "bytes", 300 + i);
		json_put_i64(end[i], "sent", 1000 + i);
		json_put_i64(end[i], "edge", 2000 + i);
		if (!is_own) {
			json_put_str(end[i], "mac", "02:00:00:00:00:0b");
		}
		json_object_array_add(ends, end[i]);
	}
	json_put_i64(o, "protocol", 6);
	json_put_bool(o, "replied", true);
	json_put_i64(o, "ends_in_ms", 43200000);
	json_put_str(o, "state", "open");
	json_put_i64(o, "fins", 0);
	struct json_object *scales = json_object_new_array();
	json_object_array_add(scales, json_object_new_int(7));
	json_object_array_add(scales, json_object_new_int(15));
	json_put(o, "scales", scales);
	json_put(o, "ends", ends);
	return o;
}

/* How many were taken; of those left, how many for that reason. Takes the list over. */
static uint64_t import(struct json_object *list, const char *why, uint64_t *left)
{
	struct json_at at = json_root(list), counts;
	struct error e = { 0 };
	uint64_t taken = 0;
	struct json_object *o = switch_connections_import(&sw, "a", &at, &e);

	if (o == NULL) {
		fail_msg("%s", e.msg);
	}
	struct json_at root = json_root(o);
	assert_true(json_get_u64(&root, "taken", &taken, &e));
	assert_true(json_get_object(&root, "left", &counts, &e));
	*left = 0;
	if (why != NULL) {
		assert_true(json_get_u64(&counts, why, left, &e));
	}
	json_object_put(o);
	json_object_put(list);
	return taken;
}

static void what_comes_is_a_record_that_is_to_be_judged(void **state)
{
	struct json_object *list = json_object_new_array();
	struct error e;
	uint64_t left;

	(void)state;
	json_object_array_add(list, connection(1, true));
	json_object_array_add(list, connection(2, false));
	json_object_array_add(list, connection(1, true)); /* replaces the first */
	assert_int_equal(import(list, NULL, &left), 3);
	assert_int_equal(flow_count(flows), 2);
	assert_int_not_equal(flow_at(flows, 0)->epoch, sw.wiring->epoch);
	/* And goes as it came. */
	struct json_object *o = switch_connections_export(&sw, "a", 0, &e);
	struct json_object *got, *first = connection(1, true);
	assert_true(json_object_object_get_ex(o, "connections", &got));
	assert_int_equal(json_object_array_length(got), 2);
	got = json_object_array_get_idx(got, 0);
	json_object_object_del(got, "ends_in_ms");
	json_object_object_del(first, "ends_in_ms");
	assert_true(json_object_equal(got, first));
	json_object_put(first);
	json_object_put(o);
}

static void a_ports_quota_holds(void **state)
{
	struct json_object *list = json_object_new_array();
	uint64_t left;

	(void)state;
	for (int i = 0; i < 4; i++) {
		json_object_array_add(list, connection(10 + i, true));
	}
	assert_int_equal(import(list, "flow_quota", &left), 2);
	assert_int_equal(left, 2);
	list = json_object_new_array();
	json_object_array_add(list, connection(20, false)); /* the other one began it */
	assert_int_equal(import(list, NULL, &left), 1);
}

static void refused(const char *port, struct json_object *list, const char *why)
{
	struct json_at at = json_root(list);
	struct error e = { 0 };

	assert_null(switch_connections_import(&sw, port, &at, &e));
	if (strstr(e.msg, why) == NULL) {
		fail_msg("\"%s\" where \"%s\" is wanted", e.msg, why);
	}
	assert_int_equal(flow_count(flows), 0);
	json_object_put(list);
}

static void what_is_refused_changes_nothing(void **state)
{
	struct json_object *bad = connection(2, true), *list = json_object_new_array();
	struct error e;

	(void)state;
	json_object_object_del(bad, "state");
	json_object_array_add(list, connection(1, true));
	json_object_array_add(list, bad);
	refused("a", json_object_get(list), "state");
	json_object_put(list);
	refused("x", json_object_new_array(), "no port \"x\"");
	refused("u", json_object_new_array(), "a team's");
	list = json_object_new_array();
	for (int i = 0; i <= CONNECTION_PORTION; i++) {
		json_object_array_add(list, json_object_new_object());
	}
	refused("a", list, "1001 at once");
	assert_null(switch_connections_export(&sw, "x", 0, &e));
}

static int begin(void **state)
{
	(void)state;
	pool = dpdk_test_begin(63, 32);
	return pool == NULL ? -1 : 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_comes_is_a_record_that_is_to_be_judged, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_ports_quota_holds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_refused_changes_nothing, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, begin, NULL);
}
