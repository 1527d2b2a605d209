/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a VirtualMachine object shows beyond its configuration. Small things that many VMs share
 * (runtime, guest, capability, disabledMethod) are stored, for equal values exist once; large
 * things of each VM's own (summary, layoutEx, storage, resourceConfig) are computed when somebody
 * reads them, and compared around each change so that clients hear of exactly what changed.
 */
#include <string.h>

#include "base/macro.h"
#include "host/draft.h"
#include "host/host_plane.h"
#include "host/vm_device.h"
#include "host/vm_impl.h"

#define CONFIG(f)  F_VirtualMachineConfigInfo_##f
#define RUNTIME(f) F_VirtualMachineRuntimeInfo_##f
#define QUICK(f)   F_VirtualMachineQuickStats_##f
#define NIC(f)	   F_VirtualMachineDeviceRuntimeInfoVirtualEthernetCardRuntimeState_##f
#define BIT(p)	   (UINT64_C(1) << (p))

enum {
	ON = E_VirtualMachinePowerState_poweredOn,
	OFF = E_VirtualMachinePowerState_poweredOff,
	SUSPENDED = E_VirtualMachinePowerState_suspended,
};

const struct value *vm_capability_new(struct arena *a)
{
	static const int yes[] = {
		F_VirtualMachineCapability_s1AcpiManagementSupported,
		F_VirtualMachineCapability_bootOptionsSupported,
		F_VirtualMachineCapability_multipleCoresPerSocketSupported,
		F_VirtualMachineCapability_swapPlacementSupported,
		-1,
	};
	struct value *c = value_new(a, T_VirtualMachineCapability);

	draft_set_true(a, c, yes);
	draft_fill(a, c);
	return c;
}

static int64_t hardware_num(const struct value *config, unsigned field)
{
	return value_get_num(value_get_value(config, CONFIG(hardware)), field, 0);
}

/* ---- runtime ---- */

/* Why a card that asks for the fast path does not have it: of the VM or (*is_other) of what is
 * around it; NULL: it has. */
static const char *upt_obstacle(const struct vm *vm, const struct value *nic, bool *is_other)
{
	const struct host *h = vm->layer->host;
	const struct value *c = value_get_value(nic, F_VirtualDevice_connectable);
	const struct plane_port_state *seen = vm_network_seen(vm, nic);

	*is_other = true;
	if (h->plane == NULL || !host_plane_is_up(h)) {
		return "vmNptIncompatibleHost";
	}
	if (vm_network_name(vm, nic) == NULL) {
		return "vmNptIncompatibleNetwork";
	}
	*is_other = false;
	if (vm->power != ON || !value_get_bool(c, F_VirtualDeviceConnectInfo_connected, false)) {
		return "vmNptDisabledOrDisconnectedAdapter";
	}
	return seen != NULL && seen->is_up ? NULL : "vmNptIncompatibleGuestDriver";
}

static void set_reason(struct arena *a, struct value *s, unsigned field, const char *why)
{
	struct value *list = value_new_array(a, T_string);

	value_push_str(a, list, why);
	value_set(a, s, field, list);
}

/* No card goes past this side; one that is virtio has its packets taken from the guest's memory by
 * the switch, which is what UPT stands for here. */
static struct value *nic_state(const struct vm *vm, struct arena *a, const struct value *nic)
{
	struct value *s =
		value_new(a, T_VirtualMachineDeviceRuntimeInfoVirtualEthernetCardRuntimeState);
	bool is_other;

	value_set_bool(a, s, NIC(vmDirectPathGen2Active), false);
	set_reason(a, s, NIC(vmDirectPathGen2InactiveReasonOther), "vmNptIncompatibleHost");
	if (vm_nic_is_virtio(nic)) {
		const char *why = upt_obstacle(vm, nic, &is_other);
		value_set_bool(a, s, NIC(uptv2Active), why == NULL);
		if (why != NULL) {
			set_reason(a, s,
				   is_other ? NIC(uptv2InactiveReasonOther)
					    : NIC(uptv2InactiveReasonVm),
				   why);
		}
	}
	return s;
}

