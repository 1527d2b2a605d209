/* SPDX-License-Identifier: Apache-2.0 */
#include "center/pool_config.h"

#include <inttypes.h>

#include "base/macro.h"
#include "center/place.h"
#include "vim/fault.h"

enum {
	CPU_SHARES_NORMAL = 4000,
	MEMORY_SHARES_NORMAL = 163840,
	SHARES_MAX = 4000000
};

/* The two resources; units MHz and MB. */
static const struct resource {
	unsigned field;
	int64_t shares_normal;
	const char *name, *unit;
	uint16_t fault;
	unsigned fault_unreserved, fault_requested;
} resources[] = {
	{ F_ResourceConfigSpec_cpuAllocation, CPU_SHARES_NORMAL, "CPU", "MHz",
	  T_InsufficientCpuResourcesFault, F_InsufficientCpuResourcesFault_unreserved,
	  F_InsufficientCpuResourcesFault_requested },
	{ F_ResourceConfigSpec_memoryAllocation, MEMORY_SHARES_NORMAL, "memory", "MB",
	  T_InsufficientMemoryResourcesFault, F_InsufficientMemoryResourcesFault_unreserved,
	  F_InsufficientMemoryResourcesFault_requested },
};

static struct value *shares_value(struct arena *a, int64_t shares, int level)
{
	struct value *v = value_new(a, T_SharesInfo);

	value_set_num(a, v, F_SharesInfo_shares, shares);
	value_set_num(a, v, F_SharesInfo_level, level);
	return v;
}

static struct value *allocation(struct arena *a, const struct resource *res, int64_t reservation,
				bool is_expandable, int64_t limit)
{
	struct value *v = value_new(a, T_ResourceAllocationInfo);

	value_set_num(a, v, F_ResourceAllocationInfo_reservation, reservation);
	value_set_bool(a, v, F_ResourceAllocationInfo_expandableReservation, is_expandable);
	value_set_num(a, v, F_ResourceAllocationInfo_limit, limit);
	value_set(a, v, F_ResourceAllocationInfo_shares,
		  shares_value(a, res->shares_normal, E_SharesLevel_normal));
	return v;
}

struct value *pool_config_default(struct arena *a)
{
	struct value *v = value_new(a, T_ResourceConfigSpec);

	for (size_t i = 0; i < ARRAY_LEN(resources); i++) {
		value_set(a, v, resources[i].field, allocation(a, &resources[i], 0, true, -1));
	}
	return v;
}

struct value *pool_config_root(struct arena *a, int64_t mhz, int64_t mb)
{
	const int64_t have[] = { mhz, mb };
	struct value *v = value_new(a, T_ResourceConfigSpec);

	for (size_t i = 0; i < ARRAY_LEN(resources); i++) {
		value_set(a, v, resources[i].field,
			  allocation(a, &resources[i], have[i], false, have[i]));
	}
	return v;
}

/* ---- capacity ---- */

static const struct value *allocation_of(struct object *pool, const struct resource *res,
					 struct arena *a)
{
	return value_get_value(object_get(pool, P_ResourcePool_config, a), res->field);
}

static int64_t reservation_of(const struct value *alloc)
{
	return value_get_num(alloc, F_ResourceAllocationInfo_reservation, 0);
}

/* What its children have reserved, all but one of them. */
static int64_t reserved_below(struct object *pool, const struct resource *res,
			      const struct object *except, struct arena *a)
{
	int64_t sum = 0;

	for (size_t i = 0; i < place_count(pool, P_ResourcePool_resourcePool); i++) {
		struct object *child = place_at(pool, P_ResourcePool_resourcePool, i);
		if (child != NULL && child != except) {
			sum += reservation_of(allocation_of(child, res, a));
		}
	}
	return sum;
}

/* What may still be reserved below the pool; through it, above, where it is expandable. */
static int64_t unreserved(struct object *above, const struct resource *res,
			  const struct object *except, struct arena *a)
{
	const struct value *alloc = allocation_of(above, res, a);
	int64_t left = reservation_of(alloc) - reserved_below(above, res, except, a);
	struct object *parent = place_parent(above);

	if (value_get_bool(alloc, F_ResourceAllocationInfo_expandableReservation, false) &&
	    parent != NULL && schema_is_a(parent->type, T_ResourcePool)) {
		left = MAX(left, 0) + MAX(unreserved(parent, res, NULL, a), 0);
	}
	return left;
}

static bool fits(struct arena *a, const struct resource *res, const struct value *alloc,
		 struct object *pool, struct object *parent, struct refusal *r)
{
	int64_t wants = reservation_of(alloc);
	int64_t has = pool == NULL ? 0 : reservation_of(allocation_of(pool, res, a));
	int64_t left = MAX(unreserved(parent, res, pool, a), 0);

	/* Less than before is always taken, also where hosts have gone since. */
	if (wants <= left || (pool != NULL && place_parent(pool) == parent && wants <= has)) {
		return true;
	}
	struct value *fault = fault_new(a, res->fault);
	value_set_num(a, fault, res->fault_unreserved, left);
	value_set_num(a, fault, res->fault_requested, wants);
	return refuse(r, fault,
		      "%s reservation of %" PRId64 " %s is more than the %" PRId64
		      " %s that pool \"%s\" has left",
		      res->name, wants, res->unit, left, res->unit, place_name(parent));
}

