/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collectors: who waits for what.
 *
 * A client (struct client) is one session's share: its collectors, the default one among them, and
 * how much it uses. The default PropertyCollector is one object for all sessions, with a struct
 * collector of its own for each; the others are objects of one session.
 *
 * States of a collector: at rest, or waiting with one call.
 *   at rest → waiting: wait_begin(), when the client is up to date
 *   waiting → at rest: wait_check() with news, wait_timeout(), wait_cancel()
 *
 * 1. All filters of a collector have seen the same version, at which also its inventory reader
 *    stands.
 * 2. `floor` is the oldest version that the client may still name: what it named last. Turns of its
 *    filters that are newer are kept.
 * 3. While it waits nothing up to `checked` concerns it, so a change costs only a look at what is
 *    newer.
 */
#include "vim/collector.h"

#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/timer.h"
#include "base/uuid.h"
#include "vim/fault.h"
#include "vim/filter.h"
#include "vim/retrieve.h"
#include "vim/selection.h"
#include "vim/update.h"
#include "vim/weight.h"

enum {
	MAX_COLLECTORS = 200, /* of a session, like the others */
	MAX_FILTERS = 1000,
	MAX_ROOTS = 500000,
	MAX_PATHS = 20000,
	MAX_TURNS = 200000,
	MAX_WEIGHT = 128 << 10, /* of a filter's specification, and for each of its objects: */
	MAX_ROOT_WEIGHT = 512,
	MAX_LAG = 8192, /* versions; beyond them a collector at rest is brought up to date */
	ID_SIZE = 100
};

struct client;

struct wait {
	struct list_node link; /* in the manager's list */
	struct call *call;     /* NULL: at rest */
	struct bookmark from;
	uint64_t checked;
	size_t max;
};

struct collector {
	struct list_node link; /* in the client's list */
	struct client *client;
	struct object *object; /* of the default one: shared, not ours */
	struct list filters;
	uint64_t last_filter;
	struct retrievals retrievals;
	struct inventory_reader reader;
	uint64_t floor;
	struct wait wait;
	struct timer *timer; /* NULL until it is needed */
};

struct client {
	struct session_item item;
	struct collector_manager *manager;
	struct session *session;
	struct collector *own; /* on the default object */
	struct list collectors;
	unsigned n_collectors, n_filters;
	uint64_t n_roots;
	uint32_t n_paths; /* of the filters' property sets */
	size_t n_held;	  /* objects of open retrievals */
};

struct collector_manager {
	struct service *service;
	struct inventory *inventory;
	struct object *object;
	struct map64 clients; /* by session */
	struct list waiting;
	struct inventory_listener *listener;
	struct arena *scratch;
};

static void wait_cancel(struct collector *p, const char *why);

/* ---- filters ---- */

static void collector_sync(struct collector *p)
{
	struct collector_manager *m = p->client->manager;
	struct session *old = service_act_as(m->service, p->client->session);

	list_each (struct filter, f, &p->filters, link) {
		filter_sync(f, m->inventory, p->client->session, m->scratch);
	}
	service_act_as(m->service, old);
	arena_reset(m->scratch);
	inventory_reader_advance(m->inventory, &p->reader, inventory_version(m->inventory));
}

static void collector_forget(struct collector *p, uint64_t version)
{
	p->floor = MAX(p->floor, version);
	list_each (struct filter, f, &p->filters, link) {
		filter_forget(f, p->floor);
	}
}

static void filter_end(struct filter *f)
{
	struct collector *p = f->collector;

	p->client->n_filters--;
	p->client->n_roots -= f->spec->n_roots;
	p->client->n_paths -= f->spec->n_paths;
	filter_free(f);
}

static const struct value *filter_compute(struct object *o, unsigned prop, struct arena *a)
{
	struct filter *f = o->owner;
	struct collector *p = f == NULL ? NULL : f->collector;

	if (p == NULL || service_acting(p->client->manager->service) != p->client->session) {
		return NULL;
	}
	return prop == P_PropertyFilter_spec ? f->spec->value : value_new_bool(a, f->is_partial);
}

static const struct object_class filter_class = {
	.computed = (1 << P_PropertyFilter_spec) | (1 << P_PropertyFilter_partialUpdates),
	.compute = filter_compute,
};

/* ---- collectors and clients ---- */

static struct collector *collector_new(struct client *client, struct object *object)
{
	struct collector *p = mem_zalloc(sizeof(*p));

	p->client = client;
	p->object = object;
	list_init(&p->filters);
	retrievals_init(&p->retrievals, &client->n_held);
	inventory_reader_add(client->manager->inventory, &p->reader);
	list_push_back(&client->collectors, &p->link);
	client->n_collectors++;
	return p;
}

