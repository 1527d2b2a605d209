/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/user.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/vec.h"

enum {
	FILE_LIMIT = 1 << 20,
	PASSWORD_MAX_BYTES = 1024,
	DESCRIPTION_MAX_BYTES = 1024,
	GROUPS_MAX = 64,
	CHECKS_MAX = 2,	 /* password hashes computed at a time; each takes 64 MiB */
	QUEUE_MAX = 64,	 /* checks waiting for their turn; more are refused */
	REMEMBER_S = 300 /* how long a verified password counts without its hash */
};

#define TAG_SIZE 32

struct account {
	struct user user; /* first: user_find() hands it out */
	bool has_tag;
	unsigned char tag[TAG_SIZE];
	int64_t tag_until_us;
};

struct user_store {
	char *path;
	VEC(struct account *) accounts;
	unsigned char tag_key[crypto_generichash_KEYBYTES];
	char *decoy; /* hash of nothing anybody knows: unknown users cost the same */
	struct list queue;
	unsigned n_queued, n_running;
	bool is_cheap;
	char *open;    /* who all others stand for; NULL: who has no account is refused */
	bool is_freed; /* goes when the last running check is back */
};

/* One password check. */
struct check {
	uv_work_t work;
	struct list_node link;
	uv_loop_t *loop;
	struct user_store *store;
	char *name, *password;
	char *hash;
	bool is_known, is_right;
	void (*done)(void *arg, bool ok);
	void *arg;
};

static void account_free(struct account *a)
{
	if (a == NULL) {
		return;
	}
	for (char **g = a->user.groups; g != NULL && *g != NULL; g++) {
		free(*g);
	}
	free(a->user.groups);
	free(a->user.name);
	free(a->user.hash);
	free(a->user.description);
	free(a);
}

static bool name_check(const char *name, struct error *e)
{
	size_t n = strlen(name);

	if (n == 0 || n > USER_NAME_MAX) {
		return error_set(e, ERROR_NAME, "user name \"%.40s\" must have 1 to %d bytes", name,
				 USER_NAME_MAX);
	}
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f) {
			return error_set(e, ERROR_NAME,
					 "user name \"%.40s\" has a control character", name);
		}
	}
	return true;
}

/* ---- the file ---- */

static bool groups_read(struct account *a, const struct json_at *at, struct error *e)
{
	struct json_at groups;

	if (!json_has(at, "groups")) {
		return true;
	}
	if (!json_get_array(at, "groups", &groups, e)) {
		return false;
	}
	size_t n = json_array_n(&groups);
	if (n > GROUPS_MAX) {
		return json_error(&groups, e, "has more than %d members", GROUPS_MAX);
	}
	a->user.groups = mem_calloc(n + 1, sizeof(*a->user.groups));
	for (size_t i = 0; i < n; i++) {
		struct json_at item = json_item(&groups, i);
		const char *name;
		if (!json_as_str(&item, &name, e) || !name_check(name, e)) {
			return false;
		}
		a->user.groups[i] = mem_strdup(name);
	}
	return true;
}

static bool account_read(struct user_store *s, const struct json_at *at, struct error *e)
{
	const char *name, *hash, *description = "";

	if (!json_get_str(at, "name", &name, e) || !json_get_str(at, "hash", &hash, e) ||
	    (json_has(at, "description") && !json_get_str(at, "description", &description, e)) ||
	    !name_check(name, e)) {
		return false;
	}
	if (user_find(s, name) != NULL) {
		return json_error(at, e, "user \"%s\" is there twice", name);
	}
	if (strncmp(hash, crypto_pwhash_argon2id_STRPREFIX,
		    strlen(crypto_pwhash_argon2id_STRPREFIX)) != 0 ||
	    strlen(hash) >= crypto_pwhash_STRBYTES) {
		return json_error(at, e, "hash of user \"%s\" is no Argon2id string", name);
	}
	struct account *a = mem_zalloc(sizeof(*a));
	if (!groups_read(a, at, e)) {
		account_free(a);
		return false;
	}
	a->user.name = mem_strdup(name);
	a->user.hash = mem_strdup(hash);
	a->user.description = mem_strdup(description);
	vec_push(&s->accounts, a);
	return true;
}

