/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the memory and the processors of a node are shared out: what the system itself, hostd and the
 * data planes keep, and what is left for VMs. A node that has only a share of a machine (node.json)
 * keeps nothing of the share, as long as the rest of the machine has room for the others.
 *
 * What is kept follows from figures measured on the image (docs/internals/machines.md): they are
 * upper bounds, so that what was promised to VMs is there, also on a card of 2 GB.
 *
 * A plain struct; pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "host/cores.h"
#include "host/hardware.h"
#include "host/machine.h"
#include "host/node.h"

struct budget {
	uint64_t machine_mib;  /* what the kernel manages; 0: unknown, then only the share counts */
	uint64_t share_mib;    /* of the machine, as node.json says */
	uint64_t kept_mib;     /* kernel, services, data planes, huge pages */
	uint64_t vms_mib;      /* what all VMs together can have */
	uint64_t overhead_mib; /* what a VM's process takes beside the VM's memory */
	unsigned cpus;	       /* of the share */
	unsigned vms_cpus;     /* those of them that VMs run on… */
	unsigned vcpus_max;    /* …but one VM has no more than this */
	uint64_t share_mhz;    /* of the share; 0: the processors' speed is not known */
	uint64_t vms_mhz;      /* what all VMs together are promised at most */
};

/* `has_switch`: the node runs a data plane. `gic`: of struct accel. `cores`: NULL: all of the
 * share is for VMs. */
struct budget_config {
	const struct hardware *hardware;
	const struct node *node;
	bool has_switch;
	enum machine_accel accel;
	unsigned gic;
	const struct cores *cores;
};
void budget_make(struct budget *out, const struct budget_config *c);

/* What another VM can have, in MiB, where `n` of them have `on_mib` together. */
uint64_t budget_free(const struct budget *b, uint64_t on_mib, size_t n);

/* What another VM can reserve of the processors, in MHz, where others have reserved so much. */
uint64_t budget_free_mhz(const struct budget *b, uint64_t reserved_mhz);
