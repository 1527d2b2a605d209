/* SPDX-License-Identifier: Apache-2.0 */
/* VMs that move between two fake hosts, with all that can happen to them on the way. */
#include "center/migration.h"

#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "center/database.h"
#include "center/fake_migration.h"
#include "center/fake_policy.h"
#include "center/hosts.h"
#include "center/hosts_rig.h"
#include "center/intent_card.h"
#include "center/member.h"
#include "center/place.h"

#define VM    "52000000-0000-4000-8000-000000000001"
#define OTHER "52000000-0000-4000-8000-000000000002"
#define MAC   "00:50:56:00:00:01"

static struct {
	struct fake_policy policy[2];
	struct fake_migration at[2];
	struct object *system[2];
	char host[2][48];     /* their ids */
	struct object *there; /* the VM on its first host */
	char id[32];	      /* of the VM here */
} g;

static void serve(int i)
{
	fake_policy_serve(&g.policy[i], t.host[i]);
	fake_migration_serve(&g.at[i], t.host[i]);
}

static void add(int i, const char *name, const char *uuid, const char *endpoint)
{
	t.host[i] = fake_host_new(&t.loop, name, uuid, t.folder);
	g.policy[i].endpoint = endpoint;
	serve(i);
	add_by(host_spec(t.host[i]));
	expect_ok();
	g.system[i] = place_at(result_object(), P_ComputeResource_host, 0);
	snprintf(g.host[i], sizeof(g.host[i]), "%s", object_id(g.system[i]));
}

static struct object *vm(void)
{
	return inventory_find(t.c->inventory, g.id);
}

static void begin_world(void)
{
	memset(&g, 0, sizeof(g));
	add(0, "one", UUID_1, "10.255.0.1");
	add(1, "two", UUID_2, "10.255.0.2");
	g.there = fake_policy_add_vm(t.host[0], "web", VM, MAC, "seg");
	fake_host_set_power(t.host[0], g.there, E_VirtualMachinePowerState_poweredOn);
	wait_for(vm_here("web") != NULL);
	snprintf(g.id, sizeof(g.id), "%s", object_id(vm_here("web")));
}

static void end_world(void)
{
	for (int i = 0; i < 2; i++) {
		fake_policy_fini(&g.policy[i]);
		fake_migration_fini(&g.at[i]);
	}
}

/* MigrateVM_Task to the second host; the task is in t.result. */
static void migrate(void)
{
	struct value *args = args_of(M_VirtualMachine_MigrateVM_Task);

	value_set(t.a, args, A_VirtualMachine_MigrateVM_Task_host, g.system[1]->ref);
	value_set_num(t.a, args, A_VirtualMachine_MigrateVM_Task_priority,
		      E_VirtualMachineMovePriority_defaultPriority);
	begin(vm(), M_VirtualMachine_MigrateVM_Task, args);
	wait_for(t.is_answered);
}

static void migrate_until_started(void)
{
	migrate();
	assert_null(t.fault);
	wait_for(g.at[0].n_starts == 1 && g.at[0].waiting != NULL);
}

/* What the hosts do at the switch-over. */
static void arrive(void)
{
	struct object *o = fake_policy_add_vm(t.host[1], "web", VM, MAC, "seg");

	fake_host_set_power(t.host[1], o, E_VirtualMachinePowerState_poweredOn);
	fake_migration_set(&g.at[1], "done", 100);
}

static void leave(void)
{
	fake_host_remove_vm(t.host[0], g.there);
	fake_migration_set(&g.at[0], "done", 100);
}

static const char *host_of_vm(void)
{
	const struct value *runtime = object_get(vm(), P_VirtualMachine_runtime, t.a);

	return value_bytes(value_get_value(runtime, F_VirtualMachineRuntimeInfo_host));
}

static bool is_at(int i)
{
	return strcmp(host_of_vm(), g.host[i]) == 0;
}

