/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks that run on a host: many at once, forgotten ones, and methods that nobody has built. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "center/hosts_rig.h"
#include "center/place.h"

enum {
	MANY = 1000 /* more than a host's list of recent tasks shows, several times */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(many_end_in_process, setup, teardown),
		cmocka_unit_test_setup_teardown(many_end_over_https, setup_kept, teardown),
		cmocka_unit_test_setup_teardown(many_lose_their_host, setup_kept, teardown),
		cmocka_unit_test_setup_teardown(unknown_in_process, setup, teardown),
		cmocka_unit_test_setup_teardown(unknown_over_https, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
