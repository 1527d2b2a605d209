/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A history: the newest items of one sort (events, tasks), and the history collectors through which
 * clients read it (vSphere API HistoryCollector, EventHistoryCollector, TaskHistoryCollector).
 *
 * A history is a ring; beyond its limit the oldest item is dropped. Items are numbered in order of
 * their arrival. A collector shows the items that its filter takes and that its session may read:
 *  - as `latestPage`, the newest of them, newest first, live (a change is told to the inventory);
 *  - through a position between two items, from which ReadNext… reads towards the newer and
 *    ReadPrevious… towards the older. A new collector stands before the oldest; RewindCollector
 *    puts it back there, ResetCollector just before the items of latestPage.
 * Collectors belong to their session and end with it.
 *
 * The history owns its collectors and their filters; items belong to the implementer (ops->drop).
 * Event-loop thread only.
 */
#ifndef VIM_HISTORY_H
#define VIM_HISTORY_H

#include "vim/service.h"
#include "vim/session.h"

struct history;

enum {
	HISTORY_PAGE = 10,	     /* default size of latestPage */
	HISTORY_PAGE_MAX = 1000,     /* the most that is read at once */
	HISTORY_COLLECTORS_MAX = 32, /* of a session */
};

struct history_ops {
	uint16_t collector; /* managed type of the collectors, e.g. T_TaskHistoryCollector */
	uint16_t item;	    /* structure type of what they read, e.g. T_TaskInfo */
	uint16_t read_next; /* methods */
	uint16_t read_previous;
	/* What a collector with this filter shows of the item: a kept value or a draft in `a`. */
	const struct value *(*show)(const void *item, const void *filter, struct arena *a);
	bool (*match)(const void *item, const void *filter, struct arena *a);
	/* Could the filter take the item at another time of its life? Needed for history_changed().
	 */
	bool (*concerns)(const void *item, const void *filter, struct arena *a);
	bool (*may_read)(const void *item, const struct session *s, struct arena *a);
	void (*drop)(void *item); /* it left the history */
	void (*filter_free)(void *filter);
};

/* Registers the collectors' methods. `ops` must live as long as the history. */
struct history *history_new(struct service *s, const struct history_ops *ops, size_t limit);
/* Ends the collectors and drops the items. */
void history_free(struct history *h);

/* Adds the newest item; returns its number. */
uint64_t history_add(struct history *h, void *item);
/* The item of that number looks different now. */
void history_changed(struct history *h, uint64_t number);

/* Items by number: [history_first(), history_end()). */
uint64_t history_first(const struct history *h);
uint64_t history_end(const struct history *h);
void *history_item(const struct history *h, uint64_t number);

/* Makes a collector for the calling session and answers the call with its reference; InvalidState
 * when the session has too many. Takes over `filter`; `spec` is what the `filter` property shows;
 * `page_size`, at most HISTORY_PAGE_MAX, is the size of latestPage until the client sets another.
 */
void history_collect(struct history *h, struct call *c, const struct value *spec, void *filter,
		     size_t page_size);

#endif
