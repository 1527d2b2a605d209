/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/collector.h"

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

/* ---- retrieving ---- */

static const struct value *retrieve(struct rig *r, struct value *spec)
{
	struct value *args = rig_args(r, M_PropertyCollector_RetrieveProperties);

	value_set(r->arena, args, A_PropertyCollector_RetrieveProperties_specSet,
		  rig_list(r, T_PropertyFilterSpec, spec, NULL));
	return rig_call(r, r->collector, M_PropertyCollector_RetrieveProperties, args);
}

static struct value *retrieve_ex_args(struct rig *r, struct value *spec, int max)
{
	struct value *args = rig_args(r, M_PropertyCollector_RetrievePropertiesEx);
	struct value *options = value_new(r->arena, T_RetrieveOptions);

	if (max > 0) {
		value_set_num(r->arena, options, F_RetrieveOptions_maxObjects, max);
	}
	value_set(r->arena, args, A_PropertyCollector_RetrievePropertiesEx_specSet,
		  rig_list(r, T_PropertyFilterSpec, spec, NULL));
	value_set(r->arena, args, A_PropertyCollector_RetrievePropertiesEx_options, options);
	return args;
}

/* The text of a property in an ObjectContent, or NULL. */
static const char *text_of(const struct value *content, const char *name)
{
	const struct value *set = value_get_value(content, F_ObjectContent_propSet);

	for (size_t i = 0; i < value_count(set); i++) {
		const struct value *p = value_item(set, i);
		if (strcmp(value_get_str(p, F_DynamicProperty_name), name) == 0) {
			return value_bytes(value_get_value(p, F_DynamicProperty_val));
		}
	}
	return NULL;
}

static const char *obj_of(const struct value *content)
{
	return value_get_str(content, F_ObjectContent_obj);
}

static struct value *ancestors(struct rig *r, const struct value *obj)
{
	struct value *up =
		rig_traversal(r, "traverseParent", T_ManagedEntity, "parent", false,
			      rig_list(r, T_SelectionSpec, rig_named(r, "traverseParent"), NULL));
	struct value *app =
		rig_traversal(r, NULL, T_VirtualMachine, "parentVApp", false,
			      rig_list(r, T_SelectionSpec, rig_named(r, "traverseParent"), NULL));

	return rig_spec(r, obj, false, rig_list(r, T_SelectionSpec, up, app),
			rig_properties(r, T_ManagedEntity, "name parent"),
			rig_properties(r, T_VirtualMachine, "parentVApp"));
}

static void ancestors_are_walked(void **state)
{
	struct rig *r = *state;
	struct object *vm = rig_add_vm(r, "vm-1", "one");
	const struct value *v = retrieve(r, ancestors(r, vm->ref));

	assert_int_equal(value_count(v), 4);
	assert_string_equal(obj_of(value_item(v, 0)), "vm-1");
	assert_string_equal(text_of(value_item(v, 0), "name"), "one");
	assert_string_equal(text_of(value_item(v, 0), "parent"), "group-v3");
	assert_null(text_of(value_item(v, 0), "parentVApp"));
	assert_string_equal(obj_of(value_item(v, 1)), "group-v3");
	assert_string_equal(obj_of(value_item(v, 2)), "datacenter-2");
	assert_string_equal(obj_of(value_item(v, 3)), "group-d1");
	value_drop(v);
}

static void folders_are_listed(void **state)
{
	struct rig *r = *state;

	rig_add_vm(r, "vm-1", "one");
	rig_add_vm(r, "vm-2", "two");
	struct value *down = rig_traversal(r, NULL, T_Folder, "childEntity", false, NULL);
	struct value *spec =
		rig_spec(r, r->vm_folder->ref, true, rig_list(r, T_SelectionSpec, down, NULL),
			 rig_properties(r, T_Folder, "name"),
			 rig_properties(r, T_VirtualMachine, "runtime.powerState"));
	const struct value *v = retrieve(r, spec);
	assert_int_equal(value_count(v), 2);
	assert_string_equal(obj_of(value_item(v, 1)), "vm-2");
	value_drop(v);
	/* Nothing is found: no result. */
	spec = rig_spec(r, r->vm_folder->ref, true, NULL, rig_properties(r, T_Folder, "name"),
			NULL);
	v = retrieve(r, spec);
	assert_int_equal(value_count(v), 0);
	value_drop(v);
	/* Only references. */
	v = retrieve(r, rig_spec(r, r->vm_folder->ref, false, NULL,
				 rig_properties(r, T_ManagedEntity, ""), NULL));
	assert_int_equal(value_count(v), 1);
	assert_false(value_has(value_item(v, 0), F_ObjectContent_propSet));
	value_drop(v);
	/* All that is set. */
	v = retrieve(r, rig_spec(r, r->vm_folder->ref, false, NULL,
				 rig_properties(r, T_ManagedEntity, "*"), NULL));
	assert_string_equal(text_of(value_item(v, 0), "name"), "vm");
	assert_string_equal(text_of(value_item(v, 0), "parent"), "datacenter-2");
	value_drop(v);
}

