/* SPDX-License-Identifier: Apache-2.0 */
#include "center/mirror_enter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "center/compute.h"
#include "center/database.h"
#include "center/dvs_port.h"
#include "center/expectation.h"
#include "center/link_spec.h"
#include "center/member.h"
#include "center/migration.h"
#include "center/place.h"

LOG_MODULE("mirror");

/* ---- sources ---- */

static struct mirror_source *source_new(struct mirror *m, struct mirrored *of,
					const struct value *remote, struct object *object)
{
	struct mirror_source *s = mem_zalloc(sizeof(*s));

	s->mirror = m;
	s->of = of;
	s->remote = value_keep(remote);
	s->object = object;
	s->next = of->sources;
	of->sources = s;
	map64_set(&m->by_remote, (uint64_t)(uintptr_t)s->remote, s);
	if (schema_is_a(of->object->type, T_Datastore)) {
		vec_push(&m->stores, s);
	}
	return s;
}

static void stores_count(struct mirror *m)
{
	m->n_renamed = 0;
	vec_each (&m->stores, it) {
		const char *remote = (*it)->object == NULL
					     ? NULL
					     : object_get_str((*it)->object, P_ManagedEntity_name);
		const char *local = place_name((*it)->of->object);
		m->n_renamed += remote != NULL && local != NULL && strcmp(remote, local) != 0;
	}
}

static void source_free(struct mirror_source *s)
{
	struct mirror *m = s->mirror;
	struct mirror_source **at = &s->of->sources;

	while (*at != s) {
		at = &(*at)->next;
	}
	*at = s->next;
	if (s->of->chosen == s || (s->of->sources != NULL && s->of->sources->next == NULL)) {
		s->of->chosen = NULL;
	}
	map64_remove(&m->by_remote, (uint64_t)(uintptr_t)s->remote);
	for (size_t i = 0; i < m->stores.n; i++) {
		if (m->stores.items[i] == s) {
			vec_remove(&m->stores, i);
			break;
		}
	}
	value_drop(s->remote);
	free(s);
}

static struct mirrored *mirrored_new(struct mirror *m, uint16_t type, const char *id)
{
	struct mirrored *of = mem_zalloc(sizeof(*of));
	const struct object_class *class = schema_is_a(type, T_VirtualMachine) ? &mirrored_vm_class
					   : schema_is_a(type, T_ManagedEntity)
						   ? &mirrored_entity_class
						   : &mirrored_other_class;

	of->object = inventory_add(m->member->center->inventory, type, id, class, of);
	/* What machines can be like anybody may know. */
	if (class == &mirrored_other_class && type != T_EnvironmentBrowser) {
		inventory_set_subject(of->object, member_system(m->member));
	}
	return of;
}

static void mirrored_share(struct mirror *m, struct mirrored *of, const char *key)
{
	of->key = mem_strdup(key);
	map_set(&m->member->hosts->shared, key, of);
}

/* After the last source went. */
static void mirrored_free(struct mirrored *of, struct hosts *hs)
{
	struct object *o = of->object;

	if (schema_is_a(o->type, T_VirtualMachine)) {
		mirror_disconnect(hs->center, o);
	}
	if (of->key != NULL) {
		if (map_get(&hs->shared, of->key) == of) {
			map_remove(&hs->shared, of->key);
		}
		free(of->key);
	}
	/* Nobody computes properties of what is on its way out. */
	o->class = NULL;
	o->owner = NULL;
	value_drop(of->last);
	free(of);
	inventory_remove(o);
}

/* ---- what is where ---- */

static const char *remote_name(struct object *remote)
{
	const char *name = object_get_str(remote, P_ManagedEntity_name);

	return name == NULL || name[0] == '\0' ? object_id(remote) : name;
}

