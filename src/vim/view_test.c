/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/view.h"

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

static struct object *take_ref(struct rig *r, const struct value *ref)
{
	struct object *o = inventory_find_ref(r->inventory, ref);

	value_drop(ref);
	assert_non_null(o);
	return o;
}

static struct object *manager(struct rig *r)
{
	return inventory_find(r->inventory, "ViewManager");
}

static struct value *container_args(struct rig *r, const struct object *container, const char *type,
				    bool recursive)
{
	struct value *args = rig_args(r, M_ViewManager_CreateContainerView);
	struct value *types = value_new_array(r->arena, T_string);

	if (type != NULL) {
		value_push(r->arena, types, value_new_str(r->arena, type));
	}
	value_set(r->arena, args, A_ViewManager_CreateContainerView_container, container->ref);
	value_set(r->arena, args, A_ViewManager_CreateContainerView_type, types);
	value_set_bool(r->arena, args, A_ViewManager_CreateContainerView_recursive, recursive);
	return args;
}

static struct object *container_view(struct rig *r, const struct object *container,
				     const char *type, bool recursive)
{
	return take_ref(r, rig_call(r, manager(r), M_ViewManager_CreateContainerView,
				    container_args(r, container, type, recursive)));
}

static size_t count(struct rig *r, struct object *view)
{
	struct session *old = service_act_as(r->service, r->session);
	size_t n = value_count(object_get(view, P_ManagedObjectView_view, r->arena));

	service_act_as(r->service, old);
	return n;
}

static bool has(struct rig *r, struct object *view, const struct object *o)
{
	struct session *old = service_act_as(r->service, r->session);
	const struct value *list = object_get(view, P_ManagedObjectView_view, r->arena);

	service_act_as(r->service, old);
	for (size_t i = 0; i < value_count(list); i++) {
		if (value_item(list, i) == o->ref) {
			return true;
		}
	}
	return false;
}

static void containers_hold_what_is_below(void **state)
{
	struct rig *r = *state;
	struct object *vm = rig_add_vm(r, "vm-1", "one");
	struct object *dc = inventory_find(r->inventory, "datacenter-2");
	struct object *cr = inventory_find(r->inventory, "domain-c8");

	rig_add_vm(r, "vm-2", "two");
	assert_int_equal(count(r, container_view(r, r->root, "VirtualMachine", true)), 2);
	assert_int_equal(count(r, container_view(r, r->root, "VirtualMachine", false)), 0);
	assert_int_equal(count(r, container_view(r, r->vm_folder, "VirtualMachine", false)), 2);
	assert_int_equal(count(r, container_view(r, r->host, "VirtualMachine", true)), 2);
	assert_int_equal(count(r, container_view(r, r->pool, "VirtualMachine", false)), 2);
	assert_int_equal(count(r, container_view(r, cr, "VirtualMachine", true)), 2);
	assert_int_equal(count(r, container_view(r, cr, NULL, false)), 2);
	assert_int_equal(count(r, container_view(r, dc, NULL, false)), 2);
	assert_int_equal(count(r, container_view(r, r->root, "Folder", true)), 2);
	/* A base type stands for what derives from it; the container is not in its view. */
	struct object *all = container_view(r, r->root, "ManagedEntity", true);
	assert_int_equal(count(r, all), 8);
	assert_true(has(r, all, vm) && !has(r, all, r->root));
	assert_int_equal(count(r, container_view(r, r->root, "Task", true)), 0);
	struct object *ds = inventory_add(r->inventory, T_Datastore, "datastore-1", NULL, NULL);
	struct value *mount = value_new(r->arena, T_DatastoreHostMount);
	value_set(r->arena, mount, F_DatastoreHostMount_key, r->host->ref);
	inventory_set(ds, P_Datastore_host, rig_list(r, T_DatastoreHostMount, mount, NULL));
	assert_true(has(r, container_view(r, r->host, "Datastore", true), ds));
	assert_true(has(r, container_view(r, cr, "Datastore", true), ds));
}

