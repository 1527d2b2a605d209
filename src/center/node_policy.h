/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each node should do with traffic: composed here for every member, given to its hostd with
 * PUT /remora/v1/policy (schema/node-policy.json), and known to be in force once that is answered.
 *
 *   AWAY --connected--> ASKING (GET) --> READY --document differs--> SENDING (PUT) --200--> READY
 *   ASKING, SENDING --no answer, 503--> WAITING --timer--> ASKING
 *   SENDING --400--> READY (refused: not sent again until it differs from what was refused)
 *   SENDING --409--> ASKING
 *   ASKING --404--> UNABLE (until the next connection)
 *   any --connection lost--> AWAY
 *
 * 1. A member's document has only what concerns that node, and one that did not change is not sent.
 * 2. Changes within a few milliseconds are taken together.
 * 3. What a node confirmed is forgotten when this process ends; then it gets its document anew.
 *
 * A host within the process has no such endpoint and gets nothing. Event-loop thread only.
 */
#pragma once

#include "base/json.h"
#include "center/center.h"

struct member;
struct node_policy;

struct node_policy *node_policy_new(struct center *c);
void node_policy_free(struct node_policy *p); /* after all members */

/* Something that the switches of a node's policy are made from has changed. */
void node_policy_changed(struct center *c);

/* Appends to the list `out` the distributed switches of a member ("switches" of
 * schema/node-policy.json). False with `e`: the member's document is not sent, the reason shown. */
typedef bool node_policy_switches_fn(struct center *c, struct member *m, struct json_object *out,
				     struct error *e);
/* Who writes them; nobody does before. Called after node_policy_changed(), not otherwise. */
void node_policy_set_switches(struct center *c, node_policy_switches_fn *write);

/* What clients want, or what is known of VMs, has changed. */
void node_policy_intent_changed(struct center *c);

/* Address of the tunnels of the member's node, as it said last; NULL: none. */
const char *node_policy_endpoint(const struct member *m);

/* Who hears that node_policy_state() of some member may be another; NULL: nobody. Told from within
 * whatever changes it: it only remembers to look. */
void node_policy_set_listener(struct center *c, void (*changed)(struct center *c));

/* The member was connected, lost, disconnected. */
void node_policy_look(struct member *m);
/* It is taken out of the database, in the transaction that is begun. */
void node_policy_drop(struct member *m);
/* It is being freed. */
void node_policy_forget(struct member *m);

enum node_policy_state {
	NODE_POLICY_NONE,    /* nothing is wanted of it and nothing known, or it takes no policy */
	NODE_POLICY_PENDING, /* not confirmed yet, or not reachable */
	NODE_POLICY_REALIZED,
	NODE_POLICY_ERROR /* refused, or could not be composed */
};
/* reason: why it is PENDING or ERROR, "" when there is nothing to say; may be NULL. Lives until the
 * loop turns. */
enum node_policy_state node_policy_state(const struct member *m, const char **reason);

/* The same of one object (intent_object.serial): REALIZED when the node confirmed a document with
 * it as it is now, NONE where it does not concern the node. */
enum node_policy_state node_policy_object(const struct member *m, uint64_t serial,
					  const char **reason);
/* The generation that the node confirmed last; 0: none by this process. */
uint64_t node_policy_generation(const struct member *m);

/* What the node answers to GET /remora/v1/policy, at most a second old; done() may be called before
 * this returns, exactly once. answer: borrowed, NULL with `e`: ERROR_UNREACHABLE,
 * ERROR_UNSUPPORTED. */
typedef void node_policy_answer_fn(void *arg, struct json_object *answer, const struct error *e);
void node_policy_ask(struct member *m, node_policy_answer_fn *done, void *arg);
