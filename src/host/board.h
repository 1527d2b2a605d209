/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the boards known to us this node is, found by what identifies them: device tree, ACPI
 * devices and tables, SMBIOS, PCI, the core's identification register. The table, with the sources
 * of its entries, is in board.c.
 *
 * Boards are constant; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "host/hardware.h"

struct board {
	const char *id;	  /* "bluefield-2" */
	const char *name; /* "BlueField-2" */
	const char *maker;
	bool is_card;	     /* sits in a server: a DPU */
	const char *uplink;  /* the DPDK driver of its network ports */
	const char *follows; /* one sentence for people; what else follows from it */
};

/* NULL: none of them. `root` as of hardware_read(), whose processor, system and PCI devices must be
 * there already. */
const struct board *board_find(const struct hardware *h, const char *root);

/* All that are known, for tables in documents and tests; writes how many. */
const struct board *board_all(size_t *n);
