/* SPDX-License-Identifier: Apache-2.0 */
#include "host/host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "host/driver_sim.h"
#include "host/host_impl.h"
#include "vim/api.h"

struct rig {
	uv_loop_t loop;
	struct clock *clock;
	struct user_store *users;
	struct api *api;
	struct driver *driver;
	struct hardware hardware;
	struct node node;
	char folder[64];
	char sensors[80]; /* root of their files; "": none */
	const struct cores_config *cores;
	struct host *host;
	struct arena *a;
	/* Of the last call. */
	const struct value *result;
	uint16_t fault; /* T_none: none */
	char text[512];
};

static void rig_open(struct rig *r, bool simulated)
{
	struct error e = { 0 };
	struct api_config api = {
		.kind = API_HOST,
		.loop = &r->loop,
		.clock = clock_real(),
		.instance_uuid = r->node.uuid,
		.users = r->users,
	};
	r->api = api_new(&api, &e);
	assert_non_null(r->api);
	struct host_config c = {
		.loop = &r->loop,
		.clock = clock_real(),
		.api = { .service = r->api->service,
			 .inventory = r->api->inventory,
			 .sessions = r->api->sessions,
			 .tasks = r->api->tasks,
			 .events = r->api->events },
		.node = &r->node,
		.hardware = &r->hardware,
		.accel = { .kind = MACHINE_TCG, .why = "Tests only pretend." },
		.driver = r->driver,
		.simulated = simulated,
		.state = simulated ? NULL : r->folder,
		.cores = r->cores,
		.sensors = r->sensors[0] == '\0' ? NULL : r->sensors,
	};
	r->host = host_new(&c, &e);
	if (r->host == NULL) {
		fail_msg("%s", e.msg);
	}
	assert_true(host_start(r->host, &e));
}

static void rig_close(struct rig *r)
{
	host_free(r->host);
	api_free(r->api);
	uv_run(&r->loop, UV_RUN_NOWAIT);
}

static struct rig *rig_new(bool simulated)
{
	struct rig *r = mem_zalloc(sizeof(*r));
	struct error e = { 0 };

