/* SPDX-License-Identifier: Apache-2.0 */
/* What a resource pool may claim: ResourceConfigSpec and its allocations, checked and completed. */
#include <string.h>

#include "host/draft.h"
#include "host/resource_pool.h"
#include "vim/fault.h"

enum {
	SHARES_CPU_NORMAL = 4000,
	SHARES_MEMORY_NORMAL = 163840,
	SHARES_MAX = 4000000,
};

/* Shares go by their level: low, normal and high are 1 : 2 : 4. */
static struct value *shares_of(struct arena *a, const struct value *given, int64_t normal)
{
	struct value *v = value_new(a, T_SharesInfo);
	int64_t level = value_get_num(given, F_SharesInfo_level, E_SharesLevel_normal);
	int64_t n = normal;

	if (level == E_SharesLevel_low) {
		n = normal / 2;
	} else if (level == E_SharesLevel_high) {
		n = normal * 2;
	} else if (level == E_SharesLevel_custom) {
		n = value_get_num(given, F_SharesInfo_shares, normal);
	}
	value_set_num(a, v, F_SharesInfo_shares, n);
	value_set_num(a, v, F_SharesInfo_level, level);
	return v;
}

static struct value *allocation_merge(struct arena *a, const struct value *old,
				      const struct value *spec, int64_t normal)
{
	struct value *v = value_new(a, T_ResourceAllocationInfo);
	const struct value *from[] = { old, spec };
	int64_t reservation = 0, limit = -1;
	bool expandable = true;
	const struct value *shares = NULL;

	for (size_t i = 0; i < ARRAY_LEN(from); i++) {
		if (from[i] == NULL) {
			continue;
		}
		reservation =
			value_get_num(from[i], F_ResourceAllocationInfo_reservation, reservation);
		limit = value_get_num(from[i], F_ResourceAllocationInfo_limit, limit);
		expandable = value_get_bool(from[i], F_ResourceAllocationInfo_expandableReservation,
					    expandable);
		if (value_has(from[i], F_ResourceAllocationInfo_shares)) {
			shares = value_get_value(from[i], F_ResourceAllocationInfo_shares);
		}
	}
	value_set_num(a, v, F_ResourceAllocationInfo_reservation, reservation);
	value_set_bool(a, v, F_ResourceAllocationInfo_expandableReservation, expandable);
	value_set_num(a, v, F_ResourceAllocationInfo_limit, limit);
	value_set(a, v, F_ResourceAllocationInfo_shares, shares_of(a, shares, normal));
	return v;
}

static const struct value *part(const struct value *config, unsigned field)
{
	return config == NULL ? NULL : value_get_value(config, field);
}

struct value *resource_config_merge(struct arena *a, const struct value *old,
				    const struct value *spec, const struct object *pool)
{
	struct value *v = value_new(a, T_ResourceConfigSpec);

	draft_set_object(a, v, F_ResourceConfigSpec_entity, pool);
	value_set(a, v, F_ResourceConfigSpec_cpuAllocation,
		  allocation_merge(a, part(old, F_ResourceConfigSpec_cpuAllocation),
				   part(spec, F_ResourceConfigSpec_cpuAllocation),
				   SHARES_CPU_NORMAL));
	value_set(a, v, F_ResourceConfigSpec_memoryAllocation,
		  allocation_merge(a, part(old, F_ResourceConfigSpec_memoryAllocation),
				   part(spec, F_ResourceConfigSpec_memoryAllocation),
				   SHARES_MEMORY_NORMAL));
	return v;
}

static struct value *allocation_check(const struct value *v, int64_t total, bool is_cpu,
				      struct arena *a, struct error *e)
{
	const char *what = is_cpu ? "CPU" : "memory", *unit = is_cpu ? "MHz" : "MB";
	int64_t reservation = value_get_num(v, F_ResourceAllocationInfo_reservation, 0);
	int64_t limit = value_get_num(v, F_ResourceAllocationInfo_limit, -1);
	const struct value *shares = part(v, F_ResourceAllocationInfo_shares);
	int64_t n = value_get_num(shares, F_SharesInfo_shares, 1);

	if (reservation < 0 || limit < -1 || (limit >= 0 && limit < reservation)) {
		error_set(e, ERROR_INVALID,
			  "%s reservation %lld and limit %lld %s: a limit is -1 (none) or at "
			  "least the reservation",
			  what, (long long)reservation, (long long)limit, unit);
		return fault_invalid_argument(a, is_cpu ? "cpuAllocation" : "memoryAllocation");
	}
	if (value_get_num(shares, F_SharesInfo_level, 0) == E_SharesLevel_custom &&
	    (n < 0 || n > SHARES_MAX)) {
		error_set(e, ERROR_INVALID, "%lld %s shares are not possible", (long long)n, what);
		return fault_invalid_argument(a, is_cpu ? "cpuAllocation" : "memoryAllocation");
	}
	if (reservation > total) {
		error_set(e, ERROR_LIMIT, "a reservation of %lld %s %s: the host has %lld",
			  (long long)reservation, unit, what, (long long)total);
		struct value *f = fault_new(a, is_cpu ? T_InsufficientCpuResourcesFault
						      : T_InsufficientMemoryResourcesFault);
		draft_fill(a, f);
		return f;
	}
	return NULL;
}

struct value *resource_config_check(const struct host *h, const struct value *config,
				    struct arena *a, struct error *e)
{
	struct value *fault = allocation_check(part(config, F_ResourceConfigSpec_cpuAllocation),
					       (int64_t)host_mhz_for_vms(h), true, a, e);

	return fault != NULL ? fault
			     : allocation_check(part(config, F_ResourceConfigSpec_memoryAllocation),
						(int64_t)host_memory_for_vms(h), false, a, e);
}

static struct value *usage(struct arena *a, int64_t total)
{
	struct value *v = value_new(a, T_ResourcePoolResourceUsage);

	draft_fill(a, v);
	value_set_num(a, v, F_ResourcePoolResourceUsage_unreservedForPool, total);
	value_set_num(a, v, F_ResourcePoolResourceUsage_unreservedForVm, total);
	value_set_num(a, v, F_ResourcePoolResourceUsage_maxUsage, total);
	return v;
}

struct value *resource_pool_runtime(const struct host *h, struct arena *a)
{
	struct value *v = value_new(a, T_ResourcePoolRuntimeInfo);

	value_set(a, v, F_ResourcePoolRuntimeInfo_memory,
		  usage(a, (int64_t)host_memory_for_vms(h) << 20));
	value_set(a, v, F_ResourcePoolRuntimeInfo_cpu, usage(a, (int64_t)host_mhz_for_vms(h)));
	value_set_num(a, v, F_ResourcePoolRuntimeInfo_overallStatus, E_ManagedEntityStatus_green);
	return v;
}
