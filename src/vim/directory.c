/* SPDX-License-Identifier: Apache-2.0 */
/* UserDirectory (vSphere API): who there is, for choosing principals. */
#include <string.h>

#include "vim/fault.h"
#include "vim/session_state.h"

struct search {
	const char *text;
	const char *in_group; /* or NULL */
	const char *of_user;  /* or NULL: only groups that this user is in */
	bool is_exact;
};

static bool name_fits(const struct search *q, const char *name)
{
	return q->is_exact ? strcasecmp(name, q->text) == 0 : strcasestr(name, q->text) != NULL;
}

static bool user_is_in(const struct user *u, const char *group)
{
	for (char **g = u->groups; g != NULL && *g != NULL; g++) {
		if (strcmp(*g, group) == 0) {
			return true;
		}
	}
	return false;
}

static void result_add(struct call *c, struct value *list, const char *name, const char *full_name,
		       bool is_group)
{
	struct value *v = value_new(c->arena, T_UserSearchResult);

	value_set_str(c->arena, v, F_UserSearchResult_principal, name);
	if (full_name != NULL && full_name[0] != '\0') {
		value_set_str(c->arena, v, F_UserSearchResult_fullName, full_name);
	}
	value_set_bool(c->arena, v, F_UserSearchResult_group, is_group);
	value_push(c->arena, list, v);
}

static bool result_has(const struct value *list, const char *group)
{
	for (size_t i = 0; i < value_count(list); i++) {
		const struct value *v = value_item(list, i);
		if (value_get_bool(v, F_UserSearchResult_group, false) &&
		    strcmp(value_get_str(v, F_UserSearchResult_principal), group) == 0) {
			return true;
		}
	}
	return false;
}

static void find_users(struct call *c, const struct search *q, struct value *list)
{
	const struct session_manager *m = call_arg(c);

	for (size_t i = 0; i < user_count(m->users); i++) {
		const struct user *u = user_at(m->users, i);
		if (name_fits(q, u->name) && (q->in_group == NULL || user_is_in(u, q->in_group))) {
			result_add(c, list, u->name, u->description, false);
		}
	}
}

static void find_groups(struct call *c, const struct search *q, struct value *list)
{
	const struct session_manager *m = call_arg(c);

	for (size_t i = 0; i < user_count(m->users); i++) {
		const struct user *u = user_at(m->users, i);
		if (q->of_user != NULL && strcmp(u->name, q->of_user) != 0) {
			continue;
		}
		for (char **g = u->groups; g != NULL && *g != NULL; g++) {
			if (name_fits(q, *g) && !result_has(list, *g)) {
				result_add(c, list, *g, NULL, true);
			}
		}
	}
}

static void retrieve(struct call *c)
{
	struct search q = {
		.text = value_get_str(c->args, A_UserDirectory_RetrieveUserGroups_searchStr),
		.in_group =
			value_get_str(c->args, A_UserDirectory_RetrieveUserGroups_belongsToGroup),
		.of_user = value_get_str(c->args, A_UserDirectory_RetrieveUserGroups_belongsToUser),
		.is_exact = value_get_bool(c->args, A_UserDirectory_RetrieveUserGroups_exactMatch,
					   false),
	};
	const char *domain = value_get_str(c->args, A_UserDirectory_RetrieveUserGroups_domain);

	if (domain != NULL && domain[0] != '\0') {
		call_fault(c, fault_new(c->arena, T_NotFound), "there is no domain \"%.100s\"",
			   domain);
		return;
	}
	struct value *list = value_new_array(c->arena, T_UserSearchResult);
	if (value_get_bool(c->args, A_UserDirectory_RetrieveUserGroups_findUsers, true)) {
		find_users(c, &q, list);
	}
	if (value_get_bool(c->args, A_UserDirectory_RetrieveUserGroups_findGroups, true)) {
		find_groups(c, &q, list);
	}
	call_return(c, list);
}

void directory_handle(struct session_manager *m)
{
	service_handle(m->service, T_UserDirectory, M_UserDirectory_RetrieveUserGroups, retrieve,
		       m);
}
