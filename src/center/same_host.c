/* SPDX-License-Identifier: Apache-2.0 */
#include "center/same_host.h"

#include <stdlib.h>
#include <string.h>

#include "center/hosts.h"
#include "center/hosts_rig.h"
#include "center/member.h"
#include "center/place.h"

/* Is b, seen here, what a is over there? References are compared by what they lead to. */
static bool same(struct fake_host *h, const struct value *a, const struct value *b);

static bool same_ref(struct fake_host *h, const struct value *a, const struct value *b)
{
	struct object *there = inventory_find_ref(h->inventory, a);
	struct object *here = inventory_find_ref(t.c->inventory, b);

	if (there == NULL || here == NULL || there->type != here->type) {
		return false;
	}
	if (!schema_is_a(there->type, T_ManagedEntity)) {
		return true;
	}
	return strcmp(object_get_str(there, P_ManagedEntity_name), place_name(here)) == 0 ||
	       schema_is_a(there->type, T_Datastore);
}

static bool same_struct(struct fake_host *h, const struct value *a, const struct value *b)
{
	union slot x, y;
	int i = -1, k = -1;

	if (a->type != b->type || a->n != b->n) {
		return false;
	}
	while (value_next(a, &i, &x)) {
		const struct schema_field *f = schema_field(a->type, (unsigned)i);
		if (!value_next(b, &k, &y) || i != k) {
			return false;
		}
		bool is_scalar = schema_kind_is_scalar(f->kind) && (f->flags & FIELD_ARRAY) == 0;
		if (is_scalar ? x.num != y.num : !same(h, x.value, y.value)) {
			return false;
		}
	}
	return true;
}

static bool same(struct fake_host *h, const struct value *a, const struct value *b)
{
	if (a == NULL || b == NULL) {
		return a == b;
	}
	if (a->kind != b->kind) {
		return false;
	}
	switch (a->kind) {
	case KIND_REF:
		return same_ref(h, a, b);
	case KIND_STRUCT:
		return same_struct(h, a, b);
	case KIND_ARRAY:
		if (a->n != b->n) {
			return false;
		}
		for (size_t i = 0; i < a->n && !schema_kind_is_scalar(a->item); i++) {
			if (!same(h, value_item(a, i), value_item(b, i))) {
				return false;
			}
		}
		return true;
	case KIND_STRING:
		return strcmp(value_bytes(a), value_bytes(b)) == 0;
	default:
		return value_equal(a, b);
	}
}

static bool is_same_property(struct fake_host *h, struct object *there, struct object *here,
			     unsigned prop)
{
	struct arena *a = arena_new(0);
	bool ok = same(h, object_get(there, prop, a), object_get(here, prop, a));

	arena_free(a);
	return ok;
}

bool is_compared(const struct object *o, unsigned prop)
{
	return ((o->class->computed >> prop) & 1) != 0 &&
	       !(schema_is_a(o->type, T_ManagedEntity) && prop == P_ManagedEntity_effectiveRole);
}

/* Every object of the host that is shown at all shows here as it is there. */
static bool all_same(struct object *system, struct fake_host *h, bool tell)
{
	struct mirror *m = &member_of_host(system)->mirror;
	struct object *o;
	size_t n = 0;

	for (uint32_t i = 0; (o = inventory_each(h->inventory, &i)) != NULL;) {
		struct object *src = inventory_find(m->source, object_id(o));
		const struct mirror_source *s =
			src == NULL ? NULL
				    : map64_get(&m->by_remote, (uint64_t)(uintptr_t)src->ref);
		if (s == NULL && (schema_is_a(o->type, T_VirtualMachine) ||
				  schema_is_a(o->type, T_HostSystem))) {
			return false;
		}
		for (unsigned p = 0; s != NULL && p < o->n_props; p++) {
			if (is_compared(s->of->object, p) &&
			    !is_same_property(h, o, s->of->object, p)) {
				if (tell) {
					print_error("%s.%s differs\n", object_id(s->of->object),
						    schema_field_name(schema_field(o->type, p)));
				}
				return false;
			}
		}
		n += s != NULL;
	}
	return n == map64_n(&m->by_remote);
}

void check_same(struct object *system, struct fake_host *h)
{
	uint64_t end = uv_hrtime() + PATIENCE_MS * UINT64_C(1000000);

	turn(2); /* what is read through is the same at once; it must be noted, too */
	while (!all_same(system, h, false) && uv_hrtime() < end) {
		uv_run(&t.loop, UV_RUN_ONCE);
	}
	assert_true(all_same(system, h, true));
}
