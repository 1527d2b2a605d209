/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a QEMU is confined: what it sees, who it is, what it may use up, and the record of it in the
 * run folder (vm-UUID.json), by which the next hostd knows it too. Loop's thread.
 */
#pragma once

#include "host/qemu_machine.h"

/* Finds out what works here and says so in the log, once. `run` is an existing folder. */
void qemu_sandbox_probe(struct qemu_driver *d, const char *run);

/* The absolute path of the program that runs such machines, free of links; the caller's. NULL. */
char *qemu_sandbox_program(const struct qemu_driver *d, enum machine_arch arch, struct error *e);

/* A new QEMU. */
struct qemu_start {
	const struct machine_spec *spec;
	const char *const *argv; /* argv[0]: qemu_sandbox_program() */
	VEC(int) fds;		 /* become 0, 1, …; one may be added */
};

/* Starts it with all that works here, records that in m->confinement and the run folder, and
 * watches it as m->process. */
bool qemu_sandbox_start(struct qemu_machine *m, struct qemu_start *s,
			void (*on_exit)(void *arg, const struct process_exit *how),
			struct error *e);

/* Reads the record of one that was found running; where there is none nothing is known. */
void qemu_sandbox_recall(struct qemu_machine *m);

/* It is gone: its user number is free. */
void qemu_sandbox_end(struct qemu_machine *m);
