/* SPDX-License-Identifier: Apache-2.0 */
/* The first user of a node: without one nobody could log in to make others. Blocks for a hash. */
#ifndef VIM_FIRST_USER_H
#define VIM_FIRST_USER_H

#include "vim/user.h"

struct first_user {
	const char *name;	   /* "root" */
	const char *users_path;	   /* of the store, see user_store_open() */
	const char *password_file; /* its first line; NULL: a random one is made */
	const char *made_path;	   /* where that is left, mode 0600 */
};

/* Opens the store and, where there are no users in it, adds the first. NULL: nothing was added. */
struct user_store *first_user_open(const struct first_user *f, struct error *e);

#endif
