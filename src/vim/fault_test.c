/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vim/fault.h"

/* A fault has all that its type requires, or clients refuse it. */
static void assert_complete(const struct value *f)
{
	for (unsigned i = 0; i < schema_type(value_type(f))->n_fields; i++) {
		if (!(schema_field(value_type(f), i)->flags & (FIELD_OPTIONAL | FIELD_ARRAY))) {
			assert_true(value_has(f, i));
		}
	}
}

static void every_kind_has_a_complete_fault(void **state)
{
	struct arena *a = arena_new(0);
	struct error e = { .msg = "\"vm 1\" is wrong" };

	(void)state;
	for (int kind = ERROR_NONE; kind <= ERROR_INTERNAL; kind++) {
		e.kind = (enum error_kind)kind;
		const struct value *plain = fault_from_error(a, &e);
		const struct value *file = fault_from_file_error(a, &e, "[ds 1] a/b.vmdk");
		assert_true(value_is_a(plain, T_MethodFault));
		assert_true(value_is_a(file, T_MethodFault));
		assert_complete(plain);
		assert_complete(file);
	}
	arena_free(a);
}

static void faults_name_their_object(void **state)
{
	struct arena *a = arena_new(0);
	struct error e;

	(void)state;
	error_set(&e, ERROR_NAME, "name \"a/b\" may not contain \"/\"");
	struct value *f = fault_from_error(a, &e);
	assert_string_equal(value_get_str(f, F_InvalidName_name), "a/b");
	error_set(&e, ERROR_NO_SPACE, "full");
	f = fault_from_file_error(a, &e, "[ds 1] a/b.vmdk");
	assert_int_equal(value_type(f), T_NoDiskSpace);
	assert_string_equal(value_get_str(f, F_NoDiskSpace_datastore), "ds 1");
	assert_string_equal(value_get_str(f, F_FileFault_file), "[ds 1] a/b.vmdk");
	f = fault_from_file_error(a, &e, NULL);
	assert_string_equal(value_get_str(f, F_NoDiskSpace_datastore), "");
	assert_string_equal(value_get_str(f, F_FileFault_file), "");
	error_set(&e, ERROR_INTERNAL, "oops");
	f = fault_from_error(a, &e);
	assert_string_equal(value_get_str(f, F_SystemError_reason), "oops");
	arena_free(a);
}

static void particular_faults(void **state)
{
	struct arena *a = arena_new(0);

	(void)state;
	struct value *ref = value_new_ref(a, T_VirtualMachine, "vm-1");
	assert_complete(fault_not_found(a, ref));
	assert_complete(fault_invalid_argument(a, NULL));
	assert_complete(fault_no_permission(a, ref, "System.Read"));
	assert_complete(fault_invalid_name(a, "x", NULL));
	const struct object other = { .ref = ref };
	assert_complete(fault_duplicate_name(a, "x", &other));
	struct value *hidden = fault_duplicate_name(a, "x", NULL);
	assert_int_equal(value_type(hidden), T_AlreadyExists);
	assert_string_equal(value_get_str(hidden, F_AlreadyExists_name), "x");
	struct value *f = fault_invalid_power_state(a, E_VirtualMachinePowerState_poweredOn,
						    E_VirtualMachinePowerState_suspended);
	assert_complete(f);
	f = fault_localized(a, f, "no");
	assert_complete(f);
	assert_string_equal(value_get_str(f, F_LocalizedMethodFault_localizedMessage), "no");
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_has_a_complete_fault),
		cmocka_unit_test(faults_name_their_object),
		cmocka_unit_test(particular_faults),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
