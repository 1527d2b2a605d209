/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users with passwords: a JSON file {users: [{name, hash, groups: [], description}]}, hash =
 * libsodium's Argon2id string. Written atomically; a missing file is an empty store.
 */
#ifndef VIM_USER_H
#define VIM_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/error.h"

struct user_store;
struct user {
	char *name;
	char *hash; /* Argon2id, libsodium's string form */
	char *description;
	char **groups; /* names, NULL-terminated; NULL: none */
};

enum {
	USER_NAME_MAX = 128 /* bytes */
};

struct user_store *user_store_open(const char *path /* NULL: in memory */, struct error *e);
void user_store_free(struct user_store *s);
/* From now on hashing costs next to nothing, in time and memory: for simulators, whose passwords
 * protect nothing. */
void user_store_set_cheap(struct user_store *s);
/* From now on every name opens, with every password that is not empty: for simulators. Who has no
 * account stands for `name`. */
void user_store_set_open(struct user_store *s, const char *name);
const struct user *user_find(const struct user_store *s, const char *name);
/* Whose rights a name has: its own account or, in an open store, the one it stands for. */
const struct user *user_behind(const struct user_store *s, const char *name);
size_t user_count(const struct user_store *s);
const struct user *user_at(const struct user_store *s, size_t i);
/* Adds or changes a user; NULL password or description: stays as it is (a new user needs a
 * password). The hash is computed here (interactive cost, blocks some 50 ms). ERROR_NAME,
 * ERROR_LIMIT. */
bool user_set(struct user_store *s, const char *name, const char *password, const char *description,
	      struct error *e);
bool user_remove(struct user_store *s, const char *name, struct error *e);

/* Verifies on a worker thread (or at once from memory of a recent success), then done(arg, ok), in
 * any case once, with false when the store is freed first. Unknown users take as long as known. */
void user_verify(struct user_store *s, uv_loop_t *loop, const char *name, const char *password,
		 void (*done)(void *arg, bool ok), void *arg);

#endif
