/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "vim/path.h"

static struct inventory *inv;
static struct arena *arena;

static int begin(void **state)
{
	(void)state;
	inv = inventory_new(clock_real());
	arena = arena_new(0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	inventory_free(inv);
	arena_free(arena);
	return 0;
}

static struct object *make_vm(void)
{
	struct object *vm = inventory_add(inv, T_VirtualMachine, "vm-1", NULL, NULL);
	struct value *config = value_new(arena, T_VirtualMachineConfigInfo);
	struct value *hardware = value_new(arena, T_VirtualHardware);
	struct value *devices = value_new_array(arena, T_VirtualDevice);
	struct value *extra = value_new_array(arena, T_OptionValue);
	struct value *nic = value_new(arena, T_VirtualVmxnet3);
	struct value *backing = value_new(arena, T_VirtualEthernetCardNetworkBackingInfo);
	struct value *option = value_new(arena, T_OptionValue);

	value_set_str(arena, backing, F_VirtualDeviceDeviceBackingInfo_deviceName, "VM Network");
	value_set_num(arena, nic, F_VirtualDevice_key, 4000);
	value_set(arena, nic, F_VirtualDevice_backing, backing);
	value_push(arena, devices, nic);
	value_set(arena, hardware, F_VirtualHardware_device, devices);
	value_set_num(arena, hardware, F_VirtualHardware_memoryMB, 512);
	value_set_str(arena, option, F_OptionValue_key, "guestinfo.ip");
	value_set(arena, option, F_OptionValue_value, value_new_str(arena, "10.0.0.1"));
	value_push(arena, extra, option);
	value_set(arena, config, F_VirtualMachineConfigInfo_hardware, hardware);
	value_set(arena, config, F_VirtualMachineConfigInfo_extraConfig, extra);
	inventory_set(vm, P_VirtualMachine_config, config);
	inventory_set_str(vm, P_ManagedEntity_name, "one");
	return vm;
}

static const struct value *at(struct object *o, const char *text)
{
	struct error e;
	struct path *p = path_parse(arena, o->type, text, strlen(text), &e);

	assert_non_null(p);
	return path_eval(p, o, arena);
}

static void paths_lead_to_values(void **state)
{
	(void)state;
	struct object *vm = make_vm();

	assert_string_equal(value_bytes(at(vm, "name")), "one");
	assert_int_equal(value_scalar(at(vm, "config.hardware.memoryMB")).num, 512);
	assert_int_equal(value_type(at(vm, "config.hardware.device[4000]")), T_VirtualVmxnet3);
	assert_string_equal(value_bytes(at(vm, "config.hardware.device[4000].backing.deviceName")),
			    "VM Network");
	assert_null(at(vm, "config.hardware.device[4001]"));
	assert_null(at(vm, "config.hardware.device[4000].macAddress"));
	assert_null(at(vm, "config.hardware.device[4000].capacityInKB"));
	assert_string_equal(value_bytes(at(vm, "config.extraConfig[\"guestinfo.ip\"].value")),
			    "10.0.0.1");
	assert_string_equal(value_bytes(at(vm, "config.extraConfig[guestinfo.ip].value")),
			    "10.0.0.1");
	assert_null(at(vm, "config.extraConfig[\"x\"].value"));
	assert_null(at(vm, "summary.runtime.powerState"));
	assert_int_equal(value_count(at(vm, "config.hardware.device")), 1);
	assert_int_equal(value_count(at(vm, "config.cpuFeatureMask")), 0);
	assert_non_null(at(vm, "config.cpuFeatureMask"));
	assert_null(at(vm, "layoutEx.file"));
	assert_null(at(vm, "customValue"));
}

static void concrete_types_count(void **state)
{
	(void)state;
	struct object *pg =
		inventory_add(inv, T_DistributedVirtualPortgroup, "dvportgroup-1", NULL, NULL);
	struct value *config = value_new(arena, T_DVPortgroupConfigInfo);
	struct value *port = value_new(arena, T_VMwareDVSPortSetting);
	struct value *vlan = value_new(arena, T_VmwareDistributedVirtualSwitchVlanIdSpec);

	value_set_num(arena, vlan, F_VmwareDistributedVirtualSwitchVlanIdSpec_vlanId, 42);
	value_set(arena, port, F_VMwareDVSPortSetting_vlan, vlan);
	value_set(arena, config, F_DVPortgroupConfigInfo_defaultPortConfig, port);
	inventory_set(pg, P_DistributedVirtualPortgroup_config, config);
	assert_int_equal(value_scalar(at(pg, "config.defaultPortConfig.vlan.vlanId")).num, 42);
}

static void texts_are_made_alike(void **state)
{
	(void)state;
	struct error e;
	static const char *const pairs[][2] = {
		{ "config.hardware.device[\"04000\"].key", "config.hardware.device[4000].key" },
		{ "config.extraConfig[a]", "config.extraConfig[\"a\"]" },
		{ "config.extraConfig[7]", "config.extraConfig[\"7\"]" },
		{ "network[\"network-1\"]", "network[\"network-1\"]" },
		{ "config.cpuFeatureMask", "config.cpuFeatureMask" },
	};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct path *p =
			path_parse(arena, T_VirtualMachine, pairs[i][0], strlen(pairs[i][0]), &e);
		assert_non_null(p);
		assert_string_equal(p->text, pairs[i][1]);
		assert_string_equal(p->asked, pairs[i][0]);
		assert_int_equal(p->len, strlen(p->text));
	}
}

