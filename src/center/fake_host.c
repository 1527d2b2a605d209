/* SPDX-License-Identifier: Apache-2.0 */
#include "center/fake_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/mem.h"
#include "vim/event.h"
#include "vim/fault.h"
#include "vim/task.h"
#include "vim/user.h"

/* ---- the inventory ---- */

static struct object *entity(struct fake_host *h, uint16_t type, const char *id, const char *name,
			     struct object *parent)
{
	struct object *o = inventory_add(h->inventory, type, id, NULL, h);

	inventory_set_str(o, P_ManagedEntity_name, name);
	inventory_set_enum(o, P_ManagedEntity_overallStatus, T_ManagedEntityStatus,
			   E_ManagedEntityStatus_green);
	if (parent != NULL) {
		inventory_set_ref(o, P_ManagedEntity_parent, parent);
		if (schema_is_a(parent->type, T_Folder)) {
			inventory_add_ref(parent, P_Folder_childEntity, o);
		}
	}
	return o;
}

static void make_tree(struct fake_host *h)
{
	h->root = entity(h, T_Folder, api_root_id(API_HOST), "ha-folder-root", NULL);
	h->dc = entity(h, T_Datacenter, "ha-datacenter", "ha-datacenter", h->root);
	h->vm_folder = entity(h, T_Folder, "ha-folder-vm", "vm", h->dc);
	h->host_folder = entity(h, T_Folder, "ha-folder-host", "host", h->dc);
	h->ds_folder = entity(h, T_Folder, "ha-folder-datastore", "datastore", h->dc);
	h->net_folder = entity(h, T_Folder, "ha-folder-network", "network", h->dc);
	inventory_set_ref(h->dc, P_Datacenter_vmFolder, h->vm_folder);
	inventory_set_ref(h->dc, P_Datacenter_hostFolder, h->host_folder);
	inventory_set_ref(h->dc, P_Datacenter_datastoreFolder, h->ds_folder);
	inventory_set_ref(h->dc, P_Datacenter_networkFolder, h->net_folder);
	h->compute = entity(h, T_ComputeResource, "ha-compute-res", h->name, h->host_folder);
	h->pool = entity(h, T_ResourcePool, "ha-root-pool", "Resources", h->compute);
	h->system = entity(h, T_HostSystem, "ha-host", h->name, h->compute);
	inventory_set_ref(h->compute, P_ComputeResource_resourcePool, h->pool);
	inventory_add_ref(h->compute, P_ComputeResource_host, h->system);
}

static void make_system(struct fake_host *h, const char *uuid)
{
	struct arena *a = h->a;
	struct value *hw = value_new(a, T_HostHardwareSummary);
	struct value *config = value_new(a, T_HostConfigSummary);
	struct value *summary = value_new(a, T_HostListSummary);
	struct value *runtime = value_new(a, T_HostRuntimeInfo);
	struct value *managers = value_new(a, T_HostConfigManager);

	value_set_str(a, hw, F_HostHardwareSummary_vendor, "Remora");
	value_set_str(a, hw, F_HostHardwareSummary_model, "fake");
	value_set_str(a, hw, F_HostHardwareSummary_uuid, uuid);
	value_set_num(a, hw, F_HostHardwareSummary_memorySize, INT64_C(1) << 30);
	value_set_num(a, hw, F_HostHardwareSummary_numCpuCores, 2);
	value_set_num(a, hw, F_HostHardwareSummary_cpuMhz, 2000);
	value_set_str(a, hw, F_HostHardwareSummary_cpuModel, "fake");
	value_set_num(a, hw, F_HostHardwareSummary_numCpuPkgs, 1);
	value_set_num(a, hw, F_HostHardwareSummary_numCpuThreads, 2);
	value_set_num(a, hw, F_HostHardwareSummary_numNics, 1);
	value_set_num(a, hw, F_HostHardwareSummary_numHBAs, 0);
	value_set_bool(a, config, F_HostConfigSummary_vmotionEnabled, false);
	value_set_bool(a, config, F_HostConfigSummary_faultToleranceEnabled, false);
	value_set_str(a, config, F_HostConfigSummary_name, h->name);
	value_set_num(a, config, F_HostConfigSummary_port, 443);
	value_set_num(a, runtime, F_HostRuntimeInfo_connectionState,
		      E_HostSystemConnectionState_connected);
	value_set_num(a, runtime, F_HostRuntimeInfo_powerState, E_HostSystemPowerState_poweredOn);
	value_set_bool(a, runtime, F_HostRuntimeInfo_inMaintenanceMode, false);
	value_set(a, summary, F_HostListSummary_host, h->system->ref);
	value_set(a, summary, F_HostListSummary_hardware, hw);
	value_set(a, summary, F_HostListSummary_runtime, runtime);
	value_set(a, summary, F_HostListSummary_config, config);
	value_set(a, summary, F_HostListSummary_quickStats,
		  value_new(a, T_HostListSummaryQuickStats));
	value_set_num(a, summary, F_HostListSummary_overallStatus, E_ManagedEntityStatus_green);
	value_set_bool(a, summary, F_HostListSummary_rebootRequired, false);
	inventory_set(h->system, P_HostSystem_summary, summary);
	inventory_set(h->system, P_HostSystem_runtime, runtime);
	h->network_system =
		inventory_add(h->inventory, T_HostNetworkSystem, "networkSystem", NULL, h);
	value_set(a, managers, F_HostConfigManager_networkSystem, h->network_system->ref);
	inventory_set(h->system, P_HostSystem_configManager, managers);
}

