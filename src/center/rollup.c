/* SPDX-License-Identifier: Apache-2.0 */
#include "center/rollup.h"

#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "base/vec.h"
#include "center/compute.h"
#include "center/dvs.h"
#include "center/folder.h"
#include "center/member.h"
#include "center/place.h"
#include "center/pool.h"
#include "center/portgroup.h"

struct objects {
	struct object **items;
	size_t n, cap;
};

struct rollup {
	struct center *c;
	struct inventory_listener *listener;
	uint64_t version;	 /* all changes up to it are taken in */
	struct objects computes; /* to be looked at */
	struct objects datacenters;
	struct objects hosts;	 /* whose connection or adapters changed */
	struct objects switches; /* whose port groups did */
};

static void mark(struct objects *list, struct object *o)
{
	if (o == NULL) {
		return;
	}
	for (size_t i = list->n; i-- > 0;) {
		if (list->items[i] == o) {
			return;
		}
	}
	vec_push(list, o);
}

/* ---- what changed ---- */

/* Figures of use change all the time and count for nothing here. */
static bool is_only_use(const struct object *o, uint64_t since)
{
	static const char use[] = "summary.quickStats";

	if (o->created > since) {
		return false;
	}
	for (uint32_t i = o->n_journal; i-- > 0 && o->journal[i].version > since;) {
		if (strncmp(o->journal[i].path, use, strlen(use)) != 0) {
			return false;
		}
	}
	return true;
}

static void look_at(struct rollup *r, struct object *o)
{
	if (o->removed) { /* the folder or compute resource it was in has changed, too */
		return;
	}
	if (schema_is_a(o->type, T_HostSystem)) {
		if (!is_only_use(o, r->version)) {
			mark(&r->computes, compute_of_host(o));
			mark(&r->hosts, o);
		}
	} else if (schema_is_a(o->type, T_ComputeResource)) {
		mark(&r->computes, o);
	} else if (schema_is_a(o->type, T_Folder) &&
		   (folder_kind(o) == FOLDER_DATASTORE || folder_kind(o) == FOLDER_NETWORK)) {
		mark(&r->datacenters, place_datacenter(o));
	} else if (schema_is_a(o->type, T_DistributedVirtualPortgroup)) {
		mark(&r->switches, portgroup_dvs(o));
		const struct value *hosts = object_get(o, P_Network_host, NULL);
		for (size_t i = 0; i < value_count(hosts); i++) {
			struct object *host =
				inventory_find_ref(o->inventory, value_item(hosts, i));
			mark(&r->computes, host == NULL ? NULL : compute_of_host(host));
		}
	}
}

/* ---- compute resources ---- */

struct totals {
	int64_t mhz, bytes, cores, threads;
	int64_t mhz_usable, mb_usable;
	int64_t n_hosts, n_usable;
};

static void total_add(struct totals *t, struct object *host, struct arena *a)
{
	const struct value *hw = value_get_value(object_get(host, P_HostSystem_summary, a),
						 F_HostListSummary_hardware);
	const struct value *runtime = object_get(host, P_HostSystem_runtime, a);
	int64_t cores = value_get_num(hw, F_HostHardwareSummary_numCpuCores, 0);
	int64_t mhz = value_get_num(hw, F_HostHardwareSummary_cpuMhz, 0) * cores;
	int64_t bytes = value_get_num(hw, F_HostHardwareSummary_memorySize, 0);

	t->mhz += mhz;
	t->bytes += bytes;
	t->cores += cores;
	t->threads += value_get_num(hw, F_HostHardwareSummary_numCpuThreads, 0);
	t->n_hosts++;
	if (value_get_num(runtime, F_HostRuntimeInfo_connectionState, -1) ==
		    E_HostSystemConnectionState_connected &&
	    !value_get_bool(runtime, F_HostRuntimeInfo_inMaintenanceMode, false)) {
		t->n_usable++;
		t->mhz_usable += mhz;
		t->mb_usable += bytes >> 20;
	}
}

