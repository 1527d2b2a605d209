/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls a method on an object of this inventory as the program itself, and follows the task that it
 * returns to its end. Event-loop thread only.
 */
#pragma once

#include "center/center.h"

/* done(arg, fault, text) once, perhaps before this returns: fault NULL: the method or its task
 * succeeded. The fault is valid only during done(). args must stay valid until then. Never called
 * after center_free(). */
void follow_call(struct center *c, struct object *self, uint16_t method, const struct value *args,
		 void (*done)(void *arg, const struct value *fault, const char *text), void *arg);

/* Forgets all; for center_free(). */
void follow_stop(struct center *c);