static void collector_free(struct collector *p)
{
	struct collector_manager *m = p->client->manager;

	wait_cancel(p, "the collector has been destroyed");
	list_each_safe (struct filter, f, &p->filters, link) {
		filter_end(f);
	}
	retrievals_fini(&p->retrievals);
	inventory_reader_remove(m->inventory, &p->reader);
	timer_free(p->timer);
	if (p->object != m->object) {
		inventory_remove(p->object);
	}
	list_remove(&p->link);
	p->client->n_collectors--;
	free(p);
}

static void client_free(struct client *client)
{
	list_each_safe (struct collector, p, &client->collectors, link) {
		collector_free(p);
	}
	map64_remove(&client->manager->clients, (uint64_t)(uintptr_t)client->session);
	free(client);
}

static void client_session_ended(struct session_item *item)
{
	client_free(CONTAINER_OF(item, struct client, item));
}

static struct client *client_of(struct collector_manager *m, struct session *session)
{
	struct client *client = map64_get(&m->clients, (uint64_t)(uintptr_t)session);

	if (client != NULL) {
		return client;
	}
	client = mem_zalloc(sizeof(*client));
	client->manager = m;
	client->session = session;
	list_init(&client->collectors);
	client->own = collector_new(client, m->object);
	client->item.end = client_session_ended;
	session_own(session, &client->item);
	map64_set(&m->clients, (uint64_t)(uintptr_t)session, client);
	return client;
}

/* The filters that the acting session has on a collector. */
static const struct value *collector_compute(struct object *o, unsigned prop, struct arena *a)
{
	struct collector_manager *m = o->owner;
	struct client *client =
		map64_get(&m->clients, (uint64_t)(uintptr_t)service_acting(m->service));
	struct value *filters = value_new_array(a, T_PropertyFilter);

	(void)prop;
	if (client == NULL) {
		return filters;
	}
	list_each (struct collector, p, &client->collectors, link) {
		if (p->object != o) {
			continue;
		}
		list_each (struct filter, f, &p->filters, link) {
			value_push(a, filters, f->object->ref);
		}
	}
	return filters;
}

static const struct object_class collector_class = {
	.computed = 1 << P_PropertyCollector_filter,
	.compute = collector_compute,
};

/* The collector that a call is for; answers ManagedObjectNotFound and returns NULL when it belongs
 * to another session. */
static struct collector *collector_of(struct call *c)
{
	struct collector_manager *m = call_arg(c);
	struct client *client = client_of(m, c->session);

	if (c->self == m->object) {
		return client->own;
	}
	list_each (struct collector, p, &client->collectors, link) {
		if (p->object == c->self) {
			return p;
		}
	}
	call_fault(c, fault_not_found(c->arena, c->self->ref),
		   "The collector \"%s\" belongs to another session", object_id(c->self));
	return NULL;
}

static struct object *object_new(struct client *client, uint16_t type,
				 const struct object_class *class, void *owner)
{
	char uuid[UUID_TEXT_SIZE], id[ID_SIZE];

	uuid_random_text(uuid);
	snprintf(id, sizeof(id), "session[%s]%s", session_id(client->session), uuid);
	return inventory_add(client->manager->inventory, type, id, class, owner);
}

static bool refuse_limit(struct call *c, const char *what, unsigned long long limit)
{
	struct error e;

	error_set(&e, ERROR_LIMIT, "session of \"%s\" has too many %s (limit %llu)",
		  session_user(c->session), what, limit);
	call_error(c, &e);
	return false;
}

/* ---- waiting ---- */

/* Takes the call out of waiting; it is still to be ended. */
static struct call *wait_end(struct collector *p)
{
	struct call *c = p->wait.call;

	p->wait.call = NULL;
	list_remove(&p->wait.link);
	if (p->timer != NULL) {
		timer_stop(p->timer);
	}
	if (c != NULL) {
		call_on_abort(c, NULL, NULL);
	}
	return c;
}

static void wait_cancel(struct collector *p, const char *why)
{
	struct call *c = wait_end(p);

	if (c != NULL) {
		call_fault(c, fault_new(c->arena, T_RequestCanceled), "Waiting was canceled: %s",
			   why);
	}
}

static void wait_aborted(void *arg)
{
	wait_cancel(arg, "the client has gone or its session has ended");
}

static void wait_timeout(void *arg)
{
	struct call *c = wait_end(arg);

	if (c != NULL) {
		call_return(c, NULL);
	}
}

/* Has the client news? Then they are the answer, the collector is at rest again, and, as whoever
 * got the answer may have gone on at once, perhaps gone. */
