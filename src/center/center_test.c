/* SPDX-License-Identifier: Apache-2.0 */
/* The manager's own inventory through its API, with hosts and VMs that are only objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "center/center.h"
#include "center/compute.h"
#include "center/database.h"
#include "center/dvs.h"
#include "center/folder.h"
#include "center/place.h"
#include "center/pool.h"
#include "vim/user.h"

static struct {
	char state[64];
	uv_loop_t loop;
	struct user_store *users;
	struct api *api;
	struct center *c;
	struct arena *a;
	const struct value *result; /* of the last call, kept */
	uint16_t fault;		    /* its type, T_none: none */
	char text[256];
} t;

/* ---- life ---- */

static void start(void)
{
	struct error e = { 0 };

	assert_int_equal(uv_loop_init(&t.loop), 0);
	t.users = user_store_open(NULL, &e);
	t.api = api_new(&(struct api_config){ .kind = API_CENTER,
					      .loop = &t.loop,
					      .clock = clock_real(),
					      .instance_uuid = "u",
					      .users = t.users },
			&e);
	assert_non_null(t.api);
	t.c = center_new(
		&(struct center_config){
			.loop = &t.loop, .clock = clock_real(), .api = t.api, .state = t.state },
		&e);
	if (t.c == NULL) {
		fail_msg("%s", e.msg);
	}
	t.a = arena_new(0);
}

static void stop(void)
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

static int setup(void **state)
{
	(void)state;
	snprintf(t.state, sizeof(t.state), "/tmp/center_test.XXXXXX");
	assert_non_null(mkdtemp(t.state));
	start();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	stop();
	file_remove_tree_at(AT_FDCWD, t.state, NULL);
	return 0;
}

static void restart(void)
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

/* A method that ends at once; of a task, what it came to. */
static void call(struct object *self, uint16_t method, const struct value *args)
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

static struct value *args_of(uint16_t method)
{
	return value_new(t.a, schema_method(method)->args);
}

static struct object *made(void)
{
	if (t.fault != T_none) {
		fail_msg("%s: %s", schema_type_name(t.fault), t.text);
	}
	assert_non_null(t.result);
	struct object *o = inventory_find_ref(t.c->inventory, t.result);
	assert_non_null(o);
	return o;
}

static void succeeded(void)
{
	if (t.fault != T_none) {
		fail_msg("%s: %s", schema_type_name(t.fault), t.text);
	}
}

static void refused(uint16_t fault)
{
	if (t.fault != fault) {
		fail_msg("%s \"%s\" instead of %s",
			 t.fault == T_none ? "nothing" : schema_type_name(t.fault), t.text,
			 schema_type_name(fault));
	}
	assert_true(strlen(t.text) > 0);
}

static void create_named(struct object *folder, uint16_t method, unsigned arg, const char *name)
{
	struct value *args = args_of(method);

	value_set_str(t.a, args, arg, name);
	call(folder, method, args);
}

static struct object *new_datacenter(const char *name)
{
	create_named(t.c->root, M_Folder_CreateDatacenter, A_Folder_CreateDatacenter_name, name);
	return made();
}

static void create_folder(struct object *folder, const char *name)
{
	create_named(folder, M_Folder_CreateFolder, A_Folder_CreateFolder_name, name);
}

static void create_cluster(struct object *folder, const char *name, const struct value *spec)
{
	struct value *args = args_of(M_Folder_CreateClusterEx);

	value_set_str(t.a, args, A_Folder_CreateClusterEx_name, name);
	value_set(t.a, args, A_Folder_CreateClusterEx_spec,
		  spec != NULL ? spec : value_new(t.a, T_ClusterConfigSpecEx));
	call(folder, M_Folder_CreateClusterEx, args);
}

static void rename_to(struct object *o, const char *name)
{
	create_named(o, M_ManagedEntity_Rename_Task, A_ManagedEntity_Rename_Task_newName, name);
}

static void move_to(struct object *folder, struct object *o)
{
	struct value *args = args_of(M_Folder_MoveIntoFolder_Task);
	struct value *list = value_new_array(t.a, T_ManagedEntity);

	value_push(t.a, list, o->ref);
	value_set(t.a, args, A_Folder_MoveIntoFolder_Task_list, list);
	call(folder, M_Folder_MoveIntoFolder_Task, args);
}

