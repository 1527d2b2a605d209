/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What VMs may have of their host: processors, what they reserve of them, and memory. A VM that
 * runs or is about to is counted (vm_claim()); a simulated host has as much as anybody wants.
 */
#include <stdio.h>

#include "host/vm_impl.h"
#include "vim/fault.h"

#define CONFIG(f) F_VirtualMachineConfigInfo_##f

uint64_t vm_cpu_reserved(const struct value *config)
{
	int64_t mhz = value_get_num(value_get_value(config, CONFIG(cpuAllocation)),
				    F_ResourceAllocationInfo_reservation, 0);

	return mhz > 0 ? (uint64_t)mhz : 0;
}

void vm_count_cpu(struct vm *vm, uint64_t mhz)
{
	if (vm->counted) {
		vm->layer->cpu_on_mhz += mhz - vm->counted_mhz;
		vm->counted_mhz = mhz;
	}
}

bool vm_cpu_fits(const struct vm_layer *l, uint64_t want_mhz, uint64_t held, uint64_t *free_mhz)
{
	*free_mhz = budget_free_mhz(&l->host->budget, l->cpu_on_mhz - held);
	return l->host->simulated || want_mhz <= held || want_mhz <= *free_mhz;
}

bool vm_memory_fits(const struct vm_layer *l, uint64_t want_mb, uint64_t *free_mb)
{
	*free_mb = budget_free(&l->host->budget, l->memory_on_mb, l->n_on);
	return l->host->simulated || want_mb <= *free_mb;
}

/* ---- refusals ---- */

struct value *vm_cpu_fault(const struct vm *vm, uint64_t want_mhz, uint64_t free_mhz,
			   struct arena *a, struct vm_text *text)
{
	const struct host *h = vm->layer->host;
	struct value *f = fault_new(a, T_InsufficientCpuResourcesFault);

	value_set_num(a, f, F_InsufficientCpuResourcesFault_unreserved, (int64_t)free_mhz);
	value_set_num(a, f, F_InsufficientCpuResourcesFault_requested, (int64_t)want_mhz);
	if (h->budget.share_mhz == 0) {
		snprintf(text->s, sizeof(text->s),
			 "\"%s\" reserves %llu MHz of CPU; how fast those of host \"%s\" are is "
			 "not known, so nothing can be reserved",
			 vm_name(vm), (unsigned long long)want_mhz, h->node.name);
	} else {
		snprintf(text->s, sizeof(text->s),
			 "\"%s\" reserves %llu MHz of CPU; host \"%s\" has %llu MHz unreserved of "
			 "the %llu MHz that it has for VMs",
			 vm_name(vm), (unsigned long long)want_mhz, h->node.name,
			 (unsigned long long)free_mhz, (unsigned long long)h->budget.vms_mhz);
	}
	return f;
}

static struct value *cpus_fault(const struct vm *vm, int64_t cpus, struct arena *a,
				struct vm_text *text)
{
	const struct host *h = vm->layer->host;
	const struct budget *b = &h->budget;
	struct value *f = fault_new(a, T_NotEnoughLogicalCpus);

	value_set_num(a, f, F_NotEnoughCpus_numCpuDest, b->vcpus_max);
	value_set_num(a, f, F_NotEnoughCpus_numCpuVm, cpus);
	value_set(a, f, F_NotEnoughLogicalCpus_host, h->system->ref);
	snprintf(text->s, sizeof(text->s), "\"%s\" has %lld CPUs, host \"%s\" only %u for a VM%s",
		 vm_name(vm), (long long)cpus, h->node.name, b->vcpus_max,
		 b->vms_cpus < b->cpus ? ", for the data planes have the others" : "");
	return f;
}

static struct value *memory_fault(const struct vm *vm, uint64_t want_mb, uint64_t free_mb,
				  struct arena *a, struct vm_text *text)
{
	const struct host *h = vm->layer->host;
	struct value *f = fault_new(a, T_InsufficientMemoryResourcesFault);

	value_set_num(a, f, F_InsufficientMemoryResourcesFault_unreserved,
		      (int64_t)(free_mb << 20));
	value_set_num(a, f, F_InsufficientMemoryResourcesFault_requested, (int64_t)(want_mb << 20));
	snprintf(text->s, sizeof(text->s),
		 "\"%s\" needs %llu MB of memory; host \"%s\" has %llu MB free of the %llu MB that "
		 "it has for VMs",
		 vm_name(vm), (unsigned long long)want_mb, h->node.name,
		 (unsigned long long)free_mb, (unsigned long long)h->budget.vms_mib);
	return f;
}

struct value *vm_admit(const struct vm *vm, struct arena *a, struct vm_text *text)
{
	const struct vm_layer *l = vm->layer;
	const struct value *config = vm_config(vm);
	const struct value *hw = value_get_value(config, CONFIG(hardware));
	int64_t cpus = value_get_num(hw, F_VirtualHardware_numCPU, 1);
	uint64_t want_mb = (uint64_t)value_get_num(hw, F_VirtualHardware_memoryMB, 0), free_mb;
	uint64_t want_mhz = vm_cpu_reserved(config), free_mhz;

	if (!l->host->simulated && cpus > l->host->budget.vcpus_max) {
		return cpus_fault(vm, cpus, a, text);
	}
	if (!vm_cpu_fits(l, want_mhz, 0, &free_mhz)) {
		return vm_cpu_fault(vm, want_mhz, free_mhz, a, text);
	}
	return vm_memory_fits(l, want_mb, &free_mb) ? NULL
						    : memory_fault(vm, want_mb, free_mb, a, text);
}
