/* SPDX-License-Identifier: Apache-2.0 */
/* What is wanted, written as one node's policy document. Event-loop thread only. */
#pragma once

#include "center/intent.h"
#include "center/node_document.h"

struct member;

/* Appends segments, routers, bindings, groups and firewall (schema/node-policy.json): all segments
 * and routers, as any card may join; who else is on a segment, rules and groups only as far as they
 * concern the member's network cards. What does not fit is said in d->error. */
void intent_write(struct intent *in, struct member *m, struct node_document *d);

/* The object was made or changed; it goes. */
void intent_write_object(struct intent *in, struct intent_object *o);
void intent_write_gone(struct intent *in, struct intent_object *o);