	uv_loop_init(&r->loop);
	snprintf(r->folder, sizeof(r->folder), "/tmp/host-test-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	snprintf(r->node.uuid, sizeof(r->node.uuid), "11111111-1111-4111-8111-111111111111");
	snprintf(r->node.name, sizeof(r->node.name), "node-1");
	snprintf(r->node.address, sizeof(r->node.address), "127.0.0.1");
	r->node.port = 8443;
	r->node.cpus = 2;
	r->node.memory_mib = 4096;
	r->hardware.cpu.hz = UINT64_C(2294000000);
	r->users = user_store_open(NULL, &e);
	r->driver = driver_sim_new(&r->loop, clock_real(), 0);
	r->a = arena_new(0);
	rig_open(r, simulated);
	return r;
}

static void rig_free(struct rig *r)
{
	rig_close(r);
	driver_free(r->driver);
	user_store_free(r->users);
	value_drop(r->result);
	arena_free(r->a);
	uv_run(&r->loop, UV_RUN_NOWAIT);
	uv_loop_close(&r->loop);
	assert_true(file_remove_tree_at(AT_FDCWD, r->folder, NULL));
	free(r);
}

/* ---- calls ---- */

static void call_done(void *arg, const struct value *result, const struct value *fault,
		      const char *text)
{
	struct rig *r = arg;

	value_drop(r->result);
	r->result = value_keep(result);
	r->fault = fault == NULL ? T_none : value_type(fault);
	snprintf(r->text, sizeof(r->text), "%s", text == NULL ? "" : text);
}

static bool call_method(struct rig *r, struct object *self, uint16_t method,
			const struct value *args)
{
	r->fault = T_SystemError;
	service_call(session_system(r->api->sessions), self, method, args, call_done, r);
	return r->fault == T_none;
}

static struct value *args_of(struct rig *r, uint16_t method)
{
	return value_new(r->a, schema_method(method)->args);
}

static struct object *result_object(struct rig *r)
{
	return inventory_find_ref(r->api->inventory, r->result);
}

/* Runs a *_Task method to its end; the fault of the task counts as the call's. */
static bool call_task(struct rig *r, struct object *self, uint16_t method, const struct value *args)
{
	if (!call_method(r, self, method, args)) {
		return false;
	}
	struct object *task = result_object(r);
	assert_non_null(task);
	for (;;) {
		const struct value *info = object_get(task, P_Task_info, r->a);
		int64_t state = value_get_num(info, F_TaskInfo_state, -1);
		if (state == E_TaskInfoState_success || state == E_TaskInfoState_error) {
			const struct value *error = value_get_value(info, F_TaskInfo_error);
			const struct value *fault =
				error == NULL
					? NULL
					: value_get_value(error, F_LocalizedMethodFault_fault);
			call_done(r, value_get_value(info, F_TaskInfo_result), fault, NULL);
			return fault == NULL;
		}
		uv_run(&r->loop, UV_RUN_ONCE);
	}
}

static struct object *find(struct rig *r, const char *id)
{
	return inventory_find(r->api->inventory, id);
}

/* ---- tests ---- */

static void inventory_is_as_on_esxi(void **state)
{
	static const struct {
		const char *id, *parent;
		uint16_t type;
	} entities[] = {
		{ "ha-datacenter", "ha-folder-root", T_Datacenter },
		{ "ha-folder-vm", "ha-datacenter", T_Folder },
		{ "ha-folder-host", "ha-datacenter", T_Folder },
		{ "ha-folder-datastore", "ha-datacenter", T_Folder },
		{ "ha-folder-network", "ha-datacenter", T_Folder },
		{ "ha-compute-res", "ha-folder-host", T_ComputeResource },
		{ "ha-host", "ha-compute-res", T_HostSystem },
		{ "ha-root-pool", "ha-compute-res", T_ResourcePool },
		{ "HaNetwork-VM Network", "ha-folder-network", T_Network },
	};
	struct rig *r = rig_new(true);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(entities); i++) {
		struct object *o = find(r, entities[i].id);
		assert_non_null(o);
		assert_int_equal(o->type, entities[i].type);
		const struct value *parent = object_get(o, P_ManagedEntity_parent, r->a);
		assert_string_equal(value_bytes(parent), entities[i].parent);
	}
	struct host_datastore *d = host_datastore_find(r->host, "datastore1");
	assert_non_null(d);
	assert_null(d->ds); /* nobody has looked */
	assert_ptr_equal(host_datastore_by_ref(r->host, d->object->ref), d);
	rig_free(r);
}

/* What configManager and ServiceContent name exists and is of the declared type. */
static void managers_exist(void **state)
{
	struct rig *r = rig_new(true);
	const struct value *all[] = {
		object_get(r->host->system, P_HostSystem_configManager, r->a),
		object_get(find(r, "ServiceInstance"), P_ServiceInstance_content, r->a),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		int field = -1;
		union slot s;
		while (value_next(all[i], &field, &s)) {
			const struct schema_field *f =
				schema_field(value_type(all[i]), (unsigned)field);
			if (f->kind == KIND_REF &&
			    inventory_find_ref(r->api->inventory, s.value) == NULL) {
				fail_msg("%s names nothing", schema_field_name(f));
			}
		}
	}
	rig_free(r);
}

