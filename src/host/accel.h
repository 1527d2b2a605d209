/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which acceleration this node really has. A /dev/kvm that opens promises nothing: emulated
 * machines and sandboxes show one that runs no kernel. KVM is claimed only where the processor has
 * virtualization extensions, the device opens, and a virtual processor has executed instructions.
 *
 * Takes milliseconds; any thread; ask once at start.
 */
#pragma once

#include "host/machine.h"

struct accel {
	enum machine_accel kind;
	char why[240]; /* one sentence for people: which, and why */
	unsigned gic;  /* KVM on Arm: version of the interrupt controller of its guests; else 0 */
};

/* `root` stands before /proc and /dev: "" in production, a tree in tests. Never fails: what
 * cannot be proven is TCG. Answers for VMs of the node's own architecture. */
void accel_probe(const char *root, struct accel *out);

/* The architecture this program was built for, whose VMs the node runs. */
enum machine_arch accel_arch(void);
