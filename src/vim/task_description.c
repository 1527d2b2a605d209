/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A description id is the type's name without its package and the method's name in the API's own
 * language, which the wire names hide: PowerOnVM_Task is powerOn of VirtualMachine. Mostly the wire
 * name is that name with the type's noun put behind the verb; those that follow no rule are listed.
 */
#include "vim/task_description.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "vim/wording.h"

enum {
	NAME_SIZE = 128
};

static const struct {
	uint16_t method;
	const char *name;
} irregular[] = {
	{ M_ClusterComputeResource_ReconfigureCluster_Task, "reconfigure" },
	{ M_ComputeResource_ReconfigureComputeResource_Task, "reconfigureEx" },
	{ M_Datacenter_PowerOnMultiVM_Task, "powerOnVm" },
	{ M_Datacenter_ReconfigureDatacenter_Task, "reconfigure" },
	{ M_Datastore_DatastoreExitMaintenanceMode_Task, "exitMaintenanceMode" },
	{ M_DistributedVirtualPortgroup_DVPortgroupRollback_Task, "rollback" },
	{ M_DistributedVirtualPortgroup_ReconfigureDVPortgroup_Task, "reconfigure" },
	{ M_DistributedVirtualSwitch_AddDVPortgroup_Task, "addPortgroups" },
	{ M_DistributedVirtualSwitch_CreateDVPortgroup_Task, "addPortgroup" },
	{ M_DistributedVirtualSwitch_DVSRollback_Task, "rollback" },
	{ M_DistributedVirtualSwitch_MergeDvs_Task, "merge" },
	{ M_DistributedVirtualSwitch_MoveDVPort_Task, "movePort" },
	{ M_DistributedVirtualSwitch_ReconfigureDVPort_Task, "reconfigurePort" },
	{ M_DistributedVirtualSwitch_ReconfigureDvs_Task, "reconfigure" },
	{ M_DistributedVirtualSwitch_RectifyDvsHost_Task, "rectifyHost" },
	{ M_FileManager_CopyDatastoreFile_Task, "copyFile" },
	{ M_FileManager_DeleteDatastoreFile_Task, "deleteFile" },
	{ M_FileManager_MoveDatastoreFile_Task, "moveFile" },
	{ M_Folder_CreateDVS_Task, "createDistributedVirtualSwitch" },
	{ M_Folder_MoveIntoFolder_Task, "moveInto" },
	{ M_HostDatastoreBrowser_SearchDatastoreSubFolders_Task, "searchSubFolders" },
	{ M_HostDatastoreBrowser_SearchDatastore_Task, "search" },
	{ M_HostSystem_PowerDownHostToStandBy_Task, "enterStandbyMode" },
	{ M_HostSystem_PowerUpHostFromStandBy_Task, "exitStandbyMode" },
	{ M_HostSystem_ReconfigureHostForDAS_Task, "reconfigureDAS" },
	{ M_ResourcePool_CreateChildVM_Task, "createVm" },
	{ M_ResourcePool_RegisterChildVM_Task, "registerVm" },
	{ M_VirtualMachine_ConsolidateVMDisks_Task, "consolidateDisks" },
	{ M_VirtualMachine_CreateSecondaryVMEx_Task, "createSecondaryEx" },
	{ M_VirtualMachine_ReconfigVM_Task, "reconfigure" },
	{ M_VirtualMachine_reloadVirtualMachineFromPath_Task, "reloadFromPath" },
	{ M_VirtualMachine_TerminateFaultTolerantVM_Task, "terminateFaultTolerantVM" },
	{ M_VirtualMachine_TurnOffFaultToleranceForVM_Task, "turnOffFaultTolerance" },
	{ M_VirtualMachine_UpgradeVM_Task, "upgradeVirtualHardware" },
	{ M_VirtualMachineSnapshot_RemoveSnapshot_Task, "remove" },
	{ M_VirtualMachineSnapshot_RevertToSnapshot_Task, "revert" },
};

/* The noun that wire names put behind the verb, by declaring type. */
static const struct {
	uint16_t managed;
	const char *noun;
} nouns[] = {
	{ T_VirtualMachine, "VM" },
	{ T_VirtualApp, "VApp" },
	{ T_HostSystem, "Host" },
};

/* Takes `end` off the name; false when it does not end so or is nothing else. */
static bool chop(char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	if (n <= m || strcmp(name + n - m, end) != 0) {
		return false;
	}
	name[n - m] = '\0';
	return true;
}

/* Method's own name: "createVm" for CreateVM_Task. */
static void method_name(uint16_t method, char name[NAME_SIZE])
{
	for (size_t i = 0; i < ARRAY_LEN(irregular); i++) {
		if (irregular[i].method == method) {
			snprintf(name, NAME_SIZE, "%s", irregular[i].name);
			return;
		}
	}
	snprintf(name, NAME_SIZE, "%s", schema_method_name(method));
	chop(name, "_Task");
	for (size_t i = 0; i < ARRAY_LEN(nouns); i++) {
		if (nouns[i].managed == schema_method(method)->managed) {
			chop(name, nouns[i].noun);
		}
	}
	if (chop(name, "VM")) {
		size_t n = strlen(name);
		snprintf(name + n, NAME_SIZE - n, "Vm");
	}
	name[0] = (char)tolower((unsigned char)name[0]);
}