static bool store_read(struct user_store *s, struct json_object *doc, struct error *e)
{
	struct json_at root = json_root(doc), users;

	if (!json_get_array(&root, "users", &users, e)) {
		return false;
	}
	for (size_t i = 0; i < json_array_n(&users); i++) {
		struct json_at item = json_item(&users, i);
		if (!json_as_object(&item, e) || !account_read(s, &item, e)) {
			return false;
		}
	}
	return true;
}

static bool store_write(const struct user_store *s, struct error *e)
{
	if (s->path == NULL) {
		return true;
	}
	struct json_object *doc = json_object_new_object();
	struct json_object *users = json_object_new_array();
	vec_each (&s->accounts, it) {
		const struct user *u = &(*it)->user;
		struct json_object *o = json_object_new_object();
		json_put_str(o, "name", u->name);
		json_put_str(o, "hash", u->hash);
		json_put_str(o, "description", u->description);
		struct json_object *groups = json_object_new_array();
		for (char **g = u->groups; g != NULL && *g != NULL; g++) {
			json_object_array_add(groups, json_new_str(*g));
		}
		json_put(o, "groups", groups);
		json_object_array_add(users, o);
	}
	json_put(doc, "users", users);
	struct buf text = BUF_INIT;
	json_add_text(&text, doc);
	json_object_put(doc);
	bool ok = file_write_atomic(s->path, text.data, text.len, 0600, e);
	buf_free(&text);
	return ok;
}

struct user_store *user_store_open(const char *path, struct error *e)
{
	struct user_store *s = mem_zalloc(sizeof(*s));

	if (sodium_init() < 0) {
		error_set(e, ERROR_INTERNAL, "the cryptographic library does not start");
		free(s);
		return NULL;
	}
	s->path = path == NULL ? NULL : mem_strdup(path);
	list_init(&s->queue);
	random_bytes(s->tag_key, sizeof(s->tag_key));
	struct buf text = BUF_INIT;
	struct error read = { 0 };
	if (path == NULL) {
		return s;
	}
	if (!file_read(path, FILE_LIMIT, &text, &read)) {
		if (read.kind == ERROR_NOT_FOUND) {
			return s;
		}
		error_set(e, read.kind, "%s", read.msg);
		user_store_free(s);
		return NULL;
	}
	struct json_object *doc =
		json_parse(text.data, text.len, FILE_LIMIT, JSON_DEPTH_DEFAULT, e);
	buf_free(&text);
	bool ok = doc != NULL && store_read(s, doc, e);
	json_object_put(doc);
	if (!ok) {
		error_prefix(e, "users in \"%s\": ", path);
		user_store_free(s);
		return NULL;
	}
	return s;
}

static void store_dispose(struct user_store *s)
{
	vec_each (&s->accounts, it) {
		account_free(*it);
	}
	vec_free(&s->accounts);
	sodium_memzero(s->tag_key, sizeof(s->tag_key));
	free(s->decoy);
	free(s->open);
	free(s->path);
	free(s);
}

static void check_finish(struct check *c, bool ok)
{
	void (*done)(void *arg, bool ok) = c->done;
	void *arg = c->arg;

	sodium_memzero(c->password, strlen(c->password));
	free(c->password);
	free(c->name);
	free(c->hash);
	free(c);
	done(arg, ok);
}

void user_store_free(struct user_store *s)
{
	if (s == NULL) {
		return;
	}
	s->is_freed = true;
	struct list_node *n;
	while ((n = list_pop_front(&s->queue)) != NULL) {
		check_finish(CONTAINER_OF(n, struct check, link), false);
	}
	if (s->n_running == 0) {
		store_dispose(s);
	}
}

/* ---- users ---- */

static struct account *account_find(const struct user_store *s, const char *name)
{
	vec_each (&s->accounts, it) {
		if (strcmp((*it)->user.name, name) == 0) {
			return *it;
		}
	}
	return NULL;
}

const struct user *user_find(const struct user_store *s, const char *name)
{
	struct account *a = account_find(s, name);

	return a == NULL ? NULL : &a->user;
}

