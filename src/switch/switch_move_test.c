/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of a port, out of a switch and into it, by a worker whose loop does not run. */
#include "switch/switch_move.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "switch/connection.h"
#include "switch/dpdk_test.h"
#include "switch/explain.h"
#include "switch/switch_impl.h"
#include "switch/worker_impl.h"

enum {
	FLOWS = 64,
	PORT_A = 0, /* in the document's order */
	PORT_B,
	PORT_U,
	PORT_C,
};

static const char document[] =
	"{\"ports\":["
	"{\"name\":\"a\",\"kind\":\"vhost\",\"path\":\"/a\",\"segment\":\"blue\","
	" \"mac\":\"02:00:00:00:00:0a\",\"addresses\":[\"10.1.0.10\"],\"flows\":2},"
	"{\"name\":\"b\",\"kind\":\"vhost\",\"path\":\"/b\",\"segment\":\"blue\","
	" \"mac\":\"02:00:00:00:00:0b\",\"addresses\":[\"10.1.0.11\"]},"
	"{\"name\":\"u\",\"kind\":\"vhost\",\"path\":\"/u\"},"
	"{\"name\":\"c\",\"kind\":\"vhost\",\"path\":\"/c\",\"segment\":\"blue\","
	" \"mac\":\"02:00:00:00:00:0c\",\"guard\":{\"any_address\":true}}],"
	"\"teams\":[{\"name\":\"up\",\"ports\":[\"u\"],\"mac\":\"02:00:00:00:01:01\"}],"
	"\"segments\":[{\"name\":\"blue\",\"team\":\"up\",\"vlan\":5}]}";

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

/* The record under other keys: end 0 has that address, there. */
static struct flow *move_record(struct flow *f, uint32_t address, uint16_t iface)
{
	struct flow was = *f;
	struct flow_key k;

	flow_remove(flows, f);
	was.iface[0] = iface;
	was.address[0] = address;
	was.epoch = (uint16_t)sw.wiring->epoch;
	flow_key_of(&was, 0, &k);
	f = flow_insert(flows, &k, flow_hash(flows, &k), was.iface[1], was.expires);
	was.next = f->next;
	was.previous = f->previous;
	*f = was;
	return f;
}

/* As it is for a guest that was behind the uplink until now. */
static void put_behind_uplink(void)
{
	struct flow *f = flow_at(flows, 0);

	(void)move_record(f, f->address[0], flow_iface(flows, "segment blue"));
}

/* From a to b, port 1 to 22: an acknowledgement with no data. */
static const uint8_t ack[60] = "\x02\0\0\0\0\x0b\x02\0\0\0\0\x0a\x08\0"
			       "\x45\0\0\x28\0\1\0\0\x40\6\x66\xb9\x0a\1\0\x0a\x0a\1\0\x0b"
			       "\0\1\0\x16\0\0\3\xe8\0\0\3\xe9\x50\x10\x20\0";

static void hear(void *arg, const char *stage, const char *text)
{
	bool *has_told = arg;

	*has_told |= strcmp(stage, "flow") == 0 && strstr(text, "moved here") != NULL;
}

static struct fate explain_ack(bool *has_told_of_move)
{
	struct fate_trace trace = { hear, has_told_of_move };
	struct fate fate = { 0 };
	struct explain_input in = { .tables = sw.wiring->tables,
				    .learned = sw.learned,
				    .fragments = worker_fragments(sw.workers[0]),
				    .seen = sw.seen,
				    .flows = flows,
				    .frame = ack,
				    .n = sizeof(ack),
				    .size = sizeof(ack),
				    .now = worker_tick(),
				    .trace = &trace };

	*has_told_of_move = false;
	explain_frame(&in, &fate);
	return fate;
}

