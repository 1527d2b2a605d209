/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remora node: what the system of a card, board or server does with its settings file (node.c),
 * its console (node_menu.c) and its manager (node_join.c).
 */
#ifndef CLI_NODE_H
#define CLI_NODE_H

#include "base/buf.h"
#include "base/error.h"
#include "host/node_settings.h"

/* In the state folder: the last settings file that was applied. */
#define NODE_SETTINGS_HELD "remora.conf"

struct node_folder {
	const char *state;    /* of hostd */
	const char *settings; /* the copy of the settings file that was read at start */
};

/* Reads a settings file; ERROR_INVALID has its first mistake, `wrong` (may be NULL) all. */
bool node_read_settings(const char *path, struct node_settings *out, struct buf *wrong,
			struct error *e);

/* The console menu, until its input ends. Exit status. */
int node_menu(const struct node_folder *f);

/* Adds the node to the manager that its settings name, unless that was done before. False where
 * the settings name none: ERROR_NOT_FOUND. */
bool node_join(const struct node_folder *f, struct error *e);
/* The manager that it was added to, into out; false: none. */
bool node_joined(const char *state, char *out, size_t size);

#endif
