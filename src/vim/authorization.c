/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/authorization.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "vim/authorization_store.h"

LOG_MODULE("authorization");

enum {
	ROLE_NAME_MAX = 80,
	PERMISSIONS_MAX = 20000,
	DEPTH_MAX = 200 /* of the entity tree; a longer way up is a ring */
};

static const struct {
	int32_t id;
	const char *name;
} system_roles[] = {
	{ ROLE_ADMIN, "Admin" },	 { ROLE_READ_ONLY, "ReadOnly" }, { ROLE_VIEW, "View" },
	{ ROLE_ANONYMOUS, "Anonymous" }, { ROLE_NO_ACCESS, "NoAccess" },
};

void permission_fini(struct permission *p)
{
	free(p->entity);
	free(p->principal);
}

void permissions_free(struct permission_vec *v)
{
	vec_each (v, it) {
		permission_fini(it);
	}
	vec_free(v);
}

void permission_add(struct permission_vec *v, const struct permission *p)
{
	struct permission copy = *p;

	copy.entity = mem_strdup(p->entity);
	copy.principal = mem_strdup(p->principal);
	vec_push(v, copy);
}

struct permission_vec authorization_copy(const struct authorization *a)
{
	struct permission_vec v = { 0 };

	vec_each (&a->permissions, it) {
		permission_add(&v, it);
	}
	return v;
}

struct principal principal_of(const struct user_store *users, const char *user)
{
	const struct user *u = user_behind(users, user);

	return (struct principal){ .name = u == NULL ? user : u->name,
				   .groups = u == NULL ? NULL : u->groups };
}

/* ---- which roles count ---- */

static bool permission_is_for(const struct permission *p, const struct principal *who)
{
	if (!p->is_group) {
		return strcmp(p->principal, who->name) == 0;
	}
	for (char **g = who->groups; g != NULL && *g != NULL; g++) {
		if (strcmp(p->principal, *g) == 0) {
			return true;
		}
	}
	return false;
}

static const struct object *entity_parent(const struct object *o)
{
	const struct value *ref = o->removed ? NULL : object_stored(o, P_ManagedEntity_parent);

	if (ref == NULL && !o->removed && schema_is_a(o->type, T_VirtualMachine)) {
		ref = object_stored(o, P_VirtualMachine_parentVApp);
	}
	return ref == NULL ? NULL : inventory_find(o->inventory, value_bytes(ref));
}

static bool is_entity(const struct object *o)
{
	return schema_is_a(o->type, T_ManagedEntity);
}

/* The entity whose permissions count for the object; NULL: the root folder. */
static const struct object *governing(const struct object *o)
{
	return is_entity(o) ? o : object_subject(o);
}

/* Roles that permissions set on exactly this entity give. */
static unsigned roles_on(const struct authorization *a, const struct principal *who,
			 const struct object *o, bool is_inherited, int32_t *out, unsigned max)
{
	unsigned n = 0;

	vec_each (&a->permissions, p) {
		if (strcmp(p->entity, object_id(o)) != 0 || (is_inherited && !p->is_propagating) ||
		    !permission_is_for(p, who)) {
			continue;
		}
		if (!p->is_group) {
			out[0] = p->role;
			return 1;
		}
		if (n < max) {
			out[n++] = p->role;
		}
	}
	return n;
}

unsigned authorization_roles(const struct authorization *a, const struct principal *who,
			     const struct object *o, int32_t *out, unsigned max)
{
	const struct object *at = governing(o);

	if (at == NULL) {
		at = service_root(a->service);
	}

	for (unsigned depth = 0; at != NULL && depth < DEPTH_MAX; depth++) {
		unsigned n = roles_on(a, who, at, depth > 0, out, max);
		if (n > 0) {
			return n;
		}
		at = entity_parent(at);
	}
	return 0;
}

struct role *authorization_role(const struct authorization *a, int32_t id)
{
	vec_each (&a->roles, it) {
		if (it->id == id) {
			return it;
		}
	}
	return NULL;
}

struct role *authorization_role_named(const struct authorization *a, const char *name)
{
	vec_each (&a->roles, it) {
		if (strcasecmp(it->name, name) == 0) {
			return it;
		}
	}
	return NULL;
}