static void make_places(struct fake_host *h)
{
	struct arena *a = h->a;
	struct value *v = value_new(a, T_DatastoreSummary);

	h->store = entity(h, T_Datastore, "ds-1", "datastore1", h->ds_folder);
	h->browser = inventory_add(h->inventory, T_HostDatastoreBrowser, "browser-1", NULL, h);
	inventory_set_ref(h->store, P_Datastore_browser, h->browser);
	value_set(a, v, F_DatastoreSummary_datastore, h->store->ref);
	value_set_str(a, v, F_DatastoreSummary_name, "datastore1");
	value_set_strf(a, v, F_DatastoreSummary_url, "ds:///vmfs/volumes/%s/", h->name);
	value_set_num(a, v, F_DatastoreSummary_capacity, 1000);
	value_set_num(a, v, F_DatastoreSummary_freeSpace, 500);
	value_set_bool(a, v, F_DatastoreSummary_accessible, true);
	value_set_str(a, v, F_DatastoreSummary_type, "OTHER");
	inventory_set(h->store, P_Datastore_summary, v);
	h->network = entity(h, T_Network, "HaNetwork-VM Network", "VM Network", h->net_folder);
	inventory_set_str(h->network, P_Network_name, "VM Network");
	inventory_add_ref(h->network, P_Network_host, h->system);
	inventory_add_ref(h->system, P_HostSystem_datastore, h->store);
	inventory_add_ref(h->system, P_HostSystem_network, h->network);
}

/* ---- VMs ---- */

static struct value *vm_devices(struct fake_host *h, const char *name)
{
	struct arena *a = h->a;
	struct value *devices = value_new_array(a, T_VirtualDevice);
	struct value *disk = value_new(a, T_VirtualDisk), *nic = value_new(a, T_VirtualVmxnet3);
	struct value *file = value_new(a, T_VirtualDiskFlatVer2BackingInfo);
	struct value *net = value_new(a, T_VirtualEthernetCardNetworkBackingInfo);

	value_set_strf(a, file, F_VirtualDeviceFileBackingInfo_fileName, "[datastore1] %s/%s.vmdk",
		       name, name);
	value_set(a, file, F_VirtualDeviceFileBackingInfo_datastore, h->store->ref);
	value_set_str(a, file, F_VirtualDiskFlatVer2BackingInfo_diskMode, "persistent");
	value_set_num(a, disk, F_VirtualDevice_key, 2000);
	value_set(a, disk, F_VirtualDevice_backing, file);
	value_set_num(a, disk, F_VirtualDisk_capacityInKB, 1024);
	value_set_str(a, net, F_VirtualDeviceDeviceBackingInfo_deviceName, "VM Network");
	value_set(a, net, F_VirtualEthernetCardNetworkBackingInfo_network, h->network->ref);
	value_set_num(a, nic, F_VirtualDevice_key, 4000);
	value_set(a, nic, F_VirtualDevice_backing, net);
	value_push(a, devices, disk);
	value_push(a, devices, nic);
	return devices;
}

