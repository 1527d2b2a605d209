/* SPDX-License-Identifier: Apache-2.0 */
#include "center/migration_call.h"

#include <string.h>

#include "center/compute.h"
#include "center/member.h"
#include "center/place.h"
#include "vim/fault.h"

void migration_call(struct call *c, const struct migration_wish *w, struct member *to)
{
	struct hosts *hs = to->hosts;
	struct migration_order order;
	struct refusal r = { 0 };

	if (!migration_may(w, to, c->arena, c->session, &r) ||
	    !migration_plan(hs, c->arena, w, to, &order, &r)) {
		refusal_to_call(c, &r);
		return;
	}
	if (order.datastore != NULL &&
	    !refusal_may(&r, c->arena, c->session, order.datastore, "Datastore.AllocateSpace")) {
		json_object_put(order.target);
		refusal_to_call(c, &r);
		return;
	}
	migration_begin(c, &order);
}

/* ---- checks ---- */

static bool is_possible(const struct migration_wish *w, struct member *to, struct arena *a,
			struct refusal *r)
{
	struct migration_order order = { 0 };

	if (to == mirrored_member(w->vm)) {
		return true;
	}
	bool ok = migration_plan(to->hosts, a, w, to, &order, r);
	json_object_put(order.target);
	return ok;
}

static void add_result(struct value *results, const struct migration_wish *w, struct member *to,
		       const struct refusal *refused, struct arena *a)
{
	struct value *result = value_new(a, T_CheckResult);
	struct refusal r = { 0 };

	value_set(a, result, F_CheckResult_vm, w->vm->ref);
	if (to != NULL) {
		value_set(a, result, F_CheckResult_host, to->system->ref);
	}
	if (refused != NULL || (to != NULL && !is_possible(w, to, a, &r))) {
		struct value *errors = value_new_array(a, T_LocalizedMethodFault);
		refused = refused != NULL ? refused : &r;
		value_push(a, errors, fault_localized(a, refused->fault, refused->text));
		value_set(a, result, F_CheckResult_error, errors);
	}
	value_push(a, results, result);
}

/* For the host named; for each of the pool's; for the VM's own. */
static void add_results(struct hosts *hs, struct value *results, const struct migration_wish *w,
			struct arena *a)
{
	struct object *compute = w->pool == NULL ? NULL : compute_of_pool(w->pool);
	struct refusal r = { 0 };

	if (mirrored_of(w->vm) == NULL) {
		refuse(&r, fault_new(a, T_NotSupported), "\"%s\" is on no host", place_name(w->vm));
		add_result(results, w, NULL, &r, a);
		return;
	}
	if (w->host != NULL || compute == NULL) {
		struct member *to = migration_target(hs, a, w, &r);
		add_result(results, w, to, to == NULL ? &r : NULL, a);
		return;
	}
	for (size_t i = 0; i < place_count(compute, P_ComputeResource_host); i++) {
		struct object *host = place_at(compute, P_ComputeResource_host, i);
		struct member *to = host == NULL ? NULL : member_of_host(host);
		if (to != NULL) {
			add_result(results, w, to, NULL, a);
		}
	}
}

static void check(struct call *c, const struct migration_wish *w)
{
	struct hosts *hs = call_arg(c);
	struct value *results = value_new_array(c->arena, T_CheckResult);

	add_results(hs, results, w, c->arena);
	struct task *t = task_begin(c, hs->center->api->tasks);
	task_done(t, results);
}

static struct object *argument_vm(struct call *c, unsigned arg)
{
	bool ok;
	struct object *vm = call_object(c, arg, T_VirtualMachine, &ok);

	return ok && call_require(c, vm, "System.Read") ? vm : NULL;
}

static void check_migrate(struct call *c)
{
	struct migration_wish w = { 0 };
	bool ok;

	w.vm = argument_vm(c, A_VirtualMachineProvisioningChecker_CheckMigrate_Task_vm);
	if (w.vm == NULL) {
		return;
	}
	w.host = call_object(c, A_VirtualMachineProvisioningChecker_CheckMigrate_Task_host,
			     T_HostSystem, &ok);
	if (ok) {
		w.pool = call_object(c, A_VirtualMachineProvisioningChecker_CheckMigrate_Task_pool,
				     T_ResourcePool, &ok);
	}
	w.power = value_get_num(c->args,
				A_VirtualMachineProvisioningChecker_CheckMigrate_Task_state, -1);
	if (ok) {
		check(c, &w);
	}
}

static void check_relocate(struct call *c)
{
	struct hosts *hs = call_arg(c);
	const struct value *spec = value_get_value(
		c->args, A_VirtualMachineProvisioningChecker_CheckRelocate_Task_spec);
	struct object *vm =
		argument_vm(c, A_VirtualMachineProvisioningChecker_CheckRelocate_Task_vm);
	struct migration_wish w;
	struct refusal r = { 0 };

	if (vm == NULL) {
		return;
	}
	if (migration_wish_relocate(hs->center, c->arena, vm, spec, &w, &r)) {
		check(c, &w);
	} else {
		refusal_to_call(c, &r);
	}
}

static void check_compatibility(struct call *c)
{
	struct migration_wish w = { .power = -1 };
	bool ok;

	w.vm = argument_vm(c, A_VirtualMachineCompatibilityChecker_CheckCompatibility_Task_vm);
	if (w.vm == NULL) {
		return;
	}
	w.host = call_object(c, A_VirtualMachineCompatibilityChecker_CheckCompatibility_Task_host,
			     T_HostSystem, &ok);
	if (ok) {
		w.pool = call_object(
			c, A_VirtualMachineCompatibilityChecker_CheckCompatibility_Task_pool,
			T_ResourcePool, &ok);
	}
	if (ok) {
		check(c, &w);
	}
}

