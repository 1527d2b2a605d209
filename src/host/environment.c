/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EnvironmentBrowser (vSphere API): what VMs may be made of on this host. Honest: only devices and
 * limits that vm_config.h accepts and the drivers run.
 */
#include <string.h>

#include "base/number.h"
#include "host/draft.h"
#include "host/host_impl.h"
#include "host/vm_device.h"
#include "host/vmdk.h"
#include "vim/fault.h"

#define HARDWARE_KEY "vmx-19"
#define GUEST(f)     F_GuestOsDescriptor_##f
#define OPTION(f)    F_VirtualDeviceOption_##f

enum {
	HARDWARE_VERSION = 19,
	DISKS_MAX = 60,
};

/* ---- guests ---- */

struct guest {
	const char *id, *family;
	int memory_mb, disk_mb;
	bool is_64;
};

static const struct guest guests[] = {
	{ "otherGuest64", "otherGuestFamily", 512, 8192, true },
	{ "otherGuest", "otherGuestFamily", 256, 8192, false },
	{ "otherLinux64Guest", "linuxGuest", 1024, 8192, true },
	{ "otherLinuxGuest", "linuxGuest", 512, 8192, false },
	{ "other5xLinux64Guest", "linuxGuest", 2048, 16384, true },
	{ "other6xLinux64Guest", "linuxGuest", 2048, 16384, true },
	{ "debian11_64Guest", "linuxGuest", 2048, 16384, true },
	{ "debian12_64Guest", "linuxGuest", 2048, 16384, true },
	{ "ubuntu64Guest", "linuxGuest", 2048, 16384, true },
	{ "centos8_64Guest", "linuxGuest", 2048, 16384, true },
	{ "rhel9_64Guest", "linuxGuest", 2048, 16384, true },
	{ "freebsd13_64Guest", "otherGuestFamily", 2048, 16384, true },
	{ "windows2019srv_64Guest", "windowsGuest", 4096, 92160, true },
	{ "windows2022srvNext_64Guest", "windowsGuest", 4096, 92160, true },
	{ "vmkernel8Guest", "otherGuestFamily", 4096, 40960, true },
};

static struct value *guest_descriptor(const struct host *h, const struct guest *g, struct arena *a)
{
	static const char *const controllers[] = {
		"VirtualIDEController",
		"VirtualLsiLogicController",
		"VirtualLsiLogicSASController",
		"ParaVirtualSCSIController",
		"VirtualAHCIController",
		"VirtualNVMEController",
		NULL,
	};
	static const char *const cards[] = { "VirtualVmxnet3", "VirtualE1000e", "VirtualE1000",
					     NULL };
	static const char *const firmware[] = { "bios", "efi", NULL };
	struct value *v = value_new(a, T_GuestOsDescriptor);

	value_set_str(a, v, GUEST(id), g->id);
	value_set_str(a, v, GUEST(family), g->family);
	value_set_str(a, v, GUEST(fullName), vm_guest_full_name(g->id));
	value_set_num(a, v, GUEST(supportedMaxCPUs), MIN((int)h->node.cpus, VM_CPUS_MAX));
	value_set_num(a, v, GUEST(numSupportedPhysicalSockets), VM_CPUS_MAX);
	value_set_num(a, v, GUEST(numSupportedCoresPerSocket), VM_CPUS_MAX);
	value_set_num(a, v, GUEST(supportedMinMemMB), 4);
	value_set_num(a, v, GUEST(supportedMaxMemMB), VM_MEMORY_MAX_MB);
	value_set_num(a, v, GUEST(recommendedMemMB), g->memory_mb);
	value_set(a, v, GUEST(supportedDiskControllerList), draft_strings(a, controllers));
	value_set_str(a, v, GUEST(recommendedSCSIController), "ParaVirtualSCSIController");
	value_set_str(a, v, GUEST(recommendedDiskController), "ParaVirtualSCSIController");
	value_set_num(a, v, GUEST(supportedNumDisks), DISKS_MAX);
	value_set_num(a, v, GUEST(recommendedDiskSizeMB), g->disk_mb);
	value_set_str(a, v, GUEST(recommendedCdromController), "VirtualIDEController");
	value_set(a, v, GUEST(supportedEthernetCard), draft_strings(a, cards));
	value_set_str(a, v, GUEST(recommendedEthernetCard),
		      g->is_64 ? "VirtualVmxnet3" : "VirtualE1000");
	value_set(a, v, GUEST(supportedFirmware), draft_strings(a, firmware));
	value_set_str(a, v, GUEST(recommendedFirmware), "bios");
	value_set_str(a, v, GUEST(supportLevel), "supported");
	value_set_bool(a, v, GUEST(supportedForCreate), true);
	value_set_bool(a, v, GUEST(supportsPvscsiControllerForBoot), true);
	value_set_bool(a, v, GUEST(diskUuidEnabled), true);
	draft_fill(a, v);
	return v;
}

