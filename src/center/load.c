/* SPDX-License-Identifier: Apache-2.0 */
#include "center/load.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/macro.h"
#include "base/number.h"
#include "base/vec.h"
#include "center/compute.h"
#include "center/database.h"
#include "center/datacenter.h"
#include "center/dvs.h"
#include "center/folder.h"
#include "center/pool.h"
#include "center/portgroup.h"

LOG_MODULE("center");

typedef bool load_fn(struct center *c, const struct database_entity *row, struct object *parent,
		     struct error *e);

/* Those of other types are mirrored from hosts. */
static const struct {
	const char *type;
	load_fn *load;
} loaders[] = {
	{ "Folder", folder_load },
	{ "Datacenter", datacenter_load },
	{ "ComputeResource", compute_load },
	{ "ClusterComputeResource", compute_load },
	{ "ResourcePool", pool_load },
	{ "VirtualApp", pool_load },
	{ "VmwareDistributedVirtualSwitch", dvs_load },
	{ "DistributedVirtualPortgroup", portgroup_load },
};

enum row_state {
	ROW_WAITING,
	ROW_LOADING,
	ROW_LOADED
};

struct row {
	struct database_entity entity; /* texts in the loader's arena */
	load_fn *load;
	enum row_state state;
};

struct loader {
	struct center *c;
	struct arena *arena;
	VEC(struct row) rows;
	struct map by_id; /* index + 1 in rows */
	int64_t max_number;
};

/* "vm-17" counts as 17 and "group-v3" as 3: new ids begin after all that are in use. */
static void note_number(struct loader *l, const char *id)
{
	const char *digits = id + strlen(id);
	int64_t number;

	while (digits > id && digits[-1] >= '0' && digits[-1] <= '9') {
		digits--;
	}
	if (number_i64(digits, &number) && number > l->max_number && number < INT64_MAX / 2) {
		l->max_number = number;
	}
}

static char *copy(struct loader *l, const char *text)
{
	return text == NULL ? NULL : arena_strdup(l->arena, text);
}

static void take_row(void *arg, const struct database_entity *entity)
{
	struct loader *l = arg;

	note_number(l, entity->id);
	for (size_t i = 0; i < ARRAY_LEN(loaders); i++) {
		if (strcmp(loaders[i].type, entity->type) != 0) {
			continue;
		}
		struct row row = {
			.entity = { .id = copy(l, entity->id),
				    .type = loaders[i].type,
				    .parent = copy(l, entity->parent),
				    .name = copy(l, entity->name),
				    .pool = copy(l, entity->pool),
				    .data = copy(l, entity->data) },
			.load = loaders[i].load,
		};
		vec_push(&l->rows, row);
		map_set(&l->by_id, entity->id, (void *)(uintptr_t)l->rows.n);
	}
}

static struct object *parent_of(struct loader *l, const struct row *row, unsigned depth,
				struct error *e);

/* Parents may have been made after their children came into being elsewhere. */
static bool row_load(struct loader *l, struct row *row, unsigned depth, struct error *e)
{
	if (row->state == ROW_LOADED) {
		return true;
	}
	if (row->state == ROW_LOADING || depth > 1000) {
		return error_set(e, ERROR_CORRUPT, "entity \"%s\" is its own parent",
				 row->entity.id);
	}
	row->state = ROW_LOADING;
	struct object *parent = parent_of(l, row, depth, e);
	if (parent == NULL) {
		return false;
	}
	if (row->entity.name == NULL || inventory_find(l->c->inventory, row->entity.id) != NULL) {
		return error_set(e, ERROR_CORRUPT, "entity \"%s\" has no name or is there twice",
				 row->entity.id);
	}
	row->state = ROW_LOADED;
	return row->load(l->c, &row->entity, parent, e);
}

static struct object *parent_of(struct loader *l, const struct row *row, unsigned depth,
				struct error *e)
{
	const char *id = row->entity.parent;
	size_t place = id == NULL ? 0 : (uintptr_t)map_get(&l->by_id, id);

	if (place != 0 && !row_load(l, &l->rows.items[place - 1], depth + 1, e)) {
		return NULL;
	}
	struct object *parent = id == NULL ? NULL : inventory_find(l->c->inventory, id);
	if (parent == NULL || center_of(parent) == NULL) {
		error_set(e, ERROR_CORRUPT, "entity \"%s\" has no parent \"%s\"", row->entity.id,
			  id == NULL ? "" : id);
		return NULL;
	}
	return parent;
}

bool load_entities(struct center *c, struct error *e)
{
	struct loader l = { .c = c, .arena = arena_new(0) };
	const char *next = database_fact(c->db, "next_id", l.arena);
	bool ok = database_each_entity(c->db, NULL, take_row, &l, e);

	for (size_t i = 0; ok && i < l.rows.n; i++) {
		ok = row_load(&l, &l.rows.items[i], 0, e);
	}
	if (next == NULL || !number_i64(next, &c->next_id)) {
		c->next_id = 2; /* 1 is the root folder's */
	}
	c->next_id = MAX(c->next_id, l.max_number + 1);
	vec_free(&l.rows);
	map_free(&l.by_id);
	arena_free(l.arena);
	return ok;
}

/* ---- events and tasks ---- */

static void restore_event(void *arg, const char *data)
{
	struct center *c = arg;
	struct arena *a = arena_new(0);
	struct error e = { 0 };
	const struct value *event = database_value(a, T_Event, data, &e);

	if (event == NULL) {
		log_warn("an event of an earlier run cannot be read: %s", e.msg);
	} else {
		event_restore(c->api->events, event);
	}
	arena_free(a);
}

static void restore_task(void *arg, const char *data)
{
	struct center *c = arg;
	struct arena *a = arena_new(0);
	struct error e = { 0 };
	const struct value *info = database_value(a, T_TaskInfo, data, &e);

	if (info == NULL) {
		log_warn("a task of an earlier run cannot be read: %s", e.msg);
	} else {
		task_restore(c->api->tasks, info);
	}
	arena_free(a);
}

static void on_event(void *arg, const struct value *event)
{
	struct center *c = arg;
	struct arena *a = arena_new(0);

	database_put_event(c->db, value_get_num(event, F_Event_key, 0), database_text(a, event));
	arena_free(a);
}

static void on_task_ended(void *arg, const struct value *info)
{
	struct center *c = arg;
	struct arena *a = arena_new(0);

	database_put_task(c->db, value_get_str(info, F_TaskInfo_key), database_text(a, info));
	arena_free(a);
}

bool load_history(struct center *c, struct error *e)
{
	if (c->db == NULL) {
		return true;
	}
	if (!database_each_event(c->db, restore_event, c, e) ||
	    !database_each_task(c->db, restore_task, c, e)) {
		return false;
	}
	event_listen(c->api->events, on_event, c);
	task_listen(c->api->tasks, on_task_ended, c);
	return true;
}