static const struct value *runtime_devices(const struct vm *vm, struct arena *a,
					   const struct value *config)
{
	const struct value *devices = vm_devices(config);
	struct value *all = value_new_array(a, T_VirtualMachineDeviceRuntimeInfo);

	for (size_t i = 0; i < value_count(devices); i++) {
		const struct value *d = value_item(devices, i);
		if (vm_device_role(value_type(d)) != VM_ROLE_NIC) {
			continue;
		}
		struct value *x = value_new(a, T_VirtualMachineDeviceRuntimeInfo);
		value_set(a, x, F_VirtualMachineDeviceRuntimeInfo_runtimeState,
			  nic_state(vm, a, d));
		value_set_num(a, x, F_VirtualMachineDeviceRuntimeInfo_key,
			      value_get_num(d, F_VirtualDevice_key, 0));
		value_push(a, all, x);
	}
	return value_count(all) == 0 ? NULL : all;
}

static struct value *runtime_draft(const struct vm *vm, struct arena *a)
{
	static const unsigned off[] = {
		RUNTIME(toolsInstallerMounted), RUNTIME(onlineStandby),
		RUNTIME(consolidationNeeded),	RUNTIME(paused),
		RUNTIME(snapshotInBackground),	RUNTIME(suspendedToMemory)
	};
	const struct value *config = vm_config(vm);
	struct host *h = vm->layer->host;
	struct value *r = value_new(a, T_VirtualMachineRuntimeInfo);

	for (size_t i = 0; i < ARRAY_LEN(off); i++) {
		value_set_bool(a, r, off[i], false);
	}
	value_set(a, r, RUNTIME(host), h->system->ref);
	value_set_num(a, r, RUNTIME(connectionState), vm->connection);
	value_set_num(a, r, RUNTIME(powerState), vm->power);
	value_set_num(a, r, RUNTIME(faultToleranceState),
		      E_VirtualMachineFaultToleranceState_notConfigured);
	value_set_num(a, r, RUNTIME(recordReplayState), E_VirtualMachineRecordReplayState_inactive);
	value_set_num(a, r, RUNTIME(numMksConnections), 0);
	if (config == NULL) {
		return r;
	}
	value_set(a, r, RUNTIME(device), runtime_devices(vm, a, config));
	value_set_num(a, r, RUNTIME(maxCpuUsage),
		      hardware_num(config, F_VirtualHardware_numCPU) * host_cpu_mhz(h));
	value_set_num(a, r, RUNTIME(maxMemoryUsage),
		      hardware_num(config, F_VirtualHardware_memoryMB));
	if (vm->power == ON && vm->boot_us != 0) {
		value_set_num(a, r, RUNTIME(bootTime), vm->boot_us);
	}
	if (vm->power == SUSPENDED && vm->suspend_us != 0) {
		value_set_num(a, r, RUNTIME(suspendTime), vm->suspend_us);
	}
	if (vm->power == OFF) {
		value_set_bool(a, r, RUNTIME(cleanPowerOff), vm->clean_off);
	}
	return r;
}

/* ---- guest ---- */

/* Where nothing runs, clients say what a guest would, as in the simulator that people know:
 * `extraConfig["SET.guest.ipAddress"]`. Texts only. */
static void guest_says(const struct vm *vm, struct arena *a, struct value *guest)
{
	static const char prefix[] = "SET.guest.";
	const struct value *extra = value_get_value(vm_config(vm), CONFIG(extraConfig));
	size_t n = vm->layer->host->simulated ? value_count(extra) : 0;

	for (size_t i = 0; i < n; i++) {
		const struct value *item = value_item(extra, i);
		const char *key = value_get_str(item, F_OptionValue_key);
		const struct value *text = value_get_value(item, F_OptionValue_value);
		if (key == NULL || strncmp(key, prefix, strlen(prefix)) != 0 || text == NULL ||
		    text->kind != KIND_STRING) {
			continue;
		}
		key += strlen(prefix);
		int field = schema_field_find(guest->type, key, strlen(key), 0);
		const struct schema_field *f =
			field < 0 ? NULL : schema_field(guest->type, (unsigned)field);
		if (f != NULL && f->kind == KIND_STRING && !(f->flags & FIELD_ARRAY)) {
			value_set(a, guest, (unsigned)field, text);
		}
	}
}

/* A card as the guest has it, with the addresses that the switch saw it use. */
static struct value *guest_nic(const struct vm *vm, struct arena *a, const struct value *d)
{
	const struct plane_port_state *seen = vm_network_seen(vm, d);
	const struct value *c = value_get_value(d, F_VirtualDevice_connectable);
	const char *network = vm_network_name(vm, d);
	struct value *net = value_new(a, T_GuestNicInfo);
	struct value *addresses = value_new_array(a, T_string);

