/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "vim/authorization.h"
#include "vim/authorization_store.h"
#include "vim/fault.h"
#include "vim/session.h"

#define MODIFY_PERMISSIONS "Authorization.ModifyPermissions"

/* ---- roles ---- */

/* The argument's privileges and those that every role has; false: answered. */
static bool privileges_from(struct call *c, unsigned arg, struct privilege_set *out)
{
	const struct value *names = value_get_value(c->args, arg);
	static const char *const every_role[] = { "System.Anonymous", "System.View",
						  "System.Read" };

	*out = (struct privilege_set){ 0 };
	for (size_t i = 0; i < ARRAY_LEN(every_role); i++) {
		privilege_set_add(out, (unsigned)privilege_find(every_role[i]));
	}
	for (size_t i = 0; i < value_count(names); i++) {
		const char *name = value_bytes(value_item(names, i));
		int n = privilege_find(name);
		if (n < 0) {
			call_fault(c, fault_invalid_argument(c->arena, "privIds"),
				   "there is no privilege \"%.100s\"", name);
			return false;
		}
		privilege_set_add(out, (unsigned)n);
	}
	return true;
}

static void role_fault(struct call *c, const char *name, const struct error *e)
{
	if (e->kind == ERROR_EXISTS) {
		struct value *fault = fault_new(c->arena, T_AlreadyExists);
		value_set_str(c->arena, fault, F_AlreadyExists_name, name);
		call_fault(c, fault, "%s", e->msg);
	} else if (e->kind == ERROR_NAME) {
		call_fault(c, fault_invalid_name(c->arena, name, NULL), "%s", e->msg);
	} else {
		call_error(c, e);
	}
}

static void add_role(struct call *c)
{
	struct authorization *a = call_arg(c);
	const char *name = value_get_str(c->args, A_AuthorizationManager_AddAuthorizationRole_name);
	struct privilege_set set;
	struct error e = { 0 };

	if (!privileges_from(c, A_AuthorizationManager_AddAuthorizationRole_privIds, &set)) {
		return;
	}
	int32_t id = authorization_set_role(a, 0, name, &set, &e);
	if (id == 0) {
		role_fault(c, name, &e);
		return;
	}
	call_return(c, value_new_int(c->arena, id));
}

/* The role of that id, for a change (is_change: not a system role); NULL: answered. */
static struct role *role_arg(struct call *c, unsigned arg, bool is_change)
{
	int32_t id = (int32_t)value_get_num(c->args, arg, 0);
	struct role *role = authorization_role(call_arg(c), id);

	if (role == NULL) {
		call_fault(c, fault_new(c->arena, T_NotFound), "there is no role %d", id);
		return NULL;
	}
	if (is_change && id < 0) {
		call_fault(c, fault_invalid_argument(c->arena, "roleId"),
			   "role \"%s\" is a system role and cannot be changed", role->name);
		return NULL;
	}
	return role;
}

static bool is_within(const struct privilege_set *given, const struct privilege_set *own)
{
	for (unsigned i = 0; i < ARRAY_LEN(own->bits); i++) {
		if ((given->bits[i] & ~own->bits[i]) != 0) {
			return false;
		}
	}
	return true;
}

/* Who changes what a role means for all that have it gives away no more than they have on the root
 * folder; false: answered. */
static bool check_gift(struct call *c, const struct privilege_set *given)
{
	struct authorization *a = call_arg(c);
	struct object *root = service_root(c->service);

	if (root == NULL || session_may_all(c->session)) {
		return true;
	}
	struct principal who = principal_of(a->users, session_user(c->session));
	struct privilege_set own;
	authorization_privileges(a, &who, root, &own);
	if (is_within(given, &own)) {
		return true;
	}
	call_fault(c, fault_no_permission(c->arena, root->ref, "Authorization.ModifyRoles"),
		   "the role would hold privileges that \"%s\" lacks on \"%s\"", who.name,
		   object_id(root));
	return false;
}

