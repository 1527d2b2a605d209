/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smaller managers of a host (vSphere API HostConfigManager): services, firewall, date and
 * time, storage, virtual adapters. What the node's operating system manages is shown as it is and
 * not for clients to change.
 */
#include "host/host_services.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "host/draft.h"
#include "vim/fault.h"

static struct object *manager_new(struct host *h, uint16_t type, const char *id, unsigned field)
{
	struct object *o = inventory_add(h->inventory, type, id, NULL, h);

	inventory_set_subject(o, h->system);
	inventory_set_nested(h->system, P_HostSystem_configManager, &field, 1, o->ref);
	vec_push(&h->services->objects, o);
	return o;
}

static void handle(struct host *h, uint16_t type, uint16_t method, call_fn *fn)
{
	service_handle(h->api.service, type, method, fn, h);
}

static void do_nothing(struct call *c)
{
	call_return(c, NULL);
}

/* ---- services ---- */

static void service_info(struct host *h, struct object *o, struct arena *a)
{
	struct value *info = value_new(a, T_HostServiceInfo);
	struct value *list = value_new_array(a, T_HostService);
	struct value *v = value_new(a, T_HostService);

	value_set_str(a, v, F_HostService_key, "remora-hostd");
	value_set_str(a, v, F_HostService_label, "Remora host agent");
	value_set_bool(a, v, F_HostService_required, true);
	value_set_bool(a, v, F_HostService_uninstallable, false);
	value_set_bool(a, v, F_HostService_running, true);
	value_set_str(a, v, F_HostService_policy, "on");
	value_push(a, list, v);
	value_set(a, info, F_HostServiceInfo_service, list);
	inventory_set(o, P_HostServiceSystem_serviceInfo, info);
	host_system_set_config(h, F_HostConfigInfo_service, info);
}

static void service_change(struct call *c)
{
	/* `id` is the first argument of all of them. */
	const char *id = value_get_str(c->args, A_HostServiceSystem_StartService_id);

	if (strcmp(id, "remora-hostd") != 0) {
		call_fault(c, fault_new(c->arena, T_NotFound), "there is no service \"%.80s\"", id);
	} else if (c->method == M_HostServiceSystem_StartService) {
		call_return(c, NULL);
	} else {
		call_fault(c, fault_new(c->arena, T_HostConfigFault),
			   "service \"%s\" answers this call: it is started and stopped by the "
			   "node's system manager",
			   id);
	}
}

static void services_build(struct host *h, struct arena *a)
{
	struct object *o = manager_new(h, T_HostServiceSystem, "serviceSystem",
				       F_HostConfigManager_serviceSystem);

	service_info(h, o, a);
	handle(h, T_HostServiceSystem, M_HostServiceSystem_RefreshServices, do_nothing);
	handle(h, T_HostServiceSystem, M_HostServiceSystem_StartService, service_change);
	handle(h, T_HostServiceSystem, M_HostServiceSystem_StopService, service_change);
	handle(h, T_HostServiceSystem, M_HostServiceSystem_RestartService, service_change);
	handle(h, T_HostServiceSystem, M_HostServiceSystem_UpdateServicePolicy, service_change);
}

/* ---- firewall ---- */

static void ruleset_change(struct call *c)
{
	const char *id = value_get_str(c->args, A_HostFirewallSystem_EnableRuleset_id);

	call_fault(c, fault_new(c->arena, T_NotFound),
		   "there is no rule set \"%.80s\": the node's own firewall is not managed here",
		   id);
}

static void firewall_build(struct host *h, struct arena *a)
{
	struct object *o = manager_new(h, T_HostFirewallSystem, "firewallSystem",
				       F_HostConfigManager_firewallSystem);
	struct value *info = value_new(a, T_HostFirewallInfo);
	struct value *policy = value_new(a, T_HostFirewallDefaultPolicy);

	value_set_bool(a, policy, F_HostFirewallDefaultPolicy_incomingBlocked, false);
	value_set_bool(a, policy, F_HostFirewallDefaultPolicy_outgoingBlocked, false);
	value_set(a, info, F_HostFirewallInfo_defaultPolicy, policy);
	inventory_set(o, P_HostFirewallSystem_firewallInfo, info);
	host_system_set_config(h, F_HostConfigInfo_firewall, info);
	handle(h, T_HostFirewallSystem, M_HostFirewallSystem_RefreshFirewall, do_nothing);
	handle(h, T_HostFirewallSystem, M_HostFirewallSystem_EnableRuleset, ruleset_change);
	handle(h, T_HostFirewallSystem, M_HostFirewallSystem_DisableRuleset, ruleset_change);
}

/* ---- date and time ---- */

static struct value *time_zone(struct arena *a)
{
	struct value *v = value_new(a, T_HostDateTimeSystemTimeZone);

