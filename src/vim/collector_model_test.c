/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client that keeps a copy of what it is told, against an inventory that changes at random: the
 * copy must equal what a fresh RetrieveProperties says, whatever pages, lost answers and restarts
 * lay in between. The seed is printed; REMORA_SEED repeats a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/vec.h"
#include "vim/rig.h"

enum {
	N_FILTERS = 4,
	PARTIAL = 1, /* the one with partial updates */
	ROUNDS = 1000
};

struct model {
	struct rig *rig;
	uint64_t seed;
	VEC(struct object *) vms;
	VEC(struct object *) folders;
	unsigned next_id;
	struct object *collector, *view, *filters[N_FILTERS];
	struct value *specs[N_FILTERS];
	struct map copy; /* "filter|object|path" → kept value, or of an object alone → itself */
	char version[128], before[128];
};

static uint32_t below(struct model *m, uint32_t n)
{
	m->seed = m->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(m->seed >> 33) % n;
}

/* ---- the inventory changes ---- */

static struct value *random_config(struct model *m)
{
	struct arena *a = m->rig->arena;
	struct value *config = value_new(a, T_VirtualMachineConfigInfo);
	struct value *hardware = value_new(a, T_VirtualHardware);
	struct value *list = value_new_array(a, T_VirtualDevice);

	for (int key = 2000; key < 2006; key++) {
		if (below(m, 3) == 0) {
			continue;
		}
		struct value *d = value_new(a, T_VirtualDisk);
		value_set_num(a, d, F_VirtualDevice_key, key);
		value_set_num(a, d, F_VirtualDisk_capacityInKB, below(m, 3));
		value_push(a, list, d);
	}
	value_set(a, hardware, F_VirtualHardware_device, list);
	value_set_num(a, hardware, F_VirtualHardware_memoryMB, below(m, 3));
	if (below(m, 8) > 0) {
		value_set(a, config, F_VirtualMachineConfigInfo_hardware, hardware);
	}
	return config;
}

static void add_vm(struct model *m)
{
	char id[32];
	struct object *folder = m->folders.items[below(m, (uint32_t)m->folders.n)];

	snprintf(id, sizeof(id), "vm-%u", m->next_id++ % 60);
	if (inventory_find(m->rig->inventory, id) != NULL) {
		return;
	}
	struct object *vm = inventory_add(m->rig->inventory, T_VirtualMachine, id, NULL, NULL);
	inventory_set_str(vm, P_ManagedEntity_name, id);
	inventory_set_ref(vm, P_ManagedEntity_parent, folder);
	inventory_add_ref(folder, P_Folder_childEntity, vm);
	vec_push(&m->vms, vm);
}

static struct object *parent_of(struct model *m, struct object *o)
{
	return inventory_find_ref(m->rig->inventory, object_get(o, P_ManagedEntity_parent, NULL));
}

static void remove_vm(struct model *m)
{
	if (m->vms.n > 0) {
		size_t i = below(m, (uint32_t)m->vms.n);
		struct object *vm = m->vms.items[i];
		inventory_drop_ref(parent_of(m, vm), P_Folder_childEntity, vm);
		inventory_remove(vm);
		vec_remove(&m->vms, i);
	}
}

static void move(struct model *m, struct object *o, struct object *to)
{
	/* Not into itself or below. */
	for (struct object *up = to; up != NULL; up = parent_of(m, up)) {
		if (up == o) {
			return;
		}
	}
	inventory_drop_ref(parent_of(m, o), P_Folder_childEntity, o);
	inventory_set_ref(o, P_ManagedEntity_parent, to);
	inventory_add_ref(to, P_Folder_childEntity, o);
}

static void add_folder(struct model *m)
{
	char id[32];
	struct object *up = m->folders.items[below(m, (uint32_t)m->folders.n)];

	if (m->folders.n > 8) {
		return;
	}
	snprintf(id, sizeof(id), "group-f%u", m->next_id++);
	struct object *o = inventory_add(m->rig->inventory, T_Folder, id, NULL, NULL);
	inventory_set_str(o, P_ManagedEntity_name, id);
	inventory_set_ref(o, P_ManagedEntity_parent, up);
	inventory_add_ref(up, P_Folder_childEntity, o);
	vec_push(&m->folders, o);
}