static bool wait_check(struct collector *p)
{
	struct collector_manager *m = p->client->manager;
	struct update_set set = { 0 };
	struct bookmark from = p->wait.from;

	collector_sync(p);
	if (from.start == 0 && p->wait.checked > from.version) {
		from.version = p->wait.checked;
	}
	update_collect(&set, &p->filters, m->inventory, p->client->session, &from, p->wait.max);
	if (set.items.n > 0) {
		update_answer(wait_end(p), &set);
		return true;
	}
	if (from.start != 0) {
		p->wait.from = (struct bookmark){ .version = from.start };
	}
	p->wait.checked = set.next.version;
	update_free(&set);
	return false;
}

static uint64_t client_turns(const struct client *client)
{
	uint64_t n = 0;

	list_each (struct collector, p, &client->collectors, link) {
		list_each (struct filter, f, &p->filters, link) {
			n += f->turns.n;
		}
	}
	return n;
}

/* A client that has not asked for long begins anew, with version "". */
static void client_forget(struct client *client)
{
	list_each (struct collector, p, &client->collectors, link) {
		if (p->wait.call == NULL) {
			collector_forget(p, p->reader.version);
		}
	}
}

/* The inventory has changed. An answer may lead to anything, also to new waiting calls. */
static void manager_published(void *arg)
{
	struct collector_manager *m = arg;
	struct list round;

	list_init(&round);
	list_each_safe (struct wait, w, &m->waiting, link) {
		list_remove(&w->link);
		list_push_back(&round, &w->link);
	}
	struct list_node *n;
	while ((n = list_front(&round)) != NULL) {
		struct collector *p = CONTAINER_OF(n, struct collector, wait.link);
		list_remove(n);
		list_push_back(&m->waiting, n);
		wait_check(p);
	}
	map64_each(&m->clients, entry)
	{
		struct client *client = entry->value;
		bool is_late = false;
		list_each (struct collector, p, &client->collectors, link) {
			if (inventory_version(m->inventory) - p->reader.version > MAX_LAG) {
				collector_sync(p);
				is_late = true;
			}
		}
		if (is_late && client_turns(client) > MAX_TURNS) {
			client_forget(client);
		}
	}
}

/* Can the client know what it says it knows? */
static bool version_is_valid(const struct collector *p, const struct bookmark *b)
{
	uint64_t newest = inventory_version(p->client->manager->inventory);

	if (b->version > newest || b->start > newest) {
		return false;
	}
	if (b->version == 0) {
		return b->start == 0 || b->start >= p->floor;
	}
	return b->version >= p->floor && (b->start == 0 || b->start >= b->version);
}

static bool wait_take_version(struct call *c, struct collector *p, const char *version,
			      struct bookmark *from)
{
	if (!bookmark_parse(version == NULL ? "" : version, from) || !version_is_valid(p, from)) {
		call_fault(c, fault_new(c->arena, T_InvalidCollectorVersion),
			   "Version \"%.100s\" is not one that this collector has handed out, or "
			   "older than one that was used since",
			   version);
		return false;
	}
	uint64_t start = from->start;
	if (start == 0) {
		start = inventory_version(p->client->manager->inventory);
	}
	collector_forget(p, from->version != 0 ? from->version : start);
	return true;
}

/* Answers at once, or leaves the call waiting: wait_s seconds, or without end (negative). */
static void wait_begin(struct call *c, struct collector *p, const char *version, int64_t wait_s,
		       size_t max)
{
	struct collector_manager *m = p->client->manager;
	struct bookmark from;

	wait_cancel(p, "another call waits on the same collector");
	if (!wait_take_version(c, p, version, &from)) {
		return;
	}
	p->wait = (struct wait){ .call = c, .from = from, .max = max };
	list_push_back(&m->waiting, &p->wait.link);
	if (wait_check(p)) {
		return;
	}
	if (wait_s == 0) {
		wait_timeout(p);
		return;
	}
	call_on_abort(c, wait_aborted, p);
	if (wait_s > 0) {
		if (p->timer == NULL) {
			p->timer = timer_new(service_loop(m->service), service_clock(m->service),
					     wait_timeout, p);
		}
		timer_start(p->timer, wait_s * 1000, 0);
	}
}

/* ---- methods ---- */

/* The collector of a call that asks for updates. Changes of this turn are published first: what
 * came is in its views, so that one update has both it and what else changed. */
static struct collector *collector_to_wait(struct call *c)
{
	struct collector_manager *m = call_arg(c);

	inventory_publish(m->inventory);
	return collector_of(c);
}