void authorization_privileges(const struct authorization *a, const struct principal *who,
			      const struct object *o, struct privilege_set *out)
{
	int32_t roles[32];
	unsigned n = authorization_roles(a, who, o, roles, ARRAY_LEN(roles));

	*out = (struct privilege_set){ 0 };
	for (unsigned i = 0; i < n; i++) {
		const struct role *role = authorization_role(a, roles[i]);
		if (role != NULL) {
			privilege_set_join(out, &role->privileges);
		}
	}
}

/* Does a permission anywhere (or below `above`, when given) hold the privilege for the principal?
 */
static bool holds_somewhere(const struct authorization *a, const struct principal *who,
			    unsigned privilege, const struct object *above)
{
	vec_each (&a->permissions, p) {
		const struct role *role = authorization_role(a, p->role);
		if (role == NULL || !privilege_set_has(&role->privileges, privilege) ||
		    !permission_is_for(p, who)) {
			continue;
		}
		if (above == NULL) {
			return true;
		}
		const struct object *o = inventory_find(above->inventory, p->entity);
		for (unsigned d = 0; o != NULL && o != above && d < DEPTH_MAX; d++) {
			o = entity_parent(o);
		}
		if (o == above) {
			return true;
		}
	}
	return false;
}

bool authorization_may(const struct authorization *a, const struct principal *who,
		       const struct object *o, const char *privilege)
{
	int number = privilege_find(privilege);
	struct privilege_set set;

	if (number < 0) {
		return authorization_is_admin(a, who);
	}
	authorization_privileges(a, who, o, &set);
	if (privilege_set_has(&set, (unsigned)number)) {
		return true;
	}
	const struct object *entity = governing(o);
	if (entity == NULL) {
		return strncmp(privilege, "System.", 7) == 0 &&
		       holds_somewhere(a, who, (unsigned)number, NULL);
	}
	return strcmp(privilege, "System.View") == 0 &&
	       holds_somewhere(a, who, (unsigned)number, entity);
}

static bool is_root_admin(const struct authorization *a, const struct permission *p)
{
	return p->role == ROLE_ADMIN && p->is_propagating &&
	       strcmp(p->entity, service_root_id(a->service)) == 0;
}

bool authorization_is_admin(const struct authorization *a, const struct principal *who)
{
	bool is_admin = false;

	vec_each (&a->permissions, p) {
		if (!permission_is_for(p, who)) {
			continue;
		}
		if (!is_root_admin(a, p)) {
			return false;
		}
		is_admin = true;
	}
	return is_admin;
}

/* ---- what the API shows ---- */

struct value *permission_value(struct arena *arena, const struct authorization *a,
			       const struct permission *p)
{
	struct value *v = value_new(arena, T_Permission);
	struct object *o = inventory_find(service_inventory(a->service), p->entity);

	if (o != NULL) {
		value_set(arena, v, F_Permission_entity, o->ref);
	}
	value_set_str(arena, v, F_Permission_principal, p->principal);
	value_set_bool(arena, v, F_Permission_group, p->is_group);
	value_set_num(arena, v, F_Permission_roleId, p->role);
	value_set_bool(arena, v, F_Permission_propagate, p->is_propagating);
	return v;
}

/* Sets the property `permission` of one entity. */
static void publish_entity(struct authorization *a, struct object *o, struct arena *arena)
{
	struct value *list = value_new_array(arena, T_Permission);

	vec_each (&a->permissions, p) {
		if (strcmp(p->entity, object_id(o)) == 0) {
			value_push(arena, list, permission_value(arena, a, p));
		}
	}
	inventory_set(o, P_ManagedEntity_permission, list);
}

/* Sets it for the entities that `v` names; what is not there yet comes later. */
static void publish(struct authorization *a, const struct permission_vec *v)
{
	struct arena *arena = arena_new(0);

	vec_each (v, p) {
		struct object *o = inventory_find(service_inventory(a->service), p->entity);
		p->is_seen |= o != NULL;
		if (o == NULL) {
			a->is_pending = true;
		} else if (!o->removed && is_entity(o)) {
			publish_entity(a, o, arena);
		}
	}
	arena_free(arena);
}