static void destroy(struct object *o)
{
	call(o, M_ManagedEntity_Destroy_Task, NULL);
}

static struct object *folder_of(struct object *dc, unsigned prop)
{
	struct object *o = place_folder(dc, prop);

	assert_non_null(o);
	return o;
}

/* By path below the root: "DC/vm/f". */
static struct object *at(const char *path)
{
	struct object *o = t.c->root;
	char copy[200], *rest = copy;

	snprintf(copy, sizeof(copy), "%s", path);
	for (char *name; o != NULL && (name = strsep(&rest, "/")) != NULL;) {
		o = place_child(t.c, o, name);
	}
	return o;
}

/* ---- tests ---- */

static void names_and_folders(void **state)
{
	(void)state;
	struct object *dc = new_datacenter("DC0");
	struct object *vms = folder_of(dc, P_Datacenter_vmFolder);

	assert_string_equal(object_id(t.c->root), "group-d1");
	assert_true(strncmp(object_id(dc), "datacenter-", 11) == 0);
	assert_true(strncmp(object_id(vms), "group-v", 7) == 0);
	create_named(t.c->root, M_Folder_CreateDatacenter, A_Folder_CreateDatacenter_name, "DC0");
	refused(T_DuplicateName);
	create_named(t.c->root, M_Folder_CreateDatacenter, A_Folder_CreateDatacenter_name, "");
	refused(T_InvalidName);
	create_named(vms, M_Folder_CreateDatacenter, A_Folder_CreateDatacenter_name, "x");
	refused(T_NotSupported);

	create_folder(vms, "a/b\\c%d");
	assert_string_equal(place_name(made()), "a%2fb%5cc%25d");
	create_folder(vms, "a%2fb\\c%25d");
	refused(T_DuplicateName);
	create_folder(vms, "a\nb");
	refused(T_InvalidName);
	char *longest = mem_alloc(400);
	memset(longest, 'x', 399);
	longest[399] = '\0';
	create_folder(vms, longest);
	refused(T_InvalidName);
	longest[80] = '\0';
	create_folder(vms, longest);
	succeeded();
	free(longest);

	rename_to(vms, "other");
	refused(T_NotSupported);
	rename_to(dc, "DC1");
	succeeded();
	assert_ptr_equal(at("DC1"), dc);
	assert_null(at("DC0"));
	assert_ptr_equal(at("DC1/vm"), vms);
}

static void moves(void **state)
{
	(void)state;
	struct object *dc = new_datacenter("DC0"), *other = new_datacenter("DC1");
	struct object *vms = folder_of(dc, P_Datacenter_vmFolder);

	create_folder(vms, "a");
	struct object *a = made();
	create_folder(a, "b");
	struct object *b = made();
	create_folder(vms, "b");
	move_to(vms, b);
	refused(T_DuplicateName);
	move_to(b, a);
	refused(T_InvalidFolder);
	move_to(a, a);
	refused(T_InvalidFolder);
	move_to(folder_of(dc, P_Datacenter_hostFolder), a);
	refused(T_InvalidFolder);
	move_to(folder_of(other, P_Datacenter_vmFolder), a);
	refused(T_InvalidFolder);
	rename_to(b, "c");
	move_to(vms, b);
	succeeded();
	assert_ptr_equal(at("DC0/vm/c"), b);
	assert_null(at("DC0/vm/a/c"));
	assert_int_equal(place_count(a, P_Folder_childEntity), 0);
	create_folder(t.c->root, "f");
	move_to(made(), dc);
	succeeded();
	assert_ptr_equal(at("f/DC0"), dc);
}

static struct value *rule_spec(const char *name, int op, int64_t key)
{
	struct value *spec = value_new(t.a, T_ClusterConfigSpecEx);
	struct value *rules = value_new_array(t.a, T_ClusterRuleSpec);
	struct value *change = value_new(t.a, T_ClusterRuleSpec);
	struct value *rule = value_new(t.a, T_ClusterVmHostRuleInfo);