static bool is_asked(const struct value *ids, const char *id)
{
	for (size_t i = 0; i < value_count(ids); i++) {
		if (strcmp(value_bytes(value_item(ids, i)), id) == 0) {
			return true;
		}
	}
	return value_count(ids) == 0;
}

/* ---- hardware ---- */

static struct value *int_option(struct arena *a, int min, int max, int otherwise)
{
	struct value *v = value_new(a, T_IntOption);

	value_set_num(a, v, F_IntOption_min, min);
	value_set_num(a, v, F_IntOption_max, max);
	value_set_num(a, v, F_IntOption_defaultValue, otherwise);
	return v;
}

static void push_device(struct arena *a, struct value *list, uint16_t option, uint16_t device)
{
	struct value *v = value_new(a, option);

	value_set_str(a, v, OPTION(type), schema_type_name(device));
	if (schema_is_a(option, T_VirtualControllerOption)) {
		const struct vm_bus_facts *bus = vm_bus_facts(vm_controller_bus(device));
		value_set(a, v, F_VirtualControllerOption_devices,
			  int_option(a, 0, bus == NULL ? 0 : bus->max_units, 0));
	}
	if (option == T_VirtualDiskOption) {
		struct value *c = value_new(a, T_LongOption);
		value_set_num(a, c, F_LongOption_min, 1);
		value_set_num(a, c, F_LongOption_max, (int64_t)(VMDK_CAPACITY_MAX / 1024));
		value_set_num(a, c, F_LongOption_defaultValue, 8 << 20);
		value_set(a, v, F_VirtualDiskOption_capacityInKB, c);
	}
	draft_fill(a, v);
	value_push(a, list, v);
}

static struct value *device_options(struct arena *a)
{
	static const struct {
		uint16_t option, device;
	} devices[] = {
		{ T_VirtualIDEControllerOption, T_VirtualIDEController },
		{ T_VirtualLsiLogicControllerOption, T_VirtualLsiLogicController },
		{ T_VirtualLsiLogicSASControllerOption, T_VirtualLsiLogicSASController },
		{ T_ParaVirtualSCSIControllerOption, T_ParaVirtualSCSIController },
		{ T_VirtualAHCIControllerOption, T_VirtualAHCIController },
		{ T_VirtualNVMEControllerOption, T_VirtualNVMEController },
		{ T_VirtualDiskOption, T_VirtualDisk },
		{ T_VirtualCdromOption, T_VirtualCdrom },
		{ T_VirtualVmxnet3Option, T_VirtualVmxnet3 },
		{ T_VirtualE1000eOption, T_VirtualE1000e },
		{ T_VirtualE1000Option, T_VirtualE1000 },
		{ T_VirtualSerialPortOption, T_VirtualSerialPort },
	};
	struct value *list = value_new_array(a, T_VirtualDeviceOption);

	for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
		push_device(a, list, devices[i].option, devices[i].device);
	}
	return list;
}

