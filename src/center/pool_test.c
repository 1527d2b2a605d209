/* SPDX-License-Identifier: Apache-2.0 */
/* What hosts, pools and vApps of a cluster add up to and move between. */
#include "center/pool.h"

#include <stdio.h>
#include <string.h>

#include "center/center_rig.h"
#include "center/compute.h"
#include "center/database.h"
#include "center/place.h"

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

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(hosts_add_up),
		TEST(pools),
		TEST(vapps),
		TEST(many_power_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
