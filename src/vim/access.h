/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of the inventory a session sees. Objects that every client needs to work with (the service
 * instance, sessions, collectors, views) are open to everyone who is logged in; a task counts as
 * the entity it is about; all else is as permissions say. Event-loop thread only.
 */
#ifndef VIM_ACCESS_H
#define VIM_ACCESS_H

#include "vim/session.h"

/* System.View: may it know of the object and go on from it? */
bool access_may_view(struct session *s, struct object *o);

/* System.Read: may it read properties? */
bool access_may_read(struct session *s, struct object *o);

#endif
