/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HostLocalAccountManager (vSphere API): users of a host by API. CreateUser, UpdateUser,
 * RemoveUser, ChangePassword; groups of a host are fixed, their methods are not supported.
 */
#ifndef VIM_ACCOUNT_H
#define VIM_ACCOUNT_H

#include "vim/service.h"
#include "vim/user.h"

struct account_manager;

/* Makes the object with that id ("ha-localacctmgr"). */
struct account_manager *account_manager_new(struct service *s, struct user_store *users,
					    const char *id);
struct object *account_manager_object(const struct account_manager *m);
void account_manager_free(struct account_manager *m);

#endif