static void views_follow_the_inventory(void **state)
{
	struct rig *r = *state;
	struct object *view = container_view(r, r->vm_folder, "VirtualMachine", true);
	struct object *by_host = container_view(r, r->host, "VirtualMachine", true);

	assert_int_equal(count(r, view), 0);
	struct object *vm = rig_add_vm(r, "vm-1", "one");
	assert_int_equal(count(r, view), 1);
	uint64_t version = view->version;
	inventory_publish(r->inventory);
	assert_true(view->version > version);
	/* What does not move anything tells nothing. */
	version = view->version;
	rig_set_power(r, vm, E_VirtualMachinePowerState_poweredOn);
	inventory_set_str(vm, P_ManagedEntity_name, "other");
	inventory_publish(r->inventory);
	assert_int_equal(view->version, version);

	struct object *sub = inventory_add(r->inventory, T_Folder, "group-v7", NULL, NULL);
	inventory_set_ref(sub, P_ManagedEntity_parent, r->vm_folder);
	inventory_set_ref(vm, P_ManagedEntity_parent, sub);
	inventory_publish(r->inventory);
	assert_true(has(r, view, vm));
	/* The folder moves away, and what is in it with it. */
	inventory_set_ref(sub, P_ManagedEntity_parent, r->root);
	inventory_publish(r->inventory);
	assert_false(has(r, view, vm));
	assert_true(has(r, by_host, vm));
	inventory_set_ref(sub, P_ManagedEntity_parent, r->vm_folder);
	assert_true(has(r, view, vm));
	inventory_remove(vm);
	assert_int_equal(count(r, view), 0);
	assert_int_equal(count(r, by_host), 0);
	/* The container goes. */
	rig_add_vm(r, "vm-2", "two");
	assert_int_equal(count(r, by_host), 1);
	inventory_remove(r->host);
	inventory_publish(r->inventory);
	assert_int_equal(count(r, by_host), 0);
}

static void views_are_private_and_end(void **state)
{
	struct rig *r = *state;
	struct session *system = r->session;
	struct object *vm = rig_add_vm(r, "vm-1", "one");

	r->session = rig_login(r, "root", "secret");
	struct object *view = container_view(r, r->root, "VirtualMachine", true);
	char id[128];
	snprintf(id, sizeof(id), "%s", object_id(view));
	assert_true(has(r, view, vm));
	struct session *owner = r->session;
	r->session = system;
	assert_int_equal(count(r, view), 0);
	assert_int_equal(rig_fault(r, view, M_View_DestroyView, NULL), T_ManagedObjectNotFound);
	r->session = owner;
	struct object *second = container_view(r, r->root, "VirtualMachine", true);
	value_drop(rig_call(r, second, M_View_DestroyView, NULL));
	session_logout(owner);
	r->session = system;
	assert_null(inventory_find(r->inventory, id));
}

static void wrong_views_are_refused(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_fault(r, manager(r), M_ViewManager_CreateContainerView,
				   container_args(r, r->root, "Nothing", true)),
			 T_InvalidArgument);
	assert_int_equal(rig_fault(r, manager(r), M_ViewManager_CreateContainerView,
				   container_args(r, r->collector, NULL, true)),
			 T_InvalidArgument);
	struct value *args = container_args(r, r->root, NULL, true);
	value_set_ref(r->arena, args, A_ViewManager_CreateContainerView_container, T_Folder, "no");
	assert_int_equal(rig_fault(r, manager(r), M_ViewManager_CreateContainerView, args),
			 T_ManagedObjectNotFound);
}

static struct value *refs(struct rig *r, const struct value *one, const struct value *two)
{
	struct value *list = value_new_array(r->arena, T_ManagedObject);

	value_push(r->arena, list, one);
	if (two != NULL) {
		value_push(r->arena, list, two);
	}
	return list;
}

