/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings file of a node's boot partition, remora.conf: lines of `key = value`, "#" begins a
 * comment line. It is what an administrator writes before the node has ever run, and what the
 * console menu writes; the keys are in docs/man/remora.conf.5.
 *
 * Read strictly and whole: every wrong line is told, with its number, the key, the reason and the
 * limit, and then nothing of the file counts. The text may come from anybody who had the disk in
 * their hands. Plain structs, pure functions; any thread.
 */
#ifndef HOST_NODE_SETTINGS_H
#define HOST_NODE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "host/node.h"

#define NODE_SETTINGS_MAX      65536 /* bytes of a file */
#define NODE_SETTINGS_LINE_MAX 1024  /* bytes of a line */

/* "" and 0 where the file says nothing. */
struct node_settings {
	char hostname[64];
	char interface[16]; /* of the management network */
	char address[64];   /* there: "dhcp", "192.168.1.7/24" */
	char gateway[64];
	char dns[64];
	char migration_interface[16]; /* where machines move from node to node */
	char migration_address[64];
	char password[128]; /* root's */
	char manager[256];  /* which the node adds itself to: "center.example.com:8443" */
	char manager_thumbprint[96], manager_user[128], manager_password[128];
	char uuid[37];
	char role[8]; /* "server", "dpu" */
	char server_uuid[37];
	char endpoint[64]; /* the tunnels' own address and its network's length */
	char endpoint_gateway[64];
	uint64_t port, cpus, memory_mib;
	size_t n_uplinks;
	struct node_uplink uplinks[NODE_UPLINKS_MAX];
};

/* False where anything is wrong: `wrong` has a line for each mistake then, "line 3: …", twenty at
 * the most, and `out` is not to be used. */
bool node_settings_read(const char *text, size_t n, struct node_settings *out, struct buf *wrong);

/* The same text with the one setting changed, or added at its end; other lines stay as they are.
 * A `value` of NULL takes the setting out. */
void node_settings_set(const char *text, const char *key, const char *value, struct buf *out);

/* What the settings say of the node's identity, put into `n`, which node_save() checks again. Of
 * migration_address and uplinks what is not set is taken out; others stay as the node has them. */
void node_settings_to_node(const struct node_settings *s, struct node *n);

/* The management network as shell assignments, one a line; the values need no quotes. */
void node_settings_to_shell(const struct node_settings *s, struct buf *out);

#endif
