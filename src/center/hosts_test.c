/* SPDX-License-Identifier: Apache-2.0 */
/* The layer of hosts against hosts made of the engine, in the process and over HTTPS. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "center/compute.h"
#include "center/hosts.h"
#include "center/hosts_rig.h"
#include "center/member.h"
#include "center/place.h"
#include "center/same_host.h"
#include "vim/authorization.h"

/* ---- adding ---- */

static void adding_is_checked(void **state)
{
	(void)state;
	t.host[0] = fake_host_new(&t.loop, "h0", UUID_1, t.folder);
	struct value *spec = host_spec(t.host[0]);

	value_unset(spec, F_HostConnectSpec_sslThumbprint);
	add_by(spec);
	expect_fault(T_SSLVerifyFault);
	assert_string_equal(value_get_str(t.fault, F_SSLVerifyFault_thumbprint),
			    t.host[0]->thumbprints.sha1);

	spec = host_spec(t.host[0]);
	value_set_str(t.a, spec, F_HostConnectSpec_sslThumbprint,
		      "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33");
	add_by(spec);
	expect_fault(T_SSLVerifyFault);

	spec = host_spec(t.host[0]);
	value_set_str(t.a, spec, F_HostConnectSpec_password, "wrong");
	add_by(spec);
	expect_fault(T_InvalidLogin);

	spec = host_spec(t.host[0]);
	value_set_num(t.a, spec, F_HostConnectSpec_port, 1);
	add_by(spec);
	expect_fault(T_NoHost);

	spec = host_spec(t.host[0]);
	value_set_str(t.a, spec, F_HostConnectSpec_hostName, "no such/host");
	add_by(spec);
	expect_fault(T_InvalidArgument);

	assert_int_equal(place_count(t.hosts, P_Folder_childEntity), 0);
	add_by(host_spec(t.host[0]));
	expect_ok();
	assert_string_equal(place_name(result_object()), "h0");
	add_by(host_spec(t.host[0]));
	expect_fault(T_AlreadyConnected);
	assert_string_equal(value_get_str(t.fault, F_AlreadyConnected_name), "h0");
	assert_int_equal(place_count(t.hosts, P_Folder_childEntity), 1);
}

static void same_host_by_another_way(void **state)
{
	(void)state;
	add_remote(0, "h0", UUID_1);
	t.host[1] = fake_host_new(&t.loop, "h1", UUID_1, t.folder);
	add_by(host_spec(t.host[1]));
	expect_fault(T_AlreadyConnected);
}

/* ---- operations ---- */

static void operations_are_forwarded(struct fake_host *h)
{
	struct object *there = fake_host_add_vm(h, "a");
	wait_for(vm_here("a") != NULL);
	struct object *vm = vm_here("a");

	call(vm, M_VirtualMachine_PowerOnVM_Task, NULL);
	expect_ok();
	assert_int_equal(vm_power(vm), E_VirtualMachinePowerState_poweredOn);

	struct value *spec = value_new(t.a, T_VirtualMachineConfigSpec);
	struct value *args = args_of(M_VirtualMachine_ReconfigVM_Task);
	value_set_str(t.a, spec, F_VirtualMachineConfigSpec_annotation, "no");
	value_set(t.a, args, A_VirtualMachine_ReconfigVM_Task_spec, spec);
	call(vm, M_VirtualMachine_ReconfigVM_Task, args);
	expect_fault(T_InvalidPowerState);
	assert_string_equal(t.text, "not now");
	assert_int_equal(value_get_num(t.fault, F_InvalidPowerState_existingState, -1),
			 E_VirtualMachinePowerState_poweredOn);

	/* Slow, shown with its progress, and cancelled. */
	begin(vm, M_VirtualMachine_PowerOffVM_Task, NULL);
	wait_for(t.is_answered && h->slow != NULL);
	expect_ok();
	wait_for(value_get_num(task_info(), F_TaskInfo_progress, 0) == 30 &&
		 value_get_bool(task_info(), F_TaskInfo_cancelable, false));
	assert_string_equal(value_get_str(task_info(), F_TaskInfo_entityName), "a");
	struct object *task = inventory_find_ref(t.c->inventory, t.result);
	const struct value *ref = value_hold(t.result);
	call(task, M_Task_CancelTask, NULL);
	expect_ok();
	on_done(NULL, ref, NULL, NULL);
	take_task();
	expect_fault(T_RequestCanceled);
	assert_int_equal(h->n_cancels, 1);
	value_drop(ref);

	/* And to its end. */
	begin(vm, M_VirtualMachine_PowerOffVM_Task, NULL);
	wait_for(t.is_answered && h->slow != NULL);
	fake_host_finish(h, NULL);
	take_task();
	expect_ok();
	assert_int_equal(vm_power(vm), E_VirtualMachinePowerState_poweredOff);

	args = args_of(M_ManagedEntity_Rename_Task);
	value_set_str(t.a, args, A_ManagedEntity_Rename_Task_newName, "b");
	call(vm, M_ManagedEntity_Rename_Task, args);
	expect_ok();
	assert_ptr_equal(vm_here("b"), vm);
	assert_string_equal(object_get_str(there, P_ManagedEntity_name), "b");
	fake_host_add_vm(h, "c");
	wait_for(vm_here("c") != NULL);
	args = args_of(M_ManagedEntity_Rename_Task);
	value_set_str(t.a, args, A_ManagedEntity_Rename_Task_newName, "c");
	call(vm, M_ManagedEntity_Rename_Task, args);
	expect_fault(T_DuplicateName);

	call(vm_here("c"), M_VirtualMachine_UnregisterVM, NULL);
	expect_ok();
	assert_null(vm_here("c"));
	call(vm, M_ManagedEntity_Destroy_Task, NULL);
	expect_ok();
	assert_null(vm_here("b"));
	assert_int_equal(h->n_vms, 0);
}