	value_set_num(t.a, change, F_ArrayUpdateSpec_operation, op);
	if (op == E_ArrayUpdateOperation_remove) {
		value_set(t.a, change, F_ArrayUpdateSpec_removeKey,
			  value_new_int(t.a, (int32_t)key));
	} else {
		if (key != 0) {
			value_set_num(t.a, rule, F_ClusterRuleInfo_key, key);
		}
		value_set_str(t.a, rule, F_ClusterRuleInfo_name, name);
		value_set(t.a, change, F_ClusterRuleSpec_info, rule);
	}
	value_push(t.a, rules, change);
	value_set(t.a, spec, F_ClusterConfigSpecEx_rulesSpec, rules);
	return spec;
}

static void reconfigure(struct object *cluster, const struct value *spec)
{
	struct value *args = args_of(M_ComputeResource_ReconfigureComputeResource_Task);

	value_set(t.a, args, A_ComputeResource_ReconfigureComputeResource_Task_spec, spec);
	value_set_bool(t.a, args, A_ComputeResource_ReconfigureComputeResource_Task_modify, true);
	call(cluster, M_ComputeResource_ReconfigureComputeResource_Task, args);
}

static const struct value *config_of(struct object *cluster)
{
	return object_get(cluster, P_ComputeResource_configurationEx, t.a);
}

static void clusters(void **state)
{
	(void)state;
	struct object *hosts = folder_of(new_datacenter("DC0"), P_Datacenter_hostFolder);
	struct value *spec = value_new(t.a, T_ClusterConfigSpecEx);
	struct value *drs = value_new(t.a, T_ClusterDrsConfigInfo);

	create_cluster(t.c->root, "C0", NULL);
	refused(T_NotSupported);
	value_set_bool(t.a, drs, F_ClusterDrsConfigInfo_enabled, true);
	value_set(t.a, spec, F_ClusterConfigSpecEx_drsConfig, drs);
	create_cluster(hosts, "C0", spec);
	struct object *cluster = made();
	const struct value *now =
		value_get_value(config_of(cluster), F_ClusterConfigInfoEx_drsConfig);
	assert_true(value_get_bool(now, F_ClusterDrsConfigInfo_enabled, false));
	assert_int_equal(value_get_num(now, F_ClusterDrsConfigInfo_vmotionRate, 0), 3);
	/* It says that nothing acts on it. */
	assert_int_equal(place_count(cluster, P_ManagedEntity_configIssue), 1);
	create_cluster(hosts, "C0", NULL);
	refused(T_DuplicateName);

	reconfigure(cluster, rule_spec("r1", E_ArrayUpdateOperation_add, 0));
	succeeded();
	reconfigure(cluster, rule_spec("r1", E_ArrayUpdateOperation_add, 0));
	refused(T_DuplicateName);
	reconfigure(cluster, rule_spec("r2", E_ArrayUpdateOperation_add, 0));
	reconfigure(cluster, rule_spec("r3", E_ArrayUpdateOperation_edit, 2));
	succeeded();
	reconfigure(cluster, rule_spec("r3", E_ArrayUpdateOperation_edit, 9));
	refused(T_InvalidArgument);
	reconfigure(cluster, rule_spec(NULL, E_ArrayUpdateOperation_remove, 1));
	succeeded();
	restart();
	const struct value *rules =
		value_get_value(config_of(at("DC0/host/C0")), F_ClusterConfigInfoEx_rule);
	assert_int_equal(value_count(rules), 1);
	assert_int_equal(value_get_num(value_item(rules, 0), F_ClusterRuleInfo_key, 0), 2);
	assert_string_equal(value_get_str(value_item(rules, 0), F_ClusterRuleInfo_name), "r3");

	struct value *vsan = value_new(t.a, T_VsanClusterConfigInfo);
	spec = value_new(t.a, T_ClusterConfigSpecEx);
	value_set_bool(t.a, vsan, F_VsanClusterConfigInfo_enabled, true);
	value_set(t.a, spec, F_ClusterConfigSpecEx_vsanConfig, vsan);
	reconfigure(at("DC0/host/C0"), spec);
	refused(T_NotSupported);
}