/* Package of a type whose wire name holds it ("HostDatastoreBrowser" is host.DatastoreBrowser), and
 * how many bytes of the wire name it takes. */
static const char *package(uint16_t managed, size_t *taken)
{
	static const struct {
		const char *prefix;
		const char *package;
	} packages[] = { { "Host", "host." }, { "VirtualMachine", "vm." } };
	const char *name = schema_type_name(managed);

	*taken = 0;
	if (schema_is_a(managed, T_DistributedVirtualPortgroup) ||
	    managed == T_VmwareDistributedVirtualSwitch) {
		return "dvs.";
	}
	if (schema_is_a(managed, T_ManagedEntity)) {
		return "";
	}
	for (size_t i = 0; i < ARRAY_LEN(packages); i++) {
		size_t n = strlen(packages[i].prefix);
		if (strncmp(name, packages[i].prefix, n) == 0 && isupper((unsigned char)name[n])) {
			*taken = n;
			return packages[i].package;
		}
	}
	return "";
}

char *task_description_id(struct arena *a, uint16_t managed, uint16_t method)
{
	char name[NAME_SIZE];
	size_t taken;
	const char *before = package(managed, &taken);

	method_name(method, name);
	return arena_printf(a, "%s%s.%s", before, schema_type_name(managed) + taken, name);
}

static void element(struct arena *a, struct value *array, const char *key, const char *label)
{
	struct value *e = value_new(a, value_type(array));

	value_set_str(a, e, F_Description_label, label);
	value_set_str(a, e, F_Description_summary, label);
	value_set_str(a, e, F_ElementDescription_key, key);
	value_push(a, array, e);
}

static void label_add(struct buf *b, const char *method_name)
{
	size_t n = strlen(method_name), suffix = strlen("_Task");

	wording_add(b, method_name,
		    n > suffix && strcmp(method_name + n - suffix, "_Task") == 0 ? n - suffix : n);
}

char *task_label(struct arena *a, const char *method_name)
{
	struct buf b = BUF_INIT;

	label_add(&b, method_name);
	wording_capital(&b, 0);
	char *label = arena_strdup(a, b.data);
	buf_free(&b);
	return label;
}

/* "Power on virtual machine"; methods that every entity has say on what: "Rename datastore". */
static void method_describe(struct arena *a, struct value *array, uint16_t managed, uint16_t method)
{
	struct buf label = BUF_INIT;

	label_add(&label, schema_method_name(method));
	if (schema_method(method)->managed == T_ManagedEntity) {
		const char *type = schema_type_name(managed);
		buf_addc(&label, ' ');
		wording_add(&label, type, strlen(type));
	}
	wording_capital(&label, 0);
	element(a, array, task_description_id(a, managed, method), label.data);
	buf_free(&label);
}

static bool is_task(uint16_t method)
{
	const char *name = schema_method_name(method);
	size_t n = strlen(name);

	return n > 5 && strcmp(name + n - 5, "_Task") == 0;
}

static struct value *methods_describe(struct arena *a)
{
	struct value *array = value_new_array(a, T_ElementDescription);

	for (unsigned m = 0; m < SCHEMA_N_METHODS; m++) {
		uint16_t method = (uint16_t)m, managed = schema_method(method)->managed;
		if (!is_task(method)) {
			continue;
		}
		for (unsigned t = managed; t <= schema_type(managed)->last; t++) {
			method_describe(a, array, (uint16_t)t, method);
		}
	}
	return array;
}

static struct value *description_new(struct arena *a)
{
	struct value *d = value_new(a, T_TaskDescription);
	struct value *states = value_new_array(a, T_ElementDescription);
	struct value *reasons = value_new_array(a, T_TypeDescription);

	element(a, states, "queued", "Queued");
	element(a, states, "running", "Running");
	element(a, states, "success", "Completed");
	element(a, states, "error", "Failed");
	element(a, reasons, "TaskReasonSystem", "System");
	element(a, reasons, "TaskReasonUser", "User");
	element(a, reasons, "TaskReasonAlarm", "Alarm");
	element(a, reasons, "TaskReasonSchedule", "Scheduled task");
	value_set(a, d, F_TaskDescription_methodInfo, methods_describe(a));
	value_set(a, d, F_TaskDescription_state, states);
	value_set(a, d, F_TaskDescription_reason, reasons);
	return d;
}

const struct value *task_description(void)
{
	static const struct value *description;

	if (description == NULL) {
		struct arena *a = arena_new(0);
		description = value_keep(description_new(a));
		arena_free(a);
	}
	return description;
}