static void publish_roles(struct authorization *a)
{
	struct arena *arena = arena_new(0);
	struct value *list = value_new_array(arena, T_AuthorizationRole);

	vec_each (&a->roles, r) {
		struct value *v = value_new(arena, T_AuthorizationRole);
		struct value *info = value_new(arena, T_Description);
		value_set_str(arena, info, F_Description_label, r->name);
		value_set_str(arena, info, F_Description_summary, r->name);
		value_set_num(arena, v, F_AuthorizationRole_roleId, r->id);
		value_set_bool(arena, v, F_AuthorizationRole_system, r->id < 0);
		value_set_str(arena, v, F_AuthorizationRole_name, r->name);
		value_set(arena, v, F_AuthorizationRole_info, info);
		struct value *ids = value_new_array(arena, T_string);
		for (unsigned i = 0; i < privilege_count(); i++) {
			if (privilege_set_has(&r->privileges, i)) {
				value_push_str(arena, ids, privilege_name(i));
			}
		}
		value_set(arena, v, F_AuthorizationRole_privilege, ids);
		value_push(arena, list, v);
	}
	inventory_set(a->object, P_AuthorizationManager_roleList, list);
	arena_free(arena);
}

/* ---- changes ---- */

bool authorization_replace(struct authorization *a, struct permission_vec *permissions,
			   struct error *e)
{
	struct permission_vec old = a->permissions;
	bool has_admin = false;

	if (permissions->n > PERMISSIONS_MAX) {
		permissions_free(permissions);
		return error_set(e, ERROR_LIMIT, "there would be more than %d permissions",
				 PERMISSIONS_MAX);
	}
	vec_each (permissions, p) {
		has_admin = has_admin || is_root_admin(a, p);
	}
	if (!has_admin) {
		permissions_free(permissions);
		return error_set(e, ERROR_STATE,
				 "nobody would be left with role Admin on the root folder");
	}
	a->permissions = *permissions;
	if (!authorization_save(a, e)) {
		a->permissions = old;
		permissions_free(permissions);
		return false;
	}
	*permissions = (struct permission_vec){ 0 };
	a->generation++;
	publish(a, &old);
	publish(a, &a->permissions);
	permissions_free(&old);
	return true;
}

/* seen_only: what was never there may still come. */
static void prune(struct authorization *a, bool seen_only)
{
	struct inventory *inv = service_inventory(a->service);
	struct permission_vec left = { 0 };
	struct error e = { 0 };

	vec_each (&a->permissions, p) {
		if (inventory_find(inv, p->entity) != NULL || (seen_only && !p->is_seen)) {
			permission_add(&left, p);
		}
	}
	if (left.n == a->permissions.n) {
		permissions_free(&left);
	} else if (!authorization_replace(a, &left, &e)) {
		log_warn("permissions of entities that are gone stay: %s", e.msg);
	}
}

void authorization_prune(struct authorization *a)
{
	prune(a, false);
}

static bool has_removed(struct inventory *inv, uint64_t since)
{
	struct object *o = inventory_newest(inv);

	for (; o != NULL && o->version > since; o = object_older(o)) {
		if (o->removed && is_entity(o)) {
			return true;
		}
	}
	return false;
}

static void on_published(void *arg)
{
	struct authorization *a = arg;
	struct inventory *inv = service_inventory(a->service);
	uint64_t now = inventory_version(inv);

	if (a->is_pending) {
		a->is_pending = false;
		publish(a, &a->permissions);
	}
	if (has_removed(inv, a->reader.version)) {
		prune(a, true);
	}
	inventory_reader_advance(inv, &a->reader, now);
}

static void role_add(struct authorization *a, int32_t id, const char *name,
		     const struct privilege_set *privileges)
{
	struct role role = { .id = id, .name = mem_strdup(name), .privileges = *privileges };

	vec_push(&a->roles, role);
}

static int32_t role_change(struct authorization *a, struct role *role, const char *name,
			   const struct privilege_set *privileges, struct error *e)
{
	struct role old = *role;

	role->name = mem_strdup(name);
	role->privileges = *privileges;
	if (!authorization_save(a, e)) {
		free(role->name);
		*role = old;
		return 0;
	}
	free(old.name);
	return role->id;
}

