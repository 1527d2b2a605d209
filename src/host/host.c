/* SPDX-License-Identifier: Apache-2.0 */
#include "host/host.h"
#include "host/host_lend.h"
#include "host/host_plane.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/draft.h"
#include "host/host_impl.h"
#include "host/host_services.h"

LOG_MODULE("host");

enum {
	STATE_FILE_MAX = 8 << 20
};

/* ---- what the host keeps ---- */

struct json_object *host_state_read(struct host *h, const char *name, struct error *e)
{
	if (h->state == NULL) {
		error_set(e, ERROR_NOT_FOUND, "a simulated host keeps no \"%s\"", name);
		return NULL;
	}
	char *path = mem_printf("%s/%s", h->state, name);
	struct json_object *doc = json_parse_file(path, STATE_FILE_MAX, e);
	free(path);
	return doc;
}

bool host_state_write(struct host *h, const char *name, struct json_object *doc, struct error *e)
{
	if (h->state == NULL) {
		return true;
	}
	struct buf text = BUF_INIT;
	json_add_text(&text, doc);
	buf_addc(&text, '\n');
	char *path = mem_printf("%s/%s", h->state, name);
	bool ok = file_write_atomic(path, text.data, text.len, 0600, e);
	free(path);
	buf_free(&text);
	return ok;
}

/* ---- entities ---- */

static const struct value *entity_compute(struct object *o, unsigned prop, struct arena *a)
{
	const struct host *h = o->owner;

	return prop == P_ManagedEntity_effectiveRole && a != NULL
		       ? session_effective_role(o, h->api.service, a)
		       : NULL;
}

const struct object_class host_entity_class = {
	.computed = UINT64_C(1) << P_ManagedEntity_effectiveRole,
	.compute = entity_compute,
};

void host_entity_init(struct object *o, const char *name, const struct object *parent)
{
	inventory_set_str(o, P_ManagedEntity_name, name);
	inventory_set_ref(o, P_ManagedEntity_parent, parent);
	inventory_set_enum(o, P_ManagedEntity_overallStatus, T_ManagedEntityStatus,
			   E_ManagedEntityStatus_green);
	inventory_set_enum(o, P_ManagedEntity_configStatus, T_ManagedEntityStatus,
			   E_ManagedEntityStatus_green);
	inventory_set_bool(o, P_ManagedEntity_alarmActionsEnabled, true);
}

struct object *host_entity_new(struct host *h, uint16_t type, const char *id, const char *name,
			       struct object *parent)
{
	struct object *o = inventory_add(h->inventory, type, id, &host_entity_class, h);

	host_entity_init(o, name, parent);
	if (parent != NULL && schema_is_a(parent->type, T_Folder)) {
		inventory_add_ref(parent, P_Folder_childEntity, o);
	}
	return o;
}

static struct object *folder_new(struct host *h, const char *id, const char *name,
				 struct object *parent, const char *const *child_types)
{
	struct object *o = host_entity_new(h, T_Folder, id, name, parent);
	struct arena *a = arena_new(0);

	inventory_set(o, P_Folder_childType, draft_strings(a, child_types));
	arena_free(a);
	return o;
}

static void datacenter_build(struct host *h)
{
	static const char *const root[] = { "Datacenter", NULL };
	static const char *const vms[] = { "VirtualMachine", NULL };
	static const char *const hosts[] = { "ComputeResource", NULL };
	static const char *const stores[] = { "Datastore", NULL };
	static const char *const nets[] = { "Network", NULL };

	h->root_folder = folder_new(h, "ha-folder-root", "ha-folder-root", NULL, root);
	h->datacenter =
		host_entity_new(h, T_Datacenter, "ha-datacenter", "ha-datacenter", h->root_folder);
	h->vm_folder = folder_new(h, "ha-folder-vm", "vm", h->datacenter, vms);
	h->host_folder = folder_new(h, "ha-folder-host", "host", h->datacenter, hosts);
	h->datastore_folder =
		folder_new(h, "ha-folder-datastore", "datastore", h->datacenter, stores);
	h->network_folder = folder_new(h, "ha-folder-network", "network", h->datacenter, nets);

	inventory_set_ref(h->datacenter, P_Datacenter_vmFolder, h->vm_folder);
	inventory_set_ref(h->datacenter, P_Datacenter_hostFolder, h->host_folder);
	inventory_set_ref(h->datacenter, P_Datacenter_datastoreFolder, h->datastore_folder);
	inventory_set_ref(h->datacenter, P_Datacenter_networkFolder, h->network_folder);
	struct arena *a = arena_new(0);
	inventory_set(h->datacenter, P_Datacenter_configuration,
		      value_new(a, T_DatacenterConfigInfo));
	arena_free(a);
}

