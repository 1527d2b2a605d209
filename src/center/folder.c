/* SPDX-License-Identifier: Apache-2.0 */
#include "center/folder.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "center/datacenter.h"
#include "center/place.h"
#include "center/refusal.h"
#include "vim/fault.h"

#define FOLDER_ID "group-"

enum folder_kind folder_kind(const struct object *folder)
{
	assert(strncmp(object_id(folder), FOLDER_ID, strlen(FOLDER_ID)) == 0);
	return (enum folder_kind)object_id(folder)[strlen(FOLDER_ID)];
}

static const char *const *child_types(enum folder_kind kind)
{
	static const char *const root[] = { "Folder", "Datacenter", NULL };
	static const char *const vm[] = { "Folder", "VirtualMachine", "VirtualApp", NULL };
	static const char *const host[] = { "Folder", "ComputeResource", NULL };
	static const char *const datastore[] = { "Folder", "Datastore", NULL };
	static const char *const network[] = { "Folder", "Network", "DistributedVirtualSwitch",
					       NULL };

	switch (kind) {
	case FOLDER_VM:
		return vm;
	case FOLDER_HOST:
		return host;
	case FOLDER_DATASTORE:
		return datastore;
	case FOLDER_NETWORK:
		return network;
	case FOLDER_ROOT:
	default:
		return root;
	}
}

struct object *folder_new(struct center *c, const char *id, const char *name, struct object *parent)
{
	struct object *o = place_new(c, T_Folder, id, name, parent);
	const char *const *types = child_types(folder_kind(o));
	struct arena *a = arena_new(0);
	struct value *array = value_new_array(a, T_string);

	for (size_t i = 0; types[i] != NULL; i++) {
		value_push_str(a, array, types[i]);
	}
	inventory_set(o, P_Folder_childType, array);
	inventory_set(o, P_Folder_childEntity, value_new_array(a, T_ManagedEntity));
	arena_free(a);
	return o;
}

bool folder_load(struct center *c, const struct database_entity *row, struct object *parent,
		 struct error *e)
{
	bool in_datacenter = schema_is_a(parent->type, T_Datacenter);

	if (strncmp(row->id, FOLDER_ID, strlen(FOLDER_ID)) != 0 ||
	    strchr("dvhsn", row->id[strlen(FOLDER_ID)]) == NULL ||
	    !(in_datacenter || schema_is_a(parent->type, T_Folder))) {
		return error_set(e, ERROR_CORRUPT, "folder \"%s\" is of no kind", row->id);
	}
	struct object *o = folder_new(c, row->id, row->name, parent);
	return !in_datacenter || datacenter_set_folder(parent, o) ||
	       error_set(e, ERROR_CORRUPT, "folder \"%s\" does not belong in a datacenter",
			 row->id);
}

struct object *folder_create(struct center *c, struct object *parent, const char *name,
			     struct error *e)
{
	char id[CENTER_ID_MAX];
	const char prefix[] = { 'g', 'r', 'o', 'u', 'p', '-', (char)folder_kind(parent), '\0' };

	database_begin(c->db);
	center_new_id(c, prefix, id, sizeof(id));
	database_put_entity(c->db, &(struct database_entity){ .id = id,
							      .type = "Folder",
							      .parent = object_id(parent),
							      .name = name });
	return database_commit(c->db, e) ? folder_new(c, id, name, parent) : NULL;
}

static void create_folder(struct call *call)
{
	struct center *c = call_arg(call);
	struct refusal r = { 0 };
	struct error e = { 0 };
	const char *given = value_get_str(call->args, A_Folder_CreateFolder_name);
	const char *name = place_check_name(c, call->arena, call->self, given, &r);

	if (name == NULL) {
		refusal_to_call(call, &r);
		return;
	}
	struct object *o = folder_create(c, call->self, name, &e);
	if (o == NULL) {
		call_error(call, &e);
		return;
	}
	call_return(call, o->ref);
}

void folder_register(struct center *c)
{
	service_handle(c->api->service, T_Folder, M_Folder_CreateFolder, create_folder, c);
}