static bool add_group(struct rig *r, const char *name, const char *on, int vlan)
{
	struct value *args = args_of(r, M_HostNetworkSystem_AddPortGroup);
	struct value *spec = value_new(r->a, T_HostPortGroupSpec);

	value_set_str(r->a, spec, F_HostPortGroupSpec_name, name);
	value_set_num(r->a, spec, F_HostPortGroupSpec_vlanId, vlan);
	value_set_str(r->a, spec, F_HostPortGroupSpec_vswitchName, on);
	value_set(r->a, spec, F_HostPortGroupSpec_policy, value_new(r->a, T_HostNetworkPolicy));
	value_set(r->a, args, A_HostNetworkSystem_AddPortGroup_portgrp, spec);
	return call_method(r, find(r, "networkSystem"), M_HostNetworkSystem_AddPortGroup, args);
}

static bool remove_group(struct rig *r, const char *name)
{
	struct value *args = args_of(r, M_HostNetworkSystem_RemovePortGroup);

	value_set_str(r->a, args, A_HostNetworkSystem_RemovePortGroup_pgName, name);
	return call_method(r, find(r, "networkSystem"), M_HostNetworkSystem_RemovePortGroup, args);
}

static void port_groups_come_and_go(void **state)
{
	struct rig *r = rig_new(false);

	(void)state;
	assert_true(add_group(r, "blue", "vSwitch0", 7));
	assert_non_null(host_network_find(r->host, "blue"));
	assert_non_null(find(r, "HaNetwork-blue"));
	assert_false(add_group(r, "blue", "vSwitch0", 7));
	assert_int_equal(r->fault, T_AlreadyExists);
	assert_false(add_group(r, "red", "vSwitch9", 7));
	assert_int_equal(r->fault, T_NotFound);
	assert_false(add_group(r, "red", "vSwitch0", 4096));
	assert_int_equal(r->fault, T_InvalidArgument);
	assert_false(add_group(r, "../red", "vSwitch0", 1));
	assert_int_equal(r->fault, T_InvalidArgument);
	assert_false(remove_group(r, "Management Network"));
	assert_int_equal(r->fault, T_ResourceInUse);

	/* All of it is there again after a restart. */
	rig_close(r);
	rig_open(r, false);
	assert_non_null(host_network_find(r->host, "blue"));
	assert_true(remove_group(r, "blue"));
	assert_null(find(r, "HaNetwork-blue"));
	rig_free(r);
}

static void networks_in_use_stay(void **state)
{
	struct rig *r = rig_new(true);
	struct object *vm = inventory_add(r->api->inventory, T_VirtualMachine, "1", NULL, NULL);
	struct object *net = host_network_find(r->host, "VM Network")->object;

	(void)state;
	host_entity_init(vm, "web-1", r->host->vm_folder);
	host_vms_enter(r->host, &vm, 1, NULL);
	host_vm_set_networks(r->host, vm, &net, 1);
	assert_false(remove_group(r, "VM Network"));
	assert_int_equal(r->fault, T_ResourceInUse);
	assert_non_null(strstr(r->text, "web-1"));
	host_vm_leave(r->host, vm);
	assert_int_equal(value_count(object_get(net, P_Network_vm, r->a)), 0);
	assert_int_equal(value_count(object_get(r->host->pool, P_ResourcePool_vm, r->a)), 0);
	inventory_remove(vm);
	assert_true(remove_group(r, "VM Network"));
	rig_free(r);
}

static struct object *make_pool(struct rig *r, struct object *parent, const char *name,
				int64_t reservation)
{
	struct value *args = args_of(r, M_ResourcePool_CreateResourcePool);
	struct value *spec = value_new(r->a, T_ResourceConfigSpec);
	struct value *cpu = value_new(r->a, T_ResourceAllocationInfo);

	value_set_num(r->a, cpu, F_ResourceAllocationInfo_reservation, reservation);
	value_set(r->a, spec, F_ResourceConfigSpec_cpuAllocation, cpu);
	value_set(r->a, spec, F_ResourceConfigSpec_memoryAllocation,
		  value_new(r->a, T_ResourceAllocationInfo));
	value_set_str(r->a, args, A_ResourcePool_CreateResourcePool_name, name);
	value_set(r->a, args, A_ResourcePool_CreateResourcePool_spec, spec);
	return call_method(r, parent, M_ResourcePool_CreateResourcePool, args) ? result_object(r)
									       : NULL;
}

