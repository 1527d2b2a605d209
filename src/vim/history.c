/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/history.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/uuid.h"
#include "vim/fault.h"

/* Both kinds of collector have it in the same place. */
enum {
	P_LATEST_PAGE = P_TaskHistoryCollector_latestPage
};
_Static_assert((int)P_TaskHistoryCollector_latestPage == (int)P_EventHistoryCollector_latestPage,
	       "latestPage is the first own property of every history collector");

struct history {
	struct service *service;
	const struct history_ops *ops;
	void **ring; /* item i at i % cap */
	size_t cap, limit;
	uint64_t first, end;
	struct list collectors;
	struct arena *scratch;
};

struct history_collector {
	struct session_item item;
	struct list_node link;
	struct history *history;
	struct session *session;
	struct object *object;
	void *filter;
	size_t page_size;
	uint64_t position;   /* between items: number of the next newer one */
	uint64_t page_first; /* no item of latestPage, as last read, is older */
};

uint64_t history_first(const struct history *h)
{
	return h->first;
}

uint64_t history_end(const struct history *h)
{
	return h->end;
}

void *history_item(const struct history *h, uint64_t number)
{
	return number >= h->first && number < h->end ? h->ring[number % h->cap] : NULL;
}

/* ---- a collector's view ---- */

static bool takes(const struct history_collector *hc, uint64_t number, struct arena *a)
{
	const struct history_ops *ops = hc->history->ops;
	const void *item = history_item(hc->history, number);

	return ops->match(item, hc->filter, a) && ops->may_read(item, hc->session, a);
}

/* Up to `max` items from *position on, towards the newer; moves it behind them. */
static void read_newer(const struct history_collector *hc, uint64_t *position, size_t max,
		       struct value *out, struct arena *a)
{
	const struct history *h = hc->history;
	uint64_t at = MAX(*position, h->first);

	for (; at < h->end && value_count(out) < max; at++) {
		if (takes(hc, at, a)) {
			value_push(a, out, h->ops->show(history_item(h, at), hc->filter, a));
		}
	}
	*position = at;
}

/* The same towards the older. */
static void read_older(const struct history_collector *hc, uint64_t *position, size_t max,
		       struct value *out, struct arena *a)
{
	const struct history *h = hc->history;
	uint64_t at = MAX(MIN(*position, h->end), h->first);

	while (at > h->first && value_count(out) < max) {
		at--;
		if (takes(hc, at, a)) {
			value_push(a, out, h->ops->show(history_item(h, at), hc->filter, a));
		}
	}
	*position = at;
}

static const struct value *latest_page(struct object *o, unsigned prop, struct arena *a)
{
	struct history_collector *hc = o->owner;
	const struct session *reader = service_acting(hc->history->service);

	(void)prop;
	if (reader != NULL && reader != hc->session) {
		return NULL; /* it shows what its owner may read */
	}
	struct value *page = value_new_array(a, hc->history->ops->item);
	hc->page_first = hc->history->end;
	read_older(hc, &hc->page_first, hc->page_size, page, a);
	return page;
}

static const struct object_class collector_class = {
	.computed = UINT64_C(1) << P_LATEST_PAGE,
	.compute = latest_page,
};

static void page_changed(struct history_collector *hc)
{
	inventory_touch(hc->object, P_LATEST_PAGE, "latestPage");
}

/* ---- items ---- */

/* Tells the collectors in whose page the item is or might be. */
static void item_changed(struct history *h, uint64_t number)
{
	list_each (struct history_collector, hc, &h->collectors, link) {
		arena_reset(h->scratch);
		if (number >= hc->page_first && takes(hc, number, h->scratch)) {
			page_changed(hc);
		}
	}
}

static void oldest_drop(struct history *h)
{
	item_changed(h, h->first);
	h->ops->drop(history_item(h, h->first));
	h->first++;
}

static void ring_grow(struct history *h)
{
	size_t cap = h->cap == 0 ? 16 : MIN(h->cap * 2, h->limit);
	void **ring = mem_calloc(cap, sizeof(*ring));

	for (uint64_t i = h->first; h->cap > 0 && i < h->end; i++) {
		ring[i % cap] = h->ring[i % h->cap];
	}
	free(h->ring);
	h->ring = ring;
	h->cap = cap;
}

uint64_t history_add(struct history *h, void *item)
{
	if (h->end - h->first == h->limit) {
		oldest_drop(h);
	} else if (h->end - h->first == h->cap) {
		ring_grow(h);
	}
	uint64_t number = h->end++;
	h->ring[number % h->cap] = item;
	item_changed(h, number);
	return number;
}

void history_changed(struct history *h, uint64_t number)
{
	if (number < h->first || number >= h->end) {
		return;
	}
	/* A filter may have taken what it does not take now. */
	list_each (struct history_collector, hc, &h->collectors, link) {
		arena_reset(h->scratch);
		if (number >= hc->page_first &&
		    h->ops->concerns(history_item(h, number), hc->filter, h->scratch)) {
			page_changed(hc);
		}
	}
}

/* ---- collectors come and go ---- */

static void collector_free(struct history_collector *hc)
{
	list_remove(&hc->link);
	inventory_remove(hc->object);
	hc->history->ops->filter_free(hc->filter);
	free(hc);
}

static void session_ended(struct session_item *item)
{
	collector_free(CONTAINER_OF(item, struct history_collector, item));
}

