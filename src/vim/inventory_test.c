/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vim/inventory.h"

static struct inventory *make(void)
{
	return inventory_new(clock_real());
}

static struct value *devices(struct arena *a, int first, int n, int64_t kb)
{
	struct value *hw = value_new(a, T_VirtualHardware),
		     *list = value_new_array(a, T_VirtualDevice);
	struct value *config = value_new(a, T_VirtualMachineConfigInfo);

	for (int i = 0; i < n; i++) {
		struct value *d = value_new(a, T_VirtualDisk);
		value_set_num(a, d, F_VirtualDevice_key, first + i);
		value_set_num(a, d, F_VirtualDisk_capacityInKB, kb);
		value_push(a, list, d);
	}
	value_set(a, hw, F_VirtualHardware_device, list);
	value_set(a, config, F_VirtualMachineConfigInfo_hardware, hw);
	return config;
}

static const char *last_path(struct object *o)
{
	return o->n_journal == 0 ? "" : o->journal[o->n_journal - 1].path;
}

static void changes_are_noted_by_path(void **state)
{
	(void)state;
	struct inventory *inv = make();
	struct arena *a = arena_new(0);
	struct object *vm = inventory_add(inv, T_VirtualMachine, "vm-1", NULL, NULL);

	/* Nobody has seen it yet: it is news as a whole. */
	assert_true(inventory_set_str(vm, P_ManagedEntity_name, "zero"));
	assert_int_equal(vm->n_journal, 0);
	assert_int_equal(inventory_version(inv), vm->version);
	assert_true(inventory_set_str(vm, P_ManagedEntity_name, "one"));
	assert_false(inventory_set_str(vm, P_ManagedEntity_name, "one"));
	assert_string_equal(last_path(vm), "name");
	assert_true(inventory_set(vm, P_VirtualMachine_config, devices(a, 2000, 2, 10)));
	assert_string_equal(last_path(vm), "config");
	assert_true(inventory_set(vm, P_VirtualMachine_config, devices(a, 2000, 3, 10)));
	assert_string_equal(last_path(vm), "config.hardware.device[2002]");
	assert_int_equal(vm->journal[vm->n_journal - 1].op, CHANGE_ADD);
	assert_true(inventory_set(vm, P_VirtualMachine_config, devices(a, 2001, 2, 10)));
	assert_string_equal(last_path(vm), "config.hardware.device[2000]");
	assert_int_equal(vm->journal[vm->n_journal - 1].op, CHANGE_REMOVE);
	assert_true(inventory_set(vm, P_VirtualMachine_config, devices(a, 2001, 1, 11)));
	const unsigned power[] = { F_VirtualMachineRuntimeInfo_powerState };
	struct value *on =
		value_new_scalar(a, T_VirtualMachinePowerState,
				 (union slot){ .num = E_VirtualMachinePowerState_poweredOn });
	assert_true(inventory_set_nested(vm, P_VirtualMachine_runtime, power, 1, on));
	assert_string_equal(last_path(vm), "runtime");
	on = value_new_scalar(a, T_VirtualMachinePowerState,
			      (union slot){ .num = E_VirtualMachinePowerState_suspended });
	assert_true(inventory_set_nested(vm, P_VirtualMachine_runtime, power, 1, on));
	assert_false(inventory_set_nested(vm, P_VirtualMachine_runtime, power, 1, on));
	assert_string_equal(last_path(vm), "runtime.powerState");
	/* The whole property swallows what was noted below it. */
	uint32_t n = vm->n_journal;
	assert_true(inventory_set(vm, P_VirtualMachine_config, NULL));
	assert_true(vm->n_journal < n);
	arena_free(a);
	inventory_free(inv);
}

static void objects_are_found_by_identifier(void **state)
{
	(void)state;
	struct inventory *inv = make();
	struct object *all[300] = { NULL };
	char id[16];

	srand(7);
	for (int i = 0; i < 20000; i++) {
		int n = rand() % 300;
		snprintf(id, sizeof(id), "vm-%d", n);
		assert_ptr_equal(inventory_find(inv, id), all[n]);
		if (all[n] != NULL) {
			inventory_remove(all[n]);
			all[n] = NULL;
		} else {
			all[n] = inventory_add(inv, T_VirtualMachine, id, NULL, NULL);
		}
		inventory_publish(inv);
	}
	for (int n = 0; n < 300; n++) {
		snprintf(id, sizeof(id), "vm-%d", n);
		assert_ptr_equal(inventory_find(inv, id), all[n]);
	}
	inventory_free(inv);
}

static void properties_follow_a_model(void **state)
{
	(void)state;
	static const unsigned props[] = { P_ManagedEntity_name, P_ManagedEntity_parent,
					  P_VirtualMachine_resourcePool,
					  P_ManagedEntity_alarmActionsEnabled,
					  P_VirtualMachine_environmentBrowser };
	struct inventory *inv = make();
	struct object *vm = inventory_add(inv, T_VirtualMachine, "vm-1", NULL, NULL);
	struct object *targets[] = { NULL, inventory_add(inv, T_Folder, "f-1", NULL, NULL),
				     inventory_add(inv, T_ResourcePool, "p-1", NULL, NULL), NULL,
				     inventory_add(inv, T_EnvironmentBrowser, "e-1", NULL, NULL) };
	bool is_set[5] = { false };

	srand(11);
	for (int i = 0; i < 5000; i++) {
		int n = rand() % 5;
		bool on = rand() % 2;
		is_set[n] = on;
		if (n == 0) {
			inventory_set_str(vm, props[n], on ? "a" : NULL);
		} else if (n == 3 && on) {
			inventory_set_bool(vm, props[n], true);
		} else if (n == 3) {
			inventory_set(vm, props[n], NULL);
		} else {
			inventory_set_ref(vm, props[n], on ? targets[n] : NULL);
		}
		for (int k = 0; k < 5; k++) {
			const struct value *v = object_get(vm, props[k], NULL);
			assert_int_equal(v != NULL, is_set[k]);
			assert_true(v == NULL || targets[k] == NULL || v == targets[k]->ref);
		}
	}
	inventory_free(inv);
}