/* ---- hosts that are only objects ---- */

static struct object *new_host(const char *id, struct object *compute, const char *name)
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

static struct object *new_vm(const char *id, const char *name, struct object *folder,
			     struct object *pool, struct object *host)
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

static int64_t total(struct object *compute, unsigned field)
{
	inventory_publish(t.c->inventory);
	return value_get_num(object_get(compute, P_ComputeResource_summary, t.a), field, -1);
}

static void note_pool(void *arg, const struct database_entity *entity)
{
	snprintf(arg, CENTER_ID_MAX, "%s", entity->pool == NULL ? "" : entity->pool);
}

static void move_into_cluster(struct object *cluster, struct object *host)
{
	struct value *args = args_of(M_ClusterComputeResource_MoveInto_Task);
	struct value *list = value_new_array(t.a, T_HostSystem);

	value_push(t.a, list, host->ref);
	value_set(t.a, args, A_ClusterComputeResource_MoveInto_Task_host, list);
	call(cluster, M_ClusterComputeResource_MoveInto_Task, args);
}

static void hosts_add_up(void **state)
{
	(void)state;
	struct object *dc = new_datacenter("DC0");
	struct object *folder = folder_of(dc, P_Datacenter_hostFolder);
	char pool[CENTER_ID_MAX];

	create_cluster(folder, "C0", NULL);
	struct object *cluster = made();
	assert_int_equal(total(cluster, F_ComputeResourceSummary_numHosts), 0);
	struct object *first = new_host("host-901", cluster, "h1");
	assert_int_equal(total(cluster, F_ComputeResourceSummary_totalCpu), 8000);
	assert_int_equal(total(cluster, F_ComputeResourceSummary_effectiveMemory), 4096);

	database_begin(t.c->db);
	struct object *alone = compute_new_standalone(t.c, folder, "h2");
	assert_true(database_commit(t.c->db, NULL));
	struct object *second = new_host("host-902", alone, "h2");
	struct object *vm = new_vm("vm-903", "web", folder_of(dc, P_Datacenter_vmFolder),
				   compute_root_pool(alone), second);
	char alone_id[CENTER_ID_MAX];
	snprintf(alone_id, sizeof(alone_id), "%s", object_id(alone));
	assert_int_equal(total(alone, F_ComputeResourceSummary_numCpuThreads), 8);
	assert_ptr_equal(at("DC0/host/h2/h2"), second);

	/* A host leaves a cluster only in maintenance mode; what stood for it alone goes. */
	create_cluster(folder, "C1", NULL);
	struct object *other = made();
	move_into_cluster(other, first);
	refused(T_InvalidState);
	move_into_cluster(cluster, second);
	succeeded();
	assert_int_equal(total(cluster, F_ComputeResourceSummary_numHosts), 2);
	assert_int_equal(total(cluster, F_ComputeResourceSummary_totalCpu), 16000);
	assert_null(inventory_find(t.c->inventory, alone_id));
	assert_ptr_equal(place_ref(vm, P_VirtualMachine_resourcePool), compute_root_pool(cluster));
	assert_true(database_each_entity(t.c->db, "VirtualMachine", note_pool, pool, NULL));
	assert_string_equal(pool, object_id(compute_root_pool(cluster)));

	/* The root pool has what the hosts have. */
	const struct value *config =
		object_get(compute_root_pool(cluster), P_ResourcePool_config, t.a);
	assert_int_equal(value_get_num(value_get_value(config, F_ResourceConfigSpec_cpuAllocation),
				       F_ResourceAllocationInfo_reservation, 0),
			 16000);
	/* And out again, to stand alone. */
	move_to(folder, second);
	refused(T_InvalidState);
	struct value *runtime = value_edit(t.a, object_get(second, P_HostSystem_runtime, t.a));
	value_set_bool(t.a, runtime, F_HostRuntimeInfo_inMaintenanceMode, true);
	inventory_set(second, P_HostSystem_runtime, runtime);
	move_to(folder, second);
	succeeded();
	assert_ptr_equal(at("DC0/host/h2/h2"), second);
	assert_ptr_equal(place_ref(vm, P_VirtualMachine_resourcePool),
			 compute_root_pool(at("DC0/host/h2")));
	assert_int_equal(total(cluster, F_ComputeResourceSummary_numHosts), 1);
	assert_int_equal(total(at("DC0/host/h2"), F_ComputeResourceSummary_numEffectiveHosts), 0);

	destroy(cluster);
	/* These hosts have no method to leave by: nothing is done. */
	assert_true(t.fault != T_none);
	assert_non_null(at("DC0/host/C0"));
}

