/* SPDX-License-Identifier: Apache-2.0 */
#include "center/replica.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
	ID_MAX = 255
};

/* Properties of every entity that the manager keeps for itself. */
#define OWN_PROPERTIES                                                                             \
	(UINT64_C(1) << P_ManagedEntity_permission |                                               \
	 UINT64_C(1) << P_ManagedEntity_effectiveRole |                                            \
	 UINT64_C(1) << P_ManagedEntity_recentTask | UINT64_C(1) << P_ManagedEntity_tag |          \
	 UINT64_C(1) << P_ManagedEntity_declaredAlarmState |                                       \
	 UINT64_C(1) << P_ManagedEntity_triggeredAlarmState |                                      \
	 UINT64_C(1) << P_ManagedEntity_customValue)

/* owner of an object: the number of the account that named it last. */
struct replica {
	struct inventory *inventory;
	uintptr_t account;
	size_t n_stores; /* at least as many as there are */
};

struct replica *replica_new(struct clock *clock)
{
	struct replica *r = mem_zalloc(sizeof(*r));

	r->inventory = inventory_new(clock);
	return r;
}

void replica_free(struct replica *r)
{
	if (r != NULL) {
		inventory_free(r->inventory);
		free(r);
	}
}

struct inventory *replica_inventory(struct replica *r)
{
	return r->inventory;
}

void replica_begin(struct replica *r)
{
	r->account++;
}

void replica_end(struct replica *r)
{
	struct object *o;

	for (uint32_t i = 0; (o = inventory_each(r->inventory, &i)) != NULL;) {
		if ((uintptr_t)o->owner != r->account) {
			inventory_remove(o);
		}
	}
}

/* ---- one object ---- */

static bool is_own(const struct object *o, int prop)
{
	return schema_is_a(o->type, T_ManagedEntity) && prop < 64 &&
	       ((OWN_PROPERTIES >> prop) & 1) != 0;
}

static bool change_apply(struct object *o, const struct value *change, uint64_t *seen,
			 struct error *e)
{
	const char *name = value_get_str(change, F_PropertyChange_name);
	int64_t op = value_get_num(change, F_PropertyChange_op, E_PropertyChangeOp_assign);
	const struct value *val = value_get_value(change, F_PropertyChange_val);

	if (name == NULL) {
		return error_set(e, ERROR_CORRUPT, "a change of \"%s\" names no property",
				 object_id(o));
	}
	int prop = schema_field_find(o->type, name, strlen(name), 0);
	if (prop < 0 || is_own(o, prop)) {
		return true; /* newer than what we know */
	}
	if (op == E_PropertyChangeOp_add) {
		return error_set(e, ERROR_CORRUPT,
				 "a partial update of \"%s\", which was not asked"
				 " for",
				 name);
	}
	if (op != E_PropertyChangeOp_assign) {
		val = NULL;
	}
	if (val == NULL || value_fits(schema_field(o->type, (unsigned)prop), val)) {
		inventory_set(o, (unsigned)prop, val);
		if (prop < 64) {
			*seen |= UINT64_C(1) << prop;
		}
	}
	return true;
}

static bool changes_apply(struct object *o, const struct value *update, uint64_t *seen,
			  struct error *e)
{
	const struct value *changes = value_get_value(update, F_ObjectUpdate_changeSet);

	for (size_t i = 0; i < value_count(changes); i++) {
		if (!change_apply(o, value_item(changes, i), seen, e)) {
			return false;
		}
	}
	return true;
}

static bool has_room(struct replica *r, uint16_t type, struct error *e)
{
	struct object *o;

	if (inventory_count(r->inventory) >= REPLICA_OBJECTS_MAX) {
		return error_set(e, ERROR_LIMIT, "the host has more than %d objects",
				 REPLICA_OBJECTS_MAX);
	}
	if (!schema_is_a(type, T_Datastore) || ++r->n_stores <= REPLICA_STORES_MAX) {
		return true;
	}
	r->n_stores = 1; /* some have gone again: counted anew */
	for (uint32_t i = 0; (o = inventory_each(r->inventory, &i)) != NULL;) {
		r->n_stores += schema_is_a(o->type, T_Datastore);
	}
	return r->n_stores <= REPLICA_STORES_MAX ||
	       error_set(e, ERROR_LIMIT, "the host has more than %d datastores",
			 REPLICA_STORES_MAX);
}

static struct object *object_enter(struct replica *r, const struct value *ref, struct error *e)
{
	struct object *o = inventory_find(r->inventory, value_bytes(ref));

	if (o != NULL && o->type != value_type(ref)) {
		inventory_remove(o);
		o = NULL;
	}
	if (o != NULL) {
		return o;
	}
	if (value_len(ref) == 0 || value_len(ref) > ID_MAX ||
	    strlen(value_bytes(ref)) != value_len(ref)) {
		error_set(e, ERROR_CORRUPT, "\"%.60s\" is no identifier", value_bytes(ref));
		return NULL;
	}
	if (!has_room(r, value_type(ref), e)) {
		return NULL;
	}
	return inventory_add(r->inventory, value_type(ref), value_bytes(ref), NULL, NULL);
}

/* The whole of an object: what is not named is unset. */
static bool update_enter(struct replica *r, const struct value *ref, const struct value *update,
			 struct error *e)
{
	struct object *o = object_enter(r, ref, e);
	uint64_t seen = 0;

	if (o == NULL) {
		return false;
	}
	o->owner = (void *)r->account; /* NOLINT(performance-no-int-to-ptr) */
	if (!changes_apply(o, update, &seen, e)) {
		return false;
	}
	for (unsigned prop = 0; prop < o->n_props && prop < 64; prop++) {
		if (((seen >> prop) & 1) == 0 && object_stored(o, prop) != NULL) {
			inventory_set(o, prop, NULL);
		}
	}
	return true;
}

static bool update_apply(struct replica *r, const struct value *update, struct error *e)
{
	const struct value *ref = value_get_value(update, F_ObjectUpdate_obj);
	uint64_t seen = 0;

	if (ref == NULL) {
		return error_set(e, ERROR_CORRUPT, "an update names no object");
	}
	struct object *o = inventory_find_ref(r->inventory, ref);
	switch (value_get_num(update, F_ObjectUpdate_kind, E_ObjectUpdateKind_modify)) {
	case E_ObjectUpdateKind_enter:
		return update_enter(r, ref, update, e);
	case E_ObjectUpdateKind_leave:
		inventory_remove(o);
		return true;
	default:
		return o == NULL || changes_apply(o, update, &seen, e);
	}
}

bool replica_apply(struct replica *r, const struct value *set, struct error *e)
{
	const struct value *filters = value_get_value(set, F_UpdateSet_filterSet);

	for (size_t i = 0; i < value_count(filters); i++) {
		const struct value *updates =
			value_get_value(value_item(filters, i), F_PropertyFilterUpdate_objectSet);
		for (size_t k = 0; k < value_count(updates); k++) {
			if (!update_apply(r, value_item(updates, k), e)) {
				return false;
			}
		}
	}
	return true;
}