static void pools_nest_and_dissolve(void **state)
{
	struct rig *r = rig_new(false);
	struct object *p = make_pool(r, r->host->pool, "p", 100);
	struct object *q = make_pool(r, p, "q", 0);

	(void)state;
	assert_non_null(q);
	assert_null(make_pool(r, p, "q", 0));
	assert_int_equal(r->fault, T_DuplicateName);
	assert_null(make_pool(r, p, "a/b", 0));
	assert_int_equal(r->fault, T_InvalidName);
	assert_null(make_pool(r, p, "big", 1 << 30));
	assert_int_equal(r->fault, T_InsufficientCpuResourcesFault);
	assert_false(call_method(r, r->host->pool, M_ManagedEntity_Destroy_Task, NULL));

	rig_close(r);
	rig_open(r, false);
	p = find(r, "pool1");
	q = find(r, "pool2");
	assert_string_equal(object_get_str(p, P_ManagedEntity_name), "p");
	assert_string_equal(value_bytes(object_get(q, P_ManagedEntity_parent, r->a)), "pool1");
	const struct value *config = object_get(p, P_ResourcePool_config, r->a);
	const struct value *cpu = value_get_value(config, F_ResourceConfigSpec_cpuAllocation);
	assert_int_equal(value_get_num(cpu, F_ResourceAllocationInfo_reservation, 0), 100);

	assert_true(call_task(r, p, M_ManagedEntity_Destroy_Task, NULL));
	assert_null(find(r, "pool1"));
	assert_string_equal(value_bytes(object_get(q, P_ManagedEntity_parent, r->a)),
			    "ha-root-pool");
	rig_free(r);
}

static void maintenance_is_kept(void **state)
{
	struct rig *r = rig_new(false);
	struct value *args = args_of(r, M_HostSystem_EnterMaintenanceMode_Task);
	struct error e;

	(void)state;
	value_set_num(r->a, args, A_HostSystem_EnterMaintenanceMode_Task_timeout, 0);
	assert_true(call_task(r, r->host->system, M_HostSystem_EnterMaintenanceMode_Task, args));
	assert_false(host_accepts_vms(r->host, &e));
	assert_false(call_method(r, r->host->system, M_HostSystem_EnterMaintenanceMode_Task, args));
	assert_int_equal(r->fault, T_InvalidState);
	rig_close(r);
	rig_open(r, false);
	assert_true(r->host->in_maintenance);
	const struct value *s = object_get(r->host->system, P_HostSystem_summary, r->a);
	const struct value *runtime = value_get_value(s, F_HostListSummary_runtime);
	assert_true(value_get_bool(runtime, F_HostRuntimeInfo_inMaintenanceMode, false));
	assert_true(call_task(r, r->host->system, M_HostSystem_ExitMaintenanceMode_Task,
			      args_of(r, M_HostSystem_ExitMaintenanceMode_Task)));
	assert_true(host_accepts_vms(r->host, &e));
	rig_free(r);
}

static bool make_folder(struct rig *r, const char *path)
{
	struct value *args = args_of(r, M_FileManager_MakeDirectory);

	value_set_str(r->a, args, A_FileManager_MakeDirectory_name, path);
	return call_method(r, find(r, "ha-nfc-file-manager"), M_FileManager_MakeDirectory, args);
}

static bool search(struct rig *r, const char *path)
{
	struct value *args = args_of(r, M_HostDatastoreBrowser_SearchDatastore_Task);

	value_set_str(r->a, args, A_HostDatastoreBrowser_SearchDatastore_Task_datastorePath, path);
	return call_task(r, find(r, "ha-host-datastorebrowser"),
			 M_HostDatastoreBrowser_SearchDatastore_Task, args);
}

