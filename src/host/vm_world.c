/* SPDX-License-Identifier: Apache-2.0 */
#include "host/vm_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "host/driver_sim.h"
#include "host/vm_impl.h"

#define SPEC(f) F_VirtualMachineConfigSpec_##f

enum {
	WAIT_TURNS = 20000,
};

/* ---- up and down ---- */

void world_folder_make(char out[64])
{
	snprintf(out, 64, "%s/remora-vm.XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(out));
}

void world_folder_remove(const char *folder)
{
	assert_true(file_remove_tree_at(AT_FDCWD, folder, NULL));
}

static void api_up(struct world *w)
{
	struct error e = { 0 };
	struct api_config c = { .kind = API_HOST,
				.loop = &w->loop,
				.clock = w->clock,
				.instance_uuid = "11111111-2222-3333-4444-555555555555",
				.users = w->users };

	w->users = user_store_open(NULL, &e);
	c.users = w->users;
	w->api = api_new(&c, &e);
	if (w->api == NULL) {
		fail_msg("%s", e.msg);
	}
}

static void host_up(struct world *w)
{
	static const char *const stores[] = { "ds1" };
	struct error e = { 0 };
	char state[300], run[300];

	snprintf(state, sizeof(state), "%s/state", w->folder);
	snprintf(run, sizeof(run), "%s/run", w->folder);
	assert_true(file_make_dirs(state, 0700, &e) && file_make_dirs(run, 0700, &e));
	struct host_config c = {
		.loop = &w->loop,
		.clock = w->clock,
		.api = { .service = w->api->service,
			 .inventory = w->api->inventory,
			 .sessions = w->api->sessions,
			 .tasks = w->api->tasks,
			 .events = w->api->events },
		.node = &w->node,
		.hardware = &w->hardware,
		.accel = { .kind = MACHINE_TCG, .why = "a test" },
		.driver = w->driver,
		.simulated = w->simulated,
		.state = w->simulated ? NULL : state,
		.run = w->simulated ? NULL : run,
		.datastores = stores,
		.n_datastores = 1,
	};
	w->host = host_new(&c, &e);
	if (w->host == NULL) {
		fail_msg("%s", e.msg);
	}
	vm_layer_attach(w->host);
	if (!host_start(w->host, &e)) {
		fail_msg("%s", e.msg);
	}
}

void world_up(struct world *w, const char *folder, bool simulated)
{
	world_up_with(w, folder, simulated, NULL);
}

void world_up_with(struct world *w, const char *folder, bool simulated,
		   void (*prepare)(struct world *w))
{
	size_t bytes;

	memset(w, 0, sizeof(*w));
	value_stats(&w->n_kept, &bytes);
	snprintf(w->folder, sizeof(w->folder), "%s", folder);
	w->simulated = simulated;
	uv_loop_init(&w->loop);
	w->clock = clock_manual_new(INT64_C(1700000000000000));
	w->arena = arena_new(0);
	w->node = (struct node){ .uuid = "99999999-2222-3333-4444-555555555555",
				 .name = "node-1",
				 .role = NODE_DPU,
				 .address = "127.0.0.1",
				 .port = 8443,
				 .cpus = 4,
				 .memory_mib = 4096 };
	w->hardware.cpu.hz = 2000000000;
	w->hardware.cpu.n_packages = 1;
	w->hardware.cpu.n_cores = w->hardware.cpu.n_threads = 4;
	w->hardware.memory = UINT64_C(4096) << 20;
	w->driver = driver_sim_new(&w->loop, w->clock, 5);
	api_up(w);
	if (prepare != NULL) {
		prepare(w);
	}
	host_up(w);
}

static void result_clear(struct world *w)
{
	value_drop(w->result);
	value_drop(w->fault);
	w->result = w->fault = NULL;
	w->text[0] = '\0';
}

static bool is_idle(void *arg)
{
	struct world *w = arg;

	return !host_is_busy(w->host);
}

void world_down(struct world *w)
{
	world_wait(w, is_idle, w);
	result_clear(w);
	host_free(w->host);
	api_free(w->api);
	driver_free(w->driver);
	user_store_free(w->users);
	while (uv_run(&w->loop, UV_RUN_NOWAIT) != 0) {
	}
	assert_int_equal(uv_loop_close(&w->loop), 0);
	clock_manual_free(w->clock);
	arena_free(w->arena);
	size_t n, bytes;
	value_stats(&n, &bytes);
	assert_int_equal(n, w->n_kept);
}

/* ---- time ---- */

static void turn_over(uv_timer_t *t)
{
	uv_timer_stop(t);
}

void world_turn(struct world *w)
{
	uv_timer_t t;

	/* Work on other threads gets a moment; all else follows the manual clock. */
	uv_timer_init(&w->loop, &t);
	uv_timer_start(&t, turn_over, 1, 0);
	uv_run(&w->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&t, NULL);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	clock_advance(w->clock, 1000);
}

void world_wait(struct world *w, bool (*done)(void *arg), void *arg)
{
	for (int i = 0; i < WAIT_TURNS; i++) {
		if (done(arg)) {
			return;
		}
		world_turn(w);
	}
	fail_msg("waited in vain");
}

/* ---- calls ---- */

struct answer {
	struct world *w;
	bool done;
};

static void answered(void *arg, const struct value *result, const struct value *fault,
		     const char *text)
{
	struct answer *x = arg;

	x->w->result = value_keep(result);
	x->w->fault = value_keep(fault);
	snprintf(x->w->text, sizeof(x->w->text), "%s", text == NULL ? "" : text);
	x->done = true;
}

static bool answer_is_there(void *arg)
{
	return ((struct answer *)arg)->done;
}

struct object *world_begin(struct world *w, struct object *self, uint16_t method,
			   const struct value *args)
{
	struct answer x = { .w = w };

	result_clear(w);
	if (args == NULL) {
		args = value_new(w->arena, schema_method(method)->args);
	}
	service_call(w->as == NULL ? session_system(w->api->sessions) : w->as, self, method, args,
		     answered, &x);
	world_wait(w, answer_is_there, &x);
	return w->fault == NULL && w->result != NULL && value_type(w->result) == T_Task
		       ? inventory_find_ref(w->api->inventory, w->result)
		       : NULL;
}

static bool task_has_ended_now(void *arg)
{
	const struct value *info = object_get(arg, P_Task_info, NULL);

	return value_get_num(info, F_TaskInfo_state, 0) >= E_TaskInfoState_success;
}

bool world_task_wait(struct world *w, struct object *task)
{
	world_wait(w, task_has_ended_now, task);
	const struct value *info = object_get(task, P_Task_info, NULL);
	const struct value *error = value_get_value(info, F_TaskInfo_error);
	result_clear(w);
	w->result = value_keep(value_get_value(info, F_TaskInfo_result));
	if (error != NULL) {
		w->fault = value_keep(value_get_value(error, F_LocalizedMethodFault_fault));
		snprintf(w->text, sizeof(w->text), "%s",
			 value_get_str(error, F_LocalizedMethodFault_localizedMessage));
	}
	return error == NULL;
}

bool world_call(struct world *w, struct object *self, uint16_t method, const struct value *args)
{
	struct object *task = world_begin(w, self, method, args);

	return task == NULL ? w->fault == NULL : world_task_wait(w, task);
}

/* ---- VMs ---- */

struct value *world_change(struct world *w, struct value *spec, int op, struct value *device)
{
	const struct value *old = value_get_value(spec, SPEC(deviceChange));
	struct value *all = old == NULL ? value_new_array(w->arena, T_VirtualDeviceConfigSpec)
					: value_edit(w->arena, old);
	struct value *c = value_new(w->arena, T_VirtualDeviceConfigSpec);

	value_set_num(w->arena, c, F_VirtualDeviceConfigSpec_operation, op);
	value_set(w->arena, c, F_VirtualDeviceConfigSpec_device, device);
	value_push(w->arena, all, c);
	value_set(w->arena, spec, SPEC(deviceChange), all);
	return c;
}

static void add_disk(struct world *w, struct value *spec, int64_t disk_kb)
{
	struct value *disk = value_new(w->arena, T_VirtualDisk);
	struct value *b = value_new(w->arena, T_VirtualDiskFlatVer2BackingInfo);

	value_set_bool(w->arena, b, F_VirtualDiskFlatVer2BackingInfo_thinProvisioned, true);
	value_set_num(w->arena, disk, F_VirtualDevice_key, -2);
	value_set_num(w->arena, disk, F_VirtualDevice_controllerKey, -1);
	value_set(w->arena, disk, F_VirtualDevice_backing, b);
	value_set_num(w->arena, disk, F_VirtualDisk_capacityInKB, disk_kb);
	struct value *c = world_change(w, spec, E_VirtualDeviceConfigSpecOperation_add, disk);
	value_set_num(w->arena, c, F_VirtualDeviceConfigSpec_fileOperation,
		      E_VirtualDeviceConfigSpecFileOperation_create);
}

struct value *world_spec(struct world *w, const char *name, int64_t disk_kb)
{
	struct arena *a = w->arena;
	struct value *spec = value_new(a, T_VirtualMachineConfigSpec);
	struct value *files = value_new(a, T_VirtualMachineFileInfo);
	struct value *scsi = value_new(a, T_ParaVirtualSCSIController);
	struct value *nic = value_new(a, T_VirtualVmxnet3);
	struct value *net = value_new(a, T_VirtualEthernetCardNetworkBackingInfo);
	struct value *serial = value_new(a, T_VirtualSerialPort);

	value_set_str(a, spec, SPEC(name), name);
	value_set_str(a, files, F_VirtualMachineFileInfo_vmPathName, "[ds1]");
	value_set(a, spec, SPEC(files), files);
	value_set_num(a, spec, SPEC(memoryMB), 128);
	value_set_num(a, scsi, F_VirtualDevice_key, -1);
	world_change(w, spec, E_VirtualDeviceConfigSpecOperation_add, scsi);
	if (disk_kb > 0) {
		add_disk(w, spec, disk_kb);
	}
	value_set_str(a, net, F_VirtualDeviceDeviceBackingInfo_deviceName, "VM Network");
	value_set_num(a, nic, F_VirtualDevice_key, -3);
	value_set(a, nic, F_VirtualDevice_backing, net);
	world_change(w, spec, E_VirtualDeviceConfigSpecOperation_add, nic);
	value_set_num(a, serial, F_VirtualDevice_key, -4);
	world_change(w, spec, E_VirtualDeviceConfigSpecOperation_add, serial);
	return spec;
}

static struct value *create_args(struct world *w, const struct value *spec)
{
	struct value *args = value_new(w->arena, schema_method(M_Folder_CreateVM_Task)->args);

	value_set(w->arena, args, A_Folder_CreateVM_Task_config, spec);
	value_set(w->arena, args, A_Folder_CreateVM_Task_pool, w->host->pool->ref);
	return args;
}

struct vm *world_create(struct world *w, const struct value *spec)
{
	if (!world_call(w, w->host->vm_folder, M_Folder_CreateVM_Task, create_args(w, spec))) {
		return NULL;
	}
	struct object *o = inventory_find_ref(w->api->inventory, w->result);
	assert_non_null(o);
	return vm_from_object(o);
}

bool world_power(struct world *w, struct vm *vm, uint16_t method)
{
	return world_call(w, vm_object(vm), method, NULL);
}

bool world_reconfigure(struct world *w, struct vm *vm, const struct value *spec)
{
	struct value *args =
		value_new(w->arena, schema_method(M_VirtualMachine_ReconfigVM_Task)->args);

	value_set(w->arena, args, A_VirtualMachine_ReconfigVM_Task_spec, spec);
	return world_call(w, vm_object(vm), M_VirtualMachine_ReconfigVM_Task, args);
}

struct vm *world_find(struct world *w, const char *name)
{
	return vm_by_name(w->host->vm_layer, name);
}

bool world_has_file(struct world *w, const char *path)
{
	struct error e;
	struct host_datastore *d = host_datastore_find(w->host, "ds1");
	struct datastore *ds = host_datastore_open(d, &e);
	struct datastore_entry entry;

	assert_non_null(ds);
	if (!datastore_stat(ds, path, &entry, &e)) {
		return false;
	}
	datastore_entry_fini(&entry);
	return true;
}
