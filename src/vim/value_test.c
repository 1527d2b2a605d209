/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "vim/value.h"

static struct value *sample(struct arena *a, const char *name, int key)
{
	struct value *spec = value_new(a, T_VirtualMachineConfigSpec);
	struct value *disk = value_new(a, T_VirtualDisk);
	struct value *change = value_new(a, T_VirtualDeviceConfigSpec);
	struct value *changes = value_new_array(a, T_VirtualDeviceConfigSpec);

	value_set_num(a, disk, F_VirtualDevice_key, key);
	value_set_num(a, disk, F_VirtualDisk_capacityInKB, 1024);
	value_set(a, change, F_VirtualDeviceConfigSpec_device, disk);
	value_push(a, changes, change);
	value_set_str(a, spec, F_VirtualMachineConfigSpec_name, name);
	value_set_num(a, spec, F_VirtualMachineConfigSpec_memoryMB, 128);
	value_set(a, spec, F_VirtualMachineConfigSpec_deviceChange, changes);
	return spec;
}

static void check_sample(const struct value *v, const char *name, int key)
{
	assert_string_equal(value_get_str(v, F_VirtualMachineConfigSpec_name), name);
	assert_int_equal(value_get_num(v, F_VirtualMachineConfigSpec_memoryMB, 0), 128);
	assert_false(value_has(v, F_VirtualMachineConfigSpec_numCPUs));
	const struct value *changes = value_get_value(v, F_VirtualMachineConfigSpec_deviceChange);
	assert_int_equal(value_count(changes), 1);
	const struct value *disk =
		value_get_value(value_item(changes, 0), F_VirtualDeviceConfigSpec_device);
	assert_true(value_is_a(disk, T_VirtualDevice));
	assert_int_equal(value_get_num(disk, F_VirtualDevice_key, 0), key);
}

static void draft_and_kept_read_the_same(void **state)
{
	(void)state;
	struct arena *a = arena_new(0);
	struct value *draft = sample(a, "vm", 2000);
	const struct value *kept = value_keep(draft);

	check_sample(draft, "vm", 2000);
	check_sample(kept, "vm", 2000);
	assert_true(value_equal(draft, kept));
	arena_free(a);
	check_sample(kept, "vm", 2000);
	value_drop(kept);
}

static void equal_values_are_kept_once(void **state)
{
	(void)state;
	struct arena *a = arena_new(0);
	size_t before, bytes, after;
	value_stats(&before, &bytes);
	const struct value *x = value_keep(sample(a, "x", 1)), *y = value_keep(sample(a, "x", 1));
	const struct value *z = value_keep(sample(a, "z", 1));

	assert_ptr_equal(x, y);
	assert_ptr_not_equal(x, z);
	assert_ptr_equal(value_get_value(x, F_VirtualMachineConfigSpec_deviceChange),
			 value_get_value(z, F_VirtualMachineConfigSpec_deviceChange));
	struct value *edit = value_edit(a, x);
	value_set_str(a, edit, F_VirtualMachineConfigSpec_name, "z");
	const struct value *again = value_keep(edit);
	assert_ptr_equal(again, z);
	value_drop(again);
	value_drop(x);
	value_drop(y);
	value_drop(z);
	value_stats(&after, &bytes);
	assert_int_equal(before, after);
	arena_free(a);
}

/* Values come and go in random order; each must stay what it was, and all must be gone at the end.
 */
static void random_keeping(void **state)
{
	(void)state;
	enum {
		N = 500
	};
	const struct value *held[N] = { NULL };
	int keys[N] = { 0 };
	size_t before, bytes, after;
	value_stats(&before, &bytes);
	struct arena *a = arena_new(0);

	srand(7);
	for (int round = 0; round < 20000; round++) {
		int i = rand() % N;
		if (held[i] != NULL) {
			check_sample(held[i], keys[i] % 3 ? "a" : "b", keys[i]);
			value_drop(held[i]);
			held[i] = NULL;
		} else {
			keys[i] = rand() % 200;
			held[i] = value_keep(sample(a, keys[i] % 3 ? "a" : "b", keys[i]));
		}
		if (round % 100 == 0) {
			arena_reset(a);
		}
	}
	for (int i = 0; i < N; i++) {
		value_drop(held[i]);
	}
	value_stats(&after, &bytes);
	assert_int_equal(before, after);
	arena_free(a);
}

static void fields_are_visited_in_wire_order(void **state)
{
	(void)state;
	struct arena *a = arena_new(0);
	struct value *v = value_new(a, T_VirtualMachineConfigInfo);

	value_set_bool(a, v, F_VirtualMachineConfigInfo_template, false);
	value_set_str(a, v, F_VirtualMachineConfigInfo_name, "n");
	value_set_num(a, v, F_VirtualMachineConfigInfo_npivNodeWorldWideName, 0);
	value_unset(v, F_VirtualMachineConfigInfo_npivNodeWorldWideName);
	for (int pass = 0; pass < 2; pass++) {
		const struct value *x = pass == 0 ? v : value_keep(v);
		union slot s;
		int i = -1, last = -1, n = 0;
		while (value_next(x, &i, &s)) {
			assert_true(i > last);
			last = i;
			n++;
		}
		assert_int_equal(n, 2);
		if (pass == 1) {
			value_drop(x);
		}
	}
	arena_free(a);
}

static void a_full_arena_is_survived(void **state)
{
	(void)state;
	for (size_t limit = 16; limit < 4096; limit += 16) {
		struct arena *a = arena_new(limit);
		struct value *array = value_new_array(a, T_string);
		for (int i = 0; array != NULL && i < 200; i++) {
			if (!value_push_str(a, array, "text")) {
				break;
			}
		}
		arena_free(a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(draft_and_kept_read_the_same),
		cmocka_unit_test(equal_values_are_kept_once),
		cmocka_unit_test(random_keeping),
		cmocka_unit_test(fields_are_visited_in_wire_order),
		cmocka_unit_test(a_full_arena_is_survived),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
