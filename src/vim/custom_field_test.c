/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/custom_field.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "vim/service_fake.h"

static struct fake f;
static struct custom_field_manager *manager;
static struct session *session;
static struct object *object;
static char dir[] = "/tmp/custom_field_test.XXXXXX", path[64];
static int n_stored;
static bool store_fails;

static bool store(void *arg, struct object *entity, const struct value *values, struct error *e)
{
	(void)arg;
	(void)entity;
	(void)values;
	n_stored++;
	return !store_fails || error_set(e, ERROR_NO_SPACE, "the disk is full");
}

static void start(void)
{
	const struct custom_field_config config = { .id = "CustomFieldsManager",
						    .path = path,
						    .store = store };
	struct error e = { 0 };

	manager = custom_field_manager_new(f.service, &config, &e);
	assert_non_null(manager);
	object = inventory_find(f.inventory, "CustomFieldsManager");
}

static int setup(void **state)
{
	(void)state;
	memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/fields.json", dir);
	n_stored = 0;
	store_fails = false;
	fake_setup(&f);
	session = fake_session_new(&f, "alice");
	start();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	custom_field_manager_free(manager);
	fake_session_end(session);
	fake_teardown(&f);
	unlink(path);
	rmdir(dir);
	return 0;
}

static int32_t add(const char *name, const char *type)
{
	struct value *args =
		value_new(f.arena, schema_method(M_CustomFieldsManager_AddCustomFieldDef)->args);

	value_set_str(f.arena, args, A_CustomFieldsManager_AddCustomFieldDef_name, name);
	value_set_str(f.arena, args, A_CustomFieldsManager_AddCustomFieldDef_moType, type);
	return fake_call(&f, session, object, M_CustomFieldsManager_AddCustomFieldDef, args)
		       ? (int32_t)value_get_num(f.result, F_CustomFieldDef_key, 0)
		       : 0;
}

static bool set(struct object *o, int32_t key, const char *text)
{
	struct value *args =
		value_new(f.arena, schema_method(M_CustomFieldsManager_SetField)->args);

	value_set(f.arena, args, A_CustomFieldsManager_SetField_entity, o->ref);
	value_set_num(f.arena, args, A_CustomFieldsManager_SetField_key, key);
	value_set_str(f.arena, args, A_CustomFieldsManager_SetField_value, text);
	return fake_call(&f, session, object, M_CustomFieldsManager_SetField, args);
}

static bool rename_to(int32_t key, const char *name)
{
	struct value *args =
		value_new(f.arena, schema_method(M_CustomFieldsManager_RenameCustomFieldDef)->args);

	value_set_num(f.arena, args, A_CustomFieldsManager_RenameCustomFieldDef_key, key);
	value_set_str(f.arena, args, A_CustomFieldsManager_RenameCustomFieldDef_name, name);
	return fake_call(&f, session, object, M_CustomFieldsManager_RenameCustomFieldDef, args);
}

static bool remove_key(int32_t key)
{
	struct value *args =
		value_new(f.arena, schema_method(M_CustomFieldsManager_RemoveCustomFieldDef)->args);

	value_set_num(f.arena, args, A_CustomFieldsManager_RemoveCustomFieldDef_key, key);
	return fake_call(&f, session, object, M_CustomFieldsManager_RemoveCustomFieldDef, args);
}

static const char *value_on(struct object *o, size_t i)
{
	const struct value *values = object_get(o, P_ManagedEntity_customValue, NULL);

	assert_true(values == object_get(o, P_ExtensibleManagedObject_value, NULL));
	return i < value_count(values)
		       ? value_get_str(value_item(values, i), F_CustomFieldStringValue_value)
		       : NULL;
}

static size_t n_available(struct object *o)
{
	return value_count(object_get(o, P_ExtensibleManagedObject_availableField, NULL));
}

static void fields_are_defined(void **state)
{
	(void)state;
	int32_t owner = add("owner", NULL), rack = add("rack", "HostSystem");

	assert_true(owner > 0 && rack > owner);
	assert_int_equal(add("owner", NULL), 0);
	assert_true(value_is_a(f.fault, T_DuplicateName));
	assert_int_equal(add("owner", "VirtualMachine"), 0);
	assert_int_not_equal(add("rack", "VirtualMachine"), 0);
	assert_int_equal(add("", NULL), 0);
	assert_int_equal(add("x", "Task"), 0);
	assert_int_equal(n_available(f.vm[0]), 2);
	assert_int_equal(n_available(f.dc), 1);
	assert_false(rename_to(owner, "rack"));
	assert_true(rename_to(owner, "keeper"));
	assert_false(rename_to(77, "x"));
	custom_field_manager_free(manager);
	start();
	assert_int_equal(value_count(object_get(object, P_CustomFieldsManager_field, NULL)), 3);
	assert_true(add("new", NULL) > rack);
}

static void values_are_set_and_go(void **state)
{
	(void)state;
	int32_t owner = add("owner", NULL), rack = add("rack", "HostSystem");

	assert_true(set(f.vm[0], owner, "alice"));
	assert_string_equal(value_on(f.vm[0], 0), "alice");
	assert_true(set(f.vm[0], owner, "bob"));
	assert_string_equal(value_on(f.vm[0], 0), "bob");
	assert_null(value_on(f.vm[0], 1));
	assert_false(set(f.vm[0], rack, "7"));
	assert_false(set(f.vm[0], 77, "7"));
	store_fails = true;
	assert_false(set(f.vm[0], owner, "carol"));
	assert_string_equal(value_on(f.vm[0], 0), "bob");
	store_fails = false;
	struct value *args =
		value_new(f.arena, schema_method(M_ExtensibleManagedObject_setCustomValue)->args);
	value_set_str(f.arena, args, A_ExtensibleManagedObject_setCustomValue_key, "rack");
	value_set_str(f.arena, args, A_ExtensibleManagedObject_setCustomValue_value, "7");
	assert_true(
		fake_call(&f, session, f.host[0], M_ExtensibleManagedObject_setCustomValue, args));
	assert_string_equal(value_on(f.host[0], 0), "7");
	assert_true(set(f.host[0], owner, "alice"));
	assert_true(remove_key(rack));
	assert_string_equal(value_on(f.host[0], 0), "alice");
	assert_null(value_on(f.host[0], 1));
	assert_true(set(f.vm[0], owner, ""));
	assert_null(value_on(f.vm[0], 0));
	fake_hide(session, f.vm[1]);
	assert_false(set(f.vm[1], owner, "x"));
	assert_true(value_is_a(f.fault, T_NoPermission));
	assert_int_equal(n_stored, 7);
}

#define FIELD_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIELD_TEST(fields_are_defined),
		FIELD_TEST(values_are_set_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