/* What several hosts of a datacenter have in common; NULL: nothing. */
static const char *share_key(struct mirror *m, struct object *remote, struct arena *a)
{
	const char *what;
	char kind;

	if (schema_is_a(remote->type, T_Datastore)) {
		const struct value *summary = object_get(remote, P_Datastore_summary, a);
		kind = 'd';
		what = value_get_str(summary, F_DatastoreSummary_url);
	} else if (remote->type == T_Network) {
		kind = 'n';
		what = remote_name(remote);
	} else if (remote->type == T_OpaqueNetwork) {
		kind = 'o'; /* "HaOpaqueNetwork-ID": the same on each host */
		what = object_id(remote);
	} else {
		return NULL;
	}
	struct object *dc = place_datacenter(member_system(m->member));
	return dc == NULL || what == NULL || what[0] == '\0'
		       ? NULL
		       : arena_printf(a, "%c/%s/%s", kind, object_id(dc), what);
}

static void row_put(struct center *c, const struct object *o, const char *name,
		    const struct object *parent, const struct object *pool)
{
	database_put_entity(c->db, &(struct database_entity){
					   .id = object_id(o),
					   .type = schema_type_name(o->type),
					   .parent = parent == NULL ? NULL : object_id(parent),
					   .name = name,
					   .pool = pool == NULL ? NULL : object_id(pool),
				   });
}

static void ref_put(struct mirror *m, const struct value *remote, const struct object *o)
{
	database_put_ref(m->member->center->db, &(struct database_ref){
							.host = m->member->id,
							.remote = value_bytes(remote),
							.local = object_id(o),
						});
}

/* ---- one kind after the other ---- */

/* It comes from another host of ours, which has it until that is decided. */
static bool enter_migrated(struct mirror *m, struct object *remote, struct arena *a)
{
	struct object *vm = migration_arrival(m, remote, a);
	struct mirrored *of = vm == NULL ? NULL : mirrored_of(vm);

	if (of == NULL) {
		return false;
	}
	of->chosen = mirrored_source(of);
	source_new(m, of, remote->ref, remote);
	ref_put(m, remote->ref, of->object);
	return true;
}

static void enter_vm(struct mirror *m, struct object *remote, struct arena *a)
{
	if (enter_migrated(m, remote, a)) {
		return;
	}
	struct center *c = m->member->center;
	struct object *system = member_system(m->member);
	struct object *compute = compute_of_host(system);
	struct object *folder = m->member->vm_folder, *pool = m->member->vm_pool;
	const struct expectation *x = expected(m, remote, a);
	char id[CENTER_ID_MAX];

	if (x != NULL) {
		folder = inventory_find_ref(c->inventory, x->folder);
		pool = inventory_find_ref(c->inventory, x->pool);
	}
	if (folder == NULL) {
		folder = place_folder(place_datacenter(system), P_Datacenter_vmFolder);
	}
	if (pool == NULL) {
		pool = compute_root_pool(compute);
	}
	const char *name = place_free_name(c, folder, remote_name(remote), a);
	center_new_id(c, "vm", id, sizeof(id));
	struct mirrored *of = mirrored_new(m, remote->type, id);
	struct mirror_source *s = source_new(m, of, remote->ref, remote);
	row_put(c, of->object, name, folder, pool);
	ref_put(m, remote->ref, of->object);
	place_enter(c, of->object, name, folder);
	place_set_pool(c, of->object, pool);
	mirror_note(s);
	mirror_connect(s);
}

/* Objects of the browser are made with their datastore: their identifiers follow from its. */
static void enter_store_or_network(struct mirror *m, struct object *remote, struct arena *a)
{
	struct center *c = m->member->center;
	bool is_store = schema_is_a(remote->type, T_Datastore);
	const char *key = share_key(m, remote, a);
	struct mirrored *of = key == NULL ? NULL : map_get(&m->member->hosts->shared, key);
	char id[CENTER_ID_MAX];

	if (of != NULL) {
		struct mirror_source *s = source_new(m, of, remote->ref, remote);
		ref_put(m, remote->ref, of->object);
		mirror_bound(s);
		return;
	}
	struct object *folder = is_store ? m->member->datastore_folder : NULL;
	if (folder == NULL) {
		folder = place_folder(place_datacenter(member_system(m->member)),
				      is_store ? P_Datacenter_datastoreFolder
					       : P_Datacenter_networkFolder);
	}
	const char *name = place_free_name(c, folder, remote_name(remote), a);
	center_new_id(c, is_store ? "datastore" : "network", id, sizeof(id));
	of = mirrored_new(m, remote->type, id);
	if (key != NULL) {
		mirrored_share(m, of, key);
	}
	struct mirror_source *s = source_new(m, of, remote->ref, remote);
	row_put(c, of->object, name, folder, NULL);
	ref_put(m, remote->ref, of->object);
	place_enter(c, of->object, name, folder);
	mirror_bound(s);
}

