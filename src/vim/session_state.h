/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions from inside: for session.c, session_methods.c and ticket.c only. */
#ifndef VIM_SESSION_STATE_H
#define VIM_SESSION_STATE_H

#include "base/map.h"
#include "base/timer.h"
#include "base/uuid.h"
#include "vim/authorization.h"
#include "vim/login_guard.h"
#include "vim/session.h"

enum {
	SESSION_KEY_SIZE = 33, /* 128 bits in hex, and a NUL */
	SESSION_AGENT_MAX = 200
};

struct session {
	struct list_node link; /* in the manager's list, least recently used first */
	struct session_manager *manager;
	char key[SESSION_KEY_SIZE];
	char id[UUID_TEXT_SIZE];
	char *user, *locale, *peer, *user_agent;
	int64_t login_wall_us, active_wall_us;
	int64_t active_mono_us;
	uint64_t n_calls;
	uint64_t n_impersonations;
	unsigned n_busy;
	bool is_system;
	struct list items;
	struct session_rights *rights;
};

/* What authorization said at that generation. */
struct session_rights {
	uint64_t generation;
	bool is_admin;
};

struct session_manager {
	struct service *service;
	struct user_store *users;
	struct authorization *authorization;
	struct object *object;	  /* SessionManager */
	struct object *directory; /* UserDirectory */
	struct session *system;
	struct list sessions; /* least recently used first */
	unsigned n_sessions;
	struct map by_key, by_id;
	struct map tickets; /* ticket.c */
	struct list logins; /* waiting for their password check */
	struct list held;   /* not even begun, see login_guard.h */
	unsigned n_held;
	bool is_releasing;
	struct login_guard *guard;
	struct timer *sweep;
	int64_t idle_limit_us;
	void (*listener)(void *arg, const struct session_news *news);
	void *listener_arg;
};

/* A new session of that user; NULL with ERROR_LIMIT when all places are taken by busy ones. */
struct session *session_begin(struct session_manager *m, const char *user, const char *peer,
			      struct error *e);
/* Draft UserSession. */
struct value *session_value(struct arena *a, const struct session *s);

void session_handle(struct session_manager *m);	  /* session_methods.c */
void directory_handle(struct session_manager *m); /* directory.c */
const struct object_class *session_class(void);

/* ticket.c */
void ticket_handle(struct session_manager *m);
/* The session to clone, or NULL; the ticket is used up. */
const struct session *ticket_take_clone(struct session_manager *m, const char *text);
void tickets_sweep(struct session_manager *m);
void tickets_free(struct session_manager *m);

#endif
