/* SPDX-License-Identifier: Apache-2.0 */
/* What migration.c and what it is made of share; everyone else includes migration.h. */
#pragma once

#include "base/list.h"
#include "base/uuid.h"
#include "center/migration.h"
#include "center/migration_link.h"

enum migration_phase {
	PHASE_WAITING, /* other migrations of one of the hosts have to end first */
	PHASE_CLAIMING,
	PHASE_ARRANGING,
	PHASE_PREPARING,
	PHASE_STARTING,
	PHASE_RUNNING,
	PHASE_ARRIVING,
	PHASE_FORGETTING
};

/* One of the two hosts. */
struct migration_side {
	struct migration *m;
	char host[CENTER_ID_MAX];
	char *remote; /* the VM over there; NULL: not known (yet) */
	bool is_target;
	bool is_gone;			 /* it has forgotten the migration */
	struct peer_request *request;	 /* or NULL */
	struct peer_request *cancelling; /* of the source: DELETE beside a GET; or NULL */
};

struct migration {
	struct list_node link; /* migrations.all */
	struct migrations *all;
	char id[UUID_TEXT_SIZE];
	char *vm;		    /* "vm-17" */
	char *uuid;		    /* its instance UUID; "": none */
	char *pool, *folder;	    /* ids; NULL: stay */
	char *user;		    /* who wants it */
	struct json_object *target; /* of the target's PUT; NULL after that */
	struct json_object *ticket; /* of the target for the source; NULL: none yet */
	bool is_relocation, is_hot;
	enum migration_phase phase;
	bool has_moved;			/* the outcome, of FORGETTING */
	bool is_started;		/* the source has said so */
	bool is_cancelled;		/* somebody wants that */
	bool asks_target;		/* the source does not answer now */
	bool is_over;			/* to be freed */
	unsigned n_quick;		/* questions since the last tick */
	uint64_t version;		/* of the source's account, seen last */
	int64_t heard_us;		/* when it was */
	int64_t downtime_us;		/* as the source said; -1: it has not */
	struct task *task;		/* NULL: nobody waits */
	struct migration_side sides[2]; /* source, target */
};

/* A VM of a host that comes or goes by a migration. */
struct migration_trace {
	char host[CENTER_ID_MAX];
	char *remote;  /* NULL: none */
	uint16_t type; /* of the event that says so */
};

struct migrations {
	struct center *c;
	struct list all;
	struct timer *tick;
	struct metric *n_moved, *n_stayed, *n_cancelled;
	struct migration_trace traces[256]; /* the newest */
	unsigned n_traces;
	bool is_stopping;
};

enum {
	SOURCE,
	TARGET
};

enum {
	MIGRATION_TICK_MS = 500,
	MIGRATIONS_OF_HOST_MAX = 4 /* at a time; each keeps a connection to it busy */
};

static inline struct object *migration_vm(const struct migration *m)
{
	return inventory_find(m->all->c->inventory, m->vm);
}
/* Of those that are not over yet; NULL: none. */
struct migration *migration_of_vm(struct center *c, const char *vm);
/* The VM as that host has it; NULL: not known there. */
struct mirror_source *migration_source_at(const struct migration_side *s);
/* That the side's host says this of the VM (T_VmRegisteredEvent, T_VmRemovedEvent) is no news:
 * migration_explains(). */
void migration_note(const struct migration_side *s, uint16_t type);
/* Has each of its hosts room for one more? */
bool migration_has_room(const struct migration *m);
/* The member, or NULL: it is not a host of ours any more. */
struct member *migration_member(const struct migration_side *s);

/* ---- migration.c ---- */

/* Does what is due; it may be over afterwards, and is freed with the next tick. */
void migration_step(struct migration *m);
void migration_requests_end(struct migration *m);
/* Its network cards are known at that host, too; NULL: no more. */
void migration_set_moving(const struct migration *m, struct member *to);
/* A host has said something. */
void migration_heard(struct migration *m);
/* "": it has none. */
const char *migration_instance_uuid(struct object *vm, struct arena *a);

/* ---- migration_event.c ---- */

void migration_post_begin(const struct migration *m);
void migration_post_end(const struct migration *m);
void migration_post_failure(const struct migration *m, const struct value *fault, const char *text);

/* ---- migration_row.c ---- */

/* Within the transaction that is open. */
void migration_write(const struct migration *m);
/* From a row; NULL: it cannot be read. */
struct migration *migration_read(struct migrations *all, const char *id, const char *data);
struct migration *migration_new(struct migrations *all);
void migration_free(struct migration *m); /* without requests and task */