static void newest_first(void **state)
{
	(void)state;
	struct inventory *inv = make();
	struct object *x = inventory_add(inv, T_Folder, "x", NULL, NULL);
	struct object *y = inventory_add(inv, T_Folder, "y", NULL, NULL);
	uint64_t before = inventory_version(inv);

	inventory_set_str(x, P_ManagedEntity_name, "changed");
	assert_ptr_equal(inventory_newest(inv), x);
	assert_true(x->version > before && y->version <= before);
	assert_ptr_equal(object_older(x), y);
	assert_null(object_older(y));
	inventory_free(inv);
}

static void tombstones_wait_for_readers(void **state)
{
	(void)state;
	struct inventory *inv = make();
	struct object *x = inventory_add(inv, T_Folder, "x", NULL, NULL);
	struct inventory_reader reader;
	uint32_t index = x->index;

	inventory_reader_add(inv, &reader);
	inventory_remove(x);
	inventory_publish(inv);
	assert_null(inventory_find(inv, "x"));
	struct object *dead = inventory_newest(inv);
	assert_true(dead->removed && dead->index == index);
	assert_string_equal(object_id(dead), "x");
	/* The id may come back while the tombstone is still read. */
	struct object *again = inventory_add(inv, T_Folder, "x", NULL, NULL);
	assert_int_not_equal(again->index, index);
	inventory_reader_advance(inv, &reader, inventory_version(inv));
	inventory_publish(inv);
	struct object *y = inventory_add(inv, T_Folder, "y", NULL, NULL);
	assert_int_equal(y->index, index);
	inventory_reader_remove(inv, &reader);
	inventory_free(inv);
}

static void count_calls(void *arg)
{
	(*(int *)arg)++;
}

static void listeners_hear_once_a_turn(void **state)
{
	(void)state;
	struct inventory *inv = make();
	int calls = 0;
	struct inventory_listener *l = inventory_subscribe(inv, count_calls, &calls);

	inventory_publish(inv);
	assert_int_equal(calls, 0);
	inventory_add(inv, T_Folder, "x", NULL, NULL);
	inventory_add(inv, T_Folder, "y", NULL, NULL);
	inventory_publish(inv);
	inventory_publish(inv);
	assert_int_equal(calls, 1);
	inventory_unsubscribe(l);
	inventory_add(inv, T_Folder, "z", NULL, NULL);
	inventory_publish(inv);
	assert_int_equal(calls, 1);
	inventory_free(inv);
}

/* Adding and dropping references at random against a plain array. */
static void collections_follow_a_model(void **state)
{
	(void)state;
	enum {
		N = 60
	};
	struct inventory *inv = make();
	struct object *folder = inventory_add(inv, T_Folder, "folder", NULL, NULL);
	struct object *all[N], *model[N];
	size_t n = 0;

	for (int i = 0; i < N; i++) {
		char id[16];
		snprintf(id, sizeof(id), "vm-%d", i);
		all[i] = inventory_add(inv, T_VirtualMachine, id, NULL, NULL);
	}
	srand(3);
	for (int round = 0; round < 5000; round++) {
		struct object *o = all[rand() % N];
		size_t at = 0;
		while (at < n && model[at] != o) {
			at++;
		}
		bool present = at < n;
		if (rand() % 2) {
			assert_int_equal(inventory_add_ref(folder, P_Folder_childEntity, o),
					 !present);
			model[n] = o;
			n += !present;
		} else {
			assert_int_equal(inventory_drop_ref(folder, P_Folder_childEntity, o),
					 present);
			memmove(model + at, model + at + 1, (n - at - present) * sizeof(*model));
			n -= present;
		}
		if (rand() % 5 == 0) {
			const struct value *v = object_get(folder, P_Folder_childEntity, NULL);
			assert_int_equal(value_count(v), n);
			for (size_t i = 0; i < n; i++) {
				assert_ptr_equal(value_item(v, i), model[i]->ref);
			}
		}
		if (rand() % 50 == 0) {
			inventory_set_refs(folder, P_Folder_childEntity, model, n);
		}
	}
	inventory_free(inv);
}

static void the_journal_is_bounded(void **state)
{
	(void)state;
	struct inventory *inv = make();
	struct arena *a = arena_new(0);
	struct object *vm = inventory_add(inv, T_VirtualMachine, "vm-1", NULL, NULL);

	inventory_version(inv);
	inventory_set(vm, P_VirtualMachine_config, devices(a, 0, 1, 1));
	for (int i = 0; i < 500; i++) {
		inventory_set(vm, P_VirtualMachine_config, devices(a, i, 2, i));
		assert_true(vm->n_journal <= 64);
		assert_true(vm->journal[vm->n_journal - 1].version == vm->version);
	}
	arena_free(a);
	inventory_free(inv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_noted_by_path),
		cmocka_unit_test(objects_are_found_by_identifier),
		cmocka_unit_test(properties_follow_a_model),
		cmocka_unit_test(newest_first),
		cmocka_unit_test(tombstones_wait_for_readers),
		cmocka_unit_test(listeners_hear_once_a_turn),
		cmocka_unit_test(collections_follow_a_model),
		cmocka_unit_test(the_journal_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