static bool make_disk(struct rig *r, const char *path, int64_t kb)
{
	struct value *args = args_of(r, M_VirtualDiskManager_CreateVirtualDisk_Task);
	struct value *spec = value_new(r->a, T_FileBackedVirtualDiskSpec);

	value_set_str(r->a, spec, F_VirtualDiskSpec_diskType, "thin");
	value_set_str(r->a, spec, F_VirtualDiskSpec_adapterType, "lsiLogic");
	value_set_num(r->a, spec, F_FileBackedVirtualDiskSpec_capacityKb, kb);
	value_set_str(r->a, args, A_VirtualDiskManager_CreateVirtualDisk_Task_name, path);
	value_set(r->a, args, A_VirtualDiskManager_CreateVirtualDisk_Task_spec, spec);
	return call_task(r, find(r, "ha-vdiskmanager"), M_VirtualDiskManager_CreateVirtualDisk_Task,
			 args);
}

static void files_are_found_made_and_refused(void **state)
{
	struct rig *r = rig_new(false);

	(void)state;
	assert_true(make_folder(r, "[datastore1] vm"));
	assert_false(make_folder(r, "[datastore1] vm"));
	assert_int_equal(r->fault, T_FileAlreadyExists);
	assert_false(make_folder(r, "[datastore1] a/b"));
	assert_int_equal(r->fault, T_FileNotFound);
	assert_false(make_folder(r, "[nowhere] a"));
	assert_int_equal(r->fault, T_InvalidDatastore);
	assert_false(make_folder(r, "[datastore1] ../out"));
	assert_int_equal(r->fault, T_InvalidDatastorePath);
	assert_false(search(r, "[datastore1] none"));
	assert_int_equal(r->fault, T_FileNotFound);

	assert_true(make_disk(r, "[datastore1] vm/d.vmdk", 1024));
	assert_string_equal(value_bytes(r->result), "[datastore1] vm/d.vmdk");
	assert_false(make_disk(r, "[datastore1] vm/d.vmdk", 1024));
	assert_int_equal(r->fault, T_FileAlreadyExists);
	assert_false(make_disk(r, "[datastore1] vm/e.vmdk", 0));
	assert_int_equal(r->fault, T_InvalidArgument);
	assert_true(search(r, "[datastore1] ./vm/."));
	const struct value *files =
		value_get_value(r->result, F_HostDatastoreBrowserSearchResults_file);
	assert_int_equal(value_count(files), 2);
	assert_false(host_is_busy(r->host));
	rig_free(r);
}

/* A VM object whose disk is `file`, powered on. */
static struct object *running_vm(struct rig *r, const char *file)
{
	static const unsigned power[] = { F_VirtualMachineRuntimeInfo_powerState };
	struct object *vm = inventory_add(r->api->inventory, T_VirtualMachine, "1", NULL, NULL);
	struct value *config = value_new(r->a, T_VirtualMachineConfigInfo);
	struct value *hw = value_new(r->a, T_VirtualHardware);
	struct value *devices = value_new_array(r->a, T_VirtualDevice);
	struct value *disk = value_new(r->a, T_VirtualDisk);
	struct value *backing = value_new(r->a, T_VirtualDiskFlatVer2BackingInfo);
	union slot on = { .num = E_VirtualMachinePowerState_poweredOn };
	struct object *ds = host_datastore_find(r->host, "datastore1")->object;

	value_set_str(r->a, backing, F_VirtualDeviceFileBackingInfo_fileName, file);
	value_set(r->a, disk, F_VirtualDevice_backing, backing);
	value_push(r->a, devices, disk);
	value_set(r->a, hw, F_VirtualHardware_device, devices);
	value_set(r->a, config, F_VirtualMachineConfigInfo_hardware, hw);
	inventory_set(vm, P_VirtualMachine_config, config);
	inventory_set_nested(vm, P_VirtualMachine_runtime, power, 1,
			     value_new_scalar(r->a, T_VirtualMachinePowerState, on));
	host_entity_init(vm, "web-1", r->host->vm_folder);
	host_vms_enter(r->host, &vm, 1, NULL);
	host_vm_set_datastores(r->host, vm, &ds, 1);
	return vm;
}