static struct value *hardware_option(const struct host *h, struct arena *a)
{
	struct value *v = value_new(a, T_VirtualHardwareOption);
	struct value *cpus = value_new_array(a, T_int);
	struct value *memory = value_new(a, T_LongOption);
	int max = MIN((int)h->node.cpus, VM_CPUS_MAX);

	for (int i = 1; i <= max; i++) {
		value_push_num(a, cpus, i);
	}
	value_set_num(a, memory, F_LongOption_min, 4);
	value_set_num(a, memory, F_LongOption_max, VM_MEMORY_MAX_MB);
	value_set_num(a, memory, F_LongOption_defaultValue, 1024);
	value_set_num(a, v, F_VirtualHardwareOption_hwVersion, HARDWARE_VERSION);
	value_set(a, v, F_VirtualHardwareOption_virtualDeviceOption, device_options(a));
	value_set(a, v, F_VirtualHardwareOption_numCPU, cpus);
	value_set(a, v, F_VirtualHardwareOption_numCoresPerSocket, int_option(a, 1, max, 1));
	value_set(a, v, F_VirtualHardwareOption_memoryMB, memory);
	value_set(a, v, F_VirtualHardwareOption_numPCIControllers, int_option(a, 1, 1, 1));
	value_set(a, v, F_VirtualHardwareOption_numIDEControllers, int_option(a, 2, 2, 2));
	value_set(a, v, F_VirtualHardwareOption_numSIOControllers, int_option(a, 1, 1, 1));
	value_set(a, v, F_VirtualHardwareOption_numPS2Controllers, int_option(a, 1, 1, 1));
	draft_fill(a, v);
	return v;
}

static struct value *capabilities(struct arena *a)
{
	static const int can[] = {
		F_VirtualMachineCapability_bootOptionsSupported,
		F_VirtualMachineCapability_multipleCoresPerSocketSupported,
		-1,
	};
	struct value *v = value_new(a, T_VirtualMachineCapability);

	draft_fill(a, v);
	draft_set_true(a, v, can);
	return v;
}

static struct value *config_option(const struct host *h, const struct value *ids, struct arena *a)
{
	static const char *const monitors[] = { "release", NULL };
	struct value *v = value_new(a, T_VirtualMachineConfigOption);
	struct value *list = value_new_array(a, T_GuestOsDescriptor);

	for (size_t i = 0; i < ARRAY_LEN(guests); i++) {
		if (is_asked(ids, guests[i].id)) {
			value_push(a, list, guest_descriptor(h, &guests[i], a));
		}
	}
	value_set_str(a, v, F_VirtualMachineConfigOption_version, HARDWARE_KEY);
	value_set_str(a, v, F_VirtualMachineConfigOption_description, "Remora virtual machine");
	value_set(a, v, F_VirtualMachineConfigOption_guestOSDescriptor, list);
	value_set_num(a, v, F_VirtualMachineConfigOption_guestOSDefaultIndex, 0);
	value_set(a, v, F_VirtualMachineConfigOption_hardwareOptions, hardware_option(h, a));
	value_set(a, v, F_VirtualMachineConfigOption_capabilities, capabilities(a));
	value_set(a, v, F_VirtualMachineConfigOption_datastore, value_new(a, T_DatastoreOption));
	value_set(a, v, F_VirtualMachineConfigOption_defaultDevice, vm_fixed_devices(a));
	value_set(a, v, F_VirtualMachineConfigOption_supportedMonitorType,
		  draft_strings(a, monitors));
	return v;
}

/* ---- methods ---- */

/* False: the call has been answered. */
static bool host_is_this(struct call *c, const struct value *ref)
{
	struct host *h = call_arg(c);

	if (ref == NULL || inventory_find_ref(h->inventory, ref) == h->system) {
		return true;
	}
	call_fault(c, fault_not_found(c->arena, ref), "there is no host \"%s\"", value_bytes(ref));
	return false;
}

