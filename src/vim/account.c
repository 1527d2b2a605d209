/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/account.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vim/authorization.h"
#include "vim/fault.h"
#include "vim/session.h"

struct account_manager {
	struct service *service;
	struct user_store *users;
	struct object *object;
};

static void answer_no_user(struct call *c, const char *name)
{
	struct value *fault = fault_new(c->arena, T_UserNotFound);

	value_set_str(c->arena, fault, F_UserNotFound_principal, name);
	value_set_bool(c->arena, fault, F_UserNotFound_unresolved, false);
	call_fault(c, fault, "there is no user \"%.128s\"", name);
}

static void answer_error(struct call *c, const char *name, const struct error *e)
{
	if (e->kind == ERROR_NAME) {
		call_fault(c, fault_invalid_argument(c->arena, "id"), "%s", e->msg);
	} else if (e->kind == ERROR_NOT_FOUND) {
		answer_no_user(c, name);
	} else {
		call_error(c, e);
	}
}

static void create(struct call *c)
{
	struct account_manager *m = call_arg(c);
	const struct value *spec =
		value_get_value(c->args, A_HostLocalAccountManager_CreateUser_user);
	const char *name = value_get_str(spec, F_HostAccountSpec_id);
	const char *password = value_get_str(spec, F_HostAccountSpec_password);
	struct error e = { 0 };

	if (user_find(m->users, name) != NULL) {
		struct value *fault = fault_new(c->arena, T_AlreadyExists);
		value_set_str(c->arena, fault, F_AlreadyExists_name, name);
		call_fault(c, fault, "there is a user \"%.128s\" already", name);
		return;
	}
	if (password == NULL || password[0] == '\0') {
		call_fault(c, fault_invalid_argument(c->arena, "password"),
			   "user \"%.128s\" needs a password", name);
		return;
	}
	if (!user_set(m->users, name, password, value_get_str(spec, F_HostAccountSpec_description),
		      &e)) {
		answer_error(c, name, &e);
		return;
	}
	call_return(c, NULL);
}

static void update(struct call *c)
{
	struct account_manager *m = call_arg(c);
	const struct value *spec =
		value_get_value(c->args, A_HostLocalAccountManager_UpdateUser_user);
	const char *name = value_get_str(spec, F_HostAccountSpec_id);
	struct error e = { 0 };

	if (user_find(m->users, name) == NULL) {
		answer_no_user(c, name);
	} else if (!user_set(m->users, name, value_get_str(spec, F_HostAccountSpec_password),
			     value_get_str(spec, F_HostAccountSpec_description), &e)) {
		answer_error(c, name, &e);
	} else {
		call_return(c, NULL);
	}
}

/* Takes the user's permissions along; the last administrator stays. */
static bool permissions_drop(struct call *c, const char *name)
{
	struct authorization *a = session_authorization(service_sessions(c->service));
	struct permission_vec v = authorization_copy(a);
	struct error e = { 0 };

	for (size_t i = v.n; i-- > 0;) {
		if (!v.items[i].is_group && strcmp(v.items[i].principal, name) == 0) {
			permission_fini(&v.items[i]);
			vec_remove(&v, i);
		}
	}
	if (authorization_replace(a, &v, &e)) {
		return true;
	}
	if (e.kind == ERROR_STATE) {
		call_fault(c, fault_new(c->arena, T_AuthMinimumAdminPermission),
			   "\"%.128s\" is the last administrator", name);
	} else {
		call_error(c, &e);
	}
	return false;
}

static void remove_user(struct call *c)
{
	struct account_manager *m = call_arg(c);
	const char *name = value_get_str(c->args, A_HostLocalAccountManager_RemoveUser_userName);
	struct error e = { 0 };

	if (user_find(m->users, name) == NULL) {
		answer_no_user(c, name);
	} else if (!permissions_drop(c, name)) {
		return;
	} else if (!user_remove(m->users, name, &e)) {
		answer_error(c, name, &e);
	} else {
		session_end_user(service_sessions(c->service), name, c->session);
		call_return(c, NULL);
	}
}

/* A ChangePassword call whose old password is being checked. */
struct password_change {
	struct account_manager *manager;
	struct call *call;
};

static void change_checked(void *arg, bool ok)
{
	struct password_change *change = arg;
	struct call *c = change->call;
	const char *name = value_get_str(c->args, A_HostLocalAccountManager_ChangePassword_user);
	struct error e = { 0 };

	if (!ok) {
		call_fault(c, fault_new(c->arena, T_InvalidLogin),
			   "the user name or the old password is wrong");
	} else if (!user_set(change->manager->users, name,
			     value_get_str(c->args,
					   A_HostLocalAccountManager_ChangePassword_newPassword),
			     NULL, &e)) {
		answer_error(c, name, &e);
	} else {
		call_return(c, NULL);
	}
	free(change);
}

static void change_password(struct call *c)
{
	struct account_manager *m = call_arg(c);
	const char *name = value_get_str(c->args, A_HostLocalAccountManager_ChangePassword_user);
	const char *new_password =
		value_get_str(c->args, A_HostLocalAccountManager_ChangePassword_newPassword);

	if (new_password[0] == '\0') {
		call_fault(c, fault_invalid_argument(c->arena, "newPassword"),
			   "the new password is empty");
		return;
	}
	struct password_change *change = mem_zalloc(sizeof(*change));
	*change = (struct password_change){ .manager = m, .call = c };
	user_verify(m->users, service_loop(m->service), name,
		    value_get_str(c->args, A_HostLocalAccountManager_ChangePassword_oldPassword),
		    change_checked, change);
}

struct account_manager *account_manager_new(struct service *s, struct user_store *users,
					    const char *id)
{
	struct account_manager *m = mem_zalloc(sizeof(*m));

	m->service = s;
	m->users = users;
	m->object = inventory_add(service_inventory(s), T_HostLocalAccountManager, id, NULL, m);
	service_handle(s, T_HostLocalAccountManager, M_HostLocalAccountManager_CreateUser, create,
		       m);
	service_handle(s, T_HostLocalAccountManager, M_HostLocalAccountManager_UpdateUser, update,
		       m);
	service_handle(s, T_HostLocalAccountManager, M_HostLocalAccountManager_RemoveUser,
		       remove_user, m);
	service_handle(s, T_HostLocalAccountManager, M_HostLocalAccountManager_ChangePassword,
		       change_password, m);
	return m;
}

struct object *account_manager_object(const struct account_manager *m)
{
	return m->object;
}

void account_manager_free(struct account_manager *m)
{
	if (m != NULL) {
		inventory_remove(m->object);
		free(m);
	}
}
