/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients of the policy interface want of networks: segments and their ports, distributed
 * routers, groups, services, firewall policies with their rules, tags of VMs. Objects are known by
 * path ("/infra/segments/web") and kept as JSON, as clients see them.
 *
 * Order of any change: what it means is worked out first (intent_meaning.c; refused here), then it
 * is written to the database, then it is made, then the client is answered, then nodes hear of it
 * (node_policy.h). One change may concern several objects: all or none.
 *
 * The intent owns its objects; they go with intent_free(). Event-loop thread only.
 */
#pragma once

#include "base/arena.h"
#include "base/json.h"
#include "base/list.h"
#include "base/map.h"
#include "base/vec.h"
#include "center/center.h"

enum intent_kind {
	INTENT_TIER1,
	INTENT_SEGMENT,
	INTENT_SEGMENT_PORT,
	INTENT_GROUP,
	INTENT_SERVICE,
	INTENT_SECURITY_POLICY,
	INTENT_RULE,
	INTENT_VM_TAGS, /* not shown as an object; "/fabric/virtual-machines/UUID" */
	INTENT_N_KINDS
};

struct intent_group;
struct intent_meaning;
struct intent_text;

struct intent_object {
	struct list_node link;	  /* intent.kinds[kind], in order of their making */
	struct list_node sibling; /* parent->children */
	enum intent_kind kind;
	uint64_t serial; /* of it alone, as long as this process runs */
	uint64_t change; /* intent.change when it changed last */
	char *path;
	const char *id;		      /* the end of path */
	struct intent_object *parent; /* of a port the segment, of a rule the policy; else NULL */
	struct list children;
	struct json_object *body; /* with _revision and so on; a policy's has no rules */
	struct intent_meaning *meaning;
	struct intent_group *group; /* who is in it, of intent_group.c; NULL: no group */
	struct intent_text *text;   /* as nodes are told it, of intent_write.c, or NULL */
	uint64_t mark;		    /* for walks: visited where it is intent.mark */
	size_t n_referents;	    /* objects whose meaning refers to it */
};

struct intent_cards;
struct intent_groups;

struct intent {
	struct center *c;
	struct map objects; /* path → object */
	struct list kinds[INTENT_N_KINDS];
	uint64_t next_serial;
	uint64_t change; /* counts changes of objects */
	uint64_t mark;
	int64_t next_rule; /* number of the next new rule */
	struct map64 vnis; /* identifier → segment that has it */
	struct intent_cards *cards;
	struct intent_groups *groups;
	/* Policies in the order that they are asked, each with its rules; NULL: to be sorted. */
	struct intent_order *order;
};

/* From the database. NULL with `e`. The VMs must be in the inventory. */
struct intent *intent_new(struct center *c, struct error *e);
void intent_free(struct intent *in);

/* Kinds as clients name them: resource_type. */
const char *intent_kind_name(enum intent_kind kind);

struct intent_object *intent_find(const struct intent *in, const char *path);
/* The same, of that kind; an error that names the path otherwise. */
struct intent_object *intent_find_kind(const struct intent *in, enum intent_kind kind,
				       const char *path, struct error *e);
size_t intent_count(const struct intent *in, enum intent_kind kind);

/* One object of a change. */
struct intent_edit {
	enum intent_kind kind;
	const char *path;
	struct json_object *body; /* whole, taken over; NULL: the object goes */
};

/* Makes a change; children go with their parents and need no edits of their own. `user` is noted
 * in what changes. ERROR_INVALID, ERROR_NOT_FOUND (a reference), ERROR_BUSY (is referred to),
 * ERROR_LIMIT, ERROR_IO, …: nothing has changed. The bodies are gone in any case. */
bool intent_apply(struct intent *in, struct intent_edit *edits, size_t n, const char *user,
		  struct error *e);

/* First few bytes of a rule's or policy's text are not enough to say where it stands: by category,
 * sequence number, id. */
struct intent_section {
	struct intent_object *policy;
	struct intent_object **rules;
	size_t n_rules;
};
struct intent_order {
	struct arena *a;
	struct intent_section *sections;
	size_t n;
};
const struct intent_order *intent_ordered(struct intent *in);
