/* SPDX-License-Identifier: Apache-2.0 */
/* Random operations on VMs against a simple model; and being killed in the midst of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/number.h"
#include "host/vm_device.h"
#include "host/vm_impl.h"
#include "host/vm_world.h"

#define CONFIG(f) F_VirtualMachineConfigInfo_##f
#define SPEC(f)	  F_VirtualMachineConfigSpec_##f

enum {
	ON = E_VirtualMachinePowerState_poweredOn,
	OFF = E_VirtualMachinePowerState_poweredOff,
	SUSPENDED = E_VirtualMachinePowerState_suspended,
	N_NAMES = 12,
	N_STEPS = 2000,
	N_KILLS = 25,
};

/* What a VM of that name should be. */
struct model {
	bool exists, registered;
	int power, cpus, note, n_disks;
};

static struct world w;
static char folder[64];
static uint64_t seed = 4711;

static unsigned dice(unsigned n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(seed >> 33) % n;
}

static const char *name_of(int i)
{
	static char text[16];

	snprintf(text, sizeof(text), "vm-%d", i);
	return text;
}

static int count_disks(struct vm *vm)
{
	const struct value *devices = vm_devices(vm_config(vm));
	int n = 0;

	for (size_t i = 0; i < value_count(devices); i++) {
		n += value_is_a(value_item(devices, i), T_VirtualDisk);
	}
	return n;
}

static void check(const struct model *m, int i)
{
	struct vm *vm = world_find(&w, name_of(i));
	char note[16], path[64];

	assert_int_equal(vm != NULL, m->registered);
	snprintf(path, sizeof(path), "%s/%s.vmx", name_of(i), name_of(i));
	if (!w.simulated) {
		assert_int_equal(world_has_file(&w, path), m->exists);
	}
	if (vm == NULL) {
		return;
	}
	snprintf(note, sizeof(note), "%d", m->note);
	assert_int_equal(vm_power_state(vm), m->power);
	assert_int_equal(count_disks(vm), m->n_disks);
	assert_string_equal(value_get_str(vm_config(vm), CONFIG(annotation)), note);
	assert_int_equal(value_get_num(value_get_value(vm_config(vm), CONFIG(hardware)),
				       F_VirtualHardware_numCPU, 0),
			 m->cpus);
}

/* ---- operations: each does the same to the VM and to the model ---- */

static void do_create(struct model *m, int i)
{
	struct value *spec = world_spec(&w, name_of(i), dice(2) == 0 ? 0 : 64);

	value_set_str(w.arena, spec, SPEC(annotation), "0");
	struct vm *vm = world_create(&w, spec);
	assert_int_equal(vm != NULL, !m->registered);
	if (vm != NULL) {
		*m = (struct model){ .exists = true,
				     .registered = true,
				     .power = OFF,
				     .cpus = 1,
				     .n_disks = count_disks(vm) };
	}
}

static void do_power(struct model *m, struct vm *vm, uint16_t method, bool good, int after)
{
	assert_int_equal(world_power(&w, vm, method), good);
	if (good) {
		m->power = after;
	}
}

static void do_reconfigure(struct model *m, struct vm *vm)
{
	struct value *spec = value_new(w.arena, T_VirtualMachineConfigSpec);
	int note = (int)dice(1000), cpus = dice(3) == 0 ? 1 + (int)dice(4) : m->cpus;
	char text[16];

	snprintf(text, sizeof(text), "%d", note);
	value_set_str(w.arena, spec, SPEC(annotation), text);
	value_set_num(w.arena, spec, SPEC(numCPUs), cpus);
	bool good = w.simulated || m->power == OFF || cpus == m->cpus;
	assert_int_equal(world_reconfigure(&w, vm, spec), good);
	if (good) {
		m->note = note;
		m->cpus = cpus;
	}
}

