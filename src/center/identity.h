/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who this manager is: node.json in its state folder, made at the first start (docs/ARCHITECTURE.md
 * has the form; what concerns only hosts is not looked at). A plain struct.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct identity {
	char uuid[37];
	char name[256];
	char address[64]; /* numeric */
	uint16_t port;
};

/* Reads it, or makes it: a random uuid, this machine's name, all addresses, port 443. */
bool identity_load_or_make(const char *state, struct identity *out, struct error *e);

/* Takes over what "127.0.0.1:8443", "127.0.0.1" or "[::1]:0" says. */
bool identity_set_listen(struct identity *i, const char *text, struct error *e);