static struct value *vm_config(struct fake_host *h, const char *name)
{
	struct arena *a = h->a;
	struct value *v = value_new(a, T_VirtualMachineConfigInfo);
	struct value *hw = value_new(a, T_VirtualHardware);
	struct value *files = value_new(a, T_VirtualMachineFileInfo);

	value_set_num(a, hw, F_VirtualHardware_numCPU, 1);
	value_set_num(a, hw, F_VirtualHardware_memoryMB, 128);
	value_set(a, hw, F_VirtualHardware_device, vm_devices(h, name));
	value_set_strf(a, files, F_VirtualMachineFileInfo_vmPathName, "[datastore1] %s/%s.vmx",
		       name, name);
	value_set_str(a, v, F_VirtualMachineConfigInfo_name, name);
	value_set_str(a, v, F_VirtualMachineConfigInfo_annotation, "");
	value_set(a, v, F_VirtualMachineConfigInfo_hardware, hw);
	value_set(a, v, F_VirtualMachineConfigInfo_files, files);
	return v;
}

static struct value *vm_summary(struct fake_host *h, struct object *vm, const char *name)
{
	struct arena *a = h->a;
	struct value *v = value_new(a, T_VirtualMachineSummary);
	struct value *config = value_new(a, T_VirtualMachineConfigSummary);
	struct value *stats = value_new(a, T_VirtualMachineQuickStats);

	value_set_str(a, config, F_VirtualMachineConfigSummary_name, name);
	value_set_bool(a, config, F_VirtualMachineConfigSummary_template, false);
	value_set_strf(a, config, F_VirtualMachineConfigSummary_vmPathName,
		       "[datastore1] %s/%s.vmx", name, name);
	value_set_num(a, stats, F_VirtualMachineQuickStats_guestHeartbeatStatus,
		      E_ManagedEntityStatus_gray);
	value_set(a, v, F_VirtualMachineSummary_vm, vm->ref);
	value_set(a, v, F_VirtualMachineSummary_config, config);
	value_set(a, v, F_VirtualMachineSummary_quickStats, stats);
	value_set_num(a, v, F_VirtualMachineSummary_overallStatus, E_ManagedEntityStatus_green);
	return v;
}

void fake_host_set_power(struct fake_host *h, struct object *vm, int state)
{
	static const unsigned in_summary[] = { F_VirtualMachineSummary_runtime };
	struct arena *a = arena_new(0);
	struct value *v = value_new(a, T_VirtualMachineRuntimeInfo);

	value_set(a, v, F_VirtualMachineRuntimeInfo_host, h->system->ref);
	value_set_num(a, v, F_VirtualMachineRuntimeInfo_connectionState,
		      E_VirtualMachineConnectionState_connected);
	value_set_num(a, v, F_VirtualMachineRuntimeInfo_powerState, state);
	value_set_num(a, v, F_VirtualMachineRuntimeInfo_faultToleranceState,
		      E_VirtualMachineFaultToleranceState_notConfigured);
	value_set_bool(a, v, F_VirtualMachineRuntimeInfo_toolsInstallerMounted, false);
	value_set_num(a, v, F_VirtualMachineRuntimeInfo_numMksConnections, 0);
	value_set_num(a, v, F_VirtualMachineRuntimeInfo_recordReplayState,
		      E_VirtualMachineRecordReplayState_inactive);
	value_set_bool(a, v, F_VirtualMachineRuntimeInfo_onlineStandby, false);
	value_set_bool(a, v, F_VirtualMachineRuntimeInfo_consolidationNeeded, false);
	inventory_set(vm, P_VirtualMachine_runtime, v);
	inventory_set_nested(vm, P_VirtualMachine_summary, in_summary, 1, v);
	arena_free(a);
}

