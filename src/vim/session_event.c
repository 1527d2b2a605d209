/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/session_event.h"

#include "vim/session_state.h"

static void post_login(struct event_manager *m, struct arena *a, const struct session *s)
{
	struct value *v = value_new(a, T_UserLoginSessionEvent);

	value_set_str(a, v, F_UserLoginSessionEvent_ipAddress, s->peer);
	value_set_str(a, v, F_UserLoginSessionEvent_userAgent, s->user_agent);
	value_set_str(a, v, F_UserLoginSessionEvent_locale, s->locale);
	value_set_str(a, v, F_UserLoginSessionEvent_sessionId, s->id);
	event_post(m, a, v, NULL, s->user, "User %s@%s logged in as %s", s->user, s->peer,
		   s->user_agent);
}

static void post_logout(struct event_manager *m, struct arena *a, const struct session *s)
{
	struct value *v = value_new(a, T_UserLogoutSessionEvent);

	value_set_str(a, v, F_UserLogoutSessionEvent_ipAddress, s->peer);
	value_set_str(a, v, F_UserLogoutSessionEvent_userAgent, s->user_agent);
	value_set_num(a, v, F_UserLogoutSessionEvent_callCount, (int64_t)s->n_calls);
	value_set_str(a, v, F_UserLogoutSessionEvent_sessionId, s->id);
	value_set_num(a, v, F_UserLogoutSessionEvent_loginTime, s->login_wall_us);
	event_post(m, a, v, NULL, s->user, "User %s@%s logged out (calls: %llu)", s->user, s->peer,
		   (unsigned long long)s->n_calls);
}

static void post(void *arg, const struct session_news *news)
{
	struct arena *a = arena_new(0);

	switch (news->event) {
	case SESSION_LOGIN:
		post_login(arg, a, news->session);
		break;
	case SESSION_LOGOUT:
		post_logout(arg, a, news->session);
		break;
	case SESSION_BAD_LOGIN: {
		struct value *v = value_new(a, T_BadUsernameSessionEvent);
		value_set_str(a, v, F_BadUsernameSessionEvent_ipAddress, news->peer);
		event_post(arg, a, v, NULL, news->user, "Cannot login %.128s@%s", news->user,
			   news->peer);
		break;
	}
	}
	arena_free(a);
}

void session_post_events(struct session_manager *m, struct event_manager *events)
{
	session_listen(m, post, events);
}
