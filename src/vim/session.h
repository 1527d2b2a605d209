/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions and who may do what: SessionManager, password check, AuthorizationManager,
 * UserDirectory.
 *
 * Users come from a file (users.json in the node's state: name, Argon2id hash, groups) kept by
 * user.h. A password that was just verified is remembered for a short while as a keyed BLAKE2b tag
 * (key made at start, never stored), so that scripts which log in a hundred times a second do not
 * pay Argon2id each time; wrong passwords always pay, on a worker thread, and are rate-limited per
 * user and address.
 *
 * Sessions: random 128-bit keys; idle expiry (30 min default, none while a call waits); at most
 * 2,000, of one user 1,000 (the oldest idle one goes first; else the login is refused). Things that
 * live as long as a session (collectors, views, history collectors) register with session_own().
 */
#ifndef VIM_SESSION_H
#define VIM_SESSION_H

#include "base/list.h"
#include "vim/service.h"
#include "vim/user.h"

struct session_manager;

struct session_config {
	const char *id;		      /* "ha-sessionmgr" / "SessionManager" */
	const char *authorization_id; /* "ha-authmgr" / "AuthorizationManager" */
	const char *directory_id;     /* "ha-user-directory" / "UserDirectory" */
	struct user_store *users;
	const char
		*admin; /* has role Admin on the root while no permission is stored; NULL: root */
	int64_t idle_limit_ms; /* 0: 30 minutes */
	/* Where roles and permissions are stored for good, or NULL: only in memory. */
	const char *permissions_path;
};

/* NULL when the stored permissions cannot be read; the log says why. */
struct session_manager *session_manager_new(struct service *s, const struct session_config *config);
void session_manager_free(struct session_manager *m);

/* By cookie value; NULL when unknown or expired. Touches the idle clock. */
struct session *session_find(struct session_manager *m, const char *key);
struct session *
session_system(struct session_manager *m); /* the program itself: may do everything */
/* Logs in without SOAP (REST, in-process): NULL with ERROR_PERMISSION. */
void session_login(struct session_manager *m, const char *user, const char *password,
		   const char *peer,
		   void (*done)(void *arg, struct session *s, const struct error *e), void *arg);
void session_logout(struct session *s);
/* Ends all sessions of a user but `except` (NULL: none is spared). */
void session_end_user(struct session_manager *m, const char *user, const struct session *except);

const char *session_user(const struct session *s);
/* The cookie's value, secret; and the id that the API shows (UserSession.key), which opens nothing.
 */
const char *session_key(const struct session *s);
const char *session_id(const struct session *s);
struct session *session_find_id(struct session_manager *m, const char *id); /* touches nothing */
struct authorization;
struct authorization *session_authorization(struct session_manager *m);
struct service *session_service(const struct session *s);

size_t session_count(const struct session_manager *m);

/* Logins, failed logins and ends of sessions, for events. `session` is NULL for failed ones and
 * valid only during the call. One listener. */
enum session_event {
	SESSION_LOGIN,
	SESSION_BAD_LOGIN,
	SESSION_LOGOUT
};
struct session_news {
	enum session_event event;
	const char *user, *peer;
	struct session *session;
};
void session_listen(struct session_manager *m,
		    void (*fn)(void *arg, const struct session_news *news), void *arg);

/* Something that ends with the session: `end` is called once, from session end or never if
 * session_disown()ed before. Embed it. */
struct session_item {
	struct list_node link;
	void (*end)(struct session_item *item);
};
void session_own(struct session *s, struct session_item *item);
void session_disown(struct session_item *item);

/* A session does not expire while it is busy (a waiting WaitForUpdatesEx). */
void session_busy(struct session *s);
void session_idle(struct session *s);

/* Does the session's user hold the privilege on the object (own or inherited permission)? */
bool session_may(const struct session *s, struct object *o, const char *privilege);

/* Counts up when what the session may do can have changed; the inventory has a new version then. */
uint64_t session_rights_version(const struct session *s);

/* True when the session may do everything everywhere. */
bool session_may_all(const struct session *s);

/* May the session's user read property `prop` of the object? System.Read; name and parent of
 * entities and what is outside the entity tree need System.View only. */
bool session_may_read(const struct session *s, struct object *o, unsigned prop);

/* Counts a request of the session; NULL is nobody's. For the service. */
void session_called(struct session *s, const char *user_agent);

/* int[] for ManagedEntity.effectiveRole: roles that the acting session's user (service_acting())
 * has on the entity; for the compute() of entity classes. NULL without a session. */
const struct value *session_effective_role(struct object *o, struct service *s, struct arena *a);

/* One-time ticket for an HTTP request (AcquireGenericServiceTicket): cookie vmware_cgi_ticket.
 * Checks method and URL; NULL when invalid. */
struct session *session_from_ticket(struct session_manager *m, const char *text, const char *method,
				    const char *url);

#endif
