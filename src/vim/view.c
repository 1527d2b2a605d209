/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views hold sets of objects. A container view is brought up to date object by object: whatever
 * changed its place is looked at once (membership.h); only when a container moves or goes is
 * everything looked at again.
 *
 * Bringing up to date happens whenever a view is read and at every publication of changes; only the
 * latter tells the inventory that `view` has changed, so that reading changes nothing.
 */
#include "vim/view.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/uuid.h"
#include "base/vec.h"
#include "vim/access.h"
#include "vim/fault.h"
#include "vim/membership.h"

enum {
	MAX_VIEWS = 500, /* of a session */
	MAX_TYPES = 150,
	MAX_LISTED = 200000,
	ID_SIZE = 100
};

struct view {
	struct list_node link; /* in the manager's list */
	struct view_manager *manager;
	struct session_item item;
	struct session *session;
	struct object *object;
	struct bitmap members;
	bool is_container, is_recursive;
	bool is_changed;	       /* and the inventory was not told yet */
	uint64_t rights;	       /* the session's, that members are right for */
	const struct value *container; /* counted */
	uint16_t types[MAX_TYPES];
	unsigned n_types;		/* 0: all entities */
	VEC(const struct value *) refs; /* not a container view: in the order given; counted */
	const struct value *value;	/* `view`, kept; NULL: to be made */
};

struct view_manager {
	struct service *service;
	struct inventory *inventory;
	struct object *object;
	struct list views;
	struct inventory_listener *listener;
	struct inventory_reader reader; /* what the views are right for */
	struct arena *scratch;
};

/* ---- members ---- */

static void view_change(struct view *v)
{
	v->is_changed = true;
	value_drop(v->value);
	v->value = NULL;
}

static bool type_matches(const struct view *v, const struct object *o)
{
	if (v->n_types == 0) {
		return schema_is_a(o->type, T_ManagedEntity);
	}
	for (unsigned i = 0; i < v->n_types; i++) {
		if (schema_is_a(o->type, v->types[i])) {
			return schema_is_a(o->type, T_ManagedEntity);
		}
	}
	return false;
}

static bool view_should_have(const struct view *v, struct membership *m, struct object *o)
{
	return !o->removed && type_matches(v, o) && membership_has(m, o, v->is_recursive) &&
	       access_may_view(v->session, o);
}

static void view_look_at(struct view *v, struct membership *m, struct object *o)
{
	bool has = view_should_have(v, m, o);

	if (has ? bitmap_add(&v->members, o->index) : bitmap_has(&v->members, o->index)) {
		if (!has) {
			bitmap_remove(&v->members, o->index);
		}
		view_change(v);
	}
}

static struct membership view_membership(const struct view *v)
{
	struct inventory *inv = v->manager->inventory;

	return (struct membership){ .container = inventory_find_ref(inv, v->container),
				    .scratch = v->manager->scratch };
}

static void view_look_at_all(struct view *v)
{
	struct membership m = view_membership(v);
	struct inventory *inv = v->manager->inventory;
	struct bitmap old = v->members;
	struct object *o;

	v->members = (struct bitmap){ 0 };
	v->rights = session_rights_version(v->session);
	bitmap_reserve(&v->members, inventory_index_limit(inv));
	for (uint32_t i = 0; (o = inventory_each(inv, &i)) != NULL;) {
		if (view_should_have(v, &m, o)) {
			bitmap_add(&v->members, o->index);
		}
	}
	if (!bitmap_is_equal(&old, &v->members)) {
		view_change(v);
	}
	bitmap_free(&old);
	membership_free(&m);
}

/* A listed object is gone. */
static void view_forget(struct view *v, const struct object *o)
{
	if (!bitmap_has(&v->members, o->index)) {
		return;
	}
	bitmap_remove(&v->members, o->index);
	for (size_t i = 0; i < v->refs.n; i++) {
		if (v->refs.items[i] == o->ref) {
			value_drop(o->ref);
			vec_remove(&v->refs, i);
			view_change(v);
			return;
		}
	}
}

