/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the event manager share; everyone else includes event.h. */
#ifndef VIM_EVENT_RECORD_H
#define VIM_EVENT_RECORD_H

#include "base/vec.h"
#include "vim/event.h"
#include "vim/history.h"

enum {
	EVENT_HISTORY_MAX = 10000,
	EVENT_QUERY_MAX = 1000,	  /* events that QueryEvents returns at most */
	EVENT_FILTER_TYPES = 1000 /* type names in a filter */
};

struct event_listener {
	void (*fn)(void *arg, const struct value *event);
	void *arg;
};

struct event_manager {
	struct service *service;
	struct inventory *inventory;
	struct object *object;
	struct history *history; /* of struct event_record */
	int32_t last_key;
	VEC(struct event_listener) listeners;
};

struct event_record {
	struct event_manager *manager;
	const struct value *event;   /* kept */
	const struct value *subject; /* kept reference to what it is about, or NULL */
	const struct value *above; /* kept reference to the subject's parent at the time, or NULL */
};

/* Takes over the counts of the three values. */
void event_record_add(struct event_manager *m, const struct value *event,
		      const struct value *subject, const struct value *above);
/* Reference to what an event says it is about, or NULL. Not counted. */
const struct value *event_subject(const struct value *event);

/* ---- filters (event_filter.c) ---- */

struct event_filter;

/* From an EventFilterSpec; NULL and the call is over when it asks for what there is not. */
struct event_filter *event_filter_new(struct call *c, struct event_manager *m,
				      const struct value *spec);
void event_filter_free(void *filter);
extern const struct history_ops event_history_ops;

#endif