static uint16_t retrieve_fault(struct rig *r, struct value *spec)
{
	return rig_fault(r, r->collector, M_PropertyCollector_RetrievePropertiesEx,
			 retrieve_ex_args(r, spec, 0));
}

static void wrong_specs_are_refused(void **state)
{
	struct rig *r = *state;
	struct value *ok = rig_properties(r, T_Folder, "name");
	struct value *type = rig_properties(r, T_Folder, "name");
	const struct value *folder = r->vm_folder->ref;

	assert_int_equal(retrieve_fault(r, rig_spec(r, folder, false, NULL, ok,
						    rig_properties(r, T_Folder, "nope"))),
			 T_InvalidProperty);
	/* A property of a derived type alone is possible. */
	assert_int_equal(retrieve_fault(r, rig_spec(r, folder, false, NULL, ok,
						    rig_properties(r, T_ManagedEntity,
								   "runtime.powerState"))),
			 T_none);
	value_set_str(r->arena, type, F_PropertySpec_type, "Nothing");
	assert_int_equal(retrieve_fault(r, rig_spec(r, folder, false, NULL, ok, type)),
			 T_InvalidType);
	assert_int_equal(
		retrieve_fault(r, rig_spec(r, value_new_ref(r->arena, T_Folder, "group-99"), false,
					   NULL, ok, NULL)),
		T_ManagedObjectNotFound);
	assert_int_equal(retrieve_fault(r, rig_spec(r, folder, false,
						    rig_list(r, T_SelectionSpec,
							     rig_named(r, "nobody"), NULL),
						    ok, NULL)),
			 T_InvalidArgument);
	struct value *deep = NULL;
	for (int i = 0; i < 50; i++) {
		deep = rig_traversal(r, NULL, T_Folder, "childEntity", false,
				     deep == NULL ? NULL
						  : rig_list(r, T_SelectionSpec, deep, NULL));
	}
	assert_int_equal(
		retrieve_fault(r, rig_spec(r, folder, false,
					   rig_list(r, T_SelectionSpec, deep, NULL), ok, NULL)),
		T_InvalidArgument);
}

static void pages_follow_tokens(void **state)
{
	struct rig *r = *state;
	char id[16], token[64] = "";
	size_t n = 0, pages = 0;

	for (int i = 0; i < 10; i++) {
		snprintf(id, sizeof(id), "vm-%d", i);
		rig_add_vm(r, id, id);
	}
	struct value *down = rig_traversal(r, NULL, T_Folder, "childEntity", false, NULL);
	struct value *spec =
		rig_spec(r, r->vm_folder->ref, true, rig_list(r, T_SelectionSpec, down, NULL),
			 rig_properties(r, T_VirtualMachine, "name"), NULL);
	const struct value *v = rig_call(r, r->collector, M_PropertyCollector_RetrievePropertiesEx,
					 retrieve_ex_args(r, spec, 3));
	for (;;) {
		n += value_count(value_get_value(v, F_RetrieveResult_objects));
		pages++;
		const char *next = value_get_str(v, F_RetrieveResult_token);
		bool more = next != NULL;
		if (more) {
			snprintf(token, sizeof(token), "%s", next);
		}
		value_drop(v);
		if (!more) {
			break;
		}
		struct value *args = rig_args(r, M_PropertyCollector_ContinueRetrievePropertiesEx);
		value_set_str(r->arena, args,
			      A_PropertyCollector_ContinueRetrievePropertiesEx_token, token);
		v = rig_call(r, r->collector, M_PropertyCollector_ContinueRetrievePropertiesEx,
			     args);
	}
	assert_int_equal(n, 10);
	assert_int_equal(pages, 4);
	struct value *args = rig_args(r, M_PropertyCollector_CancelRetrievePropertiesEx);
	value_set_str(r->arena, args, A_PropertyCollector_CancelRetrievePropertiesEx_token, token);
	assert_int_equal(
		rig_fault(r, r->collector, M_PropertyCollector_CancelRetrievePropertiesEx, args),
		T_InvalidProperty);
	v = rig_call(r, r->collector, M_PropertyCollector_RetrievePropertiesEx,
		     retrieve_ex_args(r, spec, 3));
	value_set_str(r->arena, args, A_PropertyCollector_CancelRetrievePropertiesEx_token,
		      value_get_str(v, F_RetrieveResult_token));
	value_drop(v);
	value_drop(rig_call(r, r->collector, M_PropertyCollector_CancelRetrievePropertiesEx, args));
	assert_int_equal(rig_fault(r, r->collector, M_PropertyCollector_RetrievePropertiesEx,
				   retrieve_ex_args(r, spec, -1)),
			 T_none);
}

