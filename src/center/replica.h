/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a host said of its inventory through its property collector: an inventory of its own, under
 * the host's identifiers, which sees only changes that are changes (vSphere API
 * PropertyCollector.WaitForUpdatesEx, UpdateSet).
 *
 * The host is a peer whose word is checked: values that do not fit their property are left out.
 * Event-loop thread only.
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "vim/inventory.h"

struct replica;

enum {
	REPLICA_OBJECTS_MAX = 200000,
	REPLICA_STORES_MAX = 2048 /* datastores of a host: texts are searched for their names */
};

struct replica *replica_new(struct clock *clock);
void replica_free(struct replica *r);
struct inventory *replica_inventory(struct replica *r);

/* A full account begins: objects that it does not name are removed by replica_end(). */
void replica_begin(struct replica *r);
void replica_end(struct replica *r);

/* Takes over an UpdateSet of filters without partial updates. ERROR_CORRUPT, ERROR_LIMIT: the
 * account is not to be trusted any more and must begin anew. Nobody is told until
 * inventory_publish(). */
bool replica_apply(struct replica *r, const struct value *set, struct error *e);
