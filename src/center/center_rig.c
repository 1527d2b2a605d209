/* SPDX-License-Identifier: Apache-2.0 */
#include "center/center_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "center/compute.h"
#include "center/database.h"
#include "center/place.h"
#include "vim/user.h"

struct center_rig t;

/* ---- life ---- */

/* Up to the manager, which may refuse. */
static void open_center(struct error *e)
{
	assert_int_equal(uv_loop_init(&t.loop), 0);
	t.users = user_store_open(NULL, e);
	t.api = api_new(&(struct api_config){ .kind = API_CENTER,
					      .loop = &t.loop,
					      .clock = clock_real(),
					      .instance_uuid = "u",
					      .users = t.users },
			e);
	assert_non_null(t.api);
	t.c = center_new(
		&(struct center_config){
			.loop = &t.loop, .clock = clock_real(), .api = t.api, .state = t.state },
		e);
	t.a = arena_new(0);
}

void start(void)
{
	struct error e = { 0 };

	open_center(&e);
	if (t.c == NULL) {
		fail_msg("%s", e.msg);
	}
}

void start_refused(struct error *e)
{
	open_center(e);
	assert_null(t.c);
}

void stop(void)
{
	center_free(t.c);
	api_free(t.api);
	user_store_free(t.users);
	for (int i = 0; i < 10 && uv_run(&t.loop, UV_RUN_NOWAIT) != 0; i++) {
	}
	assert_int_equal(uv_loop_close(&t.loop), 0);
	arena_free(t.a);
	value_drop(t.result);
	t.result = NULL;
}

int setup(void **state)
{
	(void)state;
	snprintf(t.state, sizeof(t.state), "/tmp/center_test.XXXXXX");
	assert_non_null(mkdtemp(t.state));
	start();
	return 0;
}

int teardown(void **state)
{
	(void)state;
	stop();
	file_remove_tree_at(AT_FDCWD, t.state, NULL);
	return 0;
}

void restart(void)
{
	stop();
	start();
}

/* ---- calls ---- */

static void note(uint16_t fault, const char *text)
{
	t.fault = fault;
	snprintf(t.text, sizeof(t.text), "%s", text == NULL ? "" : text);
}

static void on_done(void *arg, const struct value *result, const struct value *fault,
		    const char *text)
{
	(void)arg;
	value_drop(t.result);
	t.result = result == NULL ? NULL : value_keep(result);
	note(fault == NULL ? T_none : fault->type, text);
}

void call(struct object *self, uint16_t method, const struct value *args)
{
	service_call(session_system(t.api->sessions), self, method, args, on_done, NULL);
	if (t.fault != T_none || t.result == NULL || t.result->kind != KIND_REF ||
	    !schema_is_a(t.result->type, T_Task)) {
		return;
	}
	struct object *task = inventory_find_ref(t.c->inventory, t.result);
	const struct value *info = object_get(task, P_Task_info, NULL);
	assert_true(value_get_num(info, F_TaskInfo_state, 0) >= E_TaskInfoState_success);
	const struct value *error = value_get_value(info, F_TaskInfo_error);
	const struct value *result = value_get_value(info, F_TaskInfo_result);
	value_drop(t.result);
	t.result = result == NULL ? NULL : value_keep(result);
	if (error != NULL) {
		note(value_get_value(error, F_LocalizedMethodFault_fault)->type,
		     value_get_str(error, F_LocalizedMethodFault_localizedMessage));
	}
}

struct value *args_of(uint16_t method)
{
	return value_new(t.a, schema_method(method)->args);
}

struct object *made(void)
{
	if (t.fault != T_none) {
		fail_msg("%s: %s", schema_type_name(t.fault), t.text);
	}
	assert_non_null(t.result);
	struct object *o = inventory_find_ref(t.c->inventory, t.result);
	assert_non_null(o);
	return o;
}

void succeeded(void)
{
	if (t.fault != T_none) {
		fail_msg("%s: %s", schema_type_name(t.fault), t.text);
	}
}

void refused(uint16_t fault)
{
	if (t.fault != fault) {
		fail_msg("%s \"%s\" instead of %s",
			 t.fault == T_none ? "nothing" : schema_type_name(t.fault), t.text,
			 schema_type_name(fault));
	}
	assert_true(strlen(t.text) > 0);
}

void create_named(struct object *folder, uint16_t method, unsigned arg, const char *name)
{
	struct value *args = args_of(method);

	value_set_str(t.a, args, arg, name);
	call(folder, method, args);
}

struct object *new_datacenter(const char *name)
{
	create_named(t.c->root, M_Folder_CreateDatacenter, A_Folder_CreateDatacenter_name, name);
	return made();
}

void create_folder(struct object *folder, const char *name)
{
	create_named(folder, M_Folder_CreateFolder, A_Folder_CreateFolder_name, name);
}