static void wait_for_updates_ex(struct call *c)
{
	const struct value *options =
		value_get_value(c->args, A_PropertyCollector_WaitForUpdatesEx_options);
	int64_t wait_s = value_get_num(options, F_WaitOptions_maxWaitSeconds, -1);
	int64_t max = value_get_num(options, F_WaitOptions_maxObjectUpdates, INT64_MAX);
	struct collector *p = collector_to_wait(c);

	if (p == NULL) {
		return;
	}
	if (value_has(options, F_WaitOptions_maxWaitSeconds) && wait_s < 0) {
		call_fault(c, fault_invalid_argument(c->arena, "options.maxWaitSeconds"),
			   "options.maxWaitSeconds: %lld is negative", (long long)wait_s);
		return;
	}
	if (max <= 0) {
		call_fault(c, fault_invalid_argument(c->arena, "options.maxObjectUpdates"),
			   "options.maxObjectUpdates: %lld is not greater than 0", (long long)max);
		return;
	}
	wait_begin(c, p, value_get_str(c->args, A_PropertyCollector_WaitForUpdatesEx_version),
		   wait_s, max == INT64_MAX ? SIZE_MAX : (size_t)max);
}

static void wait_for_updates(struct call *c)
{
	struct collector *p = collector_to_wait(c);

	if (p != NULL) {
		wait_begin(c, p, value_get_str(c->args, A_PropertyCollector_WaitForUpdates_version),
			   -1, SIZE_MAX);
	}
}

static void check_for_updates(struct call *c)
{
	struct collector *p = collector_to_wait(c);

	if (p != NULL) {
		wait_begin(c, p,
			   value_get_str(c->args, A_PropertyCollector_CheckForUpdates_version), 0,
			   SIZE_MAX);
	}
}

static void cancel_wait_for_updates(struct call *c)
{
	struct collector *p = collector_of(c);

	if (p != NULL) {
		wait_cancel(p, "by CancelWaitForUpdates");
		call_return(c, NULL);
	}
}

/* Is the specification of a size that may be kept as long as the session? */
static bool spec_is_light(const struct value *v)
{
	const struct value *roots = value_get_value(v, F_PropertyFilterSpec_objectSet);

	return weight_within(v, MAX_WEIGHT + value_count(roots) * MAX_ROOT_WEIGHT);
}

/* The filter's spec, or NULL when the call was answered with a fault. */
static struct spec *filter_spec(struct call *c, struct client *client)
{
	struct refusal r = { .arena = c->arena };
	const struct value *v = value_get_value(c->args, A_PropertyCollector_CreateFilter_spec);
	if (!spec_is_light(v)) {
		refuse_limit(c, "bytes in a filter", MAX_WEIGHT);
		return NULL;
	}
	struct spec *s = spec_new(NULL, v, c->version, &r);
	if (s == NULL) {
		call_fault(c, r.fault, "%s", r.e.msg);
		return NULL;
	}
	const struct value *missing =
		s->report_missing ? NULL : spec_missing_root(s, client->manager->inventory);
	bool has_paths = client->n_paths + s->n_paths <= MAX_PATHS;
	if (missing == NULL && has_paths && client->n_roots + s->n_roots <= MAX_ROOTS) {
		return s;
	}
	if (missing != NULL) {
		call_fault(c, fault_not_found(c->arena, missing),
			   "The object '%s:%s' has already been deleted or has not been "
			   "completely created",
			   schema_type_name(value_type(missing)), value_bytes(missing));
	} else if (!has_paths) {
		refuse_limit(c, "property paths in filters", MAX_PATHS);
	} else {
		refuse_limit(c, "objects in filters", MAX_ROOTS);
	}
	spec_drop(s);
	return NULL;
}

/* What one look at all that its filters are about costs. */
static uint64_t client_cost(const struct client *client)
{
	uint64_t cost = 0;

	list_each (struct collector, p, &client->collectors, link) {
		list_each (struct filter, f, &p->filters, link) {
			cost += f->cost;
		}
	}
	return cost;
}

static void create_filter(struct call *c)
{
	struct collector *p = collector_of(c);
	struct client *client = p == NULL ? NULL : p->client;

	if (p == NULL || (client->n_filters >= MAX_FILTERS &&
			  !refuse_limit(c, "property filters", MAX_FILTERS))) {
		return;
	}
	struct spec *spec = filter_spec(c, client);
	if (spec == NULL) {
		return;
	}
	struct object *object = object_new(client, T_PropertyFilter, &filter_class, NULL);
	struct filter *f = filter_new(
		spec,
		value_get_bool(c->args, A_PropertyCollector_CreateFilter_partialUpdates, false),
		++p->last_filter, object);
	object->owner = f;
	f->collector = p;
	list_push_back(&p->filters, &f->link);
	client->n_filters++;
	client->n_roots += spec->n_roots;
	client->n_paths += spec->n_paths;
	collector_sync(p);
	if (client_cost(client) > SELECTION_COST_MAX) {
		filter_end(f);
		refuse_limit(c, "objects to walk through for its filters", SELECTION_COST_MAX);
		return;
	}
	call_return(c, object->ref);
}