static bool is_forgotten(void)
{
	return g.at[0].state == NULL && g.at[1].state == NULL;
}

static void count_row(void *arg, const char *id, const char *data)
{
	(void)id;
	(void)data;
	++*(unsigned *)arg;
}

static unsigned n_rows(void)
{
	unsigned n = 0;

	assert_true(database_each_migration(t.c->db, count_row, &n, NULL));
	return n;
}

static int64_t n_vms(void)
{
	return (int64_t)place_count(t.vms, P_Folder_childEntity);
}

/* ---- it goes well ---- */

static void test_moves(void **state)
{
	(void)state;
	begin_world();
	migrate_until_started();
	assert_true(migration_is_under_way(t.c, vm(), NULL));
	fake_migration_set(&g.at[0], "copying", 40);
	wait_for(value_get_num(task_info(), F_TaskInfo_progress, 0) == 40);
	assert_true(is_at(0));
	const struct intent_vm *card = intent_vm_by_uuid(t.c->intent, VM);
	assert_string_equal(card->member->id, g.host[0]);
	assert_string_equal(card->moving->id, g.host[1]);
	arrive();
	leave();
	take_task();
	expect_ok();
	assert_true(is_at(1));
	assert_int_equal(n_vms(), 1);
	assert_string_equal(place_name(vm()), "web");
	wait_for(intent_vm_by_uuid(t.c->intent, VM)->member != NULL &&
		 strcmp(intent_vm_by_uuid(t.c->intent, VM)->member->id, g.host[1]) == 0);
	assert_null(intent_vm_by_uuid(t.c->intent, VM)->moving);
	wait_for(is_forgotten() && n_rows() == 0);
	assert_false(migration_is_under_way(t.c, vm(), NULL));
	restart();
	wait_for(vm() != NULL && n_vms() == 1);
	assert_true(is_at(1));
	end_world();
}

/* The source shows the VM no more before the target shows it. */
static void test_gap(void **state)
{
	(void)state;
	begin_world();
	migrate_until_started();
	leave();
	turn(50);
	assert_non_null(vm());
	assert_int_equal(n_vms(), 1);
	arrive();
	take_task();
	expect_ok();
	assert_true(is_at(1));
	assert_int_equal(n_vms(), 1);
	wait_for(is_forgotten() && n_rows() == 0);
	end_world();
}

/* The source dies after the switch-over; the target tells. */
static void test_source_dies(void **state)
{
	(void)state;
	begin_world();
	migrate_until_started();
	arrive();
	fake_host_stop(t.host[0]);
	take_task();
	expect_ok();
	assert_true(is_at(1));
	assert_int_equal(n_rows(), 1); /* the source has to forget it yet */
	fake_host_remove_vm(t.host[0], g.there);
	g.at[0].state = "done";
	g.at[0].waiting = NULL;
	fake_host_serve(t.host[0]);
	serve(0);
	wait_for(is_forgotten() && n_rows() == 0);
	assert_true(is_at(1));
	assert_int_equal(n_vms(), 1);
	end_world();
}

/* ---- it does not ---- */

static void expect_stayed(uint16_t fault)
{
	take_task();
	expect_fault(fault);
	assert_true(is_at(0));
	assert_int_equal(n_vms(), 1);
	wait_for(is_forgotten() && n_rows() == 0);
	assert_false(migration_is_under_way(t.c, vm(), NULL));
}

static void test_refused_by_target(void **state)
{
	(void)state;
	begin_world();
	g.at[1].refusal =
		"{\"object\":\"web\",\"reason\":\"needs Cortex-A72, here is Neoverse-N1\","
		"\"fault\":\"CpuIncompatible\"}";
	migrate();
	expect_stayed(T_CpuIncompatible);
	assert_non_null(strstr(t.text, "Neoverse-N1"));
	assert_int_equal(g.at[0].n_starts, 0);
	end_world();
}