static void remove_folder(struct model *m)
{
	size_t i = below(m, (uint32_t)m->folders.n);
	struct object *o = m->folders.items[i];

	if (i == 0 || value_count(object_get(o, P_Folder_childEntity, NULL)) > 0) {
		return;
	}
	inventory_drop_ref(parent_of(m, o), P_Folder_childEntity, o);
	inventory_remove(o);
	vec_remove(&m->folders, i);
}

static void change_vm(struct model *m)
{
	if (m->vms.n == 0) {
		return;
	}
	struct object *vm = m->vms.items[below(m, (uint32_t)m->vms.n)];
	switch (below(m, 5)) {
	case 0:
		rig_set_power(m->rig, vm, (int)below(m, 3));
		break;
	case 1:
		inventory_set_str(vm, P_ManagedEntity_name, below(m, 2) ? "x" : "y");
		break;
	case 2:
		inventory_set(vm, P_VirtualMachine_runtime, NULL);
		break;
	default:
		inventory_set(vm, P_VirtualMachine_config,
			      below(m, 10) == 0 ? NULL : random_config(m));
	}
}

static void change(struct model *m)
{
	switch (below(m, 16)) {
	case 0:
	case 1:
		add_vm(m);
		break;
	case 2:
		remove_vm(m);
		break;
	case 3:
		if (m->vms.n > 0) {
			move(m, m->vms.items[below(m, (uint32_t)m->vms.n)],
			     m->folders.items[below(m, (uint32_t)m->folders.n)]);
		}
		break;
	case 4:
		add_folder(m);
		break;
	case 5:
		remove_folder(m);
		break;
	case 6:
		if (m->folders.n > 1) {
			move(m, m->folders.items[1 + below(m, (uint32_t)m->folders.n - 1)],
			     m->folders.items[below(m, (uint32_t)m->folders.n)]);
		}
		break;
	default:
		change_vm(m);
	}
}

/* ---- the client's copy ---- */

static void copy_put(struct model *m, const char *key, const struct value *v)
{
	value_drop(map_set(&m->copy, key, (void *)(uintptr_t)value_keep(v)));
}

static void copy_remove(struct model *m, const char *prefix)
{
	size_t n = strlen(prefix);

	map_each (&m->copy, it) {
		if (strncmp(it->key, prefix, n) == 0) {
			value_drop(it->value);
			map_remove(&m->copy, it->key);
		}
	}
}

/* `old` with the part at `path` (of the form a.b[1].c) replaced or, with NULL, taken out. */
static const struct value *patched(struct model *m, const struct value *old, const char *path,
				   const struct value *v);

static const struct value *patched_element(struct model *m, const struct value *old,
					   const char *path, const struct value *v)
{
	struct arena *a = m->rig->arena;
	const char *end = strchr(path, ']');
	struct value *list = value_new_array(a, value_type(old));
	int64_t key;
	bool is_there = false;

	assert_true(number_i64_n(path + 1, (size_t)(end - path - 1), &key));
	for (size_t i = 0; i < value_count(old); i++) {
		const struct value *item = value_item(old, i);
		if (value_get_num(item, F_VirtualDevice_key, -1) == key) {
			is_there = true;
			item = patched(m, item, end + 1, v);
		}
		if (item != NULL) {
			value_push(a, list, item);
		}
	}
	if (!is_there && v != NULL) {
		assert_int_equal(end[1], '\0');
		value_push(a, list, v);
	}
	return list;
}

static const struct value *patched(struct model *m, const struct value *old, const char *path,
				   const struct value *v)
{
	struct arena *a = m->rig->arena;

	if (*path == '\0') {
		return v;
	}
	if (*path == '[') {
		return patched_element(m, old, path, v);
	}
	path += *path == '.';
	size_t n = strcspn(path, ".[");
	assert_non_null(old);
	int field = schema_field_find(value_type(old), path, n, 0);
	assert_true(field >= 0);
	const struct schema_field *f = schema_field(value_type(old), (unsigned)field);
	bool is_scalar = schema_kind_is_scalar(f->kind) && !(f->flags & FIELD_ARRAY);
	const struct value *below_it = is_scalar ? NULL : value_get_value(old, (unsigned)field);
	const struct value *now = patched(m, below_it, path + n, v);
	struct value *edit = value_edit(a, old);
	if (now == NULL) {
		value_unset(edit, (unsigned)field);
	} else {
		value_set(a, edit, (unsigned)field, now);
	}
	return edit;
}

