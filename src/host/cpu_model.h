/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a VM's guest knows of the processor under it, said so that another node can judge whether
 * the running guest can go on there. A node describes itself; the description travels as JSON; the
 * other end compares it with its own.
 *
 *   {"version": 1, "arch": "aarch64", "accel": "kvm", "cpu": "host", "machine": "virt-7.2",
 *    "vendor": "arm", "model": "Cortex-A72",
 *    "implementer": 65, "part": 3336, "variant": 0, "revision": 3, "timer_hz": 62500000, "gic": 3,
 *    "family": 6, "model_id": 106,                x86 instead of the line above
 *    "features": ["asimd", "crc32", …]}           what guests see
 *
 * What decides:
 *  - architecture, acceleration, machine type, and QEMU's processor are the same;
 *  - under TCG nothing else of the hardware reaches the guest;
 *  - under KVM on Arm a guest runs on the very processor: KVM gives it the real identification
 *    registers and does not let them be set (Linux 6.1, arch/arm64/kvm/sys_regs.c,
 *    invariant_sys_regs and set_id_reg()), so implementer, part, variant and revision are equal,
 *    features the same, as are the timer's frequency and the interrupt controller;
 *  - under KVM on x86 with the host's own model: vendor, family and model are equal and no feature
 *    that guests see is missing.
 * QEMU's version does not: the machine type bears one, which every later QEMU knows; an older QEMU
 * that cannot read what a newer one sends says so, and the guest goes on where it was.
 *
 * Pure; any thread.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "base/error.h"
#include "host/accel.h"
#include "host/hardware.h"

/* The description of VMs that run here; the caller owns it. `arch` is the VMs'. */
struct json_object *cpu_model_describe(const struct hardware_cpu *cpu, enum machine_arch arch,
				       const struct accel *accel);

/* Whether a guest of `source` (from another node: hostile) can go on at `here`
 * (cpu_model_describe() of this node). ERROR_UNSUPPORTED names what differs: both processors, or
 * the features; ERROR_INVALID: the description is malformed. */
bool cpu_model_accepts(struct json_object *source, struct json_object *here, struct error *e);