static size_t collectors_of(const struct history *h, const struct session *s)
{
	size_t n = 0;

	list_each (struct history_collector, hc, &h->collectors, link) {
		n += hc->session == s;
	}
	return n;
}

/* An id nobody can guess, of the form that clients know from collectors elsewhere. */
static void collector_id(const struct session *s, char *out, size_t size)
{
	char unique[UUID_TEXT_SIZE];

	uuid_random_text(unique);
	snprintf(out, size, "session[%s]%s", session_id(s), unique);
}

void history_collect(struct history *h, struct call *c, const struct value *spec, void *filter,
		     size_t page_size)
{
	char id[160];

	if (collectors_of(h, c->session) >= HISTORY_COLLECTORS_MAX) {
		h->ops->filter_free(filter);
		call_fault(c, fault_new(c->arena, T_InvalidState),
			   "session of '%s' has %d history collectors, the most it may have",
			   session_user(c->session), HISTORY_COLLECTORS_MAX);
		return;
	}
	struct history_collector *hc = mem_zalloc(sizeof(*hc));
	hc->history = h;
	hc->session = c->session;
	hc->filter = filter;
	hc->page_size = page_size;
	collector_id(c->session, id, sizeof(id));
	hc->object = inventory_add(service_inventory(h->service), h->ops->collector, id,
				   &collector_class, hc);
	inventory_set(hc->object, P_HistoryCollector_filter, spec);
	hc->item.end = session_ended;
	session_own(c->session, &hc->item);
	list_push_back(&h->collectors, &hc->link);
	call_return(c, hc->object->ref);
}

/* ---- methods ---- */

/* The collector, when it belongs to the caller; else the call is over. */
static struct history_collector *collector_of(struct call *c)
{
	struct history_collector *hc = c->self->owner;

	if (hc->session != c->session) {
		call_fault(c, fault_not_found(c->arena, c->self->ref),
			   "history collector '%s' belongs to another session", object_id(c->self));
		return NULL;
	}
	return hc;
}

/* The maxCount argument, the only one of each of these methods. */
static bool count_argument(struct call *c, size_t *out)
{
	int64_t n = value_get_num(c->args, 0, 0);

	if (n < 1 || n > HISTORY_PAGE_MAX) {
		call_fault(c, fault_invalid_argument(c->arena, "maxCount"),
			   "maxCount %" PRId64 " is not between 1 and %d", n, HISTORY_PAGE_MAX);
		return false;
	}
	*out = (size_t)n;
	return true;
}

static void collector_read(struct call *c, bool newer)
{
	struct history_collector *hc = collector_of(c);
	size_t max;

	if (hc == NULL || !count_argument(c, &max)) {
		return;
	}
	struct value *out = value_new_array(c->arena, hc->history->ops->item);
	(newer ? read_newer : read_older)(hc, &hc->position, max, out, c->arena);
	call_return(c, value_count(out) == 0 ? NULL : out);
}

static void read_next(struct call *c)
{
	collector_read(c, true);
}

static void read_previous(struct call *c)
{
	collector_read(c, false);
}

static void set_page_size(struct call *c)
{
	struct history_collector *hc = collector_of(c);
	size_t n;

	if (hc == NULL || !count_argument(c, &n)) {
		return;
	}
	if (hc->page_size != n) {
		hc->page_size = n;
		hc->page_first = 0;
		page_changed(hc);
	}
	call_return(c, NULL);
}

static void rewind_collector(struct call *c)
{
	struct history_collector *hc = collector_of(c);

	if (hc != NULL) {
		hc->position = 0;
		call_return(c, NULL);
	}
}

static void reset_collector(struct call *c)
{
	struct history_collector *hc = collector_of(c);

	if (hc != NULL) {
		latest_page(hc->object, P_LATEST_PAGE, c->arena);
		hc->position = hc->page_first;
		call_return(c, NULL);
	}
}

static void destroy_collector(struct call *c)
{
	struct history_collector *hc = collector_of(c);

	if (hc != NULL) {
		session_disown(&hc->item);
		collector_free(hc);
		call_return(c, NULL);
	}
}

struct history *history_new(struct service *s, const struct history_ops *ops, size_t limit)
{
	struct history *h = mem_zalloc(sizeof(*h));

	assert(limit >= 16);
	h->service = s;
	h->ops = ops;
	h->limit = limit;
	h->scratch = arena_new(0);
	list_init(&h->collectors);
	service_handle(s, ops->collector, ops->read_next, read_next, h);
	service_handle(s, ops->collector, ops->read_previous, read_previous, h);
	service_handle(s, ops->collector, M_HistoryCollector_SetCollectorPageSize, set_page_size,
		       h);
	service_handle(s, ops->collector, M_HistoryCollector_RewindCollector, rewind_collector, h);
	service_handle(s, ops->collector, M_HistoryCollector_ResetCollector, reset_collector, h);
	service_handle(s, ops->collector, M_HistoryCollector_DestroyCollector, destroy_collector,
		       h);
	return h;
}

void history_free(struct history *h)
{
	if (h == NULL) {
		return;
	}
	list_each_safe (struct history_collector, hc, &h->collectors, link) {
		session_disown(&hc->item);
		collector_free(hc);
	}
	for (; h->first < h->end; h->first++) {
		h->ops->drop(history_item(h, h->first));
	}
	arena_free(h->scratch);
	free(h->ring);
	free(h);
}
