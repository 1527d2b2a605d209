/* SPDX-License-Identifier: Apache-2.0 */
#include "center/cluster.h"

#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "center/cluster_config.h"
#include "center/compute.h"
#include "center/folder.h"
#include "center/place.h"
#include "center/pool.h"
#include "vim/fault.h"

#define ISSUE_ID "remora.cluster.recordedOnly"

/* ---- configuration in the inventory ---- */

static void issue_push(struct object *cluster, struct arena *a, struct value *issues,
		       const char *what)
{
	struct value *event = value_new(a, T_EventEx);
	const struct center *c = cluster->owner;

	value_set_num(a, event, F_Event_key, 0);
	value_set_num(a, event, F_Event_chainId, 0);
	value_set_num(a, event, F_Event_createdTime, clock_wall_us(c->clock));
	value_set_str(a, event, F_Event_userName, "");
	value_set_str(a, event, F_EventEx_eventTypeId, ISSUE_ID);
	value_set_str(a, event, F_EventEx_severity, "warning");
	value_set_strf(a, event, F_Event_fullFormattedMessage,
		       "%s is enabled on cluster \"%s\" and kept, but nothing acts on it yet", what,
		       place_name(cluster));
	value_push(a, issues, event);
}

static void config_show(struct object *cluster, const struct value *config)
{
	struct arena *a = arena_new(0);
	struct value *issues = value_new_array(a, T_Event);
	const struct value *das = value_get_value(config, F_ClusterConfigInfoEx_dasConfig);
	const struct value *drs = value_get_value(config, F_ClusterConfigInfoEx_drsConfig);

	inventory_set(cluster, P_ComputeResource_configurationEx, config);
	inventory_set(cluster, P_ClusterComputeResource_configuration,
		      cluster_config_old(a, config));
	if (value_get_bool(das, F_ClusterDasConfigInfo_enabled, false)) {
		issue_push(cluster, a, issues, "High availability");
	}
	if (value_get_bool(drs, F_ClusterDrsConfigInfo_enabled, false)) {
		issue_push(cluster, a, issues, "Distributed resource scheduling");
	}
	inventory_set(cluster, P_ManagedEntity_configIssue,
		      value_count(issues) == 0 ? NULL : issues);
	arena_free(a);
}

bool cluster_load(struct object *cluster, const struct database_entity *row, struct error *e)
{
	struct arena *a = arena_new(0);
	const struct value *config =
		row->data == NULL ? cluster_config_default(a)
				  : database_value(a, T_ClusterConfigInfoEx, row->data, e);

	if (config == NULL) {
		arena_free(a);
		return error_prefix(e, "configuration of cluster \"%s\": ", row->id);
	}
	config_show(cluster, config);
	arena_free(a);
	return true;
}

/* ---- making ---- */

static void post_created(struct center *c, struct object *cluster, struct object *folder,
			 const char *user)
{
	struct arena *a = arena_new(0);
	struct value *event = value_new(a, T_ClusterCreatedEvent);
	char text[320];

	value_set(a, event, F_ClusterCreatedEvent_parent,
		  event_argument(a, T_FolderEventArgument, folder));
	snprintf(text, sizeof(text), "Created cluster %s in folder %s", place_name(cluster),
		 place_name(folder));
	center_post(c, a, event, cluster, user, text);
	arena_free(a);
}

static struct object *cluster_make(struct center *c, struct object *folder, const char *name,
				   const struct value *config, struct error *e)
{
	char id[CENTER_ID_MAX], pool_id[CENTER_ID_MAX];
	struct arena *a = arena_new(0);

	database_begin(c->db);
	center_new_id(c, "domain-c", id, sizeof(id));
	database_put_entity(c->db,
			    &(struct database_entity){
				    .id = id,
				    .type = "ClusterComputeResource",
				    .parent = object_id(folder),
				    .name = name,
				    .data = c->db == NULL ? NULL : database_text(a, config) });
	pool_write_root(c, pool_id, id);
	bool ok = database_commit(c->db, e);
	arena_free(a);
	if (!ok) {
		return NULL;
	}
	struct object *o = compute_new_cluster(c, id, name, folder);
	config_show(o, config);
	pool_new_root(c, pool_id, o);
	return o;
}