static void lists_are_edited(void **state)
{
	struct rig *r = *state;
	struct object *a = rig_add_vm(r, "vm-1", "a"), *b = rig_add_vm(r, "vm-2", "b");
	const struct value *none = value_new_ref(r->arena, T_VirtualMachine, "vm-9");
	struct value *args = rig_args(r, M_ViewManager_CreateListView);

	value_set(r->arena, args, A_ViewManager_CreateListView_obj, refs(r, a->ref, a->ref));
	struct object *view =
		take_ref(r, rig_call(r, manager(r), M_ViewManager_CreateListView, args));
	assert_int_equal(count(r, view), 1);
	args = rig_args(r, M_ListView_ModifyListView);
	value_set(r->arena, args, A_ListView_ModifyListView_add, refs(r, b->ref, none));
	value_set(r->arena, args, A_ListView_ModifyListView_remove, refs(r, a->ref, NULL));
	const struct value *left = rig_call(r, view, M_ListView_ModifyListView, args);
	assert_int_equal(value_count(left), 1);
	assert_string_equal(value_bytes(value_item(left, 0)), "vm-9");
	value_drop(left);
	assert_true(has(r, view, b) && !has(r, view, a));
	args = rig_args(r, M_ListView_ResetListViewFromView);
	value_set(r->arena, args, A_ListView_ResetListViewFromView_view, view->ref);
	value_drop(rig_call(r, view, M_ListView_ResetListViewFromView, args));
	assert_true(has(r, view, b));
	args = rig_args(r, M_ListView_ResetListView);
	value_set(r->arena, args, A_ListView_ResetListView_obj, refs(r, a->ref, b->ref));
	value_drop(rig_call(r, view, M_ListView_ResetListView, args));
	assert_int_equal(count(r, view), 2);
	uint64_t version = view->version;
	rig_remove_vm(r, a);
	inventory_publish(r->inventory);
	assert_int_equal(count(r, view), 1);
	assert_true(view->version > version);
}

static void inventory_views_unfold(void **state)
{
	struct rig *r = *state;
	struct object *vm = rig_add_vm(r, "vm-1", "one");
	struct object *dc = inventory_find(r->inventory, "datacenter-2");
	struct object *view =
		take_ref(r, rig_call(r, manager(r), M_ViewManager_CreateInventoryView, NULL));
	struct value *args = rig_args(r, M_InventoryView_OpenInventoryViewFolder);

	assert_int_equal(count(r, view), 1);
	value_set(r->arena, args, A_InventoryView_OpenInventoryViewFolder_entity,
		  refs(r, r->root->ref, dc->ref));
	value_drop(rig_call(r, view, M_InventoryView_OpenInventoryViewFolder, args));
	assert_int_equal(count(r, view), 4);
	value_set(r->arena, args, A_InventoryView_OpenInventoryViewFolder_entity,
		  refs(r, r->vm_folder->ref, NULL));
	value_drop(rig_call(r, view, M_InventoryView_OpenInventoryViewFolder, args));
	assert_true(has(r, view, vm));
	value_set(r->arena, args, A_InventoryView_OpenInventoryViewFolder_entity,
		  refs(r, dc->ref, NULL));
	value_drop(rig_call(r, view, M_InventoryView_CloseInventoryViewFolder, args));
	assert_int_equal(count(r, view), 2);
}

/* ---- with the collector ---- */