static void update_role(struct call *c)
{
	struct role *role =
		role_arg(c, A_AuthorizationManager_UpdateAuthorizationRole_roleId, true);
	const char *name =
		value_get_str(c->args, A_AuthorizationManager_UpdateAuthorizationRole_newName);
	struct privilege_set set;
	struct error e = { 0 };

	if (role == NULL ||
	    !privileges_from(c, A_AuthorizationManager_UpdateAuthorizationRole_privIds, &set) ||
	    !check_gift(c, &set)) {
		return;
	}
	if (authorization_set_role(call_arg(c), role->id, name, &set, &e) == 0) {
		role_fault(c, name, &e);
		return;
	}
	call_return(c, NULL);
}

static void replace_and_answer(struct call *c, struct permission_vec *v)
{
	struct error e = { 0 };

	if (authorization_replace(call_arg(c), v, &e)) {
		call_return(c, NULL);
	} else if (e.kind == ERROR_STATE) {
		call_fault(c, fault_new(c->arena, T_AuthMinimumAdminPermission), "%s", e.msg);
	} else {
		call_error(c, &e);
	}
}

static void permissions_drop_role(struct permission_vec *v, int32_t role)
{
	for (size_t i = v->n; i-- > 0;) {
		if (v->items[i].role == role) {
			permission_fini(&v->items[i]);
			vec_remove(v, i);
		}
	}
}

static void remove_role(struct call *c)
{
	struct authorization *a = call_arg(c);
	struct role *role =
		role_arg(c, A_AuthorizationManager_RemoveAuthorizationRole_roleId, true);
	bool fail_if_used = value_get_bool(
		c->args, A_AuthorizationManager_RemoveAuthorizationRole_failIfUsed, true);
	struct error e = { 0 };

	if (role == NULL) {
		return;
	}
	int32_t id = role->id;
	struct permission_vec v = authorization_copy(a);
	size_t n = v.n;
	permissions_drop_role(&v, id);
	if (v.n < n && fail_if_used) {
		call_fault(c, fault_new(c->arena, T_RemoveFailed),
			   "role \"%s\" is used by %zu permissions", role->name, n - v.n);
		permissions_free(&v);
		return;
	}
	if (!authorization_replace(a, &v, &e) || !authorization_remove_role(a, id, &e)) {
		call_error(c, &e);
		return;
	}
	call_return(c, NULL);
}

static void retrieve_role_permissions(struct call *c)
{
	struct authorization *a = call_arg(c);
	struct role *role =
		role_arg(c, A_AuthorizationManager_RetrieveRolePermissions_roleId, false);

	if (role == NULL) {
		return;
	}
	struct value *list = value_new_array(c->arena, T_Permission);
	vec_each (&a->permissions, p) {
		if (p->role == role->id) {
			value_push(c->arena, list, permission_value(c->arena, a, p));
		}
	}
	call_return(c, list);
}

static void merge_permissions(struct call *c)
{
	struct role *from = role_arg(c, A_AuthorizationManager_MergePermissions_srcRoleId, false);
	struct role *to =
		from == NULL
			? NULL
			: role_arg(c, A_AuthorizationManager_MergePermissions_dstRoleId, false);

	if (to == NULL || !check_gift(c, &to->privileges)) {
		return;
	}
	struct permission_vec v = authorization_copy(call_arg(c));
	vec_each (&v, p) {
		if (p->role == from->id) {
			p->role = to->id;
		}
	}
	replace_and_answer(c, &v);
}

/* ---- permissions ---- */

static bool principal_exists(const struct user_store *users, const char *name, bool is_group)
{
	if (!is_group) {
		return user_behind(users, name) != NULL;
	}
	for (size_t i = 0; i < user_count(users); i++) {
		for (char **g = user_at(users, i)->groups; g != NULL && *g != NULL; g++) {
			if (strcmp(*g, name) == 0) {
				return true;
			}
		}
	}
	return false;
}