struct object *cluster_create(struct center *c, struct object *folder, const char *name,
			      struct error *e)
{
	struct arena *a = arena_new(0);
	struct object *o = cluster_make(c, folder, name, cluster_config_default(a), e);

	arena_free(a);
	return o;
}

static void create(struct call *call, const char *given, const struct value *spec)
{
	struct center *c = call_arg(call);
	struct refusal r = { 0 };
	struct error e = { 0 };

	if (folder_kind(call->self) != FOLDER_HOST) {
		call_fault(call, fault_new(call->arena, T_NotSupported),
			   "folder \"%s\" is not one for clusters", place_name(call->self));
		return;
	}
	const char *name = place_check_name(c, call->arena, call->self, given, &r);
	const struct value *config =
		name == NULL
			? NULL
			: cluster_config_apply(call->arena, call->self,
					       cluster_config_default(call->arena), spec, true, &r);
	if (config == NULL) {
		refusal_to_call(call, &r);
		return;
	}
	struct object *o = cluster_make(c, call->self, name, config, &e);
	if (o == NULL) {
		call_error(call, &e);
		return;
	}
	post_created(c, o, call->self, session_user(call->session));
	call_return(call, o->ref);
}

static void create_cluster(struct call *call)
{
	create(call, value_get_str(call->args, A_Folder_CreateCluster_name),
	       cluster_config_from_old(call->arena,
				       value_get_value(call->args, A_Folder_CreateCluster_spec)));
}

static void create_cluster_ex(struct call *call)
{
	create(call, value_get_str(call->args, A_Folder_CreateClusterEx_name),
	       value_get_value(call->args, A_Folder_CreateClusterEx_spec));
}

/* ---- changing ---- */

static void reconfigure(struct center *c, struct task *t, const struct value *spec, bool modify)
{
	struct object *cluster = task_entity(t);
	struct arena *a = task_arena(t);
	struct refusal r = { 0 };
	struct error e = { 0 };
	const struct value *config = cluster_config_apply(
		a, cluster, object_get(cluster, P_ComputeResource_configurationEx, a), spec, modify,
		&r);

	if (config == NULL) {
		refusal_to_task(t, &r);
		return;
	}
	database_begin(c->db);
	database_set_data(c->db, object_id(cluster),
			  c->db == NULL ? NULL : database_text(a, config));
	if (!database_commit(c->db, &e)) {
		task_fail_error(t, &e);
		return;
	}
	config_show(cluster, config);
	char text[320];
	snprintf(text, sizeof(text), "Reconfigured cluster %s", place_name(cluster));
	center_post(c, a, value_new(a, T_ClusterReconfiguredEvent), cluster, task_user(t), text);
	task_done(t, NULL);
}

static void reconfigure_cluster(struct call *call)
{
	struct center *c = call_arg(call);
	const struct value *spec =
		value_get_value(call->args, A_ClusterComputeResource_ReconfigureCluster_Task_spec);
	bool modify = value_get_bool(call->args,
				     A_ClusterComputeResource_ReconfigureCluster_Task_modify, true);
	struct task *t = task_begin(call, c->api->tasks);

	reconfigure(c, t, cluster_config_from_old(task_arena(t), spec), modify);
}

