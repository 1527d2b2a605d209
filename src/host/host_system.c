/* SPDX-License-Identifier: Apache-2.0 */
/* The HostSystem object: summary, runtime, capability, config; and who else is in configManager. */
#include <stdio.h>
#include <string.h>

#include "host/draft.h"
#include "host/host_impl.h"
#include "host/vmdk.h"
#include "vim/certificate.h"

/* ---- what it is ---- */

struct value *host_about(struct host *h, struct arena *a)
{
	struct object *si = inventory_find(h->inventory, "ServiceInstance");
	const struct value *content =
		si == NULL ? NULL : object_get(si, P_ServiceInstance_content, a);
	const struct value *about =
		content == NULL ? NULL : value_get_value(content, F_ServiceContent_about);

	return about == NULL ? NULL : value_edit(a, about);
}

static struct value *config_summary(struct host *h, struct arena *a)
{
	struct value *v = value_new(a, T_HostConfigSummary);

	value_set_str(a, v, F_HostConfigSummary_name, h->node.name);
	value_set_num(a, v, F_HostConfigSummary_port, h->node.port);
	value_set(a, v, F_HostConfigSummary_product, host_about(h, a));
	value_set_bool(a, v, F_HostConfigSummary_vmotionEnabled, !h->simulated);
	value_set_bool(a, v, F_HostConfigSummary_faultToleranceEnabled, false);
	return v;
}

static struct value *summary(struct host *h, struct arena *a)
{
	struct value *v = value_new(a, T_HostListSummary);

	draft_set_object(a, v, F_HostListSummary_host, h->system);
	value_set(a, v, F_HostListSummary_hardware, host_hardware_summary(h, a));
	value_set(a, v, F_HostListSummary_config, config_summary(h, a));
	value_set(a, v, F_HostListSummary_quickStats, value_new(a, T_HostListSummaryQuickStats));
	value_set_num(a, v, F_HostListSummary_overallStatus, E_ManagedEntityStatus_green);
	value_set_bool(a, v, F_HostListSummary_rebootRequired, false);
	return v;
}

void host_set_endpoint(struct host *h, uint16_t port, const char *cert_path)
{
	static const unsigned in_summary[] = { F_HostListSummary_config };
	struct certificate_thumbprints prints;
	struct arena *a = arena_new(0);
	struct error e;

	h->node.port = port;
	struct value *v = config_summary(h, a);
	if (certificate_thumbprints(cert_path, &prints, &e)) {
		value_set_str(a, v, F_HostConfigSummary_sslThumbprint, prints.sha1);
	}
	inventory_set_nested(h->system, P_HostSystem_summary, in_summary, 1, v);
	arena_free(a);
}

/* ---- what it can ---- */

struct value *host_capability(const struct host *h, struct arena *a)
{
	static const int can[] = {
		F_HostCapability_recursiveResourcePoolsSupported,
		F_HostCapability_cpuMemoryResourceConfigurationSupported,
		F_HostCapability_maintenanceModeSupported,
		F_HostCapability_nicTeamingSupported,
		F_HostCapability_vlanTaggingSupported,
		F_HostCapability_highGuestMemSupported,
		F_HostCapability_preAssignedPCIUnitNumbersSupported,
		F_HostCapability_virtualExecUsageSupported,
		F_HostCapability_hostAccessManagerSupported,
		F_HostCapability_vmCreateDateSupported,
		F_HostCapability_vmotionSupported,
		-1,
	};
	struct value *v = value_new(a, T_HostCapability);

	draft_fill(a, v);
	draft_set_true(a, v, can);
	value_set_bool(a, v, F_HostCapability_hostAccessManagerSupported, false);
	value_set_num(a, v, F_HostCapability_maxSupportedVcpus, VM_CPUS_MAX);
	value_set_num(a, v, F_HostCapability_maxSupportedVmMemory, VM_MEMORY_MAX_MB);
	value_set_bool(a, v, F_HostCapability_cpuHwMmuSupported, h->accel.kind == MACHINE_KVM);
	return v;
}

/* ---- how it is ---- */

static struct value *health(struct host *h, struct arena *a)
{
	struct value *cards = host_pairing_status(h, a);
	struct value *status = value_new(a, T_HostHardwareStatusInfo);
	struct value *v = value_new(a, T_HealthSystemRuntime);

	host_sensors_show(h, a, v, status);
	value_set(a, status, F_HostHardwareStatusInfo_dpuStatusInfo, cards);
	value_set(a, v, F_HealthSystemRuntime_hardwareStatusInfo, status);
	return v;
}