	for (size_t i = 0; seen != NULL && i < seen->n_addresses; i++) {
		value_push_str(a, addresses, seen->addresses[i]);
	}
	if (network != NULL) {
		value_set_str(a, net, F_GuestNicInfo_network, network);
	}
	if (value_count(addresses) > 0) {
		value_set(a, net, F_GuestNicInfo_ipAddress, addresses);
	}
	value_set_str(a, net, F_GuestNicInfo_macAddress,
		      value_get_str(d, F_VirtualEthernetCard_macAddress));
	value_set_bool(a, net, F_GuestNicInfo_connected,
		       value_get_bool(c, F_VirtualDeviceConnectInfo_connected, false) &&
			       seen != NULL && seen->is_up);
	value_set_num(a, net, F_GuestNicInfo_deviceConfigId,
		      value_get_num(d, F_VirtualDevice_key, 0));
	return net;
}

/* The first address that others may use, IPv4 before IPv6; "" where none was seen. */
static const char *guest_address(const struct vm *vm)
{
	const struct value *devices = vm_devices(vm_config(vm));
	const char *found = "";

	for (size_t i = 0; i < value_count(devices); i++) {
		const struct value *d = value_item(devices, i);
		const struct plane_port_state *seen =
			value_is_a(d, T_VirtualEthernetCard) ? vm_network_seen(vm, d) : NULL;
		for (size_t k = 0; seen != NULL && k < seen->n_addresses; k++) {
			const char *address = seen->addresses[k];
			bool is_ip4 = strchr(address, ':') == NULL;
			bool is_local = strncmp(address, "fe80:", 5) == 0 ||
					strncmp(address, "169.254.", 8) == 0;
			if (is_ip4 && !is_local) {
				return address;
			}
			found = found[0] == '\0' && !is_local ? address : found;
		}
	}
	return found;
}

/* Simulated: the first card with the guest's address, once there is one. */
static void guest_add_said(const struct vm *vm, struct arena *a, struct value *guest)
{
	const struct value *devices = vm_devices(vm_config(vm));
	const char *address = value_get_str(guest, F_GuestInfo_ipAddress);

	for (size_t i = 0; address != NULL && i < value_count(devices); i++) {
		const struct value *d = value_item(devices, i);
		if (!value_is_a(d, T_VirtualEthernetCard)) {
			continue;
		}
		struct value *net = guest_nic(vm, a, d);
		struct value *list = value_new_array(a, T_GuestNicInfo);
		struct value *addresses = value_new_array(a, T_string);
		value_push_str(a, addresses, address);
		value_unset(net, F_GuestNicInfo_network);
		value_set(a, net, F_GuestNicInfo_ipAddress, addresses);
		value_set_bool(a, net, F_GuestNicInfo_connected, true);
		value_push(a, list, net);
		value_set(a, guest, F_GuestInfo_net, list);
		return;
	}
}

static void guest_add_net(const struct vm *vm, struct arena *a, struct value *guest)
{
	const struct value *devices = vm_devices(vm_config(vm));
	struct value *list = value_new_array(a, T_GuestNicInfo);

	if (vm->layer->host->plane == NULL) {
		guest_add_said(vm, a, guest);
		return;
	}
	for (size_t i = 0; vm->power == ON && i < value_count(devices); i++) {
		const struct value *d = value_item(devices, i);
		if (value_is_a(d, T_VirtualEthernetCard)) {
			value_push(a, list, guest_nic(vm, a, d));
		}
	}
	if (value_count(list) > 0) {
		value_set(a, guest, F_GuestInfo_net, list);
	}
}

/* guest.ipAddress and its copy in summary.guest. */
static void guest_set_address(const struct vm *vm, struct arena *a, struct value *v, unsigned field)
{
	const char *address = vm->power == ON ? guest_address(vm) : "";

	if (address[0] != '\0') {
		value_set_str(a, v, field, address);
	}
}

static struct value *guest_draft(const struct vm *vm, struct arena *a)
{
	struct value *g = value_new(a, T_GuestInfo);

