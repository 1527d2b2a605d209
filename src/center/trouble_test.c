/* SPDX-License-Identifier: Apache-2.0 */
/* The layer of hosts when things go wrong: a full database, hosts that go in the middle, two that
 * want to be the same, and what is no host at all. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "center/database_impl.h"
#include "center/hosts.h"
#include "center/hosts_rig.h"
#include "center/place.h"
#include "center/replica.h"

/* ---- a full database ---- */

static void limit_pages(const char *how)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %s", how);
	assert_int_equal(sqlite3_exec(t.c->db->sql, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* What the host does goes on and is shown; references last as soon as there is room. */
static void database_is_full(void **state)
{
	(void)state;
	struct object *system = add_remote(0, "h0", UUID_1);
	struct fake_host *h = t.host[0];
	char name[32], id[CENTER_ID_MAX];

	fake_host_add_vm(h, "a");
	wait_for(vm_here("a") != NULL);
	limit_pages("1"); /* as small as it is */
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "b%d", i);
		fake_host_add_vm(h, name);
	}
	wait_for(vm_here("b39") != NULL);
	call(vm_here("a"), M_VirtualMachine_PowerOnVM_Task, NULL);
	expect_ok();
	assert_int_equal(vm_power(vm_here("a")), E_VirtualMachinePowerState_poweredOn);
	begin(t.vms, M_Folder_CreateVM_Task, create_args("later", "[datastore1]", system));
	wait_for(t.is_answered && h->creating != NULL);
	fake_host_release(h);
	take_task();
	expect_ok();
	struct value *args = args_of(M_Folder_CreateFolder);
	value_set_str(t.a, args, A_Folder_CreateFolder_name, "sub");
	call(t.vms, M_Folder_CreateFolder, args);
	assert_non_null(t.fault); /* what is the manager's own is refused */

	limit_pages("1000000");
	fake_host_add_vm(h, "c");
	wait_for(vm_here("c") != NULL);
	snprintf(id, sizeof(id), "%s", object_id(vm_here("b39")));
	fake_host_stop(h);
	restart();
	assert_non_null(vm_here("b39"));
	assert_string_equal(object_id(vm_here("b39")), id);
	assert_non_null(vm_here("later"));
	assert_non_null(vm_here("c"));
	assert_int_equal(vm_power(vm_here("a")), E_VirtualMachinePowerState_poweredOn);
}

/* ---- what is no host ---- */

/* Listens, and answers nothing at all. */
static int mute_new(uint16_t *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(*port) };
	socklen_t len = sizeof(at);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	(void)s;
	(void)n;
	(void)buf;
}

static void on_alloc(uv_handle_t *h, size_t size, uv_buf_t *buf)
{
	static char scrap[4096];

	(void)h;
	(void)size;
	*buf = uv_buf_init(scrap, sizeof(scrap));
}

static struct {
	uv_tcp_t listener, peer;
	uv_write_t write;
	char noise[64 << 10];
	size_t n_sent;
	bool has_peer, is_over;
} noise;

static void on_sent(uv_write_t *w, int status)
{
	uv_buf_t buf = uv_buf_init(noise.noise, sizeof(noise.noise));

	noise.is_over = status != 0;
	if (status == 0) {
		noise.n_sent += sizeof(noise.noise);
		uv_write(w, (uv_stream_t *)&noise.peer, &buf, 1, on_sent);
	}
}

/* Sends without end. */
static void on_noise(uv_stream_t *s, int status)
{
	if (status != 0 || noise.has_peer) {
		return;
	}
	noise.has_peer = true;
	uv_tcp_init(&t.loop, &noise.peer);
	assert_int_equal(uv_accept(s, (uv_stream_t *)&noise.peer), 0);
	uv_read_start((uv_stream_t *)&noise.peer, on_alloc, on_read);
	on_sent(&noise.write, 0);
}