static void test_refused_by_source(void **state)
{
	(void)state;
	begin_world();
	g.at[0].refusal = "{\"object\":\"web\",\"reason\":\"no memory\",\"limit\":4096,"
			  "\"requested\":8192,\"fault\":\"InsufficientMemoryResourcesFault\"}";
	migrate();
	take_task();
	expect_fault(T_InsufficientMemoryResourcesFault);
	assert_int_equal(value_get_num(t.fault, F_InsufficientMemoryResourcesFault_requested, 0),
			 8192);
	assert_int_equal(value_get_num(t.fault, F_InsufficientMemoryResourcesFault_unreserved, 0),
			 4096);
	assert_int_equal(g.at[1].n_puts, 0);
	end_world();
}

/* Refusals that say nothing useful become a fault that every client can read. */
static void test_strange_refusals(void **state)
{
	static const char *const refusals[] = {
		"{\"reason\":\"x\",\"fault\":\"NoSuchFault\"}",
		"{\"reason\":\"x\",\"fault\":\"VirtualMachine\"}",
		"{\"reason\":17}",
		"[]",
		"{",
		"",
	};

	(void)state;
	begin_world();
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		g.at[1].refusal = refusals[i];
		migrate();
		expect_stayed(T_MigrationFault);
	}
	end_world();
}

static void test_fails(void **state)
{
	(void)state;
	begin_world();
	migrate_until_started();
	g.at[0].error =
		"{\"object\":\"datastore1\",\"reason\":\"is full\",\"fault\":\"NoDiskSpace\"}";
	fake_migration_set(&g.at[0], "failed", 10);
	expect_stayed(T_NoDiskSpace);
	end_world();
}

static void cancel(void)
{
	struct object *task = inventory_find_ref(t.c->inventory, t.result);
	const struct value *kept = value_hold(t.result);

	call(task, M_Task_CancelTask, NULL);
	expect_ok();
	value_drop(t.result);
	t.result = kept;
}

static void test_cancel(void **state)
{
	(void)state;
	begin_world();
	migrate_until_started();
	cancel();
	expect_stayed(T_RequestCanceled);
	end_world();
}

static void test_cancel_too_late(void **state)
{
	(void)state;
	begin_world();
	migrate_until_started();
	g.at[0].on_delete = "offered";
	fake_migration_set(&g.at[0], "offered", 99);
	cancel();
	wait_for(g.at[0].n_deletes == 1);
	turn(20);
	assert_int_equal(value_get_num(task_info(), F_TaskInfo_state, -1), E_TaskInfoState_running);
	arrive();
	leave();
	take_task();
	expect_ok();
	assert_true(is_at(1));
	end_world();
}

/* Before the target has answered. */
static void test_cancel_early(void **state)
{
	(void)state;
	begin_world();
	g.at[1].is_mute = true;
	migrate();
	wait_for(g.at[1].waiting != NULL);
	cancel();
	fake_migration_speak(&g.at[1]);
	expect_stayed(T_RequestCanceled);
	assert_int_equal(g.at[0].n_starts, 0);
	end_world();
}

static void test_busy(void **state)
{
	(void)state;
	begin_world();
	migrate_until_started();
	const struct value *first = value_hold(t.result);
	migrate();
	expect_fault(T_TaskInProgress);
	value_drop(t.result);
	t.result = first;
	fake_migration_set(&g.at[0], "cancelled", 0);
	expect_stayed(T_MigrationFault);
	end_world();
}

static void test_not_reachable(void **state)
{
	(void)state;
	begin_world();
	fake_host_stop(t.host[1]);
	wait_for(host_state(g.system[1]) == E_HostSystemConnectionState_notResponding);
	migrate();
	expect_fault(T_HostNotReachable);
	assert_int_equal(n_rows(), 0);
	end_world();
}

