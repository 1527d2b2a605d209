/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a manager keeps, in SQLite (write-ahead log, synchronous=FULL).
 *
 * All writes between database_begin() and database_commit() are one: after a crash, all of them are
 * there or none. Writes return nothing; the first that fails makes the commit fail, with nothing
 * stored. Order of any change: begin, write, commit, and only then the inventory and the answer to
 * the client; so what was acknowledged is on disk, and what was refused never was.
 *
 * Writes outside of a begin … commit pair (events, tasks) gather in the open transaction and are
 * committed with the next commit or at the end of this turn of the event loop, whichever is first.
 *
 * Every function takes NULL as database: nothing is kept, everything succeeds.
 * Texts in records handed to callbacks live until the callback returns; a callback must not write.
 * Event-loop thread only; calls block for as long as the disk takes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/arena.h"
#include "base/error.h"
#include "vim/value.h"

struct database;

/* Opens or makes the file, brings an older version up to date. NULL with `e`: ERROR_CORRUPT,
 * ERROR_UNSUPPORTED (written by a newer program), ERROR_IO. loop NULL: no commit at end of turn. */
struct database *database_open(const char *path, uv_loop_t *loop, struct error *e);
void database_close(struct database *db); /* commits what is open */

void database_begin(struct database *db);
bool database_commit(struct database *db, struct error *e); /* false: nothing since begin is kept */
void database_rollback(struct database *db);

/* ---- entities: all that stands in the inventory tree, mirrored ones too ---- */

struct database_entity {
	const char *id;	    /* "vm-12" */
	const char *type;   /* "VirtualMachine" */
	const char *parent; /* id; NULL: root */
	const char *name;   /* as shown, or NULL */
	const char *pool;   /* id of a VM's resource pool, else NULL */
	const char *data;   /* owner's own, e.g. XML (database_text()), or NULL */
};

void database_put_entity(struct database *db,
			 const struct database_entity *entity); /* or replace */
void database_drop_entity(struct database *db, const char *id); /* with its references */
void database_set_parent(struct database *db, const char *id, const char *parent);
void database_set_name(struct database *db, const char *id, const char *name);
void database_set_pool(struct database *db, const char *id, const char *pool);
void database_set_data(struct database *db, const char *id, const char *data);
/* Those of one type, or all (NULL), oldest first. */
bool database_each_entity(struct database *db, const char *type,
			  void (*fn)(void *arg, const struct database_entity *entity), void *arg,
			  struct error *e);

/* Values of an entity's custom fields, as text; NULL: none. Gone with the entity. */
void database_set_custom(struct database *db, const char *id, const char *data);
const char *database_custom(struct database *db, const char *id, struct arena *a);

/* ---- references: which object of which host is which entity ---- */

struct database_ref {
	const char *host;   /* id of the HostSystem, "host-9" */
	const char *remote; /* id over there, "12" */
	const char *local;  /* id here, "vm-17"; has an entity row; may be several hosts' */
};

void database_put_ref(struct database *db, const struct database_ref *ref);
void database_drop_ref(struct database *db, const char *host, const char *remote);
/* References of a host with their entities (all NULL but id where there is no row). */
bool database_each_ref(struct database *db, const char *host,
		       void (*fn)(void *arg, const struct database_ref *ref,
				  const struct database_entity *entity),
		       void *arg, struct error *e);

/* ---- hosts ---- */

struct database_host {
	const char *id; /* "host-9", has an entity row with name and parent */
	const char *address;
	uint16_t port;
	const char *user, *credential;
	const char *thumbprint;
	const char *uuid;   /* of its hardware */
	bool is_connected;  /* wanted: false after DisconnectHost_Task */
	int32_t last_event; /* key over there of the newest event taken over */
};

void database_put_host(struct database *db, const struct database_host *host);
/* With its references, and the entities that no other host has. */
void database_drop_host(struct database *db, const char *id);
void database_set_last_event(struct database *db, const char *id, int32_t key);
bool database_each_host(struct database *db,
			void (*fn)(void *arg, const struct database_host *host), void *arg,
			struct error *e);

/* ---- ports of distributed switches that VMs' network cards have; gone with either entity ---- */

struct database_dvport {
	int64_t key;
	const char *portgroup, *vm; /* ids */
	int32_t nic;		    /* key of the VM's device */
	int32_t cookie;
	int64_t since_us; /* wall clock */
};

void database_put_dvport(struct database *db, const struct database_dvport *port); /* or replace */
void database_drop_dvport(struct database *db, int64_t key);
bool database_each_dvport(struct database *db,
			  void (*fn)(void *arg, const struct database_dvport *port), void *arg,
			  struct error *e);

/* ---- events and tasks: the newest of them ---- */

enum {
	DATABASE_EVENTS_MAX = 10000,
	DATABASE_TASKS_MAX = 10000
};

void database_put_event(struct database *db, int64_t key, const char *data);
void database_put_task(struct database *db, const char *key, const char *data);
/* Oldest first. */
bool database_each_event(struct database *db, void (*fn)(void *arg, const char *data), void *arg,
			 struct error *e);
bool database_each_task(struct database *db, void (*fn)(void *arg, const char *data), void *arg,
			struct error *e);

/* ---- what clients of the policy interface want: objects by path, oldest first ---- */

void database_put_intent(struct database *db, const char *path, const char *kind, const char *data);
void database_drop_intent(struct database *db, const char *path);
bool database_each_intent(struct database *db,
			  void (*fn)(void *arg, const char *path, const char *kind,
				     const char *data),
			  void *arg, struct error *e);

/* ---- what was seen of VMs' network cards last, by id of the VM; gone with its entity ---- */

void database_put_cards(struct database *db, const char *vm, const char *data); /* NULL: drop */
/* In `a`; NULL: nothing. */
const char *database_cards(struct database *db, const char *vm, struct arena *a);

/* ---- VMs on their way between hosts (migration.h) ---- */

void database_put_migration(struct database *db, const char *id, const char *data); /* or replace */
void database_drop_migration(struct database *db, const char *id);
bool database_each_migration(struct database *db,
			     void (*fn)(void *arg, const char *id, const char *data), void *arg,
			     struct error *e);

/* ---- small facts by name ---- */

void database_set_fact(struct database *db, const char *name, const char *value); /* NULL: forget */
/* In `a`; NULL when unset. */
const char *database_fact(struct database *db, const char *name, struct arena *a);

/* ---- structures as text: the API's own XML, nothing is lost ---- */

/* In `a`; NULL for NULL. */
const char *database_text(struct arena *a, const struct value *v);
/* A draft of `type` or of one derived from it; NULL with `e`. */
const struct value *database_value(struct arena *a, uint16_t type, const char *text,
				   struct error *e);
/* The same for arrays of structures. */
const char *database_array_text(struct arena *a, const struct value *array);
const struct value *database_array(struct arena *a, uint16_t type, const char *text,
				   struct error *e);
