/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's hardware as the API shows it: true facts (host/hardware.h), cut down to the share of
 * the machine that node.json gives this node.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "host/draft.h"
#include "host/host_impl.h"

uint64_t host_memory(const struct host *h)
{
	return h->node.memory_mib << 20;
}

uint64_t host_memory_for_vms(const struct host *h)
{
	return h->simulated ? h->node.memory_mib : h->budget.vms_mib;
}

uint64_t host_mhz_for_vms(const struct host *h)
{
	return h->simulated ? h->budget.share_mhz : h->budget.vms_mhz;
}

unsigned host_cpu_mhz(const struct host *h)
{
	return (unsigned)(h->hardware->cpu.hz / 1000000);
}

static unsigned share_threads(const struct host *h)
{
	return h->node.cpus;
}

static unsigned share_cores(const struct host *h)
{
	unsigned n = h->hardware->cpu.n_cores;

	return n == 0 || n > h->node.cpus ? h->node.cpus : n;
}

static unsigned share_packages(const struct host *h)
{
	unsigned n = h->hardware->cpu.n_packages;

	return n == 0 ? 1 : MIN(n, share_cores(h));
}

static const char *or_unknown(const char *s)
{
	return s[0] == '\0' ? "unknown" : s;
}

/* ---- processors ---- */

#if defined(__x86_64__)
static void register_text(struct arena *a, struct value *v, unsigned field, unsigned bits)
{
	char text[40];
	size_t n = 0;

	for (unsigned i = 0; i < 32; i++) {
		if (i > 0 && i % 4 == 0) {
			text[n++] = ':';
		}
		text[n++] = (bits >> (31 - i)) & 1 ? '1' : '0';
	}
	text[n] = '\0';
	value_set_str(a, v, field, text);
}

static struct value *cpu_features(struct arena *a)
{
	static const unsigned levels[] = { 0x0, 0x1, 0x80000000, 0x80000001 };
	struct value *list = value_new_array(a, T_HostCpuIdInfo);

	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		unsigned eax, ebx, ecx, edx;
		if (!__get_cpuid(levels[i], &eax, &ebx, &ecx, &edx)) {
			continue;
		}
		struct value *v = value_new(a, T_HostCpuIdInfo);
		value_set_num(a, v, F_HostCpuIdInfo_level, (int32_t)levels[i]);
		register_text(a, v, F_HostCpuIdInfo_eax, eax);
		register_text(a, v, F_HostCpuIdInfo_ebx, ebx);
		register_text(a, v, F_HostCpuIdInfo_ecx, ecx);
		register_text(a, v, F_HostCpuIdInfo_edx, edx);
		value_push(a, list, v);
	}
	return list;
}
#else
static struct value *cpu_features(struct arena *a)
{
	(void)a;
	return NULL;
}
#endif

static struct value *cpu_info(const struct host *h, struct arena *a)
{
	struct value *v = value_new(a, T_HostCpuInfo);

	value_set_num(a, v, F_HostCpuInfo_numCpuPackages, share_packages(h));
	value_set_num(a, v, F_HostCpuInfo_numCpuCores, share_cores(h));
	value_set_num(a, v, F_HostCpuInfo_numCpuThreads, share_threads(h));
	value_set_num(a, v, F_HostCpuInfo_hz, (int64_t)h->hardware->cpu.hz);
	return v;
}

/* The share's threads are dealt out evenly over as many packages as it can have. */
static struct value *cpu_packages(const struct host *h, struct arena *a)
{
	const struct hardware_cpu *cpu = &h->hardware->cpu;
	struct value *list = value_new_array(a, T_HostCpuPackage);
	unsigned n = share_packages(h), next = 0;

	for (unsigned i = 0; i < n; i++) {
		struct value *v = value_new(a, T_HostCpuPackage);
		struct value *threads = value_new_array(a, T_short);
		unsigned end = (unsigned)((uint64_t)share_threads(h) * (i + 1) / n);
		for (; next < end; next++) {
			value_push_num(a, threads, next);
		}
		value_set_num(a, v, F_HostCpuPackage_index, i);
		value_set_str(a, v, F_HostCpuPackage_vendor, or_unknown(cpu->vendor));
		value_set_num(a, v, F_HostCpuPackage_hz, (int64_t)cpu->hz);
		value_set_num(a, v, F_HostCpuPackage_busHz, 0);
		value_set_str(a, v, F_HostCpuPackage_description, or_unknown(cpu->model));
		value_set(a, v, F_HostCpuPackage_threadId, threads);
		if (cpu->x86_level != 0) {
			value_set_num(a, v, F_HostCpuPackage_family, (int16_t)cpu->family);
			value_set_num(a, v, F_HostCpuPackage_model, (int16_t)cpu->model_id);
			value_set_num(a, v, F_HostCpuPackage_stepping, (int16_t)cpu->stepping);
		}
		value_push(a, list, v);
	}
	return list;
}

