/* SPDX-License-Identifier: Apache-2.0 */
/* What running VMs use of their host, looked at every 20 seconds, as ESXi does. */
#include <stdlib.h>

#include "base/macro.h"
#include "base/mem.h"
#include "base/timer.h"
#include "host/vm_impl.h"

enum {
	PERIOD_MS = 20000,
	CPU_STEP_MHZ = 20,
	MEMORY_STEP = 4 << 20,
	FILES_AGE_S = 300, /* after which sizes of files are looked at again */
};

static uint64_t rounded(uint64_t n, uint64_t step)
{
	return (n + step / 2) / step * step;
}

static void stats_tick_vm(struct vm *vm, const struct machine_usage *u)
{
	struct host *h = vm->layer->host;
	int64_t now = clock_mono_us(h->clock);
	struct vm_stats next = { .cpu_us = u->cpu_us,
				 .at_us = now,
				 .resident = rounded(u->resident, MEMORY_STEP) };
	struct vm_change change;
	bool is_old = vm->files != NULL &&
		      clock_wall_us(h->clock) - vm->files->seen_us > FILES_AGE_S * INT64_C(1000000);

	if (vm->stats == NULL) {
		vm->stats = mem_zalloc(sizeof(*vm->stats));
	} else if (now > vm->stats->at_us && u->cpu_us >= vm->stats->cpu_us) {
		uint64_t mhz = (u->cpu_us - vm->stats->cpu_us) * host_cpu_mhz(h) /
			       (uint64_t)(now - vm->stats->at_us);
		next.cpu_mhz = (uint32_t)rounded(mhz, CPU_STEP_MHZ);
	}
	/* An idle VM wakes nobody. */
	if (!is_old && next.cpu_mhz == vm->stats->cpu_mhz && next.resident == vm->stats->resident) {
		*vm->stats = next;
		return;
	}
	vm_change_begin(vm, &change);
	*vm->stats = next;
	if (is_old) {
		vm_files_forget(vm);
	}
	vm_change_end(&change);
}

static void stats_tick(void *arg)
{
	struct vm_layer *l = arg;
	struct machine_usage u;

	list_each (struct vm, vm, &l->vms, link) {
		if (vm->object != NULL && vm->machine != NULL &&
		    vm->power == E_VirtualMachinePowerState_poweredOn &&
		    machine_usage(vm->machine, &u, NULL)) {
			stats_tick_vm(vm, &u);
			machine_tidy(vm->machine);
		}
	}
}

void vm_each_machine(struct host *h,
		     void (*fn)(void *arg, const char *name, const struct machine *m), void *arg)
{
	struct vm_layer *l = h->vm_layer;

	list_each (struct vm, vm, &l->vms, link) {
		if (vm->machine != NULL && machine_state(vm->machine) != MACHINE_OFF) {
			fn(arg, vm_name(vm), vm->machine);
		}
	}
}

void vm_stats_start(struct vm_layer *l)
{
	l->stats_timer = timer_new(l->host->loop, l->host->clock, stats_tick, l);
	timer_start(l->stats_timer, PERIOD_MS, PERIOD_MS);
}

void vm_stats_stop(struct vm_layer *l)
{
	timer_free(l->stats_timer);
	l->stats_timer = NULL;
}
