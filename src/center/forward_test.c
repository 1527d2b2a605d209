/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks that run on a host: many at once, forgotten ones, and methods that nobody has built. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "center/hosts_rig.h"
#include "center/place.h"

enum {
	MANY = 250 /* more than a host's list of recent tasks shows, several times */
};

/* ---- many ---- */

static struct {
	const struct value *tasks[MANY]; /* kept references */
	size_t n;
} many;

static void on_begun(void *arg, const struct value *result, const struct value *fault,
		     const char *text)
{
	(void)arg;
	(void)text;
	assert_null(fault);
	many.tasks[many.n++] = value_keep(result);
}

static int state_of(const struct value *task)
{
	struct object *o = inventory_find_ref(t.c->inventory, task);

	assert_non_null(o);
	return (int)value_get_num(object_get(o, P_Task_info, NULL), F_TaskInfo_state, -1);
}

static size_t n_in_state(int state)
{
	size_t n = 0;

	for (size_t i = 0; i < many.n; i++) {
		n += state_of(many.tasks[i]) == state;
	}
	return n;
}

static void begin_many(struct object *vm, const char *annotation)
{
	struct value *spec = value_new(t.a, T_VirtualMachineConfigSpec);
	struct value *args = args_of(M_VirtualMachine_ReconfigVM_Task);

	value_set_str(t.a, spec, F_VirtualMachineConfigSpec_annotation, annotation);
	value_set(t.a, args, A_VirtualMachine_ReconfigVM_Task_spec, spec);
	for (size_t i = 0; i < MANY; i++) {
		service_call(session_system(t.api->sessions), vm, M_VirtualMachine_ReconfigVM_Task,
			     args, on_begun, NULL);
	}
	assert_int_equal(many.n, MANY);
}

static void forget_many(void)
{
	for (size_t i = 0; i < many.n; i++) {
		value_drop(many.tasks[i]);
	}
	many.n = 0;
}

/* All run at the same time and end in the same moment. */
static void many_end(struct fake_host *h)
{
	fake_host_add_vm(h, "a");
	wait_for(vm_here("a") != NULL);
	begin_many(vm_here("a"), "hold");
	wait_for(h->n_held == MANY);
	turn(50);
	assert_int_equal(n_in_state(E_TaskInfoState_running), MANY);
	fake_host_release(h);
	wait_for(n_in_state(E_TaskInfoState_running) == 0);
	assert_int_equal(n_in_state(E_TaskInfoState_success), MANY);
	forget_many();

	/* And when each is over before anybody could look. */
	begin_many(vm_here("a"), "now");
	wait_for(n_in_state(E_TaskInfoState_running) == 0);
	assert_int_equal(n_in_state(E_TaskInfoState_success), MANY);
	forget_many();
}

static void many_end_in_process(void **state)
{
	(void)state;
	add_local(0, "h0", UUID_1);
	many_end(t.host[0]);
}

static void many_end_over_https(void **state)
{
	(void)state;
	add_remote(0, "h0", UUID_1);
	many_end(t.host[0]);
}

static void many_lose_their_host(void **state)
{
	(void)state;
	add_remote(0, "h0", UUID_1);
	fake_host_add_vm(t.host[0], "a");
	wait_for(vm_here("a") != NULL);
	begin_many(vm_here("a"), "hold");
	wait_for(t.host[0]->n_held > MANY / 2);
	fake_host_stop(t.host[0]);
	wait_for(n_in_state(E_TaskInfoState_running) == 0);
	assert_int_equal(n_in_state(E_TaskInfoState_error), MANY);
	forget_many();
	fake_host_release(t.host[0]);
}

/* ---- results ---- */

