/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of resource pools as values (ResourceConfigSpec): defaults, what a change makes
 * of it, and what a pool's reservations leave. Changes nothing but its results.
 */
#pragma once

#include "center/refusal.h"

/* No reservation, no limit, normal shares. */
struct value *pool_config_default(struct arena *a);

/* Of the root pool: all there is, reserved. */
struct value *pool_config_root(struct arena *a, int64_t mhz, int64_t mb);

/* `config` with what `spec` sets; not for reservations that the pools above cannot give. `pool` is
 * the one that changes (NULL: a new one), `parent` the one above. NULL: refused. */
const struct value *pool_config_apply(struct arena *a, const struct value *config,
				      const struct value *spec, struct object *pool,
				      struct object *parent, struct refusal *r);

/* May a pool with that configuration come under `parent`? */
bool pool_config_fits(struct arena *a, const struct value *config, struct object *pool,
		      struct object *parent, struct refusal *r);

/* ResourcePool.runtime of a pool as its configuration and children make it. */
struct value *pool_config_runtime(struct arena *a, struct object *pool);