static void summary_show(struct object *compute, const struct totals *t, struct arena *a)
{
	bool is_cluster = compute_is_cluster(compute);
	struct value *v = value_new(a, is_cluster ? T_ClusterComputeResourceSummary
						  : T_ComputeResourceSummary);

	value_set_num(a, v, F_ComputeResourceSummary_totalCpu, MIN(t->mhz, INT32_MAX));
	value_set_num(a, v, F_ComputeResourceSummary_totalMemory, t->bytes);
	value_set_num(a, v, F_ComputeResourceSummary_numCpuCores, MIN(t->cores, INT16_MAX));
	value_set_num(a, v, F_ComputeResourceSummary_numCpuThreads, MIN(t->threads, INT16_MAX));
	value_set_num(a, v, F_ComputeResourceSummary_effectiveCpu, MIN(t->mhz_usable, INT32_MAX));
	value_set_num(a, v, F_ComputeResourceSummary_effectiveMemory, t->mb_usable);
	value_set_num(a, v, F_ComputeResourceSummary_numHosts, t->n_hosts);
	value_set_num(a, v, F_ComputeResourceSummary_numEffectiveHosts, t->n_usable);
	value_set_num(a, v, F_ComputeResourceSummary_overallStatus,
		      t->n_usable == t->n_hosts ? E_ManagedEntityStatus_green
						: E_ManagedEntityStatus_yellow);
	if (is_cluster) {
		value_set_num(a, v, F_ClusterComputeResourceSummary_currentFailoverLevel, 0);
		value_set_num(a, v, F_ClusterComputeResourceSummary_numVmotions, 0);
	}
	inventory_set(compute, P_ComputeResource_summary, v);
}

/* Appends what `list` names and `to` has not yet; seen: by index of objects. */
static void unite(struct arena *a, struct value *to, const struct value *list,
		  struct inventory *inv, uint8_t *seen)
{
	for (size_t i = 0; i < value_count(list); i++) {
		struct object *o = inventory_find_ref(inv, value_item(list, i));
		if (o != NULL && !(seen[o->index / 8] & 1U << o->index % 8)) {
			seen[o->index / 8] |= (uint8_t)(1U << o->index % 8);
			value_push(a, to, o->ref);
		}
	}
}

/* Port groups of distributed switches are in the lists of the hosts that are members. */
static void add_portgroups(struct rollup *r, struct object *compute, struct value *to,
			   struct arena *a, uint8_t *seen)
{
	struct object *dc = place_datacenter(compute);
	const struct value *all = dc == NULL ? NULL : object_get(dc, P_Datacenter_network, a);

	for (size_t i = 0; i < value_count(all); i++) {
		struct object *pg = inventory_find_ref(r->c->inventory, value_item(all, i));
		if (pg == NULL || !schema_is_a(pg->type, T_DistributedVirtualPortgroup)) {
			continue;
		}
		for (size_t j = 0; j < place_count(pg, P_Network_host); j++) {
			struct object *host = place_at(pg, P_Network_host, j);
			if (host != NULL && compute_of_host(host) == compute) {
				struct value *one = value_new_array(a, T_Network);
				value_push(a, one, pg->ref);
				unite(a, to, one, r->c->inventory, seen);
				break;
			}
		}
	}
}

/* What a host can run is asked of the host's own browser. */
static const struct value *browser_of_host(const struct object *host)
{
	const struct member *m = member_of_host(host);

	return m == NULL || m->mirror.browser == NULL
		       ? NULL
		       : mirror_local_ref(&m->mirror, m->mirror.browser);
}