/* The task is watched already when the VM comes and the task ends, in one moment. */
static void a_result_is_there(struct object *system, struct fake_host *h)
{
	struct value *args = args_of(M_Folder_CreateFolder);
	value_set_str(t.a, args, A_Folder_CreateFolder_name, "sub");
	call(t.vms, M_Folder_CreateFolder, args);
	expect_ok();
	struct object *sub = result_object();

	begin(sub, M_Folder_CreateVM_Task, create_args("later", "[datastore1]", system));
	wait_for(t.is_answered && h->creating != NULL);
	turn(50);
	fake_host_release(h);
	take_task();
	expect_ok();
	assert_non_null(t.result);
	struct object *vm = result_object();
	assert_non_null(vm);
	assert_string_equal(place_name(vm), "later");
	assert_ptr_equal(place_parent(vm), sub);
}

static void result_in_process(void **state)
{
	(void)state;
	struct object *system = add_local(0, "h0", UUID_1);
	a_result_is_there(system, t.host[0]);
}

static void result_over_https(void **state)
{
	(void)state;
	struct object *system = add_remote(0, "h0", UUID_1);
	a_result_is_there(system, t.host[0]);
}

/* ---- forgotten ---- */

static void a_task_is_unknown(struct fake_host *h)
{
	fake_host_add_vm(h, "a");
	wait_for(vm_here("a") != NULL);
	struct object *vm = vm_here("a");

	call(vm, M_VirtualMachine_ResetVM_Task, NULL);
	expect_fault(T_HostCommunication);
	assert_non_null(strstr(t.text, "forgotten"));

	/* The same task twice: the second has an end, too. */
	begin(vm, M_VirtualMachine_PowerOffVM_Task, NULL);
	wait_for(t.is_answered && h->slow != NULL);
	const struct value *first = value_hold(t.result);
	wait_for(value_get_num(task_info(), F_TaskInfo_progress, 0) == 30);
	call(vm, M_VirtualMachine_SuspendVM_Task, NULL);
	expect_fault(T_HostCommunication);
	fake_host_finish(h, NULL);
	on_done(NULL, first, NULL, NULL);
	take_task();
	expect_ok();
	value_drop(first);
}

static void unknown_in_process(void **state)
{
	(void)state;
	add_local(0, "h0", UUID_1);
	a_task_is_unknown(t.host[0]);
}

static void unknown_over_https(void **state)
{
	(void)state;
	add_remote(0, "h0", UUID_1);
	a_task_is_unknown(t.host[0]);
}

/* ---- every method there is ---- */

enum {
	DEPTH_MAX = 4,
	END_S = 5
};

/* How many of the arguments are there. */
enum amount {
	NEEDED, /* what may not be absent */
	ALL
};

static struct object *any_of(uint16_t type)
{
	struct object *o;

	for (uint32_t i = 0; (o = inventory_each(t.c->inventory, &i)) != NULL;) {
		if (schema_is_a(o->type, type)) {
			return o;
		}
	}
	return NULL;
}

static struct value *some_struct(uint16_t type, enum amount amount, int depth);

/* NULL: there is none. */
static const struct value *some_item(const struct schema_field *f, enum amount amount, int depth)
{
	struct object *o;

	switch (f->kind) {
	case KIND_STRING:
		return value_new_str(t.a, "x");
	case KIND_REF:
		o = any_of(f->type);
		return o == NULL ? value_new_ref(t.a, f->type, "nobody-1") : o->ref;
	case KIND_STRUCT:
		return depth > DEPTH_MAX ? NULL : some_struct(f->type, amount, depth + 1);
	case KIND_ANY:
		return value_new_str(t.a, "any");
	default:
		return NULL;
	}
}

static void some_field(struct value *v, unsigned i, enum amount amount, int depth)
{
	const struct schema_field *f = schema_field(v->type, i);
	bool is_array = (f->flags & FIELD_ARRAY) != 0;

	if (schema_kind_is_scalar(f->kind)) {
		if (is_array) {
			struct value *list = value_new_array(t.a, f->type);
			value_push_num(t.a, list, 1);
			value_set(t.a, v, i, list);
		} else if (f->kind != KIND_FLOAT && f->kind != KIND_DOUBLE) {
			value_set_num(t.a, v, i, f->kind == KIND_ENUM ? 0 : 1);
		}
		return;
	}
	const struct value *item = some_item(f, amount, depth);
	if (item != NULL && is_array) {
		struct value *list = value_new_array(t.a, f->type);
		value_push(t.a, list, item);
		item = list;
	}
	if (item != NULL) {
		value_set(t.a, v, i, item);
	}
}