static void strangers_are_refused(void **state)
{
	(void)state;
	struct sockaddr_in at;
	int len = sizeof(at);

	t.host[0] = fake_host_new(&t.loop, "h0", UUID_1, t.folder);
	struct value *spec = host_spec(t.host[0]);
	memset(noise.noise, 'x', sizeof(noise.noise));
	uv_ip4_addr("127.0.0.1", 0, &at);
	uv_tcp_init(&t.loop, &noise.listener);
	assert_int_equal(uv_tcp_bind(&noise.listener, (struct sockaddr *)&at, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&noise.listener, 4, on_noise), 0);
	uv_tcp_getsockname(&noise.listener, (struct sockaddr *)&at, &len);
	value_set_num(t.a, spec, F_HostConnectSpec_port, ntohs(at.sin_port));
	add_by(spec);
	expect_fault(T_NoHost);
	assert_true(noise.n_sent < 64 << 20);
	uv_close((uv_handle_t *)&noise.listener, NULL);
	uv_close((uv_handle_t *)&noise.peer, NULL);
	turn(3);

	/* A manager speaks the same language. */
	struct fake_host *h = t.host[0];
	struct value *content =
		value_edit(t.a, object_get(inventory_find(h->inventory, "ServiceInstance"),
					   P_ServiceInstance_content, t.a));
	struct value *about = value_edit(t.a, value_get_value(content, F_ServiceContent_about));
	value_set_str(t.a, about, F_AboutInfo_apiType, "VirtualCenter");
	value_set(t.a, content, F_ServiceContent_about, about);
	inventory_set(inventory_find(h->inventory, "ServiceInstance"), P_ServiceInstance_content,
		      content);
	add_by(host_spec(h));
	expect_fault(T_NotSupportedHost);
	assert_int_equal(place_count(t.hosts, P_Folder_childEntity), 0);
}

/* ---- hosts that exaggerate ---- */

static struct value *store_update(const char *id)
{
	struct value *update = value_new(t.a, T_ObjectUpdate);

	value_set(t.a, update, F_ObjectUpdate_obj, value_new_ref(t.a, T_Datastore, id));
	value_set_num(t.a, update, F_ObjectUpdate_kind, E_ObjectUpdateKind_enter);
	return update;
}

static void too_many_datastores(void **state)
{
	(void)state;
	struct replica *r = replica_new(clock_real());
	struct value *set = value_new(t.a, T_UpdateSet);
	struct value *filters = value_new_array(t.a, T_PropertyFilterUpdate);
	struct value *filter = value_new(t.a, T_PropertyFilterUpdate);
	struct value *objects = value_new_array(t.a, T_ObjectUpdate);
	struct error e = { 0 };
	char id[32];

	for (int i = 0; i <= REPLICA_STORES_MAX; i++) {
		snprintf(id, sizeof(id), "ds-%d", i);
		value_push(t.a, objects, store_update(id));
	}
	value_set(t.a, filter, F_PropertyFilterUpdate_objectSet, objects);
	value_push(t.a, filters, filter);
	value_set(t.a, set, F_UpdateSet_filterSet, filters);
	replica_begin(r);
	assert_false(replica_apply(r, set, &e));
	assert_int_equal(e.kind, ERROR_LIMIT);
	assert_non_null(strstr(e.msg, "datastores"));
	replica_free(r);
}

/* All of one name: none of them costs more than the others. */
static void many_of_one_name(void **state)
{
	(void)state;
	t.host[0] = fake_host_new(&t.loop, "h0", UUID_1, NULL);
	struct fake_host *h = t.host[0];
	struct error e = { 0 };

	for (int i = 0; i < FAKE_VMS_MAX; i++) {
		fake_host_add_vm(h, "a");
	}
	turn(3);
	assert_non_null(hosts_add_local(t.c->hosts,
					&(struct hosts_local){
						.inventory = h->inventory,
						.session = session_system(h->api->sessions),
						.name = "h0",
						.place = t.hosts,
					},
					&e));
	assert_int_equal(place_count(t.vms, P_Folder_childEntity), FAKE_VMS_MAX);
	assert_non_null(vm_here("a (1)"));
}