static void files_in_use_are_locked(void **state)
{
	struct rig *r = rig_new(false);
	struct value *args = args_of(r, M_FileManager_DeleteDatastoreFile_Task);

	(void)state;
	assert_true(make_folder(r, "[datastore1] vm"));
	assert_true(make_disk(r, "[datastore1] vm/d.vmdk", 1024));
	struct object *vm = running_vm(r, "[datastore1] vm/d.vmdk");
	assert_int_equal(host_n_running(r->host), 1);
	static const char *const used[] = { "[datastore1] vm/d.vmdk", "[datastore1] vm",
					    "[datastore1] vm/d-flat.vmdk", "[datastore1]" };
	for (size_t i = 0; i < ARRAY_LEN(used); i++) {
		assert_ptr_equal(host_file_user(r->host, used[i]), vm);
	}
	assert_null(host_file_user(r->host, "[datastore1] vm/d.vmdk2"));
	assert_null(host_file_user(r->host, "[datastore1] v"));
	value_set_str(r->a, args, A_FileManager_DeleteDatastoreFile_Task_name,
		      "[datastore1] vm/d.vmdk");
	assert_false(call_task(r, find(r, "ha-nfc-file-manager"),
			       M_FileManager_DeleteDatastoreFile_Task, args));
	assert_int_equal(r->fault, T_FileLocked);
	host_vm_leave(r->host, vm);
	inventory_remove(vm);
	assert_true(call_task(r, find(r, "ha-nfc-file-manager"),
			      M_FileManager_DeleteDatastoreFile_Task, args));
	rig_free(r);
}

static void what_may_be_made_is_told(void **state)
{
	struct rig *r = rig_new(true);
	struct object *eb = find(r, "ha-env-browser");

	(void)state;
	assert_true(call_method(r, eb, M_EnvironmentBrowser_QueryConfigOption,
				args_of(r, M_EnvironmentBrowser_QueryConfigOption)));
	assert_true(value_is_a(r->result, T_VirtualMachineConfigOption));
	struct value *args = args_of(r, M_EnvironmentBrowser_QueryConfigOption);
	value_set_str(r->a, args, A_EnvironmentBrowser_QueryConfigOption_key, "vmx-99");
	assert_false(call_method(r, eb, M_EnvironmentBrowser_QueryConfigOption, args));
	assert_true(call_method(r, eb, M_EnvironmentBrowser_QueryConfigTarget,
				args_of(r, M_EnvironmentBrowser_QueryConfigTarget)));
	assert_int_equal(value_get_num(r->result, F_ConfigTarget_numCpus, 0), 2);
	rig_free(r);
}

/* ---- sensors ---- */

static void sensor_put(struct rig *r, const char *path, const char *text)
{
	char *whole = mem_printf("%s%s", r->sensors, path);
	char *slash = strrchr(whole, '/');
	struct error e;

	*slash = '\0';
	assert_true(file_make_dirs(whole, 0700, &e));
	*slash = '/';
	assert_true(file_write_atomic(whole, text, strlen(text), 0600, &e));
	free(whole);
}

/* Has it read anew. */
static void sensors_refresh(struct rig *r)
{
	assert_true(call_method(r, find(r, "healthStatusSystem"),
				M_HostHealthStatusSystem_RefreshHealthStatusSystem, NULL));
	while (host_is_busy(r->host)) {
		uv_run(&r->loop, UV_RUN_ONCE);
	}
}