static void view_settle_list(struct view *v, uint64_t since)
{
	struct object *o = inventory_newest(v->manager->inventory);

	for (; o != NULL && o->version > since; o = object_older(o)) {
		if (o->removed) {
			view_forget(v, o);
		}
	}
}

static void view_settle(struct view *v, uint64_t since)
{
	if (v->rights != session_rights_version(v->session)) {
		view_look_at_all(v);
		return;
	}
	struct membership m = view_membership(v);
	struct object *o = inventory_newest(v->manager->inventory);

	for (; o != NULL && o->version > since; o = object_older(o)) {
		enum membership_change change = membership_changed(o, since);
		if (change == MEMBERSHIP_ALL) {
			membership_free(&m);
			view_look_at_all(v);
			return;
		}
		if (change == MEMBERSHIP_OWN) {
			view_look_at(v, &m, o);
		}
	}
	membership_free(&m);
}

static void manager_settle(struct view_manager *m)
{
	uint64_t now = inventory_version(m->inventory);

	if (m->reader.version == now) {
		return;
	}
	list_each (struct view, v, &m->views, link) {
		if (v->is_container) {
			view_settle(v, m->reader.version);
		} else {
			view_settle_list(v, m->reader.version);
		}
	}
	arena_reset(m->scratch);
	inventory_reader_advance(m->inventory, &m->reader, now);
}

static void manager_published(void *arg)
{
	struct view_manager *m = arg;

	manager_settle(m);
	list_each (struct view, v, &m->views, link) {
		if (v->is_changed) {
			v->is_changed = false;
			inventory_touch(v->object, P_ManagedObjectView_view, "view");
		}
	}
}

/* ---- what is read ---- */

static const struct value *view_value(struct view *v)
{
	struct arena *a = arena_new(0);
	struct value *list = value_new_array(a, T_ManagedObject);

	if (v->is_container) {
		for (uint32_t i = bitmap_next(&v->members, 0); i != UINT32_MAX;
		     i = bitmap_next(&v->members, i + 1)) {
			value_push(a, list, inventory_at(v->manager->inventory, i)->ref);
		}
	} else {
		vec_each (&v->refs, ref) {
			value_push(a, list, *ref);
		}
	}
	const struct value *kept = value_keep(list);
	arena_free(a);
	return kept;
}

static const struct value *view_compute(struct object *o, unsigned prop, struct arena *a)
{
	struct view *v = o->owner;

	(void)prop;
	(void)a;
	if (v == NULL || service_acting(v->manager->service) != v->session) {
		return NULL;
	}
	manager_settle(v->manager);
	if (v->value == NULL) {
		v->value = view_value(v);
	}
	return v->value;
}

static const struct value *list_compute(struct object *o, unsigned prop, struct arena *a)
{
	struct view_manager *m = o->owner;
	struct value *list = value_new_array(a, T_View);

	(void)prop;
	list_each (struct view, v, &m->views, link) {
		if (v->session == service_acting(m->service)) {
			value_push(a, list, v->object->ref);
		}
	}
	return list;
}

static const struct object_class view_class = {
	.computed = 1 << P_ManagedObjectView_view,
	.compute = view_compute,
};
static const struct object_class manager_class = {
	.computed = 1 << P_ViewManager_viewList,
	.compute = list_compute,
};

/* ---- making and ending ---- */

static void refs_clear(struct view *v)
{
	vec_each (&v->refs, ref) {
		value_drop(*ref);
	}
	vec_clear(&v->refs);
	bitmap_clear(&v->members);
}

static void view_free(struct view *v)
{
	list_remove(&v->link);
	inventory_remove(v->object);
	refs_clear(v);
	vec_free(&v->refs);
	bitmap_free(&v->members);
	value_drop(v->container);
	value_drop(v->value);
	free(v);
}