static void compute_roll_up(struct rollup *r, struct object *compute)
{
	struct arena *a = arena_new(0);
	struct inventory *inv = r->c->inventory;
	struct totals t = { 0 };
	struct value *stores = value_new_array(a, T_Datastore);
	struct value *nets = value_new_array(a, T_Network);
	uint8_t *seen = arena_alloc(a, inventory_index_limit(inv) / 8 + 1);
	const struct value *browser = NULL;

	for (size_t i = 0; i < place_count(compute, P_ComputeResource_host); i++) {
		struct object *host = place_at(compute, P_ComputeResource_host, i);
		if (host != NULL) {
			total_add(&t, host, a);
			browser = browser == NULL ? browser_of_host(host) : browser;
			unite(a, stores, object_get(host, P_HostSystem_datastore, a), inv, seen);
			unite(a, nets, object_get(host, P_HostSystem_network, a), inv, seen);
		}
	}
	add_portgroups(r, compute, nets, a, seen);
	summary_show(compute, &t, a);
	inventory_set(compute, P_ComputeResource_datastore, stores);
	inventory_set(compute, P_ComputeResource_network, nets);
	inventory_set(compute, P_ComputeResource_environmentBrowser, browser);
	struct object *pool = compute_root_pool(compute);
	if (pool != NULL) {
		pool_set_capacity(pool, t.mhz_usable, t.mb_usable);
	}
	arena_free(a);
}

/* ---- datacenters ---- */

static void gather(struct object *folder, uint16_t type, struct value *to, struct arena *a)
{
	for (size_t i = 0; i < place_count(folder, P_Folder_childEntity); i++) {
		struct object *o = place_at(folder, P_Folder_childEntity, i);
		if (o == NULL) {
			continue;
		}
		if (schema_is_a(o->type, T_Folder)) {
			gather(o, type, to, a);
		} else if (schema_is_a(o->type, type)) {
			value_push(a, to, o->ref);
		}
	}
}

static void datacenter_roll_up(struct object *dc)
{
	struct arena *a = arena_new(0);
	struct value *stores = value_new_array(a, T_Datastore);
	struct value *nets = value_new_array(a, T_Network);

	gather(place_folder(dc, P_Datacenter_datastoreFolder), T_Datastore, stores, a);
	gather(place_folder(dc, P_Datacenter_networkFolder), T_Network, nets, a);
	inventory_set(dc, P_Datacenter_datastore, stores);
	inventory_set(dc, P_Datacenter_network, nets);
	arena_free(a);
}

/* ---- the turn ---- */

static void on_change(void *arg)
{
	struct rollup *r = arg;
	struct inventory *inv = r->c->inventory;

	for (struct object *o = inventory_newest(inv); o != NULL && o->version > r->version;
	     o = object_older(o)) {
		look_at(r, o);
	}
	r->version = inventory_version(inv);
	for (size_t i = 0; i < r->datacenters.n; i++) {
		datacenter_roll_up(r->datacenters.items[i]);
	}
	for (size_t i = 0; i < r->computes.n; i++) {
		compute_roll_up(r, r->computes.items[i]);
	}
	for (size_t i = 0; i < r->hosts.n; i++) {
		dvs_host_changed(r->c, r->hosts.items[i]);
	}
	for (size_t i = 0; i < r->switches.n; i++) {
		dvs_show_vms(r->switches.items[i]);
	}
	vec_clear(&r->computes);
	vec_clear(&r->datacenters);
	vec_clear(&r->hosts);
	vec_clear(&r->switches);
	/* What was set here follows from what was looked at and needs no look itself. */
	r->version = inventory_version(inv);
}

struct rollup *rollup_new(struct center *c)
{
	struct rollup *r = mem_zalloc(sizeof(*r));

	r->c = c;
	on_change(r);
	r->listener = inventory_subscribe(c->inventory, on_change, r);
	return r;
}

void rollup_free(struct rollup *r)
{
	if (r == NULL) {
		return;
	}
	inventory_unsubscribe(r->listener);
	vec_free(&r->computes);
	vec_free(&r->datacenters);
	vec_free(&r->hosts);
	vec_free(&r->switches);
	free(r);
}
