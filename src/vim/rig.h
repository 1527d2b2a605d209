/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Test rig: a service with sessions and two users, root (password "secret") and guest ("guest"),
 * calls that wait for their answer, and a client on XML. The whole rig has a collector, views, a
 * search index and a small hand-made inventory besides.
 */
#ifndef VIM_RIG_H
#define VIM_RIG_H

#include "base/buf.h"
#include "vim/collector.h"
#include "vim/search.h"
#include "vim/service.h"
#include "vim/session.h"
#include "vim/view.h"

struct rig {
	uv_loop_t loop;
	struct clock *clock;
	struct inventory *inventory;
	struct service *service;
	struct user_store *users;
	struct session_manager *sessions;
	struct session *session; /* that calls are made for; at first the system's */
	struct arena *arena;	 /* for arguments */
	struct object *root;	 /* group-d1 "Datacenters" */
	/* Of the whole rig only. */
	struct collector_manager *collectors;
	struct view_manager *views;
	struct search_index *search;
	struct object *collector, *vm_folder, *host, *pool;
	unsigned n_vms;
	/* last answer on XML */
	struct service_reply reply;
	int status; /* 0: not yet */
	char *body;
	char cookie[64];
};

/* How a call was answered. Values are kept; reset by answer_clear(). */
struct answer {
	const struct value *result, *fault;
	char text[200];
	bool is_done;
};

struct rig_options {
	const char *users_path; /* NULL: in memory; with a path nobody is added */
	const char *permissions_path;
	bool real_clock;
};

struct rig *rig_new(void);
/* Service, sessions and the root folder only. NULL: no options. */
struct rig *rig_new_bare(const struct rig_options *options);
void rig_free(struct rig *r);

/* A VM below the folder, on the host, in the pool; powered off. */
struct object *rig_add_vm(struct rig *r, const char *id, const char *name);
void rig_set_power(struct rig *r, struct object *vm, int state);
void rig_remove_vm(struct rig *r, struct object *vm);

/* Calls a method; the answer may come later. */
void rig_start(struct rig *r, struct answer *a, struct object *self, uint16_t method,
	       const struct value *args);
/* Calls a method that answers at once without a fault (asserted). Caller drops the result. */
const struct value *rig_call(struct rig *r, struct object *self, uint16_t method,
			     const struct value *args);
/* The type of the fault that the method answers at once with; T_none: none. */
uint16_t rig_fault(struct rig *r, struct object *self, uint16_t method, const struct value *args);
void answer_clear(struct answer *a);

/* Posts the content of a SOAP body; r->status and r->body are the answer. */
struct call *rig_post(struct rig *r, const char *key, const char *content);
/* Runs the loop until there is one. */
void rig_wait(struct rig *r);
/* Whether the last answer has this status and this part; says what it is where not. */
bool rig_answered(const struct rig *r, int status, const char *part);

/* Logs in; the session ends with the rig. */
struct session *rig_login(struct rig *r, const char *user, const char *password);

/* Pieces of specifications, all in r->arena. */
struct value *rig_args(struct rig *r, uint16_t method);
struct value *rig_properties(struct rig *r, uint16_t type, const char *paths); /* by blanks */
struct value *rig_traversal(struct rig *r, const char *name, uint16_t type, const char *path,
			    bool skip, struct value *select);
struct value *rig_named(struct rig *r, const char *name);
struct value *rig_list(struct rig *r, uint16_t type, struct value *one, struct value *two);
/* PropertyFilterSpec of one object and up to two property sets. */
struct value *rig_spec(struct rig *r, const struct value *obj, bool skip, struct value *select,
		       struct value *one, struct value *two);

#endif