static void view_session_ended(struct session_item *item)
{
	view_free(CONTAINER_OF(item, struct view, item));
}

/* A new view of the caller's; answers with a fault and returns NULL when there are too many. */
static struct view *view_new(struct call *c, uint16_t type)
{
	struct view_manager *m = call_arg(c);
	unsigned n = 0;

	list_each (struct view, other, &m->views, link) {
		n += other->session == c->session;
	}
	if (n >= MAX_VIEWS) {
		struct error e;
		error_set(&e, ERROR_LIMIT, "session of \"%s\" has too many views (limit %d)",
			  session_user(c->session), MAX_VIEWS);
		call_error(c, &e);
		return NULL;
	}
	char uuid[UUID_TEXT_SIZE], id[ID_SIZE];
	uuid_random_text(uuid);
	snprintf(id, sizeof(id), "session[%s]%s", session_id(c->session), uuid);
	manager_settle(m); /* so that what is put in now is right for the same version */
	struct view *v = mem_zalloc(sizeof(*v));
	v->manager = m;
	v->session = c->session;
	v->object = inventory_add(m->inventory, type, id, &view_class, v);
	v->item.end = view_session_ended;
	session_own(c->session, &v->item);
	list_push_back(&m->views, &v->link);
	return v;
}

/* The view that a call is for; answers with a fault and returns NULL when it is another's. */
static struct view *view_of(struct call *c, struct object *o)
{
	struct view *v = o->owner;

	if (v != NULL && v->session == c->session) {
		return v;
	}
	call_fault(c, fault_not_found(c->arena, o->ref),
		   "The view \"%s\" belongs to another session", object_id(o));
	return NULL;
}

/* ---- container views ---- */

static bool take_types(struct call *c, struct view *v, const struct value *names)
{
	size_t n = value_count(names);

	if (n > MAX_TYPES) {
		call_fault(c, fault_invalid_argument(c->arena, "type"), "type: more than %d types",
			   MAX_TYPES);
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		const struct value *name = value_item(names, i);
		uint16_t type = schema_type_find(value_bytes(name), value_len(name));
		if (type == T_none || schema_type_kind(type) != KIND_MANAGED) {
			call_fault(c, fault_invalid_argument(c->arena, "type"),
				   "type: \"%.100s\" is not the name of a managed type",
				   value_bytes(name));
			return false;
		}
		v->types[v->n_types++] = type;
	}
	return true;
}

static void create_container_view(struct call *c)
{
	bool ok;
	const struct value *types =
		value_get_value(c->args, A_ViewManager_CreateContainerView_type);
	struct object *container =
		call_object(c, A_ViewManager_CreateContainerView_container, T_ManagedEntity, &ok);
	struct view checked = { 0 };

	if (!ok || !take_types(c, &checked, types) || !call_require(c, container, "System.View")) {
		return;
	}
	struct view *v = view_new(c, T_ContainerView);
	if (v == NULL) {
		return;
	}
	memcpy(v->types, checked.types, sizeof(v->types));
	v->n_types = checked.n_types;
	v->is_container = true;
	v->is_recursive =
		value_get_bool(c->args, A_ViewManager_CreateContainerView_recursive, false);
	v->container = value_hold(container->ref);
	inventory_set_ref(v->object, P_ContainerView_container, container);
	inventory_set(v->object, P_ContainerView_type, types);
	inventory_set_bool(v->object, P_ContainerView_recursive, v->is_recursive);
	view_look_at_all(v);
	v->is_changed = false;
	call_return(c, v->object->ref);
}

/* ---- list views ---- */

static void list_add(struct view *v, struct object *o)
{
	if (bitmap_add(&v->members, o->index)) {
		vec_push(&v->refs, value_hold(o->ref));
		view_change(v);
	}
}