/* ---- pools ---- */

static struct value *pool_spec(int64_t mhz, bool expandable)
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

static void create_pool(struct object *parent, const char *name, const struct value *spec)
{
	struct value *args = args_of(M_ResourcePool_CreateResourcePool);

	value_set_str(t.a, args, A_ResourcePool_CreateResourcePool_name, name);
	value_set(t.a, args, A_ResourcePool_CreateResourcePool_spec, spec);
	call(parent, M_ResourcePool_CreateResourcePool, args);
}

static void update_pool(struct object *pool, const char *name, const struct value *spec)
{
	struct value *args = args_of(M_ResourcePool_UpdateConfig);

	value_set_str(t.a, args, A_ResourcePool_UpdateConfig_name, name);
	value_set(t.a, args, A_ResourcePool_UpdateConfig_config, spec);
	call(pool, M_ResourcePool_UpdateConfig, args);
}

static void move_into_pool(struct object *pool, struct object *o)
{
	struct value *args = args_of(M_ResourcePool_MoveIntoResourcePool);
	struct value *list = value_new_array(t.a, T_ManagedEntity);

	value_push(t.a, list, o->ref);
	value_set(t.a, args, A_ResourcePool_MoveIntoResourcePool_list, list);
	call(pool, M_ResourcePool_MoveIntoResourcePool, args);
}

static void pools(void **state)
{
	(void)state;
	struct object *dc = new_datacenter("DC0");

	create_cluster(folder_of(dc, P_Datacenter_hostFolder), "C0", NULL);
	struct object *cluster = made(), *root = compute_root_pool(cluster);
	struct object *host = new_host("host-901", cluster, "h1");
	inventory_publish(t.c->inventory);
	create_pool(root, "p1", pool_spec(5000, false));
	struct object *p1 = made();
	create_pool(root, "p2", pool_spec(4000, true));
	refused(T_InsufficientCpuResourcesFault);
	create_pool(root, "p1", pool_spec(0, true));
	refused(T_DuplicateName);
	create_pool(root, "p2", pool_spec(-1, true));
	refused(T_InvalidArgument);
	create_pool(root, "p2", pool_spec(3000, true));
	struct object *p2 = made();
	create_pool(p1, "inner", pool_spec(5001, true));
	refused(T_InsufficientCpuResourcesFault);
	create_pool(p1, "inner", pool_spec(2000, true));
	struct object *inner = made();
	update_pool(p1, NULL, pool_spec(1000, false));
	succeeded();
	update_pool(p1, "p2", NULL);
	refused(T_DuplicateName);
	update_pool(root, NULL, pool_spec(1, true));
	refused(T_NotSupported);
	move_into_pool(inner, p1);
	refused(T_InvalidArgument);
	move_into_pool(p2, inner);
	succeeded();
	assert_ptr_equal(at("DC0/host/C0/Resources/p2/inner"), inner);

	struct object *vm = new_vm("vm-902", "web", folder_of(dc, P_Datacenter_vmFolder), p2, host);
	move_into_pool(inner, vm);
	succeeded();
	assert_ptr_equal(place_ref(vm, P_VirtualMachine_resourcePool), inner);
	destroy(root);
	refused(T_NotSupported);
	/* What is in a pool that goes is left to the one above. */
	destroy(inner);
	succeeded();
	assert_ptr_equal(place_ref(vm, P_VirtualMachine_resourcePool), p2);
	call(root, M_ResourcePool_DestroyChildren, NULL);
	succeeded();
	assert_ptr_equal(place_ref(vm, P_VirtualMachine_resourcePool), root);
	assert_int_equal(place_count(root, P_ResourcePool_resourcePool), 0);
	assert_int_equal(place_count(root, P_ResourcePool_vm), 1);
}

