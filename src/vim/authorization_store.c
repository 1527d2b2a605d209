/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/authorization_store.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

enum {
	FILE_LIMIT = 16 << 20
};

static struct json_object *role_write(const struct role *r)
{
	struct json_object *o = json_object_new_object();
	struct json_object *names = json_object_new_array();

	json_put_i64(o, "id", r->id);
	json_put_str(o, "name", r->name);
	for (unsigned i = 0; i < privilege_count(); i++) {
		if (privilege_set_has(&r->privileges, i)) {
			json_object_array_add(names, json_new_str(privilege_name(i)));
		}
	}
	json_put(o, "privileges", names);
	return o;
}

static struct json_object *permission_write(const struct permission *p)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "entity", p->entity);
	json_put_str(o, "principal", p->principal);
	json_put_bool(o, "group", p->is_group);
	json_put_bool(o, "propagate", p->is_propagating);
	json_put_i64(o, "role", p->role);
	return o;
}

bool authorization_save(const struct authorization *a, struct error *e)
{
	if (a->path == NULL) {
		return true;
	}
	struct json_object *doc = json_object_new_object();
	struct json_object *roles = json_object_new_array();
	struct json_object *permissions = json_object_new_array();
	vec_each (&a->roles, r) {
		if (r->id >= 0) {
			json_object_array_add(roles, role_write(r));
		}
	}
	vec_each (&a->permissions, p) {
		json_object_array_add(permissions, permission_write(p));
	}
	json_put_i64(doc, "next_role", a->next_role);
	json_put(doc, "roles", roles);
	json_put(doc, "permissions", permissions);
	struct buf text = BUF_INIT;
	json_add_text(&text, doc);
	json_object_put(doc);
	bool ok = file_write_atomic(a->path, text.data, text.len, 0600, e);
	buf_free(&text);
	return ok;
}

static bool id_read(const struct json_at *at, const char *key, int32_t *out, struct error *e)
{
	int64_t n;

	if (!json_get_i64(at, key, &n, e)) {
		return false;
	}
	if (n < ROLE_NO_ACCESS || n > INT32_MAX - 1) {
		return json_error(at, e, "%s must be from %d to %d", key, ROLE_NO_ACCESS,
				  INT32_MAX - 1);
	}
	*out = (int32_t)n;
	return true;
}

static bool role_read(struct authorization *a, const struct json_at *at, struct error *e)
{
	struct role role = { 0 };
	const char *name;
	struct json_at list;

	if (!id_read(at, "id", &role.id, e) || !json_get_str(at, "name", &name, e) ||
	    !json_get_array(at, "privileges", &list, e)) {
		return false;
	}
	if (authorization_role(a, role.id) != NULL) {
		return json_error(at, e, "role %d is there twice", role.id);
	}
	for (size_t i = 0; i < json_array_n(&list); i++) {
		struct json_at item = json_item(&list, i);
		const char *privilege;
		if (!json_as_str(&item, &privilege, e)) {
			return false;
		}
		int n = privilege_find(privilege); /* one that is known no more grants nothing */
		if (n >= 0) {
			privilege_set_add(&role.privileges, (unsigned)n);
		}
	}
	role.name = mem_strdup(name);
	vec_push(&a->roles, role);
	return true;
}

static bool permission_read(struct authorization *a, const struct json_at *at, struct error *e)
{
	struct permission p = { 0 };
	const char *entity, *principal;

	if (!json_get_str(at, "entity", &entity, e) ||
	    !json_get_str(at, "principal", &principal, e) ||
	    !json_get_bool(at, "group", &p.is_group, e) ||
	    !json_get_bool(at, "propagate", &p.is_propagating, e) ||
	    !id_read(at, "role", &p.role, e)) {
		return false;
	}
	if (authorization_role(a, p.role) == NULL) {
		return json_error(at, e, "there is no role %d", p.role);
	}
	p.entity = mem_strdup(entity);
	p.principal = mem_strdup(principal);
	vec_push(&a->permissions, p);
	return true;
}

static bool read_all(struct authorization *a, const struct json_at *root, struct error *e)
{
	struct json_at list;

	if (!id_read(root, "next_role", &a->next_role, e) ||
	    !json_get_array(root, "roles", &list, e)) {
		return false;
	}
	for (size_t i = 0; i < json_array_n(&list); i++) {
		struct json_at item = json_item(&list, i);
		if (!role_read(a, &item, e)) {
			return false;
		}
	}
	if (!json_get_array(root, "permissions", &list, e)) {
		return false;
	}
	for (size_t i = 0; i < json_array_n(&list); i++) {
		struct json_at item = json_item(&list, i);
		if (!permission_read(a, &item, e)) {
			return false;
		}
	}
	return true;
}

bool authorization_load(struct authorization *a, bool *is_stored, struct error *e)
{
	struct buf text = BUF_INIT;
	struct error read = { 0 };

	*is_stored = false;
	if (a->path == NULL) {
		return true;
	}
	if (!file_read(a->path, FILE_LIMIT, &text, &read)) {
		return read.kind == ERROR_NOT_FOUND || error_set(e, read.kind, "%s", read.msg);
	}
	struct json_object *doc =
		json_parse(text.data, text.len, FILE_LIMIT, JSON_DEPTH_DEFAULT, e);
	buf_free(&text);
	if (doc == NULL) {
		return error_prefix(e, "permissions in \"%s\": ", a->path);
	}
	struct json_at root = json_root(doc);
	*is_stored = read_all(a, &root, e);
	json_object_put(doc);
	return *is_stored || error_prefix(e, "permissions in \"%s\": ", a->path);
}