/* Adds the objects; returns the references that name none. */
static struct value *list_add_all(struct call *c, struct view *v, const struct value *refs)
{
	struct value *unresolved = value_new_array(c->arena, T_ManagedObject);

	for (size_t i = 0; i < value_count(refs); i++) {
		const struct value *ref = value_item(refs, i);
		struct object *o = inventory_find_ref(v->manager->inventory, ref);
		if (o != NULL && v->refs.n < MAX_LISTED && access_may_view(v->session, o)) {
			list_add(v, o);
		} else {
			value_push(c->arena, unresolved, ref);
		}
	}
	return unresolved;
}

static void create_list_view(struct call *c)
{
	struct view *v = view_new(c, T_ListView);

	if (v != NULL) {
		list_add_all(c, v, value_get_value(c->args, A_ViewManager_CreateListView_obj));
		v->is_changed = false;
		call_return(c, v->object->ref);
	}
}

/* The objects of the view that an argument names; NULL when the call was answered. */
static const struct value *view_argument(struct call *c, unsigned arg)
{
	bool ok;
	struct object *o = call_object(c, arg, T_ManagedObjectView, &ok);

	if (!ok || view_of(c, o) == NULL) {
		return NULL;
	}
	return object_get(o, P_ManagedObjectView_view, c->arena);
}

static void create_list_view_from_view(struct call *c)
{
	const struct value *refs = view_argument(c, A_ViewManager_CreateListViewFromView_view);
	struct view *v = refs == NULL ? NULL : view_new(c, T_ListView);

	if (v != NULL) {
		list_add_all(c, v, refs);
		v->is_changed = false;
		call_return(c, v->object->ref);
	}
}

static void modify_list_view(struct call *c)
{
	struct view *v = view_of(c, c->self);
	const struct value *remove = value_get_value(c->args, A_ListView_ModifyListView_remove);

	if (v == NULL) {
		return;
	}
	manager_settle(v->manager);
	for (size_t i = 0; i < value_count(remove); i++) {
		struct object *o = inventory_find_ref(v->manager->inventory, value_item(remove, i));
		if (o != NULL) {
			view_forget(v, o);
		}
	}
	struct value *unresolved =
		list_add_all(c, v, value_get_value(c->args, A_ListView_ModifyListView_add));
	manager_published(v->manager);
	call_return(c, unresolved);
}

/* refs may be the view's own value. */
static void reset(struct call *c, struct view *v, const struct value *refs)
{
	const struct value *held = refs != NULL && value_is_kept(refs) ? value_hold(refs) : NULL;

	manager_settle(v->manager);
	refs_clear(v);
	view_change(v);
	struct value *unresolved = list_add_all(c, v, refs);
	manager_published(v->manager);
	call_return(c, unresolved);
	value_drop(held);
}

static void reset_list_view(struct call *c)
{
	struct view *v = view_of(c, c->self);

	if (v != NULL) {
		reset(c, v, value_get_value(c->args, A_ListView_ResetListView_obj));
	}
}

static void reset_list_view_from_view(struct call *c)
{
	struct view *v = view_of(c, c->self);
	const struct value *refs =
		v == NULL ? NULL : view_argument(c, A_ListView_ResetListViewFromView_view);

	if (refs != NULL) {
		reset(c, v, refs);
	}
}

/* ---- inventory views ---- */

static void create_inventory_view(struct call *c)
{
	struct view *v = view_new(c, T_InventoryView);
	struct object *root = service_root(c->service);

	if (v == NULL) {
		return;
	}
	if (root != NULL) {
		list_add(v, root);
	}
	v->is_changed = false;
	call_return(c, v->object->ref);
}

