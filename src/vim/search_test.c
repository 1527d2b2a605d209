/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "vim/rig.h"

static int setup(void **state)
{
	*state = rig_new();
	return 0;
}

static int teardown(void **state)
{
	rig_free(*state);
	return 0;
}

static struct object *search(struct rig *r)
{
	return inventory_find(r->inventory, "SearchIndex");
}

/* The id of what is found, or "". */
static const char *found(struct rig *r, uint16_t method, const struct value *args)
{
	static char id[100];
	const struct value *ref = rig_call(r, search(r), method, args);

	snprintf(id, sizeof(id), "%s", ref == NULL ? "" : value_bytes(ref));
	value_drop(ref);
	return id;
}

static const char *by_path(struct rig *r, const char *path)
{
	struct value *args = rig_args(r, M_SearchIndex_FindByInventoryPath);

	value_set_str(r->arena, args, A_SearchIndex_FindByInventoryPath_inventoryPath, path);
	return found(r, M_SearchIndex_FindByInventoryPath, args);
}

static void paths_are_followed(void **state)
{
	struct rig *r = *state;

	rig_add_vm(r, "vm-1", "one");
	rig_add_vm(r, "vm-2", "a%2fb");
	assert_string_equal(by_path(r, "DC0/vm/one"), "vm-1");
	assert_string_equal(by_path(r, "/DC0/vm/one/"), "vm-1");
	assert_string_equal(by_path(r, "DC0//vm"), "group-v3");
	assert_string_equal(by_path(r, "DC0/vm/a%2fb"), "vm-2");
	assert_string_equal(by_path(r, "DC0/host/h0"), "domain-c8");
	assert_string_equal(by_path(r, "DC0/host/h0/h0"), "host-9");
	assert_string_equal(by_path(r, "DC0/host/h0/Resources/one"), "vm-1");
	assert_string_equal(by_path(r, "/"), "group-d1");
	assert_string_equal(by_path(r, ""), "group-d1");
	assert_string_equal(by_path(r, "DC0/vm/two"), "");
	assert_string_equal(by_path(r, "DC0/vm/one/x"), "");
	assert_string_equal(by_path(r, "../DC0"), "");
	char long_path[2000];
	memset(long_path, 'a', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_string_equal(by_path(r, long_path), "");

	struct value *args = rig_args(r, M_SearchIndex_FindChild);
	value_set(r->arena, args, A_SearchIndex_FindChild_entity, r->vm_folder->ref);
	value_set_str(r->arena, args, A_SearchIndex_FindChild_name, "one");
	assert_string_equal(found(r, M_SearchIndex_FindChild, args), "vm-1");
	value_set_str(r->arena, args, A_SearchIndex_FindChild_name, "");
	assert_string_equal(found(r, M_SearchIndex_FindChild, args), "");
	value_set_ref(r->arena, args, A_SearchIndex_FindChild_entity, T_Folder, "group-99");
	assert_int_equal(rig_fault(r, search(r), M_SearchIndex_FindChild, args),
			 T_ManagedObjectNotFound);
}

static void set_uuid(struct rig *r, struct object *vm, const char *uuid, const char *instance)
{
	struct value *config = value_new(r->arena, T_VirtualMachineConfigInfo);
	struct value *files = value_new(r->arena, T_VirtualMachineFileInfo);

	value_set_str(r->arena, config, F_VirtualMachineConfigInfo_uuid, uuid);
	value_set_str(r->arena, config, F_VirtualMachineConfigInfo_instanceUuid, instance);
	value_set_strf(r->arena, files, F_VirtualMachineFileInfo_vmPathName, "[ds] %s/%s.vmx",
		       object_id(vm), object_id(vm));
	value_set(r->arena, config, F_VirtualMachineConfigInfo_files, files);
	inventory_set(vm, P_VirtualMachine_config, config);
}

static const char *by_uuid(struct rig *r, const char *uuid, bool vm, bool instance)
{
	struct value *args = rig_args(r, M_SearchIndex_FindByUuid);

	value_set_str(r->arena, args, A_SearchIndex_FindByUuid_uuid, uuid);
	value_set_bool(r->arena, args, A_SearchIndex_FindByUuid_vmSearch, vm);
	value_set_bool(r->arena, args, A_SearchIndex_FindByUuid_instanceUuid, instance);
	return found(r, M_SearchIndex_FindByUuid, args);
}

static void uuids_are_indexed(void **state)
{
	struct rig *r = *state;
	struct object *a = rig_add_vm(r, "vm-1", "a"), *b = rig_add_vm(r, "vm-2", "b");

	set_uuid(r, a, "4210AAAA-0000", "5010-1");
	set_uuid(r, b, "4210bbbb-0000", "5010-2");
	assert_string_equal(by_uuid(r, "4210aaaa-0000", true, false), "vm-1");
	assert_string_equal(by_uuid(r, "4210BBBB-0000", true, false), "vm-2");
	assert_string_equal(by_uuid(r, "5010-2", true, true), "vm-2");
	assert_string_equal(by_uuid(r, "5010-2", true, false), "");
	assert_string_equal(by_uuid(r, "5010-2", false, false), "");
	assert_string_equal(by_uuid(r, "", true, false), "");
	/* A change, a copy, a removal. */
	set_uuid(r, a, "4210cccc-0000", "5010-1");
	assert_string_equal(by_uuid(r, "4210aaaa-0000", true, false), "");
	assert_string_equal(by_uuid(r, "4210cccc-0000", true, false), "vm-1");
	set_uuid(r, b, "4210cccc-0000", "5010-2");
	struct value *args = rig_args(r, M_SearchIndex_FindAllByUuid);
	value_set_str(r->arena, args, A_SearchIndex_FindAllByUuid_uuid, "4210cccc-0000");
	value_set_bool(r->arena, args, A_SearchIndex_FindAllByUuid_vmSearch, true);
	const struct value *all = rig_call(r, search(r), M_SearchIndex_FindAllByUuid, args);
	assert_int_equal(value_count(all), 2);
	value_drop(all);
	rig_remove_vm(r, a);
	assert_string_equal(by_uuid(r, "4210cccc-0000", true, false), "vm-2");
	rig_remove_vm(r, b);
	assert_string_equal(by_uuid(r, "4210cccc-0000", true, false), "");

	struct value *hardware = value_new(r->arena, T_HostHardwareInfo);
	struct value *system = value_new(r->arena, T_HostSystemInfo);
	value_set_str(r->arena, system, F_HostSystemInfo_uuid, "host-uuid");
	value_set(r->arena, hardware, F_HostHardwareInfo_systemInfo, system);
	inventory_set(r->host, P_HostSystem_hardware, hardware);
	assert_string_equal(by_uuid(r, "host-uuid", false, false), "host-9");
}

static void addresses_are_found(void **state)
{
	struct rig *r = *state;
	struct object *vm = rig_add_vm(r, "vm-1", "a");
	struct value *guest = value_new(r->arena, T_GuestInfo);
	struct value *nic = value_new(r->arena, T_GuestNicInfo);
	struct value *list = value_new_array(r->arena, T_string);
	struct value *args = rig_args(r, M_SearchIndex_FindByIp);

	value_push(r->arena, list, value_new_str(r->arena, "10.0.0.2"));
	value_push(r->arena, list, value_new_str(r->arena, "fe80::1"));
	value_set(r->arena, nic, F_GuestNicInfo_ipAddress, list);
	value_set(r->arena, guest, F_GuestInfo_net, rig_list(r, T_GuestNicInfo, nic, NULL));
	value_set_str(r->arena, guest, F_GuestInfo_ipAddress, "10.0.0.1");
	value_set_str(r->arena, guest, F_GuestInfo_hostName, "edge.example");
	inventory_set(vm, P_VirtualMachine_guest, guest);
	value_set_bool(r->arena, args, A_SearchIndex_FindByIp_vmSearch, true);
	value_set_str(r->arena, args, A_SearchIndex_FindByIp_ip, "FE80::1");
	assert_string_equal(found(r, M_SearchIndex_FindByIp, args), "vm-1");
	value_set_str(r->arena, args, A_SearchIndex_FindByIp_ip, "10.0.0.1");
	assert_string_equal(found(r, M_SearchIndex_FindByIp, args), "vm-1");
	value_set_str(r->arena, args, A_SearchIndex_FindByIp_ip, "10.0.0.3");
	assert_string_equal(found(r, M_SearchIndex_FindByIp, args), "");
	value_set_ref(r->arena, args, A_SearchIndex_FindByIp_datacenter, T_Datacenter,
		      "datacenter-2");
	value_set_str(r->arena, args, A_SearchIndex_FindByIp_ip, "10.0.0.2");
	assert_string_equal(found(r, M_SearchIndex_FindByIp, args), "vm-1");
	value_set_ref(r->arena, args, A_SearchIndex_FindByIp_datacenter, T_Datacenter, "nope");
	assert_int_equal(rig_fault(r, search(r), M_SearchIndex_FindByIp, args),
			 T_ManagedObjectNotFound);

	args = rig_args(r, M_SearchIndex_FindByDnsName);
	value_set_bool(r->arena, args, A_SearchIndex_FindByDnsName_vmSearch, true);
	value_set_str(r->arena, args, A_SearchIndex_FindByDnsName_dnsName, "Edge.Example");
	assert_string_equal(found(r, M_SearchIndex_FindByDnsName, args), "vm-1");
	value_set_bool(r->arena, args, A_SearchIndex_FindByDnsName_vmSearch, false);
	value_set_str(r->arena, args, A_SearchIndex_FindByDnsName_dnsName, "h0");
	assert_string_equal(found(r, M_SearchIndex_FindByDnsName, args), "host-9");
}

static void files_are_found(void **state)
{
	struct rig *r = *state;
	struct object *vm = rig_add_vm(r, "vm-1", "a");
	struct object *ds = inventory_add(r->inventory, T_Datastore, "datastore-1", NULL, NULL);
	struct value *args = rig_args(r, M_SearchIndex_FindByDatastorePath);

	set_uuid(r, vm, "a", "b");
	inventory_set_str(ds, P_ManagedEntity_name, "ds");
	inventory_set_ref(ds, P_ManagedEntity_parent, inventory_find(r->inventory, "datacenter-2"));
	value_set_ref(r->arena, args, A_SearchIndex_FindByDatastorePath_datacenter, T_Datacenter,
		      "datacenter-2");
	value_set_str(r->arena, args, A_SearchIndex_FindByDatastorePath_path, "[ds] vm-1/vm-1.vmx");
	assert_string_equal(found(r, M_SearchIndex_FindByDatastorePath, args), "vm-1");
	value_set_str(r->arena, args, A_SearchIndex_FindByDatastorePath_path, "[ds] x.vmx");
	assert_string_equal(found(r, M_SearchIndex_FindByDatastorePath, args), "");
	static const char *const wrong[] = { "[no] x.vmx", "[ds", "", "x" };
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		value_set_str(r->arena, args, A_SearchIndex_FindByDatastorePath_path, wrong[i]);
		assert_int_equal(rig_fault(r, search(r), M_SearchIndex_FindByDatastorePath, args),
				 T_InvalidDatastore);
	}
}