	value_set_str(a, v, F_HostDateTimeSystemTimeZone_key, "UTC");
	value_set_str(a, v, F_HostDateTimeSystemTimeZone_name, "UTC");
	value_set_str(a, v, F_HostDateTimeSystemTimeZone_description, "UTC");
	value_set_num(a, v, F_HostDateTimeSystemTimeZone_gmtOffset, 0);
	return v;
}

static void query_time(struct call *c)
{
	struct host *h = call_arg(c);
	union slot now = { .num = clock_wall_us(h->clock) };

	call_return(c, value_new_scalar(c->arena, T_dateTime, now));
}

static void query_zones(struct call *c)
{
	struct value *list = value_new_array(c->arena, T_HostDateTimeSystemTimeZone);

	value_push(c->arena, list, time_zone(c->arena));
	call_return(c, list);
}

static void time_change(struct call *c)
{
	call_fault(c, fault_new(c->arena, T_HostConfigFault),
		   "the clock of host \"%s\" is kept by its operating system",
		   ((struct host *)call_arg(c))->node.name);
}

static void time_build(struct host *h, struct arena *a)
{
	struct object *o = manager_new(h, T_HostDateTimeSystem, "dateTimeSystem",
				       F_HostConfigManager_dateTimeSystem);
	struct value *info = value_new(a, T_HostDateTimeInfo);

	value_set(a, info, F_HostDateTimeInfo_timeZone, time_zone(a));
	value_set(a, info, F_HostDateTimeInfo_ntpConfig, value_new(a, T_HostNtpConfig));
	inventory_set(o, P_HostDateTimeSystem_dateTimeInfo, info);
	host_system_set_config(h, F_HostConfigInfo_dateTimeInfo, info);
	handle(h, T_HostDateTimeSystem, M_HostDateTimeSystem_QueryDateTime, query_time);
	handle(h, T_HostDateTimeSystem, M_HostDateTimeSystem_QueryAvailableTimeZones, query_zones);
	handle(h, T_HostDateTimeSystem, M_HostDateTimeSystem_RefreshDateTimeSystem, do_nothing);
	handle(h, T_HostDateTimeSystem, M_HostDateTimeSystem_UpdateDateTime, time_change);
	handle(h, T_HostDateTimeSystem, M_HostDateTimeSystem_UpdateDateTimeConfig, time_change);
}

/* ---- storage ---- */

static struct value *scsi_disk(const struct hardware_block *b, struct arena *a)
{
	static const char *const ok[] = { "ok", NULL };
	struct value *v = value_new(a, T_HostScsiDisk);
	struct value *capacity = value_new(a, T_HostDiskDimensionsLba);
	uint32_t sector = b->sector == 0 ? 512 : b->sector;

	value_set_num(a, capacity, F_HostDiskDimensionsLba_blockSize, (int32_t)sector);
	value_set_num(a, capacity, F_HostDiskDimensionsLba_block, (int64_t)(b->size / sector));
	value_set_strf(a, v, F_HostDevice_deviceName, "/dev/%s", b->name);
	value_set_str(a, v, F_HostDevice_deviceType, "disk");
	value_set_strf(a, v, F_ScsiLun_key, "key-vim.host.ScsiDisk-%s", b->name);
	value_set_str(a, v, F_ScsiLun_uuid, b->serial[0] != '\0' ? b->serial : b->name);
	value_set_str(a, v, F_ScsiLun_canonicalName, b->name);
	value_set_strf(a, v, F_ScsiLun_displayName, "%s %s (%s)", b->vendor, b->model, b->name);
	value_set_str(a, v, F_ScsiLun_lunType, "disk");
	value_set_str(a, v, F_ScsiLun_vendor, b->vendor);
	value_set_str(a, v, F_ScsiLun_model, b->model);
	value_set(a, v, F_ScsiLun_operationalState, draft_strings(a, ok));
	value_set(a, v, F_HostScsiDisk_capacity, capacity);
	value_set_strf(a, v, F_HostScsiDisk_devicePath, "/dev/%s", b->name);
	value_set_bool(a, v, F_HostScsiDisk_ssd, b->ssd);
	value_set_bool(a, v, F_HostScsiDisk_localDisk, true);
	return v;
}

static struct value *block_hbas(struct arena *a)
{
	struct value *list = value_new_array(a, T_HostHostBusAdapter);
	struct value *v = value_new(a, T_HostBlockHba);

	value_set_str(a, v, F_HostHostBusAdapter_key, "key-vim.host.BlockHba-vmhba0");
	value_set_str(a, v, F_HostHostBusAdapter_device, "vmhba0");
	value_set_num(a, v, F_HostHostBusAdapter_bus, 0);
	value_set_str(a, v, F_HostHostBusAdapter_status, "online");
	value_set_str(a, v, F_HostHostBusAdapter_model, "Local block devices of the node");
	value_push(a, list, v);
	return list;
}