/* ---- waiting ---- */

static struct object *filter_create(struct rig *r, struct object *collector, struct value *spec,
				    bool partial)
{
	struct value *args = rig_args(r, M_PropertyCollector_CreateFilter);

	value_set(r->arena, args, A_PropertyCollector_CreateFilter_spec, spec);
	value_set_bool(r->arena, args, A_PropertyCollector_CreateFilter_partialUpdates, partial);
	const struct value *ref = rig_call(r, collector, M_PropertyCollector_CreateFilter, args);
	struct object *o = inventory_find_ref(r->inventory, ref);
	value_drop(ref);
	assert_non_null(o);
	return o;
}

static struct object *collector_create(struct rig *r)
{
	const struct value *ref =
		rig_call(r, r->collector, M_PropertyCollector_CreatePropertyCollector, NULL);
	struct object *o = inventory_find_ref(r->inventory, ref);

	value_drop(ref);
	return o;
}

static struct value *wait_args(struct rig *r, const char *version, int seconds, int max)
{
	struct value *args = rig_args(r, M_PropertyCollector_WaitForUpdatesEx);
	struct value *options = value_new(r->arena, T_WaitOptions);

	if (seconds >= 0) {
		value_set_num(r->arena, options, F_WaitOptions_maxWaitSeconds, seconds);
	}
	if (max > 0) {
		value_set_num(r->arena, options, F_WaitOptions_maxObjectUpdates, max);
	}
	value_set_str(r->arena, args, A_PropertyCollector_WaitForUpdatesEx_version, version);
	value_set(r->arena, args, A_PropertyCollector_WaitForUpdatesEx_options, options);
	return args;
}

static void wait_start(struct rig *r, struct answer *a, struct object *collector,
		       const char *version, int seconds)
{
	rig_start(r, a, collector, M_PropertyCollector_WaitForUpdatesEx,
		  wait_args(r, version, seconds, 0));
}

/* The only object update of the only filter. */
static const struct value *only_update(const struct value *set)
{
	const struct value *filters = value_get_value(set, F_UpdateSet_filterSet);

	assert_int_equal(value_count(filters), 1);
	const struct value *objects =
		value_get_value(value_item(filters, 0), F_PropertyFilterUpdate_objectSet);
	assert_int_equal(value_count(objects), 1);
	return value_item(objects, 0);
}

static bool change_is(const struct value *update, size_t i, const char *name, int op)
{
	const struct value *changes = value_get_value(update, F_ObjectUpdate_changeSet);
	const struct value *c = i < value_count(changes) ? value_item(changes, i) : NULL;

	return c != NULL && strcmp(value_get_str(c, F_PropertyChange_name), name) == 0 &&
	       value_get_num(c, F_PropertyChange_op, -1) == op;
}