static void vapps(void **state)
{
	(void)state;
	struct object *dc = new_datacenter("DC0");
	struct error e = { 0 };

	create_cluster(folder_of(dc, P_Datacenter_hostFolder), "C0", NULL);
	struct object *cluster = made();
	struct object *vms = folder_of(dc, P_Datacenter_vmFolder);
	struct object *host = new_host("host-901", cluster, "h1");
	struct object *app = pool_create_vapp(t.c, compute_root_pool(cluster), "app", vms, &e);
	assert_non_null(app);
	struct object *vm = new_vm("vm-902", "web", vms, app, host);
	assert_ptr_equal(place_ref(vm, P_VirtualMachine_resourcePool), app);
	assert_null(place_ref(vm, P_VirtualMachine_parentVApp));
	assert_int_equal(place_count(vms, P_Folder_childEntity), 2);
	place_leave(t.c, vm);
	inventory_remove(vm);
	database_begin(t.c->db);
	database_drop_entity(t.c->db, "vm-902");
	assert_true(database_commit(t.c->db, NULL));
	restart();
	vms = at("DC0/vm");
	assert_int_equal(place_count(vms, P_Folder_childEntity), 1);
	app = place_at(vms, P_Folder_childEntity, 0);
	assert_true(schema_is_a(app->type, T_VirtualApp));
	assert_ptr_equal(at("DC0/host/C0/Resources/app"), app);
	destroy(app);
	succeeded();
	assert_int_equal(place_count(vms, P_Folder_childEntity), 0);
}

/* ---- switches ---- */

static struct value *dvs_args(const char *name, const char *version)
{
	struct value *args = args_of(M_Folder_CreateDVS_Task);
	struct value *create = value_new(t.a, T_DVSCreateSpec);
	struct value *config = value_new(t.a, T_VMwareDVSConfigSpec);
	struct value *product = value_new(t.a, T_DistributedVirtualSwitchProductSpec);

	value_set_str(t.a, config, F_DVSConfigSpec_name, name);
	value_set_str(t.a, product, F_DistributedVirtualSwitchProductSpec_version, version);
	value_set(t.a, create, F_DVSCreateSpec_configSpec, config);
	value_set(t.a, create, F_DVSCreateSpec_productInfo, product);
	value_set(t.a, args, A_Folder_CreateDVS_Task_spec, create);
	return args;
}

static void member(struct object *dvs, struct object *host, const char *op, const char *version)
{
	struct value *args = args_of(M_DistributedVirtualSwitch_ReconfigureDvs_Task);
	struct value *spec = value_new(t.a, T_VMwareDVSConfigSpec);
	struct value *list = value_new_array(t.a, T_DistributedVirtualSwitchHostMemberConfigSpec);
	struct value *change = value_new(t.a, T_DistributedVirtualSwitchHostMemberConfigSpec);

	value_set_str(t.a, change, F_DistributedVirtualSwitchHostMemberConfigSpec_operation, op);
	value_set(t.a, change, F_DistributedVirtualSwitchHostMemberConfigSpec_host, host->ref);
	value_push(t.a, list, change);
	value_set(t.a, spec, F_DVSConfigSpec_host, list);
	value_set_str(t.a, spec, F_DVSConfigSpec_configVersion, version);
	value_set(t.a, args, A_DistributedVirtualSwitch_ReconfigureDvs_Task_spec, spec);
	call(dvs, M_DistributedVirtualSwitch_ReconfigureDvs_Task, args);
}

static const char *dvs_version(struct object *dvs)
{
	return value_get_str(object_get(dvs, P_DistributedVirtualSwitch_config, t.a),
			     F_DVSConfigInfo_configVersion);
}