/* A change whose name is a path of the filter or, in partial updates, lies below one. */
static void copy_change(struct model *m, const char *object_key, const struct value *c,
			bool is_partial)
{
	const char *name = value_get_str(c, F_PropertyChange_name);
	const struct value *v = value_get_value(c, F_PropertyChange_val);
	char key[512];

	for (size_t n = strlen(name); is_partial && n > 0; n--) {
		if (name[n] != '\0' && name[n] != '.' && name[n] != '[') {
			continue;
		}
		snprintf(key, sizeof(key), "%s%.*s", object_key, (int)n, name);
		const struct value *old = map_get(&m->copy, key);
		if (old != NULL && name[n] != '\0') {
			copy_put(m, key, patched(m, old, name + n, v));
			return;
		}
	}
	snprintf(key, sizeof(key), "%s%s", object_key, name);
	if (v != NULL) {
		copy_put(m, key, v);
	} else {
		value_drop(map_remove(&m->copy, key));
	}
}

static void copy_object(struct model *m, const char *filter, const struct value *u)
{
	int64_t kind = value_get_num(u, F_ObjectUpdate_kind, -1);
	const struct value *changes = value_get_value(u, F_ObjectUpdate_changeSet);
	char key[300];

	snprintf(key, sizeof(key), "%s|%s|", filter, value_get_str(u, F_ObjectUpdate_obj));
	if (kind != E_ObjectUpdateKind_modify) {
		copy_remove(m, key);
	}
	if (kind == E_ObjectUpdateKind_enter) {
		copy_put(m, key, value_get_value(u, F_ObjectUpdate_obj));
	}
	if (kind == E_ObjectUpdateKind_modify) {
		assert_true(map_has(&m->copy, key));
	}
	for (size_t i = 0; i < value_count(changes); i++) {
		copy_change(m, key, value_item(changes, i),
			    strcmp(filter, object_id(m->filters[PARTIAL])) == 0);
	}
}

static void copy_apply(struct model *m, const struct value *set)
{
	const struct value *filters = value_get_value(set, F_UpdateSet_filterSet);

	for (size_t i = 0; i < value_count(filters); i++) {
		const struct value *f = value_item(filters, i);
		const struct value *objects = value_get_value(f, F_PropertyFilterUpdate_objectSet);
		for (size_t j = 0; j < value_count(objects); j++) {
			copy_object(m, value_get_str(f, F_PropertyFilterUpdate_filter),
				    value_item(objects, j));
		}
	}
	snprintf(m->before, sizeof(m->before), "%s", m->version);
	snprintf(m->version, sizeof(m->version), "%s", value_get_str(set, F_UpdateSet_version));
}

/* ---- comparing ---- */

static const struct value *device_with(const struct value *list, int64_t key)
{
	for (size_t i = 0; i < value_count(list); i++) {
		if (value_get_num(value_item(list, i), F_VirtualDevice_key, -1) == key) {
			return value_item(list, i);
		}
	}
	return NULL;
}

/* Equal but for the order of devices. */
static bool same(const struct value *a, const struct value *b)
{
	if (a == NULL || b == NULL || a->kind != b->kind) {
		return a == b;
	}
	if (a->kind == KIND_ARRAY && a->type == T_VirtualDevice) {
		bool ok = a->n == b->n;
		for (size_t i = 0; ok && i < a->n; i++) {
			const struct value *d = value_item(a, i);
			ok = value_equal(d,
					 device_with(b, value_get_num(d, F_VirtualDevice_key, -1)));
		}
		return ok;
	}
	if (a->kind == KIND_STRUCT && a->type == T_VirtualHardware) {
		return value_get_num(a, F_VirtualHardware_memoryMB, -1) ==
			       value_get_num(b, F_VirtualHardware_memoryMB, -1) &&
		       same(value_get_value(a, F_VirtualHardware_device),
			    value_get_value(b, F_VirtualHardware_device));
	}
	if (a->kind == KIND_STRUCT && a->type == T_VirtualMachineConfigInfo) {
		return same(value_get_value(a, F_VirtualMachineConfigInfo_hardware),
			    value_get_value(b, F_VirtualMachineConfigInfo_hardware));
	}
	return value_equal(a, b);
}