static void destroy_filter(struct call *c)
{
	struct filter *f = c->self->owner;
	struct collector *p = f == NULL ? NULL : f->collector;

	if (p == NULL || p->client->session != c->session) {
		call_fault(c, fault_not_found(c->arena, c->self->ref),
			   "The filter \"%s\" belongs to another session", object_id(c->self));
		return;
	}
	filter_end(f);
	call_return(c, NULL);
}

static void create_collector(struct call *c)
{
	struct collector_manager *m = call_arg(c);
	struct client *client = client_of(m, c->session);

	if (client->n_collectors >= MAX_COLLECTORS) {
		refuse_limit(c, "property collectors", MAX_COLLECTORS);
		return;
	}
	struct object *object = object_new(client, T_PropertyCollector, &collector_class, m);
	collector_new(client, object);
	call_return(c, object->ref);
}

static void destroy_collector(struct call *c)
{
	struct collector *p = collector_of(c);

	if (p == NULL) {
		return;
	}
	if (p == p->client->own) {
		struct error e;
		error_set(&e, ERROR_UNSUPPORTED, "collector \"%s\" is every session's own",
			  object_id(c->self));
		call_error(c, &e);
		return;
	}
	collector_free(p);
	call_return(c, NULL);
}

static void retrieve_plain(struct call *c)
{
	const struct collector_manager *m = call_arg(c);

	retrieve_properties(c, m->scratch);
}

static void retrieve_ex(struct call *c)
{
	struct collector *p = collector_of(c);

	if (p != NULL) {
		retrieve_properties_ex(c, &p->retrievals, p->client->manager->scratch);
	}
}

static void continue_ex(struct call *c)
{
	struct collector *p = collector_of(c);

	if (p != NULL) {
		retrieve_continue(c, &p->retrievals);
	}
}

static void cancel_ex(struct call *c)
{
	struct collector *p = collector_of(c);

	if (p != NULL) {
		retrieve_cancel(c, &p->retrievals);
	}
}

struct collector_manager *collector_manager_new(struct service *s, struct session_manager *sessions,
						const char *id)
{
	static const struct {
		uint16_t method;
		call_fn *fn;
	} methods[] = {
		{ M_PropertyCollector_RetrieveProperties, retrieve_plain },
		{ M_PropertyCollector_RetrievePropertiesEx, retrieve_ex },
		{ M_PropertyCollector_ContinueRetrievePropertiesEx, continue_ex },
		{ M_PropertyCollector_CancelRetrievePropertiesEx, cancel_ex },
		{ M_PropertyCollector_CreateFilter, create_filter },
		{ M_PropertyCollector_WaitForUpdatesEx, wait_for_updates_ex },
		{ M_PropertyCollector_WaitForUpdates, wait_for_updates },
		{ M_PropertyCollector_CheckForUpdates, check_for_updates },
		{ M_PropertyCollector_CancelWaitForUpdates, cancel_wait_for_updates },
		{ M_PropertyCollector_CreatePropertyCollector, create_collector },
		{ M_PropertyCollector_DestroyPropertyCollector, destroy_collector },
	};
	struct collector_manager *m = mem_zalloc(sizeof(*m));

	(void)sessions;
	m->service = s;
	m->inventory = service_inventory(s);
	m->scratch = arena_new(0);
	list_init(&m->waiting);
	m->object = inventory_add(m->inventory, T_PropertyCollector, id, &collector_class, m);
	m->listener = inventory_subscribe(m->inventory, manager_published, m);
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		service_handle(s, T_PropertyCollector, methods[i].method, methods[i].fn, m);
	}
	service_handle(s, T_PropertyFilter, M_PropertyFilter_DestroyPropertyFilter, destroy_filter,
		       m);
	return m;
}

void collector_manager_free(struct collector_manager *m)
{
	if (m == NULL) {
		return;
	}
	map64_each(&m->clients, entry)
	{
		struct client *client = entry->value;
		session_disown(&client->item);
		client_free(client);
	}
	inventory_unsubscribe(m->listener);
	inventory_remove(m->object);
	map64_free(&m->clients);
	arena_free(m->scratch);
	free(m);
}
