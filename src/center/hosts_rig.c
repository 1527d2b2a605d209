/* SPDX-License-Identifier: Apache-2.0 */
#include "center/hosts_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "center/compute.h"
#include "center/datacenter.h"
#include "center/hosts.h"
#include "center/place.h"

struct hosts_rig t;

/* ---- the loop ---- */

static void on_tick(uv_timer_t *h)
{
	(void)h;
}

void turn(unsigned n)
{
	while (n-- > 0) {
		uv_run(&t.loop, UV_RUN_NOWAIT);
	}
}

/* ---- life ---- */

static void make_datacenter(void)
{
	struct error e = { 0 };

	t.dc = place_child(t.c, t.c->root, "dc");
	if (t.dc == NULL) {
		t.dc = datacenter_create(t.c, t.c->root, "dc", &e);
	}
	assert_non_null(t.dc);
	t.hosts = place_folder(t.dc, P_Datacenter_hostFolder);
	t.vms = place_folder(t.dc, P_Datacenter_vmFolder);
}

void start(void)
{
	struct error e = { 0 };

	char permissions[128];

	snprintf(permissions, sizeof(permissions), "%s/permissions.json", t.state);
	t.users = user_store_open(NULL, &e);
	t.api = api_new(
		&(struct api_config){ .kind = API_CENTER,
				      .loop = &t.loop,
				      .clock = clock_real(),
				      .instance_uuid = "66666666-6666-4666-8666-666666666666",
				      .permissions_path = t.is_kept ? permissions : NULL,
				      .users = t.users,
				      .admin = "root" },
		&e);
	t.c = center_new(&(struct center_config){ .loop = &t.loop,
						  .clock = clock_real(),
						  .api = t.api,
						  .state = t.is_kept ? t.state : NULL },
			 &e);
	if (t.c == NULL) {
		fail_msg("%s", e.msg);
		return;
	}
	make_datacenter();
	assert_true(center_start(t.c, &e));
}

void stop(void)
{
	center_free(t.c);
	api_free(t.api);
	user_store_free(t.users);
	turn(3);
}

int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	log_set_level("*=error", NULL);
	snprintf(t.folder, sizeof(t.folder), "/tmp/hosts_test.XXXXXX");
	assert_non_null(mkdtemp(t.folder));
	snprintf(t.state, sizeof(t.state), "%s/state", t.folder);
	assert_true(file_make_dirs(t.state, 0700, NULL));
	assert_int_equal(uv_loop_init(&t.loop), 0);
	uv_timer_init(&t.loop, &t.tick);
	uv_timer_start(&t.tick, on_tick, 10, 10);
	t.a = arena_new(0);
	start();
	return 0;
}

int setup_kept(void **state)
{
	setup(state);
	stop();
	t.is_kept = true;
	start();
	return 0;
}

int teardown(void **state)
{
	(void)state;
	stop();
	fake_host_free(t.host[0]);
	fake_host_free(t.host[1]);
	fake_host_free(t.host[2]);
	uv_close((uv_handle_t *)&t.tick, NULL);
	for (int i = 0; i < 1000 && uv_run(&t.loop, UV_RUN_ONCE) != 0; i++) {
	}
	assert_int_equal(uv_loop_close(&t.loop), 0);
	arena_free(t.a);
	value_drop(t.result);
	value_drop(t.fault);
	file_remove_tree_at(AT_FDCWD, t.folder, NULL);
	return 0;
}

void restart(void)
{
	stop();
	start();
}

/* ---- calls ---- */

void on_done(void *arg, const struct value *result, const struct value *fault, const char *text)
{
	(void)arg;
	value_drop(t.result);
	value_drop(t.fault);
	t.result = value_keep(result);
	t.fault = value_keep(fault);
	snprintf(t.text, sizeof(t.text), "%s", text == NULL ? "" : text);
	t.is_answered = true;
}

struct value *args_of(uint16_t method)
{
	return value_new(t.a, schema_method(method)->args);
}

/* Begins; the answer may come later. */
void begin(struct object *self, uint16_t method, const struct value *args)
{
	t.is_answered = false;
	service_call(session_system(t.api->sessions), self, method, args, on_done, NULL);
}

const struct value *task_info(void)
{
	struct object *o = inventory_find_ref(t.c->inventory, t.result);

	assert_non_null(o);
	return object_get(o, P_Task_info, NULL);
}

static bool task_over(void)
{
	return value_get_num(task_info(), F_TaskInfo_state, 0) >= E_TaskInfoState_success;
}