static size_t compare_object(struct model *m, size_t filter, const struct value *content)
{
	const struct value *set = value_get_value(content, F_ObjectContent_propSet);
	char key[512];

	for (size_t i = 0; i < value_count(set); i++) {
		const struct value *p = value_item(set, i);
		snprintf(key, sizeof(key), "%s|%s|%s", object_id(m->filters[filter]),
			 value_get_str(content, F_ObjectContent_obj),
			 value_get_str(p, F_DynamicProperty_name));
		if (!same(map_get(&m->copy, key), value_get_value(p, F_DynamicProperty_val))) {
			fail_msg("%s differs at %s (filter %zu)", key, m->version, filter);
		}
	}
	snprintf(key, sizeof(key), "%s|%s|", object_id(m->filters[filter]),
		 value_get_str(content, F_ObjectContent_obj));
	if (!map_has(&m->copy, key)) {
		fail_msg("%s is missing at %s (filter %zu)", key, m->version, filter);
	}
	return 1 + value_count(set);
}

static void compare(struct model *m)
{
	size_t n = 0;

	for (size_t i = 0; i < N_FILTERS; i++) {
		struct value *args = rig_args(m->rig, M_PropertyCollector_RetrieveProperties);
		value_set(m->rig->arena, args, A_PropertyCollector_RetrieveProperties_specSet,
			  rig_list(m->rig, T_PropertyFilterSpec, m->specs[i], NULL));
		const struct value *v = rig_call(m->rig, m->rig->collector,
						 M_PropertyCollector_RetrieveProperties, args);
		for (size_t j = 0; j < value_count(v); j++) {
			n += compare_object(m, i, value_item(v, j));
		}
		value_drop(v);
	}
	if (map_n(&m->copy) != n) {
		fail_msg("the copy holds %zu things, not %zu", map_n(&m->copy), n);
	}
}

/* ---- asking ---- */

static struct value *wait_args(struct model *m, int seconds)
{
	struct arena *a = m->rig->arena;
	struct value *args = rig_args(m->rig, M_PropertyCollector_WaitForUpdatesEx);
	struct value *options = value_new(a, T_WaitOptions);

	if (seconds >= 0) {
		value_set_num(a, options, F_WaitOptions_maxWaitSeconds, seconds);
	}
	if (below(m, 2) == 0) {
		value_set_num(a, options, F_WaitOptions_maxObjectUpdates, 1 + below(m, 5));
	}
	value_set_str(a, args, A_PropertyCollector_WaitForUpdatesEx_version, m->version);
	value_set(a, args, A_PropertyCollector_WaitForUpdatesEx_options, options);
	return args;
}

/* Asks once; false when there was nothing new. Now and then the answer gets lost. */
static bool ask(struct model *m)
{
	const struct value *set = rig_call(m->rig, m->collector,
					   M_PropertyCollector_WaitForUpdatesEx, wait_args(m, 0));

	if (set == NULL) {
		return false;
	}
	if (below(m, 4) > 0) {
		copy_apply(m, set);
	}
	value_drop(set);
	return true;
}

static void restart(struct model *m)
{
	copy_remove(m, "");
	m->version[0] = '\0';
}

/* Up to date, then waiting: what it is not told of must not matter. */
static void wait_for_more(struct model *m)
{
	struct answer a;

	rig_start(m->rig, &a, m->collector, M_PropertyCollector_WaitForUpdatesEx, wait_args(m, -1));
	for (unsigned i = below(m, 6); i > 0 && !a.is_done; i--) {
		for (unsigned j = below(m, 3); j > 0; j--) {
			change(m);
		}
		inventory_publish(m->rig->inventory);
	}
	if (!a.is_done) {
		compare(m);
		value_drop(rig_call(m->rig, m->collector, M_PropertyCollector_CancelWaitForUpdates,
				    NULL));
		assert_true(a.is_done);
	} else {
		assert_non_null(a.result);
		copy_apply(m, a.result);
	}
	answer_clear(&a);
}

/* ---- set-up ---- */

static void make_filter(struct model *m, size_t i, struct value *spec, bool is_partial)
{
	struct rig *r = m->rig;
	struct value *args = rig_args(r, M_PropertyCollector_CreateFilter);

	value_set(r->arena, args, A_PropertyCollector_CreateFilter_spec, spec);
	value_set_bool(r->arena, args, A_PropertyCollector_CreateFilter_partialUpdates, is_partial);
	const struct value *ref = rig_call(r, m->collector, M_PropertyCollector_CreateFilter, args);
	m->filters[i] = inventory_find_ref(r->inventory, ref);
	m->specs[i] = spec;
	value_drop(ref);
}

