/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Update sets (vSphere API UpdateSet, PropertyFilterUpdate, ObjectUpdate): what the filters of a
 * collector have to tell a client that knows a certain version.
 *
 * Nothing is remembered of what was sent: an update set is worked out from the version that the
 * client names, so a client that lost an answer asks again with its old version and misses nothing.
 *
 * A bookmark is what the version text says. A plain one: everything up to `version` is known. One
 * of a truncated set: the client knows `version`, and since `start` has been told, in order of
 * filter and object index, everything before (filter, index). The pages of a truncated set tell who
 * came and went up to `start` and no later, so that when all is told, what the client knows is the
 * plain bookmark `start`. Something may be told twice, nothing is left out.
 *
 * Event-loop thread only.
 */
#ifndef VIM_UPDATE_H
#define VIM_UPDATE_H

#include "base/vec.h"
#include "vim/filter.h"
#include "vim/service.h"

struct bookmark {
	uint64_t version; /* 0: knows nothing */
	uint64_t start;	  /* 0: plain */
	uint64_t filter;  /* id */
	uint32_t index;
};

enum {
	BOOKMARK_SIZE = 96
};

/* "" is {0}. False when the text is none of ours. */
bool bookmark_parse(const char *text, struct bookmark *b);
void bookmark_format(const struct bookmark *b, char out[BOOKMARK_SIZE]);

enum update_kind {
	UPDATE_ENTER,
	UPDATE_MODIFY,
	UPDATE_LEAVE,
	UPDATE_MISSING /* a root that does not exist */
};

struct update {
	struct spec *spec;	    /* counted, as are the references */
	const struct value *filter; /* reference */
	const struct value *ref;
	uint64_t since; /* modify: what the client knows */
	uint8_t kind;	/* enum update_kind */
	bool is_partial;
};

struct update_set {
	VEC(struct update) items; /* by filter */
	struct bookmark next;
	bool is_truncated;
};

/* Works out what the filters (a list of struct filter, all synced) have for a client at `from`.
 * `max`: objects at most, SIZE_MAX for no limit. Fills an empty set ({0}). */
void update_collect(struct update_set *set, struct list *filters, struct inventory *inv,
		    struct session *session, const struct bookmark *from, size_t max);
void update_free(struct update_set *set);

/* Ends the call with the set, which it takes over. */
void update_answer(struct call *c, struct update_set *set);

#endif
