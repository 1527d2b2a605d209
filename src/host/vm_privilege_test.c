/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what to VMs: each deed wants just the privileges that vSphere documents for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "host/vm_device.h"
#include "host/vm_impl.h"
#include "host/vm_world.h"
#include "vim/authorization.h"

#define SPEC(f) F_VirtualMachineConfigSpec_##f

static struct world w;
static char folder[64];
static int32_t role;
static struct privilege_set held;

static void logged_in(void *arg, struct session *s, const struct error *e)
{
	(void)arg;
	if (s == NULL) {
		fail_msg("%s", e->msg);
	}
	w.as = s;
}

static bool is_logged_in(void *arg)
{
	(void)arg;
	return w.as != NULL;
}

/* Bob has a role of his own on everything, empty at first. */
static int up(void **state)
{
	struct error e = { 0 };

	(void)state;
	world_folder_make(folder);
	world_up(&w, folder, false);
	struct authorization *a = session_authorization(w.api->sessions);
	memset(&held, 0, sizeof(held));
	assert_true(user_set(w.users, "bob", "bob-Pass-1!", NULL, &e));
	role = authorization_set_role(a, 0, "bob", &held, &e);
	assert_int_not_equal(role, 0);
	struct permission_vec all = authorization_copy(a);
	char entity[] = "ha-folder-root", name[] = "bob";
	struct permission p = {
		.entity = entity, .principal = name, .is_propagating = true, .role = role
	};
	permission_add(&all, &p);
	assert_true(authorization_replace(a, &all, &e));
	session_login(w.api->sessions, "bob", "bob-Pass-1!", "127.0.0.1", logged_in, NULL);
	world_wait(&w, is_logged_in, NULL);
	return 0;
}

static int down(void **state)
{
	(void)state;
	world_down(&w);
	world_folder_remove(folder);
	return 0;
}

static void grant(const char *privilege)
{
	struct error e = { 0 };

	int i = privilege_find(privilege);
	assert_true(i >= 0);
	privilege_set_add(&held, (unsigned)i);
	assert_true(authorization_set_role(session_authorization(w.api->sessions), role, "bob",
					   &held, &e) != 0);
}

static struct vm *create_as_program(const char *name)
{
	struct session *bob = w.as;

	w.as = NULL;
	struct vm *vm = world_create(&w, world_spec(&w, name, 64));
	w.as = bob;
	assert_non_null(vm);
	return vm;
}

/* Refused for want of exactly this privilege, which is then granted. */
static void wants(bool done, const char *privilege)
{
	assert_false(done);
	if (w.fault == NULL || value_type(w.fault) != T_NoPermission) {
		fail_msg("%s: %s", privilege, w.text);
	}
	assert_string_equal(value_get_str(w.fault, F_NoPermission_privilegeId), privilege);
	grant(privilege);
}

static void creating(void **state)
{
	(void)state;
	static const char *const needed[] = { "VirtualMachine.Inventory.Create",
					      "Resource.AssignVMToPool", "Datastore.AllocateSpace",
					      "Network.Assign" };

	for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
		wants(world_create(&w, world_spec(&w, "web", 64)) != NULL, needed[i]);
		assert_null(world_find(&w, "web"));
	}
	assert_non_null(world_create(&w, world_spec(&w, "web", 64)));
}

static void power(void **state)
{
	(void)state;
	struct vm *vm = create_as_program("web");

	wants(world_power(&w, vm, M_VirtualMachine_PowerOnVM_Task),
	      "VirtualMachine.Interact.PowerOn");
	assert_true(world_power(&w, vm, M_VirtualMachine_PowerOnVM_Task));
	wants(world_power(&w, vm, M_VirtualMachine_ResetVM_Task), "VirtualMachine.Interact.Reset");
	wants(world_power(&w, vm, M_VirtualMachine_SuspendVM_Task),
	      "VirtualMachine.Interact.Suspend");
	wants(world_power(&w, vm, M_VirtualMachine_PowerOffVM_Task),
	      "VirtualMachine.Interact.PowerOff");
	assert_true(world_power(&w, vm, M_VirtualMachine_PowerOffVM_Task));
	wants(world_power(&w, vm, M_ManagedEntity_Destroy_Task), "VirtualMachine.Inventory.Delete");
	assert_true(world_power(&w, vm, M_ManagedEntity_Destroy_Task));
}

static void changing(void **state)
{
	(void)state;
	struct vm *vm = create_as_program("web");
	struct value *spec = value_new(w.arena, T_VirtualMachineConfigSpec);
	const struct value *devices = vm_devices(vm_config(vm));

	value_set_str(w.arena, spec, SPEC(name), "shop");
	wants(world_reconfigure(&w, vm, spec), "VirtualMachine.Config.Rename");
	value_set_num(w.arena, spec, SPEC(numCPUs), 2);
	wants(world_reconfigure(&w, vm, spec), "VirtualMachine.Config.CPUCount");
	value_set_num(w.arena, spec, SPEC(memoryMB), 64);
	wants(world_reconfigure(&w, vm, spec), "VirtualMachine.Config.Memory");
	value_set_str(w.arena, spec, SPEC(annotation), "x");
	wants(world_reconfigure(&w, vm, spec), "VirtualMachine.Config.Annotation");
	world_change(&w, spec, E_VirtualDeviceConfigSpecOperation_edit,
		     value_edit(w.arena, vm_device_find(devices, 4000)));
	wants(world_reconfigure(&w, vm, spec), "VirtualMachine.Config.EditDevice");
	world_change(&w, spec, E_VirtualDeviceConfigSpecOperation_remove,
		     value_edit(w.arena, vm_device_find(devices, 2000)));
	wants(world_reconfigure(&w, vm, spec), "VirtualMachine.Config.RemoveDisk");
	assert_true(world_reconfigure(&w, vm, spec));
	assert_string_equal(vm_name(vm), "shop");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(creating, up, down),
		cmocka_unit_test_setup_teardown(power, up, down),
		cmocka_unit_test_setup_teardown(changing, up, down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