void user_store_set_open(struct user_store *s, const char *name)
{
	free(s->open);
	s->open = mem_strdup(name);
}

const struct user *user_behind(const struct user_store *s, const char *name)
{
	const struct user *u = user_find(s, name);

	return u == NULL && s->open != NULL ? user_find(s, s->open) : u;
}

size_t user_count(const struct user_store *s)
{
	return s->accounts.n;
}

const struct user *user_at(const struct user_store *s, size_t i)
{
	return &s->accounts.items[i]->user;
}

void user_store_set_cheap(struct user_store *s)
{
	s->is_cheap = true;
}

static bool password_hash(const struct user_store *s, const char *password,
			  char out[crypto_pwhash_STRBYTES], struct error *e)
{
	unsigned long long passes = s->is_cheap ? crypto_pwhash_argon2id_OPSLIMIT_MIN
						: crypto_pwhash_OPSLIMIT_INTERACTIVE;
	size_t memory = s->is_cheap ? crypto_pwhash_argon2id_MEMLIMIT_MIN
				    : crypto_pwhash_MEMLIMIT_INTERACTIVE;

	if (crypto_pwhash_str_alg(out, password, strlen(password), passes, memory,
				  crypto_pwhash_ALG_ARGON2ID13) != 0) {
		return error_set(e, ERROR_NO_SPACE, "no memory to hash a password");
	}
	return true;
}

static void replace(char **at, const char *s)
{
	char *old = *at;

	*at = mem_strdup(s);
	free(old);
}

static bool account_change(struct user_store *s, struct account *a, const char *hash,
			   const char *description, struct error *e)
{
	struct user old = a->user;

	a->user.hash = mem_strdup(hash != NULL ? hash : old.hash);
	a->user.description = mem_strdup(description != NULL ? description : old.description);
	if (!store_write(s, e)) {
		free(a->user.hash);
		free(a->user.description);
		a->user = old;
		return false;
	}
	free(old.hash);
	free(old.description);
	a->has_tag = a->has_tag && hash == NULL;
	return true;
}

static bool account_add(struct user_store *s, const char *name, const char *hash,
			const char *description, struct error *e)
{
	struct account *a = mem_zalloc(sizeof(*a));

	replace(&a->user.name, name);
	replace(&a->user.hash, hash);
	replace(&a->user.description, description != NULL ? description : "");
	vec_push(&s->accounts, a);
	if (store_write(s, e)) {
		return true;
	}
	s->accounts.n--;
	account_free(a);
	return false;
}

bool user_set(struct user_store *s, const char *name, const char *password, const char *description,
	      struct error *e)
{
	struct account *a = account_find(s, name);
	char hash[crypto_pwhash_STRBYTES];

	if (!name_check(name, e)) {
		return false;
	}
	if (password == NULL && a == NULL) {
		return error_set(e, ERROR_INVALID, "user \"%s\" needs a password", name);
	}
	if (password != NULL && strlen(password) > PASSWORD_MAX_BYTES) {
		return error_set(e, ERROR_LIMIT, "password of \"%s\" has more than %d bytes", name,
				 PASSWORD_MAX_BYTES);
	}
	if (description != NULL && strlen(description) > DESCRIPTION_MAX_BYTES) {
		return error_set(e, ERROR_LIMIT, "description of \"%s\" has more than %d bytes",
				 name, DESCRIPTION_MAX_BYTES);
	}
	if (password != NULL && !password_hash(s, password, hash, e)) {
		return false;
	}
	if (a != NULL) {
		return account_change(s, a, password == NULL ? NULL : hash, description, e);
	}
	return account_add(s, name, hash, description, e);
}

bool user_remove(struct user_store *s, const char *name, struct error *e)
{
	for (size_t i = 0; i < s->accounts.n; i++) {
		struct account *a = s->accounts.items[i];
		if (strcmp(a->user.name, name) != 0) {
			continue;
		}
		vec_remove(&s->accounts, i);
		if (!store_write(s, e)) {
			vec_insert(&s->accounts, i, a);
			return false;
		}
		account_free(a);
		return true;
	}
	return error_set(e, ERROR_NOT_FOUND, "there is no user \"%s\"", name);
}

/* ---- checking passwords ---- */

