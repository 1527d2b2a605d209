/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Privileges for methods where the schema names none, as they depend on type or arguments. The host
 * runs everything as the manager, so it is here that users are told apart.
 */
#include <string.h>

#include "center/forward.h"

static const struct {
	uint16_t type, method;
	const char *privilege;
} rules[] = {
	{ T_VirtualMachine, M_ManagedEntity_Destroy_Task, "VirtualMachine.Inventory.Delete" },
	{ T_VirtualMachine, M_ManagedEntity_Rename_Task, "VirtualMachine.Config.Rename" },
	{ T_VirtualMachine, M_VirtualMachine_AcquireTicket,
	  "VirtualMachine.Interact.ConsoleInteract" },
	{ T_VirtualMachine, M_VirtualMachine_CloneVM_Task,
	  "VirtualMachine.Inventory.CreateFromExisting" },
	{ T_VirtualMachine, M_VirtualMachine_MigrateVM_Task, "Resource.AssignVMToPool" },
	{ T_Datastore, M_ManagedEntity_Destroy_Task, "Datastore.Delete" },
	{ T_Datastore, M_ManagedEntity_Rename_Task, "Datastore.Rename" },
	{ T_HostDatastoreBrowser, M_HostDatastoreBrowser_SearchDatastore_Task, "Datastore.Browse" },
	{ T_HostDatastoreBrowser, M_HostDatastoreBrowser_SearchDatastoreSubFolders_Task,
	  "Datastore.Browse" },
	{ T_HostNetworkSystem, M_HostNetworkSystem_AddServiceConsoleVirtualNic,
	  "Host.Config.Network" },
	{ T_HostNetworkSystem, M_HostNetworkSystem_AddVirtualNic, "Host.Config.Network" },
	{ T_HostNetworkSystem, M_HostNetworkSystem_UpdateNetworkConfig, "Host.Config.Network" },
	{ T_HostNetworkSystem, M_HostNetworkSystem_UpdateServiceConsoleVirtualNic,
	  "Host.Config.Network" },
	{ T_HostNetworkSystem, M_HostNetworkSystem_UpdateVirtualNic, "Host.Config.Network" },
	{ T_OptionManager, M_OptionManager_UpdateOptions, "Host.Config.Settings" },
};

/* Fields of a VirtualMachineConfigSpec; what is not here takes VirtualMachine.Config.Settings. */
static const struct {
	int field;
	const char *privilege;
} config_rules[] = {
	{ F_VirtualMachineConfigSpec_name, "VirtualMachine.Config.Rename" },
	{ F_VirtualMachineConfigSpec_annotation, "VirtualMachine.Config.Annotation" },
	{ F_VirtualMachineConfigSpec_numCPUs, "VirtualMachine.Config.CPUCount" },
	{ F_VirtualMachineConfigSpec_numCoresPerSocket, "VirtualMachine.Config.CPUCount" },
	{ F_VirtualMachineConfigSpec_memoryMB, "VirtualMachine.Config.Memory" },
	{ F_VirtualMachineConfigSpec_extraConfig, "VirtualMachine.Config.AdvancedConfig" },
	{ F_VirtualMachineConfigSpec_managedBy, "VirtualMachine.Config.ManagedBy" },
	{ F_VirtualMachineConfigSpec_version, "VirtualMachine.Config.UpgradeVirtualHardware" },
	{ F_VirtualMachineConfigSpec_cpuAllocation, "VirtualMachine.Config.Resource" },
	{ F_VirtualMachineConfigSpec_memoryAllocation, "VirtualMachine.Config.Resource" },
	{ F_VirtualMachineConfigSpec_changeVersion, NULL },
	{ F_VirtualMachineConfigSpec_deviceChange, NULL }, /* one by one */
};

/* Adding, removing or editing a device. */
static const char *device_privilege(const struct value *change)
{
	const struct value *device = value_get_value(change, F_VirtualDeviceConfigSpec_device);
	int64_t op = value_get_num(change, F_VirtualDeviceConfigSpec_operation,
				   E_VirtualDeviceConfigSpecOperation_edit);
	bool has_file = value_has(change, F_VirtualDeviceConfigSpec_fileOperation);

	if (!value_is_a(device, T_VirtualDisk)) {
		return op == E_VirtualDeviceConfigSpecOperation_edit
			       ? "VirtualMachine.Config.EditDevice"
			       : "VirtualMachine.Config.AddRemoveDevice";
	}
	switch (op) {
	case E_VirtualDeviceConfigSpecOperation_add:
		return has_file ? "VirtualMachine.Config.AddNewDisk"
				: "VirtualMachine.Config.AddExistingDisk";
	case E_VirtualDeviceConfigSpecOperation_remove:
		return "VirtualMachine.Config.RemoveDisk";
	default:
		return "VirtualMachine.Config.DiskExtend";
	}
}

static const char *config_privilege(int field)
{
	for (size_t i = 0; i < ARRAY_LEN(config_rules); i++) {
		if (config_rules[i].field == field) {
			return config_rules[i].privilege;
		}
	}
	return "VirtualMachine.Config.Settings";
}

static bool may_reconfigure(struct call *c)
{
	const struct value *spec = value_get_value(c->args, A_VirtualMachine_ReconfigVM_Task_spec);
	const struct value *changes =
		value_get_value(spec, F_VirtualMachineConfigSpec_deviceChange);
	bool any = false; /* even a change of nothing leaves a new version */
	union slot slot;

	for (int i = -1; spec != NULL && value_next(spec, &i, &slot);) {
		const char *privilege = config_privilege(i);
		if (privilege == NULL) {
			continue;
		}
		any = true;
		if (!call_require(c, c->self, privilege)) {
			return false;
		}
	}
	for (size_t i = 0; i < value_count(changes); i++) {
		any = true;
		if (!call_require(c, c->self, device_privilege(value_item(changes, i)))) {
			return false;
		}
	}
	return any || call_require(c, c->self, "VirtualMachine.Config.Settings");
}

bool forward_may(struct call *c, struct mirrored *of)
{
	struct object *o = c->self;

	if (!schema_is_a(o->type, T_ManagedEntity)) {
		o = mirrored_source(of)->mirror->member->system;
	}
	if (c->method == M_VirtualMachine_ReconfigVM_Task) {
		return may_reconfigure(c);
	}
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		if (rules[i].method == c->method && schema_is_a(c->self->type, rules[i].type)) {
			return call_require(c, o, rules[i].privilege);
		}
	}
	return true;
}