void fake_host_set_memory(struct fake_host *h, struct object *vm, int mb)
{
	static const unsigned path[] = { F_VirtualMachineConfigInfo_hardware,
					 F_VirtualHardware_memoryMB };
	struct arena *a = arena_new(0);

	(void)h;
	inventory_set_nested(vm, P_VirtualMachine_config, path, 2, value_new_int(a, mb));
	arena_free(a);
}

struct object *fake_host_add_vm(struct fake_host *h, const char *name)
{
	char id[16];

	assert_true(h->n_vms < FAKE_VMS_MAX);
	snprintf(id, sizeof(id), "%u", ++h->next_vm);
	arena_reset(h->a);
	struct object *vm = entity(h, T_VirtualMachine, id, name, h->vm_folder);
	inventory_set(vm, P_VirtualMachine_config, vm_config(h, name));
	inventory_set(vm, P_VirtualMachine_summary, vm_summary(h, vm, name));
	inventory_set_ref(vm, P_VirtualMachine_resourcePool, h->pool);
	inventory_add_ref(vm, P_VirtualMachine_datastore, h->store);
	inventory_add_ref(vm, P_VirtualMachine_network, h->network);
	fake_host_set_power(h, vm, E_VirtualMachinePowerState_poweredOff);
	inventory_add_ref(h->system, P_HostSystem_vm, vm);
	inventory_add_ref(h->store, P_Datastore_vm, vm);
	inventory_add_ref(h->network, P_Network_vm, vm);
	inventory_add_ref(h->pool, P_ResourcePool_vm, vm);
	h->vms[h->n_vms++] = vm;
	return vm;
}

void fake_host_remove_vm(struct fake_host *h, struct object *vm)
{
	inventory_drop_ref(h->system, P_HostSystem_vm, vm);
	inventory_drop_ref(h->store, P_Datastore_vm, vm);
	inventory_drop_ref(h->network, P_Network_vm, vm);
	inventory_drop_ref(h->pool, P_ResourcePool_vm, vm);
	inventory_drop_ref(h->vm_folder, P_Folder_childEntity, vm);
	for (size_t i = 0; i < h->n_vms; i++) {
		if (h->vms[i] == vm) {
			h->vms[i] = h->vms[--h->n_vms];
			break;
		}
	}
	inventory_remove(vm);
}

void fake_host_post(struct fake_host *h, struct object *vm)
{
	struct arena *a = arena_new(0);

	event_post(h->api->events, a, value_new(a, T_VmPoweredOnEvent), vm, "root",
		   "%s is powered on", object_get_str(vm, P_ManagedEntity_name));
	arena_free(a);
}

/* ---- methods ---- */

static void power_on(struct call *c)
{
	struct fake_host *h = call_arg(c);
	struct object *vm = c->self;
	struct task *t = task_begin(c, h->api->tasks);

	fake_host_set_power(h, vm, E_VirtualMachinePowerState_poweredOn);
	fake_host_post(h, vm);
	task_done(t, NULL);
}

static void on_cancel(void *arg)
{
	struct fake_host *h = arg;

	h->n_cancels++;
	struct arena *a = arena_new(0);
	fake_host_finish(h, fault_new(a, T_RequestCanceled));
	arena_free(a);
}

static void power_off(struct call *c)
{
	struct fake_host *h = call_arg(c);

	h->slow_vm = c->self;
	h->slow = task_begin(c, h->api->tasks);
	task_progress(h->slow, 30);
	task_set_cancel(h->slow, on_cancel, h);
}

void fake_host_finish(struct fake_host *h, const struct value *fault)
{
	struct task *t = h->slow;

	h->slow = NULL;
	if (fault != NULL) {
		task_fail(t, fault, "it did not go well");
		return;
	}
	fake_host_set_power(h, h->slow_vm, E_VirtualMachinePowerState_poweredOff);
	task_done(t, NULL);
}