/* The task's result or fault, instead of its reference. */
void take_task(void)
{
	wait_for(task_over());
	const struct value *info = task_info(), *error = value_get_value(info, F_TaskInfo_error);
	const struct value *result = value_get_value(info, F_TaskInfo_result);
	on_done(NULL, result, value_get_value(error, F_LocalizedMethodFault_fault),
		error == NULL ? NULL
			      : value_get_str(error, F_LocalizedMethodFault_localizedMessage));
}

void call(struct object *self, uint16_t method, const struct value *args)
{
	begin(self, method, args);
	wait_for(t.is_answered);
	if (t.fault == NULL && t.result != NULL && t.result->kind == KIND_REF &&
	    schema_is_a(t.result->type, T_Task)) {
		take_task();
	}
}

void expect_ok(void)
{
	if (t.fault != NULL) {
		fail_msg("%s: %s", schema_type_name(t.fault->type), t.text);
	}
}

void expect_fault(uint16_t type)
{
	assert_non_null(t.fault);
	if (t.fault->type != type) {
		fail_msg("%s instead of %s: %s", schema_type_name(t.fault->type),
			 schema_type_name(type), t.text);
	}
}

struct object *result_object(void)
{
	return inventory_find_ref(t.c->inventory, t.result);
}

/* ---- hosts ---- */

struct value *host_spec(const struct fake_host *h)
{
	struct value *spec = value_new(t.a, T_HostConnectSpec);

	value_set_str(t.a, spec, F_HostConnectSpec_hostName, "127.0.0.1");
	value_set_num(t.a, spec, F_HostConnectSpec_port, h->port);
	value_set_str(t.a, spec, F_HostConnectSpec_userName, "root");
	value_set_str(t.a, spec, F_HostConnectSpec_password, "secret");
	value_set_str(t.a, spec, F_HostConnectSpec_sslThumbprint, h->thumbprints.sha1);
	value_set_bool(t.a, spec, F_HostConnectSpec_force, false);
	return spec;
}

void add_by(const struct value *spec)
{
	struct value *args = args_of(M_Folder_AddStandaloneHost_Task);

	value_set(t.a, args, A_Folder_AddStandaloneHost_Task_spec, spec);
	value_set_bool(t.a, args, A_Folder_AddStandaloneHost_Task_addConnected, true);
	call(t.hosts, M_Folder_AddStandaloneHost_Task, args);
}

struct object *add_remote(int i, const char *name, const char *uuid)
{
	t.host[i] = fake_host_new(&t.loop, name, uuid, t.folder);
	add_by(host_spec(t.host[i]));
	expect_ok();
	struct object *compute = result_object();
	assert_non_null(compute);
	return place_at(compute, P_ComputeResource_host, 0);
}

struct object *add_local(int i, const char *name, const char *uuid)
{
	struct error e = { 0 };

	t.host[i] = fake_host_new(&t.loop, name, uuid, NULL);
	struct object *o =
		hosts_add_local(t.c->hosts,
				&(struct hosts_local){
					.inventory = t.host[i]->inventory,
					.session = session_system(t.host[i]->api->sessions),
					.events = t.host[i]->api->events,
					.name = name,
					.place = t.hosts,
				},
				&e);
	if (o == NULL) {
		fail_msg("%s", e.msg);
	}
	return o;
}

int64_t num(struct object *o, unsigned prop, unsigned field)
{
	arena_reset(t.a);
	return value_get_num(object_get(o, prop, t.a), field, -1);
}

int64_t host_state(struct object *o)
{
	return num(o, P_HostSystem_runtime, F_HostRuntimeInfo_connectionState);
}

int64_t vm_power(struct object *o)
{
	return num(o, P_VirtualMachine_runtime, F_VirtualMachineRuntimeInfo_powerState);
}

struct object *vm_here(const char *name)
{
	return place_child(t.c, t.vms, name);
}

struct value *create_args(const char *name, const char *path, struct object *host)
{
	struct value *args = args_of(M_Folder_CreateVM_Task);
	struct value *config = value_new(t.a, T_VirtualMachineConfigSpec);
	struct value *files = value_new(t.a, T_VirtualMachineFileInfo);
	struct object *compute = compute_of_host(host);

	value_set_str(t.a, files, F_VirtualMachineFileInfo_vmPathName, path);
	value_set_str(t.a, config, F_VirtualMachineConfigSpec_name, name);
	value_set(t.a, config, F_VirtualMachineConfigSpec_files, files);
	value_set(t.a, args, A_Folder_CreateVM_Task_config, config);
	value_set(t.a, args, A_Folder_CreateVM_Task_pool, compute_root_pool(compute)->ref);
	return args;
}
