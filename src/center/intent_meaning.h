/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the body of an object means, with references to other objects found. The body's shape has
 * been checked (policy_schema.h); here is what a schema cannot say. A meaning borrows texts from
 * its body, which must live as long. Event-loop thread only.
 */
#pragma once

#include "base/buf.h"
#include "center/intent.h"

enum {
	INTENT_PREFIXES_MAX = 100000, /* of a group */
	INTENT_ENTRIES_MAX = 128,     /* of a rule's services together */
	INTENT_SEGMENTS_MAX = 1024,
	INTENT_ROUTERS_MAX = 64,
	INTENT_GROUPS_MAX = 10000,
	INTENT_SERVICES_MAX = 10000,
	INTENT_POLICIES_MAX = 10000,
	INTENT_RULES_MAX = 100000,
	INTENT_PORTS_MAX = 100000,
	INTENT_TAGGED_MAX = 100000
};

enum intent_match {
	MATCH_EQUALS,
	MATCH_NOTEQUALS,
	MATCH_CONTAINS,
	MATCH_STARTSWITH,
	MATCH_ENDSWITH
};

enum intent_term_kind {
	TERM_NAME,
	TERM_TAG,
	TERM_VM,
	TERM_OBJECT /* segment, port of one, group */
};

struct intent_term {
	enum intent_term_kind kind;
	enum intent_match match;
	const char *scope; /* of a tag, scope_len bytes; NULL: any */
	size_t scope_len;
	const char *value; /* name, tag, instance UUID */
	struct intent_object *object;
};

/* True where any term is; clauses with is_joined must be true together with the one before. */
struct intent_clause {
	VEC(struct intent_term) terms;
	bool is_joined;
};

struct intent_binding {
	char address[46];
	const char *mac; /* NULL: whatever the card has */
};

/* Sources or destinations of a rule; nothing in either: any. */
struct intent_side {
	VEC(struct intent_object *) groups;
	VEC(char *) prefixes; /* owned */
};

struct intent_meaning {
	VEC(struct intent_object *) refs;
	/* segment */
	uint32_t vni;
	bool is_vxlan;
	struct intent_object *router;
	VEC(char *) gateways; /* owned */
	struct buf dhcp;      /* as in plane-switch.json; empty: none */
	/* port of a segment */
	const char *attachment;
	VEC(struct intent_binding) bindings;
	/* group */
	VEC(struct intent_clause) clauses;
	VEC(char *) prefixes; /* owned */
	/* service: entries as in plane-switch.json, with commas between */
	struct buf entries;
	size_t n_entries;
	/* policy */
	int category;
	/* policy, rule */
	int64_t sequence;
	VEC(struct intent_object *) scope; /* none: everywhere */
	/* rule */
	uint64_t number;
	struct intent_side sources, destinations;
	VEC(struct intent_object *) services; /* none: any */
	/* tags of a VM, borrowed: scope and tag in turn */
	VEC(const char *) tags;
};

/* NULL with `e`: ERROR_INVALID, ERROR_NOT_FOUND, ERROR_LIMIT. `self`: what has this body already,
 * or NULL; a group may not contain it. */
struct intent_meaning *intent_meaning_new(struct intent *in, enum intent_kind kind,
					  struct json_object *body,
					  const struct intent_object *self, struct error *e);
void intent_meaning_free(struct intent_meaning *m);

/* Would the rules that use the service still have room for so many entries? */
bool intent_service_fits(const struct intent *in, const struct intent_object *service,
			 size_t n_entries, struct error *e);