static struct value *some_struct(uint16_t type, enum amount amount, int depth)
{
	struct value *v = value_new(t.a, type);

	for (unsigned i = 0; i < schema_type(type)->n_fields; i++) {
		bool is_needed = (schema_field(type, i)->flags & FIELD_OPTIONAL) == 0;
		if (is_needed || (amount == ALL && depth < DEPTH_MAX)) {
			some_field(v, i, amount, depth);
		}
	}
	return v;
}

/* What would end the test, or waits by its nature. */
static bool is_tried(const struct object *o, uint16_t method)
{
	const char *name = schema_method_name(method);

	return strncmp(name, "Wait", 4) != 0 && !schema_is_a(o->type, T_SessionManager) &&
	       !schema_is_a(o->type, T_PropertyCollector) &&
	       method != M_HostSystem_DisconnectHost_Task &&
	       method != M_HostSystem_ReconnectHost_Task &&
	       method != M_Folder_UnregisterAndDestroy_Task &&
	       (method != M_ManagedEntity_Destroy_Task || schema_is_a(o->type, T_VirtualMachine));
}

static bool has_ended(struct fake_host *h)
{
	if (h->slow != NULL) {
		fake_host_finish(h, NULL);
	}
	if (!t.is_answered) {
		return false;
	}
	if (t.fault != NULL || t.result == NULL || t.result->kind != KIND_REF ||
	    !schema_is_a(t.result->type, T_Task) || result_object() == NULL) {
		return true;
	}
	return value_get_num(task_info(), F_TaskInfo_state, 0) >= E_TaskInfoState_success ||
	       value_get_str(task_info(), F_TaskInfo_name) == NULL; /* CreateTask's */
}

static void try_method(struct fake_host *h, struct object *o, uint16_t method, enum amount amount)
{
	uint64_t end = uv_hrtime() + END_S * UINT64_C(1000000000);

	arena_reset(t.a);
	begin(o, method, some_struct(schema_method(method)->args, amount, 0));
	while (!has_ended(h) && uv_hrtime() < end) {
		uv_run(&t.loop, UV_RUN_ONCE);
	}
	if (!has_ended(h)) {
		fail_msg("%s of a %s does not end", schema_method_name(method),
			 schema_type_name(o->type));
	}
}

static size_t try_type(struct fake_host *h, uint16_t type, enum amount amount)
{
	size_t n = 0;

	for (uint16_t method = 1; method < SCHEMA_N_METHODS; method++) {
		struct object *o = any_of(type);
		if (o != NULL && schema_is_a(o->type, schema_method(method)->managed) &&
		    is_tried(o, method)) {
			try_method(h, o, method, amount);
			n++;
		}
	}
	return n;
}

static void add_cluster(void)
{
	struct value *args = args_of(M_Folder_CreateClusterEx);

	value_set_str(t.a, args, A_Folder_CreateClusterEx_name, "c0");
	value_set(t.a, args, A_Folder_CreateClusterEx_spec, value_new(t.a, T_ClusterConfigSpecEx));
	call(t.hosts, M_Folder_CreateClusterEx, args);
	expect_ok();
}

static void add_switch(void)
{
	struct value *args = args_of(M_Folder_CreateDVS_Task);
	struct value *spec = value_new(t.a, T_DVSCreateSpec);
	struct value *config = value_new(t.a, T_VMwareDVSConfigSpec);

	value_set_str(t.a, config, F_DVSConfigSpec_name, "s0");
	value_set(t.a, spec, F_DVSCreateSpec_configSpec, config);
	value_set(t.a, args, A_Folder_CreateDVS_Task_spec, spec);
	call(place_folder(t.dc, P_Datacenter_networkFolder), M_Folder_CreateDVS_Task, args);
	expect_ok();
}

