/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource pools of a host: "Resources" (ha-root-pool) and those that clients made below it, kept
 * in pools.json. Event-loop thread only.
 */
#pragma once

#include "host/host_impl.h"

struct resource_pool {
	struct list_node link; /* host.pools */
	struct host *host;
	struct object *object;
};

enum {
	POOLS_MAX = 1000,
	POOL_DEPTH_MAX = 8,
};

/* ResourcePoolRuntimeInfo of a pool, in `a`. */
struct value *resource_pool_runtime(const struct host *h, struct arena *a);

/* Refuses shares, limits and reservations that make no sense or do not fit: a fault, or NULL. */
struct value *resource_config_check(const struct host *h, const struct value *config,
				    struct arena *a, struct error *e);

/* A complete config: defaults, then `old` (may be NULL), then what `spec` sets. */
struct value *resource_config_merge(struct arena *a, const struct value *old,
				    const struct value *spec, const struct object *pool);