static void answer_option(struct call *c, const char *key, const struct value *host,
			  const struct value *ids)
{
	uint64_t version;

	if (!host_is_this(c, host)) {
		return;
	}
	if (key != NULL && key[0] != '\0' &&
	    (strncmp(key, "vmx-", 4) != 0 || !number_u64(key + 4, &version) || version < 4 ||
	     version > 21)) {
		call_fault(c, fault_invalid_argument(c->arena, "key"),
			   "there is no hardware version \"%.40s\"; this host makes \"%s\"", key,
			   HARDWARE_KEY);
		return;
	}
	struct value *v = config_option(call_arg(c), ids, c->arena);
	if (key != NULL && key[0] != '\0') {
		value_set_str(c->arena, v, F_VirtualMachineConfigOption_version, key);
	}
	call_return(c, v);
}

static void query_option(struct call *c)
{
	answer_option(c, value_get_str(c->args, A_EnvironmentBrowser_QueryConfigOption_key),
		      value_get_value(c->args, A_EnvironmentBrowser_QueryConfigOption_host), NULL);
}

static void query_option_ex(struct call *c)
{
	const struct value *spec =
		value_get_value(c->args, A_EnvironmentBrowser_QueryConfigOptionEx_spec);

	if (spec == NULL) {
		answer_option(c, NULL, NULL, NULL);
		return;
	}
	answer_option(c, value_get_str(spec, F_EnvironmentBrowserConfigOptionQuerySpec_key),
		      value_get_value(spec, F_EnvironmentBrowserConfigOptionQuerySpec_host),
		      value_get_value(spec, F_EnvironmentBrowserConfigOptionQuerySpec_guestId));
}

static void query_descriptor(struct call *c)
{
	struct host *h = call_arg(c);
	struct arena *a = c->arena;
	struct value *list = value_new_array(a, T_VirtualMachineConfigOptionDescriptor);
	struct value *v = value_new(a, T_VirtualMachineConfigOptionDescriptor);

	value_set_str(a, v, F_VirtualMachineConfigOptionDescriptor_key, HARDWARE_KEY);
	value_set_str(a, v, F_VirtualMachineConfigOptionDescriptor_description,
		      "Remora virtual machine");
	value_set(a, v, F_VirtualMachineConfigOptionDescriptor_host,
		  draft_refs(a, T_HostSystem, &h->system, 1));
	value_set_bool(a, v, F_VirtualMachineConfigOptionDescriptor_createSupported, true);
	value_set_bool(a, v, F_VirtualMachineConfigOptionDescriptor_defaultConfigOption, true);
	value_set_bool(a, v, F_VirtualMachineConfigOptionDescriptor_runSupported, true);
	value_set_bool(a, v, F_VirtualMachineConfigOptionDescriptor_upgradeSupported, true);
	value_push(a, list, v);
	call_return(c, list);
}

static struct value *target_datastores(struct host *h, struct arena *a)
{
	struct value *list = value_new_array(a, T_VirtualMachineDatastoreInfo);

	list_each (struct host_datastore, d, &h->datastores, link) {
		struct value *v = value_new(a, T_VirtualMachineDatastoreInfo);
		const struct value *info = object_get(d->object, P_Datastore_info, a);
		value_set_str(a, v, F_VirtualMachineTargetInfo_name, d->name);
		value_set(a, v, F_VirtualMachineDatastoreInfo_datastore,
			  object_get(d->object, P_Datastore_summary, a));
		value_set(a, v, F_VirtualMachineDatastoreInfo_capability,
			  object_get(d->object, P_Datastore_capability, a));
		value_set_num(a, v, F_VirtualMachineDatastoreInfo_maxFileSize,
			      value_get_num(info, F_DatastoreInfo_maxFileSize, 0));
		value_set_num(a, v, F_VirtualMachineDatastoreInfo_maxVirtualDiskCapacity,
			      (int64_t)VMDK_CAPACITY_MAX);
		value_set_str(a, v, F_VirtualMachineDatastoreInfo_mode, "readWrite");
		value_set_str(a, v, F_VirtualMachineDatastoreInfo_vStorageSupport,
			      "vStorageUnsupported");
		value_push(a, list, v);
	}
	return list;
}