static void switches(void **state)
{
	(void)state;
	struct object *dc = new_datacenter("DC0");
	struct object *nets = folder_of(dc, P_Datacenter_networkFolder);
	struct error e = { 0 };

	call(nets, M_Folder_CreateDVS_Task, dvs_args("DVS0", "1.0"));
	refused(T_InvalidArgument);
	call(folder_of(dc, P_Datacenter_vmFolder), M_Folder_CreateDVS_Task, dvs_args("DVS0", NULL));
	refused(T_NotSupported);
	/* A host that does not exist: no switch is left behind. */
	struct value *args = dvs_args("DVS0", NULL);
	struct value *config =
		value_edit(t.a, value_get_value(value_get_value(args, A_Folder_CreateDVS_Task_spec),
						F_DVSCreateSpec_configSpec));
	struct value *list = value_new_array(t.a, T_DistributedVirtualSwitchHostMemberConfigSpec);
	struct value *change = value_new(t.a, T_DistributedVirtualSwitchHostMemberConfigSpec);
	struct value *create = value_edit(t.a, value_get_value(args, A_Folder_CreateDVS_Task_spec));
	value_set_str(t.a, change, F_DistributedVirtualSwitchHostMemberConfigSpec_operation, "add");
	value_set_ref(t.a, change, F_DistributedVirtualSwitchHostMemberConfigSpec_host,
		      T_HostSystem, "host-404");
	value_push(t.a, list, change);
	value_set(t.a, config, F_DVSConfigSpec_host, list);
	value_set(t.a, create, F_DVSCreateSpec_configSpec, config);
	value_set(t.a, args, A_Folder_CreateDVS_Task_spec, create);
	call(nets, M_Folder_CreateDVS_Task, args);
	refused(T_ManagedObjectNotFound);
	assert_int_equal(place_count(nets, P_Folder_childEntity), 0);
	call(nets, M_Folder_CreateDVS_Task, dvs_args("DVS0", "8.0.0"));
	struct object *dvs = made();
	assert_int_equal(place_count(dvs, P_DistributedVirtualSwitch_portgroup), 1);
	call(nets, M_Folder_CreateDVS_Task, dvs_args("DVS0", NULL));
	refused(T_DuplicateName);
	assert_non_null(dvs_create_portgroup(t.c, dvs, "pg", &e));

	create_cluster(folder_of(dc, P_Datacenter_hostFolder), "C0", NULL);
	struct object *cluster = made();
	struct object *host = new_host("host-901", cluster, "h1");
	member(dvs, host, "add", "77");
	refused(T_ConcurrentAccess);
	member(dvs, host, "remove", dvs_version(dvs));
	refused(T_NotFound);
	member(dvs, host, "add", dvs_version(dvs));
	succeeded();
	member(dvs, host, "add", dvs_version(dvs));
	refused(T_AlreadyExists);
	struct object *pg = at("DC0/network/pg");
	assert_ptr_equal(place_at(pg, P_Network_host, 0), host);
	inventory_publish(t.c->inventory);
	assert_int_equal(place_count(cluster, P_ComputeResource_network), 2);
	assert_int_equal(place_count(dc, P_Datacenter_network), 2);
	rename_to(pg, "pg2");
	succeeded();
	member(dvs, host, "remove", dvs_version(dvs));
	succeeded();
	restart();
	pg = at("DC0/network/pg2");
	assert_non_null(pg);
	dvs = at("DC0/network/DVS0");
	const struct value *summary = object_get(dvs, P_DistributedVirtualSwitch_summary, t.a);
	assert_int_equal(value_count(value_get_value(summary, F_DVSSummary_portgroupName)), 2);
	destroy(place_at(dvs, P_DistributedVirtualSwitch_portgroup, 0));
	refused(T_ResourceInUse);
	destroy(pg);
	succeeded();
	destroy(dvs);
	succeeded();
	assert_int_equal(place_count(at("DC0/network"), P_Folder_childEntity), 0);
}

/* ---- all of it over a restart ---- */

