/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 1. Every entity that has a parent and a name is in center->names under a hash of both, but for a
 *    second of the same name (two hosts may bring datastores of one name before they are renamed):
 *    the first stays, and lookups compare names, so that they are right in any case.
 * 2. parent's list of children and the child's `parent` say the same.
 */
#include "center/place.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "center/database.h"
#include "vim/custom_field.h"
#include "vim/fault.h"

enum {
	FREE_NAME_TRIES = 1000
};

/* ---- reading ---- */

struct object *place_ref(struct object *o, unsigned prop)
{
	const struct value *ref = object_get(o, prop, NULL);

	return ref == NULL ? NULL : inventory_find_ref(o->inventory, ref);
}

size_t place_count(struct object *o, unsigned prop)
{
	return value_count(object_get(o, prop, NULL));
}

struct object *place_at(struct object *o, unsigned prop, size_t i)
{
	return inventory_find_ref(o->inventory, value_item(object_get(o, prop, NULL), i));
}

struct object *place_parent(struct object *o)
{
	return place_ref(o, P_ManagedEntity_parent);
}

const char *place_name(struct object *o)
{
	return object_get_str(o, P_ManagedEntity_name);
}

struct object *place_datacenter(struct object *o)
{
	while (o != NULL && !schema_is_a(o->type, T_Datacenter)) {
		o = place_parent(o);
	}
	return o;
}

struct object *place_folder(struct object *datacenter, unsigned prop)
{
	return place_ref(datacenter, prop);
}

bool place_is_within(struct object *o, const struct object *top)
{
	while (o != NULL && o != top) {
		o = place_parent(o);
	}
	return o != NULL;
}

/* ---- names ---- */

