/* SPDX-License-Identifier: Apache-2.0 */
#include "host/budget.h"

#include "base/macro.h"

#define KERNEL_MIB   160 /* kernel, init, console, caches that do not shrink */
#define KERNEL_SHARE 64	 /* and its tables: of all memory, one part in so many */
#define HOSTD_MIB    96
#define SWITCH_MIB   192 /* two processes and packet buffers, without the tables */
#define FLOW_BYTES   512 /* a flow in the table, its index, its place in the successor's */
#define OVERHEAD_MIB 64	 /* QEMU under KVM: code, devices, firmware */
#define TCG_MIB	     128 /* and where it translates: the translations */
#define GIC2_VCPUS   8	 /* interfaces of a GICv2 (Arm IHI 0048, 1.2) */
#define MIB	     (UINT64_C(1) << 20)

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t kept(const struct budget_config *c, uint64_t machine_mib)
{
	uint64_t flows = c->node->flows != 0 ? c->node->flows : NODE_FLOWS;
	uint64_t mib =
		KERNEL_MIB + machine_mib / KERNEL_SHARE + HOSTD_MIB + c->hardware->huge_pages / MIB;
	if (c->has_switch) {
		mib += SWITCH_MIB + flows * FLOW_BYTES / MIB;
	}
	return MIN(mib, machine_mib);
}

static void share_processors(struct budget *b, const struct budget_config *c)
{
	uint64_t mhz = c->hardware->cpu.hz / 1000000;
	uint64_t percent = UINT64_C(100) * b->cpus;

	b->vms_cpus = b->cpus;
	if (c->cores != NULL && c->cores->kind != CORES_SHARE) {
		b->vms_cpus = MIN(b->cpus, c->cores->n_vms);
		percent = less(UINT64_C(100) * MIN(b->cpus, c->cores->n_usable),
			       c->cores->kept_percent);
	}
	b->vcpus_max = MIN(b->vms_cpus, (unsigned)MACHINE_VCPUS_MAX);
	if (c->gic == 2) {
		b->vcpus_max = MIN(b->vcpus_max, (unsigned)GIC2_VCPUS);
	}
	b->share_mhz = mhz * b->cpus;
	b->vms_mhz = mhz * percent / 100;
}

void budget_make(struct budget *out, const struct budget_config *c)
{
	struct budget b = {
		.machine_mib = c->hardware->memory / MIB,
		.share_mib = c->node->memory_mib,
		.overhead_mib = c->accel == MACHINE_KVM ? OVERHEAD_MIB : OVERHEAD_MIB + TCG_MIB,
		.cpus = c->node->cpus,
	};
	share_processors(&b, c);
	b.vms_mib = b.share_mib;
	if (b.machine_mib != 0) {
		b.kept_mib = kept(c, b.machine_mib);
		b.vms_mib = MIN(b.share_mib, less(b.machine_mib, b.kept_mib));
	}
	*out = b;
}

uint64_t budget_free(const struct budget *b, uint64_t on_mib, size_t n)
{
	uint64_t free_mib = less(b->vms_mib, on_mib);
	if (b->machine_mib == 0) {
		return free_mib;
	}
	uint64_t room = less(b->machine_mib, b->kept_mib);
	return MIN(free_mib, less(room, on_mib + (n + 1) * b->overhead_mib));
}

uint64_t budget_free_mhz(const struct budget *b, uint64_t reserved_mhz)
{
	return less(b->vms_mhz, reserved_mhz);
}