static struct value *folder_spec(struct model *m, const char *vm_paths)
{
	struct rig *r = m->rig;
	struct value *down =
		rig_traversal(r, "down", T_Folder, "childEntity", false,
			      rig_list(r, T_SelectionSpec, rig_named(r, "down"), NULL));

	return rig_spec(r, m->folders.items[0]->ref, false,
			rig_list(r, T_SelectionSpec, down, NULL),
			rig_properties(r, T_VirtualMachine, vm_paths),
			rig_properties(r, T_ManagedEntity, "name"));
}

static struct value *view_spec(struct model *m)
{
	struct rig *r = m->rig;
	struct value *args = rig_args(r, M_ViewManager_CreateContainerView);
	struct value *types = value_new_array(r->arena, T_string);

	value_push(r->arena, types, value_new_str(r->arena, "VirtualMachine"));
	value_set(r->arena, args, A_ViewManager_CreateContainerView_container,
		  m->folders.items[0]->ref);
	value_set(r->arena, args, A_ViewManager_CreateContainerView_type, types);
	value_set_bool(r->arena, args, A_ViewManager_CreateContainerView_recursive, true);
	const struct value *ref = rig_call(r, inventory_find(r->inventory, "ViewManager"),
					   M_ViewManager_CreateContainerView, args);
	m->view = inventory_find_ref(r->inventory, ref);
	value_drop(ref);
	return rig_spec(r, m->view->ref, true,
			rig_list(r, T_SelectionSpec,
				 rig_traversal(r, NULL, T_ManagedObjectView, "view", false, NULL),
				 NULL),
			rig_properties(r, T_VirtualMachine, "name runtime.powerState"), NULL);
}

/* The last filter ends and begins anew. */
static void replace_filter(struct model *m)
{
	size_t last = N_FILTERS - 1;
	char prefix[200];

	snprintf(prefix, sizeof(prefix), "%s|", object_id(m->filters[last]));
	copy_remove(m, prefix);
	value_drop(
		rig_call(m->rig, m->filters[last], M_PropertyFilter_DestroyPropertyFilter, NULL));
	make_filter(m, last, m->specs[last], false);
}

static void run(struct model *m)
{
	struct rig *r = m->rig;
	const struct value *ref =
		rig_call(r, r->collector, M_PropertyCollector_CreatePropertyCollector, NULL);

	m->collector = inventory_find_ref(r->inventory, ref);
	value_drop(ref);
	vec_push(&m->folders, r->vm_folder);
	for (int i = 0; i < 10; i++) {
		change(m);
	}
	make_filter(m, 0, folder_spec(m, "runtime.powerState config.hardware.device"), false);
	make_filter(m, PARTIAL, folder_spec(m, "runtime config"), true);
	make_filter(m, 2, view_spec(m), false);
	for (int i = 0; i < 50; i++) {
		change(m);
	}
	make_filter(m, 3, folder_spec(m, "config.hardware config.hardware.device[2001]"), false);
	for (int round = 0; round < ROUNDS; round++) {
		struct arena *old = r->arena;
		for (unsigned i = below(m, 8); i > 0; i--) {
			change(m);
		}
		if (below(m, 2) == 0) {
			inventory_publish(r->inventory);
		}
		if (below(m, 50) == 0) {
			restart(m);
		}
		if (below(m, 40) == 0) {
			replace_filter(m);
		}
		if (below(m, 3) > 0) {
			ask(m);
			continue;
		}
		inventory_publish(r->inventory);
		while (ask(m)) {
		}
		compare(m);
		wait_for_more(m);
		assert_ptr_equal(old, r->arena);
	}
}

static void copies_stay_right(void **state)
{
	(void)state;
	const char *seed = getenv("REMORA_SEED");
	struct model m = { .seed = 1 };

	if (seed != NULL) {
		assert_true(number_u64(seed, &m.seed));
	}
	print_message("seed %llu\n", (unsigned long long)m.seed);
	m.rig = rig_new();
	run(&m);
	copy_remove(&m, "");
	map_free(&m.copy);
	vec_free(&m.vms);
	vec_free(&m.folders);
	rig_free(m.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(copies_stay_right) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