static void filters_see_what_comes_and_goes(void **state)
{
	struct rig *r = *state;
	struct object *view = container_view(r, r->root, "VirtualMachine", true);
	struct value *via = rig_traversal(r, NULL, T_ContainerView, "view", false, NULL);
	struct value *args = rig_args(r, M_PropertyCollector_CreateFilter);
	struct answer a;

	rig_add_vm(r, "vm-1", "one");
	value_set(r->arena, args, A_PropertyCollector_CreateFilter_spec,
		  rig_spec(r, view->ref, true, rig_list(r, T_SelectionSpec, via, NULL),
			   rig_properties(r, T_VirtualMachine, "name"), NULL));
	value_drop(rig_call(r, r->collector, M_PropertyCollector_CreateFilter, args));
	args = rig_args(r, M_PropertyCollector_WaitForUpdates);
	value_set_str(r->arena, args, A_PropertyCollector_WaitForUpdates_version, "");
	rig_start(r, &a, r->collector, M_PropertyCollector_WaitForUpdates, args);
	assert_true(a.is_done);
	value_set_str(r->arena, args, A_PropertyCollector_WaitForUpdates_version,
		      value_get_str(a.result, F_UpdateSet_version));
	answer_clear(&a);
	rig_start(r, &a, r->collector, M_PropertyCollector_WaitForUpdates, args);
	inventory_publish(r->inventory);
	assert_false(a.is_done);
	struct object *vm = rig_add_vm(r, "vm-2", "two");
	inventory_publish(r->inventory);
	assert_true(a.is_done);
	value_set_str(r->arena, args, A_PropertyCollector_WaitForUpdates_version,
		      value_get_str(a.result, F_UpdateSet_version));
	answer_clear(&a);
	rig_start(r, &a, r->collector, M_PropertyCollector_WaitForUpdates, args);
	rig_remove_vm(r, vm);
	inventory_publish(r->inventory);
	assert_true(a.is_done && a.fault == NULL);
	answer_clear(&a);
}

/* A task that ends and the object that it made: who hears of the one hears of the other. */
static void what_comes_is_told_with_the_rest(void **state)
{
	struct rig *r = *state;
	struct object *view = container_view(r, r->root, "VirtualMachine", true);
	struct value *via = rig_traversal(r, NULL, T_ContainerView, "view", false, NULL);
	struct value *args = rig_args(r, M_PropertyCollector_CreateFilter);
	struct answer a;

	value_set(r->arena, args, A_PropertyCollector_CreateFilter_spec,
		  rig_spec(r, r->host->ref, false, NULL, rig_properties(r, T_HostSystem, "name"),
			   NULL));
	value_drop(rig_call(r, r->collector, M_PropertyCollector_CreateFilter, args));
	value_set(r->arena, args, A_PropertyCollector_CreateFilter_spec,
		  rig_spec(r, view->ref, true, rig_list(r, T_SelectionSpec, via, NULL),
			   rig_properties(r, T_VirtualMachine, "name"), NULL));
	value_drop(rig_call(r, r->collector, M_PropertyCollector_CreateFilter, args));
	args = rig_args(r, M_PropertyCollector_WaitForUpdates);
	value_set_str(r->arena, args, A_PropertyCollector_WaitForUpdates_version, "");
	rig_start(r, &a, r->collector, M_PropertyCollector_WaitForUpdates, args);
	assert_true(a.is_done);
	value_set_str(r->arena, args, A_PropertyCollector_WaitForUpdates_version,
		      value_get_str(a.result, F_UpdateSet_version));
	answer_clear(&a);
	rig_start(r, &a, r->collector, M_PropertyCollector_WaitForUpdates, args);
	inventory_publish(r->inventory);
	assert_false(a.is_done);
	inventory_set_str(r->host, P_ManagedEntity_name, "other");
	rig_add_vm(r, "vm-9", "nine");
	inventory_publish(r->inventory);
	assert_true(a.is_done && a.fault == NULL);
	assert_int_equal(value_count(value_get_value(a.result, F_UpdateSet_filterSet)), 2);
	value_set_str(r->arena, args, A_PropertyCollector_WaitForUpdates_version,
		      value_get_str(a.result, F_UpdateSet_version));
	answer_clear(&a);
	/* The same for who asks before the turn is over. */
	inventory_set_str(r->host, P_ManagedEntity_name, "another");
	rig_add_vm(r, "vm-10", "ten");
	rig_start(r, &a, r->collector, M_PropertyCollector_WaitForUpdates, args);
	assert_true(a.is_done && a.fault == NULL);
	assert_int_equal(value_count(value_get_value(a.result, F_UpdateSet_filterSet)), 2);
	answer_clear(&a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(containers_hold_what_is_below),
		TEST(views_follow_the_inventory),
		TEST(views_are_private_and_end),
		TEST(wrong_views_are_refused),
		TEST(lists_are_edited),
		TEST(inventory_views_unfold),
		TEST(filters_see_what_comes_and_goes),
		TEST(what_comes_is_told_with_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
