/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mirror: what one host has, shown in the manager's inventory under the manager's references.
 *
 * Nothing is copied: a mirrored object's properties are computed when somebody reads them, from the
 * host's inventory (link.h), with references translated. What changes there is told here by the
 * host's own journals. So a VM costs the manager an object and two small records, whatever its
 * configuration.
 *
 * A mirrored object has one source for each host that has it: a VM one; a datastore (by its URL) or
 * a standard network (by its name) may be several hosts' within a datacenter, and is one object.
 * Which object of which host is which entity is kept in the database, so references stay the same
 * over restarts and reconnections; until its host is heard of, such an object shows only what
 * every client needs.
 *
 * The mirror of a member is embedded in it. Event-loop thread only.
 */
#pragma once

#include "base/map.h"
#include "base/vec.h"
#include "center/link.h"
#include "center/translate.h"

struct hosts;
struct member;
struct mirror;
struct mirrored;
struct database_ref;
struct database_entity;

/* One host's part in a mirrored object. */
struct mirror_source {
	struct mirror *mirror;
	const struct value *remote; /* kept reference over there */
	struct object *object;	    /* over there; NULL: not heard of yet */
	struct mirrored *of;
	struct mirror_source *next; /* of the same mirrored object */
};

/* Owner of the manager's objects of these classes. */
struct mirrored {
	struct object *object;
	struct mirror_source *sources;
	struct mirror_source
		*chosen; /* of a VM that two hosts have: the one that counts; or NULL */
	char *key;	 /* in hosts.shared; NULL: not shared */
	/* Summary of a host or VM as it was stored last, kept; only until it is heard of. */
	const struct value *last;
};
extern const struct object_class mirrored_entity_class, mirrored_vm_class, mirrored_other_class;

/* NULL: not mirrored. */
struct mirrored *mirrored_of(const struct object *o);
/* The source to read from and to send calls to: of a connected host, if there is one. Never NULL.
 */
struct mirror_source *mirrored_source(const struct mirrored *m);
struct member *mirrored_member(const struct object *o); /* of that source; NULL: not mirrored */

struct mirror {
	struct member *member;
	struct inventory *source;
	struct inventory_listener *listener; /* NULL: not attached */
	struct inventory_reader reader;
	struct map64 by_remote; /* address of the kept reference → struct mirror_source */
	struct map64 tasks;	/* address of the kept reference → struct remote_task */
	/* What stands for the manager's own objects over there; kept. */
	const struct value *datacenter, *compute, *pool, *browser; /* the last: of `compute` */
	const struct value *folders[4];	    /* vm, host, datastore, network */
	VEC(struct mirror_source *) stores; /* datastores of the host */
	unsigned n_renamed;		    /* of them have another name here than over there */
	bool is_unsaved; /* rows could not be written: all are at the next look */
};

void mirror_init(struct mirror *m, struct member *member);
void mirror_fini(struct mirror *m);

/* From now on shows what the link's inventory has, and follows it. What it has not is taken out.
 * Already attached: takes in what is new. False: it does, but the database cannot be written; the
 * rows are when it can, with the next news of the host. */
bool mirror_attach(struct mirror *m, struct link *l, struct error *e);
void mirror_detach(struct mirror *m);
/* The same; hosts and VMs go on to show what was seen last. */
void mirror_detach_known(struct mirror *m);
bool mirror_is_attached(const struct mirror *m);

/* The HostSystem, made by the member before anything else; data: of its row, or NULL. */
struct object *mirror_add_system(struct mirror *m, const char *id, const struct value *remote,
				 const char *data);

/* An object known from an earlier run; parents are there already. */
bool mirror_restore(struct mirror *m, const struct database_ref *ref,
		    const struct database_entity *entity, struct error *e);

/* Takes all objects out of the inventory; the database is the caller's. */
void mirror_clear(struct mirror *m);

/* The VM's other host counts from now on. */
void mirror_choose(struct mirror_source *s);
/* It was held (migration_holds()) and is no more: leaves where its host does not show it. NULL: no
 * effect. */
void mirror_release(struct mirror_source *s);

/* The connection state changed: tells readers of what shows it. */
void mirror_touch_state(struct mirror *m);

/* The manager's reference for one of the host's; NULL: there is none. Kept. */
const struct value *mirror_local_ref(const struct mirror *m, const struct value *remote);
/* The host's reference for one of the manager's; NULL. Kept. */
const struct value *mirror_remote_ref(const struct mirror *m, const struct value *local);

/* Whole values: to the manager's view; to the host's, false with `e` when something in it is not on
 * this host. NULL stays NULL. */
const struct value *mirror_import(const struct mirror *m, const struct value *v, struct arena *a);
bool mirror_export(const struct mirror *m, const struct value *v, struct arena *a,
		   const struct value **out, struct error *e);

/* The host's datastore of that name (as the manager shows it), or NULL. */
struct object *mirror_datastore(const struct mirror *m, const char *name, size_t len);
bool mirror_has_datastore(const struct mirror *m, const char *name, size_t len);