static void operations_in_process(void **state)
{
	(void)state;
	add_local(0, "h0", UUID_1);
	operations_are_forwarded(t.host[0]);
}

static void operations_over_https(void **state)
{
	(void)state;
	add_remote(0, "h0", UUID_1);
	operations_are_forwarded(t.host[0]);
}

/* Two hosts with a datastore and a network of the same names. */
static void vms_are_created_in_their_place(void **state)
{
	(void)state;
	struct object *first = add_remote(0, "h0", UUID_1), *second = add_remote(1, "h1", UUID_2);
	struct object *stores = place_folder(t.dc, P_Datacenter_datastoreFolder);
	struct object *networks = place_folder(t.dc, P_Datacenter_networkFolder);

	assert_int_equal(place_count(networks, P_Folder_childEntity), 1);
	assert_non_null(place_child(t.c, stores, "datastore1"));
	assert_non_null(place_child(t.c, stores, "datastore1 (1)"));
	struct object *network = place_child(t.c, networks, "VM Network");
	assert_int_equal(value_count(object_get(network, P_Network_host, t.a)), 2);

	struct value *args = args_of(M_Folder_CreateFolder);
	value_set_str(t.a, args, A_Folder_CreateFolder_name, "sub");
	call(t.vms, M_Folder_CreateFolder, args);
	expect_ok();
	struct object *sub = result_object();

	call(sub, M_Folder_CreateVM_Task, create_args("x", "[datastore1 (1)]", second));
	expect_ok();
	struct object *vm = result_object();
	assert_non_null(vm);
	assert_ptr_equal(place_parent(vm), sub);
	assert_int_equal(t.host[1]->n_vms, 1);
	const struct value *config = object_get(vm, P_VirtualMachine_config, t.a);
	const struct value *files = value_get_value(config, F_VirtualMachineConfigInfo_files);
	assert_string_equal(value_get_str(files, F_VirtualMachineFileInfo_vmPathName),
			    "[datastore1 (1)] x/x.vmx");

	/* That is another host's datastore. */
	call(sub, M_Folder_CreateVM_Task, create_args("y", "[datastore1]", second));
	assert_non_null(t.fault);
	assert_int_equal(t.host[1]->n_vms, 1);
	call(sub, M_Folder_CreateVM_Task, create_args("x", "[datastore1]", first));
	expect_fault(T_DuplicateName);
	call(t.hosts, M_Folder_CreateVM_Task, create_args("y", "[datastore1]", first));
	expect_fault(T_NotSupported);
	call(t.vms, M_Folder_CreateVM_Task, create_args("x", "[datastore1]", first));
	expect_ok();
	assert_int_equal(value_count(object_get(network, P_Network_vm, t.a)), 2);
}

/* ---- losing and finding hosts ---- */

static size_t n_events(const char *text)
{
	struct object *o = inventory_find(t.c->inventory, "EventManager");
	struct value *args = args_of(M_EventManager_QueryEvents);
	size_t n = 0;

	value_set(t.a, args, A_EventManager_QueryEvents_filter, value_new(t.a, T_EventFilterSpec));
	begin(o, M_EventManager_QueryEvents, args);
	assert_true(t.is_answered);
	for (size_t i = 0; i < value_count(t.result); i++) {
		const char *said =
			value_get_str(value_item(t.result, i), F_Event_fullFormattedMessage);
		n += said != NULL && strcmp(said, text) == 0;
	}
	return n;
}