/* A node with all of the machine shows its NUMA nodes; a share of it cannot say where it lies. */
static struct value *numa_info(const struct host *h, struct arena *a)
{
	struct value *v = value_new(a, T_HostNumaInfo);
	struct value *nodes = value_new_array(a, T_HostNumaNode);
	bool whole = h->node.cpus >= h->hardware->cpu.n_threads;
	size_t n = whole && h->hardware->n_numa > 1 ? h->hardware->n_numa : 1;
	int64_t begin = 0;

	for (size_t i = 0; i < n; i++) {
		const struct hardware_numa_node *from = n > 1 ? &h->hardware->numa[i] : NULL;
		struct value *node = value_new(a, T_HostNumaNode);
		struct value *cpus = value_new_array(a, T_short);
		int64_t bytes = (int64_t)(from != NULL ? from->memory : host_memory(h));
		size_t n_cpus = from != NULL ? from->n_cpus : share_threads(h);
		for (size_t c = 0; c < n_cpus; c++) {
			value_push_num(a, cpus, (int64_t)(from != NULL ? from->cpus[c] : c));
		}
		value_set_num(a, node, F_HostNumaNode_typeId, (int8_t)i);
		value_set(a, node, F_HostNumaNode_cpuID, cpus);
		value_set_num(a, node, F_HostNumaNode_memorySize, bytes);
		value_set_num(a, node, F_HostNumaNode_memoryRangeBegin, begin);
		value_set_num(a, node, F_HostNumaNode_memoryRangeLength, bytes);
		value_push(a, nodes, node);
		begin += bytes;
	}
	value_set_str(a, v, F_HostNumaInfo_type, n > 1 ? "NUMA" : "UMA");
	value_set_num(a, v, F_HostNumaInfo_numNodes, (int64_t)n);
	value_set(a, v, F_HostNumaInfo_numaNode, nodes);
	return v;
}

/* ---- the machine ---- */

static void identify(struct arena *a, struct value *list, const char *key, const char *label,
		     const char *text)
{
	if (text[0] == '\0') {
		return;
	}
	struct value *v = value_new(a, T_HostSystemIdentificationInfo);
	value_set_str(a, v, F_HostSystemIdentificationInfo_identifierValue, text);
	value_set(a, v, F_HostSystemIdentificationInfo_identifierType,
		  draft_element(a, key, label, label));
	value_push(a, list, v);
}

static struct value *identifying_info(const struct host *h, struct arena *a)
{
	struct value *list = value_new_array(a, T_HostSystemIdentificationInfo);

	identify(a, list, "ServiceTag", "Service tag of the system", h->hardware->system.serial);
	identify(a, list, "RemoraRole", "What this node is", node_role_name(h->node.role));
	if (h->node.role == NODE_DPU) {
		identify(a, list, "RemoraDpuId", "What the server calls this card",
			 arena_printf(a, "dpu-%s", h->node.uuid));
		identify(a, list, "RemoraServerUuid", "UUID of the server that this card sits in",
			 h->node.server_uuid);
	}
	return list;
}

static struct value *system_info(const struct host *h, struct arena *a)
{
	const struct hardware_system *s = &h->hardware->system;
	struct value *v = value_new(a, T_HostSystemInfo);

	value_set_str(a, v, F_HostSystemInfo_vendor, or_unknown(s->vendor));
	value_set_str(a, v, F_HostSystemInfo_model, or_unknown(s->model));
	value_set_str(a, v, F_HostSystemInfo_uuid, h->node.uuid);
	value_set(a, v, F_HostSystemInfo_otherIdentifyingInfo, identifying_info(h, a));
	if (s->serial[0] != '\0') {
		value_set_str(a, v, F_HostSystemInfo_serialNumber, s->serial);
	}
	return v;
}

static struct value *bios_info(const struct host *h, struct arena *a)
{
	const struct hardware_system *s = &h->hardware->system;
	struct value *v = value_new(a, T_HostBIOSInfo);
	struct tm tm = { 0 };