static void do_disk(struct model *m, struct vm *vm)
{
	struct value *spec = value_new(w.arena, T_VirtualMachineConfigSpec), *change;
	const struct value *old = vm_device_find(vm_devices(vm_config(vm)), 2000);

	if (old != NULL) {
		change = world_change(&w, spec, E_VirtualDeviceConfigSpecOperation_remove,
				      value_edit(w.arena, old));
		value_set_num(w.arena, change, F_VirtualDeviceConfigSpec_fileOperation,
			      E_VirtualDeviceConfigSpecFileOperation_destroy);
	} else {
		struct value *disk = value_new(w.arena, T_VirtualDisk);
		value_set_num(w.arena, disk, F_VirtualDevice_key, -1);
		value_set_num(w.arena, disk, F_VirtualDevice_controllerKey, 1000);
		value_set_num(w.arena, disk, F_VirtualDisk_capacityInKB, 64);
		change = world_change(&w, spec, E_VirtualDeviceConfigSpecOperation_add, disk);
		value_set_num(w.arena, change, F_VirtualDeviceConfigSpec_fileOperation,
			      E_VirtualDeviceConfigSpecFileOperation_create);
	}
	bool good = w.simulated || m->power == OFF;
	if (world_reconfigure(&w, vm, spec) != good) {
		fail_msg("%s", w.text);
	}
	if (good) {
		m->n_disks += old == NULL ? 1 : -1;
	}
}

static void do_register(struct model *m, int i)
{
	struct value *args = value_new(w.arena, schema_method(M_Folder_RegisterVM_Task)->args);

	value_set_strf(w.arena, args, A_Folder_RegisterVM_Task_path, "[ds1] %s/%s.vmx", name_of(i),
		       name_of(i));
	value_set_bool(w.arena, args, A_Folder_RegisterVM_Task_asTemplate, false);
	bool good = m->exists && !m->registered;
	bool done = world_call(&w, w.host->vm_folder, M_Folder_RegisterVM_Task, args);
	assert_int_equal(done, good);
	if (good) {
		m->registered = true;
		m->power = OFF;
	}
}

static void step(struct model *all)
{
	int i = (int)dice(N_NAMES);
	struct model *m = &all[i];
	struct vm *vm = world_find(&w, name_of(i));

	arena_reset(w.arena);
	if (vm == NULL) {
		if (m->exists) {
			do_register(m, i);
		} else {
			do_create(m, i);
		}
		return;
	}
	switch (dice(10)) {
	case 0:
		do_create(m, i);
		break;
	case 1:
		do_power(m, vm, M_VirtualMachine_PowerOnVM_Task, m->power != ON, ON);
		break;
	case 2:
		do_power(m, vm, M_VirtualMachine_PowerOffVM_Task, m->power != OFF, OFF);
		break;
	case 3:
		do_power(m, vm, M_VirtualMachine_ResetVM_Task, m->power == ON, ON);
		break;
	case 4:
		do_power(m, vm, M_VirtualMachine_SuspendVM_Task, m->power == ON, SUSPENDED);
		break;
	case 5:
		if (world_power(&w, vm, M_ManagedEntity_Destroy_Task)) {
			assert_true(m->power != ON);
			*m = (struct model){ 0 };
		} else {
			assert_int_equal(m->power, ON);
		}
		break;
	case 6:
		if (!w.simulated && m->power == OFF) {
			assert_true(world_power(&w, vm, M_VirtualMachine_UnregisterVM));
			m->registered = false;
		}
		break;
	case 7:
		do_disk(m, vm);
		break;
	default:
		do_reconfigure(m, vm);
	}
	check(m, i);
}

static void run_model(bool simulated)
{
	struct model all[N_NAMES] = { 0 };

	world_folder_make(folder);
	world_up(&w, folder, simulated);
	for (int k = 0; k < N_STEPS; k++) {
		step(all);
		if (!simulated && k % 250 == 249) {
			world_down(&w);
			world_up(&w, folder, false);
			for (int i = 0; i < N_NAMES; i++) {
				all[i].power = OFF; /* the simulating driver forgets */
			}
		}
	}
	for (int i = 0; i < N_NAMES; i++) {
		check(&all[i], i);
	}
	world_down(&w);
	world_folder_remove(folder);
}

static void vms_are_what_the_model_says(void **state)
{
	(void)state;
	run_model(false);
}

static void simulated_vms_are_what_the_model_says(void **state)
{
	(void)state;
	run_model(true);
}