/* ---- at the same time ---- */

struct outcome {
	const struct value *task; /* kept reference */
};

static void on_outcome(void *arg, const struct value *result, const struct value *fault,
		       const char *text)
{
	struct outcome *x = arg;

	(void)text;
	assert_null(fault);
	x->task = value_keep(result);
}

static const struct value *outcome_info(const struct outcome *x)
{
	return object_get(inventory_find_ref(t.c->inventory, x->task), P_Task_info, NULL);
}

static bool outcome_has_ended(const struct outcome *x)
{
	return value_get_num(outcome_info(x), F_TaskInfo_state, 0) >= E_TaskInfoState_success;
}

static uint16_t outcome_fault(const struct outcome *x)
{
	const struct value *error = value_get_value(outcome_info(x), F_TaskInfo_error);

	return error == NULL ? T_none
			     : value_type(value_get_value(error, F_LocalizedMethodFault_fault));
}

static void begin_add(struct outcome *x, const struct value *spec)
{
	struct value *args = args_of(M_Folder_AddStandaloneHost_Task);

	value_set(t.a, args, A_Folder_AddStandaloneHost_Task_spec, spec);
	value_set_bool(t.a, args, A_Folder_AddStandaloneHost_Task_addConnected, true);
	service_call(session_system(t.api->sessions), t.hosts, M_Folder_AddStandaloneHost_Task,
		     args, on_outcome, x);
}

/* One is added, the other is told that it is there; whether by address or by what it is. */
static void two_are_added_at_once(void **state)
{
	(void)state;
	struct outcome a = { 0 }, b = { 0 }, c = { 0 };

	t.host[0] = fake_host_new(&t.loop, "h0", UUID_1, t.folder);
	t.host[1] = fake_host_new(&t.loop, "h1", UUID_1, t.folder);
	begin_add(&a, host_spec(t.host[0]));
	begin_add(&b, host_spec(t.host[0]));
	begin_add(&c, host_spec(t.host[1]));
	wait_for(outcome_has_ended(&a) && outcome_has_ended(&b) && outcome_has_ended(&c));
	uint16_t faults[] = { outcome_fault(&a), outcome_fault(&b), outcome_fault(&c) };
	size_t n_good = 0, n_told = 0;
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		n_good += faults[i] == T_none;
		n_told += faults[i] == T_AlreadyConnected;
	}
	assert_int_equal(n_good, 1);
	assert_int_equal(n_told, 2);
	assert_int_equal(place_count(t.hosts, P_Folder_childEntity), 1);
	value_drop(a.task);
	value_drop(b.task);
	value_drop(c.task);
}

/* ---- connecting that is not to come about ---- */

/* The host's port is open, nobody speaks: ReconnectHost_Task is under way. */
static int begin_reconnect(struct object *system, struct outcome *x)
{
	struct fake_host *h = t.host[0];
	struct value *args = args_of(M_HostSystem_ReconnectHost_Task);
	uint16_t port = h->port;

	call(system, M_HostSystem_DisconnectHost_Task, NULL);
	expect_ok();
	fake_host_stop(h);
	int fd = mute_new(&port);
	value_set(t.a, args, A_HostSystem_ReconnectHost_Task_cnxSpec, host_spec(h));
	service_call(session_system(t.api->sessions), system, M_HostSystem_ReconnectHost_Task, args,
		     on_outcome, x);
	turn(20);
	assert_false(outcome_has_ended(x));
	return fd;
}