static const struct value *health_of(struct rig *r)
{
	const struct value *runtime = object_get(r->host->system, P_HostSystem_runtime, r->a);
	const struct value *own =
		object_get(find(r, "healthStatusSystem"), P_HostHealthStatusSystem_runtime, r->a);
	const struct value *v = value_get_value(runtime, F_HostRuntimeInfo_healthSystemRuntime);

	assert_true(value_equal(v, own));
	return v;
}

static const struct value *sensor_of(struct rig *r, size_t i)
{
	const struct value *info =
		value_get_value(health_of(r), F_HealthSystemRuntime_systemHealthInfo);

	return value_item(value_get_value(info, F_HostSystemHealthInfo_numericSensorInfo), i);
}

static void expect_sensor(struct rig *r, size_t i, const char *name, const char *reading,
			  const char *health)
{
	char text[64];
	const struct value *v = sensor_of(r, i);
	const struct value *h = value_get_value(v, F_HostNumericSensorInfo_healthState);

	assert_string_equal(value_get_str(v, F_HostNumericSensorInfo_name), name);
	snprintf(text, sizeof(text), "%lldE%lld %s",
		 (long long)value_get_num(v, F_HostNumericSensorInfo_currentReading, 0),
		 (long long)value_get_num(v, F_HostNumericSensorInfo_unitModifier, 0),
		 value_get_str(v, F_HostNumericSensorInfo_baseUnits));
	assert_string_equal(text, reading);
	assert_string_equal(value_get_str(h, F_ElementDescription_key), health);
}

static void sensors_are_shown(void **state)
{
	struct rig *r = rig_new(false);

	(void)state;
	assert_null(value_get_value(health_of(r), F_HealthSystemRuntime_systemHealthInfo));
	rig_close(r);
	snprintf(r->sensors, sizeof(r->sensors), "%s/machine", r->folder);
	sensor_put(r, "/sys/class/hwmon/hwmon0/name", "coretemp");
	sensor_put(r, "/sys/class/hwmon/hwmon0/temp1_input", "45250");
	sensor_put(r, "/sys/class/hwmon/hwmon0/temp1_crit", "90000");
	sensor_put(r, "/sys/class/hwmon/hwmon1/name", "ina");
	sensor_put(r, "/sys/class/hwmon/hwmon1/in1_input", "12034");
	sensor_put(r, "/sys/class/hwmon/hwmon1/power1_input", "23500000");
	sensor_put(r, "/sys/devices/system/edac/mc/mc0/ce_count", "1");
	sensor_put(r, "/sys/devices/system/edac/mc/mc0/ue_count", "0");
	rig_open(r, false);
	sensors_refresh(r);
	expect_sensor(r, 0, "coretemp temp1", "4525E-2 Degrees C", "green");
	expect_sensor(r, 1, "ina in1", "12034E-3 Volts", "green");
	expect_sensor(r, 2, "ina power1", "23500E-3 Watts", "green");
	const struct value *parts =
		value_get_value(health_of(r), F_HealthSystemRuntime_hardwareStatusInfo);
	const struct value *cpu =
		value_item(value_get_value(parts, F_HostHardwareStatusInfo_cpuStatusInfo), 0);
	const struct value *memory =
		value_item(value_get_value(parts, F_HostHardwareStatusInfo_memoryStatusInfo), 0);
	assert_string_equal(value_get_str(cpu, F_HostHardwareElementInfo_name),
			    "coretemp (hwmon0)");
	assert_string_equal(value_get_str(value_get_value(memory, F_HostHardwareElementInfo_status),
					  F_ElementDescription_key),
			    "yellow");
	/* Noise changes nothing; what is critical does at once. */
	const struct value *was =
		value_hold(object_get(r->host->system, P_HostSystem_runtime, NULL));
	sensor_put(r, "/sys/class/hwmon/hwmon0/temp1_input", "46500");
	sensor_put(r, "/sys/class/hwmon/hwmon1/in1_input", "12050");
	sensors_refresh(r);
	assert_ptr_equal(object_get(r->host->system, P_HostSystem_runtime, NULL), was);
	value_drop(was);
	sensor_put(r, "/sys/class/hwmon/hwmon0/temp1_input", "91000");
	sensors_refresh(r);
	expect_sensor(r, 0, "coretemp temp1", "9100E-2 Degrees C", "red");
	expect_sensor(r, 1, "ina in1", "12034E-3 Volts", "green");
	rig_free(r);
}

