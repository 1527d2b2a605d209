/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster's configuration as a value: ClusterConfigInfoEx, and what a ClusterConfigSpecEx makes
 * of it. Changes nothing but its results, which live in the arena.
 */
#pragma once

#include "center/refusal.h"
#include "vim/value.h"

/* HA and DRS off, no rules, no groups. */
struct value *cluster_config_default(struct arena *a);

/* The old form of a specification, ClusterConfigSpec, as the new one. */
const struct value *cluster_config_from_old(struct arena *a, const struct value *spec);

/* The configuration after the specification; not `modify`: what it leaves unset goes back to the
 * default. References must name objects in the inventory; `owner` is the cluster, or the folder it
 * is to be made in. NULL: refused. */
const struct value *cluster_config_apply(struct arena *a, const struct object *owner,
					 const struct value *config, const struct value *spec,
					 bool modify, struct refusal *r);

/* ClusterComputeResource.configuration: the part that the old form shows. */
struct value *cluster_config_old(struct arena *a, const struct value *config);