/* Checks one Permission argument; false: answered. Nobody gives away more than they have. */
static bool check_permission(struct call *c, const struct value *v, struct object *entity)
{
	struct authorization *a = call_arg(c);
	const char *name = value_get_str(v, F_Permission_principal);
	int32_t id = (int32_t)value_get_num(v, F_Permission_roleId, 0);
	const struct role *role = authorization_role(a, id);

	if (!principal_exists(a->users, name, value_get_bool(v, F_Permission_group, false))) {
		struct value *fault = fault_new(c->arena, T_UserNotFound);
		value_set_str(c->arena, fault, F_UserNotFound_principal, name);
		value_set_bool(c->arena, fault, F_UserNotFound_unresolved, false);
		call_fault(c, fault, "there is no user or group \"%.128s\"", name);
		return false;
	}
	if (role == NULL) {
		call_fault(c, fault_new(c->arena, T_NotFound), "there is no role %d", id);
		return false;
	}
	if (session_may_all(c->session)) {
		return true;
	}
	struct principal who = principal_of(a->users, session_user(c->session));
	struct privilege_set own;
	authorization_privileges(a, &who, entity, &own);
	if (is_within(&role->privileges, &own)) {
		return true;
	}
	call_fault(c, fault_no_permission(c->arena, entity->ref, MODIFY_PERMISSIONS),
		   "role \"%s\" holds privileges that \"%s\" lacks on \"%s\"", role->name, who.name,
		   object_id(entity));
	return false;
}

static struct permission *permission_find(struct permission_vec *v, const char *entity,
					  const char *principal, bool is_group)
{
	vec_each (v, p) {
		if (p->is_group == is_group && strcmp(p->entity, entity) == 0 &&
		    strcmp(p->principal, principal) == 0) {
			return p;
		}
	}
	return NULL;
}

/* Sets what the argument lists on the entity. */
static void permissions_merge(struct permission_vec *v, const struct value *list,
			      const char *entity)
{
	for (size_t i = 0; i < value_count(list); i++) {
		const struct value *item = value_item(list, i);
		const char *principal = value_get_str(item, F_Permission_principal);
		bool is_group = value_get_bool(item, F_Permission_group, false);
		struct permission *p = permission_find(v, entity, principal, is_group);
		if (p == NULL) {
			vec_push(v, (struct permission){ .entity = mem_strdup(entity),
							 .principal = mem_strdup(principal),
							 .is_group = is_group });
			p = &vec_last(v);
		}
		p->role = (int32_t)value_get_num(item, F_Permission_roleId, 0);
		p->is_propagating = value_get_bool(item, F_Permission_propagate, true);
	}
}

/* The entity argument (the first of all these methods), with the right to change it. */
static struct object *entity_to_change(struct call *c)
{
	bool ok;
	struct object *o = call_object(c, 0, T_ManagedEntity, &ok);

	return ok && o != NULL && call_require(c, o, MODIFY_PERMISSIONS) ? o : NULL;
}

static void change_permissions(struct call *c, unsigned arg, bool is_reset)
{
	struct object *entity = entity_to_change(c);
	const struct value *list = value_get_value(c->args, arg);

	if (entity == NULL) {
		return;
	}
	for (size_t i = 0; i < value_count(list); i++) {
		if (!check_permission(c, value_item(list, i), entity)) {
			return;
		}
	}
	struct permission_vec v = authorization_copy(call_arg(c));
	for (size_t i = v.n; is_reset && i-- > 0;) {
		if (strcmp(v.items[i].entity, object_id(entity)) == 0) {
			permission_fini(&v.items[i]);
			vec_remove(&v, i);
		}
	}
	permissions_merge(&v, list, object_id(entity));
	replace_and_answer(c, &v);
}

static void set_permissions(struct call *c)
{
	change_permissions(c, A_AuthorizationManager_SetEntityPermissions_permission, false);
}

static void reset_permissions(struct call *c)
{
	change_permissions(c, A_AuthorizationManager_ResetEntityPermissions_permission, true);
}

