/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver that runs one QEMU process a machine, spoken to over QMP.
 *
 * A QEMU process is its own session and outlives us. It holds a lock on RUN/vm-UUID.lock for as
 * long as it lives, whatever happens to us, so a VM is never started twice nor lost: see the head
 * of driver_qemu.c.
 */
#pragma once

#include <uv.h>

#include "host/driver.h"
#include "host/uid_lease.h"

struct driver_qemu_options {
	const char *program;	  /* NULL: qemu-system-ARCH found in PATH */
	const char *firmware_dir; /* NULL: where Debian's ovmf and qemu-efi-aarch64 put theirs */
	const char *run;	  /* an existing folder; NULL: /tmp */
	struct uid_range uids;	  /* for machines' own users, where we are root; n == 0: usual */
};

/* Finds out how machines can be confined here, which takes some milliseconds. */
struct driver *driver_qemu_new(uv_loop_t *loop, const struct driver_qemu_options *o);