static void password_tag(const struct user_store *s, const char *name, const char *password,
			 unsigned char out[TAG_SIZE])
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, s->tag_key, sizeof(s->tag_key), TAG_SIZE);
	crypto_generichash_update(&state, (const unsigned char *)name, strlen(name) + 1);
	crypto_generichash_update(&state, (const unsigned char *)password, strlen(password));
	crypto_generichash_final(&state, out, TAG_SIZE);
}

static bool password_is_remembered(const struct user_store *s, const struct account *a,
				   const char *password)
{
	unsigned char tag[TAG_SIZE];

	if (!a->has_tag || clock_mono_us(clock_real()) >= a->tag_until_us) {
		return false;
	}
	password_tag(s, a->user.name, password, tag);
	return sodium_memcmp(tag, a->tag, TAG_SIZE) == 0;
}

/* On a worker thread. */
static void check_work(uv_work_t *work)
{
	struct check *c = work->data;

	c->is_right = crypto_pwhash_str_verify(c->hash, c->password, strlen(c->password)) == 0;
}

static void check_start(struct check *c);

/* What waited for a password that was found right meanwhile needs no hash of its own. */
static void queue_advance(struct user_store *s)
{
	struct list_node *n;

	while (s->n_running < CHECKS_MAX && (n = list_pop_front(&s->queue)) != NULL) {
		struct check *c = CONTAINER_OF(n, struct check, link);
		const struct account *a = account_find(s, c->name);
		s->n_queued--;
		if (a == NULL || !password_is_remembered(s, a, c->password)) {
			check_start(c);
			continue;
		}
		s->n_running++; /* keeps the store until this is answered */
		check_finish(c, true);
		s->n_running--;
	}
}

static void check_after(uv_work_t *work, int status)
{
	struct check *c = work->data;
	struct user_store *s = c->store;
	bool ok = status == 0 && c->is_right && c->is_known && !s->is_freed;
	struct account *a = ok ? account_find(s, c->name) : NULL;

	/* The user may have been removed or have a new password by now. */
	ok = a != NULL && strcmp(a->user.hash, c->hash) == 0;
	if (ok) {
		password_tag(s, c->name, c->password, a->tag);
		a->has_tag = true;
		a->tag_until_us = clock_mono_us(clock_real()) + REMEMBER_S * INT64_C(1000000);
	}
	s->n_running--;
	queue_advance(s);
	if (s->is_freed && s->n_running == 0) {
		store_dispose(s);
	}
	check_finish(c, ok);
}

static void check_start(struct check *c)
{
	c->store->n_running++;
	uv_queue_work(c->loop, &c->work, check_work, check_after);
}

/* What an unknown user's password is checked against. */
static const char *store_decoy(struct user_store *s)
{
	char hash[crypto_pwhash_STRBYTES], secret[33];

	if (s->decoy == NULL) {
		random_hex(secret, 16);
		if (!password_hash(s, secret, hash, NULL)) {
			return "";
		}
		s->decoy = mem_strdup(hash);
	}
	return s->decoy;
}

void user_verify(struct user_store *s, uv_loop_t *loop, const char *name, const char *password,
		 void (*done)(void *arg, bool ok), void *arg)
{
	struct account *a = account_find(s, name);

	if (s->open != NULL) {
		done(arg, name_check(name, NULL) && password[0] != '\0');
		return;
	}
	if (a != NULL && password_is_remembered(s, a, password)) {
		done(arg, true);
		return;
	}
	if (strlen(password) > PASSWORD_MAX_BYTES || s->n_queued >= QUEUE_MAX) {
		done(arg, false);
		return;
	}
	struct check *c = mem_zalloc(sizeof(*c));
	c->work.data = c;
	c->loop = loop;
	c->store = s;
	c->name = mem_strdup(name);
	c->password = mem_strdup(password);
	c->hash = mem_strdup(a != NULL ? a->user.hash : store_decoy(s));
	c->is_known = a != NULL;
	c->done = done;
	c->arg = arg;
	if (s->n_running < CHECKS_MAX) {
		check_start(c);
		return;
	}
	s->n_queued++;
	list_push_back(&s->queue, &c->link);
}
