/* SPDX-License-Identifier: Apache-2.0 */
/* Events of sessions: UserLoginSessionEvent, UserLogoutSessionEvent, BadUsernameSessionEvent. */
#ifndef VIM_SESSION_EVENT_H
#define VIM_SESSION_EVENT_H

#include "vim/event.h"
#include "vim/session.h"

/* From now on the session manager's news become events. Uses the manager's only listener. */
void session_post_events(struct session_manager *m, struct event_manager *events);

#endif