/* ---- processors ---- */

static void expect_mhz(struct rig *r, int64_t mhz)
{
	const struct value *s = object_get(r->host->compute, P_ComputeResource_summary, r->a);
	const struct value *runtime = object_get(r->host->pool, P_ResourcePool_runtime, r->a);
	const struct value *cpu = value_get_value(runtime, F_ResourcePoolRuntimeInfo_cpu);

	assert_int_equal(value_get_num(s, F_ComputeResourceSummary_totalCpu, 0), 8 * 2294);
	assert_int_equal(value_get_num(s, F_ComputeResourceSummary_effectiveCpu, 0), mhz);
	assert_int_equal(value_get_num(cpu, F_ResourcePoolResourceUsage_maxUsage, 0), mhz);
}

static void expect_cores(struct rig *r, const char *text)
{
	struct value *args = args_of(r, M_OptionManager_QueryOptions);

	value_set_str(r->a, args, A_OptionManager_QueryOptions_name, "Remora.cores");
	assert_true(call_method(r, find(r, "ha-adv-options"), M_OptionManager_QueryOptions, args));
	const struct value *v = value_get_value(value_item(r->result, 0), F_OptionValue_value);
	assert_string_equal(value_bytes(v), text);
}

/* This process moves, too, as far as it may; where it was at the end. */
static void processors_come_and_go(void **state)
{
	struct rig *r = rig_new(false);
	cpu_set_t before, own;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	rig_close(r);
	snprintf(r->sensors, sizeof(r->sensors), "%s/machine", r->folder);
	sensor_put(r, "/sys/devices/system/cpu/online", "0-7");
	sensor_put(r, "/proc/self/status", "Cpus_allowed_list:\t0-63\n");
	cores_own(&own, r->sensors);
	const struct cores_config config = { .root = r->sensors, .own = &own };
	r->cores = &config;
	r->node.cpus = 8;
	rig_open(r, false);
	expect_mhz(r, 6 * 2294);
	expect_cores(r, "CPU 0-1 for the switch and the agent, CPU 2-7 for VMs");
	sensor_put(r, "/sys/devices/system/cpu/online", "0,2-3");
	host_cores_look(r->host);
	expect_mhz(r, 2 * 2294);
	expect_cores(r, "CPU 0 for the switch and the agent, CPU 2-3 for VMs");
	assert_int_equal(r->host->budget.vcpus_max, 2);
	sensor_put(r, "/sys/devices/system/cpu/online", "2");
	host_cores_look(r->host);
	expect_mhz(r, 2294 * 3 / 4);
	sensor_put(r, "/sys/devices/system/cpu/online", "0-7");
	host_cores_look(r->host);
	expect_mhz(r, 6 * 2294);
	while (host_is_busy(r->host)) {
		uv_run(&r->loop, UV_RUN_ONCE);
	}
	rig_free(r);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inventory_is_as_on_esxi),
		cmocka_unit_test(managers_exist),
		cmocka_unit_test(port_groups_come_and_go),
		cmocka_unit_test(networks_in_use_stay),
		cmocka_unit_test(pools_nest_and_dissolve),
		cmocka_unit_test(maintenance_is_kept),
		cmocka_unit_test(files_are_found_made_and_refused),
		cmocka_unit_test(files_in_use_are_locked),
		cmocka_unit_test(what_may_be_made_is_told),
		cmocka_unit_test(sensors_are_shown),
		cmocka_unit_test(processors_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