static void remove_permission(struct call *c)
{
	struct object *entity = entity_to_change(c);
	const char *name =
		value_get_str(c->args, A_AuthorizationManager_RemoveEntityPermission_user);
	bool is_group = value_get_bool(
		c->args, A_AuthorizationManager_RemoveEntityPermission_isGroup, false);

	if (entity == NULL) {
		return;
	}
	struct permission_vec v = authorization_copy(call_arg(c));
	struct permission *p = permission_find(&v, object_id(entity), name, is_group);
	if (p == NULL) {
		permissions_free(&v);
		call_fault(c, fault_new(c->arena, T_NotFound),
			   "\"%.128s\" has no permission set on \"%s\"", name, object_id(entity));
		return;
	}
	permission_fini(p);
	vec_remove(&v, (size_t)(p - v.items));
	replace_and_answer(c, &v);
}

static void retrieve_permissions(struct call *c)
{
	struct authorization *a = call_arg(c);
	bool ok;
	struct object *o = call_object(c, A_AuthorizationManager_RetrieveEntityPermissions_entity,
				       T_ManagedEntity, &ok);
	bool inherited = value_get_bool(
		c->args, A_AuthorizationManager_RetrieveEntityPermissions_inherited, false);

	if (!ok || o == NULL || !call_require(c, o, "System.View")) {
		return;
	}
	struct value *list = value_new_array(c->arena, T_Permission);
	for (unsigned depth = 0; o != NULL && depth < 200; depth++) {
		vec_each (&a->permissions, p) {
			if (strcmp(p->entity, object_id(o)) == 0 &&
			    (depth == 0 || p->is_propagating)) {
				value_push(c->arena, list, permission_value(c->arena, a, p));
			}
		}
		const struct value *parent =
			inherited ? object_stored(o, P_ManagedEntity_parent) : NULL;
		o = parent == NULL ? NULL : inventory_find_ref(o->inventory, parent);
	}
	call_return(c, list);
}

static void retrieve_all(struct call *c)
{
	struct authorization *a = call_arg(c);
	struct value *list = value_new_array(c->arena, T_Permission);

	vec_each (&a->permissions, p) {
		value_push(c->arena, list, permission_value(c->arena, a, p));
	}
	call_return(c, list);
}

/* ---- questions ---- */

/* May the caller ask about that user? About oneself always. */
static bool check_curious(struct call *c, const char *user)
{
	struct object *root = service_root(c->service);

	return strcmp(user, session_user(c->session)) == 0 || root == NULL ||
	       call_require(c, root, MODIFY_PERMISSIONS);
}

static struct value *availability(struct call *c, const struct principal *who, struct object *o,
				  const struct value *privileges)
{
	struct value *list = value_new_array(c->arena, T_PrivilegeAvailability);

	for (size_t i = 0; i < value_count(privileges); i++) {
		const char *name = value_bytes(value_item(privileges, i));
		struct value *v = value_new(c->arena, T_PrivilegeAvailability);
		value_set_str(c->arena, v, F_PrivilegeAvailability_privId, name);
		value_set_bool(c->arena, v, F_PrivilegeAvailability_isGranted,
			       authorization_may(call_arg(c), who, o, name));
		value_push(c->arena, list, v);
	}
	return list;
}

static struct object *entity_find(struct call *c, const struct value *ref)
{
	struct object *o = inventory_find_ref(service_inventory(c->service), ref);

	if (o == NULL || o->removed) {
		call_fault(c, fault_not_found(c->arena, ref), "there is no object \"%s\"",
			   value_bytes(ref));
		return NULL;
	}
	return o;
}

static void answer_entities(struct call *c, const char *user, const struct value *entities,
			    const struct value *privileges)
{
	struct authorization *a = call_arg(c);
	struct principal who = principal_of(a->users, user);
	struct value *list = value_new_array(c->arena, T_EntityPrivilege);

	for (size_t i = 0; i < value_count(entities); i++) {
		struct object *o = entity_find(c, value_item(entities, i));
		if (o == NULL) {
			return;
		}
		struct value *v = value_new(c->arena, T_EntityPrivilege);
		value_set(c->arena, v, F_EntityPrivilege_entity, o->ref);
		value_set(c->arena, v, F_EntityPrivilege_privAvailability,
			  availability(c, &who, o, privileges));
		value_push(c->arena, list, v);
	}
	call_return(c, list);
}