static void changes_wake_who_waits(void **state)
{
	struct rig *r = *state;
	struct object *vm = rig_add_vm(r, "vm-1", "one"), *other = rig_add_vm(r, "vm-2", "two");
	struct object *p = collector_create(r);
	struct answer a, b;
	char version[64];

	filter_create(r, p,
		      rig_spec(r, vm->ref, false, NULL,
			       rig_properties(r, T_VirtualMachine, "name runtime.powerState"),
			       NULL),
		      false);
	wait_start(r, &a, p, "", -1);
	assert_true(a.is_done);
	const struct value *u = only_update(a.result);
	assert_int_equal(value_get_num(u, F_ObjectUpdate_kind, -1), E_ObjectUpdateKind_enter);
	assert_true(change_is(u, 0, "name", E_PropertyChangeOp_assign));
	assert_true(change_is(u, 1, "runtime.powerState", E_PropertyChangeOp_assign));
	snprintf(version, sizeof(version), "%s", value_get_str(a.result, F_UpdateSet_version));
	answer_clear(&a);

	wait_start(r, &a, p, version, -1);
	assert_false(a.is_done);
	rig_set_power(r, other, E_VirtualMachinePowerState_poweredOn);
	inventory_publish(r->inventory);
	assert_false(a.is_done);
	rig_set_power(r, vm, E_VirtualMachinePowerState_poweredOn);
	assert_false(a.is_done);
	inventory_publish(r->inventory);
	assert_true(a.is_done);
	u = only_update(a.result);
	assert_int_equal(value_get_num(u, F_ObjectUpdate_kind, -1), E_ObjectUpdateKind_modify);
	assert_true(change_is(u, 0, "runtime.powerState", E_PropertyChangeOp_assign));
	assert_int_equal(value_count(value_get_value(u, F_ObjectUpdate_changeSet)), 1);

	/* The answer was lost: the same version gives the same news. */
	wait_start(r, &b, p, version, -1);
	assert_true(b.is_done);
	assert_ptr_equal(only_update(b.result), u);
	snprintf(version, sizeof(version), "%s", value_get_str(b.result, F_UpdateSet_version));
	answer_clear(&a);
	answer_clear(&b);

	wait_start(r, &a, p, version, 5);
	clock_advance(r->clock, 4900000);
	assert_false(a.is_done);
	clock_advance(r->clock, 200000);
	assert_true(a.is_done && a.result == NULL && a.fault == NULL);
	wait_start(r, &a, p, version, 0);
	assert_true(a.is_done && a.result == NULL && a.fault == NULL);

	wait_start(r, &a, p, version, -1);
	rig_remove_vm(r, vm);
	inventory_publish(r->inventory);
	assert_true(a.is_done);
	u = only_update(a.result);
	assert_int_equal(value_get_num(u, F_ObjectUpdate_kind, -1), E_ObjectUpdateKind_leave);
	assert_string_equal(value_get_str(u, F_ObjectUpdate_obj), "vm-1");
	answer_clear(&a);
}

static void versions_are_checked(void **state)
{
	static const char *const wrong[] = { "x",
					     "-1",
					     "0",
					     "1.",
					     "1.2.3",
					     "1.2.3.4.5",
					     "1.0.1.1",
					     "99999999999",
					     "99999999999999999999999",
					     "1 ",
					     "+1",
					     "4294967296.1.1.1",
					     "1.1.1.4294967296" };
	struct rig *r = *state;
	struct object *vm = rig_add_vm(r, "vm-1", "one"), *p = collector_create(r);
	struct answer a;
	char first[64];

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_int_equal(rig_fault(r, p, M_PropertyCollector_WaitForUpdatesEx,
					   wait_args(r, wrong[i], 0, 0)),
				 T_InvalidCollectorVersion);
	}
	filter_create(r, p,
		      rig_spec(r, vm->ref, false, NULL, rig_properties(r, T_VirtualMachine, "name"),
			       NULL),
		      false);
	wait_start(r, &a, p, "", 0);
	snprintf(first, sizeof(first), "%s", value_get_str(a.result, F_UpdateSet_version));
	answer_clear(&a);
	inventory_set_str(vm, P_ManagedEntity_name, "two");
	wait_start(r, &a, p, first, 0);
	struct value *next = wait_args(r, value_get_str(a.result, F_UpdateSet_version), 0, 0);
	assert_int_equal(rig_fault(r, p, M_PropertyCollector_WaitForUpdatesEx, next), T_none);
	answer_clear(&a);
	/* Who has named a newer version cannot go back. */
	assert_int_equal(
		rig_fault(r, p, M_PropertyCollector_WaitForUpdatesEx, wait_args(r, first, 0, 0)),
		T_InvalidCollectorVersion);
	assert_int_equal(
		rig_fault(r, p, M_PropertyCollector_WaitForUpdatesEx, wait_args(r, "", 0, 0)),
		T_none);
}

