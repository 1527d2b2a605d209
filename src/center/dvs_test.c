/* SPDX-License-Identifier: Apache-2.0 */
/* Distributed switches and their port groups in the inventory. */
#include "center/dvs.h"

#include <stdio.h>
#include <string.h>

#include "center/center_rig.h"
#include "center/place.h"

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

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(switches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