	value_set_num(a, g, F_GuestInfo_toolsStatus, E_VirtualMachineToolsStatus_toolsNotInstalled);
	value_set_str(a, g, F_GuestInfo_toolsVersionStatus, "guestToolsNotInstalled");
	value_set_str(a, g, F_GuestInfo_toolsVersionStatus2, "guestToolsNotInstalled");
	value_set_str(a, g, F_GuestInfo_toolsRunningStatus, "guestToolsNotRunning");
	value_set_str(a, g, F_GuestInfo_toolsVersion, "0");
	value_set_str(a, g, F_GuestInfo_guestState, "notRunning"); /* as far as tools say */
	value_set_str(a, g, F_GuestInfo_appHeartbeatStatus, "appStatusGray");
	value_set_bool(a, g, F_GuestInfo_guestKernelCrashed, false);
	value_set_str(a, g, F_GuestInfo_appState, "none");
	value_set_bool(a, g, F_GuestInfo_guestOperationsReady, false);
	value_set_bool(a, g, F_GuestInfo_interactiveGuestOperationsReady, false);
	value_set_bool(a, g, F_GuestInfo_guestStateChangeSupported, false);
	value_set_str(a, g, F_GuestInfo_hwVersion, value_get_str(vm_config(vm), CONFIG(version)));
	guest_says(vm, a, g);
	guest_set_address(vm, a, g, F_GuestInfo_ipAddress);
	guest_add_net(vm, a, g);
	return g;
}

/* ---- what cannot be done now ---- */

static const struct value *disabled_methods(const struct vm *vm, struct arena *a)
{
	static const char *const on[] = {
		"PowerOnVM_Task",	"Destroy_Task",	  "UnregisterVM", "MarkAsTemplate",
		"MarkAsVirtualMachine", "UpgradeVM_Task", "AnswerVM",	  NULL
	};
	static const char *const off[] = {
		"PowerOffVM_Task", "ResetVM_Task",	   "SuspendVM_Task",
		"ShutdownGuest",   "RebootGuest",	   "StandbyGuest",
		"AnswerVM",	   "MarkAsVirtualMachine", NULL
	};
	static const char *const suspended[] = { "ResetVM_Task",   "SuspendVM_Task",
						 "ShutdownGuest",  "RebootGuest",
						 "StandbyGuest",   "AnswerVM",
						 "MarkAsTemplate", "MarkAsVirtualMachine",
						 "UpgradeVM_Task", NULL };
	static const char *const template[] = { "PowerOnVM_Task",
						"PowerOffVM_Task",
						"ResetVM_Task",
						"SuspendVM_Task",
						"ShutdownGuest",
						"RebootGuest",
						"StandbyGuest",
						"AnswerVM",
						"MarkAsTemplate",
						"UpgradeVM_Task",
						NULL };

	if (value_get_bool(vm_config(vm), CONFIG(template), false)) {
		return draft_strings(a, template);
	}
	return draft_strings(a, vm->power == ON ? on : vm->power == OFF ? off : suspended);
}

void vm_set_runtime(struct vm *vm)
{
	struct arena *a = vm->layer->scratch;

	arena_reset(a);
	inventory_set(vm->object, P_VirtualMachine_runtime, runtime_draft(vm, a));
	inventory_set(vm->object, P_VirtualMachine_guest, guest_draft(vm, a));
	inventory_set(vm->object, P_ManagedEntity_disabledMethod, disabled_methods(vm, a));
}

/* ---- summary ---- */

static struct value *summary_config(const struct vm *vm, struct arena *a)
{
	static const struct {
		unsigned from, to;
	} same[] = {
		{ CONFIG(uuid), F_VirtualMachineConfigSummary_uuid },
		{ CONFIG(instanceUuid), F_VirtualMachineConfigSummary_instanceUuid },
		{ CONFIG(guestId), F_VirtualMachineConfigSummary_guestId },
		{ CONFIG(guestFullName), F_VirtualMachineConfigSummary_guestFullName },
		{ CONFIG(annotation), F_VirtualMachineConfigSummary_annotation },
		{ CONFIG(managedBy), F_VirtualMachineConfigSummary_managedBy },
		{ CONFIG(version), F_VirtualMachineConfigSummary_hwVersion },
	};
	const struct value *config = vm_config(vm), *devices = vm_devices(config);
	struct value *s = value_new(a, T_VirtualMachineConfigSummary);
	int nics = 0, disks = 0;