static struct value *target_networks(struct host *h, struct arena *a)
{
	struct value *list = value_new_array(a, T_VirtualMachineNetworkInfo);

	list_each (struct host_network, n, &h->networks, link) {
		struct value *v = value_new(a, T_VirtualMachineNetworkInfo);
		value_set_str(a, v, F_VirtualMachineTargetInfo_name, n->name);
		value_set(a, v, F_VirtualMachineNetworkInfo_network,
			  object_get(n->object, P_Network_summary, a));
		value_push(a, list, v);
	}
	return list;
}

static void query_target(struct call *c)
{
	struct host *h = call_arg(c);
	struct arena *a = c->arena;
	struct value *v = value_new(a, T_ConfigTarget);

	if (!host_is_this(c,
			  value_get_value(c->args, A_EnvironmentBrowser_QueryConfigTarget_host))) {
		return;
	}
	const struct value *hw = object_get(h->system, P_HostSystem_hardware, a);
	const struct value *cpu = value_get_value(hw, F_HostHardwareInfo_cpuInfo);
	value_set_num(a, v, F_ConfigTarget_numCpus, h->node.cpus);
	value_set_num(a, v, F_ConfigTarget_numCpuCores,
		      value_get_num(cpu, F_HostCpuInfo_numCpuCores, 1));
	value_set_num(a, v, F_ConfigTarget_numNumaNodes, 1);
	value_set_num(a, v, F_ConfigTarget_maxCpusPerHost, h->node.cpus);
	value_set_bool(a, v, F_ConfigTarget_smcPresent, false);
	value_set(a, v, F_ConfigTarget_datastore, target_datastores(h, a));
	value_set(a, v, F_ConfigTarget_network, target_networks(h, a));
	value_set_num(a, v, F_ConfigTarget_maxMemMBOptimalPerf, (int64_t)h->node.memory_mib);
	value_set_num(a, v, F_ConfigTarget_supportedMaxMemMB, VM_MEMORY_MAX_MB);
	value_set(a, v, F_ConfigTarget_resourcePool,
		  object_get(h->pool, P_ResourcePool_runtime, a));
	value_set_bool(a, v, F_ConfigTarget_autoVmotion, false);
	value_set_num(a, v, F_ConfigTarget_maxSimultaneousThreads, 1);
	call_return(c, v);
}

static void query_capabilities(struct call *c)
{
	struct host *h = call_arg(c);

	if (host_is_this(c, value_get_value(c->args,
					    A_EnvironmentBrowser_QueryTargetCapabilities_host))) {
		call_return(c, object_get(h->system, P_HostSystem_capability, c->arena));
	}
}

void environment_build(struct host *h)
{
	struct service *s = h->api.service;

	h->environment =
		inventory_add(h->inventory, T_EnvironmentBrowser, "ha-env-browser", NULL, h);
	service_handle(s, T_EnvironmentBrowser, M_EnvironmentBrowser_QueryConfigOption,
		       query_option, h);
	service_handle(s, T_EnvironmentBrowser, M_EnvironmentBrowser_QueryConfigOptionEx,
		       query_option_ex, h);
	service_handle(s, T_EnvironmentBrowser, M_EnvironmentBrowser_QueryConfigOptionDescriptor,
		       query_descriptor, h);
	service_handle(s, T_EnvironmentBrowser, M_EnvironmentBrowser_QueryConfigTarget,
		       query_target, h);
	service_handle(s, T_EnvironmentBrowser, M_EnvironmentBrowser_QueryTargetCapabilities,
		       query_capabilities, h);
}
