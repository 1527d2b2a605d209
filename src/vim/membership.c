/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/membership.h"

#include <string.h>

enum {
	MAX_DEPTH = 64 /* upward; inventories of clients' making are never that deep */
};

static bool leads_inside(struct membership *m, struct object *o, unsigned depth);

void membership_free(struct membership *m)
{
	bitmap_free(&m->inside);
	bitmap_free(&m->outside);
}

/* ---- upward ---- */

/* Calls fn for each object directly above o until it says true. */
static bool any_above(struct object *o,
		      bool (*fn)(struct membership *m, struct object *above, unsigned depth),
		      struct membership *m, unsigned depth)
{
	const struct value *refs[4] = { object_get(o, P_ManagedEntity_parent, m->scratch) };
	const struct value *list = NULL;

	if (o->type == T_VirtualMachine) {
		refs[1] = object_get(o, P_VirtualMachine_resourcePool, m->scratch);
		const struct value *runtime = object_get(o, P_VirtualMachine_runtime, m->scratch);
		if (runtime != NULL) {
			refs[2] = value_get_value(runtime, F_VirtualMachineRuntimeInfo_host);
		}
		refs[3] = object_get(o, P_VirtualMachine_parentVApp, m->scratch);
	} else if (schema_is_a(o->type, T_Datastore)) {
		list = object_get(o, P_Datastore_host, m->scratch);
	} else if (schema_is_a(o->type, T_Network)) {
		list = object_get(o, P_Network_host, m->scratch);
	}
	for (unsigned i = 0; i < 4; i++) {
		struct object *above = inventory_find_ref(o->inventory, refs[i]);
		if (above != NULL && fn(m, above, depth)) {
			return true;
		}
	}
	for (size_t i = 0; i < value_count(list); i++) {
		const struct value *item = value_item(list, i);
		if (item->kind == KIND_STRUCT) {
			item = value_get_value(item, F_DatastoreHostMount_key);
		}
		struct object *above = inventory_find_ref(o->inventory, item);
		if (above != NULL && fn(m, above, depth)) {
			return true;
		}
	}
	return false;
}

/* Is o the container, or below it? Remembered for all but virtual machines. */
static bool leads_inside(struct membership *m, struct object *o, unsigned depth)
{
	if (o == m->container) {
		return true;
	}
	if (bitmap_has(&m->inside, o->index)) {
		return true;
	}
	if (depth > MAX_DEPTH || !bitmap_add(&m->outside, o->index)) {
		return false;
	}
	if (!any_above(o, leads_inside, m, depth + 1)) {
		return false;
	}
	bitmap_remove(&m->outside, o->index);
	bitmap_add(&m->inside, o->index);
	return true;
}

static bool is_container(struct membership *m, struct object *o, unsigned depth)
{
	(void)depth;
	return o == m->container;
}

bool membership_has(struct membership *m, struct object *o, bool deep)
{
	if (m->container == NULL || o == m->container) {
		return false;
	}
	return any_above(o, deep ? leads_inside : is_container, m, 0);
}

/* ---- changes ---- */

static bool moves_vm(const struct change *c)
{
	static const char host[] = "runtime.host";

	switch (c->prop) {
	case P_ManagedEntity_parent:
	case P_VirtualMachine_resourcePool:
	case P_VirtualMachine_parentVApp:
		return true;
	case P_VirtualMachine_runtime:
		return c->path_len == strlen("runtime") || strcmp(c->path, host) == 0;
	default:
		return false;
	}
}

static bool moves(const struct object *o, const struct change *c)
{
	return c->prop == P_ManagedEntity_parent ||
	       (schema_is_a(o->type, T_Datastore) && c->prop == P_Datastore_host) ||
	       (schema_is_a(o->type, T_Network) && c->prop == P_Network_host);
}

enum membership_change membership_changed(const struct object *o, uint64_t since)
{
	bool is_vm = o->type == T_VirtualMachine;

	if (!schema_is_a(o->type, T_ManagedEntity)) {
		return MEMBERSHIP_SAME;
	}
	if (o->removed) {
		return is_vm ? MEMBERSHIP_OWN : MEMBERSHIP_ALL;
	}
	if (o->created > since) {
		return MEMBERSHIP_OWN;
	}
	for (uint32_t i = o->n_journal; i > 0 && o->journal[i - 1].version > since; i--) {
		const struct change *c = &o->journal[i - 1];
		if (is_vm && moves_vm(c)) {
			return MEMBERSHIP_OWN;
		}
		if (!is_vm && moves(o, c)) {
			return MEMBERSHIP_ALL;
		}
	}
	return MEMBERSHIP_SAME;
}