	value_set(a, s, F_VirtualMachineConfigSummary_name,
		  object_get(vm->object, P_ManagedEntity_name, NULL));
	value_set_bool(a, s, F_VirtualMachineConfigSummary_template,
		       value_get_bool(config, CONFIG(template), false));
	value_set_str(a, s, F_VirtualMachineConfigSummary_vmPathName, vm_path(vm));
	if (config == NULL) {
		return s;
	}
	for (size_t i = 0; i < value_count(devices); i++) {
		enum vm_role role = vm_device_role(value_type(value_item(devices, i)));
		nics += role == VM_ROLE_NIC;
		disks += role == VM_ROLE_DISK;
	}
	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		value_set(a, s, same[i].to, value_get_value(config, same[i].from));
	}
	value_set_num(a, s, F_VirtualMachineConfigSummary_memorySizeMB,
		      hardware_num(config, F_VirtualHardware_memoryMB));
	value_set_num(a, s, F_VirtualMachineConfigSummary_numCpu,
		      hardware_num(config, F_VirtualHardware_numCPU));
	value_set_num(a, s, F_VirtualMachineConfigSummary_cpuReservation,
		      value_get_num(value_get_value(config, CONFIG(cpuAllocation)),
				    F_ResourceAllocationInfo_reservation, 0));
	value_set_num(a, s, F_VirtualMachineConfigSummary_memoryReservation,
		      value_get_num(value_get_value(config, CONFIG(memoryAllocation)),
				    F_ResourceAllocationInfo_reservation, 0));
	value_set_num(a, s, F_VirtualMachineConfigSummary_numEthernetCards, nics);
	value_set_num(a, s, F_VirtualMachineConfigSummary_numVirtualDisks, disks);
	value_set_bool(a, s, F_VirtualMachineConfigSummary_installBootRequired, false);
	value_set_num(a, s, F_VirtualMachineConfigSummary_numVmiopBackings, 0);
	value_set_bool(a, s, F_VirtualMachineConfigSummary_tpmPresent, false);
	return s;
}

static struct value *summary_guest(const struct vm *vm, struct arena *a)
{
	struct value *s = value_new(a, T_VirtualMachineGuestSummary);

	value_set_num(a, s, F_VirtualMachineGuestSummary_toolsStatus,
		      E_VirtualMachineToolsStatus_toolsNotInstalled);
	value_set_str(a, s, F_VirtualMachineGuestSummary_toolsVersionStatus,
		      "guestToolsNotInstalled");
	value_set_str(a, s, F_VirtualMachineGuestSummary_toolsVersionStatus2,
		      "guestToolsNotInstalled");
	value_set_str(a, s, F_VirtualMachineGuestSummary_toolsRunningStatus,
		      "guestToolsNotRunning");
	value_set(a, s, F_VirtualMachineGuestSummary_hwVersion,
		  value_get_value(vm_config(vm), CONFIG(version)));
	guest_says(vm, a, s);
	guest_set_address(vm, a, s, F_VirtualMachineGuestSummary_ipAddress);
	return s;
}

static struct value *quick_stats(const struct vm *vm, struct arena *a)
{
	static const unsigned zero[] = {
		QUICK(overallCpuUsage),
		QUICK(overallCpuDemand),
		QUICK(overallCpuReadiness),
		QUICK(guestMemoryUsage),
		QUICK(hostMemoryUsage),
		QUICK(distributedCpuEntitlement),
		QUICK(distributedMemoryEntitlement),
		QUICK(staticCpuEntitlement),
		QUICK(staticMemoryEntitlement),
		QUICK(grantedMemory),
		QUICK(privateMemory),
		QUICK(sharedMemory),
		QUICK(swappedMemory),
		QUICK(balloonedMemory),
		QUICK(consumedOverheadMemory),
		QUICK(compressedMemory),
		QUICK(uptimeSeconds),
		QUICK(ssdSwappedMemory),
		QUICK(activeMemory),
	};
	struct value *q = value_new(a, T_VirtualMachineQuickStats);

	for (size_t i = 0; i < ARRAY_LEN(zero); i++) {
		value_set_num(a, q, zero[i], 0);
	}
	value_set_num(a, q, QUICK(guestHeartbeatStatus), E_ManagedEntityStatus_gray);
	if (vm->power != ON) {
		return q;
	}
	int64_t up_us = clock_wall_us(vm->layer->host->clock) - vm->boot_us;
	value_set_num(a, q, QUICK(uptimeSeconds),
		      vm->boot_us == 0 || up_us < 0 ? 0 : MIN(up_us / 1000000, INT32_MAX));
	value_set_num(a, q, QUICK(staticMemoryEntitlement),
		      hardware_num(vm_config(vm), F_VirtualHardware_memoryMB));
	if (vm->stats != NULL) {
		int64_t mb = (int64_t)(vm->stats->resident >> 20);
		value_set_num(a, q, QUICK(overallCpuUsage), vm->stats->cpu_mhz);
		value_set_num(a, q, QUICK(overallCpuDemand), vm->stats->cpu_mhz);
		value_set_num(a, q, QUICK(hostMemoryUsage), mb);
		value_set_num(a, q, QUICK(grantedMemory), mb);
		value_set_num(a, q, QUICK(privateMemory), mb);
	}
	return q;
}