static void waiting_can_be_canceled(void **state)
{
	struct rig *r = *state;
	struct object *vm = rig_add_vm(r, "vm-1", "one"), *p = collector_create(r);
	struct answer a, b;

	filter_create(r, p,
		      rig_spec(r, vm->ref, false, NULL, rig_properties(r, T_VirtualMachine, "name"),
			       NULL),
		      false);
	wait_start(r, &a, p, "", 0);
	char version[64];
	snprintf(version, sizeof(version), "%s", value_get_str(a.result, F_UpdateSet_version));
	answer_clear(&a);

	wait_start(r, &a, p, version, -1);
	value_drop(rig_call(r, p, M_PropertyCollector_CancelWaitForUpdates, NULL));
	assert_true(a.is_done && value_type(a.fault) == T_RequestCanceled);
	answer_clear(&a);

	wait_start(r, &a, p, version, -1);
	wait_start(r, &b, p, version, -1);
	assert_true(a.is_done && value_type(a.fault) == T_RequestCanceled);
	assert_false(b.is_done);
	answer_clear(&a);
	value_drop(rig_call(r, p, M_PropertyCollector_DestroyPropertyCollector, NULL));
	assert_true(b.is_done && value_type(b.fault) == T_RequestCanceled);
	answer_clear(&b);
	assert_int_equal(
		rig_fault(r, r->collector, M_PropertyCollector_DestroyPropertyCollector, NULL),
		T_NotSupported);
}

static void sessions_are_apart(void **state)
{
	struct rig *r = *state;
	struct object *vm = rig_add_vm(r, "vm-1", "one"), *p = collector_create(r);
	struct value *spec = rig_spec(r, vm->ref, false, NULL,
				      rig_properties(r, T_VirtualMachine, "name"), NULL);
	struct object *f = filter_create(r, p, spec, false);
	struct session *own = r->session;
	struct answer a;

	r->session = rig_login(r, "root", "secret");
	assert_int_equal(
		rig_fault(r, p, M_PropertyCollector_WaitForUpdatesEx, wait_args(r, "", 0, 0)),
		T_ManagedObjectNotFound);
	assert_int_equal(rig_fault(r, f, M_PropertyFilter_DestroyPropertyFilter, NULL),
			 T_ManagedObjectNotFound);
	struct object *mine = filter_create(r, r->collector, spec, false);
	const struct value *v =
		retrieve(r, rig_spec(r, r->collector->ref, false, NULL,
				     rig_properties(r, T_PropertyCollector, "filter"), NULL));
	const struct value *set = value_get_value(value_item(v, 0), F_ObjectContent_propSet);
	assert_int_equal(value_count(set), 1);
	const struct value *filters = value_get_value(value_item(set, 0), F_DynamicProperty_val);
	assert_int_equal(value_count(filters), 1);
	assert_ptr_equal(value_item(filters, 0), mine->ref);
	value_drop(v);
	/* What is a session's goes with it, and who waits is told. */
	wait_start(r, &a, r->collector, "", 0);
	struct value *again = wait_args(r, value_get_str(a.result, F_UpdateSet_version), -1, 0);
	answer_clear(&a);
	rig_start(r, &a, r->collector, M_PropertyCollector_WaitForUpdatesEx, again);
	char id[128];
	snprintf(id, sizeof(id), "%s", object_id(mine));
	session_logout(r->session);
	assert_true(a.is_done && value_type(a.fault) == T_RequestCanceled);
	answer_clear(&a);
	assert_null(inventory_find(r->inventory, id));
	r->session = own;
	assert_non_null(inventory_find(r->inventory, object_id(f)));
	value_drop(rig_call(r, f, M_PropertyFilter_DestroyPropertyFilter, NULL));
}

static struct value *device_config(struct rig *r, int first, int n, int64_t kb)
{
	struct arena *a = r->arena;
	struct value *config = value_new(a, T_VirtualMachineConfigInfo);
	struct value *hardware = value_new(a, T_VirtualHardware);
	struct value *list = value_new_array(a, T_VirtualDevice);

	for (int i = 0; i < n; i++) {
		struct value *d = value_new(a, T_VirtualDisk);
		value_set_num(a, d, F_VirtualDevice_key, first + i);
		value_set_num(a, d, F_VirtualDisk_capacityInKB, kb);
		value_push(a, list, d);
	}
	value_set(a, hardware, F_VirtualHardware_device, list);
	value_set(a, config, F_VirtualMachineConfigInfo_hardware, hardware);
	return config;
}