static void reconnecting_is_given_up(void **state)
{
	(void)state;
	struct object *system = add_remote(0, "h0", UUID_1);
	struct outcome x = { 0 };
	fake_host_set_power(t.host[0], fake_host_add_vm(t.host[0], "a"),
			    E_VirtualMachinePowerState_poweredOn);
	wait_for(vm_here("a") != NULL);

	int fd = begin_reconnect(system, &x);
	/* What was seen last is shown, whatever the link. */
	assert_int_equal(vm_power(vm_here("a")), E_VirtualMachinePowerState_poweredOn);
	call(system, M_HostSystem_DisconnectHost_Task, NULL);
	expect_ok();
	assert_true(outcome_has_ended(&x));
	assert_int_equal(outcome_fault(&x), T_RequestCanceled);
	value_drop(x.task);
	close(fd);
	fake_host_serve(t.host[0]);
	call(system, M_HostSystem_ReconnectHost_Task, NULL);
	expect_ok();
	assert_int_equal(host_state(system), E_HostSystemConnectionState_connected);

	fd = begin_reconnect(system, &x);
	call(system, M_ManagedEntity_Destroy_Task, NULL);
	expect_ok();
	assert_true(outcome_has_ended(&x));
	assert_int_equal(outcome_fault(&x), T_RequestCanceled);
	assert_int_equal(place_count(t.hosts, P_Folder_childEntity), 0);
	value_drop(x.task);
	close(fd);
}

/* Operations are under way when their host is let go. */
static void removed_in_the_middle(void **state)
{
	(void)state;
	struct object *system = add_remote(0, "h0", UUID_1);
	struct outcome x = { 0 };
	fake_host_add_vm(t.host[0], "a");
	wait_for(vm_here("a") != NULL);

	service_call(session_system(t.api->sessions), vm_here("a"),
		     M_VirtualMachine_PowerOffVM_Task, NULL, on_outcome, &x);
	wait_for(t.host[0]->slow != NULL);
	call(system, M_ManagedEntity_Destroy_Task, NULL);
	expect_ok();
	assert_true(outcome_has_ended(&x));
	assert_int_not_equal(outcome_fault(&x), T_none);
	value_drop(x.task);
	fake_host_finish(t.host[0], NULL);
	turn(20);
}

/* Another certificate at the old address: not trusted until a client names it. */
static void certificate_changes(void **state)
{
	(void)state;
	struct object *system = add_remote(0, "h0", UUID_1);
	struct fake_host *h = t.host[0];
	char old[80], path[256];

	fake_host_stop(h);
	snprintf(old, sizeof(old), "%s", h->thumbprints.sha1);
	snprintf(path, sizeof(path), "%s/%s.crt", h->folder, h->name);
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/%s.key", h->folder, h->name);
	assert_int_equal(unlink(path), 0);
	fake_host_serve(h);
	assert_string_not_equal(old, h->thumbprints.sha1);
	wait_for(host_state(system) == E_HostSystemConnectionState_notResponding);
	call(system, M_HostSystem_ReconnectHost_Task, NULL);
	expect_fault(T_SSLVerifyFault);
	assert_string_equal(value_get_str(t.fault, F_SSLVerifyFault_thumbprint),
			    h->thumbprints.sha1);
	struct value *args = args_of(M_HostSystem_ReconnectHost_Task);
	value_set(t.a, args, A_HostSystem_ReconnectHost_Task_cnxSpec, host_spec(h));
	call(system, M_HostSystem_ReconnectHost_Task, args);
	expect_ok();
	assert_int_equal(host_state(system), E_HostSystemConnectionState_connected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(database_is_full, setup_kept, teardown),
		cmocka_unit_test_setup_teardown(strangers_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many_datastores, setup, teardown),
		cmocka_unit_test_setup_teardown(many_of_one_name, setup, teardown),
		cmocka_unit_test_setup_teardown(two_are_added_at_once, setup_kept, teardown),
		cmocka_unit_test_setup_teardown(reconnecting_is_given_up, setup_kept, teardown),
		cmocka_unit_test_setup_teardown(removed_in_the_middle, setup_kept, teardown),
		cmocka_unit_test_setup_teardown(certificate_changes, setup_kept, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