static void enter_snapshot(struct mirror *m, struct object *remote)
{
	struct center *c = m->member->center;
	char id[CENTER_ID_MAX];

	center_new_id(c, "snapshot", id, sizeof(id));
	struct mirrored *of = mirrored_new(m, remote->type, id);
	source_new(m, of, remote->ref, remote);
	row_put(c, of->object, NULL, NULL, NULL);
	ref_put(m, remote->ref, of->object);
}

/* Managers of the host and its browsers: "networkSystem-9" of "host-9", as their identifiers are
 * known; further ones of the same type have the host's identifier behind. Not in the database. */
static void enter_other(struct mirror *m, struct object *remote, struct arena *a)
{
	struct inventory *inv = m->member->center->inventory;
	const char *type = schema_type_name(remote->type);
	const char *number = strrchr(m->member->id, '-');

	if (strncmp(type, "Host", 4) == 0) {
		type += 4;
	}
	char *id = arena_printf(a, "%s%s", type, number);
	id[0] = (char)(id[0] | 0x20);
	if (inventory_find(inv, id) != NULL) {
		id = arena_printf(a, "%s-%s", id, object_id(remote));
	}
	if (inventory_find(inv, id) == NULL) {
		source_new(m, mirrored_new(m, remote->type, id), remote->ref, remote);
	}
}

static bool is_other(uint16_t type)
{
	for (size_t i = 0; link_managers[i] >= 0; i++) {
		if (schema_field(T_HostConfigManager, (unsigned)link_managers[i])->type == type) {
			return true;
		}
	}
	return type == T_HostDatastoreBrowser || type == T_EnvironmentBrowser;
}

bool mirror_enter(struct mirror *m, struct object *remote)
{
	struct arena *a = arena_new(0);
	bool is_shown = true;

	if (schema_is_a(remote->type, T_VirtualMachine)) {
		enter_vm(m, remote, a);
	} else if (schema_is_a(remote->type, T_Datastore) || schema_is_a(remote->type, T_Network)) {
		enter_store_or_network(m, remote, a);
	} else if (schema_is_a(remote->type, T_VirtualMachineSnapshot)) {
		enter_snapshot(m, remote);
	} else {
		is_shown = false;
		if (is_other(remote->type)) {
			enter_other(m, remote, a);
		}
	}
	arena_free(a);
	return is_shown;
}

/* ---- later ---- */

/* Lists of the object that several hosts have, after one more or one less has it. */
static void shared_touch(struct object *o)
{
	if (schema_is_a(o->type, T_Datastore)) {
		inventory_touch(o, P_Datastore_host, "host");
		inventory_touch(o, P_Datastore_vm, "vm");
		inventory_touch(o, P_Datastore_summary, "summary");
	} else if (schema_is_a(o->type, T_Network)) {
		inventory_touch(o, P_Network_host, "host");
		inventory_touch(o, P_Network_vm, "vm");
	}
}

void mirror_bound(struct mirror_source *s)
{
	struct mirror *m = s->mirror;
	struct object *o = s->of->object;
	bool is_store = schema_is_a(o->type, T_Datastore);

	if (schema_is_a(o->type, T_VirtualMachine)) {
		mirror_connect(s);
	}
	if (!is_store && !schema_is_a(o->type, T_Network)) {
		return;
	}
	if (s->of->key == NULL) {
		struct arena *a = arena_new(0);
		const char *key = share_key(m, s->object, a);
		if (key != NULL && !map_has(&m->member->hosts->shared, key)) {
			mirrored_share(m, s->of, key);
		}
		arena_free(a);
	}
	if (is_store) {
		stores_count(m);
	}
	shared_touch(o);
}