/* ---- killed ---- */

/* Reported before and after each operation: what is meant to be, and that it is. */
struct report {
	int vm, note;
	bool exists, done;
};

static void tell(int to, int vm, int note, bool exists, bool done)
{
	struct report r = { .vm = vm, .note = note, .exists = exists, .done = done };

	assert_int_equal(write(to, &r, sizeof(r)), sizeof(r));
}

/* Makes, changes and removes VMs until it is killed. */
static void work_until_killed(int to)
{
	world_up(&w, folder, false);
	for (int k = 0;; k++) {
		int i = (int)dice(4);
		struct vm *vm = world_find(&w, name_of(i));
		char text[16];
		arena_reset(w.arena);
		snprintf(text, sizeof(text), "%d", k);
		if (vm == NULL) {
			struct value *spec = world_spec(&w, name_of(i), 256);
			value_set_str(w.arena, spec, SPEC(annotation), text);
			tell(to, i, k, true, false);
			assert_non_null(world_create(&w, spec));
			tell(to, i, k, true, true);
		} else if (dice(3) == 0) {
			tell(to, i, k, false, false);
			assert_true(world_power(&w, vm, M_ManagedEntity_Destroy_Task));
			tell(to, i, k, false, true);
		} else {
			struct value *spec = value_new(w.arena, T_VirtualMachineConfigSpec);
			value_set_str(w.arena, spec, SPEC(annotation), text);
			tell(to, i, k, true, false);
			assert_true(world_reconfigure(&w, vm, spec));
			tell(to, i, k, true, true);
		}
	}
}

/* What was told done holds; of the last that was only begun, the old or the new. */
static void check_after_kill(struct report *told, const struct report *begun)
{
	for (int i = 0; i < 4; i++) {
		struct vm *vm = world_find(&w, name_of(i));
		char path[64];
		bool open = begun->vm == i && !begun->done;
		if (vm == NULL) {
			assert_true(!told[i].exists || (open && !begun->exists));
			assert_false(world_has_file(&w, name_of(i)));
			told[i].exists = false;
			continue;
		}
		assert_true(told[i].exists || (open && begun->exists));
		int64_t note = -1;
		assert_non_null(vm_config(vm));
		assert_true(number_i64(value_get_str(vm_config(vm), CONFIG(annotation)), &note));
		assert_true(note == told[i].note || (open && note == begun->note));
		snprintf(path, sizeof(path), "%s/%s.vmdk", name_of(i), name_of(i));
		assert_true(world_has_file(&w, path));
		told[i] =
			(struct report){ .vm = i, .note = (int)note, .exists = true, .done = true };
	}
}

static void nothing_is_lost_by_killing(void **state)
{
	struct report told[4] = { { 0 } };

	(void)state;
	world_folder_make(folder);
	for (int k = 0; k < N_KILLS; k++) {
		struct report begun = { .done = true }, r;
		int ends[2];
		assert_int_equal(pipe(ends), 0);
		pid_t child = fork();
		assert_true(child >= 0);
		seed += 1;
		if (child == 0) {
			close(ends[0]);
			work_until_killed(ends[1]);
		}
		close(ends[1]);
		/* So many reports, and then at some moment. */
		int n = (int)dice(24);
		while (n-- > 0 && read(ends[0], &r, sizeof(r)) == sizeof(r)) {
			begun = r;
			told[r.vm] = r.done ? r : told[r.vm];
		}
		struct timespec moment = { .tv_nsec = (long)dice(3000000) };
		nanosleep(&moment, NULL);
		assert_int_equal(kill(child, SIGKILL), 0);
		while (read(ends[0], &r, sizeof(r)) == sizeof(r)) {
			begun = r;
			told[r.vm] = r.done ? r : told[r.vm];
		}
		close(ends[0]);
		assert_int_equal(waitpid(child, NULL, 0), child);
		world_up(&w, folder, false);
		check_after_kill(told, &begun);
		world_down(&w);
	}
	world_folder_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vms_are_what_the_model_says),
		cmocka_unit_test(simulated_vms_are_what_the_model_says),
		cmocka_unit_test(nothing_is_lost_by_killing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
