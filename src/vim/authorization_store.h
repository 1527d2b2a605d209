/* SPDX-License-Identifier: Apache-2.0 */
/* Roles and permissions on disk: {next_role, roles: [{id, name, privileges: []}], permissions:
 * [{entity, principal, group, propagate, role}]}. For authorization.c only. */
#ifndef VIM_AUTHORIZATION_STORE_H
#define VIM_AUTHORIZATION_STORE_H

#include "vim/authorization.h"

/* Reads what is stored; *is_stored is false when there is nothing yet. */
bool authorization_load(struct authorization *a, bool *is_stored, struct error *e);
/* Writes the present state; true at once without a path. */
bool authorization_save(const struct authorization *a, struct error *e);

/* Computed properties of the AuthorizationManager (authorization_methods.c). */
const struct object_class *authorization_class(void);

#endif