/* Name of the user whose session has that id; NULL: answered. */
static const char *session_arg(struct call *c, unsigned arg)
{
	const char *id = value_get_str(c->args, arg);
	struct session *s = session_find_id(service_sessions(c->service), id);

	if (s == NULL) {
		call_fault(c, fault_invalid_argument(c->arena, "sessionId"),
			   "there is no session \"%.80s\"", id);
		return NULL;
	}
	return check_curious(c, session_user(s)) ? session_user(s) : NULL;
}

static void has_on_entity(struct call *c)
{
	const char *user = session_arg(c, A_AuthorizationManager_HasPrivilegeOnEntity_sessionId);
	const struct value *names =
		value_get_value(c->args, A_AuthorizationManager_HasPrivilegeOnEntity_privId);
	bool ok;

	if (user == NULL) {
		return;
	}
	struct object *o = call_object(c, A_AuthorizationManager_HasPrivilegeOnEntity_entity,
				       T_ManagedEntity, &ok);
	if (!ok || o == NULL) {
		return;
	}
	struct authorization *a = call_arg(c);
	struct principal who = principal_of(a->users, user);
	struct value *list = value_new_array(c->arena, T_boolean);
	for (size_t i = 0; i < value_count(names); i++) {
		value_push_num(c->arena, list,
			       authorization_may(a, &who, o, value_bytes(value_item(names, i))));
	}
	call_return(c, list);
}

static void has_on_entities(struct call *c)
{
	const char *user = session_arg(c, A_AuthorizationManager_HasPrivilegeOnEntities_sessionId);

	if (user == NULL) {
		return;
	}
	answer_entities(
		c, user,
		value_get_value(c->args, A_AuthorizationManager_HasPrivilegeOnEntities_entity),
		value_get_value(c->args, A_AuthorizationManager_HasPrivilegeOnEntities_privId));
}

static void user_has_on_entities(struct call *c)
{
	const char *user =
		value_get_str(c->args, A_AuthorizationManager_HasUserPrivilegeOnEntities_userName);

	if (!check_curious(c, user)) {
		return;
	}
	answer_entities(
		c, user,
		value_get_value(c->args,
				A_AuthorizationManager_HasUserPrivilegeOnEntities_entities),
		value_get_value(c->args, A_AuthorizationManager_HasUserPrivilegeOnEntities_privId));
}

static void fetch_user_privileges(struct call *c)
{
	struct authorization *a = call_arg(c);
	const char *user = value_get_str(
		c->args, A_AuthorizationManager_FetchUserPrivilegeOnEntities_userName);
	const struct value *entities = value_get_value(
		c->args, A_AuthorizationManager_FetchUserPrivilegeOnEntities_entities);

	if (!check_curious(c, user)) {
		return;
	}
	struct principal who = principal_of(a->users, user);
	struct value *list = value_new_array(c->arena, T_UserPrivilegeResult);
	for (size_t i = 0; i < value_count(entities); i++) {
		struct object *o = entity_find(c, value_item(entities, i));
		if (o == NULL) {
			return;
		}
		struct privilege_set set;
		authorization_privileges(a, &who, o, &set);
		struct value *names = value_new_array(c->arena, T_string);
		for (unsigned p = 0; p < privilege_count(); p++) {
			if (privilege_set_has(&set, p)) {
				value_push_str(c->arena, names, privilege_name(p));
			}
		}
		struct value *v = value_new(c->arena, T_UserPrivilegeResult);
		value_set(c->arena, v, F_UserPrivilegeResult_entity, o->ref);
		value_set(c->arena, v, F_UserPrivilegeResult_privileges, names);
		value_push(c->arena, list, v);
	}
	call_return(c, list);
}

/* ---- computed properties: the same for every service of the process ---- */

/* What stands before the last dot, and what after. */
static const char *privilege_group(struct arena *a, const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot == NULL ? name : arena_strndup(a, name, (size_t)(dot - name));
}

static const char *privilege_leaf(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot == NULL ? name : dot + 1;
}

