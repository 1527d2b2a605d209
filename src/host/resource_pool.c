/* SPDX-License-Identifier: Apache-2.0 */
#include "host/resource_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/number.h"
#include "host/draft.h"
#include "vim/entity.h"
#include "vim/fault.h"

LOG_MODULE("pool");

#define CONFIG(f) F_ResourceConfigSpec_##f

/* ---- objects ---- */

static struct resource_pool *pool_find(struct host *h, const struct object *o)
{
	list_each (struct resource_pool, p, &h->pools, link) {
		if (p->object == o) {
			return p;
		}
	}
	return NULL;
}

static void pool_show(struct resource_pool *p, const struct value *config)
{
	struct arena *a = arena_new(0);
	struct value *s = value_new(a, T_ResourcePoolSummary);
	struct value *runtime = resource_pool_runtime(p->host, a);

	value_set_str(a, s, F_ResourcePoolSummary_name,
		      object_get_str(p->object, P_ManagedEntity_name));
	value_set(a, s, F_ResourcePoolSummary_config, config);
	value_set(a, s, F_ResourcePoolSummary_runtime, runtime);
	inventory_set(p->object, P_ResourcePool_config, config);
	inventory_set(p->object, P_ResourcePool_runtime, runtime);
	inventory_set(p->object, P_ResourcePool_summary, s);
	arena_free(a);
}

static struct resource_pool *pool_new(struct host *h, const char *id, const char *name,
				      struct object *parent, const struct value *spec)
{
	struct resource_pool *p = mem_zalloc(sizeof(*p));
	struct arena *a = arena_new(0);

	p->host = h;
	p->object = host_entity_new(h, T_ResourcePool, id, name, parent);
	inventory_set_ref(p->object, P_ResourcePool_owner, h->compute);
	if (parent != h->compute) {
		inventory_add_ref(parent, P_ResourcePool_resourcePool, p->object);
	}
	list_push_back(&h->pools, &p->link);
	pool_show(p, resource_config_merge(a, NULL, spec, p->object));
	arena_free(a);
	return p;
}

static void pool_free(struct resource_pool *p)
{
	struct object *parent = entity_parent(p->object, NULL);

	if (parent != NULL && schema_is_a(parent->type, T_ResourcePool)) {
		inventory_drop_ref(parent, P_ResourcePool_resourcePool, p->object);
	}
	inventory_remove(p->object);
	list_remove(&p->link);
	free(p);
}

/* ---- keeping them ---- */

static struct json_object *allocation_json(const struct value *v)
{
	struct json_object *o = json_object_new_object();
	const struct value *shares = value_get_value(v, F_ResourceAllocationInfo_shares);
	int64_t level = value_get_num(shares, F_SharesInfo_level, E_SharesLevel_normal);

	json_put_i64(o, "reservation", value_get_num(v, F_ResourceAllocationInfo_reservation, 0));
	json_put_bool(o, "expandable",
		      value_get_bool(v, F_ResourceAllocationInfo_expandableReservation, true));
	json_put_i64(o, "limit", value_get_num(v, F_ResourceAllocationInfo_limit, -1));
	json_put_str(o, "level", schema_enum_name(T_SharesLevel, (unsigned)level));
	json_put_i64(o, "shares", value_get_num(shares, F_SharesInfo_shares, 0));
	return o;
}

static bool allocation_read(const struct json_at *at, struct arena *a, struct value **out,
			    struct error *e)
{
	struct value *v = value_new(a, T_ResourceAllocationInfo);
	struct value *shares = value_new(a, T_SharesInfo);
	int64_t reservation, limit, n;
	const char *level;
	bool expandable;

	if (!json_get_i64(at, "reservation", &reservation, e) ||
	    !json_get_bool(at, "expandable", &expandable, e) ||
	    !json_get_i64(at, "limit", &limit, e) || !json_get_str(at, "level", &level, e) ||
	    !json_get_i64(at, "shares", &n, e)) {
		return false;
	}
	int ordinal = schema_enum_find(T_SharesLevel, level, strlen(level));
	value_set_num(a, shares, F_SharesInfo_level, ordinal < 0 ? E_SharesLevel_normal : ordinal);
	value_set_num(a, shares, F_SharesInfo_shares, n);
	value_set_num(a, v, F_ResourceAllocationInfo_reservation, reservation);
	value_set_bool(a, v, F_ResourceAllocationInfo_expandableReservation, expandable);
	value_set_num(a, v, F_ResourceAllocationInfo_limit, limit);
	value_set(a, v, F_ResourceAllocationInfo_shares, shares);
	*out = v;
	return true;
}

