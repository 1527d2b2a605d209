/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HostSystem.summary.quickStats: what the host uses of its processors and memory.
 *
 * A node that has its whole machine shows the machine's figures. One that has a share shows what
 * its VMs use, and itself. Figures are rounded so that an idle host does not change: waiting
 * clients are not woken for noise.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/number.h"
#include "host/draft.h"
#include "host/host_datastore.h"
#include "host/host_impl.h"

enum {
	STATS_PERIOD_MS = 20000,
	UPTIME_STEP_S = 300,
	CPU_STEPS = 50, /* of all processors: 2 % */
	MEMORY_STEP_MB = 32,
};

struct host_stats {
	struct timer *timer;
	struct hardware_usage last;
	int64_t self_cpu_us, self_wall_us; /* of this process, at the last sample */
};

struct figures {
	int64_t cpu_mhz, memory_mb;
};

static int64_t round_to(int64_t n, int64_t step)
{
	return step <= 1 ? n : (n + step / 2) / step * step;
}

static bool is_whole_machine(const struct host *h)
{
	return !h->simulated && h->node.cpus >= h->hardware->cpu.n_threads;
}

static void machine_figures(struct host *h, struct figures *f)
{
	struct hardware_usage now;

	if (!hardware_usage_read(&now, "")) {
		return;
	}
	double percent = hardware_cpu_percent(&h->stats->last, &now);
	h->stats->last = now;
	f->cpu_mhz = (int64_t)(percent / 100 * host_cpu_mhz(h) * h->node.cpus);
	f->memory_mb = (int64_t)((now.memory_total - now.memory_available) >> 20);
}

static void vm_figures(struct host *h, struct figures *f)
{
	struct arena *a = arena_new(0);
	const struct value *vms = object_get(h->system, P_HostSystem_vm, a);

	for (size_t i = 0; i < value_count(vms); i++) {
		struct object *vm = inventory_find_ref(h->inventory, value_item(vms, i));
		const struct value *s =
			vm == NULL ? NULL : object_get(vm, P_VirtualMachine_summary, a);
		const struct value *q =
			s == NULL ? NULL : value_get_value(s, F_VirtualMachineSummary_quickStats);
		f->cpu_mhz += value_get_num(q, F_VirtualMachineQuickStats_overallCpuUsage, 0);
		f->memory_mb += value_get_num(q, F_VirtualMachineQuickStats_hostMemoryUsage, 0);
	}
	arena_free(a);
}

/* Of this process, now: the second number of /proc/self/statm, proc(5). */
static uint64_t resident_bytes(void)
{
	struct buf text = BUF_INIT;
	uint64_t pages = 0;

	if (file_read("/proc/self/statm", 256, &text, NULL)) {
		const char *at = strchr(text.data, ' ');
		if (at != NULL) {
			number_u64_n(at + 1, strcspn(at + 1, " "), &pages);
		}
	}
	buf_free(&text);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void self_figures(struct host *h, struct figures *f)
{
	struct rusage r;
	int64_t now = clock_mono_us(h->clock);

	if (getrusage(RUSAGE_SELF, &r) != 0) {
		return;
	}
	int64_t cpu = (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * (int64_t)1000000 +
		      r.ru_utime.tv_usec + r.ru_stime.tv_usec;
	int64_t span = now - h->stats->self_wall_us;
	if (span > 0 && h->stats->self_wall_us != 0) {
		f->cpu_mhz += (cpu - h->stats->self_cpu_us) * host_cpu_mhz(h) / span;
	}
	h->stats->self_cpu_us = cpu;
	h->stats->self_wall_us = now;
	f->memory_mb += (int64_t)(resident_bytes() >> 20);
}

static void stats_refresh(void *arg)
{
	static const unsigned in_summary[] = { F_HostListSummary_quickStats };
	struct host *h = arg;
	struct figures f = { 0 };
	int64_t total = (int64_t)host_cpu_mhz(h) * h->node.cpus;
	int64_t uptime = (clock_wall_us(h->clock) - h->boot_time_us) / 1000000;

	if (is_whole_machine(h)) {
		machine_figures(h, &f);
	} else {
		vm_figures(h, &f);
		if (!h->simulated) {
			self_figures(h, &f);
		}
	}
	f.cpu_mhz = MIN(round_to(f.cpu_mhz, total / CPU_STEPS), total);
	f.memory_mb = MIN(round_to(f.memory_mb, MEMORY_STEP_MB), (int64_t)h->node.memory_mib);

	struct arena *a = arena_new(0);
	struct value *v = value_new(a, T_HostListSummaryQuickStats);
	value_set_num(a, v, F_HostListSummaryQuickStats_overallCpuUsage, f.cpu_mhz);
	value_set_num(a, v, F_HostListSummaryQuickStats_overallMemoryUsage, f.memory_mb);
	value_set_num(a, v, F_HostListSummaryQuickStats_distributedCpuFairness, 0);
	value_set_num(a, v, F_HostListSummaryQuickStats_distributedMemoryFairness, 0);
	value_set_num(a, v, F_HostListSummaryQuickStats_uptime,
		      MAX(uptime, 0) / UPTIME_STEP_S * UPTIME_STEP_S);
	inventory_set_nested(h->system, P_HostSystem_summary, in_summary, 1, v);
	arena_free(a);
	list_each (struct host_datastore, d, &h->datastores, link) {
		if (!h->simulated) {
			host_datastore_glance(d);
		}
	}
}

void host_stats_start(struct host *h)
{
	h->stats = mem_zalloc(sizeof(*h->stats));
	if (is_whole_machine(h) && !hardware_usage_read(&h->stats->last, "")) {
		h->stats->last = (struct hardware_usage){ 0 };
	}
	h->stats->timer = timer_new(h->loop, h->clock, stats_refresh, h);
	stats_refresh(h);
	timer_start(h->stats->timer, STATS_PERIOD_MS, STATS_PERIOD_MS);
}

void host_stats_stop(struct host *h)
{
	if (h->stats != NULL) {
		timer_free(h->stats->timer);
		free(h->stats);
		h->stats = NULL;
	}
}
