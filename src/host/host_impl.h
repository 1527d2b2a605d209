/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files that make up a host (host.c, host_system.c, host_network.c, …) know of each other.
 * Each part has a function that builds its objects when the host is made, and one that lets go.
 * Event-loop thread only.
 */
#pragma once

#include "base/json.h"
#include "host/host.h"

/* Class of all inventory entities of a host; object->owner is the struct host. */
extern const struct object_class host_entity_class;

/* New entity with name and parent, in the parent folder's children when that is a Folder. */
struct object *host_entity_new(struct host *h, uint16_t type, const char *id, const char *name,
			       struct object *parent);

/* host_hardware.c: HostHardwareInfo, HostHardwareSummary of the node's share. */
struct value *host_hardware_info(const struct host *h, struct arena *a);
struct value *host_hardware_summary(const struct host *h, struct arena *a);
uint64_t host_memory(const struct host *h);	    /* bytes of the share */
uint64_t host_memory_for_vms(const struct host *h); /* MiB of it */
unsigned host_cpu_mhz(const struct host *h);
uint64_t host_mhz_for_vms(const struct host *h); /* what they may reserve together */

/* host.c: shares memory and processors out, by what holds now. */
void host_budget_make(struct host *h);

/* host_cores.c: processors of the planes and of VMs. Begins before anything is started, so that it
 * has its place; goes on when VMs are known. `c` NULL: nothing of all that. */
void host_cores_begin(struct host *h, const struct cores_config *c);
void host_cores_start(struct host *h);
void host_cores_stop(struct host *h);
/* Looks now whether processors have come or gone. */
void host_cores_look(struct host *h);
/* What holds now; NULL: nothing. */
const struct cores *host_cores_plan(const struct host *h);
/* For people, the option Remora.cores. */
void host_cores_text(const struct host *h, char *out, size_t size);

/* host_system.c */
void host_system_build(struct host *h);
/* Sets runtime and its copy in summary from what holds now. */
void host_system_set_runtime(struct host *h);
/* Replaces one member of HostSystem.config. */
void host_system_set_config(struct host *h, unsigned field, const struct value *v);
struct value *host_about(struct host *h, struct arena *a);
struct value *host_capability(const struct host *h, struct arena *a);

/* host_stats.c: quickStats, refreshed now and then. */
void host_stats_start(struct host *h);
void host_stats_stop(struct host *h);

/* host_maintenance.c: maintenance mode and other methods of HostSystem. */
void host_maintenance_register(struct host *h);
void host_maintenance_stop(struct host *h);

/* host_network.c */
bool host_network_build(struct host *h, struct error *e);
void host_network_free(struct host *h);
/* Tells the API again what the network is made of (after the card changed). */
void host_network_publish(struct host *h);

/* host_datastore.c */
bool host_datastores_build(struct host *h, const struct host_config *c, struct error *e);
void host_datastores_free(struct host *h);
struct value *host_datastore_mounts(struct host *h, struct arena *a);

/* datastore_browser.c, file_manager.c, disk_manager.c, environment.c: methods. */
void datastore_browser_register(struct host *h);
void file_manager_build(struct host *h);
void disk_manager_build(struct host *h);
void environment_build(struct host *h);

/* resource_pool.c */
bool resource_pools_build(struct host *h, struct error *e);
void resource_pools_free(struct host *h);
/* What the host has for VMs, or what they have of it, has changed. */
void resource_pools_refresh(struct host *h);

/* host_sensors.c: begins to read the machine's sensors; root: as of hardware_read(), NULL: none. */
void host_sensors_start(struct host *h, const char *root);
void host_sensors_stop(struct host *h);
bool host_sensors_is_busy(const struct host *h);
void host_sensors_register(struct host *h);
/* What they say, into a HealthSystemRuntime and its HostHardwareStatusInfo. */
void host_sensors_show(const struct host *h, struct arena *a, struct value *health,
		       struct value *status);

/* host_services.c: the other managers of configManager. */
void host_services_build(struct host *h);
void host_services_free(struct host *h);
/* host_option.c: advanced options. */
bool host_options_build(struct host *h, struct error *e);
void host_options_set_cores(struct host *h);

/* host_pairing.c: the card in this server. `link`: NULL: as node.json says. */
void host_pairing_start(struct host *h, const char *link);
void host_pairing_stop(struct host *h);
/* The card in this server, as last seen; NULL where there never was one. */
const struct card *host_pairing_card(const struct host *h);
/* DPU id of the card that has a network function with this MAC, or NULL. */
const char *host_pairing_dpu_id(const struct host *h, const char *mac);
/* DpuStatusInfo[], or NULL where there is no card. */
struct value *host_pairing_status(const struct host *h, struct arena *a);

/* Reads and writes STATE/name as JSON; false with ERROR_NOT_FOUND when it is not there. Hosts
 * without a state keep nothing: writing succeeds. */
struct json_object *host_state_read(struct host *h, const char *name, struct error *e);
bool host_state_write(struct host *h, const char *name, struct json_object *doc, struct error *e);