static struct json_object *pool_json(struct object *pool, struct object *parent)
{
	const struct value *config = object_get(pool, P_ResourcePool_config, NULL);
	struct json_object *o = json_object_new_object();

	json_put_str(o, "id", object_id(pool));
	json_put_str(o, "name", object_get_str(pool, P_ManagedEntity_name));
	json_put_str(o, "parent", object_id(parent));
	json_put(o, "cpu", allocation_json(value_get_value(config, CONFIG(cpuAllocation))));
	json_put(o, "memory", allocation_json(value_get_value(config, CONFIG(memoryAllocation))));
	return o;
}

/* Those below `parent`, parents before their children. Depth is bounded where pools are made. */
static void children_json(struct host *h, struct object *parent, struct json_object *list)
{
	const struct value *children = object_get(parent, P_ResourcePool_resourcePool, NULL);

	for (size_t i = 0; i < value_count(children); i++) {
		struct object *pool = inventory_find_ref(h->inventory, value_item(children, i));
		json_object_array_add(list, pool_json(pool, parent));
		children_json(h, pool, list);
	}
}

static bool pools_save(struct host *h, struct error *e)
{
	struct json_object *doc = json_object_new_object(), *list = json_object_new_array();

	children_json(h, h->pool, list);
	json_put(doc, "pools", list);
	bool ok = host_state_write(h, "pools.json", doc, e);
	json_object_put(doc);
	return ok;
}

static bool pool_read(struct host *h, const struct json_at *at, struct arena *a, struct error *e)
{
	const char *id, *name, *parent;
	struct json_at cpu, memory;
	struct value *cpu_v, *memory_v, *config = value_new(a, T_ResourceConfigSpec);

	if (!json_get_str(at, "id", &id, e) || !json_get_str(at, "name", &name, e) ||
	    !json_get_str(at, "parent", &parent, e) || !json_get_object(at, "cpu", &cpu, e) ||
	    !json_get_object(at, "memory", &memory, e) || !allocation_read(&cpu, a, &cpu_v, e) ||
	    !allocation_read(&memory, a, &memory_v, e)) {
		return false;
	}
	struct object *above = inventory_find(h->inventory, parent);
	if (above == NULL || above->type != T_ResourcePool || inventory_find(h->inventory, id)) {
		return json_error(at, e, "\"%s\" below \"%s\" fits nowhere", id, parent);
	}
	value_set(a, config, CONFIG(cpuAllocation), cpu_v);
	value_set(a, config, CONFIG(memoryAllocation), memory_v);
	pool_new(h, id, name, above, config);
	return true;
}

static bool pools_load(struct host *h, struct json_object *doc, struct error *e)
{
	struct json_at root = json_root(doc), list;
	struct arena *a = arena_new(0);
	bool ok = json_get_array(&root, "pools", &list, e);

	for (size_t i = 0; ok && i < json_array_n(&list); i++) {
		struct json_at at = json_item(&list, i);
		ok = pool_read(h, &at, a, e);
	}
	arena_free(a);
	return ok || error_prefix(e, "pools.json: ");
}

/* ---- checks ---- */

static struct object *child_named(struct host *h, struct object *parent, const char *name,
				  const struct object *but)
{
	list_each (struct resource_pool, p, &h->pools, link) {
		if (p->object != but && entity_parent(p->object, NULL) == parent &&
		    strcmp(object_get_str(p->object, P_ManagedEntity_name), name) == 0) {
			return p->object;
		}
	}
	return NULL;
}

/* False: the call has been answered. */
static bool name_check(struct call *c, struct object *parent, const char *name,
		       const struct object *but)
{
	struct host *h = call_arg(c);
	struct error e;

	if (!datastore_name_check("resource pool name", name, &e) || strlen(name) > VM_NAME_MAX) {
		call_fault(c, fault_invalid_name(c->arena, name, parent),
			   "\"%.80s\" cannot name a resource pool: 1 to %d bytes, no \"/\"", name,
			   VM_NAME_MAX);
		return false;
	}
	struct object *other = child_named(h, parent, name, but);
	if (other != NULL) {
		call_fault(c, fault_duplicate_name(c->arena, name, other),
			   "a resource pool \"%s\" exists already there", name);
		return false;
	}
	return true;
}

static bool config_check(struct call *c, const struct value *config)
{
	struct error e;
	struct value *fault = resource_config_check(call_arg(c), config, c->arena, &e);

	if (fault != NULL) {
		call_fault(c, fault, "%s", e.msg);
	}
	return fault == NULL;
}

static unsigned depth_of(const struct host *h, struct object *pool)
{
	unsigned n = 0;

	for (; pool != NULL && pool != h->pool; pool = entity_parent(pool, NULL)) {
		n++;
	}
	return n;
}

