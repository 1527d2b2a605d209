/* SPDX-License-Identifier: Apache-2.0 */
/* The manager's own inventory through its API: folders, clusters, what survives a restart. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "center/center_rig.h"
#include "center/compute.h"
#include "center/database.h"
#include "center/folder.h"
#include "center/place.h"

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
	start_refused(&e);
	assert_int_equal(e.kind, ERROR_CORRUPT);
	assert_non_null(strstr(e.msg, "group-v7"));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(names_and_folders), TEST(moves),	       TEST(clusters),
		TEST(nothing_is_lost),	 TEST(damage_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