static const struct value *privilege_list(void)
{
	static const struct value *kept;

	if (kept != NULL) {
		return kept;
	}
	struct arena *a = arena_new(0);
	struct value *list = value_new_array(a, T_AuthorizationPrivilege);
	for (unsigned i = 0; i < privilege_count(); i++) {
		const char *name = privilege_name(i);
		struct value *v = value_new(a, T_AuthorizationPrivilege);
		value_set_str(a, v, F_AuthorizationPrivilege_privId, name);
		value_set_bool(a, v, F_AuthorizationPrivilege_onParent, false);
		value_set_str(a, v, F_AuthorizationPrivilege_name, privilege_leaf(name));
		value_set_str(a, v, F_AuthorizationPrivilege_privGroupName,
			      privilege_group(a, name));
		value_push(a, list, v);
	}
	kept = value_keep(list);
	arena_free(a);
	return kept;
}

static struct value *element(struct arena *a, const char *key, const char *label)
{
	struct value *v = value_new(a, T_ElementDescription);

	value_set_str(a, v, F_ElementDescription_key, key);
	value_set_str(a, v, F_Description_label, label);
	value_set_str(a, v, F_Description_summary, label);
	return v;
}

static const struct value *description(void)
{
	static const struct value *kept;

	if (kept != NULL) {
		return kept;
	}
	struct arena *a = arena_new(0);
	struct value *v = value_new(a, T_AuthorizationDescription);
	struct value *privileges = value_new_array(a, T_ElementDescription);
	struct value *groups = value_new_array(a, T_ElementDescription);
	const char *last = "";
	for (unsigned i = 0; i < privilege_count(); i++) {
		const char *name = privilege_name(i);
		const char *group = privilege_group(a, name);
		value_push(a, privileges, element(a, name, privilege_leaf(name)));
		if (strcmp(group, last) != 0) {
			value_push(a, groups, element(a, group, group));
			last = group;
		}
	}
	value_set(a, v, F_AuthorizationDescription_privilege, privileges);
	value_set(a, v, F_AuthorizationDescription_privilegeGroup, groups);
	kept = value_keep(v);
	arena_free(a);
	return kept;
}

static const struct value *compute(struct object *o, unsigned prop, struct arena *a)
{
	(void)o;
	(void)a;
	return prop == P_AuthorizationManager_privilegeList ? privilege_list() : description();
}

const struct object_class *authorization_class(void)
{
	static const struct object_class class = {
		.computed = UINT64_C(1) << P_AuthorizationManager_privilegeList |
			    UINT64_C(1) << P_AuthorizationManager_description,
		.compute = compute,
	};

	return &class;
}

void authorization_handle(struct authorization *a)
{
	static const struct {
		uint16_t method;
		call_fn *fn;
	} methods[] = {
		{ M_AuthorizationManager_AddAuthorizationRole, add_role },
		{ M_AuthorizationManager_UpdateAuthorizationRole, update_role },
		{ M_AuthorizationManager_RemoveAuthorizationRole, remove_role },
		{ M_AuthorizationManager_RetrieveRolePermissions, retrieve_role_permissions },
		{ M_AuthorizationManager_MergePermissions, merge_permissions },
		{ M_AuthorizationManager_SetEntityPermissions, set_permissions },
		{ M_AuthorizationManager_ResetEntityPermissions, reset_permissions },
		{ M_AuthorizationManager_RemoveEntityPermission, remove_permission },
		{ M_AuthorizationManager_RetrieveEntityPermissions, retrieve_permissions },
		{ M_AuthorizationManager_RetrieveAllPermissions, retrieve_all },
		{ M_AuthorizationManager_HasPrivilegeOnEntity, has_on_entity },
		{ M_AuthorizationManager_HasPrivilegeOnEntities, has_on_entities },
		{ M_AuthorizationManager_HasUserPrivilegeOnEntities, user_has_on_entities },
		{ M_AuthorizationManager_FetchUserPrivilegeOnEntities, fetch_user_privileges },
	};

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		service_handle(a->service, T_AuthorizationManager, methods[i].method, methods[i].fn,
			       a);
	}
}
