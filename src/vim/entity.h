/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where an entity stands in the inventory: the objects above it, as filters by entity, event
 * arguments and permissions ask for them. Read-only; computed properties are made in `a`.
 * Event-loop thread only.
 */
#ifndef VIM_ENTITY_H
#define VIM_ENTITY_H

#include "base/arena.h"
#include "vim/inventory.h"

/* Its parent; NULL for the root folder and for what is no ManagedEntity. */
struct object *entity_parent(struct object *o, struct arena *a);

/* The host that a virtual machine is on (runtime.host), or NULL. */
struct object *entity_host(struct object *vm, struct arena *a);

/* The nearest object of that type, from o itself upward by parent; NULL when there is none. */
struct object *entity_above(struct object *o, uint16_t type, struct arena *a);

/* True when o is `top` or anywhere below it, by parent, host, resource pool or vApp. */
bool entity_is_within(struct object *o, const struct object *top, struct arena *a);

#endif
