/* SPDX-License-Identifier: Apache-2.0 */
/* Extensions and licences: both are lists that clients keep. */
#include "vim/extension.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "vim/license.h"
#include "vim/service_fake.h"

static struct fake f;
static struct session *session;
static char dir[] = "/tmp/extension_test.XXXXXX", path[64];

static int setup(void **state)
{
	(void)state;
	memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/stored.json", dir);
	fake_setup(&f);
	session = fake_session_new(&f, "alice");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_session_end(session);
	fake_teardown(&f);
	unlink(path);
	rmdir(dir);
	return 0;
}

/* ---- extensions ---- */

static bool extension_call(struct object *o, uint16_t method, const char *key, const char *version)
{
	struct value *args = value_new(f.arena, schema_method(method)->args);
	struct value *x = value_new(f.arena, T_Extension);
	struct value *d = value_new(f.arena, T_Description);

	value_set_str(f.arena, d, F_Description_label, "An extension");
	value_set_str(f.arena, d, F_Description_summary, "For tests");
	value_set(f.arena, x, F_Extension_description, d);
	value_set_str(f.arena, x, F_Extension_key, key);
	value_set_str(f.arena, x, F_Extension_version, version);
	value_set_num(f.arena, x, F_Extension_lastHeartbeatTime, 0);
	value_set(f.arena, args, 0, x);
	return fake_call(&f, session, o, method, args);
}

static bool key_call(struct object *o, uint16_t method, const char *key)
{
	struct value *args = value_new(f.arena, schema_method(method)->args);

	value_set_str(f.arena, args, 0, key);
	return fake_call(&f, session, o, method, args);
}

static void extensions_are_kept(void **state)
{
	(void)state;
	struct error e = { 0 };
	struct extension_manager *m =
		extension_manager_new(f.service, "ExtensionManager", path, &e);
	struct object *o = inventory_find(f.inventory, "ExtensionManager");

	assert_true(extension_call(o, M_ExtensionManager_RegisterExtension, "com.example.a", "1"));
	assert_true(extension_call(o, M_ExtensionManager_RegisterExtension, "com.example.b", "1"));
	assert_false(extension_call(o, M_ExtensionManager_RegisterExtension, "com.example.b", "2"));
	assert_true(value_is_a(f.fault, T_InvalidArgument));
	assert_false(extension_call(o, M_ExtensionManager_RegisterExtension, "", "2"));
	assert_true(extension_call(o, M_ExtensionManager_UpdateExtension, "com.example.a", "2"));
	assert_false(extension_call(o, M_ExtensionManager_UpdateExtension, "com.example.c", "2"));
	assert_true(value_is_a(f.fault, T_NotFound));
	assert_true(key_call(o, M_ExtensionManager_UnregisterExtension, "com.example.b"));
	assert_false(key_call(o, M_ExtensionManager_UnregisterExtension, "com.example.b"));
	extension_manager_free(m);
	m = extension_manager_new(f.service, "ExtensionManager", path, &e);
	o = inventory_find(f.inventory, "ExtensionManager");
	assert_int_equal(value_count(object_get(o, P_ExtensionManager_extensionList, NULL)), 1);
	assert_true(key_call(o, M_ExtensionManager_FindExtension, "com.example.a"));
	assert_string_equal(value_get_str(f.result, F_Extension_version), "2");
	assert_int_equal(value_get_num(f.result, F_Extension_lastHeartbeatTime, 0),
			 clock_wall_us(f.clock));
	assert_true(key_call(o, M_ExtensionManager_FindExtension, "com.example.b"));
	assert_null(f.result);
	extension_manager_free(m);
}

static void damaged_files_are_refused(void **state)
{
	(void)state;
	static const char *const damaged[] = { "", "{}", "[1]", "[\"x\"]",
					       "[\"<value xsi:type=\\\"Event\\\"/>\"]" };

	for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
		struct error e = { 0 };
		FILE *file = fopen(path, "w");
		fputs(damaged[i], file);
		fclose(file);
		assert_null(extension_manager_new(f.service, "ExtensionManager", path, &e));
		assert_non_null(strstr(e.msg, path));
	}
}

/* ---- licences ---- */

#define KEY "AAAAA-BBBBB-CCCCC-DDDDD-12345"

