/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's switch as its agent has it: one remora-switchd that is started where none runs, goes
 * on when the agent ends however it ends, is found again by its socket, and is started anew when it
 * has died. What it is told and asked goes over its control socket (docs/man/remora-switchd.8).
 *
 * Whether one runs is said by the lock on its state folder, which it holds as long as it lives; a
 * switch that somebody else has started, or is about to replace by another, is left alone.
 *
 * Owned by who made it. Loop thread only; callbacks come from the loop, never from within a call.
 */
#ifndef HOST_SWITCH_LINK_H
#define HOST_SWITCH_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "base/error.h"
#include "base/json.h"
#include "base/rpc.h"

struct switch_link_config {
	uv_loop_t *loop;
	const char *program;	  /* remora-switchd; NULL: never started, only found */
	const char *state;	  /* its state folder */
	const char *flows_folder; /* for the records of its connections */
	uint32_t flows;		  /* how many there can be */
	/* It answers, and runs the document of that generation (0: none). Also after each restart.
	 */
	void (*up)(void *arg, uint64_t generation);
	void (*down)(void *arg); /* it does not any more */
	/* Something that it tells unasked (plane.event). */
	void (*event)(void *arg, const struct json_at *params);
	void *arg;
};

struct switch_link;

/* Begins to look for it and to start it. */
struct switch_link *switch_link_new(const struct switch_link_config *c);
/* Lets go; the switch runs on. Open questions end with ERROR_CANCELED before it returns. */
void switch_link_free(struct switch_link *l);

/* It answers: between `up` and `down`. */
bool switch_link_is_up(const struct switch_link *l);
/* Why it does not; "" where nothing is known. */
const char *switch_link_trouble(const struct switch_link *l);

/* Asks; on_reply comes exactly once, later, with ERROR_UNREACHABLE where the switch is not up.
 * params are taken over. */
void switch_link_call(struct switch_link *l, const char *method, struct json_object *params,
		      void (*on_reply)(void *arg, const struct rpc_reply *reply), void *arg);

/* remora-switchd beside the running program; to be freed, NULL where there is none. */
char *switch_link_program(void);

#endif
