/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why an operation cannot be done: the typed fault that the client gets, and its message. Filled in
 * by checks, handed to the call or the task that asked. The fault lives in the arena of whoever
 * checked. Event-loop thread only.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "vim/inventory.h"
#include "vim/service.h"
#include "vim/task.h"

struct refusal {
	const struct value *fault; /* NULL: none, success */
	char text[240];
};

/* Each returns false: `return refuse(…)`. */
bool refuse(struct refusal *r, const struct value *fault, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Ends the call, or the task, with it. */
void refusal_to_call(struct call *c, const struct refusal *r);
void refusal_to_task(struct task *t, const struct refusal *r);

/* True when the session holds the privilege on the object; else NoPermission. */
bool refusal_may(struct refusal *r, struct arena *a, const struct session *s, struct object *o,
		 const char *privilege);