static void storage_build(struct host *h, struct arena *a)
{
	struct object *o = manager_new(h, T_HostStorageSystem, "storageSystem",
				       F_HostConfigManager_storageSystem);
	struct value *info = value_new(a, T_HostStorageDeviceInfo);
	struct value *luns = value_new_array(a, T_ScsiLun);

	for (size_t i = 0; i < h->hardware->n_blocks; i++) {
		value_push(a, luns, scsi_disk(&h->hardware->blocks[i], a));
	}
	/* Where there is none the list stays unset: libvirt takes an empty one for an error. */
	if (h->hardware->n_blocks > 0) {
		value_set(a, info, F_HostStorageDeviceInfo_hostBusAdapter, block_hbas(a));
	}
	value_set(a, info, F_HostStorageDeviceInfo_scsiLun, luns);
	value_set_bool(a, info, F_HostStorageDeviceInfo_softwareInternetScsiEnabled, false);
	inventory_set(o, P_HostStorageSystem_storageDeviceInfo, info);
	host_system_set_config(h, F_HostConfigInfo_storageDevice, info);
	handle(h, T_HostStorageSystem, M_HostStorageSystem_RescanAllHba, do_nothing);
	handle(h, T_HostStorageSystem, M_HostStorageSystem_RescanVmfs, do_nothing);
	handle(h, T_HostStorageSystem, M_HostStorageSystem_RefreshStorageSystem, do_nothing);
}

/* ---- which traffic the host's own adapter carries ---- */

static struct value *net_config(struct arena *a)
{
	struct value *v = value_new(a, T_VirtualNicManagerNetConfig);
	struct value *nics = value_new_array(a, T_string);

	value_push_str(a, nics, "management.key-vim.host.VirtualNic-vmk0");
	value_set_str(a, v, F_VirtualNicManagerNetConfig_nicType, "management");
	value_set_bool(a, v, F_VirtualNicManagerNetConfig_multiSelectAllowed, true);
	value_set(a, v, F_VirtualNicManagerNetConfig_selectedVnic, nics);
	return v;
}

static void query_net_config(struct call *c)
{
	const char *type = value_get_str(c->args, A_HostVirtualNicManager_QueryNetConfig_nicType);

	if (strcmp(type, "management") == 0) {
		call_return(c, net_config(c->arena));
	} else {
		call_fault(c, fault_invalid_argument(c->arena, "nicType"),
			   "no adapter of this host carries \"%.60s\"", type);
	}
}

static void nics_build(struct host *h, struct arena *a)
{
	struct object *o = manager_new(h, T_HostVirtualNicManager, "virtualNicManager",
				       F_HostConfigManager_virtualNicManager);
	struct value *info = value_new(a, T_HostVirtualNicManagerInfo);
	struct value *list = value_new_array(a, T_VirtualNicManagerNetConfig);

	value_push(a, list, net_config(a));
	value_set(a, info, F_HostVirtualNicManagerInfo_netConfig, list);
	inventory_set(o, P_HostVirtualNicManager_info, info);
	host_system_set_config(h, F_HostConfigInfo_virtualNicManagerInfo, info);
	handle(h, T_HostVirtualNicManager, M_HostVirtualNicManager_QueryNetConfig,
	       query_net_config);
}

/* ---- health ---- */

static void health_build(struct host *h)
{
	h->health = manager_new(h, T_HostHealthStatusSystem, "healthStatusSystem",
				F_HostConfigManager_healthStatusSystem);
	host_sensors_register(h);
	host_system_set_runtime(h);
}

/* ---- life ---- */

/* Managers that the program made before the host. */
static void name_others(struct host *h)
{
	static const struct {
		const char *id;
		unsigned field;
	} others[] = {
		{ "ha-localacctmgr", F_HostConfigManager_accountManager },
		{ "ha-user-directory", F_HostConfigManager_userDirectory },
		{ "ha-license-manager", F_HostConfigManager_licenseManager },
	};

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		struct object *o = inventory_find(h->inventory, others[i].id);
		if (o != NULL) {
			inventory_set_nested(h->system, P_HostSystem_configManager,
					     &others[i].field, 1, o->ref);
		}
	}
}

void host_services_build(struct host *h)
{
	struct arena *a = arena_new(0);

	h->services = mem_zalloc(sizeof(*h->services));
	services_build(h, a);
	firewall_build(h, a);
	time_build(h, a);
	storage_build(h, a);
	nics_build(h, a);
	if (!h->simulated) {
		health_build(h);
	}
	name_others(h);
	arena_free(a);
}

void host_services_free(struct host *h)
{
	struct host_services *s = h->services;

	if (s == NULL) {
		return;
	}
	host_autostart_free(h);
	host_options_free(h);
	vec_each (&s->objects, o) {
		inventory_remove(*o);
	}
	h->health = NULL;
	vec_free(&s->objects);
	free(s);
	h->services = NULL;
}
