/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roles and permissions (vSphere API AuthorizationManager).
 *
 * A permission gives a principal (user or group) a role on an entity and, if it propagates, on all
 * below. What counts on an entity is the nearest permission on the way up to the root that names
 * the user; on one entity a permission of the user itself beats those of its groups, and those of
 * several groups add up. An object that is about an entity (inventory_set_subject()) counts as
 * that. For others outside the entity tree the root folder counts; there, what everybody needs to
 * work at all (System.Anonymous, View, Read) is given to whoever has it on any entity, and
 * System.View on the folders above such an entity.
 *
 * Every change is checked, stored (if there is a path) and then in force, or refused and nothing is
 * changed. One principal always keeps role Admin on the root (AuthMinimumAdminPermission).
 *
 * The session manager owns the one struct authorization of a service.
 */
#ifndef VIM_AUTHORIZATION_H
#define VIM_AUTHORIZATION_H

#include "base/error.h"
#include "base/vec.h"
#include "vim/privilege.h"
#include "vim/service.h"
#include "vim/user.h"

enum role_id {
	ROLE_ADMIN = -1,
	ROLE_READ_ONLY = -2,
	ROLE_VIEW = -3,
	ROLE_ANONYMOUS = -4,
	ROLE_NO_ACCESS = -5
};

struct role {
	int32_t id;
	char *name;
	struct privilege_set privileges;
};

struct permission {
	char *entity; /* id of the managed entity */
	char *principal;
	bool is_group;
	bool is_propagating;
	bool is_seen; /* the entity is, or was, in the inventory of this run */
	int32_t role;
};

struct permission_vec {
	struct permission *items;
	size_t n, cap;
};

struct authorization {
	struct service *service;
	struct user_store *users;
	struct object *object;
	char *path; /* NULL: only in memory */
	VEC(struct role) roles;
	struct permission_vec permissions;
	int32_t next_role;
	uint64_t generation; /* counts changes: what sessions remember is old then */
	struct inventory_listener *listener;
	struct inventory_reader reader;
	bool is_pending; /* a permission's entity is not in the inventory yet */
};

struct authorization_config {
	const char *id;
	const char *path;
	const char *admin; /* role Admin on the root, where nothing is stored */
	struct user_store *users;
};

/* NULL with an error when the stored roles cannot be read. */
struct authorization *authorization_new(struct service *s,
					const struct authorization_config *config, struct error *e);
void authorization_free(struct authorization *a);

/* Who is asked about. */
struct principal {
	const char *name;
	char **groups; /* NULL-terminated, or NULL */
};

bool authorization_may(const struct authorization *a, const struct principal *who,
		       const struct object *o, const char *privilege);
/* Privileges of the principal on the entity. */
void authorization_privileges(const struct authorization *a, const struct principal *who,
			      const struct object *o, struct privilege_set *out);
/* Ids of the roles that count on the entity, at most `max`; returns their number. */
unsigned authorization_roles(const struct authorization *a, const struct principal *who,
			     const struct object *o, int32_t *out, unsigned max);
/* True when the principal has role Admin on all there is, whatever the entity. */
bool authorization_is_admin(const struct authorization *a, const struct principal *who);

struct role *authorization_role(const struct authorization *a, int32_t id);
struct role *authorization_role_named(const struct authorization *a, const char *name);

/* Puts other permissions in force and takes the vec's content; or refuses, then the content is
 * freed. ERROR_STATE: no administrator would be left. */
bool authorization_replace(struct authorization *a, struct permission_vec *permissions,
			   struct error *e);
/* Permissions go with their entities: with those that leave the inventory by themselves, at the end
 * of the turn; those that a kill left behind by this, once the inventory is complete. */
void authorization_prune(struct authorization *a);
/* A copy to change and give to authorization_replace(). */
struct permission_vec authorization_copy(const struct authorization *a);
void permission_add(struct permission_vec *v, const struct permission *p); /* copies */
void permission_fini(struct permission *p);
void permissions_free(struct permission_vec *v);

/* Adds a role, or gives the one of that id another name and privileges. Returns its id, 0 with
 * ERROR_EXISTS, ERROR_NAME or the error of storing. */
int32_t authorization_set_role(struct authorization *a, int32_t id /* 0: new */, const char *name,
			       const struct privilege_set *privileges, struct error *e);
bool authorization_remove_role(struct authorization *a, int32_t id, struct error *e);

/* The API's methods; authorization_methods.c. */
void authorization_handle(struct authorization *a);

/* Draft Permission structure. */
struct value *permission_value(struct arena *arena, const struct authorization *a,
			       const struct permission *p);

/* A user as a principal; groups stay the user store's. */
struct principal principal_of(const struct user_store *users, const char *user);

#endif