static void compute_build(struct host *h)
{
	struct arena *a = arena_new(0);
	const struct hardware_cpu *cpu = &h->hardware->cpu;
	struct value *s = value_new(a, T_ComputeResourceSummary);

	h->compute = host_entity_new(h, T_ComputeResource, "ha-compute-res", h->node.name,
				     h->host_folder);
	value_set_num(a, s, F_ComputeResourceSummary_totalCpu, (int64_t)h->budget.share_mhz);
	value_set_num(a, s, F_ComputeResourceSummary_totalMemory, (int64_t)host_memory(h));
	value_set_num(a, s, F_ComputeResourceSummary_numCpuCores,
		      MIN(cpu->n_cores == 0 ? h->node.cpus : cpu->n_cores, h->node.cpus));
	value_set_num(a, s, F_ComputeResourceSummary_numCpuThreads, h->node.cpus);
	value_set_num(a, s, F_ComputeResourceSummary_effectiveCpu, (int64_t)host_mhz_for_vms(h));
	value_set_num(a, s, F_ComputeResourceSummary_effectiveMemory,
		      (int64_t)host_memory_for_vms(h));
	value_set_num(a, s, F_ComputeResourceSummary_numHosts, 1);
	value_set_num(a, s, F_ComputeResourceSummary_numEffectiveHosts, 1);
	value_set_num(a, s, F_ComputeResourceSummary_overallStatus, E_ManagedEntityStatus_green);
	inventory_set(h->compute, P_ComputeResource_summary, s);

	struct value *c = value_new(a, T_ComputeResourceConfigInfo);
	value_set_str(a, c, F_ComputeResourceConfigInfo_vmSwapPlacement, "vmDirectory");
	value_set_bool(a, c, F_ComputeResourceConfigInfo_spbmEnabled, false);
	inventory_set(h->compute, P_ComputeResource_configurationEx, c);
	arena_free(a);
}

/* ---- life ---- */

void host_budget_make(struct host *h)
{
	budget_make(&h->budget, &(struct budget_config){ .hardware = h->hardware,
							 .node = &h->node,
							 .has_switch = h->has_switch,
							 .accel = h->accel.kind,
							 .gic = h->accel.gic,
							 .cores = host_cores_plan(h) });
}

static struct host *host_alloc(const struct host_config *c)
{
	struct host *h = mem_zalloc(sizeof(*h));

	h->loop = c->loop;
	h->clock = c->clock;
	h->api = c->api;
	h->inventory = c->api.inventory;
	h->node = *c->node;
	h->hardware = c->hardware;
	h->accel = c->accel;
	h->driver = c->driver;
	h->simulated = c->simulated;
	h->storage = c->storage;
	h->state = c->state == NULL ? NULL : mem_strdup(c->state);
	h->run = c->run == NULL ? NULL : mem_strdup(c->run);
	h->boot_time_us = h->hardware->os.boot_time != 0 ? h->hardware->os.boot_time * 1000000
							 : clock_wall_us(c->clock);
	list_init(&h->datastores);
	list_init(&h->networks);
	list_init(&h->pools);
	h->has_switch = c->has_switch;
	host_cores_begin(h, c->cores);
	host_budget_make(h);
	return h;
}

static bool plane_start(struct host *h, const struct host_config *c, struct error *e)
{
	struct host_plane_config plane = { .program = c->switch_program };

	return !c->has_switch || host_plane_start(h, &plane, e);
}

struct host *host_new(const struct host_config *c, struct error *e)
{
	struct host *h = host_alloc(c);

	datacenter_build(h);
	compute_build(h);
	environment_build(h);
	host_system_build(h);
	host_services_build(h);
	if (!host_options_build(h, e) || !host_autostart_build(h, e) || !host_network_build(h, e) ||
	    !resource_pools_build(h, e) || !host_datastores_build(h, c, e) ||
	    !plane_start(h, c, e) || !host_lend_start(h, e)) {
		host_free(h);
		return NULL;
	}
	host_pairing_start(h, c->link);
	host_sensors_start(h, c->sensors);
	datastore_browser_register(h);
	file_manager_build(h);
	disk_manager_build(h);
	host_maintenance_register(h);
	inventory_set_refs(h->compute, P_ComputeResource_host, &h->system, 1);
	inventory_set_ref(h->compute, P_ComputeResource_environmentBrowser, h->environment);
	return h;
}

static void host_announce(struct host *h)
{
	if (h->simulated) {
		return;
	}
	struct arena *a = arena_new(0);
	struct value *event = value_new(a, T_GeneralHostInfoEvent);
	value_set_str(a, event, F_GeneralEvent_message, h->accel.why);
	event_post(h->api.events, a, event, h->system, "", "Host \"%s\" is up. %s", h->node.name,
		   h->accel.why);
	arena_free(a);
}

bool host_start(struct host *h, struct error *e)
{
	if (h->vm_ops != NULL && h->vm_ops->load != NULL && !h->vm_ops->load(h, e)) {
		return false;
	}
	host_plane_begin(h);
	host_stats_start(h);
	host_cores_start(h);
	host_announce(h);
	host_autostart_run(h);
	return true;
}

static void entities_remove(struct host *h)
{
	inventory_remove(h->environment);
	inventory_remove(h->system);
	inventory_remove(h->compute);
	inventory_remove(h->vm_folder);
	inventory_remove(h->host_folder);
	inventory_remove(h->datastore_folder);
	inventory_remove(h->network_folder);
	inventory_remove(h->datacenter);
	inventory_remove(h->root_folder);
}

void host_free(struct host *h)
{
	if (h == NULL) {
		return;
	}
	host_stats_stop(h);
	host_cores_stop(h);
	host_sensors_stop(h);
	host_maintenance_stop(h);
	host_plane_stop(h);
	if (h->vm_ops != NULL && h->vm_ops->unload != NULL) {
		h->vm_ops->unload(h);
	}
	host_pairing_stop(h);
	host_lend_stop(h);
	host_datastores_free(h);
	resource_pools_free(h);
	host_network_free(h);
	host_services_free(h);
	entities_remove(h);
	map_free(&h->claims);
	free(h->state);
	free(h->run);
	free(h);
}

bool host_is_busy(const struct host *h)
{
	list_each (struct host_datastore, d, &h->datastores, link) {
		if (d->n_users != 0) {
			return true;
		}
	}
	return host_sensors_is_busy(h) || host_plane_is_busy(h);
}