static void reconfigure_compute(struct call *call)
{
	struct center *c = call_arg(call);
	const struct value *spec =
		value_get_value(call->args, A_ComputeResource_ReconfigureComputeResource_Task_spec);
	bool modify = value_get_bool(
		call->args, A_ComputeResource_ReconfigureComputeResource_Task_modify, true);
	struct task *t = task_begin(call, c->api->tasks);

	if (!value_is_a(spec, T_ClusterConfigSpecEx)) {
		/* What every compute resource has. */
		struct value *same = value_new(task_arena(t), T_ClusterConfigSpecEx);
		const char *swap = value_get_str(spec, F_ComputeResourceConfigSpec_vmSwapPlacement);
		value_set_str(task_arena(t), same, F_ComputeResourceConfigSpec_vmSwapPlacement,
			      swap);
		reconfigure(c, t, same, true);
		return;
	}
	reconfigure(c, t, spec, modify);
}

/* ---- hosts ---- */

static bool host_may_move(struct object *cluster, struct object *host, struct arena *a,
			  struct refusal *r)
{
	struct object *from = compute_of_host(host);
	const struct value *runtime = object_get(host, P_HostSystem_runtime, a);

	if (from == NULL || place_datacenter(host) != place_datacenter(cluster)) {
		return refuse(r, fault_invalid_argument(a, "host"),
			      "host \"%s\" is not in the datacenter of cluster \"%s\"",
			      place_name(host), place_name(cluster));
	}
	if (from == cluster) {
		return refuse(r, fault_new(a, T_InvalidState),
			      "host \"%s\" is in cluster \"%s\" already", place_name(host),
			      place_name(cluster));
	}
	if (compute_is_cluster(from) &&
	    !value_get_bool(runtime, F_HostRuntimeInfo_inMaintenanceMode, false)) {
		return refuse(r, fault_new(a, T_InvalidState),
			      "host \"%s\" must be in maintenance mode to leave cluster \"%s\"",
			      place_name(host), place_name(from));
	}
	struct object *other = place_child(cluster->owner, cluster, place_name(host));
	if (other != NULL) {
		return refuse(r, fault_duplicate_name(a, place_name(host), other),
			      "cluster \"%s\" has a host \"%s\" already", place_name(cluster),
			      place_name(host));
	}
	return true;
}

static bool hosts_may_move(struct center *c, struct object *cluster, const struct value *refs,
			   struct arena *a, struct refusal *r)
{
	for (size_t i = 0; i < value_count(refs); i++) {
		struct object *host = inventory_find_ref(c->inventory, value_item(refs, i));
		if (host == NULL) {
			return refuse(r, fault_not_found(a, value_item(refs, i)),
				      "host \"%s\" does not exist",
				      value_bytes(value_item(refs, i)));
		}
		for (size_t j = 0; j < i; j++) {
			if (inventory_find_ref(c->inventory, value_item(refs, j)) == host) {
				return refuse(r, fault_invalid_argument(a, "host"),
					      "host \"%s\" is named twice", place_name(host));
			}
		}
		if (!host_may_move(cluster, host, a, r)) {
			return false;
		}
	}
	return true;
}

static void move_hosts(struct center *c, struct task *t, struct object *cluster,
		       const struct value *refs)
{
	struct refusal r = { 0 };
	struct error e = { 0 };

	if (!hosts_may_move(c, cluster, refs, task_arena(t), &r)) {
		refusal_to_task(t, &r);
		return;
	}
	database_begin(c->db);
	for (size_t i = 0; i < value_count(refs); i++) {
		compute_write_host_move(c, inventory_find_ref(c->inventory, value_item(refs, i)),
					cluster);
	}
	if (!database_commit(c->db, &e)) {
		task_fail_error(t, &e);
		return;
	}
	for (size_t i = 0; i < value_count(refs); i++) {
		compute_move_host(c, inventory_find_ref(c->inventory, value_item(refs, i)),
				  cluster);
	}
	task_done(t, NULL);
}

static void move_into(struct call *call)
{
	struct center *c = call_arg(call);
	struct object *cluster = call->self;
	const struct value *refs =
		value_get_value(call->args, A_ClusterComputeResource_MoveInto_Task_host);

	move_hosts(c, task_begin(call, c->api->tasks), cluster, refs);
}

