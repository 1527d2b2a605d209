/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard input and output at the console of a VM of a host elsewhere, by its HTTPS server:
 * /remora/v1/consoles/ID (docs/internals/console.md).
 */
#ifndef CLI_REMOTE_CONSOLE_H
#define CLI_REMOTE_CONSOLE_H

#include "cli/remote.h"

enum {
	CONSOLE_ESCAPE = 0x1d /* Ctrl-] */
};

/* Until the VM goes off, the input ends or has the escape character. vm: id of its object. The
 * terminal's mode is the caller's matter. ERROR_NOT_FOUND, ERROR_PERMISSION, ERROR_BUSY. */
bool remote_console(struct remote *r, const char *vm, struct error *e);

#endif