static void a_host_vanishes(void **state)
{
	(void)state;
	struct object *system = add_remote(0, "h0", UUID_1);
	struct fake_host *h = t.host[0];
	struct object *there = fake_host_add_vm(h, "a");
	wait_for(vm_here("a") != NULL);
	struct object *vm = vm_here("a");

	fake_host_post(h, there);
	wait_for(n_events("a is powered on") == 1);
	begin(vm, M_VirtualMachine_PowerOffVM_Task, NULL);
	wait_for(t.is_answered && h->slow != NULL);
	fake_host_stop(h);
	take_task();
	expect_fault(T_HostNotReachable);
	wait_for(host_state(system) == E_HostSystemConnectionState_notResponding);
	assert_int_equal(
		num(vm, P_VirtualMachine_runtime, F_VirtualMachineRuntimeInfo_connectionState),
		E_VirtualMachineConnectionState_disconnected);
	assert_int_equal(vm_power(vm), E_VirtualMachinePowerState_poweredOff);
	call(vm, M_VirtualMachine_PowerOnVM_Task, NULL);
	expect_fault(T_HostNotReachable);

	/* Much happens there meanwhile. */
	fake_host_finish(h, NULL);
	fake_host_add_vm(h, "b");
	fake_host_set_power(h, there, E_VirtualMachinePowerState_poweredOn);
	fake_host_post(h, there);
	fake_host_serve(h);
	wait_for(host_state(system) == E_HostSystemConnectionState_connected);
	check_same(system, h);
	assert_ptr_equal(vm_here("a"), vm);
	assert_int_equal(vm_power(vm), E_VirtualMachinePowerState_poweredOn);
	assert_non_null(vm_here("b"));
	wait_for(n_events("a is powered on") == 2);
	turn(50);
	assert_int_equal(n_events("a is powered on"), 2);
}

static void references_stay(void **state)
{
	(void)state;
	struct object *system = add_remote(0, "h0", UUID_1);
	struct fake_host *h = t.host[0];
	struct object *there = fake_host_add_vm(h, "a");
	fake_host_set_power(h, there, E_VirtualMachinePowerState_poweredOn);
	fake_host_add_vm(h, "b");
	wait_for(vm_here("a") != NULL && vm_here("b") != NULL);
	fake_host_post(h, there);
	wait_for(n_events("a is powered on") == 1);
	check_same(system, h);
	char host_id[CENTER_ID_MAX], vm_id[CENTER_ID_MAX];
	snprintf(host_id, sizeof(host_id), "%s", object_id(system));
	snprintf(vm_id, sizeof(vm_id), "%s", object_id(vm_here("a")));

	/* Away: shown as it was seen last. */
	fake_host_stop(h);
	restart();
	system = inventory_find(t.c->inventory, host_id);
	assert_non_null(system);
	assert_int_equal(host_state(system), E_HostSystemConnectionState_notResponding);
	assert_string_equal(object_id(vm_here("a")), vm_id);
	assert_int_equal(vm_power(vm_here("a")), E_VirtualMachinePowerState_poweredOn);
	assert_int_equal(value_count(object_get(system, P_HostSystem_vm, t.a)), 2);

	fake_host_remove_vm(h, h->vms[1]);
	fake_host_serve(h);
	wait_for(host_state(system) == E_HostSystemConnectionState_connected);
	check_same(system, h);
	assert_string_equal(object_id(vm_here("a")), vm_id);
	assert_null(vm_here("b"));
	turn(50);
	assert_int_equal(n_events("a is powered on"), 1);
	restart();
	assert_null(vm_here("b"));
}

