/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/option.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "vim/service_fake.h"

static struct fake f;
static struct option_manager *manager;
static struct session *session;
static struct object *object;
static char dir[] = "/tmp/option_test.XXXXXX", path[64];
static int n_changed;

static const char *const levels[] = { "low", "high", NULL };
static const struct option_spec specs[] = {
	{ "Net.Blink", "Blink", "Blinks", OPTION_BOOL, .number = 1 },
	{ "Net.Heap", "Heap", "Heap in MiB", OPTION_INT, .number = 8, .min = 0, .max = 64 },
	{ "Net.Big", "Big", "A long", OPTION_LONG, .number = 1, .min = 0, .max = INT64_MAX },
	{ "User.Name", "Name", "A name", OPTION_STRING, .text = "none" },
	{ "User.Level", "Level", "A level", OPTION_CHOICE, .text = "high", .choices = levels },
	{ "Build.Id", "Build", "Of this build", OPTION_INT, .readonly = true, .number = 7,
	  .max = 10 },
};

static void on_change(void *arg, const char *key, const struct value *value)
{
	(void)arg;
	(void)key;
	(void)value;
	n_changed++;
}

static void start(void)
{
	const struct option_config config = { .id = "EsxHostAdvSettings",
					      .path = path,
					      .specs = specs,
					      .n_specs = ARRAY_LEN(specs),
					      .open_prefix = "config.",
					      .changed = on_change };
	struct error e = { 0 };

	manager = option_manager_new(f.service, &config, &e);
	assert_non_null(manager);
	object = inventory_find(f.inventory, "EsxHostAdvSettings");
}

static int setup(void **state)
{
	(void)state;
	memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/options.json", dir);
	n_changed = 0;
	fake_setup(&f);
	session = fake_session_new(&f, "alice");
	start();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	option_manager_free(manager);
	fake_session_end(session);
	fake_teardown(&f);
	unlink(path);
	rmdir(dir);
	return 0;
}

static size_t n_found(const char *name)
{
	struct value *args = value_new(f.arena, schema_method(M_OptionManager_QueryOptions)->args);

	value_set_str(f.arena, args, A_OptionManager_QueryOptions_name, name);
	return fake_call(&f, session, object, M_OptionManager_QueryOptions, args)
		       ? value_count(f.result)
		       : 0;
}

/* One or two changes in one call. */
static bool update(const char *key, const struct value *v, const char *key2, const struct value *v2)
{
	struct value *args = value_new(f.arena, schema_method(M_OptionManager_UpdateOptions)->args);
	struct value *list = value_new_array(f.arena, T_OptionValue);
	struct value *o = value_new(f.arena, T_OptionValue);

	value_set_str(f.arena, o, F_OptionValue_key, key);
	value_set(f.arena, o, F_OptionValue_value, v);
	value_push(f.arena, list, o);
	if (key2 != NULL) {
		o = value_new(f.arena, T_OptionValue);
		value_set_str(f.arena, o, F_OptionValue_key, key2);
		value_set(f.arena, o, F_OptionValue_value, v2);
		value_push(f.arena, list, o);
	}
	value_set(f.arena, args, A_OptionManager_UpdateOptions_changedValue, list);
	return fake_call(&f, session, object, M_OptionManager_UpdateOptions, args);
}

static bool set(const char *key, const struct value *v)
{
	return update(key, v, NULL, NULL);
}

static void options_are_found_by_name(void **state)
{
	(void)state;
	assert_int_equal(n_found(NULL), ARRAY_LEN(specs));
	assert_int_equal(n_found("Net.Heap"), 1);
	assert_int_equal(n_found("Net."), 3);
	assert_int_equal(n_found("Net"), 0);
	assert_true(value_is_a(f.fault, T_InvalidName));
	assert_int_equal(value_count(object_get(object, P_OptionManager_supportedOption, NULL)),
			 ARRAY_LEN(specs));
	assert_int_equal(option_get_num(manager, "Net.Heap", 0), 8);
}

static void changes_are_checked_whole(void **state)
{
	(void)state;
	assert_true(set("Net.Heap", value_new_int(f.arena, 16)));
	assert_int_equal(option_get_num(manager, "Net.Heap", 0), 16);
	assert_int_equal(n_changed, 1);
	assert_false(set("Net.Heap", value_new_int(f.arena, 65)));
	assert_false(set("Net.Heap", value_new_str(f.arena, "16")));
	assert_false(set("Net.Blink", value_new_int(f.arena, 0)));
	assert_false(set("User.Level", value_new_str(f.arena, "middle")));
	assert_false(set("Build.Id", value_new_int(f.arena, 7)));
	assert_true(value_is_a(f.fault, T_InvalidArgument));
	assert_false(set("No.Such", value_new_int(f.arena, 7)));
	assert_true(value_is_a(f.fault, T_InvalidName));
	assert_false(update("User.Name", value_new_str(f.arena, "x"), "Net.Heap",
			    value_new_int(f.arena, -1)));
	assert_string_equal(value_bytes(option_get(manager, "User.Name")), "none");
	assert_int_equal(n_changed, 1);
	/* An int where a long is meant. */
	assert_true(set("Net.Big", value_new_int(f.arena, 5)));
	assert_int_equal(value_kind(option_get(manager, "Net.Big")), KIND_LONG);
	fake_hide(session, object);
	assert_false(set("Net.Heap", value_new_int(f.arena, 3)));
	assert_true(value_is_a(f.fault, T_NoPermission));
}

static void values_come_back(void **state)
{
	(void)state;
	assert_true(update("Net.Heap", value_new_int(f.arena, 32), "config.mine",
			   value_new_str(f.arena, "a <b> & \"c\"")));
	assert_true(update("Net.Blink", value_new_bool(f.arena, false), "Net.Big",
			   value_new_long(f.arena, INT64_C(1) << 40)));
	option_manager_free(manager);
	start();
	assert_int_equal(option_get_num(manager, "Net.Heap", 0), 32);
	assert_int_equal(option_get_num(manager, "Net.Blink", 1), 0);
	assert_int_equal(option_get_num(manager, "Net.Big", 1), INT64_C(1) << 40);
	assert_string_equal(value_bytes(option_get(manager, "config.mine")), "a <b> & \"c\"");
	assert_string_equal(value_bytes(option_get(manager, "User.Level")), "high");
	assert_int_equal(n_found(NULL), ARRAY_LEN(specs) + 1);
}

#define OPTION_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OPTION_TEST(options_are_found_by_name),
		OPTION_TEST(changes_are_checked_whole),
		OPTION_TEST(values_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
