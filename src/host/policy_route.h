/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /remora/v1/policy over HTTPS, where a manager says what it wants of this node beyond what the
 * vSphere API has (schema/node-policy.json). PUT is answered when the switch runs it: 200
 * {generation}; 400 {object, reason, limit} when it was refused, 409 when it is older than what the
 * same manager gave, 503 {reason} while the switch does not answer; nothing has changed then. GET
 * tells what holds, whether it is in force, and what the switch counts. Both need the privilege
 * Host.Config.Network. Event-loop thread only.
 */
#ifndef HOST_POLICY_ROUTE_H
#define HOST_POLICY_ROUTE_H

#include "host/host.h"
#include "vim/server.h"

/* The host must live as long as the server. Hosts without a switch have no such route. /metrics of
 * the server has the switch's figures from then on. */
void policy_route_add(struct server *s, struct host *h);

#endif