/* Devices that are edited are as the specification has them. */
static void devices_edit(struct object *vm, const struct value *changes)
{
	static const unsigned path[] = { F_VirtualMachineConfigInfo_hardware,
					 F_VirtualHardware_device };
	struct arena *a = arena_new(0);
	const struct value *config = object_get(vm, P_VirtualMachine_config, a);
	const struct value *was =
		value_get_value(value_get_value(config, path[0]), F_VirtualHardware_device);
	struct value *now = value_new_array(a, T_VirtualDevice);

	for (size_t i = 0; i < value_count(was); i++) {
		const struct value *device = value_item(was, i);
		for (size_t j = 0; j < value_count(changes); j++) {
			const struct value *with = value_get_value(
				value_item(changes, j), F_VirtualDeviceConfigSpec_device);
			if (value_get_num(with, F_VirtualDevice_key, 0) ==
			    value_get_num(device, F_VirtualDevice_key, -1)) {
				device = with;
			}
		}
		value_push(a, now, device);
	}
	inventory_set_nested(vm, P_VirtualMachine_config, path, 2, now);
	arena_free(a);
}

static void reconfigure(struct call *c)
{
	static const unsigned path[] = { F_VirtualMachineConfigInfo_annotation };
	struct fake_host *h = call_arg(c);
	struct object *vm = c->self;
	struct task *t = task_begin(c, h->api->tasks);
	const struct value *spec =
		value_get_value(task_args(t), A_VirtualMachine_ReconfigVM_Task_spec);
	const char *text = value_get_str(spec, F_VirtualMachineConfigSpec_annotation);

	if (text != NULL && strcmp(text, "no") == 0) {
		task_fail(t,
			  fault_invalid_power_state(task_arena(t),
						    E_VirtualMachinePowerState_poweredOff,
						    E_VirtualMachinePowerState_poweredOn),
			  "not now");
		return;
	}
	inventory_set_nested(vm, P_VirtualMachine_config, path, 1,
			     value_new_str(task_arena(t), text));
	if (value_has(spec, F_VirtualMachineConfigSpec_deviceChange)) {
		devices_edit(vm, value_get_value(spec, F_VirtualMachineConfigSpec_deviceChange));
	}
	if (text != NULL && strcmp(text, "hold") == 0) {
		assert_true(h->n_held < FAKE_HELD_MAX);
		h->held[h->n_held++] = t;
		return;
	}
	task_done(t, NULL);
}

void fake_host_release(struct fake_host *h)
{
	for (size_t i = 0; i < h->n_held; i++) {
		task_done(h->held[i], NULL);
	}
	h->n_held = 0;
	if (h->creating != NULL) {
		task_done(h->creating, fake_host_add_vm(h, "later")->ref);
		h->creating = NULL;
	}
}

static void reset_vm(struct call *c)
{
	call_return(c, value_new_ref(c->arena, T_Task, "task-of-nobody"));
}

static void suspend_vm(struct call *c)
{
	struct fake_host *h = call_arg(c);

	call_return(c, h->slow == NULL ? value_new_ref(c->arena, T_Task, "task-of-nobody")
				       : task_object(h->slow)->ref);
}

static void create_vm(struct call *c)
{
	struct fake_host *h = call_arg(c);
	struct task *t = task_begin(c, h->api->tasks);
	const struct value *config = value_get_value(task_args(t), A_Folder_CreateVM_Task_config);
	const struct value *files = value_get_value(config, F_VirtualMachineConfigSpec_files);
	const char *path = value_get_str(files, F_VirtualMachineFileInfo_vmPathName);
	const struct value *host = value_get_value(task_args(t), A_Folder_CreateVM_Task_host);

	if (path == NULL || strcmp(path, "[datastore1]") != 0 || host == NULL ||
	    inventory_find_ref(h->inventory, host) != h->system) {
		task_fail(t, fault_invalid_argument(task_arena(t), "config.files"),
			  "\"%s\" is no place here", path == NULL ? "" : path);
		return;
	}
	const char *name = value_get_str(config, F_VirtualMachineConfigSpec_name);
	if (strcmp(name, "later") == 0) {
		h->creating = t;
		return;
	}
	task_done(t, fake_host_add_vm(h, name)->ref);
}