static uint64_t name_hash(const struct object *parent, const char *name)
{
	return map_hash(name, strlen(name)) + (parent->index + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static bool is_child(struct object *o, const struct object *parent, const char *name)
{
	return o != NULL && !o->removed && place_parent(o) == parent &&
	       strcmp(place_name(o), name) == 0;
}

struct object *place_child(struct center *c, const struct object *parent, const char *name)
{
	struct object *o = map64_get(&c->names, name_hash(parent, name));

	return is_child(o, parent, name) ? o : NULL;
}

static void name_add(struct center *c, struct object *o, struct object *parent, const char *name)
{
	uint64_t hash = name_hash(parent, name);

	if (!map64_has(&c->names, hash)) {
		map64_set(&c->names, hash, o);
	}
}

static void name_drop(struct center *c, struct object *o)
{
	struct object *parent = place_parent(o);
	const char *name = place_name(o);

	if (parent != NULL && name != NULL) {
		uint64_t hash = name_hash(parent, name);
		if (map64_get(&c->names, hash) == o) {
			map64_remove(&c->names, hash);
		}
	}
}

const char *place_free_name(struct center *c, const struct object *parent, const char *name,
			    struct arena *a)
{
	const char *free_name = arena_strdup(a, name);
	int64_t n = 0;

	while (place_child(c, parent, free_name) != NULL) {
		/* Thousands of one name are not tried one after the other. */
		n = n < FREE_NAME_TRIES ? n + 1 : MAX(n + 1, c->next_id);
		free_name = arena_printf(a, "%s (%" PRId64 ")", name, n);
	}
	return free_name;
}

/* '%' of a sequence that is escaped already. */
static bool is_escaped(const char *s)
{
	return strncasecmp(s, "%2f", 3) == 0 || strncasecmp(s, "%5c", 3) == 0 ||
	       strncasecmp(s, "%25", 3) == 0;
}

const char *place_escape(struct arena *a, const char *name, struct error *e)
{
	struct buf b = BUF_INIT;
	size_t n_chars = 0;

	buf_adds(&b, "");
	for (const char *s = name; *s != '\0'; s++) {
		n_chars += ((unsigned char)*s & 0xc0) != 0x80;
		if (*s == '/' || *s == '\\' || (*s == '%' && !is_escaped(s))) {
			buf_addf(&b, "%%%02x", (unsigned)*s);
		} else if ((unsigned char)*s < 0x20 || *s == 0x7f) {
			buf_free(&b);
			error_set(e, ERROR_NAME, "name \"%.80s\" has a control character", name);
			return NULL;
		} else {
			n_chars -= *s == '%' ? 2 : 0;
			buf_addc(&b, *s);
		}
	}
	const char *escaped = b.len == 0 ? "" : arena_strdup(a, b.data);
	buf_free(&b);
	if (n_chars == 0 || n_chars > PLACE_NAME_MAX) {
		error_set(e, ERROR_NAME, "name \"%.80s\" has %zu characters, must have 1 to %d",
			  name, n_chars, PLACE_NAME_MAX);
		return NULL;
	}
	return escaped;
}

const char *place_check_name(struct center *c, struct arena *a, struct object *parent,
			     const char *given, struct refusal *r)
{
	struct error e = { 0 };
	const char *name = place_escape(a, given, &e);

	if (name == NULL) {
		refuse(r, fault_invalid_name(a, given, parent), "%s", e.msg);
		return NULL;
	}
	struct object *other = place_child(c, parent, name);
	if (other != NULL) {
		refuse(r, fault_duplicate_name(a, name, other),
		       "the name \"%s\" exists already in \"%s\"", name, place_name(parent));
		return NULL;
	}
	return name;
}

/* ---- lists ---- */

/* The property of a parent that lists such a child; UINT32_MAX: none does. */
static unsigned list_of(const struct object *parent, const struct object *child)
{
	if (schema_is_a(parent->type, T_Folder)) {
		return P_Folder_childEntity;
	}
	if (schema_is_a(parent->type, T_ResourcePool) && schema_is_a(child->type, T_ResourcePool)) {
		return P_ResourcePool_resourcePool;
	}
	return UINT32_MAX;
}

static void list_add(struct object *parent, const struct object *child)
{
	unsigned prop = list_of(parent, child);

	if (prop != UINT32_MAX) {
		inventory_add_ref(parent, prop, child);
	}
}

static void list_drop(struct object *parent, const struct object *child)
{
	unsigned prop = list_of(parent, child);

	if (prop != UINT32_MAX) {
		inventory_drop_ref(parent, prop, child);
	}
}

static void fields_attach(struct center *c, struct object *o)
{
	if (c->db == NULL) {
		custom_field_attach(c->fields, o, NULL);
		return;
	}
	struct arena *a = arena_new(0);
	const char *text = database_custom(c->db, object_id(o), a);
	const struct value *values =
		text == NULL ? NULL : database_array(a, T_CustomFieldValue, text, NULL);

	custom_field_attach(c->fields, o, values);
	arena_free(a);
}

void place_enter(struct center *c, struct object *o, const char *name, struct object *parent)
{
	inventory_set_str(o, P_ManagedEntity_name, name);
	inventory_set_ref(o, P_ManagedEntity_parent, parent);
	inventory_set_enum(o, P_ManagedEntity_overallStatus, T_ManagedEntityStatus,
			   E_ManagedEntityStatus_green);
	inventory_set_enum(o, P_ManagedEntity_configStatus, T_ManagedEntityStatus,
			   E_ManagedEntityStatus_green);
	inventory_set_bool(o, P_ManagedEntity_alarmActionsEnabled, true);
	fields_attach(c, o);
	if (parent != NULL) {
		list_add(parent, o);
		name_add(c, o, parent, name);
	}
}

struct object *place_new(struct center *c, uint16_t type, const char *id, const char *name,
			 struct object *parent)
{
	struct object *o = inventory_add(c->inventory, type, id, &center_entity_class, c);

	place_enter(c, o, name, parent);
	return o;
}

void place_leave(struct center *c, struct object *o)
{
	struct object *parent = place_parent(o);

	name_drop(c, o);
	if (schema_is_a(o->type, T_VirtualMachine)) {
		place_set_pool(c, o, NULL);
	}
	if (parent != NULL) {
		list_drop(parent, o);
		inventory_set_ref(o, P_ManagedEntity_parent, NULL);
	}
}

void place_move(struct center *c, struct object *o, struct object *parent)
{
	struct object *old = place_parent(o);

	if (old == parent) {
		return;
	}
	name_drop(c, o);
	if (old != NULL) {
		list_drop(old, o);
	}
	inventory_set_ref(o, P_ManagedEntity_parent, parent);
	list_add(parent, o);
	name_add(c, o, parent, place_name(o));
}

void place_rename(struct center *c, struct object *o, const char *name)
{
	struct object *parent = place_parent(o);

	name_drop(c, o);
	inventory_set_str(o, P_ManagedEntity_name, name);
	if (parent != NULL) {
		name_add(c, o, parent, name);
	}
}

void place_set_pool(struct center *c, struct object *vm, struct object *pool)
{
	struct object *old = place_ref(vm, P_VirtualMachine_resourcePool);

	(void)c;
	if (old == pool) {
		return;
	}
	if (old != NULL) {
		inventory_drop_ref(old, P_ResourcePool_vm, vm);
	}
	/* parentVApp stays unset: a VM of a vApp has a folder here, and clients that walk up take
	 * the one for the lack of the other. */
	inventory_set_ref(vm, P_VirtualMachine_resourcePool, pool);
	if (pool != NULL) {
		inventory_add_ref(pool, P_ResourcePool_vm, vm);
	}
}
