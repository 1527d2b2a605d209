/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations that clients ask of VMs, from the call to its end.
 *
 *   vm_op_begin() -> under way (vm->op set, task running) -> vm_op_done() | vm_op_fail…()
 *
 * The end releases the datastores, frees the VM for the next operation and ends the task, whose
 * arena holds the operation itself: nothing may be touched afterwards.
 */
#include <stdarg.h>
#include <stdio.h>

#include "host/vm_impl.h"
#include "vim/fault.h"

#define OPAQUE_ID F_VirtualEthernetCardOpaqueNetworkBackingInfo_opaqueNetworkId

struct vm *vm_of_call(const struct call *c)
{
	return vm_from_object(c->self);
}

static void *op_init(struct vm_layer *l, struct vm *vm, struct task *t, size_t size)
{
	struct vm_op *op = arena_alloc(task_arena(t), size);

	op->layer = l;
	op->vm = vm;
	op->task = t;
	op->arena = task_arena(t);
	if (vm != NULL) {
		vm->op = op;
	}
	return op;
}

static struct value *fault_in_progress(struct arena *a, const struct vm_op *op)
{
	struct value *f = fault_new(a, T_TaskInProgress);

	value_set(a, f, F_TaskInProgress_task, task_object(op->task)->ref);
	return f;
}

void *vm_op_begin(struct call *c, struct vm_layer *l, struct vm *vm, size_t size)
{
	struct task *t = task_begin(c, l->host->api.tasks);

	if (vm != NULL && vm->op != NULL) {
		task_fail(t, fault_in_progress(task_arena(t), vm->op),
			  "another task is at work on \"%s\"", vm_name(vm));
		return NULL;
	}
	return op_init(l, vm, t, size);
}

void *vm_op_begin_plain(struct call *c, struct vm *vm, const char *description_id, size_t size)
{
	struct vm_layer *l = vm->layer;

	if (vm->op != NULL) {
		call_fault(c, fault_in_progress(c->arena, vm->op),
			   "another task is at work on \"%s\"", vm_name(vm));
		return NULL;
	}
	struct task *t =
		task_begin_internal(l->host->api.tasks, vm->object, schema_method_name(c->method),
				    description_id, session_user(c->session));
	struct vm_op *op = op_init(l, vm, t, size);
	op->call = c;
	return op;
}

struct vm_op *vm_op_begin_internal(struct vm *vm, const char *name, const char *description_id)
{
	struct task *t = task_begin_internal(vm->layer->host->api.tasks, vm->object, name,
					     description_id, "");

	return op_init(vm->layer, vm, t, sizeof(struct vm_op));
}

void vm_op_hold(struct vm_op *op, struct host_datastore *d)
{
	for (size_t i = 0; i < op->held.n; i++) {
		if (op->held.items[i] == d) {
			return;
		}
	}
	host_datastore_hold(d);
	vec_push(&op->held, d);
}

bool vm_op_claim(struct vm_op *op, const char *ds_path, struct error *e)
{
	if (!host_file_claim(op->layer->host, ds_path, e)) {
		return false;
	}
	vec_push(&op->claims, arena_strdup(op->arena, ds_path));
	return true;
}

static void op_release(struct vm_op *op)
{
	if (op->vm != NULL) {
		op->vm->op = NULL;
	}
	for (size_t i = 0; i < op->held.n; i++) {
		host_datastore_release(op->held.items[i]);
	}
	for (size_t i = 0; i < op->claims.n; i++) {
		host_file_unclaim(op->layer->host, op->claims.items[i]);
	}
	vec_free(&op->held);
	vec_free(&op->claims);
}

void vm_op_done(struct vm_op *op, const struct value *result)
{
	op_release(op);
	if (op->call != NULL) {
		call_return(op->call, result);
	}
	task_done(op->task, result);
}

void vm_op_fault(struct vm_op *op, const struct value *fault, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	op_release(op);
	if (op->call != NULL) {
		call_fault(op->call, fault, "%s", text);
	}
	task_fail(op->task, fault, "%s", text);
}

void vm_op_refused(struct vm_op *op, const struct vm_refusal *r)
{
	vm_op_fault(op, r->fault, "%s", r->text);
}

void vm_op_fail(struct vm_op *op, const struct error *e)
{
	vm_op_fault(op, fault_from_error(op->arena, e), "%s", e->msg);
}

void vm_op_fail_file(struct vm_op *op, const struct error *e, const char *file)
{
	vm_op_fault(op, fault_from_file_error(op->arena, e, file == NULL ? "" : file), "%s",
		    e->msg);
}

bool vm_op_wants_power(struct vm_op *op, int wanted, int requested)
{
	int existing = op->vm->power;

	if (existing == wanted) {
		return true;
	}
	vm_op_fault(op, fault_invalid_power_state(op->arena, requested, existing),
		    "\"%s\" is %s; it must be %s for this", vm_name(op->vm),
		    schema_enum_name(T_VirtualMachinePowerState, (unsigned)existing),
		    schema_enum_name(T_VirtualMachinePowerState, (unsigned)wanted));
	return false;
}

bool vm_op_wants_connection(struct vm_op *op)
{
	if (op->vm->connection != E_VirtualMachineConnectionState_disconnected) {
		return true;
	}
	vm_op_fault(op, fault_new(op->arena, T_InvalidState),
		    "\"%s\" does not answer: it is not known whether it runs", vm_name(op->vm));
	return false;
}

bool vm_op_wants_config(struct vm_op *op)
{
	if (vm_config(op->vm) != NULL) {
		return vm_op_wants_connection(op);
	}
	vm_op_fault(op, fault_new(op->arena, T_InvalidState),
		    "the configuration of \"%s\", \"%s\", cannot be read", vm_name(op->vm),
		    vm_path(op->vm));
	return false;
}

/* ---- what calls say ---- */

bool vm_call_names_host(struct call *c, struct host *h, unsigned arg)
{
	bool ok;
	struct object *host = call_object(c, arg, T_HostSystem, &ok);

	if (!ok) {
		return false;
	}
	if (host != NULL && host != h->system) {
		call_fault(c, fault_invalid_argument(c->arena, "host"), "\"%s\" is another host",
			   object_id(host));
		return false;
	}
	return true;
}

bool vm_call_may_use_networks(struct call *c, struct host *h, const struct value *devices)
{
	for (size_t i = 0; i < value_count(devices); i++) {
		const struct value *b =
			value_get_value(value_item(devices, i), F_VirtualDevice_backing);
		const struct value *ref =
			value_is_a(b, T_VirtualEthernetCardNetworkBackingInfo)
				? value_get_value(b,
						  F_VirtualEthernetCardNetworkBackingInfo_network)
				: NULL;
		struct object *net = inventory_find_ref(h->inventory, ref);
		if (value_is_a(b, T_VirtualEthernetCardOpaqueNetworkBackingInfo)) {
			struct host_network *n =
				host_network_find_opaque(h, value_get_str(b, OPAQUE_ID));
			net = n == NULL ? NULL : n->object;
		}
		if (net != NULL && !call_require(c, net, "Network.Assign")) {
			return false;
		}
	}
	return true;
}

struct object *vm_pool(struct vm_layer *l, const char *id)
{
	struct object *pool = id == NULL ? NULL : inventory_find(l->host->inventory, id);

	return pool != NULL && schema_is_a(pool->type, T_ResourcePool) ? pool : l->host->pool;
}