static void nothing_is_lost(void **state)
{
	(void)state;
	struct object *dc = new_datacenter("DC0");
	struct object *hosts = folder_of(dc, P_Datacenter_hostFolder);

	create_cluster(hosts, "C0", NULL);
	struct object *cluster = made();
	create_pool(compute_root_pool(cluster), "p", pool_spec(0, true));
	create_folder(hosts, "later");
	struct object *later = made();
	move_to(later, cluster); /* its row stands before its parent's */
	succeeded();
	char id[CENTER_ID_MAX];
	snprintf(id, sizeof(id), "%s", object_id(cluster));
	int64_t next = t.c->next_id;
	restart();
	assert_non_null(at("DC0/host/later/C0/Resources/p"));
	assert_string_equal(object_id(at("DC0/host/later/C0")), id);
	assert_int_equal(t.c->next_id, next);
	assert_ptr_equal(place_folder(at("DC0"), P_Datacenter_hostFolder), at("DC0/host"));

	destroy(at("DC0"));
	succeeded();
	assert_null(at("DC0"));
	restart();
	assert_int_equal(place_count(t.c->root, P_Folder_childEntity), 0);
	assert_int_equal(t.c->next_id, next); /* ids do not come back */
	new_datacenter("DC0");
}

/* These VMs have no methods of their own: the task says so for each. */
static void many_power_on(void **state)
{
	(void)state;
	struct object *dc = new_datacenter("DC0");
	struct value *args = args_of(M_Datacenter_PowerOnMultiVM_Task);
	struct value *vms = value_new_array(t.a, T_VirtualMachine);

	create_cluster(folder_of(dc, P_Datacenter_hostFolder), "C0", NULL);
	struct object *cluster = made();
	struct object *host = new_host("host-901", cluster, "h1");
	struct object *vm = new_vm("vm-902", "web", folder_of(dc, P_Datacenter_vmFolder),
				   compute_root_pool(cluster), host);
	value_push(t.a, vms, vm->ref);
	value_push(t.a, vms, value_new_ref(t.a, T_VirtualMachine, "vm-404"));
	value_set(t.a, args, A_Datacenter_PowerOnMultiVM_Task_vm, vms);
	call(dc, M_Datacenter_PowerOnMultiVM_Task, args);
	succeeded();
	assert_true(value_is_a(t.result, T_ClusterPowerOnVmResult));
	const struct value *left = value_get_value(t.result, F_ClusterPowerOnVmResult_notAttempted);
	assert_int_equal(value_count(left), 2);
	static const uint16_t why[] = { T_NotSupported, T_ManagedObjectNotFound };
	for (size_t i = 0; i < ARRAY_LEN(why); i++) {
		const struct value *fault = value_get_value(
			value_get_value(value_item(left, i), F_ClusterNotAttemptedVmInfo_fault),
			F_LocalizedMethodFault_fault);
		assert_int_equal(fault->type, why[i]);
	}
}

static void damage_is_told(void **state)
{
	(void)state;
	struct error e = { 0 };

	database_begin(t.c->db);
	database_put_entity(t.c->db, &(struct database_entity){ .id = "group-v7",
								.type = "Folder",
								.parent = "group-v8",
								.name = "a" });
	database_put_entity(t.c->db, &(struct database_entity){ .id = "group-v8",
								.type = "Folder",
								.parent = "group-v7",
								.name = "b" });
	assert_true(database_commit(t.c->db, NULL));
	struct center *running = t.c;
	database_close(running->db);
	running->db = NULL;
	center_free(running);
	t.c = NULL;
	stop();
	assert_int_equal(uv_loop_init(&t.loop), 0);
	t.users = user_store_open(NULL, &e);
	t.api = api_new(&(struct api_config){ .kind = API_CENTER,
					      .loop = &t.loop,
					      .clock = clock_real(),
					      .instance_uuid = "u",
					      .users = t.users },
			&e);
	t.c = center_new(
		&(struct center_config){
			.loop = &t.loop, .clock = clock_real(), .api = t.api, .state = t.state },
		&e);
	assert_null(t.c);
	assert_int_equal(e.kind, ERROR_CORRUPT);
	assert_non_null(strstr(e.msg, "group-v7"));
	t.a = arena_new(0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(names_and_folders), TEST(moves),	 TEST(clusters),
		TEST(hosts_add_up),	 TEST(pools),	 TEST(vapps),
		TEST(many_power_on),	 TEST(switches), TEST(nothing_is_lost),
		TEST(damage_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