static void move_host_into(struct call *call)
{
	struct center *c = call_arg(call);
	struct object *cluster = call->self;
	const struct value *ref =
		value_get_value(call->args, A_ClusterComputeResource_MoveHostInto_Task_host);
	struct task *t = task_begin(call, c->api->tasks);
	struct value *refs = value_new_array(task_arena(t), T_HostSystem);

	value_push(task_arena(t), refs, ref);
	move_hosts(c, t, cluster, refs);
}

/* ---- what is asked of a cluster ---- */

/* Memory in use by summary.quickStats, of what the hardware has, in percent; -1: not usable. */
static int64_t host_load(struct object *host, struct arena *a)
{
	const struct value *runtime = object_get(host, P_HostSystem_runtime, a);
	const struct value *summary = object_get(host, P_HostSystem_summary, a);

	if (runtime == NULL || summary == NULL ||
	    value_get_num(runtime, F_HostRuntimeInfo_connectionState, -1) !=
		    E_HostSystemConnectionState_connected ||
	    value_get_bool(runtime, F_HostRuntimeInfo_inMaintenanceMode, false)) {
		return -1;
	}
	const struct value *hardware = value_get_value(summary, F_HostListSummary_hardware);
	const struct value *quick = value_get_value(summary, F_HostListSummary_quickStats);
	int64_t mb = value_get_num(hardware, F_HostHardwareSummary_memorySize, 0) >> 20;
	int64_t used = value_get_num(quick, F_HostListSummaryQuickStats_overallMemoryUsage, 0);
	return mb <= 0 ? -1 : MIN(used * 100 / mb, 100);
}

static void recommend_hosts(struct call *call)
{
	struct value *result = value_new_array(call->arena, T_ClusterHostRecommendation);

	for (size_t i = 0; i < place_count(call->self, P_ComputeResource_host); i++) {
		struct object *host = place_at(call->self, P_ComputeResource_host, i);
		int64_t load = host == NULL ? -1 : host_load(host, call->arena);
		if (load < 0) {
			continue;
		}
		struct value *v = value_new(call->arena, T_ClusterHostRecommendation);
		value_set(call->arena, v, F_ClusterHostRecommendation_host, host->ref);
		value_set_num(call->arena, v, F_ClusterHostRecommendation_rating, 5 - load / 21);
		value_push(call->arena, result, v);
	}
	call_return(call, value_count(result) == 0 ? NULL : result);
}

static void find_rules(struct call *call)
{
	const struct value *vm =
		value_get_value(call->args, A_ClusterComputeResource_FindRulesForVm_vm);
	const struct value *rules = value_get_value(
		object_get(call->self, P_ComputeResource_configurationEx, call->arena),
		F_ClusterConfigInfoEx_rule);
	struct value *found = value_new_array(call->arena, T_ClusterRuleInfo);

	for (size_t i = 0; i < value_count(rules); i++) {
		const struct value *rule = value_item(rules, i);
		const struct value *vms =
			value_is_a(rule, T_ClusterAffinityRuleSpec)
				? value_get_value(rule, F_ClusterAffinityRuleSpec_vm)
			: value_is_a(rule, T_ClusterAntiAffinityRuleSpec)
				? value_get_value(rule, F_ClusterAntiAffinityRuleSpec_vm)
				: NULL;
		for (size_t j = 0; j < value_count(vms); j++) {
			if (value_equal(value_item(vms, j), vm)) {
				value_push(call->arena, found, rule);
				break;
			}
		}
	}
	call_return(call, value_count(found) == 0 ? NULL : found);
}