static void partial_updates_name_parts(void **state)
{
	struct rig *r = *state;
	struct object *vm = rig_add_vm(r, "vm-1", "one"), *p = collector_create(r);
	struct value *spec = rig_spec(r, vm->ref, false, NULL,
				      rig_properties(r, T_VirtualMachine, "config"), NULL);
	struct answer a;
	char version[64];

	inventory_set(vm, P_VirtualMachine_config, device_config(r, 2000, 2, 10));
	filter_create(r, p, spec, true);
	wait_start(r, &a, p, "", 0);
	snprintf(version, sizeof(version), "%s", value_get_str(a.result, F_UpdateSet_version));
	answer_clear(&a);
	inventory_set(vm, P_VirtualMachine_config, device_config(r, 2001, 2, 10));
	wait_start(r, &a, p, version, 0);
	const struct value *u = only_update(a.result);
	assert_int_equal(value_count(value_get_value(u, F_ObjectUpdate_changeSet)), 2);
	assert_true(change_is(u, 0, "config.hardware.device[2002]", E_PropertyChangeOp_add));
	assert_true(change_is(u, 1, "config.hardware.device[2000]", E_PropertyChangeOp_remove));
	snprintf(version, sizeof(version), "%s", value_get_str(a.result, F_UpdateSet_version));
	answer_clear(&a);
	inventory_set(vm, P_VirtualMachine_config, device_config(r, 2001, 2, 11));
	wait_start(r, &a, p, version, 0);
	u = only_update(a.result);
	assert_true(change_is(u, 0, "config.hardware.device[2001].capacityInKB",
			      E_PropertyChangeOp_assign));
	snprintf(version, sizeof(version), "%s", value_get_str(a.result, F_UpdateSet_version));
	answer_clear(&a);
	inventory_set(vm, P_VirtualMachine_config, NULL);
	wait_start(r, &a, p, version, 0);
	assert_true(change_is(only_update(a.result), 0, "config", E_PropertyChangeOp_assign));
	answer_clear(&a);
}

static void whole_properties_are_told_otherwise(void **state)
{
	struct rig *r = *state;
	struct object *vm = rig_add_vm(r, "vm-1", "one"), *p = collector_create(r);
	struct value *spec = rig_spec(r, vm->ref, false, NULL,
				      rig_properties(r, T_VirtualMachine,
						     "config.hardware "
						     "config.hardware.device[2000].capacityInKB"),
				      NULL);
	struct answer a;
	char version[64];

	inventory_set(vm, P_VirtualMachine_config, device_config(r, 2000, 1, 10));
	filter_create(r, p, spec, false);
	wait_start(r, &a, p, "", 0);
	snprintf(version, sizeof(version), "%s", value_get_str(a.result, F_UpdateSet_version));
	answer_clear(&a);
	inventory_set(vm, P_VirtualMachine_config, device_config(r, 2001, 1, 10));
	wait_start(r, &a, p, version, 0);
	const struct value *u = only_update(a.result);
	assert_true(change_is(u, 0, "config.hardware", E_PropertyChangeOp_assign));
	assert_true(change_is(u, 1, "config.hardware.device[2000].capacityInKB",
			      E_PropertyChangeOp_indirectRemove));
	answer_clear(&a);
}

static void missing_roots_are_reported(void **state)
{
	struct rig *r = *state;
	struct object *p = collector_create(r);
	struct value *spec = rig_spec(r, value_new_ref(r->arena, T_VirtualMachine, "vm-9"), false,
				      NULL, rig_properties(r, T_VirtualMachine, "name"), NULL);
	struct value *args = rig_args(r, M_PropertyCollector_CreateFilter);
	struct answer a;

	value_set(r->arena, args, A_PropertyCollector_CreateFilter_spec, spec);
	value_set_bool(r->arena, args, A_PropertyCollector_CreateFilter_partialUpdates, false);
	assert_int_equal(rig_fault(r, p, M_PropertyCollector_CreateFilter, args),
			 T_ManagedObjectNotFound);
	value_set_bool(r->arena, spec, F_PropertyFilterSpec_reportMissingObjectsInResults, true);
	filter_create(r, p, spec, false);
	wait_start(r, &a, p, "", 0);
	const struct value *filters = value_get_value(a.result, F_UpdateSet_filterSet);
	assert_int_equal(value_count(value_get_value(value_item(filters, 0),
						     F_PropertyFilterUpdate_missingSet)),
			 1);
	answer_clear(&a);
}