static void the_unseen_is_not_found(void **state)
{
	struct rig *r = *state;
	struct object *vm = rig_add_vm(r, "vm-1", "one"), *other = rig_add_vm(r, "vm-2", "two");
	struct object *authorization = inventory_find(r->inventory, "AuthorizationManager");
	struct value *args = rig_args(r, M_AuthorizationManager_SetEntityPermissions);
	struct value *permission = value_new(r->arena, T_Permission);

	set_uuid(r, vm, "uuid-1", "i-1");
	set_uuid(r, other, "uuid-2", "i-2");
	/* Read-only (-2) on the one machine. */
	value_set_str(r->arena, permission, F_Permission_principal, "guest");
	value_set_num(r->arena, permission, F_Permission_roleId, -2);
	value_set_bool(r->arena, permission, F_Permission_group, false);
	value_set_bool(r->arena, permission, F_Permission_propagate, true);
	value_set(r->arena, args, A_AuthorizationManager_SetEntityPermissions_entity, vm->ref);
	value_set(r->arena, args, A_AuthorizationManager_SetEntityPermissions_permission,
		  rig_list(r, T_Permission, permission, NULL));
	value_drop(rig_call(r, authorization, M_AuthorizationManager_SetEntityPermissions, args));
	r->session = rig_login(r, "guest", "guest");
	assert_string_equal(by_uuid(r, "uuid-1", true, false), "vm-1");
	assert_string_equal(by_uuid(r, "uuid-2", true, false), "");
	assert_string_equal(by_path(r, "DC0/vm/one"), "vm-1");
	assert_string_equal(by_path(r, "DC0/vm/two"), "");
	/* Nor whether there is a datastore of a name. */
	struct object *store = inventory_add(r->inventory, T_Datastore, "datastore-1", NULL, NULL);
	inventory_set_str(store, P_ManagedEntity_name, "hidden");
	args = rig_args(r, M_SearchIndex_FindByDatastorePath);
	value_set(r->arena, args, A_SearchIndex_FindByDatastorePath_datacenter,
		  inventory_find(r->inventory, "datacenter-2")->ref);
	value_set_str(r->arena, args, A_SearchIndex_FindByDatastorePath_path, "[hidden] a/a.vmx");
	inventory_set_ref(store, P_ManagedEntity_parent,
			  inventory_find(r->inventory, "datacenter-2"));
	assert_int_equal(rig_fault(r, search(r), M_SearchIndex_FindByDatastorePath, args),
			 T_InvalidDatastore);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(paths_are_followed), TEST(uuids_are_indexed),	 TEST(addresses_are_found),
		TEST(files_are_found),	  TEST(the_unseen_is_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
