/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "vim/session_state.h"

LOG_MODULE("session");

enum {
	SESSIONS_MAX = 2000,
	USER_SESSIONS_MAX = 1000, /* of one user */
	LOGINS_HELD_MAX = 256,
	SWEEP_MS = 15000
};
#define IDLE_LIMIT_MS (INT64_C(30) * 60 * 1000)

/* A login whose password is being checked. */
struct login {
	struct list_node link;
	struct session_manager *manager; /* NULL: freed meanwhile */
	char *user, *peer;
	char *password; /* while it is held */
	void (*done)(void *arg, struct session *s, const struct error *e);
	void *arg;
};

/* ---- beginning and ending ---- */

static void session_tell(struct session_manager *m, enum session_event event, const char *user,
			 const char *peer, struct session *s)
{
	struct session_news news = { .event = event, .user = user, .peer = peer, .session = s };

	if (m->listener != NULL) {
		m->listener(m->listener_arg, &news);
	}
}

static void session_dispose(struct session *s)
{
	free(s->user);
	free(s->locale);
	free(s->peer);
	free(s->user_agent);
	free(s->rights);
	free(s);
}

static void session_end_items(struct session *s)
{
	struct list_node *n;

	while ((n = list_pop_front(&s->items)) != NULL) {
		struct session_item *item = CONTAINER_OF(n, struct session_item, link);
		item->end(item);
	}
}

void session_logout(struct session *s)
{
	struct session_manager *m = s->manager;

	if (s->is_system) {
		return;
	}
	map_remove(&m->by_key, s->key);
	map_remove(&m->by_id, s->id);
	list_remove(&s->link);
	m->n_sessions--;
	session_end_items(s);
	inventory_touch(m->object, P_SessionManager_sessionList, "sessionList");
	session_tell(m, SESSION_LOGOUT, s->user, s->peer, s);
	if (service_acting(m->service) == s) {
		service_act_as(m->service, NULL);
	}
	session_dispose(s);
}

void session_end_user(struct session_manager *m, const char *user, const struct session *except)
{
	map_each (&m->by_id, it) {
		struct session *s = it->value;
		if (s != except && strcmp(s->user, user) == 0) {
			session_logout(s);
		}
	}
}

static bool session_is_expired(const struct session *s, int64_t now_us)
{
	return s->n_busy == 0 && now_us - s->active_mono_us >= s->manager->idle_limit_us;
}

static void session_sweep(void *arg)
{
	struct session_manager *m = arg;
	int64_t now = clock_mono_us(service_clock(m->service));
	bool is_done = false;

	/* Ending a session may end others (an item that logs out): start over each time. */
	while (!is_done) {
		is_done = true;
		list_each (struct session, s, &m->sessions, link) {
			/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): who ended left the list. */
			if (now - s->active_mono_us < m->idle_limit_us) {
				break;
			}
			if (session_is_expired(s, now)) {
				log_debug("session of \"%s\" from %s expired", s->user, s->peer);
				session_logout(s);
				is_done = false;
				break;
			}
		}
	}
	login_guard_sweep(m->guard);
	tickets_sweep(m);
}

/* Sessions of the user, as far as it matters: nobody has too many before there are so many. */
static unsigned sessions_of(const struct session_manager *m, const char *user)
{
	unsigned n = 0;

	if (m->n_sessions < USER_SESSIONS_MAX) {
		return 0;
	}
	list_each (struct session, s, &m->sessions, link) {
		n += strcmp(s->user, user) == 0;
	}
	return n;
}

/* Makes room when all places, or all that one user may have, are taken: the oldest that is not busy
 * goes, so that nobody pushes others out. */
static bool session_make_room(struct session_manager *m, const char *user, struct error *e)
{
	bool is_own = sessions_of(m, user) >= USER_SESSIONS_MAX;

	if (!is_own && m->n_sessions < SESSIONS_MAX) {
		return true;
	}
	list_each (struct session, s, &m->sessions, link) {
		if (s->n_busy == 0 && (!is_own || strcmp(s->user, user) == 0)) {
			log_limited_warn(
				"%u sessions: ended the oldest idle one, of \"%s\" from %s",
				m->n_sessions, s->user, s->peer);
			session_logout(s);
			return true;
		}
	}
	if (is_own) {
		return error_set(e, ERROR_LIMIT, "all %d sessions of \"%s\" are busy",
				 USER_SESSIONS_MAX, user);
	}
	return error_set(e, ERROR_LIMIT, "all %d sessions are busy", SESSIONS_MAX);
}