void host_system_set_runtime(struct host *h)
{
	static const unsigned in_summary[] = { F_HostListSummary_runtime };
	struct arena *a = arena_new(0);
	struct value *v = value_new(a, T_HostRuntimeInfo);
	struct value *ill = health(h, a);

	value_set_num(a, v, F_HostRuntimeInfo_connectionState,
		      E_HostSystemConnectionState_connected);
	value_set_num(a, v, F_HostRuntimeInfo_powerState, E_HostSystemPowerState_poweredOn);
	value_set_str(a, v, F_HostRuntimeInfo_standbyMode, "none");
	value_set_bool(a, v, F_HostRuntimeInfo_inMaintenanceMode, h->in_maintenance);
	value_set_bool(a, v, F_HostRuntimeInfo_inQuarantineMode, false);
	value_set_num(a, v, F_HostRuntimeInfo_bootTime, h->boot_time_us);
	value_set(a, v, F_HostRuntimeInfo_healthSystemRuntime, ill);
	value_set_num(a, v, F_HostRuntimeInfo_hostMaxVirtualDiskCapacity,
		      (int64_t)VMDK_CAPACITY_MAX);
	value_set_str(a, v, F_HostRuntimeInfo_cryptoState, "incapable");
	inventory_set(h->system, P_HostSystem_runtime, v);
	inventory_set_nested(h->system, P_HostSystem_summary, in_summary, 1, v);
	if (h->health != NULL) {
		inventory_set(h->health, P_HostHealthStatusSystem_runtime, ill);
	}
	arena_free(a);
}

/* ---- config ---- */

void host_system_set_config(struct host *h, unsigned field, const struct value *v)
{
	inventory_set_nested(h->system, P_HostSystem_config, &field, 1, v);
}

static struct value *hyper_thread(const struct host *h, struct arena *a)
{
	const struct hardware_cpu *cpu = &h->hardware->cpu;
	struct value *v = value_new(a, T_HostHyperThreadScheduleInfo);
	bool is_on = cpu->n_cores != 0 && cpu->n_threads > cpu->n_cores;

	value_set_bool(a, v, F_HostHyperThreadScheduleInfo_available, is_on);
	value_set_bool(a, v, F_HostHyperThreadScheduleInfo_active, is_on);
	value_set_bool(a, v, F_HostHyperThreadScheduleInfo_config, is_on);
	return v;
}

static struct value *config(struct host *h, struct arena *a)
{
	struct value *v = value_new(a, T_HostConfigInfo);
	struct value *flags = value_new(a, T_HostFlagInfo);

	draft_set_object(a, v, F_HostConfigInfo_host, h->system);
	value_set(a, v, F_HostConfigInfo_product, host_about(h, a));
	value_set(a, v, F_HostConfigInfo_hyperThread, hyper_thread(h, a));
	value_set(a, v, F_HostConfigInfo_flags, flags);
	value_set_bool(a, v, F_HostConfigInfo_adminDisabled, false);
	value_set_num(a, v, F_HostConfigInfo_lockdownMode, E_HostLockdownMode_lockdownDisabled);
	draft_fill(a, v);
	return v;
}

static void licensable(struct host *h, struct arena *a)
{
	struct value *info = value_new(a, T_HostLicensableResourceInfo);
	struct value *list = value_new_array(a, T_KeyAnyValue);
	struct value *v = value_new(a, T_KeyAnyValue);
	unsigned n = h->hardware->cpu.n_packages;

	value_set_str(a, v, F_KeyAnyValue_key, "numCpuPackages");
	value_set(a, v, F_KeyAnyValue_value, value_new_int(a, n == 0 ? 1 : (int32_t)n));
	value_push(a, list, v);
	value_set(a, info, F_HostLicensableResourceInfo_resource, list);
	inventory_set(h->system, P_HostSystem_licensableResource, info);
}

void host_system_build(struct host *h)
{
	struct arena *a = arena_new(0);

	h->system = host_entity_new(h, T_HostSystem, "ha-host", h->node.name, h->compute);
	inventory_set(h->system, P_HostSystem_hardware, host_hardware_info(h, a));
	inventory_set(h->system, P_HostSystem_summary, summary(h, a));
	inventory_set(h->system, P_HostSystem_capability, host_capability(h, a));
	inventory_set(h->system, P_HostSystem_config, config(h, a));
	inventory_set(h->system, P_HostSystem_configManager, value_new(a, T_HostConfigManager));
	licensable(h, a);
	arena_free(a);
	host_system_set_runtime(h);
}
