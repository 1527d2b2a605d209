/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /remora/v1/consoles/VM over HTTPS: the first serial port of a VM, by the id of its object
 * ("vm-12"). GET shows what its log says last and then what the guest says as it comes, until the
 * VM goes off or the session ends; POST types its body. Both need the privilege
 * VirtualMachine.Interact.ConsoleInteract. docs/internals/console.md has the form of it.
 *
 * What is shown is read from the port's log, which any number can do; the port's socket, which
 * takes one client, is held while somebody types and a few seconds longer. Event-loop thread only.
 */
#pragma once

#include "host/host.h"
#include "vim/server.h"

enum {
	CONSOLES_MAX = 64,	  /* shown at a time, of all VMs */
	CONSOLES_OF_VM_MAX = 8,	  /* of one */
	CONSOLE_PORTS_MAX = 32,	  /* ports of VMs that are typed to */
	CONSOLE_TYPED_MAX = 4096, /* bytes of one POST */
	CONSOLE_SHOWN = 4096,	  /* bytes of the log that come first */
};

struct consoles;

/* The host must live as long as the server. */
struct consoles *console_route_add(struct server *s, struct host *h);
void consoles_free(struct consoles *all); /* after the server, before the host; accepts NULL */