/* ---- on the wire ---- */

static bool body_has(struct rig *r, int status, const char *part)
{
	bool ok = r->status == status && strstr(r->body, part) != NULL;

	if (!ok) {
		print_error("status %d without %s: %s\n", r->status, part, r->body);
	}
	return ok;
}

static void answers_are_written(void **state)
{
	struct rig *r = *state;

	rig_add_vm(r, "vm-1", "a<b");
	const char *key = session_key(rig_login(r, "root", "secret"));
	rig_post(r, key,
		 "<RetrievePropertiesEx xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">"
		 "propertyCollector</_this><specSet><propSet><type>VirtualMachine</type>"
		 "<pathSet>name</pathSet><pathSet>runtime.powerState</pathSet></propSet>"
		 "<objectSet><obj type=\"VirtualMachine\">vm-1</obj></objectSet></specSet>"
		 "<options/></RetrievePropertiesEx>");
	assert_true(body_has(
		r, 200,
		"<RetrievePropertiesExResponse xmlns=\"urn:vim25\"><returnval><objects>"
		"<obj type=\"VirtualMachine\">vm-1</obj><propSet><name>name</name>"
		"<val xsi:type=\"xsd:string\">a&lt;b</val></propSet><propSet>"
		"<name>runtime.powerState</name>"
		"<val xsi:type=\"VirtualMachinePowerState\">poweredOff</val></propSet></objects>"
		"</returnval></RetrievePropertiesExResponse>"));
	rig_post(r, key,
		 "<CreateFilter xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">"
		 "propertyCollector</_this><spec><propSet><type>VirtualMachine</type>"
		 "<pathSet>name</pathSet></propSet>"
		 "<objectSet><obj type=\"VirtualMachine\">vm-1</obj></objectSet></spec>"
		 "<partialUpdates>false</partialUpdates></CreateFilter>");
	assert_true(body_has(r, 200, "type=\"PropertyFilter\""));
	rig_post(r, key,
		 "<WaitForUpdatesEx xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">"
		 "propertyCollector</_this><version></version></WaitForUpdatesEx>");
	assert_true(body_has(r, 200,
			     "</filter><objectSet><kind>enter</kind>"
			     "<obj type=\"VirtualMachine\">vm-1</obj><changeSet><name>name</name>"
			     "<op>assign</op><val xsi:type=\"xsd:string\">a&lt;b</val></changeSet>"
			     "</objectSet></filterSet></returnval></WaitForUpdatesExResponse>"));
	rig_post(r, key,
		 "<RetrieveProperties xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">"
		 "propertyCollector</_this><specSet><propSet><type>Folder</type>"
		 "<pathSet>nope</pathSet></propSet>"
		 "<objectSet><obj type=\"Folder\">group-v3</obj></objectSet></specSet>"
		 "</RetrieveProperties>");
	assert_true(body_has(r, 500, "<name>nope</name>"));
}

/* A client that goes away while it waits leaves nothing behind. */
static void clients_may_vanish(void **state)
{
	struct rig *r = *state;
	struct object *vm = rig_add_vm(r, "vm-1", "one");
	const char *key = session_key(rig_login(r, "root", "secret"));

	rig_post(r, key,
		 "<CreateFilter xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">"
		 "propertyCollector</_this><spec><propSet><type>VirtualMachine</type>"
		 "<pathSet>name</pathSet></propSet><objectSet><obj "
		 "type=\"VirtualMachine\">vm-1</obj><skip>true</skip></objectSet></spec>"
		 "<partialUpdates>false</partialUpdates></CreateFilter>");
	struct call *c =
		rig_post(r, key,
			 "<WaitForUpdatesEx xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">"
			 "propertyCollector</_this><version></version></WaitForUpdatesEx>");
	assert_non_null(c);
	assert_int_equal(r->status, 0);
	service_abort(c);
	inventory_set_str(vm, P_ManagedEntity_name, "two");
	inventory_publish(r->inventory);
	assert_int_equal(r->status, 0);
}