static void session_touch(struct session *s)
{
	struct session_manager *m = s->manager;

	s->active_mono_us = clock_mono_us(service_clock(m->service));
	s->active_wall_us = clock_wall_us(service_clock(m->service));
	if (!s->is_system) {
		list_remove(&s->link);
		list_push_back(&m->sessions, &s->link);
	}
}

static struct session *session_make(struct session_manager *m, const char *user, const char *peer)
{
	struct session *s = mem_zalloc(sizeof(*s));

	s->manager = m;
	random_hex(s->key, 16);
	uuid_random_text(s->id);
	s->user = mem_strdup(user);
	s->locale = mem_strdup("en");
	s->peer = mem_strdup(peer);
	s->user_agent = mem_strdup("");
	s->rights = mem_zalloc(sizeof(*s->rights));
	list_init(&s->items);
	return s;
}

struct session *session_begin(struct session_manager *m, const char *user, const char *peer,
			      struct error *e)
{
	/* Made first: `user` may be a text of the session that gives way. */
	struct session *s = session_make(m, user, peer);

	if (!session_make_room(m, s->user, e)) {
		session_dispose(s);
		return NULL;
	}
	session_touch(s);
	s->login_wall_us = s->active_wall_us;
	map_set(&m->by_key, s->key, s);
	map_set(&m->by_id, s->id, s);
	m->n_sessions++;
	inventory_touch(m->object, P_SessionManager_sessionList, "sessionList");
	session_tell(m, SESSION_LOGIN, s->user, s->peer, s);
	return s;
}

/* ---- finding ---- */

struct session *session_find(struct session_manager *m, const char *key)
{
	struct session *s = map_get(&m->by_key, key);

	if (s == NULL) {
		return NULL;
	}
	if (session_is_expired(s, clock_mono_us(service_clock(m->service)))) {
		session_logout(s);
		return NULL;
	}
	session_touch(s);
	return s;
}

struct session *session_find_id(struct session_manager *m, const char *id)
{
	return map_get(&m->by_id, id);
}

struct session *session_system(struct session_manager *m)
{
	return m->system;
}

const char *session_user(const struct session *s)
{
	return s->user;
}

const char *session_key(const struct session *s)
{
	return s->key;
}

const char *session_id(const struct session *s)
{
	return s->id;
}

struct service *session_service(const struct session *s)
{
	return s->manager->service;
}

struct authorization *session_authorization(struct session_manager *m)
{
	return m->authorization;
}

size_t session_count(const struct session_manager *m)
{
	return m->n_sessions;
}

void session_listen(struct session_manager *m,
		    void (*fn)(void *arg, const struct session_news *news), void *arg)
{
	m->listener = fn;
	m->listener_arg = arg;
}

void session_called(struct session *s, const char *user_agent)
{
	if (s == NULL) {
		return;
	}
	s->n_calls++;
	if (user_agent != NULL && s->user_agent[0] == '\0') {
		free(s->user_agent);
		s->user_agent = mem_strndup(user_agent, SESSION_AGENT_MAX);
	}
}

/* ---- what a session owns ---- */

void session_own(struct session *s, struct session_item *item)
{
	list_push_back(&s->items, &item->link);
}

void session_disown(struct session_item *item)
{
	list_remove(&item->link);
}

void session_busy(struct session *s)
{
	s->n_busy++;
}

void session_idle(struct session *s)
{
	assert(s->n_busy > 0);
	s->n_busy--;
	if (s->is_system || list_is_linked(&s->link)) { /* not one that is ending */
		session_touch(s);
	}
}

/* ---- rights ---- */

static struct principal session_principal(const struct session *s)
{
	return principal_of(s->manager->users, s->user);
}

uint64_t session_rights_version(const struct session *s)
{
	return s->manager->authorization->generation + s->n_impersonations;
}

bool session_may_all(const struct session *s)
{
	if (s == NULL || s->is_system) {
		return s != NULL;
	}
	const struct authorization *a = s->manager->authorization;
	if (s->rights->generation != a->generation) {
		struct principal who = session_principal(s);
		s->rights->is_admin = authorization_is_admin(a, &who);
		s->rights->generation = a->generation;
	}
	return s->rights->is_admin;
}