	if (s->bios_version[0] != '\0') {
		value_set_str(a, v, F_HostBIOSInfo_biosVersion, s->bios_version);
	}
	if (strptime(s->bios_date, "%Y-%m-%d", &tm) != NULL) {
		value_set_num(a, v, F_HostBIOSInfo_releaseDate, (int64_t)timegm(&tm) * 1000000);
	}
	if (s->bios_vendor[0] != '\0') {
		value_set_str(a, v, F_HostBIOSInfo_vendor, s->bios_vendor);
	}
	/* Elsewhere a kernel that was not started by UEFI says nothing of what did. */
	if (s->uefi || h->hardware->cpu.x86_level != 0) {
		value_set_str(a, v, F_HostBIOSInfo_firmwareType, s->uefi ? "UEFI" : "BIOS");
	}
	return v;
}

static struct value *pci_device(const struct hardware_pci *p, struct arena *a)
{
	struct value *v = value_new(a, T_HostPciDevice);

	value_set_str(a, v, F_HostPciDevice_id, p->address);
	value_set_num(a, v, F_HostPciDevice_classId, (int16_t)p->class_id);
	value_set_num(a, v, F_HostPciDevice_bus, (int8_t)p->bus);
	value_set_num(a, v, F_HostPciDevice_slot, (int8_t)p->slot);
	value_set_num(a, v, F_HostPciDevice_function, (int8_t)p->function);
	value_set_num(a, v, F_HostPciDevice_vendorId, (int16_t)p->vendor_id);
	value_set_num(a, v, F_HostPciDevice_subVendorId, (int16_t)p->subvendor_id);
	value_set_str(a, v, F_HostPciDevice_vendorName, or_unknown(p->vendor));
	value_set_num(a, v, F_HostPciDevice_deviceId, (int16_t)p->device_id);
	value_set_num(a, v, F_HostPciDevice_subDeviceId, (int16_t)p->subdevice_id);
	if (p->parent[0] != '\0') {
		value_set_str(a, v, F_HostPciDevice_parentBridge, p->parent);
	}
	value_set_str(a, v, F_HostPciDevice_deviceName, or_unknown(p->device));
	return v;
}

struct value *host_hardware_info(const struct host *h, struct arena *a)
{
	struct value *v = value_new(a, T_HostHardwareInfo);
	struct value *pci = value_new_array(a, T_HostPciDevice);

	for (size_t i = 0; i < h->hardware->n_pci; i++) {
		value_push(a, pci, pci_device(&h->hardware->pci[i], a));
	}
	value_set(a, v, F_HostHardwareInfo_systemInfo, system_info(h, a));
	value_set(a, v, F_HostHardwareInfo_cpuInfo, cpu_info(h, a));
	value_set(a, v, F_HostHardwareInfo_cpuPkg, cpu_packages(h, a));
	value_set_num(a, v, F_HostHardwareInfo_memorySize, (int64_t)host_memory(h));
	value_set(a, v, F_HostHardwareInfo_numaInfo, numa_info(h, a));
	value_set_bool(a, v, F_HostHardwareInfo_smcPresent, false);
	value_set(a, v, F_HostHardwareInfo_pciDevice, pci);
	value_set(a, v, F_HostHardwareInfo_cpuFeature, cpu_features(a));
	value_set(a, v, F_HostHardwareInfo_biosInfo, bios_info(h, a));
	return v;
}

struct value *host_hardware_summary(const struct host *h, struct arena *a)
{
	const struct hardware *hw = h->hardware;
	struct value *v = value_new(a, T_HostHardwareSummary);
	size_t n_hbas = 0;

	for (size_t i = 0; i < hw->n_pci; i++) {
		n_hbas += hw->pci[i].class_id >> 8 == 1; /* mass storage */
	}
	value_set_str(a, v, F_HostHardwareSummary_vendor, or_unknown(hw->system.vendor));
	value_set_str(a, v, F_HostHardwareSummary_model, or_unknown(hw->system.model));
	value_set_str(a, v, F_HostHardwareSummary_uuid, h->node.uuid);
	value_set(a, v, F_HostHardwareSummary_otherIdentifyingInfo, identifying_info(h, a));
	value_set_num(a, v, F_HostHardwareSummary_memorySize, (int64_t)host_memory(h));
	value_set_str(a, v, F_HostHardwareSummary_cpuModel, or_unknown(hw->cpu.model));
	value_set_num(a, v, F_HostHardwareSummary_cpuMhz, host_cpu_mhz(h));
	value_set_num(a, v, F_HostHardwareSummary_numCpuPkgs, share_packages(h));
	value_set_num(a, v, F_HostHardwareSummary_numCpuCores, share_cores(h));
	value_set_num(a, v, F_HostHardwareSummary_numCpuThreads, share_threads(h));
	value_set_num(a, v, F_HostHardwareSummary_numNics, (int64_t)hw->n_nics);
	value_set_num(a, v, F_HostHardwareSummary_numHBAs, (int64_t)n_hbas);
	return v;
}
