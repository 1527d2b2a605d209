/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "vim/schema.h"

static void find_type_by_name(void **state)
{
	(void)state;
	for (uint16_t t = 1; t < SCHEMA_N_TYPES; t++) {
		const char *name = schema_type_name(t);
		if (strchr(name, '.') == NULL) {
			assert_int_equal(schema_type_find(name, strlen(name)), t);
		}
	}
	assert_int_equal(schema_type_find("NoSuchType", 10), T_none);
	assert_int_equal(schema_type_find("", 0), T_none);
	assert_int_equal(schema_array_find("ArrayOfString", 13), T_string);
	assert_int_equal(schema_array_find("ArrayOfVirtualDevice", 20), T_VirtualDevice);
	assert_int_equal(schema_array_find("ArrayOf", 7), T_none);
	assert_string_equal(schema_array_name(T_int), "Int");
}

static void inheritance(void **state)
{
	(void)state;
	assert_true(schema_is_a(T_VirtualE1000e, T_VirtualEthernetCard));
	assert_true(schema_is_a(T_VirtualE1000e, T_DynamicData));
	assert_false(schema_is_a(T_VirtualDisk, T_VirtualEthernetCard));
	assert_true(schema_is_a(T_ClusterComputeResource, T_ManagedEntity));
	assert_true(schema_is_a(T_Task, T_ManagedObject));
	assert_true(schema_is_a(T_InvalidPowerState, T_MethodFault));
	assert_true(schema_is_a(T_NotAuthenticated, T_RuntimeFault));
}

static void fields_keep_wire_order(void **state)
{
	(void)state;
	/* Base first, and the base's index holds in the derived type. */
	int i = schema_field_find(T_VirtualDisk, "key", 3, 0);
	assert_int_equal(i, F_VirtualDevice_key);
	assert_string_equal(
		schema_field_name(schema_field(T_VirtualDisk, F_VirtualDisk_capacityInKB)),
		"capacityInKB");
	const struct schema_field *f = schema_field(T_VirtualHardware, F_VirtualHardware_device);
	assert_int_equal(f->flags, FIELD_OPTIONAL | FIELD_ARRAY | FIELD_XSITYPE);
	assert_int_equal(schema_field(T_PhysicalNic, F_PhysicalNic_dpuId)->since,
			 schema_version_parse("8.0.0.1", 7));
}

static void methods(void **state)
{
	(void)state;
	uint16_t m = schema_method_find(T_VirtualMachine, "Destroy_Task", 12);
	assert_int_equal(m, M_ManagedEntity_Destroy_Task);
	m = schema_method_find(T_VirtualMachine, "PowerOnVM_Task", 14);
	assert_int_equal(m, M_VirtualMachine_PowerOnVM_Task);
	assert_string_equal(schema_strings + schema_method(m)->privilege,
			    "VirtualMachine.Interact.PowerOn");
	assert_int_equal(schema_method(m)->result.kind, KIND_REF);
	assert_int_equal(schema_method_find(T_Folder, "PowerOnVM_Task", 14), M_none);
	assert_int_equal(schema_method_find(T_Folder, "Nonsense", 8), M_none);
}

static void versions_are_ordered(void **state)
{
	(void)state;
	uint8_t v65 = schema_version_parse("6.5", 3), v67 = schema_version_parse("6.7.1", 5);
	assert_true(v65 < v67);
	assert_string_equal(schema_version_name(v65), "6.5");
	assert_int_equal(schema_version_parse("9.1.0.0", 7), schema_version_served);
	assert_int_equal(schema_version_parse("", 0), schema_version_served);
	assert_int_equal(schema_version_parse("rubbish", 7), schema_version_served);
	assert_string_equal(schema_version_name(schema_version_parse("2.5u2", 5)), "2.5u2");
	assert_true(schema_version_parse("2.5", 3) < schema_version_parse("2.5u2", 5));
	/* A version between two known ones is served as the older of them. */
	assert_string_equal(schema_version_name(schema_version_parse("6.6", 3)), "6.5");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(find_type_by_name),	  cmocka_unit_test(inheritance),
		cmocka_unit_test(fields_keep_wire_order), cmocka_unit_test(methods),
		cmocka_unit_test(versions_are_ordered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
