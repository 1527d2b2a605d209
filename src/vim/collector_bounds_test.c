/* SPDX-License-Identifier: Apache-2.0 */
/* What clients may not do to others with the collector: see too much, take too much. */
#include "vim/collector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "vim/authorization.h"
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

static struct value *filter_args(struct rig *r, struct value *spec)
{
	struct value *args = rig_args(r, M_PropertyCollector_CreateFilter);

	value_set(r->arena, args, A_PropertyCollector_CreateFilter_spec, spec);
	value_set_bool(r->arena, args, A_PropertyCollector_CreateFilter_partialUpdates, true);
	return args;
}

/* The names of all virtual machines in the folder. */
static struct value *vms_spec(struct rig *r)
{
	struct value *down = rig_traversal(r, NULL, T_Folder, "childEntity", false, NULL);

	return rig_spec(r, r->vm_folder->ref, true, rig_list(r, T_SelectionSpec, down, NULL),
			rig_properties(r, T_VirtualMachine, "name"), NULL);
}

static const struct value *wait_now(struct rig *r, char version[64])
{
	struct value *args = rig_args(r, M_PropertyCollector_CheckForUpdates);

	value_set_str(r->arena, args, A_PropertyCollector_CheckForUpdates_version, version);
	const struct value *set =
		rig_call(r, r->collector, M_PropertyCollector_CheckForUpdates, args);
	if (set != NULL) {
		snprintf(version, 64, "%s", value_get_str(set, F_UpdateSet_version));
	}
	return set;
}

/* Is the update set about just this: an object that came, changed or went? */
static bool tells(const struct value *set, int kind, const char *id)
{
	const struct value *filters = value_get_value(set, F_UpdateSet_filterSet);
	const struct value *objects =
		value_count(filters) != 1
			? NULL
			: value_get_value(value_item(filters, 0), F_PropertyFilterUpdate_objectSet);
	const struct value *u = value_count(objects) != 1 ? NULL : value_item(objects, 0);

	return u != NULL && value_get_num(u, F_ObjectUpdate_kind, -1) == kind &&
	       strcmp(value_get_str(u, F_ObjectUpdate_obj), id) == 0;
}

static void permit(struct rig *r, const char *entity, int32_t role)
{
	struct authorization *a = session_authorization(r->sessions);
	struct permission_vec all = authorization_copy(a);
	struct error e = { 0 };
	bool is_there = false;

	vec_each (&all, p) {
		if (strcmp(p->entity, entity) == 0 && strcmp(p->principal, "guest") == 0) {
			p->role = role;
			is_there = true;
		}
	}
	if (!is_there) {
		permission_add(&all, &(struct permission){ .entity = (char *)(uintptr_t)entity,
							   .principal = (char *)(uintptr_t) "guest",
							   .role = role,
							   .is_propagating = true });
	}
	assert_true(authorization_replace(a, &all, &e));
}

static size_t view_count(struct rig *r, struct object *view)
{
	struct session *old = service_act_as(r->service, r->session);
	size_t n = value_count(object_get(view, P_ManagedObjectView_view, r->arena));

	service_act_as(r->service, old);
	return n;
}

static void changed_rights_change_what_is_seen(void **state)
{
	struct rig *r = *state;
	char version[64] = "";

	rig_add_vm(r, "vm-1", "one");
	rig_add_vm(r, "vm-2", "two");
	permit(r, object_id(r->vm_folder), ROLE_READ_ONLY);
	r->session = rig_login(r, "guest", "guest");
	value_drop(rig_call(r, r->collector, M_PropertyCollector_CreateFilter,
			    filter_args(r, vms_spec(r))));
	struct value *args = rig_args(r, M_ViewManager_CreateContainerView);
	value_set(r->arena, args, A_ViewManager_CreateContainerView_container, r->vm_folder->ref);
	value_set_bool(r->arena, args, A_ViewManager_CreateContainerView_recursive, true);
	const struct value *ref = rig_call(r, inventory_find(r->inventory, "ViewManager"),
					   M_ViewManager_CreateContainerView, args);
	struct object *view = inventory_find_ref(r->inventory, ref);
	value_drop(ref);
	value_drop(wait_now(r, version));
	assert_int_equal(view_count(r, view), 2);
	permit(r, "vm-1", ROLE_NO_ACCESS);
	const struct value *set = wait_now(r, version);
	assert_true(tells(set, E_ObjectUpdateKind_leave, "vm-1"));
	value_drop(set);
	assert_int_equal(view_count(r, view), 1);
	permit(r, "vm-1", ROLE_VIEW);
	set = wait_now(r, version);
	assert_true(tells(set, E_ObjectUpdateKind_enter, "vm-1"));
	value_drop(set);
	assert_int_equal(view_count(r, view), 2);
	assert_null(wait_now(r, version));
}

static void answer_of(struct rig *r, struct answer *a, struct object *self, uint16_t method,
		      const struct value *args)
{
	rig_start(r, a, self, method, args);
	assert_true(a->is_done);
}

/* Folders in a ring, and traversals of which each leads to all others. */
static struct value *tangle(struct rig *r, int n_traversals)
{
	struct value *all = value_new_array(r->arena, T_SelectionSpec);
	char name[16];

