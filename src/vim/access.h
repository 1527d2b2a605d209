/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of the inventory a session sees: what its permissions say (session.h), where a task counts
 * as the entity it is about (as the root folder when that is gone), and whoever began it may read
 * it in any case. Event-loop thread only.
 */
#ifndef VIM_ACCESS_H
#define VIM_ACCESS_H

#include "vim/session.h"

/* System.View: may it know of the object and go on from it? */
bool access_may_view(struct session *s, struct object *o);

/* Of a task that may have become history: may it read TaskInfo? */
bool access_may_read_task(const struct session *s, const struct value *info);

/* May it read the property? */
bool access_may_read(struct session *s, struct object *o, unsigned prop);

#endif