bool pool_config_fits(struct arena *a, const struct value *config, struct object *pool,
		      struct object *parent, struct refusal *r)
{
	for (size_t i = 0; i < ARRAY_LEN(resources); i++) {
		const struct value *alloc = value_get_value(config, resources[i].field);
		if (!fits(a, &resources[i], alloc, pool, parent, r)) {
			return false;
		}
	}
	return true;
}

/* ---- changes ---- */

static const struct value *shares_apply(struct arena *a, const struct resource *res,
					const struct value *given, struct refusal *r)
{
	int64_t level = value_get_num(given, F_SharesInfo_level, E_SharesLevel_normal);
	int64_t shares = value_get_num(given, F_SharesInfo_shares, 0);

	switch (level) {
	case E_SharesLevel_low:
		return shares_value(a, res->shares_normal / 2, E_SharesLevel_low);
	case E_SharesLevel_normal:
		return shares_value(a, res->shares_normal, E_SharesLevel_normal);
	case E_SharesLevel_high:
		return shares_value(a, res->shares_normal * 2, E_SharesLevel_high);
	default:
		break;
	}
	if (shares < 1 || shares > SHARES_MAX) {
		refuse(r, fault_invalid_argument(a, "spec.shares"),
		       "%" PRId64 " %s shares, must be 1 to %d", shares, res->name, SHARES_MAX);
		return NULL;
	}
	return shares_value(a, shares, E_SharesLevel_custom);
}

static const struct value *allocation_apply(struct arena *a, const struct resource *res,
					    const struct value *old, const struct value *given,
					    struct refusal *r)
{
	struct value *v = value_edit(a, old);
	const struct value *shares = value_get_value(given, F_ResourceAllocationInfo_shares);
	int64_t reservation =
		value_get_num(given, F_ResourceAllocationInfo_reservation, reservation_of(old));
	int64_t limit = value_get_num(given, F_ResourceAllocationInfo_limit,
				      value_get_num(old, F_ResourceAllocationInfo_limit, -1));
	bool is_expandable = value_get_bool(
		given, F_ResourceAllocationInfo_expandableReservation,
		value_get_bool(old, F_ResourceAllocationInfo_expandableReservation, true));

	if (reservation < 0 || limit < -1 || (limit >= 0 && reservation > limit)) {
		refuse(r, fault_invalid_argument(a, "spec"),
		       "%s reservation of %" PRId64 " %s does not go with a limit of %" PRId64,
		       res->name, reservation, res->unit, limit);
		return NULL;
	}
	if (shares != NULL) {
		shares = shares_apply(a, res, shares, r);
		if (shares == NULL) {
			return NULL;
		}
		value_set(a, v, F_ResourceAllocationInfo_shares, shares);
	}
	value_set_num(a, v, F_ResourceAllocationInfo_reservation, reservation);
	value_set_num(a, v, F_ResourceAllocationInfo_limit, limit);
	value_set_bool(a, v, F_ResourceAllocationInfo_expandableReservation, is_expandable);
	return v;
}

const struct value *pool_config_apply(struct arena *a, const struct value *config,
				      const struct value *spec, struct object *pool,
				      struct object *parent, struct refusal *r)
{
	struct value *v = value_edit(a, config);

	for (size_t i = 0; i < ARRAY_LEN(resources); i++) {
		const struct value *given = value_get_value(spec, resources[i].field);
		const struct value *old = value_get_value(config, resources[i].field);
		if (given == NULL) {
			continue;
		}
		const struct value *alloc = allocation_apply(a, &resources[i], old, given, r);
		if (alloc == NULL) {
			return NULL;
		}
		value_set(a, v, resources[i].field, alloc);
	}
	return pool_config_fits(a, v, pool, parent, r) ? v : NULL;
}

/* ---- runtime ---- */

struct value *pool_config_runtime(struct arena *a, struct object *pool)
{
	static const unsigned fields[] = { F_ResourcePoolRuntimeInfo_cpu,
					   F_ResourcePoolRuntimeInfo_memory };
	struct value *v = value_new(a, T_ResourcePoolRuntimeInfo);

	for (size_t i = 0; i < ARRAY_LEN(resources); i++) {
		/* Memory is told in bytes here, though configured in MB. */
		int64_t unit = i == 0 ? 1 : INT64_C(1) << 20;
		struct value *u = value_new(a, T_ResourcePoolResourceUsage);
		const struct value *alloc = allocation_of(pool, &resources[i], a);
		int64_t used = reserved_below(pool, &resources[i], NULL, a);
		int64_t left = MAX(unreserved(pool, &resources[i], NULL, a), 0);
		int64_t limit = value_get_num(alloc, F_ResourceAllocationInfo_limit, -1);
		value_set_num(a, u, F_ResourcePoolResourceUsage_reservationUsed, used * unit);
		value_set_num(a, u, F_ResourcePoolResourceUsage_reservationUsedForVm, 0);
		value_set_num(a, u, F_ResourcePoolResourceUsage_unreservedForPool, left * unit);
		value_set_num(a, u, F_ResourcePoolResourceUsage_unreservedForVm, left * unit);
		value_set_num(a, u, F_ResourcePoolResourceUsage_overallUsage, 0);
		value_set_num(a, u, F_ResourcePoolResourceUsage_maxUsage,
			      (limit < 0 ? left + used : limit) * unit);
		value_set(a, v, fields[i], u);
	}
	value_set_num(a, v, F_ResourcePoolRuntimeInfo_overallStatus, E_ManagedEntityStatus_green);
	return v;
}