/* The target dies before it has taken the VM, which goes on where it is. */
static void test_target_dies(void **state)
{
	(void)state;
	begin_world();
	migrate_until_started();
	fake_host_stop(t.host[1]);
	g.at[0].error = "{\"object\":\"two\",\"reason\":\"does not answer\"}";
	fake_migration_set(&g.at[0], "failed", 50);
	take_task();
	expect_fault(T_MigrationFault);
	assert_true(is_at(0));
	assert_int_equal(n_rows(), 1);
	g.at[1].state = NULL; /* it has started anew */
	fake_host_serve(t.host[1]);
	serve(1);
	wait_for(n_rows() == 0);
	end_world();
}

/* The source has forgotten it before the target has had anything. */
static void test_source_gives_up(void **state)
{
	(void)state;
	begin_world();
	migrate_until_started();
	fake_migration_set(&g.at[0], NULL, 0);
	expect_stayed(T_MigrationFault);
	end_world();
}

enum {
	MANY = 6
};

/* Hosts have a few at a time; others wait. */
static void test_queue(void **state)
{
	const struct value *tasks[MANY];
	char name[16], uuid[40];

	(void)state;
	begin_world();
	g.at[0].is_mute = true;
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "many-%u", i);
		snprintf(uuid, sizeof(uuid), "52000000-0000-4000-8000-00000000010%u", i);
		fake_policy_add_vm(t.host[0], name, uuid, MAC, "seg");
		wait_for(vm_here(name) != NULL);
		snprintf(g.id, sizeof(g.id), "%s", object_id(vm_here(name)));
		migrate();
		assert_null(t.fault);
		tasks[i] = value_hold(t.result);
	}
	wait_for(g.at[0].n_mute == 4);
	turn(100);
	assert_int_equal(g.at[0].n_mute, 4);
	fake_host_stop(t.host[0]);
	for (unsigned i = 0; i < MANY; i++) {
		value_drop(t.result);
		t.result = tasks[i];
		take_task();
		expect_fault(T_HostNotReachable);
	}
	end_world();
}

/* ---- the manager dies ---- */

static void test_manager_dies(void **state)
{
	(void)state;
	begin_world();
	migrate_until_started();
	stop();
	arrive();
	leave();
	start();
	wait_for(vm() != NULL);
	wait_for(is_forgotten() && n_rows() == 0);
	assert_int_equal(n_vms(), 1);
	assert_string_equal(place_name(vm()), "web");
	wait_for(vm_power(vm()) == E_VirtualMachinePowerState_poweredOn);
	struct member *m = mirrored_member(vm());
	assert_string_equal(member_name(m), t.host[1]->name);
	end_world();
}

/* While it is being copied: the next manager follows it to its end. */
static void test_manager_dies_in_the_midst(void **state)
{
	(void)state;
	begin_world();
	migrate_until_started();
	restart();
	wait_for(g.at[0].waiting != NULL);
	assert_true(migration_is_under_way(t.c, vm(), NULL));
	arrive();
	leave();
	wait_for(is_forgotten() && n_rows() == 0);
	assert_int_equal(n_vms(), 1);
	assert_string_equal(member_name(mirrored_member(vm())), t.host[1]->name);
	end_world();
}

/* Before it was started: the next manager has it cancelled. */
static void test_manager_dies_before(void **state)
{
	(void)state;
	begin_world();
	g.at[1].is_mute = true;
	migrate();
	wait_for(g.at[1].waiting != NULL);
	stop();
	g.at[1].is_mute = false;
	g.at[1].waiting = NULL;
	g.at[1].state = "prepared";
	g.at[1].version = 1; /* or a question for what comes after 0 waits */
	start();
	wait_for(n_rows() == 0);
	assert_true(is_forgotten());
	assert_int_equal(g.at[0].n_starts, 0);
	assert_int_equal(n_vms(), 1);
	assert_string_equal(member_name(mirrored_member(vm())), t.host[0]->name);
	end_world();
}