static bool assign(struct object *o, const char *entity, const char *key)
{
	uint16_t method = M_LicenseAssignmentManager_UpdateAssignedLicense;
	struct value *args = value_new(f.arena, schema_method(method)->args);

	value_set_str(f.arena, args, A_LicenseAssignmentManager_UpdateAssignedLicense_entity,
		      entity);
	value_set_str(f.arena, args, A_LicenseAssignmentManager_UpdateAssignedLicense_licenseKey,
		      key);
	return fake_call(&f, session, o, method, args);
}

static const char *assigned_key(struct object *o, const char *entity)
{
	assert_true(key_call(o, M_LicenseAssignmentManager_QueryAssignedLicenses, entity));
	assert_int_equal(value_count(f.result), 1);
	return value_get_str(
		value_get_value(value_item(f.result, 0),
				F_LicenseAssignmentManagerLicenseAssignment_assignedLicense),
		F_LicenseManagerLicenseInfo_licenseKey);
}

static bool label(struct object *o, const char *key, const char *name, const char *text)
{
	uint16_t method = M_LicenseManager_UpdateLicenseLabel;
	struct value *args = value_new(f.arena, schema_method(method)->args);

	value_set_str(f.arena, args, A_LicenseManager_UpdateLicenseLabel_licenseKey, key);
	value_set_str(f.arena, args, A_LicenseManager_UpdateLicenseLabel_labelKey, name);
	value_set_str(f.arena, args, A_LicenseManager_UpdateLicenseLabel_labelValue, text);
	return fake_call(&f, session, o, method, args);
}

static void licences_are_kept(void **state)
{
	(void)state;
	struct error e = { 0 };
	const struct license_config config = { .id = "LicenseManager",
					       .assignment_id = "LicenseAssignmentManager",
					       .edition = "vc",
					       .path = path };
	struct license_manager *m = license_manager_new(f.service, &config, &e);
	struct object *o = inventory_find(f.inventory, "LicenseManager");
	struct object *as = inventory_find(f.inventory, "LicenseAssignmentManager");

	assert_int_equal(value_count(object_get(o, P_LicenseManager_licenses, NULL)), 1);
	assert_true(object_get(o, P_LicenseManager_licenseAssignmentManager, NULL) == as->ref);
	assert_string_equal(assigned_key(as, "host-1"), "00000-00000-00000-00000-00000");
	assert_false(key_call(o, M_LicenseManager_AddLicense, "a key"));
	assert_true(value_is_a(f.fault, T_InvalidArgument));
	assert_true(key_call(o, M_LicenseManager_DecodeLicense, KEY));
	assert_true(key_call(o, M_LicenseManager_AddLicense, KEY));
	assert_true(key_call(o, M_LicenseManager_AddLicense, KEY));
	assert_true(label(o, KEY, "who", "alice"));
	assert_true(label(o, KEY, "who", "bob"));
	assert_false(label(o, "BAAAA-BBBBB-CCCCC-DDDDD-12345", "who", "bob"));
	assert_true(assign(as, "host-1", KEY));
	assert_string_equal(assigned_key(as, "host-1"), KEY);
	assert_false(key_call(o, M_LicenseManager_RemoveLicense, KEY));
	assert_true(value_is_a(f.fault, T_ResourceInUse));
	license_manager_free(m);
	m = license_manager_new(f.service, &config, &e);
	o = inventory_find(f.inventory, "LicenseManager");
	as = inventory_find(f.inventory, "LicenseAssignmentManager");
	const struct value *licenses = object_get(o, P_LicenseManager_licenses, NULL);
	assert_int_equal(value_count(licenses), 2);
	const struct value *labels =
		value_get_value(value_item(licenses, 1), F_LicenseManagerLicenseInfo_labels);
	assert_int_equal(value_count(labels), 1);
	assert_string_equal(value_get_str(value_item(labels, 0), F_KeyValue_value), "bob");
	assert_string_equal(assigned_key(as, "host-1"), KEY);
	assert_true(key_call(as, M_LicenseAssignmentManager_RemoveAssignedLicense, "host-1"));
	assert_false(key_call(as, M_LicenseAssignmentManager_RemoveAssignedLicense, "host-1"));
	assert_true(key_call(o, M_LicenseManager_RemoveLicense, KEY));
	assert_int_equal(value_count(object_get(o, P_LicenseManager_licenses, NULL)), 1);
	assert_false(key_call(o, M_LicenseManager_RemoveLicense, "00000-00000-00000-00000-00000"));
	license_manager_free(m);
}

#define LIST_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIST_TEST(extensions_are_kept),
		LIST_TEST(damaged_files_are_refused),
		LIST_TEST(licences_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