bool session_may(const struct session *s, struct object *o, const char *privilege)
{
	if (session_may_all(s)) {
		return true;
	}
	if (s == NULL) {
		return false;
	}
	struct principal who = session_principal(s);
	return authorization_may(s->manager->authorization, &who, o, privilege);
}

bool session_may_read(const struct session *s, struct object *o, unsigned prop)
{
	if (session_may_all(s)) {
		return true;
	}
	bool is_entity = schema_is_a(o->type, T_ManagedEntity);
	bool is_open = is_entity ? prop == P_ManagedEntity_name || prop == P_ManagedEntity_parent
				 : object_subject(o) == NULL;
	return session_may(s, o, is_open ? "System.View" : "System.Read");
}

const struct value *session_effective_role(struct object *o, struct service *service,
					   struct arena *a)
{
	const struct session *s = service_acting(service);
	int32_t roles[32] = { ROLE_ADMIN };
	unsigned n = 1;

	if (s == NULL) {
		return NULL;
	}
	if (!session_may_all(s)) {
		struct principal who = session_principal(s);
		n = authorization_roles(s->manager->authorization, &who, o, roles,
					ARRAY_LEN(roles));
	}
	struct value *list = value_new_array(a, T_int);
	for (unsigned i = 0; i < n; i++) {
		value_push_num(a, list, roles[i]);
	}
	return list;
}

/* ---- logging in ---- */

static void login_free(struct login *l)
{
	if (l->password != NULL) {
		explicit_bzero(l->password, strlen(l->password));
	}
	free(l->password);
	free(l->user);
	free(l->peer);
	free(l);
}

static void login_refuse(void (*done)(void *arg, struct session *s, const struct error *e),
			 void *arg, const char *why)
{
	struct error e;

	error_set(&e, ERROR_PERMISSION, "Cannot complete login%s", why);
	done(arg, NULL, &e);
}

static const char wrong[] = " due to an incorrect user name or password.";
static const char too_many[] = ": too many failures from this address, try again in a minute.";

static void logins_release(struct session_manager *m);

static void login_checked(void *arg, bool ok)
{
	struct login *l = arg;
	struct session_manager *m = l->manager;
	struct session *s = NULL;
	struct error e = { 0 };

	if (m == NULL) {
		login_free(l); /* answered by session_manager_free() */
		return;
	}
	login_guard_leave(m->guard, l->user, l->peer, ok);
	if (!ok) {
		log_limited_warn("wrong user name or password for \"%.128s\" from %s", l->user,
				 l->peer);
		session_tell(m, SESSION_BAD_LOGIN, l->user, l->peer, NULL);
		error_set(&e, ERROR_PERMISSION, "Cannot complete login%s", wrong);
	} else {
		s = session_begin(m, l->user, l->peer, &e);
	}
	list_remove(&l->link);
	l->done(l->arg, s, s == NULL ? &e : NULL);
	login_free(l);
	logins_release(m);
}

/* Lets those go, or refuses them, that had to wait for the end of others. */
static void logins_release(struct session_manager *m)
{
	bool is_done = m->is_releasing; /* the loop below has called this */

	while (!is_done) {
		m->is_releasing = is_done = true;
		list_each (struct login, l, &m->held, link) {
			/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): who was refused left the
			 * list. */
			enum login_verdict verdict = login_guard_enter(m->guard, l->user, l->peer);
			if (verdict == LOGIN_WAIT) {
				continue;
			}
			list_remove(&l->link);
			m->n_held--;
			if (verdict == LOGIN_GO) {
				list_push_back(&m->logins, &l->link);
				user_verify(m->users, service_loop(m->service), l->user,
					    l->password, login_checked, l);
			} else {
				login_refuse(l->done, l->arg, too_many);
				login_free(l);
			}
			is_done = false; /* the list may be another now */
			break;
		}
		m->is_releasing = false;
	}
}

