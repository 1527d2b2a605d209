/* SPDX-License-Identifier: Apache-2.0 */
/* What running VMs use of their host, looked at every 20 seconds, as ESXi does. */
#include <stdlib.h>

#include "base/macro.h"
#include "base/mem.h"
#include "base/timer.h"
#include "host/vm_impl.h"

enum {
	PERIOD_MS = 20000
};

static void stats_take(struct vm *vm, const struct machine_usage *u)
{
	struct host *h = vm->layer->host;
	int64_t now = clock_mono_us(h->clock);
	struct vm_stats *s = vm->stats;

	if (s == NULL) {
		s = vm->stats = mem_zalloc(sizeof(*s));
	} else if (now > s->at_us && u->cpu_us >= s->cpu_us) {
		s->cpu_mhz = (uint32_t)((u->cpu_us - s->cpu_us) * host_cpu_mhz(h) /
					(uint64_t)(now - s->at_us));
	}
	s->cpu_us = u->cpu_us;
	s->resident = u->resident;
	s->at_us = now;
}

static void stats_tick(void *arg)
{
	struct vm_layer *l = arg;
	struct machine_usage u;
	struct vm_change change;

	list_each (struct vm, vm, &l->vms, link) {
		if (vm->object == NULL || vm->machine == NULL ||
		    vm->power != E_VirtualMachinePowerState_poweredOn ||
		    !machine_usage(vm->machine, &u, NULL)) {
			continue;
		}
		vm_change_begin(vm, &change);
		stats_take(vm, &u);
		vm_change_end(&change);
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