/* Built or not, with arguments that make no sense: each is answered, each task ends. */
static void every_method_ends(struct object *system, struct fake_host *h)
{
	size_t n = 0;

	add_cluster();
	add_switch();
	for (uint16_t type = 1; type < SCHEMA_N_TYPES; type++) {
		if (schema_type_kind(type) != KIND_MANAGED) {
			continue;
		}
		if (h->n_vms == 0) {
			fake_host_add_vm(h, "a");
			turn(50);
		}
		n += try_type(h, type, NEEDED) + try_type(h, type, ALL);
	}
	print_message("%zu calls\n", n);
	assert_true(n > 400);
	assert_int_equal(host_state(system), E_HostSystemConnectionState_connected);
	fake_host_release(h);
}

static void every_method_ends_in_process(void **state)
{
	(void)state;
	struct object *system = add_local(0, "h0", UUID_1);
	every_method_ends(system, t.host[0]);
}

static void every_method_ends_over_https(void **state)
{
	(void)state;
	struct object *system = add_remote(0, "h0", UUID_1);
	every_method_ends(system, t.host[0]);
}

/* A method that the host does not have: the fault that clients know. */
static void what_is_not_built_is_refused(void **state)
{
	(void)state;
	static const uint16_t methods[] = {
		M_VirtualMachine_CreateSnapshot_Task,
		M_VirtualMachine_CloneVM_Task,
		M_VirtualMachine_RevertToCurrentSnapshot_Task,
		M_VirtualMachine_RemoveAllSnapshots_Task,
		M_VirtualMachine_InstantClone_Task,
		M_VirtualMachine_CustomizeVM_Task,
		M_VirtualMachine_ExportVm,
		M_VirtualMachine_AcquireTicket,
		M_VirtualMachine_CreateScreenshot_Task,
		M_VirtualMachine_ConsolidateVMDisks_Task,
		M_VirtualMachine_AttachDisk_Task,
	};
	struct object *system = add_remote(0, "h0", UUID_1);
	fake_host_add_vm(t.host[0], "a");
	wait_for(vm_here("a") != NULL);

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		arena_reset(t.a);
		struct value *args = some_struct(schema_method(methods[i])->args, NEEDED, 0);
		if (methods[i] == M_VirtualMachine_CloneVM_Task) {
			value_set(t.a, args, A_VirtualMachine_CloneVM_Task_folder, t.vms->ref);
		}
		call(vm_here("a"), methods[i], args);
		expect_fault(T_NotSupported);
	}
	struct value *args = args_of(M_VirtualMachine_RelocateVM_Task);
	struct value *spec = value_new(t.a, T_VirtualMachineRelocateSpec);
	value_set(t.a, spec, F_VirtualMachineRelocateSpec_host, system->ref);
	value_set(t.a, args, A_VirtualMachine_RelocateVM_Task_spec, spec);
	call(vm_here("a"), M_VirtualMachine_RelocateVM_Task, args);
	expect_ok();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(many_end_in_process, setup, teardown),
		cmocka_unit_test_setup_teardown(many_end_over_https, setup_kept, teardown),
		cmocka_unit_test_setup_teardown(many_lose_their_host, setup_kept, teardown),
		cmocka_unit_test_setup_teardown(result_in_process, setup, teardown),
		cmocka_unit_test_setup_teardown(result_over_https, setup_kept, teardown),
		cmocka_unit_test_setup_teardown(unknown_in_process, setup, teardown),
		cmocka_unit_test_setup_teardown(unknown_over_https, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_built_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(every_method_ends_in_process, setup, teardown),
		cmocka_unit_test_setup_teardown(every_method_ends_over_https, setup_kept, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