static void hosts_are_disconnected_and_removed(void **state)
{
	(void)state;
	struct object *system = add_remote(0, "h0", UUID_1);
	struct fake_host *h = t.host[0];
	fake_host_add_vm(h, "a");
	wait_for(vm_here("a") != NULL);

	call(system, M_HostSystem_DisconnectHost_Task, NULL);
	expect_ok();
	assert_int_equal(host_state(system), E_HostSystemConnectionState_disconnected);
	call(vm_here("a"), M_VirtualMachine_PowerOnVM_Task, NULL);
	expect_fault(T_HostNotConnected);
	char id[CENTER_ID_MAX];
	snprintf(id, sizeof(id), "%s", object_id(system));
	restart();
	turn(20);
	system = inventory_find(t.c->inventory, id);
	assert_int_equal(host_state(system), E_HostSystemConnectionState_disconnected);

	struct value *args = args_of(M_HostSystem_ReconnectHost_Task);
	struct value *spec = host_spec(h);
	value_set_str(t.a, spec, F_HostConnectSpec_password, "wrong");
	value_set(t.a, args, A_HostSystem_ReconnectHost_Task_cnxSpec, spec);
	call(system, M_HostSystem_ReconnectHost_Task, args);
	expect_fault(T_InvalidLogin);
	args = args_of(M_HostSystem_ReconnectHost_Task);
	value_set(t.a, args, A_HostSystem_ReconnectHost_Task_cnxSpec, host_spec(h));
	call(system, M_HostSystem_ReconnectHost_Task, args);
	expect_ok();
	check_same(system, h);

	call(system, M_ManagedEntity_Destroy_Task, NULL);
	expect_ok();
	assert_null(inventory_find(t.c->inventory, id));
	assert_int_equal(place_count(t.hosts, P_Folder_childEntity), 0);
	assert_int_equal(place_count(t.vms, P_Folder_childEntity), 0);
	restart();
	assert_int_equal(place_count(t.hosts, P_Folder_childEntity), 0);
	assert_int_equal(place_count(t.vms, P_Folder_childEntity), 0);
	add_by(host_spec(h));
	expect_ok();
	assert_non_null(vm_here("a"));
}

/* ---- permissions ---- */

static void permit(const char *entity)
{
	struct authorization *a = session_authorization(t.api->sessions);
	struct permission_vec v = authorization_copy(a);
	char principal[] = "ops";
	struct error e = { 0 };

	permission_add(&v, &(struct permission){ .entity = (char *)(uintptr_t)entity,
						 .principal = principal,
						 .role = ROLE_READ_ONLY });
	assert_true(authorization_replace(a, &v, &e));
}

static size_t n_permissions(void)
{
	return session_authorization(t.api->sessions)->permissions.n;
}

static void permissions_go_with_entities(void **state)
{
	(void)state;
	struct object *system = add_remote(0, "h0", UUID_1);
	struct fake_host *h = t.host[0];
	fake_host_add_vm(h, "a");
	fake_host_add_vm(h, "b");
	wait_for(vm_here("a") != NULL && vm_here("b") != NULL);
	char id[CENTER_ID_MAX];
	snprintf(id, sizeof(id), "%s", object_id(system));
	permit(object_id(vm_here("a")));
	permit(object_id(vm_here("b")));
	permit(id);
	assert_int_equal(n_permissions(), 4);

	/* Not when the manager or the host stops. */
	fake_host_stop(h);
	wait_for(host_state(system) == E_HostSystemConnectionState_notResponding);
	restart();
	turn(20);
	assert_int_equal(n_permissions(), 4);
	fake_host_serve(h);
	system = inventory_find(t.c->inventory, id);
	wait_for(host_state(system) == E_HostSystemConnectionState_connected);
	assert_int_equal(n_permissions(), 4);

	call(vm_here("a"), M_ManagedEntity_Destroy_Task, NULL);
	expect_ok();
	wait_for(n_permissions() == 3);
	/* As a kill leaves it: the VM is gone, the permission is not. */
	permit("vm-4711");
	restart();
	assert_int_equal(n_permissions(), 3);
	system = inventory_find(t.c->inventory, id);
	call(system, M_HostSystem_DisconnectHost_Task, NULL);
	call(system, M_ManagedEntity_Destroy_Task, NULL);
	expect_ok();
	wait_for(n_permissions() == 1);
	restart();
	assert_int_equal(n_permissions(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(adding_is_checked, setup_kept, teardown),
		cmocka_unit_test_setup_teardown(same_host_by_another_way, setup, teardown),
		cmocka_unit_test_setup_teardown(operations_in_process, setup, teardown),
		cmocka_unit_test_setup_teardown(operations_over_https, setup_kept, teardown),
		cmocka_unit_test_setup_teardown(vms_are_created_in_their_place, setup_kept,
						teardown),
		cmocka_unit_test_setup_teardown(a_host_vanishes, setup_kept, teardown),
		cmocka_unit_test_setup_teardown(references_stay, setup_kept, teardown),
		cmocka_unit_test_setup_teardown(hosts_are_disconnected_and_removed, setup_kept,
						teardown),
		cmocka_unit_test_setup_teardown(permissions_go_with_entities, setup_kept, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
