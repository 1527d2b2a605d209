/* SPDX-License-Identifier: Apache-2.0 */
/* Folders of a manager. Each is of one kind, which says what may be in it and is part of its id. */
#pragma once

#include "center/center.h"
#include "center/database.h"

enum folder_kind {
	FOLDER_ROOT = 'd',	/* datacenters and folders: "group-d1" */
	FOLDER_VM = 'v',	/* VMs and vApps: "group-v4" */
	FOLDER_HOST = 'h',	/* compute resources */
	FOLDER_DATASTORE = 's', /* datastores */
	FOLDER_NETWORK = 'n'	/* networks and distributed switches */
};

enum folder_kind folder_kind(const struct object *folder);

/* Puts one into the inventory; the database is the caller's. */
struct object *folder_new(struct center *c, const char *id, const char *name,
			  struct object *parent);

/* In the database and the inventory at once, of its parent's kind. NULL with `e`. */
struct object *folder_create(struct center *c, struct object *parent, const char *name,
			     struct error *e);

/* From its row. */
bool folder_load(struct center *c, const struct database_entity *row, struct object *parent,
		 struct error *e);

/* CreateFolder; MoveIntoFolder_Task. */
void folder_register(struct center *c);