/* The worker takes a packet; how many leave by b's port. */
static unsigned take(const uint8_t *frame, const char *iface, uint16_t port)
{
	struct worker *w = sw.workers[0];
	struct item it = { .mbuf = rte_pktmbuf_alloc(pool),
			   .key.iface = flow_iface(flows, iface),
			   .port = port };
	struct out *o = &w->out[PORT_B];

	memcpy(rte_pktmbuf_append(it.mbuf, sizeof(ack)), frame, sizeof(ack));
	worker_take_whole_way(w, &it);
	unsigned n = o->n;
	rte_pktmbuf_free_bulk(o->packets, n);
	o->n = 0;
	return n;
}

static void who_has_moved_here_takes_its_connection_along(void **state)
{
	struct json_object *list = json_object_new_array();
	bool has_told;
	uint64_t left;

	(void)state;
	/* Nothing is known of it, and a connection begins in the midst. */
	struct fate fate = explain_ack(&has_told);
	assert_int_equal(fate.reason, DROP_NONE);
	assert_false(has_told);
	json_object_array_add(list, connection(1, true));
	assert_int_equal(import(list, NULL, &left), 1);
	put_behind_uplink();
	fate = explain_ack(&has_told);
	assert_int_equal(fate.reason, DROP_NONE);
	assert_true(has_told);
	assert_int_equal(fate.out.iface, flow_iface(flows, "port b"));
	assert_int_equal(flow_at(flows, 0)->iface[0], flow_iface(flows, "segment blue"));
	assert_int_equal(take(ack, "port a", PORT_A), 1);
	assert_int_equal(flow_count(flows), 1);
	const struct flow *f = flow_at(flows, 0) == NULL ? flow_at(flows, 1) : flow_at(flows, 0);
	assert_int_equal(f->iface[0], flow_iface(flows, "port a"));
	assert_int_equal(f->packets[0], 4);
	assert_int_equal(f->epoch, sw.wiring->epoch);
	fate = explain_ack(&has_told);
	assert_int_equal(fate.reason, DROP_NONE);
	assert_false(has_told);
}

static void who_is_elsewhere_takes_nothing_along(void **state)
{
	struct json_object *list = json_object_new_array();
	uint64_t left;

	(void)state;
	/* By the uplink comes what bears the address of the port's guest: a is known to be here. */
	json_object_array_add(list, connection(1, true));
	assert_int_equal(import(list, NULL, &left), 1);
	assert_int_equal(take(ack, "segment blue", PORT_U), 1);
	assert_int_equal(flow_at(flows, 0)->iface[0], flow_iface(flows, "port a"));
	assert_int_equal(flow_at(flows, 0)->packets[0], 3);
}

static void nobody_takes_anothers_along(void **state)
{
	struct json_object *list = json_object_new_array();
	uint8_t forged[sizeof(ack)];
	uint64_t left;

	(void)state;
	json_object_array_add(list, connection(1, true));
	assert_int_equal(import(list, NULL, &left), 1);
	put_behind_uplink();
	/* Nobody's whose address is listed; c bears it. */
	struct flow *f = flow_at(flows, 0);
	f = move_record(f, htonl(0x0a010063), f->iface[0]);
	memcpy(forged, ack, sizeof(ack));
	forged[11] = 0x0c;
	forged[29] = 0x63;
	forged[25] -= 0x63 - 0x0a; /* the checksum */
	assert_int_equal(take(forged, "port c", PORT_C), 1);
	assert_int_equal(flow_count(flows), 2);
	assert_int_equal(f->iface[0], flow_iface(flows, "segment blue"));
	assert_int_equal(f->packets[0], 3);
	/* What goes to the other end is his still. */
	assert_int_equal(flow_count_of(flows, f->iface[0]), 1);
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
		cmocka_unit_test_setup_teardown(who_has_moved_here_takes_its_connection_along,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_takes_anothers_along, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_is_elsewhere_takes_nothing_along, set_up,
						tear_down),
	};
	return cmocka_run_group_tests(tests, begin, NULL);
}
