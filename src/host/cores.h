/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which processors of a node belong to the planes (this agent, the switch, later volumes) and which
 * to virtual machines.
 *
 *   apart      the planes have processors of their own: whole cores, the lowest numbers, where the
 *              kernel's own work is as a rule. VMs never run there.
 *   together   too few for that: all run everywhere, and VMs yield to the planes by weight.
 *   share      the node has only a part of a machine (node.json) that others use, too: together,
 *              and nothing of the part is kept for the planes.
 *
 * Only processors count that are on line and that this process may use (its affinity, which a
 * cpuset of its control group limits). Plain structs; any thread. At most CPU_SETSIZE (1024)
 * processors are seen: those beyond are left alone.
 */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define CORES_VM_NICE	  5  /* of VMs: a third of the weight of nice 0, sched(7) */
#define CORES_KEPT_SHARED 25 /* together: percent of one processor that is not promised to VMs */

enum cores_kind {
	CORES_SHARE,
	CORES_TOGETHER,
	CORES_APART,
};

struct cores {
	enum cores_kind kind;
	cpu_set_t usable; /* all of these, or… */
	cpu_set_t planes; /* …apart: these and the rest; else all */
	cpu_set_t vms;
	unsigned n_usable, n_planes, n_vms;
	unsigned kept_percent; /* of one processor: what VMs are not promised; 200: two of them */
};

struct cores_config {
	const char *root;     /* before /sys, as of hardware_read() */
	const cpu_set_t *own; /* what this process might use when it began */
	bool is_share;
	const char *wanted; /* cores_wanted_check(); NULL: "auto" */
};

/* "auto", "none", a number of processors ("2") or a list of them with a hyphen or a comma ("0-1",
 * "0,4"; one alone: "3-3"). Whether they are there is not asked. ERROR_INVALID. */
bool cores_wanted_check(const char *wanted, struct error *e);

/* What this process may use, off line or not, from /proc/self/status; all there are where it does
 * not say. Before anything narrows it. */
void cores_own(cpu_set_t *out, const char *root);

/* Always a plan. False, with `e`, where what was wanted cannot be had; then it is as for "none". */
bool cores_plan(struct cores *out, const struct cores_config *c, struct error *e);

bool cores_equal(const struct cores *a, const struct cores *b);

/* "0-1,4" as the kernel writes lists; cut to fit. */
void cores_list(const cpu_set_t *set, char *out, size_t size);

/* One sentence for people. */
void cores_text(const struct cores *c, char *out, size_t size);
const char *cores_kind_name(enum cores_kind kind); /* "share", "together", "apart" */