static struct value *summary_draft(struct vm *vm, struct arena *a)
{
	struct value *s = value_new(a, T_VirtualMachineSummary);

	value_set(a, s, F_VirtualMachineSummary_vm, vm->object->ref);
	value_set(a, s, F_VirtualMachineSummary_runtime,
		  object_get(vm->object, P_VirtualMachine_runtime, NULL));
	value_set(a, s, F_VirtualMachineSummary_guest, summary_guest(vm, a));
	value_set(a, s, F_VirtualMachineSummary_config, summary_config(vm, a));
	value_set(a, s, F_VirtualMachineSummary_storage, vm_storage_summary(vm, a));
	value_set(a, s, F_VirtualMachineSummary_quickStats, quick_stats(vm, a));
	value_set_num(a, s, F_VirtualMachineSummary_overallStatus, E_ManagedEntityStatus_green);
	return s;
}

static struct value *resource_config(const struct vm *vm, struct arena *a)
{
	const struct value *config = vm_config(vm);

	if (config == NULL) {
		return NULL;
	}
	struct value *r = value_new(a, T_ResourceConfigSpec);
	value_set(a, r, F_ResourceConfigSpec_entity, vm->object->ref);
	value_set(a, r, F_ResourceConfigSpec_changeVersion,
		  value_get_value(config, CONFIG(changeVersion)));
	value_set_num(a, r, F_ResourceConfigSpec_lastModified,
		      value_get_num(config, CONFIG(modified), 0));
	value_set(a, r, F_ResourceConfigSpec_cpuAllocation,
		  value_get_value(config, CONFIG(cpuAllocation)));
	value_set(a, r, F_ResourceConfigSpec_memoryAllocation,
		  value_get_value(config, CONFIG(memoryAllocation)));
	return r;
}

/* ---- the class ---- */

static const struct value *compute(struct object *o, unsigned prop, struct arena *a)
{
	struct vm *vm = o->owner;

	if (a == NULL) {
		return NULL;
	}
	switch (prop) {
	case P_VirtualMachine_summary:
		return summary_draft(vm, a);
	case P_VirtualMachine_layout:
		return vm_layout(vm, a);
	case P_VirtualMachine_layoutEx:
		return vm_layout_ex(vm, a);
	case P_VirtualMachine_storage:
		return vm_storage(vm, a);
	case P_VirtualMachine_resourceConfig:
		return resource_config(vm, a);
	case P_ManagedEntity_effectiveRole:
		return session_effective_role(o, vm->layer->host->api.service, a);
	default:
		return NULL;
	}
}

const struct object_class vm_class = {
	.computed = BIT(P_VirtualMachine_summary) | BIT(P_VirtualMachine_layout) |
		    BIT(P_VirtualMachine_layoutEx) | BIT(P_VirtualMachine_storage) |
		    BIT(P_VirtualMachine_resourceConfig) | BIT(P_ManagedEntity_effectiveRole),
	.compute = compute,
};

static const unsigned derived[] = { P_VirtualMachine_summary, P_VirtualMachine_layout,
				    P_VirtualMachine_layoutEx, P_VirtualMachine_storage,
				    P_VirtualMachine_resourceConfig };

void vm_change_begin(struct vm *vm, struct vm_change *c)
{
	*c = (struct vm_change){ .vm = vm, .arena = arena_new(0) };
	for (size_t i = 0; i < ARRAY_LEN(derived); i++) {
		c->was[i] = value_keep(compute(vm->object, derived[i], c->arena));
	}
	arena_reset(c->arena);
}

void vm_change_end(struct vm_change *c)
{
	for (size_t i = 0; i < ARRAY_LEN(derived); i++) {
		const struct value *now = value_keep(compute(c->vm->object, derived[i], c->arena));
		inventory_touch_diff(c->vm->object, derived[i], c->was[i], now);
		value_drop(now);
		value_drop(c->was[i]);
	}
	arena_free(c->arena);
}
