/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/entity.h"

enum {
	DEPTH_MAX = 128, /* a loop of parents ends here */
	N_LINKS = 4
};

static struct object *referred(struct object *o, unsigned prop, struct arena *a)
{
	return inventory_find_ref(o->inventory, object_get(o, prop, a));
}

struct object *entity_parent(struct object *o, struct arena *a)
{
	return schema_is_a(o->type, T_ManagedEntity) ? referred(o, P_ManagedEntity_parent, a)
						     : NULL;
}

struct object *entity_host(struct object *vm, struct arena *a)
{
	if (!schema_is_a(vm->type, T_VirtualMachine)) {
		return NULL;
	}
	const struct value *runtime = object_get(vm, P_VirtualMachine_runtime, a);

	return inventory_find_ref(vm->inventory,
				  value_get_value(runtime, F_VirtualMachineRuntimeInfo_host));
}

struct object *entity_above(struct object *o, uint16_t type, struct arena *a)
{
	for (int depth = 0; o != NULL && depth < DEPTH_MAX; depth++) {
		if (schema_is_a(o->type, type)) {
			return o;
		}
		o = entity_parent(o, a);
	}
	return NULL;
}

/* The objects directly above o, NULL where there is none of a sort. */
static void links_up(struct object *o, struct object *up[N_LINKS], struct arena *a)
{
	bool vm = schema_is_a(o->type, T_VirtualMachine);

	up[0] = entity_parent(o, a);
	up[1] = vm ? entity_host(o, a) : NULL;
	up[2] = vm ? referred(o, P_VirtualMachine_resourcePool, a) : NULL;
	up[3] = vm ? referred(o, P_VirtualMachine_parentVApp, a) : NULL;
}

bool entity_is_within(struct object *o, const struct object *top, struct arena *a)
{
	struct object *up[N_LINKS];

	if (o == top) {
		return true;
	}
	links_up(o, up, a);
	for (int i = 0; i < N_LINKS; i++) {
		struct object *at = up[i];
		for (int depth = 0; at != NULL && depth < DEPTH_MAX; depth++) {
			if (at == top) {
				return true;
			}
			at = entity_parent(at, a);
		}
	}
	return false;
}
