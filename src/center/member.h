/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member: one host of the manager's, with its link and its mirror. For the layer of hosts;
 * everyone else includes hosts.h.
 *
 * States, as HostSystem.runtime.connectionState shows them:
 *
 *   DISCONNECTED --member_connect()--> LOST --link is up--> CONNECTED
 *   CONNECTED --link goes down--> LOST (tried again after 1, 2, 4 … 15 s)
 *   any --member_disconnect()--> DISCONNECTED
 *
 * 1. `link` and `mirror` live as long as the member; what was seen last stays shown in any state.
 * 2. is_wanted is what the database says: does the manager try to reach it?
 */
#pragma once

#include "base/list.h"
#include "base/timer.h"
#include "center/center.h"
#include "center/link.h"
#include "center/mirror.h"
#include "center/translate.h"
#include "vim/server.h"

enum member_state {
	MEMBER_DISCONNECTED,
	MEMBER_LOST, /* shown as notResponding */
	MEMBER_CONNECTED
};

struct member {
	struct list_node link_node; /* hosts.members */
	struct hosts *hosts;
	struct center *center;
	char id[CENTER_ID_MAX];
	char *address; /* NULL: within the process */
	char *user, *password, *thumbprint, *uuid;
	uint16_t port;
	enum member_state state;
	bool is_wanted;
	bool is_gone; /* being freed */
	int32_t last_event;
	struct link *link;
	struct mirror mirror;
	struct object *system;	  /* HostSystem; NULL before member_enter() */
	struct adding *adding;	  /* being added, member_add.c; NULL: not any more */
	struct http_route folder; /* of a host in this process: serves its files; or begin NULL */
	struct session *session;  /* of such a host's */
	struct timer *retry;
	unsigned n_tries;
	struct task *reconnect; /* a pending ReconnectHost_Task, or NULL */
	/* Where new objects go, see hosts_add_local(); NULL: where they usually do. */
	struct object *datastore_folder, *vm_folder, *vm_pool;
	struct node *node; /* of node_policy.c; NULL: not entered yet, or within the process */
	struct pairing *pairing; /* of pairing.c; NULL: neither a card nor a server with one */
};

struct hosts {
	struct center *center;
	struct translate_types *types;
	struct arena *scratch; /* for readers of computed properties that bring no arena */
	struct list members;
	struct map shared;	  /* what several hosts may have: key → struct mirrored */
	struct list expectations; /* struct expectation, forward_create.c */
	struct list addings;	  /* struct adding, member_add.c */
	struct map64 handed_on;	  /* of folder_proxy.c: request → route (owned) of a host here */
	struct object *files, *disks;		     /* FileManager, VirtualDiskManager */
	struct object *provisioning, *compatibility; /* checkers, of migration_call.c */
	uv_idle_t *wake;			     /* NULL: not there any more */
};

/* How a member reaches its host. */
struct member_address {
	const char *address;
	uint16_t port;
	const char *user, *password, *thumbprint;
};

/* Not in the list yet, without link. */
struct member *member_new(struct hosts *hs, const struct member_address *at);
/* Without effect on inventory or database. */
void member_free(struct member *m);

/* Makes a link to where the member is. */
bool member_make_link(struct member *m, struct error *e);
void member_make_local_link(struct member *m, const struct link_local_config *config);

/* Puts a member whose link is up into the inventory, with all it has, and into the database.
 * `place`: a host folder (it gets a compute resource of its own) or a cluster. */
bool member_enter(struct member *m, struct object *place, const char *name, struct error *e);
/* Takes it out of database and inventory, with its compute resource where that was its own, and
 * frees it. */
bool member_remove(struct member *m, struct error *e);

void member_connect(struct member *m);
void member_disconnect(struct member *m);
void member_set_state(struct member *m, enum member_state state);
void member_write(struct member *m); /* its row */

static inline struct object *member_system(const struct member *m)
{
	return m->system;
}
const char *member_name(const struct member *m);	  /* as shown, or the address */
struct member *member_of_host(const struct object *host); /* NULL: no HostSystem of ours */
struct member *member_by_id(struct hosts *hs, const char *id);

/* The loop turns once more before it sleeps, so that what changed is published. */
void hosts_wake(struct hosts *hs);

/* ---- other parts of the layer ---- */

bool member_load(struct hosts *hs, struct error *e);	 /* member_load.c */
void member_register(struct hosts *hs);			 /* member_methods.c */
void member_event(void *arg, const struct value *event); /* member_event.c */

/* Posts an event about the host, of a type that has no fields of its own. */
void member_post(struct member *m, uint16_t type, const char *user, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* The fault that says why a link failed. */
struct value *member_fault(struct arena *a, const char *host, const struct link_failure *why);

/* member_add.c: the link of a host that is being added came up, or did not. */
void adding_up(struct adding *x);
void adding_down(struct adding *x, const struct link_failure *why);
void adding_stop(struct hosts *hs);
