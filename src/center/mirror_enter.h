/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of a host coming into the manager's inventory and leaving it (mirror_enter.c), for
 * mirror.c. Rows of the database are written within the caller's transaction.
 */
#pragma once

#include "center/mirror.h"

struct center;

/* Shows a new object of the host's; false when it is of a kind that is not shown. */
bool mirror_enter(struct mirror *m, struct object *remote);

/* The host's part goes; with the last part the object itself. Frees the source. */
void mirror_leave(struct mirror_source *s);

/* The host named it anew. */
void mirror_renamed(struct mirror_source *s);

/* An object known from earlier is there again. */
void mirror_bound(struct mirror_source *s);

/* Stores what is to be shown of a host or VM until it is heard of after a restart; of other objects
 * nothing is. Is it derived from that property? */
void mirror_note(struct mirror_source *s);
/* The same, in memory: the host's own account is about to go. */
void mirror_remember(struct mirror_source *s);
bool mirror_is_noted(const struct object *o, unsigned prop);

/* Writes the rows of an object that is heard of. */
void mirror_save(struct mirror_source *s);

/* What the VM is connected to may have changed (mirror_network.c): sets VirtualMachine.network and
 * puts it into the lists of port groups, or takes it out; and its cards have other ports. True:
 * rows of these were written. */
bool mirror_connect(struct mirror_source *s);
/* It goes: out of the lists of port groups. */
void mirror_disconnect(struct center *c, struct object *vm);
