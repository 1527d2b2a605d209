/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: any bytes as a property path of several types, read from an object if it parses. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "vim/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct object *make_vm(struct inventory *inv)
{
	struct arena *a = arena_new(0);
	struct object *vm = inventory_add(inv, T_VirtualMachine, "vm-1", NULL, NULL);
	struct value *config = value_new(a, T_VirtualMachineConfigInfo);
	struct value *hardware = value_new(a, T_VirtualHardware);
	struct value *devices = value_new_array(a, T_VirtualDevice);
	struct value *extra = value_new_array(a, T_OptionValue);
	struct value *disk = value_new(a, T_VirtualDisk), *option = value_new(a, T_OptionValue);

	value_set_num(a, disk, F_VirtualDevice_key, 4000);
	value_set_num(a, disk, F_VirtualDisk_capacityInKB, 1 << 20);
	value_push(a, devices, disk);
	value_set(a, hardware, F_VirtualHardware_device, devices);
	value_set_str(a, option, F_OptionValue_key, "guestinfo.ip");
	value_set(a, option, F_OptionValue_value, hardware);
	value_push(a, extra, option);
	value_set(a, config, F_VirtualMachineConfigInfo_hardware, hardware);
	value_set(a, config, F_VirtualMachineConfigInfo_extraConfig, extra);
	inventory_set(vm, P_VirtualMachine_config, config);
	arena_free(a);
	return vm;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = { T_VirtualMachine, T_HostSystem, T_Task,
					  T_DistributedVirtualPortgroup };
	static struct object *vm;
	struct arena *a = arena_new(1 << 20);

	if (vm == NULL) {
		vm = make_vm(inventory_new(clock_real()));
	}
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct error e = { 0 };
		struct path *p = path_parse(a, types[i], (const char *)data, size, &e);
		if (p == NULL && e.kind == ERROR_NONE) {
			abort();
		}
		/* What was made canonical parses again, to the same. */
		struct path *q = p == NULL || strchr(p->text, '\\') != NULL ||
						 memchr(p->asked, '\\', size) != NULL
					 ? NULL
					 : path_parse(a, types[i], p->text, p->len, &e);
		if (q != NULL && strcmp(p->text, q->text) != 0) {
			abort();
		}
		if (p != NULL && types[i] == T_VirtualMachine) {
			(void)path_eval(p, vm, a);
		}
	}
	arena_free(a);
	return 0;
}