static void wrong_paths_are_refused(void **state)
{
	(void)state;
	static const char *const wrong[] = {
		"",
		".",
		"nam",
		"name.",
		"name.x",
		"name[",
		"name[]",
		"name[1]",
		".name",
		"name..x",
		"runtime.nothing",
		"runtime.powerState.x",
		"runtime.host.name",
		"config.hardware.device.key",
		"config.hardware.device[]",
		"config.hardware.device[x]",
		"config.hardware.device[4000",
		"config.hardware.device[\"4000]",
		"config.hardware.device[4000]x",
		"config.hardware.device[4000][1]",
		"config.hardware.device[4000].nothing",
		"guest.net[0].ipAddress",
		"config hardware",
	};
	struct error e;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		e.msg[0] = '\0';
		assert_null(path_parse(arena, T_VirtualMachine, wrong[i], strlen(wrong[i]), &e));
		assert_int_equal(e.kind, ERROR_INVALID);
		assert_true(e.msg[0] != '\0');
	}
	char text[PATH_MAX_BYTES + 2];
	memset(text, 'a', sizeof(text));
	assert_null(path_parse(arena, T_VirtualMachine, text, sizeof(text), &e));
	assert_int_equal(e.kind, ERROR_LIMIT);
	strncpy(text, "config.extraConfig[\"a\"].value", sizeof(text) - 1);
	for (size_t n = strlen(text); n + 3 < PATH_MAX_BYTES; n += 2) {
		memcpy(text + n, ".a", 3);
	}
	assert_null(path_parse(arena, T_VirtualMachine, text, strlen(text), &e));
	assert_int_equal(e.kind, ERROR_LIMIT);
}

static bool overlap(const char *a, const char *b)
{
	return path_overlaps(a, strlen(a), b, strlen(b)) &&
	       path_overlaps(b, strlen(b), a, strlen(a));
}

static void changes_concern_paths(void **state)
{
	(void)state;
	assert_true(overlap("runtime", "runtime.powerState"));
	assert_true(overlap("runtime", "runtime"));
	assert_false(overlap("runtime.host", "runtime.powerState"));
	assert_false(overlap("run", "runtime"));
	assert_true(overlap("a.device", "a.device[4000].backing"));
	assert_false(overlap("a.device[400]", "a.device[4000]"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(paths_lead_to_values, begin, end),
		cmocka_unit_test_setup_teardown(concrete_types_count, begin, end),
		cmocka_unit_test_setup_teardown(texts_are_made_alike, begin, end),
		cmocka_unit_test_setup_teardown(wrong_paths_are_refused, begin, end),
		cmocka_unit_test(changes_concern_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
