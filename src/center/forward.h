/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Methods that run on a host: arguments are translated, the host runs it for the manager, and its
 * answer, faults included, comes back in the manager's references. A method that returns a task
 * gets a task of the manager's own, which shows the progress and the end of the host's and passes
 * on a wish to cancel. When the host is lost in the middle, the task fails with HostNotReachable
 * at once, and with HostCommunication when the host has forgotten it; what the host did all the
 * same shows in its objects.
 *
 * The answer leaves only after the mirror shows what the call has done. Event-loop thread only.
 */
#pragma once

#include "center/member.h"
#include "vim/service.h"

/* Registers all methods of mirrored types; handlers of the manager's own, registered later or for
 * more derived types, go first. */
void forward_register(struct hosts *hs);
void forward_unregister(struct hosts *hs);

/* A call on its way to a host. */
struct forward {
	struct mirror *mirror;
	const struct value *self; /* over there; kept */
	uint16_t method;
	const struct value *args;	/* the manager's; translated by forward_call() */
	void (*end)(struct forward *f); /* frees what embeds it; NULL: plain free() */
	/* It went well over there; before the client hears of it. May be NULL. */
	void (*done)(struct forward *f);
	/* Of forward.c */
	struct call *call;
	struct task *task;
	const struct value *remote_task; /* kept; NULL: not known yet */
	const struct value *result;	 /* kept, of a call that waits for the mirror */
};

/* Ends the call, now or later. `f` is from mem_zalloc() or embedded in such, first four members
 * set; it is freed at the end. */
void forward_call(struct forward *f, struct call *c);

/* The default: to the host that self comes from. */
void forward_default(struct call *c);

/* Ends the call with HostNotConnected or the like unless the host is connected. */
bool forward_is_reachable(const struct member *m, struct call *c);

/* What the schema does not say: the privileges that a method takes; false: the call is over with
 * NoPermission. forward_access.c */
bool forward_may(struct call *c, struct mirrored *of);

void forward_register_create(struct hosts *hs); /* forward_create.c */
void forward_register_files(struct hosts *hs);	/* forward_files.c */
void forward_register_vm(struct hosts *hs);	/* forward_vm.c */
