/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sandboxed program's process does to itself before the program runs. It is a copy of a
 * process with several threads: only system calls, no allocation, and none of the C library's
 * functions that talk to the other threads (setresuid(2) and its like are called directly).
 */
#pragma once

#include "host/sandbox.h"

/* Made by the parent, used by the child, which sees the same addresses. */
struct sandbox_child {
	const struct sandbox_plan *plan;
	unsigned namespaces; /* CLONE_NEW… flags it was made with */
	int go;		     /* one byte: goes on; the end: the parent is gone */
	int report;	     /* where a struct sandbox_failure goes */
	int *moved;	     /* room for n_fds descriptors */
};

struct sandbox_failure {
	const char *step, *object; /* static, or of the plan */
	int sys;
};

_Noreturn void sandbox_child_run(const struct sandbox_child *shared);

/* Allows the view and nothing else of the file system, no TCP, no signals and no abstract sockets
 * to the outside, as far as the kernel's version of Landlock goes. False: errno, *object. */
bool sandbox_landlock_apply(const struct sandbox_view *v, const char **object);
/* The kernel's version; 0: none. */
int sandbox_landlock_abi(void);