void create_cluster(struct object *folder, const char *name, const struct value *spec)
{
	struct value *args = args_of(M_Folder_CreateClusterEx);

	value_set_str(t.a, args, A_Folder_CreateClusterEx_name, name);
	value_set(t.a, args, A_Folder_CreateClusterEx_spec,
		  spec != NULL ? spec : value_new(t.a, T_ClusterConfigSpecEx));
	call(folder, M_Folder_CreateClusterEx, args);
}

void rename_to(struct object *o, const char *name)
{
	create_named(o, M_ManagedEntity_Rename_Task, A_ManagedEntity_Rename_Task_newName, name);
}

void move_to(struct object *folder, struct object *o)
{
	struct value *args = args_of(M_Folder_MoveIntoFolder_Task);
	struct value *list = value_new_array(t.a, T_ManagedEntity);

	value_push(t.a, list, o->ref);
	value_set(t.a, args, A_Folder_MoveIntoFolder_Task_list, list);
	call(folder, M_Folder_MoveIntoFolder_Task, args);
}

void destroy(struct object *o)
{
	call(o, M_ManagedEntity_Destroy_Task, NULL);
}

struct object *folder_of(struct object *dc, unsigned prop)
{
	struct object *o = place_folder(dc, prop);

	assert_non_null(o);
	return o;
}

struct object *at(const char *path)
{
	struct object *o = t.c->root;
	char copy[200], *rest = copy;

	snprintf(copy, sizeof(copy), "%s", path);
	for (char *name; o != NULL && (name = strsep(&rest, "/")) != NULL;) {
		o = place_child(t.c, o, name);
	}
	return o;
}

struct value *pool_spec(int64_t mhz, bool expandable)
{
	struct value *spec = value_new(t.a, T_ResourceConfigSpec);
	struct value *cpu = value_new(t.a, T_ResourceAllocationInfo);

	value_set_num(t.a, cpu, F_ResourceAllocationInfo_reservation, mhz);
	value_set_bool(t.a, cpu, F_ResourceAllocationInfo_expandableReservation, expandable);
	value_set(t.a, spec, F_ResourceConfigSpec_cpuAllocation, cpu);
	value_set(t.a, spec, F_ResourceConfigSpec_memoryAllocation,
		  value_new(t.a, T_ResourceAllocationInfo));
	return spec;
}

void create_pool(struct object *parent, const char *name, const struct value *spec)
{
	struct value *args = args_of(M_ResourcePool_CreateResourcePool);

	value_set_str(t.a, args, A_ResourcePool_CreateResourcePool_name, name);
	value_set(t.a, args, A_ResourcePool_CreateResourcePool_spec, spec);
	call(parent, M_ResourcePool_CreateResourcePool, args);
}

/* ---- hosts that are only objects ---- */

struct object *new_host(const char *id, struct object *compute, const char *name)
{
	struct object *o = inventory_add(t.c->inventory, T_HostSystem, id, NULL, NULL);
	struct value *summary = value_new(t.a, T_HostListSummary);
	struct value *hw = value_new(t.a, T_HostHardwareSummary);
	struct value *runtime = value_new(t.a, T_HostRuntimeInfo);

	value_set_num(t.a, hw, F_HostHardwareSummary_cpuMhz, 2000);
	value_set_num(t.a, hw, F_HostHardwareSummary_numCpuCores, 4);
	value_set_num(t.a, hw, F_HostHardwareSummary_numCpuThreads, 8);
	value_set_num(t.a, hw, F_HostHardwareSummary_memorySize, INT64_C(4) << 30);
	value_set(t.a, summary, F_HostListSummary_hardware, hw);
	value_set_num(t.a, runtime, F_HostRuntimeInfo_connectionState,
		      E_HostSystemConnectionState_connected);
	inventory_set(o, P_HostSystem_summary, summary);
	inventory_set(o, P_HostSystem_runtime, runtime);
	compute_attach(t.c, compute, o, name);
	database_begin(t.c->db);
	database_put_entity(t.c->db, &(struct database_entity){ .id = id,
								.type = "HostSystem",
								.parent = object_id(compute),
								.name = name });
	assert_true(database_commit(t.c->db, NULL));
	return o;
}

struct object *new_vm(const char *id, const char *name, struct object *folder, struct object *pool,
		      struct object *host)
{
	struct object *o = inventory_add(t.c->inventory, T_VirtualMachine, id, NULL, NULL);

	place_enter(t.c, o, name, folder);
	place_set_pool(t.c, o, pool);
	inventory_add_ref(host, P_HostSystem_vm, o);
	database_begin(t.c->db);
	database_put_entity(t.c->db, &(struct database_entity){ .id = id,
								.type = "VirtualMachine",
								.parent = object_id(folder),
								.name = name,
								.pool = object_id(pool) });
	assert_true(database_commit(t.c->db, NULL));
	return o;
}
