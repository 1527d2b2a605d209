/* SPDX-License-Identifier: Apache-2.0 */
#include "center/link_spec.h"

#include "base/macro.h"

/* Not among them: the host's licences and accounts, which are the manager's business, or no
 * business of whoever may log in here. */
const int link_managers[] = {
	F_HostConfigManager_cpuScheduler,	F_HostConfigManager_datastoreSystem,
	F_HostConfigManager_memoryManager,	F_HostConfigManager_storageSystem,
	F_HostConfigManager_networkSystem,	F_HostConfigManager_vmotionSystem,
	F_HostConfigManager_virtualNicManager,	F_HostConfigManager_serviceSystem,
	F_HostConfigManager_firewallSystem,	F_HostConfigManager_advancedOption,
	F_HostConfigManager_diagnosticSystem,	F_HostConfigManager_autoStartManager,
	F_HostConfigManager_snmpSystem,		F_HostConfigManager_dateTimeSystem,
	F_HostConfigManager_imageConfigManager, F_HostConfigManager_healthStatusSystem,
	F_HostConfigManager_pciPassthruSystem,	F_HostConfigManager_kernelModuleSystem,
	F_HostConfigManager_powerSystem,	F_HostConfigManager_graphicsManager,
	F_HostConfigManager_certificateManager, -1,
};

static void add_type(struct arena *a, struct value *sets, uint16_t type, const char *const *paths,
		     size_t n)
{
	struct value *set = value_new(a, T_PropertySpec);
	struct value *list = value_new_array(a, T_string);

	value_set_str(a, set, F_PropertySpec_type, schema_type_name(type));
	value_set_bool(a, set, F_PropertySpec_all, n == 0);
	for (size_t i = 0; i < n; i++) {
		value_push_str(a, list, paths[i]);
	}
	if (n > 0) {
		value_set(a, set, F_PropertySpec_pathSet, list);
	}
	value_push(a, sets, set);
}

static struct value *prop_sets(struct arena *a)
{
	static const uint16_t whole[] = {
		T_HostSystem,
		T_VirtualMachine,
		T_Datastore,
		T_Network,
		T_HostDatastoreBrowser,
		T_EnvironmentBrowser,
		T_VirtualMachineSnapshot,
	};
	static const char *const datacenter[] = { "vmFolder", "hostFolder", "datastoreFolder",
						  "networkFolder" };
	static const char *const compute[] = { "resourcePool", "environmentBrowser" };
	static const char *const pool[] = { "name" };
	static const char *const task[] = { "info" };
	static const char *const events[] = { "latestEvent" };
	struct value *sets = value_new_array(a, T_PropertySpec);

	for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
		add_type(a, sets, whole[i], NULL, 0);
	}
	add_type(a, sets, T_Datacenter, datacenter, ARRAY_LEN(datacenter));
	add_type(a, sets, T_ComputeResource, compute, ARRAY_LEN(compute));
	add_type(a, sets, T_ResourcePool, pool, ARRAY_LEN(pool));
	add_type(a, sets, T_Task, task, ARRAY_LEN(task));
	add_type(a, sets, T_EventManager, events, ARRAY_LEN(events));
	for (size_t i = 0; link_managers[i] >= 0; i++) {
		add_type(a, sets,
			 schema_field(T_HostConfigManager, (unsigned)link_managers[i])->type, NULL,
			 0);
	}
	return sets;
}

static struct value *traversal(struct arena *a, uint16_t type, const char *path,
			       struct value *select)
{
	struct value *t = value_new(a, T_TraversalSpec);

	value_set_str(a, t, F_TraversalSpec_type, schema_type_name(type));
	value_set_str(a, t, F_TraversalSpec_path, path);
	value_set_bool(a, t, F_TraversalSpec_skip, false);
	if (select != NULL) {
		value_set(a, t, F_TraversalSpec_selectSet, select);
	}
	return t;
}

/* Snapshots of a VM, at any depth. */
static struct value *snapshots(struct arena *a)
{
	struct value *again = value_new(a, T_SelectionSpec);
	struct value *below = value_new_array(a, T_SelectionSpec);
	struct value *roots = value_new_array(a, T_SelectionSpec);

	value_set_str(a, again, F_SelectionSpec_name, "snapshots");
	value_push(a, below, again);
	struct value *children = traversal(a, T_VirtualMachineSnapshot, "childSnapshot", below);
	value_set_str(a, children, F_SelectionSpec_name, "snapshots");
	value_push(a, roots, children);
	return traversal(a, T_VirtualMachine, "rootSnapshot", roots);
}

static struct value *object_spec(struct arena *a, const struct value *obj, bool skip,
				 struct value *select)
{
	struct value *o = value_new(a, T_ObjectSpec);

	value_set(a, o, F_ObjectSpec_obj, obj);
	value_set_bool(a, o, F_ObjectSpec_skip, skip);
	if (select != NULL) {
		value_set(a, o, F_ObjectSpec_selectSet, select);
	}
	return o;
}

static struct value *below_entities(struct arena *a)
{
	struct value *select = value_new_array(a, T_SelectionSpec);

	value_push(a, select, traversal(a, T_Datastore, "browser", NULL));
	value_push(a, select, traversal(a, T_HostSystem, "datastoreBrowser", NULL));
	value_push(a, select, traversal(a, T_VirtualMachine, "environmentBrowser", NULL));
	value_push(a, select, traversal(a, T_ComputeResource, "environmentBrowser", NULL));
	value_push(a, select, snapshots(a));
	for (size_t i = 0; link_managers[i] >= 0; i++) {
		const struct schema_field *f =
			schema_field(T_HostConfigManager, (unsigned)link_managers[i]);
		value_push(a, select,
			   traversal(a, T_HostSystem,
				     arena_printf(a, "configManager.%s", schema_field_name(f)),
				     NULL));
	}
	return select;
}

struct value *link_filter_spec(struct arena *a, const struct value *content,
			       const struct value *view, const struct value *task_view)
{
	struct value *spec = value_new(a, T_PropertyFilterSpec);
	struct value *objects = value_new_array(a, T_ObjectSpec);
	struct value *in_view = value_new_array(a, T_SelectionSpec);
	struct value *in_task_view = value_new_array(a, T_SelectionSpec);

	value_push(a, in_view, traversal(a, T_ContainerView, "view", below_entities(a)));
	value_push(a, objects, object_spec(a, view, true, in_view));
	value_push(a, in_task_view, traversal(a, T_ListView, "view", NULL));
	value_push(a, objects, object_spec(a, task_view, true, in_task_view));
	value_push(a, objects,
		   object_spec(a, value_get_value(content, F_ServiceContent_eventManager), false,
			       NULL));
	value_set(a, spec, F_PropertyFilterSpec_objectSet, objects);
	value_set(a, spec, F_PropertyFilterSpec_propSet, prop_sets(a));
	return spec;
}
