/* SPDX-License-Identifier: Apache-2.0 */
/* The SessionManager's methods and properties (vSphere API SessionManager). */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vim/fault.h"
#include "vim/session_state.h"

enum {
	LOCALE_MAX = 32,
	MESSAGE_MAX = 4096
};

struct value *session_value(struct arena *a, const struct session *s)
{
	struct value *v = value_new(a, T_UserSession);
	const struct user *u = user_find(s->manager->users, s->user);
	bool has_name = u != NULL && u->description != NULL && u->description[0] != '\0';

	value_set_str(a, v, F_UserSession_key, s->id);
	value_set_str(a, v, F_UserSession_userName, s->user);
	value_set_str(a, v, F_UserSession_fullName, has_name ? u->description : s->user);
	value_set_num(a, v, F_UserSession_loginTime, s->login_wall_us);
	value_set_num(a, v, F_UserSession_lastActiveTime, s->active_wall_us);
	value_set_str(a, v, F_UserSession_locale, s->locale);
	value_set_str(a, v, F_UserSession_messageLocale, s->locale);
	value_set_bool(a, v, F_UserSession_extensionSession, false);
	value_set_str(a, v, F_UserSession_ipAddress, s->peer);
	value_set_str(a, v, F_UserSession_userAgent, s->user_agent);
	value_set_num(a, v, F_UserSession_callCount, (int64_t)s->n_calls);
	return v;
}

/* ---- properties ---- */

/* All sessions for who may end them; else one's own. */
static const struct value *session_list(struct session_manager *m, struct arena *a)
{
	const struct session *acting = service_acting(m->service);
	struct value *list = value_new_array(a, T_UserSession);

	if (acting == NULL) {
		return list;
	}
	bool sees_all = session_may(acting, m->object, "Sessions.TerminateSession");
	list_each (struct session, s, &m->sessions, link) {
		if (sees_all || s == acting) {
			value_push(a, list, session_value(a, s));
		}
	}
	return list;
}

static const struct value *compute(struct object *o, unsigned prop, struct arena *a)
{
	struct session_manager *m = o->owner;
	const struct session *acting = service_acting(m->service);

	if (prop == P_SessionManager_sessionList) {
		return session_list(m, a);
	}
	return acting == NULL || acting->is_system ? NULL : session_value(a, acting);
}

const struct object_class *session_class(void)
{
	static const struct object_class class = {
		.computed = UINT64_C(1) << P_SessionManager_sessionList |
			    UINT64_C(1) << P_SessionManager_currentSession,
		.compute = compute,
	};

	return &class;
}

/* ---- logging in ---- */

/* A Login call whose password is being checked; ends with login_done(). */
struct login_call {
	struct call *call;
	char locale[LOCALE_MAX + 1];
};

static void answer_invalid_login(struct call *c, const char *text)
{
	call_fault(c, fault_new(c->arena, T_InvalidLogin), "%s", text);
}