/* ---- what was seen last ---- */

static bool summary_of(const struct object *o, unsigned *prop, uint16_t *type)
{
	if (schema_is_a(o->type, T_VirtualMachine)) {
		*prop = P_VirtualMachine_summary;
		*type = T_VirtualMachineSummary;
		return true;
	}
	if (schema_is_a(o->type, T_HostSystem)) {
		*prop = P_HostSystem_summary;
		*type = T_HostListSummary;
		return true;
	}
	return false;
}

bool mirror_is_noted(const struct object *o, unsigned prop)
{
	unsigned summary;
	uint16_t type;

	return summary_of(o, &summary, &type) && prop == summary;
}

void mirror_note(struct mirror_source *s)
{
	struct database *db = s->mirror->member->center->db;
	struct object *o = s->of->object;
	unsigned prop;
	uint16_t type;

	value_drop(s->of->last);
	s->of->last = NULL;
	if (db == NULL || !summary_of(o, &prop, &type)) {
		return;
	}
	struct arena *a = arena_new(0);
	database_set_data(db, object_id(o), database_text(a, object_get(o, prop, a)));
	arena_free(a);
}

void mirror_remember(struct mirror_source *s)
{
	struct object *o = s->of->object;
	unsigned prop;
	uint16_t type;

	if (s->object == NULL || !summary_of(o, &prop, &type)) {
		return;
	}
	struct arena *a = arena_new(0);
	value_drop(s->of->last);
	s->of->last = value_keep(object_get(o, prop, a));
	arena_free(a);
}

/* From the row of an earlier run. */
static void note_restore(struct mirrored *of, const char *text)
{
	unsigned prop;
	uint16_t type;

	if (text != NULL && summary_of(of->object, &prop, &type)) {
		struct arena *a = arena_new(0);
		struct error e = { 0 };
		of->last = value_keep(database_value(a, type, text, &e));
		if (of->last == NULL) {
			log_warn("what was known of \"%s\" cannot be read: %s",
				 object_id(of->object), e.msg);
		}
		arena_free(a);
	}
}

void mirror_save(struct mirror_source *s)
{
	struct mirror *m = s->mirror;
	struct center *c = m->member->center;
	struct object *o = s->of->object;
	bool is_vm = schema_is_a(o->type, T_VirtualMachine);

	if (schema_is_a(o->type, T_HostSystem) || s->object == NULL) {
		return; /* its rows came with it, or from an earlier run */
	}
	if (schema_is_a(o->type, T_ManagedEntity)) {
		row_put(c, o, place_name(o), place_parent(o),
			is_vm ? place_ref(o, P_VirtualMachine_resourcePool) : NULL);
	} else if (schema_is_a(o->type, T_VirtualMachineSnapshot)) {
		row_put(c, o, NULL, NULL, NULL);
	} else {
		return;
	}
	ref_put(m, s->remote, o);
	mirror_note(s);
	if (is_vm) {
		dvs_ports_save(c, o);
	}
}

void mirror_leave(struct mirror_source *s)
{
	struct mirror *m = s->mirror;
	struct center *c = m->member->center;
	struct mirrored *of = s->of;
	struct object *o = of->object;
	bool is_store = schema_is_a(o->type, T_Datastore);
	bool is_last = of->sources == s && s->next == NULL;

	if (schema_is_a(o->type, T_VirtualMachine) && migration_holds(s)) {
		mirror_remember(s);
		s->object = NULL;
		migration_look(c);
		return;
	}
	if (!is_last) {
		database_drop_ref(c->db, m->member->id, value_bytes(s->remote));
		source_free(s);
		shared_touch(o);
		migration_look(c);
	} else {
		if (schema_is_a(o->type, T_ManagedEntity) ||
		    schema_is_a(o->type, T_VirtualMachineSnapshot)) {
			database_drop_entity(c->db, object_id(o));
		}
		if (schema_is_a(o->type, T_ManagedEntity)) {
			place_leave(c, o);
		}
		source_free(s);
		mirrored_free(of, m->member->hosts);
	}
	if (is_store) {
		stores_count(m);
	}
}

