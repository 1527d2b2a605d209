/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket of a daemon: what an administrator may ask and set while it runs, by
 * JSON-RPC (base/rpc.h) on a unix socket of mode 0600. A command is a method; modules register
 * theirs. Built in: help, version, memory, metrics, log.get, log.set. Loop thread only.
 */
#ifndef BASE_CONTROL_H
#define BASE_CONTROL_H

#include <uv.h>

#include "base/error.h"
#include "base/rpc.h"

struct control;

struct control_command {
	const char *name;   /* "vm.list" */
	const char *params; /* what it takes, for `help`: "{vm, force?}"; "" where nothing */
	const char *help;   /* one line, without full stop */
	/* Ends the call, now or later: rpc_call_reply(), rpc_call_fail(). */
	void (*fn)(void *arg, struct rpc_call *call);
};

struct control_options {
	const char *path;     /* of the socket */
	const char *program;  /* "hostd"; must outlive the control */
	const char *version;  /* "0.1.0"; the same */
	size_t message_limit; /* bytes of a message; 0: 1 MiB */
};

struct control *control_new(uv_loop_t *loop, const struct control_options *options,
			    struct error *e);
/* Removes the socket. Commands that are under way may still end their calls. */
void control_free(struct control *c);

/* `command` must outlive the control; its name must be new. */
void control_register(struct control *c, const struct control_command *command, void *arg);
/* Before the module goes that registered it. */
void control_unregister(struct control *c, const char *name);

#endif