/* The locale argument into out ("en" when unset); false: answered. */
static bool locale_arg(struct call *c, unsigned arg, char out[LOCALE_MAX + 1])
{
	const char *locale = value_get_str(c->args, arg);
	size_t n = locale == NULL ? 0 : strlen(locale);

	if (n == 0) {
		memcpy(out, "en", 3);
		return true;
	}
	if (n > LOCALE_MAX ||
	    strspn(locale, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.@") !=
		    n) {
		call_fault(c, fault_new(c->arena, T_InvalidLocale),
			   "\"%.40s\" does not name a locale", locale);
		return false;
	}
	memcpy(out, locale, n + 1);
	return true;
}

static void session_set_locale(struct session *s, const char *locale)
{
	free(s->locale);
	s->locale = mem_strdup(locale);
}

/* Answers with the new session and its cookie. */
static void answer_session(struct call *c, struct session *s)
{
	session_called(s, c->user_agent);
	call_set_cookie(c, s->key);
	call_return(c, session_value(c->arena, s));
}

static void login_done(void *arg, struct session *s, const struct error *e)
{
	struct login_call *l = arg;
	struct call *c = l->call;

	if (s == NULL) {
		answer_invalid_login(c, e->msg);
	} else {
		session_set_locale(s, l->locale);
		answer_session(c, s);
	}
	free(l);
}

static void login(struct call *c)
{
	struct session_manager *m = call_arg(c);
	struct login_call *l = mem_zalloc(sizeof(*l));

	if (c->session != NULL) {
		answer_invalid_login(c, "The session is logged in already; log out first.");
		free(l);
		return;
	}
	if (!locale_arg(c, A_SessionManager_Login_locale, l->locale)) {
		free(l);
		return;
	}
	l->call = c;
	session_login(m, value_get_str(c->args, A_SessionManager_Login_userName),
		      value_get_str(c->args, A_SessionManager_Login_password), c->peer, login_done,
		      l);
}

static void login_by_token(struct call *c)
{
	answer_invalid_login(c, "No issuer of tokens is trusted by this server.");
}

static void login_extension(struct call *c)
{
	call_fault(c, fault_new(c->arena, T_NoClientCertificate),
		   "The connection has no client certificate.");
}

static void logout(struct call *c)
{
	struct session *s = c->session;

	c->session = NULL;
	call_set_cookie(c, "");
	session_logout(s);
	call_return(c, NULL);
}

static void impersonate(struct call *c)
{
	struct session_manager *m = call_arg(c);
	struct session *s = c->session;
	const char *user = value_get_str(c->args, A_SessionManager_ImpersonateUser_userName);
	char locale[LOCALE_MAX + 1];

	if (!locale_arg(c, A_SessionManager_ImpersonateUser_locale, locale)) {
		return;
	}
	if (s->is_system || user_find(m->users, user) == NULL) {
		answer_invalid_login(c, "There is no such user to act as.");
		return;
	}
	free(s->user);
	s->user = mem_strdup(user);
	s->rights->generation = 0;
	s->n_impersonations++;
	inventory_touch(m->object, P_SessionManager_sessionList, "sessionList");
	session_set_locale(s, locale);
	call_return(c, session_value(c->arena, s));
}

/* ---- others' sessions ---- */

static void session_is_active(struct call *c)
{
	struct session_manager *m = call_arg(c);
	const char *id = value_get_str(c->args, A_SessionManager_SessionIsActive_sessionID);
	const char *user = value_get_str(c->args, A_SessionManager_SessionIsActive_userName);
	const struct session *s = session_find_id(m, id);

	call_return(c, value_new_bool(c->arena, s != NULL && strcmp(s->user, user) == 0));
}

static void terminate(struct call *c)
{
	struct session_manager *m = call_arg(c);
	const struct value *ids =
		value_get_value(c->args, A_SessionManager_TerminateSession_sessionId);

	for (size_t i = 0; i < value_count(ids); i++) {
		const char *id = value_bytes(value_item(ids, i));
		const struct session *s = session_find_id(m, id);
		if (s == NULL) {
			call_fault(c, fault_new(c->arena, T_NotFound),
				   "there is no session \"%.80s\"", id);
			return;
		}
		if (s == c->session) {
			call_fault(c, fault_invalid_argument(c->arena, "sessionId"),
				   "session \"%s\" is the caller's own", id);
			return;
		}
	}
	for (size_t i = 0; i < value_count(ids); i++) {
		struct session *s = session_find_id(m, value_bytes(value_item(ids, i)));
		if (s != NULL) { /* may be named twice */
			session_logout(s);
		}
	}
	call_return(c, NULL);
}

static void update_message(struct call *c)
{
	struct session_manager *m = call_arg(c);
	const char *text = value_get_str(c->args, A_SessionManager_UpdateServiceMessage_message);

	if (strlen(text) > MESSAGE_MAX) {
		call_fault(c, fault_invalid_argument(c->arena, "message"),
			   "the message has more than %d bytes", MESSAGE_MAX);
		return;
	}
	inventory_set_str(m->object, P_SessionManager_message, text);
	call_return(c, NULL);
}

static void set_locale(struct call *c)
{
	char locale[LOCALE_MAX + 1];

	if (!locale_arg(c, A_SessionManager_SetLocale_locale, locale)) {
		return;
	}
	session_set_locale(c->session, locale);
	call_return(c, NULL);
}

/* ---- cloning: tickets are in ticket.c ---- */

static void clone_session(struct call *c)
{
	struct session_manager *m = call_arg(c);
	const char *ticket = value_get_str(c->args, A_SessionManager_CloneSession_cloneTicket);
	const struct session *from = ticket_take_clone(m, ticket);
	struct error e = { 0 };

	if (from == NULL) {
		answer_invalid_login(c, "The ticket is unknown, used or too old.");
		return;
	}
	char *locale = mem_strdup(from->locale);
	struct session *s = session_begin(m, from->user, c->peer, &e);
	if (s == NULL) {
		answer_invalid_login(c, e.msg);
	} else {
		session_set_locale(s, locale);
		answer_session(c, s);
	}
	free(locale);
}

void session_handle(struct session_manager *m)
{
	static const struct {
		uint16_t method;
		call_fn *fn;
	} methods[] = {
		{ M_SessionManager_Login, login },
		{ M_SessionManager_LoginByToken, login_by_token },
		{ M_SessionManager_LoginExtensionByCertificate, login_extension },
		{ M_SessionManager_LoginExtensionBySubjectName, login_extension },
		{ M_SessionManager_Logout, logout },
		{ M_SessionManager_ImpersonateUser, impersonate },
		{ M_SessionManager_SessionIsActive, session_is_active },
		{ M_SessionManager_TerminateSession, terminate },
		{ M_SessionManager_UpdateServiceMessage, update_message },
		{ M_SessionManager_SetLocale, set_locale },
		{ M_SessionManager_CloneSession, clone_session },
	};

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		service_handle(m->service, T_SessionManager, methods[i].method, methods[i].fn, m);
	}
}