/* The i-th object of an array of references; NULL: the call is over. */
static struct object *item(struct call *c, const struct value *list, size_t i, uint16_t type)
{
	const struct value *ref = value_item(list, i);
	struct object *o = inventory_find_ref(c->self->inventory, ref);

	if (o == NULL || !schema_is_a(o->type, type)) {
		call_fault(c, fault_not_found(c->arena, ref), "\"%s\" does not exist",
			   value_bytes(ref));
		return NULL;
	}
	return call_require(c, o, "System.Read") ? o : NULL;
}

static void query_ex(struct call *c)
{
	struct hosts *hs = call_arg(c);
	const struct value *vms = value_get_value(
		c->args, A_VirtualMachineProvisioningChecker_QueryVMotionCompatibilityEx_Task_vm);
	const struct value *list = value_get_value(
		c->args, A_VirtualMachineProvisioningChecker_QueryVMotionCompatibilityEx_Task_host);
	struct value *results = value_new_array(c->arena, T_CheckResult);

	for (size_t i = 0; i < value_count(vms); i++) {
		struct migration_wish w = { .power = -1 };
		w.vm = item(c, vms, i, T_VirtualMachine);
		for (size_t k = 0; w.vm != NULL && k < value_count(list); k++) {
			w.host = item(c, list, k, T_HostSystem);
			if (w.host == NULL) {
				return;
			}
			add_results(hs, results, &w, c->arena);
		}
		if (w.vm == NULL) {
			return;
		}
	}
	struct task *t = task_begin(c, hs->center->api->tasks);
	task_done(t, results);
}

/* ---- ServiceInstance ---- */

/* What of "cpu" and "software" is asked and fits; all of it is asked where nothing is named. */
static struct value *fitting(const struct value *asked, bool fits, struct arena *a)
{
	struct value *list = value_new_array(a, T_string);

	for (unsigned i = 0; fits && i < schema_type(T_VMotionCompatibilityType)->n_fields; i++) {
		const char *name = schema_enum_name(T_VMotionCompatibilityType, i);
		bool is_asked = value_count(asked) == 0;
		for (size_t k = 0; k < value_count(asked) && !is_asked; k++) {
			is_asked = strcmp(value_bytes(value_item(asked, k)), name) == 0;
		}
		if (is_asked) {
			value_push_str(a, list, name);
		}
	}
	return list;
}

static void query(struct call *c)
{
	const struct value *list =
		value_get_value(c->args, A_ServiceInstance_QueryVMotionCompatibility_host);
	const struct value *asked =
		value_get_value(c->args, A_ServiceInstance_QueryVMotionCompatibility_compatibility);
	struct migration_wish w = { .power = -1 };
	struct value *results = value_new_array(c->arena, T_HostVMotionCompatibility);

	w.vm = argument_vm(c, A_ServiceInstance_QueryVMotionCompatibility_vm);
	if (w.vm == NULL) {
		return;
	}
	for (size_t i = 0; i < value_count(list); i++) {
		struct refusal r = { 0 };
		w.host = item(c, list, i, T_HostSystem);
		if (w.host == NULL) {
			return;
		}
		struct member *to = member_of_host(w.host);
		bool fits = mirrored_of(w.vm) != NULL && to != NULL &&
			    is_possible(&w, to, c->arena, &r);
		struct value *one = value_new(c->arena, T_HostVMotionCompatibility);
		value_set(c->arena, one, F_HostVMotionCompatibility_host, w.host->ref);
		value_set(c->arena, one, F_HostVMotionCompatibility_compatibility,
			  fitting(asked, fits, c->arena));
		value_push(c->arena, results, one);
	}
	call_return(c, results);
}

/* ---- registering ---- */

static struct object *checker_add(struct hosts *hs, uint16_t type, const char *id, unsigned field)
{
	struct object *o = inventory_add(hs->center->inventory, type, id, NULL, hs);

	api_content_set(hs->center->api, field, o);
	return o;
}

void migration_register(struct hosts *hs)
{
	struct service *s = hs->center->api->service;
	uint16_t provisioning = T_VirtualMachineProvisioningChecker;

	hs->provisioning = checker_add(hs, provisioning, "ProvChecker",
				       F_ServiceContent_vmProvisioningChecker);
	hs->compatibility = checker_add(hs, T_VirtualMachineCompatibilityChecker, "CompatChecker",
					F_ServiceContent_vmCompatibilityChecker);
	service_handle(s, provisioning, M_VirtualMachineProvisioningChecker_CheckMigrate_Task,
		       check_migrate, hs);
	service_handle(s, provisioning, M_VirtualMachineProvisioningChecker_CheckRelocate_Task,
		       check_relocate, hs);
	service_handle(s, provisioning,
		       M_VirtualMachineProvisioningChecker_QueryVMotionCompatibilityEx_Task,
		       query_ex, hs);
	service_handle(s, T_VirtualMachineCompatibilityChecker,
		       M_VirtualMachineCompatibilityChecker_CheckCompatibility_Task,
		       check_compatibility, hs);
	service_handle(s, T_ServiceInstance, M_ServiceInstance_QueryVMotionCompatibility, query,
		       hs);
}
