/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new QEMU: the files it is to work with are opened here and handed over, so that it opens none
 * itself. Loop's thread.
 */
#pragma once

#include "host/qemu_machine.h"

/* An existing file for QEMU, open as `flags` say (O_CREAT: made where missing); what is no regular
 * file is refused, and a link too unless `by_link`. The caller's; -1. */
int qemu_start_open(const char *path, int flags, bool by_link, struct error *e);

/* Starts QEMU for the machine, stopped before its first instruction, and connects to it. On
 * failure no trace is left but perhaps the connection. `how`: START, RESUME or RECEIVE. */
bool qemu_start(struct qemu_machine *m, enum machine_op how, const struct machine_spec *s,
		void (*on_exit)(void *arg, const struct process_exit *how), struct error *e);