static void destroy_vm(struct call *c)
{
	struct fake_host *h = call_arg(c);
	struct object *vm = c->self;
	struct task *t = task_begin(c, h->api->tasks);

	fake_host_remove_vm(h, vm);
	task_done(t, NULL);
}

static void unregister_vm(struct call *c)
{
	fake_host_remove_vm(call_arg(c), c->self);
	call_return(c, NULL);
}

static void rename_vm(struct call *c)
{
	struct fake_host *h = call_arg(c);
	struct object *vm = c->self;
	struct task *t = task_begin(c, h->api->tasks);

	inventory_set_str(vm, P_ManagedEntity_name,
			  value_get_str(task_args(t), A_ManagedEntity_Rename_Task_newName));
	task_done(t, NULL);
}

static void make_methods(struct fake_host *h)
{
	struct service *s = h->api->service;

	service_handle(s, T_VirtualMachine, M_VirtualMachine_PowerOnVM_Task, power_on, h);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_PowerOffVM_Task, power_off, h);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_ReconfigVM_Task, reconfigure, h);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_ResetVM_Task, reset_vm, h);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_SuspendVM_Task, suspend_vm, h);
	service_handle(s, T_VirtualMachine, M_ManagedEntity_Destroy_Task, destroy_vm, h);
	service_handle(s, T_VirtualMachine, M_VirtualMachine_UnregisterVM, unregister_vm, h);
	service_handle(s, T_VirtualMachine, M_ManagedEntity_Rename_Task, rename_vm, h);
	service_handle(s, T_Folder, M_Folder_CreateVM_Task, create_vm, h);
}

/* ---- life ---- */

void fake_host_serve(struct fake_host *h)
{
	char cert[256], key[256];
	struct error e = { 0 };

	snprintf(cert, sizeof(cert), "%s/%s.crt", h->folder, h->name);
	snprintf(key, sizeof(key), "%s/%s.key", h->folder, h->name);
	struct certificate_config config = { .cert_path = cert, .key_path = key, .name = h->name };
	assert_true(certificate_ensure(&config, &e));
	assert_true(certificate_thumbprints(cert, &h->thumbprints, &e));
	h->server = server_new(&(struct server_config){ .loop = h->loop,
							.address = "127.0.0.1",
							.port = h->port,
							.cert_path = cert,
							.key_path = key,
							.service = h->api->service,
							.sessions = h->api->sessions },
			       &e);
	if (h->server == NULL) {
		fail_msg("%s", e.msg);
	}
	h->port = server_port(h->server);
}

void fake_host_stop(struct fake_host *h)
{
	server_free(h->server);
	h->server = NULL;
	session_end_user(h->api->sessions, "root", NULL);
}

struct fake_host *fake_host_new(uv_loop_t *loop, const char *name, const char *uuid,
				const char *folder)
{
	struct fake_host *h = mem_zalloc(sizeof(*h));
	struct error e = { 0 };

	h->loop = loop;
	snprintf(h->name, sizeof(h->name), "%s", name);
	h->users = user_store_open(NULL, &e);
	assert_true(user_set(h->users, "root", "secret", NULL, &e));
	h->api = api_new(&(struct api_config){ .kind = API_HOST,
					       .loop = loop,
					       .clock = clock_real(),
					       .instance_uuid = uuid,
					       .users = h->users },
			 &e);
	assert_non_null(h->api);
	h->inventory = h->api->inventory;
	h->a = arena_new(0);
	make_tree(h);
	make_system(h, uuid);
	make_places(h);
	make_methods(h);
	if (folder != NULL) {
		snprintf(h->folder, sizeof(h->folder), "%s", folder);
		fake_host_serve(h);
	}
	return h;
}

void fake_host_free(struct fake_host *h)
{
	if (h == NULL) {
		return;
	}
	server_free(h->server);
	api_free(h->api);
	user_store_free(h->users);
	arena_free(h->a);
	free(h);
}
