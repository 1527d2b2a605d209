/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/extension.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vim/fault.h"
#include "vim/value_file.h"
#include "vim/weight.h"

enum {
	EXTENSIONS_MAX = 500,
	KEY_MAX = 255,
	EXTENSION_WEIGHT = 4 * WEIGHT_KEPT_MAX
};

struct extension_manager {
	struct service *service;
	struct object *object;
	char *path;
	const struct value *list; /* kept Extension array */
};

static const struct value *extension_find(const struct extension_manager *m, const char *key)
{
	for (size_t i = 0; i < value_count(m->list); i++) {
		const struct value *x = value_item(m->list, i);
		if (strcmp(value_get_str(x, F_Extension_key), key) == 0) {
			return x;
		}
	}
	return NULL;
}

/* The list with `old` (or NULL) taken out and `now` (or NULL) put at its end. */
static struct value *list_edit(const struct extension_manager *m, const struct value *old,
			       const struct value *now, struct arena *a)
{
	struct value *list = value_new_array(a, T_Extension);

	for (size_t i = 0; i < value_count(m->list); i++) {
		if (value_item(m->list, i) != old) {
			value_push(a, list, value_item(m->list, i));
		}
	}
	if (now != NULL) {
		value_push(a, list, now);
	}
	return list;
}

/* Stores and shows a new list, and ends the call. */
static void list_set(struct call *c, struct extension_manager *m, const struct value *list)
{
	struct error e = { 0 };

	if (!value_file_save(m->path, list, &e)) {
		call_error(c, &e);
		return;
	}
	const struct value *kept = value_keep(list);
	value_drop(m->list);
	m->list = kept;
	inventory_set(m->object, P_ExtensionManager_extensionList, kept);
	call_return(c, NULL);
}

static bool extension_check(struct call *c, const struct value *x)
{
	size_t len = strlen(value_get_str(x, F_Extension_key));

	if (len == 0 || len > KEY_MAX) {
		call_fault(c, fault_invalid_argument(c->arena, "extension.key"),
			   "An extension's key has 1 to %d bytes, this one has %zu", KEY_MAX, len);
		return false;
	}
	if (!weight_within(x, EXTENSION_WEIGHT)) {
		call_fault(c, fault_invalid_argument(c->arena, "extension"),
			   "The extension is larger than %d bytes", EXTENSION_WEIGHT);
		return false;
	}
	return true;
}

/* A copy that says that the extension was heard of just now. */
static const struct value *extension_seen(struct call *c, const struct value *x)
{
	struct value *seen = value_edit(c->arena, x);

	value_set_num(c->arena, seen, F_Extension_lastHeartbeatTime,
		      clock_wall_us(service_clock(c->service)));
	return seen;
}

static void register_extension(struct call *c)
{
	struct extension_manager *m = call_arg(c);
	const struct value *x =
		value_get_value(c->args, A_ExtensionManager_RegisterExtension_extension);
	const char *key = value_get_str(x, F_Extension_key);

	if (!extension_check(c, x)) {
		return;
	}
	if (extension_find(m, key) != NULL) {
		call_fault(c, fault_invalid_argument(c->arena, "extension.key"),
			   "Extension \"%s\" is registered already", key);
		return;
	}
	if (value_count(m->list) >= EXTENSIONS_MAX) {
		call_fault(c, fault_new(c->arena, T_LimitExceeded),
			   "%d extensions are registered, the most there may be", EXTENSIONS_MAX);
		return;
	}
	list_set(c, m, list_edit(m, NULL, extension_seen(c, x), c->arena));
}

static void refuse_key(struct call *c, const char *key)
{
	call_fault(c, fault_new(c->arena, T_NotFound), "Extension \"%.80s\" is not registered",
		   key);
}

static void update_extension(struct call *c)
{
	struct extension_manager *m = call_arg(c);
	const struct value *x =
		value_get_value(c->args, A_ExtensionManager_UpdateExtension_extension);
	const char *key = value_get_str(x, F_Extension_key);
	const struct value *old = extension_find(m, key);

	if (!extension_check(c, x)) {
		return;
	}
	if (old == NULL) {
		refuse_key(c, key);
		return;
	}
	list_set(c, m, list_edit(m, old, extension_seen(c, x), c->arena));
}

static void unregister_extension(struct call *c)
{
	struct extension_manager *m = call_arg(c);
	const char *key =
		value_get_str(c->args, A_ExtensionManager_UnregisterExtension_extensionKey);
	const struct value *old = extension_find(m, key);

	if (old == NULL) {
		refuse_key(c, key);
		return;
	}
	list_set(c, m, list_edit(m, old, NULL, c->arena));
}

static void find_extension(struct call *c)
{
	const char *key = value_get_str(c->args, A_ExtensionManager_FindExtension_extensionKey);

	call_return(c, extension_find(call_arg(c), key));
}

struct extension_manager *extension_manager_new(struct service *s, const char *id, const char *path,
						struct error *e)
{
	struct arena *a = arena_new(0);
	const struct value *list = value_file_load(path, T_Extension, a, e);

	if (list == NULL) {
		arena_free(a);
		return NULL;
	}
	struct extension_manager *m = mem_zalloc(sizeof(*m));
	m->service = s;
	m->path = path == NULL ? NULL : mem_strdup(path);
	m->list = value_keep(list);
	m->object = inventory_add(service_inventory(s), T_ExtensionManager, id, NULL, m);
	inventory_set(m->object, P_ExtensionManager_extensionList, m->list);
	service_handle(s, T_ExtensionManager, M_ExtensionManager_RegisterExtension,
		       register_extension, m);
	service_handle(s, T_ExtensionManager, M_ExtensionManager_UpdateExtension, update_extension,
		       m);
	service_handle(s, T_ExtensionManager, M_ExtensionManager_UnregisterExtension,
		       unregister_extension, m);
	service_handle(s, T_ExtensionManager, M_ExtensionManager_FindExtension, find_extension, m);
	arena_free(a);
	return m;
}

void extension_manager_free(struct extension_manager *m)
{
	if (m == NULL) {
		return;
	}
	inventory_remove(m->object);
	value_drop(m->list);
	free(m->path);
	free(m);
}