void session_login(struct session_manager *m, const char *user, const char *password,
		   const char *peer,
		   void (*done)(void *arg, struct session *s, const struct error *e), void *arg)
{
	if (strlen(user) > USER_NAME_MAX) { /* nobody's, and nothing to keep in events */
		login_refuse(done, arg, wrong);
		return;
	}
	enum login_verdict verdict = login_guard_enter(m->guard, user, peer);
	if (verdict == LOGIN_REFUSED || (verdict == LOGIN_WAIT && m->n_held >= LOGINS_HELD_MAX)) {
		login_refuse(done, arg, too_many);
		return;
	}
	struct login *l = mem_zalloc(sizeof(*l));
	l->manager = m;
	l->user = mem_strdup(user);
	l->peer = mem_strdup(peer);
	l->done = done;
	l->arg = arg;
	if (verdict == LOGIN_WAIT) {
		l->password = mem_strdup(password);
		list_push_back(&m->held, &l->link);
		m->n_held++;
		return;
	}
	list_push_back(&m->logins, &l->link);
	user_verify(m->users, service_loop(m->service), user, password, login_checked, l);
}

/* ---- the manager ---- */

static void objects_add(struct session_manager *m, const struct session_config *config)
{
	struct inventory *inv = service_inventory(m->service);
	struct arena *a = arena_new(0);
	struct value *locales = value_new_array(a, T_string);

	value_push_str(a, locales, "en");
	m->object = inventory_add(inv, T_SessionManager, config->id, session_class(), m);
	inventory_set_str(m->object, P_SessionManager_defaultLocale, "en");
	inventory_set_str(m->object, P_SessionManager_message, "");
	inventory_set(m->object, P_SessionManager_messageLocaleList, locales);
	inventory_set(m->object, P_SessionManager_supportedLocaleList, locales);
	m->directory = inventory_add(inv, T_UserDirectory, config->directory_id, NULL, m);
	inventory_set(m->directory, P_UserDirectory_domainList, value_new_array(a, T_string));
	arena_free(a);
}

struct session_manager *session_manager_new(struct service *s, const struct session_config *config)
{
	struct authorization_config authorization = {
		.id = config->authorization_id,
		.path = config->permissions_path,
		.admin = config->admin == NULL ? "root" : config->admin,
		.users = config->users,
	};
	struct error e = { 0 };
	struct authorization *a = authorization_new(s, &authorization, &e);

	if (a == NULL) {
		log_error("%s", e.msg);
		return NULL;
	}
	struct session_manager *m = mem_zalloc(sizeof(*m));
	m->service = s;
	m->users = config->users;
	m->authorization = a;
	m->idle_limit_us =
		(config->idle_limit_ms == 0 ? IDLE_LIMIT_MS : config->idle_limit_ms) * 1000;
	list_init(&m->sessions);
	list_init(&m->logins);
	list_init(&m->held);
	m->guard = login_guard_new(service_clock(s));
	objects_add(m, config);
	m->system = session_make(m, "", "local");
	m->system->is_system = true;
	session_handle(m);
	ticket_handle(m);
	directory_handle(m);
	m->sweep = timer_new(service_loop(s), service_clock(s), session_sweep, m);
	timer_start(m->sweep, SWEEP_MS, SWEEP_MS);
	service_set_sessions(s, m);
	return m;
}

/* Answers those that wait for their password check, which comes back later. */
static void logins_cancel(struct session_manager *m)
{
	struct error e;
	struct list_node *n;

	error_set(&e, ERROR_CANCELED, "the server is stopping");
	while ((n = list_pop_front(&m->logins)) != NULL) {
		struct login *l = CONTAINER_OF(n, struct login, link);
		l->manager = NULL;
		l->done(l->arg, NULL, &e);
	}
	while ((n = list_pop_front(&m->held)) != NULL) {
		struct login *l = CONTAINER_OF(n, struct login, link);
		l->done(l->arg, NULL, &e);
		login_free(l);
	}
}

void session_manager_free(struct session_manager *m)
{
	if (m == NULL) {
		return;
	}
	logins_cancel(m);
	for (struct list_node *n; (n = list_pop_front(&m->sessions)) != NULL;) {
		session_logout(CONTAINER_OF(n, struct session, link));
	}
	session_end_items(m->system);
	service_set_sessions(m->service, NULL);
	session_dispose(m->system);
	timer_free(m->sweep);
	login_guard_free(m->guard);
	tickets_free(m);
	inventory_remove(m->object);
	inventory_remove(m->directory);
	authorization_free(m->authorization);
	map_free(&m->by_key);
	map_free(&m->by_id);
	free(m);
}