	for (int i = 0; i < n_traversals; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		value_push(r->arena, all, rig_named(r, name));
	}
	struct value *select = value_new_array(r->arena, T_SelectionSpec);
	for (int i = 0; i < n_traversals; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		value_push(r->arena, select,
			   i % 2 == 0
				   ? rig_traversal(r, name, T_Folder, "childEntity", false, all)
				   : rig_traversal(r, name, T_ManagedEntity, "parent", false, all));
	}
	return rig_spec(r, r->vm_folder->ref, true, select,
			rig_properties(r, T_VirtualMachine, "name"), NULL);
}

static void tangled_requests_are_refused(void **state)
{
	struct rig *r = *state;
	char id[16];
	struct answer a;

	for (int i = 0; i < 4000; i++) {
		snprintf(id, sizeof(id), "vm-%d", i);
		rig_add_vm(r, id, id);
	}
	struct value *args = rig_args(r, M_PropertyCollector_RetrievePropertiesEx);
	struct value *specs = value_new_array(r->arena, T_PropertyFilterSpec);
	for (int i = 0; i < 30; i++) {
		value_push(r->arena, specs, tangle(r, 30));
	}
	value_set(r->arena, args, A_PropertyCollector_RetrievePropertiesEx_specSet, specs);
	value_set(r->arena, args, A_PropertyCollector_RetrievePropertiesEx_options,
		  value_new(r->arena, T_RetrieveOptions));
	answer_of(r, &a, r->collector, M_PropertyCollector_RetrievePropertiesEx, args);
	assert_non_null(a.fault);
	assert_non_null(strstr(a.text, "looks at more than 20000000 objects"));
	answer_clear(&a);
	/* Filters are looked at again and again, so they count together. */
	int n = 0;
	for (; n < 1000; n++) {
		answer_of(r, &a, r->collector, M_PropertyCollector_CreateFilter,
			  filter_args(r, tangle(r, 30)));
		if (a.fault != NULL) {
			break;
		}
		answer_clear(&a);
	}
	assert_in_range(n, 2, 100);
	assert_non_null(strstr(a.text, "objects to walk through"));
	answer_clear(&a);
	char version[64] = "";
	const struct value *set = wait_now(r, version);
	assert_int_equal(value_count(value_get_value(set, F_UpdateSet_filterSet)), n);
	value_drop(set);
}

static void paths_of_filters_are_bounded(void **state)
{
	struct rig *r = *state;
	struct buf paths = BUF_INIT;
	struct answer a;
	int n = 0;

	for (int i = 0; i < 1000; i++) {
		buf_addf(&paths, "%sconfig.extraConfig[\"%d\"]", i == 0 ? "" : " ", i);
	}
	for (; n < 1000; n++) {
		struct value *spec = rig_spec(r, r->vm_folder->ref, false, NULL,
					      rig_properties(r, T_ManagedEntity, paths.data), NULL);
		answer_of(r, &a, r->collector, M_PropertyCollector_CreateFilter,
			  filter_args(r, spec));
		if (a.fault != NULL) {
			break;
		}
		answer_clear(&a);
	}
	assert_int_equal(n, 20);
	assert_non_null(strstr(a.text, "property paths"));
	answer_clear(&a);
	buf_free(&paths);
}

/* Who came and went is not kept for ever for a client that does not ask. */
static void silent_clients_begin_anew(void **state)
{
	struct rig *r = *state;
	char version[64] = "", id[16];
	struct answer a;

	for (int i = 0; i < 20; i++) {
		value_drop(rig_call(r, r->collector, M_PropertyCollector_CreateFilter,
				    filter_args(r, vms_spec(r))));
	}
	rig_add_vm(r, "vm-1", "one");
	value_drop(wait_now(r, version));
	for (int i = 0; i < 14000; i++) {
		snprintf(id, sizeof(id), "vm-x%d", i);
		rig_add_vm(r, id, id);
		if (i % 1000 == 0) {
			inventory_publish(r->inventory);
		}
	}
	inventory_publish(r->inventory);
	struct value *args = rig_args(r, M_PropertyCollector_CheckForUpdates);
	value_set_str(r->arena, args, A_PropertyCollector_CheckForUpdates_version, version);
	answer_of(r, &a, r->collector, M_PropertyCollector_CheckForUpdates, args);
	assert_int_equal(value_type(a.fault), T_InvalidCollectorVersion);
	answer_clear(&a);
	snprintf(version, sizeof(version), "%s", "");
	const struct value *set = wait_now(r, version);
	const struct value *filters = value_get_value(set, F_UpdateSet_filterSet);
	assert_int_equal(value_count(filters), 20);
	assert_int_equal(value_count(value_get_value(value_item(filters, 19),
						     F_PropertyFilterUpdate_objectSet)),
			 14001);
	value_drop(set);
	assert_null(wait_now(r, version));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(changed_rights_change_what_is_seen),
		TEST(tangled_requests_are_refused),
		TEST(paths_of_filters_are_bounded),
		TEST(silent_clients_begin_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
