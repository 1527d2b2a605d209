/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where entities stand in a manager's inventory: name, parent, and the lists that follow from them
 * (Folder.childEntity, ResourcePool.resourcePool and vm).
 *
 * Only these functions set ManagedEntity.name and parent and VirtualMachine.resourcePool, so that
 * names are unique in their place and found at once. They change the inventory only; who calls them
 * has written the database before (database.h). Many VMs enter cheapest one by one, each right
 * after inventory_add() (see inventory_add_ref()). Names are as the API shows them: '/', '\' and
 * '%' as %2f, %5c, %25 (place_escape()). Event-loop thread only.
 */
#pragma once

#include "center/center.h"
#include "center/refusal.h"

enum {
	PLACE_NAME_MAX = 80 /* characters, before escaping */
};

/* What every ManagedEntity has, its name and its parent; in the parent's childEntity where that is
 * a folder. The name must be free there. parent NULL: the root. */
void place_enter(struct center *c, struct object *o, const char *name, struct object *parent);
/* Makes an entity of the manager's own and enters it. */
struct object *place_new(struct center *c, uint16_t type, const char *id, const char *name,
			 struct object *parent);
/* Takes it out of its parent's list, a VM out of its pool, and its name out of the index; before
 * inventory_remove(). */
void place_leave(struct center *c, struct object *o);
void place_move(struct center *c, struct object *o, struct object *parent);
void place_rename(struct center *c, struct object *o, const char *name);

/* The child of that name, or NULL. All kinds of parents. */
struct object *place_child(struct center *c, const struct object *parent, const char *name);
/* `name`, or "name (1)", "name (2)" … where it is taken, or some larger number; in `a`. */
const char *place_free_name(struct center *c, const struct object *parent, const char *name,
			    struct arena *a);

/* Puts a VM into a pool's list, out of its former one's, and sets VirtualMachine.resourcePool; pool
 * NULL: only out. */
void place_set_pool(struct center *c, struct object *vm, struct object *pool);

/* Parent and name as the API shows them. */
struct object *place_parent(struct object *o);
const char *place_name(struct object *o);
/* The datacenter above, or NULL. */
struct object *place_datacenter(struct object *o);
/* Is o `top` or below it, by parent? */
bool place_is_within(struct object *o, const struct object *top);
/* Root folder of a datacenter by P_Datacenter_vmFolder, …hostFolder, …datastoreFolder,
 * …networkFolder. */
struct object *place_folder(struct object *datacenter, unsigned prop);

/* The object that a stored reference property names, or NULL. */
struct object *place_ref(struct object *o, unsigned prop);
/* Number of references in an array property, and the i-th object (NULL: gone). */
size_t place_count(struct object *o, unsigned prop);
struct object *place_at(struct object *o, unsigned prop, size_t i);

/* A client's name as it is stored and shown, in `a`; NULL with ERROR_NAME when it is empty or too
 * long. What is escaped already stays as it is. */
const char *place_escape(struct arena *a, const char *name, struct error *e);

/* The same for a new child of `parent`: it must be free there, too. NULL: refused with InvalidName
 * or DuplicateName. */
const char *place_check_name(struct center *c, struct arena *a, struct object *parent,
			     const char *given, struct refusal *r);
