/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that hear what changes at ports, as notifications `plane.event` with {"event"}:
 *   "port" {port, up}: the other side has come or gone; also of ports that are no more;
 *   "addresses" {port, addresses}: those that are bound to it and those seen there;
 *   "limit" {port, reason}: it met a limit ("flow_quota", "flow_rate", "flow_table", "addresses"),
 *     at most every 10 s;
 *   "conflict" {port, address, other?}: it claims an address that another port has, or a router;
 *   "lost": the connection did not keep up; all ports' state follows anew.
 * Control thread only.
 */
#ifndef SWITCH_SWITCH_WATCH_H
#define SWITCH_SWITCH_WATCH_H

#include <uv.h>

#include "base/rpc.h"
#include "switch/switch.h"

struct switch_watch;

/* Before the switch ends it is to be freed. */
struct switch_watch *switch_watch_new(struct softswitch *s, uv_loop_t *loop);
void switch_watch_free(struct switch_watch *sw);

/* Answers the call; its connection hears the present state and then what changes. */
void switch_watch_add(struct switch_watch *sw, struct rpc_call *call);

#endif