static void resource_usage(struct call *call)
{
	struct arena *a = call->arena;
	struct value *v = value_new(a, T_ClusterResourceUsageSummary);
	int64_t cpu = 0, cpu_all = 0, mb = 0, mb_all = 0, disk = 0, disk_all = 0;

	for (size_t i = 0; i < place_count(call->self, P_ComputeResource_host); i++) {
		struct object *host = place_at(call->self, P_ComputeResource_host, i);
		const struct value *summary =
			host == NULL ? NULL : object_get(host, P_HostSystem_summary, a);
		const struct value *hw = value_get_value(summary, F_HostListSummary_hardware);
		const struct value *quick = value_get_value(summary, F_HostListSummary_quickStats);
		cpu += value_get_num(quick, F_HostListSummaryQuickStats_overallCpuUsage, 0);
		mb += value_get_num(quick, F_HostListSummaryQuickStats_overallMemoryUsage, 0);
		cpu_all += value_get_num(hw, F_HostHardwareSummary_cpuMhz, 0) *
			   value_get_num(hw, F_HostHardwareSummary_numCpuCores, 0);
		mb_all += value_get_num(hw, F_HostHardwareSummary_memorySize, 0) >> 20;
	}
	for (size_t i = 0; i < place_count(call->self, P_ComputeResource_datastore); i++) {
		struct object *ds = place_at(call->self, P_ComputeResource_datastore, i);
		const struct value *summary =
			ds == NULL ? NULL : object_get(ds, P_Datastore_summary, a);
		int64_t capacity = value_get_num(summary, F_DatastoreSummary_capacity, 0);
		disk_all += capacity >> 20;
		disk += (capacity - value_get_num(summary, F_DatastoreSummary_freeSpace, 0)) >> 20;
	}
	value_set_num(a, v, F_ClusterResourceUsageSummary_cpuUsedMHz, cpu);
	value_set_num(a, v, F_ClusterResourceUsageSummary_cpuCapacityMHz, cpu_all);
	value_set_num(a, v, F_ClusterResourceUsageSummary_memUsedMB, mb);
	value_set_num(a, v, F_ClusterResourceUsageSummary_memCapacityMB, mb_all);
	value_set_num(a, v, F_ClusterResourceUsageSummary_storageUsedMB, disk);
	value_set_num(a, v, F_ClusterResourceUsageSummary_storageCapacityMB, disk_all);
	call_return(call, v);
}

/* Nothing is recommended, no availability agent runs, no compatibility mode is set. */
static void return_nothing(struct call *call)
{
	call_return(call, NULL);
}

void cluster_register(struct center *c)
{
	static const struct {
		uint16_t type, method;
		call_fn *fn;
	} methods[] = {
		{ T_Folder, M_Folder_CreateCluster, create_cluster },
		{ T_Folder, M_Folder_CreateClusterEx, create_cluster_ex },
		{ T_ClusterComputeResource, M_ClusterComputeResource_ReconfigureCluster_Task,
		  reconfigure_cluster },
		{ T_ClusterComputeResource, M_ComputeResource_ReconfigureComputeResource_Task,
		  reconfigure_compute },
		{ T_ClusterComputeResource, M_ClusterComputeResource_MoveInto_Task, move_into },
		{ T_ClusterComputeResource, M_ClusterComputeResource_MoveHostInto_Task,
		  move_host_into },
		{ T_ClusterComputeResource, M_ClusterComputeResource_RecommendHostsForVm,
		  recommend_hosts },
		{ T_ClusterComputeResource, M_ClusterComputeResource_FindRulesForVm, find_rules },
		{ T_ClusterComputeResource, M_ClusterComputeResource_GetResourceUsage,
		  resource_usage },
		{ T_ClusterComputeResource, M_ClusterComputeResource_RefreshRecommendation,
		  return_nothing },
		{ T_ClusterComputeResource, M_ClusterComputeResource_RetrieveDasAdvancedRuntimeInfo,
		  return_nothing },
		{ T_ClusterComputeResource, M_ClusterComputeResource_EvcManager, return_nothing },
	};

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		service_handle(c->api->service, methods[i].type, methods[i].method, methods[i].fn,
			       c);
	}
}
