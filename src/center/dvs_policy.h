/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Distributed switches as a host's plane gets them ("switches" of schema/node-policy.json), and
 * whether it runs them (node_policy.h).
 *
 * Members and VMs' cards do not wait for each other: a card joins a port group only after the
 * host's plane runs that port group, which whoever makes it join waits for here. Event-loop thread
 * only.
 */
#pragma once

#include "base/json.h"
#include "center/center.h"

struct member;
struct dvs_policy;

struct dvs_policy *dvs_policy_new(struct center *c); /* after node_policy_new() */
/* Before the members: those who wait are told at once. */
void dvs_policy_free(struct dvs_policy *p);

/* A switch or a port group has changed. */
void dvs_policy_changed(struct center *c);

/* Appends the switches that the host is a member of. node_policy_switches_fn */
bool dvs_write_switches(struct center *c, struct member *m, struct json_object *out,
			struct error *e);

/* DistributedVirtualSwitchHostMemberHostComponentState of a connected host; detail: why it is not
 * "up", "" else; lives until the loop turns. */
const char *dvs_plane_status(const struct member *m, const char **detail);

/* done(arg, error) once the host runs what it should, perhaps before this returns; also when it
 * refuses that, as it tells best what it does not have. error NULL, or ERROR_TIMEOUT after some
 * seconds. `m` is not touched after this returns: it is found again by its host. */
typedef void dvs_policy_done_fn(void *arg, const struct error *e);
void dvs_policy_wait(struct member *m, dvs_policy_done_fn *done, void *arg);