/* ---- methods ---- */

static void pool_create(struct call *c)
{
	struct host *h = call_arg(c);
	const char *name = value_get_str(c->args, A_ResourcePool_CreateResourcePool_name);
	const struct value *spec = value_get_value(c->args, A_ResourcePool_CreateResourcePool_spec);
	struct error e;
	char id[32];
	unsigned next = 0;

	if (!name_check(c, c->self, name, NULL) || !config_check(c, spec)) {
		return;
	}
	if (list_length(&h->pools) >= POOLS_MAX || depth_of(h, c->self) >= POOL_DEPTH_MAX) {
		error_set(&e, ERROR_LIMIT, "resource pools: at most %d, %d deep", POOLS_MAX,
			  POOL_DEPTH_MAX);
		struct value *f = fault_new(c->arena, T_InsufficientResourcesFault);
		call_fault(c, f, "%s", e.msg);
		return;
	}
	do {
		snprintf(id, sizeof(id), "pool%u", ++next);
	} while (inventory_find(h->inventory, id) != NULL);
	struct resource_pool *p = pool_new(h, id, name, c->self, spec);
	if (!pools_save(h, &e)) {
		pool_free(p);
		call_error(c, &e);
		return;
	}
	call_return(c, p->object->ref);
}

static void pool_update(struct call *c)
{
	struct host *h = call_arg(c);
	struct resource_pool *p = pool_find(h, c->self);
	const char *name = value_get_str(c->args, A_ResourcePool_UpdateConfig_name);
	const struct value *spec = value_get_value(c->args, A_ResourcePool_UpdateConfig_config);
	const struct value *old = value_hold(object_get(c->self, P_ResourcePool_config, NULL));
	char *old_name = mem_strdup(object_get_str(c->self, P_ManagedEntity_name));
	struct error e;

	if (!call_require(c, c->self, "Resource.EditPool")) {
		goto out;
	}
	if (c->self == h->pool) {
		call_fault(c, fault_new(c->arena, T_NotSupported),
			   "the root pool \"%s\" is the host itself: it cannot be changed",
			   old_name);
		goto out;
	}
	if ((name != NULL && name[0] != '\0' &&
	     !name_check(c, entity_parent(c->self, c->arena), name, c->self)) ||
	    (spec != NULL && !config_check(c, spec))) {
		goto out;
	}
	if (name != NULL && name[0] != '\0') {
		inventory_set_str(c->self, P_ManagedEntity_name, name);
	}
	pool_show(p, resource_config_merge(c->arena, old, spec, c->self));
	if (!pools_save(h, &e)) {
		inventory_set_str(c->self, P_ManagedEntity_name, old_name);
		pool_show(p, old);
		call_error(c, &e);
		goto out;
	}
	call_return(c, NULL);
out:
	value_drop(old);
	free(old_name);
}

/* Its VMs and pools go to its parent. */
static void pool_dissolve(struct host *h, struct resource_pool *p)
{
	struct object *parent = entity_parent(p->object, NULL);
	struct arena *a = arena_new(0);
	const struct value *vms = value_hold(object_get(p->object, P_ResourcePool_vm, NULL));

	for (size_t i = 0; i < value_count(vms); i++) {
		struct object *vm = inventory_find_ref(h->inventory, value_item(vms, i));
		if (vm != NULL) {
			host_vm_set_pool(h, vm, parent);
		}
	}
	value_drop(vms);
	list_each (struct resource_pool, child, &h->pools, link) {
		if (entity_parent(child->object, a) == p->object) {
			inventory_set_ref(child->object, P_ManagedEntity_parent, parent);
			inventory_add_ref(parent, P_ResourcePool_resourcePool, child->object);
		}
	}
	arena_free(a);
	pool_free(p);
}

static void pool_destroy(struct call *c)
{
	struct host *h = call_arg(c);
	struct resource_pool *p = pool_find(h, c->self);
	struct error e;

	if (!call_require(c, c->self, "Resource.DeletePool")) {
		return;
	}
	if (c->self == h->pool) {
		call_fault(c, fault_new(c->arena, T_NotSupported),
			   "the root pool is the host itself: it cannot be destroyed");
		return;
	}
	struct task *t = task_begin(c, h->api.tasks);
	pool_dissolve(h, p);
	if (pools_save(h, &e)) {
		task_done(t, NULL);
	} else {
		task_fail_error(t, &e);
	}
}

static bool is_below(struct object *o, const struct object *top)
{
	for (o = entity_parent(o, NULL); o != NULL; o = entity_parent(o, NULL)) {
		if (o == top) {
			return true;
		}
	}
	return false;
}