/* Puts what is directly below the entity in, or takes all that is below it out. */
static void inventory_view_fold(struct view *v, struct object *entity, bool is_open)
{
	struct membership m = { .container = entity, .scratch = v->manager->scratch };
	struct inventory *inv = v->manager->inventory;
	struct object *o;

	for (uint32_t i = 0; (o = inventory_each(inv, &i)) != NULL;) {
		if (!schema_is_a(o->type, T_ManagedEntity)) {
			continue;
		}
		if (is_open && membership_has(&m, o, false) && access_may_view(v->session, o)) {
			list_add(v, o);
		} else if (!is_open && membership_has(&m, o, true)) {
			view_forget(v, o);
		}
	}
	membership_free(&m);
}

static void inventory_view_folders(struct call *c, const struct value *refs, bool is_open)
{
	struct view *v = view_of(c, c->self);
	struct value *unresolved = value_new_array(c->arena, T_ManagedEntity);

	if (v == NULL) {
		return;
	}
	manager_settle(v->manager);
	for (size_t i = 0; i < value_count(refs); i++) {
		struct object *o = inventory_find_ref(v->manager->inventory, value_item(refs, i));
		if (o != NULL && schema_is_a(o->type, T_ManagedEntity) &&
		    access_may_view(v->session, o)) {
			inventory_view_fold(v, o, is_open);
		} else {
			value_push(c->arena, unresolved, value_item(refs, i));
		}
	}
	manager_published(v->manager);
	call_return(c, unresolved);
}

static void open_inventory_view_folder(struct call *c)
{
	inventory_view_folders(
		c, value_get_value(c->args, A_InventoryView_OpenInventoryViewFolder_entity), true);
}

static void close_inventory_view_folder(struct call *c)
{
	inventory_view_folders(
		c, value_get_value(c->args, A_InventoryView_CloseInventoryViewFolder_entity),
		false);
}

static void destroy_view(struct call *c)
{
	struct view *v = view_of(c, c->self);

	if (v != NULL) {
		session_disown(&v->item);
		view_free(v);
		call_return(c, NULL);
	}
}

/* ---- the manager ---- */

struct view_manager *view_manager_new(struct service *s, const char *id)
{
	static const struct {
		uint16_t type, method;
		call_fn *fn;
	} methods[] = {
		{ T_ViewManager, M_ViewManager_CreateContainerView, create_container_view },
		{ T_ViewManager, M_ViewManager_CreateListView, create_list_view },
		{ T_ViewManager, M_ViewManager_CreateListViewFromView, create_list_view_from_view },
		{ T_ViewManager, M_ViewManager_CreateInventoryView, create_inventory_view },
		{ T_View, M_View_DestroyView, destroy_view },
		{ T_ListView, M_ListView_ModifyListView, modify_list_view },
		{ T_ListView, M_ListView_ResetListView, reset_list_view },
		{ T_ListView, M_ListView_ResetListViewFromView, reset_list_view_from_view },
		{ T_InventoryView, M_InventoryView_OpenInventoryViewFolder,
		  open_inventory_view_folder },
		{ T_InventoryView, M_InventoryView_CloseInventoryViewFolder,
		  close_inventory_view_folder },
	};
	struct view_manager *m = mem_zalloc(sizeof(*m));

	m->service = s;
	m->inventory = service_inventory(s);
	m->scratch = arena_new(0);
	list_init(&m->views);
	m->object = inventory_add(m->inventory, T_ViewManager, id, &manager_class, m);
	inventory_reader_add(m->inventory, &m->reader);
	m->listener = inventory_subscribe(m->inventory, manager_published, m);
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		service_handle(s, methods[i].type, methods[i].method, methods[i].fn, m);
	}
	return m;
}

void view_manager_free(struct view_manager *m)
{
	if (m == NULL) {
		return;
	}
	list_each_safe (struct view, v, &m->views, link) {
		session_disown(&v->item);
		view_free(v);
	}
	inventory_unsubscribe(m->listener);
	inventory_reader_remove(m->inventory, &m->reader);
	inventory_remove(m->object);
	arena_free(m->scratch);
	free(m);
}
