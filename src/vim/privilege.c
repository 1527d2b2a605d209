/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/privilege.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/map.h"
#include "vim/schema.h"

/* Known to clients, carried by no method: handlers check some of them by hand. */
static const char *const further[] = {
	"System.Anonymous",
	"System.View",
	"System.Read",
	"Authorization.ModifyPermissions",
	"Datastore.AllocateSpace",
	"Datastore.Browse",
	"Datastore.FileManagement",
	"Datastore.UpdateVirtualMachineFiles",
	"Network.Assign",
	"Resource.AssignVMToPool",
	"Resource.AssignVAppToPool",
	"Sessions.TerminateSession",
	"Sessions.ValidateSession",
	"Resource.HotMigrate",
	"VirtualMachine.Config.AddExistingDisk",
	"VirtualMachine.Config.AddNewDisk",
	"VirtualMachine.Config.AddRemoveDevice",
	"VirtualMachine.Config.AdvancedConfig",
	"VirtualMachine.Config.Annotation",
	"VirtualMachine.Config.CPUCount",
	"VirtualMachine.Config.ChangeTracking",
	"VirtualMachine.Config.DiskExtend",
	"VirtualMachine.Config.EditDevice",
	"VirtualMachine.Config.HostUSBDevice",
	"VirtualMachine.Config.ManagedBy",
	"VirtualMachine.Config.Memory",
	"VirtualMachine.Config.RawDevice",
	"VirtualMachine.Config.RemoveDisk",
	"VirtualMachine.Config.Rename",
	"VirtualMachine.Config.ResetGuestInfo",
	"VirtualMachine.Config.Resource",
	"VirtualMachine.Config.Settings",
	"VirtualMachine.Config.SwapPlacement",
	"VirtualMachine.Config.UpgradeVirtualHardware",
	"VirtualMachine.Interact.ConsoleInteract",
	"VirtualMachine.Interact.DeviceConnection",
	"VirtualMachine.Interact.SetCDMedia",
	"VirtualMachine.Interact.SetFloppyMedia",
	"VirtualMachine.Inventory.Create",
	"VirtualMachine.Inventory.CreateFromExisting",
	"VirtualMachine.Inventory.Delete",
	"VirtualMachine.Inventory.Move",
	"VirtualMachine.Inventory.Register",
	"VirtualMachine.Inventory.Unregister",
	"Folder.Create",
	"Folder.Delete",
	"Folder.Move",
	"Folder.Rename",
	"Datacenter.Delete",
	"Datacenter.Rename",
	"Host.Inventory.DeleteCluster",
	"Host.Inventory.RenameCluster",
	"Host.Inventory.RemoveHostFromCluster",
	"Resource.DeletePool",
	"Resource.MovePool",
	"Resource.RenamePool",
	"Datacenter.Move",
	"Host.Inventory.MoveCluster",
	"Host.Inventory.MoveHost",
	"DVSwitch.Delete",
	"DVSwitch.Move",
	"DVPortgroup.Delete",
	"DVPortgroup.Modify",
	"Network.Move",
	"Datastore.Move",
	"Network.Delete",
	"Datastore.Delete",
	"Datastore.Rename",
};

static const char *names[PRIVILEGES_MAX];
static unsigned n_names;
static struct map by_name; /* value: number + 1 */

static void name_add(const char *name)
{
	if (name[0] == '\0' || map_has(&by_name, name)) {
		return;
	}
	assert(n_names < PRIVILEGES_MAX);
	map_set(&by_name, name, NULL);
	names[n_names++] = name;
}

static int name_compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void names_make(void)
{
	if (n_names != 0) {
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(further); i++) {
		name_add(further[i]);
	}
	for (uint16_t m = 0; m < SCHEMA_N_METHODS; m++) {
		name_add(schema_strings + schema_method(m)->privilege);
	}
	qsort(names, n_names, sizeof(names[0]), name_compare);
	for (unsigned i = 0; i < n_names; i++) {
		map_set(&by_name, names[i], (void *)(uintptr_t)(i + 1));
	}
}

unsigned privilege_count(void)
{
	names_make();
	return n_names;
}

const char *privilege_name(unsigned i)
{
	names_make();
	return names[i];
}

int privilege_find(const char *name)
{
	names_make();
	return (int)(uintptr_t)map_get(&by_name, name) - 1;
}

void privilege_set_add_all(struct privilege_set *s)
{
	for (unsigned i = 0; i < privilege_count(); i++) {
		privilege_set_add(s, i);
	}
}

void privilege_set_join(struct privilege_set *s, const struct privilege_set *other)
{
	for (unsigned i = 0; i < ARRAY_LEN(s->bits); i++) {
		s->bits[i] |= other->bits[i];
	}
}