static struct resource_pool *pool_below(struct host *h, const struct object *top)
{
	list_each (struct resource_pool, p, &h->pools, link) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was dissolved left the list. */
		if (is_below(p->object, top)) {
			return p;
		}
	}
	return NULL;
}

static void pool_destroy_children(struct call *c)
{
	struct host *h = call_arg(c);
	struct resource_pool *p;
	struct error e;

	if (!call_require(c, c->self, "Resource.DeletePool")) {
		return;
	}
	while ((p = pool_below(h, c->self)) != NULL) {
		pool_dissolve(h, p);
	}
	if (pools_save(h, &e)) {
		call_return(c, NULL);
	} else {
		call_error(c, &e);
	}
}

/* Why an entity cannot come into the pool: false, and the call has been answered. */
static bool move_check(struct call *c, struct object *o, const struct value *ref)
{
	struct host *h = call_arg(c);

	if (o == NULL) {
		call_fault(c, fault_not_found(c->arena, ref), "there is no object \"%s\"",
			   value_bytes(ref));
		return false;
	}
	bool is_pool = o->type == T_ResourcePool;
	if ((!is_pool && o->type != T_VirtualMachine) || o == h->pool || o == c->self ||
	    (is_pool && is_below(c->self, o))) {
		call_fault(c, fault_invalid_argument(c->arena, "list"),
			   "\"%s\" cannot be moved into this pool", object_id(o));
		return false;
	}
	if (!call_require(c, o, is_pool ? "Resource.MovePool" : "Resource.AssignVMToPool")) {
		return false;
	}
	return !is_pool || name_check(c, c->self, object_get_str(o, P_ManagedEntity_name), o);
}

static void pool_move_into(struct call *c)
{
	struct host *h = call_arg(c);
	const struct value *list =
		value_get_value(c->args, A_ResourcePool_MoveIntoResourcePool_list);
	struct error e;

	for (size_t i = 0; i < value_count(list); i++) {
		const struct value *ref = value_item(list, i);
		if (!move_check(c, inventory_find_ref(h->inventory, ref), ref)) {
			return;
		}
	}
	for (size_t i = 0; i < value_count(list); i++) {
		struct object *o = inventory_find_ref(h->inventory, value_item(list, i));
		if (o->type == T_VirtualMachine) {
			host_vm_set_pool(h, o, c->self);
			continue;
		}
		struct object *old = entity_parent(o, c->arena);
		inventory_drop_ref(old, P_ResourcePool_resourcePool, o);
		inventory_set_ref(o, P_ManagedEntity_parent, c->self);
		inventory_add_ref(c->self, P_ResourcePool_resourcePool, o);
	}
	if (pools_save(h, &e)) {
		call_return(c, NULL);
	} else {
		call_error(c, &e);
	}
}

void resource_pools_refresh(struct host *h)
{
	list_each (struct resource_pool, p, &h->pools, link) {
		const struct value *config =
			value_hold(object_get(p->object, P_ResourcePool_config, NULL));
		pool_show(p, config);
		value_drop(config);
	}
}

static void pool_refresh(struct call *c)
{
	call_return(c, NULL);
}

/* ---- life ---- */

bool resource_pools_build(struct host *h, struct error *e)
{
	static const struct {
		uint16_t method;
		call_fn *fn;
	} methods[] = {
		{ M_ResourcePool_CreateResourcePool, pool_create },
		{ M_ResourcePool_UpdateConfig, pool_update },
		{ M_ResourcePool_DestroyChildren, pool_destroy_children },
		{ M_ResourcePool_MoveIntoResourcePool, pool_move_into },
		{ M_ResourcePool_RefreshRuntime, pool_refresh },
		{ M_ManagedEntity_Destroy_Task, pool_destroy },
	};
	struct error why;

	h->pool = pool_new(h, "ha-root-pool", "Resources", h->compute, NULL)->object;
	inventory_set_ref(h->compute, P_ComputeResource_resourcePool, h->pool);
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		service_handle(h->api.service, T_ResourcePool, methods[i].method, methods[i].fn, h);
	}
	struct json_object *doc = host_state_read(h, "pools.json", &why);
	if (doc == NULL) {
		if (why.kind != ERROR_NOT_FOUND) {
			*e = why;
		}
		return why.kind == ERROR_NOT_FOUND;
	}
	bool ok = pools_load(h, doc, e);
	json_object_put(doc);
	return ok;
}

void resource_pools_free(struct host *h)
{
	list_each_safe (struct resource_pool, p, &h->pools, link) {
		list_remove(&p->link);
		inventory_remove(p->object);
		free(p);
	}
}