static void large_answers_are_streamed(void **state)
{
	struct rig *r = *state;
	char id[16];
	size_t n = 0;

	for (int i = 0; i < 1000; i++) {
		snprintf(id, sizeof(id), "vm-%d", i);
		rig_add_vm(r, id, id);
	}
	const char *key = session_key(rig_login(r, "root", "secret"));
	static const char spec[] =
		"<propSet><type>VirtualMachine</type><all>true</all></propSet>"
		"<objectSet><obj type=\"Folder\">group-v3</obj><selectSet "
		"xsi:type=\"TraversalSpec\" "
		"xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">"
		"<type>Folder</type><path>childEntity</path></selectSet></objectSet>";
	char *text = mem_printf(
		"<RetrieveProperties xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">"
		"propertyCollector</_this><specSet>%s</specSet></RetrieveProperties>",
		spec);
	rig_post(r, key, text);
	free(text);
	assert_int_equal(r->status, 200);
	for (const char *at = r->body; (at = strstr(at, "<returnval>")) != NULL; at++) {
		n++;
	}
	assert_int_equal(n, 1000);
	assert_non_null(strstr(r->body, "</returnval></RetrievePropertiesResponse>"));
	text = mem_printf(
		"<CreateFilter xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">"
		"propertyCollector</_this><spec>%s</spec><partialUpdates>true</partialUpdates>"
		"</CreateFilter>",
		spec);
	rig_post(r, key, text);
	free(text);
	rig_post(r, key,
		 "<WaitForUpdatesEx xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">"
		 "propertyCollector</_this></WaitForUpdatesEx>");
	n = 0;
	for (const char *at = r->body; (at = strstr(at, "<objectSet>")) != NULL; at++) {
		n++;
	}
	assert_int_equal(n, 1000);
	assert_non_null(strstr(r->body, "</filterSet></returnval></WaitForUpdatesExResponse>"));
}

static void permissions_are_kept(void **state)
{
	struct rig *r = *state;
	struct object *vm = rig_add_vm(r, "vm-1", "one");
	struct value *spec = rig_spec(r, vm->ref, false, NULL,
				      rig_properties(r, T_VirtualMachine, "name config"), NULL);
	struct object *authorization = inventory_find(r->inventory, "AuthorizationManager");
	struct value *args = rig_args(r, M_AuthorizationManager_SetEntityPermissions);
	struct value *permission = value_new(r->arena, T_Permission);

	inventory_set(vm, P_VirtualMachine_config, device_config(r, 2000, 1, 10));
	/* A role that may see but not read: View (-3). */
	value_set_str(r->arena, permission, F_Permission_principal, "guest");
	value_set_num(r->arena, permission, F_Permission_roleId, -3);
	value_set_bool(r->arena, permission, F_Permission_group, false);
	value_set_bool(r->arena, permission, F_Permission_propagate, true);
	value_set(r->arena, args, A_AuthorizationManager_SetEntityPermissions_entity, r->root->ref);
	value_set(r->arena, args, A_AuthorizationManager_SetEntityPermissions_permission,
		  rig_list(r, T_Permission, permission, NULL));
	value_drop(rig_call(r, authorization, M_AuthorizationManager_SetEntityPermissions, args));
	r->session = rig_login(r, "guest", "guest");
	const struct value *v = retrieve(r, spec);
	assert_string_equal(text_of(value_item(v, 0), "name"), "one");
	assert_null(text_of(value_item(v, 0), "config"));
	const struct value *missing = value_get_value(value_item(v, 0), F_ObjectContent_missingSet);
	assert_int_equal(value_count(missing), 1);
	assert_string_equal(value_get_str(value_item(missing, 0), F_MissingProperty_path),
			    "config");
	const struct value *fault =
		value_get_value(value_get_value(value_item(missing, 0), F_MissingProperty_fault),
				F_LocalizedMethodFault_fault);
	assert_int_equal(value_type(fault), T_NoPermission);
	value_drop(v);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(ancestors_are_walked),	  TEST(folders_are_listed),
		TEST(wrong_specs_are_refused),	  TEST(pages_follow_tokens),
		TEST(changes_wake_who_waits),	  TEST(versions_are_checked),
		TEST(waiting_can_be_canceled),	  TEST(sessions_are_apart),
		TEST(partial_updates_name_parts), TEST(whole_properties_are_told_otherwise),
		TEST(missing_roots_are_reported), TEST(answers_are_written),
		TEST(clients_may_vanish),	  TEST(large_answers_are_streamed),
		TEST(permissions_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