int32_t authorization_set_role(struct authorization *a, int32_t id, const char *name,
			       const struct privilege_set *privileges, struct error *e)
{
	struct role *same = authorization_role_named(a, name);
	struct role *role = id == 0 ? NULL : authorization_role(a, id);

	if (name[0] == '\0' || strlen(name) > ROLE_NAME_MAX) {
		error_set(e, ERROR_NAME, "role name \"%.80s\" must have 1 to %d bytes", name,
			  ROLE_NAME_MAX);
		return 0;
	}
	if (same != NULL && same != role) {
		error_set(e, ERROR_EXISTS, "there is a role \"%s\" already", name);
		return 0;
	}
	if (role != NULL) {
		id = role_change(a, role, name, privileges, e);
	} else {
		id = a->next_role;
		role_add(a, id, name, privileges);
		a->next_role++;
		if (!authorization_save(a, e)) {
			a->next_role--;
			free(vec_pop(&a->roles).name);
			return 0;
		}
	}
	if (id != 0) {
		a->generation++;
		publish_roles(a);
	}
	return id;
}

bool authorization_remove_role(struct authorization *a, int32_t id, struct error *e)
{
	for (size_t i = 0; i < a->roles.n; i++) {
		struct role old = a->roles.items[i];
		if (old.id != id) {
			continue;
		}
		vec_remove(&a->roles, i);
		if (!authorization_save(a, e)) {
			vec_insert(&a->roles, i, old);
			return false;
		}
		free(old.name);
		a->generation++;
		publish_roles(a);
		return true;
	}
	return error_set(e, ERROR_NOT_FOUND, "there is no role %d", id);
}

/* ---- making it ---- */

static void system_roles_add(struct authorization *a)
{
	static const char *const basic[] = { "System.Anonymous", "System.View", "System.Read" };

	for (size_t i = 0; i < ARRAY_LEN(system_roles); i++) {
		struct privilege_set set = { 0 };
		int32_t id = system_roles[i].id;
		if (id == ROLE_ADMIN) {
			privilege_set_add_all(&set);
		}
		/* ReadOnly has all three, View the first two, Anonymous the first. */
		size_t n_basic = id == ROLE_ADMIN ? 0 : (size_t)(id - ROLE_NO_ACCESS);
		for (size_t n = 0; n < MIN(n_basic, ARRAY_LEN(basic)); n++) {
			privilege_set_add(&set, (unsigned)privilege_find(basic[n]));
		}
		role_add(a, id, system_roles[i].name, &set);
	}
}

struct authorization *authorization_new(struct service *s,
					const struct authorization_config *config, struct error *e)
{
	struct authorization *a = mem_zalloc(sizeof(*a));

	a->service = s;
	a->users = config->users;
	a->path = config->path == NULL ? NULL : mem_strdup(config->path);
	a->next_role = 1;
	a->generation = 1;
	system_roles_add(a);
	bool is_stored = false;
	if (!authorization_load(a, &is_stored, e)) {
		authorization_free(a);
		return NULL;
	}
	if (!is_stored) {
		struct permission p = { .entity = mem_strdup(service_root_id(s)),
					.principal = mem_strdup(config->admin),
					.role = ROLE_ADMIN,
					.is_propagating = true };
		vec_push(&a->permissions, p);
	}
	a->object = inventory_add(service_inventory(s), T_AuthorizationManager, config->id,
				  authorization_class(), a);
	publish_roles(a);
	publish(a, &a->permissions);
	a->listener = inventory_subscribe(service_inventory(s), on_published, a);
	inventory_reader_add(service_inventory(s), &a->reader);
	authorization_handle(a);
	return a;
}

void authorization_free(struct authorization *a)
{
	if (a == NULL) {
		return;
	}
	if (a->listener != NULL) {
		inventory_unsubscribe(a->listener);
		inventory_reader_remove(service_inventory(a->service), &a->reader);
	}
	inventory_remove(a->object);
	permissions_free(&a->permissions);
	vec_each (&a->roles, r) {
		free(r->name);
	}
	vec_free(&a->roles);
	free(a->path);
	free(a);
}