void mirror_renamed(struct mirror_source *s)
{
	struct mirror *m = s->mirror;
	struct center *c = m->member->center;
	struct object *o = s->of->object, *parent = place_parent(o);
	const char *name = remote_name(s->object);

	/* A host has the name that it was added by; a network's is what makes it one. */
	if (schema_is_a(o->type, T_HostSystem) || parent == NULL ||
	    strcmp(place_name(o), name) == 0) {
		return;
	}
	struct arena *a = arena_new(0);
	name = place_free_name(c, parent, name, a);
	database_set_name(c->db, object_id(o), name);
	place_rename(c, o, name);
	if (schema_is_a(o->type, T_Network)) {
		inventory_touch(o, P_Network_name, "name");
	}
	if (schema_is_a(o->type, T_Datastore)) {
		stores_count(m);
	}
	arena_free(a);
}

/* ---- from earlier runs, and the end ---- */

struct object *mirror_add_system(struct mirror *m, const char *id, const struct value *remote,
				 const char *data)
{
	struct mirrored *of = mirrored_new(m, T_HostSystem, id);

	source_new(m, of, remote, NULL);
	note_restore(of, data);
	return of->object;
}

static bool restore_entity(struct mirror *m, const struct database_entity *row, uint16_t type,
			   struct mirrored **out, struct error *e)
{
	struct center *c = m->member->center;
	struct object *parent =
		row->parent == NULL ? NULL : inventory_find(c->inventory, row->parent);

	if (parent == NULL || row->name == NULL) {
		return error_set(e, ERROR_CORRUPT, "\"%s\" has no name or no parent \"%s\"",
				 row->id, row->parent == NULL ? "" : row->parent);
	}
	struct mirrored *of = mirrored_new(m, type, row->id);
	*out = of;
	note_restore(of, row->data);
	place_enter(c, of->object, row->name, parent);
	if (schema_is_a(type, T_VirtualMachine)) {
		struct object *pool =
			row->pool == NULL ? NULL : inventory_find(c->inventory, row->pool);
		if (pool == NULL) {
			pool = compute_root_pool(compute_of_host(member_system(m->member)));
		}
		place_set_pool(c, of->object, pool);
	}
	return true;
}

bool mirror_restore(struct mirror *m, const struct database_ref *ref,
		    const struct database_entity *entity, struct error *e)
{
	struct object *there = inventory_find(m->member->center->inventory, ref->local);
	struct mirrored *of = there == NULL ? NULL : mirrored_of(there);
	uint16_t type = entity->type == NULL ? T_none
					     : schema_type_find(entity->type, strlen(entity->type));

	if (type == T_none || (there != NULL && of == NULL)) {
		return error_set(e, ERROR_CORRUPT, "\"%s\" of host \"%s\" is of no known type",
				 ref->local, ref->host);
	}
	if (of == NULL && schema_is_a(type, T_ManagedEntity)) {
		if (!restore_entity(m, entity, type, &of, e)) {
			return false;
		}
	} else if (of == NULL) {
		of = mirrored_new(m, type, ref->local);
	}
	struct arena *a = arena_new(0);
	source_new(m, of, value_new_ref(a, type, ref->remote), NULL);
	arena_free(a);
	return true;
}

void mirror_clear(struct mirror *m)
{
	struct hosts *hs = m->member->hosts;

	map64_each(&m->by_remote, it)
	{
		struct mirror_source *s = it->value;
		struct mirrored *of = s->of;
		struct object *o = of->object;
		bool is_last = of->sources == s && s->next == NULL;
		if (is_last && schema_is_a(o->type, T_ManagedEntity) &&
		    !schema_is_a(o->type, T_HostSystem)) {
			place_leave(m->member->center, o);
		}
		source_free(s);
		if (is_last) {
			mirrored_free(of, hs);
		} else {
			shared_touch(o);
		}
	}
}