static void test_host_removed(void **state)
{
	(void)state;
	begin_world();
	migrate_until_started();
	const struct value *task = value_hold(t.result);
	call(place_parent(g.system[1]), M_ManagedEntity_Destroy_Task, NULL);
	expect_ok();
	value_drop(t.result);
	t.result = task;
	take_task();
	expect_fault(T_HostNotConnected);
	assert_int_equal(n_rows(), 0);
	assert_true(is_at(0));
	end_world();
}

/* ---- what is asked beforehand ---- */

static struct object *checker(const char *id)
{
	return inventory_find(t.c->inventory, id);
}

static const struct value *check_error(void)
{
	assert_int_equal(value_count(t.result), 1);
	const struct value *errors = value_get_value(value_item(t.result, 0), F_CheckResult_error);
	return value_count(errors) == 0
		       ? NULL
		       : value_get_value(value_item(errors, 0), F_LocalizedMethodFault_fault);
}

static void check_migrate(void)
{
	struct value *args = args_of(M_VirtualMachineProvisioningChecker_CheckMigrate_Task);

	value_set(t.a, args, A_VirtualMachineProvisioningChecker_CheckMigrate_Task_vm, vm()->ref);
	value_set(t.a, args, A_VirtualMachineProvisioningChecker_CheckMigrate_Task_host,
		  g.system[1]->ref);
	call(checker("ProvChecker"), M_VirtualMachineProvisioningChecker_CheckMigrate_Task, args);
	expect_ok();
}

static void test_checks(void **state)
{
	(void)state;
	begin_world();
	check_migrate();
	assert_null(check_error());
	fake_host_stop(t.host[1]);
	wait_for(host_state(g.system[1]) == E_HostSystemConnectionState_notResponding);
	check_migrate();
	assert_true(value_is_a(check_error(), T_HostNotReachable));
	end_world();
}

static void test_other_pool_and_folder(void **state)
{
	(void)state;
	begin_world();
	struct value *folder = args_of(M_Folder_CreateFolder);
	value_set_str(t.a, folder, A_Folder_CreateFolder_name, "moved");
	call(t.vms, M_Folder_CreateFolder, folder);
	expect_ok();
	struct object *to = result_object();
	struct value *args = args_of(M_VirtualMachine_RelocateVM_Task);
	struct value *spec = value_new(t.a, T_VirtualMachineRelocateSpec);
	value_set(t.a, spec, F_VirtualMachineRelocateSpec_host, g.system[1]->ref);
	value_set(t.a, spec, F_VirtualMachineRelocateSpec_folder, to->ref);
	value_set(t.a, args, A_VirtualMachine_RelocateVM_Task_spec, spec);
	begin(vm(), M_VirtualMachine_RelocateVM_Task, args);
	wait_for(t.is_answered);
	assert_null(t.fault);
	wait_for(g.at[0].n_starts == 1);
	arrive();
	leave();
	take_task();
	expect_ok();
	assert_ptr_equal(place_parent(vm()), to);
	struct object *pool = place_ref(vm(), P_VirtualMachine_resourcePool);
	assert_ptr_equal(place_parent(pool), place_parent(g.system[1]));
	end_world();
}

#define unit(test) cmocka_unit_test_setup_teardown(test, setup_kept, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit(test_moves),
		unit(test_gap),
		unit(test_source_dies),
		unit(test_refused_by_target),
		unit(test_refused_by_source),
		unit(test_strange_refusals),
		unit(test_fails),
		unit(test_cancel),
		unit(test_cancel_too_late),
		unit(test_cancel_early),
		unit(test_busy),
		unit(test_not_reachable),
		unit(test_target_dies),
		unit(test_source_gives_up),
		unit(test_queue),
		unit(test_manager_dies),
		unit(test_manager_dies_in_the_midst),
		unit(test_manager_dies_before),
		unit(test_host_removed),
		unit(test_checks),
		unit(test_other_pool_and_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
